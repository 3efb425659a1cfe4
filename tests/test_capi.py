"""The door for compiled clients: every function by its address, the signatures that must never change, real clients."""

from __future__ import annotations

import ctypes
import inspect
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import LowLevelCallable, integrate, sparse, special

import lossopt as lo
from lossopt import capi

EXAMPLES = Path(__file__).parents[1] / "examples"
TYPES = {"f64": np.float64, "f32": np.float32}
KINDS = {"Py_ssize_t": ctypes.c_ssize_t, "int64_t": ctypes.c_int64, "double": ctypes.c_double, "void": None}

both = pytest.mark.parametrize("suffix", TYPES)


def function(name):
    """By its address, with the types that its signature says."""
    returned, arguments = re.fullmatch(r"(\w+) \((.*)\)", capi.signature(name)).groups()
    kinds = [ctypes.c_void_p if "*" in x else KINDS[x] for x in arguments.split(", ")]
    call = ctypes.CFUNCTYPE(KINDS[returned], *kinds)(capi.address(name))
    return lambda *args: call(*(x.ctypes.data if isinstance(x, np.ndarray) else x for x in args))


# name: the loss, its value and gradient in a score z for a target y, written out
LOSSES = {
    "mse": (lo.MSE, lambda z, y: ((z - y) ** 2, 2 * (z - y))),
    "mae": (lo.MAE, lambda z, y: (np.abs(z - y), np.sign(z - y))),
    "huber": (lo.Huber, lambda z, y: (special.huber(1, z - y), np.clip(z - y, -1, 1))),
    "log_cosh": (lo.LogCosh, lambda z, y: (np.log(np.cosh(z - y)), np.tanh(z - y))),
    "bce": (lo.BinaryCrossEntropy, lambda z, y: (np.logaddexp(0, z) - y * z, special.expit(z) - y)),
    "hinge": (lo.Hinge, lambda z, y: (np.maximum(0, 1 - s(y) * z), -s(y) * (s(y) * z < 1))),
    "squared_hinge": (
        lo.SquaredHinge,
        lambda z, y: (np.maximum(0, 1 - s(y) * z) ** 2, -2 * s(y) * np.maximum(0, 1 - s(y) * z)),
    ),
    "modified_huber": (
        lo.ModifiedHuber,
        lambda z, y: (
            np.where(s(y) * z < -1, -4 * s(y) * z, np.maximum(0, 1 - s(y) * z) ** 2),
            np.where(s(y) * z < -1, -4 * s(y), -2 * s(y) * np.maximum(0, 1 - s(y) * z)),
        ),
    ),
    "poisson": (lo.Poisson, lambda z, y: (np.exp(z) - y * z, np.exp(z) - y)),
    "gamma": (lo.Gamma, lambda z, y: (y * np.exp(-z) + z, 1 - y * np.exp(-z))),
}
TOLERANCE = {"f64": 1e-12, "f32": 2e-5}


def s(y):
    return 2 * y - 1


def data(suffix, n=301):
    rng = np.random.default_rng(1)
    z, y, weight = 2 * rng.standard_normal(n), rng.integers(0, 2, n), rng.random(n)
    return (x.astype(TYPES[suffix]) for x in (z, y, weight))


@both
@pytest.mark.parametrize("name", LOSSES)
def test_losses_are_their_formulas(name, suffix):
    z, y, weight = data(suffix)
    if name == "gamma":
        y += np.float32(0.5)
    value, slope = LOSSES[name][1](z.astype(float), y.astype(float))
    grad, close = np.full_like(z, np.nan), {"rtol": TOLERANCE[suffix], "atol": TOLERANCE[suffix]}
    call = function(f"{name}_{suffix}")
    np.testing.assert_allclose(call(len(z), z, y, None, grad, 0.5), value.sum(), rtol=TOLERANCE[suffix])
    np.testing.assert_allclose(grad, 0.5 * slope, **close)
    np.testing.assert_allclose(call(len(z), z, y, weight, None, 1.0), weight.astype(float) @ value, rtol=1e-5)
    assert call(0, z, y, None, None, 1.0) == 0
    # by its handle, and over the scores
    handle = capi.handle(LOSSES[name][0]())
    again = function(f"loss_{suffix}")(handle.address, len(z), 1, z, y, None, z, 0.5)
    assert again == pytest.approx(value.sum(), rel=1e-5)
    np.testing.assert_array_equal(z, grad)


