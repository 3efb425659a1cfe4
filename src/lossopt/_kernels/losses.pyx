"""Losses over buffers: value and gradient of many rows in one pass. Doors to losses.pxd, one module a level."""

from cpython.buffer cimport Py_buffer
from cython cimport floating
from cython.parallel cimport prange
from libc.stdint cimport int64_t
from libc.string cimport memset

from lossopt._kernels.abi cimport Loss, hold, level_t, numbers, release, threads
from lossopt._kernels.losses cimport *      # under a level's name the .pxd beside this file is not found by itself
from lossopt._kernels.math cimport BLOCK, LANES, add, add_lanes, lanes_t, numbers_sum, sum_t

cdef enum:
    CHUNKS = 64         # at most so many partial sums, whatever the number of threads


def mse():
    cdef mse_t c
    c.unused = 0
    return made(&c)


def bce(double positive, double negative, double smoothing, /):
    cdef logistic_t plain
    cdef bce_t c
    if positive == 1 and negative == 1 and smoothing == 0:
        plain.unused = 0
        return made(&plain)
    c.positive, c.negative, c.smoothing = positive, negative, smoothing
    return made(&c)


def bce_probability(double positive, double smoothing, /):
    cdef bce_probability_t c
    c.positive, c.smoothing = positive, smoothing
    return made(&c)


def pinball(double above, double below, double epsilon, /):
    cdef pinball_t c
    c.above, c.below, c.epsilon = above, below, epsilon
    return made(&c)


def huber(double delta, /):
    cdef huber_t c
    c.delta = delta
    return made(&c)


def log_cosh():
    cdef log_cosh_t c
    c.unused = 0
    return made(&c)


def squared_pinball(double epsilon, /):
    cdef squared_pinball_t c
    c.epsilon = epsilon
    return made(&c)


def hinge(double margin, /):
    cdef hinge_t c
    c.margin = margin
    return made(&c)


def squared_hinge():
    cdef squared_hinge_t c
    c.unused = 0
    return made(&c)


def modified_huber():
    cdef modified_huber_t c
    c.unused = 0
    return made(&c)


def poisson():
    cdef poisson_t c
    c.unused = 0
    return made(&c)


def gamma():
    cdef gamma_t c
    c.unused = 0
    return made(&c)


def tweedie(double power, /):
    cdef tweedie_t c
    c.power = power
    return made(&c)


def focal(double gamma, double positive, double negative, /):
    cdef focal_t c
    c.gamma, c.positive, c.negative = gamma, positive, negative
    return made(&c)


def softmax_labels():
    cdef softmax_t c
    memset(&c, 0, sizeof(c))
    return Loss.of_rows(&level, <void*>softmax[double, int64_t], <void*>softmax[float, int64_t], &c, sizeof(c), True)


def softmax_soft(double own, double others, table, /):
    """Labels; table: a number a class (k,), or a row of them a class (k, k), float64, or None for ones."""
    cdef softmax_t c
    memset(&c, 0, sizeof(c))
    c.own, c.others, c.rows = own, others, 1
    if table is not None:
        c.table, c.rows = numbers(table), 1 if table.ndim == 1 else len(table)
    return Loss.of_rows(&level, <void*>softmax[double, soft_t], <void*>softmax[float, soft_t], &c, sizeof(c), True, table)


def focal_labels(double gamma, weights, /):
    """Labels; weights: a number a class, float64, or None for ones."""
    cdef focal_rows_t c
    c.gamma, c.weights = gamma, numbers(weights)
    return Loss.of_rows(&level, <void*>focal_rows[double], <void*>focal_rows[float], &c, sizeof(c), True, weights)


def hinge_labels():
    cdef softmax_t c
    memset(&c, 0, sizeof(c))
    return Loss.of_rows(&level, <void*>hinge_rows[double], <void*>hinge_rows[float], &c, sizeof(c), True)


def softmax_probabilities():
    cdef softmax_t c
    memset(&c, 0, sizeof(c))
    return Loss.of_rows(&level, <void*>softmax[double, double], <void*>softmax[float, float], &c, sizeof(c), False)


