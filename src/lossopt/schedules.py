"""Schedules: functions of t, with no state and no optimizer inside.

t counts updates, from 0; with ``Trainer(schedule_unit="epoch")`` it counts epochs and may be a fraction. "In units
of t" below means whichever of the two is in use.
"""

from __future__ import annotations

import itertools
import math
import numbers
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from ._component import Component

__all__ = [
    "SCHEDULES",
    "Constant",
    "CosineAnnealing",
    "Cyclic",
    "ExponentialDecay",
    "InverseSqrt",
    "InverseTime",
    "Join",
    "LinearDecay",
    "MultiStep",
    "OneCycle",
    "Polynomial",
    "Product",
    "Schedule",
    "StepDecay",
    "WarmRestarts",
    "Warmup",
]

Array = npt.NDArray[np.float64]


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _number(owner: Schedule, name: str, value: Any, *, positive: bool = False, signed: bool = False) -> float:
    """The value as a plain int or float; not negative unless `signed`, above 0 if `positive`."""
    argument = f"{type(owner).__name__}: {name} must be"
    if not _is_number(value):
        raise TypeError(f"{argument} a number, got {value!r}")
    number = int(value) if isinstance(value, numbers.Integral) else float(value)
    if not abs(number) <= sys.float_info.max:
        raise ValueError(f"{argument} finite, got {number}")
    if positive and number <= 0:
        raise ValueError(f"{argument} positive, got {number}")
    if not signed and number < 0:
        raise ValueError(f"{argument} 0 or more, got {number}")
    return number


def _count(owner: Schedule, name: str, value: Any) -> int:
    if not isinstance(value, numbers.Integral) or isinstance(value, bool):
        raise TypeError(f"{type(owner).__name__}: {name} must be a whole number, got {value!r}")
    return int(_number(owner, name, value, positive=True))


def _items(owner: Schedule, name: str, value: Any) -> list[Any]:
    if not isinstance(value, (Sequence, np.ndarray)) or isinstance(value, (str, bytes)):
        raise TypeError(f"{type(owner).__name__}: {name} must be a sequence, got {value!r}")
    return list(value)


def _milestones(owner: Schedule, value: Any) -> tuple[float, ...]:
    items = enumerate(_items(owner, "milestones", value))
    given = tuple(_number(owner, f"milestones[{i}]", item, positive=True) for i, item in items)
    if any(later <= earlier for earlier, later in itertools.pairwise(given)):
        raise ValueError(f"{type(owner).__name__}: milestones must increase, got {list(given)}")
    return given


def _schedule(owner: Schedule, name: str, value: Any) -> Schedule:
    if isinstance(value, Schedule):
        return value
    if not _is_number(value):
        raise TypeError(f"{type(owner).__name__}: {name} must be a schedule or a number, got {value!r}")
    return Constant(_number(owner, name, value))


def _mix(start: float | Array, end: float | Array, share: Array) -> Array:
    """start where share is 1 and end where it is 0, both exactly."""
    return start * share + end * (1.0 - share)


def _half_cosine(x: Array) -> Array:
    """From 1 at x = 0 down to 0 at x = 1, flat at both."""
    return 0.5 * (1.0 + np.cos(math.pi * x))


