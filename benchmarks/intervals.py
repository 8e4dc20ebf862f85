"""CV+ intervals of a committee beside those of mapie: coverage, width, interval score, seconds to fit and to predict.

python -m benchmarks.intervals --data FOLDER [--sets ...] [--splits 10] [--rows 2000] [--test-rows 2000]

FOLDER holds regression sets as described in `benchmarks.common.load_split`.  Of longer parts,
--rows and --test-rows rows are drawn at random, the same ones for all models.  All models see
standardised features in float64, and give 90 % intervals by the CV+ of Barber, Candes, Ramdas and
Tibshirani (2021), with five folds.  Ours is `predict_interval` of SketchedGaussNewtonRegressor at
defaults, whose residuals come from the five networks that it trains anyhow.  Beyond 10,000
training rows, it trains one network and leaves a fifth of them out.

The others are CrossConformalRegressor of mapie (1.0 or later, `pip install mapie`) with
method="plus" around an estimator at defaults.  "single networks" is ours with cv=None: a network
is stopped by a tenth of its training rows, where one of a committee is stopped by the fold that
it leaves out.  MLPRegressor also sees a standardised target.  mapie fits a sixth estimator, to all
rows, which these intervals do not use.  It is part of the seconds to fit, and its prediction of
those for intervals.

"coverage" is the part of the test targets in their intervals, "width" the mean width of these.
"score" is the mean interval score, which is the width, plus, where a target is outside, 20 times
its distance from the interval (2 / (1 - coverage)); the less, the better.  "interval s" are the
seconds for intervals of 1,000 rows, test rows that are repeated or cut, the median of three calls.
Means over splits come with standard errors, seconds are medians.

The second table compares over all sets the models that ran on all.  Ranks are those of the mean
score of each set.  "ratio" is the geometric mean over sets of the score in units of that of
mapie's single networks, "better" the number of sets on which it is below 1.  "width ratio" is the
same for the width; "fit ratio" and "interval ratio" are medians of ratios of seconds.  "coverage"
is the mean over sets, "least coverage" that of the set where it is least.

Every fit is written to intervals_runs.csv in the folder of tables (or --runs FILE) as soon as it
is done, and not run again: after an interruption the same command goes on.  After a change of a
model, remove that file or name another one.
"""

import warnings
from functools import partial
from importlib.util import find_spec

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks import defaults
from benchmarks.common import argument_parser, in_fresh_process, measured, median_time, rounded, set_names
from benchmarks.defaults import COVERAGE, interval, load
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
from sksparsenn import SketchedGaussNewtonRegressor

FOLDS, TIMED_ROWS = 5, 1_000
PACKAGES = ("mapie",)
NO_MAPIE = (
    "mapie is not installed, which most of these intervals are from: run `pip install mapie`, or choose "
    "`--models SketchedGaussNewton`."
)


class CrossConformal(RegressorMixin, BaseEstimator):
    """mapie's CV+ intervals around a regressor, by the methods that ours have."""

    def __init__(self, estimator):
        self.estimator = estimator

    def fit(self, X, y):
        from mapie.regression import CrossConformalRegressor

        folds = KFold(FOLDS, shuffle=True, random_state=0)
        self.model_ = CrossConformalRegressor(self.estimator, confidence_level=COVERAGE, method="plus", cv=folds)
        self.model_.fit_conformalize(X, y)
        return self

    def predict_interval(self, X, *, coverage):
        assert coverage == COVERAGE  # mapie has to know it from the start
        return self.model_.predict_interval(X)[1][..., 0]


RIVAL = "CrossConformalRegressor, single networks"
MODELS = {
    "SketchedGaussNewtonRegressor": SketchedGaussNewtonRegressor(random_state=0),
    RIVAL: CrossConformal(SketchedGaussNewtonRegressor(cv=None, random_state=0)),
    **{
        f"CrossConformalRegressor, {name}": CrossConformal(defaults.MODELS[name])
        for name in ("MLPRegressor", "HistGradientBoostingRegressor")
    },
}
SCORES = "coverage", "width", "score"
SECONDS = "fit s", "interval s"
COLUMNS = "rows", "test rows", "features", *SCORES, *SECONDS


# -- fits ---------------------------------------------------------------------------------


def fit(folder, rows, test_rows, name, split, model):
    """The row of a fit."""
    X, y, X_test, y_test = load(folder, name, split, rows, test_rows)
    result = in_fresh_process(evaluate, MODELS[model], X, y, X_test, y_test)
    sizes = {"rows": len(X), "test rows": len(X_test), "features": X.shape[1]}
    return sizes | {key: rounded(value, 5) for key, value in result.items()}


def evaluate(estimator, X, y, X_test, y_test):
    """Scores of intervals, and seconds."""
    warnings.simplefilter("ignore")  # of MLPRegressor, whose defaults stop after 200 epochs
    model = make_pipeline(StandardScaler(), clone(estimator))
    interval(clone(model).fit(X[:40], y[:40]), X_test[:40], None, None)  # loads what is loaded late, starts threads
    _, seconds, _ = measured(model.fit, X, y)
    low, high = interval(model, X_test, None, None)
    outside = np.maximum(low - y_test, 0) + np.maximum(y_test - high, 0)
    timed = np.resize(X_test, (TIMED_ROWS, X_test.shape[1]))
    return {
        "coverage": float(np.mean(outside == 0)),
        "width": float(np.mean(high - low)),
        "score": float(np.mean(high - low + 2 / (1 - COVERAGE) * outside)),
        "fit s": seconds,
        "interval s": median_time(lambda: interval(model, timed, None, None), repeat=3),
    }


