# Elementary functions for both precisions, header only, branch free, so that every level vectorizes the loops that
# call them. Nothing here may be contracted by the compiler: multiply-add stands as fma where it is wanted, and is
# a*b + c where the level has no such instruction. A bare literal is a double to Cython and drags a float32 loop with it:
# constants stand as <floating> or in variables of that type. Coefficients: minimax polynomials, relative error below 1e-17
# (float64) and 1e-8 (float32) on the reduced range. The error is at most 2 ulp (float64; sigmoid 3) and 4 ulp (float32),
# subnormals included.

from cython cimport floating
from libc.stdint cimport int64_t, uint32_t, uint64_t

cdef extern from *:
    """
    #ifndef LOSSOPT_MATH
    #define LOSSOPT_MATH
    #include <math.h>
    #include <stdint.h>
    #include <string.h>
    #if defined(__FMA__) || defined(__ARM_FEATURE_FMA) || (defined(_MSC_VER) && defined(__AVX2__))
    #define lossopt_has_fma 1
    static inline double lossopt_fma(double a, double b, double c) { return fma(a, b, c); }
    static inline float lossopt_fmaf(float a, float b, float c) { return fmaf(a, b, c); }
    #else
    #define lossopt_has_fma 0
    static inline double lossopt_fma(double a, double b, double c) { return a * b + c; }
    static inline float lossopt_fmaf(float a, float b, float c) { return a * b + c; }
    #endif
    static inline uint64_t lossopt_bits(double x) { uint64_t i; memcpy(&i, &x, 8); return i; }
    static inline double lossopt_value(uint64_t i) { double x; memcpy(&x, &i, 8); return x; }
    static inline uint32_t lossopt_bitsf(float x) { uint32_t i; memcpy(&i, &x, 4); return i; }
    static inline float lossopt_valuef(uint32_t i) { float x; memcpy(&x, &i, 4); return x; }
    #if defined(__GNUC__) || defined(__clang__)
    #define lossopt_prefetch(address) __builtin_prefetch(address)
    #define lossopt_prefetch_far(address) __builtin_prefetch(address, 0, 2)
    #define lossopt_ctz(x) __builtin_ctzll(x)
    #else
    static inline int lossopt_ctz(uint64_t x) { int i = 0; while (!(x >> i & 1)) i++; return i; }
    #if defined(_M_X64)
    #include <xmmintrin.h>
    #define lossopt_prefetch(address) _mm_prefetch((const char*)(address), _MM_HINT_T0)
    #define lossopt_prefetch_far(address) _mm_prefetch((const char*)(address), _MM_HINT_T1)
    #else
    #define lossopt_prefetch(address) ((void)(address))
    #define lossopt_prefetch_far(address) ((void)(address))
    #endif
    #endif
    #define lossopt_inf ((double)INFINITY)
    #define lossopt_nan ((double)NAN)
    #endif
    """
    double fma_f64 "lossopt_fma"(double, double, double) noexcept nogil
    float fma_f32 "lossopt_fmaf"(float, float, float) noexcept nogil
    uint64_t bits_f64 "lossopt_bits"(double) noexcept nogil
    double value_f64 "lossopt_value"(uint64_t) noexcept nogil
    uint32_t bits_f32 "lossopt_bitsf"(float) noexcept nogil
    float value_f32 "lossopt_valuef"(uint32_t) noexcept nogil
    double fabs_f64 "fabs"(double) noexcept nogil
    float fabs_f32 "fabsf"(float) noexcept nogil
    double sqrt_f64 "sqrt"(double) noexcept nogil
    float sqrt_f32 "sqrtf"(float) noexcept nogil
    int ctz "lossopt_ctz"(uint64_t) noexcept nogil      # zeros below the lowest one
    double copysign_f64 "copysign"(double, double) noexcept nogil
    float copysign_f32 "copysignf"(float, float) noexcept nogil
    void prefetch "lossopt_prefetch"(const void* address) noexcept nogil
    void prefetch_far "lossopt_prefetch_far"(const void* address) noexcept nogil    # to the second cache: more at a time
    const bint HAS_FMA "lossopt_has_fma"
    const double INF "lossopt_inf"
    const double NAN "lossopt_nan"

cdef enum:
    LANES = 16          # sums run in so many lanes
    BLOCK = 256         # numbers at a time: what a block needs stays in the first cache


