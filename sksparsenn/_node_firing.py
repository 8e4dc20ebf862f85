"""Who fires on what, with samples that stand together taken at once."""

from typing import NamedTuple

from sksparsenn._firing import Firing, Lists
from sksparsenn._sample_tree import SampleTree


class NodeFiring(NamedTuple):
    """A firing pattern for one output, in part by the nodes of a `SampleTree`; computes what `Firing` does.

    Arguments and results are in the order in which samples were given.
    """

    singles: Firing
    """Pairs one by one, samples in the order of the tree."""

    nodes: Lists
    """For each neuron the nodes on all samples of which it fires; these are not among the singles."""

    tree: SampleTree
    n_held: int
    """Pairs that the nodes hold."""

    @classmethod
    def forward(cls, lists, network, reuse=None):
        """Who fires, as the `MarginNodes` say for these weights, with what outputs, and the work it took."""
        tree = lists.tree
        X, candidates, work = lists.candidates(network.weights)
        singles, outputs = Firing.forward(candidates, X, network, None if reuse is None else reuse.singles)
        nodes = lists.nodes
        tree.add_outputs(outputs, nodes, network.weights, network.signs, network.shift, network.scale)
        return cls(singles, nodes, tree, lists.n_held), tree.out_of_order(outputs), work

    @property
    def rows(self):
        return self.singles.rows

    @property
    def n_pairs(self):
        """How many pairs fire."""
        return self.singles.n_pairs + self.n_held

    def neurons_per_sample(self, n_samples):
        """How many neurons fire on each sample."""
        neurons = self.singles.neurons_per_sample(n_samples) + self.tree.neurons_per_sample(self.nodes)
        return self.tree.out_of_order(neurons)

    def linear_outputs(self, X, U, signs, scale):
        """scale * sum_r signs[r] <u_r, x_i> over the neurons that fire on i."""
        outputs = self.singles.linear_outputs(self.tree.rows, U, signs, scale)
        self.tree.add_outputs(outputs, self.nodes, U, signs, 0.0, scale)
        return self.tree.out_of_order(outputs)

    def gradient(self, X, residuals, signs):
        """Row k: sum over the samples i on which r = rows[k] fires of signs[r] residuals[i] x_i."""
        residuals = self.tree.in_order(residuals)
        gradient = self.singles.gradient(self.tree.rows, residuals, signs)
        self.tree.add_gradient(gradient, self.nodes, residuals, signs)
        return gradient

    def descend(self, W, anchor, velocity, X, residuals, signs, scale, *step):
        """Move W down the gradient: one step of `_kernels.descend_firing`, whose last arguments `step` holds."""
        residuals = self.tree.in_order(residuals)
        by_node = self.nodes.starts, self.nodes.counts, self.nodes.samples, self.tree.sums(residuals)
        self.singles.descend(W, anchor, velocity, self.tree.rows, residuals, signs, scale, *step, *by_node)
