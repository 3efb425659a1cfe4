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
from lossopt.sklearn._base import Array, Linear, number, one_of, refuse, weights


class Regressor(RegressorMixin, Linear):  # type: ignore[misc]
    """Squared error of one target or several."""

    fit_intercept: bool
    _flat: ClassVar[bool] = True  # whether a column of targets has weights (n_features,), as scikit-learn's have

    @abstractmethod
    def _penalty(self, mass: float, outputs: int) -> Penalty | None:
        """That of the mean over mass rows and so many outputs."""

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
        X, y = self._rows(X, y, multi_output=True, y_numeric=True)
        y = np.asarray(y, X.dtype)
        weight = weights(sample_weight, X)
        mass = float(len(y)) if weight is None else float(np.sum(weight, dtype=np.float64))
        targets = y.reshape(len(y), -1)
        k, d = targets.shape[1], X.shape[1]
        penalty = self._penalty(mass, 1)
        together = penalty is None or isinstance(penalty, penalties.L2)
        lots = [targets] if together and k > 1 else [targets[:, [c]] for c in range(k)]
        before = getattr(self, "coef_", None) if getattr(self, "warm_start", False) else None
        rows, biases, rounds, gaps = [], [], [], []
        for c, lot in enumerate(lots):
            own = self._penalty(mass, lot.shape[1])
            goal = lot if lot.shape[1] > 1 else np.ascontiguousarray(lot[:, 0])
            objective = Objective(X, goal, MSE(), own, weight, bool(self.fit_intercept))
            start = None
            if before is not None and np.size(before) == k * d:
                mine = slice(c, c + lot.shape[1])
                middle = np.broadcast_to(self.intercept_, (k,))[mine] if self.fit_intercept else np.zeros(0)
                start = np.concatenate([np.reshape(before, (k, d))[mine].ravel(), middle])
            result = self._solved(objective, method, tol, max_iter, start, relative=True)
            weight_part, bias_part = objective.unpack(result.w)
            rows.append(weight_part)
            biases.append(bias_part if self.fit_intercept else np.zeros(lot.shape[1], X.dtype))
            rounds.append(result.n_iter)
            gaps.append(result.gap)
        coef, intercept = np.concatenate(rows), np.concatenate(biases)
        self.coef_ = coef[0] if y.ndim == 1 or (k == 1 and self._flat) else coef
        self.intercept_ = (intercept if y.ndim == 2 else intercept[0]) if self.fit_intercept else 0.0
        self.n_iter_ = rounds[0] if len(rounds) == 1 else rounds
        self._ended(gaps)
        return self

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


@final
class LinearRegression(MultiOutputMixin, Regressor):  # type: ignore[misc]
    """Least squares: minimizes ``sum (y - X w - b)**2``; of many minima, the one with the shortest weights.

    Parameters
    ----------
    fit_intercept, copy_X, tol, n_jobs, positive
        As scikit-learn's. ``n_jobs`` must be None: `lossopt.set_num_threads` sets the threads.

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

    def _penalty(self, mass: float, outputs: int) -> Penalty | None:
        return penalties.NonNegative() if self.positive else None

    def _method(self) -> tuple[str, float, int]:
        refuse(self, n_jobs=None)
        return "auto", max(number(self, "tol", 0), 1e-12), 100_000


@final
class Ridge(MultiOutputMixin, Regressor):  # type: ignore[misc]
    """Ridge regression: minimizes ``sum (y - X w - b)**2 + alpha * sum w**2``.

    Parameters
    ----------
    alpha, fit_intercept, copy_X, max_iter, tol, solver, positive, random_state
        As scikit-learn's; one alpha for all targets. ``solver`` is "auto", "cholesky" (the closed form) or "lbfgs".
        ``positive=True`` is refused.

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

    _METHODS: ClassVar[dict[str, str]] = {"auto": "auto", "cholesky": "normal", "lbfgs": "lbfgs"}

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

    def _penalty(self, mass: float, outputs: int) -> Penalty | None:
        return penalties.L2(number(self, "alpha", 0) / (mass * outputs)) if mass else None

    def _method(self) -> tuple[str, float, int]:
        refuse(self, positive=False)
        self.solver_ = self._METHODS[one_of(self, "solver", self._METHODS)]
        most = 1000 if self.max_iter is None else int(self.max_iter)
        return self.solver_, max(1e-4 * number(self, "tol", 0), 1e-12), most


def elastic(alpha: float, l1_ratio: float) -> Penalty | None:
    """scikit-learn's penalty of half the mean squared error, of all of it."""
    l1, l2 = 2 * alpha * l1_ratio, alpha * (1 - l1_ratio)
    return penalties.ElasticNet(l1 + l2, l1 / (l1 + l2)) if l1 + l2 else None


class _Sparse(Regressor, ABC):
    """A squared error with an L1 part, a target after the other."""

    alpha: float

    def _method(self) -> tuple[str, float, int]:
        refuse(self, precompute=False, positive=False, selection="cyclic")
        return "auto", max(number(self, "tol", 0) * 1e-2, 1e-12), int(number(self, "max_iter", 1))

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
        As scikit-learn's; ``precompute`` and ``positive`` must be False, ``selection`` "cyclic". ``tol`` bounds the
        violation of the optimality conditions, a hundredth of it, beside the gradient at zero.

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

    def _penalty(self, mass: float, outputs: int) -> Penalty | None:
        return elastic(number(self, "alpha", 0), number(self, "l1_ratio", 0, 1))


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

    def _penalty(self, mass: float, outputs: int) -> Penalty | None:
        return elastic(number(self, "alpha", 0), 1.0)
