# Optimizers' updates in place, header only: one function a family, each one pass over parameter, gradient and state.
#
# Design. prepare_* turns the hyperparameters of one update into constants, once, and returns the weight decay that joins the
# gradient; the family's function then serves every array. It knows nothing of what is folded into a step: a block of the
# gradient as the moments see it (`seen`) comes to it instead of the gradient, and where asked it leaves the gains behind: how
# far a constant gradient of 1 moves a coordinate in one step. l1 times the gain is the threshold of the closing L1 step
# (`drawn`). What gains are made of is stored in any case: a block's room stays in the first cache, while a second root
# would cost as much as the update. Every operation is rounded on its own, as NumPy's are, so that each update equals its twin
# to the bit.

from cython cimport floating
from libc.math cimport pow
from libc.stdint cimport int64_t
from libc.string cimport memset

from lossopt._kernels.abi cimport folded_t
from lossopt._kernels.math cimport BLOCK, add, block_sum, fabs, smallest, sqrt, sum_t
from lossopt._kernels.penalties cimport soft


cdef inline floating floor_of(floating eps, double reach) noexcept nogil:
    """eps, or what keeps every denominator from zero, and reach / it a number: a coordinate that never had a gradient
    stays where it is, whatever eps."""
    return max(eps, smallest[floating](0) * <floating>(1 + reach))


cdef inline floating kept(floating x) noexcept nogil:
    """A mean of what is past, as it is kept: zero below the smallest normal number, where rounding would hold it for good,
    and where each operation takes some processors a hundred cycles."""
    cdef floating zero = 0
    return zero if fabs[floating](x) < smallest[floating](x) else x


cdef inline void seen(const folded_t* f, Py_ssize_t n, const floating* w, const floating* g, const floating* factors,
                      floating* out) noexcept nogil:
    """The gradient as the moments see it. factors: of an open step, else NULL."""
    cdef floating scale = <floating>f.scale, clip = <floating>f.clip, decay = <floating>f.decay, twice = <floating>(2 * f.l2), x
    cdef Py_ssize_t i
    for i in range(n):    # hot
        x = g[i] * scale
        x = clip if x > clip else x
        out[i] = -clip if x < -clip else x
    if factors == NULL:
        for i in range(n):    # hot
            out[i] = out[i] + decay * w[i]
    else:
        for i in range(n):    # hot
            out[i] = out[i] + (decay + twice * factors[i]) * w[i]


cdef inline void drawn(Py_ssize_t n, floating* w, floating l1, const floating* gains) noexcept nogil:
    """The closing L1 step."""
    cdef Py_ssize_t i
    for i in range(n):    # hot
        w[i] = soft[floating](w[i], l1 * gains[i])

# ---- SGD: hyper = lr, momentum, dampening, weight_decay, nesterov

cdef struct sgd_t:
    double lr
    double momentum
    double fresh            # what the new gradient counts in the velocity
    double gain
    double ahead            # Nesterov: how much of the velocity is added to the gradient, and whether
    double direct


cdef inline double prepare_momentum(const double* hyper, int64_t t, double* constants) noexcept nogil:
    cdef sgd_t* c = <sgd_t*>constants
    c.lr = hyper[0]
    c.momentum = hyper[1]
    # the first velocity is the gradient itself
    c.fresh = 1 if t == 1 else 1 - hyper[2]
    c.gain = hyper[0] * (1 - hyper[2]) / (1 - hyper[1])
    c.direct = 1 if hyper[4] else 0
    c.ahead = hyper[1] if hyper[4] else 1
    return hyper[3]


cdef inline double prepare_plain(const double* hyper, int64_t t, double* constants) noexcept nogil:
    # without momentum there is no velocity to dampen
    prepare_momentum(hyper, t, constants)
    (<sgd_t*>constants).gain = hyper[0]
    return hyper[3]


cdef inline bint rest_plain(const folded_t* folded, const double* constants, double* keep, double* take) noexcept nogil:
    cdef sgd_t* c = <sgd_t*>constants
    keep[0], take[0] = 1 - c.lr * folded.decay, folded.l1 * c.gain
    return True


