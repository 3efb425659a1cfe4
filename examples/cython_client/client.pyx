# cython: language_level=3, boundscheck=False, wraparound=False
"""Logistic regression by Adam, a loop that never touches the interpreter."""

from lossopt.capi cimport adam_f64, linear_bce_f64


def fit(const double[:, ::1] x, const double[::1] y, double[::1] w, int steps, double lr):
    """Train w (d + 1,), the intercept last, in place; returns the mean loss before the last step."""
    cdef Py_ssize_t n = x.shape[0], d = x.shape[1]
    cdef double[::1] grad = w.copy(), m = w.copy(), v = w.copy()
    cdef double loss = 0
    cdef int t
    m[:] = 0
    v[:] = 0
    with nogil:
        for t in range(1, steps + 1):
            loss = linear_bce_f64(n, d, &x[0, 0], &y[0], NULL, &w[0], &w[d], &grad[0], &grad[d], 1.0 / n) / n
            adam_f64(d + 1, &w[0], &grad[0], &m[0], &v[0], t, lr, 0.9, 0.999, 1e-8, 0)
    return loss
