# Linear predictor, loss and gradient in one pass over X, header only. A block of rows is read from memory once: its
# predictions and their derivatives stay in the first cache while its gradient is added up. Dense X, up to WIDE outputs;
# CSR is in csr.pxd.

from cython cimport floating
from libc.stdint cimport int64_t

from lossopt._kernels.abi cimport Loss
from lossopt._kernels.losses cimport ROWS, rows, total, weigh
from lossopt._kernels.math cimport BLOCK, LANES, add, fma, lane_sum, numbers_sum, prefetch, sum_t

cdef enum:
    WIDE = 32           # outputs that the passes below are made for; beyond, BLAS is faster
    FAR = 32            # rows between the one at work and the one that is asked for, up to SHORT bytes a row;
    NEAR = 16           # so many up to LONG bytes: the processor sees longer ones coming
    SHORT = 4096
    LONG = 16384


cdef inline void find(Py_ssize_t n, Py_ssize_t d, const floating* x, const int64_t* order, Py_ssize_t left,
                      const floating** at, const floating** ask) noexcept nogil:
    """Where n rows of x (n, d) stand, or those that order names. Later rows of the `left` that order has are asked for, one
    for each; or ask says which, itself where there is none."""
    cdef Py_ssize_t i, line, bytes_ = d * <Py_ssize_t>sizeof(floating), away = FAR if bytes_ <= SHORT else NEAR
    cdef const floating* next_
    if order == NULL:
        for i in range(n):
            at[i] = x + i * d
            if ask != NULL:
                ask[i] = at[i]
        return
    if bytes_ > LONG:
        away = left
    for i in range(n):
        at[i] = next_ = x + order[i] * d
        if i + away < left:
            next_ = x + order[i + away] * d
            if ask == NULL:
                for line in range(0, bytes_, 64):
                    prefetch(<const char*>next_ + line)
                prefetch(next_ + d - 1)
        if ask != NULL:
            ask[i] = next_


