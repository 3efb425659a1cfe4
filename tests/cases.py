"""The rows that the generic tests and the benchmarks walk: at least one for every entry of every table of lossopt.

To add a loss, a penalty, an optimizer or a schedule, add a row (or some) under its name; nothing else in tests/ need
change. `walk` goes over a table, a row builds its object with `make`, and the generic tests ask no more of it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import lossopt as lo

Array = np.ndarray


# ---- data: (rng, n, dtype, k) -> (prediction, target); k is None for one output, predictions (n,)


def shape(n: int, k: int | None) -> tuple[int, ...]:
    return (n,) if k is None else (n, k)


def real(rng: np.random.Generator, n: int, dtype: Any, k: int | None) -> tuple[Array, Array]:
    """Scores, and targets that are any numbers."""
    return 3 * rng.standard_normal(shape(n, k)).astype(dtype), rng.standard_normal(shape(n, k)).astype(dtype)


def binary(rng: np.random.Generator, n: int, dtype: Any, k: int | None) -> tuple[Array, Array]:
    """Scores, and targets 0 or 1."""
    return 3 * rng.standard_normal(shape(n, k)).astype(dtype), rng.integers(0, 2, shape(n, k)).astype(dtype)


def unit(rng: np.random.Generator, n: int, dtype: Any, k: int | None) -> tuple[Array, Array]:
    """Scores, and targets in [0, 1], both ends included."""
    return 3 * rng.standard_normal(shape(n, k)).astype(dtype), rng.integers(0, 5, shape(n, k)).astype(dtype) / 4


def probable(rng: np.random.Generator, n: int, dtype: Any, k: int | None) -> tuple[Array, Array]:
    """Probabilities inside (0, 1), and targets in [0, 1]."""
    return rng.uniform(0.01, 0.99, shape(n, k)).astype(dtype), unit(rng, n, dtype, k)[1]


def counts(rng: np.random.Generator, n: int, dtype: Any, k: int | None) -> tuple[Array, Array]:
    """Logarithms of means, and targets 0, 1, 2, ..."""
    return rng.standard_normal(shape(n, k)).astype(dtype), rng.poisson(1.5, shape(n, k)).astype(dtype)


def positive(rng: np.random.Generator, n: int, dtype: Any, k: int | None) -> tuple[Array, Array]:
    """Logarithms of means, and positive targets."""
    return rng.standard_normal(shape(n, k)).astype(dtype), rng.gamma(2.0, size=shape(n, k)).astype(dtype)


def labelled(rng: np.random.Generator, n: int, dtype: Any, k: int) -> tuple[Array, Array]:
    """Scores of k classes, and class labels."""
    return 3 * rng.standard_normal((n, k)).astype(dtype), rng.integers(0, k, n)


def distributed(rng: np.random.Generator, n: int, dtype: Any, k: int) -> tuple[Array, Array]:
    """Scores of k classes, and a probability for each, zeros among them."""
    y = rng.integers(0, 3, (n, k)) + np.eye(k, dtype=int)[rng.integers(0, k, n)]
    return 3 * rng.standard_normal((n, k)).astype(dtype), (y / y.sum(axis=1, keepdims=True)).astype(dtype)


# ---- rows


@dataclass(frozen=True, eq=False)
class Row:
    """What every row has: the constructor's arguments."""

    kwargs: Mapping[str, Any]

    def make(self, cls: type, **more: Any) -> Any:
        return cls(**{**self.kwargs, **more})


