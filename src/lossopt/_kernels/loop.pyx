"""A stretch of training without the interpreter: the order of the rows, and batch -> gradient -> update, many times.

Built once, for no level: it holds no loss, no optimizer and no arithmetic of rows, but calls the chosen level's kernels by
the addresses that abi objects carry, the same that the Python loop calls. So both give the same bits.
"""

from cpython.buffer cimport Py_buffer
from cython cimport floating
from libc.math cimport INFINITY, sqrt
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from lossopt._kernels.abi cimport HYPERS, Arrays, Loss, Pass, Update, folded_t, hold, release
from lossopt._kernels.math cimport add_squares, mixed, numbers_sum, prefetch, sum_t

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


# ---- training

cdef struct plan_t:
    # shapes: rows of X, features, outputs; of a batch; batches an update
    Py_ssize_t n
    Py_ssize_t d
    Py_ssize_t k
    Py_ssize_t batch
    Py_ssize_t accumulate
    Py_ssize_t batches          # in the epoch
    Py_ssize_t item             # bytes of a row's target
    bint mean                   # the loss divides by the window's mass
    double terms                # of the mean, a row
    double max_norm             # infinity: no clipping
    double[2] l1                # of weight and bias
    double[2] l2

cdef struct state_t:
    # where a stretch stands; carried from one to the next
    Py_ssize_t window           # the next one
    int64_t steps               # updates done, ever
    double total                # running sums of the epoch
    double mass
    double norm                 # of the last update's gradient
    int64_t stopped             # 0: went on to the end; 1: something is not finite, in the window where it stands


cdef void gather(const plan_t* p, const int64_t* order, Py_ssize_t m, Py_ssize_t left, const floating* x, const char* y,
                 const floating* weight, floating* to_x, char* to_y, floating* to_weight) noexcept nogil:
    """The m rows of a batch; short rows are asked for ahead of their use, those of later batches too (left: to the end)."""
    cdef Py_ssize_t i, line, bytes_ = p.d * <Py_ssize_t>sizeof(floating)
    cdef Py_ssize_t ahead = 16 if bytes_ <= 512 else 0
    cdef const char* next_
    for i in range(m):
        if ahead and i + ahead < left:
            next_ = <const char*>(x + order[i + ahead] * p.d)
            for line in range(0, bytes_, 64):
                prefetch(next_ + line)
            prefetch(next_ + bytes_ - 1)
        memcpy(to_x + i * p.d, x + order[i] * p.d, bytes_)
        if p.item == 8:
            memcpy(to_y + 8 * i, y + 8 * order[i], 8)
        else:
            memcpy(to_y + i * p.item, y + order[i] * p.item, p.item)
        if weight != NULL:
            to_weight[i] = weight[order[i]]


cdef double weighed(const plan_t* p, Py_ssize_t m, const floating* weight) noexcept nogil:
    """What the mean over m rows divides by."""
    return p.terms * (<double>m if weight == NULL else numbers_sum[floating](m, weight))


cdef void run(const plan_t* p, state_t* at, Py_ssize_t windows, Pass objective, Loss loss, Update update, const floating* x,
              const char* y, const floating* weight, const int64_t* order, const double* hyper, Arrays params, Arrays grads,
              Arrays more, Arrays state, floating* batch_x, char* batch_y, floating* batch_weight, double* scratch,
              double* told) noexcept nogil:
    """Windows from at.window on, at most so many. told gets, a window, the sum of the loss, the mass and the norm."""
    cdef Py_ssize_t a, b, first, i, j, m, row, done = 0
    cdef floating* grad
    cdef floating* extra
    cdef const floating* wx
    cdef const char* wy
    cdef const floating* ww
    cdef double mass, scale, total, part
    cdef double[HYPERS] constants
    cdef folded_t folded
    cdef double decay
    cdef sum_t square
    while done < windows:
        first = at.window * p.accumulate
        b = min(p.accumulate, p.batches - first)
        # the mass of the whole window comes first: every batch of it is divided by that
        mass = 0
        row = first * p.batch
        if b > 1:
            for _ in range(b):
                m = min(p.batch, p.n - row)
                ww = weight
                if weight != NULL and order != NULL:
                    for i in range(m):
                        batch_weight[i] = weight[order[row + i]]
                    ww = batch_weight
                elif weight != NULL:
                    ww = weight + row
                mass += weighed[floating](p, m, ww)
                row += m
        row = first * p.batch
        total = 0
        for a in range(b):
            m = min(p.batch, p.n - row)
            if order == NULL:
                wx, wy, ww = x + row * p.d, y + row * p.item, weight
                if weight != NULL:
                    ww = weight + row
            else:
                gather[floating](p, order + row, m, p.n - row, x, y, weight, batch_x, batch_y, batch_weight)
                wx, wy, ww = batch_x, batch_y, weight
                if weight != NULL:
                    ww = batch_weight
            if b == 1:
                mass = weighed[floating](p, m, ww)
            scale = (1.0 / mass if mass != 0 else 0.0) if p.mean else 1.0
            grad = <floating*>grads.data[0]
            extra = <floating*>grads.data[1]
            if a > 0:
                grad = <floating*>more.data[0]
                extra = <floating*>more.data[1]
            if floating is double:
                part = objective.pass64(loss, m, p.d, p.k, wx, wy, ww, <const double*>params.data[0],
                                        <const double*>params.data[1], scale, grad, extra, scratch)
            else:
                part = objective.pass32(loss, m, p.d, p.k, wx, wy, ww, <const float*>params.data[0],
                                        <const float*>params.data[1], scale, grad, extra, scratch)
            total += part
            if a > 0:
                for i in range(2):
                    grad = <floating*>grads.data[i]
                    extra = <floating*>more.data[i]
                    for j in range(grads.sizes[i]):
                        grad[j] += extra[j]
            row += m
        told[3 * done] = total
        told[3 * done + 1] = mass
        # a window whose rows all have weight 0 is no window
        if mass != 0:
            square.total = square.rest = 0
            for i in range(2):
                add_squares[floating](grads.sizes[i], <const floating*>grads.data[i], &square)
            part = sqrt(square.total + square.rest)
            told[3 * done + 2] = part
            if not (total - total == 0 and part - part == 0):
                at.stopped = 1
                return
            folded.scale = 1
            folded.clip = INFINITY
            if p.max_norm < INFINITY:
                folded.scale = min(1.0, p.max_norm / (part + 1e-6))
            at.steps += 1
            decay = update.prepare(hyper, at.steps, constants)
            hyper += update.hypers
            for i in range(2):
                folded.l1 = p.l1[i]
                folded.decay = decay + 2 * p.l2[i]
                if floating is double:
                    update.update64(update, &folded, constants, params.sizes[i], <double*>params.data[i],
                                    <const double*>grads.data[i], <double**>&state.data[i * update.slots])
                else:
                    update.update32(update, &folded, constants, params.sizes[i], <float*>params.data[i],
                                    <const float*>grads.data[i], <float**>&state.data[i * update.slots])
            at.total += total
            at.mass += mass
            at.norm = part
        at.window += 1
        done += 1


