"""Kernels over lists of firing (neuron, sample) pairs: who fires, outputs, gradients and steps.

A firing pattern is stored neuron by neuron, in compressed rows that may have gaps:
the samples on which neuron ``rows[k]`` fires are ``samples[starts[k] : starts[k] + counts[k]]``,
ascending, and ``products`` holds <w_r, x_i> at the same places.  Functions take it as a named
tuple `Lists` or `Firing`, whose first four fields these are.

Results are the same bits for any number of threads: work is cut into a number of
blocks that depends on the problem alone, and sums over blocks run in block order.
"""
import numpy as np

from cython.parallel cimport prange
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from sksparsenn._utils.threads cimport threads_for

cdef extern from "simd/kernels.h" nogil:
    float dot_strided_float(const float *, const float *, Py_ssize_t, Py_ssize_t)
    double dot_strided_double(const double *, const double *, Py_ssize_t, Py_ssize_t)
    void products_float(const Rows *, const float *, int64_t, float *)
    void products_double(const Rows *, const double *, int64_t, double *)
    int64_t keep_above_float(const Rows *, const float *, const List *, float, int32_t *, float *)
    int64_t keep_above_double(const Rows *, const double *, const List *, double, int32_t *, double *)
    int64_t keep_others_float(const Rows *, const float *, const List *, float, int32_t *, float *)
    int64_t keep_others_double(const Rows *, const double *, const List *, double, int32_t *, double *)
    void keep_above_two_float(const Rows *, const float **, const List *, float, int32_t **, float **, int64_t *)
    void keep_above_two_double(const Rows *, const double **, const List *, double, int32_t **, double **, int64_t *)
    void add_outputs_float(const List *, const float *, float, const float *, Py_ssize_t, float *)
    void add_outputs_double(const List *, const double *, double, const double *, Py_ssize_t, double *)
    void sum_gradients_float(const Rows *, int, const List *, const float *, const float **, Py_ssize_t, float **)
    void sum_gradients_double(const Rows *, int, const List *, const double *, const double **, Py_ssize_t, double **)
    void add_to_rows_float(const float *, float, Py_ssize_t, const List *, float *, float *)
    void add_to_rows_double(const double *, double, Py_ssize_t, const List *, double *, double *)
    void add_rows_float(const Rows *, const List *, float, float *)
    void add_rows_double(const Rows *, const List *, double, double *)

cdef extern from "simd/lanes.h" nogil:
    enum:
        LANES

cdef enum:
    MOST_BLOCKS = 32  # blocks of neurons that sums over neurons are cut into
    CHUNK = 64  # neurons handed to a thread at a time


# -- one source, two precisions -----------------------------------------------------------------


cdef real dot_strided(const real *a, const real *b, Py_ssize_t stride, Py_ssize_t d) noexcept nogil:
    if real is float:
        return dot_strided_float(a, b, stride, d)
    else:
        return dot_strided_double(a, b, stride, d)


cdef void products(const Rows *X, const real *w, int64_t n, real *out) noexcept nogil:
    if real is float:
        products_float(X, w, n, out)
    else:
        products_double(X, w, n, out)


cdef int64_t keep_above(const Rows *X, const real *w, const List *list, real threshold, int32_t *kept,
                        real *products) noexcept nogil:
    if real is float:
        return keep_above_float(X, w, list, threshold, kept, products)
    else:
        return keep_above_double(X, w, list, threshold, kept, products)


cdef int64_t keep_others(const Rows *X, const real *w, const List *list, real threshold, int32_t *kept,
                         real *products) noexcept nogil:
    if real is float:
        return keep_others_float(X, w, list, threshold, kept, products)
    else:
        return keep_others_double(X, w, list, threshold, kept, products)


