"""Regressors at defaults, which nobody tuned: test error, log-likelihood, 90 % intervals, seconds, and mean ranks.

python -m benchmarks.defaults --data FOLDER [--sets ...] [--splits 10] [--rows 10000] [--test-rows 10000]

FOLDER holds regression sets as described in `benchmarks.common.load_split`.  Of longer parts,
--rows and --test-rows rows are drawn at random, the same ones for all models.  All models see
standardised features in float64.  MLPRegressor and SVR also see a standardised target, since
otherwise they suffer from its unit; the other models do not, or standardise it themselves.
GaussianProcessRegressor (constant times Gaussian kernel with one length scale, plus noise) runs
on fewer than 2,000 training rows only.  DummyRegressor predicts the mean of the training
targets, with their standard deviation.

The log-likelihood is the mean over test rows of the log density of the target, in its own
unit, under a normal distribution with the mean and the standard deviation of
`predict(X, return_std=True)`; it is blank for models without.  Intervals are those of
`predict_interval(X, coverage=0.9)`, or mean ± 1.645 standard deviations where there is no such
method.  "coverage" is the part of the test targets in them, "width" their mean width.  Means over
splits come with standard errors, seconds are medians.

The second table compares over sets: all of them, with the models that ran on all, and those on
which GaussianProcessRegressor ran.  Ranks are those of the mean test error of each set.  "ratio"
is the geometric mean over sets of the test error in units of MLPRegressor's, "better" the number
of sets on which it is below 1, and "fit ratio" the median of the ratios of seconds to fit.
"likelihood gain" is the mean over sets of the log-likelihood less that of DummyRegressor; it does
not depend on the unit of the target.

Every fit is written to defaults_runs.csv in the folder of tables (or --runs FILE) as soon as it
is done, and not run again: after an interruption the same command goes on.  After a change of a
model, remove that file or name another one.
"""

import warnings
from functools import partial
from inspect import signature

import numpy as np
from scipy.stats import norm
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.linear_model import RidgeCV
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from benchmarks.common import argument_parser, in_fresh_process, load_split, measured, rounded, set_names
from benchmarks.figures import legend_below, panels, panels_of_sets, score_against_cost
from benchmarks.runs import (
    Runs,
    add_options,
    against,
    markdown,
    mean_ranks,
    plain_markdown,
    summary,
    table_of,
    take_turns,
    wanted,
    with_error,
)
from benchmarks.tables import write_table
from sksparsenn import SketchedGaussNewtonRegressor, SparseShiftedReLURegressor

COVERAGE = 0.9
PROCESS_ROWS = 2_000  # a Gaussian process takes minutes and gigabytes on more
RIVAL, PROCESS, NOTHING = "MLPRegressor", "GaussianProcessRegressor", "DummyRegressor"


class MeanRegressor(DummyRegressor):
    """The mean and the standard deviation of the training targets."""

    def fit(self, X, y):
        self.std_ = np.std(y)
        return super().fit(X, y)

    def predict(self, X, return_std=False):
        mean = super().predict(X)
        return (mean, np.full(len(mean), self.std_)) if return_std else mean


def _standardised_target(model):
    return TransformedTargetRegressor(model, transformer=StandardScaler())


MODELS = {
    "SketchedGaussNewtonRegressor": SketchedGaussNewtonRegressor(random_state=0),
    "SparseShiftedReLURegressor": SparseShiftedReLURegressor(random_state=0),
    RIVAL: _standardised_target(MLPRegressor(random_state=0)),
    "HistGradientBoostingRegressor": HistGradientBoostingRegressor(random_state=0),
    "RandomForestRegressor": RandomForestRegressor(random_state=0),
    "SVR": _standardised_target(SVR()),
    "RidgeCV": RidgeCV(alphas=np.logspace(-3, 3, 13)),
    NOTHING: MeanRegressor(),
    # Last, so that the others look the same in a figure without it.
    PROCESS: GaussianProcessRegressor(ConstantKernel() * RBF() + WhiteKernel(), normalize_y=True, random_state=0),
}
SCORES = "rmse", "log-likelihood", "coverage", "width"
SECONDS = "fit s", "predict s"
COLUMNS = "rows", "test rows", "features", *SCORES, *SECONDS


# -- fits ---------------------------------------------------------------------------------


def load(folder, name, split, rows, test_rows):
    """A split, with at most so many rows of its parts, drawn at random."""
    X, y, X_test, y_test = load_split(folder, name, split)
    rng = np.random.RandomState(split)
    train, test = (rng.permutation(len(part))[:most] for part, most in ((X, rows), (X_test, test_rows)))
    return X[train], y[train], X_test[test], y_test[test]


def fit(folder, rows, test_rows, name, split, model):
    """The row of a fit; None if the set is too long for the model."""
    X, y, X_test, y_test = load(folder, name, split, rows, test_rows)
    if model == PROCESS and len(X) >= PROCESS_ROWS:
        return None
    result = in_fresh_process(evaluate, MODELS[model], X, y, X_test, y_test)
    sizes = {"rows": len(X), "test rows": len(X_test), "features": X.shape[1]}
    return sizes | {key: rounded(value, 5) for key, value in result.items()}


