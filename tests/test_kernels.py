"""Every kernel on every level: against its NumPy twin, itself on other threads and levels, and mpmath."""

from __future__ import annotations

from fractions import Fraction
from functools import cache

import mpmath
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import lossopt as lo
from lossopt import _kernels

from . import cases

TWIN = _kernels.load("reference")
BUILT = {level: _kernels.load(level) for level in _kernels.available}
SIZES = (0, 1, 15, 16, 17, 31, 32, 33, 64, 65, 255, 256, 257, 10_000)
MANY = 100_003  # enough numbers to go parallel, and no multiple of a block
OUTPUTS = {True: (1, 2, 3, 10, 63, 64, 65, 300), False: (None, 1, 3, 300)}  # of losses over classes, and of others

each_level = pytest.mark.parametrize("level", BUILT)
each_dtype = pytest.mark.parametrize("dtype", [np.float64, np.float32])
# each kernel once: rows that differ in nothing but their number of outputs are one here
KERNELS = {(row.kernel, row.constants): pytest.param(row, id=label) for label, _, row in cases.walk("losses")}.values()
each_loss = pytest.mark.parametrize("row", KERNELS)
each_update = pytest.mark.parametrize(
    "row", [pytest.param(row, id=label) for label, _, row in cases.walk("optimizers")]
)
needs_both = pytest.mark.skipif(not {"x86_v3", "x86_v4"} <= BUILT.keys(), reason="needs x86_v3 and x86_v4")


def weights(rng, n, dtype):
    """Sample weights with zeros among them."""
    return (rng.integers(0, 4, n) / 2).astype(dtype)


def double(x):
    return x.astype(np.float64) if x is not None and x.dtype.kind == "f" else x


@pytest.fixture
def on_threads():
    """lo.set_num_threads, undone at the end."""
    before = lo.get_num_threads()
    yield lo.set_num_threads
    lo.set_num_threads(before)


# ---- losses


def loss_results(kernels, row, z, y, weight):
    """Everything that the doors of a family give for these rows: value, gradient and each row's value."""
    k = z.shape[1] if z.ndim == 2 else 1
    gradient, each = np.full_like(z, np.nan), np.full(len(z), np.nan, z.dtype)
    value = kernels.losses.value_and_grad(row.block(kernels), z, y, weight, gradient, k, 0.5)
    kernels.losses.pointwise(row.block(kernels), z, y, each, k)
    return np.float64(value), gradient, each


@cache
def loss_problems(row, dtype):
    """Many shapes, with and without weights, and what the twin makes of them in double."""
    rng, problems = np.random.default_rng(0), []
    for k in filter(row.takes, OUTPUTS[row.classes]):
        for n in SIZES if (k or 1) < 64 else SIZES[:-1]:
            z, y = row.draw(rng, n, dtype, k)
            for weight in (None, weights(rng, n, dtype)):
                expected = loss_results(TWIN, row, double(z), double(y), double(weight))
                problems.append((z, y, weight, expected))
    return problems


@each_level
@each_dtype
@each_loss
def test_losses_equal_their_twins(level, dtype, row):
    eps = np.finfo(dtype).eps
    for z, y, weight, expected in loss_problems(row, dtype):
        # what is left is the kernel's own error; a score of 20 less the largest is itself rounded by 8 eps, p - q twice
        close = {"rtol": 40 * eps, "atol": 16 * eps * max(1, np.abs(expected[1]).max(initial=0))}
        for one, other in zip(loss_results(BUILT[level], row, z, y, weight), expected, strict=True):
            assert_allclose(one, other, err_msg=f"{z.shape=} weighted={weight is not None}", **close)


@each_level
@each_dtype
@each_loss
def test_losses_in_place_and_value_only_give_the_same_bits(level, dtype, row):
    rng, losses = np.random.default_rng(1), BUILT[level].losses
    block = row.block(BUILT[level])
    for k in filter(row.takes, OUTPUTS[row.classes]):
        z, y = row.draw(rng, 1000, dtype, k)
        for weight in (None, weights(rng, len(z), dtype)):
            value, gradient, _ = loss_results(BUILT[level], row, z, y, weight)
            assert losses.value_and_grad(block, z, y, weight, None, k or 1, 0.5) == value
            inside = z.copy()
            assert losses.value_and_grad(block, inside, y, weight, inside, k or 1, 0.5) == value
            assert_array_equal(inside, gradient)


