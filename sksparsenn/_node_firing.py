"""Samples that stand close together, taken at once: candidates and firing patterns with nodes of a `SampleTree`."""

from typing import NamedTuple

import numpy as np

from sksparsenn._beside_nodes import descend_beside_nodes, forward_beside_nodes
from sksparsenn._firing import Firing, Lists, memory_for
from sksparsenn._sample_tree import SampleTree


class NodeCandidates(NamedTuple):
    """Candidates for one output, in part by the nodes of a `SampleTree`; samples are in the order of the tree."""

    tree: SampleTree
    lists: Lists
    """Singles, samples outside the nodes on which a neuron may fire; behind them the exceptions."""

    nodes: Lists
    """For each neuron the nodes on all samples of which it fires but for the exceptions."""

    n_exceptions: np.ndarray
    """Of each neuron: the last so many samples of its list."""

    n_held: int
    """Pairs that the nodes hold."""

    def forward(self, network, reuse=None):
        """Return the pairs that fire, and the outputs of the network in the order in which samples were given."""
        weights, signs, shift, threshold, _ = network
        scale, tree, n_exceptions = network.scale, self.tree, self.n_exceptions
        samples, _ = memory_for(self.lists, None, None if reuse is None else reuse.singles)
        rows, starts, counts, listed = self.lists
        starts, fire, do_not_fire, outputs = forward_beside_nodes(
            tree.rows, weights, starts, counts - n_exceptions, n_exceptions, listed, threshold, samples, shift, signs,
            scale,
        )  # fmt: skip
        tree.add_outputs(outputs, self.nodes, weights, signs, shift, scale)
        singles = Firing(rows, starts, fire, samples, None, tree.samples)
        exceptions = Firing(rows, starts + fire, do_not_fire, samples, None, tree.samples)
        return NodeFiring(singles, exceptions, self.nodes, tree, self.n_held), tree.out_of_order(outputs)


class NodeFiring(NamedTuple):
    """A firing pattern for one output, in part by the nodes of a `SampleTree`; computes what `Firing` does.

    Arguments and results are in the order in which samples were given.
    """

    singles: Firing
    """Pairs that fire, one by one, samples in the order of the tree."""

    exceptions: Firing
    """Pairs held by nodes that do not fire, likewise; each neuron's stand behind its singles."""

    nodes: Lists
    """For each neuron the nodes on all samples of which it fires but for the exceptions."""

    tree: SampleTree
    n_held: int
    """Pairs that the nodes hold."""

    @property
    def rows(self):
        return self.singles.rows

    @property
    def n_pairs(self):
        """How many pairs fire."""
        return self.singles.n_pairs + self.n_held - self.exceptions.n_pairs

    @property
    def neurons_that_fire(self):
        """The numbers of the neurons that fire on some sample."""
        return self.rows[self.singles.counts + self.nodes.counts > 0]

    def neurons_per_sample(self):
        """Return how many neurons fire on each sample."""
        one_by_one = self.singles.neurons_per_sample() - self.exceptions.neurons_per_sample()
        return self.tree.out_of_order(one_by_one + self.tree.neurons_per_sample(self.nodes))

    def kernel_product(self, v, signs, scale):
        """Return J J^T v, with J the Jacobian of the outputs in the hidden weights."""
        return self.tree.samples.kernel_product(self, v, signs, scale)

    def kernel_diagonal(self, scale):
        """Return (J J^T)_ii: scale^2 ||x_i||^2 times the number of neurons that fire on i."""
        return scale**2 * self.neurons_per_sample() * self.tree.out_of_order(self.tree.samples.squared_lengths())

    def linear_outputs(self, U, signs, scale):
        """Return scale * sum_r signs[r] <u_r, x_i> over the neurons that fire on i."""
        outputs = self.singles.linear_outputs(U, signs, scale)
        outputs -= self.exceptions.linear_outputs(U, signs, scale)
        self.tree.add_outputs(outputs, self.nodes, U, signs, 0.0, scale)
        return self.tree.out_of_order(outputs)

    def gradient(self, residuals, signs):
        """Return, in row k, the sum over the samples i on which r = rows[k] fires of signs[r] residuals[i] x_i."""
        residuals = self.tree.in_order(residuals)
        gradient = self.singles.gradient(residuals, signs)
        gradient -= self.exceptions.gradient(residuals, signs)
        self.tree.add_gradient(gradient, self.nodes, residuals, signs)
        return gradient

    def descend(self, W, anchor, velocity, residuals, signs, step):
        """Move W and its velocity, in place, by one `Step` down the gradient."""
        residuals = self.tree.in_order(residuals)
        singles, nodes = self.singles, self.nodes
        kept = singles.starts, singles.counts, self.exceptions.counts, singles.samples
        by_node = nodes.starts, nodes.counts, nodes.samples, self.tree.sums(residuals)
        descend_beside_nodes(W, anchor, velocity, self.tree.rows, *kept, *by_node, residuals, signs, step)
