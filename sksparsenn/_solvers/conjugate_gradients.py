"""Gauss-Newton steps by conjugate gradients without a preconditioner: for large ridges, and steps of few digits."""

from sksparsenn._solvers.iterations import conjugate_gradients, norm
from sksparsenn._solvers.solution import Solution
from sksparsenn._solvers.systems import smaller_system

# Along a ridge path every step is one of many, and another ridge follows: more digits change no prediction by as much
# as another split of the rows does.
PATH_RESIDUAL = 0.03


class ConjugateGradientSolver:
    """Solves from products with J and J^T over firing pairs alone; nothing is kept from one Jacobian to the next."""

    name = "cg"

    def __init__(self, residual=PATH_RESIDUAL):
        self.residual, self.system = residual, None

    def refresh(self, jacobian, strength=None):
        """Take a new Jacobian."""
        self.system = smaller_system(jacobian)

    def step(self, residuals, pull, strength):
        """Return the step that solves the damped problem of the present Jacobian."""
        system = self.system
        right = system.right_side(residuals, pull, strength)

        def product(v):
            return system.product(v) + strength * v

        enough = self.residual * norm(right)
        solution, steps, residual = conjugate_gradients(product, right, lambda r: r, enough)
        return Solution(system.step(solution, pull, strength), steps, residual)