cdef inline void sgd(const double* constants, Py_ssize_t n, floating* w, const floating* g, floating** state,
                     floating* gains, bint asked) noexcept nogil:
    cdef sgd_t* c = <sgd_t*>constants
    cdef floating lr = <floating>c.lr, gain = <floating>c.gain
    cdef Py_ssize_t i
    for i in range(n):    # hot
        w[i] = w[i] - lr * g[i]
    if asked:
        for i in range(n):
            gains[i] = gain


cdef inline void momentum(const double* constants, Py_ssize_t n, floating* w, const floating* g, floating** state,
                          floating* gains, bint asked) noexcept nogil:
    cdef sgd_t* c = <sgd_t*>constants
    cdef floating lr = <floating>c.lr, gain = <floating>c.gain
    cdef floating beta = <floating>c.momentum, fresh = <floating>c.fresh
    cdef floating ahead = <floating>c.ahead, direct = <floating>c.direct
    cdef floating* velocity = state[0]
    cdef floating x, v
    cdef Py_ssize_t i
    for i in range(n):    # hot
        x = g[i]
        v = kept[floating](beta * velocity[i] + fresh * x)
        velocity[i] = v
        w[i] = w[i] - lr * (direct * x + ahead * v)
    if asked:
        for i in range(n):
            gains[i] = gain

# ---- Adam, AdamW: hyper = lr, beta1, beta2, eps, weight_decay, decoupled

# In cache Adam waits for the divider, which makes the square roots as well. Where there are vectors of eight it makes
# nothing else: multiply-add makes the quotients, correctly rounded all the same. Markstein's last step errs only where
# the quotient all but lies between two numbers, which takes, for a reciprocal that is off by half a unit in the last
# place and 2**-30 of that, a divisor within 2**-31 of a power of two. Such divisors, and operands whose remainders could
# leave the range, go to the divider. The roots of one pair of vectors are under way while another pair is divided.
cdef extern from *:
    """
    #if defined(__AVX512F__)
    #include <float.h>
    #include <immintrin.h>
    #define LOSSOPT_SET _mm512_set1_pd
    #define LOSSOPT_SET64(x) _mm512_set1_epi64((long long)(x))
    static inline __m512d lossopt_quotient(__m512d a, __m512d b) {
        const __m512d one = LOSSOPT_SET(1);
        __m512d y = _mm512_rcp14_pd(b), e = _mm512_fnmadd_pd(b, y, one), q, r;
        y = _mm512_fmadd_pd(_mm512_fmadd_pd(e, e, e), y, y);
        y = _mm512_fmadd_pd(_mm512_fnmadd_pd(b, y, one), y, y);
        q = _mm512_mul_pd(a, y);
        r = _mm512_fnmadd_pd(b, q, a);
        /* where nothing is left, q keeps its sign of zero */
        return _mm512_mask3_fmadd_pd(r, y, q, _mm512_cmp_pd_mask(r, _mm512_setzero_pd(), _CMP_NEQ_UQ));
    }
    static inline __mmask8 lossopt_unfit(__m512d a, __m512d b) {
        const uint64_t least = 0x26F0000000000000, range = 0x3200000000000000, ones = 0x000FFFFFFFE00000;  /* 2**+-400 */
        const __m512i y = _mm512_castpd_si512(b);
        const __m512i x = _mm512_and_si512(_mm512_castpd_si512(a), LOSSOPT_SET64(0x7FFFFFFFFFFFFFFF));
        return _mm512_cmpgt_epu64_mask(_mm512_sub_epi64(y, LOSSOPT_SET64(least)), LOSSOPT_SET64(range))
            | _mm512_cmpeq_epi64_mask(_mm512_and_si512(y, LOSSOPT_SET64(ones)), LOSSOPT_SET64(ones))
            | _mm512_mask_cmpgt_epu64_mask(_mm512_test_epi64_mask(x, x), _mm512_sub_epi64(x, LOSSOPT_SET64(least)),
                                           LOSSOPT_SET64(range));
    }
    static inline __m512d lossopt_kept(__m512d x) {
        return _mm512_maskz_mov_pd(_mm512_cmp_pd_mask(_mm512_abs_pd(x), LOSSOPT_SET(DBL_MIN), _CMP_NLT_UQ), x);
    }
    static inline void lossopt_moments(const double* c, const double* g, double* mean, double* square, __m512d* a,
                                       __m512d* b) {
        const __m512d x = _mm512_loadu_pd(g);
        const __m512d m = lossopt_kept(_mm512_add_pd(_mm512_mul_pd(LOSSOPT_SET(c[0]), _mm512_loadu_pd(mean)),
                                                     _mm512_mul_pd(LOSSOPT_SET(c[1]), x)));
        const __m512d v = lossopt_kept(_mm512_add_pd(_mm512_mul_pd(LOSSOPT_SET(c[2]), _mm512_loadu_pd(square)),
                                                     _mm512_mul_pd(_mm512_mul_pd(LOSSOPT_SET(c[3]), x), x)));
        _mm512_storeu_pd(mean, m);
        _mm512_storeu_pd(square, v);
        *a = _mm512_mul_pd(m, LOSSOPT_SET(c[4]));
        *b = _mm512_add_pd(_mm512_mul_pd(_mm512_sqrt_pd(v), LOSSOPT_SET(c[5])), LOSSOPT_SET(c[6]));
    }
    /* as many of the n numbers as there are whole pairs of vectors */
    static Py_ssize_t lossopt_adam(Py_ssize_t n, const double* c, double* w, const double* g, double* mean, double* square,
                                   double* scales) {
        const Py_ssize_t whole = n - n % 16;
        const __m512d keep = LOSSOPT_SET(c[7]);
        Py_ssize_t i;
        __m512d a0, b0, a1, b1, p0, d0, p1, d1, q0, q1;
        if (!whole) return 0;
        lossopt_moments(c, g, mean, square, &p0, &d0);
        lossopt_moments(c, g + 8, mean + 8, square + 8, &p1, &d1);
        for (i = 0; i < whole; i += 16) {
            a0 = p0, b0 = d0, a1 = p1, b1 = d1;
            if (i + 16 < whole) {
                lossopt_moments(c, g + i + 16, mean + i + 16, square + i + 16, &p0, &d0);
                lossopt_moments(c, g + i + 24, mean + i + 24, square + i + 24, &p1, &d1);
            }
            q0 = lossopt_quotient(a0, b0);
            q1 = lossopt_quotient(a1, b1);
            if (lossopt_unfit(a0, b0) | lossopt_unfit(a1, b1)) q0 = _mm512_div_pd(a0, b0), q1 = _mm512_div_pd(a1, b1);
            _mm512_storeu_pd(scales + i, b0);
            _mm512_storeu_pd(scales + i + 8, b1);
            _mm512_storeu_pd(w + i, _mm512_sub_pd(_mm512_mul_pd(_mm512_loadu_pd(w + i), keep), q0));
            _mm512_storeu_pd(w + i + 8, _mm512_sub_pd(_mm512_mul_pd(_mm512_loadu_pd(w + i + 8), keep), q1));
        }
        return whole;
    }
    #else
    #define lossopt_adam(n, c, w, g, mean, square, scales) ((Py_ssize_t)0)
    #endif
    """
    Py_ssize_t adam_f64 "lossopt_adam"(Py_ssize_t n, const double* c, double* w, const double* g, double* mean,
                                       double* square, double* scales) noexcept nogil


