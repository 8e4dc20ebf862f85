"""Fits at defaults on memory-mapped tables of a million to ten million rows: seconds, score and peak memory.

python -m benchmarks.memory_mapped [--rows 1000000 4000000 10000000] [--models ...] [--folder FOLDER]

Ten standard normal features in float32 in a file, with the target of `benchmarks.long_tables`, so that R2 on new rows
is at most 0.909.  Each fit is in a process of its own, which maps the file and reads it during the fit.  "memory
beyond MB" is the peak of the resident set during the fit beyond what it was before; "of that the file" are pages of the
file, which the system may take back at any time, and "anonymous MB" the peak of all else.  "row iterations" is the sum
over iterations of the rows in their sums.  "exponent" is the slope of the logarithm of the seconds over that of the
rows.
"""

import tempfile
import threading
import warnings
from pathlib import Path
from time import perf_counter, sleep

import numpy as np
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor

from benchmarks.common import argument_parser, exponents, in_fresh_process, rounded
from benchmarks.figures import legend_below, panels
from benchmarks.large_tables import TEST_ROWS, nonlinear_table
from benchmarks.tables import write_table
from sksparsenn import SketchedGaussNewtonRegressor

MODELS = [
    SketchedGaussNewtonRegressor(random_state=0), MLPRegressor(random_state=0),
    HistGradientBoostingRegressor(random_state=0),
]  # fmt: skip
FEATURES, PART = 10, 1 << 18


def write_file(path, n_rows):
    """Write a table part by part: features, then the target."""
    table = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(n_rows, FEATURES))
    target = np.lib.format.open_memmap(path.with_suffix(".y.npy"), mode="w+", dtype=np.float32, shape=(n_rows,))
    for start in range(0, n_rows, PART):
        X, y = nonlinear_table(min(PART, n_rows - start), FEATURES, "float32", seed=100 + start)
        table[start : start + len(X)], target[start : start + len(X)] = X, y
    table.flush()
    target.flush()


def resident():
    """Return the megabytes of this process that are not pages of files, and those that are."""
    lines = Path("/proc/self/status").read_text().splitlines()
    values = {line.split(":")[0]: int(line.split()[1]) / 1e3 for line in lines if line.startswith("Rss")}
    return values["RssAnon"], values["RssFile"]


class Watch(threading.Thread):
    """Looks at the memory of this process again and again."""

    def __init__(self):
        super().__init__(daemon=True)
        self.start_anonymous, self.start_file = self.anonymous, self.file = resident()
        self.ended = False

    def run(self):
        while not self.ended:
            anonymous, file = resident()
            self.anonymous, self.file = max(self.anonymous, anonymous), max(self.file, file)
            sleep(0.02)


def fit_case(path, n_rows, model):
    """One row of the result."""
    warnings.simplefilter("ignore", ConvergenceWarning)  # the rivals' defaults may stop before they have converged
    X, y = np.load(path, mmap_mode="r"), np.load(path.with_suffix(".y.npy"), mmap_mode="r")
    clone(model).fit(np.array(X[:100]), np.array(y[:100]))
    watch = Watch()
    watch.start()
    begin = perf_counter()
    model.fit(X, y)
    seconds, watch.ended = perf_counter() - begin, True
    X_new, y_new = nonlinear_table(TEST_ROWS, FEATURES, "float32", seed=1)
    rows = getattr(model, "rows_curve_", None)
    return {
        "rows": n_rows,
        "model": type(model).__name__,
        "seconds": rounded(seconds),
        "score": rounded(model.score(X_new, y_new), 4),
        "iterations": model.n_iter_,
        "row iterations": "" if rows is None else int(rows.sum()),
        "last rows": "" if rows is None else int(rows[-1]),
        "anonymous MB": round(watch.anonymous - watch.start_anonymous),
        "of the file MB": round(watch.file - watch.start_file),
    }


def figure(rows):
    fig, axes = panels(1, 2)
    for ax, key, label in (
        (axes[0, 0], "seconds", "seconds to fit"), (axes[0, 1], "anonymous MB", "MB beyond the file"),
    ):  # fmt: skip
        for model in dict.fromkeys(row["model"] for row in rows):
            own = [row for row in rows if row["model"] == model and row["rows"] != "exponent"]
            ax.plot([float(row["rows"]) for row in own], [float(row[key]) for row in own], label=model)
        ax.set(xscale="log", yscale="log", xlabel="rows", ylabel=label)
    legend_below(fig, axes[0, 0], 2)
    return fig


TABLES = {"memory_mapped": figure}


def main(arguments=None):
    parser = argument_parser(__spec__, __doc__)
    parser.add_argument("--rows", nargs="*", type=int, default=[1_000_000, 4_000_000, 10_000_000])
    parser.add_argument("--models", nargs="*", help="parts of the names of models; all by default")
    parser.add_argument("--folder", type=Path, help="where to write the tables; a temporary folder by default")
    arguments = parser.parse_args(arguments)
    rows = []
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        path = Path(folder) / "table.npy"
        for n_rows in arguments.rows:
            write_file(path, n_rows)
            for model in MODELS:
                if any(part in type(model).__name__ for part in arguments.models or [""]):
                    rows.append(in_fresh_process(fit_case, path, n_rows, model))
                    print(rows[-1], flush=True)
    rows.sort(key=lambda row: [type(model).__name__ for model in MODELS].index(row["model"]))
    for name in dict.fromkeys(row["model"] for row in rows):
        own = [row for row in rows if row["model"] == name]
        if len(own) > 1:
            rows.append(exponents(own, "rows", ["seconds"]) | {"model": name})
    write_table("memory_mapped", rows, arguments, figure)


if __name__ == "__main__":
    main()
