"""Fits by set, split and model: the file from which an interrupted run goes on, means, ranks, tables in Markdown."""

import csv
from pathlib import Path
from time import perf_counter

import numpy as np
from scipy.stats import rankdata

from benchmarks.common import rounded
from benchmarks.tables import environment, read_table

KEY = "set", "split", "model"


def add_options(parser, sets=None):
    """Give a parser the options that say what to fit, and where the file of fits is."""
    parser.add_argument(
        "--sets", nargs="*", choices=sets, metavar="SET",
        help=f"names of the sets; all by default{': ' + ', '.join(sets) if sets else ' that are in the folder'}",
    )  # fmt: skip
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--models", nargs="*", help="parts of the names of models; all by default")
    parser.add_argument("--runs", type=Path, metavar="FILE", help="of finished fits")


def wanted(models, parts):
    """The names that have one of the parts; all if there are no parts."""
    return [name for name in models if any(part in name for part in parts or [""])]


class Runs:
    """The file of finished fits, a row each; it holds fits of one machine, one set of versions and one of constants."""

    def __init__(self, path, columns, packages=(), **constants):
        self.path, self.columns, self.rows = path, (*KEY, *columns), []
        comments = [environment(*packages), "; ".join(f"{key}: {value}" for key, value in constants.items())]
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
        return key in {tuple(row[name] for name in KEY) for row in self.rows}

    def add(self, row):
        self.rows.append(row)
        with self.path.open("a", newline="") as file:
            csv.DictWriter(file, self.columns, lineterminator="\n").writerow(row)


def take_turns(runs, names, n_splits, models, fit):
    """Fit what has not been fitted yet.  All models take their turn on a split before the next one is read.

    `fit(name, split, model)` returns the numbers of a row, or None where the model is not for that set.
    """
    begin = perf_counter()
    for name in names:
        for k in range(n_splits):
            for model in models:
                if runs.has(name, k, model) or (row := fit(name, k, model)) is None:
                    continue
                runs.add(dict(zip(KEY, (name, k, model), strict=True)) | row)
                numbers = (f"{key} {value:.4g}" for key, value in row.items() if isinstance(value, float))
                minutes = (perf_counter() - begin) / 60
                print(f"[{minutes:.1f} min] {name}, split {k}, {model}: {', '.join(numbers)}", flush=True)


# -- over splits --------------------------------------------------------------------------


def of_each(runs, models):
    """Set, model and fits of each pair of which there are fits: sets as they came, models in the order of `models`."""
    for name in dict.fromkeys(run["set"] for run in runs):
        for model in models:
            mine = [run for run in runs if (run["set"], run["model"]) == (name, model)]
            if mine:
                yield name, model, mine


def summary(runs, models, sizes, scores, seconds):
    """A row for each set and model: sizes of the first split, means of scores with their errors, medians of seconds."""
    rows = []
    for name, model, mine in of_each(runs, models):
        row = {"set": name, "model": model, "splits": len(mine)} | {key: mine[0][key] for key in sizes}
        for key in scores:
            row[key], row[f"{key} se"] = mean_and_error(mine, key)
        rows.append(row | {key: median(mine, key) for key in seconds})
    return rows


def mean_and_error(runs, key, digits=4):
    """Mean over fits and its standard error, both blank if a fit has no such number, the error for a single fit."""
    values = np.array([np.nan if run[key] == "" else run[key] for run in runs], dtype=float)
    error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return rounded(values.mean(), digits), rounded(error, 2)


def median(runs, key):
    """Median over fits, blank if a fit has no such number."""
    values = [run[key] for run in runs]
    return "" if "" in values else rounded(np.median(values))


# -- over sets ----------------------------------------------------------------------------


def table_of(rows, column, models, names):
    """A column of a table as an array, a row for each model and a column for each set; NaN where there is no number."""
    cells = {(row["model"], row["set"]): row[column] for row in rows if row[column] != ""}
    return np.array([[cells.get((model, name), np.nan) for name in names] for model in models], dtype=float)


def mean_ranks(values):
    """Mean over columns of each row's rank, 1 for the least value; NaN for rows that lack a value, which do not count.

    Equal values share the mean of their ranks.
    """
    full = ~np.isnan(values).any(axis=1)
    ranks = np.full(len(values), np.nan)
    ranks[full] = rankdata(values[full], axis=0).mean(axis=1)
    return ranks


def against(values, rival, names):
    """How positive values compare to those of a rival, less being better.

    Geometric mean of the ratios, how many are below 1, the largest one, and the name of its column; blank where a
    value is missing.
    """
    ratios = values / rival
    if np.isnan(ratios).any():
        return "", "", "", ""
    mean = np.exp(np.log(ratios).mean())
    return rounded(mean), int((ratios < 1).sum()), rounded(ratios.max()), names[int(ratios.argmax())]


# -- Markdown -----------------------------------------------------------------------------


def markdown(rows, kinds, down="model", across="set"):
    """Tables ready to paste; `kinds` gives the title of each and the function that makes a cell of a row.

    Lines without any number are left out.
    """
    columns = list(dict.fromkeys(row[across] for row in rows))
    cells = {(row[across], row[down]): row for row in rows}
    for title, cell in kinds.items():
        yield f"\n{title}:\n\n| | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}"
        for name in dict.fromkeys(row[down] for row in rows):
            entries = [cell(cells[column, name]) if (column, name) in cells else "" for column in columns]
            if any(entries):
                yield f"| {_code(name)} | {' | '.join(map(str, entries))} |"


def plain_markdown(rows, title):
    """A table ready to paste with the columns that it has."""
    yield f"\n{title}:\n\n| {' | '.join(rows[0])} |\n|{'---|' * len(rows[0])}"
    for row in rows:
        yield f"| {' | '.join(_code(value) if key == 'model' else str(value) for key, value in row.items())} |"


def with_error(value, error, form=".3g"):
    """A mean with its standard error, where there are any."""
    if value == "":
        return ""
    return f"{value:{form}}" + (f" ± {error:.1g}" if error != "" else "")


def _code(model):
    name, *rest = model.split(", ")
    return ", ".join([f"`{name}`", *rest])