cdef struct adam_t:
    double lr
    double beta1
    double beta2
    double eps
    double keep             # AdamW: what is left of the parameter before the step
    double step             # lr / (1 - beta1**t)
    double correction       # 1 / sqrt(1 - beta2**t)


cdef inline double prepare_adam(const double* hyper, int64_t t, double* constants) noexcept nogil:
    cdef adam_t* c = <adam_t*>constants
    c.lr = hyper[0]
    c.beta1 = hyper[1]
    c.beta2 = hyper[2]
    c.eps = hyper[3]
    c.keep = 1 - hyper[0] * hyper[4] if hyper[5] else 1
    c.step = hyper[0] / (1 - pow(hyper[1], <double>t))
    c.correction = 1 / sqrt[double](1 - pow(hyper[2], <double>t))
    return 0 if hyper[5] else hyper[4]


cdef struct amsgrad_t:      # with the largest second moment there was
    adam_t c

ctypedef fused adams_t:
    adam_t
    amsgrad_t


cdef inline void adam(const adams_t* constants, Py_ssize_t n, floating* w, const floating* g, floating** state,
                      floating* gains, bint asked) noexcept nogil:
    cdef const adam_t* c = <const adam_t*>constants
    cdef floating keep = <floating>c.keep, step = <floating>c.step, correction = <floating>c.correction
    cdef floating beta1 = <floating>c.beta1, beta2 = <floating>c.beta2
    cdef floating fresh1 = <floating>(1 - c.beta1), fresh2 = <floating>(1 - c.beta2)
    cdef floating eps = floor_of[floating](<floating>c.eps, c.lr), lr = <floating>c.lr
    cdef floating* mean = state[0]
    cdef floating* square = state[1]
    cdef floating* largest = state[2] if adams_t is amsgrad_t else NULL
    cdef floating x, m, v, scale
    cdef Py_ssize_t i, done = 0
    if adams_t is adam_t and floating is double:
        done = adam_f64(n, [beta1, fresh1, beta2, fresh2, step, correction, eps, keep], w, g, mean, square, gains)
    for i in range(done, n):    # hot
        x = g[i]
        m = kept[floating](beta1 * mean[i] + fresh1 * x)
        v = kept[floating](beta2 * square[i] + fresh2 * x * x)
        mean[i] = m
        square[i] = v
        if adams_t is amsgrad_t:
            # NaN is not below
            v = largest[i] if v < largest[i] else v
            largest[i] = v
        scale = sqrt[floating](v) * correction + eps
        w[i] = w[i] * keep - m * step / scale
        gains[i] = scale
    if asked:
        for i in range(n):    # hot
            gains[i] = lr / gains[i]

