"""Penalties over buffers. Doors to penalties.pxd, one module a level."""

from cpython.buffer cimport Py_buffer
from cython cimport floating

from lossopt._kernels.abi cimport hold, release
from lossopt._kernels.math cimport BLOCK, add, block_sum, fabs, sum_t
from lossopt._kernels.penalties cimport *


cdef double worth(Py_ssize_t n, const floating* w, double l1, double l2) noexcept nogil:
    cdef sum_t s
    cdef double[BLOCK] v
    cdef Py_ssize_t b, i, m
    s.total = s.rest = 0
    for b in range((n + BLOCK - 1) // BLOCK):
        m = min(<Py_ssize_t>BLOCK, n - b * BLOCK)
        # a part that is absent is not computed: it stays absent beside an infinite weight
        if l1 != 0:
            for i in range(m):    # hot
                v[i] = l1 * <double>fabs[floating](w[b * BLOCK + i])
            add(&s, block_sum(v, m))
        if l2 != 0:
            for i in range(m):    # hot
                v[i] = l2 * (<double>w[b * BLOCK + i] * <double>w[b * BLOCK + i])
            add(&s, block_sum(v, m))
    return s.total + s.rest


def value(w, double l1, double l2):
    """l1 * sum |w| + l2 * sum w**2, in double."""
    cdef Py_buffer[1] b
    cdef double result = 0
    if l1 == 0 and l2 == 0:
        return result
    hold(b, (w,), ())
    try:
        with nogil:
            if b[0].itemsize == 8:
                result = worth[double](b[0].len // 8, <const double*>b[0].buf, l1, l2)
            else:
                result = worth[float](b[0].len // 4, <const float*>b[0].buf, l1, l2)
    finally:
        release(b, 1)
    return result


cdef void gradients(Py_ssize_t n, const floating* w, floating* g, double l1, double l2) noexcept nogil:
    cdef Py_ssize_t i
    cdef floating a = <floating>l1, q = <floating>l2
    for i in range(n):    # hot
        g[i] = subgradient[floating](w[i], g[i], a, q)


def add_grad(w, grad, double l1, double l2):
    """grad becomes the least subgradient of itself plus the penalty."""
    cdef Py_buffer[2] b
    hold(b, (w,), (grad,))
    try:
        with nogil:
            if b[0].itemsize == 8:
                gradients[double](b[0].len // 8, <const double*>b[0].buf, <double*>b[1].buf, l1, l2)
            else:
                gradients[float](b[0].len // 4, <const float*>b[0].buf, <float*>b[1].buf, l1, l2)
    finally:
        release(b, 2)


cdef void proximal(Py_ssize_t n, floating* w, double threshold, double shrink) noexcept nogil:
    cdef Py_ssize_t i
    cdef floating t = <floating>threshold, s = <floating>shrink
    for i in range(n):    # hot
        w[i] = soft[floating](w[i], t) * s


def prox(w, double threshold, double shrink):
    """w becomes soft(w, threshold) * shrink."""
    cdef Py_buffer[1] b
    hold(b, (), (w,))
    try:
        with nogil:
            if b[0].itemsize == 8:
                proximal[double](b[0].len // 8, <double*>b[0].buf, threshold, shrink)
            else:
                proximal[float](b[0].len // 4, <float*>b[0].buf, threshold, shrink)
    finally:
        release(b, 1)
