"""Optimizers: torch step by step, golden numbers, KKT conditions, resuming to the bit, and every refusal."""

from __future__ import annotations

import copy
import pickle
import re
import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import Lasso

import lossopt as lo
from lossopt import _arrays

from . import cases

each_row = pytest.mark.parametrize(
    ("cls", "row"), [pytest.param(cls, row, id=label) for label, cls, row in cases.walk("optimizers")]
)
sparse_row = pytest.mark.parametrize(
    ("cls", "row"), [pytest.param(cls, row, id=label) for label, cls, row in cases.walk("optimizers") if row.sparse]
)
each_dtype = pytest.mark.parametrize("dtype", [np.float64, np.float32])
SHAPES = {"weight": (3, 4), "bias": (3,), "1.weight": (5,), "1.bias": (1,)}


def arrays(dtype=np.float64, seed=0):
    """Arrays of a small model, by name."""
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(shape).astype(dtype) for name, shape in SHAPES.items()}


def walk(opt, params, steps, start=0, **more):
    """Steps on gradients that depend on nothing but their number; params may be any container of `arrays`."""
    for t in range(start, start + steps):
        grads = arrays(np.float64, seed=100 + t)
        if not isinstance(params, dict):
            grads = grads["weight"] if isinstance(params, np.ndarray) else type(params)(grads.values())
        opt.step(params, grads, **more)
    return params


def assert_same(one, other):
    """The same arrays in the same container."""
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        one, other = list(one.values()), list(other.values())
    for i, (x, y) in enumerate(zip(one, other, strict=True)):
        assert_array_equal(x, y, err_msg=f"array {i}")


# ---- torch


@pytest.fixture(autouse=True)
def in_double():
    """torch's NAdam keeps its product in the default type."""
    if "torch" not in sys.modules:
        yield
        return
    torch = sys.modules["torch"]
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def torch_twin(cls, row, dtype, **kwargs):
    """torch's optimizer of the same name over the same start, and its tensors."""
    torch = pytest.importorskip("torch")
    torch.set_default_dtype(torch.float64)
    if not row.torch:
        pytest.skip(f"torch has no {cls.__name__}")
    tensors = [torch.tensor(x, requires_grad=True) for x in arrays(dtype).values()]
    return torch, getattr(torch.optim, cls.__name__)(tensors, **{**row.kwargs, **kwargs}), tensors


def assert_near(params, tensors, dtype):
    tolerance = 1e-11 if dtype is np.float64 else 1e-5
    for w, tensor in zip(params.values(), tensors, strict=True):
        other = tensor.detach().numpy()
        assert w.dtype == other.dtype
        assert (np.abs(w - other) <= tolerance * np.maximum(1, np.abs(other))).all()


@each_row
@pytest.mark.parametrize(
    ("dtype", "clip"),
    [
        (np.float64, {}),
        (np.float32, {}),
        (np.float64, {"max_norm": 1.5}),
        (np.float64, {"clip_value": 0.4}),
        (np.float64, {"clip_norm": 1.0}),
    ],
    ids=["float64", "float32", "max_norm", "clip_value", "clip_norm"],
)
def test_two_hundred_steps_are_torchs(cls, row, dtype, clip):
    torch, judge, tensors = torch_twin(cls, row, dtype)
    opt, params = row.make(cls), arrays(dtype)
    for t in range(200):
        grads = arrays(dtype, seed=t + 1)
        for tensor, g in zip(tensors, grads.values(), strict=True):
            tensor.grad = torch.tensor(g)
        if "max_norm" in clip:
            norm = torch.nn.utils.clip_grad_norm_(tensors, clip["max_norm"])
        elif "clip_norm" in clip:
            norm = torch.linalg.norm(torch.stack([torch.nn.utils.clip_grad_norm_(x, 1.0) for x in tensors]))
        elif "clip_value" in clip:
            torch.nn.utils.clip_grad_value_(tensors, clip["clip_value"])
        judge.step()
        opt.step(params, grads, **clip)
        if "max_norm" in clip or "clip_norm" in clip:
            assert opt.grad_norm == pytest.approx(norm.item(), rel=1e-6)
    assert opt.steps == 200
    assert_near(params, tensors, dtype)


# means that fall fast, but not by half, which rounding does not hold; and their states: sums and largest ones stay
HASTY = {"betas": (0.6, 0.6), "alpha": 0.6, "rho": 0.6, "momentum": 0.6}
MEANS = {"momentum_buffer", "square_avg", "grad_avg", "acc_delta", "exp_avg", "exp_avg_sq"}


@each_row
@each_dtype
def test_means_end_at_zero_where_gradients_do(cls, row, dtype):
    """Rounding would hold them at the smallest number, and operations on such numbers take some processors long."""
    opt, params = row.make(cls), arrays(dtype)
    for name in HASTY.keys() & vars(opt).keys():
        # none stays none
        setattr(opt, name, HASTY[name] if getattr(opt, name) else 0)
    if "weight_decay" in vars(opt):
        opt.weight_decay = 0
    walk(opt, params, 1)
    still = {name: np.zeros_like(x) for name, x in params.items()}
    for _ in range(1600):
        opt.step(params, still)
    for states in opt.state_dict()["state"].values():
        for name in MEANS & states.keys():
            assert (states[name] == 0).all(), name


@each_row
def test_schedules_of_any_hyperparameter_are_read_at_the_updates_done(cls, row):
    torch, judge, tensors = torch_twin(cls, row, np.float64)
    params = arrays()
    fixed = ("dampening", "initial_accumulator_value")
    numbers = {name: x for name, x in row.kwargs.items() if isinstance(x, float) and name not in fixed}
    schedules = {name: x * lo.InverseTime(lr=1, k=0.1) for name, x in numbers.items()}
    if "betas" in judge.defaults:
        schedules["betas"] = (lo.LinearDecay(0.95, 0.5, steps=40), lo.CosineAnnealing(0.999, T_max=60, eta_min=0.9))
    opt = row.make(cls, **schedules)
    for t in range(100):
        now = {name: x(t) if isinstance(x, lo.Schedule) else tuple(b(t) for b in x) for name, x in schedules.items()}
        judge.param_groups[0].update(now)
        grads = arrays(seed=t + 1)
        for tensor, g in zip(tensors, grads.values(), strict=True):
            tensor.grad = torch.tensor(g)
        judge.step()
        opt.step(params, grads)
    assert_near(params, tensors, np.float64)


