"""A linear model's loss and penalty as a function of one flat vector."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lossopt import _arrays, _kernels
from lossopt._arrays import CSR, Rows
from lossopt._component import Component
from lossopt._kernels import abi
from lossopt.explanations import explain
from lossopt.losses import MSE, Loss, _Outside, evaluate
from lossopt.penalties import Penalty
from lossopt.runtime import blas_alone, get_num_threads

Array = NDArray[Any]

# rows a product of more outputs than the dense kernels take: the block of X and its predictions stay in the last cache
_BLAS_ROWS = 512
# rows whose second derivatives are there at once; numbers of a block of X that is weighed by them, to stay in cache
_HESSIAN_ROWS = 1 << 18
_HESSIAN_NUMBERS = 1 << 17
# parts of the rows whose products are made apart, at most; multiplications that are worth threads
_PRODUCTS = 16
_WORTH_THREADS = 1 << 26


def linear_value_and_grad(
    kernel: Any,
    X: Array | CSR,
    y: Array,
    sample_weight: Array | None,
    weight: Array,
    bias: Array | None,
    grad_weight: Array | None,
    grad_bias: Array | None,
    scale: float,
) -> float:
    """Sum of sample_weight * loss under a linear model, and scale times its gradient, from one pass over X.

    With more outputs than the dense kernels take, the products are BLAS's, on blocks of rows; CSR never needs it. A
    loss that is no kernel sees all rows at once.
    """
    if isinstance(kernel, _Outside):
        z = linear_predict(X, weight, bias)
        total = evaluate(kernel, z, y, sample_weight, None if grad_weight is None else z, len(weight), scale)
        if grad_weight is not None:
            linear_gradient(X, z, grad_weight, np.empty_like(weight[:, 0]) if grad_bias is None else grad_bias)
        return total
    if isinstance(X, CSR) or len(weight) <= _kernels.linear.MOST_OUTPUTS:
        value = _kernels.linear.value_and_grad(kernel, X, y, sample_weight, weight, bias, grad_weight, grad_bias, scale)
        return float(value)
    total, product = 0.0, None if grad_weight is None else np.empty_like(grad_weight)
    room = np.empty((min(_BLAS_ROWS, len(X)), len(weight)), X.dtype)
    for out in (grad_weight, grad_bias):
        if out is not None:
            out[...] = 0
    for start in range(0, len(X), _BLAS_ROWS):
        rows = slice(start, start + _BLAS_ROWS)
        x, t, part = X[rows], y[rows], None if sample_weight is None else sample_weight[rows]
        if part is not None and not part.all():
            # a row of weight 0 is no row, whatever it holds
            kept = np.flatnonzero(part)
            x, t, part = x[kept], t[kept], part[kept]
        z = room[: len(x)]
        with np.errstate(over="ignore", invalid="ignore"):
            np.matmul(x, weight.T, out=z)
            if bias is not None:
                z += bias
        # alone: the threads of BLAS still spin, and a second team beside them costs more than it gives
        total += _kernels.losses.value_and_grad(
            kernel, z, t, part, None if grad_weight is None else z, len(weight), scale, True
        )
        if grad_weight is not None:
            grad_weight += np.matmul(z.T, x, out=product)
        if grad_bias is not None:
            grad_bias += z.sum(axis=0)
    return total


def linear_predict(X: Array | CSR, weight: Array, bias: Array | None) -> Array:
    """Raw scores, (n,) for one output or (n, k)."""
    k = len(weight)
    if k > _kernels.linear.MOST_OUTPUTS and not isinstance(X, CSR):
        z = X @ weight.T
        return z if bias is None else z + bias
    out = np.empty(len(X) if k == 1 else (len(X), k), X.dtype)
    if out.size:
        _kernels.linear.predict(X, weight, bias, out)
    return out


def _add_product(made: Array, X: Array | CSR, h: Array) -> None:
    """Add to made (d + 1, d + 1) the sum of h_i x_i x_i.T, with a one behind each row."""
    # as many parts as the shape says, whatever does them
    parts = min(_PRODUCTS, len(X) // (8 * len(made)))
    if parts < 2 or len(X) * made.size < _WORTH_THREADS:
        made += _product(X, h)
        return
    from concurrent.futures import ThreadPoolExecutor

    ends = [len(X) * i // parts for i in range(parts + 1)]
    rows = [slice(*pair) for pair in pairwise(ends)]
    with blas_alone("numpy") as alone, ThreadPoolExecutor(min(parts, get_num_threads() if alone else 1)) as pool:
        for product in pool.map(lambda part: _product(X[part], h[part]), rows):
            made += product


def _product(X: Array | CSR, h: Array) -> Array:
    """What `_add_product` adds."""
    d = X.shape[1]
    made = np.zeros((d + 1, d + 1))
    even = bool((h == h[0]).all())
    # a product with its own transpose takes half the work, where there is a square root
    sign = -1.0 if h.max() <= 0 else 1.0 if h.min() >= 0 else 0.0
    rows = max(256, 8 * d if even else 2 * d, _HESSIAN_NUMBERS // max(d, 1))
    for start in range(0, len(X), rows):
        part = slice(start, start + rows)
        block = X[part]
        x = block.toarray() if isinstance(block, CSR) else block
        x, weight = x.astype(np.float64, copy=False), h[part]
        if not weight.all():
            # a row of weight 0 is no row, whatever it holds
            x, weight = x[weight != 0], weight[weight != 0]
        if even:
            made[:d, :d] += h[0] * (x.T @ x)
        elif sign:
            root = x * np.sqrt(np.abs(weight))[:, None]
            made[:d, :d] += sign * (root.T @ root)
        else:
            product = x.T @ (x * weight[:, None])
            made[:d, :d] += (product + product.T) / 2
        border = weight @ x
        made[:d, d] += border
        made[d, :d] += border
        made[d, d] += weight.sum()
    return made


def linear_gradient(X: Array | CSR, g: Array, grad_weight: Array, grad_bias: Array) -> None:
    """The gradient of a linear model's parameters, given that of its predictions, (n,) or (n, k)."""
    if isinstance(X, CSR) or len(grad_weight) <= _kernels.linear.MOST_OUTPUTS:
        _kernels.linear.gradient(X, g, grad_weight, grad_bias)
    else:
        grad_weight[...] = g.T @ X
        grad_bias[...] = g.sum(axis=0)


