"""Callbacks: what happens beside a training run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lossopt._component import Component, _construct

if TYPE_CHECKING:
    from lossopt.trainer import Trainer

Array = NDArray[Any]


class Callback(Component):
    """Hooks around training; all do nothing until a subclass says otherwise.

    `trainer` is the running trainer: its `model`, `optimizer` and `history` are there to be read, and
    ``trainer.stop(reason)`` ends the fit after the current epoch. `logs` holds the numbers of the epoch (the keys of
    History) or of the batch (``loss``).
    """

    trainer: Trainer

    def _watches_batches(self) -> bool:
        hooks = ((self.on_batch_begin, Callback.on_batch_begin), (self.on_batch_end, Callback.on_batch_end))
        return any(getattr(own, "__func__", own) is not empty for own, empty in hooks)

    def on_train_begin(self) -> None:
        """Before the first epoch of a fit."""

    def on_train_resume(self) -> None:
        """Before `Trainer.resume` goes on with an interrupted fit; does what `on_train_begin` does, unless said."""
        self.on_train_begin()

    def on_train_end(self) -> None:
        """On every way out of a fit: last epoch, stop, exception, interrupt."""

    def on_epoch_begin(self, epoch: int) -> None:
        """Before an epoch; `epoch` counts from 0, over all fits."""

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """After an epoch; `logs` is in the history already."""

    def on_batch_begin(self, batch: int) -> None:
        """Before the batches of an update; `batch` counts updates from 0 in each epoch."""

    def on_batch_end(self, batch: int, logs: dict[str, float]) -> None:
        """After the update; ``logs["loss"]`` is the mean over its rows, by the parameters before it."""


class EarlyStopping(Callback):
    """End training when a curve has stopped improving, and go back to the best epoch.

    Parameters
    ----------
    patience : int
        So many epochs in a row without improvement end the fit; 0 ends it at the first one.
    min_delta : float
        An improvement is a value below the best by more than this. NaN never improves; of equals the earliest stays.
    monitor : str
        A key of History.
    restore_best : bool
        Put the best epoch's parameters back on every way out of the fit: patience, last epoch, exception, interrupt.

    Attributes
    ----------
    best : float
    best_epoch : int or None

    Examples
    --------
    >>> import lossopt as lo
    >>> lo.EarlyStopping(patience=5)
    EarlyStopping(patience=5)
    """

    def __init__(
        self, patience: int = 10, min_delta: float = 0.0, monitor: str = "val_loss", restore_best: bool = True
    ) -> None:
        if isinstance(patience, bool) or not isinstance(patience, (int, np.integer)) or patience < 0:
            raise ValueError(f"EarlyStopping: patience must be a whole number, 0 or more, got {patience!r}")
        if not isinstance(min_delta, (int, float, np.number)) or not 0 <= min_delta < np.inf:
            raise ValueError(f"EarlyStopping: min_delta must be finite and not negative, got {min_delta!r}")
        self.patience = patience
        self.min_delta = min_delta
        self.monitor = monitor
        self.restore_best = restore_best
        self.on_train_begin()

    def on_train_begin(self) -> None:
        self.best = np.inf
        self.best_epoch: int | None = None
        self._params: dict[str, Array] | None = None
        self._running: dict[str, Array] = {}  # what the best ones were put in place of
        self._bad = 0

    def on_train_resume(self) -> None:
        params = self.trainer.model.params
        # unless somebody has changed them meanwhile
        if self._params is not None and all(np.array_equal(params[name], x) for name, x in self._params.items()):
            for name, x in self._running.items():
                params[name][...] = x

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        if self.monitor not in logs:
            raise ValueError(
                f"EarlyStopping: monitor={self.monitor!r} is not recorded; this fit records {', '.join(logs)}"
                + (" (val_loss needs validation=)" if self.monitor == "val_loss" else "")
            )
        if logs[self.monitor] < self.best - self.min_delta:
            self.best, self.best_epoch, self._bad = logs[self.monitor], epoch, 0
            if self.restore_best:
                self._params = {name: x.copy() for name, x in self.trainer.model.params.items()}
            return
        self._bad += 1
        if self._bad >= max(1, self.patience):
            self.trainer.stop(f"early stopping: {self.monitor} did not improve for {self._bad} epochs")

    def on_train_end(self) -> None:
        if self._params is not None:
            params = self.trainer.model.params
            self._running = {name: x.copy() for name, x in params.items()}
            for name, x in self._params.items():
                params[name][...] = x

    def __reduce__(self) -> tuple[Any, ...]:
        names = ("best", "best_epoch", "_params", "_running", "_bad")
        return _construct, (type(self), self._arguments()), {name: getattr(self, name) for name in names}
