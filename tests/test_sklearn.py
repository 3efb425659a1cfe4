"""lossopt.sklearn: scikit-learn's own checks, and its own answers."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn import datasets, linear_model
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, scale
from sklearn.utils.estimator_checks import parametrize_with_checks

from lossopt import sklearn as own

MODELS = [
    own.LinearRegression(),
    own.LinearRegression(positive=True),
    own.Ridge(),
    own.Lasso(),
    own.ElasticNet(),
    own.LogisticRegression(),
    own.LogisticRegression(l1_ratio=0.5),
]


@parametrize_with_checks(MODELS)
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


DIABETES, CANCER, DIGITS, WINE, IRIS = (
    getattr(datasets, f"load_{name}")(return_X_y=True)
    for name in ("diabetes", "breast_cancer", "digits", "wine", "iris")
)
WEIGHT = np.random.default_rng(0).integers(0, 4, 2000).astype(float)


def squares(alpha, l1_ratio=0.0, mean=True):
    """The objective of scikit-learn's documentation, in NumPy."""

    def value(model, X, y, weight):
        residual = np.sum((y - X @ np.transpose(model.coef_) - model.intercept_) ** 2, axis=tuple(range(1, y.ndim)))
        data = np.average(residual, weights=weight) / 2 if mean else np.sum(residual * weight)
        w = np.ravel(model.coef_)
        return data + alpha * (l1_ratio * np.abs(w).sum() + (1 - l1_ratio) * (w @ w) / (2 if mean else 1))

    return value


def logistic(C, l1_ratio=0.0, class_weight=None):
    def value(model, X, y, weight):
        labels = np.searchsorted(model.classes_, y)
        z = X @ model.coef_.T + model.intercept_
        z = np.c_[np.zeros(len(z)), z] if z.shape[1] == 1 else z
        if class_weight == "balanced":
            mass = np.bincount(labels, weight)
            weight = weight * (mass.sum() / len(mass) / mass)[labels]
        losses = np.logaddexp.reduce(z, axis=1) - z[np.arange(len(z)), labels]
        w = np.ravel(model.coef_)
        return C * np.sum(weight * losses) + l1_ratio * np.abs(w).sum() + (1 - l1_ratio) * (w @ w) / 2

    return value


