"""Nystrom approximation of a Gauss-Newton matrix from some of its rows."""

import numpy as np

# Pivots drawn before what is left of the diagonal is looked at again.
BLOCK = 64

# Directions whose eigenvalue is below this part of the largest are rounding.
ROUNDING = 1e-12


def nystrom_approximation(system, rank, random_state):
    """Eigenvalues and orthonormal eigenvectors (rows) of a positive semidefinite approximation of that rank at most."""
    factor = pivoted_cholesky(system, rank, random_state)
    values, vectors = np.linalg.eigh(factor @ factor.T)
    kept = values > ROUNDING * values.max(initial=0)
    values = values[kept]
    return values, (vectors[:, kept] / np.sqrt(values)).T @ factor


def pivoted_cholesky(system, rank, random_state):
    """F of shape (rank, size) for which F^T F is close to the matrix, by randomly pivoted partial Cholesky.

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
