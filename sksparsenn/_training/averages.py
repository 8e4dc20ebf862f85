"""Which weights first-order training returns: the last, means over all steps or an epoch, those after a random step."""

import numpy as np


class LastIterate:
    """The last weights."""

    remembered = ()

    def begin(self, random_state):
        """Draw a seed if one is needed and none is remembered from training that is taken up again."""

    def begin_epoch(self):
        """Forget weights of earlier epochs, if they do not count."""

    def note(self, weights):
        """Record the weights after a step."""

    def weights(self, last):
        """Return the weights to keep, given the last ones."""
        return last


class MeanIterate(LastIterate):
    """The mean of the weights after each step."""

    remembered = "kept", "n_steps"

    def __init__(self):
        self.kept, self.n_steps = None, 0

    def note(self, weights):
        self.n_steps += 1
        if self.kept is None:
            self.kept = np.zeros(weights.shape)
        change = weights - self.kept
        change /= self.n_steps
        self.kept += change

    def weights(self, last):
        return self.kept.astype(last.dtype, copy=False)


class EpochMean(MeanIterate):
    """The mean of the weights after each step of the last epoch: what chance does to single steps averages out."""

    def begin_epoch(self):
        self.kept, self.n_steps = None, 0


class RandomIterate(MeanIterate):
    """The weights after a uniformly random step [QSY23 Alg. 1].

    It is drawn as the steps go by, so it is uniform among the steps taken.
    """

    remembered = "kept", "n_steps", "seed"

    def __init__(self):
        super().__init__()
        self.seed = None

    def begin(self, random_state):
        if self.seed is None:
            self.seed = random_state.randint(2**31 - 1)

    def note(self, weights):
        self.n_steps += 1
        # One number for each step, the same if training was interrupted and taken up again.
        if np.random.default_rng([self.seed, self.n_steps]).uniform() * self.n_steps < 1:
            self.kept = weights.copy()


AVERAGES = {"last": LastIterate, "mean": MeanIterate, "epoch": EpochMean, "random": RandomIterate}
