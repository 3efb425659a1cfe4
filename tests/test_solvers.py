"""Solvers: the minimum that others find, and certificates that hold."""

from __future__ import annotations

import re
import sys

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.sparse import csr_array
from sklearn import datasets, linear_model
from sklearn.preprocessing import scale

import lossopt as lo
from lossopt import _kernels

CANCER, DIABETES, DIGITS = (
    getattr(datasets, f"load_{name}")(return_X_y=True) for name in ("breast_cancer", "diabetes", "digits")
)
WEIGHT = np.random.default_rng(5).integers(0, 3, 5000).astype(float)


def squares(penalty=None, **more):
    return lo.Objective(scale(DIABETES[0]), scale(DIABETES[1]), lo.MSE(), penalty, **more)


def logistic(penalty=None, loss=None, **more):
    return lo.Objective(scale(CANCER[0]), CANCER[1], loss or lo.BinaryCrossEntropy(), penalty, **more)


def softmax(penalty=None, rows=400):
    return lo.Objective(DIGITS[0][:rows, 10:30] / 16, DIGITS[1][:rows], lo.CrossEntropy(), penalty)


def counts(penalty=None, loss=None):
    y = np.random.default_rng(1).poisson(3, len(DIABETES[0])) + 0.5
    return lo.Objective(scale(DIABETES[0]), y, loss or lo.Poisson(), penalty)


