"""From partitions of a Dask collection to checked rows on the workers."""

from typing import NamedTuple

import numpy as np
from scipy.sparse import issparse
from sklearn.utils import check_array, column_or_1d

from sksparsenn._estimators.held_out import first_bad_row
from sksparsenn._estimators.start import Rows
from sksparsenn._utils.range import aligned_table


class Partition(NamedTuple):
    """The delayed arrays of one partition."""

    X: object
    y: object
    weights: object


def partitions_of(X, y, sample_weight):
    """Return the `Partition`s of Dask arrays or data frames."""
    if getattr(X, "ndim", 2) != 2:
        raise ValueError(f"X has {X.ndim} dimensions, but has to have 2: rows and features.")
    columns = []
    for name, collection in (("X", X), ("y", y), ("sample_weight", sample_weight)):
        if collection is None:
            columns.append(None)
            continue
        if not hasattr(collection, "to_delayed"):
            raise TypeError(
                f"{name} is a {type(collection).__name__}, but has to be a Dask array or data frame: use "
                "dask.array.from_array, or the estimator without Dask."
            )
        if hasattr(collection, "rechunk"):
            collection = collection.rechunk({1: -1}) if collection.ndim == 2 else collection
        columns.append(np.asarray(collection.to_delayed(), dtype=object).reshape(-1).tolist())
    X, y, weights = columns
    weights = [None] * len(X) if weights is None else weights
    for name, column in (("y", y), ("sample_weight", weights)):
        if len(column) != len(X):
            raise ValueError(
                f"X has {len(X)} partitions, but {name} has {len(column)}: rechunk or repartition it like X."
            )
    return [Partition(*parts) for parts in zip(X, y, weights, strict=True)]


# -- on the workers --------------------------------------------------------------------------------


def checked_rows(X, y, weights, number, labels):
    """Return the checked rows of a partition that weigh something, `Rows`, or None if it has none.

    Parameters
    ----------
    X, y, weights : array, data frame or series; weights may be None
    number : int
        Of the partition, for messages.
    labels : bool
        Whether y holds labels of classes.
    """
    where = f"partition {number}"
    if issparse(X):
        raise TypeError(f"{where} of X is sparse, which only estimators without Dask take: make it dense.")
    for name, column in (("y", y), ("sample_weight", weights)):
        if column is not None and len(column) != len(X):
            raise ValueError(f"{where} of X holds {len(X)} rows, but that of {name} {len(column)}: give one for each.")
    if len(X) == 0:
        return None
    X = check_array(X, dtype=[np.float64, np.float32], order="C", ensure_all_finite=False)
    require_finite(X, "X", where)
    y = np.asarray(y)
    y = column_or_1d(y) if labels or y.ndim != 2 or (y.shape[1] == 1 and hasattr(y, "columns")) else y
    if not labels and y.dtype.kind not in "fiub":
        raise ValueError(f"{where} of y has to hold numbers, got an array of {y.dtype}; a classifier takes labels.")
    if y.dtype.kind == "f":
        require_finite(y, "y", where)
    missing = [row for row, label in enumerate(y) if label is None or label != label] if y.dtype.kind == "O" else []
    if missing:
        raise ValueError(f"{where} of y holds no label in its row {missing[0]}: remove or replace such rows.")
    weights = np.ones(len(X)) if weights is None else np.asarray(weights, dtype=np.float64).reshape(-1)
    require_finite(weights, "sample_weight", where)
    if weights.min() < 0:
        raise ValueError(f"{where} of sample_weight holds {weights.min():.4g}: weights have to be positive or zero.")
    rows = Rows(aligned_table(X), y if labels else y.astype(np.float64), weights).that_weigh_something()
    return rows if len(rows.y) else None


def require_finite(values, name, where):
    """Raise ValueError, naming the first row, if some value is not finite."""
    row = first_bad_row(values)
    if row is not None:
        raise ValueError(f"{where} of {name} holds NaN or infinity in its row {row}: remove or replace such rows.")


def is_empty(partition):
    """Return whether a checked partition has no row that weighs something."""
    return partition is None


def joined_rows(*partitions):
    """Return the rows of several partitions as one part."""
    if len({rows.X.shape[1] for rows in partitions}) > 1:
        raise ValueError(f"partitions of X have {sorted({rows.X.shape[1] for rows in partitions})} features.")
    if len(partitions) == 1:
        return partitions[0]
    X, y, weights = (np.concatenate(columns) for columns in zip(*partitions, strict=True))
    return Rows(aligned_table(X), y, weights)
