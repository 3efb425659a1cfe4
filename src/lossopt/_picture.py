"""Pictures: the axes to draw on, and the file, of every plot."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def axes(who: str, ax: Any = None, size: tuple[float, float] = (6, 4)) -> Any:
    """The given axes, or those of a new figure; `who` needs matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError(f"{who} needs matplotlib: pip install 'lossopt[plot]'") from None
    return Figure(figsize=size, layout="constrained").add_subplot() if ax is None else ax


def saved(ax: Any, path: str | Path | None) -> Any:
    """The axes, and their figure in the file, if there is one."""
    if path is not None:
        ax.figure.savefig(path, dpi=120)
    return ax
