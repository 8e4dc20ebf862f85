"""Gauss-Newton on rows that grow beside all rows in every step: errors on new rows, seconds, rows times iterations.

python -m benchmarks.growing_rows [--rows 100000] [--seeds 3]

The table of `benchmarks.large_tables`, ten features in float32, with noise of three variances, and its classes with a
tenth.  Both fits are at defaults but for the rows in their steps; patience is that of long tables in both.  "error" is
the mean squared error on 50,000 new rows, or their log loss.  "ratio" is that of growing rows over that of all rows,
with the standard error over seeds, which draw rows, noise and initial weights anew; "row iterations" is the sum over
iterations of the rows in their sums.
"""

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss

import benchmarks.large_tables as large_tables
import sksparsenn._training.growing_rows as growing_rows
from benchmarks.common import argument_parser, in_fresh_process, measured, rounded
from benchmarks.figures import panels
from benchmarks.tables import write_table
from sksparsenn import SketchedGaussNewtonClassifier, SketchedGaussNewtonRegressor

FEATURES = 10
KINDS = {
    "numbers, noise 0.01": ("regression", 0.01),
    "numbers, noise 0.1": ("regression", 0.1),
    "numbers, noise 1": ("regression", 1.0),
    "classes": ("classification", 0.1),
}


def fit_case(kind, n_rows, seed, grows):
    """The error on new rows, the seconds, and the row iterations of a fit."""
    task, large_tables.NOISE_SHARE = KINDS[kind]
    if not grows:
        growing_rows.FIRST_ROWS = n_rows
    X, y = large_tables.nonlinear_table(n_rows, FEATURES, "float32", seed=2 * seed)
    X_new, y_new = large_tables.nonlinear_table(large_tables.TEST_ROWS, FEATURES, "float32", seed=2 * seed + 1)
    warnings.simplefilter("ignore", ConvergenceWarning)
    if task == "regression":
        model = SketchedGaussNewtonRegressor(random_state=seed)
    else:
        model, y, y_new = SketchedGaussNewtonClassifier(random_state=seed), y > 0, y_new > 0
    _, seconds, _ = measured(model.fit, X, y)
    if task == "regression":
        error = np.mean((model.predict(X_new) - y_new) ** 2)
    else:
        error = log_loss(y_new, model.predict_proba(X_new))
    return float(error), seconds, int(model.rows_curve_.sum())


def compare(kind, n_rows, n_seeds):
    """A row of the result."""
    found = {
        grows: np.array([in_fresh_process(fit_case, kind, n_rows, seed, grows) for seed in range(n_seeds)])
        for grows in (True, False)
    }
    ratios = found[True][:, 0] / found[False][:, 0]
    row = {"table": kind, "rows": n_rows}
    for name, grows in (("growing", True), ("all", False)):
        error, seconds, row_iterations = found[grows].mean(axis=0)
        row |= {
            f"error, {name}": rounded(error, 4),
            f"seconds, {name}": rounded(seconds),
            f"row iterations, {name}": rounded(row_iterations),
        }
    spread = ratios.std(ddof=1) / np.sqrt(n_seeds) if n_seeds > 1 else 0.0
    return row | {"ratio": rounded(ratios.mean(), 4), "standard error": rounded(spread, 2)}


def figure(rows):
    fig, axes = panels(1, 2)
    tables = [row["table"] for row in rows]
    axes[0, 0].errorbar(
        [float(row["ratio"]) for row in rows], tables, xerr=[float(row["standard error"]) for row in rows], fmt="o"
    )
    axes[0, 0].axvline(1, color="0.7")
    axes[0, 0].set(xlabel="error / error with all rows")
    axes[0, 1].barh(tables, [float(row["seconds, growing"]) / float(row["seconds, all"]) for row in rows], color="0.4")
    axes[0, 1].set(xlabel="seconds / seconds with all rows", yticklabels=[])
    return fig


TABLES = {"growing_rows": figure}


def main(arguments=None):
    parser = argument_parser(__spec__, __doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args(arguments)
    rows = []
    for kind in KINDS:
        rows.append(compare(kind, arguments.rows, arguments.seeds))
        print(rows[-1], flush=True)
    write_table("growing_rows", rows, arguments, figure)


if __name__ == "__main__":
    main()
