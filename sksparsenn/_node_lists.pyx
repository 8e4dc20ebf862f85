"""Lists of a neuron's samples and of nodes of a `SampleTree`, made from what a scan lists.

A node stands for all its samples.  Besides, a neuron has singles, samples outside its nodes on which it may fire,
and exceptions, samples of its nodes on which it may not: both are looked at one by one.
"""
import numpy as np

from cython.parallel cimport prange
from libc.stdint cimport int32_t, int64_t, uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

cdef extern from "simd/lanes.h" nogil:
    const uint32_t LEAF
    const uint32_t EXCEPTION

cdef enum:
    CHUNK = 64  # lists handed to a thread at a time
    WORTH_THREADS = 1 << 16  # numbers below which starting threads costs more than it saves


cdef int64_t add_nodes(int64_t first, int64_t last, int64_t n_leaves, int32_t *nodes) noexcept nogil:
    # The largest nodes that make up the leaves first to last; returns how many.
    cdef int64_t size, count = 0
    while first < last:
        size = first & -first if first else n_leaves
        while first + size > last:
            size >>= 1
        nodes[count] = <int32_t>((n_leaves + first) // size)
        count += 1
        first += size
    return count


cdef int split_list(int32_t *numbers, int64_t count, int64_t leaf_size, int64_t n_leaves, int64_t *n_singles,
                    int64_t *n_exceptions, int64_t *n_nodes, int64_t *held) noexcept nogil:
    # The list becomes its singles, its exceptions and its nodes, in this order.
    cdef int64_t p = 0, end, first, singles = 0, exceptions = 0, leaves = 0
    cdef uint32_t number
    cdef int32_t *excepted = <int32_t *>malloc(3 * count * sizeof(int32_t))
    cdef int32_t *whole = excepted + count
    cdef int32_t *nodes = whole + count
    if excepted == NULL:
        return -1
    for p in range(count):  # without branches, which would be mispredicted
        number = <uint32_t>numbers[p]
        numbers[singles] = <int32_t>number
        excepted[exceptions] = <int32_t>(number & ~EXCEPTION)
        whole[leaves] = <int32_t>(number & ~LEAF)
        leaves += (number & LEAF) != 0
        exceptions += (number & EXCEPTION) != 0
        singles += (number & (LEAF | EXCEPTION)) == 0
    p = 0
    while p < leaves:
        end = p + 1
        while end < leaves and whole[end] == whole[p] + (end - p) * leaf_size:  # the next leaf
            end += 1
        first = whole[p] // leaf_size
        n_nodes[0] += add_nodes(first, first + end - p, n_leaves, nodes + n_nodes[0])
        p = end
    memcpy(numbers + singles, excepted, exceptions * sizeof(int32_t))
    memcpy(numbers + singles + exceptions, nodes, n_nodes[0] * sizeof(int32_t))
    free(excepted)
    n_singles[0], n_exceptions[0], held[0] = singles, exceptions, leaves * leaf_size
    return 0


def split_leaves(const int64_t[::1] indptr, int32_t[::1] numbers, int64_t leaf_size, int64_t n_leaves):
    """Take lists of samples and leaves, as `points_beyond` makes them, to pieces: (singles, exceptions, nodes, held).

    The counts of singles, exceptions and nodes of each list, which then stand in this order in `numbers`, from its
    beginning on, and how many samples its nodes hold.  The nodes are the largest that make up its leaves.
    """
    cdef Py_ssize_t n_lists = indptr.shape[0] - 1, k
    singles, exceptions, nodes, held = (np.zeros(n_lists, dtype=np.int64) for _ in range(4))
    cdef int64_t[::1] n_singles = singles, n_exceptions = exceptions, n_nodes = nodes, n_held = held
    cdef int failed = 0
    if numbers.shape[0]:
        for k in prange(n_lists, schedule="dynamic", chunksize=CHUNK, nogil=True, use_threads_if=numbers.shape[0] > WORTH_THREADS):
            if indptr[k + 1] > indptr[k]:
                failed |= split_list(&numbers[0] + indptr[k], indptr[k + 1] - indptr[k], leaf_size, n_leaves, &n_singles[k],
                                     &n_exceptions[k], &n_nodes[k], &n_held[k]) < 0
    if failed:
        raise MemoryError("no memory to split margin lists")
    return singles, exceptions, nodes, held
