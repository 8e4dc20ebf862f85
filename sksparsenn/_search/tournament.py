"""The engine of the threshold search tree over validated arrays: products of all pairs, and their maxima."""

import numpy as np

from sksparsenn._compiled.tournament import neurons_above, store_products
from sksparsenn._search.work import Work
from sksparsenn._utils.memory import require_memory

CACHE_LINE = 64


class Tournament:
    """The tables of a `MaxTree`: changes and answers, with nothing checked and nothing copied.

    X and W are padded rows of the same precision, at least one of each.  `levels` holds the products of
    every sample with all neurons, and above them the largest of every `fan_out` entries.
    """

    def __init__(self, X, W):
        self._X = X
        self.n_samples, self.n_neurons = len(X), len(W)
        self.fan_out = CACHE_LINE // X.dtype.itemsize
        widths = [-(-self.n_neurons // self.fan_out) * self.fan_out]
        while widths[-1] > self.fan_out:
            widths.append(-(-widths[-1] // self.fan_out**2) * self.fan_out)
        self.nbytes = self.n_samples * sum(widths) * X.dtype.itemsize
        purpose = f"a MaxTree over {self.n_samples} samples and {self.n_neurons} neurons"
        require_memory(self.nbytes, purpose, "take fewer of either, or use another search")
        self.levels = [np.full((self.n_samples, width), -np.inf, dtype=X.dtype) for width in widths]
        self.update(np.arange(self.n_neurons), W)

    def update(self, neurons, W):
        """Give new weights, padded rows, to these neurons, all different and at least one."""
        moved = [neurons]
        for _ in self.levels[1:]:
            moved.append(np.unique(moved[-1] // self.fan_out))
        store_products(self._X, W, moved, self.levels, self.fan_out)

    def query(self, samples, cut):
        """Report the neurons whose product with each sample exceeds the cut: compressed rows, and the work.

        The cut is rounded to the precision of the products, to the nearest number.
        """
        indptr, neurons, visited = neurons_above(self.levels[0], self.levels, samples, cut, self.fan_out)
        return indptr, neurons, Work(0, visited, 0)
