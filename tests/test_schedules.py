"""Schedules against the chapter's numbers, against torch and optax step by step, and against their own promises."""

from __future__ import annotations

import copy
import math
import pickle
import random
import warnings
from fractions import Fraction

import numpy as np
import pytest

import lossopt as lo
from lossopt.schedules import SCHEDULES, Schedule

STEPS = 10_000

SCHEDULE_INSTANCES = [
    lo.Constant(lr=0.001),
    lo.StepDecay(lr=0.1, step_size=30),
    lo.StepDecay(lr=0.1, step_size=2.5, gamma=0.97),
    lo.MultiStep(lr=0.1, milestones=[30, 80.5, 4000], gamma=0.3),
    lo.MultiStep(lr=0.1, milestones=()),
    lo.ExponentialDecay(lr=0.1, k=1e-3),
    lo.CosineAnnealing(lr=0.1, T_max=777),
    lo.CosineAnnealing(lr=0.1, T_max=0.5, eta_min=0.01),
    lo.WarmRestarts(lr=0.1, T_0=7),
    lo.WarmRestarts(lr=0.1, T_0=7, T_mult=2, eta_min=0.001, gamma=0.9),
    lo.WarmRestarts(lr=0.1, T_0=1, T_mult=10),
    lo.LinearDecay(lr=0.1, end=0.02, steps=300),
    lo.LinearDecay(lr=0.0, end=0.3, steps=3.7),
    lo.Polynomial(lr=0.1, end=0.001, steps=300, power=1.7),
    lo.Polynomial(lr=0.1, end=0.0, steps=300, power=2),
    lo.InverseTime(lr=0.1, k=0.01),
    lo.InverseTime(lr=0.1, k=0.01, power=0.75),
    lo.InverseSqrt(lr=0.1, steps=400),
    lo.Cyclic(base=0.01, peak=0.1, up=13),
    lo.Cyclic(base=0.01, peak=0.1, up=13, down=40.5, gamma=0.999),
    lo.OneCycle(peak=0.1, steps=1000),
    lo.OneCycle(peak=0.1, steps=10, pct_start=1.0, div_factor=2, final_div_factor=5),
    lo.Warmup(lo.CosineAnnealing(lr=0.1, T_max=500), steps=20),
    lo.Warmup(0.1, steps=2.5),
    lo.Join([0.05, lo.WarmRestarts(lr=0.1, T_0=9, T_mult=3), lo.Warmup(0.2, 3)], milestones=[11, 500.25]),
    lo.CosineAnnealing(lr=0.1, T_max=100) * lo.StepDecay(lr=1, step_size=50, gamma=0.5),
    lo.Product(lo.Warmup(lo.InverseSqrt(lr=1, steps=10), 10), 0.1),
]
every = pytest.mark.parametrize("schedule", SCHEDULE_INSTANCES, ids=repr)

rng = np.random.default_rng(0)
MIXED = np.concatenate([np.arange(600.0), rng.uniform(0, 5000, 600), [1e6, 2.0**52, 1e15]])


def steps(count=STEPS):
    return np.arange(count)


# The promises of every schedule


def test_every_entry_of_the_table_has_an_instance():
    assert {type(schedule) for schedule in SCHEDULE_INSTANCES} == set(SCHEDULES.values())


def test_table_names_and_finality():
    for name, cls in SCHEDULES.items():
        assert name == "".join("_" + c.lower() if c.isupper() else c for c in cls.__name__)[1:]
        assert getattr(lo, cls.__name__) is cls
        assert cls.__bases__ == (Schedule,)


@every
def test_scalar_gives_the_bits_of_the_array(schedule):
    values = schedule(MIXED)
    assert values.dtype == np.float64
    assert [schedule(t) for t in MIXED.tolist()] == values.tolist()


