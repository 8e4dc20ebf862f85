"""Step sizes of first-order training: how they start, how they follow the loss, and when training has diverged."""

import numpy as np

from sksparsenn._utils.range import absolute_ridge

# A loss this many times larger than at the start will not come back.
DIVERGED = 1e4

# So many standard deviations from the mean of a stream's first rows, a target lies outside the range that they set.
FAR = 30.0

# Samples that tell on which share of all of them no neuron fires.
ENOUGH_TO_TELL = 100

# Automatic steps: a loss this many times the best takes the step back; after a fall the rate grows by this factor.
LARGE_RISE = 1.1
RATE_GROWTH = 1.05


def set_units(state, problem, evaluation, options):
    """Set the ridge in absolute terms, and the learning rate if it is "auto", from who fires at the start.

    With H = sum_i p_i J_i^T J_i, gradient descent is stable below 2 / lambda_max(H); the
    rate is 1 / lambda_max.  For a batch of size s, stochastic gradient descent on samples
    with J_i J_i^T <= beta converges fastest at s / (beta + (s - 1) lambda_max) [Ma, Bassily and
    Belkin 2018]; momentum adds up the noise of 1 / (1 - momentum) steps, and beta grows by
    that factor.
    """
    state.measured = True
    unit = problem.kernel_unit(evaluation)
    if np.isnan(state.kernel_unit):
        state.kernel_unit = unit.total
        # Small batches cannot tell.
        state.silent_share = unit.silent if len(problem) >= ENOUGH_TO_TELL else 0.0
    state.ridge = absolute_ridge(options.alpha, state.kernel_unit, problem.total_weight)
    if options.learning_rate != "auto":
        state.learning_rate = options.learning_rate
        return
    loss = problem.loss
    curvature = loss.curvature * problem.largest_curvature(evaluation)
    if options.batch_size is not None:
        noise = loss.curvature * unit.largest / (1 - options.momentum)
        curvature = (noise + (options.batch_size - 1) * curvature) / options.batch_size
    curvature += state.ridge
    state.learning_rate = state.rate_limit = 1 / curvature if curvature > 0 else 1.0


def measure_part(state, problem, evaluation, options):
    """Set the ridge in absolute terms, and the curvature that sizes the steps of a stream, from who fires on a part."""
    state.measured = True
    diagonal, rate = problem.kernel_diagonal(evaluation), state.stream_rate
    tells = len(problem) > 1 and options.learning_rate == "auto"
    curvature = problem.largest_curvature(evaluation) if tells else 0.0
    rate.measure(diagonal, problem.weights, curvature, problem.loss.curvature)
    state.kernel_unit = rate.kernel_unit
    state.ridge = absolute_ridge(options.alpha, state.kernel_unit, problem.total_weight)
    if options.learning_rate != "auto":
        state.learning_rate = options.learning_rate


def take_up_units(state, problem, options):
    """Set the units of the training that `state` remembers, rather than measure them."""
    state.measured = True
    state.ridge = absolute_ridge(options.alpha, state.kernel_unit, problem.total_weight)
    if options.learning_rate != "auto":
        state.learning_rate = options.learning_rate


def takes_back_step(state, loss, problem, evaluation):
    """Keep automatic steps from overshooting, by the loss of the weights that the last one led to.

    After a fall the rate may grow a little, up to 1 / lambda_max.  After a rise the
    velocity is dropped (the restart of O'Donoghue and Candes, 2015) and lambda_max
    estimated again, since other neurons fire now.  After a large rise the rate is halved
    and the weights return to the best so far: neurons that overshoot may never fire
    again.  Return True in that last case.
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
    curvature = problem.loss.curvature * problem.largest_curvature(evaluation)
    if curvature + state.ridge > 0:
        state.rate_limit = 1 / (curvature + state.ridge)
    state.learning_rate = min(state.learning_rate, state.rate_limit)
    if loss <= LARGE_RISE * state.best_loss:
        return False
    weights[:] = state.best_weights
    state.learning_rate *= 0.5
    state.last_loss = np.inf
    return True


def within_bounds(curve):
    """Return whether the last loss may come back to where the first one was."""
    return np.isfinite(curve[-1]) and curve[-1] <= DIVERGED * max(curve[0], 1.0)


def refuse_part(state, problem, options):
    """Raise ValueError, naming the cause, if a part of a stream led out of bounds."""
    curve = state.loss_curve
    if within_bounds(curve):
        return
    farthest = float(np.abs(problem.targets).max())
    if farthest > FAR:
        raise ValueError(
            f"part {len(curve)} of the stream holds a target {farthest:.3g} standard deviations from the mean of the "
            "first rows, which gave y its units for the whole stream: begin with rows that vary like those to come, "
            "or scale y by the mean and standard deviation of the whole."
        )
    advice = "lower momentum or give larger parts" if options.learning_rate == "auto" else "lower learning_rate"
    raise ValueError(
        f"training diverged: the loss went from {curve[0]:.3g} on the first part of the stream to {curve[-1]:.3g} on "
        f"part {len(curve)} with learning_rate={options.learning_rate!r} (steps of {state.learning_rate:.3g}) and "
        f"momentum={options.momentum}; {advice}."
    )


def refuse_divergence(state, options, adaptive):
    """Raise ValueError, naming the parameter to change, once the loss has grown out of bounds."""
    curve = state.loss_curve
    if within_bounds(curve):
        return
    if adaptive and np.isfinite(state.best_loss):
        return  # that step has been taken back
    rate = f"{state.learning_rate:.3g}"
    advice = "raise shift or lower output_scale" if options.learning_rate == "auto" else "lower learning_rate"
    raise ValueError(
        f"training diverged: the loss went from {curve[0]:.3g} to {curve[-1]:.3g} in {len(curve)} iterations "
        f"with learning_rate={options.learning_rate!r} (steps of {rate}) and momentum={options.momentum}; {advice}."
    )
