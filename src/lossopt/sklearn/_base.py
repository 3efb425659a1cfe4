"""What the estimators share."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

import numpy as np
from joblib import effective_n_jobs
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from lossopt.objective import Objective
from lossopt.runtime import get_num_threads, set_num_threads
from lossopt.solvers import Result, beginning, solve

Array = NDArray[Any]
FLOATS = [np.float64, np.float32]


def refuse(estimator: Any, **wanted: Any) -> None:
    """Parameters that have one meaning here."""
    for name, value in wanted.items():
        given = getattr(estimator, name)
        if not (given is value or (type(given) is type(value) and given == value)):
            raise ValueError(f"{type(estimator).__name__}: {name}={given!r} is not supported, only {name}={value!r}")


def number(estimator: Any, name: str, low: float, high: float = np.inf) -> float:
    """A parameter that is a number."""
    x = getattr(estimator, name)
    if isinstance(x, bool) or not isinstance(x, (int, float, np.number)) or not low <= x <= high:
        raise ValueError(f"{type(estimator).__name__}: {name} must be a number from {low:g} to {high:g}, got {x!r}")
    return float(x)


def count(estimator: Any, name: str) -> int:
    """A parameter that is a positive whole number."""
    x = getattr(estimator, name)
    if isinstance(x, bool) or not isinstance(x, (int, np.integer)) or x < 1:
        raise ValueError(f"{type(estimator).__name__}: {name} must be a positive whole number, got {x!r}")
    return int(x)


def one_of(estimator: Any, name: str, words: Any) -> Any:
    """A parameter that is one of some words."""
    x = getattr(estimator, name)
    if not isinstance(x, (str, type(None))) or x not in words:
        raise ValueError(f"{type(estimator).__name__}: {name} must be one of {', '.join(map(repr, words))}, got {x!r}")
    return x


def warn(estimator: Any, message: str) -> None:
    """A search that did not reach its end."""
    warnings.warn(f"{type(estimator).__name__}: {message}", ConvergenceWarning, stacklevel=4)


def weights(sample_weight: Any, X: Any, later: bool = False) -> Array | None:
    """What each row weighs; None: 1. later: whoever asks looks for weights that are all zero."""
    made: Array | None = None
    if sample_weight is not None:
        made = _check_sample_weight(sample_weight, X, dtype=X.dtype, allow_all_zero_weights=later)
    return made


_LOCK = Lock()
_before: list[int] = []  # how many threads there were when each running fit with n_jobs began


@contextmanager
def jobs(n_jobs: int | None) -> Iterator[None]:
    """As many threads as n_jobs says, all processors for -1; None: as many as there are."""
    if n_jobs is None:
        yield
        return
    with _LOCK:
        _before.append(get_num_threads())
        set_num_threads(effective_n_jobs(n_jobs))
    try:
        yield
    finally:
        with _LOCK:
            # fits of several threads may end in any order: the last one puts back what the first one found
            before = _before.pop() if len(_before) == 1 else _before.pop(1)
            if not _before:
                set_num_threads(before)


def unit(objective: Objective) -> float:
    """The largest component of the gradient where a search begins, which carries the units of the targets."""
    return float(np.abs(objective.data_value_and_grad(beginning(objective))[1]).max(initial=0)) or 1.0


class Estimator(BaseEstimator, ABC):  # type: ignore[misc]
    """Rows in, scores out, and where a search ended."""

    @abstractmethod
    def _scores(self, X: Any) -> Array:
        """Raw scores of rows, (n,) or (n, k)."""

    def _rows(self, X: Any, y: Any, multi_output: bool, y_numeric: bool, reset: bool = True) -> tuple[Any, Array]:
        read: tuple[Any, Array] = validate_data(
            self,
            X,
            y,
            accept_sparse="csr",
            dtype=FLOATS,
            order="C",
            multi_output=multi_output,
            y_numeric=y_numeric,
            reset=reset,
        )
        return read

    def _solved(
        self, objective: Objective, method: str, tol: float, max_iter: int, start: Array | None, relative: bool
    ) -> Result:
        """The minimum; a search that does not reach it is warned of."""
        if relative:
            # of a gradient that carries the units of the targets
            tol *= unit(objective)
        result = solve(objective, method, tol, max_iter, start)
        if not np.isfinite([result.value, result.violation, *result.w]).all():
            raise ValueError(f"{type(self).__name__}: the search ended in numbers that are not finite; scale X and y")
        if not result.converged and ("precision" not in result.message or result.violation > 1e-3 * unit(objective)):
            warn(self, result.message)
        return result


class Linear(Estimator):
    """A linear model: scores are ``X @ coef_.T + intercept_``."""

    coef_: Any
    intercept_: Any

    def _scores(self, X: Any) -> Array:
        check_is_fitted(self)
        return self._raw(validate_data(self, X, accept_sparse="csr", dtype=FLOATS, reset=False))

    def _raw(self, X: Any) -> Array:
        """Scores of rows that have been looked at."""
        z: Array = X @ self.coef_.T + self.intercept_
        return np.asarray(z)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


class Thinned(Linear):
    """A linear model whose weights may be kept sparse."""

    def sparsify(self) -> Any:
        """Keep ``coef_`` as CSR from now on, which takes less memory where most of it is zero.

        Returns
        -------
        self
        """
        from scipy.sparse import csr_array

        check_is_fitted(self)
        self.coef_ = csr_array(np.atleast_2d(self.coef_))
        return self

    def densify(self) -> Any:
        """Keep ``coef_`` as an array, as it is after a fit.

        Returns
        -------
        self
        """
        check_is_fitted(self)
        if not isinstance(self.coef_, np.ndarray):
            self.coef_ = self.coef_.toarray()
        return self


class Classifier(ClassifierMixin, Estimator):  # type: ignore[misc]
    """Scores of classes, and what is made of them."""

    classes_: Any

    def _classed(self, y: Array) -> Array:
        """The number of each row's class."""
        self.classes_, labels = np.unique(y, return_inverse=True)
        self._several(y)
        return np.asarray(labels)

    def _several(self, y: Array) -> None:
        if len(self.classes_) < 2:
            name = type(self).__name__
            only = self.classes_[0].item() if isinstance(self.classes_[0], np.generic) else self.classes_[0]
            raise ValueError(f"{name} needs samples of at least 2 classes; there is one class, {only!r}")

    def _weighed(
        self, class_weight: Any, sample_weight: Any, X: Any, y: Array, labels: Array, later: bool = False
    ) -> Array | None:
        """What rows weigh with their class."""
        weight = weights(sample_weight, X, later)
        if class_weight is None:
            return weight
        each = compute_class_weight(class_weight, classes=self.classes_, y=y, sample_weight=weight)
        return np.asarray(each[labels] if weight is None else each[labels] * weight, X.dtype)

    @abstractmethod
    def _probability_logs(self, z: Array) -> Array:
        """The logarithm of each class's probability, from scores: (n,) for two classes, (n, k) for more."""

    def decision_function(self, X: Any) -> Array:
        """Scores.

        Parameters
        ----------
        X : array or CSR (n_samples, n_features)

        Returns
        -------
        array (n_samples,) for two classes, (n_samples, n_classes) for more
        """
        return self._flat(self._scores(X))

    @staticmethod
    def _flat(z: Array) -> Array:
        return z[:, 0] if z.shape[1] == 1 else z

    def _decided(self, z: Array) -> Array:
        """The class of the largest score."""
        chosen: Array = self.classes_[(z > 0).astype(int) if z.ndim == 1 else z.argmax(axis=1)]
        return chosen

    def predict(self, X: Any) -> Array:
        """The likeliest class of each row.

        Parameters
        ----------
        X : array or CSR (n_samples, n_features)

        Returns
        -------
        array (n_samples,)
        """
        return self._decided(self._flat(self._scores(X)))

    def predict_log_proba(self, X: Any) -> Array:
        """The logarithm of each class's probability.

        Parameters
        ----------
        X : array or CSR (n_samples, n_features)

        Returns
        -------
        array (n_samples, n_classes)
        """
        return self._probability_logs(self._flat(self._scores(X)))

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


def softmax_logs(z: Array) -> Array:
    """Logarithms of the softmax of (n, k), or of both sides of the sigmoid of (n,)."""
    if z.ndim == 1:
        return np.stack([-np.logaddexp(0, z), -np.logaddexp(0, -z)], axis=1)
    z = z - z.max(axis=1, keepdims=True)
    return np.asarray(z - np.log(np.sum(np.exp(z), axis=1, keepdims=True)))
