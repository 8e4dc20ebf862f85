"""What classifiers add to a network: labels as signs, scores and probabilities of classes."""

from functools import update_wrapper
from types import MethodType

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from sksparsenn._inputs import Standardiser
from sksparsenn._losses import class_shares_as_scores, probabilities, probabilities_of_means


def _require_probabilities(estimator):
    """Raise the error of a missing attribute for a loss that has no probabilities."""
    if estimator.loss == "hinge":
        raise AttributeError(
            "loss='hinge' gives no probabilities: use loss='log_loss' or 'squared_error', or decision_function, "
            "or wrap the estimator in CalibratedClassifierCV."
        )


class _IfProbabilities:
    """A method that is an attribute only of estimators that have probabilities; the error says why of others."""

    def __init__(self, method):
        self.method = method
        update_wrapper(self, method)

    def __get__(self, estimator, owner=None):
        if estimator is None:
            return self.method
        _require_probabilities(estimator)
        return MethodType(self.method, estimator)


class Classification(ClassifierMixin):
    """Outputs stand for classes: one output for two classes, positive for the second; else an output for each class."""

    _target_checks = {}  # noqa: RUF012

    def _learn_targets(self, y, classes=None):
        check_classification_targets(y)
        self.classes_ = np.unique(y) if classes is None else np.unique(classes)
        if classes is not None and len(self.classes_) < 2:
            raise ValueError(f"classes={list(classes)} names fewer than two classes: give all labels of the stream.")
        if len(self.classes_) < 2:
            raise ValueError(
                f"y holds one class only, {self.classes_.tolist()}, among the samples that weigh something: "
                "a classifier needs at least two classes."
            )

    def _encode(self, y, name="y"):
        """Labels as a float64 matrix of signs: +1 in the column of a sample's class, else -1."""
        places = np.searchsorted(self.classes_, y)
        unknown = self.classes_[np.minimum(places, len(self.classes_) - 1)] != y
        if unknown.any():
            labels = np.unique(y[unknown]).tolist()
            more = f" and {len(labels) - 5} more" if len(labels) > 5 else ""
            raise ValueError(
                f"{name} holds labels that are not among the classes: {labels[:5]}{more} not in "
                f"{self.classes_.tolist()}."
            )
        if len(self.classes_) == 2:
            return 2.0 * places[:, None] - 1
        return 2.0 * (places[:, None] == np.arange(len(self.classes_))) - 1

    def _balanced(self, y, weights):
        """Weights of the samples in the objective: their own times those of their classes."""
        if self.class_weight is None:
            return weights
        places = np.searchsorted(self.classes_, y)
        if isinstance(self.class_weight, str):  # "balanced": all classes weigh the same, whatever their samples weigh
            totals = np.bincount(places, weights, minlength=len(self.classes_))
            factors = weights.sum() / (np.count_nonzero(totals) * np.where(totals > 0, totals, 1))
        else:
            factors = compute_class_weight(self.class_weight, classes=self.classes_, y=y)
        weights = weights * factors[places]
        if not weights.sum() > 0:
            raise ValueError(f"class_weight={self.class_weight!r} leaves no sample a positive weight.")
        return weights

    def _target_units(self, targets, shares):
        """Standard units for the squared error; elsewhere scores are shifted by the constants of least loss."""
        if self.loss == "squared_error":
            return Standardiser.fit(targets, shares, self.fit_intercept)
        return self._offsets(shares @ (targets > 0))

    def _units_of_moments(self, moments):
        """The same from weighted means and deviations of the targets."""
        if self.loss == "squared_error":
            return moments.units
        return self._offsets((1 + moments.mean) / 2)

    def _offsets(self, positive):
        """Shifts of the scores by the constants of least loss, given the shares of the classes."""
        offset = class_shares_as_scores(positive) if self.loss == "log_loss" else np.sign(positive - 0.5)
        return Standardiser(offset if self.fit_intercept else np.zeros_like(offset), np.ones_like(offset))

    def _objective_targets(self, targets, units, dtype):
        """What the loss compares outputs with."""
        if self.loss == "squared_error":
            return units(targets, dtype)
        return np.ascontiguousarray(targets, dtype=dtype)

    def _score_outputs(self, outputs, targets, weights):
        """Accuracy of a network's outputs."""
        scores = self._units().inverse(outputs)
        if scores.shape[1] == 1:
            right = (scores > 0) == (targets > 0)
        else:
            right = scores.argmax(axis=1) == targets.argmax(axis=1)
        return np.average(right.ravel(), weights=weights)

    def decision_function(self, X):
        """Scores of the classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            May be sparse where `fit` takes it.

        Returns
        -------
        scores : ndarray of shape (n_samples,) or (n_samples, n_classes)
            For two classes one score a sample, positive for ``classes_[1]``.  For
            ``loss="log_loss"`` the logarithm of the odds, or of unnormalised probabilities.
        """
        check_is_fitted(self)
        scores = self._units().inverse(self._network_outputs(X))
        return scores.ravel() if len(self.classes_) == 2 else scores

    def predict(self, X):
        """Predict labels: the class with the largest score.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            May be sparse where `fit` takes it.

        Returns
        -------
        y : ndarray of shape (n_samples,)
        """
        scores = self.decision_function(X)
        places = (scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)
        return self.classes_[places]

    @_IfProbabilities
    def predict_proba(self, X):
        """Probabilities of the classes, for the log loss and the squared error.

        For ``loss="log_loss"`` they are those whose likelihood is trained; for
        "squared_error", which is least at the mean of the labels 2 p - 1, the scores plus one, but
        not less than zero, divided by their sum over the classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            May be sparse where `fit` takes it.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes)
            In the order of ``classes_``; rows sum to one.
        """
        scores = self.decision_function(X)
        return probabilities(scores) if self.loss == "log_loss" else probabilities_of_means(scores)

    @_IfProbabilities
    def predict_log_proba(self, X):
        """Logarithms of `predict_proba`."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))
