"""Activations of a dense layer over buffers, z and g of shape (n, k). Doors to activations.pxd, one module a level."""

from cpython.buffer cimport Py_buffer
from cython cimport floating
from libc.stdint cimport uint64_t

from lossopt._kernels.abi cimport hold, release
from lossopt._kernels.activations cimport *


def stream(uint64_t seed, uint64_t forward, uint64_t layer, /):
    """The key of a layer's dropout in a forward: others have another."""
    return chained(chained(chained(0, seed), forward), layer)


cdef void forth(const activation_t* kind, Py_ssize_t n, Py_ssize_t k, const floating* bias, floating* z, double p,
                uint64_t key) noexcept nogil:
    cdef dropout_t drop
    if p == 0:
        forward[activation_t, whole_t, floating](kind, NULL, n, k, bias, z)
    else:
        drop.p, drop.key = p, key
        forward[activation_t, dropout_t, floating](kind, &drop, n, k, bias, z)


cdef void back(const activation_t* kind, Py_ssize_t n, Py_ssize_t k, const floating* a, floating* g, floating* grad_bias,
               double p, uint64_t key) noexcept nogil:
    cdef dropout_t drop
    if p == 0:
        backward[activation_t, whole_t, floating](kind, NULL, n, k, a, g, grad_bias)
    else:
        drop.p, drop.key = p, key
        backward[activation_t, dropout_t, floating](kind, &drop, n, k, a, g, grad_bias)


cdef int activate(const activation_t* kind, z, bias, double p, uint64_t key) except -1:
    cdef Py_buffer[2] b
    cdef Py_ssize_t k
    hold(b, (bias,), (z,))
    try:
        k = b[0].len // b[0].itemsize
        with nogil:
            if b[0].itemsize == 8:
                forth[activation_t, double](kind, b[1].len // 8 // k, k, <const double*>b[0].buf, <double*>b[1].buf, p, key)
            else:
                forth[activation_t, float](kind, b[1].len // 4 // k, k, <const float*>b[0].buf, <float*>b[1].buf, p, key)
    finally:
        release(b, 2)
    return 0


cdef int differentiate(const activation_t* kind, a, g, grad_bias, double p, uint64_t key) except -1:
    cdef Py_buffer[3] b
    cdef Py_ssize_t k
    hold(b, (a,), (g, grad_bias))
    try:
        k = b[2].len // b[2].itemsize
        with nogil:
            if b[2].itemsize == 8:
                back[activation_t, double](kind, b[1].len // 8 // k, k, <const double*>b[0].buf, <double*>b[1].buf,
                                           <double*>b[2].buf, p, key)
            else:
                back[activation_t, float](kind, b[1].len // 4 // k, k, <const float*>b[0].buf, <float*>b[1].buf,
                                          <float*>b[2].buf, p, key)
    finally:
        release(b, 3)
    return 0


def identity(z, bias, double p, uint64_t key, /):
    """z becomes dropout(z + bias); p = 0: no dropout."""
    activate(<const linear_t*>NULL, z, bias, p, key)


def relu(z, bias, double p, uint64_t key, /):
    """z becomes dropout(max(z + bias, 0))."""
    activate(<const relu_t*>NULL, z, bias, p, key)


def tanh(z, bias, double p, uint64_t key, /):
    """z becomes dropout(tanh(z + bias))."""
    activate(<const tanh_t*>NULL, z, bias, p, key)


def sigmoid(z, bias, double p, uint64_t key, /):
    """z becomes dropout(1 / (1 + exp(-(z + bias))))."""
    activate(<const sigmoid_t*>NULL, z, bias, p, key)


def identity_back(a, g, grad_bias, double p, uint64_t key, /):
    """g, the gradient of what identity made, a, becomes that of z + bias; grad_bias gets the sums of its columns."""
    differentiate(<const linear_t*>NULL, a, g, grad_bias, p, key)


def relu_back(a, g, grad_bias, double p, uint64_t key, /):
    """The same for relu."""
    differentiate(<const relu_t*>NULL, a, g, grad_bias, p, key)


def tanh_back(a, g, grad_bias, double p, uint64_t key, /):
    """The same for tanh."""
    differentiate(<const tanh_t*>NULL, a, g, grad_bias, p, key)


def sigmoid_back(a, g, grad_bias, double p, uint64_t key, /):
    """The same for sigmoid."""
    differentiate(<const sigmoid_t*>NULL, a, g, grad_bias, p, key)


def column_sums(g, out, /):
    """The gradient of a bias without activation; g is only read."""
    cdef Py_buffer[2] b
    cdef Py_ssize_t k
    hold(b, (g,), (out,))
    try:
        k = b[1].len // b[1].itemsize
        with nogil:
            if b[1].itemsize == 8:
                back[linear_t, double](NULL, b[0].len // 8 // k, k, NULL, <double*>b[0].buf, <double*>b[1].buf, 0, 0)
            else:
                back[linear_t, float](NULL, b[0].len // 4 // k, k, NULL, <float*>b[0].buf, <float*>b[1].buf, 0, 0)
    finally:
        release(b, 2)
