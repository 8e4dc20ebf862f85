"""Samples in an order in which those close together stand together, and the binary tree over that order."""

import numpy as np

from sksparsenn._memory import require_memory
from sksparsenn._node_sums import (
    add_node_outputs,
    gradient_of_nodes,
    neurons_in_nodes,
    samples_in_nodes,
    sums_of_weights,
    sums_over_nodes,
)
from sksparsenn._points import aligned_zeros, significant_columns
from sksparsenn._samples import DenseSamples

# For smaller leaves, the sums at the nodes cost as much as they save; larger ones are not found by the scan.
SMALLEST_LEAF, LARGEST_LEAF = 4, 32
# With more leaves, if leaves may be larger, the sums at the nodes would outgrow the second-level cache.
MANY_LEAVES = 1 << 13
# Towards the direction in which a node's samples vary most; it need not be exact.
POWER_ITERATIONS = 2


class SampleTree:
    """Samples in the order of a tree; and sums over its nodes, for neurons that fire on all samples of a node.

    The samples of a node are consecutive.  Node 1 is the root, nodes 2k and 2k + 1 are the halves
    of node k, and node n_leaves + l is leaf l, with samples from l * leaf_size on.

    For a neuron r that fires on a whole node S, the sum over the samples i of S of residual_i x_i is
    the same as for any other such neuron, and so is what it adds to the outputs if the weights are
    added up first: sum_r a_r (<w_r, x_i> - shift) = <sum_r a_r w_r, x_i> - shift sum_r a_r.  Either
    costs the neuron one sum of d numbers at the node instead of one for each sample.
    """

    def __init__(self, rows):
        n_samples = len(rows)
        self.leaf_size = SMALLEST_LEAF
        while self.leaf_size < LARGEST_LEAF and self.leaf_size * MANY_LEAVES < n_samples:
            self.leaf_size *= 2
        self.n_leaves = 1
        while self.leaf_size * self.n_leaves < n_samples:
            self.n_leaves *= 2
        n_significant = significant_columns(rows)
        # The samples in order; while they are ordered, three copies in single precision.
        needed = rows.nbytes + 3 * 4 * n_samples * n_significant
        require_memory(needed, f"a tree over {n_samples} samples of {n_significant} features")
        self.order = sample_order(rows[:, :n_significant], self.leaf_size)
        ordered = aligned_zeros(rows.shape, rows.dtype)
        np.take(rows, self.order, axis=0, out=ordered)
        self.samples = DenseSamples(ordered, n_significant)

    @property
    def rows(self):
        """The samples in the order of the tree."""
        return self.samples.rows

    def in_order(self, values):
        """An array over samples, for the samples in the order of the tree."""
        return values[self.order]

    def out_of_order(self, values):
        """An array over samples in the order of the tree, for the samples as they were given."""
        given = np.empty_like(values)
        given[self.order] = values
        return given

    def samples_in(self, nodes):
        """How many samples each neuron's nodes hold."""
        return samples_in_nodes(nodes.starts, nodes.counts, nodes.samples, self.leaf_size, self.n_leaves)

    def neurons_per_sample(self, nodes):
        """How many neurons fire on each sample, in the order of the tree, by the nodes they fire on."""
        return neurons_in_nodes(
            nodes.starts, nodes.counts, nodes.samples, self.leaf_size, self.n_leaves, len(self.samples)
        )

    def add_outputs(self, outputs, nodes, weights, signs, shift, scale):
        """outputs[i] += scale * sum_r signs[r] (<w_r, x_i> - shift) over the neurons with a node that holds i."""
        sums = sums_of_weights(weights, signs, nodes.starts, nodes.counts, nodes.samples, 2 * self.n_leaves)
        add_node_outputs(self.rows, *sums, self.leaf_size, shift, scale, outputs)

    def sums(self, residuals):
        """For each node the sum of residuals[i] x_i over its samples, residuals in the order of the tree."""
        return sums_over_nodes(self.rows, residuals, self.leaf_size, self.n_leaves)

    def add_gradient(self, gradient, nodes, residuals, signs):
        """gradient[r] += signs[r] sum_i residuals[i] x_i over the samples of the nodes of neuron r."""
        gradient_of_nodes(self.sums(residuals), nodes.starts, nodes.counts, nodes.samples, signs, gradient)


def sample_order(X, leaf_size):
    """An order in which the first half of the samples lies on one side of a plane, the rest on the other, and so on.

    Halves are powers of two times the leaf size, so that nodes of one level are as long; the plane
    is normal to the direction in which a node's samples vary most, or nearly.
    """
    order = np.arange(len(X))
    largest = np.abs(X).max(initial=0)
    points = (X / largest if largest > 0 else X).astype(np.float32)
    size = leaf_size
    while size < len(X):
        size *= 2
    while size > leaf_size:
        whole = len(X) // size * size
        for first, last, length in ((0, whole, size), (whole, len(X), len(X) - whole)):
            if length > size // 2:
                moved = _halved(points[first:last].reshape(-1, length, X.shape[1]), size // 2) + first
                order[first:last], points[first:last] = order[moved], points[moved]
        size //= 2
    return order


def _halved(nodes, half):
    """Positions of the samples of nodes, those on one side of each node's plane first."""
    length = nodes.shape[1]
    places = np.argpartition(_widest_projections(nodes), half, axis=1) if half < length else np.arange(length)[None]
    return (places + length * np.arange(len(nodes))[:, None]).ravel()


def _widest_projections(nodes):
    """Of each node, how far its samples lie along the direction in which they vary most, or nearly."""
    # No products by BLAS, whose rounding may depend on the number of threads.
    centred = nodes - nodes.mean(axis=1, keepdims=True)
    widest = np.argmax(np.einsum("kid,kid->kd", centred, centred), axis=1)
    projections = np.take_along_axis(centred, widest[:, None, None], axis=2)[:, :, 0]
    for _ in range(POWER_ITERATIONS):
        direction = np.einsum("ki,kid->kd", projections, centred)
        length = np.sqrt(np.einsum("kd,kd->k", direction, direction))[:, None]
        direction /= np.where(length > 0, length, 1)
        projections = np.einsum("kid,kd->ki", centred, direction)
    return projections
