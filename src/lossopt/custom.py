"""A loss of one's own: a Python function over whole arrays, or a compiled one inside every loop of lossopt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lossopt import _arrays, _kernels
from lossopt.losses import Loss, _alike, _Outside, _per_output

Array = NDArray[Any]
Function = Callable[[Array, Array], tuple[ArrayLike, ArrayLike]]


class _Called(_Outside):
    """A Python function where a kernel would be."""

    def __init__(self, function: Function) -> None:
        self.function = function

    def _asked(self, z: Array, y: Array, k: int) -> tuple[Array, Array]:
        shown = z.reshape(len(z)) if k == 1 and z.ndim == 2 else z.view()
        shown.flags.writeable = False
        answer = self.function(shown, y)
        if not isinstance(answer, tuple) or len(answer) != 2:
            raise ValueError(f"CustomLoss: function must return (values, gradients), got {_arrays.describe(answer)}")
        values, gradients = (np.asarray(x) for x in answer)
        for name, x, shape in (("values", values, (len(z),)), ("gradients", gradients, shown.shape)):
            if x.shape != shape or x.dtype.kind not in "fiub":
                raise ValueError(f"CustomLoss: function must return {name} of shape {shape}, got {_arrays.describe(x)}")
        return values, gradients.reshape(z.shape)

    def value_and_grad(
        self, z: Array, y: Array, weight: Array | None, out: Array | None, k: int, scale: float
    ) -> float:
        kept: Any = slice(None)
        if weight is not None and not weight.all():
            # a row of weight 0 is no row, whatever it holds
            kept = np.flatnonzero(weight)
        values, gradients = self._asked(z[kept], y[kept], k)
        values = np.ascontiguousarray(values, np.float64)
        if weight is not None:
            values = values * weight[kept]
        if out is not None:
            factor = scale if weight is None else scale * weight[kept].reshape(-1, *[1] * (z.ndim - 1))
            gradients = gradients * factor
            out[...] = 0
            out[kept] = gradients
        return float(_kernels.losses.sum(values))

    def pointwise(self, z: Array, y: Array, out: Array, k: int) -> None:
        out[...] = self._asked(z, y, k)[0]


@final
class CustomLoss(Loss):
    """Any loss that is a sum over rows, from a function of your own.

    ``value = mean values``, gradient ``gradients / n``, of what ``function(prediction, target)`` returns.

    Parameters
    ----------
    function : callable
        Takes predictions (n,), or (n, k), and their targets; returns the values (n,), one a row, and the gradient of
        each row's value, in the prediction's shape. What a row gives must depend on nothing but the row.
    reduction : "mean" or "sum"

    Notes
    -----
    Targets are any array with a target a row; floating ones of the prediction's shape come in its type. The function is
    called with all rows of a batch at once, and the Python loop trains it; with k outputs the mean divides by n. It
    pickles where the function does: by name. `from_address` makes a loss that the compiled loops run.

    Examples
    --------
    >>> import lossopt as lo, numpy as np
    >>> def cauchy(z, y):
    ...     return np.log1p((z - y) ** 2), 2 * (z - y) / (1 + (z - y) ** 2)
    >>> lo.CustomLoss(cauchy).value_and_grad([3.0, 0.0], [0.0, 0.0])
    (1.151292546497023, array([0.3, 0. ]))
    """

    def __init__(self, function: Function, reduction: str = "mean") -> None:
        if not callable(function):
            raise TypeError(f"CustomLoss: function must be callable, got {function!r}")
        self.function: Function | None = function
        self._address: int | None = None
        self._reduced(reduction, _Called(function))
        self._direct = None

    @classmethod
    def from_address(
        cls, address: int, address_float32: int | None = None, keep: object = None, reduction: str = "mean"
    ) -> CustomLoss:
        """A loss from the address of a compiled block function, from C, Cython, numba or ctypes.

        ``void f(Py_ssize_t n, const double *z, const double *y, double *value, double *gradient)`` writes the value and
        the gradient of each of n predictions z with targets y, n up to 256. Every fused loop calls it as it calls
        lossopt's own: without the interpreter's lock, from several threads at once, so it must not touch Python, nor
        write anything but its results. value and gradient overlap nothing.

        Parameters
        ----------
        address : int
            Of the function: ``<size_t>&f`` in Cython, ``f.address`` of a numba cfunc,
            ``ctypes.cast(f, ctypes.c_void_p).value``. It is trusted: there is no way to check it.
        address_float32 : int, optional
            Of the same function over float. Without it float32 is computed in double, block by block.
        keep : object, optional
            What must live as long as the loss, such as the library or the cfunc that the function belongs to.
        reduction : "mean" or "sum"

        Returns
        -------
        CustomLoss
            With k outputs the mean divides by n k, as MSE's. It cannot be pickled: an address means nothing elsewhere.

        Raises
        ------
        TypeError
            An address is not a positive whole number.
        """
        for name, x in (("address", address), ("address_float32", address_float32)):
            if x is None and name == "address_float32":
                continue
            if isinstance(x, bool) or not isinstance(x, (int, np.integer)) or x <= 0:
                raise TypeError(f"CustomLoss: {name} must be a positive whole number, got {x!r}")
        self = cls.__new__(cls)
        self.function = None
        self._address = int(address)
        self._reduced(reduction, _kernels.losses.custom(int(address), int(address_float32 or 0), keep))
        return self

    def _bind(
        self, shape: tuple[int, ...], dtype: np.dtype[Any], target: ArrayLike, name: str = "target"
    ) -> tuple[Any, Array]:
        if self._address is not None:
            return self._kernel, _alike(shape, dtype, target, name)
        y = _arrays.read(target)
        if y.shape[:1] != shape[:1]:
            raise ValueError(f"{name} must have a target for each of the {shape[0]} rows, got {_arrays.describe(y)}")
        return self._kernel, np.ascontiguousarray(y, dtype) if y.dtype.kind == "f" and y.shape == shape else y

    def _formula(self) -> str:
        return f"{getattr(self.function, '__name__', 'the function at its address')}(z, y)"

    def _terms(self, shape: tuple[int, ...]) -> int:
        return 1 if self._address is None else _per_output(shape)

    def __repr__(self) -> str:
        return super().__repr__() if self._address is None else f"CustomLoss.from_address({self._address:#x})"

    def __reduce__(self) -> tuple[Any, ...]:
        if self._address is not None:
            raise TypeError("CustomLoss: a loss from an address cannot be pickled; make it again where it is needed")
        return super().__reduce__()

    def __copy__(self) -> CustomLoss:
        # nothing of it ever changes
        return self

    def __deepcopy__(self, memo: object) -> CustomLoss:
        return self
