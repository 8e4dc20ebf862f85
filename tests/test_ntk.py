"""The tangent kernel against quadrature, its diagnostics against bounds and exact arithmetic."""

import math
import pickle
from fractions import Fraction
from functools import partial

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.special import ndtr, owens_t
from sklearn.datasets import load_diabetes
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC, SVR

from sksparsenn._utils import memory as _memory
from sksparsenn.ntk import (
    ShiftedNTKFeatures,
    SphereLift,
    data_separability,
    expected_firing_fraction,
    minimum_eigenvalue,
    shifted_ntk_kernel,
)
from sksparsenn.ntk._orthant import orthant_probability

# Gaussian events below are missed by at most this many standard deviations: probability about 6e-7 a comparison.
SIGMAS = 5


def unit_rows(n, d, seed=0):
    X = np.random.default_rng(seed).standard_normal((n, d))
    return X / np.linalg.norm(X, axis=1, keepdims=True)


# ---------------------------------------------------------------------------------------
# The oracle: Plackett's integral of a positive function, in extended precision where the platform has it.
# ---------------------------------------------------------------------------------------


def _nodes(n=24):
    """Gauss-Legendre on [0, 1], NumPy's nodes polished by Newton's method in extended precision."""
    x = np.polynomial.legendre.leggauss(n)[0].astype(np.longdouble)
    for _ in range(3):
        before, value = np.ones_like(x), x
        for j in range(2, n + 1):
            before, value = value, ((2 * j - 1) * x * value - (j - 1) * before) / j
        slope = n * (x * value - before) / (x * x - 1)
        x = x - value / slope
    return (1 + x) / 2, 1 / ((1 - x * x) * slope**2)


NODES, WEIGHTS = _nodes()


def _integral(f, start, end, peak):
    """Integral of f over [start, end], on panels that halve towards both ends and the peak."""
    halves = np.longdouble(2) ** -np.arange(1, 60)
    points = [start, end, *(start + (end - start) * halves), *(end - (end - start) * halves)]
    if start < peak < end:
        points += [peak, *(peak + (end - peak) * halves), *(peak - (peak - start) * halves)]
    points = np.unique(np.array(points, dtype=np.longdouble))
    lengths = np.diff(points)[:, None]
    return ((f(points[:-1, None] + lengths * NODES) @ WEIGHTS)[:, None] * lengths).sum()


def probability(h, k, angle, angle_to_opposite):
    """P(u > h, v > k) for standard normals of correlation cos(angle), with angle + angle_to_opposite = pi.

    dP / drho is the joint density at (h, k), and P = 0 at rho = -1, so with rho = cos(phi)
    P = 1 / (2 pi) * integral over phi from the angle to pi of exp(-(h^2 - 2 h k cos(phi) + k^2) / (2 sin(phi)^2)).
    """
    h, k, angle, angle_to_opposite = (np.longdouble(value) for value in (h, k, angle, angle_to_opposite))
    right = np.arccos(np.longdouble(0))

    def acute(phi):
        return np.exp(-((h - k) ** 2 + 4 * h * k * np.sin(phi / 2) ** 2) / (2 * np.sin(phi) ** 2))

    def obtuse(t):  # phi = pi - t
        return np.exp(-((h + k) ** 2 - 4 * h * k * np.sin(t / 2) ** 2) / (2 * np.sin(t) ** 2))

    total = _integral(obtuse, np.longdouble(0), min(right, angle_to_opposite), -1)
    if angle < right:
        total += _integral(acute, angle, right, np.arccos(min(h, k) / max(h, k)) if max(h, k) > 0 else -1)
    return total / (4 * right)


def test_oracle_in_closed_form():
    """Angles pi/2 and pi/3 at thresholds where the answer is elementary."""
    right = np.arccos(np.longdouble(0))
    for h, k in ((0.3, 1.7), (2.0, 2.0), (0.0, 5.0)):
        product = math.erfc(h / math.sqrt(2)) * math.erfc(k / math.sqrt(2)) / 4
        assert float(probability(h, k, right, right)) == pytest.approx(product, rel=2e-15)
    assert float(probability(0, 0, 2 * right / 3, 4 * right / 3)) == pytest.approx(1 / 3, rel=1e-15)


def oracle_at_half_angle(h, k, sine, cosine):
    sine, cosine = np.longdouble(sine), np.longdouble(cosine)
    return probability(h, k, 2 * np.arctan2(sine, cosine), 2 * np.arctan2(cosine, sine))


