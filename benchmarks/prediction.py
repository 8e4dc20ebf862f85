"""Microseconds to predict a row of a long table, and a single row, at defaults, beside MLP and trees.

python -m benchmarks.prediction [--rows 1000000]

Models are fitted to 20,000 rows of the table of `benchmarks.long_tables`; then they predict all rows of a longer one in
one call, and one row by itself.  "us a row" is the median of three calls over the number of rows, "us single" the
median of 2,000 calls, "MB" the peak of the resident set during the long call beyond what it was before.

The last rows are networks of 65,536 neurons after a few steps, in three features and in ten, where a row by itself is
predicted with the tree over the neurons if the fit has stored one, and once more without.
"""

import warnings
from time import perf_counter

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
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
FEATURES, CALLS, WIDE = 10, 2000, 1 << 16


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


def wide_case(n_features, keeps_tree):
    """A row of the result for a wide network."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((5000, n_features)).astype(np.float32)
    warnings.simplefilter("ignore", ConvergenceWarning)  # some steps are enough here
    model = SparseShiftedReLURegressor(WIDE, cv=None, max_iter=5, random_state=0).fit(X, X[:, 0] * X[:, 1])
    stored = hasattr(model, "_neuron_order") and model._neuron_order is not None
    if not keeps_tree:
        model.hidden_weights_ = model.hidden_weights_.copy()
    model.predict(X[:1])
    single = np.median([seconds_of(model.predict, X[k : k + 1]) for k in range(CALLS)])
    with_tree = "with tree" if stored and keeps_tree else "without tree"
    return {
        "model": f"{WIDE} neurons, {n_features} features, {with_tree}",
        "rows": "",
        "us a row": "",
        "us single": rounded(1e6 * single),
        "MB": "",
    }


def figure(rows):
    fig, axes = panels(1, 2)
    for ax, key, label in (
        (axes[0, 0], "us a row", "microseconds a row of many"), (axes[0, 1], "us single", "microseconds, single row"),
    ):  # fmt: skip
        own = [row for row in rows if row[key] not in ("", None)]
        ax.barh([row["model"] for row in own], [float(row[key]) for row in own], color="0.4")
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
    for n_features, keeps_tree in ((3, True), (3, False), (10, True)):
        rows.append(in_fresh_process(wide_case, n_features, keeps_tree))
        print(rows[-1], flush=True)
    write_table("prediction", rows, arguments, figure)


if __name__ == "__main__":
    main()
