"""Many: several linear models that see the same rows in the same order, trained in one pass over the data."""

from __future__ import annotations

import copy
import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lossopt import _arrays
from lossopt._arrays import Rows
from lossopt._interrupt import Interrupts
from lossopt._kernels import loop
from lossopt.losses import Loss
from lossopt.models import Linear
from lossopt.optimizers import Optimizer
from lossopt.penalties import Penalty
from lossopt.trainer import Trainer, _Batches, _Data, lockstep

Array = NDArray[Any]
Candidate = dict[str, Any]
Grid = Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Any]]

# what a candidate may say, and what it is if it does not
_KEYS: Candidate = {"optimizer": None, "penalty": None, "max_norm": None, "model": None, "sample_weight": None}


def _candidates(grid: Grid) -> list[Candidate]:
    """Every combination of a dict of lists; or a list of dicts as it is."""
    if isinstance(grid, Mapping):
        for key, values in grid.items():
            if isinstance(values, str) or not isinstance(values, Sequence):
                raise TypeError(f"grid[{key!r}] must be a list of values, got {values!r:.60}")
        made = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    elif isinstance(grid, Sequence) and all(isinstance(candidate, Mapping) for candidate in grid):
        made = [dict(candidate) for candidate in grid]
    else:
        raise TypeError(f"grid must be a dict of lists, or a list of dicts, got {grid!r:.60}")
    if not made:
        raise ValueError("grid must hold at least one candidate")
    for candidate in made:
        if unknown := [key for key in candidate if key not in _KEYS]:
            raise ValueError(f"grid has an unknown key {unknown[0]!r}; there are {', '.join(_KEYS)}")
        if not isinstance(candidate.get("optimizer"), Optimizer):
            raise TypeError(f"grid must give each candidate an optimizer, got {candidate.get('optimizer')!r}")
    return made