cdef inline floating fma(floating a, floating b, floating c) noexcept nogil:
    if floating is double:
        return fma_f64(a, b, c)
    else:
        return fma_f32(a, b, c)


cdef inline floating fabs(floating x) noexcept nogil:
    if floating is double:
        return fabs_f64(x)
    else:
        return fabs_f32(x)


cdef inline floating sqrt(floating x) noexcept nogil:
    if floating is double:
        return sqrt_f64(x)
    else:
        return sqrt_f32(x)


cdef inline floating smallest(floating like) noexcept nogil:
    """The smallest normal number."""
    return 2.2250738585072014e-308 if floating is double else <floating>1.17549435e-38


cdef inline floating exp(floating x) noexcept nogil:
    cdef floating most = 710 if floating is double else 89
    return exp_down[floating](most if x > most else x)


cdef inline floating exp_down(floating x) noexcept nogil:
    """exp where x is known to be at most 710 (float64) or 89 (float32)."""
    cdef double d, t, k, r, s, p, q, some
    cdef float df, tf, kf, rf, sf, pf, qf, few
    cdef uint64_t i, h
    cdef uint32_t j, g
    if floating is double:
        d = -746.0 if x < -746.0 else x
        # where nothing is left a product too small would say so, which takes some processors a hundred cycles
        some = 0.0 if x < -746.0 else 1.0
        # k = round(x / ln 2); ln 2 in two parts, the first short enough that k * it is exact. Adding 1.5 * 2**52 rounds
        # to an integer, which then stands in the low mantissa bits; with it twice the bias of an exponent is added.
        t = fma_f64(d, 1.4426950408889634, 6755399441057790.0)
        k = t - 6755399441057790.0
        r = fma_f64(-k, 6.93147180369123816490e-01, d)
        r = fma_f64(-k, 1.90821492927058770002e-10, r)
        # even and odd powers apart: two chains, half as long
        s = r * r
        q = fma_f64(2.763168720465658e-07, s, 2.480148935276088e-05)
        p = fma_f64(2.4998992353976662e-08, s, 2.755759718821292e-06)
        q = fma_f64(q, s, 0.0013888888946919375)
        p = fma_f64(p, s, 0.0001984126948615937)
        q = fma_f64(q, s, 0.04166666666651916)
        p = fma_f64(p, s, 0.008333333333507663)
        q = fma_f64(q, s, 0.5000000000000012)
        p = fma_f64(p, s, 0.16666666666666385)
        q = fma_f64(s, fma_f64(p, r, q), r) + 1.0
        # 2**k as two factors, so that neither overflows and subnormal results are rounded once
        i = bits_f64(t)
        h = i >> 1
        return q * value_f64(h << 52) * (value_f64((i - h) << 52) * some)
    else:
        df = <float>-104.0 if x < <float>-104.0 else x
        few = <float>0.0 if x < <float>-104.0 else <float>1.0
        tf = fma_f32(df, <float>1.44269504, <float>12583166.0)
        kf = tf - <float>12583166.0
        rf = fma_f32(-kf, <float>0.693359375, df)
        rf = fma_f32(-kf, <float>-2.12194440e-4, rf)
        sf = rf * rf
        qf = fma_f32(<float>0.00138131422637709, sf, <float>0.04166845681945763)
        pf = fma_f32(<float>0.008369418802357927, sf, <float>0.16666514791863757)
        qf = fma_f32(qf, sf, <float>0.49999993050676267)
        qf = fma_f32(sf, fma_f32(pf, rf, qf), rf) + <float>1.0
        j = bits_f32(tf)
        g = j >> 1
        return qf * value_f32(g << 23) * (value_f32((j - g) << 23) * few)


cdef inline floating _log_tail(floating f, floating e, floating small) noexcept nogil:
    # log(1 + f) + e ln 2 + small, for f in [sqrt(1/2) - 1, sqrt(2) - 1]: with s = f/(2 + f), log(1 + f) is
    # 2 s + s z P(z), z = s*s, written so that f itself, which is exact, carries the leading digits
    cdef floating s = f / (<floating>2 + f)
    cdef floating z = s * s, h = <floating>0.5 * f * f
    cdef floating p
    if floating is double:
        p = 0.14811539235494478
        p = fma_f64(p, z, 0.15312569926166794)
        p = fma_f64(p, z, 0.1818361898891412)
        p = fma_f64(p, z, 0.22222197587265705)
        p = fma_f64(p, z, 0.28571428751304645)
        p = fma_f64(p, z, 0.39999999999377966)
        p = fma_f64(p, z, 0.666666666666674)
        p = s * (h + z * p) + fma_f64(e, 1.90821492927058770002e-10, small)
        return fma_f64(e, 6.93147180369123816490e-01, -((h - p) - f))
    else:
        p = <float>0.29885186697678234
        p = fma_f32(p, z, <float>0.39977079414030237)
        p = fma_f32(p, z, <float>0.6666677976717061)
        p = s * (h + z * p) + fma_f32(e, <float>-2.12194440e-4, small)
        return fma_f32(e, <float>0.693359375, -((h - p) - f))


