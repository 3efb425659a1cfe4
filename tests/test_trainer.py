"""The trainer against training written out in NumPy, and its promises about stopping, copies and errors."""

from __future__ import annotations

import copy
import itertools
import pickle
import re
import sys
import types

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit, log_expit, log_softmax, softmax
from sklearn import datasets
from sklearn.linear_model import Lasso, LogisticRegression

import lossopt as lo
from lossopt._kernels import loop
from lossopt.trainer import _Batches

COPIES = {"pickle": lambda x: pickle.loads(pickle.dumps(x)), "copy": copy.deepcopy}
copied = pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)


# ---- the order of the rows


def permuted(n, seed, epoch):
    """The documented algorithm in Python's integers: SplitMix64, Lemire's bounded numbers, Fisher and Yates."""
    golden, most = 0x9E3779B97F4A7C15, 2**64 - 1

    def mixed(x):
        x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & most
        x = (x ^ x >> 27) * 0x94D049BB133111EB & most
        return x ^ x >> 31

    states = itertools.count((mixed(seed) ^ mixed(mixed(epoch) + golden & most)) + golden, golden)
    draws = (mixed(state & most) >> 32 for state in states)

    def below(bound):
        product = next(draws) * bound
        while product % 2**32 < 2**32 % bound:
            product = next(draws) * bound
        return product >> 32

    order = list(range(n))
    for i in range(n - 1, 0, -1):
        j = below(i + 1)
        order[i], order[j] = order[j], order[i]
    return order


def permutation(n, seed, epoch):
    order = np.empty(n, np.int64)
    loop.permutation(order, seed, epoch, max(n, 1))
    return order


@pytest.mark.parametrize("n", [0, 1, 2, 3, 100, 5000])
@pytest.mark.parametrize(("seed", "epoch"), [(0, 0), (1, 0), (0, 1), (123, 2**40), (2**64 - 1, 7)])
def test_permutation_is_the_documented_one(n, seed, epoch):
    assert permutation(n, seed, epoch).tolist() == permuted(n, seed, epoch)


@pytest.mark.parametrize(("numbers", "d", "blocks"), [(2**21, 64, 1), (2**21 + 64, 64, 2), (5 * 2**20, 32, 3)])
def test_blocks_are_shuffled_within_and_come_in_order(numbers, d, blocks):
    n = numbers // d
    X = np.broadcast_to(np.float32(0), (n, d))
    trainer = lo.Trainer(lo.Linear(d, dtype=np.float32), lo.MSE(), lo.SGD(lr=0.1), shuffle="blocks", seed=3)
    order, size = _Batches(trainer, types.SimpleNamespace(X=X, units=n, lots=None), 4).order, 2**21 // d
    pieces = [order[i : i + size] for i in range(0, n, size)]
    assert len(pieces) == blocks
    for i, piece in enumerate(pieces):
        assert np.array_equal(np.sort(piece), np.arange(i * size, i * size + len(piece)))
        assert len(piece) == 1 or not np.array_equal(np.sort(piece), piece)
    if blocks == 1:
        assert order.tolist() == permuted(n, 3, 4)


@pytest.mark.parametrize("engine", ["python", "compiled"])
def test_blocks_train_on_a_file_that_cannot_be_written(tmp_path, engine):
    rng = np.random.default_rng(0)
    X = np.memmap(tmp_path / "X", np.float64, "w+", shape=(300, 20_000))
    X[:] = rng.standard_normal(X.shape)
    X.flush()
    y = X @ rng.standard_normal(20_000) / 100
    X = np.memmap(tmp_path / "X", np.float64, "r", shape=(300, 20_000))
    trainer = lo.Trainer(lo.Linear(20_000), lo.MSE(), lo.SGD(lr=2e-5), shuffle="blocks", batch_size=8, engine=engine)
    history = trainer.fit(X, y, epochs=8)
    assert history["train_loss"][-1] < history["train_loss"][0] / 2


@pytest.mark.parametrize("vary", [lambda i: (0, i), lambda i: (i, 0), lambda i: (i, i)])
def test_permutations_are_uniform_and_independent(vary):
    drawn = [permutation(4, *vary(i)) for i in range(12_000)]
    codes = np.array([order @ [64, 16, 4, 1] for order in drawn])
    assert stats.chisquare(np.unique(codes, return_counts=True)[1]).pvalue > 1e-3
    assert len(np.unique(codes)) == 24
    # what one puts first says nothing of what the next does
    first = np.array([order[0] for order in drawn])
    assert stats.chi2_contingency(np.histogram2d(first[1:], first[:-1], bins=4)[0]).pvalue > 1e-3


def test_seeds_and_epochs_never_share_an_order():
    orders = {permutation(20, seed, epoch).tobytes() for seed in range(60) for epoch in range(60)}
    assert len(orders) == 3600


# ---- the loop, against the same written out

# value a row and its gradient, from scores and targets (n, k)
FORMULAS = {
    lo.MSE: lambda z, y: (np.mean((z - y) ** 2, axis=1), 2 * (z - y) / z.shape[1]),
    lo.BinaryCrossEntropy: lambda z, y: (
        np.mean(-y * log_expit(z) - (1 - y) * log_expit(-z), axis=1),
        (expit(z) - y) / z.shape[1],
    ),
    lo.CrossEntropy: lambda z, y: (-np.sum(y * log_softmax(z, axis=1), axis=1), softmax(z, axis=1) - y),
}


def sgd(lr, g, state, k):
    return lr * g


def momentum(lr, g, state, k):
    state["v"] = 0.9 * state.get("v", 0) + g
    return lr * state["v"]


def adam(lr, g, state, k):
    state["m"] = 0.9 * state.get("m", 0) + 0.1 * g
    state["v"] = 0.999 * state.get("v", 0) + 0.001 * g**2
    return lr * (state["m"] / (1 - 0.9**k)) / (np.sqrt(state["v"] / (1 - 0.999**k)) + 1e-8)


UPDATES = {
    sgd: lambda lr: lo.SGD(lr=lr),
    momentum: lambda lr: lo.SGD(lr=lr, momentum=0.9),
    adam: lambda lr: lo.Adam(lr=lr),
}


def rate(t):
    return 0.01 / (1 + 0.01 * t)


