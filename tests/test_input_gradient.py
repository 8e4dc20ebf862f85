"""Gradients of predictions in the features, against differences and a dense twin."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone

from sksparsenn import SketchedGaussNewtonRegressor, SparseShiftedReLURegressor

MODELS = {
    "first order": SparseShiftedReLURegressor(200, max_iter=30, random_state=0),
    "single precision": SparseShiftedReLURegressor(200, max_iter=30, random_state=0),
    "no intercept": SparseShiftedReLURegressor(200, max_iter=30, fit_intercept=False, cv=None, random_state=0),
    "gauss-newton": SketchedGaussNewtonRegressor(64, max_iter=10, random_state=0),
    "truncated": SketchedGaussNewtonRegressor(64, max_iter=10, threshold=1.6, shift=1.2, cv=None, random_state=0),
    "two outputs": SketchedGaussNewtonRegressor(64, max_iter=10, random_state=0),
}


def table(name, n=400, seed=0):
    rng = np.random.default_rng(seed)
    X = 3.0 + 2.0 * rng.standard_normal((n, 3))
    y = 50 * (np.sin(X[:, 0]) + 0.3 * X[:, 1] * X[:, 2])
    X = X.astype(np.float32) if name == "single precision" else X
    return X, np.stack([y, X[:, 2] ** 2], axis=1) if name == "two outputs" else y


@pytest.fixture(scope="module", params=MODELS)
def fitted(request):
    return request.param, clone(MODELS[request.param]).fit(*table(request.param))


def pattern(model, X):
    """Which neurons fire, by a dense product in double precision, and how near the nearest is to its threshold."""
    z = X.astype(np.float64) - model._centre
    if model._constant is not None:
        z = np.concatenate([z, np.full((len(z), 1), model._constant)], axis=1)
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    margins = z @ model.hidden_weights_.astype(np.float64).T - model.threshold_
    return margins > 0, np.abs(margins).min(axis=1)


def test_gradients_are_those_of_differences(fitted):
    """Where no neuron and no feature changes sides, a central difference is right but for curvature and rounding."""
    name, model = fitted
    X, _ = table(name, 300, seed=1)
    if name == "single precision":  # whose differences have no digits
        model, X = clone(model).fit(*(part.astype(np.float64) for part in table(name))), X.astype(np.float64)
    step = 1e-6
    found = model.predict_gradient(X)
    differences = np.empty(found.shape)
    same = np.ones(len(X), dtype=bool)
    low, high = getattr(model, "feature_range_", np.array([[-np.inf], [np.inf]]))
    for feature in range(3):
        moved = [X.copy() for _ in range(2)]
        moved[0][:, feature] -= step
        moved[1][:, feature] += step
        below, above = (model.predict(part) for part in moved)
        differences[..., feature] = (above - below) / (2 * step)
        same &= (pattern(model, moved[0])[0] == pattern(model, moved[1])[0]).all(axis=1)
        same &= ((moved[0] >= low) == (moved[1] >= low)).all(axis=1)
        same &= ((moved[0] <= high) == (moved[1] <= high)).all(axis=1)
    assert same.mean() > 0.9
    np.testing.assert_allclose(found[same], differences[same], rtol=1e-5, atol=1e-4)


def test_shapes_and_precision(fitted):
    name, model = fitted
    X, y = table(name, 7)
    gradients = model.predict_gradient(X)
    assert gradients.shape == ((7, 2, 3) if y.ndim == 2 else (7, 3))
    assert gradients.dtype == X.dtype


def test_single_precision_follows_double():
    X, y = table("single precision")
    model = clone(MODELS["single precision"]).fit(X, y)
    exact = clone(model).fit(X, y)
    exact.hidden_weights_ = model.hidden_weights_.astype(np.float64)
    exact.output_weights_ = model.output_weights_.astype(np.float64)
    margin = pattern(model, X)[1]
    clear = margin > 1e-5
    assert clear.mean() > 0.5
    found, expected = model.predict_gradient(X[clear]), exact.predict_gradient(X[clear].astype(np.float64))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


def test_rows_do_not_depend_on_each_other_nor_on_chunks(fitted, monkeypatch):
    import sksparsenn._estimators.regression as regression
    import sksparsenn._network.input_gradient as input_gradient

    name, model = fitted
    X, _ = table(name, 40, seed=2)
    together = model.predict_gradient(X)
    monkeypatch.setattr(input_gradient, "PAIRS_AT_ONCE", 7 * len(model.hidden_weights_))
    monkeypatch.setattr(regression, "ENTRIES_AT_ONCE", 60)
    np.testing.assert_array_equal(model.predict_gradient(X), together)


@pytest.mark.parametrize("factor", [1e-200, 1e-30, 1e30, 1e150])
def test_units_of_the_features(factor):
    """Features in other units have gradients in theirs."""
    X, y = table("")
    model = clone(MODELS["first order"]).set_params(linear_part=False, cv=None)
    gradients = clone(model).fit(X, y).predict_gradient(X)
    power = 2.0 ** np.round(np.log2(factor))
    found = model.fit(X * power, y).predict_gradient(X * power)
    np.testing.assert_allclose(found * power, gradients, rtol=1e-6, atol=1e-9)


def test_far_away_nothing_changes(fitted):
    """On the sphere, rows far away move little: gradients fall with the distance, and stay finite."""
    name, model = fitted
    far = np.array([[1e18, -1e18, 3e17]], dtype=table(name, 1)[0].dtype)
    gradients = model.predict_gradient(far)
    assert np.isfinite(gradients).all()
    if name == "gauss-newton":
        assert np.abs(gradients).max() < 1e-10


def test_a_row_of_zeros_without_a_constant_coordinate_has_no_gradient():
    X, y = table("")
    model = clone(MODELS["no intercept"]).set_params(linear_part=False).fit(X, y)
    np.testing.assert_array_equal(model.predict_gradient(np.zeros((1, 3))), 0)


def test_gradients_beyond_all_numbers_are_refused():
    X, y = table("")
    model = clone(MODELS["first order"]).set_params(cv=None).fit(X * 1e-300, y)
    model._target_scale = model._target_scale * 1e300
    with pytest.raises(ValueError, match="the gradient of row 0 of X does not fit into float64"):
        model.predict_gradient(X[:3] * 1e-300)


def test_memory_for_gradients_is_foreseen(monkeypatch):
    import sksparsenn._utils.memory as memory

    X, y = table("")
    model = SparseShiftedReLURegressor(50, max_iter=2, cv=None).fit(X, y)
    monkeypatch.setattr(memory, "available_memory", lambda: 1_000_000)
    with pytest.raises(MemoryError, match=r"gradients for 1000000 rows needs 24\.0 MB"):
        model.predict_gradient(np.zeros((1_000_000, 3)))


def test_what_is_refused():
    X, y = table("")
    model = SparseShiftedReLURegressor(50, max_iter=2, cv=None).fit(X, y)
    with pytest.raises(ValueError, match="X is sparse"):
        model.predict_gradient(sparse.csr_array(X))
    with pytest.raises(ValueError, match="3 features"):
        model.predict_gradient(X[:, :2])
    with pytest.raises(ValueError, match="NaN"):
        model.predict_gradient(np.full((1, 3), np.nan))
