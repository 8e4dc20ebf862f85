"""Gauss-Newton steps where rows are in parts: the system in J^T J, each of whose products is a sum over the parts.

The system in J J^T has a row for each sample, so that it is left to tables that one process holds.
"""

from typing import NamedTuple

import numpy as np

from sksparsenn._compiled.gram import normal_matrix
from sksparsenn._samples.drawing import EVERYTHING, chosen_by_chance
from sksparsenn._solvers import choice
from sksparsenn._solvers.cholesky import CholeskySolver
from sksparsenn._solvers.conjugate_gradients import PATH_RESIDUAL
from sksparsenn._solvers.iterations import conjugate_gradients, norm
from sksparsenn._solvers.jacobian import Jacobian
from sksparsenn._solvers.row_sample import LEAST_PART, OVERSAMPLING, RowSampleSolver
from sksparsenn._solvers.solution import Solution
from sksparsenn._solvers.systems import NormalSystem

# Nanoseconds of a sum over parts whatever it adds up, and of each byte of it.
ROUND, BYTE = 10e6, 4.0

# By what the rows of a sample are multiplied where rows are in blocks.
FOR_BLOCKS = 4

SOLVERS = "auto", "cholesky", "cg", "sample"


class SummedJacobian:
    """J of rows in parts, through sums over these.

    Parameters
    ----------
    parts : Parts
    models : Column of LinearModel
        Of the parts, all with the columns of the same neurons.
    keys : Column of uint64 ndarray
        Of the rows, the same for equal ones.
    neurons : int64 ndarray
        That fire on some sample of some part.
    network : Network
    sizes : Sizes
    """

    def __init__(self, parts, models, keys, neurons, network, sizes):
        self.parts, self.models, self.keys = parts, models, keys
        self.neurons, self.sizes = neurons, sizes
        self.n_features, self.n_padded = sizes.n_features, network.weights.shape[1]
        self.shape = sizes.n_samples * sizes.n_outputs, len(neurons) * sizes.n_features
        self._gradient = None

    def descent(self):
        """Return J^T r for the residuals r of the models, as a padded row for each of `neurons`."""
        if self._gradient is None:
            self._gradient = self.parts.sum(descent_of, self.models)
        return self._gradient

    def packed(self, U):
        """Return padded rows as one vector without the padding."""
        return U[:, : self.n_features].ravel()

    def padded(self, u):
        """Return one vector as padded rows."""
        U = np.zeros((len(self.neurons), self.n_padded))
        U[:, : self.n_features] = u.reshape(len(self.neurons), self.n_features)
        return U


class SummedSystem:
    """The system in J^T J; has the face of `NormalSystem`, as far as these solvers need it."""

    name = "normal"

    def __init__(self, jacobian):
        self.jacobian, self.size = jacobian, jacobian.shape[1]

    def fill(self, out):
        """Write the lower triangle of J^T J to `out`."""
        unpack_lower(self.jacobian.parts.sum(matrix_of, self.jacobian.models), out)

    def fill_of_sample(self, out, share, seed):
        """Write the lower triangle of the matrix of a share of the rows to `out`; return the share of the squares."""
        J, limit = self.jacobian, int(share * EVERYTHING)
        # Rows of a sample are fewer numbers than their matrix, which is made once, where the sum of the parts is.
        packed = J.parts.sum(SampledRows.of, J.models, J.keys, limit, seed, then=SampledRows.packed_matrix)
        unpack_lower(packed[1:], out)
        return packed[0]

    def product(self, u):
        """Return J^T J u."""
        return self.jacobian.parts.sum(product_of, self.jacobian.models, u)

    def right_side(self, residuals, pull, strength):
        """Return J^T r - pull; the parts have the residuals."""
        return self.jacobian.packed(self.jacobian.descent() - pull)

    def step(self, solution, pull, strength):
        """Return the solution u, padded."""
        return self.jacobian.padded(solution)


# -- what is computed of a part, of which a `LinearModel` is given ---------------------------------


def descent_of(model):
    """Return J^T r."""
    return model.jacobian.transpose_product(model.residuals)


def product_of(model, u):
    """Return J^T J u."""
    return NormalSystem(model.jacobian).product(u)


def matrix_of(model):
    """Return the lower triangle of J^T J, packed."""
    return packed_lower(model.jacobian)


