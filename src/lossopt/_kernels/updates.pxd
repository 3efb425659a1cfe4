# Optimizers' updates in place, header only: one function a family, each one pass over parameter, gradient and state.
#
# Design. prepare_* turns the hyperparameters of one update into constants, once; the family's function then serves
# every array. What all families share stands in `seen` (the gradient as the moments see it) and in penalties.soft (the
# closing L1 step, whose threshold is l1 times the gain: how far a constant gradient of 1 moves a coordinate in one
# step). Every operation is rounded on its own, as NumPy's are, so that each update equals its twin to the bit.

from cython cimport floating
from libc.math cimport pow
from libc.stdint cimport int64_t

from lossopt._kernels.abi cimport gradient_t
from lossopt._kernels.math cimport sqrt
from lossopt._kernels.penalties cimport soft


cdef inline floating seen(floating g, floating w, floating scale, floating clip, floating decay) noexcept nogil:
    g = g * scale
    g = clip if g > clip else g
    g = -clip if g < -clip else g
    return g + decay * w

# ---- SGD: hyper = lr, momentum, dampening, weight_decay, nesterov

cdef struct sgd_t:
    double lr
    double momentum
    double fresh            # what the new gradient counts in the velocity
    double decay
    double gain
    double ahead            # Nesterov: how much of the velocity is added to the gradient, and whether
    double direct


cdef inline void prepare_momentum(const double* hyper, int64_t t, double* constants) noexcept nogil:
    cdef sgd_t* c = <sgd_t*>constants
    c.lr = hyper[0]
    c.momentum = hyper[1]
    # the first velocity is the gradient itself
    c.fresh = 1 if t == 1 else 1 - hyper[2]
    c.decay = hyper[3]
    c.gain = hyper[0] * (1 - hyper[2]) / (1 - hyper[1])
    c.direct = 1 if hyper[4] else 0
    c.ahead = hyper[1] if hyper[4] else 1


cdef inline void prepare_plain(const double* hyper, int64_t t, double* constants) noexcept nogil:
    # without momentum there is no velocity to dampen
    prepare_momentum(hyper, t, constants)
    (<sgd_t*>constants).gain = hyper[0]


cdef inline void sgd(const double* constants, const gradient_t* smooth, double l1, Py_ssize_t n, floating* w,
                     const floating* g, floating** state) noexcept nogil:
    cdef sgd_t* c = <sgd_t*>constants
    cdef floating scale = <floating>smooth.scale, clip = <floating>smooth.clip
    cdef floating lr = <floating>c.lr, decay = <floating>(c.decay + smooth.l2), threshold = <floating>(l1 * c.gain)
    cdef Py_ssize_t i
    for i in range(n):    # hot
        w[i] = soft[floating](w[i] - lr * seen[floating](g[i], w[i], scale, clip, decay), threshold)


cdef inline void momentum(const double* constants, const gradient_t* smooth, double l1, Py_ssize_t n, floating* w,
                          const floating* g, floating** state) noexcept nogil:
    cdef sgd_t* c = <sgd_t*>constants
    cdef floating scale = <floating>smooth.scale, clip = <floating>smooth.clip
    cdef floating lr = <floating>c.lr, decay = <floating>(c.decay + smooth.l2), threshold = <floating>(l1 * c.gain)
    cdef floating beta = <floating>c.momentum, fresh = <floating>c.fresh
    cdef floating ahead = <floating>c.ahead, direct = <floating>c.direct
    cdef floating* velocity = state[0]
    cdef floating x, v
    cdef Py_ssize_t i
    for i in range(n):    # hot
        x = seen[floating](g[i], w[i], scale, clip, decay)
        v = beta * velocity[i] + fresh * x
        velocity[i] = v
        w[i] = soft[floating](w[i] - lr * (direct * x + ahead * v), threshold)

# ---- Adam, AdamW: hyper = lr, beta1, beta2, eps, weight_decay, decoupled

cdef struct adam_t:
    double lr
    double beta1
    double beta2
    double eps
    double decay
    double keep             # AdamW: what is left of the parameter before the step
    double correction1      # 1 / (1 - beta1**t)
    double correction2      # 1 / sqrt(1 - beta2**t)


cdef inline void prepare_adam(const double* hyper, int64_t t, double* constants) noexcept nogil:
    cdef adam_t* c = <adam_t*>constants
    c.lr = hyper[0]
    c.beta1 = hyper[1]
    c.beta2 = hyper[2]
    c.eps = hyper[3]
    c.decay = 0 if hyper[5] else hyper[4]
    c.keep = 1 - hyper[0] * hyper[4] if hyper[5] else 1
    c.correction1 = 1 / (1 - pow(hyper[1], <double>t))
    c.correction2 = 1 / sqrt[double](1 - pow(hyper[2], <double>t))


cdef inline void adam(const double* constants, const gradient_t* smooth, double l1, Py_ssize_t n, floating* w,
                      const floating* g, floating** state) noexcept nogil:
    cdef adam_t* c = <adam_t*>constants
    cdef floating scale = <floating>smooth.scale, clip = <floating>smooth.clip, decay = <floating>(c.decay + smooth.l2)
    cdef floating lr = <floating>c.lr, eps = <floating>c.eps, keep = <floating>c.keep, threshold = <floating>l1
    cdef floating beta1 = <floating>c.beta1, beta2 = <floating>c.beta2
    cdef floating fresh1 = <floating>(1 - c.beta1), fresh2 = <floating>(1 - c.beta2)
    cdef floating correction1 = <floating>c.correction1, correction2 = <floating>c.correction2
    cdef floating* mean = state[0]
    cdef floating* square = state[1]
    cdef floating x, m, v, gain
    cdef Py_ssize_t i
    for i in range(n):    # hot
        x = seen[floating](g[i], w[i], scale, clip, decay)
        m = beta1 * mean[i] + fresh1 * x
        v = beta2 * square[i] + fresh2 * x * x
        mean[i] = m
        square[i] = v
        gain = lr / (sqrt[floating](v) * correction2 + eps)
        w[i] = soft[floating](w[i] * keep - gain * (m * correction1), threshold * gain)
