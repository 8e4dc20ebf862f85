"""Margin lists: for each neuron, the samples that could fire before it has moved further than its margin.

From the outside in: `MarginLists`, the public face; `MaintainedLists`, the engine, which keeps the lists of a
store valid while neurons move; `SampleLists`, the store of samples one by one; `MarginPolicy`,
which decides how far a neuron may move and how wide its margin is.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import wrightomega

from sksparsenn._compiled.lists import GapLists, lead_reference, restrict_lists, row_distances, settle_rows
from sksparsenn._network.firing import Candidates, Lists
from sksparsenn._samples.dense import DenseSamples
from sksparsenn._samples.points import as_points, padded_rows
from sksparsenn._search.work import Work
from sksparsenn._utils.memory import require_memory

# Every so many queries, the margins of neurons that have slowed down are reviewed.
QUERIES_BETWEEN_REVIEWS = 16

# The margins of neurons, in units of the typical spread of a neuron's products over the samples.
SMALLEST_MARGIN, LARGEST_MARGIN = 1e-3, 1.0
FIRST_MARGIN = 0.1

# Margins stay finite where weights are so large that their spread is not.
LARGEST_SPREAD = np.finfo(np.float64).max / 2**20

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
        X = as_points(X, "X")
        W = as_points(W, "W", X.shape[1], X.dtype)
        if not np.isfinite(threshold):
            raise ValueError(f"threshold={threshold!r} must be a finite number.")
        if margin is not None and not (np.isfinite(margin) and margin >= 0):
            raise ValueError(f"margin={margin!r} must be a number of at least 0, or None.")
        self.threshold, self.margin = float(threshold), margin
        (self.n_samples, self.n_features), self.n_neurons, self.dtype = X.shape, len(W), X.dtype
        self._samples = DenseSamples(padded_rows(X))
        self._lists = MaintainedLists(SampleLists(self._samples), padded_rows(W), self.threshold, margin)
        self._lists.build()

    @property
    def margins(self):
        return self._lists.policy.margins

    @property
    def n_listed(self):
        return self._lists.store.n_listed

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
        W = as_points(W, "W", self.n_features, self.dtype)
        if len(W) != self.n_neurons:
            raise ValueError(f"W has {len(W)} rows where {self.n_neurons} neurons are expected.")
        W = padded_rows(W)
        candidates, work = self._lists.candidates(W)
        pattern = candidates.firing(W, self.threshold)
        self._lists.learn(pattern.counts)
        indptr, samples = pattern.pairs()
        return (indptr, samples, work) if return_work else (indptr, samples)


class MaintainedLists:
    """Lists that hold for the weights of the moment: a store, kept valid by the margins of its neurons.

    The lists are made when they are first needed, for the weights that the policy then remembers.
    W is padded rows in the precision of the samples, and is copied.
    """

    def __init__(self, store, W, threshold, margin=None):
        self.store = store
        self.policy = MarginPolicy(store.samples, W, threshold, margin)
        self._unreported = None  # the work of making the lists, until a query reports it

    def build(self):
        """Make the lists of all neurons."""
        policy, store, W = self.policy, self.store, self.policy.reference
        n_samples, n_neurons = len(store.samples), len(W)
        policy.settle_all()
        sampled = np.unique(np.linspace(0, max(n_neurons - 1, 0), min(n_neurons, NEURONS_SAMPLED)).astype(int))
        if len(sampled):
            listed = self._scan(sampled).n_listed / len(sampled) * n_neurons
            # Twice while the lists are gathered; then the lists, and who fires with which product.
            needed = listed * 1.5 * (8 + W.itemsize)
            purpose = f"margin lists over {n_samples} samples and {n_neurons} neurons"
            require_memory(needed, purpose, "raise the threshold or take fewer neurons, or use another search")
        # Some billions of pairs at a time, so that a fit can be interrupted between them.
        rows = max(1, PAIRS_AT_ONCE // max(n_samples, 1))
        store.fill([self._scan(policy.rows[k : k + rows]) for k in range(0, max(n_neurons, 1), rows)])
        self._unreported = Work(n_samples * n_neurons, 0, n_neurons)

    @np.errstate(over="ignore", divide="ignore", invalid="ignore")  # bounds that overflow only lead to more scans
    def candidates(self, W, chosen=None):
        """Return candidates for padded weights W, among all samples or among those chosen, and the work it took."""
        if self._unreported is None:
            self.build()
        policy = self.policy
        moved = policy.note_query(W)
        used_up = policy.used_up(moved)
        work = self._unreported + self._rescan(used_up, W, moved)
        self._unreported = Work(0, 0, 0)
        if policy.review_is_due:
            work += self._review(W, moved, used_up)
        candidates, looked_at = self.store.candidates(chosen)
        return candidates, work + looked_at

    def learn(self, counts):
        """Tune margins by how many samples of each list the last query, one of all samples, kept."""
        self.policy.learn(counts, self.store.n_listed)

    def _scan(self, rows):
        """Find what is to be listed for these neurons, by one pass over the samples."""
        policy = self.policy
        return self.store.scan(policy.reference, rows, *policy.cuts(rows))

    def _rescan(self, rows, W, moved):
        """Give these neurons new margins and lists."""
        if len(rows):
            self.policy.renew(rows, W, moved, self.store.counts)
            self.store.replace(rows, self._scan(rows))
        return Work(len(rows) * len(self.store.samples), 0, len(rows))

    def _review(self, W, moved, just_scanned):
        """Narrow the margins of neurons that slowed down.

        With narrower margins, lists of samples lose some of what they hold, and are cut down where they stand.
        Lists of nodes would hold other nodes; they are made anew once the wide ones have cost what a scan does.
        """
        policy, store = self.policy, self.store
        rows, best = policy.slowed_down(moved, just_scanned, store.counts)
        if not store.narrows:
            needless = (store.counts[rows] - policy.kept[rows]) * policy.age(rows)
            return self._rescan(rows[needless > policy.cost_of_scan], W, moved)
        if not len(rows):
            return Work(0, 0, 0)
        evaluated = int(store.counts[rows].sum())
        policy.narrow(rows, W, best)
        store.narrow(W, rows, policy.lowered_cuts(rows))
        return Work(evaluated, 0, 0)


class ListedSamples(NamedTuple):
    """What a scan finds for some neurons: list k is ``items[starts[k] : starts[k] + counts[k]]``."""

    starts: np.ndarray
    counts: np.ndarray
    items: np.ndarray

    @property
    def n_listed(self):
        """The number of samples on the lists."""
        return int(self.counts.sum())


class SampleLists:
    """A store that lists, for every neuron, the samples beyond a cut."""

    narrows = True
    """Whether a list for a narrower margin is a part of the list for a wider one."""

    def __init__(self, samples):
        self.samples = samples
        self._lists = None

    def scan(self, W, rows, low, high):
        """Find the samples with <w_r, x_i> > low[k] for the neurons r = rows[k]; `high` plays no part."""
        indptr, samples = self.samples.beyond(W, low, rows)
        return ListedSamples(indptr[:-1], np.diff(indptr), samples)

    def fill(self, scans):
        """Store what scans found for some consecutive neurons each."""
        self._lists = GapLists(scans)

    def replace(self, rows, scan):
        """Store what a scan found in place of what these neurons have."""
        self._lists.replace(rows, scan)

    def narrow(self, W, rows, cuts):
        """Keep, of the samples of these neurons, those with <w_r, x_i> > cuts[k]."""
        lists = self._lists
        self.samples.narrow_lists(W, rows, cuts, lists.starts, lists.counts, lists.items)

    @property
    def counts(self):
        """The number of samples that each neuron has listed."""
        return self._lists.counts

    @property
    def n_listed(self):
        return self._lists.n_items

    def candidates(self, chosen=None):
        """Return candidates among all samples, or among those chosen, and the work of looking at them."""
        samples, stored = self.samples, self._lists
        lists = Lists(np.arange(len(self.counts)), stored.starts, stored.counts, stored.items)
        if chosen is not None:
            samples, lists = samples[chosen], restricted(lists, chosen, len(samples))
        return Candidates(samples, lists), Work(int(lists.counts.sum()), 0, 0)


def restricted(lists, chosen, n_samples):
    """Return the lists with those of their samples that are chosen, by their positions among the chosen."""
    position = np.full(n_samples, -1, dtype=np.int32)
    position[chosen] = np.arange(len(chosen))
    return Lists(lists.rows, *restrict_lists(*lists, position))


class MarginPolicy:
    """How far each neuron may move before its list has to be made anew, and with which margin that is done.

    The list of neuron r is made for a margin, `margins[r]`, and for `reference[r]`, a point near its weights.
    """

    remembered = "reference", "margins", "lead", "scanned_at", "n_queries", "growth", "kept"

    def __init__(self, samples, W, threshold, margin=None):
        self.samples, self.threshold, self.margin = samples, threshold, margin
        self.rows = np.arange(len(W))
        self.reference, self._lengths = padded_rows(W), np.empty(len(W))
        settle_rows(self.reference, self.rows, self.reference, self._lengths)
        self.growth = None  # how fast lists grow with the margin, once measured
        self.kept = None  # how many samples of each list the last full query kept
        self.n_queries = 0
        self.scanned_at = np.zeros(len(W), dtype=np.int64)
        self.lead = np.zeros(len(W))  # how far ahead of the neurons their lists were made
        self.margins = self._first_margins(self.rows)
        self._allowed = None  # how far each neuron may move from its reference

    # -- how far a neuron may move --------------------------------------------------------

    @np.errstate(over="ignore", invalid="ignore")
    def settle_all(self):
        """Measure movement of all neurons from their references."""
        settle_rows(self.reference, self.rows, self.reference, self._lengths)
        self._allowed = self._limits(self.rows)

    def note_query(self, W):
        """Count a query; return how far each neuron has moved from its reference."""
        self.n_queries += 1
        return row_distances(W, self.reference)

    def used_up(self, moved):
        """Return the neurons that have moved further than their lists hold."""
        # The negation also catches NaN.
        return np.flatnonzero(~(moved <= self._allowed))

    def _limits(self, rows):
        """Return how far these neurons may move: their margins, less rounding, per unit of sample length."""
        reach = self.samples.reach
        if reach == 0:
            return np.full(len(rows), np.inf)
        margins = self.margins[rows]
        error, smallest = self.samples.rounding
        rounding = error * (self._lengths[rows] * reach + margins + abs(self.threshold)) + smallest
        # A neuron that has not moved at all is safe whatever its margin.
        return np.maximum((margins - rounding) / reach, 0)

    def _settle(self, rows, W):
        """Measure movement of these neurons from their weights W on."""
        settle_rows(W, rows, self.reference, self._lengths)
        self._allowed[rows] = self._limits(rows)
        self.scanned_at[rows], self.lead[rows] = self.n_queries, 0

    def _settle_ahead(self, rows, W, moved):
        """Measure movement of these neurons from points ahead of them, on the line from the last such point."""
        steps = np.fmax(np.minimum(LEAD * self.margins[rows] / self.samples.reach, moved) / moved, 0)  # no NaN
        lead = lead_reference(W, rows, steps.astype(W.dtype), self.reference)
        self._settle(rows, self.reference)
        self.lead[rows] = lead
        # Where the allowance for rounding takes up the margin.
        too_far = rows[~(self.lead[rows] <= self._allowed[rows])]
        self._settle(too_far, W)

    # -- how wide a list is to be ---------------------------------------------------------

    @property
    def _spread(self):
        """The typical spread of a neuron's products over the samples, never infinite."""
        if not len(self.rows):
            return 1.0
        with np.errstate(over="ignore"):
            length = min(self._lengths.mean(), LARGEST_SPREAD)
            return min(self.samples.reach * length / np.sqrt(self.samples.n_significant), LARGEST_SPREAD)

    def _first_margins(self, rows):
        return np.full(len(rows), FIRST_MARGIN * self._spread if self.margin is None else float(self.margin))

    @property
    def cost_of_scan(self):
        """The cost of a scan of all samples for one neuron, in units of a listed pair."""
        return self.samples.cost_of_scanned_pair * len(self.samples)

    def _best_margins(self, rows, drift, counts):
        """Return the margins s that minimise k exp(beta s) + c n v / s, for neurons that move by `drift` a query."""
        if self.margin is not None or self.growth is None:
            return self._first_margins(rows)
        # How a neuron's own list grows with its margin; counts are small, so not far from how all lists do.
        kept, counts = self.kept[rows] + 2, counts[rows] + 2
        growth = np.log(np.maximum(counts / kept, 1)) / self.margins[rows]
        growth[np.isnan(growth)] = self.growth
        growth = np.minimum(np.maximum(growth, self.growth / 3), self.growth * 3)
        scan = self.cost_of_scan
        scanned = scan * self.samples.reach * drift
        # The derivative vanishes where u = beta s / 2 solves u exp(u) = sqrt(beta c n v / k) / 2: there u is
        # Lambert's function of the right-hand side, and Wright's of its logarithm.
        margins = 2 * wrightomega(np.log(0.5 * np.sqrt(growth * scanned / kept))) / growth
        # A neuron that is too fast for its best margin (or not finite) is scanned at every query, but only once.
        margins[~(kept * np.exp(growth * margins) + scanned / margins <= kept + scan)] = 0
        spread = self._spread
        return np.minimum(np.fmax(margins, SMALLEST_MARGIN * spread), LARGEST_MARGIN * spread)  # no NaN

    def cuts(self, rows):
        """Return the products below which no sample fires while the lists hold, and those above which all do."""
        with np.errstate(over="ignore"):
            low, high = self.threshold - self.margins[rows], self.threshold + self.margins[rows]
            return low.astype(self.reference.dtype), high.astype(self.reference.dtype)

    def lowered_cuts(self, rows):
        """Return the lower cuts, lowered by what rounding may add to the product that decides."""
        error, smallest = self.samples.rounding
        rounding = error * (self._lengths[rows] * self.samples.reach + abs(self.threshold))
        return (self.threshold - self.margins[rows] - rounding - smallest).astype(self.reference.dtype)

    def _drift(self, moved, rows):
        """Return how far, at most, these neurons have moved per query since their last scan."""
        return (self.lead[rows] + moved[rows]) / np.maximum(self.age(rows), 1)

    def age(self, rows):
        """Return for how many queries the lists of these neurons have held."""
        return self.n_queries - self.scanned_at[rows]

    def renew(self, rows, W, moved, counts):
        """Give these neurons new margins, for lists to be made at points ahead of them."""
        self.margins[rows] = self._best_margins(rows, self._drift(moved, rows), counts)
        self._settle_ahead(rows, W, moved[rows])

    @property
    def review_is_due(self):
        measured = self.margin is None and self.growth is not None
        return measured and self.n_queries % QUERIES_BETWEEN_REVIEWS == 2

    def slowed_down(self, moved, just_scanned, counts):
        """Return the neurons for which less than half of what is left of their margin would do; all best margins."""
        best = self._best_margins(self.rows, self._drift(moved, self.rows), counts)
        left = self.margins - moved * self.samples.reach
        left[just_scanned] = 0
        # Where products may overflow, lists hold all samples and have to keep them.
        largest = np.finfo(self.reference.dtype).max / 2**20
        finite = (self._lengths + moved) * self.samples.reach < largest
        return np.flatnonzero((2 * best < left * 0.999) & finite), best

    def narrow(self, rows, W, best):
        """Give these neurons their best margins, from their weights W on."""
        self.margins[rows] = best[rows]
        self._settle(rows, W)

    @np.errstate(over="ignore", divide="ignore", invalid="ignore")
    def learn(self, counts, n_listed):
        """Measure how lists grow with the margin, from how many samples of each list a query kept."""
        kept = int(counts.sum())
        mean = self.margins.mean() if kept else 0.0
        if n_listed > kept and mean > 0:
            self.kept = counts
            self.growth = np.log(n_listed / kept) / mean
