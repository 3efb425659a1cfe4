"""Ranking: losses of documents that compete within their query, where the top of the list counts most."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lossopt import _arrays, _kernels
from lossopt.losses import Loss, _Outside, _within

__all__ = ["RANKINGS", "LambdaRank", "ListNet", "PairwiseRanking"]

Array = NDArray[Any]


def _with_ids(target: ArrayLike) -> Array:
    """Relevance and number of the query, a row each; without numbers all rows are one query's."""
    y = _arrays.floats("target", target, np.dtype(np.float64))
    return y if y.ndim == 2 and y.shape[1] == 2 else np.stack([y, np.zeros_like(y)], axis=-1)


class _Queries(_Outside):
    """A ranking loss where a kernel would be: rows are sorted by query and falling score, then each query is a row."""

    def __init__(self, owner: _Ranking) -> None:
        self.owner = owner

    def _sorted(self, z: Array, y: Array, rows: Array) -> tuple[Array, Array]:
        """Rows in order, and where each query begins among them, with the end."""
        ids, z = y[rows, 1], z.reshape(-1)[rows]
        order = np.lexsort((-z, ids))
        first = np.flatnonzero(np.diff(ids[order], prepend=-1) != 0)
        return rows[order], np.append(first, len(rows)).astype(np.int64)

    def _run(
        self, z: Array, y: Array, weight: Array | None, scale: float, slopes: bool
    ) -> tuple[Array, Array, Array, Array, Array | None]:
        """Rows in order, begins, what each query weighs, its value, and the gradients of the rows in order."""
        # a row of weight 0 is no row, whatever it holds
        rows = np.arange(len(y)) if weight is None else np.flatnonzero(weight)
        order, begins = self._sorted(z, y, rows)
        scores = np.ascontiguousarray(z.reshape(-1)[order])
        kernel, targets = self.owner._made_of(y[order, 0], begins)
        share = np.diff(begins).astype(np.float64)
        if weight is not None and len(order):
            share = np.add.reduceat(weight[order], begins[:-1], dtype=np.float64)
        value = np.empty(len(begins) - 1, z.dtype)
        gradient = np.empty_like(scores) if slopes else None
        factor = (scale * share).astype(z.dtype)
        _kernels.losses.grouped(kernel, scores, targets.astype(z.dtype), begins, factor, value, gradient)
        return order, begins, share, value, gradient

    def value_and_grad(
        self, z: Array, y: Array, weight: Array | None, out: Array | None, k: int, scale: float
    ) -> float:
        order, _, share, value, gradient = self._run(z, y, weight, scale, out is not None)
        if out is not None:
            out[...] = 0
            out.reshape(-1)[order] = gradient
        return float(_kernels.losses.sum(value * share))

    def pointwise(self, z: Array, y: Array, out: Array, k: int) -> None:
        order, begins, _, value, _ = self._run(z, y, None, 1.0, False)
        out[order] = np.repeat(value, np.diff(begins))


