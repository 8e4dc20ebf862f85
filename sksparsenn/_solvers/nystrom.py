"""Gauss-Newton steps by conjugate gradients with a Nystrom approximation as preconditioner: no matrix is formed."""

import numpy as np

from sksparsenn._solvers.iterations import conjugate_gradients, norm
from sksparsenn._solvers.preconditioned import PreconditionedSolver
from sksparsenn._utils.memory import require_memory

# The iteration stops at this ||A x - b|| / ||b||: a hundredth trains as well as a smaller one, in half the time.
NYSTROM_RESIDUAL = 1e-2

# Ranks of the approximation: the first, and when to double or halve it, by steps of a new preconditioner.
FIRST_RANK = 64
TOO_MANY_STEPS, FEW_STEPS = 60, 12

# Pivots drawn before the rest of the diagonal is computed again.
BLOCK = 64

# Directions whose eigenvalue is below this part of the largest are rounding.
ROUNDING = 1e-12


class NystromSolver(PreconditionedSolver):
    """Solves by conjugate gradients with a Nystrom approximation of adaptive rank as preconditioner.

    Parameters
    ----------
    random_state : RandomState
    residual : float
    """

    name = "nystrom"

    def __init__(self, random_state, residual=NYSTROM_RESIDUAL):
        super().__init__(random_state, residual)
        self.rank = FIRST_RANK
        self.last = np.empty(0)

    def build(self):
        """Approximate the matrix, with a rank that follows from the steps with the last approximation."""
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
        """Return whether the approximation of the system `before` may be used for this one, and change it to fit.

        In the normal matrix, rows of neurons that begin to fire are zero, and those of others drop out.
        """
        if before.name == self.system.name == "normal":
            n_features, neurons = self.system.jacobian.n_features, self.system.jacobian.neurons
            _, old, new = np.intersect1d(before.jacobian.neurons, neurons, assume_unique=True, return_indices=True)
            if len(old) < max(len(before.jacobian.neurons), len(neurons)):
                basis = np.zeros((len(self.basis), len(neurons), n_features))
                basis[:, new] = self.basis.reshape(len(self.basis), -1, n_features)[:, old]
                self.basis = basis.reshape(len(basis), -1)
        return before.name == self.system.name

    def solve(self, product, right, strength):
        """Return the solution, the number of steps, and the relative residual."""
        # The approximation along its eigenvectors, its least eigenvalue across them [Frangella, Tropp, Udell 2023].
        least = self.values.min() if len(self.values) else 0.0
        along = (least + strength) / (self.values + strength) - 1

        def precondition(r):
            return r + (along * (self.basis @ r)) @ self.basis

        # The kernel's unknowns describe all that the weights have travelled, not the step alone: from the last
        # ones, what is left to find shrinks as training converges, and with it what is left of the residual.
        start, size = None, norm(right)
        if self.system.name == "kernel" and len(self.last) == len(right):
            left = norm(right - product(self.last))
            if left < size:
                start, size = self.last, left
        solution = conjugate_gradients(product, right, precondition, self.residual * size, start=start)
        self.last = solution[0]
        return solution


def nystrom_approximation(system, rank, random_state):
    """Approximate the matrix: return eigenvalues and orthonormal eigenvectors (rows), at most `rank` of them."""
    factor = pivoted_cholesky(system, rank, random_state)
    values, vectors = np.linalg.eigh(factor @ factor.T)
    kept = values > ROUNDING * values.max(initial=0)
    values = values[kept]
    return values, (vectors[:, kept] / np.sqrt(values)).T @ factor


def pivoted_cholesky(system, rank, random_state):
    """Return F of shape (rank, size) for which F^T F is close to the matrix, by randomly pivoted partial Cholesky.

    Pivots are drawn with probability proportional to the diagonal of what is left [Chen,
    Epperly, Tropp and Webber 2023], some at a time; only their rows of the matrix are computed.
    """
    rest = system.diagonal()
    trace = rest.sum()
    factor = np.empty((rank, system.size))
    used = 0
    while used < rank and rest.sum() > ROUNDING * trace:
        cumulated = np.cumsum(rest)
        drawn = random_state.uniform(size=min(BLOCK, rank - used)) * cumulated[-1]
        pivots = np.unique(np.minimum(np.searchsorted(cumulated, drawn, side="right"), system.size - 1))
        rows = system.rows(pivots)
        rows -= factor[:used, pivots].T @ factor[:used]
        # Pivots of one block may depend on each other: take the directions that they span.
        corner = rows[:, pivots]
        values, vectors = np.linalg.eigh(0.5 * (corner + corner.T))
        kept = values > 1e-10 * max(values[-1], 0.0)
        fresh = (vectors[:, kept] / np.sqrt(values[kept])).T @ rows
        factor[used : used + len(fresh)] = fresh
        used += len(fresh)
        rest = np.maximum(rest - np.einsum("ij,ij->j", fresh, fresh), 0.0)
        rest[pivots] = 0.0
    return factor[:used]