class Objective(Component):
    """A linear model's mean loss plus penalty, as a function of one flat vector w.

    ``value(w) = loss(X @ W.T + b, y) + penalty(W)`` with W (n_outputs, n_features) first in w, C order, then b
    (n_outputs,), which no penalty touches. X is read from memory once an evaluation.

    Parameters
    ----------
    X : array or CSR (n_samples, n_features)
        float64 or float32, read-only and memory-mapped ones included; other layouts and types, and other formats of
        scipy.sparse, are converted here, once. CSR keeps its indices, int32 or int64; they need not be sorted, and
        numbers in the same place add up.
        What is not converted is not copied: do not change X while the objective lives; the indices of a CSR are checked
        here and nowhere else, and changing them later would let a kernel read and write outside its arrays.
    y : array
        Targets as the loss takes them; they are checked here, once.
    loss : Loss
    penalty : Penalty, optional
    sample_weight : array (n_samples,), optional
    fit_intercept : bool
    n_outputs : int, optional
        Default: max(y) + 1 for CrossEntropy with labels, y.shape[1] for a two-dimensional y, else 1.
    group : array (n_samples,), optional
        Of a ranking loss: the query of each row.

    Raises
    ------
    ValueError, TypeError
        An argument has the wrong shape, type or range; the sentence names it.

    Examples
    --------
    >>> import lossopt as lo, numpy as np
    >>> objective = lo.Objective(np.array([[1.0], [2.0]]), [1.0, 3.0], lo.MSE())
    >>> objective.value_and_grad(objective.zeros())
    (5.0, array([-7., -4.]))
    """

    def __init__(
        self,
        X: Rows,
        y: ArrayLike,
        loss: Loss,
        penalty: Penalty | None = None,
        sample_weight: ArrayLike | None = None,
        fit_intercept: bool = True,
        n_outputs: int | None = None,
        group: ArrayLike | None = None,
    ) -> None:
        if not isinstance(loss, Loss):
            raise TypeError(f"loss must be a Loss, got {loss!r}")
        if penalty is not None and not isinstance(penalty, Penalty):
            raise TypeError(f"penalty must be a Penalty, got {penalty!r}")
        if penalty is not None:
            penalty._coefficients()
        loss._refuse_probabilities()
        self.X = _arrays.matrix("X", X)
        self.y = _arrays.read(y)
        n, d = self.X.shape
        if self.y.shape[:1] != (n,):
            raise ValueError(f"y must have a target for each of the {n} rows of X, got {_arrays.describe(self.y)}")
        self.loss = loss
        self.penalty = penalty
        self.group = group
        target = _arrays.read(loss._with(self.y, group, "y"))
        self.sample_weight = _arrays.weights("sample_weight", sample_weight, n, self.X.dtype)
        self.fit_intercept = fit_intercept
        if n_outputs is None:
            n_outputs = loss._outputs(target)
        elif isinstance(n_outputs, bool) or not isinstance(n_outputs, (int, np.integer)) or n_outputs < 1:
            raise ValueError(f"n_outputs must be a positive whole number, got {n_outputs!r}")
        self.n_outputs = int(n_outputs)
        shape = loss._shape(n, self.n_outputs)
        self._kernel, bound = loss._bind(shape, self.X.dtype, target, "y")
        self._y = _arrays.kept(bound)
        self._weight = loss._weigh(target, self.sample_weight, self.X.dtype)
        self._mass = loss._mass(shape, self._weight)
        self._problem: abi.Problem | None = None
        fused = isinstance(self._kernel, abi.Loss)
        if fused and isinstance(self.X, np.ndarray) and self.n_outputs <= _kernels.linear.MOST_OUTPUTS:
            self._problem = abi.Problem(
                _kernels.linear.objective_pass(),
                self._kernel,
                self.X,
                self._y,
                self._weight,
                self.n_outputs,
                bool(fit_intercept),
            )
        self.size = self.n_outputs * (d + bool(fit_intercept))

    def _under(self, penalty: Penalty | None) -> Objective:
        """The same rows and loss under another penalty; nothing is looked at again."""
        if penalty is not None:
            if not isinstance(penalty, Penalty):
                raise TypeError(f"penalty must be a Penalty, got {penalty!r}")
            penalty._coefficients()
        other = object.__new__(Objective)
        other.__dict__.update(self.__dict__, penalty=penalty)
        return other

    def __str__(self) -> str:
        return explain(self).objective

    def __repr__(self) -> str:
        return f"{super().__repr__()}\n{self}"

    def zeros(self) -> Array:
        """A start: zeros, in the type of X.

        Returns
        -------
        array (size,)
        """
        return np.zeros(self.size, self.X.dtype)

    def unpack(self, w: Array) -> tuple[Array, Array]:
        """Weight and bias, as views of w.

        Parameters
        ----------
        w : array (size,)

        Returns
        -------
        weight : array (n_outputs, n_features)
        bias : array (n_outputs,), or (0,) without an intercept

        Raises
        ------
        ValueError
            w has another shape.
        """
        w = _arrays.read(w)
        if w.shape != (self.size,):
            raise ValueError(f"w must have shape ({self.size},), got {_arrays.describe(w)}")
        weights = self.n_outputs * self.X.shape[1]
        return w[:weights].reshape(self.n_outputs, -1), w[weights:]

    def data_value_and_grad(self, w: ArrayLike, out: Array | None = None) -> tuple[float, Array]:
        """The mean loss without the penalty, and its gradient, laid out as w.

        Parameters
        ----------
        w, out
            As for `value_and_grad`.

        Returns
        -------
        value : float
        grad : array (size,)

        Raises
        ------
        ValueError, TypeError
            As for `value_and_grad`.
        """
        # arrays that are right as they are, in one call; else the careful way, which converts or says what is wrong
        if self._problem is not None and self._mass and type(w) is np.ndarray:
            gradient = np.empty(w.shape, w.dtype) if out is None else out
            if type(gradient) is np.ndarray:
                total = self._problem.value_and_grad(w, gradient, self.loss._scale(self._mass))
                if total is not None:
                    return self.loss._reduce(total, self._mass), gradient
        w = _arrays.floats("w", w)
        gradient = np.empty_like(w) if out is None else _arrays.written("out", out, w.dtype, w.shape)
        if out is not None:
            _arrays.apart("out", out, w=w, X=self.X, y=self._y, sample_weight=self.sample_weight)
        if not self._mass:
            gradient[...] = 0
            return 0.0, gradient
        same = w.dtype == self.X.dtype
        weight, bias = self.unpack(w if same else w.astype(self.X.dtype))
        target = gradient if same else np.empty(w.shape, self.X.dtype)
        grad_weight, grad_bias = self.unpack(target)
        value = linear_value_and_grad(
            self._kernel,
            self.X,
            self._y,
            self._weight,
            weight,
            bias if self.fit_intercept else None,
            grad_weight,
            grad_bias if self.fit_intercept else None,
            self.loss._scale(self._mass),
        )
        if not same:
            gradient[...] = target
        return self.loss._reduce(value, self._mass), gradient

    def value_and_grad(self, w: ArrayLike, out: Array | None = None) -> tuple[float, Array]:
        """Value and gradient at w; under L1 the least subgradient.

        Parameters
        ----------
        w : array (size,)
            float64 or float32, whatever X is; the gradient comes in its type.
        out : array like w, optional
            Where the gradient is written; without it, it is fresh.

        Returns
        -------
        value : float
        grad : array (size,)

        Raises
        ------
        ValueError, TypeError
            w or out has the wrong shape, type or layout, or out overlaps what is read; nothing has been written then.
        """
        w = _arrays.floats("w", w)
        value, gradient = self.data_value_and_grad(w, out)
        if self.penalty is not None:
            weight = self.unpack(w)[0]
            value += self.penalty._value(weight)
            self.penalty._add_grad(weight, self.unpack(gradient)[0])
        return value, gradient

    def hessp(self, w: ArrayLike, v: ArrayLike) -> Array:
        """The Hessian at w times a vector: what scipy's Newton-CG and trust-region methods ask for.

        ``X.T @ (h * (X @ v)) / mass + 2 * l2 * v`` for one output, with h each row's weight times the second derivative
        of its loss in its score, a column of ones in X for the intercept, and no l2 for that.

        Parameters
        ----------
        w, v : array (size,)

        Returns
        -------
        array (size,)
            In the type of w. An L1 part, a group or a bound plays no part.

        Raises
        ------
        ValueError, TypeError
            The loss has no second derivative, or w or v has the wrong shape or holds no real numbers.

        Notes
        -----
        Source: Pearlmutter 1994, "Fast exact multiplication by the Hessian".

        Examples
        --------
        >>> import lossopt as lo, numpy as np
        >>> objective = lo.Objective(np.array([[1.0], [2.0]]), [1.0, 3.0], lo.MSE(), lo.L2(0.5))
        >>> objective.hessp(objective.zeros(), np.array([1.0, 0.0]))
        array([6., 3.])
        """
        w, v = _arrays.floats("w", w), _arrays.floats("v", v)
        along, ahead = (self.unpack(x.astype(self.X.dtype)) for x in (v, w))
        if not self._mass:
            return np.zeros_like(w)
        rows: Any = slice(None)
        if self._weight is not None and not self._weight.all():
            # a row of weight 0 is no row, whatever it holds
            rows = np.flatnonzero(self._weight)
        X = self.X[rows]
        z, dz = (linear_predict(X, weight, bias if self.fit_intercept else None) for weight, bias in (ahead, along))
        g = self._bent(z, dz, rows)
        out = np.empty(self.size, self.X.dtype)
        grad_weight, grad_bias = self.unpack(out)
        room = grad_bias if self.fit_intercept else np.empty(self.n_outputs, self.X.dtype)
        linear_gradient(X, np.ascontiguousarray(g, X.dtype), grad_weight, room)
        made = out.astype(w.dtype)
        made[: grad_weight.size] += (2 * self._ridge() * v[: grad_weight.size].reshape(grad_weight.shape)).ravel()
        return made

    def hessian(self, w: ArrayLike) -> Array:
        """The Hessian at w, from one pass over X by blocks of rows.

        ``X.T @ diag(h) @ X / mass + 2 * l2 * I`` for one output, with X, h and l2 as in `hessp`; of several outputs the
        blocks of any two.

        Parameters
        ----------
        w : array (size,)

        Returns
        -------
        array (size, size), float64
            An L1 part, a group or a bound plays no part.

        Raises
        ------
        ValueError, TypeError
            As for `hessp`.

        Notes
        -----
        Source: Boyd and Vandenberghe 2004, section 9.5.

        Examples
        --------
        >>> import lossopt as lo, numpy as np
        >>> objective = lo.Objective(np.array([[1.0], [2.0]]), [1.0, 3.0], lo.MSE(), lo.L2(0.5))
        >>> objective.hessian(objective.zeros())
        array([[6., 3.],
               [3., 2.]])
        """
        w, k, d = _arrays.floats("w", w), self.n_outputs, self.X.shape[1]
        weight, bias = self.unpack(w.astype(self.X.dtype))
        made = np.zeros((k, d + 1, k, d + 1))
        z = np.zeros(0)
        if self._mass:
            # squares bend alike everywhere: there X need not be read for its scores
            even = isinstance(self.loss, MSE)
            own = bias if self.fit_intercept else None
            z = np.zeros((len(self.X), k)) if even else linear_predict(self.X, weight, own)
        for start in range(0, len(z), _HESSIAN_ROWS):
            part = slice(start, start + _HESSIAN_ROWS)
            self._add_hessian(made, part, z[part].astype(np.float64))
        for a in range(k):
            for b in range(a):
                made[a, :, b] = made[b, :, a].T
        hessian = np.empty((self.size, self.size))
        places = [np.arange(k * d).reshape(k, d), k * d + np.arange(k).reshape(k, 1)]
        order = np.concatenate(places[: 1 + bool(self.fit_intercept)], axis=1)
        for a in range(k):
            for b in range(k):
                hessian[np.ix_(order[a], order[b])] = made[a, : order.shape[1], b, : order.shape[1]]
        at = np.arange(k * d)
        hessian[at, at] += np.broadcast_to(2 * self._ridge(), (k, d)).ravel()
        return hessian

    def _add_hessian(self, made: Array, part: slice, z: Array) -> None:
        """What some rows add to the blocks of outputs a <= b, intercepts last."""
        k = self.n_outputs
        for b in range(k):
            along = np.zeros((len(z), k))
            along[:, b] = 1
            g = self._bent(z, along, part).reshape(len(z), k)
            for a in range(b + 1):
                if g[:, a].any():
                    _add_product(made[a, :, b], self.X[part], g[:, a])

    def _bent(self, z: Array, dz: Array, part: Any = slice(None)) -> Array:
        """The derivative of the mean's gradient in the predictions along dz."""
        shape = self.loss._shape(len(z), self.n_outputs)
        with np.errstate(over="ignore"):
            g = self.loss._bend(z.reshape(shape), self._y[part], dz.reshape(shape))
        if g is None:
            raise ValueError(f"objective: {self.loss!r} has no second derivative")
        g = g * self.loss._scale(self._mass)
        if self._weight is not None:
            weight = self._weight[part]
            # a row of weight 0 is no row, whatever it holds
            weight = weight.reshape(-1, *[1] * (g.ndim - 1))
            g = np.where(weight == 0, 0, g * weight)
        return g

    def _ridge(self) -> Any:
        """l2 of each feature."""
        if self.penalty is None:
            return 0.0
        factors = getattr(self.penalty, "_factors", None)
        return self.penalty._coefficients()[1] * (1.0 if factors is None else factors)

    def __call__(self, w: ArrayLike) -> float:
        """The value alone."""
        return self.value_and_grad(w)[0]

    def predict(self, w: ArrayLike, X: Rows) -> Array:
        """Raw scores of the rows of X under w.

        Parameters
        ----------
        w : array (size,)
        X : array or CSR (n, n_features)

        Returns
        -------
        array (n,) for one output, (n, n_outputs) otherwise
            In the type of the objective's own X.

        Raises
        ------
        ValueError, TypeError
            w or X has the wrong shape or holds no real numbers.
        """
        read = _arrays.matrix("X", X, self.X.dtype)
        if read.shape[1] != self.X.shape[1]:
            raise ValueError(f"X must have {self.X.shape[1]} features, got {_arrays.describe(read)}")
        weight, bias = self.unpack(_arrays.floats("w", w, self.X.dtype))
        return linear_predict(read, weight, bias if self.fit_intercept else None)