def written_out(loss, update, X, Y, weight, params, l2, batch_size, accumulate=1, drop_last=False, **more):
    """Three epochs in float64, seed 9: what becomes of the parameters, the history, and the number of updates."""
    W, b = (x.astype(np.float64) for x in params.values())
    n, steps, states, history = (
        len(X),
        0,
        ({}, {}),
        {key: [] for key in ("train_loss", "penalty", "lr", "grad_norm", "end_loss")},
    )
    moved = history["step_norm"] = []
    size = n if batch_size is None else batch_size
    for epoch in range(3):
        order = permutation(n, 9, epoch) if size < n else np.arange(n)
        batches = [order[i : i + size] for i in range(0, n, size)]
        batches = [rows for rows in batches if len(rows) == size or not drop_last]
        windows = [np.concatenate(batches[i : i + accumulate]) for i in range(0, len(batches), accumulate)]
        total = mass = 0.0
        for rows in windows:
            w = weight[rows]
            if not w.sum():
                continue
            values, G = FORMULAS[loss](X[rows] @ W.T + b, Y[rows])
            total, mass = total + values @ w, mass + w.sum()
            G = G * w[:, None] / w.sum()
            grads = [G.T @ X[rows], G.sum(axis=0)]
            norm = np.sqrt(sum(np.sum(g**2) for g in grads))
            grads = [g * min(1, more.get("max_norm", np.inf) / (norm + 1e-6)) for g in grads]
            grads[0] = grads[0] + 2 * l2 * W
            lr = rate(steps / len(windows) if "schedule_unit" in more else steps)
            steps += 1
            before = [W.copy(), b.copy()]
            for x, g, state in zip((W, b), grads, states, strict=True):
                x -= update(lr, g, state, steps)
        moved.append(
            np.sqrt(sum(np.sum((x - old) ** 2) for x, old in zip((W, b), before, strict=True))) if w.sum() else 0.0
        )
        end = FORMULAS[loss](X @ W.T + b, Y)[0] @ weight / weight.sum()
        for key, number in zip(list(history)[:-1], (total / mass, l2 * np.sum(W**2), lr, norm, end), strict=True):
            history[key].append(number)
    return {"weight": W, "bias": b}, history, steps


def data(loss, k, n=53, d=6, dtype=np.float64):
    """Read-only X, y and weights, of which some are 0; and y as a matrix of numbers."""
    rng = np.random.default_rng(3)
    X, weight = rng.normal(size=(n, d)).astype(dtype), rng.integers(0, 4, n).astype(dtype)
    y = rng.integers(0, k, n) if loss is lo.CrossEntropy else (rng.random((n, k)) > 0.5).astype(dtype)
    Y = np.eye(k)[y] if loss is lo.CrossEntropy else y.astype(np.float64)
    y = y[:, 0] if y.shape[1:] == (1,) else y
    for x in (X, y, weight):
        x.flags.writeable = False
    return X, y, weight, Y


BATCHES = {
    "batch": {"batch_size": None},
    "stochastic": {"batch_size": 1},
    "mini": {"batch_size": 16},
    "dropped": {"batch_size": 16, "drop_last": True},
    "accumulated": {"batch_size": 4, "accumulate": 5},
    "large": {"batch_size": 100},
}


engines = pytest.mark.parametrize("engine", ["auto", "python"])


@engines
@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["f64", "f32"])
@pytest.mark.parametrize("weighted", [True, False], ids=["weighted", "plain"])
@pytest.mark.parametrize("batches", BATCHES.values(), ids=BATCHES)
@pytest.mark.parametrize("update", UPDATES, ids=lambda f: f.__name__)
@pytest.mark.parametrize(("loss", "k"), [(lo.MSE, 1), (lo.MSE, 40), (lo.BinaryCrossEntropy, 1), (lo.CrossEntropy, 4)])
def test_training_equals_the_loop_written_out(loss, k, update, batches, weighted, dtype, engine):
    X, y, weight, Y = data(loss, k, dtype=dtype)
    model = lo.Linear(6, k, dtype=dtype)
    wide = X.astype(np.float64)
    ones = weight.astype(np.float64) if weighted else np.ones(53)
    params, curves, steps = written_out(loss, update, wide, Y, ones, model.params, 0.01, **batches)
    optimizer = UPDATES[update](lo.InverseTime(lr=0.01, k=0.01))
    trainer = lo.Trainer(model, loss(), optimizer, lo.L2(0.01), **batches, seed=9, engine=engine, end_loss=True)
    history = trainer.fit(X, y, epochs=3, sample_weight=weight if weighted else None)
    tolerance = 1e-12 if dtype == np.float64 else 1e-4
    for name, x in params.items():
        np.testing.assert_allclose(model.params[name], x, rtol=0, atol=tolerance)
    for key, curve in curves.items():
        # a step is a difference of parameters
        np.testing.assert_allclose(history[key], curve, rtol=tolerance * (1 + 9 * (key == "step_norm")), atol=tolerance)
    assert optimizer.steps == steps
    assert history["zeros"] == [0.0] * 3
    assert min(history["seconds"]) > 0
    assert set(history) == {*curves, "zeros", "seconds"}


@engines
@pytest.mark.parametrize("options", [{"max_norm": 0.1}, {"max_norm": 1e9}, {"schedule_unit": "epoch"}], ids=str)
def test_clipping_and_units_equal_the_loop_written_out(options, engine):
    X, y, weight, Y = data(lo.BinaryCrossEntropy, 1)
    model = lo.Linear(6)
    given = {"batch_size": 8, "accumulate": 2} | options
    params, curves, _ = written_out(lo.BinaryCrossEntropy, momentum, X, Y, weight, model.params, 0.1, **given)
    optimizer = UPDATES[momentum](lo.InverseTime(lr=0.01, k=0.01))
    trainer = lo.Trainer(
        model, lo.BinaryCrossEntropy(), optimizer, lo.L2(0.1), **given, seed=9, engine=engine, end_loss=True
    )
    history = trainer.fit(X, y, epochs=3, sample_weight=weight)
    np.testing.assert_allclose(model.params["weight"], params["weight"], rtol=0, atol=1e-13)
    for key, curve in curves.items():
        np.testing.assert_allclose(history[key], curve, rtol=1e-12)


def test_shuffle_off_takes_the_rows_as_they_come():
    X, y, _, _ = data(lo.MSE, 1)
    models = [lo.Linear(6), lo.Linear(6)]
    lo.Trainer(models[0], lo.MSE(), lo.SGD(lr=0.1), batch_size=10, shuffle=False).fit(X, y)
    optimizer = lo.SGD(lr=0.1)
    for i in range(0, 53, 10):
        _, g = lo.MSE().value_and_grad(models[1].forward(X[i : i + 10]), y[i : i + 10])
        optimizer.step(models[1].params, models[1].backward(g))
    np.testing.assert_allclose(models[0].params["weight"], models[1].params["weight"], rtol=1e-13)


