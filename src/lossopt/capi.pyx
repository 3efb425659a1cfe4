# cython: binding=True
"""The door for compiled clients: the chosen level's kernels as functions without the interpreter.

Cython clients ``cimport`` them from here; C clients import the capsule ``lossopt.capi._C_API`` by ``lossopt.h``, which lies in
`lossopt.get_include()`; numba and ctypes take `address`, and scipy's LowLevelCallable ``from_cython(lossopt.capi, name)``.
"""

from cpython.pycapsule cimport PyCapsule_GetName, PyCapsule_GetPointer, PyCapsule_New
from cython cimport floating
from libc.math cimport NAN, pow
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from lossopt._kernels.abi cimport HYPERS, Loss, Pass, Update, folded_t, pass_t, sparse_t, update_t
from lossopt._kernels.math cimport INF

import numpy as np

from lossopt import _kernels
from lossopt import losses as _losses

VERSION = 3
# in the order of the C struct; new ones go to its end
NAMES = (
    "mse_f64", "mae_f64", "huber_f64", "log_cosh_f64", "bce_f64", "hinge_f64", "squared_hinge_f64",
    "modified_huber_f64", "poisson_f64", "gamma_f64", "cross_entropy_f64", "loss_f64", "linear_mse_f64",
    "linear_bce_f64", "linear_cross_entropy_f64", "linear_f64", "sgd_f64", "momentum_f64", "nesterov_f64",
    "rmsprop_f64", "adagrad_f64", "adadelta_f64", "adam_f64", "adamw_f64", "adamax_f64", "radam_f64", "lion_f64",
    "mse_f32", "mae_f32", "huber_f32", "log_cosh_f32", "bce_f32", "hinge_f32", "squared_hinge_f32",
    "modified_huber_f32", "poisson_f32", "gamma_f32", "cross_entropy_f32", "loss_f32", "linear_mse_f32",
    "linear_bce_f32", "linear_cross_entropy_f32", "linear_f32", "sgd_f32", "momentum_f32", "nesterov_f32",
    "rmsprop_f32", "adagrad_f32", "adadelta_f32", "adam_f32", "adamw_f32", "adamax_f32", "radam_f32", "lion_f32",
    "mse_at", "mae_at", "huber_at", "log_cosh_at", "bce_at", "hinge_at", "squared_hinge_at", "modified_huber_at",
    "poisson_at", "gamma_at", "nadam_f64", "nadam_f32", "csr_mse_f64", "csr_bce_f64", "csr_cross_entropy_f64", "csr_f64",
    "csr_mse_f32", "csr_bce_f32", "csr_cross_entropy_f32", "csr_f32",
)

# a loss without the interpreter: the object goes through as a pointer, and nobody counts references
ctypedef double (*value_f64)(const void* loss, Py_ssize_t n, Py_ssize_t k, const double* z, const void* y, const double* weight,
                             double* out, double scale, bint alone) noexcept nogil
ctypedef double (*value_f32)(const void* loss, Py_ssize_t n, Py_ssize_t k, const float* z, const void* y, const float* weight,
                             float* out, double scale, bint alone) noexcept nogil
ctypedef double (*rows_f64)(const void* loss, Py_ssize_t n, Py_ssize_t d, Py_ssize_t k, const double* x, const int64_t* order,
                            Py_ssize_t left, const void* y, const double* sample_weight, const double* weight,
                            const double* bias, double scale, double* grad_weight, double* grad_bias,
                            double* scratch) noexcept nogil
ctypedef double (*rows_f32)(const void* loss, Py_ssize_t n, Py_ssize_t d, Py_ssize_t k, const float* x, const int64_t* order,
                            Py_ssize_t left, const void* y, const float* sample_weight, const float* weight,
                            const float* bias, double scale, float* grad_weight, float* grad_bias,
                            double* scratch) noexcept nogil

ctypedef double (*csr_rows)(const void* loss, sparse_t* t) noexcept nogil

cdef struct loss_t:
    const void* loss
    value_f64 value64
    value_f32 value32

cdef loss_t MSE
cdef loss_t MAE
cdef loss_t HUBER
cdef loss_t LOG_COSH
cdef loss_t BCE
cdef loss_t HINGE
cdef loss_t SQUARED_HINGE
cdef loss_t MODIFIED_HUBER
cdef loss_t POISSON
cdef loss_t GAMMA
cdef loss_t CROSS_ENTROPY

