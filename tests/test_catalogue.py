"""The catalogue's losses against torch, scikit-learn, optax and mpmath, and the golden numbers of their formulas."""

from __future__ import annotations

import re

import mpmath
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import lossopt as lo

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