@dataclass(frozen=True, eq=False)
class Loss(Row):
    """A loss, predictions and targets for it, and its kernel: a factory's name in _kernels.losses and its arguments."""

    draw: Callable[..., tuple[Array, Array]]
    kernel: str
    constants: tuple[Any, ...] = ()
    k: int | None = None  # outputs of the data that generic tests use; None: predictions (n,)
    classes: bool = False  # a row's outputs are its classes: they make one value together
    smooth: bool = True  # False: the gradient jumps somewhere
    scores: bool = True  # predictions are any numbers; False: probabilities
    fixed: bool = False  # it takes k outputs and no other number

    def takes(self, k: int | None) -> bool:
        return not self.fixed or k == self.k or (k == 1 and self.k is None)

    def data(self, rng: Any, n: int, dtype: Any = np.float64, k: int | None = None) -> tuple[Array, Array]:
        """n predictions and targets, with the row's own number of outputs unless another is given."""
        return self.draw(rng, n, dtype, self.k if k is None else k)

    def block(self, kernels: Any) -> Any:
        """The kernel object of a level, or of the twin."""
        arguments = [np.array(x, float) if isinstance(x, tuple) else x for x in self.constants]
        return getattr(kernels.losses, self.kernel)(*arguments)


@dataclass(frozen=True, eq=False)
class Penalty(Row):
    """A penalty, and what it must come to for weights (m, d), in NumPy."""

    worth: Callable[[Array], float]
    features: Callable[[int], Mapping[str, Any]] = lambda d: {}  # arguments that follow the number of features
    kink: bool = True  # its gradient jumps somewhere, and weights stay there

    def make(self, cls: type, d: int = 7, **more: Any) -> Any:
        return super().make(cls, **{**self.features(d), **more})


def factors(d: int) -> list[float]:
    return [j % 3 / 2 for j in range(d)]


