"""The engine of half-space reporting over arrays that have been validated: a tree where that pays, else a scan."""

from typing import NamedTuple

import numpy as np

from sksparsenn._compiled.scan import BLOCK_BYTES, FANOUT, longest, pack, points_beyond
from sksparsenn._search.work import Work
from sksparsenn._tree import bound_leaves, bound_parents, leaf_order, points_beyond_by_tree

# What a walk costs in units of one block scanned for one half-space among many, where memory streams and a block serves
# four half-spaces at once: a node tested, and a block of a leaf evaluated, which usually has to come from memory first.
COST_OF_NODE = 1.0
COST_OF_LEAF_BLOCK = 6.0

# A walk is measured with this many of the points as normals, at thresholds that this fraction of the points exceeds.
PROBES = 16
PROBE_SAMPLE = 2048
PROBE_FRACTION = 0.02

# Leaves may grow to this multiple of their size before the tree is rebuilt.
LOOSENESS = 1.5

LEAF_SIZE = 64


class TreeOfPoints(NamedTuple):
    """What `points_beyond_by_tree` reads: packed points, their ids, and the nodes above them, level by level."""

    blocks: np.ndarray
    ids: np.ndarray
    nodes: list
    alive: list
    leaf_blocks: int
    n_leaves: int
    n_ids: int
    reach: float


