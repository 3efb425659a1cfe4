"""Penalties over buffers, and how they close a step. Doors to penalties.pxd, one module a level."""

from cpython.buffer cimport Py_buffer
from cython cimport floating
from libc.math cimport sqrt
from libc.stdint cimport int64_t
from libc.string cimport memset

from lossopt._kernels.abi cimport Closing, close_f32, close_f64, closing_t, hold, release
from lossopt._kernels.math cimport BLOCK, INF, add, block_sum, fabs, sum_t
from lossopt._kernels.penalties cimport *


cdef Closing made(void* f64, void* f32, gains, factors, members, begins, double low, double high):
    cdef closing_t c
    memset(&c, 0, sizeof(c))
    c.close64, c.close32, c.low, c.high = <close_f64>f64, <close_f32>f32, low, high
    return Closing.of(&c, gains, factors, members, begins)


cdef double worth(Py_ssize_t n, const floating* w, const floating* factors, double l1, double l2) noexcept nogil:
    cdef sum_t s
    cdef double[BLOCK] v
    cdef Py_ssize_t b, i, m
    s.total = s.rest = 0
    for b in range((n + BLOCK - 1) // BLOCK):
        m = min(<Py_ssize_t>BLOCK, n - b * BLOCK)
        # a part that is absent is not computed: it stays absent beside an infinite weight
        if l1 != 0:
            for i in range(m):    # hot
                v[i] = l1 * <double>fabs[floating](w[b * BLOCK + i])
            if factors != NULL:
                for i in range(m):    # hot
                    v[i] *= <double>factors[b * BLOCK + i]
            add(&s, block_sum(v, m))
        if l2 != 0:
            for i in range(m):    # hot
                v[i] = l2 * (<double>w[b * BLOCK + i] * <double>w[b * BLOCK + i])
            if factors != NULL:
                for i in range(m):    # hot
                    v[i] *= <double>factors[b * BLOCK + i]
            add(&s, block_sum(v, m))
    return s.total + s.rest


def value(w, factors, double l1, double l2, /):
    """sum factors * (l1 * |w| + l2 * w**2), in double; factors has w's size, or is None for ones."""
    cdef Py_buffer[2] b
    cdef double result = 0
    if l1 == 0 and l2 == 0:
        return result
    hold(b, (w, factors), ())
    try:
        with nogil:
            if b[0].itemsize == 8:
                result = worth[double](b[0].len // 8, <const double*>b[0].buf, <const double*>b[1].buf, l1, l2)
            else:
                result = worth[float](b[0].len // 4, <const float*>b[0].buf, <const float*>b[1].buf, l1, l2)
    finally:
        release(b, 2)
    return result


cdef void gradients(Py_ssize_t n, const floating* w, const floating* factors, floating* g, double l1, double l2) noexcept nogil:
    cdef Py_ssize_t i
    cdef floating a = <floating>l1, q = <floating>l2
    if factors == NULL:
        for i in range(n):    # hot
            g[i] = subgradient[floating](w[i], g[i], a, q)
    else:
        for i in range(n):    # hot
            g[i] = subgradient[floating](w[i], g[i], a * factors[i], q * factors[i])


cdef Py_ssize_t sweep(Py_ssize_t m, const double* h, double* g, double* w, const double* l1, double tol,
                      Py_ssize_t most) noexcept nogil:
    cdef const double* row
    cdef double new, delta, pull, worst
    cdef Py_ssize_t s, i, j
    for s in range(most):
        worst = 0
        for j in range(m):
            row = h + j * m
            if row[j] <= 0:
                continue
            new = w[j] - g[j] / row[j]
            pull = l1[j] / row[j]
            new = new - pull if new > pull else new + pull if new < -pull else 0.0
            delta = new - w[j]
            w[j] = new
            if delta != 0:
                for i in range(m):    # hot 1
                    g[i] += delta * row[i]
                worst = max(worst, fabs[double](delta) * row[j])
        if worst <= tol:
            return s + 1
    return most


def coordinates(h, g, w, l1, double tol, Py_ssize_t most, /):
    """Least g.v + v.h.v / 2 + sum l1 |w + v|, a coordinate after the other: w becomes w + v, and g the gradient there.

    Ends when no coordinate moved its gradient by more than tol, or after so many sweeps; returns how many it took. A
    coordinate without curvature stays where it is.
    """
    cdef Py_buffer[4] b
    cdef Py_ssize_t sweeps, m = len(w)
    hold(b, (h, l1), (g, w))
    try:
        if not b[0].len == 8 * m * m or not b[1].len == b[2].len == b[3].len == 8 * m:
            raise ValueError("h, g, w and l1 must match")
        with nogil:
            sweeps = sweep(m, <const double*>b[0].buf, <double*>b[2].buf, <double*>b[3].buf, <const double*>b[1].buf, tol,
                           most)
        return sweeps if m else 0
    finally:
        release(b, 4)


def add_grad(w, factors, grad, double l1, double l2, /):
    """grad becomes the least subgradient of itself plus the penalty."""
    cdef Py_buffer[3] b
    hold(b, (w, factors), (grad,))
    try:
        with nogil:
            if b[0].itemsize == 8:
                gradients[double](b[0].len // 8, <const double*>b[0].buf, <const double*>b[1].buf, <double*>b[2].buf, l1, l2)
            else:
                gradients[float](b[0].len // 4, <const float*>b[0].buf, <const float*>b[1].buf, <float*>b[2].buf, l1, l2)
    finally:
        release(b, 3)


cdef void proximal(Py_ssize_t n, floating* w, const floating* factors, double l1, double l2) noexcept nogil:
    cdef Py_ssize_t i
    cdef floating one = 1, a = <floating>l1, q = <floating>(2 * l2)
    if factors == NULL:
        for i in range(n):    # hot
            w[i] = soft[floating](w[i], a) / (one + q)
    else:
        for i in range(n):    # hot
            w[i] = soft[floating](w[i], a * factors[i]) / (one + q * factors[i])


def prox(w, factors, double l1, double l2, /):
    """w becomes soft(w, l1 * factors) / (1 + 2 * l2 * factors)."""
    cdef Py_buffer[2] b
    hold(b, (factors,), (w,))
    try:
        with nogil:
            if b[1].itemsize == 8:
                proximal[double](b[1].len // 8, <double*>b[1].buf, <const double*>b[0].buf, l1, l2)
            else:
                proximal[float](b[1].len // 4, <float*>b[1].buf, <const float*>b[0].buf, l1, l2)
    finally:
        release(b, 2)


cdef void close_soft(const closing_t* c, double l1, Py_ssize_t n, floating* w, const floating* gains) noexcept nogil:
    cdef const floating* factors = <const floating*>c.factors
    cdef floating a = <floating>l1
    cdef Py_ssize_t i
    for i in range(n):    # hot
        w[i] = soft[floating](w[i], a * factors[i] * gains[i])


def soft_closing(gains, factors, /):
    """The soft threshold with a factor a coordinate."""
    return made(<void*>close_soft[double], <void*>close_soft[float], gains, factors, None, None, 0, 0)


# ---- a box

cdef void close_box(const closing_t* c, double l1, Py_ssize_t n, floating* w, const floating* gains) noexcept nogil:
    cdef floating low = <floating>c.low, high = <floating>c.high, zero = 0, x
    cdef Py_ssize_t i
    if l1 != 0:
        # on each coordinate alone the nearest point to the inner penalty's step is the step of both
        close_soft[floating](c, l1, n, w, gains)
    for i in range(n):    # hot
        # comparisons let NaN be, and adding zero turns -0.0 into +0.0
        x = low if w[i] < low else w[i]
        w[i] = (high if x > high else x) + zero


def box_closing(gains, factors, double low, double high, /):
    """The nearest point of [low, high], in any metric, after the soft threshold with a factor a coordinate."""
    return made(<void*>close_box[double], <void*>close_box[float], gains, factors, None, None, low, high)


cdef void box_gradients(Py_ssize_t n, const floating* w, floating* g, floating low, floating high) noexcept nogil:
    cdef Py_ssize_t i
    cdef floating zero = 0, x
    for i in range(n):    # hot
        x = g[i]
        x = zero if w[i] <= low and x > zero else x
        g[i] = zero if w[i] >= high and x < zero else x


def box_add_grad(w, grad, double low, double high, /):
    """grad loses what pushes a weight that stands at a side out of the box."""
    cdef Py_buffer[2] b
    hold(b, (w,), (grad,))
    try:
        with nogil:
            if b[0].itemsize == 8:
                box_gradients[double](b[0].len // 8, <const double*>b[0].buf, <double*>b[1].buf, low, high)
            else:
                box_gradients[float](b[0].len // 4, <const float*>b[0].buf, <float*>b[1].buf, <float>low, <float>high)
    finally:
        release(b, 2)


# ---- groups

cdef double length(const int64_t* members, Py_ssize_t m, const floating* x) noexcept nogil:
    cdef double s = 0, v
    cdef Py_ssize_t j
    for j in range(m):
        v = <double>x[members[j]]
        s += v * v
    return sqrt(s)


cdef double groups_worth(const closing_t* c, const floating* w) noexcept nogil:
    cdef const floating* factors = <const floating*>c.factors
    cdef const int64_t* members
    cdef sum_t s
    cdef Py_ssize_t j
    s.total = s.rest = 0
    for j in range(c.groups if c.begins[c.groups] else 0):
        members = c.members + c.begins[j]
        add(&s, <double>factors[members[0]] * length[floating](members, c.begins[j + 1] - c.begins[j], w))
    return s.total + s.rest


cdef void groups_gradients(const closing_t* c, double l1, const floating* w, floating* g) noexcept nogil:
    cdef const floating* factors = <const floating*>c.factors
    cdef const int64_t* members
    cdef Py_ssize_t i, j, m
    cdef double a, size
    for j in range(c.groups if c.begins[c.groups] else 0):
        members, m = c.members + c.begins[j], c.begins[j + 1] - c.begins[j]
        a, size = l1 * <double>factors[members[0]], length[floating](members, m, w)
        if size == 0:
            # at the kink the penalty takes from the gradient what it can
            size = length[floating](members, m, g)
            size = 1 - a / size if size > a else size - size
            for i in range(m):
                # adding zero turns -0.0 into +0.0
                g[members[i]] = <floating>size * g[members[i]] + <floating>0
        else:
            for i in range(m):
                g[members[i]] += <floating>(a / size) * w[members[i]]


cdef void close_groups(const closing_t* c, double l1, Py_ssize_t n, floating* w, const floating* gains) noexcept nogil:
    """w / (1 + gains * l1 / s) where s is the length that comes out: the root of sum (w / (s + gains * l1))**2 = 1, by
    Newton's method on one over the root of that sum, which is straight where the gains are alike; no root: zero."""
    cdef const floating* factors = <const floating*>c.factors
    cdef const int64_t* members
    cdef Py_ssize_t i, j, m
    cdef double a, s, step, square, cube, x, y
    for j in range(c.groups if c.begins[c.groups] else 0):
        members, m = c.members + c.begins[j], c.begins[j + 1] - c.begins[j]
        a, s = l1 * <double>factors[members[0]], 0
        for _ in range(64):
            square = cube = 0
            for i in range(m):
                x, y = <double>w[members[i]], s + a * <double>gains[members[i]]
                # what is not there stays so, also without a gain
                x = 0 if x == 0 else x / y
                square += x * x
                cube += 0 if x == 0 else x * x / y
            if square <= 1 and s == 0:
                break
            if not square < INF:
                # no gain, or nothing finite: Newton's first step from the length itself
                s = length[floating](members, m, w)
                if a == 0 or not s < INF:
                    break
                continue
            step = (square * sqrt(square) - square) / cube
            # from the right of the root a step may go too far
            s = max(s + step, s / 2)
            if fabs[double](step) <= 1e-15 * s:
                break
        for i in range(m):
            x = <double>w[members[i]]
            w[members[i]] = <floating>(0 if s == 0 else x * (s / (s + a * <double>gains[members[i]])) + 0.0)


def group_closing(gains, factors, members, begins, /):
    """Groups of coordinates drawn towards zero together: members holds theirs, one group after the other, and begins where
    each begins, and where the last one ends."""
    return made(<void*>close_groups[double], <void*>close_groups[float], gains, factors, members, begins, 0, 0)


def group_value(Closing groups not None, w, /):
    """sum of the groups' factor * length."""
    cdef Py_buffer[1] b
    cdef double result
    hold(b, (w,), ())
    try:
        with nogil:
            if b[0].itemsize == 8:
                result = groups_worth[double](&groups.c, <const double*>b[0].buf)
            else:
                result = groups_worth[float](&groups.c, <const float*>b[0].buf)
    finally:
        release(b, 1)
    return result


def group_add_grad(Closing groups not None, w, grad, double l1, /):
    """grad becomes the least subgradient of itself plus l1 times the groups' lengths."""
    cdef Py_buffer[2] b
    hold(b, (w,), (grad,))
    try:
        with nogil:
            if b[0].itemsize == 8:
                groups_gradients[double](&groups.c, l1, <const double*>b[0].buf, <double*>b[1].buf)
            else:
                groups_gradients[float](&groups.c, l1, <const float*>b[0].buf, <float*>b[1].buf)
    finally:
        release(b, 2)


def close(Closing closing not None, w, double l1, /):
    """The closing alone, with the gains that stand in it."""
    cdef Py_buffer[1] b
    hold(b, (), (w,))
    try:
        with nogil:
            if b[0].itemsize == 8:
                closing.c.close64(&closing.c, l1, b[0].len // 8, <double*>b[0].buf, <const double*>closing.c.gains)
            else:
                closing.c.close32(&closing.c, l1, b[0].len // 4, <float*>b[0].buf, <const float*>closing.c.gains)
    finally:
        release(b, 1)
