"""Test error and fit time of the Gauss-Newton regressor at defaults, against what scikit-learn's users would pick.

python -m benchmarks.gauss_newton_defaults --data FOLDER [--splits 3] [--settings]

FOLDER holds regression sets as described in `benchmarks.common.load_split`.  Features are
standardised.  The networks and the trees run at their defaults, in float32.
SVR and KernelRidge (Gaussian kernel, target standardised, float64) are tuned by 3-fold
cross-validation on at most 2,000 training rows, drawn at random; their last fit takes at
most as many rows as the column `rows` says: 10,000 for SVR, 8,000 for KernelRidge.  Seconds
are those of a whole fit, tuning included.  Errors are means over the splits, with their
standard errors.

--settings runs settings of the Gauss-Newton regressor instead, which show how its defaults
were chosen, beside MLPRegressor; the table is gauss_newton_settings.
"""

import argparse
import warnings
from time import perf_counter

import numpy as np
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from benchmarks.common import load_split, rounded, set_names, write_table
from sksparsenn import SketchedGaussNewtonRegressor

OURS, RIVAL = "SketchedGaussNewtonRegressor", "MLPRegressor"

TUNING_ROWS = 2_000
SVR_ROWS, RIDGE_ROWS = 10_000, 8_000
GAMMAS = [0.01, 0.03, 0.1, 0.3, 1.0]  # of standardised features
SVR_GRID = {"svr__C": [1, 10, 100], "svr__gamma": GAMMAS, "svr__epsilon": [0.01, 0.05]}
RIDGE_GRID = {"kernelridge__alpha": [1e-4, 1e-3, 1e-2, 1e-1, 1], "kernelridge__gamma": GAMMAS}

# Each differs from the defaults in what its name says; some name a default.
SETTINGS = {
    "defaults": {},
    "width 256": {"width": 256},
    "width 512": {"width": 512},
    "width 1024": {"width": 1024},
    "alpha 0": {"alpha": 0.0},
    "alpha 0.0001": {"alpha": 1e-4},
    "alpha 0.001": {"alpha": 1e-3},
    "alpha 0.01": {"alpha": 1e-2},
    "output_scale 0.5": {"output_scale": 0.5},
    "output_scale 1": {"output_scale": 1.0},
    "output_scale 2": {"output_scale": 2.0},
    "output_scale 4": {"output_scale": 4.0},
    "init gaussian": {"init": "gaussian"},
    "shift 0.5": {"shift": 0.5},
    "shift 1": {"shift": 1.0},
    "shift 2": {"shift": 2.0},
    "intercept_scaling 0.2": {"intercept_scaling": 0.2},
    "intercept_scaling 0.4": {"intercept_scaling": 0.4},
    "intercept_scaling 1": {"intercept_scaling": 1.0},
    "max_iter 10": {"max_iter": 10},
    "max_iter 20": {"max_iter": 20},
    "max_iter 50": {"max_iter": 50},
}


def as_is(model, dtype=np.float32):
    """A fit of a pipeline at the parameters it has; like every fit here it returns the function that predicts."""

    def fit(X, y):
        pipeline = make_pipeline(StandardScaler(), clone(model))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # MLPRegressor's defaults stop after 200 epochs
            pipeline.fit(X.astype(dtype), y)
        return lambda X: pipeline.predict(X.astype(dtype))

    return fit


def tuned(model, grid, most_rows):
    """A fit that searches a grid on a few rows and fits the best of it on more."""
    model = TransformedTargetRegressor(make_pipeline(StandardScaler(), model), transformer=StandardScaler())
    grid = {f"regressor__{key}": values for key, values in grid.items()}

    def fit(X, y):
        order = np.random.RandomState(0).permutation(len(X))
        few, many = order[:TUNING_ROWS], order[:most_rows]
        search = GridSearchCV(model, grid, scoring="neg_mean_squared_error", cv=3, n_jobs=-1, refit=False)
        best = search.fit(X[few], y[few]).best_params_
        return clone(model).set_params(**best).fit(X[many], y[many]).predict

    return fit