class _Fit:
    """Trainers beside one another: what `fit_many` and `cross_validate` share."""

    def __init__(
        self,
        X: Rows,
        y: ArrayLike,
        loss: Loss,
        grid: Grid,
        sample_weight: ArrayLike | None,
        n_outputs: int | None,
        options: Mapping[str, Any],
    ) -> None:
        if not isinstance(loss, Loss):
            raise TypeError(f"loss must be an instance of lossopt's Loss, got {loss!r}")
        if loss._by_query:
            raise TypeError(
                f"loss: {type(loss).__name__} looks at whole queries, which have no place beside many models"
            )
        for name in options:
            if name in _KEYS or name == "callbacks":
                where = "has no place beside many models" if name == "callbacks" else "stands in grid"
                raise TypeError(f"{name} {where}")
        self.candidates = _candidates(grid)
        self.X: Any = _arrays.matrix("X", X)
        self.y = _arrays.read(y)
        self.loss, self.sample_weight, self.options = loss, sample_weight, options
        if self.y.shape[:1] != self.X.shape[:1]:
            n = self.X.shape[0]
            raise ValueError(f"y must have a target for each of the {n} rows of X, got {_arrays.describe(self.y)}")
        self.n_outputs = loss._outputs(self.y) if n_outputs is None else n_outputs

    def trainer(self, candidate: Candidate) -> Trainer:
        """One that starts as a candidate says, with everything its own."""
        seed = self.options.get("seed", 0)
        model = candidate.get("model")
        if model is None:
            model = Linear(self.X.shape[1], self.n_outputs, dtype=self.X.dtype, seed=seed)
        if type(model) is not Linear:
            raise TypeError(f"grid: model must be lossopt's Linear, got {model!r}")
        return Trainer(
            copy.deepcopy(model),
            self.loss,
            copy.deepcopy(candidate["optimizer"]),
            penalty=candidate.get("penalty"),
            max_norm=candidate.get("max_norm"),
            **self.options,
        )

    def weights(self, candidate: Candidate, trainer: Trainer) -> Array | None:
        """The sample weights of a candidate: those of all, times its own."""

        def checked(x: Any) -> Array | None:
            return _arrays.weights("sample_weight", x, len(self.y), np.dtype(trainer.model.dtype))

        all_, own = checked(self.sample_weight), checked(candidate.get("sample_weight"))
        with np.errstate(over="ignore"):
            return own if all_ is None else all_ if own is None else checked(all_ * own)

    def run(
        self, trainers: list[Trainer], weights: list[Array | None], epochs: int, validation: tuple[Any, ...] | None
    ) -> list[str | None]:
        """Train them all; why one has failed, if it has."""
        first = trainers[0]
        for trainer in trainers[1:]:
            if (trainer.model.n_outputs, trainer.model.dtype) != (first.model.n_outputs, first.model.dtype):
                raise ValueError("grid: models must have the same n_outputs and dtype")
        data, held = first._data(self.X, self.y, validation, None)
        weights = [self.loss._weigh(self.y, w, np.dtype(first.model.dtype)) for w in weights]
        for trainer in trainers:
            trainer._choose(data)
            trainer._begin(epochs)
        failed: list[str | None] = [None] * len(trainers)
        with Interrupts() as interrupts:
            if first.engine == "compiled":
                for epoch in range(epochs):
                    self._together(trainers, weights, epoch, data, held, failed, interrupts.check)
            else:
                for i, trainer in enumerate(trainers):
                    data.weight = weights[i]
                    try:
                        while trainer._left:
                            trainer._epoch(data, held, interrupts.check)
                    except FloatingPointError as error:
                        failed[i] = str(error)
        for trainer, why in zip(trainers, failed, strict=True):
            trainer.history.stopped = "all epochs done" if why is None else f"FloatingPointError: {why}"
        return failed

    def _together(
        self,
        trainers: list[Trainer],
        weights: list[Array | None],
        epoch: int,
        data: _Data,
        held: _Data | None,
        failed: list[str | None],
        check: Callable[[], None],
    ) -> None:
        """An epoch of those that have not failed."""
        going = [i for i, error in enumerate(failed) if error is None]
        if not going:
            return
        batches = _Batches(trainers[0], data, epoch)
        entered = {i: trainers[i]._enter(batches) for i in going}
        began = time.perf_counter()
        errors = lockstep([trainers[i] for i in going], data, [weights[i] for i in going], batches, check)
        for at in entered.values():
            at.seconds += time.perf_counter() - began
        for i, error in zip(going, errors, strict=True):
            if error is not None:
                failed[i] = str(error)
            else:
                trainers[i]._leave(entered[i], data, weights[i], held, batches.updates_per_t)


def _shown(columns: Mapping[str, Sequence[Any]], best: int | None) -> str:
    """A table for reading; the best row has a star."""
    texts = [
        [name, *(f"{x:.6g}" if isinstance(x, float) else str(x) for x in column)] for name, column in columns.items()
    ]
    widths = [max(map(len, column)) for column in texts]
    rows = ("  ".join(x.rjust(w) for x, w in zip(row, widths, strict=True)) for row in zip(*texts, strict=True))
    return "\n".join(f"{'*' if i - 1 == best else ' '} {row}" for i, row in enumerate(rows))


def _varied(candidates: list[Candidate]) -> dict[str, list[Any]]:
    """The columns of what differs between candidates, and of nothing else, unless nothing does."""
    columns = {key: [candidate.get(key) for candidate in candidates] for key in _KEYS}
    differ = {key: column for key, column in columns.items() if any(x is not column[0] for x in column)}
    short = {"model": "start", "sample_weight": "weights"}
    return {
        key: [f"{short[key]} {i}" for i in range(len(column))] if key in short else column
        for key, column in (differ or {"optimizer": columns["optimizer"]}).items()
    }


def _least(values: Array) -> int | None:
    """Where the smallest number stands, if there is a finite one."""
    return int(np.argmin(np.where(np.isfinite(values), values, np.inf))) if np.isfinite(values).any() else None


