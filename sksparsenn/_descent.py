"""Gradient descent and stochastic gradient descent over firing pairs.

The loop of `descend` is Algorithm 2 or 3 of SYZ21 (solver "gd", all samples in each step)
and Algorithm 1 of QSY23 (solver "sgd", a batch drawn with replacement in each step):
find who fires, pass forward and backward over firing pairs only, move the neurons, keep
the search up to date.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from sksparsenn._firing import Firing
from sksparsenn._network import Network, largest_curvature, squared_distance, tangent_kernel_diagonal
from sksparsenn._range import absolute_ridge
from sksparsenn._samples import take
from sksparsenn._work import Work

# A loss this many times larger than at the start will not come back.
DIVERGED = 1e4

# Automatic steps: a loss this many times the best takes the step back; after a fall the rate grows by this factor.
LARGE_RISE = 1.1
RATE_GROWTH = 1.05


class Data(NamedTuple):
    """Samples on the sphere (padded rows), targets in standard units, and each sample's share of the objective."""

    X: np.ndarray
    y: np.ndarray
    shares: np.ndarray
    total_weight: float


@dataclass
class Options:
    """What the loop needs to know of the estimator's parameters."""

    loss: object
    learning_rate: float | str
    momentum: float
    nesterovs_momentum: bool
    alpha: float
    batch_size: int | None
    max_iter: int
    stream: bool = False
    """Whether the samples are a part of a stream, each of which is visited once."""

    @property
    def adaptive(self):
        """Whether steps are sized by what they did: always all samples, a smooth loss and no rate from the user."""
        always_all = self.batch_size is None and not self.stream
        return always_all and self.learning_rate == "auto" and self.loss.smooth


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
    ridge: float = np.nan
    measured: bool = False
    """Whether the learning rate and the ridge are known in absolute terms; a stream measures each part."""
    n_steps: int = 0
    firing: Firing | None = None
    last_loss: float = np.inf
    best_loss: float = np.inf
    best_weights: np.ndarray | None = None
    loss_curve: list = field(default_factory=list)
    firing_fraction_curve: list = field(default_factory=list)
    work_curve: list = field(default_factory=list)
    stop_reason: str = "max_iter"

    remembered = (
        "velocity", "learning_rate", "rate_limit", "kernel_unit", "n_steps", "last_loss", "best_loss", "best_weights",
        "loss_curve", "firing_fraction_curve",
    )  # fmt: skip

    def curvature(self, data):
        """lambda_max(H) for the neurons that fire now."""
        network = self.network
        return largest_curvature(self.firing, data.X, network.signs, network.scale, data.shares)


def descend(data, state, search, options, random_state, output_rule, stopping, early_stopping=None, progress=None):
    """Run the solver from `state`, which is changed in place; returns the weights to keep.

    `progress` is told when an iteration, a step of gradient descent or an epoch of
    stochastic gradient descent, begins and ends, and may ask to stop.
    """
    draw = (SinglePass if options.stream else BatchSampler)(data, options.batch_size, random_state)
    for _ in range(options.max_iter):
        if progress is not None:
            progress.begin_iteration()
        measured = []
        for _ in range(draw.n_batches):
            # 1. The batch: all samples, or some drawn with probability equal to their share.
            measured.append(take_step(draw(), data, state, search, options))
            output_rule.note(state.network.weights)
        losses, fractions, works = zip(*measured, strict=True)
        state.loss_curve.append(float(np.mean(losses)))
        state.firing_fraction_curve.append(float(np.mean(fractions)))
        state.work_curve.append(sum(works, Work(0, 0, 0)))
        refuse_divergence(state, options)
        # 5. Stop if the loss, or the score on validation samples, has ceased to improve.
        network = state.network._replace(weights=output_rule.weights(state.network.weights))
        if early_stopping is not None and early_stopping.reached(network):
            state.stop_reason = "validation"
        if stopping is not None and stopping.reached(state.loss_curve):
            state.stop_reason = "tol"
        if progress is not None and progress.end_iteration(state):
            state.stop_reason = "callback"
        if state.stop_reason != "max_iter":
            break
    return output_rule.weights(state.network.weights) if early_stopping is None else early_stopping.best_weights


def take_step(batch, data, state, search, options):
    """One step on a batch: its loss, the fraction of pairs that fire, and the work of the search."""
    network, weights = state.network, state.network.weights
    # 2. Who fires, exactly, and forward over firing pairs.
    state.firing, outputs, work = search.forward(network, batch.samples, state.firing)
    fraction = state.firing.n_pairs / (len(batch.X) * len(weights))
    if not state.measured:
        set_units(state, batch, data, options)
    # 3. The loss, and what it asks of every output.
    loss = objective(outputs, batch, state, options.loss)
    if options.adaptive and takes_back_step(state, loss, data, options):
        if search.follows_moves:
            search.moved(weights, np.arange(len(weights)))
        return loss, fraction, work
    residuals = batch.shares[:, None] * options.loss.derivative(outputs, batch.y)
    # 4. Backward over firing pairs, each neuron moving as soon as its gradient is known; maintain the search.
    move_neurons(state, batch.X, residuals.astype(weights.dtype), options)
    if search.follows_moves:
        search.moved(weights, moved_neurons(state, options))
    return loss, fraction, work