@each_row
def test_a_constant_schedule_is_the_number(cls, row):
    constants = {
        name: x
        if name in ("initial_accumulator_value", "lr_power")
        else lo.Constant(x)
        if isinstance(x, float)
        else tuple(map(lo.Constant, x))
        if isinstance(x, tuple)
        else x
        for name, x in row.kwargs.items()
    }
    assert_same(walk(row.make(cls, **constants), arrays(), 20), walk(row.make(cls), arrays(), 20))


# ---- golden numbers


@pytest.mark.parametrize(
    ("opt", "gradients", "expected"),
    [
        # lr stands outside the velocity
        (lo.SGD(lr=lo.StepDecay(0.1, step_size=1), momentum=0.9), [1, 1], [-0.1, -0.119]),
        # the first velocity is the gradient, undamped
        (lo.SGD(lr=1, momentum=0.9, dampening=0.5), [1, 1], [-1, -2.4]),
        # Nesterov looks ahead: g + 0.9 v
        (lo.SGD(lr=0.1, momentum=0.9, nesterov=True), [1, 1], [-0.19, -0.461]),
        (lo.SGD(lr=0.1, weight_decay=0.5), [0, 1], [0, -0.1]),
        # eps is added to the corrected root
        (lo.Adam(lr=1), [1e-9], [-1 / 11]),
        # Keras's and optax's, with 0.1 to begin with and eps inside the root, moves by 0.98773
        (lo.Adagrad(lr=1), [2], [-1]),
        (lo.Adagrad(lr=1, initial_accumulator_value=0.1, eps=1e-7), [2], [-0.98773]),
        # with the eps of Keras and scikit-learn, before the correction, it would be 0.0031523
        (lo.Adam(lr=1, eps=1e-8), [1e-9], [-0.090909091]),
        # the first step is lr, however large or small the gradient
        (lo.Adam(lr=0.1), [1e6], [-0.1]),
        (lo.Adam(lr=0.1), [-1e-3], [0.099999]),
    ],
    ids=repr,
)
@each_dtype
def test_golden_numbers(opt, gradients, expected, dtype):
    opt, w = copy.deepcopy(opt), np.zeros(1, dtype)
    for g, after in zip(gradients, expected, strict=True):
        opt.step(w, np.array([g], dtype))
        assert_allclose(w, after, rtol=1e-6)


def test_decoupled_decay_comes_before_the_step_and_never_meets_the_moments():
    w, other = np.ones(1), np.ones(1)
    lo.AdamW(lr=0.1, weight_decay=0.5).step(w, [0.0])
    assert_allclose(w, 0.95)
    lo.Adam(lr=0.1, weight_decay=0.5).step(other, [0.0])
    assert_allclose(other, 0.9)


def test_bias_corrections_are_made_in_double():
    w = np.zeros(1, np.float32)
    opt = lo.Adam(lr=1, betas=(0.0, 0.999), eps=0)
    for _ in range(3):  # 1 - 0.999f would be off by 1.3e-5
        opt.step(w, np.array([1e-3], np.float32))
    assert_allclose(w, -3, rtol=3e-7)


def test_moments_that_underflow_leave_the_rest_to_eps():
    w = np.zeros(2, np.float32)
    lo.Adam(lr=1).step(w, np.array([1e-23, 0], np.float32))
    assert_allclose(w, [-1e-15, 0], rtol=1e-6)
    assert np.float32(1e-45) * np.float32(1) != 0


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("cls", [lo.Adam, lo.AdamW])
def test_no_denominator_is_zero(cls, dtype):
    """torch's is, with eps = 0: 0/0 where a coordinate never had a gradient."""
    w = np.array([1.0, 2.0], dtype)
    cls(lr=0.5, eps=0.0, weight_decay=0.0).step(w, np.array([0.0, 3.0], dtype), penalty=lo.L1(0.0))
    assert_allclose(w, [1.0, 1.5], rtol=1e-6)


@each_row
@pytest.mark.parametrize("form", [lambda x: x, lambda x: [x], lambda x: {"weight": x}])
def test_gradients_that_are_right_as_they_are_are_not_looked_at_one_by_one(cls, row, form, monkeypatch):
    rng = np.random.default_rng(0)
    w, opt, expected = rng.standard_normal(20), row.make(cls), row.make(cls)
    same, g = w.copy(), rng.standard_normal(20)
    for one, params, grads in ((opt, w, g), (expected, same, g.astype(">f8"))):
        one.step(form(params), form(grads))
    monkeypatch.setattr(_arrays, "floats", None)
    opt.step(form(w), form(g))
    monkeypatch.undo()
    expected.step(form(same), form(g.astype(">f8")))
    assert_array_equal(w, same)


@pytest.mark.parametrize("kind", ["V0", "S0", "V8"])
def test_gradients_without_numbers_are_refused_in_a_sentence(kind):
    """Items may have no size: nothing may be divided by it."""
    w = np.ones(3)
    for grads in (np.zeros(3, kind), [np.zeros(3, kind)]):
        with pytest.raises(TypeError, match="grads must hold real numbers"):
            lo.SGD(lr=1.0).step(w if isinstance(grads, np.ndarray) else [w], grads)
    assert_array_equal(w, 1)


def test_norms_are_clipped_as_a_whole():
    w, b, opt = np.zeros(1), np.zeros(1), lo.SGD(lr=1)
    assert opt.grad_norm is None
    opt.step([w, b], [[3.0], [4.0]], max_norm=1)
    assert opt.grad_norm == 5
    assert_allclose([w[0], b[0]], [-3 / 5.000001, -4 / 5.000001], rtol=1e-15)
    opt.step([w, b], [[0.3], [0.4]], max_norm=1)  # a shorter one is left as it is
    assert_allclose([w[0], b[0]], [-3 / 5.000001 - 0.3, -4 / 5.000001 - 0.4], rtol=1e-15)
    for bad in (np.inf, np.nan):
        opt.step([w, b], [[bad], [4.0]], max_norm=1)
        assert_array_equal(opt.grad_norm, bad)
        assert np.isnan(w[0])
        w[:] = 0
    assert np.isnan(b[0])


@each_dtype
@each_row
def test_nan_stays_where_it_is(cls, row, dtype):
    w, other = np.zeros(40, dtype), np.zeros(40, dtype)
    one, two = row.make(cls), row.make(cls)
    gradient = np.linspace(-1, 1, 40).astype(dtype)
    spoilt = np.where(np.arange(40) == 7, np.nan, gradient)
    for _ in range(3):
        one.step(w, spoilt, penalty=lo.L1(0.01) if row.sparse else None)
        two.step(other, gradient, penalty=lo.L1(0.01) if row.sparse else None)
    assert_array_equal(np.isnan(w), (np.arange(40) == 7) | row.whole)
    if not row.whole:
        assert_array_equal(np.delete(w, 7), np.delete(other, 7))


