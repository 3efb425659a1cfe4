"""Who is measured: lossopt, its NumPy twin and the machine's limit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from copy import copy
from functools import partial
from itertools import count, pairwise
from math import inf
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np

import lossopt as lo
from lossopt import _kernels
from lossopt.bench.grid import Array, LinearOf, LossOf, StepOf, TrainOf


class Work(NamedTuple):
    """What one side does in a cell, and how its result is read in lossopt's layout and convention."""

    call: Callable[[], Any]
    read: Callable[[Any], Any] = lambda result: result


Works = dict[str, Work]


class Side(Protocol):
    """One who takes part: for each operation, the work of its columns; none where it lacks the operation.

    Losses and linear models give (value, gradient), a step the arrays, an epoch of training its mean loss and the
    parameters, or the loss alone where the rows come in an order of the side's own.
    """

    columns: ClassVar[tuple[str, ...]]
    needs: ClassVar[tuple[str, ...]]

    def __init__(self, threads: int) -> None: ...

    def loss(self, op: LossOf) -> Works:
        """Value and gradient of a loss."""

    def step(self, op: StepOf) -> Works:
        """A step of an optimizer."""

    def linear(self, op: LinearOf) -> Works:
        """Value and gradient of a linear model's loss."""

    def train(self, op: TrainOf) -> Works:
        """An epoch of training."""


class Ours:
    """lossopt's public classes.

    "fresh" makes an array for the gradient, as every peer does; "python" trains with the Python loop, "one" one model
    where lossopt trains many.
    """

    columns: ClassVar[tuple[str, ...]] = ("lossopt", "fresh", "python", "one")
    needs: ClassVar[tuple[str, ...]] = ()

    def __init__(self, threads: int) -> None:
        lo.set_num_threads(threads)

    def loss(self, op: LossOf) -> Works:
        out = np.empty_like(op.z)
        return {
            "lossopt": Work(lambda: op.loss.value_and_grad(op.z, op.y, out=out)),
            "fresh": Work(lambda: op.loss.value_and_grad(op.z, op.y)),
        }

    def step(self, op: StepOf) -> Works:
        optimizer, w = op.make(), [x.copy() for x in op.w]
        params, grads = (w, op.g) if len(w) > 1 else (w[0], op.g[0])

        def call() -> Any:
            optimizer.step(params, grads)
            return w

        return {"lossopt": Work(call)}

    def linear(self, op: LinearOf) -> Works:
        objective = lo.Objective(op.X, op.y, op.loss, n_outputs=op.k)
        return {"lossopt": Work(lambda: objective.value_and_grad(op.w))}

    def train(self, op: TrainOf) -> Works:
        def trainer(engine: str = "auto", penalty: lo.Penalty | None = None) -> Callable[[], Any]:
            made = lo.Trainer(op.model(), op.loss, op.make(), penalty, batch_size=op.of.batch, engine=engine)
            return lambda: (made.fit(op.X, op.y)["train_loss"][-1], *made.model.params.values())

        if not op.of.strengths:
            engines = {"lossopt": "auto"} | ({"python": "python"} if "python" in op.of.beside else {})
            return {name: Work(trainer(engine)) for name, engine in engines.items()}
        penalties = [lo.L2(x) for x in np.geomspace(1e-6, 1e-3, op.of.strengths)]
        grid: dict[str, list[Any]] = {"penalty": penalties, "optimizer": [op.make()]}
        many = partial(lo.fit_many, op.X, op.y, op.loss, grid, batch_size=op.of.batch)
        return {
            "lossopt": Work(many, lambda fits: fits.models[0].params.values()),
            "one": Work(lambda: trainer(penalty=penalties[0])(), lambda result: result[1:]),
        }


