"""lossopt.sklearn: scikit-learn's own checks, and its own answers."""

import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
import sklearn
from scipy.sparse import csr_array
from sklearn import datasets, linear_model
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, scale
from sklearn.utils.estimator_checks import parametrize_with_checks

import lossopt as lo
from lossopt import sklearn as own
from lossopt.sklearn._base import jobs

MODELS = [
    own.LinearRegression(),
    own.LinearRegression(positive=True),
    own.Ridge(),
    own.Lasso(),
    own.ElasticNet(),
    own.LogisticRegression(),
    own.LogisticRegression(l1_ratio=0.5),
    own.RidgeCV(),
    own.RidgeCV(cv=3),
    own.LassoCV(alphas=20),
    own.ElasticNetCV(alphas=20, l1_ratio=[0.3, 1.0]),
    own.LogisticRegressionCV(Cs=4),
    own.SGDClassifier(),
    own.SGDClassifier("log_loss"),
    own.SGDRegressor(),
    own.MLPClassifier(),
    own.MLPRegressor(),
]
# of rows in another order another path is taken; scikit-learn's own fail them too
SHUFFLED = {f"check_sample_weight_equivalence_on_{kind}_data": "batches of other rows" for kind in ("dense", "sparse")}


def expected(estimator):
    return SHUFFLED if isinstance(estimator, (own.SGDClassifier, own.SGDRegressor)) else {}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(MODELS, expected_failed_checks=expected)
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
        own.LogisticRegression(solver=s, tol=1e-8).fit(X, y) for s in ("auto", "lbfgs", "newton-cholesky", "newton-cg")
    ]
    for model in fitted[1:]:
        np.testing.assert_allclose(model.coef_, fitted[0].coef_, atol=1e-4)


