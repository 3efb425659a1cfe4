"""Multilayer perceptrons."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from typing import Any, ClassVar, final

import numpy as np
from sklearn.base import MultiOutputMixin, RegressorMixin
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call, check_classification_targets, type_of_target
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from lossopt import penalties
from lossopt.losses import MSE, BinaryCrossEntropy, CrossEntropy, Gamma, Loss, Poisson, Tweedie, _OfClasses, _OneByOne
from lossopt.models import MLP
from lossopt.optimizers import SGD, Adam, Optimizer
from lossopt.penalties import Penalty
from lossopt.schedules import InverseTime, Schedule
from lossopt.sklearn._base import FLOATS, Array, Classifier, count, number, one_of, softmax_logs, warn, weights
from lossopt.sklearn._stochastic import Course, Stochastic, renewed

_ACTIVATIONS = {"identity": "identity", "logistic": "sigmoid", "tanh": "tanh", "relu": "relu"}
# where the score is the logarithm of the mean
_LOGARITHMIC = (Poisson, Gamma, Tweedie)


def _by_steps(estimator: Any) -> bool:
    if estimator.solver == "lbfgs":
        raise AttributeError("partial_fit is only available for stochastic optimizers. lbfgs is not stochastic.")
    return True


class _Perceptron(Stochastic):
    """Layers, their training, and what is told of it."""

    loss: Any
    hidden_layer_sizes: Any
    activation: str
    solver: str
    alpha: float
    learning_rate_init: float
    power_t: float
    warm_start: bool
    momentum: float
    nesterovs_momentum: bool
    beta_1: float
    beta_2: float
    epsilon: float
    max_fun: int

    def _sizes(self) -> list[int]:
        given = self.hidden_layer_sizes
        sizes = [given] if isinstance(given, (int, np.integer)) else list(given)
        if any(isinstance(x, bool) or not isinstance(x, (int, np.integer)) or x < 1 for x in sizes):
            raise ValueError(f"{type(self).__name__}: hidden_layer_sizes must be > 0, got {given!r}")
        return [int(x) for x in sizes]

    def _prepared(self) -> None:
        """Everything that can be refused before rows are looked at."""
        self._checked()
        self._sizes()
        one_of(self, "activation", _ACTIVATIONS)
        one_of(self, "solver", ("adam", "sgd", "lbfgs"))
        one_of(self, "learning_rate", ("constant", "invscaling", "adaptive"))
        count(self, "max_fun")
        if self.n_iter_no_change != np.inf:
            count(self, "n_iter_no_change")
        if self.batch_size != "auto":
            count(self, "batch_size")
        for name in ("alpha", "learning_rate_init", "power_t"):
            number(self, name, 0)
        if self.solver == "lbfgs" and (self.optimizer is not None or self.schedule is not None):
            raise ValueError(f"{type(self).__name__}: optimizer and schedule are for solver='adam' or 'sgd'")
        if self.solver == "lbfgs" and self.early_stopping:
            raise ValueError(f"{type(self).__name__}: early_stopping=True is for solver='adam' or 'sgd'")

    def _descent(self, lr: Any) -> Optimizer:
        name = type(self).__name__
        try:
            if self.solver == "adam":
                return Adam(lr, betas=(self.beta_1, self.beta_2), eps=self.epsilon)
            return SGD(lr, self.momentum, nesterov=bool(self.nesterovs_momentum and self.momentum))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None

    def _trained(
        self,
        X: Array,
        y: Array,
        loss: Loss,
        outputs: int,
        scale: float,
        weight: Array | None,
        classes: Array | None,
        incremental: bool,
    ) -> None:
        """Train; scikit-learn's loss of a row is scale times the sum over outputs of this one."""
        warm = self._course is not None and (incremental or bool(self.warm_start))
        sizes = (X.shape[1], *self._sizes(), outputs)
        rows, goal, own, held, y_held, weight_held = self._held_back(X, y, weight, classes)
        seed = self._seed()
        if held is not None and len(held) < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of your dataset."
            )
        n = len(rows)
        batch = min(200, n) if self.batch_size == "auto" else min(int(self.batch_size), n)
        if self.batch_size != "auto" and self.batch_size > n:
            warnings.warn(
                f"{type(self).__name__}: batch_size={self.batch_size} is more than the {n} rows: it is all of them",
                UserWarning,
                stacklevel=4,
            )
        if not warm:
            self._course = Course(
                MLP(sizes, _ACTIVATIONS[self.activation], 0.0, X.dtype, seed), loss, SGD(), batch, seed
            )
            self.loss_curve_: list[float] = []
            self.t_ = 0
        course = self._course
        before = course.model.sizes
        if before != sizes:
            raise ValueError(f"{type(self).__name__}: warm_start needs the layers there were, {before}, got {sizes}")
        course.batch = batch
        self.n_layers_, self.n_outputs_ = len(sizes), outputs
        mass = float(n if own is None else np.sum(own, dtype=np.float64))
        if self.solver == "lbfgs":
            self._to_the_minimum(rows, goal, own, scale, mass)
            self._told(None)
            return
        if not (warm and incremental):
            lr: float | Schedule = float(self.learning_rate_init)
            if self.learning_rate == "invscaling" and self.solver == "sgd":
                lr = InverseTime(float(self.learning_rate_init), float(n), self.power_t) if self.power_t else lr
            course.optimizer = self._stepping(self._descent, lr)
        # the mean of a batch's weights is taken to be 1, so that one row twice is a row of weight 2
        own = None if own is None else own * (n / mass)
        penalty: Penalty | None = penalties.L2(self.alpha / (2 * batch * mass / n)) if self.alpha else None

        def score() -> float:
            return self._score(held, y_held, weight_held)

        watch = self._epochs(
            course,
            penalty,
            rows,
            goal,
            own,
            scale,
            scale * loss._terms(loss._shape(1, outputs)),
            score if self.early_stopping else None,
            # patience is over one epoch later than SGD's
            2**62 if self.n_iter_no_change == np.inf else int(self.n_iter_no_change) + 1,
            1 if incremental else self.max_iter,
            incremental,
            "epoch" if self.schedule is None else "step",
        )
        for what, x in watch.kept.items():
            course.model.params[what][...] = x
        self.n_iter_ = len(watch.losses)
        self.t_ += self.n_iter_ * n
        self.loss_curve_ = [*self.loss_curve_, *watch.losses]
        self.loss_ = watch.losses[-1]
        self._told(watch.scores if self.early_stopping else None)

    def _told(self, scores: list[float] | None) -> None:
        """Attributes, from the model."""
        params = list(self._course.model.params.values())
        self.coefs_ = [x.T for x in params[::2]]
        self.intercepts_ = params[1::2]
        self.validation_scores_ = scores
        self.best_validation_score_ = None if scores is None else max(scores)
        self.best_loss_ = None if scores is not None else min(self.loss_curve_)
        self.out_activation_ = self._named_output()

    def _to_the_minimum(self, X: Array, y: Array, weight: Array | None, scale: float, mass: float) -> None:
        """L-BFGS over all weights at once."""
        from scipy.optimize import minimize

        model, loss = self._course.model, self._course.loss
        kernel, goal = loss._bind(loss._shape(len(X), model.n_outputs), X.dtype, y, "y")
        names, shapes = zip(*((name, x.shape) for name, x in model.params.items()), strict=True)
        ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
        flat = np.concatenate([x.ravel() for x in model.params.values()])
        grad = np.empty_like(flat)

        def views(of: Array) -> dict[str, Array]:
            parts = np.split(of, ends[:-1])
            return {name: part.reshape(shape) for name, part, shape in zip(names, parts, shapes, strict=True)}

        model.params, grads = views(flat), views(grad)
        penalized = np.concatenate(
            [np.full(end, not name.endswith("bias")) for name, end in zip(names, np.diff(ends, prepend=0), strict=True)]
        )

        def objective(w: Array) -> tuple[float, Array]:
            flat[:] = w
            total = model._value_and_grad(kernel, X, goal, weight, grads, scale / mass)
            shrunk = np.where(penalized, self.alpha / mass * w, 0.0)
            return total * scale / mass + float(shrunk @ w) / 2, grad + shrunk

        def seen(intermediate_result: Any) -> None:
            self.loss_curve_.append(float(intermediate_result.fun))
            if self.verbose:
                print(f"Iteration {len(self.loss_curve_)}, loss = {self.loss_curve_[-1]:.8g}")

        options = {"maxfun": self.max_fun, "maxiter": self.max_iter, "gtol": 0.0 if self.tol is None else self.tol}
        found = minimize(
            objective, flat.astype(np.float64), jac=True, method="L-BFGS-B", options=options, callback=seen
        )
        flat[:] = found.x
        if not np.isfinite(flat).all():
            raise ValueError(f"{type(self).__name__}: Solver produced non-finite parameter weights: scale X")
        self.loss_ = float(found.fun)
        self.loss_curve_ = self.loss_curve_ or [self.loss_]
        self.n_iter_ = int(found.nit)
        if found.status == 1:
            warn(self, f"lbfgs failed to converge after {self.n_iter_} iterations: {found.message}")

    @abstractmethod
    def _named_output(self) -> str:
        """scikit-learn's name of what is made of the scores."""

    @abstractmethod
    def _score(self, X: Array, y: Array, weight: Array | None) -> float:
        """What early_stopping looks at."""

    def _read(self, X: Any, y: Any, y_numeric: bool, reset: bool) -> tuple[Array, Array]:
        X, y = validate_data(self, X, y, dtype=FLOATS, order="C", multi_output=True, y_numeric=y_numeric, reset=reset)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return X, y

    def _scores(self, X: Any) -> Array:
        check_is_fitted(self)
        return self._raw(validate_data(self, X, dtype=FLOATS, order="C", reset=False))

    def _raw(self, X: Array) -> Array:
        """Scores of rows that have been looked at, of the model's precision."""
        z: Array = self._course.model.predict(X).reshape(len(X), -1)
        return z


