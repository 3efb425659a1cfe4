"""scikit-learn's linear models by their names, parameters and attributes, with lossopt's way to the minimum.

Importing this module imports scikit-learn (the extra ``sklearn``). Parameters mean what they mean there; one that has
no meaning here is refused, never ignored. Nothing is random, so that ``random_state`` changes nothing; X is never
changed, whatever ``copy_X`` allows.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, MultiOutputMixin, RegressorMixin
except ImportError:
    raise ImportError("lossopt.sklearn needs scikit-learn: pip install 'lossopt[sklearn]'") from None
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from lossopt import penalties
from lossopt.losses import MSE, BinaryCrossEntropy, CrossEntropy, Loss
from lossopt.objective import Objective
from lossopt.penalties import Penalty
from lossopt.solvers import Result, solve

Array = NDArray[Any]

__all__ = ["ElasticNet", "Lasso", "LinearRegression", "LogisticRegression", "Ridge"]


def _refuse(estimator: Any, **wanted: Any) -> None:
    """Parameters that have one meaning here."""
    for name, value in wanted.items():
        given = getattr(estimator, name)
        if not (given is value or (type(given) is type(value) and given == value)):
            raise ValueError(f"{type(estimator).__name__}: {name}={given!r} is not supported, only {name}={value!r}")


def _number(estimator: Any, name: str, low: float, high: float = np.inf) -> float:
    x = getattr(estimator, name)
    if isinstance(x, bool) or not isinstance(x, (int, float, np.number)) or not low <= x <= high:
        raise ValueError(f"{type(estimator).__name__}: {name} must be a number from {low:g} to {high:g}, got {x!r}")
    return float(x)


class _Linear(BaseEstimator, ABC):  # type: ignore[misc]
    """What the models share: rows in, scores out, and where a search ended."""

    coef_: Array
    intercept_: Any

    def _rows(self, X: Any, y: Any, multi_output: bool, y_numeric: bool) -> tuple[Any, Array]:
        read: tuple[Any, Array] = validate_data(
            self,
            X,
            y,
            accept_sparse="csr",
            dtype=[np.float64, np.float32],
            order="C",
            multi_output=multi_output,
            y_numeric=y_numeric,
        )
        return read

    def _solved(
        self, objective: Objective, method: str, tol: float, max_iter: int, start: Array | None, relative: bool
    ) -> Result:
        """The minimum; a search that does not reach it is warned of."""
        if relative:
            # of a gradient that carries the units of the targets
            tol *= float(np.abs(objective.data_value_and_grad(objective.zeros())[1]).max(initial=0)) or 1.0
        result = solve(objective, method, tol, max_iter, start)
        if not result.converged and "precision" not in result.message:
            warnings.warn(f"{type(self).__name__}: {result.message}", ConvergenceWarning, stacklevel=4)
        return result

    def _scores(self, X: Any) -> Array:
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", dtype=[np.float64, np.float32], reset=False)
        z: Array = X @ self.coef_.T + self.intercept_
        return np.asarray(z)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


class _Regressor(RegressorMixin, _Linear):  # type: ignore[misc]
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
        weight = None if sample_weight is None else _check_sample_weight(sample_weight, X, dtype=X.dtype)
        mass = float(len(y)) if weight is None else float(np.sum(weight, dtype=np.float64))
        targets = y.reshape(len(y), -1)
        k, d = targets.shape[1], X.shape[1]
        penalty = self._penalty(mass, 1)
        together = penalty is None or isinstance(penalty, penalties.L2)
        lots = [targets] if together and k > 1 else [targets[:, [c]] for c in range(k)]
        before = getattr(self, "coef_", None) if getattr(self, "warm_start", False) else None
        weights, biases, rounds, gaps = [], [], [], []
        for c, lot in enumerate(lots):
            own = self._penalty(mass, lot.shape[1])
            goal = lot if lot.shape[1] > 1 else np.ascontiguousarray(lot[:, 0])
            objective = Objective(X, goal, MSE(), own, weight, bool(self.fit_intercept))
            start = None
            if before is not None and np.size(before) == k * d:
                rows = np.reshape(before, (k, d))[c : c + 1] if len(lots) > 1 or k == 1 else np.reshape(before, (k, d))
                middle = (
                    np.broadcast_to(self.intercept_, (k,))[c : c + len(rows)] if self.fit_intercept else np.zeros(0)
                )
                start = np.concatenate([rows.ravel(), middle])
            result = self._solved(objective, method, tol, max_iter, start, relative=True)
            weight_part, bias_part = objective.unpack(result.w)
            weights.append(weight_part)
            biases.append(bias_part if self.fit_intercept else np.zeros(lot.shape[1], X.dtype))
            rounds.append(result.n_iter)
            gaps.append(result.gap)
        coef, intercept = np.concatenate(weights), np.concatenate(biases)
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
class LinearRegression(MultiOutputMixin, _Regressor):  # type: ignore[misc]
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
        _refuse(self, n_jobs=None)
        return "auto", max(_number(self, "tol", 0), 1e-12), 100_000


@final
class Ridge(MultiOutputMixin, _Regressor):  # type: ignore[misc]
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
        return penalties.L2(_number(self, "alpha", 0) / (mass * outputs)) if mass else None

    def _method(self) -> tuple[str, float, int]:
        _refuse(self, positive=False)
        if self.solver not in self._METHODS:
            raise ValueError(f"Ridge: solver must be one of {', '.join(map(repr, self._METHODS))}, got {self.solver!r}")
        self.solver_ = self._METHODS[self.solver]
        most = 1000 if self.max_iter is None else int(self.max_iter)
        return self.solver_, max(1e-4 * _number(self, "tol", 0), 1e-12), most


class _Sparse(_Regressor, ABC):
    """A squared error with an L1 part, a target after the other."""

    alpha: float

    def _of(self, alpha: float, l1_ratio: float) -> Penalty | None:
        # half of the mean squared error there, all of it here
        l1, l2 = 2 * alpha * l1_ratio, alpha * (1 - l1_ratio)
        return penalties.ElasticNet(l1 + l2, l1 / (l1 + l2)) if l1 + l2 else None

    def _method(self) -> tuple[str, float, int]:
        _refuse(self, precompute=False, positive=False, selection="cyclic")
        return "auto", max(_number(self, "tol", 0) * 1e-2, 1e-12), int(_number(self, "max_iter", 1))

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
        return self._of(_number(self, "alpha", 0), _number(self, "l1_ratio", 0, 1))


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
        return self._of(_number(self, "alpha", 0), 1.0)


@final
class LogisticRegression(ClassifierMixin, _Linear):  # type: ignore[misc]
    """Logistic regression: minimizes ``C * sum of losses + (1 - l1_ratio) sum w**2 / 2 + l1_ratio sum |w|``.

    Two classes have one row of weights and the binary cross-entropy, more have a row each and the softmax.

    Parameters
    ----------
    penalty, C, l1_ratio, dual, tol, fit_intercept, intercept_scaling, class_weight, random_state, solver, max_iter, \