class Schedule(Component, ABC):
    """A function of t, the number of updates done (or of epochs, a fraction, with ``schedule_unit="epoch"``).

    ``schedule(t)`` takes a number and returns a float, or takes an array of any integer or float type and returns
    float64 in the same shape. Both run through the same loops: the same t gives the same bits. ``a * b``
    multiplies two schedules, or a schedule and a number.

    A schedule of your own is a subclass that keeps its constructor's arguments under their names and defines
    ``_values(t)``: float64 of one dimension in, as many values out, each a function of its own t alone.

    Raises
    ------
    ValueError
        If a t is negative, infinite or NaN.
    TypeError
        If t is neither a number nor an array of numbers.
    """

    @abstractmethod
    def _values(self, t: Array) -> Array: ...

    @overload
    def __call__(self, t: float | np.integer[Any] | np.floating[Any]) -> float: ...
    @overload
    def __call__(self, t: npt.NDArray[Any] | Sequence[float]) -> Array: ...
    def __call__(self, t: Any) -> float | Array:
        """The value at t: a float for a number, an array of the same shape for an array."""
        single = _is_number(t)
        given = np.asarray(float(t) if single else t)
        if given.dtype.kind not in "iuf":
            raise TypeError(f"{type(self).__name__}: t must be a number or an array of numbers, got {given.dtype}")
        flat = given.astype(np.float64).ravel()
        usable = (flat >= 0) & (flat < math.inf)
        if not usable.all():
            raise ValueError(f"{type(self).__name__}: t must be finite and not negative, got {flat[~usable][0]:g}")
        values = self._values(flat)
        return float(values[0]) if single else values.reshape(given.shape)

    def __mul__(self, other: Schedule | float) -> Product:
        return Product(self, other) if isinstance(other, Schedule) or _is_number(other) else NotImplemented

    def __rmul__(self, other: float) -> Product:
        return Product(other, self) if _is_number(other) else NotImplemented


class Constant(Schedule):
    """The same value always.

    ``value(t) = lr``

    Parameters
    ----------
    lr : float
        The value, 0 or more.

    Raises
    ------
    ValueError, TypeError
        If lr is negative, not finite or not a number.

    Notes
    -----
    Source: chapter "Loss Functions and Optimization", fixed learning rate.

    Examples
    --------
    >>> import lossopt as lo
    >>> lo.Constant(lr=0.001)(1000)
    0.001
    """

    def __init__(self, lr: float) -> None:
        self.lr = _number(self, "lr", lr)

    def _values(self, t: Array) -> Array:
        return np.full(t.shape, self.lr, dtype=np.float64)