@every
def test_bits_depend_neither_on_length_nor_on_position(schedule):
    values = schedule(MIXED)
    for length in (2, 3, 4, 5, 7, 8, 9, 16, 33):
        parts = [schedule(MIXED[i : i + length]) for i in range(0, len(MIXED), length)]
        assert np.array_equal(np.concatenate(parts), values)
    for start in (1, 2, 3, 5):
        assert np.array_equal(schedule(MIXED[start:]), values[start:])
    assert np.array_equal(schedule(MIXED[::-1]), values[::-1])
    assert np.array_equal(schedule(MIXED[::3]), values[::3])


@every
def test_kinds_of_t(schedule):
    t = np.array([[0, 1, 2], [30, 31, 100]])
    expected = schedule(t)
    assert expected.shape == (2, 3)
    for dtype in (np.int8, np.uint8, np.int32, np.uint64, np.float16, np.float32, ">f8", ">i4"):
        assert np.array_equal(schedule(t.astype(dtype)), expected)
    assert np.array_equal(schedule(np.asfortranarray(t)), expected)
    assert np.array_equal(schedule(t.tolist()), expected)
    assert schedule(np.array(31)).shape == ()
    assert schedule(np.zeros((0, 3))).shape == (0, 3)
    for number in (31, 31.0, np.int16(31), np.float32(31), Fraction(31)):
        assert type(schedule(number)) is float
        assert schedule(number) == expected[1, 1]


@every
def test_t_is_not_written_and_not_returned(schedule):
    t = np.arange(100.0)
    t.flags.writeable = False
    values = schedule(t)
    values += 1
    assert np.array_equal(t, np.arange(100.0))


@every
def test_pure_in_any_order(schedule):
    expected = dict(zip(range(300), schedule(np.arange(300)).tolist(), strict=True))
    order = list(expected) * 2
    random.Random(1).shuffle(order)
    assert all(schedule(t) == expected[t] for t in order)


@every
def test_repr_pickle_and_copy_round_trip(schedule):
    names = {cls.__name__: cls for cls in SCHEDULES.values()}
    rebuilt = eval(repr(schedule), {"__builtins__": {}}, names)
    for other in (rebuilt, pickle.loads(pickle.dumps(schedule)), copy.deepcopy(schedule), copy.copy(schedule)):
        assert type(other) is type(schedule)
        assert repr(other) == repr(schedule)
        assert np.array_equal(other(MIXED), schedule(MIXED))


@every
def test_values_are_finite_and_not_negative(schedule):
    values = schedule(MIXED)
    assert np.isfinite(values).all()
    assert (values >= 0).all()


@every
@pytest.mark.parametrize(
    "t", [-1, -0.5, math.nan, math.inf, np.array([0.0, -2.0]), np.array([[1.0, math.nan]])], ids=str
)
def test_bad_t_is_named(schedule, t):
    name = type(schedule).__name__
    with pytest.raises(ValueError, match=rf"^{name}: t must be finite and not negative, got (-|nan|inf)"):
        schedule(t)


@pytest.mark.parametrize("t", [True, "3", 1j, None, np.array([True]), np.array([1j])], ids=repr)
def test_t_of_another_kind_is_refused(t):
    with pytest.raises(TypeError, match=r"^Constant: t must be a number or an array of numbers, got \S+$"):
        lo.Constant(0.1)(t)


# Golden numbers


