"""Samples taken together where a neuron fires on nearly all of them: a tree over the samples, and lists of its nodes.

In the order in which they build on each other: `SampleTree`, samples in an order in which near neighbours get
nearby positions, and sums over its nodes; `NodeLists`, a store for `MaintainedLists` that lists nodes with
exceptions; `NodeCandidates`, what a search finds there; `NodeFiring`, the pattern that comes of it.
"""

from typing import NamedTuple

import numpy as np

from sksparsenn._compiled.lists import GapLists
from sksparsenn._compiled.nodes import (
    add_node_outputs,
    descend_beside_nodes,
    forward_beside_nodes,
    gradient_of_nodes,
    neurons_in_nodes,
    split_leaves,
    sums_of_weights,
    sums_over_nodes,
)
from sksparsenn._network.firing import Firing, Lists, memory_for
from sksparsenn._samples.dense import DenseSamples
from sksparsenn._samples.order import order_by_halving
from sksparsenn._samples.points import aligned_zeros
from sksparsenn._search.work import Work
from sksparsenn._utils.memory import require_memory

# For smaller leaves, the sums at the nodes cost as much as they save; larger ones are not found by the scan.
SMALLEST_LEAF, LARGEST_LEAF = 8, 32
# Arrays over nodes in a step: eight blocks of neurons, their sum, and sums of residuals.
SUMS_AT_NODES = 10
# With more leaves, if leaves may be larger, the sums at the nodes would outgrow the second-level cache.
MANY_LEAVES = 1 << 13


