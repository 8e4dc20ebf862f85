"""Standard deviations, intervals and calibrated probabilities, against brute force, closed forms and simulation."""

import numpy as np
import pytest
import single_networks
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize, minimize_scalar
from sklearn.base import clone
from sklearn.model_selection import ShuffleSplit

from sksparsenn import (
    SketchedGaussNewtonClassifier,
    SketchedGaussNewtonRegressor,
    SparseShiftedReLUClassifier,
    SparseShiftedReLURegressor,
)
from sksparsenn._estimators.summed_calibration import MOST_SIZES, CompressedResiduals, compressed
from sksparsenn._estimators.uncertainty import GROWTHS, Residuals, Spread, upper_ends

REGRESSORS = {
    "gauss_newton": SketchedGaussNewtonRegressor(40, shift=0.8, cv=4, max_iter=15, random_state=0),
    "gd": SparseShiftedReLURegressor(40, shift=0.8, cv=4, max_iter=30, random_state=0),
}
CLASSIFIERS = {
    "gauss_newton": SketchedGaussNewtonClassifier(40, shift=0.8, cv=4, max_iter=25, random_state=0),
    "gd": SparseShiftedReLUClassifier(40, shift=0.8, cv=4, max_iter=300, random_state=0),
}


def table(n=120, seed=0, noise=0.5):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 3))
    return X, 7 + 20 * (np.sin(2 * X[:, 0]) + X[:, 1] + noise * rng.standard_normal(n))


# -- intervals -------------------------------------------------------------------------------


def brute_force_interval(model, X_train, y, X, coverage, weights=None):
    """The interval of [BCRT21], equation (13), from all f_i(x) - R_i and f_i(x) + R_i."""
    weights = np.ones(len(y)) if weights is None else weights
    units, outputs = model._units(), model._outputs_of_networks(model._checked(X))[..., 0]
    at_training = model._outputs_of_networks(model._checked(X_train))[..., 0]
    left_out = (model.cv_prediction_ - units.mean) / units.scale
    who = np.abs(at_training - left_out).argmin(axis=0)  # the network that left each row out
    sizes = np.abs((y - units.mean) / units.scale - left_out)
    rows = np.repeat(np.arange(len(y)), weights.astype(int))
    k = int(np.ceil(coverage * (len(rows) + 1) - 1e-9))
    high = np.sort(outputs[who[rows]] + sizes[rows, None], axis=0)[k - 1]
    low = -np.sort(-outputs[who[rows]] + sizes[rows, None], axis=0)[k - 1]
    return np.column_stack([low, high]) * units.scale + units.mean


@pytest.mark.parametrize("coverage", [0.5, 0.9, 0.95])
@pytest.mark.parametrize("name", REGRESSORS)
def test_intervals_are_those_of_all_rows_one_by_one(name, coverage):
    X, y = table()
    model = clone(REGRESSORS[name]).fit(X, y)
    X_new, _ = table(50, seed=1)
    intervals = model.predict_interval(X_new, coverage=coverage)
    expected = brute_force_interval(model, X, y, X_new, coverage)
    np.testing.assert_allclose(intervals, expected, rtol=0, atol=1e-10 * np.abs(y).max())


@pytest.mark.parametrize("name", REGRESSORS)
def test_a_weight_of_two_is_two_residuals(name):
    X, y = table(60)
    weights = np.random.default_rng(3).integers(1, 4, 60).astype(float)
    model = clone(REGRESSORS[name]).fit(X, y, sample_weight=weights)
    expected = brute_force_interval(model, X, y, X[:20], 0.8, weights)
    np.testing.assert_allclose(model.predict_interval(X[:20], coverage=0.8), expected, rtol=1e-10)
    repeated = np.repeat(np.arange(60), weights.astype(int))
    again = clone(REGRESSORS[name]).fit(X[repeated], y[repeated])
    np.testing.assert_allclose(again.predict_interval(X[:20], coverage=0.8), expected, rtol=1e-6)
    np.testing.assert_allclose(
        again.predict(X[:20], return_std=True)[1], model.predict(X[:20], return_std=True)[1], rtol=1e-6
    )


