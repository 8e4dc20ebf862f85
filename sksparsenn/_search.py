"""One face over the exact searches for the firing pairs.

A search is made for samples X (padded rows, or `SparseSamples`), first weights W and a threshold.  `firing(W, samples)`
hands out the pattern for the weights of the moment, on all samples or on a batch, and
the counted work; `forward(network, samples)` the pattern without its products, the
outputs and the work; `moved` tells those that `follows_moves` which neurons' weights
have changed.  All searches hand out the same pattern for the same weights, pair by pair and bit by bit.
"""

import numpy as np

from sksparsenn._firing import Firing, Lists
from sksparsenn._half_space import HalfSpaceReporter
from sksparsenn._kernels import transpose_lists
from sksparsenn._margin_lists import MaintainedLists, SampleLists, restricted
from sksparsenn._memory import require_memory
from sksparsenn._points import significant_columns
from sksparsenn._sample_nodes import NodeLists, SampleTree
from sksparsenn._samples import SparseSamples, as_samples, take
from sksparsenn._tournament_tree import Tournament
from sksparsenn._work import Work

# Measured: with so few samples, sums over groups of them cost what they save.
FEW_SAMPLES = 1 << 11
# Numbers of samples have bits to spare up to here, for flags.
MANY_SAMPLES = 1 << 30


class Search:
    """What all searches share: each names candidates, among which the one inner product decides."""

    follows_moves = False
    """Whether the search has to be told by `moved` which neurons' weights have changed."""

    history = None
    """A part of training to remember, if what the search hands out depends on more than the weights."""

    def moved(self, W, rows):
        """The weights of these neurons have changed."""

    def candidates(self, W, samples):
        """Samples, all or a batch; for each neuron a list that holds at least those it fires on; the work it took."""
        raise NotImplementedError

    def learn(self, firing):
        """All samples have been searched, and this is who fires."""

    def firing(self, W, samples=None, reuse=None):
        X, candidates, work = self.candidates(W, samples)
        firing = Firing.among(candidates, X, W, self.threshold, reuse)
        if samples is None:
            self.learn(firing)
        return firing, work

    def forward(self, network, samples=None, reuse=None):
        X, candidates, work = self.candidates(network.weights, samples)
        firing, outputs = Firing.forward(candidates, X, network, reuse)
        if samples is None:
            self.learn(firing)
        return firing, outputs, work


class BruteSearch(Search):
    """Every pair, in cache-sized blocks."""

    name = "brute"

    def __init__(self, X, W, threshold):
        self.samples, self.threshold = as_samples(X), threshold

    def candidates(self, W, samples):
        scanned = self.samples if samples is None else self.samples[samples]
        cuts = np.full(len(W), self.threshold, dtype=W.dtype)
        candidates = Lists.from_compressed(*scanned.beyond(W, cuts))
        return scanned.rows, candidates, Work(len(scanned) * len(W), 0, 0)


class WeightSearch(Search):
    """A dynamic half-space index over the weights, queried with every sample [SYZ21 Alg. 2, QSY23 Alg. 1]."""

    name = "weights"
    follows_moves = True

    def __init__(self, X, W, threshold):
        self.X, self.threshold = X, threshold
        self.n_features = significant_columns(X)
        self.reporter = HalfSpaceReporter(np.ascontiguousarray(W[:, : self.n_features]))

    def moved(self, W, rows):
        self.reporter.update(rows, np.ascontiguousarray(W[rows, : self.n_features]))

    def candidates(self, W, samples):
        X = self.X if samples is None else np.ascontiguousarray(self.X[samples])
        indptr, neurons, work = self.reporter.query(X, np.full(len(X), self.threshold, dtype=X.dtype))
        candidates = Lists.from_compressed(*transpose_lists(indptr, neurons, len(W)))
        return X, candidates, work


class MaxTreeSearch(Search):
    """A tournament over the neurons for every sample [DHSWZ24 Alg. 2 to 4]."""

    name = "max_tree"
    follows_moves = True

    def __init__(self, X, W, threshold):
        self.X, self.threshold = X, threshold
        self.tournament = Tournament(X, W)
        self.pairs_updated = len(X) * len(W)

    def moved(self, W, rows):
        if len(rows):
            self.tournament.update(rows, np.ascontiguousarray(W[rows]))
        self.pairs_updated += len(self.X) * len(rows)

    def candidates(self, W, samples):
        X = self.X if samples is None else np.ascontiguousarray(self.X[samples])
        asked = np.arange(len(self.X)) if samples is None else samples
        indptr, neurons, work = self.tournament.query(asked, self.threshold)
        candidates = Lists.from_compressed(*transpose_lists(indptr, neurons, len(W)))
        work += Work(self.pairs_updated, 0, 0)
        self.pairs_updated = 0
        return X, candidates, work


