"""The catalogue's losses against torch, scikit-learn, optax and mpmath, and the golden numbers of their formulas."""

from __future__ import annotations

import re

import mpmath
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import lossopt as lo

from . import cases

NAN, INF = np.nan, np.inf


def drawn(kind, shape=(400,)):
    rng = np.random.default_rng(0)
    z = 2 * rng.standard_normal(shape)
    y = {
        "real": lambda: rng.standard_normal(shape),
        "binary": lambda: rng.integers(0, 2, shape).astype(float),
        "counts": lambda: rng.poisson(1.5, shape).astype(float),
        "positive": lambda: rng.gamma(2.0, size=shape),
    }[kind]()
    return z, y


def torch_value_and_grad(function, z):
    torch = pytest.importorskip("torch")
    x = torch.tensor(z, requires_grad=True)
    value = function(torch, x)
    value.backward()
    return value.item(), x.grad.numpy()


FORMULAS = {
    "mae": (lo.MAE(), "real", lambda t, z, y: t.nn.functional.l1_loss(z, y)),
    "huber": (lo.Huber(), "real", lambda t, z, y: t.nn.functional.huber_loss(z, y)),
    "huber 2.5": (lo.Huber(2.5), "real", lambda t, z, y: t.nn.functional.huber_loss(z, y, delta=2.5)),
    "smooth l1": (lo.Huber(2.5), "real", lambda t, z, y: 2.5 * t.nn.functional.smooth_l1_loss(z, y, beta=2.5)),
    "log cosh": (lo.LogCosh(), "real", lambda t, z, y: t.log(t.cosh(z - y)).mean()),
    "quantile": (lo.Quantile(0.9), "real", lambda t, z, y: t.maximum(0.9 * (y - z), 0.1 * (z - y)).mean()),
    "epsilon": (lo.EpsilonInsensitive(0.5), "real", lambda t, z, y: t.relu((z - y).abs() - 0.5).mean()),
    "hinge": (lo.Hinge(), "binary", lambda t, z, y: t.relu(1 - (2 * y - 1) * z).mean()),
    "squared hinge": (lo.SquaredHinge(), "binary", lambda t, z, y: (t.relu(1 - (2 * y - 1) * z) ** 2).mean()),
    "perceptron": (lo.Hinge(margin=0), "binary", lambda t, z, y: t.relu((1 - 2 * y) * z).mean()),
    "modified huber": (
        lo.ModifiedHuber(),
        "binary",
        lambda t, z, y: 2 * t.nn.functional.huber_loss(t.relu(1 - (2 * y - 1) * z), t.zeros_like(z), delta=2.0),
    ),
    "squared epsilon": (
        lo.SquaredEpsilonInsensitive(0.5),
        "real",
        lambda t, z, y: (t.relu((z - y).abs() - 0.5) ** 2).mean(),
    ),
    "poisson": (lo.Poisson(), "counts", lambda t, z, y: t.nn.functional.poisson_nll_loss(z, y)),
    "gamma": (lo.Gamma(), "positive", lambda t, z, y: (z + y * t.exp(-z)).mean()),
    "tweedie": (
        lo.Tweedie(1.3),
        "counts",
        lambda t, z, y: (t.exp(0.7 * z) / 0.7 + y * t.exp(-0.3 * z) / 0.3).mean(),
    ),
    "tweedie 3": (lo.Tweedie(3), "positive", lambda t, z, y: (-t.exp(-z) + y * t.exp(-2 * z) / 2).mean()),
    "tweedie 0": (lo.Tweedie(0), "real", lambda t, z, y: ((t.exp(z) - y) ** 2 / 2 - y**2 / 2).mean()),
    "tweedie -1": (lo.Tweedie(-1), "real", lambda t, z, y: (t.exp(3 * z) / 3 - y * t.exp(2 * z) / 2).mean()),
}


@pytest.mark.parametrize("outputs", [None, 3])
@pytest.mark.parametrize("name", FORMULAS)
def test_torch_agrees(name, outputs):
    loss, kind, formula = FORMULAS[name]
    z, y = drawn(kind, (400,) if outputs is None else (400, outputs))
    value, gradient = loss.value_and_grad(z, y)
    theirs = torch_value_and_grad(lambda t, x: formula(t, x, t.tensor(y)), z)
    assert_allclose(value, theirs[0], rtol=1e-12, atol=1e-12)
    assert_allclose(gradient, theirs[1], rtol=1e-12, atol=1e-12)
    twice = type(loss)(**{**loss._arguments(), "reduction": "sum"})
    assert_allclose(twice(z, y), value * z.size, rtol=1e-13)


