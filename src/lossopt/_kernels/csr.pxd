# The pieces of a pass over CSR, header only: row r of X is x[begin[r]:end[r]] in the columns at[begin[r]:end[r]], in any
# order. Any number of outputs: the weights of a feature stand side by side, and so do the sums of its gradient.

from cython cimport floating
from libc.stdint cimport int32_t, int64_t, uint64_t

from lossopt._kernels.abi cimport sparse_t
from lossopt._kernels.losses cimport ROWS
from lossopt._kernels.math cimport ctz, fma, prefetch

cdef enum:
    SIDE = 8            # outputs at a time, in registers
    SPAN = 256          # features at a time where weights or gradients are turned
    AHEAD = 8           # rows between the one at work and the one that is fetched,
    FETCHED = 64        # so many numbers of it: the processor goes on by itself

ctypedef fused index_t:
    int32_t
    int64_t


cdef inline floating sparse_dot(Py_ssize_t m, const floating* x, const index_t* at, const floating* w) noexcept nogil:
    """A row of m numbers times one vector, in four chains."""
    cdef floating a0 = 0, a1 = 0, a2 = 0, a3 = 0
    cdef Py_ssize_t p = 0
    while p + 4 <= m:
        a0 = fma[floating](x[p], w[at[p]], a0)
        a1 = fma[floating](x[p + 1], w[at[p + 1]], a1)
        a2 = fma[floating](x[p + 2], w[at[p + 2]], a2)
        a3 = fma[floating](x[p + 3], w[at[p + 3]], a3)
        p += 4
    for p in range(p, m):
        a0 = fma[floating](x[p], w[at[p]], a0)
    return (a0 + a1) + (a2 + a3)


cdef inline void sparse_dots(Py_ssize_t m, Py_ssize_t d, Py_ssize_t k, const floating* x, const index_t* at,
                             const floating* w, const floating* side, floating* z) noexcept nogil:
    """A row of m numbers times k vectors, a chain each: w (k, d), or side (d, k) with SIDE numbers to spare, or NULL."""
    cdef floating[SIDE] a
    cdef const floating* v
    cdef Py_ssize_t c = 0, i, p
    if side == NULL:
        for c in range(k):
            a[0] = 0
            for p in range(m):
                a[0] = fma[floating](x[p], w[c * d + at[p]], a[0])
            z[c] = a[0]
        return
    while c < k:
        for i in range(SIDE):
            a[i] = 0
        for p in range(m):
            v = side + at[p] * k + c
            for i in range(SIDE):
                a[i] = fma[floating](x[p], v[i], a[i])
        for i in range(min(<Py_ssize_t>SIDE, k - c)):
            z[c + i] = a[i]
        c += SIDE


cdef inline void sparse_forward(Py_ssize_t n, Py_ssize_t more, Py_ssize_t d, Py_ssize_t k, const floating* x,
                                const index_t* at, const int64_t* begin, const int64_t* end, const floating* w,
                                const floating* side, const floating* bias, floating* z) noexcept nogil:
    """z (n, k) = n rows times w (k, d) transposed, plus bias (k,) or NULL; `more` rows follow."""
    cdef Py_ssize_t c, p, r
    for r in range(n):
        if r + AHEAD < n + more:
            p = begin[r + AHEAD]
            while p < min(end[r + AHEAD], begin[r + AHEAD] + FETCHED):
                prefetch(x + p)
                prefetch(at + p)
                p += 8
        p = begin[r]
        if k == 1:
            z[r] = sparse_dot[floating, index_t](end[r] - p, x + p, at + p, w)
        else:
            sparse_dots[floating, index_t](end[r] - p, d, k, x + p, at + p, w, side, z + r * k)
        if bias != NULL:
            for c in range(k):
                z[r * k + c] += bias[c]


cdef inline Py_ssize_t sparse_count(Py_ssize_t n, const int64_t* begin, const int64_t* end) noexcept nogil:
    cdef Py_ssize_t r, total = 0
    for r in range(n):
        total += end[r] - begin[r]
    return total


cdef inline void sparse_turn(const sparse_t* t, const floating* like) noexcept nogil:
    """Fill side, if there is one, with weight (k, d)."""
    cdef const floating* w = <const floating*>t.weight
    cdef floating* side = <floating*>t.side
    cdef Py_ssize_t c, j, s = 0
    if side == NULL:
        return
    for j in range(SIDE):
        side[t.d * t.k + j] = 0
    while s < t.d:
        for c in range(t.k):
            for j in range(s, min(s + SPAN, t.d)):
                side[j * t.k + c] = w[c * t.d + j]
        s += SPAN


cdef inline void sparse_gather(const sparse_t* t, Py_ssize_t start, const floating* like) noexcept nogil:
    """Add the chunks' gradients of SPAN features, always in the same order, and turn them to (k, d)."""
    cdef floating* grad = <floating*>t.grad_weight
    cdef double* first = t.partials
    cdef double* other
    cdef Py_ssize_t c, i, j, stop = min(start + SPAN, t.d)
    for c in range(1, t.count):
        other = t.partials + c * t.each
        for i in range(start * t.k, stop * t.k):    # hot
            first[i] += other[i]
    for c in range(t.k):
        for j in range(start, stop):
            grad[c * t.d + j] = <floating>first[j * t.k + c]


cdef inline Py_ssize_t sparse_columns(const sparse_t* t, const index_t* at, int64_t* columns) noexcept nogil:
    """The columns that the rows touch, each once, in order; at most as many as there are numbers."""
    cdef uint64_t* marks = t.marks
    cdef uint64_t* words = marks + t.d // 64 + 1
    cdef uint64_t bits, one = 1
    cdef int64_t last = -1, j
    cdef Py_ssize_t i, p, r, word, m = 0
    if t.n == 1:
        at += t.begin[0]
        m = t.end[0] - t.begin[0]
        for i in range(m):
            if at[i] <= last:
                break
            last = at[i]
            columns[i] = last
        else:
            return m
        at -= t.begin[0]
        m = 0
    for r in range(t.n):
        for p in range(t.begin[r], t.end[r]):
            j = at[p]
            marks[j >> 6] |= one << (j & 63)
            words[j >> 12] |= one << ((j >> 6) & 63)
    for i in range(t.d // 4096 + 1):
        while words[i]:
            word = 64 * i + ctz(words[i])
            words[i] &= words[i] - 1
            bits = marks[word]
            marks[word] = 0
            while bits:
                columns[m] = 64 * word + ctz(bits)
                bits &= bits - 1
                m += 1
    return m
