"""Activations of a dense layer over buffers, z and g of shape (n, k). Doors to activations.pxd, one module a level."""

from cpython.buffer cimport Py_buffer
from libc.stdint cimport uint64_t

from lossopt._kernels.abi cimport hold, release
from lossopt._kernels.activations cimport *


def stream(uint64_t seed, uint64_t forward, uint64_t layer, /):
    """The key of a layer's dropout in a forward: others have another."""
    return chained(chained(chained(0, seed), forward), layer)


cdef int activate(const activation_t* kind, z, bias, double p, uint64_t key) except -1:
    cdef Py_buffer[2] b
    cdef Py_ssize_t k
    cdef dropout_t drop = dropout_t(p, key)
    hold(b, (bias,), (z,))
    try:
        k = b[0].len // b[0].itemsize
        with nogil:
            if b[0].itemsize == 8:
                forward[activation_t, double](kind, &drop, b[1].len // 8 // k, k, <const double*>b[0].buf, <double*>b[1].buf)
            else:
                forward[activation_t, float](kind, &drop, b[1].len // 4 // k, k, <const float*>b[0].buf, <float*>b[1].buf)
    finally:
        release(b, 2)
    return 0


cdef int differentiate(const activation_t* kind, a, g, grad_bias, double p, uint64_t key) except -1:
    cdef Py_buffer[3] b
    cdef Py_ssize_t k
    cdef dropout_t drop = dropout_t(p, key)
    hold(b, (a,), (g, grad_bias))
    try:
        k = b[2].len // b[2].itemsize
        with nogil:
            if b[2].itemsize == 8:
                backward[activation_t, double](kind, &drop, b[1].len // 8 // k, k, <const double*>b[0].buf, <double*>b[1].buf,
                                               <double*>b[2].buf)
            else:
                backward[activation_t, float](kind, &drop, b[1].len // 4 // k, k, <const float*>b[0].buf, <float*>b[1].buf,
                                              <float*>b[2].buf)
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
    cdef dropout_t drop = dropout_t(0, 0)
    hold(b, (g,), (out,))
    try:
        k = b[1].len // b[1].itemsize
        with nogil:
            if b[1].itemsize == 8:
                backward[linear_t, double](NULL, &drop, b[0].len // 8 // k, k, NULL, <double*>b[0].buf, <double*>b[1].buf)
            else:
                backward[linear_t, float](NULL, &drop, b[0].len // 4 // k, k, NULL, <float*>b[0].buf, <float*>b[1].buf)
    finally:
        release(b, 2)