SMOOTH = ("newton", "lbfgs", "fista")
KINKED = ("cd", "fista")
PROBLEMS = {
    "ridge": (lambda: squares(lo.L2(0.1)), ("normal", "cd", "gd", *SMOOTH)),
    "least squares": (squares, ("normal", *SMOOTH)),
    "lasso": (lambda: squares(lo.L1(0.1)), KINKED),
    "elastic net": (lambda: squares(lo.ElasticNet(0.1, 0.5)), KINKED),
    "lasso with factors": (lambda: squares(lo.L1(0.1, factors=np.arange(10) / 5)), KINKED),
    "weighted lasso": (lambda: squares(lo.L1(0.1), sample_weight=WEIGHT[:442]), KINKED),
    "lasso without intercept": (lambda: squares(lo.L1(0.1), fit_intercept=False), KINKED),
    "sum of squares": (
        lambda: lo.Objective(scale(DIABETES[0]), scale(DIABETES[1]), lo.MSE("sum"), lo.ElasticNet(20.0, 0.5)),
        KINKED,
    ),
    "logistic": (lambda: logistic(lo.L2(1e-2)), ("cd", "gd", *SMOOTH)),
    "weighted logistic": (lambda: logistic(lo.L2(1e-2), sample_weight=WEIGHT[:569]), SMOOTH),
    "soft logistic": (
        lambda: logistic(lo.L2(1e-2), lo.BinaryCrossEntropy(pos_weight=3.0, label_smoothing=0.1)),
        SMOOTH,
    ),
    "sparse logistic": (lambda: logistic(lo.L1(1e-2)), KINKED),
    "elastic logistic": (lambda: logistic(lo.ElasticNet(1e-2, 0.7)), KINKED),
    "costs": (lambda: logistic(lo.L2(1e-2), lo.CostSensitive(false_negative=5, false_positive=1)), SMOOTH),
    "squared hinge": (lambda: logistic(lo.L2(1e-2), lo.SquaredHinge()), ("newton", "lbfgs", "fista")),
    "softmax": (lambda: softmax(lo.L2(1e-2)), SMOOTH),
    "weighted softmax": (
        lambda: lo.Objective(
            DIGITS[0][:400, 10:30] / 16, DIGITS[1][:400], lo.CrossEntropy(np.arange(1.0, 11), 0.1), lo.L2(1e-2)
        ),
        SMOOTH,
    ),
    "sparse softmax": (lambda: softmax(lo.L1(5e-3)), ("fista",)),
    "several outputs": (
        lambda: lo.Objective(scale(DIABETES[0]), scale(DIABETES[0])[:, :2] ** 2, lo.MSE(), lo.L2(0.1)),
        ("normal", *SMOOTH),
    ),
    "huber": (
        lambda: lo.Objective(scale(DIABETES[0]), scale(DIABETES[1]), lo.Huber(0.5), lo.L2(0.1)),
        ("newton", "lbfgs", "fista"),
    ),
    "log cosh": (lambda: lo.Objective(scale(DIABETES[0]), scale(DIABETES[1]), lo.LogCosh(), lo.L1(0.05)), KINKED),
    "counts": (lambda: counts(lo.L2(1e-2)), SMOOTH),
    "sparse counts": (lambda: counts(lo.L1(1e-1)), KINKED),
    "gamma": (lambda: counts(lo.L2(1e-2), lo.Gamma()), SMOOTH),
    "tweedie": (lambda: counts(lo.L2(1e-2), lo.Tweedie(1.4)), SMOOTH),
    "not negative": (lambda: squares(lo.NonNegative()), ("fista",)),
    "box": (lambda: squares(lo.Box(-0.1, 0.2)), ("fista",)),
    "groups": (lambda: squares(lo.GroupL2(0.2, np.arange(10) // 2)), ("fista",)),
}
CASES = [
    pytest.param(make, method, id=f"{name}-{method}")
    for name, (make, methods) in PROBLEMS.items()
    for method in methods
]


def judged(objective):
    """The minimum by scipy alone: of a kinked penalty in twice the variables, which are not negative."""
    size, k = objective.size, objective.n_outputs
    weights = k * objective.X.shape[1]
    penalty = objective.penalty
    bare = objective._under(lo.L2(0.0))
    signs = np.zeros(size)
    l2 = np.zeros(size)
    low, high = np.full(size, -np.inf), np.full(size, np.inf)
    if isinstance(penalty, (lo.Box, lo.NonNegative)):
        low[:weights], high[:weights] = penalty._bounds()
    elif penalty is not None:
        l1, ridge = penalty._coefficients()
        factors = getattr(penalty, "factors", None)
        each = np.tile(np.ones(objective.X.shape[1]) if factors is None else factors, k)
        signs[:weights], l2[:weights] = l1 * each, ridge * each

    def split(v):
        up, down = v[:size], v[size:]
        value, g = bare.value_and_grad(up - down)
        value += signs @ (up + down) + l2 @ (up - down) ** 2
        g = g + 2 * l2 * (up - down)
        return value, np.concatenate([g + signs, -g + signs])

    bounds = [(max(0, a), max(0, b)) for a, b in zip(low, high, strict=True)]
    bounds += [(max(0, -b), max(0, -a)) for a, b in zip(low, high, strict=True)]
    options = {"maxiter": 20_000, "maxfun": 40_000, "ftol": 1e-16, "gtol": 1e-9, "maxcor": 30}
    return minimize(split, np.zeros(2 * size), jac=True, method="L-BFGS-B", bounds=bounds, options=options).fun


@pytest.mark.parametrize(("make", "method"), CASES)
@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "csr"])
def test_the_minimum_is_the_judges(make, method, sparse):
    objective = make()
    if sparse:
        arguments = objective._arguments() | {"X": csr_array(objective.X), "n_outputs": objective.n_outputs}
        objective = lo.Objective(**arguments)
    result = lo.solve(objective, method, max_iter=20_000)
    assert result.converged, result.message
    assert result.violation <= 1e-8
    assert result.value == objective(result.w)
    assert result.violation == pytest.approx(np.abs(objective.value_and_grad(result.w)[1]).max(), rel=1e-6, abs=1e-15)
    if not isinstance(objective.penalty, lo.GroupL2):
        least = judged(objective)
        assert result.value <= least + 1e-9 * max(1, abs(least))
        assert least - result.value <= result.gap + 1e-9 * max(1, abs(least))
    assert result.method == method
    assert result.message.startswith(f"{method}: asked for; converged")


@pytest.mark.parametrize("name", PROBLEMS)
def test_auto_chooses_what_works_and_says_why(name):
    make, methods = PROBLEMS[name]
    result = lo.solve(make(), tol=1e-7)
    assert result.converged, result.message
    assert result.method in methods
    assert re.match(rf"{result.method}: .*[a-z].*; converged", result.message)


@pytest.mark.parametrize(("make", "method"), CASES)
def test_a_gap_holds_on_the_way(make, method):
    """A search that is cut short does not claim more than is true."""
    objective = make()
    least = lo.solve(objective, tol=1e-10, max_iter=20_000).value
    for most in (1, 2, 5, 12):
        result = lo.solve(objective, method, max_iter=most)
        assert result.value - least <= result.gap * (1 + 1e-9) + 1e-12 * max(1, abs(least))
        assert result.n_iter <= most
        if not result.converged:
            assert f"max_iter={most} reached" in result.message or "precision" in result.message


def test_gaps_are_known_where_they_can_be():
    for name in ("ridge", "lasso", "elastic net", "logistic", "sparse logistic", "softmax", "counts", "gamma"):
        result = lo.solve(PROBLEMS[name][0]())
        assert result.gap < 1e-6 * max(1, abs(result.value)), name
    for name in ("sparse softmax", "not negative", "groups", "huber"):
        assert lo.solve(PROBLEMS[name][0]()).gap in (np.inf,) or name == "huber"


def test_scikit_learns_estimators_have_the_same_minimum():
    X, y, n = scale(CANCER[0]), CANCER[1], len(CANCER[1])
    judge = linear_model.LogisticRegression(
        C=1 / (2 * n * 1e-2), tol=1e-12, max_iter=10_000, solver="newton-cholesky"
    ).fit(X, y)
    result = lo.solve(logistic(lo.L2(1e-2)), tol=1e-12)
    np.testing.assert_allclose(result.w, np.r_[judge.coef_[0], judge.intercept_], atol=1e-7)
    X, y, n = scale(DIABETES[0]), scale(DIABETES[1]), len(DIABETES[1])
    judge = linear_model.Lasso(alpha=0.05, tol=1e-14, max_iter=100_000).fit(X, y)
    result = lo.solve(squares(lo.L1(0.1)), tol=1e-12)
    np.testing.assert_allclose(result.w[:10], judge.coef_, atol=1e-9)
    assert result.degrees_of_freedom == np.count_nonzero(judge.coef_) + 1
    judge = linear_model.Ridge(alpha=0.1 * n, tol=1e-14).fit(X, y)
    np.testing.assert_allclose(lo.solve(squares(lo.L2(0.1))).w[:10], judge.coef_, atol=1e-12)


# ---- the closed form


def test_of_many_minima_the_shortest():
    rng = np.random.default_rng(0)
    X, y = scale(DIABETES[0]), scale(DIABETES[1])
    weight = rng.integers(0, 3, 442)
    for rows, targets in (
        (np.c_[X, X[:, :3], np.ones(442)], y),
        (rng.standard_normal((20, 50)), rng.standard_normal(20)),
        (np.c_[X, 2 * X[:, 0] + 3], y),
        (np.zeros((442, 2)), y),
    ):
        for w in (None, weight[: len(rows)]):
            for sparse in (False, True):
                objective = lo.Objective(csr_array(rows) if sparse else rows, targets, lo.MSE(), sample_weight=w)
                result = lo.solve(objective)
                assert result.converged, result.message
                mass = np.ones(len(rows)) if w is None else w.astype(float)
                a, b = (x - np.average(x, axis=0, weights=mass) for x in (rows, targets))
                root = np.sqrt(mass)
                shortest = np.linalg.lstsq(a * root[:, None], b * root, rcond=1e-10)[0]
                np.testing.assert_allclose(result.w[:-1], shortest, atol=1e-8)
                assert result.gap < 1e-12
    # several outputs, with and without intercepts
    X, targets = np.c_[X, X[:, :3]], np.c_[y, X[:, 0] ** 2]
    for sparse in (False, True):
        for fit_intercept in (False, True):
            rows = csr_array(X) if sparse else X
            result = lo.solve(lo.Objective(rows, targets, lo.MSE(), fit_intercept=fit_intercept))
            a, b = (x - x.mean(axis=0) * fit_intercept for x in (X, targets))
            shortest = np.linalg.lstsq(a, b, rcond=1e-10)[0].T
            np.testing.assert_allclose(result.w[: shortest.size], shortest.ravel(), atol=1e-8)
            assert result.converged


def test_columns_of_very_different_size_cost_no_digits():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 4)) * [1e-6, 1.0, 1e6, 1.0] + [0, 0, 1e8, 1e3]
    w = np.array([1e6, 1.0, 1e-6, -2.0])
    result = lo.solve(lo.Objective(X, X @ w + 3, lo.MSE()), tol=1e-4)
    np.testing.assert_allclose(result.w[:4], w, rtol=1e-6)


