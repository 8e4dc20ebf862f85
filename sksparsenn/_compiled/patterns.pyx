"""Patterns of firing pairs as lists: transposed, put one after the other, counted and compared; no product is computed.

Functions take a pattern as a named tuple whose first four fields are those of `Lists`, or compressed rows without gaps.
Results are the same for any number of threads.
"""
import numpy as np

from cython.parallel cimport prange
from libc.stdint cimport int32_t, int64_t
from libc.string cimport memcpy

from sksparsenn._compiled.kernels cimport Pattern, as_pattern
from sksparsenn._utils.threads cimport threads_for

cdef enum:
    MOST_BLOCKS = 32  # blocks of rows
    ITEMS_OF_BLOCK = 1 << 16  # entries of lists that are worth a block of a transposition: they fit into cache
    ITEMS_OF_PLACE = 64  # and for each row or column that is looked up for a block


def neurons_per_sample(firing, Py_ssize_t n_samples):
    """Return how many neurons fire on each sample."""
    cdef Pattern lists = as_pattern(firing)
    cdef Py_ssize_t k
    cdef int64_t p
    neurons = np.zeros(n_samples, dtype=np.int64)
    cdef int64_t[::1] out = neurons
    with nogil:
        for k in range(lists.n_rows):
            for p in range(lists.starts[k], lists.starts[k] + lists.counts[k]):
                out[lists.items[p]] += 1
    return neurons


def concatenated(const int64_t[::1] starts, const int64_t[::1] counts, const int32_t[::1] items):
    """Return the lists ``items[starts[k] : starts[k] + counts[k]]``, one after the other."""
    cdef Py_ssize_t k, n_lists = starts.shape[0]
    cdef int64_t[::1] ends = np.cumsum(counts)
    cdef double total = ends[n_lists - 1] if n_lists else 0
    together = np.empty(<Py_ssize_t>total, dtype=np.int32)
    cdef int32_t[::1] out = together
    if total == 0:
        return together
    for k in prange(n_lists, schedule="static", nogil=True, num_threads=threads_for(total / 4)):
        if counts[k] > 0:
            memcpy(&out[ends[k] - counts[k]], &items[starts[k]], counts[k] * sizeof(int32_t))
    return together


# Lists to transpose.  Blocks are of columns where rows ascend, so that what a block writes stays in cache, and else of
# rows.  Row k of `places` holds where in each row block k of columns begins, or where its entries of each column go.
cdef struct Transposition:
    const int64_t *indptr
    const int32_t *indices
    Py_ssize_t n_rows
    Py_ssize_t n_columns
    Py_ssize_t n_blocks
    int64_t *places
    int32_t *out


cdef bint row_falls(const Transposition *lists, Py_ssize_t i) noexcept nogil:
    cdef int64_t p
    cdef bint falls = False
    for p in range(lists.indptr[i] + 1, lists.indptr[i + 1]):
        falls |= lists.indices[p] < lists.indices[p - 1]
    return falls


cdef bint rows_ascend(const Transposition *lists) noexcept nogil:
    cdef Py_ssize_t i
    cdef int falls = 0
    for i in prange(lists.n_rows, schedule="static", num_threads=threads_for(<double>lists.indptr[lists.n_rows])):
        falls |= row_falls(lists, i)
    return not falls


cdef void begin_of_columns(const Transposition *lists, Py_ssize_t block) noexcept nogil:
    # Write where in each row the block of columns begins; block n_blocks is the end.
    cdef Py_ssize_t i, first = block * lists.n_columns // lists.n_blocks
    cdef int64_t low, high, middle
    for i in range(lists.n_rows):
        low, high = lists.indptr[i], lists.indptr[i + 1]
        while low < high:
            middle = (low + high) // 2
            if lists.indices[middle] < first:
                low = middle + 1
            else:
                high = middle
        lists.places[block * lists.n_rows + i] = low


cdef void transpose_columns(const Transposition *lists, Py_ssize_t block, int64_t before,
                            int64_t *starts) noexcept nogil:
    # Fill `out` and `starts` for a block of columns, given how many entries are in columns before it.
    cdef const int64_t *begin = lists.places + block * lists.n_rows
    cdef Py_ssize_t i, c
    cdef Py_ssize_t first = block * lists.n_columns // lists.n_blocks
    cdef Py_ssize_t last = (block + 1) * lists.n_columns // lists.n_blocks
    cdef int64_t p, end = before
    for i in range(lists.n_rows):
        for p in range(begin[i], begin[i + lists.n_rows]):
            starts[lists.indices[p]] += 1
    for c in range(first, last):
        end += starts[c]
        starts[c] = end - starts[c]
    for i in range(lists.n_rows):
        for p in range(begin[i], begin[i + lists.n_rows]):
            c = lists.indices[p]
            lists.out[starts[c]] = <int32_t>i
            starts[c] += 1
    # Each start is now its column's end, where the next column starts.
    for c in range(last - 1, first, -1):
        starts[c] = starts[c - 1]
    if last > first:
        starts[first] = before