STRICT = {"tol": 1e-12, "max_iter": 100_000}
PAIRS = {
    "LinearRegression": ({}, {}, squares(0.0), (DIABETES,)),
    "Ridge": ({"alpha": 3.0}, {"solver": "svd"}, squares(3.0, mean=False), (DIABETES, CANCER)),
    "Lasso": ({"alpha": 0.3}, STRICT, squares(0.3, 1.0), (DIABETES,)),
    "ElasticNet": ({"alpha": 0.3, "l1_ratio": 0.3}, STRICT, squares(0.3, 0.3), (DIABETES, CANCER)),
    "LogisticRegression": (
        {"C": 0.7},
        {"solver": "newton-cholesky", "tol": 1e-12, "max_iter": 1000},
        logistic(0.7),
        (CANCER, WINE, IRIS),
    ),
    "LogisticRegression balanced": (
        {"C": 0.7, "class_weight": "balanced"},
        {"solver": "newton-cholesky", "tol": 1e-12, "max_iter": 1000},
        logistic(0.7, class_weight="balanced"),
        (CANCER, WINE),
    ),
    "LogisticRegression sparse": (
        {"C": 0.2, "l1_ratio": 1.0},
        {"solver": "saga", "tol": 1e-7, "max_iter": 100_000},
        logistic(0.2, 1.0),
        (CANCER, WINE),
    ),
    "LogisticRegression elastic": (
        {"C": 0.2, "l1_ratio": 0.4},
        {"solver": "saga", "tol": 1e-7, "max_iter": 100_000},
        logistic(0.2, 0.4),
        (CANCER, IRIS),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("sparse", [False, True])
def test_the_objective_is_scikit_learns(name, weighted, sparse):
    shared, strict, value, sets = PAIRS[name]
    cls = name.split()[0]
    for X, y in sets:
        X = scale(X)
        weight = WEIGHT[: len(X)] if weighted else np.ones(len(X))
        judge = getattr(linear_model, cls)(**shared, **strict).fit(X, y, sample_weight=weight)
        rows = csr_array(X) if sparse else X
        if sparse:
            rows.indices, rows.indptr = rows.indices.astype(np.int64), rows.indptr.astype(np.int64)
        options = {"tol": 1e-8} if cls in ("LinearRegression", "Ridge") else {"tol": 1e-8, "max_iter": 20_000}
        model = getattr(own, cls)(**shared, **options).fit(rows, y, sample_weight=weight if weighted else None)
        least = value(judge, X, y, weight)
        assert value(model, X, y, weight) <= least * (1 + 1e-6)
        assert model.coef_.shape == judge.coef_.shape
        assert np.shape(model.intercept_) == np.shape(judge.intercept_)
        np.testing.assert_allclose(
            model.predict(rows), judge.predict(X), atol=1e-2 * np.std(judge.predict(X)) if y is DIABETES[1] else 0
        )
        if cls == "LogisticRegression":
            np.testing.assert_allclose(model.predict_proba(rows), judge.predict_proba(X), atol=2e-3)
            np.testing.assert_allclose(model.decision_function(X).shape, judge.decision_function(X).shape)
            np.testing.assert_allclose(model.predict_log_proba(X), np.log(model.predict_proba(X)), atol=1e-9)


def test_the_softmax_of_digits():
    X, y = DIGITS[0] / 16, DIGITS[1]
    judge = linear_model.LogisticRegression(tol=1e-7, max_iter=10_000).fit(X, y)
    model = own.LogisticRegression(tol=1e-6).fit(X, y)
    weight = np.ones(len(X))
    assert logistic(1.0)(model, X, y, weight) <= logistic(1.0)(judge, X, y, weight) * (1 + 1e-6)
    np.testing.assert_allclose(model.predict_proba(X), judge.predict_proba(X), atol=1e-3)


@pytest.mark.parametrize("cls", ["LinearRegression", "Ridge", "Lasso", "ElasticNet"])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_several_targets(cls, fit_intercept):
    X, y = scale(DIABETES[0]), np.c_[scale(DIABETES[1]), DIABETES[0][:, 2] * 20, DIABETES[0][:, 3] ** 2]
    judge = getattr(linear_model, cls)(fit_intercept=fit_intercept).fit(X, y)
    model = getattr(own, cls)(fit_intercept=fit_intercept).fit(X, y)
    np.testing.assert_allclose(model.coef_, judge.coef_, atol=1e-4)
    np.testing.assert_allclose(model.intercept_, judge.intercept_, atol=1e-6)
    assert model.predict(X).shape == y.shape
    judge, model = (estimator.fit(X, y[:, :1]) for estimator in (judge, model))
    assert model.coef_.shape == judge.coef_.shape
    assert np.shape(model.intercept_) == np.shape(judge.intercept_)
    assert model.predict(X).shape == judge.predict(X).shape


def test_single_precision_stays():
    for model, (X, y) in ((own.Ridge(), DIABETES), (own.Lasso(), DIABETES), (own.LogisticRegression(), CANCER)):
        single = clone(model).fit(scale(X).astype(np.float32), y)
        assert single.coef_.dtype == np.float32
        np.testing.assert_allclose(single.coef_, clone(model).fit(scale(X), y).coef_, rtol=2e-2, atol=2e-3)


def test_solvers_run_the_method_they_name():
    X, y = scale(CANCER[0]), CANCER[1]
    fitted = [
        own.LogisticRegression(solver=s, tol=1e-8).fit(X, y) for s in ("auto", "lbfgs", "newton-cholesky", "saga")
    ]
    for model in fitted[1:]:
        np.testing.assert_allclose(model.coef_, fitted[0].coef_, atol=1e-5)
    X, y = scale(DIABETES[0]), DIABETES[1]
    for solver, method in (("auto", "auto"), ("cholesky", "normal"), ("lbfgs", "lbfgs")):
        model = own.Ridge(solver=solver).fit(X, y)
        assert model.solver_ == method
        np.testing.assert_allclose(model.coef_, linear_model.Ridge().fit(X, y).coef_, rtol=1e-6)


def test_a_warm_start_goes_on():
    X, y = scale(CANCER[0]), CANCER[1]
    for model in (own.LogisticRegression(C=0.1, l1_ratio=1.0, warm_start=True), own.Lasso(alpha=0.01, warm_start=True)):
        first = model.fit(X, y).coef_.copy()
        again = model.fit(X, y)
        assert np.max(again.n_iter_) <= 1
        np.testing.assert_allclose(again.coef_, first, atol=1e-6)


def test_they_live_in_scikit_learns_world():
    X, y = CANCER
    search = GridSearchCV(
        make_pipeline(StandardScaler(), own.LogisticRegression()), {"logisticregression__C": [0.01, 1.0]}, cv=3
    ).fit(X, y)
    assert search.best_score_ > 0.95
    copy = pickle.loads(pickle.dumps(search.best_estimator_))
    np.testing.assert_array_equal(copy.predict(X), search.predict(X))
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=[f"column {i}" for i in range(30)])
    model = own.Ridge().fit(frame, y)
    assert list(model.feature_names_in_) == list(frame.columns)
    assert own.Lasso(alpha=0.01).fit(X, y).sparse_coef_.nnz == np.count_nonzero(own.Lasso(alpha=0.01).fit(X, y).coef_)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (own.LinearRegression(n_jobs=2), "LinearRegression: n_jobs=2 is not supported, only n_jobs=None"),
        (own.LinearRegression(tol=-1), "LinearRegression: tol must be a number from 0 to inf, got -1"),
        (own.Ridge(alpha=-1), "Ridge: alpha must be a number from 0 to inf, got -1"),
        (own.Ridge(alpha=[1.0]), "Ridge: alpha must be a number"),
        (own.Ridge(solver="sag"), "Ridge: solver must be one of 'auto', 'cholesky', 'lbfgs', got 'sag'"),
        (own.Ridge(positive=True), "Ridge: positive=True is not supported, only positive=False"),
        (own.Lasso(precompute=True), "Lasso: precompute=True is not supported"),
        (own.Lasso(selection="random"), "Lasso: selection='random' is not supported"),
        (own.ElasticNet(l1_ratio=2), "ElasticNet: l1_ratio must be a number from 0 to 1, got 2"),
        (own.ElasticNet(positive=True), "ElasticNet: positive=True is not supported"),
        (own.LogisticRegression(solver="liblinear"), "LogisticRegression: solver must be one of 'auto', 'lbfgs'"),
        (own.LogisticRegression(dual=True), "LogisticRegression: dual=True is not supported"),
        (own.LogisticRegression(verbose=1), "LogisticRegression: verbose=1 is not supported"),
        (own.LogisticRegression(C=0), "LogisticRegression: C must be a number"),
        (own.LogisticRegression(penalty="l3"), "LogisticRegression: penalty must be 'l2', 'l1', 'elasticnet' or None"),
        (own.LogisticRegression(l1_ratio=-1), "LogisticRegression: l1_ratio must be a number from 0 to 1, got -1"),
        (own.LogisticRegression(l1_ratio=0.5, solver="lbfgs"), "method='lbfgs' needs a smooth objective"),
    ],
    ids=repr,
)
def test_what_has_no_meaning_is_refused(model, said):
    with pytest.raises(ValueError, match=said):
        model.fit(*CANCER)


