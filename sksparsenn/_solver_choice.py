"""Which solver takes a Gauss-Newton step in the least time: a model of what each costs.

With n samples of d features, o outputs, m neurons that fire, P firing pairs and N the order of the
smaller system, a new Jacobian and one step cost

    cholesky   N^3 / 3 flops, and P^2 d (d + 1) / (4 n) additions to assemble J^T J, or P^2 o^2 / (2 m) for J J^T,
               or for one output n^2 m / 128 words of neurons that fire on two samples, if those are fewer
    nystrom    a product with J and J^T for each step of the iteration, and rank rows of the matrix
    sketch     8 P d additions, 2 s N^2 flops of QR for s rows, and some products

The constants are nanoseconds on two cores of an EPYC machine; ``python -m benchmarks.solvers`` holds
the model against measured times.  Counts decide, never a clock: the choice is the same on
every machine with enough memory.
"""

from typing import NamedTuple

from sksparsenn._memory import available_memory

FLOP = 0.025
SINGLE_THREAD_FLOP = 0.1
KERNEL_PAIR, KERNEL_WORD = 1.4, 0.5
MOMENT = 0.6
NORMAL_PRODUCT, KERNEL_PRODUCT = 0.3, 0.6
ROW_ENTRY = 1.0
STEP = 60e3

# Steps of an iteration whose preconditioner has not been seen at work yet, and the rank it has then.
STEPS, SKETCH_STEPS = 30, 25
RANK = 64


class Problem(NamedTuple):
    """Sizes that decide."""

    n_samples: int
    n_features: int
    n_outputs: int
    n_neurons: int
    n_pairs: int

    @classmethod
    def of(cls, jacobian):
        n_neurons = len(jacobian.neurons)
        return cls(len(jacobian.X), jacobian.n_features, jacobian.n_outputs, n_neurons, len(jacobian.samples))

    @property
    def order(self):
        """Rows of the smaller system."""
        return min(self.n_samples * self.n_outputs, self.n_neurons * self.n_features)


def nanoseconds(problem, sketch_size, steps=STEPS):
    """The time of a step with each solver, by the model, if "nystrom" needs so many steps of its iteration."""
    n, d, o, m, pairs = problem
    order, rank = problem.order, min(RANK, problem.order)
    meetings = pairs**2 / max(m, 1)  # pairs of samples that a neuron brings together
    if n * o <= m * d:
        assembly = KERNEL_PAIR * meetings / 2 * o**2
        if o == 1:
            assembly = min(assembly, KERNEL_WORD * n**2 / 2 * (m / 64))
        rows = ROW_ENTRY * rank * meetings / max(n, 1) * o
        product = KERNEL_PRODUCT * pairs * (d + 8) * o
    else:
        assembly = MOMENT * pairs**2 / max(n, 1) * d * (d + 1) / 4
        rows = ROW_ENTRY * rank * pairs**2 / max(n * m, 1) * (d + 8)
        product = NORMAL_PRODUCT * pairs * (d + 8) * o
    product += STEP
    return {
        "cholesky": assembly + FLOP / 3 * order**3,
        "nystrom": steps * (product + 4 * FLOP * rank * order) + rows + 2 * SINGLE_THREAD_FLOP * rank**2 * order,
        "sketch": 8 * pairs * d * o + 2 * SINGLE_THREAD_FLOP * sketch_size * order**3 + SKETCH_STEPS * product,
    }


def choose_solver(problem, sketch_size, steps=STEPS):
    """The name of the fastest solver whose matrices fit into half of the memory."""
    memory = available_memory()
    if memory is not None and 8 * problem.order**2 > memory / 2:
        return "nystrom"
    times = nanoseconds(problem, sketch_size, steps)
    return min(times, key=times.get)


class AutomaticSolver:
    """For each Jacobian the solver that the model favours, in view of the steps that the last iteration took.

    Parameters
    ----------
    make_solver : callable
        Makes the solver of a name.
    sketch_size : float
    """

    def __init__(self, make_solver, sketch_size):
        self.make_solver, self.sketch_size = make_solver, sketch_size
        self.solvers, self.steps, self.solver = {}, STEPS, None

    @property
    def name(self):
        """The solver that was used last; "none" where nobody ever fired."""
        return "none" if self.solver is None else self.solver.name

    def refresh(self, jacobian):
        name = choose_solver(Problem.of(jacobian), self.sketch_size, self.steps)
        if name not in self.solvers:
            self.solvers[name] = self.make_solver(name)
        self.solver = self.solvers[name]
        self.solver.refresh(jacobian)

    def step(self, residuals, pull, strength):
        solution = self.solver.step(residuals, pull, strength)
        if self.name == "nystrom":
            self.steps = max(solution.inner_iterations, 1)
        return solution
