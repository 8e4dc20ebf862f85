"""Who fires on what: the one thing that every search hands out and every computation reads."""

from typing import NamedTuple

import numpy as np

from sksparsenn._kernels import (
    add_firing_outputs,
    descend_firing,
    firing_gradient,
    firing_of_candidates,
    forward_of_candidates,
    neurons_per_sample,
    room_for,
)
from sksparsenn._sparse_samples import SparseSamples


class Lists(NamedTuple):
    """For neuron ``rows[k]``, the samples ``samples[starts[k] : starts[k] + counts[k]]``, ascending."""

    rows: np.ndarray
    starts: np.ndarray
    counts: np.ndarray
    samples: np.ndarray

    @classmethod
    def from_compressed(cls, indptr, indices):
        """Lists of neurons 0, 1, ... from compressed rows without gaps."""
        return cls(np.arange(len(indptr) - 1), indptr[:-1].copy(), np.diff(indptr), indices)


class Firing(NamedTuple):
    """The pairs (neuron, sample) with <w_r, x_i> > threshold, and their inner products.

    Neuron ``rows[k]`` fires on ``samples[starts[k] : starts[k] + counts[k]]``, ascending;
    ``products`` holds <w_r, x_i> at the same places, what lies between is void; it is
    None where the forward pass has used them up.
    """

    rows: np.ndarray
    starts: np.ndarray
    counts: np.ndarray
    samples: np.ndarray
    products: np.ndarray | None

    @classmethod
    def among(cls, candidates, X, W, threshold, reuse=None):
        """Decide, for lists that hold at least all firing pairs, which pairs fire.

        The memory of a pattern that is no longer needed may be given as `reuse`.
        """
        samples, products = cls.memory(candidates, X.dtype, reuse)
        if isinstance(X, SparseSamples):
            starts, counts = X.firing_of_candidates(W, *candidates, threshold, samples, products)
        else:
            starts, counts = firing_of_candidates(X, W, *candidates, threshold, samples, products)
        return cls(candidates.rows, starts, counts, samples, products)

    @classmethod
    def forward(cls, candidates, X, network, reuse=None):
        """Who fires, as `among` decides it, and with what `outputs`: for dense X, one pass that keeps no products."""
        if isinstance(X, SparseSamples):  # where a product takes so long that keeping it costs nothing
            firing = cls.among(candidates, X, network.weights, network.threshold, reuse)
            return firing, firing.outputs(len(X), network.signs, network.shift, network.scale)
        samples, _ = cls.memory(candidates, None, reuse)
        weights, signs, shift, threshold, _ = network
        starts, counts, outputs = forward_of_candidates(
            X, weights, *candidates, threshold, samples, shift, signs, network.scale
        )
        return cls(candidates.rows, starts, counts, samples, None), outputs

    @staticmethod
    def memory(candidates, dtype, reuse):
        """Room for firing samples and, in that dtype, for products, with some to spare for the next pattern."""
        room = room_for(candidates.counts)
        fits = reuse is not None and room <= len(reuse.samples) <= 2 * room and reuse.samples is not candidates.samples
        if fits and (dtype is None) == (reuse.products is None):
            return reuse.samples, reuse.products
        room += room // 8
        return np.empty(room, dtype=np.int32), None if dtype is None else np.empty(room, dtype=dtype)

    @property
    def n_pairs(self):
        """How many pairs fire."""
        return int(self.counts.sum())

    def outputs(self, n_samples, signs, shift, scale):
        """f[i, o] = scale * sum_r signs[r, o] (<w_r, x_i> - shift) over the neurons r that fire on i."""
        return add_firing_outputs(
            self.rows, self.starts, self.counts, self.samples, self.products, shift, signs, scale, n_samples
        )

    def linear_outputs(self, X, U, signs, scale):
        """scale * sum_r signs[r, o] <u_r, x_i> over the neurons r that fire on i; u_r need not be the weights."""
        lists = Lists(self.rows, self.starts, self.counts, self.samples)
        return Firing.among(lists, X, U, -np.inf).outputs(len(X), signs, 0.0, scale)

    def neurons_per_sample(self, n_samples):
        """How many neurons fire on each sample."""
        return neurons_per_sample(self.starts, self.counts, self.samples, n_samples)

    def gradient(self, X, residuals, signs):
        """Row k: sum over the samples i on which r = rows[k] fires of <signs[r], residuals[i]> x_i."""
        return firing_gradient(X, self.rows, self.starts, self.counts, self.samples, residuals, signs)

    def descend(self, W, anchor, velocity, X, residuals, signs, scale, *step):
        """Move W down the gradient: one step of `_kernels.descend_firing`, whose last arguments `step` holds."""
        pattern_and_step = (self.rows, self.starts, self.counts, self.samples, residuals, signs, scale, *step)
        if isinstance(X, SparseSamples):
            X.descend_firing(W, anchor, velocity, *pattern_and_step)
        else:
            descend_firing(W, anchor, velocity, X, *pattern_and_step)

    def pairs(self):
        """Compressed rows without gaps, (indptr, samples), for all neurons up to the last listed."""
        width = int(self.rows[-1]) + 1 if len(self.rows) else 0
        indptr = np.zeros(width + 1, dtype=np.int64)
        indptr[self.rows + 1] = self.counts
        np.cumsum(indptr, out=indptr)
        inside = np.repeat(self.starts - (np.cumsum(self.counts) - self.counts), self.counts) + np.arange(indptr[-1])
        return indptr, self.samples[inside]
