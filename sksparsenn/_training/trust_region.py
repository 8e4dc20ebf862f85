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

The ridge may fall from iteration to iteration along a path, and the rows that are summed over may grow with it; the
objective is that of the ridge and the rows of the moment.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from sksparsenn._network.network import Network
from sksparsenn._search.work import Work
from sksparsenn._solvers.solution import Singular, Solution
from sksparsenn._training.problem import Evaluation
from sksparsenn._utils.range import absolute_ridge

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


class Options(NamedTuple):
    """The estimator's parameters, as far as the loop needs them."""

    damped: bool
    ridge: object
    """`ConstantRidge` or `RidgePath`."""
    max_iter: int
    tol: float
    weight_unit: float = 1.0
    """By which the weights of the samples have been divided."""


class Point(NamedTuple):
    """A network evaluated on the problem, and ||W - W_0||^2; the objective depends on the ridge of the moment."""

    evaluation: Evaluation
    squared_distance: float

    @property
    def network(self):
        return self.evaluation.network

    def objective(self, ridge):
        """Return the misfit plus ridge / 2 ||W - W_0||^2."""
        return self.evaluation.misfit + 0.5 * ridge * self.squared_distance


class Iteration(NamedTuple):
    """The record of an iteration: a step that was computed and tried."""

    alpha: float
    objective: float
    """Before the step."""
    damping: float
    accepted: bool
    inner_iterations: int
    residual: float
    neurons_moved: int
    pairs_changed: int
    firing_fraction: float
    pairs_evaluated: int
    nodes_visited: int
    neurons_rescanned: int
    """Work of the search."""
    rows: int
    """In the sums."""


@dataclass
class State:
    """What changes from step to step."""

    network: Network
    anchor: np.ndarray
    """Weights at initialisation, towards which the ridge pulls."""

    point: Point | None = None
    kernel_unit: float = np.nan
    """Weighted mean of the tangent kernel's diagonal at the start."""
    silent_share: float = 0.0
    """The share of the samples, by weight, on which no neuron fires at the start."""
    row_seed: int = 0
    n_rows: int = 0
    """Which distinct rows are in the sample, if the rows grow, and how many."""
    n_steps: int = 0
    """Steps tried so far, which tell the place on the path."""
    alpha: float = np.nan
    ridge: float = 0.0
    """Of the iteration, relative to the kernel unit and in absolute terms."""
    damping: float = np.nan
    last_step: np.ndarray | float = 0.0
    growth: float = FIRST_GROWTH
    tried: np.ndarray | None = None
    """Neurons that the last step moved, if it was taken back: the search still has them there."""
    work: Work = field(default_factory=lambda: Work(0, 0, 0))
    history: list = field(default_factory=list)
    objective: float = np.nan
    """After the last iteration."""
    stop_reason: str = "max_iter"

    remembered = (
        "kernel_unit", "row_seed", "n_rows", "n_steps", "damping", "last_step", "growth", "history", "objective",
    )  # fmt: skip

    @property
    def weights(self):
        """The present weights."""
        return (self if self.point is None else self.point).network.weights  # no point if training had ended before

    def return_to(self, iteration):
        """Go back on the path to the place after an iteration, at rest."""
        self.n_steps, self.last_step = iteration, 0.0


def train(problem, state, solver, options, early_stopping=None, growing=None):
    """Run Gauss-Newton from `state`, which is changed in place; yield after each iteration but the last.

    With `GrowingRows`, `problem` is that of their first sample.
    """
    # 1. Who fires at the start, what comes out, and the units of ridge and damping.
    state.point = evaluate(state.network, problem, state)
    if growing is not None:
        growing.hurry(early_stopping, problem)
    set_units(problem, state, options)
    model = None
    for iteration in range(options.max_iter):
        point = state.point
        # 2. The ridge of this iteration.
        set_ridge(state, problem, options)
        # 3. The model: the Jacobian over firing pairs and the residuals, computed anew if the last step was kept.
        if model is None:
            model = problem.linearise(point.evaluation)
            if model.jacobian.shape[1] > 0:
                solver.refresh(model.jacobian, state.ridge + state.damping)
        # 4. The step that minimises the damped model.
        neurons = model.jacobian.neurons
        travelled = point.network.weights.astype(np.float64) - state.anchor
        coasting = np.any(state.last_step)
        pull = state.ridge * travelled - state.damping * MOMENTUM * state.last_step
        solution = damped_step(solver, model.residuals, pull[neurons], state, options)
        step = whole_step(solution.step, neurons, pull, state)
        predicted = predicted_decrease(model, travelled, step, state.ridge)
        # 5. Try it; the search is brought up to date for the neurons that it moves, and for no others.
        trial = evaluate(moved_network(point.network, step, problem, state), problem, state)
        # 6. Keep it if it lowers the objective, and damp the next step by how well the model predicted that.
        objective = point.objective(state.ridge)
        decrease = objective - trial.objective(state.ridge)
        accepted = bool(decrease > 0) or not options.damped
        record(state, problem, trial, solution, step, accepted)
        if accepted:
            state.point, state.tried, model = trial, None, None
            state.last_step = step
        else:
            state.last_step = what_is_left_of_the_pull(state)
        state.objective = state.point.objective(state.ridge)
        adapt_damping(state, decrease, predicted, accepted, options)
        refuse_divergence(state, options)
        # 7. Stop once the score on validation samples has ceased to improve or, unless the ridge will fall further,
        #    a step gains next to nothing, or none can gain anything.
        if early_stopping is not None and early_stopping.reached(state.point.network, changed=accepted):
            state.stop_reason = "validation"
        if not options.ridge.falls:
            if accepted and abs(decrease) <= options.tol * objective:
                state.stop_reason = "tol"
            if not accepted and not coasting and predicted <= np.finfo(state.anchor.dtype).eps * objective:
                state.stop_reason = "rounding"
        # 8. Sum over more rows where they would lower the error on others, and over all of them before the end.
        watches, mean_loss = growing is not None and accepted, state.point.evaluation.misfit / problem.total_weight
        weights = growing.go_on_from(problem, state, mean_loss, early_stopping) if watches else None
        if weights is not None:
            problem, model, state.tried = growing.problem(state.n_rows, weights), None, None
            state.point = evaluate(state.point.network._replace(weights=weights), problem, state)
            growing.hurry(early_stopping, problem)
        if state.stop_reason != "max_iter" or iteration + 1 == options.max_iter:
            return
        yield


