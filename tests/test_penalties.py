"""Penalties: values, gradients, least subgradients and proximal steps, against formulas and brute force."""

from __future__ import annotations

import re

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize_scalar

import lossopt as lo

from . import cases

each_row = pytest.mark.parametrize(
    ("cls", "row"), [pytest.param(cls, row, id=label) for label, cls, row in cases.walk("penalties")]
)
each_dtype = pytest.mark.parametrize("dtype", [np.float64, np.float32])


def numbers(dtype, *shape):
    """Numbers of both signs with zeros of both signs among them."""
    x = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    x.flat[::5], x.flat[1::7] = 0.0, -0.0
    return x


@each_dtype
@each_row
def test_value_is_the_formula(cls, row, dtype):
    w = numbers(dtype, 30, 7)
    x = w.astype(np.float64)
    value = row.make(cls).value(w)
    assert type(value) is float
    assert_allclose(value, row.l1 * np.abs(x).sum() + row.l2 * (x**2).sum(), rtol=1e-14)
    assert row.make(cls).value(w[:0]) == 0.0
    for same in (w[:, ::-1], np.asfortranarray(w), w.T, w.tolist(), w.astype(w.dtype.newbyteorder(">"))):
        assert_allclose(row.make(cls).value(same), value, rtol=1e-14)


def test_the_chapters_formulas():
    w = np.array([3.0, -4.0])
    assert lo.L2(0.1).value(w) == pytest.approx(2.5)  # no half
    assert lo.L1(0.1).value(w) == pytest.approx(0.7)
    assert lo.ElasticNet(0.1, l1_ratio=0.25).value(w) == pytest.approx(0.25 * 0.7 + 0.75 * 2.5)
    for one, other in ((lo.ElasticNet(0.3, 1.0), lo.L1(0.3)), (lo.ElasticNet(0.3, 0.0), lo.L2(0.3))):
        assert one.value(w) == other.value(w)
        moved = w.copy(), w.copy()
        one.prox(moved[0], 0.5)
        other.prox(moved[1], 0.5)
        assert_array_equal(*moved)


@each_row
def test_gradient_is_the_slope_of_the_value(cls, row):
    penalty = row.make(cls)
    w, h = numbers(np.float64, 40), 1e-6
    gradient = np.full(40, 0.25)
    penalty.add_grad(w, gradient)
    for i in np.flatnonzero(w):
        step = h * (np.arange(40) == i)
        slope = (penalty.value(w + step) - penalty.value(w - step)) / (2 * h)
        assert gradient[i] == pytest.approx(0.25 + slope, abs=1e-8)


@each_dtype
@each_row
def test_where_a_weight_is_zero_the_gradient_is_the_least(cls, row, dtype):
    given = np.linspace(-1, 1, 41).astype(dtype)
    for zero in (0.0, -0.0):
        gradient = given.copy()
        row.make(cls).add_grad(np.full(41, zero, dtype), gradient)
        # brute force: the least of |g + l1 * s| over s in [-1, 1]
        s = np.linspace(-1, 1, 2001)
        choices = given.astype(np.float64)[:, None] + row.l1 * s
        expected = choices[np.arange(41), np.abs(choices).argmin(axis=1)]
        assert_allclose(gradient, expected, atol=1e-3 * row.l1 + 1e-7)
        assert (gradient[np.abs(given) < 0.99 * row.l1] == 0).all()
        assert not np.signbit(gradient[gradient == 0]).any()


@each_row
@pytest.mark.parametrize("step", [0.0, 0.01, 0.5, 3.0])
def test_prox_minimizes_distance_and_penalty(cls, row, step):
    penalty = row.make(cls)
    given = np.array([-5.0, -1.0, -0.3, -0.05, -0.0, 0.0, 0.001, 0.2, 0.9, 4.0])
    moved = given.copy()
    penalty.prox(moved, step)
    soft = np.sign(given) * np.maximum(np.abs(given) - step * row.l1, 0)
    assert_allclose(moved, soft / (1 + 2 * step * row.l2), rtol=1e-15)
    for start, end in zip(given, moved, strict=True):
        cost = [lambda x, v=start: 0.5 * (x - v) ** 2 + step * penalty.value([x])][0]
        found = minimize_scalar(cost, bounds=(-6, 6), method="bounded", options={"xatol": 1e-10})
        assert cost(end) <= found.fun + 1e-15
        assert end == pytest.approx(found.x, abs=1e-6)


@each_dtype
@each_row
def test_zeros_that_prox_makes_are_positive(cls, row, dtype):
    w = np.array([-0.0, 0.0, -1e-3, 1e-3, -np.finfo(dtype).smallest_subnormal, -2, 2], dtype)
    row.make(cls).prox(w, 0.5)
    assert (w == 0)[:2].all()
    assert (w == 0)[2:5].all() == (row.l1 > 0)
    assert not np.signbit(w[w == 0]).any()
    assert np.signbit(w[5])


