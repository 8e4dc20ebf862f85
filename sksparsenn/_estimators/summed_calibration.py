"""What rows left out tell of a fit on rows in parts, by sums: score, intervals, deviations, temperature.

The residuals of all rows are not brought together.  Of each group of rows that the same networks left out, a part keeps
about MOST_SIZES sizes of residuals, each with the weight of those that it stands for, which are no larger; so do sums
of parts.  Intervals that follow from them are never narrower than with all sizes.
"""

from typing import NamedTuple

import numpy as np

from sksparsenn._estimators.committee import members_of
from sksparsenn._estimators.targets import Labels
from sksparsenn._estimators.uncertainty import (
    GROWTHS,
    Spread,
    moments_of_spread,
    sums_of_growths,
    temperature,
)
from sksparsenn._network.losses import classification_loss
from sksparsenn._training.streams import Moments

# Sizes of residuals that stand for all of a group.
MOST_SIZES = 1024


class LeftOut(NamedTuple):
    """The rows of a part that some network left out: what these networks predict, in standard units, and the truth."""

    predictions: np.ndarray
    spreads: np.ndarray
    """Variance of the outputs of all networks."""
    encoded: np.ndarray
    weights: np.ndarray
    labels: np.ndarray
    numbers: np.ndarray
    """Of the rows in the part."""

    @classmethod
    def of(cls, lifted, networks, leaves_out):
        """Return the rows of a part that are left out."""
        rows = np.flatnonzero(leaves_out.any(axis=0)[lifted.labels])
        left_out = lifted.part(rows)
        labels, outputs = left_out.labels, []
        for place, network in enumerate(networks):
            own = network.outputs(left_out.samples) if len(rows) else np.empty((0, network.signs.shape[1]))
            outputs.append(own if left_out.offsets is None else own + left_out.offsets[place])
        outputs, mine = np.stack(outputs), leaves_out[:, labels]
        predictions = np.einsum("ki,kio->io", mine.astype(outputs.dtype), outputs) / mine.sum(axis=0)[:, None]
        spreads = outputs.var(axis=0, dtype=np.float64)
        return cls(predictions, spreads, left_out.encoded, left_out.weights, labels, rows)

    def residuals(self, units):
        """Return how far predictions are from the truth, in standard units."""
        return units(self.encoded, np.float64) - self.predictions


def calibrate(estimator, start):
    """Store the score of rows left out and what they tell of the uncertainty, if the fit left rows out for that."""
    if not start.calibrates:
        return
    networks = members_of(estimator._network(), estimator.n_members_)
    rows = start.parts.map(LeftOut.of, start.lifted, networks, start.folds.leaves_out)
    if start.parts.bring_together:  # their numbers have a meaning for the user
        left_out = start.parts.sum(predictions_of, rows, start.lifted)
        left_out, weighs = np.concatenate(left_out), start.weighs_something
        outputs = np.full((len(weighs), left_out.shape[1]), np.nan, left_out.dtype)
        outputs[weighs] = left_out
        estimator.cv_prediction_ = estimator._from_outputs(outputs)
    if isinstance(start.targets, Labels):
        _calibrate_labels(estimator, start, rows)
    else:
        _calibrate_numbers(estimator, start, rows)


def predictions_of(rows, lifted):
    """Return in a list what the rows of a part are predicted where they were left out, else NaN."""
    predictions = np.full((len(lifted.y), rows.predictions.shape[1]), np.nan, rows.predictions.dtype)
    predictions[rows.numbers] = rows.predictions
    return [predictions]


def _calibrate_numbers(estimator, start, rows):
    parts, units, leaves_out = start.parts, start.targets.units, start.folds.leaves_out
    squares = parts.sum(SquaredErrors.of, rows, units)
    with np.errstate(divide="ignore", invalid="ignore"):
        scores = 1 - squares.errors / squares.y.deviation**2 / squares.weight
    constant = squares.y.constant
    scores = np.where(constant, np.where(squares.errors > 0, 0.0, 1.0), scores)  # as scikit-learn has it
    estimator.cv_score_ = float(scores.mean())
    moments = parts.sum(_moments_of_spread, rows, units) / squares.weight
    growths = [GROWTHS / spread if spread > 0 else GROWTHS for spread in moments[1]]
    means = parts.sum(_sums_of_growths, rows, units, growths) / squares.weight
    estimator._spreads = np.array([
        Spread.of_sums(noise, own, sums) if noise > 0 and spread > 0 else Spread(noise, noise, 0.0)
        for noise, spread, own, sums in zip(*moments, growths, means, strict=True)
    ])  # fmt: skip
    patterns = np.flatnonzero(leaves_out.any(axis=0))
    found = parts.sum(CompressedResiduals.of, rows, units, patterns).as_attributes()
    estimator._residual_sizes, estimator._residual_cumulated, estimator._residual_starts = found
    estimator._left_out_by = leaves_out[:, patterns] / leaves_out[:, patterns].sum(axis=0)


