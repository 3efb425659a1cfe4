# lossopt for compiled clients: the kernels of the level that was chosen for this processor, under plain names.
#
# Losses: the sum over n rows of weight times the loss of scores z and targets y; grad (NULL: not wanted) becomes scale times
# its gradient, and may be z itself. weight may be NULL: ones. y of cross_entropy holds labels 0 ... k - 1, which nobody checks;
# mse and the other losses of one output see k outputs as n * k rows. loss_* takes what lossopt.capi.handle(loss).address is.
# Linear objectives: the same of z = x w.T + b, x (n, d), w (k, d), b (k,) or NULL; grad_w and grad_b both or neither, grad_b
# NULL where b is. NaN where there was no memory. csr_*: the same over stored numbers, of row r from indptr[r] to indptr[r + 1]
# in data, their columns in indices, which nobody checks; index_bytes of both is 4 or 8, and all else gives NaN.
# Updates: in place, as torch's classes of those names; t counts from 1, and states begin with zeros.
# *_at: the loss of one score, its target behind the pointer: what scipy.LowLevelCallable takes for an integrand.
#
# Memory is dense and never kept. Any function may run without the interpreter, in several threads at once, and uses as many
# threads as lossopt.set_num_threads says for large inputs, with the same bits for any number of them.
# A name keeps its signature for ever; what changes gets another name. lossopt.h says the same in C, and lossopt.capi.VERSION
# grows where names are added.

from libc.stdint cimport int64_t

cdef double mse_f64(Py_ssize_t n, const double* z, const double* y, const double* weight, double* grad,
                    double scale) noexcept nogil
cdef double mae_f64(Py_ssize_t n, const double* z, const double* y, const double* weight, double* grad,
                    double scale) noexcept nogil
cdef double huber_f64(Py_ssize_t n, const double* z, const double* y, const double* weight, double* grad,
                      double scale) noexcept nogil
cdef double log_cosh_f64(Py_ssize_t n, const double* z, const double* y, const double* weight, double* grad,
                         double scale) noexcept nogil
cdef double bce_f64(Py_ssize_t n, const double* z, const double* y, const double* weight, double* grad,
                    double scale) noexcept nogil
cdef double hinge_f64(Py_ssize_t n, const double* z, const double* y, const double* weight, double* grad,
                      double scale) noexcept nogil
cdef double squared_hinge_f64(Py_ssize_t n, const double* z, const double* y, const double* weight, double* grad,
                              double scale) noexcept nogil
cdef double modified_huber_f64(Py_ssize_t n, const double* z, const double* y, const double* weight, double* grad,
                               double scale) noexcept nogil
cdef double poisson_f64(Py_ssize_t n, const double* z, const double* y, const double* weight, double* grad,
                        double scale) noexcept nogil
cdef double gamma_f64(Py_ssize_t n, const double* z, const double* y, const double* weight, double* grad,
                      double scale) noexcept nogil
cdef double cross_entropy_f64(Py_ssize_t n, Py_ssize_t k, const double* z, const int64_t* y, const double* weight,
                              double* grad, double scale) noexcept nogil
cdef double loss_f64(const void* loss, Py_ssize_t n, Py_ssize_t k, const double* z, const void* y, const double* weight,
                     double* grad, double scale) noexcept nogil
cdef double linear_mse_f64(Py_ssize_t n, Py_ssize_t d, const double* x, const double* y, const double* sample_weight,
                           const double* w, const double* b, double* grad_w, double* grad_b, double scale) noexcept nogil
cdef double linear_bce_f64(Py_ssize_t n, Py_ssize_t d, const double* x, const double* y, const double* sample_weight,
                           const double* w, const double* b, double* grad_w, double* grad_b, double scale) noexcept nogil
cdef double linear_cross_entropy_f64(Py_ssize_t n, Py_ssize_t d, Py_ssize_t k, const double* x, const int64_t* y,
                                     const double* sample_weight, const double* w, const double* b, double* grad_w,
                                     double* grad_b, double scale) noexcept nogil
cdef double linear_f64(const void* loss, Py_ssize_t n, Py_ssize_t d, Py_ssize_t k, const double* x, const void* y,
                       const double* sample_weight, const double* w, const double* b, double* grad_w, double* grad_b,
                       double scale) noexcept nogil
cdef void sgd_f64(Py_ssize_t n, double* w, const double* g, double lr, double weight_decay) noexcept nogil
cdef void momentum_f64(Py_ssize_t n, double* w, const double* g, double* velocity, int64_t t, double lr, double momentum,
                       double dampening, double weight_decay) noexcept nogil
cdef void nesterov_f64(Py_ssize_t n, double* w, const double* g, double* velocity, int64_t t, double lr, double momentum,
                       double weight_decay) noexcept nogil
cdef void rmsprop_f64(Py_ssize_t n, double* w, const double* g, double* square_avg, double lr, double alpha, double eps,
                      double weight_decay) noexcept nogil
cdef void adagrad_f64(Py_ssize_t n, double* w, const double* g, double* total, int64_t t, double lr, double lr_decay,
                      double eps, double weight_decay) noexcept nogil
