"""From partitions of a Dask collection to checked rows on the workers, and what is known of all of them together."""

from typing import NamedTuple

import numpy as np
from scipy.sparse import issparse
from sklearn.utils import check_array, column_or_1d

from sksparsenn._estimators.start import Rows
from sksparsenn._training.streams import Moments
from sksparsenn._utils.range import aligned_table

# More labels than these are numbers that a regressor should take.
MOST_CLASSES = 10_000


class Partition(NamedTuple):
    """The delayed arrays of one partition."""

    X: object
    y: object
    weights: object


def partitions_of(X, y, sample_weight):
    """Return the `Partition`s of Dask arrays or data frames."""
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
    """Return the checked rows of a partition that weigh something, `NamedRows`, or None if it has none.

    Parameters
    ----------
    X, y, weights : array, data frame or series; weights may be None
    number : int
        Of the partition, for messages.
    labels : bool
        Whether y holds labels of classes.
    """
    where = f"partition {number}"
    names = tuple(map(str, X.columns)) if hasattr(X, "columns") else None
    if issparse(X):
        raise TypeError(f"{where} of X is sparse, which only estimators without Dask take: make it dense.")
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
    weights = np.ones(len(X)) if weights is None else np.asarray(weights, dtype=np.float64).reshape(-1)
    require_finite(weights, "sample_weight", where)
    if len(weights) and weights.min() < 0:
        raise ValueError(f"{where} of sample_weight holds {weights.min():.4g}: weights have to be positive or zero.")
    for name, column in (("y", y), ("sample_weight", weights)):
        if len(column) != len(X):
            raise ValueError(f"{where} of X holds {len(X)} rows, but that of {name} {len(column)}: give one for each.")
    rows = Rows(aligned_table(X), y if labels else y.astype(np.float64), weights).that_weigh_something()
    return NamedRows(rows, names) if len(rows.y) else None


class NamedRows(NamedTuple):
    """Rows, and the names of their columns if these have some."""

    rows: Rows
    names: tuple | None


def require_finite(values, name, where):
    """Raise ValueError, naming the first row, if some value is not finite."""
    finite = np.isfinite(values)
    if not finite.all():
        row = int(np.flatnonzero(~finite.reshape(len(values), -1).all(axis=1))[0])
        raise ValueError(f"{where} of {name} holds NaN or infinity in its row {row}: remove or replace such rows.")


def is_empty(partition):
    """Return whether a checked partition has no row that weighs something."""
    return partition is None


def joined_rows(*partitions):
    """Return the rows of several partitions as one part."""
    if len({part.rows.X.shape[1] for part in partitions}) > 1:
        raise ValueError(f"partitions of X have {sorted({p.rows.X.shape[1] for p in partitions})} features.")
    rows = [part.rows for part in partitions]
    joined = rows[0] if len(rows) == 1 else Rows(*(np.concatenate(columns) for columns in zip(*rows, strict=True)))
    return NamedRows(joined._replace(X=aligned_table(joined.X)), partitions[0].names)


def balanced(part, factors):
    """Return a part with the weights of rows times the factors of their classes, which are numbered as they sort."""
    rows = part.rows
    places = np.searchsorted(np.array(list(factors)), rows.y)
    weights = rows.weights * np.array(list(factors.values()))[places]
    return part._replace(rows=rows._replace(weights=weights))


class Facts(NamedTuple):
    """What is known of all rows together; adding up two sets of rows gives that of both."""

    n_rows: int
    weight: float
    dtype: np.dtype
    names: tuple | None
    low: np.ndarray
    high: np.ndarray
    """The range of each feature."""
    X: Moments
    y: Moments | None
    """Of numbers, about their means."""
    single_output: bool
    low_y: np.ndarray | None
    high_y: np.ndarray | None
    classes: dict
    """Of labels, what each weighs."""

    @classmethod
    def of(cls, part, labels):
        """Return the facts of a part, with labels or numbers as targets."""
        X, y, weights = part.rows
        shares, X = weights / weights.sum(), X.astype(np.float64, copy=False)
        of_y = None, y.ndim == 1, None, None, {}
        if labels:
            classes, places = np.unique(y, return_inverse=True)
            if len(classes) > MOST_CLASSES:
                raise ValueError(f"y holds more than {MOST_CLASSES} labels: for numbers use a regressor.")
            of_y = None, True, None, None, dict(zip(classes.tolist(), np.bincount(places, weights), strict=True))
        else:
            columns = y.reshape(len(y), -1)
            of_y = Moments.of(columns, shares, True), y.ndim == 1, columns.min(axis=0), columns.max(axis=0), {}
        moments = Moments.of(X, shares, True)
        dtype = part.rows.X.dtype
        return cls(len(y), float(weights.sum()), dtype, part.names, X.min(axis=0), X.max(axis=0), moments, *of_y)

    def __add__(self, other):
        for name, mine, theirs in (
            ("features", len(self.low), len(other.low)),
            ("outputs", np.shape(self.low_y), np.shape(other.low_y)),
            ("names of columns", self.names, other.names),
        ):
            if mine != theirs:
                raise ValueError(f"partitions differ in their {name}: {mine} and {theirs}.")
        weight = self.weight + other.weight
        share = other.weight / weight
        numbers = self.y is not None
        return Facts(
            self.n_rows + other.n_rows,
            weight,
            np.promote_types(self.dtype, other.dtype),
            self.names,
            np.minimum(self.low, other.low),
            np.maximum(self.high, other.high),
            self.X.joined(other.X, share),
            self.y.joined(other.y, share) if numbers else None,
            self.single_output,
            np.minimum(self.low_y, other.low_y) if numbers else None,
            np.maximum(self.high_y, other.high_y) if numbers else None,
            {
                label: self.classes.get(label, 0.0) + other.classes.get(label, 0.0)
                for label in sorted({**self.classes, **other.classes})
            },
        )