def check_gradient(f: Callable[[Array], Any] | Objective, w: ArrayLike) -> float:
    """The largest relative error of a gradient against central finite differences.

    Parameters
    ----------
    f : Objective, or function of w that returns (value, gradient)
    w : array (size,)
        Where to look; away from kinks.

    Returns
    -------
    float
        ``max |gradient - difference| / max(1, max |difference|)``; below 1e-6 for a right gradient in float64.

    Examples
    --------
    >>> import lossopt as lo, numpy as np
    >>> lo.check_gradient(lambda w: (float(w @ w), 2 * w), np.array([1.0, -2.0])) < 1e-6
    True
    >>> lo.check_gradient(lambda w: (float(w @ w), w), np.array([1.0, -2.0])) > 0.1
    True
    """
    function = f.value_and_grad if isinstance(f, Objective) else f
    point = np.array(w, dtype=np.float64)
    gradient = np.array(function(point.copy())[1], dtype=np.float64)
    if gradient.shape != point.shape:
        raise ValueError(f"the gradient must have the shape of w, {point.shape}, got {gradient.shape}")
    differences = np.empty_like(point)
    for i in np.ndindex(point.shape):
        # the cube root of the rounding unit balances truncation against rounding
        h = 6e-6 * max(1.0, abs(float(point[i])))
        up, down = point.copy(), point.copy()
        up[i] += h
        down[i] -= h
        differences[i] = (function(up)[0] - function(down)[0]) / (up[i] - down[i])
    if not point.size:
        return 0.0
    return float(np.abs(gradient - differences).max() / max(1.0, np.abs(differences).max()))


