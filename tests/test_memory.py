"""What calls take: never memory of the size of X, of the scores, or of the parameters.

A pass over X keeps at most 64 partial gradients (CSR: 8 MiB of them, or a sixth of X, with several outputs two thirds)
and buffers of some blocks of rows, however many rows there are. So each case, with 2**21 scores or parameters and about
as much of X, or more, takes less than a quarter of the smaller. They are measured in a process of their own: what is
resident, whoever asked for it, and what NumPy and Python ask for, whether they touch it or not.
"""

from __future__ import annotations

import gc
import json
import os
import re
import tempfile
import tracemalloc
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_array_equal

import lossopt as lo
from lossopt._arrays import CSR

from . import cases
from .fresh import printed

SMALL, LARGE = 2**17, 2**21  # how many scores or parameters: a first call loads code and starts threads

NUMBERS = np.random.default_rng(0).standard_normal(4099)
# each kernel once: rows that differ in nothing but their number of outputs are one here
LOSSES = {(row.kernel, row.constants): (label, cls, row) for label, cls, row in cases.walk("losses")}.values()


# ---- X in the forms that are read as they are


def dense(n, k, dtype, index):
    return np.resize(NUMBERS.astype(dtype), (n, 2 * k + 4))


def csr(n, k, dtype, index, d=20, each=None):
    each = each or k // 2 + 2
    X = sp.csr_matrix((n, d), dtype=dtype)
    X.data, X.indptr = np.resize(NUMBERS.astype(dtype), n * each), np.arange(0, n * each + 1, each, dtype=index)
    X.indices = np.resize(np.random.default_rng(1).integers(0, d, 4099, index), n * each)
    return X


def mapped(x):
    with tempfile.TemporaryFile() as file:
        x.tofile(file)
        return np.memmap(file, x.dtype, "r", shape=x.shape)


def read_only(x):
    x = x.copy()
    x.flags.writeable = False
    return x


def parted(change, x):
    """An array, or each of the three of a CSR, changed."""
    if isinstance(x, np.ndarray):
        return change(x)
    y = sp.csr_matrix(x.shape, dtype=x.dtype)
    y.data, y.indices, y.indptr = map(change, (x.data, x.indices, x.indptr))
    return y


FORMS = {
    "f64": (dense, np.float64, None),
    "f32": (dense, np.float32, None),
    "csr i32": (csr, np.float64, np.int32),
    "csr i64": (csr, np.float32, np.int64),
    "mapped f64": (dense, np.float64, None),
    "mapped csr": (csr, np.float64, np.int32),
}


def many(k):
    """What a row's draw is told: one output is none."""
    return None if k == 1 else k


def targets(row, n, dtype, k):
    _, y = row.draw(np.random.default_rng(2), 1000, dtype, k if row.classes else many(k))
    return np.resize(y, (n, *y.shape[1:]))


@lru_cache(maxsize=2)
def features(form, k, n):
    """X, and its size."""
    make, dtype, index = FORMS[form]
    X = make(n, k, dtype, index)
    if form.startswith("mapped"):
        X = parted(mapped, X)
        # a file's pages are resident once they are read
        for part in (X.data, X.indices, X.indptr) if sp.issparse(X) else (X,):
            part.max()
    return X, X.nbytes if isinstance(X, np.ndarray) else X.data.nbytes + X.indices.nbytes