# ---- RMSprop: hyper = lr, alpha, eps, weight_decay, momentum

cdef struct rms_t:
    double lr
    double alpha
    double eps
    double momentum

cdef struct rms_momentum_t:
    rms_t c

cdef struct rms_centered_t:
    rms_t c

cdef struct rms_both_t:     # centered, with momentum
    rms_t c

ctypedef fused rms_any_t:
    rms_t
    rms_momentum_t
    rms_centered_t
    rms_both_t


cdef inline double prepare_rms(const double* hyper, int64_t t, double* constants) noexcept nogil:
    cdef rms_t* c = <rms_t*>constants
    c.lr, c.alpha, c.eps, c.momentum = hyper[0], hyper[1], hyper[2], hyper[4]
    return hyper[3]


cdef inline void rmsprop(const rms_any_t* constants, Py_ssize_t n, floating* w, const floating* g, floating** state,
                         floating* gains, bint asked) noexcept nogil:
    cdef const rms_t* c = <const rms_t*>constants
    cdef floating lr = <floating>c.lr, alpha = <floating>c.alpha, fresh = <floating>(1 - c.alpha), beta = <floating>c.momentum
    cdef floating eps = floor_of[floating](<floating>c.eps, c.lr / (1 - c.momentum))
    cdef floating reach = <floating>(c.lr / (1 - c.momentum))
    cdef floating* square = state[0]
    cdef floating* buffer = state[1] if rms_any_t is rms_momentum_t or rms_any_t is rms_both_t else NULL
    cdef floating* mean = state[2] if rms_any_t is rms_both_t else state[1] if rms_any_t is rms_centered_t else NULL
    cdef floating x, v, m, scale, zero = 0
    cdef Py_ssize_t i
    for i in range(n):    # hot
        x = g[i]
        v = kept[floating](alpha * square[i] + fresh * x * x)
        square[i] = v
        if rms_any_t is rms_centered_t or rms_any_t is rms_both_t:
            m = kept[floating](alpha * mean[i] + fresh * x)
            mean[i] = m
            # a variance that rounding made negative is none
            v = v - m * m
            v = zero if v < zero else v
        scale = sqrt[floating](v) + eps
        if rms_any_t is rms_momentum_t or rms_any_t is rms_both_t:
            m = kept[floating](beta * buffer[i] + x / scale)
            buffer[i] = m
        else:
            m = x / scale
        w[i] = w[i] - lr * m
        gains[i] = scale
    if asked:
        for i in range(n):    # hot
            gains[i] = reach / gains[i]

# ---- Adagrad: hyper = lr, lr_decay, weight_decay, eps

cdef struct adagrad_t:
    double lr
    double eps


cdef inline double prepare_adagrad(const double* hyper, int64_t t, double* constants) noexcept nogil:
    cdef adagrad_t* c = <adagrad_t*>constants
    c.lr, c.eps = hyper[0] / (1 + <double>(t - 1) * hyper[1]), hyper[3]
    return hyper[2]


