# Losses, header only: a struct of constants and a point function each, one block loop for all of them; the softmax
# loops, which see a whole row; and the driver that turns either into value and gradient of many rows.
#
# Design. A point function takes one prediction and one target and gives one value and one derivative. It has no
# branches, only selections, so that the block loop around it vectorizes. Weights, means and threads are the driver's.

from cython cimport floating
from libc.math cimport expm1, pow
from libc.stdint cimport int64_t
from libc.string cimport memcpy

from lossopt._kernels.abi cimport Loss, block_f32, block_f64, rows_f32, rows_f64
from lossopt._kernels.math cimport BLOCK, INF, LANES, block_sum, exp, exp_down, fabs, fma, lane_sum, lanes_t, log, log1p
from lossopt._kernels.math cimport log1p_unit, tanh

cdef enum:
    ROWS = 64           # rows of several outputs at a time
    FEW = 64            # with at most so many classes softmax takes rows as lanes,
    TOGETHER = 32       # so many at once
    PIECE = 64          # classes whose exponentials are added up as they are, before they join a sum in double

# ---- one output at a time

cdef struct mse_t:
    double unused

cdef struct logistic_t:     # bce_t with a weight of 1, and no smoothing
    double unused

cdef struct bce_t:
    double positive         # the weight of each class
    double negative
    double smoothing        # targets become y * (1 - smoothing) + smoothing / 2

cdef struct bce_probability_t:
    double positive
    double smoothing

cdef struct pinball_t:
    double above            # the weight of an error where the target is above the prediction, and below it
    double below
    double epsilon          # what an error may be for nothing

cdef struct huber_t:
    double delta

cdef struct log_cosh_t:
    double unused

cdef struct squared_pinball_t:
    double epsilon

cdef struct hinge_t:
    double margin

cdef struct squared_hinge_t:
    double unused

cdef struct modified_huber_t:
    double unused

cdef struct poisson_t:
    double unused

cdef struct gamma_t:
    double unused

cdef struct tweedie_t:
    double power

cdef struct focal_t:
    double gamma
    double positive         # the weight of each class
    double negative

ctypedef fused loss_t:
    mse_t
    logistic_t
    bce_t
    bce_probability_t
    pinball_t
    huber_t
    log_cosh_t
    squared_pinball_t
    hinge_t
    squared_hinge_t
    modified_huber_t
    poisson_t
    gamma_t
    tweedie_t
    focal_t


cdef inline floating exp_product(double a, floating z) noexcept nogil:
    """exp(a * z), with the digits of the product that its rounding takes."""
    cdef floating h = <floating>a, p = h * z, zero = 0, inf = <floating>INF
    cdef floating rest = fma[floating](h, z, -p) + <floating>(a - <double>h) * z
    cdef floating e = exp[floating](p)
    cdef floating t = e + e * rest
    # the rest of an infinite product is no number
    t = e if e == zero else t
    return e if e == inf else t