cdef pass_t PASS = (<Pass?>_kernels.linear.objective_pass()).c
cdef update_t ADADELTA_UPDATE = (<Update?>_kernels.updates.adadelta_update()).c
cdef update_t ADAGRAD_UPDATE = (<Update?>_kernels.updates.adagrad_update()).c
cdef update_t ADAM_UPDATE = (<Update?>_kernels.updates.adam_update()).c
cdef update_t ADAMAX_UPDATE = (<Update?>_kernels.updates.adamax_update()).c
cdef update_t LION_UPDATE = (<Update?>_kernels.updates.lion_update()).c
cdef update_t MOMENTUM_UPDATE = (<Update?>_kernels.updates.momentum_update()).c
cdef update_t NADAM_UPDATE = (<Update?>_kernels.updates.nadam_update()).c
cdef update_t RADAM_UPDATE = (<Update?>_kernels.updates.radam_update()).c
cdef update_t RMSPROP_UPDATE = (<Update?>_kernels.updates.rmsprop_update()).c
cdef update_t SGD_UPDATE = (<Update?>_kernels.updates.sgd_update()).c

_held = []


cdef int fill(loss_t* made, Loss loss) except -1:
    _held.append(loss)
    made.loss = <const void*>loss
    made.value64, made.value32 = <value_f64>loss.level.total64, <value_f32>loss.level.total32
    return 0


fill(&MSE, _kernels.losses.mse())
fill(&MAE, _kernels.losses.pinball(1.0, 1.0, 0.0))
fill(&HUBER, _kernels.losses.huber(1.0))
fill(&LOG_COSH, _kernels.losses.log_cosh())
fill(&BCE, _kernels.losses.bce(1.0, 1.0, 0.0))
fill(&HINGE, _kernels.losses.hinge(1.0))
fill(&SQUARED_HINGE, _kernels.losses.squared_hinge())
fill(&MODIFIED_HUBER, _kernels.losses.modified_huber())
fill(&POISSON, _kernels.losses.poisson())
fill(&GAMMA, _kernels.losses.gamma())
fill(&CROSS_ENTROPY, _kernels.losses.softmax_labels())


cdef inline double total(const loss_t* loss, Py_ssize_t n, Py_ssize_t k, const floating* z, const void* y,
                         const floating* weight, floating* grad, double scale) noexcept nogil:
    if n == 0:
        return 0
    if floating is double:
        return loss.value64(loss.loss, n, k, z, y, weight, grad, scale, False)
    return loss.value32(loss.loss, n, k, z, y, weight, grad, scale, False)


cdef double at(const loss_t* loss, double z, void* y) noexcept nogil:
    return loss.value64(loss.loss, 1, 1, &z, y, NULL, NULL, 1, True)


cdef double linear(const loss_t* loss, Py_ssize_t n, Py_ssize_t d, Py_ssize_t k, const floating* x, const void* y,
                   const floating* sample_weight, const floating* w, const floating* b, floating* grad_w, floating* grad_b,
                   double scale) noexcept nogil:
    cdef double* scratch = <double*>malloc((PASS.scratch_size(n, d, k) + 1) * sizeof(double))
    cdef double value
    if scratch == NULL:
        return NAN
    if floating is double:
        value = (<rows_f64>PASS.pass64)(loss.loss, n, d, k, x, NULL, 0, y, sample_weight, w, b, scale, grad_w, grad_b, scratch)
    else:
        value = (<rows_f32>PASS.pass32)(loss.loss, n, d, k, x, NULL, 0, y, sample_weight, w, b, scale, grad_w, grad_b, scratch)
    free(scratch)
    return value


cdef double csr(const loss_t* loss, Py_ssize_t n, Py_ssize_t d, Py_ssize_t k, const floating* data, const void* indices,
                const void* indptr, Py_ssize_t index_bytes, const void* y, const floating* sample_weight, const floating* w,
                const floating* b, floating* grad_w, floating* grad_b, double scale) noexcept nogil:
    cdef sparse_t t
    cdef int64_t* begin = NULL
    cdef Py_ssize_t i
    cdef double value = NAN
    if index_bytes != 4 and index_bytes != 8:
        return NAN
    memset(&t, 0, sizeof(sparse_t))
    t.begin = <const int64_t*>indptr
    if index_bytes == 4:
        # the kernels take the places of rows in 64 bits
        begin = <int64_t*>malloc((n + 1) * sizeof(int64_t))
        if begin == NULL:
            return NAN
        for i in range(n + 1):
            begin[i] = (<const int32_t*>indptr)[i]
        t.begin = begin
    t.end = t.begin + 1
    t.n, t.d, t.k, t.nnz, t.x, t.at, t.index = n, d, k, t.begin[n] - t.begin[0], data, indices, <int>index_bytes
    t.y, t.sample_weight, t.weight, t.bias = <const char*>y, sample_weight, w, b
    t.grad_weight, t.grad_bias, t.scale = grad_w, grad_b, scale
    t.room = <char*>malloc(PASS.sparse_room(n, d, k, t.nnz))
    if t.room != NULL:
        value = (<csr_rows>(PASS.sparse64 if floating is double else PASS.sparse32))(loss.loss, &t)
    free(t.room)
    free(begin)
    return value


