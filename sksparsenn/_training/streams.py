"""What is measured on the parts of a stream as they come: the units of X and y, and how long a step may be.

A part may be a single row.  So units are those of all rows so far until there were enough of them, and a step is
sized by the rows that it takes.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sksparsenn._samples.lift import Lift, Standardiser

# From so many distinct rows on, the units of a stream stay as they are.
ENOUGH_ROWS = 200


class Moments(NamedTuple):
    """Weighted mean of each column, and root mean square distance from it: of all columns together, or of each."""

    mean: np.ndarray
    deviation: np.ndarray | float

    @property
    def constant(self):
        """Whether the numbers of each column are equal, but for rounding."""
        return self.deviation <= 10 * np.finfo(np.float64).eps * np.abs(self.mean)

    @property
    def units(self):
        """The units that `Standardiser.fit` would give."""
        return Standardiser(self.mean, np.where(self.constant, 1.0, self.deviation))

    def joined(self, other, share):
        """Return the moments of both sets of rows, of which the other weighs this share."""
        apart = other.mean - self.mean
        if np.ndim(self.deviation) == 0:  # the Euclidean length, by the largest entry so that no square overflows
            apart = np.abs(apart)
            largest = apart.max(initial=0)
            apart = largest * np.sqrt(np.square(apart / (largest or 1.0)).sum())
        within = np.hypot(np.sqrt(1 - share) * self.deviation, np.sqrt(share) * other.deviation)
        between = np.sqrt(share * (1 - share)) * np.abs(apart)
        return Moments(self.mean + share * (other.mean - self.mean), np.hypot(within, between))

    @classmethod
    def of(cls, y, shares, centred):
        """Return the moments of each column of y, about the mean or about zero."""
        mean = shares @ y if centred else np.zeros(y.shape[1])
        largest = np.abs(y - mean).max(axis=0, initial=0)
        return cls(mean, largest * np.sqrt(shares @ np.square((y - mean) / np.where(largest > 0, largest, 1.0))))


def joined_lift(lift, other, share, intercept_scaling):
    """Return the lift of both sets of rows, of which the second weighs this share."""
    if lift.constant is None:
        return lift
    centre, spread = Moments(lift.centre, lift.spread).joined(Moments(other.centre, other.spread), share)
    return Lift(centre, intercept_scaling * float(spread) if spread > 0 else lift.constant, float(spread))


@dataclass
class StreamRate:
    """How long the steps of a stream may be: at its steepest so far, for as many rows as a step takes.

    With H the mean of J_i^T J_i over the stream, of largest eigenvalue lambda, and J_i J_i^T <= beta, a step on rows
    of shares p, of sum P, converges fastest at the rate P / (beta sum(p^2) + lambda (P^2 - sum(p^2))) [Ma, Bassily and
    Belkin 2018, for equal shares]; momentum adds up the noise of 1 / (1 - momentum) steps, and beta grows by that
    factor.
    """

    beta: float = 0.0
    """The largest so far."""
    curvature: float = 0.0
    """The largest lambda of those parts that were large enough to estimate it."""
    rows_measured: float = 0.0
    """The largest number of rows that lambda was measured on; few rows overestimate it."""
    part_curvature: float = 0.0
    """Lambda of this part."""
    kernel_unit: float = 0.0
    rows: int = 0
    """Rows that the kernel unit is a mean over."""
    clock: float = 0.0
    """Steps so far, each counted by its rate over that of a step on very many rows."""

    remembered = "beta", "curvature", "rows_measured", "kernel_unit", "rows", "clock"

    def measure(self, diagonal, shares, curvature, loss_curvature):
        """Record the kernel's diagonal on a part and, for more than one row, the curvature."""
        if self.rows < ENOUGH_ROWS:
            mean = float((shares * diagonal).sum() / shares.sum())
            self.rows += len(shares)
            self.kernel_unit += (mean - self.kernel_unit) * len(shares) / self.rows
        self.beta = max(self.beta, loss_curvature * float(diagonal.max(initial=0)))
        self.part_curvature = loss_curvature * curvature / shares.sum()
        rows = shares.sum() ** 2 / np.square(shares).sum()
        if rows >= 2 * self.rows_measured:
            self.curvature = 0.0
        if 2 * rows >= self.rows_measured:
            self.curvature = max(self.curvature, self.part_curvature)
        self.rows_measured = max(self.rows_measured, rows)

    def of_step(self, shares, momentum, ridge):
        """Return the rate of a step on rows of these shares."""
        total, squares = shares.sum(), np.square(shares).sum()
        curvature = max(self.curvature, self.part_curvature)
        steepness = (self.beta / (1 - momentum) * squares + curvature * max(total**2 - squares, 0.0)) / total + ridge
        rate = 1 / steepness if steepness > 0 else 1.0
        self.clock += min(rate * (curvature * total + ridge), 1.0)
        return rate