# ---- models of one's own


class Plain:
    """A linear model without lossopt."""

    def __init__(self, k):
        self.params = {name: x.copy() for name, x in lo.Linear(6, k).params.items()}

    def forward(self, X):
        self.X = X
        z = X @ self.params["weight"].T + self.params["bias"]
        return z[:, 0] if z.shape[1] == 1 else z

    def backward(self, g):
        g = g.reshape(len(self.X), -1)
        return {"weight": g.T @ self.X, "bias": g.sum(axis=0)}


class Net:
    """Two layers with tanh between."""

    def __init__(self, sizes, seed=0):
        rng = np.random.default_rng(seed)
        self.params = {}
        for i, (m, n) in enumerate(itertools.pairwise(sizes)):
            self.params |= {f"{i}.weight": rng.normal(size=(m, n)), f"{i}.bias": rng.normal(size=n)}

    def forward(self, X):
        p = self.params
        self.X, self.hidden = X, np.tanh(X @ p["0.weight"] + p["0.bias"])
        return (self.hidden @ p["1.weight"] + p["1.bias"])[:, 0]

    def backward(self, g):
        g = g[:, None]
        back = g @ self.params["1.weight"].T * (1 - self.hidden**2)
        return {
            "0.weight": self.X.T @ back,
            "0.bias": back.sum(axis=0),
            "1.weight": self.hidden.T @ g,
            "1.bias": g.sum(axis=0),
        }


class Script:
    """A model whose only parameter counts the updates: its prediction after t of them is the t-th column of X."""

    def __init__(self):
        self.params = {"t": np.zeros(1)}

    def forward(self, X):
        self.seen = X
        return X[:, int(self.params["t"][0])]

    def backward(self, g):
        return {"t": np.array([-1.0])}


def scripted(values, train=None, callbacks=(), **more):
    """A fit whose val_loss, epoch by epoch, is the square of values (and train_loss that of train)."""
    trainer = lo.Trainer(Script(), lo.MSE(), lo.SGD(lr=1), callbacks=callbacks)
    rows = [[*(train or [0.0] * len(values)), 0.0]], [0.0]
    return trainer, lambda: trainer.fit(*rows, epochs=len(values), validation=([[0.0, *values]], [0.0]), **more)


XOR = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0.0, 1, 1, 0])


def test_a_net_of_ones_own_learns():
    X, y = XOR
    net, loss = Net([2, 8, 1]), lo.BinaryCrossEntropy()

    def function(flat):
        for x in net.params.values():
            x[...], flat = flat[: x.size].reshape(x.shape), flat[x.size :]
        value, g = loss.value_and_grad(net.forward(X), y)
        return value, np.concatenate([x.ravel() for x in net.backward(g).values()])

    assert lo.check_gradient(function, np.random.default_rng(1).normal(size=33)) < 1e-8
    trainer = lo.Trainer(net, loss, lo.Adam(lr=0.05), batch_size=3)
    history = trainer.fit(X, y, epochs=300)
    assert trainer.engine == "python"
    assert history["train_loss"][0] > 0.3
    assert trainer.evaluate(X, y) < 0.02
    assert ((net.forward(X) > 0) == y).all()


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("k", [1, 3])
def test_a_linear_model_of_ones_own_equals_linear(k, reduction):
    X, y, weight, _ = data(lo.MSE, k)
    results = []
    for model in (lo.Linear(6, k), Plain(k)):
        loss, batches = lo.MSE(reduction=reduction), {"batch_size": 7, "accumulate": 2}
        trainer = lo.Trainer(model, loss, lo.SGD(lr=1e-3), lo.L2(0.1), **batches)
        history = trainer.fit(X, y, epochs=3, sample_weight=weight, validation=(X, y, weight))
        results.append([*model.params.values(), *(history[key] for key in history if key != "seconds")])
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


def test_arrays_named_bias_are_not_penalized():
    X, y = XOR
    free, held = Net([2, 8, 1]), Net([2, 8, 1])
    for net, penalty in ((free, None), (held, lo.L2(0.7))):
        lo.Trainer(net, lo.MSE(), lo.SGD(lr=0.1), penalty).fit(X, y)
    start = Net([2, 8, 1]).params
    for name, x in held.params.items():
        pull = 0 if name.endswith("bias") else 0.1 * 2 * 0.7 * start[name]
        np.testing.assert_allclose(x, free.params[name] - pull, rtol=0, atol=1e-14)


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("drop_last", [True, False])
def test_every_row_once_an_epoch(drop_last, accumulate):
    X = np.zeros((11, 9))
    X[:, 8] = np.arange(11)
    seen = []

    class Watching(Script):
        def forward(self, X):
            seen.append(X[:, 8].astype(int).tolist())
            return super().forward(X)

    batches = {"batch_size": 4, "accumulate": accumulate, "drop_last": drop_last}
    lo.Trainer(Watching(), lo.MSE(), lo.SGD(lr=0), **batches, seed=5).fit(X, np.zeros(11), epochs=2)
    orders = [permutation(11, 5, epoch).tolist() for epoch in range(2)]
    assert seen == [order[i : min(i + 4, 11)] for order in orders for i in ((0, 4) if drop_last else (0, 4, 8))]


models = pytest.mark.parametrize("make", [lambda k: lo.Linear(6, k), Plain], ids=["linear", "own"])


# ---- accumulation, weights, schedules


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("weighted", [True, False])
@models
@pytest.mark.parametrize("k", [1, 40])
def test_accumulated_batches_equal_the_large_one(make, k, weighted, reduction):
    X, y, weight, _ = data(lo.MSE, k, n=29)
    results = []
    for batches in ({"batch_size": 4, "accumulate": 3}, {"batch_size": 12}):
        model = make(k)
        optimizer = lo.Adam(lr=lo.ExponentialDecay(lr=0.1, k=0.05))
        trainer = lo.Trainer(model, lo.MSE(reduction=reduction), optimizer, lo.L2(0.01), max_norm=0.5, **batches)
        history = trainer.fit(X, y, epochs=3, sample_weight=weight if weighted else None)
        assert optimizer.steps == 9
        results.append([*model.params.values(), *(history[key] for key in history if key != "seconds")])
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("unit", "times"), [("step", [2, 5, 8]), ("epoch", [2 / 3, 5 / 3, 8 / 3])])
def test_schedules_count_updates_not_batches(unit, times):
    X, y, _, _ = data(lo.MSE, 1, n=29)
    schedule = lo.LinearDecay(lr=1e-3, end=0, steps=20)
    trainer = lo.Trainer(lo.Linear(6), lo.MSE(), lo.SGD(lr=schedule), batch_size=4, accumulate=3, schedule_unit=unit)
    assert trainer.fit(X, y, epochs=3)["lr"] == pytest.approx([1e-3 * (1 - t / 20) for t in times], rel=1e-14)


