"""Streams that come in small parts: they teach as much as large ones, whatever the first of them."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from single_networks import SparseShiftedReLUClassifier, SparseShiftedReLURegressor
from sklearn.base import clone
from sklearn.datasets import load_diabetes, make_friedman1

from sksparsenn._samples.lift import Lift, Standardiser
from sksparsenn._training.streams import Moments, StreamRate, joined_lift


def standardised(X, y):
    return (X - X.mean(axis=0)) / X.std(axis=0), (y - y.mean()) / y.std()


def friedman(seed=0):
    X, y = standardised(*make_friedman1(1400, noise=0.5, random_state=seed))
    return X[:800], y[:800], X[800:], y[800:]


def diabetes(seed=0):
    """Three passes over four fifths of the rows, in random order."""
    X, y = standardised(*load_diabetes(return_X_y=True))
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(y))
    rows, test = np.concatenate([rng.permutation(order[:342]) for _ in range(3)]), order[342:]
    return X[rows], y[rows], X[test], y[test]


def streamed(model, X, y, first, part, **classes):
    """The model after a first part of so many rows, and then parts of so many."""
    edges = [0, first, *range(first + part, len(X), part), len(X)]
    for start, stop in pairwise(edges):
        model.partial_fit(X[start:stop], y[start:stop], **classes)
    return model


# Every size of a first part, and of the parts that follow; for all losses, and more of them for the squared error.
SIZES = [(1, 1), (2, 5), (200, 2), (1, 20)]
MORE_SIZES = [(200, 1), (20, 2), (2, 200)]


@pytest.mark.parametrize(("loss", "least"), [("squared_error", 0.6), ("huber", 0.6), ("absolute_error", 0.55)])
def test_small_parts_teach_as_much_as_large_ones(loss, least):
    """Parts of 200 make 4 steps of these 800 rows: smaller parts, which make more, have to do better than those."""
    X, y, X_test, y_test = friedman()
    model = SparseShiftedReLURegressor(128, solver="sgd", loss=loss, random_state=0)
    large = streamed(clone(model), X, y, 200, 200).score(X_test, y_test)
    for first, part in SIZES + MORE_SIZES * (loss == "squared_error"):
        score = streamed(clone(model), X, y, first, part).score(X_test, y_test)
        assert score > (large - 0.03 if part > 5 else least), (first, part)


@pytest.mark.parametrize("loss", ["squared_error", "log_loss", "hinge"])
def test_small_parts_of_labels_teach_as_much_as_large_ones(loss):
    X, y, X_test, y_test = friedman()
    model = SparseShiftedReLUClassifier(128, solver="sgd", loss=loss, random_state=0)
    large = streamed(clone(model), X, y > 0, 200, 200, classes=[False, True]).score(X_test, y_test > 0)
    for first, part in SIZES:
        score = streamed(clone(model), X, y > 0, first, part, classes=[False, True]).score(X_test, y_test > 0)
        assert score > max(large - 0.03, 0.78), (first, part)


def test_single_rows_of_a_noisy_table_teach_as_much_as_large_parts():
    """By the mean of three seeds, among which scores vary by more than is compared here."""
    differences = []
    for seed in range(3):
        X, y, X_test, y_test = diabetes(seed)
        model = SparseShiftedReLURegressor(128, solver="sgd", random_state=seed)
        scores = [streamed(clone(model), X, y, part, part).score(X_test, y_test) for part in (200, 1)]
        differences.append(scores[1] - scores[0])
    assert np.mean(differences) > -0.03


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error"])
def test_solvers_agree_on_parts_that_are_no_larger_than_a_batch(loss):
    X, y, *_ = friedman()
    model = SparseShiftedReLURegressor(64, loss=loss, random_state=0)
    gd, sgd = (streamed(clone(model).set_params(solver=solver), X[:60], y[:60], 1, 3) for solver in ("gd", "sgd"))
    np.testing.assert_array_equal(gd.hidden_weights_, sgd.hidden_weights_)
    assert np.abs(gd.hidden_weights_ - gd.initial_weights_).max() > 0.01


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_units_are_those_of_all_rows_until_there_are_enough(fit_intercept):
    X, y, *_ = friedman()
    X, y = 3e200 * X + 1e200, 7 * y - 40
    model = SparseShiftedReLURegressor(32, fit_intercept=fit_intercept, random_state=0)
    streamed(model, X[:150], y[:150], 1, 1)
    shares = np.full(150, 1 / 150)
    expected = Lift.fit(X[:150], shares, fit_intercept, 1.0)
    np.testing.assert_allclose(model._centre, expected.centre, rtol=1e-12)
    if fit_intercept:
        assert model._constant == pytest.approx(expected.constant, rel=1e-12)
    mean, scale = Standardiser.fit(y[:150, None], shares, fit_intercept)
    np.testing.assert_allclose((model._target_mean, model._target_scale), (mean, scale), rtol=1e-12)
    streamed(model, X[150:], y[150:], 50, 50)
    kept = Lift.fit(X[:200], np.full(200, 1 / 200), fit_intercept, 1.0)
    np.testing.assert_allclose(model._centre, kept.centre, rtol=1e-12)  # and not those of more than 200
    assert not hasattr(model, "_target_moments")


def test_units_of_a_stream_after_a_fit_are_those_of_the_fit():
    X, y, *_ = friedman()
    model = SparseShiftedReLURegressor(32, max_iter=2, tol=0, random_state=0)
    model.partial_fit(X[:3], y[:3]).fit(X[:50], y[:50])
    centre = model._centre
    model.partial_fit(X[50:60], y[50:60])
    np.testing.assert_array_equal(model._centre, centre)


def test_equal_targets_settle_no_units():
    """As long as all targets are equal nothing says how much they vary."""
    X, y, *_ = friedman()
    model = SparseShiftedReLURegressor(32, random_state=0).partial_fit(X[:300], np.full(300, 5.0))
    np.testing.assert_allclose(model.predict(X), 5.0, rtol=1e-15)
    model.partial_fit(X[300:], 1e6 * y[300:])
    assert model._target_scale[0] > 1e5


def test_joined_moments_are_those_of_all_rows():
    rng = np.random.default_rng(0)
    y, weights = rng.standard_normal((30, 3)) * [1.0, 1e-180, 1e180] + [0.0, 1e-180, -1e181], rng.uniform(0.1, 2, 30)
    parts = [Moments.of(y[p], weights[p] / weights[p].sum(), True) for p in (slice(10), slice(10, 30))]
    joined = parts[0].joined(parts[1], weights[10:].sum() / weights.sum())
    whole = Moments.of(y, weights / weights.sum(), True)
    np.testing.assert_allclose(joined.mean, whole.mean, rtol=1e-12)
    np.testing.assert_allclose(joined.deviation, whole.deviation, rtol=1e-12)
    equal = joined_lift(Lift(np.ones(2), 3.0, 0.0), Lift(np.ones(2), 3.0, 0.0), 0.5, 1.0)
    assert equal.constant == 3.0  # rows that do not vary keep the unit of the first


def test_rates_depend_on_the_rows_of_the_step():
    """beta / (1 - momentum) for a single row, lambda for very many, and between them Ma, Bassily and Belkin's."""
    rate = StreamRate()
    rate.measure(np.full(50, 2.0), np.full(50, 0.02), 0.5, 1.0)
    for rows in (1, 7, 10**9):
        expected = rows / (2.0 / 0.1 + (rows - 1) * 0.5)
        assert rate.of_step(np.array([1.0] if rows == 1 else np.full(min(rows, 7), 1 / min(rows, 7))), 0.9, 0.0) == (
            pytest.approx(expected if rows < 10**9 else 7 / (20 + 3))
        )
    # A heavy row counts for itself: the part of the step that it makes is no longer than that of a single row.
    heavy = np.array([100.0, 0.01, 0.01])
    assert rate.of_step(heavy, 0.9, 0.0) * 100 == pytest.approx(1 / 20, rel=1e-3)
    # A single row says how steep rows may be, but not how steep their mean is.
    rate.measure(np.array([3.0]), np.ones(1), 3.0, 1.0)
    assert rate.curvature == 0.5
    assert rate.beta == 3.0