cdef void update(const update_t* u, const double* hyper, int64_t t, Py_ssize_t n, floating* w, const floating* g,
                 floating** state) noexcept nogil:
    cdef double[HYPERS] constants
    cdef folded_t folded
    folded.scale, folded.clip, folded.l1, folded.l2, folded.factors, folded.gains = 1, INF, 0, 0, NULL, NULL
    folded.decay = u.prepare(hyper, t, constants)
    if floating is double:
        u.update64(u, &folded, NULL, constants, n, w, g, state)
    else:
        u.update32(u, &folded, NULL, constants, n, w, g, state)


cdef double mse_f64(Py_ssize_t n, const double* z, const double* y, const double* weight, double* grad,
                    double scale) noexcept nogil:
    return total[double](&MSE, n, 1, z, y, weight, grad, scale)


cdef double mae_f64(Py_ssize_t n, const double* z, const double* y, const double* weight, double* grad,
                    double scale) noexcept nogil:
    return total[double](&MAE, n, 1, z, y, weight, grad, scale)


cdef double huber_f64(Py_ssize_t n, const double* z, const double* y, const double* weight, double* grad,
                      double scale) noexcept nogil:
    return total[double](&HUBER, n, 1, z, y, weight, grad, scale)


cdef double log_cosh_f64(Py_ssize_t n, const double* z, const double* y, const double* weight, double* grad,
                         double scale) noexcept nogil:
    return total[double](&LOG_COSH, n, 1, z, y, weight, grad, scale)


cdef double bce_f64(Py_ssize_t n, const double* z, const double* y, const double* weight, double* grad,
                    double scale) noexcept nogil:
    return total[double](&BCE, n, 1, z, y, weight, grad, scale)


cdef double hinge_f64(Py_ssize_t n, const double* z, const double* y, const double* weight, double* grad,
                      double scale) noexcept nogil:
    return total[double](&HINGE, n, 1, z, y, weight, grad, scale)


cdef double squared_hinge_f64(Py_ssize_t n, const double* z, const double* y, const double* weight, double* grad,
                              double scale) noexcept nogil:
    return total[double](&SQUARED_HINGE, n, 1, z, y, weight, grad, scale)


cdef double modified_huber_f64(Py_ssize_t n, const double* z, const double* y, const double* weight, double* grad,
                               double scale) noexcept nogil:
    return total[double](&MODIFIED_HUBER, n, 1, z, y, weight, grad, scale)


cdef double poisson_f64(Py_ssize_t n, const double* z, const double* y, const double* weight, double* grad,
                        double scale) noexcept nogil:
    return total[double](&POISSON, n, 1, z, y, weight, grad, scale)


cdef double gamma_f64(Py_ssize_t n, const double* z, const double* y, const double* weight, double* grad,
                      double scale) noexcept nogil:
    return total[double](&GAMMA, n, 1, z, y, weight, grad, scale)


cdef double cross_entropy_f64(Py_ssize_t n, Py_ssize_t k, const double* z, const int64_t* y, const double* weight,
                              double* grad, double scale) noexcept nogil:
    return total[double](&CROSS_ENTROPY, n, k, z, y, weight, grad, scale)


cdef double loss_f64(const void* loss, Py_ssize_t n, Py_ssize_t k, const double* z, const void* y, const double* weight,
                     double* grad, double scale) noexcept nogil:
    return total[double](<const loss_t*>loss, n, k, z, y, weight, grad, scale)


cdef double linear_mse_f64(Py_ssize_t n, Py_ssize_t d, const double* x, const double* y, const double* sample_weight,
                           const double* w, const double* b, double* grad_w, double* grad_b, double scale) noexcept nogil:
    return linear[double](&MSE, n, d, 1, x, y, sample_weight, w, b, grad_w, grad_b, scale)


cdef double linear_bce_f64(Py_ssize_t n, Py_ssize_t d, const double* x, const double* y, const double* sample_weight,
                           const double* w, const double* b, double* grad_w, double* grad_b, double scale) noexcept nogil:
    return linear[double](&BCE, n, d, 1, x, y, sample_weight, w, b, grad_w, grad_b, scale)


cdef double linear_cross_entropy_f64(Py_ssize_t n, Py_ssize_t d, Py_ssize_t k, const double* x, const int64_t* y,
                                     const double* sample_weight, const double* w, const double* b, double* grad_w,
                                     double* grad_b, double scale) noexcept nogil:
    return linear[double](&CROSS_ENTROPY, n, d, k, x, y, sample_weight, w, b, grad_w, grad_b, scale)


