"""The passes over a neuron's singles and exceptions, beside the nodes that stand for all their samples.

A neuron fires on its singles with <w_r, x_i> > threshold, and on all samples of its nodes but for the exceptions
with <w_r, x_i> <= threshold.  Singles and exceptions are evaluated by the one inner product; those kept, singles on
which the neuron fires and exceptions on which it does not, are stored in that order.
"""
import numpy as np

from cython.parallel cimport prange
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from sksparsenn._kernels cimport (
    List,
    Rows,
    Step,
    as_step,
    moves_all,
    add_outputs,
    add_rows,
    block_bounds,
    keep_above,
    keep_others,
    move,
    output_blocks,
    places_of,
    real,
    sum_all_blocks,
    sum_gradient,
)

cdef extern from "simd/lanes.h" nogil:
    enum:
        LANES

cdef enum:
    CHUNK = 64  # neurons handed to a thread at a time
    WORTH_THREADS = 1 << 16  # pairs below which starting threads costs more than it saves


cdef int forward_block(const real *X, Py_ssize_t padded, const real *W, int64_t first, int64_t last,
                       const int64_t[::1] starts, const int64_t[::1] singles, const int64_t[::1] exceptions,
                       const int32_t *candidates, real cut, int64_t place, int64_t[::1] kept_starts, int64_t[::1] kept_singles,
                       int64_t[::1] kept_exceptions, int32_t *samples, real shift, const real *signs, real *outputs,
                       Py_ssize_t n_samples) noexcept nogil:
    cdef int64_t r, most = 0
    cdef const int32_t *listed
    cdef const real *w
    cdef real opposite
    cdef real *products
    cdef Rows rows
    cdef List one
    rows.data, rows.padded = X, padded
    for r in range(first, last):
        most = max(most, max(singles[r], exceptions[r]))
    products = <real *>malloc((most + LANES) * sizeof(real))
    if products == NULL:
        return -1
    memset(outputs, 0, n_samples * sizeof(real))
    for r in range(first, last):
        w, listed, kept_starts[r] = W + r * padded, candidates + starts[r], place
        if singles[r]:
            one.items, one.count = listed, singles[r]
            kept_singles[r] = keep_above(&rows, w, &one, cut, samples + place, products)
            one.items, one.count = samples + place, kept_singles[r]
            add_outputs(&one, products, shift, signs + r, 1, outputs)
            place += kept_singles[r]
        if exceptions[r]:
            one.items, one.count = listed + singles[r], exceptions[r]
            kept_exceptions[r] = keep_others(&rows, w, &one, cut, samples + place, products)
            opposite = -signs[r]
            one.items, one.count = samples + place, kept_exceptions[r]
            add_outputs(&one, products, shift, &opposite, 1, outputs)
            place += kept_exceptions[r]
    free(products)
    return 0


def forward_beside_nodes(const real[:, ::1] X, const real[:, ::1] W, const int64_t[::1] starts, const int64_t[::1] singles,
                         const int64_t[::1] exceptions, const int32_t[::1] candidates, double threshold, int32_t[::1] samples,
                         double shift, const real[:, ::1] signs, double scale):
    """What is kept of each neuron's singles and exceptions, and what it adds to the one output.

    The candidates of neuron r begin at starts[r], its exceptions behind its singles.  Returns (starts, singles,
    exceptions, outputs).  What is kept is written to `samples`, which needs room for as many as there are
    candidates, and some, as `room_for` says.  The outputs are scale * signs[r] * (<w_r, x_i> - shift), summed
    over the singles kept, less that over the exceptions kept.
    """
    cdef Py_ssize_t m = W.shape[0], n = X.shape[0], padded = X.shape[1], n_blocks = output_blocks(n), block
    cdef int64_t[::1] bounds = block_bounds(np.arange(m), m, n_blocks)
    cdef int64_t[::1] places = places_of(np.add(singles, exceptions), bounds)
    dtype = np.asarray(signs).dtype
    cdef real[:, ::1] partial = np.empty((n_blocks, max(n, 1)), dtype=dtype)
    outputs = np.zeros((n, 1), dtype=dtype)
    cdef real[::1] outputs_view = outputs.reshape(-1)
    kept_starts, kept_singles, kept_exceptions = (np.zeros(m, dtype=np.int64) for _ in range(3))
    cdef int64_t[::1] starts_ = kept_starts, singles_ = kept_singles, exceptions_ = kept_exceptions
    cdef int failed = 0
    if candidates.shape[0] == 0 or n == 0:
        return kept_starts, kept_singles, kept_exceptions, outputs
    for block in prange(n_blocks, schedule="dynamic", nogil=True, use_threads_if=candidates.shape[0] > WORTH_THREADS):
        failed |= forward_block(&X[0, 0], padded, &W[0, 0], bounds[block], bounds[block + 1], starts, singles, exceptions,
                                &candidates[0], <real>threshold, places[block], starts_, singles_, exceptions_, &samples[0],
                                <real>shift, &signs[0, 0], &partial[block, 0], n) < 0
    if failed:
        raise MemoryError("no memory for the products of a neuron")
    sum_all_blocks(partial, n, scale, outputs_view)
    return kept_starts, kept_singles, kept_exceptions, outputs


