"""Problems of rows in parts: every sum is that of the problem of all rows, for parts in memory and for blocks."""

import numpy as np
import pytest

from sksparsenn._network.firing import Step
from sksparsenn._network.losses import LogLoss, SquaredError
from sksparsenn._network.network import Network, initial_weights
from sksparsenn._samples.dense import DenseSamples
from sksparsenn._samples.drawing import row_keys
from sksparsenn._samples.points import padded_rows
from sksparsenn._search.choice import make_search
from sksparsenn._solvers.cholesky import CholeskySolver
from sksparsenn._solvers.conjugate_gradients import ConjugateGradientSolver
from sksparsenn._solvers.jacobian import Sizes
from sksparsenn._solvers.row_sample import RowSampleSolver
from sksparsenn._solvers.summed import (
    SummedCholeskySolver,
    SummedConjugateGradientSolver,
    SummedRowSampleSolver,
    choose_summed_solver,
    make_summed_solver,
)
from sksparsenn._training.early_stopping import HeldOutRows
from sksparsenn._training.problem import Problem
from sksparsenn._training.summed_problem import SummedHeldOutRows, SummedProblem, WeightedHeldOutRows
from sksparsenn._utils.parts import Blocks, Column, Parts

N, D, WIDTH = 1500, 5, 24


def network_of(n_outputs, rng):
    weights, signs = initial_weights(WIDTH, D, n_outputs, "gaussian", np.random.RandomState(3), np.float64)
    weights[3] = 0  # fires on nothing
    return Network(padded_rows(weights), signs, 0.4, 0.4, 1.0)


