"""HalfSpaceIndex: exact half-space reporting, by a tree where that pays and by a scan elsewhere."""

from numbers import Integral, Real

import numpy as np

from sksparsenn._points import as_normals, as_points
from sksparsenn._scan import BLOCK_BYTES, FANOUT, longest, pack, points_beyond
from sksparsenn._tree import bound_leaves, bound_parents, leaf_order, points_beyond_by_tree
from sksparsenn._work import Work

# What a walk costs in units of one block scanned for one half-space among many, where memory streams and a block serves
# four half-spaces at once: a node tested, and a block of a leaf evaluated, which usually has to come from memory first.
COST_OF_NODE = 1.0
COST_OF_LEAF_BLOCK = 6.0

# The index asks itself this many of its own points as normals, at thresholds that this fraction of points exceeds.
PROBES = 16
PROBE_SAMPLE = 2048
PROBE_FRACTION = 0.02

# Leaves may grow to this multiple of their size before the tree is rebuilt.
LOOSENESS = 1.5


class HalfSpaceIndex:
    """Exact half-space reporting over points that may be inserted, deleted and moved.

    The structure HSR of Algorithms 2 and 3 of [1]_ and Algorithm 2 of [2]_: it
    stores points p and answers, for a half-space given by a normal w and a
    threshold t, which points satisfy <w, p> > t.  Over the weights of a network it
    finds the neurons that fire on a sample, over the samples those on which a
    neuron fires.

    Parameters
    ----------
    points : array-like of shape (n_points, n_features)
        Finite numbers.  float32 is kept, everything else becomes float64.

    leaf_size : int, default=64
        Points per leaf, rounded up to whole blocks (16 points in float32, 8 in
        float64); no more than there are points.

    method : {"auto", "tree", "scan"}, default="auto"
        "tree" walks a tree of boxes and balls, "scan" evaluates every point in
        cache-sized blocks.  "auto" asks both how much work the index's own points
        would cost them as normals, and takes the cheaper.  Answers never differ.

    Attributes
    ----------
    method_ : {"tree", "scan"}
        The method in use.

    Notes
    -----
    A point is beyond the threshold if its inner product with the normal, rounded
    in the precision of the index in one fixed order of additions, exceeds it.
    Bounding volumes and the vector filter allow for rounding, so ties and
    near-ties are decided by that number alone.

    Departures from the papers:

    1. The half-space reporting structure of Agarwal, Eppstein and Matousek, with
       queries in O(log n + k) or O(n^(1 - 1/floor(d/2)) + k), is replaced by an
       eight-ary tree of medians with boxes and balls, which visits about as few
       points up to d = 6 and is small and fast to update.
    2. Moving a point refits the volumes above it in place of a deletion and an
       insertion; the tree is rebuilt once its leaves have grown by half.

    References
    ----------
    .. [1] Z. Song, S. Yang and R. Zhang, "Does Preprocessing Help Training
       Over-parameterized Neural Networks?", NeurIPS 2021.
    .. [2] L. Qin, Z. Song and Y. Yang, "Efficient SGD Neural Network Training via
       Sublinear Activated Neuron Identification", 2023.

    Examples
    --------
    >>> from sksparsenn import HalfSpaceIndex
    >>> index = HalfSpaceIndex([[0.0, 1.0], [2.0, 0.0], [3.0, 3.0]])
    >>> indptr, indices = index.query([[1.0, 0.0], [0.0, 1.0]], [1.5, 0.5])
    >>> indices[indptr[0] : indptr[1]], indices[indptr[1] : indptr[2]]
    (array([1, 2], dtype=int32), array([0, 2], dtype=int32))
    """

    def __init__(self, points, *, leaf_size=64, method="auto"):
        points = as_points(points, "points")
        whole = isinstance(leaf_size, Integral) or (isinstance(leaf_size, Real) and float(leaf_size).is_integer())
        if not (whole and leaf_size >= 1):
            raise ValueError(f"leaf_size={leaf_size!r} must be a whole number of at least 1.")
        if method not in ("auto", "tree", "scan"):
            raise ValueError(f"method={method!r} must be one of 'auto', 'tree' and 'scan'.")
        self.method = method
        self.n_features = points.shape[1]
        self.dtype = points.dtype
        self._leaf_size_wanted = int(leaf_size)
        self._slots = np.arange(len(points), dtype=np.int64)  # id -> slot, -1 for a deleted point
        self._build(points, np.arange(len(points), dtype=np.int32))

    def __len__(self):
        return self._n_alive

    # -- structure ----------------------------------------------------------------------

    def _build(self, points, ids):
        """Arrange the points (rows in ascending order of ids) from scratch."""
        self._n_alive = self._n_built = len(points)
        self._reach = longest(points)
        block = BLOCK_BYTES // points.dtype.itemsize
        # No more than the points need; an index that has grown is built again with leaves of the size wanted.
        self.leaf_blocks = -(-min(self._leaf_size_wanted, max(len(points), 1)) // block)
        self.leaf_size = self.leaf_blocks * block
        self.method_ = "scan"
        if self.method == "tree" or (self.method == "auto" and len(points) > PROBES * self.leaf_size):
            order = leaf_order(points, self.leaf_size)
            self._place(points[order], ids[order])
            self.method_ = "tree"
            if self.method == "auto" and not self._tree_pays(points):
                self.method_ = "scan"
        if self.method_ == "scan":
            self._place(points, ids)
        self._loose_after = LOOSENESS * self._total_spread() if self.method_ == "tree" else np.inf

    def _place(self, points, ids):
        """Put points into consecutive slots, with spare leaves for insertions."""
        self._n_slots = len(points)
        n_leaves = max(1, -(-len(points) // self.leaf_size))
        capacity = n_leaves + max(1, n_leaves // 8)
        self._blocks = pack(points, self.n_features, capacity * self.leaf_blocks)
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
        bound_leaves(self._blocks, self._ids, self.leaf_blocks, leaves, self._nodes[0], self._alive[0], self._spread)
        groups = leaves
        for level in range(1, len(self._nodes)):
            groups = np.unique(groups // FANOUT)
            bound_parents(
                self._nodes[level - 1], self._alive[level - 1], groups, self._nodes[level], self._alive[level]
            )

    def _total_spread(self):
        # As a Python float, which overflows to infinity in silence.
        with np.errstate(over="ignore"):
            return float(self._spread.sum())

    @property
    def _n_leaves(self):
        return -(-self._n_slots // self.leaf_size)

    def _tree_pays(self, points):
        """Whether walking the tree is cheaper than scanning, for normals taken from the points themselves."""
        normals = points[np.linspace(0, len(points) - 1, PROBES).astype(int)]
        sample = points[np.linspace(0, len(points) - 1, min(len(points), PROBE_SAMPLE)).astype(int)]
        with np.errstate(over="ignore", invalid="ignore"):
            thresholds = np.quantile(np.nan_to_num(normals @ sample.T), 1 - PROBE_FRACTION, axis=1, method="lower")
        _, work = self.count(normals, thresholds, return_work=True)
        block = self.leaf_size // self.leaf_blocks
        walking = work.nodes_visited * COST_OF_NODE + work.pairs_evaluated / block * COST_OF_LEAF_BLOCK
        return walking < PROBES * len(points) / block

    def _rebuild(self):
        ids = np.flatnonzero(self._slots >= 0).astype(np.int32)
        self._build(self._points_of(ids), ids)

    def _points_of(self, ids):
        block = self.leaf_size // self.leaf_blocks
        slots = self._slots[ids]
        return np.ascontiguousarray(self._blocks[slots // block, :, slots % block])

    # -- queries ------------------------------------------------------------------------

    def _answer(self, normals, thresholds, listing):
        normals, thresholds = as_normals(normals, thresholds, self.n_features, self.dtype)
        if self.method_ == "tree":
            counts, indptr, indices, points, nodes = points_beyond_by_tree(
                self._blocks,
                self._ids,
                self._nodes,
                self._alive,
                self.leaf_blocks,
                self._n_leaves,
                len(self._slots),
                normals,
                thresholds,
                self._reach,
                listing,
            )
            return counts, indptr, indices, Work(points, nodes, 0)
        used = self._blocks[: self._n_leaves * self.leaf_blocks]
        indptr, indices = points_beyond(used, normals, thresholds, self._reach)
        if self._n_slots != len(self._slots):  # places and ids part after deletions
            indices = self._ids[indices]
        return np.diff(indptr), indptr, indices, Work(len(normals) * self._n_alive, 0, 0)

    def query(self, normals, thresholds, *, return_work=False):
        """Report the points beyond each half-space.

        Parameters
        ----------
        normals : array-like of shape (n_queries, n_features) or (n_features,)

        thresholds : array-like of shape (n_queries,) or float

        return_work : bool, default=False
            Whether to return what the search did as well.

        Returns
        -------
        indptr : ndarray of shape (n_queries + 1,), int64

        indices : ndarray of shape (indptr[-1],), int32
            ``indices[indptr[q] : indptr[q + 1]]`` are the ids of the points p with
            <normals[q], p> > thresholds[q], ascending.

        work : Work
            Named tuple of counts; only if `return_work`.
        """
        _, indptr, indices, work = self._answer(normals, thresholds, True)
        return (indptr, indices, work) if return_work else (indptr, indices)

    def count(self, normals, thresholds, *, return_work=False):
        """Count the points beyond each half-space, as `query` reports them.

        Nodes wholly inside are counted without listing their points.

        Parameters
        ----------
        normals : array-like of shape (n_queries, n_features) or (n_features,)

        thresholds : array-like of shape (n_queries,) or float

        return_work : bool, default=False
            Whether to return what the search did as well.

        Returns
        -------
        counts : ndarray of shape (n_queries,), int64

        work : Work
            Named tuple of counts; only if `return_work`.
        """
        counts, _, _, work = self._answer(normals, thresholds, False)
        return (counts, work) if return_work else counts

    # -- changes ------------------------------------------------------------------------

    def insert(self, points):
        """Add points.

        Parameters
        ----------
        points : array-like of shape (n_new, n_features)

        Returns
        -------
        ids : ndarray of shape (n_new,), int32
            Their ids, which count on from the last one given; ids are never reused.
        """
        points = as_points(points, "points", self.n_features, self.dtype)
        first = len(self._slots)
        if first + len(points) > np.iinfo(np.int32).max:
            raise ValueError(
                f"a HalfSpaceIndex numbers its points with 32 bits: {first + len(points)} ids are too many."
            )
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
        """Remove points.

        Parameters
        ----------
        ids : int or array-like of int
        """
        ids = self._live_ids(ids)
        slots = self._slots[ids]
        self._slots[ids] = -1
        self._ids[slots] = -1
        self._n_alive -= len(ids)
        self._write(slots, np.full((len(ids), self.n_features), np.nan, dtype=self.dtype))
        if self._n_slots - self._n_alive > max(8 * self.leaf_size, self._n_slots // 2):
            self._rebuild()

    def update(self, ids, points):
        """Move points.

        Volumes on the path to the root are refitted; when the leaves have grown to
        one and a half times their size, the tree is rebuilt.

        Parameters
        ----------
        ids : int or array-like of int

        points : array-like of shape (n_moved, n_features)
        """
        ids = self._live_ids(ids)
        points = as_points(points, "points", self.n_features, self.dtype)
        if len(points) != len(ids):
            raise ValueError(f"update() got {len(ids)} ids and {len(points)} points: give one point for each id.")
        self._write(self._slots[ids], points)
        if self._total_spread() > self._loose_after:
            self._rebuild()

    def _write(self, slots, points):
        """Store coordinates and refit; NaN marks an empty slot."""
        if len(slots) == 0:
            return
        block = self.leaf_size // self.leaf_blocks
        self._blocks[slots // block, :, slots % block] = points
        reach = longest(points)
        if reach > self._reach:  # false for NaN
            self._reach = reach
        if self.method_ == "tree":
            self._refit(np.unique(slots // self.leaf_size))

    def _live_ids(self, ids):
        ids = np.atleast_1d(np.asarray(ids))
        if ids.size and ids.dtype.kind not in "iu":
            raise TypeError(f"ids must be whole numbers, got an array of {ids.dtype}.")
        ids = ids.astype(np.int64)
        if ids.ndim != 1 or len(np.unique(ids)) != len(ids):
            raise ValueError("ids must be a flat list without repetitions.")
        known = (ids >= 0) & (ids < len(self._slots))
        if not known.all() or (self._slots[ids] < 0).any():
            missing = ids[~known] if not known.all() else ids[self._slots[ids] < 0]
            raise KeyError(f"no point has id {missing[0]}: it was never given, or was deleted.")
        return ids
