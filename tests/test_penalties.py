"""Penalties: values, least subgradients, proximal steps and the ends of steps, against formulas and search."""

from __future__ import annotations

import re

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize_scalar

import lossopt as lo
from lossopt import _kernels

from . import cases

ROWS = [pytest.param(cls, row, id=label) for label, cls, row in cases.walk("penalties")]
each_row = pytest.mark.parametrize(("cls", "row"), ROWS)
each_strong = pytest.mark.parametrize(("cls", "row"), [x for x in ROWS if "strength" in x.values[1].kwargs])
each_dtype = pytest.mark.parametrize("dtype", [np.float64, np.float32])
STEPS = {"sgd": lo.SGD, "momentum": lambda lr: lo.SGD(lr, momentum=0.5), "adam": lo.Adam, "adamw": lo.AdamW}


def numbers(dtype, *shape):
    """Numbers of both signs with zeros of both signs among them."""
    x = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    x.flat[::5], x.flat[1::7] = 0.0, -0.0
    return x


def inside(w, row, cls):
    """w where the penalty is finite."""
    return (
        w
        if np.isfinite(row.worth(w))
        else np.clip(w, getattr(row.make(cls), "low", 0), getattr(row.make(cls), "high", 9))
    )


@each_dtype
@each_row
def test_value_is_the_formula(cls, row, dtype):
    for w in (numbers(dtype, 30, 7), inside(numbers(dtype, 30, 7), row, cls)):
        penalty, want = row.make(cls), row.worth(w.astype(np.float64))
        value = penalty.value(w)
        assert type(value) is float
        assert_allclose(value, want, rtol=1e-14 if dtype == np.float64 else 1e-7)
        assert penalty.value(w[:0]) == 0.0
        for same in (w[::-1], np.asfortranarray(w), w.tolist(), w.astype(w.dtype.newbyteorder(">"))):
            assert_allclose(penalty.value(same), value, rtol=1e-14)
        assert_allclose(penalty.value(w[0]), row.worth(w[0].astype(np.float64)), rtol=1e-7)


def test_the_chapters_formulas():
    w = np.array([3.0, -4.0])
    assert lo.L2(0.1).value(w) == pytest.approx(2.5)  # no half
    assert lo.L1(0.1).value(w) == pytest.approx(0.7)
    assert lo.ElasticNet(0.1, l1_ratio=0.25).value(w) == pytest.approx(0.25 * 0.7 + 0.75 * 2.5)
    assert lo.GroupL2(0.1, groups=[0, 0]).value(w) == pytest.approx(0.5)
    assert lo.GroupL2(0.1, groups=["a", "b"]).value(w) == pytest.approx(0.7)
    assert (lo.NonNegative().value(w), lo.NonNegative().value(-w[1:])) == (np.inf, 0.0)
    for one, other in (
        (lo.ElasticNet(0.3, 1.0), lo.L1(0.3)),
        (lo.ElasticNet(0.3, 0.0), lo.L2(0.3)),
        (lo.L1(0.1, factors=[2.0, 2.0]), lo.L1(0.2)),
        (lo.GroupL2(0.3, groups=[5, 3]), lo.L1(0.3)),
        (lo.Box(0, np.inf), lo.NonNegative()),
    ):
        assert one.value(w) == pytest.approx(other.value(w))
        moved = w.copy(), w.copy()
        one.prox(moved[0], 0.5)
        other.prox(moved[1], 0.5)
        assert_allclose(*moved, rtol=1e-15)


@each_row
def test_gradient_is_the_slope_of_the_value(cls, row):
    penalty = row.make(cls)
    w, h = inside(numbers(np.float64, 4, 7), row, cls), 1e-6
    gradient = np.full(w.shape, 0.25)
    penalty.add_grad(w, gradient)
    checked = 0
    for i in np.ndindex(w.shape):
        step = np.zeros_like(w)
        step[i] = h
        slope = (row.worth(w + step) - row.worth(w - step)) / (2 * h)
        if w[i] != 0 and np.isfinite(slope):
            assert gradient[i] == pytest.approx(0.25 + slope, abs=1e-8)
            checked += 1
    assert checked > 3


