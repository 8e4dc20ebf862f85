# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The two Gauss-Newton matrices, J J^T and J^T J, from firing pairs.

Row (i, o) of J is scale * root_i * a_ro x_i for each neuron r that fires on sample i, so

    (J J^T)[(i, o), (j, p)] = scale^2 root_i root_j <x_i, x_j> sum_r a_ro a_rp,  over the r that fire on i and j,
    (J^T J)[(r, a), (q, b)] = scale^2 <a_r, a_q> sum_i root_i^2 x_ia x_ib,       over the i on which r and q fire.

Both are sums over co-firing: a sample's list of neurons and a neuron's list of samples
lead from one row to all others that it meets, and nothing else is touched.  Where so many
neurons fire that two samples have several in common among 64, the neurons of a sample are
stored as bits instead, and those of two samples counted word by word.  The counts are the same.

Functions take the Jacobian as one object with the attributes that `as_pattern` reads: its
factors as arrays, and the firing pairs as compressed rows without gaps in both directions.
Matrices are filled in their lower triangle, row by row, each row by one thread: the same
bits for any number of threads.
"""
import numpy as np

from cython.parallel cimport prange
from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.stdlib cimport calloc, free, malloc

from sksparsenn._kernels cimport products
from sksparsenn._threads cimport threads_for

cdef extern from "simd/gram.h" nogil:
    ctypedef struct Pattern:
        const double *X
        Py_ssize_t padded, n_samples, n_features, n_neurons, n_outputs
        int64_t n_pairs
        const double *root
        const double *signs
        double scale
        const int64_t *by_neuron
        const int32_t *samples
        const int64_t *by_sample
        const int32_t *neurons
        const uint64_t *bits
        Py_ssize_t words
    void fetch_ahead(const void *address)
    void add_moments(const double *moments, Py_ssize_t size, const int32_t *list, int64_t count, double *sums)
    void add_normal_product(const Pattern *pattern, const double *weights, Py_ssize_t first, Py_ssize_t last, const double *U,
                            double *out, Py_ssize_t units)
    void count_common(const uint64_t *set, const uint64_t *sets, Py_ssize_t n_sets, Py_ssize_t words, double *counts)
    void add_to_rows(const double *x, const int32_t *list, int64_t count, double *rows, Py_ssize_t units)

cdef enum:
    AHEAD = 4  # samples of a neuron that are fetched before they are needed: they lie far apart
    BLOCKS = 8  # of samples, each with its own sum: a fixed number, so that results do not depend on threads
    WORDS_A_MEETING = 3  # of 64 neurons each, in the time in which a list leads to another sample


cdef Pattern as_pattern(jacobian):
    # The arrays of a Jacobian, which have to outlive the result, as pointers; NULL where they are empty.
    cdef const double[:, ::1] X = jacobian.X, signs = jacobian.signs
    cdef const double[::1] root = jacobian.root
    cdef const int64_t[::1] by_neuron = jacobian.by_neuron, by_sample = jacobian.by_sample
    cdef const int32_t[::1] samples = jacobian.samples, neurons = jacobian.neurons_of_sample
    cdef Pattern pattern
    pattern.n_samples, pattern.padded, pattern.n_features = X.shape[0], X.shape[1], jacobian.n_features
    pattern.n_neurons, pattern.n_outputs, pattern.n_pairs = signs.shape[0], signs.shape[1], samples.shape[0]
    pattern.scale = jacobian.scale
    pattern.X = pattern.root = pattern.signs = NULL
    pattern.by_neuron, pattern.by_sample = &by_neuron[0], &by_sample[0]
    pattern.samples = pattern.neurons = NULL
    if pattern.n_pairs > 0:
        pattern.X, pattern.root, pattern.signs = &X[0, 0], &root[0], &signs[0, 0]
        pattern.samples, pattern.neurons = &samples[0], &neurons[0]
    pattern.bits, pattern.words = NULL, 0
    return pattern


cdef double meetings(const int64_t *ends, Py_ssize_t n) noexcept nogil:
    # The sum of squared lengths of lists: pairs of members that a list brings together.
    cdef double total = 0
    cdef Py_ssize_t k
    for k in range(n):
        total += <double>(ends[k + 1] - ends[k]) ** 2
    return total


# -- the tangent kernel J J^T -----------------------------------------------------------------


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
    cdef double *together = <double *>calloc(n * n_outputs, sizeof(double))
    if inner == NULL or together == NULL:
        free(inner)
        free(together)
        return -1
    if pattern.bits != NULL:
        count_common(pattern.bits + i * pattern.words, pattern.bits, n, pattern.words, together)
    else:
        add_common_signs(pattern, i, o, n, together)
    products(pattern.X, pattern.padded, pattern.X + i * pattern.padded, n, inner)
    factor = pattern.scale * pattern.scale * pattern.root[i]
    for entry in range(n):
        for p in range(n_outputs):
            out[entry * n_outputs + p] = factor * pattern.root[entry] * inner[entry] * together[entry * n_outputs + p]
    free(inner)
    free(together)
    return 0


cdef fill_bits(Pattern *pattern, uint64_t[:, ::1] bits):
    # The neurons of each sample as bits, which the pattern then refers to.
    cdef Py_ssize_t i
    cdef int64_t k
    cdef int32_t r
    for i in range(pattern.n_samples):
        for k in range(pattern.by_sample[i], pattern.by_sample[i + 1]):
            r = pattern.neurons[k]
            bits[i, r >> 6] |= <uint64_t>1 << (r & 63)
    pattern.bits, pattern.words = &bits[0, 0], bits.shape[1]


def tangent_kernel(jacobian, double[:, ::1] out):
    """Write the lower triangle of J J^T to `out`, (n_samples n_outputs, n_samples n_outputs)."""
    cdef Pattern pattern = as_pattern(jacobian)
    cdef Py_ssize_t n = pattern.n_samples, words = (pattern.n_neurons + 63) // 64, size = n * pattern.n_outputs, entry
    cdef double met, all_pairs = <double>n * n
    cdef int failed = 0
    if pattern.n_pairs == 0:
        np.asarray(out)[:] = 0
        return
    met = meetings(pattern.by_neuron, pattern.n_neurons) * pattern.n_outputs * pattern.n_outputs
    # Going through all pairs of samples word by word, or through those that meet, neuron by neuron, gives equal counts.
    if pattern.n_outputs == 1 and all_pairs * words < WORDS_A_MEETING * met:
        bits = np.zeros((n, words), dtype=np.uint64)
        fill_bits(&pattern, bits)
        met = all_pairs * words
    # The longest rows first, so that no thread ends up alone with one.
    for entry in prange(size, schedule="dynamic", chunksize=16, nogil=True,
                        num_threads=threads_for((met + all_pairs * pattern.n_outputs * pattern.padded) / 2)):
        failed |= lower_kernel_row(&pattern, size - 1 - entry, out)
    if failed:
        raise MemoryError("no memory for a row of the tangent kernel")


cdef int lower_kernel_row(const Pattern *pattern, Py_ssize_t entry, double[:, ::1] out) noexcept nogil:
    # Whole samples are computed; what reaches beyond the diagonal is written over by nobody.
    return kernel_row(pattern, entry // pattern.n_outputs, entry % pattern.n_outputs, entry // pattern.n_outputs + 1,
                      &out[entry, 0])


def tangent_kernel_rows(jacobian, const int64_t[::1] entries):
    """Return whole rows of J J^T, one for each sample i and output o given as i n_outputs + o."""
    cdef Pattern pattern = as_pattern(jacobian)
    cdef Py_ssize_t n = pattern.n_samples, n_outputs = pattern.n_outputs, k
    cdef double work
    cdef int failed = 0
    rows = np.zeros((entries.shape[0], n * n_outputs))
    cdef double[:, ::1] out = rows
    if pattern.n_pairs == 0 or entries.shape[0] == 0:
        return rows
    work = entries.shape[0] * (meetings(pattern.by_neuron, pattern.n_neurons) / n * n_outputs + <double>n * pattern.padded)
    for k in prange(entries.shape[0], schedule="dynamic", nogil=True, num_threads=threads_for(work)):
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


cdef int normal_rows(const Pattern *pattern, int32_t r, double[:, ::1] out) noexcept nogil:
    # The rows of neuron r in the lower triangle of J^T J; -1 if memory runs out.
    cdef Py_ssize_t d = pattern.n_features
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


def normal_matrix(jacobian, double[:, ::1] out):
    """Write the lower triangle of J^T J to `out`, (n_neurons n_features, n_neurons n_features)."""
    cdef Pattern pattern = as_pattern(jacobian)
    cdef Py_ssize_t d = pattern.n_features, width = pattern.n_neurons, k
    cdef double work
    cdef int failed = 0
    if pattern.n_pairs == 0:
        np.asarray(out)[:] = 0
        return
    work = meetings(pattern.by_sample, pattern.n_samples) * (d * (d + 1) // 2) / 2 + (<double>width * d) ** 2 / 2
    for k in prange(width, schedule="dynamic", nogil=True, num_threads=threads_for(work)):
        failed |= normal_rows(&pattern, width - 1 - k, out)
    if failed:
        raise MemoryError("no memory for a row of the normal matrix")


cdef void normal_row(const Pattern *pattern, Py_ssize_t r, Py_ssize_t a, double *along, double *out) noexcept nogil:
    # out[q, :] += (J^T J)[(r, a), (q, :)] / signs for all q, one output; `along` has room for a row.
    cdef Py_ssize_t units = (pattern.n_features + 3) // 4, b
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


def normal_matrix_rows(jacobian, const int64_t[::1] entries):
    """Return whole rows of J^T J, one for each neuron r and feature a given as r n_features + a."""
    cdef Pattern pattern = as_pattern(jacobian)
    cdef Py_ssize_t k, d = pattern.n_features, width = pattern.n_neurons, units = (d + 3) // 4
    if pattern.n_pairs == 0 or entries.shape[0] == 0:
        return np.zeros((entries.shape[0], width * d))
    rows = np.zeros((entries.shape[0], width, 4 * units))
    cdef double[:, :, ::1] out = rows
    cdef double[:, ::1] along = np.empty((entries.shape[0], 4 * units))
    cdef double work = entries.shape[0] * meetings(pattern.by_sample, pattern.n_samples) / width * 4 * units
    for k in prange(entries.shape[0], schedule="dynamic", nogil=True, num_threads=threads_for(work)):
        normal_row(&pattern, entries[k] // d, entries[k] % d, &along[k, 0], &out[k, 0, 0])
    together = jacobian.signs[np.asarray(entries) // d] @ jacobian.signs.T
    return (rows[:, :, :d] * together[:, :, None]).reshape(len(rows), width * d)


def normal_product(jacobian, u):
    """Return J^T J u for one output: each sample's neurons are visited twice, while they and the sample are in cache."""
    cdef Pattern pattern = as_pattern(jacobian)
    cdef Py_ssize_t width = pattern.n_neurons, n = pattern.n_samples, d = pattern.n_features, units = (d + 3) // 4, block
    if pattern.n_pairs == 0:
        return np.zeros(width * d)
    sign = jacobian.signs[:, 0]
    padded = np.zeros((width, 4 * units))
    padded[:, :d] = u.reshape(width, d) * sign[:, None]
    sums = np.zeros((BLOCKS, width, 4 * units))
    cdef const double[:, ::1] U = padded
    cdef double[:, :, ::1] out = sums
    cdef const double[::1] weights = (jacobian.scale * jacobian.root) ** 2
    for block in prange(BLOCKS, schedule="dynamic", nogil=True,
                        num_threads=threads_for(2.0 * pattern.n_pairs * 4 * units)):
        add_normal_product(&pattern, &weights[0], block * n // BLOCKS, (block + 1) * n // BLOCKS, &U[0, 0],
                           &out[block, 0, 0], units)
    return (sums.sum(axis=0)[:, :d] * sign[:, None]).ravel()