cdef inline void point(loss_t* c, floating z, floating y, floating first, floating* value, floating* gradient) noexcept nogil:
    """One prediction: `first` is what first_half made of it, in a loop of its own."""
    cdef floating one = 1, two = 2, zero = 0, inf = <floating>INF, p, q, s, t, up, down, power
    if loss_t is mse_t:
        value[0] = (z - y) * (z - y)
        gradient[0] = two * (z - y)
    elif loss_t is logistic_t or loss_t is bce_t:
        # p and q weigh the two classes; each tail is formed without cancellation, from first = exp(-|z|)
        p = y
        if loss_t is bce_t:
            y = y * <floating>(1 - c.smoothing) + <floating>(0.5 * c.smoothing)
            p = y * <floating>c.positive
        q = one - y
        if loss_t is bce_t:
            q *= <floating>c.negative
        s = log1p_unit[floating](first)
        if loss_t is bce_t:
            s *= p + q
        value[0] = s + (z * q if z > zero else -z * p)
        s = one / (one + first)
        up = q if z < zero else -p
        down = -p if z < zero else q
        gradient[0] = fma[floating](up, first, down) * s
    elif loss_t is bce_probability_t:
        y = y * <floating>(1 - c.smoothing) + <floating>(0.5 * c.smoothing)
        p = y * <floating>c.positive
        q = one - y
        # a class without weight adds nothing, whatever its logarithm
        value[0] = (zero if q == zero else -q * log1p[floating](-z)) - (zero if p == zero else p * log[floating](z))
        gradient[0] = (zero if q == zero else q / (one - z)) - (zero if p == zero else p / z)
    elif loss_t is pinball_t:
        s = fabs[floating](z - y) - <floating>c.epsilon
        up, down = -<floating>c.above, <floating>c.below
        t = up if z < y else down
        value[0] = (zero if s < zero else s) * fabs[floating](t)
        t = zero if s <= zero else t
        # NaN is neither above nor below
        gradient[0] = s if s != s else t
    elif loss_t is huber_t:
        # with the error held to delta: half its square inside, and what goes on straight outside
        t = <floating>c.delta
        s = fabs[floating](z - y)
        p = s if s < t else t
        value[0] = p * (s - <floating>0.5 * p)
        q = t if z - y > t else z - y
        gradient[0] = -t if q < -t else q
    elif loss_t is log_cosh_t:
        # from first = tanh(|z - y| / 2): near zero the log of 1 + (cosh - 1), elsewhere |z - y| - log 2 and a correction
        s = fabs[floating](z - y)
        q = first * first
        t = (one - first) / (one + first)
        p = two * q / (one - q) if s < two else t * t
        t = s - <floating>0.6931471805599453
        value[0] = log1p[floating](p) + (zero if s < two else t)
        t = two * first / (one + q)
        gradient[0] = -t if z < y else t
    elif loss_t is squared_pinball_t:
        s = fabs[floating](z - y) - <floating>c.epsilon
        s = zero if s < zero else s
        value[0] = s * s
        gradient[0] = -two * s if z < y else two * s
    elif loss_t is hinge_t or loss_t is squared_hinge_t or loss_t is modified_huber_t:
        t = two * y - one
        if loss_t is hinge_t:
            s = <floating>c.margin - t * z
        else:
            s = one - t * z
        s = zero if s < zero else s
        if loss_t is squared_hinge_t:
            value[0] = s * s
            gradient[0] = -two * t * s
        elif loss_t is modified_huber_t:
            # with the lack held to 2: its square inside, and what goes on straight outside
            p = two if s > two else s
            value[0] = p * (two * s - p)
            gradient[0] = -two * t * p
        else:
            value[0] = s
            t = zero if s == zero else -t
            gradient[0] = s if s != s else t
    elif loss_t is poisson_t:
        # first = exp(z); no events cost no product, and beside infinity nothing counts
        s = zero if y == zero else y * z
        value[0] = first if first == inf else first - s
        gradient[0] = first - y
    elif loss_t is gamma_t:
        # first = exp(-z / 2): a target may be small where exp(-z) is too large
        s = y * first * first
        value[0] = s if s == inf else z + s
        gradient[0] = one - s
    elif loss_t is tweedie_t:
        # first = exp((2 - p) z), which wins for z > 0, against the term of y, which wins for z < 0
        s = exp_product[floating](1 - c.power, z)
        s = zero if y == zero else y * s
        up, down = first / <floating>(2 - c.power), s / <floating>(c.power - 1)
        p = up + down
        q = up if z > zero else down
        up = first - s
        down = first if z > zero else -s
        # targets that are NaN count; what is read is read before anything is written
        p = (q if p != p else p) + (y - y)
        q = (down if up != up else up) + (y - y)
        value[0] = p
        gradient[0] = q
    elif loss_t is focal_t:
        # s is the score of the class itself, first = exp(-|z|), p and q the probabilities of it and of the other
        s = z if y > zero else -z
        t = one / (one + first)
        p = (first if s < zero else one) * t
        q = (one if s < zero else first) * t
        t = log1p_unit[floating](first)
        # -log p
        up = t + (-s if s < zero else zero)
        # gamma * -log q in two parts: whole digits of an exponent that may be large
        s = zero if s < zero else s
        s = s if s < <floating>1000 else <floating>1000
        power = <floating>c.gamma
        down = power * s
        t = fma[floating](power, s, -down) + <floating>(c.gamma - <double>power) * s + power * t
        s = down + t
        t = (down - s) + t
        s = exp_down[floating](-s)
        s = (s - s * t) * (<floating>c.positive if y > zero else <floating>c.negative)
        value[0] = s * up
        t = zero if p == zero else p * up
        s = s * fma[floating](<floating>c.gamma, t, q)
        # NaN has no side: first carries it
        gradient[0] = -s if y > zero else s


