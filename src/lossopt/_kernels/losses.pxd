# Losses, header only: a struct of constants and a point function each, one block loop for all of them; the softmax
# loops, which see a whole row; and the driver that turns either into value and gradient of many rows.
#
# Design. A point function takes one prediction and one target and gives one value and one derivative. It has no
# branches, only selections, so that the block loop around it vectorizes. Weights, means and threads are the driver's.

from cython cimport floating
from libc.stdint cimport int64_t

from lossopt._kernels.abi cimport Loss, block_f32, block_f64, rows_f32, rows_f64
from lossopt._kernels.math cimport BLOCK, INF, LANES, block_sum, exp, fabs, lane_sum, log, log1p, log1p_unit

cdef enum:
    ROWS = 64           # rows of several outputs at a time
    FEW = 64            # with at most so many classes softmax takes rows as lanes

# ---- one output at a time

cdef struct mse_t:
    double unused

cdef struct bce_t:
    double positive         # the weight of the positive class
    double smoothing        # targets become y * (1 - smoothing) + smoothing / 2

cdef struct bce_probability_t:
    double positive
    double smoothing

ctypedef fused loss_t:
    mse_t
    bce_t
    bce_probability_t


cdef inline void point(loss_t* c, floating z, floating y, floating first, floating* value, floating* gradient) noexcept nogil:
    """One prediction: `first` is what first_half made of it, in a loop of its own."""
    cdef floating one = 1, zero = 0, p, q, s, up, down
    if loss_t is mse_t:
        value[0] = (z - y) * (z - y)
        gradient[0] = <floating>2 * (z - y)
    elif loss_t is bce_t:
        # p and q weigh the two classes; each tail is formed without cancellation, from exp(-|z|)
        y = y * <floating>(1 - c.smoothing) + <floating>(0.5 * c.smoothing)
        p = y * <floating>c.positive
        q = one - y
        s = log1p_unit[floating](first)
        value[0] = (p + q) * s + (q if z > zero else p) * fabs[floating](z)
        s = one / (one + first)
        up = (first if z < zero else one) * s
        down = (one if z < zero else first) * s
        gradient[0] = q * up - p * down
    elif loss_t is bce_probability_t:
        y = y * <floating>(1 - c.smoothing) + <floating>(0.5 * c.smoothing)
        p = y * <floating>c.positive
        q = one - y
        # a class without weight adds nothing, whatever its logarithm
        value[0] = (zero if q == zero else -q * log1p[floating](-z)) - (zero if p == zero else p * log[floating](z))
        gradient[0] = (zero if q == zero else q / (one - z)) - (zero if p == zero else p / z)


cdef inline floating first_half(loss_t* c, floating z) noexcept nogil:
    """What a point needs that is heavy enough to spill registers when it stands in the same loop."""
    if loss_t is bce_t:
        return exp[floating](-fabs[floating](z))
    else:
        return z


cdef inline void block(const loss_t* constants, Py_ssize_t n, const floating* z, const floating* y, floating* value,
                       floating* gradient) noexcept nogil:
    """What abi calls block_f64 and block_f32: up to BLOCK predictions."""
    cdef loss_t c = constants[0]
    cdef floating[BLOCK] first
    cdef Py_ssize_t i
    for i in range(n):
        first[i] = first_half[loss_t, floating](&c, z[i])
    for i in range(n):
        point[loss_t, floating](&c, z[i], y[i], first[i], &value[i], &gradient[i])

# ---- a row of outputs together

cdef struct softmax_t:
    double unused

ctypedef fused target_t:    # class labels, or a probability for each class
    int64_t
    float
    double


