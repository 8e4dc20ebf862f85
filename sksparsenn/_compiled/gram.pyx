"""The two Gauss-Newton matrices, J J^T and J^T J, from firing pairs.

Row (i, o) of J is scale * root_i * a_ro x_i for each neuron r that fires on sample i, so

    (J J^T)[(i, o), (j, p)] = scale^2 root_i root_j <x_i, x_j> sum_r a_ro a_rp,  over the r that fire on i and j,
    (J^T J)[(r, a), (q, b)] = scale^2 <a_r, a_q> sum_i root_i^2 x_ia x_ib,       over the i on which r and q fire.

Both are sums over co-firing: a sample's list of neurons and a neuron's list of samples
lead from one row to all others that share a neuron or sample, and nothing else is computed.  Where so many
neurons fire that two samples have several in common among 64, the neurons of a sample are
stored as bits instead, and those of two samples counted word by word.  The counts are the same.

Functions take the Jacobian as one object with the attributes that `as_struct` reads: its
factors as arrays, and the firing pairs as compressed rows without gaps in both directions.
Matrices are filled in their lower triangle, row by row, each row by one thread: the same
bits for any number of threads.
"""
import numpy as np

from cython.parallel cimport prange
from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.stdlib cimport calloc, free, malloc

from sksparsenn._compiled.kernels cimport Rows, products
from sksparsenn._utils.threads cimport threads_for

cdef extern from "simd/gram.h" nogil:
    ctypedef struct Jacobian:
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
    enum:
        AHEAD
        MOMENTS_AT_ONCE
    ctypedef struct Moments:
        Py_ssize_t size, stride
        double *moments
        uint64_t *fires
    void fetch_sample(const Jacobian *J, Py_ssize_t i)
    void add_moments(const Jacobian *J, const int32_t *samples, Py_ssize_t count, Py_ssize_t n_neurons,
                     const Moments *M, double *sums)
    void count_common(const uint64_t *set, const uint64_t *sets, Py_ssize_t n_sets, Py_ssize_t words, double *counts)
    void add_to_rows(const double *x, const int32_t *list, int64_t count, double *rows, Py_ssize_t units)

cdef enum:
    WORDS_A_MEETING = 3  # of 64 neurons each, in the time that one sample of a list takes


cdef Jacobian as_struct(jacobian):
    # Return the arrays of a Jacobian, which have to outlive the result, as pointers; NULL where they are empty.
    cdef const double[:, ::1] X = jacobian.X, signs = jacobian.signs
    cdef const double[::1] root = jacobian.root
    cdef const int64_t[::1] by_neuron = jacobian.by_neuron, by_sample = jacobian.by_sample
    cdef const int32_t[::1] samples = jacobian.samples, neurons = jacobian.neurons_of_sample
    cdef Jacobian J
    J.n_samples, J.padded, J.n_features = X.shape[0], X.shape[1], jacobian.n_features
    J.n_neurons, J.n_outputs, J.n_pairs = signs.shape[0], signs.shape[1], samples.shape[0]
    J.scale = jacobian.scale
    J.X = J.root = J.signs = NULL
    J.by_neuron, J.by_sample = &by_neuron[0], &by_sample[0]
    J.samples = J.neurons = NULL
    if J.n_pairs > 0:
        J.X, J.root, J.signs = &X[0, 0], &root[0], &signs[0, 0]
        J.samples, J.neurons = &samples[0], &neurons[0]
    J.bits, J.words = NULL, 0
    return J


cdef double meetings(const int64_t *ends, Py_ssize_t n) noexcept nogil:
    # Return the sum of squared lengths of lists: how many pairs of members share a list.
    cdef double total = 0
    cdef Py_ssize_t k
    for k in range(n):
        total += <double>(ends[k + 1] - ends[k]) ** 2
    return total


# -- the tangent kernel J J^T -----------------------------------------------------------------


cdef void add_common_signs(const Jacobian *J, Py_ssize_t i, Py_ssize_t o, Py_ssize_t n,
                           double *together) noexcept nogil:
    # together[j * n_outputs + p] += sum_r a_ro a_rp over the r that fire on i and on j, for j < n.
    cdef Py_ssize_t p, n_outputs = J.n_outputs
    cdef int64_t k, l
    cdef int32_t r
    cdef const double *sign
    for k in range(J.by_sample[i], J.by_sample[i + 1]):
        r = J.neurons[k]
        sign = J.signs + r * n_outputs
        for l in range(J.by_neuron[r], J.by_neuron[r + 1]):
            if J.samples[l] >= n:
                break
            if n_outputs == 1:  # a_r^2 = 1: count
                together[J.samples[l]] += 1
                continue
            for p in range(n_outputs):
                together[J.samples[l] * n_outputs + p] += sign[o] * sign[p]


