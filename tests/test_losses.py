"""Losses: golden numbers, outside judges, what rows and weights mean, what may come in, and what may not."""

from __future__ import annotations

import array
import copy
import math
import pickle
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit, log_expit, log_softmax, softmax
from sklearn._loss import HalfBinomialLoss, HalfMultinomialLoss, HalfSquaredError
from sklearn.metrics import log_loss, mean_squared_error

import lossopt as lo
from lossopt import _kernels

from . import cases

TWIN = _kernels.load("reference")
INF, NAN = np.inf, np.nan

each_row = pytest.mark.parametrize(
    ("cls", "row"), [pytest.param(cls, row, id=label) for label, cls, row in cases.walk("losses")]
)
each_dtype = pytest.mark.parametrize("dtype", [np.float64, np.float32])


def problem(row, n=50, dtype=np.float64, seed=0):
    """Predictions, targets, and weights of at least 1/2."""
    rng = np.random.default_rng(seed)
    return *row.data(rng, n, dtype), (rng.integers(1, 6, n) / 2).astype(dtype)


def labels(x):
    return repr(x) if isinstance(x, lo.Loss) else x if isinstance(x, str) else ""


def outputs(z):
    return z.shape[1] if z.ndim == 2 else 1


# ---- golden numbers

GOLDEN = [
    # an error of 10 counts 100, an error of 1 counts 1; with k outputs the mean is over all numbers
    (lo.MSE(), [10, 1], [0, 0], 50.5, [10, 1]),
    (lo.MSE(reduction="sum"), [10, 1], [0, 0], 101, [20, 2]),
    (lo.MSE(), [[1, 2], [3, 4]], [[0, 0], [0, 0]], 7.5, [[0.5, 1], [1.5, 2]]),
    # probabilities: surprise in nats
    (lo.BinaryCrossEntropy(from_logits=False), [0.9], [1], 0.105360516, [-1 / 0.9]),
    (lo.BinaryCrossEntropy(from_logits=False), [0.1], [1], 2.302585093, [-10]),
    (lo.BinaryCrossEntropy(from_logits=False), [0.1, 0.9], [0, 0], 1.2039728, [1 / 1.8, 5]),
    # 0 log 0 is 0, and a certain mistake is infinite, not clipped
    (lo.BinaryCrossEntropy(from_logits=False), [0, 1], [0, 1], 0, [0.5, -0.5]),
    (lo.BinaryCrossEntropy(from_logits=False), [0], [1], INF, [-INF]),
    (lo.BinaryCrossEntropy(from_logits=False), [1], [0], INF, [INF]),
    # scores
    (lo.BinaryCrossEntropy(), [0, 0], [0, 1], math.log(2), [0.25, -0.25]),
    (lo.BinaryCrossEntropy(pos_weight=3), [0.3, -1.2], [1, 0], 0.9631740, [-1.5 * expit(-0.3), 0.5 * expit(-1.2)]),
    (lo.BinaryCrossEntropy(pos_weight=0), [3, 0], [1, 0], math.log(2) / 2, [0, 0.25]),
    (lo.BinaryCrossEntropy(label_smoothing=0.2), [0], [1], math.log(2), [-0.4]),
    (lo.BinaryCrossEntropy(), [40], [1], math.exp(-40), [-math.exp(-40)]),
    (lo.BinaryCrossEntropy(), [700], [1], math.exp(-700), [-math.exp(-700)]),
    # classes
    (lo.CrossEntropy(), [[0, 0, 0]], [2], math.log(3), [[1 / 3, 1 / 3, -2 / 3]]),
    (lo.CrossEntropy(), [[-INF, 0, 1]], [1], 1.3132617, [[0, -0.7310586, 0.7310586]]),
    (lo.CrossEntropy(), [[0, 0]], [[0.3, 0.7]], math.log(2), [[0.2, -0.2]]),
    (lo.CrossEntropy(), [[-INF, 0, 0]], [[0, 0.5, 0.5]], math.log(2), [[0, 0, 0]]),
    (lo.CrossEntropy(), [[40, 0]], [0], math.exp(-40), [[-math.exp(-40), math.exp(-40)]]),
]

