# Linear predictor, loss and gradient in one pass over X, header only. A block of rows is read from memory once: its
# predictions and their derivatives stay in the first cache while its gradient is added up. Dense X, up to WIDE outputs;
# CSR is in csr.pxd.

from cython cimport floating
from libc.stdint cimport int64_t
from libc.string cimport memcpy, memset

from lossopt._kernels.abi cimport Loss, many_t
from lossopt._kernels.losses cimport ROWS, rows, total, weigh
from lossopt._kernels.math cimport BLOCK, LANES, add, fma, lane_sum, numbers_sum, prefetch_far, sum_t

cdef enum:
    WIDE = 32           # outputs that the passes below are made for; beyond, BLAS is faster
    FAR = 32            # rows between the one at work and the one that is asked for, up to SHORT bytes a row;
    NEAR = 16           # so many up to LONG bytes: the processor sees longer ones coming
    SHORT = 4096
    LONG = 16384


cdef inline void find(Py_ssize_t n, Py_ssize_t d, const floating* x, const int64_t* order, Py_ssize_t left,
                      const floating** at, const floating** ask) noexcept nogil:
    """Where the n rows of x that order names stand. Later ones of the `left` that order has are asked for, one for each; or
    ask says which, itself where there is none."""
    cdef Py_ssize_t i, line, bytes_ = d * <Py_ssize_t>sizeof(floating), away = FAR if bytes_ <= SHORT else NEAR
    cdef const floating* next_
    if bytes_ > LONG:
        away = left
    for i in range(n):
        at[i] = next_ = x + order[i] * d
        if i + away < left:
            next_ = x + order[i + away] * d
            if ask == NULL:
                for line in range(0, bytes_, 64):
                    prefetch_far(<const char*>next_ + line)
                prefetch_far(next_ + d - 1)
        if ask != NULL:
            ask[i] = next_


cdef inline const floating* row(Py_ssize_t r, Py_ssize_t d, const floating* x, const floating** at) noexcept nogil:
    """Row r of x (n, d), or of those that `at` has: an address that is read is known later than one that is computed."""
    if at == NULL:
        return x + r * d
    return at[r]


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


