"""Solvers: to the minimum of an objective, with a number that says how near it is."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import islice
from typing import Any, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lossopt import _arrays, _kernels
from lossopt._arrays import CSR
from lossopt.losses import MSE, BinaryCrossEntropy, CrossEntropy, evaluate
from lossopt.objective import Objective, _add_product, _bound, _steepness, linear_predict, safe_lr
from lossopt.penalties import Penalty, _Separable
from lossopt.runtime import blas_alone

Array = NDArray[Any]

_PRECISION = "no step improves it any more: this is the precision of the data"
# parameters beyond which a Hessian takes longer than what it saves, one an iteration and one in all
_LARGE = 1500
_LARGE_NORMAL = 5000
# features for which a path takes all their products with one another, once
_LARGE_SQUARES = 3000
# numbers of X times parameters beyond which BFGS is ahead of Newton's method
_MUCH = 2e6
# least eigenvalue, of a Hessian scaled to a diagonal of ones, that Cholesky is trusted with
_FLAT = 1e-13
# parameters, of which fewer steps are remembered
_MANY = 100_000
# numbers of the second derivatives of intercepts that are looked at
_WORTH_SOME = 1 << 25
# outputs, or probes, with which the mean of their Hessians is looked at
_FEW = 4

# what each method asks of an objective
_ASKS: dict[str, tuple[str, ...]] = {
    "normal": ("value_and_grad", "hessian", "zeros"),
    "newton": ("value_and_grad", "hessian", "zeros"),
    "lbfgs": ("value_and_grad", "zeros"),
    "fista": ("value_and_grad", "data_value_and_grad", "penalty", "unpack", "zeros"),
    "cd": ("value_and_grad", "unpack", "zeros", "X"),
    "gd": ("value_and_grad", "zeros"),
}


@final
@dataclass(frozen=True)
class Result:
    """What `solve` returns.

    Parameters
    ----------
    w : array (size,)
    value : float
        Of the objective at w.
    gap : float
        ``value`` is above the minimum by at most this; infinite where no bound is known.
    violation : float
        The largest absolute component of the (least sub)gradient at w.
    n_iter : int
    converged : bool
        Whether violation is at most tol.
    method : str
    seconds : float
    message : str
        Why this method, and how it ended.
    degrees_of_freedom : float or None
        Effective ones of the rows' fit: of "normal" the trace of the matrix that makes predictions of targets, of an L1
        part the number of parameters that are not 0.

    Examples
    --------
    >>> import lossopt as lo, numpy as np
    >>> result = lo.solve(lo.Objective(np.array([[1.0], [2.0]]), [1.0, 3.0], lo.MSE()))
    >>> result.converged, result.w.round(6)
    (True, array([ 2., -1.]))
    """

    w: Array
    value: float
    gap: float
    violation: float
    n_iter: int
    converged: bool
    method: str
    seconds: float
    message: str
    degrees_of_freedom: float | None = None


@dataclass
class _Squares:
    """The data term of squared errors as a quadratic of w: what a path looks at instead of the rows."""

    hessian: Array
    slope: Array  # at zero
    constant: float
    seen: tuple[Array, float, Array] | None = None  # where it was looked at last, and what was seen

    @staticmethod
    def of(objective: Objective) -> _Squares:
        value, slope = objective.data_value_and_grad(np.zeros(objective.size))
        hessian = objective.hessian(np.zeros(objective.size))
        features = np.arange(objective.X.shape[1])
        hessian[features, features] -= 2 * objective._ridge()
        return _Squares(hessian, slope, value)

    def data(self, w: Array) -> tuple[float, Array]:
        if self.seen is None or not np.array_equal(w, self.seen[0]):
            bent = self.hessian @ w
            self.seen = w.copy(), self.constant + float(w @ (self.slope + 0.5 * bent)), self.slope + bent
        return self.seen[1:]


@dataclass
class _Run:
    """A search: its objective, where it stands, and what it found on the way."""

    objective: Any
    tol: float
    max_iter: int
    w: Array
    value: float = np.inf
    gradient: Array = field(default_factory=lambda: np.zeros(0))
    n_iter: int = 0
    ended: str | None = None  # why, if not by tol
    decrement: float | None = None  # half of g.H^-1.g of a quadratic: the gap itself
    freedom: float | None = None
    squares: _Squares | None = None

    def move(self, w: Array, value: float, gradient: Array) -> None:
        self.w, self.value, self.gradient = w, value, gradient

    def whole(self, w: Array, value: float, gradient: Array) -> tuple[float, Array]:
        """With the penalty's part, from the data's."""
        gradient = gradient.copy()
        if self.objective.penalty is not None:
            weight, slope = (self.objective.unpack(x)[0] for x in (w.astype(gradient.dtype), gradient))
            value += self.objective.penalty._value(weight)
            self.objective.penalty._add_grad(weight, slope)
        return value, gradient

    def look(self, w: Array) -> tuple[float, Array]:
        if self.squares is not None:
            return self.whole(w, *self.squares.data(w.astype(np.float64)))
        with np.errstate(over="ignore", invalid="ignore"):
            value, gradient = self.objective.value_and_grad(w)
        return float(value), gradient

    @property
    def rounding(self) -> float:
        """What two values of one point may differ by."""
        dtype = getattr(getattr(self.objective, "X", None), "dtype", self.w.dtype)
        return max(1.0, abs(self.value)) * (1e-14 if dtype == np.float64 else 1e-7)

    @property
    def violation(self) -> float:
        return float(np.abs(self.gradient).max(initial=0))

    def going(self) -> bool:
        """Whether there is something left to do."""
        if self.violation <= self.tol or self.ended is not None:
            return False
        if self.n_iter >= self.max_iter:
            self.ended = f"max_iter={self.max_iter} reached"
        elif not np.isfinite(self.value) or not np.isfinite(self.gradient).all():
            self.ended = "value or gradient is not finite: the objective may be unbounded below, or the data not finite"
        elif self.value < -1e100:
            self.ended = "the objective is unbounded below"
        elif _separable(self.objective, self.value):
            self.ended = "the rows are separable: without a penalty there is no minimum, and weights grow for ever"
        return self.ended is None


def _separable(objective: Any, value: float) -> bool:
    """Whether the loss says that every row is on its side: then a longer w is always better."""
    if not isinstance(objective, Objective):
        return False
    loss = objective.loss
    if not isinstance(loss, (BinaryCrossEntropy, CrossEntropy)) or loss.label_smoothing or not _free(objective.penalty):
        return False
    # the least that a row on the wrong side costs
    weight = 1.0 if objective._weight is None else float(objective._weight[objective._weight > 0].min(initial=np.inf))
    weight *= min(1.0, getattr(loss, "pos_weight", None) or 1.0)
    total = value * objective._mass if loss.reduction == "mean" else value
    if not objective._mass or total >= 0.99 * np.log(2) * weight:
        return False
    return objective._y.dtype.kind == "i" or bool(np.isin(objective._y, (0, 1)).all())


def _free(penalty: Penalty | None) -> bool:
    """Whether a penalty is none at all."""
    if penalty is None:
        return True
    factors = getattr(penalty, "_factors", None)
    none = factors is not None and not np.any(factors)
    return isinstance(penalty, _Separable) and (none or not any(penalty._coefficients()))


def _smooth(penalty: Penalty | None) -> bool:
    return penalty is None or (isinstance(penalty, _Separable) and not penalty._coefficients()[0])


# ---- linear algebra


def _inverse(matrix: Array) -> tuple[Array, bool]:
    """The inverse of a symmetric matrix that is not negative, or the pseudo-inverse; whether it is the first."""
    diagonal = np.sqrt(np.maximum(matrix.diagonal(), 0))
    scale = 1 / np.where(diagonal > 0, diagonal, 1)
    scaled = matrix * scale * scale[:, None]
    try:
        inverse = np.linalg.inv(scaled)
    except np.linalg.LinAlgError:
        inverse = np.array([np.inf])
    # pivots may hide a flat direction behind another one that is nearly flat; the inverse does not
    if np.abs(inverse).max(initial=0) < 1 / (_FLAT * max(len(matrix), 1)):
        return inverse * scale * scale[:, None], True
    values, kept = _range_of(matrix)
    return (kept / values) @ kept.T, False


def _range_of(matrix: Array) -> tuple[Array, Array]:
    """Eigenvalues that are not zero, and their vectors, of a symmetric matrix that is not negative."""
    values, vectors = np.linalg.eigh(matrix)
    kept = values > 1e-12 * float(values.max(initial=0))
    return values[kept], vectors[:, kept]


# ---- methods


def _normal(run: _Run) -> None:
    """The closed form: the Hessian is one for all w, so that one step ends there; others mend its rounding."""
    if not np.isfinite(run.value):
        run.going()
        return
    objective, best = run.objective, np.inf
    hessian = objective.hessian(run.w)
    inverse, only = _inverse(hessian)
    while run.going():
        if run.violation > 0.5 * best:
            run.ended = _PRECISION
            break
        best = run.violation
        run.n_iter += 1
        w = run.w - (inverse @ run.gradient).astype(run.w.dtype)
        run.move(w, *run.look(w))
    if isinstance(objective, Objective):
        if not only and _free(objective.penalty) and objective._mass:
            _shortest(run, hessian)
        k, weights = objective.n_outputs, objective.n_outputs * objective.X.shape[1]
        ridge = np.broadcast_to(2 * objective._ridge(), (k, weights // k)).ravel()
        # the trace of the part of the Hessian that is the rows' own, times the inverse
        own = float(np.sum(hessian * inverse)) - float(ridge @ inverse.diagonal()[:weights])
        run.freedom = own / k
    # a gradient of squares has no part that a singular Hessian leaves out, but for rounding
    run.decrement = 0.5 * float(run.gradient @ inverse @ run.gradient)


def _shortest(run: _Run, hessian: Array) -> None:
    """Of many minima the one with the shortest weights."""
    objective = run.objective
    d, k = objective.X.shape[1], objective.n_outputs
    weight, bias = (x.astype(np.float64) for x in objective.unpack(run.w))
    if isinstance(objective.X, CSR):
        # what the centred rows do not see is taken out
        products, center = hessian[:d, :d], np.zeros(d)
        if objective.fit_intercept:
            center = hessian[:d, k * d] / hessian[k * d, k * d]
            products = products - np.outer(center, hessian[:d, k * d])
        seen = _range_of(products)[1]
        shorter = weight @ seen @ seen.T
        middle = bias + weight @ center if objective.fit_intercept else bias
    else:
        # the rows themselves have twice the digits that their products have
        mass = np.ones(len(objective.X)) if objective._weight is None else objective._weight.astype(np.float64)
        X, y = (a[mass > 0].astype(np.float64) for a in (objective.X, objective._y))
        mass, y = mass[mass > 0], y.reshape(len(X), k)
        center, middle = (np.average(a, axis=0, weights=mass) * objective.fit_intercept for a in (X, y))
        root = np.sqrt(mass)[:, None]
        shorter = np.linalg.lstsq((X - center) * root, (y - middle) * root, rcond=None)[0].T
    w = np.concatenate([shorter.ravel(), middle - shorter @ center if objective.fit_intercept else []])
    w = w.astype(run.w.dtype)
    run.move(w, *run.look(w))
    run.ended = None if run.violation <= run.tol else run.ended


def _newton(run: _Run) -> None:
    """Newton's method, halving steps that do not bring the value down."""
    best, waited = np.inf, 0
    while run.going():
        waited = 0 if run.violation < 0.5 * best else waited + 1
        best = min(best, run.violation)
        if waited > 20:
            run.ended = _PRECISION
            return
        step = _inverse(run.objective.hessian(run.w))[0] @ run.gradient
        slope = float(run.gradient @ step)
        run.n_iter += 1
        if not _halve(run, step, slope):
            return


