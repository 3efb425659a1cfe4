"""Linear objectives over buffers. Doors to linear.pxd, one module a level."""

from cpython.buffer cimport Py_buffer
from cython cimport floating
from cython.parallel cimport prange
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memset

from lossopt._kernels.abi cimport Loss, Pass, hold, release, threads
from lossopt._kernels.linear cimport *
from lossopt._kernels.math cimport add, sum_t

cdef enum:
    CHUNKS = 64         # at most so many partial gradients, whatever the number of threads

MOST_OUTPUTS = WIDE


cdef Py_ssize_t chunk_rows(Py_ssize_t n, Py_ssize_t d) noexcept nogil:
    """How many rows share a partial gradient: at least 4 blocks and 32768 numbers, a choice of the shape alone."""
    cdef Py_ssize_t least = max(<Py_ssize_t>(4 * ROWS), max(32768 // max(d, <Py_ssize_t>1), (n + CHUNKS - 1) // CHUNKS))
    return (least + ROWS - 1) // ROWS * ROWS


cdef Py_ssize_t chunks(Py_ssize_t n, Py_ssize_t d) noexcept nogil:
    cdef Py_ssize_t size = chunk_rows(n, d)
    return max(<Py_ssize_t>1, (n + size - 1) // size)


cdef Py_ssize_t scratch_size(Py_ssize_t n, Py_ssize_t d, Py_ssize_t k) noexcept nogil:
    """Doubles that a pass needs: a sum (two numbers), a partial gradient for weight and bias, for each chunk."""
    return chunks(n, d) * (2 + k * d + k)


cdef void part(Loss loss, Py_ssize_t n, Py_ssize_t c, Py_ssize_t size, Py_ssize_t d, Py_ssize_t k, const floating* x,
               const char* y, const floating* sample_weight, const floating* weight, const floating* bias, double scale,
               sum_t* values, double* partials) noexcept nogil:
    """Chunk number c: its rows' sum and, where partials are wanted, gradient."""
    cdef Py_ssize_t item = loss.target_size if loss.target_size else k * <Py_ssize_t>sizeof(floating)
    cdef Py_ssize_t start = c * size, m = min(size, n - c * size), p = k * d + k
    cdef const floating* row_weight = NULL
    cdef double* partial = NULL
    cdef double* grad_bias = NULL
    values[c].total = values[c].rest = 0
    if sample_weight != NULL:
        row_weight = sample_weight + start
    if partials != NULL:
        partial = partials + c * p
        memset(partial, 0, p * sizeof(double))
        if bias != NULL:
            grad_bias = partial + k * d
    objective_rows[floating](loss, m, d, k, x + start * d, y + start * item, item, row_weight, weight, bias, scale,
                             &values[c], partial, grad_bias)


cdef double run(Loss loss, Py_ssize_t n, Py_ssize_t d, Py_ssize_t k, const floating* x, const char* y,
                const floating* sample_weight, const floating* weight, const floating* bias, double scale,
                floating* grad_weight, floating* grad_bias, double* scratch) noexcept nogil:
    """What abi calls pass_f64 and pass_f32; without grad_weight, the value alone."""
    cdef Py_ssize_t c, j, size = chunk_rows(n, d)
    cdef Py_ssize_t count = chunks(n, d), p = k * d + k
    cdef int workers = threads(n * d * k, count)
    cdef sum_t* values = <sum_t*>scratch
    cdef double* partials = NULL
    cdef sum_t whole
    if grad_weight != NULL:
        partials = scratch + 2 * count
    if workers == 1:
        for c in range(count):
            part[floating](loss, n, c, size, d, k, x, y, sample_weight, weight, bias, scale, values, partials)
    else:
        for c in prange(count, num_threads=workers, schedule="static"):
            part[floating](loss, n, c, size, d, k, x, y, sample_weight, weight, bias, scale, values, partials)
    whole.total = whole.rest = 0
    for c in range(count):
        add(&whole, values[c].total)
        add(&whole, values[c].rest)
    if partials != NULL:
        for c in range(1, count):
            for j in range(p):
                partials[j] += partials[c * p + j]
        for j in range(k * d):
            grad_weight[j] = <floating>partials[j]
        if grad_bias != NULL:
            for j in range(k):
                grad_bias[j] = <floating>partials[k * d + j]
    return whole.total + whole.rest


def objective_pass():
    """The pass of `value_and_grad` itself, for those who call it by address."""
    return Pass.of(scratch_size, <void*>run[double], <void*>run[float])


def value_and_grad(Loss loss not None, x, y, sample_weight, weight, bias, grad_weight, grad_bias, double scale):
    """Sum of sample_weight * loss over the rows of x (n, d) under weight (k, d) and bias (k,) or None; grad_weight and
    grad_bias (both None: not wanted) become scale times its gradient."""
    cdef Py_buffer[7] b
    cdef double result
    cdef Py_ssize_t n, d, k
    n, d = x.shape
    k = weight.shape[0]
    cdef double* scratch = <double*>malloc(scratch_size(n, d, k) * sizeof(double))
    if scratch == NULL:
        raise MemoryError
    try:
        hold(b, (x, y, sample_weight, weight, bias), (grad_weight, grad_bias))
        try:
            with nogil:
                if b[0].itemsize == 8:
                    result = run[double](loss, n, d, k, <const double*>b[0].buf, <const char*>b[1].buf,
                                         <const double*>b[2].buf, <const double*>b[3].buf, <const double*>b[4].buf, scale,
                                         <double*>b[5].buf, <double*>b[6].buf, scratch)
                else:
                    result = run[float](loss, n, d, k, <const float*>b[0].buf, <const char*>b[1].buf,
                                        <const float*>b[2].buf, <const float*>b[3].buf, <const float*>b[4].buf, scale,
                                        <float*>b[5].buf, <float*>b[6].buf, scratch)
        finally:
            release(b, 7)
    finally:
        free(scratch)
    return result


cdef void predictions(Py_ssize_t n, Py_ssize_t d, Py_ssize_t k, const floating* x, const floating* w,
                      const floating* bias, floating* out) noexcept nogil:
    cdef Py_ssize_t c, count = (n + ROWS - 1) // ROWS
    cdef int workers = threads(n * d * k, count)
    if workers == 1:
        forward[floating](n, d, k, x, w, bias, out)
    else:
        for c in prange(count, num_threads=workers, schedule="static"):
            forward[floating](min(<Py_ssize_t>ROWS, n - c * ROWS), d, k, x + c * ROWS * d, w, bias, out + c * ROWS * k)


def predict(x, weight, bias, out):
    """out (n, k) or (n,) = x (n, d) times weight (k, d) transposed, plus bias (k,) or None."""
    cdef Py_buffer[4] b
    cdef Py_ssize_t n, d, k = weight.shape[0]
    n, d = x.shape
    hold(b, (x, weight, bias), (out,))
    try:
        with nogil:
            if b[3].itemsize == 8:
                predictions[double](n, d, k, <const double*>b[0].buf, <const double*>b[1].buf, <const double*>b[2].buf,
                                    <double*>b[3].buf)
            else:
                predictions[float](n, d, k, <const float*>b[0].buf, <const float*>b[1].buf, <const float*>b[2].buf,
                                   <float*>b[3].buf)
    finally:
        release(b, 4)


cdef void transposed(Py_ssize_t n, Py_ssize_t d, Py_ssize_t k, const floating* x, const floating* g, floating* weight,
                     floating* bias, double* sums) noexcept nogil:
    cdef Py_ssize_t j
    backward[floating](n, d, k, x, g, sums, sums + k * d)
    for j in range(k * d):
        weight[j] = <floating>sums[j]
    for j in range(k):
        bias[j] = <floating>sums[k * d + j]


def gradient(x, g, weight, bias):
    """weight (k, d) = g (n, k) transposed times x (n, d); bias (k,) = the sum of g's rows."""
    cdef Py_buffer[4] b
    cdef Py_ssize_t n, d, k = weight.shape[0]
    n, d = x.shape
    cdef double* sums = <double*>calloc(k * d + k + 1, sizeof(double))
    if sums == NULL:
        raise MemoryError
    try:
        hold(b, (x, g), (weight, bias))
        try:
            with nogil:
                if b[0].itemsize == 8:
                    transposed[double](n, d, k, <const double*>b[0].buf, <const double*>b[1].buf, <double*>b[2].buf,
                                       <double*>b[3].buf, sums)
                else:
                    transposed[float](n, d, k, <const float*>b[0].buf, <const float*>b[1].buf, <float*>b[2].buf,
                                      <float*>b[3].buf, sums)
        finally:
            release(b, 4)
    finally:
        free(sums)
