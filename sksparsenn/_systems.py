"""The damped least-squares problem of a Gauss-Newton step, as a system in J J^T or in J^T J.

The step u that minimises, for residuals r = root * (y - f),

    1/2 ||J u - r||^2 + strength/2 ||u||^2 + <pull, u>

(what ridge and damping add to the misfit, but for a constant) solves either of

    (J J^T + strength I) g = r + J pull / strength,   u = J^T g - pull / strength,
    (J^T J + strength I) u = J^T r - pull,

the first with a row for each sample and output, the second for each neuron and feature.

The papers, which have more weights than samples, use the first.  Each system names its matrix
as A^T A, with A = J^T or J, for the sketch, which embeds the rows of A.
"""

from sksparsenn._gram import sparse_sign_kernel, sparse_sign_normal


class KernelSystem:
    """In the tangent kernel J J^T; A = J^T, with `item_size` rows for each neuron."""

    name = "kernel"

    def __init__(self, jacobian):
        self.jacobian = jacobian
        self.size = jacobian.shape[0]
        self.n_items, self.item_size = len(jacobian.neurons), jacobian.n_features

    def fill(self, out):
        """The lower triangle of the matrix."""
        self.jacobian.fill_kernel(out)

    def diagonal(self):
        return self.jacobian.kernel_diagonal()

    def rows(self, entries):
        return self.jacobian.kernel_rows(entries)

    def product(self, v):
        return self.jacobian.kernel_product(v)

    def right_side(self, residuals, pull, strength):
        return residuals + self.jacobian.product(pull) / strength if strength > 0 else residuals

    def step(self, solution, pull, strength):
        step = self.jacobian.transpose_product(solution)
        return step - pull / strength if strength > 0 else step

    def rows_of_factor(self, first, last):
        """The rows of A of some items, sparse."""
        return self.jacobian.columns(first, last).T

    def columns_of_factor(self, first, last):
        """Some columns of A, sparse."""
        return self.jacobian.rows(first, last).T

    def sparse_sign_sketch(self, places, out):
        """(S A)^T into `out`, which holds zeros, for a sparse sign matrix S."""
        sparse_sign_kernel(*self.jacobian.arrays, self.jacobian.n_features, places, out)


class NormalSystem:
    """In the normal matrix J^T J; A = J, with `item_size` rows for each sample."""

    name = "normal"

    def __init__(self, jacobian):
        self.jacobian = jacobian
        self.size = jacobian.shape[1]
        self.n_items, self.item_size = len(jacobian.X), jacobian.n_outputs

    def fill(self, out):
        """The lower triangle of the matrix."""
        self.jacobian.fill_normal(out)

    def diagonal(self):
        return self.jacobian.normal_diagonal()

    def rows(self, entries):
        return self.jacobian.normal_rows(entries)

    def product(self, u):
        return self.jacobian.normal_product(u)

    def right_side(self, residuals, pull, strength):
        return self.jacobian.packed(self.jacobian.transpose_product(residuals) - pull)

    def step(self, solution, pull, strength):
        return self.jacobian.padded(solution)

    def rows_of_factor(self, first, last):
        """The rows of A of some items, sparse."""
        return self.jacobian.rows(first * self.item_size, last * self.item_size)

    def columns_of_factor(self, first, last):
        """Some columns of A, sparse."""
        d = self.jacobian.n_features
        neurons = self.jacobian.columns(first // d, -(-last // d))
        return neurons[:, first - first // d * d :][:, : last - first]

    def sparse_sign_sketch(self, places, out):
        """(S A)^T into `out`, which holds zeros, for a sparse sign matrix S."""
        sparse_sign_normal(*self.jacobian.arrays, self.jacobian.n_features, places, out)


def smaller_system(jacobian):
    """The system with fewer rows."""
    return KernelSystem(jacobian) if jacobian.shape[0] <= jacobian.shape[1] else NormalSystem(jacobian)
