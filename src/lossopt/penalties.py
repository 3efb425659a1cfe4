"""Penalties on weights: what they add to the loss, to its gradient, and to a step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lossopt import _arrays, _kernels
from lossopt._component import Component
from lossopt.schedules import Schedule

__all__ = [
    "L1",
    "L2",
    "PENALTIES",
    "Box",
    "ElasticNet",
    "GroupL2",
    "NonNegative",
    "Penalty",
]

Array = NDArray[Any]
Number = float | Schedule


class Penalty(Component, ABC):
    """What all penalties share: a function of the weights that knows its gradient and its proximal step.

    A strength that is a schedule is read at the updates done, as an optimizer's numbers are; `value`, `add_grad`,
    `prox` and :class:`Objective` know no updates, and ask for a number.
    """

    def value(self, w: ArrayLike) -> float:
        """The penalty of w.

        Parameters
        ----------
        w : array
            Of any shape; features are its last axis.

        Returns
        -------
        float

        Raises
        ------
        ValueError, TypeError
            w does not hold real numbers, or has another number of features than the penalty was made for.
        """
        return self._value(_arrays.floats("w", w))

    def add_grad(self, w: ArrayLike, grad: Array) -> None:
        """Make grad, in place, the gradient of the sum: where the penalty has a kink, its least subgradient.

        Parameters
        ----------
        w : array
        grad : float array of w's shape, C-contiguous, writable

        Raises
        ------
        ValueError, TypeError
            grad cannot be written, has another shape, or overlaps w; nothing has been written then.
        """
        grad = _arrays.written("grad", grad)
        _arrays.apart("grad", grad, w=w)
        w = _arrays.floats("w", w, grad.dtype)
        if w.shape != grad.shape:
            raise ValueError(f"grad must have the shape of w, {w.shape}, got {_arrays.describe(grad)}")
        self._add_grad(w, grad)

    def prox(self, w: Array, step: float) -> None:
        """The proximal step, in place: w becomes the v that makes ``|v - w|**2 / 2 + step * penalty(v)`` least.

        Parameters
        ----------
        w : float array, C-contiguous, writable
        step : float
            The step size, not negative.

        Raises
        ------
        ValueError, TypeError
            w cannot be written, or step is negative or NaN; nothing has been written then.
        """
        w = _arrays.written("w", w)
        if not isinstance(step, (int, float, np.number)) or not 0 <= step < np.inf:
            raise ValueError(f"step must be finite and not negative, got {step!r}")
        self._prox(w, float(step))

    def _at(self, t: float) -> Penalty:
        """The penalty as it is at t, without schedules."""
        return self

    def _coefficients(self, t: float | None = None) -> tuple[float, float]:
        """l1 and l2 at t, None where there is no update: what joins the step of an optimizer."""
        return 0.0, 0.0

    def _table(self, t: Array) -> Array:
        """`_coefficients` at each of the given t, a row each."""
        return np.broadcast_to(self._coefficients(0.0), (len(t), 2))

    def _closing(self, label: str, w: Array) -> Any:
        """What closes the steps of w where a soft threshold cannot, or None."""
        return None

    @abstractmethod
    def _formula(self) -> str:
        """What it adds for weights W, for reading."""

    @abstractmethod
    def _value(self, w: Array) -> float: ...

    @abstractmethod
    def _add_grad(self, w: Array, grad: Array) -> None: ...

    @abstractmethod
    def _prox(self, w: Array, step: float) -> None: ...


def _spread(owner: Penalty, what: str, numbers: Array, label: str, w: Array) -> Array:
    """A number a feature, as a number a coordinate of w; features are the last axis."""
    if w.shape[-1:] != numbers.shape:
        raise ValueError(
            f"{type(owner).__name__}: {what} has {len(numbers)} features, and {label} has {_arrays.describe(w)}"
        )
    return np.ascontiguousarray(np.broadcast_to(numbers, w.shape))


def _checked_factors(owner: Penalty, factors: ArrayLike | None) -> Array | None:
    if factors is None:
        return None
    numbers = _arrays.floats("factors", factors, np.dtype(np.float64))
    if numbers.ndim != 1 or not ((numbers >= 0) & (numbers < np.inf)).all():
        raise ValueError(
            f"{type(owner).__name__}: factors must be finite and not negative, one a feature, "
            f"got {numbers if numbers.ndim == 1 else _arrays.describe(numbers)}"
        )
    return numbers


class _Strong(Penalty, ABC):
    """A penalty with a strength, and perhaps a factor a feature."""

    strength: Number
    factors: ArrayLike | None

    def _made(self, strength: Number, factors: ArrayLike | None) -> None:
        number = isinstance(strength, (int, float, np.number)) and not isinstance(strength, bool)
        if not isinstance(strength, Schedule) and not (number and 0 <= strength < np.inf):
            raise ValueError(
                f"{type(self).__name__}: strength must be finite and not negative, or a schedule, got {strength!r}"
            )
        self.strength = strength
        self.factors = factors
        self._factors = _checked_factors(self, factors)

    @abstractmethod
    def _ratios(self) -> tuple[float, float]:
        """What of the strength is l1, and what l2."""

    def _coefficients(self, t: float | None = None) -> tuple[float, float]:
        if not isinstance(self.strength, Schedule):
            l1, l2 = self._ratios()
            return self.strength * l1, self.strength * l2
        if t is None:
            raise ValueError(f"{type(self).__name__}: strength is a schedule, and here is no update to read it at")
        l1, l2 = self._table(np.array([t], dtype=np.float64))[0].tolist()
        return l1, l2

    def _table(self, t: Array) -> Array:
        if not isinstance(self.strength, Schedule):
            return super()._table(t)
        strength = self.strength(t)
        if not ((strength >= 0) & (strength < np.inf)).all():
            name = type(self).__name__
            raise ValueError(f"{name}: {self.strength!r} must stay finite and not negative as a strength")
        return np.multiply.outer(strength, self._ratios())

    def _at(self, t: float) -> Penalty:
        if not isinstance(self.strength, Schedule):
            return self
        return type(self)(**{**self._arguments(), "strength": float(self.strength(t))})

    def _times(self, ratio: float) -> str:
        """A coefficient, for reading."""
        if not isinstance(self.strength, Schedule):
            return f"{self.strength * ratio:g}"
        return f"{'' if ratio == 1 else f'{ratio:g} * '}{self.strength!r}(t)"

    def _each(self, label: str, w: Array) -> Array | None:
        """A factor a coordinate of w, or None."""
        if self._factors is None:
            return None
        return _spread(self, "factors", self._factors.astype(w.dtype), label, w)


class _Separable(_Strong, ABC):
    """``sum over features f of factor_f * (l1 * |w_f| + l2 * w_f**2)``."""

    def _closing(self, label: str, w: Array) -> Any:
        factors = self._each(label, w)
        return None if factors is None else _kernels.penalties.soft_closing(np.empty_like(w), factors)

    def _formula(self) -> str:
        factor = "" if self.factors is None else "factor "
        sums = (f"sum {factor}|W|", f"sum {factor}W**2")
        return " + ".join(f"{self._times(x)} * {s}" for x, s in zip(self._ratios(), sums, strict=True) if x)

    def _value(self, w: Array) -> float:
        return float(_kernels.penalties.value(w, self._each("w", w), *self._coefficients()))

    def _add_grad(self, w: Array, grad: Array) -> None:
        _kernels.penalties.add_grad(w, self._each("w", w), grad, *self._coefficients())

    def _prox(self, w: Array, step: float) -> None:
        l1, l2 = self._coefficients()
        _kernels.penalties.prox(w, self._each("w", w), step * l1, step * l2)


class L2(_Separable):
    """Ridge: ``strength * sum w**2``, without a half; gradient ``2 * strength * w``.

    Parameters
    ----------
    strength : float, not negative, or Schedule
    factors : array (n_features,), optional
        Multiplies the strength, feature by feature; 0 leaves a feature out of the penalty.

    Notes
    -----
    Equal to torch's ``weight_decay = 2 * strength`` under plain gradient descent. Proximal step:
    ``w / (1 + 2 * step * strength)``.
    Source: chapter "Loss Functions and Optimization".

    Examples
    --------
    >>> import lossopt as lo
    >>> lo.L2(0.5).value([1.0, -2.0])
    2.5
    """

    def __init__(self, strength: Number, factors: ArrayLike | None = None) -> None:
        self._made(strength, factors)

    def _ratios(self) -> tuple[float, float]:
        return 0.0, 1.0


class L1(_Separable):
    """Lasso: ``strength * sum |w|``; its proximal step makes weights exactly zero.

    Parameters
    ----------
    strength : float, not negative, or Schedule
    factors : array (n_features,), optional
        As L2's.

    Notes
    -----
    Proximal step: the soft threshold ``sign(w) * max(|w| - step * strength, 0)``; zeros are +0.0.
    Source: chapter "Loss Functions and Optimization".

    Examples
    --------
    >>> import lossopt as lo, numpy as np
    >>> w = np.array([0.3, -2.0])
    >>> lo.L1(1.0).prox(w, step=0.5)
    >>> w
    array([ 0. , -1.5])
    """

    def __init__(self, strength: Number, factors: ArrayLike | None = None) -> None:
        self._made(strength, factors)

    def _ratios(self) -> tuple[float, float]:
        return 1.0, 0.0


class ElasticNet(_Separable):
    """Elastic net: ``strength * (l1_ratio * sum |w| + (1 - l1_ratio) * sum w**2)``, without a half.

    Parameters
    ----------
    strength : float, not negative, or Schedule
    l1_ratio : float in [0, 1]
    factors : array (n_features,), optional
        As L2's.

    Notes
    -----
    scikit-learn and glmnet take half of the second term: their l1_ratio is ``r / (2 - r)`` for our r, and their
    strength ours times ``2 - r`` (half that beside their halved squared error). Proximal step: L1's, then L2's.
    Source: chapter "Loss Functions and Optimization".

    Examples
    --------
    >>> import lossopt as lo
    >>> lo.ElasticNet(2.0, l1_ratio=0.5).value([1.0, -2.0])
    8.0
    """

    def __init__(self, strength: Number, l1_ratio: float, factors: ArrayLike | None = None) -> None:
        self._made(strength, factors)
        if not isinstance(l1_ratio, (int, float, np.number)) or not 0 <= l1_ratio <= 1:
            raise ValueError(f"ElasticNet: l1_ratio must lie in [0, 1], got {l1_ratio!r}")
        self.l1_ratio = l1_ratio

    def _ratios(self) -> tuple[float, float]:
        return self.l1_ratio, 1 - self.l1_ratio


class GroupL2(_Strong):
    """Group lasso: ``strength * sum over groups g of |w_g|``, Euclidean lengths; a group goes to zero as a whole.

    Parameters
    ----------
    strength : float, not negative, or Schedule
    groups : array (n_features,) of integers or strings
        The group that each feature belongs to. With several outputs a group holds its features' weights to all of them.
    factors : array (n_features,), optional
        As L2's; the same within a group. ``np.sqrt(sizes)`` of each feature's group gives Yuan and Lin's weights.

    Notes
    -----
    Proximal step: ``w_g * max(0, 1 - step * strength / |w_g|)``. An optimizer with a gain a_i of its own for each
    coordinate takes the step in that metric: ``w_i / (1 + a_i * strength / s)``, with s the length that comes out.
    Source: Yuan and Lin 2006.

    Examples
    --------
    >>> import lossopt as lo, numpy as np
    >>> w = np.array([3.0, 4.0, 0.5])
    >>> lo.GroupL2(1.0, groups=[0, 0, 1]).prox(w, step=1.0)
    >>> w
    array([2.4, 3.2, 0. ])
    """

    def __init__(self, strength: Number, groups: ArrayLike, factors: ArrayLike | None = None) -> None:
        self._made(strength, factors)
        self.groups = groups
        ids = np.asarray(groups)
        if ids.ndim != 1 or ids.dtype.kind not in "iuUS":
            raise ValueError(f"GroupL2: groups must name a group for each feature, got {_arrays.describe(ids)}")
        self._groups = np.unique(ids, return_inverse=True)[1].astype(np.int64)
        if self._factors is not None:
            if self._factors.shape != self._groups.shape:
                lengths = f"{len(self._factors)}, {len(ids)}"
                raise ValueError(f"GroupL2: factors and groups must be of one length, got {lengths}")
            first = np.zeros(self._groups.max(initial=-1) + 1)
            first[self._groups] = self._factors
            if (first[self._groups] != self._factors).any():
                raise ValueError("GroupL2: factors must be the same within a group")

    def _ratios(self) -> tuple[float, float]:
        return 1.0, 0.0

    def _formula(self) -> str:
        return f"{self._times(1)} * sum over groups of {'' if self.factors is None else 'factor '}|W_g|"

    def _closing(self, label: str, w: Array) -> Any:
        return self._grouped(label, w, np.empty_like(w))

    def _grouped(self, label: str, w: Array, gains: Array) -> Any:
        groups = _spread(self, "groups", self._groups, label, w).reshape(-1)
        factors = self._each(label, w)
        members = np.argsort(groups, kind="stable").astype(np.int64)
        begins = np.searchsorted(groups[members], np.arange(self._groups.max(initial=-1) + 2)).astype(np.int64)
        return _kernels.penalties.group_closing(gains, np.ones_like(w) if factors is None else factors, members, begins)

    def _value(self, w: Array) -> float:
        return self._coefficients()[0] * float(_kernels.penalties.group_value(self._grouped("w", w, w.copy()), w))

    def _add_grad(self, w: Array, grad: Array) -> None:
        _kernels.penalties.group_add_grad(self._grouped("w", w, w.copy()), w, grad, self._coefficients()[0])

    def _prox(self, w: Array, step: float) -> None:
        _kernels.penalties.close(self._grouped("w", w, np.full_like(w, step)), w, self._coefficients()[0])


class _Bounded(Penalty, ABC):
    """Another penalty between two bounds, or 0; infinity outside."""

    penalty: Penalty | None

    def _made(self, penalty: Penalty | None) -> None:
        if penalty is not None and not isinstance(penalty, _Separable):
            raise TypeError(f"{type(self).__name__}: penalty must be L1, L2, ElasticNet or None, got {penalty!r}")
        self.penalty = penalty

    @abstractmethod
    def _bounds(self) -> tuple[float, float]: ...

    def _at(self, t: float) -> Penalty:
        if self.penalty is None or self.penalty._at(t) is self.penalty:
            return self
        return type(self)(**{**self._arguments(), "penalty": self.penalty._at(t)})

    def _coefficients(self, t: float | None = None) -> tuple[float, float]:
        return (0.0, 0.0) if self.penalty is None else self.penalty._coefficients(t)

    def _table(self, t: Array) -> Array:
        return super()._table(t) if self.penalty is None else self.penalty._table(t)

    def _formula(self) -> str:
        low, high = self._bounds()
        inside = "0" if self.penalty is None else self.penalty._formula()
        return f"({inside} where {low:g} <= W <= {high:g}, else inf)"

    def _closing(self, label: str, w: Array) -> Any:
        factors = self.penalty._each(label, w) if isinstance(self.penalty, _Separable) else None
        ones = np.ones_like(w) if factors is None else factors
        return _kernels.penalties.box_closing(np.empty_like(w), ones, *self._bounds())

    def _value(self, w: Array) -> float:
        if _kernels.losses.outside(w, *self._bounds()):
            return np.inf
        return 0.0 if self.penalty is None else self.penalty._value(w)

    def _add_grad(self, w: Array, grad: Array) -> None:
        if self.penalty is not None:
            self.penalty._add_grad(w, grad)
        _kernels.penalties.box_add_grad(w, grad, *self._bounds())

    def _prox(self, w: Array, step: float) -> None:
        if self.penalty is not None:
            self.penalty._prox(w, step)
        _kernels.penalties.close(_kernels.penalties.box_closing(None, None, *self._bounds()), w, 0.0)


class NonNegative(_Bounded):
    """Weights that are not negative: 0, or another penalty, where they are not, and infinity elsewhere.

    Parameters
    ----------
    penalty : L1, L2 or ElasticNet, optional
        What else acts: ``NonNegative(L1(0.1))`` is that of the Lasso with positive weights.

    Notes
    -----
    A step ends at ``max(w, 0)``, after the penalty's own. The projection is the same in every diagonal metric, and so
    for every optimizer that has one. Gradient: what pushes a weight that is 0 below it is left out.
    Source: Parikh and Boyd 2014, section 6.2.

    Examples
    --------
    >>> import lossopt as lo, numpy as np
    >>> w = np.array([-0.3, 2.0])
    >>> lo.NonNegative(lo.L1(0.5)).prox(w, step=1.0)
    >>> w
    array([0. , 1.5])
    """

    def __init__(self, penalty: Penalty | None = None) -> None:
        self._made(penalty)

    def _bounds(self) -> tuple[float, float]:
        return 0.0, np.inf


class Box(_Bounded):
    """Weights between two bounds: 0, or another penalty, inside, and infinity outside.

    Parameters
    ----------
    low, high : float
        ``low <= high``; infinite where there is no bound.
    penalty : L1, L2 or ElasticNet, optional
        What else acts inside.

    Notes
    -----
    As NonNegative, which is ``Box(0, inf)``. Source: Parikh and Boyd 2014, section 6.2.

    Examples
    --------
    >>> import lossopt as lo, numpy as np
    >>> w = np.array([-3.0, 0.5, 2.0])
    >>> lo.Box(-1.0, 1.0).prox(w, step=1.0)
    >>> w
    array([-1. ,  0.5,  1. ])
    """

    def __init__(self, low: float, high: float, penalty: Penalty | None = None) -> None:
        for name, bound in (("low", low), ("high", high)):
            if isinstance(bound, bool) or not isinstance(bound, (int, float, np.number)) or np.isnan(bound):
                raise ValueError(f"Box: {name} must be a number, got {bound!r}")
        if not low <= high or low == np.inf or high == -np.inf:
            raise ValueError(f"Box: low must not be above high, got {low!r} and {high!r}")
        self.low = low
        self.high = high
        self._made(penalty)

    def _bounds(self) -> tuple[float, float]:
        return float(self.low), float(self.high)


PENALTIES: dict[str, type[Penalty]] = {
    "l2": L2,
    "l1": L1,
    "elastic_net": ElasticNet,
    "group_l2": GroupL2,
    "non_negative": NonNegative,
    "box": Box,
}
