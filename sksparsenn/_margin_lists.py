"""MarginLists: per neuron, the samples that could fire before it has moved further than its margin."""

import numpy as np

from sksparsenn._firing import Candidates, Lists
from sksparsenn._gap_lists import GapLists
from sksparsenn._margin import lead_reference, restrict_lists, row_distances, settle_rows
from sksparsenn._memory import require_memory
from sksparsenn._points import as_points, padded_rows
from sksparsenn._samples import DenseSamples
from sksparsenn._sparse_samples import SparseSamples
from sksparsenn._work import Work

# Neurons are asked every so many queries whether a narrower margin would do by now.
QUERIES_BETWEEN_REVIEWS = 16

# The margins of neurons, in units of the typical spread of a neuron's products over the samples.
SMALLEST_MARGIN, LARGEST_MARGIN = 1e-3, 1.0
FIRST_MARGIN = 0.1

# Lists are made for a point ahead of the neuron, at this share of its margin, since it will go on for a while in the
# direction it came from: then they hold on the way there and beyond.
LEAD = 0.5

# Pairs scanned in one uninterrupted call when the first lists are built.
PAIRS_AT_ONCE = 1 << 32

# Neurons whose samples are counted to foresee the size of all lists.
NEURONS_SAMPLED = 256


class MarginLists:
    """Exact search for firing pairs that looks only at pairs close to firing.

    For neuron r with weights w_r the lists hold every sample i with
    <v_r, x_i> > threshold - s_r, where v_r is a point near its weights and s_r its
    margin.  By Cauchy-Schwarz no sample outside the list fires while
    ||w_r - v_r|| max_i ||x_i|| <= s_r, less an allowance for rounding.  A query
    therefore evaluates listed pairs, and scans all samples again only for neurons
    that have used up their margin; the new v_r lies half a margin ahead, in the
    direction in which the neuron has been moving.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Samples.  float32 is kept, everything else becomes float64.

    W : array-like of shape (n_neurons, n_features)
        Weights to build the first lists for, converted to the precision of X.

    threshold : float
        Neuron r fires on sample i where <w_r, x_i> > threshold.

    margin : float, optional
        A fixed margin s for all neurons, in units of the inner products.  By
        default every neuron has its own, chosen at each scan to balance the
        growth of its list against the scans to come: with k the samples it fires on,
        v the distance per query it has been moving, n the number of samples and c the
        relative cost of a scanned pair, s minimises k exp(beta s) + c n v / s, where beta
        is measured as the logarithm of listed over firing samples per unit of margin.

    Attributes
    ----------
    margins : ndarray of shape (n_neurons,)
        The margins in force.

    n_listed : int
        Pairs on the lists.

    Raises
    ------
    MemoryError
        If the lists would not fit into the available memory; the message names
        the amount.

    Notes
    -----
    The lists are the neighbour lists of molecular dynamics (Verlet 1967) and the
    bounds of Elkan's k-means, applied to neurons and samples.  They are no part of
    the papers on shifted ReLU networks: in theory, where samples number less than
    the inverse of the firing share, the half-space index has the better bound; in
    practice its cost grows with the dimension, and that of the lists does not.

    Examples
    --------
    >>> import numpy as np
    >>> from sksparsenn import MarginLists
    >>> X = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    >>> W = np.array([[2.0, 0.0], [0.0, 2.0]])
    >>> lists = MarginLists(X, W, threshold=1.0)
    >>> indptr, samples = lists.query(W)
    >>> indptr, samples
    (array([0, 2, 4]), array([0, 2, 1, 2], dtype=int32))
    >>> indptr, samples = lists.query(W + 0.05)
    >>> samples
    array([0, 2, 1, 2], dtype=int32)
    """

    def __init__(self, X, W, threshold, *, margin=None):
        if not isinstance(X, (SparseSamples, DenseSamples)):
            X = as_points(X, "X")
        W = as_points(W, "W", X.shape[1], X.dtype)
        if not np.isfinite(threshold):
            raise ValueError(f"threshold={threshold!r} must be a finite number.")
        if margin is not None and not (np.isfinite(margin) and margin >= 0):
            raise ValueError(f"margin={margin!r} must be a number of at least 0, or None.")
        self.threshold = float(threshold)
        self.margin = margin
        (self.n_samples, self.n_features), self.n_neurons = X.shape, len(W)
        self._X = DenseSamples(padded_rows(X)) if isinstance(X, np.ndarray) else X
        self._reach, self._rounding = self._X.reach, self._X.rounding
        W = padded_rows(W)
        self._reference, self._norms = W, np.empty(self.n_neurons)
        settle_rows(W, np.arange(self.n_neurons), W, self._norms)
        self._growth = None  # beta: how fast lists grow with the margin, once measured
        self._queries = 0
        self._scanned_at = np.zeros(self.n_neurons, dtype=np.int64)
        self._lead = np.zeros(self.n_neurons)  # how far ahead of the neurons their lists were made
        self.margins = np.full(self.n_neurons, FIRST_MARGIN * self._scale if margin is None else float(margin))
        self._rows = np.arange(self.n_neurons)
        with np.errstate(over="ignore", invalid="ignore"):
            self._allowed = self._limits(self._rows)  # how far each neuron may move
        self._stores = None
        self._build(W)

    @property
    def n_listed(self):
        return self._lists.n_items

    # -- lists --------------------------------------------------------------------------

    def _scan(self, W, rows):
        """(starts, counts, items) for each of the stores: what it is to hold of these neurons, by one pass over X."""
        indptr, samples = self._X.beyond(W, self._cuts(rows, W.dtype), rows)
        return [(indptr[:-1], np.diff(indptr), samples)]

    def _cuts(self, rows, dtype):
        """The products beyond which samples of these neurons are listed."""
        with np.errstate(over="ignore"):
            return (self.threshold - self.margins[rows]).astype(dtype)

    def _build(self, W):
        sampled = np.unique(
            np.linspace(0, max(self.n_neurons - 1, 0), min(self.n_neurons, NEURONS_SAMPLED)).astype(int)
        )
        if len(sampled):
            listed = sum(counts.sum() for _, counts, _ in self._scan(W, sampled)) / len(sampled) * self.n_neurons
            # Twice while the lists are gathered; then the lists, and who fires with which product.
            needed = listed * 1.5 * (8 + W.itemsize)
            purpose = f"margin lists over {self.n_samples} samples and {self.n_neurons} neurons"
            require_memory(needed, purpose, "raise the threshold or take fewer neurons, or use another search")
        # Some billions of pairs at a time, so that an interruption is heeded between them.
        rows = max(1, PAIRS_AT_ONCE // max(self.n_samples, 1))
        chunks = [self._rows[first : first + rows] for first in range(0, max(self.n_neurons, 1), rows)]
        self._stores = [GapLists(parts) for parts in zip(*(self._scan(W, chunk) for chunk in chunks), strict=True)]
        self._lists = self._stores[0]
        self._work_to_report = Work(self.n_samples * self.n_neurons, 0, self.n_neurons)

    def _renew(self, rows, fresh):
        """Put what was scanned for these neurons in place of what is stored."""
        for store, lists in zip(self._stores, fresh, strict=True):
            store.replace(rows, *lists)

    # -- margins ------------------------------------------------------------------------

    @property
    def _scale(self):
        """The typical spread of a neuron's products over the samples."""
        with np.errstate(over="ignore", invalid="ignore"):
            return self._reach * self._norms.mean() / np.sqrt(self._X.n_significant) if self.n_neurons else 1.0

    def _limits(self, rows):
        """How far these neurons may move: their margins, less what rounding may take, per unit of sample length."""
        if self._reach == 0:
            return np.full(len(rows), np.inf)
        margins = self.margins[rows]
        error, smallest = self._rounding
        rounding = error * (self._norms[rows] * self._reach + margins + abs(self.threshold)) + smallest
        # A neuron that has not moved at all is safe whatever its margin.
        return np.maximum((margins - rounding) / self._reach, 0)

    def _best_margins(self, rows, drift):
        """The margins s that minimise k exp(beta s) + c n v / s, for neurons that move by `drift` a query."""
        if self.margin is not None or self._growth is None:
            return np.full(len(rows), FIRST_MARGIN * self._scale if self.margin is None else float(self.margin))
        # How a neuron's own list grows with its margin; counts are small, so not far from how all lists do.
        fired, counts = self._fired[rows] + 2, self._lists.counts[rows] + 2
        growth = np.log(np.maximum(counts / fired, 1)) / self.margins[rows]
        growth = np.clip(np.nan_to_num(growth, nan=self._growth), self._growth / 3, self._growth * 3)
        scan = self._X.cost_of_scanned_pair * self.n_samples
        scanned = scan * self._reach * drift
        # The derivative vanishes where u = beta s / 2 solves u exp(u) = sqrt(beta c n v / k) / 2.
        margins = 2 * lambert_w(0.5 * np.sqrt(growth * scanned / fired)) / growth
        # A neuron that is too fast for its best margin is scanned at every query, but only once.
        margins[fired * np.exp(growth * margins) + scanned / margins > fired + scan] = 0
        return np.clip(np.nan_to_num(margins), SMALLEST_MARGIN * self._scale, LARGEST_MARGIN * self._scale)

    def _update(self, W):
        """Make the lists hold for weights W: scan anew for the neurons that have used up their margin."""
        self._queries += 1
        moved = row_distances(W, self._reference)
        # The negation also catches NaN.
        rows = np.flatnonzero(~(moved <= self._allowed))
        work = self._rescan(rows, W, moved)
        if self.margin is None and self._growth is not None and self._queries % QUERIES_BETWEEN_REVIEWS == 2:
            work += self._review(W, moved, rows)
        return work

    def _rescan(self, rows, W, moved):
        """New margins and lists for these neurons."""
        if len(rows):
            self.margins[rows] = self._best_margins(rows, self._drift(moved, rows))
            self._settle_ahead(rows, W, moved[rows])
            self._renew(rows, self._scan(self._reference, rows))
        return Work(len(rows) * self.n_samples, 0, len(rows))

    def _drift(self, moved, rows):
        """How far, at most, these neurons have moved per query since their last scan."""
        return (self._lead[rows] + moved[rows]) / np.maximum(self._queries - self._scanned_at[rows], 1)

    def _slowed_down(self, W, moved, just_scanned):
        """Neurons for which less than half of the margin they have left would do by now; the best margins of all."""
        best = self._best_margins(self._rows, self._drift(moved, self._rows))
        left = self.margins - moved * self._reach
        left[just_scanned] = 0
        # Where products may overflow, lists hold all samples and have to keep them.
        finite = (self._norms + moved) * self._reach < np.finfo(W.dtype).max / 2**20
        return np.flatnonzero((2 * best < left * 0.999) & finite), best

    def _review(self, W, moved, just_scanned):
        """Narrow the lists of neurons that slowed down: samples near enough now are on the wider list already."""
        rows, best = self._slowed_down(W, moved, just_scanned)
        if not len(rows):
            return Work(0, 0, 0)
        lists = self._lists
        evaluated = int(lists.counts[rows].sum())
        self.margins[rows] = best[rows]
        self._settle(rows, W)
        error, smallest = self._rounding
        cuts = self.threshold - best[rows] - error * (self._norms[rows] * self._reach + abs(self.threshold)) - smallest
        self._X.narrow_lists(W, rows, cuts.astype(W.dtype), lists.starts, lists.counts, lists.items)
        return Work(evaluated, 0, 0)

    def _settle(self, rows, W):
        """Measure movement of these neurons from their weights W on."""
        settle_rows(W, rows, self._reference, self._norms)
        self._allowed[rows] = self._limits(rows)
        self._scanned_at[rows], self._lead[rows] = self._queries, 0

    def _settle_ahead(self, rows, W, moved):
        """Measure movement of these neurons from points ahead of them, on the line from the last such point."""
        steps = np.nan_to_num(np.minimum(LEAD * self.margins[rows] / self._reach, moved) / moved)
        lead = lead_reference(W, rows, steps.astype(W.dtype), self._reference)
        self._settle(rows, self._reference)
        self._lead[rows] = lead
        # Where the allowance for rounding takes up the margin.
        too_far = rows[~(self._lead[rows] <= self._allowed[rows])]
        self._settle(too_far, W)

    # -- queries ------------------------------------------------------------------------

    @np.errstate(over="ignore", divide="ignore", invalid="ignore")  # bounds that overflow only lead to more scans
    def candidates(self, W, chosen=None):
        """Return candidates for padded weights W, among all samples or those chosen, and the work it took."""
        work = self._update(W) + self._work_to_report
        self._work_to_report = Work(0, 0, 0)
        lists = Lists(self._rows, self._lists.starts, self._lists.counts, self._lists.items)
        samples = self._X
        if chosen is not None:
            position = np.full(self.n_samples, -1, dtype=np.int32)
            position[chosen] = np.arange(len(chosen))
            samples, lists = samples[chosen], Lists(lists.rows, *restrict_lists(*lists, position))
        return Candidates(samples, lists), work + Work(int(lists.counts.sum()), 0, 0)

    def firing(self, W):
        """The firing pattern for padded weights W, and the work it took."""
        candidates, work = self.candidates(W)
        pattern = candidates.firing(W, self.threshold)
        self.learn(pattern.counts)
        return pattern, work

    @np.errstate(over="ignore", divide="ignore", invalid="ignore")
    def learn(self, counts):
        """From a full query, how many samples of each list it kept: how lists grow with the margin."""
        firing, listed = int(counts.sum()), self.n_listed
        margin = self.margins.mean() if firing else 0.0
        if listed > firing and margin > 0:
            self._fired = counts
            self._growth = np.log(listed / firing) / margin

    def query(self, W, *, return_work=False):
        """Report, for each neuron, the samples it fires on.

        Parameters
        ----------
        W : array-like of shape (n_neurons, n_features)
            The weights now.

        return_work : bool, default=False
            Whether to return what the search did as well.

        Returns
        -------
        indptr : ndarray of shape (n_neurons + 1,), int64

        samples : ndarray of int32
            Neuron r fires on ``samples[indptr[r] : indptr[r + 1]]``, ascending.

        work : Work
            Named tuple of counts; only if `return_work`.
        """
        W = as_points(W, "W", self.n_features, self._X.dtype)
        if len(W) != self.n_neurons:
            raise ValueError(f"W has {len(W)} rows where {self.n_neurons} neurons are expected.")
        W = padded_rows(W)
        pattern, work = self.firing(W)
        indptr, samples = pattern.pairs()
        return (indptr, samples, work) if return_work else (indptr, samples)


def lambert_w(x):
    """The u >= 0 with u exp(u) = x, for x >= 0, to about a thousandth."""
    u = np.log1p(x)
    for _ in range(3):
        grown = np.exp(u)
        u = u - (u * grown - x) / (grown * (u + 1))
    return u