cdef class Stretch:
    """One fit's arrays and buffers, and where it stands."""

    cdef plan_t plan
    cdef state_t at
    cdef Pass objective
    cdef Loss loss
    cdef Update update
    cdef Arrays params
    cdef Arrays grads
    cdef Arrays more
    cdef Arrays state
    cdef Py_buffer[3] data          # X, y, sample weights
    cdef bint held
    cdef int itemsize
    cdef char* room                 # the batch's rows, targets and weights, and the pass's scratch
    cdef size_t[3] offsets

    def __cinit__(self, Pass objective not None, Loss loss not None, Update update not None, Arrays params not None,
                  Arrays grads not None, Arrays more not None, Arrays state not None, X, y, sample_weight, Py_ssize_t k,
                  Py_ssize_t batch, Py_ssize_t accumulate, Py_ssize_t batches, bint shuffled, bint mean, double terms,
                  double max_norm, tuple l1, tuple l2):
        cdef plan_t* p = &self.plan
        cdef size_t size, room = batch if shuffled else 0       # rows that are gathered
        self.objective, self.loss, self.update = objective, loss, update
        self.params, self.grads, self.more, self.state = params, grads, more, state
        if not params.count == grads.count == more.count == 2 or state.count != 2 * update.slots:
            raise ValueError("params, grads and state must match")
        hold(self.data, (X, y, sample_weight), ())
        self.held = True
        self.itemsize = params.itemsize
        p.n, p.d = X.shape
        p.k, p.batch, p.accumulate, p.batches = k, batch, accumulate, batches
        p.item = loss.target_size if loss.target_size else k * self.itemsize
        p.mean, p.terms, p.max_norm = mean, terms, max_norm
        p.l1[0], p.l1[1] = l1
        p.l2[0], p.l2[1] = l2
        # each part on a cache line of its own
        self.offsets[0] = (room * p.d * self.itemsize + 127) // 64 * 64
        self.offsets[1] = self.offsets[0] + (room * p.item + 127) // 64 * 64
        self.offsets[2] = self.offsets[1] + (room * self.itemsize + 127) // 64 * 64
        size = self.offsets[2] + objective.scratch_size(batch, p.d, k) * sizeof(double)
        self.room = <char*>malloc(size)
        if self.room == NULL:
            raise MemoryError

    def __dealloc__(self):
        if self.held:
            release(self.data, 3)
        free(self.room)

    @property
    def steps(self):
        return self.at.steps

    @property
    def window(self):
        return self.at.window

    @property
    def norm(self):
        return self.at.norm

    @property
    def total(self):
        return self.at.total

    @property
    def mass(self):
        return self.at.mass

    def begin(self, int64_t steps):
        """A new epoch, after so many updates."""
        self.at.window = 0
        self.at.steps = steps
        self.at.total = self.at.mass = 0

    def skip(self):
        """Leave out the window where it stands."""
        self.at.window += 1

    def run(self, order, hyper, told, Py_ssize_t windows):
        """So many windows, with a row of hyper for each update; False where the loss or a gradient is not finite, with
        nothing updated from it."""
        cdef Py_buffer[3] b
        cdef char* room = self.room
        hold(b, (order, hyper), (told,))
        self.at.stopped = 0
        try:
            with nogil:
                if self.itemsize == 8:
                    run[double](&self.plan, &self.at, windows, self.objective, self.loss, self.update,
                                <const double*>self.data[0].buf, <const char*>self.data[1].buf,
                                <const double*>self.data[2].buf, <const int64_t*>b[0].buf, <const double*>b[1].buf,
                                self.params, self.grads, self.more, self.state, <double*>room, room + self.offsets[0],
                                <double*>(room + self.offsets[1]), <double*>(room + self.offsets[2]), <double*>b[2].buf)
                else:
                    run[float](&self.plan, &self.at, windows, self.objective, self.loss, self.update,
                               <const float*>self.data[0].buf, <const char*>self.data[1].buf,
                               <const float*>self.data[2].buf, <const int64_t*>b[0].buf, <const double*>b[1].buf,
                               self.params, self.grads, self.more, self.state, <float*>room, room + self.offsets[0],
                               <float*>(room + self.offsets[1]), <double*>(room + self.offsets[2]), <double*>b[2].buf)
        finally:
            release(b, 3)
        return not self.at.stopped