cdef inline bint halved(loss_t* c) noexcept nogil:
    """Whether a point needs a first half: what is heavy enough to spill registers when it stands in the same loop."""
    return (loss_t is logistic_t or loss_t is bce_t or loss_t is focal_t or loss_t is log_cosh_t or loss_t is poisson_t
            or loss_t is gamma_t or loss_t is tweedie_t)


cdef inline floating first_half(loss_t* c, floating z, floating y) noexcept nogil:
    if loss_t is log_cosh_t:
        return tanh[floating](<floating>0.5 * fabs[floating](z - y))
    elif loss_t is poisson_t:
        return exp[floating](z)
    elif loss_t is gamma_t:
        return exp[floating](<floating>-0.5 * z)
    elif loss_t is tweedie_t:
        return exp_product[floating](2 - c.power, z)
    else:
        return exp_down[floating](-fabs[floating](z))


cdef inline void first_halves(loss_t* c, Py_ssize_t n, const floating* z, const floating* y, floating* first) noexcept nogil:
    """Of n predictions, a multiple of LANES."""
    cdef Py_ssize_t b, i
    if halved[loss_t](c):
        for b in range(n // LANES):
            for i in range(LANES):    # hot 28
                first[b * LANES + i] = first_half[loss_t, floating](c, z[b * LANES + i], y[b * LANES + i])


# Both loops below go over whole lanes, and once more over what is left, filled up: one copy of a loss serves either.

cdef inline void fill(Py_ssize_t n, const floating* x, floating nothing, floating* lanes) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(LANES):
        lanes[i] = nothing
    memcpy(lanes, x, n * sizeof(floating))


cdef inline void block(const loss_t* constants, Py_ssize_t n, const floating* z, const floating* y, floating* value,
                       floating* gradient) noexcept nogil:
    """What abi calls block_f64 and block_f32: up to BLOCK predictions."""
    cdef loss_t c = constants[0]
    cdef floating[BLOCK] first
    cdef floating[4 * LANES] last       # predictions, targets, values, gradients
    cdef floating[LANES] v
    cdef floating[LANES] g
    cdef floating* values = value
    cdef floating* gradients = gradient
    cdef Py_ssize_t b, i, m = n // LANES * LANES, whole = m, done = 0
    while done < n:
        if done == whole:
            fill[floating](n - whole, z + whole, 0, last)
            fill[floating](n - whole, y + whole, 0, last + LANES)
            z, y, values, gradients, m = last, last + LANES, last + 2 * LANES, last + 3 * LANES, LANES
        first_halves[loss_t, floating](&c, m, z, y, first)
        for b in range(m // LANES):
            for i in range(LANES):    # hot
                point[loss_t, floating](&c, z[b * LANES + i], y[b * LANES + i], first[b * LANES + i], &v[i], &g[i])
            for i in range(LANES):
                values[b * LANES + i] = v[i]
                gradients[b * LANES + i] = g[i]
        done += m
    memcpy(value + whole, last + 2 * LANES, (n - whole) * sizeof(floating))
    memcpy(gradient + whole, last + 3 * LANES, (n - whole) * sizeof(floating))


cdef inline void sixteen(loss_t* c, const floating* z, const floating* y, const floating* first, floating factor,
                         floating* gradient, double* total, double* rest) noexcept nogil:
    """A prediction a lane; gradient may be z."""
    cdef floating[LANES] g
    cdef double t
    cdef floating v
    cdef Py_ssize_t i
    for i in range(LANES):    # hot
        point[loss_t, floating](c, z[i], y[i], first[i], &v, &g[i])
        g[i] *= factor
        t = total[i] + <double>v
        # a float leaves a double's sum nothing to compensate
        if floating is double:
            rest[i] += v - (t - total[i])
        total[i] = t
    # not by memcpy: gcc would keep the sums in memory
    for i in range(LANES):
        gradient[i] = g[i]


cdef inline void flat(const loss_t* constants, Py_ssize_t n, const floating* z, const floating* y, floating factor,
                      floating* gradient, lanes_t* sums) noexcept nogil:
    """What abi calls flat_f64 and flat_f32."""
    cdef loss_t c = constants[0]
    cdef floating[BLOCK] first
    cdef floating[3 * LANES] last       # predictions, targets, gradients
    cdef floating* to = gradient
    cdef double[LANES] total
    cdef double[LANES] rest
    cdef Py_ssize_t b, i, m, whole = n // LANES * LANES, left = n - whole, done = 0
    for i in range(LANES):
        total[i] = sums.total[i]
        rest[i] = sums.rest[i]
    while done < n:
        m = min(<Py_ssize_t>BLOCK, whole - done)
        if m == 0:
            # a lane that is filled up keeps what it had
            for i in range(left, LANES):
                sums.total[i] = total[i]
                sums.rest[i] = rest[i]
            fill[floating](left, z, 0, last)
            fill[floating](left, y, 0, last + LANES)
            z, y, to, m = last, last + LANES, last + 2 * LANES, LANES
        first_halves[loss_t, floating](&c, m, z, y, first)
        for b in range(m // LANES):
            i = b * LANES
            sixteen[loss_t, floating](&c, z + i, y + i, first + i, factor, to + i, total, rest)
        z += m
        y += m
        to += m
        done += m
    for i in range(left if left else LANES):
        sums.total[i] = total[i]
        sums.rest[i] = rest[i]
    memcpy(gradient + whole, last + 2 * LANES, left * sizeof(floating))

# ---- a row of outputs together

cdef struct softmax_t:
    # Of labels that stand for a probability, or a price, for each class: `own` for the class itself, and `others` times a
    # row of numbers (NULL: ones) for each. The row is the class's own where there are k rows, and others is divided by
    # what the class itself has in the one row where there is one.
    double own
    double others
    const double* table
    Py_ssize_t rows

cdef struct soft_t:         # a label that is to be read so
    int64_t label

ctypedef fused target_t:    # class labels, the same to be read as softmax_t says, or a probability for each class
    int64_t
    soft_t
    float
    double


cdef inline double others_of(const softmax_t* c, Py_ssize_t k, int64_t y) noexcept nogil:
    """The factor of a row of c.table, or of ones, for label y."""
    if c.table == NULL:
        return c.others / <double>k
    return c.others if c.rows > 1 else c.others / (<double>k * c.table[y])


cdef inline const double* row_of(const softmax_t* c, Py_ssize_t k, int64_t y) noexcept nogil:
    return c.table if c.rows <= 1 else c.table + y * k


cdef inline floating shift_of(floating own, floating top) noexcept nogil:
    """What a row's scores are taken relative to: its own class, which is then certain of a digit or two more, or its
    largest, where others might overflow beside it."""
    cdef floating far = 300 if floating is double else 40
    return own if top - own < far else top


cdef inline void softmax_lanes(const softmax_t* s, Py_ssize_t n, Py_ssize_t k, const floating* z, const target_t* y,
                               const floating* factor, floating* value, floating* gradient) noexcept nogil:
    """Up to TOGETHER rows of up to FEW classes, transposed, so that a lane is a row."""
    cdef floating[FEW * TOGETHER] e
    cdef floating[FEW * TOGETHER] q
    cdef floating[TOGETHER] top
    cdef floating[TOGETHER] own
    cdef floating[TOGETHER] others
    cdef floating[TOGETHER] mass
    cdef Py_ssize_t c, i
    cdef const double* row
    cdef floating one = 1, zero = 0, x
    for i in range(TOGETHER):
        top[i] = -<floating>INF
        others[i] = 0
        own[i] = 0
        mass[i] = 0
    for i in range(n):
        for c in range(k):
            e[c * TOGETHER + i] = z[i * k + c]
    for i in range(n, TOGETHER):
        for c in range(k):
            e[c * TOGETHER + i] = 0
    for c in range(k):
        for i in range(TOGETHER):    # hot 6
            top[i] = top[i] if e[c * TOGETHER + i] < top[i] else e[c * TOGETHER + i]
    if target_t is int64_t:
        # the class itself stays out of the sum: what is left is its distance from certainty, in full precision
        for i in range(n):
            own[i] = e[y[i] * TOGETHER + i]
            e[y[i] * TOGETHER + i] = -<floating>INF
        for i in range(TOGETHER):    # hot
            top[i] = shift_of[floating](own[i], top[i])
            own[i] -= top[i]
        for c in range(k):
            for i in range(TOGETHER):    # hot
                x = exp_down[floating](e[c * TOGETHER + i] - top[i])
                e[c * TOGETHER + i] = x
                others[i] += x
        for i in range(TOGETHER):    # hot
            x = exp_down[floating](own[i])
            value[i] = log1p[floating](others[i] + (x - one)) - own[i]
            mass[i] = one / (x + others[i])
        if gradient != NULL:
            for i in range(n):
                mass[i] *= factor[i]
            for c in range(k):
                for i in range(n):
                    gradient[i * k + c] = e[c * TOGETHER + i] * mass[i]
            for i in range(n):
                gradient[i * k + y[i]] = -others[i] * mass[i]
    else:
        for i in range(n):
            if target_t is soft_t:
                x = <floating>others_of(s, k, y[i].label)
                row = row_of(s, k, y[i].label)
                for c in range(k):
                    q[c * TOGETHER + i] = x if row == NULL else x * <floating>row[c]
                q[y[i].label * TOGETHER + i] += <floating>s.own
            else:
                for c in range(k):
                    q[c * TOGETHER + i] = <floating>y[i * k + c]
        for c in range(k):
            for i in range(n, TOGETHER):
                q[c * TOGETHER + i] = 0
        for c in range(k):
            for i in range(TOGETHER):    # hot 2
                x = e[c * TOGETHER + i] - top[i]
                # a class without probability adds nothing, also at minus infinity
                own[i] -= q[c * TOGETHER + i] * (zero if q[c * TOGETHER + i] == zero else x)
                mass[i] += q[c * TOGETHER + i]
                x = exp_down[floating](x)
                e[c * TOGETHER + i] = x
                others[i] += x
        for i in range(TOGETHER):    # hot 2
            value[i] = own[i] + mass[i] * log[floating](others[i])
            mass[i] = mass[i] / others[i]
        if gradient != NULL:
            for i in range(n):
                for c in range(k):
                    gradient[i * k + c] = (e[c * TOGETHER + i] * mass[i] - q[c * TOGETHER + i]) * factor[i]


cdef inline double exponents(Py_ssize_t n, const floating* z, floating shift, Py_ssize_t label, floating* e) noexcept nogil:
    """The sum of exp(z - shift) of all n but label. They go to e, which may be z, or NULL."""
    cdef floating[LANES] x
    cdef floating[LANES] few
    cdef double[LANES] a
    cdef double[LANES] r
    cdef double t
    cdef floating[PIECE] piece
    cdef floating[LANES] last       # the numbers left over, filled up with nothing
    cdef floating* to = piece
    cdef Py_ssize_t b, i, m, at = 0, whole = n // LANES * LANES
    for i in range(LANES):
        a[i] = 0
        r[i] = 0
    while at < n:
        m = min(<Py_ssize_t>PIECE, whole - at)
        if e != NULL:
            to = e + at
        if m == 0:
            m = LANES
            for i in range(LANES):
                last[i] = z[i] if i < n - whole else -<floating>INF
            z = to = last
        for i in range(LANES):
            few[i] = 0
        for b in range(m // LANES):
            for i in range(LANES):    # hot
                x[i] = exp_down[floating](z[b * LANES + i] - shift)
                few[i] += x[i]
            for i in range(LANES):
                to[b * LANES + i] = x[i]
        if at <= label < at + m:
            # what is left without it is its distance from certainty, in full precision
            i = label % LANES
            few[i] = 0
            for b in range(m // LANES):
                if at + b * LANES + i != label:
                    few[i] += to[b * LANES + i]
        for i in range(LANES):    # hot
            t = a[i] + <double>few[i]
            r[i] += <double>few[i] - (t - a[i])
            a[i] = t
        z += m
        at += m
    if e != NULL:
        for i in range(n - whole):
            e[whole + i] = last[i]
    return lane_sum[double](a) + lane_sum[double](r)


cdef inline floating wanted(const target_t* y, const double* row, floating base, Py_ssize_t i) noexcept nogil:
    """What class i should have, but for the class itself."""
    if target_t is soft_t:
        return base if row == NULL else base * <floating>row[i]
    elif target_t is int64_t:
        return 0
    else:
        return <floating>y[i]


cdef inline void softmax_row(const softmax_t* s, Py_ssize_t k, const floating* z, const target_t* y, floating factor,
                             double* own, double* others, double* mass, floating* gradient) noexcept nogil:
    """One row of many classes. Its sums are kept in double: others, of the exponentials; mass, of the probabilities;
    own, of the scores times their probabilities, or the score of the class itself."""
    cdef double[BLOCK] v
    cdef floating[TOGETHER] tops
    cdef floating top = -<floating>INF, zero = 0, base = 0, share, x
    cdef const double* row = NULL
    cdef Py_ssize_t i, m, b, start, label = k + LANES
    for i in range(TOGETHER):
        tops[i] = top
    for b in range((k + TOGETHER - 1) // TOGETHER):
        # the last ones overlap those before
        start = min(b * TOGETHER, k - TOGETHER)
        for i in range(TOGETHER):    # hot 6
            tops[i] = tops[i] if z[start + i] < tops[i] else z[start + i]
    for i in range(TOGETHER):
        top = top if tops[i] < top else tops[i]
    if target_t is int64_t:
        label = y[0]
        x = z[label]
        top = shift_of[floating](x, top)
        own[0] = <double>(x - top)
    else:
        if target_t is soft_t:
            base, row = <floating>others_of(s, k, y.label), row_of(s, k, y.label)
            mass[0] = s.own
            own[0] = s.own * <double>(z[y.label] - top) if s.own != 0 else 0
        start = 0
        while start < k:
            m = min(<Py_ssize_t>BLOCK, k - start)
            for i in range(m):    # hot 2
                x = z[start + i] - top
                # a class without probability adds nothing, also at minus infinity
                x = zero if wanted[target_t, floating](y, row, base, start + i) == zero else x
                v[i] = <double>wanted[target_t, floating](y, row, base, start + i) * <double>x
            own[0] += block_sum(v, m)
            for i in range(m):
                v[i] = <double>wanted[target_t, floating](y, row, base, start + i)
            mass[0] += block_sum(v, m)
            start += BLOCK
    others[0] = exponents[floating](k, z, top, label, gradient)
    if gradient == NULL:
        return
    if target_t is int64_t:
        x = exp_down[floating](<floating>own[0])
        share = <floating>(<double>factor / (<double>x + others[0]))
        for i in range(k):    # hot
            gradient[i] *= share
        gradient[label] = -<floating>others[0] * share
    else:
        share = <floating>(mass[0] / others[0])
        for i in range(k):    # hot 2
            gradient[i] = (gradient[i] * share - wanted[target_t, floating](y, row, base, i)) * factor
        if target_t is soft_t:
            gradient[y.label] -= <floating>s.own * factor


cdef inline void softmax_rows(const softmax_t* s, Py_ssize_t n, Py_ssize_t k, const floating* z, const target_t* y,
                              const floating* factor, floating* value, floating* gradient) noexcept nogil:
    """Up to TOGETHER rows of many classes, row by row; their logarithms together."""
    cdef double[TOGETHER] own
    cdef double[TOGETHER] others
    cdef double[TOGETHER] mass
    cdef Py_ssize_t i
    for i in range(TOGETHER):
        own[i] = 0
        others[i] = 0
        mass[i] = 0
    for i in range(n):
        softmax_row[floating, target_t](
            s, k, z + i * k, y + (i if target_t is int64_t or target_t is soft_t else i * k), factor[i], own + i, others + i,
            mass + i,
            NULL if gradient == NULL else gradient + i * k)
    for i in range(TOGETHER):    # hot 4
        if target_t is int64_t:
            value[i] = <floating>(log1p[double](others[i] + (exp_down[double](own[i]) - 1)) - own[i])
        else:
            value[i] = <floating>(mass[i] * log[double](others[i]) - own[i])


cdef inline void softmax(const void* constants, Py_ssize_t n, Py_ssize_t k, const floating* z, const target_t* y,
                         const floating* factor, floating* value, floating* gradient) noexcept nogil:
    """What abi calls rows_f64 and rows_f32, for labels or probabilities."""
    cdef Py_ssize_t i, j, m, start = 0
    cdef floating[TOGETHER] values
    cdef const floating* at
    cdef const target_t* target
    cdef floating* to = NULL
    cdef floating zero = 0
    while start < n:
        m = min(<Py_ssize_t>TOGETHER, n - start)
        at = z + start * k
        target = y + (start if target_t is int64_t or target_t is soft_t else start * k)
        if gradient != NULL:
            to = gradient + start * k
        if k > FEW:
            softmax_rows[floating, target_t](<const softmax_t*>constants, m, k, at, target, factor + start, values, to)
        else:
            softmax_lanes[floating, target_t](<const softmax_t*>constants, m, k, at, target, factor + start, values, to)
        for i in range(m):
            value[start + i] = values[i]
            # a row of weight 0 is no row, whatever it holds
            if gradient != NULL and factor[start + i] == zero:
                for j in range(k):
                    to[i * k + j] = 0
        start += TOGETHER

cdef struct focal_rows_t:
    double gamma
    const double* weights       # of the classes, or NULL


cdef inline void focal_rows(const void* constants, Py_ssize_t n, Py_ssize_t k, const floating* z, const int64_t* y,
                            const floating* factor, floating* value, floating* gradient) noexcept nogil:
    """Softmax's own rows, and what each is multiplied by: weight * q**gamma of the value, where p and q are the
    probabilities of the class itself and of the others; and of the gradient weight * q**gamma * (gamma * p * value + q) / q."""
    cdef const focal_rows_t* c = <const focal_rows_t*>constants
    cdef floating[TOGETHER] ones
    cdef floating* to = NULL
    cdef floating zero = 0
    cdef double surprise, p, q, weight, slope
    cdef Py_ssize_t i, j, m, start = 0
    for i in range(TOGETHER):
        ones[i] = 1
    while start < n:
        m = min(<Py_ssize_t>TOGETHER, n - start)
        if gradient != NULL:
            to = gradient + start * k
        softmax[floating, int64_t](NULL, m, k, z + start * k, y + start, ones, value + start, to)
        for i in range(m):
            surprise = <double>value[start + i]
            p, q = exp_down[double](-surprise), -expm1(-surprise)
            weight = pow(q, c.gamma)
            if c.weights != NULL:
                weight *= c.weights[y[start + i]]
            value[start + i] = <floating>(weight * surprise if weight != 0 else 0 * p)
            if gradient != NULL:
                # no other class is left where q is 0
                slope = 0 if q == 0 else weight * (c.gamma * (p * surprise if p > 0 else 0) + q) / q
                if factor[start + i] == zero:
                    for j in range(k):
                        to[i * k + j] = 0
                else:
                    for j in range(k):
                        to[i * k + j] *= <floating>slope * factor[start + i]
        start += TOGETHER


cdef inline void hinge_rows(const void* constants, Py_ssize_t n, Py_ssize_t k, const floating* z, const int64_t* y,
                            const floating* factor, floating* value, floating* gradient) noexcept nogil:
    """How far the best of the other classes, the first of them, is from a margin of 1 below the class itself."""
    cdef floating best, margin, zero = 0, one = 1, nothing
    cdef Py_ssize_t c, i, label, rival
    for i in range(n):
        best, rival, label, nothing = -<floating>INF, -1, y[i], 0
        for c in range(k):
            # 0, or NaN if a score is
            nothing += zero if z[i * k + c] == z[i * k + c] else z[i * k + c]
            if c != label and z[i * k + c] > best:
                best, rival = z[i * k + c], c
        margin = one + (best - z[i * k + label]) + nothing
        value[i] = zero if margin <= zero or rival < 0 and nothing == zero else margin
        if gradient != NULL:
            for c in range(k):
                gradient[i * k + c] = zero if factor[i] == zero else nothing
            if margin > zero and rival >= 0 and factor[i] != zero:
                gradient[i * k + rival] = factor[i]
                gradient[i * k + label] = -factor[i]

# ---- pairs of a row's outputs, which are then the documents of a query

cdef struct pairs_t:
    const double* discounts     # by place, falling; NULL: each pair counts 1
    Py_ssize_t top              # places that have one


cdef inline void pairs_of(const pairs_t* c, Py_ssize_t i, Py_ssize_t start, Py_ssize_t m, const floating* z, const floating* y,
                          floating zi, floating yi, floating* v, floating* pull) noexcept nogil:
    """Output i, with score zi and target yi, against up to BLOCK others from start on: what each pair where it should be
    the higher costs, and pulls."""
    cdef floating zero = 0, one = 1, d, e, s, here = 0
    cdef floating[BLOCK] weight
    cdef Py_ssize_t j
    if c.discounts != NULL:
        here = <floating>c.discounts[i]
        for j in range(m):    # hot
            weight[j] = fabs[floating](here - <floating>c.discounts[start + j]) * (yi - y[j])
    else:
        for j in range(m):
            weight[j] = one
    for j in range(m):    # hot
        d = zi - z[j]
        e = exp_down[floating](-fabs[floating](d))
        s = weight[j] if y[j] < yi else zero
        e = zero if s == zero else e
        d = zero if s == zero else d
        v[j] = s * (log1p_unit[floating](e) + (-d if d < zero else zero))
        pull[j] = s * (e if d > zero else one) / (one + e)


cdef inline void pairs(const void* constants, Py_ssize_t n, Py_ssize_t k, const floating* z, const floating* y,
                       const floating* factor, floating* value, floating* gradient) noexcept nogil:
    """log(1 + exp(z_j - z_i)) of all pairs with y_i > y_j: their mean, or the sum of |D_i - D_j| (y_i - y_j) times it, for
    outputs in falling order, whose discounts D stand by place."""
    cdef const pairs_t* c = <const pairs_t*>constants
    cdef floating[BLOCK] v
    cdef floating[BLOCK] pull
    cdef double[BLOCK] x
    cdef double[BLOCK] w
    cdef double total, slope
    cdef floating nothing, zero = 0, share
    cdef Py_ssize_t r, i, j, m, start, stop, count
    for r in range(n):
        total, count, nothing = 0, 0, 0
        if gradient != NULL:
            for i in range(k):
                gradient[i] = 0
        for i in range(k):
            # 0, or NaN if a score is
            nothing += zero if z[i] == z[i] else z[i]
            # two that have no discount cost nothing
            stop = k if c.discounts == NULL or i < c.top else min(k, c.top)
            slope, start = 0, 0
            while start < stop:
                m = min(<Py_ssize_t>BLOCK, stop - start)
                pairs_of[floating](c, i, start, m, z + start, y + start, z[i], y[i], v, pull)
                for j in range(m):    # hot
                    x[j] = <double>v[j]
                    w[j] = <double>pull[j]
                total += block_sum(x, m)
                slope += block_sum(w, m)
                if c.discounts == NULL:
                    for j in range(m):    # hot 1
                        count += 1 if y[start + j] < y[i] else 0
                if gradient != NULL:
                    for j in range(m):    # hot
                        gradient[start + j] += pull[j]
                start += BLOCK
            if gradient != NULL:
                gradient[i] -= <floating>slope
        if c.discounts == NULL and count != 0:
            total /= <double>count
        value[r] = <floating>total + nothing
        if gradient != NULL:
            share = factor[r] if c.discounts != NULL or count == 0 else <floating>(<double>factor[r] / <double>count)
            for i in range(k):
                gradient[i] = zero if factor[r] == zero else gradient[i] * share + nothing
            gradient += k
        z += k
        y += k

# ---- somebody else's block function, by its address

cdef struct foreign_t:
    size_t in_double
    size_t in_float         # 0: there is none

ctypedef void (*foreign_f64)(Py_ssize_t n, const double* z, const double* y, double* value, double* gradient) noexcept nogil
ctypedef void (*foreign_f32)(Py_ssize_t n, const float* z, const float* y, float* value, float* gradient) noexcept nogil


cdef inline void foreign(const foreign_t* c, Py_ssize_t n, const floating* z, const floating* y, floating* value,
                         floating* gradient) noexcept nogil:
    """What abi calls block_f64 and block_f32."""
    cdef double[4 * BLOCK] room
    cdef Py_ssize_t i
    if floating is double:
        (<foreign_f64>c.in_double)(n, z, y, value, gradient)
    elif c.in_float != 0:
        (<foreign_f32>c.in_float)(n, z, y, value, gradient)
    else:
        for i in range(n):    # hot 1
            room[i] = <double>z[i]
            room[BLOCK + i] = <double>y[i]
        (<foreign_f64>c.in_double)(n, room, room + BLOCK, room + 2 * BLOCK, room + 3 * BLOCK)
        for i in range(n):    # hot 1
            value[i] = <floating>room[2 * BLOCK + i]
            gradient[i] = <floating>room[3 * BLOCK + i]

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
            one[floating](loss, m, z + start, <const floating*>y + start, value + start, g)
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


cdef inline void add_weighed(Py_ssize_t n, const floating* value, const floating* weight, lanes_t* sums) noexcept nogil:
    """total, of one block, to lanes: with weights of 1 the same bits as flat."""
    cdef double[BLOCK] v
    cdef floating zero = 0, x
    cdef double t
    cdef Py_ssize_t b, i, filled = (n + LANES - 1) // LANES * LANES
    for i in range(n):    # hot
        x = value[i]
        x = zero if weight[i] == zero else x
        v[i] = <double>x * <double>weight[i]
    for i in range(n, filled):
        v[i] = 0
    for b in range(filled // LANES):
        for i in range(LANES):    # hot
            t = sums.total[i] + v[b * LANES + i]
            if floating is double:
                sums.rest[i] += v[b * LANES + i] - (t - sums.total[i])
            sums.total[i] = t