cdef double linear_f64(const void* loss, Py_ssize_t n, Py_ssize_t d, Py_ssize_t k, const double* x, const void* y,
                       const double* sample_weight, const double* w, const double* b, double* grad_w, double* grad_b,
                       double scale) noexcept nogil:
    return linear[double](<const loss_t*>loss, n, d, k, x, y, sample_weight, w, b, grad_w, grad_b, scale)


cdef void sgd_f64(Py_ssize_t n, double* w, const double* g, double lr, double weight_decay) noexcept nogil:
    cdef double[5] hyper = [lr, 0, 0, weight_decay, 0]
    update[double](&SGD_UPDATE, hyper, 2, n, w, g, NULL)


cdef void momentum_f64(Py_ssize_t n, double* w, const double* g, double* velocity, int64_t t, double lr, double momentum,
                       double dampening, double weight_decay) noexcept nogil:
    cdef double[5] hyper = [lr, momentum, dampening, weight_decay, 0]
    cdef double* state[1]
    state[0] = velocity
    update[double](&MOMENTUM_UPDATE, hyper, t, n, w, g, state)


cdef void nesterov_f64(Py_ssize_t n, double* w, const double* g, double* velocity, int64_t t, double lr, double momentum,
                       double weight_decay) noexcept nogil:
    cdef double[5] hyper = [lr, momentum, 0, weight_decay, 1]
    cdef double* state[1]
    state[0] = velocity
    update[double](&MOMENTUM_UPDATE, hyper, t, n, w, g, state)


cdef void rmsprop_f64(Py_ssize_t n, double* w, const double* g, double* square_avg, double lr, double alpha, double eps,
                      double weight_decay) noexcept nogil:
    cdef double[5] hyper = [lr, alpha, eps, weight_decay, 0]
    cdef double* state[1]
    state[0] = square_avg
    update[double](&RMSPROP_UPDATE, hyper, 2, n, w, g, state)


cdef void adagrad_f64(Py_ssize_t n, double* w, const double* g, double* total, int64_t t, double lr, double lr_decay,
                      double eps, double weight_decay) noexcept nogil:
    cdef double[4] hyper = [lr, lr_decay, weight_decay, eps]
    cdef double* state[1]
    state[0] = total
    update[double](&ADAGRAD_UPDATE, hyper, t, n, w, g, state)


cdef void adadelta_f64(Py_ssize_t n, double* w, const double* g, double* square_avg, double* acc_delta, double lr, double rho,
                       double eps, double weight_decay) noexcept nogil:
    cdef double[4] hyper = [lr, rho, eps, weight_decay]
    cdef double* state[2]
    state[0] = square_avg
    state[1] = acc_delta
    update[double](&ADADELTA_UPDATE, hyper, 2, n, w, g, state)


cdef void adam_f64(Py_ssize_t n, double* w, const double* g, double* exp_avg, double* exp_avg_sq, int64_t t, double lr,
                   double beta1, double beta2, double eps, double weight_decay) noexcept nogil:
    cdef double[6] hyper = [lr, beta1, beta2, eps, weight_decay, 0]
    cdef double* state[2]
    state[0] = exp_avg
    state[1] = exp_avg_sq
    update[double](&ADAM_UPDATE, hyper, t, n, w, g, state)


cdef void adamw_f64(Py_ssize_t n, double* w, const double* g, double* exp_avg, double* exp_avg_sq, int64_t t, double lr,
                    double beta1, double beta2, double eps, double weight_decay) noexcept nogil:
    cdef double[6] hyper = [lr, beta1, beta2, eps, weight_decay, 1]
    cdef double* state[2]
    state[0] = exp_avg
    state[1] = exp_avg_sq
    update[double](&ADAM_UPDATE, hyper, t, n, w, g, state)


cdef void adamax_f64(Py_ssize_t n, double* w, const double* g, double* exp_avg, double* exp_inf, int64_t t, double lr,
                     double beta1, double beta2, double eps, double weight_decay) noexcept nogil:
    cdef double[5] hyper = [lr, beta1, beta2, eps, weight_decay]
    cdef double* state[2]
    state[0] = exp_avg
    state[1] = exp_inf
    update[double](&ADAMAX_UPDATE, hyper, t, n, w, g, state)


cdef void radam_f64(Py_ssize_t n, double* w, const double* g, double* exp_avg, double* exp_avg_sq, int64_t t, double lr,
                    double beta1, double beta2, double eps, double weight_decay) noexcept nogil:
    cdef double[6] hyper = [lr, beta1, beta2, eps, weight_decay, 0]
    cdef double* state[2]
    state[0] = exp_avg
    state[1] = exp_avg_sq
    update[double](&RADAM_UPDATE, hyper, t, n, w, g, state)