@each_dtype
@each_row
def test_gradient_is_the_least_there_is(cls, row, dtype):
    """Of all subgradients the least is the way that a short proximal step goes."""
    penalty, rng, t = row.make(cls), np.random.default_rng(5), 1e-6
    for scale in (0.0, -0.0, 1.0):
        w = inside(scale * numbers(np.float64, 3, 7), row, cls)
        for size in (0.1, 1.0):
            g = size * rng.standard_normal(w.shape).astype(dtype)
            gradient, end = g.copy(), w - t * g
            penalty.add_grad(w.astype(dtype), gradient)
            penalty.prox(end, t)
            assert_allclose(gradient, (w - end) / t, atol=2e-5)
            assert not np.signbit(gradient[gradient == 0]).any()
    # at zero an L1 part as strong as the gradient leaves nothing of it
    if row.kink and "strength" in row.kwargs:
        gradient = np.full((1, 7), 0.01, dtype)
        row.make(cls, strength=9.0).add_grad(np.zeros((1, 7), dtype), gradient)
        free = getattr(penalty, "factors", None) or [1.0] * 7
        assert_array_equal(gradient[0], [dtype(0.01) if f == 0 else 0 for f in free])


@each_row
@pytest.mark.parametrize("step", [0.0, 0.01, 0.5, 3.0])
def test_prox_minimizes_distance_and_penalty(cls, row, step):
    penalty, rng = row.make(cls), np.random.default_rng(6)
    given = np.array([[-5.0, -1.0, -0.3, -0.05, -0.0, 0.0, 0.001], [0.2, 0.9, 4.0, 0.3, -0.1, 0.2, -0.05]])
    moved = given.copy()
    penalty.prox(moved, step)

    def cost(w):
        return 0.5 * ((w - given) ** 2).sum() + (step * row.worth(w) if step else 0)

    if step or np.isfinite(row.worth(given)):
        bounds = max(-6, getattr(penalty, "low", -6)), min(6, getattr(penalty, "high", 6))
        bounds = (0, 6) if cls is lo.NonNegative else bounds
        # a convex function: what no direction makes less is the minimum
        for size in 10.0 ** -np.arange(1, 7):
            for _ in range(50):
                assert cost(moved) <= cost(moved + size * rng.standard_normal(given.shape)) + 1e-14
        for i in np.ndindex(given.shape):
            line = [lambda x, i=i: cost(np.where(np.arange(14).reshape(2, 7) == 7 * i[0] + i[1], x, moved))][0]
            found = minimize_scalar(line, bounds=bounds, method="bounded", options={"xatol": 1e-10})
            assert line(moved[i]) <= found.fun + 1e-12


@each_dtype
@each_row
def test_zeros_that_prox_makes_are_positive(cls, row, dtype):
    w = np.tile(np.array([-0.0, 0.0, -1e-3, 1e-3, -np.finfo(dtype).smallest_subnormal, -2, 2], dtype), (7, 1)).T.copy()
    row.make(cls).prox(w, 0.5)
    assert (w[:2] == 0).all()
    if row.kink and cls not in (lo.Box,) and not getattr(row.make(cls), "factors", None):
        assert (w[2] == 0).all() or cls is lo.GroupL2
    assert not np.signbit(w[w == 0]).any()


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
    lo.Box(-1, 1).prox(w, 1.0)
    assert_array_equal(w, np.array([np.nan, 1, -1, 0.5], dtype))
    for strange in (np.nan, np.inf):
        x = np.array([strange, 1.0, 0.1], dtype)
        lo.GroupL2(0.5, groups=[0, 0, 1]).prox(x, 1.0)
        assert np.isnan(x[0])
        assert x[2] == 0