def problems(n_outputs=1, kind=Parts, seed=0):
    """The problem of a table, the same in three parts, on one of which some neurons never fire, and a network."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((N, D))
    X[:7] = X[0]
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    rows, network = padded_rows(X), network_of(n_outputs, rng)
    y = np.where(rng.standard_normal((N, n_outputs)) > 0, 1.0, -1.0)
    weights = rng.uniform(0.1, 2, N)
    loss = LogLoss(np.zeros(n_outputs)) if n_outputs > 1 else SquaredError()
    offsets = 0.1 * rng.standard_normal((N, n_outputs))

    def problem_of(part):
        samples = DenseSamples(np.ascontiguousarray(rows[part]), D)
        search = make_search("brute", samples, network.weights, 0.4, in_batches=False)
        return Problem(samples, y[part], weights[part], loss, search, weights.sum(), None, offsets[part])

    slices = [slice(0, 7), slice(7, 850), slice(850, N)]
    column = Column([problem_of(part) for part in slices])
    keys = Column([row_keys(rows[part]) for part in slices])
    summed = SummedProblem(
        kind(), column, keys, N, D, total_weight=weights.sum(), share=1.0, loss=loss, search_name="brute"
    )
    return problem_of(slice(None)), summed, network


both = pytest.mark.parametrize("kind", [Parts, Blocks])
outputs = pytest.mark.parametrize("n_outputs", [1, 3])


@both
@outputs
def test_an_evaluation_adds_up(kind, n_outputs):
    whole, summed, network = problems(n_outputs, kind)
    one, other = whole.evaluate(network), summed.evaluate(network)
    assert other.misfit == pytest.approx(one.misfit, rel=1e-13)
    assert other.firing.n_pairs == one.firing.n_pairs
    assert other.work == one.work
    assert other.firing_fraction == one.firing_fraction
    np.testing.assert_array_equal(other.firing.neurons_that_fire, one.firing.neurons_that_fire)
    moved = network._replace(weights=network.weights * 1.1)
    assert other.firing.common_pairs(summed.evaluate(moved).firing) == one.firing.common_pairs(
        whole.evaluate(moved).firing
    )
    np.testing.assert_allclose(summed.kernel_unit(other), whole.kernel_unit(one), rtol=1e-13)


@both
@outputs
def test_the_largest_curvature_is_that_of_the_same_iteration(kind, n_outputs):
    whole, summed, network = problems(n_outputs, kind)
    expected = whole.largest_curvature(whole.evaluate(network))
    assert summed.largest_curvature(summed.evaluate(network)) == pytest.approx(expected, rel=1e-12)


@both
@pytest.mark.parametrize(
    "step", [Step(0.2, 0.3, 0.0, False, 0.0), Step(0.2, 0.3, 0.9, True, 0.1), Step(0.2, 0.3, 0.9, False, 0.0)]
)
def test_a_step_of_descent_is_that_on_all_rows(kind, step):
    whole, summed, network = problems(3, kind)
    anchor, moved = network.weights - 0.1, []
    for problem in (whole, summed):
        own, velocity = network._replace(weights=network.weights.copy()), np.full(network.weights.shape, 0.01)
        velocity[:, D:] = 0
        for _ in range(3):
            problem.descend(problem.evaluate(own), anchor, velocity, step._replace(scale=network.scale))
        moved.append(own.weights[:, :D])
    np.testing.assert_allclose(moved[1], moved[0], rtol=1e-11, atol=1e-13)


@both
@outputs
@pytest.mark.parametrize(
    ("solver", "summed_solver"),
    [(CholeskySolver, SummedCholeskySolver), (ConjugateGradientSolver, SummedConjugateGradientSolver)],
)
def test_a_gauss_newton_step_is_that_on_all_rows(kind, n_outputs, solver, summed_solver):
    whole, summed, network = problems(n_outputs, kind)
    one, other = (problem.linearise(problem.evaluate(network)) for problem in (whole, summed))
    np.testing.assert_array_equal(other.jacobian.neurons, one.jacobian.neurons)
    assert 3 not in one.jacobian.neurons
    pull = np.zeros((len(one.jacobian.neurons), network.weights.shape[1]))
    pull[:, :D] = 0.1 * np.random.default_rng(1).standard_normal((len(pull), D))
    steps = []
    for model, make in ((one, solver), (other, summed_solver)):
        own = make()
        own.refresh(model.jacobian, 0.3)
        solution = own.step(model.residuals, pull, 0.3)
        steps.append(solution.step)
        assert model.decrease(solution.step) == pytest.approx(one.decrease(steps[0]), rel=1e-9)
        assert (solution.inner_iterations > 0) == (solver is ConjugateGradientSolver)
    np.testing.assert_allclose(steps[1], steps[0], rtol=1e-9, atol=1e-12)


def test_a_sample_of_rows_preconditions_steps_to_the_residual_asked_for():
    whole, summed, network = problems()
    one, other = (problem.linearise(problem.evaluate(network)) for problem in (whole, summed))
    pull = np.zeros((len(one.jacobian.neurons), network.weights.shape[1]))
    exact = CholeskySolver()
    exact.refresh(one.jacobian)
    expected = exact.step(one.residuals, pull, 0.5).step
    for residual in (1e-2, 1e-8):
        sampled = SummedRowSampleSolver(np.random.RandomState(0), residual)
        sampled.refresh(other.jacobian)
        found = sampled.step(None, pull, 0.5)
        assert found.residual <= residual
        assert np.linalg.norm(found.step - expected) <= 10 * residual * np.linalg.norm(expected)
    assert 0 < found.inner_iterations < 25


def test_a_sample_does_not_depend_on_the_parts():
    _, summed, network = problems()
    other = SummedProblem(
        Parts(), *(Column(column.values[::-1]) for column in (summed.problems, summed.keys)), N, D,
        total_weight=summed.total_weight, share=1.0, loss=summed.loss, search_name="brute",
    )  # fmt: skip
    matrices = []
    for problem in (summed, other):
        solver = SummedRowSampleSolver(np.random.RandomState(0), 1e-2)
        solver.refresh(problem.linearise(problem.evaluate(network)).jacobian)
        matrices.append((np.tril(solver.matrix), solver.growth))
    np.testing.assert_allclose(matrices[0][0], matrices[1][0], rtol=1e-12, atol=1e-12)
    assert matrices[0][1] == pytest.approx(matrices[1][1], rel=1e-12)
    assert matrices[0][1] > 1.05


def test_scores_of_rows_held_out_are_means_over_all_parts():
    whole, summed, network = problems(3)
    targets, weights = whole.targets, whole.weights

    def scores(part):
        shares = weights[part] / weights[part].sum()
        return lambda f: 1 - float((shares @ (f - targets[part]) ** 2).mean())

    def losses(part):
        shares = weights[part] / weights[part].sum()
        return lambda f: float(shares @ whole.loss.value(f, targets[part]))

    one = HeldOutRows(whole.search, scores(slice(None)), whole.offsets, losses(slice(None)))
    parts, rows = [slice(0, 7), slice(7, 850), slice(850, N)], [WeightedHeldOutRows(None, 0.0)]
    for part, problem in zip(parts, summed.problems.values, strict=True):
        own = HeldOutRows(problem.search, scores(part), problem.offsets, losses(part))
        rows.append(WeightedHeldOutRows(own, float(weights[part].sum())))
    other = SummedHeldOutRows(Parts(), Column(rows))
    assert other.score_of(network) == pytest.approx(one.score_of(network), rel=1e-12)
    assert other.loss == pytest.approx(one.loss, rel=1e-12)
    with np.errstate(all="ignore"):
        assert other.score_of(network._replace(weights=np.where(network.weights > 0, 1e308, 0.0))) == -np.inf


def test_blocks_keep_nothing():
    computed = []

    def doubled(value):
        computed.append(value)
        return 2 * value

    blocks = Blocks()
    column = blocks.map(doubled, Column([1, 2, 3]))
    assert computed == []
    assert blocks.sum(int, column) == 12
    assert blocks.sum(max, blocks.map(doubled, column), 5) == 5 + 8 + 12
    assert computed == [1, 2, 3, 1, 2, 2, 4, 3, 6]


def test_the_choice_weighs_messages():
    # A product costs a message in any case: where few steps are needed and the matrix is large, "cg".
    sizes = Sizes(10**6, 11, 1, 500, 5 * 10**7)
    assert choose_summed_solver(sizes, 1.0, 30, 3.0, 64) == "cg"
    assert choose_summed_solver(sizes, 1.0, 30, 400.0, 64) == "sample"
    assert choose_summed_solver(sizes._replace(n_neurons=20, n_pairs=10**6), 1.0, 30, 400.0, 64) == "cholesky"
    assert choose_summed_solver(sizes, 1.0, 30, None, 64) == "cholesky"
    solver = make_summed_solver("auto", np.random.RandomState(0), 1e-2, True)
    assert solver.choose is choose_summed_solver
    assert isinstance(make_summed_solver("sample", np.random.RandomState(0), 1e-2, True), RowSampleSolver)
