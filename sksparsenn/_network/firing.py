"""Candidates and firing patterns: which neuron may fire on which sample, which does, and what firing pairs compute."""

from typing import NamedTuple

import numpy as np

from sksparsenn._compiled.kernels import add_firing_outputs, room_for
from sksparsenn._compiled.patterns import common_pairs, concatenated, neurons_per_sample


class Lists(NamedTuple):
    """For neuron ``rows[k]``, the samples ``samples[starts[k] : starts[k] + counts[k]]``, ascending."""

    rows: np.ndarray
    starts: np.ndarray
    counts: np.ndarray
    samples: np.ndarray

    @classmethod
    def from_compressed(cls, indptr, indices):
        """Return lists of neurons 0, 1, ... from compressed rows without gaps."""
        return cls(np.arange(len(indptr) - 1), indptr[:-1].copy(), np.diff(indptr), indices)


class Step(NamedTuple):
    """A step of gradient descent with momentum.

    With g = scale * gradient + ridge * (W - anchor):  velocity <- momentum * velocity - learning_rate * g, and W
    moves by the velocity, or, with Nesterov's momentum, by momentum * velocity - learning_rate * g.  Where momentum
    and ridge are zero the velocity stays as it is.
    """

    scale: float
    learning_rate: float
    momentum: float
    nesterov: bool
    ridge: float


class Candidates(NamedTuple):
    """Pairs (neuron, sample) among which are all that fire; the one inner product decides which do."""

    points: object
    """`DenseSamples` or `SparseSamples`, which the lists number: all samples, or a batch of them."""

    lists: Lists

    def firing(self, W, threshold, reuse=None):
        """Return the pairs that fire, with their inner products.

        The memory of a pattern that is no longer needed may be given as `reuse`.
        """
        samples, products = self._memory(self.points.dtype, reuse)
        starts, counts = self.points.firing_of(self.lists, W, threshold, samples, products)
        return Firing(self.lists.rows, starts, counts, samples, products, self.points)

    def forward(self, network, reuse=None):
        """Return the pairs that fire, and the outputs; where it pays, in one pass that keeps no products."""
        if self.points.keeps_products:
            firing = self.firing(network.weights, network.threshold, reuse)
            return firing, firing.outputs(network.signs, network.shift, network.scale)
        samples, _ = self._memory(None, reuse)
        starts, counts, outputs = self.points.forward(self.lists, network, samples)
        return Firing(self.lists.rows, starts, counts, samples, None, self.points), outputs

    def _memory(self, dtype, reuse):
        return memory_for(self.lists, dtype, reuse)


def memory_for(lists, dtype, reuse):
    """Return room for firing samples and, in that dtype, for products, with some to spare for the next pattern."""
    room = room_for(lists.counts)
    fits = reuse is not None and room <= len(reuse.samples) <= 2 * room and reuse.samples is not lists.samples
    if fits and (dtype is None) == (reuse.products is None):
        return reuse.samples, reuse.products
    room += room // 8
    return np.empty(room, dtype=np.int32), None if dtype is None else np.empty(room, dtype=dtype)


class Firing(NamedTuple):
    """The pairs (neuron, sample) with <w_r, x_i> > threshold, and what is computed from them.

    Neuron ``rows[k]`` fires on ``samples[starts[k] : starts[k] + counts[k]]``, ascending;
    ``products`` holds <w_r, x_i> at the same places, and what lies between has no meaning; it is
    None where the forward pass has used the products up.
    """

    rows: np.ndarray
    starts: np.ndarray
    counts: np.ndarray
    samples: np.ndarray
    products: np.ndarray | None
    points: object
    """`DenseSamples` or `SparseSamples`, which the pairs number."""

    @property
    def n_pairs(self):
        """The number of pairs that fire."""
        return int(self.counts.sum())

    @property
    def neurons_that_fire(self):
        """The numbers of the neurons that fire on some sample."""
        return self.rows[self.counts > 0]

    def outputs(self, signs, shift, scale):
        """Return f[i, o] = scale * sum_r signs[r, o] (<w_r, x_i> - shift) over the neurons r that fire on i."""
        return add_firing_outputs(self, self.products, shift, signs, scale, len(self.points))

    def linear_outputs(self, U, signs, scale):
        """Return scale * sum_r signs[r, o] <u_r, x_i> over the neurons r that fire on i; U need not be the weights."""
        lists = Lists(self.rows, self.starts, self.counts, self.samples)
        return Candidates(self.points, lists).firing(U, -np.inf).outputs(signs, 0.0, scale)

    def neurons_per_sample(self):
        """Return how many neurons fire on each sample."""
        return neurons_per_sample(self, len(self.points))

    def kernel_product(self, v, signs, scale):
        """Return J J^T v, with J the Jacobian of outputs in hidden weights and v of shape (n_samples, n_outputs)."""
        return self.points.kernel_product(self, v, signs, scale)

    def kernel_diagonal(self, scale):
        """Return (J J^T)_ii for one output: scale^2 ||x_i||^2 times the number of neurons that fire on i."""
        return scale**2 * self.neurons_per_sample() * self.points.squared_lengths()

    def gradient(self, residuals, signs):
        """Return, in row k, the sum over the samples i on which r = rows[k] fires of <signs[r], residuals[i]> x_i."""
        return self.points.gradient(self, residuals, signs)

    def descend(self, W, anchor, velocity, residuals, signs, step):
        """Move W and its velocity, in place, by one `Step` down the gradient."""
        self.points.descend(W, anchor, velocity, self, residuals, signs, step)

    def common_pairs(self, other):
        """Return how many pairs fire in this pattern and in another one."""
        return common_pairs(self, other)

    def pairs(self):
        """Return compressed rows without gaps, (indptr, samples), for all neurons up to the last listed."""
        width = int(self.rows[-1]) + 1 if len(self.rows) else 0
        indptr = np.zeros(width + 1, dtype=np.int64)
        indptr[self.rows + 1] = self.counts
        np.cumsum(indptr, out=indptr)
        return indptr, concatenated(self.starts, self.counts, self.samples)
