"""Iterations that solve A x = b for positive definite A from products with A: conjugate gradients, gradient iteration.

Both divide b by a power of two close to its entries and multiply the result by it: that
changes no bit, and no square overflows or vanishes, whatever the units of b.
"""

import numpy as np

from sksparsenn._solvers.triangles import solve_lower

MAX_INNER_ITERATIONS = 500


def conjugate_gradients(product, right, precondition, enough, max_iter=MAX_INNER_ITERATIONS, start=None):
    """Solve A x = right by preconditioned conjugate gradients until ||A x - right|| <= enough.

    Return x, the number of steps, and the residual relative to ||right||.
    """
    unit = power_of_two(right)
    right, enough = right / unit, enough / unit
    x = np.zeros_like(right) if start is None else start / unit
    r = right.copy() if start is None else right - product(x)
    direction, previous, steps = np.zeros_like(right), 1.0, 0
    while np.linalg.norm(r) > enough and steps < max_iter:
        z = precondition(r)
        slope = r @ z
        direction = z + slope / previous * direction
        image = product(direction)
        curvature = direction @ image
        if not curvature > 0:
            break  # what is left is rounding
        length = slope / curvature
        x = x + length * direction
        r -= length * image
        previous = slope
        steps += 1
    size = np.linalg.norm(right)
    return unit * x, steps, float(np.linalg.norm(r) / size) if size > 0 else 0.0


def gradient_iteration(product, right, R, residual, max_iter=MAX_INNER_ITERATIONS):
    """Solve A x = right by the iteration that the papers analyse, until ||A x - right|| <= residual ||right||.

    It is z <- z + length M^T (R^-T right - M z) with M = R^-T A R^-1, and x = R^-1 z.  Return the
    same as `conjugate_gradients`.

    Departure: the papers take steps of length one, which need an embedding of distortion 0.1;
    here each step has the length that reduces the residual most.
    """
    lower = R.T

    def image(v):
        return solve_lower(lower, product(solve_lower(lower, v, transposed=True)))

    unit = power_of_two(solve_lower(lower, right))
    right = right / unit
    size = np.linalg.norm(right)
    z = solve_lower(lower, right)  # the answer of the sketched problem
    rest = solve_lower(lower, right) - image(z)
    steps = 0
    while np.linalg.norm(R.T @ rest) > residual * size and steps < max_iter:
        gradient = image(rest)
        change = image(gradient)
        length = (rest @ change) / (change @ change)
        z = z + length * gradient
        rest = rest - length * change
        steps += 1
    relative = float(np.linalg.norm(R.T @ rest) / size) if size > 0 else 0.0
    return unit * solve_lower(lower, z, transposed=True), steps, relative


def norm(v):
    """Return ||v||, correct also where squares of its entries overflow or vanish."""
    unit = power_of_two(v)
    return unit * float(np.linalg.norm(v / unit))


def power_of_two(v):
    """Return the largest power of two that is no larger than the largest entry of v; one if v is zero."""
    largest = np.abs(v).max(initial=0.0)
    return float(np.ldexp(1.0, np.frexp(largest)[1] - 1)) if largest > 0 else 1.0
