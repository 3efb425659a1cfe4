"""Learning rates: the range test on real data, and the bound that makes descent safe."""

from __future__ import annotations

import copy
import re
import sys
import warnings

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn import datasets, preprocessing

import lossopt as lo

SETS = {
    "cancer": (datasets.load_breast_cancer, lo.BinaryCrossEntropy(), 1),
    "digits": (datasets.load_digits, lo.CrossEntropy(), 10),
    "diabetes": (datasets.load_diabetes, lo.MSE(), 1),
}
OPTIMIZERS = [lo.SGD(), lo.SGD(momentum=0.9), lo.Adam(), lo.RMSprop()]


def real(name):
    load, loss, k = SETS[name]
    X, y = load(return_X_y=True)
    y = (y - y.mean()) / y.std() if name == "diabetes" else y
    return preprocessing.scale(X), y, loss, k


def trained(model, loss, optimizer, lr, X, y):
    trainer = lo.Trainer(model, loss, type(optimizer)(**optimizer._arguments() | {"lr": lr}))
    with np.errstate(over="ignore", invalid="ignore"):
        try:
            trainer.fit(X, y, epochs=10)
        except FloatingPointError:
            return np.inf
    return trainer.evaluate(X, y)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
@pytest.mark.parametrize("kind", ["linear", "mlp"])
@pytest.mark.parametrize("name", SETS)
def test_the_suggestion_is_near_the_best_rate(name, kind, optimizer):
    X, y, loss, k = real(name)

    def model():
        return lo.Linear(X.shape[1], k) if kind == "linear" else lo.MLP((X.shape[1], 32, k))

    first = model()
    found = lo.lr_find(first, loss, optimizer, X, y)
    assert all((x == model().params[name]).all() for name, x in first.params.items())
    assert optimizer.steps == 0
    start = loss(first.predict(X), y)
    best = min(trained(model(), loss, optimizer, lr, X, y) for lr in np.geomspace(1e-5, 10, 13))
    reached = trained(model(), loss, optimizer, found.suggestion, X, y)
    assert start - reached > 0.9 * (start - best)


def test_the_curve_is_that_of_the_rates():
    X, y, loss, _ = real("cancer")
    found = lo.lr_find(lo.Linear(30), loss, lo.SGD(), X, y, low=1e-4, high=1.0, steps=50)
    np.testing.assert_allclose(found.lr, np.geomspace(1e-4, 1, 50), 1e-12)
    trainer = lo.Trainer(lo.Linear(30), loss, lo.SGD(lo.ExponentialDecay(1e-4, -np.log(1e4) / 49)), record="step")
    trainer.fit(X, y, epochs=3)
    np.testing.assert_allclose(found.loss, trainer.history.steps["train_loss"][:50], 1e-12)
    fade = [np.average(found.loss[: i + 1], weights=0.9 ** np.arange(i, -1, -1)) for i in range(50)]
    np.testing.assert_allclose(found.smooth, fade, 1e-12)
    assert found.stopped == "all rates tried"
    assert found.suggestion == pytest.approx(found.lr[np.argmin(found.smooth)] / 10)
    assert repr(found).startswith(f"<LRFind: suggestion {found.suggestion:.3g}; a tenth of ")


def test_it_ends_when_the_loss_is_lost():
    X, y, loss, _ = real("diabetes")
    found = lo.lr_find(lo.Linear(10), loss, lo.SGD(), X, y, high=1e3)
    assert found.stopped == "the loss is lost"
    assert len(found.lr) < 200
    assert found.smooth[-1] > 4 * found.smooth.min()
    found = lo.lr_find(lo.Linear(10), loss, lo.SGD(), X * 1e200, y, low=1, high=1e3, steps=5)
    assert found.stopped == "the loss is not finite"
    assert (found.suggestion, found.reason[:7]) == (None, "after 0")
    nothing = lo.lr_find(lo.Linear(10), loss, lo.SGD(), X, y, low=1e-12, high=1e-11, steps=20)
    assert nothing.suggestion is None
    assert nothing.reason == "the loss never falls: begin with lower rates, or look at model and data"
    unharmed = lo.lr_find(lo.Linear(10), loss, lo.SGD(), X, np.zeros(len(y)), low=1e-3, high=1e-2)
    assert unharmed.reason.endswith("no rate that was tried does harm: try higher ones")


