"""Products with J^T J over firing pairs, and conjugate gradients made of them.

J is used a stretch of samples at a time: what the neurons that fire on a sample add up to is found sample by sample,
and goes to them neuron by neuron, while the rows of the stretch are in cache.  So either sum stays in registers.
Samples are cut into blocks, each with its own sum, whose number depends on the problem alone: the same bits for any
number of threads.
"""
import numpy as np

from cython.parallel cimport prange
from libc.math cimport sqrt
from libc.stdint cimport int32_t, int64_t
from libc.string cimport memcpy, memset

from sksparsenn._utils.threads cimport threads_for

cdef extern from "simd/normal.h" nogil:
    ctypedef struct RowsOfJ:
        const double *X
        const double *weights
        const double *signs
        Py_ssize_t padded, padded_outputs, units
        const int64_t *by_sample
        const int32_t *neurons
        const int64_t *by_neuron
        const int32_t *samples
        Py_ssize_t n_neurons
    ctypedef struct Stretch:
        Py_ssize_t length
        double *rows
        double *along
        int64_t *places
    void add_normal_product(const RowsOfJ *J, Py_ssize_t first, Py_ssize_t last, const double *U, double *out,
                            const Stretch *stretch)
    void add_transpose_product(const RowsOfJ *J, Py_ssize_t first, Py_ssize_t last, const double *v, double *out,
                               const Stretch *stretch)
    double dot_of_vectors(const double *a, const double *b, Py_ssize_t n)
    void add_multiple(double *y, double factor, const double *x, Py_ssize_t n)

cdef extern from "simd/lanes.h" nogil:
    enum:
        UNIT_BYTES

cdef enum:
    MOST_BLOCKS = 8
    STRETCH_BYTES = 3 << 13  # of rows of a stretch, which the first cache holds beside what else passes through it
    LISTED = 16  # samples of a stretch in the list of a neuron, so that going through all neurons is worth it
    LONGEST_STRETCH = 1 << 12

# Additions that are worth a block of samples with its own sum.
cdef double WORTH_A_BLOCK = 1 << 18


# What all products with one J share.  A block of samples has `stride` numbers of room: for its sum, and a stretch.
cdef struct Product:
    RowsOfJ J
    Py_ssize_t n_samples, n_blocks, size, stride, length
    double work
    double *sums
    const int64_t *begins  # for each block, where in the samples of each neuron it begins