def test_degrees_of_freedom_of_ridge():
    X = scale(DIABETES[0])
    for strength in (0.0, 0.1, 10.0):
        values = np.linalg.eigvalsh(X.T @ X / len(X))
        expected = 1 + np.sum(values / (values + strength))
        assert lo.solve(squares(lo.L2(strength))).degrees_of_freedom == pytest.approx(expected, rel=1e-9)
    twice = lo.Objective(np.c_[X, X], scale(DIABETES[1]), lo.MSE())
    assert lo.solve(twice).degrees_of_freedom == pytest.approx(11)
    assert lo.solve(logistic(lo.L2(0.1))).degrees_of_freedom is None


# ---- rows and weights


def test_a_weight_is_the_row_so_often():
    weight = WEIGHT[:569]
    many = np.repeat(np.arange(569), weight.astype(int))
    X, y = scale(CANCER[0]).copy(), CANCER[1]
    for penalty in (lo.L2(1e-2), lo.L1(1e-2)):
        expected = lo.solve(lo.Objective(X[many], y[many], lo.BinaryCrossEntropy(), penalty), tol=1e-11)
        # a row of weight 0 is no row, whatever it holds
        spoilt = X.copy()
        spoilt[weight == 0] = np.nan
        for method in ("cd", *(("newton", "lbfgs") if isinstance(penalty, lo.L2) else ()), "fista"):
            result = lo.solve(lo.Objective(spoilt, y, lo.BinaryCrossEntropy(), penalty, weight), method, 1e-9, 20_000)
            assert result.converged, result.message
            np.testing.assert_allclose(result.w, expected.w, atol=1e-6)
            assert result.gap < 1e-6
    spoilt, y = scale(DIABETES[0]), scale(DIABETES[1])
    spoilt[WEIGHT[:442] == 0] = np.inf
    kept = np.repeat(np.arange(442), WEIGHT[:442].astype(int))
    for penalty, method in ((lo.L2(0.1), "normal"), (lo.L1(0.1), "cd")):
        result = lo.solve(lo.Objective(spoilt, y, lo.MSE(), penalty, WEIGHT[:442]), method)
        expected = lo.solve(lo.Objective(spoilt[kept], y[kept], lo.MSE(), penalty))
        np.testing.assert_allclose(result.w, expected.w, atol=1e-7)


