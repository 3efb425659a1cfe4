"""Updates over lists of arrays. Doors to updates.pxd, one module a level."""

from cython cimport floating
from cython.parallel cimport prange
from libc.math cimport sqrt as root
from libc.stdint cimport int64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from lossopt._kernels.abi cimport HYPERS, SLOTS, Arrays, Closing, Update, apply_f32, apply_f64, closing_t
from lossopt._kernels.abi cimport folded_t, hold, pace_f32, pace_f64, prepare_t, release, rest_t, threads, update_t
from lossopt._kernels.math cimport INF, add_squares, calm, sum_t
from lossopt._kernels.updates cimport *

cdef enum:
    PIECE = 16384       # numbers a thread takes at a time; an update has no sums, so its pieces may be any
    STRETCH = 1024      # a function, in the first cache
    SHORT = 128         # and where something is folded in: the loops are so short that one's divisions overlap the next


cdef Update made(prepare_t prepare, void* f64, void* f32, int hypers, int slots, rest_t rest=NULL, void* pace64=NULL,
                 void* pace32=NULL):
    cdef update_t c
    c.prepare = prepare
    c.apply64, c.apply32 = <apply_f64>f64, <apply_f32>f32
    c.update64, c.update32 = run[double], run[float]
    c.squares64, c.squares32 = squares[double], squares[float]
    c.calm64, c.calm32 = quiet[double], quiet[float]
    c.measure64 = NULL
    c.measure32 = NULL
    c.hypers, c.slots, c.rest = hypers, slots, rest
    c.pace64, c.pace32 = <pace_f64>pace64, <pace_f32>pace32
    return Update.of(&c)


def sgd_update():
    return made(prepare_plain, <void*>sgd[double], <void*>sgd[float], 5, 0, rest_plain)


def momentum_update():
    return made(prepare_momentum, <void*>momentum[double], <void*>momentum[float], 5, 1)


def adam_update():
    return made(prepare_adam, <void*>adam[adam_t, double], <void*>adam[adam_t, float], 6, 2)


def amsgrad_update():
    return made(prepare_adam, <void*>adam[amsgrad_t, double], <void*>adam[amsgrad_t, float], 6, 3)


def rmsprop_update():
    return made(prepare_rms, <void*>rmsprop[rms_t, double], <void*>rmsprop[rms_t, float], 5, 1)


def rmsprop_momentum_update():
    return made(prepare_rms, <void*>rmsprop[rms_momentum_t, double], <void*>rmsprop[rms_momentum_t, float], 5, 2)


def rmsprop_centered_update():
    return made(prepare_rms, <void*>rmsprop[rms_centered_t, double], <void*>rmsprop[rms_centered_t, float], 5, 2)


def rmsprop_both_update():
    return made(prepare_rms, <void*>rmsprop[rms_both_t, double], <void*>rmsprop[rms_both_t, float], 5, 3)


def adagrad_update():
    return made(prepare_adagrad, <void*>adagrad[double], <void*>adagrad[float], 4, 1, rest_adagrad,
                <void*>pace_adagrad[double], <void*>pace_adagrad[float])


def adadelta_update():
    return made(prepare_adadelta, <void*>adadelta[double], <void*>adadelta[float], 4, 2)


def adamax_update():
    return made(prepare_adamax, <void*>adamax[double], <void*>adamax[float], 5, 2)


def nadam_update():
    return made(prepare_nadam, <void*>nadam[double], <void*>nadam[float], 9, 2)


def radam_update():
    return made(prepare_radam, <void*>radam[double], <void*>radam[float], 6, 2)


def lion_update():
    return made(prepare_lion, <void*>lion[double], <void*>lion[float], 4, 1)


def ftrl_update():
    return made(prepare_ftrl, <void*>ftrl[ftrl_t, double], <void*>ftrl[ftrl_t, float], 5, 2, rest_ftrl)


def ftrl_power_update():
    return made(prepare_ftrl, <void*>ftrl[ftrl_power_t, double], <void*>ftrl[ftrl_power_t, float], 5, 2, rest_ftrl)


def lamb_update():
    cdef Update update = made(prepare_lamb, <void*>lamb[double], <void*>lamb[float], 5, 2)
    update.c.measure64, update.c.measure32 = lamb_measure[double], lamb_measure[float]
    return update


cdef void squares(Py_ssize_t n, const floating* g, const int64_t* places, sum_t* sum) noexcept nogil:
    add_squares[floating](n, g, places, sum)


cdef bint quiet(Py_ssize_t n, const floating* g) noexcept nogil:
    return calm[floating](n, g)


cdef void piece(const update_t* update, const folded_t* folded, const double* constants, Py_ssize_t start, Py_ssize_t n,
                floating* w, const floating* g, floating** state) noexcept nogil:
    """The update of n numbers from start on, in stretches that stay in the first cache."""
    cdef floating[SHORT] x
    cdef floating[STRETCH] room
    cdef const floating* seen_g
    cdef const floating* factors = NULL
    cdef floating* gains = room
    cdef floating* at[SLOTS]
    cdef bint opened = folded.gains != NULL, asked = opened or folded.l1 != 0
    # LAMB's own gradient was seen when it was measured
    cdef bint plain = (folded.scale == 1 and folded.clip == INF and folded.decay == 0 and not (opened and folded.l2 != 0)
                       or update.measure64 != NULL)
    cdef Py_ssize_t stop = start + n, most = STRETCH if plain and not asked else SHORT
    cdef int s
    while start < stop:
        n = min(most, stop - start)
        for s in range(update.slots):
            at[s] = state[s] + start
        seen_g = g + start
        if opened:
            factors, gains = <const floating*>folded.factors + start, <floating*>folded.gains + start
        if not plain:
            seen[floating](folded, n, w + start, g + start, factors, x)
            seen_g = x
        if floating is double:
            update.apply64(constants, n, w + start, seen_g, at, gains, asked)
        else:
            update.apply32(constants, n, w + start, seen_g, at, gains, asked)
        if asked and not opened:
            drawn[floating](n, w + start, <floating>folded.l1, gains)
        start += n


