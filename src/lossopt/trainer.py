"""The training loop."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lossopt import _arrays, _kernels, checkpoint
from lossopt._arrays import CSR, Rows
from lossopt._component import Component, _construct
from lossopt._interrupt import Interrupts
from lossopt._kernels import abi, loop
from lossopt.callbacks import OWN, Callback, Progress
from lossopt.custom import CustomLoss
from lossopt.history import History
from lossopt.losses import _FRESH, Loss
from lossopt.models import MLP, MODELS, Linear, Model
from lossopt.objective import _bound, _steepness
from lossopt.optimizers import SGD, Optimizer, _unpenalized
from lossopt.penalties import Penalty
from lossopt.schedules import Schedule

Array = NDArray[Any]


class _Data:
    """Rows to train on or to look at, checked once; for lossopt's own models targets are bound to their kernel."""

    def __init__(
        self, trainer: Trainer, X: Rows, y: ArrayLike, sample_weight: ArrayLike | None, group: ArrayLike | None = None
    ) -> None:
        model, loss = trainer.model, trainer.loss
        own = isinstance(model, (Linear, MLP))
        self.X: Any = model._read(X) if own else _arrays.rows(X)
        self.y = _arrays.read(y)
        self.n = self.X.shape[0] if self.X.shape else 0
        if self.y.shape[:1] != (self.n,):
            raise ValueError(f"y must have a target for each of the {self.n} rows of X, got {_arrays.describe(self.y)}")
        self.y = _arrays.read(loss._with(self.y, group, "y"))
        # what batches are made of: rows, or rows that stay together
        self.lots = loss._rows(self.y)
        self.units = self.n if self.lots is None else len(self.lots[1]) - 1
        dtype = next((x.dtype for x in model.params.values()), _arrays.FLOATS[0])
        self.weight = _arrays.weights("sample_weight", sample_weight, self.n, dtype)
        self.kernel: Any = None
        if own:
            loss._refuse_probabilities()
            self.kernel, bound = loss._bind(loss._shape(self.n, model.n_outputs), dtype, self.y, "y")
            self.weight = loss._weigh(self.y, self.weight, dtype)
            self.y = _arrays.kept(bound)
        # an MLP's batches are gathered into one place, and gradients of any window go to another
        self.gathers = isinstance(model, MLP)
        self.batch = self.n if trainer.batch_size is None else min(trainer.batch_size, self.units)
        if self.lots is not None and trainer.batch_size is not None:
            # rows of the largest batch that there could be
            self.batch = int(np.sort(np.diff(self.lots[1]))[self.units - self.batch :].sum())
        self.room: list[Array] = []
        self.grads: list[dict[str, Array]] = []
        self.before: list[Array] = []

    def part(self, rows: Any) -> tuple[Any, Array, Array | None]:
        weight = None if self.weight is None else self.weight[rows]
        if not self.gathers:
            return self.X[rows], self.y[rows], weight
        if weight is not None and not weight.all():
            # a row of weight 0 is no row, whatever it holds
            kept = np.flatnonzero(weight)
            rows, weight = rows.start + kept if isinstance(rows, slice) else rows[kept], weight[kept]
        if isinstance(rows, slice):
            return self.X[rows], self.y[rows], weight
        self.room = self.room or [np.empty((self.batch, *x.shape[1:]), x.dtype) for x in (self.X, self.y)]
        X, y = (x.take(rows, 0, to[: len(rows)], "clip") for x, to in zip((self.X, self.y), self.room, strict=True))
        return X, y, weight

    def mass(self, trainer: Trainer, rows: Any) -> float:
        """What the mean over these rows divides by."""
        n = rows.stop - rows.start if isinstance(rows, slice) else len(rows)
        shape = trainer.loss._shape(n, trainer.model.n_outputs)
        return trainer.loss._mass(shape, None if self.weight is None else self.weight[rows])

    def into(self, i: int, model: Linear | MLP) -> dict[str, Array]:
        """Where the gradient of a window's batch i is written: the first to one place, the others to a second."""
        if i >= len(self.grads) < 2:
            self.grads.append({name: np.empty_like(x) for name, x in model._checked().items()})
        return self.grads[min(i, 1)]


@dataclass
class _Epoch:
    """Where an epoch stands: the next window, the sums so far, what the last update had."""

    shape: tuple[int, ...]  # of the epoch's batches: with others it would not be the same epoch
    skipped: int  # updates left out before it
    window: int = 0
    total: float = 0.0
    mass: float = 0.0
    norm: float = float("nan")
    step: float = 0.0
    lr: float = float("nan")
    seconds: float = 0.0


class _Halt(Exception):  # noqa: N818
    """The fit ends here, between two updates."""


# numbers of X that a block of rows holds: 16 MiB in float64
_BLOCK = 1 << 21


