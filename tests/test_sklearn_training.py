"""lossopt.sklearn's models that are trained: their steps written out, and scikit-learn's own."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from sklearn import datasets, linear_model, neural_network
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import scale
from sklearn.utils import check_random_state

import lossopt as lo
from lossopt import sklearn as own

CANCER, IRIS, DIGITS, DIABETES = (
    getattr(datasets, f"load_{name}")(return_X_y=True) for name in ("breast_cancer", "iris", "digits", "diabetes")
)
X2, Y2 = scale(CANCER[0]), CANCER[1]
X3, Y3 = scale(IRIS[0]), IRIS[1]
XR, YR = scale(DIABETES[0]), scale(DIABETES[1])
WEIGHT = np.random.default_rng(0).integers(0, 3, 2000).astype(float)

# the derivative in the score z of scikit-learn's losses, y being -1 or 1, or a number
SLOPES = {
    "hinge": lambda z, y: -y * (y * z < 1),
    "log_loss": lambda z, y: -y / (1 + np.exp(y * z)),
    "modified_huber": lambda z, y: np.where(y * z < -1, -4 * y, -2 * y * np.maximum(0, 1 - y * z)),
    "squared_hinge": lambda z, y: -2 * y * np.maximum(0, 1 - y * z),
    "perceptron": lambda z, y: -y * (y * z <= 0),
    "squared_error": lambda z, y: z - y,
    "huber": lambda z, y: np.clip(z - y, -0.1, 0.1),
    "epsilon_insensitive": lambda z, y: np.sign(z - y) * (np.abs(z - y) > 0.1),
    "squared_epsilon_insensitive": lambda z, y: 2 * np.sign(z - y) * np.maximum(0, np.abs(z - y) - 0.1),
}
REGRESSION = list(SLOPES)[5:]


def steps(slope, X, y, lr, alpha, weight, epochs, batch=1, fit_intercept=True, average=None):
    """Stochastic gradient descent with L2, as one would write it."""
    w, b, t, kept = np.zeros(X.shape[1]), 0.0, 0, []
    for _ in range(epochs):
        for begin in range(0, len(X), batch):
            rows = slice(begin, begin + batch)
            g = weight[rows] * slope(X[rows] @ w + b, y[rows]) / batch
            if (weight[rows] == 0).all():
                continue
            eta = lr(t)
            w = w - eta * (X[rows].T @ g + alpha * w)
            b = b - eta * g.sum() * fit_intercept
            t += 1
            kept.append((w, b))
    if average is not None:
        kept = kept[average:]
        return np.mean([w for w, _ in kept], axis=0), np.mean([b for _, b in kept])
    return w, b


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", SLOPES)
def test_the_steps_are_scikit_learns(loss, weighted, sparse):
    """Dense and CSR alike: of a given order of rows scikit-learn's own end in the same place on dense rows."""
    of_classes = loss not in REGRESSION
    X, y = (X2, 2.0 * Y2 - 1) if of_classes else (XR, YR)
    weight = WEIGHT[: len(X)] + 0.5 if weighted else np.ones(len(X))
    options = {
        "alpha": 0.01,
        "shuffle": False,
        "tol": None,
        "max_iter": 3,
        "eta0": 0.005,
        "learning_rate": "invscaling",
    }
    name = "SGDClassifier" if of_classes else "SGDRegressor"
    rows = csr_array(X) if sparse else X
    model = getattr(own, name)(loss, **options).fit(rows, y, sample_weight=weight if weighted else None)
    power = model.power_t
    w, b = steps(SLOPES[loss], X, y, lambda t: 0.005 / (t + 1) ** power, 0.01, weight, 3)
    assert_allclose(np.ravel(model.coef_), w, rtol=1e-7, atol=1e-9)
    assert_allclose(model.intercept_, b, rtol=1e-7, atol=1e-9)
    judge = getattr(linear_model, name)(loss, **options).fit(X, y, sample_weight=weight)
    assert_allclose(model.coef_, judge.coef_, rtol=1e-5, atol=1e-7)
    assert_allclose(model.intercept_, judge.intercept_, rtol=1e-5, atol=1e-7)
    assert model.n_iter_ == judge.n_iter_
    assert model.t_ == judge.t_
    assert model.coef_.shape == judge.coef_.shape
    assert model.intercept_.shape == judge.intercept_.shape


