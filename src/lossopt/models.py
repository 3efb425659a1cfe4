"""Models: parameters by name, a forward pass, and the gradient back through it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from operator import is_not
from pathlib import Path
from typing import Any, Protocol, Self, final, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lossopt import _arrays, _kernels, checkpoint
from lossopt._arrays import CSR, Rows
from lossopt._component import Component, _construct
from lossopt.losses import evaluate
from lossopt.objective import linear_gradient, linear_predict, linear_value_and_grad

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


def _check_start(owner: str, dtype: Any, seed: Any) -> None:
    if np.dtype(dtype) not in _arrays.FLOATS:
        raise TypeError(f"{owner}: dtype must be float64 or float32, got {dtype!r}")
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**64:
        raise ValueError(f"{owner}: seed must be a whole number from 0 to 2**64 - 1, got {seed!r}")


def _uniform(seed: int, count: int) -> Array:
    """So many numbers from [-1, 1)."""
    # the raw stream of Philox is fixed for ever, unlike what NumPy makes of it
    uniform: Array = (np.random.Philox(key=seed).random_raw(count) >> np.uint64(11)) * 2.0**-52 - 1.0
    return uniform


def _is_count(x: Any) -> bool:
    return isinstance(x, (int, np.integer)) and not isinstance(x, bool) and bool(x >= 1)


class _Saved(Component):
    """A model that goes to a file and comes back."""

    params: dict[str, Array]

    def _state(self) -> dict[str, Any]:
        """What there is besides the constructor's arguments, as it stands."""
        return {"params": dict(self.params)}

    def _restore(self, state: dict[str, Any]) -> None:
        for name, x in state["params"].items():
            self.params[name][...] = x

    def save(self, path: str | Path) -> None:
        """Write the model to a file, whole or not at all.

        Parameters
        ----------
        path : str or Path

        Raises
        ------
        OSError
            It could not be written; what stood there before still stands there.
        """
        checkpoint.write(path, {"kind": "model", "model": self, "state": self._state()}, MODELS)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a model that `save` wrote.

        Parameters
        ----------
        path : str or Path

        Returns
        -------
        Linear or MLP
            As it was, to the bit.

        Raises
        ------
        OSError
            There is no such file.
        ValueError
            It is damaged, or holds something else.
        """
        content = checkpoint.read(path, MODELS)
        if content["kind"] != "model" or not isinstance(content["model"], cls):
            raise ValueError(
                f"{path} holds no {cls.__name__}, but a {type(content['model']).__name__} ({content['kind']})"
            )
        content["model"]._restore(content["state"])
        return content["model"]

    def __reduce__(self) -> tuple[Any, ...]:
        state = self._state()
        state["params"] = {name: x.copy() for name, x in self.params.items()}
        return _construct, (type(self), self._arguments()), state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._restore(state)


@final
class Linear(_Saved):
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
            if not _is_count(size):
                raise ValueError(f"Linear: {name} must be a positive whole number, got {size!r}")
        _check_start("Linear", dtype, seed)
        self.n_features = int(n_features)
        self.n_outputs = int(n_outputs)
        self.dtype = dtype
        self.seed = seed
        start = _uniform(seed, self.n_outputs * (self.n_features + 1)) / np.sqrt(self.n_features)
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
        return linear_predict(self._read(X), *self._checked().values())

    def _read(self, X: Rows) -> Array | CSR:
        """X as the kernels take it."""
        read = _arrays.matrix("X", X, np.dtype(self.dtype))
        if read.shape[1] != self.n_features:
            raise ValueError(f"X must have {self.n_features} features, got {_arrays.describe(read)}")
        return read

    def _value_and_grad(
        self,
        kernel: Any,
        X: Array | CSR,
        y: Array,
        sample_weight: Array | None,
        grads: dict[str, Array] | None,
        scale: float,
    ) -> float:
        """Sum of sample_weight * loss over rows read before; grads, where given, become scale times its gradient."""
        weight, bias = self._checked().values()
        grad_weight, grad_bias = (None, None) if grads is None else (grads["weight"], grads["bias"])
        return linear_value_and_grad(kernel, X, y, sample_weight, weight, bias, grad_weight, grad_bias, scale)

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
        read = self._read(X)
        prediction = linear_predict(read, *self._checked().values())
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
        linear_gradient(self._X, g, grads["weight"], grads["bias"])
        return grads


_ACTIVATIONS = {
    "identity": (_kernels.activations.identity, _kernels.activations.identity_back),
    "relu": (_kernels.activations.relu, _kernels.activations.relu_back),
    "tanh": (_kernels.activations.tanh, _kernels.activations.tanh_back),
    "sigmoid": (_kernels.activations.sigmoid, _kernels.activations.sigmoid_back),
}
_PREDICTED = 512  # rows at a time: their hidden layers stay in the cache, and little is allocated
# what a product cannot hold is infinite or NaN, which whoever trains looks for; np.dot would warn besides, and BLAS
# at times makes it warn of finite numbers
_unjudged = np.errstate(all="ignore")


@final
class MLP(_Saved):
    """A multilayer perceptron: dense layers, with an activation and dropout after each but the last.

    ``a_0 = X``, ``a_l = dropout(activation(a_(l-1) @ W_l.T + b_l))``, and the raw scores
    ``a_(L-1) @ W_L.T + b_L``: `CrossEntropy` makes a softmax of them, `BinaryCrossEntropy` a sigmoid. Products are
    BLAS's.

    Parameters
    ----------
    sizes : sequence of int
        Features, the width of each hidden layer, outputs: at least two numbers.
    activation : "relu", "tanh", "sigmoid" or "identity"
    dropout : float in [0, 1)
        How likely `forward` sets a number of a hidden layer to 0; what stays is divided by ``1 - dropout``. `predict`
        drops nothing.
    dtype : float64 or float32
    seed : int
        The start of a layer is uniform in ``+-1/sqrt(its inputs)``, as that of torch's ``nn.Linear``. It and the
        numbers that are dropped follow from the seed, and are the same on every platform.

    Attributes
    ----------
    params : dict
        ``{"0.weight": (sizes[1], sizes[0]), "0.bias": (sizes[1],), "1.weight": ...}``; biases are never penalized.
    forwards : int
        Calls of `forward`, those of a trainer included: where the stream of dropout stands. A copy goes on from there.

    Notes
    -----
    Source: chapter "Loss Functions and Optimization"; dropout: Srivastava et al., JMLR 15 (2014).

    Examples
    --------
    >>> import lossopt as lo, numpy as np
    >>> X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    >>> model = lo.MLP((2, 8, 1), activation="tanh")
    >>> trainer = lo.Trainer(model, lo.BinaryCrossEntropy(), lo.Adam(lr=0.1), batch_size=None)
    >>> history = trainer.fit(X, [0, 1, 1, 0], epochs=200)
    >>> (model.predict(X) > 0).tolist()
    [False, True, True, False]
    """

    def __init__(
        self,
        sizes: Sequence[int],
        activation: str = "relu",
        dropout: float = 0.0,
        dtype: Any = np.float64,
        seed: int = 0,
    ) -> None:
        if not isinstance(sizes, (Sequence, np.ndarray)) or len(sizes) < 2 or not all(map(_is_count, sizes)):
            raise ValueError(f"MLP: sizes must be at least two positive whole numbers, got {sizes!r}")
        if not isinstance(activation, str) or activation not in _ACTIVATIONS:
            raise ValueError(f"MLP: activation must be one of {', '.join(map(repr, _ACTIVATIONS))}, got {activation!r}")
        number = isinstance(dropout, (int, float, np.number)) and not isinstance(dropout, bool)
        if not number or not 0 <= dropout < 1:
            raise ValueError(f"MLP: dropout must lie in [0, 1), got {dropout!r}")
        _check_start("MLP", dtype, seed)
        self.sizes = tuple(int(size) for size in sizes)
        self.activation = activation
        self.dropout = dropout
        self.dtype = dtype
        self.seed = seed
        self.forwards = 0
        self.n_features, self.n_outputs = self.sizes[0], self.sizes[-1]
        self.params: dict[str, Array] = {}
        start = _uniform(seed, sum(k * (d + 1) for d, k in pairwise(self.sizes)))
        for i, (d, k) in enumerate(pairwise(self.sizes)):
            layer, start = start[: k * (d + 1)] / np.sqrt(d), start[k * (d + 1) :]
            self.params[f"{i}.weight"] = layer[: k * d].reshape(k, d).astype(dtype)
            self.params[f"{i}.bias"] = layer[k * d :].astype(dtype)
        self._shapes = {name: x.shape for name, x in self.params.items()}
        self._known: list[Any] = []  # what of params has been looked at, and what it is to the kernels
        self._params: dict[str, Array] = {}
        self._layers: list[tuple[Array, Array]] = []
        # each layer's output, then each hidden one's gradient: as many rows as ever came, and those of the last forward
        self._room: list[Array] = []
        self._now: list[Array] = []
        self._keys: list[int] = []  # of its dropout
        self._X: Any = None
        self._grads: dict[str, Array] = {}

    def _checked(self) -> dict[str, Array]:
        """The parameters in a fixed order: anyone may have put others in their place."""
        if self.params.keys() != self._shapes.keys():
            raise ValueError(f"MLP: params must be {', '.join(self._shapes)}, got {', '.join(self.params)}")
        if len(self._known) != len(self.params) or any(map(is_not, self.params.values(), self._known)):
            dtype = np.dtype(self.dtype)
            self._params = {
                name: _arrays.written(f"params[{name!r}]", self.params[name], dtype, shape)
                for name, shape in self._shapes.items()
            }
            self._known, arrays = list(self.params.values()), list(self._params.values())
            self._layers = list(zip(arrays[::2], arrays[1::2], strict=True))
        return self._params

    def _read(self, X: Rows) -> Array:
        """X as BLAS takes it."""
        read = _arrays.matrix("X", X, np.dtype(self.dtype))
        if isinstance(read, CSR):
            raise TypeError(f"X must be dense for an MLP, got {_arrays.describe(read)}: use X.toarray()")
        if read.shape[1] != self.n_features:
            raise ValueError(f"X must have {self.n_features} features, got {_arrays.describe(read)}")
        return read

    @_unjudged
    def _through(self, X: Array, outputs: list[Array], dropout: float, keys: list[int]) -> Array:
        """The last layer's output; each layer's is written to its place."""
        activate = _ACTIVATIONS[self.activation][0]
        for i, (weight, bias) in enumerate(self._layers):
            # np.matmul takes a microsecond more
            X = np.dot(X, weight.T, outputs[i])
            if i < len(keys):
                activate(X, bias, dropout, keys[i])
            else:
                _kernels.activations.identity(X, bias, 0.0, 0)
        return X

    def _forward(self, X: Array) -> Array:
        layers, n = len(self.sizes) - 1, len(X)
        self._checked()
        if not self._room or n > len(self._room[0]):
            self._room = [np.empty((n, k), X.dtype) for k in (*self.sizes[1:], *self.sizes[1:-1])]
        if not self._now or n != len(self._now[0]):
            self._now = [x[:n] for x in self._room]
        self._keys = [0] * (layers - 1)
        if self.dropout:
            self._keys = [_kernels.activations.stream(self.seed, self.forwards, i) for i in range(layers - 1)]
        self.forwards += 1
        self._X = X
        return self._through(X, self._now[:layers], self.dropout, self._keys)

    @_unjudged
    def _backward(self, g: Array, grads: dict[str, Array]) -> None:
        """grads become the parameters' gradient, given that of the last forward's output, g, which is only read."""
        layers, back = len(self._layers), _ACTIVATIONS[self.activation][1]
        _kernels.activations.column_sums(g, grads[f"{layers - 1}.bias"])
        for i in range(layers - 1, 0, -1):
            below, slope = self._now[i - 1], self._now[layers + i - 1]
            np.dot(g.T, below, grads[f"{i}.weight"])
            g = np.dot(g, self._layers[i][0], slope)
            back(below, g, grads[f"{i - 1}.bias"], self.dropout, self._keys[i - 1])
        np.dot(g.T, self._X, grads["0.weight"])

    def _value_and_grad(
        self,
        kernel: Any,
        X: Array,
        y: Array,
        sample_weight: Array | None,
        grads: dict[str, Array] | None,
        scale: float,
    ) -> float:
        """Sum of sample_weight * loss over rows read before; grads, where given, become scale times its gradient."""
        z = self._scores(X) if grads is None else self._forward(X)
        # alone: the threads of BLAS still spin, and a second team beside them costs more than it gives
        total = evaluate(kernel, z, y, sample_weight, None if grads is None else z, self.n_outputs, scale, True)
        if grads is not None:
            self._backward(z, grads)
        return total

    def _scores(self, X: Array) -> Array:
        self._checked()
        out = np.empty((len(X), self.n_outputs), X.dtype)
        hidden = [np.empty((min(len(X), _PREDICTED), k), X.dtype) for k in self.sizes[1:-1]]
        for start in range(0, len(X), _PREDICTED):
            x, z = X[start : start + _PREDICTED], out[start : start + _PREDICTED]
            self._through(x, [*(room[: len(x)] for room in hidden), z], 0.0, [0] * len(hidden))
        return out

    def _shaped(self, z: Array) -> Array:
        return z.reshape(len(z)) if self.n_outputs == 1 else z

    def predict(self, X: Rows) -> Array:
        """Raw scores of the rows of X, without dropout.

        Parameters
        ----------
        X : array (n, sizes[0])

        Returns
        -------
        array (n,) for one output, (n, sizes[-1]) otherwise
            Of the model's dtype; fresh.

        Raises
        ------
        ValueError, TypeError
            X is not (n, sizes[0]) numbers, or is sparse.
        """
        return self._shaped(self._scores(self._read(X)))

    def forward(self, X: Rows) -> Array:
        """Raw scores of the rows of X, with dropout, and what `backward` needs of the way there.

        Parameters
        ----------
        X : array (n, sizes[0])

        Returns
        -------
        array (n,) or (n, sizes[-1])
            A buffer of the model's, valid until its next forward; it may be written to.

        Raises
        ------
        ValueError, TypeError
            As for `predict`.
        """
        return self._shaped(self._forward(self._read(X)))

    def backward(self, grad_prediction: ArrayLike) -> dict[str, Array]:
        """The gradient of each parameter, given that of the last forward's prediction.

        Parameters
        ----------
        grad_prediction : array of the prediction's shape

        Returns
        -------
        dict of arrays
            With the names, shapes and dtype of `params`; buffers of the model's, valid until its next backward.

        Raises
        ------
        ValueError, TypeError
            There was no forward, or grad_prediction has another shape or holds no numbers.
        """
        if self._X is None:
            raise ValueError("backward needs a forward before it")
        n, k = len(self._X), self.n_outputs
        shape = (n,) if k == 1 else (n, k)
        g = _arrays.floats("grad_prediction", grad_prediction, np.dtype(self.dtype))
        if g.shape != shape:
            raise ValueError(f"grad_prediction must have shape {shape}, got {_arrays.describe(g)}")
        self._grads = self._grads or {name: np.empty_like(x) for name, x in self._checked().items()}
        self._backward(g.reshape(n, k), self._grads)
        return self._grads

    def _state(self) -> dict[str, Any]:
        return {**super()._state(), "forwards": self.forwards}

    def _restore(self, state: dict[str, Any]) -> None:
        super()._restore(state)
        self.forwards = state["forwards"]


MODELS: dict[str, type] = {"Linear": Linear, "MLP": MLP}
