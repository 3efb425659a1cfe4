# Optimizers' updates in place, header only: one function a family, each one pass over parameter, gradient and state.
#
# Design. prepare_* turns the hyperparameters of one update into constants, once, and returns the weight decay that joins the
# gradient; the family's function then serves every array. What all families share is folded into it: `seen` (the gradient
# as the moments see it) and `drawn` (the closing L1 step, whose threshold is l1 times the gain: how far a constant gradient
# of 1 moves a coordinate in one step). Each function is compiled three times: without what is folded in, since most arrays
# come without; with it; and open, for penalties of another form, which close the step from the gains. Every operation is
# rounded on its own, as NumPy's are, so that each update equals its twin to the bit.

from cython cimport floating
from libc.math cimport pow
from libc.stdint cimport int64_t

from lossopt._kernels.abi cimport folded_t
from lossopt._kernels.math cimport smallest, sqrt
from lossopt._kernels.penalties cimport soft

cdef struct bare_t:
    double unused

cdef struct open_t:     # whose closing comes later
    folded_t fold

ctypedef fused fold_t:
    bare_t
    folded_t
    open_t


cdef inline floating seen(const fold_t* fold, floating g, floating w, Py_ssize_t i) noexcept nogil:
    """The gradient of coordinate i as the moments see it."""
    cdef const folded_t* f = <const folded_t*>fold
    cdef floating clip
    if fold_t is not bare_t:
        clip = <floating>f.clip
        g = g * <floating>f.scale
        g = clip if g > clip else g
        g = -clip if g < -clip else g
        if fold_t is open_t:
            g = g + (<floating>f.decay + <floating>(2 * f.l2) * (<const floating*>f.factors)[i]) * w
        else:
            g = g + <floating>f.decay * w
    return g


cdef inline floating drawn(const fold_t* fold, floating w, floating gain, Py_ssize_t i) noexcept nogil:
    """Coordinate i after its update, by a gain that is looked at where something is folded in."""
    cdef const folded_t* f = <const folded_t*>fold
    if fold_t is folded_t:
        return soft[floating](w, <floating>f.l1 * gain)
    if fold_t is open_t:
        (<floating*>f.gains)[i] = gain
    return w

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


cdef inline void sgd(const fold_t* folded, const double* constants, Py_ssize_t n, floating* w, const floating* g,
                     floating** state) noexcept nogil:
    cdef fold_t fold = (<const fold_t*>folded)[0]
    cdef sgd_t* c = <sgd_t*>constants
    cdef floating lr = <floating>c.lr, gain = <floating>c.gain
    cdef Py_ssize_t i
    for i in range(n):    # hot
        w[i] = drawn[fold_t, floating](&fold, w[i] - lr * seen[fold_t, floating](&fold, g[i], w[i], i), gain, i)


cdef inline void momentum(const fold_t* folded, const double* constants, Py_ssize_t n, floating* w, const floating* g,
                          floating** state) noexcept nogil:
    cdef fold_t fold = (<const fold_t*>folded)[0]
    cdef sgd_t* c = <sgd_t*>constants
    cdef floating lr = <floating>c.lr, gain = <floating>c.gain
    cdef floating beta = <floating>c.momentum, fresh = <floating>c.fresh
    cdef floating ahead = <floating>c.ahead, direct = <floating>c.direct
    cdef floating* velocity = state[0]
    cdef floating x, v
    cdef Py_ssize_t i
    for i in range(n):    # hot
        x = seen[fold_t, floating](&fold, g[i], w[i], i)
        v = beta * velocity[i] + fresh * x
        velocity[i] = v
        w[i] = drawn[fold_t, floating](&fold, w[i] - lr * (direct * x + ahead * v), gain, i)

# ---- Adam, AdamW: hyper = lr, beta1, beta2, eps, weight_decay, decoupled

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


cdef inline void adam(const fold_t* folded, const double* constants, Py_ssize_t n, floating* w, const floating* g,
                      floating** state) noexcept nogil:
    cdef fold_t fold = (<const fold_t*>folded)[0]
    cdef adam_t* c = <adam_t*>constants
    cdef floating keep = <floating>c.keep, step = <floating>c.step, correction = <floating>c.correction
    cdef floating beta1 = <floating>c.beta1, beta2 = <floating>c.beta2
    cdef floating fresh1 = <floating>(1 - c.beta1), fresh2 = <floating>(1 - c.beta2)
    # no denominator is zero: a coordinate that never had a gradient stays where it is, whatever eps
    cdef floating eps = max(<floating>c.eps, smallest[floating](0)), lr = <floating>c.lr, gain = 0
    cdef floating* mean = state[0]
    cdef floating* square = state[1]
    cdef floating x, m, v, scale
    cdef Py_ssize_t i
    for i in range(n):    # hot
        x = seen[fold_t, floating](&fold, g[i], w[i], i)
        m = beta1 * mean[i] + fresh1 * x
        v = beta2 * square[i] + fresh2 * x * x
        mean[i] = m
        square[i] = v
        scale = sqrt[floating](v) * correction + eps
        if fold_t is not bare_t:
            gain = lr / scale
        w[i] = drawn[fold_t, floating](&fold, w[i] * keep - m * step / scale, gain, i)