@pytest.mark.parametrize("rate", ["constant", "optimal", "invscaling"])
@pytest.mark.parametrize("batch", [1, 10])
def test_rates_and_batches(rate, batch):
    options = {"alpha": 0.02, "shuffle": False, "tol": None, "max_iter": 2, "eta0": 0.01, "learning_rate": rate}
    model = own.SGDClassifier("log_loss", **options, batch_size=batch, fit_intercept=False).fit(X2, Y2)
    typical = np.sqrt(1 / np.sqrt(0.02))
    start = 1 / (typical / max(1.0, 1 / (1 + np.exp(-typical))) * 0.02)
    lrs = {
        "constant": lambda t: 0.01,
        "optimal": lambda t: 1 / (0.02 * (start + t)),
        "invscaling": lambda t: 0.01 / np.sqrt(t + 1),
    }
    y, weight = 2.0 * Y2 - 1, np.ones(len(Y2))
    w, _ = steps(SLOPES["log_loss"], X2[:560], y[:560], lrs[rate], 0.02, weight, 2, batch, fit_intercept=False)
    model.fit(X2[:560], Y2[:560])
    assert_allclose(model.coef_[0], w, rtol=1e-7, atol=1e-10)
    assert_array_equal(model.intercept_, 0)


@pytest.mark.parametrize("average", [True, 100])
def test_averages(average):
    options = {"alpha": 0.02, "shuffle": False, "tol": None, "max_iter": 2, "eta0": 0.01, "learning_rate": "constant"}
    model = own.SGDRegressor(**options, average=average).fit(XR, YR)
    weight = np.ones(len(YR))
    begin = 0 if average is True else average - 1
    w, b = steps(SLOPES["squared_error"], XR, YR, lambda t: 0.01, 0.02, weight, 2, average=begin)
    assert_allclose(model.coef_, w, rtol=1e-7, atol=1e-10)
    assert_allclose(model.intercept_, b, rtol=1e-7, atol=1e-10)
    judge = linear_model.SGDRegressor(**options, average=average).fit(XR, YR)
    assert_allclose(model.coef_, judge.coef_, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("loss", ["hinge", "log_loss", "squared_error"])
def test_each_class_against_the_rest(loss):
    options = {"shuffle": False, "tol": None, "max_iter": 4, "learning_rate": "constant", "eta0": 0.01}
    model = own.SGDClassifier(loss, **options).fit(X3, Y3)
    for c in range(3):
        alone = own.SGDClassifier(loss, **options).fit(X3, c == Y3)
        assert_allclose(model.coef_[c], alone.coef_[0], rtol=1e-10, atol=1e-13)
        assert_allclose(model.intercept_[c], alone.intercept_[0], rtol=1e-10, atol=1e-13)
    judge = linear_model.SGDClassifier(loss, **options).fit(X3, Y3)
    assert_allclose(model.coef_, judge.coef_, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("loss", ["log_loss", "modified_huber"])
@pytest.mark.parametrize("two", [True, False])
def test_probabilities_are_scikit_learns(loss, two):
    X, y = (X2, Y2) if two else (X3, Y3)
    model = own.SGDClassifier(loss, random_state=0).fit(X, y)
    judge = linear_model.SGDClassifier(loss, random_state=0).fit(X, y)
    judge.coef_, judge.intercept_ = model.coef_, model.intercept_
    assert_allclose(model.predict_proba(X), judge.predict_proba(X), atol=1e-12)
    assert_array_equal(model.predict(X), judge.predict(X))
    assert_allclose(np.exp(model.predict_log_proba(X)), model.predict_proba(X))


def test_an_optimizer_needs_no_rate_of_scikit_learns():
    for alone in ({"optimizer": lo.Adam(0.01)}, {"schedule": lo.Constant(0.01)}):
        model = own.SGDClassifier("log_loss", penalty=None, alpha=0, random_state=0, **alone).fit(X2, Y2)
        assert model.score(X2, Y2) > 0.97
    # the one given is not moved on
    assert own.SGDClassifier("log_loss", optimizer=(adam := lo.Adam(0.01))).fit(X2, Y2).optimizer is adam
    assert adam.steps == 0


def test_the_softmax_goes_to_its_minimum():
    best = own.LogisticRegression(C=1 / (1e-2 * len(X3)), tol=1e-6).fit(X3, Y3)
    for batch, optimizer, schedule in (
        (16, lo.Adam(), lo.CosineAnnealing(0.05, 10 * 600)),
        (4, None, lo.InverseTime(0.5, 1e-2)),
    ):
        model = own.SGDClassifier(
            "cross_entropy", alpha=1e-2, batch_size=batch, optimizer=optimizer, schedule=schedule, tol=None,
            max_iter=600, random_state=0,
        ).fit(X3, Y3)  # fmt: skip
        assert_allclose(model.predict_proba(X3), best.predict_proba(X3), atol=0.02)
        assert_allclose(model.predict_proba(X3).sum(axis=1), 1)
    assert_array_equal(own.SGDClassifier("cross_entropy", random_state=3).fit(X2, Y2).coef_,
                       own.SGDClassifier("log_loss", random_state=3).fit(X2, Y2).coef_)  # fmt: skip


def test_mistakes_that_have_a_price():
    price = lo.CostSensitive(false_negative=50, false_positive=1)
    table = lo.CostSensitive([[0, 1, 9], [1, 0, 9], [1, 1, 0]])
    options = {"alpha": 1e-2, "batch_size": 32, "max_iter": 100, "tol": None, "random_state": 0}

    def cost(loss, judge, X, y):
        model = own.SGDClassifier(loss, **options, optimizer=lo.Adam(0.02)).fit(X, y)
        return judge.expected_cost(model.predict(X), y)

    plain = cost("log_loss", price, X2, Y2)
    assert cost(price, price, X2, Y2) < plain
    # of a table of two classes the score is the difference of theirs
    assert cost(lo.CostSensitive([[0, 1], [50, 0]]), price, X2, Y2) < plain
    assert cost(table, table, X3, Y3) < cost("cross_entropy", table, X3, Y3)
    nets = [
        own.MLPClassifier(10, loss=x, random_state=0, max_iter=50, tol=None).fit(X2, Y2) for x in ("log_loss", price)
    ]
    costs = [price.expected_cost(net.predict(X2), Y2) for net in nets]
    assert costs[1] < costs[0]
    assert own.SGDClassifier(lo.Focal(), random_state=0).fit(X2, Y2).score(X2, Y2) > 0.95
    assert own.SGDClassifier(lo.MulticlassHinge(), random_state=0).fit(X3, Y3).score(X3, Y3) > 0.9
    above = own.SGDRegressor(lo.Quantile(0.9), random_state=0, batch_size=32, optimizer=lo.Adam(0.01)).fit(XR, YR)
    assert 0.85 < np.mean(above.predict(XR) > YR) < 0.95


@pytest.mark.parametrize("cls", [own.SGDClassifier, own.MLPClassifier])
def test_weights_of_classes_are_those_of_their_rows(cls):
    own_weight = cls(class_weight={0: 1.0, 1: 3.0}, random_state=0, max_iter=40, tol=None).fit(X2, Y2)
    rows = cls(random_state=0, max_iter=40, tol=None).fit(X2, Y2, sample_weight=np.where(Y2 == 1, 3.0, 1.0))
    assert_array_equal(own_weight.predict_proba(X2) if cls is own.MLPClassifier else own_weight.coef_,
                       rows.predict_proba(X2) if cls is own.MLPClassifier else rows.coef_)  # fmt: skip


MODELS = [
    own.SGDClassifier("log_loss", random_state=1),
    own.SGDClassifier("log_loss", random_state=1, batch_size=8, optimizer=lo.Adam(0.01)),
    own.SGDClassifier("cross_entropy", random_state=1, penalty="l1"),
    own.SGDRegressor(random_state=1, average=True),
    own.MLPClassifier(7, random_state=1),
    own.MLPRegressor(hidden_layer_sizes=7, solver="sgd", random_state=1),
]


def data_of(model):
    return (XR, YR) if "Regressor" in type(model).__name__ else (X3, Y3)


@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_partial_fits_are_one_fit(model):
    X, y = data_of(model)
    whole = clone(model).set_params(max_iter=4, tol=None).fit(X, y)
    parts = clone(model)
    for i in range(4):
        parts.partial_fit(X, y, **({"classes": [0, 1, 2]} if i == 0 and y is Y3 else {}))
        if i == 1:
            parts = pickle.loads(pickle.dumps(parts))
    assert_array_equal(parts.predict(X), whole.predict(X))
    assert parts.loss_curve_ == whole.loss_curve_
    assert len(parts.loss_curve_) == 4
    assert parts.n_iter_ == 1
    assert parts.t_ == whole.t_


@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_single_precision_stays(model):
    X, y = data_of(model)
    if hasattr(model, "eta0"):
        model = clone(model).set_params(learning_rate="constant", eta0=1e-3)
    double, single = (clone(model).set_params(max_iter=5, tol=None).fit(X.astype(t), y) for t in (float, np.float32))
    weights = single.coefs_ if hasattr(single, "coefs_") else [single.coef_, single.intercept_]
    assert {w.dtype for w in weights} == {np.dtype(np.float32)}
    assert_allclose(single.loss_curve_, double.loss_curve_, rtol=1e-3)


@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_a_seed_is_an_order_and_none_is_chance(model):
    X, y = data_of(model)
    model = clone(model).set_params(max_iter=3, tol=None)
    assert clone(model).fit(X, y).loss_curve_ == clone(model).fit(X, y).loss_curve_
    other = clone(model).set_params(random_state=2).fit(X, y).loss_curve_
    assert other != clone(model).fit(X, y).loss_curve_
    chance = clone(model).set_params(random_state=None)
    assert clone(chance).fit(X, y).loss_curve_ != clone(chance).fit(X, y).loss_curve_


@pytest.mark.parametrize("model", MODELS[:-1], ids=repr)
def test_a_warm_start_goes_on_where_it_was(model):
    X, y = data_of(model)
    if hasattr(model, "eta0"):
        model = clone(model).set_params(learning_rate="constant", eta0=1e-3)
    model = clone(model).set_params(max_iter=30, tol=None, warm_start=True).fit(X, y)
    before = model.loss_curve_[-1]
    assert model.fit(X, y).loss_curve_[0 if hasattr(model, "coef_") else 30] < before * 1.1


def test_it_ends_where_nothing_improves():
    model = own.SGDClassifier("log_loss", tol=1e-3, n_iter_no_change=3, random_state=0).fit(X2, Y2)
    curve, best, bad = model.loss_curve_, np.inf, 0
    for i, x in enumerate(curve):
        bad = bad + 1 if x > best - 1e-3 else 0
        best = min(best, x)
        assert (bad == 3) == (i == len(curve) - 1)
    with pytest.warns(ConvergenceWarning, match="the loss still improves after max_iter=2 epochs"):
        own.SGDClassifier(max_iter=2, random_state=0).fit(X2, Y2)
    # patience with the step size first
    options = {"learning_rate": "adaptive", "eta0": 0.5, "random_state": 0, "max_iter": 4000, "n_iter_no_change": 2}
    model = own.SGDRegressor(**options, batch_size=32).fit(XR, YR)
    exact = linear_model.Ridge(1e-4 * len(XR)).fit(XR, YR)
    assert model.score(XR, YR) > exact.score(XR, YR) - 0.01


@pytest.mark.parametrize(
    "model", [own.SGDClassifier("log_loss"), own.MLPClassifier(20), own.MLPRegressor(hidden_layer_sizes=20)], ids=repr
)
def test_early_stopping_looks_at_rows_held_back(model):
    X, y = (XR, YR) if isinstance(model, own.MLPRegressor) else (DIGITS[0] / 16, DIGITS[1])
    model = clone(model).set_params(
        early_stopping=True, validation_fraction=0.3, n_iter_no_change=4, random_state=0, tol=1e-3
    )
    model.fit(X, y)
    assert model.n_iter_ < 200
    assert model.score(X, y) > (0.3 if y is YR else 0.9)
    if hasattr(model, "validation_scores_"):
        scores = np.array(model.validation_scores_)
        assert model.best_validation_score_ == scores.max()
        assert model.best_loss_ is None
        # the best weights are back
        kind = model._held_back(X, y, None, None if y is YR else y)
        assert_allclose(model.score(*kind[3:5]), scores.max(), atol=1e-12)


def test_losses_that_grow_are_told():
    with pytest.warns(
        ConvergenceWarning, match="SGDRegressor: the loss came to .* beside 0.5 of scores of 0; scale X, or shorten"
    ):
        own.SGDRegressor(random_state=0).fit(XR * 1e5, YR)
    with pytest.raises(ValueError, match="SGDClassifier: floating-point overflow in epoch 1; scaling X with Standard"):
        own.SGDClassifier("squared_hinge", random_state=0).fit(X2 * 1e300, Y2)


def test_what_is_printed(capsys):
    own.MLPClassifier(5, verbose=True, max_iter=2, tol=None, early_stopping=True, random_state=0).fit(X2, Y2)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0] for line in lines] == ["Iteration 1", "Iteration 2"]
    assert "validation score = " in lines[0]


