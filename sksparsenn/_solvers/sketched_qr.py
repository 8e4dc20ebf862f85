"""Gauss-Newton steps by the papers' solver: QR of a sketch makes the preconditioner of an iteration."""

import numpy as np

from sksparsenn._solvers.iterations import conjugate_gradients, gradient_iteration, norm
from sksparsenn._solvers.preconditioned import PreconditionedSolver
from sksparsenn._solvers.sketch import SKETCHES
from sksparsenn._solvers.solution import Singular
from sksparsenn._solvers.triangles import damped_factor, solve_triangles, upper_factor
from sksparsenn._utils.memory import require_memory

# Iterations stop at this ||A x - b|| / ||b||: after a QR factorisation their steps cost little.
SKETCH_RESIDUAL = 1e-10


class SketchSolver(PreconditionedSolver):
    """Solves with R^T R, for R from the QR of a sketch of A, as preconditioner [BPSW21 Alg. 2, DHSWZ24 Alg. 5].

    Parameters
    ----------
    sketch : {"sparse_sign", "srht", "gaussian"}
    sketch_size : float
        Rows of the sketch, as a multiple of the order of the system.
    iterative_solver : {"cg", "gradient"}
    random_state : RandomState
    residual : float
    """

    name = "sketch"

    def __init__(self, sketch, sketch_size, iterative_solver, random_state, residual=SKETCH_RESIDUAL):
        super().__init__(random_state, residual)
        self.sketch, self.sketch_size, self.iterative_solver = SKETCHES[sketch], sketch_size, iterative_solver
        self.lasting = iterative_solver == "cg"  # the gradient iteration needs a good one, as the papers make

    def build(self):
        """Sketch A and keep the triangular factor of the sketch."""
        size = self.system.size
        n_rows = np.ceil(self.sketch_size * size)  # infinite if that overflows
        memory = 8 * size * (n_rows + 2 * size)
        purpose = f"a sketch of {n_rows:.0f} rows of order {size} (solver='sketch')"
        require_memory(memory, purpose, "use solver='nystrom' or lower sketch_size or width")
        sketched = self.sketch(self.system, int(n_rows), self.random_state)
        self.undamped = upper_factor(sketched.T)

    def solve(self, product, right, strength):
        """Return the solution, the number of steps, and the relative residual."""
        # [S A; sqrt(strength) I] has the factor of the damped matrix.
        R = damped_factor(self.undamped, strength)
        pivots = np.abs(R.diagonal())
        if pivots.min() <= len(R) * np.finfo(np.float64).eps * pivots.max():
            raise Singular
        if self.iterative_solver == "gradient":
            return gradient_iteration(product, right, R, self.residual)

        def precondition(r):
            return solve_triangles(R.T, r)

        # Starts from the answer of the sketched problem.
        enough = self.residual * norm(right)
        return conjugate_gradients(product, right, precondition, enough, start=precondition(right))