@models
def test_weight_zero_is_the_row_removed(make):
    X, y, _, _ = data(lo.BinaryCrossEntropy, 1, n=24)
    weight = np.tile([1.0, 1, 0, 2], 6)
    weight[8:12] = 0
    keep = weight > 0
    results = []
    for rows, size in ((slice(None), 4), (keep, 3)):
        model, optimizer = make(1), lo.Adam(lr=0.1)
        trainer = lo.Trainer(model, lo.BinaryCrossEntropy(), optimizer, batch_size=size, shuffle=False)
        history = trainer.fit(X[rows], y[rows], epochs=2, sample_weight=weight[rows], validation=(X, y, weight))
        # a batch of which nothing is left makes no update
        assert optimizer.steps == 10
        results.append([*model.params.values(), history["train_loss"], history["val_loss"]])
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-13)


@models
def test_nothing_to_train_on(make):
    X, y, _, _ = data(lo.MSE, 1)
    model = make(1)
    before = copy.deepcopy(model.params)
    trainer = lo.Trainer(model, lo.MSE(), lo.Adam())
    for rows, weight in ((0, None), (53, np.zeros(53))):
        history = trainer.fit(X[:rows], y[:rows], sample_weight=weight, validation=(X[:0], y[:0]))
        assert history["train_loss"][-1] == history["val_loss"][-1] == 0.0
    assert trainer.optimizer.steps == 0
    for name, x in before.items():
        assert np.array_equal(model.params[name], x)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@models
def test_validation_and_evaluate_are_the_data_term(make, reduction):
    X, y, weight, Y = data(lo.BinaryCrossEntropy, 1)
    model = make(1)
    trainer = lo.Trainer(model, lo.BinaryCrossEntropy(reduction=reduction), lo.SGD(lr=0.1), lo.L2(10.0), batch_size=5)
    for given, w in (((X, y), np.ones(53)), ((X, y, weight), weight)):
        history = trainer.fit(X, y, validation=given)
        values, _ = FORMULAS[lo.BinaryCrossEntropy](X @ model.params["weight"].T + model.params["bias"], Y)
        # the curves are means, whatever the loss's reduction
        assert history["val_loss"][-1] == pytest.approx(np.average(values, weights=w), rel=1e-13)
        want = np.average(values, weights=w) * (w.sum() if reduction == "sum" else 1)
        assert trainer.evaluate(*given) == pytest.approx(want, rel=1e-13)


# ---- what is not finite


@models
@pytest.mark.parametrize(("bad", "said"), [(np.nan, "nan"), (np.inf, "inf|nan")])
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_nonfinite_raises_before_the_update(make, bad, said):
    X, y, _, _ = data(lo.MSE, 1)
    spoilt = X.copy()
    spoilt[13, 2] = bad
    models = [make(1), make(1)]
    trainers = [lo.Trainer(m, lo.MSE(), lo.Adam(lr=0.1), batch_size=5, shuffle=False) for m in models]
    trainers[0].fit(X[:10], y[:10])
    text = rf"update 3 was not made: the loss is ({said}), and so is the gradient of 'weight'; look at the data"
    with pytest.raises(FloatingPointError, match=text):
        trainers[1].fit(spoilt, y)
    assert trainers[1].optimizer.steps == 2
    assert trainers[1].history.stopped.startswith("FloatingPointError: update 3 was not made")
    for name, x in models[0].params.items():
        assert np.isfinite(x).all()
        assert np.array_equal(models[1].params[name], x)


def test_nonfinite_gradient_is_named():
    class Spoilt(Net):
        def backward(self, g):
            grads = super().backward(g)
            grads["1.weight"][2] = np.nan
            return grads

    text = "update 1 was not made: the norm of the gradient is nan, and so is the gradient of '1.weight'"
    with pytest.raises(FloatingPointError, match=text):
        lo.Trainer(Spoilt([2, 8, 1]), lo.MSE(), lo.SGD()).fit(*XOR)


@models
def test_skip_leaves_the_update_out(make):
    X, y, _, _ = data(lo.MSE, 1)
    spoilt = X.copy()
    spoilt[11] = np.nan
    good = np.r_[0:10, 15:53]
    results = []
    for rows in (spoilt, y), (X[good], y[good]):
        model, optimizer = make(1), lo.SGD(lr=0.05, momentum=0.9)
        trainer = lo.Trainer(model, lo.MSE(), optimizer, batch_size=5, shuffle=False, on_nonfinite="skip")
        history = trainer.fit(*rows, epochs=2)
        results.append([*model.params.values(), history["train_loss"], optimizer.steps, history["grad_norm"]])
        assert trainer.skipped == 2 * (rows[0] is spoilt)
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-14)


def test_an_epoch_of_skipped_updates_has_no_loss():
    trainer = lo.Trainer(lo.Linear(2), lo.MSE(), lo.SGD(), on_nonfinite="skip")
    history = trainer.fit(np.full((3, 2), np.nan), np.zeros(3))
    assert trainer.skipped == 1
    assert np.isnan(history["train_loss"][0])
    assert np.isfinite(trainer.model.params["weight"]).all()


# ---- early stopping, callbacks, history.stopped


NAN, INF = np.nan, np.inf
STOPPING = {
    # val_loss is the square of the values: (values, options, epochs run, best epoch)
    "patience": ([3, 2, 1, 1, 1, 0], {"patience": 2}, 5, 2),
    "counts again": ([3, 4, 2, 4, 1, 4, 4, 0], {"patience": 2}, 7, 4),
    "patience 0": ([3, 2, 2, 0], {"patience": 0}, 3, 1),
    "patience 1": ([3, 2, 2, 0], {"patience": 1}, 3, 1),
    "ties": ([2, 1, 1, 1], {}, 4, 1),
    "strict min_delta": ([3, 2, 2, 1], {"patience": 2, "min_delta": 5}, 3, 0),
    "from the best": ([3, 2.9, 2.5, 2.4], {"min_delta": 2}, 4, 2),
    "min_delta": ([3, 2.9, 2.8, 2.7], {"patience": 3, "min_delta": 2}, 4, 0),
    "nan": ([NAN, NAN, 2, NAN, NAN, NAN, 1], {"patience": 3}, 6, 2),
    "only nan": ([NAN, NAN, NAN], {"patience": 2}, 2, None),
    "infinite": ([INF, INF, 5, 1], {"patience": 3}, 4, 3),
    "to the end": ([1, 2, 3], {}, 3, 0),
}