cdef void adadelta_f64(Py_ssize_t n, double* w, const double* g, double* square_avg, double* acc_delta, double lr, double rho,
                       double eps, double weight_decay) noexcept nogil
cdef void adam_f64(Py_ssize_t n, double* w, const double* g, double* exp_avg, double* exp_avg_sq, int64_t t, double lr,
                   double beta1, double beta2, double eps, double weight_decay) noexcept nogil
cdef void adamw_f64(Py_ssize_t n, double* w, const double* g, double* exp_avg, double* exp_avg_sq, int64_t t, double lr,
                    double beta1, double beta2, double eps, double weight_decay) noexcept nogil
cdef void adamax_f64(Py_ssize_t n, double* w, const double* g, double* exp_avg, double* exp_inf, int64_t t, double lr,
                     double beta1, double beta2, double eps, double weight_decay) noexcept nogil
cdef void radam_f64(Py_ssize_t n, double* w, const double* g, double* exp_avg, double* exp_avg_sq, int64_t t, double lr,
                    double beta1, double beta2, double eps, double weight_decay) noexcept nogil
cdef void lion_f64(Py_ssize_t n, double* w, const double* g, double* exp_avg, double lr, double beta1, double beta2,
                   double weight_decay) noexcept nogil
cdef double mse_f32(Py_ssize_t n, const float* z, const float* y, const float* weight, float* grad,
                    double scale) noexcept nogil
cdef double mae_f32(Py_ssize_t n, const float* z, const float* y, const float* weight, float* grad,
                    double scale) noexcept nogil
cdef double huber_f32(Py_ssize_t n, const float* z, const float* y, const float* weight, float* grad,
                      double scale) noexcept nogil
cdef double log_cosh_f32(Py_ssize_t n, const float* z, const float* y, const float* weight, float* grad,
                         double scale) noexcept nogil
cdef double bce_f32(Py_ssize_t n, const float* z, const float* y, const float* weight, float* grad,
                    double scale) noexcept nogil
cdef double hinge_f32(Py_ssize_t n, const float* z, const float* y, const float* weight, float* grad,
                      double scale) noexcept nogil
cdef double squared_hinge_f32(Py_ssize_t n, const float* z, const float* y, const float* weight, float* grad,
                              double scale) noexcept nogil
cdef double modified_huber_f32(Py_ssize_t n, const float* z, const float* y, const float* weight, float* grad,
                               double scale) noexcept nogil
cdef double poisson_f32(Py_ssize_t n, const float* z, const float* y, const float* weight, float* grad,
                        double scale) noexcept nogil
cdef double gamma_f32(Py_ssize_t n, const float* z, const float* y, const float* weight, float* grad,
                      double scale) noexcept nogil
cdef double cross_entropy_f32(Py_ssize_t n, Py_ssize_t k, const float* z, const int64_t* y, const float* weight, float* grad,
                              double scale) noexcept nogil
cdef double loss_f32(const void* loss, Py_ssize_t n, Py_ssize_t k, const float* z, const void* y, const float* weight,
                     float* grad, double scale) noexcept nogil
cdef double linear_mse_f32(Py_ssize_t n, Py_ssize_t d, const float* x, const float* y, const float* sample_weight,
                           const float* w, const float* b, float* grad_w, float* grad_b, double scale) noexcept nogil
cdef double linear_bce_f32(Py_ssize_t n, Py_ssize_t d, const float* x, const float* y, const float* sample_weight,
                           const float* w, const float* b, float* grad_w, float* grad_b, double scale) noexcept nogil
cdef double linear_cross_entropy_f32(Py_ssize_t n, Py_ssize_t d, Py_ssize_t k, const float* x, const int64_t* y,
                                     const float* sample_weight, const float* w, const float* b, float* grad_w, float* grad_b,
                                     double scale) noexcept nogil
cdef double linear_f32(const void* loss, Py_ssize_t n, Py_ssize_t d, Py_ssize_t k, const float* x, const void* y,
                       const float* sample_weight, const float* w, const float* b, float* grad_w, float* grad_b,
                       double scale) noexcept nogil
cdef void sgd_f32(Py_ssize_t n, float* w, const float* g, double lr, double weight_decay) noexcept nogil
cdef void momentum_f32(Py_ssize_t n, float* w, const float* g, float* velocity, int64_t t, double lr, double momentum,
                       double dampening, double weight_decay) noexcept nogil
cdef void nesterov_f32(Py_ssize_t n, float* w, const float* g, float* velocity, int64_t t, double lr, double momentum,
                       double weight_decay) noexcept nogil
cdef void rmsprop_f32(Py_ssize_t n, float* w, const float* g, float* square_avg, double lr, double alpha, double eps,
                      double weight_decay) noexcept nogil
cdef void adagrad_f32(Py_ssize_t n, float* w, const float* g, float* total, int64_t t, double lr, double lr_decay, double eps,
                      double weight_decay) noexcept nogil
