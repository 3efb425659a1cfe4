"""Threads, and what this build and machine are."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from lossopt import _kernels
from lossopt._kernels import abi


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quota() -> float:
    """The container's share of processors, by cgroup version 2 or 1."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us").read_text().strip()
            period = Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us").read_text().strip()
        except OSError:
            return np.inf
    return np.inf if quota in ("max", "-1") else max(1.0, float(quota) / float(period))


def _default_threads() -> int:
    limits = [_cores(), _quota()]
    for name in ("OMP_NUM_THREADS", "LOSSOPT_NUM_THREADS"):
        given = os.environ.get(name, "").split(",")[0].strip()
        if given.isdecimal() and int(given) > 0:
            limits.append(int(given))
        elif given and name.startswith("LOSSOPT"):
            raise ImportError(f"{name} must be a positive whole number, got {given!r}")
    return int(min(limits))


def set_num_threads(n: int) -> None:
    """Use n threads, exactly, also above the number of cores; the results' bits do not depend on it.

    Parameters
    ----------
    n : int
        At least 1. A build without OpenMP stays on one thread; small arrays do so too.

    Examples
    --------
    >>> import lossopt as lo
    >>> before = lo.get_num_threads()
    >>> lo.set_num_threads(1)
    >>> lo.get_num_threads()
    1
    >>> lo.set_num_threads(before)
    """
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1:
        raise ValueError(f"n must be a whole number of at least 1, got {n!r}")
    if n >= 2**31:
        raise ValueError(f"n must be below 2**31, got {n!r}")
    abi.set_num_threads(int(n))


def get_num_threads() -> int:
    """How many threads large arrays use now; a limit of threadpoolctl counts while it is active.

    Returns
    -------
    int
    """
    return int(abi.get_num_threads())


def get_include() -> str:
    """The folder of ``lossopt.h``, for C clients of the kernels.

    Returns
    -------
    str

    Examples
    --------
    >>> import lossopt as lo
    >>> lo.get_include().endswith("include")
    True
    """
    return str(Path(__file__).parent / "include")


@contextlib.contextmanager
def blas_alone(package: str) -> Iterator[bool]:
    """The BLAS that numpy or scipy calls, on one thread; whether it is: that takes threadpoolctl.

    Its idle threads spin beside ours and hold them up, and on products of few columns they gain nothing.
    """
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:
        yield False
        return
    libraries = ThreadpoolController()
    paths = [x["filepath"] for x in libraries.info() if x["user_api"] == "blas"]
    own = [path for path in paths if package in path.replace("scipy_openblas", "")] or paths
    with libraries.select(filepath=own).limit(limits=1):
        yield True


def info() -> dict[str, Any]:
    """What is running: kernel level, threads, compiler, versions, and which parts use BLAS.

    Returns
    -------
    dict
        ``level`` is the one in use, ``levels`` are those that run on this machine, ``levels built`` those of the build.

    Examples
    --------
    >>> import lossopt as lo
    >>> lo.info()["level"] in lo.info()["levels"]
    True
    """
    import platform
    from importlib import metadata

    return {
        "lossopt": metadata.version("lossopt"),
        "level": _kernels.level,
        "levels": list(_kernels.available),
        "levels built": list(_kernels.built),
        "threads": get_num_threads(),
        "cores": _cores(),
        "openmp": abi.OPENMP,
        "compiler": abi.COMPILER,
        "flags": abi.FLAGS,
        "python": sys.version.split()[0],
        "numpy": np.__version__,
        "platform": f"{platform.system()} {platform.machine()}",
        "blas": f"MLP; linear models of more than {_kernels.linear.MOST_OUTPUTS} outputs on a dense X; solvers",
    }


abi.set_num_threads(_default_threads())