def test_weights_may_be_kept_sparse():
    model = own.SGDClassifier("hinge", penalty="l1", alpha=0.5, random_state=0).fit(X3, Y3)
    scores = model.decision_function(X3)
    assert (model.coef_ == 0).any()
    assert_allclose(model.sparsify().decision_function(X3), scores)
    assert model.coef_.nnz < 12
    assert_allclose(model.densify().decision_function(csr_array(X3)), scores)


# ---- perceptrons


def started(judge, X, y, sizes, activation, seed):
    """scikit-learn's perceptron with the weights that lossopt's begins with."""
    start = lo.MLP(sizes, {"logistic": "sigmoid"}.get(activation, activation), seed=seed)
    params = list(start.params.values())
    with pytest.warns(ConvergenceWarning):
        judge.set_params(max_iter=1).fit(X, y)
    judge.coefs_ = [w.T.copy() for w in params[::2]]
    judge.intercepts_ = [b.copy() for b in params[1::2]]
    judge.loss_curve_, judge.t_, judge.best_loss_, judge._no_improvement_count = [], 0, np.inf, 0
    return judge


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize(
    "way",
    [
        {"solver": "sgd", "learning_rate_init": 0.05},
        {"solver": "sgd", "learning_rate_init": 0.05, "nesterovs_momentum": False, "momentum": 0.5},
        {"solver": "sgd", "learning_rate_init": 0.05, "momentum": 0.0, "alpha": 0.0},
        {"solver": "adam", "learning_rate_init": 0.01, "epsilon": 1e-12},
        {"solver": "lbfgs", "tol": 1e-9},
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["two", "three", "labels", "number", "numbers", "poisson"])
def test_perceptrons_step_as_scikit_learns(kind, way, activation):
    X, y = {
        "two": (X2[:120], Y2[:120]),
        "three": (X3, Y3),
        "labels": (X3, np.c_[Y3 > 0, Y3 == 1, X3[:, 0] > 0].astype(int)),
        "number": (XR[:120], YR[:120]),
        "numbers": (XR[:120], np.c_[YR, -YR, XR[:, 0] ** 2][:120]),
        "poisson": (XR[:120], np.round(np.exp(YR[:120]))),
    }[kind]
    name = "MLPRegressor" if kind in ("number", "numbers", "poisson") else "MLPClassifier"
    options = {"hidden_layer_sizes": (5,), "activation": activation, "shuffle": False, "batch_size": 30, "alpha": 0.3}
    options |= {"tol": 0.0, "random_state": 0} | way | ({"loss": "poisson"} if kind == "poisson" else {})
    seed = int(check_random_state(0).randint(2**31 - 1))
    outputs = {"two": 1, "number": 1, "poisson": 1}.get(kind, 3)
    judge = getattr(neural_network, name)(**options, warm_start=True)
    judge = started(judge, X, y, (X.shape[1], 5, outputs), activation, seed)
    epochs = 5 if way["solver"] != "lbfgs" else 12
    with pytest.warns(ConvergenceWarning):
        judge.set_params(max_iter=epochs).fit(X, y)
    model = getattr(own, name)(**options)
    with pytest.warns(ConvergenceWarning):
        model.set_params(max_iter=epochs, tol=way.get("tol", -1.0)).fit(X, y)
    if way["solver"] == "lbfgs":
        if kind not in ("numbers", "poisson"):
            assert_allclose(model.loss_, judge.loss_, rtol=1e-4)
    else:
        # there the penalty is a mean over the epoch, here that of its end
        if kind not in ("numbers", "poisson"):
            # there a mean over outputs, and what depends on the targets alone
            assert_allclose(model.loss_curve_, judge.loss_curve_, rtol=1e-6 if judge.alpha == 0 else 0.03)
        for mine, theirs in zip([*model.coefs_, *model.intercepts_], [*judge.coefs_, *judge.intercepts_], strict=True):
            assert_allclose(mine, theirs, rtol=1e-3, atol=1e-5)
    assert model.out_activation_ == {"identity": "identity"}.get(judge.out_activation_, judge.out_activation_)
    assert (model.n_layers_, model.n_outputs_, model.t_) == (judge.n_layers_, judge.n_outputs_, judge.t_)
    judge.coefs_, judge.intercepts_ = model.coefs_, model.intercepts_
    assert_allclose(model.predict(X), judge.predict(X), rtol=1e-10)
    assert model.predict(X).shape == judge.predict(X).shape
    if name == "MLPClassifier":
        assert_allclose(model.predict_proba(X), judge.predict_proba(X), rtol=1e-7, atol=1e-12)


def test_the_minimum_of_a_perceptron_is_one():
    model = own.MLPRegressor(
        "squared_error", (6,), "tanh", solver="lbfgs", alpha=0.5, tol=1e-7, max_iter=5000, random_state=0
    )
    model.fit(XR, YR)
    grads = np.zeros(3)
    for i, shift in enumerate((0.0, 1e-3, -1e-3)):
        w = [x + shift * np.cos(np.arange(x.size).reshape(x.shape)) for x in model.coefs_]
        residual = np.tanh(XR @ w[0] + model.intercepts_[0]) @ w[1] + model.intercepts_[1] - YR[:, None]
        grads[i] = (residual**2).mean() / 2 + 0.25 * sum((x**2).sum() for x in w) / len(XR)
    assert model.loss_ == pytest.approx(grads[0], rel=1e-10)
    assert grads[0] <= grads[1:].min()
    assert model.loss_curve_[-1] == model.loss_


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (own.SGDClassifier(["hinge"]), r"SGDClassifier: loss must be one of 'hinge', .*, got \['hinge'\]"),
        (own.SGDClassifier("log"), "SGDClassifier: loss must be one of 'hinge', 'log_loss'"),
        (own.SGDRegressor("hinge"), "SGDRegressor: loss must be one of 'squared_error', 'huber'"),
        (own.SGDClassifier(penalty="l3"), "SGDClassifier: penalty must be one of 'l2', 'l1', 'elasticnet', None"),
        (own.SGDClassifier(learning_rate="pa1"), "SGDClassifier: learning_rate must be one of 'constant', 'optimal'"),
        (own.SGDClassifier(alpha=0), "SGDClassifier: alpha must be > 0 since learning_rate is 'optimal'"),
        (own.SGDClassifier(alpha=-1), "SGDClassifier: alpha must be a number from 0 to inf, got -1"),
        (own.SGDClassifier(learning_rate="constant", eta0=0), "SGDClassifier: eta0 must be > 0, got 0"),
        (own.SGDClassifier(batch_size=0), "SGDClassifier: batch_size must be a positive whole number, got 0"),
        (own.SGDClassifier(optimizer="adam"), "SGDClassifier: optimizer must be one of lossopt's or None, got 'adam'"),
        (own.SGDClassifier(schedule=0.1), "SGDClassifier: schedule must be one of lossopt's or None, got 0.1"),
        (own.SGDClassifier(shuffle="yes"), "SGDClassifier: shuffle must be True or False, got 'yes'"),
        (own.SGDClassifier(average=-1), "SGDClassifier: average must be a bool or a number of rows, got -1"),
        (own.SGDClassifier(penalty="elasticnet", l1_ratio=None), "l1_ratio must be set when penalty is 'elasticnet'"),
        (own.SGDClassifier(max_iter=0), "SGDClassifier: max_iter must be a positive whole number, got 0"),
        (own.SGDClassifier(early_stopping=True, validation_fraction=1.0), "validation_fraction must be a number"),
        (own.MLPClassifier(hidden_layer_sizes=(0,)), "MLPClassifier: hidden_layer_sizes must be > 0"),
        (own.MLPClassifier(activation="gelu"), "MLPClassifier: activation must be one of 'identity', 'logistic'"),
        (own.MLPClassifier(solver="x"), "MLPClassifier: solver must be one of 'adam', 'sgd', 'lbfgs', got 'x'"),
        (own.MLPClassifier(learning_rate="optimal"), "MLPClassifier: learning_rate must be one of 'constant'"),
        (own.MLPClassifier(momentum=2.0, solver="sgd"), "MLPClassifier: SGD: momentum must lie in"),
        (
            own.MLPClassifier(solver="lbfgs", optimizer=lo.Adam()),
            "optimizer and schedule are for solver='adam' or 'sgd'",
        ),
        (own.MLPClassifier(solver="lbfgs", early_stopping=True), "early_stopping=True is for solver='adam' or 'sgd'"),
        (own.MLPClassifier(loss="hinge"), "MLPClassifier: loss must be one of 'log_loss', got 'hinge'"),
        (own.MLPClassifier(batch_size=0), "MLPClassifier: batch_size must be a positive whole number, got 0"),
        (own.MLPRegressor(loss="huber"), "MLPRegressor: loss must be one of 'squared_error', 'poisson', got 'huber'"),
    ],
    ids=lambda x: repr(x)[:60],
)
def test_what_has_no_meaning_is_refused(model, said):
    with pytest.raises(ValueError, match=said):
        model.fit(X2, Y2)
    assert not hasattr(model, "coef_")
    assert not hasattr(model, "coefs_")


