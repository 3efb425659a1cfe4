"""A loss of one's own: what it gives is what a loss of lossopt's with the same formula gives, in every loop."""

from __future__ import annotations

import copy
import ctypes
import os
import pickle
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array

import lossopt as lo
from lossopt import _kernels

TUTORIAL = Path(__file__).parents[1] / "docs" / "custom.rst"
each_dtype = pytest.mark.parametrize("dtype", [np.float64, np.float32])


def squares(z, y):
    """MSE's, of any number of outputs."""
    error = z - y
    values = error * error if z.ndim == 1 else (error * error).mean(axis=1)
    return values, 2 * error / (1 if z.ndim == 1 else z.shape[1])


def softmax(z, y):
    """Cross-entropy's, of labels."""
    e = np.exp(z - z.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    rows = np.arange(len(z)), y
    values = -np.log(p[rows])
    p[rows] -= 1
    return values, p


def block(real):
    """MSE's block function, as ctypes makes it; the interpreter's lock is taken for each call."""
    pointer = ctypes.POINTER(ctypes.c_double if real is np.float64 else ctypes.c_float)

    @ctypes.CFUNCTYPE(None, ctypes.c_ssize_t, pointer, pointer, pointer, pointer)
    def function(n, z, y, value, gradient):
        assert 0 < n <= 256
        z, y, value, gradient = (np.ctypeslib.as_array(x, (n,)) for x in (z, y, value, gradient))
        value[...], gradient[...] = squares(z, y)

    return function


FUNCTION, SINGLE = block(np.float64), block(np.float32)


def address(function):
    return ctypes.cast(function, ctypes.c_void_p).value


LOSSES = {
    "function": lambda **more: lo.CustomLoss(squares, **more),
    "address": lambda **more: lo.CustomLoss.from_address(address(FUNCTION), keep=FUNCTION, **more),
    "both addresses": lambda **more: lo.CustomLoss.from_address(address(FUNCTION), address(SINGLE), **more),
}
each_loss = pytest.mark.parametrize("make", LOSSES.values(), ids=LOSSES)


def close(one, other, dtype):
    tolerance = 1e-12 if dtype is np.float64 else 2e-5
    assert_allclose(one, other, tolerance, tolerance)


@each_loss
@each_dtype
@pytest.mark.parametrize("outputs", [None, 3])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("n", [0, 1, 300, 70_001])
def test_on_arrays(make, dtype, outputs, reduction, n):
    rng = np.random.default_rng(n)
    shape = (n,) if outputs is None else (n, outputs)
    z, y = rng.standard_normal((2, *shape)).astype(dtype)
    weight = rng.integers(0, 3, n).astype(float)
    own, judge = make(reduction=reduction), lo.MSE(reduction=reduction)
    if make is LOSSES["function"] and reduction == "sum" and outputs:
        judge = lo.CustomLoss.from_address(address(FUNCTION), reduction="sum")
        own = lo.CustomLoss(lambda z, y: tuple(outputs * x for x in squares(z, y)), reduction="sum")
    for w in (None, weight):
        value, gradient = own.value_and_grad(z, y, w)
        expected, slope = judge.value_and_grad(z, y, w)
        assert gradient.dtype == dtype
        close(value, expected, dtype)
        close(gradient, slope, dtype)
        close(own(z, y, w), expected, dtype)
    if reduction == "mean":
        close(own.pointwise(z, y), judge.pointwise(z, y), dtype)
    out = z.copy()
    assert own.value_and_grad(out, y, out=out)[1] is out
    close(out, judge.value_and_grad(z, y)[1], dtype)


@each_loss
def test_a_row_of_weight_zero_is_no_row(make):
    value, gradient = make().value_and_grad([np.nan, 1.0, 2.0], [0.0, 0.0, np.inf], [0, 1, 0])
    assert value == 1
    assert_array_equal(gradient, [0, 2, 0])


@each_loss
@each_dtype
@pytest.mark.parametrize("outputs", [1, 3, 40])
@pytest.mark.parametrize("sparse", [False, True])
def test_in_an_objective(make, dtype, outputs, sparse):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((700, 5)).astype(dtype), rng.standard_normal((700, outputs)).astype(dtype)
    y, weight = y[:, 0] if outputs == 1 else y, rng.integers(0, 3, 700)
    X = csr_array(X) if sparse else X
    for options in ({}, {"sample_weight": weight, "fit_intercept": False, "penalty": lo.L2(0.1)}):
        own, judge = (lo.Objective(X, y, loss, n_outputs=outputs, **options) for loss in (make(), lo.MSE()))
        w = rng.standard_normal(own.size).astype(dtype)
        for one, other in zip(own.value_and_grad(w), judge.value_and_grad(w), strict=True):
            close(one, other, dtype)


@each_loss
@each_dtype
@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("model", ["linear", "mlp"])
def test_in_a_trainer(make, dtype, outputs, model):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((100, 5)), rng.standard_normal((100, outputs))
    y, weight, ends = y[:, 0] if outputs == 1 else y, rng.integers(0, 3, 100), []
    for loss in (make(), lo.MSE()):
        made = lo.Linear(5, outputs, dtype) if model == "linear" else lo.MLP((5, 4, outputs), dtype=dtype)
        trainer = lo.Trainer(made, loss, lo.SGD(0.05, momentum=0.9), batch_size=16, accumulate=2)
        history = trainer.fit(X, y, epochs=3, sample_weight=weight, validation=(X, y))
        ends.append([*made.params.values(), history["train_loss"], history["val_loss"], [trainer.evaluate(X, y)]])
        fast = model == "linear" and (isinstance(loss, lo.MSE) or make is not LOSSES["function"])
        assert trainer.engine == ("compiled" if fast else "python")
    for one, other in zip(*ends, strict=True):
        close(one, other, dtype)


def test_many_models_and_other_targets():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((60, 4)), rng.integers(0, 3, 60)
    grid = {"optimizer": [lo.SGD(0.1), lo.Adam(0.01)]}
    own, judge = (
        lo.fit_many(X, y, loss, grid, epochs=3, n_outputs=3) for loss in (lo.CustomLoss(softmax), lo.CrossEntropy())
    )
    for one, other in zip(own.models, judge.models, strict=True):
        assert_allclose(one.params["weight"], other.params["weight"], 1e-10, 1e-12)
    # targets of any kind: here a number and a word
    mixed = np.array([(1.0, "up"), (2.0, "down")], [("size", float), ("way", "U4")])
    loss = lo.CustomLoss(lambda z, y: (z * y["size"] * (y["way"] == "up"), y["size"] * (y["way"] == "up")))
    assert loss([3.0, 5.0], mixed) == 1.5


def test_a_function_cannot_write_its_input():
    def careless(z, y):
        z -= y
        return z * z, 2 * z

    with pytest.raises(ValueError, match="read-only"):
        lo.CustomLoss(careless)([1.0], [2.0])


def test_print_copy_and_pickle():
    loss = lo.CustomLoss(np.hypot, reduction="sum")
    assert repr(loss) == "CustomLoss(function=<ufunc 'hypot'>, reduction='sum')"
    for again in (pickle.loads(pickle.dumps(loss)), copy.deepcopy(loss)):
        assert again.function is np.hypot
        assert again.reduction == "sum"
    loss = LOSSES["address"]()
    assert repr(loss) == f"CustomLoss.from_address({address(FUNCTION):#x})"
    assert copy.copy(loss) is copy.deepcopy(loss) is loss
    with pytest.raises(TypeError, match="a loss from an address cannot be pickled; make it again where it is needed"):
        pickle.dumps(loss)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: lo.CustomLoss(3), TypeError, "CustomLoss: function must be callable, got 3"),
        (lambda: lo.CustomLoss(squares, "none"), ValueError, "reduction must be 'mean' or 'sum', got 'none'"),
        (lambda: lo.CustomLoss.from_address(0), TypeError, "address must be a positive whole number, got 0"),
        (lambda: lo.CustomLoss.from_address("f"), TypeError, "address must be a positive whole number, got 'f'"),
        (lambda: lo.CustomLoss.from_address(1, -1), TypeError, "address_float32 must be a positive whole number"),
        (lambda: lo.CustomLoss(lambda z, y: z)([1], [1]), ValueError, "function must return (values, gradients), got"),
        (lambda: lo.CustomLoss(lambda z, y: (1, z))([1], [1]), ValueError, "must return values of shape (1,), got int"),
        (lambda: lo.CustomLoss(lambda z, y: (z, 1))([1], [1]), ValueError, "must return gradients of shape (1,), got"),
        (lambda: lo.CustomLoss(squares)([1, 2], [1]), ValueError, "target must have a target for each of the 2 rows"),
        (
            lambda: lo.CustomLoss.from_address(1)([1, 2], [1]),
            ValueError,
            "target must have the prediction's shape (2,)",
        ),
    ],
)
def test_bad_input_is_named(call, error, text):
    with pytest.raises(error, match=re.escape(text)):
        call()