def test_groups_keep_their_proportion_and_rankings_their_queries():
    X, y, loss, _ = real("cancer")
    seen = []

    def watched(model, loss, optimizer, **more):
        seen.append(optimizer)
        return lo.Trainer(model, loss, optimizer, **more)

    optimizer = lo.SGD(0.1, groups={"bias": {"lr": 0.4}, "weight": {"weight_decay": 0.5}})
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(lo.lr_find.__globals__, "Trainer", watched)
        lo.lr_find(lo.Linear(30), loss, optimizer, X, y, steps=5)
    (swept,) = seen
    assert swept.groups["bias"]["lr"](3) == pytest.approx(4 * swept.lr(3))
    assert swept.groups["weight"] == {"weight_decay": 0.5}
    group = np.arange(len(y)) // 10
    assert lo.lr_find(lo.Linear(30), lo.ListNet(), lo.Adam(), X, y, group=group, batch_size=8).suggestion > 0


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"low": 0}, "low must be positive and finite, got 0"),
        ({"high": np.inf}, "high must be positive and finite, got inf"),
        ({"low": 1.0, "high": 0.5}, "low must be below high, got 1.0 and 0.5"),
        ({"steps": 4}, "steps must be a whole number, 5 or more, got 4"),
        ({"batch_size": 0}, "batch_size must be a positive whole number, got 0"),
    ],
)
def test_bad_input_is_named(options, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        lo.lr_find(lo.Linear(2), lo.MSE(), lo.SGD(), np.ones((4, 2)), np.ones(4), **options)


def test_the_picture(tmp_path, monkeypatch):
    X, y, loss, _ = real("cancer")
    found = lo.lr_find(lo.Linear(30), loss, lo.SGD(), X, y)
    ax = found.plot(tmp_path / "found.png")
    assert (tmp_path / "found.png").stat().st_size > 5000
    assert ax.get_xscale() == "log"
    assert found.plot(ax=ax) is ax
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=re.escape("lr_find's plot needs matplotlib: pip install 'lossopt[plot]'")):
        found.plot()


# ---- safe_lr


BOUNDED = [
    (lo.MSE(), "real"),
    (lo.MSE("sum"), "real"),
    (lo.Huber(0.5), "real"),
    (lo.LogCosh(), "real"),
    (lo.SquaredHinge(), "binary"),
    (lo.ModifiedHuber(), "binary"),
    (lo.SquaredEpsilonInsensitive(0.3), "real"),
    (lo.BinaryCrossEntropy(), "binary"),
    (lo.BinaryCrossEntropy(pos_weight=5.0, label_smoothing=0.1), "binary"),
    (lo.CrossEntropy(), "labels"),
    (lo.CrossEntropy([1.0, 2.0, 5.0]), "labels"),
    (lo.CrossEntropy(label_smoothing=0.2), "labels"),
    (lo.CostSensitive(false_negative=7, false_positive=2), "binary"),
    (lo.CostSensitive([[0, 1, 5], [3, 0, 2], [2, 1, 0]]), "labels"),
]


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize(("loss", "kind"), BOUNDED, ids=[repr(loss) for loss, _ in BOUNDED])
def test_no_second_derivative_is_beyond_the_bound(loss, kind, sparse):
    rng = np.random.default_rng(0)
    X, weight = rng.standard_normal((80, 4)) * [1, 3, 0.1, 1], rng.integers(0, 3, 80)
    y = {
        "real": rng.standard_normal(80),
        "binary": rng.integers(0, 2, 80).astype(float),
        "labels": rng.integers(0, 3, 80),
    }
    for options in ({}, {"sample_weight": weight, "fit_intercept": False, "penalty": lo.L2(0.3, [1, 2, 1, 0])}):
        objective = lo.Objective(csr_array(X) if sparse else X, y[kind], loss, **options)
        steepest = 1 / lo.safe_lr(objective)
        largest = 0.0
        for scale in (0.0, 0.1, 1.0):
            w, h = scale * rng.standard_normal(objective.size), 1e-6
            columns = []
            for i in range(len(w)):
                up, down = w.copy(), w.copy()
                up[i], down[i] = up[i] + h, down[i] - h
                columns.append((objective.value_and_grad(up)[1] - objective.value_and_grad(down)[1]) / (2 * h))
            largest = max(largest, np.linalg.eigvalsh((np.array(columns) + np.array(columns).T) / 2).max())
        assert largest <= steepest * (1 + 1e-6)
        assert steepest < 6 * largest
        if isinstance(loss, lo.MSE) and not options:
            assert steepest == pytest.approx(largest, rel=1e-6)