# ---- containers


@each_dtype
@each_row
def test_containers_are_only_containers(cls, row, dtype):
    expected = walk(row.make(cls), arrays(dtype), 5)
    for container in (list, tuple):
        assert_same(walk(row.make(cls), container(arrays(dtype).values()), 5), container(expected.values()))
    single = walk(row.make(cls), arrays(dtype)["weight"], 5)
    assert_array_equal(single, expected["weight"])


@each_row
def test_many_arrays_in_one_call_are_the_same_as_one_by_one(cls, row):
    rng = np.random.default_rng(0)
    sizes = [*rng.integers(0, 50, 198), 0, 20_000]
    starts, grads = ([rng.standard_normal(n) for n in sizes] for _ in range(2))
    together, opt = [w.copy() for w in starts], row.make(cls)
    for _ in range(3):
        opt.step(together, grads, penalty=lo.L2(0.1), clip_value=1)
    for start, gradient, moved in zip(starts, grads, together, strict=True):
        alone = row.make(cls)
        for _ in range(3):
            alone.step(start, gradient, penalty=lo.L2(0.1), clip_value=1)
        assert_array_equal(start, moved)


@each_row
def test_arrays_of_any_rank_and_none_at_all(cls, row):
    point, flat, deep, empty = np.array(1.0), np.ones(1), np.ones((1, 1, 1)), np.ones((0, 3))
    opt = row.make(cls)
    for _ in range(3):
        opt.step([point, flat, deep, empty], [np.array(0.5), [0.5], [[[0.5]]], np.ones((0, 3))])
    assert point == flat[0] == deep[0, 0, 0] != 1
    for nothing in ([], (), {}):
        opt = row.make(cls)
        opt.step(nothing, nothing, max_norm=1)
        assert (opt.steps, opt.grad_norm) == (1, 0.0)


@each_row
def test_gradients_are_read_in_any_form_and_never_written(cls, row):
    expected, gradient = np.ones(6), np.linspace(-1, 1, 6)
    frozen = gradient.copy()
    frozen.flags.writeable = False
    opt = row.make(cls)
    for _ in range(3):
        opt.step(expected, gradient, clip_value=0.5, max_norm=0.7)
    strided, swapped, wide = np.repeat(gradient, 2)[::2], gradient.astype(">f8"), gradient.astype(np.longdouble)
    for same in (gradient.tolist(), strided, swapped, wide, frozen):
        w, opt, before = np.ones(6), row.make(cls), copy.copy(same)
        for _ in range(3):
            opt.step(w, same, clip_value=0.5, max_norm=0.7)
        assert_array_equal(w, expected)
        assert_array_equal(same, before)


def test_gradients_of_a_dict_are_found_by_name():
    params, grads = arrays(), arrays(seed=1)
    backwards = {name: grads[name] for name in reversed(grads)}
    expected = arrays()
    lo.Adam().step(expected, grads)
    lo.Adam().step(params, backwards)
    assert_same(params, expected)


# ---- penalties


@pytest.mark.parametrize("cls", [lo.SGD, lo.Adam])
@each_dtype
def test_l2_is_half_a_weight_decay_where_decay_joins_the_gradient(cls, dtype):
    start = arrays(dtype)["weight"]
    expected = walk(cls(lr=0.1, weight_decay=0.5), start.copy(), 20)
    assert_array_equal(walk(cls(lr=0.1), start, 20, penalty=lo.L2(0.25)), expected)


def test_l2_in_adam_is_not_the_decay_of_adamw():
    got = walk(lo.AdamW(lr=0.1, weight_decay=0), arrays()["weight"], 20, penalty=lo.L2(0.25))
    assert np.abs(got - walk(lo.AdamW(lr=0.1, weight_decay=0.5), arrays()["weight"], 20)).max() > 0.01


@sparse_row
def test_biases_in_a_dict_are_not_penalized(cls, row):
    penalty = lo.ElasticNet(0.2, l1_ratio=0.5)
    names = {"weight": 1, "bias": 0, "0.bias": 0, "a.b.bias": 0, "bias.weight": 1, "rebias": 1, "biases": 1, "Bias": 1}
    start, gradient = np.linspace(-1, 1, 9), np.linspace(0.5, -1, 9)
    params, plain, pulled = {name: start.copy() for name in names}, start.copy(), start.copy()
    listed, opts = [start.copy(), start.copy()], [row.make(cls) for _ in range(4)]
    for _ in range(4):
        opts[0].step(params, dict.fromkeys(names, gradient), penalty=penalty)
        opts[1].step(plain, gradient)
        opts[2].step(pulled, gradient, penalty=penalty)
        opts[3].step(listed, [gradient, gradient], penalty=penalty)
    assert not np.array_equal(plain, pulled)
    for name, penalized in names.items():
        assert_array_equal(params[name], pulled if penalized else plain, err_msg=name)
    for w in listed:
        assert_array_equal(w, pulled)


def test_what_is_penalized_is_asked_at_every_step():
    a, b, opt = np.ones(1), np.ones(1), lo.SGD(lr=1)
    opt.step({"bias": a, "weight": b}, {"bias": [0.0], "weight": [0.0]}, penalty=lo.L1(0.25))
    opt.step([a, b], [[0.0], [0.0]], penalty=lo.L1(0.25))
    assert (a[0], b[0]) == (0.75, 0.5)


def test_whose_gradient_is_whose_is_asked_at_every_step():
    a, b, opt = np.zeros(1), np.zeros(1), lo.SGD(lr=1)
    opt.step({"x": a, "y": b}, {"x": [1.0], "y": [2.0]})
    opt.step({"y": a, "x": b}, {"x": [10.0], "y": [20.0]})
    assert (a[0], b[0]) == (-21, -12)