@each_dtype
@each_row
def test_writes_in_place_in_either_precision_and_any_layout(cls, row, dtype):
    penalty, w = row.make(cls), numbers(dtype, 4, 7)
    expected, gradient, moved = np.ones((4, 7), dtype), np.ones((4, 7), dtype), w.copy()
    penalty.add_grad(w, expected)
    # what is read may be anything of that shape
    penalty.add_grad(np.asfortranarray(w, np.longdouble), gradient)
    assert_array_equal(gradient, expected)
    penalty.prox(moved, 0.3)
    assert not np.array_equal(moved, w) or row.worth(w) == 0
    again = w.reshape(2, 2, 7).copy()
    penalty.prox(again, 0.3)
    assert_array_equal(again.reshape(4, 7), moved)
    penalty.prox(moved[:0], 0.3)
    penalty.add_grad(w[:0], gradient[:0])


# ---- the end of a step


@each_dtype
@each_row
@pytest.mark.parametrize("make", STEPS.values(), ids=STEPS)
def test_a_step_ends_at_the_prox_in_the_metric_of_its_gains(make, cls, row, dtype):
    """The step without the kink, and then what minimizes |v - w|**2 / (2 gain) + penalty(v)."""
    if row.kink is False:
        return
    rng, penalty = np.random.default_rng(7), row.make(cls)
    w, plain = (rng.standard_normal((2, 7)).astype(dtype) for _ in range(2))
    plain[...] = w
    one, other = make(0.2), make(0.2)
    inner = getattr(penalty, "penalty", None) or penalty
    l2 = (
        getattr(inner, "strength", 0)
        * (1 - getattr(inner, "l1_ratio", 1))
        * np.array(getattr(inner, "factors", None) or [1.0] * 7)
    )
    tolerance = 1e-12 if dtype == np.float64 else 1e-5
    for k in range(1, 6):
        g = rng.standard_normal((2, 7)).astype(dtype)
        one.step(w, g, penalty)
        other.step(plain, g + (2 * l2 * plain).astype(dtype))
        gain = 0.2 if isinstance(one, lo.SGD) and not one.momentum else 0.4
        if not isinstance(one, lo.SGD):
            second = other.state_dict()["state"]["params"]["exp_avg_sq"].astype(np.float64)
            gain = 0.2 / (np.sqrt(second / (1 - 0.999**k)) + 1e-8)

        given = plain.astype(np.float64)

        def cost(v, u=given, a=gain):
            worth = row.worth(v)
            kink = worth - (l2 * v**2).sum() if worth < np.inf else worth
            return ((v - u) ** 2 / (2 * a)).sum() + kink

        found = w.astype(np.float64)
        for size in 10.0 ** -np.arange(1, 6):
            for _ in range(30):
                assert cost(found) <= cost(found + size * rng.standard_normal(w.shape)) + tolerance * 10
        plain[...] = w
        for name, x in other._bound.state and zip(("a", "b"), other._bound.state, strict=False):
            x[...] = one._bound.state[("a", "b").index(name)]