@pytest.mark.parametrize("name", LOSSES)
def test_losses_of_one_score_are_integrands_of_scipys(name):
    target = ctypes.c_double(1.0)
    call = LowLevelCallable.from_cython(capi, f"{name}_at", ctypes.cast(ctypes.pointer(target), ctypes.c_void_p))
    found = integrate.quad(call, -2, 1.5)[0]
    expected = integrate.quad(lambda z: float(LOSSES[name][1](np.float64(z), 1.0)[0]), -2, 1.5)[0]
    assert found == pytest.approx(expected, rel=1e-9)


@both
def test_cross_entropy_and_handles_of_classes(suffix):
    rng = np.random.default_rng(2)
    z, y = rng.standard_normal((50, 4)).astype(TYPES[suffix]), rng.integers(0, 4, 50)
    grad = np.empty_like(z)
    value = function(f"cross_entropy_{suffix}")(50, 4, z, y, None, grad, 1 / 50)
    expected = -special.log_softmax(z.astype(float), axis=1)[np.arange(50), y].sum()
    assert value == pytest.approx(expected, rel=TOLERANCE[suffix])
    np.testing.assert_allclose(grad, (special.softmax(z.astype(float), axis=1) - np.eye(4)[y]) / 50, atol=1e-7)
    smooth = lo.CrossEntropy(label_smoothing=0.1)
    handle = capi.handle(smooth, classes=4)
    value = function(f"loss_{suffix}")(handle.address, 50, 4, z, y, None, None, 1.0)
    assert value / 50 == pytest.approx(smooth(z, y), rel=1e-6)


@both
@pytest.mark.parametrize(("name", "k"), [("mse", 1), ("bce", 1), ("cross_entropy", 3)])
def test_linear_objectives_are_those_of_python(name, k, suffix):
    rng = np.random.default_rng(3)
    X, weight = rng.standard_normal((200, 7)).astype(TYPES[suffix]), rng.random(200).astype(TYPES[suffix])
    y = rng.integers(0, max(k, 2), 200)
    y = y if k > 1 else y.astype(TYPES[suffix])
    loss = {"mse": lo.MSE, "bce": lo.BinaryCrossEntropy, "cross_entropy": lo.CrossEntropy}[name](reduction="sum")
    objective = lo.Objective(X, y, loss, sample_weight=weight)
    w = rng.standard_normal(objective.size).astype(TYPES[suffix])
    value, slope = objective.value_and_grad(w)
    handle = capi.handle(loss, classes=k if k > 1 else None)
    for call, first in ((f"linear_{name}_{suffix}", ()), (f"linear_{suffix}", (handle.address,))):
        grad = np.full_like(w, np.nan)
        own, bias, gb = w[: 7 * k].copy(), w[7 * k :].copy(), np.empty(k, TYPES[suffix])
        shape = (200, 7, k) if k > 1 or first else (200, 7)
        found = function(call)(*first, *shape, X, y, weight, own, bias, grad, gb, 1.0)
        assert found == value
        grad[7 * k :] = gb
        np.testing.assert_array_equal(grad, slope)
        assert function(call)(*first, 0, *shape[1:], X, y, None, own, bias, grad, gb, 1.0) == 0
        assert not grad[: 7 * k].any()


