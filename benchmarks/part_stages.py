"""Nanoseconds that a row takes in each stage of training on rows in parts, on one thread.

python -m benchmarks.part_stages [--rows 131072]

A Gauss-Newton network is fitted at defaults to rows of the table of `benchmarks.long_tables`; then each stage runs on
one part of so many rows, and the least of three runs counts.  "labelled" and "lifted" are what a block of a long table
takes each time that it is read, "evaluate" finds who fires by a scan, "model" makes the Jacobian, "product" is one with
J^T J.  Parts on a cluster keep what blocks make anew.
"""

from time import perf_counter

import numpy as np

from benchmarks.common import argument_parser, in_fresh_process, rounded
from benchmarks.figures import panels
from benchmarks.large_tables import nonlinear_table
from benchmarks.tables import write_table
from sksparsenn import SketchedGaussNewtonRegressor
from sksparsenn._estimators import linear
from sksparsenn._estimators import summed_rows as rows_in_parts
from sksparsenn._estimators import summed_start as starting
from sksparsenn._estimators.start import Rows
from sksparsenn._solvers.summed import descent_of, product_of
from sksparsenn._training.problem import LinearModel, Problem
from sksparsenn._training.summed_problem import common_pairs
from sksparsenn._utils.threads import one_thread_here

FEATURES = 10


def least_seconds(function, *arguments):
    """The value of a function, and the least time of three calls."""
    times = []
    for _ in range(3):
        begin = perf_counter()
        value = function(*arguments)
        times.append(perf_counter() - begin)
    return value, min(times)


def stages(n_rows):
    """A row of the result for each stage."""
    X, y = nonlinear_table(n_rows, FEATURES, "float32", seed=0)
    model = SketchedGaussNewtonRegressor(random_state=0).fit(X, y)
    one_thread_here()
    targets, network = model._fitted_targets(), model._network()
    seconds = {}

    def timed(stage, function, *arguments):
        value, seconds[stage] = least_seconds(function, *arguments)
        return value

    rows = Rows(X, y, np.ones(n_rows))
    labelled = timed("labelled", starting.labelled, rows, targets, np.array([0.2, 0.8]), 0)
    parts = linear.parts_of(model)
    lifted = timed("lifted", starting.lifted, labelled, model._lift(), targets, np.float32, parts)
    chosen = timed("chosen", rows_in_parts.chosen_part, lifted, np.ones(2, dtype=bool), rows_in_parts.ALL_ROWS)
    terms = rows_in_parts.Terms(network, lifted.samples.n_features, targets.make_loss(), "brute", 1.0, float(n_rows))
    problem = timed("problem", rows_in_parts.problem_of, chosen, 0, terms)
    evaluation = timed("evaluate", Problem.evaluate, problem, network)
    timed("pairs in common", common_pairs, problem, evaluation, evaluation)
    made = timed("model", Problem.linearise, problem, evaluation, np.arange(len(network.weights)))
    u = np.random.default_rng(0).standard_normal(made.jacobian.shape[1])
    timed("product", product_of, made, u)
    timed("descent", descent_of, made)
    timed("check", LinearModel.decrease, made, made.jacobian.padded(u))
    fires = evaluation.firing.n_pairs / n_rows
    return [
        {"stage": stage, "rows": n_rows, "neurons": len(network.weights), "fire on a row": rounded(fires),
         "ns a row": rounded(1e9 * own / n_rows)}
        for stage, own in seconds.items()
    ]  # fmt: skip


def figure(rows):
    fig, axes = panels(1, 1)
    axes[0, 0].barh([row["stage"] for row in rows], [float(row["ns a row"]) for row in rows], color="0.4")
    axes[0, 0].set(xlabel="nanoseconds a row, one thread")
    return fig


TABLES = {"part_stages": figure}


def main(arguments=None):
    parser = argument_parser(__spec__, __doc__)
    parser.add_argument("--rows", type=int, default=1 << 17)
    arguments = parser.parse_args(arguments)
    write_table("part_stages", in_fresh_process(stages, arguments.rows), arguments, figure)


if __name__ == "__main__":
    main()
