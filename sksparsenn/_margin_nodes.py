"""Margin lists that take together the samples on which a neuron will go on firing."""

import numpy as np

from sksparsenn._firing import Lists
from sksparsenn._margin import settle_rows
from sksparsenn._margin_lists import MarginLists
from sksparsenn._node_lists import split_leaves
from sksparsenn._work import Work


class MarginNodes(MarginLists):
    """Margin lists over a `SampleTree`, whose nodes stand for their samples where a neuron fires on most of them.

    As a sample with <v_r, x_i> <= threshold - s_r does not fire until the neuron has used up its
    margin s_r, one with <v_r, x_i> > threshold + s_r fires until then.  Instead of those of its samples
    that may fire, a leaf may be named with exceptions, those that may not: it is where this makes the list
    shorter.  Leaves named that make up a larger node are named as that node.

    What is added up by node is rounded differently.  Training that goes on exactly where it stopped
    has to know for which weights the lists were made: this is remembered.
    """

    remembered = "_reference", "margins", "_lead", "_scanned_at", "_queries", "_growth", "_fired"

    def __init__(self, tree, W, threshold):
        self.tree, self._fired = tree, None
        super().__init__(tree.samples, W, threshold)

    def _build(self, W):
        """Nothing yet: the lists are made when they are first asked for, by then perhaps for remembered weights."""

    def _make_lists(self):
        settle_rows(self._reference, self._rows, self._reference, self._norms)
        self._allowed = self._limits(self._rows)
        # Exceptions are the last samples of a neuron's list.
        self.n_exceptions, self._held = np.zeros((2, self.n_neurons), dtype=np.int64)
        super()._build(self._reference)

    def _scan(self, W, rows):
        sure = (self.threshold + self.margins[rows]).astype(W.dtype)
        leaf = self.tree.leaf_size
        indptr, numbers = self._X.beyond(W, self._cuts(rows, W.dtype), rows, sure=sure, leaf=leaf)
        singles, exceptions, nodes, held = split_leaves(indptr, numbers, leaf, self.tree.n_leaves)
        self.n_exceptions[rows], self._held[rows] = exceptions, held
        starts, n_listed = indptr[:-1], singles + exceptions
        return [(starts, n_listed, numbers), (starts + n_listed, nodes, numbers)]

    def _review(self, W, moved, just_scanned):
        """New lists for neurons that slowed down, once their wide lists have cost what a scan does.

        With a narrower margin they fire on more samples for sure, which narrowing a list would not find.
        """
        rows, _ = self._slowed_down(W, moved, just_scanned)
        in_vain = (self._lists.counts[rows] - self._fired[rows]) * (self._queries - self._scanned_at[rows])
        return self._rescan(rows[in_vain > self._X.cost_of_scanned_pair * self.n_samples], W, moved)

    @property
    def nodes(self):
        """For each neuron the nodes that stand for all their samples; of these, only exceptions are on its list."""
        nodes = self._stores[1]
        return Lists(self._rows, nodes.starts, nodes.counts, nodes.items)

    @property
    def n_held(self):
        """How many pairs the nodes hold, exceptions included."""
        return int(self._held.sum())

    @np.errstate(over="ignore", divide="ignore", invalid="ignore")
    def candidates(self, W):
        """The lists for padded weights W, samples in the order of the tree; the work it took, nodes included."""
        if self._stores is None:
            self._make_lists()
        candidates, work = super().candidates(W)
        return candidates.lists, work + Work(0, self._stores[1].n_items, 0)
