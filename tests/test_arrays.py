"""Arrays of other libraries: what is read, what is written in place, and what is copied."""

from __future__ import annotations

import array
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.optimize import minimize, rosen
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import scale

import lossopt as lo

X = np.random.default_rng(0).standard_normal((30, 3))
Y = (X[:, 0] > 0).astype(float)


class OnlyDLPack:
    def __init__(self, x):
        self.x = x

    def __dlpack__(self, **kwargs):
        return self.x.__dlpack__(**kwargs)

    def __dlpack_device__(self):
        return self.x.__dlpack_device__()


def torchs(x):
    return pytest.importorskip("torch").from_numpy(x)


def jaxs(x):
    jax = pytest.importorskip("jax")
    with jax.enable_x64():
        return jax.numpy.asarray(x)


KINDS = {
    "buffer": lambda x: memoryview(x),
    "dlpack": OnlyDLPack,
    "array interface": lambda x: SimpleNamespace(__array_interface__=x.__array_interface__, owner=x),
    "torch": torchs,
}
READ = KINDS | {"jax": jaxs}


@pytest.mark.parametrize("kind", READ)
def test_what_is_read_may_be_anybodys(kind):
    see = READ[kind]
    expected = lo.BinaryCrossEntropy().value_and_grad(X[:, 0].copy(), Y)
    value, grad = lo.BinaryCrossEntropy().value_and_grad(see(X[:, 0].copy()), see(Y))
    assert value == expected[0]
    np.testing.assert_array_equal(grad, expected[1])
    one, other = lo.Objective(see(X), see(Y), lo.MSE(), lo.L2(0.1)), lo.Objective(X, Y, lo.MSE(), lo.L2(0.1))
    w = np.linspace(0, 1, 4)
    assert one(see(w)) == other(w)
    trainers = [lo.Trainer(lo.Linear(3), lo.MSE(), lo.SGD(0.1)) for _ in range(2)]
    histories = [t.fit(a, b, epochs=3) for t, (a, b) in zip(trainers, ((X, Y), (see(X), see(Y))), strict=True)]
    assert histories[0]["train_loss"] == histories[1]["train_loss"]
    assert lo.Huber()(see(X[:, 1].copy()), see(X[:, 2].copy())) == lo.Huber()(X[:, 1].copy(), X[:, 2].copy())


@pytest.mark.parametrize("kind", READ)
def test_labels_may_be_anybodys(kind):
    z, y = X.copy(), np.arange(30) % 3
    assert lo.CrossEntropy()(READ[kind](z), READ[kind](y)) == lo.CrossEntropy()(z, y)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_is_written_in_place(kind):
    w, expected, grads = X.copy(), X.copy(), X[::-1].copy()
    lo.Adam(0.1).step(KINDS[kind](w), KINDS[kind](grads))
    lo.Adam(0.1).step(expected, grads)
    np.testing.assert_array_equal(w, expected)
    out = np.empty(30)
    lo.MSE().value_and_grad(X[:, 0].copy(), Y, out=KINDS[kind](out))
    np.testing.assert_array_equal(out, lo.MSE().value_and_grad(X[:, 0].copy(), Y)[1])
    lo.L1(0.1).prox(KINDS[kind](w), 1.0)
    with pytest.raises(ValueError, match="overlaps"):
        lo.SGD(0.1).step(KINDS[kind](w), w)


def test_large_rows_are_not_copied():
    torch = pytest.importorskip("torch")
    large = torch.zeros((1000, 50), dtype=torch.float64)
    for see in (lambda: large, lambda: OnlyDLPack(large), lambda: memoryview(large.numpy())):
        assert np.shares_memory(lo.Objective(see(), np.zeros(1000), lo.MSE()).X, large.numpy())
    # float32 stays what it is, and other types and orders are converted, once
    assert np.shares_memory(lo.Objective(half := large.float(), np.zeros(1000), lo.MSE()).X, half.numpy())
    assert lo.Objective(large.t().contiguous().t(), np.zeros(1000), lo.MSE()).X.flags.c_contiguous


def test_pythons_own_arrays_are_written():
    w = array.array("d", [1.0, 2.0])
    lo.SGD(0.5).step(w, array.array("d", [1.0, -1.0]))
    assert list(w) == [0.5, 2.5]


def test_what_cannot_be_written_says_so():
    torch = pytest.importorskip("torch")
    for w in ([1.0, 2.0], torch.ones(2, requires_grad=True), object(), jaxs(np.ones(2))):
        with pytest.raises((TypeError, ValueError), match=r"params.* must be (an array|writable)"):
            lo.SGD(0.1).step(w if not isinstance(w, list) else tuple(w), np.ones(2))
    still = np.ones(2)
    still.flags.writeable = False
    for see in (OnlyDLPack, memoryview):
        with pytest.raises(ValueError, match="params must be writable"):
            lo.SGD(0.1).step(see(still), np.ones(2))


@pytest.mark.parametrize("method", ["L-BFGS-B", "BFGS", "CG", "TNC", "SLSQP", "Newton-CG", "trust-ncg", "trust-krylov"])
def test_objectives_in_scipys_solvers(method):
    data, target = load_breast_cancer(return_X_y=True)
    objective = lo.Objective(scale(data), target, lo.BinaryCrossEntropy(), lo.L2(1e-2))
    best = lo.solve(objective, tol=1e-10)
    curved = {"hessp": objective.hessp} if method in ("Newton-CG", "trust-ncg", "trust-krylov") else {}
    found = minimize(objective.value_and_grad, objective.zeros(), jac=True, method=method, **curved)
    assert objective(found.x) == pytest.approx(best.value, rel=1e-4)
    assert found.x.shape == best.w.shape
    # nothing that the solver keeps is written over
    before = rosen(found.x)
    objective.value_and_grad(best.w)
    assert rosen(found.x) == before


@pytest.mark.parametrize("method", ["trust-exact", "dogleg"])
def test_whole_hessians_in_scipys_solvers(method):
    data, target = load_breast_cancer(return_X_y=True)
    objective = lo.Objective(scale(data), target, lo.BinaryCrossEntropy(), lo.L2(1e-2))
    found = minimize(objective.value_and_grad, objective.zeros(), jac=True, method=method, hess=objective.hessian)
    assert objective(found.x) == pytest.approx(lo.solve(objective).value, rel=1e-8)