def test_errors_of_a_stream_name_their_cause():
    X, y, *_ = friedman()
    model = SparseShiftedReLURegressor(32, random_state=0).partial_fit(X[:300], y[:300])
    weights = model.hidden_weights_
    with pytest.raises(ValueError, match=r"part 2 of the stream holds a target .* from the mean of the first rows"):
        model.partial_fit(X[300:301], [1e7])
    assert model.hidden_weights_ is weights
    wild = SparseShiftedReLURegressor(32, learning_rate=1e6, random_state=0)
    with pytest.raises(ValueError, match=r"training diverged: .* first part of the stream .* lower learning_rate"):
        streamed(wild, X, y, 20, 20)


def test_counted_work_of_a_stream_goes_on():
    X, y, *_ = friedman()
    model = SparseShiftedReLURegressor(32, random_state=0).fit(X, y).partial_fit(X[:10], y[:10])
    model.partial_fit(X[10:30], y[10:30])
    np.testing.assert_array_equal(model.pairs_evaluated_curve_, [320, 640])


@pytest.mark.parametrize(("first", "later"), [(np.float64, np.float32), (np.float32, np.float64)])
@pytest.mark.parametrize("as_table", [np.asarray, csr_matrix])
def test_a_stream_keeps_the_precision_of_its_first_part(first, later, as_table):
    X, y, X_test, _ = friedman()
    X = X.astype(np.float32)  # the same numbers in both precisions
    parts = [slice(0, 300), slice(300, 320), slice(320, 500)]
    mixed, plain = (SparseShiftedReLURegressor(64, solver="sgd", average="mean", random_state=0) for _ in range(2))
    for part, dtype in zip(parts, [first, later, first], strict=True):
        mixed.partial_fit(as_table(X[part].astype(dtype)), y[part])
        plain.partial_fit(as_table(X[part].astype(first)), y[part])
    assert mixed.hidden_weights_.dtype == mixed.predict(as_table(X_test)).dtype == first
    tolerance = 1e-12 if first is np.float64 else 1e-4
    np.testing.assert_allclose(mixed.predict(as_table(X_test)), plain.predict(as_table(X_test)), atol=tolerance)
