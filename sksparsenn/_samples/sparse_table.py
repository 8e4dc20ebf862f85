"""Tables in compressed sparse rows: their canonical form, mean and spread, and the order of their rows."""

import numpy as np
from scipy.sparse import csr_array

from sksparsenn._utils.range import aligned_table


def canonical(X):
    """Return X in CSR with ascending columns, stored once each and none as zero; a copy only where it has to be."""
    X = aligned_table(X.tocsr())
    if X.shape[1] > np.iinfo(np.int32).max - 16:
        raise ValueError(f"X has {X.shape[1]} features: those of sparse X are numbered with 32 bits; use fewer.")
    if X.nnz and not (X.indices.min() >= 0 and X.indices.max() < X.shape[1]):
        raise ValueError(f"X is no valid CSR matrix: it stores entries outside of its {X.shape[1]} columns.")
    if not X.has_canonical_format:
        X = X.copy()
        X.sum_duplicates()
        if not np.isfinite(X.data).all():
            raise ValueError("Input X contains infinity: it stores an entry more than once, and the sum is too large.")
    if not X.data.all():
        X = X.copy()
        X.eliminate_zeros()
    return X


def row_numbers(X):
    """Return the row of each stored entry."""
    return np.repeat(np.arange(X.shape[0]), np.diff(X.indptr))


def mean_and_spread(X, shares):
    """Return the weighted mean of the rows, their root mean square distance from it, and X's largest entry (or 1).

    Both parts of sum_i shares_i (x_ij - c_j)^2, over the entries and over the zeros of a
    column, are sums of squares: nothing cancels, however far a column lies from zero.
    """
    n_samples, n_features = X.shape
    share, column = shares[row_numbers(X)], X.indices
    unit = float(np.abs(X.data).max(initial=0)) or 1.0  # so that squares neither overflow nor vanish
    data = X.data.astype(np.float64) / unit
    mean = np.bincount(column, weights=share * data, minlength=n_features)
    zeros = 1 - np.bincount(column, weights=share, minlength=n_features)
    zeros[np.bincount(column, minlength=n_features) == n_samples] = 0
    squares = share @ (data - mean[column]) ** 2 + np.maximum(zeros, 0) @ mean**2
    return mean * unit, float(np.sqrt(squares)) * unit, unit


def column_spreads(X, shares):
    """Return the weighted standard deviation of each column."""
    n_features = X.shape[1]
    share, column = shares[row_numbers(X)], X.indices
    unit = np.zeros(n_features)
    np.maximum.at(unit, column, np.abs(X.data))
    data = X.data / np.where(unit > 0, unit, 1.0)[column]
    mean = np.bincount(column, weights=share * data, minlength=n_features)
    zeros = np.maximum(1 - np.bincount(column, weights=share, minlength=n_features), 0)
    squares = np.bincount(column, weights=share * (data - mean[column]) ** 2, minlength=n_features) + zeros * mean**2
    spreads = np.sqrt(squares)
    spreads[spreads <= 1000 * np.finfo(np.float64).eps] = 0  # of a constant column, whose mean is off by some digits
    return spreads * unit


def columns_to_centre(centre, spread):
    """Return the columns to store with their centre subtracted: the rest of the centre is no longer than the spread.

    The rest is subtracted from inner products, not from entries; were it much longer than
    the centred rows, digits would be lost.  By Cauchy and Schwarz c_j^2 is at most the
    variance of column j if at most half of it is not zero.  So the columns taken here, the
    largest of the centre, are no more than those mostly full, and storing them at most
    triples the entries.
    """
    size = np.abs(centre)
    order = np.argsort(-size, kind="stable")
    unit = size.max(initial=0) or 1.0
    rest = np.sqrt(np.cumsum((size[order][::-1] / unit) ** 2)[::-1]) * unit  # rest[k]: its length without the k largest
    return np.sort(order[: np.count_nonzero(rest > spread)])


def centred_in(X, centre, columns):
    """Return X less the centre in some columns."""
    n_samples, k = X.shape[0], len(columns)
    if k == 0:
        return X
    data = np.tile(-centre[columns], n_samples)
    shift = csr_array((data, np.tile(columns, n_samples), np.arange(n_samples + 1) * k), shape=X.shape)
    return csr_array(X) + shift


def in_canonical_order(X, y, weights, labels):
    """Return the distinct rows of (X, y, labels) in the lexicographic order of dense rows, and their added weights."""
    X = canonical(X)
    rank = lexicographic_ranks(X)
    order = np.lexsort([labels, *y.T, rank])
    rank, y, weights, labels = rank[order], y[order], weights[order], labels[order]
    distinct = np.ones(len(order), dtype=bool)
    distinct[1:] = (rank[1:] != rank[:-1]) | (y[1:] != y[:-1]).any(axis=1) | (labels[1:] != labels[:-1])
    weights = np.add.reduceat(weights, np.flatnonzero(distinct))
    return X[order[distinct]], y[distinct], weights, labels[distinct]


def lexicographic_ranks(X):
    """Return for each row of a canonical X the number of smaller rows, where the last column that differs decides.

    Rows are compared entry by entry, from their last ones on.  At the first difference the
    smaller row is the one with a negative entry further right, then the one that has come
    to its end or has entries further left only, then the one with a positive entry further
    right: so the key of an entry is its column, counted from 1, with the sign of its value;
    the key of an end is 0; and the value decides in the same column.
    """
    ranks = np.zeros(X.shape[0], dtype=np.int64)
    tied, step = np.arange(X.shape[0]), 0
    while len(tied) > 1:
        step += 1
        entry = X.indptr[tied + 1].astype(np.int64) - step
        ended = entry < X.indptr[tied]
        entry[ended] = 0
        value = np.where(ended, 0, X.data[entry]) if X.nnz else np.zeros(len(tied))
        key = np.sign(value) * (X.indices[entry] + 1.0) if X.nnz else value
        order = np.lexsort([value, key, ranks[tied]])
        tied, key, value = tied[order], key[order], value[order]
        new_rank = _starts_new(ranks[tied])
        new_group = new_rank | _starts_new(key) | _starts_new(value)
        positions = np.arange(len(tied))
        ranks[tied] += np.maximum.accumulate(positions * new_group) - np.maximum.accumulate(positions * new_rank)
        alone = new_group & np.append(new_group[1:], True)
        tied = tied[~alone & (key != 0)]
    return ranks


def _starts_new(numbers):
    """Return where a number differs from the one before it; true for the first."""
    return np.concatenate([[True], numbers[1:] != numbers[:-1]])