@pytest.mark.parametrize(("make", "method"), CASES)
def test_single_precision_goes_as_far_as_it_can(make, method):
    objective = make()
    arguments = objective._arguments()
    single = lo.Objective(**arguments | {"X": objective.X.astype(np.float32), "n_outputs": objective.n_outputs})
    result = lo.solve(single, method, tol=1e-7, max_iter=3000)
    assert result.w.dtype == np.float32
    assert result.converged or "precision" in result.message or "max_iter" in result.message
    assert result.value == pytest.approx(lo.solve(objective, method, max_iter=20_000).value, rel=1e-5, abs=1e-6)


def test_no_rows_and_no_columns():
    for method in ("auto", "normal", "newton", "lbfgs", "fista", "cd", "gd"):
        result = lo.solve(lo.Objective(np.zeros((0, 3)), np.zeros(0), lo.MSE(), lo.L2(0.1)), method)
        assert (result.converged, result.value) == (True, 0.0)
        assert not result.w.any()
    result = lo.solve(lo.Objective(np.zeros((4, 0)), [1.0, 2, 3, 4], lo.MSE()))
    np.testing.assert_allclose(result.w, [2.5])


# ---- what has no minimum


@pytest.mark.parametrize("method", ["auto", *SMOOTH])
@pytest.mark.parametrize("loss", [lo.BinaryCrossEntropy(), lo.CrossEntropy()], ids=repr)
def test_separable_rows_are_found_out(method, loss):
    X, y = scale(CANCER[0]), CANCER[1]
    result = lo.solve(lo.Objective(X, y, loss), method, tol=1e-14, max_iter=20_000)
    assert not result.converged
    assert "the rows are separable: without a penalty there is no minimum" in result.message
    z = X @ result.w[:30] + result.w[30] if loss._shape(2, 1) == (2,) else lo.Objective(X, y, loss).predict(result.w, X)
    assert (((z > 0) if z.ndim == 1 else z.argmax(axis=1)) == y).all()


