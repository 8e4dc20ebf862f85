"""Which solver takes a Gauss-Newton step in the least time: a model of what each costs.

With n samples of d features, o outputs, m neurons of which k fire on a sample, and N the
order of the smaller system:

    cholesky   N^3 / 3 flops, and n k^2 d (d + 1) / 4 additions to assemble J^T J, or (n k)^2 / (2 m) for J J^T
    nystrom    STEPS products with J and J^T, n k d each, and a preconditioner of RANK rows
    sketch     8 n k d additions, 2 s N^2 flops of QR for s rows, and some products

The constants are nanoseconds, measured on two cores (``python -m benchmarks.solvers`` compares
the model with measured times); only their ratios matter here.
"""

from typing import NamedTuple

from sksparsenn._memory import available_memory

FLOP = 0.025
KERNEL_PAIR = 1.4
MOMENT = 0.6
PRODUCT = 0.25
STEP = 100e3
STEPS = 30
RANK = 64
SKETCH_FLOP = 0.1
SKETCH_STEPS = 15


class Problem(NamedTuple):
    """Sizes that decide."""

    n_samples: int
    n_features: int
    n_outputs: int
    n_neurons: int
    n_pairs: int

    @property
    def order(self):
        """Rows of the smaller system."""
        return min(self.n_samples * self.n_outputs, self.n_neurons * self.n_features)


def nanoseconds(problem, sketch_size):
    """The time of a step with each solver, by the model."""
    n, d, o, m, pairs = problem
    order = problem.order
    if n * o <= m * d:
        assembly = KERNEL_PAIR * pairs**2 / max(m, 1) / 2 * o**2
        row = pairs**2 / max(m, 1) / max(n, 1)
    else:
        assembly = MOMENT * pairs**2 / max(n, 1) * d * (d + 1) / 4
        row = pairs**2 / max(m, 1) / max(n, 1) * d
    product = 2 * PRODUCT * pairs * (d + 4) * o
    rank = min(RANK, order)
    return {
        "cholesky": assembly + FLOP / 3 * order**3,
        "nystrom": STEPS * (product + STEP + 4 * FLOP * rank * order) + rank * row + 2 * FLOP * rank**2 * order,
        "sketch": 8 * pairs * d * o + 2 * SKETCH_FLOP * sketch_size * order**3 + SKETCH_STEPS * (product + STEP),
    }


def choose_solver(problem, sketch_size):
    """The name of the fastest solver whose matrices fit into memory."""
    times = nanoseconds(problem, sketch_size)
    memory = available_memory()
    if memory is not None and 8 * problem.order**2 > memory / 2:
        return "nystrom"
    return min(times, key=times.get)