cdef inline floating _log(floating x, floating c) noexcept nogil:
    # log(x) + c/x, c far below x: the part of x that rounding cut off
    cdef uint64_t i
    cdef uint32_t j
    cdef floating up, m, e, r
    if floating is double:
        up = x * 18014398509481984.0 if x < 2.2250738585072014e-308 else x
        i = bits_f64(up) + <uint64_t>0x00095F619980C433        # 1.0 less sqrt(1/2), as bits
        m = value_f64((i & <uint64_t>0x000FFFFFFFFFFFFF) + <uint64_t>0x3FE6A09E667F3BCD)
        e = value_f64((i >> 52) | <uint64_t>0x4330000000000000) - 4503599627371519.0
        e = e - 54.0 if x < 2.2250738585072014e-308 else e
    else:
        up = x * <float>33554432.0 if x < <float>1.17549435e-38 else x
        j = bits_f32(up) + <uint32_t>0x004AFB0D
        m = value_f32((j & <uint32_t>0x007FFFFF) + <uint32_t>0x3F3504F3)
        e = <float><int>(j >> 23) - <float>127.0
        e = e - <float>25.0 if x < <float>1.17549435e-38 else e
    r = _log_tail[floating](m - <floating>1, e, c / up)
    r = x if not (x < <floating>INF) else r
    r = -<floating>INF if x == <floating>0 else r
    return <floating>NAN if x < <floating>0 else r


cdef inline floating log(floating x) noexcept nogil:
    return _log[floating](x, <floating>0)


cdef inline floating log1p(floating x) noexcept nogil:
    # what 1 + x loses to rounding is c: x - (u - 1) where u is small, 1 - (u - x) where it is large
    cdef floating one = 1
    cdef floating u = one + x
    cdef floating c = x - (u - one) if x < one else one - (u - x)
    cdef floating r = _log[floating](u, c)
    return x if fabs[floating](x) < <floating>1e-30 else r       # keeps -0.0 and subnormals


cdef inline floating log1p_unit(floating x) noexcept nogil:
    """log1p for x in [0, 1] (and NaN): no exponent to find, so the polynomial of _log_tail reaches further."""
    cdef floating s = x / (<floating>2 + x)
    cdef floating z = s * s, h = <floating>0.5 * x * x
    cdef floating y = z * z, p, q
    if floating is double:
        p = fma_f64(0.17027852943263505, y, 0.12107170364760911)
        q = fma_f64(0.08335226821900966, y, 0.13300840763592656)
        p = fma_f64(p, y, 0.1538656969566929)
        q = fma_f64(q, y, 0.18181743483590082)
        p = fma_f64(p, y, 0.22222223981720404)
        q = fma_f64(q, y, 0.28571428547670435)
        p = fma_f64(p, y, 0.40000000000158614)
        q = fma_f64(q, y, 0.666666666666663)
    else:
        p = fma_f32(<float>0.2803059255162249, y, <float>0.40021762829721097)
        q = fma_f32(<float>0.2799799136835525, y, <float>0.66666412153908)
    p = fma[floating](p, z, q)
    return x - (h - s * fma[floating](z, p, h))


cdef inline floating sigmoid(floating z) noexcept nogil:
    # from exp(-|z|), so that neither tail cancels
    cdef floating one = 1, zero = 0, e = exp_down[floating](-fabs[floating](z))
    return (e if z < zero else one) / (one + e)


cdef inline floating softplus(floating z) noexcept nogil:
    cdef floating zero = 0, e = exp_down[floating](-fabs[floating](z))
    return log1p_unit[floating](e) + (zero if z < zero else z)


