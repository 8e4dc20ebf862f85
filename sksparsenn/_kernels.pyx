"""What a network computes from lists of firing (neuron, sample) pairs.

A firing pattern is stored neuron by neuron, in compressed rows that may have gaps:
the samples on which neuron ``rows[k]`` fires are ``samples[starts[k] : starts[k] + counts[k]]``,
ascending, and ``products`` holds <w_r, x_i> at the same places.

Results are the same bits for any number of threads: work is cut into a number of
blocks that depends on the problem alone, and sums over blocks run in block order.
"""
import numpy as np

from cython.parallel cimport prange
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

cdef extern from "simd/kernels.h" nogil:
    float dot_strided_float(const float *, const float *, Py_ssize_t, Py_ssize_t)
    double dot_strided_double(const double *, const double *, Py_ssize_t, Py_ssize_t)
    void products_float(const float *, Py_ssize_t, const float *, int64_t, float *)
    void products_double(const double *, Py_ssize_t, const double *, int64_t, double *)
    int64_t keep_above_float(const float *, Py_ssize_t, const float *, const int32_t *, int64_t, float, int32_t *, float *)
    int64_t keep_above_double(const double *, Py_ssize_t, const double *, const int32_t *, int64_t, double, int32_t *, double *)
    int64_t keep_others_float(const float *, Py_ssize_t, const float *, const int32_t *, int64_t, float, int32_t *, float *)
    int64_t keep_others_double(const double *, Py_ssize_t, const double *, const int32_t *, int64_t, double, int32_t *, double *)
    void add_outputs_float(const int32_t *, const float *, int64_t, float, const float *, Py_ssize_t, float *)
    void add_outputs_double(const int32_t *, const double *, int64_t, double, const double *, Py_ssize_t, double *)
    void keep_above_two_float(const float *, Py_ssize_t, const float **, const int32_t **, const int64_t *, float, int32_t **, float **, int64_t *)
    void keep_above_two_double(const double *, Py_ssize_t, const double **, const int32_t **, const int64_t *, double, int32_t **, double **, int64_t *)
    void sum_gradients_float(const float *, Py_ssize_t, int, const int32_t **, const int64_t *, const float *, const float **, Py_ssize_t, float **)
    void sum_gradients_double(const double *, Py_ssize_t, int, const int32_t **, const int64_t *, const double *, const double **, Py_ssize_t, double **)
    void add_to_rows_float(const float *, float, Py_ssize_t, const int32_t *, int64_t, float *, float *)
    void add_to_rows_double(const double *, double, Py_ssize_t, const int32_t *, int64_t, double *, double *)
    void add_rows_float(const float *, Py_ssize_t, const int32_t *, int64_t, float, float *)
    void add_rows_double(const double *, Py_ssize_t, const int32_t *, int64_t, double, double *)

cdef extern from *:
    """
    #ifdef _OPENMP
    #include <omp.h>
    #define SKSPARSENN_OPENMP 1
    #else
    #define SKSPARSENN_OPENMP 0
    #define omp_get_max_threads() 1
    #endif
    """
    bint SKSPARSENN_OPENMP
    int omp_get_max_threads()

cdef extern from "simd/lanes.h" nogil:
    enum:
        LANES

cdef enum:
    MOST_BLOCKS = 32  # blocks of neurons that sums over neurons are cut into
    CHUNK = 64  # neurons handed to a thread at a time
    WORTH_THREADS = 1 << 16  # pairs or entries below which starting threads costs more than it saves


cdef real dot_strided(const real *a, const real *b, Py_ssize_t stride, Py_ssize_t d) noexcept nogil:
    if real is float:
        return dot_strided_float(a, b, stride, d)
    else:
        return dot_strided_double(a, b, stride, d)


cdef void products(const real *X, Py_ssize_t padded, const real *w, int64_t n, real *out) noexcept nogil:
    if real is float:
        products_float(X, padded, w, n, out)
    else:
        products_double(X, padded, w, n, out)


cdef int64_t keep_above(const real *X, Py_ssize_t padded, const real *w, const int32_t *list, int64_t count,
                        real threshold, int32_t *kept, real *products) noexcept nogil:
    if real is float:
        return keep_above_float(X, padded, w, list, count, threshold, kept, products)
    else:
        return keep_above_double(X, padded, w, list, count, threshold, kept, products)