cdef void gradient_of(const real *X, Py_ssize_t padded, const int32_t *samples, int64_t singles, int64_t exceptions,
                      const real *residuals, real sign, const real *node_sums, const int32_t *nodes, int64_t n_nodes,
                      real *gradient, real *part) noexcept nogil:
    # sign times the sum of residuals[i] x_i over the singles and the samples of the nodes, less that over the exceptions.
    cdef Py_ssize_t j
    cdef Rows rows
    cdef List one
    rows.data, rows.padded, one.items, one.count = X, padded, samples, singles
    sum_gradient(&rows, &one, residuals, &sign, 1, gradient)
    if n_nodes:
        rows.data, one.items, one.count = node_sums, nodes, n_nodes
        add_rows(&rows, &one, sign, gradient)
    if exceptions:
        rows.data, one.items, one.count = X, samples + singles, exceptions
        sum_gradient(&rows, &one, residuals, &sign, 1, part)
        for j in range(padded):
            gradient[j] -= part[j]


cdef int descend_chunk(real *W, const real *anchor, real *velocity, const real *X, Py_ssize_t padded, int64_t first,
                       int64_t last, const int64_t[::1] starts, const int64_t[::1] singles,
                       const int64_t[::1] exceptions, const int32_t *samples, const real *residuals, const real *signs,
                       const Step *step, const int64_t[::1] node_starts,
                       const int64_t[::1] node_counts, const int32_t *nodes, const real *node_sums) noexcept nogil:
    cdef int64_t r
    cdef bint all_move = moves_all(step)
    cdef real *gradient = <real *>malloc(2 * padded * sizeof(real))
    if gradient == NULL:
        return -1
    for r in range(first, last):
        if all_move or singles[r] or node_counts[r]:
            gradient_of(X, padded, samples + starts[r], singles[r], exceptions[r], residuals, signs[r], node_sums,
                        nodes + node_starts[r], node_counts[r], gradient, gradient + padded)
            move(W + r * padded, anchor + r * padded, velocity + r * padded, gradient, padded, step)
    free(gradient)
    return 0


def descend_beside_nodes(real[:, ::1] W, const real[:, ::1] anchor, real[:, ::1] velocity, const real[:, ::1] X,
                         const int64_t[::1] starts, const int64_t[::1] singles, const int64_t[::1] exceptions,
                         const int32_t[::1] samples, const int64_t[::1] node_starts,
                         const int64_t[::1] node_counts, const int32_t[::1] nodes, const real[:, ::1] node_sums,
                         const real[:, ::1] residuals, const real[:, ::1] signs, step):
    """One step of gradient descent with momentum, as `_kernels.descend_firing` takes it, for one output.

    What `forward_beside_nodes` kept counts, and the nodes by their rows of `node_sums`.
    """
    cdef Py_ssize_t m = W.shape[0], padded = W.shape[1], chunk
    cdef Step taken = as_step(step)
    cdef const int32_t *samples_ = &samples[0] if samples.shape[0] else NULL
    cdef const int32_t *nodes_ = &nodes[0] if nodes.shape[0] else NULL
    cdef int failed = 0
    if X.shape[0] == 0 or m == 0:
        return
    for chunk in prange((m + CHUNK - 1) // CHUNK, schedule="dynamic", nogil=True, use_threads_if=samples.shape[0] > WORTH_THREADS):
        failed |= descend_chunk(&W[0, 0], &anchor[0, 0], &velocity[0, 0], &X[0, 0], padded, chunk * CHUNK,
                                min((chunk + 1) * CHUNK, m), starts, singles, exceptions, samples_, &residuals[0, 0],
                                &signs[0, 0], &taken, node_starts, node_counts, nodes_, &node_sums[0, 0]) < 0
    if failed:
        raise MemoryError("no memory for the gradient of a neuron")
