"""SparseSamples: samples on the sphere as the kernels take them, stored by the entries that are not zero.

A lifted row (x - c, u) / ||(x - c, u)|| is dense wherever the centre c is not zero.  It is
kept as a sparse row, x and u over the length, less a multiple of c / ||c||; an inner product
with weights then takes the entries of x, and one number of the neuron, <w, c / ||c||>.
"""

from functools import cached_property

import numpy as np

from sksparsenn._compiled import sparse as kernels
from sksparsenn._compiled.kernels import add_firing_outputs
from sksparsenn._compiled.scan import rounding_error
from sksparsenn._samples.points import LANES, aligned_zeros
from sksparsenn._samples.sparse_table import canonical, centred_in, columns_to_centre, row_numbers
from sksparsenn._utils.range import unit_of


class SparseSamples:
    """Sample i is values[p] in columns[p] for p from indptr[i] to indptr[i + 1], less offsets[i] * direction.

    Attributes
    ----------
    indptr, columns, values : ndarrays of int64, int32 and float32 or float64
        Compressed rows.

    offsets : ndarray of shape (n_samples,)
        Zero where samples are not centred.

    direction : ndarray of shape (padded features,) or (0,)
        A unit vector; empty where samples are not centred.

    shape : (n_samples, padded features)
        That of the same samples as padded dense rows.

    n_features : int
        Lifted features, without the padding.
    """

    # In units of a listed pair; measured with 160 entries in each of 11,000 rows.
    cost_of_scanned_pair = 0.2

    is_sparse = True
    # A product takes so long that keeping it costs nothing.
    keeps_products = True
    # Nothing is larger than the weights: the best ones so far and those at the last scan of margin lists count, and two
    # that are kept; in validation once more the first two.  Gradients are taken one neuron at a time.
    arrays_in_training = 7
    arrays_in_validation = 2

    def __init__(self, indptr, columns, values, offsets, direction, n_features):
        if not len(columns):  # so that kernels may take the address of an entry
            columns, values = np.zeros(1, dtype=np.int32), np.zeros(1, dtype=values.dtype)
        self.indptr, self.columns, self.values = indptr, columns, values
        self.offsets, self.direction, self.n_features = offsets, direction, n_features
        self.shape = len(offsets), -(-n_features // LANES) * LANES

    @classmethod
    def lifted(cls, X, lift, dtype):
        """Return the rows of X on the sphere; a row of zeros without a constant coordinate stays zero."""
        X = canonical(X)
        unit = float(unit_of(max(np.abs(X.data).max(initial=0), np.abs(lift.centre).max(initial=0)), ordinary=900))
        if unit > 1:  # so that neither differences nor lengths overflow
            constant = None if lift.constant is None else lift.constant / unit
            lift = type(lift)(lift.centre / unit, constant, lift.spread / unit)
            X = canonical(X / unit)
        columns = columns_to_centre(lift.centre, lift.spread)
        X = centred_in(X, lift.centre, columns)
        rest = lift.centre.copy()
        rest[columns] = 0
        values, constants, offsets, direction = _divided_by_length(X, rest, lift.constant or 0.0)
        n_samples, n_features = X.shape
        indptr, entries = X.indptr.astype(np.int64), X.indices.astype(np.int32, copy=False)
        if lift.constant is not None:  # the last entry of each row
            values = np.insert(values, indptr[1:], constants)
            entries = np.insert(entries, indptr[1:], n_features)
            indptr += np.arange(n_samples + 1)
            n_features += 1
        aligned = aligned_zeros((-(-n_features // LANES) * LANES if len(direction) else 0,), dtype)
        aligned[: len(direction)] = direction
        return cls(indptr, entries, values.astype(dtype), offsets.astype(dtype), aligned, n_features)

    # -- as an array of rows ------------------------------------------------------------

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, rows):
        rows = np.arange(len(self))[rows]
        counts = np.diff(self.indptr)[rows]
        indptr = np.concatenate([[0], np.cumsum(counts)])
        inside = np.repeat(self.indptr[rows] - indptr[:-1], counts) + np.arange(indptr[-1])
        return SparseSamples(
            indptr, self.columns[inside], self.values[inside], self.offsets[rows], self.direction, self.n_features
        )

    def __getstate__(self):
        """Return the state without cached properties, so that equal samples have equal hashes."""
        cached = [name for name, value in vars(type(self)).items() if isinstance(value, cached_property)]
        return {name: value for name, value in vars(self).items() if name not in cached}

    @property
    def dtype(self):
        return self.values.dtype

    @property
    def itemsize(self):
        return self.values.itemsize

    @property
    def n_significant(self):
        return self.n_features

    @property
    def _entries(self):
        """The tuple that compiled functions take."""
        return self.indptr, self.columns, self.values, self.offsets, self.direction

    # -- lengths ------------------------------------------------------------------------

    def _sums(self, terms):
        """Return sums of the terms over the entries of each row, in double precision."""
        row = np.repeat(np.arange(len(self)), np.diff(self.indptr))
        return np.bincount(row, terms[: len(row)], minlength=len(self))

    @cached_property
    def _squares(self):
        """Squared lengths of the rows without their offsets."""
        return self._sums(self.values.astype(np.float64) ** 2)

    def squared_lengths(self):
        """Return ||x_i||^2, in double precision."""
        if not len(self.direction):
            return self._squares
        offsets = self.offsets.astype(np.float64)
        along = self._sums(self.values * self.direction[self.columns].astype(np.float64))
        return np.maximum(self._squares - 2 * offsets * along + offsets**2, 0)

    @cached_property
    def reach(self):
        """The largest length of a sample."""
        return float(np.sqrt(self.squared_lengths().max(initial=0)))

    @cached_property
    def rounding(self):
        """How far two ways of rounding <w, x_i> may lie apart: per unit of ||w|| and `reach`, and besides.

        A sum runs over the entries of a row and its offset, which may be longer than the
        sample; <w, direction>, at most ||w||, has been summed in double precision.
        """
        n_terms = int(np.diff(self.indptr).max(initial=0)) + 2
        error, smallest = rounding_error(n_terms, self.dtype == np.float32)
        if len(self.direction):
            error += rounding_error(self.shape[1], False)[0]
        longest = np.sqrt((self._squares + self.offsets.astype(np.float64) ** 2).max(initial=0))
        # By Cauchy and Schwarz, the terms' sizes sum up to longest * ||(w, <w, direction>)|| <= longest sqrt(2) ||w||.
        return 1.5 * error * longest / (self.reach or 1.0), smallest

    # -- who fires ----------------------------------------------------------------------

    @cached_property
    def _lines(self):
        """For scans: the line of each entry's column, the columns in use, their lines; frequent ones come first."""
        counts = np.bincount(self.columns, minlength=self.shape[1])
        used = np.flatnonzero(counts).astype(np.int32)
        line_of_column = np.empty(self.shape[1], dtype=np.int32)
        line_of_column[used[np.argsort(-counts[used], kind="stable")]] = np.arange(len(used))
        return line_of_column[self.columns], used, line_of_column[used]

    def beyond(self, W, cuts, rows=None):
        """Return compressed rows (indptr, samples): for r = rows[k] at least the samples with <w_r, x_i> > cuts[k]."""
        rows = np.arange(len(W)) if rows is None else rows
        error, smallest = self.rounding
        return kernels.samples_beyond(self._entries, self._lines, W, rows, cuts, (error * self.reach, smallest))

    def narrow_lists(self, W, rows, cuts, starts, counts, samples):
        """Keep in place, of the lists of these neurons, the samples with <w_r, x_i> > cuts[k]."""
        kernels.narrow_lists(self._entries, W, rows, cuts, (starts, counts, samples))

    def firing_of(self, candidates, W, threshold, samples, products):
        """Write candidates that fire to `samples` and `products`; return where each neuron's begin, and how many."""
        return kernels.firing_of_candidates(self._entries, W, candidates, threshold, samples, products)

    # -- what firing pairs compute --------------------------------------------------------

    def gradient(self, firing, residuals, signs):
        """Return, in row k, the sum over the samples i on which r = rows[k] fires of <signs[r], residuals[i]> x_i."""
        total = np.zeros((len(firing.rows), self.shape[1]), dtype=self.dtype)
        up = -1.0, 1.0, 0.0, False, 0.0  # a plain step from zero against the gradient's sign ends at the gradient
        lists = firing._replace(rows=np.arange(len(firing.rows)))
        kernels.descend_firing(total, total, total, self._entries, lists, residuals, signs[firing.rows], up)
        return total

    def descend(self, W, anchor, velocity, firing, residuals, signs, step):
        """Move W and its velocity, in place, by one `Step` down the gradient."""
        kernels.descend_firing(W, anchor, velocity, self._entries, firing, residuals, signs, step)

    def kernel_product(self, firing, v, signs, scale):
        """Return J J^T v for the Jacobian J of outputs in hidden weights; no gradient of all neurons is stored."""
        products = np.empty(len(firing.samples), dtype=self.dtype)
        kernels.products_of_gradients(self._entries, self.shape[1], firing, v, signs, products)
        return add_firing_outputs(firing, products, 0.0, signs, scale**2, len(self))


def _divided_by_length(X, centre, constant):
    """Return (x - centre, constant) / ||(x - centre, constant)|| as entries, constants and multiples of a unit vector.

    The length is the root of a sum of squares: (x_j - c_j)^2 over the entries of a row, c_j^2
    over the other columns, and the square of the constant.
    """
    row = row_numbers(X)
    largest = np.abs(centre).max(initial=0)
    # In units of each row's largest number, so that squares neither overflow nor vanish.
    size = np.zeros(X.shape[0])
    np.maximum.at(size, row, np.abs(X.data))
    size = np.maximum(size, max(largest, constant))
    size[size == 0] = 1.0
    scaled = X.data / size[row]
    distance = np.sqrt(((centre / (largest or 1.0)) ** 2).sum()) * largest
    direction = centre / distance if distance > 0 else centre[:0]
    squares, offsets = (constant / size) ** 2, distance / size
    if distance > 0:
        near, far = direction[X.indices], offsets[row]
        squares += np.bincount(row, (scaled - far * near) ** 2, minlength=len(size))
        squares += offsets**2 * np.maximum(1 - np.bincount(row, near**2, minlength=len(size)), 0)
    else:
        squares += np.bincount(row, scaled**2, minlength=len(size))
    length = np.sqrt(squares)
    length[length == 0] = 1.0
    return scaled / length[row], constant / size / length, offsets / length, direction