def test_partial_fits_refuse_what_they_cannot():
    with pytest.raises(ValueError, match="classes must be passed on the first call to partial_fit"):
        own.SGDClassifier().partial_fit(X2, Y2)
    with pytest.raises(ValueError, match="SGDClassifier: y has the class 2, which classes do not have"):
        own.SGDClassifier().partial_fit(X3, Y3, classes=[0, 1])
    with pytest.raises(ValueError, match="class_weight 'balanced' is not supported for partial_fit"):
        own.SGDClassifier(class_weight="balanced").partial_fit(X2, Y2, classes=[0, 1])
    for model in (own.SGDRegressor(early_stopping=True), own.MLPRegressor(early_stopping=True)):
        with pytest.raises(ValueError, match="early_stopping"):
            model.partial_fit(XR, YR)
    assert not hasattr(own.MLPClassifier(solver="lbfgs"), "partial_fit")
    assert not hasattr(own.SGDClassifier("hinge"), "predict_proba")
    with pytest.raises(ValueError, match="warm_start can only be used where `y` has the same classes"):
        own.MLPClassifier(3, max_iter=300, warm_start=True, tol=1.0).fit(X3, Y3).fit(X3, Y3 + 1)
    with pytest.raises(ValueError, match="MLPClassifier: warm_start needs the layers there were"):
        own.MLPClassifier(3, max_iter=300, warm_start=True, tol=1.0).fit(X3, Y3).set_params(hidden_layer_sizes=4).fit(
            X3, Y3
        )
