"""HalfSpaceIndex: exact half-space reporting over points that change."""

from numbers import Integral, Real

import numpy as np

from sksparsenn._samples.points import as_normals, as_points
from sksparsenn._search.half_space import LEAF_SIZE, HalfSpaceReporter


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
        cache-sized blocks.  "auto" counts the work of both for some of the points
        as normals, and takes the cheaper.  Answers never differ.

    Attributes
    ----------
    method_ : {"tree", "scan"}
        The method in use.

    Notes
    -----
    A point is beyond the threshold if its inner product with the normal, rounded
    in the precision of the index in one fixed order of additions, exceeds it;
    the threshold is rounded to that precision first, to the nearest number.
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

    def __init__(self, points, *, leaf_size=LEAF_SIZE, method="auto"):
        points = as_points(points, "points")
        whole = isinstance(leaf_size, Integral) or (isinstance(leaf_size, Real) and float(leaf_size).is_integer())
        if not (whole and leaf_size >= 1):
            raise ValueError(f"leaf_size={leaf_size!r} must be a whole number of at least 1.")
        if method not in ("auto", "tree", "scan"):
            raise ValueError(f"method={method!r} must be one of 'auto', 'tree' and 'scan'.")
        self.method = method
        self.n_features, self.dtype = points.shape[1], points.dtype
        self._reporter = HalfSpaceReporter(points, int(leaf_size), method)

    def __len__(self):
        return len(self._reporter)

    @property
    def method_(self):
        return self._reporter.method

    @property
    def leaf_size(self):
        return self._reporter.leaf_size

    def query(self, normals, thresholds, *, return_work=False):
        """Report the points beyond each half-space.

        Parameters
        ----------
        normals : array-like of shape (n_queries, n_features) or (n_features,)

        thresholds : array-like of shape (n_queries,) or float
            Rounded to the precision of the index.

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
        indptr, indices, work = self._reporter.query(*as_normals(normals, thresholds, self.n_features, self.dtype))
        return (indptr, indices, work) if return_work else (indptr, indices)

    def count(self, normals, thresholds, *, return_work=False):
        """Count the points beyond each half-space, as `query` reports them.

        Nodes wholly inside are counted without listing their points.

        Parameters
        ----------
        normals : array-like of shape (n_queries, n_features) or (n_features,)

        thresholds : array-like of shape (n_queries,) or float
            Rounded to the precision of the index.

        return_work : bool, default=False
            Whether to return what the search did as well.

        Returns
        -------
        counts : ndarray of shape (n_queries,), int64

        work : Work
            Named tuple of counts; only if `return_work`.
        """
        counts, work = self._reporter.count(*as_normals(normals, thresholds, self.n_features, self.dtype))
        return (counts, work) if return_work else counts

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
        n_ids = self._reporter.n_ids + len(points)
        if n_ids > np.iinfo(np.int32).max:
            raise ValueError(f"a HalfSpaceIndex numbers its points with 32 bits: {n_ids} ids are too many.")
        return self._reporter.insert(points)

    def delete(self, ids):
        """Remove points.

        Parameters
        ----------
        ids : int or array-like of int
        """
        self._reporter.delete(self._live_ids(ids))

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
        self._reporter.update(ids, points)

    def _live_ids(self, ids):
        """Return the ids as a flat array, all different, of points that are there."""
        ids = np.atleast_1d(np.asarray(ids))
        if ids.size and ids.dtype.kind not in "iu":
            raise TypeError(f"ids must be whole numbers, got an array of {ids.dtype}.")
        ids = ids.astype(np.int64)
        if ids.ndim != 1 or len(np.unique(ids)) != len(ids):
            raise ValueError("ids must be a flat list without repetitions.")
        missing = ids[~self._reporter.holds(ids)]
        if len(missing):
            raise KeyError(f"no point has id {missing[0]}: it was never given, or was deleted.")
        return ids
