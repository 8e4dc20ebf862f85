"""Gradient descent and stochastic gradient descent over firing pairs.

The loop of `descend` is Algorithm 2 or 3 of SYZ21 (solver "gd", all samples in each step)
and Algorithm 1 of QSY23 (solver "sgd", a batch drawn with replacement in each step):
find who fires, pass forward and backward over firing pairs only, move the neurons, keep
the search up to date.  On long tables, gradient descent begins with a sample of the rows
that grows (see `sksparsenn._training.growing_rows`).
"""

from dataclasses import dataclass, field

import numpy as np

from sksparsenn._compiled.lists import row_distances
from sksparsenn._network.firing import Firing, Step
from sksparsenn._network.network import Network
from sksparsenn._search.work import Work
from sksparsenn._training.batches import AllRows
from sksparsenn._training.step_sizes import measure_part, refuse_divergence, refuse_part, set_units, takes_back_step
from sksparsenn._training.streams import StreamRate


@dataclass
class Options:
    """The estimator's parameters, as far as the loop needs them."""

    learning_rate: float | str
    momentum: float
    nesterovs_momentum: bool
    alpha: float
    batch_size: int | None
    max_iter: int
    stream: bool = False
    """Whether the samples are a part of a stream, each of which is visited once."""

    def adaptive(self, loss):
        """Return whether what steps did sizes the next: with all samples, a smooth loss and no rate from the user."""
        always_all = self.batch_size is None and not self.stream
        return always_all and self.learning_rate == "auto" and loss.smooth


@dataclass
class State:
    """What changes from step to step."""

    network: Network
    anchor: np.ndarray
    """Weights at initialisation, towards which the ridge pulls."""

    velocity: np.ndarray
    learning_rate: float = np.nan
    rate_limit: float = np.nan
    kernel_unit: float = np.nan
    """Weighted mean of the tangent kernel's diagonal at the start."""
    silent_share: float = 0.0
    """The share of the samples on which no neuron fires at the start."""
    ridge: float = np.nan
    row_seed: int = 0
    n_rows: int = 0
    """Which distinct rows are in the sample, if the rows grow, and how many."""
    misfit: float = np.nan
    """Of the network before the last step."""
    measured: bool = False
    """Whether the learning rate and the ridge are known in absolute terms; a stream measures each part."""
    n_steps: int = 0
    firing: Firing | None = None
    """The last pattern, whose memory the next one takes."""
    last_loss: float = np.inf
    best_loss: float = np.inf
    best_weights: np.ndarray | None = None
    loss_curve: list = field(default_factory=list)
    firing_fraction_curve: list = field(default_factory=list)
    work_curve: list = field(default_factory=list)
    rows_curve: list = field(default_factory=list)
    stop_reason: str = "max_iter"
    stream_rate: StreamRate = field(default_factory=StreamRate)

    remembered = (
        "velocity", "learning_rate", "rate_limit", "kernel_unit", "n_steps", "last_loss", "best_loss", "best_weights",
        "loss_curve", "firing_fraction_curve", "work_curve", "rows_curve",
    )  # fmt: skip

    @property
    def weights(self):
        """The present weights."""
        return self.network.weights

    def return_to(self, iteration):
        """Go back to weights of an earlier iteration, at rest."""
        self.velocity[:] = 0


