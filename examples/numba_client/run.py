"""pip install lossopt numba; python run.py: a loop of numba's over lossopt's kernels, which it calls by address."""

import ctypes

import numba
import numpy as np

import lossopt as lo
import lossopt.capi

SIZE, POINTER, NUMBER = ctypes.c_ssize_t, ctypes.c_void_p, ctypes.c_double
huber = ctypes.CFUNCTYPE(NUMBER, POINTER, SIZE, SIZE, *[POINTER] * 4, NUMBER)(lossopt.capi.address("loss_f64"))
rmsprop = ctypes.CFUNCTYPE(None, SIZE, *[POINTER] * 3, *[NUMBER] * 4)(lossopt.capi.address("rmsprop_f64"))
loss = lo.Huber(2.0)
handle = lossopt.capi.handle(loss)


@numba.njit
def descend(address, y, w, steps, lr):
    """Move w to where the loss of its numbers beside y is least."""
    grad, square, value = np.empty_like(w), np.zeros_like(w), 0.0
    for _ in range(steps):
        value = huber(address, len(w), 1, w.ctypes.data, y.ctypes.data, 0, grad.ctypes.data, 1.0)
        rmsprop(len(w), w.ctypes.data, grad.ctypes.data, square.ctypes.data, lr, 0.99, 1e-8, 0.0)
    return value


y = np.random.default_rng(0).standard_normal(1000)
w = np.zeros(1000)
value = descend(handle.address, y, w, 50, 0.01)

other, opt = np.zeros(1000), lo.RMSprop(0.01)
for _ in range(50):
    last, grad = lo.Huber(2.0, reduction="sum").value_and_grad(other, y)
    opt.step(other, grad)
assert np.array_equal(w, other)
assert abs(value - last) < 1e-9
print(f"50 steps, loss {value:.6f}, the same bits as in Python")
