"""The four estimators for rows on a Dask cluster."""

import inspect

import numpy as np
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from sksparsenn._estimators.first_order_classifier import SparseShiftedReLUClassifier
from sksparsenn._estimators.first_order_regressor import SparseShiftedReLURegressor
from sksparsenn._estimators.gauss_newton_classifier import SketchedGaussNewtonClassifier
from sksparsenn._estimators.gauss_newton_regressor import SketchedGaussNewtonRegressor
from sksparsenn.dask._fit import FitOnDask
from sksparsenn.dask._lazy import applied

SUMMARY = """{first}

    It trains the networks of `{local}`: the rows stay with the workers that hold them, weights go
    out to these, and sums over rows come back.  For the same folds and ``solver`` its weights are those of
    `{local}` but for the rounding of sums, whatever the workers and partitions are.

    Parameters
    ----------
    client : distributed.Client, optional
        Of the cluster; the current one by default.

    width, shift, ... : as of `{local}`
        {solver}  ``search`` is "auto", "margin" or "brute"; ``cv`` is "auto", a number of folds or None.

    Attributes
    ----------
    hidden_weights_, ... : as of `{local}`
        But for `cv_prediction_`, which would be of the size of the data.

    See Also
    --------
    sksparsenn.{local} : The estimator for rows in memory, to which `to_local` leads.

    Notes
    -----
    Departures from `{local}`:

    1. Which fold a row is left out with follows from a hash of its features and `random_state`: equal rows stay
       together, and no worker has to know the rows of others.  Folds are of about the same size, and classes are
       not dealt out evenly.  With ``cv=None``, where rows are to be held out, they are chosen in that way too.
    2. {step}
    3. Intervals use some thousand sizes of residuals of each fold in place of all; they are never narrower.
    4. `warm_start` has to be False, and `fit` takes no rows to validate on and no groups.

    Examples
    --------
    >>> import dask.array as da
    >>> from dask.distributed import Client
    >>> from sksparsenn.dask import {name}
    >>> client = Client(processes=False, dashboard_address=None)
    >>> X = da.random.default_rng(0).standard_normal((3000, 4), chunks=(1000, 4))
    >>> y = {target}
    >>> model = {name}(width=64, max_iter=20, random_state=0).fit(X, y)
    >>> model.predict(X)
    dask.array<concatenate, shape=(3000,), dtype={dtype}, chunksize=(1000,), chunktype=numpy.ndarray>
    >>> model.to_local().score(X[:1000].compute(), y[:1000].compute()) > {score}
    True
    >>> client.close()
    """

OF_GAUSS_NEWTON = {
    "solver": '``solver`` is "auto", "cholesky", "cg" or "sample".',
    "step": (
        'Every step solves the system in J^T J, whose order does not grow with the rows; ``solver`` "auto" weighs\n'
        "       the messages of each solver too."
    ),
}
OF_FIRST_ORDER = {
    "solver": '``solver`` is "auto" or "gd".',
    "step": (
        'Every step takes all rows, or, with ``solver="auto"`` and more than 65,536 rows, a sample of them that\n'
        "       grows; the estimator without Dask takes batches of so many.  Who fires is found by margin lists or a\n"
        "       scan of each part."
    ),
}


class OnDask(FitOnDask):
    """The parameter `client`, lazy predictions, and the way to the estimator without Dask."""

    _local = None

    @classmethod
    def _get_param_names(cls):
        return sorted([*cls._local._get_param_names(), "client"])

    def to_local(self):
        """Return the estimator without Dask, with the same parameters and, if this one is fitted, the same weights."""
        parameters = self.get_params(deep=False)
        del parameters["client"]
        local = self._local(**parameters)
        fitted = {name: value for name, value in vars(self).items() if name not in (*parameters, "client")}
        vars(local).update(fitted)
        return local

    @property
    def partial_fit(self):
        raise AttributeError("partial_fit takes rows in memory: use to_local().partial_fit.")

    def __sklearn_clone__(self):
        """Return an estimator with the same parameters that is not fitted, and the same client, which has no copy."""
        parameters = self.get_params(deep=False)
        client = parameters.pop("client")
        return type(self)(client=client, **{name: clone(value, safe=False) for name, value in parameters.items()})

    def __getstate__(self):
        """Return the state without the client, which belongs to this process."""
        return {**super().__getstate__(), "client": None}

    def score(self, X, y, sample_weight=None):
        """Return the score of the estimator without Dask on rows that are brought into memory.

        Parameters
        ----------
        X, y, sample_weight : dask collections, or array-like
            To score more rows than one memory holds, compare lazy predictions with y.

        Returns
        -------
        score : float
        """
        X, y, sample_weight = (part.compute() if hasattr(part, "compute") else part for part in (X, y, sample_weight))
        return self.to_local().score(X, y, sample_weight)

    def _applied(self, method, X, shape=(), dtype=None, **arguments):
        check_is_fitted(self)
        dtype = self.hidden_weights_.dtype if dtype is None else dtype
        return applied(self.to_local(), method, X, shape=shape, dtype=dtype, **arguments)


