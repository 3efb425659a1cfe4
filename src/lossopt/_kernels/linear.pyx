"""Linear objectives over buffers. Doors to linear.pxd and csr.pxd, one module a level.

x is an array (n, d), or CSR: an object of shape (n, d) with arrays `data`, `indices`, and `begin` and `end` (n,) in int64,
which say where a row's numbers stand. The columns must lie in range: nothing here looks.
"""

from cpython.buffer cimport Py_buffer, PyObject_CheckBuffer
from cython cimport floating
from cython.parallel cimport prange
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memset

from lossopt._kernels.abi cimport Loss, Pass, hold, many_t, pass_t, release, sparse_t, threads
from lossopt._kernels.csr cimport *
from lossopt._kernels.linear cimport *
from lossopt._kernels.math cimport BLOCK, LANES, add, sum_t

cdef enum:
    CHUNKS = 64         # at most so many partial gradients, whatever the number of threads

MOST_OUTPUTS = WIDE


cdef Py_ssize_t chunk_rows(Py_ssize_t n, Py_ssize_t d) noexcept nogil:
    """How many rows share a partial gradient: at least 4 blocks and 32768 numbers, a choice of the shape alone."""
    cdef Py_ssize_t least = max(<Py_ssize_t>(4 * ROWS), max(32768 // max(d, <Py_ssize_t>1), (n + CHUNKS - 1) // CHUNKS))
    return (least + ROWS - 1) // ROWS * ROWS


cdef Py_ssize_t chunks(Py_ssize_t n, Py_ssize_t size) noexcept nogil:
    return 1 if n <= size else (n + size - 1) // size


cdef Py_ssize_t scratch_size(Py_ssize_t n, Py_ssize_t d, Py_ssize_t k) noexcept nogil:
    """Doubles that a pass needs: a sum (two numbers), a partial gradient for weight and bias, for each chunk; the weights
    turned."""
    return chunks(n, chunk_rows(n, d)) * (2 + k * d + k) + side_size(d, k)


cdef Py_ssize_t side_size(Py_ssize_t d, Py_ssize_t k) noexcept nogil:
    return (k + LANES - 1) // LANES * LANES * d if k > 1 else 0


cdef void part(Loss loss, Py_ssize_t n, Py_ssize_t c, Py_ssize_t size, Py_ssize_t d, Py_ssize_t k, const floating* x,
               const int64_t* order, Py_ssize_t left, const char* y, const floating* sample_weight, const floating* weight,
               const floating* side, const floating* bias, double scale, sum_t* values, double* partials) noexcept nogil:
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
    if order == NULL:
        x += start * d
    else:
        order += start
    objective_rows[floating](loss, m, d, k, x, order, left - start, y + start * item, item, row_weight, weight, side, bias,
                             scale, &values[c], partial, grad_bias)


cdef double run(Loss loss, Py_ssize_t n, Py_ssize_t d, Py_ssize_t k, const floating* x, const int64_t* order,
                Py_ssize_t left, const char* y, const floating* sample_weight, const floating* weight,
                const floating* bias, double scale, floating* grad_weight, floating* grad_bias,
                double* scratch) noexcept nogil:
    """What abi calls pass_f64 and pass_f32; without grad_weight, the value alone."""
    # few rows, as batches are, are one chunk without a division
    cdef Py_ssize_t c, j, size = n if n <= 4 * ROWS else chunk_rows(n, d)
    cdef Py_ssize_t count = chunks(n, size), p = k * d + k
    cdef int workers = threads(n * d * k, count)
    cdef sum_t* values = <sum_t*>scratch
    cdef double* partials = NULL
    cdef floating* side = <floating*>(scratch + count * (2 + p))
    cdef sum_t whole
    if grad_weight != NULL:
        partials = scratch + 2 * count
    if order == NULL:
        # fewer may still be in a cache
        left = n if n * d * <Py_ssize_t>sizeof(floating) > 1 << 20 else 0
    if k > 1:
        turn[floating](d, k, weight, side)
    if workers == 1:
        for c in range(count):
            part[floating](loss, n, c, size, d, k, x, order, left, y, sample_weight, weight, side, bias, scale, values,
                           partials)
    else:
        for c in prange(count, num_threads=workers, schedule="static"):
            part[floating](loss, n, c, size, d, k, x, order, left, y, sample_weight, weight, side, bias, scale, values,
                           partials)
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


cdef Py_ssize_t many_size(Py_ssize_t d, Py_ssize_t count) noexcept nogil:
    return count * (d + 3) + many_side(d, count) + 2 * count * BLOCK


cdef void many(Loss loss, Py_ssize_t n, Py_ssize_t d, Py_ssize_t count, const floating* x, const int64_t* order,
               Py_ssize_t left, floating* to, const char* y, many_t* models, double* scratch) noexcept nogil:
    many_rows[floating](loss, n, d, count, x, order, left, to, y, models, scratch)


def objective_pass():
    """The pass of `value_and_grad` itself, for those who call it by address."""
    cdef pass_t c
    c.scratch_size, c.pass64, c.pass32 = scratch_size, run[double], run[float]
    c.many_size, c.many64, c.many32 = many_size, many[double], many[float]
    c.sparse_room, c.sparse64, c.sparse32 = sparse_room, sparse_pass64, sparse_pass32
    c.touch64, c.touch32 = sparse_touch64, sparse_touch32
    return Pass.of(&c)


def value_and_grad(Loss loss not None, x, y, sample_weight, weight, bias, grad_weight, grad_bias, double scale, /):
    """Sum of sample_weight * loss over the rows of x (n, d) under weight (k, d) and bias (k,) or None; grad_weight and
    grad_bias (both None: not wanted) become scale times its gradient."""
    cdef Py_buffer[7] b
    cdef double result
    cdef Py_ssize_t n, d, k
    if not PyObject_CheckBuffer(x):
        return sparse_value_and_grad(loss, x, y, sample_weight, weight, bias, grad_weight, grad_bias, scale)
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
                    result = run[double](loss, n, d, k, <const double*>b[0].buf, NULL, 0, <const char*>b[1].buf,
                                         <const double*>b[2].buf, <const double*>b[3].buf, <const double*>b[4].buf, scale,
                                         <double*>b[5].buf, <double*>b[6].buf, scratch)
                else:
                    result = run[float](loss, n, d, k, <const float*>b[0].buf, NULL, 0, <const char*>b[1].buf,
                                        <const float*>b[2].buf, <const float*>b[3].buf, <const float*>b[4].buf, scale,
                                        <float*>b[5].buf, <float*>b[6].buf, scratch)
        finally:
            release(b, 7)
    finally:
        free(scratch)
    return result


cdef void scores(Py_ssize_t n, Py_ssize_t d, Py_ssize_t k, const floating* x, const floating* w, const floating* side,
                 const floating* bias, floating* out) noexcept nogil:
    """Of up to ROWS rows."""
    forward[floating](n, d, k, x, NULL, NULL, w, side, bias, 0, out)


cdef void predictions(Py_ssize_t n, Py_ssize_t d, Py_ssize_t k, const floating* x, const floating* w, floating* side,
                      const floating* bias, floating* out) noexcept nogil:
    cdef Py_ssize_t c, count = (n + ROWS - 1) // ROWS
    cdef int workers = threads(n * d * k, count)
    if k > 1:
        turn[floating](d, k, w, side)
    if workers == 1:
        for c in range(count):
            scores[floating](min(<Py_ssize_t>ROWS, n - c * ROWS), d, k, x + c * ROWS * d, w, side, bias, out + c * ROWS * k)
    else:
        for c in prange(count, num_threads=workers, schedule="static"):
            scores[floating](min(<Py_ssize_t>ROWS, n - c * ROWS), d, k, x + c * ROWS * d, w, side, bias, out + c * ROWS * k)


def predict(x, weight, bias, out, /):
    """out (n, k) or (n,) = x (n, d) times weight (k, d) transposed, plus bias (k,) or None."""
    cdef Py_buffer[4] b
    cdef Py_ssize_t n, d, k = weight.shape[0]
    if not PyObject_CheckBuffer(x):
        return sparse_predict(x, weight, bias, out)
    n, d = x.shape
    cdef double* side = <double*>malloc((side_size(d, k) + 1) * sizeof(double))
    if side == NULL:
        raise MemoryError
    try:
        hold(b, (x, weight, bias), (out,))
        try:
            with nogil:
                if b[3].itemsize == 8:
                    predictions[double](n, d, k, <const double*>b[0].buf, <const double*>b[1].buf, side,
                                        <const double*>b[2].buf, <double*>b[3].buf)
                else:
                    predictions[float](n, d, k, <const float*>b[0].buf, <const float*>b[1].buf, <float*>side,
                                       <const float*>b[2].buf, <float*>b[3].buf)
        finally:
            release(b, 4)
    finally:
        free(side)


cdef void transposed(Py_ssize_t n, Py_ssize_t d, Py_ssize_t k, const floating* x, const floating* g, floating* weight,
                     floating* bias, double* sums) noexcept nogil:
    cdef Py_ssize_t j, m, r = 0
    while r < n:
        m = min(<Py_ssize_t>ROWS, n - r)
        backward[floating](m, d, k, x + r * d, NULL, g + r * k, sums, sums + k * d)
        r += m
    for j in range(k * d):
        weight[j] = <floating>sums[j]
    for j in range(k):
        bias[j] = <floating>sums[k * d + j]


def gradient(x, g, weight, bias, /):
    """weight (k, d) = g (n, k) transposed times x (n, d); bias (k,) = the sum of g's rows."""
    cdef Py_buffer[4] b
    cdef Py_ssize_t n, d, k = weight.shape[0]
    if not PyObject_CheckBuffer(x):
        return sparse_gradient(x, g, weight, bias)
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


# ---- CSR


cdef Py_ssize_t all_chunks(Py_ssize_t k, Py_ssize_t nnz) noexcept nogil:
    """Numbers that all chunks hold together: 8 MiB, or a sixth of the memory of X, with several outputs two thirds."""
    return max(<Py_ssize_t>(1 << 20), nnz if k > 1 else nnz // 4)


cdef void sparse_layout(sparse_t* t) noexcept nogil:
    """Chunks and blocks of rows, from the shape alone; and where in the room they are."""
    cdef Py_ssize_t least, room
    # few rows, as batches are, need no division
    t.block, t.count, t.size = ROWS, 1, ROWS
    t.each = t.k * (t.d + 1 + ROWS)
    if t.n > ROWS:
        # a chunk's gradient is cleared, filled and added up: little beside its rows, if they hold 16 times as many numbers
        least = max(<Py_ssize_t>8192, 16 * (t.d + ROWS))
        # unless one alone takes more
        room = all_chunks(t.k, t.nnz)
        # a cache may not hold weights and gradient at once: as many numbers of X as there are weights go by before the two
        # change places, and half as many rows as features, whose predictions wait meanwhile
        t.block = <Py_ssize_t>min(0.5 * <double>t.d, <double>t.d * <double>t.k * <double>t.n / <double>(t.nnz + 1))
        t.block = min(t.block, t.n) // ROWS * ROWS + ROWS
        t.each = t.k * (t.d + 1 + t.block)
        t.count = min(min(<Py_ssize_t>CHUNKS, t.n // (4 * ROWS)), min(t.nnz // least, room // max(t.each, <Py_ssize_t>1)))
        # no odd one for which all threads but one would wait
        least = 1
        while 2 * least <= t.count:
            least *= 2
        t.count = least
        t.size = ((t.n + t.count - 1) // t.count + ROWS - 1) // ROWS * ROWS
        t.count = (t.n + t.size - 1) // max(t.size, <Py_ssize_t>1)
    if t.grad_weight == NULL:
        t.block = ROWS
        t.each = t.k * t.block
    t.values = <sum_t*>t.room
    t.partials = <double*>(t.room + CHUNKS * sizeof(sum_t))
    # the weights of a feature side by side, where enough numbers use them
    t.side = t.partials + t.count * t.each if t.k > 1 and t.nnz >= t.d else NULL


cdef size_t sparse_room(Py_ssize_t n, Py_ssize_t d, Py_ssize_t k, Py_ssize_t nnz) noexcept nogil:
    """Bytes for a pass over n rows that hold nnz numbers, or fewer."""
    cdef Py_ssize_t each = k * (d + 1 + n + ROWS), all_ = each
    if n >= 8 * ROWS:
        all_ = max(each, all_chunks(k, nnz))
    return CHUNKS * sizeof(sum_t) + (all_ + (d * k + SIDE if k > 1 else 0)) * sizeof(double)


cdef void sparse_backward(Py_ssize_t n, Py_ssize_t k, const floating* x, const index_t* at, const int64_t* begin,
                          const int64_t* end, const floating* g, double* weight, double* bias) noexcept nogil:
    """weight (d, k) += n rows transposed times g (n, k), bias (k,) or NULL += the sum of g's rows.
    Not inline: in a larger function its loops run out of registers."""
    cdef floating[WIDE] own
    cdef floating zero = 0
    cdef Py_ssize_t c, i, m, p, r
    cdef double* to
    for r in range(n):
        c = 0
        while c < k:
            m = min(<Py_ssize_t>WIDE, k - c)
            # outputs that add nothing are not multiplied by X, which may be NaN where the row's weight is 0
            while m and g[r * k + c + m - 1] == zero:
                m -= 1
            for i in range(m):
                own[i] = g[r * k + c + i]
            if m == 1:
                for p in range(begin[r], end[r]):
                    weight[at[p] * k + c] += <double>(own[0] * x[p])
            elif m:
                for p in range(begin[r], end[r]):
                    to = weight + at[p] * k + c
                    for i in range(m):    # hot
                        to[i] += <double>(own[i] * x[p])
            c += WIDE
        if bias != NULL:
            for c in range(k):
                bias[c] += <double>g[r * k + c]


cdef void sparse_chunk(Loss loss, const sparse_t* t, Py_ssize_t c, const floating* x, const index_t* at) noexcept nogil:
    """What objective_rows does, a block of rows at a time."""
    cdef Py_ssize_t item = loss.target_size if loss.target_size else t.k * <Py_ssize_t>sizeof(floating)
    cdef bint wanted = t.grad_weight != NULL
    cdef double* grad = t.partials + c * t.each
    cdef floating* z = <floating*>(grad + (t.k * (t.d + 1) if wanted else 0))
    cdef floating* own
    cdef floating[ROWS] factor
    cdef floating[ROWS] values
    cdef const floating* row_weight = NULL
    cdef Py_ssize_t m, r, stop, start = c * t.size, last = min(t.n, (c + 1) * t.size)
    while start < last:
        stop = min(start + t.block, last)
        sparse_forward[floating, index_t](
            stop - start, last - stop, t.d, t.k, x, at, t.begin + start, t.end + start, <const floating*>t.weight,
            <const floating*>t.side, <const floating*>t.bias, z)
        r = start
        while r < stop:
            m = min(<Py_ssize_t>ROWS, stop - r)
            own = z + (r - start) * t.k
            if t.sample_weight != NULL:
                row_weight = <const floating*>t.sample_weight + r
            weigh[floating](m, row_weight, t.scale, factor)
            rows[floating](loss, m, t.k, own, t.y + r * item, factor, values, own if wanted else NULL)
            add(&t.values[c], total[floating](m, values, row_weight))
            r += ROWS
        if wanted:
            sparse_backward[floating, index_t](stop - start, t.k, x, at, t.begin + start, t.end + start, z, grad,
                                               NULL if t.grad_bias == NULL else grad + t.k * t.d)
        start = stop


cdef void sparse_gradients(const sparse_t* t, const floating* like) noexcept nogil:
    cdef floating* bias = <floating*>t.grad_bias
    cdef Py_ssize_t c, i, spans = (t.d + SPAN - 1) // SPAN
    cdef int workers = threads(t.count * t.d * t.k, spans)
    if workers == 1:
        for i in range(spans):
            sparse_gather[floating](t, i * SPAN, like)
    else:
        for i in prange(spans, num_threads=workers, schedule="static"):
            sparse_gather[floating](t, i * SPAN, like)
    if bias != NULL:
        for c in range(1, t.count):
            for i in range(t.k):
                t.partials[t.k * t.d + i] += t.partials[c * t.each + t.k * t.d + i]
        for i in range(t.k):
            bias[i] = <floating>t.partials[t.k * t.d + i]


cdef double sparse_run(Loss loss, sparse_t* t, const floating* x, const index_t* at) noexcept nogil:
    cdef Py_ssize_t c
    cdef int workers
    sparse_layout(t)
    workers = threads(t.nnz * t.k, t.count)
    t.clean = False
    cdef sum_t whole
    memset(t.values, 0, t.count * sizeof(sum_t))
    memset(t.partials, 0, t.count * t.each * sizeof(double))
    sparse_turn[floating](t, x)
    if workers == 1:
        for c in range(t.count):
            sparse_chunk[floating, index_t](loss, t, c, x, at)
    else:
        # chunks have as many rows, but not as many numbers
        for c in prange(t.count, num_threads=workers, schedule="dynamic"):
            sparse_chunk[floating, index_t](loss, t, c, x, at)
    whole.total = whole.rest = 0
    for c in range(t.count):
        add(&whole, t.values[c].total)
        add(&whole, t.values[c].rest)
    if t.grad_weight != NULL:
        sparse_gradients[floating](t, x)
    return whole.total + whole.rest


cdef double sparse_pass64(Loss loss, sparse_t* t) noexcept nogil:
    if t.index == 8:
        return sparse_run[double, int64_t](loss, t, <const double*>t.x, <const int64_t*>t.at)
    return sparse_run[double, int32_t](loss, t, <const double*>t.x, <const int32_t*>t.at)


cdef double sparse_pass32(Loss loss, sparse_t* t) noexcept nogil:
    if t.index == 8:
        return sparse_run[float, int64_t](loss, t, <const float*>t.x, <const int64_t*>t.at)
    return sparse_run[float, int32_t](loss, t, <const float*>t.x, <const int32_t*>t.at)


cdef Py_ssize_t sparse_touched(Loss loss, sparse_t* t, int64_t* places, double* value, const floating* x,
                               const index_t* at) noexcept nogil:
    """sparse_run for rows that are one chunk, without a look at the columns that they do not touch."""
    cdef floating* grad = <floating*>t.grad_weight
    cdef floating* bias = <floating*>t.grad_bias
    cdef double* sums
    cdef Py_ssize_t c, i, j, m, k = t.k
    sparse_layout(t)
    t.side = NULL
    t.values[0].total = t.values[0].rest = 0
    sums = t.partials
    if not t.clean:
        memset(sums, 0, t.k * (t.d + 1) * sizeof(double))
    sparse_chunk[floating, index_t](loss, t, 0, x, at)
    value[0] = t.values[0].total + t.values[0].rest
    m = sparse_columns[index_t](t, at, places)
    for c in range(t.k - 1):
        # an output's columns behind those of the one before; the first ones say where all are, and come last
        j = k - 1 - c
        for i in range(m):
            grad[j * m + i] = <floating>sums[places[i] * k + j]
            sums[places[i] * k + j] = 0
            places[j * m + i] = j * t.d + places[i]
    for i in range(m):
        grad[i] = <floating>sums[places[i] * k]
        sums[places[i] * k] = 0
    for c in range(t.k):
        if bias != NULL:
            bias[c] = <floating>sums[t.k * t.d + c]
        sums[t.k * t.d + c] = 0
    t.clean = True
    return t.k * m


cdef Py_ssize_t sparse_touch64(Loss loss, sparse_t* t, int64_t* places, double* value) noexcept nogil:
    if t.index == 8:
        return sparse_touched[double, int64_t](loss, t, places, value, <const double*>t.x, <const int64_t*>t.at)
    return sparse_touched[double, int32_t](loss, t, places, value, <const double*>t.x, <const int32_t*>t.at)


cdef Py_ssize_t sparse_touch32(Loss loss, sparse_t* t, int64_t* places, double* value) noexcept nogil:
    if t.index == 8:
        return sparse_touched[float, int64_t](loss, t, places, value, <const float*>t.x, <const int64_t*>t.at)
    return sparse_touched[float, int32_t](loss, t, places, value, <const float*>t.x, <const int32_t*>t.at)


cdef void sparse_scores(const sparse_t* t, Py_ssize_t r, Py_ssize_t n, const floating* x, const index_t* at,
                        floating* out) noexcept nogil:
    sparse_forward[floating, index_t](
        n, t.n - r - n, t.d, t.k, x, at, t.begin + r, t.end + r, <const floating*>t.weight, <const floating*>t.side,
        <const floating*>t.bias, out + r * t.k)


cdef void sparse_predictions(const sparse_t* t, const floating* x, const index_t* at, floating* out) noexcept nogil:
    cdef Py_ssize_t c, count = (t.n + ROWS - 1) // ROWS
    cdef int workers = threads(t.nnz * t.k, count)
    sparse_turn[floating](t, x)
    if workers == 1:
        sparse_scores[floating, index_t](t, 0, t.n, x, at, out)
    else:
        for c in prange(count, num_threads=workers, schedule="static"):
            sparse_scores[floating, index_t](t, c * ROWS, min(<Py_ssize_t>ROWS, t.n - c * ROWS), x, at, out)


cdef void sparse_transposed(sparse_t* t, const floating* x, const index_t* at, const floating* g) noexcept nogil:
    sparse_backward[floating, index_t](t.n, t.k, x, at, t.begin, t.end, g, t.partials, t.partials + t.k * t.d)
    sparse_gradients[floating](t, x)


cdef int sparse_open(sparse_t* t, Py_buffer* b, x, Py_ssize_t k, tuple read, tuple written) except -1:
    """Take the buffers of x, four of them, and of the other arrays; fill in what x says."""
    memset(t, 0, sizeof(sparse_t))
    t.n, t.d = x.shape
    t.k = k
    hold(b, (x.data, x.indices, x.begin, x.end, *read), written)
    t.x, t.at, t.index = b[0].buf, b[1].buf, <int>b[1].itemsize
    t.begin, t.end = <const int64_t*>b[2].buf, <const int64_t*>b[3].buf
    t.nnz = sparse_count(t.n, t.begin, t.end)
    t.room = <char*>malloc(sparse_room(t.n, t.d, k, t.nnz))
    if t.room == NULL:
        release(b, 4 + len(read) + len(written))
        raise MemoryError
    return 0


cdef void sparse_close(sparse_t* t, Py_buffer* b, int count) noexcept:
    free(t.room)
    release(b, count)


cdef sparse_value_and_grad(Loss loss, x, y, sample_weight, weight, bias, grad_weight, grad_bias, double scale):
    cdef Py_buffer[10] b
    cdef sparse_t t
    cdef double result
    sparse_open(&t, b, x, weight.shape[0], (y, sample_weight, weight, bias), (grad_weight, grad_bias))
    try:
        t.y, t.sample_weight, t.weight, t.bias = <const char*>b[4].buf, b[5].buf, b[6].buf, b[7].buf
        t.grad_weight, t.grad_bias, t.scale = b[8].buf, b[9].buf, scale
        with nogil:
            result = sparse_pass64(loss, &t) if b[0].itemsize == 8 else sparse_pass32(loss, &t)
    finally:
        sparse_close(&t, b, 10)
    return result


cdef sparse_predict(x, weight, bias, out):
    cdef Py_buffer[7] b
    cdef sparse_t t
    sparse_open(&t, b, x, weight.shape[0], (weight, bias), (out,))
    try:
        t.weight, t.bias = b[4].buf, b[5].buf
        with nogil:
            sparse_layout(&t)
            if t.index == 8 and b[0].itemsize == 8:
                sparse_predictions(&t, <const double*>b[0].buf, <const int64_t*>b[1].buf, <double*>b[6].buf)
            elif b[0].itemsize == 8:
                sparse_predictions(&t, <const double*>b[0].buf, <const int32_t*>b[1].buf, <double*>b[6].buf)
            elif t.index == 8:
                sparse_predictions(&t, <const float*>b[0].buf, <const int64_t*>b[1].buf, <float*>b[6].buf)
            else:
                sparse_predictions(&t, <const float*>b[0].buf, <const int32_t*>b[1].buf, <float*>b[6].buf)
    finally:
        sparse_close(&t, b, 7)


cdef sparse_gradient(x, g, weight, bias):
    cdef Py_buffer[7] b
    cdef sparse_t t
    sparse_open(&t, b, x, weight.shape[0], (g,), (weight, bias))
    try:
        t.grad_weight, t.grad_bias, t.count, t.partials = b[5].buf, b[6].buf, 1, <double*>t.room
        memset(t.partials, 0, t.k * (t.d + 1) * sizeof(double))
        with nogil:
            if t.index == 8 and b[0].itemsize == 8:
                sparse_transposed(&t, <const double*>b[0].buf, <const int64_t*>b[1].buf, <const double*>b[4].buf)
            elif b[0].itemsize == 8:
                sparse_transposed(&t, <const double*>b[0].buf, <const int32_t*>b[1].buf, <const double*>b[4].buf)
            elif t.index == 8:
                sparse_transposed(&t, <const float*>b[0].buf, <const int64_t*>b[1].buf, <const float*>b[4].buf)
            else:
                sparse_transposed(&t, <const float*>b[0].buf, <const int32_t*>b[1].buf, <const float*>b[4].buf)
    finally:
        sparse_close(&t, b, 7)