def _halve(run: _Run, step: Array, slope: float) -> bool:
    """Go down along -step, as far as Armijo's rule lets; whether there was a way."""
    rounding, share = run.rounding, 1.0
    for _ in range(50):
        w = run.w - (share * step).astype(run.w.dtype)
        value, gradient = run.look(w)
        # near the minimum the value is constant up to rounding, and the gradient says where down is
        flat = abs(value - run.value) <= rounding and float(np.abs(gradient).max()) < run.violation
        if value <= run.value - 1e-4 * share * slope or flat:
            run.move(w, value, gradient)
            return True
        share /= 2
    run.ended = _PRECISION
    return False


def _lbfgs(run: _Run) -> None:
    """scipy's limited-memory BFGS over the fused value and gradient, in coordinates that make the objective round."""
    try:
        from scipy.optimize import minimize
    except ImportError:
        raise ImportError("method='lbfgs' needs scipy: pip install 'lossopt[scipy]'") from None
    start, away, back = run.w.astype(np.float64), *_whitening(run)

    class Enough(Exception):  # noqa: N818
        pass

    def f(v: Array) -> tuple[float, Array]:
        w = (start + away(v)).astype(run.w.dtype)
        value, gradient = run.look(w)
        if value <= run.value:
            run.move(w, value, gradient)
        return value, back(gradient.astype(np.float64))

    def seen(intermediate_result: Any) -> None:
        run.n_iter += 1
        if not run.going():
            raise Enough

    options = {
        "maxiter": run.max_iter,
        "maxfun": 100 * run.max_iter,
        "gtol": 0.0,
        "ftol": 0.0,
        # what is remembered is read twice an iteration
        "maxcor": 20 if start.size < _MANY else 10,
        "maxls": 50,
    }
    with contextlib.suppress(Enough), blas_alone("scipy"):
        minimize(f, np.zeros_like(start), jac=True, method="L-BFGS-B", options=options, callback=seen)
    # a line search ends where values differ by rounding; the gradient still says where to go
    while run.going():
        away, back = _whitening(run, last=True)
        step = away(back(run.gradient.astype(np.float64)))
        run.n_iter += 1
        before = run.violation
        if not _halve(run, step, float(run.gradient @ step)):
            break
        if run.violation > 0.5 * before:
            run.ended = _PRECISION