@pytest.mark.parametrize(
    ("schedule", "t", "value"),
    [
        (lo.Constant(lr=0.001), 12345, 0.001),
        (lo.StepDecay(lr=0.1, step_size=30), 29, 0.1),
        (lo.StepDecay(lr=0.1, step_size=30), 30, 0.01),
        (lo.StepDecay(lr=0.1, step_size=30), 59.999, 0.01),
        (lo.StepDecay(lr=0.1, step_size=30), 60, 0.001),
        (lo.StepDecay(lr=0.1, step_size=30, gamma=0.5), 30, 0.05),
        (lo.ExponentialDecay(lr=0.1, k=0.05), 20, 0.1 * math.exp(-1)),
        (lo.ExponentialDecay(lr=0.1, k=-0.05), 20, 0.1 * math.e),
        (lo.CosineAnnealing(lr=0.1, T_max=5, eta_min=0.01), 0, 0.1),
        (lo.CosineAnnealing(lr=0.1, T_max=5, eta_min=0.01), 2.5, 0.055),
        (lo.CosineAnnealing(lr=0.1, T_max=5, eta_min=0.01), 5, 0.01),
        (lo.CosineAnnealing(lr=1.0, T_max=5), 4, 0.09549150281252627),
        (lo.CosineAnnealing(lr=1.0, T_max=5), 6, 0.0),
        (lo.CosineAnnealing(lr=1.0, T_max=5), 7, 0.0),
        (lo.LinearDecay(lr=0.1, end=0.3, steps=4), 3, 0.25),
        (lo.Polynomial(lr=0.1, end=0.02, steps=10, power=2), 5, 0.04),
        (lo.InverseTime(lr=0.1, k=0.01), 100, 0.05),
        (lo.InverseSqrt(lr=0.1, steps=100), 300, 0.05),
        (lo.Cyclic(base=0.1, peak=0.5, up=4), 7, 0.2),
        (lo.OneCycle(peak=1.0, steps=10), 0, 0.04),
        (lo.OneCycle(peak=1.0, steps=10), 2, 1.0),
        (lo.OneCycle(peak=1.0, steps=10), 9, 4e-6),
    ],
    ids=repr,
)
def test_golden(schedule, t, value):
    assert schedule(t) == pytest.approx(value, rel=1e-14, abs=0)


def test_ends_are_exact():
    """lr, end and eta_min come out as they were put in, not one rounding away."""
    for a, b in np.random.default_rng(5).uniform(0, 1, (200, 2)).tolist():
        for schedule in (lo.CosineAnnealing(a, 7, b), lo.LinearDecay(a, b, 7), lo.Polynomial(a, b, 7, 1.3)):
            assert (schedule(0), schedule(7), schedule(8)) == (a, b, b)
        cyclic, cycle = lo.Cyclic(a, b, 3, 4), lo.OneCycle(a, 7, 0.5, 3, 11)
        assert (cyclic(0), cyclic(3), cyclic(7), cyclic(10)) == (a, b, a, b)
        assert (cycle(0), cycle(2.5), cycle(6), cycle(7)) == (a / 3, a, a / 3 / 11, a / 3 / 11)


def test_step_boundaries_with_fractions():
    """A boundary is met exactly: one rounding before it the old value still holds."""
    for boundary in (30.0, 60.0, 90.0, 30.0 * 900):
        just_before = math.nextafter(boundary, 0)
        for schedule in (lo.StepDecay(1.0, 30, 0.5), lo.MultiStep(1.0, [boundary], 0.5), lo.WarmRestarts(1.0, 30)):
            assert schedule(boundary) != schedule(just_before)
            assert schedule(just_before) == pytest.approx(schedule(boundary - 1e-9), rel=1e-12, abs=1e-18)


def test_one_cycle_without_a_rise_or_without_a_fall():
    assert lo.OneCycle(1.0, 10, pct_start=0.1)(0) == 1.0  # the turn is at t = 0, where torch divides 0 by 0
    assert lo.OneCycle(1.0, 1)(0) == pytest.approx(4e-6, rel=1e-15)
    assert lo.OneCycle(1.0, 10, pct_start=1)(np.array([0, 9, 50])).tolist() == [0.04, 1.0, 1.0]
    falls = lo.OneCycle(1.0, 10, pct_start=0.0)(steps(10))
    assert (np.diff(falls) < 0).all()


# Composition


def test_warmup_ramps_to_the_schedule_and_starts_it():
    inner = lo.CosineAnnealing(lr=0.1, T_max=50)
    schedule = lo.Warmup(inner, steps=8)
    t = np.arange(8)
    assert np.array_equal(schedule(t), inner(0) * (t + 1) / 8)
    assert schedule(7) == schedule(8) == inner(0)
    t = np.arange(8, 100) + 0.25
    assert np.array_equal(schedule(t), inner(t - 8))