def evaluate(estimator, X, y, X_test, y_test):
    """Scores and seconds of a fit; NaN for scores that take a standard deviation or an interval where there is none."""
    warnings.simplefilter("ignore")  # of MLPRegressor, whose defaults stop after 200 epochs, and of kernels at bounds
    model = make_pipeline(StandardScaler(), clone(estimator))
    clone(model).fit(X[:40], y[:40]).predict(X_test[:40])  # loads what is loaded late, starts threads
    _, fit_seconds, _ = measured(model.fit, X, y)
    prediction, predict_seconds, _ = measured(model.predict, X_test)
    scores = dict.fromkeys(SCORES, np.nan) | {"rmse": np.sqrt(np.mean((prediction - y_test) ** 2))}
    mean, std = distribution(model, X_test)
    if std is not None:
        scores["log-likelihood"] = norm.logpdf(y_test, mean, std).mean()
    ends = interval(model, X_test, mean, std)
    if ends is not None:
        low, high = ends
        scores |= {"coverage": np.mean((low <= y_test) & (y_test <= high)), "width": np.mean(high - low)}
    return {key: float(value) for key, value in scores.items()} | {"fit s": fit_seconds, "predict s": predict_seconds}


def distribution(model, X):
    """Mean and standard deviation of what a pipeline predicts; None twice if its model gives no standard deviation."""
    if "return_std" not in signature(model[-1].predict).parameters:
        return None, None
    return model.predict(X, return_std=True)


def interval(model, X, mean, std):
    """Lower and upper ends of the intervals of a pipeline's model, or of a normal distribution; None without either."""
    if hasattr(model[-1], "predict_interval"):
        return np.asarray(model[-1].predict_interval(model[:-1].transform(X), coverage=COVERAGE)).T
    if std is None:
        return None
    return norm.interval(COVERAGE, mean, std)


# -- tables -------------------------------------------------------------------------------


def comparison(rows):
    """A row for each model over all sets, and over those with a Gaussian process, if these are others."""
    names = list(dict.fromkeys(row["set"] for row in rows))
    short = [name for name in names if any((row["set"], row["model"]) == (name, PROCESS) for row in rows)]
    groups = {"all": names}
    if short and short != names:
        groups[f"with {PROCESS}"] = short
    return [row for label, group in groups.items() for row in _compared(rows, label, group)]


def _compared(rows, label, names):
    table = {key: table_of(rows, key, MODELS, names) for key in (*SCORES, "fit s")}
    ranks, rival, nothing = mean_ranks(table["rmse"]), list(MODELS).index(RIVAL), list(MODELS).index(NOTHING)
    for k, model in enumerate(MODELS):
        if np.isnan(ranks[k]):
            continue
        ratio, better, worst, where = against(table["rmse"][k], table["rmse"][rival], names)
        gain = (table["log-likelihood"][k] - table["log-likelihood"][nothing]).mean()
        yield {
            "sets": label, "number": len(names), "model": model, "mean rank": rounded(ranks[k]),
            "ratio": ratio, "better": better, "worst ratio": worst, "worst set": where,
            "fit ratio": rounded(np.median(table["fit s"][k] / table["fit s"][rival])),
            "likelihood gain": rounded(gain), "coverage": rounded(table["coverage"][k].mean()),
        }  # fmt: skip


KINDS = {
    "Test RMSE": lambda row: with_error(row["rmse"], row["rmse se"]),
    "Log-likelihood": lambda row: with_error(row["log-likelihood"], row["log-likelihood se"]),
    "Coverage of 90 % intervals": lambda row: with_error(row["coverage"], row["coverage se"]),
    "Mean width of 90 % intervals": lambda row: with_error(row["width"], row["width se"]),
    "Seconds to fit": lambda row: f"{row['fit s']:.2g}",
    "Seconds to predict": lambda row: f"{row['predict s']:.1g}",
}


def figure(rows):
    return panels_of_sets(rows, "rmse", spread="rmse se", y_label="test RMSE")


def figure_of_ranks(rows):
    """Mean ranks against seconds to fit, a panel for each group of sets."""
    groups = list(dict.fromkeys(row["sets"] for row in rows))
    fig, axes = panels(1, len(groups))
    for ax, label in zip(axes[0], groups, strict=True):
        mine = [row for row in rows if row["sets"] == label]
        score_against_cost(
            ax, mine, "model", "mean rank", cost="fit ratio", x_label=f"seconds to fit / {RIVAL}'s", y_label="mean rank"
        )
        ax.set_title(f"{mine[0]['number']} sets: {label}")
    legend_below(fig, axes[0, -1], 2)
    return fig


TABLES = {"defaults": figure, "defaults_ranks": figure_of_ranks}


def main(arguments=None):
    parser = argument_parser(__spec__, __doc__, needs_data=True)
    add_options(parser)
    parser.add_argument("--rows", type=int, default=10_000, help="most training rows")
    parser.add_argument("--test-rows", type=int, default=10_000, help="most test rows")
    arguments = parser.parse_args(arguments)
    limits = arguments.rows, arguments.test_rows
    constants = {"Gaussian process below rows": PROCESS_ROWS, "coverage": COVERAGE}
    bounds = {"rows": arguments.rows, "test rows": arguments.test_rows}
    runs = Runs(arguments.runs or arguments.output / "defaults_runs.csv", COLUMNS, **bounds, **constants)
    names = arguments.sets or set_names(arguments.data)
    models = wanted(MODELS, arguments.models)
    take_turns(runs, names, arguments.splits, models, partial(fit, arguments.data, *limits))
    rows = summary(runs.rows, MODELS, ("rows", "features"), SCORES, SECONDS)
    ranks = comparison(rows)
    write_table("defaults", rows, arguments, figure, **constants)
    write_table("defaults_ranks", ranks, arguments, figure_of_ranks, **constants)
    print("\n".join([*markdown(rows, KINDS), *plain_markdown(ranks, "Over sets")]))


if __name__ == "__main__":
    main()