cdef int64_t keep_others(const real *X, Py_ssize_t padded, const real *w, const int32_t *list, int64_t count,
                         real threshold, int32_t *kept, real *products) noexcept nogil:
    if real is float:
        return keep_others_float(X, padded, w, list, count, threshold, kept, products)
    else:
        return keep_others_double(X, padded, w, list, count, threshold, kept, products)


cdef void add_to_rows(const real *w, real factor, Py_ssize_t padded, const int32_t *list, int64_t count, real *rows,
                      real *totals) noexcept nogil:
    if real is float:
        add_to_rows_float(w, factor, padded, list, count, rows, totals)
    else:
        add_to_rows_double(w, factor, padded, list, count, rows, totals)


cdef void add_rows(const real *rows, Py_ssize_t padded, const int32_t *list, int64_t count, real factor, real *total) noexcept nogil:
    if real is float:
        add_rows_float(rows, padded, list, count, factor, total)
    else:
        add_rows_double(rows, padded, list, count, factor, total)


cdef void add_outputs(const int32_t *list, const real *products, int64_t count, real shift, const real *signs,
                      Py_ssize_t n_outputs, real *outputs) noexcept nogil:
    if real is float:
        add_outputs_float(list, products, count, shift, signs, n_outputs, outputs)
    else:
        add_outputs_double(list, products, count, shift, signs, n_outputs, outputs)


cdef inline void keep_above_two(const real *X, Py_ssize_t padded, const real **w, const int32_t **list, const int64_t *count,
                                real threshold, int32_t **kept, real **products, int64_t *held) noexcept nogil:
    if real is float:
        keep_above_two_float(X, padded, w, list, count, threshold, kept, products, held)
    else:
        keep_above_two_double(X, padded, w, list, count, threshold, kept, products, held)


cdef inline void sum_gradients(const real *X, Py_ssize_t padded, int n, const int32_t **list, const int64_t *count,
                               const real *residuals, const real **signs, Py_ssize_t n_outputs, real **gradient) noexcept nogil:
    if real is float:
        sum_gradients_float(X, padded, n, list, count, residuals, signs, n_outputs, gradient)
    else:
        sum_gradients_double(X, padded, n, list, count, residuals, signs, n_outputs, gradient)


cdef void sum_gradient(const real *X, Py_ssize_t padded, const int32_t *list, int64_t count, const real *residuals,
                       const real *signs, Py_ssize_t n_outputs, real *gradient) noexcept nogil:
    sum_gradients(X, padded, 1, &list, &count, residuals, &signs, n_outputs, &gradient)


def built_with_openmp():
    """Whether the kernels can use several threads."""
    return SKSPARSENN_OPENMP


def max_threads():
    """How many threads the next parallel loop may use."""
    return omp_get_max_threads()


def room_for(const int64_t[::1] counts):
    """Entries that the firing pairs of so many candidates may take: kernels write up to LANES past each block's last."""
    cdef int64_t room = MOST_BLOCKS * LANES
    cdef Py_ssize_t k
    for k in range(counts.shape[0]):
        room += counts[k]
    return room


cdef object places_of(const int64_t[::1] counts, const int64_t[::1] bounds):
    # Where the firing pairs of each block of neurons go: after all candidates of the blocks before.
    cdef Py_ssize_t block, k, n_blocks = bounds.shape[0] - 1
    places = np.zeros(n_blocks + 1, dtype=np.int64)
    cdef int64_t[::1] out = places
    for block in range(n_blocks):
        out[block + 1] = out[block] + LANES
        for k in range(bounds[block], bounds[block + 1]):
            out[block + 1] += counts[k]
    return places