class HalfSpaceReporter:
    """The points of a `HalfSpaceIndex`: answers and changes, with nothing checked and nothing converted.

    Points are contiguous rows of finite numbers.  Normals are contiguous rows of at least as many columns,
    those beyond the points' columns left out, with a threshold for each, all in the precision of the points.
    Ids are those of points that are there, without repetitions.  An `order` of the points, that of an earlier tree
    over the same ones or over others, saves the search for one: any gives the same answers.
    """

    def __init__(self, points, leaf_size=LEAF_SIZE, method="auto", order=None):
        self.wanted = method
        self.n_features, self.dtype = points.shape[1], points.dtype
        self._block = BLOCK_BYTES // points.dtype.itemsize
        self._leaf_size_wanted = leaf_size
        self._slots = np.arange(len(points), dtype=np.int64)  # id -> slot, -1 for a deleted point
        self._build(points, np.arange(len(points), dtype=np.int32), order)

    def __len__(self):
        return self._n_alive

    @property
    def n_ids(self):
        """The number of ids given so far."""
        return len(self._slots)

    def holds(self, ids):
        """Return whether there is a point with this id, for each of the ids."""
        held = (ids >= 0) & (ids < len(self._slots))
        held[held] = self._slots[ids[held]] >= 0
        return held

    # -- structure ----------------------------------------------------------------------

    @property
    def order(self):
        """The ids of the points that are there, in the order of the tree's leaves."""
        return self._ids[self._ids >= 0]

    def _build(self, points, ids, order=None):
        """Arrange the points (rows in ascending order of ids) from scratch."""
        self._n_alive = self._n_built = len(points)
        self._reach = longest(points)
        # No more than the points need; an index that has grown is built again with leaves of the size wanted.
        self._leaf_blocks = -(-min(self._leaf_size_wanted, max(len(points), 1)) // self._block)
        self.leaf_size = self._leaf_blocks * self._block
        self.method = "scan"
        if self.wanted == "tree" or (self.wanted == "auto" and len(points) > PROBES * self.leaf_size):
            order = leaf_order(points, self.leaf_size) if order is None else order
            self._place(points[order], ids[order])
            self.method = "tree"
            if self.wanted == "auto" and not self._tree_pays(points):
                self.method = "scan"
        if self.method == "scan":
            self._place(points, ids)
        self._loose_after = LOOSENESS * self._total_spread() if self.method == "tree" else np.inf

    def _place(self, points, ids):
        """Put points into consecutive slots, with spare leaves for insertions."""
        self._n_slots = len(points)
        n_leaves = max(1, -(-len(points) // self.leaf_size))
        capacity = n_leaves + max(1, n_leaves // 8)
        self._blocks = pack(points, self.n_features, capacity * self._leaf_blocks)
        self._ids = np.full(capacity * self.leaf_size, -1, dtype=np.int32)
        self._ids[: len(ids)] = ids
        self._slots[ids] = np.arange(len(ids))
        self._nodes, self._alive, self._spread = [], [], np.zeros(capacity)
        nodes = capacity
        while True:
            groups = -(-nodes // FANOUT)
            empty = np.zeros((groups, (2 * self.n_features + 2) * FANOUT), dtype=self.dtype)
            empty[:, self.n_features * FANOUT : (2 * self.n_features + 1) * FANOUT] = -np.inf
            self._nodes.append(empty)
            self._alive.append(np.zeros(groups * FANOUT, dtype=np.int32))
            if groups == 1:
                break
            nodes = groups
        self._refit(np.arange(n_leaves))

    def _refit(self, leaves):
        """Fit the volumes of the given leaves, then of the nodes above them."""
        leaves = np.ascontiguousarray(leaves, dtype=np.int64)
        bound_leaves(self._blocks, self._ids, self._leaf_blocks, leaves, self._nodes[0], self._alive[0], self._spread)
        groups = leaves
        for level in range(1, len(self._nodes)):
            groups = np.unique(groups // FANOUT)
            bound_parents(
                self._nodes[level - 1], self._alive[level - 1], groups, self._nodes[level], self._alive[level]
            )

    def _total_spread(self):
        # As a Python float, which overflows to infinity without a warning.
        with np.errstate(over="ignore"):
            return float(self._spread.sum())

    @property
    def _n_leaves(self):
        return -(-self._n_slots // self.leaf_size)

    def _tree_pays(self, points):
        """Return whether walking the tree is cheaper than scanning, for normals taken from the points themselves."""
        normals = points[np.linspace(0, len(points) - 1, PROBES).astype(int)]
        sample = points[np.linspace(0, len(points) - 1, min(len(points), PROBE_SAMPLE)).astype(int)]
        with np.errstate(over="ignore", invalid="ignore"):
            thresholds = np.quantile(np.nan_to_num(normals @ sample.T), 1 - PROBE_FRACTION, axis=1, method="lower")
        _, work = self.count(normals, thresholds.astype(self.dtype))
        walking = work.nodes_visited * COST_OF_NODE + work.pairs_evaluated / self._block * COST_OF_LEAF_BLOCK
        return walking < PROBES * len(points) / self._block

    def _rebuild(self):
        ids = np.flatnonzero(self._slots >= 0).astype(np.int32)
        self._build(self._points_of(ids), ids)

    def _points_of(self, ids):
        slots = self._slots[ids]
        return np.ascontiguousarray(self._blocks[slots // self._block, :, slots % self._block])

    # -- queries ------------------------------------------------------------------------

    def query(self, normals, thresholds):
        """Report the points beyond each half-space: compressed rows (indptr, ids), ids ascending; and the work."""
        if self.method == "tree":
            _, indptr, ids, work = self._walk(normals, thresholds, listing=True)
            return indptr, ids, work
        used = self._blocks[: self._n_leaves * self._leaf_blocks]
        indptr, ids = points_beyond(used, normals, thresholds, self._reach)
        if self._n_slots != len(self._slots):  # places and ids part after deletions
            ids = self._ids[ids]
        return indptr, ids, Work(len(normals) * self._n_alive, 0, 0)

    def count(self, normals, thresholds):
        """Count the points beyond each half-space; and the work."""
        if self.method == "tree":
            counts, _, _, work = self._walk(normals, thresholds, listing=False)
            return counts, work
        indptr, _, work = self.query(normals, thresholds)
        return np.diff(indptr), work

    def _walk(self, normals, thresholds, *, listing):
        """Return counts, indptr, ids and work by a walk of the tree; without `listing`, the ids stay empty."""
        tree = TreeOfPoints(
            self._blocks, self._ids, self._nodes, self._alive,
            self._leaf_blocks, self._n_leaves, len(self._slots), self._reach,
        )  # fmt: skip
        counts, indptr, ids, points, nodes = points_beyond_by_tree(tree, normals, thresholds, listing)
        return counts, indptr, ids, Work(points, nodes, 0)

    # -- changes ------------------------------------------------------------------------

    def insert(self, points):
        """Add points; return their ids."""
        first = len(self._slots)
        ids = np.arange(first, first + len(points), dtype=np.int32)
        if len(points) == 0:
            return ids
        slots = np.arange(self._n_slots, self._n_slots + len(points))
        self._slots = np.concatenate([self._slots, slots])
        grown = self._n_slots + len(points) - self._n_built
        if slots[-1] >= len(self._ids) or grown > max(8 * self.leaf_size, self._n_built // 4):
            live = np.flatnonzero(self._slots[:first] >= 0).astype(np.int32)
            self._build(np.concatenate([self._points_of(live), points]), np.concatenate([live, ids]))
            return ids
        self._n_slots += len(points)
        self._n_alive += len(points)
        self._ids[slots] = ids
        self._write(slots, points)
        return ids

    def delete(self, ids):
        """Remove points; the tree is rebuilt once half of its slots are empty."""
        slots = self._slots[ids]
        self._slots[ids] = -1
        self._ids[slots] = -1
        self._n_alive -= len(ids)
        self._write(slots, np.full((len(ids), self.n_features), np.nan, dtype=self.dtype))
        if self._n_slots - self._n_alive > max(8 * self.leaf_size, self._n_slots // 2):
            self._rebuild()

    def update(self, ids, points):
        """Move points; the tree is rebuilt once its leaves have grown by half."""
        self._write(self._slots[ids], points)
        if self._total_spread() > self._loose_after:
            self._rebuild()

    def _write(self, slots, points):
        """Store coordinates and refit; NaN marks an empty slot."""
        if len(slots) == 0:
            return
        self._blocks[slots // self._block, :, slots % self._block] = points
        reach = longest(points)
        if reach > self._reach:  # false for NaN
            self._reach = reach
        if self.method == "tree":
            self._refit(np.unique(slots // self.leaf_size))
