"""Threads, levels, forks, and what the build left behind."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

import lossopt as lo
from lossopt import _kernels, runtime

ROOT = Path(__file__).parents[1]
OPENMP = lo.info()["openmp"]
parallel = pytest.mark.skipif(not OPENMP, reason="this build has no OpenMP")
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture(autouse=True)
def _threads():
    before = lo.get_num_threads()
    yield
    lo.set_num_threads(before)


def python(code, *, fails=False, **environment):
    """What a fresh Python prints, or the last line of its complaint."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "LOSSOPT_", "OPENBLAS_", "GOMP_"))}
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=inherited | environment, timeout=60
    )
    assert bool(result.returncode) == fails, result.stderr
    return result.stderr.strip().splitlines()[-1] if fails else result.stdout.strip()


# large enough for several chunks of rows and a parallel region, and no multiple of a block
PROBLEM = """
import os
import numpy as np, lossopt as lo
rng = np.random.default_rng(0)
X = rng.normal(size=(20_011, 30))
objective = lo.Objective(X, (X[:, 0] > 0).astype(float), lo.BinaryCrossEntropy(), lo.L2(0.01), rng.random(len(X)))
w = rng.normal(size=31)
def bits():
    value, gradient = objective.value_and_grad(w)
    return value.hex() + gradient.tobytes().hex() + objective.predict(w, X).tobytes().hex()
def pool():
    return len(os.listdir("/proc/self/task"))
"""


@pytest.fixture(scope="module")
def problem():
    names = {}
    exec(PROBLEM, names)
    return names


# ---- numbers of threads


@pytest.mark.parametrize("n", [1, 2, 7, np.int32(3), 10 * (os.cpu_count() or 1)])
def test_number_is_exact(n):
    lo.set_num_threads(n)
    assert lo.get_num_threads() == lo.info()["threads"] == (n if OPENMP else 1)
    assert type(lo.get_num_threads()) is int


@pytest.mark.parametrize("n", [0, -1, 1.0, "2", None, True])
def test_number_is_checked(n):
    before = lo.get_num_threads()
    with pytest.raises(ValueError, match=re.escape(f"n must be a whole number of at least 1, got {n!r}")):
        lo.set_num_threads(n)
    assert lo.get_num_threads() == before


def test_number_fits_an_int():
    before = lo.get_num_threads()
    with pytest.raises(ValueError, match=re.escape("n must be below 2**31, got 2147483648")):
        lo.set_num_threads(2**31)
    assert lo.get_num_threads() == before


@parallel
@linux
@pytest.mark.parametrize("n", [1, 2, 5])
def test_so_many_threads_run(n):
    code = PROBLEM + f"lo.set_num_threads({n}); before = pool(); bits(); print(pool() - before)"
    assert python(code, OPENBLAS_NUM_THREADS="1") == str(n - 1)


def test_bits_do_not_depend_on_the_number(problem):
    lo.set_num_threads(1)
    bits = problem["bits"]()
    for n in (2, 3, 7, 64):
        lo.set_num_threads(n)
        assert problem["bits"]() == bits


CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
DEFAULT = int(min(CORES, runtime._quota()))


@parallel
@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, DEFAULT),
        ({"LOSSOPT_NUM_THREADS": "1"}, 1),
        ({"OMP_NUM_THREADS": "1"}, 1),
        ({"OMP_NUM_THREADS": "1,4"}, 1),
        ({"OMP_NUM_THREADS": "64", "LOSSOPT_NUM_THREADS": "64"}, DEFAULT),
        ({"OMP_NUM_THREADS": "64", "LOSSOPT_NUM_THREADS": "1"}, 1),
        ({"OMP_NUM_THREADS": "1", "LOSSOPT_NUM_THREADS": "64"}, 1),
        ({"OMP_NUM_THREADS": "", "LOSSOPT_NUM_THREADS": ""}, DEFAULT),
        ({"OMP_NUM_THREADS": "0"}, DEFAULT),
        ({"OMP_NUM_THREADS": "many"}, DEFAULT),
    ],
    ids=str,
)
def test_default_is_the_smallest_limit(environment, expected):
    code = "import lossopt as lo; print(lo.get_num_threads()); lo.set_num_threads(3); print(lo.get_num_threads())"
    assert python(code, **environment).split() == [str(expected), "3"]


