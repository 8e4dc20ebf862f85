"""Early stopping: a score on rows held out, after every iteration; the best weights are kept."""

import numpy as np

# Scores are R2 or minus losses near one: who lacks so little gains nothing by a small share of it.
LITTLE = 1e-2


class HeldOutRows:
    """Rows held out, which score networks.

    Parameters
    ----------
    search : Search
        Finds who fires on them; it must not need to follow moves.
    score : callable
        Of the network's outputs on them: the larger the better.
    offsets : ndarray, optional
        What is added to the outputs.
    mean_loss : callable, optional
        Of the outputs, for who asks for the `loss`.
    """

    def __init__(self, search, score, offsets=None, mean_loss=None):
        self.search, self.score, self.offsets, self.mean_loss = search, score, offsets, mean_loss
        self.outputs = None

    def outputs_of(self, network):
        """Return the outputs of a network on the rows."""
        candidates, _ = self.search.candidates(network.weights)
        firing, outputs = candidates.forward(network)
        self.search.learn(firing)
        return outputs if self.offsets is None else outputs + self.offsets

    def score_of(self, network):
        """Return the score of a network; outputs that overflow score worst."""
        self.outputs = self.outputs_of(network)
        return float(self.score(self.outputs)) if np.isfinite(self.outputs).all() else -np.inf

    @property
    def loss(self):
        """The mean loss of the network that was scored last; infinite if its outputs overflow."""
        return float(self.mean_loss(self.outputs)) if np.isfinite(self.outputs).all() else np.inf


class EarlyStopping:
    """Remembers the best of the networks that it sees, by their scores on rows held out.

    Parameters
    ----------
    held_out : HeldOutRows or SummedHeldOutRows
    perfect : float
        The score of a network that makes no error.
    tol, n_iter_no_change
        Training should stop when this many iterations in a row have not brought the score closer
        to the perfect one, by a share tol of what the best lacks, or of LITTLE if it lacks less.
    """

    remembered = "scores", "best_score", "best_iteration", "best_weights", "waited"

    def __init__(self, held_out, perfect, tol, n_iter_no_change):
        self.held_out, self.perfect = held_out, perfect
        self.tol, self.n_iter_no_change = self.asked = tol, n_iter_no_change
        self.scores, self.waited = [], 0
        self.best_score, self.best_iteration, self.best_weights = -np.inf, 0, None

    @property
    def loss(self):
        """The mean loss of the network that was scored last; infinite if its outputs overflow."""
        return self.held_out.loss

    def hurry(self, least_tol, divisor):
        """From here on, ask for gains of at least that share, with a part of the patience that was asked for."""
        tol, n_iter_no_change = self.asked
        self.tol, self.n_iter_no_change = max(tol, least_tol), max(n_iter_no_change // divisor, 1)

    def reached(self, network, changed=True):
        """Score the network after an iteration; return whether to stop.

        Iterations that changed nothing repeat the last score and do not count as waiting.
        """
        if self.scores and not changed:
            self.scores.append(self.scores[-1])
            return False
        # Divergence is detected by the training loss.
        score = self.held_out.score_of(network)
        self.scores.append(score)
        lacks = self.perfect - self.best_score
        needed = self.tol * max(lacks, LITTLE) if np.isfinite(lacks) else 0.0
        self.waited = 0 if score > self.best_score + needed else self.waited + 1
        if score > self.best_score or self.best_weights is None:
            self.best_score, self.best_iteration = score, len(self.scores)
            self.best_weights = network.weights.copy()
        return self.waited >= self.n_iter_no_change