class SampleTree:
    """Samples in the order of a binary tree; and sums over its nodes, for neurons that fire on all samples of a node.

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
        # Sums at the nodes, for blocks of neurons, while outputs are computed.
        needed = max(needed, rows.nbytes + SUMS_AT_NODES * 2 * self.n_leaves * rows.shape[1] * rows.itemsize)
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
        """Return an array over samples in the order of the tree."""
        return values[self.order]

    def out_of_order(self, values):
        """Return an array over samples, which are in the order of the tree, in the order in which they were given."""
        given = np.empty_like(values)
        given[self.order] = values
        return given

    def neurons_per_sample(self, nodes):
        """Return how many neurons list a node that holds it, for each sample in the order of the tree."""
        return neurons_in_nodes(nodes, self.leaf_size, self.n_leaves, len(self.samples))

    def add_outputs(self, outputs, nodes, weights, signs, shift, scale):
        """Add to outputs[i] scale * sum_r signs[r] (<w_r, x_i> - shift) over the neurons r with a node that holds i."""
        sums = sums_of_weights(weights, signs, nodes, 2 * self.n_leaves)
        add_node_outputs(self.rows, *sums, self.leaf_size, shift, scale, outputs)

    def sums(self, residuals):
        """Return, for each node, the sum of residuals[i] x_i over its samples; residuals in the order of the tree."""
        return sums_over_nodes(self.rows, residuals, self.leaf_size, self.n_leaves)

    def add_gradient(self, gradient, nodes, residuals, signs):
        """Add to gradient[r] signs[r] sum_i residuals[i] x_i over the samples of the nodes of neuron r."""
        gradient_of_nodes(self.sums(residuals), nodes, signs, gradient)


class ListedNodes(NamedTuple):
    """What a scan finds for some neurons: lists of samples to look at and of nodes, parts of the array `items`.

    The samples of list k begin at starts[k], its exceptions last; its nodes follow.
    """

    starts: np.ndarray
    singles: np.ndarray
    exceptions: np.ndarray
    nodes: np.ndarray
    held: np.ndarray
    """How many samples the nodes hold, exceptions included."""

    items: np.ndarray

    @property
    def n_listed(self):
        """The number of samples on the lists."""
        return int(self.singles.sum() + self.exceptions.sum())

    @property
    def lists_of_samples(self):
        return self.starts, self.singles + self.exceptions, self.items

    @property
    def lists_of_nodes(self):
        return self.starts + self.singles + self.exceptions, self.nodes, self.items


class NodeLists:
    """A store that lists, for every neuron, nodes of a `SampleTree`, exceptions to them, and single samples.

    As a sample with <v_r, x_i> <= threshold - s_r does not fire until the neuron has used up its
    margin s_r, one with <v_r, x_i> > threshold + s_r fires until then.  Instead of those of its samples
    that may fire, a leaf may be listed with exceptions, those that may not fire: it is where this makes the
    list shorter.  Leaves that make up a larger node are listed as that node.

    What is added up by node is rounded differently.  Training that goes on exactly where it stopped
    has to make the lists for the same weights again: the `MarginPolicy` remembers them.
    """

    narrows = False
    """Whether a list for a narrower margin is a part of the list for a wider one."""

    def __init__(self, tree):
        self.tree, self.samples = tree, tree.samples
        self._lists = self._nodes = self._exceptions = self._held = None

    def scan(self, W, rows, low, high):
        """Find the samples with products beyond low[k], or leaves with most of theirs beyond high[k], r = rows[k]."""
        leaf = self.tree.leaf_size
        indptr, items = self.samples.beyond(W, low, rows, sure=high, leaf=leaf)
        return ListedNodes(indptr[:-1], *split_leaves(indptr, items, leaf, self.tree.n_leaves), items)

    def fill(self, scans):
        """Store what scans found for some consecutive neurons each."""
        self._lists = GapLists([scan.lists_of_samples for scan in scans])
        self._nodes = GapLists([scan.lists_of_nodes for scan in scans])
        self._exceptions = np.concatenate([scan.exceptions for scan in scans])
        self._held = np.concatenate([scan.held for scan in scans])

    def replace(self, rows, scan):
        """Store what a scan found in place of what these neurons have."""
        self._lists.replace(rows, scan.lists_of_samples)
        self._nodes.replace(rows, scan.lists_of_nodes)
        self._exceptions[rows], self._held[rows] = scan.exceptions, scan.held

    @property
    def counts(self):
        """The number of samples that each neuron has listed, beside its nodes."""
        return self._lists.counts

    @property
    def n_listed(self):
        return self._lists.n_items

    def candidates(self, chosen=None):
        """Return the candidates, always of all samples, and the work of looking at what is listed."""
        rows = np.arange(len(self.counts))
        samples, nodes = (Lists(rows, store.starts, store.counts, store.items) for store in (self._lists, self._nodes))
        candidates = NodeCandidates(self.tree, samples, self._exceptions, nodes, int(self._held.sum()))
        return candidates, Work(self.n_listed, self._nodes.n_items, 0)


class NodeCandidates(NamedTuple):
    """For each neuron, nodes on whose samples it fires but for exceptions, and samples to look at one by one."""

    tree: SampleTree
    lists: Lists
    """Samples in the order of the tree; a neuron's exceptions are the last of its list."""

    n_exceptions: np.ndarray
    nodes: Lists
    n_held: int
    """Pairs that the nodes hold, exceptions included."""

    def forward(self, network, reuse=None):
        """Return who fires, and the outputs; memory of a pattern that is no longer needed may be given as `reuse`."""
        tree, lists, nodes = self.tree, self.lists, self.nodes
        samples, _ = memory_for(lists, None, None if reuse is None else reuse.singles)
        kept = forward_beside_nodes(tree.rows, lists, self.n_exceptions, network, samples)
        starts, fire, do_not_fire, outputs = kept
        tree.add_outputs(outputs, nodes, network.weights, network.signs, network.shift, network.scale)
        singles = Firing(lists.rows, starts, fire, samples, None, tree.samples)
        exceptions = Firing(lists.rows, starts + fire, do_not_fire, samples, None, tree.samples)
        return NodeFiring(singles, exceptions, nodes, tree, self.n_held), tree.out_of_order(outputs)


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
        """The number of pairs that fire."""
        return self.singles.n_pairs + self.n_held - self.exceptions.n_pairs

    @property
    def n_kept(self):
        """The number of listed samples of each neuron that were kept, as singles or as exceptions."""
        return self.singles.counts + self.exceptions.counts

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
        """Return scale * sum_r signs[r] <u_r, x_i> over the neurons r that fire on i; u_r need not be the weights."""
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
        descend_beside_nodes(W, anchor, velocity, self, self.tree.sums(residuals), residuals, signs, step)
