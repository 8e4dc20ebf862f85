"""Samples as the searches take them: one face over dense rows and sparse ones.

Both kinds have `rows`, what the kernels compute with; `n_significant`, the features that are
not zero throughout; `reach`, the length of the longest sample; `rounding`, the numbers e and
t such that two ways of rounding <w, x_i> lie at most e ||w|| reach + t apart; `beyond(W, cuts, rows)`,
a scan that lists for each neuron r = rows[k], or for all, at least the samples with
<w_r, x_i> > cuts[k]; and `narrow_lists`, which keeps of listed samples those beyond a cut.
Indexing takes some samples.
"""

from functools import cached_property

import numpy as np

from sksparsenn._lists import narrow_lists
from sksparsenn._points import significant_columns
from sksparsenn._scan import longest, pack, points_beyond, rounding_error
from sksparsenn._sparse_samples import SparseSamples


class DenseSamples:
    """Padded dense rows, packed for scans the first time that one is asked for."""

    # In units of a listed pair, the copying of the new list included; measured with 19 features and 15,000 samples.
    cost_of_scanned_pair = 0.33

    def __init__(self, rows, n_significant=None, reach=None):
        self.rows = rows
        self.n_significant = significant_columns(rows) if n_significant is None else n_significant
        self.reach = longest(rows) if reach is None else reach

    def __len__(self):
        return len(self.rows)

    @property
    def shape(self):
        return self.rows.shape

    @property
    def dtype(self):
        return self.rows.dtype

    def __getitem__(self, samples):
        return DenseSamples(take(self.rows, samples), self.n_significant, self.reach)

    @property
    def rounding(self):
        return rounding_error(self.rows.shape[1], self.rows.dtype == np.float32)

    @cached_property
    def _blocks(self):
        return pack(self.rows, self.n_significant)

    def beyond(self, W, cuts, rows=None, **leaves):
        """With `sure` and `leaf`, leaves are listed as `points_beyond` says."""
        if rows is not None and len(rows) < len(W):
            W = np.ascontiguousarray(W[rows])
        return points_beyond(self._blocks, W, cuts, self.reach, superset=True, n_points=len(self), **leaves)

    def narrow_lists(self, W, rows, cuts, starts, counts, samples):
        narrow_lists(self.rows, W, rows, cuts, starts, counts, samples)


def as_samples(rows):
    """The samples with these rows: padded dense ones, or those of a `SparseSamples`."""
    return rows if isinstance(rows, SparseSamples) else DenseSamples(rows)


def take(rows, samples):
    """Some of the rows, as the kernels take them."""
    return rows[samples] if isinstance(rows, SparseSamples) else np.ascontiguousarray(rows[samples])
