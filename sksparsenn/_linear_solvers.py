"""Solvers of a Gauss-Newton step: Cholesky, sketched QR as a preconditioner, Nystrom approximation as a preconditioner.

A solver is told of each new Jacobian by `refresh`, and then asked for steps at one damping
after another.  All work on the smaller of the two systems in `_systems.py`.
"""

from typing import NamedTuple

import numpy as np
from scipy.linalg import blas, lapack

from sksparsenn._cholesky import cholesky_upper, fill_upper
from sksparsenn._memory import require_memory
from sksparsenn._nystrom import nystrom_approximation
from sksparsenn._sketch import SKETCHES
from sksparsenn._systems import smaller_system

# Iterative solvers stop at this ||A x - b|| / ||b||, or after so many steps.  After a QR factorisation steps cost
# little; without one, a residual of a hundredth trains as well as a smaller one, in half the time.
SKETCH_RESIDUAL = 1e-10
NYSTROM_RESIDUAL = 1e-2
MAX_INNER_ITERATIONS = 500

# A preconditioner is made anew once its solver needs this many times the steps it needed when it was new.
WORN = 2

# Ranks of the Nystrom approximation: the first, and when to double or halve it, by steps of a new preconditioner.
FIRST_RANK = 64
TOO_MANY_STEPS, FEW_STEPS = 60, 12


class Singular(Exception):
    """The matrix of a step is singular, as far as numbers can tell."""


class Solution(NamedTuple):
    """A step for the neurons of the Jacobian, and how it was found."""

    step: np.ndarray
    inner_iterations: int
    residual: float
    """||A x - b|| / ||b|| of the system that was solved; zero for Cholesky, which has no use for it."""


class CholeskySolver:
    """Forms the matrix and factors it: once a Jacobian, and once a damping."""

    name = "cholesky"

    def __init__(self):
        self.matrix = np.empty((0, 0))

    def refresh(self, jacobian):
        self.system = smaller_system(jacobian)
        size = self.system.size
        if len(self.matrix) != size:
            self.matrix = np.empty((0, 0))  # free the old one first
            purpose = f"a Gauss-Newton matrix of order {size} (solver='cholesky')"
            require_memory(8 * size**2, purpose, "use solver='nystrom' or lower width")
            self.matrix = np.empty((size, size))
        self.system.fill(self.matrix)
        self.diagonal = self.matrix.diagonal().copy()

    def step(self, residuals, pull, strength):
        # The lower triangle keeps the matrix, the upper one takes the factor of the damped matrix.
        fill_upper(self.matrix, self.diagonal, strength)
        if not cholesky_upper(self.matrix):
            raise Singular
        solution = solve_triangles(self.matrix.T, self.system.right_side(residuals, pull, strength))
        return Solution(self.system.step(solution, pull, strength), 0, 0.0)


class PreconditionedSolver:
    """An iteration whose preconditioner is kept from one Jacobian to the next for as long as it serves.

    Parameters
    ----------
    random_state : RandomState
    residual : float
        Where the iteration stops.
    """

    steps_when_new = None
    lasting = True
    """Whether a preconditioner made for one Jacobian may serve the next."""

    def __init__(self, random_state, residual):
        self.random_state, self.residual = random_state, residual
        self.steps_of_last, self.system = 0, None

    def refresh(self, jacobian):
        before, self.system = self.system, smaller_system(jacobian)
        worn = self.steps_when_new is not None and self.steps_of_last > WORN * max(self.steps_when_new, 1)
        self.fresh = not self.lasting or worn or before is None or not self.carried_over(before)
        if self.fresh:  # made for this Jacobian
            self.build()
            self.steps_when_new = None

    def carried_over(self, before):
        """Whether the preconditioner made for the system before may serve the present one."""
        if before.name != self.system.name:
            return False
        return before.name == "kernel" or np.array_equal(before.jacobian.neurons, self.system.jacobian.neurons)

    def step(self, residuals, pull, strength):
        system = self.system
        right = system.right_side(residuals, pull, strength)

        def product(v):
            return system.product(v) + strength * v

        solution, steps, residual = self.solve(product, right, strength)
        wasted = 0
        if residual > self.residual and not self.fresh:  # worn out altogether: again with a new one
            self.build()
            self.fresh, self.steps_when_new, wasted = True, None, steps
            solution, steps, residual = self.solve(product, right, strength)
        self.steps_of_last = steps
        if self.steps_when_new is None:
            self.steps_when_new = steps
        return Solution(system.step(solution, pull, strength), wasted + steps, residual)


