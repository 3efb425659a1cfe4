# Losses, header only: a struct of constants and a point function each, one block loop for all of them; the softmax
# loops, which see a whole row; and the driver that turns either into value and gradient of many rows.
#
# Design. A point function takes one prediction and one target and gives one value and one derivative. It has no
# branches, only selections, so that the block loop around it vectorizes. Weights, means and threads are the driver's.

from cython cimport floating
from libc.stdint cimport int64_t

from lossopt._kernels.abi cimport Loss, block_f32, block_f64, rows_f32, rows_f64
from lossopt._kernels.math cimport BLOCK, INF, block_sum, exp, fabs, log, log1p, log1p_unit

cdef enum:
    ROWS = 64           # rows of several outputs at a time
    FEW = 64            # with at most so many classes softmax takes rows as lanes,
    TOGETHER = 32       # so many at once: loops of 16 are unrolled before gcc looks for vectors

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
    for i in range(n):    # hot 2
        first[i] = first_half[loss_t, floating](&c, z[i])
    for i in range(n):    # hot
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
    """Up to TOGETHER rows of up to FEW classes, transposed, so that a lane is a row."""
    cdef floating[FEW * TOGETHER] e
    cdef floating[FEW * TOGETHER] q
    cdef floating[TOGETHER] top
    cdef floating[TOGETHER] own
    cdef floating[TOGETHER] others
    cdef floating[TOGETHER] mass
    cdef floating[TOGETHER] scale
    cdef floating[TOGETHER] label       # as a float: compared in the same vectors as the scores
    cdef Py_ssize_t c, i
    cdef floating one = 1, zero = 0, class_, x
    for i in range(TOGETHER):
        top[i] = -<floating>INF
        others[i] = 0
        own[i] = 0
        mass[i] = 0
        scale[i] = factor[i] if i < n else zero
    for c in range(k):
        for i in range(n):
            e[c * TOGETHER + i] = z[i * k + c]
        for i in range(n, TOGETHER):
            e[c * TOGETHER + i] = 0
    for c in range(k):
        for i in range(TOGETHER):    # hot
            top[i] = top[i] if e[c * TOGETHER + i] < top[i] else e[c * TOGETHER + i]
    if target_t is int64_t:
        for i in range(TOGETHER):
            label[i] = 0
            own[i] = e[i] - top[i]
        for i in range(n):
            label[i] = <floating>y[i]
            own[i] = e[y[i] * TOGETHER + i] - top[i]
        for c in range(k):
            class_ = <floating>c
            for i in range(TOGETHER):    # hot
                # the class itself stays out of the sum: what is left is its distance from certainty, in full precision
                x = exp[floating](e[c * TOGETHER + i] - top[i])
                e[c * TOGETHER + i] = zero if label[i] == class_ else x
        # (a sum of its own: gcc 12 miscompiles a selection that is added to a sum in the loop that selects)
        for c in range(k):
            for i in range(TOGETHER):    # hot
                others[i] += e[c * TOGETHER + i]
        for i in range(TOGETHER):
            x = exp[floating](own[i])
            value[i] = log1p[floating](others[i] + (x - one)) - own[i]
            mass[i] = scale[i] / (x + others[i])
        for c in range(k):
            class_ = <floating>c
            for i in range(TOGETHER):    # hot
                x = e[c * TOGETHER + i]
                x = (-others[i] if label[i] == class_ else x) * mass[i]
                e[c * TOGETHER + i] = zero if scale[i] == zero else x
    else:
        for c in range(k):
            for i in range(n):
                q[c * TOGETHER + i] = <floating>y[i * k + c]
            for i in range(n, TOGETHER):
                q[c * TOGETHER + i] = 0
        for c in range(k):
            for i in range(TOGETHER):    # hot 2
                x = e[c * TOGETHER + i] - top[i]
                # a class without probability adds nothing, also at minus infinity
                own[i] -= q[c * TOGETHER + i] * (zero if q[c * TOGETHER + i] == zero else x)
                mass[i] += q[c * TOGETHER + i]
                x = exp[floating](x)
                e[c * TOGETHER + i] = x
                others[i] += x
        for i in range(TOGETHER):
            value[i] = own[i] + mass[i] * log[floating](others[i])
            mass[i] = mass[i] / others[i]
        for c in range(k):
            for i in range(TOGETHER):    # hot 2
                x = (e[c * TOGETHER + i] * mass[i] - q[c * TOGETHER + i]) * scale[i]
                e[c * TOGETHER + i] = zero if scale[i] == zero else x
    if gradient != NULL:
        for i in range(n):
            for c in range(k):
                gradient[i * k + c] = e[c * TOGETHER + i]


