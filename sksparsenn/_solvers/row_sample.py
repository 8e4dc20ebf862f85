"""Gauss-Newton steps by conjugate gradients whose preconditioner is the Cholesky factor of a matrix of few rows.

J^T J is a sum over rows.  Of n rows drawn with the same probability, some multiple of the order N is enough for a
matrix that is close to it in all directions [Rokhlin and Tygert 2008; Avron, Maymounkov and Toledo 2010]: it costs as
much whatever n is, and the iteration, whose products see all rows, needs a few steps.
"""

import numpy as np

from sksparsenn._compiled.cholesky import cholesky_upper, fill_upper
from sksparsenn._solvers.iterations import conjugate_gradients, norm
from sksparsenn._solvers.preconditioned import PreconditionedSolver
from sksparsenn._solvers.solution import Singular
from sksparsenn._solvers.systems import NormalSystem
from sksparsenn._solvers.triangles import solve_triangles
from sksparsenn._utils.memory import require_memory

# Rows that are drawn, as a multiple of the order of J^T J.
OVERSAMPLING = 4

# Where rows are so uneven that those drawn have less than this part of the squares due to them, all are taken.
LEAST_PART = 0.25


class RowSampleSolver(PreconditionedSolver):
    """Solves the system in J^T J with the factor of the matrix of some rows as preconditioner.

    Parameters
    ----------
    random_state : RandomState
    residual : float
    """

    name = "sample"
    make_system = NormalSystem
    lasting = False  # a new one costs less than the steps that it saves where rows are many

    def __init__(self, random_state, residual):
        super().__init__(random_state, residual)
        self.matrix = np.empty((0, 0))

    def build(self):
        """Form the matrix of rows drawn at random, in proportion to all rows."""
        size = self.system.size
        if len(self.matrix) != size:
            self.matrix = np.empty((0, 0))  # free the old one first
            purpose = f"the matrix of a sample of rows, of order {size} (solver='sample')"
            require_memory(8 * size**2, purpose, "use solver='nystrom' or lower width")
            self.matrix = np.empty((size, size))
        self.growth = self.fill_matrix()
        self.diagonal, self.strength = self.matrix.diagonal().copy(), np.nan

    def fill_matrix(self):
        """Form the matrix of a sample of rows; return by what to multiply it."""
        J, size = self.system.jacobian, self.system.size
        n_rows = min(-(-OVERSAMPLING * size // J.n_outputs), len(J.X))
        rows = np.sort(self.random_state.permutation(len(J.X))[:n_rows])
        squares = np.square(J.root)
        if squares[rows].sum() < LEAST_PART * squares.sum() * n_rows / len(J.X):
            rows = np.arange(len(J.X))
        NormalSystem(J.part(rows)).fill(self.matrix)
        return squares.sum() / squares[rows].sum()

    def factor(self, strength):
        """Factor the damped matrix, unless its factor is at hand."""
        if strength == self.strength:
            return
        # Divided by the growth, which leaves the matrix as it is.
        fill_upper(self.matrix, self.diagonal, strength / self.growth)
        self.strength = strength
        if not cholesky_upper(self.matrix):
            self.strength = np.nan
            raise Singular

    def solve(self, product, right, strength):
        """Return the solution, the number of steps, and the relative residual."""
        self.factor(strength)

        def precondition(r):
            return solve_triangles(self.matrix.T, r) / self.growth

        return conjugate_gradients(product, right, precondition, self.residual * norm(right))