cdef inline void softmax_lanes(Py_ssize_t n, Py_ssize_t k, const floating* z, const target_t* y, const floating* factor,
                               floating* value, floating* gradient) noexcept nogil:
    """Up to LANES rows of up to FEW classes, transposed, so that a lane is a row."""
    cdef floating[FEW * LANES] e
    cdef floating[FEW * LANES] q
    cdef floating[LANES] top
    cdef floating[LANES] own
    cdef floating[LANES] others
    cdef floating[LANES] mass
    cdef floating[LANES] scale
    cdef int64_t[LANES] label
    cdef Py_ssize_t c, i
    cdef floating one = 1, zero = 0, x
    for i in range(LANES):
        top[i] = -<floating>INF
        others[i] = 0
        own[i] = 0
        mass[i] = 0
        scale[i] = factor[i] if i < n else zero
    for c in range(k):
        for i in range(n):
            e[c * LANES + i] = z[i * k + c]
        for i in range(n, LANES):
            e[c * LANES + i] = 0
    for c in range(k):
        for i in range(LANES):
            top[i] = top[i] if e[c * LANES + i] < top[i] else e[c * LANES + i]
    if target_t is int64_t:
        for i in range(LANES):
            label[i] = y[i] if i < n else 0
        for i in range(LANES):
            own[i] = e[label[i] * LANES + i] - top[i]
        for c in range(k):
            for i in range(LANES):
                x = exp[floating](e[c * LANES + i] - top[i])
                e[c * LANES + i] = x
                # the class itself stays out of the sum: what is left is its distance from certainty, in full precision
                others[i] += zero if c == label[i] else x
        for i in range(LANES):
            x = exp[floating](own[i])
            value[i] = log1p[floating](others[i] + (x - one)) - own[i]
            mass[i] = scale[i] / (x + others[i])
        for c in range(k):
            for i in range(LANES):
                x = (-others[i] if c == label[i] else e[c * LANES + i]) * mass[i]
                e[c * LANES + i] = zero if scale[i] == zero else x
    else:
        for c in range(k):
            for i in range(n):
                q[c * LANES + i] = <floating>y[i * k + c]
            for i in range(n, LANES):
                q[c * LANES + i] = 0
        for c in range(k):
            for i in range(LANES):
                x = e[c * LANES + i] - top[i]
                # a class without probability adds nothing, also at minus infinity
                own[i] -= zero if q[c * LANES + i] == zero else q[c * LANES + i] * x
                mass[i] += q[c * LANES + i]
                x = exp[floating](x)
                e[c * LANES + i] = x
                others[i] += x
        for i in range(LANES):
            value[i] = own[i] + mass[i] * log[floating](others[i])
            mass[i] = mass[i] / others[i]
        for c in range(k):
            for i in range(LANES):
                x = (e[c * LANES + i] * mass[i] - q[c * LANES + i]) * scale[i]
                e[c * LANES + i] = zero if scale[i] == zero else x
    if gradient != NULL:
        for i in range(n):
            for c in range(k):
                gradient[i * k + c] = e[c * LANES + i]


cdef inline floating row_top(Py_ssize_t k, const floating* z) noexcept nogil:
    cdef floating[LANES] top
    cdef Py_ssize_t c, i, whole = k - k % LANES
    for i in range(LANES):
        top[i] = -<floating>INF
    c = 0
    while c < whole:
        for i in range(LANES):
            top[i] = top[i] if z[c + i] < top[i] else z[c + i]
        c += LANES
    for c in range(whole, k):
        top[0] = top[0] if z[c] < top[0] else z[c]
    for i in range(1, LANES):
        top[0] = top[0] if top[i] < top[0] else top[i]
    return top[0]


cdef inline void softmax_row(Py_ssize_t k, const floating* z, const target_t* y, floating factor, floating* value,
                             floating* gradient) noexcept nogil:
    """One row of many classes, a block of classes at a time; its sums are kept in double."""
    cdef floating top = row_top[floating](k, z)
    cdef floating[BLOCK] d
    cdef floating[BLOCK] e
    cdef floating[BLOCK] q
    cdef double[LANES] sums
    cdef double[LANES] dots
    cdef double[LANES] masses
    cdef double others, own, mass = 1
    cdef floating share, zero = 0
    cdef Py_ssize_t c, i, m, start, whole, label = -1
    for i in range(LANES):
        sums[i] = 0
        dots[i] = 0
        masses[i] = 0
    if target_t is int64_t:
        label = y[0]
        own = z[label] - top
    start = 0
    while start < k:
        m = min(<Py_ssize_t>BLOCK, k - start)
        whole = (m + LANES - 1) // LANES * LANES
        for i in range(m):
            d[i] = z[start + i] - top
        for i in range(m, whole):
            d[i] = -<floating>INF
        for i in range(whole):
            e[i] = exp[floating](d[i])
        if gradient != NULL:
            for i in range(m):
                gradient[start + i] = e[i]
        if target_t is int64_t:
            # the class itself stays out of the sum: what is left is its distance from certainty, in full precision
            if start <= label < start + m:
                e[label - start] = 0
        else:
            for i in range(m):
                q[i] = <floating>y[start + i]
            for i in range(m, whole):
                q[i] = 0
            c = 0
            while c < whole:
                for i in range(LANES):
                    # a class without probability adds nothing, also at minus infinity
                    dots[i] -= 0.0 if q[c + i] == zero else <double>q[c + i] * <double>d[c + i]
                    masses[i] += <double>q[c + i]
                c += LANES
        c = 0
        while c < whole:
            for i in range(LANES):
                sums[i] += <double>e[c + i]
            c += LANES
        start += BLOCK
    others = lane_sum[double](sums)
    if target_t is int64_t:
        mass = exp[floating](<floating>own)
        value[0] = <floating>(log1p[double](others + (mass - 1)) - own)
        share = <floating>(factor / (mass + others))
    else:
        mass = lane_sum[double](masses)
        value[0] = <floating>(lane_sum[double](dots) + mass * log[double](others))
        share = <floating>(mass / others)
    if gradient == NULL:
        return
    if factor == zero:
        for i in range(k):
            gradient[i] = 0
    elif target_t is int64_t:
        gradient[label] = -<floating>others
        for i in range(k):
            gradient[i] *= share
    else:
        for i in range(k):
            gradient[i] = (gradient[i] * share - <floating>y[i]) * factor