def test_the_words_of_the_old_penalty():
    X, y = scale(CANCER[0]), CANCER[1]
    for penalty, options in (("l1", {"l1_ratio": 1.0}), ("l2", {"l1_ratio": 0.0}), ("elasticnet", {"l1_ratio": 0.3})):
        old = own.LogisticRegression(penalty, C=0.1, l1_ratio=options["l1_ratio"] if penalty == "elasticnet" else 0.0)
        np.testing.assert_array_equal(old.fit(X, y).coef_, own.LogisticRegression(C=0.1, **options).fit(X, y).coef_)
    overlapping = X[:, :3]
    free = own.LogisticRegression(None, tol=1e-8).fit(overlapping, y)
    np.testing.assert_allclose(free.coef_, own.LogisticRegression(C=np.inf, tol=1e-8).fit(overlapping, y).coef_)


def test_a_search_that_does_not_arrive_is_warned_of():
    X, y = scale(CANCER[0]), CANCER[1]
    with pytest.warns(ConvergenceWarning, match="max_iter=1 reached"):
        own.LogisticRegression(max_iter=1).fit(X, y)
    with pytest.warns(ConvergenceWarning, match="the rows are separable"):
        own.LogisticRegression(None, tol=1e-9).fit(X, y)


def test_a_missing_scikit_learn_is_named():
    code = "import sys; sys.modules['sklearn.base'] = None; import lossopt.sklearn"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "ImportError: lossopt.sklearn needs scikit-learn: pip install 'lossopt[sklearn]'" in done.stderr