def groups(d: int) -> list[int]:
    """Of one feature, of two and of three, features of a group apart."""
    return [(0, 1, 1, 2, 3, 2, 2)[j % 7] + j // 7 * 4 for j in range(d)]


def lengths(w: Array) -> float:
    """The sum of the lengths of each group."""
    ids = np.array(groups(w.shape[-1]))
    return float(sum(np.linalg.norm(w[..., ids == i]) for i in set(ids.tolist())))


def outside(w: Array, low: float, high: float) -> float:
    return np.inf if ((w < low) | (w > high)).any() else 0.0


@dataclass(frozen=True, eq=False)
class Optimizer(Row):
    """An optimizer, its kernel (a factory's name in _kernels.updates) and its numbers in the kernel's order."""

    kernel: str
    hyper: tuple[float, ...]
    state: int  # arrays of state a parameter
    torch: bool = True  # torch.optim has it under the same name, with the same arguments
    sparse: bool = True  # it takes the L1 part of a penalty
    whole: bool = False  # what a coordinate does depends on all
    exact: bool = True  # its twin has its bits


@dataclass(frozen=True, eq=False)
class Schedule(Row):
    """A schedule; arguments by position come first."""

    kwargs: Mapping[str, Any] = field(default_factory=dict)
    args: tuple[Any, ...] = ()

    def make(self, cls: type, **more: Any) -> Any:
        return cls(*self.args, **{**self.kwargs, **more})


COSTS = [[0.0, 1.0, 5.0], [3.0, 0.0, 2.0], [2.0, 1.0, 0.0]]

LOSSES: dict[str, list[Loss]] = {
    "mse": [
        Loss({}, real, "mse"),
        Loss({}, real, "mse", k=3),
    ],
    "mae": [Loss({}, real, "pinball", (1.0, 1.0, 0.0), smooth=False)],
    "huber": [Loss({}, real, "huber", (1.0,)), Loss({"delta": 2.5}, real, "huber", (2.5,), k=3)],
    "log_cosh": [Loss({}, real, "log_cosh")],
    "quantile": [
        Loss({}, real, "pinball", (0.5, 0.5, 0.0), smooth=False),
        Loss({"q": 0.9}, real, "pinball", (0.9, 1 - 0.9, 0.0), k=3, smooth=False),
    ],
    "epsilon_insensitive": [Loss({"epsilon": 0.5}, real, "pinball", (1.0, 1.0, 0.5), smooth=False)],
    "squared_epsilon_insensitive": [
        Loss({}, real, "squared_pinball", (0.1,)),
        Loss({"epsilon": 0.5}, real, "squared_pinball", (0.5,), k=3),
    ],
    "hinge": [
        Loss({}, binary, "hinge", (1.0,), smooth=False),
        Loss({"margin": 0.0}, binary, "hinge", (0.0,), smooth=False),
    ],
    "squared_hinge": [Loss({}, binary, "squared_hinge", k=3)],
    "modified_huber": [Loss({}, binary, "modified_huber"), Loss({}, binary, "modified_huber", k=3)],
    "poisson": [Loss({}, counts, "poisson")],
    "gamma": [Loss({}, positive, "gamma")],
    "tweedie": [
        Loss({}, counts, "tweedie", (1.5,)),
        Loss({"power": 2.5}, positive, "tweedie", (2.5,), k=3),
        Loss({"power": 0}, real, "tweedie", (0.0,)),
        Loss({"power": 1}, counts, "poisson"),
    ],
    "binary_cross_entropy": [
        Loss({}, binary, "bce", (1.0, 1.0, 0.0)),
        Loss({"pos_weight": 3.0, "label_smoothing": 0.1}, unit, "bce", (3.0, 1.0, 0.1), k=3),
        Loss({"from_logits": False}, probable, "bce_probability", (1.0, 0.0), scores=False),
        Loss(
            {"from_logits": False, "pos_weight": 0.5, "label_smoothing": 0.2},
            probable,
            "bce_probability",
            (0.5, 0.2),
            k=3,
            scores=False,
        ),
    ],
    "cross_entropy": [
        Loss({}, labelled, "softmax_labels", k=3, classes=True),
        Loss({}, labelled, "softmax_labels", k=70, classes=True),
        Loss({}, distributed, "softmax_probabilities", k=3, classes=True),
        Loss({}, distributed, "softmax_probabilities", k=70, classes=True),
        Loss({"label_smoothing": 0.1}, labelled, "softmax_soft", (0.9, 0.1, None), k=3, classes=True),
        Loss({"label_smoothing": 0.1}, labelled, "softmax_soft", (0.9, 0.1, None), k=70, classes=True),
    ],
    "focal": [
        Loss({}, binary, "focal", (2.0, 1.0, 1.0), fixed=True),
        Loss({"gamma": 0.7, "alpha": 0.25}, binary, "focal", (0.7, 0.25, 0.75), fixed=True),
        Loss({}, labelled, "focal_labels", (2.0, None), k=3, classes=True),
        Loss({"gamma": 1.5}, labelled, "focal_labels", (1.5, None), k=70, classes=True),
    ],
    "cost_sensitive": [
        Loss({"false_negative": 1000, "false_positive": 10}, binary, "bce", (1000.0, 10.0, 0.0), fixed=True),
        Loss(
            {"costs": COSTS},
            labelled,
            "softmax_soft",
            (0.0, 1.0, ((5.0, 4, 0), (0, 3, 1), (0, 1, 2))),
            k=3,
            classes=True,
            fixed=True,
        ),
    ],
    "multiclass_hinge": [
        Loss({}, labelled, "hinge_labels", k=3, classes=True, smooth=False),
        Loss({}, labelled, "hinge_labels", k=70, classes=True, smooth=False),
    ],
}

PENALTIES: dict[str, list[Penalty]] = {
    "l2": [
        Penalty({"strength": 0.3}, lambda w: 0.3 * (w**2).sum(), kink=False),
        Penalty(
            {"strength": 0.3},
            lambda w: 0.3 * (factors(w.shape[-1]) * w**2).sum(),
            lambda d: {"factors": factors(d)},
            kink=False,
        ),
    ],
    "l1": [
        Penalty({"strength": 0.3}, lambda w: 0.3 * np.abs(w).sum()),
        Penalty(
            {"strength": 0.3},
            lambda w: 0.3 * (factors(w.shape[-1]) * np.abs(w)).sum(),
            lambda d: {"factors": factors(d)},
        ),
    ],
    "elastic_net": [
        Penalty({"strength": 0.5, "l1_ratio": 0.25}, lambda w: 0.125 * np.abs(w).sum() + 0.375 * (w**2).sum()),
        Penalty({"strength": 0.0, "l1_ratio": 0.5}, lambda w: 0.0, kink=False),
        Penalty(
            {"strength": 0.5, "l1_ratio": 0.25},
            lambda w: (factors(w.shape[-1]) * (0.125 * np.abs(w) + 0.375 * w**2)).sum(),
            lambda d: {"factors": factors(d)},
        ),
    ],
    "group_l2": [
        Penalty({"strength": 0.4}, lambda w: 0.4 * lengths(w), lambda d: {"groups": groups(d)}),
        Penalty(
            {"strength": 0.2},
            lambda w: 0.4 * lengths(w),
            lambda d: {"groups": [f"g{i}" for i in groups(d)], "factors": [2.0] * d},
        ),
    ],
    "non_negative": [
        Penalty({}, lambda w: outside(w, 0, np.inf)),
        Penalty({"penalty": lo.L1(0.4)}, lambda w: outside(w, 0, np.inf) + 0.4 * w.sum()),
        Penalty(
            {},
            lambda w: outside(w, 0, np.inf) + (factors(w.shape[-1]) * (0.125 * w + 0.375 * w**2)).sum(),
            lambda d: {"penalty": lo.ElasticNet(0.5, 0.25, factors=factors(d))},
        ),
    ],
    "box": [
        Penalty({"low": -0.5, "high": 0.25}, lambda w: outside(w, -0.5, 0.25)),
        Penalty(
            {"low": -0.5, "high": 0.25, "penalty": lo.ElasticNet(0.5, 0.25)},
            lambda w: outside(w, -0.5, 0.25) + 0.125 * np.abs(w).sum() + 0.375 * (w**2).sum(),
        ),
    ],
}

OPTIMIZERS: dict[str, list[Optimizer]] = {
    "sgd": [
        Optimizer({"lr": 0.1}, "sgd_update", (0.1, 0, 0, 0, False), state=0),
        Optimizer({"lr": 0.1, "dampening": 0.5}, "sgd_update", (0.1, 0, 0.5, 0, False), state=0),
        Optimizer({"lr": 0.1, "weight_decay": 0.02}, "sgd_update", (0.1, 0, 0, 0.02, False), state=0),
        Optimizer({"lr": 0.02, "momentum": 0.9}, "momentum_update", (0.02, 0.9, 0, 0, False), state=1),
        Optimizer(
            {"lr": 0.05, "momentum": 0.8, "dampening": 0.3, "weight_decay": 0.01},
            "momentum_update",
            (0.05, 0.8, 0.3, 0.01, False),
            state=1,
        ),
        Optimizer(
            {"lr": 0.02, "momentum": 0.9, "weight_decay": 0.01, "nesterov": True},
            "momentum_update",
            (0.02, 0.9, 0, 0.01, True),
            state=1,
        ),
    ],
    "adam": [
        Optimizer({"lr": 0.01}, "adam_update", (0.01, 0.9, 0.999, 1e-8, 0, False), state=2),
        Optimizer(
            {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1},
            "adam_update",
            (0.05, 0.8, 0.95, 1e-3, 0.1, False),
            state=2,
        ),
        Optimizer({"lr": 0.01, "amsgrad": True}, "amsgrad_update", (0.01, 0.9, 0.999, 1e-8, 0, False), state=3),
    ],
    "rmsprop": [
        Optimizer({"lr": 0.01}, "rmsprop_update", (0.01, 0.99, 1e-8, 0, 0), state=1),
        Optimizer(
            {"lr": 0.01, "momentum": 0.8, "weight_decay": 0.01},
            "rmsprop_momentum_update",
            (0.01, 0.99, 1e-8, 0.01, 0.8),
            state=2,
        ),
        Optimizer(
            {"lr": 0.01, "alpha": 0.9, "eps": 0.1, "centered": True},
            "rmsprop_centered_update",
            (0.01, 0.9, 0.1, 0, 0),
            state=2,
        ),
        Optimizer(
            {"lr": 0.005, "momentum": 0.5, "eps": 1e-2, "centered": True},
            "rmsprop_both_update",
            (0.005, 0.99, 1e-2, 0, 0.5),
            state=3,
        ),
    ],
    "adagrad": [
        Optimizer({"lr": 0.1}, "adagrad_update", (0.1, 0, 0, 1e-10), state=1),
        Optimizer(
            {"lr": 0.1, "lr_decay": 0.01, "weight_decay": 0.02, "eps": 1e-3},
            "adagrad_update",
            (0.1, 0.01, 0.02, 1e-3),
            state=1,
        ),
        Optimizer({"lr": 0.1, "initial_accumulator_value": 0.5}, "adagrad_update", (0.1, 0, 0, 1e-10), state=1),
    ],
    "adadelta": [
        Optimizer({"lr": 1.0}, "adadelta_update", (1.0, 0.9, 1e-6, 0), state=2),
        Optimizer(
            {"lr": 0.5, "rho": 0.95, "eps": 1e-3, "weight_decay": 0.1},
            "adadelta_update",
            (0.5, 0.95, 1e-3, 0.1),
            state=2,
        ),
    ],
    "adamax": [
        Optimizer({"lr": 0.01}, "adamax_update", (0.01, 0.9, 0.999, 1e-8, 0), state=2),
        Optimizer(
            {"lr": 0.02, "betas": (0.8, 0.95), "weight_decay": 0.1},
            "adamax_update",
            (0.02, 0.8, 0.95, 1e-8, 0.1),
            state=2,
        ),
    ],
    "nadam": [
        Optimizer({"lr": 0.01}, "nadam_update", (0.01, 0.9, 0.999, 1e-8, 0, 0.7, 0.8, 0.6, False), state=2),
        Optimizer(
            {"lr": 0.02, "betas": (0.8, 0.95), "weight_decay": 0.1, "momentum_decay": 0.01},
            "nadam_update",
            (0.02, 0.8, 0.95, 1e-8, 0.1, 0.7, 0.8, 0.6, False),
            state=2,
        ),
        Optimizer(
            {"lr": 0.02, "weight_decay": 0.1, "decoupled_weight_decay": True},
            "nadam_update",
            (0.02, 0.9, 0.999, 1e-8, 0.1, 0.7, 0.8, 0.6, True),
            state=2,
        ),
    ],
    "radam": [
        Optimizer({"lr": 0.01}, "radam_update", (0.01, 0.9, 0.999, 1e-8, 0, False), state=2),
        Optimizer(
            {"lr": 0.02, "betas": (0.8, 0.7), "weight_decay": 0.1},
            "radam_update",
            (0.02, 0.8, 0.7, 1e-8, 0.1, False),
            state=2,
        ),
        Optimizer(
            {"lr": 0.02, "betas": (0.8, 0.7), "weight_decay": 0.1, "decoupled_weight_decay": True},
            "radam_update",
            (0.02, 0.8, 0.7, 1e-8, 0.1, True),
            state=2,
        ),
    ],
    "lion": [
        Optimizer({"lr": 0.01}, "lion_update", (0.01, 0.9, 0.99, 0), state=1, torch=False, sparse=False),
        Optimizer(
            {"lr": 0.01, "betas": (0.8, 0.9), "weight_decay": 0.1},
            "lion_update",
            (0.01, 0.8, 0.9, 0.1),
            state=1,
            torch=False,
            sparse=False,
        ),
    ],
    "lamb": [
        Optimizer(
            {"lr": 0.01},
            "lamb_update",
            (0.01, 0.9, 0.999, 1e-6, 0),
            state=2,
            torch=False,
            sparse=False,
            whole=True,
            exact=False,
        ),
        Optimizer(
            {"lr": 0.01, "betas": (0.8, 0.95), "weight_decay": 0.1},
            "lamb_update",
            (0.01, 0.8, 0.95, 1e-6, 0.1),
            state=2,
            torch=False,
            sparse=False,
            whole=True,
            exact=False,
        ),
    ],
    "ftrl": [
        Optimizer({"lr": 0.1}, "ftrl_update", (0.1, -0.5, 0, 0, 0), state=2, torch=False),
        Optimizer(
            {"lr": 0.1, "l1": 0.3, "l2": 0.1, "beta": 1.0},
            "ftrl_update",
            (0.1, -0.5, 0.3, 0.1, 1.0),
            state=2,
            torch=False,
        ),
        Optimizer(
            {"lr": 0.5, "lr_power": -0.4, "beta": 0.5},
            "ftrl_power_update",
            (0.5, -0.4, 0, 0, 0.5),
            state=2,
            torch=False,
            exact=False,
        ),
    ],
    "adamw": [
        Optimizer({"lr": 0.01, "amsgrad": True}, "amsgrad_update", (0.01, 0.9, 0.999, 1e-8, 0.01, True), state=3),
        Optimizer({"lr": 0.01}, "adam_update", (0.01, 0.9, 0.999, 1e-8, 0.01, True), state=2),
        Optimizer({"lr": 0.05, "weight_decay": 0.3}, "adam_update", (0.05, 0.9, 0.999, 1e-8, 0.3, True), state=2),
    ],
}

SCHEDULES: dict[str, list[Schedule]] = {
    "constant": [Schedule({"lr": 0.1})],
    "step_decay": [Schedule({"lr": 0.1, "step_size": 30})],
    "multi_step": [Schedule({"lr": 0.1, "milestones": (30, 80), "gamma": 0.5})],
    "exponential_decay": [Schedule({"lr": 0.1, "k": 0.05})],
    "cosine_annealing": [Schedule({"lr": 0.1, "T_max": 100, "eta_min": 0.001})],
    "warm_restarts": [Schedule({"lr": 0.1, "T_0": 10, "T_mult": 2, "gamma": 0.5})],
    "linear_decay": [Schedule({"lr": 0.1, "end": 0.02, "steps": 100})],
    "polynomial": [Schedule({"lr": 0.1, "end": 0.0, "steps": 100, "power": 2})],
    "inverse_time": [Schedule({"lr": 0.1, "k": 0.01, "power": 0.75})],
    "inverse_sqrt": [Schedule({"lr": 0.1, "steps": 100})],
    "cyclic": [Schedule({"base": 0.01, "peak": 0.1, "up": 10, "down": 20})],
    "one_cycle": [Schedule({"peak": 0.1, "steps": 100})],
    "warmup": [Schedule({"schedule": lo.CosineAnnealing(lr=0.1, T_max=100), "steps": 20}), Schedule(args=(0.1, 20))],
    "join": [Schedule(args=([0.1, lo.ExponentialDecay(lr=0.1, k=0.1)], [50]))],
    "product": [Schedule(args=(lo.CosineAnnealing(lr=0.1, T_max=100), lo.StepDecay(lr=1, step_size=50)))],
}

RANKINGS: dict[str, list[Row]] = {
    "pairwise_ranking": [Row({})],
    "list_net": [Row({})],
    "lambda_rank": [Row({}), Row({"k": 3})],
}

TABLES: dict[str, tuple[dict[str, type], dict[str, list[Any]]]] = {
    "losses": (lo.LOSSES, LOSSES),
    "penalties": (lo.PENALTIES, PENALTIES),
    "optimizers": (lo.OPTIMIZERS, OPTIMIZERS),
    "schedules": (lo.SCHEDULES, SCHEDULES),
    "rankings": (lo.RANKINGS, RANKINGS),
}


def walk(table: str) -> Iterator[tuple[str, type, Any]]:
    """(label, class, row) for each row of "losses", "penalties", "optimizers", "schedules" or "rankings"."""
    classes, rows = TABLES[table]
    for name, cls in classes.items():
        for i, row in enumerate(rows.get(name, ())):
            yield f"{name}-{i}", cls, row
