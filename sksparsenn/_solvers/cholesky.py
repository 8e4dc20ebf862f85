"""Gauss-Newton steps by Cholesky: form the smaller matrix, damp it, factor it."""

import numpy as np

from sksparsenn._compiled.cholesky import cholesky_upper, fill_upper
from sksparsenn._solvers.solution import Singular, Solution
from sksparsenn._solvers.systems import smaller_system
from sksparsenn._solvers.triangles import solve_triangles
from sksparsenn._utils.memory import require_memory


class CholeskySolver:
    """Forms the matrix once for each Jacobian, and factors it once for each damping."""

    name = "cholesky"
    make_system = staticmethod(smaller_system)

    def __init__(self):
        self.matrix = np.empty((0, 0))

    def refresh(self, jacobian, strength=None):
        """Form the matrix of a new Jacobian."""
        self.system = self.make_system(jacobian)
        size = self.system.size
        if len(self.matrix) != size:
            self.matrix = np.empty((0, 0))  # free the old one first
            purpose = f"a Gauss-Newton matrix of order {size} (solver='cholesky')"
            require_memory(8 * size**2, purpose, "use solver='nystrom' or lower width")
            self.matrix = np.empty((size, size))
        self.system.fill(self.matrix)
        self.diagonal = self.matrix.diagonal().copy()

    def step(self, residuals, pull, strength):
        """Return the step that solves the damped problem of the present Jacobian."""
        # The lower triangle keeps the matrix, the upper one takes the factor of the damped matrix.
        fill_upper(self.matrix, self.diagonal, strength)
        if not cholesky_upper(self.matrix):
            raise Singular
        solution = solve_triangles(self.matrix.T, self.system.right_side(residuals, pull, strength))
        return Solution(self.system.step(solution, pull, strength), 0, 0.0)