REGIMES = {
    "equal thresholds": lambda rng: (h := rng.uniform(0, 4), h, rng.uniform(0, np.pi)),
    "two thresholds": lambda rng: (*rng.uniform(0, 4, 2), rng.uniform(0, np.pi)),
    "thresholds far apart": lambda rng: (*(10 ** rng.uniform(-6, 1, 2)), rng.uniform(0, np.pi)),
    "almost equal thresholds": lambda rng: (h := rng.uniform(0, 4), h * (1 + 1e-9 * rng.normal()), rng.uniform(0, 3)),
    "correlation near 1": lambda rng: (h := rng.uniform(0, 4), h, 10 ** rng.uniform(-12, -1)),
    "correlation near 1, two thresholds": lambda rng: (*(2 + 0.1 * rng.uniform(size=2)), 10 ** rng.uniform(-6, -1)),
    "correlation near -1": lambda rng: (h := 0.3 * rng.uniform(), h, np.pi - 10 ** rng.uniform(-1.5, 0)),
    "correlation near -1, tiny thresholds": lambda rng: (*(1e-6 * rng.uniform(size=2)), np.pi - 1e-5),
    "large shift": lambda rng: (h := rng.uniform(4, 20), h, rng.uniform(0, 2)),
    "large shift, two thresholds": lambda rng: (*rng.uniform(4, 20, 2), rng.uniform(0, 2)),
    "no shift": lambda rng: (0.0, 0.0, rng.uniform(0, np.pi)),
    "one of two without shift": lambda rng: (0.0, rng.uniform(0, 5), rng.uniform(0, np.pi)),
}


@pytest.mark.parametrize("regime", REGIMES)
def test_probability_to_full_relative_accuracy(regime):
    """The bound of the docstring, from ordinary probabilities down to the smallest numbers."""
    rng, compared = np.random.default_rng(0), 0
    for _ in range(60):
        h, k, angle = REGIMES[regime](rng)
        sine, cosine = np.sin(angle / 2), np.cos(angle / 2)
        expected = oracle_at_half_angle(h, k, sine, cosine)
        if expected < 1e-300:
            continue
        compared += 1
        got = orthant_probability(*(np.array([value]) for value in (h, k, sine, cosine)))[0]
        assert abs(got - expected) <= 1e-14 * (1 - np.log(expected)) * expected, (h, k, angle)
    assert compared > 20


def test_where_owens_formula_loses_its_digits():
    """Independent events at six standard deviations: Q^2 is 1e-18, Q - 2 T the difference of numbers of size 1e-9."""
    Q = math.erfc(6 / math.sqrt(2)) / 2
    half = np.sqrt([0.5])
    assert orthant_probability(np.array([6.0]), np.array([6.0]), half, half)[0] == pytest.approx(Q * Q, rel=4e-13)
    assert abs(Q - 2 * owens_t(6.0, 1.0) - Q * Q) > 1e-9 * Q * Q


# ---------------------------------------------------------------------------------------
# The kernel
# ---------------------------------------------------------------------------------------


def exact_angle(x, y):
    """The angle between two rows of two coordinates, and between x and -y, from exact products."""
    x, y = ([Fraction(float(value)) for value in row] for row in (x, y))
    cross, product = abs(x[0] * y[1] - x[1] * y[0]), x[0] * y[0] + x[1] * y[1]
    return math.atan2(cross, product), math.atan2(cross, -product)


def expected_entry(x, y, threshold):
    x, y = x.astype(np.longdouble), y.astype(np.longdouble)
    return (x @ y) * probability(threshold / np.sqrt(x @ x), threshold / np.sqrt(y @ y), *exact_angle(x, y))


@pytest.mark.parametrize("shift", [0.0, 0.5, 1.5, 3.0, 6.0])
@pytest.mark.parametrize("lengths", [(1.0, 1.0), (0.4, 3.0), (1.0, 1 + 3e-8)])
def test_kernel_against_quadrature(shift, lengths):
    """Rows at all angles, nearly equal and nearly opposite ones too: at 1e-9 a cosine has no digits left."""
    angles = [0.3, 0.31, 1.0, 1.5, 2.0, 2.6, 3.0, 1e-3, 1e-6, 1e-9, np.pi - 1e-3]
    x = lengths[0] * np.array([1.0, 0.0])
    Y = lengths[1] * np.column_stack([np.cos(angles), np.sin(angles)])
    got = shifted_ntk_kernel(x[None], Y, shift=shift)[0]
    for y, value in zip(Y, got, strict=True):
        angle, opposite = exact_angle(x, y)
        expected = expected_entry(x, y, shift)
        P = expected / (lengths[0] * lengths[1] * np.cos(angle))
        tolerance = 1e-14 * (1 - np.log(max(P, 1e-320))) * (1 + np.tan(angle / 2)) * lengths[0] * lengths[1] * P
        assert abs(value - expected) <= tolerance + 1e-307, (angle, opposite)