class RegressorOnDask(OnDask):
    """Lazy predictions of numbers."""

    @property
    def _of_a_row(self):
        return () if self._single_output else (self.output_weights_.shape[1],)

    def predict(self, X, return_std=False):
        """Predict targets.

        Parameters
        ----------
        X : dask array or data frame of shape (n_samples, n_features), or array-like

        return_std : bool, default=False
            Whether to return the standard deviation of the target around the prediction too.

        Returns
        -------
        y : dask array of shape (n_samples,) or (n_samples, n_outputs)
            Lazy; of rows in memory a NumPy array.

        std : dask array of the shape of y
            If `return_std` is True.
        """
        if not return_std:
            return self._applied("predict", X, self._of_a_row)
        if not hasattr(X, "to_delayed"):
            return self.to_local().predict(X, return_std=True)
        self._require_residuals("return_std=True")
        both = self._applied(_with_deviations, X, (2, *self._of_a_row))
        return both[:, 0], both[:, 1]

    def predict_interval(self, X, *, coverage=0.9):
        """Return intervals that hold the target of a new sample with probability `coverage`.

        Parameters
        ----------
        X : dask array or data frame of shape (n_samples, n_features), or array-like

        coverage : float in (0, 1), default=0.9

        Returns
        -------
        intervals : dask array of shape (n_samples, 2) or (n_samples, 2, n_outputs)
            Lazy; of rows in memory a NumPy array.
        """
        check_is_fitted(self)
        self._require_residuals("predict_interval")
        return self._applied("predict_interval", X, (2, *self._of_a_row), coverage=coverage)

    def predict_gradient(self, X):
        """Return how the prediction for each row changes with its features.

        Parameters
        ----------
        X : dask array or data frame of shape (n_samples, n_features), or array-like

        Returns
        -------
        gradients : dask array of shape (n_samples, n_features) or (n_samples, n_outputs, n_features)
            Lazy; of rows in memory a NumPy array.
        """
        check_is_fitted(self)
        return self._applied("predict_gradient", X, (*self._of_a_row, self.n_features_in_))


class ClassifierOnDask(OnDask):
    """Lazy predictions of labels, scores and probabilities."""

    def predict(self, X):
        """Predict labels: the class with the largest score.

        Parameters
        ----------
        X : dask array or data frame of shape (n_samples, n_features), or array-like

        Returns
        -------
        y : dask array of shape (n_samples,)
            Lazy; of rows in memory a NumPy array.
        """
        check_is_fitted(self)
        return self._applied("predict", X, dtype=self.classes_.dtype)

    def predict_proba(self, X):
        """Return probabilities of the classes, for the log loss and the squared error.

        Parameters
        ----------
        X : dask array or data frame of shape (n_samples, n_features), or array-like

        Returns
        -------
        probabilities : dask array of shape (n_samples, n_classes)
            Lazy; of rows in memory a NumPy array.
        """
        check_is_fitted(self)
        return self._applied("predict_proba", X, (len(self.classes_),))

    def decision_function(self, X):
        """Return scores of the classes.

        Parameters
        ----------
        X : dask array or data frame of shape (n_samples, n_features), or array-like

        Returns
        -------
        scores : dask array of shape (n_samples,) or (n_samples, n_classes)
            Lazy; of rows in memory a NumPy array.
        """
        check_is_fitted(self)
        return self._applied("decision_function", X, () if len(self.classes_) == 2 else (len(self.classes_),))


def _with_deviations(model, X):
    """Return predictions and their standard deviations, (n_samples, 2) or (n_samples, 2, n_outputs)."""
    return np.stack(model.predict(X, return_std=True), axis=1)


def estimator(local, first, **words):
    """Return a decorator that gives a class the parameters of the estimator without Dask, and a docstring."""

    def decorate(cls):
        signature = inspect.signature(local.__init__)
        client = inspect.Parameter("client", inspect.Parameter.KEYWORD_ONLY, default=None)

        def __init__(self, *arguments, client=None, **parameters):
            local.__init__(self, *arguments, **parameters)
            self.client = client

        __init__.__signature__ = signature.replace(parameters=[*signature.parameters.values(), client])
        cls.__init__, cls._local = __init__, local
        cls._parameter_constraints = {**local._parameter_constraints, "client": "no_validation"}
        cls.__doc__ = SUMMARY.format(first=first, local=local.__name__, name=cls.__name__, **words)
        return cls

    return decorate


OF_NUMBERS = {"target": "X[:, 0] * X[:, 1] + X[:, 2]", "dtype": "float64", "score": 0.5}
OF_LABELS = {"target": "(X[:, 0] * X[:, 1] > 0).astype(int)", "dtype": "int64", "score": 0.7}


@estimator(
    SketchedGaussNewtonRegressor, "A `SketchedGaussNewtonRegressor` whose rows are on the workers of a Dask cluster.",
    **OF_GAUSS_NEWTON, **OF_NUMBERS,
)  # fmt: skip
class DaskSketchedGaussNewtonRegressor(RegressorOnDask, SketchedGaussNewtonRegressor):
    pass


@estimator(
    SketchedGaussNewtonClassifier, "A `SketchedGaussNewtonClassifier` whose rows are on the workers of a Dask cluster.",
    **OF_GAUSS_NEWTON, **OF_LABELS,
)  # fmt: skip
class DaskSketchedGaussNewtonClassifier(ClassifierOnDask, SketchedGaussNewtonClassifier):
    pass


@estimator(
    SparseShiftedReLURegressor, "A `SparseShiftedReLURegressor` whose rows are on the workers of a Dask cluster.",
    **OF_FIRST_ORDER, **OF_NUMBERS,
)  # fmt: skip
class DaskSparseShiftedReLURegressor(RegressorOnDask, SparseShiftedReLURegressor):
    pass


@estimator(
    SparseShiftedReLUClassifier, "A `SparseShiftedReLUClassifier` whose rows are on the workers of a Dask cluster.",
    **OF_FIRST_ORDER, **OF_LABELS,
)  # fmt: skip
class DaskSparseShiftedReLUClassifier(ClassifierOnDask, SparseShiftedReLUClassifier):
    pass


__all__ = [
    "DaskSketchedGaussNewtonClassifier", "DaskSketchedGaussNewtonRegressor", "DaskSparseShiftedReLUClassifier",
    "DaskSparseShiftedReLURegressor",
]  # fmt: skip
