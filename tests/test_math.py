"""Elementary functions on every level, in both precisions: against mpmath over the whole range, and their twins."""

from __future__ import annotations

import ctypes
import platform
import sys
from functools import cache

import mpmath
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from lossopt import _kernels

pytestmark = pytest.mark.thread_unsafe  # mpmath has one precision for all threads

BUILT = {level: _kernels.load(level).math for level in _kernels.available}
TWIN = _kernels.load("reference").math
JUDGES = {
    "exp": mpmath.exp,
    "log": mpmath.log,
    "log1p": mpmath.log1p,
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "softplus": lambda x: mpmath.log1p(mpmath.exp(x)),
    "tanh": mpmath.tanh,
    "rsqrt": lambda x: 1 / mpmath.sqrt(x),
}
# units in the last place that float64 may be off; float32 may always be 4
ULPS = dict.fromkeys(JUDGES, 2) | {"sigmoid": 3}

each_level = pytest.mark.parametrize("level", BUILT)
each_dtype = pytest.mark.parametrize("dtype", [np.float64, np.float32])
each_function = pytest.mark.parametrize("name", JUDGES)


def applied(kernels, name, x):
    out = np.full_like(x, 7)
    getattr(kernels, name)(x, out)
    return out


@cache
def points(dtype):
    """Finite numbers: any bits, every exponent, both signs, and crowds where a function begins, ends or turns."""
    rng, info = np.random.default_rng(0), np.finfo(dtype)
    bits = rng.integers(0, 2**info.bits, 30_000, dtype=f"u{info.bits // 8}").view(dtype)
    exponents = np.arange(info.minexp - info.nmant, info.maxexp).repeat(30_000 // (info.maxexp - info.minexp) + 1)
    every = np.ldexp(rng.uniform(1, 2, len(exponents)), exponents)
    # where exp overflows, where its result becomes subnormal and where it becomes 0
    ends = [np.log(float(end)) for end in (info.max, info.smallest_normal, info.smallest_subnormal)]
    ends[-1] -= np.log(2)
    # where log and log1p change their exponent, the way exp rounds, tanh its formula: by 1, 2, ... ulp around each
    turns = np.array([1.0, 2.0, 0.5**0.5, 2**0.5, 2**0.5 - 1, 1 - 0.5**0.5, np.log(2) / 2, 0.625, *np.abs(ends)])
    steps = 1 + np.arange(-600, 600) * float(info.eps)
    crowds = [
        np.outer(turns, steps).ravel(),
        info.smallest_subnormal * np.arange(1.0, 1000),
        info.smallest_normal + info.smallest_subnormal * np.arange(-1000.0, 1000),
        1 - np.geomspace(info.epsneg, 1, 10_000, endpoint=False),
        rng.uniform(0, 2, 20_000),
        rng.uniform(0, 40, 15_000),
        *(rng.uniform(0.9 * abs(end), 1.01 * abs(end), 5000) for end in ends),
    ]
    x = np.concatenate([every, *crowds]).astype(dtype)
    return np.concatenate([bits[np.isfinite(bits)], x, -x])


@cache
def judged(name, dtype):
    """x; what mpmath makes of it, rounded to the precision; the unit there; and how many units rounding cut off."""
    x = points(dtype)
    if name in ("log", "rsqrt"):
        x = np.abs(x[x != 0])
    elif name == "log1p":
        x = x[x > -1]
    x = np.unique(x)
    assert len(x) >= 100_000
    with mpmath.workprec(80):
        exact = [JUDGES[name](mpmath.mpf(value)) for value in x.tolist()]
        with np.errstate(over="ignore"):
            nearest = np.array([float(value) for value in exact]).astype(dtype).astype(np.float64)
        finite = np.isfinite(nearest)
        unit = np.spacing(np.where(finite, np.abs(nearest), 1).astype(dtype)).astype(np.float64)
        rest = [
            float((value - near) / ulp) if known else 0.0
            for value, near, ulp, known in zip(exact, nearest.tolist(), unit.tolist(), finite, strict=True)
        ]
    return x, nearest, unit, np.array(rest)


@each_level
@each_dtype
@each_function
def test_functions_are_exact_to_a_few_ulps_over_the_whole_range(level, dtype, name):
    x, nearest, unit, rest = judged(name, dtype)
    got = applied(BUILT[level], name, x).astype(np.float64)
    beyond = np.isinf(nearest)
    assert_array_equal(got[beyond], nearest[beyond])
    off = np.subtract(got, nearest, out=np.zeros_like(got), where=~beyond)
    error = np.abs(off / unit - rest)
    worst = error.argmax()  # NaN, if there is one
    assert error[worst] <= (ULPS[name] if dtype is np.float64 else 4), f"{error[worst]} ulp at {x[worst]!r}"


@each_level
@each_dtype
@each_function
def test_functions_equal_their_twins(level, dtype, name):
    info, x = np.finfo(dtype), points(dtype)
    atol = 8 * info.smallest_subnormal
    assert_allclose(applied(BUILT[level], name, x), applied(TWIN, name, x), rtol=8 * info.eps, atol=atol)


@pytest.mark.skipif(not {"x86_v3", "x86_v4"} <= BUILT.keys(), reason="needs x86_v3 and x86_v4")
@each_dtype
@each_function
def test_functions_give_the_same_bits_on_both_levels_with_fma(dtype, name):
    v3, v4 = (applied(BUILT[level], name, points(dtype)) for level in ("x86_v3", "x86_v4"))
    assert_array_equal(v3, v4)
    assert_array_equal(np.signbit(v3), np.signbit(v4))


NAN, INF = np.nan, np.inf
SPECIAL = {
    "exp": {NAN: NAN, INF: INF, -INF: 0.0, 0.0: 1, 1e-30: 1, -1e-30: 1, 1000.0: INF, -1000.0: 0.0},
    "log": {NAN: NAN, INF: INF, -INF: NAN, 0.0: -INF, 1.0: 0.0, -1.0: NAN, -1e-30: NAN},
    "log1p": {NAN: NAN, INF: INF, -INF: NAN, 0.0: 0.0, 1e-30: 1e-30, -1e-30: -1e-30, -1.0: -INF, -1.5: NAN},
    "sigmoid": {NAN: NAN, INF: 1, -INF: 0.0, 0.0: 0.5, 1000.0: 1, -1000.0: 0.0},
    "softplus": {NAN: NAN, INF: INF, -INF: 0.0, 0.0: np.log(2), 1000.0: 1000, -1000.0: 0.0},
    "tanh": {NAN: NAN, INF: 1, -INF: -1, 0.0: 0.0, 1e-30: 1e-30, -1e-30: -1e-30, 1000.0: 1, -1000.0: -1},
    "rsqrt": {NAN: NAN, INF: 0.0, -INF: NAN, 0.0: INF, 1.0: 1, 0.25: 2, -1.0: NAN, -1e-30: NAN},
}
# of -0.0, which is no other key than 0.0
OF_MINUS_ZERO = {
    "exp": 1,
    "log": -INF,
    "log1p": -0.0,
    "sigmoid": 0.5,
    "softplus": np.log(2),
    "tanh": -0.0,
    "rsqrt": -INF,
}


@pytest.mark.parametrize("level", [*BUILT, "reference"])
@each_dtype
@each_function
def test_special_values(level, dtype, name):
    kernels = _kernels.load(level).math
    smallest = np.finfo(dtype).smallest_subnormal
    table = [*SPECIAL[name].items(), (-0.0, OF_MINUS_ZERO[name])]
    if name in ("log", "rsqrt"):
        table.append((-smallest, NAN))
    elif name in ("log1p", "tanh"):
        table += [(smallest, smallest), (-smallest, -smallest)]
    # again and again, so that each meets whole vectors and what is left over
    x, expected = np.tile(np.array(table, dtype), (7, 1)).T.copy()
    got = applied(kernels, name, x)
    assert_array_equal(got, expected)
    numbers = ~np.isnan(expected)
    assert_array_equal(np.signbit(got[numbers]), np.signbit(expected[numbers]))


@each_level
@each_dtype
@each_function
def test_any_length_and_in_place_give_the_same_bits(level, dtype, name):
    x = np.geomspace(1e-3, 50, 300, dtype=dtype)
    expected = applied(BUILT[level], name, x)
    for n in (0, 1, 15, 16, 17, 31, 33, 257):
        assert_array_equal(applied(BUILT[level], name, x[:n].copy()), expected[:n])
    getattr(BUILT[level], name)(x, x)
    assert_array_equal(x, expected)


@pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64", reason="asks the C library of Linux for x86-64's flags"
)
@each_level
@each_dtype
def test_exp_of_what_leaves_nothing_does_not_underflow(level, dtype):
    """A product below the smallest number takes some processors a hundred cycles; each row of softmax asked for one."""
    flags, underflow, kernels = ctypes.CDLL("libm.so.6"), 0x10, BUILT[level]
    end = np.log(float(np.finfo(dtype).smallest_subnormal))
    # for SSE2 the compiler makes both ways of it for every number, and chooses: infinity alone leaves no mark there
    nothing = [-np.inf] if level == "baseline" else [-np.inf, -1e9, 2 * end, 1.2 * end]
    for x, expected in ((nothing, 0), ([end + 5], underflow)):
        x = np.repeat(np.array(x, dtype), 20)
        out = np.full_like(x, 7)
        flags.feclearexcept(underflow)
        kernels.exp(x, out)
        assert flags.fetestexcept(underflow) == expected
        assert (out == 0).all() or expected
