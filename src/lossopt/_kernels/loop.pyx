"""What a stretch of training does without the interpreter: the order of the rows."""

from cpython.buffer cimport Py_buffer
from libc.stdint cimport int64_t, uint32_t, uint64_t

from lossopt._kernels.abi cimport hold, release


cdef inline uint64_t mixed(uint64_t x) noexcept nogil:
    # the finalizer of SplitMix64 (Steele, Lea and Flood 2014)
    x = (x ^ (x >> 30)) * <uint64_t>0xBF58476D1CE4E5B9
    x = (x ^ (x >> 27)) * <uint64_t>0x94D049BB133111EB
    return x ^ (x >> 31)


cdef inline uint64_t drawn(uint64_t* state) noexcept nogil:
    state[0] += <uint64_t>0x9E3779B97F4A7C15
    return mixed(state[0])


cdef inline uint64_t below(uint64_t* state, uint64_t bound) noexcept nogil:
    """A number from 0 to bound - 1, each as likely: Lemire's product where 32 bits are enough, else rejection."""
    cdef uint64_t product, mask
    cdef uint32_t low, least
    if bound <= <uint64_t>0xFFFFFFFF:
        product = (drawn(state) >> 32) * bound
        low = <uint32_t>product
        if low < bound:
            least = <uint32_t>(-<uint32_t>bound) % <uint32_t>bound
            while low < least:
                product = (drawn(state) >> 32) * bound
                low = <uint32_t>product
        return product >> 32
    mask = bound - 1
    mask |= mask >> 1
    mask |= mask >> 2
    mask |= mask >> 4
    mask |= mask >> 8
    mask |= mask >> 16
    mask |= mask >> 32
    product = drawn(state) & mask
    while product >= bound:
        product = drawn(state) & mask
    return product


cdef void shuffle(int64_t* order, Py_ssize_t n, uint64_t seed, uint64_t epoch) noexcept nogil:
    cdef uint64_t state = mixed(seed) ^ mixed(mixed(epoch) + <uint64_t>0x9E3779B97F4A7C15)
    cdef Py_ssize_t i, j
    cdef int64_t kept
    for i in range(n):
        order[i] = i
    for i in range(n - 1, 0, -1):
        j = <Py_ssize_t>below(&state, <uint64_t>i + 1)
        kept = order[i]
        order[i] = order[j]
        order[j] = kept


def permutation(order, uint64_t seed, uint64_t epoch):
    """Fill order, int64, with 0 ... n - 1 as seed and epoch alone shuffle them, on every platform."""
    cdef Py_buffer[1] b
    hold(b, (), (order,))
    try:
        with nogil:
            shuffle(<int64_t*>b[0].buf, b[0].len // 8, seed, epoch)
    finally:
        release(b, 1)