def test_warmup_and_inverse_sqrt_make_the_transformer_schedule():
    w, t = 4000, np.arange(1, 20_000)
    noam = np.minimum(t**-0.5, t * w**-1.5) / w**-0.5
    np.testing.assert_allclose(lo.Warmup(lo.InverseSqrt(1.0, w), w)(t[w:]), noam[w:], rtol=1e-13)
    np.testing.assert_allclose(lo.Warmup(lo.InverseSqrt(1.0, w), w)(t[: w - 1] - 1), noam[: w - 1], rtol=1e-13)


def test_join_hands_over_at_the_milestone():
    a, b, c = lo.ExponentialDecay(0.3, 0.1), lo.WarmRestarts(0.1, 5, 2), lo.LinearDecay(0.2, 0.0, 10)
    schedule = lo.Join([a, b, c], milestones=[10, 25.5])
    assert schedule(9.99) == a(9.99)
    assert schedule(10) == b(0)
    assert schedule(25) == b(15)
    assert schedule(25.5) == c(0)
    assert schedule(30) == c(4.5)
    assert np.array_equal(lo.Join([a], [])(MIXED[:600]), a(MIXED[:600]))


def test_numbers_stand_for_constants():
    assert repr(lo.Warmup(0.1, 5)) == "Warmup(schedule=Constant(lr=0.1), steps=5)"
    assert repr(lo.Join([0.1, 1], [5])) == "Join(schedules=(Constant(lr=0.1), Constant(lr=1)), milestones=(5,))"


def test_product():
    a, b = lo.CosineAnnealing(0.1, 100), lo.StepDecay(1, 50)
    t = np.arange(200)
    assert type(a * b) is lo.Product
    assert np.array_equal((a * b)(t), a(t) * b(t))
    assert np.array_equal((a * b * b)(t), a(t) * b(t) * b(t))
    for scaled in (a * 0.5, 0.5 * a, np.float64(0.5) * a, a * np.float32(0.5)):
        assert np.array_equal(scaled(t), 0.5 * a(t))
    for other in ("2", None, [1.0], True):
        with pytest.raises(TypeError):
            a * other


def test_a_schedule_of_ones_own_composes():
    class Halving(Schedule):
        def __init__(self, lr):
            self.lr = lr

        def _values(self, t):
            return self.lr * 0.5**t

    schedule = lo.Warmup(Halving(0.8), 2) * lo.Constant(2)
    assert schedule(np.arange(5)).tolist() == [0.8, 1.6, 1.6, 0.8, 0.4]
    assert repr(Halving(0.8)) == "Halving(lr=0.8)"


# Restarts


@pytest.mark.parametrize("t_mult", [1, 2, 3, 10])
@pytest.mark.parametrize("t_0", [1, 3, 10])
def test_restarts_are_exact(t_0, t_mult):
    schedule = lo.WarmRestarts(lr=0.3, T_0=t_0, T_mult=t_mult, eta_min=0.001)
    dropping = lo.WarmRestarts(lr=0.3, T_0=t_0, T_mult=t_mult, gamma=0.5)
    start, length = 0, t_0
    for cycle in range(15):
        assert schedule(start) == 0.3
        assert dropping(start) == 0.3 * 0.5**cycle
        if start > 2 * t_0:
            assert schedule(math.nextafter(start, 0)) == pytest.approx(0.001, rel=1e-6)
        start, length = start + length, length * t_mult


def test_restarts_property():
    hypothesis = pytest.importorskip("hypothesis")
    st = hypothesis.strategies

    @hypothesis.given(st.integers(1, 10**4), st.integers(1, 12), st.integers(0, 40), st.data())
    @hypothesis.settings(deadline=None, database=None)
    def check(t_0, t_mult, cycle, data):
        length = t_0 * t_mult**cycle
        start = sum(t_0 * t_mult**i for i in range(cycle))
        hypothesis.assume(start + length < 2**53)
        since = data.draw(st.integers(0, length - 1))
        schedule = lo.WarmRestarts(lr=1.0, T_0=t_0, T_mult=t_mult, gamma=0.5)
        assert schedule(start) == 0.5**cycle
        expected = 0.5**cycle * (1 + math.cos(math.pi * (since / length))) / 2
        assert schedule(start + since) == pytest.approx(expected, rel=1e-9, abs=1e-15 * 0.5**cycle)
        assert schedule(np.array([start + since, start])).tolist() == [schedule(start + since), schedule(start)]

    check()


