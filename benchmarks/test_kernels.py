"""Every kernel beside its NumPy twin, from 1e2 to 1e7 numbers: each group of the printed table is one comparison.

pytest benchmarks                               all of it
pytest benchmarks -k "bce and 1e5"              a part
pytest benchmarks --benchmark-json=run.json     for `python benchmarks/table.py run.json`
"""

import cases
import numpy as np
import pytest

from lossopt import _arrays, _kernels

SIZES = [10**e for e in range(2, 8)]
SIDES = {"kernel": _kernels.load(_kernels.level), "twin": _kernels.load("reference")}

pytestmark = pytest.mark.benchmark(max_time=0.15, min_rounds=3, warmup=False)
side = pytest.mark.parametrize("side", SIDES)
dtype = pytest.mark.parametrize("dtype", ["float64", "float32"])
size = pytest.mark.parametrize("size", SIZES, ids=[f"1e{e}" for e in range(2, 8)])


def walk(table):
    return [pytest.param(row, id=f"{label}-{getattr(row, 'kernel', '')}") for label, _, row in cases.walk(table)]


def measure(benchmark, request, side, size, work):
    """Group by everything but the side; `size` numbers a call."""
    benchmark.group = request.node.name.replace(f"-{side}", "").replace(f"{side}-", "")
    benchmark.extra_info.update(side=side, size=size, test=request.node.originalname)
    benchmark(work)


