/* lossopt for C clients: the kernels of the level that was chosen for this processor. What each function does stands in
   lossopt/capi.pxd, whose names and signatures these are.

       #include <Python.h>
       #include "lossopt.h"

       const lossopt_api *lossopt = lossopt_import();    once, with the interpreter; NULL: an exception is set
       lossopt->adam_f64(n, w, g, m, v, t, 1e-3, 0.9, 0.999, 1e-8, 0);    from then on without it

   The struct only ever grows at its end, and version with it: a client built with this header runs with every later lossopt. */

#ifndef LOSSOPT_H
#define LOSSOPT_H

#include <Python.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LOSSOPT_API_VERSION 3

typedef struct {
    size_t version;
    double (*mse_f64)(Py_ssize_t n, const double *z, const double *y, const double *weight, double *grad, double scale);
    double (*mae_f64)(Py_ssize_t n, const double *z, const double *y, const double *weight, double *grad, double scale);
    double (*huber_f64)(Py_ssize_t n, const double *z, const double *y, const double *weight, double *grad, double scale);
    double (*log_cosh_f64)(Py_ssize_t n, const double *z, const double *y, const double *weight, double *grad, double scale);
    double (*bce_f64)(Py_ssize_t n, const double *z, const double *y, const double *weight, double *grad, double scale);
    double (*hinge_f64)(Py_ssize_t n, const double *z, const double *y, const double *weight, double *grad, double scale);
    double (*squared_hinge_f64)(Py_ssize_t n, const double *z, const double *y, const double *weight, double *grad,
                                double scale);
    double (*modified_huber_f64)(Py_ssize_t n, const double *z, const double *y, const double *weight, double *grad,
                                 double scale);
    double (*poisson_f64)(Py_ssize_t n, const double *z, const double *y, const double *weight, double *grad, double scale);
    double (*gamma_f64)(Py_ssize_t n, const double *z, const double *y, const double *weight, double *grad, double scale);
    double (*cross_entropy_f64)(Py_ssize_t n, Py_ssize_t k, const double *z, const int64_t *y, const double *weight,
                                double *grad, double scale);
    double (*loss_f64)(const void *loss, Py_ssize_t n, Py_ssize_t k, const double *z, const void *y, const double *weight,
                       double *grad, double scale);
    double (*linear_mse_f64)(Py_ssize_t n, Py_ssize_t d, const double *x, const double *y, const double *sample_weight,
                             const double *w, const double *b, double *grad_w, double *grad_b, double scale);
    double (*linear_bce_f64)(Py_ssize_t n, Py_ssize_t d, const double *x, const double *y, const double *sample_weight,
                             const double *w, const double *b, double *grad_w, double *grad_b, double scale);
    double (*linear_cross_entropy_f64)(Py_ssize_t n, Py_ssize_t d, Py_ssize_t k, const double *x, const int64_t *y,
                                       const double *sample_weight, const double *w, const double *b, double *grad_w,
                                       double *grad_b, double scale);
    double (*linear_f64)(const void *loss, Py_ssize_t n, Py_ssize_t d, Py_ssize_t k, const double *x, const void *y,
                         const double *sample_weight, const double *w, const double *b, double *grad_w, double *grad_b,
                         double scale);
    void (*sgd_f64)(Py_ssize_t n, double *w, const double *g, double lr, double weight_decay);
    void (*momentum_f64)(Py_ssize_t n, double *w, const double *g, double *velocity, int64_t t, double lr, double momentum,
                         double dampening, double weight_decay);
    void (*nesterov_f64)(Py_ssize_t n, double *w, const double *g, double *velocity, int64_t t, double lr, double momentum,
                         double weight_decay);
    void (*rmsprop_f64)(Py_ssize_t n, double *w, const double *g, double *square_avg, double lr, double alpha, double eps,
                        double weight_decay);
    void (*adagrad_f64)(Py_ssize_t n, double *w, const double *g, double *total, int64_t t, double lr, double lr_decay,
                        double eps, double weight_decay);
    void (*adadelta_f64)(Py_ssize_t n, double *w, const double *g, double *square_avg, double *acc_delta, double lr,
                         double rho, double eps, double weight_decay);
    void (*adam_f64)(Py_ssize_t n, double *w, const double *g, double *exp_avg, double *exp_avg_sq, int64_t t, double lr,
                     double beta1, double beta2, double eps, double weight_decay);
    void (*adamw_f64)(Py_ssize_t n, double *w, const double *g, double *exp_avg, double *exp_avg_sq, int64_t t, double lr,
                      double beta1, double beta2, double eps, double weight_decay);
    void (*adamax_f64)(Py_ssize_t n, double *w, const double *g, double *exp_avg, double *exp_inf, int64_t t, double lr,
                       double beta1, double beta2, double eps, double weight_decay);
    void (*radam_f64)(Py_ssize_t n, double *w, const double *g, double *exp_avg, double *exp_avg_sq, int64_t t, double lr,
                      double beta1, double beta2, double eps, double weight_decay);
    void (*lion_f64)(Py_ssize_t n, double *w, const double *g, double *exp_avg, double lr, double beta1, double beta2,
                     double weight_decay);
    double (*mse_f32)(Py_ssize_t n, const float *z, const float *y, const float *weight, float *grad, double scale);
    double (*mae_f32)(Py_ssize_t n, const float *z, const float *y, const float *weight, float *grad, double scale);
    double (*huber_f32)(Py_ssize_t n, const float *z, const float *y, const float *weight, float *grad, double scale);
    double (*log_cosh_f32)(Py_ssize_t n, const float *z, const float *y, const float *weight, float *grad, double scale);
    double (*bce_f32)(Py_ssize_t n, const float *z, const float *y, const float *weight, float *grad, double scale);
    double (*hinge_f32)(Py_ssize_t n, const float *z, const float *y, const float *weight, float *grad, double scale);
    double (*squared_hinge_f32)(Py_ssize_t n, const float *z, const float *y, const float *weight, float *grad, double scale);
    double (*modified_huber_f32)(Py_ssize_t n, const float *z, const float *y, const float *weight, float *grad,
                                 double scale);
    double (*poisson_f32)(Py_ssize_t n, const float *z, const float *y, const float *weight, float *grad, double scale);
    double (*gamma_f32)(Py_ssize_t n, const float *z, const float *y, const float *weight, float *grad, double scale);
    double (*cross_entropy_f32)(Py_ssize_t n, Py_ssize_t k, const float *z, const int64_t *y, const float *weight,
                                float *grad, double scale);
    double (*loss_f32)(const void *loss, Py_ssize_t n, Py_ssize_t k, const float *z, const void *y, const float *weight,
                       float *grad, double scale);
    double (*linear_mse_f32)(Py_ssize_t n, Py_ssize_t d, const float *x, const float *y, const float *sample_weight,
                             const float *w, const float *b, float *grad_w, float *grad_b, double scale);
    double (*linear_bce_f32)(Py_ssize_t n, Py_ssize_t d, const float *x, const float *y, const float *sample_weight,
                             const float *w, const float *b, float *grad_w, float *grad_b, double scale);
    double (*linear_cross_entropy_f32)(Py_ssize_t n, Py_ssize_t d, Py_ssize_t k, const float *x, const int64_t *y,
                                       const float *sample_weight, const float *w, const float *b, float *grad_w,
                                       float *grad_b, double scale);
    double (*linear_f32)(const void *loss, Py_ssize_t n, Py_ssize_t d, Py_ssize_t k, const float *x, const void *y,
                         const float *sample_weight, const float *w, const float *b, float *grad_w, float *grad_b,
                         double scale);
    void (*sgd_f32)(Py_ssize_t n, float *w, const float *g, double lr, double weight_decay);
    void (*momentum_f32)(Py_ssize_t n, float *w, const float *g, float *velocity, int64_t t, double lr, double momentum,
                         double dampening, double weight_decay);
    void (*nesterov_f32)(Py_ssize_t n, float *w, const float *g, float *velocity, int64_t t, double lr, double momentum,
                         double weight_decay);
    void (*rmsprop_f32)(Py_ssize_t n, float *w, const float *g, float *square_avg, double lr, double alpha, double eps,
                        double weight_decay);
    void (*adagrad_f32)(Py_ssize_t n, float *w, const float *g, float *total, int64_t t, double lr, double lr_decay,
                        double eps, double weight_decay);
    void (*adadelta_f32)(Py_ssize_t n, float *w, const float *g, float *square_avg, float *acc_delta, double lr, double rho,
                         double eps, double weight_decay);
    void (*adam_f32)(Py_ssize_t n, float *w, const float *g, float *exp_avg, float *exp_avg_sq, int64_t t, double lr,
                     double beta1, double beta2, double eps, double weight_decay);
    void (*adamw_f32)(Py_ssize_t n, float *w, const float *g, float *exp_avg, float *exp_avg_sq, int64_t t, double lr,
                      double beta1, double beta2, double eps, double weight_decay);
    void (*adamax_f32)(Py_ssize_t n, float *w, const float *g, float *exp_avg, float *exp_inf, int64_t t, double lr,
                       double beta1, double beta2, double eps, double weight_decay);
    void (*radam_f32)(Py_ssize_t n, float *w, const float *g, float *exp_avg, float *exp_avg_sq, int64_t t, double lr,
                      double beta1, double beta2, double eps, double weight_decay);
    void (*lion_f32)(Py_ssize_t n, float *w, const float *g, float *exp_avg, double lr, double beta1, double beta2,
                     double weight_decay);
    double (*mse_at)(double z, void *y);
    double (*mae_at)(double z, void *y);
    double (*huber_at)(double z, void *y);
    double (*log_cosh_at)(double z, void *y);
    double (*bce_at)(double z, void *y);
    double (*hinge_at)(double z, void *y);
    double (*squared_hinge_at)(double z, void *y);
    double (*modified_huber_at)(double z, void *y);
    double (*poisson_at)(double z, void *y);
    double (*gamma_at)(double z, void *y);
    /* mu_product: the product of all mu so far, 1 at the start */
    void (*nadam_f64)(Py_ssize_t n, double *w, const double *g, double *exp_avg, double *exp_avg_sq, double *mu_product, int64_t t,
                      double lr, double beta1, double beta2, double eps, double weight_decay, double momentum_decay);
    void (*nadam_f32)(Py_ssize_t n, float *w, const float *g, float *exp_avg, float *exp_avg_sq, double *mu_product, int64_t t,
                      double lr, double beta1, double beta2, double eps, double weight_decay, double momentum_decay);
    double (*csr_mse_f64)(Py_ssize_t n, Py_ssize_t d, const double *data, const void *indices, const void *indptr,
                          Py_ssize_t index_bytes, const double *y, const double *sample_weight, const double *w,
                          const double *b, double *grad_w, double *grad_b, double scale);
    double (*csr_bce_f64)(Py_ssize_t n, Py_ssize_t d, const double *data, const void *indices, const void *indptr,
                          Py_ssize_t index_bytes, const double *y, const double *sample_weight, const double *w,
                          const double *b, double *grad_w, double *grad_b, double scale);
    double (*csr_cross_entropy_f64)(Py_ssize_t n, Py_ssize_t d, Py_ssize_t k, const double *data, const void *indices,
                                    const void *indptr, Py_ssize_t index_bytes, const int64_t *y,
                                    const double *sample_weight, const double *w, const double *b, double *grad_w,
                                    double *grad_b, double scale);
    double (*csr_f64)(const void *loss, Py_ssize_t n, Py_ssize_t d, Py_ssize_t k, const double *data,
                      const void *indices, const void *indptr, Py_ssize_t index_bytes, const void *y,
                      const double *sample_weight, const double *w, const double *b, double *grad_w, double *grad_b,
                      double scale);
    double (*csr_mse_f32)(Py_ssize_t n, Py_ssize_t d, const float *data, const void *indices, const void *indptr,
                          Py_ssize_t index_bytes, const float *y, const float *sample_weight, const float *w,
                          const float *b, float *grad_w, float *grad_b, double scale);
    double (*csr_bce_f32)(Py_ssize_t n, Py_ssize_t d, const float *data, const void *indices, const void *indptr,
                          Py_ssize_t index_bytes, const float *y, const float *sample_weight, const float *w,
                          const float *b, float *grad_w, float *grad_b, double scale);
    double (*csr_cross_entropy_f32)(Py_ssize_t n, Py_ssize_t d, Py_ssize_t k, const float *data, const void *indices,
                                    const void *indptr, Py_ssize_t index_bytes, const int64_t *y,
                                    const float *sample_weight, const float *w, const float *b, float *grad_w,
                                    float *grad_b, double scale);
    double (*csr_f32)(const void *loss, Py_ssize_t n, Py_ssize_t d, Py_ssize_t k, const float *data,
                      const void *indices, const void *indptr, Py_ssize_t index_bytes, const void *y,
                      const float *sample_weight, const float *w, const float *b, float *grad_w, float *grad_b,
                      double scale);
} lossopt_api;

static const lossopt_api *lossopt_import(void) {
    /* PyCapsule_Import looks into lossopt, and does not import what lies below it */
    PyObject *module = PyImport_ImportModule("lossopt.capi");
    const lossopt_api *api = module == NULL ? NULL : (const lossopt_api *)PyCapsule_Import("lossopt.capi._C_API", 0);
    Py_XDECREF(module);
    if (api != NULL && api->version < LOSSOPT_API_VERSION) {
        PyErr_Format(PyExc_ImportError, "lossopt is too old for this client: its C interface is %zu, and %d is asked for",
                     api->version, LOSSOPT_API_VERSION);
        return NULL;
    }
    return api;
}

#ifdef __cplusplus
}
#endif

#endif
