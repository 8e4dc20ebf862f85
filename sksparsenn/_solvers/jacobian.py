"""The Jacobian of a network's outputs in its hidden weights, through firing pairs, never written out.

Row (i, o) of J is root_i * scale * (a_o restricted to the neurons that fire on i) kron x_i, with
root_i the square root of sample i's weight.  Only neurons that fire on some sample have
columns.  All of it is float64, whatever the precision of the network: Gauss-Newton
squares the condition number.
"""

from typing import NamedTuple

import numpy as np
from scipy.sparse import csc_array, csr_array

from sksparsenn._compiled.kernels import firing_gradient, forward_of_candidates, room_for
from sksparsenn._compiled.normal import transpose_product
from sksparsenn._compiled.patterns import concatenated, transpose_lists
from sksparsenn._network.firing import Lists
from sksparsenn._samples.points import LANES

# Bytes of X from which J^T v is summed a stretch of samples at a time: neuron by neuron, X would pass through the cache
# once for each.
LONG, LONG_OF_OUTPUTS = 1 << 20, 1 << 23


class LinearNetwork(NamedTuple):
    """Weights whose outputs are linear in them: every listed pair counts, with shift zero."""

    weights: np.ndarray
    signs: np.ndarray
    shift: float
    threshold: float
    scale: float


class WeightedRows(NamedTuple):
    """The rows of J by samples: sqrt(factor weights[i]) signs[q, o] x_i for each neuron q that fires.

    With one output, signs are left out: J is that of a network whose neurons all have the sign one.
    """

    weights: np.ndarray
    """At most one."""
    factor: float
    signs: np.ndarray
    """(n_neurons, outputs padded with zeros), with no column for one output."""
    by_sample: np.ndarray
    neurons: np.ndarray
    """On sample i fire ``neurons[by_sample[i] : by_sample[i + 1]]``."""
    by_neuron: np.ndarray
    samples: np.ndarray
    """The same by neurons: q fires on ``samples[by_neuron[q] : by_neuron[q + 1]]``."""


class Sizes(NamedTuple):
    """The sizes that decide what a step costs."""

    n_samples: int
    n_features: int
    n_outputs: int
    n_neurons: int
    """That fire on some sample."""
    n_pairs: int
    """That fire."""

    @property
    def order(self):
        """Number of rows of the smaller system."""
        return min(self.n_samples * self.n_outputs, self.n_neurons * self.n_features)