@final
class Fits:
    """What `fit_many` returns: models trained beside one another.

    Parameters
    ----------
    candidates : list of dict
        What each was given.
    trainers : list of Trainer
        Each with its model, its optimizer's state and its history; each can go on.
    failed : list of str or None
        Why a model stopped before the end: its loss or gradient was not finite.

    Attributes
    ----------
    train_loss, val_loss : array (K,)
        At the last epoch; NaN for one that failed. Without validation data val_loss is all NaN.
    best : int or None
        The candidate of least validation loss, or, without validation data, of least training loss; None if all failed.
    table : dict of lists
        What differs between the candidates, their losses, and how many weights are 0; `pandas.DataFrame` takes it.

    Examples
    --------
    >>> import lossopt as lo, numpy as np
    >>> X = np.eye(4)
    >>> fits = lo.fit_many(X, X[:, 0], lo.MSE(), {"optimizer": [lo.SGD(lr=0.1), lo.SGD(lr=0.5)]}, epochs=9)
    >>> fits.best, fits.models[1].params["weight"].shape
    (1, (1, 4))
    """

    def __init__(self, candidates: list[Candidate], trainers: list[Trainer], failed: list[str | None]) -> None:
        def last(key: str) -> Array:
            curves = [
                t.history[key] if key in t.history and e is None else [] for t, e in zip(trainers, failed, strict=True)
            ]
            return np.array([curve[-1] if curve else np.nan for curve in curves])

        self.candidates = candidates
        self.trainers = trainers
        self.failed = failed
        self.train_loss = last("train_loss")
        self.val_loss = last("val_loss")
        self.best = _least(self.val_loss if np.isfinite(self.val_loss).any() else self.train_loss)
        self.table: dict[str, list[Any]] = {
            **_varied(candidates),
            "train_loss": self.train_loss.tolist(),
            "val_loss": self.val_loss.tolist(),
            "zeros": [trainer._zeros() for trainer in trainers],
        }

    @property
    def models(self) -> list[Linear]:
        """The models, in the order of the candidates."""
        return [trainer.model for trainer in self.trainers]

    def __len__(self) -> int:
        return len(self.trainers)

    def __repr__(self) -> str:
        return _shown(self.table, self.best)


def fit_many(
    X: Rows,
    y: ArrayLike,
    loss: Loss,
    grid: Grid,
    epochs: int = 1,
    validation: tuple[Any, ...] | None = None,
    sample_weight: ArrayLike | None = None,
    n_outputs: int | None = None,
    **options: Any,
) -> Fits:
    """Train a linear model for every candidate of a grid, all in one pass over the data.

    All models see the same rows in the same order; a batch is gathered once for all of them. Each ends with the bits
    of a `Trainer` of its own with the same start, options and seed. One whose loss or gradient is not finite stops
    where it stands, and the others go on.

    Parameters
    ----------
    X : array or CSR (n, n_features)
    y : array
        Targets as the loss takes them.
    loss : Loss
    grid : dict of lists, or list of dicts
        What candidates differ in: ``optimizer`` (each needs one), ``penalty``, ``max_norm``, ``model`` (a Linear that
        it starts from), ``sample_weight`` (n,), which multiplies that of all. A dict of lists stands for every
        combination, the last key running fastest. Models and optimizers are copied.
    epochs : int
    validation : (X, y) or (X, y, sample_weight), optional
        Looked at after each epoch.
    sample_weight : array (n,), optional
    n_outputs : int, optional
        As for `Objective`.
    **options
        What else `Trainer` takes: batch_size, accumulate, schedule_unit, shuffle, drop_last, seed, engine, record,
        end_loss, on_nonfinite.

    Returns
    -------
    Fits

    Raises
    ------
    ValueError, TypeError
        An argument has the wrong shape, type or range; the sentence names it.

    Examples
    --------
    >>> import lossopt as lo, numpy as np
    >>> X = np.random.default_rng(0).standard_normal((200, 3))
    >>> y = X @ [1.0, -1.0, 0.0]
    >>> grid = {"penalty": [lo.L1(s) for s in (1e-3, 1.0, 10.0)], "optimizer": [lo.SGD(lr=0.05)]}
    >>> fits = lo.fit_many(X[:150], y[:150], lo.MSE(), grid, epochs=20, validation=(X[150:], y[150:]))
    >>> fits.best, fits.table["zeros"]
    (0, [1, 1, 3])
    """
    _check_epochs(epochs)
    fit = _Fit(X, y, loss, grid, sample_weight, n_outputs, options)
    trainers = [fit.trainer(candidate) for candidate in fit.candidates]
    weights = [fit.weights(*pair) for pair in zip(fit.candidates, trainers, strict=True)]
    failed = fit.run(trainers, weights, int(epochs), validation)
    return Fits(fit.candidates, trainers, failed)