cdef int kernel_row(const Jacobian *J, Py_ssize_t i, Py_ssize_t o, Py_ssize_t n, double *out) noexcept nogil:
    # out[j * n_outputs + p] = (J J^T)[(i, o), (j, p)] for j < n; -1 if memory runs out.
    cdef Py_ssize_t p, n_outputs = J.n_outputs, entry
    cdef double factor
    cdef Rows rows
    cdef double *inner = <double *>malloc(n * sizeof(double))
    cdef double *together = <double *>calloc(n * n_outputs, sizeof(double))
    if inner == NULL or together == NULL:
        free(inner)
        free(together)
        return -1
    if J.bits != NULL:
        count_common(J.bits + i * J.words, J.bits, n, J.words, together)
    else:
        add_common_signs(J, i, o, n, together)
    rows.data, rows.padded = J.X, J.padded
    products(&rows, J.X + i * J.padded, n, inner)
    factor = J.scale * J.scale * J.root[i]
    for entry in range(n):
        for p in range(n_outputs):
            out[entry * n_outputs + p] = factor * J.root[entry] * inner[entry] * together[entry * n_outputs + p]
    free(inner)
    free(together)
    return 0


cdef fill_bits(Jacobian *J, uint64_t[:, ::1] bits):
    # Write the neurons of each sample as bits, to which J then points.
    cdef Py_ssize_t i
    cdef int64_t k
    cdef int32_t r
    for i in range(J.n_samples):
        for k in range(J.by_sample[i], J.by_sample[i + 1]):
            r = J.neurons[k]
            bits[i, r >> 6] |= <uint64_t>1 << (r & 63)
    J.bits, J.words = &bits[0, 0], bits.shape[1]


def tangent_kernel(jacobian, double[:, ::1] out):
    """Write the lower triangle of J J^T to `out`, (n_samples n_outputs, n_samples n_outputs)."""
    cdef Jacobian J = as_struct(jacobian)
    cdef Py_ssize_t n = J.n_samples, words = (J.n_neurons + 63) // 64, size = n * J.n_outputs, entry
    cdef double met, all_pairs = <double>n * n
    cdef int failed = 0
    if J.n_pairs == 0:
        np.asarray(out)[:] = 0
        return
    met = meetings(J.by_neuron, J.n_neurons) * J.n_outputs * J.n_outputs
    # Going through all pairs of samples word by word, or through those that meet, neuron by neuron, gives equal counts.
    if J.n_outputs == 1 and all_pairs * words < WORDS_A_MEETING * met:
        bits = np.zeros((n, words), dtype=np.uint64)
        fill_bits(&J, bits)
        met = all_pairs * words
    # The longest rows first, so that no thread ends up alone with one.
    for entry in prange(size, schedule="dynamic", chunksize=16, nogil=True,
                        num_threads=threads_for((met + all_pairs * J.n_outputs * J.padded) / 2)):
        failed |= lower_kernel_row(&J, size - 1 - entry, out)
    if failed:
        raise MemoryError("no memory for a row of the tangent kernel")


cdef int lower_kernel_row(const Jacobian *J, Py_ssize_t entry, double[:, ::1] out) noexcept nogil:
    # Whole samples are computed; entries beyond the diagonal lie in the same row, which no other call writes.
    return kernel_row(J, entry // J.n_outputs, entry % J.n_outputs, entry // J.n_outputs + 1,
                      &out[entry, 0])