@pytest.mark.parametrize("restore", [True, False], ids=["restored", "kept"])
@pytest.mark.parametrize(("values", "options", "ran", "best"), STOPPING.values(), ids=STOPPING)
def test_early_stopping(values, options, ran, best, restore):
    stopping = lo.EarlyStopping(**options, restore_best=restore)
    trainer, fit = scripted(values, callbacks=[stopping])
    history = fit()
    np.testing.assert_array_equal(history["val_loss"], np.square(values[:ran]))
    assert stopping.best_epoch == best
    assert stopping.best == (INF if best is None else values[best] ** 2)
    assert trainer.model.params["t"][0] == (best + 1 if restore and best is not None else ran)
    bad = ran - 1 - (-1 if best is None else best)
    early = "patience" in options and bad >= max(1, options["patience"])
    text = f"early stopping: val_loss did not improve for {bad} epochs" if early else "all epochs done"
    assert history.stopped == text


def test_early_stopping_watches_other_curves_and_begins_anew():
    stopping = lo.EarlyStopping(patience=1, monitor="train_loss")
    _, fit = scripted([1, 1, 1, 1, 1, 1], train=[5, 4, 6, 9, 8, 9], callbacks=[stopping])
    assert fit()["train_loss"] == [25, 16, 36]
    # back at the parameters after epoch 1, whose successor is 36: a new fit has a best of its own
    assert fit()["train_loss"][3:] == [36, 81]
    assert stopping.best_epoch == 3
    text = "monitor='val_loss' is not recorded; this fit records train_loss, lr, grad_norm, step_norm, zeros, seconds"
    with pytest.raises(ValueError, match=text):
        lo.Trainer(lo.Linear(2), lo.MSE(), lo.SGD(), callbacks=[lo.EarlyStopping()]).fit(*XOR)


@pytest.mark.parametrize(("end", "told"), [(np.nan, "nan"), (np.inf, "inf"), (9.0, "81")])
def test_early_stopping_ends_what_diverges(end, told):
    stopping = lo.EarlyStopping(patience=9, divergence_threshold=50)
    _, fit = scripted([5, 4, 6, 3, end, 2, 1], callbacks=[stopping])
    history = fit()
    assert len(history) == 5
    assert history.stopped == f"diverged: val_loss is {told}, beyond 50"
    assert stopping.best_epoch == 3
    for bad in ("high", True, np.nan, np.inf):
        with pytest.raises(ValueError, match="EarlyStopping: divergence_threshold must be a finite number, got"):
            lo.EarlyStopping(divergence_threshold=bad)


class Raising(lo.Callback):
    """Raises `error` in the fourth epoch, at `hook`."""

    def __init__(self, error, hook):
        self.error, self.hook, self.left = error, hook, 4
        setattr(self, hook, self.count)

    def count(self, *given):
        self.left -= 1
        if not self.left:
            raise self.error


@pytest.mark.parametrize("hook", ["on_epoch_begin", "on_batch_begin", "on_batch_end", "on_epoch_end"])
@pytest.mark.parametrize(
    ("error", "text"),
    [(KeyboardInterrupt(), "interrupted"), (OSError("full"), "OSError: full"), (SystemExit(3), "SystemExit: 3")],
    ids=["interrupt", "error", "exit"],
)
def test_best_is_restored_on_every_way_out(error, text, hook):
    trainer, fit = scripted([3, 1, 2, 2, 2], callbacks=[Raising(error, hook), lo.EarlyStopping()])
    with pytest.raises(type(error)):
        fit()
    assert trainer.model.params["t"][0] == 2
    assert trainer.history.stopped == text
    assert trainer.history["val_loss"][:3] == [9, 1, 4]


class Log(lo.Callback):
    def __init__(self, name, log):
        self.name, self.log = name, log

    def on_train_begin(self):
        self.log.append((self.name, "train begins", self.trainer.epochs, self.trainer.history.stopped))

    def on_train_end(self):
        self.log.append((self.name, "train ends", self.trainer.history.stopped))

    def on_epoch_begin(self, epoch):
        self.log.append((self.name, "epoch begins", epoch))

    def on_epoch_end(self, epoch, logs):
        self.log.append((self.name, "epoch ends", epoch, logs["train_loss"]))

    def on_batch_begin(self, batch):
        self.log.append((self.name, "batch begins", batch))

    def on_batch_end(self, batch, logs):
        self.log.append((self.name, "batch ends", batch, logs["loss"]))
        if batch == 1:
            self.trainer.stop("seen enough")


def test_callbacks_are_called_in_order_and_stop_after_the_epoch():
    log = []
    options = {"batch_size": 1, "accumulate": 2, "shuffle": False, "callbacks": [Log("a", log), Log("b", log)]}
    trainer = lo.Trainer(Script(), lo.MSE(), lo.SGD(lr=1), **options)
    # the prediction of the update t is t + 1 for every row
    X = np.tile(np.arange(1.0, 9), (5, 1))
    history = trainer.fit(X, np.zeros(5), epochs=3)
    batches = [event for i, loss in enumerate((1, 4, 9)) for event in (("batch begins", i), ("batch ends", i, loss))]
    mean = (2 * 1 + 2 * 4 + 9) / 5
    begins, ends = (
        [("train begins", 0, None), ("epoch begins", 0)],
        [("epoch ends", 0, mean), ("train ends", "seen enough")],
    )
    events = [*begins, *batches, *ends]
    assert log == [(name, *event) for event in events for name in "ab"]
    assert history.stopped == "seen enough"
    assert len(history) == trainer.epochs == 1
    # the next fit knows nothing of the last one's end
    trainer.fit(X, np.zeros(5), epochs=0)
    assert log[-4:-2] == [(name, "train begins", 1, None) for name in "ab"]
    assert history.stopped == "all epochs done"


# ---- going on


def comparable(trainer):
    """Everything that training has made, the clock's readings apart."""
    curves = {key: trainer.history[key] for key in trainer.history if key != "seconds"}
    numbers = trainer.optimizer.steps, trainer.epochs, trainer.skipped, trainer.history.stopped
    states = trainer.optimizer.state_dict()["state"].values()
    arrays = [*trainer.model.params.values(), *(x for state in states for x in state.values())]
    return curves, numbers, [x.tobytes() for x in arrays]