cdef inline bint rest_adagrad(const folded_t* folded, const double* constants, double* keep, double* take) noexcept nogil:
    # a decay would join the sum of squares
    keep[0], take[0] = 1, folded.l1 * (<adagrad_t*>constants).lr
    return folded.decay == 0


cdef inline double pace_adagrad(const double* constants, floating** state, Py_ssize_t i) noexcept nogil:
    cdef adagrad_t* c = <adagrad_t*>constants
    return 1 / <double>(sqrt[floating](state[0][i]) + floor_of[floating](<floating>c.eps, c.lr))


cdef inline void adagrad(const double* constants, Py_ssize_t n, floating* w, const floating* g, floating** state,
                         floating* gains, bint asked) noexcept nogil:
    cdef adagrad_t* c = <adagrad_t*>constants
    cdef floating lr = <floating>c.lr, eps = floor_of[floating](<floating>c.eps, c.lr)
    cdef floating* total = state[0]
    cdef floating x, v, scale
    cdef Py_ssize_t i
    for i in range(n):    # hot
        x = g[i]
        v = total[i] + x * x
        total[i] = v
        scale = sqrt[floating](v) + eps
        w[i] = w[i] - lr * x / scale
        gains[i] = scale
    if asked:
        for i in range(n):    # hot
            gains[i] = lr / gains[i]

# ---- Adadelta: hyper = lr, rho, eps, weight_decay

cdef struct adadelta_t:
    double lr
    double rho
    double eps


cdef inline double prepare_adadelta(const double* hyper, int64_t t, double* constants) noexcept nogil:
    cdef adadelta_t* c = <adadelta_t*>constants
    c.lr, c.rho, c.eps = hyper[0], hyper[1], hyper[2]
    return hyper[3]


cdef inline void adadelta(const double* constants, Py_ssize_t n, floating* w, const floating* g, floating** state,
                          floating* gains, bint asked) noexcept nogil:
    cdef adadelta_t* c = <adadelta_t*>constants
    cdef floating lr = <floating>c.lr, rho = <floating>c.rho, fresh = <floating>(1 - c.rho)
    cdef floating eps = max(<floating>c.eps, smallest[floating](0))
    cdef floating* square = state[0]
    cdef floating* moved = state[1]
    cdef floating x, v, ratio, delta
    cdef Py_ssize_t i
    for i in range(n):    # hot
        x = g[i]
        v = kept[floating](rho * square[i] + fresh * x * x)
        square[i] = v
        ratio = sqrt[floating](moved[i] + eps) / sqrt[floating](v + eps)
        delta = ratio * x
        moved[i] = kept[floating](rho * moved[i] + fresh * delta * delta)
        w[i] = w[i] - lr * delta
        gains[i] = ratio
    if asked:
        for i in range(n):    # hot
            gains[i] = lr * gains[i]

# ---- Adamax: hyper = lr, beta1, beta2, eps, weight_decay

cdef inline double prepare_adamax(const double* hyper, int64_t t, double* constants) noexcept nogil:
    cdef adam_t* c = <adam_t*>constants
    c.lr, c.beta1, c.beta2, c.eps = hyper[0], hyper[1], hyper[2], hyper[3]
    c.step = hyper[0] / (1 - pow(hyper[1], <double>t))
    return hyper[4]


cdef inline void adamax(const double* constants, Py_ssize_t n, floating* w, const floating* g, floating** state,
                        floating* gains, bint asked) noexcept nogil:
    cdef adam_t* c = <adam_t*>constants
    cdef floating step = <floating>c.step, lr = <floating>c.lr
    cdef floating beta1 = <floating>c.beta1, beta2 = <floating>c.beta2, fresh = <floating>(1 - c.beta1)
    cdef floating eps = floor_of[floating](<floating>c.eps, c.lr)
    cdef floating* mean = state[0]
    cdef floating* largest = state[1]
    cdef floating x, m, v, size
    cdef Py_ssize_t i
    for i in range(n):    # hot
        x = g[i]
        m = kept[floating](beta1 * mean[i] + fresh * x)
        mean[i] = m
        size = fabs[floating](x) + eps
        v = beta2 * largest[i]
        # NaN is not below
        v = v if size < v else size
        largest[i] = v
        w[i] = w[i] - step * m / v
        gains[i] = v
    if asked:
        for i in range(n):    # hot
            gains[i] = lr / gains[i]

