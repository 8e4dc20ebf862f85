"""The choice of a solver: what the model of cost must say in extreme cases, and what memory forbids."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from jacobians import jacobians
from single_networks import SketchedGaussNewtonRegressor

import sksparsenn._solvers.choice
from sksparsenn._solvers.choice import SMALL_ORDER, AutomaticSolver, choose_solver, nanoseconds
from sksparsenn._solvers.jacobian import Sizes
from sksparsenn._solvers.solution import Solution
from sksparsenn._utils.memory import NEVER_REFUSED

ENOUGH = 10**15


def chosen(monkeypatch, available, *sizes):
    monkeypatch.setattr(sksparsenn._solvers.choice, "available_memory", lambda: available)
    return choose_solver(Sizes(*sizes), 4.0)


@given(
    st.integers(1, 10**5), st.integers(1, 100), st.integers(1, 5), st.integers(0, 10**5), st.floats(0, 1),
)  # fmt: skip
def test_times_are_positive_and_the_order_is_the_smaller_side(n, d, o, m, share):
    problem = Sizes(n, d, o, m, int(share * n * m))
    assert problem.order == min(n * o, m * d)
    times = nanoseconds(problem, 4.0)
    assert set(times) == {"cholesky", "nystrom", "sketch"}
    assert all(np.isfinite(time) and time >= 0 for time in times.values())


def test_tiny_problems_are_solved_directly(monkeypatch):
    """A matrix of order 50 is factored in microseconds; a single step of an iteration costs more than that."""
    assert chosen(monkeypatch, ENOUGH, 50, 5, 1, 200, 1000) == "cholesky"
    assert chosen(monkeypatch, ENOUGH, 1000, 5, 1, 10, 2000) == "cholesky"


def test_huge_orders_are_solved_without_a_matrix(monkeypatch):
    """A Cholesky factor of order 300,000 takes 9e15 flops; a product with J J^T through 10^8 pairs about 10^10."""
    assert chosen(monkeypatch, None, 300_000, 10, 1, 50_000, 10**8) == "nystrom"
    assert chosen(monkeypatch, 10**18, 300_000, 10, 1, 50_000, 10**8) == "nystrom"


@given(
    st.integers(1, 10**5), st.integers(1, 50), st.integers(1, 3), st.integers(1, 10**5),
    st.floats(0, 1, exclude_max=True),
)  # fmt: skip
def test_no_matrix_is_chosen_that_memory_does_not_hold(n, d, o, m, share):
    problem = Sizes(n, d, o, m, n * m // 50)
    assume(8 * problem.order**2 > NEVER_REFUSED)
    available = int(share * 8 * problem.order**2)  # a part of what the matrix takes
    with pytest.MonkeyPatch.context() as monkeypatch:
        assert chosen(monkeypatch, available, *problem) == "nystrom"


def test_costs_grow_with_the_problem():
    """Twice the samples, and the pairs with them: no solver takes less time."""
    small, large = (nanoseconds(Sizes(n, 8, 1, 4000, 80 * n), 4.0) for n in (2000, 4000))
    for name, time in small.items():
        assert large[name] > time
    # Without pairs a factor is all there is to compute: for large orders eight times as much for twice the order.
    small, large = (nanoseconds(Sizes(n, 8, 1, 10**6, 0), 4.0)["cholesky"] for n in (200_000, 400_000))
    assert large == pytest.approx(8 * small, rel=0.01)


@pytest.mark.parametrize("name", ["cholesky", "nystrom", "sketch"])
def test_auto_takes_the_solver_that_the_model_names(name, monkeypatch):
    asked = []
    monkeypatch.setattr(
        sksparsenn._solvers.choice, "choose_solver", lambda problem, *others: asked.append(problem) or name
    )
    X = np.random.default_rng(0).standard_normal((40, 3))
    model = SketchedGaussNewtonRegressor(
        width=20, shift=0.5, solver="auto", fit_intercept=True, max_iter=1, random_state=0
    ).fit(X, np.c_[X[:, 0], X[:, 1]])
    assert model.solver_ == name
    (problem,) = asked
    assert problem[:3] == (40, 4, 2)  # a constant coordinate is added
    assert problem.n_pairs == round(model.firing_fraction_curve_[0] * 40 * 20)
    assert 0 < problem.n_neurons <= 20


def test_auto_gives_up_an_iteration_that_takes_too_many_steps():
    """The model counts the steps that the last iteration took: with enough of them, a factor is cheaper."""
    problem = Sizes(20_000, 9, 1, 300, 20_000 * 25)
    assert nanoseconds(problem, 4.0, steps=10)["nystrom"] < nanoseconds(problem, 4.0, steps=10)["cholesky"]
    assert nanoseconds(problem, 4.0, steps=400)["nystrom"] > nanoseconds(problem, 4.0, steps=400)["cholesky"]


# -- on a ridge path --------------------------------------------------------------------------------

LARGE = Sizes(20_000, 9, 1, 4000, 20_000 * 200)


@pytest.fixture
def enough_memory(monkeypatch):
    monkeypatch.setattr(sksparsenn._solvers.choice, "available_memory", lambda: ENOUGH)


def test_few_plain_steps_are_the_cheapest_of_a_large_order(enough_memory):
    assert choose_solver(LARGE, 4.0, plain_steps=5) == "cg"
    assert choose_solver(LARGE, 4.0, plain_steps=5000) != "cg"
    assert choose_solver(LARGE, 4.0) != "cg"


@given(
    st.integers(1, 10**5), st.integers(1, 50), st.integers(1, 3), st.integers(1, 10**5), st.floats(1e-3, 1e4),
)  # fmt: skip
def test_plain_steps_cost_their_number_and_are_for_large_orders_on_a_path(n, d, o, m, plain_steps):
    sizes = Sizes(n, d, o, m, n * m // 50)
    constant, path = nanoseconds(sizes, 4.0), nanoseconds(sizes, 4.0, plain_steps=plain_steps)
    assert set(constant) == {"cholesky", "nystrom", "sketch"}
    assert set(path) - {"cg", "sample"} == set(constant)
    assert ("sample" in path) == (sizes.order > SMALL_ORDER and n * o >= 16 * m * d)
    assert ("cg" in path) == (sizes.order > SMALL_ORDER)
    assert all(path[name] == time for name, time in constant.items())
    if "cg" in path:
        twice = nanoseconds(sizes, 4.0, plain_steps=2 * plain_steps)
        assert twice["cg"] == pytest.approx(2 * path["cg"])


@pytest.mark.parametrize("sizes", [Sizes(SMALL_ORDER, 9, 1, 10**6, 10**8), Sizes(10**6, 10, 1, 20, 10**7)])
def test_a_small_matrix_is_never_iterated_on(sizes, enough_memory):
    assert sizes.order == SMALL_ORDER
    assert choose_solver(sizes, 4.0, plain_steps=1e-9) != "cg"
    beyond = sizes._replace(n_samples=sizes.n_samples + 1, n_neurons=sizes.n_neurons + 1)
    assert choose_solver(beyond, 4.0, plain_steps=1e-9) == "cg"


def test_memory_leaves_the_solvers_without_a_matrix(monkeypatch):
    monkeypatch.setattr(sksparsenn._solvers.choice, "available_memory", lambda: 10**6)
    assert choose_solver(LARGE, 4.0) == "nystrom"
    assert choose_solver(LARGE, 4.0, plain_steps=1) == "cg"
    assert choose_solver(LARGE, 4.0, plain_steps=10**6) == "nystrom"


class Solver:
    """A solver that takes a given number of steps."""

    rank = 320

    def __init__(self, name, steps):
        self.name, self.steps = name, steps

    def refresh(self, jacobian, strength=None):
        pass

    def step(self, residuals, pull, strength):
        return Solution(pull, self.steps, 0.0)


@pytest.fixture
def asked(monkeypatch):
    """What the choice was told of plain steps, each time; the choice is the first of `names`, and so on."""
    told = SimpleNamespace(plain_steps=[], ranks=[], names=[])

    def choose(sizes, sketch_size, steps, plain_steps, rank):
        told.plain_steps.append(plain_steps)
        told.ranks.append(rank)
        return told.names.pop(0)

    monkeypatch.setattr(sksparsenn._solvers.choice, "choose_solver", choose)
    return told


def test_predicted_plain_steps_grow_like_one_over_the_root_of_the_strength(asked):
    jacobian, _ = jacobians(20, 3, 10, 1, seed=0)
    solver = AutomaticSolver(lambda name: Solver(name, 12), 4.0, on_path=True)
    asked.names = ["cg", "cg", "cholesky", "cg", "cg"]
    solver.refresh(jacobian, 9.0)
    assert asked.plain_steps == [10]  # nothing has been counted
    solver.step(None, None, 4.0)  # 12 steps at a strength that damping has changed
    for strength in (1.0, 16.0):
        solver.refresh(jacobian, strength)
    assert asked.plain_steps[1:] == pytest.approx([24.0, 6.0])
    solver.step(None, None, 1e-6)  # by Cholesky, which tells nothing of plain steps
    solver.refresh(jacobian, 4.0)
    assert asked.plain_steps[3] == pytest.approx(12.0)
    solver.step(None, None, 0.25)
    solver.refresh(jacobian, 1.0)
    assert asked.plain_steps[4] == pytest.approx(6.0)


def test_a_constant_ridge_never_asks_for_plain_steps(asked):
    jacobian, _ = jacobians(20, 3, 10, 1, seed=0)
    solver = AutomaticSolver(lambda name: Solver(name, 12), 4.0)
    asked.names = ["nystrom", "cg", "cholesky"]
    for strength in (1e6, 1.0, 1e-6):
        solver.refresh(jacobian, strength)
        solver.step(None, None, strength)
    assert asked.plain_steps == [None, None, None]
    assert asked.ranks == [64, 320, 320]  # the first one, and then that of the solver which was used