cdef inline floating tanh(floating x) noexcept nogil:
    # One division for both ways: near zero x + x**3 P(x**2) / Q(x**2), which keeps the digits of a small x, elsewhere
    # 1 - 2 e / (1 + e) with e = exp(-2 |x|), which keeps those of what is left to 1.
    cdef floating a = fabs[floating](x), s = a * a, one = 1
    cdef floating e = exp_down[floating](<floating>-2 * a)
    cdef floating p, q
    cdef bint near = a < <floating>0.625
    if floating is double:
        p = fma_f64(fma_f64(-0.00019903911773906175, s, -0.020495661614332743), s, -0.33333333333333326)
        q = fma_f64(fma_f64(fma_f64(0.00020638495723418322, s, 0.023287149385963258), s, 0.46148698484298034), s, 1.0)
    else:
        p = fma_f32(<float>-0.0015369264407408276, s, <float>-0.33333302033221235)
        q = fma_f32(<float>0.4045958330402692, s, <float>1.0)
    p = a * s * p if near else <floating>-2 * e
    q = q if near else one + e
    a = (a if near else one) + p / q
    if floating is double:
        return copysign_f64(a, x)
    else:
        return copysign_f32(a, x)


cdef inline floating rsqrt(floating x) noexcept nogil:
    # With fma: a guess y from the halved exponent, 3.4 percent off, then steps in what it lacks, e = 1 - x*y*y; the first
    # is a minimax polynomial of relative error 1e-6 (float64) and 2.3e-8 (float32). Without, root and division are faster.
    cdef uint64_t i
    cdef uint32_t j
    cdef floating up, y, e, p
    if not HAS_FMA:
        y = <floating>1 / sqrt[floating](x)
    elif floating is double:
        up = x * 18014398509481984.0 if x < 2.2250738585072014e-308 else x
        i = <uint64_t>0x6196E8EABEAD1636 if x < 2.2250738585072014e-308 else <uint64_t>0x5FE6E8EABEAD1636
        y = value_f64(i - (bits_f64(up) >> 1))
        e = fma_f64(-(x * y), y, 1.0)
        p = fma_f64(0.3137494721256305, e, 0.37605576120823364)
        p = fma_f64(p, e, 0.4999990172799123)
        y = fma_f64(y * e, p, y)
        e = fma_f64(-(x * y), y, 1.0)
        y = fma_f64(y * e, fma_f64(0.375, e, 0.5), y)
        # zero and infinity, each the other's
        y = value_f64(bits_f64(x) ^ <uint64_t>0x7FF0000000000000) if x + x == x else y
        y = NAN if x < 0.0 else y
    else:
        up = x * <float>16777216.0 if x < <float>1.17549435e-38 else x
        j = <uint32_t>0x65374755 if x < <float>1.17549435e-38 else <uint32_t>0x5F374755
        y = value_f32(j - (bits_f32(up) >> 1))
        e = fma_f32(-(x * y), y, <float>1.0)
        p = fma_f32(<float>0.2749442908130838, e, <float>0.3139308940820568)
        p = fma_f32(p, e, <float>0.3749977191751501)
        p = fma_f32(p, e, <float>0.4999983470446177)
        y = fma_f32(y * e, p, y)
        y = value_f32(bits_f32(x) ^ <uint32_t>0x7F800000) if x + x == x else y
        y = <float>NAN if x < <float>0.0 else y
    return y


cdef inline uint64_t mixed(uint64_t x) noexcept nogil:
    # the finalizer of SplitMix64 (Steele, Lea and Flood 2014)
    x = (x ^ (x >> 30)) * <uint64_t>0xBF58476D1CE4E5B9
    x = (x ^ (x >> 27)) * <uint64_t>0x94D049BB133111EB
    return x ^ (x >> 31)


cdef inline floating lane_sum(const floating* a) noexcept nogil:
    # sixteen lanes in a fixed tree
    cdef floating[8] b
    cdef floating[4] c
    cdef int i
    for i in range(8):
        b[i] = a[i] + a[i + 8]
    for i in range(4):
        c[i] = b[i] + b[i + 4]
    return (c[0] + c[2]) + (c[1] + c[3])


cdef inline double block_sum(double* v, Py_ssize_t n) noexcept nogil:
    # up to BLOCK numbers, filled up with zeros, in a tree of fixed shape; v is used up
    cdef Py_ssize_t i, size = 32
    if n == 1:
        return v[0]
    while size < n:
        size *= 2
    for i in range(n, size):
        v[i] = 0
    if size > 128:
        for i in range(128):    # hot
            v[i] += v[i + 128]
    if size > 64:
        for i in range(64):    # hot
            v[i] += v[i + 64]
    if size > 32:
        for i in range(32):    # hot
            v[i] += v[i + 32]
    for i in range(LANES):
        v[i] += v[i + LANES]
    return lane_sum[double](v)