def firing_of_candidates(const real[:, ::1] X, const real[:, ::1] W, const int64_t[::1] rows, const int64_t[::1] starts,
                         const int64_t[::1] counts, const int32_t[::1] candidates, double threshold, int32_t[::1] samples,
                         real[::1] products):
    """Keep, of each neuron's candidate samples, those on which it fires: <W[r], X[i]> > threshold.

    Firing samples and their inner products are written to `samples` and `products`,
    which need room_for(counts) entries; returns where each neuron's begin and how many
    it has.  X and W are padded to a multiple of eight columns.
    """
    cdef Py_ssize_t n_rows = rows.shape[0], padded = X.shape[1], k, block, n_blocks = MOST_BLOCKS
    cdef int64_t[::1] bounds = np.arange(n_blocks + 1, dtype=np.int64) * n_rows // n_blocks
    cdef int64_t[::1] places = places_of(counts, bounds)
    fired_starts, fired = np.zeros(n_rows, dtype=np.int64), np.zeros(n_rows, dtype=np.int64)
    cdef int64_t[::1] starts_view = fired_starts, fired_view = fired
    if candidates.shape[0] == 0 or X.shape[0] == 0:  # lists may have room for samples that there are not
        return fired_starts, fired
    for block in prange(n_blocks, schedule="dynamic", nogil=True, use_threads_if=candidates.shape[0] > WORTH_THREADS):
        for k in range(bounds[block], bounds[block + 1]):
            starts_view[k] = places[block]
            fired_view[k] = keep_above(&X[0, 0], padded, &W[rows[k], 0], &candidates[0] + starts[k], counts[k], <real>threshold,
                                       &samples[0] + places[block], &products[0] + places[block])
            places[block] += fired_view[k]
    return fired_starts, fired


cdef int forward_blocks(const real *X, Py_ssize_t padded, const real *W, const int64_t[::1] rows, const int64_t[::1] starts,
                        const int64_t[::1] counts, const int32_t *candidates, real cut, const int64_t *bounds, Py_ssize_t apart,
                        const int64_t *places, int64_t[::1] fired_starts, int64_t[::1] fired, int32_t *samples, real shift,
                        const real *signs, Py_ssize_t n_outputs, real *outputs, Py_ssize_t entries) noexcept nogil:
    # The block of neurons that begins at bounds[0] and the one `apart` blocks on, neuron by neuron in step.
    # Firing samples of each block are stored without gaps from places[0] or places[apart] on; outputs go to its own row.
    cdef Py_ssize_t k, s
    cdef int64_t most = 0
    cdef int64_t[2] place, count, held, number, end
    cdef const real *w[2]
    cdef const int32_t *lists[2]
    cdef int32_t *kept[2]
    cdef real *products[2]
    for s in range(2):
        place[s], number[s], end[s] = places[s * apart], bounds[s * apart], bounds[s * apart + 1]
        for k in range(number[s], end[s]):
            most = max(most, counts[k])
        memset(outputs + s * apart * entries, 0, entries * sizeof(real))
    products[0] = <real *>malloc(2 * (most + LANES) * sizeof(real))
    if products[0] == NULL:
        return -1
    products[1] = products[0] + most + LANES
    while number[0] < end[0] or number[1] < end[1]:
        for s in range(2):
            k = number[s]
            count[s] = counts[k] if k < end[s] else 0
            if k < end[s]:
                w[s], lists[s] = W + rows[k] * padded, candidates + starts[k]
            kept[s] = samples + place[s]
        held[0] = held[1] = 0
        if count[0] or count[1]:
            keep_above_two(X, padded, w, lists, count, cut, kept, products, held)
        for s in range(2):
            k = number[s]
            if k < end[s]:
                fired_starts[k], fired[k] = place[s], held[s]
                add_outputs(kept[s], products[s], held[s], shift, signs + rows[k] * n_outputs, n_outputs,
                            outputs + s * apart * entries)
                place[s] += held[s]
            number[s] += 1
    free(products[0])
    return 0