@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 30), st.floats(0.05, 0.95))
def test_upper_ends_are_quantiles_of_all_sums(seed, n_groups, n_rows, coverage):
    rng = np.random.default_rng(seed)
    groups = np.r_[np.arange(n_groups), rng.integers(0, n_groups, n_rows)]
    sizes = rng.integers(0, 6, len(groups)).astype(float)  # with ties
    weights = rng.integers(1, 4, len(groups)).astype(float)
    centres = rng.standard_normal((n_groups, 7))
    if coverage * (weights.sum() + 1) > weights.sum():
        return
    found = upper_ends(centres, Residuals.of(sizes[:, None], weights, groups, n_groups).groups(0), coverage)
    for k in range(7):
        ends = centres[groups, k] + sizes
        enough = [end for end in ends if weights[ends <= end].sum() >= coverage * (weights.sum() + 1) * (1 - 1e-12)]
        assert found[k] == pytest.approx(min(enough), rel=0, abs=1e-12)


def test_intervals_cover():
    """30 tables of 100 rows and 100 new rows each, 90 % asked for.

    Coverage of a table varies with its rows by about sqrt(0.09 / 100 + 0.09 / 100), so that the mean of 30 tables has a
    standard error of 0.008: four of them below 0.9, once in thirty thousand runs of independent draws.
    """
    model = SketchedGaussNewtonRegressor(30, shift=0.8, cv=5, max_iter=15, random_state=0)
    covered = []
    for seed in range(30):
        X, y = table(200, seed=seed)
        low, high = model.fit(X[:100], y[:100]).predict_interval(X[100:], coverage=0.9).T
        covered.append(np.mean((low <= y[100:]) & (y[100:] <= high)))
    assert 0.9 - 4 * 0.008 < np.mean(covered) < 0.99


def test_intervals_of_several_outputs_and_of_single_precision():
    X, y = table()
    both = clone(REGRESSORS["gd"]).fit(X.astype(np.float32), np.column_stack([y, -100 * y]))
    intervals = both.predict_interval(X[:9])
    assert intervals.shape == (9, 2, 2)
    assert intervals.dtype == np.float32
    assert (intervals[:, 0] < intervals[:, 1]).all()
    prediction, std = both.predict(X[:9], return_std=True)
    assert prediction.shape == std.shape == (9, 2)
    assert std.dtype == np.float32
    np.testing.assert_array_equal(prediction, both.predict(X[:9]))


def test_rows_left_out_twice_or_never_have_the_mean_of_networks_or_no_residual():
    X, y = table()
    splits = list(ShuffleSplit(3, test_size=0.3, random_state=0).split(X))
    model = clone(REGRESSORS["gd"]).set_params(cv=splits).fit(X, y)
    known = np.isfinite(model.cv_prediction_)
    assert 0 < known.sum() < len(y)
    residuals = np.abs(y - model.cv_prediction_)[known] / model._target_scale
    np.testing.assert_allclose(np.sort(model._residual_sizes[:, 0]), np.sort(residuals), rtol=1e-10)
    np.testing.assert_allclose(model._left_out_by.sum(axis=0), 1)


def test_what_intervals_and_deviations_refuse():
    X, y = table(40)
    model = clone(REGRESSORS["gd"]).fit(X, y)
    for wrong in (0, 1, -0.1, "high", np.nan):
        with pytest.raises(ValueError, match=r"coverage=.* has to be a number between 0 and 1"):
            model.predict_interval(X, coverage=wrong)
    with pytest.raises(ValueError, match=r"coverage=0.99 needs residuals of rows of weight 99 or more, .* weigh 40"):
        model.predict_interval(X, coverage=0.99)
    single = clone(model).set_params(cv=None).fit(X, y)
    for ask in (lambda: single.predict_interval(X), lambda: single.predict(X, return_std=True)):
        with pytest.raises(ValueError, match=r"needs the residuals of rows that were left out in fit: set cv to .auto"):
            ask()
    model.partial_fit(X, y)
    with pytest.raises(ValueError, match="needs the residuals of rows that were left out"):
        model.predict_interval(X)


# -- standard deviations ---------------------------------------------------------------------


def test_deviations_are_those_of_the_noise():
    """A network that learns the function has errors of the size of the noise: 10 here, within a tenth on 2,000 rows."""
    X, y = table(3000)
    model = SketchedGaussNewtonRegressor(64, cv=5, max_iter=40, random_state=0).fit(X[:1000], y[:1000])
    prediction, std = model.predict(X[1000:], return_std=True)
    assert np.mean(std) == pytest.approx(10, rel=0.15)
    assert np.sqrt(np.mean(((y[1000:] - prediction) / std) ** 2)) == pytest.approx(1, abs=0.1)