# Where there are vectors of eight, two things are done by hand, with the bits of `dot` and `backward`. Four rows times a
# vector: their lanes are summed together, where the compiler sends each row's through memory. Eight rows times their
# gradients: columns left over are part of a vector, and nobody looks whether arrays overlap.
cdef extern from *:
    """
    #if defined(__AVX512F__) && defined(__AVX512DQ__)
    #include <immintrin.h>
    #define LOSSOPT_BY_HAND 1
    /* sixteen lanes: none is what multiply-add leaves as it is, a zero's sign included */
    typedef struct { __m512d a, b; } lossopt_f64;
    typedef struct { __m512 a; } lossopt_f32;
    static inline lossopt_f64 lossopt_none_f64(void) {
        const lossopt_f64 s = {_mm512_set1_pd(-0.0), _mm512_set1_pd(-0.0)};
        return s;
    }
    static inline lossopt_f32 lossopt_none_f32(void) {
        const lossopt_f32 s = {_mm512_set1_ps(-0.0f)};
        return s;
    }
    static inline lossopt_f64 lossopt_more_f64(lossopt_f64 s, const double* x, const double* w) {
        s.a = _mm512_fmadd_pd(_mm512_loadu_pd(x), _mm512_loadu_pd(w), s.a);
        s.b = _mm512_fmadd_pd(_mm512_loadu_pd(x + 8), _mm512_loadu_pd(w + 8), s.b);
        return s;
    }
    static inline lossopt_f32 lossopt_more_f32(lossopt_f32 s, const float* x, const float* w) {
        s.a = _mm512_fmadd_ps(_mm512_loadu_ps(x), _mm512_loadu_ps(w), s.a);
        return s;
    }
    /* the tree of lane_sum, of four */
    static inline __m256d lossopt_half_f64(lossopt_f64 s) {
        const __m512d v = _mm512_add_pd(s.a, s.b);
        return _mm256_add_pd(_mm512_castpd512_pd256(v), _mm512_extractf64x4_pd(v, 1));
    }
    static inline __m128 lossopt_half_f32(lossopt_f32 s) {
        const __m256 v = _mm256_add_ps(_mm512_castps512_ps256(s.a), _mm512_extractf32x8_ps(s.a, 1));
        return _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    }
    static inline __m256d lossopt_pair(__m256d a, __m256d b) {
        return _mm256_add_pd(_mm256_permute2f128_pd(a, b, 0x20), _mm256_permute2f128_pd(a, b, 0x31));
    }
    static inline void lossopt_sums_f64(lossopt_f64 s0, lossopt_f64 s1, lossopt_f64 s2, lossopt_f64 s3, double b, double* z) {
        const __m256d even = lossopt_pair(lossopt_half_f64(s0), lossopt_half_f64(s2));
        const __m256d odd = lossopt_pair(lossopt_half_f64(s1), lossopt_half_f64(s3));
        _mm256_storeu_pd(z, _mm256_add_pd(_mm256_hadd_pd(even, odd), _mm256_set1_pd(b)));
    }
    static inline void lossopt_sums_f32(lossopt_f32 s0, lossopt_f32 s1, lossopt_f32 s2, lossopt_f32 s3, float b, float* z) {
        __m128 c0 = lossopt_half_f32(s0), c1 = lossopt_half_f32(s1), c2 = lossopt_half_f32(s2), c3 = lossopt_half_f32(s3);
        _MM_TRANSPOSE4_PS(c0, c1, c2, c3);
        _mm_storeu_ps(z, _mm_add_ps(_mm_add_ps(_mm_add_ps(c0, c2), _mm_add_ps(c1, c3)), _mm_set1_ps(b)));
    }
    #define LOSSOPT_FOUR(kind, real) \
        static inline void lossopt_four_##kind(Py_ssize_t d, const real* x0, const real* x1, const real* x2, \
                                               const real* x3, const real* w, const real* last, real b, real* z) { \
            lossopt_##kind s0 = lossopt_none_##kind(), s1 = s0, s2 = s0, s3 = s0; \
            Py_ssize_t j; \
            for (j = 0; j < d; j += 16) { \
                const real* own = w + j; \
                if (j > d - 16) j = d - 16, own = last; \
                s0 = lossopt_more_##kind(s0, x0 + j, own), s1 = lossopt_more_##kind(s1, x1 + j, own); \
                s2 = lossopt_more_##kind(s2, x2 + j, own), s3 = lossopt_more_##kind(s3, x3 + j, own); \
            } \
            lossopt_sums_##kind(s0, s1, s2, s3, b, z); \
        }
    LOSSOPT_FOUR(f64, double)
    LOSSOPT_FOUR(f32, float)
    static inline void lossopt_eight_f64(Py_ssize_t d, const double** x, const double* g, double* to) {
        const __m512d g0 = _mm512_set1_pd(g[0]), g1 = _mm512_set1_pd(g[1]), g2 = _mm512_set1_pd(g[2]);
        const __m512d g3 = _mm512_set1_pd(g[3]), g4 = _mm512_set1_pd(g[4]), g5 = _mm512_set1_pd(g[5]);
        const __m512d g6 = _mm512_set1_pd(g[6]), g7 = _mm512_set1_pd(g[7]);
        Py_ssize_t j;
        for (j = 0; j < d; j += 8) {
            const __mmask8 m = d - j < 8 ? (1 << (d - j)) - 1 : 0xff;
            __m512d s = _mm512_mul_pd(g0, _mm512_maskz_loadu_pd(m, x[0] + j));
            s = _mm512_fmadd_pd(g1, _mm512_maskz_loadu_pd(m, x[1] + j), s);
            s = _mm512_fmadd_pd(g2, _mm512_maskz_loadu_pd(m, x[2] + j), s);
            s = _mm512_fmadd_pd(g3, _mm512_maskz_loadu_pd(m, x[3] + j), s);
            s = _mm512_fmadd_pd(g4, _mm512_maskz_loadu_pd(m, x[4] + j), s);
            s = _mm512_fmadd_pd(g5, _mm512_maskz_loadu_pd(m, x[5] + j), s);
            s = _mm512_fmadd_pd(g6, _mm512_maskz_loadu_pd(m, x[6] + j), s);
            s = _mm512_fmadd_pd(g7, _mm512_maskz_loadu_pd(m, x[7] + j), s);
            _mm512_mask_storeu_pd(to + j, m, _mm512_add_pd(_mm512_maskz_loadu_pd(m, to + j), s));
        }
    }
    #else
    #define LOSSOPT_BY_HAND 0
    #define lossopt_four_f64(d, x0, x1, x2, x3, w, last, b, z) ((void)0)
    #define lossopt_four_f32(d, x0, x1, x2, x3, w, last, b, z) ((void)0)
    #define lossopt_eight_f64(d, x, g, to) ((void)0)
    #endif
    """
    void four_f64 "lossopt_four_f64"(Py_ssize_t d, const double* x0, const double* x1, const double* x2, const double* x3,
                                     const double* w, const double* last, double b, double* z) noexcept nogil
    void four_f32 "lossopt_four_f32"(Py_ssize_t d, const float* x0, const float* x1, const float* x2, const float* x3,
                                     const float* w, const float* last, float b, float* z) noexcept nogil
    void eight_f64 "lossopt_eight_f64"(Py_ssize_t d, const double** x, const double* g, double* to) noexcept nogil
    const bint BY_HAND "LOSSOPT_BY_HAND"


