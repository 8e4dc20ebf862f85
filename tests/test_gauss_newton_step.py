"""One Gauss-Newton step, part by part, against the dense Jacobian."""

from types import SimpleNamespace

import dense_gauss_newton as dense
import dense_twin
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sksparsenn._compiled.cholesky import cholesky_upper, fill_upper
from sksparsenn._compiled.patterns import common_pairs
from sksparsenn._network.firing import Lists
from sksparsenn._network.network import Network
from sksparsenn._samples.dense import DenseSamples
from sksparsenn._samples.points import padded_rows
from sksparsenn._search.choice import make_search
from sksparsenn._search.searches import SEARCHES
from sksparsenn._solvers.cholesky import CholeskySolver
from sksparsenn._solvers.jacobian import Jacobian
from sksparsenn._solvers.nystrom import NystromSolver
from sksparsenn._solvers.row_sample import OVERSAMPLING, RowSampleSolver
from sksparsenn._solvers.sketch import SKETCHES
from sksparsenn._solvers.sketched_qr import SketchSolver
from sksparsenn._solvers.solution import Singular
from sksparsenn._solvers.systems import KernelSystem, NormalSystem, smaller_system
from sksparsenn._solvers.triangles import damped_factor, upper_factor
from sksparsenn._training.problem import LinearModel
from sksparsenn._training.trust_region import moved_network, predicted_decrease, whole_step
from sksparsenn._utils.blas_threads import single_blas_thread

# Sums of at most a few hundred products of numbers of the order of one.
ROUNDING = 1e-11


@pytest.fixture(autouse=True)
def blas_as_in_training():
    """One BLAS thread: the solvers are called like that."""
    with single_blas_thread():
        yield


def both_jacobians(n, d, width, n_outputs, threshold, seed, silent=True, weighted=True, scale=0.7):
    """The Jacobian over firing pairs, and J as a dense array with columns for all neurons.

    The first sample is zero, so that nobody fires on it, or else none is left on which nobody fires.
    """
    rng = np.random.default_rng(seed)
    X, W = rng.standard_normal((n, d)), rng.standard_normal((width, d))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    if silent:
        X[0] = 0
    else:
        X = X[dense_twin.activation(W, X, threshold, threshold)[1].any(axis=0)]
    signs = rng.choice([-1.0, 1.0], (width, n_outputs))
    root = rng.uniform(0.5, 2.0, len(X)) if weighted else np.ones(len(X))
    J = dense.jacobian(W, signs, X, root, threshold, scale)
    X, W = padded_rows(X), padded_rows(W)
    firing = Network(W, signs, threshold, threshold, 1.0).firing(DenseSamples(X))
    return Jacobian(firing, X, root, signs, scale, d), J


def columns(jacobian, J):
    """The columns of the dense J that the sparse one has: those of the neurons that fire."""
    d = jacobian.n_features
    return J[:, (jacobian.neurons[:, None] * d + np.arange(d)).ravel()]


# Nine features are padded to sixteen, one to eight; at threshold nine nobody fires.
jacobians = st.builds(
    both_jacobians,
    n=st.integers(1, 12),
    d=st.sampled_from([1, 2, 3, 8, 9]),
    width=st.integers(1, 12),
    n_outputs=st.integers(1, 3),
    threshold=st.sampled_from([0.0, 0.5, 1.5, 9.0]),
    seed=st.integers(0, 2**32 - 1),
    silent=st.booleans(),
    weighted=st.booleans(),
)


def close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=0, atol=ROUNDING)


@given(jacobians)
def test_columns_are_those_of_neurons_that_fire(both):
    jacobian, J = both
    fires = J.any(axis=0).reshape(-1, jacobian.n_features).any(axis=1)
    assert jacobian.neurons.tolist() == np.flatnonzero(fires).tolist()
    assert jacobian.shape == columns(jacobian, J).shape


