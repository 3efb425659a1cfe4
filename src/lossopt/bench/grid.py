"""What is measured: shapes, data, and the cells they make."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import lossopt as lo

Array = NDArray[Any]


@dataclass(frozen=True)
class Plan:
    """Shapes, and how long they are measured."""

    sizes: tuple[int, ...] = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
    classes: tuple[tuple[int, int], ...] = ((4096, 10), (65_536, 10), (2048, 1000), (64, 32_000))
    linear: tuple[tuple[int, int], ...] = ((256, 20), (10_000, 30), (100_000, 100), (2_000_000, 50))
    outputs: tuple[tuple[int, int, int], ...] = ((10_000, 30, 10), (100_000, 100, 10), (10_000, 30, 1000))
    sparse: tuple[tuple[int, int, int], ...] = ((100_000, 10_000, 25),)
    many: tuple[tuple[int, int], ...] = ((200, 1000),)
    overhead: tuple[int, ...] = (16,)
    dtypes: tuple[str, ...] = ("float64", "float32")
    peers: bool = False
    seconds: float = 0.25  # of measuring a side of a cell
    sample: float = 2e-3  # a sample repeats the call until it lasts so long
    rounds: int = 5  # in which every side is sampled once; at least so many


FULL = Plan()
# under two minutes on two cores
QUICK = Plan(
    sizes=(10_000, 1_000_000),
    classes=((4096, 10), (2048, 1000)),
    linear=((256, 20), (10_000, 30), (100_000, 100)),
    outputs=((10_000, 30, 10),),
    seconds=0.05,
    sample=5e-4,
    rounds=3,
)

# a table's entry is measured with its defaults; these otherwise, or more than once
VARIANTS: dict[str, tuple[dict[str, Any], ...]] = {"sgd": ({}, {"momentum": 0.9})}
LR = 1e-2
# the losses that linear models are measured with
LINEAR = ("mse", "binary_cross_entropy", "cross_entropy")


@dataclass(frozen=True)
class LossOf:
    """Value and gradient of a loss."""

    name: str
    loss: lo.Loss
    z: Array
    y: Array


@dataclass(frozen=True)
class StepOf:
    """An optimizer's step over arrays; overhead: its limit is a single np.add."""

    name: str
    kwargs: Mapping[str, Any]
    w: list[Array]
    g: list[Array]
    overhead: bool = False

    def make(self) -> lo.Optimizer:
        """A fresh optimizer."""
        return lo.OPTIMIZERS[self.name](**self.kwargs)


@dataclass(frozen=True)
class LinearOf:
    """Value and gradient of a linear model's loss from X, dense or CSR."""

    name: str
    loss: lo.Loss
    X: Any
    y: Array
    w: Array
    k: int
    sparse: bool = False


class Cell(NamedTuple):
    """Where a measurement stands in the grid, how to make what is measured, and the sides' method that takes it."""

    group: str
    name: str
    dtype: str
    shape: tuple[int, ...]
    make: Callable[[], LossOf | StepOf | LinearOf]
    method: str


# kinds of targets, in the order in which a loss is asked
TARGETS: dict[str, Callable[[np.random.Generator, int, int], Array]] = {
    "real": lambda rng, n, k: rng.standard_normal(n),
    "binary": lambda rng, n, k: rng.integers(0, 2, n),
    "positive": lambda rng, n, k: rng.uniform(0.1, 2, n),
    "labels": lambda rng, n, k: rng.integers(0, k, n),
}


def _normal(seed: int, shape: tuple[int, ...], dtype: str) -> Array:
    real: Any = np.dtype(dtype).type
    return np.random.default_rng(seed).standard_normal(shape, real)


def _target(kind: str, n: int, k: int, dtype: str) -> Array:
    y = TARGETS[kind](np.random.default_rng(1), n, k)
    return y if kind == "labels" else y.astype(dtype)


def _losses(note: Callable[[str], None]) -> Iterator[tuple[str, lo.Loss, str]]:
    """Name, loss and kind of target of every entry; scores of several classes go with labels."""
    for name, cls in lo.LOSSES.items():
        for kind in TARGETS:
            try:
                loss = cls()
                loss(np.zeros((4, 3) if kind == "labels" else 4), _target(kind, 4, 3, "float64"))
            except (TypeError, ValueError):
                continue
            yield name, loss, kind
            break
        else:
            note(f"loss {name}: left out, it asks for more than predictions and targets")