def objective(outputs, batch, state, loss):
    """sum_i shares_i loss(f(x_i), y_i) + ridge / 2 ||W - W_0||^2."""
    # Not a product: threads of BLAS would fight with those of the kernels for the same cores.
    value = float((batch.shares * loss.value(outputs, batch.y)).sum())
    if state.ridge:
        value += 0.5 * state.ridge * squared_distance(state.network.weights, state.anchor, batch.X)
    return value


def move_neurons(state, X, residuals, options):
    """Go down the gradient."""
    network, firing, rate = state.network, state.firing, state.learning_rate
    state.n_steps += 1
    if options.learning_rate == "auto" and not options.loss.smooth:
        rate /= np.sqrt(state.n_steps)  # a subgradient does not shrink near the minimum, so the step has to
    firing.descend(
        network.weights, state.anchor, state.velocity, X, residuals, network.signs, network.scale,
        rate, options.momentum, options.nesterovs_momentum, state.ridge,
    )  # fmt: skip


def moved_neurons(state, options):
    """The neurons that a step moved: those that fired, or all with momentum or a ridge."""
    if options.momentum == 0 and state.ridge == 0:
        return state.firing.rows[state.firing.counts > 0]
    return np.arange(len(state.network.weights))


# -- step sizes ---------------------------------------------------------------------------


def set_units(state, batch, data, options):
    """The ridge in absolute terms, and the learning rate if it is "auto", from who fires at the start.

    With H = sum_i shares_i J_i^T J_i, gradient descent is stable below 2 / lambda_max(H); the
    rate is 1 / lambda_max.  For a batch of size s, stochastic gradient descent on samples
    with J_i J_i^T <= beta converges fastest at s / (beta + (s - 1) lambda_max) [Ma, Bassily and
    Belkin 2018]; momentum adds up the noise of 1 / (1 - momentum) steps, and beta grows by
    that factor.
    """
    state.measured = True
    diagonal = tangent_kernel_diagonal(state.firing, batch.X, state.network.scale)
    if np.isnan(state.kernel_unit):
        state.kernel_unit = float((batch.shares * diagonal).sum())
    state.ridge = absolute_ridge(options.alpha, state.kernel_unit, data.total_weight)
    if options.learning_rate != "auto":
        state.learning_rate = options.learning_rate
        return
    curvature = options.loss.curvature * state.curvature(batch)
    if options.batch_size is not None:
        noise = options.loss.curvature * diagonal.max(initial=0) / (1 - options.momentum)
        curvature = (noise + (options.batch_size - 1) * curvature) / options.batch_size
    curvature += state.ridge
    rate = 1 / curvature if curvature > 0 else 1.0
    # A stream must not outrun the steepest part it has seen.
    state.learning_rate = state.rate_limit = np.fmin(rate, state.learning_rate) if options.stream else rate


def goes_on(state, data, options):
    """Take up the units of the training that `state` remembers, rather than measure them."""
    state.measured = True
    state.ridge = absolute_ridge(options.alpha, state.kernel_unit, data.total_weight)
    if options.learning_rate != "auto":
        state.learning_rate = options.learning_rate


def takes_back_step(state, loss, data, options):
    """Keep automatic steps from overshooting, by the loss of the weights that the last one led to.

    After a fall the rate may grow a little, up to 1 / lambda_max.  After a rise the
    velocity is dropped (the restart of O'Donoghue and Candes, 2015) and lambda_max
    estimated again, since other neurons fire now.  After a large rise the rate is halved
    and the weights return to the best so far: neurons that overshoot may never fire
    again.  True in that last case.
    """
    weights, previous = state.network.weights, state.last_loss
    state.last_loss = loss
    if loss <= state.best_loss:
        state.best_loss = loss
        if state.best_weights is None:
            state.best_weights = np.empty_like(weights)
        np.copyto(state.best_weights, weights)
    if loss <= previous:
        state.learning_rate = min(state.learning_rate * RATE_GROWTH, state.rate_limit)
        return False
    state.velocity[:] = 0
    curvature = options.loss.curvature * state.curvature(data)
    if curvature + state.ridge > 0:
        state.rate_limit = 1 / (curvature + state.ridge)
    state.learning_rate = min(state.learning_rate, state.rate_limit)
    if loss <= LARGE_RISE * state.best_loss:
        return False
    weights[:] = state.best_weights
    state.learning_rate *= 0.5
    state.last_loss = np.inf
    return True


