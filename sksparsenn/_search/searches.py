"""Searches: each names candidates, pairs of a neuron and a sample among which are all that fire.

A search is made for samples, first weights W and a threshold.  `candidates(W, chosen)` returns, for the weights of the
moment and all samples or those chosen, the candidates and the counted work; it computes nothing else.  `moved` has to
be called, where `follows_moves` is true, with the neurons whose weights have changed.  Candidates of all searches
evaluate to the same pattern for the same weights, pair by pair and bit by bit.
"""

import numpy as np

from sksparsenn._compiled.patterns import transpose_lists
from sksparsenn._network.firing import Candidates, Lists
from sksparsenn._search.half_space import HalfSpaceReporter
from sksparsenn._search.margin_lists import MaintainedLists, SampleLists, restricted
from sksparsenn._search.sample_nodes import NodeLists, SampleTree
from sksparsenn._search.tournament import Tournament
from sksparsenn._search.work import Work


class Search:
    """What a search does unless it says otherwise; each adds its `name` and `candidates`."""

    follows_moves = False
    """Whether `moved` has to be called with the neurons whose weights have changed."""

    history = None
    """A part of training to remember, if the candidates depend on more than the weights."""

    def moved(self, W, rows):
        """Bring the search up to date with the changed weights of these neurons."""

    def learn(self, firing):
        """Tune the search by the pattern that fires among all samples."""


class BruteSearch(Search):
    """Every pair, in cache-sized blocks."""

    name = "brute"

    def __init__(self, samples, W, threshold):
        self.samples, self.threshold = samples, threshold

    def candidates(self, W, chosen=None):
        scanned = self.samples if chosen is None else self.samples[chosen]
        cuts = np.full(len(W), self.threshold, dtype=W.dtype)
        lists = Lists.from_compressed(*scanned.beyond(W, cuts))
        return Candidates(scanned, lists), Work(len(scanned) * len(W), 0, 0)


class WeightSearch(Search):
    """A dynamic half-space index over the weights, queried with every sample [SYZ21 Alg. 2, QSY23 Alg. 1]."""

    name = "weights"
    follows_moves = True

    def __init__(self, samples, W, threshold):
        self.samples, self.threshold = samples, threshold
        self.n_features = samples.n_significant
        self.reporter = HalfSpaceReporter(np.ascontiguousarray(W[:, : self.n_features]))

    def moved(self, W, rows):
        self.reporter.update(rows, np.ascontiguousarray(W[rows, : self.n_features]))

    def candidates(self, W, chosen=None):
        samples = self.samples if chosen is None else self.samples[chosen]
        thresholds = np.full(len(samples), self.threshold, dtype=samples.dtype)
        indptr, neurons, work = self.reporter.query(samples.rows, thresholds)
        return Candidates(samples, Lists.from_compressed(*transpose_lists(indptr, neurons, len(W)))), work


class MaxTreeSearch(Search):
    """A tournament over the neurons for every sample [DHSWZ24 Alg. 2 to 4]."""

    name = "max_tree"
    follows_moves = True

    def __init__(self, samples, W, threshold):
        self.samples, self.threshold = samples, threshold
        self.tournament = Tournament(samples.rows, W)
        self.pairs_updated = len(samples) * len(W)

    def moved(self, W, rows):
        if len(rows):
            self.tournament.update(rows, np.ascontiguousarray(W[rows]))
        self.pairs_updated += len(self.samples) * len(rows)

    def candidates(self, W, chosen=None):
        samples = self.samples if chosen is None else self.samples[chosen]
        numbers = np.arange(len(samples)) if chosen is None else chosen
        indptr, neurons, work = self.tournament.query(numbers, self.threshold)
        work += Work(self.pairs_updated, 0, 0)
        self.pairs_updated = 0
        return Candidates(samples, Lists.from_compressed(*transpose_lists(indptr, neurons, len(W)))), work


class DataSearch(Search):
    """A static half-space index over the samples, queried with every neuron that has moved [SYZ21 Alg. 3].

    The paper's two transposed lists are one here: lists of samples per neuron, which is
    the order that the forward and the backward pass read.
    """

    name = "data"
    follows_moves = True

    def __init__(self, samples, W, threshold):
        self.samples, self.threshold = samples, threshold
        self.reporter = HalfSpaceReporter(np.ascontiguousarray(samples.rows[:, : samples.n_significant]))
        self.lists = None
        self.stale = np.ones(len(W), dtype=bool)

    def moved(self, W, rows):
        self.stale[rows] = True

    def candidates(self, W, chosen=None):
        rows = np.flatnonzero(self.stale)
        thresholds = np.full(len(rows), self.threshold, dtype=W.dtype)
        indptr, listed, work = self.reporter.query(np.ascontiguousarray(W[rows]), thresholds)
        fresh = Lists.from_compressed(indptr, listed)
        self.lists = fresh if self.lists is None or len(rows) == len(W) else _merged(self.lists, rows, fresh)
        self.stale[:] = False
        samples, lists = self.samples, self.lists
        if chosen is not None:
            samples, lists = samples[chosen], restricted(lists, chosen, len(samples))
        return Candidates(samples, lists), work + Work(0, 0, len(rows))


def _merged(lists, rows, fresh):
    """Return the lists with those of `rows` replaced."""
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

    def __init__(self, samples, W, threshold):
        self.lists = MaintainedLists(SampleLists(samples), W, threshold)

    def candidates(self, W, chosen=None):
        return self.lists.candidates(W, chosen)

    def learn(self, firing):
        self.lists.learn(firing.counts)


class MarginNodeSearch(Search):
    """Margin lists for all samples and one output, on which near neighbours are taken together, as nodes of a tree."""

    name = "margin"

    def __init__(self, samples, W, threshold):
        self.lists = MaintainedLists(NodeLists(SampleTree(samples)), W, threshold)
        self.history = self.lists.policy

    def candidates(self, W, chosen=None):
        return self.lists.candidates(W)

    def learn(self, firing):
        self.lists.learn(firing.n_kept)


SEARCHES = {search.name: search for search in (MarginSearch, DataSearch, WeightSearch, MaxTreeSearch, BruteSearch)}
SPARSE_SEARCHES = {search.name: search for search in (MarginSearch, BruteSearch)}
