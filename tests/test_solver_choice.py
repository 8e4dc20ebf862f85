"""The choice of a solver: what the model of cost must say in extreme cases, and what memory forbids."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from single_networks import SketchedGaussNewtonRegressor

import sksparsenn._solvers.choice
from sksparsenn._solvers.choice import Sizes, choose_solver, nanoseconds
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
