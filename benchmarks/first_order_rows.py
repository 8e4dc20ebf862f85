"""Gradient descent and batches on long tables: seconds, R2, and seconds to the same validation error.

python -m benchmarks.first_order_rows [--rows 100000 200000]

The table of `benchmarks.long_tables`, ten features in float32.  `SparseShiftedReLURegressor` at its defaults, which
take batches of so many rows, with each solver by name, and `MLPRegressor`.  "seconds to 0.9" and "seconds to 0.905"
are the seconds of the fit times the share of its iterations after which R2 on the rows left out was that high first;
all iterations of a fit take about the same time.
"""

import warnings

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor

from benchmarks.common import argument_parser, in_fresh_process, measured, rounded
from benchmarks.figures import legend_below, panels
from benchmarks.large_tables import TEST_ROWS, nonlinear_table
from benchmarks.tables import write_table
from sksparsenn import SparseShiftedReLURegressor

MODELS = {
    "defaults": SparseShiftedReLURegressor(random_state=0),
    "gd": SparseShiftedReLURegressor(solver="gd", random_state=0),
    "sgd": SparseShiftedReLURegressor(solver="sgd", random_state=0),
    "MLPRegressor": MLPRegressor(random_state=0),
}
FEATURES, LEVELS = 10, (0.9, 0.905)


def fit_case(name, n_rows):
    """One row of the result."""
    X, y = nonlinear_table(n_rows, FEATURES, "float32", seed=0)
    X_new, y_new = nonlinear_table(TEST_ROWS, FEATURES, "float32", seed=1)
    warnings.simplefilter("ignore", ConvergenceWarning)
    model = clone(MODELS[name])
    clone(model).fit(X[:100], y[:100])  # loads what is loaded late
    _, seconds, _ = measured(model.fit, X, y)
    scores = np.asarray(model.validation_scores_ if name != "MLPRegressor" else [])
    reached = {f"seconds to {level}": "" for level in LEVELS}
    for level in LEVELS:
        if (scores >= level).any():
            reached[f"seconds to {level}"] = rounded(seconds * (np.argmax(scores >= level) + 1) / len(scores))
    return {
        "rows": n_rows,
        "model": name,
        "seconds": rounded(seconds),
        "R2": rounded(model.score(X_new, y_new), 4),
        "best on rows left out": rounded(scores.max(), 4) if len(scores) else "",
        "iterations": model.n_iter_,
        **reached,
    }


def figure(rows):
    fig, axes = panels(1, 2)
    for ax, key, label in ((axes[0, 0], "seconds", "seconds to fit"), (axes[0, 1], "R2", "R2 on new rows")):
        for model in MODELS:
            own = [row for row in rows if row["model"] == model]
            ax.plot([float(row["rows"]) for row in own], [float(row[key]) for row in own], marker="o", label=model)
        ax.set(xlabel="rows", ylabel=label)
    legend_below(fig, axes[0, 0], 4)
    return fig


TABLES = {"first_order_rows": figure}


def main(arguments=None):
    parser = argument_parser(__spec__, __doc__)
    parser.add_argument("--rows", nargs="*", type=int, default=[100_000, 200_000])
    arguments = parser.parse_args(arguments)
    rows = []
    for n_rows in arguments.rows:
        for name in MODELS:
            rows.append(in_fresh_process(fit_case, name, n_rows))
            print(rows[-1], flush=True)
    write_table("first_order_rows", rows, arguments, figure)


if __name__ == "__main__":
    main()
