"""Regression: what regressors share: predictions in the user's units, and their score."""

from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_is_fitted

from sksparsenn._estimators.targets import Numbers, scale_free_r2


class Regression(RegressorMixin):
    """The methods of a network whose outputs are numbers."""

    _target_kind = Numbers

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _new_targets(self, y, classes=None):
        return Numbers.of(y, self._loss_name())

    def _fitted_targets(self):
        return Numbers(self._loss_name(), self._single_output, self._units())

    def _loss_name(self):
        return getattr(self, "loss", "squared_error")  # no parameter of Gauss-Newton

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
        return self._from_outputs(self._network_outputs(X))

    def _from_outputs(self, outputs):
        """Return predictions in the user's units."""
        y = self._units().inverse(outputs)
        return y.ravel() if self._single_output else y

    def score(self, X, y, sample_weight=None):
        """Return R2, the coefficient of determination, averaged over targets.

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
