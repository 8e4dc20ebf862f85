"""Test error of regressors, at defaults and tuned, with seconds to fit and to predict and peak memory.

python -m benchmarks.quality --data FOLDER [--sets ...] [--splits 10] [--models ...]

FOLDER holds regression sets as described in `benchmarks.common.load_split`.  Features and
targets are standardised, but for MLPRegressor with "raw target".  Networks and trees compute
in float32, kernels in float64.

"tuned" is 2-fold cross-validation on at most 2,000 training rows, drawn at random; the last
fit takes at most as many rows as the column "most rows" says, so that all splits of six sets
take about an hour on two cores.  Ours search two widths and three shifts.  SVR (Gaussian
kernel) searches C, gamma and epsilon; C above 10 only on tables of up to 2,000 rows, since
it takes minutes on longer ones.  KernelRidge has the closed-form shifted tangent kernel, and
searches its shift and the ridge.  Seconds to fit include tuning.  The grids are in
`benchmarks.models`.

Errors are means over splits with their standard errors, seconds and memory medians.  Memory is
the peak of a process during the fit beyond what it held before, with the table in it.

Every fit is written to quality_runs.csv in the folder of tables (or --runs FILE) as soon as it
is done, and not run again: after an interruption the same command goes on.  The table is made
from all that the file holds, so it may also grow from runs of parts, and a run with nothing
left to do only makes the table, the figure and the table in Markdown.
"""

from functools import partial

from benchmarks.common import argument_parser, load_split, rounded, set_names
from benchmarks.figures import panels_of_sets
from benchmarks.models import (
    FIRST_ORDER_GRID,
    FOLDS,
    GAUSS_NEWTON_GRID,
    MODELS,
    RIDGE_GRID,
    RIDGE_SHIFTS,
    SVR_GRID,
    SVR_LONG_GRID,
    TUNING_ROWS,
    evaluate,
)
from benchmarks.runs import Runs, add_options, markdown, mean_and_error, median, of_each, take_turns, wanted, with_error
from benchmarks.tables import write_table

CONSTANTS = {
    "tuning rows": TUNING_ROWS, "folds": FOLDS, "first order": FIRST_ORDER_GRID, "Gauss-Newton": GAUSS_NEWTON_GRID,
    "SVR": SVR_GRID, "SVR, longer tables": SVR_LONG_GRID, "ridge": RIDGE_GRID, "ridge shifts": RIDGE_SHIFTS,
}  # fmt: skip
COLUMNS = "rows", "rmse", "fit s", "predict s", "memory MB", "chosen"


def fit(folder, name, split, model):
    """The row of a fit."""
    parts = load_split(folder, name, split)
    result = evaluate(MODELS[model], *parts)
    result |= {key: rounded(result[key], 5) for key in ("rmse", "fit s", "predict s", "memory MB")}
    return {"rows": min(len(parts[0]), MODELS[model].most_rows or len(parts[0])), **result}


def summary(runs):
    """A row for each set and model."""
    rows = []
    for name, model, mine in of_each(runs, MODELS):
        rmse, error = mean_and_error(mine, "rmse")
        rows.append({
            "set": name, "model": model, **_limits(MODELS[model]), "splits": len(mine), "rmse": rmse, "se": error,
            **{key: median(mine, key) for key in ("fit s", "predict s", "memory MB")},
        })  # fmt: skip
    return rows


def _limits(model):
    """The most rows that a model sees."""
    return {"tuning rows": TUNING_ROWS if model.search else "", "most rows": model.most_rows or "all"}


# Tables to paste.
KINDS = {
    "Test RMSE": lambda row: with_error(row["rmse"], row["se"]),
    "Seconds to fit": lambda row: f"{row['fit s']:.2g}",
    "Seconds to predict": lambda row: f"{row['predict s']:.1g}",
    "Peak megabytes of a fit": lambda row: row["memory MB"] and f"{rounded(row['memory MB'], 2):g}",
}


def figure(rows):
    return panels_of_sets(rows, "rmse", spread="se", y_label="test RMSE")


TABLES = {"quality": figure}


def main(arguments=None):
    parser = argument_parser(__spec__, __doc__, needs_data=True)
    add_options(parser)
    arguments = parser.parse_args(arguments)
    runs = Runs(arguments.runs or arguments.output / "quality_runs.csv", COLUMNS, **CONSTANTS)
    names = arguments.sets or set_names(arguments.data)
    models = wanted(MODELS, arguments.models)
    take_turns(runs, names, arguments.splits, models, partial(fit, arguments.data))
    rows = summary(runs.rows)
    write_table("quality", rows, arguments, figure, **CONSTANTS)
    print("\n".join(markdown(rows, KINDS)))


if __name__ == "__main__":
    main()
