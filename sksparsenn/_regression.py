"""What regressors add to a network: targets in standard units, and predictions in the user's."""

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils.validation import check_is_fitted

from sksparsenn._inputs import Standardiser
from sksparsenn._range import unit_of


class Regression(RegressorMixin):
    """Outputs stand for numbers."""

    _target_checks = {"multi_output": True, "y_numeric": True}  # noqa: RUF012

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _learn_targets(self, y, classes=None):
        self._single_output = y.ndim == 1

    def _encode(self, y):
        """Targets as a float64 matrix with a column for each output."""
        y = np.asarray(y, dtype=np.float64)
        if not np.isfinite(y).all():
            raise ValueError("Input y contains NaN or infinity: remove or replace such targets.")
        return y.reshape(len(y), -1)

    def _balanced(self, y, weights):
        """Weights of the samples in the objective."""
        return weights

    def _target_units(self, targets, shares):
        return Standardiser.fit(targets, shares, self.fit_intercept)

    def _objective_targets(self, targets, units, dtype):
        """What the loss compares outputs with."""
        return units(targets, dtype)

    def _score_outputs(self, outputs, targets, weights):
        """R2 of a network's outputs, averaged over targets."""
        if len(targets) < 2:
            raise ValueError(
                "there is 1 validation sample: R2 needs at least two; raise validation_fraction, "
                "or give more by X_val and y_val."
            )
        predictions = self._units().inverse(outputs)
        if not np.isfinite(predictions).all():  # outputs that overflow score worst
            return -np.inf
        return scale_free_r2(targets, predictions, weights)

    def predict(self, X):
        """Predict targets.

        Rows are evaluated in chunks of bounded memory; a row's prediction does not
        depend on the rows predicted with it.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            May be sparse where `fit` takes it.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            In the precision that the model was fitted in.
        """
        check_is_fitted(self)
        y = self._units().inverse(self._network_outputs(X))
        return y.ravel() if self._single_output else y

    def score(self, X, y, sample_weight=None):
        """R2, the coefficient of determination, averaged over targets.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            May be sparse where `fit` takes it.

        y : array-like of shape (n_samples,) or (n_samples, n_outputs)

        sample_weight : array-like of shape (n_samples,), optional

        Returns
        -------
        score : float
        """
        return scale_free_r2(y, self.predict(X), sample_weight)


def scale_free_r2(targets, predictions, weights):
    """R2, which does not depend on the units of targets and weights, though its squares and sums do."""
    targets = np.asarray(targets)
    unit = unit_of(np.abs(targets).max(axis=0, initial=0)) if targets.dtype.kind == "f" else 1.0
    with np.errstate(over="ignore"):  # beside tiny targets the worst predictions are infinitely bad
        if np.any(unit != 1):
            targets, predictions = targets / unit, np.clip(predictions / unit, -(2.0**1000), 2.0**1000)
        if weights is not None:
            weights = np.asarray(weights, dtype=np.float64)
            weights = weights / unit_of(weights.max(initial=0))
        return r2_score(targets, predictions, sample_weight=weights)
