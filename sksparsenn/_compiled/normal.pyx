"""Products with J^T J over firing pairs, and conjugate gradients made of them.

J is used row by row: the neurons that fire on a sample are visited twice, while they and it are in cache.  Samples
are cut into blocks, each with its own sum, whose number depends on the problem alone: the same bits for any number
of threads.
"""
import numpy as np

from cython.parallel cimport prange
from libc.math cimport sqrt
from libc.stdint cimport int32_t, int64_t
from libc.string cimport memset

from sksparsenn._utils.threads cimport threads_for

cdef extern from "simd/normal.h" nogil:
    ctypedef struct RowsOfJ:
        const double *X
        const double *weights
        const double *signs
        Py_ssize_t padded, padded_outputs, units
        const int64_t *by_sample
        const int32_t *neurons
    void add_normal_product(const RowsOfJ *J, Py_ssize_t first, Py_ssize_t last, const double *U, double *out,
                            double *along)
    double dot_of_vectors(const double *a, const double *b, Py_ssize_t n)
    void add_multiple(double *y, double factor, const double *x, Py_ssize_t n)

cdef extern from "simd/lanes.h" nogil:
    enum:
        UNIT_BYTES

cdef enum:
    MOST_BLOCKS = 8

# Additions that are worth a block of samples with its own sum.
cdef double WORTH_A_BLOCK = 1 << 18


# What all products with one J share.  A block of samples has `stride` numbers of room for its sum.
cdef struct Product:
    RowsOfJ J
    Py_ssize_t n_samples, n_blocks, size, stride
    double work
    double *sums


cdef void product_of_block(const Product *product, Py_ssize_t block, const double *U) noexcept nogil:
    cdef double *sum = product.sums + block * product.stride
    cdef Py_ssize_t n = product.n_samples
    memset(sum, 0, product.stride * sizeof(double))
    add_normal_product(&product.J, block * n // product.n_blocks, (block + 1) * n // product.n_blocks, U, sum,
                       sum + product.size)


cdef void normal_product_of(const Product *product, const double *U, double *out) noexcept nogil:
    # out[:] = J^T J U
    cdef Py_ssize_t block, j
    for block in prange(product.n_blocks, schedule="dynamic", num_threads=threads_for(product.work)):
        product_of_block(product, block, U)
    for j in range(product.size):
        out[j] = product.sums[j]
    for block in range(1, product.n_blocks):
        for j in range(product.size):
            out[j] += product.sums[block * product.stride + j]


# -- from Python to structs ---------------------------------------------------------------------


cdef Product as_product(const double[:, ::1] X, rows, Py_ssize_t stride, double[:, ::1] sums):
    # Return what products with rows of `stride` numbers share; the arrays have to outlive the result.
    cdef const double[::1] weights = rows.weights
    cdef const int64_t[::1] by_sample = rows.by_sample
    cdef const int32_t[::1] neurons = rows.neurons
    cdef const double[:, ::1] signs = rows.signs
    cdef Product product
    product.J.padded, product.J.padded_outputs = X.shape[1], signs.shape[1]
    product.J.X, product.J.weights, product.J.by_sample = &X[0, 0], &weights[0], &by_sample[0]
    product.J.neurons = &neurons[0]
    product.J.units = stride * sizeof(double) // UNIT_BYTES
    product.J.signs = NULL
    if signs.shape[1] > 0:
        product.J.signs = &signs[0, 0]
    product.n_samples, product.n_blocks = X.shape[0], sums.shape[0]
    product.size, product.stride = signs.shape[0] * stride, sums.shape[1]
    product.work = work_of(neurons.shape[0], stride + product.J.padded_outputs)
    product.sums = &sums[0, 0]
    return product


cdef double work_of(int64_t n_pairs, Py_ssize_t padded) noexcept nogil:
    return 2.0 * n_pairs * padded


cdef object room_for_sums(rows, Py_ssize_t stride):
    # Return room for what products with these rows of J add up, a row for each block of samples.
    n_neurons, padded_outputs = rows.signs.shape
    work = work_of(len(rows.neurons), stride + padded_outputs)
    n_blocks = max(1, min(MOST_BLOCKS, int(work / WORTH_A_BLOCK)))
    return np.empty((n_blocks, n_neurons * stride + padded_outputs))


def normal_product(const double[:, ::1] X, rows, const double[:, ::1] U):
    """Return J^T J U / factor for `WeightedRows` with at least one firing pair.

    Rows of U are padded with zeros to a multiple of 32 bytes.
    """
    cdef double[:, ::1] sums = room_for_sums(rows, U.shape[1])
    cdef Product product = as_product(X, rows, U.shape[1], sums)
    out = np.empty((U.shape[0], U.shape[1]))
    cdef double[:, ::1] out_view = out
    with nogil:
        normal_product_of(&product, &U[0, 0], &out_view[0, 0])
    return out


def conjugate_gradient_steps(const double[:, ::1] X, rows, double strength, double enough, vectors,
                             double slope_before, Py_ssize_t n_steps):
    """Take up to `n_steps` steps of conjugate gradients for (J^T J + strength) x = b.

    Parameters
    ----------
    X : ndarray of shape (n_samples, padded)
    rows : WeightedRows
        With at least one firing pair.
    strength : float
    enough : float
        The length of a residual that is short enough.
    vectors : three ndarrays of shape (n_neurons, padded)
        Rows are padded with zeros to a multiple of 32 bytes.  x, the residual r = b - (J^T J + strength) x, and the last direction, all changed in place.
    slope_before : float
        The squared length of the residual from which that direction came; one if there was none, and it is zero.
    n_steps : int

    Returns
    -------
    steps : int
    slope : float
        The squared length of the residual before the last step.
    ended : bool
        Whether the residual is no longer than `enough`, or what is left is rounding.
    """
    cdef double[:, ::1] x = vectors[0], r = vectors[1], direction = vectors[2]
    cdef double[:, ::1] sums = room_for_sums(rows, r.shape[1])
    cdef Product product = as_product(X, rows, r.shape[1], sums)
    cdef double[:, ::1] image = np.empty((r.shape[0], r.shape[1]))
    cdef double factor = rows.factor, slope, curvature
    cdef Py_ssize_t step = 0, j, n = r.shape[0] * r.shape[1]
    cdef double *p = &direction[0, 0]
    cdef double *q = &image[0, 0]
    cdef double *rest = &r[0, 0]
    cdef bint ended = False
    with nogil:
        while True:
            slope = dot_of_vectors(rest, rest, n)
            ended = sqrt(slope) <= enough
            if ended or step == n_steps:
                break
            for j in range(n):
                p[j] = rest[j] + slope / slope_before * p[j]
            normal_product_of(&product, p, q)
            for j in range(n):
                q[j] = factor * q[j] + strength * p[j]
            curvature = dot_of_vectors(p, q, n)
            ended = not curvature > 0
            if ended:
                break
            add_multiple(&x[0, 0], slope / curvature, p, n)
            add_multiple(rest, -slope / curvature, q, n)
            slope_before = slope
            step += 1
    return step, slope_before, ended