# torch


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


def torch_values(torch, lr, make, count=STEPS):
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=lr)
    values = np.empty(count)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scheduler = make(torch.optim.lr_scheduler, optimizer)
        for i in range(count):
            values[i] = optimizer.param_groups[0]["lr"]
            optimizer.step()
            if i + 1 < count:
                scheduler.step()
    return values


def closed_cosine(lr_scheduler, optimizer):
    return lr_scheduler.CosineAnnealingLR(optimizer, T_max=STEPS - 1, eta_min=0.01)


TORCH = {
    "StepLR": (lo.StepDecay(0.1, 300, 0.7), 0.1, lambda s, o: s.StepLR(o, 300, 0.7)),
    "MultiStepLR": (
        lo.MultiStep(0.1, [30, 80, 5000], 0.2),
        0.1,
        lambda s, o: s.MultiStepLR(o, [30, 80, 5000], 0.2),
    ),
    "ExponentialLR": (lo.ExponentialDecay(0.1, 1e-3), 0.1, lambda s, o: s.ExponentialLR(o, math.exp(-1e-3))),
    "CosineAnnealingLR": (lo.CosineAnnealing(0.1, STEPS - 1, 0.01), 0.1, closed_cosine),
    "LinearLR": (lo.LinearDecay(0.1, 0.03, 4000), 0.1, lambda s, o: s.LinearLR(o, 1.0, 0.3, 4000)),
    "LinearLR up": (lo.LinearDecay(0.025, 0.1, 4000), 0.1, lambda s, o: s.LinearLR(o, 0.25, 1.0, 4000)),
    "PolynomialLR": (lo.Polynomial(0.1, 0.0, 7000, 1.5), 0.1, lambda s, o: s.PolynomialLR(o, 7000, 1.5)),
    "LambdaLR inverse time": (
        lo.InverseTime(0.1, 0.02, 0.6),
        0.1,
        lambda s, o: s.LambdaLR(o, lambda t: (1 + 0.02 * t) ** -0.6),
    ),
    "LambdaLR inverse square root": (
        lo.InverseSqrt(0.1, 250),
        0.1,
        lambda s, o: s.LambdaLR(o, lambda t: math.sqrt(250 / (250 + t))),
    ),
    "CyclicLR": (
        lo.Cyclic(0.01, 0.1, 130),
        0.01,
        lambda s, o: s.CyclicLR(o, 0.01, 0.1, 130, cycle_momentum=False),
    ),
    "CyclicLR uneven": (
        lo.Cyclic(0.01, 0.1, 130, 300),
        0.01,
        lambda s, o: s.CyclicLR(o, 0.01, 0.1, 130, 300, cycle_momentum=False),
    ),
    "CyclicLR exp_range": (
        lo.Cyclic(0.01, 0.1, 130, 70, gamma=0.9995),
        0.01,
        lambda s, o: s.CyclicLR(o, 0.01, 0.1, 130, 70, "exp_range", 0.9995, cycle_momentum=False),
    ),
    "OneCycleLR": (
        lo.OneCycle(0.1, STEPS),
        0.1,
        lambda s, o: s.OneCycleLR(o, 0.1, total_steps=STEPS, cycle_momentum=False),
    ),
    "OneCycleLR shaped": (
        lo.OneCycle(0.1, STEPS, 0.123, 7, 30),
        0.1,
        lambda s, o: s.OneCycleLR(
            o, 0.1, STEPS, pct_start=0.123, div_factor=7, final_div_factor=30, cycle_momentum=False
        ),
    ),
    "SequentialLR warmup": (
        lo.Warmup(lo.StepDecay(0.1, 900, 0.5), 500),
        0.1,
        lambda s, o: s.SequentialLR(o, [s.LinearLR(o, 1 / 500, 1.0, 499), s.StepLR(o, 900, 0.5)], [500]),
    ),
    "SequentialLR": (
        lo.Join(
            [lo.LinearDecay(0.02, 0.1, 400), lo.ExponentialDecay(0.1, 1e-3), lo.CosineAnnealing(0.1, 7000)], [700, 3000]
        ),
        0.1,
        lambda s, o: s.SequentialLR(
            o,
            [s.LinearLR(o, 0.2, 1.0, 400), s.ExponentialLR(o, math.exp(-1e-3)), s.CosineAnnealingLR(o, 7000)],
            [700, 3000],
        ),
    ),
    "ChainedScheduler": (
        lo.ExponentialDecay(0.1, 1e-3) * lo.StepDecay(1, 700, 0.8),
        0.1,
        lambda s, o: s.ChainedScheduler([s.ExponentialLR(o, math.exp(-1e-3)), s.StepLR(o, 700, 0.8)]),
    ),
}


