"""The linear part of each network of an estimator: fitted before the networks, stored as arrays, and made from them."""

import numpy as np

from sksparsenn._estimators.folds import Folds, make_folds
from sksparsenn._network.linear_part import Features, LinearPart
from sksparsenn._training.linear_fit import Moments, best_strengths, linear_parts
from sksparsenn._utils.range import aligned

# For linear_part="auto": a matrix with a row for each feature is factored for each network.
MOST_FEATURES = 1000

ATTRIBUTES = (
    "linear_weights_", "linear_intercept_", "feature_range_", "_linear_centre", "_linear_spread", "_linear_weights",
    "_linear_intercepts",
)  # fmt: skip


def is_wanted(linear_part, n_features):
    """Return whether a linear part is to be fitted, by the parameter of that name."""
    return n_features <= MOST_FEATURES if linear_part == "auto" else linear_part


def new_linear_parts(start, centred):
    """Return the linear part of each network to train, fitted to its rows; none if the features do not vary.

    The strength of the ridge is the one of least error on the rows that networks leave out, or that are held out; where
    there are none, on folds of its own.
    """
    table, folds, validation = start.table, start.folds, None
    features = Features.fit(table.X, table.weights / table.weights.sum(), centred)
    if features is None:
        return []
    y, labels = start.targets.units(table.encoded, np.float64), table.labels
    if folds is not None:
        trains = folds.trains
    elif start.held_out is not None:
        rows, trains = start.held_out, np.ones((1, 1), dtype=bool)
        folds = Folds(labels, trains, trains)
        y_held_out = start.targets.units(start.targets.encode(rows.y, "y_val"), np.float64)
        validation = Moments.of(features, rows.X, y_held_out, rows.weights)
    else:
        folds = make_folds("auto", table.X, table.encoded, table.weights, None, classes=None, seed=0)
        labels, trains = folds.labels, np.ones((1, folds.trains.shape[1]), dtype=bool)
    places = (np.flatnonzero(labels == label) for label in range(folds.trains.shape[1]))
    moments = [Moments.of(features, table.X[rows], y[rows], table.weights[rows]) for rows in places]
    best = best_strengths(moments, folds, centred, validation)
    return linear_parts(features, moments, trains, centred, best)


def attributes_of(parts):
    """Return the attributes of an estimator from which its linear parts can be made again; none of no parts."""
    if not parts:
        return {}
    low, high, centre, spread = parts[0].features
    weights, intercepts = (np.stack([getattr(part, name) for part in parts]) for name in ("weights", "intercept"))
    return {
        "linear_weights_": weights.mean(axis=0),
        "linear_intercept_": intercepts.mean(axis=0),
        "feature_range_": np.stack([low, high]),
        "_linear_centre": centre,
        "_linear_spread": spread,
        "_linear_weights": weights,
        "_linear_intercepts": intercepts,
    }


def parts_of(estimator):
    """Return the linear part of each network of a fitted estimator; empty if it has none."""
    if not hasattr(estimator, "_linear_weights"):
        return []
    features = _features_of(estimator)
    return [
        LinearPart(features, *arrays)
        for arrays in zip(estimator._linear_weights, estimator._linear_intercepts, strict=True)
    ]


def mean_part_of(estimator):
    """Return the mean of the linear parts of a fitted estimator, or None if it has none."""
    if not hasattr(estimator, "_linear_weights"):
        return None
    return LinearPart(_features_of(estimator), estimator.linear_weights_, estimator.linear_intercept_)


def _features_of(estimator):
    low, high = aligned(estimator.feature_range_)
    return Features(low, high, aligned(estimator._linear_centre), estimator._linear_spread)