@pytest.mark.parametrize(
    ("loss", "kind", "theirs"),
    [
        (lo.MAE(), "real", "AbsoluteError"),
        (lo.Quantile(0.8), "real", "PinballLoss"),
        (lo.Huber(1.5), "real", "HuberLoss"),
        (lo.Poisson(), "counts", "HalfPoissonLoss"),
        (lo.Gamma(), "positive", "HalfGammaLoss"),
        (lo.Tweedie(1.7), "counts", "HalfTweedieLoss"),
        (lo.Tweedie(0), "real", "HalfTweedieLoss"),
        (lo.Tweedie(2.6), "positive", "HalfTweedieLoss"),
    ],
    ids=lambda x: repr(x) if isinstance(x, lo.Loss) else str(x),
)
def test_scikit_learn_agrees_but_for_what_no_prediction_changes(loss, kind, theirs):
    losses = pytest.importorskip("sklearn._loss.loss")
    arguments = {"PinballLoss": {"quantile": 0.8}, "HuberLoss": {"delta": 1.5}}.get(theirs, {})
    if theirs == "HalfTweedieLoss":
        arguments = {"power": loss.power}
    other = getattr(losses, theirs)(**arguments)
    z, y = drawn(kind)
    values, gradients = other.loss_gradient(y_true=y, raw_prediction=z)
    gap = loss.pointwise(z, y) - values
    at_zero = loss.pointwise(0 * z, y) - other.loss(y_true=y, raw_prediction=0 * z)
    assert_allclose(gap, at_zero, rtol=0, atol=1e-11 * max(1, np.abs(values).max()))
    assert_allclose(
        type(loss)(**{**loss._arguments(), "reduction": "sum"}).value_and_grad(z, y)[1],
        gradients,
        rtol=1e-11,
        atol=1e-12,
    )


def test_scikit_learns_metrics_agree():
    metrics = pytest.importorskip("sklearn.metrics")
    z, y = drawn("real")
    assert lo.MAE()(z, y) == pytest.approx(metrics.mean_absolute_error(y, z), rel=1e-13)
    assert lo.Quantile(0.3)(z, y) == pytest.approx(metrics.mean_pinball_loss(y, z, alpha=0.3), rel=1e-13)
    z, y = drawn("binary")
    assert lo.Hinge()(z, y) == pytest.approx(metrics.hinge_loss(y, z), rel=1e-13)
    z, y = drawn("positive")
    for loss, power in ((lo.Gamma(), 2), (lo.Tweedie(1.5), 1.5), (lo.Poisson(), 1), (lo.Tweedie(3), 3)):
        deviance = metrics.mean_tweedie_deviance(y, np.exp(z), power=power) / 2
        assert loss(z, y) - loss(np.log(y), y) == pytest.approx(deviance, rel=1e-11)


# ---- golden numbers


def test_golden_numbers():
    # an error of 3: half a square up to delta, straight beyond; torch's SmoothL1 is that over delta
    assert lo.Huber(2.0)([3.0], [0.0]) == 4.0
    assert lo.Huber(2.0)([3.0], [0.0]) / 2.0 == 2.0
    assert lo.Huber(2.0)([1.0], [0.0]) == 0.5
    assert lo.MAE()([10.0, -1.0], [0.0, 0.0]) == 5.5
    assert lo.Quantile(0.9)([0.0], [10.0]) == 9.0
    assert lo.Quantile(0.9)([10.0], [0.0]) == pytest.approx(1.0)
    assert lo.LogCosh()([1e-9], [0.0]) == 5e-19
    assert lo.LogCosh()([1e300], [0.0]) == 1e300


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_ties_have_no_slope(dtype):
    for loss in (lo.MAE(), lo.Quantile(0.9), lo.EpsilonInsensitive(0.0), lo.LogCosh(), lo.Huber()):
        assert_array_equal(loss.value_and_grad(np.ones(2, dtype), np.ones(2, dtype))[1], 0)
    assert_array_equal(lo.EpsilonInsensitive(0.5).value_and_grad(np.array([0.5, -0.5], dtype), np.zeros(2))[1], 0)
    # at the margin itself
    assert_array_equal(lo.Hinge().value_and_grad(np.array([1.0, -1.0], dtype), [1, 0])[1], 0)


