"""Plot: pictures of things that have no picture of their own; each function returns matplotlib's axes.

``history.plot()``, ``lr_find(...).plot()`` and `lossopt.surfaces` draw the others.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lossopt import _picture
from lossopt._arrays import Rows
from lossopt.losses import Loss
from lossopt.many import CrossValidation, Fits
from lossopt.optimizers import Optimizer
from lossopt.schedules import Schedule
from lossopt.trainer import Trainer

Array = NDArray[Any]

__all__ = ["coefficients", "schedule", "step_time", "validation"]

# dashes tell lines apart in grey as well
_DASHES = ("-", "--", "-.", ":")


def schedule(of: Schedule, steps: int, path: str | Path | None = None, ax: Any = None) -> Any:
    """Draw a schedule.

    Parameters
    ----------
    of : Schedule
    steps : int
        t goes from 0 to it.
    path : str or Path, optional
        Where to write the picture.
    ax : matplotlib axes, optional
        Where to draw; without it, a new figure.

    Returns
    -------
    matplotlib axes

    Raises
    ------
    ImportError
        matplotlib is missing.

    Examples
    --------
    >>> import lossopt as lo
    >>> from lossopt import plot
    >>> ax = plot.schedule(lo.Warmup(lo.CosineAnnealing(0.1, T_max=90), steps=10), 100)
    """
    ax = _picture.axes("plot.schedule", ax, (6, 3))
    t = np.linspace(0, steps, 2001)
    ax.plot(t, of(t))
    ax.set_xlabel("t")
    ax.set_ylabel("value")
    ax.set_ylim(bottom=0)
    return _picture.saved(ax, path)


def _strengths(found: Fits | CrossValidation) -> Array:
    """The strength of each candidate's penalty."""
    penalties = [candidate.get("penalty") for candidate in found.candidates]
    strengths = [getattr(penalty, "strength", None) for penalty in penalties]
    if not all(isinstance(x, (int, float, np.number)) for x in strengths):
        raise ValueError(
            f"candidates must have penalties with strengths that are numbers, got {penalties[0]!r:.60}, ..."
        )
    return np.array(strengths, np.float64)


def _over_strengths(ax: Any, strengths: Array) -> None:
    ax.set_xlabel("strength of the penalty")
    positive = strengths[strengths > 0]
    if positive.size == strengths.size:
        ax.set_xscale("log")
    elif positive.size:
        # zero has a place left of the others
        ax.set_xscale("symlog", linthresh=float(positive.min()))
        ax.set_xlim(left=0)


