"""A stretch of training without the interpreter: the order of the rows, and batch -> gradient -> update, many times.

Built once, for no level: it holds no loss, no optimizer and no arithmetic of rows, but calls the chosen level's kernels by
the addresses that abi objects carry, the same that the Python loop calls. So both give the same bits.
"""

from cpython.buffer cimport Py_buffer, PyObject_CheckBuffer
from cython cimport floating
from libc.math cimport sqrt
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy, memset

from lossopt._kernels.abi cimport HYPERS, MOST_TOGETHER, SLOTS, Arrays, Closing, Loss, Pass, Update, closing_t, folded_t, hold
from lossopt._kernels.abi cimport many_t, pass_t, release, sparse_t, update_t
from lossopt._kernels.math cimport INF, mixed, numbers_sum, prefetch_far, sum_t

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


cdef void shuffle(int64_t* order, Py_ssize_t n, Py_ssize_t block, uint64_t seed, uint64_t epoch) noexcept nogil:
    cdef uint64_t state = mixed(seed) ^ mixed(mixed(epoch) + <uint64_t>0x9E3779B97F4A7C15)
    cdef Py_ssize_t i, j, m, start = 0
    cdef int64_t kept
    while start < n:
        m = min(block, n - start)
        for i in range(m):
            order[i] = start + i
        for i in range(m - 1, 0, -1):
            j = <Py_ssize_t>below(&state, <uint64_t>i + 1)
            kept = order[i]
            order[i] = order[j]
            order[j] = kept
        order += m
        start += m


