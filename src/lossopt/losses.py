"""Losses: how wrong predictions are, as a number, and which way is down, as a gradient."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lossopt import _arrays, _kernels
from lossopt._component import Component

__all__ = [
    "LOSSES",
    "MAE",
    "MSE",
    "BinaryCrossEntropy",
    "CostSensitive",
    "CrossEntropy",
    "EpsilonInsensitive",
    "Focal",
    "Gamma",
    "Hinge",
    "Huber",
    "LogCosh",
    "Loss",
    "ModifiedHuber",
    "MulticlassHinge",
    "Poisson",
    "Quantile",
    "SquaredEpsilonInsensitive",
    "SquaredHinge",
    "Tweedie",
]

Array = NDArray[Any]


_FRESH = object()  # a gradient in an array of its own


class _Outside(ABC):
    """What stands where a kernel would, of a loss that is none: it sees all rows of a call at once."""

    @abstractmethod
    def value_and_grad(
        self, z: Array, y: Array, weight: Array | None, out: Array | None, k: int, scale: float
    ) -> float:
        """As the kernels': the sum of weight * loss over the rows of z (n, k), and in out scale times its gradient."""

    @abstractmethod
    def pointwise(self, z: Array, y: Array, out: Array, k: int) -> None:
        """Each row's value, into out."""


def evaluate(
    kernel: Any, z: Array, y: Array, weight: Array | None, out: Array | None, k: int, scale: float, alone: bool = False
) -> float:
    """The kernels' `value_and_grad`, of losses that have one and of those that do not."""
    if isinstance(kernel, _Outside):
        return kernel.value_and_grad(z, y, weight, out, k, scale)
    return float(_kernels.losses.value_and_grad(kernel, z, y, weight, out, k, scale, alone))


