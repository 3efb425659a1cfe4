"""Linear models by stochastic gradient descent."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, final

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call, check_classification_targets

from lossopt import models, penalties
from lossopt.averages import Polyak
from lossopt.losses import (
    MSE,
    BinaryCrossEntropy,
    CrossEntropy,
    EpsilonInsensitive,
    Hinge,
    Huber,
    Loss,
    ModifiedHuber,
    SquaredEpsilonInsensitive,
    SquaredHinge,
    _OfClasses,
    _OneByOne,
)
from lossopt.optimizers import SGD, Optimizer
from lossopt.penalties import Penalty
from lossopt.schedules import InverseTime, Schedule
from lossopt.sklearn._base import Array, Classifier, Thinned, count, jobs, number, one_of, softmax_logs, weights
from lossopt.sklearn._stochastic import Averaging, Course, Stochastic, renewed

_EPSILON = 0.1
# at its kink a perceptron's gradient is not zero: weights of zero begin to move
_PERCEPTRON = float(np.finfo(np.float32).tiny)


class _Descent(Stochastic, Thinned):
    """Losses by name, steps, penalty, and rows by epochs."""

    loss: Any
    penalty: Any
    alpha: float
    l1_ratio: float
    epsilon: float
    eta0: float
    power_t: float
    average: Any
    fit_intercept: bool
    warm_start: bool

    loss_functions: ClassVar[dict[str, tuple[Any, ...]]] = {
        "squared_error": (MSE,),
        "huber": (Huber, _EPSILON),
        "epsilon_insensitive": (EpsilonInsensitive, _EPSILON),
        "squared_epsilon_insensitive": (SquaredEpsilonInsensitive, _EPSILON),
    }
    _RATES: ClassVar[tuple[str, ...]] = ("constant", "optimal", "invscaling", "adaptive")

    def _loss(self) -> tuple[Loss, float]:
        """The loss, and how much of it scikit-learn's is."""
        if isinstance(self.loss, Loss):
            return renewed(self.loss, reduction="mean"), 1.0
        kind, *numbers = self.loss_functions[one_of(self, "loss", self.loss_functions)]
        if numbers == [_EPSILON]:
            return kind(number(self, "epsilon", 0)), 1.0
        return kind(**({"margin": numbers[0]} if numbers else {})), 0.5 if kind is MSE else 1.0

    def _penalized(self) -> Penalty | None:
        one_of(self, "penalty", ("l2", "l1", "elasticnet", None))
        alpha = number(self, "alpha", 0)
        if self.penalty is None or alpha == 0:
            return None
        ratio = {"l2": 0.0, "l1": 1.0, "elasticnet": self.l1_ratio}[self.penalty]
        if self.penalty == "elasticnet":
            if self.l1_ratio is None:
                raise ValueError(f"{type(self).__name__}: l1_ratio must be set when penalty is 'elasticnet'")
            ratio = number(self, "l1_ratio", 0, 1)
        l1, l2 = alpha * ratio, alpha * (1 - ratio) / 2
        return penalties.ElasticNet(l1 + l2, l1 / (l1 + l2)) if l1 else penalties.L2(l2)

    def _rate(self, loss: Loss) -> float | Schedule:
        """What scikit-learn's learning_rate is for each update; 0 where another takes its place."""
        one_of(self, "learning_rate", self._RATES)
        eta0 = number(self, "eta0", 0)
        power = number(self, "power_t", -np.inf)
        if self.optimizer is not None or self.schedule is not None:
            return 0.0
        if self.learning_rate == "optimal":
            alpha = number(self, "alpha", 0)
            if alpha == 0:
                raise ValueError(
                    f"{type(self).__name__}: alpha must be > 0 since learning_rate is 'optimal'. alpha is used to "
                    "compute the optimal learning rate."
                )
            # Bottou's: the first step is as long as weights of a usual size
            typical = alpha**-0.25
            slope = 1.0
            if isinstance(loss, _OneByOne):
                slope = abs(float(loss.value_and_grad([-typical], [1.0])[1][0]))
            start = max(1.0, slope) / (typical * alpha)
            return InverseTime(1 / (alpha * start), 1 / start)
        if eta0 == 0:
            raise ValueError(f"{type(self).__name__}: eta0 must be > 0, got {self.eta0!r}")
        return InverseTime(eta0, 1.0, power) if self.learning_rate == "invscaling" and power else eta0

    def _prepared(self) -> tuple[Loss, float, Penalty | None]:
        """Everything that can be refused before rows are looked at."""
        self._checked()
        count(self, "batch_size")
        count(self, "n_iter_no_change")
        if not isinstance(self.average, (bool, np.bool_, int, np.integer)) or self.average < 0:
            raise ValueError(f"{type(self).__name__}: average must be a bool or a number of rows, got {self.average!r}")
        return *self._loss(), self._penalized()

    def _descended(
        self,
        X: Any,
        y: Array,
        weight: Array | None,
        labels: Array | None,
        outputs: int,
        epochs: int,
        start: tuple[Any, Any] | None,
        partial: bool,
    ) -> None:
        """Some epochs, of a new course or of the one before."""
        loss, scale, penalty = self._prepared()
        going_on = partial and self._course is not None
        rows, goal, own, held, y_held, weight_held = self._held_back(X, y, weight, labels)
        if not going_on:
            model = models.Linear(X.shape[1], outputs, X.dtype)
            for x in model.params.values():
                x[...] = 0
            if start is not None:
                self._begin(model, *start)
            frozen = {} if self.fit_intercept else {"groups": {"bias": {"lr": 0.0}}}
            optimizer = self._stepping(self._descent, self._rate(loss), **frozen)
            self._course = Course(model, loss, optimizer, count(self, "batch_size"), self._seed())
            self._average = Polyak()
            self.t_ = 1.0
        course = self._course

        def score() -> float:
            self._take(course.model.params["weight"], course.model.params["bias"])
            return self._score(held, y_held, weight_held)

        also: tuple[Averaging, ...] = ()
        if self.average:
            wait = 0 if isinstance(self.average, (bool, np.bool_)) else int(self.average - self.t_ + 1)
            also = (Averaging(self._average, wait, course.batch),)
        watch = self._epochs(
            course,
            penalty,
            rows,
            goal,
            own,
            scale,
            scale,
            score if self.early_stopping else None,
            int(self.n_iter_no_change),
            epochs,
            partial,
            also=also,
        )
        self.n_iter_ = len(watch.losses)
        self.t_ += float(self.n_iter_ * rows.shape[0])
        before = self.loss_curve_ if going_on else []
        self.loss_curve_: list[float] = [*before, *watch.losses]
        params = self._average.params if self._average.steps else course.model.params
        self._take(params["weight"].copy(), params["bias"].copy())

    @staticmethod
    def _descent(lr: Any) -> Optimizer:
        return SGD(lr)

    @abstractmethod
    def _begin(self, model: models.Linear, coef: Any, intercept: Any) -> None:
        """Start there."""

    @abstractmethod
    def _take(self, weight: Array, bias: Array) -> None:
        """These are coef_ and intercept_."""

    @abstractmethod
    def _score(self, X: Any, y: Array, weight: Array | None) -> float:
        """What early_stopping looks at."""

    def _starting(self, coef_init: Any, intercept_init: Any) -> tuple[Any, Any] | None:
        warm = bool(self.warm_start) and "coef_" in vars(self)
        coef = self.coef_ if coef_init is None and warm else coef_init
        intercept = self.intercept_ if intercept_init is None and warm else intercept_init
        return None if coef is None and intercept is None else (coef, intercept)