@pytest.mark.parametrize("solver", ["auto", "cholesky", "svd", "lsqr", "sparse_cg", "lbfgs"])
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("wide", [False, True])
def test_solvers_of_ridge(solver, sparse, fit_intercept, wide):
    X, y, weight = scale(DIABETES[0]), DIABETES[1], WEIGHT[: len(DIABETES[1])]
    if wide:
        X, y, weight = X[:7], y[:7], weight[:7] + 1
    targets = np.c_[y, X[:, 1] * 40 + 3]
    judge = linear_model.Ridge([3.0, 0.2], fit_intercept=fit_intercept, solver="svd").fit(X, targets, weight)
    model = own.Ridge([3.0, 0.2], fit_intercept=fit_intercept, solver=solver, tol=1e-6)
    model.fit(csr_array(X) if sparse else X, targets, weight)
    assert model.solver_ == ("cholesky" if solver == "auto" else solver)
    np.testing.assert_allclose(model.coef_, judge.coef_, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(model.intercept_, judge.intercept_, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize(
    ("cls", "options"),
    [
        ("Ridge", {"alpha": 3.0}),
        ("LinearRegression", {}),
        ("Lasso", {"alpha": 0.5}),
        ("ElasticNet", {"alpha": 0.5, "l1_ratio": 0.3}),
    ],
)
def test_weights_that_may_not_be_negative(cls, options, sparse):
    X, y, weight = scale(DIABETES[0]), DIABETES[1], WEIGHT[: len(DIABETES[1])]
    strict = {} if cls == "LinearRegression" else {"tol": 1e-12, "max_iter": 100_000}
    judge = getattr(linear_model, cls)(**options, **strict, positive=True).fit(X, y, weight)
    model = getattr(own, cls)(**options, positive=True).fit(csr_array(X) if sparse else X, y, weight)
    assert (model.coef_ >= 0).all()
    assert (model.coef_ == 0).any()
    np.testing.assert_allclose(model.coef_, judge.coef_, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(model.intercept_, judge.intercept_, rtol=1e-4)


def test_a_flat_direction_behind_one_that_is_nearly_flat_is_seen():
    """Cholesky's pivots did not show it: this is scikit-learn's own test of weights of zero."""
    rng = np.random.RandomState(42)
    X, y = rng.rand(10, 5), rng.rand(10)
    weight = rng.uniform(0.01, 2, 10)
    y[5:] *= 1000
    few = own.LinearRegression().fit(X[:5], y[:5], weight[:5])
    weight[5:] = 0
    np.testing.assert_allclose(own.LinearRegression().fit(X, y, weight).coef_, few.coef_, rtol=1e-8)
    np.testing.assert_allclose(few.predict(X[:5]), y[:5], rtol=1e-12)


def test_constant_targets_have_no_weights():
    for model in (own.Lasso(), own.ElasticNet(), own.LassoCV(alphas=5)):
        model.fit(DIABETES[0], np.full(len(DIABETES[1]), 5.1))
        np.testing.assert_array_equal(model.coef_, 0)
        np.testing.assert_allclose(model.intercept_, 5.1, rtol=1e-15)


def test_n_jobs_are_threads_while_a_fit_runs(monkeypatch):
    seen, before = [], lo.get_num_threads()
    monkeypatch.setattr(
        "lossopt.sklearn._base.solve", lambda *args: seen.append(lo.get_num_threads()) or lo.solve(*args)
    )
    X, y = scale(CANCER[0]), CANCER[1]
    for n_jobs in (None, 1, 3):
        own.LogisticRegression(n_jobs=n_jobs).fit(X, y)
        own.LinearRegression(n_jobs=n_jobs).fit(X, y)
    assert seen == [before, before, 1, 1, 3, 3]
    assert lo.get_num_threads() == before
    # in whatever order they end
    first, second = jobs(3), jobs(5)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    second.__exit__(None, None, None)
    assert lo.get_num_threads() == before


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
        (own.LinearRegression(tol=-1), "LinearRegression: tol must be a number from 0 to inf, got -1"),
        (own.Ridge(alpha=-1), "Ridge: alpha must be a number, 0 or more, or one for each target, got -1"),
        (own.Ridge(alpha=[1.0, 2.0]), "Ridge: alpha must be a number, 0 or more, or one for each target"),
        (own.Ridge(solver="sag"), "Ridge: solver must be one of 'auto', 'cholesky', 'svd', .*, got 'sag'"),
        (own.Ridge(positive=True, solver="svd"), "Ridge: solver='svd' does not support positive=True"),
        (own.Lasso(precompute=np.eye(30)), "Lasso: precompute must be True, False or 'auto'; no matrix is taken"),
        (own.Lasso(selection="random"), "Lasso: selection='random' is not supported"),
        (own.ElasticNet(l1_ratio=2), "ElasticNet: l1_ratio must be a number from 0 to 1, got 2"),
        (own.LogisticRegression(solver="saga"), "LogisticRegression: solver='saga' is a method that is not here"),
        (own.LogisticRegression(solver="x"), "LogisticRegression: solver must be one of 'auto', 'lbfgs'"),
        (own.LogisticRegression(l1_ratio=0.5, solver="newton-cg"), "solver='newton-cg' is for L2 alone"),
        (own.LogisticRegression(dual=True), "LogisticRegression: dual=True is not supported"),
        (own.LogisticRegression(verbose=1), "LogisticRegression: verbose=1 is not supported"),
        (own.LogisticRegression(C=0), "LogisticRegression: C must be a number"),
        (own.LogisticRegression(penalty="l3"), "LogisticRegression: penalty must be one of 'deprecated', 'l2', 'l1'"),
        (own.LogisticRegression(l1_ratio=-1), "LogisticRegression: l1_ratio must be a number from 0 to 1, got -1"),
        (own.LogisticRegression(l1_ratio=0.5, solver="lbfgs"), "method='lbfgs' needs a smooth objective"),
        (own.RidgeCV(alphas=(0.0, 1.0)), "RidgeCV: alphas must be positive"),
        (own.RidgeCV(alphas=(-1.0, 1.0), cv=3), "RidgeCV: alphas must be 0 or more"),
        (own.RidgeCV(gcv_mode="qr"), "RidgeCV: gcv_mode must be 'auto', 'svd', 'eigen' or None, got 'qr'"),
        (own.RidgeCV(cv=3, store_cv_results=True), "cv!=None and store_cv_results=True are incompatible"),
        (own.LassoCV(alphas=[-1.0]), "LassoCV: alphas must be strengths, 0 or more"),
        (own.LassoCV(alphas="many"), "LassoCV: alphas must be a whole number or strengths"),
        (own.ElasticNetCV(l1_ratio=0.0), "ElasticNetCV: Automatic alpha grid generation is not supported"),
        (own.ElasticNetCV(l1_ratio=[0.5, 2.0]), "ElasticNetCV: l1_ratio must be a number or numbers from 0 to 1"),
        (own.LogisticRegressionCV(Cs=[1.0, -1.0]), "LogisticRegressionCV: C must be a number"),
        (own.LogisticRegressionCV(l1_ratios=[2.0]), "LogisticRegressionCV: l1_ratio must be a number from 0 to 1"),
    ],
    ids=repr,
)
def test_what_has_no_meaning_is_refused(model, said):
    with pytest.raises(ValueError, match=said):
        model.fit(*CANCER)


# ---- by cross-validation


@pytest.mark.parametrize("mode", [None, "svd", "eigen"])
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("fit_intercept", [False, True])
def test_leaving_one_out_is_fitting_without_it(mode, sparse, wide, fit_intercept):
    X, y, weight = scale(DIABETES[0])[:30], DIABETES[1][:30], WEIGHT[:30] + 0.5
    if wide:
        X, y, weight = X[:8], y[:8], weight[:8]
    targets, alphas = np.c_[y, X[:, 1] * 40 + 3], (0.01, 1.0, 100.0)
    model = own.RidgeCV(
        alphas, fit_intercept=fit_intercept, gcv_mode=mode, store_cv_results=True, alpha_per_target=True
    ).fit(csr_array(X) if sparse else X, targets, sample_weight=weight)
    errors = np.empty((len(X), 2, 3))
    for i in range(len(X)):
        rest = np.arange(len(X)) != i
        for a, alpha in enumerate(alphas):
            one = linear_model.Ridge(alpha, fit_intercept=fit_intercept, solver="svd")
            one.fit(X[rest], targets[rest], sample_weight=weight[rest])
            errors[i, :, a] = (targets[i] - one.predict(X[[i]])[0]) ** 2 * weight[i]
    np.testing.assert_allclose(model.cv_results_, errors, rtol=1e-6, atol=1e-7)
    best = errors.mean(axis=0).argmin(axis=1)
    np.testing.assert_array_equal(model.alpha_, np.array(alphas)[best])
    np.testing.assert_allclose(model.best_score_, -errors.mean(axis=0)[[0, 1], best], rtol=1e-6, atol=1e-7)
    judge = linear_model.Ridge(model.alpha_, fit_intercept=fit_intercept, solver="svd").fit(X, targets, weight)
    np.testing.assert_allclose(model.coef_, judge.coef_, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(model.intercept_, judge.intercept_, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("options", [{}, {"scoring": "neg_mean_absolute_error"}, {"cv": 4}, {"cv": 4, "scoring": "r2"}])
def test_ridge_chooses_as_scikit_learn(options):
    X, y = scale(DIABETES[0]), DIABETES[1]
    alphas = np.logspace(-3, 4, 12)
    judge = linear_model.RidgeCV(alphas, **options).fit(X, y)
    model = own.RidgeCV(alphas, **options).fit(X, y)
    assert model.alpha_ == pytest.approx(judge.alpha_)
    assert model.best_score_ == pytest.approx(judge.best_score_, rel=1e-8)
    np.testing.assert_allclose(model.coef_, judge.coef_, rtol=1e-6)
    assert np.shape(model.intercept_) == np.shape(judge.intercept_)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize(
    ("cls", "options"),
    [
        ("LassoCV", {"alphas": 12}),
        ("LassoCV", {"alphas": [1.0, 0.1, 10.0], "cv": 3, "fit_intercept": False}),
        ("LassoCV", {"alphas": 6, "positive": True}),
        ("ElasticNetCV", {"alphas": 7, "l1_ratio": [0.2, 0.9]}),
        ("ElasticNetCV", {"alphas": [0.3, 0.03], "l1_ratio": 0.5}),
    ],
)
def test_paths_choose_as_scikit_learns(cls, options, sparse, weighted):
    X, y = scale(DIABETES[0]), DIABETES[1]
    weight = WEIGHT[: len(y)] if weighted else None
    judge = getattr(linear_model, cls)(**options, tol=1e-12, max_iter=100_000).fit(X, y, sample_weight=weight)
    model = getattr(own, cls)(**options, tol=1e-6).fit(csr_array(X) if sparse else X, y, sample_weight=weight)
    np.testing.assert_allclose(model.alphas_, judge.alphas_, rtol=1e-9)
    np.testing.assert_allclose(model.mse_path_, judge.mse_path_, rtol=1e-5)
    assert model.alpha_ == pytest.approx(judge.alpha_)
    if cls == "ElasticNetCV":
        assert model.l1_ratio_ == judge.l1_ratio_
    np.testing.assert_allclose(model.coef_, judge.coef_, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(model.predict(X), judge.predict(X), rtol=1e-5)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("ratios", [None, (0.0,), (0.0, 0.5)])
@pytest.mark.parametrize("name", ["cancer", "wine"])
def test_logistic_regression_chooses_as_scikit_learns(name, ratios, legacy):
    X, y = CANCER if name == "cancer" else WINE
    X, weight, elastic = scale(X)[:, :8], WEIGHT[: len(y)] + 0.5, ratios is not None and any(ratios)
    shared = {"Cs": [0.01, 0.3, 3.0], "cv": 3, "scoring": "neg_log_loss", "use_legacy_attributes": legacy}
    way = (
        {"solver": "saga", "tol": 1e-8, "max_iter": 50_000} if elastic else {"solver": "newton-cholesky", "tol": 1e-10}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        judge = linear_model.LogisticRegressionCV(**shared, **way, l1_ratios=ratios).fit(X, y, sample_weight=weight)
    model = own.LogisticRegressionCV(**shared, tol=1e-6, l1_ratios=ratios).fit(X, y, sample_weight=weight)
    np.testing.assert_array_equal(model.C_, judge.C_)
    np.testing.assert_allclose(model.coef_, judge.coef_, atol=1e-4)
    np.testing.assert_allclose(model.intercept_, judge.intercept_, atol=1e-4)
    assert model.score(X, y) == pytest.approx(judge.score(X, y), abs=1e-5)
    assert model.n_iter_.shape == judge.n_iter_.shape
    for what in ("scores_", "coefs_paths_"):
        mine, theirs = getattr(model, what), getattr(judge, what)
        pairs = [(mine[label], theirs[label]) for label in theirs] if legacy else [(mine, theirs)]
        for one, other in pairs:
            np.testing.assert_allclose(one, other, atol=2e-4)


def test_averaged_weights_without_a_refit():
    X, y = scale(WINE[0])[:, :5], WINE[1]
    shared = {"Cs": [0.01, 1.0], "cv": 3, "refit": False, "scoring": "neg_log_loss", "use_legacy_attributes": False}
    judge = linear_model.LogisticRegressionCV(**shared, solver="newton-cholesky", l1_ratios=(0,)).fit(X, y)
    model = own.LogisticRegressionCV(**shared, l1_ratios=(0,)).fit(X, y)
    assert pytest.approx(judge.C_) == model.C_
    np.testing.assert_allclose(model.coef_, judge.coef_, atol=1e-4)


def test_metadata_are_routed():
    X, y, groups = scale(DIABETES[0]), DIABETES[1], np.arange(len(DIABETES[1])) % 5
    with pytest.raises(ValueError, match="LassoCV: passing on groups is only supported if enable_metadata_routing"):
        own.LassoCV(cv=GroupKFold(5)).fit(X, y, groups=groups)
    folds = list(GroupKFold(5).split(X, y, groups))
    labels = (y > 150).astype(int)
    with sklearn.config_context(enable_metadata_routing=True):
        for cls, target in ((own.LassoCV, y), (own.RidgeCV, y), (own.LogisticRegressionCV, labels)):
            routed = cls(cv=GroupKFold(5).set_split_request(groups=True)).fit(X, target, groups=groups)
            np.testing.assert_array_equal(routed.coef_, cls(cv=folds).fit(X, target).coef_)
        weight = WEIGHT[: len(y)] + 0.5
        search = GridSearchCV(
            own.Ridge().set_fit_request(sample_weight=True).set_score_request(sample_weight=True), {"alpha": [0.1, 9.0]}
        ).fit(X, y, sample_weight=weight)
        np.testing.assert_array_equal(
            search.best_estimator_.coef_, own.Ridge(**search.best_params_).fit(X, y, weight).coef_
        )


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
