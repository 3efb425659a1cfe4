"""Linear regression at its minimum."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, final

import numpy as np
from sklearn.base import MultiOutputMixin, RegressorMixin

from lossopt import penalties
from lossopt.losses import MSE
from lossopt.objective import Objective
from lossopt.penalties import Penalty
from lossopt.sklearn._base import Array, Linear, count, jobs, number, one_of, refuse, warn, weights


class Regressor(RegressorMixin, Linear):  # type: ignore[misc]
    """Squared error of one target or several."""

    fit_intercept: bool
    # of those that have no such parameter
    n_jobs: Any = None
    warm_start: bool = False
    _flat: ClassVar[bool] = True  # whether a column of targets has weights (n_features,), as scikit-learn's have

    @abstractmethod
    def _penalty(self, mass: float, outputs: int, target: int) -> Penalty | None:
        """That of the mean over mass rows and so many outputs, from this target on."""

    @abstractmethod
    def _method(self) -> tuple[str, float, int]:
        """How, to which tolerance, in how many iterations."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Fit the model.

        Parameters
        ----------
        X : array or CSR (n_samples, n_features)
        y : array (n_samples,) or (n_samples, n_targets)
        sample_weight : array (n_samples,) or float, optional

        Returns
        -------
        self
        """
        method, tol, max_iter = self._method()
        with jobs(self.n_jobs):
            X, y = self._rows(X, y, multi_output=True, y_numeric=True)
            y = np.asarray(y, X.dtype)
            weight = weights(sample_weight, X)
            mass = float(len(y)) if weight is None else float(np.sum(weight, dtype=np.float64))
            targets = y.reshape(len(y), -1)
            k, d = targets.shape[1], X.shape[1]
            lots = [targets] if self._together(k) else [targets[:, [c]] for c in range(k)]
            before = vars(self).get("coef_") if self.warm_start else None
            rows, biases, rounds, gaps = [], [], [], []
            for c, lot in enumerate(lots):
                start = None
                if before is not None and np.size(before) == k * d:
                    mine = slice(c, c + lot.shape[1])
                    middle = np.broadcast_to(self.intercept_, (k,))[mine] if self.fit_intercept else np.zeros(0)
                    start = np.concatenate([np.reshape(before, (k, d))[mine].ravel(), middle])
                coef, intercept, n, gap = self._minimum(
                    X, lot, weight, self._penalty(mass, lot.shape[1], c), method, tol, max_iter, start
                )
                rows.append(coef)
                biases.append(intercept)
                rounds.append(n)
                gaps.append(gap)
        coef, intercept = np.concatenate(rows), np.concatenate(biases)
        self.coef_ = coef[0] if y.ndim == 1 or (k == 1 and self._flat) else coef
        self.intercept_ = (intercept if y.ndim == 2 else intercept[0]) if self.fit_intercept else 0.0
        self.n_iter_ = rounds[0] if len(rounds) == 1 else None if rounds[0] is None else rounds
        self._ended(gaps)
        return self

    def _together(self, k: int) -> bool:
        """Whether all k targets are fitted in one go."""
        return k > 1

    def _minimum(
        self,
        X: Any,
        targets: Array,
        weight: Array | None,
        penalty: Penalty | None,
        method: str,
        tol: float,
        max_iter: int,
        start: Array | None,
    ) -> tuple[Array, Array, int | None, float]:
        """Weights (k, d), intercepts (k,), iterations and gap."""
        goal = targets if targets.shape[1] > 1 else np.ascontiguousarray(targets[:, 0])
        objective = Objective(X, goal, MSE(), penalty, weight, bool(self.fit_intercept))
        result = self._solved(objective, method, tol, max_iter, start, relative=True)
        coef, intercept = objective.unpack(result.w)
        return coef, intercept if self.fit_intercept else np.zeros(len(coef), coef.dtype), result.n_iter, result.gap

    def _ended(self, gaps: list[float]) -> None:
        """What else there is to keep."""

    def predict(self, X: Any) -> Array:
        """Predictions.

        Parameters
        ----------
        X : array or CSR (n_samples, n_features)

        Returns
        -------
        array (n_samples,) or (n_samples, n_targets)
        """
        return self._scores(X)


class Centered:
    """Rows times the root of their weights, about their mean, and the ways to a ridge that go by their directions."""

    def __init__(self, X: Any, targets: Array, weight: Array | None, fit_intercept: bool) -> None:
        n = len(targets)
        self.X, self.fit_intercept = X, fit_intercept
        self.weight = np.ones(n) if weight is None else np.asarray(weight, np.float64)
        self.mass = float(self.weight.sum())
        self.share = self.weight / self.mass if fit_intercept and self.mass else np.zeros(n)
        self.root = np.sqrt(self.weight)[:, None]
        self.middle, self.center = X.T @ self.share, self.share @ targets
        self.targets = self.root * (targets - self.center)

    def intercept(self, coef: Array) -> Array:
        return np.asarray(self.center - coef @ self.middle if self.fit_intercept else np.zeros(len(coef)))

    def dense(self) -> Array:
        X = self.X if isinstance(self.X, np.ndarray) else self.X.toarray()
        return np.asarray(self.root * (np.asarray(X, np.float64) - self.middle))

    def svd(self, alpha: float) -> tuple[Array, None]:
        U, s, Vt = np.linalg.svd(self.dense(), full_matrices=False)
        kept = s > s.max(initial=0) * np.finfo(np.float64).eps * max(self.X.shape)
        U, s, Vt = U[:, kept], s[kept], Vt[kept]
        return np.asarray((Vt.T @ ((U.T @ self.targets) * (s / (s * s + alpha))[:, None])).T), None

    def iterated(self, estimator: Any, method: str, alpha: float, tol: float, max_iter: int) -> tuple[Array, int]:
        """scipy's LSQR, or its conjugate gradients on the normal equations."""
        from scipy.sparse.linalg import LinearOperator, cg, lsqr

        root, middle, X = self.root[:, 0], self.middle, self.X
        n, d = X.shape

        def forth(w: Array) -> Array:
            return np.asarray(root * (X @ w - middle @ w))

        def back(r: Array) -> Array:
            return np.asarray(X.T @ (root * r) - middle * float(root @ r))

        made, most = [], 0
        for goal in self.targets.T:
            if method == "lsqr":
                rows = LinearOperator((n, d), matvec=forth, rmatvec=back, dtype=np.float64)
                w, ended, steps = lsqr(rows, goal, damp=np.sqrt(alpha), atol=tol, btol=tol, iter_lim=max_iter)[:3]
                short = ended == 7
            else:
                square = LinearOperator((d, d), matvec=lambda w: back(forth(w)) + alpha * w, dtype=np.float64)
                rounds: list[int] = []
                w, ended = cg(
                    square, back(goal), rtol=tol, maxiter=max_iter, callback=lambda _, rounds=rounds: rounds.append(1)
                )
                steps, short = len(rounds), ended != 0
            if short:
                warn(estimator, f"{method}: max_iter={max_iter} reached")
            made.append(w)
            most = max(most, int(steps))
        return np.array(made), most


