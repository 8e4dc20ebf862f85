"""Which solver takes a Gauss-Newton step in the least time: a model of what each costs.

With n samples of d features, o outputs, m neurons that fire, P firing pairs and N the order of the
smaller system, a new Jacobian and one step cost

    cg         a pass over firing pairs for each step
    cholesky   N^3 / 3 flops, a few passes over the matrix, and P^2 d (d + 1) / (4 n) additions to assemble J^T J, or
               P^2 o^2 / (2 m) for J J^T, or for one output n^2 m / 128 words of neurons that fire on two samples,
               if those are fewer
    nystrom    a product with J and J^T for each step of the iteration, and its share of a preconditioner that serves
               some Jacobians: rank rows of the matrix, and rank^2 N flops
    sample     the same with the rows of a sample only, and a product with J and J^T and two triangles for each step
    sketch     8 P d additions, 2 s N^2 flops of QR for s rows, 2 N^3 / 3 for the damping, and some products

Steps of conjugate gradients without a preconditioner grow like the square root of the condition number, so like one
over the root of ridge plus damping: the model scales those of the last iteration.  They are for ridge paths, where few
digits of a step are enough, and so is "sample".

The constants are nanoseconds on one core of an EPYC machine, as networks of a committee have one each;
``python -m benchmarks.solvers`` holds the model against measured times.  Counts decide, never a clock: the choice is
the same on every machine with enough memory.
"""

from math import sqrt

from sksparsenn._solvers.nystrom import FIRST_RANK
from sksparsenn._solvers.row_sample import OVERSAMPLING
from sksparsenn._utils.memory import NEVER_REFUSED, available_memory

FACTOR_FLOP, QR_FLOP, UPDATE_FLOP = 0.029, 0.063, 0.18
ENTRY = 3.0  # of a matrix: damped, copied, passed over by the triangles
KERNEL_PAIR, KERNEL_WORD = 2.5, 0.9
MOMENT, SAMPLE_MOMENT = 1.1, 0.35
PRODUCT, PRODUCT_OF_OUTPUTS = 0.22, 0.32
ROW_ENTRY, RANK_FLOP = 1.3, 1.4
APPLY_RANK, TRIANGLES = 0.18, 0.8
STEP = 60e3
PLAIN_PRODUCT, PLAIN_PRODUCT_OF_OUTPUTS, PLAIN_ENTRY, PLAIN_STEP = 0.2, 0.3, 0.4, 5e3

# Steps of an iteration, as long as none has been counted, and how many Jacobians a preconditioner serves.
STEPS, SKETCH_STEPS, SAMPLE_STEPS, PLAIN_STEPS = 30, 25, 6, 10
SERVES = 4

# "sample" is for tables with so many rows for each row of J^T J.
WORTH_A_SAMPLE = 16

# The solvers that form no matrix.
WITHOUT_MATRIX = {"nystrom", "cg"}

# A matrix of this order is factored in the time of a few steps, and to all digits.
SMALL_ORDER = 200