cdef void add_to_rows(const real *w, real factor, Py_ssize_t padded, const List *list, real *rows,
                      real *totals) noexcept nogil:
    if real is float:
        add_to_rows_float(w, factor, padded, list, rows, totals)
    else:
        add_to_rows_double(w, factor, padded, list, rows, totals)


cdef void add_rows(const Rows *rows, const List *list, real factor, real *total) noexcept nogil:
    if real is float:
        add_rows_float(rows, list, factor, total)
    else:
        add_rows_double(rows, list, factor, total)


cdef void add_outputs(const List *list, const real *products, real shift, const real *signs, Py_ssize_t n_outputs,
                      real *outputs) noexcept nogil:
    if real is float:
        add_outputs_float(list, products, shift, signs, n_outputs, outputs)
    else:
        add_outputs_double(list, products, shift, signs, n_outputs, outputs)


cdef inline void keep_above_two(const Rows *X, const real **w, const List *lists, real threshold, int32_t **kept,
                                real **products, int64_t *held) noexcept nogil:
    if real is float:
        keep_above_two_float(X, w, lists, threshold, kept, products, held)
    else:
        keep_above_two_double(X, w, lists, threshold, kept, products, held)


cdef inline void sum_gradients(const Rows *X, int n, const List *lists, const real *residuals, const real **signs,
                               Py_ssize_t n_outputs, real **gradient) noexcept nogil:
    if real is float:
        sum_gradients_float(X, n, lists, residuals, signs, n_outputs, gradient)
    else:
        sum_gradients_double(X, n, lists, residuals, signs, n_outputs, gradient)


cdef void sum_gradient(const Rows *X, const List *list, const real *residuals, const real *signs, Py_ssize_t n_outputs,
                       real *gradient) noexcept nogil:
    sum_gradients(X, 1, list, residuals, &signs, n_outputs, &gradient)


# -- from named tuples to structs ----------------------------------------------------------------


cdef Pattern as_pattern(lists):
    cdef const int64_t[::1] rows = lists[0], starts = lists[1], counts = lists[2]
    cdef const int32_t[::1] items = lists[3]
    cdef Pattern pattern
    pattern.n_rows, pattern.n_items = rows.shape[0], items.shape[0]
    pattern.rows = &rows[0] if rows.shape[0] else NULL
    pattern.starts = &starts[0] if starts.shape[0] else NULL
    pattern.counts = &counts[0] if counts.shape[0] else NULL
    pattern.items = &items[0] if items.shape[0] else NULL
    return pattern


cdef Step as_step(step):
    cdef Step taken
    taken.scale, taken.learning_rate, taken.momentum, taken.nesterov, taken.ridge = step
    return taken


cdef double listed(const Pattern *pattern) noexcept nogil:
    cdef int64_t total = 0
    cdef Py_ssize_t k
    for k in range(pattern.n_rows):
        total += pattern.counts[k]
    return <double>total


# -- who fires ----------------------------------------------------------------------------------


def room_for(const int64_t[::1] counts):
    """Return the entries that firing pairs of so many candidates may take: kernels write LANES past a block's last."""
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


def firing_of_candidates(const real[:, ::1] X, const real[:, ::1] W, candidates, double threshold, int32_t[::1] samples,
                         real[::1] products):
    """Keep, of each neuron's candidate samples, those on which it fires: <W[r], X[i]> > threshold.

    Firing samples and their inner products are written to `samples` and `products`,
    which need room_for(counts) entries; returns where each neuron's begin and how many
    it has.  X and W are padded to a multiple of eight columns.
    """
    cdef Pattern lists = as_pattern(candidates)
    cdef Rows rows
    cdef Py_ssize_t k, block, n_blocks = MOST_BLOCKS
    cdef int64_t[::1] bounds = np.arange(n_blocks + 1, dtype=np.int64) * lists.n_rows // n_blocks
    cdef int64_t[::1] places = places_of(candidates[2], bounds)
    cdef List one
    starts, fired = np.zeros(lists.n_rows, dtype=np.int64), np.zeros(lists.n_rows, dtype=np.int64)
    cdef int64_t[::1] starts_view = starts, fired_view = fired
    if lists.n_items == 0 or X.shape[0] == 0:  # lists may have room for samples that there are not
        return starts, fired
    rows.data, rows.padded = &X[0, 0], X.shape[1]
    for block in prange(n_blocks, schedule="dynamic", nogil=True, num_threads=threads_for(listed(&lists) * rows.padded)):
        for k in range(bounds[block], bounds[block + 1]):
            one = list_of(&lists, k)
            starts_view[k] = places[block]
            fired_view[k] = keep_above(&rows, &W[lists.rows[k], 0], &one, <real>threshold, &samples[0] + places[block],
                                       &products[0] + places[block])
            places[block] += fired_view[k]
    return starts, fired