cdef void count_rows(const Transposition *lists, Py_ssize_t block) noexcept nogil:
    # Count the entries of a block of rows in each column.
    cdef int64_t *places = lists.places + block * lists.n_columns
    cdef int64_t p
    for p in range(lists.indptr[block * lists.n_rows // lists.n_blocks],
                   lists.indptr[(block + 1) * lists.n_rows // lists.n_blocks]):
        places[lists.indices[p]] += 1


cdef void transpose_rows(const Transposition *lists, Py_ssize_t block) noexcept nogil:
    # Fill `out` with the entries of a block of rows, each at its place, which then is the next one's.
    cdef int64_t *places = lists.places + block * lists.n_columns
    cdef Py_ssize_t i, c
    cdef int64_t p
    for i in range(block * lists.n_rows // lists.n_blocks, (block + 1) * lists.n_rows // lists.n_blocks):
        for p in range(lists.indptr[i], lists.indptr[i + 1]):
            c = lists.indices[p]
            lists.out[places[c]] = <int32_t>i
            places[c] += 1


cdef void place_after_each_other(const Transposition *lists, int64_t *starts) noexcept nogil:
    # Turn the counts of all blocks into the places where their entries begin, column by column.
    cdef int64_t end = 0, count
    cdef Py_ssize_t c, block
    for c in range(lists.n_columns):
        starts[c] = end
        for block in range(lists.n_blocks):
            count = lists.places[block * lists.n_columns + c]
            lists.places[block * lists.n_columns + c] = end
            end += count


cdef transpose_by_columns(Transposition *lists, int64_t[::1] starts):
    cdef Py_ssize_t block
    cdef double work = 2.0 * lists.indptr[lists.n_rows]
    cdef int64_t[:, ::1] places = np.empty((lists.n_blocks + 1, lists.n_rows), dtype=np.int64)
    lists.places = &places[0, 0]
    for block in prange(lists.n_blocks + 1, schedule="static", nogil=True, num_threads=threads_for(work)):
        begin_of_columns(lists, block)
    cdef int64_t[::1] before = np.asarray(places).sum(axis=1) - np.asarray(places)[0].sum()
    for block in prange(lists.n_blocks, schedule="dynamic", nogil=True, num_threads=threads_for(work)):
        transpose_columns(lists, block, before[block], &starts[0])


cdef transpose_by_rows(Transposition *lists, int64_t[::1] starts):
    cdef Py_ssize_t block
    cdef double work = 2.0 * lists.indptr[lists.n_rows]
    cdef int64_t[:, ::1] places = np.zeros((lists.n_blocks, lists.n_columns), dtype=np.int64)
    lists.places = &places[0, 0]
    for block in prange(lists.n_blocks, schedule="dynamic", nogil=True, num_threads=threads_for(work)):
        count_rows(lists, block)
    place_after_each_other(lists, &starts[0])
    for block in prange(lists.n_blocks, schedule="dynamic", nogil=True, num_threads=threads_for(work)):
        transpose_rows(lists, block)


def transpose_lists(const int64_t[::1] indptr, const int32_t[::1] indices, Py_ssize_t n_columns):
    """Return compressed rows of the transpose: for each column, the rows that list it, ascending."""
    cdef Py_ssize_t n_items = indices.shape[0]
    cdef Transposition lists
    columns_indptr = np.zeros(n_columns + 1, dtype=np.int64)
    rows_of_column = np.empty(n_items, dtype=np.int32)
    if n_items == 0:
        return columns_indptr, rows_of_column
    columns_indptr[n_columns] = n_items
    cdef int32_t[::1] out = rows_of_column
    lists.indptr, lists.indices, lists.out = &indptr[0], &indices[0], &out[0]
    lists.n_rows, lists.n_columns = indptr.shape[0] - 1, n_columns
    lists.n_blocks = min(n_columns, n_items // max(ITEMS_OF_BLOCK, lists.n_rows * ITEMS_OF_PLACE))
    if lists.n_blocks > 1 and rows_ascend(&lists):
        transpose_by_columns(&lists, columns_indptr)
    else:
        lists.n_blocks = max(1, min(MOST_BLOCKS, n_items // max(ITEMS_OF_BLOCK, n_columns * ITEMS_OF_PLACE)))
        transpose_by_rows(&lists, columns_indptr)
    return columns_indptr, rows_of_column


def common_pairs(firing, other_firing):
    """Return how many pairs (neuron, sample) are in both patterns, whose rows ascend."""
    cdef Pattern one = as_pattern(firing), other = as_pattern(other_firing)
    cdef Py_ssize_t k = 0, l = 0
    cdef int64_t p, q, p_end, q_end, common = 0
    with nogil:
        while k < one.n_rows and l < other.n_rows:
            if one.rows[k] != other.rows[l]:
                if one.rows[k] < other.rows[l]:
                    k += 1
                else:
                    l += 1
                continue
            p, p_end = one.starts[k], one.starts[k] + one.counts[k]
            q, q_end = other.starts[l], other.starts[l] + other.counts[l]
            while p < p_end and q < q_end:
                common += one.items[p] == other.items[q]
                if one.items[p] <= other.items[q]:
                    p += 1
                    q += one.items[p - 1] == other.items[q]
                else:
                    q += 1
            k += 1
            l += 1
    return common