cdef void lion_f64(Py_ssize_t n, double* w, const double* g, double* exp_avg, double lr, double beta1, double beta2,
                   double weight_decay) noexcept nogil:
    cdef double[4] hyper = [lr, beta1, beta2, weight_decay]
    cdef double* state[1]
    state[0] = exp_avg
    update[double](&LION_UPDATE, hyper, 2, n, w, g, state)


cdef double mse_f32(Py_ssize_t n, const float* z, const float* y, const float* weight, float* grad,
                    double scale) noexcept nogil:
    return total[float](&MSE, n, 1, z, y, weight, grad, scale)


cdef double mae_f32(Py_ssize_t n, const float* z, const float* y, const float* weight, float* grad,
                    double scale) noexcept nogil:
    return total[float](&MAE, n, 1, z, y, weight, grad, scale)


cdef double huber_f32(Py_ssize_t n, const float* z, const float* y, const float* weight, float* grad,
                      double scale) noexcept nogil:
    return total[float](&HUBER, n, 1, z, y, weight, grad, scale)


cdef double log_cosh_f32(Py_ssize_t n, const float* z, const float* y, const float* weight, float* grad,
                         double scale) noexcept nogil:
    return total[float](&LOG_COSH, n, 1, z, y, weight, grad, scale)


cdef double bce_f32(Py_ssize_t n, const float* z, const float* y, const float* weight, float* grad,
                    double scale) noexcept nogil:
    return total[float](&BCE, n, 1, z, y, weight, grad, scale)


cdef double hinge_f32(Py_ssize_t n, const float* z, const float* y, const float* weight, float* grad,
                      double scale) noexcept nogil:
    return total[float](&HINGE, n, 1, z, y, weight, grad, scale)


cdef double squared_hinge_f32(Py_ssize_t n, const float* z, const float* y, const float* weight, float* grad,
                              double scale) noexcept nogil:
    return total[float](&SQUARED_HINGE, n, 1, z, y, weight, grad, scale)


cdef double modified_huber_f32(Py_ssize_t n, const float* z, const float* y, const float* weight, float* grad,
                               double scale) noexcept nogil:
    return total[float](&MODIFIED_HUBER, n, 1, z, y, weight, grad, scale)


cdef double poisson_f32(Py_ssize_t n, const float* z, const float* y, const float* weight, float* grad,
                        double scale) noexcept nogil:
    return total[float](&POISSON, n, 1, z, y, weight, grad, scale)


cdef double gamma_f32(Py_ssize_t n, const float* z, const float* y, const float* weight, float* grad,
                      double scale) noexcept nogil:
    return total[float](&GAMMA, n, 1, z, y, weight, grad, scale)


cdef double cross_entropy_f32(Py_ssize_t n, Py_ssize_t k, const float* z, const int64_t* y, const float* weight, float* grad,
                              double scale) noexcept nogil:
    return total[float](&CROSS_ENTROPY, n, k, z, y, weight, grad, scale)


cdef double loss_f32(const void* loss, Py_ssize_t n, Py_ssize_t k, const float* z, const void* y, const float* weight,
                     float* grad, double scale) noexcept nogil:
    return total[float](<const loss_t*>loss, n, k, z, y, weight, grad, scale)


cdef double linear_mse_f32(Py_ssize_t n, Py_ssize_t d, const float* x, const float* y, const float* sample_weight,
                           const float* w, const float* b, float* grad_w, float* grad_b, double scale) noexcept nogil:
    return linear[float](&MSE, n, d, 1, x, y, sample_weight, w, b, grad_w, grad_b, scale)


cdef double linear_bce_f32(Py_ssize_t n, Py_ssize_t d, const float* x, const float* y, const float* sample_weight,
                           const float* w, const float* b, float* grad_w, float* grad_b, double scale) noexcept nogil:
    return linear[float](&BCE, n, d, 1, x, y, sample_weight, w, b, grad_w, grad_b, scale)


cdef double linear_cross_entropy_f32(Py_ssize_t n, Py_ssize_t d, Py_ssize_t k, const float* x, const int64_t* y,
                                     const float* sample_weight, const float* w, const float* b, float* grad_w, float* grad_b,
                                     double scale) noexcept nogil:
    return linear[float](&CROSS_ENTROPY, n, d, k, x, y, sample_weight, w, b, grad_w, grad_b, scale)


cdef double linear_f32(const void* loss, Py_ssize_t n, Py_ssize_t d, Py_ssize_t k, const float* x, const void* y,
                       const float* sample_weight, const float* w, const float* b, float* grad_w, float* grad_b,
                       double scale) noexcept nogil:
    return linear[float](<const loss_t*>loss, n, d, k, x, y, sample_weight, w, b, grad_w, grad_b, scale)


cdef void sgd_f32(Py_ssize_t n, float* w, const float* g, double lr, double weight_decay) noexcept nogil:
    cdef double[5] hyper = [lr, 0, 0, weight_decay, 0]
    update[float](&SGD_UPDATE, hyper, 2, n, w, g, NULL)


