"""The rows in parts that one network trains on, or leaves out: problems and scores made of them."""

from typing import NamedTuple

import numpy as np

from sksparsenn._samples.drawing import EVERYTHING, chosen_by_chance, mixed
from sksparsenn._search.choice import make_search, make_validation_search
from sksparsenn._training.early_stopping import HeldOutRows
from sksparsenn._training.growing_rows import LEAST_PART, MANY_ROWS, GrowingRows, begin_with_few
from sksparsenn._training.problem import Problem
from sksparsenn._training.summed_problem import SummedHeldOutRows, SummedProblem, WeightedHeldOutRows
from sksparsenn._utils.parts import Column, Parts


class Draw(NamedTuple):
    """A random sample of rows: those whose keys, mixed with the seed, lie below the limit."""

    limit: int
    seed: int


ALL_ROWS = Draw(EVERYTHING, 0)

# So many rows take little memory, and so do lists of who fires, of so many pairs of rows and neurons.
FEW_ROWS, FEW_PAIRS = 1 << 20, 1 << 30


class Terms(NamedTuple):
    """What the problem of a part is made of, beside its rows."""

    network: object
    """Whose search and precision it is."""
    n_features: int
    """Of a sample, without padding."""
    loss: object
    search: str
    divisor: float
    """Of the weights of rows."""
    total_weight: float


class NetworkRows(NamedTuple):
    """The rows that a network trains on, and those that it leaves out."""

    parts: Parts
    lifted: Column
    trains: np.ndarray
    leaves_out: np.ndarray | None
    """For each label, whether the network trains on its rows, and leaves them out."""
    place: int
    """Of the network in the committee."""

    def totals(self, draw=ALL_ROWS):
        """Return the number of rows to train on, of a sample, and their weight."""
        n_rows, weight = self.parts.sum(totals_of, self.lifted, self.trains, draw)
        return int(n_rows), float(weight)

    def problem(self, terms, n_rows, share=1.0, draw=ALL_ROWS):
        """Return the problem of the rows to train on, or of a sample of them that has this share of their weight."""
        terms = terms._replace(divisor=terms.divisor * share)
        parts, rows = self._together(n_rows, terms.network, chosen_part, self.lifted, self.trains, draw)
        if parts is self.parts and parts.bring_together:  # lists would be made anew for each use
            terms = terms._replace(search="brute")
        problems, keys = parts.map(problem_of, rows, self.place, terms), parts.map(keys_of, rows)
        return SummedProblem(
            parts, problems, keys, n_rows, terms.n_features, total_weight=terms.total_weight, share=share,
            loss=terms.loss, search_name="margin" if terms.search == "auto" else terms.search,
        )  # fmt: skip

    def held_out(self, targets, network):
        """Return the rows left out, as what scores networks."""
        n_rows = int(self.parts.sum(totals_of, self.lifted, self.leaves_out, ALL_ROWS)[0])
        parts, rows = self._together(n_rows, network, chosen_part, self.lifted, self.leaves_out, ALL_ROWS)
        return SummedHeldOutRows(parts, parts.map(held_out_of, rows, self.place, targets, network))

    def _together(self, n_rows, network, function, *arguments):
        """Return parts and a column of rows that a function chooses: few are brought together where that is wanted."""
        few = n_rows <= FEW_ROWS and n_rows * len(network.weights) <= FEW_PAIRS
        if self.parts.bring_together and few:
            rows = self.parts.sum(function, *arguments)
            return Parts(), Column([rows if rows.weights.all() else rows.part(rows.weights > 0)])
        return self.parts, self.parts.map(function, *arguments)

    def smallest_keys(self, seed):
        """Return the `SmallestKeys` of the rows to train on."""
        return self.parts.sum(SmallestKeys.of, self.lifted, self.trains, seed)