# -- sparse sign sketches of J^T and of J -------------------------------------------------------


cdef struct SparseSigns:
    # A matrix S: column c has entries +-size in `n_places` rows, places[c, t] // 2; they are negative where that is odd.
    const int32_t *places
    Py_ssize_t n_places
    double size


cdef SparseSigns as_sparse_signs(const int32_t[:, ::1] places):
    cdef SparseSigns S
    S.places, S.n_places, S.size = &places[0, 0], places.shape[1], 1 / np.sqrt(places.shape[1])
    return S


cdef inline void add_at_places(const int32_t *place, Py_ssize_t n_places, double value, double *out) noexcept nogil:
    cdef Py_ssize_t t
    for t in range(n_places):
        out[place[t] >> 1] += -value if place[t] & 1 else value


cdef double sketch_work(const Pattern *pattern, const SparseSigns *S) noexcept nogil:
    return <double>pattern.n_pairs * pattern.n_features * pattern.n_outputs * S.n_places


cdef void sketch_sample(const Pattern *pattern, const SparseSigns *S, Py_ssize_t i, Py_ssize_t o, double *out) noexcept nogil:
    # out[:] += S J^T[:, (i, o)]
    cdef int64_t k
    cdef Py_ssize_t j, r, d = pattern.n_features, n_places = S.n_places
    cdef const int32_t *places = S.places
    cdef double factor = S.size * pattern.scale * pattern.root[i]
    for k in range(pattern.by_sample[i], pattern.by_sample[i + 1]):
        r = pattern.neurons[k]
        for j in range(d):
            add_at_places(places + (r * d + j) * n_places, n_places,
                          factor * pattern.signs[r * pattern.n_outputs + o] * pattern.X[i * pattern.padded + j], out)


