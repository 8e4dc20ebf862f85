"""Gauss-Newton steps by conjugate gradients without a preconditioner: for large ridges, and steps of few digits."""

import numpy as np

from sksparsenn._compiled.normal import conjugate_gradient_steps
from sksparsenn._solvers.iterations import MAX_INNER_ITERATIONS, power_of_two
from sksparsenn._solvers.solution import Solution

# Along a ridge path every step is one of many, and another ridge follows: more digits change no prediction by as much
# as another split of the rows does.
PATH_RESIDUAL = 0.03

# Products of single precision leave a residual of some 1e-6, those of double precision of 1e-15.
LEAST_RESIDUAL_OF_SINGLE = 1e-3

# Additions in one uninterrupted call.
ADDITIONS_AT_ONCE = 1 << 28


class ConjugateGradientSolver:
    """Solves the system in J^T J, whatever its size, from products over firing pairs alone.

    A residual that single precision can reach is computed with products of single precision; vectors and sums over
    them are of double precision.  Nothing is kept from one Jacobian to the next.
    """

    name = "cg"

    def __init__(self, residual=PATH_RESIDUAL):
        self.residual = residual
        self.dtype = np.float32 if residual >= LEAST_RESIDUAL_OF_SINGLE else np.float64
        self.X = self.converted = None

    def refresh(self, jacobian, strength=None):
        """Take a new Jacobian."""
        if jacobian.X is not self.X:  # the same samples in all iterations
            self.X, self.converted = jacobian.X, jacobian.X.astype(self.dtype, copy=False)
        self.jacobian, self.rows = jacobian, jacobian.weighted_rows(self.dtype)

    def step(self, residuals, pull, strength):
        """Return the step that solves the damped problem of the present Jacobian."""
        J = self.jacobian
        # With one output, signs are a change of variables: u_r into a_r u_r.
        sign = J.signs if J.n_outputs == 1 else 1.0
        right = sign * (J.transpose_product(residuals) - pull)
        unit = power_of_two(right)
        r = right / unit
        x, direction, slope = np.zeros_like(r), np.zeros_like(r), 1.0
        size = np.linalg.norm(r)
        at_once = max(1, ADDITIONS_AT_ONCE // max(len(J.samples) * (J.X.shape[1] + J.n_outputs), 1))
        steps, ended = 0, not size > 0
        while not ended and steps < MAX_INNER_ITERATIONS:
            taken, slope, ended = conjugate_gradient_steps(
                self.converted, self.rows, strength, self.residual * size, (x, r, direction), slope,
                min(at_once, MAX_INNER_ITERATIONS - steps),
            )  # fmt: skip
            steps += taken
        left = float(np.linalg.norm(r) / size) if size > 0 else 0.0
        return Solution(unit * sign * x, steps, left)