@pytest.fixture(scope="module")
def lasso():
    """X, y, the strength, and scikit-learn's solution of mean (X w - y)**2 + l1 * sum |w|."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 8))
    y = X @ [2, -1, 0, 0, 0.5, 0, 0, 0.05] + 0.3 * rng.standard_normal(60)
    l1 = 0.3
    return X, y, l1, Lasso(alpha=l1 / 2, fit_intercept=False, tol=1e-12, max_iter=10**5).fit(X, y).coef_


@sparse_row
def test_fixed_points_satisfy_the_optimality_conditions_of_l1(cls, row, lasso):
    X, y, l1, solution = lasso
    w, opt = np.zeros(8), row.make(cls)
    for _ in range(4000):
        opt.step(w, 2 * X.T @ (X @ w - y) / len(y), penalty=lo.L1(l1))
    slope = 2 * X.T @ (X @ w - y) / len(y)
    zero = w == 0
    assert zero.sum() >= 3
    assert not np.signbit(w[zero]).any()
    assert (np.abs(slope[zero]) <= l1).all()
    rest = (slope[~zero] + l1 * np.sign(w[~zero])) * np.sign(w[~zero])
    if getattr(opt, "weight_decay", 0):  # which pulls the same way
        assert (rest < 0).all()
    else:
        assert_allclose(rest, 0, atol=1e-6)
        assert_allclose(w, solution, atol=1e-6)


@each_dtype
@sparse_row
def test_an_l1_step_leaves_no_negative_zero(cls, row, dtype):
    w = np.array([-0.0, 0.0, -1e-6, 1e-6, 1, -1], dtype)
    opt = row.make(cls)
    for _ in range(2):
        opt.step(w, np.array([0, 0, 0.01, -0.01, -0.5, 0.5], dtype), penalty=lo.L1(0.1))
    assert (w[:4] == 0).all()
    assert not np.signbit(w[:4]).any()
    assert w[4] > 0 > w[5]


# ---- state

CONTAINERS = {"dict": dict, "list": lambda x: list(x.values()), "array": lambda x: x["weight"]}
RESUMED = {
    "state_dict": lambda opt, make: loaded(make(), opt.state_dict()),
    "over another run": lambda opt, make: loaded(walked(make()), opt.state_dict()),
    "state_dict in a pickle": lambda opt, make: loaded(make(), pickle.loads(pickle.dumps(opt.state_dict()))),
    "pickle": lambda opt, make: pickle.loads(pickle.dumps(opt)),
    "deepcopy": lambda opt, make: copy.deepcopy(opt),
    "itself": lambda opt, make: opt,
}


def loaded(opt, state):
    opt.load_state_dict(state)
    return opt


def walked(opt):
    walk(opt, np.ones((3, 4)), 2)
    return opt


@each_dtype
@each_row
@pytest.mark.parametrize("way", RESUMED)
@pytest.mark.parametrize("container", CONTAINERS)
def test_resumed_runs_go_on_to_the_bit(cls, row, dtype, way, container):
    more = {"penalty": lo.L2(0.05), "max_norm": 2.0}
    make, contain = (lambda: row.make(cls, lr=lo.CosineAnnealing(0.1, T_max=15))), CONTAINERS[container]
    expected = walk(make(), contain(arrays(dtype)), 12, **more)
    opt = make()
    params = walk(opt, contain(arrays(dtype)), 7, **more)
    moved, again = copy.deepcopy(params), RESUMED[way](opt, make)
    assert again.steps == 7
    walk(again, moved, 5, start=7, **more)
    assert_same(moved, expected)
    if again is not opt:  # and the first run is as it was
        assert_same(walk(opt, params, 5, start=7, **more), expected)


@each_row
def test_state_has_torchs_names_and_is_a_copy(cls, row):
    _, judge, tensors = torch_twin(cls, row, np.float64)
    for tensor in tensors:
        tensor.grad = tensor.detach()
    judge.step()
    # NAdam's product is made again of its schedules
    names = {
        name for name, x in judge.state[tensors[0]].items() if name not in ("step", "mu_product") and x is not None
    }
    opt, params = row.make(cls), arrays()
    assert opt.state_dict() == {"steps": 0, "lr_scale": 1.0, "state": {}}
    walk(opt, params, 3)
    state = opt.state_dict()
    assert state["steps"] == 3
    assert list(state["state"]) == list(SHAPES)
    for name, kinds in state["state"].items():
        assert set(kinds) == names
        for x in kinds.values():
            assert x.shape == SHAPES[name]
            assert x.any()
    again, moved = loaded(row.make(cls), state), copy.deepcopy(params)
    for copied in (state, opt.state_dict(), again.state_dict()):
        for x in (x for kinds in copied["state"].values() for x in kinds.values()):
            x[...] = np.nan
    expected = walk(row.make(cls), arrays(), 6)
    assert_same(walk(opt, params, 3, start=3), expected)
    assert_same(walk(again, moved, 3, start=3), expected)


@each_row
def test_reset_makes_a_new_start(cls, row):
    opt = row.make(cls)
    walk(opt, arrays(), 5, max_norm=1.0)
    opt.reset()
    assert (opt.steps, opt.grad_norm, opt.state_dict()) == (0, None, {"steps": 0, "lr_scale": 1.0, "state": {}})
    assert_same(walk(opt, arrays(), 5), walk(row.make(cls), arrays(), 5))
    opt.reset()
    walk(opt, np.ones((3, 4)), 2)  # and other shapes


@pytest.mark.parametrize(
    ("state", "text"),
    [
        ({}, "state_dict must have the keys 'steps' and 'state', got []"),
        ({"steps": 1}, "state_dict must have the keys 'steps' and 'state', got ['steps']"),
        ({"steps": 1, "state": {}, "x": 0}, "must have the keys 'steps' and 'state', got ['state', 'steps', 'x']"),
        (
            {"steps": 1, "state": {"weight": {"momentum_buffer": np.ones((3, 4))}}},
            "state_dict: Adam keeps ['exp_avg', 'exp_avg_sq'], got ['momentum_buffer'] for 'weight'",
        ),
        ({"steps": "many", "state": {}}, "many"),
        ({"steps": 1, "lr_scale": -1, "state": {}}, "lr_scale must be finite and not negative, got -1"),
    ],
    ids=lambda x: "",
)
def test_states_of_another_kind_are_refused_and_the_own_is_kept(state, text):
    opt, params = lo.Adam(lr=0.1), arrays()
    walk(opt, params, 3)
    with pytest.raises(ValueError, match=re.escape(text)):
        opt.load_state_dict(state)
    assert_same(walk(opt, params, 3, start=3), walk(lo.Adam(lr=0.1), arrays(), 6))


def test_states_of_other_shapes_are_refused_at_the_step():
    opt = lo.Adam(lr=0.1)
    walk(opt, arrays(), 2)
    for other in ({"weight": np.ones((3, 4))}, list(arrays().values()), {**arrays(), "bias": np.ones(4)}):
        before = copy.deepcopy(other)
        with pytest.raises(ValueError, match=r"params must have the names and shapes of the optimizer's state, \{'w"):
            opt.step(other, copy.deepcopy(other))
        assert_same(other, before)
    assert opt.steps == 2


def test_a_refused_step_leaves_no_trace():
    opt, w = lo.Adam(lr=0.1), np.ones(4)
    with pytest.raises(ValueError, match=re.escape("the gradient of params must have its shape (3,)")):
        opt.step(np.ones(3), np.ones(2))
    assert opt.state_dict() == {"steps": 0, "lr_scale": 1.0, "state": {}}
    opt.step(w, np.ones(4))
    assert_allclose(w, 0.9)


# ---- refusals

PLAIN = "must be a float64 or float32 array in native byte order, got"
IN_PLACE = "params must be an array that can be written in place, got"


def base():
    return np.arange(1.0, 13.0)


def readonly():
    x = base()
    x.flags.writeable = False
    return x


BAD_ARRAYS = {
    "the parameter itself": (lambda b: (b, b), ValueError, "the gradient of params overlaps params"),
    "a view of it": (lambda b: (b, b[:]), ValueError, "the gradient of params overlaps params"),
    "overlapping views": (lambda b: (b[:8], b[4:]), ValueError, "the gradient of params overlaps params"),
    "to be converted": (lambda b: (b[:4], b.view("f4")[4:8]), ValueError, "the gradient of params overlaps params"),
    "on another": (
        lambda b: ([b[:3], b[3:6], b[6:9]], [np.ones(3), b[7:10], np.ones(3)]),
        ValueError,
        "the gradient of params[1] overlaps params[2]",
    ),
    "on another behind an empty one": (
        lambda b: ([b[4:][:0], b[5:8]], [np.ones(0), b[3:6]]),
        ValueError,
        "the gradient of params[1] overlaps params[1]",
    ),
    "the same twice": (
        lambda b: ([b, b], [np.ones(12), np.ones(12)]),
        ValueError,
        "params[0] overlaps params[1]: each parameter needs memory of its own",
    ),
    "overlapping parameters": (
        lambda b: ({"a": b[6:], "w": b[:4], "z": b[3:6]}, {"a": np.ones(6), "w": np.ones(4), "z": np.ones(3)}),
        ValueError,
        "params['w'] overlaps params['z']: each parameter needs memory of its own",
    ),
    "strided": (lambda b: (b[::2], np.ones(6)), ValueError, "params must be C-contiguous, got a strided float64 array"),
    "fortran": (lambda b: (b.reshape(3, 4).T, np.ones((4, 3))), ValueError, "params must be C-contiguous, got a"),
    "read-only": (lambda b: (readonly(), b), ValueError, "params must be writable, got a read-only float64 array"),
    "big-endian": (lambda b: (b.astype(">f8"), b), TypeError, f"params {PLAIN} >f8 array of shape (12,)"),
    "int": (lambda b: ({"w": b.astype(int)}, {"w": b}), TypeError, f"params['w'] {PLAIN} int64 array of shape (12,)"),
    "float16": (lambda b: ([b.astype("f2")], [b]), TypeError, f"params[0] {PLAIN} float16 array of shape"),
    "complex": (lambda b: (b * 1j, b), TypeError, f"params {PLAIN} complex128 array of shape (12,)"),
    "a number": (lambda b: (1.0, 1.0), TypeError, f"{IN_PLACE} float 1.0"),
    "numbers": (lambda b: ([1.0, 2.0], [1.0, 2.0]), TypeError, f"{IN_PLACE} list [1.0, 2.0]"),
    "nothing": (lambda b: (None, None), TypeError, f"{IN_PLACE} NoneType None"),
    "mixed": (
        lambda b: ([b, b.astype("f4")], [np.ones(12), np.ones(12)]),
        TypeError,
        "params[1] must be float64 as the other params are, got float32",
    ),
    "short gradient": (
        lambda b: ({"w": b}, {"w": np.ones(11)}),
        ValueError,
        "the gradient of params['w'] must have its shape (12,), got float64 array of shape (11,)",
    ),
    "column": (
        lambda b: (b, np.ones((12, 1))),
        ValueError,
        "the gradient of params must have its shape (12,), got float64 array of shape (12, 1)",
    ),
    "complex gradient": (lambda b: (b, np.ones(12) * 1j), TypeError, "grads must hold real numbers, got complex128"),
    "no gradient": (lambda b: (b, None), TypeError, "grads must hold real numbers, got NoneType None"),
    "too few": (lambda b: ([b[:6], b[6:]], [np.ones(6)]), ValueError, "grads must hold 2 arrays as params does, got 1"),
    "too many": (lambda b: (b, [np.ones(12)] * 2), ValueError, "grads must hold 1 arrays as params does, got 2"),
    "other names": (
        lambda b: ({"w": b}, {"v": np.ones(12)}),
        ValueError,
        "grads must have the keys of params; 'v' is in only one of them",
    ),
}


@pytest.mark.parametrize("bad", BAD_ARRAYS)
@pytest.mark.parametrize("opt", [lo.SGD(lr=0.1), lo.SGD(lr=0.1, momentum=0.9), lo.Adam()], ids=repr)
def test_bad_arrays_are_refused_and_nothing_is_written(opt, bad):
    make, error, text = BAD_ARRAYS[bad]
    opt, memory = copy.deepcopy(opt), base()
    params, grads = make(memory)
    before = repr(params), repr(grads)
    with pytest.raises(error, match=re.escape(text)):
        opt.step(params, grads, penalty=lo.L1(0.1), max_norm=1.0)
    assert (repr(params), repr(grads)) == before
    assert_array_equal(memory, base())
    assert (opt.steps, opt.grad_norm) == (0, None)


@pytest.mark.parametrize(
    ("more", "error", "text"),
    [
        ({"penalty": 0.1}, TypeError, "penalty must be a Penalty, got 0.1"),
        ({"penalty": lo.L1}, TypeError, "penalty must be a Penalty, got <class"),
        ({"max_norm": 0}, ValueError, "max_norm must be positive, got 0"),
        ({"max_norm": -1.0}, ValueError, "max_norm must be positive, got -1.0"),
        ({"max_norm": np.nan}, ValueError, "max_norm must be positive, got nan"),
        ({"clip_value": 0}, ValueError, "clip_value must be positive, got 0"),
        ({"clip_value": np.nan}, ValueError, "clip_value must be positive, got nan"),
    ],
    ids=str,
)
def test_bad_arguments_of_a_step_are_named(more, error, text):
    w, opt = np.ones(3), lo.Adam()
    with pytest.raises(error, match=re.escape(text)):
        opt.step(w, np.ones(3), **more)
    assert_array_equal(w, 1)
    assert opt.steps == 0


def test_an_array_that_became_read_only_is_not_written():
    w, opt = np.ones(3), lo.SGD(lr=0.5)
    opt.step(w, np.ones(3))
    w.flags.writeable = False
    with pytest.raises(ValueError, match="params must be writable, got a read-only float64 array"):
        opt.step(w, np.ones(3))
    assert_array_equal(w, 0.5)


@pytest.mark.parametrize("cls", lo.OPTIMIZERS.values())
@pytest.mark.parametrize(
    ("lr", "error", "text"),
    [
        (-0.1, ValueError, "lr must not be negative, got -0.1"),
        (np.nan, ValueError, "lr must not be negative, got nan"),
        (np.inf, ValueError, "lr must not be negative, got inf"),
        (True, TypeError, "lr must be a number or a schedule, got True"),
        ("0.1", TypeError, "lr must be a number or a schedule, got '0.1'"),
        (None, TypeError, "lr must be a number or a schedule, got None"),
        (np.ones(2), TypeError, "lr must be a number or a schedule, got array([1., 1.])"),
    ],
    ids=str,
)
def test_bad_rates_are_named(cls, lr, error, text):
    with pytest.raises(error, match=re.escape(f"{cls.__name__}: {text}")):
        cls(lr=lr)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: lo.SGD(momentum=1.0), "SGD: momentum must lie in [0, 1), got 1.0"),
        (lambda: lo.SGD(momentum=-0.1), "SGD: momentum must lie in [0, 1), got -0.1"),
        (lambda: lo.SGD(momentum=0.9, dampening=1.0), "SGD: dampening must lie in [0, 1), got 1.0"),
        (lambda: lo.SGD(weight_decay=-1), "SGD: weight_decay must not be negative, got -1"),
        (lambda: lo.SGD(nesterov=True), "SGD: nesterov needs a momentum and no dampening"),
        (lambda: lo.SGD(momentum=0.9, dampening=0.1, nesterov=True), "SGD: nesterov needs a momentum and no dampening"),
        (lambda: lo.Adam(betas=(1.0, 0.9)), "Adam: betas[0] must lie in [0, 1), got 1.0"),
        (lambda: lo.Adam(betas=(0.9, 1.0)), "Adam: betas[1] must lie in [0, 1), got 1.0"),
        (lambda: lo.AdamW(betas=(0.9, -0.1)), "AdamW: betas[1] must lie in [0, 1), got -0.1"),
        (lambda: lo.AdamW(betas=(0.9,)), "AdamW: betas must be two numbers, got (0.9,)"),
        (lambda: lo.Adam(betas=0.9), "Adam: betas must be two numbers, got 0.9"),
        (lambda: lo.Adam(eps=-1e-8), "Adam: eps must not be negative, got -1e-08"),
        (lambda: lo.AdamW(weight_decay=np.nan), "AdamW: weight_decay must not be negative, got nan"),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_bad_hyperparameters_are_named(make, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        make()


def test_an_attribute_changed_after_construction_is_no_crash():
    w, g, opt = np.ones(3), np.ones(3), lo.SGD(lr=0.1, momentum=0.9)
    opt.momentum = 0
    opt.step(w, g)
    opt.step(w, g)
    np.testing.assert_allclose(w, 0.8)


@pytest.mark.parametrize(
    ("make", "value"), [(lambda s: lo.SGD(momentum=s), 1.0), (lambda s: lo.Adam(betas=(0.9, s)), 1.5)]
)
def test_what_a_schedule_says_is_checked(make, value):
    w = np.ones(2)
    with pytest.raises(ValueError, match=rf"Constant\(lr={value}\) must stay in \[0, 1\) as a hyperparameter"):
        make(lo.Constant(value)).step(w, np.ones(2))
    assert (w == 1).all()


def test_state_arrays_of_uneven_shapes_are_refused():
    opt = lo.Adam()
    opt.load_state_dict({"steps": 1, "state": {"params": {"exp_avg": np.zeros(3), "exp_avg_sq": np.zeros(())}}})
    with pytest.raises(ValueError, match="the state of 'params' must have one shape"):
        opt.step(np.zeros(3), np.zeros(3))


# ---- judges where torch has no such optimizer


def optax_steps(make, steps=200):
    """Parameters after so many steps of optax on the gradients of `walk`, in float64."""
    optax, jax = pytest.importorskip("optax"), pytest.importorskip("jax")
    with jax.enable_x64(True):
        params = {name: jax.numpy.asarray(x) for name, x in arrays().items()}
        chain = make(optax)
        state = chain.init(params)
        for t in range(steps):
            updates, state = chain.update(arrays(seed=100 + t), state, params)
            params = optax.apply_updates(params, updates)
        return {name: np.asarray(x) for name, x in params.items()}


@pytest.mark.parametrize(
    ("opt", "make"),
    [
        (lo.Lion(0.01), lambda o: o.lion(0.01, 0.9, 0.99, weight_decay=0.0)),
        (lo.Lion(0.01, (0.8, 0.95), 0.1), lambda o: o.lion(0.01, 0.8, 0.95, weight_decay=0.1)),
        (lo.LAMB(0.01), lambda o: o.lamb(0.01, 0.9, 0.999, eps=1e-6, weight_decay=0.0)),
        (lo.LAMB(0.01, (0.8, 0.95), 1e-3, 0.1), lambda o: o.lamb(0.01, 0.8, 0.95, eps=1e-3, weight_decay=0.1)),
        (lo.Adam(0.01), lambda o: o.adam(0.01)),
        (lo.NAdam(0.01, momentum_decay=0), None),
        (lo.Adamax(0.01), None),
    ],
    ids=lambda x: repr(x) if isinstance(x, lo.Optimizer) else "",
)
def test_two_hundred_steps_are_optaxs(opt, make):
    params = walk(opt, arrays(), 200)
    if make is None:  # torch judges them; here that they move at all
        assert all(
            np.isfinite(x).all() and (x != y).all() for x, y in zip(params.values(), arrays().values(), strict=True)
        )
        return
    for name, x in optax_steps(make).items():
        assert_allclose(params[name], x, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(
    "arguments",
    [{}, {"l1": 0.5}, {"lr": 0.3, "lr_power": -0.7, "l1": 0.1, "l2": 0.2, "beta": 1.0}],
    ids=repr,
)
def test_ftrl_is_the_papers_algorithm(arguments):
    """McMahan et al. 2013, algorithm 1, a coordinate at a time in plain Python."""
    lr, power, l1, l2, beta = (
        arguments.get(name, x) for name, x in (("lr", 0.1), ("lr_power", -0.5), ("l1", 0), ("l2", 0), ("beta", 0))
    )
    rng = np.random.default_rng(0)
    start, gradients = rng.standard_normal(5), rng.standard_normal((100, 5))
    gradients[:, 3] = 0  # never a gradient
    w, opt = start.copy(), lo.FTRL(**arguments)
    for g in gradients:
        opt.step(w, g)
    for i in range(5):
        # the start is what z stands for at first
        x, n = float(start[i]), 0.0
        z = -(beta / lr + 2 * l2) * x
        for g in gradients[:, i].tolist():
            sigma = ((n + g * g) ** -power - n**-power) / lr
            z, n = z + g - sigma * x, n + g * g
            if n:
                x = 0.0 if abs(z) <= l1 else -(z - np.sign(z) * l1) / ((beta + n**-power) / lr + 2 * l2)
        assert w[i] == pytest.approx(x, rel=1e-12, abs=1e-14)
    assert w[3] == start[3]


def test_more_golden_numbers():
    for opt, g, expected in (
        (lo.RMSprop(lr=0.1, alpha=0.99), 2.0, -0.99999995),
        (lo.Adagrad(lr=1.0), 2.0, -1.0),
        (lo.Adam(lr=1.0, eps=1e-8), 1e-9, -1 / 11),
    ):
        w = np.zeros(1)
        opt.step(w, np.array([g]))
        assert w[0] == pytest.approx(expected, rel=1e-6 if g == 1e-9 else 1e-9)


def test_a_variance_that_rounding_makes_negative_is_none():
    w, opt = np.zeros(1, np.float32), lo.RMSprop(lr=0.1, eps=1.0, centered=True)
    for _ in range(3000):
        opt.step(w, np.full(1, 0.1, np.float32))
    assert np.isfinite(w).all()
    assert w[0] == pytest.approx(-0.1 * 3000 * 0.1, rel=0.1)


@pytest.mark.parametrize(
    "penalty", [lo.L1(0.1), lo.ElasticNet(0.1, 0.5), lo.GroupL2(0.1, [0, 0]), lo.NonNegative()], ids=repr
)
@pytest.mark.parametrize("opt", [lo.Lion(), lo.LAMB()], ids=repr)
def test_a_step_without_a_metric_refuses_a_kink(opt, penalty):
    w, opt = np.ones(2), copy.deepcopy(opt)
    with pytest.raises(ValueError, match=f"{type(opt).__name__}: penalty must have no L1 part, group or bound"):
        opt.step(w, np.ones(2), penalty)
    assert_array_equal(w, 1)
    assert opt.steps == 0
    trainer = lo.Trainer(lo.Linear(2), lo.MSE(), opt, penalty=penalty, engine="compiled")
    with pytest.raises(ValueError, match="penalty must have no L1 part"):
        trainer.fit(np.ones((4, 2)), np.ones(4))
    opt.step(w, np.ones(2), lo.L2(0.1))
    assert (w < 1).all()


def test_ftrl_goes_on_when_its_rate_changes():
    """The paper's sum was made with one rate: nothing of it may pull weights towards 0 under another."""
    for schedule in (lo.ExponentialDecay(0.5, 0.05), lo.CosineAnnealing(0.5, 50), lo.InverseTime(0.5, 0.05)):
        w, opt = np.array([0.0, 7.0]), lo.FTRL(schedule)
        for _ in range(100):
            opt.step(w, [2 * (w[0] - 3), 0.0])
        assert 2 < w[0] <= 3.1
        assert w[1] == 7


