"""Models that choose the strength of their penalty by cross-validation."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from functools import partial
from inspect import signature
from typing import Any, final

import numpy as np
from sklearn import get_config
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.metrics import check_scoring, get_scorer, make_scorer
from sklearn.model_selection import check_cv
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.validation import column_or_1d

from lossopt.losses import MSE
from lossopt.objective import Objective
from lossopt.penalties import L2, Penalty
from lossopt.sklearn._base import Array, Estimator, Linear, count, jobs, number, unit, weights
from lossopt.sklearn.classification import Logistic, LogisticRegression
from lossopt.sklearn.regression import Centered, ElasticNet, Lasso, Ridge, elastic, settled
from lossopt.solvers import beginning, solve_path


class _Folded(Estimator):
    """Rows to fit and rows to look at, and what else they are given."""

    cv: Any
    scoring: Any

    def _split(
        self, X: Any, y: Array, classes: bool, sample_weight: Any, params: dict[str, Any]
    ) -> tuple[list[tuple[Array, Array]], dict[str, Any]]:
        """The folds, and what the scorer is given."""
        splitting: dict[str, Any] = {}
        scoring: dict[str, Any] = {} if sample_weight is None else {"sample_weight": sample_weight}
        routing = get_config()["enable_metadata_routing"]
        if params and not routing:
            raise ValueError(
                f"{type(self).__name__}: passing on {', '.join(params)} is only supported if "
                "enable_metadata_routing=True: see sklearn.set_config"
            )
        if routing:
            routed = process_routing(self, "fit", sample_weight=sample_weight, **params)
            splitting = dict(routed.splitter.split)
            if "scorer" in routed:
                scoring = dict(routed.scorer.score)
        folds = check_cv(self.cv, y, classifier=classes).split(X, y, **splitting)
        return [(np.arange(len(y))[train], np.arange(len(y))[test]) for train, test in folds], scoring

    def _scorer(self) -> Any:
        """What scores a fold, where something other than the fit does."""
        return None

    def get_metadata_routing(self) -> MetadataRouter:
        """Where metadata go: to the splitter, and to the scorer where there is one.

        Returns
        -------
        MetadataRouter
        """
        router = MetadataRouter(owner=self).add_self_request(self)
        router.add(splitter=check_cv(self.cv), method_mapping=MethodMapping().add(caller="fit", callee="split"))
        scorer = self._scorer()
        if scorer is not None:
            mapping = MethodMapping().add(caller="fit", callee="score")
            router.add(scorer=scorer, method_mapping=mapping.add(caller="score", callee="score"))
        return router


def _part(values: dict[str, Any], rows: Array) -> dict[str, Any]:
    """Of each row's metadata those of some rows."""
    return {name: np.asarray(x)[rows] for name, x in values.items()}


def _strength(ratio: float, positive: bool, alpha: float) -> Penalty:
    return elastic(alpha, ratio, positive) or L2(0.0)