def tangent_kernel_rows(jacobian, const int64_t[::1] entries):
    """Return whole rows of J J^T, one for each sample i and output o given as i n_outputs + o."""
    cdef Jacobian J = as_struct(jacobian)
    cdef Py_ssize_t n = J.n_samples, n_outputs = J.n_outputs, k
    cdef double work
    cdef int failed = 0
    rows = np.zeros((entries.shape[0], n * n_outputs))
    cdef double[:, ::1] out = rows
    if J.n_pairs == 0 or entries.shape[0] == 0:
        return rows
    work = entries.shape[0] * (meetings(J.by_neuron, J.n_neurons) / n * n_outputs + <double>n * J.padded)
    for k in prange(entries.shape[0], schedule="dynamic", nogil=True, num_threads=threads_for(work)):
        failed |= kernel_row(&J, entries[k] // n_outputs, entries[k] % n_outputs, n, &out[k, 0])
    if failed:
        raise MemoryError("no memory for a row of the tangent kernel")
    return rows


# -- the normal matrix J^T J ------------------------------------------------------------------


cdef int normal_rows(const Jacobian *J, int32_t r, double[:, ::1] out) noexcept nogil:
    # The rows of neuron r in the lower triangle of J^T J; -1 if memory runs out.
    cdef Py_ssize_t d = J.n_features, a, b, q, o
    cdef int64_t k
    cdef double factor
    cdef double *sums
    cdef double *sum_q
    cdef void *room
    cdef Moments M
    M.size = (d * (d + 1) // 2 + 3) // 4 * 4
    M.stride = M.size + 8 if M.size % 128 == 0 else M.size  # rows a power of two apart would drive each other from cache
    # Aligned, as units that reach into two cache lines take twice the time; behind the moments there is a unit to spare.
    room = calloc(((r + 1) * M.size + MOMENTS_AT_ONCE * M.stride + 12 + r + 1), 8)
    if room == NULL:
        return -1
    sums = <double *>(<char *>room + (64 - <size_t>room % 64))
    M.moments = sums + (r + 1) * M.size
    M.fires = <uint64_t *>(M.moments + MOMENTS_AT_ONCE * M.stride + 4)
    k = J.by_neuron[r]
    while k < J.by_neuron[r + 1]:
        add_moments(J, J.samples + k, min(MOMENTS_AT_ONCE, J.by_neuron[r + 1] - k), r + 1, &M, sums)
        k += MOMENTS_AT_ONCE
    for q in range(r + 1):
        factor = 0
        for o in range(J.n_outputs):
            factor = factor + J.signs[r * J.n_outputs + o] * J.signs[q * J.n_outputs + o]
        factor = factor * J.scale * J.scale
        sum_q = sums + q * M.size
        for a in range(d):
            for b in range(d):
                k = a * (a + 1) // 2 + b if b <= a else b * (b + 1) // 2 + a
                out[r * d + a, q * d + b] = factor * sum_q[k]
    free(room)
    return 0


def normal_matrix(jacobian, double[:, ::1] out):
    """Write the lower triangle of J^T J to `out`, (n_neurons n_features, n_neurons n_features)."""
    cdef Jacobian J = as_struct(jacobian)
    cdef Py_ssize_t d = J.n_features, width = J.n_neurons, k
    cdef double work
    cdef int failed = 0
    if J.n_pairs == 0:
        np.asarray(out)[:] = 0
        return
    work = meetings(J.by_sample, J.n_samples) * (d * (d + 1) // 2) / 2 + (<double>width * d) ** 2 / 2
    for k in prange(width, schedule="dynamic", nogil=True, num_threads=threads_for(work)):
        failed |= normal_rows(&J, width - 1 - k, out)
    if failed:
        raise MemoryError("no memory for a row of the normal matrix")


cdef void normal_row(const Jacobian *J, Py_ssize_t r, Py_ssize_t a, double *along, double *out) noexcept nogil:
    # out[q, :] += (J^T J)[(r, a), (q, :)] / signs for all q, one output; `along` has room for a row.
    cdef Py_ssize_t units = (J.n_features + 3) // 4, b
    cdef int64_t k
    cdef int32_t i
    cdef double value
    for k in range(J.by_neuron[r], J.by_neuron[r + 1]):
        if k + AHEAD < J.by_neuron[r + 1]:
            fetch_sample(J, J.samples[k + AHEAD])
        i = J.samples[k]
        value = J.scale * J.scale * J.root[i] * J.root[i] * J.X[i * J.padded + a]
        for b in range(4 * units):
            along[b] = value * J.X[i * J.padded + b]
        add_to_rows(along, J.neurons + J.by_sample[i], J.by_sample[i + 1] - J.by_sample[i], out,
                    units)


def normal_matrix_rows(jacobian, const int64_t[::1] entries):
    """Return whole rows of J^T J, one for each neuron r and feature a given as r n_features + a."""
    cdef Jacobian J = as_struct(jacobian)
    cdef Py_ssize_t k, d = J.n_features, width = J.n_neurons, units = (d + 3) // 4
    if J.n_pairs == 0 or entries.shape[0] == 0:
        return np.zeros((entries.shape[0], width * d))
    rows = np.zeros((entries.shape[0], width, 4 * units))
    cdef double[:, :, ::1] out = rows
    cdef double[:, ::1] along = np.empty((entries.shape[0], 4 * units))
    cdef double work = entries.shape[0] * meetings(J.by_sample, J.n_samples) / width * 4 * units
    for k in prange(entries.shape[0], schedule="dynamic", nogil=True, num_threads=threads_for(work)):
        normal_row(&J, entries[k] // d, entries[k] % d, &along[k, 0], &out[k, 0, 0])
    together = jacobian.signs[np.asarray(entries) // d] @ jacobian.signs.T
    return (rows[:, :, :d] * together[:, :, None]).reshape(len(rows), width * d)


# -- sparse sign sketches of J^T and of J -------------------------------------------------------


cdef struct SparseSigns:
    # A matrix S: column c has entries +-size in the `n_places` rows places[c, t] // 2, negative where places are odd.
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


cdef double sketch_work(const Jacobian *J, const SparseSigns *S) noexcept nogil:
    return <double>J.n_pairs * J.n_features * J.n_outputs * S.n_places


cdef void sketch_sample(const Jacobian *J, const SparseSigns *S, Py_ssize_t i, Py_ssize_t o,
                        double *out) noexcept nogil:
    # out[:] += S J^T[:, (i, o)]
    cdef int64_t k
    cdef Py_ssize_t j, r, d = J.n_features, n_places = S.n_places
    cdef const int32_t *places = S.places
    cdef double factor = S.size * J.scale * J.root[i]
    for k in range(J.by_sample[i], J.by_sample[i + 1]):
        r = J.neurons[k]
        for j in range(d):
            add_at_places(places + (r * d + j) * n_places, n_places,
                          factor * J.signs[r * J.n_outputs + o] * J.X[i * J.padded + j], out)


def sparse_sign_kernel(jacobian, const int32_t[:, ::1] places, double[:, ::1] out):
    """Add S J^T[:, (i, o)] to row (i, o) of `out`; `places` hold S, see SparseSigns."""
    cdef Jacobian J = as_struct(jacobian)
    cdef Py_ssize_t n_outputs = J.n_outputs, entry
    if J.n_pairs == 0:
        return
    cdef SparseSigns S = as_sparse_signs(places)
    for entry in prange(J.n_samples * n_outputs, schedule="dynamic", chunksize=16, nogil=True,
                        num_threads=threads_for(sketch_work(&J, &S))):
        sketch_sample(&J, &S, entry // n_outputs, entry % n_outputs, &out[entry, 0])


cdef void sketch_neuron(const Jacobian *J, const SparseSigns *S, Py_ssize_t r, double *out,
                        Py_ssize_t stride) noexcept nogil:
    # out[j, :] += S J[:, (r, j)] for all features j
    cdef int64_t k
    cdef Py_ssize_t i, j, o, n_outputs = J.n_outputs, d = J.n_features, n_places = S.n_places
    cdef const int32_t *places = S.places
    cdef double factor
    for k in range(J.by_neuron[r], J.by_neuron[r + 1]):
        i = J.samples[k]
        for o in range(n_outputs):
            factor = S.size * J.scale * J.root[i] * J.signs[r * n_outputs + o]
            for j in range(d):
                add_at_places(places + (i * n_outputs + o) * n_places, n_places,
                              factor * J.X[i * J.padded + j], out + j * stride)


def sparse_sign_normal(jacobian, const int32_t[:, ::1] places, double[:, ::1] out):
    """Add S J[:, (r, j)] to row (r, j) of `out`; `places` hold S, see SparseSigns."""
    cdef Jacobian J = as_struct(jacobian)
    cdef Py_ssize_t r
    if J.n_pairs == 0:
        return
    cdef SparseSigns S = as_sparse_signs(places)
    for r in prange(J.n_neurons, schedule="dynamic", nogil=True, num_threads=threads_for(sketch_work(&J, &S))):
        sketch_neuron(&J, &S, r, &out[r * J.n_features, 0], out.shape[1])