@parallel
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system binds no process to cores")
def test_default_counts_the_cores_of_this_process():
    code = "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); import lossopt as lo; "
    assert python(code + "print(lo.get_num_threads(), lo.info()['cores'])") == "1 1"


@pytest.mark.parametrize("given", ["0", "-2", "two", "1.5"])
def test_nonsense_in_the_environment_is_named(given):
    said = python("import lossopt", fails=True, LOSSOPT_NUM_THREADS=given)
    assert said == f"ImportError: LOSSOPT_NUM_THREADS must be a positive whole number, got {given!r}"


V2, QUOTA, PERIOD = (f"/sys/fs/cgroup/{name}" for name in ("cpu.max", "cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"))


@pytest.mark.parametrize(
    ("files", "share"),
    [
        ({V2: "150000 100000\n"}, 1.5),
        ({V2: "20000 100000\n"}, 1.0),
        ({V2: "max 100000\n"}, np.inf),
        ({QUOTA: "400000\n", PERIOD: "100000\n"}, 4.0),
        ({QUOTA: "-1\n", PERIOD: "100000\n"}, np.inf),
        ({V2: "200000 100000\n", QUOTA: "-1\n", PERIOD: "100000\n"}, 2.0),
        ({}, np.inf),
    ],
)
def test_the_containers_quota(files, share, monkeypatch):
    def read_text(path, *given, **more):
        if path.as_posix() not in files:
            raise FileNotFoundError(path)
        return files[path.as_posix()]

    monkeypatch.setattr(Path, "read_text", read_text)
    assert runtime._quota() == share
    for name in ("OMP_NUM_THREADS", "LOSSOPT_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(runtime, "_cores", lambda: 3)
    assert runtime._default_threads() == min(3, int(min(share, 3)))


@parallel
@pytest.mark.parametrize("number", [CORES, CORES + 2])
@pytest.mark.parametrize("limit", range(1, CORES + 1))
def test_threadpoolctl_caps_while_active(number, limit, problem):
    threadpoolctl = pytest.importorskip("threadpoolctl")
    lo.set_num_threads(number)
    bits = problem["bits"]()
    with threadpoolctl.threadpool_limits(limit):
        assert lo.get_num_threads() == min(number, limit)
        assert problem["bits"]() == bits
    assert lo.get_num_threads() == number


@parallel
@linux
@pytest.mark.parametrize("limit", [1, 2])
def test_no_more_threads_run_than_threadpoolctl_allows(limit):
    pytest.importorskip("threadpoolctl")
    code = PROBLEM + (
        "import threadpoolctl\n"
        "lo.set_num_threads(3); before = pool()\n"
        # "openmp": OpenBLAS would start threads of its own
        f"with threadpoolctl.threadpool_limits({limit}, 'openmp'): bits()\n"
        "print(pool() - before); bits(); print(pool() - before)"
    )
    assert python(code, OPENBLAS_NUM_THREADS="1").split() == [str(limit - 1), "2"]


# ---- several threads and processes of the caller's; more in test_concurrency.py


def test_calls_from_several_python_threads(problem):
    objective, w = problem["objective"], problem["w"]
    lo.set_num_threads(2)
    points = [w * (1 + i / 50) for i in range(40)]
    alone = [objective.value_and_grad(x) for x in points]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(objective.value_and_grad, points))
    for (value, gradient), (want, wanted) in zip(together, alone, strict=True):
        assert value == want
        assert np.array_equal(gradient, wanted)