def test_descent_at_the_safe_rate_never_rises():
    X, y, loss, _ = real("digits")
    objective = lo.Objective(X, y, loss, lo.L2(1e-3))
    w, opt, before = objective.zeros(), lo.SGD(lo.safe_lr(objective)), np.inf
    for _ in range(200):
        value, gradient = objective.value_and_grad(w)
        assert value < before
        before = value
        opt.step(w, gradient)
    assert copy.deepcopy(objective)(w) < 0.5


def test_losses_without_a_bound_are_refused_and_flat_ones_take_any_rate():
    X = np.ones((3, 2))
    for loss in (lo.Poisson(), lo.MAE(), lo.CrossEntropy([1, 2], 0.1), lo.CustomLoss(np.hypot)):
        y = [0, 1, 1]
        with pytest.raises(ValueError, match="has no bound of its second derivative, and so no safe lr"):
            lo.safe_lr(lo.Objective(X, y, loss, n_outputs=2 if isinstance(loss, lo.CrossEntropy) else 1))
    with pytest.raises(TypeError, match="objective must be an Objective, got 3"):
        lo.safe_lr(3)
    assert lo.safe_lr(lo.Objective(np.zeros((3, 2)), np.ones(3), lo.MSE(), fit_intercept=False)) == np.inf
    assert lo.safe_lr(lo.Objective(np.zeros((0, 2)), np.ones(0), lo.MSE(), lo.L2(0.5))) == 1


@pytest.mark.parametrize(
    "options",
    [{}, {"momentum": 0.9}, {"momentum": 0.5, "dampening": 0.5}, {"momentum": 0.9, "nesterov": True}],
    ids=str,
)
@pytest.mark.parametrize("weighted", [False, True])
def test_a_fixed_step_that_is_too_long_is_said(options, weighted):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((200, 5)) * [1, 2, 3, 4, 5], rng.standard_normal(200)
    weight = rng.integers(0, 3, 200) if weighted else None
    penalty = lo.L2(0.5)
    rows, mass = np.c_[X, np.ones(200)], np.ones(200) if weight is None else weight
    hessian = 2 * rows.T @ (rows * mass[:, None]) / mass.sum() + np.diag([1.0] * 5 + [0.0])
    curvatures = np.linalg.eigvalsh(hessian)
    momentum = options.get("momentum", 0)

    # where the recurrence of a momentum leaves the unit circle, by its companion matrix
    def radius(a):
        if options.get("nesterov"):
            matrix = [[1 - a * (1 + momentum), -(momentum**2)], [a, momentum]]
        else:
            share = 1 - options.get("dampening", 0)
            matrix = [[1 - a * share, -momentum], [a * share, momentum]]
        return abs(np.linalg.eigvals(matrix)).max()

    edge = next(a for a in np.linspace(0.5, 8, 7501) if radius(a) > 1 + 1e-9)
    for factor, diverges in ((0.99, False), (1.02, True)):
        lr = factor * edge / curvatures[-1]
        trainer = lo.Trainer(lo.Linear(5), lo.MSE(), lo.SGD(lr, **options), penalty, batch_size=None)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            history = trainer.fit(X, y, epochs=300, sample_weight=weight)
        assert (history["train_loss"][-1] > 10 * history["train_loss"][0]) == diverges
        assert [str(x.message)[:3] for x in said] == ["lr="] * diverges
    assert re.fullmatch(
        r"lr=\S+ is beyond \S+ \(\S+ / L\), so that descent on these rows is not sure to hold; safe_lr gives 1 / L",
        str(said[0].message),
    )
    assert said[0].filename == __file__
    # once a training; and not where there is no fixed step on all rows
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trainer.fit(X, y, sample_weight=weight)
        for optimizer, more in (
            (lo.SGD(lo.Constant(lr), **options), {"batch_size": None}),
            (lo.SGD(lr, **options), {"batch_size": 100}),
            (lo.SGD(lr, **options), {"batch_size": None, "max_norm": 1.0}),
            (lo.SGD(lr, **options, groups={"bias": {"lr": 0.1}}), {"batch_size": None}),
            (lo.Adam(lr), {"batch_size": None}),
        ):
            lo.Trainer(lo.Linear(5), lo.MSE(), optimizer, penalty, **more).fit(X, y)