def safe_lr(objective: Objective) -> float:
    """A step size with which gradient descent cannot fail: 1 / L, where no second derivative is beyond L.

    ``L = c * lambda / n + 2 * l2``, with lambda the largest eigenvalue of the rows' ``X.T @ X`` (a column of ones for
    the bias, rows by their weights), and c the largest second derivative of the loss: 2 for MSE, 1/4 for
    BinaryCrossEntropy, 1/2 for CrossEntropy. Beyond 2 / L descent on MSE diverges.

    Parameters
    ----------
    objective : Objective
        Of a convex loss with a bounded second derivative: MSE, Huber, LogCosh, SquaredHinge, BinaryCrossEntropy from
        scores, CrossEntropy, CostSensitive.

    Returns
    -------
    float
        Infinite where the objective is flat.

    Raises
    ------
    ValueError
        The loss has no such bound.

    Notes
    -----
    lambda comes from power iteration, a pass or two over X each; the L1 part of a penalty plays no part.
    Source: Boyd and Vandenberghe 2004, section 9.3; Bohning 1992 for the bound of cross-entropy.

    Examples
    --------
    >>> import lossopt as lo, numpy as np
    >>> round(lo.safe_lr(lo.Objective(np.diag([1.0, 2.0]), [0.0, 0.0], lo.MSE(), fit_intercept=False)), 6)
    0.25
    """
    if not isinstance(objective, Objective):
        raise TypeError(f"objective must be an Objective, got {objective!r:.60}")
    curvature = objective.loss._curvature()
    if curvature is None:
        raise ValueError(f"objective: {objective.loss!r} has no bound of its second derivative, and so no safe lr")
    largest = before = 0.0
    for largest in _steepness(objective.X, objective._weight, objective.fit_intercept):
        if abs(largest - before) <= 1e-10 * largest:
            break
        before = largest
    bound = _bound(objective.loss, objective.penalty, objective._mass, largest)
    return 1 / bound if bound else np.inf