@each_dtype
def test_nan_and_infinity_go_through(dtype):
    w = np.array([np.nan, np.inf, -np.inf, 1], dtype)
    assert np.isnan(lo.ElasticNet(0.5, 0.5).value(w))
    assert lo.ElasticNet(0.5, 0.5).value(w[1:]) == np.inf
    assert lo.L1(0.0).value(w) == 0.0
    lo.L1(0.5).prox(w, 1.0)
    assert_array_equal(w, np.array([np.nan, np.inf, -np.inf, 0.5], dtype))
    gradient = np.array([0, np.nan, np.inf], dtype)
    lo.ElasticNet(0.5, 0.5).add_grad(np.array([np.nan, 0, -1], dtype), gradient)
    assert_array_equal(gradient, np.array([np.nan, np.nan, np.inf], dtype))


@each_dtype
@each_row
def test_writes_in_place_in_either_precision_and_any_shape(cls, row, dtype):
    penalty, w = row.make(cls), numbers(dtype, 4, 5)
    flat, gradient, moved = w.ravel().copy(), np.ones((4, 5), dtype), w.copy()
    expected = np.ones(20, dtype)
    penalty.add_grad(flat, expected)
    # what is read may be anything of that shape
    penalty.add_grad(np.asfortranarray(w, np.longdouble), gradient)
    assert_array_equal(gradient.ravel(), expected)
    penalty.prox(moved, 0.3)
    penalty.prox(flat, 0.3)
    assert_array_equal(moved.ravel(), flat)
    penalty.prox(moved[:0], 0.3)
    penalty.add_grad(w[:0], gradient[:0])


def frozen():
    x = np.ones(3)
    x.flags.writeable = False
    return x


BAD_ARRAYS = {
    "list": ([1.0, 1.0, 1.0], TypeError, "{} must be an array that can be written in place, got list [1.0, 1.0, 1.0]"),
    "int": (np.ones(3, int), TypeError, "{} must be a float64 or float32 array in native byte order, got int64"),
    "swapped": (np.ones(3, ">f8"), TypeError, "{} must be a float64 or float32 array in native byte order, got >f8"),
    "strided": (np.ones(6)[::2], ValueError, "{} must be C-contiguous, got a strided float64 array of shape (3,)"),
    "read-only": (frozen(), ValueError, "{} must be writable, got a read-only float64 array of shape (3,)"),
}


@each_row
@pytest.mark.parametrize("bad", BAD_ARRAYS)
def test_what_cannot_be_written_is_named(cls, row, bad):
    array, error, text = BAD_ARRAYS[bad]
    for name, call in (
        ("w", lambda: row.make(cls).prox(array, 0.1)),
        ("grad", lambda: row.make(cls).add_grad(np.full(3, 2.0), array)),
    ):
        with pytest.raises(error, match=re.escape(text.format(name))):
            call()
    assert_array_equal(array, 1)


def test_gradients_of_another_shape_or_on_the_weights_are_refused():
    base = np.arange(1.0, 7.0)
    for w, grad, text in (
        (base[:3], np.ones(2), "grad must have the shape of w, (3,), got float64 array of shape (2,)"),
        (base[:3], np.ones((3, 1)), "grad must have the shape of w, (3,), got float64 array of shape (3, 1)"),
        (base[:3], base[:3], "grad overlaps w: give it memory of its own"),
        (base[:3], base[1:4], "grad overlaps w"),
    ):
        with pytest.raises(ValueError, match=re.escape(text)):
            lo.L1(0.1).add_grad(w, grad)
    with pytest.raises(TypeError, match="w must hold real numbers, got complex128 array"):
        lo.L1(0.1).add_grad(np.ones(3) * 1j, np.ones(3))
    assert_array_equal(base, np.arange(1.0, 7.0))


def test_a_gradient_on_weights_that_must_be_converted_is_refused():
    base = np.arange(1.0, 7.0)
    with pytest.raises(ValueError, match="grad overlaps w"):
        lo.L1(0.1).add_grad(base[::2], base[:3])
    assert_array_equal(base, np.arange(1.0, 7.0))


@each_row
@pytest.mark.parametrize("strength", [-0.1, np.inf, np.nan])
def test_strengths_are_finite_and_not_negative(cls, row, strength):
    with pytest.raises(ValueError, match=f"{cls.__name__}: strength must be finite and not negative, got {strength!r}"):
        row.make(cls, strength=strength)


@pytest.mark.parametrize("ratio", [-0.1, 1.1, np.nan])
def test_ratios_lie_between_zero_and_one(ratio):
    with pytest.raises(ValueError, match=re.escape(f"ElasticNet: l1_ratio must lie in [0, 1], got {ratio!r}")):
        lo.ElasticNet(1.0, l1_ratio=ratio)


@each_row
@pytest.mark.parametrize("step", [-0.1, np.nan, np.inf, "a"])
def test_steps_are_not_negative(cls, row, step):
    w = np.ones(3)
    with pytest.raises(ValueError, match=f"step must be finite and not negative, got {step!r}"):
        row.make(cls).prox(w, step)
    assert_array_equal(w, 1)