class _PathCV(RegressorMixin, _Folded, Linear):  # type: ignore[misc]
    """Strengths of an L1 penalty, by the squared error of rows held back."""

    positive: bool
    n_jobs: Any

    eps: float
    alphas: Any
    fit_intercept: bool
    tol: float
    max_iter: int

    @abstractmethod
    def _ratios(self) -> list[float]:
        """The l1_ratios to try."""

    @abstractmethod
    def _refitted(self, alpha: float, ratio: float) -> Any:
        """The model of all rows."""

    def _strengths(self, objective: Objective, ratio: float) -> Array:
        """The alphas to try, from the strongest."""
        name = type(self).__name__
        if not isinstance(self.alphas, (int, np.integer)):
            if isinstance(self.alphas, str) or not isinstance(self.alphas, Iterable):
                raise ValueError(f"{name}: alphas must be a whole number or strengths, got {self.alphas!r}")
            given = np.sort(np.asarray(self.alphas, np.float64))[::-1]
            if given.ndim != 1 or not len(given) or not (given >= 0).all():
                raise ValueError(f"{name}: alphas must be strengths, 0 or more, got {self.alphas!r}")
            return given
        if not ratio:
            raise ValueError(
                f"{name}: Automatic alpha grid generation is not supported for l1_ratio=0. Please supply a grid by "
                "providing your estimator with the appropriate `alphas=` argument."
            )
        slope = objective.unpack(objective.data_value_and_grad(beginning(objective))[1])[0]
        pulls = -slope if self.positive else np.abs(slope)
        strongest = float(pulls.max(initial=0)) / (2 * ratio)
        least = float(np.finfo(np.float64).resolution)
        if strongest <= least:
            return np.full(count(self, "alphas"), least)
        return np.geomspace(strongest, strongest * number(self, "eps", np.nextafter(0, 1), 1), count(self, "alphas"))

    def fit(self, X: Any, y: Any, sample_weight: Any = None, **params: Any) -> Any:
        """Fit the path of each fold, and the model of the best strength on all rows.

        Parameters
        ----------
        X : array or CSR (n_samples, n_features)
        y : array (n_samples,)
        sample_weight : array (n_samples,) or float, optional
            Of the fit, and of each fold's squared error.
        **params
            For the splitter, where scikit-learn's metadata routing is on.

        Returns
        -------
        self
        """
        settled(self)
        ratios = self._ratios()
        tol, most = max(number(self, "tol", 0) * 1e-2, 1e-12), count(self, "max_iter")
        X, y = self._rows(X, y, multi_output=True, y_numeric=True)
        if y.ndim == 2 and y.shape[1] > 1:
            raise ValueError(f"{type(self).__name__}: y must have one column, got {y.shape}")
        y = np.asarray(column_or_1d(y, warn=True), X.dtype)
        with jobs(self.n_jobs):
            weight = weights(sample_weight, X)
            folds, _ = self._split(X, y, False, sample_weight, params)
            bias = bool(self.fit_intercept)
            whole = Objective(X, y, MSE(), None, weight, bias)
            grids = [self._strengths(whole, ratio) for ratio in ratios]
            errors = np.empty((len(ratios), len(folds), len(grids[0])))
            for f, (train, test) in enumerate(folds):
                own, other = (None, None) if weight is None else (weight[train], weight[test])
                objective = Objective(X[train], y[train], MSE(), None, own, bias)
                looked_at = Objective(X[test], y[test], MSE(), None, other, bias)
                for r, (ratio, alphas) in enumerate(zip(ratios, grids, strict=True)):
                    path = solve_path(
                        objective,
                        partial(_strength, ratio, bool(self.positive)),
                        alphas.tolist(),
                        tol=tol * unit(objective),
                        max_iter=most,
                    )
                    errors[r, f] = [looked_at(result.w) for result in path]
            mean = errors.mean(axis=1)
            best = np.unravel_index(np.argmin(mean), mean.shape)
            self.alpha_, self.l1_ratio_ = float(grids[best[0]][best[1]]), ratios[best[0]]
            self.alphas_ = (
                grids[0] if len(ratios) == 1 or not isinstance(self.alphas, (int, np.integer)) else np.array(grids)
            )
            self.mse_path_ = np.squeeze(np.moveaxis(errors, 2, 1))
            model = self._refitted(self.alpha_, self.l1_ratio_).fit(X, y, sample_weight=weight)
        self.coef_, self.intercept_ = model.coef_, model.intercept_
        self.dual_gap_, self.n_iter_ = model.dual_gap_, model.n_iter_
        return self

    def predict(self, X: Any) -> Array:
        """Predictions.

        Parameters
        ----------
        X : array or CSR (n_samples, n_features)

        Returns
        -------
        array (n_samples,)
        """
        return self._scores(X)


