"""Real training runs of known kind, for the diagnosis: data of scikit-learn's, and settings that provoke each case."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
from sklearn import datasets, preprocessing
from sklearn.model_selection import train_test_split

import lossopt as lo

DATA = {
    "cancer": (datasets.load_breast_cancer, lo.BinaryCrossEntropy(), 1),
    "digits": (datasets.load_digits, lo.CrossEntropy(), 10),
    "wine": (datasets.load_wine, lo.CrossEntropy(), 3),
    "diabetes": (datasets.load_diabetes, lo.MSE(), 1),
    "linnerud": (datasets.load_linnerud, lo.MSE(), 3),
    "iris": (datasets.load_iris, lo.CrossEntropy(), 3),
}


split = 0  # of the rows, and the seeds of all runs: another one makes other runs of the same kinds


@cache
def split_data(name: str, state: int) -> Any:
    """Rows to train on and to look at, columns scaled."""
    load, loss, k = DATA[name]
    X, y = load(return_X_y=True)
    y = preprocessing.scale(y) if isinstance(loss, lo.MSE) else y
    return train_test_split(preprocessing.scale(X), y, test_size=0.3, random_state=state), loss, k


def data(name: str) -> Any:
    return split_data(name, split)


def run(
    name: str,
    optimizer: lo.Optimizer,
    hidden: int = 0,
    epochs: int = 40,
    rows: int | None = None,
    noise: float = 0.0,
    features: int | None = None,
    stop: bool = False,
    seed: int = 0,
    shuffled: bool = False,
    easy: bool = False,
    dropout: float = 0.0,
    validation: bool = True,
    **options: Any,
) -> lo.History:
    """A fit's history."""
    (X, X_val, y, y_val), loss, k = data(name)
    seed += 100 * split
    X, X_val, rng = X[:rows, :features], X_val[:, :features], np.random.default_rng(seed)
    y = y[:rows]
    if shuffled:
        y = rng.permutation(y)
    if noise:
        wrong = rng.random(len(y)) < noise
        y = np.where(wrong if y.ndim == 1 else wrong[:, None], rng.permutation(y), y)
    if easy:
        # rows that a good model has no trouble with
        good = lo.Linear(X.shape[1], k)
        lo.Trainer(good, loss, lo.Adam(0.05)).fit(X_val, y_val, epochs=30)
        best = np.argsort(loss.pointwise(good.predict(X_val), y_val))[: len(y_val) // 2]
        X_val, y_val = X_val[best], y_val[best]
    d = X.shape[1]
    model = lo.MLP((d, hidden, k), dropout=dropout, seed=seed) if hidden else lo.Linear(d, k, seed=seed)
    callbacks = [lo.EarlyStopping(patience=5)] if stop else []
    trainer = lo.Trainer(model, loss, optimizer, seed=seed, callbacks=callbacks, **options)
    with np.errstate(over="ignore", invalid="ignore"), contextlib.suppress(FloatingPointError):
        trainer.fit(X, y, epochs=epochs, validation=(X_val, y_val) if validation else None)
    return trainer.history


def steepest(name: str, batch: int | None = None) -> float:
    """1 / L of the squares of all rows, or of single ones."""
    (X, _, y, _), loss, k = data(name)
    if batch is None:
        return lo.safe_lr(lo.Objective(X, y, loss, n_outputs=k))
    return 1 / (2 * (np.square(X).sum(axis=1).max() + 1))


def healthy() -> Iterator[lo.History]:
    # 14 rows to train on and 6 to look at (linnerud) have no curves of known kind
    for name in sorted(DATA.keys() - {"linnerud"}):
        steps = 40 * -(-len(data(name)[0][0]) // 16)
        for seed in range(2):
            cosine = lo.CosineAnnealing(0.01, steps)
            options = {"batch_size": 16, "stop": True, "seed": seed}
            yield run(name, lo.Adam(lo.CosineAnnealing(0.03, steps)), penalty=lo.L2(1e-3), **options)
            yield run(name, lo.Adam(cosine), hidden=16, penalty=lo.L2(1e-3), **options)
        yield run(name, lo.SGD(0.5 * steepest(name), momentum=0.9), epochs=80, batch_size=None, stop=True)
        yield run(name, lo.AdamW(lo.Warmup(cosine, 10)), hidden=8, stop=True, batch_size=16, validation=True)


def dead() -> Iterator[lo.History]:
    for name in ("diabetes", "linnerud"):
        for skip in ("raise", "skip"):
            for hidden in (0, 16):
                yield run(name, lo.SGD(30.0), hidden=hidden, epochs=200, on_nonfinite=skip)


def diverging() -> Iterator[lo.History]:
    for name in ("diabetes", "linnerud"):
        for factor in (2.1, 2.2, 2.4):
            yield run(name, lo.SGD(factor * steepest(name)), epochs=50, batch_size=None)
        yield run(name, lo.SGD(lo.Constant(2.05 * steepest(name))), epochs=80, batch_size=None)


def jumpy() -> Iterator[lo.History]:
    for name in ("digits", "cancer", "wine", "iris"):
        yield run(name, lo.RMSprop(0.3), epochs=40, batch_size=8, noise=0.1)
        yield run(name, lo.Adam(0.1), hidden=16, epochs=40, batch_size=4, noise=0.1)
    yield run("diabetes", lo.Adam(0.8), epochs=40, batch_size=8)
    yield run("diabetes", lo.SGD(0.05, momentum=0.9), epochs=40, batch_size=4)


def slow() -> Iterator[lo.History]:
    for name in DATA:
        yield run(name, lo.SGD(2e-4), epochs=30)
        yield run(name, lo.Adam(1e-4), hidden=16, epochs=20)


def overfitting() -> Iterator[lo.History]:
    for name in ("cancer", "digits", "wine", "diabetes", "iris"):
        for seed in range(2):
            yield run(name, lo.Adam(0.01), hidden=64, epochs=150, rows=80, noise=0.2, seed=seed, batch_size=16)
    yield run("diabetes", lo.Adam(0.01), hidden=64, epochs=150)
    yield run("digits", lo.Adam(0.02), epochs=150, rows=100)


def underfitting() -> Iterator[lo.History]:
    for name in ("cancer", "digits", "wine", "iris"):
        yield run(name, lo.Adam(lo.CosineAnnealing(0.02, 800)), epochs=40, shuffled=True, batch_size=32)
    yield run("digits", lo.Adam(0.01), features=2, epochs=60)
    yield run("diabetes", lo.Adam(0.01), features=2, epochs=60)
    yield run("diabetes", lo.Adam(0.003), shuffled=True, epochs=60)


def choked() -> Iterator[lo.History]:
    for name in ("cancer", "digits", "wine", "iris", "diabetes"):
        yield run(name, lo.SGD(0.02), penalty=lo.L2(5.0), epochs=40)
        yield run(name, lo.Adam(0.01), penalty=lo.L1(1.0), epochs=40)


def leaking() -> Iterator[lo.History]:
    for name in ("cancer", "digits", "wine", "iris", "diabetes"):
        yield run(name, lo.Adam(lo.CosineAnnealing(0.01, 40 * 20)), easy=True, penalty=lo.L2(1e-2), epochs=40)
    for name in ("digits", "wine", "iris"):
        yield run(name, lo.Adam(0.005), hidden=32, dropout=0.7, epochs=30)


def rough() -> Iterator[lo.History]:
    for name in ("diabetes", "linnerud"):
        for factor in (2.5, 3.0, 3.5):
            decay = lo.ExponentialDecay(factor * steepest(name), 0.05)
            yield run(name, lo.SGD(decay), epochs=120, batch_size=None)


KINDS = {
    "healthy": (healthy, set()),
    "dead": (dead, {"dead"}),
    "diverging": (diverging, {"diverging", "dead"}),
    "jumpy": (jumpy, {"jumpy", "diverging"}),
    "slow": (slow, {"unfinished"}),
    "overfitting": (overfitting, {"overfitting"}),
    "underfitting": (underfitting, {"underfitting"}),
    "choked": (choked, {"penalty_too_strong"}),
    "leaking": (leaking, {"validation_below_training"}),
    "rough": (rough, {"rough_start"}),
}
