"""Points against many half-spaces at once, in cache-sized blocks.

Points are packed in blocks, coordinate by coordinate, so that one vector holds the
same coordinate of several points.  The filter compares each product with a lower
and an upper cut around the threshold; only a product between the two, where rounding
could decide, is computed again with the one inner product of the package.
"""
import numpy as np

from cython.parallel cimport prange
from libc.float cimport DBL_EPSILON, DBL_MAX, DBL_MIN, FLT_EPSILON, FLT_MAX, FLT_MIN
from libc.math cimport INFINITY, fabs, sqrt
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy

from sksparsenn._kernels cimport dot_strided, real

cdef extern from "simd/kernels.h" nogil:
    uint32_t scan_stretch_float(const float *, int64_t, Py_ssize_t, int32_t, const float *, Py_ssize_t, const float *, const float *, int, int, int64_t, int32_t **, int64_t *)
    uint32_t scan_stretch_double(const double *, int64_t, Py_ssize_t, int32_t, const double *, Py_ssize_t, const double *, const double *, int, int, int64_t, int32_t **, int64_t *)
    uint64_t scan_leaf_float(const float *, Py_ssize_t, Py_ssize_t, const float *, float, float, uint64_t *)
    uint64_t scan_leaf_double(const double *, Py_ssize_t, Py_ssize_t, const double *, double, double, uint64_t *)
    uint32_t classify_children_float(const float *, Py_ssize_t, const float *, float, float, float, float, uint32_t *)
    uint32_t classify_children_double(const double *, Py_ssize_t, const double *, double, double, double, double, uint32_t *)

cdef extern from "simd/lanes.h" nogil:
    enum:
        STRETCH
        GROUP
        BLOCK_BYTES "BLOCK_BYTES"
    const uint32_t LEAF
    const uint32_t EXCEPTION

# Packed points are scanned in chunks that stay in the second-level cache while all queries of a task pass over them.
cdef enum:
    CHUNK_BYTES = 1 << 18


cdef Py_ssize_t block_points(bint single) noexcept nogil:
    return BLOCK_BYTES // 4 if single else BLOCK_BYTES // 8


cdef uint64_t scan_leaf(const real *blocks, Py_ssize_t n_blocks, Py_ssize_t d, const real *normal, real low, real high,
                        uint64_t *sure) noexcept nogil:
    if real is float:
        return scan_leaf_float(blocks, n_blocks, d, normal, low, high, sure)
    else:
        return scan_leaf_double(blocks, n_blocks, d, normal, low, high, sure)


cdef uint32_t classify_children(const real *node, Py_ssize_t d, const real *normal, real norm, real error, real tiny_,
                                real threshold, uint32_t *inside) noexcept nogil:
    if real is float:
        return classify_children_float(node, d, normal, norm, error, tiny_, threshold, inside)
    else:
        return classify_children_double(node, d, normal, norm, error, tiny_, threshold, inside)


cdef int reserve(IntList *list, int64_t extra) noexcept nogil:
    cdef int64_t needed = list.length + extra, capacity
    cdef void *data
    if needed <= list.capacity:
        return 0
    capacity = max(needed, list.capacity + (list.capacity >> 1))
    data = realloc(list.data, capacity * sizeof(int32_t))
    if data == NULL:
        return -1
    list.data = <int32_t *>data
    list.capacity = capacity
    return 0


cdef int append(IntList *list, const int32_t *data, int64_t length) noexcept nogil:
    if length > 0:
        if reserve(list, length) < 0:
            return -1
        memcpy(list.data + list.length, data, length * sizeof(int32_t))
        list.length += length
    return 0


cdef void free_lists(IntList *lists, Py_ssize_t n_lists) noexcept nogil:
    cdef Py_ssize_t q
    if lists != NULL:
        for q in range(n_lists):
            free(lists[q].data)
        free(lists)


cdef object assemble(IntList *lists, Py_ssize_t n_lists):
    cdef Py_ssize_t q
    indptr = np.zeros(n_lists + 1, dtype=np.int64)
    cdef int64_t[::1] ends = indptr
    for q in range(n_lists):
        ends[q + 1] = ends[q] + lists[q].length
    indices = np.empty(ends[n_lists], dtype=np.int32)
    cdef int32_t[::1] out = indices
    if out.shape[0] > 0:
        for q in prange(n_lists, schedule="static", nogil=True, use_threads_if=out.shape[0] > 1 << 16):
            if lists[q].length > 0:
                memcpy(&out[ends[q]], lists[q].data, lists[q].length * sizeof(int32_t))
    free_lists(lists, n_lists)
    return indptr, indices


