"""Time and counted work of a Gauss-Newton iteration against width, everything else fixed, with fitted exponents.

python -m benchmarks.iteration_against_width [--samples 1000] [--features 10] [--dtype float32]

Samples are uniform on the unit sphere, targets a smooth function of them with noise; the
shift is the automatic one, which lets a share of the neurons fire that falls as the width
grows, and the solver is Cholesky, whose matrix has the order of the samples.

Columns are medians over the iterations, after the first two, that keep their step and follow
one that was kept: seconds, firing pairs (and those before training: weights of narrow networks
move further, and more of their neurons come to fire), pairs that the search evaluates, neurons
whose samples it looks for anew, and neurons that the step moved.  The last row holds the slopes
of their logarithms over that of width.
"""

import argparse
from time import perf_counter

import numpy as np

from benchmarks.common import rounded, write_table
from sksparsenn import SketchedGaussNewtonRegressor

# Without a lifted coordinate, so that samples stay as they are; a little ridge, so that training does not end at once.
FIXED = {
    "solver": "cholesky", "shift": "auto", "fit_intercept": False, "alpha": 1e-3, "output_scale": 1.0,
    "init": "paired", "damping": "adaptive", "tol": 0, "random_state": 0,
}  # fmt: skip


class TimedRegressor(SketchedGaussNewtonRegressor):
    """Notes the time after every iteration."""

    def _line(self, *_):
        self.times = []
        return lambda state: self.times.append(perf_counter())


def sphere_table(n, d, dtype):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, d))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    y = np.sin(3 * X[:, 0]) + 4 * X[:, 1] * X[:, 2] + 0.3 * rng.standard_normal(n)
    return X.astype(dtype), y


def measure(X, y, width, n_iter):
    model = TimedRegressor(width, max_iter=n_iter, **FIXED).fit(X, y)
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
    print(row, flush=True)
    return row


def exponents(rows):
    """Slopes of log(column) over log(width), least squares; none where a count is zero."""
    slopes = {**dict.fromkeys(rows[0], ""), "width": "exponent"}
    log_width = np.log([row["width"] for row in rows])
    for name in list(rows[0])[4:]:
        values = np.array([row[name] for row in rows], dtype=float)
        slopes[name] = rounded(np.polyfit(log_width, np.log(values), 1)[0]) if values.min() > 0 else ""
    return slopes


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--features", type=int, default=10)
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    parser.add_argument("--iterations", type=int, default=15)
    parser.add_argument("--widths", type=int, nargs="*", default=[1 << k for k in range(12, 19)])
    arguments = parser.parse_args()
    X, y = sphere_table(arguments.samples, arguments.features, arguments.dtype)
    rows = [measure(X, y, width, arguments.iterations) for width in arguments.widths]
    write_table("iteration_against_width", [*rows, exponents(rows)])


if __name__ == "__main__":
    main()
