"""Outputs for few rows, straight from the weights as they are stored: no copy of them, and no list for each neuron.

The same bits as by lists of samples in `kernels.pyx`: the inner product is the same, and for each row
neurons are added in ascending order within the same blocks, which are then summed by the same function.
"""
import numpy as np

from cython.parallel cimport prange
from libc.stdint cimport int32_t, int64_t
from libc.string cimport memset

from sksparsenn._compiled.kernels cimport List, list_at, output_blocks, real, sum_all_blocks
from sksparsenn._utils.threads cimport threads_for

cdef extern from "simd/kernels.h" nogil:
    ctypedef struct Neurons:
        const void *rows
        const void *last
        Py_ssize_t columns
        Py_ssize_t padded
        int64_t n_inside
    int64_t keep_neurons_float(const Neurons *, const float *, const List *, float, int32_t *, float *)
    int64_t keep_neurons_double(const Neurons *, const double *, const List *, double, int32_t *, double *)

cdef extern from "simd/lanes.h" nogil:
    enum:
        LANES

cdef enum:
    CHUNK = 256  # neurons that stay in the nearest cache while all rows are taken


# What the blocks of neurons share; the outputs of a block are a row of `entries` numbers.
cdef struct FewRows:
    Neurons neurons
    const void *X
    Py_ssize_t n_rows
    double threshold
    double shift
    const void *signs
    Py_ssize_t n_outputs
    Py_ssize_t entries
    const int64_t *bounds
    const int64_t *indptr  # of neurons listed for each row; NULL where all are evaluated
    const int32_t *listed
    void *outputs


cdef void add_listed(const FewRows *few, Py_ssize_t i, const List *some, real threshold, real *outputs) noexcept nogil:
    # Add to the outputs of row i those of at most CHUNK neurons, in their order.
    cdef int32_t kept[CHUNK + LANES]
    cdef real products[CHUNK + LANES]
    cdef const real *x = <const real *>few.X + i * few.neurons.padded
    cdef const real *signs
    cdef real shift = <real>few.shift, activation
    cdef Py_ssize_t n_outputs = few.n_outputs, o
    cdef int64_t held, p
    if real is float:
        held = keep_neurons_float(&few.neurons, x, some, threshold, kept, products)
    else:
        held = keep_neurons_double(&few.neurons, x, some, threshold, kept, products)
    for p in range(held):
        activation = products[p] - shift
        signs = <const real *>few.signs + kept[p] * n_outputs
        for o in range(n_outputs):
            outputs[o] += signs[o] * activation


cdef int64_t first_from(const int32_t *listed, int64_t start, int64_t end, int64_t number) noexcept nogil:
    # The place of the first listed neuron, in ascending listed[start:end], that is not below this number.
    cdef int64_t middle
    while start < end:
        middle = (start + end) // 2
        if listed[middle] < number:
            start = middle + 1
        else:
            end = middle
    return start


cdef void add_block(const FewRows *few, Py_ssize_t block, real threshold) noexcept nogil:
    cdef int64_t first = few.bounds[block], last = few.bounds[block + 1], p, end
    cdef Py_ssize_t i, k
    cdef real *outputs = <real *>few.outputs + block * few.entries
    cdef int32_t numbers[CHUNK]
    cdef List some
    memset(outputs, 0, few.entries * sizeof(real))
    if few.indptr == NULL:
        while first < last:
            some = list_at(numbers, min(CHUNK, last - first))
            for k in range(some.count):
                numbers[k] = <int32_t>(first + k)
            for i in range(few.n_rows):
                add_listed(few, i, &some, threshold, outputs + i * few.n_outputs)
            first += some.count
        return
    for i in range(few.n_rows):
        p = first_from(few.listed, few.indptr[i], few.indptr[i + 1], first)
        end = first_from(few.listed, p, few.indptr[i + 1], last)
        while p < end:
            some = list_at(few.listed + p, min(CHUNK, end - p))
            add_listed(few, i, &some, threshold, outputs + i * few.n_outputs)
            p += some.count


cdef object bounds_of_blocks(int64_t width, Py_ssize_t n_blocks):
    # As block_bounds in kernels.pyx, where all neurons are listed.
    cdef int64_t half = (width + 1) // 2, pairs = n_blocks // 2, k
    bounds = np.empty(n_blocks + 1, dtype=np.int64)
    cdef int64_t[::1] out = bounds
    for k in range(pairs):
        out[k] = k * half // pairs
        out[pairs + k] = half + min(out[k], width - half)
    out[n_blocks] = width
    return bounds


def outputs_of_few_rows(const real[:, ::1] X, network, const int64_t[::1] indptr=None, const int32_t[::1] listed=None):
    """Return f(x), (n_rows, n_outputs), for rows padded with zeros; the weights of the network need no padding.

    For each row the neurons listed for it, ascending, are evaluated, among which have to be all that fire; without
    lists all are.
    """
    cdef const real[:, ::1] W = network.weights, signs = network.signs
    cdef Py_ssize_t width = W.shape[0], columns = W.shape[1], n_outputs = signs.shape[1], n_blocks, block, j
    cdef int64_t n_inside, r
    cdef double scale = network.scale, threshold = network.threshold, pairs
    cdef FewRows few
    dtype = np.asarray(signs).dtype
    few.n_rows, few.n_outputs, few.entries = X.shape[0], n_outputs, X.shape[0] * n_outputs
    outputs = np.zeros((few.n_rows, n_outputs), dtype=dtype)
    cdef real[::1] outputs_view = outputs.reshape(-1)
    if few.entries == 0 or width == 0:
        return outputs
    n_blocks = output_blocks(n_outputs)
    cdef int64_t[::1] bounds = bounds_of_blocks(width, n_blocks)
    cdef real[:, ::1] partial = np.empty((n_blocks, few.entries), dtype=dtype)
    # Rows whose padding would reach beyond the end of the weights.
    n_inside = max((width * columns - X.shape[1]) // columns + 1, 0) if width * columns >= X.shape[1] else 0
    cdef real[:, ::1] last = np.zeros((max(width - n_inside, 1), X.shape[1]), dtype=dtype)
    for r in range(n_inside, width):
        for j in range(columns):
            last[r - n_inside, j] = W[r, j]
    few.neurons.rows, few.neurons.last, few.neurons.n_inside = &W[0, 0], &last[0, 0], n_inside
    few.neurons.columns, few.neurons.padded = columns, X.shape[1]
    few.X, few.signs, few.outputs = &X[0, 0], &signs[0, 0], &partial[0, 0]
    few.threshold, few.shift, few.bounds = threshold, network.shift, &bounds[0]
    few.indptr = few.listed = NULL
    pairs = <double>few.n_rows * width
    if indptr is not None:
        pairs = indptr[few.n_rows]
        few.indptr, few.listed = &indptr[0], &listed[0] if listed.shape[0] else NULL
    for block in prange(n_blocks, schedule="dynamic", nogil=True, num_threads=threads_for(pairs * X.shape[1])):
        add_block(&few, block, <real>few.threshold)
    sum_all_blocks(partial, few.entries, scale, outputs_view)
    return outputs
