"""What training starts from, as a fit hands it on: checked rows, the table to train on, and networks to train."""

from typing import NamedTuple

import numpy as np

from sksparsenn._estimators.folds import Folds
from sksparsenn._network.network import Network
from sksparsenn._samples.lift import in_canonical_order
from sksparsenn._training.early_stopping import EarlyStopping
from sksparsenn._training.side_by_side import threads_worth


class Rows(NamedTuple):
    """Checked rows: X, y as it came, and weights."""

    X: np.ndarray
    y: np.ndarray
    weights: np.ndarray

    def part(self, rows):
        """Return some of the rows."""
        return Rows(*(part[rows] for part in self))

    def that_weigh_something(self):
        """Return the rows of positive weight."""
        return self if self.weights.all() else self.part(self.weights > 0)


class Weighting(NamedTuple):
    """How rows count, as passed to `fit`: weights, and groups whose rows no fold separates; each may be None."""

    sample_weight: object = None
    groups: object = None


class Table(NamedTuple):
    """The rows to train on: features, encoded targets, weights in the objective, and labels in the folds."""

    X: np.ndarray
    encoded: np.ndarray
    weights: np.ndarray
    labels: np.ndarray

    def part(self, rows):
        """Return some of the rows."""
        return Table(*(part[rows] for part in self))

    def in_canonical_order(self):
        """Return distinct rows in an order of their own, so that batches drawn from them depend on no other."""
        return Table(*in_canonical_order(*self))


class Validation(NamedTuple):
    """Rows to validate on, as they are needed to score outputs."""

    samples: object
    encoded: np.ndarray
    weights: np.ndarray
    offsets: np.ndarray | None
    """What the linear part adds to the outputs."""
    are_fold: bool
    """Whether they are a fold, which may be too small to have a variance of its own."""


class Member(NamedTuple):
    """What the training of one network starts from."""

    samples: object
    """On the sphere: `DenseSamples` or `SparseSamples`."""
    y: np.ndarray
    """Targets as the loss compares them with outputs, one column for each output."""
    weights: np.ndarray
    keys: np.ndarray | None
    """The same for equal rows; None where nobody draws samples of them."""
    offsets: np.ndarray | None
    """What the linear part adds to the outputs."""
    network: Network
    anchor: np.ndarray
    """Weights at initialisation, towards which the ridge pulls."""
    early_stopping: EarlyStopping | None
    random_state: np.random.RandomState
    memory: dict
    """What is remembered of the training that this one takes up, empty if it starts anew."""


class Start(NamedTuple):
    """What training starts from."""

    rows: Rows
    """As they came."""
    samples: object
    """All that some network trains on, on the sphere."""
    y: np.ndarray
    table: Table
    folds: Folds | None
    """None if no row is left out; their labels are of all rows as they came, -1 for those that weigh nothing."""
    targets: object
    """`Numbers` or `Labels`."""
    held_out: Rows | None
    """Rows that stop all networks."""
    key: str
    """Tells whether another fit does the same with the same data; empty where nobody will ask."""
    validates: bool
    """Whether rows stop training that it does not see."""
    in_batches: bool
    """Whether steps are taken on batches of the rows."""
    members: list
    """A `Member` for each network of the committee, or for the only one."""

    @property
    def largest_target(self):
        """The largest target, in the user's units."""
        return float(np.abs(self.table.encoded).max())

    @property
    def mean_weight(self):
        """The mean of the weights in the objective."""
        return self.table.weights.mean()

    @property
    def fewest_rows(self):
        """The number of rows of the network that trains on the fewest."""
        return min(len(member.y) for member in self.members)

    @property
    def n_outputs(self):
        """The number of outputs of a network."""
        return self.y.shape[1]

    def probes(self):
        """Return samples on which a search can be tried."""
        return self.samples

    @property
    def n_networks(self):
        """The number of networks to train."""
        return 1 if self.folds is None else len(self.folds)

    def n_threads(self, width):
        """Return how many networks to train at a time."""
        return threads_worth(len(self.members), len(self.samples) * width)

    def training_rows(self, place):
        """Return the rows of the table that a network trains on, as an index."""
        return slice(None) if self.folds is None else np.flatnonzero(self.folds.trains[place][self.table.labels])

    def rows_left_out(self, place):
        """Return the rows of the table that a network leaves out, as an index."""
        return np.flatnonzero(self.folds.leaves_out[place][self.table.labels])