def pairs_of_rows(discounts, Py_ssize_t top, /):
    """discounts: a number a place, float64, at least as many as outputs, or None; from place top on they are 0."""
    cdef pairs_t c
    c.discounts, c.top = numbers(discounts), top
    return Loss.of_rows(&level, <void*>pairs[double], <void*>pairs[float], &c, sizeof(c), False, discounts)


def custom(size_t in_double, size_t in_float, kept, /):
    """Block functions at these addresses; in_float may be 0. kept: what lives as long as the loss."""
    cdef foreign_t c
    c.in_double, c.in_float = in_double, in_float
    cdef Loss loss = Loss.of_block(&level, <void*>foreign[double], <void*>foreign[float], NULL, NULL, &c, sizeof(c))
    loss.kept = kept
    return loss


cdef Loss made(const loss_t* constants):
    return Loss.of_block(&level, <void*>block[loss_t, double], <void*>block[loss_t, float], <void*>flat[loss_t, double],
                         <void*>flat[loss_t, float], constants, sizeof(loss_t))


cdef Py_ssize_t chunk_rows(Py_ssize_t n, Py_ssize_t k) noexcept nogil:
    """How many rows share a partial sum: a choice of the shape alone, never of the threads."""
    cdef Py_ssize_t enough = max(16384 // k, <Py_ssize_t>1), least = max(enough, (n + CHUNKS - 1) // CHUNKS)
    # a few rows of many classes are enough for a thread
    cdef Py_ssize_t size = min(block_rows(k), enough)
    return max(size, (least + size - 1) // size * size)


cdef void flat_chunk(Loss loss, Py_ssize_t start, Py_ssize_t stop, Py_ssize_t k, const floating* z, const floating* y,
                     const floating* weight, floating* out, floating scale, sum_t* partial) noexcept nogil:
    """Numbers start to stop, k a row, of a loss that sees one at a time."""
    cdef floating[BLOCK] factor
    cdef floating[BLOCK] value
    cdef floating[BLOCK] each           # number's weight is its row's
    cdef floating[BLOCK] unwanted
    cdef floating* gradient = unwanted
    cdef lanes_t sums
    cdef Py_ssize_t i, m
    memset(&sums, 0, sizeof(sums))
    while start < stop:
        m = min(<Py_ssize_t>BLOCK, stop - start)
        if out != NULL:
            gradient = out + start
        if weight != NULL:
            for i in range(m):
                each[i] = weight[(start + i) // k]
            weigh[floating](m, each, scale, factor)
            rows[floating](loss, m, 1, z + start, <const char*>(y + start), factor, value, gradient)
            add_weighed[floating](m, value, each, &sums)
        elif floating is double:
            loss.flat64(loss.constants, m, z + start, y + start, scale, gradient, &sums)
        else:
            loss.flat32(loss.constants, m, z + start, y + start, scale, gradient, &sums)
        start += m
    add_lanes(partial, &sums)


cdef void chunk(Loss loss, Py_ssize_t start, Py_ssize_t stop, Py_ssize_t k, const floating* z, const char* y,
                const floating* weight, floating* out, double scale, sum_t* partial) noexcept nogil:
    cdef floating[ROWS] factor
    cdef floating[ROWS] value
    cdef const floating* row_weight = NULL
    cdef floating* gradient = NULL
    cdef Py_ssize_t m, r = start
    cdef Py_ssize_t item = loss.target_size if loss.target_size else k * <Py_ssize_t>sizeof(floating)
    partial.total = 0
    partial.rest = 0
    if loss.flat64 != NULL:
        flat_chunk[floating](loss, start * k, stop * k, k, z, <const floating*>y, weight, out, <floating>scale, partial)
        return
    while r < stop:
        m = min(<Py_ssize_t>ROWS, stop - r)
        if weight != NULL:
            row_weight = weight + r
        if out != NULL:
            gradient = out + r * k
        weigh[floating](m, row_weight, scale, factor)
        rows[floating](loss, m, k, z + r * k, y + r * item, factor, value, gradient)
        add(partial, total[floating](m, value, row_weight))
        r += ROWS


cdef double run(Loss loss, Py_ssize_t n, Py_ssize_t k, const floating* z, const char* y, const floating* weight,
                floating* out, double scale, bint alone) noexcept nogil:
    cdef sum_t[CHUNKS] partials
    cdef Py_ssize_t c, size = chunk_rows(n, k)
    cdef Py_ssize_t count = (n + size - 1) // size
    cdef int workers = 1 if alone else threads(n * k, count)
    # a parallel region costs more than a small call, also one of a single thread
    if workers == 1:
        for c in range(count):
            chunk[floating](loss, c * size, min(n, (c + 1) * size), k, z, y, weight, out, scale, &partials[c])
    else:
        for c in prange(count, num_threads=workers, schedule="static"):
            chunk[floating](loss, c * size, min(n, (c + 1) * size), k, z, y, weight, out, scale, &partials[c])
    return combined(count, partials)


cdef double combined(Py_ssize_t count, const sum_t* partials) noexcept nogil:
    cdef sum_t whole
    cdef Py_ssize_t c
    whole.total = 0
    whole.rest = 0
    for c in range(count):
        add(&whole, partials[c].total)
        add(&whole, partials[c].rest)
    return whole.total + whole.rest


def value_and_grad(Loss loss not None, z, y, weight, out, Py_ssize_t k, double scale, bint alone=False, /):
    """Sum of weight * loss over the rows of z (n, k); out (or None) becomes scale * weight * the gradient. alone: on one
    thread, beside others that spin."""
    cdef Py_buffer[4] b
    cdef double result
    cdef Py_ssize_t n
    hold(b, (z, y, weight), (out,))
    try:
        n = b[0].len // b[0].itemsize // max(k, <Py_ssize_t>1)
        with nogil:
            if b[0].itemsize == 8:
                result = run[double](loss, n, k, <const double*>b[0].buf, <const char*>b[1].buf,
                                     <const double*>b[2].buf, <double*>b[3].buf, scale, alone)
            else:
                result = run[float](loss, n, k, <const float*>b[0].buf, <const char*>b[1].buf,
                                    <const float*>b[2].buf, <float*>b[3].buf, scale, alone)
    finally:
        release(b, 4)
    return result


cdef void each(Loss loss, Py_ssize_t n, Py_ssize_t k, const floating* z, const char* y, floating* out) noexcept nogil:
    cdef floating[BLOCK] factor
    cdef Py_ssize_t r, size = block_rows(k)
    cdef Py_ssize_t item = loss.target_size if loss.target_size else k * <Py_ssize_t>sizeof(floating)
    weigh[floating](size, NULL, 1, factor)
    r = 0
    while r < n:
        rows[floating](loss, min(size, n - r), k, z + r * k, y + r * item, factor, out + r, NULL)
        r += size


def pointwise(Loss loss not None, z, y, out, Py_ssize_t k, /):
    """The sum of each row's values into out (n,)."""
    cdef Py_buffer[3] b
    hold(b, (z, y), (out,))
    try:
        with nogil:
            if b[0].itemsize == 8:
                each[double](loss, b[2].len // 8, k, <const double*>b[0].buf, <const char*>b[1].buf, <double*>b[2].buf)
            else:
                each[float](loss, b[2].len // 4, k, <const float*>b[0].buf, <const char*>b[1].buf, <float*>b[2].buf)
    finally:
        release(b, 3)


cdef void grouped_run(Loss loss, Py_ssize_t n, Py_ssize_t groups, const int64_t* begins, const floating* z,
                      const floating* y, const floating* factor, floating* value, floating* out) noexcept nogil:
    cdef Py_ssize_t g, at
    cdef int workers = threads(n, groups)
    if workers == 1:
        for g in range(groups):
            at = begins[g]
            rows[floating](loss, 1, begins[g + 1] - at, z + at, <const char*>(y + at), factor + g, value + g,
                           NULL if out == NULL else out + at)
    else:
        for g in prange(groups, num_threads=workers, schedule="dynamic"):
            at = begins[g]
            rows[floating](loss, 1, begins[g + 1] - at, z + at, <const char*>(y + at), factor + g, value + g,
                           NULL if out == NULL else out + at)


def grouped(Loss loss not None, z, y, begins, factor, value, out, /):
    """Each group of z (n,), from begins[g] up to begins[g + 1], as a row of its own: its value, and in out (or None) its
    gradient times its factor."""
    cdef Py_buffer[6] b
    hold(b, (z, y, begins, factor), (value, out))
    try:
        with nogil:
            if b[0].itemsize == 8:
                grouped_run[double](loss, b[0].len // 8, b[3].len // 8, <const int64_t*>b[2].buf, <const double*>b[0].buf,
                                    <const double*>b[1].buf, <const double*>b[3].buf, <double*>b[4].buf, <double*>b[5].buf)
            else:
                grouped_run[float](loss, b[0].len // 4, b[3].len // 4, <const int64_t*>b[2].buf, <const float*>b[0].buf,
                                   <const float*>b[1].buf, <const float*>b[3].buf, <float*>b[4].buf, <float*>b[5].buf)
    finally:
        release(b, 6)


def sum(x, /):
    """Sum of an array, compensated, in double."""
    cdef Py_buffer[1] b
    cdef double result
    hold(b, (x,), ())
    try:
        with nogil:
            if b[0].itemsize == 8:
                result = numbers_sum[double](b[0].len // 8, <const double*>b[0].buf)
            else:
                result = numbers_sum[float](b[0].len // 4, <const float*>b[0].buf)
    finally:
        release(b, 1)
    return result


cdef bint other_than_0_and_1(Py_ssize_t n, const floating* x) noexcept nogil:
    cdef floating[LANES] most
    cdef floating odd, one = 1, zero = 0
    cdef Py_ssize_t b, i
    for i in range(LANES):
        most[i] = 0
    for b in range(n // LANES):
        for i in range(LANES):    # hot
            # no product is so small that it becomes 0; NaN is not above
            odd = fabs[floating](x[b * LANES + i] * (x[b * LANES + i] - one))
            most[i] = odd if odd > most[i] else most[i]
    for i in range(n - n % LANES, n):
        odd = fabs[floating](x[i] * (x[i] - one))
        most[0] = odd if odd > most[0] else most[0]
    for i in range(LANES):
        if most[i] > zero:
            return True
    return False


cdef bint beyond(Py_ssize_t n, const floating* x, double low, double high, bint binary) noexcept nogil:
    cdef floating[LANES] least
    cdef floating[LANES] most
    cdef Py_ssize_t b, i
    if binary:
        return other_than_0_and_1[floating](n, x)
    for i in range(LANES):
        least[i] = <floating>low
        most[i] = <floating>high
    for b in range(n // LANES):
        for i in range(LANES):    # hot
            # NaN, for which no comparison is true, changes neither
            least[i] = x[b * LANES + i] if x[b * LANES + i] < least[i] else least[i]
            most[i] = x[b * LANES + i] if x[b * LANES + i] > most[i] else most[i]
    for i in range(n - n % LANES, n):
        least[0] = x[i] if x[i] < least[0] else least[0]
        most[0] = x[i] if x[i] > most[0] else most[0]
    for i in range(LANES):
        if least[i] < <floating>low or most[i] > <floating>high:
            return True
    return False


cdef bint beyond_labels(Py_ssize_t n, const int64_t* x, int64_t k) noexcept nogil:
    cdef Py_ssize_t i
    cdef int64_t low = 0, high = 0
    for i in range(n):
        low = min(low, x[i])
        high = max(high, x[i])
    return n > 0 and (low < 0 or high >= k)


def outside(x, double low, double high, bint binary=False, /):
    """Whether any number of x lies outside [low, high] or, where binary, is another than 0 and 1; NaN does not and is not."""
    cdef Py_buffer[1] b
    cdef bint result
    hold(b, (x,), ())
    try:
        with nogil:
            if b[0].itemsize == 8:
                result = beyond[double](b[0].len // 8, <const double*>b[0].buf, low, high, binary)
            else:
                result = beyond[float](b[0].len // 4, <const float*>b[0].buf, low, high, binary)
    finally:
        release(b, 1)
    return result


def outside_labels(x, int64_t k, /):
    """Whether any int64 label of x lies outside 0 ... k - 1."""
    cdef Py_buffer[1] b
    cdef bint result
    hold(b, (x,), ())
    try:
        with nogil:
            result = beyond_labels(b[0].len // 8, <const int64_t*>b[0].buf, k)
    finally:
        release(b, 1)
    return result


cdef level_t level
level.total64, level.total32 = run[double], run[float]
level.beyond64, level.beyond32, level.beyond_labels = beyond[double], beyond[float], beyond_labels