def _whitening(run: _Run, last: bool = False) -> tuple[Callable[[Array], Array], Callable[[Array], Array]]:
    """What brings steps and gradients to coordinates in which the Hessian at hand is near the identity.

    Of several outputs the mean of their Hessians stands for each. Of CSR, and of more columns than can be multiplied
    with one another, only the diagonal is made even; last: as far as a step of Newton's kind needs.
    """
    objective, k = run.objective, getattr(run.objective, "n_outputs", 1)
    if not isinstance(objective, Objective) or not objective._mass or not _bends(objective):
        return lambda v: v, lambda g: g
    n, features = objective.X.shape
    d, z = features + bool(objective.fit_intercept), _scores(objective, run.w)
    h = np.zeros(n)
    for along in np.eye(k) if k <= _FEW else _signs(k):
        # the trace of each row's Hessian: exact from unit vectors, near it from signs
        bent = objective._bent(z, np.broadcast_to(along, (n, k)).reshape(z.shape)).reshape(n, k)
        h += bent @ along / (k if k <= _FEW else k * _FEW)
    # a floor keeps rows in it that are sure of themselves now; those of weight 0 are none
    h = np.maximum(h, 0.1 * h.mean() if objective._weight is None else 0.1 * h.mean() * (objective._weight > 0))
    if isinstance(objective.X, CSR) or d > _LARGE_NORMAL or 4 * d > n:
        diagonal = np.append(_column_squares(objective.X, h) + 2 * objective._ridge(), h.sum())[:d]
        # rare columns are many in CSR, and their squares at the start say little of those at the end: half of the way
        power = -0.25 if isinstance(objective.X, CSR) and not last else -0.5
        scale = np.where(diagonal > 0, diagonal, 1) ** power
        along_each = np.concatenate([np.tile(scale[:features], k), np.tile(scale[features:], k)])
        return lambda v: v * along_each, lambda g: g * along_each
    gram = np.zeros((features + 1, features + 1))
    _add_product(gram, objective.X, h)
    gram[np.arange(features), np.arange(features)] += 2 * objective._ridge()
    gram = gram[:d, :d]
    gram[np.diag_indices(d)] += 1e-10 * gram.diagonal().mean()
    try:
        turn = np.linalg.inv(np.linalg.cholesky(gram))
    except np.linalg.LinAlgError:
        return lambda v: v, lambda g: g

    def blocks(x: Array) -> Array:
        """The parameters of each output, its intercept last."""
        weight, bias = objective.unpack(x)
        return np.concatenate([weight, bias.reshape(k, -1)], axis=1) if d > features else weight

    def flat(x: Array) -> Array:
        return np.concatenate([x[:, :features].ravel(), x[:, features:].ravel()])

    return lambda v: flat(blocks(v) @ turn), lambda g: flat(blocks(g) @ turn.T)


