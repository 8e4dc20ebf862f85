"""The two-layer network f(x) = B / sqrt(m) * sum_r a_r (<w_r, x> - shift) over the r with <w_r, x> > threshold."""

from math import sqrt
from typing import NamedTuple

import numpy as np

from sksparsenn._compiled.few_rows import outputs_of_few_rows
from sksparsenn._network.firing import Candidates, Lists
from sksparsenn._samples.order import order_by_halving
from sksparsenn._samples.points import padded_rows

# Rows predicted at a time: even if every neuron fired, the pairs of a chunk would take about a gigabyte.
PAIRS_AT_ONCE = 1 << 26
# Measured: of more dense rows, lists of samples that a scan finds for each neuron are evaluated in less time.
FEW_ROWS = 32
# Named, since to find the function for a precision takes Cython as long as some thousand neurons.
ROW_BY_ROW = {np.dtype(np.float32): outputs_of_few_rows["float"], np.dtype(np.float64): outputs_of_few_rows["double"]}
# Features in which neurons are compared to be put into an order; in more dimensions, none is near another anyway.
COMPARED = 32
# Below this many outputs, sums run over the same blocks of neurons whatever the number of rows.
ENTRIES_AT_ONCE = 1 << 19


class Network(NamedTuple):
    """A network as arrays and numbers; weights have zero-padded rows, and so have samples unless they are sparse.

    For outputs of few samples, as `are_few` says, weights need no padding.
    """

    weights: np.ndarray
    """Hidden weights w_r, (width, padded features)."""

    signs: np.ndarray
    """Output weights a_r in {-1, +1}, (width, n_outputs)."""

    shift: float
    threshold: float
    output_scale: float

    @property
    def scale(self):
        """The factor B / sqrt(m) of all outputs."""
        return np.float64(self.output_scale / sqrt(len(self.weights)))

    def outputs(self, samples):
        """Return f(x) for all samples, in chunks of bounded memory; a sample's value does not depend on the others."""
        if are_few(samples):
            return self.outputs_row_by_row(samples)
        outputs = np.empty((len(samples), self.signs.shape[1]), dtype=samples.dtype)
        rows = max(1, min(PAIRS_AT_ONCE // len(self.weights), ENTRIES_AT_ONCE // self.signs.shape[1]))
        for start in range(0, len(samples), rows):
            chunk = samples[start : start + rows]
            outputs[start : start + rows] = self._scanned(chunk).forward(self)[1]
        return outputs

    def outputs_row_by_row(self, samples, indptr=None, neurons=None):
        """Return f(x) for dense samples, as `outputs` does; of neurons listed for each of them, or of all."""
        return ROW_BY_ROW[samples.dtype](samples.rows, self, indptr, neurons)

    def firing(self, samples):
        """Return the pairs that fire, by a scan of all pairs."""
        return self._scanned(samples).firing(self.weights, self.threshold)

    def _scanned(self, samples):
        cuts = np.full(len(self.weights), self.threshold, dtype=samples.dtype)
        return Candidates(samples, Lists.from_compressed(*samples.beyond(self.weights, cuts)))


def are_few(samples):
    """Return whether outputs for these samples are computed row by row."""
    return not samples.is_sparse and len(samples) <= FEW_ROWS


def initial_weights(width, n_features, n_outputs, init, random_state, dtype):
    """Return weights and output signs at the start.

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