def descend(state, options, draw, average, stopping=None, early_stopping=None, growing=None):
    """Train from `state`, which is changed in place; yield after each iteration but the last.

    An iteration is a step of gradient descent or an epoch of stochastic gradient descent.

    Parameters
    ----------
    state : State
    options : Options
    draw : AllRows, BatchSampler or SinglePass
        Returns the problem of the next batch.
    average : LastIterate
        Which weights to return.
    stopping : Stopping, optional
    early_stopping : EarlyStopping, optional
    growing : GrowingRows, optional
        Samples of the rows, of which `draw` returns the first.
    """
    for iteration in range(options.max_iter):
        average.begin_epoch()
        # 1. The batch: all samples, or some drawn with probability equal to their share.
        measured = [step_on(draw(), state, options, average) for _ in range(draw.n_batches)]
        losses, fractions, works = zip(*measured, strict=True)
        state.loss_curve.append(float(np.mean(losses)))
        state.firing_fraction_curve.append(float(np.mean(fractions)))
        state.work_curve.append(sum(works, Work(0, 0, 0)))
        state.rows_curve.append(draw.n_rows)
        if options.stream:
            refuse_part(state, draw.problem, options)
        else:
            refuse_divergence(state, options, options.adaptive(draw.problem.loss))
        # 5. Stop if the loss, or the score on validation samples, has ceased to improve.
        network = state.network._replace(weights=average.weights(state.network.weights))
        if early_stopping is not None and early_stopping.reached(network):
            state.stop_reason = "validation"
        if stopping is not None and stopping.reached(state.loss_curve):
            state.stop_reason = "tol"
        # 6. Sum over more rows where they would lower the error on others, and over all of them before the end.
        #    Patience stays: a single step gains little, however many rows decide it.
        weights = None
        if growing is not None:
            weights = growing.go_on_from(draw.problem, state, state.misfit, early_stopping)
        if weights is not None:
            draw = AllRows(growing.problem(state.n_rows, weights))
            begin_on(draw.problem, weights, state, options)
            stopping.begin_after(state.loss_curve)
        if state.stop_reason != "max_iter" or iteration + 1 == options.max_iter:
            return
        yield


def step_on(batch, state, options, average):
    """Take a step on a batch; return its loss, the fraction of pairs that fire, and the work of the search."""
    network = state.network
    # 2. Who fires, exactly, and forward over firing pairs.
    evaluation = batch.evaluate(network, reuse=state.firing)
    state.firing = evaluation.firing
    if not state.measured:
        (measure_part if options.stream else set_units)(state, batch, evaluation, options)
    state.misfit = evaluation.misfit
    # 3. The objective; after a step that raised it much, the weights before.
    loss = objective(evaluation, state)
    if options.adaptive(batch.loss) and takes_back_step(state, loss, batch, evaluation):
        moved = np.arange(len(network.weights))
    else:
        # 4. Backward over firing pairs, each neuron moving as soon as its gradient is known.
        batch.descend(evaluation, state.anchor, state.velocity, next_step(state, options, batch))
        moved = moved_neurons(state, options)
    batch.moved(network.weights, moved)
    average.note(network.weights)
    return loss, evaluation.firing_fraction, evaluation.work


def begin_on(problem, weights, state, options):
    """Go on from these weights with other rows, on which steps have to be measured anew."""
    np.copyto(state.network.weights, weights)
    state.last_loss, state.best_loss, state.best_weights = np.inf, np.inf, None
    evaluation = problem.evaluate(state.network)
    state.firing = evaluation.firing
    set_units(state, problem, evaluation, options)


def objective(evaluation, state):
    """Return sum_i p_i loss(f(x_i), y_i) + ridge / 2 ||W - W_0||^2."""
    if not state.ridge:
        return evaluation.misfit
    squared_distance = float(np.square(row_distances(state.network.weights, state.anchor)).sum())
    return evaluation.misfit + 0.5 * state.ridge * squared_distance


def next_step(state, options, batch):
    """Return the next `Step` and count it."""
    state.n_steps += 1
    rate = state.learning_rate
    if options.learning_rate == "auto" and options.stream:
        rate = state.learning_rate = state.stream_rate.of_step(batch.weights, options.momentum, state.ridge)
    if options.learning_rate == "auto" and not batch.loss.smooth:
        # A subgradient does not shrink near the minimum, so the step has to.
        rate /= np.sqrt(max(state.stream_rate.clock, 1.0) if options.stream else state.n_steps)
    return Step(state.network.scale, rate, options.momentum, options.nesterovs_momentum, state.ridge)


def moved_neurons(state, options):
    """Return the neurons that a step moved: those that fired, or all with momentum or a ridge."""
    if options.momentum == 0 and state.ridge == 0:
        return state.firing.neurons_that_fire
    return np.arange(len(state.network.weights))
