"""How long a preconditioner is kept: from one Jacobian to the next, until the iteration takes twice its first steps."""

import numpy as np

from sksparsenn._solvers.solution import Solution
from sksparsenn._solvers.systems import smaller_system

# A preconditioner is made anew once its solver needs this many times the steps it needed when it was new.
WORN = 2


class PreconditionedSolver:
    """An iteration whose preconditioner is kept from one Jacobian to the next until too many steps are needed.

    A subclass makes the preconditioner of `self.system` in ``build()``, and returns a solution,
    the number of steps and the relative residual from ``solve(product, right, strength)``.

    Parameters
    ----------
    random_state : RandomState
    residual : float
        The iteration stops at this ||A x - b|| / ||b||.
    """

    steps_when_new = None
    make_system = staticmethod(smaller_system)
    lasting = True
    """Whether a preconditioner made for one Jacobian may be used for the next."""

    def __init__(self, random_state, residual):
        self.random_state, self.residual = random_state, residual
        self.steps_of_last, self.system = 0, None

    def refresh(self, jacobian, strength=None):
        """Take a new Jacobian, and build a preconditioner for it unless the last one is kept."""
        before, self.system = self.system, self.make_system(jacobian)
        worn = self.steps_when_new is not None and self.steps_of_last > WORN * max(self.steps_when_new, 1)
        self.fresh = not self.lasting or worn or before is None or not self.carried_over(before)
        if self.fresh:  # made for this Jacobian
            self.build()
            self.steps_when_new = None

    def carried_over(self, before):
        """Return whether the preconditioner made for the system `before` may be used for the present one."""
        if before.name != self.system.name:
            return False
        return before.name == "kernel" or np.array_equal(before.jacobian.neurons, self.system.jacobian.neurons)

    def step(self, residuals, pull, strength):
        """Return the step that solves the damped problem of the present Jacobian."""
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