@final
class LinearRegression(MultiOutputMixin, Regressor):  # type: ignore[misc]
    """Least squares: minimizes ``sum (y - X w - b)**2``; of many minima, the one with the shortest weights.

    Parameters
    ----------
    fit_intercept, copy_X, tol, n_jobs, positive
        As scikit-learn's; ``n_jobs`` threads, where it is given.

    Attributes
    ----------
    coef_, intercept_, n_iter_, n_features_in_, feature_names_in_

    Examples
    --------
    >>> import numpy as np
    >>> from lossopt.sklearn import LinearRegression
    >>> X = np.array([[1.0], [2.0], [3.0]])
    >>> model = LinearRegression().fit(X, [1.0, 3.0, 5.0])
    >>> model.coef_.round(6), round(float(model.intercept_), 6)
    (array([2.]), -1.0)
    """

    def __init__(
        self,
        *,
        fit_intercept: bool = True,
        copy_X: bool = True,
        tol: float = 1e-6,
        n_jobs: int | None = None,
        positive: bool = False,
    ) -> None:
        self.fit_intercept = fit_intercept
        self.copy_X = copy_X
        self.tol = tol
        self.n_jobs = n_jobs
        self.positive = positive

    _flat = False

    def _penalty(self, mass: float, outputs: int, target: int) -> Penalty | None:
        return penalties.NonNegative() if self.positive else None

    def _method(self) -> tuple[str, float, int]:
        return "auto", max(1e-4 * number(self, "tol", 0), 1e-12), 100_000

    def _together(self, k: int) -> bool:
        return k > 1 and not self.positive

    def _minimum(
        self,
        X: Any,
        targets: Array,
        weight: Array | None,
        penalty: Penalty | None,
        method: str,
        tol: float,
        max_iter: int,
        start: Array | None,
    ) -> tuple[Array, Array, int | None, float]:
        if not self.positive or not isinstance(X, np.ndarray):
            return super()._minimum(X, targets, weight, penalty, method, tol, max_iter, start)
        # where there are many minima, an active set ends in the same one for rows repeated and rows weighed
        from scipy.optimize import nnls

        rows = Centered(X, targets, weight, bool(self.fit_intercept))
        coef = nnls(rows.dense(), rows.targets[:, 0], maxiter=max_iter)[0][None]
        return coef.astype(X.dtype), rows.intercept(coef).astype(X.dtype), None, np.inf