# ---- NAdam: hyper = lr, beta1, beta2, eps, weight_decay, mu, the next mu, the product of all mu so far, decoupled

cdef struct nadam_t:
    double lr
    double beta1
    double beta2
    double eps
    double keep
    double direct           # lr times what the gradient and what its mean count
    double ahead
    double correction


cdef inline double prepare_nadam(const double* hyper, int64_t t, double* constants) noexcept nogil:
    cdef nadam_t* c = <nadam_t*>constants
    c.lr, c.beta1, c.beta2, c.eps = hyper[0], hyper[1], hyper[2], hyper[3]
    c.keep = 1 - hyper[0] * hyper[4] if hyper[8] else 1
    c.direct = hyper[0] * (1 - hyper[5]) / (1 - hyper[7])
    c.ahead = hyper[0] * hyper[6] / (1 - hyper[7] * hyper[6])
    c.correction = 1 / sqrt[double](1 - pow(hyper[2], <double>t))
    return 0 if hyper[8] else hyper[4]


cdef inline void nadam(const double* constants, Py_ssize_t n, floating* w, const floating* g, floating** state,
                       floating* gains, bint asked) noexcept nogil:
    cdef nadam_t* c = <nadam_t*>constants
    cdef floating direct = <floating>c.direct, ahead = <floating>c.ahead, correction = <floating>c.correction
    cdef floating keep = <floating>c.keep
    cdef floating beta1 = <floating>c.beta1, beta2 = <floating>c.beta2
    cdef floating fresh1 = <floating>(1 - c.beta1), fresh2 = <floating>(1 - c.beta2)
    cdef floating eps = floor_of[floating](<floating>c.eps, c.direct + c.ahead), reach = <floating>(c.direct + c.ahead)
    cdef floating* mean = state[0]
    cdef floating* square = state[1]
    cdef floating x, m, v, scale
    cdef Py_ssize_t i
    for i in range(n):    # hot
        x = g[i]
        m = kept[floating](beta1 * mean[i] + fresh1 * x)
        v = kept[floating](beta2 * square[i] + fresh2 * x * x)
        mean[i] = m
        square[i] = v
        scale = sqrt[floating](v) * correction + eps
        w[i] = w[i] * keep - (direct * x + ahead * m) / scale
        gains[i] = scale
    if asked:
        for i in range(n):    # hot
            gains[i] = reach / gains[i]

# ---- averages of parameters

cdef inline void toward(Py_ssize_t n, floating* a, const floating* w, double share) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):    # hot
        a[i] = a[i] + <floating>share * (w[i] - a[i])

# ---- RAdam: hyper = lr, beta1, beta2, eps, weight_decay, decoupled

cdef struct radam_t:
    double lr
    double beta1
    double beta2
    double eps
    double keep
    double step             # lr / (1 - beta1**t)
    double ratio            # of the rectified step, which divides by the root; else 0, and plain is 1
    double plain


cdef inline double prepare_radam(const double* hyper, int64_t t, double* constants) noexcept nogil:
    cdef radam_t* c = <radam_t*>constants
    cdef double power = pow(hyper[2], <double>t), most = 2 / (1 - hyper[2]) - 1
    cdef double length = most - 2 * <double>t * power / (1 - power)
    c.lr, c.beta1, c.beta2, c.eps = hyper[0], hyper[1], hyper[2], hyper[3]
    c.step = hyper[0] / (1 - pow(hyper[1], <double>t))
    c.keep = 1 - hyper[0] * hyper[4] if hyper[5] else 1
    c.ratio, c.plain = 0, 1
    if length > 5:
        c.plain = 0
        c.ratio = sqrt[double]((length - 4) * (length - 2) * most / ((most - 4) * (most - 2) * length)) * sqrt[double](1 - power)
    return 0 if hyper[5] else hyper[4]


