"""What the estimators share: inputs made ready, predictions, tags."""

from numbers import Integral, Real

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted, validate_data

from sksparsenn._inputs import Lift, Standardiser
from sksparsenn._network import Network, initial_weights
from sksparsenn._points import padded_rows
from sksparsenn._sklearn import Interval, StrOptions, _check_sample_weight


class BaseShiftedReLU(BaseEstimator):
    """A two-layer network with shifted ReLU, of which only the hidden weights are trained."""

    _parameter_constraints = {  # noqa: RUF012 (the form scikit-learn prescribes)
        "width": [Interval(Integral, 1, None, closed="left")],
        "shift": [StrOptions({"auto"}), Interval(Real, 0, None, closed="left")],
        "threshold": [None, Interval(Real, 0, None, closed="left")],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "output_scale": [Interval(Real, 0, None, closed="neither")],
        "init": [StrOptions({"paired", "gaussian"})],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "fit_intercept": ["boolean"],
        "intercept_scaling": [Interval(Real, 0, None, closed="neither")],
        "random_state": ["random_state"],
        "warm_start": ["boolean"],
        "verbose": ["verbose"],
    }

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def __sklearn_is_fitted__(self):
        """A fit that was interrupted leaves n_features_in_ behind, but no network."""
        return hasattr(self, "hidden_weights_")

    # -- inputs -------------------------------------------------------------------------

    def _sparse_format(self):
        """The format that sparse X is converted to; False where it is refused."""
        return "csr" if self.__sklearn_tags__().input_tags.sparse else False

    def _activation(self, share):
        """Shift and threshold as numbers; the automatic shift sqrt(share * ln width) lets width^(1 - share/2) fire."""
        shift = float(np.sqrt(share * np.log(self.width))) if self.shift == "auto" else float(self.shift)
        threshold = shift if self.threshold is None else float(self.threshold)
        if threshold < shift:
            raise ValueError(
                f"threshold={threshold:.4g} lies below shift={shift:.4g}: a neuron would output negative numbers "
                "between the two; raise threshold or lower shift."
            )
        return shift, threshold

    def _check_width(self):
        if self.init == "paired" and self.width % 2:
            raise ValueError(
                f"width={self.width} is odd, but init='paired' gives every neuron a partner of opposite sign; "
                "use an even width or init='gaussian'."
            )

    def _read(self, X, y, sample_weight):
        """Checked X, y as a float64 matrix, and weights, without the rows that weigh nothing."""
        X, y = validate_data(
            self, X, y, accept_sparse=self._sparse_format(), dtype=[np.float64, np.float32], order="C",
            multi_output=True, y_numeric=True,
        )  # fmt: skip
        y = np.asarray(y, dtype=np.float64)
        if not np.isfinite(y).all():
            raise ValueError("Input y contains NaN or infinity: remove or replace such targets.")
        weights = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        if not weights.sum() > 0:
            raise ValueError("sample_weight is zero for every sample: nothing is left to fit.")
        single_output = y.ndim == 1
        y = y.reshape(X.shape[0], -1)
        if not weights.all():
            kept = weights > 0
            X, y, weights = X[kept], y[kept], weights[kept]
        return X, y, weights, single_output

    def _continues(self):
        """Whether this fit goes on from the last one."""
        return self.warm_start and hasattr(self, "hidden_weights_")

    def _standard_units(self, X, y, weights):
        """The maps to the sphere and to standard units: of the last fit if this one continues it, else fitted here."""
        if self._continues():
            return Lift(self._centre, self._constant, self._spread), Standardiser(self._target_mean, self._target_scale)
        shares = weights / weights.sum()
        lift = Lift.fit(X, shares, self.fit_intercept, self.intercept_scaling)
        return lift, Standardiser.fit(y, shares, self.fit_intercept)

    def _first_network(self, n_features, n_outputs, shift, threshold, random_state, dtype):
        """The network to start from, and the weights that the ridge pulls towards."""
        if self._continues():
            shape = self.hidden_weights_.shape[0], self.output_weights_.shape[1]
            if shape != (self.width, n_outputs):
                raise ValueError(
                    f"warm_start continues a network of width {shape[0]} with {shape[1]} outputs, "
                    f"but width={self.width} and y has {n_outputs}; set warm_start=False to start anew."
                )
            weights, signs = self.hidden_weights_.astype(dtype), self.output_weights_.astype(dtype)
            anchor = padded_rows(self.initial_weights_.astype(dtype))
        else:
            weights, signs = initial_weights(self.width, n_features, n_outputs, self.init, random_state, dtype)
            anchor = weights
        return Network(padded_rows(weights), signs, shift, threshold, float(self.output_scale)), anchor

    def _store(self, network, weights, anchor, n_features, lift, standardiser, single_output):
        """Keep the fitted network as plain arrays and numbers."""
        self.hidden_weights_ = np.ascontiguousarray(weights[:, :n_features])
        self.initial_weights_ = np.ascontiguousarray(anchor[:, :n_features])
        self.output_weights_ = network.signs
        self.shift_, self.threshold_ = network.shift, network.threshold
        self._scale = network.output_scale
        self._centre, self._constant, self._spread = lift
        self._target_mean, self._target_scale = standardiser
        self._single_output = single_output

    # -- predictions --------------------------------------------------------------------

    def predict(self, X):
        """Predict targets.

        Rows are evaluated in chunks of bounded memory; a row's prediction does not
        depend on the rows predicted with it.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Sparse where `fit` takes sparse X.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            In the precision that the model was fitted in.
        """
        check_is_fitted(self)
        X = validate_data(
            self, X, accept_sparse=self._sparse_format(), dtype=[np.float64, np.float32], order="C", reset=False
        )
        lift = Lift(self._centre, self._constant, self._spread)
        outputs = self._network().outputs(lift(X, self.hidden_weights_.dtype))
        y = Standardiser(self._target_mean, self._target_scale).inverse(outputs)
        return y.ravel() if self._single_output else y

    def _network(self):
        return Network(
            padded_rows(self.hidden_weights_), self.output_weights_, self.shift_, self.threshold_, self._scale
        )
