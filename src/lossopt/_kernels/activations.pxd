# Activations of a dense layer, header only: forward over the product with the weights, backward over its gradient, in
# place, each with what stands beside it: bias, dropout, the bias's gradient.
#
# Design. A derivative is made of the activation's output alone, so that a layer keeps nothing else. Dropout is inverted:
# what is kept is divided by 1 - p. No mask is kept either: whether number i of a layer is dropped is a hash of (key, i),
# which backward asks again. Every operation is rounded on its own, as NumPy's are.

from cython cimport floating
from libc.stdint cimport uint64_t

from lossopt._kernels.math cimport BLOCK, mixed, value_f64
from lossopt._kernels.math cimport sigmoid as logistic
from lossopt._kernels.math cimport tanh as hyperbolic

cdef struct relu_t:
    double unused

cdef struct tanh_t:
    double unused

cdef struct sigmoid_t:
    double unused

cdef struct linear_t:
    double unused

ctypedef fused activation_t:
    relu_t
    tanh_t
    sigmoid_t
    linear_t

cdef struct dropout_t:
    double p                # how likely a number is dropped; 0: none is
    uint64_t key


cdef inline floating value(const activation_t* kind, floating x) noexcept nogil:
    cdef floating zero = 0
    if activation_t is relu_t:
        return zero if x < zero else x      # NaN stays
    elif activation_t is tanh_t:
        return hyperbolic[floating](x)
    elif activation_t is sigmoid_t:
        return logistic[floating](x)
    else:
        return x


cdef inline floating through(const activation_t* kind, floating a, floating g) noexcept nogil:
    """The gradient before the activation, from its value a and the gradient behind it."""
    cdef floating zero = 0, one = 1
    if activation_t is relu_t:
        return zero if a <= zero else g
    elif activation_t is tanh_t:
        return g * (one - a * a)
    elif activation_t is sigmoid_t:
        return g * (a * (one - a))
    else:
        return g


cdef inline uint64_t chained(uint64_t key, uint64_t number) noexcept nogil:
    """A key of a key and a number more."""
    return mixed(key + number + <uint64_t>0x9E3779B97F4A7C15)


cdef inline void thinned(const dropout_t* drop, Py_ssize_t first, Py_ssize_t n, floating* x) noexcept nogil:
    """x, numbers first, first + 1, ... of a layer: each times 0, or times 1 / (1 - p)."""
    cdef floating zero = 0, kept = <floating>(1 / (1 - drop.p))
    cdef double edge = 1 + drop.p
    cdef uint64_t state = drop.key + <uint64_t>first * <uint64_t>0x9E3779B97F4A7C15
    cdef Py_ssize_t i
    # not for vectors on baseline, which lacks their 64-bit products
    for i in range(n):
        # SplitMix64's number i; 52 bits of it are the mantissa of a number from 1 to 2
        x[i] *= zero if value_f64(
            (mixed(state + <uint64_t>(i + 1) * <uint64_t>0x9E3779B97F4A7C15) >> 12) | <uint64_t>0x3FF0000000000000
        ) < edge else kept


cdef inline void forward(const activation_t* kind, const dropout_t* drop, Py_ssize_t n, Py_ssize_t k, const floating* bias,
                         floating* z) noexcept nogil:
    """z (n, k) becomes dropout(activation(z + bias))."""
    cdef Py_ssize_t i, j, m, stop, at = 0, row = 0
    while row < n:
        # short rows together, so that they fill vectors
        stop = min(n, row + max(<Py_ssize_t>1, BLOCK // k))
        for i in range(row, stop):
            for j in range(k):    # hot
                z[i * k + j] += bias[j]
        row = stop
        while at < stop * k:
            m = min(<Py_ssize_t>BLOCK, stop * k - at)
            if activation_t is not linear_t:
                for i in range(m):    # hot 6
                    z[at + i] = value[activation_t, floating](kind, z[at + i])
            if drop.p:
                thinned[floating](drop, at, m, z + at)
            at += m


cdef inline void backward(const activation_t* kind, const dropout_t* drop, Py_ssize_t n, Py_ssize_t k, const floating* a,
                          floating* g, floating* grad_bias) noexcept nogil:
    """g (n, k), the gradient behind a layer whose output is a, becomes that before its activation; grad_bias its sums."""
    cdef double[BLOCK] total
    cdef floating[BLOCK] undropped
    cdef floating left = <floating>(1 - drop.p)
    cdef const floating* made       # by the activation, before dropout
    cdef Py_ssize_t i, j, m, at, column = 0
    while column < k:
        m = min(<Py_ssize_t>BLOCK, k - column)
        for j in range(m):
            total[j] = 0
        for i in range(n):
            at = i * k + column
            if activation_t is not linear_t:
                made = a + at
            if drop.p:
                thinned[floating](drop, at, m, g + at)
                if activation_t is not linear_t:
                    for j in range(m):    # hot 6
                        undropped[j] = a[at + j] * left
                    made = undropped
            if activation_t is not linear_t:
                for j in range(m):    # hot 6
                    g[at + j] = through[activation_t, floating](kind, made[j], g[at + j])
            for j in range(m):    # hot
                total[j] += <double>g[at + j]
        for j in range(m):
            grad_bias[column + j] = <floating>total[j]
        column += m
