"""Objective against the written formulas, scikit-learn's own fused losses, finite differences and known optima."""

from __future__ import annotations

import copy
import pickle
import re
import subprocess
import sys

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit, log_expit, log_softmax, softmax
from sklearn import datasets
from sklearn._loss import HalfBinomialLoss, HalfMultinomialLoss, HalfSquaredError
from sklearn.linear_model import ElasticNet, LogisticRegression, Ridge
from sklearn.linear_model._linear_loss import LinearModelLoss

import lossopt as lo

# name: loss, number of outputs; the value of a row and its gradient from scores z (n, k) and targets as arrays (n, k)
FORMULAS = {
    lo.MSE: lambda z, y: (np.mean((z - y) ** 2, axis=1), 2 * (z - y) / z.shape[1]),
    lo.BinaryCrossEntropy: lambda z, y: (
        np.mean(-y * log_expit(z) - (1 - y) * log_expit(-z), axis=1),
        (expit(z) - y) / z.shape[1],
    ),
    lo.CrossEntropy: lambda z, y: (-np.sum(y * log_softmax(z, axis=1), axis=1), softmax(z, axis=1) - y),
}
CASES = [(loss, k) for loss in FORMULAS for k in (1, 4)]
# penalty: its coefficients l1, l2
PENALTIES = {None: (0, 0), lo.L2(0.3): (0, 0.3), lo.L1(0.2): (0.2, 0), lo.ElasticNet(0.4, l1_ratio=0.25): (0.1, 0.3)}

cases = pytest.mark.parametrize(("loss", "k"), CASES, ids=lambda x: getattr(x, "__name__", x))
both = pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["f64", "f32"])


