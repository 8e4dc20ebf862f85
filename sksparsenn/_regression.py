"""What regressors add to a network: targets in standard units, and predictions in the user's."""

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils.validation import check_is_fitted

from sksparsenn._inputs import Standardiser


class Regression(RegressorMixin):
    """Outputs stand for numbers."""

    _target_checks = {"multi_output": True, "y_numeric": True}  # noqa: RUF012

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _learn_targets(self, y, classes=None):
        self._single_output = y.ndim == 1

    def _encode(self, y, name="y"):
        """Targets as a float64 matrix with a column for each output."""
        if y.dtype.kind not in "fiub":
            raise ValueError(f"{name} has to hold numbers, got an array of {y.dtype}; a classifier takes labels.")
        y = np.asarray(y, dtype=np.float64)
        if not np.isfinite(y).all():
            raise ValueError(f"Input {name} contains NaN or infinity: remove or replace such targets.")
        return y.reshape(len(y), -1)

    def _balanced(self, y, weights):
        """Weights of the samples in the objective."""
        return weights

    def _target_units(self, targets, shares):
        return Standardiser.fit(targets, shares, self.fit_intercept)

    def _units_of_moments(self, moments):
        """The same from weighted means and deviations of the targets."""
        return moments.units

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
        return r2_score(targets, self._units().inverse(outputs), sample_weight=weights)

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