def test_the_twin_calls_the_same_function():
    rng = np.random.default_rng(0)
    for dtype, single in ((np.float64, 0), (np.float32, 0), (np.float32, address(SINGLE))):
        z, y = rng.standard_normal((2, 600)).astype(dtype)
        results = []
        for family in (_kernels.losses, _kernels.load("reference").losses):
            out = np.empty_like(z)
            loss = family.custom(address(FUNCTION), single, None)
            results.append((family.value_and_grad(loss, z, y, None, out, 1, 1.0), out))
        close(results[0][0], results[1][0], dtype)
        assert_array_equal(results[0][1], results[1][1])


def blocks(language):
    """The tutorial's pieces of code in a language."""
    found = re.findall(rf"\.\. code-block:: {language}\n\n((?:   .*\n|\n)+)", TUTORIAL.read_text())
    return ["\n".join(line[3:] for line in text.split("\n")) for text in found]


@pytest.mark.timeout(300)
def test_the_tutorial_works_as_it_is_written(tmp_path):
    pytest.importorskip("Cython")
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        pytest.skip("there is no C compiler")
    in_python, compiled = blocks("python")
    exec(in_python, {})
    (tmp_path / "robust.pyx").write_text(blocks("cython")[0])
    build = [sys.executable, "-m", "Cython.Build.Cythonize", "-i", "robust.pyx"]
    made = subprocess.run(build, cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "CFLAGS": "-O3"})
    assert made.returncode == 0, made.stderr
    done = subprocess.run([sys.executable, "-c", compiled], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
