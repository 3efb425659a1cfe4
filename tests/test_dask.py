"""lossopt.dask on clusters of real processes: the same objective, the same bits, and workers that die."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import minimize

import lossopt as lo

da = pytest.importorskip("dask.array", reason="dask is not installed")
distributed = pytest.importorskip("distributed", reason="distributed is not installed")
cluster = pytest.importorskip("lossopt.dask")

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(240)]

RNG = np.random.default_rng(0)
X = RNG.standard_normal((3000, 6))
Z = X @ RNG.standard_normal((6, 3))
DATA = {
    "mse": (lo.MSE(), Z[:, 0] + RNG.standard_normal(3000)),
    "two outputs": (lo.MSE(), Z[:, :2]),
    "logistic": (lo.BinaryCrossEntropy(), (Z[:, 0] + RNG.logistic(size=3000) > 0).astype(float)),
    "softmax": (lo.CrossEntropy(label_smoothing=0.1), Z.argmax(axis=1)),
    "class weights": (
        lo.CrossEntropy(class_weight=[1.0, 2.0, 0.5], ignore_index=-1),
        np.where(Z[:, 0] > 3, -1, Z.argmax(axis=1)),
    ),
    "sum": (lo.Huber(reduction="sum"), Z[:, 0] + RNG.standard_cauchy(3000)),
}
WEIGHT = RNG.integers(0, 3, 3000).astype(float)


@pytest.fixture(scope="module")
def client():
    with distributed.Client(n_workers=2, threads_per_worker=1, dashboard_address=":0") as made:
        yield made


def chunks(x, rows=700):
    return da.from_array(x, chunks=(rows, *x.shape[1:]))


@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
@pytest.mark.parametrize("name", DATA)
def test_it_is_the_objective_of_one_machine(client, name, weighted):
    loss, y = DATA[name]
    more = {"sample_weight": WEIGHT} if weighted else {}
    one = lo.Objective(X, y, loss, lo.ElasticNet(0.2, 0.5), **more)
    many = cluster.Objective(
        chunks(X), chunks(y, 900), loss, lo.ElasticNet(0.2, 0.5), **{k: chunks(v) for k, v in more.items()}
    )
    w = np.random.default_rng(1).standard_normal(one.size)
    v = np.random.default_rng(2).standard_normal(one.size)
    assert many.size == one.size
    assert many(w) == pytest.approx(one(w), rel=1e-12)
    np.testing.assert_allclose(many.value_and_grad(w)[1], one.value_and_grad(w)[1], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(many.hessian(w), one.hessian(w), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(many.hessp(w, v), one.hessp(w, v), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("method", ["auto", "newton", "lbfgs", "fista", "gd", "normal"])
def test_solvers_run_on_it(client, method):
    loss, y = DATA["mse" if method == "normal" else "logistic"]
    many = cluster.Objective(chunks(X), chunks(y), loss, lo.L2(0.1))
    result = lo.solve(many, method, tol=1e-6, line_search="backtracking")
    assert result.converged, result.message
    assert result.value == pytest.approx(lo.solve(lo.Objective(X, y, loss, lo.L2(0.1))).value, rel=1e-9)
    assert result.gap < 1e-5


def test_a_lasso_and_scipys_solvers_run_on_it(client):
    loss, y = DATA["logistic"]
    many, one = (
        make(x, t, loss, lo.L1(0.02))
        for make, x, t in ((cluster.Objective, chunks(X), chunks(y)), (lo.Objective, X, y))
    )
    found, expected = lo.solve(many, tol=1e-7), lo.solve(one, tol=1e-9)
    np.testing.assert_allclose(found.w, expected.w, atol=1e-4)
    np.testing.assert_array_equal(found.w == 0, expected.w == 0)
    smooth = cluster.Objective(chunks(X), chunks(y), loss, lo.L2(0.02))
    how = {"jac": True, "hessp": smooth.hessp, "method": "trust-krylov"}
    assert minimize(smooth.value_and_grad, smooth.zeros(), **how).success


def test_one_two_and_four_workers_give_the_same_bits():
    loss, y = DATA["softmax"]
    seen = []
    for workers, threads in ((1, 2), (2, 1), (4, 1)):
        with distributed.Client(n_workers=workers, threads_per_worker=threads, dashboard_address=":0") as own:
            many = cluster.Objective(chunks(X, 100), chunks(y, 100), loss, lo.L2(0.1), client=own)
            w, adam = many.zeros(), lo.Adam(0.1)
            values = []
            for _ in range(5):
                value, gradient = many.value_and_grad(w)
                adam.step(w, gradient)
                values.append(value)
            seen.append((w.tobytes(), values, many.hessian(w).tobytes()))
    assert seen[0] == seen[1] == seen[2]


def test_float32_and_csr_stay_what_they_are(client):
    y = DATA["logistic"][1]
    half = cluster.Objective(chunks(X.astype(np.float32)), chunks(y), lo.BinaryCrossEntropy())
    assert half.zeros().dtype == np.float32
    assert half.value_and_grad(half.zeros())[1].dtype == np.float32
    sparse = np.where(np.abs(X) < 1, 0, X)
    blocks = chunks(sparse).map_blocks(sp.csr_matrix, dtype=float)
    w = np.linspace(-1, 1, 7)
    many, one = (
        cluster.Objective(blocks, chunks(y), lo.BinaryCrossEntropy()),
        lo.Objective(sparse, y, lo.BinaryCrossEntropy()),
    )
    np.testing.assert_allclose(many.value_and_grad(w)[1], one.value_and_grad(w)[1], rtol=1e-11)


def test_a_worker_that_is_killed_costs_time_and_not_the_result(tmp_path):
    loss, y = DATA["logistic"]
    for name, x in (("X", X), ("y", y)):
        da.to_npy_stack(str(tmp_path / name), chunks(x, 300))
    expected = None
    for kill in (False, True):
        with distributed.Client(n_workers=2, threads_per_worker=1, dashboard_address=":0") as own:
            rows, targets = (da.from_npy_stack(str(tmp_path / name)) for name in ("X", "y"))
            many = cluster.Objective(rows, targets, loss, lo.L2(0.01), client=own)
            w, adam = many.zeros(), lo.Adam(0.1)
            for step in range(8):
                if kill and step == 4:
                    process = next(iter(own.run(os.getpid).values()))
                    os.kill(process, signal.SIGKILL)
                adam.step(w, many.value_and_grad(w)[1])
        expected = w if expected is None else expected
    np.testing.assert_array_equal(w, expected)


def test_progress_is_shown(client, capsys):
    loss, y = DATA["mse"]
    many = cluster.Objective(chunks(X), chunks(y), loss, progress=True)
    lo.solve(many)
    assert "5 chunks" in capsys.readouterr().err


def test_what_is_refused(client):
    loss, y = DATA["logistic"]
    with pytest.raises(TypeError, match="y must be a dask array, got float64 array"):
        cluster.Objective(chunks(X), y, loss)
    with pytest.raises(TypeError, match="loss must be a Loss, got 'mse'"):
        cluster.Objective(chunks(X), chunks(y), "mse")
    with pytest.raises(TypeError, match="loss must look at each row alone"):
        cluster.Objective(chunks(X), chunks(y), lo.ListNet())
    with pytest.raises(TypeError, match=r"penalty must be a Penalty, got 0\.1"):
        cluster.Objective(chunks(X), chunks(y), loss, 0.1)
    with pytest.raises(ValueError, match="y must have a number for each of the 3000 rows of X"):
        cluster.Objective(chunks(X), chunks(y[:-1]), loss)
    with pytest.raises(ValueError, match="X must have shape"):
        cluster.Objective(chunks(y), chunks(y), loss)
    with pytest.raises(ValueError, match="X must know its shape"):
        cluster.Objective(chunks(X)[chunks(y) > 0], chunks(y), loss)
    with pytest.raises(ValueError, match="y must lie in"):
        cluster.Objective(chunks(X), chunks(3 * y), loss)
    many = cluster.Objective(chunks(X), chunks(y), loss)
    with pytest.raises(ValueError, match=r"w must have shape \(7,\), got float64 array of shape \(3,\)"):
        many(np.zeros(3))
