"""An objective over more rows than one machine holds: dask arrays on a cluster of dask.distributed."""

from __future__ import annotations

from typing import Any, final

try:
    import dask
    import distributed
    from dask import delayed
except ImportError:
    raise ImportError("lossopt.dask needs dask and distributed: pip install 'lossopt[dask]'") from None

import numpy as np
from numpy.typing import ArrayLike, NDArray

import lossopt as lo
from lossopt import _arrays
from lossopt.losses import Loss
from lossopt.penalties import Penalty

__all__ = ["Objective"]

Array = NDArray[Any]

# sums that one task adds: the tree's shape depends on the number of chunks alone
_FAN = 8


def _part(X: Any, y: Any, sample_weight: Any, loss: Loss, fit_intercept: bool, n_outputs: int) -> lo.Objective:
    """A chunk's rows where they lie: their objective, as a sum."""
    return lo.Objective(X, y, loss, None, sample_weight, fit_intercept, n_outputs)


def _outputs(loss: Loss, y: Any) -> int:
    return loss._outputs(_arrays.read(y))


def _about(part: lo.Objective) -> tuple[float, int, np.dtype[Any]]:
    return part._mass, part.n_outputs, part.X.dtype


def _evaluated(part: lo.Objective, w: Array) -> tuple[Any, ...]:
    return part.data_value_and_grad(w)


def _curved(part: lo.Objective, w: Array) -> tuple[Any, ...]:
    return (part.hessian(w),)


def _bent(part: lo.Objective, w: Array, v: Array) -> tuple[Any, ...]:
    return (part.hessp(w, v),)


def _added(sums: list[tuple[Any, ...]]) -> tuple[Any, ...]:
    """Sums of a few chunks, in their order."""
    first = list(sums[0])
    for other in sums[1:]:
        first = [a + b for a, b in zip(first, other, strict=True)]
    return tuple(first)


