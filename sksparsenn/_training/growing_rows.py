"""Rows that grow as training goes on: a sample of them decides steps for as long as more would change little.

A network with p effective degrees of freedom, fitted to r rows whose targets have noise of variance v, has a loss of
about v/2 (1 - p/r) on these rows and of v/2 (1 + p/r) on others [Mallows 1973; Efron 2004: the optimism of the
training error].  Fitted to all n rows, it would have v/2 (1 + p/n) on others.  So more rows lower the loss on rows
held out by up to

    gain = 1/2 (loss held out - loss on the sample) (1 - r/n),

in which neither p nor v needs to be known.  While the ridge is large, or the steps of gradient descent are few, p is
small, and few rows are enough; as the ridge falls, or the steps add up, the gain grows, and once it is more than a
share LARGEST_GAIN of the loss held out, the sample becomes FACTOR times as large.  Where the score on rows held out has
ceased to improve, training goes on from the best weights and their ridge with all rows.  Samples are nested, and drawn
by chance from the distinct rows.

The objective of a sample whose rows have a share s of the weight is that of all rows but for chance: the weights of its
rows are divided by s, and so is the ridge where it falls, which on the path is one for a table as long as the sample.
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

# Why training on a sample ends, and goes on with all rows.
ENDS_OF_A_SAMPLE = {"validation", "tol"}


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

    def go_on_from(self, problem, state, mean_loss, early_stopping):
        """Return the weights from which training goes on with more rows, `state.n_rows` of them; None if these stay.

        Parameters
        ----------
        problem : Problem
            Of a sample.
        state : State
            Of training.
        mean_loss : float
            Of the present network, on the sample.
        early_stopping : EarlyStopping
        """
        if problem.share == 1:
            return None
        if state.stop_reason in ENDS_OF_A_SAMPLE:
            # Chance hides the sign of a small gain, and rows to validate on may be easier than others.
            state.n_rows, state.stop_reason, early_stopping.waited = len(self), "max_iter", 0
            state.return_to(early_stopping.best_iteration)
            return early_stopping.best_weights
        if gain_of_more_rows(problem.share, mean_loss, early_stopping.loss) > LARGEST_GAIN:
            state.n_rows *= FACTOR
            return state.weights
        return None


def growing_rows(member, weights, make_problem, state):
    """Return `GrowingRows` for the training of a member, which begins with few if `state` is new.

    Return None if the member has no rows left out to tell when to grow, or too few distinct rows to draw from.
    """
    if member.early_stopping is None or member.keys is None or len(weights) <= MANY_ROWS:
        return None
    begin_with_few(state, member.random_state)
    growing = GrowingRows(member.keys, weights, make_problem, state.row_seed)
    return growing if len(growing) > MANY_ROWS else None


def begin_with_few(state, random_state):
    """Let training that is new begin with few rows; a seed is taken from the generator without moving it.

    So what is drawn later is the same with few rows and many.
    """
    if not state.n_rows:
        state.n_rows, state.row_seed = FIRST_ROWS, int(random_state.get_state()[1][0])


def gain_of_more_rows(share, mean_loss, held_out):
    """Return the share of the mean loss on rows held out that all rows would save, beside a sample of such a share."""
    if not (0 < held_out < np.inf):
        return 0.0
    return 0.5 * (1 - mean_loss / held_out) * (1 - share)
