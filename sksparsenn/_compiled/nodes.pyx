"""Nodes of a sample tree taken as wholes: lists of nodes, sums over nodes, and passes over the samples beside them.

A sample tree has `n_leaves` leaves, a power of two, each of `leaf_size` consecutive samples.  Node 1 is the root,
nodes 2k and 2k + 1 are the halves of node k, leaf l is node n_leaves + l; row 0 of an array over nodes is unused.

Besides nodes, a neuron has singles, samples outside its nodes on which it fires with <w_r, x_i> > threshold, and
exceptions, samples of its nodes on which it does not.  Both are evaluated by the one inner product, and those kept
are stored in that order.
"""
import numpy as np

from cython.parallel cimport prange
from libc.stdint cimport int32_t, int64_t, uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from sksparsenn._compiled.kernels cimport (
    List,
    Pattern,
    Rows,
    Step,
    add_outputs,
    add_rows,
    add_to_rows,
    as_pattern,
    as_step,
    block_bounds,
    keep_above,
    keep_others,
    list_of,
    move,
    moves_all,
    output_blocks,
    places_of,
    products,
    real,
    sum_all_blocks,
    sum_gradient,
)
from sksparsenn._utils.threads cimport threads_for

cdef extern from "simd/lanes.h" nogil:
    enum:
        LANES
    const uint32_t LEAF
    const uint32_t EXCEPTION

cdef enum:
    BLOCKS = 8  # blocks of neurons whose weights are summed apart, so that sums do not depend on the number of threads
    CHUNK = 64  # lists, leaves or neurons handed to a thread at a time


# ---------------------------------------------------------------------------------------
# Lists
# ---------------------------------------------------------------------------------------

# What becomes of a list: its singles, then its exceptions, then its nodes, and how many samples these hold.
cdef struct Split:
    int64_t singles
    int64_t exceptions
    int64_t nodes
    int64_t held


