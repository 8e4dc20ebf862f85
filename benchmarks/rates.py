"""What share of one core's peak the long stages of a Gauss-Newton step take: J^T J, products with it, and with J^T.

python -m benchmarks.rates [--samples 200000] [--features 10] [--width 512] [--share 0.11] [--outputs 1]

Samples are Gaussian, and the given share of neurons fires on them; features are lifted by one.  All runs on one thread.
Times are the least of some repetitions, in seconds of the processor, as others may use the machine.

Operations are additions (or multiplications with an addition, which take a processor as long) on numbers of 8 bytes:
for J^T J one for each sample, pair of neurons that fire on it, and pair of features; for J^T J u two for each firing
pair and feature; for J^T r one.  The peak is what BLAS reaches in a product of two matrices.  "adds in memory" adds a
number to all of an array far larger than any cache: an upper bound for what comes from there.
"""

from time import thread_time

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.common import argument_parser, rounded
from benchmarks.figures import bars, numbers, panels
from benchmarks.tables import write_table
from sksparsenn._compiled.patterns import transpose_lists
from sksparsenn._network.network import Network, initial_weights
from sksparsenn._samples.lift import Lift
from sksparsenn._solvers.jacobian import Jacobian
from sksparsenn._solvers.systems import NormalSystem


def make_jacobian(n, d, width, share, n_outputs):
    """A Jacobian of random weights with a shift that lets the given share of neurons fire."""
    random_state = np.random.RandomState(0)
    X = random_state.standard_normal((n, d))
    samples = Lift.fit(X, np.full(n, 1 / n), True, 0.4)(X, np.float64)
    weights, signs = initial_weights(width, d + 1, n_outputs, "paired", random_state, np.float64)
    shift = float(np.quantile(samples.rows[:1000] @ weights.T, 1 - share))
    network = Network(weights, signs, shift, shift, 1.0)
    return Jacobian(network.firing(samples), samples.rows, np.ones(n), signs, network.scale, d + 1)


def least_time(run, repeat):
    """Seconds of this thread, the least of some runs."""
    times = []
    for _ in range(repeat):
        start = thread_time()
        run()
        times.append(thread_time() - start)
    return min(times)


def stages(jacobian):
    """By name: what runs, its operations, and how often it is repeated."""
    J, random_state = jacobian, np.random.RandomState(0)
    n, d, n_pairs, fire = len(J.X), J.n_features, len(J.samples), np.diff(J.by_sample).astype(float)
    system, matrix = NormalSystem(J), np.zeros((J.shape[1], J.shape[1]))
    u, v = random_state.standard_normal(J.shape[1]), random_state.standard_normal(J.shape[0])
    pairs_of_neurons = (fire * (fire + 1) / 2).sum()
    return {
        "J^T J": (lambda: system.fill(matrix), pairs_of_neurons * d * (d + 1) / 2, 3),
        "J^T J u": (lambda: system.product(u), 2 * n_pairs * d, 50),
        "J^T r": (lambda: J.transpose_product(v), n_pairs * d, 50),
        "lists by samples": (lambda: transpose_lists(J.by_neuron, J.samples, n), n_pairs, 10),
    }


def bounds(size):
    """The same for what bounds them."""
    one, other = np.random.RandomState(0).standard_normal((2, size, size))
    large = np.zeros(32 * size**2)
    return {
        "peak": (lambda: one @ other, float(size) ** 3, 30),
        "adds in memory": (lambda: np.add(large, 1.0, out=large), large.size, 10),
    }


def measure(jacobian, size=1024):
    """A row for each stage, and for each bound."""
    rows, n_pairs = [], len(jacobian.samples)
    with threadpool_limits(1):
        for name, (run, operations, repeat) in (bounds(size) | stages(jacobian)).items():
            run()  # memory is there
            seconds = least_time(run, repeat)
            rows.append({"stage": name, "s": rounded(seconds), "G operations / s": operations / seconds / 1e9})
            rows[-1]["% of peak"] = rounded(100 * rows[-1]["G operations / s"] / rows[0]["G operations / s"])
            rows[-1]["ns a pair"] = None if name in ("peak", "adds in memory") else rounded(seconds / n_pairs * 1e9)
            print(rows[-1], flush=True)
    return [row | {"G operations / s": rounded(row["G operations / s"])} for row in rows]


def figure(rows):
    fig, axes = panels()
    names = [row["stage"] for row in rows]
    columns = {"G operations / s": numbers(rows, "G operations / s")}
    bars(axes[0, 0], names, columns, y_label="G operations / s")
    return fig


TABLES = {"rates": figure}


def main(arguments=None):
    parser = argument_parser(__spec__, __doc__)
    parser.add_argument("--samples", type=int, default=200_000)
    parser.add_argument("--features", type=int, default=10)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--share", type=float, default=0.11)
    parser.add_argument("--outputs", type=int, default=1)
    arguments = parser.parse_args(arguments)
    sizes = arguments.samples, arguments.features, arguments.width, arguments.share, arguments.outputs
    write_table("rates", measure(make_jacobian(*sizes)), arguments, figure)


if __name__ == "__main__":
    main()