# Each way of summing d products errs by at most about (d + 3) units of rounding; the cuts, the bounding volumes and
# the norms add a few more.  Four times that sum costs nothing: it only sends a few more points to the exact product.
cdef double rounding(Py_ssize_t d, bint single) noexcept nogil:
    return 4.0 * (d + 8) * (FLT_EPSILON if single else DBL_EPSILON)


# Products below the normal range lose absolute, not relative, precision.
cdef double tiny(Py_ssize_t d, bint single) noexcept nogil:
    return 4.0 * (d + 8) * (FLT_MIN * <double>FLT_EPSILON if single else DBL_MIN * DBL_EPSILON)


cdef double euclidean_norm(const real *v, Py_ssize_t stride, Py_ssize_t d) noexcept nogil:
    # Scaled, so that squares neither overflow nor vanish.
    cdef double largest = 0, total = 0, ratio
    cdef Py_ssize_t j
    for j in range(d):
        largest = max(largest, fabs(<double>v[j * stride]))
    if largest == 0:
        return 0
    for j in range(d):
        ratio = <double>v[j * stride] / largest
        total += ratio * ratio
    return largest * sqrt(total)


cdef bint may_overflow(double norm, double reach, bint single) noexcept nogil:
    # Room for sums of many products and for boxes, whose corners lie beyond the longest point.
    cdef double limit = (FLT_MAX if single else DBL_MAX) / (1 << 20)
    return not (norm * reach < limit and norm < limit and reach < limit)