@final
class Objective:
    """A linear model's mean loss plus penalty over the chunks of dask arrays: `lossopt.Objective` on a cluster.

    ``value(w) = loss(X @ W.T + b, y) + penalty(W)`` with w as there. One task a chunk makes its loss and gradient where
    the chunk lies; a tree of sums, whose shape depends on the number of chunks alone, adds them up, so that any number
    of workers of one level (`lossopt.info`) gives the same bits.

    Parameters
    ----------
    X : dask array (n_samples, n_features)
        In chunks of rows; chunks of columns are put together. float64 or float32, or blocks of scipy's CSR.
    y : dask array
        Targets as the loss takes them; its chunks become those of X.
    loss : Loss
        Of rows: not a ranking loss.
    penalty : Penalty, optional
    sample_weight : dask array (n_samples,), optional
    fit_intercept : bool
    n_outputs : int, optional
        As for `lossopt.Objective`.
    client : distributed.Client, optional
        By default the one that was made last.
    progress : bool
        Show evaluations, seconds and values as they come; needs tqdm.

    Raises
    ------
    ValueError, TypeError
        An argument has the wrong shape, type or range, or there is no client; the sentence names it. What a chunk holds
        is looked at by the workers, when the objective is made.

    Notes
    -----
    The chunks stay in the workers' memory. A worker that dies costs the time to make its chunks again, from the tasks
    that made them: read data by tasks (``dask.array.from_npy_stack``, ``from_delayed`` over files), not from memory of
    the client.

    Examples
    --------
    >>> import dask.array as da, lossopt as lo, lossopt.dask
    >>> from distributed import Client
    >>> with Client(processes=False, dashboard_address=":0") as client:
    ...     X = da.random.default_rng(0).standard_normal((1000, 3), chunks=(250, 3))
    ...     objective = lossopt.dask.Objective(X, X[:, 0] - X[:, 1], lo.MSE(), lo.L2(0.01))
    ...     lo.solve(objective).w.round(2) + 0.0
    array([ 0.99, -0.99,  0.  ,  0.  ])
    """

    def __init__(
        self,
        X: Any,
        y: Any,
        loss: Loss,
        penalty: Penalty | None = None,
        sample_weight: Any = None,
        fit_intercept: bool = True,
        n_outputs: int | None = None,
        client: Any = None,
        progress: bool = False,
    ) -> None:
        if not isinstance(loss, Loss):
            raise TypeError(f"loss must be a Loss, got {loss!r}")
        if type(loss) in lo.RANKINGS.values():
            raise TypeError(f"loss must look at each row alone, got {loss!r}: queries may lie across chunks")
        if penalty is not None and not isinstance(penalty, Penalty):
            raise TypeError(f"penalty must be a Penalty, got {penalty!r}")
        for name, x in (("X", X), ("y", y), ("sample_weight", sample_weight)):
            if x is not None and not dask.is_dask_collection(x):
                raise TypeError(f"{name} must be a dask array, got {_arrays.describe(x)}")
            if x is not None and any(np.isnan(size) for size in x.shape):
                raise ValueError(f"{name} must know its shape: call its compute_chunk_sizes() first")
            if x is not None and x.shape[:1] != X.shape[:1]:
                raise ValueError(
                    f"{name} must have a number for each of the {X.shape[0]} rows of X, got shape {x.shape}"
                )
        if X.ndim != 2:
            raise ValueError(f"X must have shape (n_samples, n_features), got shape {X.shape}")
        try:
            self.client = distributed.get_client() if client is None else client
        except ValueError:
            raise ValueError("client must be given, or a distributed.Client be made before") from None
        self.loss, self.penalty, self.fit_intercept = loss, penalty, fit_intercept
        X = X.rechunk({1: -1})
        columns = [X.to_delayed()[:, 0]]
        for x in (y, sample_weight):
            rows = (
                None
                if x is None
                else x.rechunk((X.chunks[0], *[-1] * (x.ndim - 1))).to_delayed().reshape(len(columns[0]))
            )
            columns.append([None] * len(columns[0]) if rows is None else rows)
        if n_outputs is None:
            n_outputs = max(self._gathered([delayed(_outputs)(loss, rows) for rows in columns[1]]))
        # the sum of a chunk has no share in the mean of all
        summed = type(loss)(**loss._arguments() | {"reduction": "sum"})
        made = [delayed(_part)(*rows, summed, fit_intercept, n_outputs) for rows in zip(*columns, strict=True)]
        # the tasks that make a chunk are kept: a worker that is lost costs their time
        self._parts = self.client.persist(made)
        about = self._gathered([delayed(_about)(part) for part in self._parts])
        self._mass, self.n_outputs, self._dtype = sum(x[0] for x in about), int(n_outputs), about[0][2]
        self.shape = X.shape
        self.size = self.n_outputs * (X.shape[1] + bool(fit_intercept))
        self._bar = None
        if progress:
            try:
                from tqdm.auto import tqdm
            except ImportError:
                raise ImportError("progress=True needs tqdm: pip install 'lossopt[cli]'") from None
            self._bar = tqdm(unit=" evaluations", desc=f"{len(made)} chunks")

    def _gathered(self, tasks: list[Any]) -> list[Any]:
        return list(self.client.gather(self.client.compute(tasks)))

    def _sum(self, function: Any, *args: Array) -> tuple[Any, ...]:
        """The sum over the chunks of what a function makes of each."""
        given = [delayed(x) for x in args]
        sums = [delayed(function)(part, *given) for part in self._parts]
        while len(sums) > 1:
            sums = [delayed(_added)(sums[i : i + _FAN]) for i in range(0, len(sums), _FAN)]
        made: tuple[Any, ...] = self._gathered(sums)[0]
        return made

    def zeros(self) -> Array:
        """A start: zeros, in the type of X.

        Returns
        -------
        array (size,)
        """
        return np.zeros(self.size, self._dtype)

    def unpack(self, w: Array) -> tuple[Array, Array]:
        """Weight and bias, as views of w.

        Parameters
        ----------
        w : array (size,)

        Returns
        -------
        weight : array (n_outputs, n_features)
        bias : array (n_outputs,), or (0,) without an intercept

        Raises
        ------
        ValueError
            w has another shape.
        """
        if w.shape != (self.size,):
            raise ValueError(f"w must have shape ({self.size},), got {_arrays.describe(w)}")
        weights = self.n_outputs * self.shape[1]
        return w[:weights].reshape(self.n_outputs, -1), w[weights:]

    def data_value_and_grad(self, w: ArrayLike) -> tuple[float, Array]:
        """The mean loss without the penalty, and its gradient, laid out as w.

        Parameters
        ----------
        w : array (size,)

        Returns
        -------
        value : float
        grad : array (size,)

        Raises
        ------
        ValueError, TypeError
            w has another shape, or holds no real numbers.
        """
        w = _arrays.floats("w", w)
        self.unpack(w)
        total, gradient = self._sum(_evaluated, w)
        value = self.loss._reduce(float(total), self._mass)
        if self._bar is not None:
            self._bar.update()
            self._bar.set_postfix(loss=f"{value:.6g}")
        return value, gradient * gradient.dtype.type(self.loss._scale(self._mass))

    def value_and_grad(self, w: ArrayLike) -> tuple[float, Array]:
        """Value and gradient at w; under L1 the least subgradient.

        Parameters
        ----------
        w : array (size,)

        Returns
        -------
        value : float
        grad : array (size,)

        Raises
        ------
        ValueError, TypeError
            w has another shape, or holds no real numbers.
        """
        w = _arrays.floats("w", w)
        value, gradient = self.data_value_and_grad(w)
        if self.penalty is not None:
            weight = self.unpack(w)[0]
            value += self.penalty._value(weight)
            self.penalty._add_grad(weight, self.unpack(gradient)[0])
        return value, gradient

    def __call__(self, w: ArrayLike) -> float:
        """The value alone."""
        return self.value_and_grad(w)[0]

    def _ridge(self) -> Array:
        """What the penalty adds to the Hessian's diagonal."""
        ridge = np.zeros(self.size)
        if self.penalty is not None:
            factors = getattr(self.penalty, "_factors", None)
            each = 2 * self.penalty._coefficients()[1] * (np.ones(self.shape[1]) if factors is None else factors)
            self.unpack(ridge)[0][...] = each
        return ridge

    def hessian(self, w: ArrayLike) -> Array:
        """The Hessian at w.

        Parameters
        ----------
        w : array (size,)

        Returns
        -------
        array (size, size), float64

        Raises
        ------
        ValueError, TypeError
            The loss has no second derivative, or w the wrong shape or no real numbers.
        """
        (total,) = self._sum(_curved, _arrays.floats("w", w))
        made: Array = total * self.loss._scale(self._mass)
        made[np.diag_indices(self.size)] += self._ridge()
        return made

    def hessp(self, w: ArrayLike, v: ArrayLike) -> Array:
        """The Hessian at w times a vector.

        Parameters
        ----------
        w, v : array (size,)

        Returns
        -------
        array (size,)

        Raises
        ------
        ValueError, TypeError
            The loss has no second derivative, or w or v the wrong shape or no real numbers.
        """
        w, v = _arrays.floats("w", w), _arrays.floats("v", v)
        (total,) = self._sum(_bent, w, v)
        made: Array = total * total.dtype.type(self.loss._scale(self._mass)) + (self._ridge() * v).astype(v.dtype)
        return made
