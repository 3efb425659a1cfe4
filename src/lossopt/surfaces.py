"""Surfaces: functions of two numbers to look at descent on, and pictures of it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lossopt import _picture
from lossopt.objective import Objective
from lossopt.optimizers import Optimizer

Array = NDArray[Any]
Value = Callable[[Array], tuple[Array, Array]]

# told apart in grey as well
_STYLES = (("C0", "-", "o"), ("C1", "--", "s"), ("C2", "-.", "^"), ("C3", ":", "D"), ("C4", (0, (5, 1, 1, 1)), "v"))


@final
@dataclass(frozen=True)
class Surface:
    """A function of two numbers.

    Parameters
    ----------
    name : str
    function : callable
        Takes points (..., 2), returns values (...) and gradients (..., 2).
    bounds : ((x low, x high), (y low, y high))
        What a picture shows.
    start : (x, y)
        Where a descent begins, if it is not said.

    Examples
    --------
    >>> from lossopt import surfaces
    >>> value, gradient = surfaces.SURFACES["saddle"].function(np.array([1.0, 2.0]))
    >>> float(value), gradient
    (-3.0, array([ 2., -4.]))
    """

    name: str
    function: Value
    bounds: tuple[tuple[float, float], tuple[float, float]]
    start: tuple[float, float]


def _of(value: Callable[[Array, Array], Array], slopes: Callable[[Array, Array], tuple[Array, Array]]) -> Value:
    def function(points: Array) -> tuple[Array, Array]:
        x, y = np.moveaxis(np.asarray(points, np.float64), -1, 0)
        return value(x, y), np.stack(slopes(x, y), axis=-1)

    return function


def _beale(x: Array, y: Array) -> Array:
    total: Array = sum((c - x + x * y**p) ** 2 for p, c in enumerate((1.5, 2.25, 2.625), 1))
    return total


def _beale_slopes(x: Array, y: Array) -> tuple[Array, Array]:
    terms = [(c - x + x * y**p, p) for p, c in enumerate((1.5, 2.25, 2.625), 1)]
    along_x: Any = sum(2 * t * (y**p - 1) for t, p in terms)
    along_y: Any = sum(2 * t * x * p * y ** (p - 1) for t, p in terms)
    return along_x, along_y


SURFACES: dict[str, Surface] = {
    "bowl": Surface(
        "bowl", _of(lambda x, y: (x**2 + 10 * y**2) / 2, lambda x, y: (x, 10 * y)), ((-3, 3), (-2, 2)), (-2.5, 1.2)
    ),
    "rosenbrock": Surface(
        "rosenbrock",
        _of(
            lambda x, y: (1 - x) ** 2 + 100 * (y - x**2) ** 2,
            lambda x, y: (-2 * (1 - x) - 400 * x * (y - x**2), 200 * (y - x**2)),
        ),
        ((-2, 2), (-1, 3)),
        (-1.2, 1.0),
    ),
    "beale": Surface("beale", _of(_beale, _beale_slopes), ((-1, 4.5), (-1.5, 1.5)), (1.0, 1.3)),
    "himmelblau": Surface(
        "himmelblau",
        _of(
            lambda x, y: (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2,
            lambda x, y: (
                4 * x * (x**2 + y - 11) + 2 * (x + y**2 - 7),
                2 * (x**2 + y - 11) + 4 * y * (x + y**2 - 7),
            ),
        ),
        ((-5, 5), (-5, 5)),
        (0.0, -0.5),
    ),
    "saddle": Surface(
        "saddle", _of(lambda x, y: x**2 - y**2, lambda x, y: (2 * x, -2 * y)), ((-2, 2), (-2, 2)), (-1.5, 1e-3)
    ),
    "plateau": Surface(
        "plateau",
        _of(
            lambda x, y: 1 - np.exp(-(x**2 + y**2)),
            lambda x, y: (2 * x * np.exp(-(x**2 + y**2)), 2 * y * np.exp(-(x**2 + y**2))),
        ),
        ((-3, 3), (-3, 3)),
        (-1.8, 1.2),
    ),
}


def cut(objective: Objective, origin: ArrayLike, along: Sequence[ArrayLike], reach: float = 1.0) -> Surface:
    """A two-dimensional slice of an objective: ``(a, b)`` stands for ``origin + a * along[0] + b * along[1]``.

    Parameters
    ----------
    objective : Objective
    origin : array (size,)
    along : two arrays (size,)
        Such as the ways from the origin to two other solutions.
    reach : float
        The picture shows -reach to 1 + reach in both.

    Returns
    -------
    Surface
        Its start is (0, 0).

    Raises
    ------
    ValueError
        An array has another shape.

    Examples
    --------
    >>> import lossopt as lo
    >>> from lossopt import surfaces
    >>> objective = lo.Objective(np.eye(2), [1.0, 2.0], lo.MSE(), fit_intercept=False)
    >>> surface = surfaces.cut(objective, [0.0, 0.0], [[1.0, 0.0], [0.0, 2.0]])
    >>> float(surface.function(np.array([1.0, 1.0]))[0])
    0.0
    """
    start, first, second = (np.array(x, np.float64) for x in (origin, *along))
    for name, x in (("origin", start), ("along[0]", first), ("along[1]", second)):
        if x.shape != (objective.size,):
            raise ValueError(f"{name} must have shape ({objective.size},), got {x.shape}")

    def function(points: Array) -> tuple[Array, Array]:
        points = np.asarray(points, np.float64)
        values, slopes = np.empty(points.shape[:-1]), np.empty(points.shape)
        for i in np.ndindex(values.shape):
            a, b = points[i]
            values[i], gradient = objective.value_and_grad(start + a * first + b * second)
            slopes[i] = gradient @ first, gradient @ second
        return values, slopes

    span = (-reach, 1 + reach)
    return Surface(f"slice of {objective.loss!r}", function, (span, span), (0.0, 0.0))


def descend(surface: Surface, optimizer: Optimizer, steps: int = 100, start: ArrayLike | None = None) -> Array:
    """The way that an optimizer goes down; the optimizer itself is not changed.

    Parameters
    ----------
    surface : Surface
    optimizer : Optimizer
    steps : int
    start : (x, y), optional

    Returns
    -------
    array (steps + 1, 2)
        Points, the start first.

    Raises
    ------
    ValueError
        start is not two numbers, or steps no whole number.

    Examples
    --------
    >>> import lossopt as lo
    >>> from lossopt import surfaces
    >>> surfaces.descend(surfaces.SURFACES["bowl"], lo.SGD(0.1), steps=100)[-1].round(3)
    array([-0.,  0.])
    """
    point, opt = np.array(surface.start if start is None else start, np.float64), copy.deepcopy(optimizer)
    if point.shape != (2,):
        raise ValueError(f"start must be two numbers, got {start!r}")
    if isinstance(steps, bool) or not isinstance(steps, (int, np.integer)) or steps < 0:
        raise ValueError(f"steps must be a whole number, 0 or more, got {steps!r}")
    opt.reset()
    points = [point.copy()]
    for _ in range(steps):
        with np.errstate(over="ignore", invalid="ignore"):
            opt.step(point, surface.function(point)[1])
        points.append(point.copy())
    return np.array(points)


def classify(function: Value, point: ArrayLike, tolerance: float = 1e-4) -> str:
    """What a stationary point is, by the signs of the Hessian's eigenvalues.

    Parameters
    ----------
    function : callable
        As a Surface's; of any number of coordinates.
    point : array (d,)
    tolerance : float
        Gradients and curvatures below it are none.

    Returns
    -------
    "minimum", "maximum", "saddle", "flat" (a curvature is zero), or "not stationary"

    Notes
    -----
    Source: chapter "Loss Functions and Optimization", local minima, saddles and plateaus.

    Examples
    --------
    >>> from lossopt import surfaces
    >>> surfaces.classify(surfaces.SURFACES["saddle"].function, [0.0, 0.0])
    'saddle'
    """
    at = np.array(point, np.float64)
    if np.abs(function(at)[1]).max() > tolerance:
        return "not stationary"
    h = 1e-5 * np.maximum(1, np.abs(at))
    columns = [(function(at + step)[1] - function(at - step)[1]) / (2 * h[i]) for i, step in enumerate(np.diag(h))]
    curvatures = np.linalg.eigvalsh((np.array(columns) + np.array(columns).T) / 2)
    if (np.abs(curvatures) <= tolerance).any():
        return "flat"
    return "minimum" if (curvatures > 0).all() else "maximum" if (curvatures < 0).all() else "saddle"


def plot(
    surface: Surface, paths: Mapping[str, Array] | None = None, path: str | Path | None = None, ax: Any = None
) -> Any:
    """Draw a surface as contours, and ways down it.

    Parameters
    ----------
    surface : Surface
    paths : dict of arrays (n, 2), optional
        Ways by their name, as `descend` returns them.
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
    >>> from lossopt import surfaces
    >>> beale = surfaces.SURFACES["beale"]
    >>> ways = {"momentum": surfaces.descend(beale, lo.SGD(1e-3, momentum=0.9), 300)}
    >>> ax = surfaces.plot(beale, ways)
    """
    ax = _picture.axes("lossopt.surfaces", ax, (6, 5))
    (low, high), (bottom, top) = surface.bounds
    x, y = np.meshgrid(np.linspace(low, high, 121), np.linspace(bottom, top, 121))
    value = surface.function(np.stack([x, y], axis=-1))[0]
    # as many lines near the bottom as far above it
    least, most = float(value.min()), float(value.max())
    levels = least + (most - least) * np.linspace(0, 1, 20) ** 3
    ax.contour(x, y, value, levels=np.unique(levels), colors="0.6", linewidths=0.7)
    for i, (name, way) in enumerate((paths or {}).items()):
        color, line, marker = _STYLES[i % len(_STYLES)]
        ax.plot(*way.T, linestyle=line, color=color, linewidth=1.5, label=name)
        ax.plot(*way[-1], marker, color=color, markersize=7, markeredgecolor="black")
    if paths:
        ax.plot(*next(iter(paths.values()))[0], "x", color="black", markersize=8, label="start")
        ax.legend(loc="upper right")
    ax.set_xlim(low, high)
    ax.set_ylim(bottom, top)
    ax.set_title(surface.name)
    return _picture.saved(ax, path)