cdef void momentum_f32(Py_ssize_t n, float* w, const float* g, float* velocity, int64_t t, double lr, double momentum,
                       double dampening, double weight_decay) noexcept nogil:
    cdef double[5] hyper = [lr, momentum, dampening, weight_decay, 0]
    cdef float* state[1]
    state[0] = velocity
    update[float](&MOMENTUM_UPDATE, hyper, t, n, w, g, state)


cdef void nesterov_f32(Py_ssize_t n, float* w, const float* g, float* velocity, int64_t t, double lr, double momentum,
                       double weight_decay) noexcept nogil:
    cdef double[5] hyper = [lr, momentum, 0, weight_decay, 1]
    cdef float* state[1]
    state[0] = velocity
    update[float](&MOMENTUM_UPDATE, hyper, t, n, w, g, state)


cdef void rmsprop_f32(Py_ssize_t n, float* w, const float* g, float* square_avg, double lr, double alpha, double eps,
                      double weight_decay) noexcept nogil:
    cdef double[5] hyper = [lr, alpha, eps, weight_decay, 0]
    cdef float* state[1]
    state[0] = square_avg
    update[float](&RMSPROP_UPDATE, hyper, 2, n, w, g, state)


cdef void adagrad_f32(Py_ssize_t n, float* w, const float* g, float* total, int64_t t, double lr, double lr_decay, double eps,
                      double weight_decay) noexcept nogil:
    cdef double[4] hyper = [lr, lr_decay, weight_decay, eps]
    cdef float* state[1]
    state[0] = total
    update[float](&ADAGRAD_UPDATE, hyper, t, n, w, g, state)


cdef void adadelta_f32(Py_ssize_t n, float* w, const float* g, float* square_avg, float* acc_delta, double lr, double rho,
                       double eps, double weight_decay) noexcept nogil:
    cdef double[4] hyper = [lr, rho, eps, weight_decay]
    cdef float* state[2]
    state[0] = square_avg
    state[1] = acc_delta
    update[float](&ADADELTA_UPDATE, hyper, 2, n, w, g, state)


cdef void adam_f32(Py_ssize_t n, float* w, const float* g, float* exp_avg, float* exp_avg_sq, int64_t t, double lr,
                   double beta1, double beta2, double eps, double weight_decay) noexcept nogil:
    cdef double[6] hyper = [lr, beta1, beta2, eps, weight_decay, 0]
    cdef float* state[2]
    state[0] = exp_avg
    state[1] = exp_avg_sq
    update[float](&ADAM_UPDATE, hyper, t, n, w, g, state)


cdef void adamw_f32(Py_ssize_t n, float* w, const float* g, float* exp_avg, float* exp_avg_sq, int64_t t, double lr,
                    double beta1, double beta2, double eps, double weight_decay) noexcept nogil:
    cdef double[6] hyper = [lr, beta1, beta2, eps, weight_decay, 1]
    cdef float* state[2]
    state[0] = exp_avg
    state[1] = exp_avg_sq
    update[float](&ADAM_UPDATE, hyper, t, n, w, g, state)


cdef void adamax_f32(Py_ssize_t n, float* w, const float* g, float* exp_avg, float* exp_inf, int64_t t, double lr,
                     double beta1, double beta2, double eps, double weight_decay) noexcept nogil:
    cdef double[5] hyper = [lr, beta1, beta2, eps, weight_decay]
    cdef float* state[2]
    state[0] = exp_avg
    state[1] = exp_inf
    update[float](&ADAMAX_UPDATE, hyper, t, n, w, g, state)


cdef void radam_f32(Py_ssize_t n, float* w, const float* g, float* exp_avg, float* exp_avg_sq, int64_t t, double lr,
                    double beta1, double beta2, double eps, double weight_decay) noexcept nogil:
    cdef double[6] hyper = [lr, beta1, beta2, eps, weight_decay, 0]
    cdef float* state[2]
    state[0] = exp_avg
    state[1] = exp_avg_sq
    update[float](&RADAM_UPDATE, hyper, t, n, w, g, state)


cdef void lion_f32(Py_ssize_t n, float* w, const float* g, float* exp_avg, double lr, double beta1, double beta2,
                   double weight_decay) noexcept nogil:
    cdef double[4] hyper = [lr, beta1, beta2, weight_decay]
    cdef float* state[1]
    state[0] = exp_avg
    update[float](&LION_UPDATE, hyper, 2, n, w, g, state)


cdef double mse_at(double z, void* y) noexcept nogil:
    return at(&MSE, z, y)


cdef double mae_at(double z, void* y) noexcept nogil:
    return at(&MAE, z, y)


cdef double huber_at(double z, void* y) noexcept nogil:
    return at(&HUBER, z, y)


