"""The tree of half-space reporting: points ordered by medians, nodes bounded, half-spaces answered.

Points are cut by medians into leaves of equal size.  Leaf ``l`` keeps its points in
slots ``l * leaf_size`` to ``(l + 1) * leaf_size - 1``, packed coordinate by coordinate.
Node ``i`` of level ``k`` covers leaves ``i * 8**k`` to ``(i + 1) * 8**k - 1``: the tree has
no pointers, and eight children, stored side by side, are tested as one vector.
Every node has a box and a ball around its points.  A half-space query has four cases:
the node lies outside (skip it), inside (report its slots, not looking at its
points), crosses the border as a leaf (evaluate it), or as an inner node (descend).

State is NumPy arrays only; the functions here read them and return arrays and counts.
"""
import numpy as np

from cython.parallel cimport parallel, prange
from libc.float cimport DBL_EPSILON, DBL_MIN, FLT_EPSILON, FLT_MIN
from libc.math cimport INFINITY, fabs, isfinite, pow, sqrt
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc

from sksparsenn._compiled.kernels cimport dot_strided, real
from sksparsenn._compiled.scan cimport (
    FANOUT, IntList, assemble, block_points, classify_children, euclidean_norm, free_lists, may_overflow, reserve,
    rounding, scan_leaf, tiny,
)
from sksparsenn._utils.threads cimport threads_for

cdef extern from *:
    int count_bits "__builtin_popcountll"(uint64_t bits) nogil
    int trailing_zeros "__builtin_ctzll"(uint64_t bits) nogil
    void prefetch "__builtin_prefetch"(const void *address) nogil

cdef extern from "simd/kernels.h" nogil:
    void add_ids(uint64_t *words, uint64_t *summary, const int32_t *ids, int64_t n)
    void add_chosen_ids(uint64_t *words, uint64_t *summary, const int32_t *ids, uint64_t which)
    int64_t drain_ids(uint64_t *words, uint64_t *summary, int64_t n_summary, int32_t *out)

cdef enum:
    MAX_LEVELS = 16
    MAX_STACK = FANOUT * MAX_LEVELS
    TASK = 8  # queries that one task answers
    CHUNK = 64  # leaves handed to a thread at a time


# ---------------------------------------------------------------------------------------
# Building: order the points, then bound the nodes
# ---------------------------------------------------------------------------------------

