"""Classification: what classifiers share: predicted labels, scores and probabilities of classes."""

from functools import update_wrapper
from types import MethodType

import numpy as np
from sklearn.base import ClassifierMixin

from sksparsenn._estimators.targets import Labels
from sksparsenn._estimators.uncertainty import temperature
from sksparsenn._network.losses import classification_loss, probabilities, probabilities_of_means


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
    """The methods of a network whose outputs are scores of classes."""

    _target_kind = Labels
    _calibration = ("temperature_",)
    """Attributes that `_calibrate` stores."""

    def _new_targets(self, y, classes=None):
        return Labels.of(y, self.loss, self.class_weight, classes)

    def _fitted_targets(self):
        return Labels(self.loss, self.classes_, self.class_weight, self._units())

    def decision_function(self, X):
        """Return scores of the classes.

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
        self._require_fitted()
        return self._scores(self._network_outputs(X))

    def _scores(self, outputs):
        """Return scores of the classes, as `decision_function` does."""
        scores = self._units().inverse(outputs)
        if hasattr(self, "temperature_"):
            scores = scores / self.temperature_
        return scores.ravel() if len(self.classes_) == 2 else scores

    def _probabilities(self, scores):
        """Return probabilities of the classes."""
        return probabilities(scores) if self.loss == "log_loss" else probabilities_of_means(scores)

    def _calibrate(self, start, outputs, left_out):
        """Store the temperature by which scores of the networks that left a row out predict it best."""
        used = (start.folds.labels >= 0) & np.isfinite(left_out).all(axis=1)
        rows = start.rows.part(used)
        weights = start.targets.balanced(rows.y, rows.weights)
        if self.loss != "log_loss":
            return
        scores, shares = self._units().inverse(left_out[used]), weights / weights.sum()
        signs, loss = start.targets.encode(rows.y), classification_loss("log_loss", np.zeros(scores.shape[1]))

        def slope(factor):
            return float((shares * (loss.derivative(factor * scores, signs) * scores).sum(axis=1)).sum())

        self.temperature_ = temperature(slope)

    def _cv_score(self, rows, predictions):
        """Return the accuracy of predictions of these rows."""
        positive = predictions > 0 if predictions.ndim == 1 else predictions.argmax(axis=1)
        return float(np.average(self.classes_[positive.astype(int)] == rows.y, weights=rows.weights))

    def _from_outputs(self, outputs):
        """Return probabilities of the classes, or for the hinge their scores."""
        scores = self._scores(outputs)
        return scores if self.loss == "hinge" else self._probabilities(scores)

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
        """Return probabilities of the classes, for the log loss and the squared error.

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
        return self._probabilities(self.decision_function(X))

    @_IfProbabilities
    def predict_log_proba(self, X):
        """Return the logarithms of `predict_proba`."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))