@pytest.mark.parametrize("name", TORCH)
def test_against_torch(torch, name):
    """torch multiplies its way from value to value: it, not we, is a few thousand roundings away from the formula."""
    schedule, lr, make = TORCH[name]
    np.testing.assert_allclose(schedule(steps()), torch_values(torch, lr, make), rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("t_mult", [1, 2, 3, 10])
@pytest.mark.parametrize("t_0", [1, 9, 50])
def test_warm_restarts_against_torch(torch, t_0, t_mult):
    """torch is stepped without an epoch: step(epoch) finds cycles by a logarithm and misses some restarts."""
    schedule = lo.WarmRestarts(0.1, t_0, t_mult, 0.001)
    expected = torch_values(
        torch, 0.1, lambda s, o: s.CosineAnnealingWarmRestarts(o, t_0, t_mult, eta_min=0.001), count=STEPS
    )
    np.testing.assert_allclose(schedule(steps()), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("count", [2, 3, 7, 10])
@pytest.mark.parametrize("pct_start", [0.0, 0.15, 0.3, 0.51, 0.9, 1.0])
def test_short_one_cycles_against_torch(torch, count, pct_start):
    expected = torch_values(
        torch,
        0.1,
        lambda s, o: s.OneCycleLR(o, 0.1, total_steps=count, pct_start=pct_start, cycle_momentum=False),
        count,
    )
    np.testing.assert_allclose(lo.OneCycle(0.1, count, pct_start)(steps(count)), expected, rtol=1e-13)


def test_cosine_stays_where_torch_climbs_again(torch):
    """torch climbs again after T_max; ours stays at eta_min, as optax and the chapter's "total number of epochs" do."""
    expected = torch_values(torch, 1.0, lambda s, o: s.CosineAnnealingLR(o, 5), 8)
    ours = lo.CosineAnnealing(1.0, 5)(steps(8))
    np.testing.assert_allclose(ours[:6], expected[:6], rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(expected[6:], [0.0954915, 0.3454915], rtol=1e-6)
    assert ours[6:].tolist() == [0.0, 0.0]


# optax


@pytest.fixture(scope="module")
def optax_values():
    optax, jax = pytest.importorskip("optax"), pytest.importorskip("jax")
    enable_x64 = getattr(jax, "enable_x64", None)
    if enable_x64 is None:
        from jax.experimental import enable_x64

    def values(make):
        with enable_x64(True):
            given = make(optax)(jax.numpy.arange(STEPS))
            return np.broadcast_to(np.asarray(given), (STEPS,))

    return values


def sgdr(optax):
    lengths = [9 * 3**i for i in range(8)]
    cycles = [
        {"init_value": 0.0, "peak_value": 0.1 * 0.8**i, "warmup_steps": 0, "decay_steps": n, "end_value": 0.001}
        for i, n in enumerate(lengths)
    ]
    return optax.sgdr_schedule(cycles)


OPTAX = {
    "constant": (lo.Constant(0.1), lambda o: o.constant_schedule(0.1)),
    "cosine_decay": (lo.CosineAnnealing(0.1, 7000, 0.02), lambda o: o.cosine_decay_schedule(0.1, 7000, alpha=0.2)),
    "polynomial": (lo.Polynomial(0.1, 0.01, 7000, 2.5), lambda o: o.polynomial_schedule(0.1, 0.01, 2.5, 7000)),
    "linear": (lo.LinearDecay(0.1, 0.01, 7000), lambda o: o.linear_schedule(0.1, 0.01, 7000)),
    "piecewise_constant": (
        lo.MultiStep(0.1, [30, 80, 5000], 0.2),
        lambda o: o.piecewise_constant_schedule(0.1, {30: 0.2, 80: 0.2, 5000: 0.2}),
    ),
    "exponential_decay": (
        lo.ExponentialDecay(0.1, 2e-3),
        lambda o: o.exponential_decay(0.1, 500, math.exp(-1.0)),
    ),
    "exponential_decay staircase": (
        lo.StepDecay(0.1, 500, 0.7),
        lambda o: o.exponential_decay(0.1, 500, 0.7, staircase=True),
    ),
    "sgdr": (lo.WarmRestarts(0.1, 9, 3, 0.001, 0.8), sgdr),
    "join_schedules": (
        lo.Join([lo.LinearDecay(0.0, 0.1, 300), lo.CosineAnnealing(0.1, 4000), 0.03], [300, 5000]),
        lambda o: o.join_schedules(
            [o.linear_schedule(0.0, 0.1, 300), o.cosine_decay_schedule(0.1, 4000), o.constant_schedule(0.03)],
            [300, 5000],
        ),
    ),
    "warmup": (
        lo.Warmup(lo.CosineAnnealing(0.1, 4000), 300),
        lambda o: o.join_schedules([o.linear_schedule(0.1 / 300, 0.1, 299), o.cosine_decay_schedule(0.1, 4000)], [300]),
    ),
}


@pytest.mark.parametrize("name", OPTAX)
def test_against_optax(optax_values, name):
    schedule, make = OPTAX[name]
    expected = optax_values(make)
    assert name == "constant" or expected.dtype == np.float64
    np.testing.assert_allclose(schedule(steps()), expected, rtol=1e-12, atol=1e-15)


# What is refused, and in which words


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: lo.Constant("fast"), TypeError, "Constant: lr must be a number, got 'fast'"),
        (lambda: lo.Constant(True), TypeError, "Constant: lr must be a number, got True"),
        (lambda: lo.Constant(lo.Constant(1)), TypeError, "Constant: lr must be a number, got Constant(lr=1)"),
        (lambda: lo.Constant(-0.1), ValueError, "Constant: lr must be 0 or more, got -0.1"),
        (lambda: lo.Constant(math.nan), ValueError, "Constant: lr must be finite, got nan"),
        (lambda: lo.StepDecay(math.inf, 3), ValueError, "StepDecay: lr must be finite, got inf"),
        (lambda: lo.StepDecay(0.1, 0), ValueError, "StepDecay: step_size must be positive, got 0"),
        (lambda: lo.StepDecay(0.1, 3, -1), ValueError, "StepDecay: gamma must be 0 or more, got -1"),
        (lambda: lo.MultiStep(0.1, 30), TypeError, "MultiStep: milestones must be a sequence, got 30"),
        (lambda: lo.MultiStep(0.1, "30"), TypeError, "MultiStep: milestones must be a sequence, got '30'"),
        (lambda: lo.MultiStep(0.1, [3, "x"]), TypeError, "MultiStep: milestones[1] must be a number, got 'x'"),
        (lambda: lo.MultiStep(0.1, [0, 3]), ValueError, "MultiStep: milestones[0] must be positive, got 0"),
        (lambda: lo.MultiStep(0.1, [5, 5]), ValueError, "MultiStep: milestones must increase, got [5, 5]"),
        (lambda: lo.ExponentialDecay(0.1, math.inf), ValueError, "ExponentialDecay: k must be finite, got inf"),
        (lambda: lo.CosineAnnealing(0.1, 0), ValueError, "CosineAnnealing: T_max must be positive, got 0"),
        (lambda: lo.CosineAnnealing(0.1, 9, -1), ValueError, "CosineAnnealing: eta_min must be 0 or more, got -1"),
        (lambda: lo.WarmRestarts(0.1, 0), ValueError, "WarmRestarts: T_0 must be positive, got 0"),
        (lambda: lo.WarmRestarts(0.1, 2.5), TypeError, "WarmRestarts: T_0 must be a whole number, got 2.5"),
        (lambda: lo.WarmRestarts(0.1, 2, 1.5), TypeError, "WarmRestarts: T_mult must be a whole number, got 1.5"),
        (lambda: lo.WarmRestarts(0.1, 2, 0), ValueError, "WarmRestarts: T_mult must be positive, got 0"),
        (lambda: lo.LinearDecay(0.1, 0, -5), ValueError, "LinearDecay: steps must be positive, got -5"),
        (lambda: lo.Polynomial(0.1, 0, 5, 0), ValueError, "Polynomial: power must be positive, got 0"),
        (lambda: lo.InverseTime(0.1, -1), ValueError, "InverseTime: k must be 0 or more, got -1"),
        (lambda: lo.InverseSqrt(0.1, 0), ValueError, "InverseSqrt: steps must be positive, got 0"),
        (lambda: lo.Cyclic(0.1, 1, 5, 0), ValueError, "Cyclic: down must be positive, got 0"),
        (lambda: lo.OneCycle(0.1, 9.5), TypeError, "OneCycle: steps must be a whole number, got 9.5"),
        (lambda: lo.OneCycle(0.1, 9, 1.5), ValueError, "OneCycle: pct_start must be at most 1, got 1.5"),
        (lambda: lo.OneCycle(0.1, 9, 0.3, 0), ValueError, "OneCycle: div_factor must be positive, got 0"),
        (lambda: lo.Warmup("x", 5), TypeError, "Warmup: schedule must be a schedule or a number, got 'x'"),
        (lambda: lo.Warmup(-1, 5), ValueError, "Warmup: schedule must be 0 or more, got -1"),
        (lambda: lo.Warmup(0.1, 0), ValueError, "Warmup: steps must be positive, got 0"),
        (lambda: lo.Join(0.1, []), TypeError, "Join: schedules must be a sequence, got 0.1"),
        (lambda: lo.Join([0.1, "x"], [5]), TypeError, "Join: schedules[1] must be a schedule or a number, got 'x'"),
        (lambda: lo.Join([0.1], [5]), ValueError, "Join: milestones must be one fewer than schedules, got 1 for 1"),
        (lambda: lo.Join([1, 2, 3], [5, 4]), ValueError, "Join: milestones must increase, got [5, 4]"),
        (lambda: lo.Product(None, 1), TypeError, "Product: first must be a schedule or a number, got None"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_error_sentences(make, error, text):
    with pytest.raises(error) as caught:
        make()
    assert str(caught.value) == text


def test_schedule_is_abstract():
    with pytest.raises(TypeError, match="abstract"):
        Schedule()


def test_arguments_of_numpy_types_become_plain_numbers():
    schedule = lo.StepDecay(lr=np.float32(0.5), step_size=np.int64(30), gamma=np.float64(0.25))
    assert repr(schedule) == "StepDecay(lr=0.5, step_size=30, gamma=0.25)"
    assert repr(lo.MultiStep(0.1, np.array([3, 5]))) == "MultiStep(lr=0.1, milestones=(3, 5))"


def test_a_list_changed_later_changes_nothing():
    milestones, parts = [3], [0.1, 0.2]
    schedule = lo.Join(parts, milestones)
    milestones[0], parts[0] = 100, 7.0
    assert [schedule(2), schedule(3)] == [0.1, 0.2]
