"""What training on rows in parts starts from: the parts on the sphere, and networks to train.

Units, folds and linear parts follow from sums over rows, as they do where all rows are in memory.  Folds differ in one
point: a row's fold follows from a hash of the row, so that no part has to know the rows of others.
"""

from typing import NamedTuple

import numpy as np

from sksparsenn._estimators.folds import AUTO_FOLDS, ENOUGH_LEFT_OUT, Folds
from sksparsenn._estimators.folds import MANY_ROWS as ENOUGH_FOR_ONE_NETWORK
from sksparsenn._samples.drawing import mixed, row_keys
from sksparsenn._training.linear_fit import Moments as ProductMoments
from sksparsenn._training.linear_fit import best_strengths, linear_parts
from sksparsenn._utils.parts import Column


class Samples(NamedTuple):
    """What is known of samples that stay with their parts, where a fit in one memory has the samples themselves."""

    n_features: int
    """With the constant coordinate."""
    dtype: np.dtype
    n_rows: int

    arrays_in_training, arrays_in_validation = 4, 0

    def __len__(self):
        return self.n_rows

    @property
    def shape(self):
        return self.n_rows, -(-self.n_features // 8) * 8

    @property
    def itemsize(self):
        return self.dtype.itemsize


class SummedMember(NamedTuple):
    """What the training of one network starts from; has the face of `Member`, as far as its rows may be elsewhere."""

    samples: Samples
    rows: object
    """`NetworkRows`."""
    network: object
    anchor: np.ndarray
    early_stopping: object
    random_state: np.random.RandomState
    memory: dict


class SummedStart(NamedTuple):
    """What training starts from; has the face of `Start`, as far as that goes."""

    in_batches = False

    parts: object
    facts: object
    samples: Samples
    lifted: Column
    """`LiftedRows` of the parts."""
    folds: Folds | None
    """Without labels, which stay with the rows; None if no row is left out."""
    calibrates: bool
    """Whether rows left out tell of the uncertainty, or only stop training."""
    targets: object
    class_factors: np.ndarray | None
    """By what the weights of the rows of each class were multiplied."""
    n_outputs: int
    largest_target: float
    members: list
    weighs_something: np.ndarray | None = None
    """Which of the rows, as they came, have a positive weight; None where no one knows all rows."""

    @property
    def mean_weight(self):
        """The mean of the weights in the objective."""
        return self.facts.weight / self.facts.n_rows

    @property
    def fewest_rows(self):
        """The number of rows of the network that trains on the fewest, about."""
        return self.facts.n_rows

    def probes(self):
        """Return samples on which a search can be tried: a few of each part."""
        return self.parts.sum(first_rows, self.lifted).samples

    @property
    def n_networks(self):
        """The number of networks to train."""
        return 1 if self.folds is None else len(self.folds)

    def n_threads(self, width):
        """Return how many networks to train at a time."""
        return len(self.members) if self.parts.wait_for_others else 1


class Labelled(NamedTuple):
    """The rows of a part: features, encoded targets, weights in the objective, labels in the folds, and keys."""

    X: np.ndarray
    encoded: np.ndarray
    weights: np.ndarray
    labels: np.ndarray
    keys: np.ndarray


class LiftedRows(NamedTuple):
    """The rows of a part as training takes them."""

    samples: object
    y: np.ndarray
    """As the loss compares targets with outputs."""
    encoded: np.ndarray
    weights: np.ndarray
    labels: np.ndarray
    keys: np.ndarray
    offsets: np.ndarray | None
    """What the linear part of each network adds, (n_networks, n_rows, n_outputs)."""

    def part(self, rows):
        """Return some of the rows."""
        offsets = None if self.offsets is None else self.offsets[:, rows]
        return LiftedRows(self.samples[rows], *(column[rows] for column in self[1:-1]), offsets)

    def __add__(self, other):
        columns = (np.concatenate(both) for both in zip(self[1:-1], other[1:-1], strict=True))
        offsets = None if self.offsets is None else np.concatenate([self.offsets, other.offsets], axis=1)
        return LiftedRows(self.samples.followed_by(other.samples), *columns, offsets)


# -- of all rows ---------------------------------------------------------------------------------


def folds_of(cv, n_rows):
    """Return the `Folds` that `cv` stands for, without labels, and the shares of rows that have each label."""
    if cv == "auto" and n_rows > ENOUGH_FOR_ONE_NETWORK:
        return one_left_out(1 / max(AUTO_FOLDS, -(-n_rows // ENOUGH_LEFT_OUT)))
    n_labels = AUTO_FOLDS if cv == "auto" else cv
    leaves_out = np.eye(n_labels, dtype=bool)
    return Folds(np.empty(0, np.int64), ~leaves_out, leaves_out), np.full(n_labels, 1 / n_labels)


def one_left_out(share):
    """Return the `Folds` of one network that leaves out a share of the rows, and the shares of rows of each label."""
    leaves_out = np.array([[True, False]])
    return Folds(np.empty(0, np.int64), ~leaves_out, leaves_out), np.array([share, 1 - share])


def new_linear_parts(features, moments, folds, trains, centred):
    """Return the linear part of each network, as `linear.new_linear_parts` does, from the moments of each label."""
    best = best_strengths(moments, folds, centred)
    return linear_parts(features, moments, folds.trains if trains is None else trains, centred, best)


# -- of each part -----------------------------------------------------------------------------------


def labelled(rows, targets, shares, seed):
    """Return the `Labelled` rows of a part: hashes, in order, are dealt to labels in proportion to their shares."""
    X, y, weights = rows
    encoded, keys = targets.encode(y), row_keys(X)
    edges = np.ceil(np.cumsum(shares)[:-1] * 2.0**32).astype(np.int64)
    labels = np.searchsorted(edges, (mixed(keys, seed) >> np.uint64(32)).astype(np.int64), side="right")
    return Labelled(X, encoded, weights, labels, keys)


def products_of_labels(rows, features, units, n_labels):
    """Return the moments of the rows of each label, for the linear part, as one array."""
    y = units(rows.encoded, np.float64)
    places = [np.flatnonzero(rows.labels == label) for label in range(n_labels)]
    moments = [ProductMoments.of(features, rows.X[mine], y[mine], rows.weights[mine]) for mine in places]
    return np.stack([part.products for part in moments])


def rows_of_labels(rows, n_labels):
    """Return the number of rows of each label."""
    return np.bincount(rows.labels, minlength=n_labels)


def first_rows(rows, most=8):
    """Return the first rows of a part."""
    return rows.part(slice(most))


def lifted(rows, lift, targets, dtype, linear):
    """Return the `LiftedRows` of a part."""
    X = rows.X
    offsets = np.stack([part.outputs(X, dtype) for part in linear]) if linear else None
    samples = lift(X, dtype)
    return LiftedRows(
        samples, targets.for_loss(rows.encoded, dtype), rows.encoded, rows.weights, rows.labels, rows.keys, offsets
    )
