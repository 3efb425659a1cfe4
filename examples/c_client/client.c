/* Softmax regression by gradient descent with momentum, in C, by lossopt's table of functions. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "lossopt.h"

static const lossopt_api *lossopt;

/* fit(x, y, w, d, k, steps, lr): x (n, d) and w, weights (k, d) and then biases (k,), float64; y (n,) labels, int64. */
static PyObject *fit(PyObject *self, PyObject *args) {
    Py_buffer x, y, w;
    Py_ssize_t d, k, n, size, i;
    int steps, t;
    double lr, loss = 0, *grad, *velocity;
    if (!PyArg_ParseTuple(args, "y*y*w*nnid", &x, &y, &w, &d, &k, &steps, &lr)) return NULL;
    n = y.len / (Py_ssize_t)sizeof(int64_t);
    size = k * (d + 1);
    grad = malloc(size * sizeof(double));
    velocity = calloc(size, sizeof(double));
    if (grad != NULL && velocity != NULL && x.len == n * d * (Py_ssize_t)sizeof(double)
        && w.len == size * (Py_ssize_t)sizeof(double)) {
        double *weights = w.buf;
        Py_BEGIN_ALLOW_THREADS
        for (t = 1; t <= steps; t++) {
            loss = lossopt->linear_cross_entropy_f64(n, d, k, x.buf, y.buf, NULL, weights, weights + k * d, grad,
                                                     grad + k * d, 1.0 / n) / n;
            lossopt->momentum_f64(size, weights, grad, velocity, t, lr, 0.9, 0, 0);
        }
        Py_END_ALLOW_THREADS
    } else {
        PyErr_SetString(PyExc_ValueError, "x, y and w must match");
    }
    free(grad);
    free(velocity);
    for (i = 0; i < 3; i++) PyBuffer_Release(i == 0 ? &x : i == 1 ? &y : &w);
    return PyErr_Occurred() ? NULL : PyFloat_FromDouble(loss);
}

static PyMethodDef methods[] = {{"fit", fit, METH_VARARGS, "Train in place; returns the loss before the last step."},
                                {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "client", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_client(void) {
    lossopt = lossopt_import();
    return lossopt == NULL ? NULL : PyModule_Create(&module);
}
