"""Training epoch by epoch, as scikit-learn's stochastic estimators do it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from sklearn.model_selection import ShuffleSplit, StratifiedShuffleSplit
from sklearn.utils import check_random_state

from lossopt.averages import Polyak
from lossopt.callbacks import Callback
from lossopt.losses import Loss
from lossopt.models import MLP
from lossopt.models import Linear as LinearModel
from lossopt.optimizers import Optimizer
from lossopt.penalties import Penalty
from lossopt.schedules import Schedule
from lossopt.sklearn._base import Array, Estimator, count, number, warn
from lossopt.trainer import Trainer

# a gradient is cut to this length, as scikit-learn's are, so that rows of any scale end in numbers
_LONGEST = 1e12
# of the step size that is divided by 5 where nothing improves
_LEAST_LR = 1e-6


@dataclass
class Course:
    """A model on its way."""

    model: LinearModel | MLP
    loss: Loss  # a mean
    optimizer: Optimizer
    batch: int
    seed: int
    epochs: int = 0


@final
class Watch(Callback):
    """When to end: the loss, or a score of rows held back, has not improved by tol for so many epochs in a row."""

    def __init__(
        self,
        tol: float,
        patience: int,
        share: float,
        score: Callable[[], float] | None,
        patient_lr: bool,
        verbose: Any,
    ) -> None:
        self.tol, self.patience, self.share, self.score = tol, patience, share, score
        self.patient_lr, self.verbose = patient_lr, verbose
        self.losses: list[float] = []
        self.scores: list[float] = []
        self.best, self.kept, self.bad, self.stalled = np.inf, {}, 0, False  # type: ignore[var-annotated]

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        self.losses.append(self.share * logs["train_loss"] + logs.get("penalty", 0.0))
        value = self.losses[-1]
        if self.score is not None:
            self.scores.append(self.score())
            value = -self.scores[-1]
        if self.verbose:
            told = "" if self.score is None else f", validation score = {self.scores[-1]:.6g}"
            print(f"Iteration {len(self.losses)}, loss = {self.losses[-1]:.8g}{told}")
        self.bad = 0 if value <= self.best - self.tol else self.bad + 1
        if value < self.best:
            self.best = value
            if self.score is not None:
                self.kept = {name: x.copy() for name, x in self.trainer.model.params.items()}
        if self.bad >= self.patience:
            optimizer, self.bad = self.trainer.optimizer, 0
            if self.patient_lr and logs["lr"] > _LEAST_LR:
                optimizer.lr_scale /= 5
            else:
                self.stalled = True
                self.trainer.stop("no improvement")


@final
class Averaging(Callback):
    """The mean of the weights after each update, from some row on."""

    def __init__(self, average: Polyak, wait: int, batch: int) -> None:
        self.average, self.left, self.batch = average, wait, batch

    def on_batch_end(self, batch: int, logs: dict[str, float]) -> None:
        self.left -= self.batch
        if self.left <= 0:
            self.average.update(self.trainer.model.params)


def renewed(thing: Any, **changed: Any) -> Any:
    """A loss or an optimizer of the same arguments, some of them changed: the one given stays as it is."""
    return type(thing)(**{**thing._arguments(), **changed})


class Stochastic(Estimator):
    """What SGD and the perceptrons share."""

    batch_size: Any
    optimizer: Any
    schedule: Any
    max_iter: Any
    tol: Any
    n_iter_no_change: Any
    early_stopping: Any
    validation_fraction: Any
    learning_rate: Any
    shuffle: Any
    random_state: Any
    verbose: Any
    _course: Any = None

    def _seed(self) -> int:
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _checked(self) -> None:
        """Parameters that both have; before anything is done."""
        name = type(self).__name__
        for what, value, kind in (
            ("optimizer", self.optimizer, Optimizer),
            ("schedule", self.schedule, Schedule),
        ):
            if value is not None and not isinstance(value, kind):
                raise ValueError(f"{name}: {what} must be one of lossopt's or None, got {value!r}")
        for what in ("shuffle", "early_stopping"):
            if not isinstance(getattr(self, what), (bool, np.bool_)):
                raise ValueError(f"{name}: {what} must be True or False, got {getattr(self, what)!r}")
        count(self, "max_iter")
        if self.early_stopping:
            number(self, "validation_fraction", np.nextafter(0, 1), np.nextafter(1, 0))
        if self.tol is not None:
            number(self, "tol", -np.inf)

    def _stepping(self, otherwise: Callable[[Any], Optimizer], lr: Any, **frozen: Any) -> Optimizer:
        """The optimizer: the one given, or another with this lr; either with the schedule given."""
        changed = ({} if self.schedule is None else {"lr": self.schedule}) | frozen
        made: Optimizer = renewed(otherwise(lr) if self.optimizer is None else self.optimizer, **changed)
        return made

    def _epochs(
        self,
        course: Course,
        penalty: Penalty | None,
        X: Any,
        y: Array,
        weight: Array | None,
        scale: float,
        told: float,
        score: Callable[[], float] | None,
        patience: int,
        epochs: int,
        partial: bool,
        unit: str = "step",
        also: tuple[Callback, ...] = (),
    ) -> Watch:
        """Train: a row's loss counts scale times, and the mean of it is told times that of the course."""
        name = type(self).__name__
        tol = -np.inf if self.tol is None else float(self.tol)
        watch = Watch(tol, patience, told, score, self.learning_rate == "adaptive", self.verbose)
        loss, each = course.loss, weight
        if weight is not None or scale != 1 or loss._terms(loss._shape(1, course.model.n_outputs)) != 1:
            # sums over a batch of rows that weigh 1 / batch: a row's weight is never divided out
            weight = np.ones(len(y), X.dtype) if weight is None else weight
            loss, each = renewed(loss, reduction="sum"), (weight * (scale / course.batch)).astype(X.dtype)
        trainer = Trainer(
            course.model,
            loss,
            course.optimizer,
            penalty,
            course.batch,
            max_norm=_LONGEST,
            shuffle=bool(self.shuffle),
            schedule_unit=unit,
            seed=course.seed,
            callbacks=(watch, *also),
        )
        trainer.epochs = course.epochs
        try:
            trainer.fit(X, y, epochs, sample_weight=each)
        except FloatingPointError as error:
            raise ValueError(
                f"{name}: floating-point overflow in epoch {trainer.epochs + 1}; scaling X with StandardScaler or "
                f"MinMaxScaler might help ({error})"
            ) from None
        course.epochs = trainer.epochs
        idle = abs(told * course.loss(np.zeros(loss._shape(len(y), course.model.n_outputs)), y, weight))
        if watch.losses[-1] > 1e3 * idle > 1e-30:
            said = f"the loss came to {watch.losses[-1]:.3g}, beside {idle:.3g} of scores of 0"
            warn(self, f"{said}; scale X, or shorten the steps")
        elif not partial and self.tol is not None and tol > -np.inf and not watch.stalled:
            warn(self, f"the loss still improves after max_iter={epochs} epochs; raise max_iter to go on")
        return watch

    def _held_back(self, X: Any, y: Array, weight: Array | None, classes: Array | None) -> tuple[Any, ...]:
        """Rows to train on and rows to look at: X, y, weight of each."""
        if not self.early_stopping:
            return X, y, weight, None, None, None
        kind = ShuffleSplit if classes is None else StratifiedShuffleSplit
        folds = kind(test_size=self.validation_fraction, random_state=self.random_state)
        try:
            rows, held = (np.sort(part) for part in next(folds.split(np.zeros((len(y), 1)), classes)))
        except ValueError as error:
            raise ValueError(f"{type(self).__name__}: early_stopping: {error}") from None
        own, other = (None, None) if weight is None else (weight[rows], weight[held])
        if other is not None and not other.any():
            raise ValueError(
                f"{type(self).__name__}: The sample weights for validation set are all zero, consider using a "
                "different random state."
            )
        return X[rows], y[rows], own, X[held], y[held], other