@pytest.mark.parametrize("lr", [1e-3, 5.0])
@pytest.mark.parametrize("cls", [lo.Adam, lo.AdamW, lo.RMSprop, lo.Adagrad, lo.Adamax, lo.NAdam, lo.RAdam, lo.LAMB])
@each_dtype
def test_no_gain_is_beyond_numbers(cls, dtype, lr):
    w = np.zeros(2, dtype)
    cls(lr=lr, eps=0.0).step(w, np.array([0.0, 1.0], dtype), clip_value=0.5)
    assert w[0] == 0
    assert np.isfinite(w).all()


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: lo.RMSprop(alpha=1.0), "RMSprop: alpha must lie in [0, 1), got 1.0"),
        (lambda: lo.Adagrad(initial_accumulator_value=-1), "Adagrad: initial_accumulator_value must not be negative"),
        (lambda: lo.FTRL(lr_power=0.5), "FTRL: lr_power must be a number, finite and not positive, got 0.5"),
        (lambda: lo.NAdam(momentum_decay=-1), "NAdam: momentum_decay must not be negative, got -1"),
        (lambda: lo.Lion(betas=(0.9,)), "Lion: betas must be two numbers, got (0.9,)"),
    ],
)
def test_bad_hyperparameters_of_the_catalogue_are_named(make, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        make()


def test_nadams_product_is_that_of_the_updates_done():
    """Whichever way it comes about: step by step, resumed, in stretches, with updates left out."""
    decay = lo.InverseTime(0.01, 0.1)
    X, y = np.random.default_rng(0).standard_normal((50, 3)), np.ones(50)
    X[20] = np.inf
    ends = []
    for engine in ("python", "compiled"):
        opt = lo.NAdam(0.01, (lo.LinearDecay(0.95, 0.5, 40), 0.999), momentum_decay=decay)
        trainer = lo.Trainer(lo.Linear(3), lo.MSE(), opt, batch_size=4, engine=engine, on_nonfinite="skip")
        trainer.fit(X, y, epochs=2)
        trainer = pickle.loads(pickle.dumps(trainer))
        trainer.fit(X, y, epochs=2)
        ends.append(trainer.model.params["weight"].tobytes())
    assert ends[0] == ends[1]


# ---- groups


GROUPS = {"*.bias": {"lr": 0.003}, "1.*": {"lr": 0.05, "weight_decay": 0.3}, "bias": {}}


def own_groups(cls):
    """GROUPS as this class has them, and what they come to for each array of SHAPES."""
    groups = {p: {k: v for k, v in numbers.items() if cls is not lo.FTRL or k == "lr"} for p, numbers in GROUPS.items()}
    return groups, {"weight": {}, "bias": {}, "1.weight": groups["1.*"], "1.bias": groups["*.bias"]}


@each_row
def test_groups_are_torchs(cls, row):
    torch, judge, tensors = torch_twin(cls, row, np.float64)
    groups, numbers = own_groups(cls)
    judge = type(judge)(
        [{"params": [tensor], **numbers[name]} for name, tensor in zip(SHAPES, tensors, strict=True)], **row.kwargs
    )
    opt, params = row.make(cls, groups=groups), arrays()
    for t in range(50):
        grads = arrays(seed=t + 1)
        for tensor, g in zip(tensors, grads.values(), strict=True):
            tensor.grad = torch.tensor(g)
        judge.step()
        opt.step(params, grads)
    assert_near(params, tensors, np.float64)


@each_row
def test_a_group_is_an_optimizer_of_its_own(cls, row):
    groups, numbers = own_groups(cls)
    schedule = lo.ExponentialDecay(0.05, 0.1)
    groups["1.*"], numbers["1.weight"] = ({**x, "lr": schedule} for x in (groups["1.*"], numbers["1.weight"]))
    penalty = lo.ElasticNet(0.1, 0.5) if row.sparse else lo.L2(0.1)
    opt, params = row.make(cls, groups=groups), arrays()
    alone = {name: row.make(cls, **more) for name, more in numbers.items()}
    apart = arrays()
    for t in range(10):
        if t == 5:
            opt = pickle.loads(pickle.dumps(opt))
        opt.lr_scale = 0.5 if t > 7 else 1.0
        grads = arrays(seed=t)
        opt.step(params, grads, penalty)
        for name, own in alone.items():
            own.lr_scale = opt.lr_scale
            own.step({name: apart[name]}, {name: grads[name]}, penalty)
    assert_same(params, apart)


def test_the_first_pattern_that_matches_counts():
    params = {"a.bias": np.zeros(1), "b.bias": np.zeros(1), "A.bias": np.zeros(1), "b[0]": np.zeros(1)}
    opt = lo.SGD(1.0, groups={"a*": {"lr": 2.0}, "*.bias": {"lr": 3.0}, "?[[]0]": {"lr": 4.0}})
    opt.step(params, {name: [-1.0] for name in params})
    assert {name: x[0] for name, x in params.items()} == {"a.bias": 2, "b.bias": 3, "A.bias": 3, "b[0]": 4}


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: lo.SGD(groups=[]), TypeError, "SGD: groups must be a dict from patterns of names to dicts, got []"),
        (lambda: lo.SGD(groups={"a": 1}), TypeError, "SGD: groups must be a dict from patterns of names to dicts"),
        (lambda: lo.SGD(groups={"a": {"alpha": 1}}), ValueError, "SGD: groups['a'] has 'alpha', which is no hyper"),
        (lambda: lo.SGD(groups={"a": {"groups": {}}}), ValueError, "SGD: groups['a'] has 'groups', which is no hyper"),
        (lambda: lo.SGD(groups={"a": {"lr": -1}}), ValueError, "groups['a']: SGD: lr must not be negative, got -1"),
        (lambda: lo.SGD(groups={"a": {"momentum": 0.9}}), ValueError, "groups['a'] needs another state: momentum"),
        (lambda: lo.Adam(groups={"a": {"amsgrad": True}}), ValueError, "groups['a'] needs another state: amsgrad"),
        (lambda: lo.FTRL(groups={"a": {"lr_power": -1}}), ValueError, "groups['a'] needs another state: lr_power"),
        (
            lambda: lo.Adagrad(groups={"a": {"initial_accumulator_value": 1}}),
            ValueError,
            "groups['a'] needs another state: initial_accumulator_value",
        ),
    ],
)
def test_groups_that_make_no_sense(make, error, text):
    with pytest.raises(error, match=re.escape(text)):
        make()


