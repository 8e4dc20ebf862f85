"""Microseconds to predict a row of a long table, and a single row, at defaults, beside MLP and trees.

python -m benchmarks.prediction [--rows 1000000]

Models are fitted to 20,000 rows of the table of `benchmarks.long_tables`; then they predict all rows of a longer one in
one call, and one row by itself.  "us a row" is the median of three calls over the number of rows, "us single" the
median of 2,000 calls, "MB" the peak of the resident set during the long call beyond what it was before.
"""

from time import perf_counter

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.neural_network import MLPRegressor

from benchmarks.common import argument_parser, in_fresh_process, measured, megabytes, rounded
from benchmarks.figures import panels
from benchmarks.large_tables import nonlinear_table
from benchmarks.tables import write_table
from sksparsenn import SketchedGaussNewtonRegressor, SparseShiftedReLURegressor

MODELS = [
    SketchedGaussNewtonRegressor(random_state=0), SparseShiftedReLURegressor(random_state=0),
    MLPRegressor(random_state=0), HistGradientBoostingRegressor(random_state=0),
]  # fmt: skip
FEATURES, CALLS = 10, 2000


def seconds_of(function, *arguments):
    begin = perf_counter()
    function(*arguments)
    return perf_counter() - begin


def predict_case(model, n_rows, n_fitted):
    """One row of the result."""
    X, y = nonlinear_table(n_fitted, FEATURES, "float32", seed=0)
    model.fit(X, y)
    X_long, _ = nonlinear_table(n_rows, FEATURES, "float32", seed=1)
    model.predict(X_long[:1000])
    _, _, memory = measured(model.predict, X_long)
    long = np.median([seconds_of(model.predict, X_long) for _ in range(3)])
    single = np.median([seconds_of(model.predict, X_long[k : k + 1]) for k in range(CALLS)])
    return {
        "model": type(model).__name__,
        "rows": n_rows,
        "us a row": rounded(1e6 * long / n_rows),
        "us single": rounded(1e6 * single),
        "MB": megabytes(memory),
    }


def figure(rows):
    fig, axes = panels(1, 2)
    for ax, key, label in (
        (axes[0, 0], "us a row", "microseconds a row of many"), (axes[0, 1], "us single", "microseconds, single row"),
    ):  # fmt: skip
        ax.barh([row["model"] for row in rows], [float(row[key]) for row in rows], color="0.4")
        ax.set(xlabel=label)
    return fig


TABLES = {"prediction": figure}


def main(arguments=None):
    parser = argument_parser(__spec__, __doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--fitted", type=int, default=20_000)
    arguments = parser.parse_args(arguments)
    rows = []
    for model in MODELS:
        rows.append(in_fresh_process(predict_case, model, arguments.rows, arguments.fitted))
        print(rows[-1], flush=True)
    write_table("prediction", rows, arguments, figure)


if __name__ == "__main__":
    main()
