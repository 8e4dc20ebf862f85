"""Rows that grow along the ridge path: how they are drawn, when they grow, and what training on them leads to."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import chi2
from single_networks import SketchedGaussNewtonClassifier, SketchedGaussNewtonRegressor
from sklearn.base import clone, is_classifier

import sksparsenn._training.growing_rows as growing_rows
from sksparsenn._samples.drawing import drawn_order, row_keys
from sksparsenn._training.growing_rows import GrowingRows, gain_of_more_rows

COMMON = {
    "width": 40, "shift": 0.8, "solver": "cholesky", "search": "margin", "alpha": "auto", "output_scale": 1.0,
    "init": "paired", "max_iter": 20, "tol": 0.0, "n_iter_no_change": 1000, "cv": None, "random_state": 3,
}  # fmt: skip
ESTIMATORS = {
    "regressor": SketchedGaussNewtonRegressor(**COMMON),
    "classifier": SketchedGaussNewtonClassifier(loss="log_loss", **COMMON),
}
FIRST = 100


@pytest.fixture
def few(monkeypatch):
    """A first sample of few rows, so that tables of tests are long."""
    monkeypatch.setattr(growing_rows, "FIRST_ROWS", FIRST)
    monkeypatch.setattr(growing_rows, "MANY_ROWS", 2 * FIRST)


def table(n=1200, d=4, seed=0, noise=0.5):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    return X, np.sin(2 * X[:, 0]) + X[:, 1] * X[:, 2] + noise * rng.standard_normal(n)


def targets_of(model, y):
    return np.digitize(y, [-0.6, 0.6]) if is_classifier(model) else y


def fitted(kind, X, y, **params):
    model = clone(ESTIMATORS[kind]).set_params(**params)
    return model.fit(X, targets_of(model, y))


# -- keys ---------------------------------------------------------------------------------------------


ENTRIES = st.sampled_from([-1.0, 0.0, -0.0, 0.5, 1e300])


@given(arrays(np.float64, st.tuples(st.integers(1, 12), st.integers(1, 3)), elements=ENTRIES))
def test_equal_rows_have_equal_keys_and_others_do_not(X):
    keys = row_keys(X)
    equal = (X[:, None] == X[None]).all(axis=2)
    np.testing.assert_array_equal(keys[:, None] == keys[None], equal)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_key_of_a_row_depends_on_no_other(dtype):
    X = table(50)[0].astype(dtype)
    order = np.random.default_rng(1).permutation(50)
    np.testing.assert_array_equal(row_keys(X)[order], row_keys(X[order]))


@pytest.mark.parametrize("bits", [(0, 4), (30, 34), (60, 64)])
@pytest.mark.parametrize("kind", ["integers", "normal", "one column", "float32"])
def test_keys_are_uniform(kind, bits):
    # A true generator fails with probability 1e-6.
    rng = np.random.default_rng(0)
    X = {
        "integers": np.stack(np.meshgrid(np.arange(64.0), np.arange(64.0)), axis=-1).reshape(-1, 2),
        "normal": rng.standard_normal((4096, 5)),
        "one column": np.arange(4096.0)[:, None],
        "float32": rng.standard_normal((4096, 3)).astype(np.float32),
    }[kind]
    first, last = bits
    places = (row_keys(X) >> np.uint64(first)) % np.uint64(1 << (last - first))
    counts = np.bincount(places.astype(int), minlength=16)
    statistic = ((counts - 256.0) ** 2 / 256).sum()
    assert chi2.sf(statistic, 15) > 1e-6


def test_samples_do_not_prefer_any_row():
    # Each of 40 rows is among 10 of them in about a quarter of 2,000 seeds; five standard deviations.
    X = table(40)[0]
    counts = np.zeros(40)
    for seed in range(2000):
        counts[drawn_order(row_keys(X), seed)[0][:10]] += 1
    assert np.abs(counts - 500).max() < 5 * np.sqrt(2000 * 0.25 * 0.75)


# -- samples ------------------------------------------------------------------------------------------


def samples_of(X, weights=None, seed=0):
    """GrowingRows whose problems are the rows and their share."""
    weights = np.ones(len(X)) if weights is None else weights
    return GrowingRows(row_keys(X), weights, lambda rows, share, W: (np.arange(len(X))[rows], share), seed)


def test_samples_are_nested_and_end_with_all_rows():
    X = np.repeat(table(50)[0], 3, axis=0)
    growing, before = samples_of(X), set()
    for n_rows in (5, 10, 20, 49, 50, 1000):
        rows, share = growing.problem(n_rows, None)
        assert len(np.unique(X[rows], axis=0)) == min(n_rows, 50)
        assert len(rows) == 3 * min(n_rows, 50)  # with all their copies
        assert share == pytest.approx(len(rows) / 150)
        assert before <= set(rows)
        before = set(rows)
    assert share == 1.0


def test_a_sample_is_the_same_whatever_the_order_and_the_copies():
    X = table(60)[0]
    chosen = samples_of(X).problem(20, None)[0]
    order = np.random.default_rng(1).permutation(np.repeat(np.arange(60), 2))
    rows = samples_of(X[order]).problem(20, None)[0]
    np.testing.assert_array_equal(np.unique(order[rows]), chosen)


def test_shares_are_of_weights():
    X, weights = table(50)[0], np.arange(50.0)
    rows, share = samples_of(X, weights).problem(7, None)
    assert share == pytest.approx(weights[rows].sum() / weights.sum())


# -- when they grow -----------------------------------------------------------------------------------


def losses(X, y, X_new, y_new):
    """Mean losses of least squares, on its rows and on others."""
    w = np.linalg.lstsq(X, y, rcond=None)[0]
    return np.mean((X @ w - y) ** 2) / 2, np.mean((X_new @ w - y_new) ** 2) / 2


def test_gain_is_that_of_least_squares():
    # Targets of a linear model with noise of variance v, p features: mean losses over 400 draws of r rows, and of n.
    rng = np.random.default_rng(0)
    r, n, p, v = 60, 240, 12, 0.7
    gains, lower = [], []
    for _ in range(400):
        X, X_new = rng.standard_normal((n, p)), rng.standard_normal((2000, p))
        y, y_new = (np.sqrt(v) * rng.standard_normal(len(part)) for part in (X, X_new))

        (on_sample, held_out), (_, with_all) = (losses(X[:k], y[:k], X_new, y_new) for k in (r, n))
        gains.append(gain_of_more_rows(r / n, on_sample, held_out) * held_out)
        lower.append(held_out - with_all)
    # The rule leaves out terms of higher order in p / r.
    assert np.mean(gains) == pytest.approx(np.mean(lower), rel=0.15)


@pytest.mark.parametrize("held_out", [0.0, np.inf, np.nan])
def test_nothing_is_gained_by_rows_beside_losses_that_tell_nothing(held_out):
    assert gain_of_more_rows(0.5, 0.1, held_out) == 0.0


def test_all_rows_gain_nothing_by_more():
    assert gain_of_more_rows(1.0, 0.1, 1.0) == 0.0


def test_rows_grow_with_noise_as_they_overfit(few):
    model = fitted("regressor", *table(noise=1.0))
    rows = model.rows_curve_
    assert rows[0] == FIRST
    np.testing.assert_array_equal(np.unique(rows), [100, 200, 400, 800, 1080])
    assert (np.diff(rows) >= 0).all()


def test_rows_wait_for_the_ridge_to_fall(few, monkeypatch):
    # A gain that nobody reaches: the sample stays as it is.
    monkeypatch.setattr(growing_rows, "LARGEST_GAIN", 1.0)
    assert set(fitted("regressor", *table()).rows_curve_) == {FIRST}


# -- what they lead to --------------------------------------------------------------------------------


def test_a_sample_without_its_share_of_the_weight_is_not_taken():
    X, weights = table(50)[0], np.full(50, 1e-300)
    rows, _ = samples_of(X).problem(10, None)
    weights[np.setdiff1d(np.arange(50), rows)[0]] = 1.0
    rows, share = samples_of(X, weights).problem(10, None)
    assert len(rows) == 50
    assert share == 1.0


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_a_sample_stands_for_all_rows(kind, few, monkeypatch):
    """Its weights add up to those of all rows, and the ridge grows with them."""
    monkeypatch.setattr(growing_rows, "LARGEST_GAIN", 1.0)
    X, y = table()
    seen = []
    problem = GrowingRows.problem

    def spy(self, n_rows, W):
        seen.append(problem(self, n_rows, W))
        return seen[-1]

    monkeypatch.setattr(GrowingRows, "problem", spy)
    model = fitted(kind, X, y)
    (sample,) = seen
    assert len(sample) == FIRST
    assert sample.weights.sum() == pytest.approx(sample.total_weight) == pytest.approx(1080)
    assert sample.share == pytest.approx(FIRST / 1080)
    np.testing.assert_allclose(model.alpha_curve_, 10 * 0.5 ** np.arange(model.n_iter_) / sample.share)
    assert model.alpha_ == model.alpha_curve_[model.best_iteration_ - 1]


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_a_fit_that_goes_on_is_the_whole_fit(kind, few):
    X, y = table()
    model = clone(ESTIMATORS[kind])
    y = targets_of(model, y)
    whole = clone(model).set_params(max_iter=12).fit(X, y)
    assert len(set(whole.rows_curve_)) > 1
    for first in range(1, 12):
        halves = clone(model).set_params(max_iter=first, warm_start=True).fit(X, y)
        halves.set_params(max_iter=12 - first).fit(X, y)
        np.testing.assert_array_equal(halves.hidden_weights_, whole.hidden_weights_)
        for name in ("rows_curve_", "alpha_curve_", "objective_curve_", "validation_scores_"):
            np.testing.assert_array_equal(getattr(halves, name), getattr(whole, name), err_msg=name)


def test_weights_count_as_copies(few):
    X, y = table(600)
    X_val, y_val = table(300, seed=1)
    counts = np.random.default_rng(2).integers(1, 4, len(X))
    rows = np.repeat(np.arange(len(X)), counts)
    held_out = {"X_val": X_val, "y_val": y_val}
    weighted = clone(ESTIMATORS["regressor"]).fit(X, y, sample_weight=counts, **held_out)
    copied = clone(ESTIMATORS["regressor"]).fit(X[rows], y[rows], **held_out)
    np.testing.assert_allclose(copied.validation_scores_, weighted.validation_scores_, rtol=1e-6)
    np.testing.assert_allclose(copied.alpha_curve_, weighted.alpha_curve_, rtol=1e-12)
    np.testing.assert_array_equal(np.unique(weighted.rows_curve_), [100, 200, 400, 600])
    assert copied.rows_curve_[-1] == counts.sum()


def test_training_does_not_end_before_it_has_seen_all_rows(few, monkeypatch):
    # A sample that does not grow by itself; patience ends on it.
    monkeypatch.setattr(growing_rows, "LARGEST_GAIN", 1.0)
    X, y = table()
    model = clone(ESTIMATORS["regressor"]).set_params(max_iter=60, n_iter_no_change=10).fit(X, y)
    rows = model.rows_curve_
    assert set(rows) == {FIRST, 1080}  # all that are not held out
    first = int(np.argmax(rows == 1080))
    # It goes on at the ridge after the best of the sample.
    best = int(np.argmax(model.validation_scores_[:first]))
    assert model.alpha_curve_[first] == pytest.approx(10 * 0.5 ** (best + 1))
    assert model.best_iteration_ > first
    assert model.stop_reason_ == "validation"


def test_rows_to_validate_on_that_are_easier_than_others_do_not_keep_rows_away(few):
    X, y = table()
    model = clone(ESTIMATORS["regressor"]).set_params(max_iter=60, n_iter_no_change=10)
    model.fit(X, y, X_val=X[:50], y_val=np.sin(2 * X[:50, 0]) + X[:50, 1] * X[:50, 2])
    assert model.rows_curve_[-1] == len(X)


def test_few_distinct_rows_do_not_grow(few):
    X, y = table(150)
    model = clone(ESTIMATORS["regressor"]).fit(np.tile(X, (4, 1)), np.tile(y, 4))
    assert len(set(model.rows_curve_)) == 1


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_errors_are_those_of_training_on_all_rows(kind, monkeypatch):
    # The rule lets a sample cost LARGEST_GAIN of the loss held out, 1 %; chance of the networks adds as much again.
    ratios = []
    for seed in range(5):
        X, y = table(3000, seed=seed)
        X_new, y_new = table(5000, seed=100 + seed)
        errors = []
        for many in (FIRST, 10**9):
            monkeypatch.setattr(growing_rows, "FIRST_ROWS", FIRST)
            monkeypatch.setattr(growing_rows, "MANY_ROWS", many)
            model = fitted(kind, X, y, n_iter_no_change=10, max_iter=60)
            if is_classifier(model):
                probabilities = model.predict_proba(X_new)
                errors.append(-np.mean(np.log(probabilities[np.arange(len(X_new)), targets_of(model, y_new)])))
            else:
                errors.append(np.mean((model.predict(X_new) - y_new) ** 2))
        ratios.append(errors[0] / errors[1])
    assert np.exp(np.mean(np.log(ratios))) < 1.02