class _Ranking(Loss, ABC):
    """Scores (n,) of documents; `group` says which query each belongs to. The mean is one over queries."""

    _by_query = True

    @abstractmethod
    def __init__(self) -> None: ...

    @abstractmethod
    def _made_of(self, relevance: Array, begins: Array) -> tuple[Any, Array]:
        """The kernel and what it takes for targets, for rows by query and falling score."""

    def _checked(self, name: str, relevance: Array) -> None:
        _within(name, relevance, -np.finfo(np.float64).max, np.finfo(np.float64).max)
        if np.isnan(relevance).any():
            raise ValueError(f"{name} must be finite, got nan")

    def _with(self, target: ArrayLike, group: ArrayLike | None, name: str = "target") -> Array:
        y = _arrays.floats(name, target, np.dtype(np.float64))
        if y.ndim != 1:
            raise ValueError(f"{name} must have shape (n,), a relevance a document, got {_arrays.describe(y)}")
        if group is None:
            return _with_ids(y)
        ids = _arrays.read(group)
        try:
            numbers = np.unique(ids, return_inverse=True)[1].astype(np.float64)
        except TypeError:  # objects of kinds that have no order
            ids = np.empty(0)
        if ids.shape != y.shape or ids.dtype.kind not in "iubfSUO" or (ids != ids).any():
            raise ValueError(f"group must hold the query of each of {len(y)} documents, whole numbers or words, "
                             f"got {_arrays.describe(ids)}")  # fmt: skip
        return np.stack([y, numbers], axis=1)

    def _bind(
        self, shape: tuple[int, ...], dtype: np.dtype[Any], target: ArrayLike, name: str = "target"
    ) -> tuple[Any, Array]:
        if len(shape) != 1:
            raise ValueError(f"prediction must have shape (n,), a score a document, got shape {shape}")
        y = _with_ids(target)
        if y.shape != (*shape, 2):
            raise ValueError(f"{name} must have shape {shape}, a relevance a document, got {_arrays.describe(y)}")
        self._checked(name, np.ascontiguousarray(y[:, 0]))
        return self._kernel, y

    def _weigh(self, target: ArrayLike, weight: Array | None, dtype: np.dtype[Any]) -> Array | None:
        """Each document's part of its query, which so weighs 1, or what all its documents are given."""
        ids = _with_ids(target)[:, 1].astype(np.int64)
        given = np.ones(len(ids)) if weight is None else weight
        sizes = np.bincount(ids, given != 0)
        if weight is not None:
            most = np.zeros(len(sizes))
            np.maximum.at(most, ids, given)
            if (odd := given[(given != 0) & (given != most[ids])]).size:
                raise ValueError(f"sample_weight must be the same for all documents of a query, or 0, got {odd[0]}")
        return np.ascontiguousarray(given / np.maximum(sizes, 1)[ids], dtype)

    def _outputs(self, y: Array) -> int:
        return 1

    def _terms(self, shape: tuple[int, ...]) -> int:
        return 1

    def _rows(self, y: Array) -> tuple[Array, Array]:
        ids = _with_ids(y)[:, 1]
        order = np.argsort(ids, kind="stable")
        return order, np.append(np.flatnonzero(np.diff(ids[order], prepend=-1) != 0), len(ids))

    def __call__(
        self,
        prediction: ArrayLike,
        target: ArrayLike,
        sample_weight: ArrayLike | None = None,
        group: ArrayLike | None = None,
    ) -> float:
        """The loss of all queries together.

        Parameters
        ----------
        prediction : array (n,)
            A score a document; float32 stays float32, everything else is read as float64.
        target : array (n,)
            How relevant each document is; larger is better.
        sample_weight : array (n,), optional
            Not negative: 0 is the document removed, any other number is the same for all documents of a query and
            says how often the query counts.
        group : array (n,) of whole numbers or words, optional
            The query of each document, in any order. Without it all are one query's.

        Returns
        -------
        float

        Raises
        ------
        ValueError, TypeError
            An argument has the wrong shape, type or range; the sentence names it.
        """
        return super().__call__(prediction, self._with(target, group), sample_weight)

    def value_and_grad(
        self,
        prediction: ArrayLike,
        target: ArrayLike,
        sample_weight: ArrayLike | None = None,
        out: Array | None = None,
        group: ArrayLike | None = None,
    ) -> tuple[float, Array]:
        """The loss and its gradient with respect to the prediction.

        Parameters
        ----------
        prediction, target, sample_weight, group
            As for calling the loss.
        out : array like prediction, optional
            Where the gradient is written; it may be exactly `prediction`, and overlaps nothing else.

        Returns
        -------
        value : float
        grad : array (n,)

        Raises
        ------
        ValueError, TypeError
            An argument has the wrong shape, type or range; nothing has been written then.
        """
        return super().value_and_grad(prediction, self._with(target, group), sample_weight, out)

    def pointwise(self, prediction: ArrayLike, target: ArrayLike, group: ArrayLike | None = None) -> Array:
        """The loss of each document's query.

        Parameters
        ----------
        prediction, target, group
            As for calling the loss.

        Returns
        -------
        array (n,)

        Raises
        ------
        ValueError, TypeError
            As for calling the loss.
        """
        y = self._with(target, group)
        z, kernel, y = self._read(prediction, y)
        out: Array = np.zeros(len(z), z.dtype)
        kernel.pointwise(z, y, out, 1)
        return out

    def _queries(self, reduction: str) -> None:
        self._reduced(reduction, _Queries(self))
        self._direct = None


