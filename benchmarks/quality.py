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

import csv
from pathlib import Path
from time import perf_counter

import numpy as np

from benchmarks.common import argument_parser, load_split, rounded, set_names
from benchmarks.figures import legend_below, panels, score_against_cost
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
from benchmarks.tables import environment, read_table, write_table

CONSTANTS = {
    "tuning rows": TUNING_ROWS, "folds": FOLDS, "first order": FIRST_ORDER_GRID, "Gauss-Newton": GAUSS_NEWTON_GRID,
    "SVR": SVR_GRID, "SVR, longer tables": SVR_LONG_GRID, "ridge": RIDGE_GRID, "ridge shifts": RIDGE_SHIFTS,
}  # fmt: skip


class Runs:
    """The file of finished fits, a row each; it holds fits of one machine, one set of versions and one set of grids."""

    columns = "set", "split", "model", "rows", "rmse", "fit s", "predict s", "memory MB", "chosen"

    def __init__(self, path):
        self.path, self.rows = path, []
        comments = [environment(), "; ".join(f"{key}: {value}" for key, value in CONSTANTS.items())]
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("w", newline="") as file:
                file.writelines(f"# {line}\n" for line in comments)
                csv.writer(file, lineterminator="\n").writerow(self.columns)
            return
        found, self.rows = read_table(path)
        if found != comments:
            raise SystemExit(
                f"{path} holds fits under other conditions, which cannot be mixed:\n"
                + "\n".join(found) + "\nand now\n" + "\n".join(comments)
                + "\nRemove it, or name another file by --runs."
            )  # fmt: skip

    def has(self, *key):
        return key in {(row["set"], row["split"], row["model"]) for row in self.rows}

    def add(self, row):
        self.rows.append(row)
        with self.path.open("a", newline="") as file:
            csv.DictWriter(file, self.columns, lineterminator="\n").writerow(row)


def run(runs, folder, names, n_splits, models):
    """Fit what has not been fitted yet.  All models take their turn on a split before the next one is read."""
    begin = perf_counter()
    for name in names:
        for k in range(n_splits):
            for model in models:
                if runs.has(name, k, model):
                    continue
                split = load_split(folder, name, k)
                result = evaluate(MODELS[model], *split)
                result |= {key: rounded(result[key], 5) for key in ("rmse", "fit s", "predict s", "memory MB")}
                n_rows = min(len(split[0]), MODELS[model].most_rows or len(split[0]))
                runs.add({"set": name, "split": k, "model": model, "rows": n_rows, **result})
                print(
                    f"[{(perf_counter() - begin) / 60:.1f} min] {name}, split {k}, {model}: RMSE {result['rmse']:.4g}, "
                    f"fit {result['fit s']:.3g} s, predict {result['predict s']:.2g} s",
                    flush=True,
                )


def summary(runs):
    """A row for each set and model."""
    rows = []
    for name in dict.fromkeys(run["set"] for run in runs):
        for model in MODELS:
            mine = [run for run in runs if (run["set"], run["model"]) == (name, model)]
            if mine:
                rows.append({"set": name, "model": model, **_limits(MODELS[model]), **_statistics(mine)})
    return rows


def _limits(model):
    """The most rows that a model sees."""
    return {"tuning rows": TUNING_ROWS if model.search else "", "most rows": model.most_rows or "all"}


def _statistics(runs):
    rmse = np.array([run["rmse"] for run in runs])
    error = rmse.std(ddof=1) / np.sqrt(len(rmse)) if len(rmse) > 1 else np.nan
    statistics = {"splits": len(rmse), "rmse": rounded(rmse.mean(), 4), "se": rounded(error, 2)}
    return statistics | {key: _median([run[key] for run in runs]) for key in ("fit s", "predict s", "memory MB")}


def _median(values):
    return "" if "" in values else rounded(np.median(values))


def markdown(rows):
    """Tables ready to paste: errors, seconds to fit, seconds to predict, memory."""
    names = list(dict.fromkeys(row["set"] for row in rows))
    cells = {(row["set"], row["model"]): row for row in rows}
    kinds = {
        "Test RMSE": lambda row: f"{row['rmse']:.3g}" + (f" ± {row['se']:.1g}" if row["se"] != "" else ""),
        "Seconds to fit": lambda row: f"{row['fit s']:.2g}",
        "Seconds to predict": lambda row: f"{row['predict s']:.1g}",
        "Peak megabytes of a fit": lambda row: row["memory MB"] and f"{rounded(row['memory MB'], 2):g}",
    }
    for title, cell in kinds.items():
        yield f"\n{title}:\n\n| | {' | '.join(names)} |\n|---|{'---|' * len(names)}"
        for model in dict.fromkeys(row["model"] for row in rows):
            entries = (cell(cells[name, model]) if (name, model) in cells else "" for name in names)
            yield f"| {_code(model)} | {' | '.join(map(str, entries))} |"


def _code(model):
    name, *rest = model.split(", ")
    return ", ".join([f"`{name}`", *rest])


def figure(rows):
    names = list(dict.fromkeys(row["set"] for row in rows))
    n_columns = min(3, len(names))
    fig, axes = panels(-(-len(names) // n_columns), n_columns, width=4.0, height=3.0)
    for ax in axes.ravel()[len(names) :]:
        ax.remove()
    for ax, name in zip(axes.ravel(), names, strict=False):
        mine = [row for row in rows if row["set"] == name]
        score_against_cost(
            ax, mine, "model", "rmse", cost="fit s", spread="se", x_label="seconds to fit", y_label="test RMSE"
        )
        ax.set_title(name)
    legend_below(fig, axes[0, 0], n_columns)
    return fig


TABLES = {"quality": figure}


def main(arguments=None):
    parser = argument_parser(__spec__, __doc__, needs_data=True)
    parser.add_argument("--sets", nargs="*", help="names of the sets; all in the folder by default")
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--models", nargs="*", help="parts of the names of models; all by default")
    parser.add_argument("--runs", type=Path, metavar="FILE", help="of finished fits")
    arguments = parser.parse_args(arguments)
    wanted = [name for name in MODELS if any(part in name for part in arguments.models or [""])]
    runs = Runs(arguments.runs or arguments.output / "quality_runs.csv")
    run(runs, arguments.data, arguments.sets or set_names(arguments.data), arguments.splits, wanted)
    rows = summary(runs.rows)
    write_table("quality", rows, arguments, figure, **CONSTANTS)
    print("\n".join(markdown(rows)))


if __name__ == "__main__":
    main()