class DataSearch(Search):
    """A static half-space index over the samples, queried with every neuron that has moved [SYZ21 Alg. 3].

    The paper's two transposed lists are one here: lists of samples per neuron, which is
    the order that the forward and the backward pass read.
    """

    name = "data"
    follows_moves = True

    def __init__(self, X, W, threshold):
        self.X, self.threshold = X, threshold
        self.reporter = HalfSpaceReporter(np.ascontiguousarray(X[:, : significant_columns(X)]))
        self.lists = None
        self.stale = np.ones(len(W), dtype=bool)

    def moved(self, W, rows):
        self.stale[rows] = True

    def candidates(self, W, samples):
        rows = np.flatnonzero(self.stale)
        thresholds = np.full(len(rows), self.threshold, dtype=W.dtype)
        indptr, listed, work = self.reporter.query(np.ascontiguousarray(W[rows]), thresholds)
        fresh = Lists.from_compressed(indptr, listed)
        self.lists = fresh if self.lists is None or len(rows) == len(W) else _merged(self.lists, rows, fresh)
        self.stale[:] = False
        X, candidates = self.X, self.lists
        if samples is not None:
            X = np.ascontiguousarray(X[samples])
            candidates = restricted(candidates, samples, len(self.X))
        return X, candidates, work + Work(0, 0, len(rows))


def _merged(lists, rows, fresh):
    """The lists with those of `rows` replaced."""
    starts, counts = lists.starts.copy(), lists.counts.copy()
    starts[rows] = fresh.starts + len(lists.samples)
    counts[rows] = fresh.counts
    samples = np.concatenate([lists.samples, fresh.samples])
    if len(samples) > 2 * counts.sum() + 1024:  # mostly replaced lists: close the gaps
        inside = np.repeat(starts - (np.cumsum(counts) - counts), counts) + np.arange(counts.sum())
        samples = samples[inside]
        starts = np.cumsum(counts) - counts
    return Lists(lists.rows, starts, counts, samples)


class MarginSearch(Search):
    """Lists of the samples near each neuron's threshold, valid until the neuron has moved past its margin."""

    name = "margin"

    def __init__(self, X, W, threshold):
        self.X, self.threshold = X, threshold
        self.lists = MaintainedLists(SampleLists(as_samples(X)), W, threshold)

    def candidates(self, W, samples):
        candidates, work = self.lists.candidates(W, samples)
        return self.X if samples is None else take(self.X, samples), candidates, work

    def learn(self, firing):
        self.lists.learn(firing.counts)


class MarginNodeSearch(Search):
    """The same for forward passes over all samples and one output, which take together samples that stand together."""

    name = "margin"

    def __init__(self, X, W, threshold):
        self.lists = MaintainedLists(NodeLists(SampleTree(X)), W, threshold)
        self.history = self.lists.margins

    def forward(self, network, samples=None, reuse=None):
        candidates, work = self.lists.candidates(network.weights)
        firing, outputs = candidates.forward(network, reuse)
        self.lists.learn(firing.n_kept)
        return firing, outputs, work


SEARCHES = {search.name: search for search in (MarginSearch, DataSearch, WeightSearch, MaxTreeSearch, BruteSearch)}
SPARSE_SEARCHES = {search.name: search for search in (MarginSearch, BruteSearch)}


def make_search(name, X, W, threshold, *, in_batches, all_move=True, forward_only=False):
    """The search of that name; for "auto" the one that measurements favour.

    With `forward_only`, for one output, it will not be asked for `firing`.

    With all samples in every step, margin lists win in any dimension.  With batches a
    neuron moves further between two visits of a sample than any useful margin.  There the
    index over the weights wins where a tree over them pays and a step moves only the
    neurons that fire, else the scan.  Sparse samples have many features, where no tree pays.
    """
    if isinstance(X, SparseSamples):
        if name not in ("auto", *SPARSE_SEARCHES):
            raise ValueError(
                f"search={name!r} needs dense X, but X is sparse; use search='margin' or 'brute', or X.toarray()."
            )
        return SPARSE_SEARCHES[("brute" if in_batches else "margin") if name == "auto" else name](X, W, threshold)
    if name == "auto" and not in_batches:
        name = "margin"
    if name == "margin" and forward_only and not in_batches and FEW_SAMPLES < len(X) <= MANY_SAMPLES:
        return MarginNodeSearch(X, W, threshold)
    if name == "auto" and all_move:
        name = "brute"
    if name == "auto":
        search = WeightSearch(X, W, threshold)
        return search if search.reporter.method == "tree" else BruteSearch(X, W, threshold)
    return SEARCHES[name](X, W, threshold)


def require_training_memory(X, width, *, validates=False):
    """Refuse before allocating what training needs beyond the search: weights, their start, velocity and gradient.

    Where samples are sparse, arrays of this size are what counts, and those are included that
    would be small beside dense samples: the best weights so far, those at the last scan of
    margin lists, both once more for validation, and two that are kept; gradients are taken
    one neuron at a time.
    """
    arrays = 7 + 2 * validates if isinstance(X, SparseSamples) else 4
    require_memory(arrays * width * X.shape[1] * X.itemsize, f"training {width} neurons on {X.shape[1]} features")