def test_the_spread_of_greatest_likelihood():
    """Against a general optimiser: the grid of growths loses next to nothing."""
    rng = np.random.default_rng(0)
    spreads, weights = rng.gamma(1.0, 1.0, 4000), rng.uniform(0.5, 2, 4000)
    residuals = np.sqrt(0.3 + 2 * spreads) * rng.standard_normal(4000)
    found = Spread.fit(residuals, spreads, weights)

    def minus_likelihood(logarithms):
        least, slope = np.exp(logarithms)
        variance = least + slope * spreads
        return np.average(np.log(variance) + residuals**2 / variance, weights=weights)

    best = minimize(minus_likelihood, [0.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-12})
    assert minus_likelihood(np.log([found.least, found.slope])) <= best.fun + 1e-4
    assert found.least == pytest.approx(0.3, rel=0.25)  # five standard errors of simulations like this one
    assert found.slope == pytest.approx(2, rel=0.25)
    assert found.noise == pytest.approx(np.average(residuals**2, weights=weights))
    np.testing.assert_allclose(found.variance(spreads) ** 2, found.noise * (found.least + found.slope * spreads))
    assert GROWTHS[0] == 0


def test_no_residuals_and_no_spread_give_no_nan():
    assert Spread.fit(np.zeros(5), np.ones(5), np.ones(5)).variance(np.ones(2)).tolist() == [0, 0]
    assert Spread.fit(np.ones(5), np.zeros(5), np.ones(5)).variance(np.ones(2)).tolist() == [1, 1]
    X = np.random.default_rng(0).standard_normal((30, 2))
    model = clone(REGRESSORS["gd"]).fit(X, np.full(30, 4.0))
    prediction, std = model.predict(X, return_std=True)
    np.testing.assert_allclose(prediction, 4)
    assert np.isfinite(std).all()
    assert np.isfinite(model.predict_interval(X, coverage=0.5)).all()


# -- probabilities ---------------------------------------------------------------------------


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_the_temperature_is_the_best_one_that_is_no_less_than_one(name, n_classes):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((150, 3))
    y = np.digitize(X[:, 0] + rng.standard_normal(150), [0] if n_classes == 2 else [-0.5, 0.5])
    # Trained to the end, networks are too certain.
    model = clone(CLASSIFIERS[name]).set_params(early_stopping=False)
    model = model.set_params(alpha=1e-3) if name == "gauss_newton" else model
    model.fit(X, y)
    scores = np.log(model.cv_prediction_) * model.temperature_  # up to a number for each row

    def loss(temperature):
        logarithms = scores / temperature
        logarithms = logarithms - np.log(np.exp(logarithms).sum(axis=1, keepdims=True))
        return -logarithms[np.arange(150), y].mean()

    best = minimize_scalar(loss, bounds=(1, 8), method="bounded", options={"xatol": 1e-9}).x
    assert model.temperature_ == pytest.approx(best, rel=1e-5)
    assert model.temperature_ > 1.01
    assert loss(model.temperature_) < loss(1.0)


def test_probabilities_follow_the_scores():
    rng = np.random.default_rng(1)
    X = rng.standard_normal((100, 3))
    y = (X[:, 0] + rng.standard_normal(100) > 0).astype(int)
    model = clone(CLASSIFIERS["gd"]).fit(X, y)
    np.testing.assert_allclose(model.predict_proba(X)[:, 1], 1 / (1 + np.exp(-model.decision_function(X))), rtol=1e-12)
    assert model.temperature_ >= 1
    single = single_networks.SparseShiftedReLUClassifier(20, loss="log_loss", max_iter=5).fit(X, y)
    assert not hasattr(single, "temperature_")


def test_sizes_that_stand_for_others_are_never_smaller_and_hardly_larger():
    rng = np.random.default_rng(0)
    parts = [(rng.exponential(size=n), rng.uniform(0.1, 3, n)) for n in (5000, 30, 2000)]
    sizes, weights = (np.concatenate(both) for both in zip(*parts, strict=True))
    found = [CompressedResiduals([[compressed(*part)]]) for part in parts]
    ((kept, stands_for),) = (found[0] + found[1] + found[2]).groups[0]
    assert len(kept) <= MOST_SIZES
    assert (np.diff(kept) > 0).all()
    assert stands_for.sum() == pytest.approx(weights.sum(), rel=1e-12)
    assert kept[-1] == sizes.max()
    order = np.argsort(sizes)
    ordered, cumulated = sizes[order], np.cumsum(weights[order]) / weights.sum()
    for share in (0.01, 0.5, 0.9, 0.99):
        exact, above = (ordered[np.searchsorted(cumulated, level)] for level in (share, share + 3 / MOST_SIZES))
        assert exact <= kept[np.searchsorted(np.cumsum(stands_for) / weights.sum(), share)] <= above
