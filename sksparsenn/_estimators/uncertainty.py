"""How far to trust a prediction: a standard deviation and intervals, from residuals of rows that networks left out.

All numbers are in standard units of the targets, for one output.
"""

from typing import NamedTuple

import numpy as np

# Growths of the variance with the spread of the networks that are tried, in units of one over the mean spread.
GROWTHS = np.append(0.0, 10.0 ** np.arange(-2, 5.01, 0.05))

# Halvings after which a bracket of a quantile holds a single number.
HALVINGS = 64


class Spread(NamedTuple):
    """A predictive variance: sqrt(noise * (least + slope * spread of the networks)).

    It is the geometric mean of one that is the same everywhere and one that grows with the variance of the networks'
    outputs.  The latter alone is too sure where networks agree: they have seen most rows that it is fitted to.
    """

    noise: float
    least: float
    slope: float

    @classmethod
    def fit(cls, residuals, spreads, weights):
        """Return the variance of greatest normal likelihood of residuals, where networks have these spreads."""
        total = weights.sum()
        noise, mean_spread = moments_of_spread(residuals, spreads, weights) / total
        if not noise > 0 or not mean_spread > 0:
            return cls(noise, noise, 0.0)
        growths = GROWTHS / mean_spread
        return cls.of_sums(noise, growths, sums_of_growths(residuals, spreads, weights, growths) / total)

    @classmethod
    def of_sums(cls, noise, growths, means):
        """Return the variance of greatest likelihood, from the means of `sums_of_growths`."""
        least, logarithms = means
        best = (np.log(least) + logarithms).argmin()
        return cls(float(noise), float(least[best]), float(least[best] * growths[best]))

    def variance(self, spreads):
        """Return the predictive variance where networks have these spreads."""
        return np.sqrt(self.noise * (self.least + self.slope * spreads))


def moments_of_spread(residuals, spreads, weights):
    """Return the weighted sums of squared residuals and of spreads."""
    return np.array([float(weights @ residuals**2), float(weights @ spreads)])


def sums_of_growths(residuals, spreads, weights, growths):
    """Return, with f = 1 + growth * spread, the weighted sums of residual^2 / f and of ln f for each growth."""
    squares, sums = weights * residuals**2, np.empty((2, len(growths)))
    for place, growth in enumerate(growths):
        factors = 1 + growth * spreads
        sums[:, place] = float((squares / factors).sum()), float(weights @ np.log(factors))
    return sums


class Residuals(NamedTuple):
    """Sizes of residuals, ascending within groups of rows that the same networks left out, and what these weigh."""

    sizes: np.ndarray
    """(n_rows, n_outputs)"""
    cumulated: np.ndarray
    """Weight of the first residuals of a group, beginning with none of them: (n_rows + n_groups, n_outputs)."""
    starts: np.ndarray
    """Where groups begin among the rows, and the number of rows."""

    @classmethod
    def of(cls, residuals, weights, groups, n_groups):
        """Return the residuals of rows with these weights and numbers of groups."""
        starts = np.searchsorted(np.sort(groups), np.arange(n_groups + 1))
        sizes, cumulated = [], []
        for size in np.abs(residuals).T:
            order = np.lexsort([size, groups])
            sums = np.split(weights[order], starts[1:-1])
            sizes.append(size[order])
            cumulated.append(np.concatenate([np.append(0.0, np.cumsum(part)) for part in sums]))
        return cls(np.stack(sizes, axis=1), np.stack(cumulated, axis=1), starts)

    def groups(self, output):
        """Return the sizes and cumulated weights of each group, for one output."""
        bounds = zip(self.starts[:-1], self.starts[1:], strict=True)
        return [
            (self.sizes[first:last, output], self.cumulated[first + group : last + group + 1, output])
            for group, (first, last) in enumerate(bounds)
        ]

    @property
    def weight(self):
        """The weight of all rows."""
        return float(sum(cumulated[-1] for _, cumulated in self.groups(0)))


def upper_ends(centres, groups, coverage):
    """Return for each prediction the upper end of its CV+ interval [Barber, Candes, Ramdas and Tibshirani 2021, (13)].

    It is the smallest t for which at least (1 - a)(S + 1) of the weight S of all residuals has centre + size <= t.

    Parameters
    ----------
    centres : ndarray of shape (n_groups, n_predictions)
        Predictions by the networks that left a group out.
    groups : list of (sizes, cumulated)
        As `Residuals.groups` returns them; none is empty.
    coverage : float
        1 - a.
    """
    total = sum(cumulated[-1] for _, cumulated in groups)
    needed = coverage * (total + 1) * (1 - 1e-12)  # less rounding
    low = np.min([centre + sizes[0] for centre, (sizes, _) in zip(centres, groups, strict=True)], axis=0)
    high = np.max([centre + sizes[-1] for centre, (sizes, _) in zip(centres, groups, strict=True)], axis=0)
    low = np.nextafter(low, -np.inf)
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        below = np.zeros(len(middle))
        for centre, (sizes, cumulated) in zip(centres, groups, strict=True):
            below += cumulated[np.searchsorted(sizes, middle - centre, side="right")]
        enough = below >= needed
        high, low = np.where(enough, middle, high), np.where(enough, low, middle)
    return high


def temperature(slope, largest=8.0):
    """Return the number T >= 1 by which to divide scores so that their log loss is least.

    It never makes them more certain: the rows left out have chosen where training stopped, and flatter it.

    Parameters
    ----------
    slope : callable
        Of 1 / T: the derivative of the log loss, which is convex in it.
    """
    low, high = -np.log(largest), 0.0
    if slope(1.0) <= 0:
        return 1.0
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if slope(np.exp(middle)) > 0 else (middle, high)
    return float(np.exp(-0.5 * (low + high)))


def require_enough(total_weight, coverage):
    """Raise ValueError if intervals of that coverage would have to be infinite."""
    if coverage * (total_weight + 1) > total_weight * (1 + 1e-12):
        raise ValueError(
            f"coverage={coverage} needs residuals of rows of weight {coverage / (1 - coverage):.4g} or more, but those "
            f"left out weigh {total_weight:.4g} (a row counts as often as its sample_weight says): lower coverage."
        )
