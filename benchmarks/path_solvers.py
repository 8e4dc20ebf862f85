"""Work and seconds of Gauss-Newton along a ridge path, with each solver: what the path saves, and what "auto" takes.

python -m benchmarks.path_solvers [--rows 500 2000 10000 200000] [--repeat 3]

One network, at the defaults but for the solver, is trained on the table of
`benchmarks.large_tables` with ten features and walks its whole path, whatever validation rows
say; on more than 65,536 rows it does so once, with the solvers for long tables, on rows that
grow.  Counted are inner iterations, by the ridge of the moment: above 0.1 in units of the kernel
unit, above 0.001, and below; and "Mpairs", the millions of firing pairs that their products
pass over, if all rows had been in every sum.  Factors of Cholesky are one for each Jacobian and
damping.  Seconds are medians of fits on the threads there are.  The test error is in units of the
noise.
"""

from statistics import median
from time import perf_counter

import numpy as np

from benchmarks.common import argument_parser, rounded
from benchmarks.figures import panels, plain
from benchmarks.large_tables import NOISE_SHARE, nonlinear_table
from benchmarks.tables import write_table
from sksparsenn import SketchedGaussNewtonRegressor
from sksparsenn._training.growing_rows import MANY_ROWS

SOLVERS, LONG_SOLVERS = ("auto", "cg", "nystrom", "cholesky"), ("auto", "cg", "sample", "cholesky")
FEATURES, TEST_ROWS = 10, 5_000
# Bounds of the ridge between parts of the path.
BOUNDS = {"ridge > 0.1": (0.1, np.inf), "ridge > 0.001": (1e-3, 0.1), "ridge below": (0.0, 1e-3)}


def fit(solver, X, y):
    """A network that has walked its path to the end."""
    model = SketchedGaussNewtonRegressor(solver=solver, cv=None, random_state=0)
    # On samples of long tables, a fifth of this patience counts.
    return model.set_params(n_iter_no_change=5 * model.max_iter).fit(X, y)


def measure(solver, n, repeat):
    """The row of a solver."""
    X, y = nonlinear_table(n, FEATURES, np.float64, seed=0)
    X_test, y_test = nonlinear_table(TEST_ROWS, FEATURES, np.float64, seed=1)
    fit(solver, X[:100], y[:100])  # loads libraries, starts threads
    seconds = []
    for _ in range(repeat):
        start = perf_counter()
        model = fit(solver, X, y)
        seconds.append(perf_counter() - start)
    inner, ridge = model.inner_iterations_curve_, model.alpha_curve_
    parts = {name: inner[(ridge > low) & (ridge <= high)] for name, (low, high) in BOUNDS.items()}
    in_training = n - int(np.ceil(model.validation_fraction * n))
    pairs = model.firing_fraction_curve_ * model.width * in_training
    error = np.sqrt(np.mean((model.predict(X_test) - y_test) ** 2) / NOISE_SHARE)
    row = {"n": n, "solver": solver, "fit s": rounded(median(seconds)), "iterations": model.n_iter_}
    row |= {name: rounded(part.mean()) if len(part) else None for name, part in parts.items()}
    return row | {"inner": int(inner.sum()), "Mpairs": rounded(1e-6 * inner @ pairs), "error / noise": rounded(error)}


def figure(rows):
    """Seconds of a path against rows, a line a solver."""
    fig, axes = panels()
    ax = axes[0, 0]
    for solver in dict.fromkeys(row["solver"] for row in rows):
        mine = [row for row in rows if row["solver"] == solver]
        ax.plot([row["n"] for row in mine], [row["fit s"] for row in mine], label=solver)
    ax.set(xscale="log", yscale="log", xlabel="rows", ylabel="seconds of a ridge path")
    plain(ax.xaxis, ax.yaxis)
    ax.legend()
    return fig


TABLES = {"path_solvers": figure}


def main(arguments=None):
    parser = argument_parser(__spec__, __doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[500, 2_000, 10_000, 200_000])
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args(arguments)
    rows = []
    for n in arguments.rows:
        is_long = n > MANY_ROWS
        for solver in LONG_SOLVERS if is_long else SOLVERS:
            rows.append(measure(solver, n, 1 if is_long else arguments.repeat))
            print(rows[-1], flush=True)
    write_table("path_solvers", rows, arguments, figure)


if __name__ == "__main__":
    main()
