"""The ridge of each iteration: a constant one, or a path on which it falls from iteration to iteration.

A large ridge keeps the weights near their start, where the network is linear in them: the regime of the tangent
kernel.  As it falls the weights travel further, and features are learned.  Along the path the error on new rows falls,
passes its best and rises again; rows held out tell where.
"""

from typing import NamedTuple

# The ridge of the first iteration, relative to the weighted mean of the tangent kernel's diagonal, and the factor from
# one iteration to the next.
FIRST, FACTOR = 10.0, 0.5

# The path ends here: measured, a smaller ridge changes no prediction for the better, but makes systems so
# ill-conditioned that a step depends on the rounding of its sums.
LEAST = 1e-5


class ConstantRidge(NamedTuple):
    """The same ridge in every iteration."""

    alpha: float
    falls = False

    def at(self, iteration):
        """Return the relative ridge of an iteration, which are numbered from 0."""
        return self.alpha


class RidgePath(NamedTuple):
    """A ridge that falls by a factor before every iteration, down to a least one."""

    first: float = FIRST
    factor: float = FACTOR
    least: float = LEAST
    falls = True

    def at(self, iteration):
        """Return the relative ridge of an iteration, which are numbered from 0."""
        return max(self.first * self.factor**iteration, self.least)


def ridge_of(alpha):
    """Return the path that the parameter `alpha` of an estimator stands for."""
    return RidgePath() if alpha == "auto" else ConstantRidge(alpha)