def _calibrate_labels(estimator, start, rows):
    parts, units = start.parts, start.targets.units
    right, weight = parts.sum(_right, rows, units, start.class_factors)
    estimator.cv_score_ = float(right / weight)
    if estimator.loss == "log_loss":
        estimator.temperature_ = temperature(lambda factor: float(parts.sum(_slope, rows, units, factor)))


class SquaredErrors(NamedTuple):
    """Of rows left out: squared residuals, and the moments of y about its mean, in standard units."""

    weight: float
    errors: np.ndarray
    y: Moments | None

    @classmethod
    def of(cls, rows, units):
        """Return the sums over the rows of a part."""
        if not len(rows.weights):
            return cls(0.0, np.zeros(rows.encoded.shape[1]), None)
        weight = float(rows.weights.sum())
        errors = rows.weights @ np.square(rows.residuals(units))
        y = units(rows.encoded, np.float64)
        return cls(weight, errors, Moments.of(y, rows.weights / weight, True))

    def __add__(self, other):
        weight = self.weight + other.weight
        if self.y is None or other.y is None:
            return SquaredErrors(weight, self.errors + other.errors, self.y or other.y)
        return SquaredErrors(weight, self.errors + other.errors, self.y.joined(other.y, other.weight / weight))


def _moments_of_spread(rows, units):
    columns = zip(rows.residuals(units).T, rows.spreads.T, strict=True)
    return np.stack([moments_of_spread(own, spreads, rows.weights) for own, spreads in columns], axis=1)


def _sums_of_growths(rows, units, growths):
    columns = zip(rows.residuals(units).T, rows.spreads.T, growths, strict=True)
    return np.stack([sums_of_growths(own, spreads, rows.weights, g) for own, spreads, g in columns])


class CompressedResiduals(NamedTuple):
    """For each output and group, ascending sizes of residuals and the weights that they stand for."""

    groups: list

    @classmethod
    def of(cls, rows, units, patterns):
        """Return the residuals of the rows of a part, in groups of the same label."""
        sizes = np.abs(rows.residuals(units)).T
        return cls([
            [compressed(own[rows.labels == label], rows.weights[rows.labels == label]) for label in patterns]
            for own in sizes
        ])  # fmt: skip

    def __add__(self, other):
        def joined(one, two):
            return compressed(*(np.concatenate(both) for both in zip(one, two, strict=True)))

        outputs = zip(self.groups, other.groups, strict=True)
        return CompressedResiduals([list(map(joined, *both)) for both in outputs])

    def as_attributes(self):
        """Return sizes, cumulated weights and starts as `Residuals` holds them: as many sizes for each output."""
        n_groups = len(self.groups[0])
        most = [max(len(output[group][0]) for output in self.groups) for group in range(n_groups)]
        sizes, cumulated = [], []
        for output in self.groups:
            filled = [_filled(*own, length) for own, length in zip(output, most, strict=True)]
            sizes.append(np.concatenate([own for own, _ in filled]))
            cumulated.append(np.concatenate([np.append(0.0, np.cumsum(own)) for _, own in filled]))
        return np.stack(sizes, axis=1), np.stack(cumulated, axis=1), np.append(0, np.cumsum(most))


def compressed(sizes, weights):
    """Return at most MOST_SIZES sizes, ascending, and for each the weight of the sizes up to it from the one before."""
    order = np.argsort(sizes, kind="stable")
    sizes, weights = sizes[order], weights[order]
    if len(sizes) <= MOST_SIZES:
        return sizes, weights
    cumulated = np.cumsum(weights)
    ends = np.searchsorted(cumulated, np.linspace(0, cumulated[-1], MOST_SIZES + 1)[1:] * (1 - 1e-12))
    ends = np.unique(np.append(np.minimum(ends, len(sizes) - 1), len(sizes) - 1))
    return sizes[ends], np.diff(cumulated[ends], prepend=0.0)


def _filled(sizes, weights, length):
    """Return as many sizes and weights, the last with the weight zero."""
    missing = length - len(sizes)
    return np.append(sizes, np.full(missing, sizes[-1])), np.append(weights, np.zeros(missing))


def _right(rows, units, factors):
    """Return the weight, without the factors of classes, of the rows whose label is predicted, and of all."""
    scores = units.inverse(rows.predictions)
    if scores.shape[1] == 1:
        found, true = (scores[:, 0] > 0).astype(int), (rows.encoded[:, 0] > 0).astype(int)
    else:
        found, true = scores.argmax(axis=1), rows.encoded.argmax(axis=1)
    weights = rows.weights / factors[true]
    return np.array([weights @ (found == true), weights.sum()])


def _slope(rows, units, factor):
    """Return the derivative of the log loss in a factor of the scores, summed over the rows."""
    scores = units.inverse(rows.predictions)
    loss = classification_loss("log_loss", np.zeros(scores.shape[1]))
    return float((rows.weights * (loss.derivative(factor * scores, rows.encoded) * scores).sum(axis=1)).sum())
