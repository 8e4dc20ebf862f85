"""MaxTree: the threshold search tree of DHSWZ24."""

import numpy as np

from sksparsenn._samples.points import as_points, padded_rows
from sksparsenn._search.tournament import Tournament


class MaxTree:
    """The threshold search tree: for each sample, a tournament over its products with all neurons.

    Procedures INIT, UPDATE and QUERY of Algorithms 2 to 4 of [1]_: after `update`
    of a neuron, `query` reports in time proportional to the answer times the
    depth of the tree which neurons r satisfy <w_r, x_i> > tau.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Finite numbers.  float32 is kept, everything else becomes float64.

    W : array-like of shape (n_neurons, n_features)
        Weights of the neurons, converted to the precision of X.

    Attributes
    ----------
    n_samples, n_neurons : int

    fan_out : int
        Children of a node: one cache line, 16 products in float32, 8 in float64.

    nbytes : int
        Memory of all levels, about n_samples * n_neurons numbers and a
        fan_out-th more.

    Raises
    ------
    MemoryError
        If that memory is not available; the message names it.

    Notes
    -----
    Departures from the paper: (1) nodes have `fan_out` children, not two, so that a
    node is one cache line and the tree is a quarter as deep; (2) a query compares
    with > on every level, where the paper's Algorithm 4 mixes > and >=.

    A neuron is reported if its product, rounded in the precision of X, exceeds tau
    as it is given: tau is not rounded to that precision.  (The threshold of an
    estimator is, by all searches alike.)

    References
    ----------
    .. [1] Y. Deng, H. Hu, Z. Song, O. Weinstein and D. Zhuo, "Training
       Overparametrized Neural Networks in Sublinear Time", ITCS 2024.

    Examples
    --------
    >>> from sksparsenn import MaxTree
    >>> tree = MaxTree([[1.0, 0.0], [0.0, 1.0]], [[2.0, 0.0], [0.0, 3.0], [1.0, 1.0]])
    >>> tree.query(0, 0.5)
    array([0, 2], dtype=int32)
    >>> tree.update(0, [0.0, 5.0])
    >>> tree.query(0, 0.5)
    array([2], dtype=int32)
    """

    def __init__(self, X, W):
        X = as_points(X, "X")
        W = as_points(W, "W", X.shape[1], X.dtype)
        if len(X) == 0 or len(W) == 0:
            raise ValueError(f"a MaxTree needs at least one sample and one neuron, got {len(X)} and {len(W)}.")
        self.n_samples, self.n_features = X.shape
        self.n_neurons, self.dtype = len(W), X.dtype
        self._tournament = Tournament(padded_rows(X), padded_rows(W))
        self.fan_out, self.nbytes = self._tournament.fan_out, self._tournament.nbytes

    def update(self, r, w):
        """Set the weights of one neuron or of several: UPDATE, O(n_samples (n_features + depth)) each.

        Parameters
        ----------
        r : int or array-like of int
            Numbers of the neurons, without repetitions.

        w : array-like of shape (n_features,) or (n_moved, n_features)
            Their new weights.
        """
        rows = np.atleast_1d(np.asarray(r))
        w = as_points(np.atleast_2d(np.asarray(w)), "w", self.n_features, self.dtype)
        if rows.size and rows.dtype.kind not in "iu":
            raise TypeError(f"neurons are numbered by whole numbers, got an array of {rows.dtype}.")
        if rows.ndim != 1 or len(np.unique(rows)) != len(rows) or len(rows) != len(w):
            raise ValueError(
                f"update() needs a row of weights for each of its neurons, all different; got {rows.size} and {len(w)}."
            )
        if rows.size and not (rows.min() >= 0 and rows.max() < self.n_neurons):
            outside = rows[(rows < 0) | (rows >= self.n_neurons)][0]
            raise IndexError(f"neurons are numbered 0 to {self.n_neurons - 1}, got {outside}.")
        if rows.size:
            self._tournament.update(rows.astype(np.int64), padded_rows(w))

    def query(self, i, tau, *, return_work=False):
        """Report the neurons r with <w_r, x_i> > tau, ascending.

        Parameters
        ----------
        i : int
            Number of the sample.

        tau : float
            Compared as it is, not rounded to the precision of the products.

        return_work : bool, default=False
            Whether to return what the search did as well.

        Returns
        -------
        neurons : ndarray of int32

        work : Work
            Named tuple of counts; only if `return_work`.
        """
        _, neurons, work = self.query_all(tau, samples=[i], return_work=True)
        return (neurons, work) if return_work else neurons

    def query_all(self, tau, *, samples=None, return_work=False):
        """Report, for every sample or for those named, the neurons that exceed tau.

        Parameters
        ----------
        tau : float
            Compared as it is, not rounded to the precision of the products.

        samples : array-like of int, optional
            Numbers of the samples to query; all by default.

        return_work : bool, default=False
            Whether to return what the search did as well.

        Returns
        -------
        indptr : ndarray of int64

        neurons : ndarray of int32
            ``neurons[indptr[s] : indptr[s + 1]]`` exceed tau on sample s, ascending.

        work : Work
            Named tuple of counts; only if `return_work`.
        """
        samples = np.arange(self.n_samples) if samples is None else np.asarray(samples)
        if samples.size and samples.dtype.kind not in "iu":
            raise TypeError(f"samples are numbered by whole numbers, got an array of {samples.dtype}.")
        if samples.size and not (samples.min() >= 0 and samples.max() < self.n_samples):
            outside = samples[(samples < 0) | (samples >= self.n_samples)][0]
            raise IndexError(f"samples are numbered 0 to {self.n_samples - 1}, got {outside}.")
        tau = float(tau)
        if np.isnan(tau):
            raise ValueError("tau is NaN: give a number.")
        cut = largest_up_to(tau, self.dtype)
        indptr, neurons, work = self._tournament.query(samples.astype(np.int64), cut)
        return (indptr, neurons, work) if return_work else (indptr, neurons)


def largest_up_to(number, dtype):
    """Return the largest number of that precision that is not above `number`: the same numbers exceed both."""
    with np.errstate(over="ignore"):
        nearest = np.dtype(dtype).type(number)
        return np.nextafter(nearest, -np.inf, dtype=dtype) if float(nearest) > number else nearest