def path(
    X: Rows,
    y: ArrayLike,
    loss: Loss,
    penalty: Callable[[float], Penalty],
    strengths: Sequence[float],
    optimizer: Optimizer,
    epochs: int = 1,
    validation: tuple[Any, ...] | None = None,
    sample_weight: ArrayLike | None = None,
    n_outputs: int | None = None,
    **options: Any,
) -> Fits:
    """A validation curve: `fit_many` over strengths of a penalty.

    Parameters
    ----------
    X, y, loss, epochs, validation, sample_weight, n_outputs, **options
        As for `fit_many`.
    penalty : function of a strength
        A penalty's class, such as ``lo.L1``, or ``lambda s: lo.ElasticNet(s, 0.5)``.
    strengths : sequence of float
    optimizer : Optimizer

    Returns
    -------
    Fits
        In the order of the strengths: ``fits.val_loss`` over them is the curve, ``fits.models[i].params["weight"]`` the
        coefficients.

    Raises
    ------
    ValueError, TypeError
        As for `fit_many`.

    Examples
    --------
    >>> import lossopt as lo, numpy as np
    >>> X = np.random.default_rng(0).standard_normal((200, 3))
    >>> fits = lo.path(X, X[:, 0], lo.MSE(), lo.L1, [1e-3, 1.0, 10.0], lo.SGD(lr=0.05), epochs=20)
    >>> fits.table["zeros"]
    [1, 1, 3]
    """
    if not callable(penalty):
        raise TypeError(f"penalty must be a function of a strength, such as lo.L1, got {penalty!r}")
    if np.ndim(strengths) != 1:
        raise TypeError(f"strengths must be a list of numbers, got {strengths!r}")
    grid = [{"penalty": penalty(float(strength)), "optimizer": optimizer} for strength in strengths]
    return fit_many(X, y, loss, grid, epochs, validation, sample_weight, n_outputs, **options)


@final
class CrossValidation:
    """What `cross_validate` returns.

    Parameters
    ----------
    candidates : list of dict
        What each was given.
    val_loss : array (K, folds)
        Of each candidate, on the rows of each fold, trained on all others; NaN where training failed, or where no row
        of the fold has weight.
    folds : array (n,)
        The fold of each row.

    Attributes
    ----------
    mean, error : array (K,)
        Mean over the folds, and its standard error.
    best : int or None
        The candidate of least mean; None if all failed.
    table : dict of lists
        What differs between the candidates, mean and error; `pandas.DataFrame` takes it.

    Examples
    --------
    >>> import lossopt as lo, numpy as np
    >>> X = np.eye(4)
    >>> found = lo.cross_validate(X, X[:, 0], lo.MSE(), {"optimizer": [lo.SGD(lr=0.1), lo.SGD(lr=0.5)]}, folds=2)
    >>> found.val_loss.shape, list(found.table)
    ((2, 2), ['optimizer', 'val_loss', 'error'])
    """

    def __init__(self, candidates: list[Candidate], val_loss: Array, folds: Array) -> None:
        self.candidates = candidates
        self.val_loss = val_loss
        self.folds = folds
        count = val_loss.shape[1]
        self.mean: Array = val_loss.mean(axis=1)
        self.error: Array = val_loss.std(axis=1, ddof=1) / np.sqrt(count)
        self.best = _least(self.mean)
        self.table: dict[str, list[Any]] = {
            **_varied(candidates),
            "val_loss": self.mean.tolist(),
            "error": self.error.tolist(),
        }

    def __repr__(self) -> str:
        return _shown(self.table, self.best)


