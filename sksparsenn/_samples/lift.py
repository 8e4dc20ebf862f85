"""From a table to the unit sphere, and from targets to standard units.

The papers assume samples of length one and targets of the order of one.  Samples are
centred, given a constant coordinate and divided by their length, which loses nothing:
the constant coordinate of a row determines how long the row was.  The result does not change when
all of X is shifted or multiplied by a number.
"""

from typing import NamedTuple

import numpy as np
from scipy.sparse import issparse

from sksparsenn._compiled.tables import centred_rows, divide_rows
from sksparsenn._samples.dense import DenseSamples
from sksparsenn._samples.points import LANES, aligned_zeros
from sksparsenn._samples.sparse import SparseSamples
from sksparsenn._samples.sparse_table import canonical, mean_and_spread
from sksparsenn._samples.sparse_table import column_spreads as sparse_column_spreads
from sksparsenn._samples.sparse_table import in_canonical_order as sparse_rows_in_canonical_order
from sksparsenn._utils.range import unit_of

# Rows lifted at a time, so that temporary copies stay small.
ROWS_AT_ONCE = 1 << 15


class Lift(NamedTuple):
    """x -> (x - centre, constant) / ||(x - centre, constant)||; without a constant coordinate if it is None."""

    centre: np.ndarray
    constant: float | None

    spread: float = np.inf
    """Root mean square length of the centred rows that this was fitted to, for `columns_to_centre`."""

    @classmethod
    def fit(cls, X, shares, fit_intercept, intercept_scaling):
        """Return a lift about the weighted mean, its constant intercept_scaling times the root mean square length."""
        if not fit_intercept:
            return cls(np.zeros(X.shape[1]), None, 0.0)
        with np.errstate(over="ignore"):
            lift = cls._centring(X, shares, intercept_scaling)
        if not (np.isfinite(lift.centre).all() and lift.spread < np.inf and lift.constant < np.inf):
            raise ValueError(
                f"the constant coordinate, intercept_scaling={intercept_scaling:.3g} times the length of centred rows "
                f"of X with entries up to {abs(X).max():.3g}, does not fit into float64: divide X by a constant, "
                "or lower intercept_scaling."
            )
        return lift

    @classmethod
    def _centring(cls, X, shares, intercept_scaling):
        if issparse(X):
            centre, spread, unit = mean_and_spread(canonical(X), shares)
            return cls(centre, intercept_scaling * (spread or unit), spread)
        unit = float(np.abs(X).max()) or 1.0  # so that squares neither overflow nor vanish
        centre = shares @ (X / unit)
        squares = sum(shares[rows] @ (((X[rows] / unit) - centre) ** 2).sum(axis=1) for rows in _slices(len(X)))
        spread = float(np.sqrt(squares))
        return cls(centre * unit, intercept_scaling * (spread or 1.0) * unit, spread * unit)

    @property
    def n_added(self):
        """The number of coordinates that lifting adds."""
        return 0 if self.constant is None else 1

    def __call__(self, X, dtype):
        """Return lifted rows of X, dense or sparse as X is; a row of zeros without a constant coordinate stays zero."""
        if issparse(X):
            return SparseSamples.lifted(X, self, dtype)
        n_samples, n_features = X.shape
        n_lifted = n_features + self.n_added
        lifted = aligned_zeros((n_samples, -(-n_lifted // LANES) * LANES), dtype)
        for rows in _slices(n_samples):
            # By the largest entry first, so that squares neither overflow nor vanish.
            part = centred_rows(X[rows].astype(np.float64, copy=False), self.centre, self.constant)
            divide_rows(part, np.einsum("ij,ij->i", part, part))
            lifted[rows, :n_lifted] = part
        return DenseSamples(lifted, n_lifted)

    def pulled_back(self, gradients, X):
        """Return gradients in rows of X, from those at the lifted rows, (n_samples, n_outputs, n_lifted).

        Without a constant coordinate, no neuron fires on a row of zeros, whose gradient is zero.
        """
        rows = centred_rows(np.ascontiguousarray(X, dtype=np.float64), self.centre, self.constant)
        divide_rows(rows, np.einsum("ij,ij->i", rows, rows))
        along = np.einsum("iod,id->io", gradients, rows)
        tangential = gradients - along[:, :, None] * rows[:, None, :]
        if self.constant is None:
            largest = np.abs(X).max(axis=1, initial=0)  # divided by first, so that squares neither overflow nor vanish
            largest = np.where(largest > 0, largest, 1).astype(np.float64)
            scaled = X / largest[:, None]
            inverse = 1 / np.maximum(np.sqrt(np.einsum("ij,ij->i", scaled, scaled)), 1) / largest
        else:
            inverse = rows[:, -1] / self.constant
        return tangential[:, :, : X.shape[1]] * inverse[:, None, None]


def column_spreads(X, shares):
    """Return the weighted standard deviation of each column of a dense or sparse table."""
    if issparse(X):
        return sparse_column_spreads(canonical(X), shares)
    unit = np.abs(X).max(axis=0, initial=0).astype(np.float64)  # so that squares neither overflow nor vanish
    divisor = np.where(unit > 0, unit, 1.0)
    mean, squares = np.zeros(X.shape[1]), np.zeros(X.shape[1])
    for rows in _slices(len(X)):
        mean += shares[rows] @ (X[rows] / divisor)
    for rows in _slices(len(X)):
        squares += shares[rows] @ (X[rows] / divisor - mean) ** 2
    spreads = np.sqrt(squares)
    spreads[spreads <= 1000 * np.finfo(np.float64).eps] = 0  # of a constant column, whose mean is off by some digits
    return spreads * unit


class Standardiser(NamedTuple):
    """y -> (y - mean) / scale, output by output."""

    mean: np.ndarray
    scale: np.ndarray

    @classmethod
    def fit(cls, y, shares, centred):
        """Return the weighted mean (zero unless centred) and the weighted root mean square around it as units.

        Where that is zero, the scale is one, or a power of two near targets that are far from one.
        """
        largest = np.abs(y).max(axis=0, initial=0)
        unit = unit_of(largest)
        if (unit != 1).any():  # so that squares neither overflow nor vanish
            mean, scale = cls.fit(y / unit, shares, centred)
            with np.errstate(over="ignore"):
                return cls(mean * unit, scale * unit)
        mean = shares @ y if centred else np.zeros(y.shape[1])
        if centred:  # of a constant without rounding, since to some losses small residuals are like large ones
            mean = np.where(y.min(axis=0) == y.max(axis=0), y[0], mean)
        scale = np.sqrt(shares @ (y - mean) ** 2)
        # Deviations of rounding size are those of a constant target.
        negligible = scale <= 10 * np.finfo(np.float64).eps * largest
        return cls(mean, np.where(negligible, unit_of(largest, ordinary=32), scale))

    def __call__(self, y, dtype):
        return np.ascontiguousarray((y - self.mean) / self.scale, dtype=dtype)

    def inverse(self, y):
        return y * self.scale.astype(y.dtype) + self.mean.astype(y.dtype)


def in_canonical_order(X, y, weights, labels):
    """Return the distinct rows of (X, y, labels) in lexicographic order, and the weights, those of equal rows added up.

    Batches drawn from rows in this order do not depend on the order in which rows came,
    nor on whether a sample came twice or with weight two.
    """
    if issparse(X):
        return sparse_rows_in_canonical_order(X, y, weights, labels)
    order = np.lexsort([labels, *y.T, *X.T])
    X, y, weights, labels = X[order], y[order], weights[order], labels[order]
    distinct = np.ones(len(X), dtype=bool)
    distinct[1:] = (X[1:] != X[:-1]).any(axis=1) | (y[1:] != y[:-1]).any(axis=1) | (labels[1:] != labels[:-1])
    return X[distinct], y[distinct], np.add.reduceat(weights, np.flatnonzero(distinct)), labels[distinct]


def _slices(n):
    return [slice(start, min(start + ROWS_AT_ONCE, n)) for start in range(0, n, ROWS_AT_ONCE)]
