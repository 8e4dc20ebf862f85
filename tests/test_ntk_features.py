"""Random features of the tangent kernel: against their definition, the kernel, and networks trained where it reigns."""

import numpy as np
import pandas
import pytest
from scipy.sparse import issparse
from single_networks import SparseShiftedReLURegressor
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge
from sklearn.utils.estimator_checks import (
    check_dataframe_column_names_consistency,
    check_global_output_transform_pandas,
    check_param_validation,
    check_set_output_transform,
    check_set_output_transform_pandas,
    check_transformer_get_feature_names_out,
    check_transformer_get_feature_names_out_pandas,
    parametrize_with_checks,
)

from sksparsenn._network.firing import Candidates
from sksparsenn._utils import memory as _memory
from sksparsenn.ntk import ShiftedNTKFeatures, SphereLift, shifted_ntk_kernel

# Gaussian events below are missed by at most this many standard deviations: probability about 6e-7 a comparison.
SIGMAS = 5


def unit_rows(n, d, seed=0):
    X = np.random.default_rng(seed).standard_normal((n, d))
    return X / np.linalg.norm(X, axis=1, keepdims=True)


TRANSFORMERS = [SphereLift(), ShiftedNTKFeatures(64), ShiftedNTKFeatures(64, shift=0.5, sparse_output=False)]
FURTHER_CHECKS = [
    check_param_validation,
    check_dataframe_column_names_consistency,
    check_transformer_get_feature_names_out,
    check_transformer_get_feature_names_out_pandas,
]
OUTPUT_CHECKS = [
    check_set_output_transform,
    check_set_output_transform_pandas,
    check_global_output_transform_pandas,
]


# No expected failures are declared, and the configuration of pytest makes any that passes a failure (xfail_strict).
@parametrize_with_checks(TRANSFORMERS)
def test_all_checks_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.mark.parametrize("check", FURTHER_CHECKS)
@pytest.mark.parametrize("estimator", TRANSFORMERS)
def test_checks_that_scikit_learn_does_not_run_by_itself(estimator, check):
    check(type(estimator).__name__, estimator)


# They fit on frames and transform arrays on purpose, and the other way round.
@pytest.mark.filterwarnings("ignore:X (has|does not have valid) feature names:UserWarning")
@pytest.mark.parametrize("check", OUTPUT_CHECKS)
@pytest.mark.parametrize("estimator", [TRANSFORMERS[0], TRANSFORMERS[2]])
def test_dense_output_in_frames(estimator, check):
    check(type(estimator).__name__, estimator)


@pytest.fixture(scope="module")
def diabetes():
    X, y = load_diabetes(return_X_y=True)
    return X[:120, :4], y[:120]


