"""Batches of first-order training: all samples, some drawn with replacement, or each sample of a part once."""

import numpy as np


class AllRows:
    """Draws all samples for each step."""

    n_batches = 1

    def __init__(self, problem):
        self.problem = problem

    @property
    def n_rows(self):
        """The number of samples in the sums of an iteration."""
        return len(self.problem)

    def __call__(self):
        """Return the problem of all samples."""
        return self.problem


class BatchSampler:
    """Draws batches with replacement, a sample with probability equal to its share of the weight."""

    def __init__(self, problem, batch_size, random_state):
        self.problem, self.batch_size, self.random_state = problem, batch_size, random_state
        self.n_batches = max(1, round(len(problem) / batch_size))
        self.n_rows = self.n_batches * batch_size
        self.cumulated = np.cumsum(problem.weights)

    def __call__(self):
        """Return the problem of the next batch."""
        places = self.random_state.uniform(size=self.batch_size) * self.cumulated[-1]
        samples, times = np.unique(np.searchsorted(self.cumulated, places), return_counts=True)
        return self.problem.batch(samples, times / self.batch_size)


class SinglePass:
    """Draws batches, in random order, in which each sample comes once, with its weight in the part."""

    def __init__(self, problem, batch_size, random_state):
        self.problem = problem
        self.n_rows = n = len(problem)
        self.n_batches = 1 if batch_size is None else -(-n // batch_size)
        self.parts = iter(np.array_split(random_state.permutation(n), self.n_batches))

    def __call__(self):
        """Return the problem of the next batch."""
        problem = self.problem
        if self.n_batches == 1:
            return problem
        samples = np.sort(next(self.parts))
        return problem.batch(samples, problem.weights[samples] * len(problem) / len(samples))