class SampledRows(NamedTuple):
    """Rows of J in a sample, and the squares of the weights in it and in all."""

    jacobian: Jacobian
    squares: float
    squares_of_all: float

    @classmethod
    def of(cls, model, keys, limit, seed):
        """Return the rows of a part that are in the sample."""
        J, rows = model.jacobian, np.flatnonzero(chosen_by_chance(keys, limit, seed))
        squares = np.square(J.root)
        return cls(J.part(rows), squares[rows].sum(), squares.sum())

    def packed_matrix(self):
        """Return the share of the squares in the sample, and the packed triangle of its J^T J."""
        return np.append(self.squares / self.squares_of_all, packed_lower(self.jacobian))

    def __add__(self, other):
        jacobian = self.jacobian.followed_by(other.jacobian)
        return SampledRows(jacobian, self.squares + other.squares, self.squares_of_all + other.squares_of_all)


def packed_lower(jacobian):
    """Return the rows of the lower triangle of J^T J, one after the other."""
    size = jacobian.shape[1]
    matrix = np.empty((size, size))
    normal_matrix(jacobian, matrix)
    return np.concatenate([matrix[row, : row + 1] for row in range(size)])


def unpack_lower(packed, out):
    """Write rows of a lower triangle to a matrix."""
    end = 0
    for row in range(len(out)):
        out[row, : row + 1] = packed[end : end + row + 1]
        end += row + 1


# -- solvers ---------------------------------------------------------------------------------------


class SummedCholeskySolver(CholeskySolver):
    """Forms the matrix by a sum over parts."""

    make_system = SummedSystem


class SummedConjugateGradientSolver:
    """Solves by conjugate gradients without a preconditioner, as `ConjugateGradientSolver` does."""

    name = "cg"

    def __init__(self, residual=PATH_RESIDUAL):
        self.residual = residual

    def refresh(self, jacobian, strength=None):
        """Take a new Jacobian."""
        self.system = SummedSystem(jacobian)

    def step(self, residuals, pull, strength):
        """Return the step that solves the damped problem of the present Jacobian."""
        system = self.system
        right = system.right_side(residuals, pull, strength)

        def product(u):
            return system.product(u) + strength * u

        def unchanged(r):
            return r

        solution, steps, residual = conjugate_gradients(product, right, unchanged, self.residual * norm(right))
        return Solution(system.step(solution, pull, strength), steps, residual)


class SummedRowSampleSolver(RowSampleSolver):
    """Solves with the factor of the matrix of some rows, drawn by what they hold, as preconditioner."""

    make_system = SummedSystem

    def fill_matrix(self):
        """Form the matrix of a sample of rows; return by what to multiply it."""
        sizes, seed = self.system.jacobian.sizes, int(self.random_state.randint(2**31 - 1))
        # Where a product takes a pass over blocks that are computed anew, more rows are worth their matrix.
        oversampling = FOR_BLOCKS * OVERSAMPLING if self.system.jacobian.parts.bring_together else OVERSAMPLING
        share = min(1.0, oversampling * self.system.size / (sizes.n_samples * sizes.n_outputs))
        found = self.system.fill_of_sample(self.matrix, share, seed)
        if found < LEAST_PART * share:
            found = self.system.fill_of_sample(self.matrix, 1.0, seed)
        return 1 / found


def make_summed_solver(name, random_state, residual, on_path):
    """Return the solver of that name for rows in parts; for "auto" one that chooses for each Jacobian."""

    def make(name):
        if name == "cholesky":
            return SummedCholeskySolver()
        of_few_digits = max(residual, PATH_RESIDUAL)
        if name == "cg":
            return SummedConjugateGradientSolver(of_few_digits)
        return SummedRowSampleSolver(random_state, of_few_digits if on_path else residual)

    return choice.AutomaticSolver(make, 1.0, on_path, choose_summed_solver) if name == "auto" else make(name)


def choose_summed_solver(sizes, sketch_size, steps, plain_steps, rank):
    """Return the name of the solver with the least modelled time; steps of few digits are for paths alone.

    It does not depend on how many parts there are, nor on who computes them.
    """
    n, d, o, m, pairs = sizes
    order = m * d
    vector, matrix = ROUND + 8 * BYTE * order, ROUND + 4 * BYTE * order**2
    product = pairs * (choice.PLAIN_PRODUCT * (d + 1) if o == 1 else choice.PLAIN_PRODUCT_OF_OUTPUTS * (d + 2 * o))
    assembly = choice.SAMPLE_MOMENT * pairs**2 / max(n, 1) * d * (d + 1) / 4
    factor = choice.FACTOR_FLOP / 3 * order**3 + choice.ENTRY * order**2
    times = {"cholesky": assembly + matrix + factor}
    if plain_steps is not None and order > choice.SMALL_ORDER:
        times["cg"] = plain_steps * (vector + product)
        sampled = min(1.0, OVERSAMPLING * order / (n * o))
        times["sample"] = sampled * assembly + matrix + factor + choice.SAMPLE_STEPS * (vector + product)
    return min(times, key=times.get)