cdef inline void four_dots(Py_ssize_t d, const floating* x0, const floating* x1, const floating* x2, const floating* x3,
                           const floating* w, const floating* last, floating b, floating* z) noexcept nogil:
    """z (4,) = dot of four rows, of sixteen columns at least, plus b."""
    if floating is double:
        four_f64(d, x0, x1, x2, x3, w, last, b, z)
    else:
        four_f32(d, x0, x1, x2, x3, w, last, b, z)


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
    """Four rows times a panel of turned weights: an output a lane, z (4, LANES). Rows y, if not NULL, are asked for
    meanwhile."""
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
        if y0 != NULL:
            prefetch_far(y0 + start)
            prefetch_far(y1 + start)
            prefetch_far(y2 + start)
            prefetch_far(y3 + start)
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


cdef inline void forward(Py_ssize_t n, Py_ssize_t d, Py_ssize_t k, const floating* x, const floating** at,
                         const floating** ask, const floating* w, const floating* side, const floating* bias,
                         Py_ssize_t ahead, floating* z) noexcept nogil:
    """z (n, k) = n rows (see `row`) times w (k, d) transposed, plus bias (k,) or NULL; side is w turned, where k > 1. Rows of
    x that many ahead, unless 0, or with k > 1 those that ask has are asked for meanwhile."""
    cdef floating[4 * LANES] four
    cdef floating[LANES] last
    cdef floating zero = 0, b = zero if bias == NULL else bias[0]
    cdef Py_ssize_t c, i, m, r, r1, r2, r3, more, start, q = (n + 3) // 4
    cdef const floating* y[4]
    for i in range(4):
        y[i] = NULL
    if k == 1:
        for i in range(LANES):
            last[i] = w[d - LANES + i] if d >= LANES and i >= LANES - d % LANES else zero
        r = 0
        while r < n:
            m = min(<Py_ssize_t>4, n - r)
            if ahead:
                for i in range(0, m * d * <Py_ssize_t>sizeof(floating), 64):
                    prefetch_far(<const char*>(x + (r + ahead) * d) + i)
            if BY_HAND and d >= LANES and m == 4:
                four_dots[floating](d, row[floating](r, d, x, at), row[floating](r + 1, d, x, at),
                                    row[floating](r + 2, d, x, at), row[floating](r + 3, d, x, at), w, last, b, z + r)
            else:
                for i in range(r, r + m):
                    z[i] = dot[floating](d, row[floating](i, d, x, at), w, last) + b
            r += 4
        return
    for r in range(q):
        # four rows a quarter apart: as many steady streams
        more = (n - 1 - r) // q
        # a missing row repeats the first: what it gives is not looked at, and each row's bits stay its own
        r1 = r + (q if more > 0 else 0)
        r2 = r + (2 * q if more > 1 else 0)
        r3 = r + (3 * q if more > 2 else 0)
        if ask != NULL:
            y[0], y[1], y[2], y[3] = ask[r], ask[r1], ask[r2], ask[r3]
        for start in range((k + LANES - 1) // LANES):
            panel[floating](d, row[floating](r, d, x, at), row[floating](r1, d, x, at), row[floating](r2, d, x, at),
                            row[floating](r3, d, x, at), y[0], y[1], y[2], y[3], side + start * d * LANES, four)
            m = min(<Py_ssize_t>LANES, k - start * LANES)
            for i in range(more + 1):
                for c in range(m):
                    z[(r + i * q) * k + start * LANES + c] = four[i * LANES + c]
    if bias != NULL:
        for r in range(n):
            for c in range(k):
                z[r * k + c] += bias[c]


cdef inline void lanes_apart(Py_ssize_t d, const floating* x0, const floating* x1, const floating* x2, const floating* x3,
                             const floating* side, const floating* last, floating* z) noexcept nogil:
    """Four rows times a panel of turned weights, z (4, LANES), each with the bits of `dot`: its lanes one after the other."""
    cdef floating[LANES * 4 * LANES] parts
    cdef floating[LANES] a0
    cdef floating[LANES] a1
    cdef floating[LANES] a2
    cdef floating[LANES] a3
    cdef const floating* own
    cdef Py_ssize_t b, i, j, lane
    for lane in range(LANES):
        own = side + lane * LANES
        for i in range(LANES):    # hot
            a0[i] = x0[lane] * own[i]
            a1[i] = x1[lane] * own[i]
            a2[i] = x2[lane] * own[i]
            a3[i] = x3[lane] * own[i]
        for b in range(1, d // LANES):
            own += LANES * LANES
            j = b * LANES + lane
            for i in range(LANES):    # hot
                a0[i] = fma[floating](x0[j], own[i], a0[i])
                a1[i] = fma[floating](x1[j], own[i], a1[i])
                a2[i] = fma[floating](x2[j], own[i], a2[i])
                a3[i] = fma[floating](x3[j], own[i], a3[i])
        if d % LANES:
            own = last + lane * LANES
            j = d - LANES + lane
            for i in range(LANES):    # hot
                a0[i] = fma[floating](x0[j], own[i], a0[i])
                a1[i] = fma[floating](x1[j], own[i], a1[i])
                a2[i] = fma[floating](x2[j], own[i], a2[i])
                a3[i] = fma[floating](x3[j], own[i], a3[i])
        for i in range(LANES):
            parts[lane * 4 * LANES + i] = a0[i]
            parts[lane * 4 * LANES + LANES + i] = a1[i]
            parts[lane * 4 * LANES + 2 * LANES + i] = a2[i]
            parts[lane * 4 * LANES + 3 * LANES + i] = a3[i]
    # the tree of lane_sum
    for i in range(8 * 4 * LANES):    # hot
        parts[i] += parts[i + 8 * 4 * LANES]
    for i in range(4 * 4 * LANES):    # hot
        parts[i] += parts[i + 4 * 4 * LANES]
    for i in range(4 * LANES):    # hot
        z[i] = (parts[i] + parts[2 * 4 * LANES + i]) + (parts[4 * LANES + i] + parts[3 * 4 * LANES + i])


cdef inline void add_row(Py_ssize_t d, floating g, const floating* x, double* to) noexcept nogil:
    cdef Py_ssize_t j
    if g == <floating>0:
        return
    for j in range(d):    # hot
        to[j] += <double>(g * x[j])


cdef inline void add_bias(Py_ssize_t n, const floating* g, double* bias) noexcept nogil:
    """bias += the sum of n gradients of one output."""
    cdef Py_ssize_t r
    if n < 8:
        for r in range(n):
            bias[0] += <double>g[r]
    else:
        bias[0] += numbers_sum[floating](n, g)


cdef inline void backward(Py_ssize_t n, Py_ssize_t d, Py_ssize_t k, const floating* x, const floating** at,
                          const floating* g, double* weight, double* bias) noexcept nogil:
    """weight (k, d) += g (n, k) transposed times n rows (see `row`), bias (k,) or NULL += the sum of g's rows; eight rows
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
                add_row[floating](d, g[r * k + c], row[floating](r, d, x, at), weight + c * d)
        q = 0
    for r in range(q):
        # a missing row is the first again, times nothing
        for i in range(8):
            p[i] = row[floating](r + (i * q if r + i * q < n else 0), d, x, at)
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
            if floating is double:
                if BY_HAND:
                    eight_f64(d, p, s, to)
                    continue
            g0, g1, g2, g3, g4, g5, g6, g7 = s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7]
            for j in range(d):    # hot
                to[j] += <double>fma[floating](g7, x7[j], fma[floating](g6, x6[j], fma[floating](g5, x5[j], fma[floating](
                    g4, x4[j], fma[floating](g3, x3[j], fma[floating](g2, x2[j], fma[floating](g1, x1[j], g0 * x0[j])))))))
    if bias != NULL and k == 1:
        add_bias[floating](n, g, bias)
    elif bias != NULL:
        for r in range(n):
            for c in range(k):
                bias[c] += <double>g[r * k + c]


cdef inline Py_ssize_t pass_rows(Py_ssize_t d, Py_ssize_t k, Py_ssize_t itemsize) noexcept nogil:
    """Rows of a block: as many as stay in the first cache with one output, in the second with more, whose products take
    longer; their predictions in the first."""
    cdef Py_ssize_t most = (32768 if k == 1 else 131072) // max(d * itemsize, <Py_ssize_t>1)
    return max(<Py_ssize_t>16, min(min(<Py_ssize_t>BLOCK, ROWS * WIDE // k), most)) // 4 * 4


cdef inline void objective_rows(Loss loss, Py_ssize_t n, Py_ssize_t d, Py_ssize_t k, const floating* x,
                                const int64_t* order, Py_ssize_t left, const char* y, Py_ssize_t item,
                                const floating* weight, const floating* w, const floating* side, const floating* bias,
                                double scale, sum_t* value, double* grad_weight, double* grad_bias) noexcept nogil:
    """n rows: the weighted sum of the loss is added to value, scale times its gradient to grad_* (NULL: not wanted). Later
    rows are asked for: of the `left` that order has from here; without order, of `left` in x that wait in memory."""
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
    # the processor foresees the next rows, but asks for few while it is at the losses
    cdef Py_ssize_t ahead = size if order == NULL and k == 1 and d * <Py_ssize_t>sizeof(floating) <= 1024 else 0
    while r < n:
        m = min(size, n - r)
        if r + ahead + m > left:
            ahead = 0
        if weight != NULL:
            row_weight = weight + r
        # two calls each: the compiler makes a loop of its own for rows that stand in order
        if order == NULL:
            forward[floating](m, d, k, x + r * d, NULL, NULL, w, side, bias, ahead, z)
        else:
            find[floating](m, d, x, order + r, left - r, at, later)
            forward[floating](m, d, k, NULL, at, later, w, side, bias, 0, z)
        weigh[floating](m, row_weight, scale, factor)
        rows[floating](loss, m, k, z, y + r * item, factor, values, gradient)
        add(value, total[floating](m, values, row_weight))
        if gradient != NULL and order == NULL:
            backward[floating](m, d, k, x + r * d, NULL, gradient, grad_weight, grad_bias)
        elif gradient != NULL:
            backward[floating](m, d, k, NULL, at, gradient, grad_weight, grad_bias)
        r += size


cdef inline void turn_many(Py_ssize_t d, Py_ssize_t count, const many_t* models, floating* side) noexcept nogil:
    """The models' weights as `turn` gives those of outputs; behind them, as panels of LANES columns, what `last` is to `dot`."""
    cdef floating* last = side + (count + LANES - 1) // LANES * LANES * d
    cdef const floating* w
    cdef floating zero = 0
    cdef Py_ssize_t c, i, j, panel_
    for c in range((count + LANES - 1) // LANES * LANES):
        panel_ = c // LANES
        w = <const floating*>models[min(c, count - 1)].weight
        for j in range(d):
            side[(panel_ * d + j) * LANES + c % LANES] = w[j] if c < count else zero
        for i in range(LANES):
            last[(panel_ * LANES + i) * LANES + c % LANES] = (
                w[d - LANES + i] if c < count and d >= LANES and i >= LANES - d % LANES else zero)


cdef inline void forward_many(Py_ssize_t n, Py_ssize_t d, Py_ssize_t count, const floating** x, const many_t* models,
                              const floating* side, floating* z) noexcept nogil:
    """The scores (count, n) of the models, with the bits of `forward`."""
    cdef floating[4 * LANES] four
    cdef const floating* last = side + (count + LANES - 1) // LANES * LANES * d
    cdef const floating* p[4]
    cdef floating bias
    cdef Py_ssize_t c, i, m, start, r = 0
    while r < n:
        m = min(<Py_ssize_t>4, n - r)
        for i in range(4):
            # a missing row is the first again
            p[i] = x[r + (i if i < m else 0)]
        for start in range((count + LANES - 1) // LANES):
            if d < LANES:
                panel[floating](d, p[0], p[1], p[2], p[3], NULL, NULL, NULL, NULL, side + start * d * LANES, four)
            else:
                lanes_apart[floating](d, p[0], p[1], p[2], p[3], side + start * d * LANES, last + start * LANES * LANES, four)
            for c in range(start * LANES, min(start * LANES + LANES, count)):
                bias = (<const floating*>models[c].bias)[0]
                for i in range(m):
                    z[c * n + r + i] = four[i * LANES + c % LANES] + bias
        r += 4


cdef inline void collect(Py_ssize_t n, Py_ssize_t d, const floating* x, const int64_t* order, Py_ssize_t left, floating* to,
                         const floating** at) noexcept nogil:
    """find, and a copy of the rows that order names, since several models read them."""
    cdef Py_ssize_t i
    if order == NULL:
        for i in range(n):
            at[i] = x + i * d
        return
    find[floating](n, d, x, order, left, at, NULL)
    for i in range(n):
        memcpy(to + i * d, at[i], d * sizeof(floating))
        at[i] = to + i * d


cdef inline void many_rows(Loss loss, Py_ssize_t n, Py_ssize_t d, Py_ssize_t count, const floating* x, const int64_t* order,
                           Py_ssize_t left, floating* to, const char* y, many_t* models, double* scratch) noexcept nogil:
    """What abi calls many_f64 and many_f32: the steps of objective_rows, block by block, for all models."""
    cdef floating[BLOCK] factor
    cdef floating[BLOCK] values
    cdef const floating* at[BLOCK]
    cdef const floating* weight
    cdef double* sums = scratch
    cdef floating* side = <floating*>(scratch + count * (d + 3))
    cdef floating* z = side + many_side(d, count)
    cdef floating* g = z + count * BLOCK
    cdef floating* own
    cdef sum_t* value
    cdef Py_ssize_t c, i, m, r = 0, size = n if n <= 16 else pass_rows(d, 1, sizeof(floating))
    cdef Py_ssize_t item = loss.target_size if loss.target_size else <Py_ssize_t>sizeof(floating)
    # a model's: its gradient of weight, and of bias, and its value
    memset(sums, 0, count * (d + 3) * sizeof(double))
    turn_many[floating](d, count, models, side)
    while r < n:
        m = min(size, n - r)
        if order == NULL:
            collect[floating](m, d, x + r * d, NULL, 0, to, at)
        else:
            collect[floating](m, d, x, order + r, left - r, to + r * d, at)
        forward_many[floating](m, d, count, at, models, side, z)
        for c in range(count):
            own = z + c * m
            value = <sum_t*>(sums + count * (d + 1) + 2 * c)
            weight = <const floating*>models[c].sample_weight
            if weight != NULL:
                weight += r
            weigh[floating](m, weight, models[c].scale, factor)
            rows[floating](loss, m, 1, own, y + r * item, factor, values, own)
            add(value, total[floating](m, values, weight))
            add_bias[floating](m, own, sums + count * d + c)
            for i in range(m):
                g[i * count + c] = own[i]
        backward[floating](m, d, count, NULL, at, g, sums, NULL)
        r += size
    for c in range(count):
        value = <sum_t*>(sums + count * (d + 1) + 2 * c)
        models[c].value = value.total + value.rest
        for i in range(d):
            (<floating*>models[c].grad_weight)[i] = <floating>sums[c * d + i]
        (<floating*>models[c].grad_bias)[0] = <floating>sums[count * d + c]


cdef inline Py_ssize_t many_side(Py_ssize_t d, Py_ssize_t count) noexcept nogil:
    return (count + LANES - 1) // LANES * LANES * (d + LANES)