def midway(update, epochs, dtype=np.float64):
    """A trainer with all there is to carry over, so many epochs on; and how to go on."""
    X, y, weight, _ = data(lo.CrossEntropy, 4, dtype=dtype)
    X = X.copy()
    X[7] = np.nan
    optimizer = UPDATES[update](lo.Warmup(lo.CosineAnnealing(lr=0.1, T_max=60), steps=10))
    model, stopping = lo.Linear(6, 4, dtype=dtype), lo.EarlyStopping(monitor="train_loss", restore_best=False)
    options = {"batch_size": 8, "seed": 4, "on_nonfinite": "skip", "callbacks": [stopping]}
    trainer = lo.Trainer(model, lo.CrossEntropy(), optimizer, lo.ElasticNet(0.01, 0.5), **options)

    def go_on(trainer, epochs):
        trainer.fit(X, y, epochs, sample_weight=weight, validation=(X[8:], y[8:]))
        return trainer

    return go_on(trainer, epochs), go_on


@pytest.mark.parametrize("update", UPDATES, ids=lambda f: f.__name__)
def test_fit_goes_on_from_where_things_stand(update):
    apart, go_on = midway(update, 2)
    assert comparable(go_on(apart, 3)) == comparable(midway(update, 5)[0])
    before = comparable(apart)
    assert comparable(go_on(apart, 0)) == before


@copied
@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["f64", "f32"])
@pytest.mark.parametrize("update", UPDATES, ids=lambda f: f.__name__)
def test_copies_go_on_to_the_same_bits(update, dtype, copied):
    trainer, go_on = midway(update, 2, dtype)
    twin = copied(trainer)
    before = comparable(trainer)
    assert comparable(twin) == before
    after = comparable(go_on(twin, 3))
    # the two share nothing
    assert comparable(trainer) == before
    assert comparable(go_on(trainer, 3)) == after
    assert after != before


@copied
def test_a_trainer_prints_and_copies_as_it_was_constructed(copied):
    trainer = lo.Trainer(lo.Linear(2), lo.MSE(), lo.SGD(lr=0.1), lo.L2(0.5), seed=3)
    text = "Trainer(model=Linear(n_features=2), loss=MSE(), optimizer=SGD(lr=0.1), penalty=L2(strength=0.5), seed=3)"
    assert repr(trainer) == repr(copied(trainer)) == text
    trainer.fit(*XOR)
    assert trainer.engine == copied(trainer).engine in ("python", "compiled")
    assert repr(trainer) == repr(copied(trainer)) == text


# ---- the bar, and errors


def test_progress_shows_a_bar(capfd):
    _, fit = scripted([1, 1, 1], progress=True)
    fit()
    shown = capfd.readouterr().err
    assert "3/3" in shown
    assert "val_loss=1" in shown
    scripted([1, 1, 1])[1]()
    assert capfd.readouterr() == ("", "")


def test_progress_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(ImportError, match=re.escape("a progress bar needs tqdm: pip install 'lossopt[cli]'")):
        scripted([1], progress=True)[1]()


ARGUMENTS = {"model": lo.Linear(2), "loss": lo.MSE(), "optimizer": lo.SGD()}
ERRORS = {
    "model": ({"model": 3}, "model must have params, forward and backward, got 3"),
    "loss": ({"loss": "mse"}, "loss must be an instance of lossopt's Loss, got 'mse'"),
    "optimizer": ({"optimizer": None}, "optimizer must be an instance of lossopt's Optimizer, got None"),
    "penalty": ({"penalty": 0.1}, "penalty must be an instance of lossopt's Penalty, got 0.1"),
    "batch_size": ({"batch_size": 0}, "batch_size must be a positive whole number, got 0"),
    "half": ({"batch_size": 0.5}, "batch_size must be a positive whole number, got 0.5"),
    "accumulate": ({"accumulate": None}, "accumulate must be a positive whole number, got None"),
    "bool": ({"accumulate": True}, "accumulate must be a positive whole number, got True"),
    "max_norm": ({"max_norm": 0}, "max_norm must be positive, got 0"),
    "nan": ({"max_norm": NAN}, "max_norm must be positive, got nan"),
    "unit": ({"schedule_unit": "batch"}, "schedule_unit must be one of 'step', 'epoch', got 'batch'"),
    "engine": ({"engine": "c"}, "engine must be one of 'auto', 'python', 'compiled', got 'c'"),
    "nonfinite": ({"on_nonfinite": "ignore"}, "on_nonfinite must be one of 'raise', 'skip', got 'ignore'"),
    "seed": ({"seed": -1}, "seed must be a whole number from 0 to 2**64 - 1, got -1"),
    "large seed": ({"seed": 2**64}, "seed must be a whole number from 0 to 2**64 - 1"),
    "callbacks": ({"callbacks": [print]}, "callbacks must be instances of lossopt's Callback, got <built-in"),
}


@pytest.mark.parametrize(("change", "text"), ERRORS.values(), ids=ERRORS)
def test_constructor_names_what_is_wrong(change, text):
    with pytest.raises((TypeError, ValueError), match=re.escape(text)):
        lo.Trainer(**ARGUMENTS | change)


@pytest.mark.parametrize(
    ("name", "value"), [(n, v) for n in ("patience", "min_delta") for v in (-1, np.nan, "3", -0.5)]
)
def test_early_stopping_names_what_is_wrong(name, value):
    with pytest.raises(ValueError, match=rf"EarlyStopping: {name} must be .*, got {value!r}"):
        lo.EarlyStopping(**{name: value})


X4, Y4 = XOR
FIT_ERRORS = {
    "epochs": ((X4, Y4, -1), {}, "epochs must be a whole number, 0 or more, got -1"),
    "half": ((X4, Y4, 0.5), {}, "epochs must be a whole number, 0 or more, got 0.5"),
    "X": ((Y4, Y4), {}, "X must have shape (n_samples, n_features), got float64 array of shape (4,)"),
    "columns": ((np.ones((4, 3)), Y4), {}, "X must have 2 features, got float64 array of shape (4, 3)"),
    "rows": ((X4, Y4[:3]), {}, "y must have a target for each of the 4 rows of X, got float64 array of shape (3,)"),
    "y": ((X4, Y4[:, None]), {}, "y must have the prediction's shape (4,), got float64 array of shape (4, 1)"),
    "weight": ((X4, Y4), {"sample_weight": [1.0]}, "sample_weight must have shape (4,), a weight a row"),
    "negative": ((X4, Y4), {"sample_weight": [1, 1, 1, -1]}, "sample_weight must be finite and not negative"),
    "validation": ((X4, Y4), {"validation": X4}, "validation must be (X, y), (X, y, sample_weight) or (X"),
    "held": ((X4, Y4), {"validation": (X4, Y4[:2])}, "y must have a target for each of the 4 rows of X"),
    "held columns": ((X4, Y4), {"validation": (X4[:, :1], Y4)}, "X must have 2 features, got float64"),
}


