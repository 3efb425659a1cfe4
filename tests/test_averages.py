"""Averages of weights: torch, optax and NumPy, what comes in and goes out, and every refusal."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import lossopt as lo
from lossopt import _kernels

each = pytest.mark.parametrize("average", [lo.EMA(0.0), lo.EMA(0.9), lo.EMA(0.9999), lo.Polyak()], ids=repr)
each_dtype = pytest.mark.parametrize("dtype", [np.float64, np.float32])


def walk(k, dtype=np.float64):
    rng = np.random.default_rng(k)
    return {"weight": rng.standard_normal((3, 4)).astype(dtype), "bias": rng.standard_normal(3).astype(dtype)}


def shares(average, k):
    """What each of k weights counts, by the definition."""
    decay = getattr(average, "decay", 1.0)
    powers = np.array([decay ** (k - i) for i in range(1, k + 1)])
    return powers / powers.sum()


@each
@each_dtype
def test_averages_are_their_definition(average, dtype):
    average = copy.deepcopy(average)
    for k in range(1, 41):
        average.update(walk(k, dtype))
        for name, x in average.params.items():
            stack = np.stack([walk(i, dtype)[name].astype(np.float64) for i in range(1, k + 1)])
            assert x.dtype == dtype
            assert_allclose(x, np.tensordot(shares(average, k), stack, 1), 0, 1e-12 if dtype is np.float64 else 3e-6)
        if k == 1:
            assert_array_equal(average.params["bias"], walk(1, dtype)["bias"])
    assert average.steps == 40


def test_ema_is_optaxs():
    jax = pytest.importorskip("jax")
    optax = pytest.importorskip("optax")
    jax.config.update("jax_enable_x64", True)
    judge, ema = optax.ema(0.95, debias=True), lo.EMA(0.95)
    state = judge.init(np.zeros((3, 4)))
    for k in range(100):
        theirs, state = judge.update(walk(k)["weight"], state)
        ema.update(walk(k)["weight"])
        assert_allclose(ema.params, theirs, 0, 1e-12)


def test_polyak_is_torchs():
    torch = pytest.importorskip("torch")
    module = torch.nn.Linear(4, 3, dtype=torch.float64)
    judge, polyak = torch.optim.swa_utils.AveragedModel(module), lo.Polyak()
    for k in range(100):
        weights = walk(k)
        with torch.no_grad():
            module.weight.copy_(torch.tensor(weights["weight"]))
            module.bias.copy_(torch.tensor(weights["bias"]))
        judge.update_parameters(module)
        polyak.update(weights)
    for name, x in polyak.params.items():
        assert_allclose(x, getattr(judge.module, name).detach().numpy(), 0, 1e-12)


@pytest.mark.parametrize("level", _kernels.available)
@each_dtype
@pytest.mark.parametrize("n", [0, 1, 7, 200_000])
def test_kernel_has_the_bits_of_its_twin_on_any_number_of_threads(level, dtype, n):
    rng = np.random.default_rng(n)
    a, w = rng.standard_normal((2, n)).astype(dtype)
    kernels, twin = _kernels.load(level), _kernels.load("reference")
    expected = a.copy()
    twin.updates.blend([expected], [w], 0.3)
    threads = lo.get_num_threads()
    try:
        for count in (1, 3):
            lo.set_num_threads(count)
            into = a.copy()
            kernels.updates.blend(kernels.Arrays([into], True), kernels.Arrays([w], False), 0.3)
            assert_array_equal(into, expected)
    finally:
        lo.set_num_threads(threads)
    with pytest.raises(ValueError, match="must match"):
        kernels.updates.blend(kernels.Arrays([], True), kernels.Arrays([w], False), 0.3)


@pytest.mark.parametrize("wrap", [dict, list, tuple, np.ndarray])
def test_it_comes_out_as_it_went_in(wrap):
    def given(k):
        return walk(k) if wrap is dict else walk(k)["bias"] if wrap is np.ndarray else wrap(walk(k).values())

    average = lo.Polyak()
    average.update(given(0))
    average.update(given(1))
    again, into = pickle.loads(pickle.dumps(average)), given(2)
    for made in (average, again, copy.deepcopy(average)):
        assert type(made.params) is wrap
        made.copy_to(into)
        for x, y in zip(
            into.values() if wrap is dict else into,
            (list(made.params.values()) if wrap is dict else made.params),
            strict=True,
        ):
            assert_array_equal(x, y)
    # copies: what is done to them changes nothing
    first = (
        average.params
        if wrap is np.ndarray
        else next(iter(average.params.values()))
        if wrap is dict
        else average.params[0]
    )
    first[...] = np.nan
    assert np.isfinite(average.state_dict()["averages"].popitem()[1]).all()
    other = lo.Polyak()
    other.load_state_dict(average.state_dict())
    for k, one in ((3, average), (3, again), (3, other)):
        one.update(given(k))
    for name, x in average.state_dict()["averages"].items():
        for one in (again, other):
            assert_array_equal(one.state_dict()["averages"][name], x)
    average.reset()
    assert average.steps == 0
    average.update(np.ones(2))
    assert_array_equal(average.params, np.ones(2))


def test_averages_come_back_in_what_the_weights_last_came_in():
    average, again = lo.EMA(0.5), lo.EMA(0.5)
    for params, kind in (([np.ones(2)], list), ((np.ones(2),), tuple)):
        average.update(params)
        assert type(average.params) is kind
    again.load_state_dict(average.state_dict())
    again.update([np.zeros(2)])
    assert type(again.params) is list


def test_numbers_in_a_list_are_one_array():
    average = lo.Polyak()
    average.update([1.0, 2.0])
    assert_array_equal(average.params, [1.0, 2.0])
    assert isinstance(average.params, np.ndarray)


def test_weights_are_only_read():
    average, w = lo.EMA(0.5), np.arange(6.0).reshape(2, 3)[:, ::2]
    w.flags.writeable = False
    average.update(w)
    assert_array_equal(average.params, w)


def test_refusals_leave_no_trace():
    average = lo.EMA(0.5)
    with pytest.raises(ValueError, match="there is nothing to average: update was never called"):
        average.params  # noqa: B018
    average.update({"a": np.ones(2), "b": np.ones(1)})
    for params, error, text in (
        ({"a": np.ones(2)}, ValueError, "params must have the names and shapes averaged so far"),
        ({"a": np.ones(3), "b": np.ones(1)}, ValueError, "params must have the names and shapes averaged so far"),
        ({"a": np.ones(2), "b": np.ones(1, np.float32)}, TypeError, "params must be float64 as the others are, got fl"),
        ({"a": np.ones(2), "b": ["x"]}, TypeError, "b must hold real numbers"),
    ):
        with pytest.raises(error, match=text):
            average.update(params)
    assert average.steps == 1
    into = {"a": np.zeros(2), "b": np.zeros(1)}
    into["b"].flags.writeable = False
    with pytest.raises(ValueError, match="b must be writable"):
        average.copy_to(into)
    assert not into["a"].any()
    with pytest.raises(ValueError, match="params must have the names averaged"):
        average.copy_to(into["a"])
    with pytest.raises(ValueError, match="'steps' and 'averages', got"):
        average.load_state_dict({})
    for decay in (1, -0.1, "a", True, np.nan):
        with pytest.raises(ValueError, match=r"EMA: decay must be a number in \[0, 1\), got"):
            lo.EMA(decay)
