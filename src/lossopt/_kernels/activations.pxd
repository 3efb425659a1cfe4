# Activations of a dense layer, header only: forward over the product with the weights, backward over its gradient, in
# place, each with what stands beside it: bias, dropout, the bias's gradient.
#
# Design. A derivative is made of the activation's output alone, so that a layer keeps nothing else. Dropout is inverted:
# what is kept is divided by 1 - p. No mask is kept either: whether number i of a layer is dropped is a hash of (key, i),
# which backward asks again. Each function is compiled twice, with and without dropout. Every operation is rounded on its
# own, as NumPy's are.

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

cdef struct whole_t:
    double unused

cdef struct dropout_t:
    double p                # how likely a number is dropped
    uint64_t key

ctypedef fused drop_t:
    whole_t
    dropout_t


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


cdef inline void draw(const dropout_t* drop, Py_ssize_t first, Py_ssize_t n, floating* factor) noexcept nogil:
    """What numbers first, first + 1, ... are multiplied by: 0, or 1 / (1 - p)."""
    cdef floating zero = 0, kept = <floating>(1 / (1 - drop.p))
    cdef double edge = 1 + drop.p
    cdef uint64_t state = drop.key + <uint64_t>first * <uint64_t>0x9E3779B97F4A7C15
    cdef Py_ssize_t i
    # not for vectors on baseline, which lacks their 64-bit products
    for i in range(n):
        # SplitMix64's number i; 52 bits of it are the mantissa of a number from 1 to 2
        factor[i] = zero if value_f64(
            (mixed(state + <uint64_t>(i + 1) * <uint64_t>0x9E3779B97F4A7C15) >> 12) | <uint64_t>0x3FF0000000000000
        ) < edge else kept


cdef inline void forward(const activation_t* kind, const drop_t* drop, Py_ssize_t n, Py_ssize_t k, const floating* bias,
                         floating* z) noexcept nogil:
    """z (n, k) becomes dropout(activation(z + bias))."""
    cdef floating[BLOCK] factor
    cdef floating v
    cdef Py_ssize_t i, j, m, stop, at = 0, row = 0
    while row < n:
        # short rows together, so that they fill vectors
        stop = min(n, row + max(<Py_ssize_t>1, BLOCK // k))
        for i in range(row, stop):
            for j in range(k):    # hot
                z[i * k + j] += bias[j]
        row = stop
        if activation_t is not linear_t or drop_t is dropout_t:
            while at < stop * k:
                m = min(<Py_ssize_t>BLOCK, stop * k - at)
                if drop_t is dropout_t:
                    draw[floating](drop, at, m, factor)
                for i in range(m):    # hot
                    v = value[activation_t, floating](kind, z[at + i])
                    if drop_t is dropout_t:
                        v = v * factor[i]
                    z[at + i] = v
                at += m


cdef inline void backward(const activation_t* kind, const drop_t* drop, Py_ssize_t n, Py_ssize_t k, const floating* a,
                          floating* g, floating* grad_bias) noexcept nogil:
    """g (n, k), the gradient behind a layer whose output is a, becomes that before its activation; grad_bias its sums."""
    cdef double[BLOCK] total
    cdef floating[BLOCK] factor
    cdef floating left, v, u
    cdef Py_ssize_t i, j, m, at, column = 0
    if drop_t is dropout_t:
        left = <floating>(1 - drop.p)
    while column < k:
        m = min(<Py_ssize_t>BLOCK, k - column)
        for j in range(m):
            total[j] = 0
        for i in range(n):
            at = i * k + column
            if drop_t is dropout_t:
                draw[floating](drop, at, m, factor)
            if activation_t is not linear_t or drop_t is dropout_t:
                for j in range(m):    # hot
                    v, u = a[at + j], g[at + j]
                    if drop_t is dropout_t:
                        v, u = v * left, u * factor[j]
                    g[at + j] = through[activation_t, floating](kind, v, u)
            for j in range(m):    # hot
                total[j] += <double>g[at + j]
        for j in range(m):
            grad_bias[column + j] = <floating>total[j]
        column += m