class SmallestKeys(NamedTuple):
    """The smallest of all distinct mixed keys, ascending; from how far they reach follows how many there are."""

    keys: np.ndarray
    most = MANY_ROWS + 1

    @classmethod
    def of(cls, lifted, trains, seed):
        """Return the smallest keys of the rows of a part to train on."""
        return cls(np.unique(mixed(lifted.keys[trains[lifted.labels]], seed))[: cls.most])

    def __add__(self, other):
        return SmallestKeys(np.union1d(self.keys, other.keys)[: self.most])

    @property
    def n_distinct(self):
        """The number of distinct keys: counted, or else estimated from the largest of these."""
        if len(self.keys) < self.most:
            return len(self.keys)
        return int(len(self.keys) * (EVERYTHING / float(self.keys[-1])))

    def limit(self, n_rows):
        """Return below which number so many distinct keys lie, counted or estimated."""
        if n_rows < len(self.keys):
            return int(self.keys[n_rows])
        return min(int(n_rows / self.n_distinct * EVERYTHING), EVERYTHING)


class SummedGrowingRows(GrowingRows):
    """Nested samples of rows in parts.

    Parameters
    ----------
    rows : NetworkRows
    terms : Terms
    seed : int
        Decides which rows come first.
    """

    def __init__(self, rows, terms, seed):
        self.rows, self.terms, self.seed, self.keys = rows, terms, seed, rows.smallest_keys(seed)
        self.totals = rows.totals()

    def __len__(self):
        return self.keys.n_distinct

    def problem(self, n_rows, W):
        """Return the problem of the first so many distinct rows and of all that are equal to them, or of all rows."""
        terms = self.terms._replace(network=self.terms.network._replace(weights=W))
        n_all, weight = self.totals
        if n_rows < len(self):
            draw = Draw(self.keys.limit(n_rows), self.seed)
            n_drawn, drawn = self.rows.totals(draw)
            if drawn >= LEAST_PART * weight * n_drawn / n_all and n_drawn < n_all:
                return self.rows.problem(terms, n_drawn, drawn / weight, draw)
        return self.rows.problem(terms, n_all)


def summed_growing_rows(member, n_rows, terms, state):
    """Return `SummedGrowingRows` for the training of a member, which begins with few of its rows.

    Return None if the member has no rows left out to tell when to grow, or too few distinct rows to draw from.
    """
    if member.early_stopping is None or n_rows <= MANY_ROWS:
        return None
    begin_with_few(state, member.random_state)
    growing = SummedGrowingRows(member.rows, terms, state.row_seed)
    return growing if len(growing) > MANY_ROWS else None


# -- of each part -----------------------------------------------------------------------------------


def chosen_rows(lifted, trains, draw):
    """Return which rows of a part a network trains on, of a sample."""
    return trains[lifted.labels] & chosen_by_chance(lifted.keys, *draw)


def totals_of(lifted, trains, draw):
    """Return how many rows are chosen, and their weight."""
    chosen = chosen_rows(lifted, trains, draw)
    return np.array([np.count_nonzero(chosen), lifted.weights[chosen].sum()])


def chosen_part(lifted, trains, draw):
    """Return the rows of a part that are chosen, or one that weighs nothing: kernels take no empty tables."""
    rows = np.flatnonzero(chosen_rows(lifted, trains, draw))
    if len(rows):
        return lifted.part(rows)
    return lifted.part(np.zeros(1, dtype=np.int64))._replace(weights=np.zeros(1))


def keys_of(rows):
    """Return the keys of the rows of a problem."""
    return rows.keys


def problem_of(rows, place, terms):
    """Return the `Problem` of a part for the network in that place."""
    network = terms.network
    search = make_search(terms.search, rows.samples, network.weights, network.threshold, in_batches=False)
    weights, offsets = rows.weights / terms.divisor, None if rows.offsets is None else rows.offsets[place]
    return Problem(rows.samples, rows.y, weights, terms.loss, search, terms.total_weight, None, offsets)


def held_out_of(rows, place, targets, network):
    """Return the `WeightedHeldOutRows` of a part."""
    weight = float(rows.weights.sum())
    if not weight:
        return WeightedHeldOutRows(None, 0.0)
    search = make_validation_search(rows.samples, network.weights, network.threshold, in_batches=False)
    score = targets.scorer(rows.encoded, rows.weights, are_fold=True)
    offsets = None if rows.offsets is None else rows.offsets[place]
    return WeightedHeldOutRows(
        HeldOutRows(search, score, offsets, targets.mean_loss(rows.encoded, rows.weights)), weight
    )