def _bound(loss: Loss, penalty: Penalty | None, mass: float, steepness: float) -> float:
    """What no second derivative of a linear model's objective is beyond, from the largest eigenvalue of its rows."""
    l2 = 0.0
    if penalty is not None:
        factors = getattr(penalty, "_factors", None)
        l2 = penalty._coefficients()[1] * (1.0 if factors is None else float(np.max(factors, initial=0)))
    return (loss._curvature() or 0.0) * steepness * loss._scale(mass) + 2 * l2


def _steepness(X: Any, row_weight: Array | None, fit_intercept: bool) -> Iterator[float]:
    """Power iteration: the largest eigenvalue of the weighted rows' X.T @ X, from below; a pass or two each."""
    if row_weight is not None and not row_weight.all():
        # a row of weight 0 is no row, whatever it holds
        rows = np.flatnonzero(row_weight)
        X, row_weight = X[rows], row_weight[rows]
    # the raw stream of Philox is fixed for ever
    start = np.random.Philox(key=0).random_raw(X.shape[1] + 1) * 2.0**-63 - 1
    weight, bias = start[:-1].reshape(1, -1).astype(X.dtype), start[-1:].astype(X.dtype)
    bias *= fit_intercept
    for _ in range(1000):
        length = float(np.sqrt(float(np.vdot(weight, weight)) + float(bias[0]) ** 2))
        if not length:
            return
        weight /= length
        bias /= length
        z = linear_predict(X, weight, bias)
        g = z if row_weight is None else z * row_weight
        yield float(np.vdot(z, g))
        linear_gradient(X, np.ascontiguousarray(g), weight, bias)
        bias *= fit_intercept
