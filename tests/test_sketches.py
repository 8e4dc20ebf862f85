"""Sketches embed subspaces, preconditioners precondition, and iterations converge: as the papers say, and no less."""

import numpy as np
import pytest
from scipy.linalg import hadamard, solve_triangular
from scipy.stats import binom

from sksparsenn._network.firing import Firing
from sksparsenn._network.network import Network, initial_weights
from sksparsenn._samples.dense import DenseSamples
from sksparsenn._samples.points import padded_rows
from sksparsenn._solvers.cholesky import CholeskySolver
from sksparsenn._solvers.iterations import conjugate_gradients, gradient_iteration, norm
from sksparsenn._solvers.jacobian import Jacobian
from sksparsenn._solvers.nystrom import NystromSolver, nystrom_approximation, pivoted_cholesky
from sksparsenn._solvers.preconditioned import PreconditionedSolver
from sksparsenn._solvers.sketch import NONZEROS, SKETCHES, walsh_hadamard
from sksparsenn._solvers.sketched_qr import SketchSolver
from sksparsenn._solvers.systems import KernelSystem, NormalSystem, smaller_system
from sksparsenn._solvers.triangles import damped_factor, upper_factor
from sksparsenn._utils.blas_threads import single_blas_thread

SYSTEMS = {"kernel": KernelSystem, "normal": NormalSystem}

# A mean over seeds is off by at most this many of its standard errors: probability about 6e-7 a comparison.
SIGMAS = 5


@pytest.fixture(autouse=True)
def blas_as_in_training():
    """One BLAS thread: the solvers are called like that."""
    with single_blas_thread():
        yield


def identity(n, d=1):
    """A Jacobian that is the n x n identity: each neuron fires on d samples of its own, which are the unit vectors."""
    assert n % d == 0
    width = n // d
    X = padded_rows(np.tile(np.eye(d), (width, 1)))
    lists = np.arange(width), np.arange(width) * d, np.full(width, d), np.arange(n, dtype=np.int32)
    firing = Firing(*lists, None, DenseSamples(X))
    return Jacobian(firing, X, np.ones(n), np.ones((width, 1)), 1.0, d)


def network_jacobian(n, d, width, n_outputs, shift, seed=0, silent=slice(0)):
    """J of a network at its start, over firing pairs, and the dense A with A^T A the matrix of each system.

    Neurons in `silent` never fire.
    """
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    X = padded_rows(X / np.linalg.norm(X, axis=1, keepdims=True))
    weights, signs = initial_weights(width, d, n_outputs, "gaussian", np.random.RandomState(seed), np.float64)
    weights[silent] = 0
    firing = Network(weights, signs, shift, shift, 1.0).firing(DenseSamples(X))
    jacobian = Jacobian(firing, X, rng.uniform(0.5, 2.0, n), signs, 1 / np.sqrt(width), d)
    J = jacobian.rows(0, jacobian.shape[0]).toarray()  # has its own tests
    return jacobian, {"kernel": J.T, "normal": J}


def drawn(sketch, n, n_rows, seed, system="kernel", d=1, **options):
    """The random matrix S itself, of n columns: what the sketch makes of the identity."""
    jacobian = identity(n, d)
    S = SKETCHES[sketch](SYSTEMS[system](jacobian), n_rows, np.random.RandomState(seed), **options).T
    assert S.shape == (n_rows, n)
    return S