# ---- extreme scores


def ulps(got, expected):
    unit = np.spacing(np.abs(expected).astype(got.dtype)).astype(float)
    same = (got == expected) | (np.isnan(got) & np.isnan(expected))
    with np.errstate(invalid="ignore"):
        return np.where(same, 0, np.abs(got.astype(float) - expected) / unit)


def exact(function, z, dtype):
    with mpmath.workdps(60):
        values = [float(function(mpmath.mpf(float(x)))) for x in z]
    with np.errstate(over="ignore"):
        return np.array(values).astype(dtype).astype(float)


EXTREME = {
    "log cosh": (
        lo.LogCosh(),
        0.0,
        lambda d: mpmath.log1p(2 * mpmath.sinh(d / 2) ** 2),
        mpmath.tanh,
    ),
    "poisson": (lo.Poisson(), 0.0, mpmath.exp, mpmath.exp),
    "gamma": (lo.Gamma(), 1e-30, lambda z: z + mpmath.mpf(1e-30) * mpmath.exp(-z), None),
    "tweedie": (lo.Tweedie(1.3), 0.0, lambda z: mpmath.exp((2 - mpmath.mpf(1.3)) * z) / (2 - mpmath.mpf(1.3)), None),
    "tweedie 1.9": (
        lo.Tweedie(1.9),
        3.0,
        lambda z: (
            mpmath.exp((2 - mpmath.mpf(1.9)) * z) / (2 - mpmath.mpf(1.9))
            + 3 * mpmath.exp((1 - mpmath.mpf(1.9)) * z) / (mpmath.mpf(1.9) - 1)
        ),
        None,
    ),
    "huber": (
        lo.Huber(0.3),
        0.0,
        lambda d: mpmath.mpf(0.3) * (abs(d) - mpmath.mpf(0.3) / 2) if abs(d) > mpmath.mpf(0.3) else d * d / 2,
        None,
    ),
}


@pytest.mark.parametrize("name", EXTREME)
def test_extreme_scores_keep_their_digits(name):
    loss, y, value, slope = EXTREME[name]
    small = np.geomspace(1e-300, 1, 200)
    z = np.concatenate(
        [np.linspace(-740, 740, 801), small, -small, [1e5, -1e5] if name in ("log cosh", "huber") else []]
    )
    loss = type(loss)(**{**loss._arguments(), "reduction": "sum"})
    assert ulps(loss.pointwise(z, np.full_like(z, y)), exact(value, z, float)).max() <= 8
    if slope is not None:
        assert ulps(loss.value_and_grad(z, np.full_like(z, y))[1], exact(slope, z, float)).max() <= 8


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_what_overflows_is_infinite_and_nothing_else_is_nan(dtype):
    big = np.array([2000.0, -2000.0], dtype)
    one = np.ones(2, dtype)
    for loss, values, gradients in (
        (lo.Poisson("sum"), [INF, 2000], [INF, -1]),
        (lo.Gamma("sum"), [2000, INF], [1, -INF]),
        (lo.Tweedie(1.5, "sum"), [INF, INF], [INF, -INF]),
        (lo.Tweedie(3, "sum"), [0, INF], [0, -INF]),
        (lo.Tweedie(0, "sum"), [INF, 0], [INF, 0]),
    ):
        assert_array_equal(loss.pointwise(big, one), values)
        assert_array_equal(loss.value_and_grad(big, one)[1], gradients)
    assert_array_equal(lo.Poisson().pointwise(np.array([INF, -INF, -INF], dtype), [1, 0, 1]), [INF, 0, INF])
    for loss in (lo.MAE(), lo.LogCosh(), lo.EpsilonInsensitive(0.1), lo.Quantile(0.5), lo.Huber()):
        value, gradient = loss.value_and_grad(np.array([INF, -INF], dtype), np.zeros(2))
        assert value == INF
        assert np.sign(gradient).tolist() == [1, -1]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", FORMULAS)
