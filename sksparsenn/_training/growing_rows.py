"""Rows that grow along the ridge path: a sample of them decides steps for as long as more would change little.

A network with p effective degrees of freedom, fitted to r rows whose targets have noise of variance v, has a loss of
about v/2 (1 - p/r) on these rows and of v/2 (1 + p/r) on others [Mallows 1973; Efron 2004: the optimism of the
training error].  Fitted to all n rows, it would have v/2 (1 + p/n) on others.  So more rows lower the loss on rows
held out by up to

    gain = 1/2 (loss held out - loss on the sample) (1 - r/n),

in which neither p nor v needs to be known.  While the ridge is large, p is small, and few rows are enough; as it falls
the gain grows, and once it is more than a share LARGEST_GAIN of the loss held out, the sample becomes FACTOR times as
large.  Where the score on rows held out has ceased to improve, training goes on from the best weights and their ridge
with all rows.  Samples are nested, and drawn by chance from the distinct rows.

The objective of a sample whose rows have a share s of the weight is that of all rows but for chance: the weights of its
rows are divided by s, and so is the ridge, which on the path is one for a table as long as the sample.
"""

import numpy as np

from sksparsenn._samples.drawing import drawn_order

# With fewer distinct rows, all of them are in every step.
MANY_ROWS = 1 << 16

# Distinct rows at the start, and by what they are multiplied.
FIRST_ROWS, FACTOR = 1 << 13, 2

# The sample grows once all rows would save more than this share of the loss held out.
LARGEST_GAIN = 0.01

# Where weights are so uneven that a sample has less than this part of the weight due to its rows, chance decides too
# much, and all rows are taken.
LEAST_PART = 0.25

# An iteration on many rows has to close this share of what the best score lacks, and a part of the patience is enough,
# since scores on so many rows owe little to chance: by what it is divided on a sample, and on all rows.
WORTH, ON_SAMPLE, ON_ALL = 3e-3, 5, 3


class GrowingRows:
    """Nested samples of the rows of a table.

    Parameters
    ----------
    keys : ndarray
        Of the rows, the same for equal ones, which are in the same samples.
    weights : ndarray
        Of the rows.
    make_problem : callable
        Of rows, as an index, of the share of the weight that they have, and of the weights of neurons, returns the
        `Problem` of these rows.
    seed : int
        Decides which rows come first.
    """

    def __init__(self, keys, weights, make_problem, seed):
        self.order, self.ends = drawn_order(keys, seed)
        self.weights, self.make_problem = weights, make_problem

    def __len__(self):
        """Return the number of distinct rows."""
        return len(self.ends)

    def problem(self, n_rows, W):
        """Return the problem of the first so many distinct rows and of all that are equal to them, or of all rows."""
        rows = np.sort(self.order[: self.ends[min(n_rows, len(self)) - 1]])
        share = float(self.weights[rows].sum() / self.weights.sum())
        if n_rows >= len(self) or share < LEAST_PART * len(rows) / len(self.order):
            return self.make_problem(slice(None), 1.0, W)
        return self.make_problem(rows, share, W)

    def hurry(self, early_stopping, problem):
        """Let training on this problem wait no longer than its iterations are worth."""
        early_stopping.hurry(WORTH, ON_SAMPLE if problem.share < 1 else ON_ALL)

    def go_on_from(self, problem, state, early_stopping):
        """Return the weights from which training goes on with more rows, `state.n_rows` of them; None if these stay."""
        if problem.share == 1:
            return None
        if state.stop_reason == "validation":
            # Chance hides the sign of a small gain, and rows to validate on may be easier than others.
            state.n_rows, state.stop_reason, early_stopping.waited = len(self), "max_iter", 0
            state.n_steps, state.last_step = early_stopping.best_iteration, 0.0
            return early_stopping.best_weights
        gain = gain_of_more_rows(problem, state.point.evaluation.misfit, early_stopping.loss)
        if state.stop_reason == "max_iter" and gain > LARGEST_GAIN:
            state.n_rows *= FACTOR
            return state.point.network.weights
        return None


def gain_of_more_rows(problem, misfit, held_out):
    """Return the share of the loss on rows held out that more rows would save.

    Parameters
    ----------
    problem : Problem
        Of a sample.
    misfit : float
        Of the network, on the sample.
    held_out : float
        Its mean loss on the rows held out.
    """
    if not (0 < held_out < np.inf):
        return 0.0
    return 0.5 * (1 - misfit / problem.total_weight / held_out) * (1 - problem.share)
