"""Regressors as users would fit them, at defaults or tuned by cross-validation on some of the rows.

Features and target are standardised for all, so that nobody suffers from the unit of the
target; only "raw target" is as users commonly do without.  Networks and trees compute in float32, kernels in float64.
"""

import os
import warnings
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from joblib import parallel_config
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from benchmarks.common import in_fresh_process, measured
from sksparsenn import SketchedGaussNewtonRegressor, SparseShiftedReLURegressor
from sksparsenn.ntk import SphereLift, shifted_ntk_kernel

TUNING_ROWS, FOLDS = 2_000, 2
# Most rows of the last fit after tuning.
GAUSS_NEWTON_ROWS, SVR_ROWS, RIDGE_ROWS = 15_000, 10_000, 4_000

FIRST_ORDER_GRID = {"width": [512, 2048], "shift": ["auto", 1.0, 2.0]}
GAUSS_NEWTON_GRID = {"width": [512, 1024], "shift": ["auto", 1.0, 2.0]}
SVR_GRID = {"C": [1, 10, 100, 1000], "gamma": [0.03, 0.1, 0.3], "epsilon": [0.01, 0.05]}
SVR_LONG_GRID = SVR_GRID | {"C": [1, 10]}  # of longer tables than are tuned on: more takes minutes there
RIDGE_GRID = {"alpha": [1e-7, 1e-6, 1e-5, 1e-4, 1e-3]}
RIDGE_SHIFTS = 0.0, 0.5, 1.0, 2.0


def standardised(model, *, target=True):
    """The model behind standardised features and, if wanted, target."""
    scaler = StandardScaler() if target else None
    return TransformedTargetRegressor(make_pipeline(StandardScaler(), model), transformer=scaler)


class Model(NamedTuple):
    """An estimator, the search that sets its parameters, and what it is given."""

    estimator: BaseEstimator
    search: Callable | None = None
    most_rows: int | None = None
    dtype: type = np.float32
    standardises_target: bool = True

    def fit(self, X, y):
        """The fitted model and the parameters that were chosen; everything is drawn from the training rows."""
        X, order = X.astype(self.dtype), np.random.RandomState(0).permutation(len(X))
        few, many = order[:TUNING_ROWS], order[: self.most_rows] if self.most_rows else slice(None)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # MLPRegressor's defaults stop after 200 epochs
            chosen = self.search(self.estimator, X[few], y[few], len(X) > len(few)) if self.search else {}
            model = standardised(clone(self.estimator).set_params(**chosen), target=self.standardises_target)
            return model.fit(X[many], y[many]), chosen

    def predict(self, fitted, X):
        return fitted.predict(X.astype(self.dtype))


# -- searches -----------------------------------------------------------------------------


def search_grid(estimator, X, y, is_cut, *, grid, cut_grid=None, n_jobs=1):
    """The parameters of least squared error; `cut_grid` is for tables of which X is a part only."""
    prefix = f"regressor__{type(estimator).__name__.lower()}__"
    grid = {prefix + key: values for key, values in (cut_grid if cut_grid and is_cut else grid).items()}
    with parallel_config("threading"):  # other processes would hide their memory
        search = _cross_validated(standardised(estimator), grid, n_jobs).fit(X, y)
    return {key.removeprefix(prefix): value for key, value in search.best_params_.items()}


def search_kernels(estimator, X, y, is_cut):
    """The best shift and ridge, each kernel computed once."""
    lifted = make_pipeline(StandardScaler(), SphereLift()).fit_transform(X)
    y = StandardScaler().fit_transform(y[:, None])[:, 0]
    found = []
    for shift in RIDGE_SHIFTS:
        ridges = _cross_validated(KernelRidge(kernel="precomputed"), RIDGE_GRID, 1)
        ridges.fit(shifted_ntk_kernel(lifted, shift=shift), y)
        found.append((ridges.best_score_, ridges.best_params_ | {"shift": shift}))
    return max(found, key=lambda pair: pair[0])[1]


def _cross_validated(model, grid, n_jobs):
    return GridSearchCV(model, grid, scoring="neg_mean_squared_error", cv=FOLDS, n_jobs=n_jobs, refit=False)


class ShiftedNTKRidge(RegressorMixin, BaseEstimator):
    """Ridge regression with the closed-form shifted tangent kernel, on rows lifted as the networks lift them."""

    def __init__(self, shift=1.5, alpha=1e-3):
        self.shift = shift
        self.alpha = alpha

    def fit(self, X, y):
        self.lift_ = SphereLift().fit(X)
        self.rows_ = self.lift_.transform(X)
        kernel = shifted_ntk_kernel(self.rows_, shift=self.shift)
        self.ridge_ = KernelRidge(alpha=self.alpha, kernel="precomputed").fit(kernel, y)
        return self

    def predict(self, X):
        return self.ridge_.predict(shifted_ntk_kernel(self.lift_.transform(X), self.rows_, shift=self.shift))


# -- models -------------------------------------------------------------------------------

FIRST_ORDER = SparseShiftedReLURegressor(random_state=0)
GAUSS_NEWTON = SketchedGaussNewtonRegressor(random_state=0)

MODELS = {
    "SparseShiftedReLURegressor": Model(FIRST_ORDER),
    "SparseShiftedReLURegressor, tuned": Model(FIRST_ORDER, partial(search_grid, grid=FIRST_ORDER_GRID)),
    "SketchedGaussNewtonRegressor": Model(GAUSS_NEWTON),
    "SketchedGaussNewtonRegressor, tuned": Model(
        GAUSS_NEWTON, partial(search_grid, grid=GAUSS_NEWTON_GRID), GAUSS_NEWTON_ROWS
    ),
    "MLPRegressor": Model(MLPRegressor(random_state=0)),
    "MLPRegressor, raw target": Model(MLPRegressor(random_state=0), standardises_target=False),
    "HistGradientBoostingRegressor": Model(HistGradientBoostingRegressor(random_state=0)),
    "SVR, tuned": Model(
        SVR(cache_size=1000),
        partial(search_grid, grid=SVR_GRID, cut_grid=SVR_LONG_GRID, n_jobs=os.cpu_count()),
        SVR_ROWS,
        np.float64,
    ),
    "KernelRidge, tangent kernel, tuned": Model(ShiftedNTKRidge(), search_kernels, RIDGE_ROWS, np.float64),
}


def evaluate(model, X, y, X_test, y_test):
    """Test error, seconds, memory and choices of a fit, in a process of its own."""
    return in_fresh_process(_evaluate, model, X, y, X_test, y_test)


def _evaluate(model, X, y, X_test, y_test):
    model.fit(X[:40], y[:40])  # loads what is loaded late, starts threads
    (fitted, chosen), seconds, memory = measured(model.fit, X, y)
    prediction, predict_seconds, _ = measured(model.predict, fitted, X_test)
    return {
        "rmse": float(np.sqrt(np.mean((prediction - y_test) ** 2))),
        "fit s": seconds,
        "predict s": predict_seconds,
        "memory MB": memory / 1e6,
        "chosen": " ".join(f"{key}={value}" for key, value in sorted(chosen.items())),
    }