def test_a_penalty_on_some_features_is_a_penalty():
    """The penalized weights put every row on its side; those that are free do not."""
    rng = np.random.default_rng(0)
    side = np.repeat([-1.0, 1.0], 50)
    X = np.c_[side, rng.standard_normal((100, 2))]
    objective = lo.Objective(
        X, side > 0, lo.BinaryCrossEntropy(), lo.L2(1e-6, factors=[1.0, 0, 0]), fit_intercept=False
    )
    assert lo.solve(objective).converged
    none = lo.Objective(X, side > 0, lo.BinaryCrossEntropy(), lo.L2(1e-6, factors=[0.0, 0, 0]), fit_intercept=False)
    assert "separable" in lo.solve(none).message


def test_rows_that_overlap_are_not_separable():
    X, y = scale(CANCER[0]), CANCER[1]
    for objective in (
        lo.Objective(X, y, lo.BinaryCrossEntropy(label_smoothing=0.1)),
        lo.Objective(X[:, :3], y, lo.BinaryCrossEntropy()),
        logistic(lo.L2(1e-6)),
    ):
        assert lo.solve(objective).converged


def test_what_goes_down_for_ever_is_said():
    class Falling:
        def zeros(self):
            return np.zeros(2)

        def value_and_grad(self, w):
            return -float(np.exp(min(w[0], 700.0))), np.array([-np.exp(min(w[0], 700.0)), 0.0])

    result = lo.solve(Falling(), "lbfgs")
    assert not result.converged
    assert "unbounded" in result.message or "precision" in result.message
    result = lo.solve(lo.Objective(np.array([[np.nan], [1.0]]), [1.0, 2.0], lo.MSE()))
    assert not result.converged
    assert "not finite" in result.message
    assert result.gap == np.inf


# ---- descent, starts, paths


@pytest.mark.parametrize("line_search", ["fixed", "backtracking", "exact"])
def test_gradient_descent_and_its_steps(line_search):
    objective = logistic(lo.L2(0.1))
    result = lo.solve(objective, "gd", line_search=line_search, max_iter=5000)
    assert result.converged, result.message
    assert result.value == pytest.approx(lo.solve(objective).value, rel=1e-12)
    # the first step is the rule's
    once = lo.solve(objective, "gd", line_search=line_search, max_iter=1)
    g = objective.value_and_grad(objective.zeros())[1]
    step = -once.w[:30] @ g[:30] / (g[:30] @ g[:30])
    along = [objective(-t * g) for t in step * np.array([0.999, 1, 1.001])]
    if line_search == "fixed":
        assert step == pytest.approx(lo.safe_lr(objective), rel=1e-2)
    elif line_search == "exact":
        assert along[1] <= min(along) + 1e-9
    else:
        assert along[1] <= objective(objective.zeros()) - 1e-4 * step * (g @ g)


def test_a_start_saves_the_way():
    objective = logistic(lo.L1(1e-2))
    found = lo.solve(objective)
    again = lo.solve(objective, w0=found.w)
    assert again.n_iter == 0
    np.testing.assert_array_equal(again.w, found.w)
    near = lo.solve(objective._under(lo.L1(0.9e-2)), w0=found.w)
    assert near.converged
    before = found.w.copy()
    np.testing.assert_array_equal(found.w, before)