@final
class ElasticNetCV(_PathCV):
    """Elastic net whose strength, and share of L1, the squared error of rows held back chooses.

    Parameters
    ----------
    l1_ratio : float or sequence of float
    eps, alphas, fit_intercept, precompute, max_iter, tol, cv, copy_X, verbose, n_jobs, positive, random_state, \
selection
        As scikit-learn's; ``precompute`` as for ElasticNet, ``selection`` "cyclic", ``n_jobs`` threads, where it is
        given.

    Attributes
    ----------
    alpha_, l1_ratio_, alphas_, mse_path_, coef_, intercept_, dual_gap_, n_iter_, n_features_in_, feature_names_in_

    Examples
    --------
    >>> import numpy as np
    >>> from lossopt.sklearn import ElasticNetCV
    >>> X = np.random.default_rng(0).standard_normal((100, 5))
    >>> model = ElasticNetCV(l1_ratio=[0.5, 0.9, 1.0]).fit(X, X @ [1.0, 2.0, 0.0, 0.0, 0.0])
    >>> model.l1_ratio_, model.coef_.round(2)
    (1.0, array([1., 2., 0., 0., 0.]))
    """

    def __init__(
        self,
        *,
        l1_ratio: Any = 0.5,
        eps: float = 1e-3,
        alphas: Any = 100,
        fit_intercept: bool = True,
        precompute: Any = "auto",
        max_iter: int = 1000,
        tol: float = 1e-4,
        cv: Any = None,
        copy_X: bool = True,
        verbose: int = 0,
        n_jobs: int | None = None,
        positive: bool = False,
        random_state: Any = None,
        selection: str = "cyclic",
    ) -> None:
        self.l1_ratio = l1_ratio
        self.eps = eps
        self.alphas = alphas
        self.fit_intercept = fit_intercept
        self.precompute = precompute
        self.max_iter = max_iter
        self.tol = tol
        self.cv = cv
        self.copy_X = copy_X
        self.verbose = verbose
        self.n_jobs = n_jobs
        self.positive = positive
        self.random_state = random_state
        self.selection = selection

    def _ratios(self) -> list[float]:
        ratios = np.atleast_1d(np.asarray(self.l1_ratio, np.float64))
        if ratios.ndim != 1 or not len(ratios) or not ((ratios >= 0) & (ratios <= 1)).all():
            raise ValueError(f"ElasticNetCV: l1_ratio must be a number or numbers from 0 to 1, got {self.l1_ratio!r}")
        return [float(x) for x in ratios]

    def _refitted(self, alpha: float, ratio: float) -> ElasticNet:
        return ElasticNet(
            alpha,
            l1_ratio=ratio,
            fit_intercept=self.fit_intercept,
            max_iter=self.max_iter,
            tol=self.tol,
            positive=self.positive,
        )


@final
class LassoCV(_PathCV):
    """Lasso whose strength the squared error of rows held back chooses.

    Parameters
    ----------
    eps, alphas, fit_intercept, precompute, max_iter, tol, copy_X, cv, verbose, n_jobs, positive, random_state, \
selection
        As for ElasticNetCV.

    Attributes
    ----------
    alpha_, alphas_, mse_path_, coef_, intercept_, dual_gap_, n_iter_, n_features_in_, feature_names_in_

    Examples
    --------
    >>> import numpy as np
    >>> from lossopt.sklearn import LassoCV
    >>> X = np.random.default_rng(0).standard_normal((100, 3))
    >>> LassoCV(alphas=[0.01, 0.1, 1.0]).fit(X, X @ [1.0, 2.0, 0.0]).alpha_
    0.01
    """

    def __init__(
        self,
        *,
        eps: float = 1e-3,
        alphas: Any = 100,
        fit_intercept: bool = True,
        precompute: Any = "auto",
        max_iter: int = 1000,
        tol: float = 1e-4,
        copy_X: bool = True,
        cv: Any = None,
        verbose: bool = False,
        n_jobs: int | None = None,
        positive: bool = False,
        random_state: Any = None,
        selection: str = "cyclic",
    ) -> None:
        self.eps = eps
        self.alphas = alphas
        self.fit_intercept = fit_intercept
        self.precompute = precompute
        self.max_iter = max_iter
        self.tol = tol
        self.copy_X = copy_X
        self.cv = cv
        self.verbose = verbose
        self.n_jobs = n_jobs
        self.positive = positive
        self.random_state = random_state
        self.selection = selection

    def _ratios(self) -> list[float]:
        return [1.0]

    def _refitted(self, alpha: float, ratio: float) -> Lasso:
        return Lasso(
            alpha, fit_intercept=self.fit_intercept, max_iter=self.max_iter, tol=self.tol, positive=self.positive
        )


