# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The two Gauss-Newton matrices, J J^T and J^T J, from firing pairs.

Row (i, o) of J is scale * root_i * a_ro x_i for each neuron r that fires on sample i, so

    (J J^T)[(i, o), (j, p)] = scale^2 root_i root_j <x_i, x_j> sum_r a_ro a_rp,  over the r that fire on i and j,
    (J^T J)[(r, a), (q, b)] = scale^2 <a_r, a_q> sum_i root_i^2 x_ia x_ib,       over the i on which r and q fire.

Both are sums over co-firing: a sample's lists of neurons and a neuron's list of samples
lead from one row to all others that it meets, and nothing else is touched.  Where so many
neurons fire that two samples have several in common among 64, the neurons of a sample are
kept as bits instead, and those of two samples counted word by word.  The counts are the same.

The pattern comes as compressed rows without gaps, in both directions: the samples of
neuron r are ``samples[by_neuron[r] : by_neuron[r + 1]]``, the neurons of sample i are
``neurons[by_sample[i] : by_sample[i + 1]]``, both ascending.  Matrices are filled in
their lower triangle, row by row, each row by one thread: the same bits for any number of
threads.
"""
import numpy as np

from cython.parallel cimport prange
from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.stdlib cimport calloc, free, malloc

from sksparsenn._kernels cimport Rows, products

cdef extern from "simd/gram.h" nogil:
    void fetch_ahead(const void *address)
    void add_moments(const double *moments, Py_ssize_t size, const int32_t *list, int64_t count, double *sums)
    void add_normal_product(const double *X, Py_ssize_t padded, const double *weights, const int64_t *by_sample,
                            const int32_t *neurons, Py_ssize_t first, Py_ssize_t last, const double *U, double *out,
                            Py_ssize_t units)
    void count_common(const uint64_t *set, const uint64_t *sets, Py_ssize_t n_sets, Py_ssize_t words, double *counts)
    void add_to_rows(const double *x, const int32_t *list, int64_t count, double *rows, Py_ssize_t units)

cdef enum:
    AHEAD = 4  # samples of a neuron that are fetched before they are needed: they lie far apart
    BLOCKS = 8  # of samples, each with its own sum: a fixed number, so that results do not depend on threads
    WORDS_A_MEETING = 3  # of 64 neurons each, in the time in which a list leads to another sample


# -- the tangent kernel J J^T -----------------------------------------------------------------


cdef struct Pattern:
    const double *X
    Py_ssize_t padded
    const double *root
    const int64_t *by_neuron
    const int32_t *samples
    const int64_t *by_sample
    const int32_t *neurons
    const double *signs
    Py_ssize_t n_outputs
    double scale
    const uint64_t *bits  # a row of `words` for each sample, its neurons; NULL: co-firing is counted by lists
    Py_ssize_t words


cdef void add_common_signs(const Pattern *pattern, Py_ssize_t i, Py_ssize_t o, Py_ssize_t n,
                           double *together) noexcept nogil:
    # together[j * n_outputs + p] += sum_r a_ro a_rp over the r that fire on i and on j, for j < n.
    cdef Py_ssize_t p, n_outputs = pattern.n_outputs
    cdef int64_t k, l
    cdef int32_t r
    cdef const double *sign
    for k in range(pattern.by_sample[i], pattern.by_sample[i + 1]):
        r = pattern.neurons[k]
        sign = pattern.signs + r * n_outputs
        for l in range(pattern.by_neuron[r], pattern.by_neuron[r + 1]):
            if pattern.samples[l] >= n:
                break
            if n_outputs == 1:  # a_r^2 = 1: count
                together[pattern.samples[l]] += 1
                continue
            for p in range(n_outputs):
                together[pattern.samples[l] * n_outputs + p] += sign[o] * sign[p]


cdef int kernel_row(const Pattern *pattern, Py_ssize_t i, Py_ssize_t o, Py_ssize_t n, double *out) noexcept nogil:
    # out[j * n_outputs + p] = (J J^T)[(i, o), (j, p)] for j < n; -1 if memory runs out.
    cdef Py_ssize_t p, n_outputs = pattern.n_outputs, entry
    cdef double factor
    cdef double *inner = <double *>malloc(n * sizeof(double))
    cdef Rows rows
    cdef double *together = <double *>calloc(n * n_outputs, sizeof(double))
    if inner == NULL or together == NULL:
        free(inner)
        free(together)
        return -1
    if pattern.bits != NULL:
        count_common(pattern.bits + i * pattern.words, pattern.bits, n, pattern.words, together)
    else:
        add_common_signs(pattern, i, o, n, together)
    rows.data, rows.padded = pattern.X, pattern.padded
    products(&rows, pattern.X + i * pattern.padded, n, inner)
    factor = pattern.scale * pattern.scale * pattern.root[i]
    for entry in range(n):
        for p in range(n_outputs):
            out[entry * n_outputs + p] = factor * pattern.root[entry] * inner[entry] * together[entry * n_outputs + p]
    free(inner)
    free(together)
    return 0


cdef Pattern as_pattern(const double[:, ::1] X, const double[::1] root, const int64_t[::1] by_neuron,
                        const int32_t[::1] samples, const int64_t[::1] by_sample, const int32_t[::1] neurons,
                        const double[:, ::1] signs, double scale):
    cdef Pattern pattern
    pattern.X, pattern.padded, pattern.root = &X[0, 0], X.shape[1], &root[0]
    pattern.by_neuron, pattern.samples = &by_neuron[0], &samples[0]
    pattern.by_sample, pattern.neurons = &by_sample[0], &neurons[0]
    pattern.signs, pattern.n_outputs, pattern.scale = &signs[0, 0], signs.shape[1], scale
    pattern.bits, pattern.words = NULL, 0
    return pattern


cdef bint pays_in_bits(const int64_t[::1] by_neuron, Py_ssize_t n, Py_ssize_t words):
    # Whether going through all pairs of samples word by word takes less time than through those that meet, neuron by
    # neuron.  Both count the same.
    cdef double meetings = 0
    cdef Py_ssize_t r
    for r in range(by_neuron.shape[0] - 1):
        meetings += <double>(by_neuron[r + 1] - by_neuron[r]) ** 2
    return <double>n * n * words < WORDS_A_MEETING * meetings


cdef fill_bits(Pattern *pattern, const int64_t[::1] by_sample, const int32_t[::1] neurons, uint64_t[:, ::1] bits):
    cdef Py_ssize_t i
    cdef int64_t k
    for i in range(bits.shape[0]):
        for k in range(by_sample[i], by_sample[i + 1]):
            bits[i, neurons[k] >> 6] |= <uint64_t>1 << (neurons[k] & 63)
    pattern.bits, pattern.words = &bits[0, 0], bits.shape[1]


def tangent_kernel(const double[:, ::1] X, const double[::1] root, const int64_t[::1] by_neuron, const int32_t[::1] samples,
                   const int64_t[::1] by_sample, const int32_t[::1] neurons, const double[:, ::1] signs, double scale,
                   double[:, ::1] out):
    """The lower triangle of J J^T into `out`, (n n_outputs, n n_outputs)."""
    cdef Py_ssize_t n_outputs = signs.shape[1], size = X.shape[0] * n_outputs, entry
    cdef int failed = 0
    if samples.shape[0] == 0:
        np.asarray(out)[:] = 0
        return
    cdef Pattern pattern = as_pattern(X, root, by_neuron, samples, by_sample, neurons, signs, scale)
    cdef Py_ssize_t words = (by_neuron.shape[0] - 1 + 63) // 64
    if n_outputs == 1 and pays_in_bits(by_neuron, X.shape[0], words):
        bits = np.zeros((X.shape[0], words), dtype=np.uint64)
        fill_bits(&pattern, by_sample, neurons, bits)
    # The longest rows first, so that no thread ends up alone with one.
    for entry in prange(size, schedule="dynamic", chunksize=16, nogil=True):
        failed |= lower_kernel_row(&pattern, size - 1 - entry, out)
    if failed:
        raise MemoryError("no memory for a row of the tangent kernel")


cdef int lower_kernel_row(const Pattern *pattern, Py_ssize_t entry, double[:, ::1] out) noexcept nogil:
    # Whole samples are computed; what reaches beyond the diagonal is written over by nobody.
    return kernel_row(pattern, entry // pattern.n_outputs, entry % pattern.n_outputs, entry // pattern.n_outputs + 1,
                      &out[entry, 0])


def tangent_kernel_rows(const double[:, ::1] X, const double[::1] root, const int64_t[::1] by_neuron,
                        const int32_t[::1] samples, const int64_t[::1] by_sample, const int32_t[::1] neurons,
                        const double[:, ::1] signs, double scale, const int64_t[::1] entries):
    """Whole rows of J J^T, one for each (sample, output) in `entries`."""
    cdef Py_ssize_t n_outputs = signs.shape[1], n = X.shape[0], k
    cdef int failed = 0
    rows = np.zeros((entries.shape[0], n * n_outputs))
    cdef double[:, ::1] out = rows
    if samples.shape[0] == 0 or entries.shape[0] == 0:
        return rows
    cdef Pattern pattern = as_pattern(X, root, by_neuron, samples, by_sample, neurons, signs, scale)
    for k in prange(entries.shape[0], schedule="dynamic", nogil=True):
        failed |= kernel_row(&pattern, entries[k] // n_outputs, entries[k] % n_outputs, n, &out[k, 0])
    if failed:
        raise MemoryError("no memory for a row of the tangent kernel")
    return rows


# -- the normal matrix J^T J ------------------------------------------------------------------


cdef void second_moments(const double *x, Py_ssize_t d, double weight, double *out) noexcept nogil:
    # The lower triangle of weight * x x^T, row by row.
    cdef Py_ssize_t a, b, k = 0
    for a in range(d):
        for b in range(a + 1):
            out[k] = weight * x[a] * x[b]
            k += 1


cdef inline void fetch_sample(const Pattern *pattern, int32_t i) noexcept nogil:
    cdef const int32_t *neurons = pattern.neurons + pattern.by_sample[i]
    fetch_ahead(pattern.X + i * pattern.padded)
    fetch_ahead(pattern.X + i * pattern.padded + 8)
    fetch_ahead(neurons)
    fetch_ahead(neurons + 16)


cdef int64_t not_above(const int32_t *list, int64_t count, int32_t last) noexcept nogil:
    # How many of the ascending numbers are at most `last`.
    cdef int64_t low = 0, high = count, middle
    while low < high:
        middle = (low + high) // 2
        if list[middle] <= last:
            low = middle + 1
        else:
            high = middle
    return low


cdef int normal_rows(const Pattern *pattern, Py_ssize_t d, int32_t r, double[:, ::1] out) noexcept nogil:
    # The d rows of neuron r in the lower triangle of J^T J; -1 if memory runs out.
    cdef Py_ssize_t size = (d * (d + 1) // 2 + 3) // 4 * 4, a, b, q, o
    cdef int64_t k, begin
    cdef int32_t i
    cdef double factor
    cdef double *moments = <double *>calloc(size, sizeof(double))
    cdef double *sums = <double *>calloc((r + 1) * size, sizeof(double))
    cdef double *sum_q
    if moments == NULL or sums == NULL:
        free(moments)
        free(sums)
        return -1
    for k in range(pattern.by_neuron[r], pattern.by_neuron[r + 1]):
        if k + AHEAD < pattern.by_neuron[r + 1]:
            fetch_sample(pattern, pattern.samples[k + AHEAD])
        i = pattern.samples[k]
        begin = pattern.by_sample[i]
        second_moments(pattern.X + i * pattern.padded, d, pattern.root[i] * pattern.root[i], moments)
        add_moments(moments, size, pattern.neurons + begin,
                    not_above(pattern.neurons + begin, pattern.by_sample[i + 1] - begin, r), sums)
    for q in range(r + 1):
        factor = 0
        for o in range(pattern.n_outputs):
            factor = factor + pattern.signs[r * pattern.n_outputs + o] * pattern.signs[q * pattern.n_outputs + o]
        factor = factor * pattern.scale * pattern.scale
        sum_q = sums + q * size
        for a in range(d):
            for b in range(d):
                out[r * d + a, q * d + b] = factor * (sum_q[a * (a + 1) // 2 + b] if b <= a else sum_q[b * (b + 1) // 2 + a])
    free(moments)
    free(sums)
    return 0


def normal_matrix(const double[:, ::1] X, const double[::1] root, const int64_t[::1] by_neuron, const int32_t[::1] samples,
                  const int64_t[::1] by_sample, const int32_t[::1] neurons, const double[:, ::1] signs, double scale,
                  Py_ssize_t d, double[:, ::1] out):
    """The lower triangle of J^T J into `out`, (width d, width d), for the first d columns of X."""
    cdef Py_ssize_t width = by_neuron.shape[0] - 1, k
    cdef int failed = 0
    if samples.shape[0] == 0:
        np.asarray(out)[:] = 0
        return
    cdef Pattern pattern = as_pattern(X, root, by_neuron, samples, by_sample, neurons, signs, scale)
    for k in prange(width, schedule="dynamic", nogil=True):
        failed |= normal_rows(&pattern, d, width - 1 - k, out)
    if failed:
        raise MemoryError("no memory for a row of the normal matrix")


cdef void normal_row(const Pattern *pattern, Py_ssize_t d, Py_ssize_t r, Py_ssize_t a, double *along,
                     double *out) noexcept nogil:
    # out[q, :] += (J^T J)[(r, a), (q, :)] / signs for all q, one output; `along` has room for a row.
    cdef Py_ssize_t units = (d + 3) // 4, b
    cdef int64_t k
    cdef int32_t i
    cdef double value
    for k in range(pattern.by_neuron[r], pattern.by_neuron[r + 1]):
        if k + AHEAD < pattern.by_neuron[r + 1]:
            fetch_sample(pattern, pattern.samples[k + AHEAD])
        i = pattern.samples[k]
        value = pattern.scale * pattern.scale * pattern.root[i] * pattern.root[i] * pattern.X[i * pattern.padded + a]
        for b in range(4 * units):
            along[b] = value * pattern.X[i * pattern.padded + b]
        add_to_rows(along, pattern.neurons + pattern.by_sample[i], pattern.by_sample[i + 1] - pattern.by_sample[i], out,
                    units)


def normal_matrix_rows(const double[:, ::1] X, const double[::1] root, const int64_t[::1] by_neuron,
                       const int32_t[::1] samples, const int64_t[::1] by_sample, const int32_t[::1] neurons,
                       const double[:, ::1] signs, double scale, Py_ssize_t d, const int64_t[::1] entries):
    """Whole rows of J^T J, one for each (neuron, feature) in `entries`."""
    cdef Py_ssize_t k, width = by_neuron.shape[0] - 1, units = (d + 3) // 4
    rows = np.zeros((entries.shape[0], width, 4 * units))
    cdef double[:, :, ::1] out = rows
    if samples.shape[0] == 0 or entries.shape[0] == 0:
        return np.zeros((entries.shape[0], width * d))
    cdef double[:, ::1] along = np.empty((entries.shape[0], 4 * units))
    cdef Pattern pattern = as_pattern(X, root, by_neuron, samples, by_sample, neurons, signs, scale)
    for k in prange(entries.shape[0], schedule="dynamic", nogil=True):
        normal_row(&pattern, d, entries[k] // d, entries[k] % d, &along[k, 0], &out[k, 0, 0])
    together = np.asarray(signs)[np.asarray(entries) // d] @ np.asarray(signs).T
    return (rows[:, :, :d] * together[:, :, None]).reshape(len(rows), width * d)


def normal_product(const double[:, ::1] X, const double[::1] root, const int64_t[::1] by_neuron,
                   const int32_t[::1] samples, const int64_t[::1] by_sample, const int32_t[::1] neurons,
                   const double[:, ::1] signs, double scale, Py_ssize_t d, u):
    """J^T J u for one output: each sample's neurons are visited twice, while they and the sample are in cache."""
    cdef Py_ssize_t width = by_neuron.shape[0] - 1, n = X.shape[0], units = (d + 3) // 4, block
    sign = np.asarray(signs)[:, 0]
    padded = np.zeros((width, 4 * units))
    padded[:, :d] = u.reshape(width, d) * sign[:, None]
    sums = np.zeros((BLOCKS, width, 4 * units))
    cdef const double[:, ::1] U = padded
    cdef double[:, :, ::1] out = sums
    cdef const double[::1] weights = (scale * np.asarray(root)) ** 2
    if samples.shape[0] == 0:
        return np.zeros(width * d)
    for block in prange(BLOCKS, schedule="dynamic", nogil=True):
        add_normal_product(&X[0, 0], X.shape[1], &weights[0], &by_sample[0], &neurons[0], block * n // BLOCKS,
                           (block + 1) * n // BLOCKS, &U[0, 0], &out[block, 0, 0], units)
    return (sums.sum(axis=0)[:, :d] * sign[:, None]).ravel()


# -- sparse sign sketches of J^T and of J -------------------------------------------------------
#
# `places` has a row for each row of the matrix that is sketched: where the entries of that column of S are,
# times two, plus one if the entry is negative.


cdef inline void add_at_places(const int32_t *place, Py_ssize_t n_places, double value, double *out) noexcept nogil:
    cdef Py_ssize_t t
    for t in range(n_places):
        out[place[t] >> 1] += -value if place[t] & 1 else value


cdef void sketch_sample(const Pattern *pattern, Py_ssize_t d, Py_ssize_t i, Py_ssize_t o, const int32_t *places,
                        Py_ssize_t n_places, double size, double *out) noexcept nogil:
    # out[:] += S J^T[:, (i, o)]
    cdef int64_t k
    cdef Py_ssize_t j, r
    cdef double factor = size * pattern.scale * pattern.root[i]
    for k in range(pattern.by_sample[i], pattern.by_sample[i + 1]):
        r = pattern.neurons[k]
        for j in range(d):
            add_at_places(places + (r * d + j) * n_places, n_places,
                          factor * pattern.signs[r * pattern.n_outputs + o] * pattern.X[i * pattern.padded + j], out)


def sparse_sign_kernel(const double[:, ::1] X, const double[::1] root, const int64_t[::1] by_neuron,
                       const int32_t[::1] samples, const int64_t[::1] by_sample, const int32_t[::1] neurons,
                       const double[:, ::1] signs, double scale, Py_ssize_t d, const int32_t[:, ::1] places,
                       double[:, ::1] out):
    """Row (i, o) of `out`, which holds zeros, becomes S J^T[:, (i, o)]."""
    cdef Py_ssize_t n_outputs = signs.shape[1], entry, n_places = places.shape[1]
    cdef double size = 1 / np.sqrt(n_places)
    if samples.shape[0] == 0:
        return
    cdef Pattern pattern = as_pattern(X, root, by_neuron, samples, by_sample, neurons, signs, scale)
    for entry in prange(X.shape[0] * n_outputs, schedule="dynamic", chunksize=16, nogil=True):
        sketch_sample(&pattern, d, entry // n_outputs, entry % n_outputs, &places[0, 0], n_places, size, &out[entry, 0])


cdef void sketch_neuron(const Pattern *pattern, Py_ssize_t d, Py_ssize_t r, const int32_t *places, Py_ssize_t n_places,
                        double size, double *out, Py_ssize_t stride) noexcept nogil:
    # out[j, :] += S J[:, (r, j)] for the d features j
    cdef int64_t k
    cdef Py_ssize_t i, j, o, n_outputs = pattern.n_outputs
    cdef double factor
    for k in range(pattern.by_neuron[r], pattern.by_neuron[r + 1]):
        i = pattern.samples[k]
        for o in range(n_outputs):
            factor = size * pattern.scale * pattern.root[i] * pattern.signs[r * n_outputs + o]
            for j in range(d):
                add_at_places(places + (i * n_outputs + o) * n_places, n_places,
                              factor * pattern.X[i * pattern.padded + j], out + j * stride)


def sparse_sign_normal(const double[:, ::1] X, const double[::1] root, const int64_t[::1] by_neuron,
                       const int32_t[::1] samples, const int64_t[::1] by_sample, const int32_t[::1] neurons,
                       const double[:, ::1] signs, double scale, Py_ssize_t d, const int32_t[:, ::1] places,
                       double[:, ::1] out):
    """Row (r, j) of `out`, which holds zeros, becomes S J[:, (r, j)]."""
    cdef Py_ssize_t r, n_places = places.shape[1]
    cdef double size = 1 / np.sqrt(n_places)
    if samples.shape[0] == 0:
        return
    cdef Pattern pattern = as_pattern(X, root, by_neuron, samples, by_sample, neurons, signs, scale)
    for r in prange(by_neuron.shape[0] - 1, schedule="dynamic", nogil=True):
        sketch_neuron(&pattern, d, r, &places[0, 0], n_places, size, &out[r * d, 0], out.shape[1])