@both
@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize(("name", "k"), [("mse", 1), ("bce", 1), ("cross_entropy", 3)])
def test_objectives_over_csr_are_those_of_python_and_of_dense_rows(name, k, index, suffix):
    rng = np.random.default_rng(5)
    dense = (rng.standard_normal((200, 7)) * (rng.random((200, 7)) < 0.3)).astype(TYPES[suffix])
    X = sparse.csr_array(dense)
    indices, indptr, size = X.indices.astype(index), X.indptr.astype(index), np.dtype(index).itemsize
    weight, y = rng.random(200).astype(TYPES[suffix]), rng.integers(0, max(k, 2), 200)
    y = y if k > 1 else y.astype(TYPES[suffix])
    w, b = rng.standard_normal((k, 7)).astype(TYPES[suffix]), rng.standard_normal(k).astype(TYPES[suffix])
    expected = np.empty_like(w), np.empty_like(b)
    shape = (200, 7, k) if k > 1 else (200, 7)
    value = function(f"linear_{name}_{suffix}")(*shape, dense, y, weight, w, b, *expected, 0.5)
    loss = {"mse": lo.MSE, "bce": lo.BinaryCrossEntropy, "cross_entropy": lo.CrossEntropy}[name](reduction="sum")
    whole, slope = lo.Objective(X, y, loss, sample_weight=weight).value_and_grad(np.concatenate([w.ravel(), b]))
    handle = capi.handle(loss, classes=k if k > 1 else None)
    rows, close = (X.data, indices, indptr, size), {"rtol": TOLERANCE[suffix], "atol": TOLERANCE[suffix]}
    for call, first in ((f"csr_{name}_{suffix}", ()), (f"csr_{suffix}", (handle.address,))):
        shape = (7, k) if k > 1 or first else (7,)
        grads = np.full_like(w, np.nan), np.full_like(b, np.nan)
        found = function(call)(*first, 200, *shape, *rows, y, weight, w, b, *grads, 0.5)
        np.testing.assert_allclose(found, value, **close)
        for grad, other in zip(grads, expected, strict=True):
            np.testing.assert_allclose(grad, other, **close)
        assert function(call)(*first, 200, *shape, *rows, y, weight, w, b, *grads, 1.0) == whole
        np.testing.assert_array_equal(np.concatenate([grads[0].ravel(), grads[1]]), slope)
        # the value alone, without an intercept
        found = function(call)(*first, 200, *shape, *rows, y, weight, w, None, None, None, 1.0)
        other = function(f"linear_{suffix}")(handle.address, 200, 7, k, dense, y, weight, w, None, None, None, 1.0)
        np.testing.assert_allclose(found, other, **close)
        assert function(call)(*first, 0, *shape, *rows, y, None, w, b, *grads, 1.0) == 0
        assert not grads[0].any()
        assert not grads[1].any()
        assert np.isnan(function(call)(*first, 200, *shape, *rows[:3], 2, y, None, w, b, *grads, 1.0))


# name: the optimizer in Python, and its numbers in the order of the function
UPDATES = {
    "sgd": (lambda: lo.SGD(0.1, weight_decay=0.2), 0, (0.1, 0.2)),
    "momentum": (lambda: lo.SGD(0.1, 0.9, 0.3, 0.2), 1, (0.1, 0.9, 0.3, 0.2)),
    "nesterov": (lambda: lo.SGD(0.1, 0.9, 0, 0.2, nesterov=True), 1, (0.1, 0.9, 0.2)),
    "rmsprop": (lambda: lo.RMSprop(0.1, 0.8, 1e-6, 0.2), 1, (0.1, 0.8, 1e-6, 0.2)),
    "adagrad": (lambda: lo.Adagrad(0.1, 0.3, 0.2, 0, 1e-6), 1, (0.1, 0.3, 1e-6, 0.2)),
    "adadelta": (lambda: lo.Adadelta(0.5, 0.8, 1e-4, 0.2), 2, (0.5, 0.8, 1e-4, 0.2)),
    "adam": (lambda: lo.Adam(0.1, (0.8, 0.9), 1e-6, 0.2), 2, (0.1, 0.8, 0.9, 1e-6, 0.2)),
    "adamw": (lambda: lo.AdamW(0.1, (0.8, 0.9), 1e-6, 0.2), 2, (0.1, 0.8, 0.9, 1e-6, 0.2)),
    "adamax": (lambda: lo.Adamax(0.1, (0.8, 0.9), 1e-6, 0.2), 2, (0.1, 0.8, 0.9, 1e-6, 0.2)),
    "radam": (lambda: lo.RAdam(0.1, (0.8, 0.9), 1e-6, 0.2), 2, (0.1, 0.8, 0.9, 1e-6, 0.2)),
    "nadam": (lambda: lo.NAdam(0.1, (0.8, 0.9), 1e-6, 0.2, 0.01), 2, (0.1, 0.8, 0.9, 1e-6, 0.2, 0.01)),
    "lion": (lambda: lo.Lion(0.1, (0.8, 0.9), 0.2), 1, (0.1, 0.8, 0.9, 0.2)),
}


