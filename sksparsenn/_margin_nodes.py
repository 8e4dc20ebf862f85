"""Margin lists that take together the samples on which a neuron will go on firing."""

import numpy as np

from sksparsenn._firing import Lists
from sksparsenn._margin import settle_rows
from sksparsenn._margin_lists import MarginLists
from sksparsenn._node_sums import split_leaves
from sksparsenn._work import Work


class MarginNodes(MarginLists):
    """Margin lists over a `SampleTree`, without the samples of nodes on which a neuron fires wholly, and surely.

    As a sample with <v_r, x_i> <= threshold - s_r does not fire until the neuron has used up its
    margin s_r, one with <v_r, x_i> > threshold + s_r fires until then.  Where this holds for all samples
    of a leaf, the list names the leaf, or the largest node in which it holds for all leaves, in their stead.

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
        super()._build(self._reference)
        self._held = self.tree.samples_in(self.nodes)

    def _scan(self, W, rows):
        sure = (self.threshold + self.margins[rows]).astype(W.dtype)
        leaf = self.tree.leaf_size
        listed = self._X.beyond(W, self._cuts(rows, W.dtype), rows, sure=sure, leaf=leaf)
        return split_leaves(*listed, leaf, self.tree.n_leaves)

    def _renew(self, rows, fresh):
        super()._renew(rows, fresh)
        nodes = self.nodes
        self._held[rows] = self.tree.samples_in(nodes._replace(starts=nodes.starts[rows], counts=nodes.counts[rows]))

    def _review(self, W, moved, just_scanned):
        """New lists for neurons that slowed down, once their wide lists have cost what a scan does.

        With a narrower margin they fire on more nodes for sure, which narrowing a list would not find.
        """
        rows, _ = self._slowed_down(W, moved, just_scanned)
        in_vain = (self._lists.counts[rows] - self._fired[rows]) * (self._queries - self._scanned_at[rows])
        return self._rescan(rows[in_vain > self._X.cost_of_scanned_pair * self.n_samples], W, moved)

    @property
    def nodes(self):
        """For each neuron the nodes on which it fires; no sample of these is on its list."""
        nodes = self._stores[1]
        return Lists(self._rows, nodes.starts, nodes.counts, nodes.items)

    @property
    def n_held(self):
        """How many pairs the nodes hold."""
        return int(self._held.sum())

    @np.errstate(over="ignore", divide="ignore", invalid="ignore")
    def candidates(self, W, samples=None):
        """All samples in the order of the tree; for padded weights W the lists; the work it took, nodes included."""
        if self._stores is None:
            self._make_lists()
        X, lists, work = super().candidates(W)
        return X, lists, work + Work(0, self._stores[1].n_items, 0)