def _loss_of(name: str, loss: lo.Loss, kind: str, shape: tuple[int, ...], dtype: str) -> LossOf:
    return LossOf(name, loss, 3 * _normal(0, shape, dtype), _target(kind, shape[0], shape[-1], dtype))


def _step_of(name: str, kwargs: Mapping[str, Any], count: int, n: int, overhead: bool, dtype: str) -> StepOf:
    w, g = ([_normal(2 * i + j, (n,), dtype) for i in range(count)] for j in range(2))
    return StepOf(name, {"lr": LR, **kwargs}, w, g, overhead)


def _linear_of(name: str, loss: lo.Loss, kind: str, n: int, d: int, k: int, dtype: str) -> LinearOf:
    w = _normal(2, (k * (d + 1),), dtype)
    w /= w.dtype.type(d**0.5)
    return LinearOf(name, loss, _rows(n, d, dtype), _target(kind, n, k, dtype), w, k)


@lru_cache(maxsize=1)
def _rows(n: int, d: int, dtype: str) -> Array:
    return _normal(0, (n, d), dtype)


def _sparse_of(name: str, loss: lo.Loss, kind: str, n: int, d: int, each: int, dtype: str) -> LinearOf:
    from scipy.sparse import csr_array

    # a column from each of `each` stretches: sorted, none twice
    wide = d // each
    columns = np.arange(each) * wide + np.random.default_rng(0).integers(0, wide, (n, each))
    starts = np.arange(0, n * each + 1, each, dtype=np.int32)
    X = csr_array((_normal(0, (n * each,), dtype), columns.ravel().astype(np.int32), starts), shape=(n, d))
    return LinearOf(name, loss, X, _target(kind, n, 1, dtype), _normal(2, (d + 1,), dtype), 1, sparse=True)


def cells(plan: Plan, note: Callable[[str], None]) -> Iterator[Cell]:
    """The grid of a plan; `note` hears what is left out."""
    losses = list(_losses(note))
    variants = [(name, kwargs) for name in lo.OPTIMIZERS for kwargs in VARIANTS.get(name, ({},))]
    linear = [(*of, of[2] == "labels") for of in losses if of[0] in LINEAR]

    def loss_cells(
        group: str, dtype: str, flat: list[tuple[int, ...]], classes: list[tuple[int, ...]]
    ) -> Iterator[Cell]:
        for name, loss, kind in losses:
            for shape in classes if kind == "labels" else flat:
                yield Cell(group, name, dtype, shape, partial(_loss_of, name, loss, kind, shape, dtype), "loss")

    def step_cells(group: str, dtype: str, counts: list[tuple[int, int]]) -> Iterator[Cell]:
        for name, kwargs in variants:
            for count, n in counts:
                make = partial(_step_of, name, kwargs, count, n, group == "overhead", dtype)
                yield Cell(group, " ".join([name, *kwargs]), dtype, (n,) if count == 1 else (count, n), make, "step")

    for dtype in plan.dtypes:
        yield from loss_cells("loss", dtype, [(n,) for n in plan.sizes], [tuple(shape) for shape in plan.classes])
    for dtype in plan.dtypes:
        yield from step_cells("step", dtype, [*((1, n) for n in plan.sizes), *plan.many])
    for dtype in plan.dtypes:
        for n, d, k in (*((n, d, 1) for n, d in plan.linear), *plan.outputs):
            for name, loss, kind, labels in linear:
                if labels == (k > 1):
                    make = partial(_linear_of, name, loss, kind, n, d, k, dtype)
                    yield Cell("linear", name, dtype, (n, d, k)[: 2 + labels], make, "linear")
    for dtype in plan.dtypes:
        for n, d, each in plan.sparse:
            for name, loss, kind, labels in linear:
                if not labels:
                    make = partial(_sparse_of, name, loss, kind, n, d, each, dtype)
                    yield Cell("sparse", name, dtype, (n, d, each), make, "linear")
    for n in plan.overhead:
        yield from loss_cells("overhead", "float64", [(n,)], [(n // 4, 4)])
        yield from step_cells("overhead", "float64", [(1, n)])
