"""What every solver of a Gauss-Newton step returns or raises."""

from typing import NamedTuple

import numpy as np


class Solution(NamedTuple):
    """A step for the neurons of the Jacobian, and how it was found."""

    step: np.ndarray
    inner_iterations: int
    residual: float
    """||A x - b|| / ||b|| of the system that was solved; zero for Cholesky, which has no use for it."""


class Singular(Exception):
    """The matrix of a step is singular to working precision."""
