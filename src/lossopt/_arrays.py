"""The one door for arrays: what may come in, what it becomes, and the sentence for what may not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lossopt import _kernels

Array = NDArray[Any]

FLOATS = (np.dtype(np.float64), np.dtype(np.float32))
INDICES = (np.dtype(np.int32), np.dtype(np.int64))


class Sparse(Protocol):
    """What X may be besides an array: a matrix or array of scipy.sparse, in any of its formats."""

    def tocsr(self) -> Any: ...


Rows = ArrayLike | Sparse


class CSR:
    """Rows of a sparse matrix, as the kernels take them.

    Row i has the numbers data[begin[i]:end[i]] in the columns indices[begin[i]:end[i]], in any order; numbers of the
    same column add up. Rows of it, chosen by a slice or an index array, share its numbers.
    """

    __slots__ = ("begin", "data", "end", "indices", "shape")

    def __init__(self, data: Array, indices: Array, begin: Array, end: Array, n_features: int) -> None:
        self.data = data  # float64 or float32
        self.indices = indices  # int32 or int64, 0 ... n_features - 1: nobody looks again
        self.begin = begin  # int64
        self.end = end
        self.shape = len(begin), n_features

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.data.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | Array) -> CSR:
        return CSR(self.data, self.indices, self.begin[rows], self.end[rows], self.shape[1])

    def stored(self) -> tuple[Array, Array]:
        """Of each number its row, and where it stands in data."""
        lengths = self.end - self.begin
        row = np.repeat(np.arange(len(self)), lengths)
        return row, np.arange(len(row)) - np.repeat(np.cumsum(lengths) - lengths - self.begin, lengths)

    def toarray(self) -> Array:
        """All numbers, the zeros too."""
        dense = np.zeros(self.shape, self.dtype)
        row, at = self.stored()
        np.add.at(dense, (row, self.indices[at]), self.data[at])
        return dense

    def __repr__(self) -> str:
        return describe(self)


def describe(x: Any) -> str:
    """What came, for an error: type, dtype and shape."""
    if isinstance(x, CSR) or _is_sparse(x):
        return f"sparse {x.dtype} matrix of shape {x.shape}"
    return f"{x.dtype} array of shape {x.shape}" if isinstance(x, np.ndarray) else f"{type(x).__name__} {x!r:.40}"


def foreign(x: Any) -> Array | None:
    """The memory of another library's array, as it is: by the buffer protocol, DLPack or __array_interface__."""
    for look in (
        lambda: np.asarray(memoryview(x)),
        lambda: np.from_dlpack(x),
        lambda: np.asarray(SimpleNamespace(__array_interface__=x.__array_interface__, owner=x)),
    ):
        try:
            found: Array = look()
        except (AttributeError, BufferError, RuntimeError, TypeError, ValueError):
            continue
        return found
    return None


def read(x: Any) -> Array:
    """Anything as NumPy reads it, without a copy where memory allows; what speaks DLPack alone, too."""
    array = np.asarray(x)
    if array.dtype.kind == "O" and not array.ndim and (found := foreign(x)) is not None:
        return found
    return array


def floats(name: str, x: Any, dtype: np.dtype[Any] | None = None) -> Array:
    """Anything that is read: as it is where kernels can read it, else converted (float64, or dtype where given)."""
    if type(x) is np.ndarray and x.dtype in FLOATS and x.flags.c_contiguous and (dtype is None or x.dtype == dtype):
        return x
    array = read(x)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold real numbers, got {describe(array if isinstance(x, np.ndarray) else x)}")
    if dtype is None:
        dtype = array.dtype.newbyteorder("=")
        dtype = dtype if dtype in FLOATS else FLOATS[0]
    made: Array = np.ascontiguousarray(array, dtype).reshape(array.shape)
    return made


def written(name: str, x: Any, dtype: np.dtype[Any] | None = None, shape: tuple[int, ...] | None = None) -> Array:
    """Anything that is written: it must be right as it is, and says what is wrong before anything is written."""
    if not isinstance(x, np.ndarray):
        view = foreign(x)
        if view is None:
            raise TypeError(f"{name} must be an array that can be written in place, got {describe(x)}")
        x = view
    if x.dtype not in FLOATS or not x.dtype.isnative:
        raise TypeError(f"{name} must be a float64 or float32 array in native byte order, got {describe(x)}")
    if dtype is not None and x.dtype != dtype:
        raise TypeError(f"{name} must be a {dtype} array, got {describe(x)}")
    if shape is not None and x.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {describe(x)}")
    if not x.flags.c_contiguous:
        raise ValueError(f"{name} must be C-contiguous, got a strided {describe(x)}")
    if not x.flags.writeable:
        raise ValueError(f"{name} must be writable, got a read-only {describe(x)}")
    checked: Array = x
    return checked