class PairwiseRanking(_Ranking):
    """Logistic loss of pairs: how likely the less relevant of two documents is to come first.

    Of a query: ``value = mean of log(1 + exp(z_j - z_i))`` over its pairs with ``y_i > y_j``, 0 where there are none;
    then the mean over queries.

    Parameters
    ----------
    reduction : "mean" or "sum"
        Over queries.

    Notes
    -----
    Takes time in the square of the documents of a query. Source: chapter "Loss Functions and Optimization", ranking;
    Burges et al. 2005 (RankNet).

    Examples
    --------
    >>> import lossopt as lo
    >>> loss = lo.PairwiseRanking()
    >>> value, grad = loss.value_and_grad([1.0, 0.0, 5.0], [1, 0, 3], group=[7, 7, 8])
    >>> round(value, 6), grad.round(6)
    (0.156631, array([-0.134471,  0.134471,  0.      ]))
    """

    def __init__(self, reduction: str = "mean") -> None:
        self._queries(reduction)

    def _formula(self) -> str:
        return "log(1 + exp(z_j - z_i)), mean over the pairs of a query with y_i > y_j"

    def _made_of(self, relevance: Array, begins: Array) -> tuple[Any, Array]:
        return _kernels.losses.pairs_of_rows(None, 0), relevance


class ListNet(_Ranking):
    """Cross-entropy between what relevances and what scores say of who comes first.

    Of a query: ``value = -sum_i softmax(y)_i log softmax(z)_i`` over its documents; then the mean over queries.

    Parameters
    ----------
    reduction : "mean" or "sum"
        Over queries.

    Notes
    -----
    Linear in the number of documents. Its least value is the entropy of softmax(y), not 0.
    Source: Cao et al. 2007, the top-one form.

    Examples
    --------
    >>> import lossopt as lo
    >>> round(lo.ListNet()([0.0, 0.0, 1.0], [0, 3, 1], group=[0, 0, 1]), 6)
    0.346574
    """

    def __init__(self, reduction: str = "mean") -> None:
        self._queries(reduction)

    def _formula(self) -> str:
        return "-sum over documents i of a query of softmax(y)_i log softmax(z)_i"

    def _made_of(self, relevance: Array, begins: Array) -> tuple[Any, Array]:
        sizes, first = np.diff(begins), begins[:-1]
        if not len(relevance):
            return _kernels.losses.softmax_probabilities(), relevance
        e = np.exp(relevance - np.repeat(np.maximum.reduceat(relevance, first), sizes))
        return _kernels.losses.softmax_probabilities(), e / np.repeat(np.add.reduceat(e, first), sizes)