class _Batches:
    """An epoch's batches: `size` rows, or lots of them, the last one perhaps fewer, `accumulate` of them a window."""

    def __init__(self, trainer: Trainer, data: _Data, epoch: int) -> None:
        self.n = n = data.units
        self.lots = data.lots
        full = n if trainer.batch_size is None else int(trainer.batch_size)
        self.size = min(full, n)
        self.count = 0 if not n else n // full if trainer.drop_last else -(-n // full)
        self.accumulate = min(int(trainer.accumulate), max(self.count, 1))
        self.windows = -(-self.count // self.accumulate)
        self.updates_per_t = 1.0 if trainer.schedule_unit == "step" else float(self.windows)
        self.order: Array | None = None
        self.shape = n, self.size, self.accumulate, self.count
        # one batch of all rows needs no order
        if trainer.shuffle and self.size < n:
            self.order = np.empty(n, np.int64)
            numbers = data.X.data.size if isinstance(data.X, CSR) else int(np.prod(data.X.shape))
            block = n if trainer.shuffle != "blocks" else max(1, n * _BLOCK // max(numbers, 1))
            loop.permutation(self.order, trainer.seed, epoch, block)

    def window(self, i: int) -> list[Any]:
        """What to index the rows with, for each batch of a window."""
        first, last = i * self.accumulate, min((i + 1) * self.accumulate, self.count)
        rows = [slice(b * self.size, min((b + 1) * self.size, self.n)) for b in range(first, last)]
        if self.lots is None:
            return list(rows) if self.order is None else [self.order[part] for part in rows]
        members, begins = self.lots
        lots = [range(part.start, part.stop) if self.order is None else self.order[part] for part in rows]
        return [np.concatenate([members[begins[lot] : begins[lot + 1]] for lot in part]) for part in lots]


class Trainer(Component):
    """Train a model: batches, loss, penalty, optimizer, and what there is to see.

    A window of `accumulate` batches makes one update with the gradient of the window's mean loss, as if it had been one
    batch; the last batch of an epoch may be short, and so may its last window.

    Parameters
    ----------
    model : Linear, MLP, or an object with `params`, `forward` and `backward` (see Model)
    loss : Loss
    optimizer : Optimizer
        Owns its moments and step count; schedules are read at the number of updates done.
    penalty : Penalty, optional
        Handed to the optimizer's step, and reported apart from the data term.
    batch_size : int or None
        None: all rows (batch gradient descent); 1: one (stochastic). Of a ranking loss it counts queries: a batch holds
        whole ones.
    accumulate : int
        Batches an update.
    max_norm : float, optional
        Clip the global norm of the data gradient.
    schedule_unit : "step" or "epoch"
        What a schedule's t counts: updates, or updates done / updates an epoch (a fraction).
    shuffle : bool or "blocks"
        A new order of the rows each epoch, made from `seed` and the epoch's number alone. "blocks": the rows are
        shuffled within blocks of 2 million numbers of X, and the blocks come in order, so that a memory-mapped file
        larger than memory is read from its beginning to its end; rows that are sorted in the file (by class, by date)
        should be shuffled there once.
    drop_last : bool
        Leave out a short last batch.
    seed : int
    engine : "auto", "python" or "compiled"
        Which loop runs; after a fit, `engine` says which did. "compiled" raises where it cannot.
    record : "epoch" or "step"
        "step": `history.steps` tells of every update, too.
    end_loss : bool
        Look at the training rows once more at the end of each epoch: ``history["end_loss"]``.
    on_nonfinite : "raise" or "skip"
        A loss or gradient that is not finite raises FloatingPointError, or its update is left out. No update is ever
        made from one.
    callbacks : sequence of Callback

    Attributes
    ----------
    history : History
    epochs : int
        Epochs done.
    skipped : int
        Updates left out by ``on_nonfinite="skip"``.

    Examples
    --------
    >>> import lossopt as lo, numpy as np
    >>> X = np.arange(20.0).reshape(10, 2) / 10
    >>> y = X @ [1.0, -1.0] + 0.5
    >>> trainer = lo.Trainer(lo.Linear(2), lo.MSE(), lo.SGD(lr=0.1, momentum=0.9), batch_size=5)
    >>> history = trainer.fit(X, y, epochs=200)
    >>> history["train_loss"][-1] < 1e-6
    True
    """

    def __init__(
        self,
        model: Any,
        loss: Loss,
        optimizer: Optimizer,
        penalty: Penalty | None = None,
        batch_size: int | None = 32,
        accumulate: int = 1,
        max_norm: float | None = None,
        schedule_unit: str = "step",
        shuffle: bool | str = True,
        drop_last: bool = False,
        seed: int = 0,
        engine: str = "auto",
        on_nonfinite: str = "raise",
        callbacks: Sequence[Callback] = (),
        record: str = "epoch",
        end_loss: bool = False,
    ) -> None:
        if type(model) is not Linear and not isinstance(model, Model):
            raise TypeError(f"model must have params, forward and backward, got {model!r}")
        for name, value, kind in (
            ("loss", loss, Loss),
            ("optimizer", optimizer, Optimizer),
            ("penalty", penalty, Penalty),
        ):
            if not isinstance(value, kind) and not (value is None and kind is Penalty):
                raise TypeError(f"{name} must be an instance of lossopt's {kind.__name__}, got {value!r}")
        for name, count in (("batch_size", batch_size), ("accumulate", accumulate)):
            if count is None and name == "batch_size":
                continue
            if isinstance(count, bool) or not isinstance(count, (int, np.integer)) or count < 1:
                raise ValueError(f"{name} must be a positive whole number, got {count!r}")
        for name, word, words in (
            ("schedule_unit", schedule_unit, ("step", "epoch")),
            ("engine", engine, ("auto", "python", "compiled")),
            ("on_nonfinite", on_nonfinite, ("raise", "skip")),
            ("record", record, ("epoch", "step")),
            ("shuffle", shuffle if isinstance(shuffle, str) else "blocks", ("blocks",)),
        ):
            if not isinstance(word, str) or word not in words:
                raise ValueError(f"{name} must be one of {', '.join(map(repr, words))}, got {word!r}")
        for name, truth in (("shuffle", shuffle), ("drop_last", drop_last), ("end_loss", end_loss)):
            if not isinstance(truth, (bool, np.bool_)) and not (name == "shuffle" and isinstance(truth, str)):
                raise TypeError(f"{name} must be True or False, got {truth!r}")
        number = isinstance(max_norm, (int, float, np.integer, np.floating)) and not isinstance(max_norm, bool)
        if max_norm is not None and not (number and max_norm > 0):
            raise ValueError(f"max_norm must be positive, got {max_norm!r}")
        if not isinstance(callbacks, Sequence):
            raise TypeError(f"callbacks must be a sequence of Callback, got {callbacks!r}")
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**64:
            raise ValueError(f"seed must be a whole number from 0 to 2**64 - 1, got {seed!r}")
        for callback in callbacks:
            if not isinstance(callback, Callback):
                raise TypeError(f"callbacks must be instances of lossopt's Callback, got {callback!r}")
        self.model: Any = model
        self.loss = loss
        self.optimizer = optimizer
        self.penalty = penalty
        self.batch_size = batch_size
        self.accumulate = accumulate
        self.max_norm = max_norm
        self.schedule_unit = schedule_unit
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.seed = seed
        self.engine = engine
        self.on_nonfinite = on_nonfinite
        self.record = record
        self.end_loss = end_loss
        self.callbacks = tuple(callbacks)
        self._wanted_engine = engine
        self.history = History()
        self.epochs = 0
        self.skipped = 0
        self._stop: str | None = None
        self._halt: str | None = None
        self._at: _Epoch | None = None  # the epoch under way
        self._left = 0  # epochs of the last fit that are not done
        self._pace = 64  # windows a stretch of the compiled loop

    # ---- the loop

    def fit(
        self,
        X: Rows,
        y: ArrayLike,
        epochs: int = 1,
        validation: tuple[Any, ...] | None = None,
        sample_weight: ArrayLike | None = None,
        progress: bool = False,
        group: ArrayLike | None = None,
    ) -> History:
        """Train for so many epochs more, from where things stand.

        An epoch that was interrupted is gone on with, and is the first of them. An interrupt (Ctrl-C) is heard between
        two updates, and leaves everything as it was after the last one; a second one does not wait for that.

        Parameters
        ----------
        X : array or CSR (n, n_features), or what the model's forward takes
            Rows of CSR are read where they stand, in whatever order; a model of your own is given scipy's CSR.
        y : array
            Targets as the loss takes them.
        epochs : int
        validation : (X, y), (X, y, sample_weight) or (X, y, sample_weight, group), optional
            Looked at after each epoch.
        sample_weight : array (n,), optional
            0 is the row removed, 2 the row twice.
        progress : bool
            Show a progress bar. Needs tqdm, of the extra `demo` or `cli`.
        group : array (n,), optional
            Of a ranking loss: the query of each row.

        Returns
        -------
        History
            All epochs so far; `history.stopped` says why this fit ended.

        Raises
        ------
        FloatingPointError
            The loss or a gradient is not finite, and on_nonfinite is "raise"; the parameters are those before it.

        Warns
        -----
        RuntimeWarning
            Gradient descent of a linear model on all rows at once (`batch_size` covers them), with a fixed lr beyond
            2 / L (with momentum, what it makes of that; see `safe_lr`).
        """
        if isinstance(epochs, bool) or not isinstance(epochs, (int, np.integer)) or epochs < 0:
            raise ValueError(f"epochs must be a whole number, 0 or more, got {epochs!r}")
        return self._train(X, y, int(epochs), validation, sample_weight, group, progress, resumed=False)

    def resume(
        self,
        X: Rows,
        y: ArrayLike,
        validation: tuple[Any, ...] | None = None,
        sample_weight: ArrayLike | None = None,
        progress: bool = False,
        group: ArrayLike | None = None,
    ) -> History:
        """Finish the fit that was interrupted, with the bits that it would have had; where nothing is left, do nothing.

        Parameters
        ----------
        X, y, validation, sample_weight, progress, group
            As they were given to `fit`.

        Returns
        -------
        History
            All epochs so far.

        Raises
        ------
        FloatingPointError
            As for `fit`.
        ValueError
            An epoch is under way, and these are not as many rows as it has.
        """
        if not self._left:
            return self.history
        return self._train(X, y, self._left, validation, sample_weight, group, progress, resumed=True)

    def _train(
        self,
        X: Rows,
        y: ArrayLike,
        epochs: int,
        validation: tuple[Any, ...] | None,
        sample_weight: ArrayLike | None,
        group: ArrayLike | None,
        progress: bool,
        resumed: bool,
    ) -> History:
        data, held = self._data(X, y, validation, sample_weight, group)
        if resumed and self._at is not None and self._at.shape[0] != data.units:
            what = "rows" if data.lots is None else "queries"
            raise ValueError(f"X must have the {self._at.shape[0]} {what} of the fit to be resumed, got {data.units}")
        self._choose(data)
        bar = [Progress()] if progress else []
        for shown in bar:
            shown._tqdm()  # or say that it is missing before anything begins
        self.history.stopped = self._halt = None
        if not resumed:
            self._begin(epochs)
            self._warn(data)
        with ExitStack() as ending:
            begun: list[Callback] = []
            ending.callback(_end, begun)
            try:
                with Interrupts() as interrupts:

                    def check() -> None:
                        for callback in self.callbacks:
                            callback._rest()
                        if self._halt is not None:
                            raise _Halt
                        interrupts.check()

                    for callback in (*self.callbacks, *bar):
                        callback.trainer = self
                        callback.on_train_resume() if resumed else callback.on_train_begin()
                        begun.append(callback)
                    while self._left:
                        logs = self._epoch(data, held, check)
                        for shown in bar:
                            shown.on_epoch_end(self.epochs, logs)
                        check()
                    self.history.stopped = self._stop or "all epochs done"
            except _Halt:
                self.history.stopped = self._halt
            except BaseException as error:
                interrupted = isinstance(error, KeyboardInterrupt)
                self.history.stopped = "interrupted" if interrupted else f"{type(error).__name__}: {error}"
                raise
        return self.history

    def stop(self, reason: str) -> None:
        """End the fit after the current epoch.

        Parameters
        ----------
        reason : str
            What `history.stopped` will say.
        """
        self._stop = reason

    def _data(
        self,
        X: Rows,
        y: ArrayLike,
        validation: tuple[Any, ...] | None,
        sample_weight: ArrayLike | None,
        group: ArrayLike | None = None,
    ) -> tuple[_Data, _Data | None]:
        """Rows to train on, and to look at after each epoch."""
        if validation is not None and (not isinstance(validation, (tuple, list)) or len(validation) not in (2, 3, 4)):
            raise ValueError("validation must be (X, y), (X, y, sample_weight) or (X, y, sample_weight, group)")
        data = _Data(self, X, y, sample_weight, group)
        held = None
        if validation is not None:
            try:
                held = _Data(self, *validation, *([None] if len(validation) == 2 else []))
            except (TypeError, ValueError) as error:
                raise type(error)(f"validation: {error}") from None
        if self.drop_last and data.units and self.batch_size is not None and data.units < self.batch_size:
            what = f"{data.units} {'rows' if data.lots is None else 'queries'}"
            raise ValueError(f"drop_last=True leaves nothing: batch_size={self.batch_size} is more than {what}")
        return data, held

    def _choose(self, data: _Data) -> None:
        """The engine."""
        obstacle = self._obstacle(data)
        if obstacle is not None and self._wanted_engine == "compiled":
            raise ValueError(f"engine='compiled' cannot run here: {obstacle}")
        self.engine = "python" if obstacle is not None or self._wanted_engine == "python" else "compiled"

    def _begin(self, epochs: int) -> None:
        self._left, self._stop = epochs, None

    def _warn(self, data: _Data) -> None:
        """Of a fixed step with which descent on all rows cannot be expected to hold; no more passes than epochs."""
        opt, curvature = self.optimizer, self.loss._curvature()
        whole = (
            type(self.model) is Linear and data.batch == data.n and data.kernel is not None and self.max_norm is None
        )
        if type(opt) is not SGD or opt.steps or not whole or curvature is None:
            return
        numbers: tuple[Any, ...] = opt.lr, opt.momentum, opt.dampening, opt.weight_decay
        scheduled = self.penalty is not None and self.penalty._at(0.0) is not self.penalty
        if opt.groups or scheduled or any(isinstance(x, Schedule) for x in numbers):
            return
        lr, momentum, dampening, decay = (float(x) for x in numbers)
        lr *= opt.lr_scale
        mass = self.loss._mass(self.loss._shape(data.n, self.model.n_outputs), data.weight)
        # with momentum longer steps hold: where the larger root of the recurrence leaves the unit circle
        longest = 2 * (1 + momentum) / ((1 + 2 * momentum) if opt.nesterov else (1 - dampening))
        for steepness in islice(_steepness(data.X, data.weight, True), min(self._left, 50) if mass else 0):
            bound = _bound(self.loss, self.penalty, mass, steepness) + decay
            if lr * bound > longest:
                warnings.warn(
                    f"lr={lr:.6g} is beyond {longest / bound:.3g} ({longest:.3g} / L), so that descent on these rows "
                    "is not sure to hold; safe_lr gives 1 / L",
                    RuntimeWarning,
                    stacklevel=4,
                )
                return

    def _epoch(self, data: _Data, held: _Data | None, check: Callable[[], None]) -> dict[str, float]:
        """An epoch, or what is left of it; check is called wherever all is consistent, and may raise."""
        batches = _Batches(self, data, self.epochs)
        at = self._enter(batches)
        began = time.perf_counter()
        try:
            if self.engine == "compiled":
                (error,) = lockstep([self], data, [data.weight], batches, check)
                if error is not None:
                    raise error
            else:
                self._python(data, batches, at, check)
        finally:
            at.seconds += time.perf_counter() - began
        return self._leave(at, data, data.weight, held, batches.updates_per_t)

    def _enter(self, batches: _Batches) -> _Epoch:
        """Where this epoch stands."""
        if self._at is None or self._at.shape != batches.shape:
            for callback in self.callbacks:
                callback.on_epoch_begin(self.epochs)
            self._at = _Epoch(batches.shape, self.skipped)
        return self._at

    def _leave(
        self, at: _Epoch, data: _Data, weight: Array | None, held: _Data | None, updates_per_t: float
    ) -> dict[str, float]:
        """The end of an epoch: what it has to tell."""
        began, epoch = time.perf_counter(), self.epochs
        # nothing but updates left out: there is no number to tell
        nothing = float("nan") if self.skipped > at.skipped else 0.0
        logs = {"train_loss": at.total / at.mass if at.mass else nothing}
        if self.penalty is not None:
            now = self.penalty._at(self.optimizer.steps / updates_per_t)
            logs["penalty"] = sum(now.value(x) for x in self._penalized())
        looks = [("end_loss", data, weight)] * self.end_loss
        looks += [] if held is None else [("val_loss", held, held.weight)]
        for name, rows, own in looks:
            total, mass = self._look(rows, own)
            logs[name] = total / mass if mass else 0.0
        logs |= {"lr": at.lr, "grad_norm": at.norm, "step_norm": at.step, "zeros": float(self._zeros())}
        logs["seconds"] = at.seconds + time.perf_counter() - began
        self._at = None
        self.epochs += 1
        self.history.append(**logs)
        self._left -= 1
        recorded = set(logs)
        for callback in self.callbacks:
            callback.on_epoch_end(epoch, logs)
        self.history._add({key: x for key, x in logs.items() if key not in recorded})
        if self._stop is not None:
            self._left = 0
        return logs

    def _penalized(self) -> list[Array]:
        return [x for name, x in self.model.params.items() if not _unpenalized(name)]

    def _zeros(self) -> int:
        return sum(x.size - int(np.count_nonzero(x)) for x in self._penalized())

    def _python(self, data: _Data, batches: _Batches, at: _Epoch, check: Callable[[], None]) -> None:
        """An epoch, as one would write it."""
        data.before = data.before or [np.empty_like(x) for x in self.model.params.values()]
        while at.window < batches.windows:
            for callback in self.callbacks:
                callback.on_batch_begin(at.window)
            total, mass, grads = self._gradients(data, batches.window(at.window))
            last = at.window + 1 == batches.windows
            told = last or self.record == "step"
            if told:
                for x, old in zip(self.model.params.values(), data.before, strict=True):
                    np.copyto(old, x)
            # a window whose rows all have weight 0 is no window
            now = self._update(total, grads, batches.updates_per_t) if mass else None
            if now is not None:
                at.total, at.mass, (at.norm, at.lr) = at.total + total, at.mass + mass, now
                step = 0.0
                if told:
                    pairs = zip(self.model.params.values(), data.before, strict=True)
                    moved = [np.subtract(x, old, out=old) for x, old in pairs]
                    step = float(_kernels.updates.norm(_kernels.Arrays(moved, False)))
                if last:
                    at.step = step
                if self.record == "step":
                    self.history._append_steps(
                        train_loss=[total / mass],
                        lr=[at.lr],
                        grad_norm=[at.norm],
                        step_norm=[step],
                        zeros=[self._zeros()],
                    )
            at.window += 1
            for callback in self.callbacks:
                callback.on_batch_end(at.window - 1, {"loss": total / mass if mass else 0.0})
            check()

    def _member(self, at: _Epoch, weight: Array | None) -> tuple[loop.Member, dict[str, Array]]:
        """This model for the compiled loop, standing where it stands, and its gradients."""
        params = self._params()
        bound = self.optimizer._bound_to(params)
        closings = bound.closings(self.penalty)
        if self.penalty is not None:
            self.optimizer._refuse(self.penalty._coefficients(0.0)[0] != 0, closings is not None)
        self.optimizer._keep(bound)
        grads, more = ([np.zeros_like(x) for x in params.values()] for _ in range(2))
        member = loop.Member(
            self.optimizer._kernel,
            bound.memory,
            _kernels.Arrays(grads, True),
            _kernels.Arrays(more, True),
            bound.state_memory,
            weight,
            np.inf if self.max_norm is None else self.max_norm,
            bound.which,
            closings,
        )
        member.begin(at.window, self.optimizer.steps, self.skipped, at.total, at.mass, at.norm)
        return member, dict(zip(params, grads, strict=True))

    def _follow(self, at: _Epoch, member: loop.Member, hyper: Array, told: Array | None) -> None:
        """Take over where a stretch of the compiled loop has come to."""
        done = member.steps - self.optimizer.steps
        self.optimizer.steps, self.skipped = member.steps, member.skipped
        at.window, at.total, at.mass = member.window, member.total, member.mass
        if done:
            at.norm, at.step, at.lr = member.norm, member.step, float(hyper[done - 1, 0])
            if self.max_norm is not None:
                self.optimizer.grad_norm = member.norm
            if told is not None:
                total, mass, norm, zeros, step = told[:done].T
                self.history._append_steps(
                    train_loss=total / mass, lr=hyper[:done, 0], grad_norm=norm, step_norm=step, zeros=zeros
                )

    def _obstacle(self, data: _Data) -> str | None:
        """Why the compiled loop cannot run here, if it cannot."""
        if type(self.model) is not Linear:
            return f"the model is {type(self.model).__name__}, not lossopt's Linear"
        if self.model.n_outputs > _kernels.linear.MOST_OUTPUTS and not isinstance(data.X, CSR):
            return f"the model has {self.model.n_outputs} outputs, more than {_kernels.linear.MOST_OUTPUTS}"
        if not isinstance(data.kernel, abi.Loss):
            return f"the loss {type(self.loss).__name__} is no kernel"
        if any(callback._watches_batches() for callback in self.callbacks):
            return "a callback looks at every batch"
        return None

    def _gradients(self, data: _Data, window: list[Any]) -> tuple[float, float, dict[str, Array]]:
        """The sum of the loss over a window's rows, what the mean divides it by, and the mean's gradient."""
        model, loss = self.model, self.loss
        if data.kernel is not None:
            # the mass of the whole window comes first: every batch of it is divided by that
            total, mass = 0.0, sum(data.mass(self, rows) for rows in window)
            grads = data.into(0, model)
            for i, rows in enumerate(window):
                to = data.into(i, model)
                total += model._value_and_grad(data.kernel, *data.part(rows), to, loss._scale(mass))
                if i:
                    for name, x in to.items():
                        grads[name] += x
            return total, mass, grads
        totals, masses, backs = [], [], []
        for X, y, w in (data.part(rows) for rows in window):
            prediction = model.forward(X)
            total, gradient, mass = loss._run(prediction, y, w, _FRESH)
            totals.append(total)
            masses.append(mass)
            # a batch's gradient counts what its rows weigh: its own mean comes back to a sum
            backs.append(
                {k: g * (mass if loss.reduction == "mean" else 1.0) for k, g in model.backward(gradient).items()}
            )
        mass = sum(masses)
        for name in model.params:
            if name not in backs[0]:
                raise ValueError(f"model.backward must return a gradient for each of params; {name!r} is missing")
        summed = {name: sum(back[name] for back in backs[1:]) + backs[0][name] for name in model.params}
        return sum(totals), mass, {name: np.asarray(g * loss._scale(mass)) for name, g in summed.items()}

    def _update(self, total: float, grads: dict[str, Array], updates_per_t: float) -> tuple[float, float] | None:
        """One step, unless something is not finite; its gradient norm and lr."""
        told = []

        def judge(norm: float) -> bool:
            told.append(norm)
            return bool(np.isfinite(total) and np.isfinite(norm))

        t, params = self.optimizer.steps / updates_per_t, self._params()
        hyper = self.optimizer._update(params, grads, self.penalty, self.max_norm, None, t, judge)
        if hyper is None:
            if self.on_nonfinite == "raise":
                raise self._refusal(total, told[0], grads)
            self.skipped += 1
            return None
        return told[0], hyper[0]

    def _params(self) -> dict[str, Array]:
        model = self.model
        params: dict[str, Array] = model._checked() if isinstance(model, (Linear, MLP)) else model.params
        return params

    def _refusal(self, total: float, norm: float, grads: dict[str, Array]) -> FloatingPointError:
        """What there is to say of an update that was not made."""
        name = next((name for name, x in grads.items() if not np.isfinite(x).all()), None)
        what = f"the loss is {total}" if not np.isfinite(total) else f"the norm of the gradient is {norm}"
        where = f", and so is the gradient of {name!r}" if name is not None else ""
        return FloatingPointError(
            f"update {self.optimizer.steps + 1} was not made: {what}{where}; look at the data, or lower lr"
        )

    # ---- looking

    def _look(self, data: _Data, weight: Array | None) -> tuple[float, float]:
        """The sum of the loss over all rows, and what the mean divides it by."""
        if data.kernel is None:
            total, _, mass = self.loss._run(self.model.forward(data.X), data.y, weight, None)
            return total, mass
        model, loss = self.model, self.loss
        mass = loss._mass(loss._shape(data.n, model.n_outputs), weight)
        return model._value_and_grad(data.kernel, data.X, data.y, weight, None, 1.0), mass

    def evaluate(
        self, X: Rows, y: ArrayLike, sample_weight: ArrayLike | None = None, group: ArrayLike | None = None
    ) -> float:
        """The loss of the model as it stands, without penalty: the data term.

        Parameters
        ----------
        X, y, sample_weight, group
            As for `fit`.

        Returns
        -------
        float
            A mean or a sum, by the loss's reduction.

        Raises
        ------
        ValueError, TypeError
            An argument has the wrong shape, type or range; the sentence names it.
        """
        data = _Data(self, X, y, sample_weight, group)
        return self.loss._reduce(*self._look(data, data.weight))

    def _arguments(self) -> dict[str, Any]:
        return super()._arguments() | {"engine": self._wanted_engine}

    # ---- to a file and back

    def save(self, path: str | Path) -> None:
        """Write everything that going on needs to one file, whole or not at all.

        Model, optimizer, loss, penalty, order of rows, history, callbacks with what they know (lossopt's own): all but
        the data. A loss, a model or callbacks of your own are named, and given again to `load`.

        Parameters
        ----------
        path : str or Path

        Raises
        ------
        OSError
            It could not be written; what stood there before still stands there.
        """
        arguments = self._arguments()
        model, loss, callbacks = (arguments.pop(name) for name in ("model", "loss", "callbacks"))
        own_loss, ours = isinstance(loss, CustomLoss), isinstance(model, (Linear, MLP))
        at = None if self._at is None else asdict(self._at)
        steps = self.history.steps
        content = {
            "kind": "trainer",
            "arguments": arguments,
            "model": model if ours else None,
            "model_class": type(model).__name__,
            "model_state": model._state() if ours else {"params": dict(model.params)},
            "loss": None if own_loss else loss,
            "callbacks": [
                (type(c).__name__, c, {name: getattr(c, name) for name in c._kept})
                if OWN.get(type(c).__name__) is type(c)
                else (type(c).__name__, None, None)
                for c in callbacks
            ],
            "optimizer": self.optimizer.state_dict(),
            "history": {key: np.array(self.history[key]) for key in self.history},
            "history_steps": steps,
            "stopped": self.history.stopped,
            "state": {name: getattr(self, name) for name in _KEPT},
            "at": at,
        }
        checkpoint.write(path, content, {**MODELS, **OWN})

    @classmethod
    def load(
        cls, path: str | Path, callbacks: Sequence[Callback] = (), loss: Loss | None = None, model: Any = None
    ) -> Trainer:
        """Read a trainer that `save` wrote; `resume` finishes its fit, with the bits of one that was never stopped.

        Parameters
        ----------
        path : str or Path
        callbacks : sequence of Callback
            Those of your own that it was saved with, in their order, and others that join now. lossopt's own come back
            by themselves.
        loss : Loss, optional
            The CustomLoss that it was saved with.
        model : optional
            The model of your own that it was saved with; it is given the parameters.

        Returns
        -------
        Trainer

        Raises
        ------
        OSError
            There is no such file.
        ValueError
            It is damaged or holds something else, or something of your own is missing, which is named.
        """
        content = checkpoint.read(path, {**MODELS, **OWN})
        if content["kind"] != "trainer":
            raise ValueError(f"{path} holds no trainer, but a {content['kind']}: Linear.load and MLP.load read it")
        given = list(callbacks)
        made: list[Callback] = []
        for name, callback, state in content["callbacks"]:
            if callback is None:
                callback = next((c for c in given if type(c).__name__ == name), None)
                if callback is None:
                    raise ValueError(f"callbacks: {path} was saved with a {name}, which it cannot hold: give it again")
                given.remove(callback)
            else:
                vars(callback).update(state)
            made.append(callback)
        if content["loss"] is None and loss is None:
            raise ValueError(f"loss: {path} was saved with a CustomLoss, which it cannot hold: give it again")
        if content["model"] is None and model is None:
            name = content["model_class"]
            raise ValueError(f"model: {path} was saved with a {name}, which it cannot hold: give it again")
        model = content["model"] if content["model"] is not None else model
        params, saved = model.params, content["model_state"]["params"]
        was, now = ({name: np.shape(x) for name, x in arrays.items()} for arrays in (saved, params))
        if was != now:
            raise ValueError(f"model: params must have the names and shapes that {path} has, {was}, got {now}")
        if isinstance(model, (Linear, MLP)):
            model._restore(content["model_state"])
        else:
            for name, x in saved.items():
                params[name][...] = x
        kept: Any = content["loss"] or loss
        self = cls(model, kept, **content["arguments"], callbacks=[*made, *given])
        self.optimizer.load_state_dict(content["optimizer"])
        curves = {key: x.tolist() for key, x in content["history"].items()}
        self.history = History(curves, content["stopped"], content["history_steps"])
        self.__dict__.update(content["state"])
        self._at = None if content["at"] is None else _Epoch(**content["at"])
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        state = {name: getattr(self, name) for name in ("history", "_at", *_KEPT)}
        return _construct, (type(self), self._arguments()), state


# what a trainer knows besides its parts
_KEPT = ("epochs", "skipped", "engine", "_left", "_stop")

# seconds that the compiled loop stays away from the interpreter, if a window does not take longer
_AWAY = 0.03


def lockstep(
    trainers: Sequence[Trainer],
    data: _Data,
    weights: Sequence[Array | None],
    batches: _Batches,
    check: Callable[[], None],
) -> list[FloatingPointError | None]:
    """An epoch without the interpreter, for models that see the same rows, in stretches that come back now and then.

    Returns why a model has stopped, if it has: its loss or gradient is not finite.
    """
    first = trainers[0]
    epochs = [trainer._at for trainer in trainers if trainer._at is not None]
    pairs = [trainer._member(at, weight) for trainer, at, weight in zip(trainers, epochs, weights, strict=True)]
    members = [member for member, _ in pairs]
    most = 0
    if isinstance(data.X, CSR) and batches.size:
        # numbers in the fullest batch there could be
        lengths = data.X.end - data.X.begin
        most = int(np.partition(lengths, batches.n - batches.size)[batches.n - batches.size :].sum())
    stretch = loop.Stretch(
        _kernels.linear.objective_pass(),
        data.kernel,
        data.X,
        data.y,
        first.model.n_outputs,
        batches.size,
        batches.accumulate,
        batches.count,
        batches.order is not None,
        first.loss.reduction == "mean",
        float(first.loss._terms(first.loss._shape(data.n, first.model.n_outputs))),
        first.on_nonfinite == "skip",
        most,
        members,
    )
    stretch.begin(epochs[0].window)
    going = True
    while going and stretch.window < batches.windows:
        began = time.perf_counter()
        pauses = [pause for callback in first.callbacks if (pause := callback._pause()) is not None]
        stop = stretch.window + max(1, min([first._pace, *pauses]))
        count = min(stop + -stop % stretch.grain, batches.windows) - stretch.window
        t = [(member.steps + np.arange(count)) / batches.updates_per_t for member in members]
        hypers = [trainer.optimizer._table(times, trainer.penalty) for trainer, times in zip(trainers, t, strict=True)]
        told = [np.empty((count, 5)) if trainer.record == "step" else None for trainer in trainers]
        try:
            going = stretch.run(batches.order, hypers, told, count)
        finally:
            for trainer, at, member, hyper, rows in zip(trainers, epochs, members, hypers, told, strict=True):
                trainer._follow(at, member, hyper, rows)
        # at least one window a stretch
        pace = count * _AWAY / max(time.perf_counter() - began, 1e-9)
        first._pace = int(min(max(1, pace), 4 * max(count, first._pace)))
        check()
    return [
        None if member.bad is None else trainer._refusal(*member.bad, grads)
        for trainer, (member, grads) in zip(trainers, pairs, strict=True)
    ]


def _end(callbacks: list[Callback]) -> None:
    """Each callback that began has its end, in order, whatever the others do at theirs."""
    with ExitStack() as ends:
        for callback in reversed(callbacks):
            ends.callback(callback.on_train_end)