def sparse_sign_kernel(jacobian, const int32_t[:, ::1] places, double[:, ::1] out):
    """Add S J^T[:, (i, o)] to row (i, o) of `out`; `places` hold S, see SparseSigns."""
    cdef Pattern pattern = as_pattern(jacobian)
    cdef Py_ssize_t n_outputs = pattern.n_outputs, entry
    if pattern.n_pairs == 0:
        return
    cdef SparseSigns S = as_sparse_signs(places)
    for entry in prange(pattern.n_samples * n_outputs, schedule="dynamic", chunksize=16, nogil=True,
                        num_threads=threads_for(sketch_work(&pattern, &S))):
        sketch_sample(&pattern, &S, entry // n_outputs, entry % n_outputs, &out[entry, 0])


cdef void sketch_neuron(const Pattern *pattern, const SparseSigns *S, Py_ssize_t r, double *out,
                        Py_ssize_t stride) noexcept nogil:
    # out[j, :] += S J[:, (r, j)] for all features j
    cdef int64_t k
    cdef Py_ssize_t i, j, o, n_outputs = pattern.n_outputs, d = pattern.n_features, n_places = S.n_places
    cdef const int32_t *places = S.places
    cdef double factor
    for k in range(pattern.by_neuron[r], pattern.by_neuron[r + 1]):
        i = pattern.samples[k]
        for o in range(n_outputs):
            factor = S.size * pattern.scale * pattern.root[i] * pattern.signs[r * n_outputs + o]
            for j in range(d):
                add_at_places(places + (i * n_outputs + o) * n_places, n_places,
                              factor * pattern.X[i * pattern.padded + j], out + j * stride)


def sparse_sign_normal(jacobian, const int32_t[:, ::1] places, double[:, ::1] out):
    """Add S J[:, (r, j)] to row (r, j) of `out`; `places` hold S, see SparseSigns."""
    cdef Pattern pattern = as_pattern(jacobian)
    cdef Py_ssize_t r
    if pattern.n_pairs == 0:
        return
    cdef SparseSigns S = as_sparse_signs(places)
    for r in prange(pattern.n_neurons, schedule="dynamic", nogil=True, num_threads=threads_for(sketch_work(&pattern, &S))):
        sketch_neuron(&pattern, &S, r, &out[r * pattern.n_features, 0], out.shape[1])
