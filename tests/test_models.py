"""Linear against NumPy, and what a model is."""

from __future__ import annotations

import copy
import pickle
import re

import numpy as np
import pytest
from scipy import stats

import lossopt as lo

both = pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["f64", "f32"])


def linear(k, dtype=np.float64, d=19, n=65):
    """A model, and X, y and a gradient for it."""
    rng = np.random.default_rng(k)
    return lo.Linear(d, k, dtype=dtype), rng.normal(size=(n, d)), rng.normal(size=n if k == 1 else (n, k))


# ---- the start


@both
@pytest.mark.parametrize(("d", "k"), [(1, 1), (30, 1), (7, 10), (50, 40)])
def test_params(d, k, dtype):
    params = lo.Linear(d, k, dtype=dtype).params
    assert list(params) == ["weight", "bias"]
    assert params["weight"].shape == (k, d)
    assert params["bias"].shape == (k,)
    for x in params.values():
        assert x.dtype == dtype
        assert x.flags.c_contiguous
        assert x.flags.writeable
        assert (np.abs(x) <= np.nextafter(dtype(1 / np.sqrt(d)), dtype(2))).all()
    assert not np.shares_memory(*params.values())


def test_start_is_uniform():
    within = lo.Linear(2500, 8, seed=5).params["weight"].ravel() * 50
    across = np.concatenate([lo.Linear(4, seed=seed).params["bias"] for seed in range(2000)]) * 2
    for x in (within, across):
        assert stats.kstest(x, "uniform", args=(-1, 2)).pvalue > 1e-3
        assert abs(np.corrcoef(x[1:], x[:-1])[0, 1]) < 0.1


def test_start_is_the_seeds_alone():
    # golden, by Philox 4x64-10 written out: a change of these numbers changes everybody's runs
    assert lo.Linear(2).params["weight"].tolist() == [[-0.6907772046734277, -0.36550463142722694]]
    same, other = lo.Linear(2, seed=3), lo.Linear(2, seed=4)
    assert np.array_equal(same.params["weight"], lo.Linear(2, seed=3).params["weight"])
    assert not np.array_equal(same.params["weight"], other.params["weight"])
    half = lo.Linear(30, 4, dtype=np.float32, seed=3).params
    for name, x in lo.Linear(30, 4, seed=3).params.items():
        assert np.array_equal(half[name], x.astype(np.float32))


# ---- predictions and gradients


@both
@pytest.mark.parametrize("k", [1, 2, 10, 32, 33, 40])
@pytest.mark.parametrize("n", [0, 1, 3, 64, 1001])
def test_forward_and_backward_are_products(n, k, dtype):
    model, X, g = linear(k, dtype, n=n)
    X, g = X.astype(dtype), g.astype(dtype)
    weight, bias = (x.astype(np.float64) for x in model.params.values())
    tolerance = {"rtol": 0, "atol": 1e-12 if dtype == np.float64 else 1e-5 * np.sqrt(max(n, 1))}
    want = X.astype(np.float64) @ weight.T + bias
    for got in (model.predict(X), model.forward(X)):
        assert got.dtype == dtype
        np.testing.assert_allclose(got, want[:, 0] if k == 1 else want, **tolerance)
    grads = model.backward(g)
    G = g.astype(np.float64).reshape(n, k)
    for name, want in (("weight", G.T @ X), ("bias", G.sum(axis=0))):
        assert grads[name].dtype == dtype
        np.testing.assert_allclose(grads[name], want, **tolerance)


def test_backward_is_the_gradient_of_forward():
    model, X, y = linear(3)
    loss = lo.MSE()

    def function(flat):
        model.params["weight"][...], model.params["bias"][...] = flat[:57].reshape(3, 19), flat[57:]
        value, g = loss.value_and_grad(model.forward(X), y)
        return value, np.concatenate([x.ravel() for x in model.backward(g).values()])

    assert lo.check_gradient(function, np.random.default_rng(0).normal(size=60)) < 1e-8


