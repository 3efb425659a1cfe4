"""Callbacks: what happens beside a training run."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, final

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
    _kept: ClassVar[tuple[str, ...]] = ()  # attributes that go where it goes

    def __reduce__(self) -> tuple[Any, ...]:
        return _construct, (type(self), self._arguments()), {name: getattr(self, name) for name in self._kept} or None

    def _pause(self) -> int | None:
        """How many updates from now it wants to look between two of them."""
        return None

    def _rest(self) -> None:
        """Between two updates, or two epochs, when all is consistent."""

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
        """After an epoch; `logs` is in the history already, as will be what is added to it under other keys."""

    def on_batch_begin(self, batch: int) -> None:
        """Before the batches of an update; `batch` counts updates from 0 in each epoch."""

    def on_batch_end(self, batch: int, logs: dict[str, float]) -> None:
        """After the update; ``logs["loss"]`` is the mean over its rows, by the parameters before it."""


def _watched(owner: Callback, monitor: str, logs: dict[str, float]) -> float:
    """The number of a curve, which must be there."""
    if monitor not in logs:
        raise ValueError(
            f"{type(owner).__name__}: monitor={monitor!r} is not recorded; this fit records {', '.join(logs)}"
            + (" (val_loss needs validation=)" if monitor == "val_loss" else "")
        )
    return logs[monitor]


def _limits(owner: Callback, least: float = 0, **numbers: Any) -> None:
    """Counts are whole and not below `least`, other numbers finite and not negative."""
    for name, x in numbers.items():
        whole = name in ("patience", "cooldown")
        kinds = (int, np.integer) if whole else (int, float, np.number)
        low = least if name == "patience" else 0
        if isinstance(x, bool) or not isinstance(x, kinds) or not low <= x < np.inf:
            wanted = f"a whole number, {low} or more" if whole else "finite and not negative"
            raise ValueError(f"{type(owner).__name__}: {name} must be {wanted}, got {x!r}")


@final
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
    divergence_threshold : float, optional
        A value above it, or NaN, ends the fit at once, whatever patience is left.

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
        self,
        patience: int = 10,
        min_delta: float = 0.0,
        monitor: str = "val_loss",
        restore_best: bool = True,
        divergence_threshold: float | None = None,
    ) -> None:
        _limits(self, patience=patience, min_delta=min_delta)
        number = isinstance(divergence_threshold, (int, float, np.number)) and not isinstance(
            divergence_threshold, bool
        )
        if divergence_threshold is not None and not (number and abs(divergence_threshold) < np.inf):
            raise ValueError(
                f"EarlyStopping: divergence_threshold must be a finite number, got {divergence_threshold!r}"
            )
        self.divergence_threshold = divergence_threshold
        self.patience = patience
        self.min_delta = min_delta
        self.monitor = monitor
        self.restore_best = restore_best
        self.on_train_begin()

    _kept = ("best", "best_epoch", "_params", "_running", "_bad")

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
        value, limit = _watched(self, self.monitor, logs), self.divergence_threshold
        if limit is not None and not value <= limit:
            self.trainer.stop(f"diverged: {self.monitor} is {value:.6g}, beyond {limit:.6g}")
            return
        if value < self.best - self.min_delta:
            self.best, self.best_epoch, self._bad = value, epoch, 0
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


@final
class ReduceOnPlateau(Callback):
    """Multiply the learning rate by a factor when a curve has stopped improving, whatever its schedule says.

    It sets ``optimizer.lr_scale``, which multiplies the lr of every group after its schedule: so it composes with all.

    Parameters
    ----------
    factor : float in (0, 1)
    patience : int, positive
        So many epochs in a row without improvement make a reduction, and are counted anew after it.
    min_delta : float
        An improvement is a value below the best by more than this. NaN never improves.
    monitor : str
        A key of History.
    cooldown : int
        So many epochs after a reduction are not counted.
    min_lr : float
        No reduction takes the lr of the last update below it.

    Attributes
    ----------
    best : float
    reductions : int
        In this fit.

    Notes
    -----
    Keras's names and counting (torch's ``ReduceLROnPlateau(patience=p)`` waits for p + 1 epochs); the cooldown is
    torch's, whole epochs. The rate stays reduced in later fits, until ``optimizer.lr_scale = 1``.

    Examples
    --------
    >>> import lossopt as lo, numpy as np
    >>> X, y = np.ones((4, 1)), np.array([0.0, 1.0, 0.0, 1.0])
    >>> opt = lo.SGD(lr=lo.Warmup(0.1, 3))
    >>> plateau = lo.ReduceOnPlateau(patience=2, monitor="train_loss")
    >>> history = lo.Trainer(lo.Linear(1), lo.MSE(), opt, batch_size=None, callbacks=[plateau]).fit(X, y, epochs=80)
    >>> history["lr"][5], plateau.reductions > 0, opt.lr_scale < 1
    (0.1, True, True)
    """

    def __init__(
        self,
        factor: float = 0.1,
        patience: int = 10,
        min_delta: float = 1e-4,
        monitor: str = "val_loss",
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        if isinstance(factor, bool) or not isinstance(factor, (int, float, np.number)) or not 0 < factor < 1:
            raise ValueError(f"ReduceOnPlateau: factor must lie between 0 and 1, got {factor!r}")
        _limits(self, 1, patience=patience, min_delta=min_delta, cooldown=cooldown, min_lr=min_lr)
        self.factor = factor
        self.patience = patience
        self.min_delta = min_delta
        self.monitor = monitor
        self.cooldown = cooldown
        self.min_lr = min_lr
        self.on_train_begin()

    _kept = ("best", "reductions", "_bad", "_cooling")

    def on_train_begin(self) -> None:
        self.best = np.inf
        self.reductions = 0
        self._bad = 0
        self._cooling = 0

    def on_train_resume(self) -> None:
        pass

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        value = _watched(self, self.monitor, logs)
        improved = value < self.best - self.min_delta
        self.best = value if improved else self.best
        self._bad = 0 if improved or self._cooling else self._bad + 1
        self._cooling = max(0, self._cooling - 1)
        lr = logs["lr"]
        if self._bad < self.patience:
            return
        self._bad, self._cooling = 0, self.cooldown
        # no lr: no update has been made, or the schedule is at 0
        if lr > self.min_lr:
            self.trainer.optimizer.lr_scale *= max(self.factor, self.min_lr / lr)
            self.reductions += 1


@final
class TargetLoss(Callback):
    """End training when a curve has come down to a value.

    Parameters
    ----------
    value : float
        The fit ends after the first epoch with a number at or below it.
    monitor : str
        A key of History.

    Examples
    --------
    >>> import lossopt as lo, numpy as np
    >>> X, y = np.ones((4, 1)), np.ones(4)
    >>> target = lo.TargetLoss(1e-3)
    >>> trainer = lo.Trainer(lo.Linear(1), lo.MSE(), lo.SGD(lr=0.1), batch_size=None, callbacks=[target])
    >>> history = trainer.fit(X, y, epochs=100)
    >>> len(history) < 100, history["train_loss"][-1] <= 1e-3
    (True, True)
    """

    def __init__(self, value: float, monitor: str = "train_loss") -> None:
        if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or np.isnan(value):
            raise ValueError(f"TargetLoss: value must be a number, got {value!r}")
        self.value = value
        self.monitor = monitor

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        value = _watched(self, self.monitor, logs)
        if value <= self.value:
            self.trainer.stop(f"target reached: {self.monitor} is {value:.6g}")


@final
class TimeLimit(Callback):
    """End training when its time is up, in the middle of an epoch too; `Trainer.resume` goes on from there.

    Parameters
    ----------
    seconds : float, positive
        Of one fit, or of one resume. An update is always finished.

    Examples
    --------
    >>> import lossopt as lo, numpy as np
    >>> trainer = lo.Trainer(lo.Linear(1), lo.MSE(), lo.SGD(), callbacks=[lo.TimeLimit(0.05)])
    >>> history = trainer.fit(np.ones((4, 1)), np.ones(4), epochs=10**9)
    >>> history.stopped
    'time limit: 0.05 s are over'
    """

    def __init__(self, seconds: float) -> None:
        number = isinstance(seconds, (int, float, np.number)) and not isinstance(seconds, bool)
        if not number or not 0 < seconds < np.inf:
            raise ValueError(f"TimeLimit: seconds must be positive and finite, got {seconds!r}")
        self.seconds = seconds

    def on_train_begin(self) -> None:
        self._end = time.monotonic() + self.seconds

    def _rest(self) -> None:
        if time.monotonic() >= self._end:
            self.trainer._halt = f"time limit: {self.seconds:g} s are over"


@final
class Checkpoint(Callback):
    """Save the trainer every so often, and at every way out of a fit.

    Parameters
    ----------
    path : str or Path
        The file that `Trainer.save` writes; the one before is replaced when the new one is on the disk.
    every : int or "epoch"
        Updates between two saves.

    Notes
    -----
    The compiled loop comes back to Python for it where the bits do not depend on that: on wide CSR at the next of
    certain places. What callbacks behind it in the list do at the end of the fit is not in the last file.

    Examples
    --------
    >>> import lossopt as lo, numpy as np, pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "run.lossopt"
    >>> trainer = lo.Trainer(lo.Linear(1), lo.MSE(), lo.SGD(), callbacks=[lo.Checkpoint(path, every="epoch")])
    >>> history = trainer.fit(np.ones((4, 1)), np.ones(4), epochs=3)
    >>> lo.Trainer.load(path).epochs
    3
    """

    def __init__(self, path: str | Path, every: int | str = 1000) -> None:
        whole = isinstance(every, (int, np.integer)) and not isinstance(every, bool) and every > 0
        if not whole and every != "epoch":
            raise ValueError(f"Checkpoint: every must be a positive whole number or 'epoch', got {every!r}")
        self.path = path
        self.every = every
        self._saved = 0

    def on_train_begin(self) -> None:
        self._saved = self._now()

    def _now(self) -> int:
        return int(self.trainer.epochs if self.every == "epoch" else self.trainer.optimizer.steps)

    def _pause(self) -> int | None:
        return None if isinstance(self.every, str) else self._saved + int(self.every) - self._now()

    def _rest(self) -> None:
        if self._now() - self._saved >= (1 if isinstance(self.every, str) else self.every):
            self._saved = self._now()
            self.trainer.save(self.path)

    def on_train_end(self) -> None:
        self.trainer.save(self.path)


@final
class Progress(Callback):
    """A progress bar with losses and rate, in terminals and notebooks: what ``fit(progress=True)`` shows.

    Notes
    -----
    Needs tqdm, of the extra `demo` or `cli`.

    Examples
    --------
    >>> import lossopt as lo
    >>> lo.Progress()
    Progress()
    """

    @staticmethod
    def _tqdm() -> Any:
        try:
            from tqdm.auto import tqdm
        except ImportError:
            raise ImportError("a progress bar needs tqdm: pip install 'lossopt[cli]'") from None
        return tqdm

    def on_train_begin(self) -> None:
        self._bar = self._tqdm()(total=self.trainer._left, unit="epoch")
        self._behind = 0
        self._shown = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        self._behind += 1
        self._logs = logs
        # epochs may be shorter than what a look at the bar takes
        if time.perf_counter() - self._shown > 0.2:
            self._show()

    def _show(self) -> None:
        shown = {k: f"{self._logs[k]:.4g}" for k in ("train_loss", "val_loss", "lr") if k in self._logs}
        self._bar.set_postfix(shown, refresh=False)
        self._bar.update(self._behind)
        self._behind, self._shown = 0, time.perf_counter()

    def on_train_end(self) -> None:
        if self._behind:
            self._show()
        self._bar.close()


@final
class TensorBoard(Callback):
    """Write every curve of the history for TensorBoard, an entry an epoch.

    Parameters
    ----------
    folder : str or Path
        Of one run.

    Notes
    -----
    Needs tensorboardX, of the extra `tensorboard`.

    Examples
    --------
    >>> import lossopt as lo
    >>> lo.TensorBoard("runs/first")
    TensorBoard(folder='runs/first')
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = folder

    def on_train_begin(self) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError:
            raise ImportError("TensorBoard needs tensorboardX: pip install 'lossopt[tensorboard]'") from None
        self._writer = SummaryWriter(str(self.folder))

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        for name, number in logs.items():
            self._writer.add_scalar(name, number, epoch)

    def on_train_end(self) -> None:
        self._writer.close()


OWN: dict[str, type[Callback]] = {
    cls.__name__: cls
    for cls in (EarlyStopping, ReduceOnPlateau, TargetLoss, TimeLimit, Checkpoint, Progress, TensorBoard)
}
