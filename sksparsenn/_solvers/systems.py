"""The damped least-squares problem of a Gauss-Newton step, as a system in J J^T or in J^T J.

The step u that minimises, for residuals r = root * (y - f),

    1/2 ||J u - r||^2 + strength/2 ||u||^2 + <pull, u>

(what ridge and damping add to the misfit, but for a constant) solves either of

    (J J^T + strength I) g = r + J pull / strength,   u = J^T g - pull / strength,
    (J^T J + strength I) u = J^T r - pull,

the first with a row for each sample and output, the second for each neuron and feature.

The papers, which have more weights than samples, use the first.  The matrix of a system is
A^T A, with A = J^T or J; sketches embed the rows of A.
"""

from functools import cached_property

import numpy as np

from sksparsenn._compiled.gram import (
    normal_matrix,
    normal_matrix_rows,
    sparse_sign_kernel,
    sparse_sign_normal,
    tangent_kernel,
    tangent_kernel_rows,
)
from sksparsenn._compiled.kernels import firing_gradient
from sksparsenn._compiled.normal import normal_product


class KernelSystem:
    """The system in the tangent kernel J J^T; A = J^T has `item_size` rows for each neuron."""

    name = "kernel"

    def __init__(self, jacobian):
        self.jacobian = jacobian
        self.size = jacobian.shape[0]
        self.n_items, self.item_size = len(jacobian.neurons), jacobian.n_features

    def fill(self, out):
        """Write the lower triangle of J J^T to `out`."""
        tangent_kernel(self.jacobian, out)

    def diagonal(self):
        """Return the diagonal of J J^T."""
        J = self.jacobian
        diagonal = J.scale**2 * J.root**2 * np.diff(J.by_sample) * np.einsum("ij,ij->i", J.X, J.X)
        return np.repeat(diagonal, J.n_outputs)

    def rows(self, entries):
        """Return whole rows of J J^T."""
        return tangent_kernel_rows(self.jacobian, np.asarray(entries, dtype=np.int64))

    def product(self, v):
        """Return J J^T v."""
        return self.jacobian.product(self.jacobian.transpose_product(v))

    def right_side(self, residuals, pull, strength):
        """Return r + J pull / strength."""
        return residuals + self.jacobian.product(pull) / strength if strength > 0 else residuals

    def step(self, solution, pull, strength):
        """Return the step u, padded, from the solution g."""
        step = self.jacobian.transpose_product(solution)
        return step - pull / strength if strength > 0 else step

    def rows_of_factor(self, first, last):
        """Return the rows of A of neurons first to last as a sparse matrix."""
        return self.jacobian.columns(first, last).T

    def columns_of_factor(self, first, last):
        """Return the columns first to last of A as a sparse matrix."""
        return self.jacobian.rows(first, last).T

    def sparse_sign_sketch(self, places, out):
        """Add (S A)^T to `out`, for the sparse sign matrix S that `places` hold."""
        sparse_sign_kernel(self.jacobian, places, out)


class NormalSystem:
    """The system in the normal matrix J^T J; A = J has `item_size` rows for each sample."""

    name = "normal"

    def __init__(self, jacobian):
        self.jacobian = jacobian
        self.size = jacobian.shape[1]
        self.n_items, self.item_size = len(jacobian.X), jacobian.n_outputs

    def fill(self, out):
        """Write the lower triangle of J^T J to `out`."""
        normal_matrix(self.jacobian, out)

    def diagonal(self):
        """Return the diagonal of J^T J."""
        J = self.jacobian
        ones = np.ones((len(J.neurons), 1))
        squares = firing_gradient(J.X**2, J.lists_of_neurons, J.root[:, None] ** 2, ones)
        return J.scale**2 * J.n_outputs * J.packed(squares)

    def rows(self, entries):
        """Return whole rows of J^T J."""
        return normal_matrix_rows(self.jacobian, np.asarray(entries, dtype=np.int64))

    def product(self, u):
        """Return J^T J u."""
        J, d = self.jacobian, self.jacobian.n_features
        sign = J.signs if J.n_outputs == 1 else 1.0
        U = np.zeros((len(J.neurons), -(-d // 4) * 4))
        U[:, :d] = sign * u.reshape(-1, d)
        rows = self._weighted_rows
        return (rows.factor * sign * normal_product(J.X, rows, U)[:, :d]).ravel()

    @cached_property
    def _weighted_rows(self):
        return self.jacobian.weighted_rows()

    def right_side(self, residuals, pull, strength):
        """Return J^T r - pull."""
        return self.jacobian.packed(self.jacobian.transpose_product(residuals) - pull)

    def step(self, solution, pull, strength):
        """Return the solution u, padded."""
        return self.jacobian.padded(solution)

    def rows_of_factor(self, first, last):
        """Return the rows of A of samples first to last as a sparse matrix."""
        return self.jacobian.rows(first * self.item_size, last * self.item_size)

    def columns_of_factor(self, first, last):
        """Return the columns first to last of A as a sparse matrix."""
        d = self.jacobian.n_features
        neurons = self.jacobian.columns(first // d, -(-last // d))
        return neurons[:, first - first // d * d :][:, : last - first]

    def sparse_sign_sketch(self, places, out):
        """Add (S A)^T to `out`, for the sparse sign matrix S that `places` hold."""
        sparse_sign_normal(self.jacobian, places, out)


def smaller_system(jacobian):
    """Return the system with fewer rows."""
    return KernelSystem(jacobian) if jacobian.shape[0] <= jacobian.shape[1] else NormalSystem(jacobian)
