"""The tangent kernel, its features and diagnostics for numbers at the ends of the range: never NaN, no warning."""

import numpy as np
import pytest

from sksparsenn.ntk import (
    ShiftedNTKFeatures,
    SphereLift,
    data_separability,
    expected_firing_fraction,
    minimum_eigenvalue,
    shifted_ntk_kernel,
)

N = 20


def rows():
    """Samples between -1 and 1."""
    return np.random.default_rng(0).uniform(-1, 1, size=(N, 3))


@pytest.mark.parametrize(("dtype", "sizes"), [(np.float64, (1e307, 1e-300, 5e-324)), (np.float32, (1e38, 1e-38))])
def test_lifted_rows_of_any_size(dtype, sizes):
    X = rows().astype(dtype)
    for size in sizes:
        scaled = (X * dtype(size)).astype(dtype)
        for transformer in (SphereLift(), SphereLift(fit_intercept=False), ShiftedNTKFeatures(8, random_state=0)):
            for weights in (None, np.full(N, 1e300), np.full(N, 1e-310)):
                features = transformer.fit(scaled, sample_weight=weights).transform(scaled)
                far = transformer.transform(np.full((1, 3), np.finfo(dtype).max))
                for part in (features, far):
                    assert np.isfinite(part.data if transformer.__class__ is ShiftedNTKFeatures else part).all()
        lifted = SphereLift().fit_transform(scaled)
        np.testing.assert_allclose(np.linalg.norm(lifted, axis=1), 1, rtol=1e-6)
        if size > 1e-300:
            np.testing.assert_allclose(lifted, SphereLift().fit_transform(X), rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match=r"sample_weight holds weights up to 1e\+308"):
        SphereLift().fit(X, sample_weight=np.full(N, 1e308))
    with pytest.raises(ValueError, match=r"intercept_scaling=1e\+308 times .*: divide X by a constant, or lower"):
        SphereLift(intercept_scaling=1e308).fit(X * 100)


def test_features_of_extreme_thresholds():
    X = rows()
    assert ShiftedNTKFeatures(8, shift=1e300).fit_transform(X).nnz == 0
    with pytest.raises(ValueError, match=r"shift=1e\+300 is too large for float32"):
        ShiftedNTKFeatures(8, shift=1e300).fit(X.astype(np.float32))
    with pytest.raises(ValueError, match=r"threshold=1e\+300 is too large for float32"):
        ShiftedNTKFeatures(8, shift=1.0, threshold=1e300).fit(X.astype(np.float32))


def test_kernels_of_extreme_rows():
    X = rows()
    usual = shifted_ntk_kernel(X, shift=0.0)
    np.testing.assert_array_equal(shifted_ntk_kernel(np.ldexp(X, 500), shift=0.0), np.ldexp(usual, 1000))
    usual = shifted_ntk_kernel(X, X.copy(), shift=0.0)
    np.testing.assert_array_equal(shifted_ntk_kernel(np.ldexp(X, 900), np.ldexp(X, -900), shift=0.0), usual)
    for shift in (1e300, 1e160, 1e-300):
        assert np.isfinite(shifted_ntk_kernel(X, shift=shift)).all()
    message = r"inner products of rows up to .*e\+300 and .*e\+300 long do not fit into float64: divide X and Y"
    with pytest.raises(ValueError, match=message):
        shifted_ntk_kernel(X * 1e300, shift=1.0)
    with pytest.raises(ValueError, match=message):
        shifted_ntk_kernel(X[0] * 1e300, X[1] * 1e300, shift=1.0)
    with pytest.raises(ValueError, match=r"rows up to inf .* do not fit into float64"):
        shifted_ntk_kernel(np.full((2, 3), 1.7e308), shift=1.0)
    with pytest.raises(ValueError, match=r"rows up to .*e\+30 .* do not fit into float32"):
        shifted_ntk_kernel((X * 1e30).astype(np.float32), shift=1.0)


@pytest.mark.parametrize("n_features", [3, 12])
def test_separability_of_extreme_rows(n_features):
    X = np.random.default_rng(0).standard_normal((N, n_features))
    usual = data_separability(X)
    for power in (-900, 900):
        assert data_separability(np.ldexp(X, power)) == np.ldexp(usual, power)
    with pytest.raises(ValueError, match=r"distances of rows with entries up to 1\.7e\+308 do not fit into float64"):
        data_separability(np.vstack([np.full(n_features, 1.7e308), np.resize([1.7e308, -1.7e308], n_features)]))


def test_diagnostics_of_extreme_shifts():
    X = SphereLift().fit_transform(rows())
    for shift in (1e300, 1.7e308, 40.0):
        assert minimum_eigenvalue(X, shift=shift)[:3] == (0, 0, 0)
    assert minimum_eigenvalue(X, shift=1e-300).upper_bound == 1
    np.testing.assert_array_equal(expected_firing_fraction([0.0, 1e-300, 1e300, np.inf]), [0.5, 0.5, 0, 0])