cdef inline void softmax_row(Py_ssize_t k, const floating* z, const target_t* y, floating factor, floating* value,
                             floating* gradient) noexcept nogil:
    """One row of many classes, a block of classes at a time; its sums are kept in double."""
    cdef floating[BLOCK] e
    cdef double[BLOCK] v
    cdef double others = 0, own = 0, dot = 0, mass = 1
    cdef floating top = -<floating>INF, zero = 0, share, x
    cdef Py_ssize_t i, m, start, whole, label = -1
    cdef floating[TOGETHER] tops
    for i in range(TOGETHER):
        tops[i] = top
    for start in range(k // TOGETHER):
        for i in range(TOGETHER):    # hot
            tops[i] = tops[i] if z[start * TOGETHER + i] < tops[i] else z[start * TOGETHER + i]
    for i in range(k // TOGETHER * TOGETHER, k):
        tops[0] = tops[0] if z[i] < tops[0] else z[i]
    for i in range(TOGETHER):
        top = top if tops[i] < top else tops[i]
    if target_t is int64_t:
        label = y[0]
        own = z[label] - top
    else:
        mass = 0
    start = 0
    while start < k:
        m = min(<Py_ssize_t>BLOCK, k - start)
        if target_t is not int64_t:
            for i in range(m):    # hot 2
                x = z[start + i] - top
                # a class without probability adds nothing, also at minus infinity
                x = zero if <floating>y[start + i] == zero else x
                v[i] = <double>y[start + i] * <double>x
            dot += block_sum(v, m)
            for i in range(m):
                v[i] = <double>y[start + i]
            mass += block_sum(v, m)
        # filled up to whole vectors: what is left over would be computed one by one
        whole = (m + TOGETHER - 1) // TOGETHER * TOGETHER
        for i in range(m):
            e[i] = z[start + i] - top
        for i in range(m, whole):
            e[i] = 0
        for i in range(whole):    # hot
            e[i] = exp[floating](e[i])
        if gradient != NULL:
            for i in range(m):
                gradient[start + i] = e[i]
        if target_t is int64_t:
            # the class itself stays out of the sum: what is left is its distance from certainty, in full precision
            if start <= label < start + m:
                e[label - start] = 0
        for i in range(m):
            v[i] = <double>e[i]
        others += block_sum(v, m)
        start += BLOCK
    if target_t is int64_t:
        x = exp[floating](<floating>own)
        value[0] = <floating>(log1p[double](others + (<double>x - 1)) - own)
        share = <floating>(factor / (<double>x + others))
    else:
        value[0] = <floating>(mass * log[double](others) - dot)
        share = <floating>(mass / others)
    if gradient == NULL:
        return
    if factor == zero:
        for i in range(k):
            gradient[i] = 0
    elif target_t is int64_t:
        gradient[label] = -<floating>others
        for i in range(k):    # hot
            gradient[i] *= share
    else:
        for i in range(k):    # hot 2
            gradient[i] = (gradient[i] * share - <floating>y[i]) * factor


cdef inline void softmax(const void* constants, Py_ssize_t n, Py_ssize_t k, const floating* z, const target_t* y,
                         const floating* factor, floating* value, floating* gradient) noexcept nogil:
    """What abi calls rows_f64 and rows_f32, for labels or probabilities."""
    cdef Py_ssize_t i, j, m
    cdef floating[TOGETHER] values
    if k > FEW:
        for i in range(n):
            softmax_row[floating, target_t](
                k, z + i * k, y + (i if target_t is int64_t else i * k), factor[i], value + i,
                NULL if gradient == NULL else gradient + i * k)
    else:
        i = 0
        while i < n:
            m = min(<Py_ssize_t>TOGETHER, n - i)
            softmax_lanes[floating, target_t](
                m, k, z + i * k, y + (i if target_t is int64_t else i * k), factor + i, values,
                NULL if gradient == NULL else gradient + i * k)
            for j in range(m):
                value[i + j] = values[j]
            i += TOGETHER

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
                for i in range(m):    # hot
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
    cdef floating zero = 0, x
    cdef Py_ssize_t i
    if weight == NULL:
        for i in range(n):
            v[i] = <double>value[i]
    else:
        for i in range(n):    # hot
            x = value[i]
            x = zero if weight[i] == zero else x
            v[i] = <double>x * <double>weight[i]
    return block_sum(v, n)
