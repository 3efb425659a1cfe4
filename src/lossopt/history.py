"""What happened in training, one entry an epoch."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lossopt import _picture
from lossopt.diagnosis import Finding, diagnose

_FOREIGN = {"loss": "train_loss"}


def _number(x: Any) -> float:
    # loggers that look at the validation data now and then leave gaps
    return float("nan") if x in ("", None) else float(x)


class History:
    """Curves of a training run: ``history[key]`` is a list with one number an epoch.

    Keys: ``train_loss`` (mean over the epoch's rows of the data term, each batch before its update), ``penalty`` (at
    its end), ``val_loss`` (data term; only with validation data), ``lr`` and ``grad_norm`` (of the last update; the
    norm of the data gradient before clipping), ``step_norm`` (how far the epoch's last window moved the parameters),
    ``zeros`` (weights that are 0), ``seconds`` (the epoch's); with ``end_loss=True`` also ``end_loss`` (the data term
    over all training rows at the epoch's end; ``train_loss`` is a little behind it).

    Parameters
    ----------
    curves : dict of sequences of float, optional
        A curve by its key, a number an epoch; ``loss`` becomes ``train_loss``.
    stopped : str, optional
    steps : dict of sequences of float, optional

    Attributes
    ----------
    stopped : str or None
        Why the last fit ended; None while it runs.
    steps : dict of arrays
        Of a trainer with ``record="step"``, a number an update: ``train_loss`` (of its batch, before it), ``lr``,
        ``grad_norm``, ``step_norm``, ``zeros``.

    Examples
    --------
    >>> import lossopt as lo
    >>> history = lo.History({"train_loss": [0.7, 0.5]})
    >>> history["train_loss"][-1], len(history)
    (0.5, 2)
    """

    def __init__(
        self,
        curves: Mapping[str, Any] | None = None,
        stopped: str | None = None,
        steps: Mapping[str, Any] | None = None,
    ) -> None:
        self._curves = {_FOREIGN.get(k, k): [_number(x) for x in v] for k, v in (curves or {}).items()}
        self.stopped = stopped
        for curve in self._curves.values():
            curve.extend([float("nan")] * (len(self) - len(curve)))
        # pieces as they come, joined when somebody looks
        self._steps = {key: [np.array(curve, np.float64)] for key, curve in (steps or {}).items()}

    @property
    def steps(self) -> dict[str, NDArray[Any]]:
        for key, pieces in self._steps.items():
            self._steps[key] = [np.concatenate(pieces)]
        return {key: pieces[0] for key, pieces in self._steps.items()}

    def _append_steps(self, **told: ArrayLike) -> None:
        for key, piece in told.items():
            self._steps.setdefault(key, []).append(np.array(piece, np.float64))

    def __getitem__(self, key: str) -> list[float]:
        if key not in self._curves:
            raise KeyError(f"no curve {key!r} in this history; it has {', '.join(self._curves) or 'none'}")
        return self._curves[key]

    def __contains__(self, key: object) -> bool:
        return key in self._curves

    def __iter__(self) -> Iterator[str]:
        return iter(self._curves)

    def keys(self) -> list[str]:
        """The names of the curves.

        Returns
        -------
        list of str
        """
        return list(self._curves)

    def __len__(self) -> int:
        """How many epochs."""
        return max((len(curve) for curve in self._curves.values()), default=0)

    def __repr__(self) -> str:
        last = ", ".join(f"{key} {curve[-1]:.6g}" for key, curve in self._curves.items() if curve)
        return f"<History: {len(self)} epochs{': ' + last if last else ''}>"

    def append(self, **numbers: float) -> None:
        """Add an epoch; a curve that begins late has NaN before.

        Parameters
        ----------
        **numbers : float
            By key; a curve that is left out gets NaN.
        """
        epochs = len(self)
        for key in numbers:
            self._curves.setdefault(key, [float("nan")] * epochs)
        for key, curve in self._curves.items():
            curve.append(float(numbers.get(key, float("nan"))))

    def _add(self, numbers: Mapping[str, float]) -> None:
        """More numbers of the last epoch, of curves that are not there yet or have none for it."""
        for key, x in numbers.items():
            if key not in self._curves:
                self._curves[key] = [float("nan")] * len(self)
            self._curves[key][-1] = float(x)

    def save(self, path: str | Path) -> None:
        """Write the curves: .json, .csv or .npz, by the ending of path.

        Parameters
        ----------
        path : str or Path
            A CSV has no place for `stopped` and `steps`.

        Raises
        ------
        ValueError
            Another ending; nothing has been written then.
        """
        path = Path(path)
        if path.suffix == ".json":
            steps = {"steps": {key: curve.tolist() for key, curve in self.steps.items()}} if self._steps else {}
            path.write_text(json.dumps({"stopped": self.stopped, **steps, **self._curves}))
        elif path.suffix == ".csv":
            with path.open("w", newline="") as file:
                rows = csv.writer(file)
                rows.writerow(["epoch", *self._curves])
                rows.writerows([i + 1, *(repr(c[i]) for c in self._curves.values())] for i in range(len(self)))
        elif path.suffix == ".npz":
            stopped = np.array([] if self.stopped is None else [self.stopped])
            arrays: dict[str, Any] = {k: np.array(v) for k, v in self._curves.items()}
            arrays |= {f"steps.{k}": v for k, v in self.steps.items()}
            np.savez(path, stopped=stopped, **arrays)
        else:
            raise ValueError(f"path must end in .json, .csv or .npz, got {str(path)!r}")

    @staticmethod
    def load(path: str | Path | Mapping[str, Any]) -> History:
        """Read curves: what `save` wrote, a CSV with a column of train_loss or loss, or a dict such as Keras's.

        Parameters
        ----------
        path : str, Path or dict

        Returns
        -------
        History

        Raises
        ------
        ValueError
            Another ending than .json, .csv or .npz, or an entry that is not a number.
        """
        if isinstance(path, Mapping):
            own = {"stopped", "steps"}
            return History({k: v for k, v in path.items() if k not in own}, path.get("stopped"), path.get("steps"))
        path = Path(path)
        stopped: str | None = None
        steps: dict[str, Any] = {}
        if path.suffix == ".json":
            curves = json.loads(path.read_text())
            stopped, steps = curves.pop("stopped", None), curves.pop("steps", {})
        elif path.suffix == ".csv":
            with path.open(newline="") as file:
                rows = list(csv.DictReader(file))
            names = list(rows[0]) if rows else []
            curves = {name: [_number(row[name]) for row in rows] for name in names if name != "epoch"}
        elif path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                curves = {key: file[key] for key in file.files}
            given = curves.pop("stopped", np.array([]))
            stopped = str(given[0]) if given.size else None
            steps = {key[6:]: curves.pop(key) for key in list(curves) if key.startswith("steps.")}
        else:
            raise ValueError(f"path must end in .json, .csv or .npz, got {str(path)!r}")
        return History(curves, stopped, steps)

    def to_pandas(self) -> Any:
        """The curves as a table. Needs pandas, of the extra ``cli``.

        Returns
        -------
        pandas.DataFrame
            A column a curve, a row an epoch, counted from 1.

        Raises
        ------
        ImportError
            pandas is missing.

        Examples
        --------
        >>> import lossopt as lo
        >>> lo.History({"train_loss": [0.7, 0.5]}).to_pandas()
               train_loss
        epoch
        1             0.7
        2             0.5
        """
        try:
            import pandas
        except ImportError:
            raise ImportError("history.to_pandas needs pandas: pip install 'lossopt[cli]'") from None
        return pandas.DataFrame(self._curves, index=pandas.RangeIndex(1, len(self) + 1, name="epoch"))

    def diagnose(self, baseline: float | None = None) -> list[Finding]:
        """What the curves say is wrong with a run, gravest first; nothing for a healthy one.

        Parameters
        ----------
        baseline : float, optional
            The loss of the best constant prediction, such as the variance of the targets for MSE. Without it the first
            epoch stands in for it.

        Returns
        -------
        list of Finding
            Codes: ``dead`` (not finite), ``diverging``, ``rough_start`` (the loss first rises), ``jumpy``,
            ``unfinished`` (it still falls as it did), ``no_decrease``, ``overfitting`` (since the best epoch),
            ``underfitting`` or ``penalty_too_strong`` (it settles near where it began), ``validation_below_training``.
            Fewer than six epochs say nothing but dead.

        Notes
        -----
        ``train_loss`` is a mean over the epoch, and so a little behind ``val_loss``, which is of its end. The
        thresholds were set on 222 runs on real data, provoked to be of one kind each; on 222 others 1 of 60 healthy
        runs had a finding, and 11 of the 162 had none of their kind.
        Source: chapter "Loss Functions and Optimization", loss curves.

        Examples
        --------
        >>> import lossopt as lo
        >>> curves = {"train_loss": [1.0, 0.6, 0.4, 0.3, 0.2, 0.1], "val_loss": [0.9, 0.7, 0.8, 0.9, 1.0, 1.1]}
        >>> for finding in lo.History(curves).diagnose():
        ...     print(finding.code, finding.epochs, finding.evidence["best_epoch"])
        overfitting (2, 6) 2.0
        """
        return diagnose(self._curves, self.stopped, baseline)

    def plot(self, path: str | Path | None = None, ax: Any = None, findings: Sequence[Finding] | None = None) -> Any:
        """Draw the loss curves, the best epoch, and what `diagnose` finds. Needs the extra ``plot``.

        Parameters
        ----------
        path : str, optional
            Where to write the picture.
        ax : matplotlib axes, optional
            Where to draw; without it, a new figure.
        findings : sequence of Finding, optional
            What to mark instead, such as those of `diagnose` with a baseline.

        Returns
        -------
        matplotlib axes

        Raises
        ------
        ImportError
            matplotlib is missing.
        """
        ax = _picture.axes("history.plot", ax)
        epochs = np.arange(1, len(self) + 1)
        # dashes tell the curves apart in grey as well
        for key, name, style in (("train_loss", "training", "-"), ("val_loss", "validation", "--")):
            if key in self:
                ax.plot(epochs, self[key], style, label=name)
        if "val_loss" in self and np.isfinite(self["val_loss"]).any():
            best = int(np.nanargmin(self["val_loss"]))
            ax.plot(best + 1, self["val_loss"][best], "o", color="black", markersize=5, label=f"best epoch: {best + 1}")
        if len(self) and self.stopped not in (None, "all epochs done"):
            reason = str(self.stopped).partition(":")[0]
            ax.axvline(len(self), linestyle=":", color="black", linewidth=1, label=f"stopped: {reason}")
        told = []
        for finding in self.diagnose() if findings is None else findings:
            first, last = finding.epochs
            ax.axvspan(first, last, color="0.92", zorder=0)
            told.append(f"{finding.code}, epochs {first} to {last}")
        if told:
            ax.set_title("\n".join(told), loc="left", fontsize="small")
        ax.set_xlabel("epoch")
        ax.set_ylabel("loss (data term)")
        if ax.has_data():
            ax.legend()
        return _picture.saved(ax, path)