def _set(name: str, into: Array, value: Any) -> None:
    if value is None:
        return
    given = np.atleast_1d(value)
    if given.size != into.size or given.shape[-1:] != into.shape[-1:]:
        what = {"coef_init": "Provided coef_init", "intercept_init": "Provided intercept_init"}[name]
        raise ValueError(f"{what} does not match dataset: it must have shape {into.shape}, got {given.shape}")
    into[...] = given.reshape(into.shape)


@final
class SGDRegressor(RegressorMixin, _Descent):  # type: ignore[misc]
    """Linear regression by stochastic gradient descent, an update a batch.

    Minimizes ``mean loss + alpha * (l1_ratio |w| + (1 - l1_ratio) w**2 / 2)``; weights become exactly zero under L1.

    Parameters
    ----------
    loss : "squared_error", "huber", "epsilon_insensitive", "squared_epsilon_insensitive", or a lossopt Loss
        Squared errors count half. A Loss of one score a row, such as ``lo.Quantile(0.9)``; of its mean.
    penalty, alpha, l1_ratio, fit_intercept, max_iter, tol, shuffle, verbose, epsilon, random_state, learning_rate, \
eta0, power_t, early_stopping, validation_fraction, n_iter_no_change, warm_start, average
        As scikit-learn's; ``learning_rate`` is "constant", "optimal", "invscaling" or "adaptive", and its t counts
        updates. ``average`` takes the interpreter for each update, which is slow.
    batch_size : int
        Rows an update.
    optimizer : Optimizer, optional
        Such as ``lo.Adam(1e-3)``; its lr stands in place of learning_rate and eta0.
    schedule : Schedule, optional
        The lr of each update.

    Attributes
    ----------
    coef_, intercept_, n_iter_, t_, loss_curve_, n_features_in_, feature_names_in_

    Examples
    --------
    >>> import lossopt as lo, numpy as np
    >>> from lossopt.sklearn import SGDRegressor
    >>> X = np.random.default_rng(0).standard_normal((1000, 3))
    >>> model = SGDRegressor(batch_size=32, optimizer=lo.Adam(0.01), tol=1e-6, random_state=0)
    >>> model.fit(X, X @ [1.0, -2.0, 0.5] + 3).coef_.round(2)
    array([ 1. , -2. ,  0.5])
    """

    def __init__(
        self,
        loss: Any = "squared_error",
        *,
        penalty: str | None = "l2",
        alpha: float = 1e-4,
        l1_ratio: float = 0.15,
        fit_intercept: bool = True,
        max_iter: int = 1000,
        tol: float | None = 1e-3,
        shuffle: bool = True,
        verbose: int = 0,
        epsilon: float = 0.1,
        random_state: Any = None,
        learning_rate: str = "invscaling",
        eta0: float = 0.01,
        power_t: float = 0.25,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 5,
        warm_start: bool = False,
        average: bool | int = False,
        batch_size: int = 1,
        optimizer: Optimizer | None = None,
        schedule: Schedule | None = None,
    ) -> None:
        self.loss = loss
        self.penalty = penalty
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.tol = tol
        self.shuffle = shuffle
        self.verbose = verbose
        self.epsilon = epsilon
        self.random_state = random_state
        self.learning_rate = learning_rate
        self.eta0 = eta0
        self.power_t = power_t
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.warm_start = warm_start
        self.average = average
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.schedule = schedule

    def _begin(self, model: models.Linear, coef: Any, intercept: Any) -> None:
        _set("coef_init", model.params["weight"][0], coef)
        _set("intercept_init", model.params["bias"], intercept)

    def _take(self, weight: Array, bias: Array) -> None:
        self.coef_, self.intercept_ = weight[0], bias

    def _score(self, X: Any, y: Array, weight: Array | None) -> float:
        return float(r2_score(y, self._raw(X), sample_weight=weight))

    def _go(self, X: Any, y: Any, sample_weight: Any, epochs: int, start: Any, partial: bool) -> SGDRegressor:
        self._prepared()
        X, y = self._rows(X, y, multi_output=False, y_numeric=True, reset=not partial or self._course is None)
        weight = weights(sample_weight, X, bool(self.early_stopping))
        self._descended(X, np.asarray(y, X.dtype), weight, None, 1, epochs, start, partial)
        return self

    def fit(
        self, X: Any, y: Any, coef_init: Any = None, intercept_init: Any = None, sample_weight: Any = None
    ) -> SGDRegressor:
        """Fit the model.

        Parameters
        ----------
        X : array or CSR (n_samples, n_features)
        y : array (n_samples,)
        coef_init, intercept_init : array, optional
            Where to start; at zero otherwise.
        sample_weight : array (n_samples,) or float, optional

        Returns
        -------
        self
        """
        return self._go(X, y, sample_weight, self.max_iter, self._starting(coef_init, intercept_init), False)

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> SGDRegressor:
        """An epoch over these rows, from where things stand.

        Parameters
        ----------
        X : array or CSR (n_samples, n_features)
        y : array (n_samples,)
        sample_weight : array (n_samples,) or float, optional

        Returns
        -------
        self
        """
        if self.early_stopping:
            raise ValueError("early_stopping should be False with partial_fit")
        return self._go(X, y, sample_weight, 1, None, True)

    def predict(self, X: Any) -> Array:
        """Predictions.

        Parameters
        ----------
        X : array or CSR (n_samples, n_features)

        Returns
        -------
        array (n_samples,)
        """
        return self._scores(X).ravel()