verbose, warm_start, n_jobs
        As scikit-learn's. ``penalty`` is as it was before it was deprecated: "l2", "l1", "elasticnet" or None, and says
        what l1_ratio does not. ``solver`` is "auto", "lbfgs", "newton-cholesky" (Newton's method), or "saga" (another
        method of the first order there, accelerated proximal gradient here). ``dual``, ``intercept_scaling``,
        ``verbose`` and ``n_jobs`` have their defaults only.

    Attributes
    ----------
    classes_, coef_, intercept_, n_iter_, n_features_in_, feature_names_in_

    Examples
    --------
    >>> import numpy as np
    >>> from lossopt.sklearn import LogisticRegression
    >>> X = np.array([[-2.0], [-1.0], [0.5], [1.0], [2.0]])
    >>> model = LogisticRegression().fit(X, ["no", "no", "yes", "no", "yes"])
    >>> model.predict([[-1.5], [3.0]])
    array(['no', 'yes'], dtype='<U3')
    """

    _METHODS: ClassVar[dict[str, str]] = {
        "auto": "auto",
        "lbfgs": "lbfgs",
        "newton-cholesky": "newton",
        "saga": "fista",
    }

    def __init__(
        self,
        penalty: Any = "deprecated",
        *,
        C: float = 1.0,
        l1_ratio: float = 0.0,
        dual: bool = False,
        tol: float = 1e-4,
        fit_intercept: bool = True,
        intercept_scaling: float = 1,
        class_weight: Any = None,
        random_state: Any = None,
        solver: str = "auto",
        max_iter: int = 10_000,
        verbose: int = 0,
        warm_start: bool = False,
        n_jobs: int | None = None,
    ) -> None:
        self.penalty = penalty
        self.C = C
        self.l1_ratio = l1_ratio
        self.dual = dual
        self.tol = tol
        self.fit_intercept = fit_intercept
        self.intercept_scaling = intercept_scaling
        self.class_weight = class_weight
        self.random_state = random_state
        self.solver = solver
        self.max_iter = max_iter
        self.verbose = verbose
        self.warm_start = warm_start
        self.n_jobs = n_jobs

    def _penalized(self, mass: float) -> Penalty | None:
        ratios = {"deprecated": self.l1_ratio, "l2": 0.0, "l1": 1.0, "elasticnet": self.l1_ratio, None: 0.0}
        if self.penalty not in ratios:
            raise ValueError(
                f"LogisticRegression: penalty must be 'l2', 'l1', 'elasticnet' or None, got {self.penalty!r}"
            )
        C = _number(self, "C", np.nextafter(0, 1))
        ratio = 0.0 if ratios[self.penalty] is None else ratios[self.penalty]
        if not isinstance(ratio, (int, float, np.number)) or not 0 <= ratio <= 1:
            raise ValueError(f"LogisticRegression: l1_ratio must be a number from 0 to 1, got {ratio!r}")
        if self.penalty is None or np.isinf(C) or not mass:
            return None
        l1, l2 = ratio / (C * mass), (1 - ratio) / (2 * C * mass)
        return penalties.ElasticNet(l1 + l2, l1 / (l1 + l2)) if l1 else penalties.L2(l2)

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> LogisticRegression:
        """Fit the model.

        Parameters
        ----------
        X : array or CSR (n_samples, n_features)
        y : array (n_samples,)
        sample_weight : array (n_samples,) or float, optional

        Returns
        -------
        self
        """
        _refuse(self, dual=False, intercept_scaling=1, verbose=0, n_jobs=None)
        if self.solver not in self._METHODS:
            names = ", ".join(map(repr, self._METHODS))
            raise ValueError(f"LogisticRegression: solver must be one of {names}, got {self.solver!r}")
        tol, most = _number(self, "tol", 0), int(_number(self, "max_iter", 1))
        X, y = self._rows(X, y, multi_output=False, y_numeric=False)
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        k = len(self.classes_)
        if k < 2:
            raise ValueError(f"LogisticRegression needs samples of at least 2 classes; there is one class, {y[0]!r}")
        weight = None if sample_weight is None else _check_sample_weight(sample_weight, X, dtype=X.dtype)
        if self.class_weight is not None:
            each = compute_class_weight(self.class_weight, classes=self.classes_, y=y, sample_weight=weight)
            weight = (each[labels] if weight is None else each[labels] * weight).astype(X.dtype)
        mass = float(len(y)) if weight is None else float(np.sum(weight, dtype=np.float64))
        loss: Loss = BinaryCrossEntropy() if k == 2 else CrossEntropy()
        goal = labels.astype(X.dtype) if k == 2 else labels.astype(np.int64)
        outputs = 1 if k == 2 else k
        objective = Objective(X, goal, loss, self._penalized(mass), weight, bool(self.fit_intercept), outputs)
        start = None
        if self.warm_start and getattr(self, "coef_", np.zeros(0)).shape == (outputs, X.shape[1]):
            start = np.concatenate([self.coef_.ravel(), self.intercept_ if self.fit_intercept else []])
        method = self._METHODS[self.solver]
        result = self._solved(objective, method, max(tol * 1e-2, 1e-12), most, start, relative=False)
        coef, intercept = objective.unpack(result.w)
        self.coef_ = coef.copy()
        self.intercept_ = intercept.copy() if self.fit_intercept else np.zeros(outputs, X.dtype)
        self.n_iter_ = np.array([result.n_iter], dtype=np.int32)
        return self

    def decision_function(self, X: Any) -> Array:
        """Scores.

        Parameters
        ----------
        X : array or CSR (n_samples, n_features)

        Returns
        -------
        array (n_samples,) for two classes, (n_samples, n_classes) for more
        """
        z = self._scores(X)
        return z[:, 0] if z.shape[1] == 1 else z

    def predict(self, X: Any) -> Array:
        """The likeliest class of each row.

        Parameters
        ----------
        X : array or CSR (n_samples, n_features)

        Returns
        -------
        array (n_samples,)
        """
        z = self.decision_function(X)
        chosen: Array = self.classes_[(z > 0).astype(int) if z.ndim == 1 else z.argmax(axis=1)]
        return chosen

    def predict_log_proba(self, X: Any) -> Array:
        """The logarithm of each class's probability.

        Parameters
        ----------
        X : array or CSR (n_samples, n_features)

        Returns
        -------
        array (n_samples, n_classes)
        """
        z = self.decision_function(X)
        if z.ndim == 1:
            return np.stack([-np.logaddexp(0, z), -np.logaddexp(0, -z)], axis=1)
        z = z - z.max(axis=1, keepdims=True)
        return np.asarray(z - np.log(np.sum(np.exp(z), axis=1, keepdims=True)))

    def predict_proba(self, X: Any) -> Array:
        """Each class's probability.

        Parameters
        ----------
        X : array or CSR (n_samples, n_features)

        Returns
        -------
        array (n_samples, n_classes)
        """
        return np.exp(self.predict_log_proba(X))
