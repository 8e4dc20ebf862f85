"""Seconds of one Gauss-Newton step with each solver, beside the cost model by which solver="auto" chooses.

python -m benchmarks.solvers [--repeat 3] [--damping 0.1] [--largest-sketch 3000]

Problems are Gaussian samples on the sphere with smooth, noisy targets and a network at its
initial weights with the automatic shift.  The damping is that of the first step unless another
is given; later steps have less of it, and take more inner iterations.  What is timed is what
a solver does in an iteration: to take in a new Jacobian, and a step.  "s" columns are those of
a solver without a past, "again s" of one that meets the same Jacobian once more and so may keep
its preconditioner, as it does for most iterations.  Columns beside them are what
`sksparsenn._solvers.choice` predicts (of "nystrom" with the share of a preconditioner that serves
several Jacobians), the inner iterations, and how far the step lies from Cholesky's, relative to its
length.

The first rows have their smaller system on the kernel side (samples and outputs), the others
on the normal side (neurons and features).  Sketches beyond an order (--largest-sketch) are left
out, since their QR factorisation takes minutes; they count as slower than the others.  "MB" is
the peak memory of a refresh and a step beyond what the process held with the Jacobian in it.
"""

from time import perf_counter

import numpy as np
from sklearn.utils import check_random_state

from benchmarks.common import argument_parser, in_fresh_process, measured, megabytes, rounded
from benchmarks.figures import numbers, panels, plain
from benchmarks.tables import write_table
from sksparsenn._network.network import Network, initial_weights
from sksparsenn._samples.lift import Lift
from sksparsenn._solvers.choice import choose_solver, nanoseconds
from sksparsenn._solvers.cholesky import CholeskySolver
from sksparsenn._solvers.jacobian import Jacobian, Sizes
from sksparsenn._solvers.nystrom import NystromSolver
from sksparsenn._solvers.sketched_qr import SketchSolver
from sksparsenn._solvers.systems import smaller_system
from sksparsenn._training.trust_region import FIRST_DAMPING
from sksparsenn._utils.blas_threads import single_blas_thread

# Samples, features (without the constant coordinate), outputs, width.
KERNEL_SIDE = [
    (300, 10, 1, 512), (1000, 10, 1, 512), (1000, 10, 1, 8192), (1000, 30, 1, 1024), (700, 10, 3, 1024),
    (3000, 10, 1, 1024), (3000, 10, 1, 16384), (8000, 10, 1, 4096),
]  # fmt: skip
NORMAL_SIDE = [
    (5000, 5, 1, 64), (20_000, 5, 1, 256), (20_000, 20, 1, 64), (20_000, 5, 3, 256), (100_000, 10, 1, 128),
    (10_000, 5, 1, 512), (200_000, 5, 1, 512), (20_000, 10, 1, 512),
]  # fmt: skip
SHARE = 0.48  # of log width: the estimator's automatic shift is sqrt(SHARE * log(width))
SKETCH_SIZE = 4.0


def order(sizes):
    """Of the smaller system, if every neuron fires."""
    n, d, o, width = sizes
    return min(n * o, width * (d + 1))


def solvers():
    """The solvers at the estimator's settings, without a past."""
    return {
        "cholesky": CholeskySolver(),
        "sketch": SketchSolver("sparse_sign", SKETCH_SIZE, "cg", np.random.RandomState(0)),
        "nystrom": NystromSolver(np.random.RandomState(0)),
    }


def make_problem(n, d, o, width, damping):
    """A Jacobian, the residuals of a network that outputs zero, and the strength of the damping."""
    random_state = check_random_state(0)
    X = random_state.standard_normal((n, d))
    samples = Lift.fit(X, np.full(n, 1 / n), True, 0.4)(X, np.float64)
    shift = np.sqrt(SHARE * np.log(width))
    network = Network(*initial_weights(width, d + 1, o, "paired", random_state, np.float64), shift, shift, 1.0)
    firing = network.firing(samples)
    unit = float(firing.kernel_diagonal(network.scale).mean())
    jacobian = Jacobian(firing, samples.rows, np.ones(n), network.signs, network.scale, d + 1)
    target = np.sin(3 * samples.rows[:, : d + 1] @ random_state.standard_normal((d + 1, o)))
    residuals = target + 0.3 * random_state.standard_normal((n, o))
    return jacobian, residuals.ravel(), damping * unit


def timed_step(solver, jacobian, residuals, strength):
    """Seconds of a refresh and a step, and the solution."""
    pull = np.zeros((len(jacobian.neurons), jacobian.X.shape[1]))
    start = perf_counter()
    solver.refresh(jacobian)
    solution = solver.step(residuals, pull, strength)
    return perf_counter() - start, solution