def _tells_probabilities(estimator: Any) -> bool:
    loss = estimator.loss
    if loss in ("log_loss", "modified_huber", "cross_entropy") or isinstance(loss, (BinaryCrossEntropy, CrossEntropy)):
        return True
    raise AttributeError(f"probability estimates are not available for loss={loss!r}")


@final
class SGDClassifier(Classifier, _Descent):
    """Linear classification by stochastic gradient descent, an update a batch.

    Minimizes ``mean loss + alpha * (l1_ratio |w| + (1 - l1_ratio) w**2 / 2)``; weights become exactly zero under L1.
    More than two classes: each against the rest, in one pass for all, or one softmax for all ("cross_entropy").

    Parameters
    ----------
    loss : str or a lossopt Loss
        "hinge", "log_loss", "modified_huber", "squared_hinge", "perceptron", "squared_error", "huber",
        "epsilon_insensitive", "squared_epsilon_insensitive" as scikit-learn's; "cross_entropy", the softmax; or a Loss
        of its mean, such as ``lo.Focal()`` or, where mistakes have a price,
        ``lo.CostSensitive(false_negative=1000, false_positive=10)``: `predict` then gives the cheapest class.
    penalty, alpha, l1_ratio, fit_intercept, max_iter, tol, shuffle, verbose, epsilon, n_jobs, random_state, \
learning_rate, eta0, power_t, early_stopping, validation_fraction, n_iter_no_change, class_weight, warm_start, average
        As scikit-learn's; ``learning_rate`` is "constant", "optimal", "invscaling" or "adaptive", and its t counts
        updates; ``n_jobs`` threads, where it is given. A class's weight is that of its rows, for all classes' scores.
        ``average`` takes the interpreter for each update, which is slow.
    batch_size : int
        Rows an update.
    optimizer : Optimizer, optional
        Such as ``lo.Adam(1e-3)``; its lr stands in place of learning_rate and eta0.
    schedule : Schedule, optional
        The lr of each update.

    Attributes
    ----------
    classes_, coef_, intercept_, n_iter_, t_, loss_curve_, n_features_in_, feature_names_in_

    Examples
    --------
    >>> import lossopt as lo
    >>> from lossopt.sklearn import SGDClassifier
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> model = SGDClassifier("cross_entropy", batch_size=16, optimizer=lo.Adam(0.05), random_state=0).fit(X, y)
    >>> model.score(X, y) > 0.95, model.predict_proba(X[:1]).round(1)
    (True, array([[1., 0., 0.]]))
    """

    loss_functions: ClassVar[dict[str, tuple[Any, ...]]] = {
        "hinge": (Hinge, 1.0),
        "log_loss": (BinaryCrossEntropy,),
        "modified_huber": (ModifiedHuber,),
        "squared_hinge": (SquaredHinge,),
        "perceptron": (Hinge, _PERCEPTRON),
        "cross_entropy": (CrossEntropy,),
        **_Descent.loss_functions,
    }

    def __init__(
        self,
        loss: Any = "hinge",
        *,
        penalty: str | None = "l2",
        alpha: float = 1e-4,
        l1_ratio: float = 0.15,
        fit_intercept: bool = True,
        max_iter: int = 1000,
        tol: float | None = 1e-3,
        shuffle: bool = True,
        verbose: int = 0,
        epsilon: float = 0.1,
        n_jobs: int | None = None,
        random_state: Any = None,
        learning_rate: str = "optimal",
        eta0: float = 0.01,
        power_t: float = 0.5,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 5,
        class_weight: Any = None,
        warm_start: bool = False,
        average: bool | int = False,
        batch_size: int = 1,
        optimizer: Optimizer | None = None,
        schedule: Schedule | None = None,
    ) -> None:
        self.loss = loss
        self.penalty = penalty
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.tol = tol
        self.shuffle = shuffle
        self.verbose = verbose
        self.epsilon = epsilon
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.learning_rate = learning_rate
        self.eta0 = eta0
        self.power_t = power_t
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.class_weight = class_weight
        self.warm_start = warm_start
        self.average = average
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.schedule = schedule

    def _loss(self) -> tuple[Loss, float]:
        # the softmax of two classes is the sigmoid of their scores' difference
        if isinstance(self.loss, str) and self.loss == "cross_entropy" and len(vars(self).get("classes_", "ab")) == 2:
            return BinaryCrossEntropy(), 1.0
        return super()._loss()

    def _goals(self, labels: Array, dtype: Any) -> tuple[Array, int]:
        """Targets as the loss takes them, and how many scores a row has."""
        k, (loss, _) = len(self.classes_), self._loss()
        needed = loss._outputs(labels) if isinstance(loss, _OfClasses) else k
        if isinstance(loss, _OfClasses) or (k > 2 and not isinstance(loss, _OneByOne)):
            return labels.astype(np.int64), max(needed, k)
        if isinstance(self.loss, str) and self.loss in _Descent.loss_functions:
            low, high = -1.0, 1.0
        else:
            low, high = 0.0, 1.0
        if k == 2:
            if not isinstance(loss, _OneByOne) and loss._outputs(labels) == 2:
                return labels.astype(np.int64), 2
            return np.where(labels == 1, high, low).astype(dtype), 1
        return np.where(labels[:, None] == np.arange(k), high, low).astype(dtype), k

    def _begin(self, model: models.Linear, coef: Any, intercept: Any) -> None:
        weight, bias = model.params["weight"], model.params["bias"]
        if len(self.classes_) == 2 and len(weight) == 2:
            # half of a difference, on both sides
            for one, side in ((0, -0.5), (1, 0.5)):
                _set("coef_init", weight[one], None if coef is None else np.ravel(coef) * side)
                _set("intercept_init", bias[one : one + 1], None if intercept is None else np.ravel(intercept) * side)
            return
        _set("coef_init", weight[0] if len(weight) == 1 else weight, coef if len(weight) > 1 else _one(coef))
        _set("intercept_init", bias, intercept)

    def _take(self, weight: Array, bias: Array) -> None:
        if len(self.classes_) == 2 and len(weight) == 2:
            weight, bias = weight[1:] - weight[:1], bias[1:] - bias[:1]
        self.coef_, self.intercept_ = weight, bias

    def _score(self, X: Any, y: Array, weight: Array | None) -> float:
        classes = self.classes_[y.argmax(axis=1) if y.ndim == 2 else (y > 0).astype(int) if y.dtype.kind == "f" else y]
        return float(accuracy_score(classes, self._decided(self._flat(self._raw(X))), sample_weight=weight))

    def _go(
        self, X: Any, y: Any, sample_weight: Any, classes: Any, epochs: int, start: Any, partial: bool, known: bool
    ) -> SGDClassifier:
        self._prepared()
        X, y = self._rows(X, y, multi_output=False, y_numeric=False, reset=not known)
        check_classification_targets(y)
        if classes is None:
            labels = self._classed(y)
        else:
            self._several(y)
            labels = np.searchsorted(self.classes_, y)
            found = np.minimum(labels, len(self.classes_) - 1)
            if not np.array_equal(self.classes_[found], y):
                odd = y[self.classes_[found] != y][:1].tolist()[0]
                raise ValueError(f"SGDClassifier: y has the class {odd!r}, which classes do not have")
        weight = self._weighed(self.class_weight, sample_weight, X, y, labels, bool(self.early_stopping))
        goals, outputs = self._goals(labels, X.dtype)
        with jobs(self.n_jobs):
            self._descended(X, goals, weight, labels, outputs, epochs, start, partial)
        return self

    def fit(
        self, X: Any, y: Any, coef_init: Any = None, intercept_init: Any = None, sample_weight: Any = None
    ) -> SGDClassifier:
        """Fit the model.

        Parameters
        ----------
        X : array or CSR (n_samples, n_features)
        y : array (n_samples,)
        coef_init, intercept_init : array, optional
            Where to start; at zero otherwise.
        sample_weight : array (n_samples,) or float, optional

        Returns
        -------
        self
        """
        return self._go(
            X, y, sample_weight, None, self.max_iter, self._starting(coef_init, intercept_init), False, False
        )

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> SGDClassifier:
        """An epoch over these rows, from where things stand.

        Parameters
        ----------
        X : array or CSR (n_samples, n_features)
        y : array (n_samples,)
        classes : array, optional
            All classes there will be; needed at the first call.
        sample_weight : array (n_samples,) or float, optional

        Returns
        -------
        self
        """
        if self.early_stopping:
            raise ValueError("early_stopping should be False with partial_fit")
        if isinstance(self.class_weight, str):
            raise ValueError(
                f"class_weight '{self.class_weight}' is not supported for partial_fit. In order to use 'balanced' "
                "weights, give the weights that compute_class_weight('balanced', classes=classes, y=y) has for a large "
                "sample of all rows."
            )
        known = "classes_" in vars(self)
        _check_partial_fit_first_call(self, classes)
        return self._go(X, y, sample_weight, self.classes_, 1, None, True, known)

    def _probability_logs(self, z: Array) -> Array:
        if self.loss == "modified_huber":
            p = (np.clip(z, -1, 1) + 1) / 2
            p = np.stack([1 - p, p], axis=1) if p.ndim == 1 else p
            # where all classes are impossible, all are as likely
            p = np.where(p.sum(axis=1, keepdims=True) == 0, 1.0, p)
            with np.errstate(divide="ignore"):
                return np.asarray(np.log(p / p.sum(axis=1, keepdims=True)))
        if z.ndim == 2 and (self.loss == "log_loss" or isinstance(self.loss, BinaryCrossEntropy)):
            logs = -np.logaddexp(0, -z)
            return np.asarray(logs - np.logaddexp.reduce(logs, axis=1, keepdims=True))
        return softmax_logs(z)

    predict_proba = available_if(_tells_probabilities)(Classifier.predict_proba)
    predict_log_proba = available_if(_tells_probabilities)(Classifier.predict_log_proba)


def _one(coef: Any) -> Any:
    """coef_init of two classes may be a row or a matrix of one."""
    return coef if coef is None else np.ravel(coef)