def nanoseconds(sizes, sketch_size, steps=STEPS, plain_steps=None, rank=FIRST_RANK):
    """Return the modelled time of a step with each solver, if "nystrom" and "cg" need so many steps of their iteration.

    Without `plain_steps`, "cg" and "sample" are not among them; `rank` is that of Nystrom's preconditioner.
    """
    n, d, o, m, pairs = sizes
    order, rank = sizes.order, min(rank, sizes.order)
    meetings = pairs**2 / max(m, 1)  # pairs of samples that a neuron brings together
    product = STEP + pairs * (PRODUCT * (d + 8) if o == 1 else PRODUCT_OF_OUTPUTS * (d + 8 + 2 * o))
    if n * o <= m * d:
        assembly = KERNEL_PAIR * meetings / 2 * o**2
        if o == 1:
            assembly = min(assembly, KERNEL_WORD * n**2 / 2 * (m / 64))
        rows = ROW_ENTRY * rank * meetings / max(n, 1) * o
    else:
        assembly = MOMENT * pairs**2 / max(n, 1) * d * (d + 1) / 4
        rows = ROW_ENTRY * rank * pairs**2 / max(n * m, 1) * (d + 8)
    step = product + APPLY_RANK * rank * order
    plain = {}
    if plain_steps is not None and order > SMALL_ORDER:
        padded = -(-d // 4) * 4
        entries = PLAIN_PRODUCT * (padded + 1) if o == 1 else PLAIN_PRODUCT_OF_OUTPUTS * (padded + 2 * o)
        plain["cg"] = plain_steps * (PLAIN_STEP + pairs * entries + PLAIN_ENTRY * m * padded)
    factor = FACTOR_FLOP / 3 * order**3 + ENTRY * order**2
    if plain_steps is not None and n * o >= WORTH_A_SAMPLE * m * d and order > SMALL_ORDER:
        sampled = SAMPLE_MOMENT / MOMENT * OVERSAMPLING * m * d / (n * o)
        plain["sample"] = sampled * assembly + factor + SAMPLE_STEPS * (product + TRIANGLES * order**2)
    factors = (2 * QR_FLOP * sketch_size + 2 / 3 * UPDATE_FLOP) * order**3
    return plain | {
        "cholesky": assembly + factor,
        "nystrom": (rows + RANK_FLOP * rank**2 * order) / SERVES + steps * step,
        "sketch": 8 * pairs * d * o + factors + SKETCH_STEPS * (product + ENTRY / 2 * order**2),
    }


def choose_solver(sizes, sketch_size, steps=STEPS, plain_steps=None, rank=FIRST_RANK):
    """Return the name of the solver with the least modelled time whose matrices fit into half of the memory."""
    times = nanoseconds(sizes, sketch_size, steps, plain_steps, rank)
    fastest, n_bytes = min(times, key=times.get), 8 * sizes.order**2
    # What is available is read from files, which takes as long as a small step does.
    if fastest in WITHOUT_MATRIX or n_bytes <= NEVER_REFUSED:
        return fastest
    memory = available_memory()
    if memory is not None and n_bytes > memory / 2:
        return min(WITHOUT_MATRIX & times.keys(), key=times.get)
    return fastest


class AutomaticSolver:
    """Solves for each Jacobian by the solver with the least modelled time, given the steps of the last iterations.

    Parameters
    ----------
    make_solver : callable
        Returns a new solver of a given name.
    sketch_size : float
    on_path : bool
        Whether the ridge falls along a path: then "cg" is among the solvers.
    choose : callable, optional
        Does what `choose_solver` does.
    """

    def __init__(self, make_solver, sketch_size, on_path=False, choose=None):
        self.choose = choose_solver if choose is None else choose
        self.make_solver, self.sketch_size, self.on_path = make_solver, sketch_size, on_path
        self.solvers, self.steps, self.solver = {}, STEPS, None
        self.plain = None
        """The steps of "cg" when it was used last, times the root of ridge plus damping."""

    @property
    def name(self):
        """Name of the solver that was used last; "none" if no neuron ever fired."""
        return "none" if self.solver is None else self.solver.name

    def refresh(self, jacobian, strength=None):
        """Choose a solver for a new Jacobian, and for steps with this ridge plus damping."""
        plain_steps = None
        if self.on_path:
            plain_steps = PLAIN_STEPS if self.plain is None else self.plain / sqrt(strength)
        rank = self.solvers["nystrom"].rank if "nystrom" in self.solvers else FIRST_RANK
        name = self.choose(jacobian.sizes, self.sketch_size, self.steps, plain_steps, rank)
        if name not in self.solvers:
            self.solvers[name] = self.make_solver(name)
        self.solver = self.solvers[name]
        self.solver.refresh(jacobian, strength)

    def step(self, residuals, pull, strength):
        """Return the step that solves the damped problem of the present Jacobian."""
        solution = self.solver.step(residuals, pull, strength)
        if self.name == "nystrom":
            self.steps = max(solution.inner_iterations, 1)
        if self.name == "cg":
            self.plain = max(solution.inner_iterations, 1) * sqrt(strength)
        return solution