@size
@dtype
@pytest.mark.parametrize("row", walk("losses"))
@side
def test_loss(benchmark, request, side, row, dtype, size):
    """Value and gradient."""
    kernels, k = SIDES[side], row.k or 1
    z, y = row.data(np.random.default_rng(0), max(1, size // k), dtype)
    loss, out = row.block(kernels), np.empty_like(z)
    measure(benchmark, request, side, size, lambda: kernels.losses.value_and_grad(loss, z, y, None, out, k, 1 / len(z)))


@size
@dtype
@pytest.mark.parametrize("row", walk("optimizers"))
@side
def test_update(benchmark, request, side, row, dtype, size):
    kernels, rng = SIDES[side], np.random.default_rng(0)
    update = getattr(kernels.updates, row.kernel)()
    w, g = (kernels.Arrays([rng.standard_normal(size).astype(dtype)], True) for _ in range(2))
    state = kernels.Arrays([np.ones(size, dtype) for _ in range(row.state)], True)
    settings, which = ((1e-6, *row.hyper[1:], 0.0, 0.0),), np.zeros(1, np.int64)
    measure(
        benchmark,
        request,
        side,
        size,
        lambda: kernels.updates.step(update, w, g, state, settings, which, 9, 1.0, np.inf),
    )


@size
@dtype
@pytest.mark.parametrize(("cls", "row"), [pytest.param(*x[1:], id=x[0]) for x in cases.walk("penalties")])
@pytest.mark.parametrize("what", ["value", "add_grad", "prox"])
@side
def test_penalty(benchmark, request, side, what, cls, row, dtype, size, monkeypatch):
    rng = np.random.default_rng(0)
    w, g = (rng.standard_normal(size).astype(dtype) for _ in range(2))
    monkeypatch.setattr(_kernels, "penalties", SIDES[side].penalties)
    penalty = row.make(cls, d=size)
    work = {
        "value": lambda: penalty.value(w),
        "add_grad": lambda: penalty.add_grad(w, g),
        "prox": lambda: penalty.prox(w, 1e-9),
    }
    measure(benchmark, request, side, size, work[what])


@size
@dtype
@pytest.mark.parametrize("name", ["exp", "log", "log1p", "sigmoid", "softplus", "rsqrt"])
@side
def test_math(benchmark, request, side, name, dtype, size):
    function = getattr(SIDES[side].math, name)
    x = np.random.default_rng(0).lognormal(0, 2, size).astype(dtype)
    out = np.empty_like(x)
    measure(benchmark, request, side, size, lambda: function(x, out))


@pytest.mark.parametrize(("n", "d"), [(32, 30), (256, 20), (10_000, 30), (100_000, 100)], ids=lambda x: f"{x:g}")
@dtype
@pytest.mark.parametrize("row", [p for p in walk("losses") if p.values[0].scores and (p.values[0].k or 1) <= 32])
@side
def test_objective(benchmark, request, side, row, dtype, n, d):
    """A linear model's loss and gradient from X (n, d)."""
    kernels, rng, k = SIDES[side], np.random.default_rng(0), row.k or 1
    X = rng.standard_normal((n, d)).astype(dtype)
    y = row.data(rng, n, dtype)[1]
    weight, bias = np.zeros((k, d), dtype), np.zeros(k, dtype)
    grads = np.empty_like(weight), np.empty_like(bias)
    loss = row.block(kernels)
    measure(
        benchmark,
        request,
        side,
        n * d,
        lambda: kernels.linear.value_and_grad(loss, X, y, None, weight, bias, *grads, 1 / n),
    )


@dtype
@side
def test_csr(benchmark, request, side, dtype):
    """A logistic model's loss and gradient from CSR, 100 000 x 10 000 with 25 numbers a row."""
    kernels, rng, n, d, each = SIDES[side], np.random.default_rng(0), 100_000, 10_000, 25
    ends = np.arange(n + 1) * each
    columns = np.sort(rng.integers(0, d, (n, each), np.int32), axis=1).ravel()
    X = _arrays.CSR(rng.standard_normal(n * each).astype(dtype), columns, ends[:-1], ends[1:], d)
    y = rng.integers(0, 2, n).astype(dtype)
    weight, bias = np.zeros((1, d), dtype), np.zeros(1, dtype)
    grads = np.empty_like(weight), np.empty_like(bias)
    loss = kernels.losses.bce(1.0, 1.0, 0.0)
    measure(
        benchmark,
        request,
        side,
        n * each,
        lambda: kernels.linear.value_and_grad(loss, X, y, None, weight, bias, *grads, 1 / n),
    )


@size
@dtype
@side
def test_average(benchmark, request, side, dtype, size):
    """Averages of weights."""
    kernels, rng = SIDES[side], np.random.default_rng(0)
    averages, w = (kernels.Arrays([rng.standard_normal(size).astype(dtype)], True) for _ in range(2))
    measure(benchmark, request, side, size, lambda: kernels.updates.blend(averages, w, 0.01))


@pytest.mark.parametrize("documents", [5, 50, 500])
@dtype
@pytest.mark.parametrize(("cls", "row"), [pytest.param(*x[1:], id=x[0]) for x in cases.walk("rankings")])
@side
def test_ranking(benchmark, request, side, cls, row, dtype, documents, monkeypatch):
    """Value and gradient of 10 000 documents in queries of so many."""
    rng, n = np.random.default_rng(0), 10_000
    z, y, group = rng.standard_normal(n).astype(dtype), rng.integers(0, 5, n), np.arange(n) // documents
    monkeypatch.setattr(_kernels, "losses", SIDES[side].losses)
    loss, out = row.make(cls), np.empty_like(z)
    measure(benchmark, request, side, n, lambda: loss.value_and_grad(z, y, group=group, out=out))


@pytest.mark.parametrize(("cls", "row"), [pytest.param(*x[1:], id=x[0]) for x in cases.walk("schedules")])
@pytest.mark.parametrize("side", ["together", "one by one"])
def test_schedule(benchmark, request, side, cls, row):
    """A thousand updates' numbers."""
    schedule, t = row.make(cls), np.arange(1000.0)
    numbers = t.tolist()
    work = {"together": lambda: schedule(t), "one by one": lambda: [schedule(x) for x in numbers]}
    measure(benchmark, request, side, len(t), work[side])
