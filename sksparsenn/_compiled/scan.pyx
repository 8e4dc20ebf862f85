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

from sksparsenn._compiled.kernels cimport dot_strided, real
from sksparsenn._utils.threads cimport threads_for

cdef extern from "simd/kernels.h" nogil:
    ctypedef struct PackedPoints:
        const void *blocks
        int64_t n_blocks
        Py_ssize_t d
        int32_t first
    ctypedef struct HalfSpaces:
        const void *normals
        Py_ssize_t stride
        const void *low
        const void *high
        int n
    ctypedef struct Leaves:
        int size
        int64_t n_points
    uint32_t scan_stretch_float(const PackedPoints *, const HalfSpaces *, const Leaves *, int32_t **, int64_t *)
    uint32_t scan_stretch_double(const PackedPoints *, const HalfSpaces *, const Leaves *, int32_t **, int64_t *)
    uint64_t scan_leaf_float(const float *, Py_ssize_t, Py_ssize_t, const float *, float, float, uint64_t *)
    uint64_t scan_leaf_double(const double *, Py_ssize_t, Py_ssize_t, const double *, double, double, uint64_t *)
    uint32_t classify_children_float(const float *, Py_ssize_t, const float *, float, float, float, float, uint32_t *)
    uint32_t classify_children_double(const double *, Py_ssize_t, const double *, double, double, double, double,
                                      uint32_t *)

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
    TASK = 64  # queries that one task of a scan answers

# What all tasks of a scan share.
cdef struct Scan:
    PackedPoints points
    Leaves grouped
    double reach  # of the longest point
    Py_ssize_t stride  # of the normals
    bint superset


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
        for q in prange(n_lists, schedule="static", nogil=True, num_threads=threads_for(<double>out.shape[0])):
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