def test_groups_need_names_that_they_match():
    opt, w = lo.SGD(groups={"w*": {"lr": 1}, "b": {"lr": 2}}), np.ones(2)
    with pytest.raises(ValueError, match="params must be a dict: groups goes by their names"):
        opt.step(w, w.copy())
    with pytest.raises(ValueError, match=re.escape("params has no name that groups['b'] matches, of w, wb")):
        opt.step({"w": w, "wb": np.ones(1)}, {"w": w.copy(), "wb": np.ones(1)})
    assert (w == 1).all()
    assert opt.steps == 0


@pytest.mark.parametrize("scale", [-1, np.nan, np.inf, "a", True, None])
def test_scales_that_make_no_sense(scale):
    opt = lo.SGD()
    with pytest.raises(ValueError, match="lr_scale must be finite and not negative, got"):
        opt.lr_scale = scale
    assert opt.lr_scale == 1


@pytest.mark.parametrize("wrap", [dict, list, tuple, np.ndarray])
def test_each_array_is_clipped_by_itself(wrap):
    def made(*numbers):
        return np.array(numbers[0]) if wrap is np.ndarray else dict(zip("ab", map(np.array, numbers), strict=True)) if (
            wrap is dict) else wrap(map(np.array, numbers))  # fmt: skip

    params, grads = made([0.0, 0.0], [1.0]), made([3.0, 4.0], [0.5])
    before = copy.deepcopy(grads)
    opt = lo.SGD(1.0)
    opt.step(params, grads, clip_norm=1.0)
    arrays = [params] if wrap is np.ndarray else list(params.values()) if wrap is dict else list(params)
    assert_allclose(arrays[0], [-0.6, -0.8], 1e-6)
    assert wrap is np.ndarray or arrays[1][0] == 0.5
    assert opt.grad_norm == pytest.approx(5 if wrap is np.ndarray else np.sqrt(25.25))
    assert_same(grads, before) if wrap is not np.ndarray else assert_array_equal(grads, before)


def test_norms_that_make_no_sense():
    opt, w = lo.SGD(1.0), np.ones(2)
    with pytest.raises(ValueError, match="clip_norm and max_norm clip the same: give one of them"):
        opt.step(w, w.copy(), max_norm=1.0, clip_norm=1.0)
    with pytest.raises(ValueError, match="clip_norm must be positive, got 0"):
        opt.step(w, w.copy(), clip_norm=0)
    with pytest.raises(ValueError, match=r"the gradient of params must have its shape \(2,\)"):
        opt.step(w, np.full(3, 9.0), clip_norm=1.0)
    assert (w == 1).all()
    assert opt.grad_norm is None
    opt.step(w, [np.nan, 1.0], clip_norm=1.0)
    assert np.isnan(w).all()