class SketchSolver(PreconditionedSolver):
    """The papers' solver: QR of a sketch of A gives R, and R^T R preconditions A^T A [BPSW21 Alg. 2, DHSWZ24 Alg. 5].

    Parameters
    ----------
    sketch : {"sparse_sign", "srht", "gaussian"}
    sketch_size : float
        Rows of the sketch, as a multiple of the order of the system.
    iterative_solver : {"cg", "gradient"}
    """

    name = "sketch"

    def __init__(self, sketch, sketch_size, iterative_solver, random_state, residual=SKETCH_RESIDUAL):
        super().__init__(random_state, residual)
        self.sketch, self.sketch_size, self.iterative_solver = SKETCHES[sketch], sketch_size, iterative_solver
        self.lasting = iterative_solver == "cg"  # the gradient iteration needs a good one, as the papers make

    def build(self):
        size = self.system.size
        n_rows = int(np.ceil(self.sketch_size * size))
        purpose = f"a sketch of {n_rows} rows of order {size} (solver='sketch')"
        require_memory(8 * size * (n_rows + 2 * size), purpose, "use solver='nystrom' or lower sketch_size or width")
        sketched = self.sketch(self.system, n_rows, self.random_state)
        self.undamped = upper_factor(sketched.T)

    def solve(self, product, right, strength):
        # [S A; sqrt(strength) I] has the factor of the damped matrix.
        R = damped_factor(self.undamped, strength)
        pivots = np.abs(R.diagonal())
        if pivots.min() <= len(R) * np.finfo(np.float64).eps * pivots.max():
            raise Singular
        if self.iterative_solver == "gradient":
            return gradient_iteration(product, right, R, self.residual, MAX_INNER_ITERATIONS)

        def precondition(r):
            return solve_triangles(R.T, r)

        # From the answer of the sketched problem.
        start = precondition(right)
        enough = self.residual * np.linalg.norm(right)
        return conjugate_gradients(product, right, precondition, enough, MAX_INNER_ITERATIONS, start)