def test_kernel_at_angles_with_a_closed_form():
    X = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.6, 0.8, 0.0]])
    for shift in (0.0, 1.0, 2.5):
        Q = math.erfc(shift / math.sqrt(2)) / 2
        K = shifted_ntk_kernel(X, shift=shift)
        np.testing.assert_allclose(np.diag(K), Q, rtol=4e-15)
        assert K[0, 1] == K[0, 2] == 0  # orthogonal; opposite rows, on which no neuron fires together
    angles = np.linspace(0, np.pi, 50)
    K = shifted_ntk_kernel([[1.0, 0.0]], np.column_stack([np.cos(angles), np.sin(angles)]), shift=0)
    np.testing.assert_allclose(K[0], np.cos(angles) * (np.pi - angles) / (2 * np.pi), atol=1e-16)


def test_formula_of_the_docstring():
    """Owen's formula for two thresholds, where it loses nothing."""
    X = np.random.default_rng(0).uniform(0.3, 1.5, (30, 3))
    lengths = np.linalg.norm(X, axis=1)
    h, rho = 0.7 / lengths, X @ X.T / np.outer(lengths, lengths)
    rows, columns = np.triu_indices(30, 1)
    h, k, rho = h[rows], h[columns], rho[rows, columns]
    root = np.sqrt(1 - rho**2)
    P = 0.5 * ndtr(-h) - owens_t(h, (k - rho * h) / (h * root))
    P += 0.5 * ndtr(-k) - owens_t(k, (h - rho * k) / (k * root))
    got = shifted_ntk_kernel(X, shift=0.7)[rows, columns]
    np.testing.assert_allclose(got, rho * lengths[rows] * lengths[columns] * P, rtol=1e-12)


def test_threshold_takes_the_place_of_the_shift():
    X = unit_rows(5, 3)
    np.testing.assert_array_equal(shifted_ntk_kernel(X, shift=0.5, threshold=2.0), shifted_ntk_kernel(X, shift=2.0))


