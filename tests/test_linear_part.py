"""The linear part of regressors: clipped features, the ridge and its strength, and what networks learn beside it."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.linear_model import Ridge

from sksparsenn import SketchedGaussNewtonRegressor, SparseShiftedReLURegressor
from sksparsenn._estimators.folds import Folds
from sksparsenn._estimators.linear import MOST_FEATURES, parts_of
from sksparsenn._network.linear_part import Features, LinearPart
from sksparsenn._training.linear_fit import STRENGTHS, Moments, best_strengths, linear_parts

MODELS = {
    "gauss_newton": SketchedGaussNewtonRegressor(32, shift=0.8, cv=3, max_iter=10, random_state=0),
    "gd": SparseShiftedReLURegressor(32, shift=0.8, cv=3, max_iter=20, random_state=0),
    "sgd": SparseShiftedReLURegressor(32, shift=0.8, cv=3, solver="sgd", batch_size=20, max_iter=5, random_state=0),
}


def table(n=90, d=4, n_outputs=1, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d)) * (1 + np.arange(d)) + 5
    return X, X @ rng.standard_normal((d, n_outputs)) + 0.3 * rng.standard_normal((n, n_outputs)), rng


def test_features_are_clipped_centred_and_of_mean_length_one():
    X, _, rng = table()
    weights = rng.uniform(0.5, 2, 90)
    shares = weights / weights.sum()
    features = Features.fit(X, shares, centred=True)
    ((_, Z),) = features(X)
    np.testing.assert_allclose(shares @ Z, 0, atol=1e-14)
    assert shares @ np.square(Z).sum(axis=1) == pytest.approx(1)
    ((_, far),) = features(np.array([[1e9, -1e9, 5.0, 5.0]]))
    ((_, at_the_ends),) = features(np.array([[X[:, 0].max(), X[:, 1].min(), 5.0, 5.0]]))
    np.testing.assert_array_equal(far, at_the_ends)
    assert Features.fit(np.ones((5, 2)), np.full(5, 0.2), centred=True) is None


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_features_of_any_size(scale):
    X, _, _ = table()
    shares = np.full(90, 1 / 90)
    ((_, expected),) = Features.fit(X, shares, centred=True)(X)
    ((_, found),) = Features.fit(X * scale, shares, centred=True)(X * scale)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("centred", [True, False])
def test_fits_are_those_of_ridge_regression(centred):
    X, y, rng = table(n_outputs=2)
    weights = rng.uniform(0.5, 2, 90)
    features = Features.fit(X, weights / weights.sum(), centred)
    ((_, Z),) = features(X)
    halves = [np.arange(90) < 40, np.arange(90) >= 40]
    moments = [Moments.of(features, X[half], y[half], weights[half]) for half in halves]
    all_weights, intercepts = (moments[0] + moments[1]).fits(centred)
    for k, strength in enumerate(STRENGTHS):
        if strength == np.inf:
            np.testing.assert_array_equal(all_weights[k], 0)
            continue
        ridge = Ridge(alpha=strength * weights.sum(), fit_intercept=centred, solver="cholesky")
        ridge.fit(Z, y, sample_weight=weights)
        np.testing.assert_allclose(all_weights[k], ridge.coef_.T, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(intercepts[k], ridge.intercept_ if centred else 0, rtol=1e-6, atol=1e-9)
        error = (weights[:, None] * (ridge.predict(Z) - y) ** 2).sum(axis=0)
        found = (moments[0] + moments[1]).error(all_weights[k], intercepts[k])
        np.testing.assert_allclose(found, error, rtol=1e-6)


def test_the_strength_is_that_of_least_error_on_rows_left_out():
    """Brute force over strengths; each output has its own."""
    rng = np.random.default_rng(1)
    X = rng.standard_normal((60, 20))
    y = np.column_stack([X[:, 0] + 3 * rng.standard_normal(60), X @ rng.standard_normal(20), rng.standard_normal(60)])
    labels, eye = np.arange(60) % 3, np.eye(3, dtype=bool)
    folds, features = Folds(labels, ~eye, eye), Features.fit(X, np.full(60, 1 / 60), centred=True)
    moments = [Moments.of(features, X[labels == k], y[labels == k], np.ones(20)) for k in range(3)]
    best = best_strengths(moments, folds, centred=True)
    errors = np.zeros((len(STRENGTHS), 3))
    ((_, Z),) = features(X)
    for k in range(3):
        train, test = labels != k, labels == k
        for place, strength in enumerate(STRENGTHS):
            alpha = 1e12 if strength == np.inf else 40 * strength
            ridge = Ridge(alpha=alpha, solver="cholesky").fit(Z[train], y[train])
            errors[place] += ((ridge.predict(Z[test]) - y[test]) ** 2).sum(axis=0)
    np.testing.assert_array_equal(best, errors.argmin(axis=0))
    assert len(set(best)) > 1
    parts = linear_parts(features, moments, folds.trains, True, best)
    for k, part in enumerate(parts):
        strength = min(STRENGTHS[best[1]], 1e9)
        ridge = Ridge(alpha=40 * strength, solver="cholesky").fit(Z[labels != k], y[labels != k, 1])
        np.testing.assert_allclose(part.outputs(X, np.float64)[:, 1], ridge.predict(Z), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", MODELS)
def test_predictions_are_the_sum_of_both_parts(name):
    X, y, _ = table(n_outputs=2)
    model = clone(MODELS[name]).fit(X, y)
    part = parts_of(model)
    assert len(part) == 3
    np.testing.assert_allclose(np.mean([one.weights for one in part], axis=0), model.linear_weights_)
    network = model._network().outputs(model._lift()(X, np.float64))
    linear = np.mean([one.outputs(X, np.float64) for one in part], axis=0)
    expected = (network + linear) * model._target_scale + model._target_mean
    np.testing.assert_allclose(model.predict(X), expected, rtol=0, atol=1e-12 * np.abs(y).max())
    assert np.abs(network).max() > 1e-3
    # Far outside of the training range a prediction stays as it is at its end, but for the bounded network.
    far = model.predict(X + 1e6 * (X > 5))
    assert np.abs(far).max() < 20 * np.abs(y).max()


@pytest.mark.parametrize("name", MODELS)
def test_what_is_linear_is_learned_from_few_rows(name):
    rng = np.random.default_rng(2)
    X = rng.standard_normal((400, 5))
    y = X @ [3.0, -2.0, 1.0, 0.0, 0.5] + 0.01 * rng.standard_normal(400)
    with_part = clone(MODELS[name]).fit(X[:60], y[:60])
    without = clone(MODELS[name]).set_params(linear_part=False).fit(X[:60], y[:60])
    inside = (np.abs(X) < 1.5).all(axis=1)
    assert 1 - with_part.score(X[inside], y[inside]) < 0.2 * (1 - without.score(X[inside], y[inside]))
    assert not hasattr(without, "linear_weights_")


@pytest.mark.parametrize("cv", [None, 3])
@pytest.mark.parametrize("name", MODELS)
def test_a_row_of_weight_two_is_two_rows(name, cv):
    X, y, rng = table(50)
    weights = rng.integers(0, 3, 50).astype(float)
    repeated = np.repeat(np.arange(50), weights.astype(int))
    model = clone(MODELS[name]).set_params(cv=cv, early_stopping=cv is not None)
    model = model.set_params(alpha=0.1) if name == "gauss_newton" else model
    weighted = clone(model).fit(X, y.ravel(), sample_weight=weights)
    twice = clone(model).fit(X[repeated], y.ravel()[repeated])
    np.testing.assert_allclose(weighted.linear_weights_, twice.linear_weights_, rtol=1e-8)
    np.testing.assert_allclose(weighted.predict(X), twice.predict(X), rtol=1e-7)


@pytest.mark.parametrize("solver", ["gd", "sgd"])
def test_sparse_rows_are_as_dense_ones(solver):
    X, y, rng = table(80, 12)
    X = X * (rng.uniform(size=X.shape) < 0.2)
    dense, thin = clone(MODELS[solver]).fit(X, y.ravel()), clone(MODELS[solver]).fit(sparse.csr_array(X), y.ravel())
    np.testing.assert_allclose(thin.linear_weights_, dense.linear_weights_, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(thin.predict(sparse.csc_array(2 * X)), dense.predict(2 * X), rtol=1e-6)


def test_auto_has_none_for_many_features():
    X = np.random.default_rng(0).standard_normal((30, MOST_FEATURES + 1))
    model = clone(MODELS["gd"])
    assert not hasattr(model.fit(X, X[:, 0]), "linear_weights_")
    assert model.fit(X[:, :-1], X[:, 0]).linear_weights_.shape == (MOST_FEATURES, 1)
    assert model.set_params(linear_part=True).fit(X, X[:, 0]).linear_weights_.shape == (MOST_FEATURES + 1, 1)


def test_columns_that_do_not_vary_leave_nothing_to_be_linear_in():
    model = clone(MODELS["gd"]).set_params(cv="auto").fit(np.ones((20, 2)), np.arange(20.0))
    assert not hasattr(model, "linear_weights_")
    np.testing.assert_allclose(model.predict(np.ones((3, 2))), 9.5, atol=3)


@pytest.mark.parametrize("name", ["gd", "gauss_newton"])
def test_warm_starts_and_streams_keep_the_linear_part(name):
    X, y, _ = table()
    model = clone(MODELS[name]).set_params(warm_start=True, max_iter=3, early_stopping=False)
    model = model.set_params(alpha=0.1) if name == "gauss_newton" else model
    before = model.fit(X, y.ravel()).linear_weights_
    np.testing.assert_array_equal(model.fit(X, y.ravel()).linear_weights_, before)
    np.testing.assert_array_equal(model.fit(X[:50], y.ravel()[:50]).linear_weights_, before)
    if name == "gd":
        np.testing.assert_array_equal(model.partial_fit(X, y.ravel()).linear_weights_, before)
        assert not hasattr(clone(model).partial_fit(X, y.ravel()), "linear_weights_")


def test_the_part_of_one_row_does_not_depend_on_others():
    X, _, rng = table(50, 7)
    part = LinearPart(Features.fit(X, np.full(50, 0.02), True), rng.standard_normal((7, 2)), rng.standard_normal(2))
    whole = part.outputs(X, np.float64)
    np.testing.assert_array_equal(whole, np.concatenate([part.outputs(X[i : i + 1], np.float64) for i in range(50)]))
