"""Elementary functions over buffers, from x to out. Doors to math.pxd, one module a level."""

cimport lossopt._kernels.math as header     # its functions have the names of the doors
from cpython.buffer cimport Py_buffer
from cython cimport floating

from lossopt._kernels.abi cimport hold, release

# each function as a type: one loop serves them all

cdef struct exp_t:
    double unused

cdef struct log_t:
    double unused

cdef struct log1p_t:
    double unused

cdef struct sigmoid_t:
    double unused

cdef struct softplus_t:
    double unused

cdef struct tanh_t:
    double unused

cdef struct rsqrt_t:
    double unused

ctypedef fused function_t:
    exp_t
    log_t
    log1p_t
    sigmoid_t
    softplus_t
    tanh_t
    rsqrt_t


cdef inline floating at(const function_t* function, floating x) noexcept nogil:
    if function_t is exp_t:
        return header.exp[floating](x)
    elif function_t is log_t:
        return header.log[floating](x)
    elif function_t is log1p_t:
        return header.log1p[floating](x)
    elif function_t is sigmoid_t:
        return header.sigmoid[floating](x)
    elif function_t is softplus_t:
        return header.softplus[floating](x)
    elif function_t is tanh_t:
        return header.tanh[floating](x)
    else:
        return header.rsqrt[floating](x)


cdef void each(const function_t* function, Py_ssize_t n, const floating* x, floating* out) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):    # hot
        out[i] = at[function_t, floating](function, x[i])


cdef int through(const function_t* function, x, out) except -1:
    """x and out are of one size and precision, and may be one array."""
    cdef Py_buffer[2] b
    hold(b, (x,), (out,))
    try:
        with nogil:
            if b[0].itemsize == 8:
                each[function_t, double](function, b[0].len // 8, <const double*>b[0].buf, <double*>b[1].buf)
            else:
                each[function_t, float](function, b[0].len // 4, <const float*>b[0].buf, <float*>b[1].buf)
    finally:
        release(b, 2)
    return 0


def exp(x, out, /):
    through(<const exp_t*>NULL, x, out)


def log(x, out, /):
    through(<const log_t*>NULL, x, out)


def log1p(x, out, /):
    through(<const log1p_t*>NULL, x, out)


def sigmoid(x, out, /):
    """1 / (1 + exp(-x))."""
    through(<const sigmoid_t*>NULL, x, out)


def softplus(x, out, /):
    """log(1 + exp(x))."""
    through(<const softplus_t*>NULL, x, out)


def tanh(x, out, /):
    through(<const tanh_t*>NULL, x, out)


def rsqrt(x, out, /):
    """1 / sqrt(x)."""
    through(<const rsqrt_t*>NULL, x, out)
