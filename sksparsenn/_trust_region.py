"""Gauss-Newton training: the loop of BPSW21 (Algorithm 1) and DHSWZ24 (Algorithm 5) inside a trust region.

As long as nobody's firing changes, the network is linear in its hidden weights: it outputs
f + J u after a step u.  With s the sample weights, g the derivative of the loss in f and h its
curvature, an iteration minimises

    sum_i s_i (<g_i, (J u)_i> + h_i/2 ||(J u)_i||^2) + ridge/2 ||W + u - W_0||^2 + damping/2 ||u - MOMENTUM v||^2

over u, where v is the last step, and takes the step if it lowers the objective,

    sum_i s_i loss(f_i, y_i) + ridge/2 ||W - W_0||^2

(Levenberg 1944, Marquardt 1963; the damping follows Nielsen 1999).  Where damping decides,
the step is one of gradient descent with momentum; where the data decide, it is
Gauss-Newton's.  For the squared error g = f - y and h = 1; for other losses both change
from iteration to iteration.  The papers' plain step is the one without damping, taken as
it comes.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from sksparsenn._firing import Firing
from sksparsenn._jacobian import Jacobian
from sksparsenn._kernels import common_pairs
from sksparsenn._linear_solvers import Singular, Solution
from sksparsenn._network import Network, tangent_kernel_diagonal
from sksparsenn._range import absolute_ridge
from sksparsenn._work import Work

# Damping at the start, in units of the weighted mean of the tangent kernel's diagonal.
FIRST_DAMPING = 0.1

# The part of the last step that damping pulls towards.  A step that is taken back leaves this much of the pull, a
# second one in a row ends it: a pull that ended at once would have to be gathered again for many steps.
MOMENTUM, LEFT_AFTER_FAILURE = 0.95, 0.5

# Growth of the damping after a step that is taken back, doubled with each further one.
FIRST_GROWTH = 2.0

# A singular matrix is tried again with this many times the damping, this often.
RETRY_GROWTH, MOST_RETRIES = 100.0, 8

# Undamped, an objective this many times the first will not come back.
DIVERGED = 1e4


class Data(NamedTuple):
    """Samples on the sphere (padded rows), targets as the loss takes them, and the weight of each sample."""

    X: np.ndarray
    y: np.ndarray
    weights: np.ndarray
    n_features: int
    """Columns of X that are not padding."""


class Options(NamedTuple):
    """What the loop needs to know of the estimator's parameters."""

    loss: object
    damped: bool
    alpha: float
    max_iter: int
    tol: float
    weight_unit: float = 1.0
    """By which the weights of the samples have been divided."""


class Point(NamedTuple):
    """A network, who fires, what comes out, and the objective there."""

    network: Network
    firing: Firing
    outputs: np.ndarray
    objective: float


class Iteration(NamedTuple):
    """What is recorded of an iteration: a step that was computed and tried."""

    objective: float
    """Before the step."""
    damping: float
    accepted: bool
    inner_iterations: int
    residual: float
    neurons_moved: int
    pairs_changed: int
    firing_fraction: float
    work: Work


@dataclass
class State:
    """What changes from step to step."""

    network: Network
    anchor: np.ndarray
    """Weights at initialisation, towards which the ridge pulls."""

    point: Point | None = None
    kernel_unit: float = np.nan
    """Weighted mean of the tangent kernel's diagonal at the start."""
    ridge: float = 0.0
    damping: float = np.nan
    last_step: np.ndarray | float = 0.0
    growth: float = FIRST_GROWTH
    told: np.ndarray | None = None
    """Neurons that the last step moved, if it was taken back: the search still has them there."""
    work: Work = field(default_factory=lambda: Work(0, 0, 0))
    history: list = field(default_factory=list)
    stop_reason: str = "max_iter"

    remembered = "kernel_unit", "damping", "last_step", "growth"