class Jacobian:
    """J at the weights with a given firing pattern: its pattern in both directions, its products, and parts of it.

    Parameters
    ----------
    firing : Firing
    X : float64 ndarray of shape (n_samples, padded features)
    root : float64 ndarray of shape (n_samples,)
    signs : float64 ndarray of shape (width, n_outputs)
    scale : float
    n_features : int
        Columns of X that are not padding.
    neurons : int64 ndarray, optional
        That have columns, among them all that fire; those alone by default.

    Attributes
    ----------
    neurons : int64 ndarray of shape (n_neurons,)
        The neurons that fire on some sample, or that were given, ascending.  All that follows counts them 0, 1, ...
    signs : float64 ndarray of shape (n_neurons, n_outputs)
    by_neuron, samples : int64 and int32 ndarrays
        Neuron r fires on ``samples[by_neuron[r] : by_neuron[r + 1]]``, ascending.
    by_sample, neurons_of_sample : int64 and int32 ndarrays
        On sample i fire ``neurons_of_sample[by_sample[i] : by_sample[i + 1]]``, ascending.
    shape : tuple of int
        Rows, one for each sample and output, and columns, one for each neuron and feature.
    """

    def __init__(self, firing, X, root, signs, scale, n_features, neurons=None):
        self.neurons = firing.rows[firing.counts > 0] if neurons is None else neurons
        indptr, self.samples = firing.pairs()
        # Neurons beyond the last that is listed have no pairs.
        self.by_neuron = indptr[np.minimum(np.append(self.neurons, len(indptr)), len(indptr) - 1)]
        self.by_sample, self.neurons_of_sample = transpose_lists(self.by_neuron, self.samples, len(X))
        self.signs = np.ascontiguousarray(signs[self.neurons])
        self._set_rows(X, root, float(scale), n_features)

    def _set_rows(self, X, root, scale, n_features):
        """Set what does not depend on who fires, and what is made of it for products."""
        self.X, self.root, self.scale, self.n_features = X, root, scale, n_features
        self.n_outputs = self.signs.shape[1]
        self.shape = len(X) * self.n_outputs, len(self.neurons) * n_features
        # For products, of which an iteration takes many.
        self.lists_of_neurons = Lists.from_compressed(self.by_neuron, self.samples)
        self.lists_of_samples = Lists.from_compressed(self.by_sample, self.neurons_of_sample)
        self._factor, self._ones = self.scale * root[:, None], np.ones((len(X), 1))

    @property
    def sizes(self):
        """The `Sizes` of J."""
        return Sizes(len(self.X), self.n_features, self.n_outputs, len(self.neurons), len(self.samples))

    def part(self, samples):
        """Return the rows of J of some samples, ascending, with the same columns."""
        part = object.__new__(Jacobian)
        part.neurons, part.signs = self.neurons, self.signs
        counts = np.diff(self.by_sample)[samples]
        part.by_sample = np.append(0, np.cumsum(counts))
        part.neurons_of_sample = concatenated(self.by_sample[samples], counts, self.neurons_of_sample)
        lists = transpose_lists(part.by_sample, part.neurons_of_sample, len(self.neurons))
        part.by_neuron, part.samples = lists
        part._set_rows(np.ascontiguousarray(self.X[samples]), self.root[samples], self.scale, self.n_features)
        return part

    def followed_by(self, other):
        """Return these rows of J and others, of the same columns, one after the other."""
        both = object.__new__(Jacobian)
        both.neurons, both.signs = self.neurons, self.signs
        both.by_sample = np.append(self.by_sample, other.by_sample[1:] + self.by_sample[-1])
        both.neurons_of_sample = np.append(self.neurons_of_sample, other.neurons_of_sample)
        both.by_neuron, both.samples = transpose_lists(both.by_sample, both.neurons_of_sample, len(self.neurons))
        X, root = np.concatenate([self.X, other.X]), np.append(self.root, other.root)
        both._set_rows(X, root, self.scale, self.n_features)
        return both

    def product(self, U):
        """Return J u as one vector, for U with a padded row for each of `neurons`."""
        if self.n_outputs > 1:  # every <u_r, x_i> once, for all outputs
            room = np.empty(room_for(self.lists_of_neurons.counts), dtype=np.int32)
            linear = LinearNetwork(U, self.signs, 0.0, -np.inf, self.scale)
            out = forward_of_candidates(self.X, self.lists_of_neurons, linear, room)[2]
            return (self.root[:, None] * out).ravel()
        # The sum of a_r u_r over the neurons that fire on i: the gradient with samples and neurons exchanged.
        sums = firing_gradient(U, self.lists_of_samples, self.signs, self._ones)
        return self._factor[:, 0] * np.einsum("ij,ij->i", sums, self.X)

    def transpose_product(self, v):
        """Return J^T v as a padded row for each of `neurons`."""
        v = self._factor * v.reshape(len(self.X), self.n_outputs)
        if self.X.nbytes <= (LONG if self.n_outputs == 1 else LONG_OF_OUTPUTS) or not len(self.samples):
            return firing_gradient(self.X, self.lists_of_neurons, v, self.signs)
        rows = self.weighted_rows()
        if self.n_outputs == 1:
            return self.signs * transpose_product(self.X, rows, v)
        padded = np.zeros((len(v), rows.signs.shape[1]))
        padded[:, : self.n_outputs] = v
        return transpose_product(self.X, rows, padded)

    def weighted_rows(self):
        """Return the `WeightedRows` of J."""
        root = self.scale * self.root
        largest = root.max(initial=0.0) or 1.0
        n_columns = 0 if self.n_outputs == 1 else -(-self.n_outputs // LANES) * LANES
        signs = np.zeros((len(self.neurons), n_columns))
        if n_columns:
            signs[:, : self.n_outputs] = self.signs
        lists = self.by_sample, self.neurons_of_sample, self.by_neuron, self.samples
        return WeightedRows(np.square(root / largest), largest**2, signs, *lists)

    def packed(self, U):
        """Return padded rows as one vector without the padding."""
        return U[:, : self.n_features].ravel()

    def padded(self, u):
        """Return one vector as padded rows."""
        U = np.zeros((len(self.neurons), self.X.shape[1]))
        U[:, : self.n_features] = u.reshape(len(self.neurons), self.n_features)
        return U

    def rows(self, first, last):
        """Return the rows first to last of J as a sparse matrix."""
        d, o = self.n_features, self.n_outputs
        entries = np.arange(first, last)
        samples, outputs = entries // o, entries % o
        counts = self.by_sample[samples + 1] - self.by_sample[samples]
        entry = np.repeat(np.arange(len(entries)), counts)
        neurons = self.neurons_of_sample[_spans(self.by_sample[samples], counts)]
        factor = self.scale * self.root[samples[entry]] * self.signs[neurons, outputs[entry]]
        values = factor[:, None] * self.X[samples[entry], :d]
        columns = neurons[:, None].astype(np.int64) * d + np.arange(d)
        indptr = np.append(0, np.cumsum(counts * d))
        return csr_array((values.ravel(), columns.ravel(), indptr), shape=(len(entries), self.shape[1]))

    def columns(self, first, last):
        """Return the columns of J of neurons first to last as a sparse matrix."""
        d, o = self.n_features, self.n_outputs
        neurons = np.arange(first, last)
        counts = np.diff(self.by_neuron)[first:last]
        blocks = []
        for p in range(o):
            neuron, samples = np.repeat(neurons, counts), self.samples[_spans(self.by_neuron[neurons], counts)]
            values = (self.scale * self.root[samples] * self.signs[neuron, p])[:, None] * self.X[samples, :d]
            blocks.append((samples.astype(np.int64) * o + p, neuron - first, values))
        entries, neuron, values = (np.concatenate(part) for part in zip(*blocks, strict=True))
        columns = neuron[:, None] * d + np.arange(d)
        entries = np.repeat(entries, d)
        return csc_array((values.ravel(), (entries, columns.ravel())), shape=(self.shape[0], (last - first) * d))


def _spans(starts, counts):
    """Return the numbers starts[k], ..., starts[k] + counts[k] - 1 for each k, one after the other."""
    return np.repeat(starts - (np.cumsum(counts) - counts), counts) + np.arange(counts.sum())
