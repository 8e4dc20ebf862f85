"""Lists kept in one array with gaps between them, operations on lists, and how far neurons have moved."""
import numpy as np

from cython.parallel cimport prange
from libc.math cimport fabs, isfinite, sqrt
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memmove

from sksparsenn._compiled.kernels cimport List, Rows, keep_above, real
from sksparsenn._utils.threads cimport threads_for

cdef extern from "simd/lanes.h" nogil:
    enum:
        LANES

cdef extern from "simd/kernels.h" nogil:
    void squared_distances_float(const float *, const float *, Py_ssize_t, Py_ssize_t, double *)
    void squared_distances_double(const double *, const double *, Py_ssize_t, Py_ssize_t, double *)

cdef enum:
    CHUNK = 64  # rows handed to a thread at a time

# The array has one part in this many to spare, for lists that outgrow their place.
SPARE = 2


# ---------------------------------------------------------------------------------------
# The store
# ---------------------------------------------------------------------------------------

class GapLists:
    """A list of int32 numbers for every row: row r has ``items[starts[r] : starts[r] + counts[r]]``.

    It is made from (starts, counts, items) of the same form, of some consecutive rows in each of `parts`.
    """

    def __init__(self, parts):
        self.counts = np.concatenate([counts for _, counts, _ in parts])
        self._capacities = _room(self.counts)
        self.starts = _one_after_another(self._capacities)
        self._end = int(self._capacities.sum())
        self.items = np.empty(self._end + self._end // SPARE, dtype=np.int32)
        first = 0
        for starts, counts, items in parts:
            rows = slice(first, first + len(starts))
            copy_lists(items, starts, counts, self.items, self.starts[rows])
            first = rows.stop

    @property
    def n_items(self):
        return int(self.counts.sum())

    def replace(self, rows, part):
        """Give `rows` the lists of a part, where the old ones stood or, if too long, at the end of the array."""
        starts, counts, items = part
        outgrown = rows[counts > self._capacities[rows]]
        self.counts[rows] = counts
        if len(outgrown):
            room = _room(self.counts[outgrown])
            self._capacities[outgrown] = room
            if self._end + room.sum() > len(self.items):
                self._rearrange(rows)
            else:
                self.starts[outgrown] = self._end + _one_after_another(room)
                self._end += int(room.sum())
        copy_lists(items, starts, counts, self.items, self.starts[rows])

    def _rearrange(self, rows):
        """Close the gaps between the lists, with room for new ones of `rows` behind all others."""
        needed = int(self._capacities.sum())
        replaced = np.zeros(len(self.counts), dtype=bool)
        replaced[rows] = True
        others = np.argsort(self.starts)
        others = others[~replaced[others]]
        lists, starts = (self.starts[others], self.counts[others]), _one_after_another(self._capacities[others])
        if needed + needed // (4 * SPARE) <= len(self.items):
            close_gaps(self.items, *lists, starts)
        else:
            items = np.empty(needed + needed // SPARE, dtype=np.int32)
            copy_lists(self.items, *lists, items, starts)
            self.items = items
        self.starts[others] = starts
        self.starts[rows] = needed - self._capacities[rows].sum() + _one_after_another(self._capacities[rows])
        self._end = needed


def _room(counts):
    """Return room for lists of these lengths to grow a little where they stand."""
    return counts + counts // 8 + 8


def _one_after_another(lengths):
    """Return where lists of these lengths begin that follow each other without gaps."""
    return np.cumsum(lengths) - lengths


def copy_lists(const int32_t[::1] source, const int64_t[::1] source_starts, const int64_t[::1] counts,
               int32_t[::1] target, const int64_t[::1] target_starts):
    """Copy list k from source_starts[k] of one array to target_starts[k] of another."""
    cdef Py_ssize_t k
    for k in prange(counts.shape[0], schedule="static", nogil=True, num_threads=threads_for(<double>source.shape[0])):
        if counts[k] > 0:
            memcpy(&target[target_starts[k]], &source[source_starts[k]], counts[k] * sizeof(int32_t))


def close_gaps(int32_t[::1] samples, const int64_t[::1] starts, const int64_t[::1] counts,
               const int64_t[::1] new_starts):
    """Move list k from starts[k] down to new_starts[k], in place; lists stand in the order of their numbers."""
    cdef Py_ssize_t k
    with nogil:
        for k in range(counts.shape[0]):
            if counts[k] > 0:
                memmove(&samples[new_starts[k]], &samples[starts[k]], counts[k] * sizeof(int32_t))


def narrow_lists(const real[:, ::1] X, const real[:, ::1] W, const int64_t[::1] rows, const real[::1] cuts,
                 const int64_t[::1] starts, int64_t[::1] counts, int32_t[::1] samples):
    """Of the lists of the given neurons keep, in place, the samples with <W[r], x_i> > cuts[k]."""
    cdef Py_ssize_t k, padded = X.shape[1]
    cdef int64_t r
    cdef int failed = 0
    cdef double listed = 0
    for k in range(rows.shape[0]):
        listed += counts[rows[k]]
    for k in prange(rows.shape[0], schedule="dynamic", chunksize=CHUNK, nogil=True,
                    num_threads=threads_for(listed * padded)):
        r = rows[k]
        if counts[r] > 0:
            failed |= narrow_list(&X[0, 0], padded, &W[r, 0], &samples[starts[r]], &counts[r], cuts[k]) < 0
    if failed:
        raise MemoryError("no memory to narrow margin lists")


cdef int narrow_list(const real *X, Py_ssize_t padded, const real *w, int32_t *samples, int64_t *count,
                     real cut) noexcept nogil:
    cdef int32_t *kept = <int32_t *>malloc((count[0] + LANES) * sizeof(int32_t))
    cdef real *products = <real *>malloc((count[0] + LANES) * sizeof(real))
    cdef Rows rows
    cdef List listed
    cdef int failed = kept == NULL or products == NULL
    if not failed:
        rows.data, rows.padded, listed.items, listed.count = X, padded, samples, count[0]
        count[0] = keep_above(&rows, w, &listed, cut, kept, products)
        memcpy(samples, kept, count[0] * sizeof(int32_t))
    free(kept)
    free(products)
    return -failed


def restrict_lists(const int64_t[::1] rows, const int64_t[::1] starts, const int64_t[::1] counts,
                   const int32_t[::1] samples, const int32_t[::1] position):
    """Return (starts, counts, samples) with position[i] in place of sample i; left out where negative."""
    cdef Py_ssize_t k, n_rows = rows.shape[0]
    cdef int64_t p, place
    restricted_counts = np.zeros(n_rows, dtype=np.int64)
    cdef int64_t[::1] out_counts = restricted_counts
    for k in prange(n_rows, schedule="static", nogil=True, num_threads=threads_for(<double>samples.shape[0])):
        for p in range(starts[k], starts[k] + counts[k]):
            out_counts[k] += position[samples[p]] >= 0
    restricted_starts = np.cumsum(restricted_counts) - restricted_counts
    restricted = np.empty(int(restricted_counts.sum()), dtype=np.int32)
    cdef int64_t[::1] out_starts = restricted_starts
    cdef int32_t[::1] out = restricted
    for k in prange(n_rows, schedule="static", nogil=True, num_threads=threads_for(<double>samples.shape[0])):
        place = out_starts[k]
        for p in range(starts[k], starts[k] + counts[k]):
            if position[samples[p]] >= 0:
                out[place] = position[samples[p]]
                place = place + 1
    return restricted_starts, restricted_counts, restricted


# ---------------------------------------------------------------------------------------
# Movement
# ---------------------------------------------------------------------------------------

cdef double careful_distance(const real *a, const real *b, Py_ssize_t d) noexcept nogil:
    # Scaled, where squares overflow or vanish: only equal rows are at distance zero.
    cdef double total = 0, difference, largest = 0
    cdef Py_ssize_t j
    for j in range(d):
        largest = max(largest, fabs(<double>a[j] - <double>b[j]))
    if largest == 0:
        return 0
    for j in range(d):
        difference = (<double>a[j] - <double>b[j]) / largest
        total += difference * difference
    return largest * sqrt(total)


cdef void chunk_distances(const real *a, const real *b, Py_ssize_t padded, Py_ssize_t n, double *out) noexcept nogil:
    cdef Py_ssize_t r
    if real is float:
        squared_distances_float(a, b, padded, n, out)
    else:
        squared_distances_double(a, b, padded, n, out)
    for r in range(n):
        if 1e-280 < out[r] < 1e300:
            out[r] = sqrt(out[r])
        else:
            out[r] = careful_distance(a + r * padded, b + r * padded, padded)


def row_distances(const real[:, ::1] W, const real[:, ::1] reference):
    """Return the Euclidean distance of each row of W to the same row of the reference."""
    cdef Py_ssize_t m = W.shape[0], padded = W.shape[1], n_chunks = (m + CHUNK - 1) // CHUNK, chunk
    distances = np.empty(m)
    cdef double[::1] out = distances
    for chunk in prange(n_chunks, schedule="static", nogil=True, num_threads=threads_for(<double>m * padded)):
        chunk_distances(&W[chunk * CHUNK, 0], &reference[chunk * CHUNK, 0], padded, min(CHUNK, m - chunk * CHUNK),
                        &out[chunk * CHUNK])
    return distances


def settle_rows(const real[:, ::1] W, const int64_t[::1] rows, real[:, ::1] reference, double[::1] lengths):
    """Copy the given rows of W to the same rows of the reference, and their Euclidean lengths to `lengths`."""
    cdef Py_ssize_t padded = W.shape[1], n_rows = rows.shape[0], k
    cdef const real[::1] origin = np.zeros(max(padded, 1), dtype=np.asarray(W).dtype)
    for k in prange(n_rows, schedule="static", nogil=True, num_threads=threads_for(2.0 * n_rows * padded)):
        memmove(&reference[rows[k], 0], &W[rows[k], 0], padded * sizeof(real))
        chunk_distances(&W[rows[k], 0], &origin[0], padded, 1, &lengths[rows[k]])


cdef void step_ahead(const real *w, real *v, Py_ssize_t padded, real step) noexcept nogil:
    # v moves to the other side of w; onto w, where numbers would overflow.
    cdef Py_ssize_t j
    cdef bint finite = True
    for j in range(padded):
        v[j] = w[j] + step * (w[j] - v[j])
        finite = finite and isfinite(<double>v[j])
    if not finite:
        memcpy(v, w, padded * sizeof(real))


def lead_reference(const real[:, ::1] W, const int64_t[::1] rows, const real[::1] steps, real[:, ::1] reference):
    """Move the given rows v of the reference to w + step * (w - v), w that row of W; return their distances to w."""
    cdef Py_ssize_t padded = W.shape[1], n_rows = rows.shape[0], k
    distances = np.empty(n_rows)
    cdef double[::1] out = distances
    for k in prange(n_rows, schedule="static", nogil=True, num_threads=threads_for(2.0 * n_rows * padded)):
        step_ahead(&W[rows[k], 0], &reference[rows[k], 0], padded, steps[k])
        chunk_distances(&W[rows[k], 0], &reference[rows[k], 0], padded, 1, &out[k])
    return distances