def forward_of_candidates(const real[:, ::1] X, const real[:, ::1] W, const int64_t[::1] rows, const int64_t[::1] starts,
                          const int64_t[::1] counts, const int32_t[::1] candidates, double threshold, int32_t[::1] samples,
                          double shift, const real[:, ::1] signs, double scale):
    """The same in one pass with `add_firing_outputs`, bit by bit, without storing products: (starts, counts, outputs).

    Neurons half the width apart, which paired initialisation gave equal weights, are evaluated together.
    """
    cdef Py_ssize_t n_rows = rows.shape[0], padded = X.shape[1], n_outputs = signs.shape[1], entries = X.shape[0] * n_outputs
    cdef Py_ssize_t n_blocks = output_blocks(entries), block
    cdef int failed = 0
    cdef int64_t[::1] bounds = block_bounds(rows, signs.shape[0], n_blocks)
    cdef int64_t[::1] places = places_of(counts, bounds)
    dtype = np.asarray(signs).dtype
    cdef real[:, ::1] partial = np.empty((n_blocks, max(entries, 1)), dtype=dtype)
    outputs = np.zeros((X.shape[0], n_outputs), dtype=dtype)
    cdef real[::1] outputs_view = outputs.reshape(-1)
    fired_starts, fired = np.zeros(n_rows, dtype=np.int64), np.zeros(n_rows, dtype=np.int64)
    cdef int64_t[::1] starts_view = fired_starts, fired_view = fired
    if candidates.shape[0] == 0 or entries == 0:
        return fired_starts, fired, outputs
    for block in prange(n_blocks // 2, schedule="dynamic", nogil=True, use_threads_if=candidates.shape[0] > WORTH_THREADS):
        failed |= forward_blocks(&X[0, 0], padded, &W[0, 0], rows, starts, counts, &candidates[0], <real>threshold,
                                 &bounds[block], n_blocks // 2, &places[block], starts_view, fired_view, &samples[0],
                                 <real>shift, &signs[0, 0], n_outputs, &partial[block, 0], entries) < 0
    if failed:
        raise MemoryError("no memory for the products of a neuron")
    sum_all_blocks(partial, entries, scale, outputs_view)
    return fired_starts, fired, outputs


cdef Py_ssize_t output_blocks(Py_ssize_t entries) noexcept nogil:
    # An even number: enough to keep threads busy, fewer where their private outputs would fill memory.
    return 2 * max(2, min(MOST_BLOCKS // 2, (1 << 23) // max(entries, 1)))


cdef void sum_blocks(const real *partial, Py_ssize_t stride, Py_ssize_t n_blocks, Py_ssize_t first, Py_ssize_t last,
                     double scale, real *outputs) noexcept nogil:
    # outputs[first:last] = scale * sums over blocks; blocks half the number apart are added first.
    cdef double total[CHUNK]
    cdef Py_ssize_t block, e
    cdef const real *one
    cdef const real *other
    for e in range(last - first):
        total[e] = 0
    for block in range(n_blocks // 2):
        one = partial + block * stride + first
        other = partial + (block + n_blocks // 2) * stride + first
        for e in range(last - first):
            total[e] += <double>one[e] + <double>other[e]
    for e in range(last - first):
        outputs[first + e] = <real>(scale * total[e])


cdef object block_bounds(rows, Py_ssize_t width, Py_ssize_t n_blocks):
    # Blocks of consecutive neurons, whichever of them the lists hold.
    return np.searchsorted(rows, np.arange(n_blocks + 1) * width // n_blocks).astype(np.int64)


cdef void sum_all_blocks(const real[:, ::1] partial, Py_ssize_t entries, double scale, real[::1] outputs):
    cdef Py_ssize_t part
    for part in prange((entries + CHUNK - 1) // CHUNK, schedule="static", nogil=True, use_threads_if=entries > WORTH_THREADS):
        sum_blocks(&partial[0, 0], partial.shape[1], partial.shape[0], part * CHUNK, min((part + 1) * CHUNK, entries), scale,
                   &outputs[0])


def add_firing_outputs(const int64_t[::1] rows, const int64_t[::1] starts, const int64_t[::1] counts,
                       const int32_t[::1] samples, const real[::1] products, double shift, const real[:, ::1] signs,
                       double scale, Py_ssize_t n_samples):
    """outputs[i, o] = scale * sum_r signs[r, o] * (<w_r, x_i> - shift) over the neurons r that fire on i.

    Neurons are summed in blocks of consecutive numbers, so a sample's output does not
    depend on which other samples are evaluated with it; blocks half the width apart
    are added first, so that neurons of paired initialisation cancel exactly.
    """
    cdef Py_ssize_t n_outputs = signs.shape[1], width = signs.shape[0], entries = n_samples * n_outputs
    cdef Py_ssize_t n_blocks = output_blocks(entries), block, k
    cdef real shift_ = <real>shift
    dtype = np.asarray(signs).dtype
    cdef real[:, ::1] partial = np.zeros((n_blocks, max(entries, 1)), dtype=dtype)
    outputs = np.zeros((n_samples, n_outputs), dtype=dtype)
    cdef real[::1] outputs_view = outputs.reshape(-1)
    cdef int64_t[::1] bounds = block_bounds(rows, width, n_blocks)
    if samples.shape[0] == 0 or entries == 0:
        return outputs
    for block in prange(n_blocks, schedule="dynamic", nogil=True, use_threads_if=samples.shape[0] > WORTH_THREADS):
        for k in range(bounds[block], bounds[block + 1]):
            add_outputs(&samples[0] + starts[k], &products[0] + starts[k], counts[k], shift_,
                        &signs[rows[k], 0], n_outputs, &partial[block, 0])
    sum_all_blocks(partial, entries, scale, outputs_view)
    return outputs


def firing_gradient(const real[:, ::1] X, const int64_t[::1] rows, const int64_t[::1] starts, const int64_t[::1] counts,
                    const int32_t[::1] samples, const real[:, ::1] residuals, const real[:, ::1] signs):
    """gradient[k, :] = sum over the samples i on which r = rows[k] fires of <signs[r], residuals[i]> x_i."""
    cdef Py_ssize_t n_rows = rows.shape[0], padded = X.shape[1], n_outputs = signs.shape[1]
    cdef Py_ssize_t k, chunk, n_chunks = (n_rows + CHUNK - 1) // CHUNK
    gradient = (np.empty if samples.shape[0] else np.zeros)((n_rows, padded), dtype=np.asarray(X).dtype)
    cdef real[:, ::1] gradient_view = gradient
    if samples.shape[0] == 0 or n_rows == 0:
        return gradient
    for chunk in prange(n_chunks, schedule="dynamic", nogil=True, use_threads_if=samples.shape[0] > WORTH_THREADS):
        for k in range(chunk * CHUNK, min((chunk + 1) * CHUNK, n_rows)):
            sum_gradient(&X[0, 0], padded, &samples[0] + starts[k], counts[k], &residuals[0, 0],
                         &signs[rows[k], 0], n_outputs, &gradient_view[k, 0])
    return gradient


cdef void move(real *w, const real *home, real *speed, const real *gradient, Py_ssize_t padded, real s, real eta, real mu,
               bint nesterov, real a) noexcept nogil:
    cdef Py_ssize_t j
    cdef real g, v
    if mu == 0 and a == 0:
        for j in range(padded):
            w[j] -= eta * s * gradient[j]
        return
    for j in range(padded):
        g = s * gradient[j] + a * (w[j] - home[j])
        v = mu * speed[j] - eta * g
        speed[j] = v
        w[j] += mu * v - eta * g if nesterov else v


cdef int descend_chunks(real *W, const real *anchor, real *velocity, const real *X, Py_ssize_t padded, Py_ssize_t first,
                        Py_ssize_t last, Py_ssize_t apart, Py_ssize_t width, const int64_t[::1] rows, const int64_t *among_rows,
                        Py_ssize_t chunks_apart, const int64_t[::1] starts, const int64_t[::1] counts, const int32_t *samples,
                        const real *residuals, const real *signs, Py_ssize_t n_outputs, real s, real eta, real mu,
                        bint nesterov, real a) noexcept nogil:
    # Neurons first to last and those `apart` from them, in step; among_rows says where each of the two begins in the rows.
    cdef real *gradient[2]
    cdef const int32_t *lists[2]
    cdef const real *sign[2]
    cdef int64_t[2] count, k
    cdef Py_ssize_t r, number, side
    cdef bint moves
    gradient[0] = <real *>malloc(2 * padded * sizeof(real))
    if gradient[0] == NULL:
        return -1
    gradient[1] = gradient[0] + padded
    for side in range(2):
        k[side] = among_rows[side * chunks_apart]
    for r in range(first, last):
        moves = mu != 0 or a != 0  # else only those that fire
        for side in range(2):
            number = r + side * apart
            count[side], sign[side], lists[side] = 0, signs, samples
            if k[side] < rows.shape[0] and rows[k[side]] == number:
                count[side], sign[side] = counts[k[side]], signs + number * n_outputs
                lists[side] = samples + starts[k[side]]
                k[side] += 1
            moves = moves or count[side] > 0
        if not moves:
            continue
        sum_gradients(X, padded, 2, lists, count, residuals, sign, n_outputs, gradient)
        for side in range(2):
            number = r + side * apart
            if number < width:
                move(W + number * padded, anchor + number * padded, velocity + number * padded, gradient[side], padded,
                     s, eta, mu, nesterov, a)
    free(gradient[0])
    return 0


def descend_firing(real[:, ::1] W, const real[:, ::1] anchor, real[:, ::1] velocity, const real[:, ::1] X,
                   const int64_t[::1] rows, const int64_t[::1] starts, const int64_t[::1] counts, const int32_t[::1] samples,
                   const real[:, ::1] residuals, const real[:, ::1] signs, double scale, double learning_rate,
                   double momentum, bint nesterov, double alpha):
    """One step of gradient descent with momentum, over firing pairs.

    With g = scale * firing_gradient + alpha * (W - anchor):  velocity <- momentum * velocity - learning_rate * g,
    and W moves by velocity (or, with Nesterov's, by momentum * velocity - learning_rate * g).
    Where momentum and alpha are 0 the velocity is left alone.
    """
    cdef Py_ssize_t m = W.shape[0], padded = W.shape[1], half = (m + 1) // 2, n_chunks = (half + CHUNK - 1) // CHUNK, chunk
    first = np.minimum(np.arange(n_chunks) * CHUNK, half)
    cdef int64_t[::1] among_rows = np.searchsorted(rows, np.concatenate([first, first + half])).astype(np.int64)
    cdef const int32_t *samples_ = &samples[0] if samples.shape[0] else NULL
    cdef int failed = 0
    if X.shape[0] == 0 or m == 0:
        return
    for chunk in prange(n_chunks, schedule="dynamic", nogil=True, use_threads_if=samples.shape[0] > WORTH_THREADS):
        failed |= descend_chunks(&W[0, 0], &anchor[0, 0], &velocity[0, 0], &X[0, 0], padded, chunk * CHUNK,
                                 min((chunk + 1) * CHUNK, half), half, m, rows, &among_rows[chunk], n_chunks, starts, counts,
                                 samples_, &residuals[0, 0], &signs[0, 0], signs.shape[1], <real>scale, <real>learning_rate,
                                 <real>momentum, nesterov, <real>alpha) < 0
    if failed:
        raise MemoryError("no memory for the gradient of a neuron")


def neurons_per_sample(const int64_t[::1] starts, const int64_t[::1] counts, const int32_t[::1] samples, Py_ssize_t n_samples):
    """How many neurons fire on each sample."""
    cdef Py_ssize_t k
    cdef int64_t p
    neurons = np.zeros(n_samples, dtype=np.int64)
    cdef int64_t[::1] out = neurons
    with nogil:
        for k in range(starts.shape[0]):
            for p in range(starts[k], starts[k] + counts[k]):
                out[samples[p]] += 1
    return neurons


def transpose_lists(const int64_t[::1] indptr, const int32_t[::1] indices, Py_ssize_t n_columns):
    """Compressed rows of the transpose: for each column, the rows that list it, ascending."""
    cdef Py_ssize_t n_rows = indptr.shape[0] - 1, i, c
    cdef int64_t p
    columns_indptr = np.zeros(n_columns + 1, dtype=np.int64)
    rows_of_column = np.empty(indices.shape[0], dtype=np.int32)
    cdef int64_t[::1] place = columns_indptr
    cdef int32_t[::1] out = rows_of_column
    with nogil:
        for p in range(indices.shape[0]):
            place[indices[p] + 1] += 1
        for c in range(n_columns):
            place[c + 1] += place[c]
        for i in range(n_rows):
            for p in range(indptr[i], indptr[i + 1]):
                c = indices[p]
                out[place[c]] = i
                place[c] += 1
        # Each place now holds its column's end: shift by one to restore the starts.
        for c in range(n_columns, 0, -1):
            place[c] = place[c - 1]
        place[0] = 0
    return columns_indptr, rows_of_column


def common_pairs(const int64_t[::1] rows, const int64_t[::1] starts, const int64_t[::1] counts, const int32_t[::1] samples,
                 const int64_t[::1] other_rows, const int64_t[::1] other_starts, const int64_t[::1] other_counts,
                 const int32_t[::1] other_samples):
    """How many pairs (neuron, sample) are in both patterns, whose rows ascend."""
    cdef Py_ssize_t k = 0, l = 0
    cdef int64_t p, q, common = 0
    with nogil:
        while k < rows.shape[0] and l < other_rows.shape[0]:
            if rows[k] != other_rows[l]:
                if rows[k] < other_rows[l]:
                    k += 1
                else:
                    l += 1
                continue
            p, q = starts[k], other_starts[l]
            while p < starts[k] + counts[k] and q < other_starts[l] + other_counts[l]:
                common += samples[p] == other_samples[q]
                if samples[p] <= other_samples[q]:
                    p += 1
                    q += samples[p - 1] == other_samples[q]
                else:
                    q += 1
            k += 1
            l += 1
    return common