cdef inline void radam(const double* constants, Py_ssize_t n, floating* w, const floating* g, floating** state,
                       floating* gains, bint asked) noexcept nogil:
    cdef radam_t* c = <radam_t*>constants
    cdef floating step = <floating>c.step, ratio = <floating>c.ratio, plain = <floating>c.plain, lr = <floating>c.lr
    cdef floating beta1 = <floating>c.beta1, beta2 = <floating>c.beta2, keep = <floating>c.keep
    cdef floating fresh1 = <floating>(1 - c.beta1), fresh2 = <floating>(1 - c.beta2)
    cdef floating eps = max(<floating>c.eps, smallest[floating](0))
    cdef floating* mean = state[0]
    cdef floating* square = state[1]
    cdef floating x, m, v, scale
    cdef Py_ssize_t i
    for i in range(n):    # hot
        x = g[i]
        m = kept[floating](beta1 * mean[i] + fresh1 * x)
        v = kept[floating](beta2 * square[i] + fresh2 * x * x)
        mean[i] = m
        square[i] = v
        scale = ratio / (sqrt[floating](v) + eps) + plain
        w[i] = w[i] * keep - step * m * scale
        gains[i] = scale
    if asked:
        for i in range(n):    # hot
            gains[i] = lr * gains[i]

# ---- Lion: hyper = lr, beta1, beta2, weight_decay

cdef struct lion_t:
    double lr
    double beta1
    double beta2
    double keep


cdef inline double prepare_lion(const double* hyper, int64_t t, double* constants) noexcept nogil:
    cdef lion_t* c = <lion_t*>constants
    c.lr, c.beta1, c.beta2, c.keep = hyper[0], hyper[1], hyper[2], 1 - hyper[0] * hyper[3]
    return 0


cdef inline void lion(const double* constants, Py_ssize_t n, floating* w, const floating* g, floating** state,
                      floating* gains, bint asked) noexcept nogil:
    cdef lion_t* c = <lion_t*>constants
    cdef floating lr = <floating>c.lr, keep = <floating>c.keep, zero = 0, one = 1
    cdef floating beta1 = <floating>c.beta1, beta2 = <floating>c.beta2
    cdef floating fresh1 = <floating>(1 - c.beta1), fresh2 = <floating>(1 - c.beta2)
    cdef floating* mean = state[0]
    cdef floating x, m, u
    cdef Py_ssize_t i
    for i in range(n):    # hot
        x = g[i]
        m = beta1 * mean[i] + fresh1 * x
        u = one if m > zero else -one
        # what is 0, or NaN, has no side
        u = u if fabs[floating](m) > zero else m
        mean[i] = kept[floating](beta2 * mean[i] + fresh2 * x)
        w[i] = w[i] * keep - lr * u
    if asked:
        # a sign has no metric
        memset(gains, 0, n * sizeof(floating))

# ---- FTRL: hyper = lr, lr_power, l1, l2, beta

cdef struct ftrl_t:         # lr_power is -1/2
    double lr
    double power
    double l1
    double l2
    double beta

cdef struct ftrl_power_t:
    ftrl_t c

ctypedef fused ftrls_t:
    ftrl_t
    ftrl_power_t


cdef inline double prepare_ftrl(const double* hyper, int64_t t, double* constants) noexcept nogil:
    cdef ftrl_t* c = <ftrl_t*>constants
    c.lr, c.power, c.l1, c.l2, c.beta = hyper[0], hyper[1], hyper[2], hyper[3], hyper[4]
    return 0


cdef inline bint rest_ftrl(const folded_t* folded, const double* constants, double* keep, double* take) noexcept nogil:
    keep[0], take[0] = 1, 0
    return folded.decay == 0 and folded.l1 == 0


cdef inline void ftrl(const ftrls_t* constants, Py_ssize_t n, floating* w, const floating* g, floating** state,
                      floating* gains, bint asked) noexcept nogil:
    # The paper's z is kept as q = z + metric * w, which is z held to +-l1: what the metric was before cancels, so that the
    # rate may change, and a penalty may move w.
    cdef const ftrl_t* c = <const ftrl_t*>constants
    cdef floating rate = <floating>(1 / c.lr if c.lr > 0 else 0)
    cdef floating l1 = <floating>c.l1, l2 = <floating>(2 * c.l2), beta = <floating>c.beta
    cdef floating* sums = state[0]
    cdef floating* rest = state[1]
    cdef floating x, v, q, z, root, metric, moved, zero = 0, one = 1, least = smallest[floating](0)
    cdef Py_ssize_t i
    if c.lr == 0:
        # nothing moves, and nothing is learned
        if asked:
            memset(gains, 0, n * sizeof(floating))
        return
    for i in range(n):    # hot 2
        x = g[i]
        v = sums[i] + x * x
        sums[i] = v
        if ftrls_t is ftrl_power_t:
            root = <floating>pow(v, -c.power)
        else:
            root = sqrt[floating](v)
        metric = max((beta + root) * rate + l2, least)
        q = rest[i]
        z = q + x - metric * w[i]
        moved = -soft[floating](z, l1) / metric + zero
        z = l1 if z > l1 else z
        z = -l1 if z < -l1 else z
        # what has no gradient rests
        z = q if x == zero else z
        moved = w[i] if x == zero else moved
        rest[i] = z
        w[i] = moved
        gains[i] = metric
    if asked:
        for i in range(n):    # hot 2
            gains[i] = one / gains[i]