def rivals():
    """Models: how each is fitted, and the most rows that its last fit takes."""
    return {
        OURS: (as_is(SketchedGaussNewtonRegressor(random_state=0)), "all"),
        RIVAL: (as_is(MLPRegressor(random_state=0)), "all"),
        "HistGradientBoostingRegressor": (as_is(HistGradientBoostingRegressor(random_state=0)), "all"),
        "SVR, tuned": (tuned(SVR(cache_size=1000), SVR_GRID, SVR_ROWS), SVR_ROWS),
        "KernelRidge, tuned": (tuned(KernelRidge(kernel="rbf"), RIDGE_GRID, RIDGE_ROWS), RIDGE_ROWS),
    }


def settings():
    """Settings of ours beside the rival, in the same form."""
    ours = {name: (as_is(SketchedGaussNewtonRegressor(random_state=0, **s)), "all") for name, s in SETTINGS.items()}
    return {RIVAL: (as_is(MLPRegressor(random_state=0)), "all"), **ours}


def evaluate(fit, X, y, X_test, y_test):
    """Test RMSE and seconds."""
    start = perf_counter()
    predict = fit(X, y)
    seconds = perf_counter() - start
    return np.sqrt(np.mean((predict(X_test) - y_test) ** 2)), seconds


def run(models, folder, names, n_splits):
    """Scores by model and set, (n_splits, 2).  All models take their turn on a split before the next one is read."""
    scores = {model: {name: [] for name in names} for model in models}
    for name in names:
        for k in range(n_splits):
            split = load_split(folder, name, k)
            for model, (fit, _) in models.items():
                scores[model][name].append(evaluate(fit, *split))
                rmse, seconds = scores[model][name][-1]
                print(f"{name}, split {k}, {model}: RMSE {rmse:.4g} in {seconds:.2f} s", flush=True)
    return {model: {name: np.array(pairs) for name, pairs in of.items()} for model, of in scores.items()}


def table(models, scores):
    rows = []
    for model, (_, most_rows) in models.items():
        row = {"model": model, "rows": most_rows}
        for name, pairs in scores[model].items():
            rmse, seconds = pairs.T
            error = rmse.std(ddof=1) / np.sqrt(len(rmse)) if len(rmse) > 1 else np.nan
            row |= {f"{name} rmse": rounded(rmse.mean()), f"{name} se": rounded(error, 2)}
            row[f"{name} s"] = rounded(seconds.mean())
        rows.append(row)
    return rows


def summary(scores, ours):
    """One line: sets on which ours has the smaller error, the worst ratio of errors, and the median one of times."""
    means = {model: np.array([pairs.mean(axis=0) for pairs in scores[model].values()]).T for model in (ours, RIVAL)}
    errors, times = means[ours] / means[RIVAL]
    return (
        f"{ours}: smaller error than {RIVAL} on {(errors < 1).sum()} of {len(errors)} sets, "
        f"at worst {errors.max():.3g} times its error; fit in {np.median(times):.3g} times its seconds (median)"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder of regression sets")
    parser.add_argument("--sets", nargs="*", help="names of the sets; all in the folder by default")
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--models", nargs="*", help="parts of the names of models or settings to run; all by default")
    parser.add_argument("--settings", action="store_true", help="settings of ours instead of rivals")
    arguments = parser.parse_args()
    models = settings() if arguments.settings else rivals()
    if arguments.models:
        models = {name: model for name, model in models.items() if any(part in name for part in arguments.models)}
    scores = run(models, arguments.data, arguments.sets or set_names(arguments.data), arguments.splits)
    write_table("gauss_newton_settings" if arguments.settings else "gauss_newton_defaults", table(models, scores))
    if RIVAL in models:
        for name in models if arguments.settings else {OURS} & set(models):
            if name != RIVAL:
                print(summary(scores, name))


if __name__ == "__main__":
    main()