@both
@pytest.mark.parametrize("name", UPDATES)
def test_updates_are_those_of_python(name, suffix):
    make, slots, numbers = UPDATES[name]
    rng = np.random.default_rng(4)
    w = rng.standard_normal(1001).astype(TYPES[suffix])
    other, opt, state, call = w.copy(), make(), [np.zeros_like(w) for _ in range(slots)], function(f"{name}_{suffix}")
    state += [np.ones(1)] * (name == "nadam")  # the product of its mu
    counts = "int64_t" in capi.signature(f"{name}_{suffix}")
    for t in range(1, 6):
        g = rng.standard_normal(1001).astype(TYPES[suffix])
        opt.step(other, g)
        call(len(w), w, g, *state, *((t,) if counts else ()), *numbers)
        np.testing.assert_array_equal(w, other)


def test_every_function_has_a_test():
    tested = {*LOSSES, *UPDATES, "cross_entropy", "loss", "linear", "csr"} | {
        f"{rows}_{x}" for rows in ("linear", "csr") for x in ("mse", "bce", "cross_entropy")
    }
    assert {name.rsplit("_", 1)[0] for name in capi.NAMES} == tested


# ---- what must never change


def test_no_signature_changes_under_its_name():
    """Names may be added at the end of abi.txt, and capi.VERSION grows then; nothing that stands there may change."""
    frozen = (Path(__file__).parent / "abi.txt").read_text().splitlines()
    assert [f"{name}: {capi.signature(name)}" for name in capi.NAMES] == frozen
    assert capi.VERSION == 3
    assert set(capi.NAMES) == set(capi.__pyx_capi__)


def test_the_header_says_the_same():
    text = (Path(lo.get_include()) / "lossopt.h").read_text()
    body = re.sub(r"\s+", " ", re.search(r"size_t version;(.*)} lossopt_api;", text, re.S)[1])
    found = []
    for returned, name, arguments in re.findall(r"(\w+) \(\*(\w+)\)\((.*?)\);", body):
        kinds = [
            re.sub(r"const (\w+) \*", r"\1 const *", re.sub(r"\w+$", "", x).strip()) for x in arguments.split(", ")
        ]
        found.append(f"{name}: {returned} ({', '.join(kinds)})")
    assert found == [f"{name}: {capi.signature(name)}" for name in capi.NAMES]
    assert f"#define LOSSOPT_API_VERSION {capi.VERSION}\n" in text


def test_the_table_holds_the_addresses():
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    table = ctypes.cast(get(capi._C_API, b"lossopt.capi._C_API"), ctypes.POINTER(ctypes.c_size_t))
    assert [table[i] for i in range(len(capi.NAMES) + 1)] == [capi.VERSION, *map(capi.address, capi.NAMES)]


def test_what_is_refused():
    with pytest.raises(TypeError, match="loss must be a Loss, got 'mse'"):
        capi.handle("mse")
    with pytest.raises(ValueError, match="loss must have no class weights"):
        capi.handle(lo.CrossEntropy(class_weight=[1.0, 2.0]), classes=2)
    with pytest.raises(TypeError, match="loss must have a kernel"):
        capi.handle(lo.CustomLoss(lambda z, y: (z - y, 1 + 0 * z)))
    with pytest.raises(ValueError, match=r"name must be one of lossopt\.capi\.NAMES, got 'mse'"):
        capi.address("mse")


# ---- clients, built away from here


@pytest.mark.parametrize("client", ["cython_client", "c_client"])
def test_clients_are_built_and_run(client, tmp_path):
    there = shutil.copytree(EXAMPLES / client, tmp_path / client)
    for command in (["setup.py", "-q", "build_ext", "--inplace"], ["run.py"]):
        done = subprocess.run([sys.executable, *command], cwd=there, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "the same bits as in Python" in done.stdout


def test_a_client_of_numba_runs():
    pytest.importorskip("numba")
    done = subprocess.run(
        [sys.executable, EXAMPLES / "numba_client" / "run.py"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "the same bits as in Python" in done.stdout


@pytest.mark.thread_unsafe  # doctest takes sys.stdout
def test_doctests_of_the_compiled_module():
    import doctest

    for name in ("handle", "address", "signature"):
        assert ">>>" in inspect.getdoc(getattr(capi, name))
    failed, tried = doctest.testmod(capi)
    assert failed == 0
    assert tried >= 7
