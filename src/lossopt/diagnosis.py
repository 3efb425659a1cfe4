"""Diagnosis: what loss curves say of a training run, with the numbers that say it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# epochs below which curves say nothing but that a run is dead
_FEW = 6
# evidence that is a loss
_LOSSES = ("first", "last", "highest", "least", "best", "began_at")

ADVICE = {
    "dead": "loss or gradient stopped being finite: lower lr, or look for NaN, infinities and unscaled columns",
    "diverging": "lr is too high: lower it by a factor of 3 to 10, or warm up",
    "rough_start": "the first steps are too long: warm up, or begin with a lower lr",
    "jumpy": "the loss jumps: lower lr, let it decay, or take larger batches (below noise_scale they are mostly noise)",
    "unfinished": "the loss still falls as it did: train longer, or with a higher lr",
    "no_decrease": "the loss does not fall: lr may be far too high or too low, or targets may not belong to their rows",
    "overfitting": "validation was best earlier: stop there, or regularize, or take more data",
    "underfitting": "the loss ends near where it began: a larger model or better features, if there is more to learn",
    "penalty_too_strong": "the penalty leaves the loss near where it began: lower its strength",
    "validation_below_training": "validation is far below training: rows in both? easier ones? (dropout does it too)",
}


@final
@dataclass(frozen=True)
class Finding:
    """Something that curves show.

    Parameters
    ----------
    code : str
        As `History.diagnose` lists them.
    epochs : (first, last), counted from 1
        Where it shows.
    evidence : dict of float
        The numbers it rests on.
    advice : str

    Examples
    --------
    >>> import lossopt as lo
    >>> (finding,) = lo.History({"train_loss": [1.0, float("nan")]}).diagnose()
    >>> finding.code, finding.epochs
    ('dead', (2, 2))
    """

    code: str
    epochs: tuple[int, int]
    evidence: dict[str, float] = field(default_factory=dict)
    advice: str = ""

    def __str__(self) -> str:
        numbers = ", ".join(f"{name} {x:.4g}" for name, x in self.evidence.items())
        first, last = self.epochs
        where = f"epoch {first}" if first == last else f"epochs {first} to {last}"
        return f"{self.code} ({where}): {self.advice} [{numbers}]"


def diagnose(curves: Mapping[str, Sequence[float]], stopped: str | None, baseline: float | None) -> list[Finding]:
    """The findings of curves, an entry an epoch, the gravest first."""
    train = np.array(curves.get("train_loss", ()), dtype=np.float64)
    val = np.array(curves.get("val_loss", np.full(len(train), np.nan)), dtype=np.float64)
    n = len(train)
    found: list[Finding] = []
    lift = 0.0

    def add(code: str, begin: int, end: int, /, **evidence: float) -> None:
        numbers = {name: x - lift if name in _LOSSES else x for name, x in evidence.items()}
        found.append(Finding(code, (begin + 1, end + 1), numbers, ADVICE[code]))

    lost = np.flatnonzero(~np.isfinite(train) | (np.isinf(val)))
    if lost.size or (stopped or "").startswith("FloatingPointError"):
        at = int(lost[0]) if lost.size else n
        add("dead", at, max(n - 1, at), epochs_before=float(at))
        return found
    if n < _FEW:
        return found
    # losses that go below zero have no natural scale: theirs is how far they go
    low, high = float(min(train.min(), np.nanmin(val, initial=np.inf))), float(train.max())
    lift = 0.0 if low >= 0 else 0.5 * (high - low) - low
    train, val = train + lift, val + lift
    start, end, least = float(train[0]), float(train[-1]), float(train.min())
    peak = int(train.argmax())
    if end > 1.5 * start and end > 0.5 * train[peak]:
        add("diverging", int(train.argmin()), n - 1, first=start, last=end)
        return found
    if train[peak] > 1.5 * start and peak <= n // 2:
        add("rough_start", 0, peak, first=start, highest=float(train[peak]), last=end)
    later = train[n // 5 :]
    up = np.flatnonzero((np.diff(later) > 0.15 * later[:-1]) & (later[1:] > 0.01 * start))
    if len(up) >= max(3, 0.1 * len(later)):
        noise = [x for x in curves.get("noise_scale", ()) if np.isfinite(x)]
        known_noise = {"noise_scale": float(noise[-1])} if noise else {}
        rise = float((later[up + 1] / later[up]).max())
        add("jumpy", n // 5, n - 1, rises=float(len(up)), largest=rise, **known_noise)
    quarter = max(1, n // 4)
    fall, last_fall = start - end, float(train[-1 - quarter] - end)
    steady = float(np.mean(np.diff(train) < 0))
    falls = fall > 0.002 * abs(start) and last_fall > 0.12 * fall and steady > 0.8 and last_fall > 0.005 * abs(end)
    if falls or (steady > 0.95 and last_fall > 0.15 * fall > 0):
        add("unfinished", n - 1 - quarter, n - 1, fall=fall, of_it_in_the_last_quarter=last_fall)
    elif least > 0.99 * start:
        add("no_decrease", 0, n - 1, first=start, least=least)
    known = np.isfinite(val)
    if known.sum() >= _FEW:
        best = int(np.nanargmin(val))
        tail = float(val[known][-3:].mean())
        rises = tail > 1.08 * val[best] and tail - val[best] > 0.02 * val[0]
        # early stopping has done what there is to do
        handled = (stopped or "").startswith("early stopping")
        if rises and best < n - 3 and end < 0.95 * train[best] and not handled:
            add("overfitting", best, n - 1, best_epoch=best + 1.0, best=float(val[best]), last=tail)
        late = known & (np.arange(n) >= n // 2)
        # the loss of the same time, where it is known
        beside = np.array(curves["end_loss"], dtype=np.float64) + lift if "end_loss" in curves else train
        ratio = float(np.median(val[late] / np.maximum(beside[late], 1e-300))) if late.any() else 1.0
        if ratio < 0.75:
            add("validation_below_training", n // 2, n - 1, validation_over_training=ratio)
    reference = start if baseline is None else baseline + lift
    settled = abs(float(train[n // 2]) - end) < 0.05 * abs(end)
    near = 0.76 if baseline is None else 0.9
    if settled and end > near * reference and not any(f.code in ("unfinished", "rough_start") for f in found):
        # a penalty that is in the way is a good part of the fall that it leaves (a half, of squares), or leaves nothing
        price = float(curves["penalty"][-1]) if len(curves.get("penalty", ())) else np.inf
        strong = price == 0 or 0.1 * max(reference - end, 1e-3 * abs(end)) < price < np.inf
        more = {"penalty": price} if strong else {}
        # one cause, one finding
        found = [finding for finding in found if not (strong and finding.code == "no_decrease")]
        add("penalty_too_strong" if strong else "underfitting", n // 2, n - 1, began_at=reference, last=end, **more)
    return found
