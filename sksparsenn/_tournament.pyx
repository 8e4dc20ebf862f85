"""The tables of a MaxTree: products at the bottom, the largest of `fan_out` entries above them.

Level 0 of sample i holds its products with all neurons; entry j of level k + 1 is
the largest of entries j * fan_out to (j + 1) * fan_out - 1 of level k.
"""
import numpy as np

from cython.parallel cimport prange
from libc.math cimport INFINITY
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport calloc, free, malloc

from sksparsenn._kernels cimport Rows, products, real
from sksparsenn._scan cimport IntList, append, assemble, free_lists, reserve

cdef enum:
    MAX_LEVELS = 16


cdef void raise_maxima(const real *below, real *above, int64_t node, Py_ssize_t fan_out) noexcept nogil:
    # Starts below every product, so that one that overflowed to NaN hides none of the others.
    cdef real largest = -INFINITY
    cdef Py_ssize_t c
    for c in range(fan_out):
        if below[node * fan_out + c] > largest:
            largest = below[node * fan_out + c]
    above[node] = largest


def store_products(const real[:, ::1] X, const real[:, ::1] W, const int64_t[::1] rows, list levels, list touched, Py_ssize_t fan_out):
    """Write <X[i], W[k]> to column rows[k] of level 0 for every sample i, then renew the maxima of the touched nodes."""
    cdef Py_ssize_t n = X.shape[0], k, n_rows = rows.shape[0], i, level, n_levels = len(levels)
    cdef real *tables[MAX_LEVELS]
    cdef const int64_t *nodes[MAX_LEVELS]
    cdef Py_ssize_t n_nodes[MAX_LEVELS]
    cdef Py_ssize_t strides[MAX_LEVELS]
    cdef real[:, ::1] table
    cdef const int64_t[::1] renewed
    cdef int failed = 0
    for level in range(n_levels):
        table = levels[level]
        tables[level] = &table[0, 0]
        strides[level] = table.shape[1]
        if level > 0:
            renewed = touched[level - 1]
            nodes[level] = &renewed[0]
            n_nodes[level] = renewed.shape[0]
    for i in prange(n, schedule="static", nogil=True):
        failed |= renew_sample(&X[i, 0], &W[0, 0], W.shape[1], &rows[0], n_rows, i, tables, strides, nodes, n_nodes, n_levels, fan_out) < 0
    if failed:
        raise MemoryError("no memory to update a MaxTree")


cdef int renew_sample(const real *x, const real *W, Py_ssize_t padded, const int64_t *rows, Py_ssize_t n_rows, Py_ssize_t i,
                      real **tables, const Py_ssize_t *strides, const int64_t **nodes, const Py_ssize_t *n_nodes,
                      Py_ssize_t n_levels, Py_ssize_t fan_out) noexcept nogil:
    cdef Py_ssize_t k, level
    cdef real *fresh = <real *>malloc(n_rows * sizeof(real))
    cdef Rows weights
    weights.data, weights.padded = W, padded
    if fresh == NULL:
        return -1
    products(&weights, x, n_rows, fresh)
    for k in range(n_rows):
        tables[0][i * strides[0] + rows[k]] = fresh[k]
    free(fresh)
    for level in range(1, n_levels):
        for k in range(n_nodes[level]):
            raise_maxima(tables[level - 1] + i * strides[level - 1], tables[level] + i * strides[level], nodes[level][k], fan_out)
    return 0


cdef int entries_above(real **tables, const Py_ssize_t *strides, Py_ssize_t n_levels, Py_ssize_t fan_out, Py_ssize_t i, real tau,
                       IntList *out, int64_t *visited) noexcept nogil:
    # Level by level from the top: of the children of the entries that exceed tau, keep those that do.
    cdef IntList frontier, following
    cdef Py_ssize_t level = n_levels - 1, c
    cdef int64_t k
    cdef int32_t child
    cdef const real *table = tables[level] + i * strides[level]
    frontier.data = following.data = NULL
    frontier.length = following.length = frontier.capacity = following.capacity = 0
    if reserve(&frontier, strides[level]) < 0:
        return -1
    visited[0] += strides[level]
    for c in range(strides[level]):
        frontier.data[frontier.length] = <int32_t>c
        frontier.length += table[c] > tau
    while level > 0:
        level -= 1
        table = tables[level] + i * strides[level]
        following.length = 0
        if reserve(&following, frontier.length * fan_out) < 0:
            free(frontier.data)
            free(following.data)
            return -1
        visited[0] += frontier.length * fan_out
        for k in range(frontier.length):
            for c in range(fan_out):
                child = <int32_t>(frontier.data[k] * fan_out + c)
                following.data[following.length] = child
                following.length += table[child] > tau
        frontier, following = following, frontier
    c = append(out, frontier.data, frontier.length)
    free(frontier.data)
    free(following.data)
    return <int>c


def neurons_above(const real[:, ::1] products_, list levels, const int64_t[::1] samples, double tau, Py_ssize_t fan_out):
    """Compressed rows of the neurons whose product with each sample exceeds tau, and the entries visited."""
    cdef Py_ssize_t n = samples.shape[0], n_levels = len(levels), s, level
    cdef real *tables[MAX_LEVELS]
    cdef Py_ssize_t strides[MAX_LEVELS]
    cdef real[:, ::1] table
    cdef real cut = <real>tau
    cdef int failed = 0
    cdef IntList *lists = <IntList *>calloc(max(n, 1), sizeof(IntList))
    visited = np.zeros(n, dtype=np.int64)
    cdef int64_t[::1] visited_view = visited
    if lists == NULL:
        raise MemoryError("no memory for the result lists of a MaxTree query")
    for level in range(n_levels):
        table = levels[level]
        tables[level] = &table[0, 0]
        strides[level] = table.shape[1]
    for s in prange(n, schedule="dynamic", chunksize=16, nogil=True):
        failed |= entries_above(tables, strides, n_levels, fan_out, samples[s], cut, &lists[s], &visited_view[s]) < 0
    if failed:
        free_lists(lists, n)
        raise MemoryError("no memory for the result lists of a MaxTree query")
    indptr, indices = assemble(lists, n)
    return indptr, indices, int(visited.sum())
