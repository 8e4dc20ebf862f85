"""Samples in an order in which those close together stand together, and the binary tree over that order."""

import numpy as np

from sksparsenn._halving import order_by_halving
from sksparsenn._memory import require_memory
from sksparsenn._node_sums import (
    add_node_outputs,
    gradient_of_nodes,
    neurons_in_nodes,
    sums_of_weights,
    sums_over_nodes,
)
from sksparsenn._points import aligned_zeros
from sksparsenn._samples import DenseSamples

# For smaller leaves, the sums at the nodes cost as much as they save; larger ones are not found by the scan.
SMALLEST_LEAF, LARGEST_LEAF = 8, 32
# With more leaves, if leaves may be larger, the sums at the nodes would outgrow the second-level cache.
MANY_LEAVES = 1 << 13


class SampleTree:
    """Samples in the order of a tree; and sums over its nodes, for neurons that fire on all samples of a node.

    The samples of a node are consecutive.  Node 1 is the root, nodes 2k and 2k + 1 are the halves
    of node k, and node n_leaves + l is leaf l, with samples from l * leaf_size on.

    For a neuron r that fires on a whole node S, the sum over the samples i of S of residual_i x_i is
    the same as for any other such neuron, and so is what it adds to the outputs if the weights are
    added up first: sum_r a_r (<w_r, x_i> - shift) = <sum_r a_r w_r, x_i> - shift sum_r a_r.  Either
    costs the neuron one sum of d numbers at the node instead of one for each sample.  Where it fires on
    all but a few samples of S, theirs are taken off again, one by one.
    """

    def __init__(self, samples):
        rows, n_samples = samples.rows, len(samples)
        self.leaf_size = SMALLEST_LEAF
        while self.leaf_size < LARGEST_LEAF and self.leaf_size * MANY_LEAVES < n_samples:
            self.leaf_size *= 2
        self.n_leaves = 1
        while self.leaf_size * self.n_leaves < n_samples:
            self.n_leaves *= 2
        n_significant = samples.n_significant
        # The samples in order; while they are ordered, three copies in single precision.
        needed = rows.nbytes + 3 * 4 * n_samples * n_significant
        require_memory(needed, f"a tree over {n_samples} samples", "use search='brute' or fewer samples")
        self.order = order_by_halving(rows[:, :n_significant], self.leaf_size, np.float32)
        ordered = aligned_zeros(rows.shape, rows.dtype)
        np.take(rows, self.order, axis=0, out=ordered)
        self.samples = DenseSamples(ordered, samples.n_features, n_significant)

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