def _signs(k: int) -> Array:
    """_FEW vectors of signs, the same ones always."""
    bits = np.random.Philox(key=0).random_raw(_FEW * k) >> np.uint64(63)
    return 1.0 - 2.0 * bits.astype(np.float64).reshape(_FEW, k)


def _column_squares(X: Any, h: Array) -> Array:
    """The sum of h_i x_ij**2 for each column j."""
    if isinstance(X, CSR):
        row, at = X.stored()
        return np.bincount(X.indices[at], h[row] * X.data[at].astype(np.float64) ** 2, X.shape[1])
    made = np.zeros(X.shape[1])
    for start in range(0, len(X), 4096):
        x, weight = X[start : start + 4096].astype(np.float64), h[start : start + 4096]
        made += weight[weight != 0] @ x[weight != 0] ** 2
    return made


def _scores(objective: Objective, w: Array) -> Array:
    weight, bias = objective.unpack(w.astype(objective.X.dtype))
    return linear_predict(objective.X, weight, bias if objective.fit_intercept else None).astype(np.float64)


def _prox(run: _Run, w: Array, step: float) -> None:
    if run.objective.penalty is not None:
        weight = np.ascontiguousarray(run.objective.unpack(w)[0])
        run.objective.penalty._prox(weight, step)
        w[: weight.size] = weight.ravel()


def _fista(run: _Run) -> None:
    """Proximal gradient steps with momentum, which begins anew where it leads uphill, of a length found as it goes."""
    objective = run.objective

    def data(w: Array) -> tuple[float, Array]:
        with np.errstate(over="ignore", invalid="ignore"):
            value, gradient = objective.data_value_and_grad(w)
        return float(value), gradient

    if isinstance(objective.penalty, Penalty) and not np.isfinite(run.value):
        # a start outside of bounds
        w = run.w.copy()
        _prox(run, w, 1.0)
        run.move(w, *run.look(w))
    curve, t, ahead, best, waited = _steepest(objective), 1.0, run.w, np.inf, 0
    value, slope = data(ahead)
    while run.going():
        run.n_iter += 1
        while True:
            w = ahead - (slope / curve).astype(ahead.dtype)
            _prox(run, w, 1 / curve)
            moved = w - ahead
            length, there = float(moved @ moved), data(w)
            bound = value + float(slope @ moved) + 0.5 * curve * length
            # values that differ by rounding say nothing, and slopes say how much the way bends
            bends = float((there[1] - slope) @ moved) > curve * length
            if (
                not length
                or curve > 1e300
                or (not bends if abs(there[0] - bound) <= run.rounding else there[0] < bound)
            ):
                break
            curve *= 2
        before = run.w
        run.move(w, *run.whole(w, *there))
        waited = 0 if run.violation < best else waited + 1
        best = min(best, run.violation)
        if waited > 1000 or not moved.any():
            run.ended = _PRECISION
        if float((ahead - w) @ (w - before)) > 0:
            t, ahead = 1.0, w
            value, slope = there
        else:
            after = (1 + np.sqrt(1 + 4 * t * t)) / 2
            ahead, t = w + ((t - 1) / after * (w - before)).astype(w.dtype), after
            value, slope = data(ahead)
        # a bound over all w is often far above what holds here
        curve *= 0.8


def _steepest(objective: Any) -> float:
    """A second derivative that the data term does not exceed, or a first guess."""
    if isinstance(objective, Objective) and objective.loss._curvature() is not None and objective._mass:
        bounds = list(islice(_steepness(objective.X, objective._weight, objective.fit_intercept), 20))
        return _bound(objective.loss, None, objective._mass, bounds[-1] if bounds else 0.0) or 1.0
    return 1.0


def _gd(run: _Run, line_search: str) -> None:
    """Gradient descent: steps of 1 / L, or halved until Armijo's rule holds, or to the least value along the way."""
    last = safe_lr(run.objective) if line_search == "fixed" else 1.0
    while run.going():
        run.n_iter += 1
        if line_search == "fixed":
            w = run.w - (last * run.gradient).astype(run.w.dtype)
            run.move(w, *run.look(w))
            continue
        slope = float(run.gradient @ run.gradient)
        if line_search == "backtracking":
            before = run.w
            if not _halve(run, 2 * last * run.gradient, 2 * last * slope):
                return
            last = float(np.sqrt(np.sum((run.w - before) ** 2) / slope))
        else:
            last = _least_along(run, run.gradient, last)
            w = run.w - (last * run.gradient).astype(run.w.dtype)
            run.move(w, *run.look(w))


def _least_along(run: _Run, direction: Array, guess: float) -> float:
    """How far against a direction the value is least: where its slope changes sign, by bisection."""

    def falls(share: float) -> bool:
        return float(run.look(run.w - (share * direction).astype(run.w.dtype))[1] @ direction) > 0

    low, high = 0.0, guess
    for _ in range(200):
        if not falls(high):
            break
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if falls(middle) else (low, middle)
        if high - low <= 1e-12 * high:
            break
    return (low + high) / 2