@pytest.mark.parametrize("make", STEPS.values(), ids=STEPS)
@pytest.mark.parametrize("penalty", ["factors", "groups", "non_negative", "positive lasso", "box"])
def test_training_comes_to_rest_where_the_optimality_conditions_hold(make, penalty):
    rng = np.random.default_rng(8)
    X = rng.standard_normal((60, 7)) @ (np.eye(7) + 0.3)
    y = X @ np.array([1.0, 0, 0.02, -0.5, 0, 0, 0]) + 0.1 * rng.standard_normal(60)
    made = {
        "factors": lo.L1(0.3, factors=cases.factors(7)),
        "groups": lo.GroupL2(0.6, groups=cases.groups(7)),
        "non_negative": lo.NonNegative(),
        "positive lasso": lo.NonNegative(lo.ElasticNet(0.1, 0.8, factors=cases.factors(7))),
        "box": lo.Box(-0.1, 0.3),
    }[penalty]
    data, w = lo.Objective(X, y, lo.MSE(), fit_intercept=False), np.zeros((1, 7))
    optimizer = make(lo.StepDecay(0.02, step_size=1500, gamma=0.3))
    if isinstance(optimizer, lo.AdamW):
        optimizer = lo.AdamW(optimizer.lr, weight_decay=0)
    for _ in range(9000):
        optimizer.step({"weight": w}, {"weight": data.value_and_grad(w[0])[1][None]}, made)
    g = data.value_and_grad(w[0])[1]
    still = (w[0] == 0) if penalty != "box" else np.isin(w[0], (-0.1, 0.3))
    assert 0 < still.sum() < 7
    # the least subgradient of the sum is zero, and what stands at a kink does so exactly
    least = g[None].copy()
    made.add_grad(w, least)
    assert_allclose(least, 0, atol=2e-4)
    if penalty == "groups":
        ids = np.array(cases.groups(7))
        assert all(still[ids == i].all() or not still[ids == i].any() for i in set(ids))


def test_biases_have_no_penalty_of_any_form():
    for penalty in (lo.L1(99.0, factors=[1.0, 1.0]), lo.GroupL2(99.0, groups=[0, 0]), lo.Box(-1e-3, 1e-3)):
        params = {"weight": np.ones((1, 2)), "bias": np.ones(1)}
        lo.SGD(0.1).step(params, {"weight": np.zeros((1, 2)), "bias": np.zeros(1)}, penalty)
        assert (np.abs(params["weight"]) <= 1e-3).all()
        assert_array_equal(params["bias"], 1)


def test_a_strength_may_be_a_schedule():
    schedule = lo.ExponentialDecay(0.5, k=0.3)
    for make in (lo.L1, lo.L2, lambda s: lo.ElasticNet(s, 0.25), lambda s: lo.GroupL2(s, groups=[0, 0, 1])):
        one, other = np.ones(3), np.ones(3)
        first, second = lo.SGD(0.1, momentum=0.5), lo.SGD(0.1, momentum=0.5)
        for k in range(5):
            g = np.array([0.5, -0.2, k / 10])
            first.step(one, g, make(schedule))
            second.step(other, g, make(float(schedule(k))))
            assert_array_equal(one, other)
        with pytest.raises(ValueError, match="strength is a schedule, and here is no update to read it at"):
            make(schedule).value(one)
        with pytest.raises(ValueError, match="strength is a schedule, and here is no update to read it at"):
            lo.Objective(np.ones((2, 3)), np.ones(2), lo.MSE(), make(schedule))

    class Odd(lo.Schedule):
        def _values(self, t):
            return -1.0 - t

    with pytest.raises(ValueError, match="must stay finite and not negative as a strength"):
        lo.SGD(0.1).step(np.ones(3), np.ones(3), lo.L1(Odd()))


def test_history_tells_the_penalty_at_the_strength_of_the_epochs_end():
    X, y = np.random.default_rng(0).standard_normal((40, 3)), np.ones(40)
    schedule = lo.LinearDecay(0.5, end=0.0, steps=10)
    trainer = lo.Trainer(lo.Linear(3), lo.MSE(), lo.SGD(0.01), penalty=lo.L1(schedule), batch_size=20)
    history = trainer.fit(X, y, epochs=2)
    assert history["penalty"][-1] == pytest.approx(schedule(4) * np.abs(trainer.model.params["weight"]).sum())


# ---- what is refused


def frozen():
    x = np.ones(7)
    x.flags.writeable = False
    return x


