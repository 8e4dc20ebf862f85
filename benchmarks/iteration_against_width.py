"""Time and counted work of a Gauss-Newton iteration against width, everything else fixed, with fitted exponents.

python -m benchmarks.iteration_against_width [--samples 1000] [--features 10] [--dtype float32]

Samples are uniform on the unit sphere, targets a smooth function of them with noise; the
shift is the automatic one, which lets a share of the neurons fire that falls as the width
grows, and the solver is Cholesky, whose matrix has the order of the samples.

Columns are medians over the iterations, after the first two, that keep their step and follow
one that was kept: seconds, firing pairs (and those before training: weights of narrow networks
move further, and more of their neurons come to fire), pairs that the search evaluates, neurons
whose samples it looks for anew, and neurons that the step moved.  The last row holds the slopes
of their logarithms over that of width.  Memory is the peak of a whole fit beyond what the
process held with the samples in it.
"""

import numpy as np

from benchmarks.common import NotesTimes, argument_parser, exponents, in_fresh_process, measured, megabytes, rounded
from benchmarks.figures import lines, panels
from benchmarks.tables import write_table
from sksparsenn import SketchedGaussNewtonRegressor

# Without a lifted coordinate, so that samples stay as they are; a little ridge, so that training does not end at once.
FIXED = {
    "linear_part": False, "cv": None,
    "solver": "cholesky", "shift": "auto", "fit_intercept": False, "alpha": 1e-3, "output_scale": 1.0,
    "init": "paired", "damping": "adaptive", "tol": 0, "random_state": 0,
}  # fmt: skip


class TimedRegressor(NotesTimes, SketchedGaussNewtonRegressor):
    pass


def sphere_table(n, d, dtype):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, d))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    y = np.sin(3 * X[:, 0]) + 4 * X[:, 1] * X[:, 2] + 0.3 * rng.standard_normal(n)
    return X.astype(dtype), y


def measure(X, y, width, n_iter):
    TimedRegressor(2, max_iter=2, **FIXED).fit(X[:50], y[:50])  # loads libraries, starts threads
    model, _, memory = measured(TimedRegressor(width, max_iter=n_iter, **FIXED).fit, X, y)
    kept = model.accepted_curve_.copy()
    kept[1:] &= model.accepted_curve_[:-1]  # after a step that was taken back, pattern and matrix are still known
    kept[:2] = False
    firing = model.firing_fraction_curve_ * len(X) * width
    columns = {
        "seconds": np.append(np.nan, np.diff(model.times)),
        "firing pairs": firing,
        "pairs evaluated": model.pairs_evaluated_curve_,
        "neurons rescanned": model.neurons_rescanned_curve_,
        "neurons moved": model.neurons_moved_curve_,
    }
    row = {"width": width, "iterations": int(kept.sum()), "solver": model.solver_, "search": model.search_}
    row |= {"firing pairs at start": rounded(firing[0], 4)}
    row |= {name: rounded(np.median(values[kept]), 4) for name, values in columns.items()}
    return row | {"MB": megabytes(memory)}


def figure(rows):
    fig, axes = panels(1, 2)
    slopes, rows = rows[-1], rows[:-1]

    def labels(*columns):
        return {name: f"{name} ~ width$^{{{slopes[name]}}}$" for name in columns}

    lines(axes[0, 0], rows, "width", labels("seconds"), x_label="width (neurons)", y_label="seconds an iteration")
    counts = labels("firing pairs", "pairs evaluated", "neurons rescanned", "neurons moved")
    lines(axes[0, 1], rows, "width", counts, x_label="width (neurons)", y_label="counted in an iteration")
    return fig


TABLES = {"iteration_against_width": figure}


def main(arguments=None):
    parser = argument_parser(__spec__, __doc__)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--features", type=int, default=10)
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    parser.add_argument("--iterations", type=int, default=15)
    parser.add_argument("--widths", type=int, nargs="*", default=[1 << k for k in range(12, 19)])
    arguments = parser.parse_args(arguments)
    X, y = sphere_table(arguments.samples, arguments.features, arguments.dtype)
    rows = []
    for width in arguments.widths:
        rows.append(in_fresh_process(measure, X, y, width, arguments.iterations))
        print(rows[-1], flush=True)
    rows.append(exponents(rows, "width", list(rows[0])[4:]))
    write_table("iteration_against_width", rows, arguments, figure)


if __name__ == "__main__":
    main()