cdef inline floating dot(Py_ssize_t d, const floating* x, const floating* w, const floating* last) noexcept nogil:
    """A row times a vector: sixteen lanes. The columns left over are the end of the last sixteen, which `last` multiplies:
    w there, and zero where a column has been counted. Fewer than sixteen columns are a chain."""
    cdef floating[LANES] a
    cdef floating t = 0
    cdef Py_ssize_t b, i, j
    if d < LANES:
        for j in range(d):
            t = fma[floating](x[j], w[j], t)
        return t
    for i in range(LANES):    # hot
        a[i] = x[i] * w[i]
    for b in range(1, d // LANES):
        for i in range(LANES):    # hot
            a[i] = fma[floating](x[b * LANES + i], w[b * LANES + i], a[i])
    j = d - LANES
    if d % LANES:
        for i in range(LANES):    # hot
            a[i] = fma[floating](x[j + i], last[i], a[i])
    return lane_sum[floating](a)


cdef inline void turn(Py_ssize_t d, Py_ssize_t k, const floating* w, floating* side) noexcept nogil:
    """w (k, d) with its outputs side by side: panels of LANES outputs, (d, LANES) each, filled up with zeros."""
    cdef floating zero = 0
    cdef Py_ssize_t c, j
    for c in range((k + LANES - 1) // LANES * LANES):
        for j in range(d):
            side[(c // LANES * d + j) * LANES + c % LANES] = w[c * d + j] if c < k else zero


cdef inline void panel(Py_ssize_t d, const floating* x0, const floating* x1, const floating* x2, const floating* x3,
                       const floating* y0, const floating* y1, const floating* y2, const floating* y3,
                       const floating* side, floating* z) noexcept nogil:
    """Four rows times a panel of turned weights: an output a lane, z (4, LANES). Rows y are asked for meanwhile."""
    cdef floating[LANES] a0
    cdef floating[LANES] a1
    cdef floating[LANES] a2
    cdef floating[LANES] a3
    cdef Py_ssize_t i, j, stop, start = 0, line = 64 // sizeof(floating)
    for i in range(LANES):
        a0[i] = 0
        a1[i] = 0
        a2[i] = 0
        a3[i] = 0
    while start < d:
        prefetch(y0 + start)
        prefetch(y1 + start)
        prefetch(y2 + start)
        prefetch(y3 + start)
        stop = min(start + line, d)
        for j in range(start, stop):
            for i in range(LANES):    # hot
                a0[i] = fma[floating](x0[j], side[j * LANES + i], a0[i])
                a1[i] = fma[floating](x1[j], side[j * LANES + i], a1[i])
                a2[i] = fma[floating](x2[j], side[j * LANES + i], a2[i])
                a3[i] = fma[floating](x3[j], side[j * LANES + i], a3[i])
        start = stop
    for i in range(LANES):
        z[i] = a0[i]
        z[LANES + i] = a1[i]
        z[2 * LANES + i] = a2[i]
        z[3 * LANES + i] = a3[i]


cdef inline void forward(Py_ssize_t n, Py_ssize_t d, Py_ssize_t k, const floating** x, const floating** ask,
                         const floating* w, const floating* side, const floating* bias, floating* z) noexcept nogil:
    """z (n, k) = n rows of d numbers times w (k, d) transposed, plus bias (k,) or NULL; side is w turned, where k > 1.
    Where k > 1, rows of ask, as many, are asked for meanwhile."""
    cdef floating[4 * LANES] four
    cdef floating[LANES] last
    cdef floating zero = 0, b = zero if bias == NULL else bias[0]
    cdef Py_ssize_t c, i, m, r, r1, r2, r3, more, start, q = (n + 3) // 4
    if k == 1:
        for i in range(LANES):
            last[i] = w[d - LANES + i] if d >= LANES and i >= LANES - d % LANES else zero
        # row by row: the processor foresees one steady stream, and works on the next rows meanwhile
        for r in range(n):
            z[r] = dot[floating](d, x[r], w, last) + b
        return
    for r in range(q):
        # four rows a quarter apart: as many steady streams
        more = (n - 1 - r) // q
        # a missing row repeats the first: what it gives is not looked at, and each row's bits stay its own
        r1 = r + (q if more > 0 else 0)
        r2 = r + (2 * q if more > 1 else 0)
        r3 = r + (3 * q if more > 2 else 0)
        for start in range((k + LANES - 1) // LANES):
            panel[floating](d, x[r], x[r1], x[r2], x[r3], ask[r], ask[r1], ask[r2], ask[r3],
                            side + start * d * LANES, four)
            m = min(<Py_ssize_t>LANES, k - start * LANES)
            for i in range(more + 1):
                for c in range(m):
                    z[(r + i * q) * k + start * LANES + c] = four[i * LANES + c]
    if bias != NULL:
        for r in range(n):
            for c in range(k):
                z[r * k + c] += bias[c]


cdef inline void add_row(Py_ssize_t d, floating g, const floating* x, double* to) noexcept nogil:
    cdef Py_ssize_t j
    if g == <floating>0:
        return
    for j in range(d):    # hot
        to[j] += <double>(g * x[j])


cdef inline void backward(Py_ssize_t n, Py_ssize_t d, Py_ssize_t k, const floating** x, const floating* g,
                          double* weight, double* bias) noexcept nogil:
    """weight (k, d) += g (n, k) transposed times n rows of d numbers, bias (k,) or NULL += the sum of g's rows; eight rows
    at once."""
    cdef const floating* p[8]
    cdef floating[8] s
    cdef floating zero = 0
    cdef Py_ssize_t c, i, j, r, q = (n + 7) // 8
    cdef bint whole
    cdef const floating* x0
    cdef const floating* x1
    cdef const floating* x2
    cdef const floating* x3
    cdef const floating* x4
    cdef const floating* x5
    cdef const floating* x6
    cdef const floating* x7
    cdef floating g0, g1, g2, g3, g4, g5, g6, g7
    cdef double* to
    if n < 8:
        for r in range(n):
            for c in range(k):
                add_row[floating](d, g[r * k + c], x[r], weight + c * d)
                if bias != NULL:
                    bias[c] += <double>g[r * k + c]
        return
    for r in range(q):
        # a missing row is the first again, times nothing
        for i in range(8):
            p[i] = x[r + (i * q if r + i * q < n else 0)]
        x0, x1, x2, x3, x4, x5, x6, x7 = p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7]
        for c in range(k):
            to = weight + c * d
            whole = True
            for i in range(8):
                s[i] = zero
                if r + i * q < n:
                    s[i] = g[(r + i * q) * k + c]
                    whole = whole and s[i] != zero
            # a row that adds nothing is not multiplied by its X, which may be NaN where the row's weight is 0
            if not whole:
                for i in range(8):
                    add_row[floating](d, s[i], p[i], to)
                continue
            g0, g1, g2, g3, g4, g5, g6, g7 = s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7]
            for j in range(d):    # hot
                to[j] += <double>fma[floating](g7, x7[j], fma[floating](g6, x6[j], fma[floating](g5, x5[j], fma[floating](
                    g4, x4[j], fma[floating](g3, x3[j], fma[floating](g2, x2[j], fma[floating](g1, x1[j], g0 * x0[j])))))))
    if bias != NULL and k == 1:
        bias[0] += numbers_sum[floating](n, g)
    elif bias != NULL:
        for r in range(n):
            for c in range(k):
                bias[c] += <double>g[r * k + c]


cdef inline Py_ssize_t pass_rows(Py_ssize_t d, Py_ssize_t k, Py_ssize_t itemsize) noexcept nogil:
    """Rows of a block: as many as stay in the second cache, their predictions in the first."""
    cdef Py_ssize_t most = 131072 // max(d * itemsize, <Py_ssize_t>1)
    return max(<Py_ssize_t>16, min(min(<Py_ssize_t>BLOCK, ROWS * WIDE // k), most)) // 4 * 4


cdef inline void objective_rows(Loss loss, Py_ssize_t n, Py_ssize_t d, Py_ssize_t k, const floating* x,
                                const int64_t* order, Py_ssize_t left, const char* y, Py_ssize_t item,
                                const floating* weight, const floating* w, const floating* side, const floating* bias,
                                double scale, sum_t* value, double* grad_weight, double* grad_bias) noexcept nogil:
    """n rows: the weighted sum of the loss is added to value, scale times its gradient to grad_* (NULL: not wanted)."""
    cdef floating[ROWS * WIDE] z
    cdef floating[BLOCK] factor
    cdef floating[BLOCK] values
    cdef const floating* at[BLOCK]
    cdef const floating* ask[BLOCK]
    # products of several outputs take longer than their rows do to come
    cdef const floating** later = ask if k > 1 else NULL
    cdef const floating* row_weight = NULL
    cdef floating* gradient = NULL if grad_weight == NULL else z
    cdef Py_ssize_t m, r = 0, size = n if n <= 16 else pass_rows(d, k, sizeof(floating))
    while r < n:
        m = min(size, n - r)
        if weight != NULL:
            row_weight = weight + r
        if order == NULL:
            find[floating](m, d, x + r * d, NULL, 0, at, later)
        else:
            find[floating](m, d, x, order + r, left - r, at, later)
        forward[floating](m, d, k, at, ask, w, side, bias, z)
        weigh[floating](m, row_weight, scale, factor)
        rows[floating](loss, m, k, z, y + r * item, factor, values, gradient)
        add(value, total[floating](m, values, row_weight))
        if gradient != NULL:
            backward[floating](m, d, k, at, gradient, grad_weight, grad_bias)
        r += size