@final
class MLPRegressor(MultiOutputMixin, RegressorMixin, _Perceptron):  # type: ignore[misc]
    """Regression by a multilayer perceptron.

    Minimizes ``mean loss + alpha / (2 rows of a batch) * sum w**2`` over the weights of all layers.

    Parameters
    ----------
    loss : "squared_error", "poisson", or a lossopt Loss
        Squared errors count half. Where the loss is Poisson's, Gamma's or Tweedie's, predictions are exp of the scores.
    hidden_layer_sizes, activation, solver, alpha, batch_size, learning_rate, learning_rate_init, power_t, max_iter, \
shuffle, random_state, tol, verbose, warm_start, momentum, nesterovs_momentum, early_stopping, validation_fraction, \
beta_1, beta_2, epsilon, n_iter_no_change, max_fun
        As scikit-learn's. A layer starts uniform in ``+-1/sqrt(its inputs)``; the step of "invscaling" shrinks with
        each update, not with each epoch; ``loss_curve_`` has the sum over outputs, which steps make small, and the
        penalty of an epoch's end. Rows are dense.
    optimizer : Optimizer, optional
        In place of the solver's, such as ``lo.AdamW(1e-3)``; its lr stands in place of learning_rate_init.
    schedule : Schedule, optional
        The lr of each update.

    Attributes
    ----------
    coefs_, intercepts_, loss_, best_loss_, loss_curve_, validation_scores_, best_validation_score_, n_iter_, t_, \
n_layers_, n_outputs_, out_activation_, n_features_in_, feature_names_in_

    Examples
    --------
    >>> import numpy as np
    >>> from lossopt.sklearn import MLPRegressor
    >>> X = np.random.default_rng(0).uniform(-1, 1, (500, 2))
    >>> model = MLPRegressor(hidden_layer_sizes=20, solver="lbfgs", max_iter=500, random_state=0)
    >>> model.fit(X, X[:, 0] * X[:, 1]).score(X, X[:, 0] * X[:, 1]) > 0.98
    True
    """

    def __init__(
        self,
        loss: Any = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: str = "relu",
        *,
        solver: str = "adam",
        alpha: float = 1e-4,
        batch_size: Any = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 1e-3,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: int = 10,
        max_fun: int = 15_000,
        optimizer: Optimizer | None = None,
        schedule: Schedule | None = None,
    ) -> None:
        self.loss = loss
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.optimizer = optimizer
        self.schedule = schedule

    _NAMED: ClassVar[dict[str, tuple[type[Loss], float]]] = {"squared_error": (MSE, 0.5), "poisson": (Poisson, 1.0)}

    def _loss(self) -> tuple[Loss, float]:
        if isinstance(self.loss, Loss):
            return renewed(self.loss, reduction="mean"), 1.0
        kind, scale = self._NAMED[one_of(self, "loss", self._NAMED)]
        return kind(), scale

    def _named_output(self) -> str:
        return "exp" if isinstance(self._loss()[0], _LOGARITHMIC) else "identity"

    def _go(self, X: Any, y: Any, sample_weight: Any, incremental: bool) -> MLPRegressor:
        self._prepared()
        loss, scale = self._loss()
        going_on = incremental and self._course is not None
        X, y = self._read(X, y, True, not going_on)
        y = np.asarray(y, X.dtype)
        k = 1 if y.ndim == 1 else y.shape[1]
        self._trained(X, y, loss, k, scale, weights(sample_weight, X), None, incremental)
        return self

    def _shaped(self, z: Array) -> Array:
        z = np.exp(z) if self.out_activation_ == "exp" else z
        return z[:, 0] if z.shape[1] == 1 else z

    def _score(self, X: Array, y: Array, weight: Array | None) -> float:
        self.out_activation_ = self._named_output()
        predicted = self._shaped(self._raw(X))
        return float(r2_score(y, predicted, sample_weight=weight)) if np.isfinite(predicted).all() else np.nan

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> MLPRegressor:
        """Fit the model.

        Parameters
        ----------
        X : array (n_samples, n_features)
        y : array (n_samples,) or (n_samples, n_outputs)
        sample_weight : array (n_samples,) or float, optional

        Returns
        -------
        self
        """
        return self._go(X, y, sample_weight, False)

    @available_if(_by_steps)  # type: ignore[untyped-decorator]
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> MLPRegressor:
        """An epoch over these rows, from where things stand.

        Parameters
        ----------
        X : array (n_samples, n_features)
        y : array (n_samples,) or (n_samples, n_outputs)
        sample_weight : array (n_samples,) or float, optional

        Returns
        -------
        self
        """
        if self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        return self._go(X, y, sample_weight, True)

    def predict(self, X: Any) -> Array:
        """Predictions.

        Parameters
        ----------
        X : array (n_samples, n_features)

        Returns
        -------
        array (n_samples,) or (n_samples, n_outputs)
        """
        return self._shaped(self._scores(X))