@pytest.mark.parametrize("intercept", [True, False])
def test_lift_is_that_of_the_regressor(diabetes, intercept):
    X, y = diabetes
    weight = np.random.default_rng(0).uniform(0.1, 2, len(X))
    model = SparseShiftedReLURegressor(8, fit_intercept=intercept, intercept_scaling=0.7, max_iter=1, random_state=0)
    model.fit(X, y, sample_weight=weight)
    lift = SphereLift(intercept, intercept_scaling=0.7).fit(X, sample_weight=weight)
    lifted = lift.transform(X)
    np.testing.assert_allclose(np.linalg.norm(lifted, axis=1), 1, rtol=1e-15)
    np.testing.assert_array_equal(lift.centre_, model._centre)
    assert lift.constant_ == model._constant
    assert lifted.shape[1] == model.hidden_weights_.shape[1]
    z = lifted @ model.hidden_weights_.T - model.shift_
    outputs = np.where(z > 0, z, 0) @ model.output_weights_[:, 0] * model.output_scale / np.sqrt(8)
    np.testing.assert_allclose(model.predict(X), outputs * model._target_scale + model._target_mean, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_features_are_what_they_say(diabetes, dtype):
    X = diabetes[0].astype(dtype)
    features = ShiftedNTKFeatures(37, shift=0.4, threshold=0.9, random_state=3).fit(X)
    got, lifted = features.transform(X), SphereLift().fit_transform(X)
    fires = lifted @ features.hidden_weights_.T > 0.9
    expected = (fires[:, :, None] * lifted[:, None, :]).reshape(len(X), -1) / np.sqrt(37)
    assert issparse(got)
    assert got.format == "csr"
    assert got.dtype == features.hidden_weights_.dtype == dtype
    assert got.has_sorted_indices
    assert got.nnz == 5 * fires.sum()
    np.testing.assert_allclose(got.toarray(), expected, rtol=1e-6 if dtype == np.float32 else 1e-15)
    dense = ShiftedNTKFeatures(37, shift=0.4, threshold=0.9, random_state=3, sparse_output=False).fit_transform(X)
    np.testing.assert_array_equal(dense, got.toarray())
    alone = features.transform(X[7:8])
    np.testing.assert_array_equal(alone.toarray(), got.toarray()[7:8])


def test_features_in_chunks(diabetes, monkeypatch):
    """Rows are searched in chunks of bounded memory; here three rows at a time."""
    features = ShiftedNTKFeatures(40, random_state=0).fit(diabetes[0])
    whole, searched = features.transform(diabetes[0]), []
    firing = Candidates.firing
    monkeypatch.setattr("sksparsenn.ntk._features.PAIRS_AT_ONCE", 120)

    def counted(candidates, *args):
        searched.append(len(candidates.points))
        return firing(candidates, *args)

    monkeypatch.setattr(Candidates, "firing", counted)
    chunked = features.transform(diabetes[0])
    assert searched == [3] * 40
    np.testing.assert_array_equal(chunked.toarray(), whole.toarray())


def test_features_approach_the_kernel():
    """An entry is a mean over independent neurons of <x, x'> times a binomial share."""
    X, width = unit_rows(6, 3), 20_000
    features = ShiftedNTKFeatures(width, shift=1.0, fit_intercept=False, random_state=0).fit_transform(X)
    K = shifted_ntk_kernel(X, shift=1.0)
    P = K / (X @ X.T)
    error = np.abs(X @ X.T) * np.sqrt(P * (1 - P) / width)
    assert (np.abs((features @ features.T).toarray() - K) < SIGMAS * error).all()


def test_memory_is_refused_before_it_is_allocated(monkeypatch):
    X = unit_rows(1000, 3)
    features = ShiftedNTKFeatures(512, shift=0.0).fit(X)
    monkeypatch.setattr(_memory, "available_memory", lambda: 5_000_000)
    refused = r"a matrix of 1000 x 2048 features, \d+ of them not zero, needs [\d.]+ MB .* available: "
    with pytest.raises(MemoryError, match=refused + "transform fewer samples"):
        features.transform(X)
    with pytest.raises(MemoryError, match=refused + "set sparse_output=True, transform fewer"):
        features.set_params(sparse_output=False).transform(X)


def test_rows_of_zeros_have_no_features():
    features = ShiftedNTKFeatures(16, shift=0.0, fit_intercept=False, random_state=0)
    got = features.fit_transform([[0.0, 0.0], [1.0, 2.0]])
    assert got[[0]].nnz == 0
    assert got[[1]].nnz > 0


def test_automatic_shift_and_weights_are_those_of_the_regressor(diabetes):
    X, y = diabetes
    features = ShiftedNTKFeatures(50, random_state=7).fit(X)
    gaussian = SparseShiftedReLURegressor(50, init="gaussian", max_iter=1, random_state=7).fit(X, y)
    paired = SparseShiftedReLURegressor(100, init="paired", max_iter=1, random_state=7).fit(X, y)
    assert features.shift_ == features.threshold_ == gaussian.shift_ == pytest.approx(np.sqrt(0.4 * np.log(50)))
    np.testing.assert_array_equal(features.hidden_weights_, gaussian.initial_weights_)
    np.testing.assert_array_equal(features.hidden_weights_, paired.initial_weights_[:50])


def test_threshold_below_the_shift_is_refused():
    with pytest.raises(ValueError, match=r"threshold=0.5 lies below shift=1"):
        ShiftedNTKFeatures(shift=1.0, threshold=0.5).fit(np.eye(2))


def test_names_and_containers(diabetes):
    frame = pandas.DataFrame(diabetes[0], columns=list("abcd"))
    features = ShiftedNTKFeatures(2, shift=0.0, random_state=0).fit(frame)
    names = [f"neuron{r}_{name}" for r in (0, 1) for name in ("a", "b", "c", "d", "constant")]
    assert features.get_feature_names_out().tolist() == names
    with pytest.raises(ValueError, match="sparse"):
        features.set_output(transform="pandas").transform(frame)
    out = features.set_params(sparse_output=False).transform(frame)
    assert out.columns.tolist() == names
    plain = ShiftedNTKFeatures(1, fit_intercept=False).fit(diabetes[0])
    assert plain.get_feature_names_out().tolist() == ["neuron0_x0", "neuron0_x1", "neuron0_x2", "neuron0_x3"]


# ---------------------------------------------------------------------------------------
# Lemma 5.3 of QSY23: with a large output scale, training the network is training the linear model
# ---------------------------------------------------------------------------------------


def test_lazy_network_takes_the_steps_of_the_linear_model(diabetes):
    """Thirty steps of plain gradient descent, at a rate divided by B^2: the larger B, the smaller the difference."""
    X, y = diabetes
    standard, width, eta, steps, errors = (y - y.mean()) / y.std(), 60, 5.0, 30, []
    Psi = ShiftedNTKFeatures(width, shift=0.8, random_state=0).fit_transform(X)
    f, V = 0.0, np.zeros(Psi.shape[1])
    for _ in range(steps):
        V -= eta / len(y) * (Psi.T @ (f - standard))
        f = Psi @ V
    for B in (1e2, 1e4, 1e6):
        model = SparseShiftedReLURegressor(
            2 * width, shift=0.8, output_scale=B, learning_rate=eta / B**2, momentum=0, alpha=0.0, max_iter=steps,
            tol=0, n_iter_no_change=steps, random_state=0,
        ).fit(X, y)  # fmt: skip
        errors.append(np.abs((model.predict(X) - y.mean()) / y.std() - f).max() / np.abs(f).max())
    assert 1e-1 > errors[0] > 1e-5  # the comparison sees a network that is not quite lazy
    assert max(errors[1:]) < 1e-8  # nobody's firing changes


@pytest.mark.parametrize("weighted", [False, True])
def test_lazy_network_converges_to_ridge_on_the_features(diabetes, weighted):
    X, y = diabetes
    weight = np.random.default_rng(0).uniform(0.2, 3, len(X)) if weighted else np.ones(len(X))
    model = SparseShiftedReLURegressor(
        200, shift=0.8, alpha=1.0, output_scale=1e5, max_iter=1500, tol=0, n_iter_no_change=1500, random_state=0
    ).fit(X, y, sample_weight=weight)
    features = ShiftedNTKFeatures(100, shift=0.8, random_state=0).fit(X, sample_weight=weight)
    Psi = features.transform(X)
    mean = np.average(y, weights=weight)
    scale = np.sqrt(np.average((y - mean) ** 2, weights=weight))
    strength = np.average(Psi.multiply(Psi).sum(axis=1), weights=weight)
    ridge = Ridge(alpha=strength, fit_intercept=False, solver="cholesky")
    ridge.fit(Psi.toarray(), (y - mean) / scale, sample_weight=weight)
    expected = mean + scale * ridge.predict(Psi.toarray())
    assert np.corrcoef(expected, y)[0, 1] > 0.5
    np.testing.assert_allclose(model.predict(X), expected, atol=1e-4 * y.std())