# -- what S is ------------------------------------------------------------------------------------


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("nonzeros", [1, 3, NONZEROS])
@pytest.mark.parametrize("n_rows", [8, 20, 64])
def test_a_sparse_sign_sketch_has_one_entry_in_every_strip(n_rows, nonzeros, system):
    S = drawn("sparse_sign", 60, n_rows, seed=0, system=system, d=3, nonzeros=nonzeros)
    edges = [strip * n_rows // nonzeros for strip in range(nonzeros + 1)]
    for column in S.T:
        rows = np.flatnonzero(column)
        assert len(rows) == nonzeros
        assert all(first <= row < last for row, first, last in zip(rows, edges[:-1], edges[1:], strict=True))
        np.testing.assert_array_equal(np.abs(column[rows]), 1 / np.sqrt(nonzeros))


def test_a_sparse_sign_sketch_of_few_rows_has_fewer_entries():
    S = drawn("sparse_sign", 10, 3, seed=0)
    np.testing.assert_allclose(np.abs(S), 1 / np.sqrt(3))


def test_places_and_signs_of_a_sparse_sign_sketch_are_uniform():
    """10,000 columns, 8 strips of 4 rows, 2 signs: 64 counts, each binomial with mean 1250 and deviation below 35.4."""
    S = drawn("sparse_sign", 10_000, 32, seed=0, nonzeros=8)
    counts = np.concatenate([(S > 0).sum(axis=1), (S < 0).sum(axis=1)])
    assert np.abs(counts - 1250).max() < SIGMAS * np.sqrt(1250)


def test_entries_of_a_gaussian_sketch_are_normal():
    """Mean 0, variance 1 / n_rows, for 10^6 entries: a mean of squares of normal numbers has variance 2."""
    S = drawn("gaussian", 10_000, 100, seed=0) * np.sqrt(100)
    assert abs(S.mean()) < SIGMAS / 1e3
    assert abs((S**2).mean() - 1) < SIGMAS * np.sqrt(2) / 1e3


def test_an_srht_of_all_rows_is_orthogonal():
    """With as many rows as the transform is long, 1 / sqrt(length) times H D, in any order of rows."""
    S = drawn("srht", 32, 32, seed=0)
    np.testing.assert_allclose(S.T @ S, np.eye(32), atol=1e-14)
    np.testing.assert_allclose(np.abs(S), 1 / np.sqrt(32), atol=1e-15)


def test_an_srht_has_distinct_rows_of_the_transform():
    """Signs of columns drop out of the product, entry by entry, of two rows of S: it is again a row of the transform.

    Rows of the transform form a group: products of one row with different ones are different.
    """
    S = drawn("srht", 27, 20, seed=0) * np.sqrt(20)
    numbers = {tuple(row): j for j, row in enumerate(hadamard(32)[:, :27])}
    products = [numbers[tuple(row)] for row in np.rint(S[0] * S).astype(int)]
    assert products[0] == 0
    assert len(set(products)) == 20


def test_rows_of_an_srht_are_drawn_uniformly():
    """The product of two distinct rows out of eight is any row but the first, with probability 1/7 each."""
    numbers = {tuple(row): j for j, row in enumerate(hadamard(8))}
    counts = np.zeros(8)
    for seed in range(700):
        S = drawn("srht", 8, 2, seed) * np.sqrt(2)
        counts[numbers[tuple(np.rint(S[0] * S[1]).astype(int))]] += 1
    assert counts[0] == 0
    assert np.abs(counts[1:] - 100).max() < SIGMAS * np.sqrt(700 * 1 / 7 * 6 / 7)


@pytest.mark.parametrize("length", [1, 2, 4, 64, 1024])
def test_walsh_hadamard_is_the_product_with_the_hadamard_matrix(length):
    block = np.random.default_rng(0).integers(-9, 10, (length, 3)).astype(float)
    expected = hadamard(length) @ block
    walsh_hadamard(block)
    np.testing.assert_array_equal(block, expected)  # sums of small integers


# -- S A for the A of a network ---------------------------------------------------------------------


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("n_outputs", [1, 3])
@pytest.mark.parametrize("sketch", SKETCHES)
def test_the_sketch_of_a_network_is_s_times_a(sketch, n_outputs, system, monkeypatch):
    """The same random numbers on the identity give S; also when A is looked at a few rows or columns at a time."""
    jacobian, factors = network_jacobian(12, 5, 15, n_outputs, 0.4)
    S = drawn(sketch, len(factors[system]), 24, seed=7)
    for entries in (1 << 23, 24 * 5 * 4, 1):
        monkeypatch.setattr("sksparsenn._solvers.sketch.ENTRIES_AT_ONCE", entries)
        sketched = SKETCHES[sketch](SYSTEMS[system](jacobian), 24, np.random.RandomState(7))
        np.testing.assert_allclose(sketched.T, S @ factors[system], rtol=0, atol=1e-13)


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("sketch", SKETCHES)
def test_the_sketch_of_zero_is_zero(sketch, system):
    """Neurons fire, but root weights are zero."""
    jacobian, _ = network_jacobian(12, 5, 15, 1, 0.4)
    jacobian.root = np.zeros(12)
    np.testing.assert_array_equal(SKETCHES[sketch](SYSTEMS[system](jacobian), 100, np.random.RandomState(0)), 0)


# -- S as an embedding ------------------------------------------------------------------------------
#
# For V with k orthonormal columns the distortion is the spectral norm of V^T (S^T S - I) V.  Its square is at
# most the squared Frobenius norm, whose mean is known.  Gaussian S: V^T S^T S V is a Wishart matrix, with mean
# (k^2 + k) / s.  For the other two S^T S - I has a zero diagonal and uncorrelated entries of mean square c above
# it, so that the mean is c (k^2 + k - 2 sum_p h_p^2) with h_p = ||row p of V||^2.
#   Sparse signs: two columns meet in strip t, of b_t rows, with probability 1 / b_t, which adds +-1 / nonzeros:
#   c = sum_t 1 / b_t / nonzeros^2.
#   SRHT: an entry is +-1 times the mean of s numbers drawn without replacement out of L, half of them 1, half -1:
#   c = (L - s) / (s (L - 1)).


def mean_square_distortion(sketch, n_rows, V):
    k = V.shape[1]
    rest = k**2 + k - 2 * ((V**2).sum(axis=1) ** 2).sum()
    if sketch == "gaussian":
        return (k**2 + k) / n_rows
    if sketch == "sparse_sign":
        strips = np.diff(np.arange(NONZEROS + 1) * n_rows // NONZEROS)
        return (1 / strips).sum() / NONZEROS**2 * rest
    length = 2 ** int(np.ceil(np.log2(max(len(V), n_rows))))
    return (length - n_rows) / (n_rows * (length - 1)) * rest


def distortions(sketch, system, jacobian, A, n_rows, seeds):
    """V^T (S^T S - I) V for V an orthonormal basis of the columns of A, by S A, for each seed; and V."""
    V, R = np.linalg.qr(A)
    errors = []
    for seed in range(seeds):
        sketched = SKETCHES[sketch](SYSTEMS[system](jacobian), n_rows, np.random.RandomState(seed)).T
        SV = solve_triangular(R, sketched.T, trans=1, lower=False).T
        errors.append(SV.T @ SV - np.eye(len(R)))
    return np.array(errors), V


# n, d, width, outputs, shift: matrices A of 240 x 10 and 120 x 10.
EMBEDDED = {"kernel": (5, 4, 60, 2, 0.0), "normal": (60, 5, 2, 2, 0.0)}


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("sketch", SKETCHES)
def test_sketches_preserve_inner_products_on_average(sketch, system):
    """E[S^T S] = I, and the mean square of the distortion is the one derived above, not more and not less."""
    jacobian, factors = network_jacobian(*EMBEDDED[system])
    errors, V = distortions(sketch, system, jacobian, factors[system], n_rows=60, seeds=300)
    assert V.shape[1] == 10
    deviation = errors.std(axis=0) / np.sqrt(len(errors))
    assert (np.abs(errors.mean(axis=0)) < SIGMAS * deviation + 1e-12).all()
    squares = (errors**2).sum(axis=(1, 2))
    expected = mean_square_distortion(sketch, 60, V)
    assert abs(squares.mean() - expected) < SIGMAS * squares.std() / np.sqrt(len(squares))


# By Markov's inequality a distortion exceeds epsilon with probability at most mean square / epsilon^2.  If that
# is 1/10, the median over 41 seeds exceeds it with probability at most P(Binomial(41, 1/10) >= 21), below 1e-9.
TRIALS, SHARE = 41, 0.1


def rows_for(sketch, epsilon, V):
    """The least number of rows, in steps of 16, for which Markov's bound is SHARE."""
    assert binom.sf(TRIALS // 2, TRIALS, SHARE) < 1e-9
    return next(s for s in range(16, 100_000, 16) if mean_square_distortion(sketch, s, V) <= SHARE * epsilon**2)


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("sketch", SKETCHES)
def test_sketches_embed_the_range_of_the_jacobian(sketch, system):
    jacobian, factors = network_jacobian(*EMBEDDED[system])
    n_rows = rows_for(sketch, 0.7, np.linalg.qr(factors[system])[0])
    errors, _ = distortions(sketch, system, jacobian, factors[system], n_rows, TRIALS)
    assert np.median(np.linalg.norm(errors, ord=2, axis=(1, 2))) <= 0.7


def test_a_gaussian_sketch_embeds_as_sharply_as_theory_says():
    """Singular values of S V lie in 1 +- (sqrt(k/s) + t) but for probability 2 exp(-s t^2 / 2) [Davidson, Szarek 2001].

    k = 10, s = 800, t = 0.23: the bound fails with probability below 2e-9.
    """
    jacobian, factors = network_jacobian(*EMBEDDED["kernel"])
    error, _ = distortions("gaussian", "kernel", jacobian, factors["kernel"], 800, seeds=1)
    singular = np.sqrt(1 + np.linalg.eigvalsh(error[0]))
    reach = np.sqrt(10 / 800) + 0.23
    assert 2 * np.exp(-800 * 0.23**2 / 2) < 2e-9
    assert np.abs(singular - 1).max() <= reach


# -- preconditioners --------------------------------------------------------------------------------


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("sketch", SKETCHES)
def test_sketched_factors_precondition(sketch, system):
    """A distortion of 2/3 leaves a condition number of (1 + 2/3) / (1 - 2/3) = 5, and less with damping.

    The median over seeds, at sizes for which theory bounds the distortion as above.
    """
    jacobian, factors = network_jacobian(*EMBEDDED[system])
    A = factors[system]
    n_rows = rows_for(sketch, 2 / 3, np.linalg.qr(A)[0])
    strengths = (0.0, 1e-3, 10.0)
    conditions = np.empty((TRIALS, len(strengths)))
    for seed in range(TRIALS):
        solver = SketchSolver(sketch, n_rows / A.shape[1], "cg", np.random.RandomState(seed))
        solver.refresh(jacobian)
        assert solver.system.name == system
        for k, strength in enumerate(strengths):
            R = damped_factor(solver.undamped, strength)
            half = solve_triangular(R, A.T @ A + strength * np.eye(A.shape[1]), trans=1)
            eigenvalues = np.linalg.eigvalsh(solve_triangular(R, half.T, trans=1))
            conditions[seed, k] = eigenvalues[-1] / eigenvalues[0]
    assert (np.median(conditions, axis=0) <= 5).all()


class DenseSystem:
    """A given matrix with the face of a system, which counts the rows it returns."""

    name = "dense"

    def __init__(self, matrix):
        self.matrix, self.size, self.rows_read = matrix, len(matrix), 0

    def diagonal(self):
        return np.diag(self.matrix).copy()

    def rows(self, entries):
        self.rows_read += len(entries)
        return self.matrix[entries].copy()


def spectrum(eigenvalues, seed=0):
    """A symmetric matrix with these eigenvalues along random directions."""
    n = len(eigenvalues)
    Q = np.linalg.qr(np.random.default_rng(seed).standard_normal((n, n)))[0]
    return (Q * eigenvalues) @ Q.T


def approximation(matrix, rank, seed=0):
    """The Nystrom approximation as a matrix, after a check of its parts."""
    values, basis = nystrom_approximation(DenseSystem(matrix), rank, np.random.RandomState(seed))
    assert len(values) <= rank
    assert (values > 0).all()
    np.testing.assert_allclose(basis @ basis.T, np.eye(len(values)), atol=1e-8)
    return (basis.T * values) @ basis


@pytest.mark.parametrize("n", [1, 10, 150])
def test_nystrom_is_exact_at_full_rank(n):
    matrix = spectrum(np.linspace(1, 3, n))
    np.testing.assert_allclose(approximation(matrix, n), matrix, atol=1e-10)


def test_nystrom_is_exact_once_the_rank_is_reached():
    """Any seven rows of a matrix of rank seven along random directions span all of it."""
    matrix = spectrum(np.append(np.linspace(1, 2, 7), np.zeros(93)))
    for rank in (7, 20):
        np.testing.assert_allclose(approximation(matrix, rank), matrix, atol=1e-9)


@pytest.mark.parametrize("rank", [1, 5, 64, 100])
def test_nystrom_never_exceeds_the_matrix(rank):
    """In the order of positive semidefinite matrices; and it removes at least the diagonal of its pivots."""
    matrix = spectrum(0.9 ** np.arange(120))
    rest = np.linalg.eigvalsh(matrix - approximation(matrix, rank))
    assert rest.min() > -1e-10
    assert rest.sum() < np.trace(matrix) - np.diag(matrix).min()


def test_nystrom_is_nearly_as_good_as_the_best_approximation():
    """For r / e + r ln(1 / (e h)) pivots, drawn one at a time, the mean trace of the rest is at most 1 + e times the
    best that rank r can do, for h the share of the trace beyond rank r [Chen et al. 2023, Theorem 5.1].

    Here r = 20, e = 1, h = 1/1000: 159 pivots.  Drawn in blocks they are a little worse, but the bound has room.
    """
    tail = np.full(280, 1 / 280)
    matrix = spectrum(np.append(np.full(20, 999 / 20), tail))
    rests = [np.trace(matrix - approximation(matrix, 159, seed)) for seed in range(10)]
    assert np.mean(rests) <= 2 * tail.sum()


def test_pivots_are_drawn_in_proportion_to_the_diagonal():
    """Rank one of a diagonal matrix: the only entry that is reproduced is that of the pivot."""
    matrix = np.diag([1.0, 2.0, 3.0, 4.0])
    counts = np.zeros(4)
    for seed in range(1000):
        found = approximation(matrix, 1, seed)
        (pivot,) = np.flatnonzero(np.diag(found))
        assert found[pivot, pivot] == pytest.approx(matrix[pivot, pivot])
        counts[pivot] += 1
    shares = np.diag(matrix) / 10
    assert (np.abs(counts - 1000 * shares) < SIGMAS * np.sqrt(1000 * shares * (1 - shares))).all()


def test_nystrom_reads_rows_of_pivots_only():
    system = DenseSystem(spectrum(0.9 ** np.arange(200)))
    factor = pivoted_cholesky(system, 30, np.random.RandomState(0))
    assert len(factor) == 30
    assert system.rows_read < 60


def test_nystrom_of_zero_and_of_nothing():
    for n in (0, 5):
        values, basis = nystrom_approximation(DenseSystem(np.zeros((n, n))), n, np.random.RandomState(0))
        assert values.shape == (0,)
        assert basis.shape == (0, n)


# -- iterations -------------------------------------------------------------------------------------


def test_conjugate_gradients_end_after_as_many_steps_as_there_are_eigenvalues():
    """Four distinct eigenvalues: exact after four steps, but for rounding."""
    matrix = spectrum(np.repeat([1.0, 2.0, 5.0, 9.0], 25))
    right = np.random.default_rng(1).standard_normal(100)
    enough = 1e-10 * np.linalg.norm(right)
    x, steps, residual = conjugate_gradients(lambda v: matrix @ v, right, lambda r: r, enough)
    assert steps == 4
    assert residual <= 1e-10
    np.testing.assert_allclose(x, np.linalg.solve(matrix, right), atol=1e-9)


def test_conjugate_gradients_stop_once_the_residual_is_small_enough():
    matrix = spectrum(np.geomspace(1e-4, 1, 100))
    right = np.random.default_rng(1).standard_normal(100)
    size, taken = np.linalg.norm(right), []
    for target in (1e-2, 1e-4, 1e-8):
        x, steps, residual = conjugate_gradients(lambda v: matrix @ v, right, lambda r: r, target * size)
        assert residual <= target
        assert np.linalg.norm(matrix @ x - right) / np.linalg.norm(right) == pytest.approx(residual, rel=1e-3)
        taken.append(steps)
    assert taken[0] < taken[1] < taken[2] < 500
    _, steps, residual = conjugate_gradients(lambda v: matrix @ v, right, lambda r: r, 1e-8 * size, 10)
    assert steps == 10
    assert residual > 1e-8
    exact = np.linalg.solve(matrix, right)
    assert conjugate_gradients(lambda v: matrix @ v, right, lambda r: r, 1e-6 * size, start=exact)[1] == 0
    assert conjugate_gradients(lambda v: matrix @ v, 0 * right, lambda r: r, 1e-6)[1:] == (0, 0.0)


def test_the_gradient_iteration_converges_at_its_rate():
    """With M = R^-T A R^-1 of condition number 3 a step cuts the residual of M z by (9 - 1) / (9 + 1) or more."""
    A = spectrum(np.geomspace(1e-3, 1e3, 40))
    Q = spectrum(np.linspace(1, 3, 40), seed=1)
    half = spectrum(np.sqrt(np.geomspace(1e-3, 1e3, 40)))
    R = np.asfortranarray(upper_factor(np.asfortranarray(np.linalg.cholesky(np.linalg.inv(Q)).T @ half)))
    M = solve_triangular(R, solve_triangular(R, A, trans=1).T, trans=1)
    assert np.linalg.cond(M) == pytest.approx(3)
    right = A @ np.ones(40)
    first = np.linalg.norm(R.T @ (np.eye(40) - M) @ solve_triangular(R, right, trans=1)) / np.linalg.norm(right)
    x, steps, residual = gradient_iteration(lambda v: A @ v, right, R, 1e-10)
    # From the residual of M z to that of A x: R^T, whose condition number is about 1e3, comes in between.
    assert steps <= np.log(1e-10 / first / np.linalg.cond(R)) / np.log(0.8)
    assert residual <= 1e-10
    np.testing.assert_allclose(A @ x, right, rtol=0, atol=1e-9 * np.linalg.norm(right))
    exact = upper_factor(np.asfortranarray(half))
    assert gradient_iteration(lambda v: A @ v, right, exact, 1e-8)[1] <= 1


@pytest.mark.parametrize(("matrix_unit", "right_unit"), [(2.0**600, 2.0**-300), (2.0**-300, 2.0**600), (1.0, 2.0**900)])
def test_iterations_have_the_same_bits_in_any_units(matrix_unit, right_unit):
    """Powers of two change no bit but those of exponents, unless a square overflows or vanishes."""
    half = spectrum(np.geomspace(1e-1, 1e1, 30))
    A, right, near = half @ half, np.random.default_rng(1).standard_normal(30), spectrum(np.linspace(1, 3, 30), seed=1)
    R = upper_factor(np.asfortranarray(near @ half))
    start = np.random.default_rng(2).standard_normal(30)

    def solved(unit, size):
        def product(v):
            return unit * (A @ v)

        enough = 1e-8 * np.linalg.norm(right) * size
        return (
            conjugate_gradients(product, size * right, lambda r: r, enough),
            conjugate_gradients(product, size * right, lambda r: r, enough, start=start * (size / unit)),
            gradient_iteration(product, size * right, np.sqrt(unit) * R, 1e-8),
        )

    for one, other in zip(solved(1.0, 1.0), solved(matrix_unit, right_unit), strict=True):
        assert one[1] > 3
        np.testing.assert_array_equal(other[0], one[0] * (right_unit / matrix_unit))
        assert other[1:] == one[1:]


def test_norms_of_vectors_whose_squares_overflow_or_vanish():
    for unit in (1e-320, 1e-200, 1.0, 1e200, 1e307):
        assert norm(np.array([3.0, 0.0, -4.0]) * unit) == pytest.approx(5 * unit, rel=1e-3 if unit < 1e-300 else 1e-15)
    assert norm(np.zeros(3)) == norm(np.empty(0)) == 0


def test_a_nystrom_preconditioner_is_carried_over_to_other_neurons():
    """It serves nearly as well when some neurons begin to fire and others cease to; the answer is the same."""
    right, damping, steps = np.random.default_rng(0).standard_normal(400), 1e-2, {}
    for case, silent_before in (("same", slice(37, 40)), ("others", slice(0, 3))):
        solver = NystromSolver(np.random.RandomState(0), residual=1e-10)
        for silent in (silent_before, slice(37, 40)):
            jacobian, factors = network_jacobian(400, 4, 40, 1, 0.8, silent=silent)
            solver.refresh(jacobian)
            solution = solver.step(right, np.zeros((len(jacobian.neurons), jacobian.X.shape[1])), damping)
        assert not solver.fresh
        J = factors["normal"]
        exact = np.linalg.solve(J.T @ J + damping * np.eye(J.shape[1]), J.T @ right)
        np.testing.assert_allclose(jacobian.packed(solution.step), exact, atol=1e-7 * np.abs(exact).max())
        steps[case] = solution.inner_iterations
    assert steps["same"] <= steps["others"] <= 3 * steps["same"]


@pytest.mark.parametrize("solver", ["sparse_sign", "srht", "gaussian", "nystrom"])
def test_a_preconditioner_saves_steps(solver):
    """Conjugate gradients with and without, on the matrix of a network, to the same residual."""
    jacobian, factors = network_jacobian(150, 6, 400, 1, 0.5)
    damping = 1e-4 * (factors["kernel"] ** 2).sum() / 150
    matrix = factors["kernel"].T @ factors["kernel"] + damping * np.eye(150)
    right = np.random.default_rng(0).standard_normal(150)
    enough = 1e-8 * np.linalg.norm(right)
    plain = conjugate_gradients(lambda v: matrix @ v, right, lambda r: r, enough)[1]
    if solver == "nystrom":
        solver = NystromSolver(np.random.RandomState(0), residual=1e-8)
    else:
        solver = SketchSolver(solver, 4.0, "cg", np.random.RandomState(0), residual=1e-8)
    solver.refresh(jacobian)
    travelled = np.zeros((len(jacobian.neurons), jacobian.X.shape[1]))
    solution = solver.step(right, travelled, damping)
    assert solution.residual <= 1e-8
    assert solution.inner_iterations < 0.7 * plain


# -- how long a preconditioner is kept ----------------------------------------------------------------


class Scripted(PreconditionedSolver):
    """Its solutions take as many steps as the test says; what is built is counted."""

    def __init__(self):
        super().__init__(None, 1e-6)
        self.built, self.script, self.misses = 0, None, 0

    def build(self):
        self.built += 1

    def solve(self, product, right, strength):
        self.misses -= 1
        return np.zeros_like(right), self.script, 1e-6 if self.misses < 0 else 1e-5


def scripted_steps(solver, jacobian, *script):
    """Refresh, take steps, and return how often a preconditioner was built so far."""
    solver.refresh(jacobian)
    travelled = np.zeros((len(jacobian.neurons), jacobian.X.shape[1]))
    for solver.script in script:
        solver.step(np.ones(jacobian.shape[0]), travelled, 1.0)
    return solver.built


def test_a_preconditioner_is_rebuilt_once_steps_have_doubled():
    jacobian, _ = network_jacobian(10, 3, 40, 1, 0.0)
    assert smaller_system(jacobian).name == "kernel"
    solver = Scripted()
    assert scripted_steps(solver, jacobian, 10) == 1
    assert scripted_steps(solver, jacobian, 15) == 1
    assert scripted_steps(solver, jacobian, 20) == 1  # twice as many as when new: still kept
    assert scripted_steps(solver, jacobian, 21) == 1  # more: the next Jacobian gets a new one
    assert scripted_steps(solver, jacobian, 30, 12) == 2  # the first step tells what a new one needs
    assert scripted_steps(solver, jacobian, 60) == 2
    assert scripted_steps(solver, jacobian, 61) == 2
    assert scripted_steps(solver, jacobian, 61) == 3


def test_a_preconditioner_that_does_not_lead_to_the_solution_is_rebuilt_at_once():
    jacobian, _ = network_jacobian(10, 3, 40, 1, 0.0)
    solver = Scripted()
    assert scripted_steps(solver, jacobian, 10) == 1
    solver.misses = 1
    assert scripted_steps(solver, jacobian, 10) == 2
    solver.misses = 3
    assert scripted_steps(solver, jacobian, 10, 10) == 3  # one made for this Jacobian is not made again


def test_a_preconditioner_of_other_neurons_is_rebuilt():
    """J J^T keeps its rows whoever fires; the rows of J^T J belong to neurons."""
    for width, name, expected in ((200, "kernel", 1), (6, "normal", 2)):
        solver = Scripted()
        one, other = (network_jacobian(60, 3, width, 1, shift)[0] for shift in (1.0, 2.0))
        assert smaller_system(one).name == smaller_system(other).name == name
        assert len(one.neurons) > len(other.neurons) > 0
        assert scripted_steps(solver, one, 5) == 1
        assert scripted_steps(solver, one, 5) == 1
        assert scripted_steps(solver, other, 5) == expected
    mixed = Scripted()
    assert scripted_steps(mixed, network_jacobian(60, 3, 200, 1, 1.0)[0], 5) == 1
    assert scripted_steps(mixed, network_jacobian(60, 3, 6, 1, 1.0)[0], 5) == 2  # from J J^T to J^T J


def test_a_stale_preconditioner_costs_steps_but_no_accuracy():
    one, other = (network_jacobian(60, 5, 200, 1, shift)[0] for shift in (0.5, 0.6))
    travelled = np.zeros((200, 8))
    for solver in (
        SketchSolver("sparse_sign", 4.0, "cg", np.random.RandomState(0), residual=1e-12),
        NystromSolver(np.random.RandomState(0), residual=1e-12),
    ):
        solver.refresh(one)
        solver.step(np.ones(60), travelled[one.neurons], 0.01)
        kept = solver.undamped if solver.name == "sketch" else solver.basis
        solver.refresh(other)
        assert kept is (solver.undamped if solver.name == "sketch" else solver.basis)
        exact = CholeskySolver()
        exact.refresh(other)
        expected = exact.step(np.ones(60), travelled[other.neurons], 0.01).step
        step = solver.step(np.ones(60), travelled[other.neurons], 0.01).step
        np.testing.assert_allclose(step, expected, rtol=0, atol=1e-8 * np.linalg.norm(expected))
