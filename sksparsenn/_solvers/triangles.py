"""Triangular factors: QR of a tall matrix, the factor after damping, and solutions by substitution."""

import numpy as np
from scipy.linalg import blas, lapack


def upper_factor(M):
    """Return R of the QR factorisation of M, which is overwritten; M has at least as many rows as columns."""
    work = lapack.dgeqrf_lwork(*M.shape)[0]
    R = lapack.dgeqrf(M, lwork=int(work), overwrite_a=True)[0]
    return np.asfortranarray(np.triu(R[: M.shape[1]]))


def damped_factor(R, strength):
    """Return the triangular factor of [R; sqrt(strength) I]."""
    if strength == 0:
        return R
    size = len(R)
    below = np.asfortranarray(np.sqrt(strength) * np.eye(size))
    return lapack.dtpqrt(size, min(32, size), R, below)[0]


def solve_lower(lower, right, transposed=False):
    """Return L^-1 right, or L^-T right."""
    return blas.dtrsv(lower, right, lower=1, trans=int(transposed))


def solve_triangles(lower, right):
    """Return (L L^T)^-1 right."""
    return solve_lower(lower, solve_lower(lower, right), transposed=True)
