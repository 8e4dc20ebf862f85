"""Regression: what regressors share: predictions in the user's units, and their score."""

from math import prod
from numbers import Real

import numpy as np
from scipy.sparse import issparse
from sklearn.base import RegressorMixin

from sksparsenn._estimators import linear
from sksparsenn._estimators.held_out import first_bad_row
from sksparsenn._estimators.targets import Numbers, scale_free_r2
from sksparsenn._estimators.uncertainty import Residuals, Spread, require_enough, upper_ends
from sksparsenn._network.input_gradient import input_gradients
from sksparsenn._utils.memory import require_memory

# Of gradients that are computed at a time: a few arrays of so many numbers take some hundred megabytes.
ENTRIES_AT_ONCE = 1 << 22


class Regression(RegressorMixin):
    """The methods of a network whose outputs are numbers."""

    _target_kind = Numbers
    _calibration = (
        "_residual_sizes", "_residual_cumulated", "_residual_starts", "_left_out_by", "_spreads",
    )  # fmt: skip
    """Attributes that `_calibrate` stores."""

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

    def predict(self, X, return_std=False):
        """Predict targets.

        Rows are evaluated in chunks of bounded memory; a row's prediction does not
        depend on the rows predicted with it.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            May be sparse where `fit` takes it.

        return_std : bool, default=False
            Whether to return the standard deviation of the target around the prediction too.  It
            takes a fit with `cv`: with s^2 the mean square of residuals of rows that networks left out, and
            v(x) the variance of the networks' outputs, the variance is ``sqrt(s^2 (a + b v(x)))``, where a and b make
            those residuals as likely as a normal distribution of variance ``a + b v`` can.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            In the precision that the model was fitted in.

        std : ndarray of the shape of y
            If `return_std` is True.

        Raises
        ------
        ValueError
            If `return_std` is True, and no rows were left out in `fit`.
        """
        self._require_fitted()
        if not return_std:
            return self._from_outputs(self._network_outputs(X))
        self._require_residuals("return_std=True")
        outputs = self._outputs_of_networks(self._checked(X))
        spreads = outputs.var(axis=0, dtype=np.float64)
        variances = [Spread(*spread).variance(own) for spread, own in zip(self._spreads, spreads.T, strict=True)]
        deviations = np.sqrt(np.stack(variances, axis=1)) * self._target_scale
        deviations = deviations.astype(outputs.dtype)
        return self._from_outputs(self._network_outputs(X)), deviations.ravel() if self._single_output else deviations

    def predict_interval(self, X, *, coverage=0.9):
        """Return intervals that hold the target of a new sample with probability `coverage`.

        They are CV+ intervals [1]_ of the committee: with R_i the size of the residual of row i by the networks that
        left it out, whose prediction for x is f_i(x), the interval ends at the (1 - a)(n + 1)-th
        smallest of ``f_i(x) + R_i`` and begins at the (1 - a)(n + 1)-th largest of ``f_i(x) - R_i``, for
        ``coverage = 1 - a``.

        If new samples and rows of X are exchangeable, as independent draws are, such an interval
        covers with probability at least 1 - 2 a, up to (1 - K / n) / (K + 1) for K folds, whatever the distribution;
        in practice close to 1 - a.  The proof asks that networks do not see the rows that they leave out.  Here these
        choose where training stops and how strong the linear part is, and all rows choose the units of X and y:
        this makes residuals a little too small.  With ``early_stopping=False`` and ``linear_part=False`` only the units
        remain.  A sample weight counts as that many rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        coverage : float in (0, 1), default=0.9

        Returns
        -------
        intervals : ndarray of shape (n_samples, 2) or (n_samples, 2, n_outputs)
            Lower and upper ends.

        Raises
        ------
        ValueError
            If no rows were left out in `fit`, or too few for intervals of that coverage.

        References
        ----------
        .. [1] R. F. Barber, E. J. Candes, A. Ramdas and R. J. Tibshirani, "Predictive inference with
           the jackknife+", Annals of Statistics 49 (2021), equation (13) and Theorem 4.
        """
        self._require_fitted()
        if not (isinstance(coverage, Real) and 0 < coverage < 1):
            raise ValueError(f"coverage={coverage!r} has to be a number between 0 and 1.")
        self._require_residuals("predict_interval")
        outputs = self._outputs_of_networks(self._checked(X))
        ends = np.empty((outputs.shape[1], 2, outputs.shape[2]))
        residuals = Residuals(self._residual_sizes, self._residual_cumulated, self._residual_starts)
        require_enough(residuals.weight, coverage)
        for output in range(outputs.shape[2]):
            centres = np.einsum("kg,ki->gi", self._left_out_by, outputs[..., output].astype(np.float64))
            groups = residuals.groups(output)
            ends[:, 0, output] = -upper_ends(-centres, groups, coverage)
            ends[:, 1, output] = upper_ends(centres, groups, coverage)
        ends = ends * self._target_scale + self._target_mean
        ends = ends.astype(outputs.dtype)
        return ends[..., 0] if self._single_output else ends

    def predict_gradient(self, X):
        """Return how the prediction for each row changes with its features: d f / d x.

        The network is linear wherever the same neurons fire, so its gradient is exact: with
        ``z = (x - centre, constant)`` of length l and ``u = z / l``, on the sphere
        ``g = B / sqrt(m) * sum_r a_r w_r`` over the neurons that fire on u, and ``d f / d x`` the first entries of
        ``(g - <g, u> u) / l``, in units of y.  The linear part adds its weights, for features within the range that
        they had in training.  Where the prediction has a kink, at a threshold or an end of such a range, it is the
        gradient on one side.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Dense.

        Returns
        -------
        gradients : ndarray of shape (n_samples, n_features) or (n_samples, n_outputs, n_features)
            In the precision that the model was fitted in.

        Raises
        ------
        ValueError
            If X is sparse, as gradients are dense, or if a gradient is beyond the range of that precision.
        MemoryError
            If the gradients would not fit into memory; the message names the amount.
        """
        self._require_fitted()
        X = self._checked(X)
        if issparse(X):
            raise ValueError(
                "predict_gradient returns dense gradients, but X is sparse: give rows by X[rows].toarray()."
            )
        shape, dtype = (len(X), self.output_weights_.shape[1], X.shape[1]), self.hidden_weights_.dtype
        require_memory(dtype.itemsize * prod(shape), f"gradients for {len(X)} rows", "predict fewer rows at a time")
        gradients, n_rows = np.empty(shape, dtype), max(1, ENTRIES_AT_ONCE // prod(shape[1:]))
        for start in range(0, len(X), n_rows):
            rows = slice(start, start + n_rows)
            with np.errstate(over="ignore", invalid="ignore"):
                gradients[rows] = self._gradients_of_rows(X[rows])
            bad = first_bad_row(gradients[rows])
            if bad is not None:
                raise ValueError(
                    f"the gradient of row {start + bad} of X does not fit into {dtype}: multiply X by a constant, or "
                    "divide y by one, and fit again."
                )
        return gradients[:, 0] if self._single_output else gradients

    def _gradients_of_rows(self, X):
        """Return the gradients of the outputs, in units of y, at checked rows."""
        lift, linear_part = self._lift(), linear.mean_part_of(self)
        gradients = lift.pulled_back(input_gradients(self._network(), lift(X, self.hidden_weights_.dtype)), X)
        if linear_part is not None:
            gradients += linear_part.gradients(X)
        return gradients * self._target_scale[:, None]

    def _require_residuals(self, what):
        """Raise ValueError unless the fit left rows out."""
        if not hasattr(self, "_residual_sizes"):
            raise ValueError(
                f"{what} needs the residuals of rows that were left out in fit: set cv to 'auto' or a number of folds, "
                "and call fit again."
            )

    def _calibrate(self, start, outputs, left_out):
        """Store how far predictions are from the targets of rows that networks left out.

        Of all rows as they came, `outputs` are those of each network, and `left_out` those of the networks that left a
        row out.
        """
        encoded, weights = start.targets.encode(start.rows.y), start.rows.weights
        used = (start.folds.labels >= 0) & np.isfinite(left_out).all(axis=1)
        residuals = (self._units()(encoded, np.float64) - left_out)[used]
        spreads, weights = outputs.var(axis=0, dtype=np.float64)[used], weights[used]
        patterns, groups = np.unique(start.folds.labels[used], return_inverse=True)
        found = Residuals.of(residuals, weights, groups, len(patterns))
        self._residual_sizes, self._residual_cumulated, self._residual_starts = found
        leaves_out = start.folds.leaves_out[:, patterns]
        self._left_out_by = leaves_out / leaves_out.sum(axis=0)
        self._spreads = np.array([
            Spread.fit(own, spread, weights) for own, spread in zip(residuals.T, spreads.T, strict=True)
        ])  # fmt: skip

    def _from_outputs(self, outputs):
        """Return predictions in the user's units."""
        y = self._units().inverse(outputs)
        return y.ravel() if self._single_output else y

    def _cv_score(self, rows, predictions):
        """Return R2 of predictions of these rows."""
        if len(rows.y) > 1:
            return scale_free_r2(rows.y, predictions, rows.weights)
        # A single row has no variance: that of all targets is taken.
        return 1.0 - float(np.mean(np.square((rows.y - predictions) / self._target_scale)))

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