def _cd(run: _Run) -> None:
    """Coordinate descent on quadratic models of the weights that matter, which grow until no other one does.

    The columns of the working set are gathered once, and their Hessian is a product of dense matrices; a coordinate's
    step then costs a row of it.
    """
    objective = run.objective
    l1, l2 = objective.penalty._coefficients() if objective.penalty is not None else (0.0, 0.0)
    d = objective.X.shape[1]
    factors = getattr(objective.penalty, "_factors", None)
    each = np.ones(d) if factors is None else factors
    pulls, ridge = np.append(l1 * each, 0.0), np.append(2 * l2 * each, 0.0)
    size, gathered = 10, _Gathered(objective)
    while run.going():
        w = np.zeros(d + 1)
        w[: objective.size] = run.w
        urgent = np.zeros(d + 1)
        urgent[: objective.size] = np.abs(run.gradient)
        active = (w != 0) | (pulls == 0)
        # others join by how much they matter
        size = max(size, min(d, 3 * int(np.count_nonzero(active))))
        urgent[active] = np.inf
        urgent[d] = np.inf if objective.fit_intercept else -np.inf
        # what has been gathered is there to stay
        urgent[gathered.places] = np.inf
        chosen = np.argsort(-urgent, kind="stable")[: max(size, len(gathered.places)) + 1]
        chosen = chosen[urgent[chosen] > 0]
        before = run.violation
        if run.squares is not None:
            _within_squares(run, run.squares, chosen, w, pulls, ridge)
        else:
            gathered.add(np.setdiff1d(chosen, gathered.places))
            _within(run, gathered, w, pulls, ridge)
        if run.violation > max(run.tol, 0.5 * before):
            # the set was too small
            size *= 2


class _Gathered:
    """Columns that a search has come to need, in double, one a row; of squared errors their products as well."""

    def __init__(self, objective: Objective) -> None:
        self.objective = objective
        self.places = np.zeros(0, np.int64)  # the number of features stands for the intercept
        # as much as X has, of which what is not written is not taken; of CSR that may be more than there is
        self.room = np.empty((0 if isinstance(objective.X, CSR) else objective.X.shape[1] + 1, len(objective.X)))
        self.products = np.zeros((0, 0)) if isinstance(objective.loss, MSE) else None

    @property
    def columns(self) -> Array:
        return self.room[: len(self.places)]

    def add(self, places: Array) -> None:
        """Gather these as well."""
        objective, features = self.objective, places[places < self.objective.X.shape[1]]
        had, need = len(self.places), len(self.places) + len(places)
        if need > len(self.room):
            self.room = np.concatenate([self.columns, np.empty((need, len(objective.X)))])
        before, new = self.room[:had], self.room[had:need]
        new[len(features) :] = 1
        _columns(objective.X, features, new[: len(features)])
        if objective._weight is not None:
            # a row of weight 0 is no row, whatever it holds
            new[:, objective._weight == 0] = 0
        self.places = np.concatenate([self.places, places])
        if self.products is not None:
            second, here = objective._bent(np.zeros(new.shape[1]), np.ones(new.shape[1])), new
            if objective._weight is not None:
                here, before, second = new * np.sqrt(second), before * np.sqrt(second), np.ones(1)
            with np.errstate(over="ignore", invalid="ignore"):
                # a product with its own transpose takes half the work
                across, own = (here @ other.T * second[0] for other in (before, here))
            self.products = np.block([[self.products, across.T], [across, own]])


def _within_squares(run: _Run, squares: _Squares, chosen: Array, w: Array, pulls: Array, ridge: Array) -> None:
    """`_within`, of a quadratic."""
    hessian = squares.hessian[np.ix_(chosen, chosen)]
    hessian[np.diag_indices(len(chosen))] += ridge[chosen]
    u = w[chosen]
    slope = squares.data(w[: run.objective.size])[1][chosen] + ridge[chosen] * u
    sweeps = _kernels.penalties.coordinates(hessian, slope, u, pulls[chosen], 0.1 * run.tol, run.max_iter - run.n_iter)
    run.n_iter += sweeps
    w[chosen] = u
    found = w[: run.objective.size].astype(run.w.dtype)
    if np.array_equal(found, run.w):
        run.ended = _PRECISION
    run.move(found, *run.look(found))


def _within(run: _Run, gathered: _Gathered, w: Array, pulls: Array, ridge: Array) -> None:
    """The minimum over the weights whose columns are gathered; all others are zero."""
    objective, chosen, columns = run.objective, gathered.places, gathered.columns
    u, pull, quadratic = w[chosen], pulls[chosen], ridge[chosen]
    loss, mass = objective.loss, objective._mass
    y = objective._y if objective._y.dtype.kind == "i" else objective._y.astype(np.float64)
    weight = None if objective._weight is None else objective._weight.astype(np.float64)
    gz = np.empty(columns.shape[1])

    def value_at(z: Array, u: Array) -> float:
        total = evaluate(objective._kernel, z, y, weight, gz, 1, loss._scale(mass))
        return float(loss._reduce(total, mass) + pull @ np.abs(u) + 0.5 * quadratic @ u**2)

    z = u @ columns
    value = value_at(z, u)
    while run.n_iter < run.max_iter:
        gradient = columns @ gz + quadratic * u
        least = np.where(
            u == 0, np.sign(gradient) * np.maximum(np.abs(gradient) - pull, 0), gradient + pull * np.sign(u)
        )
        worst = float(np.abs(least).max(initial=0))
        if worst <= 0.3 * run.tol:
            break
        if gathered.products is None:
            root = columns * np.sqrt(np.maximum(objective._bent(z, np.ones_like(z)), 0))
            hessian, enough = root @ root.T, 0.05 * min(worst, 1.0) * worst
        else:
            hessian, enough = gathered.products.copy(), 0.1 * run.tol
        hessian[np.diag_indices(len(u))] += quadratic
        run.n_iter += 1
        moved, slope = u.copy(), gradient.copy()
        _kernels.penalties.coordinates(hessian, slope, moved, pull, enough, 1000)
        step, share = moved - u, 1.0
        fall = float(gradient @ step + pull @ (np.abs(moved) - np.abs(u)))
        dz = step @ columns
        while True:
            ahead = u + share * step if share < 1 else moved
            here = value_at(z + share * dz, ahead)
            if here <= value + 1e-4 * share * fall + run.rounding:
                break
            share /= 2
            if share < 1e-12:
                break
        if share < 1e-12 or not step.any():
            break
        u, z, value = ahead, z + share * dz, here
        if _separable(objective, value):
            break
    w[chosen] = u
    found = w[: objective.size].astype(run.w.dtype)
    if np.array_equal(found, run.w):
        run.ended = _PRECISION
    run.move(found, *run.look(found))


