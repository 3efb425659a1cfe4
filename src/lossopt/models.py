"""Models: parameters by name, a forward pass, and the gradient back through it."""

from __future__ import annotations

from typing import Any, Protocol, final, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lossopt import _arrays, _kernels
from lossopt._arrays import CSR, Rows
from lossopt._component import Component, _construct
from lossopt.objective import linear_predict

Array = NDArray[Any]


@runtime_checkable
class Model(Protocol):
    """What a trainer asks of a model of your own.

    Attributes
    ----------
    params : dict of arrays
        float64 or float32, one dtype among them, C-contiguous, writable; the optimizer writes them in place. Arrays
        named ``bias``, or with a name that ends in ``.bias``, are never penalized.
    """

    params: dict[str, Array]

    def forward(self, X: Array) -> Array:
        """Raw scores of the rows of X: (n,) for one output, (n, k) for k of them."""

    def backward(self, grad_prediction: Array) -> dict[str, Array]:
        """The gradient of the loss for each of `params`, by name, given that of the last forward's prediction."""


@final
class Linear(Component):
    """A linear model: ``X @ weight.T + bias``.

    Parameters
    ----------
    n_features, n_outputs : int
    dtype : float64 or float32
    seed : int
        The start is uniform in ``+-1/sqrt(n_features)``, as torch's, and the same on every platform.

    Attributes
    ----------
    params : dict
        ``{"weight": (n_outputs, n_features), "bias": (n_outputs,)}``; the bias is never penalized.

    Examples
    --------
    >>> import lossopt as lo, numpy as np
    >>> model = lo.Linear(2)
    >>> model.params["weight"][...] = [[1.0, 2.0]]
    >>> model.params["bias"][...] = 0.5
    >>> model.predict(np.array([[1.0, 1.0], [0.0, 3.0]]))
    array([3.5, 6.5])
    """

    def __init__(self, n_features: int, n_outputs: int = 1, dtype: Any = np.float64, seed: int = 0) -> None:
        for name, size in (("n_features", n_features), ("n_outputs", n_outputs)):
            if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or size < 1:
                raise ValueError(f"Linear: {name} must be a positive whole number, got {size!r}")
        if np.dtype(dtype) not in _arrays.FLOATS:
            raise TypeError(f"Linear: dtype must be float64 or float32, got {dtype!r}")
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**64:
            raise ValueError(f"Linear: seed must be a whole number from 0 to 2**64 - 1, got {seed!r}")
        self.n_features = int(n_features)
        self.n_outputs = int(n_outputs)
        self.dtype = dtype
        self.seed = seed
        bits = np.random.Philox(key=seed).random_raw(self.n_outputs * (self.n_features + 1))
        # the raw stream of Philox is fixed for ever, unlike what NumPy makes of it
        start = ((bits >> np.uint64(11)) * 2.0**-52 - 1.0) / np.sqrt(self.n_features)
        weights = self.n_outputs * self.n_features
        self.params: dict[str, Array] = {
            "weight": start[:weights].reshape(self.n_outputs, self.n_features).astype(dtype),
            "bias": start[weights:].astype(dtype),
        }
        self._X: Array | CSR | None = None

    def _checked(self) -> dict[str, Array]:
        """The parameters in a fixed order, as the kernels expect them: anyone may have put others in their place."""
        shapes = {"weight": (self.n_outputs, self.n_features), "bias": (self.n_outputs,)}
        if self.params.keys() != shapes.keys():
            raise ValueError(f"Linear: params must be 'weight' and 'bias', got {sorted(self.params)}")
        dtype = np.dtype(self.dtype)
        return {n: _arrays.written(f"params[{n!r}]", self.params[n], dtype, shape) for n, shape in shapes.items()}

    def predict(self, X: Rows) -> Array:
        """Raw scores of the rows of X.

        Parameters
        ----------
        X : array or CSR (n, n_features)

        Returns
        -------
        array (n,) for one output, (n, n_outputs) otherwise
            Of the model's dtype.

        Raises
        ------
        ValueError, TypeError
            X is not (n, n_features) numbers.
        """
        return self._scores(_arrays.matrix("X", X, np.dtype(self.dtype)))

    def _scores(self, X: Array | CSR) -> Array:
        if X.shape[1] != self.n_features:
            raise ValueError(f"X must have {self.n_features} features, got {_arrays.describe(X)}")
        params = self._checked()
        return linear_predict(X, params["weight"], params["bias"])

    def forward(self, X: Rows) -> Array:
        """`predict`, and keep X for `backward`.

        Parameters
        ----------
        X : array or CSR (n, n_features)

        Returns
        -------
        array (n,) or (n, n_outputs)

        Raises
        ------
        ValueError, TypeError
            As for `predict`.
        """
        read = _arrays.matrix("X", X, np.dtype(self.dtype))
        prediction = self._scores(read)
        self._X = read
        return prediction

    def backward(self, grad_prediction: ArrayLike) -> dict[str, Array]:
        """The gradient of each parameter, given that of the last forward's prediction.

        Parameters
        ----------
        grad_prediction : array of the prediction's shape

        Returns
        -------
        dict of arrays
            With the names, shapes and dtype of `params`; fresh.

        Raises
        ------
        ValueError, TypeError
            There was no forward, or grad_prediction has another shape or holds no numbers.
        """
        if self._X is None:
            raise ValueError("backward needs a forward before it")
        shape = (len(self._X),) if self.n_outputs == 1 else (len(self._X), self.n_outputs)
        g = _arrays.floats("grad_prediction", grad_prediction, np.dtype(self.dtype))
        if g.shape != shape:
            raise ValueError(f"grad_prediction must have shape {shape}, got {_arrays.describe(g)}")
        grads = {name: np.empty_like(x) for name, x in self._checked().items()}
        if isinstance(self._X, CSR) or self.n_outputs <= _kernels.linear.MOST_OUTPUTS:
            _kernels.linear.gradient(self._X, g, grads["weight"], grads["bias"])
        else:
            grads["weight"][...] = g.T @ self._X
            grads["bias"][...] = g.sum(axis=0)
        return grads

    def __reduce__(self) -> tuple[Any, ...]:
        return _construct, (type(self), self._arguments()), {name: x.copy() for name, x in self.params.items()}

    def __setstate__(self, params: dict[str, Array]) -> None:
        for name, x in params.items():
            self.params[name][...] = x