def evaluate(network, problem, state):
    """Return the `Point` of a network; adds to the work of this iteration."""
    evaluation = problem.evaluate(network)
    state.work += evaluation.work
    squared_distance = float(np.square(network.weights - state.anchor, dtype=np.float64).sum())
    return Point(evaluation, squared_distance)


def set_units(problem, state, options):
    """Set the kernel unit, the weighted mean of the tangent kernel's diagonal, and the first damping in terms of it."""
    if np.isnan(state.kernel_unit):
        unit = problem.kernel_unit(state.point.evaluation)
        state.kernel_unit = unit.total / problem.total_weight
        state.silent_share = unit.silent / problem.total_weight
    if not options.damped:
        state.damping = 0.0
    elif np.isnan(state.damping):
        state.damping = FIRST_DAMPING * state.kernel_unit


def set_ridge(state, problem, options):
    """Set the ridge of the next iteration, and count it."""
    state.alpha = options.ridge.at(state.n_steps) / problem.share
    state.ridge = absolute_ridge(state.alpha, state.kernel_unit, options.weight_unit)
    state.n_steps += 1


def damped_step(solver, residuals, pull, state, options):
    """Return the step of the neurons that fire; with more damping if the matrix is singular without."""
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
        f"with damping={0 if not options.damped else 'adaptive'!r} and alpha={state.alpha} there is no step; "
        "use damping='adaptive', or raise alpha."
    )


def whole_step(active, neurons, pull, state):
    """Return the step of all neurons; that of neurons that fire on nothing follows from ridge and momentum alone."""
    strength = state.ridge + state.damping
    step = -pull / strength if strength > 0 else np.zeros_like(pull)
    step[neurons] = active
    return step


def moved_network(network, step, problem, state):
    """Return the network after a step."""
    weights = network.weights.copy()
    rows = np.flatnonzero(step.any(axis=1))
    weights[rows] += step[rows].astype(weights.dtype)
    problem.moved(weights, rows if state.tried is None else np.union1d(rows, state.tried))
    state.tried = rows
    return network._replace(weights=weights)


def predicted_decrease(model, travelled, step, ridge):
    """Return by how much the step lowers the undamped model."""
    misfit = model.decrease(step[model.jacobian.neurons])
    return float(misfit - ridge * (np.vdot(travelled, step) + 0.5 * np.vdot(step, step)))


def what_is_left_of_the_pull(state):
    """Return the last step, as far as damping still pulls towards it after a step that is taken back."""
    first_failure = state.growth == FIRST_GROWTH
    return LEFT_AFTER_FAILURE * state.last_step if first_failure else np.zeros_like(state.last_step)


def adapt_damping(state, decrease, predicted, accepted, options):
    """Adapt damping by Nielsen's rule: down to a third after a well predicted step, up after steps that failed."""
    if not options.damped:
        return
    if accepted:
        ratio = decrease / predicted if predicted > 0 else 1.0
        state.damping *= max(1 / 3, 1 - (2 * ratio - 1) ** 3)
        state.growth = FIRST_GROWTH
    else:
        state.damping *= state.growth
        state.growth *= 2


def record(state, problem, trial, solution, step, accepted):
    """Add what this iteration did to the history."""
    before, after = state.point.evaluation.firing, trial.evaluation.firing
    kept = before.common_pairs(after) if accepted else before.n_pairs
    state.history.append(
        Iteration(
            alpha=state.alpha,
            objective=state.point.objective(state.ridge),
            damping=state.damping,
            accepted=accepted,
            inner_iterations=solution.inner_iterations,
            residual=solution.residual,
            neurons_moved=int(step.any(axis=1).sum()) if accepted else 0,
            pairs_changed=before.n_pairs + after.n_pairs - 2 * kept if accepted else 0,
            firing_fraction=state.point.evaluation.firing_fraction,
            rows=len(problem),
            **state.work._asdict(),
        )
    )
    state.work = Work(0, 0, 0)


def refuse_divergence(state, options):
    """Raise ValueError, naming the parameter to change, once undamped steps have blown up."""
    first, last = state.history[0].objective, state.objective
    if options.damped or (np.isfinite(last) and last <= DIVERGED * max(first, 1.0)):
        return
    raise ValueError(
        f"training diverged: the objective went from {first:.3g} to {last:.3g} in {len(state.history)} iterations "
        "of plain steps; use damping='adaptive'."
    )
