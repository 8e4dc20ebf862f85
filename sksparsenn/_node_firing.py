"""Who fires on what, with samples that stand together taken at once, but for exceptions."""

from typing import NamedTuple

from sksparsenn._beside_nodes import descend_beside_nodes, forward_beside_nodes
from sksparsenn._firing import Firing, Lists
from sksparsenn._sample_tree import SampleTree


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

    @classmethod
    def forward(cls, lists, network, reuse=None):
        """Who fires, as the `MarginNodes` say for these weights, with what outputs, and the work it took."""
        weights, signs, shift, threshold, _ = network
        scale, tree = network.scale, lists.tree
        X, candidates, work = lists.candidates(weights)
        n_exceptions = lists.n_exceptions
        samples, _ = Firing.memory(candidates, None, None if reuse is None else reuse.singles)
        rows, starts, counts, listed = candidates
        kept = forward_beside_nodes(
            X, weights, starts, counts - n_exceptions, n_exceptions, listed, threshold, samples, shift, signs, scale
        )
        starts, fire, do_not_fire, outputs = kept
        tree.add_outputs(outputs, lists.nodes, weights, signs, shift, scale)
        singles = Firing(rows, starts, fire, samples, None)
        exceptions = Firing(rows, starts + fire, do_not_fire, samples, None)
        firing = cls(singles, exceptions, lists.nodes, tree, lists.n_held)
        return firing, tree.out_of_order(outputs), work

    @property
    def rows(self):
        return self.singles.rows

    @property
    def n_pairs(self):
        """How many pairs fire."""
        return self.singles.n_pairs + self.n_held - self.exceptions.n_pairs

    def neurons_per_sample(self, n_samples):
        """How many neurons fire on each sample."""
        one_by_one = self.singles.neurons_per_sample(n_samples) - self.exceptions.neurons_per_sample(n_samples)
        return self.tree.out_of_order(one_by_one + self.tree.neurons_per_sample(self.nodes))

    def linear_outputs(self, X, U, signs, scale):
        """scale * sum_r signs[r] <u_r, x_i> over the neurons that fire on i."""
        outputs = self.singles.linear_outputs(self.tree.rows, U, signs, scale)
        outputs -= self.exceptions.linear_outputs(self.tree.rows, U, signs, scale)
        self.tree.add_outputs(outputs, self.nodes, U, signs, 0.0, scale)
        return self.tree.out_of_order(outputs)

    def gradient(self, X, residuals, signs):
        """Row k: sum over the samples i on which r = rows[k] fires of signs[r] residuals[i] x_i."""
        residuals = self.tree.in_order(residuals)
        gradient = self.singles.gradient(self.tree.rows, residuals, signs)
        gradient -= self.exceptions.gradient(self.tree.rows, residuals, signs)
        self.tree.add_gradient(gradient, self.nodes, residuals, signs)
        return gradient

    def descend(self, W, anchor, velocity, X, residuals, signs, scale, *step):
        """Move W down the gradient: one step of `descend_beside_nodes`, whose last arguments `step` holds."""
        residuals = self.tree.in_order(residuals)
        singles, nodes = self.singles, self.nodes
        kept = singles.starts, singles.counts, self.exceptions.counts, singles.samples
        by_node = nodes.starts, nodes.counts, nodes.samples, self.tree.sums(residuals)
        descend_beside_nodes(W, anchor, velocity, self.tree.rows, *kept, *by_node, residuals, signs, scale, *step)
