"""Sums over the nodes of a sample tree, for neurons that fire on all samples of a node.

The tree has `n_leaves` leaves, a power of two, each of `leaf_size` consecutive samples.
Node 1 is the root, nodes 2k and 2k + 1 are the halves of node k, leaf l is node
n_leaves + l; row 0 of an array over nodes is void.
"""
import numpy as np

from cython.parallel cimport prange
from libc.stdint cimport int32_t, int64_t
from libc.string cimport memset

from sksparsenn._kernels cimport List, Rows, list_at, add_rows, add_to_rows, products, real

cdef enum:
    BLOCKS = 8  # blocks of neurons whose weights are summed apart, so that the sums do not depend on the number of threads
    CHUNK = 64  # leaves handed to a thread at a time
    WORTH_THREADS = 1 << 16  # numbers below which starting threads costs more than it saves


cdef void sum_block(const real *W, const real *signs, Py_ssize_t padded, const int64_t[::1] starts, const int64_t[::1] counts,
                    const int32_t[::1] nodes, Py_ssize_t first, Py_ssize_t last, Py_ssize_t n_nodes, real *sums,
                    real *ones) noexcept nogil:
    cdef Py_ssize_t r
    cdef List one
    memset(sums, 0, n_nodes * padded * sizeof(real))
    memset(ones, 0, n_nodes * sizeof(real))
    for r in range(first, last):
        if counts[r]:
            one = list_at(&nodes[starts[r]], counts[r])
            add_to_rows(W + r * padded, signs[r], padded, &one, sums, ones)