@pytest.mark.parametrize("penalty", [lo.L1, lambda s: lo.ElasticNet(s, 0.8), lo.L2], ids=["l1", "elastic", "l2"])
@pytest.mark.parametrize("make", [squares, logistic], ids=["squares", "logistic"])
def test_a_path_is_its_points(make, penalty):
    objective = make(lo.L2(99.0))
    strengths = np.geomspace(0.5, 1e-3, 12)
    made = lo.solve_path(objective, penalty, strengths)
    assert len(made) == 12
    for strength, result in zip(strengths, made, strict=True):
        alone = make(penalty(strength))
        assert result.converged, result.message
        assert result.violation <= 1e-8
        assert result.value == pytest.approx(alone(result.w), rel=1e-12)
        assert np.abs(alone.value_and_grad(result.w)[1]).max() <= 2e-8
        assert alone(result.w) <= lo.solve(alone, tol=1e-10).value + result.gap + 1e-12
        assert result.gap < 1e-5
    if penalty is lo.L1:
        zeros = [np.count_nonzero(result.w[:-1] == 0) for result in made]
        assert zeros[0] > zeros[-1]
        assert made[-1].degrees_of_freedom == objective.size - zeros[-1]
    with pytest.raises(TypeError, match=r"penalty must be a function of a strength, such as lo\.L1, got 3"):
        lo.solve_path(objective, 3, [0.1])
    with pytest.raises(TypeError, match="objective must be an Objective, got 3"):
        lo.solve_path(3, lo.L1, [0.1])
    with pytest.raises(TypeError, match="penalty must be a Penalty, got 0"):
        lo.solve_path(objective, int, [0.1])


def test_scikit_learns_path_is_ours():
    X, y = scale(DIABETES[0]), scale(DIABETES[1])
    alphas, coefs, _ = linear_model.lasso_path(X, y, tol=1e-12, max_iter=100_000, alphas=np.geomspace(0.5, 1e-3, 20))
    made = lo.solve_path(squares(), lo.L1, 2 * alphas, tol=1e-10)
    for coef, result in zip(coefs.T, made, strict=True):
        np.testing.assert_allclose(result.w[:10], coef, atol=1e-7)


# ---- objectives of others, refusals


class Foreign:
    """Only what lbfgs asks for."""

    def __init__(self):
        self.inner = logistic(lo.L2(1e-2))

    def zeros(self):
        return self.inner.zeros()

    def value_and_grad(self, w):
        return self.inner.value_and_grad(w)


class WithHessian(Foreign):
    def hessian(self, w):
        return self.inner.hessian(w)


@pytest.mark.thread_unsafe  # it changes a class meanwhile
def test_a_solver_asks_for_what_it_needs():
    least = lo.solve(logistic(lo.L2(1e-2))).value
    for made, methods in ((Foreign(), ("auto", "lbfgs")), (WithHessian(), ("auto", "lbfgs", "newton"))):
        for method in methods:
            result = lo.solve(made, method)
            assert result.converged, result.message
            assert result.value == pytest.approx(least, rel=1e-12)
            assert result.gap == np.inf
    with pytest.raises(TypeError, match="method='newton' asks an objective for hessian; Foreign has none"):
        lo.solve(Foreign(), "newton")
    with pytest.raises(TypeError, match="method='cd' asks an objective for unpack, X; Foreign has none"):
        lo.solve(Foreign(), "cd")
    with pytest.raises(TypeError, match="method='gd' asks for an Objective, for L: take another line_search; got For"):
        lo.solve(Foreign(), "gd")
    assert lo.solve(Foreign(), "gd", 1e-5, 3000, line_search="backtracking").converged
    Foreign.X = Foreign.unpack = None
    try:
        with pytest.raises(TypeError, match="method='cd' asks for an Objective, for the rows themselves; got Foreign"):
            lo.solve(Foreign(), "cd")
    finally:
        del Foreign.X, Foreign.unpack
    with pytest.raises(TypeError, match="objective must have value_and_grad and zeros, got 3"):
        lo.solve(3)


