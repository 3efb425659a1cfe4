"""Tables: rows of a CSV as numbers, the same way when a model learns and when it predicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lossopt._refused import RefusedError

Array = NDArray[Any]

# a column of more different texts than this says nothing that a linear model could use
_MOST_LEVELS = 100
_MISSING = "(missing)"
# among numbers so many others are marks of what is missing, such as ? or n/a
_STRANGE = 0.2


def load(path: str, separator: str) -> Any:
    """A CSV as texts, missing ones None."""
    try:
        import pandas
    except ImportError:
        raise RefusedError("reading CSV needs pandas: pip install 'lossopt[cli]'") from None
    try:
        frame = pandas.read_csv(path, sep=separator, dtype=str)
    except OSError as error:
        raise RefusedError(f"{path} cannot be read: {error.strerror or error}") from None
    except (ValueError, UnicodeError) as error:  # pandas' own errors are ValueErrors
        raise RefusedError(f"{path} is no CSV: {' '.join(str(error).split())}") from None
    if frame.shape[1] == 1 and any(mark in str(frame.columns[0]) for mark in ";\t|"):
        raise RefusedError(
            f"{path} has one column, {str(frame.columns[0])!r:.60}: say what separates columns: --separator"
        )
    return frame


def texts(frame: Any, name: str) -> Array:
    """A column; None where there is nothing."""
    column = frame[name].to_numpy(dtype=object)
    return np.array([x.strip() if isinstance(x, str) else None for x in column], dtype=object)


def numbers(column: Array) -> tuple[Array, list[str]]:
    """A column of texts as numbers, NaN where there is none; and the texts that are none."""

    def number(x: str | None) -> float:
        if x is not None:
            try:
                return float(x)
            except ValueError:
                strange.append(x)
        return np.nan

    strange: list[str] = []
    made = np.array([number(x) for x in column])
    made[np.isinf(made)] = np.nan
    return made, strange


@dataclass(frozen=True)
class Column:
    """How a column becomes features: (x - mean) / spread, or a feature for each level."""

    name: str
    levels: tuple[str, ...] = ()  # none: it holds numbers
    mean: float = 0.0
    spread: float = 1.0

    @property
    def features(self) -> list[str]:
        return [f"{self.name} = {level}" for level in self._shown()] if self.levels else [self.name]

    def _shown(self) -> Sequence[str]:
        # of two levels one says it
        return self.levels[1:] if len(self.levels) == 2 else self.levels


class Columns:
    """The columns that a model looks at."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self.columns = list(columns)

    @property
    def features(self) -> list[str]:
        return [feature for column in self.columns for feature in column.features]

    @staticmethod
    def learn(frame: Any, target: str) -> tuple[Columns, list[str]]:
        """From the rows to train on; and what there is to say of it."""
        made, said = [], []
        for name in map(str, frame.columns):
            if name == target:
                continue
            column = texts(frame, name)
            absent = int(sum(x is None for x in column))
            values, strange = numbers(column)
            if absent == len(column):
                said.append(f"{name}: nothing in it, left out")
            elif len(strange) <= _STRANGE * (len(column) - absent):
                known = values[np.isfinite(values)]
                whole = len(np.unique(known)) == len(column) and (known == np.round(known)).all()
                if name.startswith("Unnamed: ") and whole:
                    said.append(f"{name}: a column without a name that numbers the rows, left out")
                    continue
                mean, spread = (float(known.mean()), float(known.std())) if known.size else (0.0, 0.0)
                if not spread > 1e-12 * abs(mean):
                    said.append(f"{name}: the same in every row, left out")
                    continue
                made.append(Column(name, (), mean, spread))
                if known.size < len(values):
                    such = f" or no numbers, such as {strange[0]!r}" if strange else ""
                    said.append(f"{name}: {len(values) - known.size} missing{such}, taken as the mean {mean:.6g}")
            else:
                levels = sorted({x for x in column if x is not None})
                if len(levels) > _MOST_LEVELS or (len(levels) > len(column) // 2 and len(column) >= 20):
                    said.append(f"{name}: {len(levels)} different texts in {len(column)} rows, left out")
                    continue
                if absent:
                    said.append(f"{name}: {absent} missing, a level of their own")
                    levels.append(_MISSING)
                if len(levels) == 1:
                    said.append(f"{name}: the same in every row, left out")
                    continue
                made.append(Column(name, tuple(levels)))
        return Columns(made), said

    def matrix(self, frame: Any) -> tuple[Array, list[str]]:
        """The features of each row; and what there is to say of it."""
        said: list[str] = []
        X = np.zeros((len(frame), len(self.features)))
        at = 0
        for column in self.columns:
            if column.name not in frame.columns:
                raise RefusedError(f"column {column.name!r} is missing")
            given = texts(frame, column.name)
            if column.levels:
                filled = np.array([_MISSING if x is None else x for x in given], dtype=object)
                for level in column._shown():
                    X[:, at] = filled == level
                    at += 1
                unknown = {x for x in filled if x not in column.levels}
                if unknown:
                    count = sum(x in unknown for x in filled)
                    said.append(f"{column.name}: {count} rows of levels not seen in training, such as {min(unknown)!r}")
                continue
            values, strange = numbers(given)
            if len(strange) > _STRANGE * len(values):
                raise RefusedError(f"column {column.name!r} held numbers in training, and holds {strange[0]!r}")
            X[:, at] = np.where(np.isnan(values), 0.0, (values - column.mean) / column.spread)
            at += 1
        return X, said

    def state(self) -> list[dict[str, Any]]:
        return [asdict(column) for column in self.columns]