cdef void select(real *keys, int32_t *order, int64_t n, int64_t k) noexcept nogil:
    # Quickselect: afterwards keys[:k] <= keys[k:], with `order` permuted alongside.
    cdef int64_t left = 0, right = n - 1, i, j
    cdef real pivot, key
    cdef int32_t number
    while left < right:
        # The median of three spares sorted input the worst case.
        pivot = keys[(left + right) // 2]
        pivot = max(min(keys[left], keys[right]), min(max(keys[left], keys[right]), pivot))
        i, j = left, right
        while i <= j:
            while keys[i] < pivot:
                i += 1
            while keys[j] > pivot:
                j -= 1
            if i <= j:
                key = keys[i]
                keys[i] = keys[j]
                keys[j] = key
                number = order[i]
                order[i] = order[j]
                order[j] = number
                i += 1
                j -= 1
        if k <= j:
            right = j
        elif k >= i:
            left = i
        else:
            return


cdef int split_range(const real *points, Py_ssize_t d, int32_t *order, int64_t n, int64_t k) noexcept nogil:
    # Move the k points that are lowest along the direction of widest spread to the front.
    cdef int64_t i
    cdef Py_ssize_t j, widest = 0
    cdef double spread, best = -1
    cdef double *low = <double *>malloc(2 * d * sizeof(double))
    cdef double *high = low + d
    cdef real *keys = <real *>malloc(n * sizeof(real))
    cdef const real *p
    if low == NULL or keys == NULL:
        free(low)
        free(keys)
        return -1
    for j in range(d):
        low[j] = INFINITY
        high[j] = -INFINITY
    for i in range(n):
        p = points + order[i] * d
        for j in range(d):
            if p[j] < low[j]:
                low[j] = p[j]
            if p[j] > high[j]:
                high[j] = p[j]
    for j in range(d):
        spread = high[j] - low[j]
        if spread > best:
            best = spread
            widest = j
    for i in range(n):
        keys[i] = points[order[i] * d + widest]
    select(keys, order, n, k)
    free(low)
    free(keys)
    return 0


def leaf_order(const real[:, ::1] points, int64_t leaf_size):
    """Return an order of points in which every aligned run of leaf_size * 2**k of them is a cell of median splits."""
    cdef int64_t n = points.shape[0], run, start, count
    cdef Py_ssize_t d = points.shape[1], s, n_runs
    cdef int failed = 0
    order = np.arange(n, dtype=np.int32)
    cdef int32_t[::1] order_view = order
    run = leaf_size
    while run < n:
        run *= 2
    while run > leaf_size:
        n_runs = (n + run - 1) // run
        for s in prange(n_runs, schedule="dynamic", nogil=True, num_threads=threads_for(<double>n * (2 * d + 8))):
            start = s * run
            count = min(run, n - start)
            if count > run // 2:
                failed |= split_range(&points[0, 0], d, &order_view[start], count, run // 2) < 0
        run //= 2
    if failed:
        raise MemoryError("no memory to order the points of a HalfSpaceIndex")
    return order


# The sides of a box, in double precision.
cdef struct Box:
    Py_ssize_t d
    double *low
    double *high


cdef void empty_box(Box *box) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(box.d):
        box.low[j] = INFINITY
        box.high[j] = -INFINITY


cdef void store_bounds(real *node, Py_ssize_t child, const Box *box, double radius) noexcept nogil:
    # Child `child` of a node gets this box and a ball around its centre; an empty box is never entered.
    cdef Py_ssize_t d = box.d, j
    cdef double centre, half, error = 4 * (FLT_EPSILON if real is float else DBL_EPSILON), largest = 0, total = 0, ratio
    # Radii that cannot be squared or stored with full precision are rounded up to this: there the box decides.
    cdef double smallest_radius = 1e-30 if real is float else 1e-140
    if not box.low[0] <= box.high[0]:
        for j in range(d):
            node[j * FANOUT + child] = 0
            node[(d + j) * FANOUT + child] = -INFINITY
        node[2 * d * FANOUT + child] = -INFINITY
        node[(2 * d + 1) * FANOUT + child] = 0
        return
    for j in range(d):
        centre = <real>(0.5 * box.low[j] + 0.5 * box.high[j])
        half = max(box.high[j] - centre, centre - box.low[j])
        node[j * FANOUT + child] = <real>centre
        node[(d + j) * FANOUT + child] = <real>(half * (1 + error))
        largest = max(largest, max(fabs(box.low[j]), fabs(box.high[j])))
    for j in range(d):
        ratio = max(fabs(box.low[j]), fabs(box.high[j])) / largest if largest > 0 else 0
        total += ratio * ratio
    node[2 * d * FANOUT + child] = <real>(max(radius, smallest_radius) * (1 + error))
    node[(2 * d + 1) * FANOUT + child] = <real>(largest * sqrt(total) * (1 + error))


cdef double distance_to_centre(const real *p, Py_ssize_t stride, const real *node, Py_ssize_t d,
                               Py_ssize_t child) noexcept nogil:
    cdef double total = 0, difference
    cdef Py_ssize_t j
    for j in range(d):
        difference = <double>p[j * stride] - node[j * FANOUT + child]
        total += difference * difference
    return sqrt(total)


cdef int32_t bound_leaf(const real *blocks, const int32_t *ids, Py_ssize_t leaf_size, real *node, Py_ssize_t child,
                        Box *box, double *spread) noexcept nogil:
    # Fit a child's bounds to the points of its leaf; returns how many there are, and the sum of the box's sides.
    cdef Py_ssize_t block = block_points(real is float), d = box.d, j, p
    cdef const real *x
    cdef double radius = 0
    cdef int32_t alive = 0
    empty_box(box)
    for p in range(leaf_size):
        if ids[p] >= 0:
            alive += 1
            x = blocks + p // block * d * block + p % block
            for j in range(d):
                box.low[j] = min(box.low[j], <double>x[j * block])
                box.high[j] = max(box.high[j], <double>x[j * block])
    store_bounds(node, child, box, 0)
    spread[0] = 0
    if alive:
        for p in range(leaf_size):
            if ids[p] >= 0:
                x = blocks + p // block * d * block + p % block
                radius = max(radius, distance_to_centre(x, block, node, d, child))
        for j in range(d):
            spread[0] += box.high[j] - box.low[j]
        store_bounds(node, child, box, radius)
    return alive


def bound_leaves(const real[:, :, ::1] blocks, const int32_t[::1] ids, Py_ssize_t leaf_blocks,
                 const int64_t[::1] leaves, real[:, ::1] nodes, int32_t[::1] alive, double[::1] spread):
    """Fit box and ball of the given leaves to their points; count those points, and note the sum of the box's sides."""
    cdef Py_ssize_t d = blocks.shape[1], leaf_size = leaf_blocks * blocks.shape[2], n = leaves.shape[0], k, chunk
    cdef Py_ssize_t n_chunks = (n + CHUNK - 1) // CHUNK
    cdef double operations = 3.0 * n * leaf_size * d
    cdef int64_t leaf
    cdef double[:, ::1] sides = np.empty((max(n_chunks, 1), 2 * d))
    cdef Box *boxes = <Box *>malloc(max(n_chunks, 1) * sizeof(Box))
    if boxes == NULL:
        raise MemoryError("no memory to bound the points of a HalfSpaceIndex")
    for chunk in prange(n_chunks, schedule="dynamic", nogil=True, num_threads=threads_for(operations)):
        boxes[chunk].d, boxes[chunk].low, boxes[chunk].high = d, &sides[chunk, 0], &sides[chunk, d]
        for k in range(chunk * CHUNK, min((chunk + 1) * CHUNK, n)):
            leaf = leaves[k]
            alive[leaf] = bound_leaf(&blocks[leaf * leaf_blocks, 0, 0], &ids[leaf * leaf_size], leaf_size,
                                     &nodes[leaf // FANOUT, 0], leaf % FANOUT, &boxes[chunk], &spread[leaf])
    free(boxes)


cdef int32_t bound_parent(const real *children, const int32_t *children_alive, real *node, Py_ssize_t child,
                          Box *box) noexcept nogil:
    # Fit a child's bounds to those of its own eight children; returns how many points they hold.
    cdef Py_ssize_t d = box.d, c, j
    cdef double centre, half, distance, radius = 0
    cdef int32_t alive = 0
    empty_box(box)
    for c in range(FANOUT):
        if children_alive[c] > 0:
            alive += children_alive[c]
            for j in range(d):
                centre = children[j * FANOUT + c]
                half = children[(d + j) * FANOUT + c]
                box.low[j] = min(box.low[j], centre - half)
                box.high[j] = max(box.high[j], centre + half)
    store_bounds(node, child, box, 0)
    if alive:
        for c in range(FANOUT):
            if children_alive[c] > 0:
                distance = distance_to_centre(children + c, FANOUT, node, d, child)
                radius = max(radius, distance + children[2 * d * FANOUT + c])
        store_bounds(node, child, box, radius)
    return alive


def bound_parents(const real[:, ::1] children, const int32_t[::1] children_alive, const int64_t[::1] groups,
                  real[:, ::1] nodes, int32_t[::1] alive):
    """Fit box and ball of the given nodes to those of their eight children."""
    cdef Py_ssize_t d = (children.shape[1] // FANOUT - 2) // 2, k
    cdef int64_t g
    cdef double[::1] sides = np.empty(2 * d)
    cdef Box box
    box.d, box.low, box.high = d, &sides[0], &sides[d]
    with nogil:
        for k in range(groups.shape[0]):
            g = groups[k]
            alive[g] = bound_parent(&children[g, 0], &children_alive[g * FANOUT], &nodes[g // FANOUT, 0], g % FANOUT,
                                    &box)


# ---------------------------------------------------------------------------------------
# Querying
# ---------------------------------------------------------------------------------------

cdef struct Tree:
    const void *blocks
    const int32_t *ids
    const void *nodes[MAX_LEVELS]  # per level, groups of eight nodes as classify_children reads them
    const int32_t *alive[MAX_LEVELS]  # per level, points of each node
    Py_ssize_t n_levels
    Py_ssize_t d
    Py_ssize_t leaf_blocks
    Py_ssize_t leaf_size
    int64_t n_leaves
    int64_t n_ids
    double reach  # of the longest point

# A set of ids, as simd/ids.c adds to it and empties it: one bit an id, and one bit a word that holds any.
cdef struct IdSet:
    uint64_t *words
    uint64_t *summary
    int64_t n_summary


cdef inline int lowest_bit(uint64_t bits) noexcept nogil:
    # Of an empty word the highest: the compiler's own function leaves that case undefined.
    return trailing_zeros(bits | <uint64_t>1 << 63)


cdef int drain(IdSet *found, int64_t count, IntList *out) noexcept nogil:
    if reserve(out, count + 2) < 0:
        return -1
    out.length += drain_ids(found.words, found.summary, found.n_summary, out.data + out.length)
    return 0


# What one query needs at every node: the normal, and how far rounding may go.
cdef struct Query:
    const void *normal
    double norm
    double error  # times the longest point of a node
    double smallest

cdef struct Tally:
    int64_t points
    int64_t nodes
    int64_t found


cdef void evaluate_leaf(const Tree *tree, int64_t leaf, const Query *query, real threshold, IdSet *found,
                        Tally *tally) noexcept nogil:
    cdef Py_ssize_t block = block_points(real is float), d = tree.d, at_once = 64 // block, b, p
    cdef const real *normal = <const real *>query.normal
    cdef const real *node = <const real *>tree.nodes[0] + (leaf // FANOUT) * (2 * d + 2) * FANOUT
    cdef double slack = query.error * node[(2 * d + 1) * FANOUT + leaf % FANOUT] + query.smallest
    cdef real low = <real>(<double>threshold - slack), high = <real>(<double>threshold + slack)
    cdef const real *blocks = <const real *>tree.blocks + leaf * tree.leaf_blocks * d * block
    cdef const int32_t *ids = tree.ids + leaf * tree.leaf_size
    cdef uint64_t bits, sure, doubtful
    tally.points += tree.leaf_size
    b = 0
    while b < tree.leaf_blocks:
        bits = scan_leaf(blocks + b * d * block, min(at_once, tree.leaf_blocks - b), d, normal, low, high, &sure)
        doubtful = bits & ~sure
        while doubtful:
            p = lowest_bit(doubtful)
            doubtful &= doubtful - 1
            if dot_strided(normal, blocks + (b + p // block) * d * block + p % block, block, d) > threshold:
                sure |= <uint64_t>1 << p
        tally.found += count_bits(sure)
        if found != NULL:
            add_chosen_ids(found.words, found.summary, ids + b * block, sure)
        b += at_once


cdef void report_node(const Tree *tree, Py_ssize_t level, int64_t node, IdSet *found, Tally *tally) noexcept nogil:
    cdef int64_t slots = tree.leaf_size, end
    cdef Py_ssize_t k
    tally.found += tree.alive[level][node]
    if found == NULL:
        return
    for k in range(level):
        slots *= FANOUT
    end = min((node + 1) * slots, tree.n_leaves * tree.leaf_size)
    add_ids(found.words, found.summary, tree.ids + node * slots, end - node * slots)


cdef void fetch_early(const void *data, Py_ssize_t n_bytes) noexcept nogil:
    cdef Py_ssize_t byte = 0
    while byte < n_bytes:
        prefetch(<const char *>data + byte)
        byte += 64


cdef void walk(const Tree *tree, const real *normal, real threshold, IdSet *found, Tally *tally) noexcept nogil:
    cdef bint single = real is float
    cdef Py_ssize_t d = tree.d, node_size = (2 * d + 2) * FANOUT, level, top = 1
    cdef Py_ssize_t leaf_bytes = tree.leaf_size * d * sizeof(real)
    cdef int64_t group, child
    cdef Py_ssize_t stack_level[MAX_STACK]
    cdef int64_t stack_group[MAX_STACK]
    cdef uint32_t open_, inside, bits
    cdef Query query
    query.normal = normal
    query.norm = euclidean_norm(normal, 1, d) * (1 + (4 * FLT_EPSILON if single else 4 * DBL_EPSILON))
    query.error = rounding(d, single) * query.norm
    query.smallest = tiny(d, single)
    if isfinite(<double>threshold):
        query.smallest += (1e-6 if single else 1e-15) * fabs(<double>threshold)
    stack_level[0] = tree.n_levels - 1
    stack_group[0] = 0
    while top:
        top -= 1
        level = stack_level[top]
        group = stack_group[top]
        open_ = classify_children(<const real *>tree.nodes[level] + group * node_size, d, normal, <real>query.norm,
                                  <real>rounding(d, single), <real>query.smallest, threshold, &inside)
        tally.nodes += FANOUT
        inside &= open_
        open_ ^= inside
        if found != NULL and level == 0:
            bits = inside | open_
            while bits:
                fetch_early(tree.ids + (group * FANOUT + lowest_bit(bits)) * tree.leaf_size,
                            tree.leaf_size * sizeof(int32_t))
                bits &= bits - 1
        bits = open_
        while bits:
            child = group * FANOUT + lowest_bit(bits)
            bits &= bits - 1
            if level == 0:
                fetch_early(<const real *>tree.blocks + child * tree.leaf_size * d, leaf_bytes)
            else:
                fetch_early(<const real *>tree.nodes[level - 1] + child * node_size, node_size * sizeof(real))
                stack_level[top] = level - 1
                stack_group[top] = child
                top += 1
        while inside:
            report_node(tree, level, group * FANOUT + lowest_bit(inside), found, tally)
            inside &= inside - 1
        if level == 0:
            while open_:
                evaluate_leaf(tree, group * FANOUT + lowest_bit(open_), &query, threshold, found, tally)
                open_ &= open_ - 1


cdef bint may_vanish(double norm, bint single) noexcept nogil:
    # Whether a normal is so short that bounds computed with its norm lose their precision.
    return 0 < norm < (FLT_MIN / FLT_EPSILON if single else DBL_MIN / DBL_EPSILON)


cdef void walk_carefully(const Tree *tree, const real *normal, real threshold, IdSet *found,
                         Tally *tally) noexcept nogil:
    # Numbers at the ends of the range defeat every bound: each point by the one inner product.
    cdef Py_ssize_t block = block_points(real is float), d = tree.d
    cdef const real *point
    cdef int64_t slot
    for slot in range(tree.n_leaves * tree.leaf_size):
        if tree.ids[slot] >= 0:
            tally.points += 1
            point = <const real *>tree.blocks + (slot // block) * d * block + slot % block
            if dot_strided(normal, point, block, d) > threshold:
                tally.found += 1
                if found != NULL:
                    add_ids(found.words, found.summary, tree.ids + slot, 1)


cdef int allocate_ids(IdSet *found, int64_t n_ids) noexcept nogil:
    found.n_summary = (n_ids >> 12) + 1
    found.words = <uint64_t *>calloc(found.n_summary * 65, sizeof(uint64_t))
    found.summary = found.words + found.n_summary * 64
    return 0 if found.words != NULL else -1


cdef int answer(const Tree *tree, const real *normals, Py_ssize_t stride, const real *thresholds, Py_ssize_t n_normals,
                IdSet *found, IntList *out, Tally *tallies) noexcept nogil:
    cdef Py_ssize_t q
    cdef int64_t room
    cdef double norm
    for q in range(n_normals):
        norm = euclidean_norm(normals + q * stride, 1, tree.d)
        if may_overflow(norm, tree.reach, real is float) or may_vanish(norm, real is float):
            walk_carefully(tree, normals + q * stride, thresholds[q], found, &tallies[q])
        else:
            walk(tree, normals + q * stride, thresholds[q], found, &tallies[q])
        if found != NULL:
            # Room for answers as long as this one to the queries that remain: a list that grows bit by bit is copied
            # often.
            room = tallies[q].found + 2
            if out.capacity < out.length + room and reserve(out, room * (n_normals - q)) < 0:
                return -1
            if drain(found, tallies[q].found, out) < 0:
                return -1
    return 0


cdef double operations_of(const Tree *tree, Py_ssize_t n_normals) noexcept nogil:
    # Measured on Gaussian points: the surface of a half-space crosses leaves with about 4 n^(1 - 1/d) of n points.
    return 4.0 * n_normals * tree.d * pow(<double>tree.n_leaves * tree.leaf_size, 1 - 1.0 / tree.d)


cdef int answer_all(const Tree *tree, const real *normals, Py_ssize_t stride, const real *thresholds,
                    Py_ssize_t n_normals, bint listing, IntList *lists, Tally *tallies) noexcept nogil:
    # A set of ids for each thread, a list for each task.
    cdef Py_ssize_t task, n_tasks = (n_normals + TASK - 1) // TASK
    cdef int failed = 0
    cdef int *report_failure = &failed  # threads only ever set it
    cdef IdSet *found = NULL
    with parallel(num_threads=threads_for(operations_of(tree, n_normals))):
        found = NULL
        if listing:
            found = <IdSet *>malloc(sizeof(IdSet))
            if found == NULL or allocate_ids(found, tree.n_ids) < 0:
                report_failure[0] = 1
        if not listing or (found != NULL and found.words != NULL):
            for task in prange(n_tasks, schedule="dynamic"):
                if answer(tree, normals + task * TASK * stride, stride, thresholds + task * TASK,
                          min(TASK, n_normals - task * TASK), found, lists + task, tallies + task * TASK) < 0:
                    report_failure[0] = 1
        if found != NULL:
            free(found.words)
            free(found)
    return -failed


def points_beyond_by_tree(tree_of_points, const real[:, ::1] normals, const real[::1] thresholds, bint listing):
    """Answer all queries by walking the tree; return (counts, indptr, indices, points evaluated, nodes visited).

    `tree_of_points` holds the fields of a `TreeOfPoints`.
    """
    cdef Tree tree
    cdef Py_ssize_t n_normals = normals.shape[0], task, n_tasks = (n_normals + TASK - 1) // TASK, q
    cdef const real[:, :, ::1] blocks = tree_of_points.blocks
    cdef const int32_t[::1] ids = tree_of_points.ids
    cdef const real[:, ::1] level_nodes
    cdef const int32_t[::1] level_alive
    cdef IntList *lists = NULL
    cdef Tally *tallies = NULL
    cdef int failed = 0
    cdef int64_t n_points = 0, n_nodes = 0
    counts = np.zeros(n_normals, dtype=np.int64)
    cdef int64_t[::1] counts_view = counts
    if n_normals == 0:
        return counts, np.zeros(1, dtype=np.int64), np.empty(0, dtype=np.int32), 0, 0
    tree.blocks, tree.ids = &blocks[0, 0, 0], &ids[0]
    tree.n_levels, tree.d = len(tree_of_points.nodes), blocks.shape[1]
    tree.leaf_blocks, tree.leaf_size = tree_of_points.leaf_blocks, tree_of_points.leaf_blocks * blocks.shape[2]
    tree.n_leaves, tree.n_ids = tree_of_points.n_leaves, tree_of_points.n_ids
    tree.reach = tree_of_points.reach
    for level in range(tree.n_levels):
        level_nodes, level_alive = tree_of_points.nodes[level], tree_of_points.alive[level]
        tree.nodes[level], tree.alive[level] = &level_nodes[0, 0], &level_alive[0]
    lists = <IntList *>calloc(n_tasks, sizeof(IntList))
    tallies = <Tally *>calloc(n_normals, sizeof(Tally))
    if lists == NULL or tallies == NULL:
        free(lists)
        free(tallies)
        raise MemoryError("no memory for the result lists of a query")
    with nogil:
        failed = answer_all(&tree, &normals[0, 0], normals.shape[1], &thresholds[0], n_normals, listing, lists, tallies)
    for q in range(n_normals):
        counts_view[q] = tallies[q].found
        n_points += tallies[q].points
        n_nodes += tallies[q].nodes
    free(tallies)
    if failed:
        free_lists(lists, n_tasks)
        raise MemoryError("no memory for the result lists of a query")
    indices = assemble(lists, n_tasks)[1]
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return counts, indptr, indices, n_points, n_nodes
