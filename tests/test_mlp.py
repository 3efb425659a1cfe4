"""MLP against NumPy and torch: gradients, training, dropout, and what a step allocates."""

from __future__ import annotations

import copy
import pickle
import re
import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from scipy.special import expit, log_softmax

import lossopt as lo

ACTIVATE = {"identity": lambda x: x, "relu": lambda x: np.maximum(x, 0), "tanh": np.tanh, "sigmoid": expit}
activations = pytest.mark.parametrize("activation", ACTIVATE)
both = pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["f64", "f32"])
COPIES = {"pickle": lambda x: pickle.loads(pickle.dumps(x)), "deepcopy": copy.deepcopy, "copy": copy.copy}
copied = pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
# sizes and the loss of targets drawn for them
NETS = {
    "no hidden layer": ((5, 1), lo.MSE),
    "one output": ((7, 16, 1), lo.BinaryCrossEntropy),
    "deep": ((7, 9, 1, 17, 4), lo.CrossEntropy),
    "wide": ((3, 300, 2), lo.MSE),
    "narrow": ((1, 1, 1), lo.MSE),
}
nets = pytest.mark.parametrize(("sizes", "loss"), NETS.values(), ids=NETS)


def problem(sizes, loss, n=53, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    X, k = rng.normal(size=(n, sizes[0])).astype(dtype), sizes[-1]
    if loss is lo.CrossEntropy:
        return X, rng.integers(0, k, n)
    y = rng.normal(size=n if k == 1 else (n, k))
    return X, (y > 0 if loss is lo.BinaryCrossEntropy else y).astype(dtype)


def written_out(model, X):
    """The documented formula, in double."""
    a, params = X.astype(np.float64), [x.astype(np.float64) for x in model.params.values()]
    for i in range(0, len(params), 2):
        a = a @ params[i].T + params[i + 1]
        a = ACTIVATE[model.activation](a) if i + 2 < len(params) else a
    return a[:, 0] if model.sizes[-1] == 1 else a


# ---- the start


@both
def test_params(dtype):
    model = lo.MLP((7, 5, 3), dtype=dtype)
    assert {name: x.shape for name, x in model.params.items()} == {
        "0.weight": (5, 7),
        "0.bias": (5,),
        "1.weight": (3, 5),
        "1.bias": (3,),
    }
    for x in model.params.values():
        assert x.dtype == dtype
        assert x.flags.c_contiguous
        assert x.flags.writeable
        assert x.base is None or x.base.size == x.size


def test_start_is_uniform_and_linears():
    params = lo.MLP((400, 100, 50), seed=5).params
    for i, d in ((0, 400), (1, 100)):
        for kind in ("weight", "bias"):
            x = params[f"{i}.{kind}"].ravel() * np.sqrt(d)
            assert stats.kstest(x, "uniform", args=(-1, 2)).pvalue > 1e-3
    # one layer is a linear model; golden by Philox written out
    for name, x in lo.Linear(6, 4, seed=9).params.items():
        assert_array_equal(lo.MLP((6, 4), seed=9).params[f"0.{name}"], x)
    assert lo.MLP((2, 3)).params["0.weight"][0].tolist() == [-0.6907772046734277, -0.36550463142722694]
    assert not np.array_equal(lo.MLP((2, 3)).params["0.weight"], lo.MLP((2, 3), seed=1).params["0.weight"])


# ---- predictions and gradients


@both
@nets
@activations
@pytest.mark.parametrize("n", [0, 1, 53, 1100])
def test_predictions_are_the_formula(n, activation, sizes, loss, dtype):
    model = lo.MLP(sizes, activation, dtype=dtype)
    X, _ = problem(sizes, loss, n, dtype)
    for got in (model.predict(X), model.forward(X)):
        assert got.dtype == dtype
        assert_allclose(got, written_out(model, X), rtol=0, atol=20 * np.finfo(dtype).eps)
    assert model.forwards == 1


@nets
@activations
@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_gradients_are_those_of_finite_differences(dropout, activation, sizes, loss):
    model = lo.MLP(sizes, activation, dropout=dropout, seed=2)
    X, y = problem(sizes, loss)
    shapes = [x.shape for x in model.params.values()]
    ends = np.cumsum([x.size for x in model.params.values()])

    def function(flat):
        for x, part, shape in zip(model.params.values(), np.split(flat, ends[:-1]), shapes, strict=True):
            x[...] = part.reshape(shape)
        model.forwards = 3  # the same numbers dropped
        value, g = loss().value_and_grad(model.forward(X), y)
        return value, np.concatenate([x.ravel() for x in model.backward(g).values()])

    start = np.concatenate([x.ravel() for x in model.params.values()])
    value, gradient = function(start)
    rng = np.random.default_rng(1)
    for _ in range(20):
        direction = rng.normal(size=len(start)) * 1e-6
        slope = (function(start + direction)[0] - function(start - direction)[0]) / 2
        assert_allclose(gradient @ direction, slope, rtol=1e-5, atol=1e-14)
    assert function(start)[0] == value


def torch_net(model, dropout=0.0):
    """torch's net with copies of the model's parameters."""
    torch = pytest.importorskip("torch")
    kinds = {"identity": torch.nn.Identity, "relu": torch.nn.ReLU, "tanh": torch.nn.Tanh, "sigmoid": torch.nn.Sigmoid}
    layers, params = [], list(model.params.values())
    for weight, bias in zip(params[::2], params[1::2], strict=True):
        linear = torch.nn.Linear(*weight.shape[::-1], dtype=torch.from_numpy(weight).dtype)
        linear.weight.data, linear.bias.data = torch.from_numpy(weight.copy()), torch.from_numpy(bias.copy())
        layers += [linear, kinds[model.activation]()]
    return torch, torch.nn.Sequential(*layers[:-1])


def torch_loss(torch, loss, z, y):
    z, y = (z[:, 0] if z.shape[1] == 1 else z), torch.from_numpy(y)
    calls = torch.nn.functional
    named = {
        lo.MSE: calls.mse_loss,
        lo.BinaryCrossEntropy: calls.binary_cross_entropy_with_logits,
        lo.CrossEntropy: calls.cross_entropy,
    }
    return named[loss](z, y)


@both
@nets
@activations
def test_gradients_are_torchs(activation, sizes, loss, dtype):
    model = lo.MLP(sizes, activation, dtype=dtype)
    torch, net = torch_net(model)
    X, y = problem(sizes, loss, dtype=dtype)
    torch_loss(torch, loss, net(torch.from_numpy(X)), y).backward()
    grads = model.backward(loss().value_and_grad(model.forward(X), y)[1])
    assert list(grads) == list(model.params)
    tolerance = 1e-12 if dtype == np.float64 else 1e-5
    for (name, x), other in zip(grads.items(), net.parameters(), strict=True):
        assert x.dtype == dtype
        want = other.grad.numpy()
        assert_allclose(x, want, rtol=tolerance, atol=tolerance * np.abs(want).max(), err_msg=name)


@both
@pytest.mark.parametrize("make", [lambda: lo.SGD(lr=0.01, momentum=0.9), lambda: lo.Adam(lr=0.01)], ids=["sgd", "adam"])
@nets
@activations
def test_training_equals_torchs(activation, sizes, loss, make, dtype):
    model, optimizer = lo.MLP(sizes, activation, dtype=dtype), make()
    torch, net = torch_net(model)
    X, y = problem(sizes, loss, n=100, dtype=dtype)
    theirs = (
        torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
        if isinstance(optimizer, lo.SGD)
        else torch.optim.Adam(net.parameters(), lr=0.01)
    )
    lo.Trainer(model, loss(), optimizer, batch_size=20, shuffle=False).fit(X, y, epochs=4)
    for _ in range(4):
        for start in range(0, 100, 20):
            theirs.zero_grad()
            torch_loss(torch, loss, net(torch.from_numpy(X[start : start + 20])), y[start : start + 20]).backward()
            theirs.step()
    for (name, x), other in zip(model.params.items(), net.parameters(), strict=True):
        tolerance = 1e-10 if dtype == np.float64 else 2e-4
        assert_allclose(x, other.detach().numpy(), rtol=tolerance, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("arrange", [np.asfortranarray, np.ndarray.tolist, lambda x: x.repeat(2, axis=0)[::2]])
def test_layouts(arrange):
    model = lo.MLP((3, 8, 2))
    X, g = problem((3, 2), lo.MSE)
    X, g = X.round(), g.round()
    X.flags.writeable = g.flags.writeable = False
    want, grads = model.forward(X).copy(), copy.deepcopy(model.backward(g))
    assert_array_equal(model.forward(arrange(X)), want)
    for name, x in model.backward(arrange(g)).items():
        assert_array_equal(x, grads[name])
    assert_array_equal(model.predict(X.astype(np.int8)), want)
    assert_array_equal(model.predict(X.astype(np.float32)), want)


def test_predictions_are_fresh_and_forwards_are_buffers():
    model = lo.MLP((3, 8, 2))
    X, g = problem((3, 2), lo.MSE)
    first, second = model.predict(X), model.predict(X)
    assert not np.shares_memory(first, second)
    forward = model.forward(X)
    grads = model.backward(g)
    kept = copy.deepcopy(grads)
    model.predict(2 * X)  # writes over nothing
    assert_array_equal(forward, first)
    for name, x in model.backward(g).items():
        assert x is grads[name]
        assert_array_equal(x, kept[name])
    # of fewer rows, in the same memory, and of more again
    for n in (7, 53, 60):
        X, g = problem((3, 2), lo.MSE, n=n)
        assert_array_equal(model.forward(X), model.predict(X))
        assert_allclose(model.backward(g)["1.bias"], g.sum(axis=0))


def test_a_refused_forward_leaves_the_last_one_standing():
    model = lo.MLP((3, 8, 1))
    X, g = problem((3, 1), lo.MSE)
    model.forward(X)
    grads = copy.deepcopy(model.backward(g))
    with pytest.raises(ValueError, match="3 features"):
        model.forward(X[:, 1:])
    assert model.forwards == 1
    for name, x in model.backward(g).items():
        assert_array_equal(x, grads[name])


@activations
def test_nan_goes_through(activation):
    model = lo.MLP((3, 8, 2), activation, dropout=0.5)
    X, _ = problem((3, 2), lo.MSE)
    X[5, 1] = np.nan
    for z in (model.predict(X), model.forward(X)):
        assert np.isnan(z[5]).all()
        assert np.isfinite(np.delete(z, 5, axis=0)).all()
    # and out again: no buffer remembers it
    for sizes in ((3, 8, 2), (3, 1, 1), (1, 1, 1), (3, 300, 300, 1)):
        for n in (1, 2, 53):
            model = lo.MLP(sizes, activation)
            X, g = problem((sizes[0], sizes[-1]), lo.MSE, n=n)
            model.forward(np.full_like(X, np.nan))
            assert np.isnan(model.backward(np.full_like(g, np.nan))["0.weight"]).all() or activation == "relu"
            assert np.isfinite(model.forward(X)).all()
            assert all(np.isfinite(x).all() for x in model.backward(g).values())


def test_products_beyond_the_range_raise_no_warning():
    model, X = lo.MLP([3, 4, 2], dtype="float32"), np.full((5, 3), 3e38, np.float32)
    model.params["0.weight"][:] = 3
    assert not np.isfinite(model.predict(X)).any()
    prediction = model.forward(X)
    assert not np.isfinite(model.backward(prediction)["0.weight"]).any()
    with pytest.raises(FloatingPointError, match="loss"):
        lo.Trainer(model, lo.CrossEntropy(), lo.SGD(0.1)).fit(X, np.zeros(5, np.int64), epochs=1)


@nets
def test_no_rows_have_no_gradient(sizes, loss):
    model = lo.MLP(sizes)
    model.forward(problem(sizes, loss)[0])
    prediction = model.forward(problem(sizes, loss, n=0)[0])
    assert not any(x.any() for x in model.backward(prediction).values())


# ---- dropout


@activations
def test_dropout_keeps_the_mean_and_drops_its_share(activation):
    model = lo.MLP((4, 4000, 1), activation, dropout=0.3)
    # the output is the sum of what the hidden layer kept, and each number of that is 1 before dropout
    model.params["0.weight"][...], model.params["0.bias"][...] = 0, 1 if activation in ("identity", "relu") else 50
    model.params["1.weight"][...], model.params["1.bias"][...] = 1, 0
    assert_allclose(model.predict(np.zeros((2, 4))), 4000)
    kept = np.concatenate([model.forward(np.zeros((50, 4))).copy() for _ in range(20)]) * 0.7
    assert_allclose(kept, kept.round(), rtol=0, atol=1e-8)
    assert stats.kstest((kept - 2800) / np.sqrt(4000 * 0.3 * 0.7), "norm").pvalue > 1e-3


def test_masses_of_masks_are_independent():
    """Of a layer, of layers, of forwards and of seeds."""
    drawn = []
    for seed in (0, 1):
        model = lo.MLP((1, 64, 64, 64), dropout=0.5, seed=seed)
        for i, x in enumerate(model.params.values()):
            x[...] = np.eye(*x.shape) if x.ndim == 2 else i == 1
        for _ in range(3):
            model.forward(np.zeros((64, 1)))
            drawn += [(a > 0).ravel() for a in model._now[:1]]
            second = model._now[1][model._now[0] > 0] > 0
            assert abs(second.mean() - 0.5) < 0.05
    correlations = np.corrcoef(np.array(drawn, float))
    assert (np.abs(correlations[~np.eye(len(drawn), dtype=bool)]) < 0.08).all()


@both
def test_dropout_is_the_seeds_alone(dtype):
    X, _ = problem((5, 1), lo.MSE, dtype=dtype)
    masks = []
    for seed in (3, 3, 4):
        model = lo.MLP((5, 60, 1), "sigmoid", dropout=0.5, dtype=dtype, seed=seed)
        model.forward(X)
        model.forward(X)
        masks.append(model._now[0] == 0)
    assert_array_equal(masks[0], masks[1])
    assert 0.4 < (masks[0] != masks[2]).mean() < 0.6
    # golden: a change of these numbers changes everybody's runs
    assert masks[0][0, :16].astype(int).tolist() == GOLDEN


GOLDEN = [0, 1, 1, 1, 1, 1, 0, 1, 0, 0, 0, 0, 1, 0, 1, 0]  # by SplitMix64 written out


@copied
def test_a_copy_goes_on_with_the_same_masks(copied):
    X, y = problem((5, 1), lo.MSE)

    def trainer():
        return lo.Trainer(lo.MLP((5, 20, 1), dropout=0.3), lo.MSE(), lo.Adam(lr=0.01), batch_size=8, accumulate=2)

    whole, part = trainer(), trainer()
    whole.fit(X, y, epochs=6)
    part.fit(X, y, epochs=2)
    assert part.model.forwards == 14
    part = copied(part)
    assert part.model.forwards == 14
    part.fit(X, y, epochs=4)
    for name, x in whole.model.params.items():
        assert_array_equal(part.model.params[name], x)
    assert part.history["train_loss"] == whole.history["train_loss"]


# ---- training


def test_learns():
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, size=(2000, 2))
    y = (X[:, 0] * X[:, 1] > 0).astype(int)
    for activation in ACTIVATE:
        model = lo.MLP((2, 32, 2), activation, dropout=0.1, dtype=np.float32)
        trainer = lo.Trainer(model, lo.CrossEntropy(), lo.Adam(lr=0.02))
        history = trainer.fit(X, y, epochs=30, validation=(X[:100], y[:100]))
        assert trainer.engine == "python"
        accuracy = (model.predict(X).argmax(axis=1) == y).mean()
        assert accuracy < 0.7 if activation == "identity" else accuracy > 0.93
        # looked at without dropout
        scores = model.predict(X[:100]).astype(float)
        want = -log_softmax(scores, axis=1)[np.arange(100), y[:100]].mean()
        assert_allclose(history["val_loss"][-1], want, rtol=1e-5)
        assert_allclose(trainer.evaluate(X[:100], y[:100]), want, rtol=1e-5)
        assert model.forwards == 30 * 63


@both
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("weighted", [True, False])
@nets
def test_accumulated_batches_equal_the_large_one(sizes, loss, weighted, reduction, dtype):
    # the last window is short, and so is its last batch
    X, y = problem(sizes, loss, n=85, dtype=dtype)
    weight = np.random.default_rng(3).integers(0, 3, 85) if weighted else None
    ends = []
    for options in ({"batch_size": 30}, {"batch_size": 10, "accumulate": 3}):
        model = lo.MLP(sizes, "tanh", dtype=dtype)
        trainer = lo.Trainer(
            model, loss(reduction=reduction), lo.SGD(lr=0.01), penalty=lo.L2(0.01), max_norm=0.5, **options
        )
        trainer.fit(X, y, epochs=2, sample_weight=weight)
        assert trainer.optimizer.steps == 6
        ends.append(model.params)
    for name, x in ends[0].items():
        assert_allclose(ends[1][name], x, rtol=0, atol=100 * np.finfo(dtype).eps)


@pytest.mark.parametrize("shuffle", [True, False])
def test_weight_zero_is_the_row_removed_and_two_the_row_twice(shuffle):
    X, y = problem((5, 1), lo.MSE)
    weight = np.arange(53) % 3
    X[weight == 0] = np.nan
    many = np.repeat(np.arange(53), weight)
    models = [lo.MLP((5, 9, 1), "tanh") for _ in range(2)]
    one = lo.Trainer(models[0], lo.MSE(), lo.Adam(lr=0.01), batch_size=None)
    other = lo.Trainer(models[1], lo.MSE(), lo.Adam(lr=0.01), batch_size=None)
    one.fit(X, y, epochs=5, sample_weight=weight)
    other.fit(X[many], y[many], epochs=5)
    assert_allclose(one.evaluate(X, y, weight), other.evaluate(X[many], y[many]), rtol=1e-12)
    for name, x in models[0].params.items():
        assert_allclose(x, models[1].params[name], rtol=1e-10, atol=1e-12)
    # in batches, some of them of nothing else
    options = {"batch_size": 2, "shuffle": shuffle}
    history = lo.Trainer(lo.MLP((5, 9, 1)), lo.MSE(), lo.SGD(lr=0.01), **options).fit(X, y, 3, sample_weight=weight)
    assert np.isfinite(history["train_loss"]).all()


def test_penalty_leaves_biases_alone():
    X, y = problem((5, 1), lo.MSE)
    model = lo.MLP((5, 9, 1), "tanh")
    before = copy.deepcopy(model.params)
    lo.Trainer(model, lo.MSE(), lo.SGD(lr=0.1), penalty=lo.L1(100.0)).fit(X, y)
    for name, x in model.params.items():
        assert (not x.any()) == name.endswith("weight")
        assert not np.array_equal(x, before[name])


def test_drop_last_and_rows_in_any_order():
    X, y = problem((5, 1), lo.MSE)
    trainer = lo.Trainer(lo.MLP((5, 9, 1)), lo.MSE(), lo.SGD(lr=0.01), batch_size=10, drop_last=True)
    trainer.fit(X, y, epochs=2)
    assert trainer.optimizer.steps == 10
    trainer = lo.Trainer(lo.MLP((5, 9, 1)), lo.MSE(), lo.SGD(lr=0.0), batch_size=10)
    history = trainer.fit(X, y, epochs=2)
    # nothing moves: each row is seen once, with its own target
    assert_allclose(history["train_loss"], trainer.evaluate(X, y), rtol=1e-12)
    trainer.fit(X[:0], y[:0])
    assert trainer.evaluate(X[:0], y[:0]) == 0


@pytest.mark.thread_unsafe  # it measures the memory of all threads
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_a_step_allocates_nothing_after_the_first(dropout, accumulate, weighted):
    X, y = problem((400, 10), lo.CrossEntropy, n=64 * 7 + 5)
    peaks = []

    class Watch(lo.Callback):
        def on_batch_begin(self, batch):
            tracemalloc.reset_peak()
            self.before = tracemalloc.get_traced_memory()[0]

        def on_batch_end(self, batch, logs):
            peaks.append(tracemalloc.get_traced_memory()[1] - self.before)

    trainer = lo.Trainer(
        lo.MLP((400, 300, 10), dropout=dropout),
        lo.CrossEntropy(),
        lo.Adam(lr=1e-3),
        batch_size=64,
        accumulate=accumulate,
        callbacks=[Watch()],
    )
    tracemalloc.start()
    try:
        trainer.fit(X, y, epochs=3, sample_weight=np.ones(len(X)) if weighted else None)
    finally:
        tracemalloc.stop()
    # X's batch is 200 KB, a hidden layer's 150 KB, the first weights are 960 KB
    assert peaks[0] > 500_000
    assert max(peaks[1:]) < 16_000


# ---- the object


@both
@copied
def test_copies_keep_params_and_go_their_own_way(copied, dtype):
    model = lo.MLP((3, 8, 2), "tanh", dropout=0.2, dtype=dtype)
    X, _ = problem((3, 2), lo.MSE)
    for x in model.params.values():
        x += 1
    model.forward(X)
    twin = copied(model)
    assert repr(twin) == repr(model)
    assert twin.forwards == 1
    assert_array_equal(twin.forward(X), model.forward(X))
    for name, x in twin.params.items():
        assert x.dtype == dtype
        assert not np.shares_memory(x, model.params[name])
    twin.params["1.bias"] += 1
    assert not np.array_equal(twin.predict(X), model.predict(X))


def test_repr():
    assert repr(lo.MLP((3, 8, 1))) == "MLP(sizes=(3, 8, 1))"
    assert repr(lo.MLP([3, 1], "tanh", dropout=0.1)) == "MLP(sizes=(3, 1), activation='tanh', dropout=0.1)"
    assert lo.MLP(np.array([3, 1])).sizes == (3, 1)
    assert isinstance(lo.MLP((3, 1)), lo.Model)


def test_parameters_put_in_place_of_others_are_used():
    model = lo.MLP((3, 8, 1))
    X, g = problem((3, 1), lo.MSE)
    model.forward(X)
    model.params["1.bias"] = np.array([1e6])
    assert (model.predict(X) > 9e5).all()
    model.params = dict(reversed(model.params.items()))
    assert (model.forward(X) > 9e5).all()
    assert list(model.backward(g)) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    model.params["1.bias"] = np.zeros(2)
    with pytest.raises(ValueError, match=re.escape("params['1.bias'] must have shape (1,)")):
        model.predict(X)
    del model.params["1.bias"]
    with pytest.raises(ValueError, match=re.escape("MLP: params must be 0.weight, 0.bias, 1.weight, 1.bias, got")):
        model.forward(X)


X3 = np.ones((3, 2))
ERRORS = {
    "one": (lambda m: lo.MLP((3,)), "MLP: sizes must be at least two positive whole numbers, got (3,)"),
    "number": (lambda m: lo.MLP(3), "MLP: sizes must be at least two positive whole numbers, got 3"),
    "zero": (lambda m: lo.MLP((3, 0, 1)), "MLP: sizes must be at least two positive whole numbers, got (3, 0, 1)"),
    "half": (lambda m: lo.MLP((3, 1.5)), "MLP: sizes must be at least two positive whole numbers, got (3, 1.5)"),
    "activation": (
        lambda m: lo.MLP((3, 1), "gelu"),
        "MLP: activation must be one of 'identity', 'relu', 'tanh', 'sigmoid', got 'gelu'",
    ),
    "certain": (lambda m: lo.MLP((3, 1), dropout=1), "MLP: dropout must lie in [0, 1), got 1"),
    "negative": (lambda m: lo.MLP((3, 1), dropout=-0.1), "MLP: dropout must lie in [0, 1), got -0.1"),
    "nan": (lambda m: lo.MLP((3, 1), dropout=np.nan), "MLP: dropout must lie in [0, 1), got nan"),
    "bool": (lambda m: lo.MLP((3, 1), dropout=True), "MLP: dropout must lie in [0, 1), got True"),
    "dtype": (lambda m: lo.MLP((3, 1), dtype=int), "MLP: dtype must be float64 or float32, got <class 'int'>"),
    "seed": (lambda m: lo.MLP((3, 1), seed=-1), "MLP: seed must be a whole number from 0 to 2**64 - 1, got -1"),
    "columns": (lambda m: m.predict(X3.T), "X must have 2 features, got float64 array of shape (2, 3)"),
    "vector": (lambda m: m.forward(X3[0]), "X must have shape (n_samples, n_features), got float64 array"),
    "text": (lambda m: m.predict([["a", "b"]]), "X must hold real numbers, got list"),
    "sparse": (lambda m: m.predict(sp.csr_matrix(X3)), "X must be dense for an MLP, got sparse float64 matrix"),
    "early": (lambda m: lo.MLP((2, 1)).backward(X3[:, 0]), "backward needs a forward before it"),
    "column": (lambda m: m.backward(X3[:, :1]), "grad_prediction must have shape (3,), got float64 array"),
    "rows": (lambda m: m.backward(np.ones(4)), "grad_prediction must have shape (3,), got float64 array"),
    "compiled": (
        lambda m: lo.Trainer(m, lo.MSE(), lo.SGD(), engine="compiled").fit(X3, np.ones(3)),
        "engine='compiled' cannot run here: the model is MLP, not lossopt's Linear",
    ),
    "probabilities": (
        lambda m: lo.Trainer(m, lo.BinaryCrossEntropy(from_logits=False), lo.SGD()).fit(X3, np.ones(3)),
        "loss takes probabilities, and the model gives scores",
    ),
    "fit sparse": (
        lambda m: lo.Trainer(m, lo.MSE(), lo.SGD()).fit(sp.csr_matrix(X3), np.ones(3)),
        "X must be dense for an MLP",
    ),
    "targets": (lambda m: lo.Trainer(m, lo.MSE(), lo.SGD()).fit(X3, np.ones((3, 2))), "y must have the prediction's"),
    "fit features": (lambda m: lo.Trainer(m, lo.MSE(), lo.SGD()).fit(X3.T, np.ones(2)), "X must have 2 features"),
}


@pytest.mark.parametrize(("call", "text"), ERRORS.values(), ids=ERRORS)
def test_errors_name_what_is_wrong(call, text):
    model = lo.MLP((2, 4, 1))
    model.forward(X3)
    with pytest.raises((TypeError, ValueError), match=re.escape(text)):
        call(model)