def train(data, state, search, solver, options, early_stopping=None, progress=None):
    """Run Gauss-Newton from `state`, which is changed in place; returns the weights to keep.

    `progress` is told when an iteration begins and ends, and may ask to stop.
    """
    X = data.X.astype(np.float64, copy=False)
    signs = state.network.signs.astype(np.float64)
    # 1. Who fires at the start, what comes out, and the units of ridge and damping.
    state.point = evaluate(state.network, data, state, search, options)
    set_units(data, state, options)
    state.point = with_ridge(state.point, state)
    jacobian = None
    for _ in range(options.max_iter):
        if progress is not None:
            progress.begin_iteration()
        point = state.point
        # 2. The model: the Jacobian over firing pairs and what the loss asks of it, anew if the last step was kept.
        if jacobian is None:
            root, residuals = weighted_residuals(point, data, options.loss)
            jacobian = Jacobian(point.firing, X, root, signs, point.network.scale, data.n_features)
            if jacobian.shape[1] > 0:
                solver.refresh(jacobian)
        # 3. The step that minimises the damped model.
        travelled = point.network.weights.astype(np.float64) - state.anchor
        coasting = np.any(state.last_step)
        pull = state.ridge * travelled - state.damping * MOMENTUM * state.last_step
        solution = damped_step(solver, residuals, pull[jacobian.neurons], state, options)
        step = whole_step(solution.step, jacobian.neurons, pull, state)
        predicted = predicted_decrease(jacobian, residuals, travelled, step, state.ridge)
        # 4. Try it; the search is told of the neurons that it moves, and of no others.
        trial = evaluate(moved_network(point.network, step, state, search), data, state, search, options)
        # 5. Keep it if it lowers the objective, and damp the next step by how well the model foretold that.
        decrease = point.objective - trial.objective
        accepted = bool(decrease > 0) or not options.damped
        record(state, trial, solution, step, accepted)
        if accepted:
            state.point, state.told, jacobian = trial, None, None
            state.last_step = step
        else:
            state.last_step = what_is_left_of_the_pull(state)
        adapt_damping(state, decrease, predicted, accepted, options)
        refuse_divergence(state, options)
        # 6. Stop once a step gains next to nothing, or none can gain anything, or the score on validation
        #    samples has ceased to improve.
        if early_stopping is not None and early_stopping.reached(state.point.network, changed=accepted):
            state.stop_reason = "validation"
        if accepted and abs(decrease) <= options.tol * point.objective:
            state.stop_reason = "tol"
        if not accepted and not coasting and predicted <= np.finfo(data.X.dtype).eps * point.objective:
            state.stop_reason = "rounding"
        if progress is not None and progress.end_iteration(state):
            state.stop_reason = "callback"
        if state.stop_reason != "max_iter":
            break
    return state.point.network.weights if early_stopping is None else early_stopping.best_weights


def evaluate(network, data, state, search, options):
    """Who fires, the outputs and the objective of a network; adds to the work of this iteration."""
    firing, outputs, work = search.forward(network)
    state.work += work
    misfit = float(data.weights @ options.loss.value(outputs, data.y))
    travelled = np.square(network.weights - state.anchor, dtype=np.float64).sum()
    return Point(network, firing, outputs, misfit + 0.5 * state.ridge * float(travelled))


def weighted_residuals(point, data, loss):
    """Square roots of s_i h_i, and the residuals -s_i g_i over them, one for each sample and output.

    1/2 ||root * J u - residuals||^2 is the model of the loss, but for a constant.
    """
    curvature = loss.curvature_of(point.outputs, data.y)
    root = np.sqrt(data.weights * curvature)
    slope = loss.derivative(point.outputs, data.y)
    return root, -(root[:, None] * (slope / curvature[:, None])).ravel()


def with_ridge(point, state):
    """The same point, its objective with the ridge, whose strength the first evaluation has to find."""
    travelled = np.square(point.network.weights - state.anchor, dtype=np.float64).sum()
    return point._replace(objective=point.objective + 0.5 * state.ridge * float(travelled))


