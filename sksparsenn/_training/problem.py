"""Problem: the samples, targets and loss that a network is trained on, and every sum over samples.

With p_i the weight of sample i, training lowers the misfit

    sum_i p_i loss(f(x_i), y_i)

over the hidden weights, plus what trainers add: ridge, damping, momentum.  Whatever runs over samples is computed
here, through the search for those on which neurons fire; whatever concerns weights alone belongs to the trainers.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from sksparsenn._network.firing import Firing
from sksparsenn._network.network import Network
from sksparsenn._search.work import Work
from sksparsenn._solvers.jacobian import Jacobian


class Evaluation(NamedTuple):
    """A network evaluated on the samples of a problem: who fires, the outputs, and the misfit."""

    network: Network
    firing: Firing
    outputs: np.ndarray
    misfit: float
    work: Work
    """Of the search."""

    @property
    def firing_fraction(self):
        """The share of all pairs (neuron, sample) that fire."""
        return self.firing.n_pairs / (len(self.outputs) * len(self.network.weights))


class KernelUnit(NamedTuple):
    """Sums over the diagonal of the tangent kernel, for one output."""

    total: float
    """sum_i p_i G_ii."""

    largest: float
    silent: float
    """The sum of p_i over the samples on which no neuron fires."""

    def __add__(self, other):
        return KernelUnit(self.total + other.total, max(self.largest, other.largest), self.silent + other.silent)


class LinearModel(NamedTuple):
    """The misfit near some weights while nobody's firing changes: 1/2 ||J u - residuals||^2 + constant for a step u.

    With g_i and h_i the derivative and the curvature of the loss at f(x_i), row (i, o) of J is
    sqrt(p_i h_i) times the gradient of f_o(x_i), and the residuals are -sqrt(p_i h_i) g_io / h_i.
    """

    jacobian: Jacobian
    residuals: np.ndarray

    def decrease(self, step):
        """Return by how much the model of the misfit falls with the step, a padded row for each neuron with columns."""
        change = self.jacobian.product(step)
        return change @ self.residuals - 0.5 * change @ change


@dataclass
class Problem:
    """Samples with targets and weights, the loss, and the search that finds who fires on them."""

    samples: object
    """`DenseSamples` or `SparseSamples`."""

    targets: np.ndarray
    """As the loss compares them with outputs, a column for each output."""

    weights: np.ndarray
    """p_i, the weight of each sample in the misfit."""

    loss: object
    search: object
    total_weight: float
    """The sum of the sample weights, to which a ridge relates."""

    chosen: np.ndarray | None = None
    """The numbers of the samples of a batch, for a search that was made for more; None for all of them."""

    offsets: np.ndarray | None = None
    """What is added to the outputs of the network, of the same shape; None for nothing."""

    share: float = 1.0
    """Of the weight of all rows, if these are a sample of them; the sample weights are divided by it."""

    def __len__(self):
        return len(self.targets)

    @property
    def search_name(self):
        """The name of the search."""
        return self.search.name

    def batch(self, chosen, weights):
        """Return the problem of some of the samples, with these weights; the search is shared."""
        offsets = None if self.offsets is None else self.offsets[chosen]
        return Problem(None, self.targets[chosen], weights, self.loss, self.search, self.total_weight, chosen, offsets)

    def sum(self, values):
        """Return sum_i p_i values_i."""
        # Not a product by BLAS, whose rounding depends on its kernels.
        return float((self.weights * values).sum())

    # -- the misfit and its derivatives -------------------------------------------------------

    def evaluate(self, network, reuse=None):
        """Return an `Evaluation` of the network; the memory of a pattern no longer needed may be given as `reuse`."""
        candidates, work = self.search.candidates(network.weights, self.chosen)
        firing, outputs = candidates.forward(network, reuse)
        if self.offsets is not None:
            outputs += self.offsets
        if self.chosen is None:
            self.search.learn(firing)
        return Evaluation(network, firing, outputs, self.sum(self.loss.value(outputs, self.targets)), work)

    def moved(self, weights, neurons):
        """Bring the search up to date with the changed weights of these neurons."""
        if self.search.follows_moves:
            self.search.moved(weights, neurons)

    def descend(self, evaluation, anchor, velocity, step):
        """Move the weights of the network and the velocity, in place, by one `Step` down the gradient of the misfit."""
        network = evaluation.network
        evaluation.firing.descend(network.weights, anchor, velocity, self._slopes(evaluation), network.signs, step)

    def gradient(self, evaluation):
        """Return the gradient of the misfit in the weights over the scale of the network, padded as they are."""
        return self._of_all_neurons(evaluation, self._slopes(evaluation))

    def _slopes(self, evaluation):
        """Return p_i times the derivative of the loss in f(x_i)."""
        slopes = self.weights[:, None] * self.loss.derivative(evaluation.outputs, self.targets)
        return slopes.astype(evaluation.network.weights.dtype)

    def _of_all_neurons(self, evaluation, v):
        """Return J^T v / scale, in double precision, with a row for each neuron of the network."""
        network, firing = evaluation.network, evaluation.firing
        gradient = np.zeros(network.weights.shape)
        gradient[firing.rows] = firing.gradient(np.ascontiguousarray(v), network.signs)
        return gradient

    def curvature_product(self, evaluation, v):
        """Return D J J^T D v, with D the square roots of p_i and J the Jacobian of the outputs in the weights.

        Its eigenvalues other than zero are those of sum_i p_i J_i^T J_i, the curvature of the misfit for a loss of
        curvature one.
        """
        root, network = self.roots(v.dtype), evaluation.network
        return root * evaluation.firing.kernel_product(np.ascontiguousarray(root * v), network.signs, network.scale)

    def curvature_of_weights(self, evaluation, U):
        """Return sum_i p_i J_i^T J_i U / scale, for a padded row of U for each neuron."""
        network = evaluation.network
        U = np.ascontiguousarray(U, dtype=network.weights.dtype)
        outputs = evaluation.firing.linear_outputs(U, network.signs, network.scale)
        return self._of_all_neurons(evaluation, self.roots(U.dtype) ** 2 * outputs)

    def start_in_weights(self, evaluation, outputs):
        """Return sum_i p_i J_i^T v / scale, for the same v, a number for each output, of all samples."""
        dtype = evaluation.network.weights.dtype
        return self._of_all_neurons(evaluation, self.roots(dtype) ** 2 * np.asarray(outputs, dtype=dtype))

    def roots(self, dtype):
        """Return the square roots of p_i, as a column."""
        return np.sqrt(self.weights).astype(dtype)[:, None]

    def largest_curvature(self, evaluation, tol=1e-3, max_iter=100):
        """Return the largest eigenvalue of sum_i p_i J_i^T J_i, by power iteration over firing pairs.

        The start, the square roots of the weights p_i, is close to the leading direction, because
        the tangent kernel has no negative entries, and does not depend on the order of samples.
        """
        network = evaluation.network
        dtype, n_outputs = network.weights.dtype, network.signs.shape[1]
        v = np.repeat(self.roots(dtype), n_outputs, axis=1) * (1 + 0.1 * np.arange(n_outputs, dtype=dtype))
        v /= _length(v)
        estimate = 0.0
        for _ in range(max_iter):
            v = self.curvature_product(evaluation, v)
            previous, estimate = estimate, _length(v)
            if estimate <= 0 or abs(estimate - previous) <= tol * estimate:
                break
            v /= estimate
        return estimate

    def kernel_unit(self, evaluation):
        """Return the `KernelUnit` of the network: what the tangent kernel's diagonal adds up to."""
        diagonal = self.kernel_diagonal(evaluation)
        return KernelUnit(self.sum(diagonal), float(diagonal.max(initial=0)), self.sum(diagonal == 0))

    def kernel_diagonal(self, evaluation):
        """Return the diagonal of the tangent kernel J J^T, for one output."""
        return evaluation.firing.kernel_diagonal(evaluation.network.scale)

    def linearise(self, evaluation, neurons=None):
        """Return the `LinearModel` of the misfit at these weights, with columns for these neurons or all that fire."""
        network, outputs = evaluation.network, evaluation.outputs
        curvature = self.loss.curvature_of(outputs, self.targets)
        root = np.sqrt(self.weights * curvature)
        slope = self.loss.derivative(outputs, self.targets)
        residuals = -(root[:, None] * (slope / curvature[:, None])).ravel()
        rows, signs, d = self._rows_in_double, network.signs.astype(np.float64), self.samples.n_features
        jacobian = Jacobian(evaluation.firing, rows, root, signs, network.scale, d, neurons)
        return LinearModel(jacobian, residuals)

    @cached_property
    def _rows_in_double(self):
        return self.samples.in_double().rows


def _length(v):
    return float(np.sqrt(np.square(v, dtype=np.float64).sum()))