cdef struct sum_t:
    double total
    double rest


cdef struct lanes_t:        # sixteen sums, each compensated as sum_t is
    double[16] total
    double[16] rest


cdef inline void add(sum_t* s, double x) noexcept nogil:
    # a compensated sum: rest holds what each addition to the total lost
    cdef double t = s.total + x
    cdef double a = t - s.total
    # an infinite total has no rest: inf - inf would turn it into NaN
    s.rest += ((s.total - (t - a)) + (x - a)) if fabs_f64(t) < INF else 0.0
    s.total = t


cdef inline void add_lanes(sum_t* s, const lanes_t* lanes) noexcept nogil:
    """Sixteen sums in a fixed tree, the rest of each addition kept."""
    cdef double[LANES] a
    cdef double[LANES] rest
    cdef double t, d
    cdef int i, width = LANES // 2
    for i in range(LANES):
        a[i] = lanes.total[i]
        rest[i] = lanes.rest[i]
    while width:
        for i in range(width):
            t = a[i] + a[i + width]
            d = t - a[i]
            rest[i] = (rest[i] + rest[i + width]) + ((a[i] - (t - d)) + (a[i + width] - d))
            a[i] = t
        width //= 2
    add(s, a[0])
    s.rest += rest[0] if fabs_f64(a[0]) < INF else 0.0


cdef inline void add_numbers(Py_ssize_t n, const floating* x, sum_t* s) noexcept nogil:
    cdef double[BLOCK] v
    cdef Py_ssize_t b, i, m
    for b in range((n + BLOCK - 1) // BLOCK):
        m = min(<Py_ssize_t>BLOCK, n - b * BLOCK)
        for i in range(m):
            v[i] = <double>x[b * BLOCK + i]
        add(s, block_sum(v, m))


cdef inline double numbers_sum(Py_ssize_t n, const floating* x) noexcept nogil:
    """Any number of numbers, in double."""
    cdef sum_t s
    s.total = s.rest = 0
    add_numbers[floating](n, x, &s)
    return s.total + s.rest


cdef inline void add_squares(Py_ssize_t n, const floating* x, const int64_t* places, sum_t* s) noexcept nogil:
    """The squares of n numbers; with places, in ascending order, those of many that are zero elsewhere: the same sum."""
    cdef double[LANES] total
    cdef double[LANES] rest
    cdef double v, t
    cdef Py_ssize_t b, i, j, m = n % LANES
    if n == 1:
        add(s, <double>x[0] * <double>x[0])
        return
    for i in range(LANES):
        total[i] = 0
        rest[i] = 0
    if places != NULL:
        for j in range(n):
            i = places[j] & (LANES - 1)
            v = <double>x[j] * <double>x[j]
            t = total[i] + v
            rest[i] += v - (t - total[i])
            total[i] = t
    else:
        for b in range(n // LANES):
            for i in range(LANES):    # hot
                v = <double>x[b * LANES + i] * <double>x[b * LANES + i]
                t = total[i] + v
                rest[i] += v - (t - total[i])
                total[i] = t
        if m:
            for i in range(LANES):
                v = 0
                if i < m:
                    v = <double>x[n - m + i]
                t = total[i] + v * v
                rest[i] += v * v - (t - total[i])
                total[i] = t
    v = lane_sum[double](total)
    add(s, v)
    # a total that is infinite has no rest
    s.rest += lane_sum[double](rest) if v < INF else 0.0


cdef inline bint calm(Py_ssize_t n, const floating* x) noexcept nogil:
    """Whether the squares of n numbers have a finite sum for sure, found faster than the sum."""
    cdef floating[LANES] a
    cdef floating v, zero = 0, most = 1e155 if floating is double else 1
    cdef Py_ssize_t b, i, m = n % LANES
    if n == 1:
        v = x[0] * most
        return v - v == zero
    for i in range(LANES):
        a[i] = 0
    # what is not finite, or would not be so many times as large, leaves a NaN
    for b in range(n // LANES):
        for i in range(LANES):    # hot
            v = x[b * LANES + i] * most
            a[i] += v - v
    if m:
        for i in range(LANES):
            v = 0
            if i < m:
                v = x[n - m + i] * most
            a[i] += v - v
    return lane_sum[floating](a) == zero