@pytest.mark.parametrize(("given", "more", "text"), FIT_ERRORS.values(), ids=FIT_ERRORS)
def test_fit_names_what_is_wrong_before_it_begins(given, more, text):
    log = []
    trainer = lo.Trainer(lo.Linear(2), lo.MSE(), lo.SGD(lr=1), callbacks=[Log("a", log)])
    with pytest.raises(ValueError, match=re.escape(text)):
        trainer.fit(*given, **more)
    assert not log
    assert np.array_equal(trainer.model.params["weight"], lo.Linear(2).params["weight"])


def test_other_errors():
    with pytest.raises(ValueError, match="y must hold labels from 0 to 1, got 2"):
        lo.Trainer(lo.Linear(2, 2), lo.CrossEntropy(), lo.SGD()).fit(X4, [0, 1, 2, 0])
    with pytest.raises(ValueError, match="engine='compiled'"):
        lo.Trainer(**ARGUMENTS | {"model": Net([2, 8, 1])}, engine="compiled").fit(X4, Y4)

    class Forgetful(Net):
        def backward(self, g):
            return {"0.weight": super().backward(g)["0.weight"]}

    with pytest.raises(ValueError, match=re.escape("must return a gradient for each of params; '0.bias' is missing")):
        lo.Trainer(Forgetful([2, 8, 1]), lo.MSE(), lo.SGD()).fit(X4, Y4)


# ---- against optima that others find


def standardized(name):
    X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    return (X - X.mean(axis=0)) / X.std(axis=0), y


@pytest.mark.parametrize(
    "optimizer",
    [lo.SGD(lr=0.1), lo.SGD(lr=0.02, momentum=0.9), lo.Adam(lr=lo.CosineAnnealing(lr=0.05, T_max=3000))],
    ids=["sgd", "momentum", "adam"],
)
def test_l1_ends_at_the_lasso_with_exact_zeros(optimizer):
    X, y = standardized("diabetes")
    y = y / y.std()
    lasso = Lasso(alpha=0.1 / 2, tol=1e-14, max_iter=10**6).fit(X, y)
    model = lo.Linear(10)
    trainer = lo.Trainer(model, lo.MSE(), copy.deepcopy(optimizer), lo.L1(0.1), batch_size=None)
    history = trainer.fit(X, y, epochs=3000)
    weight = model.params["weight"][0]
    np.testing.assert_allclose(weight, lasso.coef_, rtol=0, atol=1e-6)
    assert model.params["bias"][0] == pytest.approx(lasso.intercept_, abs=1e-6)
    assert np.array_equal(weight == 0, lasso.coef_ == 0)
    assert not np.signbit(weight[weight == 0]).any()
    assert history["zeros"][-1] == np.count_nonzero(lasso.coef_ == 0) > 2
    assert history["penalty"][-1] == pytest.approx(0.1 * np.abs(lasso.coef_).sum(), rel=1e-5)


def test_a_heavy_penalty_leaves_the_bias_free():
    X, y = standardized("diabetes")
    model = lo.Linear(10)
    history = lo.Trainer(model, lo.MSE(), lo.SGD(lr=0.1), lo.L1(1e4), batch_size=None).fit(X, y, epochs=200)
    assert not model.params["weight"].any()
    assert history["zeros"][-1] == 10
    assert model.params["bias"][0] == pytest.approx(y.mean(), rel=1e-12)