class LambdaRank(_Ranking):
    """Logistic loss of pairs, each weighed by what swapping the two would do to the NDCG: errors at the top cost most.

    Of a query: ``value = sum of |N_ij| log(1 + exp(z_j - z_i))`` over its pairs with ``y_i > y_j``, where
    ``N_ij = (G_i - G_j) (D_i - D_j) / ideal``, ``G = 2**y - 1``, ``D = 1 / log2(1 + place)`` at the places 1, 2, ...
    that the scores make (0 beyond k), and ideal is the largest ``sum G D``; then the mean over queries.

    Parameters
    ----------
    k : int, optional
        Look at the first k places: NDCG@k. Then pairs that are both beyond cost nothing, neither in money nor in time.
    reduction : "mean" or "sum"
        Over queries.

    Notes
    -----
    Relevances lie in [0, 100]. The gradient is that of the pairs, with the places as they are; of equal scores the
    earlier row comes first. Source: Burges et al. 2006; as a loss, Wang et al. 2018. LightGBM's ``lambdarank`` and
    XGBoost's ``rank:ndcg`` weigh pairs so, and scale the sum by other norms.

    Examples
    --------
    >>> import lossopt as lo
    >>> loss = lo.LambdaRank()
    >>> value, grad = loss.value_and_grad([0.2, 0.1, 0.3], [3, 0, 1])
    >>> round(value, 6), grad.round(6)
    (0.332603, array([-0.209396,  0.086548,  0.122848]))
    >>> round(loss.ndcg([0.2, 0.1, 0.3], [3, 0, 1]), 5)
    0.70981
    """

    def __init__(self, k: int | None = None, reduction: str = "mean") -> None:
        if k is not None and (isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1):
            raise ValueError(f"LambdaRank: k must be a positive whole number, got {k!r}")
        self.k = k
        self._queries(reduction)

    def _formula(self) -> str:
        ndcg = "NDCG" if self.k is None else f"NDCG@{self.k}"
        pairs = "sum over the pairs of a query with y_i > y_j"
        return f"|N_ij| log(1 + exp(z_j - z_i)), {pairs}, N_ij what swapping the two does to {ndcg}"

    def _checked(self, name: str, relevance: Array) -> None:
        super()._checked(name, relevance)
        _within(name, relevance, 0, 100)

    def _places(self, sizes: Array) -> Array:
        """The discount of each place of the longest query."""
        places = 1 / np.log2(2.0 + np.arange(sizes.max(initial=0)))
        if self.k is not None:
            places[self.k :] = 0
        return places

    def _gains(self, relevance: Array, begins: Array) -> tuple[Array, Array, Array]:
        """Gains over the ideal of their query, discounts of all places, and the place of each row."""
        sizes = np.diff(begins)
        gains, place = np.exp2(relevance) - 1, np.arange(len(relevance)) - np.repeat(begins[:-1], sizes)
        discounts = self._places(sizes)
        if not len(gains):
            return gains, discounts, place
        ids = np.repeat(np.arange(len(sizes)), sizes)
        best = gains[np.lexsort((-gains, ids))]
        ideal = np.add.reduceat(best * discounts[place], begins[:-1])
        return gains / np.repeat(np.where(ideal > 0, ideal, 1), sizes), discounts, place

    def _made_of(self, relevance: Array, begins: Array) -> tuple[Any, Array]:
        gains, discounts, _ = self._gains(relevance, begins)
        top = len(discounts) if self.k is None else min(int(self.k), len(discounts))
        return _kernels.losses.pairs_of_rows(discounts if len(discounts) else np.zeros(1), top), gains

    def ndcg(self, prediction: ArrayLike, target: ArrayLike, group: ArrayLike | None = None) -> float:
        """Normalized discounted cumulative gain, the mean over queries: 1 is a perfect order.

        Parameters
        ----------
        prediction, target, group
            As for calling the loss.

        Returns
        -------
        float
            In [0, 1]; a query without a relevant document counts 0, as scikit-learn's ``ndcg_score``.

        Raises
        ------
        ValueError, TypeError
            As for calling the loss.
        """
        z, kernel, y = self._read(prediction, self._with(target, group))
        if not len(z):
            return 0.0
        order, begins = kernel._sorted(z, y, np.arange(len(z)))
        gains, discounts, place = self._gains(y[order, 0], begins)
        return float((gains * discounts[place]).sum() / (len(begins) - 1))


RANKINGS: dict[str, type[Loss]] = {
    "pairwise_ranking": PairwiseRanking,
    "list_net": ListNet,
    "lambda_rank": LambdaRank,
}
