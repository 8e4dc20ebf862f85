"""Transformers: rows lifted to the sphere, and random features of the tangent kernel."""

from numbers import Integral

import numpy as np
from scipy.sparse import csr_array
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from sksparsenn._compiled.patterns import transpose_lists
from sksparsenn._estimators.base import BaseShiftedReLU
from sksparsenn._network.network import PAIRS_AT_ONCE, Network, initial_weights
from sksparsenn._samples.lift import Lift
from sksparsenn._samples.points import padded_rows
from sksparsenn._utils.memory import require_memory
from sksparsenn._utils.range import aligned, require_activation, total_weight
from sksparsenn._utils.sklearn import Interval, _check_sample_weight, _fit_context
from sksparsenn.ntk._kernel import firing_threshold


class SphereLift(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Rows centred, given a constant coordinate and divided by their length, as in the estimators.

    With c the weighted mean of X and u the constant ``intercept_scaling`` times the root
    mean square of ||x - c||::

        x -> (x - c, u) / ||(x - c, u)||.

    The result does not change when all of X is shifted or multiplied by a number.  The
    tangent kernel of a regressor is `sksparsenn.ntk.shifted_ntk_kernel` of rows lifted
    like this.

    Parameters
    ----------
    fit_intercept : bool, default=True
        Whether to centre X and append the constant coordinate.  Without, rows are only
        divided by their length; rows of zeros stay zero.

    intercept_scaling : float > 0, default=1.0
        The constant coordinate in units of the root mean square length of centred rows.

    Attributes
    ----------
    centre_ : ndarray of shape (n_features_in_,)
        The mean c, zero without intercept.

    constant_ : float or None
        The constant u, None without intercept.

    n_features_in_ : int
        Features seen in `fit`.

    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, if X had names that are all strings.

    See Also
    --------
    ShiftedNTKFeatures : Lifts by itself.

    Notes
    -----
    float32 stays float32; the arithmetic is float64.

    Examples
    --------
    >>> from sksparsenn.ntk import SphereLift
    >>> SphereLift().fit_transform([[0.0], [2.0]]).round(3)
    array([[-0.707,  0.707],
           [ 0.707,  0.707]])
    """

    _parameter_constraints = {  # noqa: RUF012 (the form scikit-learn prescribes)
        name: BaseShiftedReLU._parameter_constraints[name] for name in ("fit_intercept", "intercept_scaling")
    }

    def __init__(self, fit_intercept=True, *, intercept_scaling=1.0):
        self.fit_intercept = fit_intercept
        self.intercept_scaling = intercept_scaling

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, sample_weight=None):
        """Find the mean and the constant coordinate.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples.

        y : ignored

        sample_weight : array-like of shape (n_samples,), optional
            A sample of weight 2 counts as two samples.

        Returns
        -------
        self : object
            Fitted transformer.
        """
        self._fit_lift(X, sample_weight)
        return self

    def _fit_lift(self, X, sample_weight):
        X = self._checked(X, reset=True)
        weights = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        lift = Lift.fit(X, weights / total_weight(weights), self.fit_intercept, self.intercept_scaling)
        self.centre_, self.constant_ = lift.centre, lift.constant
        return X.dtype, X.shape[1] + lift.n_added

    def _checked(self, X, reset):
        with np.errstate(over="ignore", invalid="ignore"):  # checks may overflow where numbers do not
            return aligned(validate_data(self, X, dtype=[np.float64, np.float32], order="C", reset=reset))

    def transform(self, X):
        """Lift rows to the unit sphere.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        X_lifted : ndarray of shape (n_samples, n_features + 1), or (n_samples, n_features) without intercept
        """
        check_is_fitted(self)
        X = self._checked(X, reset=False)
        return np.ascontiguousarray(self._lifted(X, X.dtype).rows[:, : self._n_lifted])

    def _lifted(self, X, dtype):
        """Return the lifted samples."""
        return Lift(self.centre_, self.constant_)(X, dtype)

    @property
    def _n_lifted(self):
        return self.n_features_in_ + (self.constant_ is not None)

    def get_feature_names_out(self, input_features=None):
        """Return names of lifted features: those of X, then "constant".

        Parameters
        ----------
        input_features : array-like of str, default=None
            Names of the features; if X had names in `fit`, they must be the same.  None
            means those, or "x0", "x1" and so on.

        Returns
        -------
        names : ndarray of str objects
        """
        check_is_fitted(self)
        names = super().get_feature_names_out(input_features)
        return names if self.constant_ is None else np.append(names, "constant")


class ShiftedNTKFeatures(SphereLift):
    """Sparse random features of the tangent kernel: what a wide network is while its weights stay put.

    A sample x is lifted to the unit sphere, z (see `SphereLift`), and mapped to

        Psi(x) = 1 / sqrt(width) * (1[<w_1, z> > threshold] z, ..., 1[<w_width, z> > threshold] z)

    at random weights w_r ~ N(0, I): the NTK random feature scheme of [1]_ (Section 5.1 and
    Appendix B).  In expectation <Psi(x), Psi(x')> is the kernel `shifted_ntk_kernel` of z and
    z', from which it differs by O(1 / sqrt(width)).  Only neurons that fire leave entries
    other than zero, about width^0.8 of them at the automatic shift, with the lifted
    features each.

    A linear model on these features is a network trained in the limit of a large
    ``output_scale`` ([1]_, Lemma 5.3).  `SparseShiftedReLURegressor` with
    ``init="gaussian"`` and the same ``width``, or ``init="paired"`` and twice the ``width``,
    and the same ``shift`` and integer ``random_state`` starts from the weights drawn here; see Notes.

    Parameters
    ----------
    width : int, default=1024
        Number of neurons w_r.

    shift : "auto" or float >= 0, default="auto"
        Shift b of the ReLU.  "auto" is sqrt(0.4 ln width), for which about width^0.8
        neurons fire on a sample [2]_.

    threshold : float >= shift, default=None
        Where neurons begin to fire; None means threshold = shift.

    sparse_output : bool, default=True
        Whether `transform` returns a sparse matrix; `set_output` needs False.

    fit_intercept : bool, default=True
        Whether to centre X and append the constant coordinate.  Without, rows are only
        divided by their length; rows of zeros have no features but zero.

    intercept_scaling : float > 0, default=1.0
        The constant coordinate in units of the root mean square length of centred rows.

    random_state : int, RandomState instance or None, default=None
        Determines the weights.

    Attributes
    ----------
    hidden_weights_ : ndarray of shape (width, n_lifted)
        The weights w_r, in lifted coordinates: the features, then the constant.

    shift_, threshold_ : float
        The numbers in use.

    centre_ : ndarray of shape (n_features_in_,)
        The mean of X, zero without intercept.

    constant_ : float or None
        The constant coordinate, None without intercept.

    n_features_in_ : int
        Features seen in `fit`.

    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, if X had names that are all strings.

    Raises
    ------
    ValueError
        For input that cannot be used.
    MemoryError
        If the features would not fit into memory; the message names the amount.

    See Also
    --------
    sksparsenn.ntk.shifted_ntk_kernel : The kernel in the limit of infinite width.

    Notes
    -----
    With B = ``output_scale``, the outputs of a network near its start W_0 are
    f(W_0 + U) = f(W_0) + B <Psi(x), V> with V_r = a_r U_r.  Its ridge, ``alpha`` times half
    the mean diagonal of the tangent kernel, is that of `sklearn.linear_model.Ridge` on these
    features with ``alpha`` times the mean of ||Psi(x_i)||^2 and ``fit_intercept=False``, for
    targets that are centred and divided by their standard deviation.  Signs, and neurons that come
    in pairs, leave inner products as they are [1]_.

    Who fires is decided exactly as in the regressors, sample by sample: features do not
    depend on the rows transformed together.  Features are of the precision of the X that
    was fitted, float32 or float64.

    References
    ----------
    .. [1] L. Qin, Z. Song and Y. Yang, "Efficient SGD Neural Network Training via
       Sublinear Activated Neuron Identification", 2023.
    .. [2] Z. Song, S. Yang and R. Zhang, "Does Preprocessing Help Training
       Over-parameterized Neural Networks?", NeurIPS 2021.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.model_selection import train_test_split
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sksparsenn.ntk import ShiftedNTKFeatures
    >>> X, y = load_diabetes(return_X_y=True)
    >>> X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    >>> features = ShiftedNTKFeatures(width=512, random_state=0)
    >>> model = make_pipeline(StandardScaler(), features, Ridge(alpha=1.0))
    >>> print(f"{model.fit(X_train, y_train).score(X_test, y_test):.2f}")
    0.34
    """

    _parameter_constraints = {  # noqa: RUF012 (the form scikit-learn prescribes)
        **SphereLift._parameter_constraints,
        **{name: BaseShiftedReLU._parameter_constraints[name] for name in ("shift", "threshold", "random_state")},
        "width": [Interval(Integral, 1, None, closed="left")],
        "sparse_output": ["boolean"],
    }

    def __init__(
        self,
        width=1024,
        *,
        shift="auto",
        threshold=None,
        sparse_output=True,
        fit_intercept=True,
        intercept_scaling=1.0,
        random_state=None,
    ):
        super().__init__(fit_intercept, intercept_scaling=intercept_scaling)
        self.width = width
        self.shift = shift
        self.threshold = threshold
        self.sparse_output = sparse_output
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, sample_weight=None):
        """Draw the weights, and find the lift to the sphere for X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples.  float32 gives features in float32, everything else in float64.

        y : ignored

        sample_weight : array-like of shape (n_samples,), optional
            A sample of weight 2 counts as two samples, in the mean and the constant coordinate.

        Returns
        -------
        self : object
            Fitted transformer.
        """
        shift = float(np.sqrt(0.4 * np.log(self.width))) if self.shift == "auto" else float(self.shift)
        threshold = firing_threshold(shift, self.threshold)
        dtype, n_lifted = self._fit_lift(X, sample_weight)
        require_activation(shift, threshold, dtype)
        random_state = check_random_state(self.random_state)
        weights, _ = initial_weights(self.width, n_lifted, 1, "gaussian", random_state, dtype)
        self.hidden_weights_ = np.ascontiguousarray(weights[:, :n_lifted])
        self.shift_, self.threshold_ = shift, threshold
        return self

    def transform(self, X):
        """Return the features of the rows of X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        features : sparse array in CSR format, or ndarray, of shape (n_samples, width * n_lifted)
            The features of neuron r are in columns r * n_lifted to (r + 1) * n_lifted - 1.
        """
        check_is_fitted(self)
        X = self._checked(X, reset=False)
        lifted = self._lifted(X, self.hidden_weights_.dtype)
        counts, neurons = self._firing_neurons(lifted)
        width, d = self.hidden_weights_.shape
        shape, nonzeros = (len(X), width * d), len(neurons) * d
        index = np.int32 if max(nonzeros, *shape) <= np.iinfo(np.int32).max else np.int64
        entries = nonzeros if self.sparse_output else nonzeros + shape[0] * shape[1]
        n_bytes = entries * lifted.itemsize + nonzeros * np.dtype(index).itemsize
        purpose = f"a matrix of {len(X)} x {width * d} features, {nonzeros} of them not zero,"
        dense = "" if self.sparse_output else "set sparse_output=True, "
        require_memory(n_bytes, purpose, f"{dense}transform fewer samples at a time, or lower width")
        values = np.repeat(lifted.rows[:, :d] / lifted.dtype.type(np.sqrt(width)), counts, axis=0)
        columns = neurons[:, None].astype(index) * index(d) + np.arange(d, dtype=index)
        indptr = np.append(0, np.cumsum(counts * d)).astype(index)
        features = csr_array((values.ravel(), columns.ravel(), indptr), shape=shape)
        return features if self.sparse_output else features.toarray()

    def _firing_neurons(self, X):
        """Return how many neurons fire on each row, and which, row by row; in chunks of bounded memory."""
        width = len(self.hidden_weights_)
        signs = np.ones((width, 1), dtype=X.dtype)
        network = Network(padded_rows(self.hidden_weights_), signs, self.shift_, self.threshold_, 1.0)
        counts, neurons = [], []
        step = max(1, PAIRS_AT_ONCE // width)
        for start in range(0, len(X), step):
            part = X[start : start + step]
            indptr, listed = transpose_lists(*network.firing(part).pairs(), len(part))
            counts.append(np.diff(indptr))
            neurons.append(listed)
        return np.concatenate(counts), np.concatenate(neurons)

    def get_feature_names_out(self, input_features=None):
        """Return names of the features, neuron by neuron: "neuron0_x0", ..., "neuron0_constant", "neuron1_x0", ...

        Parameters
        ----------
        input_features : array-like of str, default=None
            Names of the features of X; if X had names in `fit`, they must be the same.  None
            means those, or "x0", "x1" and so on.

        Returns
        -------
        names : ndarray of str objects
        """
        names = super().get_feature_names_out(input_features)
        return np.array([f"neuron{r}_{name}" for r in range(len(self.hidden_weights_)) for name in names], dtype=object)
