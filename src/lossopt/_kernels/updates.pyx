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


cdef Update made(prepare_t prepare, void** applies, int hypers, int slots, rest_t rest=NULL, void** paces=NULL):
    """applies: bare, folded, open, each in double and in float."""
    cdef update_t c
    c.prepare = prepare
    c.bare64, c.bare32 = <apply_f64>applies[0], <apply_f32>applies[1]
    c.folded64, c.folded32 = <apply_f64>applies[2], <apply_f32>applies[3]
    c.open64, c.open32 = <apply_f64>applies[4], <apply_f32>applies[5]
    c.update64, c.update32 = run[double], run[float]
    c.squares64, c.squares32 = squares[double], squares[float]
    c.calm64, c.calm32 = quiet[double], quiet[float]
    c.measure64 = NULL
    c.measure32 = NULL
    c.hypers, c.slots, c.rest = hypers, slots, rest
    c.pace64, c.pace32 = <pace_f64>(NULL if paces == NULL else paces[0]), <pace_f32>(NULL if paces == NULL else paces[1])
    return Update.of(&c)


def sgd_update():
    return made(prepare_plain, [
        <void*>sgd[bare_t, double], <void*>sgd[bare_t, float], <void*>sgd[folded_t, double], <void*>sgd[folded_t, float],
        <void*>sgd[open_t, double], <void*>sgd[open_t, float]], 5, 0, rest_plain)


def momentum_update():
    return made(prepare_momentum, [
        <void*>momentum[bare_t, double], <void*>momentum[bare_t, float], <void*>momentum[folded_t, double],
        <void*>momentum[folded_t, float], <void*>momentum[open_t, double], <void*>momentum[open_t, float]], 5, 1)


def adam_update():
    return made(prepare_adam, [
        <void*>adam[bare_t, adam_t, double], <void*>adam[bare_t, adam_t, float], <void*>adam[folded_t, adam_t, double],
        <void*>adam[folded_t, adam_t, float], <void*>adam[open_t, adam_t, double], <void*>adam[open_t, adam_t, float]], 6, 2)


def amsgrad_update():
    return made(prepare_adam, [
        <void*>adam[bare_t, amsgrad_t, double], <void*>adam[bare_t, amsgrad_t, float],
        <void*>adam[folded_t, amsgrad_t, double], <void*>adam[folded_t, amsgrad_t, float],
        <void*>adam[open_t, amsgrad_t, double], <void*>adam[open_t, amsgrad_t, float]], 6, 3)


def rmsprop_update():
    return made(prepare_rms, [
        <void*>rmsprop[bare_t, rms_t, double], <void*>rmsprop[bare_t, rms_t, float], <void*>rmsprop[folded_t, rms_t, double],
        <void*>rmsprop[folded_t, rms_t, float], <void*>rmsprop[open_t, rms_t, double],
        <void*>rmsprop[open_t, rms_t, float]], 5, 1)


def rmsprop_momentum_update():
    return made(prepare_rms, [
        <void*>rmsprop[bare_t, rms_momentum_t, double], <void*>rmsprop[bare_t, rms_momentum_t, float],
        <void*>rmsprop[folded_t, rms_momentum_t, double], <void*>rmsprop[folded_t, rms_momentum_t, float],
        <void*>rmsprop[open_t, rms_momentum_t, double], <void*>rmsprop[open_t, rms_momentum_t, float]], 5, 2)


def rmsprop_centered_update():
    return made(prepare_rms, [
        <void*>rmsprop[bare_t, rms_centered_t, double], <void*>rmsprop[bare_t, rms_centered_t, float],
        <void*>rmsprop[folded_t, rms_centered_t, double], <void*>rmsprop[folded_t, rms_centered_t, float],
        <void*>rmsprop[open_t, rms_centered_t, double], <void*>rmsprop[open_t, rms_centered_t, float]], 5, 2)


def rmsprop_both_update():
    return made(prepare_rms, [
        <void*>rmsprop[bare_t, rms_both_t, double], <void*>rmsprop[bare_t, rms_both_t, float],
        <void*>rmsprop[folded_t, rms_both_t, double], <void*>rmsprop[folded_t, rms_both_t, float],
        <void*>rmsprop[open_t, rms_both_t, double], <void*>rmsprop[open_t, rms_both_t, float]], 5, 3)