def test_losses_below_zero_are_searched_as_well():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 3))
    y = rng.poisson(np.exp(3 + 0.5 * X[:, 0])).astype(float)
    model = lo.Linear(3)
    model.params["bias"][:] = np.log(y.mean())
    found = lo.lr_find(model, lo.Poisson(), lo.Adam(), X, y, batch_size=None)
    assert found.smooth[0] < 0
    assert found.suggestion > 1e-3


def test_rows_of_weight_zero_have_no_say_in_a_safe_lr():
    rng = np.random.default_rng(0)
    X, weight = rng.standard_normal((40, 3)), rng.integers(0, 3, 40)
    expected = lo.safe_lr(lo.Objective(X, np.ones(40), lo.MSE(), sample_weight=weight))
    X[weight == 0] = np.nan
    assert lo.safe_lr(lo.Objective(X, np.ones(40), lo.MSE(), sample_weight=weight)) == expected


# ---- noise_scale


def by_rows(loss, X, y, model):
    """tr(S) / |G|**2 of a linear model, one row at a time, with torch's gradients."""
    torch = pytest.importorskip("torch")
    rows = []
    for i in range(len(X)):
        weight, bias = (torch.tensor(x, requires_grad=True) for x in model.params.values())
        z = torch.tensor(X[i]) @ weight.T + bias
        if isinstance(loss, lo.MSE):
            value = ((z - float(y[i])) ** 2).mean()
        else:
            value = torch.nn.functional.cross_entropy(z[None], torch.tensor([int(y[i])]))
        rows.append(torch.cat([g.ravel() for g in torch.autograd.grad(value, (weight, bias))]).numpy())
    mean = np.mean(rows, axis=0)
    return np.mean(np.sum((np.array(rows) - mean) ** 2, axis=1)) / np.sum(mean**2)


@pytest.mark.parametrize("loss", [lo.MSE(), lo.CrossEntropy()], ids=repr)
def test_noise_scale_is_the_covariance_over_the_gradient(loss):
    rng = np.random.default_rng(0)
    k = 3 if isinstance(loss, lo.CrossEntropy) else 1
    X = rng.standard_normal((256, 4))
    y = rng.integers(0, 3, 256) if k == 3 else X @ [1.0, 2, 3, 4] + rng.standard_normal(256)
    trainer = lo.Trainer(lo.Linear(4, k), loss, lo.SGD(0.1), batch_size=8)
    expected = by_rows(loss, X, y, trainer.model)
    assert lo.noise_scale(trainer, X, y, batch_size=1) == pytest.approx(expected, rel=1e-10)
    # larger batches estimate the same: the mean of orders comes to it
    estimates = []
    for seed in range(200):
        trainer.seed = seed
        estimates.append(lo.noise_scale(trainer, X, y))
    assert np.mean(estimates) == pytest.approx(expected, rel=0.05)
    assert trainer.optimizer.steps == 0
    assert trainer.history.keys() == []


def test_noise_scale_of_nets_and_queries_changes_nothing():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((60, 4)), rng.integers(0, 4, 60).astype(float)
    trainer = lo.Trainer(lo.MLP((4, 8, 1), dropout=0.5, seed=1), lo.MSE(), lo.SGD(0.01), batch_size=None)
    twin = copy.deepcopy(trainer)
    assert np.isfinite(lo.noise_scale(trainer, X, y))
    trainer.fit(X, y, 3)
    twin.fit(X, y, 3)
    for name, x in twin.model.params.items():
        np.testing.assert_array_equal(trainer.model.params[name], x)
    ranking = lo.Trainer(lo.Linear(4), lo.ListNet(), lo.SGD(), batch_size=4)
    assert 0 < lo.noise_scale(ranking, X, y, group=np.arange(60) // 6) < np.inf
    still = lo.Trainer(lo.Linear(2), lo.MSE(), lo.SGD())
    assert lo.noise_scale(still, np.zeros((4, 2)), np.full(4, still.model.params["bias"][0])) == 0
    for bad in (0, True, 1.5):
        with pytest.raises(ValueError, match="batch_size must be a positive whole number, got"):
            lo.noise_scale(trainer, X, y, batch_size=bad)
    with pytest.raises(ValueError, match="X must have at least 2 rows, got 1"):
        lo.noise_scale(trainer, X[:1], y[:1])
