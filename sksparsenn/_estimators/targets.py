"""Numbers and Labels: conversions from the user's targets to what the loss compares, and from outputs back.

Both have the same face.  A fit makes one from y, sets its `units` from the samples it trains on, and from the fitted
attributes of an estimator the same one can be made again.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from sklearn.metrics import r2_score
from sklearn.utils import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets

from sksparsenn._network.losses import REGRESSION_LOSSES, class_shares_as_scores, classification_loss
from sksparsenn._samples.lift import Standardiser
from sksparsenn._utils.range import total_weight, unit_of


@dataclass
class Numbers:
    """Targets of a regressor: a number for each output, which the network computes in standard units."""

    loss: str
    single_output: bool
    """Whether y was a vector, as predictions are then."""
    units: Standardiser | None = None

    checks: ClassVar = {"multi_output": True, "y_numeric": True}
    """Arguments of `validate_data`."""
    stratifies: ClassVar = False
    """Whether samples held out have the shares of the targets' values."""
    perfect_score: ClassVar = 1.0
    """Of outputs without error on validation samples."""

    @classmethod
    def of(cls, y, loss):
        """Return the targets of which y are examples."""
        return cls(loss, y.ndim == 1)

    @property
    def fitted_attributes(self):
        """Attributes of an estimator from which these targets can be made again."""
        return {"_single_output": self.single_output}

    def make_loss(self):
        """Return the loss."""
        return REGRESSION_LOSSES[self.loss]

    def encode(self, y, name="y"):
        """Return targets as a float64 matrix with a column for each output."""
        if y.dtype.kind not in "fiub":
            raise ValueError(f"{name} has to hold numbers, got an array of {y.dtype}; a classifier takes labels.")
        y = np.asarray(y, dtype=np.float64)
        if not np.isfinite(y).all():
            raise ValueError(f"Input {name} contains NaN or infinity: remove or replace such targets.")
        return y.reshape(len(y), -1)

    def balanced(self, y, weights):
        """Return the weights of samples in the objective: their own."""
        return weights

    def units_of(self, encoded, shares, centred):
        """Return standard units: the weighted mean, and the root mean square around it."""
        return Standardiser.fit(encoded, shares, centred)

    def units_of_moments(self, moments):
        """Return the same units from the `Moments` of encoded targets."""
        return moments.units

    def for_loss(self, encoded, dtype):
        """Return what the loss compares outputs with: targets in standard units."""
        return self.units(encoded, dtype)

    def scorer(self, encoded, weights, are_fold):
        """Return a function of outputs on validation rows: R2, averaged over targets.

        The variance is that of the rows or, for a fold, which may be a single row, that of all targets.
        """
        if are_fold:
            targets = self.units(encoded, np.float64)
            shares = weights / weights.sum()
            return lambda outputs: 1.0 - float(np.mean(shares @ np.square(outputs - targets, dtype=np.float64)))
        if len(encoded) < 2:
            raise ValueError(
                "there is 1 validation sample: R2 needs at least two; raise validation_fraction, "
                "or give more by X_val and y_val."
            )

        shares = np.full(len(encoded), 1 / len(encoded)) if weights is None else weights / weights.sum()
        targets = self.units(encoded, np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            variances = shares @ np.square(targets - shares @ targets)
            plain = (np.isfinite(variances) & (variances > 1e-12 * (shares @ np.square(targets)))).all()

        def score(outputs):
            predictions = self.units.inverse(outputs)
            if not np.isfinite(predictions).all():  # outputs that overflow score worst
                return -np.inf
            if not plain:  # constants, whose R2 is a matter of convention, and squares out of range
                return scale_free_r2(encoded, predictions, weights)
            with np.errstate(over="ignore"):
                return 1.0 - float(np.mean(shares @ np.square(outputs - targets, dtype=np.float64) / variances))

        return score

    def mean_loss(self, encoded, weights):
        """Return a function of outputs on validation rows: their mean loss."""
        return _mean_loss(self.make_loss(), self.for_loss(encoded, np.float64), weights)


@dataclass
class Labels:
    """Targets of a classifier: an output for two classes, positive for the second; else an output for each class."""

    loss: str
    classes: np.ndarray
    class_weight: dict | str | None = None
    units: Standardiser | None = None

    checks: ClassVar = {}
    stratifies: ClassVar = True
    perfect_score: ClassVar = 0.0

    @classmethod
    def of(cls, y, loss, class_weight, classes=None):
        """Return the targets of which y are examples; `classes`, if given, names all labels of a stream."""
        check_classification_targets(y)
        known = np.unique(y) if classes is None else np.unique(classes)
        if classes is not None and len(known) < 2:
            raise ValueError(f"classes={list(classes)} names fewer than two classes: give all labels of the stream.")
        require_classes(known)
        return cls(loss, known, class_weight)

    @property
    def fitted_attributes(self):
        """Attributes of an estimator from which these targets can be made again."""
        return {"classes_": self.classes}

    def make_loss(self):
        """Return the loss on labels; the log loss and the hinge add the mean of the units to outputs."""
        return classification_loss(self.loss, self.units.mean)

    def encode(self, y, name="y"):
        """Return labels as a float64 matrix of signs: +1 in the column of a sample's class, else -1."""
        places = np.searchsorted(self.classes, y)
        unknown = self.classes[np.minimum(places, len(self.classes) - 1)] != y
        if unknown.any():
            labels = np.unique(y[unknown]).tolist()
            more = f" and {len(labels) - 5} more" if len(labels) > 5 else ""
            raise ValueError(
                f"{name} holds labels that are not among the classes: {labels[:5]}{more} not in "
                f"{self.classes.tolist()}."
            )
        if len(self.classes) == 2:
            return 2.0 * places[:, None] - 1
        return 2.0 * (places[:, None] == np.arange(len(self.classes))) - 1

    def balanced(self, y, weights):
        """Return the weights of samples in the objective: their own times those of their classes."""
        if self.class_weight is None:
            return weights
        places = np.searchsorted(self.classes, y)
        if isinstance(self.class_weight, str):  # "balanced": all classes weigh the same, whatever their samples weigh
            totals = np.bincount(places, weights, minlength=len(self.classes))
            present = np.count_nonzero(totals)
            factors = weights.sum() / (present * np.where(totals > 0, totals, 1))
            if not (np.isfinite(factors) & (factors > 0)).all():  # totals too far apart for their quotient
                return weights / totals[places] * (weights.sum() / present)
        else:
            factors = compute_class_weight(self.class_weight, classes=self.classes, y=y)
        weights = weights * factors[places]
        if not weights.sum() > 0:
            raise ValueError(f"class_weight={self.class_weight!r} leaves no sample a positive weight.")
        total_weight(weights, f"class_weight={self.class_weight!r} times sample_weight")
        return weights

    def units_of(self, encoded, shares, centred):
        """Return standard units for the squared error; elsewhere shifts by the constant scores of least loss."""
        if self.loss == "squared_error":
            return Standardiser.fit(encoded, shares, centred)
        return self._shifts(shares @ (encoded > 0), centred)

    def units_of_moments(self, moments):
        """Return the same units from the `Moments` of encoded targets; without intercept these have mean zero."""
        if self.loss == "squared_error":
            return moments.units
        return self._shifts((1 + moments.mean) / 2, centred=bool(moments.mean.any()))

    def _shifts(self, class_shares, centred):
        offset = class_shares_as_scores(class_shares) if self.loss == "log_loss" else np.sign(class_shares - 0.5)
        return Standardiser(offset if centred else np.zeros_like(offset), np.ones_like(offset))

    def for_loss(self, encoded, dtype):
        """Return what the loss compares outputs with: signs in standard units for the squared error, else signs."""
        if self.loss == "squared_error":
            return self.units(encoded, dtype)
        return np.ascontiguousarray(encoded, dtype=dtype)

    def scorer(self, encoded, weights, are_fold):
        """Return a function of outputs on validation rows: minus the mean loss, which unlike accuracy has no steps."""
        mean_loss = self.mean_loss(encoded, weights)
        return lambda outputs: -mean_loss(outputs)

    def mean_loss(self, encoded, weights):
        """Return a function of outputs on validation rows: their mean loss."""
        return _mean_loss(self.make_loss(), self.for_loss(encoded, np.float64), weights)


def require_classes(classes):
    """Raise ValueError unless there are several classes."""
    if len(classes) < 2:
        raise ValueError(
            f"y holds one class only, {classes.tolist()}, among the samples that weigh something: "
            "a classifier needs at least two classes."
        )


def _mean_loss(loss, targets, weights):
    """Return a function of outputs: their mean loss."""
    shares = weights / weights.sum()
    return lambda outputs: float((shares * loss.value(outputs, targets)).sum())


def scale_free_r2(targets, predictions, weights):
    """Return R2, which does not depend on the units of targets and weights, though its squares and sums do."""
    targets = np.asarray(targets)
    unit = unit_of(np.abs(targets).max(axis=0, initial=0)) if targets.dtype.kind == "f" else 1.0
    with np.errstate(over="ignore"):  # beside tiny targets the worst predictions are infinitely bad
        if np.any(unit != 1):
            targets, predictions = targets / unit, np.clip(predictions / unit, -(2.0**1000), 2.0**1000)
        if weights is not None:
            weights = np.asarray(weights, dtype=np.float64)
            weights = weights / unit_of(weights.max(initial=0))
        return r2_score(targets, predictions, sample_weight=weights)
