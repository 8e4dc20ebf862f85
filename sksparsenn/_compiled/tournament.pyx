"""The tables of a tournament: products at the bottom, the largest of `fan_out` entries above them.

Level 0 of sample i holds its products with all neurons; entry j of level k + 1 is
the largest of entries j * fan_out to (j + 1) * fan_out - 1 of level k.
"""
import numpy as np

from cython.parallel cimport prange
from libc.math cimport INFINITY
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport calloc, free, malloc

from sksparsenn._compiled.kernels cimport Rows, products, real
from sksparsenn._compiled.scan cimport IntList, append, assemble, free_lists, reserve
from sksparsenn._utils.threads cimport threads_for

cdef enum:
    MAX_LEVELS = 16

# The tables of all levels, a row of `strides[level]` entries for each sample.
cdef struct Tables:
    void *levels[MAX_LEVELS]
    Py_ssize_t strides[MAX_LEVELS]
    Py_ssize_t n_levels
    Py_ssize_t fan_out

# Neurons that move, and the entries above them, level by level.
cdef struct Moved:
    const int64_t *entries[MAX_LEVELS]
    Py_ssize_t n_entries[MAX_LEVELS]


cdef void take_tables(list levels, Py_ssize_t fan_out, Tables *tables, const real *kind):
    # `kind` determines the precision of the levels.
    cdef real[:, ::1] table
    cdef Py_ssize_t level
    tables.n_levels, tables.fan_out = len(levels), fan_out
    for level in range(tables.n_levels):
        table = levels[level]
        tables.levels[level], tables.strides[level] = &table[0, 0], table.shape[1]


cdef void raise_maxima(const real *below, real *above, int64_t node, Py_ssize_t fan_out) noexcept nogil:
    # Starts below every product, so that one that overflowed to NaN hides none of the others.
    cdef real largest = -INFINITY
    cdef Py_ssize_t c
    for c in range(fan_out):
        if below[node * fan_out + c] > largest:
            largest = below[node * fan_out + c]
    above[node] = largest


def store_products(const real[:, ::1] X, const real[:, ::1] W, list moved_entries, list levels, Py_ssize_t fan_out):
    """Write products to level 0 and renew the maxima above them.

    For every sample i, <X[i], W[k]> goes to column moved_entries[0][k] of level 0; moved_entries[l] are the
    entries of level l above those columns.
    """
    cdef Py_ssize_t n = X.shape[0], i, level
    # Products, and maxima over the children of an entry on each level.
    cdef double operations = <double>n * W.shape[0] * (W.shape[1] + len(levels) * fan_out)
    cdef Rows weights
    cdef Tables tables
    cdef Moved moved
    cdef const int64_t[::1] entries
    cdef int failed = 0
    weights.data, weights.padded = &W[0, 0], W.shape[1]
    take_tables(levels, fan_out, &tables, &X[0, 0])
    for level in range(tables.n_levels):
        entries = moved_entries[level]
        moved.entries[level], moved.n_entries[level] = &entries[0], entries.shape[0]
    for i in prange(n, schedule="static", nogil=True, num_threads=threads_for(operations)):
        failed |= renew_sample(&X[i, 0], &weights, &tables, &moved, i) < 0
    if failed:
        raise MemoryError("no memory to update a MaxTree")


cdef int renew_sample(const real *x, const Rows *W, const Tables *tables, const Moved *moved,
                      Py_ssize_t i) noexcept nogil:
    cdef Py_ssize_t n_moved = moved.n_entries[0], level, k
    cdef real *below = <real *>tables.levels[0] + i * tables.strides[0]
    cdef real *above
    cdef real *fresh = <real *>malloc(n_moved * sizeof(real))
    if fresh == NULL:
        return -1
    products(W, x, n_moved, fresh)
    for k in range(n_moved):
        below[moved.entries[0][k]] = fresh[k]
    free(fresh)
    for level in range(1, tables.n_levels):
        above = <real *>tables.levels[level] + i * tables.strides[level]
        for k in range(moved.n_entries[level]):
            raise_maxima(below, above, moved.entries[level][k], tables.fan_out)
        below = above
    return 0


cdef int entries_above(const Tables *tables, Py_ssize_t i, real cut, IntList *out, int64_t *visited) noexcept nogil:
    # Level by level from the top: of the children of the entries that exceed the cut, keep those that do.
    cdef IntList frontier, following
    cdef Py_ssize_t level = tables.n_levels - 1, fan_out = tables.fan_out, c
    cdef int64_t k
    cdef int32_t child
    cdef const real *table = <const real *>tables.levels[level] + i * tables.strides[level]
    frontier.data = following.data = NULL
    frontier.length = following.length = frontier.capacity = following.capacity = 0
    if reserve(&frontier, tables.strides[level]) < 0:
        return -1
    visited[0] += tables.strides[level]
    for c in range(tables.strides[level]):
        frontier.data[frontier.length] = <int32_t>c
        frontier.length += table[c] > cut
    while level > 0:
        level -= 1
        table = <const real *>tables.levels[level] + i * tables.strides[level]
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
                following.length += table[child] > cut
        frontier, following = following, frontier
    c = append(out, frontier.data, frontier.length)
    free(frontier.data)
    free(following.data)
    return <int>c


def neurons_above(const real[:, ::1] products_, list levels, const int64_t[::1] samples, double cut,
                  Py_ssize_t fan_out):
    """Return, as compressed rows, the neurons whose product with each sample exceeds the cut, and the entries visited.

    The products are level 0.  The cut is rounded to their precision.
    """
    cdef Py_ssize_t n = samples.shape[0], s
    # Measured: where three neurons in a hundred fire, every second entry is visited: compared, and its number stored.
    cdef double operations = <double>n * products_.shape[1]
    cdef Tables tables
    cdef int failed = 0
    cdef IntList *lists = <IntList *>calloc(max(n, 1), sizeof(IntList))
    visited = np.zeros(n, dtype=np.int64)
    cdef int64_t[::1] visited_view = visited
    if lists == NULL:
        raise MemoryError("no memory for the result lists of a MaxTree query")
    take_tables(levels, fan_out, &tables, &products_[0, 0])
    for s in prange(n, schedule="dynamic", chunksize=16, nogil=True, num_threads=threads_for(operations)):
        failed |= entries_above(&tables, samples[s], <real>cut, &lists[s], &visited_view[s]) < 0
    if failed:
        free_lists(lists, n)
        raise MemoryError("no memory for the result lists of a MaxTree query")
    indptr, indices = assemble(lists, n)
    return indptr, indices, int(visited.sum())
