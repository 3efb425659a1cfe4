"""Penalties on weights: what they add to the loss, to its gradient, and to a step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lossopt import _arrays, _kernels
from lossopt._component import Component

__all__ = [
    "L1",
    "L2",
    "PENALTIES",
    "ElasticNet",
    "Penalty",
]

Array = NDArray[Any]


class Penalty(Component, ABC):
    """What all penalties share: they are ``l1 * sum |w| + l2 * sum w**2``, each with coefficients of its own."""

    strength: float

    def _strong(self, strength: float) -> None:
        if not isinstance(strength, (int, float, np.number)) or not 0 <= strength < np.inf:
            raise ValueError(f"{type(self).__name__}: strength must be finite and not negative, got {strength!r}")
        self.strength = strength

    @abstractmethod
    def _coefficients(self) -> tuple[float, float]:
        """l1 and l2."""

    def value(self, w: ArrayLike) -> float:
        """The penalty of w.

        Parameters
        ----------
        w : array of any shape

        Returns
        -------
        float

        Raises
        ------
        TypeError
            w does not hold real numbers.
        """
        return float(_kernels.penalties.value(_arrays.floats("w", w), *self._coefficients()))

    def add_grad(self, w: ArrayLike, grad: Array) -> None:
        """Make grad, in place, the gradient of the sum: where w is 0, its least subgradient.

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
        _kernels.penalties.add_grad(w, grad, *self._coefficients())

    def prox(self, w: Array, step: float) -> None:
        """The proximal step, in place: ``soft(w, step * l1) / (1 + 2 * step * l2)``; zeros are +0.0.

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
        l1, l2 = self._coefficients()
        _kernels.penalties.prox(w, step * l1, 1 / (1 + 2 * step * l2))


class L2(Penalty):
    """Ridge: ``strength * sum w**2``, without a half; gradient ``2 * strength * w``.

    Parameters
    ----------
    strength : float, not negative

    Notes
    -----
    Equal to torch's ``weight_decay = 2 * strength`` under plain gradient descent.
    Source: chapter "Loss Functions and Optimization".

    Examples
    --------
    >>> import lossopt as lo
    >>> lo.L2(0.5).value([1.0, -2.0])
    2.5
    """

    def __init__(self, strength: float) -> None:
        self._strong(strength)

    def _coefficients(self) -> tuple[float, float]:
        return 0.0, self.strength


class L1(Penalty):
    """Lasso: ``strength * sum |w|``; its proximal step makes weights exactly zero.

    Parameters
    ----------
    strength : float, not negative

    Notes
    -----
    Source: chapter "Loss Functions and Optimization".

    Examples
    --------
    >>> import lossopt as lo, numpy as np
    >>> w = np.array([0.3, -2.0])
    >>> lo.L1(1.0).prox(w, step=0.5)
    >>> w
    array([ 0. , -1.5])
    """

    def __init__(self, strength: float) -> None:
        self._strong(strength)

    def _coefficients(self) -> tuple[float, float]:
        return self.strength, 0.0


class ElasticNet(Penalty):
    """Elastic net: ``strength * (l1_ratio * sum |w| + (1 - l1_ratio) * sum w**2)``, without a half.

    Parameters
    ----------
    strength : float, not negative
    l1_ratio : float in [0, 1]

    Notes
    -----
    scikit-learn and glmnet take half of the second term: their l1_ratio is ``r / (2 - r)`` for our r, and their
    strength ours times ``2 - r`` (half that beside their halved squared error).
    Source: chapter "Loss Functions and Optimization".

    Examples
    --------
    >>> import lossopt as lo
    >>> lo.ElasticNet(2.0, l1_ratio=0.5).value([1.0, -2.0])
    8.0
    """

    def __init__(self, strength: float, l1_ratio: float) -> None:
        self._strong(strength)
        if not isinstance(l1_ratio, (int, float, np.number)) or not 0 <= l1_ratio <= 1:
            raise ValueError(f"ElasticNet: l1_ratio must lie in [0, 1], got {l1_ratio!r}")
        self.l1_ratio = l1_ratio

    def _coefficients(self) -> tuple[float, float]:
        return self.strength * self.l1_ratio, self.strength * (1 - self.l1_ratio)


PENALTIES: dict[str, type[Penalty]] = {"l2": L2, "l1": L1, "elastic_net": ElasticNet}