BAD_ARRAYS = {
    "list": ([1.0, 1.0, 1.0], TypeError, "{} must be an array that can be written in place, got list [1.0, 1.0, 1.0]"),
    "int": (np.ones(7, int), TypeError, "{} must be a float64 or float32 array in native byte order, got int64"),
    "swapped": (np.ones(7, ">f8"), TypeError, "{} must be a float64 or float32 array in native byte order, got >f8"),
    "strided": (np.ones(14)[::2], ValueError, "{} must be C-contiguous, got a strided float64 array of shape (7,)"),
    "read-only": (frozen(), ValueError, "{} must be writable, got a read-only float64 array of shape (7,)"),
}


@each_row
@pytest.mark.parametrize("bad", BAD_ARRAYS)
def test_what_cannot_be_written_is_named(cls, row, bad):
    array, error, text = BAD_ARRAYS[bad]
    for name, call in (
        ("w", lambda: row.make(cls).prox(array, 0.1)),
        ("grad", lambda: row.make(cls).add_grad(np.full(7, 2.0), array)),
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
        # what must be converted
        (base[::2], base[:3], "grad overlaps w"),
    ):
        with pytest.raises(ValueError, match=re.escape(text)):
            lo.L1(0.1).add_grad(w, grad)
    with pytest.raises(TypeError, match="w must hold real numbers, got complex128 array"):
        lo.L1(0.1).add_grad(np.ones(3) * 1j, np.ones(3))
    assert_array_equal(base, np.arange(1.0, 7.0))