cdef double log_cosh_at(double z, void* y) noexcept nogil:
    return at(&LOG_COSH, z, y)


cdef double bce_at(double z, void* y) noexcept nogil:
    return at(&BCE, z, y)


cdef double hinge_at(double z, void* y) noexcept nogil:
    return at(&HINGE, z, y)


cdef double squared_hinge_at(double z, void* y) noexcept nogil:
    return at(&SQUARED_HINGE, z, y)


cdef double modified_huber_at(double z, void* y) noexcept nogil:
    return at(&MODIFIED_HUBER, z, y)


cdef double poisson_at(double z, void* y) noexcept nogil:
    return at(&POISSON, z, y)


cdef double gamma_at(double z, void* y) noexcept nogil:
    return at(&GAMMA, z, y)


cdef inline void nadam(Py_ssize_t n, floating* w, const floating* g, floating** state, double* mu_product, int64_t t,
                       const double* first, double decay) noexcept nogil:
    cdef double mu = first[1] * (1 - 0.5 * pow(0.96, <double>t * decay))
    cdef double ahead = first[1] * (1 - 0.5 * pow(0.96, <double>(t + 1) * decay))
    mu_product[0] *= mu
    update[floating](&NADAM_UPDATE, [first[0], first[1], first[2], first[3], first[4], mu, ahead, mu_product[0], 0], t, n, w, g,
                     state)


cdef void nadam_f64(Py_ssize_t n, double* w, const double* g, double* exp_avg, double* exp_avg_sq, double* mu_product, int64_t t,
                    double lr, double beta1, double beta2, double eps, double weight_decay,
                    double momentum_decay) noexcept nogil:
    nadam[double](n, w, g, [exp_avg, exp_avg_sq], mu_product, t, [lr, beta1, beta2, eps, weight_decay], momentum_decay)


cdef void nadam_f32(Py_ssize_t n, float* w, const float* g, float* exp_avg, float* exp_avg_sq, double* mu_product, int64_t t,
                    double lr, double beta1, double beta2, double eps, double weight_decay,
                    double momentum_decay) noexcept nogil:
    nadam[float](n, w, g, [exp_avg, exp_avg_sq], mu_product, t, [lr, beta1, beta2, eps, weight_decay], momentum_decay)


cdef double csr_mse_f64(Py_ssize_t n, Py_ssize_t d, const double* data, const void* indices, const void* indptr,
                        Py_ssize_t index_bytes, const double* y, const double* sample_weight, const double* w,
                        const double* b, double* grad_w, double* grad_b, double scale) noexcept nogil:
    return csr[double](&MSE, n, d, 1, data, indices, indptr, index_bytes, y, sample_weight, w, b, grad_w, grad_b, scale)


cdef double csr_bce_f64(Py_ssize_t n, Py_ssize_t d, const double* data, const void* indices, const void* indptr,
                        Py_ssize_t index_bytes, const double* y, const double* sample_weight, const double* w,
                        const double* b, double* grad_w, double* grad_b, double scale) noexcept nogil:
    return csr[double](&BCE, n, d, 1, data, indices, indptr, index_bytes, y, sample_weight, w, b, grad_w, grad_b, scale)


cdef double csr_cross_entropy_f64(Py_ssize_t n, Py_ssize_t d, Py_ssize_t k, const double* data, const void* indices,
                                  const void* indptr, Py_ssize_t index_bytes, const int64_t* y,
                                  const double* sample_weight, const double* w, const double* b, double* grad_w,
                                  double* grad_b, double scale) noexcept nogil:
    return csr[double](&CROSS_ENTROPY, n, d, k, data, indices, indptr, index_bytes, y, sample_weight, w, b, grad_w,
                       grad_b, scale)


cdef double csr_f64(const void* loss, Py_ssize_t n, Py_ssize_t d, Py_ssize_t k, const double* data, const void* indices,
                    const void* indptr, Py_ssize_t index_bytes, const void* y, const double* sample_weight,
                    const double* w, const double* b, double* grad_w, double* grad_b, double scale) noexcept nogil:
    return csr[double](<const loss_t*>loss, n, d, k, data, indices, indptr, index_bytes, y, sample_weight, w, b, grad_w,
                       grad_b, scale)


cdef double csr_mse_f32(Py_ssize_t n, Py_ssize_t d, const float* data, const void* indices, const void* indptr,
                        Py_ssize_t index_bytes, const float* y, const float* sample_weight, const float* w,
                        const float* b, float* grad_w, float* grad_b, double scale) noexcept nogil:
    return csr[float](&MSE, n, d, 1, data, indices, indptr, index_bytes, y, sample_weight, w, b, grad_w, grad_b, scale)