def problem(loss, k, n=97, d=5, dtype=np.float64, seed=0):
    """X, y and sample weights, the last with zeros among them."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)).astype(dtype)
    if loss is lo.MSE:
        y = rng.normal(size=(n, k)).astype(dtype)
    elif loss is lo.BinaryCrossEntropy:
        y = rng.integers(0, 2, (n, k)).astype(dtype)
    else:
        return X, rng.integers(0, k, n), rng.integers(0, 4, n).astype(dtype)
    return X, y[:, 0] if k == 1 else y, rng.integers(0, 4, n).astype(dtype)


def formula(loss, k, X, y, weight, W, b, l1=0.0, l2=0.0):
    """Value and gradient in float64, flat; where a weight is 0, the least subgradient."""
    n = len(X)
    targets = np.eye(k)[y] if loss is lo.CrossEntropy and np.ndim(y) == 1 else np.reshape(y, (n, k))
    X, targets, W, b = (np.asarray(a, np.float64) for a in (X, targets, W, b))
    weight = np.ones(n) if weight is None else np.asarray(weight, np.float64)
    values, G = FORMULAS[loss](X @ W.T + b, targets)
    G *= weight[:, None] / weight.sum()
    g = G.T @ X + 2 * l2 * W
    g = np.where(W == 0, np.sign(g) * np.maximum(np.abs(g) - l1, 0), g + l1 * np.sign(W))
    return values @ weight / weight.sum() + l1 * np.abs(W).sum() + l2 * np.sum(W**2), g.ravel(), G.sum(axis=0)


def expected(loss, k, X, y, weight, w, intercept=True, l1=0.0, l2=0.0):
    size = k * X.shape[1]
    b = w[size:] if intercept else np.zeros(k)
    value, g, gb = formula(loss, k, X, y, weight, w[:size].reshape(k, -1), b, l1, l2)
    return value, np.concatenate([g, gb]) if intercept else g


def assert_near(got, want, tolerance):
    """Value and gradient agree, relative to the largest number of each."""
    assert got[0] == pytest.approx(want[0], rel=tolerance)
    np.testing.assert_allclose(got[1], want[1], rtol=0, atol=tolerance * max(1, np.abs(want[1]).max(initial=0)))


def standardized(name):
    X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    return (X - X.mean(axis=0)) / X.std(axis=0), y


# ---- values and gradients


@cases
@pytest.mark.parametrize("penalty", PENALTIES, ids=repr)
@pytest.mark.parametrize("intercept", [True, False], ids=["bias", "nobias"])
@pytest.mark.parametrize("weighted", [True, False], ids=["weighted", "plain"])
def test_value_and_gradient_follow_the_formula(loss, k, penalty, intercept, weighted):
    X, y, weight = problem(loss, k)
    weight = weight if weighted else None
    objective = lo.Objective(X, y, loss(), penalty, weight, fit_intercept=intercept, n_outputs=k)
    w = np.random.default_rng(1).normal(size=k * (5 + intercept))
    assert lo.check_gradient(objective, w) < 1e-7
    w[: k * 5 : 3] = 0.0
    kept = w.copy()
    got = objective.value_and_grad(w)
    l1, l2 = PENALTIES[penalty]
    assert_near(got, expected(loss, k, X, y, weight, w, intercept, l1, l2), 1e-13)
    assert_near(objective.data_value_and_grad(w), expected(loss, k, X, y, weight, w, intercept), 1e-13)
    assert objective(w) == got[0]
    assert np.array_equal(w, kept)
    assert type(got[0]) is float


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize(
    ("loss", "k", "theirs", "factor"),
    [
        (lo.MSE, 1, HalfSquaredError(), 2),
        (lo.BinaryCrossEntropy, 1, HalfBinomialLoss(), 1),
        (lo.CrossEntropy, 5, HalfMultinomialLoss(n_classes=5), 1),
    ],
    ids=["squares", "logistic", "softmax"],
)
def test_scikit_learns_fused_losses_agree(loss, k, theirs, factor, weighted, intercept):
    X, y, weight = problem(loss, k, n=500, d=20)
    weight = weight if weighted else None
    strength = 0.07
    ours = lo.Objective(X, y, loss(), lo.L2(strength), weight, fit_intercept=intercept, n_outputs=k)
    W, b = np.random.default_rng(1).normal(size=(k, 20)), np.arange(k) - 1.5
    coef = np.column_stack([W, b]) if intercept else W
    # theirs is half the squared error plus half of l2_reg_strength times the squares
    value, gradient = LinearModelLoss(theirs, fit_intercept=intercept).loss_gradient(
        np.asfortranarray(coef) if k > 1 else coef[0],
        X,
        y.astype(np.float64),
        sample_weight=weight,
        l2_reg_strength=2 * strength / factor,
    )
    gradient = factor * np.reshape(gradient, (k, -1), order="C")
    flat = np.concatenate([gradient[:, :20].ravel(), gradient[:, 20:].ravel()])
    assert_near(ours.value_and_grad(np.concatenate([W.ravel(), b if intercept else []])), (factor * value, flat), 1e-13)


@both
@pytest.mark.parametrize("wtype", [np.float64, np.float32], ids=["w64", "w32"])
@pytest.mark.parametrize(("loss", "k"), [(lo.MSE, 1), (lo.BinaryCrossEntropy, 10), (lo.MSE, 32), (lo.CrossEntropy, 33)])
@pytest.mark.parametrize("n", [1, 65, 1300])
def test_precisions_and_numbers_of_outputs(loss, k, n, dtype, wtype):
    X, y, weight = problem(loss, k, n=n, d=17, dtype=dtype)
    weight[0] = 1
    objective = lo.Objective(X, y, loss(), lo.L2(0.1), weight, n_outputs=k)
    w = (np.random.default_rng(1).normal(size=objective.size) / 4).astype(wtype)
    tolerance = 1e-13 if dtype == wtype == np.float64 else 3e-6
    got = objective.value_and_grad(w)
    assert_near(got, expected(loss, k, X, y, weight, w, l2=0.1), tolerance)
    assert got[1].dtype == wtype
    assert objective.zeros().dtype == objective.predict(w, X).dtype == dtype
    W, b = w[: k * 17].reshape(k, 17).astype(float), w[k * 17 :]
    want = X.astype(float) @ W.T + b
    np.testing.assert_allclose(objective.predict(w, X), want[:, 0] if k == 1 else want, rtol=0, atol=tolerance * 20)


@pytest.mark.parametrize("loss", [lo.MSE, lo.BinaryCrossEntropy, lo.CrossEntropy])
@pytest.mark.parametrize("intercept", [True, False])
def test_forty_outputs_go_through_blas_in_blocks(loss, intercept):
    X, y, weight = problem(loss, 40, n=2500, d=6)
    objective = lo.Objective(X, y, loss(), lo.ElasticNet(0.4, 0.25), weight, fit_intercept=intercept, n_outputs=40)
    w = np.random.default_rng(1).normal(size=objective.size)
    assert_near(objective.value_and_grad(w), expected(loss, 40, X, y, weight, w, intercept, 0.1, 0.3), 1e-13)


def test_probabilities_as_targets():
    X, _, weight = problem(lo.CrossEntropy, 4)
    y = softmax(np.random.default_rng(2).normal(size=(97, 4)), axis=1)
    objective = lo.Objective(X, y, lo.CrossEntropy(), sample_weight=weight)
    w = np.random.default_rng(1).normal(size=24)
    assert_near(objective.value_and_grad(w), expected(lo.CrossEntropy, 4, X, y, weight, w), 1e-13)


def test_sum_instead_of_mean():
    X, y, weight = problem(lo.MSE, 2)
    w = np.random.default_rng(1).normal(size=12)
    value, gradient = expected(lo.MSE, 2, X, y, weight, w)
    got = lo.Objective(X, y, lo.MSE(reduction="sum"), sample_weight=weight).value_and_grad(w)
    terms = 2 * weight.sum()
    assert_near(got, (value * terms, gradient * terms), 1e-13)


# ---- optima that others find


def logistic(n, strength):
    return LogisticRegression(C=1 / (2 * n * strength), tol=1e-10, max_iter=9999)


@pytest.mark.parametrize("penalty", [lo.L2(0.02), lo.ElasticNet(0.02, l1_ratio=0.0)], ids=repr)
@pytest.mark.parametrize(
    ("data", "loss", "theirs"),
    [
        ("diabetes", lo.MSE(), lambda n, s: Ridge(alpha=n * s, tol=1e-12)),
        ("breast_cancer", lo.BinaryCrossEntropy(), logistic),
        ("wine", lo.CrossEntropy(), logistic),
    ],
    ids=["ridge", "logistic", "softmax"],
)
def test_scipy_reaches_scikit_learns_optimum(data, loss, theirs, penalty):
    X, y = standardized(data)
    objective = lo.Objective(X, y, loss, penalty)
    how = {"jac": True, "method": "L-BFGS-B", "options": {"gtol": 1e-9, "ftol": 0}}
    found = minimize(objective.value_and_grad, objective.zeros(), **how)
    fitted = theirs(len(y), 0.02).fit(X, y)
    weight, bias = objective.unpack(found.x)
    assert weight == pytest.approx(np.atleast_2d(fitted.coef_), rel=1e-5, abs=1e-6)
    # softmax does not see what its biases have in common
    centre = np.mean if len(bias) > 1 else np.zeros_like
    assert bias - centre(bias) == pytest.approx(fitted.intercept_ - centre(fitted.intercept_), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("ratio", [1.0, 0.5])
@pytest.mark.parametrize("data", ["diabetes", "breast_cancer", "iris"])
def test_least_subgradient_vanishes_at_scikit_learns_sparse_optimum(data, ratio):
    X, y = standardized(data)
    n, strength, theirs = len(y), 0.05, {"l1_ratio": ratio / (2 - ratio)}
    if data == "diabetes":
        y = y / y.std()
        loss, fitted = lo.MSE(), ElasticNet(alpha=strength * (1 - ratio / 2), **theirs, tol=1e-14, max_iter=10**6)
    else:
        loss = lo.BinaryCrossEntropy() if data == "breast_cancer" else lo.CrossEntropy()
        C = 1 / (n * strength * (2 - ratio))
        fitted = LogisticRegression(C=C, **theirs, solver="saga", tol=1e-10, max_iter=10**5)
    fitted.fit(X, y)
    penalty = lo.ElasticNet(strength, l1_ratio=ratio) if ratio < 1 else lo.L1(strength)
    objective = lo.Objective(X, y, loss, penalty)
    w = np.concatenate([np.ravel(fitted.coef_), np.atleast_1d(fitted.intercept_)])
    assert 0 < np.count_nonzero(w == 0) < fitted.coef_.size
    assert np.abs(objective.value_and_grad(w)[1]).max() < 1e-7
    assert np.abs(objective.value_and_grad(w * 1.01)[1]).max() > 1e-4


# ---- what X, y and the weights may be


def read_only(X, path):
    X = X.copy()
    X.flags.writeable = False
    return X


def mapped(X, path):
    file = np.memmap(path, X.dtype, "w+", shape=X.shape)
    file[...] = X
    file.flush()
    return np.memmap(path, X.dtype, "r", shape=X.shape)


ARRANGED = {
    "read-only": read_only,
    "memmap": mapped,
    "fortran": lambda X, path: np.asfortranarray(X),
    "strided": lambda X, path: np.repeat(X, 2, axis=1)[:, ::2],
    "reversed": lambda X, path: X[::-1].copy()[::-1],
    "swapped": lambda X, path: X.astype(X.dtype.newbyteorder()),
    "list": lambda X, path: X.tolist(),
    "integers": lambda X, path: X.astype(np.int8),
}


@both
@pytest.mark.parametrize("arranged", ARRANGED)
def test_layouts_and_types_of_x(arranged, dtype, tmp_path):
    X, y, _ = problem(lo.BinaryCrossEntropy, 1, dtype=dtype)
    X = np.round(X * 9)
    plain = lo.Objective(X, y, lo.BinaryCrossEntropy())
    given = ARRANGED[arranged](X, tmp_path / "X")
    objective = lo.Objective(given, y, lo.BinaryCrossEntropy())
    w = np.random.default_rng(1).normal(size=6)
    # Python numbers have no precision of their own: they are read as float64
    tolerance = 3e-6 if dtype == np.float32 and arranged in ("list", "integers") else 0
    assert_near(objective.value_and_grad(w), plain.value_and_grad(w), tolerance)
    assert objective.predict(w, given) == pytest.approx(plain.predict(w, X), rel=3e-6)
    assert objective.X.flags.c_contiguous
    if arranged in ("read-only", "memmap"):
        assert np.shares_memory(objective.X, given)


@pytest.mark.parametrize("dtype", ["?", "i1", "u1", "i4", "u8", ">i4", "f4", ">f8"])
def test_types_of_targets(dtype):
    X, y, weight = problem(lo.BinaryCrossEntropy, 1)
    w = np.random.default_rng(1).normal(size=12)
    given = y.astype(dtype)
    for loss, size in ((lo.BinaryCrossEntropy(), 6), (lo.CrossEntropy(), 12)):
        if np.dtype(dtype).kind == "f" and size == 12:
            continue
        got = lo.Objective(X, given, loss, sample_weight=weight.astype(np.int16)).value_and_grad(w[:size])
        plain = y.astype(np.int64 if size == 12 else np.float64)
        want = lo.Objective(X, plain, loss, sample_weight=weight).value_and_grad(w[:size])
        assert got[0] == want[0]
        assert np.array_equal(got[1], want[1])


@cases
def test_weights_remove_and_repeat_rows(loss, k):
    X, y, weight = problem(loss, k)
    w = np.random.default_rng(1).normal(size=k * 6)
    times = weight.astype(int)
    repeated = lo.Objective(X.repeat(times, axis=0), y.repeat(times, axis=0), loss(), n_outputs=k).value_and_grad(w)
    assert_near(lo.Objective(X, y, loss(), None, weight, n_outputs=k).value_and_grad(w), repeated, 1e-13)
    # what a removed row's loss would overflow to is nobody's business
    X[weight == 0] = 1e200
    assert_near(lo.Objective(X, y, loss(), None, weight, n_outputs=k).value_and_grad(w), repeated, 1e-13)


@pytest.mark.parametrize("hole", [np.inf, np.nan])
@pytest.mark.parametrize("k", [1, 2, 40])
def test_a_removed_row_may_have_holes(k, hole):
    X, y, weight = problem(lo.MSE, k)
    w = np.random.default_rng(1).normal(size=k * 6)
    want = lo.Objective(X, y, lo.MSE(), None, weight).value_and_grad(w)
    X[weight == 0, 2] = hole
    with np.errstate(invalid="ignore"):
        got = lo.Objective(X, y, lo.MSE(), None, weight).value_and_grad(w)
    assert_near(got, want, 1e-13)


@pytest.mark.parametrize("k", [1, 4, 40])
@pytest.mark.parametrize("weight", [None, "zeros"])
@pytest.mark.parametrize("loss", [lo.MSE, lo.BinaryCrossEntropy, lo.CrossEntropy])
def test_no_rows_give_nothing(loss, weight, k):
    X, y, _ = problem(loss, k)
    n = 0 if weight is None else 97
    objective = lo.Objective(X[:n], y[:n], loss(), sample_weight=None if weight is None else np.zeros(n), n_outputs=k)
    value, gradient = objective.value_and_grad(np.ones(6 * k), out=np.full(6 * k, np.nan))
    assert value == 0.0
    assert not gradient.any()
    assert objective.predict(np.ones(6 * k), X[:0]).shape == ((0,) if k == 1 else (0, k))


@pytest.mark.parametrize("k", [1, 40])
def test_no_features_leave_the_bias(k):
    y = np.arange(3.0 * k).reshape(3, k)
    objective = lo.Objective(np.zeros((3, 0)), y[:, 0] if k == 1 else y, lo.MSE())
    value, gradient = objective.value_and_grad(np.ones(k))
    assert value == pytest.approx(np.mean((1 - y) ** 2))
    assert gradient == pytest.approx(2 * (1 - y).sum(axis=0) / y.size)


@pytest.mark.parametrize(
    ("loss", "y", "outputs"),
    [
        (lo.MSE, [0.0, 1, 2], 1),
        (lo.MSE, np.zeros((3, 2)), 2),
        (lo.CrossEntropy, [0, 4, 2], 5),
        (lo.CrossEntropy, np.full((3, 2), 0.5), 2),
    ],
)
def test_default_number_of_outputs(loss, y, outputs):
    objective = lo.Objective(np.ones((3, 2)), y, loss())
    assert objective.n_outputs == outputs
    assert objective.zeros().shape == (3 * outputs,)


# ---- the object


def test_unpack_gives_views():
    X, y, _ = problem(lo.CrossEntropy, 4)
    w = np.arange(24.0)
    weight, bias = lo.Objective(X, y, lo.CrossEntropy()).unpack(w)
    assert np.array_equal(weight, np.arange(20.0).reshape(4, 5))
    assert np.array_equal(bias, [20, 21, 22, 23])
    weight[1, 2], bias[3] = -1, -2
    assert (w[7], w[23]) == (-1, -2)
    assert lo.Objective(X, y, lo.CrossEntropy(), fit_intercept=False).unpack(w[:20])[1].shape == (0,)


def test_gradient_is_fresh_or_out():
    X, y, _ = problem(lo.MSE, 1)
    objective = lo.Objective(X, y, lo.MSE(), lo.L2(0.1))
    w, out = np.ones(6), np.empty(6)
    value, first = objective.value_and_grad(w)
    _, second = objective.value_and_grad(2 * w)
    assert not np.shares_memory(first, second)
    into = objective.value_and_grad(w, out=out)
    assert into[1] is out
    assert into[0] == value
    assert np.array_equal(out, first)


def test_copies_are_the_same_function():
    X, y, weight = problem(lo.BinaryCrossEntropy, 1)
    objective = lo.Objective(X, y, lo.BinaryCrossEntropy(pos_weight=2.0), lo.L1(0.1), weight, fit_intercept=False)
    w = np.ones(5)
    for twin in (pickle.loads(pickle.dumps(objective)), copy.deepcopy(objective)):
        assert twin(w) == objective(w)
        assert np.array_equal(twin.value_and_grad(w)[1], objective.value_and_grad(w)[1])
    assert "loss=BinaryCrossEntropy(pos_weight=2.0), penalty=L1(strength=0.1)" in repr(objective)


X3, Y3 = np.ones((3, 2)), np.array([0.0, 1.0, 2.0])
ERRORS = {
    "loss": ({"loss": "mse"}, TypeError, "loss must be a Loss, got 'mse'"),
    "penalty": ({"penalty": 0.1}, TypeError, "penalty must be a Penalty, got 0.1"),
    "vector X": ({"X": Y3}, ValueError, "X must have shape (n_samples, n_features), got float64 array of shape (3,)"),
    "text X": ({"X": [["a"]]}, TypeError, "X must hold real numbers, got list"),
    "complex X": ({"X": X3 * 1j}, TypeError, "X must hold real numbers, got complex128 array of shape (3, 2)"),
    "short y": ({"y": Y3[:2]}, ValueError, "a target for each of the 3 rows of X, got float64 array of shape (2,)"),
    "number y": ({"y": 1.0}, ValueError, "y must have a target for each of the 3 rows of X"),
    "column y": ({"y": Y3[:, None]}, ValueError, "have the prediction's shape (3,), got float64 array of shape (3, 1)"),
    "wide y": ({"y": np.ones((3, 2)), "n_outputs": 3}, ValueError, "y must have the prediction's shape (3, 3)"),
    "range": ({"loss": lo.BinaryCrossEntropy()}, ValueError, "y must lie in [0, 1], got 2.0"),
    "labels": ({"loss": lo.CrossEntropy()}, TypeError, "y must hold integer class labels, got float64"),
    "low": ({"loss": lo.CrossEntropy(), "y": [0, -1, 1]}, ValueError, "y must hold labels from 0 to 1, got -1"),
    "high": ({"loss": lo.CrossEntropy(), "y": [0, 7, 1], "n_outputs": 3}, ValueError, "labels from 0 to 2, got 7"),
    "short weight": ({"sample_weight": [1.0]}, ValueError, "sample_weight must have shape (3,), a weight a row"),
    "weight": ({"sample_weight": [1, -2, 1]}, ValueError, "sample_weight must be finite and not negative, got -2.0"),
    "nan": ({"sample_weight": [1, np.nan, 1]}, ValueError, "sample_weight must be finite and not negative, got nan"),
    "infinite": ({"sample_weight": [np.inf] * 3}, ValueError, "sample_weight must be finite and not negative, got inf"),
}


@pytest.mark.parametrize(("change", "kind", "text"), ERRORS.values(), ids=ERRORS)
def test_constructor_names_what_is_wrong(change, kind, text):
    with pytest.raises(kind, match=re.escape(text)):
        lo.Objective(**{"X": X3, "y": Y3, "loss": lo.MSE()} | change)


@pytest.mark.parametrize("outputs", [0, -1, 1.5, "2"])
def test_constructor_names_n_outputs(outputs):
    with pytest.raises((TypeError, ValueError), match="n_outputs"):
        lo.Objective(X3, Y3, lo.MSE(), n_outputs=outputs)


def test_calls_name_what_is_wrong():
    X, y, weight, w, frozen = X3.copy(), Y3.copy(), np.ones(3), np.ones(3), np.ones(3)
    frozen.flags.writeable = False
    objective = lo.Objective(X, y, lo.MSE(), sample_weight=weight)
    call, predict = objective.value_and_grad, objective.predict
    for function, arguments, kind, text in (
        (call, (np.ones(4),), ValueError, "w must have shape (3,), got float64 array of shape (4,)"),
        (call, (np.ones((1, 3)),), ValueError, "w must have shape (3,), got float64 array of shape (1, 3)"),
        (call, (["a"] * 3,), TypeError, "w must hold real numbers, got list"),
        (call, (w, np.ones(3, "f4")), TypeError, "out must be a float64 array, got float32 array of shape (3,)"),
        (call, (w, np.ones(2)), ValueError, "out must have shape (3,), got float64 array of shape (2,)"),
        (call, (w, np.ones(6)[::2]), ValueError, "out must be C-contiguous, got a strided float64 array of shape (3,)"),
        (call, (w, frozen), ValueError, "out must be writable, got a read-only float64 array of shape (3,)"),
        (call, (w, [1.0] * 3), TypeError, "out must be an array that can be written in place, got list"),
        (call, (w, w), ValueError, "out overlaps w"),
        (call, (w, X.ravel()[:3]), ValueError, "out overlaps X"),
        (call, (w, y), ValueError, "out overlaps y"),
        (call, (w, weight), ValueError, "out overlaps sample_weight"),
        (objective.unpack, (np.ones(2),), ValueError, "w must have shape (3,), got float64 array of shape (2,)"),
        (predict, (w, np.ones((2, 3))), ValueError, "X must have 2 features, got float64 array of shape (2, 3)"),
        (predict, (w, np.ones(2)), ValueError, "X must have shape (n_samples, n_features), got float64"),
        (predict, (np.ones(2), X), ValueError, "w must have shape (3,), got float64 array of shape (2,)"),
    ):
        with pytest.raises(kind, match=re.escape(text)):
            function(*arguments)
    for array, before in ((X, X3), (y, Y3), (weight, 1), (w, 1), (frozen, 1)):
        assert (array == before).all()


# ---- check_gradient


@pytest.mark.parametrize("error", [1e-3, -0.5, np.nan])
@pytest.mark.parametrize("place", [0, 4])
def test_check_gradient_sees_one_wrong_number(place, error):
    def function(w):
        gradient = 3 * w**2
        gradient[place] += error
        return float(np.sum(w**3)), gradient

    w = np.linspace(-2, 2.5, 5)
    found = lo.check_gradient(function, w)
    # the largest derivative is 18.75
    assert np.isnan(found) if np.isnan(error) else found == pytest.approx(abs(error) / 18.75, rel=1e-3)


def test_check_gradient_takes_any_shape_and_a_reused_buffer():
    w, buffer = np.linspace(1, 2, 6).reshape(2, 3), np.empty((2, 3))

    def function(w):
        np.multiply(2, w, out=buffer)
        return float(np.sum(w**2)), buffer

    assert lo.check_gradient(function, w) < 1e-8
    assert np.array_equal(w, np.linspace(1, 2, 6).reshape(2, 3))
    assert lo.check_gradient(lambda w: (0.0, w), []) == 0.0
    with pytest.raises(ValueError, match=re.escape("the gradient must have the shape of w, (2, 3), got (6,)")):
        lo.check_gradient(lambda w: (0.0, np.ones(6)), w)


# ---- memory

MEMORY = """
import sys
import numpy as np, lossopt as lo
k = int(sys.argv[1])
X = np.ones((130_000, 48))
y = np.zeros(len(X)) if k == 1 else np.zeros(len(X), int)
loss = lo.MSE() if k == 1 else lo.CrossEntropy()
lo.Objective(X[:3000], y[:3000], loss, n_outputs=k).value_and_grad(np.ones(49 * k))
def peak():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) * 1024
start = peak()
objective = lo.Objective(X, y, loss, n_outputs=k)
objective.value_and_grad(np.ones(49 * k))
end = peak()
X.copy()
print((end - start) / X.nbytes, (peak() - end) / X.nbytes)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("k", [1, 10, 40])
def test_nothing_of_the_size_of_x_is_allocated(k):
    out = subprocess.run([sys.executable, "-c", MEMORY, str(k)], capture_output=True, text=True, check=True)
    taken, by_a_copy = map(float, out.stdout.split())
    assert taken < 0.1
    # the measure sees what a copy takes
    assert by_a_copy > 0.8