def adagrad_update():
    return made(prepare_adagrad, [
        <void*>adagrad[bare_t, double], <void*>adagrad[bare_t, float], <void*>adagrad[folded_t, double],
        <void*>adagrad[folded_t, float], <void*>adagrad[open_t, double], <void*>adagrad[open_t, float]], 4, 1, rest_adagrad,
        [<void*>pace_adagrad[double], <void*>pace_adagrad[float]])


def adadelta_update():
    return made(prepare_adadelta, [
        <void*>adadelta[bare_t, double], <void*>adadelta[bare_t, float], <void*>adadelta[folded_t, double],
        <void*>adadelta[folded_t, float], <void*>adadelta[open_t, double], <void*>adadelta[open_t, float]], 4, 2)


def adamax_update():
    return made(prepare_adamax, [
        <void*>adamax[bare_t, double], <void*>adamax[bare_t, float], <void*>adamax[folded_t, double],
        <void*>adamax[folded_t, float], <void*>adamax[open_t, double], <void*>adamax[open_t, float]], 5, 2)


def nadam_update():
    return made(prepare_nadam, [
        <void*>nadam[bare_t, double], <void*>nadam[bare_t, float], <void*>nadam[folded_t, double],
        <void*>nadam[folded_t, float], <void*>nadam[open_t, double], <void*>nadam[open_t, float]], 9, 2)


def radam_update():
    return made(prepare_radam, [
        <void*>radam[bare_t, double], <void*>radam[bare_t, float], <void*>radam[folded_t, double],
        <void*>radam[folded_t, float], <void*>radam[open_t, double], <void*>radam[open_t, float]], 6, 2)


def lion_update():
    return made(prepare_lion, [
        <void*>lion[bare_t, double], <void*>lion[bare_t, float], <void*>lion[folded_t, double], <void*>lion[folded_t, float],
        <void*>lion[open_t, double], <void*>lion[open_t, float]], 4, 1)


def ftrl_update():
    return made(prepare_ftrl, [
        <void*>ftrl[bare_t, ftrl_t, double], <void*>ftrl[bare_t, ftrl_t, float], <void*>ftrl[folded_t, ftrl_t, double],
        <void*>ftrl[folded_t, ftrl_t, float], <void*>ftrl[open_t, ftrl_t, double],
        <void*>ftrl[open_t, ftrl_t, float]], 5, 2, rest_ftrl)


def ftrl_power_update():
    return made(prepare_ftrl, [
        <void*>ftrl[bare_t, ftrl_power_t, double], <void*>ftrl[bare_t, ftrl_power_t, float],
        <void*>ftrl[folded_t, ftrl_power_t, double], <void*>ftrl[folded_t, ftrl_power_t, float],
        <void*>ftrl[open_t, ftrl_power_t, double], <void*>ftrl[open_t, ftrl_power_t, float]], 5, 2, rest_ftrl)


def lamb_update():
    cdef Update update = made(prepare_lamb, [
        <void*>lamb[bare_t, double], <void*>lamb[bare_t, float], <void*>lamb[folded_t, double], <void*>lamb[folded_t, float],
        <void*>lamb[open_t, double], <void*>lamb[open_t, float]], 5, 2)
    update.c.measure64, update.c.measure32 = lamb_measure[double], lamb_measure[float]
    return update


cdef void squares(Py_ssize_t n, const floating* g, const int64_t* places, sum_t* sum) noexcept nogil:
    add_squares[floating](n, g, places, sum)


cdef bint quiet(Py_ssize_t n, const floating* g) noexcept nogil:
    return calm[floating](n, g)


cdef void piece(const update_t* update, const folded_t* folded, const double* constants, Py_ssize_t start, Py_ssize_t n,
                floating* w, const floating* g, floating** state) noexcept nogil:
    cdef floating* at[SLOTS]
    cdef folded_t here
    cdef bint bare = folded.scale == 1 and folded.clip == INF and folded.decay == 0 and folded.l1 == 0
    cdef int s
    for s in range(update.slots):
        at[s] = state[s] + start
    if folded.gains != NULL:
        here = folded[0]
        here.factors, here.gains = <const floating*>folded.factors + start, <floating*>folded.gains + start
        if floating is double:
            update.open64(&here, constants, n, w + start, g + start, at)
        else:
            update.open32(&here, constants, n, w + start, g + start, at)
    elif floating is double:
        (update.bare64 if bare else update.folded64)(folded, constants, n, w + start, g + start, at)
    else:
        (update.bare32 if bare else update.folded32)(folded, constants, n, w + start, g + start, at)


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