# -- tables -------------------------------------------------------------------------------


def comparison(rows):
    """A row for each model that ran on all sets."""
    names = list(dict.fromkeys(row["set"] for row in rows))
    table = {key: table_of(rows, key, MODELS, names) for key in (*SCORES, *SECONDS)}
    ranks, rival, compared = mean_ranks(table["score"]), list(MODELS).index(RIVAL), []
    for k, model in enumerate(MODELS):
        if np.isnan(ranks[k]):
            continue
        ratio, better, worst, where = against(table["score"][k], table["score"][rival], names)
        fit_ratio, interval_ratio = (np.median(table[key][k] / table[key][rival]) for key in SECONDS)
        coverages = table["coverage"][k]
        compared.append({
            "sets": len(names), "model": model, "mean rank": rounded(ranks[k]),
            "ratio": ratio, "better": better, "worst ratio": worst, "worst set": where,
            "width ratio": against(table["width"][k], table["width"][rival], names)[0],
            "coverage": rounded(coverages.mean()), "least coverage": rounded(coverages.min()),
            "least on": names[int(coverages.argmin())],
            "fit ratio": rounded(fit_ratio), "interval ratio": rounded(interval_ratio),
        })  # fmt: skip
    return compared


KINDS = {
    "Coverage of 90 % intervals": lambda row: with_error(row["coverage"], row["coverage se"]),
    "Mean width of 90 % intervals": lambda row: with_error(row["width"], row["width se"]),
    "Interval score": lambda row: with_error(row["score"], row["score se"]),
    "Seconds to fit": lambda row: f"{row['fit s']:.2g}",
    "Seconds for intervals of 1,000 rows": lambda row: f"{row['interval s']:.2g}",
}


def figure(rows):
    """Coverage against width, a panel for each set."""
    fig = panels_of_sets(
        rows, "coverage", spread="coverage se", y_label="coverage", cost="width", x_label="mean width of intervals"
    )
    for ax in fig.axes:
        ax.set(xscale="linear", xlim=(0, 1.05 * ax.dataLim.xmax))
        _line_of_coverage(ax)
    return fig


def figure_of_sets(rows):
    """Coverage over all sets against seconds to fit, and the interval score against seconds for intervals."""
    fig, axes = panels(1, 2)
    rival = RIVAL.split(", ")[1]
    for ax, score, cost, y_label, what in zip(
        axes[0], ("coverage", "ratio"), ("fit ratio", "interval ratio"),
        ("mean coverage", f"interval score / mapie's, {rival}"), ("to fit", "for intervals"), strict=True,
    ):  # fmt: skip
        x_label = f"seconds {what} / mapie's, {rival}"
        score_against_cost(ax, rows, "model", score, cost=cost, x_label=x_label, y_label=y_label)
        ax.set_title(f"{rows[0]['sets']} sets")
    _line_of_coverage(axes[0, 0])
    legend_below(fig, axes[0, 0], 2)
    return fig


def _line_of_coverage(ax):
    """Where coverage should be."""
    ax.axhline(COVERAGE, color="#555555", linewidth=0.8, linestyle="--", marker="")


TABLES = {"intervals": figure, "intervals_sets": figure_of_sets}


def main(arguments=None):
    parser = argument_parser(__spec__, __doc__, needs_data=True)
    add_options(parser)
    parser.add_argument("--rows", type=int, default=2_000, help="most training rows")
    parser.add_argument("--test-rows", type=int, default=2_000, help="most test rows")
    arguments = parser.parse_args(arguments)
    models = wanted(MODELS, arguments.models)
    if any(isinstance(MODELS[model], CrossConformal) for model in models) and find_spec("mapie") is None:
        raise SystemExit(NO_MAPIE)
    limits = arguments.rows, arguments.test_rows
    constants = {"coverage": COVERAGE, "folds": FOLDS, "timed rows": TIMED_ROWS}
    bounds = {"rows": arguments.rows, "test rows": arguments.test_rows}
    runs = Runs(arguments.runs or arguments.output / "intervals_runs.csv", COLUMNS, PACKAGES, **bounds, **constants)
    names = arguments.sets or set_names(arguments.data)
    take_turns(runs, names, arguments.splits, models, partial(fit, arguments.data, *limits))
    rows = summary(runs.rows, MODELS, ("rows", "features"), SCORES, SECONDS)
    compared = comparison(rows)
    write_table("intervals", rows, arguments, figure, PACKAGES, **constants)
    write_table("intervals_sets", compared, arguments, figure_of_sets, PACKAGES, **constants)
    print("\n".join([*markdown(rows, KINDS), *plain_markdown(compared, "Over sets")]))


if __name__ == "__main__":
    main()