cdef inline void softmax(const void* constants, Py_ssize_t n, Py_ssize_t k, const floating* z, const target_t* y,
                         const floating* factor, floating* value, floating* gradient) noexcept nogil:
    """What abi calls rows_f64 and rows_f32, for labels or probabilities."""
    cdef Py_ssize_t i, j, m
    cdef floating[LANES] values
    if k > FEW:
        for i in range(n):
            softmax_row[floating, target_t](
                k, z + i * k, y + (i if target_t is int64_t else i * k), factor[i], value + i,
                NULL if gradient == NULL else gradient + i * k)
    else:
        i = 0
        while i < n:
            m = min(<Py_ssize_t>LANES, n - i)
            softmax_lanes[floating, target_t](
                m, k, z + i * k, y + (i if target_t is int64_t else i * k), factor + i, values,
                NULL if gradient == NULL else gradient + i * k)
            for j in range(m):
                value[i + j] = values[j]
            i += LANES

# ---- the driver

cdef inline Py_ssize_t block_rows(Py_ssize_t k) noexcept nogil:
    return BLOCK if k == 1 else ROWS


cdef inline void one(Loss loss, Py_ssize_t n, const floating* z, const floating* y, floating* value,
                     floating* gradient) noexcept nogil:
    if floating is double:
        loss.block64(loss.constants, n, z, y, value, gradient)
    else:
        loss.block32(loss.constants, n, z, y, value, gradient)


cdef inline void rows(Loss loss, Py_ssize_t n, Py_ssize_t k, const floating* z, const char* y, const floating* factor,
                      floating* value, floating* gradient) noexcept nogil:
    """Some rows of any loss: the sum of a row's values, and gradients times the row's factor; a factor of 0 is no row."""
    cdef floating[BLOCK] v
    cdef floating[BLOCK] g
    cdef Py_ssize_t c, i, m, r, start, width, step
    cdef floating s, zero = 0
    if floating is double:
        if loss.rows64 != NULL:
            loss.rows64(loss.constants, n, k, z, y, factor, value, gradient)
            return
    else:
        if loss.rows32 != NULL:
            loss.rows32(loss.constants, n, k, z, y, factor, value, gradient)
            return
    if k == 1:
        start = 0
        while start < n:
            m = min(<Py_ssize_t>BLOCK, n - start)
            one[floating](loss, m, z + start, <const floating*>y + start, v, g)
            for i in range(m):
                value[start + i] = v[i]
            if gradient != NULL:
                for i in range(m):
                    gradient[start + i] = zero if factor[start + i] == zero else g[i] * factor[start + i]
            start += BLOCK
        return
    # a block is some whole rows, or a piece of one
    width = min(k, <Py_ssize_t>BLOCK)
    step = max(<Py_ssize_t>1, BLOCK // k)
    r = 0
    while r < n:
        for i in range(r, min(r + step, n)):
            value[i] = 0
        start = 0
        while start < k:
            m = min(width, k - start)
            one[floating](loss, m * min(step, n - r), z + r * k + start, <const floating*>y + r * k + start, v, g)
            for i in range(min(step, n - r)):
                s = 0
                for c in range(m):
                    s += v[i * m + c]
                value[r + i] += s
                if gradient != NULL:
                    for c in range(m):
                        gradient[(r + i) * k + start + c] = zero if factor[r + i] == zero else g[i * m + c] * factor[r + i]
            start += width
        r += step


cdef inline void weigh(Py_ssize_t n, const floating* weight, double scale, floating* factor) noexcept nogil:
    """The rows' factors of the gradient: scale, times the row's weight."""
    cdef Py_ssize_t i
    if weight == NULL:
        for i in range(n):
            factor[i] = <floating>scale
    else:
        for i in range(n):
            factor[i] = weight[i] * <floating>scale


cdef inline double total(Py_ssize_t n, const floating* value, const floating* weight) noexcept nogil:
    """Sum of weight * value over one block, in double. A row of weight 0 is no row, whatever its value."""
    cdef double[BLOCK] v
    cdef floating zero = 0
    cdef Py_ssize_t i
    if weight == NULL:
        for i in range(n):
            v[i] = <double>value[i]
    else:
        for i in range(n):
            v[i] = 0.0 if weight[i] == zero else <double>value[i] * <double>weight[i]
    return block_sum(v, n)
