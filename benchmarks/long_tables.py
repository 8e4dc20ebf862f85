"""Defaults on tables of ten thousand to a million rows: seconds, score and peak memory, beside networks and trees.

python -m benchmarks.long_tables [--rows 10000 100000 500000 1000000] [--tasks regression classification] [--models ...]

Ten standard normal features in float32; the target is a nonlinear function of six of them plus
noise of a tenth of its variance, so that R2 on new rows is at most 1 / 1.1 = 0.909 (see
`benchmarks.large_tables`).  Classifiers learn whether it is above its mean.  All models are at
their defaults, each fit in a process of its own; a first fit of 100 rows, not counted, loads what
is loaded late.  "score" is R2 or the accuracy, on 50,000 new rows, "log loss" that of probabilities
on these.  "row iterations" is the sum over iterations of the rows in their sums.  "memory beyond
MB" is the peak of the resident set during the fit beyond what it was before, when the table was in
it already.  "exponent" is the slope of the logarithm of the seconds over that of the rows.
"""

import warnings

from sklearn.base import clone, is_classifier
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss
from sklearn.neural_network import MLPClassifier, MLPRegressor

from benchmarks.common import argument_parser, exponents, in_fresh_process, measured, megabytes, rounded
from benchmarks.figures import legend_below, panels
from benchmarks.large_tables import TEST_ROWS, nonlinear_table
from benchmarks.tables import write_table
from sksparsenn import (
    SketchedGaussNewtonClassifier,
    SketchedGaussNewtonRegressor,
    SparseShiftedReLUClassifier,
    SparseShiftedReLURegressor,
)

MODELS = {
    "regression": [
        SketchedGaussNewtonRegressor(random_state=0), SparseShiftedReLURegressor(random_state=0),
        MLPRegressor(random_state=0), HistGradientBoostingRegressor(random_state=0),
    ],
    "classification": [
        SketchedGaussNewtonClassifier(random_state=0), SparseShiftedReLUClassifier(random_state=0),
        MLPClassifier(random_state=0), HistGradientBoostingClassifier(random_state=0),
    ],
}  # fmt: skip
FEATURES = 10


def labelled(model, X, y):
    """The table as the model takes it."""
    return X, (y > 0).astype(int) if is_classifier(model) else y


def fit_case(task, n_rows, model):
    """One row of the result."""
    X, y = labelled(model, *nonlinear_table(n_rows, FEATURES, "float32", seed=0))
    warnings.simplefilter("ignore", ConvergenceWarning)  # the rivals' defaults may stop before they have converged
    clone(model).fit(X[:100], y[:100])
    _, seconds, memory = measured(model.fit, X, y)
    X_new, y_new = labelled(model, *nonlinear_table(TEST_ROWS, FEATURES, "float32", seed=1))
    rows = getattr(model, "rows_curve_", None)
    return {
        "task": task,
        "rows": n_rows,
        "model": type(model).__name__,
        "seconds": rounded(seconds),
        "score": rounded(model.score(X_new, y_new), 4),
        "log loss": rounded(log_loss(y_new, model.predict_proba(X_new)), 4) if is_classifier(model) else "",
        "iterations": model.n_iter_,
        "row iterations": "" if rows is None else int(rows.sum()),
        "last rows": "" if rows is None else int(rows[-1]),
        "memory beyond MB": megabytes(memory),
    }


def figure(rows):
    fig, axes = panels(1, 2)
    for ax, key, label in ((axes[0, 0], "seconds", "seconds to fit"), (axes[0, 1], "score", "score on new rows")):
        for model in dict.fromkeys(row["model"] for row in rows):
            own = [row for row in rows if row["model"] == model and row["rows"] != "exponent"]
            ax.plot([float(row["rows"]) for row in own], [float(row[key]) for row in own], label=model)
        ax.set(xscale="log", xlabel="rows", ylabel=label)
    axes[0, 0].set_yscale("log")
    legend_below(fig, axes[0, 0], 2)
    return fig


TABLES = {f"long_tables_{task}": figure for task in MODELS}


def main(arguments=None):
    parser = argument_parser(__spec__, __doc__)
    parser.add_argument("--rows", nargs="*", type=int, default=[10_000, 100_000, 500_000, 1_000_000])
    parser.add_argument("--tasks", nargs="*", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--models", nargs="*", help="parts of the names of models; all by default")
    arguments = parser.parse_args(arguments)
    for task in arguments.tasks:
        rows = []
        for model in MODELS[task]:
            if not any(part in type(model).__name__ for part in arguments.models or [""]):
                continue
            own = []
            for n_rows in arguments.rows:
                own.append(in_fresh_process(fit_case, task, n_rows, model))
                print(own[-1], flush=True)
            rows += own
            if len(own) > 1:
                rows.append(exponents(own, "rows", ["seconds"]) | {"task": task, "model": type(model).__name__})
        write_table(f"long_tables_{task}", rows, arguments, figure)


if __name__ == "__main__":
    main()