cdef int64_t keep_decided(const real *blocks, Py_ssize_t d, const real *normal, real threshold, int32_t *found,
                          int64_t start, int64_t end) noexcept nogil:
    # Of found[start:end], keep the points that the one inner product puts beyond the threshold.
    cdef Py_ssize_t block = block_points(real is float)
    cdef int64_t p, kept = start
    cdef int32_t point
    for p in range(start, end):
        point = found[p]
        if dot_strided(normal, blocks + (point // block) * d * block + point % block, block, d) > threshold:
            found[kept] = point
            kept += 1
    return kept


cdef int scan_carefully(const real *blocks, int64_t n_blocks, Py_ssize_t d, const real *normal, real threshold,
                        bint superset, IntList *list) noexcept nogil:
    # Products that may overflow: every point by the one inner product.  A superset has to hold all points,
    # since a product that overflowed (to minus infinity, or to NaN) says nothing about normals nearby.
    cdef Py_ssize_t block = block_points(real is float)
    cdef int64_t p
    cdef real first
    if reserve(list, n_blocks * block) < 0:
        return -1
    for p in range(n_blocks * block):
        list.data[list.length] = p
        if superset:
            first = blocks[(p // block) * d * block + p % block]
            list.length += first == first  # empty places hold NaN
        else:
            list.length += dot_strided(normal, blocks + (p // block) * d * block + p % block, block, d) > threshold
    return 0


cdef int scan_task(const real *blocks, int64_t n_blocks, Py_ssize_t d, const real *normals, Py_ssize_t stride,
                   const real *thresholds, double reach, Py_ssize_t n_normals, bint superset, const real *sure,
                   int leaf, int64_t n_points, IntList *lists) noexcept nogil:
    cdef bint single = real is float
    cdef Py_ssize_t block = block_points(single), q, g, size
    cdef int64_t chunk = max(STRETCH, (CHUNK_BYTES // (BLOCK_BYTES * max(d, 1))) // STRETCH * STRETCH)
    cdef int64_t start, stretch, end
    cdef real low[TASK]
    cdef real high[TASK]
    cdef bint careful[TASK]
    cdef double norm, slack
    cdef int32_t *found[GROUP]
    cdef int32_t *scratch
    cdef int64_t lengths[GROUP]
    cdef int64_t before[GROUP]
    cdef uint32_t doubtful
    for q in range(n_normals):
        norm = euclidean_norm(normals + q * stride, 1, d)
        careful[q] = may_overflow(norm, reach, single)
        slack = rounding(d, single) * norm * reach + tiny(d, single) + (1e-6 if single else 1e-15) * fabs(<double>thresholds[q])
        low[q] = <real>(<double>thresholds[q] - slack)
        high[q] = low[q] if superset else <real>(<double>thresholds[q] + slack)
        if leaf:
            slack += (1e-6 if single else 1e-15) * fabs(<double>sure[q])
            high[q] = <real>(<double>sure[q] + slack)
        if careful[q]:
            low[q] = high[q] = INFINITY
            if scan_carefully(blocks, n_blocks, d, normals + q * stride, thresholds[q], superset, &lists[q]) < 0:
                return -1
    scratch = <int32_t *>malloc(GROUP * min(chunk, n_blocks) * block * sizeof(int32_t))
    if scratch == NULL:
        return -1
    for q in range(GROUP):
        found[q] = scratch + q * min(chunk, n_blocks) * block
    start = 0
    while start < n_blocks:
        end = min(start + chunk, n_blocks)
        g = 0
        while g < n_normals:
            size = min(GROUP, n_normals - g)
            for q in range(size):
                lengths[q] = 0
            stretch = start
            while stretch < end:
                for q in range(size):
                    before[q] = lengths[q]
                if real is float:
                    doubtful = scan_stretch_float(blocks + stretch * d * block, min(STRETCH, end - stretch), d, <int32_t>(stretch * block),
                                                  normals + g * stride, stride, low + g, high + g, <int>size, leaf, n_points, found, lengths)
                else:
                    doubtful = scan_stretch_double(blocks + stretch * d * block, min(STRETCH, end - stretch), d, <int32_t>(stretch * block),
                                                   normals + g * stride, stride, low + g, high + g, <int>size, leaf, n_points, found, lengths)
                if doubtful:
                    for q in range(size):
                        if doubtful >> q & 1:
                            lengths[q] = keep_decided(blocks, d, normals + (g + q) * stride, thresholds[g + q], found[q], before[q], lengths[q])
                stretch += STRETCH
            for q in range(size):
                if append(&lists[g + q], found[q], lengths[q]) < 0:
                    free(scratch)
                    return -1
            g += GROUP
        start = end
    free(scratch)
    return 0


# The layout and the flags, for those who arrange arrays and read lists in Python.
globals()["LEAF"] = LEAF
globals()["EXCEPTION"] = EXCEPTION
globals()["BLOCK_BYTES"] = BLOCK_BYTES
globals()["FANOUT"] = FANOUT


def rounding_error(Py_ssize_t d, bint single):
    """How far two ways of rounding <w, p> over d coordinates may lie apart: per unit of |w| |p|, and besides."""
    return rounding(d, single), tiny(d, single)


def pack(const real[:, ::1] points, Py_ssize_t d, Py_ssize_t blocks_at_least=0):
    """Points in blocks, coordinate by coordinate; places without a point hold NaN, which no comparison lets through."""
    cdef Py_ssize_t block = block_points(real is float), n = points.shape[0], i, j
    cdef Py_ssize_t n_blocks = max((n + block - 1) // block, blocks_at_least)
    packed = np.full((n_blocks, d, block), np.nan, dtype=np.asarray(points).dtype)
    cdef real[:, :, ::1] out = packed
    for i in prange(n, schedule="static", nogil=True, use_threads_if=n * d > 1 << 16):
        for j in range(d):
            out[i // block, j, i % block] = points[i, j]
    return packed


def longest(const real[:, ::1] points):
    """The largest Euclidean norm among the rows."""
    cdef Py_ssize_t n = points.shape[0], d = points.shape[1], i
    cdef double reach = 0
    with nogil:
        for i in range(n):
            reach = max(reach, euclidean_norm(&points[i, 0], 1, d))
    return reach


def points_beyond(const real[:, :, ::1] blocks, const real[:, ::1] normals, const real[::1] thresholds, double reach,
                  bint superset=False, const real[::1] sure=None, int leaf=0, int64_t n_points=0):
    """Compressed rows (indptr, indices): for each normal, the packed points p with <normal, p> > threshold.

    `reach` bounds the norms of the points.  With `superset`, points within rounding
    of the threshold are all listed; otherwise the one inner product decides on them.
    With a second threshold for each normal, `sure`, which takes a superset, leaves of so many consecutive
    points, a power of two from 4 to 32, may be listed in place of their points: by their first point,
    flagged as LEAF; those of its points that are not beyond `sure` are then listed too, whether beyond the
    threshold or not, flagged as EXCEPTION.  This is done where it makes the list shorter, but for leaves not filled
    by the `n_points` packed, and where products may overflow.  Flagged points come in no particular order.
    """
    cdef Py_ssize_t n_normals = normals.shape[0], d = blocks.shape[1], task, n_tasks = (n_normals + TASK - 1) // TASK
    cdef int64_t n_blocks = blocks.shape[0]
    cdef int failed = 0
    cdef IntList *lists = <IntList *>calloc(max(n_normals, 1), sizeof(IntList))
    if lists == NULL:
        raise MemoryError("no memory for the result lists of a scan")
    if n_blocks > 0 and n_normals > 0:
        for task in prange(n_tasks, schedule="dynamic", nogil=True, use_threads_if=n_normals * n_blocks > 1 << 14):
            failed |= scan_task(&blocks[0, 0, 0], n_blocks, d, &normals[task * TASK, 0], normals.shape[1], &thresholds[task * TASK],
                                reach, min(TASK, n_normals - task * TASK), superset,
                                &sure[task * TASK] if leaf else NULL, leaf, n_points, lists + task * TASK) < 0
    if failed:
        free_lists(lists, n_normals)
        raise MemoryError("no memory for the result lists of a scan")
    return assemble(lists, n_normals)