cdef void join_blocks(const real *parts, Py_ssize_t size, Py_ssize_t first, Py_ssize_t last, real *total) noexcept nogil:
    # Blocks half their number apart are added first, so that neurons of paired initialisation cancel exactly.
    cdef Py_ssize_t block, j
    for j in range(first, last):
        total[j] = 0
    for block in range(BLOCKS // 2):
        for j in range(first, last):
            total[j] += parts[block * size + j] + parts[(block + BLOCKS // 2) * size + j]


def sums_of_weights(const real[:, ::1] W, const real[:, ::1] signs, const int64_t[::1] starts, const int64_t[::1] counts,
                    const int32_t[::1] nodes, Py_ssize_t n_nodes):
    """Of the neurons whose lists name a node, row by row: the sum of signs[r] * w_r, and that of signs[r]."""
    cdef Py_ssize_t m = W.shape[0], padded = W.shape[1], half = (m + 1) // 2, pairs = BLOCKS // 2, block, side, part
    cdef Py_ssize_t size = n_nodes * padded, n_parts = (n_nodes + CHUNK - 1) // CHUNK
    dtype = np.asarray(W).dtype
    cdef real[::1] sums = np.empty(BLOCKS * size, dtype=dtype), ones = np.empty(BLOCKS * n_nodes, dtype=dtype)
    weights, numbers = np.empty((n_nodes, padded), dtype=dtype), np.empty(n_nodes, dtype=dtype)
    cdef real[:, ::1] weights_view = weights
    cdef real[::1] numbers_view = numbers
    cdef bint threads = m * padded + nodes.shape[0] > WORTH_THREADS
    for block in prange(BLOCKS, schedule="dynamic", nogil=True, use_threads_if=threads):
        side = block // pairs * half
        sum_block(&W[0, 0], &signs[0, 0], padded, starts, counts, nodes, side + block % pairs * half // pairs,
                  min(side + (block % pairs + 1) * half // pairs, m), n_nodes, &sums[block * size], &ones[block * n_nodes])
    for part in prange(n_parts, schedule="static", nogil=True, use_threads_if=threads):
        join_blocks(&sums[0], size, part * CHUNK * padded, min((part + 1) * CHUNK, n_nodes) * padded, &weights_view[0, 0])
        join_blocks(&ones[0], n_nodes, part * CHUNK, min((part + 1) * CHUNK, n_nodes), &numbers_view[0])
    return weights, numbers


cdef void push_down(real *sums, Py_ssize_t n_nodes, Py_ssize_t columns) noexcept nogil:
    # What was said of a node now stands at its leaves.
    cdef Py_ssize_t k, j
    for k in range(2, n_nodes):
        for j in range(columns):
            sums[k * columns + j] += sums[k // 2 * columns + j]


cdef void add_leaf_outputs(const real *X, Py_ssize_t padded, const real *weights, real number, Py_ssize_t n, real shift, real scale,
                           real *outputs) noexcept nogil:
    cdef real[CHUNK] part
    cdef Py_ssize_t chunk, first, i
    cdef Rows rows
    rows.padded = padded
    for chunk in range((n + CHUNK - 1) // CHUNK):
        first = chunk * CHUNK
        rows.data = X + first * padded
        products(&rows, weights, min(CHUNK, n - first), part)
        for i in range(min(CHUNK, n - first)):
            outputs[first + i] += scale * (part[i] - shift * number)


def add_node_outputs(const real[:, ::1] X, real[:, ::1] weights, real[::1] numbers, Py_ssize_t leaf_size, double shift,
                     double scale, real[:, ::1] outputs):
    """outputs[i] += scale * sum_r signs[r] (<w_r, x_i> - shift) over the neurons r that list a node that holds sample i.

    Takes the sums of weights and of signs at the nodes, and leaves sums over all nodes above.
    """
    cdef Py_ssize_t n = X.shape[0], padded = X.shape[1], n_nodes = weights.shape[0], n_leaves = n_nodes // 2, leaf
    if n == 0:
        return
    push_down(&weights[0, 0], n_nodes, padded)
    push_down(&numbers[0], n_nodes, 1)
    for leaf in prange((n + leaf_size - 1) // leaf_size, schedule="static", nogil=True, use_threads_if=n * padded > WORTH_THREADS):
        add_leaf_outputs(&X[leaf * leaf_size, 0], padded, &weights[n_leaves + leaf, 0], numbers[n_leaves + leaf],
                         min(leaf_size, n - leaf * leaf_size), <real>shift, <real>scale, &outputs[leaf * leaf_size, 0])


cdef void sum_leaf(const real *X, Py_ssize_t padded, const real *factors, Py_ssize_t n, real *total) noexcept nogil:
    cdef Py_ssize_t i, j
    for j in range(padded):
        total[j] = 0
    for i in range(n):
        for j in range(padded):
            total[j] += factors[i] * X[i * padded + j]


def sums_over_nodes(const real[:, ::1] X, const real[:, ::1] factors, Py_ssize_t leaf_size, Py_ssize_t n_leaves):
    """Row k: the sum of factors[i] * x_i over the samples i of node k."""
    cdef Py_ssize_t n = X.shape[0], padded = X.shape[1], leaf, k, j
    total = np.zeros((2 * n_leaves, padded), dtype=np.asarray(X).dtype)
    cdef real[:, ::1] out = total
    for leaf in prange((n + leaf_size - 1) // leaf_size, schedule="static", nogil=True, use_threads_if=n * padded > WORTH_THREADS):
        sum_leaf(&X[leaf * leaf_size, 0], padded, &factors[leaf * leaf_size, 0], min(leaf_size, n - leaf * leaf_size),
                 &out[n_leaves + leaf, 0])
    with nogil:
        for k in range(n_leaves - 1, 0, -1):
            for j in range(padded):
                out[k, j] = out[2 * k, j] + out[2 * k + 1, j]
    return total


def gradient_of_nodes(const real[:, ::1] node_sums, const int64_t[::1] starts, const int64_t[::1] counts, const int32_t[::1] nodes,
                      const real[:, ::1] signs, real[:, ::1] gradient):
    """gradient[r] += signs[r] times the sum of the rows of `node_sums` that the list of r names."""
    cdef Py_ssize_t m = gradient.shape[0], padded = gradient.shape[1], r
    cdef Rows rows
    cdef List one
    rows.data, rows.padded = &node_sums[0, 0], padded
    for r in prange(m, schedule="dynamic", chunksize=CHUNK, nogil=True, use_threads_if=nodes.shape[0] * padded > WORTH_THREADS):
        if counts[r]:
            one = list_at(&nodes[starts[r]], counts[r])
            add_rows(&rows, &one, signs[r, 0], &gradient[r, 0])


def neurons_in_nodes(const int64_t[::1] starts, const int64_t[::1] counts, const int32_t[::1] nodes, Py_ssize_t leaf_size,
                     Py_ssize_t n_leaves, Py_ssize_t n_samples):
    """How many lists name a node that holds the sample, for each sample."""
    cdef Py_ssize_t k
    cdef int64_t p
    numbers = np.zeros(2 * n_leaves, dtype=np.int64)
    cdef int64_t[::1] out = numbers
    with nogil:
        for k in range(starts.shape[0]):
            for p in range(starts[k], starts[k] + counts[k]):
                out[nodes[p]] += 1
        for k in range(2, 2 * n_leaves):
            out[k] += out[k // 2]
    return np.repeat(numbers[n_leaves:], leaf_size)[:n_samples]