@given(jacobians, st.integers(0, 2**32 - 1))
def test_products_with_the_jacobian(both, seed):
    jacobian, J = both
    J = columns(jacobian, J)
    rng = np.random.default_rng(seed)
    u, v = rng.standard_normal(J.shape[1]), rng.standard_normal(J.shape[0])
    close(jacobian.product(jacobian.padded(u)), J @ u)
    close(jacobian.packed(jacobian.transpose_product(v)), J.T @ v)
    np.testing.assert_array_equal(jacobian.packed(jacobian.padded(u)), u)


@given(jacobians, st.data())
def test_both_matrices(both, data):
    jacobian, J = both
    J = columns(jacobian, J)
    for system, A in ((KernelSystem(jacobian), J.T), (NormalSystem(jacobian), J)):
        matrix = np.full((system.size, system.size), np.nan)
        system.fill(matrix)
        close(np.tril(matrix), np.tril(A.T @ A))  # the rest may hold anything
        close(system.diagonal(), np.diag(A.T @ A))
        entries = data.draw(st.lists(st.integers(0, max(system.size - 1, 0)), max_size=5 if system.size else 0))
        close(system.rows(np.array(entries, dtype=int)), (A.T @ A)[entries])
        v = np.random.default_rng(0).standard_normal(system.size)
        close(system.product(v), A.T @ (A @ v))


@pytest.mark.parametrize("threshold", [0.0, 0.9, 2.2])
@pytest.mark.parametrize("width", [63, 64, 65, 512, 513, 1024, 1100])
def test_co_firing_is_counted_exactly_with_many_neurons_as_with_few(width, threshold):
    """At the low threshold the tangent kernel counts neurons as bits, at the high one by lists."""
    jacobian, J = both_jacobians(40, 3, width, 1, threshold, seed=width)
    J = columns(jacobian, J)
    matrix = np.full((len(J), len(J)), np.nan)
    KernelSystem(jacobian).fill(matrix)
    np.testing.assert_allclose(np.tril(matrix), np.tril(J @ J.T), rtol=1e-12, atol=ROUNDING)


@given(jacobians, st.data())
def test_parts_of_the_factor(both, data):
    """A is J^T or J: its rows by items, and any range of its columns."""
    jacobian, J = both
    J = columns(jacobian, J)
    assume(J.size)  # without columns there is nothing to sketch
    for system, A in ((KernelSystem(jacobian), J.T), (NormalSystem(jacobian), J)):
        assert A.shape == (system.n_items * system.item_size, system.size)
        items = sorted(data.draw(st.sets(st.integers(0, system.n_items), min_size=2, max_size=2)))
        first, last = (item * system.item_size for item in items)
        close(system.rows_of_factor(*items).toarray(), A[first:last])
        first, last = sorted(data.draw(st.sets(st.integers(0, system.size), min_size=2, max_size=2)))
        close(system.columns_of_factor(first, last).toarray(), A[:, first:last])


@pytest.mark.parametrize(("width", "name", "size"), [(20, "kernel", 60), (6, "kernel", 60), (5, "normal", 50)])
def test_the_system_with_fewer_rows_is_solved(width, name, size):
    """30 samples of 2 outputs make 60 rows; 10 features for each neuron, all of which fire, 200, 60 or 50."""
    jacobian, _ = both_jacobians(30, 10, width, 2, 0.0, seed=0)
    assert len(jacobian.neurons) == width
    system = smaller_system(jacobian)
    assert (system.name, system.size) == (name, size)


@pytest.mark.parametrize("search", SEARCHES)
def test_every_search_leads_to_the_same_jacobian(search):
    """Patterns differ in how they are kept, with gaps or without; the arrays made of them do not."""
    rng = np.random.default_rng(0)
    X, W = padded_rows(rng.standard_normal((40, 3))), padded_rows(rng.standard_normal((30, 3)))
    samples, moved = DenseSamples(X), W + 0.2 * rng.standard_normal(W.shape)
    searched = make_search(search, samples, W, 2.0, in_batches=False)
    searched.learn(searched.candidates(W)[0].firing(W, 2.0))
    if searched.follows_moves:
        searched.moved(moved, np.arange(30))
    root, signs = np.ones(40), np.ones((30, 1))
    jacobian = Jacobian(searched.candidates(moved)[0].firing(moved, 2.0), X, root, signs, 1.0, 3)
    expected = Jacobian(Network(moved, signs, 2.0, 2.0, 1.0).firing(samples), X, root, signs, 1.0, 3)
    assert 0 < len(expected.neurons) < 30
    assert jacobian.neurons.tolist() == expected.neurons.tolist()
    for name in ("samples", "by_neuron", "by_sample", "neurons_of_sample", "signs", "X", "root"):
        np.testing.assert_array_equal(getattr(jacobian, name), getattr(expected, name))
    assert (jacobian.scale, jacobian.shape) == (expected.scale, expected.shape)