def set_units(data, state, options):
    """Ridge and first damping in absolute terms, from the weighted mean of the tangent kernel's diagonal."""
    if np.isnan(state.kernel_unit):
        diagonal = tangent_kernel_diagonal(state.point.firing, data.X, state.network.scale)
        state.kernel_unit = float(data.weights @ diagonal) / data.weights.sum()
    state.ridge = absolute_ridge(options.alpha, state.kernel_unit, options.weight_unit)
    if not options.damped:
        state.damping = 0.0
    elif np.isnan(state.damping):
        state.damping = FIRST_DAMPING * state.kernel_unit


def damped_step(solver, residuals, pull, state, options):
    """The step of the neurons that fire; with more damping if the matrix is singular without."""
    if not len(pull):  # nobody fires on anything
        return Solution(pull, 0, 0.0)
    for _ in range(MOST_RETRIES):
        try:
            return solver.step(residuals, pull, state.ridge + state.damping)
        except Singular:
            state.damping *= RETRY_GROWTH
        if state.damping == 0:
            break
    raise ValueError(
        "the Gauss-Newton matrix is singular, as it is if two samples are equal or no neuron fires on one: "
        f"with damping={0 if not options.damped else 'adaptive'!r} and alpha={options.alpha} there is no step; "
        "use damping='adaptive', or raise alpha."
    )


def whole_step(active, neurons, pull, state):
    """The step of all neurons: those that fire on nothing only feel the pull."""
    strength = state.ridge + state.damping
    step = -pull / strength if strength > 0 else np.zeros_like(pull)
    step[neurons] = active
    return step


def moved_network(network, step, state, search):
    """The network after a step."""
    weights = network.weights.copy()
    rows = np.flatnonzero(step.any(axis=1))
    weights[rows] += step[rows].astype(weights.dtype)
    search.moved(weights, rows if state.told is None else np.union1d(rows, state.told))
    state.told = rows
    return network._replace(weights=weights)


def predicted_decrease(jacobian, residuals, travelled, step, ridge):
    """By how much the step lowers the undamped model."""
    change = jacobian.product(step[jacobian.neurons])
    misfit = change @ residuals - 0.5 * change @ change
    return float(misfit - ridge * (np.vdot(travelled, step) + 0.5 * np.vdot(step, step)))


def what_is_left_of_the_pull(state):
    """The last step, as far as damping still pulls towards it after a step that is taken back."""
    first_failure = state.growth == FIRST_GROWTH
    return LEFT_AFTER_FAILURE * state.last_step if first_failure else np.zeros_like(state.last_step)


def adapt_damping(state, decrease, predicted, accepted, options):
    """Nielsen's rule: down to a third after a well foretold step, up by growing factors after steps that failed."""
    if not options.damped:
        return
    if accepted:
        ratio = decrease / predicted if predicted > 0 else 1.0
        state.damping *= max(1 / 3, 1 - (2 * ratio - 1) ** 3)
        state.growth = FIRST_GROWTH
    else:
        state.damping *= state.growth
        state.growth *= 2


def record(state, trial, solution, step, accepted):
    """Add what this iteration did to the history."""
    before, after = state.point.firing, trial.firing
    kept = common_pairs(*before[:4], *after[:4]) if accepted else before.n_pairs
    state.history.append(
        Iteration(
            objective=state.point.objective,
            damping=state.damping,
            accepted=accepted,
            inner_iterations=solution.inner_iterations,
            residual=solution.residual,
            neurons_moved=int(step.any(axis=1).sum()) if accepted else 0,
            pairs_changed=before.n_pairs + after.n_pairs - 2 * kept if accepted else 0,
            firing_fraction=before.n_pairs / (len(trial.outputs) * len(step)),
            work=state.work,
        )
    )
    state.work = Work(0, 0, 0)


def refuse_divergence(state, options):
    """Stop with an error that names the parameter to change once undamped steps have blown up."""
    first, last = state.history[0].objective, state.point.objective
    if options.damped or (np.isfinite(last) and last <= DIVERGED * max(first, 1.0)):
        return
    raise ValueError(
        f"training diverged: the objective went from {first:.3g} to {last:.3g} in {len(state.history)} iterations "
        "of plain steps; use damping='adaptive'."
    )
