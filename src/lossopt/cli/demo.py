"""The demo: three models on real data, each judged by an independent solver."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

import lossopt as lo
from lossopt import _kernels
from lossopt._refused import RefusedError

Array = NDArray[Any]

PICTURE = "lossopt-demo.png"


@dataclass(frozen=True)
class _Job:
    """A model of the demo: a data set, a loss, and who finds the optimum of the same objective independently."""

    title: str
    data: str
    loss: lo.Loss
    outputs: int
    strength: float
    lr: float
    optimum: Callable[[Array, Array, float], tuple[Array, Array]]
    score: str
    kernel: str


def _ridge(X: Array, y: Array, strength: float) -> tuple[Array, Array]:
    from sklearn.linear_model import Ridge

    # scikit-learn minimizes the sum of squares, lossopt the mean
    fitted = Ridge(alpha=len(y) * strength, tol=1e-12).fit(X, y)
    return np.atleast_2d(fitted.coef_), np.atleast_1d(fitted.intercept_)


def _logistic(X: Array, y: Array, strength: float) -> tuple[Array, Array]:
    from sklearn.linear_model import LogisticRegression

    # scikit-learn minimizes C * the sum of losses + half the squares, lossopt the mean + strength * the squares
    fitted = LogisticRegression(C=1 / (2 * len(y) * strength), tol=1e-10, max_iter=100_000).fit(X, y)
    return fitted.coef_, fitted.intercept_


JOBS = (
    _Job("linear regression", "diabetes", lo.MSE(), 1, 1e-2, 0.1, _ridge, "R2", "mse"),
    _Job("logistic regression", "breast_cancer", lo.BinaryCrossEntropy(), 1, 1e-3, 0.03, _logistic, "accuracy", "bce"),
    _Job("softmax regression", "digits", lo.CrossEntropy(), 10, 1e-3, 0.02, _logistic, "accuracy", "softmax_labels"),
)
EPOCHS, WARMUP, BATCH = 400, 50, 32


def _load(job: _Job) -> tuple[Array, Array, Array, Array]:
    """The data set, a quarter of its rows held back, columns scaled by the rows to train on."""
    from sklearn import datasets
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import StandardScaler

    X, y = getattr(datasets, f"load_{job.data}")(return_X_y=True)
    X, X_held, y, y_held = train_test_split(X, y, test_size=0.25, random_state=0)
    scaler = StandardScaler().fit(X)
    if job.score == "R2":
        mean, spread = y.mean(), y.std()
        y, y_held = (y - mean) / spread, (y_held - mean) / spread
    return scaler.transform(X), scaler.transform(X_held), y, y_held


def _scored(job: _Job, scores: Array, y: Array) -> float:
    if job.score == "R2":
        return 1 - float(np.sum((y - scores) ** 2) / np.sum((y - y.mean()) ** 2))
    label = scores.argmax(axis=1) if scores.ndim == 2 else scores > 0
    return float(np.mean(label == y))


def _step_seconds(kernels: SimpleNamespace, objective: lo.Objective, make: str) -> float:
    """The median time of one training step (loss, gradient, Adam) on a batch, by the kernels of one level."""
    X, k = np.ascontiguousarray(objective.X[:BATCH]), objective.n_outputs
    y = np.ascontiguousarray(objective._y[:BATCH])
    weight, bias = np.zeros((k, X.shape[1])), np.zeros(k)
    grads = [np.empty_like(weight), np.empty_like(bias)]
    state = kernels.Arrays([np.zeros_like(x) for x in (weight, weight, bias, bias)], True)
    params, memory = kernels.Arrays([weight, bias], True), kernels.Arrays(grads, False)
    loss = getattr(kernels.losses, make)(*([1.0, 1.0, 0.0] if make == "bce" else []))
    adam, which = (1e-3, 0.9, 0.999, 1e-8, 0.0, False), np.array([0, 1])
    update, settings = kernels.updates.adam_update(), ((*adam, 0.0, 1e-3), (*adam, 0.0, 0.0))
    times = []
    for t in range(1, 301):
        began = time.perf_counter()
        kernels.linear.value_and_grad(loss, X, y, None, weight, bias, *grads, 1 / len(X))
        kernels.updates.step(update, params, memory, state, settings, which, t, 1.0, np.inf)
        times.append(time.perf_counter() - began)
    return float(np.median(times))


def demo(arguments: argparse.Namespace) -> None:
    """Train three models on data that scikit-learn ships, and judge each by an independent solver."""
    try:
        import sklearn  # noqa: F401
        import tqdm  # noqa: F401
        from matplotlib.figure import Figure
    except ImportError as error:
        raise RefusedError(f"the demo needs {error.name}: pip install 'lossopt[demo]'") from None
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    axes = figure.subplots(1, len(JOBS))
    rows = []
    for job, ax in zip(JOBS, axes, strict=True):
        X, X_held, y, y_held = _load(job)
        objective = lo.Objective(X, y, job.loss, lo.L2(job.strength), n_outputs=job.outputs)
        updates = arguments.epochs * -(-len(X) // BATCH)
        warmup = min(WARMUP, updates)
        schedule = lo.Warmup(lo.CosineAnnealing(lr=job.lr, T_max=max(1, updates - warmup)), steps=max(1, warmup))
        model = lo.Linear(X.shape[1], job.outputs)
        trainer = lo.Trainer(model, job.loss, lo.Adam(lr=schedule), penalty=objective.penalty, batch_size=BATCH)
        print(f"{job.title} on {job.data}: {len(X)} rows to train on, {len(X_held)} held back", flush=True)
        history = trainer.fit(X, y, epochs=arguments.epochs, validation=(X_held, y_held), progress=True)
        reached = objective(_flat(model.params["weight"], model.params["bias"]))
        best = objective(_flat(*job.optimum(X, y, job.strength)))
        ours, twin = (
            _step_seconds(_kernels.load(level), objective, job.kernel) for level in (_kernels.level, "reference")
        )
        score = _scored(job, model.predict(X_held), y_held)
        rows.append((job, reached, best, score, ours, twin))
        history.plot(ax=ax).set_yscale("log")
        # above what the curves were found to show
        ax.set_title(f"{job.title} ({job.data})\n")
    print()
    head = f"{'model':20} {'objective':>10} {'optimum':>10} {'apart':>8}   {'on held-back rows':18}"
    print(f"{head} {'step':>8} {'NumPy':>8} {'ratio':>6}")
    for job, reached, best, score, ours, twin in rows:
        held = f"{job.score} {score:.3f}"
        print(
            f"{job.title:20} {reached:10.6f} {best:10.6f} {reached / best - 1:8.1e}   {held:18}"
            f" {ours * 1e6:5.1f} us {twin * 1e6:5.1f} us {twin / ours:5.1f}x"
        )
    print()
    print("objective: mean loss + L2 on the rows to train on; optimum: the same, found by scikit-learn; step: loss,")
    print(f"gradient and Adam on {BATCH} rows, by the compiled kernels ({_kernels.level}) and by their NumPy twins.")
    try:
        figure.savefig(PICTURE, dpi=120)
    except OSError as error:
        raise RefusedError(f"{PICTURE} cannot be written here: {error.strerror}") from None
    print(f"The loss curves are in {PICTURE}.")


def _flat(weight: Array, bias: Array) -> Array:
    return np.concatenate([weight.ravel(), bias])