@pytest.mark.parametrize("k", [1, 40])
@pytest.mark.parametrize("arrange", [np.asfortranarray, np.ndarray.tolist, lambda x: x.repeat(2, axis=0)[::2]])
def test_layouts(arrange, k):
    model, X, g = linear(k)
    want, grads = model.forward(X), model.backward(g)
    assert np.array_equal(model.forward(arrange(X)), want)
    for name, x in model.backward(arrange(g)).items():
        assert np.array_equal(x, grads[name])


def test_nothing_given_is_written_and_gradients_are_fresh():
    model, X, g = linear(2)
    X.flags.writeable = g.flags.writeable = False
    before = copy.deepcopy(model.params)
    model.forward(X)
    first, second = model.backward(g), model.backward(g)
    for name, x in first.items():
        assert np.array_equal(x, second[name])
        assert not np.shares_memory(x, second[name])
        assert np.array_equal(model.params[name], before[name])


def test_a_refused_forward_leaves_the_last_one_standing():
    model, X, g = linear(1)
    model.forward(X)
    grads = model.backward(g)
    with pytest.raises(ValueError, match="19 features"):
        model.forward(X[:, 14:])
    for name, x in model.backward(g).items():
        assert np.array_equal(x, grads[name])


# ---- the object


@both
@pytest.mark.parametrize("copied", [lambda x: pickle.loads(pickle.dumps(x)), copy.deepcopy, copy.copy])
def test_copies_keep_params_and_go_their_own_way(copied, dtype):
    model, X, _ = linear(3, dtype)
    for x in model.params.values():
        x += 1
    twin = copied(model)
    assert repr(twin) == repr(model)
    assert np.array_equal(twin.predict(X), model.predict(X))
    for name, x in twin.params.items():
        assert x.dtype == dtype
        assert not np.shares_memory(x, model.params[name])
    twin.params["bias"] += 1
    assert not np.array_equal(twin.predict(X), model.predict(X))


def test_repr():
    assert repr(lo.Linear(3)) == "Linear(n_features=3)"
    assert repr(lo.Linear(3, 2, seed=7)) == "Linear(n_features=3, n_outputs=2, seed=7)"


def test_protocol():
    class Own:
        def __init__(self):
            self.params = {"w": np.zeros(1)}

        def forward(self, X):
            return X

    assert isinstance(lo.Linear(2), lo.Model)
    assert not isinstance(Own(), lo.Model)
    Own.backward = lambda self, g: {"w": g}
    assert isinstance(Own(), lo.Model)


X3 = np.ones((3, 2))
ERRORS = {
    "features": (lambda m: lo.Linear(0), "Linear: n_features must be a positive whole number, got 0"),
    "kind": (lambda m: lo.Linear(2.0), "Linear: n_features must be a positive whole number, got 2.0"),
    "outputs": (lambda m: lo.Linear(2, -1), "Linear: n_outputs must be a positive whole number, got -1"),
    "dtype": (lambda m: lo.Linear(2, dtype=int), "Linear: dtype must be float64 or float32, got <class 'int'>"),
    "half": (lambda m: lo.Linear(2, dtype="f2"), "Linear: dtype must be float64 or float32, got 'f2'"),
    "columns": (lambda m: m.predict(X3.T), "X must have 2 features, got float64 array of shape (2, 3)"),
    "vector": (lambda m: m.forward(X3[0]), "X must have shape (n_samples, n_features), got float64 array"),
    "text": (lambda m: m.predict([["a", "b"]]), "X must hold real numbers, got list"),
    "early": (lambda m: lo.Linear(2).backward(X3[:, 0]), "backward needs a forward before it"),
    "column": (lambda m: m.backward(X3[:, :1]), "grad_prediction must have shape (3,), got float64 array"),
    "rows": (lambda m: m.backward(np.ones(4)), "grad_prediction must have shape (3,), got float64 array"),
}


@pytest.mark.parametrize(("call", "text"), ERRORS.values(), ids=ERRORS)
def test_errors_name_what_is_wrong(call, text):
    model = lo.Linear(2)
    model.forward(X3)
    with pytest.raises((TypeError, ValueError), match=re.escape(text)):
        call(model)
