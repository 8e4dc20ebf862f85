"""The two-layer network f(x) = B / sqrt(m) * sum_r a_r (<w_r, x> - shift) over the r with <w_r, x> > threshold."""

from typing import NamedTuple

import numpy as np

from sksparsenn._firing import Firing, Lists
from sksparsenn._halving import order_by_halving
from sksparsenn._margin import row_distances
from sksparsenn._points import padded_rows
from sksparsenn._samples import SparseSamples, as_samples, take

# Rows predicted at a time: even if every neuron fired, the pairs of a chunk would take about a gigabyte.
PAIRS_AT_ONCE = 1 << 26
# Features in which neurons are compared to be put into an order; in more dimensions, none is near another anyway.
COMPARED = 32
# Below this many outputs, sums run over the same blocks of neurons whatever the number of rows.
ENTRIES_AT_ONCE = 1 << 19


class Network(NamedTuple):
    """A network as arrays and numbers; weights have zero-padded rows, and so have samples unless they are sparse."""

    weights: np.ndarray
    """Hidden weights w_r, (width, padded features)."""

    signs: np.ndarray
    """Output weights a_r in {-1, +1}, (width, n_outputs)."""

    shift: float
    threshold: float
    output_scale: float

    @property
    def scale(self):
        """B / sqrt(m)."""
        return self.output_scale / np.sqrt(len(self.weights))

    def outputs(self, X):
        """f(x) for every row of X, in chunks of bounded memory; a row's value does not depend on the others."""
        outputs = np.empty((len(X), self.signs.shape[1]), dtype=X.dtype)
        rows = max(1, min(PAIRS_AT_ONCE // len(self.weights), ENTRIES_AT_ONCE // self.signs.shape[1]))
        for start in range(0, len(X), rows):
            part = take(X, slice(start, start + rows))
            outputs[start : start + rows] = Firing.forward(self._candidates(part), part, self)[1]
        return outputs

    def firing(self, X):
        """Who fires on X, by a scan of all pairs."""
        return Firing.among(self._candidates(X), X, self.weights, self.threshold)

    def _candidates(self, X):
        cuts = np.full(len(self.weights), self.threshold, dtype=X.dtype)
        return Lists.from_compressed(*as_samples(X).beyond(self.weights, cuts))


def initial_weights(width, n_features, n_outputs, init, random_state, dtype):
    """Weights and output signs at the start.

    "gaussian": w_r ~ N(0, I), a_r uniform in {-1, +1} [SYZ21, Definition 3.2].
    "paired": the second half of the neurons repeats the weights of the first half with
    opposite signs, so that f = 0 [QSY23, Definition 1.3, whose misprint a_{m+r} = a_r is
    read as a_{m+r} = -a_r].  Of an odd width, the last neuron of the first half has no partner:
    its weights are zero, so that it fires on nothing and never moves.

    The neurons drawn are put into an order in which those with similar weights follow each other: they fire on
    much the same samples, which caches then hold.
    """
    drawn = width // 2 if init == "paired" else width
    weights = random_state.standard_normal((drawn, n_features))
    signs = random_state.choice(np.array([-1.0, 1.0], dtype=dtype), size=(drawn, n_outputs))
    order = order_by_halving(weights[:, :COMPARED])
    weights, signs = weights.astype(dtype, copy=False)[order], signs[order]
    if init == "paired":
        odd = width % 2
        weights = np.concatenate([weights, np.zeros((odd, n_features), dtype), weights])
        signs = np.concatenate([signs, np.ones((odd, n_outputs), dtype), -signs])
    return padded_rows(weights), np.ascontiguousarray(signs)


def jacobian_transpose_product(firing, X, signs, scale, v):
    """J^T v for v of shape (n_samples, n_outputs): a row for each neuron of the pattern."""
    return scale * firing.gradient(X, v, signs)


def jacobian_product(firing, X, signs, scale, U):
    """J u for u of shape (width, padded features): <u_r, x_i> summed over the neurons that fire on i."""
    return firing.linear_outputs(X, U, signs, scale)


def tangent_kernel_product(firing, X, signs, scale, v):
    """J J^T v; for sparse X neuron by neuron, without a dense gradient of all of them."""
    if isinstance(X, SparseSamples):
        products = X.products_of_gradients(firing.rows, firing.starts, firing.counts, firing.samples, v, signs)
        return firing._replace(products=products).outputs(len(X), signs, 0.0, scale**2)
    U = np.zeros((len(signs), X.shape[1]), dtype=X.dtype)
    U[firing.rows] = jacobian_transpose_product(firing, X, signs, scale, v)
    return jacobian_product(firing, X, signs, scale, U)


def tangent_kernel_diagonal(firing, X, scale):
    """G_ii = scale^2 ||x_i||^2 times the number of neurons that fire on i, for one output."""
    neurons = firing.neurons_per_sample(len(X))
    sparse = isinstance(X, SparseSamples)
    squares = X.squared_lengths() if sparse else np.einsum("ij,ij->i", X, X, dtype=np.float64)
    return scale**2 * neurons * squares


def largest_curvature(firing, X, signs, scale, shares, tol=1e-3, max_iter=100):
    """The largest eigenvalue of sum_i shares_i J_i^T J_i, by power iteration over firing pairs.

    The start, the square roots of the shares, is close to the leading direction, because
    the tangent kernel has no negative entries, and does not depend on the order of rows.
    """
    root = np.sqrt(shares).astype(X.dtype)[:, None]
    v = np.repeat(root, signs.shape[1], axis=1) * (1 + 0.1 * np.arange(signs.shape[1], dtype=X.dtype))
    v /= length(v)
    estimate = 0.0
    for _ in range(max_iter):
        v = root * tangent_kernel_product(firing, X, signs, scale, np.ascontiguousarray(root * v))
        previous, estimate = estimate, length(v)
        if estimate <= 0 or abs(estimate - previous) <= tol * estimate:
            break
        v /= estimate
    return estimate


def squared_distance(weights, others, X):
    """||W - V||^2, in double precision; without a copy beside sparse X, where nothing is larger than these matrices."""
    if isinstance(X, SparseSamples):
        return float(np.square(row_distances(weights, others)).sum())
    return float(np.square(weights - others, dtype=np.float64).sum())


def length(v):
    """The Euclidean norm, without BLAS, whose threads would fight with those of the kernels for the same cores."""
    return float(np.sqrt(np.square(v, dtype=np.float64).sum()))
