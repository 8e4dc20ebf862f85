"""Kernels over lists of (neuron, sample) pairs where samples are sparse: who fires, scans, gradients and steps.

Sample i is x_i = sum_p values[p] e_columns[p] - offsets[i] * direction, over its entries p from indptr[i] to
indptr[i + 1]: a sparse vector, less a multiple of one dense unit vector that all samples share (if `direction` is
empty: less nothing).  With <w_r, direction>, computed once for a neuron, each of its pairs costs the sample's entries.

Lists are those of `kernels.pyx`; `entries` is the tuple (indptr, columns, values, offsets, direction).  A neuron is
one thread's work, so results are the same bits for any number of threads.
"""
import numpy as np

from cython.parallel cimport prange
from libc.math cimport NAN, fabs, sqrt
from libc.stdint cimport int32_t, int64_t, uint32_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memset

from sksparsenn._compiled.kernels cimport List, Pattern, Step, as_pattern, as_step, list_at, list_of, move, moves_all, real
from sksparsenn._compiled.scan cimport IntList, append, assemble, euclidean_norm, free_lists, may_overflow
from sksparsenn._utils.threads cimport threads_for

cdef extern from "simd/lanes.h" nogil:
    enum:
        BLOCK_BYTES "BLOCK_BYTES"  # a cache line, which holds one coordinate of the neurons that a scan takes together
    void PREFETCH(const void *)

cdef extern from "simd/kernels.h" nogil:
    uint32_t neurons_beyond_float(const float *, const int32_t *, int64_t, const float *, const float *, const float *)
    uint32_t neurons_beyond_double(const double *, const int32_t *, int64_t, const double *, const double *, const double *)

cdef enum:
    AHEAD = 4  # listed samples whose entries are fetched before their turn
    CHUNK = 8  # neurons handed to a thread at a time
    MOST_TOGETHER = 16  # neurons that a scan takes together in single precision; half as many in double


cdef struct Entries:
    const int64_t *indptr
    const int32_t *columns
    const void *values  # of real, and so the two below
    const void *offsets
    const void *direction  # NULL where samples are not centred
    Py_ssize_t n_samples
    double mean_count  # entries of a sample


cdef Entries as_entries(entries, const real[:, ::1] W):
    # The precision is that of W.
    cdef const int64_t[::1] indptr = entries[0]
    cdef const int32_t[::1] columns = entries[1]
    cdef const real[::1] values = entries[2], offsets = entries[3], direction = entries[4]
    cdef Entries taken
    taken.indptr, taken.n_samples = &indptr[0], indptr.shape[0] - 1
    taken.columns, taken.values = &columns[0], &values[0]
    taken.offsets = &offsets[0] if offsets.shape[0] else NULL
    taken.direction = &direction[0] if direction.shape[0] else NULL
    taken.mean_count = 1 + <double>indptr[taken.n_samples] / max(taken.n_samples, 1)
    return taken


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