cdef void run(const update_t* update, const folded_t* folded, const closing_t* closing, const double* constants, Py_ssize_t n,
              floating* w, const floating* g, floating** state) noexcept nogil:
    cdef Py_ssize_t p, pieces = (n + PIECE - 1) // PIECE
    cdef int workers = threads(n, pieces)
    cdef double[HYPERS] measured
    cdef folded_t opened
    if closing != NULL:
        opened = folded[0]
        opened.factors, opened.gains = closing.factors, closing.gains
        folded = &opened
    if update.measure64 != NULL:
        memcpy(measured, constants, sizeof(measured))
        constants = measured
        if floating is double:
            update.measure64(folded, measured, n, w, g, state)
        else:
            update.measure32(folded, measured, n, w, g, state)
    if workers == 1:
        piece[floating](update, folded, constants, 0, n, w, g, state)
    else:
        for p in prange(pieces, num_threads=workers, schedule="static"):
            piece[floating](update, folded, constants, p * PIECE, min(<Py_ssize_t>PIECE, n - p * PIECE), w, g, state)
    if closing != NULL:
        if floating is double:
            closing.close64(closing, folded.l1, n, w, <const double*>closing.gains)
        else:
            closing.close32(closing, folded.l1, n, w, <const float*>closing.gains)


def step(Update update not None, Arrays params not None, Arrays grads not None, Arrays state not None, tuple settings,
         which, int64_t t, double scale, double clip, list closings=None, /):
    """Update number t of every array: state holds `slots` arrays a parameter. A setting is the hyperparameters, then l1 and
    l2 of the penalty; which says each array's. closings: each array's, or None."""
    cdef Py_buffer[1] b
    cdef double[HYPERS] numbers
    cdef double* constants
    cdef folded_t* folded
    cdef const int64_t* of
    cdef closing_t** closing
    cdef Py_ssize_t i, j, count = len(settings)
    cdef int hypers = update.c.hypers
    if grads.count != params.count or state.count != params.count * update.c.slots:
        raise ValueError("params, grads and state must match")
    hold(b, (which,), ())
    of = <const int64_t*>b[0].buf
    folded = <folded_t*>calloc(1, count * (sizeof(folded_t) + HYPERS * sizeof(double)) + (params.count + 1) * sizeof(void*))
    try:
        if folded == NULL:
            raise MemoryError
        constants = <double*>(folded + count)
        closing = <closing_t**>(constants + count * HYPERS)
        for i in range(count):
            setting = settings[i]
            for j in range(hypers):
                numbers[j] = setting[j]
            folded[i].scale, folded[i].clip = scale, clip
            folded[i].decay = update.c.prepare(numbers, t, constants + i * HYPERS)
            folded[i].l1, folded[i].l2 = setting[hypers], setting[hypers + 1]
            if closings is None:
                folded[i].decay += 2 * folded[i].l2
                folded[i].l2 = 0
        if closings is not None:
            for i in range(params.count):
                closing[i] = NULL if closings[i] is None else &(<Closing?>closings[i]).c
        with nogil:
            for i in range(params.count):
                j = of[i]
                if params.itemsize == 8:
                    run[double](&update.c, folded + j, closing[i], constants + j * HYPERS, params.sizes[i],
                                <double*>params.data[i], <const double*>grads.data[i],
                                <double**>&state.data[i * update.c.slots])
                else:
                    run[float](&update.c, folded + j, closing[i], constants + j * HYPERS, params.sizes[i],
                               <float*>params.data[i], <const float*>grads.data[i], <float**>&state.data[i * update.c.slots])
    finally:
        free(folded)
        release(b, 1)


cdef void blend_one(Py_ssize_t n, floating* a, const floating* w, double share) noexcept nogil:
    cdef Py_ssize_t p, pieces = (n + PIECE - 1) // PIECE
    cdef int workers = threads(n, pieces)
    if workers == 1:
        toward[floating](n, a, w, share)
    else:
        for p in prange(pieces, num_threads=workers, schedule="static"):
            toward[floating](min(<Py_ssize_t>PIECE, n - p * PIECE), a + p * PIECE, w + p * PIECE, share)


def blend(Arrays averages not None, Arrays params not None, double share, /):
    """Every average goes so much of its way to the parameter."""
    cdef Py_ssize_t i
    if params.count != averages.count:
        raise ValueError("averages and params must match")
    with nogil:
        for i in range(params.count):
            if params.itemsize == 8:
                blend_one[double](params.sizes[i], <double*>averages.data[i], <const double*>params.data[i], share)
            else:
                blend_one[float](params.sizes[i], <float*>averages.data[i], <const float*>params.data[i], share)


def norm(Arrays arrays not None, /):
    """The Euclidean norm of all arrays together, in double."""
    cdef sum_t s
    cdef Py_ssize_t i
    s.total = 0
    s.rest = 0
    with nogil:
        for i in range(arrays.count):
            if arrays.itemsize == 8:
                squares[double](arrays.sizes[i], <const double*>arrays.data[i], NULL, &s)
            else:
                squares[float](arrays.sizes[i], <const float*>arrays.data[i], NULL, &s)
    return root(s.total + s.rest)
