"""Gauss-Newton training on large tables: time, iterations, fit and peak memory, each case in a process of its own.

python -m benchmarks.large_tables [--cases rows wide wide_defaults] [--dtypes float32 float64]

Case "rows": a million rows, ten features, 512 neurons, the solver left to the cost model,
trained until an iteration gains less than a thousandth of the objective.  Case "wide": 40,000
rows, eight features, 8,192 neurons, solver="nystrom", which forms no matrix of the order of the
rows, at most 20 iterations, and a ridge as large as the noise.  Case "wide_defaults": the same table
and width, everything else at its default.  Features are standard normal,
the target a nonlinear function of six of them plus noise of a tenth of its variance, so that R2
on new rows is at most 1 / 1.1 = 0.909.  scikit-learn's network and trees, at their defaults,
are fitted to the same table in float32.

Memory is the peak of the resident set during the fit beyond what it was before, when the
table was in it already.
"""

import warnings

import numpy as np
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor

from benchmarks.common import argument_parser, in_fresh_process, measured, megabytes, rounded
from benchmarks.figures import legend_below, panels, score_against_cost
from benchmarks.tables import write_table
from sksparsenn import SketchedGaussNewtonRegressor

# What decides between speed and fit does not follow the defaults, and is the same in all cases unless a case says so.
FIXED = {
    "alpha": 1e-3, "output_scale": 1.0, "intercept_scaling": 0.4, "damping": "adaptive",
    "max_iter": 200, "tol": 1e-3, "linear_part": False, "cv": None, "random_state": 0,
}  # fmt: skip
CASES = {
    "rows": ({"n": 1_000_000, "d": 10}, FIXED | {"width": 512, "solver": "auto"}),
    "wide": ({"n": 40_000, "d": 8}, FIXED | {"width": 8192, "solver": "nystrom", "alpha": 0.1, "max_iter": 20}),
    "wide_defaults": ({"n": 40_000, "d": 8}, {"width": 8192, "random_state": 0}),
}
RIVALS = {
    "MLPRegressor": MLPRegressor(random_state=0),
    "HistGradientBoostingRegressor": HistGradientBoostingRegressor(random_state=0),
}
NOISE_SHARE = 0.1
TEST_ROWS = 50_000
ROWS_AT_ONCE = 1 << 15  # drawn at a time, so that making the table takes no more memory than the table


def nonlinear_table(n, d, dtype, seed):
    """Rows and targets.  Each term of the target has variance one, and no two are correlated."""
    rng = np.random.default_rng(seed)
    X, y = np.empty((n, d), dtype), np.empty(n)
    for start in range(0, n, ROWS_AT_ONCE):
        part = rng.standard_normal((min(ROWS_AT_ONCE, n - start), d))
        X[start : start + len(part)] = part
        # 0.628 is the standard deviation of tanh of a standard normal number.
        wave = np.sin(2 * part[:, 0]) / np.sqrt((1 - np.exp(-8)) / 2)
        bend = (np.abs(part[:, 3]) - np.sqrt(2 / np.pi)) / np.sqrt(1 - 2 / np.pi)
        clean = (wave + part[:, 1] * part[:, 2] + bend + np.tanh(part[:, 4]) / 0.628 + part[:, 5]) / np.sqrt(5)
        y[start : start + len(part)] = clean + np.sqrt(NOISE_SHARE) * rng.standard_normal(len(part))
    return X, y


def fit_case(name, table, model, dtype):
    """One row of the result."""
    X, y = nonlinear_table(**table, dtype=dtype, seed=0)
    warnings.simplefilter("ignore", ConvergenceWarning)  # MLPRegressor's defaults stop after 200 epochs
    clone(model).fit(X[:100], y[:100])  # loads what is loaded late, starts threads
    _, seconds, memory = measured(model.fit, X, y)
    test = nonlinear_table(TEST_ROWS, table["d"], dtype, seed=1)
    ours = isinstance(model, SketchedGaussNewtonRegressor)
    return {
        "case": name,
        "model": type(model).__name__,
        **table,
        "width": model.width if ours else "",
        "dtype": dtype,
        "solver": model.solver_ if ours else "",
        "seconds": rounded(seconds),
        "iterations": model.n_iter_,
        "inner iterations": int(model.inner_iterations_curve_.sum()) if ours else "",
        "stop reason": model.stop_reason_ if ours else "",
        "mean squared error": rounded(np.mean((model.predict(X) - y) ** 2) / y.var()),
        "objective a row": rounded(model.objective_ / len(X)) if ours else "",
        "test R2": rounded(model.score(*test), 4),
        "table MB": rounded((X.nbytes + y.nbytes) / 1e6),
        "memory beyond MB": megabytes(memory),
    }


def figure(rows):
    fig, axes = panels(1, 2)
    rows = [row | {"name": f"{row.get('model', 'SketchedGaussNewtonRegressor')}, {row['dtype']}"} for row in rows]
    for ax, cost, label in (
        (axes[0, 0], "seconds", "seconds to fit"),
        (axes[0, 1], "memory beyond MB", "peak MB of a fit, beyond the table"),
    ):
        score_against_cost(ax, rows, "name", "test R2", cost=cost, x_label=label, y_label="test R2")
    fig.suptitle(f"{rows[0]['n']:,} rows, {rows[0]['d']} features")
    legend_below(fig, axes[0, 0], 2)
    return fig


TABLES = {f"large_tables_{name}": figure for name in CASES}


def main(arguments=None):
    parser = argument_parser(__spec__, __doc__)
    parser.add_argument("--cases", nargs="*", choices=list(CASES), default=list(CASES))
    parser.add_argument("--dtypes", nargs="*", choices=["float32", "float64"], default=["float32", "float64"])
    parser.add_argument("--rivals", nargs="*", choices=list(RIVALS), default=list(RIVALS), help="fitted in float32")
    parser.add_argument("--rows", type=int, help="another number of rows, for a trial")
    parser.add_argument("--width", type=int, help="another width, for a trial")
    arguments = parser.parse_args(arguments)
    for name in arguments.cases:
        rows = []
        table, parameters = CASES[name]
        table = table | ({"n": arguments.rows} if arguments.rows else {})
        parameters = parameters | ({"width": arguments.width} if arguments.width else {})
        ours = SketchedGaussNewtonRegressor(**parameters)
        models = [(ours, dtype) for dtype in arguments.dtypes]
        models += [(RIVALS[rival], "float32") for rival in arguments.rivals]
        for model, dtype in models:
            rows.append(in_fresh_process(fit_case, name, table, model, dtype))
            print(rows[-1], flush=True)
        write_table(f"large_tables_{name}", rows, arguments, figure)


if __name__ == "__main__":
    main()
