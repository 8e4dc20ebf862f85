"""Draw rows at random by what they hold: equal rows are drawn together, whatever the order in which rows came."""

import numpy as np

# Odd multipliers and shifts of the finaliser of SplitMix64 [Steele, Lea and Flood 2014].
INCREMENT, FIRST_MULTIPLIER, SECOND_MULTIPLIER = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB

# All numbers of 64 bits are less.
EVERYTHING = 1 << 64


def row_keys(X):
    """Return for each row of a dense table a number of 64 bits, the same for equal rows, and else as if by chance."""
    keys = np.zeros(len(X), dtype=np.uint64)
    kind = np.dtype(f"u{X.itemsize}")
    for column in X.T:
        keys = _mixed(keys ^ (column + 0.0).view(kind))  # the sum takes the sign from a zero
    return keys


def drawn_order(keys, seed):
    """Return an order of rows with these keys in which equal ones follow each other, by chance, and where each ends.

    The first of the distinct rows are a random sample of them, and those of a smaller sample are among them.
    """
    keys = mixed(keys, seed)
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    return order, np.append(np.flatnonzero(keys[1:] != keys[:-1]) + 1, len(keys))


def chosen_by_chance(keys, limit, seed):
    """Return which rows are in a random sample of a share of the distinct ones, `limit` / EVERYTHING."""
    return np.ones(len(keys), dtype=bool) if limit >= EVERYTHING else mixed(keys, seed) < np.uint64(limit)


def mixed(keys, seed):
    """Return other keys, the same for equal ones, that look as if drawn anew for every seed."""
    return _mixed(keys ^ np.uint64(seed))


def _mixed(keys):
    """Return numbers of 64 bits, each of whose bits depends on all bits of the ones given."""
    keys = keys + np.uint64(INCREMENT)
    keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(FIRST_MULTIPLIER)
    keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(SECOND_MULTIPLIER)
    return keys ^ (keys >> np.uint64(31))