def test_logistic_regression_on_real_data_reaches_the_optimum():
    X, y = standardized("breast_cancer")
    strength, epochs = 1e-3, 150
    objective = lo.Objective(X, y, lo.BinaryCrossEntropy(), lo.L2(strength))
    fitted = LogisticRegression(C=1 / (2 * len(y) * strength), tol=1e-10, max_iter=10**4).fit(X, y)
    z = fitted.decision_function(X)
    best = np.mean(-y * log_expit(z) - (1 - y) * log_expit(-z)) + strength * np.sum(fitted.coef_**2)
    updates = epochs * -(-len(y) // 32)
    schedule = lo.Warmup(lo.CosineAnnealing(lr=0.03, T_max=updates - 50), steps=50)
    model = lo.Linear(30)
    lo.Trainer(model, lo.BinaryCrossEntropy(), lo.Adam(lr=schedule), objective.penalty).fit(X, y, epochs)
    reached = objective(np.concatenate([x.ravel() for x in model.params.values()]))
    assert 0 <= reached / best - 1 < 1e-3
    assert np.mean((model.predict(X) > 0) == y) == pytest.approx(fitted.score(X, y), abs=0.005)


# ---- what anyone may do to the parts from outside


def test_parameters_in_another_order_are_the_same_model():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((64, 40)), rng.standard_normal(64)
    left = []
    for turned in (False, True):
        for engine in ("python", "compiled"):
            model = lo.Linear(40)
            if turned:
                model.params = {"bias": model.params["bias"], "weight": model.params["weight"]}
            arguments = model, lo.MSE(), lo.SGD(lr=1e-2, momentum=0.9)
            history = lo.Trainer(*arguments, penalty=lo.ElasticNet(0.1, 0.5), engine=engine).fit(X, y, epochs=3)
            left.append((model.params["weight"].tobytes(), model.params["bias"].tobytes(), history["train_loss"]))
    assert all(one == left[0] for one in left[1:])


@pytest.mark.parametrize("engine", ["python", "compiled"])
@pytest.mark.parametrize(
    ("params", "error", "text"),
    [
        ({"weight": np.ones((1, 1)), "bias": np.zeros(1)}, ValueError, "params['weight'] must have shape (1, 4)"),
        ({"weight": np.ones((1, 4), "f4"), "bias": np.zeros(1)}, TypeError, "params['weight'] must be a float64 array"),
        ({"weight": np.ones((1, 4))}, ValueError, "Linear: params must be 'weight' and 'bias', got ['weight']"),
    ],
)
def test_other_parameters_of_a_linear_model_are_looked_at(params, error, text, engine):
    model = lo.Linear(4)
    model.params = params
    X, y = np.ones((3, 4)), np.ones(3)
    trainer = lo.Trainer(model, lo.MSE(), lo.SGD(), engine=engine)
    for work in (lambda: trainer.fit(X, y), lambda: trainer.evaluate(X, y), lambda: model.predict(X)):
        with pytest.raises(error, match=re.escape(text)):
            work()


def test_a_linear_model_refuses_a_loss_of_probabilities():
    loss = lo.BinaryCrossEntropy(from_logits=False)
    for work in (
        lambda: lo.Objective(np.ones((2, 1)), [1, 1], loss),
        lambda: lo.Trainer(lo.Linear(1), loss, lo.SGD()).fit(np.ones((2, 1)), [1, 1]),
    ):
        with pytest.raises(ValueError, match="loss takes probabilities, and the model gives scores"):
            work()


def test_nothing_to_train_on_is_said():
    with pytest.raises(ValueError, match="drop_last=True leaves nothing: batch_size=32 is more than 20 rows"):
        lo.Trainer(lo.Linear(1), lo.MSE(), lo.SGD(), drop_last=True).fit(np.ones((20, 1)), np.ones(20))


def test_gradients_of_another_type_count_as_they_are():
    class Own:
        def __init__(self):
            self.params = {"weight": np.ones(2, "f4"), "bias": np.zeros(1, "f4")}

        def forward(self, X):
            self.X = X
            return X @ self.params["weight"] + self.params["bias"]

        def backward(self, grad_prediction):
            return {"bias": np.array([round(float(grad_prediction.sum()))]), "weight": grad_prediction @ self.X}

    X, y = np.array([[1, 0], [0, 2]], "f4"), np.array([-3, -2], "f4")
    history = lo.Trainer(Own(), lo.MSE(), lo.SGD(lr=1e-3), batch_size=None).fit(X, y)
    np.testing.assert_allclose(history["grad_norm"], [np.sqrt(8**2 + 4**2 + 8**2)], rtol=1e-6)


# ---- reduction on a plateau


@pytest.mark.parametrize("seed", range(30))
def test_reductions_are_torchs(seed):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(seed)
    values = np.round(rng.standard_normal(60).cumsum() * 2 + np.linspace(20, 0, 60), 1)
    values[rng.integers(0, 60, 5)] = NAN
    options = {"factor": 0.5, "patience": int(rng.integers(1, 5)), "cooldown": int(rng.integers(0, 4))}
    options |= {"min_delta": float(rng.integers(0, 3)), "min_lr": float(rng.choice([0.0, 0.02]))}
    parameter = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    torchs = torch.optim.SGD([parameter], lr=0.1)
    judge = torch.optim.lr_scheduler.ReduceLROnPlateau(
        torchs, factor=0.5, patience=options["patience"] - 1, threshold=options["min_delta"], threshold_mode="abs",
        cooldown=options["cooldown"], min_lr=options["min_lr"], eps=0,
    )  # fmt: skip
    rates = []
    for value in values:
        rates.append(torchs.param_groups[0]["lr"])
        judge.step(value**2)
    plateau, optimizer, ours = lo.ReduceOnPlateau(**options), lo.SGD(lr=0.1), []
    plateau.trainer = types.SimpleNamespace(optimizer=optimizer)
    for epoch, value in enumerate(values):
        ours.append(0.1 * optimizer.lr_scale)
        plateau.on_epoch_end(epoch, {"val_loss": value**2, "lr": ours[-1]})
    np.testing.assert_allclose(ours, rates, 1e-12)
    assert len(set(rates)) - 1 <= plateau.reductions <= len(set(rates))


@pytest.mark.parametrize("engine", ["python", "compiled"])
def test_reductions_multiply_schedules_of_every_group_and_survive_a_pickle(engine):
    X, y = np.ones((8, 2)), np.arange(8.0)
    schedule = lo.Cyclic(0.01, 0.05, up=4)
    optimizer = lo.SGD(schedule, groups={"bias": {"lr": 0.001}})
    plateau = lo.ReduceOnPlateau(0.5, patience=2, min_delta=1e9, monitor="train_loss", min_lr=1e-3)
    trainer = lo.Trainer(lo.Linear(2), lo.MSE(), optimizer, batch_size=None, engine=engine, callbacks=[plateau])
    trainer.fit(X, y, epochs=3)
    # the first epoch is always an improvement on nothing
    again = pickle.loads(pickle.dumps(trainer))
    for one in (trainer, again):
        one.fit(X, y, epochs=5)
        scales = np.array([1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25])
        assert one.history["lr"] == pytest.approx(schedule(np.arange(8)) * scales)
        assert one.optimizer.lr_scale == 0.125
    assert trainer.model.params["bias"].tobytes() == again.model.params["bias"].tobytes()
    trainer.optimizer.reset()
    assert trainer.optimizer.lr_scale == 1


def test_a_reduction_stops_at_min_lr():
    plateau = lo.ReduceOnPlateau(0.1, patience=1, min_delta=1e9, monitor="train_loss", min_lr=0.03)
    trainer = lo.Trainer(lo.Linear(2), lo.MSE(), lo.SGD(lr=lo.Join([0.1, 0.0, 0.01], [4, 6])), callbacks=[plateau])
    history = trainer.fit(np.zeros((4, 2)), np.zeros(4), epochs=9)
    # at a rate of 0, and at one below already, there is nothing to reduce
    assert history["lr"] == pytest.approx([0.1, 0.1, 0.03, 0.03, 0, 0, 0.003, 0.003, 0.003])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"factor": 1}, "factor must lie between 0 and 1, got 1"),
        ({"factor": "a"}, "factor must lie between 0 and 1, got 'a'"),
        ({"patience": 0}, "patience must be a whole number, 1 or more, got 0"),
        ({"cooldown": 1.5}, "cooldown must be a whole number, 0 or more, got 1.5"),
        ({"min_delta": -1}, "min_delta must be finite and not negative, got -1"),
        ({"min_lr": NAN}, "min_lr must be finite and not negative, got nan"),
    ],
)
def test_plateaus_that_make_no_sense(options, text):
    with pytest.raises(ValueError, match=f"ReduceOnPlateau: {text}"):
        lo.ReduceOnPlateau(**options)


def test_what_a_callback_adds_to_the_logs_is_a_curve():
    class Squares(lo.Callback):
        def on_epoch_end(self, epoch, logs):
            logs["square"] = epoch**2
            logs["train_loss"] = -1.0
            if epoch == 2:
                logs["late"] = np.float32(0.5)

    target = lo.TargetLoss(-9.0, monitor="square")
    trainer, fit = scripted([3, 2, 1, 0], callbacks=[Squares(), target])
    history = fit()
    assert history["square"] == [0, 1, 4, 9]
    np.testing.assert_array_equal(history["late"], [NAN, NAN, 0.5, NAN])
    assert -1 not in history["train_loss"]
    assert list(history)[-2:] == ["square", "late"]
    assert trainer.epochs == 4