def test_nan_is_seen(name, dtype):
    loss, kind, _ = FORMULAS[name]
    z, y = drawn(kind, (40,))
    z, y = z.astype(dtype), y.astype(dtype)
    for bad in (z, y):
        kept, bad[7] = bad[7], NAN
        value, gradient = loss.value_and_grad(z, y)
        assert np.isnan(value)
        assert_array_equal(np.flatnonzero(np.isnan(gradient)), [7])
        bad[7] = kept


# ---- what is refused


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: lo.Huber(0), "Huber: delta must be positive and finite, got 0"),
        (lambda: lo.Huber(NAN), "Huber: delta must be positive and finite, got nan"),
        (lambda: lo.Quantile(1.5), "Quantile: q must be a number in [0, 1], got 1.5"),
        (lambda: lo.EpsilonInsensitive(-1), "EpsilonInsensitive: epsilon must be a number in [0, "),
        (lambda: lo.Tweedie(0.5), "Tweedie: power must be at most 0, or at least 1, got 0.5"),
        (lambda: lo.Tweedie("1"), "Tweedie: power must be at most 0, or at least 1, got '1'"),
        (lambda: lo.Hinge()([1.0], [0.5]), "target must hold 0 and 1, got 0.5"),
        (lambda: lo.SquaredHinge()([1.0], [-1]), "target must hold 0 and 1, got -1.0"),
        (lambda: lo.Poisson()([1.0], [-1]), "target must lie in [0, inf], got -1.0"),
        (lambda: lo.Tweedie(1.5)([1.0], [-1]), "target must lie in [0, inf], got -1.0"),
        (lambda: lo.Gamma()([1.0, 1.0], [1, 0]), "target must be positive, got 0.0"),
        (lambda: lo.Tweedie(2.5)(np.ones(1, np.float32), [0]), "target must be positive, got 0.0"),
        (lambda: lo.MAE()([[1.0]], [1.0]), "target must have the prediction's shape (1, 1)"),
        (lambda: lo.Objective([[1.0]], [2], lo.Hinge()), "y must hold 0 and 1, got 2.0"),
    ],
)
def test_bad_arguments_are_named(make, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        make()


# ---- a row of classes


SCORES = np.array([[0.2, 0.3, 0.5], [0.5, 0.2, 0.3]])


def test_golden_numbers_of_cross_entropy():
    assert lo.CrossEntropy(class_weight=[2, 4, 6])(SCORES, [2, 1]) == pytest.approx(1.0598, abs=5e-5)
    smooth = lo.CrossEntropy(class_weight=[2, 4, 6], label_smoothing=0.1)
    assert smooth(SCORES, [2, 1]) == pytest.approx(1.0417011, abs=5e-8)
    # eps / C for every class, not eps / (C - 1) for the others
    z = np.array([[0.1, 0.7, -0.3]])
    target = np.array([[0.1 / 3, 0.9 + 0.1 / 3, 0.1 / 3]])
    assert_allclose(target, [[0.0333, 0.9333, 0.0333]], atol=5e-5)
    one, other = (
        lo.CrossEntropy(label_smoothing=0.1).value_and_grad(z, [1]),
        lo.CrossEntropy().value_and_grad(z, target),
    )
    assert_allclose(one[0], other[0], rtol=1e-15)
    assert_allclose(one[1], other[1], rtol=1e-15, atol=1e-16)
    assert lo.CrossEntropy(label_smoothing=0.1)(np.array([[0.0, 50.0, 0.0]]), [1]) > 1  # the entropy's floor, and more
    # torch divides probabilities by n and labels by their weights; here one-hot rows are labels
    assert lo.CrossEntropy(class_weight=[2, 4, 6])(SCORES, np.eye(3)[[2, 1]]) == pytest.approx(1.0598, abs=5e-5)


@pytest.mark.parametrize("k", [3, 70])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("ignored", [None, -100, 1])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_cross_entropys_options_are_torchs(k, smoothing, weighted, ignored, reduction, dtype):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(3)
    z, y = (3 * rng.standard_normal((101, k))).astype(dtype), rng.integers(0, k, 101)
    if ignored is not None:
        y[::4] = ignored
    w = rng.uniform(0.5, 2, k) if weighted else None
    x = torch.tensor(z.astype(float), requires_grad=True)
    theirs = torch.nn.functional.cross_entropy(
        x,
        torch.tensor(y),
        weight=None if w is None else torch.tensor(w),
        ignore_index=-1 if ignored is None else ignored,
        label_smoothing=smoothing,
        reduction=reduction,
    )
    theirs.backward()
    loss = lo.CrossEntropy(class_weight=w, label_smoothing=smoothing, ignore_index=ignored, reduction=reduction)
    value, gradient = loss.value_and_grad(z, y)
    tolerance = 1e-12 if dtype == np.float64 else 1e-5
    assert_allclose(value, theirs.item(), rtol=tolerance)
    assert_allclose(gradient, x.grad.numpy(), rtol=tolerance, atol=tolerance)
    assert loss(z, y) == value
    out = z.copy()
    assert_array_equal(loss.value_and_grad(out, y, out=out)[1], gradient)
    rows = torch.nn.functional.cross_entropy(
        torch.tensor(z.astype(float)),
        torch.tensor(y),
        weight=None if w is None else torch.tensor(w),
        ignore_index=-1 if ignored is None else ignored,
        label_smoothing=smoothing,
        reduction="none",
    )
    assert_allclose(loss.pointwise(z, y), rows.numpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("k", [3, 70])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_one_hot_rows_are_labels(k, smoothing):
    rng = np.random.default_rng(4)
    z, y, w = rng.standard_normal((50, k)), rng.integers(0, k, 50), rng.uniform(0.5, 2, k)
    weight = rng.integers(0, 3, 50).astype(float)
    loss = lo.CrossEntropy(class_weight=w, label_smoothing=smoothing)
    one, other = loss.value_and_grad(z, y, weight), loss.value_and_grad(z, np.eye(k)[y], weight)
    assert_allclose(one[0], other[0], rtol=1e-13)
    assert_allclose(one[1], other[1], atol=1e-15)
    soft = rng.dirichlet(np.ones(k), 50)
    got = loss.value_and_grad(z, soft, weight)
    q = w * ((1 - smoothing) * soft + smoothing / k)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    mass = (weight * (soft @ w)).sum()
    assert_allclose(got[0], (weight * -(q * log_p).sum(axis=1)).sum() / mass, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_rows_that_are_ignored_have_no_part(dtype):
    z = np.array([[1.0, 2.0], [NAN, 0.0]], dtype)
    loss = lo.CrossEntropy(ignore_index=-100)
    for weight in (None, [1.0, 1.0]):
        value, gradient = loss.value_and_grad(z, [-100, -100], weight)
        assert value == 0.0
        assert_array_equal(gradient, 0)
    assert loss(z, [0, -100]) == lo.CrossEntropy()(z[:1], [0])
    # a class that is the ignored one stays in the softmax of others
    value = lo.CrossEntropy(ignore_index=1)(z[:1], [0])
    assert value == pytest.approx(1 + np.log1p(np.exp(-1.0)))
    weighted = lo.CrossEntropy(class_weight=[0.0, 1.0])
    assert weighted.value_and_grad(z[:1], [0])[0] == 0.0


@pytest.mark.parametrize(
    "loss",
    [
        lo.CrossEntropy(class_weight=[2.0, 0.5, 1.0]),
        lo.CrossEntropy(ignore_index=-1),
        lo.CrossEntropy(class_weight=[2.0, 0.5, 1.0], label_smoothing=0.1, ignore_index=2),
    ],
    ids=repr,
)
@pytest.mark.parametrize("form", ["dense", "csr"])
def test_options_of_cross_entropy_reach_every_loop(loss, form):
    sp = pytest.importorskip("scipy.sparse")
    rng = np.random.default_rng(5)
    X, y, weight = rng.standard_normal((90, 6)), rng.integers(0, 3, 90), rng.integers(0, 3, 90).astype(float)
    if loss.ignore_index == -1:
        y[::5] = -1
    given = sp.csr_array(X) if form == "csr" else X
    objective = lo.Objective(given, y, loss, sample_weight=weight, n_outputs=3)
    w = rng.standard_normal(objective.size)
    W, b = objective.unpack(w)
    value, gradient = loss.value_and_grad(X @ W.T + b, y, weight)
    got = objective.value_and_grad(w)
    assert_allclose(got[0], value, rtol=1e-13)
    assert_allclose(got[1], np.r_[(gradient.T @ X).ravel(), gradient.sum(axis=0)], atol=1e-13)
    ends = []
    for engine in ("python", "compiled"):
        for batch, accumulate in ((7, 1), (10, 3)):
            trainer = lo.Trainer(
                lo.Linear(6, 3), loss, lo.Adam(0.05), batch_size=batch, accumulate=accumulate, engine=engine
            )
            history = trainer.fit(given, y, epochs=3, validation=(given, y), sample_weight=weight)
            assert trainer.evaluate(given, y) == pytest.approx(loss(trainer.model.predict(given), y), rel=1e-12)
            assert history["val_loss"][-1] == pytest.approx(trainer.evaluate(given, y), rel=1e-14)
            ends.append(trainer.model.params["weight"].tobytes())
    assert ends[0] == ends[2]
    assert ends[1] == ends[3]
    fits = lo.fit_many(
        given, y, loss, {"optimizer": [lo.Adam(0.05)]}, epochs=3, sample_weight=weight, n_outputs=3, batch_size=7
    )
    assert fits.models[0].params["weight"].tobytes() == ends[0]
    if form == "dense":
        mlp = lo.MLP([6, 3])
        before = loss(mlp.predict(X), y, weight)
        lo.Trainer(mlp, loss, lo.Adam(0.05), batch_size=9).fit(X, y, epochs=5, sample_weight=weight)
        assert loss(mlp.predict(X), y, weight) < before


# ---- focal


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 3.7])
@pytest.mark.parametrize("alpha", [None, 0.25])
def test_focal_is_its_formula(gamma, alpha):
    z, y = drawn("binary")

    def formula(t, x):
        p = t.sigmoid(x)
        own = t.where(t.tensor(y) > 0, p, 1 - p)
        share = 1.0 if alpha is None else t.where(t.tensor(y) > 0, alpha, 1 - alpha)
        return (share * (1 - own) ** gamma * -t.log(own)).mean()

    loss = lo.Focal(gamma, alpha)
    value, gradient = loss.value_and_grad(z, y)
    theirs = torch_value_and_grad(formula, z)
    assert_allclose(value, theirs[0], rtol=1e-12)
    assert_allclose(gradient, theirs[1], rtol=1e-11, atol=1e-14)
    optax = pytest.importorskip("optax")
    jax = pytest.importorskip("jax")
    with jax.enable_x64(True):
        rows = np.asarray(optax.losses.sigmoid_focal_loss(z, y, alpha=alpha, gamma=gamma))
    assert_allclose(loss.pointwise(z, y), rows, rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("alpha", [None, [0.2, 0.5, 0.3]])
def test_focal_of_classes_is_its_formula(gamma, alpha):
    rng = np.random.default_rng(6)
    z, y = 2 * rng.standard_normal((200, 3)), rng.integers(0, 3, 200)

    def formula(t, x):
        own = t.softmax(x, 1)[t.arange(200), t.tensor(y)]
        share = 1.0 if alpha is None else t.tensor(alpha, dtype=x.dtype)[t.tensor(y)]
        return (share * (1 - own) ** gamma * -t.log(own)).mean()

    value, gradient = lo.Focal(gamma, alpha).value_and_grad(z, y)
    theirs = torch_value_and_grad(formula, z)
    assert_allclose(value, theirs[0], rtol=1e-12)
    assert_allclose(gradient, theirs[1], rtol=1e-11, atol=1e-14)


def test_focal_without_gamma_is_cross_entropy():
    z, y = drawn("binary")
    assert_allclose(lo.Focal(0).value_and_grad(z, y)[1], lo.BinaryCrossEntropy().value_and_grad(z, y)[1], rtol=1e-14)
    scores, labels = np.random.default_rng(0).standard_normal((40, 5)), np.arange(40) % 5
    assert_allclose(lo.Focal(0)(scores, labels), lo.CrossEntropy()(scores, labels), rtol=1e-14)


@pytest.mark.parametrize("gamma", [0.3, 2.0])
def test_focal_keeps_its_digits_everywhere(gamma):
    z = np.concatenate([np.linspace(-700, 340, 700), np.geomspace(1e-300, 1, 99), -np.geomspace(1e-300, 1, 99)])
    loss = lo.Focal(gamma, reduction="sum")
    g = mpmath.mpf(gamma)

    def value(x):
        return (1 / (1 + mpmath.exp(x))) ** g * mpmath.log1p(mpmath.exp(-x))

    def slope(x):
        p, q = 1 / (1 + mpmath.exp(-x)), 1 / (1 + mpmath.exp(x))
        return -(q**g) * (g * p * mpmath.log1p(mpmath.exp(-x)) + q)

    assert ulps(loss.pointwise(z, np.ones_like(z)), exact(value, z, float)).max() <= 8
    assert ulps(loss.value_and_grad(z, np.ones_like(z))[1], exact(slope, z, float)).max() <= 8
    for sure in (1e4, INF):
        for y, x in ((1, sure), (0, -sure)):
            assert loss.value_and_grad(np.array([x]), [y]) == (0.0, 0.0)
            assert loss(np.array([-x]), [y]) == sure
    assert np.isfinite(lo.Focal(0.3).value_and_grad(np.array([[800.0, 0.0]]), [0])[1]).all()


# ---- hinge of classes, and money


def test_multiclass_hinge_is_scikit_learns():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(7)
    z, y = rng.standard_normal((300, 4)), np.arange(300) % 4
    assert lo.MulticlassHinge()(z, y) == pytest.approx(metrics.hinge_loss(y, z, labels=range(4)), rel=1e-13)

    def formula(t, x):
        own = x[t.arange(300), t.tensor(y)]
        others = x - 1e9 * t.nn.functional.one_hot(t.tensor(y), 4)
        return t.relu(1 + others.max(dim=1).values - own).mean()

    assert_allclose(lo.MulticlassHinge().value_and_grad(z, y)[1], torch_value_and_grad(formula, z)[1], atol=1e-15)
    assert_array_equal(lo.MulticlassHinge().value_and_grad([[0.0, 0.0, 0.0]], [1])[1], [[1, -1, 0]])
    assert np.isnan(lo.MulticlassHinge()([[0.0, NAN, 0.0]], [0]))
    assert lo.MulticlassHinge()([[0.0, -INF, 2.0]], [2]) == 0.0


def test_costs_of_the_chapter():
    """A false negative costs 1000, a false positive 10."""
    loss = lo.CostSensitive(false_negative=1000, false_positive=10)
    assert loss.threshold == 10 / 1010
    z, y = drawn("binary")
    weight = np.where(y > 0, 1000.0, 10.0)
    value, gradient = loss.value_and_grad(z, y)
    plain = lo.BinaryCrossEntropy(reduction="sum").value_and_grad(z, y, weight)
    assert_allclose(value, plain[0] / 400, rtol=1e-13)
    assert_allclose(gradient, plain[1] / 400, rtol=1e-13)
    # the threshold is where the two decisions cost the same
    p = np.linspace(0, 1, 1001)
    cost = {0: p * 1000, 1: (1 - p) * 10}
    assert_array_equal(loss.decide(p), (cost[1] < cost[0]).astype(int))
    assert loss.expected_cost([0, 1, 1, 0], [1, 0, 1, 0]) == 1010 / 4
    assert loss.expected_cost([0, 1], [1, 0], sample_weight=[0, 2]) == 10
    # what minimizes it for a share of positives decides at 0 as the threshold decides on that share
    for share in (0.009, 0.011):
        objective = lo.Objective(np.zeros((1000, 1)), (np.arange(1000) < 1000 * share).astype(int), loss)
        minimize = pytest.importorskip("scipy.optimize").minimize
        bias = minimize(objective.value_and_grad, objective.zeros(), jac=True, tol=1e-12).x[-1]
        assert (bias > 0) == (share > loss.threshold)


def test_cost_matrix_and_costs_a_row():
    rng = np.random.default_rng(8)
    costs, y, z = np.array(cases.COSTS), rng.integers(0, 3, 60), rng.standard_normal((60, 3))
    matrix, rows = lo.CostSensitive(costs), lo.CostSensitive()
    one, other = matrix.value_and_grad(z, y), rows.value_and_grad(z, costs[y])
    assert_allclose(one[0], other[0], rtol=1e-14)
    assert_allclose(one[1], other[1], atol=1e-15)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    weight = costs[y].max(axis=1, keepdims=True) - costs[y]
    assert_allclose(one[0], -(weight * log_p).sum() / 60, rtol=1e-13)
    # two classes are the binary form
    pair = lo.CostSensitive([[0, 10], [1000, 0]])
    binary = lo.CostSensitive(false_negative=1000, false_positive=10)
    score, label = drawn("binary", (50,))
    scores = np.stack([0 * score, score], axis=1)
    assert_allclose(pair(scores, label.astype(int)), binary(score, label), rtol=1e-13)
    # probabilities that are known: the minimizer's likeliest class is the cheapest
    minimize = pytest.importorskip("scipy.optimize").minimize
    for p in rng.dirichlet(np.ones(3), 20):
        f = lo.Objective(np.zeros((3, 1)), [0, 1, 2], matrix, sample_weight=p)
        bias = minimize(f.value_and_grad, f.zeros(), jac=True, tol=1e-14).x[-3:]
        assert bias.argmax() == (p @ costs).argmin() == matrix.decide(p[None])[0]
    assert rows.expected_cost([1, 0], [[0, 3], [1, 2]]) == 2.0
    assert matrix.expected_cost([2, 1, 0], [0, 1, 2]) == pytest.approx(7 / 3)
    many = lo.CostSensitive(rng.random((70, 70)))
    label = rng.integers(0, 70, 20)
    wide = rng.standard_normal((20, 70))
    assert_allclose(many(wide, label), rows(wide, many.costs[label]), rtol=1e-13)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: lo.CrossEntropy(class_weight=[1, -1]), "CrossEntropy: class_weight must be finite and not negative"),
        (lambda: lo.CrossEntropy(class_weight=[1, 1])(SCORES, [0, 1]), "CrossEntropy: class_weight has 2 classes, and"),
        (lambda: lo.CrossEntropy(label_smoothing=1.5), "CrossEntropy: label_smoothing must lie in [0, 1], got 1.5"),
        (lambda: lo.CrossEntropy(ignore_index=0.5), "CrossEntropy: ignore_index must be a whole number, got 0.5"),
        (
            lambda: lo.CrossEntropy(class_weight=[1, 0, 1], label_smoothing=0.1),
            "CrossEntropy: class_weight must be positive where label_smoothing is used",
        ),
        (lambda: lo.CrossEntropy(ignore_index=-1)(SCORES, [3, -1]), "target must hold labels from 0 to 2, got 3"),
        (lambda: lo.CrossEntropy()(SCORES, [0, -1]), "target must hold labels from 0 to 2, got -1"),
        (lambda: lo.Focal(-1), "Focal: gamma must be a number in [0, "),
        (lambda: lo.Focal(alpha=2), "Focal: alpha must be a number in [0, 1], got 2"),
        (lambda: lo.Focal(alpha=0.5)(SCORES, [0, 1]), "Focal: alpha is one number, and prediction has a score a class"),
        (
            lambda: lo.Focal(alpha=[1, 1])([0.0], [1]),
            "Focal: alpha has a number a class, and prediction one score a row",
        ),
        (lambda: lo.Focal()([0.0], [0.5]), "target must hold 0 and 1, got 0.5"),
        (lambda: lo.MulticlassHinge()([0.0], [0]), "prediction must have shape (n, k), a score for each class"),
        (lambda: lo.CostSensitive([[0, 1]]), "CostSensitive: costs must be finite, (k, k) with two or more classes"),
        (lambda: lo.CostSensitive([[0, 1], [NAN, 0]]), "CostSensitive: costs must be finite, (k, k)"),
        (lambda: lo.CostSensitive(false_negative=1), "CostSensitive: false_positive must be a number in [0, "),
        (lambda: lo.CostSensitive([[0, 1], [1, 0]], 1, 1), "CostSensitive: give costs, or false_negative and"),
        (lambda: lo.CostSensitive().decide([0.5]), "CostSensitive: decide needs costs, or false_negative and"),
        (lambda: lo.CostSensitive([[0, 1], [1, 0]])(SCORES, [0, 1]), "CostSensitive: costs has 2 classes, and"),
        (lambda: lo.CostSensitive()([0.0], [1.0]), "prediction must have shape (n, k), a score for each class"),
        (lambda: lo.CostSensitive(None, 1, 1)(SCORES, [0, 1]), "prediction must have shape (n,), one score a row"),
    ],
)
def test_bad_arguments_of_classes_are_named(make, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        make()
