"""Rates: a learning rate found by trying all of them, on the way up."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lossopt import _picture
from lossopt._arrays import Rows
from lossopt.callbacks import Callback
from lossopt.losses import Loss
from lossopt.optimizers import Optimizer
from lossopt.penalties import Penalty
from lossopt.schedules import ExponentialDecay
from lossopt.trainer import Trainer, _Batches, _Data

Array = NDArray[Any]

_FADE = 0.9  # how much of the smoothed loss stays from one update to the next
_LOST = 4.0  # so many times the least smoothed loss is lost


def _smoothed(loss: Array) -> Array:
    """A fading mean, of what there was from the first on."""
    total, out = 0.0, np.empty_like(loss)
    for i, x in enumerate(loss.tolist()):
        total += (1 - _FADE) * (x - total)
        out[i] = total / (1 - _FADE ** (i + 1))
    return out


class _Sweep(Callback):
    """Ends the fit after so many updates, or when the loss is lost."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def _pause(self) -> int:
        done = self.trainer.optimizer.steps
        return min(10 - done % 10, self.steps - done)

    def _rest(self) -> None:
        done = self.trainer.optimizer.steps
        if done >= self.steps:
            self.trainer._halt = "all rates tried"
        elif done % 10 == 0 and done:
            smooth = _smoothed(self.trainer.history.steps["train_loss"])
            least = smooth.min()
            # losses may be below zero
            if smooth[-1] - least > (_LOST - 1) * abs(least):
                self.trainer._halt = "the loss is lost"


@final
class LRFind:
    """What `lr_find` returns: the curve of the test, and what to take from it.

    Parameters
    ----------
    lr, loss : array
        The rate of each update, and the loss of its batch before it.
    stopped : str
        Why the test ended.

    Attributes
    ----------
    smooth : array
        The loss, smoothed.
    suggestion : float or None
        A tenth of the rate at which the smoothed loss is least; None where it never falls.
    reason : str

    Examples
    --------
    >>> import lossopt as lo, numpy as np
    >>> found = lo.LRFind(np.geomspace(1e-3, 1, 40), np.linspace(1, 0.1, 40), "all rates tried")
    >>> round(found.suggestion, 6)
    0.1
    """

    def __init__(self, lr: Array, loss: Array, stopped: str) -> None:
        self.lr, self.loss, self.stopped = lr, loss, stopped
        self.smooth = _smoothed(loss)
        self.suggestion, self.reason = self._judge()

    def _judge(self) -> tuple[float | None, str]:
        if len(self.lr) < 5:
            return None, f"after {len(self.lr)} updates there is nothing to judge by: {self.stopped}"
        least = int(np.argmin(self.smooth))
        fallen = self.smooth[0] - self.smooth[least]
        if least < 2 or fallen <= 0.01 * abs(float(self.smooth[0])):
            return None, "the loss never falls: begin with lower rates, or look at model and data"
        most = float(self.lr[least])
        harmed = self.smooth[-1] - self.smooth[least] > 0.1 * fallen
        harm = "beyond it rates do harm" if harmed else "no rate that was tried does harm: try higher ones"
        return most / 10, f"a tenth of {most:.3g}, where the smoothed loss is least; {harm}"

    def plot(self, path: str | Path | None = None, ax: Any = None) -> Any:
        """Draw the loss over the rate, and the suggestion. Needs the extra ``plot``.

        Parameters
        ----------
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
        """
        ax = _picture.axes("lr_find's plot", ax)
        ax.plot(self.lr, self.loss, ".", color="0.7", markersize=4, label="batches")
        ax.plot(self.lr, self.smooth, "-", color="C0", label="smoothed")
        if self.suggestion is not None:
            ax.axvline(self.suggestion, linestyle="--", color="black", label=f"suggestion: {self.suggestion:.2g}")
        ax.set_xscale("log")
        # what is lost would leave nothing to see of the rest
        low, high = float(min(self.smooth.min(), self.loss.min())), float(self.smooth[0])
        ax.set_ylim(low - 0.1 * abs(high - low), high + 0.5 * max(abs(high - low), 1e-12))
        ax.set_xlabel("learning rate")
        ax.set_ylabel("loss")
        ax.legend()
        return _picture.saved(ax, path)

    def __repr__(self) -> str:
        found = "no suggestion" if self.suggestion is None else f"suggestion {self.suggestion:.3g}"
        return f"<LRFind: {found}; {self.reason}; {len(self.lr)} updates, {self.stopped}>"