@final
class MLPClassifier(Classifier, _Perceptron):
    """Classification by a multilayer perceptron.

    Minimizes ``mean cross-entropy + alpha / (2 rows of a batch) * sum w**2`` over the weights of all layers. Two
    classes have one score and its sigmoid, more the softmax; of a matrix of labels (n, k) each column has a sigmoid of
    its own.

    Parameters
    ----------
    hidden_layer_sizes, activation, solver, alpha, batch_size, learning_rate, learning_rate_init, power_t, max_iter, \
shuffle, random_state, tol, verbose, warm_start, momentum, nesterovs_momentum, early_stopping, validation_fraction, \
beta_1, beta_2, epsilon, n_iter_no_change, max_fun
        As for `MLPRegressor`.
    optimizer, schedule
        As for `MLPRegressor`.
    loss : "log_loss" or a lossopt Loss
        Such as ``lo.Focal()``, or ``lo.CostSensitive(false_negative=1000, false_positive=10)``: `predict` then gives
        the cheapest class.
    class_weight : dict, "balanced" or None
        What the rows of each class weigh.

    Attributes
    ----------
    classes_, coefs_, intercepts_, loss_, best_loss_, loss_curve_, validation_scores_, best_validation_score_, \
n_iter_, t_, n_layers_, n_outputs_, out_activation_, n_features_in_, feature_names_in_

    Examples
    --------
    >>> from lossopt.sklearn import MLPClassifier
    >>> X, y = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], ["even", "odd", "odd", "even"]
    >>> MLPClassifier(8, "tanh", solver="lbfgs", random_state=0).fit(X, y).predict(X)
    array(['even', 'odd', 'odd', 'even'], dtype='<U4')
    """

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: str = "relu",
        *,
        solver: str = "adam",
        alpha: float = 1e-4,
        batch_size: Any = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 1e-3,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: int = 10,
        max_fun: int = 15_000,
        optimizer: Optimizer | None = None,
        schedule: Schedule | None = None,
        loss: Any = "log_loss",
        class_weight: Any = None,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.optimizer = optimizer
        self.schedule = schedule
        self.loss = loss
        self.class_weight = class_weight

    def _named_output(self) -> str:
        return "softmax" if self._course.model.n_outputs > 1 and not self._many else "logistic"

    def _go(self, X: Any, y: Any, sample_weight: Any, classes: Any, incremental: bool) -> MLPClassifier:
        self._prepared()
        going_on = incremental and self._course is not None
        X, y = self._read(X, y, False, not going_on)
        check_classification_targets(y)
        many = type_of_target(y).startswith("multilabel")
        before = vars(self).get("classes_")
        if many:
            self.classes_, labels = np.arange(y.shape[1]), None
        elif incremental:
            self._several(y)
            labels = np.minimum(np.searchsorted(self.classes_, y), len(self.classes_) - 1)
            if not np.array_equal(self.classes_[labels], y):
                raise ValueError(
                    f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. 'y' has "
                    f"{np.unique(y)}."
                )
        else:
            labels = self._classed(y)
            if self.warm_start and before is not None and not np.array_equal(before, self.classes_):
                found, self.classes_ = self.classes_, before
                raise ValueError(
                    "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
                    f"Previously got {before}, `y` has {found}"
                )
        self._many = many
        k = len(self.classes_)
        weight = weights(sample_weight, X)
        if self.class_weight is not None and labels is None:
            raise ValueError("MLPClassifier: class_weight is for one label a row, not for a matrix of labels")
        if labels is not None:
            weight = self._weighed(self.class_weight, sample_weight, X, y, labels)
        loss, goal, outputs = self._goal(y, labels, k, X.dtype)
        self._trained(X, goal, loss, outputs, 1.0, weight, labels, incremental)
        return self

    def _goal(self, y: Array, labels: Array | None, k: int, dtype: Any) -> tuple[Loss, Array, int]:
        """The loss, its targets, and how many scores a row has."""
        if isinstance(self.loss, Loss):
            loss = renewed(self.loss, reduction="mean")
        elif one_of(self, "loss", ("log_loss",)):
            loss = BinaryCrossEntropy() if labels is None or k == 2 else CrossEntropy()
        if labels is None:
            return loss, y.astype(dtype), k
        if isinstance(loss, _OneByOne) and k > 2:
            raise ValueError(f"MLPClassifier: loss={self.loss!r} is for two classes, and there are {k}")
        if isinstance(loss, _OfClasses) or k > 2 or (not isinstance(loss, _OneByOne) and loss._outputs(labels) == 2):
            return loss, labels.astype(np.int64), k
        return loss, labels.astype(dtype), 1

    def _scores(self, X: Any) -> Array:
        z = super()._scores(X)
        # the softmax of two scores is the sigmoid of their difference
        return z[:, 1:] - z[:, :1] if z.shape[1] == 2 and not self._many else z

    def _decided(self, z: Array) -> Array:
        return (z > 0).astype(int).reshape(len(z), -1) if self._many else super()._decided(z)

    def _score(self, X: Array, y: Array, weight: Array | None) -> float:
        z = self._raw(X)
        if not np.isfinite(z).all():
            return np.nan
        z = z[:, 1:] - z[:, :1] if z.shape[1] == 2 and not self._many else z
        true = y if self._many else self.classes_[y.astype(int)]
        return float(accuracy_score(true, self._decided(self._flat(z)), sample_weight=weight))

    def _probability_logs(self, z: Array) -> Array:
        return -np.logaddexp(0, -z) if self._many else softmax_logs(z)

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> MLPClassifier:
        """Fit the model.

        Parameters
        ----------
        X : array (n_samples, n_features)
        y : array (n_samples,) of classes, or (n_samples, n_labels) of 0 and 1
        sample_weight : array (n_samples,) or float, optional

        Returns
        -------
        self
        """
        return self._go(X, y, sample_weight, None, False)

    @available_if(_by_steps)  # type: ignore[untyped-decorator]
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> MLPClassifier:
        """An epoch over these rows, from where things stand.

        Parameters
        ----------
        X : array (n_samples, n_features)
        y : array (n_samples,) of classes, or (n_samples, n_labels) of 0 and 1
        sample_weight : array (n_samples,) or float, optional
        classes : array, optional
            All classes there will be; needed at the first call.

        Returns
        -------
        self
        """
        if self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        _check_partial_fit_first_call(self, classes)
        return self._go(X, y, sample_weight, classes, True)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