@pytest.mark.parametrize(
    ("arguments", "options", "said"),
    [
        (lambda: squares(), {"method": "magic"}, "method must be one of 'auto', 'normal', 'newton', 'lbfgs'"),
        (lambda: squares(), {"tol": 0}, "tol must be positive and finite, got 0"),
        (lambda: squares(), {"max_iter": 1.5}, "max_iter must be a positive whole number, got 1.5"),
        (lambda: squares(), {"line_search": "wolfe"}, "line_search must be 'fixed', 'backtracking' or 'exact'"),
        (lambda: squares(), {"w0": np.zeros(3)}, r"w0 must have shape \(11,\), got float64 array of shape \(3,\)"),
        (lambda: logistic(), {"method": "normal"}, "method='normal' is for MSE alone, got BinaryCrossEntropy"),
        (
            lambda: squares(lo.L1(0.1)),
            {"method": "newton"},
            "needs a smooth objective, and L1 has a kink: take 'fista'",
        ),
        (lambda: squares(lo.Box(0, 1)), {"method": "cd"}, "is for L1, L2 and ElasticNet, got Box: take 'fista'"),
        (lambda: softmax(lo.L1(0.1)), {"method": "cd"}, "is for one output, got 10 of CrossEntropy"),
        (lambda: logistic(None, lo.Hinge()), {"method": "newton"}, "needs a second derivative, and Hinge.. has none"),
        (lambda: counts(), {"method": "gd"}, "needs a bound of the second derivative, and Poisson.. has none"),
    ],
)
def test_what_solve_refuses(arguments, options, said):
    with pytest.raises(ValueError, match=said):
        lo.solve(arguments(), **options)


def test_a_missing_scipy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(ImportError, match=re.escape("method='lbfgs' needs scipy: pip install 'lossopt[scipy]'")):
        lo.solve(squares(), "lbfgs")


# ---- Hessians


HESSIANS = [
    (lo.MSE(), 1),
    (lo.MSE("sum"), 3),
    (lo.BinaryCrossEntropy(pos_weight=3.0, label_smoothing=0.1), 1),
    (lo.LogCosh(), 2),
    (lo.Poisson(), 2),
    (lo.Gamma(), 1),
    (lo.Tweedie(1.3), 1),
    (lo.Tweedie(-1.0), 1),
    (lo.CrossEntropy(), 3),
    (lo.CrossEntropy([1.0, 2, 3], 0.1), 3),
    (lo.CrossEntropy(ignore_index=1), 3),
    (lo.CostSensitive(false_negative=5, false_positive=1), 1),
    (lo.CostSensitive(np.arange(9.0).reshape(3, 3) % 4), 3),
    (lo.CostSensitive(), 3),
]


@pytest.mark.parametrize(("loss", "k"), HESSIANS, ids=lambda x: repr(x)[:60])
@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "csr"])
@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_hessians_are_derivatives_of_gradients(loss, k, sparse, fit_intercept, weighted):
    rng = np.random.default_rng(0)
    X = np.where(rng.random((50, 4)) < 0.7, rng.standard_normal((50, 4)), 0)
    if isinstance(loss, (lo.CrossEntropy, lo.CostSensitive)):
        y = rng.integers(0, max(k, 2), 50) if getattr(loss, "_table", 0) is not None else rng.random((50, 3))
    else:
        y = rng.random((50, k) if k > 1 else 50)
    weight = rng.integers(0, 3, 50) if weighted else None
    penalty = lo.ElasticNet(0.3, 0.5, factors=[0, 1, 2, 3.0])
    objective = lo.Objective(csr_array(X) if sparse else X, y, loss, penalty, weight, fit_intercept, n_outputs=k)
    w = rng.standard_normal(objective.size) * 0.5
    steps = 1e-6 * np.eye(objective.size)
    differences = [(objective.value_and_grad(w + s)[1] - objective.value_and_grad(w - s)[1]) / 2e-6 for s in steps]
    hessian = objective.hessian(w)
    np.testing.assert_allclose(hessian, differences, atol=1e-5 * max(1, np.abs(hessian).max()))
    np.testing.assert_array_equal(hessian, hessian.T)
    v = rng.standard_normal(objective.size)
    np.testing.assert_allclose(objective.hessp(w, v), hessian @ v, rtol=1e-10, atol=1e-12)
    assert objective.hessp(w.astype(np.float32), v).dtype == np.float32


