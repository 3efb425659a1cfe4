"""Kernels over buffers, one module a family and a level; the best level for this processor is chosen here.

`losses`, `linear`, `activations`, `penalties`, `updates` and `math` are the chosen level's modules. `load(level)` gives
any level's, and ``load("reference")`` their NumPy twins: the same names, the same signatures.
"""

from __future__ import annotations

import os
from importlib import import_module
from importlib.util import find_spec
from types import SimpleNamespace

from lossopt._kernels import abi as abi

FAMILIES = ("losses", "linear", "activations", "penalties", "updates", "math")
# name: the least that abi.X86_LEVEL must be; the best last
LEVELS = {"baseline": 1, "x86_v3": 3, "x86_v4": 4}

built = tuple(level for level in LEVELS if find_spec(f"lossopt._kernels.losses_{level}"))
available = tuple(level for level in built if LEVELS[level] <= abi.X86_LEVEL)


def load(level: str) -> SimpleNamespace:
    """The families of one level, or of the NumPy twin ("reference")."""
    if level == "reference":
        reference = import_module("lossopt._kernels.reference")
        return SimpleNamespace(Arrays=reference.Arrays, **{name: getattr(reference, name) for name in FAMILIES})
    modules = {name: import_module(f"lossopt._kernels.{name}_{level}") for name in FAMILIES}
    return SimpleNamespace(Arrays=abi.Arrays, **modules)


def _chosen() -> str:
    wanted = os.environ.get("LOSSOPT_SIMD", "")
    if not wanted:
        return available[-1]
    if wanted not in LEVELS:
        raise ImportError(f"LOSSOPT_SIMD: {wanted!r} is no level; levels are {', '.join(LEVELS)}")
    if wanted not in built:
        raise ImportError(f"LOSSOPT_SIMD: this build of lossopt lacks {wanted}; it has {', '.join(built)}")
    if wanted not in available:
        raise ImportError(f"LOSSOPT_SIMD: this processor lacks {wanted}; it can run {', '.join(available)}")
    return wanted


level = _chosen()
_modules = load(level)
losses, linear, activations, penalties, updates, math = (getattr(_modules, name) for name in FAMILIES)
Arrays = abi.Arrays