class _Given(BaseEstimator):  # type: ignore[misc]
    """A model whose predictions are there already."""

    _estimator_type = "regressor"

    def predict(self, predictions: Array) -> Array:
        return predictions


@final
class RidgeCV(MultiOutputMixin, RegressorMixin, _Folded, Linear):  # type: ignore[misc]
    """Ridge regression whose strength rows held back choose: each row in turn, in closed form, or those of folds.

    Parameters
    ----------
    alphas, fit_intercept, scoring, cv, gcv_mode, store_cv_results, alpha_per_target
        As scikit-learn's. Leaving each row out costs one decomposition, for all strengths; ``gcv_mode`` is that of X
        ("svd"), or of the smaller one of X'X and XX' ("eigen", "auto", None).

    Attributes
    ----------
    alpha_, best_score_, cv_results_, coef_, intercept_, n_features_in_, feature_names_in_

    Examples
    --------
    >>> import numpy as np
    >>> from lossopt.sklearn import RidgeCV
    >>> X = np.random.default_rng(0).standard_normal((50, 3))
    >>> RidgeCV(alphas=(0.1, 1.0, 10.0)).fit(X, X @ [1.0, 2.0, 0.0]).alpha_
    0.1
    """

    def __init__(
        self,
        alphas: Any = (0.1, 1.0, 10.0),
        *,
        fit_intercept: bool = True,
        scoring: Any = None,
        cv: Any = None,
        gcv_mode: str | None = None,
        store_cv_results: bool = False,
        alpha_per_target: bool = False,
    ) -> None:
        self.alphas = alphas
        self.fit_intercept = fit_intercept
        self.scoring = scoring
        self.cv = cv
        self.gcv_mode = gcv_mode
        self.store_cv_results = store_cv_results
        self.alpha_per_target = alpha_per_target

    def _scorer(self) -> Any:
        if self.scoring is None:
            return get_scorer("neg_mean_squared_error" if self.cv is None else "r2")
        return check_scoring(self, self.scoring)

    def fit(self, X: Any, y: Any, sample_weight: Any = None, **params: Any) -> RidgeCV:
        """Choose the strength, and fit.

        Parameters
        ----------
        X : array or CSR (n_samples, n_features)
        y : array (n_samples,) or (n_samples, n_targets)
        sample_weight : array (n_samples,) or float, optional
            Of the fit, and of the score.
        **params
            For the splitter and the scorer, where scikit-learn's metadata routing is on.

        Returns
        -------
        self
        """
        alphas = np.atleast_1d(np.asarray(self.alphas, np.float64))
        low = "positive" if self.cv is None else "0 or more"
        if alphas.ndim != 1 or not len(alphas) or not (alphas > 0 if self.cv is None else alphas >= 0).all():
            raise ValueError(f"RidgeCV: alphas must be {low}, got {self.alphas!r}")
        if self.gcv_mode not in (None, "auto", "svd", "eigen"):
            raise ValueError(f"RidgeCV: gcv_mode must be 'auto', 'svd', 'eigen' or None, got {self.gcv_mode!r}")
        for name in ("store_cv_results", "alpha_per_target"):
            if self.cv is not None and getattr(self, name):
                raise ValueError(f"cv!=None and {name}=True are incompatible")
        X, y = self._rows(X, y, multi_output=True, y_numeric=True)
        y = np.asarray(y, X.dtype)
        weight = weights(sample_weight, X)
        if self.cv is None:
            self._leaving_one_out(X, y, weight, alphas, sample_weight, params)
            return self
        folds, given = self._split(X, y, False, weight, params)
        scorer, scores = self._scorer(), np.empty((len(alphas), len(folds)))
        for f, (train, test) in enumerate(folds):
            own = None if weight is None else weight[train]
            for a, alpha in enumerate(alphas):
                model = Ridge(alpha, fit_intercept=self.fit_intercept).fit(X[train], y[train], sample_weight=own)
                scores[a, f] = scorer(model, X[test], y[test], **_part(given, test))
        mean = scores.mean(axis=1)
        self.alpha_, self.best_score_ = float(alphas[mean.argmax()]), float(mean.max())
        model = Ridge(self.alpha_, fit_intercept=self.fit_intercept).fit(X, y, sample_weight=weight)
        self.coef_, self.intercept_ = model.coef_, model.intercept_
        return self

    def _leaving_one_out(
        self, X: Any, y: Array, weight: Array | None, alphas: Array, sample_weight: Any, params: dict[str, Any]
    ) -> None:
        """With U diag(s) V' of the centred rows: row i's error, fitted with it, over 1 - h_ii."""
        n, d = X.shape
        targets = np.asarray(y, np.float64).reshape(n, -1)
        of = Centered(X, targets, weight, bool(self.fit_intercept))
        goal, rows, w = of.targets, of.dense(), of.weight
        if self.gcv_mode == "svd":
            U, s, Vt = np.linalg.svd(rows, full_matrices=False)
            kept = s > s.max(initial=0) * np.finfo(np.float64).eps
            U, s, V = U[:, kept], s[kept], Vt[kept].T
        else:
            squares, vectors = np.linalg.eigh(rows @ rows.T if n <= d else rows.T @ rows)
            kept = squares > squares.max(initial=0) * np.finfo(np.float64).eps
            s, vectors = np.sqrt(squares[kept]), vectors[:, kept]
            U, V = (vectors, rows.T @ vectors / s) if n <= d else (rows @ vectors / s, vectors)
        along, leverage = U.T @ goal, U**2
        told = []
        for alpha in alphas:
            gain = s**2 / (s**2 + alpha)
            left = 1 - leverage @ gain - of.share
            with np.errstate(divide="ignore", invalid="ignore"):
                error = (goal - U @ (gain[:, None] * along)) / of.root / left[:, None]
            # a row of weight 0 is no row, and one that alone decides has no error to tell
            error = np.where(np.isfinite(error), error, 0.0)
            told.append(w[:, None] * error**2 if self.scoring is None else targets - error)
        if self.scoring is None:
            scores = np.array([-x.mean(axis=0) for x in told])
            scores = scores if self.alpha_per_target else scores.mean(axis=1, keepdims=True)
        else:
            given = {} if sample_weight is None else {"sample_weight": w}
            if get_config()["enable_metadata_routing"]:
                given = dict(process_routing(self, "fit", sample_weight=sample_weight, **params).scorer.score)
            scorer, judge = self._scorer(), _Given()
            parts = [[c] for c in range(targets.shape[1])] if self.alpha_per_target else [list(range(targets.shape[1]))]
            flat = targets.shape[1] == 1 or self.alpha_per_target
            scores = np.array(
                [
                    [scorer(judge, *((z[:, p[0]], targets[:, p[0]]) if flat else (z, targets)), **given) for p in parts]
                    for z in told
                ]
            )
        best = scores.argmax(axis=0)
        chosen = alphas[best]
        coef = (V @ (along * s[:, None] / (s[:, None] ** 2 + chosen))).T
        self.coef_ = coef.astype(X.dtype)
        self.intercept_ = of.intercept(coef).astype(X.dtype) if self.fit_intercept else 0.0
        if y.ndim == 1 or y.shape[1] == 1:
            self.coef_ = self.coef_[0]
            if y.ndim == 1 and self.fit_intercept:
                self.intercept_ = self.intercept_[0]
        per = self.alpha_per_target and y.ndim == 2
        self.alpha_ = chosen if per else float(chosen[0])
        self.best_score_ = scores.max(axis=0) if per else float(scores.max())
        if self.store_cv_results:
            stacked = np.stack(told, axis=-1)
            self.cv_results_ = stacked[:, 0] if y.ndim == 1 else stacked

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
class LogisticRegressionCV(_Folded, Logistic):
    """Logistic regression whose C, and share of L1, the score of rows held back chooses.

    Parameters
    ----------
    Cs : int or sequence of float
        So many between 1e-4 and 1e4, or themselves.
    l1_ratios : sequence of float, optional
        None: 0.
    fit_intercept, cv, dual, penalty, scoring, solver, tol, max_iter, class_weight, n_jobs, verbose, refit, \
intercept_scaling, random_state
        As scikit-learn's, and as for LogisticRegression; ``scoring=None`` is the accuracy.
    use_legacy_attributes : bool
        True: ``scores_``, ``coefs_paths_``, ``C_``, ``l1_ratio_`` and ``n_iter_`` are by class, as before scikit-learn
        1.10.

    Attributes
    ----------
    classes_, coef_, intercept_, Cs_, l1_ratios_, C_, l1_ratio_, scores_, coefs_paths_, n_iter_, n_features_in_, \
feature_names_in_

    Examples
    --------
    >>> from lossopt.sklearn import LogisticRegressionCV
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> model = LogisticRegressionCV(Cs=[0.1, 1.0, 10.0], scoring="neg_log_loss", use_legacy_attributes=False).fit(X, y)
    >>> model.C_, model.scores_.shape
    (10.0, (5, 1, 3))
    """

    def __init__(
        self,
        *,
        Cs: Any = 10,
        l1_ratios: Any = None,
        fit_intercept: bool = True,
        cv: Any = None,
        dual: bool = False,
        penalty: Any = "deprecated",
        scoring: Any = None,
        solver: str = "auto",
        tol: float = 1e-4,
        max_iter: int = 10_000,
        class_weight: Any = None,
        n_jobs: int | None = None,
        verbose: int = 0,
        refit: bool = True,
        intercept_scaling: float = 1,
        random_state: Any = None,
        use_legacy_attributes: bool = True,
    ) -> None:
        self.Cs = Cs
        self.l1_ratios = l1_ratios
        self.fit_intercept = fit_intercept
        self.cv = cv
        self.dual = dual
        self.penalty = penalty
        self.scoring = scoring
        self.solver = solver
        self.tol = tol
        self.max_iter = max_iter
        self.class_weight = class_weight
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.refit = refit
        self.intercept_scaling = intercept_scaling
        self.random_state = random_state
        self.use_legacy_attributes = use_legacy_attributes

    def _scorer(self) -> Any:
        return get_scorer("accuracy" if self.scoring is None else self.scoring)

    def _informed(self) -> Any:
        """The scorer; one that asks for it is told of all classes, whichever a fold has."""
        scorer = self._scorer()
        judge = vars(scorer).get("_score_func")
        asks = {} if judge is None else signature(judge).parameters
        if "labels" not in asks:
            return scorer
        known = {"labels": self.classes_}
        if "pos_label" in asks and len(self.classes_) == 2:
            known["pos_label"] = self.classes_[-1]
        return make_scorer(
            judge,
            greater_is_better=scorer._sign == 1,
            response_method=scorer._response_method,
            **known | scorer._kwargs,
        )

    def fit(self, X: Any, y: Any, sample_weight: Any = None, **params: Any) -> LogisticRegressionCV:
        """Fit each fold with each C, and the best on all rows.

        Parameters
        ----------
        X : array or CSR (n_samples, n_features)
        y : array (n_samples,)
        sample_weight : array (n_samples,) or float, optional
            Of the fit, and of each fold's score.
        **params
            For the splitter and the scorer, where scikit-learn's metadata routing is on.

        Returns
        -------
        self
        """
        method, tol, most = self._way()
        Cs = (
            np.logspace(-4, 4, count(self, "Cs"))
            if isinstance(self.Cs, (int, np.integer))
            else np.array(self.Cs, float)
        )
        ratios = [0.0] if self.l1_ratios is None else list(self.l1_ratios)
        for C in Cs:
            for ratio in ratios:
                self._penalized(C, ratio, 1.0)
        with jobs(self.n_jobs):
            X, y, labels = self._labelled(X, y)
            weight = self._weighed(self.class_weight, sample_weight, X, y, labels)
            folds, given = self._split(X, y, True, weights(sample_weight, X), params)
            scorer = self._informed()
            scores = np.empty((len(folds), len(ratios), len(Cs)))
            rounds = np.empty(scores.shape, np.int32)
            objective, mass = self._objective(X, labels, weight)
            paths = np.empty((*scores.shape, objective.zeros().size))
            shown = LogisticRegression(fit_intercept=self.fit_intercept)
            shown.classes_, shown.n_features_in_ = self.classes_, X.shape[1]
            for f, (train, test) in enumerate(folds):
                part, part_mass = self._objective(X[train], labels[train], None if weight is None else weight[train])
                for r, ratio in enumerate(ratios):
                    start = None
                    for c in np.argsort(Cs):
                        penalty = self._penalized(Cs[c], ratio, part_mass)
                        start, rounds[f, r, c] = self._minimum(part, penalty, method, tol, most, start)
                        paths[f, r, c] = start
                        shown._take(part, start)
                        scores[f, r, c] = scorer(shown, X[test], y[test], **_part(given, test))
            if self.refit:
                r, c = np.unravel_index(scores.sum(axis=0).argmax(), scores.shape[1:])
                chosen, ratio = Cs[c], ratios[r]
                penalty = self._penalized(chosen, ratio, mass)
                start = paths[:, r, c].mean(axis=0).astype(X.dtype)
                w, _ = self._minimum(objective, penalty, method, tol, most, start)
            else:
                each = [np.unravel_index(x.argmax(), x.shape) for x in scores]
                w = np.mean([paths[f, r, c] for f, (r, c) in enumerate(each)], axis=0).astype(X.dtype)
                chosen, ratio = (np.mean([of[i[at]] for i in each]) for of, at in ((Cs, 1), (np.array(ratios), 0)))
        self._take(objective, w)
        self.Cs_, self.l1_ratios_ = Cs, np.array([None] if self.l1_ratios is None else ratios)
        k = objective.n_outputs
        # (folds, ratios, Cs, outputs, features and intercept)
        parts = [objective.unpack(x) for x in paths.reshape(-1, paths.shape[-1])]
        wide = np.array([np.c_[a, b] if self.fit_intercept else a for a, b in parts]).reshape(*scores.shape, k, -1)
        told: Any = scores, rounds, wide, float(chosen), float(ratio)
        if self.use_legacy_attributes:
            told = self._by_class(k, *told)
        self.scores_, self.n_iter_, self.coefs_paths_, self.C_, self.l1_ratio_ = told
        return self

    def _by_class(self, k: int, scores: Array, rounds: Array, paths: Array, C: float, ratio: float) -> Any:
        """The attributes as they were before scikit-learn 1.10."""
        names = self.classes_[1:] if k == 1 else self.classes_
        plain = self.l1_ratios is None
        scores, rounds = (x[:, 0] if plain else np.swapaxes(x, 1, 2) for x in (scores, rounds))
        each = [x[:, :, 0] if plain else x for x in np.moveaxis(paths, (3, 2), (0, 2))]
        by_name = dict.fromkeys(names, scores), rounds[None], dict(zip(names, each, strict=True))
        return *by_name, np.full(k, C), np.full(k, ratio)

    def score(self, X: Any, y: Any, sample_weight: Any = None, **score_params: Any) -> float:
        """The score of `scoring`.

        Parameters
        ----------
        X : array or CSR (n_samples, n_features)
        y : array (n_samples,)
        sample_weight : array (n_samples,), optional
        **score_params
            For the scorer.

        Returns
        -------
        float
        """
        more = score_params | ({} if sample_weight is None else {"sample_weight": sample_weight})
        if get_config()["enable_metadata_routing"]:
            more = dict(process_routing(self, "score", **more).scorer.score)
        return float(self._scorer()(self, X, y, **more))