# -- outputs ------------------------------------------------------------------------------------


# What the blocks of a forward pass share.  Firing samples of a block are stored without gaps from its place on, and
# its outputs go to its own row of `entries` numbers.
cdef struct Forward:
    Rows X
    const void *W
    Pattern candidates
    double threshold
    double shift
    const void *signs
    Py_ssize_t n_outputs
    Py_ssize_t entries
    const int64_t *bounds
    const int64_t *places
    Py_ssize_t apart  # blocks from one of a pair to the other
    int64_t *starts
    int64_t *fired
    int32_t *samples
    void *outputs


cdef int64_t longest_list(const Forward *forward, Py_ssize_t block) noexcept nogil:
    cdef int64_t most = 0
    cdef Py_ssize_t k
    for k in range(forward.bounds[block], forward.bounds[block + 1]):
        most = max(most, forward.candidates.counts[k])
    return most


cdef int forward_blocks(const Forward *forward, Py_ssize_t block, real threshold) noexcept nogil:
    # A block of neurons and the one `apart` blocks on, neuron by neuron in step.
    cdef Py_ssize_t k, s, row, n_outputs = forward.n_outputs
    cdef int64_t most = max(longest_list(forward, block), longest_list(forward, block + forward.apart))
    cdef int64_t[2] place, held, number, end
    cdef List[2] lists
    cdef const real *w[2]
    cdef int32_t *kept[2]
    cdef real *products[2]
    cdef real *outputs[2]
    products[0] = <real *>malloc(2 * (most + LANES) * sizeof(real))
    if products[0] == NULL:
        return -1
    products[1] = products[0] + most + LANES
    for s in range(2):
        row = block + s * forward.apart
        place[s], number[s], end[s] = forward.places[row], forward.bounds[row], forward.bounds[row + 1]
        outputs[s] = <real *>forward.outputs + row * forward.entries
        memset(outputs[s], 0, forward.entries * sizeof(real))
    while number[0] < end[0] or number[1] < end[1]:
        for s in range(2):
            k = number[s]
            lists[s].count = 0
            if k < end[s]:
                lists[s] = list_of(&forward.candidates, k)
                w[s] = <const real *>forward.W + forward.candidates.rows[k] * forward.X.padded
            kept[s] = forward.samples + place[s]
        held[0] = held[1] = 0
        if lists[0].count or lists[1].count:
            keep_above_two(&forward.X, w, lists, threshold, kept, products, held)
        for s in range(2):
            k = number[s]
            if k < end[s]:
                forward.starts[k], forward.fired[k] = place[s], held[s]
                lists[s].items, lists[s].count = kept[s], held[s]
                add_outputs(&lists[s], products[s], <real>forward.shift,
                            <const real *>forward.signs + forward.candidates.rows[k] * n_outputs, n_outputs, outputs[s])
                place[s] += held[s]
            number[s] += 1
    free(products[0])
    return 0


