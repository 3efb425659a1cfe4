"""Several threads and processes of the caller's, and arrays wherever they lie: the same bits as alone."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp

import lossopt as lo
from lossopt import _arrays, _kernels, trainer
from lossopt._kernels import loop

from . import cases
from .fresh import printed

BUILT = {level: _kernels.load(level) for level in _kernels.available}
N = 70_001  # numbers: several chunks and a parallel region, and no multiple of a block

# each kernel once: rows that differ in nothing but their number of outputs are one here
FUNCTIONS = [name for name in vars(_kernels.load("reference").math) if name[0] != "_"]
LOSSES = {(row.kernel, row.constants): (label, cls, row) for label, cls, row in cases.walk("losses")}.values()


@pytest.fixture
def on_threads():
    """lo.set_num_threads, undone at the end."""
    before = lo.get_num_threads()
    yield lo.set_num_threads
    lo.set_num_threads(before)


# ---- jobs: what is shared is made with arrays that `place` has put somewhere; each caller i has numbers of its own


def loss(cls, row, dtype, k, place):
    rng, shared = np.random.default_rng(0), row.make(cls)
    z, y = row.draw(rng, N // (k or 1), dtype, k)
    y, weight = place(y), place(rng.integers(0, 3, len(z)).astype(dtype))

    def run(i):
        mine, out = place(z * dtype(1 - i / 8)), place(np.empty_like(z))
        weighted = shared.value_and_grad(mine, y, weight, out=out)
        return *weighted, *shared.value_and_grad(mine, y), shared.pointwise(mine, y)

    return run


def objective(cls, row, dtype, k, sparse, place):
    rng = np.random.default_rng(0)
    n, d = (4099, 17) if k < 40 else (2051, 600)
    X = sp.random(n, d, 0.8 if k < 40 else 0.02, "csr", dtype, random_state=rng)
    X = sp.csr_matrix(tuple(map(place, (X.data, X.indices, X.indptr))), X.shape) if sparse else place(X.toarray())
    _, y = row.draw(rng, n, dtype, k if row.classes or k > 1 else None)
    weight = place(rng.integers(0, 3, n).astype(dtype))
    shared = lo.Objective(X, place(y), row.make(cls), lo.ElasticNet(0.1, 0.5), weight, n_outputs=k)
    w = rng.standard_normal(shared.size).astype(dtype)

    def run(i):
        mine = place(w * dtype(1 - i / 8))
        return *shared.value_and_grad(mine, out=place(np.empty_like(w))), shared.predict(mine, X)

    return run


def training(engine, dtype, place):
    rng = np.random.default_rng(0)
    X, y = place(rng.standard_normal((700, 17)).astype(dtype)), place(rng.integers(0, 3, 700))

    def run(i):
        model = lo.Linear(17, 3, dtype, seed=i)
        model.params = {name: place(x) for name, x in model.params.items()}
        mine = lo.Trainer(model, lo.CrossEntropy(), lo.Adam(lr=0.01), lo.L1(0.01), max_norm=1.0, engine=engine)
        told = mine.fit(X, y, epochs=2)
        return *model.params.values(), told["train_loss"], told["grad_norm"]

    return run


def optimizer(cls, row, dtype, place):
    w, g = np.random.default_rng(0).standard_normal((2, N)).astype(dtype)

    def run(i):
        params, grads = ([place(x * dtype(1 + i)), place(x[:5])] for x in (w, g))
        mine = row.make(cls)
        penalty = lo.ElasticNet(0.1, 0.5) if row.sparse else lo.L2(0.1)
        for folded in ({}, {"penalty": penalty, "max_norm": 10.0, "clip_value": 0.1}):
            mine.step(params, grads, **folded)
        state = [x for arrays in mine.state_dict()["state"].values() for x in arrays.values()]
        return *params, *state, mine.grad_norm

    return run


def function(name, dtype, place):
    x = np.random.default_rng(0).random(N).astype(dtype)

    def run(i):
        mine, out = place(x / dtype(1 + i)), place(x)
        getattr(_kernels.math, name)(mine, out)
        return (out,)

    return run


def penalty(cls, row, dtype, place):
    w, g = np.random.default_rng(0).standard_normal((2, N)).astype(dtype)
    shared = row.make(cls, d=N)

    def run(i):
        mine, gradient = place(w * dtype(1 + i)), place(g)
        value = shared.value(mine)
        shared.add_grad(mine, gradient)
        shared.prox(mine, 0.5)
        return value, gradient, mine

    return run


JOBS = {}
for dtype in (np.float64, np.float32):
    for label, cls, row in LOSSES:
        for k in filter(row.takes, (3, 70) if row.classes else (None, 3)):
            JOBS[f"loss {label} {dtype.__name__} {k}"] = partial(loss, cls, row, dtype, k)
        if row.scores:
            # a dense X with 40 outputs is BLAS's, whose bits are its own
            for form, k in (("dense", 1), ("dense", 3), ("csr", 1), ("csr", 3), ("csr", 40)):
                if not row.takes(k):
                    continue
                job = partial(objective, cls, row, dtype, k, form == "csr")
                JOBS[f"objective {label} {dtype.__name__} {form} {k}"] = job
    for label, cls, row in cases.walk("optimizers"):
        JOBS[f"optimizer {label} {dtype.__name__}"] = partial(optimizer, cls, row, dtype)
    for label, cls, row in cases.walk("penalties"):
        JOBS[f"penalty {label} {dtype.__name__}"] = partial(penalty, cls, row, dtype)
    for name in FUNCTIONS:
        JOBS[f"math {name} {dtype.__name__}"] = partial(function, name, dtype)
    for engine in ("python", "compiled"):
        JOBS[f"training {engine} {dtype.__name__}"] = partial(training, engine, dtype)

each_job = pytest.mark.parametrize("job", JOBS)


def bits(results):
    return [np.asarray(x).tobytes() for x in results]


# ---- addresses


def at(offset):
    """Copies of arrays that start offset(i) bytes, for the i-th of them, behind a cache line."""
    number = count()

    def place(x):
        room = np.empty(x.nbytes + 192, np.uint8)
        start = -room.ctypes.data % 64 + offset(next(number), x.itemsize)
        copy = room[start : start + x.nbytes].view(x.dtype).reshape(x.shape)
        copy[...] = x
        return copy

    return place


# name: bytes for the i-th array; numbers of threads
OFFSETS = {
    "all one number off": (lambda i, item: item, (1, 2, 3, 7)),
    "each another": (lambda i, item: (5 * i + 2) % 16 * item % 64, (1, 2)),
    "one byte": (lambda i, item: 1, (1, 2)),
}


@pytest.mark.parametrize("level", BUILT)
@each_job
def test_any_address_and_number_of_threads_give_the_same_bits(job, level, on_threads, monkeypatch):
    for family in _kernels.FAMILIES:
        monkeypatch.setattr(_kernels, family, getattr(BUILT[level], family))
    on_threads(1)
    on_a_line = bits(JOBS[job](at(lambda i, item: 0))(0))
    for name, (offset, numbers) in OFFSETS.items():
        run = JOBS[job](at(offset))
        for threads in numbers:
            on_threads(threads)
            assert bits(run(0)) == on_a_line, f"{name}, {threads=}"


# ---- several Python threads

CALLERS = 4


@each_job
def test_a_call_from_several_python_threads_at_once(job, on_threads):
    on_threads(2)
    run, together = JOBS[job](np.copy), threading.Barrier(CALLERS, timeout=60)
    alone = [bits(run(i)) for i in range(CALLERS)]

    def caller(i):
        together.wait()
        return [bits(run(i)) == alone[i] for _ in range(4)]

    with ThreadPoolExecutor(CALLERS) as pool:
        assert all(map(all, pool.map(caller, range(CALLERS))))


def test_all_calls_from_several_python_threads_mixed(on_threads):
    on_threads(2)
    runs = {job: make(np.copy) for job, make in JOBS.items()}

    def caller(i):
        order = random.Random(i).sample(list(JOBS), len(JOBS))
        return {job: hash(b"".join(bits(runs[job](i)))) for job in order}

    alone = [caller(i) for i in range(CALLERS)]
    with ThreadPoolExecutor(CALLERS) as pool:
        together = list(pool.map(caller, range(CALLERS)))
    assert together == alone


# ---- a forked child


def fork():
    """Print the jobs that a child gets wrong, and how it ended."""
    lo.set_num_threads(2)
    runs = {job: make(np.copy) for job, make in JOBS.items()}
    wanted = {job: bits(run(0)) for job, run in runs.items()}
    child = os.fork()
    if not child:
        signal.alarm(10)  # ends it, wherever it hangs
        print([job for job, run in runs.items() if bits(run(0)) != wanted[job]], flush=True)
        os._exit(0)
    print(os.waitpid(child, 0)[1])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_does_every_job():
    assert printed(fork).split("\n") == ["[]", "0", ""]


# ---- the GIL


@pytest.fixture
def rounds():
    """How often another Python thread has gone round. It goes on where this one gives the GIL away, and nowhere else:
    within a minute, nobody asks for it."""
    done, stop, before = [0], threading.Event(), sys.getswitchinterval()

    def go():
        while not stop.is_set():
            done[0] += 1
            time.sleep(1e-4)

    thread = threading.Thread(target=go)
    sys.setswitchinterval(60)
    try:
        thread.start()
        yield lambda: done[0]
    finally:
        stop.set()
        thread.join()
        sys.setswitchinterval(before)


def others_go_on(call, rounds, times=200):
    """Whether the other thread goes round during one of some calls: a single one may be too short to see it."""
    for _ in range(times):
        before = rounds()
        call()
        if rounds() > before:
            return True
    return False


@pytest.fixture(scope="module")
def large():
    """Arrays of a million numbers, and what goes with them."""
    x, y, out, n = np.full(2**20, 0.5), np.ones(2**20), np.ones(2**20), 2**16
    dense, update, nothing = x.reshape(n, 16), _kernels.updates.sgd_update(), _kernels.Arrays([], True)
    return SimpleNamespace(
        x=x,
        y=y,
        out=out,
        labels=np.ones(2**20, np.int64),
        loss=_kernels.losses.bce(1.0, 1.0, 0.0),
        dense=dense,
        pairs=_kernels.losses.pairs_of_rows(None, 0),
        begins=np.arange(0, 2**20 + 1, 16),
        each=np.ones((2, 2**16)),
        groups=_kernels.penalties.group_closing(x, y, np.arange(2**20), np.arange(0, 2**20 + 1, 4)),
        csr=_arrays.matrix("X", sp.csr_matrix(dense)),
        row=(np.ones((1, 16)), np.ones(1)),
        step=(
            update,
            _kernels.Arrays([out], True),
            _kernels.Arrays([x], True),
            nothing,
            ((0.1, 0, 0, 0, False, 0.0, 0.0),),
        ),
    )


ACTIVATIONS = ("identity", "relu", "tanh", "sigmoid")


def linear_doors(form):
    def with_x(a, *rest):
        return getattr(a, form), *rest

    return {
        f"linear.value_and_grad {form}": lambda a: (
            a.loss,
            *with_x(a, a.y[: 2**16], None, *a.row, *map(np.copy, a.row), 1.0),
        ),
        f"linear.predict {form}": lambda a: with_x(a, *a.row, a.out[: 2**16]),
        f"linear.gradient {form}": lambda a: with_x(a, a.y[: 2**16], *map(np.copy, a.row)),
    }


# every door to a kernel: what it is called with
DOORS = {
    "losses.value_and_grad": lambda a: (a.loss, a.x, a.y, None, a.out, 1, 1.0),
    "losses.pointwise": lambda a: (a.loss, a.x, a.y, a.out, 1),
    "losses.sum": lambda a: (a.x,),
    "losses.grouped": lambda a: (a.pairs, a.x, a.y, a.begins, a.each[0], a.each[1], a.out),
    "losses.outside": lambda a: (a.x, 0.0, 1.0),
    "losses.outside binary": lambda a: (a.x, 0.0, 1.0, True),
    "losses.outside_labels": lambda a: (a.labels, 2),
    **linear_doors("dense"),
    **linear_doors("csr"),
    "activations.column_sums": lambda a: (a.x, np.empty(16)),
    **{f"activations.{name}": lambda a: (a.out, np.ones(16), 0.5, 1) for name in ACTIVATIONS},
    **{f"activations.{name}_back": lambda a: (a.x, a.out, np.empty(16), 0.5, 1) for name in ACTIVATIONS},
    "penalties.value": lambda a: (a.x, None, 0.1, 0.1),
    "penalties.add_grad": lambda a: (a.x, None, a.out, 0.1, 0.1),
    "penalties.coordinates": lambda a: (np.eye(1024), *np.ones((3, 1024)), -1.0, 2000),
    "penalties.prox": lambda a: (a.out, None, 0.1, 0.9),
    "penalties.box_add_grad": lambda a: (a.x, a.out, 0.0, 1.0),
    "penalties.group_value": lambda a: (a.groups, a.x),
    "penalties.group_add_grad": lambda a: (a.groups, a.x, a.out, 0.1),
    "penalties.close": lambda a: (a.groups, a.out, 0.1),
    "updates.step": lambda a: (*a.step, np.zeros(1, np.int64), 1, 1.0, np.inf),
    "updates.blend": lambda a: (a.step[1], a.step[2], 0.1),
    "updates.norm": lambda a: (a.step[1],),
    "loop.permutation": lambda a: (np.empty(2**20, np.int64), 0, 0, 2**20),
    **{f"math.{name}": lambda a: (a.x, a.out) for name in FUNCTIONS},
}


def test_every_door_is_in_the_table():
    makers = {row.kernel for table in ("losses", "optimizers") for _, _, row in cases.walk(table)}
    makers |= {"objective_pass", "stream", "soft_closing", "box_closing", "group_closing", "pairs_of_rows", "custom"}
    modules = {name: getattr(_kernels, name) for name in _kernels.FAMILIES} | {"loop": loop}
    functions = {
        f"{family}.{name}"
        for family, module in modules.items()
        for name, function in vars(module).items()
        if callable(function) and not isinstance(function, type) and name[0] != "_" and name not in makers
    }
    assert functions == {door.split()[0] for door in DOORS}


@pytest.mark.parametrize("door", DOORS)
def test_kernels_let_other_python_threads_go_on(door, large, rounds):
    family, name = door.split()[0].split(".")
    function, arguments = getattr(loop if family == "loop" else getattr(_kernels, family), name), DOORS[door](large)
    assert others_go_on(lambda: function(*arguments), rounds)


def test_the_compiled_loop_lets_other_python_threads_go_on(rounds, monkeypatch):
    seen = []

    class Watched(loop.Stretch):
        def run(self, *arguments):
            before = rounds()
            fine = super().run(*arguments)
            seen.append(rounds() > before)
            return fine

    monkeypatch.setattr(trainer.loop, "Stretch", Watched)
    X = np.random.default_rng(0).standard_normal((20_000, 17))
    lo.Trainer(lo.Linear(17), lo.MSE(), lo.SGD(lr=0.01), engine="compiled").fit(X, X[:, 0], epochs=20)
    assert any(seen)


def test_calls_that_keep_the_gil_are_seen(rounds):
    assert not others_go_on(lambda: sum(range(10**6)), rounds, times=5)
