"""The linear part of a prediction: linear in the features, each clipped to the range that it had in training.

A linear function of the features themselves has no bounds: far outside of the training range it would decide
everything.  Clipped, it goes on as a constant there.
"""

from typing import NamedTuple

import numpy as np
from scipy.sparse import issparse

from sksparsenn._compiled.tables import clipped_features, largest_of
from sksparsenn._utils.range import unit_of

# Rows computed at a time, so that temporary copies stay small.
ROWS_AT_ONCE = 1 << 15


class Features(NamedTuple):
    """x -> (clip(x) - centre) / spread, with one spread for all features, so that rows have lengths near one."""

    low: np.ndarray
    high: np.ndarray
    """The range of each feature."""
    centre: np.ndarray
    spread: float

    @classmethod
    def fit(cls, X, shares, centred):
        """Return the features of a table, or None if its rows do not differ."""
        low, high = (_dense(extreme) for extreme in (X.min(axis=0), X.max(axis=0)))
        features = cls(low, high, np.zeros(len(low)), 1.0)
        unit = features.unit
        centre = sum(shares[rows] @ (clipped / unit) for rows, clipped in features.clipped(X)) if centred else 0.0
        square = sum(
            shares[rows] @ np.square(clipped / unit - centre).sum(axis=1) for rows, clipped in features.clipped(X)
        )
        spread = float(np.sqrt(square)) * unit
        rounding = 10 * np.finfo(np.float64).eps * max(np.abs(low).max(), np.abs(high).max())
        if not rounding < spread < np.inf:
            return None
        return features._replace(centre=np.zeros(len(low)) + centre * unit, spread=spread)

    @property
    def unit(self):
        """A power of two by which numbers are divided that are so large that their squares overflow; else one."""
        largest = largest_of(self.low, self.high)
        return 1.0 if 2.0**-499 < largest < 2.0**499 else float(unit_of(largest, ordinary=500))

    def clipped(self, X):
        """Yield parts of X: their rows, and the clipped features as a dense float64 matrix."""
        for rows, part in self.parts(X):
            yield rows, np.clip(part, self.low, self.high)

    @staticmethod
    def parts(X):
        """Yield parts of X, dense or sparse: their rows, and these as a dense float64 matrix."""
        for start in range(0, X.shape[0], ROWS_AT_ONCE):
            rows = slice(start, min(start + ROWS_AT_ONCE, X.shape[0]))
            part = X[rows].toarray() if issparse(X) else X[rows]
            yield rows, np.ascontiguousarray(part, dtype=np.float64)

    def __call__(self, X):
        """Yield parts of X: their rows, and the features as a dense float64 matrix."""
        unit = self.unit
        for rows, part in self.parts(X):
            yield rows, clipped_features(part, self, unit)


class LinearPart(NamedTuple):
    """x -> intercept + weights^T features(x), in standard units of the targets."""

    features: Features
    weights: np.ndarray
    """(n_features, n_outputs)"""
    intercept: np.ndarray
    """(n_outputs,)"""

    def outputs(self, X, dtype):
        """Return the outputs for the rows of a table; nothing here calls BLAS, whose threads would change bits."""
        outputs = np.empty((X.shape[0], len(self.intercept)), dtype=dtype)
        columns = np.ascontiguousarray(self.weights.T)
        for rows, features in self.features(X):
            outputs[rows] = np.einsum("ij,oj->io", features, columns) + self.intercept
        return outputs

    def gradients(self, X):
        """Return the gradients of the outputs at the rows of a dense table, (n_samples, n_outputs, n_features)."""
        inside = (self.features.low <= X) & (self.features.high >= X)
        return inside[:, None] * (self.weights.T / self.features.spread)


def _dense(extremes):
    return np.asarray(extremes.todense() if issparse(extremes) else extremes, dtype=np.float64).ravel()