def coefficients(fits: Fits, names: Sequence[str] | None = None, path: str | Path | None = None, ax: Any = None) -> Any:
    """Draw the coefficient path: every weight over the strength of the penalty.

    Parameters
    ----------
    fits : Fits
        Of `path`, or of `fit_many` over penalties with a strength.
    names : sequence of str, optional
        Of the features; the ten that come furthest from zero are named.
    path, ax
        As for `schedule`.

    Returns
    -------
    matplotlib axes

    Raises
    ------
    ValueError
        The candidates have no strengths, or names are not as many as features.
    ImportError
        matplotlib is missing.

    Examples
    --------
    >>> import lossopt as lo, numpy as np
    >>> from lossopt import plot
    >>> X = np.random.default_rng(0).standard_normal((200, 3))
    >>> fits = lo.path(X, X @ [1, 0, -2], lo.MSE(), lo.L1, np.geomspace(1e-3, 10, 20), lo.SGD(0.05), epochs=20)
    >>> ax = plot.coefficients(fits, ["age", "height", "weight"])
    """
    ax, strengths = _picture.axes("plot.coefficients", ax), _strengths(fits)
    order = np.argsort(strengths)
    weights = np.array([fits.models[i].params["weight"] for i in order])
    k, d = weights.shape[1:]
    if names is not None and len(names) != d:
        raise ValueError(f"names must be as many as the {d} features, got {len(names)}")
    flat = weights.reshape(len(order), -1)
    reach = np.abs(flat).max(axis=0)
    for place, i in enumerate(np.argsort(-reach)):
        label = None
        if names is not None and place < 10:
            label = names[i % d] + (f", output {i // d}" if k > 1 else "")
        color = f"C{place % 10}" if label or names is None else "0.8"
        ax.plot(strengths[order], flat[:, i], _DASHES[place // 3 % 4], color=color, linewidth=1.2, label=label)
    ax.axhline(0, color="black", linewidth=0.6)
    _over_strengths(ax, strengths)
    ax.set_ylabel("weight")
    if names is not None:
        ax.legend(fontsize="small")
    return _picture.saved(ax, path)


def validation(found: Fits | CrossValidation, path: str | Path | None = None, ax: Any = None) -> Any:
    """Draw the validation curve: losses over the strength of the penalty, the best strength marked.

    Parameters
    ----------
    found : Fits or CrossValidation
        Over penalties with a strength. Of cross-validation the mean over folds is drawn, and its standard error.
    path, ax
        As for `schedule`.

    Returns
    -------
    matplotlib axes

    Raises
    ------
    ValueError
        The candidates have no strengths.
    ImportError
        matplotlib is missing.

    Examples
    --------
    >>> import lossopt as lo, numpy as np
    >>> from lossopt import plot
    >>> X = np.random.default_rng(0).standard_normal((200, 3))
    >>> grid = {"penalty": [lo.L2(s) for s in (1e-3, 0.1, 10)], "optimizer": [lo.SGD(0.05)]}
    >>> ax = plot.validation(lo.cross_validate(X, X[:, 0], lo.MSE(), grid, epochs=10))
    """
    ax, strengths = _picture.axes("plot.validation", ax), _strengths(found)
    order = np.argsort(strengths)
    x = strengths[order]
    if isinstance(found, CrossValidation):
        mean, error = found.mean[order], found.error[order]
        ax.fill_between(x, mean - error, mean + error, color="0.88", label="standard error")
        ax.plot(x, mean, ".-", label=f"validation, mean of {found.val_loss.shape[1]} folds")
        curve = found.mean
    else:
        ax.plot(x, found.train_loss[order], ".-", label="training")
        if np.isfinite(found.val_loss).any():
            ax.plot(x, found.val_loss[order], ".--", label="validation")
        curve = found.val_loss if np.isfinite(found.val_loss).any() else found.train_loss
    if found.best is not None:
        best = strengths[found.best]
        ax.plot(best, curve[found.best], "o", color="black", markersize=6, label=f"best: {best:.3g}")
    _over_strengths(ax, strengths)
    ax.set_ylabel("loss (data term)")
    ax.legend()
    return _picture.saved(ax, path)


def step_time(
    model: Any,
    loss: Loss,
    optimizer: Optimizer,
    X: Rows,
    y: ArrayLike,
    sizes: Sequence[int] = (1, 4, 16, 64, 256, 1024),
    path: str | Path | None = None,
    ax: Any = None,
) -> Any:
    """Measure and draw how long an update takes over the batch size, and a row.

    Each size trains copies for three epochs, and the fastest counts; sizes beyond the rows are left out.

    Parameters
    ----------
    model, loss, optimizer, X, y
        As for `Trainer`; copies are trained.
    sizes : sequence of int
    path, ax
        As for `schedule`.

    Returns
    -------
    matplotlib axes
        Its lines hold what was measured, in microseconds.

    Raises
    ------
    ValueError
        No size is as small as the rows.
    ImportError
        matplotlib is missing.

    Examples
    --------
    >>> import lossopt as lo, numpy as np
    >>> from lossopt import plot
    >>> X = np.random.default_rng(0).standard_normal((500, 10))
    >>> ax = plot.step_time(lo.Linear(10), lo.MSE(), lo.Adam(), X, X[:, 0], sizes=[1, 10, 100])
    >>> len(ax.lines[0].get_ydata())
    3
    """
    ax = _picture.axes("plot.step_time", ax)
    n = np.shape(y)[0]
    taken = [size for size in sizes if size <= n]
    if not taken:
        raise ValueError(f"sizes must have one of at most the {n} rows, got {list(sizes)}")
    micro = []
    for size in taken:
        trainer = Trainer(copy.deepcopy(model), loss, copy.deepcopy(optimizer), batch_size=size)
        seconds = trainer.fit(X, y, epochs=3)["seconds"]
        micro.append(min(seconds) / -(-n // size) * 1e6)
    ax.plot(taken, micro, "o-", label="an update")
    ax.plot(taken, np.array(micro) / taken, "s--", label="a row of it")
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xticks(taken, [str(size) for size in taken])
    ax.minorticks_off()
    ax.set_xlabel("batch size")
    ax.set_ylabel("microseconds")
    ax.legend()
    return _picture.saved(ax, path)
