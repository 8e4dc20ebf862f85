"""Folds: the rows that each member of a committee trains on, and those that it leaves out.

Rows that are equal in X, or belong to one group, stay together: otherwise a member would know rows that it leaves out.
What is dealt to the folds are units of such rows, in an order that depends neither on the order of rows nor on how
often a row is repeated, so that a row of weight two counts as two rows.
"""

from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_array, issparse
from scipy.sparse.csgraph import connected_components
from sklearn.utils.validation import column_or_1d

from sksparsenn._samples.drawing import row_keys
from sksparsenn._samples.sparse_table import canonical, lexicographic_ranks

# Committees of cv="auto": five networks up to so many distinct rows; beyond, one that leaves out a fifth of them, or as
# many as tell its error to a third of a per cent.
AUTO_FOLDS, MANY_ROWS, ENOUGH_LEFT_OUT = 5, 10_000, 50_000


class Folds(NamedTuple):
    """The part that rows with the same label have in the training of each member."""

    labels: np.ndarray
    """(n_samples,); -1 for rows that take no part."""

    trains: np.ndarray
    """Whether a member trains on rows of a label, (n_members, n_labels)."""

    leaves_out: np.ndarray
    """Whether a member leaves them out and is stopped by them, (n_members, n_labels)."""

    def __len__(self):
        return len(self.trains)

    @property
    def are_left_out(self):
        """Whether some member leaves a row out, or the row takes no part in any."""
        return np.append(self.leaves_out.any(axis=0), True)[self.labels]


def make_folds(cv, X, y, weights, groups, *, classes, seed):
    """Return the folds that `cv`, the parameter of estimators, stands for.

    Parameters
    ----------
    cv : "auto" or int
    X : ndarray or sparse matrix
    y : ndarray
    weights : ndarray
        Rows of weight zero get the label -1.
    groups : ndarray or None
    classes : ndarray or None
        For classifiers, to give folds about the same shares of the classes.
    seed : int
    """
    kept = weights > 0
    X, y, weights, groups = X[kept], y[kept], weights[kept], None if groups is None else groups[kept]
    units = units_of_rows(X, groups)
    n_units = int(units.max()) + 1
    alone = cv == "auto" and n_units > MANY_ROWS
    n_folds = max(AUTO_FOLDS, -(-n_units // ENOUGH_LEFT_OUT)) if cv == "auto" else cv
    if n_units < 2 and cv != "auto":
        raise ValueError(
            f"cv={cv} leaves a fold out, but the rows of X that weigh something are all equal or of one group, "
            "as one sample: give others, or set cv=None."
        )
    fold_of_unit = _dealt(units, n_units, y, weights, min(n_folds, n_units), classes, seed)
    if alone:
        fold_of_unit = np.minimum(fold_of_unit, 1)
    leaves_out = np.eye(fold_of_unit.max() + 1, dtype=bool)
    trains = ~leaves_out
    if n_units < 2:  # nothing can be left out
        trains = leaves_out
    if alone:
        leaves_out, trains = leaves_out[:1], trains[:1]
    return Folds(of_all_rows(fold_of_unit[units], kept), trains, leaves_out)


def given_folds(cv, X, y, weights, groups):
    """Return the folds that a splitter or a list of splits names; rows that weigh nothing get the label -1."""
    splits = list(cv.split(X, y, groups) if hasattr(cv, "split") else cv)
    if not splits:
        raise ValueError("cv holds no split: give some, a number of folds, or None.")
    trains, leaves_out = np.zeros((2, len(splits), len(y)), dtype=bool)
    for member, split in enumerate(splits):
        try:
            train, test = split
            trains[member, train] = True
            leaves_out[member, test] = True
        except (IndexError, TypeError, ValueError) as error:
            raise ValueError(
                f"split {member} of cv has to be a pair of arrays, the numbers of rows to train on and to leave out, "
                f"each below {len(y)}: {error}."
            ) from error
    kept = weights > 0
    trains, leaves_out = trains[:, kept], leaves_out[:, kept]
    for member in range(len(splits)):
        for part, name in ((trains, "train on"), (leaves_out, "leave out")):
            if not part[member].any():
                raise ValueError(f"split {member} of cv has no row of positive weight to {name}: leave it away.")
    patterns, labels = np.unique(np.concatenate([trains, leaves_out]), axis=1, return_inverse=True)
    return Folds(of_all_rows(labels.ravel(), kept), *np.split(patterns, 2))


def of_all_rows(labels, kept):
    """Return the labels of the rows that are kept, and -1 for the others."""
    everywhere = np.full(len(kept), -1)
    everywhere[kept] = labels
    return everywhere


def checked_groups(groups, X):
    """Return groups as an array with one for each row, or an error that names them."""
    groups = column_or_1d(groups, warn=True)
    if groups.dtype.kind == "O" and len({type(group) for group in groups}) > 1:
        raise ValueError("groups hold objects of several types, which have no order: give numbers, or texts, only.")
    if len(groups) != X.shape[0]:
        raise ValueError(f"groups holds {len(groups)} entries, but X {X.shape[0]} samples: give one for each.")
    return groups


def units_of_rows(X, groups=None):
    """Return for each row the number of its unit: of rows that are equal, or connected by groups."""
    ranks = np.unique(_ranks(X), return_inverse=True)[1].ravel()
    if groups is None:
        return ranks
    group = np.unique(groups, return_inverse=True)[1].ravel()
    n_rows, n_groups = int(ranks.max()) + 1, int(group.max()) + 1
    edges = coo_array((np.ones(len(ranks)), (ranks, n_rows + group)), shape=(n_rows + n_groups,) * 2)
    unit = connected_components(edges, directed=False)[1][ranks]
    first = np.full(unit.max() + 1, len(ranks))
    np.minimum.at(first, unit, ranks)
    return np.unique(first[unit], return_inverse=True)[1].ravel()


def _ranks(X):
    """Return a number for each row, equal for equal rows and different for others, that depends on no other row."""
    if issparse(X):
        return lexicographic_ranks(canonical(X))
    if len(X) > MANY_ROWS:
        keys = row_keys(X)
        if len(np.unique(keys)) > MANY_ROWS:  # sorting by all columns takes seconds for a million rows
            return keys
    order = np.lexsort(X.T)
    new = np.ones(len(X), dtype=bool)
    new[1:] = (X[order[1:]] != X[order[:-1]]).any(axis=1)
    ranks = np.empty(len(X), dtype=np.int64)
    ranks[order] = np.cumsum(new)
    return ranks


def _dealt(units, n_units, y, weights, n_folds, classes, seed):
    """Return the fold of each unit; those of each class are dealt out one by one, so that folds have alike shares."""
    shuffled = np.random.RandomState(seed).permutation(n_units)
    if classes is not None:
        totals = np.zeros((n_units, len(classes)))
        np.add.at(totals, (units, np.searchsorted(classes, y)), weights)
        shuffled = shuffled[np.argsort(totals.argmax(axis=1)[shuffled], kind="stable")]
    folds = np.empty(n_units, dtype=np.int64)
    folds[shuffled] = np.arange(n_units) % n_folds
    return folds