def _columns(X: Any, features: Array, out: Array) -> None:
    """Some columns, one a row, in double."""
    if not isinstance(X, CSR):
        for start in range(0, len(X), 256):
            out[:, start : start + 256] = X[start : start + 256, features].T
        return
    place = np.full(X.shape[1], -1)
    place[features] = np.arange(len(features))
    row, at = X.stored()
    column = place[X.indices[at]]
    kept = column >= 0
    out[...] = 0
    np.add.at(out, (column[kept], row[kept]), X.data[at[kept]])


# ---- certificates


def _polish(run: _Run) -> bool:
    """Bring the intercepts to their minimum, which `_gap` asks for; whether there is something left to do then."""
    objective = run.objective
    if not isinstance(objective, Objective) or not objective.fit_intercept or not objective._mass:
        return False
    if run.squares is not None or not _bends(objective) or not isinstance(objective.penalty, _Separable):
        return False
    k = objective.n_outputs
    weight, bias = (x.astype(np.float64) for x in objective.unpack(run.w))
    y = objective._y if objective._y.dtype.kind == "i" else objective._y.astype(np.float64)
    rows = None if objective._weight is None else objective._weight.astype(np.float64)
    base = linear_predict(objective.X, weight.astype(objective.X.dtype), None).astype(np.float64)
    base = base.reshape(objective.loss._shape(len(objective.X), k))
    # of many outputs some rows are enough to say how the intercepts bend, and steps mend the rest
    some = slice(None, None, 1 + base.size * k // _WORTH_SOME)
    share = len(base) / max(len(base[some]), 1)
    for _ in range(5):
        z = base + bias if base.ndim == 2 else base + bias[0]
        g = np.empty_like(z)
        evaluate(objective._kernel, z, y, rows, g, k, objective.loss._scale(objective._mass))
        slope = g.reshape(len(g), k).sum(axis=0)
        if float(np.abs(slope).max()) <= 1e-15:
            break
        curves = np.empty((k, k))
        for c in range(k):
            along = np.zeros((len(z[some]), k))
            along[:, c] = 1
            curves[c] = share * objective._bent(z[some], along.reshape(z[some].shape), some).reshape(-1, k).sum(axis=0)
        bias = bias - np.linalg.lstsq(curves, slope, rcond=None)[0]
    w = run.w.copy()
    w[weight.size :] = bias
    value, gradient = run.look(w)
    if value <= run.value + run.rounding:
        run.move(w, value, gradient)
    return run.violation > run.tol


def _gap(run: _Run) -> float:
    """A bound of how far the value is above the minimum."""
    objective = run.objective
    penalty = getattr(objective, "penalty", None)
    if run.decrement is not None:
        return max(run.decrement, 0.0)
    if not isinstance(penalty, _Separable) or "unpack" not in dir(objective):
        return np.inf
    factors = getattr(penalty, "_factors", None)
    least = 1.0 if factors is None else float(np.min(factors, initial=np.inf))
    l1, l2 = penalty._coefficients()
    weights, biases = objective.unpack(run.gradient.astype(np.float64))
    # intercepts are near their minimum, and no penalty bounds them
    rest = float(np.abs(biases).sum()) * (1 + float(np.abs(objective.unpack(run.w)[1]).max(initial=0)))
    if l2 * least > 0:
        # of a function that is 2 l2 strongly convex
        with np.errstate(over="ignore"):
            return float(np.sum(weights**2)) / (4 * l2 * least) + rest
    if l1 * least > 0 and isinstance(objective, Objective) and objective.n_outputs == 1 and objective._mass:
        return _dual_gap(run, l1 * (np.ones(objective.X.shape[1]) if factors is None else factors)) + rest
    return np.inf


def _dual_gap(run: _Run, pulls: Array) -> float:
    """Value minus that of the dual at the gradient in the predictions, shrunk until it is feasible."""
    objective = run.objective
    if run.squares is not None:
        w = run.w.astype(np.float64)
        value, slope = run.squares.data(w)
        share = _feasible(slope[: len(pulls)], pulls)
        # of residuals r: their squares, and their products with the targets
        across = run.squares.constant + 0.5 * float(run.squares.slope @ w)
        return max(run.value + share * share * value - 2 * share * across, 0.0)
    z = _scores(objective, run.w)
    if len(objective.loss._shape(2, 1)) != 1:
        return np.inf
    y, g = objective._y.astype(np.float64), np.empty_like(z)
    rows = None if objective._weight is None else objective._weight.astype(np.float64)
    scale = objective.loss._scale(objective._mass)
    evaluate(objective._kernel, z, y, rows, g, 1, scale)
    mass = np.full(len(z), scale) if rows is None else rows * scale
    kept = mass > 0
    column = np.asarray(objective.data_value_and_grad(run.w.astype(np.float64))[1], np.float64)[: len(pulls)]
    share = _feasible(column, pulls)
    conjugate = objective.loss._dual(y[kept], share * g[kept] / mass[kept])
    if conjugate is None or not np.isfinite(conjugate).all():
        return np.inf
    return float(max(run.value + float(mass[kept] @ conjugate), 0.0))


def _feasible(slope: Array, pulls: Array) -> float:
    """What a gradient is shrunk by so that no component is beyond its pull."""
    return min(1.0, float(np.min(pulls / np.maximum(np.abs(slope), 1e-300), initial=1.0)))


# ---- the door


def beginning(objective: Any) -> Array:
    """Zeros, and of squared errors the intercepts that are best beside them."""
    w: Array = objective.zeros()
    if isinstance(objective, Objective) and isinstance(objective.loss, MSE) and objective.fit_intercept:
        y = objective._y.reshape(len(objective.X), objective.n_outputs)
        rows = np.ones(len(y)) if objective._weight is None else objective._weight.astype(np.float64)
        if rows.any():
            w[-objective.n_outputs :] = rows @ y / rows.sum()
    return w


def _chosen(objective: Any) -> tuple[str, str]:
    """The method for an objective, and why."""
    penalty, loss = getattr(objective, "penalty", None), getattr(objective, "loss", None)
    if not isinstance(objective, Objective):
        if "hessian" in dir(objective) and _smooth(penalty) and len(objective.zeros()) <= _LARGE:
            return "newton", "few parameters"
        return ("lbfgs", "smooth") if _smooth(penalty) else ("fista", f"{type(penalty).__name__} has a kink")
    bends = _bends(objective)
    if not _smooth(penalty):
        if (
            bends
            and objective.n_outputs == 1
            and isinstance(penalty, _Separable)
            and objective.loss._shape(2, 1) == (2,)
        ):
            return "cd", "an L1 part, and one output"
        return "fista", f"{type(penalty).__name__}, which other methods do not take here"
    if isinstance(loss, MSE) and objective.size <= _LARGE_NORMAL:
        return "normal", "squared error has a closed form"
    much = len(objective.X) * objective.size * objective.n_outputs > _MUCH
    if bends and objective.size <= _LARGE and (not much or find_spec("scipy") is None):
        return "newton", "smooth, and few parameters"
    if find_spec("scipy") is not None:
        return "lbfgs", "smooth, and many rows or parameters" if bends else "no second derivative"
    return "fista", "many parameters, and scipy is missing"


def _bends(objective: Objective) -> bool:
    """Whether the loss has a second derivative."""
    k = objective.n_outputs
    z = np.zeros(objective.loss._shape(min(1, len(objective.X)), k))
    with np.errstate(over="ignore"):
        return objective.loss._bend(z, objective._y[:1], np.ones_like(z)) is not None


def _check(objective: Any, method: str, line_search: str) -> None:
    """Refuse, before work starts, what a method cannot do."""
    if missing := [name for name in _ASKS[method] if name not in dir(objective)]:
        raise TypeError(
            f"method={method!r} asks an objective for {', '.join(missing)}; {type(objective).__name__} has none"
        )
    penalty, loss = getattr(objective, "penalty", None), getattr(objective, "loss", None)
    if method not in ("fista", "cd") and not _smooth(penalty):
        raise ValueError(
            f"method={method!r} needs a smooth objective, and {type(penalty).__name__} has a kink: take 'fista'"
        )
    if method == "normal" and not isinstance(loss, MSE):
        raise ValueError(f"method='normal' is for MSE alone, got {loss!r}")
    if not isinstance(objective, Objective):
        if method == "cd" or (method == "gd" and line_search == "fixed"):
            what = "the rows themselves" if method == "cd" else "L: take another line_search"
            raise TypeError(f"method={method!r} asks for an Objective, for {what}; got {type(objective).__name__}")
        return
    if method == "gd" and line_search == "fixed" and objective.loss._curvature() is None:
        raise ValueError(
            f"method='gd' needs a bound of the second derivative, and {loss!r} has none: take another line_search"
        )
    if method in ("newton", "cd") and not _bends(objective):
        raise ValueError(f"method={method!r} needs a second derivative, and {loss!r} has none")
    if method == "cd" and (objective.n_outputs != 1 or objective.loss._shape(2, 1) != (2,)):
        raise ValueError(f"method='cd' is for one output, got {objective.n_outputs} of {loss!r}: take 'fista'")
    if method == "cd" and penalty is not None and not isinstance(penalty, _Separable):
        raise ValueError(f"method='cd' is for L1, L2 and ElasticNet, got {type(penalty).__name__}: take 'fista'")


def solve(
    objective: Any,
    method: str = "auto",
    tol: float = 1e-8,
    max_iter: int = 1000,
    w0: ArrayLike | None = None,
    line_search: str = "fixed",
) -> Result:
    """Find the minimum of an objective.

    Parameters
    ----------
    objective : Objective, or anything that has what the method asks for
        value_and_grad and zeros ("lbfgs"); besides, the parts ("fista"), hessian ("newton", "normal"), or X itself
        ("cd"). "gd" with a fixed step knows L from an Objective.
    method : "auto", "normal", "newton", "lbfgs", "fista", "cd" or "gd"
        The closed form of squared errors; Newton's method; scipy's limited-memory BFGS (needs the extra ``scipy``);
        accelerated proximal gradient; coordinate descent with a working set; gradient descent. "auto" chooses by loss,
        penalty and number of parameters, and says why in `message`.
    tol : float, positive
        Bounds the largest absolute component of the gradient, the L1 part counted.
    max_iter : int, positive
    w0 : array (size,), optional
        A start; without it, zeros.
    line_search : "fixed", "backtracking" or "exact"
        Of "gd": steps of 1 / L, or as far as Armijo's rule allows, or to the least value along the gradient.

    Returns
    -------
    Result
        Where the minimum is not reached, `converged` is False and `message` says why; nothing is raised.

    Raises
    ------
    ValueError, TypeError
        An argument has the wrong shape, type or range, or the method cannot do what the objective asks for.
    ImportError
        scipy is missing.

    Notes
    -----
    `gap` comes from the Newton decrement (squared errors), from strong convexity (any penalty with an L2 part: with
    gradient s it is at most ``|s|**2 / (4 l2)``, intercepts being at their minimum), or from a point of the dual (L1,
    squared error and binary cross-entropy); elsewhere it is infinite, and `violation` is the certificate.
    Where squared errors have many minima, "normal" returns the one with the shortest weights.
    Source: Boyd and Vandenberghe 2004, chapters 9 and 10; Beck and Teboulle 2009, O'Donoghue and Candes 2015 (fista);
    Friedman, Hastie and Tibshirani 2010 (coordinate descent on quadratic models).

    Examples
    --------
    >>> import lossopt as lo, numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((200, 5))
    >>> y = X[:, 0] + rng.standard_normal(200) > 0
    >>> result = lo.solve(lo.Objective(X, y, lo.BinaryCrossEntropy(), lo.L1(0.05)))
    >>> result.converged, result.method, result.gap < 1e-8
    (True, 'cd', True)
    >>> result.w.round(2)
    array([1.34, 0.  , 0.  , 0.  , 0.  , 0.03])
    """
    return _solve(objective, method, tol, max_iter, w0, line_search, None)


def _solve(
    objective: Any,
    method: str,
    tol: float,
    max_iter: int,
    w0: ArrayLike | None,
    line_search: str,
    squares: _Squares | None,
) -> Result:
    if method not in ("auto", *_ASKS):
        raise ValueError(f"method must be one of 'auto', {', '.join(map(repr, _ASKS))}, got {method!r}")
    if isinstance(tol, bool) or not isinstance(tol, (int, float, np.number)) or not 0 < tol < np.inf:
        raise ValueError(f"tol must be positive and finite, got {tol!r}")
    if isinstance(max_iter, bool) or not isinstance(max_iter, (int, np.integer)) or max_iter < 1:
        raise ValueError(f"max_iter must be a positive whole number, got {max_iter!r}")
    if line_search not in ("fixed", "backtracking", "exact"):
        raise ValueError(f"line_search must be 'fixed', 'backtracking' or 'exact', got {line_search!r}")
    if not {"value_and_grad", "zeros"} <= set(dir(objective)):
        raise TypeError(f"objective must have value_and_grad and zeros, got {objective!r:.60}")
    began = time.perf_counter()
    why = "asked for"
    if method == "auto":
        method, why = _chosen(objective)
    _check(objective, method, line_search)
    zeros = objective.zeros()
    w = beginning(objective) if w0 is None else _arrays.floats("w0", w0, zeros.dtype).copy()
    if w.shape != zeros.shape:
        raise ValueError(f"w0 must have shape {zeros.shape}, got {_arrays.describe(w)}")
    run = _Run(objective, float(tol), int(max_iter), w, squares=squares if method == "cd" else None)
    run.move(w, *run.look(w))
    methods: dict[str, Callable[[_Run], None]] = {
        "normal": _normal, "newton": _newton, "lbfgs": _lbfgs, "fista": _fista, "cd": _cd,
        "gd": lambda run: _gd(run, line_search),
    }  # fmt: skip
    for _ in range(3):
        methods[method](run)
        before = run.w, run.value, run.gradient
        # what intercepts gain may cost the weights a little
        if method == "normal" or run.violation > run.tol or not _polish(run):
            break
        run.tol *= 0.5
    if run.violation > tol and np.abs(before[2]).max(initial=0) <= tol:
        run.move(*before)
    converged = run.violation <= tol
    kinked = not _smooth(getattr(objective, "penalty", None))
    return Result(
        run.w,
        run.value,
        _gap(run) if np.isfinite(run.value) else np.inf,
        run.violation,
        run.n_iter,
        converged,
        method,
        time.perf_counter() - began,
        f"{method}: {why}; " + ("converged" if converged else run.ended or "not converged"),
        float(np.count_nonzero(run.w)) if kinked else run.freedom,
    )


def solve_path(
    objective: Objective,
    penalty: Callable[[float], Penalty],
    strengths: Sequence[float],
    method: str = "auto",
    tol: float = 1e-8,
    max_iter: int = 1000,
) -> list[Result]:
    """A regularization path: `solve` for each strength of a penalty, each from the minimum of the one before.

    Parameters
    ----------
    objective : Objective
        Whose own penalty plays no part.
    penalty : function of a strength
        A penalty's class, such as ``lo.L1``, or ``lambda s: lo.ElasticNet(s, 0.5)``.
    strengths : sequence of float
        In the order in which they are solved: from the strongest is fastest.
    method, tol, max_iter
        As for `solve`.

    Returns
    -------
    list of Result
        In the order of the strengths.

    Raises
    ------
    ValueError, TypeError
        As for `solve`.

    Examples
    --------
    >>> import lossopt as lo, numpy as np
    >>> X = np.random.default_rng(0).standard_normal((100, 4))
    >>> objective = lo.Objective(X, X @ [1.0, 0.5, 0.0, 0.0], lo.MSE())
    >>> [int(np.count_nonzero(result.w[:4])) for result in lo.solve_path(objective, lo.L1, [2.0, 1.0, 0.1])]
    [0, 1, 2]
    """
    if not isinstance(objective, Objective):
        raise TypeError(f"objective must be an Objective, got {objective!r:.60}")
    if not callable(penalty):
        raise TypeError(f"penalty must be a function of a strength, such as lo.L1, got {penalty!r}")
    made: list[Result] = []
    squares: _Squares | None = None
    n, d = objective.X.shape
    few = isinstance(objective.loss, MSE) and objective.n_outputs == 1 and d <= min(n, _LARGE_SQUARES)
    for strength in strengths:
        one = objective._under(penalty(float(strength)))
        if few and squares is None and method in ("auto", "cd") and _chosen(one)[0] == "cd":
            squares = _Squares.of(objective)
        made.append(_solve(one, method, tol, max_iter, made[-1].w if made else None, "fixed", squares))
    return made