cdef inline void bring_near(const real *w, Py_ssize_t padded, const Entries *x, const List *list) noexcept nogil:
    # The weights in one sweep, if listed samples have so many entries that they look for most cache lines anyway.
    cdef Py_ssize_t line = BLOCK_BYTES // sizeof(real), j = 0
    cdef int32_t first = list.items[0], last = list.items[list.count - 1]
    cdef int64_t span = last + 1 - first, entries = x.indptr[last + 1] - x.indptr[first]
    if entries * list.count > span * (padded // line):
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


cdef inline real product(const Entries *x, int32_t i, const real *w, real along) noexcept nogil:
    # <w, x_i>: the one inner product of sparse samples.  Whether a neuron fires is decided with this number only.
    cdef int64_t p = x.indptr[i]
    return (dot_entries(<const real *>x.values + p, x.columns + p, x.indptr[i + 1] - p, w)
            - (<const real *>x.offsets)[i] * along)


cdef inline void fetch_early(const Entries *x, const List *list, int64_t p, const real *w) noexcept nogil:
    # The entries of the sample AHEAD of list[p]: they lie anywhere, and come from memory in time only if fetched early.
    cdef int32_t i = list.items[min(p + AHEAD, list.count - 1)]
    cdef int64_t end = x.indptr[i + 1], q = x.indptr[i]
    while q < end:
        PREFETCH(x.columns + q)
        PREFETCH(<const real *>x.values + q)
        if real is double:
            PREFETCH(<const real *>x.values + q + 8)
        q += 16


# -- who fires --------------------------------------------------------------------------------


cdef inline int64_t keep_above(const Entries *x, const real *w, Py_ssize_t padded, const List *list, real threshold,
                               int32_t *kept, real *products) noexcept nogil:
    # Of the samples in a list that is not empty, those with <w, x_i> > threshold, and (unless NULL) their products;
    # returns how many.
    cdef int64_t p, held = 0
    cdef int32_t i
    cdef real z, along = product_with(<const real *>x.direction, w, padded)
    if x.direction == NULL:
        bring_near(w, padded, x, list)
    for p in range(list.count):
        i = list.items[p]
        fetch_early(x, list, p, w)
        z = product(x, i, w, along)
        if z > threshold:
            kept[held] = i
            if products != NULL:
                products[held] = z
            held += 1
    return held


def firing_of_candidates(entries, const real[:, ::1] W, candidates, double threshold, int32_t[::1] samples,
                         real[::1] products):
    """Keep, of each neuron's candidate samples, those on which it fires: <W[r], x_i> > threshold.

    Firing samples and their inner products are written to `samples` and `products`, which need room for all
    candidates; returns where each neuron's begin and how many it has.
    """
    cdef Entries x = as_entries(entries, W)
    cdef Pattern lists = as_pattern(candidates)
    cdef List one
    cdef Py_ssize_t k
    fired, places = np.zeros(lists.n_rows, dtype=np.int64), np.cumsum(candidates[2]) - candidates[2]
    cdef int64_t[::1] fired_view = fired
    cdef const int64_t[::1] places_view = places
    for k in prange(lists.n_rows, schedule="dynamic", chunksize=CHUNK, nogil=True,
                    num_threads=threads_for(lists.n_items * x.mean_count)):
        if lists.counts[k] > 0:
            one = list_of(&lists, k)
            fired_view[k] = keep_above(&x, &W[lists.rows[k], 0], W.shape[1], &one, <real>threshold,
                                       &samples[places_view[k]], &products[places_view[k]])
    return places, fired


def narrow_lists(entries, const real[:, ::1] W, const int64_t[::1] rows, const real[::1] cuts, store):
    """Of the lists of the given neurons keep, in place, the samples with <W[r], x_i> > cuts[k].

    The store is a tuple (starts, counts, samples), with a list for each neuron.
    """
    cdef Entries x = as_entries(entries, W)
    cdef const int64_t[::1] starts = store[0]
    cdef int64_t[::1] counts = store[1]
    cdef int32_t[::1] samples = store[2]
    cdef List one
    cdef Py_ssize_t k
    cdef int64_t r
    for k in prange(rows.shape[0], schedule="dynamic", chunksize=CHUNK, nogil=True,
                    num_threads=threads_for(samples.shape[0] * x.mean_count * rows.shape[0] / max(counts.shape[0], 1))):
        r = rows[k]
        if counts[r] > 0:
            one = list_at(&samples[starts[r]], counts[r])
            counts[r] = keep_above(&x, &W[r, 0], W.shape[1], &one, cuts[k], &samples[starts[r]], <real *>NULL)


# -- the scan: a filter before the decision -----------------------------------------------


# What the tasks of a scan share.  The columns in use are packed in lines: column used[t] in line_of_used[t], that of
# entry p in lines[p].
cdef struct Scan:
    Entries x
    const int32_t *lines
    const int32_t *used
    const int32_t *line_of_used
    Py_ssize_t n_used
    const void *W
    Py_ssize_t padded
    double error
    double smallest


# At most a cache line of neurons, packed coordinate by coordinate, and what decides that a sample is listed.
cdef struct Together:
    const int64_t *rows
    Py_ssize_t count
    void *packed
    void *along
    void *low


cdef void pack_weights(const Scan *scan, const Together *together, const real *cuts, double *squares) noexcept nogil:
    cdef Py_ssize_t lanes = BLOCK_BYTES // sizeof(real), t, l
    cdef const real *W = <const real *>scan.W
    cdef real *packed = <real *>together.packed
    cdef real *along = <real *>together.along
    cdef real *low = <real *>together.low
    cdef real weight
    cdef double norm, slack
    for l in range(lanes):
        low[l] = along[l] = 0
        if l < together.count:
            along[l] = product_with(<const real *>scan.x.direction, W + together.rows[l] * scan.padded, scan.padded)
        squares[l] = <double>along[l] * <double>along[l]
    for t in range(scan.n_used):
        for l in range(lanes):
            weight = W[together.rows[l] * scan.padded + scan.used[t]] if l < together.count else 0
            packed[scan.line_of_used[t] * lanes + l] = weight
            squares[l] += <double>weight * <double>weight
    for l in range(together.count):
        norm = sqrt(squares[l])
        if not 1e-140 < norm < 1e150:  # squares may have overflowed or vanished
            norm = euclidean_norm(packed + l, lanes, scan.n_used) + fabs(<double>along[l])
        if may_overflow(norm, 1.0, real is float):
            low[l] = NAN  # below which nothing lies: all samples are listed
        else:
            slack = scan.error * norm + scan.smallest + (1e-6 if real is float else 1e-15) * fabs(<double>cuts[l])
            low[l] = <real>(<double>cuts[l] - slack)


cdef int scan_together(const Scan *scan, const int64_t *rows, const real *cuts, Py_ssize_t n_neurons,
                       IntList *lists) noexcept nogil:
    # All samples against at most a cache line of neurons.
    cdef Py_ssize_t lanes = BLOCK_BYTES // sizeof(real), i, l
    cdef double[MOST_TOGETHER] squares
    cdef real[MOST_TOGETHER] sums, low, along
    cdef Together together
    cdef int64_t p, count
    cdef int32_t number
    cdef uint32_t beyond
    cdef int failed = 0
    cdef const real *values = <const real *>scan.x.values
    cdef const real *offsets = <const real *>scan.x.offsets
    cdef char *memory = <char *>malloc((scan.n_used + 1) * BLOCK_BYTES)
    cdef real *packed = <real *>(memory + BLOCK_BYTES - <size_t>memory % BLOCK_BYTES)
    if memory == NULL:
        return -1
    together.rows, together.count, together.packed = rows, n_neurons, packed
    together.along, together.low = along, low
    pack_weights(scan, &together, cuts, squares)
    for i in range(scan.x.n_samples):
        p, count = scan.x.indptr[i], scan.x.indptr[i + 1] - scan.x.indptr[i]
        for l in range(lanes):
            sums[l] = -offsets[i] * along[l]
        if real is float:
            beyond = neurons_beyond_float(values + p, scan.lines + p, count, packed, sums, low)
        else:
            beyond = neurons_beyond_double(values + p, scan.lines + p, count, packed, sums, low)
        number = <int32_t>i
        for l in range(n_neurons):
            if beyond >> l & 1:
                failed |= append(&lists[l], &number, 1)
    free(memory)
    return failed


def samples_beyond(entries, packing, const real[:, ::1] W, const int64_t[::1] rows, const real[::1] cuts, rounding):
    """Return compressed rows (indptr, samples): for r = rows[k] at least the samples with <w_r, x_i> > cuts[k].

    Samples are ascending.  `packing` is the tuple (lines, used, line_of_used): the columns in use are packed in lines,
    column used[t] in line_of_used[t], that of entry p in lines[p].  `rounding` is (error, smallest): two ways of
    rounding <w, x_i> differ by at most error * ||w|| + smallest, which is how far below its cut a listed sample may
    lie; of w only the columns in use count, and <w, direction> as one more.
    """
    cdef const int32_t[::1] lines = packing[0], used = packing[1], line_of_used = packing[2]
    cdef Py_ssize_t m = rows.shape[0], lanes = BLOCK_BYTES // sizeof(real), task
    cdef Scan scan
    cdef int failed = 0
    scan.x = as_entries(entries, W)
    scan.error, scan.smallest = rounding
    cdef IntList *lists = <IntList *>calloc(max(m, 1), sizeof(IntList))
    if lists == NULL:
        raise MemoryError("no memory for the result lists of a scan")
    if m > 0:
        scan.lines, scan.W, scan.padded = &lines[0], &W[0, 0], W.shape[1]
        scan.n_used = used.shape[0]
        scan.used = &used[0] if scan.n_used else NULL
        scan.line_of_used = &line_of_used[0] if scan.n_used else NULL
        for task in prange((m + lanes - 1) // lanes, schedule="dynamic", nogil=True,
                           num_threads=threads_for(m * (scan.x.n_samples * scan.x.mean_count + scan.n_used))):
            failed |= scan_together(&scan, &rows[task * lanes], &cuts[task * lanes], min(lanes, m - task * lanes),
                                    lists + task * lanes) < 0
    if failed:
        free_lists(lists, m)
        raise MemoryError("no memory for the result lists of a scan")
    return assemble(lists, m)


# -- gradients ----------------------------------------------------------------------------


# What the factor of a sample in a neuron's gradient is made of: residuals of samples and signs of neurons.
cdef struct Pulls:
    const void *residuals
    const void *signs
    Py_ssize_t n_outputs


cdef inline real add_samples(const Entries *x, const List *list, const Pulls *pulls, int64_t r, real factor,
                             real *total) noexcept nogil:
    # total += factor * sum over the list of c_i times the entries of x_i, with c_i = <signs[r], residuals[i]>;
    # returns factor * sum of c_i offsets[i], the multiple of the direction to subtract.
    cdef const real *values = <const real *>x.values
    cdef const real *residuals = <const real *>pulls.residuals
    cdef const real *signs = <const real *>pulls.signs + r * pulls.n_outputs
    cdef real c, offset = 0
    cdef int64_t p, q
    cdef int32_t i
    cdef Py_ssize_t o
    for p in range(list.count):
        i = list.items[p]
        fetch_early(x, list, p, total)
        c = 0
        for o in range(pulls.n_outputs):
            c += signs[o] * residuals[i * pulls.n_outputs + o]
        c *= factor
        offset += c * (<const real *>x.offsets)[i]
        for q in range(x.indptr[i], x.indptr[i + 1]):
            total[x.columns[q]] += c * values[q]
    return offset


cdef inline void subtract_direction(const real *direction, real offset, Py_ssize_t padded, real *total) noexcept nogil:
    cdef Py_ssize_t j
    if direction != NULL:
        for j in range(padded):
            total[j] -= offset * direction[j]


# What the chunks of a step share; place[r] is where neuron r stands among the rows of the pattern, or -1.
cdef struct Descent:
    Entries x
    void *W
    const void *anchor
    void *velocity
    Py_ssize_t width
    Py_ssize_t padded
    Pattern firing
    const int64_t *place
    Pulls pulls
    Step step


cdef void move_all_weights(const Descent *descent, int64_t r, const List *list, real *gradient) noexcept nogil:
    # With momentum or a ridge.  The gradient, zero before, is left zero, ready for the next neuron.
    cdef Py_ssize_t padded = descent.padded
    cdef real offset = add_samples(&descent.x, list, &descent.pulls, r, 1, gradient)
    subtract_direction(<const real *>descent.x.direction, offset, padded, gradient)
    move(<real *>descent.W + r * padded, <const real *>descent.anchor + r * padded,
         <real *>descent.velocity + r * padded, gradient, padded, &descent.step)
    memset(gradient, 0, padded * sizeof(real))


cdef void move_touched_weights(const Descent *descent, int64_t r, const List *list, real factor) noexcept nogil:
    # Without: only what an entry of a firing sample touches, or all if samples are centred.
    cdef real *w = <real *>descent.W + r * descent.padded
    cdef real offset
    bring_near(w, descent.padded, &descent.x, list)
    offset = add_samples(&descent.x, list, &descent.pulls, r, factor, w)
    if offset != 0:
        subtract_direction(<const real *>descent.x.direction, offset, descent.padded, w)


cdef int descend_chunk(const Descent *descent, Py_ssize_t chunk, const real *W) noexcept nogil:
    cdef bint dense = moves_all(&descent.step)
    cdef real factor = -<real>descent.step.learning_rate * <real>descent.step.scale
    cdef real *gradient = NULL
    cdef List one
    cdef int64_t k
    cdef Py_ssize_t r
    if dense:
        gradient = <real *>calloc(descent.padded, sizeof(real))
        if gradient == NULL:
            return -1
    for r in range(chunk * CHUNK, min((chunk + 1) * CHUNK, descent.width)):
        k = descent.place[r]
        one = list_at(NULL, 0)
        if k >= 0:
            one = list_of(&descent.firing, k)
        if dense:
            move_all_weights(descent, r, &one, gradient)
        elif one.count > 0:
            move_touched_weights(descent, r, &one, factor)
    free(gradient)
    return 0


def descend_firing(real[:, ::1] W, const real[:, ::1] anchor, real[:, ::1] velocity, entries, firing,
                   const real[:, ::1] residuals, const real[:, ::1] signs, step):
    """Take one step of gradient descent with momentum, over firing pairs: that of `kernels.descend_firing`.

    With momentum or a ridge every weight moves.  Without, only neurons that fire do, and of their weights only
    those that an entry of a firing sample touches, or all if samples are centred.
    """
    cdef Descent descent
    cdef Py_ssize_t m = W.shape[0], chunk
    cdef int failed = 0
    place = np.full(m, -1, dtype=np.int64)
    place[firing[0]] = np.arange(len(firing[0]))
    cdef const int64_t[::1] place_view = place
    if m == 0 or residuals.shape[0] == 0:
        return
    descent.x, descent.firing, descent.step = as_entries(entries, W), as_pattern(firing), as_step(step)
    descent.W, descent.anchor, descent.velocity = &W[0, 0], &anchor[0, 0], &velocity[0, 0]
    descent.width, descent.padded, descent.place = m, W.shape[1], &place_view[0]
    descent.pulls.residuals, descent.pulls.signs, descent.pulls.n_outputs = &residuals[0, 0], &signs[0, 0], signs.shape[1]
    for chunk in prange((m + CHUNK - 1) // CHUNK, schedule="dynamic", nogil=True,
                        num_threads=threads_for(4.0 * m * W.shape[1] + descent.firing.n_items * descent.x.mean_count)):
        failed |= descend_chunk(&descent, chunk, &W[0, 0]) < 0
    if failed:
        raise MemoryError("no memory for the gradient of a neuron")


cdef int multiply_chunk(const Descent *gradients, Py_ssize_t first, Py_ssize_t last, real *products) noexcept nogil:
    cdef const Entries *x = &gradients.x
    cdef const real *direction = <const real *>x.direction
    cdef Py_ssize_t padded = gradients.padded, k
    cdef real *u = <real *>malloc(padded * sizeof(real))
    cdef real offset, along = 0
    cdef int64_t p
    cdef List one
    if u == NULL:
        return -1
    for k in range(first, last):
        one = list_of(&gradients.firing, k)
        memset(u, 0, padded * sizeof(real))
        offset = add_samples(x, &one, &gradients.pulls, gradients.firing.rows[k], 1, u)
        subtract_direction(direction, offset, padded, u)
        along = product_with(direction, u, padded)
        for p in range(one.count):
            fetch_early(x, &one, p, u)
            products[gradients.firing.starts[k] + p] = product(x, one.items[p], u, along)
    free(u)
    return 0


def products_of_gradients(entries, Py_ssize_t padded, firing, const real[:, ::1] v, const real[:, ::1] signs,
                          real[::1] products):
    """Compute <u_r, x_i> for every firing pair, with u_r = sum over the i on which r fires of <signs[r], v[i]> x_i.

    What J J^T v is made of, one neuron's gradient at a time; written to `products`, at the places of the pairs.
    """
    cdef Descent gradients
    cdef Py_ssize_t n_rows, chunk
    cdef real *products_ = &products[0] if products.shape[0] else NULL
    cdef int failed = 0
    gradients.x, gradients.firing, gradients.padded = as_entries(entries, signs), as_pattern(firing), padded
    gradients.pulls.residuals, gradients.pulls.signs, gradients.pulls.n_outputs = &v[0, 0], &signs[0, 0], signs.shape[1]
    n_rows = gradients.firing.n_rows
    for chunk in prange((n_rows + CHUNK - 1) // CHUNK, schedule="dynamic", nogil=True,
                        num_threads=threads_for(2 * gradients.firing.n_items * gradients.x.mean_count)):
        failed |= multiply_chunk(&gradients, chunk * CHUNK, min((chunk + 1) * CHUNK, n_rows), products_) < 0
    if failed:
        raise MemoryError("no memory for the gradient of a neuron")