def step_memory(name, sizes, damping):
    """Bytes at the peak of a refresh and a step."""
    timed_step(solvers()[name], *make_problem(100, 5, 1, 64, damping))  # loads libraries, starts threads
    problem = make_problem(*sizes, damping)
    return measured(timed_step, solvers()[name], *problem)[2]


def measure(problem, repeat, largest_sketch):
    """By solver: seconds when new, seconds when met again, last solution.  The solvers take turns."""
    jacobian = problem[0]
    names = [name for name in solvers() if name != "sketch" or smaller_system(jacobian).size <= largest_sketch]
    times, solutions = {name: [] for name in names}, {}
    for _ in range(repeat):
        fresh = solvers()
        for name in names:
            new, solutions[name] = timed_step(fresh[name], *problem)
            again, _ = timed_step(fresh[name], *problem)
            times[name].append((new, again))
    return {name: (*np.median(times[name], axis=0), solutions[name]) for name in names}


def compare(sizes, damping, repeat, largest_sketch):
    n, d, o, width = sizes
    problem = make_problem(n, d, o, width, damping)
    jacobian = problem[0]
    costs = Sizes(n, d + 1, o, len(jacobian.neurons), len(jacobian.samples))
    predicted, auto = nanoseconds(costs, SKETCH_SIZE), choose_solver(costs, SKETCH_SIZE)
    times = measure(problem, repeat, largest_sketch)
    fastest = min(times, key=lambda name: times[name][0])
    row = {
        "n": n,
        "d lifted": d + 1,
        "outputs": o,
        "width": width,
        "side": smaller_system(jacobian).name,
        "order": costs.order,
        "firing pairs": costs.n_pairs,
    }
    exact = times["cholesky"][2].step
    for name in solvers():
        new, again, solution = times.get(name, (np.nan, np.nan, None))
        row |= {f"{name} s": rounded(new), f"{name} again s": rounded(again)}
        memory = in_fresh_process(step_memory, name, sizes, damping) if name in times else np.nan
        row[f"{name} MB"] = megabytes(memory)
        row[f"{name} predicted s"] = rounded(1e-9 * predicted[name])
        if name != "cholesky":
            difference = np.nan if solution is None else np.linalg.norm(solution.step - exact) / np.linalg.norm(exact)
            row[f"{name} inner"] = "" if solution is None else solution.inner_iterations
            row[f"{name} difference"] = rounded(difference, 2)
    lost = times[auto][0] - times[fastest][0] if auto in times else np.nan
    row |= {"auto": auto, "fastest": fastest, "lost s": rounded(lost)}
    row["auto / fastest"] = rounded(1 + lost / times[fastest][0])
    print(row, flush=True)
    return row


def figure(rows):
    """Measured seconds against predicted ones."""
    fig, axes = panels()
    ax = axes[0, 0]
    for name in solvers():
        ax.plot(numbers(rows, f"{name} predicted s"), numbers(rows, f"{name} s"), linestyle="none", label=name)
    ax.axline((1, 1), slope=1, color="black", linewidth=0.8)
    ax.set(xscale="log", yscale="log", xlabel="seconds of a step, predicted", ylabel="seconds of a step, measured")
    plain(ax.xaxis, ax.yaxis)
    ax.legend()
    return fig


TABLES = {"solvers": figure}


def main(arguments=None):
    parser = argument_parser(__spec__, __doc__)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--damping", type=float, default=FIRST_DAMPING, help="in units of the kernel's mean diagonal")
    parser.add_argument("--largest-order", type=int, default=10_000, help="problems beyond are left out")
    parser.add_argument("--largest-sketch", type=int, default=3000, help="the largest order that is sketched")
    arguments = parser.parse_args(arguments)
    grid = [sizes for sizes in KERNEL_SIDE + NORMAL_SIDE if order(sizes) <= arguments.largest_order]
    with single_blas_thread():  # as in training
        measure(make_problem(100, 5, 1, 64, arguments.damping), 1, arguments.largest_sketch)  # warm up
        rows = [compare(sizes, arguments.damping, arguments.repeat, arguments.largest_sketch) for sizes in grid]
    write_table("solvers", rows, arguments, figure)
    right = sum(row["auto"] == row["fastest"] for row in rows)
    worst = max(row["auto / fastest"] or np.inf for row in rows)
    print(f'"auto" takes the fastest on {right} of {len(rows)} problems; at worst it takes {worst} times as long')


if __name__ == "__main__":
    main()