EXACT = [
    (lo.BinaryCrossEntropy(), [-1000], [1], 1000, [-1]),
    (lo.BinaryCrossEntropy(), [1000], [0], 1000, [1]),
    (lo.BinaryCrossEntropy(), [1000, -1000], [1, 0], 0, [0, 0]),
    (lo.BinaryCrossEntropy(), [-INF], [1], INF, [-1]),
    (lo.BinaryCrossEntropy(), [INF], [0], INF, [1]),
    (lo.BinaryCrossEntropy(), [NAN], [1], NAN, [NAN]),
    (lo.BinaryCrossEntropy(), [NAN, 1000], [1, 0], NAN, [NAN, 0.5]),
    (lo.CrossEntropy(), [[1e4, -1e4, 0]], [1], 20000, [[1, -1, 0]]),
    (lo.CrossEntropy(), [[1000, -1000]], [0], 0, [[0, 0]]),
    (lo.CrossEntropy(), [[-1000, 1000]], [0], 2000, [[-1, 1]]),
    (lo.CrossEntropy(), [[-INF, 0]], [0], INF, [[-1, 1]]),
    (lo.CrossEntropy(), [[-INF, 0]], [1], 0, [[0, 0]]),
    (lo.CrossEntropy(), [[-INF, -INF]], [1], NAN, [[NAN, NAN]]),
    (lo.CrossEntropy(), [[1, NAN], [0, -1000]], [0, 1], NAN, [[NAN, NAN], [0.5, -0.5]]),
    (lo.CrossEntropy(), [[INF, 0], [0, -1000]], [0, 1], NAN, [[NAN, NAN], [0.5, -0.5]]),
    (lo.CrossEntropy(), [[INF, 0], [0, -1000]], [1, 1], NAN, [[NAN, NAN], [0.5, -0.5]]),
    (lo.CrossEntropy(), [[INF, 0]], [[0.5, 0.5]], NAN, [[NAN, NAN]]),
    (lo.CrossEntropy(), [[3.0]], [0], 0, [[0]]),
    (lo.MSE(), [INF, 0], [0, 0], INF, [INF, 0]),
    (lo.MSE(), [NAN, 0], [0, 0], NAN, [NAN, 0]),
]


@pytest.mark.parametrize(("loss", "z", "y", "value", "gradient"), GOLDEN, ids=labels)
def test_golden_numbers(loss, z, y, value, gradient):
    got = loss.value_and_grad(z, y)
    assert got[0] == loss(z, y)
    assert_allclose(got[0], value, rtol=2e-7)
    assert_allclose(got[1], gradient, rtol=2e-7, atol=1e-15)


@each_dtype
@pytest.mark.parametrize(("loss", "z", "y", "value", "gradient"), EXACT, ids=labels)
def test_extreme_scores_are_exact(loss, z, y, value, gradient, dtype):
    z, y, gradient = np.array(z, dtype), np.array(y), np.array(gradient, dtype)
    problems = [(z, y, gradient)]
    if isinstance(loss, lo.CrossEntropy):
        # more classes that are ruled out change nothing, but their number decides how softmax goes about it
        wide = [(0, 0), (0, 100)]
        widened = np.where(np.isnan(gradient).any(axis=1, keepdims=True), NAN, np.pad(gradient, wide))
        problems.append((np.pad(z, wide, constant_values=-INF), np.pad(y, wide) if y.ndim == 2 else y, widened))
    for z, y, gradient in problems:
        got = loss.value_and_grad(z, y)
        assert_array_equal(got[0], value)
        assert_array_equal(got[1], gradient)
        assert got[1].dtype == dtype


# ---- judges: torch, scikit-learn, scipy


def torch_rows(loss, z, y):
    """torch's value of each number, or of each row of classes."""
    import torch.nn.functional as F  # noqa: N812

    if isinstance(loss, lo.MSE):
        return F.mse_loss(z, y, reduction="none")
    if isinstance(loss, lo.CrossEntropy):
        return F.cross_entropy(z, y, reduction="none", label_smoothing=loss.label_smoothing)
    if not isinstance(loss, lo.BinaryCrossEntropy):
        pytest.skip("torch has no such loss")
    y = y * (1 - loss.label_smoothing) + loss.label_smoothing / 2
    positive = z.new_tensor(1.0 if loss.pos_weight is None else loss.pos_weight)
    if loss.from_logits:
        return F.binary_cross_entropy_with_logits(z, y, pos_weight=positive, reduction="none")
    ones, zeros = (F.binary_cross_entropy(z, z.new_full(z.shape, x), reduction="none") for x in (1.0, 0.0))
    return positive * y * ones + (1 - y) * zeros