def lr_find(
    model: Any,
    loss: Loss,
    optimizer: Optimizer,
    X: Rows,
    y: ArrayLike,
    low: float = 1e-6,
    high: float = 10.0,
    steps: int = 200,
    batch_size: int | None = 32,
    penalty: Penalty | None = None,
    sample_weight: ArrayLike | None = None,
    group: ArrayLike | None = None,
    seed: int = 0,
) -> LRFind:
    """The range test: train with a rate that grows from low to high, and see where the loss falls.

    Copies of the model and of the optimizer are trained; neither is changed. The rate of update k is
    ``low * (high / low)**(k / (steps - 1))``, that of a group in the same proportion. The test ends early when the
    smoothed loss is four times the least there was, or is not finite.

    Parameters
    ----------
    model, loss, optimizer, X, y, batch_size, penalty, sample_weight, group, seed
        As for `Trainer` and its `fit`; the optimizer's own lr plays no part.
    low, high : float, positive
    steps : int
        Updates.

    Returns
    -------
    LRFind

    Raises
    ------
    ValueError, TypeError
        An argument has the wrong shape, type or range; the sentence names it.

    Notes
    -----
    Where the loss falls most steeply, another rule in use, is led by the noise of single batches; where it is least is
    not. Source: Smith 2017, "Cyclical learning rates for training neural networks", the range test.

    Examples
    --------
    >>> import lossopt as lo, numpy as np
    >>> X = np.random.default_rng(0).standard_normal((500, 10))
    >>> found = lo.lr_find(lo.Linear(10), lo.MSE(), lo.SGD(), X, X @ np.arange(10.0))
    >>> 1e-3 < found.suggestion < 0.3
    True
    """
    for name, x in (("low", low), ("high", high)):
        if isinstance(x, bool) or not isinstance(x, (int, float, np.number)) or not 0 < x < np.inf:
            raise ValueError(f"{name} must be positive and finite, got {x!r}")
    if not low < high:
        raise ValueError(f"low must be below high, got {low!r} and {high!r}")
    if isinstance(steps, bool) or not isinstance(steps, (int, np.integer)) or steps < 5:
        raise ValueError(f"steps must be a whole number, 5 or more, got {steps!r}")
    growth = ExponentialDecay(float(low), -np.log(high / low) / (steps - 1))
    arguments = optimizer._arguments()
    base, arguments["lr"] = arguments["lr"], growth
    if arguments.get("groups"):
        arguments["groups"] = {
            name: {**numbers, "lr": growth * (numbers["lr"] / base)} if _both(numbers.get("lr"), base) else numbers
            for name, numbers in arguments["groups"].items()
        }
    trainer = Trainer(
        copy.deepcopy(model),
        loss,
        type(optimizer)(**arguments),
        penalty=penalty,
        batch_size=batch_size,
        seed=seed,
        record="step",
        callbacks=[_Sweep(int(steps))],
    )
    try:
        # rates that are too large are what it looks for
        with np.errstate(over="ignore", invalid="ignore"):
            trainer.fit(X, y, epochs=int(steps), sample_weight=sample_weight, group=group)
    except FloatingPointError:
        trainer.history.stopped = "the loss is not finite"
    told = trainer.history.steps
    empty = np.zeros(0)
    return LRFind(told.get("lr", empty)[:steps], told.get("train_loss", empty)[:steps], trainer.history.stopped or "")


def noise_scale(
    trainer: Trainer, X: Rows, y: ArrayLike, batch_size: int | None = None, group: ArrayLike | None = None
) -> float:
    """The gradient-noise scale: the batch size at which a batch's gradient is as much noise as signal.

    ``tr(S) / |G|**2``, with G the gradient of the mean loss over all rows at the parameters as they stand, and S the
    covariance of single rows' gradients. Batches far below it make steps that are mostly noise; far above it, a larger
    batch makes a step hardly better. Nothing is changed; it takes about two epochs' gradients.

    Parameters
    ----------
    trainer : Trainer
        Of which model and loss are looked at.
    X, y, group
        As for `Trainer.fit`.
    batch_size : int, optional
        Of the batches whose gradients are compared, at most half the rows (queries, of a ranking loss); without it the
        trainer's. 1 gives the covariance itself, larger ones estimate it from fewer gradients.

    Returns
    -------
    float
        In rows; infinite where the gradient is zero and its noise is not.

    Raises
    ------
    ValueError, TypeError
        An argument has the wrong shape, type or range; the sentence names it.

    Notes
    -----
    Source: McCandlish et al. 2018, "An empirical model of large-batch training", the simple noise scale; batches are
    drawn without replacement, which the estimate allows for.

    Examples
    --------
    >>> import lossopt as lo, numpy as np
    >>> X = np.random.default_rng(0).standard_normal((500, 10))
    >>> trainer = lo.Trainer(lo.Linear(10), lo.MSE(), lo.SGD())
    >>> 1 < lo.noise_scale(trainer, X, X @ np.arange(10.0)) < 50
    True
    """
    wanted = trainer.batch_size if batch_size is None else batch_size
    if wanted is None:
        wanted = 32
    if isinstance(wanted, bool) or not isinstance(wanted, (int, np.integer)) or wanted < 1:
        raise ValueError(f"batch_size must be a positive whole number, got {batch_size!r}")
    whole, parts = (
        Trainer(copy.deepcopy(trainer.model), trainer.loss, trainer.optimizer, batch_size=size, seed=trainer.seed)
        for size in (None, int(wanted))
    )
    everything, data = whole._data(X, y, None, None, group)[0], parts._data(X, y, None, None, group)[0]
    n = data.units
    if n < 2:
        raise ValueError(f"X must have at least 2 rows, got {n}")
    parts.batch_size = size = min(int(wanted), n // 2)

    def gradient(of: Trainer, rows: _Data, batches: _Batches, i: int) -> Array:
        grads = of._gradients(rows, batches.window(i))[2]
        return np.concatenate([np.ravel(x).astype(np.float64) for x in grads.values()])

    mean = gradient(whole, everything, _Batches(whole, everything, 0), 0)
    batches = _Batches(parts, data, 0)
    # a short last batch would have a noise of its own
    apart = [float(np.sum((gradient(parts, data, batches, i) - mean) ** 2)) for i in range(n // size)]
    noise, signal = size * (n - 1) / (n - size) * float(np.mean(apart)), float(np.sum(mean**2))
    return noise / signal if signal else np.inf if noise else 0.0


def _both(own: Any, base: Any) -> bool:
    return isinstance(own, (int, float)) and isinstance(base, (int, float)) and base > 0