@parallel
@linux
def test_forked_child_computes_on_one_thread():
    code = PROBLEM + (
        "lo.set_num_threads(2); wanted = bits()\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    os._exit(0 if bits() == wanted and lo.get_num_threads() == 1 and pool() == 1 else 1)\n"
        "import signal; signal.alarm(5)\n"
        "signal.signal(signal.SIGALRM, lambda *_: os.kill(child, signal.SIGKILL))\n"
        "print(os.waitpid(child, 0)[1], bits() == wanted, lo.get_num_threads())"
    )
    assert python(code, OPENBLAS_NUM_THREADS="1") == "0 True 2"


# ---- levels


@pytest.fixture(scope="module")
def bits_of_levels():
    code = PROBLEM + "value, gradient = objective.value_and_grad(w); print(lo.info()['level'], value, *gradient)"
    return {level: python(code, LOSSOPT_SIMD=level).split() for level in lo.info()["levels"]}


@pytest.mark.parametrize("level", lo.info()["levels"])
def test_a_level_is_forced(level, bits_of_levels):
    forced, *numbers = bits_of_levels[level]
    assert forced == level
    baseline = np.array(bits_of_levels["baseline"][1:], float)
    np.testing.assert_allclose(np.array(numbers, float), baseline, rtol=1e-11, atol=1e-15)


@pytest.mark.skipif("x86_v4" not in lo.info()["levels"], reason="this machine has no x86_v4")
def test_levels_with_fma_give_the_same_bits(bits_of_levels):
    assert bits_of_levels["x86_v3"][1:] == bits_of_levels["x86_v4"][1:]


def test_the_best_level_is_chosen():
    assert python("import lossopt as lo; print(lo.info()['level'])", LOSSOPT_SIMD="") == lo.info()["levels"][-1]


def test_unknown_level_is_named():
    said = python("import lossopt", fails=True, LOSSOPT_SIMD="avx2")
    assert said == "ImportError: LOSSOPT_SIMD: 'avx2' is no level; levels are baseline, x86_v3, x86_v4"


@pytest.mark.parametrize(
    ("absent", "said"),
    [
        ("built", "this build of lossopt lacks x86_v4; it has baseline, x86_v3"),
        ("available", "this processor lacks x86_v4; it can run baseline, x86_v3"),
    ],
)
def test_a_level_that_is_not_there_is_named(absent, said, monkeypatch):
    monkeypatch.setattr(_kernels, "built", ("baseline", "x86_v3", "x86_v4"))
    monkeypatch.setattr(_kernels, absent, ("baseline", "x86_v3"))
    monkeypatch.setenv("LOSSOPT_SIMD", "x86_v4")
    with pytest.raises(ImportError, match=f"^LOSSOPT_SIMD: {said}$"):
        _kernels._chosen()


# ---- what this is


def test_info():
    info = lo.info()
    assert info["lossopt"] == metadata.version("lossopt") == lo.__version__
    assert info["level"] in info["levels"]
    assert set(info["levels"]) <= set(info["levels built"])
    assert info["levels"][0] == "baseline"
    assert info["cores"] == CORES
    assert info["python"] == platform.python_version()
    assert info["numpy"] == np.__version__
    assert info["platform"] == f"{platform.system()} {platform.machine()}"
    assert re.match(r"(gcc|clang|MSVC) \d", info["compiler"])
    assert "more than 32 outputs" in info["blas"]


@linux
@pytest.mark.skipif(platform.machine() != "x86_64", reason="levels are those of x86-64")
def test_levels_are_what_the_processor_offers():
    flags = set(re.search(r"^flags\s*:(.*)$", Path("/proc/cpuinfo").read_text(), re.M)[1].split())
    v3 = {"avx2", "fma", "bmi1", "bmi2"} <= flags
    v4 = v3 and {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"} <= flags
    expected = ["baseline", *["x86_v3"] * v3, *["x86_v4"] * v4]
    assert lo.info()["levels"] == [level for level in expected if level in _kernels.built]


def test_generated_c_has_no_hidden_division_checks():
    files = sorted((ROOT / "build" / "cython").rglob("*.c"))
    if not files:
        pytest.skip("build/cython is absent: the kernels were built elsewhere")
    assert [file for file in files if '"float division"' in file.read_text()] == []
