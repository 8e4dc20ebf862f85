"""A tree over the neurons of a fitted network: it names, for few rows, those that may fire, in place of a scan of all.

It holds weights that cannot change.  Of it a fitted estimator stores the order of the neurons, from which,
and from the weights, it is made again.
"""

import numpy as np

from sksparsenn._search.half_space import HalfSpaceReporter

# Measured: of fewer neurons, a scan takes less than a fifteenth of a millisecond more.
FEWEST_NEURONS = 1 << 15
# Nodes and pairs are counted for so many rows.
PROBES = 32
# Measured, in units of a pair that a scan evaluates; what fires is evaluated once more.
COST_OF_NODE = 2.0
COST_OF_PAIR = 2.0


class NeuronTree:
    """The tree over the rows of a contiguous matrix, in an order that an earlier tree had."""

    def __init__(self, weights, order=None):
        self.weights = weights
        self.reporter = HalfSpaceReporter(weights, method="tree", order=order)

    def _query(self, samples, threshold):
        return self.reporter.query(samples.rows, np.full(len(samples), threshold, dtype=samples.dtype))

    def outputs(self, network, samples):
        """Return f(x) for few dense samples: the bits of a scan."""
        indptr, neurons, _ = self._query(samples, network.threshold)
        return network.outputs_row_by_row(samples, indptr, neurons)

    def work_for(self, samples, threshold):
        """Return the counted work of finding the neurons that fire on these samples."""
        return self._query(samples, threshold)[2]


def may_pay(n_neurons):
    """Return whether there are so many neurons that a tree over them may take less than a scan."""
    return n_neurons >= FEWEST_NEURONS


def order_worth_storing(weights, threshold, samples):
    """Return the order of a tree over the neurons, or None where a scan would take less on such samples, by counts."""
    if samples.is_sparse or not may_pay(len(weights)):
        return None
    tree = NeuronTree(weights)
    probes = samples[np.linspace(0, len(samples) - 1, min(len(samples), PROBES)).astype(int)]
    work = tree.work_for(probes, threshold)
    walking = work.nodes_visited * COST_OF_NODE + work.pairs_evaluated * COST_OF_PAIR
    return tree.reporter.order if walking < len(probes) * len(weights) else None


class HeldNumbers(bytes):
    """Memory of an array that nobody can change: NumPy refuses to make an array over it writeable.

    A type of its own, since arrays that were unpickled lie over writeable bytes.
    """

    __slots__ = ()


def unchangeable(weights):
    """Return the weights as a contiguous matrix whose numbers nobody can change: itself, if it is one already."""
    if is_unchangeable(weights):
        return weights
    held = HeldNumbers(memoryview(np.ascontiguousarray(weights)))
    return np.ndarray(weights.shape, weights.dtype, buffer=held)


def is_unchangeable(weights):
    """Return whether these are weights as `unchangeable` returns them."""
    return type(getattr(weights, "base", None)) is HeldNumbers and weights.ndim == 2 and weights.flags.c_contiguous