def test_overflow_is_infinite_and_warns_of_nothing():
    assert lo.Objective(X3 * 1e200, Y3, lo.MSE())(np.ones(3)) == np.inf


# ---- the chapter's claims


def test_a_gradient_says_what_a_small_change_does():
    """dL/dw = 3.2, so that 0.1 more of w is about 0.32 more of L."""
    objective = lo.Objective([[1.0]], [0.4], lo.MSE(), fit_intercept=False)
    value, gradient = objective.value_and_grad([2.0])
    assert gradient[0] == pytest.approx(3.2)
    assert objective([2.1]) - value == pytest.approx(0.32, abs=0.02)


def test_descent_converges_below_two_over_l_and_diverges_above():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((200, 5)), rng.standard_normal(200)
    objective = lo.Objective(X, y, lo.MSE(), lo.L2(0.1), fit_intercept=False)
    steepest = 2 * np.linalg.eigvalsh(X.T @ X).max() / 200 + 2 * 0.1
    best = np.linalg.solve(X.T @ X / 200 + 0.1 * np.eye(5), X.T @ y / 200)
    for factor, near in ((1.99, True), (2.01, False)):
        w, opt = np.full(5, 1.0), lo.SGD(lr=factor / steepest)
        for _ in range(3000):
            opt.step(w, objective.value_and_grad(w)[1])
        assert (np.abs(w - best).max() < 1e-6) == near
        assert near or np.abs(w).max() > 1e6


def test_of_two_equal_columns_l1_takes_any_part_and_elastic_net_takes_both_alike():
    rng = np.random.default_rng(0)
    x = rng.standard_normal(100)
    X, y = np.c_[x, x], 2 * x

    def trained(penalty, start):
        model = lo.Linear(2)
        model.params["weight"][...] = start
        lo.Trainer(model, lo.MSE(), lo.SGD(0.1), penalty, batch_size=None).fit(X, y, epochs=3000)
        return model.params["weight"][0]

    one, other = (trained(lo.L1(0.1), start) for start in ([1.0, 0.0], [0.0, 1.0]))
    assert one.sum() == pytest.approx(other.sum(), rel=1e-6)
    assert abs(one - other).max() > 0.5
    both = [trained(lo.ElasticNet(0.1, 0.5), start) for start in ([1.0, 0.0], [0.0, 1.0])]
    np.testing.assert_allclose(both[0], both[1], 1e-6)
    assert both[0][0] == pytest.approx(both[0][1], rel=1e-6)
