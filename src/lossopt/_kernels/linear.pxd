# Linear predictor, loss and gradient in one pass over X, header only. A block of rows is read from memory once: its
# predictions and their derivatives stay in the first cache while its gradient is added up. Dense X, up to WIDE outputs;
# CSR is in csr.pxd.

from cython cimport floating

from lossopt._kernels.abi cimport Loss
from lossopt._kernels.losses cimport ROWS, rows, total, weigh
from lossopt._kernels.math cimport LANES, add, fma, lane_sum, sum_t

cdef enum:
    WIDE = 32           # outputs that the passes below are made for; beyond, BLAS is faster


cdef inline void dots(Py_ssize_t d, const floating* x0, const floating* x1, const floating* x2, const floating* x3,
                      const floating* w, floating* z) noexcept nogil:
    """Four rows times one vector: sixteen lanes a row, the rest of the columns in one chain a row."""
    cdef floating[LANES] a0
    cdef floating[LANES] a1
    cdef floating[LANES] a2
    cdef floating[LANES] a3
    cdef floating t0 = 0, t1 = 0, t2 = 0, t3 = 0
    cdef Py_ssize_t b, i, j
    for i in range(LANES):
        a0[i] = 0
        a1[i] = 0
        a2[i] = 0
        a3[i] = 0
    for b in range(d // LANES):
        for i in range(LANES):    # hot
            a0[i] = fma[floating](x0[b * LANES + i], w[b * LANES + i], a0[i])
            a1[i] = fma[floating](x1[b * LANES + i], w[b * LANES + i], a1[i])
            a2[i] = fma[floating](x2[b * LANES + i], w[b * LANES + i], a2[i])
            a3[i] = fma[floating](x3[b * LANES + i], w[b * LANES + i], a3[i])
    for j in range(d // LANES * LANES, d):
        t0 = fma[floating](x0[j], w[j], t0)
        t1 = fma[floating](x1[j], w[j], t1)
        t2 = fma[floating](x2[j], w[j], t2)
        t3 = fma[floating](x3[j], w[j], t3)
    z[0] = lane_sum[floating](a0) + t0
    z[1] = lane_sum[floating](a1) + t1
    z[2] = lane_sum[floating](a2) + t2
    z[3] = lane_sum[floating](a3) + t3


cdef inline void forward(Py_ssize_t n, Py_ssize_t d, Py_ssize_t k, const floating* x, const floating* w,
                         const floating* bias, floating* z) noexcept nogil:
    """z (n, k) = x (n, d) times w (k, d) transposed, plus bias (k,) or NULL."""
    cdef floating[4] four
    cdef floating zero = 0, b
    cdef Py_ssize_t c, i, m, r = 0
    while r < n:
        m = min(<Py_ssize_t>4, n - r)
        for c in range(k):
            # a missing row repeats the first: what it gives is not looked at, and each row's bits stay its own
            dots[floating](d, x + r * d, x + (r + (1 if m > 1 else 0)) * d, x + (r + (2 if m > 2 else 0)) * d,
                           x + (r + (3 if m > 3 else 0)) * d, w + c * d, four)
            b = zero if bias == NULL else bias[c]
            for i in range(m):
                z[(r + i) * k + c] = four[i] + b
        r += 4


cdef inline void add_row(Py_ssize_t d, floating g, const floating* x, double* to) noexcept nogil:
    cdef Py_ssize_t j
    if g == <floating>0:
        return
    for j in range(d):    # hot
        to[j] += <double>(g * x[j])


cdef inline void backward(Py_ssize_t n, Py_ssize_t d, Py_ssize_t k, const floating* x, const floating* g,
                          double* weight, double* bias) noexcept nogil:
    """weight (k, d) += g (n, k) transposed times x (n, d), bias (k,) or NULL += the sum of g's rows; four rows at once."""
    cdef Py_ssize_t c, i, j, r
    cdef floating zero = 0, g0, g1, g2, g3
    cdef const floating* x0
    cdef const floating* x1
    cdef const floating* x2
    cdef const floating* x3
    cdef double* to
    for r in range(n // 4):
        x0 = x + 4 * r * d
        x1 = x0 + d
        x2 = x1 + d
        x3 = x2 + d
        for c in range(k):
            g0 = g[4 * r * k + c]
            g1 = g[(4 * r + 1) * k + c]
            g2 = g[(4 * r + 2) * k + c]
            g3 = g[(4 * r + 3) * k + c]
            to = weight + c * d
            # a row that adds nothing is not multiplied by its X, which may be NaN where the row's weight is 0
            if g0 == zero or g1 == zero or g2 == zero or g3 == zero:
                for i in range(4):
                    add_row[floating](d, g[(4 * r + i) * k + c], x0 + i * d, to)
                continue
            for j in range(d):    # hot
                to[j] += <double>fma[floating](g3, x3[j], fma[floating](g2, x2[j], fma[floating](g1, x1[j], g0 * x0[j])))
    for r in range(n // 4 * 4, n):
        for c in range(k):
            add_row[floating](d, g[r * k + c], x + r * d, weight + c * d)
    if bias != NULL:
        for r in range(n):
            for c in range(k):
                bias[c] += <double>g[r * k + c]


cdef inline void objective_rows(Loss loss, Py_ssize_t n, Py_ssize_t d, Py_ssize_t k, const floating* x, const char* y,
                                Py_ssize_t item, const floating* weight, const floating* w, const floating* bias,
                                double scale, sum_t* value, double* grad_weight, double* grad_bias) noexcept nogil:
    """n rows: the weighted sum of the loss is added to value, scale times its gradient to grad_* (NULL: not wanted)."""
    cdef floating[ROWS * WIDE] z
    cdef floating[ROWS] factor
    cdef floating[ROWS] values
    cdef const floating* row_weight = NULL
    cdef floating* gradient = NULL if grad_weight == NULL else z
    cdef Py_ssize_t m, r = 0
    while r < n:
        m = min(<Py_ssize_t>ROWS, n - r)
        if weight != NULL:
            row_weight = weight + r
        forward[floating](m, d, k, x + r * d, w, bias, z)
        weigh[floating](m, row_weight, scale, factor)
        rows[floating](loss, m, k, z, y + r * item, factor, values, gradient)
        add(value, total[floating](m, values, row_weight))
        if gradient != NULL:
            backward[floating](m, d, k, x + r * d, gradient, grad_weight, grad_bias)
        r += ROWS