def permutation(order, uint64_t seed, uint64_t epoch, Py_ssize_t block):
    """Fill order, int64, with 0 ... n - 1 as seed and epoch alone shuffle them, on every platform: within blocks of so
    many rows, which stay in order."""
    cdef Py_buffer[1] b
    hold(b, (), (order,))
    try:
        with nogil:
            shuffle(<int64_t*>b[0].buf, b[0].len // 8, block, seed, epoch)
    finally:
        release(b, 1)


# ---- training

cdef enum:
    AHEAD = 16          # rows of CSR between the one that is gathered and the one that is fetched; its ends, before that
    FETCHED = 64        # numbers of a row
    FINEST = 256        # windows after which no column is left behind, at least and at most
    COARSEST = 65536

cdef struct plan_t:     # what is the same for every model that sees the rows
    Py_ssize_t n            # rows of X, features, outputs
    Py_ssize_t d
    Py_ssize_t k
    Py_ssize_t batch        # rows of a batch; batches an update, and in the epoch
    Py_ssize_t accumulate
    Py_ssize_t batches
    Py_ssize_t item         # bytes of a row's target
    bint mean               # the loss divides by the window's mass
    double terms            # of the mean, a row
    bint skip               # what is not finite is left out; else the model stops there
    const char* x           # of CSR, its numbers; a batch of it is described by rows
    const char* y
    bint sparse
    sparse_t rows
    const int64_t* begin    # of all rows
    const int64_t* end
    char* batch_x           # what a batch's rows are gathered in: numbers (NULL: they are read where they stand), targets,
    char* batch_y           # weights, ends of CSR
    char* batch_weight
    int64_t* batch_begin
    int64_t* batch_end
    double* scratch         # the pass's
    many_t* models          # those that are evaluated together, or NULL
    int64_t* places         # where the touched weights stand, and they and their gradient and state side by side
    char* touched
    Py_ssize_t most         # touched numbers
    Py_ssize_t grain        # windows after which no column is left behind: places in the epoch, so that rounding knows no clock

cdef struct member_t:   # a model in training
    const update_t* update
    double max_norm         # infinity: no clipping
    Py_ssize_t settings     # hyperparameters and l1, l2, so many in a row; those of weight and bias
    Py_ssize_t[2] which
    const closing_t* closings[2]
    Py_ssize_t[2] sizes
    void** params
    void** grads
    void** more             # gradients of the batches that join a window
    void** state
    const char* weight      # of the rows, or NULL
    # carried from one stretch to the next
    const double* hyper     # of the next update
    double* told            # where the next update is told, or NULL: sum of the loss, mass, norm, weights that are 0, step
    char* before            # room for the parameters before an update whose step is told
    Py_ssize_t window       # the next one
    int64_t steps           # updates done, ever
    int64_t skipped         # windows left out, ever
    double total            # running sums of the epoch
    double mass
    double norm             # of the last update's gradient, where it was asked for
    double step             # norm of what the epoch's last window changed
    bint stopped            # something is not finite, in the window where it stands: its loss and norm
    double bad_total
    double bad_norm
    # the window at work
    double window_total
    double window_mass
    folded_t[2] folded      # of each setting
    double[2 * HYPERS] constants
    Py_ssize_t touched      # numbers of weight that have a gradient; -1: all
    # updates that columns without a gradient have still to catch up with: after update u of these, |w| that was current
    # after update v is max(0, kept[u] * (|w| / kept[v] - (taken[u] - taken[v]) * pace)); grown[v] is 1 / kept[v]
    bint lazy               # columns may be left behind
    double keep             # by the next update
    double take
    Py_ssize_t behind       # updates
    double* kept
    double* grown
    double* taken
    int32_t* current        # of each column


cdef inline void fetch(const plan_t* p, const int64_t* order, Py_ssize_t left, Py_ssize_t itemsize) noexcept nogil:
    """Ask for the row of CSR that is AHEAD rows away, if there are so many left."""
    cdef Py_ssize_t i, stop
    if left > 2 * AHEAD:
        prefetch_far(p.begin + order[2 * AHEAD])
        prefetch_far(p.end + order[2 * AHEAD])
    if left > AHEAD:
        i = p.begin[order[AHEAD]]
        stop = min(p.end[order[AHEAD]], i + FETCHED)
        while i < stop:
            prefetch_far(p.x + i * itemsize)
            prefetch_far(<const char*>p.rows.at + i * p.rows.index)
            i += 64 // itemsize


cdef void gather(const plan_t* p, const int64_t* order, Py_ssize_t m, Py_ssize_t left, Py_ssize_t itemsize) noexcept nogil:
    """The m rows of a batch: their numbers, where models read them one after the other, and what else they have."""
    cdef Py_ssize_t i, bytes_ = p.d * itemsize
    if p.batch_x != NULL and p.models == NULL:
        for i in range(m):
            memcpy(p.batch_x + i * bytes_, p.x + order[i] * bytes_, bytes_)
    for i in range(m):
        if left > i + AHEAD:
            prefetch_far(p.y + order[i + AHEAD] * p.item)
        if p.item == 8:
            memcpy(p.batch_y + 8 * i, p.y + 8 * order[i], 8)
        else:
            memcpy(p.batch_y + i * p.item, p.y + order[i] * p.item, p.item)
    if p.sparse:
        for i in range(m):
            fetch(p, order + i, left - i, itemsize)
            p.batch_begin[i] = p.begin[order[i]]
            p.batch_end[i] = p.end[order[i]]


cdef const floating* weights(const plan_t* p, const member_t* q, const int64_t* order, Py_ssize_t row, Py_ssize_t m,
                             floating* to) noexcept nogil:
    """The weights of m rows from number row on, in their order; NULL where there are none."""
    cdef const floating* all_ = <const floating*>q.weight
    cdef Py_ssize_t i
    if all_ == NULL or order == NULL:
        return all_ if all_ == NULL else all_ + row
    for i in range(m):
        to[i] = all_[order[row + i]]
    return to


cdef double weighed(const plan_t* p, Py_ssize_t m, const floating* weight) noexcept nogil:
    """What the mean over m rows divides by."""
    return p.terms * (<double>m if weight == NULL else numbers_sum[floating](m, weight))


cdef void masses(const plan_t* p, member_t* q, const int64_t* order, Py_ssize_t row, Py_ssize_t b,
                 const floating* like) noexcept nogil:
    """The mass of a window of b batches: each of them is divided by that."""
    cdef Py_ssize_t m
    q.window_total = q.window_mass = 0
    for _ in range(b):
        m = min(p.batch, p.n - row)
        q.window_mass += weighed[floating](p, m, weights[floating](p, q, order, row, m, <floating*>p.batch_weight))
        row += m


cdef double scale_of(const plan_t* p, const member_t* q) noexcept nogil:
    """What a gradient is multiplied by."""
    return (1.0 / q.window_mass if q.window_mass != 0 else 0.0) if p.mean else 1.0


cdef void join(member_t* q, double part, bint first, const floating* like) noexcept nogil:
    """A batch's sum and gradient join those of the window."""
    cdef floating* whole
    cdef const floating* grad
    cdef Py_ssize_t i, j
    q.window_total += part
    if not first:
        for i in range(2):
            whole, grad = <floating*>q.grads[i], <const floating*>q.more[i]
            for j in range(q.sizes[i]):
                whole[j] += grad[j]


cdef void prepare(member_t* q) noexcept nogil:
    """The constants of the next update."""
    cdef const double* hyper = q.hyper
    cdef int s, hypers = q.update.hypers
    cdef double decay = 0
    for s in range(q.settings):
        # settings that differ in their penalty alone are prepared once
        if s == 0 or memcmp(hyper, q.hyper, hypers * sizeof(double)) != 0:
            decay = q.update.prepare(hyper, q.steps + 1, q.constants + s * HYPERS)
        else:
            memcpy(q.constants + s * HYPERS, q.constants, sizeof(double) * HYPERS)
        q.folded[s].decay, q.folded[s].l1, q.folded[s].l2 = decay, hyper[hypers], hyper[hypers + 1]
        if q.closings[0] == NULL:
            q.folded[s].decay += 2 * q.folded[s].l2
            q.folded[s].l2 = 0
        hyper += hypers + 2


cdef double caught(const plan_t* p, const member_t* q, Py_ssize_t column, Py_ssize_t output, const floating* like) noexcept nogil:
    """A weight after the updates that its column has still to catch up with."""
    cdef Py_ssize_t i = output * p.d + column, u = q.behind, v = q.current[column]
    cdef double w = <double>(<const floating*>q.params[0])[i], size, pace = 1
    if floating is double:
        if q.update.pace64 != NULL:
            pace = q.update.pace64(q.constants + q.which[0] * HYPERS, <double**>q.state, i)
    else:
        if q.update.pace32 != NULL:
            pace = q.update.pace32(q.constants + q.which[0] * HYPERS, <float**>q.state, i)
    size = q.kept[u] * ((-w if w < 0 else w) * q.grown[v] - (q.taken[u] - q.taken[v]) * pace)
    # NaN is not below zero
    return 0 if size <= 0 else -size if w < 0 else size


cdef void catch_up(const plan_t* p, member_t* q, Py_ssize_t column, const floating* like) noexcept nogil:
    cdef Py_ssize_t c
    if q.current[column] != q.behind:
        for c in range(p.k):
            (<floating*>q.params[0])[c * p.d + column] = <floating>caught[floating](p, q, column, c, like)
        q.current[column] = <int32_t>q.behind


cdef void flush(const plan_t* p, member_t* q, const floating* like) noexcept nogil:
    """Leave no column behind."""
    cdef Py_ssize_t j
    if q.behind:
        for j in range(p.d):
            catch_up[floating](p, q, j, like)
        memset(q.current, 0, p.d * sizeof(int32_t))
        q.behind = 0


cdef void fall_behind(const plan_t* p, member_t* q) noexcept nogil:
    """An update was made of the touched columns alone."""
    cdef Py_ssize_t i, u = q.behind + 1
    if q.keep == 1 and q.take == 0 and q.behind == 0:
        return
    q.kept[u] = q.kept[u - 1] * q.keep
    q.grown[u] = 1 / q.kept[u]
    q.taken[u] = q.taken[u - 1] + q.take * q.grown[u]
    q.behind = u
    for i in range(q.touched // p.k):
        q.current[p.places[i]] = <int32_t>u


cdef bint meet(const plan_t* p, member_t* q, const floating* like) noexcept nogil:
    """Whether the next update may leave columns behind; those of the batch, or else all, are current then."""
    cdef const sparse_t* t = &p.rows
    cdef Py_ssize_t r, i
    cdef bint leaves
    if not q.lazy:
        return False
    leaves = q.update.rest(&q.folded[q.which[0]], q.constants + q.which[0] * HYPERS, &q.keep, &q.take)
    # beyond so many numbers a look at all is cheaper; and what is kept must stay a number to divide by
    leaves = leaves and t.nnz <= p.most and q.keep > 1e-100
    if not leaves or q.kept[q.behind] * q.keep < 1e-100:
        flush[floating](p, q, like)
    elif q.behind:
        for r in range(t.n):
            for i in range(t.begin[r], t.end[r]):
                catch_up[floating](p, q, (<const int64_t*>t.at)[i] if t.index == 8 else (<const int32_t*>t.at)[i], like)
    return leaves


cdef void evaluate(plan_t* p, member_t* q, Loss loss, const pass_t* objective, Py_ssize_t m, const floating* x,
                   const int64_t* order, Py_ssize_t left, const char* y, const floating* weight, bint first) noexcept nogil:
    """A batch's part of the window's sum and gradient."""
    cdef void** grads = q.grads if first else q.more
    cdef sparse_t* t = &p.rows
    cdef double part = 0
    q.touched = -1
    if p.sparse:
        t.y, t.sample_weight, t.scale = y, weight, scale_of(p, q)
        t.weight, t.bias, t.grad_weight, t.grad_bias = q.params[0], q.params[1], grads[0], grads[1]
        # weights that no row touches need no look where it is simple what happens to them
        if meet[floating](p, q, NULL):
            q.touched = (objective.touch64 if floating is double else objective.touch32)(loss, t, p.places, &part)
        else:
            part = (objective.sparse64 if floating is double else objective.sparse32)(loss, t)
    elif floating is double:
        part = objective.pass64(loss, m, p.d, p.k, x, order, left, y, weight, <const double*>q.params[0],
                                <const double*>q.params[1], scale_of(p, q), <double*>grads[0], <double*>grads[1], p.scratch)
    else:
        part = objective.pass32(loss, m, p.d, p.k, x, order, left, y, weight, <const float*>q.params[0],
                                <const float*>q.params[1], scale_of(p, q), <float*>grads[0], <float*>grads[1], p.scratch)
    join[floating](q, part, first, NULL)


cdef void together(plan_t* p, member_t** members, Py_ssize_t count, Loss loss, const pass_t* objective, Py_ssize_t m,
                   const floating* x, const int64_t* order, Py_ssize_t left, const char* y, bint first) noexcept nogil:
    """evaluate, for all models that have not stopped; their sample weights are already in p.models."""
    cdef member_t* q
    cdef many_t* model = p.models
    cdef Py_ssize_t i
    for i in range(count):
        q = members[i]
        if not q.stopped:
            q.touched = -1
            model.weight, model.bias, model.scale = q.params[0], q.params[1], scale_of(p, q)
            model.grad_weight, model.grad_bias = (q.grads if first else q.more)[0], (q.grads if first else q.more)[1]
            model += 1
    if floating is double:
        objective.many64(loss, m, p.d, model - p.models, x, order, left, <double*>p.batch_x, y, p.models, p.scratch)
    else:
        objective.many32(loss, m, p.d, model - p.models, x, order, left, <float*>p.batch_x, y, p.models, p.scratch)
    model = p.models
    for i in range(count):
        if not members[i].stopped:
            join[floating](members[i], model.value, first, NULL)
            model += 1


cdef void update_touched(const plan_t* p, member_t* q, const folded_t* folded, const floating* like) noexcept nogil:
    """The update of the weights that have a gradient: side by side, and back."""
    cdef floating* w = <floating*>p.touched
    cdef floating* own
    cdef floating* state[SLOTS]
    cdef const int64_t* places = p.places
    cdef Py_ssize_t i, s, m = q.touched
    for s in range(q.update.slots + 1):
        own = <floating*>(q.params[0] if s == 0 else q.state[s - 1])
        for i in range(m):
            w[s * m + i] = own[places[i]]
        if s:
            state[s - 1] = w + s * m
    if floating is double:
        q.update.update64(q.update, folded, NULL, q.constants + q.which[0] * HYPERS, m, w, <const double*>q.grads[0], state)
    else:
        q.update.update32(q.update, folded, NULL, q.constants + q.which[0] * HYPERS, m, w, <const float*>q.grads[0], state)
    for s in range(q.update.slots + 1):
        own = <floating*>(q.params[0] if s == 0 else q.state[s - 1])
        for i in range(m):
            own[places[i]] = w[s * m + i]


cdef void difference(const plan_t* p, member_t* q, bint after, const floating* like) noexcept nogil:
    """Keep the parameters as they stand; after the update, what it has changed."""
    cdef floating* kept = <floating*>q.before
    cdef const floating* w
    cdef floating now
    cdef Py_ssize_t a, i
    for a in range(2):
        w = <const floating*>q.params[a]
        if a == 0 and q.behind:
            for i in range(q.sizes[a]):
                now = <floating>caught[floating](p, q, i % p.d, i // p.d, like)
                kept[i] = now - kept[i] if after else now
        elif after:
            for i in range(q.sizes[a]):    # hot
                kept[i] = w[i] - kept[i]
        else:
            memcpy(kept, w, q.sizes[a] * sizeof(floating))
        kept += q.sizes[a]


cdef void close(const plan_t* p, member_t* q, bint last, const floating* like) noexcept nogil:
    """The end of a window: norm, judgement, update."""
    cdef sum_t square
    cdef folded_t* folded
    cdef const floating* w = <const floating*>q.params[0]
    cdef const int64_t* places = NULL
    cdef Py_ssize_t[2] sizes
    cdef Py_ssize_t i, j, first = 0, zeros = 0
    cdef bint asked, told = last or q.told != NULL
    cdef double norm, step
    sizes[0], sizes[1] = q.sizes[0], q.sizes[1]
    # a window whose rows all have weight 0 is no window
    if q.window_mass == 0:
        return
    square.total = square.rest = 0
    if q.touched >= 0:
        sizes[0], places, first = q.touched, p.places, 1
    # a norm that nobody asks for is not taken: the epoch's last one is told, and every window here makes an update
    asked = told or p.skip or q.weight != NULL or q.max_norm < INF
    if floating is double:
        if asked or not (q.update.calm64(sizes[0], <const double*>q.grads[0])
                         and q.update.calm64(sizes[1], <const double*>q.grads[1])):
            q.update.squares64(sizes[0], <const double*>q.grads[0], places, &square)
            q.update.squares64(sizes[1], <const double*>q.grads[1], NULL, &square)
    else:
        if asked or not (q.update.calm32(sizes[0], <const float*>q.grads[0])
                         and q.update.calm32(sizes[1], <const float*>q.grads[1])):
            q.update.squares32(sizes[0], <const float*>q.grads[0], places, &square)
            q.update.squares32(sizes[1], <const float*>q.grads[1], NULL, &square)
    norm = sqrt(square.total + square.rest)
    if not (q.window_total - q.window_total == 0 and norm - norm == 0):
        q.bad_total, q.bad_norm = q.window_total, norm
        if p.skip:
            q.skipped += 1
        else:
            q.stopped = True
        return
    for i in range(q.settings):
        q.folded[i].scale = 1
        q.folded[i].clip = INF
        if q.max_norm < INF:
            q.folded[i].scale = min(1.0, q.max_norm / (norm + 1e-6))
    if told:
        difference[floating](p, q, False, like)
    q.steps += 1
    q.hyper += q.settings * (q.update.hypers + 2)
    if q.touched >= 0:
        update_touched[floating](p, q, &q.folded[q.which[0]], like)
        fall_behind(p, q)
    for i in range(first, 2):
        j = q.which[i]
        folded = &q.folded[j]
        if floating is double:
            q.update.update64(q.update, folded, q.closings[i], q.constants + j * HYPERS, q.sizes[i], <double*>q.params[i],
                              <const double*>q.grads[i], <double**>(q.state + i * q.update.slots))
        else:
            q.update.update32(q.update, folded, q.closings[i], q.constants + j * HYPERS, q.sizes[i], <float*>q.params[i],
                              <const float*>q.grads[i], <float**>(q.state + i * q.update.slots))
    q.total += q.window_total
    q.mass += q.window_mass
    q.norm = norm
    if told:
        difference[floating](p, q, True, like)
        square.total = square.rest = 0
        if floating is double:
            q.update.squares64(q.sizes[0], <const double*>q.before, NULL, &square)
            q.update.squares64(q.sizes[1], <const double*>q.before + q.sizes[0], NULL, &square)
        else:
            q.update.squares32(q.sizes[0], <const float*>q.before, NULL, &square)
            q.update.squares32(q.sizes[1], <const float*>q.before + q.sizes[0], NULL, &square)
        step = sqrt(square.total + square.rest)
        q.step = step if last else 0
    if q.told != NULL:
        for i in range(q.sizes[0]):
            zeros += (caught[floating](p, q, i % p.d, i // p.d, like) if q.behind else <double>w[i]) == 0
        q.told[0], q.told[1], q.told[2], q.told[3], q.told[4] = q.window_total, q.window_mass, norm, <double>zeros, step
        q.told += 5


cdef Py_ssize_t run(plan_t* p, member_t** members, Py_ssize_t count, Py_ssize_t window, Py_ssize_t windows,
                    const pass_t* objective, Loss loss, const int64_t* order, const floating* like) noexcept nogil:
    """So many windows from window on, or until no model is left that has not stopped; returns the next one."""
    cdef Py_ssize_t a, b, first, i, m, row, stop = window + windows, going = count
    cdef const floating* x
    cdef const floating* weight
    cdef const int64_t* rows
    cdef const char* y
    cdef member_t* q
    cdef many_t* model
    # models that are evaluated together have room for their weights each
    cdef Py_ssize_t own = 0 if p.models == NULL else p.batch
    while window < stop and going:
        first = window * p.accumulate
        b = min(p.accumulate, p.batches - first)
        row = first * p.batch
        for i in range(count):
            if not members[i].stopped:
                q = members[i]
                prepare(q)
                q.window_total = 0
                if b > 1:
                    masses[floating](p, q, order, row, b, like)
        for a in range(b):
            m = min(p.batch, p.n - row)
            p.rows.n = m
            if order == NULL:
                x, y, rows = <const floating*>p.x + row * p.d, p.y + row * p.item, NULL
                p.rows.begin, p.rows.end = p.begin + row, p.end + row
            else:
                gather(p, order + row, m, p.n - row, sizeof(floating))
                x, y, rows = <const floating*>p.x, p.batch_y, order + row
                if p.batch_x != NULL and p.models == NULL:
                    x, rows = <const floating*>p.batch_x, NULL
                p.rows.begin, p.rows.end = p.batch_begin, p.batch_end
            if p.sparse:
                p.rows.nnz = 0
                for i in range(m):
                    p.rows.nnz += p.rows.end[i] - p.rows.begin[i]
            model = p.models
            for i in range(count):
                if not members[i].stopped:
                    q = members[i]
                    weight = weights[floating](p, q, order, row, m, <floating*>p.batch_weight + i * own)
                    if b == 1:
                        q.window_mass = weighed[floating](p, m, weight)
                    if model != NULL:
                        model.sample_weight = weight
                        model += 1
                        continue
                    evaluate[floating](p, q, loss, objective, m, x, rows, p.n - row, y, weight, a == 0)
                    if q.touched >= 0:
                        # places are those of this model until the next one
                        close[floating](p, q, first + b == p.batches, like)
            if model != NULL:
                together[floating](p, members, count, loss, objective, m, x, rows, p.n - row, y, a == 0)
            row += m
        going = 0
        for i in range(count):
            if not members[i].stopped and members[i].touched < 0:
                close[floating](p, members[i], first + b == p.batches, like)
            if not members[i].stopped:
                members[i].window = window + 1
                going += 1
            if (window + 1) % p.grain == 0:
                flush[floating](p, members[i], like)
        window += going > 0
    # Python finds every weight current
    for i in range(count):
        flush[floating](p, members[i], like)
    return window


cdef class Member:
    """A model in training: its arrays, its optimizer, its penalty, and where it stands. The arrays of weight and bias."""

    cdef member_t c
    cdef Update update
    cdef Arrays params
    cdef Arrays grads
    cdef Arrays more
    cdef Arrays state
    cdef list closings
    cdef Py_buffer[1] weight
    cdef bint held

    def __cinit__(self, Update update not None, Arrays params not None, Arrays grads not None, Arrays more not None,
                  Arrays state not None, sample_weight, double max_norm, which, list closings):
        """which: the settings of weight and bias; closings: theirs, or None."""
        cdef member_t* q = &self.c
        cdef int i
        self.update, self.params, self.grads, self.more, self.state = update, params, grads, more, state
        self.closings = closings
        if not params.count == grads.count == more.count == 2 or state.count != 2 * update.c.slots:
            raise ValueError("params, grads and state must match")
        hold(self.weight, (sample_weight,), ())
        self.held = True
        if sample_weight is not None and self.weight[0].itemsize != params.itemsize:
            raise ValueError("sample_weight and params must have one precision")
        q.update = &update.c
        q.params, q.grads, q.more, q.state = params.data, grads.data, more.data, state.data
        q.weight = <const char*>self.weight[0].buf
        q.max_norm = max_norm
        for i in range(2):
            q.which[i], q.sizes[i] = which[i], params.sizes[i]
            q.settings = max(q.settings, q.which[i] + 1)
            if closings is not None and closings[i] is not None:
                q.closings[i] = &(<Closing?>closings[i]).c
        q.before = <char*>malloc((q.sizes[0] + q.sizes[1]) * params.itemsize + 1)
        if q.before == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.c.before)
        free(self.c.kept)
        if self.held:
            release(self.weight, 1)

    cdef int columns(self, Py_ssize_t d, Py_ssize_t grain) except -1:
        """Room for d columns of CSR that may be left behind, by so many updates."""
        cdef member_t* q = &self.c
        if q.update.rest != NULL and q.closings[0] == NULL:
            q.kept = <double*>calloc(3 * (grain + 1) * sizeof(double) + d * sizeof(int32_t), 1)
            if q.kept == NULL:
                raise MemoryError
            q.grown, q.taken = q.kept + grain + 1, q.kept + 2 * (grain + 1)
            q.current = <int32_t*>(q.taken + grain + 1)
            q.kept[0] = q.grown[0] = 1
            q.lazy = True
        return 0

    @property
    def window(self):
        """The next one, or the one that stopped it."""
        return self.c.window

    @property
    def steps(self):
        return self.c.steps

    @property
    def skipped(self):
        return self.c.skipped

    @property
    def norm(self):
        return self.c.norm

    @property
    def step(self):
        return self.c.step

    @property
    def total(self):
        return self.c.total

    @property
    def mass(self):
        return self.c.mass

    @property
    def bad(self):
        """The loss and the norm of the window that stopped it, or None."""
        return (self.c.bad_total, self.c.bad_norm) if self.c.stopped else None

    def begin(self, Py_ssize_t window, int64_t steps, int64_t skipped, double total, double mass, double norm):
        """Where it stands: the next window, updates done and left out, and the running sums of the epoch."""
        self.c.window, self.c.steps, self.c.skipped = window, steps, skipped
        self.c.total, self.c.mass, self.c.norm, self.c.step = total, mass, norm, 0
        self.c.stopped = False


cdef class Stretch:
    """Rows to train on, in batches, and the models that see them."""

    cdef plan_t plan
    cdef Pass objective
    cdef Loss loss
    cdef list members
    cdef member_t** each
    cdef Py_buffer[5] data          # X, or the four parts of CSR; y
    cdef bint held
    cdef int itemsize
    cdef char* room
    cdef readonly Py_ssize_t window     # the next one
    cdef readonly Py_ssize_t grain      # where it may come back: a multiple of so many windows, or the epoch's end

    def __cinit__(self, Pass objective not None, Loss loss not None, X, y, Py_ssize_t k, Py_ssize_t batch,
                  Py_ssize_t accumulate, Py_ssize_t batches, bint shuffled, bint mean, double terms, bint skip,
                  Py_ssize_t most, list members):
        """most: numbers of CSR in a batch, at most."""
        cdef plan_t* p = &self.plan
        cdef Member member
        cdef Py_ssize_t i, rows = batch if shuffled else 0      # that are gathered
        cdef size_t[10] sizes
        cdef char* parts[10]
        self.objective, self.loss, self.members = objective, loss, members
        p.n, p.d = X.shape
        p.sparse = not PyObject_CheckBuffer(X)
        if p.sparse:
            hold(self.data, (y, X.data, X.indices, X.begin, X.end), ())
        else:
            hold(self.data, (y, X, None, None, None), ())
        self.held = True
        self.itemsize = <int>self.data[1].itemsize
        p.y, p.x = <const char*>self.data[0].buf, <const char*>self.data[1].buf
        p.k, p.batch, p.accumulate, p.batches = k, batch, accumulate, batches
        p.item = loss.target_size if loss.target_size else k * self.itemsize
        p.mean, p.terms, p.skip = mean, terms, skip
        memset(sizes, 0, sizeof(sizes))
        sizes[0] = len(members) * sizeof(member_t*)
        sizes[1] = rows * p.item
        sizes[2] = rows * self.itemsize * len(members)
        if p.sparse:
            p.rows.d, p.rows.k, p.rows.x, p.rows.at = p.d, k, p.x, self.data[2].buf
            p.rows.index = <int>self.data[2].itemsize
            p.begin, p.end = <const int64_t*>self.data[3].buf, <const int64_t*>self.data[4].buf
            # beyond, a look at every weight is cheaper
            p.most = min(most, p.d // 8)
            sizes[3] = sizes[4] = rows * sizeof(int64_t)
            sizes[5] = objective.c.sparse_room(batch, p.d, k, most)
            sizes[6] = (p.d // 64 + p.d // 4096 + 2) * 8
            sizes[7] = (p.most * k + 1) * sizeof(int64_t)
            sizes[8] = p.most * k * (SLOTS + 1) * self.itemsize
        else:
            sizes[3] = objective.c.scratch_size(batch, p.d, k) * sizeof(double)
            if len(members) > 1:
                sizes[4] = rows * p.d * self.itemsize
                if k == 1 and batch <= MOST_TOGETHER:
                    sizes[3] = objective.c.many_size(p.d, len(members)) * sizeof(double)
                    sizes[5] = len(members) * sizeof(many_t)
        self.room = <char*>calloc(sum([size // 64 * 64 + 128 for size in sizes]), 1)
        if self.room == NULL:
            raise MemoryError
        # each on a cache line of its own
        parts[0] = self.room + 64 - <size_t>self.room % 64
        for i in range(1, 10):
            parts[i] = parts[i - 1] + sizes[i - 1] // 64 * 64 + 64
        self.each = <member_t**>parts[0]
        p.batch_y, p.batch_weight = parts[1], parts[2]
        if p.sparse:
            p.batch_begin, p.batch_end, p.rows.room = <int64_t*>parts[3], <int64_t*>parts[4], parts[5]
            p.rows.marks, p.places, p.touched = <uint64_t*>parts[6], <int64_t*>parts[7], parts[8]
        else:
            p.scratch = <double*>parts[3]
            p.batch_x = parts[4] if sizes[4] else NULL
            p.models = <many_t*>parts[5] if sizes[5] else NULL
        # a look at all columns is then a small part of the work
        p.grain = FINEST
        while p.grain < COARSEST and p.grain * max(most, 1) < 16 * p.d:
            p.grain *= 2
        self.grain = 1
        for i, member in enumerate(members):
            self.each[i] = &member.c
            if p.sparse and accumulate == 1:
                member.columns(p.d, p.grain)
                self.grain = max(self.grain, <Py_ssize_t>(p.grain if member.c.lazy else 1))
            if member.params.itemsize != self.itemsize:
                raise ValueError("X and params must have one precision")
            if member.c.weight != NULL and member.weight[0].len != p.n * self.itemsize:
                raise ValueError("sample_weight must have a number a row")

    def __dealloc__(self):
        if self.held:
            release(self.data, 5)
        free(self.room)

    def begin(self, Py_ssize_t window):
        """Stand at this window of an epoch."""
        self.window = window

    def run(self, order, list hypers, list told, Py_ssize_t windows):
        """So many windows, or until every model has stopped. hypers: of each model, a row of settings for each
        update; told: of each, None or room for a row of five for each update. Returns whether one goes on."""
        cdef Py_buffer[1] b
        cdef Arrays memory
        cdef Arrays rows
        cdef Member member
        cdef Py_ssize_t i, j = 0, count = len(self.members)
        cdef bint going = False
        memory, rows = Arrays(hypers, False), Arrays([x for x in told if x is not None], True)
        for i, member in enumerate(self.members):
            member.c.hyper, member.c.told = <const double*>memory.data[i], NULL
            if told[i] is not None:
                member.c.told = <double*>rows.data[j]
                j += 1
        hold(b, (order,), ())
        try:
            with nogil:
                if self.itemsize == 8:
                    self.window = run[double](&self.plan, self.each, count, self.window, windows, &self.objective.c, self.loss,
                                              <const int64_t*>b[0].buf, NULL)
                else:
                    self.window = run[float](&self.plan, self.each, count, self.window, windows, &self.objective.c, self.loss,
                                             <const int64_t*>b[0].buf, NULL)
        finally:
            release(b, 1)
        for member in self.members:
            going = going or not member.c.stopped
        return going