@needs_both
@each_dtype
@each_loss
def test_losses_give_the_same_bits_on_both_levels_with_fma(dtype, row):
    rng = np.random.default_rng(2)
    for k in filter(row.takes, OUTPUTS[row.classes]):
        z, y = row.draw(rng, 2000, dtype, k)
        for weight in (None, weights(rng, len(z), dtype)):
            pair = (loss_results(BUILT[level], row, z, y, weight) for level in ("x86_v3", "x86_v4"))
            for one, other in zip(*pair, strict=True):
                assert_array_equal(one, other, err_msg=f"{k=}")


@each_level
@each_dtype
@each_loss
def test_losses_give_the_same_bits_on_any_threads(level, dtype, row, on_threads):
    rng = np.random.default_rng(3)
    n = MANY // (row.k or 1) + 1
    z, y = row.data(rng, n, dtype)
    weight = weights(rng, n, dtype)
    on_threads(1)
    expected = loss_results(BUILT[level], row, z, y, weight)
    for threads in (2, 3, 7):
        on_threads(threads)
        for one, other in zip(loss_results(BUILT[level], row, z, y, weight), expected, strict=True):
            assert_array_equal(one, other, err_msg=f"{threads=}")


@each_level
@each_dtype
@pytest.mark.parametrize("n", SIZES)
def test_sums_and_ranges_equal_their_twins(level, dtype, n):
    losses, rng = BUILT[level].losses, np.random.default_rng(4)
    x = rng.standard_normal(n).astype(dtype)
    assert_allclose(losses.sum(x), TWIN.losses.sum(x), rtol=0, atol=1e-15 * np.abs(x).sum())
    labels = rng.integers(0, 5, n)
    assert not losses.outside(x, -10, 10)
    assert not losses.outside_labels(labels, 5)
    whole = (labels > 2).astype(dtype)
    assert not losses.outside(whole, 0, 1, True)
    for i in {0, n // 2, n - 1} if n else ():
        for odd in (-10.5, 10.5, np.inf, -np.inf):
            assert losses.outside(np.where(np.arange(n) == i, dtype(odd), x), -10, 10)
        assert not losses.outside(np.where(np.arange(n) == i, dtype(np.nan), x), -10, 10)
        for odd in (-1.0, 0.5, 2.0, np.inf, np.finfo(dtype).smallest_subnormal, 1 - np.finfo(dtype).epsneg):
            assert losses.outside(np.where(np.arange(n) == i, dtype(odd), whole), 0, 1, True)
        assert not losses.outside(np.where(np.arange(n) == i, dtype(np.nan), whole), 0, 1, True)
        for odd in (-1, 5, np.iinfo(np.int64).max, np.iinfo(np.int64).min):
            assert losses.outside_labels(np.where(np.arange(n) == i, odd, labels), 5)


@each_level
@each_dtype
def test_a_total_of_ten_million_equal_numbers_is_exact(level, dtype):
    n = 10**7
    x, kernels = np.full(n, 0.1, dtype), BUILT[level]
    arrays, square = kernels.Arrays([x], False), float(x[0] * x[0])
    loss = kernels.losses.mse()
    sums = {
        "sum": (kernels.losses.sum(x), Fraction(float(x[0]))),
        "loss": (kernels.losses.value_and_grad(loss, x, np.zeros_like(x), None, None, 1, 1.0), Fraction(square)),
        "penalty": (kernels.penalties.value(x, None, 1.0, 0.0), Fraction(float(x[0]))),
        "norm": (kernels.updates.norm(arrays) ** 2 / 2, Fraction(float(x[0])) ** 2 / 2),
    }
    for name, (total, each) in sums.items():
        # the root of the norm, squared again, is rounded twice more
        allowed = Fraction(0.5 if name != "norm" else 2) * Fraction(np.finfo(np.float64).eps)
        assert abs(Fraction(float(total)) - n * each) <= allowed * n * each, name


# ---- elementary functions, through the losses that are made of them


def mp(function, points):
    """function at each point with 40 digits, rounded once to float64; what is too small for that is 0."""
    with mpmath.workdps(40):
        return np.array([float(function(mpmath.mpf(float(x)))) for x in points])


def assert_within(ulps, got, expected):
    """ulps: units in the last place that float64 may be off; float32 may always be 4."""
    unit = np.spacing(np.abs(expected).astype(got.dtype)).astype(np.float64)
    error = np.abs(got.astype(np.float64) - expected) / unit
    assert error.max() <= (ulps if got.dtype == np.float64 else 4)


def tails(dtype):
    """Scores over the whole range, small ones of both signs, and where exp(-z) is subnormal."""
    edge = -np.log(float(np.finfo(dtype).smallest_subnormal))
    small = np.geomspace(np.finfo(dtype).smallest_subnormal, 1, 400, dtype=np.float64)
    wide = np.linspace(-800, 800, 1601)
    return np.concatenate([wide, small, -small, np.linspace(edge - 20, edge + 1, 300), [0.0, -0.0]]).astype(dtype)


@pytest.fixture(scope="module")
def softplus():
    """For each dtype: z, log(1 + exp(-z)) and 1 / (1 + exp(z))."""
    made = {}
    for dtype in (np.float64, np.float32):
        z = tails(dtype)
        made[dtype] = z, mp(lambda x: mpmath.log1p(mpmath.exp(-x)), z), mp(lambda x: 1 / (1 + mpmath.exp(x)), z)
    return made


@each_level
@each_dtype
def test_binary_cross_entropy_keeps_its_digits_everywhere(level, dtype, softplus):
    z, value, slope = softplus[dtype]
    for sign, y in ((1, np.ones_like(z)), (-1, np.zeros_like(z))):
        row = cases.Loss({}, cases.binary, "bce", (1.0, 1.0, 0.0))
        _, gradient, each = loss_results(BUILT[level], row, sign * z, y, None)
        assert_within(2, each, value)
        assert_within(3, gradient, -0.5 * sign * slope)


@each_level
@each_dtype
@pytest.mark.parametrize("k", [2, 3, 64, 65, 300])
def test_softmax_keeps_its_digits_everywhere(level, dtype, k, softplus):
    z, value, slope = softplus[dtype]
    scores = np.full((len(z), k), -np.inf, dtype)
    scores[:, k // 2], scores[:, 0] = z, 0
    row = cases.Loss({}, cases.labelled, "softmax_labels", k=k)
    _, gradient, each = loss_results(BUILT[level], row, scores, np.full(len(z), k // 2), None)
    assert_within(2, each, value)
    assert_within(3, gradient[:, k // 2], -0.5 * slope)
    assert_within(3, gradient[:, 0], 0.5 * slope)
    assert not gradient[:, [c for c in range(k) if c not in (0, k // 2)]].any()


@each_level
@each_dtype
def test_logarithms_of_probabilities_keep_their_digits(level, dtype):
    info = np.finfo(dtype)
    small = np.geomspace(info.smallest_subnormal, 0.9, 1500, dtype=np.float64).astype(dtype)
    near_one = 1 - np.arange(1, 200) * info.epsneg
    p = np.concatenate([small, 1 - small, near_one, np.linspace(0.3, 0.8, 500)]).astype(dtype)
    p = p[p < 1]
    row = cases.Loss({}, cases.probable, "bce_probability", (1.0, 0.0))
    for y, function in ((1, lambda x: -mpmath.log(x)), (0, lambda x: -mpmath.log1p(-x))):
        _, _, each = loss_results(BUILT[level], row, p, np.full_like(p, y), None)
        assert_within(2, each, mp(function, p))


# ---- linear objectives


def linear_results(kernels, row, x, y, sample_weight, weight, bias):
    """Everything that the doors of a family give: value, gradients, predictions, and the way back from a gradient."""
    n, k = len(x), len(weight)
    grad_weight, grad_bias = np.full_like(weight, np.nan), None if bias is None else np.full_like(bias, np.nan)
    rest = x, y, sample_weight, weight, bias
    value = kernels.linear.value_and_grad(row.block(kernels), *rest, grad_weight, grad_bias, 1 / (n or 1))
    alone = kernels.linear.value_and_grad(row.block(kernels), *rest, None, None, 1 / (n or 1))
    assert alone == value
    prediction = np.full((n, k), np.nan, x.dtype)
    kernels.linear.predict(x, weight, bias, prediction)
    back_weight, back_bias = np.full_like(weight, np.nan), np.full(k, np.nan, x.dtype)
    kernels.linear.gradient(x, prediction, back_weight, back_bias)
    grad_bias = np.zeros(k) if bias is None else grad_bias
    return np.float64(value), grad_weight, grad_bias, prediction, back_weight, back_bias


def linear_data(row, n, d, k, dtype, rng):
    _, y = row.draw(rng, n, dtype, k)
    x = rng.standard_normal((n, d)).astype(dtype)
    return x, y, (rng.standard_normal((k, d)) / np.sqrt(d)).astype(dtype), rng.standard_normal(k).astype(dtype)


linear_row = pytest.mark.parametrize("row", [parameters for parameters in KERNELS if parameters.values[0].scores])


@cache
def linear_problems(row, dtype, k):
    """Many shapes, with and without weights and bias, what the twin makes of them in double, and the errors allowed."""
    rng, eps, problems = np.random.default_rng(5), np.finfo(dtype).eps, []
    for d in (1, 2, 15, 16, 17, 33, 100):
        for n in (1, 3, 65, 300):
            x, y, weight, bias = linear_data(row, n, d, k, dtype, rng)
            for sample_weight, b in ((None, bias), (weights(rng, n, dtype), bias), (None, None)):
                expected = linear_results(TWIN, row, *map(double, (x, y, sample_weight, weight, b)))
                prediction = expected[3]
                each, slopes = row.block(TWIN)(prediction, double(y if k > 1 or y.ndim == 1 else y[:, None]))
                # a sum's error is measured by the sum of its terms' sizes, and that of an exponential by its exponent
                largest = max(1, np.abs(prediction).max())
                size = np.abs(x).sum(axis=0) * largest
                slope = largest * max(1, np.abs(slopes).max())
                bounds = (
                    40 * eps * max(1.0, largest * np.abs(each).sum()),
                    40 * eps * np.abs(x).sum(axis=0) * slope / n,
                    40 * eps * slope,
                    8 * eps * (np.abs(x) @ np.abs(weight).T + 3),
                    40 * eps * size,
                    40 * eps * (np.abs(prediction).sum(axis=0) + 1),
                )
                problems.append(((x, y, sample_weight, weight, b), expected, bounds))
    return problems


@each_level
@each_dtype
@linear_row
@pytest.mark.parametrize("k", [1, 3, 10, 32])
def test_linear_objectives_equal_their_twins(level, dtype, row, k):
    if not row.takes(k):
        return
    for arrays, expected, bounds in linear_problems(row, dtype, k):
        got = linear_results(BUILT[level], row, *arrays)
        for i, (one, other, bound) in enumerate(zip(got, expected, bounds, strict=True)):
            assert (np.abs(one - other) <= bound).all(), f"{i=} {arrays[0].shape=}"


@pytest.mark.parametrize("level", [*BUILT, "reference"])
@each_dtype
@linear_row
def test_linear_objectives_of_no_rows_are_zero(level, dtype, row):
    x, y, weight, bias = linear_data(row, 0, 4, 3, dtype, np.random.default_rng(5))
    for result in linear_results(_kernels.load(level), row, x, y, None, weight, bias):
        assert not result.any()


@each_level
@each_dtype
@linear_row
@pytest.mark.parametrize("k", [1, 3])
def test_rows_of_weight_zero_are_no_rows_whatever_they_hold(level, dtype, row, k):
    if not row.takes(k):
        return
    x, y, weight, bias = linear_data(row, 301, 17, k, dtype, np.random.default_rng(12))
    gone = np.arange(301) % 3 == 0
    sample_weight = np.where(gone, 0, 1.5).astype(dtype)
    x[gone] = np.nan
    if y.dtype.kind == "f":
        y[gone] = np.nan
    got = [np.zeros_like(weight), np.zeros_like(bias)]
    expected = [np.zeros_like(weight), np.zeros_like(bias)]
    linear, block = BUILT[level].linear, row.block(BUILT[level])
    value = linear.value_and_grad(block, x, y, sample_weight, weight, bias, *got, 0.5)
    rest = (np.ascontiguousarray(array[~gone]) for array in (x, y, sample_weight))
    assert_allclose(value, linear.value_and_grad(block, *rest, weight, bias, *expected, 0.5), rtol=1e-14)
    for one, other in zip(got, expected, strict=True):
        assert_allclose(one, other, rtol=100 * np.finfo(dtype).eps, atol=2000 * np.finfo(dtype).eps)


@needs_both
@each_dtype
@linear_row
def test_linear_objectives_give_the_same_bits_on_both_levels_with_fma(dtype, row):
    rng = np.random.default_rng(6)
    for d in (1, 7, 16, 33, 100):
        for k in filter(row.takes, (1, 3, 32)):
            x, y, weight, bias = linear_data(row, 777, d, k, dtype, rng)
            sample_weight = weights(rng, 777, dtype)
            pair = (BUILT["x86_v3"], BUILT["x86_v4"])
            pair = (linear_results(kernels, row, x, y, sample_weight, weight, bias) for kernels in pair)
            for one, other in zip(*pair, strict=True):
                assert_array_equal(one, other, err_msg=f"{d=} {k=}")


@each_level
@each_dtype
@linear_row
def test_linear_objectives_give_the_same_bits_on_any_threads(level, dtype, row, on_threads):
    rng = np.random.default_rng(7)
    for n, d, k in ((20_011, 17, 1), (5003, 9, 3)):
        x, y, weight, bias = linear_data(row, n, d, k, dtype, rng)
        sample_weight = weights(rng, n, dtype)
        on_threads(1)
        expected = linear_results(BUILT[level], row, x, y, sample_weight, weight, bias)
        for threads in (2, 3, 7):
            on_threads(threads)
            got = linear_results(BUILT[level], row, x, y, sample_weight, weight, bias)
            for one, other in zip(got, expected, strict=True):
                assert_array_equal(one, other, err_msg=f"{threads=} {n=}")


# ---- activations

ACTIVATIONS = ("identity", "relu", "tanh", "sigmoid")
each_activation = pytest.mark.parametrize("name", ACTIVATIONS)
SHAPES = ((0, 3), (1, 1), (7, 1), (33, 3), (5, 16), (3, 255), (2, 257), (4, 600), (100, 10))


def layer(rng, n, k, dtype):
    """Sums of a layer, a bias, and the gradient of what it will make; zeros of both signs among the sums."""
    z, g = rng.standard_normal((2, n, k))
    z[rng.random((n, k)) < 0.1], bias = -0.0, np.where(np.arange(k) % 3 == 0, 0, rng.standard_normal(k))
    return z.astype(dtype), bias.astype(dtype), g.astype(dtype)


def activated(kernels, name, z, bias, g, p, key):
    """Values, gradient and the bias's gradient."""
    value, gradient, grad_bias = z.copy(), g.copy(), np.full_like(bias, np.nan)
    getattr(kernels.activations, name)(value, bias, p, key)
    getattr(kernels.activations, f"{name}_back")(value, gradient, grad_bias, p, key)
    return value, gradient, grad_bias


@each_level
@each_dtype
@each_activation
@pytest.mark.parametrize("p", [0.0, 0.3])
def test_activations_equal_their_twins(level, dtype, name, p):
    rng, eps = np.random.default_rng(14), np.finfo(dtype).eps
    for n, k in SHAPES:
        arrays = layer(rng, n, k, dtype)
        got = activated(BUILT[level], name, *arrays, p, 2**64 - 5)
        expected = activated(TWIN, name, *arrays, p, 2**64 - 5)
        for one, other in zip(got[:2], expected[:2], strict=True):
            if name in ("identity", "relu"):
                assert_array_equal(one, other)
            assert_allclose(one, other, rtol=0, atol=20 * eps)
            assert_array_equal(one == 0, other == 0)
        # as many numbers as one would add up in double
        assert_allclose(got[2], got[1].sum(axis=0, dtype=np.float64), rtol=eps, atol=1e-13)


@each_level
@each_dtype
def test_column_sums_equal_their_twins(level, dtype):
    rng, activations = np.random.default_rng(15), BUILT[level].activations
    for n, k in SHAPES:
        _, bias, g = layer(rng, n, k, dtype)
        sums, before = np.full_like(bias, np.nan), g.copy()
        activations.column_sums(g, sums)
        assert_array_equal(g, before)
        assert_allclose(sums, g.sum(axis=0, dtype=np.float64), rtol=np.finfo(dtype).eps, atol=1e-13)


@needs_both
@each_dtype
@each_activation
@pytest.mark.parametrize("p", [0.0, 0.5])
def test_activations_give_the_same_bits_on_both_levels_with_fma(dtype, name, p):
    rng = np.random.default_rng(16)
    for n, k in SHAPES:
        arrays = layer(rng, n, k, dtype)
        pair = (activated(BUILT[level], name, *arrays, p, 7) for level in ("x86_v3", "x86_v4"))
        for one, other in zip(*pair, strict=True):
            assert_array_equal(one, other)


@pytest.mark.parametrize("level", [*BUILT, "reference"])
@each_dtype
@each_activation
def test_activations_hand_on_what_is_not_finite(level, dtype, name):
    z = np.tile(np.array([[np.nan, np.inf, -np.inf]], dtype), (20, 1))
    value, gradient, _ = activated(_kernels.load(level), name, z, np.zeros(3, dtype), np.ones_like(z), 0.0, 0)
    most, least = {"identity": (np.inf, -np.inf), "relu": (np.inf, 0), "tanh": (1, -1), "sigmoid": (1, 0)}[name]
    assert_array_equal(value, np.tile(np.array([[np.nan, most, least]], dtype), (20, 1)))
    assert_array_equal(gradient[:, 1:], np.tile([[name in ("identity", "relu"), name == "identity"]], (20, 1)))
    assert name in ("identity", "relu") or np.isnan(gradient[:, 0]).all()


@each_level
@each_dtype
def test_dropout_is_the_documented_one(level, dtype):
    """SplitMix64 in Python's integers: the same numbers on every level, in both precisions and directions."""
    golden, most = 0x9E3779B97F4A7C15, 2**64 - 1

    def mixed(x):
        x = x & most
        x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & most
        x = (x ^ x >> 27) * 0x94D049BB133111EB & most
        return x ^ x >> 31

    for key in (0, 1, 2**63, BUILT[level].activations.stream(3, 2, 1)):
        for p in (0.1, 0.5, 0.999):
            ones = np.ones((11, 47), dtype)
            value, gradient, _ = activated(BUILT[level], "relu", ones, np.zeros(47, dtype), ones, p, key)
            uniform = [(mixed(key + (i + 1) * golden) >> 12) * 2.0**-52 for i in range(11 * 47)]
            want = np.where(np.reshape(uniform, (11, 47)) < p, 0, dtype(1 / (1 - p)))
            assert_array_equal(value, want)
            assert_array_equal(gradient, want)
    key = mixed(mixed(mixed(3 + golden) + 2 + golden) + 1 + golden)
    assert BUILT[level].activations.stream(3, 2, 1) == TWIN.activations.stream(3, 2, 1) == key


# ---- penalties


def special(rng, n, dtype):
    """Numbers with zeros of both signs, and some below any threshold, among them."""
    x = rng.standard_normal(n).astype(dtype)
    x[::5], x[1::7], x[2::11] = 0.0, -0.0, 1e-6
    return x


@each_level
@each_dtype
@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize(("l1", "l2"), [(0.3, 0.0), (0.0, 0.3), (0.125, 0.375), (0.0, 0.0)])
@pytest.mark.parametrize("factored", [False, True])
def test_penalties_equal_their_twins_to_the_bit(level, dtype, n, l1, l2, factored):
    rng, penalties = np.random.default_rng(8), BUILT[level].penalties
    w, gradient = special(rng, n, dtype), special(rng, n, dtype)
    factors = rng.exponential(size=n).astype(dtype) if factored else None
    assert_allclose(penalties.value(w, factors, l1, l2), TWIN.penalties.value(w, factors, l1, l2), rtol=1e-15)
    got, expected = gradient.copy(), gradient.copy()
    penalties.add_grad(w, factors, got, l1, l2)
    TWIN.penalties.add_grad(w, factors, expected, l1, l2)
    assert_array_equal(got, expected)
    got, expected = w.copy(), w.copy()
    penalties.prox(got, factors, l1, l2)
    TWIN.penalties.prox(expected, factors, l1, l2)
    assert_array_equal(got, expected)
    assert not np.signbit(got[got == 0]).any()


@needs_both
@each_dtype
def test_sums_give_the_same_bits_on_both_levels_with_fma(dtype):
    x = np.random.default_rng(9).standard_normal(MANY).astype(dtype)
    v3, v4 = (
        (
            BUILT[level].losses.sum(x),
            BUILT[level].penalties.value(x, None, 0.3, 0.7),
            BUILT[level].updates.norm(BUILT[level].Arrays([x, x[:99]], False)),
        )
        for level in ("x86_v3", "x86_v4")
    )
    assert v3 == v4


# ---- updates


def stepped(kernels, row, dtype, sizes, l1=0.0, l2=0.0, scale=1.0, clip=np.inf, steps=5):
    """Parameters and state after some steps on gradients that depend on nothing but the seed."""
    rng = np.random.default_rng(10)
    params = [special(rng, n, dtype) for n in sizes]
    state = [np.zeros_like(w) for w in params for _ in range(row.state)]
    update = getattr(kernels.updates, row.kernel)()
    for t in range(1, steps + 1):
        grads = [special(rng, n, dtype) * dtype(10.0 ** (t - 3)) for n in sizes]
        held = kernels.Arrays(params, True), kernels.Arrays(grads, False), kernels.Arrays(state, True)
        # every other array is not penalized
        settings, which = ((*row.hyper, l1, l2), (*row.hyper, 0.0, 0.0)), np.arange(len(sizes)) % 2
        kernels.updates.step(update, *held, settings, which, t, scale, clip)
    return params + state


UPDATED = (1, 17, 0, 256, 5003)
FOLDED = {
    "plain": {},
    "norm": {"scale": 0.3},
    "clip": {"clip": 0.25},
    "l1": {"l1": 0.3},
    "l2": {"l2": 0.2},
    "all": {"l1": 0.1, "l2": 0.2, "scale": 0.7, "clip": 0.5},
}


@cache
def twin_stepped(row, dtype, folded):
    return stepped(TWIN, row, dtype, UPDATED, **FOLDED[folded])


@each_level
@each_dtype
@each_update
@pytest.mark.parametrize("folded", FOLDED)
def test_updates_equal_their_twins_to_the_bit(level, dtype, row, folded):
    if "l1" in FOLDED[folded] and not row.sparse:
        return
    got = stepped(BUILT[level], row, dtype, UPDATED, **FOLDED[folded])
    for i, (one, other) in enumerate(zip(got, twin_stepped(row, dtype, folded), strict=True)):
        if row.exact:
            assert_array_equal(one, other, err_msg=f"array {i}")
        else:
            # sums in another order, or a power by another library
            tolerance = 10**4 * np.finfo(dtype).eps
            assert_allclose(one, other, err_msg=f"array {i}", rtol=tolerance, atol=tolerance)
    if "l1" in FOLDED[folded]:
        assert (got[4] == 0).any()
        assert not np.signbit(got[4][got[4] == 0]).any()


def all_but_halfway(divisor):
    """Numerators whose quotients by an odd integer of 53 bits come nearest to the middle between two numbers."""
    inverse = pow(divisor, -1, 2**54)
    for rest in range(-2001, 2002, 2):
        middle = rest * inverse % 2**54
        if middle >= 2**53:
            numerator, none = divmod(divisor * middle - rest, 2**54)
            assert none == 0
            yield numerator


# beside a power of two, where a reciprocal by multiply-add rounds the wrong way, and whatever
DIVISORS = (
    *(2**53 - k for k in (1, 3, 5, 7, 9, 2**20 + 1, 2**21 - 1, 2**21 + 1, 2**22 + 1)),
    *(2**52 + k for k in (1, 3, 5)),
    *np.random.default_rng(12).integers(2**51, 2**52, 50) * 2 + 1,
)


@each_level
@pytest.mark.parametrize("power", [-80, -52, 300, 700, 971, -480, -1000, -1100])
def test_adams_quotients_are_correctly_rounded(level, power):
    kernels = BUILT[level]
    rng = np.random.default_rng(13)
    for divisor in map(int, DIVISORS):
        hard = np.array([*all_but_halfway(divisor)], np.float64)
        numerators = np.ldexp(np.concatenate([hard, rng.uniform(2**51, 2**53, 4096 - len(hard))]), min(power, 960))
        # those that must go to the divider, in either half alone of what is divided together
        numerators[::16] = rng.choice([0.0, -0.0, 1e-300, 3e-307, 1.7e308, -np.inf], len(numerators[::16]))
        numerators = np.concatenate([numerators, np.roll(numerators, 8)])
        eps = np.ldexp(float(divisor), power)
        # a second moment of zero leaves eps alone to divide by; the first is halved, and doubled by a step of 2
        w, g, mean, square = (np.zeros_like(numerators) for _ in range(4))
        mean[:], w[:], g[:] = numerators, -0.0, -0.0
        held = (kernels.Arrays(x, y) for x, y in (([w], True), ([g], False), ([mean, square], True)))
        settings = ((1.0, 0.5, 0.5, eps, 0.0, 0.0, 0.0, 0.0),)
        kernels.updates.step(kernels.updates.adam_update(), *held, settings, np.zeros(1, np.int64), 1, 1.0, np.inf)
        with np.errstate(all="ignore"):
            # a first moment below the smallest normal number is kept as zero
            moment = np.where(np.abs(0.5 * numerators) < np.finfo(np.float64).tiny, 0.0, 0.5 * numerators)
            expected = -0.0 - moment * 2.0 / max(eps, 2 * np.finfo(np.float64).tiny)
        assert_array_equal(w, expected, err_msg=f"{divisor=}")
        assert_array_equal(np.signbit(w), np.signbit(expected), err_msg=f"{divisor=}")


@each_level
@each_update
def test_updates_give_the_same_bits_on_any_threads(level, row, on_threads):
    on_threads(1)
    expected = stepped(BUILT[level], row, np.float64, (MANY, 5), **FOLDED["all"])
    for threads in (2, 3, 7):
        on_threads(threads)
        got = stepped(BUILT[level], row, np.float64, (MANY, 5), **FOLDED["all"])
        for one, other in zip(got, expected, strict=True):
            assert_array_equal(one, other, err_msg=f"{threads=}")


@each_level
@each_dtype
def test_norm_equals_its_twin(level, dtype):
    rng = np.random.default_rng(11)
    arrays = [rng.standard_normal(n).astype(dtype) for n in SIZES]
    norm = BUILT[level].updates.norm(BUILT[level].Arrays(arrays, False))
    assert_allclose(norm, TWIN.updates.norm(arrays), rtol=1e-15)
    assert BUILT[level].updates.norm(BUILT[level].Arrays([], False)) == 0


@each_level
def test_no_level_turns_subnormals_off(level):
    stepped(BUILT[level], cases.OPTIMIZERS["adam"][0], np.float64, (100_000,))
    assert np.float64(5e-324) * np.float64(1.0) != 0
    assert np.float32(1e-45) * np.float32(1.0) != 0