class Twin:
    """The NumPy twin of the kernels, without the classes around them; "numpy": a loop as one writes it by hand."""

    columns: ClassVar[tuple[str, ...]] = ("twin", "numpy")
    needs: ClassVar[tuple[str, ...]] = ()

    def __init__(self, threads: int) -> None:
        self.kernels = _kernels.load("reference")

    @contextmanager
    def _instead(self) -> Iterator[None]:
        """Objects made meanwhile hold the twin's kernels."""
        before = _kernels.losses, _kernels.updates
        _kernels.losses, _kernels.updates = self.kernels.losses, self.kernels.updates
        try:
            yield
        finally:
            _kernels.losses, _kernels.updates = before

    def _bind(self, loss: lo.Loss, shape: tuple[int, ...], dtype: Any, y: Array) -> tuple[Any, Array, float, float]:
        with self._instead():
            kernel, target = copy(loss)._bind(shape, dtype, y)
            mass = loss._mass(shape, loss._weigh(y, None, np.dtype(dtype)))
        return kernel, target, mass, loss._scale(mass)

    def loss(self, op: LossOf) -> Works:
        kernel, y, mass, scale = self._bind(op.loss, op.z.shape, op.z.dtype, op.y)
        out, k, run = np.empty_like(op.z), op.z[0].size, self.kernels.losses.value_and_grad
        return {"twin": Work(lambda: (op.loss._reduce(run(kernel, op.z, y, None, out, k, scale), mass), out))}

    def step(self, op: StepOf) -> Works:
        with self._instead():
            optimizer = op.make()
        w, which = [x.copy() for x in op.w], np.zeros(len(op.w), np.int64)
        state = [np.zeros_like(x) for x in w for _ in optimizer._kinds()]
        step = self.kernels.updates.step

        def call() -> Any:
            now = optimizer._now(optimizer.steps)
            optimizer.steps += 1
            step(optimizer._kernel, w, op.g, state, ((*now, 0.0, 0.0),), which, optimizer.steps, 1.0, inf)
            return w

        return {"twin": Work(call)}

    def linear(self, op: LinearOf) -> Works:
        if op.sparse:
            return {}
        d, k, run = op.X.shape[1], op.k, self.kernels.linear.value_and_grad
        kernel, y, mass, scale = self._bind(op.loss, op.loss._shape(len(op.X), k), op.X.dtype, op.y)
        grad = np.empty_like(op.w)
        weight, bias, to_weight, to_bias = (x for v in (op.w, grad) for x in (v[: k * d].reshape(k, d), v[k * d :]))

        def call() -> Any:
            value = run(kernel, op.X, y, None, weight, bias, to_weight, to_bias, scale)
            return op.loss._reduce(value, mass), grad

        return {"twin": Work(call)}

    def train(self, op: TrainOf) -> Works:
        """A linear model with Adam."""
        if "numpy" not in op.of.beside:
            return {}
        (weight, b), n, several = op.start(), op.of.n, op.name == "cross_entropy"
        w = weight if several else weight[0]
        m, v = ([np.zeros_like(x) for x in (w, b)] for _ in range(2))
        epochs, steps = count(), count(1)

        def call() -> Any:
            order, total = op.order(next(epochs)), 0.0
            for i in range(0, n, op.of.batch):
                rows = order[i : i + op.of.batch]
                X, y = op.X[rows], op.y[rows]
                z = X @ w.T + b
                if several:
                    own, z = (np.arange(len(y)), y), z - z.max(axis=1, keepdims=True)
                    g = np.exp(z)
                    sums = g.sum(axis=1, keepdims=True)
                    total += float(np.log(sums).sum() - z[own].sum())
                    g /= sums
                    g[own] -= 1
                else:
                    total += float((np.logaddexp(0, z) - y * z).sum())
                    g = 1 / (1 + np.exp(-z)) - y
                g /= len(y)
                t = next(steps)
                for x, dx, mx, vx in zip((w, b), (g.T @ X, g.sum(axis=0)), m, v, strict=True):
                    mx += 0.1 * (dx - mx)
                    vx += 0.001 * (dx * dx - vx)
                    x -= op.lr / (1 - 0.9**t) * mx / (np.sqrt(vx / (1 - 0.999**t)) + 1e-8)
            return total / n, weight, b

        return {"numpy": Work(call)}


class Limit:
    """The same memory traffic and one addition a number, on as many threads."""

    columns: ClassVar[tuple[str, ...]] = ("limit",)
    needs: ClassVar[tuple[str, ...]] = ()
    SPLIT = 1 << 22  # bytes of an array from which a pool of threads gains

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.pool = ThreadPoolExecutor(threads) if threads > 1 else None

    def _add(self, a: Array, b: Array, out: Array) -> None:
        """out = a + b; b may be a single number."""
        if self.pool is None or out.nbytes < self.SPLIT:
            np.add(a, b, out=out)
            return
        ends = [i * out.size // self.threads for i in range(self.threads + 1)]
        parts = [slice(*pair) for pair in pairwise(ends)]
        jobs = [self.pool.submit(np.add, a[p], b[p] if b.ndim else b, out=out[p]) for p in parts]
        for job in jobs:
            job.result()

    def loss(self, op: LossOf) -> Works:
        z, y, one = op.z.reshape(-1), op.y.reshape(-1), np.ones((), op.z.dtype)
        out = np.empty_like(z)

        def labels() -> None:
            self._add(z, one, out)
            np.add.reduce(y)

        return {"limit": Work(labels if y.size < z.size else lambda: self._add(z, y, out))}

    def step(self, op: StepOf) -> Works:
        # many arrays are one here
        w, g = np.concatenate(op.w), np.concatenate(op.g)
        one = np.ones((), w.dtype)
        state = [] if op.overhead else [np.zeros_like(w) for _ in op.make()._kinds()]

        def call() -> None:
            self._add(w, g, w)
            for x in state:
                self._add(x, one, x)

        return {"limit": Work(call)}

    def linear(self, op: LinearOf) -> Works:
        if op.sparse:
            values, indices = op.X.data, op.X.indices
            return {"limit": Work(lambda: (np.dot(values, values), np.add.reduce(indices)))}
        if op.k > _kernels.linear.MOST_OUTPUTS:
            weight, z = op.w[: op.k * op.X.shape[1]].reshape(op.k, -1), np.empty((len(op.X), op.k), op.X.dtype)
            out = np.empty_like(weight)
            return {"limit": Work(lambda: (np.matmul(op.X, weight.T, out=z), np.matmul(z.T, op.X, out=out)))}
        flat = op.X.reshape(-1)
        return {"limit": Work(lambda: np.dot(flat, flat))}

    def train(self, op: TrainOf) -> Works:
        """A loop has none that one could write down."""
        return {}


HOME: tuple[type[Side], ...] = (Ours, Twin, Limit)