class StepDecay(Schedule):
    """A drop by a constant factor at regular distances.

    ``value(t) = lr * gamma**floor(t / step_size)``

    Parameters
    ----------
    lr : float
        The value at t = 0.
    step_size : float
        Distance between two drops, in units of t; the drop is already there at t = step_size.
    gamma : float, default 0.1
        Factor of each drop.

    Raises
    ------
    ValueError, TypeError
        If step_size is not positive, lr or gamma negative, or one of them not a finite number.

    Notes
    -----
    Source: chapter "Loss Functions and Optimization", step decay.

    Examples
    --------
    >>> import lossopt as lo
    >>> schedule = lo.StepDecay(lr=0.1, step_size=30)
    >>> [round(schedule(t), 6) for t in (0, 29, 30, 60)]
    [0.1, 0.1, 0.01, 0.001]
    """

    def __init__(self, lr: float, step_size: float, gamma: float = 0.1) -> None:
        self.lr = _number(self, "lr", lr)
        self.step_size = _number(self, "step_size", step_size, positive=True)
        self.gamma = _number(self, "gamma", gamma)

    def _values(self, t: Array) -> Array:
        return self.lr * np.power(float(self.gamma), t // self.step_size)


class MultiStep(Schedule):
    """A drop by a constant factor at each milestone.

    ``value(t) = lr * gamma**(number of milestones <= t)``

    Parameters
    ----------
    lr : float
        The value at t = 0.
    milestones : sequence of float
        Where it drops, in units of t: positive and increasing.
    gamma : float, default 0.1
        Factor of each drop.

    Raises
    ------
    ValueError, TypeError
        If a milestone is not positive or does not exceed the one before it, or if lr or gamma is negative or not a
        finite number.

    Notes
    -----
    Source: chapter "Loss Functions and Optimization", step decay, with the places chosen one by one.

    Examples
    --------
    >>> import lossopt as lo
    >>> schedule = lo.MultiStep(lr=0.1, milestones=[30, 80])
    >>> [round(schedule(t), 6) for t in (29, 30, 79, 80)]
    [0.1, 0.01, 0.01, 0.001]
    """

    def __init__(self, lr: float, milestones: Sequence[float], gamma: float = 0.1) -> None:
        self.lr = _number(self, "lr", lr)
        self.milestones = _milestones(self, milestones)
        self.gamma = _number(self, "gamma", gamma)

    def _values(self, t: Array) -> Array:
        drops = np.searchsorted(np.array(self.milestones, dtype=np.float64), t, side="right")
        return self.lr * np.power(float(self.gamma), drops)


class ExponentialDecay(Schedule):
    """A decay by the same share in every unit of t.

    ``value(t) = lr * exp(-k * t)``; torch's ExponentialLR with ``gamma = exp(-k)``.

    Parameters
    ----------
    lr : float
        The value at t = 0.
    k : float
        Rate of the decay, for one unit of t; a negative k grows.

    Raises
    ------
    ValueError, TypeError
        If lr is negative, or lr or k not a finite number.

    Notes
    -----
    Source: chapter "Loss Functions and Optimization", exponential decay.

    Examples
    --------
    >>> import lossopt as lo
    >>> round(lo.ExponentialDecay(lr=0.1, k=0.05)(20), 6)
    0.036788
    """

    def __init__(self, lr: float, k: float) -> None:
        self.lr = _number(self, "lr", lr)
        self.k = _number(self, "k", k, signed=True)

    def _values(self, t: Array) -> Array:
        return self.lr * np.exp(-self.k * t)


class CosineAnnealing(Schedule):
    """Half a cosine from lr down to eta_min, which it then keeps.

    ``value(t) = eta_min + (lr - eta_min) * (1 + cos(pi * min(t, T_max) / T_max)) / 2``

    Up to T_max it agrees with torch's CosineAnnealingLR, which climbs again afterwards.

    Parameters
    ----------
    lr : float
        The value at t = 0.
    T_max : float
        Where eta_min is reached, in units of t.
    eta_min : float, default 0.0
        The value from T_max on.

    Raises
    ------
    ValueError, TypeError
        If T_max is not positive, lr or eta_min negative, or one of them not a finite number.

    Notes
    -----
    Source: chapter "Loss Functions and Optimization", cosine annealing; Loshchilov & Hutter 2017, SGDR.

    Examples
    --------
    >>> import lossopt as lo
    >>> schedule = lo.CosineAnnealing(lr=0.1, T_max=100)
    >>> [round(schedule(t), 6) for t in (0, 50, 100, 150)]
    [0.1, 0.05, 0.0, 0.0]
    """

    def __init__(self, lr: float, T_max: float, eta_min: float = 0.0) -> None:
        self.lr = _number(self, "lr", lr)
        self.T_max = _number(self, "T_max", T_max, positive=True)
        self.eta_min = _number(self, "eta_min", eta_min)

    def _values(self, t: Array) -> Array:
        return _mix(self.lr, self.eta_min, _half_cosine(np.minimum(t, self.T_max) / self.T_max))


class WarmRestarts(Schedule):
    """Cosine annealing that starts again from the peak, each cycle T_mult times as long as the one before.

    ``value(t) = eta_min + (lr * gamma**i - eta_min) * (1 + cos(pi * s / T_i)) / 2``

    where i is the number of restarts up to t, s the distance from the last one, and ``T_i = T_0 * T_mult**i``. Restarts
    lie at the whole numbers ``T_0 * (1 + T_mult + ... + T_mult**(i-1))``, found by adding integers; the value there is
    the peak, exactly. So eta_min is approached at the end of a cycle, and not reached within it.

    Parameters
    ----------
    lr : float
        The peak of the first cycle.
    T_0 : int
        Length of the first cycle, in units of t.
    T_mult : int, default 1
        Factor of the length from a cycle to the next.
    eta_min : float, default 0.0
        The value each cycle falls towards.
    gamma : float, default 1.0
        Factor of the peak from a cycle to the next.

    Raises
    ------
    ValueError
        If T_0 or T_mult is less than 1, or another argument negative or not finite.
    TypeError
        If T_0 or T_mult is not a whole number, or another argument not a number.

    Notes
    -----
    Source: Loshchilov & Hutter 2017, SGDR; chapter "Loss Functions and Optimization", cosine annealing.

    Examples
    --------
    >>> import lossopt as lo
    >>> schedule = lo.WarmRestarts(lr=0.1, T_0=10, T_mult=2, gamma=0.5)
    >>> [round(schedule(t), 6) for t in (0, 5, 10, 20, 30)]
    [0.1, 0.05, 0.05, 0.025, 0.025]
    """

    def __init__(self, lr: float, T_0: int, T_mult: int = 1, eta_min: float = 0.0, gamma: float = 1.0) -> None:
        self.lr = _number(self, "lr", lr)
        self.T_0 = _count(self, "T_0", T_0)
        self.T_mult = _count(self, "T_mult", T_mult)
        self.eta_min = _number(self, "eta_min", eta_min)
        self.gamma = _number(self, "gamma", gamma)

    def _cycles(self, t: Array) -> tuple[Array, Array]:
        """For each t the number of its cycle, and how far through that it is, from 0 to below 1."""
        if self.T_mult == 1:
            cycle, since = np.divmod(t, self.T_0)
            return cycle, since / self.T_0
        last, starts, lengths = t.max(initial=0.0), [0], [self.T_0]
        while starts[-1] + lengths[-1] <= last:
            starts.append(starts[-1] + lengths[-1])
            lengths.append(lengths[-1] * self.T_mult)
        first, length = np.array(starts, dtype=np.float64), np.array(lengths, dtype=np.float64)
        index = np.searchsorted(first, t, side="right") - 1
        return index.astype(np.float64), (t - first[index]) / length[index]

    def _values(self, t: Array) -> Array:
        cycle, progress = self._cycles(t)
        return _mix(self.lr * np.power(float(self.gamma), cycle), self.eta_min, _half_cosine(progress))


class LinearDecay(Schedule):
    """A straight line from lr to end, which it then keeps; it rises if end is above lr.

    ``value(t) = lr + (end - lr) * min(t, steps) / steps``; torch's LinearLR with ``end_factor = end / lr``.

    Parameters
    ----------
    lr : float
        The value at t = 0.
    end : float
        The value from t = steps on.
    steps : float
        Where end is reached, in units of t.

    Raises
    ------
    ValueError, TypeError
        If steps is not positive, lr or end negative, or one of them not a finite number.

    Notes
    -----
    Source: Devlin et al. 2019, BERT (linear decay to 0).

    Examples
    --------
    >>> import lossopt as lo
    >>> schedule = lo.LinearDecay(lr=0.1, end=0.02, steps=100)
    >>> [round(schedule(t), 6) for t in (0, 50, 100, 150)]
    [0.1, 0.06, 0.02, 0.02]
    """

    def __init__(self, lr: float, end: float, steps: float) -> None:
        self.lr = _number(self, "lr", lr)
        self.end = _number(self, "end", end)
        self.steps = _number(self, "steps", steps, positive=True)

    def _values(self, t: Array) -> Array:
        return _mix(self.end, self.lr, np.minimum(t, self.steps) / self.steps)


class Polynomial(Schedule):
    """A power of the distance that is left, from lr to end, which it then keeps.

    ``value(t) = end + (lr - end) * (1 - min(t, steps) / steps)**power``; torch's PolynomialLR where end is 0.

    Parameters
    ----------
    lr : float
        The value at t = 0.
    end : float
        The value from t = steps on.
    steps : float
        Where end is reached, in units of t.
    power : float
        Exponent, above 0; 1 is the straight line of LinearDecay.

    Raises
    ------
    ValueError, TypeError
        If steps or power is not positive, lr or end negative, or one of them not a finite number.

    Notes
    -----
    Source: Chen et al. 2017, DeepLab ("poly" policy).

    Examples
    --------
    >>> import lossopt as lo
    >>> schedule = lo.Polynomial(lr=0.1, end=0.0, steps=100, power=2)
    >>> [round(schedule(t), 6) for t in (0, 50, 100)]
    [0.1, 0.025, 0.0]
    """

    def __init__(self, lr: float, end: float, steps: float, power: float) -> None:
        self.lr = _number(self, "lr", lr)
        self.end = _number(self, "end", end)
        self.steps = _number(self, "steps", steps, positive=True)
        self.power = _number(self, "power", power, positive=True)

    def _values(self, t: Array) -> Array:
        left = 1.0 - np.minimum(t, self.steps) / self.steps
        return _mix(self.lr, self.end, np.power(left, self.power))


class InverseTime(Schedule):
    """A decay with a power of ``1 + k * t``.

    ``value(t) = lr / (1 + k * t)**power``

    Parameters
    ----------
    lr : float
        The value at t = 0.
    k : float
        Rate of the decay, for one unit of t.
    power : float, default 1.0
        Exponent; above 1/2 and up to 1 the steps fall as stochastic approximation asks for.

    Raises
    ------
    ValueError, TypeError
        If an argument is negative or not a finite number.

    Notes
    -----
    Source: Robbins & Monro 1951; Bottou 2012, Stochastic Gradient Descent Tricks.

    Examples
    --------
    >>> import lossopt as lo
    >>> round(lo.InverseTime(lr=0.1, k=0.01)(100), 6)
    0.05
    """

    def __init__(self, lr: float, k: float, power: float = 1.0) -> None:
        self.lr = _number(self, "lr", lr)
        self.k = _number(self, "k", k)
        self.power = _number(self, "power", power)

    def _values(self, t: Array) -> Array:
        return self.lr / np.power(1.0 + self.k * t, self.power)


class InverseSqrt(Schedule):
    """A decay with the square root of t, smooth from t = 0.

    ``value(t) = lr / sqrt(1 + t / steps)``

    ``Warmup(InverseSqrt(lr, steps), steps)`` is the transformer's schedule: a ramp up to lr, and from there
    ``lr * sqrt(steps / t)``.

    Parameters
    ----------
    lr : float
        The value at t = 0.
    steps : float
        Time scale, in units of t: at ``t = 3 * steps`` half of lr is left.

    Raises
    ------
    ValueError, TypeError
        If steps is not positive, lr negative, or one of them not a finite number.

    Notes
    -----
    Source: Vaswani et al. 2017, Attention Is All You Need.

    Examples
    --------
    >>> import lossopt as lo
    >>> round(lo.InverseSqrt(lr=0.1, steps=1000)(3000), 6)
    0.05
    """

    def __init__(self, lr: float, steps: float) -> None:
        self.lr = _number(self, "lr", lr)
        self.steps = _number(self, "steps", steps, positive=True)

    def _values(self, t: Array) -> Array:
        return self.lr / np.sqrt(1.0 + t / self.steps)


class Cyclic(Schedule):
    """Triangles: from base up to peak, and down again, without end.

    ``value(t) = base + (peak - base) * height(t) * gamma**t``

    where height rises in a straight line from 0 to 1 over `up` and falls back to 0 over `down`. It agrees with
    torch's CyclicLR: mode "triangular" for gamma = 1, and "exp_range" else, where the amplitude shrinks with every
    unit of t, not with every cycle.

    Parameters
    ----------
    base : float
        The value at the foot of a triangle.
    peak : float
        The value at its top, while gamma is 1.
    up : float
        Length of the rise, in units of t.
    down : float, optional
        Length of the fall; as long as the rise if left out.
    gamma : float, default 1.0
        Factor of the amplitude ``peak - base`` for one unit of t.

    Raises
    ------
    ValueError, TypeError
        If up or down is not positive, another argument negative, or one of them not a finite number.

    Notes
    -----
    Source: Smith 2017, Cyclical Learning Rates for Training Neural Networks.

    Examples
    --------
    >>> import lossopt as lo
    >>> schedule = lo.Cyclic(base=0.01, peak=0.1, up=10, down=20)
    >>> [round(schedule(t), 6) for t in (0, 5, 10, 20, 30)]
    [0.01, 0.055, 0.1, 0.055, 0.01]
    """

    def __init__(self, base: float, peak: float, up: float, down: float | None = None, gamma: float = 1.0) -> None:
        self.base = _number(self, "base", base)
        self.peak = _number(self, "peak", peak)
        self.up = _number(self, "up", up, positive=True)
        self.down = None if down is None else _number(self, "down", down, positive=True)
        self.gamma = _number(self, "gamma", gamma)

    def _values(self, t: Array) -> Array:
        down = self.up if self.down is None else self.down
        place = np.fmod(t, self.up + down)
        height = np.where(place <= self.up, place / self.up, (self.up + down - place) / down)
        return _mix(self.peak, self.base, height * np.power(float(self.gamma), t))


class OneCycle(Schedule):
    """One rise to the peak and one long fall far below the start, both half cosines.

    With ``c(x) = (1 + cos(pi * x)) / 2``, and t no more than last::

        value(t) = first + (peak - first) * c((turn - t) / turn)             t <= turn
        value(t) = final + (peak - final) * c((t - turn) / (last - turn))    t > turn

        turn  = pct_start * steps - 1        last  = steps - 1
        first = peak / div_factor            final = first / final_div_factor

    It is the two-phase cosine of torch's OneCycleLR at each of its ``total_steps = steps`` values; where torch then
    raises an error, the last value stays. A rise of length 0 is the peak alone. Momentum is not moved: give the
    optimizer a schedule for it.

    Parameters
    ----------
    peak : float
        The highest value.
    steps : int
        Number of values; the last one is taken at ``t = steps - 1``.
    pct_start : float, default 0.3
        Share of the steps that rise, from 0 to 1.
    div_factor : float, default 25
        peak over the value at t = 0.
    final_div_factor : float, default 1e4
        The value at t = 0 over the last one.

    Raises
    ------
    ValueError
        If steps is less than 1, pct_start outside [0, 1], a factor not positive, or peak negative or not finite.
    TypeError
        If steps is not a whole number, or another argument not a number.

    Notes
    -----
    Source: Smith & Topin 2019, Super-Convergence.

    Examples
    --------
    >>> import lossopt as lo
    >>> schedule = lo.OneCycle(peak=0.1, steps=100)
    >>> [round(schedule(t), 7) for t in (0, 29, 64, 99, 200)]
    [0.004, 0.1, 0.0500002, 4e-07, 4e-07]
    """

    def __init__(
        self,
        peak: float,
        steps: int,
        pct_start: float = 0.3,
        div_factor: float = 25,
        final_div_factor: float = 1e4,
    ) -> None:
        self.peak = _number(self, "peak", peak)
        self.steps = _count(self, "steps", steps)
        self.pct_start = _number(self, "pct_start", pct_start)
        if self.pct_start > 1:
            raise ValueError(f"OneCycle: pct_start must be at most 1, got {pct_start}")
        self.div_factor = _number(self, "div_factor", div_factor, positive=True)
        self.final_div_factor = _number(self, "final_div_factor", final_div_factor, positive=True)

    def _values(self, t: Array) -> Array:
        first = self.peak / self.div_factor
        last, turn = self.steps - 1, self.pct_start * self.steps - 1
        t = np.minimum(t, last)
        rising = t <= turn
        span = np.where(rising, turn, last - turn)
        # A rise or fall of length 0 is all peak.
        away = np.divide(np.abs(t - turn), span, out=np.zeros_like(t), where=span > 0)
        return _mix(self.peak, np.where(rising, first, first / self.final_div_factor), _half_cosine(away))


class Warmup(Schedule):
    """A straight ramp up to the first value of a schedule, then that schedule from its beginning.

    ``value(t) = schedule(0) * min(1, (t + 1) / steps)`` for ``t < steps``, and ``schedule(t - steps)`` from there

    The first update is not lost at 0, and the last of the ramp is made with ``schedule(0)``; a t that is a fraction
    (epochs) stays there for the last unit of the ramp.

    Parameters
    ----------
    schedule : Schedule or float
        What follows the ramp; a number means Constant.
    steps : float
        Length of the ramp, in units of t.

    Raises
    ------
    ValueError, TypeError
        If steps is not a positive, finite number, or schedule neither a schedule nor a number.

    Notes
    -----
    Source: chapter "Loss Functions and Optimization", warmup; Goyal et al. 2017, Accurate, Large Minibatch SGD.

    Examples
    --------
    >>> import lossopt as lo
    >>> schedule = lo.Warmup(lo.CosineAnnealing(lr=0.1, T_max=100), steps=4)
    >>> [round(schedule(t), 6) for t in (0, 1, 3, 4, 54, 104)]
    [0.025, 0.05, 0.1, 0.1, 0.05, 0.0]
    """

    def __init__(self, schedule: Schedule | float, steps: float) -> None:
        self.schedule = _schedule(self, "schedule", schedule)
        self.steps = _number(self, "steps", steps, positive=True)

    def _values(self, t: Array) -> Array:
        values, ramp = np.empty_like(t), t < self.steps
        values[ramp] = self.schedule(0) * np.minimum(t[ramp] + 1.0, self.steps) / self.steps
        values[~ramp] = self.schedule._values(t[~ramp] - self.steps)
        return values


class Join(Schedule):
    """Schedules one after another, each counted from its own beginning.

    ``value(t) = schedules[i](t - milestones[i - 1])``, where i is the number of ``milestones <= t``; before the first
    it is ``schedules[0](t)``. The value at a milestone is the next schedule's at 0.

    Parameters
    ----------
    schedules : sequence of Schedule or float
        The parts in order; a number means Constant.
    milestones : sequence of float
        Where the next part takes over, in units of t: positive, increasing, one fewer than the parts.

    Raises
    ------
    ValueError
        If there is no part, the milestones do not match the parts in number, or they do not increase from above 0.
    TypeError
        If a part is neither a schedule nor a number, or a milestone not a number.

    Notes
    -----
    Source: chapter "Loss Functions and Optimization" (warmup before the main schedule); torch's SequentialLR.

    Examples
    --------
    >>> import lossopt as lo
    >>> schedule = lo.Join([0.1, lo.ExponentialDecay(lr=0.1, k=0.1)], milestones=[50])
    >>> [round(schedule(t), 6) for t in (0, 49, 50, 60)]
    [0.1, 0.1, 0.1, 0.036788]
    """

    def __init__(self, schedules: Sequence[Schedule | float], milestones: Sequence[float]) -> None:
        parts = enumerate(_items(self, "schedules", schedules))
        self.schedules = tuple(_schedule(self, f"schedules[{i}]", part) for i, part in parts)
        self.milestones = _milestones(self, milestones)
        have, want = len(self.milestones), len(self.schedules) - 1
        if have != want:
            raise ValueError(f"Join: milestones must be one fewer than schedules, got {have} for {want + 1}")

    def _values(self, t: Array) -> Array:
        values, starts = np.empty_like(t), (0.0, *self.milestones)
        part = np.searchsorted(np.array(starts), t, side="right") - 1
        for i in np.unique(part):
            values[part == i] = self.schedules[i]._values(t[part == i] - starts[i])
        return values


class Product(Schedule):
    """Two schedules multiplied, usually one of them with lr = 1: what ``a * b`` makes.

    ``value(t) = first(t) * second(t)``

    Parameters
    ----------
    first, second : Schedule or float
        The factors, both functions of the same t; a number means Constant.

    Raises
    ------
    ValueError, TypeError
        If a factor is neither a schedule nor a number that is finite and 0 or more.

    Notes
    -----
    Source: chapter "Loss Functions and Optimization" (schedules that are combined).

    Examples
    --------
    >>> import lossopt as lo
    >>> schedule = lo.CosineAnnealing(lr=0.1, T_max=100) * lo.StepDecay(lr=1, step_size=50, gamma=0.5)
    >>> [round(schedule(t), 6) for t in (0, 50)]
    [0.1, 0.025]
    """

    def __init__(self, first: Schedule | float, second: Schedule | float) -> None:
        self.first = _schedule(self, "first", first)
        self.second = _schedule(self, "second", second)

    def _values(self, t: Array) -> Array:
        return self.first._values(t) * self.second._values(t)


SCHEDULES: dict[str, type[Schedule]] = {
    "constant": Constant,
    "step_decay": StepDecay,
    "multi_step": MultiStep,
    "exponential_decay": ExponentialDecay,
    "cosine_annealing": CosineAnnealing,
    "warm_restarts": WarmRestarts,
    "linear_decay": LinearDecay,
    "polynomial": Polynomial,
    "inverse_time": InverseTime,
    "inverse_sqrt": InverseSqrt,
    "cyclic": Cyclic,
    "one_cycle": OneCycle,
    "warmup": Warmup,
    "join": Join,
    "product": Product,
}