def cross_validate(
    X: Rows,
    y: ArrayLike,
    loss: Loss,
    grid: Grid,
    folds: int | ArrayLike = 5,
    epochs: int = 1,
    sample_weight: ArrayLike | None = None,
    n_outputs: int | None = None,
    **options: Any,
) -> CrossValidation:
    """Cross-validate every candidate of a grid, all folds and candidates in one pass over the data.

    A fold is left out by a sample weight of 0, so that all models see the same rows; a batch that a fold fills makes no
    update for it.

    Parameters
    ----------
    X, y, loss, grid, epochs, sample_weight, n_outputs, **options
        As for `fit_many`.
    folds : int or array (n,)
        How many, of as equal size as can be, in an order made from the seed; or each row's fold, 0, 1, ..., for folds
        by class, by group or by date.

    Returns
    -------
    CrossValidation

    Raises
    ------
    ValueError, TypeError
        As for `fit_many`; or folds are fewer than two, or one is empty.

    Examples
    --------
    >>> import lossopt as lo, numpy as np
    >>> X = np.random.default_rng(0).standard_normal((200, 3))
    >>> y = X @ [1.0, -1.0, 0.0]
    >>> grid = {"penalty": [lo.L2(s) for s in (1e-3, 1.0)], "optimizer": [lo.SGD(lr=0.05)]}
    >>> lo.cross_validate(X, y, lo.MSE(), grid, folds=4, epochs=20).best
    0
    """
    _check_epochs(epochs)
    fit = _Fit(X, y, loss, grid, sample_weight, n_outputs, options)
    first = [fit.trainer(candidate) for candidate in fit.candidates]
    numbers = _folds(folds, len(fit.y), first[0].seed)
    count = int(numbers.max()) + 1
    left = [(numbers != i).astype(first[0].model.dtype) for i in range(count)]
    trainers = [fit.trainer(candidate) for candidate in fit.candidates for _ in range(count)]
    own = [fit.weights(*pair) for pair in zip(fit.candidates, first, strict=True)]
    weights: list[Array | None] = [left[i] if w is None else w * left[i] for w in own for i in range(count)]
    failed = fit.run(trainers, weights, int(epochs), None)
    val_loss = np.full((len(fit.candidates), count), np.nan)
    for i in range(count):
        rows = np.flatnonzero(numbers == i)
        X_part, y_part = fit.X[rows], fit.y[rows]
        for j, w in enumerate(own):
            part = None if w is None else w[rows]
            # a fold without weight has nothing to say
            if failed[j * count + i] is None and (part is None or part.any()):
                val_loss[j, i] = trainers[j * count + i].evaluate(X_part, y_part, part)
    return CrossValidation(fit.candidates, val_loss, numbers)


def _folds(folds: int | ArrayLike, n: int, seed: int) -> Array:
    """The fold of each row."""
    if isinstance(folds, (int, np.integer)) and not isinstance(folds, bool):
        if not 2 <= folds <= n:
            raise ValueError(f"folds must be from 2 to the {n} rows of X, got {folds!r}")
        order = np.empty(n, np.int64)
        # an order of its own, which no epoch has
        loop.permutation(order, seed, 2**64 - 1, n)
        numbers = np.empty(n, np.int64)
        numbers[order] = np.arange(n) % int(folds)
        return numbers
    if np.ndim(folds) == 0:
        raise TypeError(f"folds must be a whole number, or each row's, got {folds!r}")
    numbers = _arrays.labels("folds", folds, n)
    counts = np.bincount(numbers) if n and 0 <= numbers.min() <= numbers.max() < n else np.zeros(1)
    if len(counts) < 2 or not counts.all():
        raise ValueError("folds must be 0, 1, ..., two or more of them, each with at least one row")
    return numbers


def _check_epochs(epochs: int) -> None:
    if isinstance(epochs, bool) or not isinstance(epochs, (int, np.integer)) or epochs < 1:
        raise ValueError(f"epochs must be a whole number, 1 or more, got {epochs!r}")