@pytest.mark.parametrize("shift", [0.0, 1.3])
def test_tiles_entries_and_symmetry(shift):
    """More rows than a tile, of several lengths, some of zeros, equal or opposite."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 4)) * rng.choice([0.5, 1.0, 4.0], (300, 1))
    X[10], X[290], X[20], X[295] = 0, 0, X[280], -X[5]
    K = shifted_ntk_kernel(X, shift=shift)
    np.testing.assert_array_equal(K, K.T)
    np.testing.assert_array_equal(K[[10, 290]], 0)
    lengths = np.linalg.norm(X, axis=1)
    scale = np.outer(lengths, lengths)
    np.testing.assert_allclose(K, shifted_ntk_kernel(X, X.copy(), shift=shift), atol=1e-14 * scale.max())
    for i, j in rng.integers(0, 300, (100, 2)):
        assert shifted_ntk_kernel(X[i], X[j], shift=shift) == pytest.approx(K[i, j], abs=1e-14 * scale[i, j])
    assert np.linalg.eigvalsh(K)[0] > -1e-12 * lengths.max() ** 2


@pytest.mark.parametrize("factor", [1e-200, 1e-5, 1e150])
def test_lengths_that_would_overflow_or_vanish_when_squared(factor):
    """H of rows times a number, with the threshold times the same, is H times its square."""
    X = np.random.default_rng(0).standard_normal((6, 3))
    K = shifted_ntk_kernel(X * factor, X, shift=0.0)
    np.testing.assert_allclose(K / factor, shifted_ntk_kernel(X, X.copy(), shift=0.0), rtol=1e-13)


@pytest.mark.parametrize("factor", [1e-140, 1e-5, 1e150])
def test_lengths_on_both_sides(factor):
    """Squares of the factor are numbers, and those of the lengths are taken."""
    X = np.random.default_rng(0).standard_normal((6, 3))
    K = shifted_ntk_kernel(X * factor, shift=factor)
    np.testing.assert_allclose(K / factor**2, shifted_ntk_kernel(X, shift=1.0), rtol=1e-12)


def test_single_precision_is_double_precision_rounded():
    X = unit_rows(20, 3).astype(np.float32)
    K = shifted_ntk_kernel(X, shift=1.0)
    assert K.dtype == np.float32
    np.testing.assert_array_equal(K, shifted_ntk_kernel(X.astype(float), shift=1.0).astype(np.float32))
    assert shifted_ntk_kernel(X, X.astype(float), shift=1.0).dtype == np.float64
    assert shifted_ntk_kernel(X[0], X[1], shift=1.0).dtype == np.float32


KERNEL = partial(shifted_ntk_kernel, shift=1.0)


@pytest.mark.parametrize(
    ("make", "predict"),
    [
        (partial(KernelRidge, alpha=0.1), "predict"),
        (partial(SVR, C=10.0), "predict"),
        (SVC, "decision_function"),
    ],
)
def test_kernel_of_scikit_learn_estimators(make, predict):
    """By pairs of rows (KernelRidge) and by whole matrices (SVR, SVC): as if the matrix had been given."""
    X, y = (part[:60] for part in load_diabetes(return_X_y=True))
    X = SphereLift().fit_transform(X)
    y = y > np.median(y) if make is SVC else y
    model = pickle.loads(pickle.dumps(make(kernel=KERNEL).fit(X[:40], y[:40])))
    twin = make(kernel="precomputed").fit(shifted_ntk_kernel(X[:40], shift=1.0), y[:40])
    expected = getattr(twin, predict)(shifted_ntk_kernel(X[40:], X[:40], shift=1.0))
    np.testing.assert_allclose(getattr(model, predict)(X[40:]), expected, rtol=1e-6)


def test_grid_search_over_the_shift_of_the_kernel():
    X, y = (part[:80] for part in load_diabetes(return_X_y=True))
    grid = {"svr__kernel": [partial(shifted_ntk_kernel, shift=b) for b in (0.0, 1.0, 2.0)]}
    search = GridSearchCV(make_pipeline(SphereLift(), SVR(C=100.0)), grid, cv=3).fit(X, y)
    assert len(set(search.cv_results_["mean_test_score"])) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shift": -1.0}, "shift=-1.0 is not a finite number >= 0"),
        ({"shift": np.nan}, "shift=nan is not"),
        ({"shift": "auto"}, "shift='auto' is not"),
        ({"shift": 1.0, "threshold": np.inf}, "threshold=inf is not"),
        ({"shift": 1.0, "threshold": 0.5}, "threshold=0.5 lies below shift=1"),
        ({"shift": 1.0, "Y": np.ones((2, 3))}, "X has 2 features and Y has 3"),
        ({"shift": 1.0, "X": csr_array(np.eye(2))}, "(?i)sparse"),
        ({"shift": 1.0, "X": [[np.nan, 1.0]]}, "NaN"),
        ({"shift": 1.0, "X": [1.0, 2.0], "Y": [1.0, 2.0, 3.0]}, "Y has 3 columns where 2 are expected"),
        ({"shift": 1.0, "X": [1.0, 2.0], "Y": [1.0, np.inf]}, "Y holds NaN or infinity"),
    ],
)
def test_bad_input_to_the_kernel_gets_a_clear_message(arguments, message):
    with pytest.raises((ValueError, TypeError), match=message):
        shifted_ntk_kernel(**({"X": np.eye(2)} | arguments))


def test_memory_is_refused_before_it_is_allocated(monkeypatch):
    monkeypatch.setattr(_memory, "available_memory", lambda: 5_000_000)
    X = unit_rows(1000, 3)
    with pytest.raises(MemoryError, match=r"a kernel of 1000 x 1000 entries needs 8\.0 MB of memory.*: use fewer rows"):
        shifted_ntk_kernel(X, shift=1.0)
    with pytest.raises(MemoryError, match="the smallest eigenvalue of a 1000 x 1000 kernel needs 16"):
        minimum_eigenvalue(X, shift=1.0)


# ---------------------------------------------------------------------------------------
# Diagnostics
# ---------------------------------------------------------------------------------------


def test_expected_firing_fraction():
    """The values of the error function, and the share that fires among many neurons."""
    assert expected_firing_fraction(0) == 0.5
    assert isinstance(expected_firing_fraction(1), float)
    shifts = [0.5, 1.5, 8.0, 30.0]
    expected = [math.erfc(b / math.sqrt(2)) / 2 for b in shifts]
    np.testing.assert_allclose(expected_firing_fraction(shifts), expected, rtol=1e-12)
    features = ShiftedNTKFeatures(20_000, shift=1.5, random_state=0).fit_transform(unit_rows(1, 7))
    share, Q = features.nnz / (20_000 * 8), expected[1]
    assert abs(share - Q) < SIGMAS * np.sqrt(Q * (1 - Q) / 20_000)
    with pytest.raises(ValueError, match="shift=-2 is not a number >= 0"):
        expected_firing_fraction([1.0, -2.0])


def brute_separability(X):
    """In exact arithmetic, up to one square root."""
    rows = [[Fraction(float(value)) for value in row] for row in X]
    return math.sqrt(
        min(
            sum((a - sign * b) ** 2 for a, b in zip(x, y, strict=True))
            for i, x in enumerate(rows)
            for y in rows[:i]
            for sign in (1, -1)
        )
    )


@pytest.mark.parametrize("d", [1, 3, 8, 9, 20])
@pytest.mark.parametrize("pair", ["none", "almost equal", "almost opposite", "equal", "opposite"])
def test_separability_against_exact_arithmetic(d, pair):
    rng = np.random.default_rng(d)
    X = rng.standard_normal((30, d))
    if pair != "none":
        X[17] = (-1 if "opposite" in pair else 1) * X[3] * (1 + 1e-9 * pair.startswith("almost"))
    expected = brute_separability(X)
    assert (expected == 0) == (pair in ("equal", "opposite"))
    assert data_separability(X) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("d", [2, 12])
def test_separability_of_more_rows_than_a_tile(d):
    X = unit_rows(700, d)
    distances = np.array([np.sqrt(((X[:, None] - sign * X) ** 2).sum(axis=2)) for sign in (1, -1)])
    distances[:, np.arange(700), np.arange(700)] = np.inf
    assert data_separability(X) == pytest.approx(distances.min(), rel=1e-14)


def test_separability_of_awkward_rows():
    assert data_separability([[0.0], [0.0]]) == 0
    assert data_separability([[0.0, 0.0], [3.0, 4.0]]) == 5
    assert data_separability([[3e200], [-1e200]]) == pytest.approx(2e200)
    assert data_separability(1e-200 * np.eye(12)) == pytest.approx(np.sqrt(2) * 1e-200)
    assert data_separability(np.ones((5000, 2))) == 0
    with pytest.raises(ValueError, match="minimum of 2"):
        data_separability([[1.0, 2.0]])


@pytest.mark.parametrize("shift", [0.0, 0.7, 1.5, 3.0])
@pytest.mark.parametrize("kind", ["sphere", "circle", "orthogonal", "close pair", "almost opposite pair", "lifted"])
def test_bounds_of_the_smallest_eigenvalue(kind, shift):
    """SYZ21 Proposition 5.1 and DHSWZ24 Theorem 2.13; two rows at distance delta almost share their features."""
    X = {
        "sphere": lambda: unit_rows(60, 5),
        "circle": lambda: unit_rows(12, 2),
        "orthogonal": lambda: np.eye(6),
        "lifted": lambda: SphereLift().fit_transform(load_diabetes().data[:80]),
    }.get(kind, lambda: unit_rows(20, 3))()
    if "pair" in kind:
        X[1] = (X[0] + 1e-4 * unit_rows(1, 3, seed=1)[0]) * (-1 if "opposite" in kind else 1)
        X[1] /= np.linalg.norm(X[1])
    result = minimum_eigenvalue(X, shift=shift)
    assert result.lower_bound <= result.value <= result.upper_bound
    assert result.separability == data_separability(X)
    assert result.lower_bound == pytest.approx(np.exp(-(shift**2) / 2) * result.separability / (100 * len(X) ** 2))
    assert result.upper_bound == pytest.approx(np.exp(-(shift**2) / 2))
    assert result.value == pytest.approx(np.linalg.eigvalsh(shifted_ntk_kernel(X, shift=shift))[0], abs=1e-13)
    if kind == "orthogonal":
        assert result.value == pytest.approx(ndtr(-shift), rel=1e-14)
    if kind == "close pair":  # (1, -1) / sqrt(2) on the pair makes H_11 - H_12
        assert result.value < 1e-4 * np.exp(-(shift**2) / 2)
    assert minimum_eigenvalue(X, shift=0.0, threshold=shift) == result


def test_equal_rows_make_the_kernel_singular():
    X = np.repeat(unit_rows(5, 3), 2, axis=0)
    result = minimum_eigenvalue(X, shift=1.0)
    assert result.lower_bound == result.separability == 0
    assert abs(result.value) < 1e-14


def test_eigenvalue_needs_unit_rows():
    with pytest.raises(ValueError, match=r"lengths from 1 to 2, .* transform X by SphereLift"):
        minimum_eigenvalue(np.diag([1.0, 2.0]), shift=1.0)
    minimum_eigenvalue(unit_rows(4, 3).astype(np.float32), shift=1.0)