def problem(form, k, row, size):
    """X, y, and the bytes of X and of the scores, which are so many numbers."""
    X, held = features(form, k, size // k)
    return X, targets(row, size // k, X.dtype, k), held, size * X.dtype.itemsize


# ---- cases: a call, and the bytes that it may take, for a size


def objective(form, k, cls, row, size):
    X, y, held, scores = problem(form, k, row, size)
    # zeros among the weights: BLAS is given the other rows alone
    weight = np.resize([0, 1, 2.0], len(y)).astype(X.dtype) if X.dtype == np.float32 else None
    f = lo.Objective(X, y, row.make(cls), lo.ElasticNet(0.1, 0.5), weight, n_outputs=k)
    w = np.resize(NUMBERS / 9, f.size).astype(X.dtype)
    out = np.empty_like(w)
    return lambda: (f.value_and_grad(w, out=out), f.data_value_and_grad(w, out=out)), min(held, scores) / 4


def construction(form, k, cls, row, size):
    X, y, held, _ = problem(form, k, row, size)
    own = 8 * len(y) * sp.issparse(X)  # where its rows end, as int64
    return lambda: lo.Objective(X, y, row.make(cls), n_outputs=k), held / 4 + own


def wide(cls, row, size):
    """So many features that the partial gradients of a CSR fill their two thirds of X; the scores are less."""
    X = csr(size // 20, 10, np.float64, np.int32, d=4000, each=40)
    f = lo.Objective(X, targets(row, len(X.indptr) - 1, X.dtype, 10), row.make(cls))
    w, out = f.zeros(), f.zeros()
    return lambda: f.value_and_grad(w, out=out), 0.8 * (X.data.nbytes + X.indices.nbytes)


def training(form, k, engine, cls, row, size):
    X, y, held, scores = problem(form, k, row, size)
    options = {"batch_size": 1024, "max_norm": 1.0, "engine": engine}
    trainer = lo.Trainer(lo.Linear(X.shape[1], k, X.dtype), row.make(cls), lo.Adam(lr=0.001), lo.L1(0.1), **options)
    # 8 bytes a row: the order of an epoch; of X and of the validation's, labels, and where rows of a CSR end
    own = 8 * len(y) * (1 + 2 * (y.dtype.kind == "i") + 2 * sp.issparse(X))
    return lambda: trainer.fit(X, y, validation=(X, y)), min(held, scores) / 4 + own


def loss(k, dtype, cls, row, size):
    f, n = row.make(cls), size // k
    z, _ = row.draw(np.random.default_rng(3), 1000, dtype, k if row.classes else many(k))
    z, y = np.resize(z, (n, *z.shape[1:])), targets(row, n, dtype, k)
    # weights are looked at in NumPy: 2 bytes a row, too many beside one output's 4 or 8
    given = (z, y, np.resize([0, 1, 2.0], n).astype(dtype)) if k > 1 else (z, y)
    out = z.copy()
    return lambda: (f(*given), f.value_and_grad(*given, out=out), f.value_and_grad(*given, out=z)), z.nbytes / 4


def step(dtype, cls, row, size):
    w = {"weight": np.resize(NUMBERS, size).astype(dtype), "bias": np.zeros(3, dtype)}
    g, optimizer = {name: x.copy() for name, x in w.items()}, row.make(cls)
    optimizer.step(w, g)  # makes the state
    folded = {"penalty": lo.ElasticNet(0.1, 0.5) if row.sparse else lo.L2(0.1), "max_norm": 0.5, "clip_value": 0.1}
    return lambda: (optimizer.step(w, g), optimizer.step(w, g, **folded)), w["weight"].nbytes / 4


def penalty(dtype, cls, row, size):
    w, g = (np.resize(NUMBERS, size).astype(dtype) for _ in range(2))
    p = row.make(cls)
    return lambda: (p.value(w), p.add_grad(w, g), p.prox(w, 0.1)), w.nbytes / 4


MSE = lo.MSE, cases.LOSSES["mse"][0]
CASES = {"objective csr wide": partial(wide, *MSE)}
for form in FORMS:
    # a file is X as any other: one loss and one number of outputs are enough
    on_disk = "mapped" in form
    for k in (10,) if on_disk else (1, 10, 40):
        CASES[f"construction {form} k={k}"] = partial(construction, form, k, *MSE)
        for label, cls, row in LOSSES:
            if row.scores and row.takes(k) and (row.kernel == "mse" or not on_disk):
                CASES[f"objective {form} k={k} {label}"] = partial(objective, form, k, cls, row)
            # batches differ in nothing but the form of X and the type of y
            if row.kernel in ("mse", "softmax_labels") and form in ("f64", "csr i32", "mapped f64"):
                for engine in ("python", "compiled") if form != "csr i32" and k < 40 else ("python",):
                    CASES[f"training {form} k={k} {label} {engine}"] = partial(training, form, k, engine, cls, row)
for dtype in (np.float64, np.float32):
    for label, cls, row in LOSSES:
        for k in filter(row.takes, (1, 10)):
            CASES[f"loss {dtype.__name__} k={k} {label}"] = partial(loss, k, dtype, cls, row)
    for label, cls, row in cases.walk("optimizers"):
        CASES[f"step {dtype.__name__} {label}"] = partial(step, dtype, cls, row)
    for label, cls, row in cases.walk("penalties"):
        # a number a feature becomes one a weight
        if row.features(1):
            continue
        CASES[f"penalty {dtype.__name__} {label}"] = partial(penalty, dtype, cls, row)


# ---- cases that do take so much


def copied(form, k, size):
    X, _, held, _ = problem(form, k, MSE[1], size)
    return lambda: X * 1.0, held / 4


def multiplied(form, k, size):
    X, _, held, scores = problem(form, k, MSE[1], size)
    W = np.resize(NUMBERS, (X.shape[1], k)).astype(X.dtype)
    return lambda: X @ W, min(held, scores) / 4


def one_row(size):
    """A pass whose only partial gradient is as large as X: memory that NumPy does not know of."""
    f = lo.Objective(np.ones((1, size)), [0.0], lo.MSE())
    w, out = f.zeros(), f.zeros() + 1
    return lambda: f.value_and_grad(w, out=out), 8 * size / 4


CONTROLS = {"kernel": one_row}
for form in ("f64", "csr i32"):
    for k in (1, 10, 40):
        for make in (copied, multiplied):
            CONTROLS[f"{make.__name__} {form} k={k}"] = partial(make, form, k)


# ---- the measure


def peak():
    return 1024 * int(re.search(r"^VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.M)[1])


def taken(call):
    """Bytes that a call holds at its peak, beyond those held before: resident, and asked for by NumPy and Python."""
    gc.collect()
    tracemalloc.start()
    Path("/proc/self/clear_refs").write_text("5")  # the peak is what is resident now
    before = peak()
    call()
    resident = peak() - before
    _, allocated = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return resident, allocated


def measure():
    lo.set_num_threads(2)
    results = {}
    for label, case in (CASES | CONTROLS).items():
        for size in (SMALL, LARGE):
            call, limit = case(size)
            results[label] = (*taken(call), limit)
            del call
    print(json.dumps(results))


@pytest.fixture(scope="module")
def measured():
    if not os.access("/proc/self/clear_refs", os.W_OK):
        pytest.skip("needs /proc/self/clear_refs, to start the peak anew")
    # what is freed goes back at once, so that it is seen again where it is taken again
    return json.loads(printed(measure, MALLOC_MMAP_THRESHOLD_="65536", OPENBLAS_NUM_THREADS="1"))


@pytest.mark.parametrize("label", CASES)
def test_nothing_large_is_allocated(label, measured):
    resident, allocated, limit = measured[label]
    assert resident < limit
    assert allocated < limit


@pytest.mark.parametrize("label", CONTROLS)
def test_what_is_allocated_is_seen(label, measured):
    resident, allocated, limit = measured[label]
    assert resident > limit
    assert (allocated > limit) == (label != "kernel")


# ---- a file, or memory that nobody may write, instead of memory of one's own


def small(row, form, k):
    """X, y, weights and a point."""
    X, y, *_ = problem(form, k, row, 3001 * k)
    w = np.resize(NUMBERS / 9, k * (X.shape[1] + 1)).astype(X.dtype)
    return X, y, np.resize([0, 1, 2], len(y)).astype(X.dtype), w


def shares(held, X):
    """Whether an objective or a trainer holds X itself."""
    if isinstance(held, CSR):
        return np.shares_memory(held.data, X.data) and np.shares_memory(held.indices, X.indices)
    return np.shares_memory(held, X)


@pytest.mark.parametrize("change", [mapped, read_only])
@pytest.mark.parametrize("form", [form for form in FORMS if "mapped" not in form])
@pytest.mark.parametrize("k", [1, 10])
@pytest.mark.parametrize(("cls", "row"), [pytest.param(c, r, id=label) for label, c, r in LOSSES if r.scores])
def test_what_cannot_be_written_gives_the_same_bits(cls, row, k, form, change):
    if not row.takes(k):
        return
    X, y, weight, w = small(row, form, k)
    results = []
    for given in ((X, y, weight), (parted(change, X), change(y), change(weight))):
        f = lo.Objective(*given[:2], row.make(cls), lo.L2(0.1), given[2], n_outputs=k)
        assert shares(f.X, given[0])
        trainers = []
        for engine in ("python", "compiled") if form in ("f32", "f64") else ("python",):
            model = lo.Linear(X.shape[1], k, X.dtype)
            trainers.append(lo.Trainer(model, row.make(cls), lo.SGD(lr=0.01), lo.L1(0.01), engine=engine))
            trainers[-1].fit(*given[:2], validation=given, sample_weight=given[2])
        trained = [np.hstack([*t.model.params["weight"], t.model.params["bias"]]) for t in trainers]
        told = [t.history[curve] for t in trainers for curve in ("train_loss", "val_loss")]
        results.append([*f.value_and_grad(w), f.predict(w, given[0]), *trained, *told])
    for one, other in zip(*results, strict=True):
        assert_array_equal(one, other)
