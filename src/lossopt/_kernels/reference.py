"""The NumPy twin of every kernel: the same names and signatures, the formula as one would write it in NumPy.

It is specification, test oracle and the yardstick of the benchmarks at once. A family is a class that serves as a
namespace, so that ``load("reference")`` stands wherever ``load(level)`` does.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
# rows of predictions (n, k) and targets to a value a row (n,) and gradients (n, k)
Loss = Callable[[Array, Array], tuple[Array, Array]]


def Arrays(arrays: list[Array], writable: bool) -> list[Array]:  # noqa: N802
    return arrays


_GOLDEN, _WORD = 0x9E3779B97F4A7C15, 2**64 - 1


def _mixed(x: int) -> int:
    x &= _WORD
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & _WORD
    x = (x ^ x >> 27) * 0x94D049BB133111EB & _WORD
    return x ^ x >> 31


def _exp(x: Array) -> Array:
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        return np.exp(x)


class losses:  # noqa: N801
    @staticmethod
    def mse() -> Loss:
        def rows(z: Array, y: Array) -> tuple[Array, Array]:
            error = z - y
            return (error * error).sum(axis=1), 2 * error

        return rows

    @staticmethod
    def bce(positive: float, negative: float, smoothing: float) -> Loss:
        def rows(z: Array, y: Array) -> tuple[Array, Array]:
            y = y * (1 - smoothing) + 0.5 * smoothing
            p, q = y * positive, (1 - y) * negative
            e = _exp(-np.abs(z))
            value = (p + q) * np.log1p(e) + np.where(z > 0, q, p) * np.abs(z)
            up, down = np.where(z < 0, e, 1) / (1 + e), np.where(z < 0, 1, e) / (1 + e)
            return value.sum(axis=1), q * up - p * down

        return rows

    @staticmethod
    def bce_probability(positive: float, smoothing: float) -> Loss:
        def rows(z: Array, y: Array) -> tuple[Array, Array]:
            y = y * (1 - smoothing) + 0.5 * smoothing
            p, q = y * positive, 1 - y
            with np.errstate(divide="ignore", invalid="ignore"):
                value = np.where(q == 0, 0, -q * np.log1p(-z)) - np.where(p == 0, 0, p * np.log(z))
                gradient = np.where(q == 0, 0, q / (1 - z)) - np.where(p == 0, 0, p / z)
            return value.sum(axis=1), gradient

        return rows

    @staticmethod
    def pinball(above: float, below: float, epsilon: float) -> Loss:
        def rows(z: Array, y: Array) -> tuple[Array, Array]:
            size, side = np.abs(z - y) - epsilon, np.where(z < y, -above, below)
            value = np.maximum(size, 0) * np.abs(side)
            gradient = np.where(size <= 0, 0, side) + np.where(np.isnan(size), np.nan, 0)
            return value.sum(axis=1), gradient

        return rows

    @staticmethod
    def huber(delta: float) -> Loss:
        def rows(z: Array, y: Array) -> tuple[Array, Array]:
            size = np.abs(z - y)
            inside = np.minimum(size, delta)
            return (inside * (size - 0.5 * inside)).sum(axis=1), np.clip(z - y, -delta, delta)

        return rows

    @staticmethod
    def log_cosh() -> Loss:
        def rows(z: Array, y: Array) -> tuple[Array, Array]:
            size = np.abs(z - y)
            with np.errstate(over="ignore", invalid="ignore"):
                near = np.log1p(2 * np.square(np.sinh(0.5 * np.minimum(size, 9))))
            value = np.where(size < 9, near, size - np.log(2) + np.log1p(_exp(-2 * size)))
            return value.sum(axis=1), np.tanh(z - y)

        return rows

    @staticmethod
    def squared_pinball(epsilon: float) -> Loss:
        def rows(z: Array, y: Array) -> tuple[Array, Array]:
            beyond = np.maximum(np.abs(z - y) - epsilon, 0)
            return np.square(beyond).sum(axis=1), np.where(z < y, -2 * beyond, 2 * beyond)

        return rows

    @staticmethod
    def hinge(margin: float) -> Loss:
        def rows(z: Array, y: Array) -> tuple[Array, Array]:
            t = 2 * y - 1
            lack = np.maximum(margin - t * z, 0)
            return lack.sum(axis=1), np.where(lack == 0, 0, -t) + np.where(np.isnan(lack), np.nan, 0)

        return rows

    @staticmethod
    def squared_hinge() -> Loss:
        def rows(z: Array, y: Array) -> tuple[Array, Array]:
            t = 2 * y - 1
            lack = np.maximum(1 - t * z, 0)
            return np.square(lack).sum(axis=1), -2 * t * lack

        return rows

    @staticmethod
    def modified_huber() -> Loss:
        def rows(z: Array, y: Array) -> tuple[Array, Array]:
            t = 2 * y - 1
            lack = np.maximum(1 - t * z, 0)
            inside = np.minimum(lack, 2)
            return (inside * (2 * lack - inside)).sum(axis=1), -2 * t * inside

        return rows

    @staticmethod
    def poisson() -> Loss:
        def rows(z: Array, y: Array) -> tuple[Array, Array]:
            mean = _exp(z)
            with np.errstate(invalid="ignore"):
                value = np.where(mean == inf, inf, mean - np.where(y == 0, 0, y * z))
            return value.sum(axis=1), mean - y

        return rows

    @staticmethod
    def gamma() -> Loss:
        def rows(z: Array, y: Array) -> tuple[Array, Array]:
            ratio = y * _exp(-z)
            with np.errstate(invalid="ignore"):
                value = np.where(ratio == inf, inf, z + ratio)
            return value.sum(axis=1), 1 - ratio

        return rows

    @staticmethod
    def tweedie(power: float) -> Loss:
        def rows(z: Array, y: Array) -> tuple[Array, Array]:
            first = _exp((2 - power) * z)
            with np.errstate(invalid="ignore"):
                second = np.where(y == 0, 0, y * _exp((1 - power) * z))
                one, other = first / (2 - power), second / (power - 1)
                # of two infinities the one that grows faster wins
                clash = np.isinf(one) & np.isinf(other)
                value = np.where(clash, np.where(z > 0, one, other), one + other)
                clash = np.isinf(first) & np.isinf(second)
                gradient = np.where(clash, np.where(z > 0, first, -second), first - second)
            return value.sum(axis=1), gradient

        return rows

    @staticmethod
    def focal(gamma: float, positive: float, negative: float) -> Loss:
        def rows(z: Array, y: Array) -> tuple[Array, Array]:
            own, share = np.where(y > 0, z, -z), np.where(y > 0, positive, negative)
            e = _exp(-np.abs(own))
            p, q = np.where(own < 0, e, 1) / (1 + e), np.where(own < 0, 1, e) / (1 + e)
            surprise = np.log1p(e) + np.maximum(-own, 0)
            with np.errstate(invalid="ignore"):
                weight = share * _exp(-gamma * (np.log1p(e) + np.maximum(own, 0)))
                value = weight * surprise
                slope = weight * (gamma * np.where(p == 0, 0, p * surprise) + q)
            return value.sum(axis=1), np.where(y > 0, -slope, slope)

        return rows

    @staticmethod
    def softmax_labels() -> Loss:
        def rows(z: Array, y: Array) -> tuple[Array, Array]:
            index = np.arange(len(z)), y
            with np.errstate(invalid="ignore"):
                shifted = z - z.max(axis=1, keepdims=True)
            e = _exp(shifted)
            own = e[index]
            # the class itself stays out of the sum: what is left is its distance from certainty, in full precision
            e[index] = 0
            others = e.sum(axis=1)
            value = np.log1p(others + (own - 1)) - shifted[index]
            e[index] = -others
            return value, e / (own + others)[:, None]

        return rows

    @staticmethod
    def softmax_soft(own: float, others: float, table: Array | None) -> Loss:
        soft = losses.softmax_probabilities()

        def rows(z: Array, y: Array) -> tuple[Array, Array]:
            k = z.shape[1]
            rest = np.ones(k) if table is None else table[y] if table.ndim == 2 else table / table[y][:, None]
            wanted = others / (1 if table is not None and table.ndim == 2 else k) * rest
            return soft(z, (wanted + own * np.eye(k)[y]).astype(z.dtype))

        return rows

    @staticmethod
    def focal_labels(gamma: float, weights: Array | None) -> Loss:
        plain = losses.softmax_labels()

        def rows(z: Array, y: Array) -> tuple[Array, Array]:
            surprise, gradient = plain(z, y)
            p, q = np.exp(-surprise), -np.expm1(-surprise)
            with np.errstate(invalid="ignore", divide="ignore"):
                weight = q**gamma * (1 if weights is None else weights[y])
                slope = np.where(q == 0, 0, weight * (gamma * np.where(p > 0, p * surprise, 0) + q) / q)
                return np.where(weight == 0, 0, weight * surprise), slope[:, None] * gradient

        return rows

    @staticmethod
    def hinge_labels() -> Loss:
        def rows(z: Array, y: Array) -> tuple[Array, Array]:
            index = np.arange(len(z)), y
            rivals = z.copy()
            rivals[index] = -inf
            with np.errstate(invalid="ignore"):
                margin = np.maximum(1 + (rivals.max(axis=1, initial=-inf) - z[index]), 0)
            gradient = np.zeros_like(z)
            gradient[index[0], rivals.argmax(axis=1)] = 1
            gradient[index] = -1
            return margin, gradient * (margin > 0)[:, None] + np.where(np.isnan(margin), np.nan, 0)[:, None]

        return rows

    @staticmethod
    def softmax_probabilities() -> Loss:
        def rows(z: Array, y: Array) -> tuple[Array, Array]:
            with np.errstate(invalid="ignore"):
                shifted = z - z.max(axis=1, keepdims=True)
                e = _exp(shifted)
                total = e.sum(axis=1)
                mass = y.sum(axis=1)
                value = mass * np.log(total) - np.where(y == 0, 0, y * shifted).sum(axis=1)
            return value, e * (mass / total)[:, None] - y

        return rows

    @staticmethod
    def pairs_of_rows(discounts: Array | None, top: int) -> Loss:
        def rows(z: Array, y: Array) -> tuple[Array, Array]:
            k = z.shape[1]
            d, gap = z[:, :, None] - z[:, None, :], np.maximum(y[:, :, None] - y[:, None, :], 0)
            share = (gap > 0).astype(z.dtype)
            if discounts is None:
                share /= np.maximum(share.sum(axis=(1, 2), keepdims=True), 1)
            else:
                place = discounts[:k].astype(z.dtype)
                share = gap * np.abs(place[:, None] - place)
            d = np.where(share == 0, 0, d)
            e = _exp(-np.abs(d))
            nothing = np.where(np.isnan(z), z, 0)
            pull = share * np.where(d > 0, e, 1) / (1 + e)
            value = (share * (np.log1p(e) + np.maximum(-d, 0))).sum(axis=(1, 2)) + nothing.sum(axis=1)
            return value, pull.sum(axis=1) - pull.sum(axis=2) + nothing.sum(axis=1, keepdims=True)

        return rows

    @staticmethod
    def custom(in_double: int, in_float: int, kept: object) -> Loss:
        def rows(z: Array, y: Array) -> tuple[Array, Array]:
            real, address = (np.float32, in_float) if in_float and z.dtype == np.float32 else (np.float64, in_double)
            function = ctypes.CFUNCTYPE(None, ctypes.c_ssize_t, *[ctypes.c_void_p] * 4)(address)
            read = [np.ascontiguousarray(x, real).reshape(-1) for x in (z, y)]
            made = [np.empty_like(read[0]) for _ in range(2)]
            for start in range(0, z.size, 256):
                parts = [x[start : start + 256] for x in (*read, *made)]
                function(len(parts[0]), *(x.ctypes.data for x in parts))
            value, gradient = (x.reshape(z.shape).astype(z.dtype) for x in made)
            return value.sum(axis=1), gradient

        return rows

    @staticmethod
    def grouped(loss: Loss, z: Array, y: Array, begins: Array, factor: Array, value: Array, out: Array | None) -> None:
        for g, (start, stop) in enumerate(pairwise(begins)):
            with np.errstate(invalid="ignore"):
                value[g], gradient = (x[0] for x in loss(z[None, start:stop], y[None, start:stop]))
            if out is not None:
                out[start:stop] = 0 if factor[g] == 0 else gradient * factor[g]

    @staticmethod
    def value_and_grad(
        loss: Loss,
        z: Array,
        y: Array,
        weight: Array | None,
        out: Array | None,
        k: int,
        scale: float,
        alone: bool = False,
    ) -> float:
        n = z.size // k
        with np.errstate(invalid="ignore"):
            values, gradients = loss(z.reshape(n, k), y if y.dtype.kind == "i" else y.reshape(n, k))
            if weight is not None:
                values = np.where(weight == 0, 0, values * weight.astype(np.float64))
            if out is not None and weight is None:
                out[...] = (gradients * z.dtype.type(scale)).reshape(z.shape)
            elif out is not None:
                factor = (weight * z.dtype.type(scale))[:, None]
                out[...] = np.where(factor == 0, 0, gradients * factor).reshape(z.shape)
            return float(values.sum(dtype=np.float64))

    @staticmethod
    def pointwise(loss: Loss, z: Array, y: Array, out: Array, k: int) -> None:
        out[...] = loss(z.reshape(-1, k), y if y.dtype.kind == "i" else y.reshape(-1, k))[0]

    @staticmethod
    def sum(x: Array) -> float:
        return float(np.sum(x, dtype=np.float64))

    @staticmethod
    def outside(x: Array, low: float, high: float, binary: bool = False) -> bool:
        return bool(np.any((x != 0) & (x != 1) & (x == x) if binary else (x < low) | (x > high)))

    @staticmethod
    def outside_labels(x: Array, k: int) -> bool:
        return bool(np.any((x < 0) | (x >= k)))


def _stored(x: Any) -> tuple[Array, Array, Array]:
    """Row, column and value of each number of CSR."""
    lengths = x.end - x.begin
    row = np.repeat(np.arange(len(lengths)), lengths)
    # where a row begins in x, less where it begins among the numbers of these rows
    place = np.arange(len(row)) + (x.begin - (np.cumsum(lengths) - lengths))[row]
    return row, x.indices[place], x.data[place]


class linear:  # noqa: N801
    # x is an array (n, d), or CSR: an object with shape, data, indices, begin and end
    MOST_OUTPUTS = 32

    @staticmethod
    def value_and_grad(
        loss: Loss,
        x: Any,
        y: Array,
        sample_weight: Array | None,
        weight: Array,
        bias: Array | None,
        grad_weight: Array | None,
        grad_bias: Array | None,
        scale: float,
    ) -> float:
        z = np.empty((len(x), len(weight)), weight.dtype)
        linear.predict(x, weight, bias, z)
        value = losses.value_and_grad(
            loss, z, y, sample_weight, z if grad_weight is not None else None, len(weight), scale
        )
        if grad_weight is not None:
            linear.gradient(x, z, grad_weight, np.empty_like(weight[:, 0]) if grad_bias is None else grad_bias)
        return value

    @staticmethod
    def predict(x: Any, weight: Array, bias: Array | None, out: Array) -> None:
        if isinstance(x, np.ndarray):
            z = x @ weight.T
        else:
            row, column, number = _stored(x)
            z = np.zeros((len(x), len(weight)), weight.dtype)
            np.add.at(z, row, number[:, None] * weight.T[column])
        out[...] = (z if bias is None else z + bias).reshape(out.shape)

    @staticmethod
    def gradient(x: Any, g: Array, weight: Array, bias: Array) -> None:
        g = g.reshape(len(x), len(weight))
        if isinstance(x, np.ndarray):
            weight[...] = g.T @ x
        else:
            row, column, number = _stored(x)
            turned = np.zeros(weight.shape[::-1], weight.dtype)
            np.add.at(turned, column, number[:, None] * g[row])
            weight[...] = turned.T
        bias[...] = g.sum(axis=0)


# values (forward) from x, and gradient (back) from the value a and the value's gradient g
_FORTH: dict[str, Callable[[Array], Array]] = {
    "identity": lambda x: x,
    "relu": lambda x: np.where(x < 0, 0, x),
    "tanh": np.tanh,
    "sigmoid": lambda x: np.where(x < 0, e := _exp(-np.abs(x)), 1) / (1 + e),
}
_BACK: dict[str, Callable[[Array, Array], Array]] = {
    "identity": lambda a, g: g,
    "relu": lambda a, g: np.where(a <= 0, 0, g),
    "tanh": lambda a, g: g * (1 - a * a),
    "sigmoid": lambda a, g: g * (a * (1 - a)),
}


class activations:  # noqa: N801
    @staticmethod
    def stream(seed: int, forward: int, layer: int) -> int:
        key = 0
        for number in (seed, forward, layer):
            key = _mixed(key + number + _GOLDEN)
        return key

    @staticmethod
    def _kept(z: Array, p: float, key: int) -> Any:
        """What dropout multiplies by."""
        drawn = [_mixed(key + (i + 1) * _GOLDEN) >> 12 for i in range(z.size)]
        dropped = 1 + np.array(drawn).reshape(z.shape) * 2.0**-52 < 1 + p
        return np.where(dropped, 0, z.dtype.type(1 / (1 - p)))

    @staticmethod
    def _forward(name: str, z: Array, bias: Array, p: float, key: int) -> None:
        with np.errstate(invalid="ignore"):
            z += bias
            z[...] = _FORTH[name](z)
            if p:
                z *= activations._kept(z, p, key)

    @staticmethod
    def _backward(name: str, a: Array, g: Array, grad_bias: Array, p: float, key: int) -> None:
        with np.errstate(invalid="ignore"):
            if p:
                a = a * a.dtype.type(1 - p)
                g *= activations._kept(g, p, key)
            g[...] = _BACK[name](a, g)
            activations.column_sums(g, grad_bias)

    @staticmethod
    def identity(z: Array, bias: Array, p: float, key: int) -> None:
        activations._forward("identity", z, bias, p, key)

    @staticmethod
    def relu(z: Array, bias: Array, p: float, key: int) -> None:
        activations._forward("relu", z, bias, p, key)

    @staticmethod
    def tanh(z: Array, bias: Array, p: float, key: int) -> None:
        activations._forward("tanh", z, bias, p, key)

    @staticmethod
    def sigmoid(z: Array, bias: Array, p: float, key: int) -> None:
        activations._forward("sigmoid", z, bias, p, key)

    @staticmethod
    def identity_back(a: Array, g: Array, grad_bias: Array, p: float, key: int) -> None:
        activations._backward("identity", a, g, grad_bias, p, key)

    @staticmethod
    def relu_back(a: Array, g: Array, grad_bias: Array, p: float, key: int) -> None:
        activations._backward("relu", a, g, grad_bias, p, key)

    @staticmethod
    def tanh_back(a: Array, g: Array, grad_bias: Array, p: float, key: int) -> None:
        activations._backward("tanh", a, g, grad_bias, p, key)

    @staticmethod
    def sigmoid_back(a: Array, g: Array, grad_bias: Array, p: float, key: int) -> None:
        activations._backward("sigmoid", a, g, grad_bias, p, key)

    @staticmethod
    def column_sums(g: Array, out: Array) -> None:
        out[...] = g.sum(axis=0, dtype=np.float64)


def _soft(x: Array, threshold: Any) -> Array:
    drawn: Array = np.copysign(np.maximum(np.abs(x) - threshold, 0), x) + x.dtype.type(0)
    return drawn


@dataclass
class _Closing:
    """A penalty that closes a step by itself: (l1, w, gains), in place; factors multiply l2 on the way."""

    factors: Array
    close: Callable[[float, Array, Any], None]
    gains: Any = None
    groups: list[Array] = field(default_factory=list)


class penalties:  # noqa: N801
    @staticmethod
    def value(w: Array, factors: Array | None, l1: float, l2: float) -> float:
        f = np.float64(1) if factors is None else factors.astype(np.float64)
        absolute = l1 * float((f * np.abs(w)).sum(dtype=np.float64)) if l1 else 0.0
        return absolute + (l2 * float((f * np.square(w, dtype=np.float64)).sum()) if l2 else 0.0)

    @staticmethod
    def add_grad(w: Array, factors: Array | None, grad: Array, l1: float, l2: float) -> None:
        f = w.dtype.type(1) if factors is None else factors
        a, q = w.dtype.type(l1) * f, w.dtype.type(l2) * f
        smooth = grad + 2 * q * w
        grad[...] = np.where(w == 0, _soft(grad, a), smooth + np.where(w < 0, -a, a))

    @staticmethod
    def coordinates(h: Array, g: Array, w: Array, l1: Array, tol: float, most: int) -> int:
        for sweep in range(most if len(w) else 0):
            worst = 0.0
            for j in range(len(w)):
                if h[j, j] <= 0:
                    continue
                new = _soft(w[j] - g[j] / h[j, j], l1[j] / h[j, j])
                delta = new - w[j]
                w[j] = new
                g += delta * h[j]
                worst = max(worst, abs(delta) * h[j, j])
            if worst <= tol:
                return sweep + 1
        return most if len(w) else 0

    @staticmethod
    def prox(w: Array, factors: Array | None, l1: float, l2: float) -> None:
        f = w.dtype.type(1) if factors is None else factors
        w[...] = _soft(w, w.dtype.type(l1) * f) / (1 + w.dtype.type(2 * l2) * f)

    @staticmethod
    def soft_closing(gains: Array, factors: Array) -> _Closing:
        def close(l1: float, w: Array, gains: Any) -> None:
            w[...] = _soft(w, w.dtype.type(l1) * factors * gains)

        return _Closing(factors, close, gains)

    @staticmethod
    def box_closing(gains: Array, factors: Array, low: float, high: float) -> _Closing:
        def close(l1: float, w: Array, gains: Any) -> None:
            near = _soft(w, w.dtype.type(l1) * factors * gains) if l1 else w
            w[...] = np.clip(near, low, high) + w.dtype.type(0)

        return _Closing(factors, close, gains)

    @staticmethod
    def box_add_grad(w: Array, grad: Array, low: float, high: float) -> None:
        grad[((w <= low) & (grad > 0)) | ((w >= high) & (grad < 0))] = 0

    @staticmethod
    def group_closing(gains: Array, factors: Array, members: Array, begins: Array) -> _Closing:
        groups = np.split(members, begins[1:-1])

        def close(l1: float, w: Array, gains: Any) -> None:
            flat, gain = w.reshape(-1), np.broadcast_to(gains, w.shape).reshape(-1).astype(np.float64)
            for group in groups:
                u, a = flat[group].astype(np.float64), l1 * float(factors.flat[group[0]]) * gain[group]
                with np.errstate(divide="ignore", invalid="ignore"):
                    short = np.nansum(np.square(u / a)) <= 1
                if short:
                    flat[group] = 0
                    continue
                low, high = 0.0, float(np.linalg.norm(u))
                for _ in range(200):
                    s = (low + high) / 2
                    low, high = (s, high) if np.square(u / (s + a)).sum() > 1 else (low, s)
                flat[group] = u * (high / (high + a))

        return _Closing(factors, close, gains, groups)

    @staticmethod
    def group_value(closing: _Closing, w: Array) -> float:
        flat, f = w.reshape(-1).astype(np.float64), closing.factors.reshape(-1)
        return float(sum(f[group[0]] * np.linalg.norm(flat[group]) for group in closing.groups))

    @staticmethod
    def group_add_grad(closing: _Closing, w: Array, grad: Array, l1: float) -> None:
        flat, g, f = w.reshape(-1), grad.reshape(-1), closing.factors.reshape(-1)
        for group in closing.groups:
            a, size = l1 * float(f[group[0]]), float(np.linalg.norm(flat[group].astype(np.float64)))
            if size:
                g[group] += w.dtype.type(a / size) * flat[group]
            else:
                size = float(np.linalg.norm(g[group].astype(np.float64)))
                g[group] *= w.dtype.type(max(0.0, 1 - a / size) if size else 0.0)

    @staticmethod
    def close(closing: _Closing, w: Array, l1: float) -> None:
        closing.close(l1, w, closing.gains)


# constants of an update, parameter, gradient as the moments see it, state; to the gain, one or a number a coordinate
Apply = Callable[[dict[str, Any], Array, Array, Sequence[Array]], Any]
Update = tuple[Callable[[tuple[float, ...], int], dict[str, Any]], Apply, int]


def _floor(c: dict[str, Any], reach: float, real: Any) -> Any:
    """eps, or what keeps denominators from zero, and reach / it a number."""
    return max(real(c["eps"]), np.finfo(real).tiny * real(1 + reach))


def _keep(state: Array, new: Array) -> None:
    """A mean of what is past: zero below the smallest normal number."""
    state[...] = new
    state[np.abs(state) < np.finfo(state.dtype).tiny] = 0


class updates:  # noqa: N801
    @staticmethod
    def sgd_update() -> Update:
        def apply(c: dict[str, Any], w: Array, g: Array, state: Sequence[Array]) -> Any:
            w -= w.dtype.type(c["lr"]) * g
            return w.dtype.type(c["lr"])

        return updates._prepare_sgd, apply, 0

    @staticmethod
    def _prepare_sgd(hyper: tuple[float, ...], t: int) -> dict[str, Any]:
        lr, momentum, dampening, weight_decay, nesterov = hyper
        gain = lr * (1 - dampening) / (1 - momentum)
        fresh = 1.0 if t == 1 else 1 - dampening
        return {
            "lr": lr,
            "momentum": momentum,
            "fresh": fresh,
            "decay": weight_decay,
            "nesterov": nesterov,
            "gain": gain,
        }

    @staticmethod
    def momentum_update() -> Update:
        def apply(c: dict[str, Any], w: Array, g: Array, state: Sequence[Array]) -> Any:
            real, (velocity,) = w.dtype.type, state
            _keep(velocity, real(c["momentum"]) * velocity + real(c["fresh"]) * g)
            w -= real(c["lr"]) * (g + real(c["momentum"]) * velocity if c["nesterov"] else velocity)
            return real(c["gain"])

        return updates._prepare_sgd, apply, 1

    @staticmethod
    def adam_update() -> Update:
        def prepare(hyper: tuple[float, ...], t: int) -> dict[str, Any]:
            lr, beta1, beta2, eps, weight_decay, decoupled = hyper
            return {
                "lr": lr,
                "beta1": beta1,
                "beta2": beta2,
                "eps": eps,
                "decay": 0.0 if decoupled else weight_decay,
                "keep": 1 - lr * weight_decay if decoupled else 1.0,
                "step": lr / (1 - beta1**t),
                "correction": 1 / sqrt(1 - beta2**t),
            }

        def apply(c: dict[str, Any], w: Array, g: Array, state: Sequence[Array]) -> Any:
            real, (mean, square) = w.dtype.type, state
            _keep(mean, real(c["beta1"]) * mean + real(1 - c["beta1"]) * g)
            _keep(square, real(c["beta2"]) * square + real(1 - c["beta2"]) * g * g)
            eps = _floor(c, c["lr"], real)
            scale = np.sqrt(square) * real(c["correction"]) + eps
            if c["keep"] != 1:
                w *= real(c["keep"])
            w -= mean * real(c["step"]) / scale
            return real(c["lr"]) / scale

        return prepare, apply, 2

    @staticmethod
    def amsgrad_update() -> Update:
        prepare, _, _ = updates.adam_update()

        def apply(c: dict[str, Any], w: Array, g: Array, state: Sequence[Array]) -> Any:
            real, (mean, square, largest) = w.dtype.type, state
            _keep(mean, real(c["beta1"]) * mean + real(1 - c["beta1"]) * g)
            _keep(square, real(c["beta2"]) * square + real(1 - c["beta2"]) * g * g)
            np.maximum(square, largest, out=largest)
            scale = np.sqrt(largest) * real(c["correction"]) + _floor(c, c["lr"], real)
            w[...] = w * real(c["keep"]) - mean * real(c["step"]) / scale
            return real(c["lr"]) / scale

        return prepare, apply, 3

    @staticmethod
    def _rmsprop(momentum: bool, centered: bool) -> Update:
        def prepare(hyper: tuple[float, ...], t: int) -> dict[str, Any]:
            return dict(zip(("lr", "alpha", "eps", "decay", "momentum"), hyper, strict=True))

        def apply(c: dict[str, Any], w: Array, g: Array, state: Sequence[Array]) -> Any:
            real, square = w.dtype.type, state[0]
            alpha, fresh = real(c["alpha"]), real(1 - c["alpha"])
            _keep(square, alpha * square + fresh * g * g)
            v = square
            if centered:
                mean = state[-1]
                _keep(mean, alpha * mean + fresh * g)
                v = np.maximum(square - mean * mean, 0)
            scale = np.sqrt(v) + _floor(c, c["lr"] / (1 - c["momentum"]), real)
            way = g / scale
            if momentum:
                _keep(state[1], real(c["momentum"]) * state[1] + way)
                way = state[1]
            w -= real(c["lr"]) * way
            return real(c["lr"] / (1 - c["momentum"])) / scale

        return prepare, apply, 1 + momentum + centered

    @staticmethod
    def rmsprop_update() -> Update:
        return updates._rmsprop(False, False)

    @staticmethod
    def rmsprop_momentum_update() -> Update:
        return updates._rmsprop(True, False)

    @staticmethod
    def rmsprop_centered_update() -> Update:
        return updates._rmsprop(False, True)

    @staticmethod
    def rmsprop_both_update() -> Update:
        return updates._rmsprop(True, True)

    @staticmethod
    def adagrad_update() -> Update:
        def prepare(hyper: tuple[float, ...], t: int) -> dict[str, Any]:
            lr, lr_decay, weight_decay, eps = hyper
            return {"lr": lr / (1 + (t - 1) * lr_decay), "eps": eps, "decay": weight_decay}

        def apply(c: dict[str, Any], w: Array, g: Array, state: Sequence[Array]) -> Any:
            real, (total,) = w.dtype.type, state
            total += g * g
            scale = np.sqrt(total) + _floor(c, c["lr"], real)
            w -= real(c["lr"]) * g / scale
            return real(c["lr"]) / scale

        return prepare, apply, 1

    @staticmethod
    def adadelta_update() -> Update:
        def prepare(hyper: tuple[float, ...], t: int) -> dict[str, Any]:
            return dict(zip(("lr", "rho", "eps", "decay"), hyper, strict=True))

        def apply(c: dict[str, Any], w: Array, g: Array, state: Sequence[Array]) -> Any:
            real, (square, moved) = w.dtype.type, state
            rho, fresh, eps = real(c["rho"]), real(1 - c["rho"]), max(real(c["eps"]), np.finfo(real).tiny)
            _keep(square, rho * square + fresh * g * g)
            ratio = np.sqrt(moved + eps) / np.sqrt(square + eps)
            delta = ratio * g
            _keep(moved, rho * moved + fresh * delta * delta)
            w -= real(c["lr"]) * delta
            return real(c["lr"]) * ratio

        return prepare, apply, 2

    @staticmethod
    def adamax_update() -> Update:
        def prepare(hyper: tuple[float, ...], t: int) -> dict[str, Any]:
            made = dict(zip(("lr", "beta1", "beta2", "eps", "decay"), hyper, strict=True))
            return made | {"step": made["lr"] / (1 - made["beta1"] ** t)}

        def apply(c: dict[str, Any], w: Array, g: Array, state: Sequence[Array]) -> Any:
            real, (mean, largest) = w.dtype.type, state
            _keep(mean, real(c["beta1"]) * mean + real(1 - c["beta1"]) * g)
            size = np.abs(g) + _floor(c, c["lr"], real)
            largest[...] = np.maximum(real(c["beta2"]) * largest, size)
            w -= real(c["step"]) * mean / largest
            return real(c["lr"]) / largest

        return prepare, apply, 2

    @staticmethod
    def nadam_update() -> Update:
        def prepare(hyper: tuple[float, ...], t: int) -> dict[str, Any]:
            lr, beta1, beta2, eps, weight_decay, mu, mu_next, product, decoupled = hyper
            return {
                "lr": lr,
                "beta1": beta1,
                "beta2": beta2,
                "eps": eps,
                "decay": 0.0 if decoupled else weight_decay,
                "keep": 1 - lr * weight_decay if decoupled else 1.0,
                "direct": lr * (1 - mu) / (1 - product),
                "ahead": lr * mu_next / (1 - product * mu_next),
                "correction": 1 / sqrt(1 - beta2**t),
            }

        def apply(c: dict[str, Any], w: Array, g: Array, state: Sequence[Array]) -> Any:
            real, (mean, square) = w.dtype.type, state
            _keep(mean, real(c["beta1"]) * mean + real(1 - c["beta1"]) * g)
            _keep(square, real(c["beta2"]) * square + real(1 - c["beta2"]) * g * g)
            scale = np.sqrt(square) * real(c["correction"]) + _floor(c, c["direct"] + c["ahead"], real)
            w[...] = w * real(c["keep"]) - (real(c["direct"]) * g + real(c["ahead"]) * mean) / scale
            return real(c["direct"] + c["ahead"]) / scale

        return prepare, apply, 2

    @staticmethod
    def radam_update() -> Update:
        def prepare(hyper: tuple[float, ...], t: int) -> dict[str, Any]:
            made = dict(zip(("lr", "beta1", "beta2", "eps", "decay"), hyper[:5], strict=True))
            made["keep"] = 1 - made["lr"] * made["decay"] if hyper[5] else 1.0
            made["decay"] = 0.0 if hyper[5] else made["decay"]
            power, most = made["beta2"] ** t, 2 / (1 - made["beta2"]) - 1
            length, ratio = most - 2 * t * power / (1 - power), 0.0
            if length > 5:
                ratio = sqrt((length - 4) * (length - 2) * most / ((most - 4) * (most - 2) * length)) * sqrt(1 - power)
            return made | {"step": made["lr"] / (1 - made["beta1"] ** t), "ratio": ratio, "plain": float(length <= 5)}

        def apply(c: dict[str, Any], w: Array, g: Array, state: Sequence[Array]) -> Any:
            real, (mean, square) = w.dtype.type, state
            _keep(mean, real(c["beta1"]) * mean + real(1 - c["beta1"]) * g)
            _keep(square, real(c["beta2"]) * square + real(1 - c["beta2"]) * g * g)
            eps = max(real(c["eps"]), np.finfo(real).tiny)
            scale = real(c["ratio"]) / (np.sqrt(square) + eps) + real(c["plain"])
            w[...] = w * real(c["keep"]) - real(c["step"]) * mean * scale
            return real(c["lr"]) * scale

        return prepare, apply, 2

    @staticmethod
    def lion_update() -> Update:
        def prepare(hyper: tuple[float, ...], t: int) -> dict[str, Any]:
            lr, beta1, beta2, weight_decay = hyper
            return {"lr": lr, "beta1": beta1, "beta2": beta2, "keep": 1 - lr * weight_decay, "decay": 0.0}

        def apply(c: dict[str, Any], w: Array, g: Array, state: Sequence[Array]) -> Any:
            real, (mean,) = w.dtype.type, state
            way = np.sign(real(c["beta1"]) * mean + real(1 - c["beta1"]) * g)
            _keep(mean, real(c["beta2"]) * mean + real(1 - c["beta2"]) * g)
            w[...] = w * real(c["keep"]) - real(c["lr"]) * way
            return None

        return prepare, apply, 1

    @staticmethod
    def ftrl_update() -> Update:
        def prepare(hyper: tuple[float, ...], t: int) -> dict[str, Any]:
            return dict(zip(("lr", "power", "l1", "l2", "beta"), hyper, strict=True)) | {"decay": 0.0}

        def apply(c: dict[str, Any], w: Array, g: Array, state: Sequence[Array]) -> Any:
            # the paper's z, kept as z + metric * w
            real, (sums, rest) = w.dtype.type, state
            # nothing moves, and nothing is learned
            if c["lr"] == 0:
                return real(0)
            sums += g * g
            power = -c["power"]
            root = np.sqrt(sums) if power == 0.5 else np.power(sums.astype(np.float64), power).astype(real)
            metric = np.maximum((real(c["beta"]) + root) * real(1 / c["lr"]) + real(2 * c["l2"]), np.finfo(real).tiny)
            z, l1, rests = rest + g - metric * w, real(c["l1"]), g == 0
            w[...] = np.where(rests, w, -_soft(z, l1) / metric + real(0))
            rest[...] = np.where(rests, rest, np.clip(z, -l1, l1))
            return real(1) / metric

        return prepare, apply, 2

    @staticmethod
    def ftrl_power_update() -> Update:
        return updates.ftrl_update()

    @staticmethod
    def lamb_update() -> Update:
        def prepare(hyper: tuple[float, ...], t: int) -> dict[str, Any]:
            lr, beta1, beta2, eps, weight_decay = hyper
            return {
                "lr": lr,
                "beta1": beta1,
                "beta2": beta2,
                "eps": eps,
                "own": weight_decay,
                "first": 1 / (1 - beta1**t),
                "correction": 1 / sqrt(1 - beta2**t),
                "decay": 0.0,
            }

        def apply(c: dict[str, Any], w: Array, g: Array, state: Sequence[Array]) -> Any:
            real, (mean, square) = w.dtype.type, state
            _keep(mean, real(c["beta1"]) * mean + real(1 - c["beta1"]) * g)
            _keep(square, real(c["beta2"]) * square + real(1 - c["beta2"]) * g * g)
            scale = np.sqrt(square) * real(c["correction"]) + max(real(c["eps"]), np.finfo(real).tiny)
            way = mean * real(c["first"]) / scale + real(c["own"]) * w
            lengths = [float(np.linalg.norm(x.astype(np.float64).reshape(-1))) for x in (w, way)]
            w -= real(c["lr"] * lengths[0] / lengths[1] if all(lengths) else c["lr"]) * way
            return None

        return prepare, apply, 2

    @staticmethod
    def step(
        update: Update,
        params: list[Array],
        grads: list[Array],
        state: list[Array],
        settings: tuple[tuple[float, ...], ...],
        which: Array,
        t: int,
        scale: float,
        clip: float,
        closings: list[_Closing | None] | None = None,
    ) -> None:
        prepare, apply, slots = update
        for i, (w, g) in enumerate(zip(params, grads, strict=True)):
            *hyper, l1, l2 = settings[which[i]]
            constants, closing, real = prepare(tuple(hyper), t), None if closings is None else closings[i], w.dtype.type
            if scale != 1:
                g = g * real(scale)
            if clip != inf:
                g = np.clip(g, -clip, clip)
            if closing is not None:
                g = g + (real(constants["decay"]) + real(2 * l2) * closing.factors) * w
            elif decay := constants["decay"] + 2 * l2:
                g = g + real(decay) * w
            own = state[i * slots : (i + 1) * slots]
            gain = apply(constants, w, g, own)
            if closing is not None:
                closing.close(l1, w, gain)
            elif l1:
                w[...] = _soft(w, real(l1) * gain)

    @staticmethod
    def blend(averages: list[Array], params: list[Array], share: float) -> None:
        for a, w in zip(averages, params, strict=True):
            a += a.dtype.type(share) * (w - a)

    @staticmethod
    def norm(arrays: list[Array]) -> float:
        return sqrt(sum(float(np.square(x, dtype=np.float64).sum()) for x in arrays))


class math:  # noqa: N801
    @staticmethod
    def exp(x: Array, out: Array) -> None:
        out[...] = _exp(x)

    @staticmethod
    def log(x: Array, out: Array) -> None:
        with np.errstate(divide="ignore", invalid="ignore"):
            out[...] = np.log(x)

    @staticmethod
    def log1p(x: Array, out: Array) -> None:
        with np.errstate(divide="ignore", invalid="ignore"):
            out[...] = np.log1p(x)

    @staticmethod
    def sigmoid(x: Array, out: Array) -> None:
        e = _exp(-np.abs(x))
        out[...] = np.where(x < 0, e, 1) / (1 + e)

    @staticmethod
    def softplus(x: Array, out: Array) -> None:
        out[...] = np.log1p(_exp(-np.abs(x))) + np.maximum(x, 0)

    @staticmethod
    def tanh(x: Array, out: Array) -> None:
        out[...] = np.tanh(x)

    @staticmethod
    def rsqrt(x: Array, out: Array) -> None:
        with np.errstate(divide="ignore", invalid="ignore"):
            out[...] = 1 / np.sqrt(x)