class Loss(Component, ABC):
    """What all losses share: a mean (or sum) over rows, with its gradient from the same pass.

    Predictions are raw scores: (n,) for one output, (n, k) for k of them. The mean divides by the number of rows, or
    by the sum of sample_weight; a weight of 0 is the row removed, a weight of 2 the row twice. No rows give 0.0.
    """

    reduction: str
    _kernel: Any  # of the usual predictions and targets
    _range: tuple[float, float, bool]  # where targets lie, and whether they are 0 or 1
    _by_query: ClassVar[bool] = False  # whether it looks at queries, not at each row alone
    # whether it is a mean, where targets lie, dimensions of predictions at most; None: look with care
    _direct: tuple[bool, float, float, bool, int] | None

    def _reduced(
        self,
        reduction: str,
        kernel: Any,
        low: float = -np.inf,
        high: float = np.inf,
        binary: bool = False,
        dims: int = 2,
    ) -> None:
        if reduction not in ("mean", "sum"):
            raise ValueError(f"{type(self).__name__}: reduction must be 'mean' or 'sum', got {reduction!r}")
        self.reduction = reduction
        self._kernel = kernel
        self._range = low, high, binary
        self._direct = (reduction == "mean", low, high, binary, dims)

    @abstractmethod
    def _bind(
        self, shape: tuple[int, ...], dtype: np.dtype[Any], target: ArrayLike, name: str = "target"
    ) -> tuple[Any, Array]:
        """The kernel for predictions of this shape and type, and the target as it reads it, checked."""

    @abstractmethod
    def _terms(self, shape: tuple[int, ...]) -> int:
        """How many terms of the mean a row makes."""

    @abstractmethod
    def _formula(self) -> str:
        """A term of the sum, from score z and target y, for reading."""

    def _weigh(self, target: ArrayLike, weight: Array | None, dtype: np.dtype[Any]) -> Array | None:
        """What each row weighs, in its factor and in what the mean divides by; None: 1."""
        return weight

    def _curvature(self) -> float | None:
        """The largest second derivative of a row's value in its scores (of a matrix: eigenvalue); None: no bound."""
        return None

    def _bend(self, z: Array, y: Array, dz: Array) -> Array | None:
        """How the gradient of each row's value changes along dz, targets as `_bind` gives them; None: no such thing."""
        return None

    def _dual(self, y: Array, u: Array) -> Array | None:
        """The convex conjugate of each row's value in its score, at u; None: there is none here."""
        return None

    def _with(self, target: ArrayLike, group: ArrayLike | None, name: str = "target") -> ArrayLike:
        """Targets with the query of each row, of losses that look at queries."""
        if group is not None:
            raise TypeError(f"group is for ranking losses; {type(self).__name__} looks at each row alone")
        return target

    def _rows(self, y: Array) -> tuple[Array, Array] | None:
        """Rows that stay together: their numbers, and where each lot begins among them; None: each is alone."""
        return None

    def _refuse_probabilities(self) -> None:
        """Linear and MLP give scores: a loss of probabilities says so."""

    def _outputs(self, y: Array) -> int:
        """How many outputs a linear model needs for these targets."""
        return int(y.shape[1]) if y.ndim == 2 else 1

    def _shape(self, n: int, k: int) -> tuple[int, ...]:
        """The shape of a linear model's predictions."""
        return (n,) if k == 1 else (n, k)

    def _mass(self, shape: tuple[int, ...], weight: Array | None) -> float:
        """What the mean divides by."""
        return self._terms(shape) * (float(shape[0]) if weight is None else _kernels.losses.sum(weight))

    def _scale(self, mass: float) -> float:
        """What the sum over rows is multiplied by; no rows, no gradient."""
        return (1.0 / mass if mass else 0.0) if self.reduction == "mean" else 1.0

    def _reduce(self, total: float, mass: float) -> float:
        return total / mass if self.reduction == "mean" and mass else total

    def _read(self, prediction: ArrayLike, target: ArrayLike) -> tuple[Array, Any, Array]:
        z = _arrays.floats("prediction", prediction)
        if z.ndim not in (1, 2):
            raise ValueError(f"prediction must have shape (n,) or (n, k), got {_arrays.describe(z)}")
        return (z, *self._bind(z.shape, z.dtype, target))

    def _run(
        self, prediction: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None, out: Any
    ) -> tuple[float, Any, float]:
        """The sum over rows, the gradient of the mean (out: None, _FRESH, or its place), the mass."""
        z, kernel, y = self._read(prediction, target)
        weight = _arrays.weights("sample_weight", sample_weight, z.shape[0], z.dtype)
        weight = self._weigh(target, weight, z.dtype)
        if out is _FRESH:
            out = np.empty(z.shape, z.dtype)
        elif out is not None:
            out = _arrays.written("out", out, z.dtype, z.shape)
            # as they came, and as they are read: what came may be a strided array, or a buffer that is no array
            for came, targets, weights in ((prediction, target, sample_weight), (z, y, weight)):
                _arrays.apart_or_same("out", out, "prediction", came)
                _arrays.apart("out", out, target=targets, sample_weight=weights)
        mass = self._mass(z.shape, weight)
        scale = self._scale(mass)
        k = z.shape[1] if z.ndim == 2 else 1
        if not z.size or not mass:
            if out is not None:
                out[...] = 0
            return 0.0, out, mass
        return evaluate(kernel, z, y, weight, out, k, scale), out, mass

    def __call__(self, prediction: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """The loss of all rows together.

        Parameters
        ----------
        prediction : array (n,) or (n, k)
            Raw scores; float32 stays float32, everything else is read as float64.
        target : array
            What the rows should have been; its shape is the loss's own.
        sample_weight : array (n,), optional
            Not negative; 0 is the row removed, 2 the row twice.

        Returns
        -------
        float

        Raises
        ------
        ValueError, TypeError
            An argument has the wrong shape, type or range; the sentence names it.
        """
        if sample_weight is None and self._direct is not None and type(prediction) is np.ndarray:
            value: float | None = self._kernel.direct(prediction, target, None, *self._direct)
            if value is not None:
                return value
        total, _, mass = self._run(prediction, target, sample_weight, None)
        return self._reduce(total, mass)

    def value_and_grad(
        self, prediction: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None = None, out: Array | None = None
    ) -> tuple[float, Array]:
        """The loss and its gradient with respect to the prediction, from one pass.

        Parameters
        ----------
        prediction, target, sample_weight
            As for calling the loss.
        out : array like prediction, optional
            Where the gradient is written; it may be exactly `prediction`, and overlaps nothing else.

        Returns
        -------
        value : float
        grad : array of the prediction's shape and type; `out` where it was given

        Raises
        ------
        ValueError, TypeError
            An argument has the wrong shape, type or range; nothing has been written then.
        """
        # arrays that are right as they are, in one call; else the careful way, which converts or says what is wrong
        if sample_weight is None and self._direct is not None and type(prediction) is np.ndarray:
            to = np.empty(prediction.shape, prediction.dtype) if out is None else out
            if type(to) is np.ndarray:
                value = self._kernel.direct(prediction, target, to, *self._direct)
                if value is not None:
                    return value, to
        total, grad, mass = self._run(prediction, target, sample_weight, _FRESH if out is None else out)
        return self._reduce(total, mass), grad

    def pointwise(self, prediction: ArrayLike, target: ArrayLike) -> Array:
        """The loss of each row, before sample weights; `reduction` plays no part.

        With several outputs a row's value is what it adds to the mean over rows.

        Parameters
        ----------
        prediction, target
            As for calling the loss.

        Returns
        -------
        array (n,)
            float32 for a float32 prediction, else float64.

        Raises
        ------
        ValueError, TypeError
            As for calling the loss.
        """
        z, kernel, y = self._read(prediction, target)
        out: Array = np.zeros(z.shape[0], z.dtype)
        if z.size:
            k = z.shape[1] if z.ndim == 2 else 1
            if isinstance(kernel, _Outside):
                kernel.pointwise(z, y, out, k)
            else:
                _kernels.losses.pointwise(kernel, z, y, out, k)
        out /= self._terms(z.shape) or 1
        share = self._weigh(target, None, z.dtype)
        return out if share is None else np.where(share == 0, 0, out * share).astype(z.dtype)


def _alike(shape: tuple[int, ...], dtype: np.dtype[Any], target: ArrayLike, name: str) -> Array:
    """A target of the prediction's shape: it never broadcasts."""
    y = _arrays.floats(name, target, dtype)
    if y.shape != shape:
        raise ValueError(f"{name} must have the prediction's shape {shape}, got {_arrays.describe(y)}")
    return y


def _is_number(x: Any) -> bool:
    return isinstance(x, (int, float, np.number)) and not isinstance(x, bool)


def _per_output(shape: tuple[int, ...]) -> int:
    return shape[1] if len(shape) == 2 else 1


def _within(name: str, x: Array, low: float, high: float) -> Array:
    if _kernels.losses.outside(x, low, high):
        bad = x[(x < low) | (x > high)][0]
        raise ValueError(f"{name} must lie in [{low:g}, {high:g}], got {bad}")
    return x


def _logistic_slope(z: Array) -> Array:
    """The derivative of the sigmoid."""
    e = np.exp(-np.abs(z))
    return np.asarray(e / (1 + e) ** 2)


def _times_log(x: Array, total: Array) -> Array:
    """x log(x / total); 0 at 0, infinite below."""
    with np.errstate(divide="ignore", invalid="ignore"):
        inside = x * np.log(x / total)
    return np.where(x > 0, inside, np.where(x == 0, 0.0, np.inf))


def _softmax_bend(z: Array, total: Any, dz: Array) -> Array:
    """The Hessian of cross-entropy along dz: total (diag p - p p.T) dz, row by row."""
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    bent: Array = p * (dz - np.sum(p * dz, axis=1, keepdims=True))
    return bent * np.reshape(total, (-1, 1)) if np.ndim(total) else bent


class _OneByOne(Loss, ABC):
    """A loss of one output and one target; with k outputs a row makes k terms of the mean."""

    @abstractmethod
    def __init__(self) -> None: ...

    def _bind(
        self, shape: tuple[int, ...], dtype: np.dtype[Any], target: ArrayLike, name: str = "target"
    ) -> tuple[Any, Array]:
        return self._kernel, self._checked(name, _alike(shape, dtype, target, name))

    def _second(self, z: Array, y: Array) -> Any:
        """The second derivative of each value in its score, or None."""
        return None

    def _bend(self, z: Array, y: Array, dz: Array) -> Array | None:
        second = self._second(z, y)
        return None if second is None else second * dz

    def _checked(self, name: str, y: Array) -> Array:
        """Targets that the loss is made for; NaN goes through."""
        low, high, binary = self._range
        return _one_or_zero(name, y) if binary else _within(name, y, low, high)

    def _terms(self, shape: tuple[int, ...]) -> int:
        return _per_output(shape)


class MSE(_OneByOne):
    """Mean squared error, without a half.

    ``value = mean (z - y)**2`` over all n rows, or all n*k numbers with k outputs; gradient ``2 (z - y) / (n k)``.

    Parameters
    ----------
    reduction : "mean" or "sum"

    Notes
    -----
    Targets are numbers of the prediction's shape, (n,) or (n, k). An error of 10 counts 100, an error of 1 counts 1.
    torch and Keras agree; scikit-learn's estimators and optax's ``l2_loss`` take half of it.
    Source: chapter "Loss Functions and Optimization".

    Examples
    --------
    >>> import lossopt as lo
    >>> lo.MSE()([10.0, 1.0], [0.0, 0.0])
    50.5
    >>> value, grad = lo.MSE().value_and_grad([10.0, 1.0], [0.0, 0.0])
    >>> grad
    array([10.,  1.])
    """

    def __init__(self, reduction: str = "mean") -> None:
        self._reduced(reduction, _kernels.losses.mse())

    def _formula(self) -> str:
        return "(z - y)**2"

    def _curvature(self) -> float | None:
        return 2.0

    def _second(self, z: Array, y: Array) -> Any:
        return 2.0

    def _dual(self, y: Array, u: Array) -> Array | None:
        return u * (u / 4 + y)


class BinaryCrossEntropy(_OneByOne):
    """Binary cross-entropy, in nats, from scores or from probabilities.

    From scores z, with ``s(z) = 1 / (1 + exp(-z))``: ``value = mean -(y log s(z) + (1 - y) log s(-z))``, gradient
    ``((1 - y) s(z) - y s(-z)) / n``, each tail formed without cancellation: z = -1000 with y = 1 costs 1000.

    Parameters
    ----------
    from_logits : bool
        True: predictions are scores. False: they are probabilities p in [0, 1], and the loss is exact there too:
        p = 0 with y = 1 costs infinity (torch stops at 100, Keras at 16.1), y = 0 with p = 0 costs 0.
    pos_weight : float, optional
        Multiplies the term of y = 1; the mean still divides by the rows, as torch's.
    label_smoothing : float in [0, 1]
        Targets become ``y (1 - label_smoothing) + label_smoothing / 2``.
    reduction : "mean" or "sum"

    Notes
    -----
    Targets lie in [0, 1], soft ones included, and have the prediction's shape; bool counts as 0 and 1.
    Source: chapter "Loss Functions and Optimization".

    Examples
    --------
    >>> import lossopt as lo
    >>> round(lo.BinaryCrossEntropy(from_logits=False)([0.9], [1]), 9)
    0.105360516
    >>> lo.BinaryCrossEntropy().value_and_grad([-1000.0], [1])
    (1000.0, array([-1.]))
    """

    def __init__(
        self,
        from_logits: bool = True,
        pos_weight: float | None = None,
        label_smoothing: float = 0.0,
        reduction: str = "mean",
    ) -> None:
        if pos_weight is not None and not (_is_number(pos_weight) and 0 <= pos_weight < np.inf):
            raise ValueError(f"BinaryCrossEntropy: pos_weight must be finite and not negative, got {pos_weight!r}")
        if not _is_number(label_smoothing) or not 0 <= label_smoothing <= 1:
            raise ValueError(f"BinaryCrossEntropy: label_smoothing must lie in [0, 1], got {label_smoothing!r}")
        self.from_logits = from_logits
        self.pos_weight = pos_weight
        self.label_smoothing = label_smoothing
        make = _kernels.losses.bce if from_logits else _kernels.losses.bce_probability
        self._reduced(
            reduction,
            make(1.0 if pos_weight is None else pos_weight, *([1.0] if from_logits else []), label_smoothing),
            0,
            1,
        )
        if not from_logits:
            self._direct = None  # predictions have their limits too

    def _read(self, prediction: ArrayLike, target: ArrayLike) -> tuple[Array, Any, Array]:
        z, kernel, y = super()._read(prediction, target)
        return z if self.from_logits else _within("prediction", z, 0, 1), kernel, y

    def _formula(self) -> str:
        p, q = ("log s(z)", "log s(-z)") if self.from_logits else ("log z", "log(1 - z)")
        weight = "" if self.pos_weight is None else f"{self.pos_weight:g} "
        eps = self.label_smoothing
        smooth = f", y = {1 - eps:g} target + {eps / 2:g}" if eps else ""
        sigmoid = ", s(z) = 1 / (1 + exp(-z))" if self.from_logits else ""
        return f"-({weight}y {p} + (1 - y) {q}){sigmoid}{smooth}"

    def _curvature(self) -> float | None:
        return max(1.0, self.pos_weight or 0.0) / 4 if self.from_logits else None

    def _sides(self, y: Array) -> tuple[Array, Array]:
        """What the terms of the two classes weigh."""
        soft = y * (1 - self.label_smoothing) + self.label_smoothing / 2
        return soft * (1.0 if self.pos_weight is None else self.pos_weight), 1 - soft

    def _second(self, z: Array, y: Array) -> Any:
        one, zero = self._sides(y)
        return (one + zero) * _logistic_slope(z)

    def _dual(self, y: Array, u: Array) -> Array | None:
        one, zero = self._sides(y)
        total = np.where(one + zero == 0, 1, one + zero)
        return _times_log(u + one, total) + _times_log(zero - u, total)

    def _refuse_probabilities(self) -> None:
        if not self.from_logits:
            raise ValueError("loss takes probabilities, and the model gives scores: use BinaryCrossEntropy()")


def _number(owner: Loss, name: str, x: Any, low: float, high: float = np.inf) -> None:
    """A finite number in [low, high], or above 0 where low is that."""
    if not _is_number(x) or not low <= x <= high or abs(x) == np.inf or (x == low == 0 and high == np.inf):
        limits = "positive and finite" if low == 0 and high == np.inf else f"a number in [{low:g}, {high:g}]"
        raise ValueError(f"{type(owner).__name__}: {name} must be {limits}, got {x!r}")


def _one_or_zero(name: str, y: Array) -> Array:
    if _kernels.losses.outside(y, 0, 1, True):
        raise ValueError(f"{name} must hold 0 and 1, got {y[(y != 0) & (y != 1) & (y == y)][0]}")
    return y


# the least positive number that both precisions have: what is positive and smaller is looked at with care
_LEAST = float(np.finfo(np.float32).smallest_subnormal)


def _positive(name: str, y: Array) -> Array:
    if _kernels.losses.outside(y, np.finfo(y.dtype).smallest_subnormal, np.inf):
        raise ValueError(f"{name} must be positive, got {y[y <= 0][0]}")
    return y


class MAE(_OneByOne):
    """Mean absolute error.

    ``value = mean |z - y|`` over all n rows, or all n*k numbers with k outputs; gradient ``sign(z - y) / (n k)``, and 0
    where prediction and target are equal.

    Parameters
    ----------
    reduction : "mean" or "sum"

    Notes
    -----
    Targets are numbers of the prediction's shape. What minimizes it is the median. torch's ``l1_loss``.
    Source: Koenker and Bassett 1978, whose quantile loss at 1/2 is half of it.

    Examples
    --------
    >>> import lossopt as lo
    >>> lo.MAE().value_and_grad([3.0, 1.0, 5.0, 0.0], [1.0, 1.0, 6.0, 0.0])
    (0.75, array([ 0.25,  0.  , -0.25,  0.  ]))
    """

    def __init__(self, reduction: str = "mean") -> None:
        self._reduced(reduction, _kernels.losses.pinball(1.0, 1.0, 0.0))

    def _formula(self) -> str:
        return "|z - y|"


class Huber(_OneByOne):
    """Huber's loss: squares of small errors, absolute values of large ones.

    With ``d = z - y``: ``value = mean of d**2 / 2`` where ``|d| <= delta``, else of ``delta * (|d| - delta / 2)``;
    gradient ``d`` held to [-delta, delta], divided by n k.

    Parameters
    ----------
    delta : float, positive
    reduction : "mean" or "sum"

    Notes
    -----
    Targets are numbers of the prediction's shape. The half belongs to it: torch's ``huber_loss`` and Keras's ``Huber``
    have it too, and torch's ``smooth_l1_loss(beta=delta)`` is this divided by delta. Source: Huber 1964.

    Examples
    --------
    >>> import lossopt as lo
    >>> lo.Huber(delta=2.0).value_and_grad([3.0, 1.0], [0.0, 0.0])
    (2.25, array([1. , 0.5]))
    """

    def __init__(self, delta: float = 1.0, reduction: str = "mean") -> None:
        _number(self, "delta", delta, 0)
        self.delta = delta
        self._reduced(reduction, _kernels.losses.huber(delta))

    def _formula(self) -> str:
        return f"d**2 / 2 if |d| <= {self.delta:g} else {self.delta:g} * (|d| - {self.delta / 2:g}), d = z - y"

    def _curvature(self) -> float | None:
        return 1.0

    def _second(self, z: Array, y: Array) -> Any:
        return (np.abs(z - y) <= self.delta).astype(z.dtype)


class LogCosh(_OneByOne):
    """Logarithm of the hyperbolic cosine: a smooth absolute value.

    With ``d = z - y``: ``value = mean log cosh d``, near ``d**2 / 2`` for small errors and near ``|d| - log 2`` for
    large ones; gradient ``tanh(d) / (n k)``.

    Parameters
    ----------
    reduction : "mean" or "sum"

    Notes
    -----
    Targets are numbers of the prediction's shape. Neither end loses digits or overflows.
    Source: Green 1990; Keras's ``LogCosh``.

    Examples
    --------
    >>> import lossopt as lo
    >>> value, grad = lo.LogCosh().value_and_grad([1000.0, 1e-8], [0.0, 0.0])
    >>> round(value, 6), grad
    (499.653426, array([5.e-01, 5.e-09]))
    """

    def __init__(self, reduction: str = "mean") -> None:
        self._reduced(reduction, _kernels.losses.log_cosh())

    def _formula(self) -> str:
        return "log cosh(z - y)"

    def _curvature(self) -> float | None:
        return 1.0

    def _second(self, z: Array, y: Array) -> Any:
        return 1 - np.tanh(z - y) ** 2


class Quantile(_OneByOne):
    """Pinball loss, minimized by a quantile.

    ``value = mean of q * (y - z)`` where the target is above the prediction, else of ``(1 - q) * (z - y)``; gradient
    ``-q / (n k)`` above, ``(1 - q) / (n k)`` below, and 0 where they are equal.

    Parameters
    ----------
    q : float in [0, 1]
        The share of targets that should lie below the prediction.
    reduction : "mean" or "sum"

    Notes
    -----
    Targets are numbers of the prediction's shape. scikit-learn's ``mean_pinball_loss(alpha=q)``.
    Source: Koenker and Bassett 1978.

    Examples
    --------
    >>> import lossopt as lo
    >>> lo.Quantile(q=0.9).value_and_grad([0.0, 0.0], [10.0, -10.0])
    (5.0, array([-0.45,  0.05]))
    """

    def __init__(self, q: float = 0.5, reduction: str = "mean") -> None:
        _number(self, "q", q, 0, 1)
        self.q = q
        self._reduced(reduction, _kernels.losses.pinball(q, 1 - q, 0.0))

    def _formula(self) -> str:
        return f"{self.q:g} * max(0, y - z) + {1 - self.q:g} * max(0, z - y)"


class EpsilonInsensitive(_OneByOne):
    """Absolute error beyond a tolerance, the loss of support vector regression.

    ``value = mean max(0, |z - y| - epsilon)``; gradient ``sign(z - y) / (n k)`` beyond epsilon, else 0.

    Parameters
    ----------
    epsilon : float, not negative
    reduction : "mean" or "sum"

    Notes
    -----
    Targets are numbers of the prediction's shape. Source: Vapnik 1995.

    Examples
    --------
    >>> import lossopt as lo
    >>> lo.EpsilonInsensitive(epsilon=0.5).value_and_grad([2.0, 0.3], [0.0, 0.0])
    (0.75, array([0.5, 0. ]))
    """

    def __init__(self, epsilon: float = 0.1, reduction: str = "mean") -> None:
        _number(self, "epsilon", epsilon, 0, np.finfo(np.float64).max)
        self.epsilon = epsilon
        self._reduced(reduction, _kernels.losses.pinball(1.0, 1.0, epsilon))

    def _formula(self) -> str:
        return f"max(0, |z - y| - {self.epsilon:g})"


class SquaredEpsilonInsensitive(_OneByOne):
    """The square of the absolute error beyond a tolerance, which is smooth.

    ``value = mean max(0, |z - y| - epsilon)**2``; gradient ``2 sign(z - y) max(0, |z - y| - epsilon) / n``.

    Parameters
    ----------
    epsilon : float
        The error that costs nothing.
    reduction : "mean" or "sum"

    Notes
    -----
    Source: Ho and Lin 2012 (L2-loss support vector regression).

    Examples
    --------
    >>> import lossopt as lo
    >>> lo.SquaredEpsilonInsensitive(epsilon=0.5).value_and_grad([2.0, 0.3], [0.0, 0.0])
    (1.125, array([1.5, 0. ]))
    """

    def __init__(self, epsilon: float = 0.1, reduction: str = "mean") -> None:
        _number(self, "epsilon", epsilon, 0, np.finfo(np.float64).max)
        self.epsilon = epsilon
        self._reduced(reduction, _kernels.losses.squared_pinball(epsilon))

    def _formula(self) -> str:
        return f"max(0, |z - y| - {self.epsilon:g})**2"

    def _curvature(self) -> float | None:
        return 2.0

    def _second(self, z: Array, y: Array) -> Any:
        return 2.0 * (np.abs(z - y) > self.epsilon)


class Hinge(_OneByOne):
    """Hinge loss, of the support vector machine.

    With ``t = 2 y - 1``, -1 or 1: ``value = mean max(0, margin - t z)``; gradient ``-t / n`` where ``t z`` is below
    the margin, else 0.

    Parameters
    ----------
    reduction : "mean" or "sum"
    margin : float
        Beyond it a row costs nothing; 0 makes it the loss of the perceptron.

    Notes
    -----
    Targets are 0 or 1, and have the prediction's shape. Source: Cortes and Vapnik 1995.

    Examples
    --------
    >>> import lossopt as lo
    >>> lo.Hinge().value_and_grad([0.5, -3.0], [1, 0])
    (0.25, array([-0.5,  0. ]))
    """

    def __init__(self, reduction: str = "mean", margin: float = 1.0) -> None:
        _number(self, "margin", margin, 0, np.finfo(np.float64).max)
        self.margin = margin
        self._reduced(reduction, _kernels.losses.hinge(margin), 0, 1, binary=True)

    def _formula(self) -> str:
        return f"max(0, {self.margin:g} - t z), t = 2 y - 1"


class SquaredHinge(_OneByOne):
    """The square of the hinge loss, which is smooth.

    With ``t = 2 y - 1``, -1 or 1: ``value = mean max(0, 1 - t z)**2``; gradient ``-2 t max(0, 1 - t z) / n``.

    Parameters
    ----------
    reduction : "mean" or "sum"

    Notes
    -----
    Targets are 0 or 1, and have the prediction's shape. Source: Chang, Hsieh and Lin 2008 (L2-loss SVM).

    Examples
    --------
    >>> import lossopt as lo
    >>> lo.SquaredHinge().value_and_grad([0.5, -3.0], [1, 0])
    (0.125, array([-0.5,  0. ]))
    """

    def __init__(self, reduction: str = "mean") -> None:
        self._reduced(reduction, _kernels.losses.squared_hinge(), 0, 1, binary=True)

    def _formula(self) -> str:
        return "max(0, 1 - t z)**2, t = 2 y - 1"

    def _curvature(self) -> float | None:
        return 2.0

    def _second(self, z: Array, y: Array) -> Any:
        return 2.0 * ((2 * y - 1) * z < 1)


class ModifiedHuber(_OneByOne):
    """The square of the hinge loss near the margin, and what goes on straight beyond: outliers pull no harder.

    With ``t = 2 y - 1``, -1 or 1: ``value = mean max(0, 1 - t z)**2`` where ``t z >= -1``, else ``-4 t z``; gradient
    ``-2 t min(max(0, 1 - t z), 2) / n``.

    Parameters
    ----------
    reduction : "mean" or "sum"

    Notes
    -----
    Targets are 0 or 1, and have the prediction's shape. The score that minimizes it tells the probability of 1:
    ``(min(max(z, -1), 1) + 1) / 2``. Source: Zhang 2004, "Solving large scale linear prediction problems using
    stochastic gradient descent algorithms".

    Examples
    --------
    >>> import lossopt as lo
    >>> lo.ModifiedHuber().value_and_grad([0.5, 3.0], [1, 0])
    (6.125, array([-0.5,  2. ]))
    """

    def __init__(self, reduction: str = "mean") -> None:
        self._reduced(reduction, _kernels.losses.modified_huber(), 0, 1, binary=True)

    def _formula(self) -> str:
        return "max(0, 1 - t z)**2 where t z >= -1, else -4 t z, t = 2 y - 1"

    def _curvature(self) -> float | None:
        return 2.0

    def _second(self, z: Array, y: Array) -> Any:
        margin = (2 * y - 1) * z
        return 2.0 * ((margin < 1) & (margin >= -1))


class Poisson(_OneByOne):
    """Negative log likelihood of counts whose mean is the exponential of the score.

    ``value = mean exp(z) - y z``; gradient ``(exp(z) - y) / (n k)``.

    Parameters
    ----------
    reduction : "mean" or "sum"

    Notes
    -----
    Targets are not negative, and have the prediction's shape; ``log(y!)``, which no prediction changes, is left out.
    torch's ``poisson_nll_loss`` and half of scikit-learn's Poisson deviance, up to terms of y alone.
    Source: McCullagh and Nelder 1989.

    Examples
    --------
    >>> import lossopt as lo
    >>> lo.Poisson().value_and_grad([0.0, 0.0], [1.0, 3.0])
    (1.0, array([ 0., -1.]))
    """

    def __init__(self, reduction: str = "mean") -> None:
        self._reduced(reduction, _kernels.losses.poisson(), 0)

    def _formula(self) -> str:
        return "exp(z) - y z"

    def _second(self, z: Array, y: Array) -> Any:
        return np.exp(z)


class Gamma(_OneByOne):
    """Negative log likelihood of positive targets, with their spread in proportion to their mean, exp of the score.

    ``value = mean z + y exp(-z)``; gradient ``(1 - y exp(-z)) / (n k)``.

    Parameters
    ----------
    reduction : "mean" or "sum"

    Notes
    -----
    Targets are positive, and have the prediction's shape. Half of scikit-learn's gamma deviance, up to terms of y.
    Source: McCullagh and Nelder 1989.

    Examples
    --------
    >>> import lossopt as lo
    >>> lo.Gamma().value_and_grad([0.0, 0.0], [1.0, 3.0])
    (2.0, array([ 0., -1.]))
    """

    def __init__(self, reduction: str = "mean") -> None:
        self._reduced(reduction, _kernels.losses.gamma(), _LEAST)

    def _formula(self) -> str:
        return "z + y exp(-z)"

    def _second(self, z: Array, y: Array) -> Any:
        return y * np.exp(-z)

    def _checked(self, name: str, y: Array) -> Array:
        return _positive(name, y)


class Tweedie(_OneByOne):
    """Tweedie's family: the spread of the targets grows as a power of their mean, which is exp of the score.

    ``value = mean exp((2 - p) z) / (2 - p) - y exp((1 - p) z) / (1 - p)``; gradient
    ``(exp((2 - p) z) - y exp((1 - p) z)) / (n k)``.

    Parameters
    ----------
    power : float, at least 1, or at most 0
        p. 1 is Poisson and 2 is Gamma, in their own forms; between them targets are sums of a Poisson number of gammas,
        exact zeros among them; 0 is half the squared error of exp(z).
    reduction : "mean" or "sum"

    Notes
    -----
    Targets have the prediction's shape; they are any numbers for power <= 0, not negative for powers from 1 to below 2,
    positive from 2 on. Half of scikit-learn's Tweedie deviance, up to terms of y alone. Source: Jorgensen 1987.

    Examples
    --------
    >>> import lossopt as lo
    >>> lo.Tweedie(power=1.5).value_and_grad([0.0, 0.0], [0.0, 3.0])
    (5.0, array([ 0.5, -1. ]))
    """

    def __init__(self, power: float = 1.5, reduction: str = "mean") -> None:
        if not _is_number(power) or not (-np.inf < power <= 0 or 1 <= power < np.inf):
            raise ValueError(f"Tweedie: power must be at most 0, or at least 1, got {power!r}")
        self.power = power
        family = _kernels.losses
        kernel = family.poisson() if power == 1 else family.gamma() if power == 2 else family.tweedie(power)
        self._reduced(reduction, kernel, _LEAST if power >= 2 else 0 if power >= 1 else -np.inf)

    def _formula(self) -> str:
        p = self.power
        if p in (1, 2):
            return "exp(z) - y z" if p == 1 else "z + y exp(-z)"
        return f"exp({2 - p:g} z) / {2 - p:g} + y exp({1 - p:g} z) / {p - 1:g}"

    def _second(self, z: Array, y: Array) -> Any:
        p = self.power
        return (2 - p) * np.exp((2 - p) * z) + (p - 1) * y * np.exp((1 - p) * z)

    def _checked(self, name: str, y: Array) -> Array:
        return _positive(name, y) if self.power >= 2 else super()._checked(name, y)


def _class_labels(shape: tuple[int, ...], target: ArrayLike, name: str, ignored: int | None = None) -> Array:
    """Labels (n,) for scores (n, k), checked; an ignored one becomes 0."""
    if len(shape) != 2:
        raise ValueError(f"prediction must have shape (n, k), a score for each class, got shape {shape}")
    y = _arrays.labels(name, target, shape[0])
    if ignored is not None:
        y = np.where(y == ignored, 0, y)
    if _kernels.losses.outside_labels(y, shape[1]):
        bad = y[(y < 0) | (y >= shape[1])][0]
        raise ValueError(f"{name} must hold labels from 0 to {shape[1] - 1}, got {bad}")
    return y


def _classes_in(y: Array) -> int:
    """How many classes labels speak of; what is no label, or negative, is refused where it is bound."""
    return max(1, int(y.max()) + 1) if y.size and y.dtype.kind in "iub" else 1


class _OfClasses(Loss, ABC):
    """A loss of a row of scores, one a class, that makes one term of the mean."""

    @abstractmethod
    def __init__(self) -> None: ...

    def _outputs(self, y: Array) -> int:
        return super()._outputs(y) if y.ndim != 1 else _classes_in(y)

    def _shape(self, n: int, k: int) -> tuple[int, ...]:
        return n, k

    def _terms(self, shape: tuple[int, ...]) -> int:
        return 1


def _class_numbers(owner: Loss, name: str, x: ArrayLike | None) -> Array | None:
    """A number a class, finite and not negative."""
    if x is None:
        return None
    numbers = np.array(_arrays.floats(name, x, np.dtype(np.float64)))
    if numbers.ndim != 1 or not ((numbers >= 0) & (numbers < np.inf)).all():
        came = numbers if numbers.ndim == 1 else _arrays.describe(numbers)
        raise ValueError(
            f"{type(owner).__name__}: {name} must be finite and not negative, one number a class, got {came}"
        )
    return numbers


def _of_classes(owner: Loss, name: str, numbers: Array, k: int) -> None:
    if len(numbers) != k:
        raise ValueError(f"{type(owner).__name__}: {name} has {len(numbers)} classes, and prediction has {k}")


class CrossEntropy(_OfClasses):
    """Softmax cross-entropy, in nats, with class labels or a probability for each class.

    With ``p = softmax(z)``: ``value = mean -log p_y``, or ``mean -sum_c q_c log p_c`` for probabilities q; gradient
    ``(p - 1_y) / n`` or ``(p sum(q) - q) / n``. A row's own class stays out of its sum of exponentials, so that a
    prediction near certainty keeps all digits of its small loss and gradient.

    Parameters
    ----------
    class_weight : array (k,), optional
        Multiplies each class's term, and counts in what the mean divides by: the sum of the weights of the rows' own
        classes, as torch's. ``n / (k * np.bincount(y))`` is what scikit-learn calls balanced.
    label_smoothing : float in [0, 1]
        eps: targets become ``(1 - eps) q + eps / k``; the divisor stays that of the targets as they came.
    ignore_index : int, optional
        Rows with this label have no part in the loss, nor in what the mean divides by. It may be a class, which stays
        in the softmax of the other rows. Where every row is ignored, value and gradient are 0.
    reduction : "mean" or "sum"

    Notes
    -----
    Predictions are scores (n, k); targets are integers (n,) from 0 to k - 1, or probabilities (n, k). A score of minus
    infinity rules a class out; plus infinity or NaN make the row NaN.
    With class weights, probabilities count as one-hot rows would: a row's share of the divisor is ``sum_c w_c q_c``
    (torch divides them by n). A class of weight 0 takes no part; with label_smoothing each weight must be positive.
    Source: chapter "Loss Functions and Optimization"; smoothing is Szegedy et al. 2016.

    Examples
    --------
    >>> import lossopt as lo
    >>> lo.CrossEntropy().value_and_grad([[1e4, -1e4, 0.0]], [1])
    (20000.0, array([[ 1., -1.,  0.]]))
    >>> scores = [[0.2, 0.3, 0.5], [0.5, 0.2, 0.3]]
    >>> round(lo.CrossEntropy(class_weight=[2, 4, 6])(scores, [2, 1]), 4)
    1.0598
    >>> lo.CrossEntropy(ignore_index=-100)(scores, [-100, -100])
    0.0
    """

    def __init__(
        self,
        class_weight: ArrayLike | None = None,
        label_smoothing: float = 0.0,
        ignore_index: int | None = None,
        reduction: str = "mean",
    ) -> None:
        if not _is_number(label_smoothing) or not 0 <= label_smoothing <= 1:
            raise ValueError(f"CrossEntropy: label_smoothing must lie in [0, 1], got {label_smoothing!r}")
        if ignore_index is not None and not isinstance(ignore_index, (int, np.integer)):
            raise ValueError(f"CrossEntropy: ignore_index must be a whole number, got {ignore_index!r}")
        self.class_weight = class_weight
        self.label_smoothing = label_smoothing
        self.ignore_index = ignore_index
        self._weights = _class_numbers(self, "class_weight", class_weight)
        if label_smoothing and self._weights is not None and not self._weights.all():
            raise ValueError("CrossEntropy: class_weight must be positive where label_smoothing is used")
        family = _kernels.losses
        if label_smoothing:
            self._reduced(reduction, family.softmax_soft(1 - label_smoothing, label_smoothing, self._weights))
        else:
            self._reduced(reduction, family.softmax_labels())
        self._probabilities = family.softmax_probabilities()
        if self._weights is not None or ignore_index is not None:
            self._direct = None

    def _bind(
        self, shape: tuple[int, ...], dtype: np.dtype[Any], target: ArrayLike, name: str = "target"
    ) -> tuple[Any, Array]:
        if len(shape) == 2 and self._weights is not None:
            _of_classes(self, "class_weight", self._weights, shape[1])
        if len(shape) != 2 or np.ndim(target) != 2:
            return self._kernel, _class_labels(shape, target, name, self.ignore_index)
        y = _within(name, _alike(shape, dtype, target, name), 0, 1)
        eps, w = self.label_smoothing, self._weights
        if eps or w is not None:
            smooth = y * (1 - eps) + eps / shape[1]
            if w is not None:
                share = y @ w
                smooth *= w / np.where(share == 0, 1, share)[:, None]
            y = np.ascontiguousarray(smooth, dtype)
        return self._probabilities, y

    def _formula(self) -> str:
        eps = self.label_smoothing
        own, each = ("", "") if self._weights is None else ("c[y] ", "c ")
        weights = "" if self._weights is None else f", c = {self._weights.tolist()}"
        if not eps:
            return f"-{own}log softmax(z)[y]{weights}"
        return f"-({1 - eps:g} {own}log p[y] + {eps:g} mean of {each}log p), p = softmax(z){weights}"

    def _curvature(self) -> float | None:
        # with both, what a row's targets come to has no simple bound
        return None if self.label_smoothing and self._weights is not None else 0.5

    def _bend(self, z: Array, y: Array, dz: Array) -> Array | None:
        if y.ndim == 2:
            return _softmax_bend(z, y.sum(axis=1), dz)
        eps, w = self.label_smoothing, self._weights
        total = 1.0 if not eps or w is None else (1 - eps) + eps * w.mean() / w[y]
        return _softmax_bend(z, total, dz)

    def _weigh(self, target: ArrayLike, weight: Array | None, dtype: np.dtype[Any]) -> Array | None:
        y, w = _arrays.read(target), self._weights
        if y.ndim == 2:
            share = None if w is None else y @ w
        elif w is None and self.ignore_index is None:
            share = None
        else:
            kept = np.ones(len(y), bool) if self.ignore_index is None else y != self.ignore_index
            share = kept * (1.0 if w is None else w[np.where(kept, y, 0)])
        if share is None:
            return weight
        return np.ascontiguousarray(share if weight is None else share * weight, dtype)

    def _outputs(self, y: Array) -> int:
        if self._weights is not None:
            return len(self._weights)
        return super()._outputs(y if self.ignore_index is None or y.ndim != 1 else y[y != self.ignore_index])


class Focal(Loss):
    """Cross-entropy that looks away from what is already right.

    With p the probability of a row's own class (sigmoid of a score, or softmax of k of them):
    ``value = mean -a (1 - p)**gamma log p``; gamma = 0 and no alpha is cross-entropy.

    Parameters
    ----------
    gamma : float, not negative
    alpha : float in [0, 1], or array (k,), optional
        a. For one score, that of class 1, with 1 - alpha for class 0; for k scores, one of each class. Without it 1.
    reduction : "mean" or "sum"

    Notes
    -----
    Predictions are scores (n,) with targets 0 or 1, or (n, k) with labels. The mean divides by n whatever alpha is.
    Gradient for one score, with ``t = 2 y - 1`` and ``q = 1 - p``: ``-t a q**gamma (gamma p (-log p) + q) / n``, finite
    for every gamma. Source: Lin et al. 2017; torchvision's ``sigmoid_focal_loss``.

    Examples
    --------
    >>> import lossopt as lo
    >>> round(lo.Focal(gamma=2.0)([0.0], [1]), 6)
    0.173287
    >>> round(lo.Focal(gamma=2.0)([[0.0, 0.0]], [1]), 6)
    0.173287
    """

    def __init__(self, gamma: float = 2.0, alpha: ArrayLike | None = None, reduction: str = "mean") -> None:
        _number(self, "gamma", gamma, 0, np.finfo(np.float64).max)
        self.gamma = gamma
        self.alpha = alpha
        self._share = None if alpha is None or np.ndim(alpha) else alpha
        self._weights = _class_numbers(self, "alpha", None if np.ndim(alpha) == 0 else alpha)  # type: ignore[arg-type]
        if self._share is not None:
            _number(self, "alpha", alpha, 0, 1)
        one, other = (1.0, 1.0) if self._share is None else (self._share, 1 - self._share)  # type: ignore[operator]
        self._reduced(reduction, _kernels.losses.focal(gamma, one, other), 0, 1, binary=True, dims=1)
        self._of_labels = _kernels.losses.focal_labels(gamma, self._weights)
        if self._weights is not None:
            self._direct = None

    def _formula(self) -> str:
        share = "" if self.alpha is None else "a "
        alpha = "" if self.alpha is None else f", a = {self.alpha}"
        return f"-{share}(1 - p)**{self.gamma:g} log p, p the probability of the row's own class{alpha}"

    def _bind(
        self, shape: tuple[int, ...], dtype: np.dtype[Any], target: ArrayLike, name: str = "target"
    ) -> tuple[Any, Array]:
        if len(shape) == 1:
            if self._weights is not None:
                raise ValueError("Focal: alpha has a number a class, and prediction one score a row: give one number")
            return self._kernel, _one_or_zero(name, _alike(shape, dtype, target, name))
        if self._share is not None:
            raise ValueError("Focal: alpha is one number, and prediction has a score a class: give a number a class")
        if self._weights is not None:
            _of_classes(self, "alpha", self._weights, shape[1])
        return self._of_labels, _class_labels(shape, target, name)

    def _outputs(self, y: Array) -> int:
        k = _classes_in(y)
        return 1 if k <= 2 and self._weights is None else k

    def _terms(self, shape: tuple[int, ...]) -> int:
        return 1


class MulticlassHinge(_OfClasses):
    """Hinge loss of k classes: how far the best of the others is from a margin of 1 below a row's own class.

    ``value = mean max(0, 1 + max_{c != y} z_c - z_y)``; gradient ``1 / n`` at the best other class (the first of them)
    and ``-1 / n`` at the own one where that is positive.

    Parameters
    ----------
    reduction : "mean" or "sum"

    Notes
    -----
    Predictions are scores (n, k), targets labels. scikit-learn's ``hinge_loss`` and Keras's ``CategoricalHinge``;
    torch's ``multi_margin_loss`` takes the mean of all margins instead. Source: Crammer and Singer 2001.

    Examples
    --------
    >>> import lossopt as lo
    >>> lo.MulticlassHinge().value_and_grad([[0.0, 2.0, 1.5]], [1])
    (0.5, array([[ 0., -1.,  1.]]))
    """

    def __init__(self, reduction: str = "mean") -> None:
        self._reduced(reduction, _kernels.losses.hinge_labels())

    def _formula(self) -> str:
        return "max(0, 1 + max of the other z - z[y])"

    def _bind(
        self, shape: tuple[int, ...], dtype: np.dtype[Any], target: ArrayLike, name: str = "target"
    ) -> tuple[Any, Array]:
        return self._kernel, _class_labels(shape, target, name)


class CostSensitive(Loss):
    """Cross-entropy weighed by what mistakes cost.

    With ``c_j`` the cost of predicting class j for a row, and p the softmax of its scores:
    ``value = mean sum_j (max(c) - c_j) (-log p_j)``. For one score this is
    ``mean -(false_negative y log s(z) + false_positive (1 - y) log s(-z))``.

    Parameters
    ----------
    costs : array (k, k), optional
        ``costs[true, predicted]``; predictions are scores (n, k), targets labels.
    false_negative, false_positive : float, optional
        Instead: predictions are scores (n,), targets 0 or 1. With neither, targets are costs (n, k), those of a row.
    reduction : "mean" or "sum"

    Attributes
    ----------
    threshold : float
        ``false_positive / (false_negative + false_positive)``: where a probability of class 1 is above it, predicting 1
        is the cheaper.

    Notes
    -----
    The mean divides by n: costs are money, not weights. It is convex, and what minimizes it has p_j in proportion to
    ``E[max(c)] - E[c_j]``: the likeliest class is the cheapest one. So scores trained with this loss decide at 0, or by
    the largest; `threshold` and `decide` are for probabilities of an unweighted model, as BinaryCrossEntropy gives.
    Source: chapter "Loss Functions and Optimization"; Elkan 2001 for the threshold.

    Examples
    --------
    >>> import lossopt as lo
    >>> loss = lo.CostSensitive(false_negative=1000, false_positive=10)
    >>> round(loss.threshold, 6), loss.decide([0.009, 0.011])
    (0.009901, array([0, 1]))
    >>> loss.expected_cost([0, 1, 1], [1, 0, 1])
    336.6666666666667
    """

    def __init__(
        self,
        costs: ArrayLike | None = None,
        false_negative: float | None = None,
        false_positive: float | None = None,
        reduction: str = "mean",
    ) -> None:
        self.costs = costs
        self.false_negative = false_negative
        self.false_positive = false_positive
        self._table: Array | None = None
        family = _kernels.losses
        if false_negative is not None or false_positive is not None:
            if costs is not None:
                raise ValueError("CostSensitive: give costs, or false_negative and false_positive, not both")
            for name, cost in (("false_negative", false_negative), ("false_positive", false_positive)):
                _number(self, name, cost, 0, np.finfo(np.float64).max)
            self._table = np.array([[0.0, false_positive], [false_negative, 0.0]], dtype=np.float64)
            kernel = family.bce(false_negative, false_positive, 0.0)
        elif costs is not None:
            table = np.array(_arrays.floats("costs", costs, np.dtype(np.float64)))
            if table.ndim != 2 or table.shape[0] != table.shape[1] or len(table) < 2 or not np.isfinite(table).all():
                raise ValueError(
                    "CostSensitive: costs must be finite, (k, k) with two or more classes, "
                    f"got {_arrays.describe(table)}"
                )
            self._table = table
            kernel = family.softmax_soft(0.0, 1.0, np.ascontiguousarray(table.max(axis=1, keepdims=True) - table))
        else:
            kernel = family.softmax_probabilities()
        self._reduced(reduction, kernel, 0, 1, binary=self._binary, dims=1)
        if not self._binary:
            self._direct = None

    def _formula(self) -> str:
        if self._binary:
            return f"-({self.false_negative:g} y log s(z) + {self.false_positive:g} (1 - y) log s(-z)), s the sigmoid"
        return "-sum over j of (max c - c_j) log softmax(z)[j], c the costs of the row"

    def _curvature(self) -> float | None:
        if self._table is None:
            return None
        if self._binary:
            return float(self._table.max()) / 4
        return float((self._table.max(axis=1, keepdims=True) - self._table).sum(axis=1).max()) / 2

    def _bend(self, z: Array, y: Array, dz: Array) -> Array | None:
        if self._table is not None and self._binary:
            bent: Array = np.where(y == 1, self._table[1, 0], self._table[0, 1]) * _logistic_slope(z) * dz
            return bent
        if self._table is None:
            return _softmax_bend(z, y.sum(axis=1), dz)
        total = (self._table.max(axis=1, keepdims=True) - self._table).sum(axis=1)
        return _softmax_bend(z, total[y], dz)

    @property
    def _binary(self) -> bool:
        return self.false_negative is not None

    @property
    def threshold(self) -> float:
        if self.false_negative is None or self.false_positive is None:
            raise AttributeError("CostSensitive: threshold needs false_negative and false_positive; decide has no need")
        return self.false_positive / (self.false_negative + self.false_positive)

    def decide(self, probability: ArrayLike) -> Array:
        """The class of least expected cost.

        Parameters
        ----------
        probability : array (n,) of class 1, or (n, k) of each class

        Returns
        -------
        array (n,) of int64

        Raises
        ------
        ValueError
            There are no costs but those of the rows, or the shape is another.
        """
        if self._table is None:
            raise ValueError("CostSensitive: decide needs costs, or false_negative and false_positive")
        p = _arrays.floats("probability", probability)
        if p.ndim == 1 and len(self._table) == 2:
            p = np.stack([1 - p, p], axis=1)
        if p.ndim != 2 or p.shape[1] != len(self._table):
            raise ValueError(f"probability must have shape (n, {len(self._table)}), got {_arrays.describe(p)}")
        if self._binary:
            return (p[:, 1] > self.threshold).astype(np.int64)
        cheapest: Array = (p @ self._table).argmin(axis=1)
        return cheapest

    def expected_cost(self, decision: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """What the decisions cost a row, on average.

        Parameters
        ----------
        decision : array (n,) of classes
        target : array
            As the loss takes it: classes (n,), or costs (n, k).
        sample_weight : array (n,), optional

        Returns
        -------
        float

        Raises
        ------
        ValueError, TypeError
            An argument has the wrong shape, type or range; the sentence names it.
        """
        n = np.shape(decision)[0] if np.ndim(decision) else 0
        chosen = _arrays.labels("decision", decision, n)
        if self._table is None:
            table, row = _arrays.floats("target", target), np.arange(n)
            if table.ndim != 2 or len(table) != n:
                raise ValueError(f"target must hold the costs of {n} rows, got {_arrays.describe(table)}")
        else:
            table, row = self._table, _arrays.labels("target", target, n)
        for name, x, k in (("decision", chosen, table.shape[1]), ("target", row, len(table))):
            if _kernels.losses.outside_labels(x, k):
                raise ValueError(f"{name} must hold classes from 0 to {k - 1}, got {x[(x < 0) | (x >= k)][0]}")
        weight = _arrays.weights("sample_weight", sample_weight, n, np.dtype(np.float64))
        paid = table[row, chosen]
        total = float(paid.sum() if weight is None else paid @ weight)
        mass = float(n if weight is None else weight.sum())
        return total / mass if mass else 0.0

    def _bind(
        self, shape: tuple[int, ...], dtype: np.dtype[Any], target: ArrayLike, name: str = "target"
    ) -> tuple[Any, Array]:
        if self._binary:
            if len(shape) != 1:
                raise ValueError(f"prediction must have shape (n,), one score a row, got shape {shape}")
            return self._kernel, _one_or_zero(name, _alike(shape, dtype, target, name))
        if self._table is not None:
            y = _class_labels(shape, target, name)
            _of_classes(self, "costs", self._table, shape[1])
            return self._kernel, y
        if len(shape) != 2:
            raise ValueError(f"prediction must have shape (n, k), a score for each class, got shape {shape}")
        costs = _alike(shape, dtype, target, name)
        return self._kernel, costs.max(axis=1, keepdims=True, initial=-np.inf) - costs

    def _outputs(self, y: Array) -> int:
        return (
            1
            if self._binary
            else int(y.shape[1])
            if self._table is None and y.ndim == 2
            else len(self._table)
            if self._table is not None
            else 1
        )

    def _shape(self, n: int, k: int) -> tuple[int, ...]:
        return (n,) if self._binary and k == 1 else (n, k)

    def _terms(self, shape: tuple[int, ...]) -> int:
        return 1


LOSSES: dict[str, type[Loss]] = {
    "mse": MSE,
    "mae": MAE,
    "huber": Huber,
    "log_cosh": LogCosh,
    "quantile": Quantile,
    "epsilon_insensitive": EpsilonInsensitive,
    "squared_epsilon_insensitive": SquaredEpsilonInsensitive,
    "binary_cross_entropy": BinaryCrossEntropy,
    "cross_entropy": CrossEntropy,
    "focal": Focal,
    "cost_sensitive": CostSensitive,
    "hinge": Hinge,
    "squared_hinge": SquaredHinge,
    "modified_huber": ModifiedHuber,
    "multiclass_hinge": MulticlassHinge,
    "poisson": Poisson,
    "gamma": Gamma,
    "tweedie": Tweedie,
}