@final
class Ridge(MultiOutputMixin, Regressor):  # type: ignore[misc]
    """Ridge regression: minimizes ``sum (y - X w - b)**2 + alpha * sum w**2``.

    Parameters
    ----------
    alpha, fit_intercept, copy_X, max_iter, tol, solver, positive, random_state
        As scikit-learn's. ``solver`` is "auto", "cholesky" (the closed form), "svd", "lsqr", "sparse_cg" or "lbfgs":
        there is no stochastic average gradient here. ``solver_`` tells which one ran.

    Attributes
    ----------
    coef_, intercept_, n_iter_, solver_, n_features_in_, feature_names_in_

    Examples
    --------
    >>> import numpy as np
    >>> from lossopt.sklearn import Ridge
    >>> Ridge(alpha=1.0).fit(np.array([[-1.0], [0.0], [1.0]]), [-1.0, 0.0, 1.0]).coef_.round(6)
    array([0.666667])
    """

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        fit_intercept: bool = True,
        copy_X: bool = True,
        max_iter: int | None = None,
        tol: float = 1e-4,
        solver: str = "auto",
        positive: bool = False,
        random_state: Any = None,
    ) -> None:
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.copy_X = copy_X
        self.max_iter = max_iter
        self.tol = tol
        self.solver = solver
        self.positive = positive
        self.random_state = random_state

    def _method(self) -> tuple[str, float, int]:
        name = one_of(self, "solver", ("auto", "cholesky", "svd", "lsqr", "sparse_cg", "lbfgs"))
        if self.positive and name not in ("auto", "lbfgs"):
            raise ValueError(f"Ridge: solver={name!r} does not support positive=True: take 'auto'")
        self.solver_ = ("fista" if self.positive else "cholesky") if name == "auto" else name
        method = {"auto": "auto", "cholesky": "normal"}.get(name, name)
        most = 1000 if self.max_iter is None else count(self, "max_iter")
        return "auto" if self.positive else method, max(1e-4 * number(self, "tol", 0), 1e-12), most

    def _alphas(self, k: int) -> Array:
        alphas = np.ravel(self.alpha)
        if alphas.dtype.kind not in "iuf" or not (alphas >= 0).all() or alphas.size not in (1, k):
            raise ValueError(f"Ridge: alpha must be a number, 0 or more, or one for each target, got {self.alpha!r}")
        return np.broadcast_to(alphas.astype(np.float64), (k,))

    def _together(self, k: int) -> bool:
        alphas = self._alphas(k)
        return k > 1 and not self.positive and bool((alphas == alphas[0]).all())

    def _penalty(self, mass: float, outputs: int, target: int) -> Penalty | None:
        alpha = np.ravel(self.alpha)[target if np.size(self.alpha) > 1 else 0]
        penalty = penalties.L2(float(alpha) / (mass * outputs)) if mass else None
        return penalties.NonNegative(penalty) if self.positive else penalty

    def _minimum(
        self,
        X: Any,
        targets: Array,
        weight: Array | None,
        penalty: Penalty | None,
        method: str,
        tol: float,
        max_iter: int,
        start: Array | None,
    ) -> tuple[Array, Array, int | None, float]:
        if method not in ("svd", "lsqr", "sparse_cg"):
            return super()._minimum(X, targets, weight, penalty, method, tol, max_iter, start)
        rows = Centered(X, targets, weight, bool(self.fit_intercept))
        alpha = 0.0 if penalty is None else penalty._coefficients()[1] * rows.mass * targets.shape[1]
        coef, n = rows.svd(alpha) if method == "svd" else rows.iterated(self, method, alpha, tol, max_iter)
        return coef.astype(X.dtype), rows.intercept(coef).astype(X.dtype), n, np.inf


def settled(estimator: Any) -> None:
    """Parameters of coordinate descent that have one meaning here, or none that a result would show."""
    refuse(estimator, selection="cyclic")
    if not isinstance(estimator.precompute, (bool, np.bool_, str)):
        raise ValueError(f"{type(estimator).__name__}: precompute must be True, False or 'auto'; no matrix is taken")