def refuse_divergence(state, options):
    """Stop with an error that names the parameter to change once the loss has grown out of bounds."""
    curve = state.loss_curve
    if np.isfinite(curve[-1]) and curve[-1] <= DIVERGED * max(curve[0], 1.0):
        return
    if options.adaptive and np.isfinite(state.best_loss):
        return  # that step has been taken back
    rate = f"{state.learning_rate:.3g}"
    advice = "raise shift or lower output_scale" if options.learning_rate == "auto" else "lower learning_rate"
    raise ValueError(
        f"training diverged: the loss went from {curve[0]:.3g} to {curve[-1]:.3g} in {len(curve)} iterations "
        f"with learning_rate={options.learning_rate!r} (steps of {rate}) and momentum={options.momentum}; {advice}."
    )


# -- batches, averages, stopping ----------------------------------------------------------


class Batch(NamedTuple):
    """Samples of one step; `samples` is None for all of them."""

    samples: np.ndarray | None
    X: np.ndarray
    y: np.ndarray
    shares: np.ndarray


class BatchSampler:
    """Draws batches with replacement, a sample with probability equal to its share of the weight."""

    def __init__(self, data, batch_size, random_state):
        self.data, self.batch_size, self.random_state = data, batch_size, random_state
        self.n_batches = 1 if batch_size is None else max(1, round(len(data.X) / batch_size))
        self.cumulated = np.cumsum(data.shares)

    def __call__(self):
        data = self.data
        if self.batch_size is None:
            return Batch(None, *data[:3])
        drawn = np.searchsorted(self.cumulated, self.random_state.uniform(size=self.batch_size) * self.cumulated[-1])
        samples, times = np.unique(drawn, return_counts=True)
        return Batch(samples, take(data.X, samples), data.y[samples], times / self.batch_size)


class SinglePass:
    """Batches in which each sample comes once, in random order; what a sample weighs, it weighs in its batch."""

    def __init__(self, data, batch_size, random_state):
        self.data = data
        n = len(data.X)
        self.n_batches = 1 if batch_size is None else -(-n // batch_size)
        self.parts = iter(np.array_split(random_state.permutation(n), self.n_batches))

    def __call__(self):
        data = self.data
        if self.n_batches == 1:
            return Batch(None, *data[:3])
        samples = np.sort(next(self.parts))
        shares = data.shares[samples] * len(data.X) / len(samples)
        return Batch(samples, take(data.X, samples), data.y[samples], shares)


class LastIterate:
    """Training returns the last weights."""

    remembered = ()

    def begin(self, random_state):
        """Draw what is to be drawn, if this is not training taken up again."""

    def note(self, weights):
        """Take notice of the weights after a step."""

    def weights(self, last):
        """The weights to return, given the last ones."""
        return last


class MeanIterate(LastIterate):
    """The mean of the weights after each step."""

    remembered = "kept", "n_steps"

    def __init__(self):
        self.kept, self.n_steps = None, 0

    def note(self, weights):
        self.n_steps += 1
        if self.kept is None:
            self.kept = np.zeros(weights.shape)
        self.kept += (weights - self.kept) / self.n_steps

    def weights(self, last):
        return self.kept.astype(last.dtype, copy=False)


class RandomIterate(MeanIterate):
    """The weights after a uniformly random step [QSY23 Alg. 1].

    It is drawn as the steps go by, so it is uniform among the steps taken.
    """

    remembered = "kept", "n_steps", "seed"

    def __init__(self):
        super().__init__()
        self.seed = None

    def begin(self, random_state):
        if self.seed is None:
            self.seed = random_state.randint(2**31 - 1)

    def note(self, weights):
        self.n_steps += 1
        # One number for each step, the same if training was interrupted and taken up again.
        if np.random.default_rng([self.seed, self.n_steps]).uniform() * self.n_steps < 1:
            self.kept = weights.copy()


OUTPUT_RULES = {"last": LastIterate, "mean": MeanIterate, "random": RandomIterate}


class Stopping:
    """True once the loss has not fallen by tol below its best for a number of iterations in a row.

    Losses of batches are noisy, and those with kinks go up and down: there, that number of
    losses is averaged, and the average compared with the one before it.
    """

    remembered = "best", "waited"

    def __init__(self, tol, n_iter_no_change, noisy):
        self.tol, self.n_iter_no_change, self.noisy = tol, n_iter_no_change, noisy
        self.best, self.waited = np.inf, 0

    def reached(self, curve):
        patience = self.n_iter_no_change
        if self.noisy:
            recent, before = curve[-patience:], curve[-2 * patience : -patience]
            return len(before) == patience and np.mean(recent) > np.mean(before) - self.tol
        self.waited = 0 if curve[-1] < self.best - self.tol else self.waited + 1
        self.best = min(self.best, curve[-1])
        return self.waited >= patience
