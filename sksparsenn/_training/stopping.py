"""When first-order training stops: once the loss has ceased to fall."""

import numpy as np


class Stopping:
    """Stops training once the loss has not fallen by tol below its best for a number of iterations in a row.

    Losses of batches are noisy, and those with kinks go up and down: there, that number of
    losses is averaged, and the average compared with the one before it.
    """

    remembered = "best", "waited", "first"

    def __init__(self, tol, n_iter_no_change, noisy):
        self.tol, self.n_iter_no_change, self.noisy = tol, n_iter_no_change, noisy
        self.best, self.waited, self.first = np.inf, 0, 0

    def begin_after(self, curve):
        """Compare losses with those of iterations from now on only: the rows are others."""
        self.best, self.waited, self.first = np.inf, 0, len(curve)

    def reached(self, curve):
        """Return whether the loss has ceased to fall."""
        patience, curve = self.n_iter_no_change, curve[self.first :]
        if self.noisy:
            recent, before = curve[-patience:], curve[-2 * patience : -patience]
            return len(before) == patience and np.mean(recent) > np.mean(before) - self.tol
        self.waited = 0 if curve[-1] < self.best - self.tol else self.waited + 1
        self.best = min(self.best, curve[-1])
        return self.waited >= patience
