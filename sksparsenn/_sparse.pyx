"""What a network computes from lists of (neuron, sample) pairs where samples are sparse.

Sample i is x_i = sum_p values[p] e_columns[p] - offsets[i] * direction, over its entries p from indptr[i] to
indptr[i + 1]: a sparse vector, less a multiple of one dense unit vector that all samples share (if `direction` is
empty: less nothing).  With <w_r, direction>, computed once for a neuron, each of its pairs costs the sample's entries.

Lists are those of `_kernels.pyx`.  A neuron is one thread's work, so results are the same bits for any number of threads.
"""
import numpy as np

from cython.parallel cimport prange
from libc.math cimport NAN, fabs, sqrt
from libc.stdint cimport int32_t, int64_t, uint32_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memset

from sksparsenn._kernels cimport real
from sksparsenn._scan cimport IntList, append, assemble, euclidean_norm, free_lists, may_overflow

cdef extern from "simd/lanes.h" nogil:
    enum:
        BLOCK_BYTES "BLOCK_BYTES"  # a cache line, which holds one coordinate of the neurons that a scan takes together
    void PREFETCH(const void *)

cdef extern from "simd/kernels.h" nogil:
    uint32_t neurons_beyond_float(const float *, const int32_t *, int64_t, const float *, const float *, const float *)
    uint32_t neurons_beyond_double(const double *, const int32_t *, int64_t, const double *, const double *, const double *)

cdef enum:
    AHEAD = 4  # listed samples whose entries are asked for before their turn
    CHUNK = 8  # neurons handed to a thread at a time
    MOST_TOGETHER = 16  # neurons that a scan takes together in single precision; half as many in double
    WORTH_THREADS = 1 << 13  # pairs, or hundreds of numbers, below which starting threads costs more than it saves


cdef double dot_in_double(const real *a, const real *b, Py_ssize_t padded) noexcept nogil:
    cdef double s[8]
    cdef Py_ssize_t j, l
    for l in range(8):
        s[l] = 0
    for j in range(0, padded, 8):
        for l in range(8):
            s[l] += <double>a[j + l] * <double>b[j + l]
    return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]))


cdef inline real product_with(const real *direction, const real *w, Py_ssize_t padded) noexcept nogil:
    # <w, direction>; the pass over w also brings it near, where the entries of samples will look for their columns.
    return <real>dot_in_double(w, direction, padded) if direction != NULL else 0


