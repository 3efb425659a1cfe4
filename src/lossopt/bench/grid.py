"""What is measured: shapes, data, and the cells they make."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import lossopt as lo
from lossopt._kernels import loop

Array = NDArray[Any]


class Training(NamedTuple):
    """An epoch of training: the model, the data, and who takes part.

    sizes are those of the layers, two of them a linear model. beside holds the ratio that is wanted of each side, 0
    where none is. each: the numbers in a row of CSR, 0 if X is dense; strengths: the L2 penalties of `fit_many`, 0 for
    a single Trainer.
    """

    name: str
    n: int
    sizes: tuple[int, ...]
    batch: int
    optimizer: str
    beside: Mapping[str, float]
    dtypes: tuple[str, ...] = ("float64",)
    each: int = 0
    strengths: int = 0

    @property
    def steps(self) -> int:
        """Updates an epoch, the short last batch counted."""
        return -(-self.n // self.batch)

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and the sizes of the layers; a single output is not told, as in the shape of a prediction."""
        sizes = self.sizes[:-1] if self.sizes[-1] == 1 else tuple(self.sizes)
        return (self.n, *sizes, self.each) if self.each else (self.n, *sizes)


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
    training: tuple[Training, ...] = ()
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

BOTH = ("float64", "float32")
# at batch size 1 compiled loops alone: an epoch of the others takes seconds, and says what theirs at 32 says
TRAININGS = (
    Training("logistic batch 32", 100_000, (30, 1), 32, "adam", {"python": 0, "numpy": 0, "torch": 100, "jax": 3}),
    Training("logistic batch 1024", 100_000, (30, 1), 1024, "adam", {"python": 0, "numpy": 0, "torch": 0, "jax": 2}),
    Training("logistic batch 1", 100_000, (30, 1), 1, "sgd", {"jax": 0, "sklearn": 1.5}),
    Training("logistic CSR batch 1", 100_000, (10_000, 1), 1, "sgd", {"sklearn": 1.3}, each=25),
    Training(
        "softmax batch 128", 60_000, (784, 10), 128, "adam", {"python": 0, "numpy": 0, "torch": 3, "jax": 1.5}, BOTH
    ),
    Training("fit_many batch 256", 100_000, (300, 1), 256, "adam", {"one": 0.25}, strengths=16),
    Training("mlp batch 32", 20_000, (30, 32, 1), 32, "adam", {"torch": 4, "jax": 0, "sklearn": 3}),
    Training("mlp batch 128", 20_000, (784, 128, 10), 128, "adam", {"torch": 1, "jax": 0, "sklearn": 3}, BOTH),
)
TRAINING = Plan(sizes=(), classes=(), linear=(), outputs=(), sparse=(), many=(), overhead=(), training=TRAININGS)
# under a minute on two cores
TRAINING_QUICK = replace(
    TRAINING,
    training=tuple(of._replace(n=of.n // 5) for of in TRAININGS),
    seconds=QUICK.seconds,
    sample=QUICK.sample,
    rounds=QUICK.rounds,
)

# a table's entry is measured with its defaults; these otherwise, or more than once
VARIANTS: dict[str, tuple[dict[str, Any], ...]] = {"sgd": ({}, {"momentum": 0.9})}
LR = 1e-2
# that an epoch of training is made with
RATES = {"sgd": 1e-2, "adam": 1e-3}
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


@dataclass(frozen=True)
class TrainOf:
    """An epoch of training; the next call is the next epoch."""

    of: Training
    name: str
    loss: lo.Loss
    X: Any
    y: Array

    @property
    def lr(self) -> float:
        """The learning rate of every side."""
        return RATES[self.of.optimizer]

    def make(self) -> lo.Optimizer:
        """A fresh optimizer."""
        return lo.OPTIMIZERS[self.of.optimizer](lr=self.lr)  # type: ignore[call-arg]

    def model(self) -> Any:
        """A fresh model, the same each time."""
        if len(self.of.sizes) == 2:
            return lo.Linear(*self.of.sizes, dtype=self.X.dtype)
        return lo.MLP(self.of.sizes, activation="relu", dtype=self.X.dtype)

    def start(self) -> list[Array]:
        """Where its parameters start: a weight (outputs, inputs) and a bias a layer."""
        return list(self.model().params.values())

    def order(self, epoch: int) -> Array:
        """The rows as a Trainer shuffles them, so that all sides train alike and none pays for a slower shuffle."""
        order = np.empty(self.of.n, np.int64)
        loop.permutation(order, 0, epoch, self.of.n)
        return order


class Cell(NamedTuple):
    """Where a measurement stands in the grid, how to make what is measured, and the sides' method that takes it."""

    group: str
    name: str
    dtype: str
    shape: tuple[int, ...]
    make: Callable[[], LossOf | StepOf | LinearOf | TrainOf]
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


def _csr(n: int, d: int, each: int, dtype: str) -> Any:
    from scipy.sparse import csr_array

    # a column from each of `each` stretches: sorted, none twice
    wide = d // each
    columns = np.arange(each) * wide + np.random.default_rng(0).integers(0, wide, (n, each))
    starts = np.arange(0, n * each + 1, each, dtype=np.int32)
    return csr_array((_normal(0, (n * each,), dtype), columns.ravel().astype(np.int32), starts), shape=(n, d))


def _sparse_of(name: str, loss: lo.Loss, kind: str, n: int, d: int, each: int, dtype: str) -> LinearOf:
    X, y, w = _csr(n, d, each, dtype), _target(kind, n, 1, dtype), _normal(2, (d + 1,), dtype)
    return LinearOf(name, loss, X, y, w, 1, sparse=True)


def _train_of(of: Training, dtype: str) -> TrainOf:
    """Labels follow a linear model and chance, so that there is something to learn."""
    n, d, k = of.n, of.sizes[0], of.sizes[-1]
    X = _csr(n, d, of.each, dtype) if of.each else _rows(n, d, dtype)
    scores = X @ (2 / (of.each or d) ** 0.5 * _normal(2, (d, k), "float64")).astype(dtype)
    scores += np.random.default_rng(1).logistic(size=(n, k)).astype(dtype)
    name, y = (
        ("cross_entropy", scores.argmax(1)) if k > 1 else ("binary_cross_entropy", (scores[:, 0] > 0).astype(dtype))
    )
    return TrainOf(of, name, lo.LOSSES[name](), X, y)


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
    for of in map(Training._make, plan.training):
        for dtype in of.dtypes:
            yield Cell("training", of.name, dtype, of.shape, partial(_train_of, of, dtype), "train")