@each_dtype
@each_row
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_values_and_gradients_are_torchs(cls, row, dtype, weighted, reduction):
    torch = pytest.importorskip("torch")
    loss = row.make(cls, reduction=reduction)
    z, y, weight = problem(row, 1000, dtype)
    weight = weight if weighted else None
    leaf = torch.tensor(z, requires_grad=True)
    values = torch_rows(loss, leaf, torch.tensor(y))
    factor = torch.ones(len(z), dtype=leaf.dtype) if weight is None else torch.tensor(weight)
    expected = (values.reshape(len(z), -1).sum(dim=1) * factor).sum()
    if reduction == "mean":
        expected = expected / (factor.sum() * (values.numel() // len(z)))
    expected.backward()
    value, gradient = loss.value_and_grad(z, y, weight)
    tolerance = 1e-12 if dtype is np.float64 else 1e-5
    assert abs(value - expected.item()) <= tolerance * max(1, abs(value))
    assert (np.abs(gradient - leaf.grad.numpy()) <= tolerance * np.maximum(1, np.abs(gradient))).all()


@each_dtype
@pytest.mark.parametrize(
    ("loss", "judge", "row"),
    [
        (lo.MSE(reduction="sum"), (HalfSquaredError(), 2), cases.LOSSES["mse"][0]),
        (lo.BinaryCrossEntropy(reduction="sum"), (HalfBinomialLoss(), 1), cases.LOSSES["binary_cross_entropy"][0]),
        (lo.CrossEntropy(reduction="sum"), (HalfMultinomialLoss(n_classes=3), 1), cases.LOSSES["cross_entropy"][0]),
    ],
    ids=["mse", "bce", "ce"],
)
def test_values_and_gradients_are_scikit_learns(loss, judge, row, dtype):
    z, y, weight = problem(row, 1000, dtype)
    half, factor = judge
    values, gradients = half.loss_gradient(y_true=y.astype(dtype), raw_prediction=z, sample_weight=weight)
    value, gradient = loss.value_and_grad(z, y, weight)
    tolerance = {"rtol": 1e-12, "atol": 1e-12} if dtype is np.float64 else {"rtol": 1e-5, "atol": 1e-5}
    assert_allclose(value, factor * values.sum(dtype=np.float64), **tolerance)
    assert_allclose(gradient, factor * gradients, **tolerance)


def test_means_are_scikit_learns_metrics():
    rng = np.random.default_rng(0)
    weight, p, binary = rng.uniform(0.1, 2, 300), rng.uniform(0.01, 0.99, 300), rng.integers(0, 2, 300)
    scores, targets, labels = rng.standard_normal((300, 4)), rng.standard_normal((300, 4)), rng.integers(0, 4, 300)
    for loss, z, y, judge, seen in (
        (lo.BinaryCrossEntropy(from_logits=False), p, binary, log_loss, p),
        (lo.CrossEntropy(), scores, labels, log_loss, softmax(scores, axis=1)),
        (lo.MSE(), scores, targets, mean_squared_error, scores),
    ):
        assert_allclose(loss(z, y, weight), judge(y, seen, sample_weight=weight), rtol=1e-13)


def test_values_are_scipys_over_the_whole_range():
    z = np.linspace(-800, 800, 3201)
    binary = lo.BinaryCrossEntropy(reduction="sum")
    for y, sign in ((np.ones_like(z), 1), (np.zeros_like(z), -1)):
        assert_allclose(binary.pointwise(z, y), -log_expit(sign * z), rtol=1e-14)
        assert_allclose(binary.value_and_grad(z, y)[1], -sign * expit(-sign * z), rtol=1e-13, atol=1e-305)
    scores = np.random.default_rng(0).standard_normal((500, 7)) * np.geomspace(0.01, 300, 500)[:, None]
    labels = np.arange(500) % 7
    expected = -log_softmax(scores, axis=1)[range(500), labels]
    assert_allclose(lo.CrossEntropy().pointwise(scores, labels), expected, rtol=1e-14, atol=1e-15)


@each_row
@pytest.mark.parametrize("weighted", [False, True])
def test_gradients_are_the_slopes_of_the_value(cls, row, weighted):
    loss = row.make(cls)
    z, y, weight = problem(row, 6)
    weight = weight if weighted else None
    value, gradient = loss.value_and_grad(z, y, weight)
    h = 1e-5
    for i in np.ndindex(z.shape):
        up, down = z.copy(), z.copy()
        up[i] += h
        down[i] -= h
        right, left = (loss(up, y, weight) - value) / h, (value - loss(down, y, weight)) / h
        if row.smooth:
            assert gradient[i] == pytest.approx((left + right) / 2, rel=1e-6, abs=1e-8)
        assert min(left, right) - 1e-8 <= gradient[i] <= max(left, right) + 1e-8


# ---- rows, weights and reductions


@each_dtype
@each_row
def test_weight_zero_is_the_row_removed_whatever_it_holds(cls, row, dtype):
    loss = row.make(cls)
    z, y, weight = problem(row, 301, dtype)
    gone = np.arange(301) % 3 == 1
    z[gone], weight[gone] = np.nan, 0
    if y.dtype.kind == "f":
        y[gone] = np.nan
    value, gradient = loss.value_and_grad(z, y, weight)
    alone, expected = loss.value_and_grad(z[~gone], y[~gone], weight[~gone])
    assert_allclose(value, alone, rtol=1e-14)
    assert_array_equal(gradient[~gone], expected)
    assert_array_equal(gradient[gone], 0)
    assert value == loss(z, y, weight)


@each_dtype
@each_row
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_weight_two_is_the_row_twice(cls, row, dtype, reduction):
    loss = row.make(cls, reduction=reduction)
    z, y, _ = problem(row, 100, dtype)
    times = np.random.default_rng(1).integers(1, 4, 100)
    value, gradient = loss.value_and_grad(z, y, times)
    again, parts = loss.value_and_grad(np.repeat(z, times, axis=0), np.repeat(y, times, axis=0))
    assert_allclose(value, again, rtol=1e-14)
    expected = np.add.reduceat(parts, np.cumsum(times) - times)
    assert_allclose(gradient, expected, rtol=4 * np.finfo(dtype).eps)


@each_row
def test_only_proportions_of_weights_count_in_a_mean(cls, row):
    z, y, weight = problem(row)
    one, eight = (row.make(cls).value_and_grad(z, y, w) for w in (weight, 8 * weight))
    assert_allclose(one[0], eight[0], rtol=1e-15)
    assert_array_equal(one[1], eight[1])
    unweighted, ones = (row.make(cls).value_and_grad(z, y, w) for w in (None, np.ones(len(z))))
    assert unweighted[0] == ones[0]
    assert_array_equal(unweighted[1], ones[1])


@each_dtype
@each_row
def test_mean_sum_and_pointwise_agree(cls, row, dtype):
    mean, total = row.make(cls), row.make(cls, reduction="sum")
    z, y, weight = problem(row, 300, dtype)
    terms = 1 if row.classes else outputs(z)
    rtol = 1e-14 if dtype is np.float64 else 1e-6
    each = mean.pointwise(z, y)
    assert each.shape == (300,)
    assert each.dtype == dtype
    assert_array_equal(each, total.pointwise(z, y))
    assert_allclose(mean(z, y), each.mean(dtype=np.float64), rtol=rtol)
    assert_allclose(mean(z, y, weight), np.average(each.astype(np.float64), weights=weight), rtol=rtol)
    assert_allclose(total(z, y, weight), (terms * each.astype(np.float64) * weight).sum(), rtol=rtol)
    for w, mass in ((None, 300), (weight, float(weight.sum()))):
        assert_allclose(total(z, y, w), mean(z, y, w) * terms * mass, rtol=1e-14)
        gradients = (loss.value_and_grad(z, y, w)[1] for loss in (total, mean))
        assert_allclose(next(gradients), next(gradients) * dtype(terms * mass), rtol=4 * np.finfo(dtype).eps)


@each_dtype
@each_row
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_no_rows_and_no_weight(cls, row, dtype, reduction):
    loss = row.make(cls, reduction=reduction)
    z, y, weight = problem(row, 5, dtype)
    for rows, w in ((slice(0), None), (slice(0), weight[:0]), (slice(5), np.zeros(5))):
        value, gradient = loss.value_and_grad(z[rows], y[rows], w)
        assert value == loss(z[rows], y[rows], w) == 0.0
        assert_array_equal(gradient, np.zeros_like(z[rows]))
        assert gradient.dtype == dtype
    assert loss.pointwise(z[:0], y[:0]).shape == (0,)


@each_row
def test_a_row_is_the_same_alone(cls, row):
    loss = row.make(cls, reduction="sum")
    z, y, weight = problem(row, 40)
    each, gradient = loss.pointwise(z, y), loss.value_and_grad(z, y, weight)[1]
    for i in range(40):
        one = slice(i, i + 1)
        assert loss.pointwise(z[one], y[one])[0] == each[i]
        assert_array_equal(loss.value_and_grad(z[one], y[one], weight[one])[1], gradient[one])


@each_dtype
@each_row
def test_pickles_and_copies_compute_the_same(cls, row, dtype):
    loss = row.make(cls)
    z, y, weight = problem(row, 30, dtype)
    for other in (pickle.loads(pickle.dumps(loss)), copy.deepcopy(loss), copy.copy(loss)):
        assert other(z, y, weight) == loss(z, y, weight)
        assert_array_equal(other.value_and_grad(z, y)[1], loss.value_and_grad(z, y)[1])


# ---- what may come in


def frozen(x, folder):
    x = x.copy()
    x.flags.writeable = False
    return x


def mapped(x, folder):
    path = folder / f"{id(x)}.bin"
    np.memmap(path, x.dtype, "w+", shape=x.shape)[...] = x
    return np.memmap(path, x.dtype, "r", shape=x.shape)


LAYOUTS = {
    "strided": lambda x, folder: np.repeat(x, 2, axis=0)[::2],
    "backwards": lambda x, folder: x[::-1].copy()[::-1],
    "fortran": lambda x, folder: np.asfortranarray(x),
    "columns": lambda x, folder: np.repeat(x, 2, axis=-1)[..., ::2],
    "big-endian": lambda x, folder: x.astype(x.dtype.newbyteorder(">")),
    "misaligned": lambda x, folder: np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view(x.dtype).reshape(x.shape),
    "read-only": frozen,
    "memory-mapped": mapped,
}


@each_dtype
@each_row
@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_layout_gives_the_same_bits(cls, row, dtype, layout, tmp_path):
    loss, arrays = row.make(cls), problem(row, 40, dtype)
    value, gradient = loss.value_and_grad(*arrays)
    other = [LAYOUTS[layout](x, tmp_path) for x in arrays]
    again, same = loss.value_and_grad(*other)
    assert again == value == loss(*other)
    assert_array_equal(same, gradient)
    assert same.dtype == dtype
    assert same.flags.c_contiguous
    assert_array_equal(loss.pointwise(*other[:2]), loss.pointwise(*arrays[:2]))
    for one, two in zip(arrays, other, strict=True):
        assert_array_equal(one, two)


@each_dtype
@each_row
def test_arrays_that_are_right_as_they_are_go_in_one_call(cls, row, dtype, monkeypatch):
    """The careful way costs ten times as much on a few numbers; both give the same bits."""
    z, y, _ = problem(row, dtype=dtype)
    loss, out = row.make(cls), np.full_like(z, NAN)
    total, gradient, mass = loss._run(z, y, None, np.empty_like(z))
    if loss._direct is not None and z.ndim <= loss._direct[-1] and not (row.classes and y.ndim == 2):
        monkeypatch.setattr(cls, "_run", None)
    value, got = loss.value_and_grad(z, y, out=out)
    assert value == loss(z, y) == loss._reduce(total, mass)
    assert got is out
    assert_array_equal(out, gradient)
    assert_array_equal(loss.value_and_grad(z, y)[1], gradient)


@each_row
@pytest.mark.parametrize("kind", ["V0", "S0", "V8", "M8[s]", "O"])
def test_what_holds_no_numbers_is_refused_in_a_sentence(cls, row, kind):
    """Items may have no size: nothing may be divided by it."""
    z, y, _ = problem(row, 3)
    bad = np.full(z.shape, None, object).astype(kind) if kind in ("O", "M8[s]") else np.zeros(z.shape, kind)
    with pytest.raises(TypeError, match="prediction"):
        row.make(cls)(bad, y)
    with pytest.raises(TypeError, match="target"):
        row.make(cls)(z, bad)


@each_row
def test_lists_are_arrays_of_float64(cls, row):
    loss, arrays = row.make(cls), problem(row, 40)
    value, gradient = loss.value_and_grad(*arrays)
    again, same = loss.value_and_grad(*(x.tolist() for x in arrays))
    assert again == value
    assert type(again) is float
    assert_array_equal(same, gradient)


@each_row
@pytest.mark.parametrize("kind", ["?", "i1", "u1", "i2", ">i4", "u4", "i8", "u8", "f2", ">f2", "f4", ">f8", "g"])
def test_any_type_of_number_is_converted(cls, row, kind):
    loss = row.make(cls)
    z, y, _ = problem(row, 40)
    least = 1 if row.draw is cases.positive else 0
    z, y = (z > 0.5).astype(float), np.clip(np.rint(y), least, 1).astype(y.dtype)
    weight = (np.arange(40) % 2).astype(float)
    expected = loss.value_and_grad(z, y, weight)
    label = y.dtype.kind == "i" and np.dtype(kind).kind not in "iub"
    got = loss.value_and_grad(z, y if label else y.astype(kind), weight.astype(kind))
    assert_array_equal(got[0], expected[0])
    assert_array_equal(got[1], expected[1])
    narrow = loss.value_and_grad(z.astype(kind), y, weight)[1]
    assert narrow.dtype == (np.float32 if kind == "f4" else np.float64)
    assert_allclose(narrow, expected[1], rtol=1e-6 if kind == "f4" else 0, atol=1e-8 if kind == "f4" else 0)


@pytest.mark.parametrize("kind", ["i1", "u1", "i2", ">u2", "i4", "u4", ">i8", "u8"])
def test_labels_of_any_width(kind):
    z = np.random.default_rng(0).standard_normal((100, 100))
    loss, y = lo.CrossEntropy(), np.random.default_rng(1).permutation(100)
    assert loss(z, y.astype(kind)) == loss(z, y)


# ---- out


@each_dtype
@each_row
def test_out_takes_the_gradient_and_may_be_the_prediction(cls, row, dtype):
    loss = row.make(cls)
    z, y, weight = problem(row, 700, dtype)
    for w in (None, weight):
        value, gradient = loss.value_and_grad(z, y, w)
        for out in (np.full_like(z, np.nan), z.copy()):
            again, same = loss.value_and_grad(out if np.isfinite(out).all() else z, y, w, out=out)
            assert same is out
            assert again == value
            assert_array_equal(out, gradient)


def test_out_may_be_any_writable_buffer():
    out = array.array("d", [7, 7])
    lo.MSE().value_and_grad([10, 1], [0, 0], out=out)
    assert out == array.array("d", [10, 1])


BASE = np.arange(18.0).reshape(9, 2) / 17
PLAIN = "out must be a float64 or float32 array in native byte order, got "
BAD_OUT = {
    "a list": (lambda z, y, w: [[0.0] * 2] * 6, TypeError, "out must be an array that can be written in place, got"),
    "True": (lambda z, y, w: True, TypeError, "out must be an array that can be written in place, got bool"),
    "float32": (lambda z, y, w: np.ones((6, 2), "f4"), TypeError, "out must be a float64 array, got float32 array"),
    "int": (lambda z, y, w: np.ones((6, 2), int), TypeError, PLAIN + "int64 array of shape (6, 2)"),
    "swapped": (lambda z, y, w: np.ones((6, 2), ">f8"), TypeError, PLAIN + ">f8 array of shape (6, 2)"),
    "short": (lambda z, y, w: np.ones((5, 2)), ValueError, "out must have shape (6, 2), got float64 array of shape (5"),
    "flat": (lambda z, y, w: np.ones(12), ValueError, "out must have shape (6, 2), got float64 array of shape (12,)"),
    "strided": (lambda z, y, w: np.ones((6, 4))[:, ::2], ValueError, "out must be C-contiguous, got a strided float64"),
    "fortran": (lambda z, y, w: np.ones((2, 6)).T, ValueError, "out must be C-contiguous, got a strided float64 array"),
    "read-only": (lambda z, y, w: frozen(z, None), ValueError, "out must be writable, got a read-only float64 array"),
    "ahead": (lambda z, y, w: z.base[1:7], ValueError, "out overlaps prediction in part: give it memory of its own"),
    "behind": (lambda z, y, w: z.base[3:], ValueError, "out overlaps prediction in part"),
    "the target": (lambda z, y, w: y, ValueError, "out overlaps target: give it memory of its own"),
    "on the target": (lambda z, y, w: y.base[1:7], ValueError, "out overlaps target"),
    "on the weights": (lambda z, y, w: w.base[:12].reshape(6, 2), ValueError, "out overlaps sample_weight"),
}


@pytest.mark.parametrize("bad", BAD_OUT)
@pytest.mark.parametrize(
    "loss", [lo.MSE(), lo.BinaryCrossEntropy(), lo.BinaryCrossEntropy(from_logits=False), lo.CrossEntropy()], ids=repr
)
def test_bad_out_is_refused_and_nothing_is_written(loss, bad):
    make, error, text = BAD_OUT[bad]
    bases = [BASE.copy(), BASE.copy(), np.ones(20)]
    arrays = bases[0][2:8], bases[1][2:8], bases[2][5:11]
    out = make(*arrays)
    before = copy.deepcopy(out)
    with pytest.raises(error, match=re.escape(text)):
        loss.value_and_grad(*arrays, out=out)
    assert_array_equal(out, before)
    for base, same in zip(bases, (BASE, BASE, np.ones(20)), strict=True):
        assert_array_equal(base, same)


@pytest.mark.parametrize("which", ["prediction", "target", "sample_weight"])
def test_out_overlaps_what_must_be_converted_neither(which):
    base = np.linspace(0, 1, 12)
    arrays = {"prediction": np.ones(6), "target": np.ones(6), "sample_weight": np.ones(6), which: base[::2]}
    with pytest.raises(ValueError, match=f"out overlaps {which}"):
        lo.MSE().value_and_grad(**arrays, out=base[:6])
    assert_array_equal(base, np.linspace(0, 1, 12))


# ---- what may not come in

Z, Z2, COLUMN = np.full(3, 0.5), np.full((3, 2), 0.5), np.full((3, 1), 0.5)
bce, probability, ce = lo.BinaryCrossEntropy(), lo.BinaryCrossEntropy(from_logits=False), lo.CrossEntropy()
BAD_INPUT = [
    # a column beside a row never broadcasts
    (lo.MSE(), (COLUMN, Z), ValueError, "target must have the prediction's shape (3, 1), got float64 array of shape"),
    (lo.MSE(), (Z, COLUMN), ValueError, "target must have the prediction's shape (3,), got float64 array of shape (3,"),
    (bce, (COLUMN, Z), ValueError, "target must have the prediction's shape (3, 1), got float64 array of shape (3,)"),
    (bce, (Z, COLUMN), ValueError, "target must have the prediction's shape (3,), got float64 array of shape (3, 1)"),
    (bce, (Z, Z, COLUMN), ValueError, "sample_weight must have shape (3,), a weight a row, got float64 array of shape"),
    (lo.MSE(), (Z, Z[:2]), ValueError, "target must have the prediction's shape (3,), got float64 array of shape (2,)"),
    (lo.MSE(), (Z, 0.5), ValueError, "target must have the prediction's shape (3,), got float64 array of shape ()"),
    (lo.MSE(), (Z2, Z2, Z2), ValueError, "sample_weight must have shape (3,), a weight a row"),
    (lo.MSE(), (Z2, Z2, 1.0), ValueError, "sample_weight must have shape (3,), a weight a row"),
    (lo.MSE(), (Z2[None], Z2[None]), ValueError, "prediction must have shape (n,) or (n, k), got float64 array of"),
    (lo.MSE(), (0.5, 0.5), ValueError, "prediction must have shape (n,) or (n, k), got float64 array of shape ()"),
    # what is no number
    (lo.MSE(), (Z * 1j, Z), TypeError, "prediction must hold real numbers, got complex128 array of shape (3,)"),
    (lo.MSE(), (["a", "b"], Z), TypeError, "prediction must hold real numbers, got list ['a', 'b']"),
    (lo.MSE(), (None, Z), TypeError, "prediction must hold real numbers, got NoneType None"),
    (lo.MSE(), (Z, Z.astype(object)), TypeError, "target must hold real numbers, got object array of shape (3,)"),
    (lo.MSE(), (Z, Z.astype("M8[s]")), TypeError, "target must hold real numbers, got datetime64[s] array"),
    (lo.MSE(), (Z, Z, Z * 1j), TypeError, "sample_weight must hold real numbers, got complex128 array"),
    (lo.MSE(), (Z, Z, [1, -2, 1]), ValueError, "sample_weight must be finite and not negative, got -2.0"),
    (lo.MSE(), (Z, Z, [1, NAN, 1]), ValueError, "sample_weight must be finite and not negative, got nan"),
    (lo.MSE(), (Z, Z, [1, 1, INF]), ValueError, "sample_weight must be finite and not negative, got inf"),
    # what lies outside
    (bce, (Z, [0, 1.5, 1]), ValueError, "target must lie in [0, 1], got 1.5"),
    (bce, (Z, [0, 1, -0.1]), ValueError, "target must lie in [0, 1], got -0.1"),
    (bce, (Z, [-1, 1, 1]), ValueError, "target must lie in [0, 1], got -1.0"),
    (probability, ([0.5, 0.5, 1.2], Z), ValueError, "prediction must lie in [0, 1], got 1.2"),
    (probability, (Z - 0.75, Z), ValueError, "prediction must lie in [0, 1], got -0.25"),
    (probability, (Z, Z + 1), ValueError, "target must lie in [0, 1], got 1.5"),
    (ce, (Z, [0, 1, 0]), ValueError, "prediction must have shape (n, k), a score for each class, got shape (3,)"),
    (ce, (Z2, [0, 1]), ValueError, "target must have shape (3,), a label a row, got int64 array of shape (2,)"),
    (ce, (Z2, 1), ValueError, "target must have shape (3,), a label a row, got int64 array of shape ()"),
    (ce, (Z2, [[0], [1], [1]]), ValueError, "target must have the prediction's shape (3, 2), got float64 array of"),
    (ce, (Z2, [0.0, 1.0, 1.0]), TypeError, "target must hold integer class labels, got float64 array of shape (3,)"),
    (ce, (Z2, ["a", "b", "c"]), TypeError, "target must hold integer class labels, got <U1 array of shape (3,)"),
    (ce, (Z2, [0, 2, 1]), ValueError, "target must hold labels from 0 to 1, got 2"),
    (ce, (Z2, [0, 1, -1]), ValueError, "target must hold labels from 0 to 1, got -1"),
    (ce, (Z2, np.array([0, 1, 2**63], "u8")), ValueError, "target must be below the number of classes, got 9223372036"),
    (ce, (Z2[:, :0], [0, 0, 0]), ValueError, "target must hold labels from 0 to -1, got 0"),
    (ce, (Z2, [[0, 1], [0, 1.2], [0, 1]]), ValueError, "target must lie in [0, 1], got 1.2"),
    (ce, (Z2, Z2 - [0, 0.75]), ValueError, "target must lie in [0, 1], got -0.25"),
]


@pytest.mark.parametrize(("loss", "arguments", "error", "text"), BAD_INPUT, ids=labels)
def test_bad_input_is_named_and_nothing_is_written(loss, arguments, error, text):
    out = np.full(np.shape(arguments[0]), 7.0)
    calls = [lambda: loss(*arguments), lambda: loss.value_and_grad(*arguments, out=out)]
    if len(arguments) == 2:
        calls.append(lambda: loss.pointwise(*arguments))
    for call in calls:
        with pytest.raises(error, match=re.escape(text)):
            call()
    assert_array_equal(out, 7)


@pytest.mark.parametrize("reduction", ["none", "MEAN", None, 1])
@each_row
def test_reductions_are_two(cls, row, reduction):
    text = f"{cls.__name__}: reduction must be 'mean' or 'sum', got {reduction!r}"
    with pytest.raises(ValueError, match=re.escape(text)):
        row.make(cls, reduction=reduction)


@pytest.mark.parametrize(
    ("kwargs", "text"),
    [
        ({"pos_weight": -1}, "BinaryCrossEntropy: pos_weight must be finite and not negative, got -1"),
        ({"pos_weight": INF}, "BinaryCrossEntropy: pos_weight must be finite and not negative, got inf"),
        ({"pos_weight": NAN}, "BinaryCrossEntropy: pos_weight must be finite and not negative, got nan"),
        ({"label_smoothing": -0.1}, "BinaryCrossEntropy: label_smoothing must lie in [0, 1], got -0.1"),
        ({"label_smoothing": 1.1}, "BinaryCrossEntropy: label_smoothing must lie in [0, 1], got 1.1"),
        ({"label_smoothing": NAN}, "BinaryCrossEntropy: label_smoothing must lie in [0, 1], got nan"),
    ],
)
def test_bad_constants_are_named(kwargs, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        lo.BinaryCrossEntropy(**kwargs)


# ---- any shape, any number


@each_row
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_value_and_gradient_are_the_twins_for_any_shape_and_number(cls, row, data):
    dtype = data.draw(st.sampled_from([np.float64, np.float32]))
    n = data.draw(st.integers(0, 40))
    _, y, weight = problem(row, n, dtype, seed=data.draw(st.integers(0, 99)))
    width = np.finfo(dtype).bits
    most = 1000 if row.draw not in (cases.counts, cases.positive) and row.kernel != "tweedie" else 40
    numbers = st.floats(-most, most, width=width) if row.scores else st.floats(0.0009765625, 0.9990234375, width=width)
    z = data.draw(hnp.arrays(dtype, cases.shape(n, row.k), elements=numbers))
    weight = data.draw(st.sampled_from([None, weight, np.arange(n).astype(dtype)]))
    value, gradient = row.make(cls, reduction="sum").value_and_grad(z, y, weight)
    double = [x if x is None or x.dtype.kind == "i" else x.astype(float) for x in (z, y, weight)]
    expected = np.empty(z.shape)
    total = TWIN.losses.value_and_grad(row.block(TWIN), *double, expected, row.k or 1, 1.0)
    tolerance = 50 * np.finfo(dtype).eps
    assert_allclose(value, total, rtol=tolerance, atol=tolerance)
    # of scores of a thousand, an eps is an absolute error in the exponent; the gradient of a row without its weight,
    # which multiplies both terms that cancel where it is near zero
    size = np.abs(z).max(initial=1)
    each = np.ones(n) if weight is None else weight.astype(float)
    assert not gradient[each == 0].any()
    some = each > 0
    gradient, expected = ((g.T[..., some] / each[some]).T for g in (gradient, expected))
    assert_allclose(gradient, expected, rtol=size * tolerance, atol=tolerance)


def test_out_overlaps_a_buffer_that_is_no_array():
    base = np.linspace(0, 1, 7)
    with pytest.raises(ValueError, match="out overlaps prediction in part"):
        lo.MSE().value_and_grad(memoryview(base)[:-1], np.zeros(6), out=base[1:])
    assert_array_equal(base, np.linspace(0, 1, 7))