cdef inline void bring_near(const real *w, Py_ssize_t padded, const int64_t *indptr, const int32_t *list, int64_t count) noexcept nogil:
    # The weights in one sweep, if listed samples have so many entries that they look for most cache lines anyway.
    cdef Py_ssize_t line = BLOCK_BYTES // sizeof(real), j = 0
    cdef int64_t span = list[count - 1] + 1 - list[0], entries = indptr[list[count - 1] + 1] - indptr[list[0]]
    if entries * count > span * (padded // line):
        while j < padded:
            PREFETCH(w + j)
            j += line


cdef inline real dot_entries(const real *values, const int32_t *columns, int64_t n, const real *w) noexcept nogil:
    # sum_p values[p] * w[columns[p]] in four running sums, for the entries that are equal modulo 4.
    cdef real s0 = 0, s1 = 0, s2 = 0, s3 = 0
    cdef int64_t p = 0
    while p + 4 <= n:
        s0 += values[p] * w[columns[p]]
        s1 += values[p + 1] * w[columns[p + 1]]
        s2 += values[p + 2] * w[columns[p + 2]]
        s3 += values[p + 3] * w[columns[p + 3]]
        p += 4
    if p < n:
        s0 += values[p] * w[columns[p]]
    if p + 1 < n:
        s1 += values[p + 1] * w[columns[p + 1]]
    if p + 2 < n:
        s2 += values[p + 2] * w[columns[p + 2]]
    return (s0 + s2) + (s1 + s3)


cdef inline real product(const int64_t *indptr, const int32_t *columns, const real *values, const real *offsets, int32_t i,
                         const real *w, real along) noexcept nogil:
    # <w, x_i>: the one inner product of sparse samples.  Whoever decides whether a neuron fires does it with this number.
    return dot_entries(values + indptr[i], columns + indptr[i], indptr[i + 1] - indptr[i], w) - offsets[i] * along


cdef inline void ask_for(const int64_t *indptr, const int32_t *columns, const real *values, const int32_t *list, int64_t p,
                         int64_t count) noexcept nogil:
    # The entries of the sample that comes AHEAD of list[p]: they lie anywhere, and are there in time only if asked for.
    cdef int32_t i = list[min(p + AHEAD, count - 1)]
    cdef int64_t end = indptr[i + 1]
    p = indptr[i]
    while p < end:
        PREFETCH(columns + p)
        PREFETCH(values + p)
        if real is double:
            PREFETCH(values + p + 8)
        p += 16


cdef inline int64_t keep_above(const int64_t *indptr, const int32_t *columns, const real *values, const real *offsets,
                               const real *direction, const real *w, Py_ssize_t padded, const int32_t *list, int64_t count,
                               real threshold, int32_t *kept, real *products) noexcept nogil:
    # Of the samples in a list that is not empty, those with <w, x_i> > threshold, and (unless NULL) their products;
    # returns how many.
    cdef int64_t p, held = 0
    cdef int32_t i
    cdef real z, along = product_with(direction, w, padded)
    if direction == NULL:
        bring_near(w, padded, indptr, list, count)
    for p in range(count):
        i = list[p]
        ask_for(indptr, columns, values, list, p, count)
        z = product(indptr, columns, values, offsets, i, w, along)
        if z > threshold:
            kept[held] = i
            if products != NULL:
                products[held] = z
            held += 1
    return held


def firing_of_candidates(const int64_t[::1] indptr, const int32_t[::1] columns, const real[::1] values, const real[::1] offsets,
                         const real[::1] direction, const real[:, ::1] W, const int64_t[::1] rows, const int64_t[::1] starts,
                         const int64_t[::1] counts, const int32_t[::1] candidates, double threshold, int32_t[::1] samples,
                         real[::1] products):
    """Keep, of each neuron's candidate samples, those on which it fires: <W[r], x_i> > threshold.

    Firing samples and their inner products are written to `samples` and `products`, which need room for all
    candidates; returns where each neuron's begin and how many it has.
    """
    cdef Py_ssize_t n_rows = rows.shape[0], k
    fired, places = np.zeros(n_rows, dtype=np.int64), np.cumsum(counts) - counts
    cdef int64_t[::1] fired_view = fired
    cdef const int64_t[::1] places_view = places
    cdef const real *direction_ = &direction[0] if direction.shape[0] else NULL
    for k in prange(n_rows, schedule="dynamic", chunksize=CHUNK, nogil=True, use_threads_if=candidates.shape[0] > WORTH_THREADS):
        if counts[k] > 0:
            fired_view[k] = keep_above(&indptr[0], &columns[0], &values[0], &offsets[0], direction_, &W[rows[k], 0],
                                       W.shape[1], &candidates[starts[k]], counts[k], <real>threshold,
                                       &samples[places_view[k]], &products[places_view[k]])
    return places, fired


def narrow_lists(const int64_t[::1] indptr, const int32_t[::1] columns, const real[::1] values, const real[::1] offsets,
                 const real[::1] direction, const real[:, ::1] W, const int64_t[::1] rows, const real[::1] cuts,
                 const int64_t[::1] starts, int64_t[::1] counts, int32_t[::1] samples):
    """Of the lists of the given neurons keep, in place, the samples with <W[r], x_i> > cuts[k]."""
    cdef Py_ssize_t k
    cdef int64_t r
    cdef const real *direction_ = &direction[0] if direction.shape[0] else NULL
    for k in prange(rows.shape[0], schedule="dynamic", chunksize=CHUNK, nogil=True, use_threads_if=samples.shape[0] > WORTH_THREADS):
        r = rows[k]
        if counts[r] > 0:
            counts[r] = keep_above(&indptr[0], &columns[0], &values[0], &offsets[0], direction_, &W[r, 0], W.shape[1],
                                   &samples[starts[r]], counts[r], cuts[k], &samples[starts[r]], <real *>NULL)


# -- the scan: a filter before the decision -----------------------------------------------


cdef int scan_together(const int64_t *indptr, const int32_t *lines, const real *values, const real *offsets,
                       const real *direction, Py_ssize_t n, const int32_t *used, const int32_t *line_of_used, Py_ssize_t n_used,
                       const real *W, Py_ssize_t padded, const int64_t *rows, const real *cuts, Py_ssize_t n_neurons,
                       double error, double smallest, IntList *lists) noexcept nogil:
    # All samples against at most a cache line of neurons, whose weights are packed coordinate by coordinate.
    cdef Py_ssize_t lanes = BLOCK_BYTES // sizeof(real), i, t, l
    cdef double norm, slack
    cdef double[MOST_TOGETHER] squares
    cdef real weight
    cdef real[MOST_TOGETHER] sums, low, along
    cdef int32_t number
    cdef uint32_t beyond
    cdef int failed = 0
    cdef char *memory = <char *>malloc((n_used + 1) * BLOCK_BYTES)
    cdef real *packed = <real *>(memory + BLOCK_BYTES - <size_t>memory % BLOCK_BYTES)
    if memory == NULL:
        return -1
    for l in range(lanes):
        low[l] = 0
        along[l] = product_with(direction, W + rows[l] * padded, padded) if l < n_neurons else 0
        squares[l] = <double>along[l] * <double>along[l]
    for t in range(n_used):
        for l in range(lanes):
            weight = W[rows[l] * padded + used[t]] if l < n_neurons else 0
            packed[line_of_used[t] * lanes + l] = weight
            squares[l] += <double>weight * <double>weight
    for l in range(n_neurons):
        norm = sqrt(squares[l])
        if not 1e-140 < norm < 1e150:  # squares may have overflowed or vanished
            norm = euclidean_norm(packed + l, lanes, n_used) + fabs(<double>along[l])
        if may_overflow(norm, 1.0, real is float):
            low[l] = NAN  # below which nothing lies: all samples are listed
        else:
            slack = error * norm + smallest + (1e-6 if real is float else 1e-15) * fabs(<double>cuts[l])
            low[l] = <real>(<double>cuts[l] - slack)
    for i in range(n):
        for l in range(lanes):
            sums[l] = -offsets[i] * along[l]
        if real is float:
            beyond = neurons_beyond_float(values + indptr[i], lines + indptr[i], indptr[i + 1] - indptr[i], packed, sums, low)
        else:
            beyond = neurons_beyond_double(values + indptr[i], lines + indptr[i], indptr[i + 1] - indptr[i], packed, sums, low)
        number = <int32_t>i
        for l in range(n_neurons):
            if beyond >> l & 1:
                failed |= append(&lists[l], &number, 1)
    free(memory)
    return failed


def samples_beyond(const int64_t[::1] indptr, const int32_t[::1] lines, const real[::1] values, const real[::1] offsets,
                   const real[::1] direction, const int32_t[::1] used, const int32_t[::1] line_of_used, const real[:, ::1] W,
                   const int64_t[::1] rows, const real[::1] cuts, double error, double smallest):
    """Compressed rows (indptr, samples): for neuron r = rows[k] at least the samples with <w_r, x_i> > cuts[k], ascending.

    The columns in use are packed in lines: column used[t] in line_of_used[t], that of entry p in lines[p].  Two ways of
    rounding <w, x_i> differ by at most error * ||w|| + smallest, which is how far below its cut a listed sample may lie;
    of w only the columns in use count, and <w, direction> as one more.
    """
    cdef Py_ssize_t m = rows.shape[0], n = indptr.shape[0] - 1, lanes = BLOCK_BYTES // sizeof(real), task
    cdef int failed = 0
    cdef IntList *lists = <IntList *>calloc(max(m, 1), sizeof(IntList))
    cdef const real *direction_ = &direction[0] if direction.shape[0] else NULL
    if lists == NULL:
        raise MemoryError("no memory for the result lists of a scan")
    if m > 0:
        for task in prange((m + lanes - 1) // lanes, schedule="dynamic", nogil=True, use_threads_if=m * n > WORTH_THREADS):
            failed |= scan_together(&indptr[0], &lines[0], &values[0], &offsets[0], direction_, n, &used[0], &line_of_used[0],
                                    used.shape[0], &W[0, 0], W.shape[1], &rows[task * lanes], &cuts[task * lanes],
                                    min(lanes, m - task * lanes), error, smallest, lists + task * lanes) < 0
    if failed:
        free_lists(lists, m)
        raise MemoryError("no memory for the result lists of a scan")
    return assemble(lists, m)


# -- gradients ----------------------------------------------------------------------------


cdef inline real add_samples(const int64_t *indptr, const int32_t *columns, const real *values, const real *offsets,
                             const int32_t *list, int64_t count, const real *residuals, const real *signs,
                             Py_ssize_t n_outputs, real factor, real *total) noexcept nogil:
    # total += factor * sum over the list of c_i times the entries of x_i, with c_i = <signs, residuals[i]>;
    # returns factor * sum of c_i offsets[i], the multiple of the direction to subtract.
    cdef real c, offset = 0
    cdef int64_t p, q
    cdef int32_t i
    cdef Py_ssize_t o
    for p in range(count):
        i = list[p]
        ask_for(indptr, columns, values, list, p, count)
        c = 0
        for o in range(n_outputs):
            c += signs[o] * residuals[i * n_outputs + o]
        c *= factor
        offset += c * offsets[i]
        for q in range(indptr[i], indptr[i + 1]):
            total[columns[q]] += c * values[q]
    return offset


cdef inline void move(real *w, const real *home, real *speed, real *gradient, const real *direction, real offset,
                      Py_ssize_t padded, real s, real eta, real mu, bint nesterov, real a) noexcept nogil:
    # The gradient is left zero, ready for the next neuron.
    cdef Py_ssize_t j
    cdef real g, v
    if direction != NULL:
        for j in range(padded):
            gradient[j] -= offset * direction[j]
    for j in range(padded):
        g = s * gradient[j] + a * (w[j] - home[j])
        gradient[j] = 0
        v = mu * speed[j] - eta * g
        speed[j] = v
        w[j] += mu * v - eta * g if nesterov else v


cdef int descend_chunk(real[:, ::1] W, const real[:, ::1] anchor, real[:, ::1] velocity, const int64_t *indptr,
                       const int32_t *columns, const real *values, const real *offsets, const real *direction, Py_ssize_t first,
                       Py_ssize_t last, const int64_t[::1] place, const int64_t[::1] starts, const int64_t[::1] counts,
                       const int32_t *samples, const real *residuals, const real[:, ::1] signs, real s, real eta, real mu,
                       bint nesterov, real a) noexcept nogil:
    cdef Py_ssize_t padded = W.shape[1], r, j
    cdef int64_t k
    cdef real offset
    cdef bint dense = mu != 0 or a != 0
    cdef real *gradient = NULL
    if dense:
        gradient = <real *>calloc(padded, sizeof(real))
        if gradient == NULL:
            return -1
    for r in range(first, last):
        k = place[r]
        offset = 0
        if k >= 0 and counts[k] > 0:
            if not dense:
                bring_near(&W[r, 0], padded, indptr, samples + starts[k], counts[k])
            offset = add_samples(indptr, columns, values, offsets, samples + starts[k], counts[k], residuals, &signs[r, 0],
                                 signs.shape[1], 1 if dense else -eta * s, gradient if dense else &W[r, 0])
        if dense:
            move(&W[r, 0], &anchor[r, 0], &velocity[r, 0], gradient, direction, offset, padded, s, eta, mu, nesterov, a)
        elif direction != NULL and offset != 0:
            for j in range(padded):
                W[r, j] -= offset * direction[j]
    free(gradient)
    return 0


def descend_firing(real[:, ::1] W, const real[:, ::1] anchor, real[:, ::1] velocity, const int64_t[::1] indptr,
                   const int32_t[::1] columns, const real[::1] values, const real[::1] offsets, const real[::1] direction,
                   const int64_t[::1] rows, const int64_t[::1] starts, const int64_t[::1] counts, const int32_t[::1] samples,
                   const real[:, ::1] residuals, const real[:, ::1] signs, double scale, double learning_rate,
                   double momentum, bint nesterov, double alpha):
    """One step of gradient descent with momentum, over firing pairs: that of `_kernels.descend_firing`.

    With momentum or a ridge (alpha) every weight moves.  Without, only neurons that fire do, and of their weights only
    those that an entry of a firing sample touches, or all if samples are centred.
    """
    cdef Py_ssize_t m = W.shape[0], chunk
    place = np.full(m, -1, dtype=np.int64)
    place[rows] = np.arange(len(rows))
    cdef const int64_t[::1] place_view = place
    cdef const int32_t *samples_ = &samples[0] if samples.shape[0] else NULL
    cdef const real *direction_ = &direction[0] if direction.shape[0] else NULL
    cdef int failed = 0
    for chunk in prange((m + CHUNK - 1) // CHUNK, schedule="dynamic", nogil=True, use_threads_if=m * W.shape[1] > WORTH_THREADS):
        failed |= descend_chunk(W, anchor, velocity, &indptr[0], &columns[0], &values[0], &offsets[0], direction_, chunk * CHUNK,
                                min((chunk + 1) * CHUNK, m), place_view, starts, counts, samples_, &residuals[0, 0], signs,
                                <real>scale, <real>learning_rate, <real>momentum, nesterov, <real>alpha) < 0
    if failed:
        raise MemoryError("no memory for the gradient of a neuron")


cdef int multiply_chunk(const int64_t *indptr, const int32_t *columns, const real *values, const real *offsets,
                        const real *direction, Py_ssize_t padded, Py_ssize_t first, Py_ssize_t last, const int64_t[::1] rows,
                        const int64_t[::1] starts, const int64_t[::1] counts, const int32_t *samples, const real *v,
                        const real[:, ::1] signs, real *products) noexcept nogil:
    cdef real *u = <real *>malloc(padded * sizeof(real))
    cdef real offset, along = 0
    cdef Py_ssize_t k, j
    cdef int64_t p
    cdef const int32_t *list
    if u == NULL:
        return -1
    for k in range(first, last):
        memset(u, 0, padded * sizeof(real))
        offset = add_samples(indptr, columns, values, offsets, samples + starts[k], counts[k], v, &signs[rows[k], 0],
                             signs.shape[1], 1, u)
        if direction != NULL:
            for j in range(padded):
                u[j] -= offset * direction[j]
            along = product_with(direction, u, padded)
        list = samples + starts[k]
        for p in range(counts[k]):
            ask_for(indptr, columns, values, list, p, counts[k])
            products[starts[k] + p] = product(indptr, columns, values, offsets, list[p], u, along)
    free(u)
    return 0


def products_of_gradients(const int64_t[::1] indptr, const int32_t[::1] columns, const real[::1] values, const real[::1] offsets,
                          const real[::1] direction, Py_ssize_t padded, const int64_t[::1] rows, const int64_t[::1] starts,
                          const int64_t[::1] counts, const int32_t[::1] samples, const real[:, ::1] v, const real[:, ::1] signs,
                          real[::1] products):
    """products[p] = <u_r, x_i> for every firing pair, with u_r = sum over the samples i on which r fires of <signs[r], v[i]> x_i.

    What J J^T v is made of, one neuron's gradient at a time.
    """
    cdef Py_ssize_t n_rows = rows.shape[0], chunk
    cdef const int32_t *samples_ = &samples[0] if samples.shape[0] else NULL
    cdef real *products_ = &products[0] if products.shape[0] else NULL
    cdef const real *direction_ = &direction[0] if direction.shape[0] else NULL
    cdef int failed = 0
    for chunk in prange((n_rows + CHUNK - 1) // CHUNK, schedule="dynamic", nogil=True, use_threads_if=samples.shape[0] > WORTH_THREADS):
        failed |= multiply_chunk(&indptr[0], &columns[0], &values[0], &offsets[0], direction_, padded, chunk * CHUNK,
                                 min((chunk + 1) * CHUNK, n_rows), rows, starts, counts, samples_, &v[0, 0], signs, products_) < 0
    if failed:
        raise MemoryError("no memory for the gradient of a neuron")