def elastic(alpha: float, l1_ratio: float, positive: bool) -> Penalty | None:
    """scikit-learn's penalty of half the mean squared error, of all of it."""
    l1, l2 = 2 * alpha * l1_ratio, alpha * (1 - l1_ratio)
    made = penalties.ElasticNet(l1 + l2, l1 / (l1 + l2)) if l1 + l2 else None
    return penalties.NonNegative(made) if positive else made


class _Sparse(Regressor, ABC):
    """A squared error with an L1 part, a target after the other."""

    alpha: float

    def _method(self) -> tuple[str, float, int]:
        settled(self)
        return "auto", max(number(self, "tol", 0) * 1e-2, 1e-12), count(self, "max_iter")

    def _together(self, k: int) -> bool:
        return False

    def _ended(self, gaps: list[float]) -> None:
        # scikit-learn's objective is half of ours
        self.dual_gap_ = gaps[0] / 2 if len(gaps) == 1 else np.array(gaps) / 2

    @property
    def sparse_coef_(self) -> Any:
        """coef_ as CSR."""
        from scipy.sparse import csr_array

        return csr_array(np.atleast_2d(self.coef_))


@final
class ElasticNet(MultiOutputMixin, _Sparse):  # type: ignore[misc]
    """Elastic net: minimizes ``mean (y - X w - b)**2 / 2 + alpha * (l1_ratio |w| + (1 - l1_ratio) w**2 / 2)``.

    Parameters
    ----------
    alpha, l1_ratio, fit_intercept, precompute, max_iter, copy_X, tol, warm_start, positive, random_state, selection
        As scikit-learn's; ``precompute`` is True, False or "auto" (products of columns are kept where that pays,
        whatever it says), ``selection`` "cyclic". ``tol`` bounds the violation of the optimality conditions, a
        hundredth of it, beside the gradient at zero.

    Attributes
    ----------
    coef_, intercept_, sparse_coef_, n_iter_, dual_gap_, n_features_in_, feature_names_in_

    Examples
    --------
    >>> import numpy as np
    >>> from lossopt.sklearn import ElasticNet
    >>> X = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]])
    >>> ElasticNet(alpha=0.1, l1_ratio=0.5).fit(X, [0.0, 1.0, 2.0]).coef_.round(4)
    array([0.4458, 0.4458])
    """

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        l1_ratio: float = 0.5,
        fit_intercept: bool = True,
        precompute: Any = False,
        max_iter: int = 1000,
        copy_X: bool = True,
        tol: float = 1e-4,
        warm_start: bool = False,
        positive: bool = False,
        random_state: Any = None,
        selection: str = "cyclic",
    ) -> None:
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.fit_intercept = fit_intercept
        self.precompute = precompute
        self.max_iter = max_iter
        self.copy_X = copy_X
        self.tol = tol
        self.warm_start = warm_start
        self.positive = positive
        self.random_state = random_state
        self.selection = selection

    def _penalty(self, mass: float, outputs: int, target: int) -> Penalty | None:
        return elastic(number(self, "alpha", 0), number(self, "l1_ratio", 0, 1), bool(self.positive))


@final
class Lasso(MultiOutputMixin, _Sparse):  # type: ignore[misc]
    """Lasso: minimizes ``mean (y - X w - b)**2 / 2 + alpha * sum |w|``; weights become exactly zero.

    Parameters
    ----------
    alpha, fit_intercept, precompute, copy_X, max_iter, tol, warm_start, positive, random_state, selection
        As for ElasticNet.

    Attributes
    ----------
    coef_, intercept_, sparse_coef_, n_iter_, dual_gap_, n_features_in_, feature_names_in_

    Examples
    --------
    >>> import numpy as np
    >>> from lossopt.sklearn import Lasso
    >>> Lasso(alpha=0.1).fit(np.array([[0.0], [1.0], [2.0]]), [0.0, 1.0, 2.0]).coef_.round(6)
    array([0.85])
    """

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        fit_intercept: bool = True,
        precompute: Any = False,
        copy_X: bool = True,
        max_iter: int = 1000,
        tol: float = 1e-4,
        warm_start: bool = False,
        positive: bool = False,
        random_state: Any = None,
        selection: str = "cyclic",
    ) -> None:
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.precompute = precompute
        self.copy_X = copy_X
        self.max_iter = max_iter
        self.tol = tol
        self.warm_start = warm_start
        self.positive = positive
        self.random_state = random_state
        self.selection = selection

    def _penalty(self, mass: float, outputs: int, target: int) -> Penalty | None:
        return elastic(number(self, "alpha", 0), 1.0, bool(self.positive))