# ---- LAMB: hyper = lr, beta1, beta2, eps, weight_decay

cdef struct lamb_t:
    double beta1
    double beta2
    double eps
    double first            # 1 / (1 - beta1**t)
    double correction       # 1 / sqrt(1 - beta2**t)
    double decay
    double lr
    double step             # lr times the trust ratio, of one array


cdef inline double prepare_lamb(const double* hyper, int64_t t, double* constants) noexcept nogil:
    cdef lamb_t* c = <lamb_t*>constants
    c.lr, c.beta1, c.beta2, c.eps, c.decay = hyper[0], hyper[1], hyper[2], hyper[3], hyper[4]
    c.first = 1 / (1 - pow(hyper[1], <double>t))
    c.correction = 1 / sqrt[double](1 - pow(hyper[2], <double>t))
    return 0


cdef inline floating lamb_way(const lamb_t* c, floating m, floating v, floating w) noexcept nogil:
    cdef floating eps = max(<floating>c.eps, smallest[floating](0))
    return m * <floating>c.first / (sqrt[floating](v) * <floating>c.correction + eps) + <floating>c.decay * w


cdef inline void lamb_measure(const folded_t* folded, double* constants, Py_ssize_t n, floating* w, const floating* g,
                              floating** state) noexcept nogil:
    """The moments, and the step from the lengths of an array and of the way that it would go."""
    cdef lamb_t* c = <lamb_t*>constants
    cdef floating beta1 = <floating>c.beta1, beta2 = <floating>c.beta2
    cdef floating fresh1 = <floating>(1 - c.beta1), fresh2 = <floating>(1 - c.beta2)
    cdef floating* mean = state[0]
    cdef floating* square = state[1]
    cdef floating[BLOCK] block
    cdef double[BLOCK] of_w
    cdef double[BLOCK] of_way
    cdef sum_t length, way
    cdef floating x, m, v
    cdef Py_ssize_t i, j, k, start = 0
    length.total = length.rest = way.total = way.rest = 0
    while start < n:
        k = min(<Py_ssize_t>BLOCK, n - start)
        seen[floating](folded, k, w + start, g + start, NULL, block)
        for j in range(k):    # hot
            i = start + j
            x = block[j]
            m = kept[floating](beta1 * mean[i] + fresh1 * x)
            v = kept[floating](beta2 * square[i] + fresh2 * x * x)
            mean[i] = m
            square[i] = v
            of_w[j] = <double>w[i] * <double>w[i]
            x = lamb_way[floating](c, m, v, w[i])
            of_way[j] = <double>x * <double>x
        add(&length, block_sum(of_w, k))
        add(&way, block_sum(of_way, k))
        start += BLOCK
    c.step = c.lr
    if length.total + length.rest != 0 and way.total + way.rest != 0:
        c.step = c.lr * (sqrt[double](length.total + length.rest) / sqrt[double](way.total + way.rest))


cdef inline void lamb(const double* constants, Py_ssize_t n, floating* w, const floating* g, floating** state,
                      floating* gains, bint asked) noexcept nogil:
    cdef lamb_t c = (<const lamb_t*>constants)[0]
    cdef floating step = <floating>c.step
    cdef floating* mean = state[0]
    cdef floating* square = state[1]
    cdef Py_ssize_t i
    for i in range(n):    # hot 2
        w[i] = w[i] - step * lamb_way[floating](&c, mean[i], square[i], w[i])
    if asked:
        # nor has the length of an array
        memset(gains, 0, n * sizeof(floating))
