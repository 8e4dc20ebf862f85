"""Time, counted work and memory of the five searches, for full batches and mini-batches, in few and many features.

python -m benchmarks.searches [--rows 1000] [--width 16384] [--features 2 4 10]

Samples are Gaussian, the target a smooth function of them; float32.  Each fit is one of

gd:               full batches, every neuron moves in every step;
sgd:              batches of 200 with momentum, every neuron moves in every step;
sgd, few moves:   batches of 5 without momentum and ridge, the neurons that fired move.

Columns are medians over the iterations after the first, which builds the search: milliseconds
a step, and inner products and nodes tested in a step, in units of all pairs of the step.
Memory is the peak of the fit, of a process of its own.  All searches lead to the same weights,
bit for bit, and "same weights" says whether they did.
"""

from zlib import crc32

import numpy as np

from benchmarks.common import NotesTimes, argument_parser, in_fresh_process, measured, megabytes, rounded
from benchmarks.figures import legend_below, lines, panels
from benchmarks.tables import write_table
from sksparsenn import SparseShiftedReLURegressor

CASES = {
    "gd": {"solver": "gd"},
    "sgd": {"solver": "sgd", "batch_size": 200},
    "sgd, few moves": {"solver": "sgd", "batch_size": 5, "momentum": 0.0, "alpha": 0.0},
}
SEARCHES = "margin", "data", "weights", "max_tree", "brute"


class TimedRegressor(NotesTimes, SparseShiftedReLURegressor):
    pass


def smooth_table(n, d):
    rng = np.random.default_rng(d)
    X = rng.standard_normal((n, d)).astype(np.float32)
    return X, np.sin(2 * X[:, 0]) + X[:, 1] + 0.1 * rng.standard_normal(n)


def measure(case, n, d, width, search, n_iter):
    X, y = smooth_table(n, d)

    def model(width, n_iter):
        return TimedRegressor(
            width, search=search, linear_part=False, cv=None, max_iter=n_iter, tol=0, random_state=0, **CASES[case]
        )

    model(2, 2).fit(X[:20], y[:20])  # loads libraries, starts threads
    fitted, _, memory = measured(model(width, n_iter).fit, X, y)
    batch = fitted.batch_size if fitted.solver == "sgd" else n
    steps = max(1, round(n / batch))
    pairs = steps * min(batch, n) * width
    return {
        "case": case,
        "features": d,
        "search": search,
        "rows": n,
        "width": width,
        "ms a step": rounded(1e3 * np.median(np.diff(fitted.times)) / steps),
        "firing": rounded(fitted.firing_fraction_curve_[-1]),
        "pairs evaluated": rounded(np.median(fitted.pairs_evaluated_curve_[1:]) / pairs),
        "nodes tested": rounded(np.median(fitted.nodes_visited_curve_[1:]) / pairs),
        "MB": megabytes(memory),
        "same weights": crc32(fitted.hidden_weights_.tobytes()),
    }


def compare(case, n, d, width, n_iter):
    """A row for each search; whether it led to the weights of the last one takes the place of their check sum."""
    rows = [in_fresh_process(measure, case, n, d, width, search, n_iter) for search in SEARCHES]
    check = rows[-1]["same weights"]
    for row in rows:
        row["same weights"] = row["same weights"] == check
        print(row, flush=True)
    return rows


def figure(rows):
    cases = list(dict.fromkeys(row["case"] for row in rows))
    fig, axes = panels(1, len(cases), width=3.8)
    for ax, case in zip(axes[0], cases, strict=True):
        features = list(dict.fromkeys(row["features"] for row in rows))
        found = {(row["features"], row["search"]): row["ms a step"] for row in rows if row["case"] == case}
        by_search = [{"features": d} | {search: found[d, search] for search in SEARCHES} for d in features]
        lines(ax, by_search, "features", dict(zip(SEARCHES, SEARCHES, strict=True)), y_label="ms a step", legend=False)
        ax.set_xticks(features, features)
        ax.xaxis.minorticks_off()
        ax.set_title(case)
    legend_below(fig, axes[0, 0], len(SEARCHES))
    return fig


TABLES = {"searches": figure}


def main(arguments=None):
    parser = argument_parser(__spec__, __doc__)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--width", type=int, default=16384)
    parser.add_argument("--features", type=int, nargs="*", default=[2, 4, 10], help="two or more")
    parser.add_argument("--cases", nargs="*", choices=list(CASES), default=list(CASES))
    parser.add_argument("--iterations", type=int, default=6)
    arguments = parser.parse_args(arguments)
    settings = [(case, d) for case in arguments.cases for d in arguments.features]
    rows = [
        row for case, d in settings for row in compare(case, arguments.rows, d, arguments.width, arguments.iterations)
    ]
    write_table("searches", rows, arguments, figure)


if __name__ == "__main__":
    main()