cdef void adadelta_f32(Py_ssize_t n, float* w, const float* g, float* square_avg, float* acc_delta, double lr, double rho,
                       double eps, double weight_decay) noexcept nogil
cdef void adam_f32(Py_ssize_t n, float* w, const float* g, float* exp_avg, float* exp_avg_sq, int64_t t, double lr,
                   double beta1, double beta2, double eps, double weight_decay) noexcept nogil
cdef void adamw_f32(Py_ssize_t n, float* w, const float* g, float* exp_avg, float* exp_avg_sq, int64_t t, double lr,
                    double beta1, double beta2, double eps, double weight_decay) noexcept nogil
cdef void adamax_f32(Py_ssize_t n, float* w, const float* g, float* exp_avg, float* exp_inf, int64_t t, double lr,
                     double beta1, double beta2, double eps, double weight_decay) noexcept nogil
cdef void radam_f32(Py_ssize_t n, float* w, const float* g, float* exp_avg, float* exp_avg_sq, int64_t t, double lr,
                    double beta1, double beta2, double eps, double weight_decay) noexcept nogil
cdef void lion_f32(Py_ssize_t n, float* w, const float* g, float* exp_avg, double lr, double beta1, double beta2,
                   double weight_decay) noexcept nogil
cdef double mse_at(double z, void* y) noexcept nogil
cdef double mae_at(double z, void* y) noexcept nogil
cdef double huber_at(double z, void* y) noexcept nogil
cdef double log_cosh_at(double z, void* y) noexcept nogil
cdef double bce_at(double z, void* y) noexcept nogil
cdef double hinge_at(double z, void* y) noexcept nogil
cdef double squared_hinge_at(double z, void* y) noexcept nogil
cdef double modified_huber_at(double z, void* y) noexcept nogil
cdef double poisson_at(double z, void* y) noexcept nogil
cdef double gamma_at(double z, void* y) noexcept nogil
# mu_product: the product of all mu so far, 1 at the start
cdef void nadam_f64(Py_ssize_t n, double* w, const double* g, double* exp_avg, double* exp_avg_sq, double* mu_product, int64_t t,
                    double lr, double beta1, double beta2, double eps, double weight_decay,
                    double momentum_decay) noexcept nogil
cdef void nadam_f32(Py_ssize_t n, float* w, const float* g, float* exp_avg, float* exp_avg_sq, double* mu_product, int64_t t,
                    double lr, double beta1, double beta2, double eps, double weight_decay,
                    double momentum_decay) noexcept nogil
cdef double csr_mse_f64(Py_ssize_t n, Py_ssize_t d, const double* data, const void* indices, const void* indptr,
                        Py_ssize_t index_bytes, const double* y, const double* sample_weight, const double* w,
                        const double* b, double* grad_w, double* grad_b, double scale) noexcept nogil
cdef double csr_bce_f64(Py_ssize_t n, Py_ssize_t d, const double* data, const void* indices, const void* indptr,
                        Py_ssize_t index_bytes, const double* y, const double* sample_weight, const double* w,
                        const double* b, double* grad_w, double* grad_b, double scale) noexcept nogil
cdef double csr_cross_entropy_f64(Py_ssize_t n, Py_ssize_t d, Py_ssize_t k, const double* data, const void* indices,
                                  const void* indptr, Py_ssize_t index_bytes, const int64_t* y,
                                  const double* sample_weight, const double* w, const double* b, double* grad_w,
                                  double* grad_b, double scale) noexcept nogil
cdef double csr_f64(const void* loss, Py_ssize_t n, Py_ssize_t d, Py_ssize_t k, const double* data, const void* indices,
                    const void* indptr, Py_ssize_t index_bytes, const void* y, const double* sample_weight,
                    const double* w, const double* b, double* grad_w, double* grad_b, double scale) noexcept nogil
cdef double csr_mse_f32(Py_ssize_t n, Py_ssize_t d, const float* data, const void* indices, const void* indptr,
                        Py_ssize_t index_bytes, const float* y, const float* sample_weight, const float* w,
                        const float* b, float* grad_w, float* grad_b, double scale) noexcept nogil
cdef double csr_bce_f32(Py_ssize_t n, Py_ssize_t d, const float* data, const void* indices, const void* indptr,
                        Py_ssize_t index_bytes, const float* y, const float* sample_weight, const float* w,
                        const float* b, float* grad_w, float* grad_b, double scale) noexcept nogil
cdef double csr_cross_entropy_f32(Py_ssize_t n, Py_ssize_t d, Py_ssize_t k, const float* data, const void* indices,
                                  const void* indptr, Py_ssize_t index_bytes, const int64_t* y,
                                  const float* sample_weight, const float* w, const float* b, float* grad_w,
                                  float* grad_b, double scale) noexcept nogil
cdef double csr_f32(const void* loss, Py_ssize_t n, Py_ssize_t d, Py_ssize_t k, const float* data, const void* indices,
                    const void* indptr, Py_ssize_t index_bytes, const void* y, const float* sample_weight,
                    const float* w, const float* b, float* grad_w, float* grad_b, double scale) noexcept nogil
