"""Facts: what is known of all rows together, as a sum over rows in parts, and the units that follow from it."""

from typing import NamedTuple

import numpy as np

from sksparsenn._network.linear_part import Features
from sksparsenn._samples.lift import Lift, Standardiser
from sksparsenn._training.streams import Moments
from sksparsenn._utils.range import unit_of

# More labels than these are numbers that a regressor should take.
MOST_CLASSES = 10_000


class Facts(NamedTuple):
    """What is known of all rows together; adding up two sets of rows gives that of both."""

    n_rows: int
    weight: float
    dtype: np.dtype
    low: np.ndarray
    high: np.ndarray
    """The range of each feature."""
    X: Moments
    y: Moments | None
    """Of numbers, about their means."""
    single_output: bool
    low_y: np.ndarray | None
    high_y: np.ndarray | None
    classes: dict
    """Of labels, what each weighs."""
    label_dtype: np.dtype | None

    @classmethod
    def of(cls, rows, labels):
        """Return the facts of the `Rows` of a part, with labels or numbers as targets."""
        X, y, weights = rows
        shares, X = weights / weights.sum(), X.astype(np.float64, copy=False)
        if labels:
            require_labels(y)
            classes, places = np.unique(y, return_inverse=True)
            if len(classes) > MOST_CLASSES:
                raise ValueError(f"y holds more than {MOST_CLASSES} labels: for numbers use a regressor.")
            of_classes = dict(zip(classes.tolist(), np.bincount(places, weights), strict=True))
            of_y = None, True, None, None, of_classes, y.dtype
        else:
            columns = y.reshape(len(y), -1)
            of_y = Moments.of(columns, shares, True), y.ndim == 1, columns.min(axis=0), columns.max(axis=0), {}, None
        moments = Moments.of(X, shares, True)
        dtype = rows.X.dtype
        return cls(len(y), float(weights.sum()), dtype, X.min(axis=0), X.max(axis=0), moments, *of_y)

    def __add__(self, other):
        for name, mine, theirs in (
            ("features", len(self.low), len(other.low)),
            ("outputs", np.shape(self.low_y), np.shape(other.low_y)),
        ):
            if mine != theirs:
                raise ValueError(f"partitions differ in their {name}: {mine} and {theirs}.")
        weight = self.weight + other.weight
        share = other.weight / weight
        numbers = self.y is not None
        return Facts(
            self.n_rows + other.n_rows,
            weight,
            np.promote_types(self.dtype, other.dtype),
            np.minimum(self.low, other.low),
            np.maximum(self.high, other.high),
            self.X.joined(other.X, share),
            self.y.joined(other.y, share) if numbers else None,
            self.single_output,
            np.minimum(self.low_y, other.low_y) if numbers else None,
            np.maximum(self.high_y, other.high_y) if numbers else None,
            {
                label: self.classes.get(label, 0.0) + other.classes.get(label, 0.0)
                for label in sorted({**self.classes, **other.classes})
            },
            None if numbers else np.promote_types(self.label_dtype, other.label_dtype),
        )


def require_labels(y):
    """Raise ValueError if labels are numbers that are not whole."""
    if y.dtype.kind == "f" and (y != np.floor(y)).any():
        example = y[y != np.floor(y)][0]
        raise ValueError(f"Unknown label type: continuous. y holds {example}: for numbers use a regressor.")


def balanced(rows, factors):
    """Return rows with their weights times the factors of their classes, which are in order."""
    places = np.searchsorted(np.array(list(factors)), rows.y)
    return rows._replace(weights=rows.weights * np.array(list(factors.values()))[places])


def lift_of(facts, fit_intercept, intercept_scaling):
    """Return the `Lift` that `Lift.fit` gives."""
    if not fit_intercept:
        return Lift(np.zeros(len(facts.low)), None, 0.0)
    spread = float(np.sqrt(np.square(facts.X.deviation).sum()))
    unit = max(np.abs(facts.low).max(), np.abs(facts.high).max()) or 1.0
    if not spread and (facts.low != facts.high).any():
        raise ValueError(f"squares of entries of X, up to {unit:.3g}, vanish in float64: multiply X by a constant.")
    lift = Lift(facts.X.mean, intercept_scaling * (spread or float(unit)), spread)
    if not (np.isfinite(lift.centre).all() and np.isfinite([lift.constant, spread]).all()):
        raise ValueError(f"squares of entries of X, up to {unit:.3g}, do not fit into float64: divide X by a constant.")
    return lift


def features_of(facts, fit_intercept):
    """Return the `Features` that `Features.fit` gives, or None if rows do not differ."""
    low, high = facts.low.astype(np.float64), facts.high.astype(np.float64)
    if fit_intercept:
        centre, square = facts.X.mean, np.square(facts.X.deviation).sum()
    else:
        centre, square = np.zeros(len(low)), (np.square(facts.X.deviation) + np.square(facts.X.mean)).sum()
    spread = float(np.sqrt(square))
    rounding = 10 * np.finfo(np.float64).eps * max(np.abs(low).max(), np.abs(high).max())
    return Features(low, high, centre, spread) if rounding < spread < np.inf else None


def units_of_numbers(facts, centred):
    """Return the units of targets that `Standardiser.fit` gives."""
    constant = facts.low_y == facts.high_y
    largest = np.maximum(np.abs(facts.low_y), np.abs(facts.high_y))
    mean = np.where(constant, facts.low_y, facts.y.mean) if centred else np.zeros(len(largest))
    scale = facts.y.deviation if centred else np.hypot(facts.y.deviation, facts.y.mean)
    negligible = scale <= 10 * np.finfo(np.float64).eps * largest
    return Standardiser(mean, np.where(negligible, unit_of(largest, ordinary=32), scale))