def forward_of_candidates(const real[:, ::1] X, candidates, network, int32_t[::1] samples):
    """Find who fires among the candidates, and the outputs, in one pass; return (starts, fired, outputs).

    The same bits as `firing_of_candidates` and `add_firing_outputs`, without storing products.  `network` has
    weights, signs, shift, threshold and scale.  Neurons half the width apart, which paired initialisation gave equal
    weights, are evaluated together.
    """
    cdef const real[:, ::1] W = network.weights, signs = network.signs
    cdef Py_ssize_t n_outputs = signs.shape[1], entries = X.shape[0] * n_outputs
    cdef Py_ssize_t n_blocks = output_blocks(entries), block
    cdef Forward forward
    cdef double scale = network.scale
    cdef int failed = 0
    forward.candidates = as_pattern(candidates)
    cdef int64_t[::1] bounds = block_bounds(candidates[0], signs.shape[0], n_blocks)
    cdef int64_t[::1] places = places_of(candidates[2], bounds)
    dtype = np.asarray(signs).dtype
    cdef real[:, ::1] partial = np.empty((n_blocks, max(entries, 1)), dtype=dtype)
    outputs = np.zeros((X.shape[0], n_outputs), dtype=dtype)
    cdef real[::1] outputs_view = outputs.reshape(-1)
    n_rows = forward.candidates.n_rows
    starts, fired = np.zeros(n_rows, dtype=np.int64), np.zeros(n_rows, dtype=np.int64)
    cdef int64_t[::1] starts_view = starts, fired_view = fired
    if forward.candidates.n_items == 0 or entries == 0:
        return starts, fired, outputs
    forward.X.data, forward.X.padded, forward.W, forward.signs = &X[0, 0], X.shape[1], &W[0, 0], &signs[0, 0]
    forward.threshold, forward.shift, forward.n_outputs, forward.entries = network.threshold, network.shift, n_outputs, entries
    forward.bounds, forward.places, forward.apart = &bounds[0], &places[0], n_blocks // 2
    forward.starts, forward.fired, forward.samples = &starts_view[0], &fired_view[0], &samples[0]
    forward.outputs = &partial[0, 0]
    for block in prange(n_blocks // 2, schedule="dynamic", nogil=True,
                        num_threads=threads_for(listed(&forward.candidates) * X.shape[1])):
        failed |= forward_blocks(&forward, block, <real>forward.threshold) < 0
    if failed:
        raise MemoryError("no memory for the products of a neuron")
    sum_all_blocks(partial, entries, scale, outputs_view)
    return starts, fired, outputs