cdef void product_of_block(const Product *product, Py_ssize_t block, bint normal, const double *vector) noexcept nogil:
    cdef double *sum = product.sums + block * product.stride
    cdef Py_ssize_t n = product.n_samples, first, last
    cdef Stretch stretch
    first, last = block * n // product.n_blocks, (block + 1) * n // product.n_blocks
    stretch.length, stretch.rows = product.length, sum + product.size
    stretch.along = stretch.rows + product.length * product.J.units * (UNIT_BYTES // sizeof(double))
    stretch.places = <int64_t *>(stretch.along + product.J.padded_outputs)
    memset(sum, 0, product.size * sizeof(double))
    memcpy(stretch.places, product.begins + block * product.J.n_neurons, product.J.n_neurons * sizeof(int64_t))
    if normal:
        add_normal_product(&product.J, first, last, vector, sum, &stretch)
    else:
        add_transpose_product(&product.J, first, last, vector, sum, &stretch)


cdef void product_of(const Product *product, bint normal, const double *vector, double *out) noexcept nogil:
    # out[:] = J^T J U, or J^T v with the weight one for all samples
    cdef Py_ssize_t block, j
    for block in prange(product.n_blocks, schedule="dynamic", num_threads=threads_for(product.work)):
        product_of_block(product, block, normal, vector)
    for j in range(product.size):
        out[j] = product.sums[j]
    for block in range(1, product.n_blocks):
        for j in range(product.size):
            out[j] += product.sums[block * product.stride + j]


# -- from Python to structs ---------------------------------------------------------------------


cdef Product as_product(const double[:, ::1] X, rows, Py_ssize_t stride, room):
    # Return what products with rows of `stride` numbers share; the arrays have to outlive the result.
    cdef const double[::1] weights = rows.weights
    cdef const int64_t[::1] by_sample = rows.by_sample, by_neuron = rows.by_neuron
    cdef const int32_t[::1] neurons = rows.neurons, samples = rows.samples
    cdef const double[:, ::1] signs = rows.signs
    cdef double[:, ::1] sums = room[0]
    cdef int64_t[:, ::1] begins = room[1]
    cdef Product product
    product.J.padded, product.J.padded_outputs = X.shape[1], signs.shape[1]
    product.J.X, product.J.weights, product.J.by_sample = &X[0, 0], &weights[0], &by_sample[0]
    product.J.neurons, product.J.by_neuron, product.J.samples = &neurons[0], &by_neuron[0], &samples[0]
    product.J.n_neurons = signs.shape[0]
    product.J.units = stride * sizeof(double) // UNIT_BYTES
    product.J.signs = NULL
    if signs.shape[1] > 0:
        product.J.signs = &signs[0, 0]
    product.n_samples, product.n_blocks = X.shape[0], sums.shape[0]
    product.size, product.stride = signs.shape[0] * stride, sums.shape[1]
    product.length, product.sums, product.begins = room[2], &sums[0, 0], &begins[0, 0]
    product.work = work_of(neurons.shape[0], stride + product.J.padded_outputs)
    return product


cdef double work_of(int64_t n_pairs, Py_ssize_t padded) noexcept nogil:
    return 2.0 * n_pairs * padded


cdef object room_for(rows, Py_ssize_t stride):
    # Return room for what products with these rows of J add up, a row for each block of samples; where in the samples of
    # each neuron the blocks begin; and the samples of a stretch.
    n_neurons, padded_outputs = rows.signs.shape
    n_samples, n_pairs = len(rows.weights), len(rows.samples)
    n_blocks = max(1, min(MOST_BLOCKS, int(work_of(n_pairs, stride + padded_outputs) / WORTH_A_BLOCK)))
    # Its rows stay in cache, and the lists of most neurons in it are not too short.
    length = max(STRETCH_BYTES // (8 * (stride + padded_outputs)), LISTED * n_samples * n_neurons // max(n_pairs, 1))
    length = max(1, min(length, LONGEST_STRETCH, n_samples))
    size = n_neurons * (stride + 1) + length * stride + padded_outputs
    # Each block on its own cache lines.
    size = -(-size // 8) * 8
    sums = np.empty(n_blocks * size + 8)
    begin = -(sums.ctypes.data // 8) % 8
    return sums[begin : begin + n_blocks * size].reshape(n_blocks, size), begins_of_blocks(rows, n_blocks), length


cdef object begins_of_blocks(rows, Py_ssize_t n_blocks):
    cdef const int64_t[::1] by_neuron = rows.by_neuron
    cdef const int32_t[::1] samples = rows.samples
    cdef Py_ssize_t n_samples = len(rows.weights), n_neurons = by_neuron.shape[0] - 1, block, q
    begins = np.empty((n_blocks, n_neurons), dtype=np.int64)
    cdef int64_t[:, ::1] out = begins
    with nogil:
        for q in range(n_neurons):
            out[0, q] = by_neuron[q]
            for block in range(1, n_blocks):
                out[block, q] = first_not_below(&samples[0], out[block - 1, q], by_neuron[q + 1],
                                                <int32_t>(block * n_samples // n_blocks))
    return begins


cdef int64_t first_not_below(const int32_t *list, int64_t low, int64_t high, int32_t number) noexcept nogil:
    cdef int64_t middle
    while low < high:
        middle = (low + high) // 2
        if list[middle] < number:
            low = middle + 1
        else:
            high = middle
    return low


def normal_product(const double[:, ::1] X, rows, const double[:, ::1] U):
    """Return J^T J U / factor for `WeightedRows` with at least one firing pair.

    Rows of U are padded with zeros to a multiple of 32 bytes.
    """
    room = room_for(rows, U.shape[1])
    cdef Product product = as_product(X, rows, U.shape[1], room)
    out = np.empty((U.shape[0], U.shape[1]))
    cdef double[:, ::1] out_view = out
    with nogil:
        product_of(&product, True, &U[0, 0], &out_view[0, 0])
    return out


def transpose_product(const double[:, ::1] X, rows, const double[:, ::1] v):
    """Return out[q, :] = sum_i <signs[q], v[i]> x_i over the samples on which q fires, for `WeightedRows` with some pair.

    The weights of the rows are left out.  With one output so are the signs, and v has one column; with more it has as
    many columns as the signs.
    """
    room = room_for(rows, X.shape[1])
    cdef Product product = as_product(X, rows, X.shape[1], room)
    out = np.empty((rows.signs.shape[0], X.shape[1]))
    cdef double[:, ::1] out_view = out
    with nogil:
        product_of(&product, False, &v[0, 0], &out_view[0, 0])
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
    room = room_for(rows, r.shape[1])
    cdef Product product = as_product(X, rows, r.shape[1], room)
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
            product_of(&product, True, p, q)
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