cdef double csr_bce_f32(Py_ssize_t n, Py_ssize_t d, const float* data, const void* indices, const void* indptr,
                        Py_ssize_t index_bytes, const float* y, const float* sample_weight, const float* w,
                        const float* b, float* grad_w, float* grad_b, double scale) noexcept nogil:
    return csr[float](&BCE, n, d, 1, data, indices, indptr, index_bytes, y, sample_weight, w, b, grad_w, grad_b, scale)


cdef double csr_cross_entropy_f32(Py_ssize_t n, Py_ssize_t d, Py_ssize_t k, const float* data, const void* indices,
                                  const void* indptr, Py_ssize_t index_bytes, const int64_t* y,
                                  const float* sample_weight, const float* w, const float* b, float* grad_w,
                                  float* grad_b, double scale) noexcept nogil:
    return csr[float](&CROSS_ENTROPY, n, d, k, data, indices, indptr, index_bytes, y, sample_weight, w, b, grad_w,
                      grad_b, scale)


cdef double csr_f32(const void* loss, Py_ssize_t n, Py_ssize_t d, Py_ssize_t k, const float* data, const void* indices,
                    const void* indptr, Py_ssize_t index_bytes, const void* y, const float* sample_weight,
                    const float* w, const float* b, float* grad_w, float* grad_b, double scale) noexcept nogil:
    return csr[float](<const loss_t*>loss, n, d, k, data, indices, indptr, index_bytes, y, sample_weight, w, b, grad_w,
                      grad_b, scale)


cdef class Handle:
    """A loss for the functions ``loss_*``, ``linear_*`` and ``csr_*``: keep it for as long as they take its address."""

    cdef loss_t made
    cdef Loss loss

    @property
    def address(self):
        """Where it lies."""
        return <size_t>&self.made


def handle(loss, classes=None):
    """A loss of lossopt, with its own parameters, for compiled clients.

    Parameters
    ----------
    loss : Loss
        Of a row's scores and its target; class weights, ignored labels and the reduction play no part in the kernels, and
        class weights are refused.
    classes : int, optional
        Of a loss that takes labels: how many there are. Targets are labels then, int64.

    Returns
    -------
    Handle
        With `address`.

    Raises
    ------
    TypeError, ValueError
        It is no loss, or one that has no kernel, or no kernel of this kind.

    Examples
    --------
    >>> import lossopt as lo, lossopt.capi
    >>> lossopt.capi.handle(lo.Huber(2.0)).address > 0
    True
    """
    if not isinstance(loss, _losses.Loss):
        raise TypeError(f"loss must be a Loss, got {loss!r}")
    target = np.ones(1) if classes is None else np.zeros(1, np.int64)
    kernel = loss._bind((1,) if classes is None else (1, classes), np.dtype(np.float64), target, "target")[0]
    if not isinstance(kernel, Loss):
        raise TypeError(f"loss must have a kernel, got {loss!r}")
    if loss._weigh(target, None, np.dtype(np.float64)) is not None:
        raise ValueError(f"loss must have no class weights, which are sample weights here: got {loss!r}")
    cdef Handle made = Handle.__new__(Handle)
    made.loss = kernel
    made.made.loss = <const void*>made.loss
    made.made.value64, made.made.value32 = <value_f64>made.loss.level.total64, <value_f32>made.loss.level.total32
    return made


def address(str name):
    """Where a function lies, for numba, ctypes and others that call by address.

    Parameters
    ----------
    name : str
        One of `NAMES`.

    Returns
    -------
    int

    Examples
    --------
    >>> import ctypes, lossopt.capi
    >>> bce_at = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double, ctypes.c_void_p)(lossopt.capi.address("bce_at"))
    >>> target = ctypes.c_double(1.0)
    >>> round(bce_at(0.0, ctypes.addressof(target)), 6)
    0.693147
    """
    capsule = _capsule(name)
    return <size_t>PyCapsule_GetPointer(capsule, PyCapsule_GetName(capsule))


def signature(str name):
    """A function's signature, in C.

    Parameters
    ----------
    name : str
        One of `NAMES`.

    Returns
    -------
    str

    Examples
    --------
    >>> import lossopt.capi
    >>> lossopt.capi.signature("bce_at")
    'double (double, void *)'
    """
    return PyCapsule_GetName(_capsule(name)).decode()


def _capsule(name):
    if name not in NAMES:
        raise ValueError(f"name must be one of lossopt.capi.NAMES, got {name!r}")
    return globals()["__pyx_capi__"][name]


# the struct of lossopt.h: its version, then a pointer a name
cdef size_t* table = <size_t*>malloc((len(NAMES) + 1) * sizeof(size_t))
table[0] = VERSION
for _i, _name in enumerate(NAMES):
    table[_i + 1] = address(_name)
_C_API = PyCapsule_New(table, "lossopt.capi._C_API", NULL)