cdef Py_ssize_t output_blocks(Py_ssize_t entries) noexcept nogil:
    # An even number: enough to keep threads busy, fewer where their private outputs would fill memory.
    return 2 * max(2, min(MOST_BLOCKS // 2, (1 << 23) // max(entries, 1)))


# Parts of the outputs, a row of `stride` numbers for each block of neurons.
cdef struct Parts:
    const void *data
    Py_ssize_t stride
    Py_ssize_t n_blocks


cdef void sum_blocks(const Parts *parts, Py_ssize_t first, Py_ssize_t last, double scale, real *outputs) noexcept nogil:
    # outputs[first:last] = scale * sums over blocks; blocks half the number apart are added first.
    cdef double total[CHUNK]
    cdef Py_ssize_t block, e, half = parts.n_blocks // 2
    cdef const real *one
    cdef const real *other
    for e in range(last - first):
        total[e] = 0
    for block in range(half):
        one = <const real *>parts.data + block * parts.stride + first
        other = one + half * parts.stride
        for e in range(last - first):
            total[e] += <double>one[e] + <double>other[e]
    for e in range(last - first):
        outputs[first + e] = <real>(scale * total[e])


cdef object block_bounds(rows, Py_ssize_t width, Py_ssize_t n_blocks):
    # Blocks of consecutive neurons, whichever of them the lists hold.  Block k of the second half has the partners of
    # those of block k; of an odd width the last neuron of the first half has none.
    cdef Py_ssize_t half = (width + 1) // 2, pairs = n_blocks // 2
    first = np.arange(pairs) * half // pairs
    bounds = np.concatenate([first, half + np.minimum(first, width - half), [width]])
    return np.searchsorted(rows, bounds).astype(np.int64)


cdef void sum_all_blocks(const real[:, ::1] partial, Py_ssize_t entries, double scale, real[::1] outputs):
    cdef Parts parts
    cdef Py_ssize_t part
    parts.data, parts.stride, parts.n_blocks = &partial[0, 0], partial.shape[1], partial.shape[0]
    for part in prange((entries + CHUNK - 1) // CHUNK, schedule="static", nogil=True,
                       num_threads=threads_for(<double>entries * parts.n_blocks)):
        sum_blocks(&parts, part * CHUNK, min((part + 1) * CHUNK, entries), scale, &outputs[0])


def add_firing_outputs(firing, const real[::1] products, double shift, const real[:, ::1] signs, double scale,
                       Py_ssize_t n_samples):
    """Return outputs[i, o] = scale * sum_r signs[r, o] * (<w_r, x_i> - shift) over the neurons r that fire on i.

    Neurons are summed in blocks of consecutive numbers, so a sample's output does not
    depend on which other samples are evaluated with it; blocks half the width apart
    are added first, so that neurons of paired initialisation cancel exactly.
    """
    cdef Pattern lists = as_pattern(firing)
    cdef Py_ssize_t n_outputs = signs.shape[1], entries = n_samples * n_outputs
    cdef Py_ssize_t n_blocks = output_blocks(entries), block, k
    cdef List one
    dtype = np.asarray(signs).dtype
    cdef real[:, ::1] partial = np.zeros((n_blocks, max(entries, 1)), dtype=dtype)
    outputs = np.zeros((n_samples, n_outputs), dtype=dtype)
    cdef real[::1] outputs_view = outputs.reshape(-1)
    cdef int64_t[::1] bounds = block_bounds(firing[0], signs.shape[0], n_blocks)
    if lists.n_items == 0 or entries == 0:
        return outputs
    for block in prange(n_blocks, schedule="dynamic", nogil=True, num_threads=threads_for(2 * listed(&lists) * n_outputs)):
        for k in range(bounds[block], bounds[block + 1]):
            one = list_of(&lists, k)
            add_outputs(&one, &products[0] + lists.starts[k], <real>shift, &signs[lists.rows[k], 0], n_outputs,
                        &partial[block, 0])
    sum_all_blocks(partial, entries, scale, outputs_view)
    return outputs


# -- gradients and steps ------------------------------------------------------------------------


def firing_gradient(const real[:, ::1] X, firing, const real[:, ::1] residuals, const real[:, ::1] signs):
    """Return gradient[k, :] = sum over the samples i on which r = rows[k] fires of <signs[r], residuals[i]> x_i."""
    cdef Pattern lists = as_pattern(firing)
    cdef Rows rows
    cdef Py_ssize_t n_rows = lists.n_rows, n_outputs = signs.shape[1], k, chunk
    cdef List one
    gradient = (np.empty if lists.n_items else np.zeros)((n_rows, X.shape[1]), dtype=np.asarray(X).dtype)
    cdef real[:, ::1] gradient_view = gradient
    if lists.n_items == 0 or n_rows == 0:
        return gradient
    rows.data, rows.padded = &X[0, 0], X.shape[1]
    for chunk in prange((n_rows + CHUNK - 1) // CHUNK, schedule="dynamic", nogil=True,
                        num_threads=threads_for(listed(&lists) * rows.padded)):
        for k in range(chunk * CHUNK, min((chunk + 1) * CHUNK, n_rows)):
            one = list_of(&lists, k)
            sum_gradient(&rows, &one, &residuals[0, 0], &signs[lists.rows[k], 0], n_outputs, &gradient_view[k, 0])
    return gradient


# What the chunks of a step share.  Neurons `half` the width apart are moved in step; first_rows holds where, among
# the rows of the pattern, each chunk begins, and behind these where the neurons half the width on begin.
cdef struct Descent:
    Rows X
    void *W
    const void *anchor
    void *velocity
    Py_ssize_t width
    Py_ssize_t half
    Pattern firing
    const int64_t *first_rows
    Py_ssize_t n_chunks
    const void *residuals
    const void *signs
    Py_ssize_t n_outputs
    Step step


cdef int descend_chunk(const Descent *descent, Py_ssize_t chunk, const real *X) noexcept nogil:
    cdef real *gradient[2]
    cdef const real *sign[2]
    cdef List[2] lists
    cdef int64_t[2] k
    cdef Py_ssize_t r, number, side, padded = descent.X.padded, n_outputs = descent.n_outputs
    cdef bint moves
    gradient[0] = <real *>malloc(2 * padded * sizeof(real))
    if gradient[0] == NULL:
        return -1
    gradient[1] = gradient[0] + padded
    for side in range(2):
        k[side] = descent.first_rows[chunk + side * descent.n_chunks]
    for r in range(chunk * CHUNK, min((chunk + 1) * CHUNK, descent.half)):
        moves = moves_all(&descent.step)
        for side in range(2):
            number = r + side * descent.half
            lists[side].items, lists[side].count = descent.firing.items, 0
            sign[side] = <const real *>descent.signs
            if k[side] < descent.firing.n_rows and descent.firing.rows[k[side]] == number:
                lists[side] = list_of(&descent.firing, k[side])
                sign[side] = <const real *>descent.signs + number * n_outputs
                k[side] += 1
            moves = moves or lists[side].count > 0
        if not moves:
            continue
        sum_gradients(&descent.X, 2, lists, <const real *>descent.residuals, sign, n_outputs, gradient)
        for side in range(2):
            number = r + side * descent.half
            if number < descent.width:
                move(<real *>descent.W + number * padded, <const real *>descent.anchor + number * padded,
                     <real *>descent.velocity + number * padded, gradient[side], padded, &descent.step)
    free(gradient[0])
    return 0


def descend_firing(real[:, ::1] W, const real[:, ::1] anchor, real[:, ::1] velocity, const real[:, ::1] X, firing,
                   const real[:, ::1] residuals, const real[:, ::1] signs, step):
    """Take one step of gradient descent with momentum, over firing pairs: that of `Step`, with firing_gradient as g."""
    cdef Py_ssize_t chunk
    cdef Descent descent
    cdef int failed = 0
    if X.shape[0] == 0 or W.shape[0] == 0:
        return
    descent.firing, descent.step = as_pattern(firing), as_step(step)
    descent.X.data, descent.X.padded = &X[0, 0], X.shape[1]
    descent.W, descent.anchor, descent.velocity = &W[0, 0], &anchor[0, 0], &velocity[0, 0]
    descent.width, descent.half = W.shape[0], (W.shape[0] + 1) // 2
    descent.n_chunks = (descent.half + CHUNK - 1) // CHUNK
    first = np.minimum(np.arange(descent.n_chunks) * CHUNK, descent.half)
    cdef int64_t[::1] first_rows = np.searchsorted(firing[0], np.concatenate([first, first + descent.half])).astype(np.int64)
    descent.first_rows = &first_rows[0]
    descent.residuals, descent.signs, descent.n_outputs = &residuals[0, 0], &signs[0, 0], signs.shape[1]
    for chunk in prange(descent.n_chunks, schedule="dynamic", nogil=True,
                        num_threads=threads_for((listed(&descent.firing) + 4 * descent.width) * W.shape[1])):
        failed |= descend_chunk(&descent, chunk, &X[0, 0]) < 0
    if failed:
        raise MemoryError("no memory for the gradient of a neuron")