cdef int64_t add_nodes(int64_t first, int64_t last, int64_t n_leaves, int32_t *nodes) noexcept nogil:
    # The largest nodes that make up the leaves first to last; returns how many.
    cdef int64_t size, count = 0
    while first < last:
        size = first & -first if first else n_leaves
        while first + size > last:
            size >>= 1
        nodes[count] = <int32_t>((n_leaves + first) // size)
        count += 1
        first += size
    return count


cdef int split_list(int32_t *numbers, int64_t count, int64_t leaf_size, int64_t n_leaves, Split *split) noexcept nogil:
    # The list becomes its singles, its exceptions and its nodes, in this order.
    cdef int64_t p = 0, end, first, singles = 0, exceptions = 0, leaves = 0, n_nodes = 0
    cdef uint32_t number
    cdef int32_t *excepted = <int32_t *>malloc(3 * count * sizeof(int32_t))
    cdef int32_t *whole = excepted + count
    cdef int32_t *nodes = whole + count
    if excepted == NULL:
        return -1
    for p in range(count):  # without branches, which would be mispredicted
        number = <uint32_t>numbers[p]
        numbers[singles] = <int32_t>number
        excepted[exceptions] = <int32_t>(number & ~EXCEPTION)
        whole[leaves] = <int32_t>(number & ~LEAF)
        leaves += (number & LEAF) != 0
        exceptions += (number & EXCEPTION) != 0
        singles += (number & (LEAF | EXCEPTION)) == 0
    p = 0
    while p < leaves:
        end = p + 1
        while end < leaves and whole[end] == whole[p] + (end - p) * leaf_size:  # the next leaf
            end += 1
        first = whole[p] // leaf_size
        n_nodes += add_nodes(first, first + end - p, n_leaves, nodes + n_nodes)
        p = end
    memcpy(numbers + singles, excepted, exceptions * sizeof(int32_t))
    memcpy(numbers + singles + exceptions, nodes, n_nodes * sizeof(int32_t))
    free(excepted)
    split.singles, split.exceptions, split.nodes, split.held = singles, exceptions, n_nodes, leaves * leaf_size
    return 0


def split_leaves(const int64_t[::1] indptr, int32_t[::1] numbers, int64_t leaf_size, int64_t n_leaves):
    """Split lists of samples and leaves, as `points_beyond` makes them: (singles, exceptions, nodes, held).

    Returns the counts of singles, exceptions and nodes of each list, which then stand in this order in `numbers`,
    from its beginning on, and how many samples its nodes hold.  The nodes are the largest that make up its leaves.
    """
    cdef Py_ssize_t n_lists = indptr.shape[0] - 1, k
    counts = np.zeros((n_lists, 4), dtype=np.int64)
    cdef int64_t[:, ::1] out = counts
    cdef double operations = 4.0 * numbers.shape[0]
    cdef int failed = 0
    if numbers.shape[0]:
        for k in prange(n_lists, schedule="dynamic", chunksize=CHUNK, nogil=True, num_threads=threads_for(operations)):
            if indptr[k + 1] > indptr[k]:
                failed |= split_list(&numbers[0] + indptr[k], indptr[k + 1] - indptr[k], leaf_size, n_leaves,
                                     <Split *>&out[k, 0]) < 0
    if failed:
        raise MemoryError("no memory to split margin lists")
    return tuple(np.ascontiguousarray(counts.T))


# ---------------------------------------------------------------------------------------
# Sums
# ---------------------------------------------------------------------------------------

cdef void sum_block(const Rows *W, const real *signs, const Pattern *nodes, Py_ssize_t first, Py_ssize_t last,
                    Py_ssize_t n_nodes, real *sums, real *ones) noexcept nogil:
    cdef Py_ssize_t r, padded = W.padded
    cdef List mine
    memset(sums, 0, n_nodes * padded * sizeof(real))
    memset(ones, 0, n_nodes * sizeof(real))
    for r in range(first, last):
        if nodes.counts[r]:
            mine = list_of(nodes, r)
            add_to_rows(<const real *>W.data + r * padded, signs[r], padded, &mine, sums, ones)


cdef void join_blocks(const real *parts, Py_ssize_t size, Py_ssize_t first, Py_ssize_t last,
                      real *total) noexcept nogil:
    # Blocks half their number apart are added first, so that neurons of paired initialisation cancel exactly.
    cdef Py_ssize_t block, j
    for j in range(first, last):
        total[j] = 0
    for block in range(BLOCKS // 2):
        for j in range(first, last):
            total[j] += parts[block * size + j] + parts[(block + BLOCKS // 2) * size + j]


def sums_of_weights(const real[:, ::1] W, const real[:, ::1] signs, lists_of_nodes, Py_ssize_t n_nodes):
    """Return for each node, over the neurons that list it, the sum of signs[r] * w_r, and that of signs[r]."""
    cdef Py_ssize_t m = W.shape[0], padded = W.shape[1], half = (m + 1) // 2, pairs = BLOCKS // 2, block, side, part
    cdef Py_ssize_t size = n_nodes * padded, n_parts = (n_nodes + CHUNK - 1) // CHUNK
    dtype = np.asarray(W).dtype
    cdef real[::1] sums = np.empty(BLOCKS * size, dtype=dtype), ones = np.empty(BLOCKS * n_nodes, dtype=dtype)
    weights, numbers = np.empty((n_nodes, padded), dtype=dtype), np.empty(n_nodes, dtype=dtype)
    cdef real[:, ::1] weights_view = weights
    cdef real[::1] numbers_view = numbers
    cdef Pattern nodes = as_pattern(lists_of_nodes)
    cdef Rows rows
    cdef double n_named = lists_of_nodes.counts.sum()
    cdef int threads = threads_for((n_named + BLOCKS * n_nodes) * padded)
    rows.data, rows.padded = &W[0, 0], padded
    for block in prange(BLOCKS, schedule="dynamic", nogil=True, num_threads=threads):
        side = block // pairs * half
        sum_block(&rows, &signs[0, 0], &nodes, side + block % pairs * half // pairs,
                  min(side + (block % pairs + 1) * half // pairs, m), n_nodes, &sums[block * size],
                  &ones[block * n_nodes])
    for part in prange(n_parts, schedule="static", nogil=True, num_threads=threads):
        join_blocks(&sums[0], size, part * CHUNK * padded, min((part + 1) * CHUNK, n_nodes) * padded,
                    &weights_view[0, 0])
        join_blocks(&ones[0], n_nodes, part * CHUNK, min((part + 1) * CHUNK, n_nodes), &numbers_view[0])
    return weights, numbers


cdef void push_down(real *sums, Py_ssize_t n_nodes, Py_ssize_t columns) noexcept nogil:
    # The sums at a node and at all nodes above it are added up at its leaves.
    cdef Py_ssize_t k, j
    for k in range(2, n_nodes):
        for j in range(columns):
            sums[k * columns + j] += sums[k // 2 * columns + j]


cdef void add_leaf_outputs(const real *X, Py_ssize_t padded, const real *weights, real number, Py_ssize_t n, real shift,
                           real scale, real *outputs) noexcept nogil:
    cdef real[CHUNK] part
    cdef Py_ssize_t chunk, first, i
    cdef Rows rows
    rows.padded = padded
    for chunk in range((n + CHUNK - 1) // CHUNK):
        first = chunk * CHUNK
        rows.data = X + first * padded
        products(&rows, weights, min(CHUNK, n - first), part)
        for i in range(min(CHUNK, n - first)):
            outputs[first + i] += scale * (part[i] - shift * number)


def add_node_outputs(const real[:, ::1] X, real[:, ::1] weights, real[::1] numbers, Py_ssize_t leaf_size, double shift,
                     double scale, real[:, ::1] outputs):
    """Add to outputs[i] scale * sum_r signs[r] (<w_r, x_i> - shift) over the neurons r with a node that holds i.

    Takes the sums of weights and of signs at the nodes, and leaves sums over all nodes above.
    """
    cdef Py_ssize_t n = X.shape[0], padded = X.shape[1], n_nodes = weights.shape[0], n_leaves = n_nodes // 2, leaf
    cdef Py_ssize_t n_used = (n + leaf_size - 1) // leaf_size
    if n == 0:
        return
    push_down(&weights[0, 0], n_nodes, padded)
    push_down(&numbers[0], n_nodes, 1)
    for leaf in prange(n_used, schedule="static", nogil=True, num_threads=threads_for(<double>n * padded)):
        add_leaf_outputs(&X[leaf * leaf_size, 0], padded, &weights[n_leaves + leaf, 0], numbers[n_leaves + leaf],
                         min(leaf_size, n - leaf * leaf_size), <real>shift, <real>scale, &outputs[leaf * leaf_size, 0])


cdef void sum_leaf(const real *X, Py_ssize_t padded, const real *factors, Py_ssize_t n, real *total) noexcept nogil:
    cdef Py_ssize_t i, j
    for j in range(padded):
        total[j] = 0
    for i in range(n):
        for j in range(padded):
            total[j] += factors[i] * X[i * padded + j]


def sums_over_nodes(const real[:, ::1] X, const real[:, ::1] factors, Py_ssize_t leaf_size, Py_ssize_t n_leaves):
    """Return in row k the sum of factors[i] * x_i over the samples i of node k."""
    cdef Py_ssize_t n = X.shape[0], padded = X.shape[1], n_used = (n + leaf_size - 1) // leaf_size, leaf, k, j
    total = np.zeros((2 * n_leaves, padded), dtype=np.asarray(X).dtype)
    cdef real[:, ::1] out = total
    for leaf in prange(n_used, schedule="static", nogil=True, num_threads=threads_for(<double>n * padded)):
        sum_leaf(&X[leaf * leaf_size, 0], padded, &factors[leaf * leaf_size, 0], min(leaf_size, n - leaf * leaf_size),
                 &out[n_leaves + leaf, 0])
    with nogil:
        for k in range(n_leaves - 1, 0, -1):
            for j in range(padded):
                out[k, j] = out[2 * k, j] + out[2 * k + 1, j]
    return total


def gradient_of_nodes(const real[:, ::1] node_sums, lists_of_nodes, const real[:, ::1] signs, real[:, ::1] gradient):
    """Add to gradient[r] signs[r] times the sum of the rows of `node_sums` on the list of r."""
    cdef Py_ssize_t m = gradient.shape[0], padded = gradient.shape[1], r
    cdef Pattern nodes = as_pattern(lists_of_nodes)
    cdef Rows sums
    cdef List mine
    cdef double n_named = lists_of_nodes.counts.sum()
    sums.data, sums.padded = &node_sums[0, 0], padded
    for r in prange(m, schedule="dynamic", chunksize=CHUNK, nogil=True, num_threads=threads_for(n_named * padded)):
        if nodes.counts[r]:
            mine = list_of(&nodes, r)
            add_rows(&sums, &mine, signs[r, 0], &gradient[r, 0])


def neurons_in_nodes(lists_of_nodes, Py_ssize_t leaf_size, Py_ssize_t n_leaves, Py_ssize_t n_samples):
    """Return for each sample how many lists have a node that holds it."""
    cdef Pattern nodes = as_pattern(lists_of_nodes)
    cdef Py_ssize_t k
    cdef int64_t p
    numbers = np.zeros(2 * n_leaves, dtype=np.int64)
    cdef int64_t[::1] out = numbers
    with nogil:
        for k in range(nodes.n_rows):
            for p in range(nodes.starts[k], nodes.starts[k] + nodes.counts[k]):
                out[nodes.items[p]] += 1
        for k in range(2, 2 * n_leaves):
            out[k] += out[k // 2]
    return np.repeat(numbers[n_leaves:], leaf_size)[:n_samples]


# ---------------------------------------------------------------------------------------
# Passes over singles and exceptions
# ---------------------------------------------------------------------------------------

# Of neuron r, the singles begin at items[starts[r]], and the exceptions follow.
cdef struct Beside:
    int64_t *starts
    int64_t *singles
    int64_t *exceptions
    int32_t *items

# What a forward pass reads, and where it stores what it keeps.
cdef struct Forward:
    Rows X
    Rows W
    Beside listed
    Beside kept
    double threshold
    double shift
    Py_ssize_t n_samples


cdef Beside beside(lists):
    # From (starts, singles, exceptions, items) of at least one neuron, which have to live as long as the struct.
    cdef const int64_t[::1] starts = lists[0], singles = lists[1], exceptions = lists[2]
    cdef const int32_t[::1] items = lists[3]
    cdef Beside these
    these.starts, these.singles = <int64_t *>&starts[0], <int64_t *>&singles[0]
    these.exceptions = <int64_t *>&exceptions[0]
    these.items = <int32_t *>&items[0] if items.shape[0] else NULL
    return these


cdef int64_t keep_singles(const Forward *forward, int64_t r, const real *sign, int64_t place, real *products_,
                          real *outputs) noexcept nogil:
    # Keep the singles on which neuron r fires, from `place` on, and add them to the outputs; returns how many.
    cdef List singles, kept
    singles.items, singles.count = forward.listed.items + forward.listed.starts[r], forward.listed.singles[r]
    kept.items = forward.kept.items + place
    kept.count = keep_above(&forward.X, <const real *>forward.W.data + r * forward.W.padded, &singles,
                            <real>forward.threshold, forward.kept.items + place, products_)
    add_outputs(&kept, products_, <real>forward.shift, sign, 1, outputs)
    return kept.count


cdef int64_t keep_exceptions(const Forward *forward, int64_t r, const real *sign, int64_t place, real *products_,
                             real *outputs) noexcept nogil:
    # Keep the exceptions on which neuron r does not fire, and take them off the outputs; returns how many.
    cdef List exceptions, kept
    cdef real opposite = -sign[0]
    exceptions.items = forward.listed.items + forward.listed.starts[r] + forward.listed.singles[r]
    exceptions.count, kept.items = forward.listed.exceptions[r], forward.kept.items + place
    kept.count = keep_others(&forward.X, <const real *>forward.W.data + r * forward.W.padded, &exceptions,
                             <real>forward.threshold, forward.kept.items + place, products_)
    add_outputs(&kept, products_, <real>forward.shift, &opposite, 1, outputs)
    return kept.count


cdef int forward_block(const Forward *forward, const real *signs, int64_t first, int64_t last, int64_t place,
                       real *outputs) noexcept nogil:
    # Neurons first to last: what is kept goes to `place` and on, and their sums to the outputs.
    cdef int64_t r, most = 0
    cdef real *products_
    for r in range(first, last):
        most = max(most, max(forward.listed.singles[r], forward.listed.exceptions[r]))
    products_ = <real *>malloc((most + LANES) * sizeof(real))
    if products_ == NULL:
        return -1
    memset(outputs, 0, forward.n_samples * sizeof(real))
    for r in range(first, last):
        forward.kept.starts[r] = place
        if forward.listed.singles[r]:
            forward.kept.singles[r] = keep_singles(forward, r, signs + r, place, products_, outputs)
            place += forward.kept.singles[r]
        if forward.listed.exceptions[r]:
            forward.kept.exceptions[r] = keep_exceptions(forward, r, signs + r, place, products_, outputs)
            place += forward.kept.exceptions[r]
    free(products_)
    return 0


def forward_beside_nodes(const real[:, ::1] X, lists, n_exceptions, network, samples):
    """Return what is kept of each neuron's singles and exceptions, and what it adds to the one output.

    A neuron's exceptions are the last of its list.  Returns (starts, singles, exceptions, outputs).  What is kept is
    written to `samples`, which needs room for as many as are listed, and some, as `room_for` says.  The outputs are
    scale * signs[r] * (<w_r, x_i> - shift), summed over the singles kept, less that over the exceptions kept.
    """
    cdef Py_ssize_t n = X.shape[0], padded = X.shape[1], n_blocks = output_blocks(n), block
    cdef const real[:, ::1] W = network.weights, signs = network.signs
    cdef Py_ssize_t m = W.shape[0]
    cdef int64_t[::1] bounds = block_bounds(np.arange(m), m, n_blocks)
    cdef int64_t[::1] places = places_of(lists.counts, bounds)
    dtype = np.asarray(X).dtype
    cdef real[:, ::1] partial = np.empty((n_blocks, max(n, 1)), dtype=dtype)
    outputs = np.zeros((n, 1), dtype=dtype)
    cdef real[::1] outputs_view = outputs.reshape(-1)
    starts, singles, exceptions = (np.zeros(m, dtype=np.int64) for _ in range(3))
    cdef Forward forward
    cdef double n_listed = lists.counts.sum()
    cdef int failed = 0
    if n_listed == 0 or n == 0:
        return starts, singles, exceptions, outputs
    n_singles = lists.counts - n_exceptions
    forward.X.data, forward.X.padded, forward.W.data, forward.W.padded = &X[0, 0], padded, &W[0, 0], padded
    forward.listed = beside((lists.starts, n_singles, n_exceptions, lists.samples))
    forward.kept = beside((starts, singles, exceptions, samples))
    forward.threshold, forward.shift, forward.n_samples = network.threshold, network.shift, n
    for block in prange(n_blocks, schedule="dynamic", nogil=True, num_threads=threads_for(n_listed * padded)):
        failed |= forward_block(&forward, &signs[0, 0], bounds[block], bounds[block + 1], places[block],
                                &partial[block, 0]) < 0
    if failed:
        raise MemoryError("no memory for the products of a neuron")
    sum_all_blocks(partial, n, <double>network.scale, outputs_view)
    return starts, singles, exceptions, outputs


# What the chunks of a step share.
cdef struct Descent:
    Rows X
    Rows node_sums
    Beside kept
    Pattern nodes
    const void *residuals
    const void *signs
    Step step


cdef void gradient_of(const Descent *descent, int64_t r, real *gradient, real *part) noexcept nogil:
    # For neuron r, its sign times the sum of residuals[i] x_i over its singles and the samples of its nodes, less that
    # over its exceptions.
    cdef const real *residuals = <const real *>descent.residuals
    cdef const real *sign = <const real *>descent.signs + r
    cdef Py_ssize_t j
    cdef List mine
    mine.items, mine.count = descent.kept.items + descent.kept.starts[r], descent.kept.singles[r]
    sum_gradient(&descent.X, &mine, residuals, sign, 1, gradient)
    if descent.nodes.counts[r]:
        mine = list_of(&descent.nodes, r)
        add_rows(&descent.node_sums, &mine, sign[0], gradient)
    if descent.kept.exceptions[r]:
        mine.items = descent.kept.items + descent.kept.starts[r] + descent.kept.singles[r]
        mine.count = descent.kept.exceptions[r]
        sum_gradient(&descent.X, &mine, residuals, sign, 1, part)
        for j in range(descent.X.padded):
            gradient[j] -= part[j]


cdef int descend_chunk(const Descent *descent, real *W, const real *anchor, real *velocity, int64_t first,
                       int64_t last) noexcept nogil:
    cdef int64_t r
    cdef Py_ssize_t padded = descent.X.padded
    cdef real *gradient = <real *>malloc(2 * padded * sizeof(real))
    if gradient == NULL:
        return -1
    for r in range(first, last):
        if moves_all(&descent.step) or descent.kept.singles[r] or descent.nodes.counts[r]:
            gradient_of(descent, r, gradient, gradient + padded)
            move(W + r * padded, anchor + r * padded, velocity + r * padded, gradient, padded, &descent.step)
    free(gradient)
    return 0


def descend_beside_nodes(real[:, ::1] W, const real[:, ::1] anchor, real[:, ::1] velocity, firing,
                         const real[:, ::1] node_sums, const real[:, ::1] residuals, const real[:, ::1] signs, step):
    """Take one step of gradient descent with momentum, as `kernels.descend_firing` does, over a `NodeFiring`.

    Its nodes count by their rows of `node_sums`; residuals are in the order of its tree.
    """
    cdef const real[:, ::1] X = firing.tree.rows
    cdef Py_ssize_t m = W.shape[0], n_chunks = (m + CHUNK - 1) // CHUNK, chunk
    cdef double n_terms = firing.n_kept.sum() + firing.nodes.counts.sum() + 4 * m
    cdef Descent descent
    cdef int failed = 0
    if X.shape[0] == 0 or m == 0:
        return
    descent.X.data, descent.X.padded = &X[0, 0], X.shape[1]
    descent.node_sums.data, descent.node_sums.padded = &node_sums[0, 0], X.shape[1]
    singles, exceptions = firing.singles, firing.exceptions
    descent.kept = beside((singles.starts, singles.counts, exceptions.counts, singles.samples))
    descent.nodes, descent.step = as_pattern(firing.nodes), as_step(step)
    descent.residuals, descent.signs = &residuals[0, 0], &signs[0, 0]
    for chunk in prange(n_chunks, schedule="dynamic", nogil=True, num_threads=threads_for(n_terms * W.shape[1])):
        failed |= descend_chunk(&descent, &W[0, 0], &anchor[0, 0], &velocity[0, 0], chunk * CHUNK,
                                min((chunk + 1) * CHUNK, m)) < 0
    if failed:
        raise MemoryError("no memory for the gradient of a neuron")