# A pattern: for some of eight neurons, some of six samples.
patterns = st.dictionaries(st.integers(0, 7), st.sets(st.integers(0, 5)))


@given(patterns, patterns, st.integers(0, 2))
def test_common_pairs_are_those_of_sets(one, other, gap):
    def as_lists(pattern):
        """Lists with `gap` void places after each."""
        rows = sorted(pattern)
        counts = np.array([len(pattern[r]) for r in rows], dtype=np.int64)
        samples = [i for r in rows for i in [*sorted(pattern[r]), *[0] * gap]]
        starts = np.cumsum(counts + gap) - counts - gap
        return Lists(np.array(rows, dtype=np.int64), starts, counts, np.array(samples, dtype=np.int32))

    pairs = [{(r, i) for r in pattern for i in pattern[r]} for pattern in (one, other)]
    assert common_pairs(as_lists(one), as_lists(other)) == len(pairs[0] & pairs[1])


# -- Cholesky ------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [0, 1, 2, 191, 192, 193, 384, 500])
def test_cholesky_in_tiles(n):
    """One tile has 192 rows: sizes around it, and of several."""
    rng = np.random.default_rng(n)
    G = rng.standard_normal((n, n + 5))
    A = G @ G.T / (n + 5)
    lower = np.tril(rng.standard_normal((n, n)), -1)  # what the factor must leave alone
    R = np.triu(A) + lower + 0.5 * np.eye(n)
    assert cholesky_upper(R)
    np.testing.assert_array_equal(np.tril(R, -1), lower)
    expected = np.linalg.cholesky(A + 0.5 * np.eye(n)).T
    np.testing.assert_allclose(np.triu(R), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("n", [1, 192, 193, 500])
@pytest.mark.parametrize("last", [0.0, -1e-3])
def test_cholesky_refuses_what_is_not_positive_definite(n, last):
    """The last pivot alone is at fault: those before it are fine."""
    A = np.eye(n)
    A[-1, -1] = last
    assert not cholesky_upper(A)


@pytest.mark.parametrize("n", [1, 191, 192, 193, 500])
def test_fill_upper_mirrors_the_lower_triangle(n):
    rng = np.random.default_rng(n)
    A, diagonal = rng.standard_normal((n, n)), rng.standard_normal(n)
    expected = np.tril(A, -1) + np.tril(A, -1).T + np.diag(diagonal + 0.25)
    fill_upper(A, diagonal, 0.25)
    np.testing.assert_array_equal(A, expected)


def test_triangular_factors():
    """R of A, and of A with sqrt(strength) I below: R^T R is A^T A and A^T A + strength I."""
    A = np.random.default_rng(0).standard_normal((50, 20))
    R = upper_factor(np.asfortranarray(A.copy()))
    np.testing.assert_array_equal(R, np.triu(R))
    np.testing.assert_allclose(R.T @ R, A.T @ A, atol=1e-12)
    for strength in (0.0, 1e-6, 0.3, 1e4):
        damped = damped_factor(R, strength)
        np.testing.assert_array_equal(damped, np.triu(damped))
        np.testing.assert_allclose(damped.T @ damped, A.T @ A + strength * np.eye(20), rtol=1e-12, atol=1e-11)
    np.testing.assert_allclose(R.T @ R, A.T @ A, atol=1e-12)  # R itself is kept for the next damping


# -- one step ------------------------------------------------------------------------------------

RESIDUAL = 1e-14  # of iterative solvers: what is left are the errors of rounding

SOLVERS = {
    "cholesky": lambda random_state: CholeskySolver(),
    "nystrom": lambda random_state: NystromSolver(random_state, residual=RESIDUAL),
    "sample": lambda random_state: RowSampleSolver(random_state, residual=RESIDUAL),
} | {
    f"{sketch}, {iteration}": lambda random_state, sketch=sketch, iteration=iteration: SketchSolver(
        sketch, 12.0, iteration, random_state, residual=RESIDUAL
    )
    for sketch in SKETCHES
    for iteration in ("cg", "gradient")
}

# n, d, width, threshold: 25 n_outputs rows and up to 4 width columns.
SIZES = {"kernel": (25, 4, 60, 0.3), "normal": (120, 4, 8, 0.3)}


@pytest.mark.parametrize(("ridge", "damping"), [(0.0, 0.0), (0.2, 0.0), (0.0, 0.1), (0.2, 0.1)])
@pytest.mark.parametrize("n_outputs", [1, 2])
@pytest.mark.parametrize("system", SIZES)
@pytest.mark.parametrize("solver", SOLVERS)
def test_step_agrees_with_dense_least_squares(solver, system, n_outputs, ridge, damping):
    n, d, width, threshold = SIZES[system]
    # Without ridge and damping the matrix has to be regular: not with a sample on which nobody fires.
    jacobian, J = both_jacobians(n, d, width, n_outputs, threshold, seed=3, silent=ridge + damping > 0)
    rng = np.random.default_rng(4)
    residuals, travelled = rng.standard_normal(J.shape[0]), np.zeros((width, jacobian.X.shape[1]))
    travelled[:, :d] = rng.standard_normal((width, d))
    solver = SOLVERS[solver](np.random.RandomState(0))
    solver.refresh(jacobian)
    assert solver.system.name == ("normal" if solver.name == "sample" else system)
    if solver.system.name != system and ridge + damping == 0:  # J^T J has the larger order, and is singular
        with pytest.raises(Singular):
            solver.step(residuals, travelled[jacobian.neurons], 0.0)
        return
    solution = solver.step(residuals, ridge * travelled[jacobian.neurons], ridge + damping)
    step = whole_step(solution.step, jacobian.neurons, ridge * travelled, SimpleNamespace(ridge=ridge, damping=damping))
    expected = dense.damped_step(J, residuals, travelled[:, :d].ravel(), ridge, damping)
    assert not step[:, d:].any()  # padding stays zero
    assert np.linalg.norm(step[:, :d].ravel() - expected) <= 1e-8 * np.linalg.norm(expected)

    predicted = predicted_decrease(LinearModel(jacobian, residuals), travelled, step, ridge)
    before, after = (
        dense.model(J, residuals, travelled[:, :d].ravel(), u, ridge, 0.0) for u in (0 * expected, expected)
    )
    assert predicted == pytest.approx(before - after, rel=1e-7)


@pytest.mark.parametrize("n_outputs", [1, 2])
def test_the_matrix_of_sampled_rows_is_that_of_these_rows(n_outputs, monkeypatch):
    jacobian, J = both_jacobians(400, 4, 6, n_outputs, 0.3, seed=3, silent=True)
    drawn = []
    part = Jacobian.part

    def spy(self, rows):
        drawn.append(rows)
        return part(self, rows)

    monkeypatch.setattr(Jacobian, "part", spy)
    solver = RowSampleSolver(np.random.RandomState(0), residual=1e-2)
    solver.refresh(jacobian)
    (rows,) = drawn
    order = jacobian.shape[1]
    assert len(rows) == -(-OVERSAMPLING * order // n_outputs) < 400
    assert (np.diff(rows) > 0).all()
    A = columns(jacobian, J).reshape(400, n_outputs, order)[rows].reshape(-1, order)
    np.testing.assert_allclose(np.tril(solver.matrix), np.tril(A.T @ A), rtol=1e-10, atol=1e-12)
    root = jacobian.root
    assert solver.growth == pytest.approx(np.sum(root**2) / np.sum(root[rows] ** 2))


def test_rows_too_uneven_for_a_sample_are_all_taken():
    jacobian = both_jacobians(400, 4, 6, 1, 0.3, seed=3, silent=True)[0]
    jacobian.root[:] = 1e-170  # squares vanish
    jacobian.root[np.argmax(np.diff(jacobian.by_sample))] = 1.0
    solver = RowSampleSolver(np.random.RandomState(0), residual=1e-2)
    solver.refresh(jacobian)
    assert solver.growth == 1.0
    assert solver.diagonal.max() > 0


def test_few_steps_are_enough_with_a_sample_of_rows():
    """Whatever the condition number: their number is that of a matrix close to the identity."""
    jacobian = both_jacobians(3000, 4, 8, 1, 0.3, seed=3, silent=False)[0]
    residuals = np.random.default_rng(0).standard_normal(3000)
    pull = np.zeros((len(jacobian.neurons), jacobian.X.shape[1]))
    for strength in (1.0, 1e-4, 1e-8):
        solver = RowSampleSolver(np.random.RandomState(0), residual=1e-2)
        solver.refresh(jacobian)
        solution = solver.step(residuals, pull, strength)
        assert solution.residual <= 1e-2
        assert solution.inner_iterations <= 10


@pytest.mark.parametrize("n_outputs", [1, 2])
def test_cholesky_finds_a_matrix_singular_without_ridge_and_damping(n_outputs):
    """Row and column of a sample on which nobody fires are zero; any damping mends that."""
    jacobian, J = both_jacobians(25, 4, 60, n_outputs, 0.3, seed=3, silent=True)
    solver = CholeskySolver()
    solver.refresh(jacobian)
    assert solver.system.name == "kernel"
    residuals, travelled = np.ones(J.shape[0]), np.zeros((len(jacobian.neurons), jacobian.X.shape[1]))
    with pytest.raises(Singular):
        solver.step(residuals, travelled, 0.0)
    step = solver.step(residuals, travelled, 1e-3).step
    expected = dense.damped_step(columns(jacobian, J), residuals, jacobian.packed(travelled), 0.0, 1e-3)
    np.testing.assert_allclose(jacobian.packed(step), expected, rtol=0, atol=1e-8 * np.linalg.norm(expected))


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_second_damping_and_a_second_jacobian(solver):
    """A solver takes further steps like one that takes its first."""
    solver = SOLVERS[solver](np.random.RandomState(0))
    for threshold in (0.3, 0.35):
        jacobian, J = both_jacobians(25, 4, 60, 1, threshold, seed=3)
        residuals, travelled = np.ones(J.shape[0]), np.zeros((len(jacobian.neurons), jacobian.X.shape[1]))
        solver.refresh(jacobian)
        for damping in (0.1, 1.0, 0.1):
            step = jacobian.packed(solver.step(residuals, travelled, damping).step)
            expected = dense.damped_step(columns(jacobian, J), residuals, jacobian.packed(travelled), 0.0, damping)
            assert np.linalg.norm(step - expected) <= 1e-8 * np.linalg.norm(expected)


def test_the_search_is_updated_with_all_neurons_that_differ_from_what_it_knows():
    """After a step that was taken back, those that it moved differ, whether the next step moves them or not."""
    rng = np.random.default_rng(0)
    network = Network(rng.standard_normal((6, 8)), np.ones((6, 1)), 0.0, 0.0, 1.0)
    known, calls = network.weights.copy(), []

    def moved(weights, rows):
        known[rows] = weights[rows]
        calls.append(rows.tolist())

    state = SimpleNamespace(tried=None)
    for rows, kept in (([1, 2], False), ([2, 3], False), ([4], True), ([0], False), ([0], True)):
        step = np.zeros((6, 8))
        step[rows] = rng.standard_normal((len(rows), 8))
        trial = moved_network(network, step, SimpleNamespace(moved=moved), state)
        np.testing.assert_array_equal(trial.weights, network.weights + step)
        np.testing.assert_array_equal(known, trial.weights)
        if kept:
            network, state.tried = trial, None
    assert calls == [[1, 2], [1, 2, 3], [2, 3, 4], [0], [0]]  # and of no others