cdef int64_t keep_decided(const Scan *scan, const real *normal, real threshold, int32_t *found, int64_t start,
                          int64_t end) noexcept nogil:
    # Of found[start:end], keep the points that the one inner product puts beyond the threshold.
    cdef Py_ssize_t block = block_points(real is float), d = scan.points.d
    cdef const real *blocks = <const real *>scan.points.blocks
    cdef int64_t p, kept = start
    cdef int32_t point
    for p in range(start, end):
        point = found[p]
        if dot_strided(normal, blocks + (point // block) * d * block + point % block, block, d) > threshold:
            found[kept] = point
            kept += 1
    return kept


cdef int scan_carefully(const Scan *scan, const real *normal, real threshold, IntList *list) noexcept nogil:
    # Products that may overflow: every point by the one inner product.  A superset has to hold all points,
    # since from a product that overflowed (to minus infinity, or to NaN) nothing follows for normals nearby.
    cdef Py_ssize_t block = block_points(real is float), d = scan.points.d
    cdef const real *blocks = <const real *>scan.points.blocks
    cdef int64_t p, n_places = scan.points.n_blocks * block
    cdef real first
    if reserve(list, n_places) < 0:
        return -1
    for p in range(n_places):
        list.data[list.length] = p
        if scan.superset:
            first = blocks[(p // block) * d * block + p % block]
            list.length += first == first  # empty places hold NaN
        else:
            list.length += dot_strided(normal, blocks + (p // block) * d * block + p % block, block, d) > threshold
    return 0


cdef int set_cuts(const Scan *scan, const real *normals, const real *thresholds, const real *sure, Py_ssize_t n_normals,
                  real *low, real *high, IntList *lists) noexcept nogil:
    # No point with a product below low[q] is beyond half-space q, and all above high[q] are, however products are
    # rounded.  Half-spaces whose products may overflow are answered here, and their cuts let nothing through.
    cdef bint single = real is float
    cdef Py_ssize_t d = scan.points.d, q
    cdef double norm, slack, relative = 1e-6 if single else 1e-15
    for q in range(n_normals):
        norm = euclidean_norm(normals + q * scan.stride, 1, d)
        slack = rounding(d, single) * norm * scan.reach + tiny(d, single) + relative * fabs(<double>thresholds[q])
        low[q] = <real>(<double>thresholds[q] - slack)
        high[q] = low[q] if scan.superset else <real>(<double>thresholds[q] + slack)
        if scan.grouped.size:
            slack += relative * fabs(<double>sure[q])
            high[q] = <real>(<double>sure[q] + slack)
        if may_overflow(norm, scan.reach, single):
            low[q] = high[q] = INFINITY
            if scan_carefully(scan, normals + q * scan.stride, thresholds[q], &lists[q]) < 0:
                return -1
    return 0


cdef void scan_group(const Scan *scan, const HalfSpaces *group, const real *thresholds, int64_t start, int64_t end,
                     int32_t **found, int64_t *lengths) noexcept nogil:
    # List in found[q] the points of blocks start to end beyond half-space q of a group, stretch by stretch.
    cdef Py_ssize_t block = block_points(real is float), d = scan.points.d, q
    cdef PackedPoints stretch
    cdef const real *normals = <const real *>group.normals
    cdef int64_t before[GROUP]
    cdef uint32_t doubtful
    stretch.d = d
    for q in range(group.n):
        lengths[q] = 0
    while start < end:
        for q in range(group.n):
            before[q] = lengths[q]
        stretch.blocks = <const real *>scan.points.blocks + start * d * block
        stretch.n_blocks = min(STRETCH, end - start)
        stretch.first = <int32_t>(start * block)
        if real is float:
            doubtful = scan_stretch_float(&stretch, group, &scan.grouped, found, lengths)
        else:
            doubtful = scan_stretch_double(&stretch, group, &scan.grouped, found, lengths)
        if doubtful:
            for q in range(group.n):
                if doubtful >> q & 1:
                    lengths[q] = keep_decided(scan, normals + q * scan.stride, thresholds[q], found[q], before[q],
                                              lengths[q])
        start += STRETCH


# Append to lists[q], q < n_normals <= TASK, the numbers of the points beyond each half-space; -1 when memory ran out.
cdef int scan_task(const Scan *scan, const real *normals, const real *thresholds, const real *sure,
                   Py_ssize_t n_normals, IntList *lists) noexcept nogil:
    cdef Py_ssize_t block = block_points(real is float), q, g
    cdef int64_t n_blocks = scan.points.n_blocks, start = 0, end
    cdef int64_t chunk = max(STRETCH, (CHUNK_BYTES // (BLOCK_BYTES * max(scan.points.d, 1))) // STRETCH * STRETCH)
    cdef real low[TASK]
    cdef real high[TASK]
    cdef HalfSpaces group
    cdef int32_t *found[GROUP]
    cdef int64_t lengths[GROUP]
    cdef int32_t *scratch
    if set_cuts(scan, normals, thresholds, sure, n_normals, low, high, lists) < 0:
        return -1
    scratch = <int32_t *>malloc(GROUP * min(chunk, n_blocks) * block * sizeof(int32_t))
    if scratch == NULL:
        return -1
    for q in range(GROUP):
        found[q] = scratch + q * min(chunk, n_blocks) * block
    group.stride = scan.stride
    while start < n_blocks:
        end = min(start + chunk, n_blocks)
        g = 0
        while g < n_normals:
            group.normals, group.low, group.high = normals + g * scan.stride, low + g, high + g
            group.n = <int>min(GROUP, n_normals - g)
            scan_group(scan, &group, thresholds + g, start, end, found, lengths)
            for q in range(group.n):
                if append(&lists[g + q], found[q], lengths[q]) < 0:
                    free(scratch)
                    return -1
            g += GROUP
        start = end
    free(scratch)
    return 0


# The layout and the flags, for Python code that arranges arrays and reads lists.
globals()["LEAF"] = LEAF
globals()["EXCEPTION"] = EXCEPTION
globals()["BLOCK_BYTES"] = BLOCK_BYTES
globals()["FANOUT"] = FANOUT


def rounding_error(Py_ssize_t d, bint single):
    """Return how far two ways of rounding <w, p> over d coordinates may lie apart: per unit of |w| |p|, and besides."""
    return rounding(d, single), tiny(d, single)


def pack(const real[:, ::1] points, Py_ssize_t d, Py_ssize_t blocks_at_least=0):
    """Return points in blocks, coordinate by coordinate; empty places hold NaN, which no comparison lets through."""
    cdef Py_ssize_t block = block_points(real is float), n = points.shape[0], i, j
    cdef Py_ssize_t n_blocks = max((n + block - 1) // block, blocks_at_least)
    packed = np.full((n_blocks, d, block), np.nan, dtype=np.asarray(points).dtype)
    cdef real[:, :, ::1] out = packed
    for i in prange(n, schedule="static", nogil=True, num_threads=threads_for(<double>n * d)):
        for j in range(d):
            out[i // block, j, i % block] = points[i, j]
    return packed


def longest(const real[:, ::1] points):
    """Return the largest Euclidean norm among the rows."""
    cdef Py_ssize_t n = points.shape[0], d = points.shape[1], i
    cdef double reach = 0
    with nogil:
        for i in range(n):
            reach = max(reach, euclidean_norm(&points[i, 0], 1, d))
    return reach


def points_beyond(const real[:, :, ::1] blocks, const real[:, ::1] normals, const real[::1] thresholds, double reach,
                  bint superset=False, const real[::1] sure=None, int leaf=0, int64_t n_points=0):
    """Return, as compressed rows (indptr, indices), for each normal the packed points p with <normal, p> > threshold.

    `reach` bounds the norms of the points.  With `superset`, points within rounding
    of the threshold are all listed; otherwise the one inner product decides on them.
    With a second threshold for each normal, `sure`, which takes a superset, leaves of so many consecutive
    points, a power of two from 4 to 32, may be listed in place of their points: by their first point,
    flagged as LEAF; those of its points that are not beyond `sure` are then listed too, whether beyond the
    threshold or not, flagged as EXCEPTION.  This is done where it makes the list shorter, but for leaves not filled
    by the `n_points` packed, and where products may overflow.  Flagged points come in no particular order.
    """
    cdef Py_ssize_t n_normals = normals.shape[0], task, n_tasks = (n_normals + TASK - 1) // TASK
    cdef double operations = <double>n_normals * blocks.shape[0] * blocks.shape[1] * blocks.shape[2]
    cdef Scan scan
    cdef int failed = 0
    cdef IntList *lists = <IntList *>calloc(max(n_normals, 1), sizeof(IntList))
    if lists == NULL:
        raise MemoryError("no memory for the result lists of a scan")
    scan.points.n_blocks, scan.points.d, scan.points.first = blocks.shape[0], blocks.shape[1], 0
    scan.grouped.size, scan.grouped.n_points = leaf, n_points
    scan.reach, scan.stride, scan.superset = reach, normals.shape[1], superset
    if blocks.shape[0] > 0 and n_normals > 0:
        scan.points.blocks = &blocks[0, 0, 0]
        for task in prange(n_tasks, schedule="dynamic", nogil=True, num_threads=threads_for(operations)):
            failed |= scan_task(&scan, &normals[task * TASK, 0], &thresholds[task * TASK],
                                &sure[task * TASK] if leaf else NULL, min(TASK, n_normals - task * TASK),
                                lists + task * TASK) < 0
    if failed:
        free_lists(lists, n_normals)
        raise MemoryError("no memory for the result lists of a scan")
    return assemble(lists, n_normals)
