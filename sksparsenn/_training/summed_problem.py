"""SummedProblem: the problem of a network whose rows are in parts, each with a `Problem` of its own.

It has the face of `Problem`.  Everything of the size of the rows stays with the parts; weights go to them, and sums
over their rows come back.
"""

from typing import NamedTuple

import numpy as np

from sksparsenn._network.network import Network
from sksparsenn._search.work import Work
from sksparsenn._solvers.jacobian import Sizes
from sksparsenn._solvers.summed import SummedJacobian
from sksparsenn._training.early_stopping import HeldOutRows
from sksparsenn._training.problem import LinearModel, Problem
from sksparsenn._utils.parts import Column


class Summary(NamedTuple):
    """What is summed up of the evaluations of the parts."""

    misfit: float
    work: Work
    n_rows: int
    firing_counts: np.ndarray
    """On how many samples each neuron fires."""

    def __add__(self, other):
        return Summary(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))

    @classmethod
    def of(cls, problem, evaluation):
        """Return the summary of the evaluation of a part; of one whose only row weighs nothing, that of no rows."""
        counts = np.zeros(len(evaluation.network.weights), dtype=np.int64)
        if not problem.weights.any():
            return cls(0.0, Work(0, 0, 0), 0, counts)
        counts[evaluation.firing.rows] = evaluation.firing.counts
        return cls(evaluation.misfit, evaluation.work, len(problem), counts)


class SummedFiring(NamedTuple):
    """Who fires on the samples of all parts, as far as sums tell."""

    parts: object
    problems: Column
    evaluations: Column
    counts: np.ndarray

    @property
    def n_pairs(self):
        """The number of pairs that fire."""
        return int(self.counts.sum())

    @property
    def neurons_that_fire(self):
        """The numbers of the neurons that fire on some sample."""
        return np.flatnonzero(self.counts)

    def common_pairs(self, other):
        """Return how many pairs fire in this pattern and in another one."""
        return self.parts.sum(common_pairs, self.problems, self.evaluations, other.evaluations)


class SummedEvaluation(NamedTuple):
    """A network evaluated on the samples of all parts; has the face of `Evaluation` but for the outputs."""

    network: Network
    evaluations: Column
    firing: SummedFiring
    misfit: float
    work: Work
    n_rows: int

    @property
    def firing_fraction(self):
        """The share of all pairs (neuron, sample) that fire."""
        return self.firing.n_pairs / (self.n_rows * len(self.network.weights))


class SummedModel(NamedTuple):
    """The `LinearModel` of rows in parts; the residuals stay with these."""

    jacobian: SummedJacobian
    residuals: None = None

    def decrease(self, step):
        """Return by how much the model of the misfit falls with the step, a padded row for each neuron with columns."""
        return self.jacobian.parts.sum(LinearModel.decrease, self.jacobian.models, step)


class SummedProblem:
    """The problem of rows in parts.

    Parameters
    ----------
    parts : Parts
    problems : Column of Problem
        None of which has a search that follows moves.
    keys : Column of uint64 ndarray or None
        The same for equal rows, where samples of rows will be drawn.
    n_rows, n_features, total_weight, share
        Of all parts; see `Problem`.
    loss : object
    search_name : str
    """

    def __init__(self, parts, problems, keys, n_rows, n_features, *, total_weight, share, loss, search_name):
        self.parts, self.problems, self.keys, self.loss, self.search_name = parts, problems, keys, loss, search_name
        self.n_rows, self.n_features, self.total_weight, self.share = n_rows, n_features, total_weight, share

    def __len__(self):
        return self.n_rows

    def evaluate(self, network, reuse=None):
        """Return a `SummedEvaluation` of the network."""
        evaluations = self.parts.map(Problem.evaluate, self.problems, network)
        summary = self.parts.sum(Summary.of, self.problems, evaluations)
        firing = SummedFiring(self.parts, self.problems, evaluations, summary.firing_counts)
        return SummedEvaluation(network, evaluations, firing, summary.misfit, summary.work, summary.n_rows)

    def moved(self, weights, neurons):
        """Do nothing: no search of a part follows moves."""

    def descend(self, evaluation, anchor, velocity, step):
        """Move the weights of the network and the velocity, in place, by one `Step` down the gradient of the misfit."""
        weights = evaluation.network.weights
        gradient = step.scale * self.parts.sum(Problem.gradient, self.problems, evaluation.evaluations)
        if step.ridge:
            gradient += step.ridge * (weights - anchor)
        moves = -step.learning_rate * gradient
        if step.momentum:
            velocity[:] = step.momentum * velocity + moves
            moves = step.momentum * velocity + moves if step.nesterov else velocity
        weights += moves.astype(weights.dtype)

    def kernel_unit(self, evaluation):
        """Return the `KernelUnit` of the network: what the tangent kernel's diagonal adds up to."""
        return self.parts.sum(Problem.kernel_unit, self.problems, evaluation.evaluations)

    def largest_curvature(self, evaluation, tol=1e-3, max_iter=100):
        """Return the largest eigenvalue of sum_i p_i J_i^T J_i, by the power iteration of `Problem` seen from weights.

        With v the vectors of that iteration, these are u = J^T D v; the estimates are the same.
        """
        network = evaluation.network
        outputs = 1 + 0.1 * np.arange(network.signs.shape[1])
        weight = self.parts.sum(weight_of, self.problems)
        of_parts = self.problems, evaluation.evaluations
        u = self.parts.sum(Problem.start_in_weights, *of_parts, outputs / np.sqrt(weight * (outputs**2).sum()))
        u, estimate = network.scale * u, 0.0
        for _ in range(max_iter):
            image = network.scale * self.parts.sum(Problem.curvature_of_weights, *of_parts, u)
            previous, estimate = estimate, float(np.sqrt(max(np.vdot(u, image), 0.0)))
            if estimate <= 0 or abs(estimate - previous) <= tol * estimate:
                break
            u = image / estimate
        return estimate

    def linearise(self, evaluation):
        """Return the `SummedModel` of the misfit at these weights."""
        network, neurons = evaluation.network, evaluation.firing.neurons_that_fire
        sizes = Sizes(self.n_rows, self.n_features, network.signs.shape[1], len(neurons), evaluation.firing.n_pairs)
        models = self.parts.map(Problem.linearise, self.problems, evaluation.evaluations, neurons)
        return SummedModel(SummedJacobian(self.parts, models, self.keys, neurons, network, sizes))


class SummedHeldOutRows:
    """Rows held out that are in parts; has the face of `HeldOutRows`.

    Scores and losses of a network are weighted means over rows.
    """

    def __init__(self, parts, rows):
        self.parts, self.rows, self.loss = parts, rows, np.inf

    def score_of(self, network):
        """Return the score of a network; outputs that overflow score worst."""
        score, loss, weight = self.parts.sum(WeightedHeldOutRows.sums_of, self.rows, network)
        self.loss = loss / weight
        return score / weight


class WeightedHeldOutRows(NamedTuple):
    """The rows of a part that are held out, and what they weigh; None if there are none."""

    rows: HeldOutRows | None
    weight: float

    def sums_of(self, network):
        """Return the score and the loss of a network times the weight, and the weight."""
        if self.rows is None:
            return np.zeros(3)
        score = self.rows.score_of(network)
        return np.array([self.weight * score, self.weight * self.rows.loss, self.weight])


def weight_of(problem):
    """Return the sum of p_i."""
    return float(problem.weights.sum())


def common_pairs(problem, one, other):
    """Return how many pairs fire in two evaluations of a part."""
    return one.firing.common_pairs(other.firing) if problem.weights.any() else 0