def _is_sparse(x: Any) -> bool:
    """Whether scipy.sparse made it, which need not be there."""
    return any(base.__module__.startswith("scipy.sparse") for base in type(x).__mro__)


def rows(x: Any) -> Any:
    """Rows of whatever a model of one's own takes: something with a shape, to be indexed by rows."""
    return x.tocsr() if _is_sparse(x) else read(x)


def _csr(name: str, x: Any, dtype: np.dtype[Any] | None) -> CSR:
    if len(x.shape) != 2:
        raise ValueError(f"{name} must have shape (n_samples, n_features), got {describe(x)}")
    if x.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold real numbers, got {describe(x)}")
    x = x.tocsr()
    (n, d), ends, indices = x.shape, np.asarray(x.indptr), np.asarray(x.indices)
    if ends.dtype.kind not in "iu" or indices.dtype.kind not in "iu" or ends.shape != (n + 1,) or indices.ndim != 1:
        raise ValueError(f"{name} must be valid CSR: indptr has {n + 1} integers, indices one for each number stored")
    ends = ends.astype(np.int64)
    if ends[0] < 0 or (ends[1:] < ends[:-1]).any() or ends[-1] > min(len(x.data), len(indices)):
        raise ValueError(f"{name} must be valid CSR: indptr must not decrease, nor leave data and indices")
    # there may be room behind the last row, with anything in it
    indices = np.ascontiguousarray(indices[: ends[-1]], indices.dtype if indices.dtype in INDICES else np.int64)
    if indices.size and (indices.min() < 0 or indices.max() >= d):
        bad = indices.min() if indices.min() < 0 else indices.max()
        raise ValueError(f"{name} must be valid CSR: indices must lie in 0 ... {d - 1}, got {bad}")
    return CSR(floats(name, x.data[: ends[-1]], dtype), indices, ends[:-1], ends[1:], d)


def matrix(name: str, x: Any, dtype: np.dtype[Any] | None = None) -> Array | CSR:
    """Rows of features (n, d), read."""
    if isinstance(x, CSR):
        return CSR(floats(name, x.data, dtype), x.indices, x.begin, x.end, x.shape[1])
    if _is_sparse(x):
        return _csr(name, x, dtype)
    array = floats(name, x, dtype)
    if array.ndim != 2:
        raise ValueError(f"{name} must have shape (n_samples, n_features), got {describe(array)}")
    return array


def weights(name: str, x: Any, n: int, dtype: np.dtype[Any]) -> Array | None:
    """Sample weights (n,), none negative; or None."""
    if x is None:
        return None
    array = floats(name, x, dtype)
    if array.shape != (n,):
        raise ValueError(f"{name} must have shape ({n},), a weight a row, got {describe(array)}")
    total = _kernels.losses.sum(array)  # NaN where one of them is, which lies outside of nothing
    if _kernels.losses.outside(array, 0, float(np.finfo(array.dtype).max)) or total != total:
        bad = array[~((array >= 0) & (array < np.inf))][0]
        raise ValueError(f"{name} must be finite and not negative, got {bad}")
    return array


def labels(name: str, x: Any, n: int) -> Array:
    """Class labels (n,) as int64, whatever integers they came as."""
    array = read(x)
    if array.dtype.kind not in "iub" and array.size:
        raise TypeError(f"{name} must hold integer class labels, got {describe(array)}")
    if array.shape != (n,):
        raise ValueError(f"{name} must have shape ({n},), a label a row, got {describe(array)}")
    if array.dtype.kind == "u" and array.size and array.max() > np.iinfo(np.int64).max:
        raise ValueError(f"{name} must be below the number of classes, got {array.max()}")
    return np.ascontiguousarray(array, np.int64)


def kept(y: Array) -> Array:
    """Checked targets to keep: labels in memory of our own, since kernels index by them and nobody may change them."""
    return y.copy() if y.dtype.kind == "i" else y


def apart(name: str, out: Array, **others: Any) -> None:
    """Refuse memory that out shares with an array that is read, as it came."""
    for other, array in others.items():
        parts = (array.data, array.indices, array.begin, array.end) if isinstance(array, CSR) else (array,)
        if any(isinstance(part, np.ndarray) and np.may_share_memory(out, part) for part in parts):
            raise ValueError(f"{name} overlaps {other}: give it memory of its own")


def apart_or_same(name: str, out: Array, other: str, array: Any) -> None:
    """The same, but out may be exactly that array."""
    if isinstance(array, np.ndarray) and np.may_share_memory(out, array):
        same = out.__array_interface__["data"] == array.__array_interface__["data"] and out.strides == array.strides
        if not same or out.dtype != array.dtype:
            raise ValueError(f"{name} overlaps {other} in part: give it memory of its own, or exactly {other}")