def test_many_rows_are_taken_by_blocks():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((150_000, 3)), rng.random(150_000)
    w = rng.standard_normal(4)
    objective = lo.Objective(X, y, lo.BinaryCrossEntropy())
    z = X @ w[:3] + w[3]
    p = 1 / (1 + np.exp(-z))
    rows = np.c_[X, np.ones(len(X))]
    np.testing.assert_allclose(objective.hessian(w), (rows * (p * (1 - p))[:, None]).T @ rows / len(X), rtol=1e-11)


@pytest.mark.parametrize("case", ["even", "weighted", "without some rows", "float32", "CSR"])
def test_large_hessians_are_made_in_parts_with_the_same_bits_on_any_number_of_threads(case):
    rng = np.random.default_rng(0)
    X, weight = rng.standard_normal((20_011, 80)), None
    if case == "weighted":
        weight = rng.random(len(X))
    elif case == "without some rows":
        weight = rng.integers(0, 2, len(X)).astype(float)
        X[weight == 0] = np.nan
    elif case == "float32":
        X = X.astype(np.float32)
    objective = lo.Objective(csr_array(X) if case == "CSR" else X, np.zeros(len(X)), lo.MSE(), sample_weight=weight)
    threads, made = lo.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            lo.set_num_threads(count)
            made.append(objective.hessian(objective.zeros()))
    finally:
        lo.set_num_threads(threads)
    assert made[0].tobytes() == made[1].tobytes() == made[2].tobytes()
    mass = np.ones(len(X)) if weight is None else weight
    rows = np.c_[np.nan_to_num(X.astype(np.float64)), np.ones(len(X))]
    np.testing.assert_allclose(made[0], 2 * (rows * mass[:, None]).T @ rows / mass.sum(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("method", ["Newton-CG", "trust-ncg", "trust-krylov"])
def test_scipy_takes_the_hessian_product(method):
    objective = logistic(lo.L2(1e-2))
    options = {"xtol": 1e-10} if method == "Newton-CG" else {"gtol": 1e-8}
    f, start = objective.value_and_grad, objective.zeros()
    found = minimize(f, start, jac=True, hessp=objective.hessp, method=method, options=options)
    assert found.fun == pytest.approx(lo.solve(objective).value, rel=1e-10)


def test_losses_without_a_second_derivative_say_so():
    for loss in (lo.MAE(), lo.Hinge(), lo.Quantile(0.3), lo.EpsilonInsensitive()):
        objective = lo.Objective(np.ones((4, 2)), [0, 1, 0, 1], loss)
        for ask in (objective.hessian, lambda w, o=objective: o.hessp(w, w)):
            with pytest.raises(ValueError, match="has no second derivative"):
                ask(np.ones(3))


# ---- the kernel


@pytest.mark.parametrize("level", _kernels.available)
@pytest.mark.parametrize("m", [0, 1, 7, 40])
def test_coordinates_equal_their_twin_to_the_bit(level, m):
    rng = np.random.default_rng(m)
    root = rng.standard_normal((m, 3 * m + 3))
    h, start = root @ root.T, rng.standard_normal(m) * (rng.random(m) < 0.5)
    if m > 5:
        h[2] = h[:, 2] = 0
    l1 = rng.random(m) * (rng.random(m) < 0.8)
    made = {}
    for side in (level, "reference"):
        g, w = np.linspace(-3, 3, m) if m else np.zeros(0), start.copy()
        sweeps = _kernels.load(side).penalties.coordinates(h, g, w, l1, 1e-12, 500)
        made[side] = g.tobytes(), w.tobytes(), sweeps
    assert made[level] == made["reference"]
    moved = np.diag(h) > 0
    least = np.where(w == 0, np.sign(g) * np.maximum(np.abs(g) - l1, 0), g + l1 * np.sign(w))
    assert np.abs(least[moved]).max(initial=0) < 1e-9
    np.testing.assert_array_equal(w[~moved], start[~moved])


def test_coordinates_refuse_what_does_not_match():
    with pytest.raises(ValueError, match="h, g, w and l1 must match"):
        _kernels.penalties.coordinates(np.eye(3), np.zeros(3), np.zeros(2), np.zeros(3), 0.1, 1)