@each_strong
@pytest.mark.parametrize("strength", [-0.1, np.inf, np.nan, True, "1"])
def test_strengths_are_finite_and_not_negative(cls, row, strength):
    text = f"{cls.__name__}: strength must be finite and not negative, or a schedule, got {strength!r}"
    with pytest.raises(ValueError, match=re.escape(text)):
        row.make(cls, strength=strength)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: lo.ElasticNet(1.0, l1_ratio=-0.1), "ElasticNet: l1_ratio must lie in [0, 1], got -0.1"),
        (lambda: lo.ElasticNet(1.0, l1_ratio=1.1), "ElasticNet: l1_ratio must lie in [0, 1], got 1.1"),
        (lambda: lo.ElasticNet(1.0, l1_ratio=np.nan), "ElasticNet: l1_ratio must lie in [0, 1], got nan"),
        (
            lambda: lo.L1(1.0, factors=[1.0, -1.0]),
            "L1: factors must be finite and not negative, one a feature, got [ 1. -1.]",
        ),
        (
            lambda: lo.L2(1.0, factors=[[1.0]]),
            "L2: factors must be finite and not negative, one a feature, got float64 array",
        ),
        (
            lambda: lo.GroupL2(1.0, groups=[0.5]),
            "GroupL2: groups must name a group for each feature, got float64 array",
        ),
        (lambda: lo.GroupL2(1.0, [0, 1], factors=[1.0]), "GroupL2: factors and groups must be of one length, got 1, 2"),
        (lambda: lo.GroupL2(1.0, [0, 0], factors=[1.0, 2.0]), "GroupL2: factors must be the same within a group"),
        (lambda: lo.Box(1, 0), "Box: low must not be above high, got 1 and 0"),
        (lambda: lo.Box(np.nan, 0), "Box: low must be a number, got nan"),
        (lambda: lo.Box(0, "1"), "Box: high must be a number, got '1'"),
        (
            lambda: lo.L1(1.0, factors=[1.0, 1.0]).value([1.0]),
            "L1: factors has 2 features, and w has float64 array of shape (1,)",
        ),
        (
            lambda: lo.GroupL2(1.0, [0, 1]).prox(np.ones((2, 3)), 1.0),
            "GroupL2: groups has 2 features, and w has float64 array of",
        ),
    ],
)
def test_bad_arguments_are_named(make, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        make()


def test_features_that_do_not_fit_are_refused_before_anything_is_written():
    params = {"0.weight": np.ones((4, 3)), "1.weight": np.ones((2, 4))}
    grads = {name: np.ones_like(x) for name, x in params.items()}
    for penalty, text in (
        (
            lo.L2(0.1, factors=[1.0] * 3),
            "L2: factors has 3 features, and params['1.weight'] has float64 array of shape (2, 4)",
        ),
        (lo.GroupL2(0.1, [0, 1, 1]), "GroupL2: groups has 3 features, and params['1.weight'] has float64 array"),
    ):
        optimizer = lo.SGD(0.1)
        with pytest.raises(ValueError, match=re.escape(text)):
            optimizer.step(params, grads, penalty)
        assert optimizer.steps == 0
        assert all((x == 1).all() for x in params.values())


@each_row
@pytest.mark.parametrize("step", [-0.1, np.nan, np.inf, "a"])
def test_steps_are_not_negative(cls, row, step):
    w = np.ones(7)
    with pytest.raises(ValueError, match=f"step must be finite and not negative, got {step!r}"):
        row.make(cls).prox(w, step)
    assert_array_equal(w, 1)


def test_only_what_acts_on_each_weight_alone_acts_between_bounds():
    for make in (
        lambda: lo.Box(0, 1, lo.Box(0, 1)),
        lambda: lo.NonNegative(lo.GroupL2(0.1, [0])),
        lambda: lo.NonNegative(0.1),
    ):
        with pytest.raises(TypeError, match="penalty must be L1, L2, ElasticNet or None, got"):
            make()


def test_a_penalty_between_bounds_may_be_scheduled():
    one, other = np.ones(3), np.ones(3)
    opt, same, schedule = lo.Adam(0.1), lo.Adam(0.1), lo.ExponentialDecay(0.5, k=0.3)
    for k in range(5):
        opt.step(one, np.array([0.1, -1.0, 3.0]), lo.NonNegative(lo.L1(schedule)))
        same.step(other, np.array([0.1, -1.0, 3.0]), lo.NonNegative(lo.L1(schedule(k))))
    assert_array_equal(one, other)


# ---- kernels beside their twins


@each_dtype
@pytest.mark.parametrize("level", _kernels.available)
@pytest.mark.parametrize("kind", ["soft", "box", "group"])
def test_closings_agree_with_their_twins(kind, level, dtype):
    rng, made = np.random.default_rng(9), {}
    w, g, gains = rng.standard_normal((3, 5, 14)).astype(dtype)
    w[:, ::4] = 0
    gains = np.abs(gains)
    gains[0, :3] = 0
    factors = np.broadcast_to(rng.exponential(size=14), (5, 14)).astype(dtype)
    ids = np.broadcast_to(cases.groups(14), (5, 14)).ravel()
    factors = factors if kind == "soft" else factors[:, ids[:14]].copy()
    members = np.argsort(ids, kind="stable")
    begins = np.searchsorted(ids[members], np.arange(ids.max() + 2))
    for side in (level, "reference"):
        penalties = _kernels.load(side).penalties
        more = {"soft": (), "box": (-0.5, 0.25), "group": (members, begins)}[kind]
        closing = getattr(penalties, f"{kind}_closing")(gains.copy(), factors.copy(), *more)
        moved, gradient = w.copy(), g.copy()
        penalties.close(closing, moved, 0.7)
        made[side] = [moved]
        if kind == "group":
            still = w.copy()
            still[:, ids[:14] == 1] = 0
            penalties.group_add_grad(closing, still, gradient, 0.7)
            made[side] += [gradient, penalties.group_value(closing, w)]
        if kind == "box":
            penalties.box_add_grad(w, gradient, -0.5, 0.25)
            made[side].append(gradient)
    for one, other in zip(made[level], made["reference"], strict=True):
        assert_allclose(one, other, rtol=1e-13 if dtype == np.float64 else 2e-6, atol=1e-14)
        assert_array_equal(np.asarray(one) == 0, np.asarray(other) == 0)
