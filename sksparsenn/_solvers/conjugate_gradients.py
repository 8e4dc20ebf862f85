"""Gauss-Newton steps by conjugate gradients without a preconditioner: for large ridges, and steps of few digits."""

import numpy as np

from sksparsenn._compiled.normal import conjugate_gradient_steps
from sksparsenn._solvers.iterations import MAX_INNER_ITERATIONS, power_of_two
from sksparsenn._solvers.solution import Solution

# Along a ridge path every step is one of many, and another ridge follows: more digits change no prediction by as much
# as another split of the rows does.
PATH_RESIDUAL = 0.03

# Additions in one uninterrupted call.
ADDITIONS_AT_ONCE = 1 << 28


class ConjugateGradientSolver:
    """Solves the system in J^T J, whatever its size, from products over firing pairs alone.

    The residual of that system is the same whether a sample counts twice or stands there twice.  Nothing is kept from
    one Jacobian to the next.
    """

    name = "cg"

    def __init__(self, residual=PATH_RESIDUAL):
        self.residual = residual

    def refresh(self, jacobian, strength=None):
        """Take a new Jacobian."""
        self.jacobian, self.rows = jacobian, jacobian.weighted_rows()

    def step(self, residuals, pull, strength):
        """Return the step that solves the damped problem of the present Jacobian."""
        J = self.jacobian
        # With one output, signs are a change of variables: u_r into a_r u_r.
        sign = J.signs if J.n_outputs == 1 else 1.0
        right = sign * (J.transpose_product(residuals) - pull)
        unit = power_of_two(right)
        # Rows of whole units of 32 bytes, which may be shorter than those of X.
        r = np.ascontiguousarray(right[:, : -(-J.n_features // 4) * 4] / unit)
        x, direction, slope = np.zeros_like(r), np.zeros_like(r), 1.0
        size = np.linalg.norm(r)
        at_once = max(1, ADDITIONS_AT_ONCE // max(len(J.samples) * (J.X.shape[1] + J.n_outputs), 1))
        steps, ended = 0, not size > 0
        while not ended and steps < MAX_INNER_ITERATIONS:
            taken, slope, ended = conjugate_gradient_steps(
                J.X, self.rows, strength, self.residual * size, (x, r, direction), slope,
                min(at_once, MAX_INNER_ITERATIONS - steps),
            )  # fmt: skip
            steps += taken
        step = np.zeros_like(right)
        step[:, : x.shape[1]] = unit * sign * x
        left = float(np.linalg.norm(r) / size) if size > 0 else 0.0
        return Solution(step, steps, left)
