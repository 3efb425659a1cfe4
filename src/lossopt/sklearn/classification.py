"""Classifiers at their minimum."""

from __future__ import annotations

from typing import Any, ClassVar, final

import numpy as np
from sklearn.utils.multiclass import check_classification_targets

from lossopt import penalties
from lossopt.losses import BinaryCrossEntropy, CrossEntropy, Loss
from lossopt.objective import Objective
from lossopt.penalties import Penalty
from lossopt.sklearn._base import (
    Array,
    Classifier,
    Linear,
    Thinned,
    count,
    jobs,
    number,
    one_of,
    refuse,
    softmax_logs,
    warn,
)


class Logistic(Classifier, Linear):
    """Cross-entropy at its minimum: of the sigmoid for two classes, of the softmax for more."""

    penalty: Any
    class_weight: Any
    fit_intercept: bool
    solver: str

    _METHODS: ClassVar[dict[str, str]] = {
        "auto": "auto",
        "lbfgs": "lbfgs",
        "newton-cg": "newton-cg",
        "newton-cholesky": "newton",
    }

    def _way(self) -> tuple[str, float, int]:
        """How, to which tolerance, in how many iterations."""
        refuse(self, dual=False, intercept_scaling=1, verbose=0)
        if self.solver in ("liblinear", "sag", "saga"):
            raise ValueError(
                f"{type(self).__name__}: solver={self.solver!r} is a method that is not here; 'auto' goes to the same "
                "minimum, with L1 too"
            )
        method = self._METHODS[one_of(self, "solver", self._METHODS)]
        return method, max(number(self, "tol", 0) * 1e-2, 1e-12), count(self, "max_iter")

    def _minimum(
        self, objective: Objective, penalty: Penalty | None, method: str, tol: float, most: int, start: Array | None
    ) -> tuple[Array, int]:
        """Where it is, and how many iterations that took."""
        whole = objective._under(penalty)
        if method != "newton-cg":
            result = self._solved(whole, method, tol, most, start, relative=False)
            return result.w, result.n_iter
        if penalty is not None and penalty._coefficients()[0]:
            raise ValueError(f"{type(self).__name__}: solver='newton-cg' is for L2 alone: take 'auto'")
        from scipy.optimize import minimize

        began = objective.zeros() if start is None else start
        options = {"maxiter": most, "xtol": 1e-12}
        found = minimize(
            whole.value_and_grad,
            began.astype(np.float64),
            jac=True,
            hessp=whole.hessp,
            method="Newton-CG",
            options=options,
            callback=_until(whole, tol),
        )
        w = found.x.astype(began.dtype)
        if not found.success and np.abs(whole.value_and_grad(found.x)[1]).max(initial=0) > tol:
            warn(self, f"newton-cg: {found.message}")
        return w, int(found.nit)

    def _penalized(self, C: Any, l1_ratio: Any, mass: float) -> Penalty | None:
        name = type(self).__name__
        ratios = {"deprecated": l1_ratio, "l2": 0.0, "l1": 1.0, "elasticnet": l1_ratio, None: 0.0}
        ratio = ratios[one_of(self, "penalty", ratios)]
        for what, x, low, high in (
            ("C", C, np.nextafter(0, 1), np.inf),
            ("l1_ratio", 0.0 if ratio is None else ratio, 0, 1),
        ):
            if isinstance(x, bool) or not isinstance(x, (int, float, np.number)) or not low <= x <= high:
                raise ValueError(f"{name}: {what} must be a number from {low:g} to {high:g}, got {x!r}")
        if self.penalty is None or np.isinf(C) or not mass:
            return None
        ratio = ratio or 0.0
        l1, l2 = ratio / (C * mass), (1 - ratio) / (2 * C * mass)
        return penalties.ElasticNet(l1 + l2, l1 / (l1 + l2)) if l1 else penalties.L2(l2)

    def _labelled(self, X: Any, y: Any) -> tuple[Any, Array, Array]:
        X, y = self._rows(X, y, multi_output=False, y_numeric=False)
        check_classification_targets(y)
        return X, y, self._classed(y)

    def _objective(self, X: Any, labels: Array, weight: Array | None) -> tuple[Objective, float]:
        """Without a penalty; and what its mean divides by."""
        k = len(self.classes_)
        mass = float(len(labels)) if weight is None else float(np.sum(weight, dtype=np.float64))
        loss: Loss = BinaryCrossEntropy() if k == 2 else CrossEntropy()
        goal = labels.astype(X.dtype) if k == 2 else labels.astype(np.int64)
        return Objective(X, goal, loss, None, weight, bool(self.fit_intercept), 1 if k == 2 else k), mass

    def _take(self, objective: Objective, w: Array) -> None:
        """These are coef_ and intercept_."""
        coef, intercept = objective.unpack(w)
        self.coef_ = coef.copy()
        self.intercept_ = intercept.copy() if self.fit_intercept else np.zeros(len(coef), coef.dtype)

    def _probability_logs(self, z: Array) -> Array:
        return softmax_logs(z)


def _until(objective: Objective, tol: float) -> Any:
    """A callback that ends a search of scipy's at a gradient of this size."""

    def seen(intermediate_result: Any) -> None:
        if np.abs(objective.value_and_grad(intermediate_result.x)[1]).max(initial=0) <= tol:
            raise StopIteration

    return seen


@final
class LogisticRegression(Logistic, Thinned):
    """Logistic regression: minimizes ``C * sum of losses + (1 - l1_ratio) sum w**2 / 2 + l1_ratio sum |w|``.

    Two classes have one row of weights and the binary cross-entropy, more have a row each and the softmax.

    Parameters
    ----------
    penalty, C, l1_ratio, dual, tol, fit_intercept, intercept_scaling, class_weight, random_state, solver, max_iter, \
verbose, warm_start, n_jobs
        As scikit-learn's. ``penalty`` is as it was before it was deprecated: "l2", "l1", "elasticnet" or None, and says
        what l1_ratio does not. ``solver`` is "auto", "lbfgs", "newton-cholesky" (Newton's method) or "newton-cg":
        neither liblinear nor a stochastic average gradient is here, and "auto" takes L1. ``n_jobs`` threads, where it
        is given. ``dual``, ``intercept_scaling`` and ``verbose`` have their defaults only.

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
        method, tol, most = self._way()
        with jobs(self.n_jobs):
            X, y, labels = self._labelled(X, y)
            objective, mass = self._objective(X, labels, self._weighed(self.class_weight, sample_weight, X, y, labels))
            penalty = self._penalized(self.C, self.l1_ratio, mass)
            start = None
            if self.warm_start and np.shape(vars(self).get("coef_", 0)) == (objective.n_outputs, X.shape[1]):
                start = np.concatenate([self.coef_.ravel(), self.intercept_ if self.fit_intercept else []])
            w, n = self._minimum(objective, penalty, method, tol, most, start)
            self._take(objective, w)
            self.n_iter_ = np.array([n], dtype=np.int32)
        return self
