"""Counts of what a search did."""

from typing import NamedTuple


class Work(NamedTuple):
    """Counts of one search; unlike times, they are the same in every run."""

    pairs_evaluated: int
    """Inner products of a neuron with a sample."""

    nodes_visited: int
    """Tree nodes tested."""

    neurons_rescanned: int
    """Neurons whose samples were searched for anew."""

    def __add__(self, other):
        return Work(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))
