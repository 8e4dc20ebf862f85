"""DenseSamples: samples on the sphere as padded rows, and what kernels compute from them.

`SparseSamples` has the same face, so that nothing else depends on which kind it is:

- ``len``, ``shape`` (with padded features), ``dtype``, ``itemsize``, ``n_features`` without the padding;
- ``samples[chosen]``: some of the samples;
- ``reach``: the length of the longest sample; ``rounding``: numbers e and t such that two ways of rounding <w, x_i> lie
  at most e ||w|| reach + t apart; ``n_significant``: the features that are not zero throughout;
- ``beyond(W, cuts, rows)``: a scan that lists, for each neuron r = rows[k] or for all, at least the samples with
  <w_r, x_i> > cuts[k]; ``narrow_lists``: of listed samples keep those beyond a cut;
- ``firing_of``, ``forward``, ``gradient``, ``descend``, ``kernel_product``: the kernels over lists of pairs, see
  `Candidates` and `Firing`; ``keeps_products``: whether a forward pass stores the products that it computes;
- ``is_sparse``: only margin lists and the scan take sparse samples;
- ``arrays_in_training``, ``arrays_in_validation``: how many arrays of the size of the weights count when memory is
  foreseen.
"""

from functools import cached_property

import numpy as np

from sksparsenn._compiled import kernels
from sksparsenn._compiled.lists import narrow_lists
from sksparsenn._compiled.scan import longest, pack, points_beyond, rounding_error
from sksparsenn._samples.points import significant_columns


class DenseSamples:
    """Dense samples: an aligned matrix whose rows are padded with zeros to a multiple of eight columns."""

    # In units of a listed pair, the copying of the new list included; measured with 19 features and 15,000 samples.
    cost_of_scanned_pair = 0.33

    is_sparse = False
    keeps_products = False
    # Weights, anchor, velocity and gradient.
    arrays_in_training = 4
    arrays_in_validation = 0

    def __init__(self, rows, n_features=None, n_significant=None, reach=None):
        self.rows = rows
        self.n_features = rows.shape[1] if n_features is None else n_features
        # Known already where these are some of the samples of another object.
        if n_significant is not None:
            self.n_significant = n_significant
        if reach is not None:
            self.reach = reach

    def __len__(self):
        return len(self.rows)

    @property
    def shape(self):
        return self.rows.shape

    @property
    def dtype(self):
        return self.rows.dtype

    @property
    def itemsize(self):
        return self.rows.itemsize

    def __getitem__(self, chosen):
        rows = np.ascontiguousarray(self.rows[chosen])
        return DenseSamples(rows, self.n_features, self.n_significant, self.reach)

    def followed_by(self, other):
        """Return these samples and others, one after the other."""
        return DenseSamples(np.concatenate([self.rows, other.rows]), self.n_features)

    def __getstate__(self):
        """Return the rows alone, so that equal samples have equal hashes."""
        return {"rows": self.rows, "n_features": self.n_features}

    def in_double(self):
        """Return the same samples in double precision."""
        return DenseSamples(self.rows.astype(np.float64, copy=False), self.n_features)

    # -- lengths ------------------------------------------------------------------------

    @cached_property
    def n_significant(self):
        return significant_columns(self.rows)

    @cached_property
    def reach(self):
        return longest(self.rows)

    @property
    def rounding(self):
        return rounding_error(self.rows.shape[1], self.rows.dtype == np.float32)

    def squared_lengths(self):
        """Return ||x_i||^2, in double precision."""
        return np.einsum("ij,ij->i", self.rows, self.rows, dtype=np.float64)

    # -- who fires ----------------------------------------------------------------------

    @cached_property
    def _blocks(self):
        return pack(self.rows, self.n_significant)

    def beyond(self, W, cuts, rows=None, **leaves):
        """Return compressed rows (indptr, samples): for each r = rows[k] at least those with <w_r, x_i> > cuts[k].

        With `sure` and `leaf`, leaves are listed as in `points_beyond`.
        """
        if rows is not None and len(rows) < len(W):
            W = np.ascontiguousarray(W[rows])
        return points_beyond(self._blocks, W, cuts, self.reach, superset=True, n_points=len(self), **leaves)

    def narrow_lists(self, W, rows, cuts, starts, counts, samples):
        """Keep in place, of the lists of these neurons, the samples with <w_r, x_i> > cuts[k]."""
        narrow_lists(self.rows, W, rows, cuts, starts, counts, samples)

    def firing_of(self, candidates, W, threshold, samples, products):
        """Write candidates that fire to `samples` and `products`; return where each neuron's begin, and how many."""
        return kernels.firing_of_candidates(self.rows, W, candidates, threshold, samples, products)

    def forward(self, candidates, network, samples):
        """Write the candidates that fire to `samples`; return where each neuron's begin, how many, and the outputs."""
        return kernels.forward_of_candidates(self.rows, candidates, network, samples)

    # -- what firing pairs compute --------------------------------------------------------

    def gradient(self, firing, residuals, signs):
        """Return, in row k, the sum over the samples i on which r = rows[k] fires of <signs[r], residuals[i]> x_i."""
        return kernels.firing_gradient(self.rows, firing, residuals, signs)

    def descend(self, W, anchor, velocity, firing, residuals, signs, step):
        """Move W and its velocity, in place, by one `Step` down the gradient."""
        kernels.descend_firing(W, anchor, velocity, self.rows, firing, residuals, signs, step)

    def kernel_product(self, firing, v, signs, scale):
        """Return J J^T v for the Jacobian J of the outputs in the hidden weights."""
        U = np.zeros((len(signs), self.shape[1]), dtype=self.dtype)
        U[firing.rows] = scale * firing.gradient(v, signs)
        return firing.linear_outputs(U, signs, scale)
