"""Gauss-Newton training on large tables: time, iterations, fit and peak memory, each case in a process of its own.

python -m benchmarks.large_tables [--cases rows wide] [--dtypes float32 float64]

Case "rows": a million rows, ten features, 512 neurons, the solver left to the cost model,
trained until an iteration gains less than a thousandth of the objective.  Case "wide": 40,000
rows, eight features, 8,192 neurons, solver="nystrom", which forms no matrix of the order of the
rows.  Features are standard normal, the target a nonlinear function of six of them plus noise
of a tenth of its variance, so that R2 on new rows is at most 1 / 1.1 = 0.909.

Memory is the peak of the resident set during the fit beyond what it was before, when the
table was in it already.
"""

import argparse
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from time import perf_counter

import numpy as np

from benchmarks.common import rounded, write_table
from sksparsenn import SketchedGaussNewtonRegressor

CASES = {
    "rows": ({"n": 1_000_000, "d": 10}, {"width": 512, "solver": "auto"}),
    "wide": ({"n": 40_000, "d": 8}, {"width": 8192, "solver": "nystrom"}),
}
# What decides between speed and fit is the same in all cases and does not follow the defaults.
FIXED = {
    "alpha": 1e-3, "output_scale": 1.0, "intercept_scaling": 0.4, "damping": "adaptive",
    "max_iter": 200, "tol": 1e-3, "random_state": 0,
}  # fmt: skip
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


def peak_memory():
    """Bytes of the largest resident set so far."""
    import resource  # not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def fit_case(name, table, parameters, dtype):
    """One row of the result."""
    X, y = nonlinear_table(**table, dtype=dtype, seed=0)
    model = SketchedGaussNewtonRegressor(**parameters, **FIXED)
    before, start = peak_memory(), perf_counter()
    model.fit(X, y)
    seconds, after = perf_counter() - start, peak_memory()
    test = nonlinear_table(TEST_ROWS, table["d"], dtype, seed=1)
    return {
        "case": name,
        **table,
        "width": model.width,
        "dtype": dtype,
        "solver": model.solver_,
        "seconds": rounded(seconds),
        "iterations": model.n_iter_,
        "inner iterations": int(model.inner_iterations_curve_.sum()),
        "stop reason": model.stop_reason_,
        "mean squared error": rounded(np.mean((model.predict(X) - y) ** 2) / y.var()),
        "objective a row": rounded(model.objective_ / len(X)),
        "test R2": rounded(model.score(*test), 4),
        "table MB": rounded((X.nbytes + y.nbytes) / 1e6),
        "memory beyond MB": rounded((after - before) / 1e6),
    }


def in_fresh_process(*arguments):
    """Call fit_case where no earlier case has left its peak."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(fit_case, *arguments).result()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="*", choices=list(CASES), default=list(CASES))
    parser.add_argument("--dtypes", nargs="*", choices=["float32", "float64"], default=["float32", "float64"])
    parser.add_argument("--rows", type=int, help="another number of rows, for a trial")
    parser.add_argument("--width", type=int, help="another width, for a trial")
    arguments = parser.parse_args()
    for name in arguments.cases:
        rows = []
        table, parameters = CASES[name]
        table = table | ({"n": arguments.rows} if arguments.rows else {})
        parameters = parameters | ({"width": arguments.width} if arguments.width else {})
        for dtype in arguments.dtypes:
            rows.append(in_fresh_process(name, table, parameters, dtype))
            print(rows[-1], flush=True)
        write_table(f"large_tables_{name}", rows)


if __name__ == "__main__":
    main()