class NystromSolver(PreconditionedSolver):
    """Conjugate gradients that never form a matrix, preconditioned by a Nystrom approximation of adaptive rank."""

    name = "nystrom"

    def __init__(self, random_state, residual=NYSTROM_RESIDUAL):
        super().__init__(random_state, residual)
        self.rank = FIRST_RANK
        self.last = np.empty(0)

    def build(self):
        if self.steps_when_new is not None:
            if self.steps_when_new > TOO_MANY_STEPS:
                self.rank *= 2
            elif self.steps_when_new < FEW_STEPS:
                self.rank = max(FIRST_RANK, self.rank // 2)
        rank = min(self.rank, self.system.size)
        size = self.system.size
        purpose = f"a Nystrom approximation of rank {rank} and order {size} (solver='nystrom')"
        require_memory(24 * rank * size, purpose, "raise shift or lower width")
        self.values, self.basis = nystrom_approximation(self.system, rank, self.random_state)

    def carried_over(self, before):
        """On the side of the weights, neurons that begin to fire are left as they are, and others drop out."""
        if before.name == self.system.name == "normal":
            n_features, neurons = self.system.jacobian.n_features, self.system.jacobian.neurons
            _, old, new = np.intersect1d(before.jacobian.neurons, neurons, assume_unique=True, return_indices=True)
            if len(old) < max(len(before.jacobian.neurons), len(neurons)):
                basis = np.zeros((len(self.basis), len(neurons), n_features))
                basis[:, new] = self.basis.reshape(len(self.basis), -1, n_features)[:, old]
                self.basis = basis.reshape(len(basis), -1)
        return before.name == self.system.name

    def solve(self, product, right, strength):
        # The approximation along its eigenvectors, its least eigenvalue across them [Frangella, Tropp, Udell 2023].
        least = self.values.min(initial=np.inf) if len(self.values) else 0.0
        along = (least + strength) / (self.values + strength) - 1

        def precondition(r):
            return r + (along * (self.basis @ r)) @ self.basis

        # The kernel's unknowns stand for all that the weights have travelled, not for the step alone: from the last
        # ones, what is left to find shrinks as training converges, and with it what is left of the residual.
        start, size = None, np.linalg.norm(right)
        if self.system.name == "kernel" and len(self.last) == len(right):
            left = np.linalg.norm(right - product(self.last))
            if left < size:
                start, size = self.last, left
        solution = conjugate_gradients(product, right, precondition, self.residual * size, MAX_INNER_ITERATIONS, start)
        self.last = solution[0]
        return solution


# -- iterations ------------------------------------------------------------------------------


def conjugate_gradients(product, right, precondition, enough, max_iter, start=None):
    """Solve A x = right for positive definite A, until ||A x - right|| <= enough.

    Returns x, the number of steps, and the residual relative to ||right||.
    """
    x = np.zeros_like(right) if start is None else start
    r = right.copy() if start is None else right - product(x)
    direction, previous, steps = np.zeros_like(right), 1.0, 0
    while np.linalg.norm(r) > enough and steps < max_iter:
        z = precondition(r)
        slope = r @ z
        direction = z + slope / previous * direction
        image = product(direction)
        curvature = direction @ image
        if not curvature > 0:
            break  # rounding has the last word
        length = slope / curvature
        x = x + length * direction
        r -= length * image
        previous = slope
        steps += 1
    size = np.linalg.norm(right)
    return x, steps, float(np.linalg.norm(r) / size) if size > 0 else 0.0


def gradient_iteration(product, right, R, residual, max_iter):
    """The iteration that the papers analyse, z <- z + length M^T (R^-T right - M z) with M = R^-T A R^-1; x = R^-1 z.

    Departure: the papers take steps of length one, which need an embedding of distortion 0.1;
    here each step has the length that reduces the residual most.
    """
    lower = R.T
    size = np.linalg.norm(right)

    def image(v):
        return solve_lower(lower, product(solve_lower(lower, v, transposed=True)))

    z = solve_lower(lower, right)  # the answer of the sketched problem
    rest = solve_lower(lower, right) - image(z)
    steps = 0
    while np.linalg.norm(R.T @ rest) > residual * size and steps < max_iter:
        gradient = image(rest)
        change = image(gradient)
        length = (rest @ change) / (change @ change)
        z = z + length * gradient
        rest = rest - length * change
        steps += 1
    relative = float(np.linalg.norm(R.T @ rest) / size) if size > 0 else 0.0
    return solve_lower(lower, z, transposed=True), steps, relative


# -- triangles --------------------------------------------------------------------------------


def upper_factor(M):
    """R of the QR factorisation of M, which is overwritten; M has at least as many rows as columns."""
    work = lapack.dgeqrf_lwork(*M.shape)[0]
    R = lapack.dgeqrf(M, lwork=int(work), overwrite_a=True)[0]
    return np.asfortranarray(np.triu(R[: M.shape[1]]))


def damped_factor(R, strength):
    """The triangular factor of [R; sqrt(strength) I]."""
    if strength == 0:
        return R
    size = len(R)
    below = np.asfortranarray(np.sqrt(strength) * np.eye(size))
    return lapack.dtpqrt(size, min(32, size), R, below)[0]


def solve_lower(lower, right, transposed=False):
    return blas.dtrsv(lower, right, lower=1, trans=int(transposed))


def solve_triangles(lower, right):
    """(L L^T)^-1 right."""
    return solve_lower(lower, solve_lower(lower, right), transposed=True)
