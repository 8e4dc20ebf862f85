"""What the papers say about shifted networks, held against measurements."""

import numpy as np
import pytest
from scipy.stats import norm
from single_networks import SketchedGaussNewtonRegressor, SparseShiftedReLURegressor

from sksparsenn._network.firing import Candidates, Lists
from sksparsenn._network.network import Network, initial_weights
from sksparsenn._samples.dense import DenseSamples
from sksparsenn.ntk import shifted_ntk_kernel

# Gaussian events below are missed by at most this many standard deviations: probability about 6e-7 a comparison.
SIGMAS = 5


def unit_rows(n, d, seed=0):
    X = np.random.default_rng(seed).standard_normal((n, d))
    return np.ascontiguousarray(X / np.linalg.norm(X, axis=1, keepdims=True))


@pytest.mark.parametrize("shift", [0.0, 0.5, 1.0, 2.0, 3.0])
def test_firing_fraction_is_the_normal_tail(shift):
    """For one unit sample, <w, x> ~ N(0, 1): the firing neurons are a binomial sample of the width."""
    width = 20_000
    weights, signs = initial_weights(width, 8, 1, "gaussian", np.random.RandomState(0), np.float64)
    firing = Network(weights, signs, shift, shift, 1.0).firing(DenseSamples(unit_rows(4, 8)))
    per_sample = np.bincount(firing.pairs()[1], minlength=4)
    expected = norm.sf(shift)
    error = np.sqrt(expected * (1 - expected) / width)
    assert np.abs(per_sample / width - expected).max() < SIGMAS * error


@pytest.mark.parametrize(
    ("estimator", "share"), [(SparseShiftedReLURegressor, 0.4), (SketchedGaussNewtonRegressor, 0.48)]
)
def test_automatic_shift_is_that_of_the_papers(estimator, share):
    """sqrt(c ln m) lets at most m^(1 - c/2) neurons fire, since the normal tail is below exp(-b^2 / 2).

    c is 0.4 in SYZ21 (Rem. 3.9) and 0.48 in DHSWZ24 (Cor. A.11).
    """
    X, y = unit_rows(50, 4), np.arange(50.0)
    for width in (256, 4096):
        model = estimator(width, max_iter=1, random_state=0).fit(X, y)
        assert model.shift_ == model.threshold_ == pytest.approx(np.sqrt(share * np.log(width)))
        assert model.firing_fraction_curve_[0] * width < width ** (1 - share / 2)


@pytest.mark.parametrize("width", [1, 2, 3, 33, 999, 1000, 1001])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_paired_initialisation_is_exactly_zero(dtype, width):
    """Partners have equal numbers and opposite signs: not small, zero."""
    weights, signs = initial_weights(width, 8, 2, "paired", np.random.RandomState(0), dtype)
    assert len(weights) == len(signs) == width
    assert (np.abs(signs) == 1).all()
    network = Network(weights, signs, 0.7, 0.7, 3.0)
    X = DenseSamples(unit_rows(30, 8).astype(dtype))
    np.testing.assert_array_equal(network.outputs(X), 0)
    np.testing.assert_array_equal(network.firing(X).outputs(signs, 0.7, 3.0), 0)
    assert width < 33 or network.firing(X).n_pairs > 0


@pytest.mark.parametrize("width", [3, 33, 1001])
def test_an_odd_width_has_one_neuron_that_never_fires(width):
    """Between the halves: the others are the neurons of the even width below."""
    odd, signs = initial_weights(width, 8, 1, "paired", np.random.RandomState(0), np.float64)
    even, even_signs = initial_weights(width - 1, 8, 1, "paired", np.random.RandomState(0), np.float64)
    middle = width // 2
    np.testing.assert_array_equal(odd[middle], 0)
    np.testing.assert_array_equal(np.delete(odd, middle, axis=0), even)
    np.testing.assert_array_equal(np.delete(signs, middle, axis=0), even_signs)


@pytest.mark.parametrize("width", [4096, 32768])
def test_gradient_descent_converges_at_the_rate_of_the_smallest_eigenvalue(width):
    """SYZ21 Lemma 5.2: |y - f(t)|^2 <= (1 - eta lambda / 2)^t |y - f(0)|^2, lambda = lambda_min(H).

    The target is the slowest direction of the kernel in closed form, where each step leaves (1 - eta lambda)^2.
    """
    n, steps, shift, output_scale = 10, 200, 0.5, 300.0
    X = unit_rows(n, 6)
    kernel = output_scale**2 * shifted_ntk_kernel(X, shift=shift)
    eigenvalues, directions = np.linalg.eigh(kernel)
    learning_rate = n / eigenvalues[-1]  # of the mean over samples, where the paper has the sum
    model = SparseShiftedReLURegressor(
        width, shift=shift, output_scale=output_scale, learning_rate=learning_rate, momentum=0.0, alpha=0.0,
        max_iter=steps, tol=0, fit_intercept=False, random_state=0,
    ).fit(X, directions[:, 0])  # fmt: skip
    shrinkage = model.loss_curve_[1:] / model.loss_curve_[:-1]
    rate = eigenvalues[0] / eigenvalues[-1]  # eta lambda
    assert 0.01 < rate < 0.5
    assert (model.loss_curve_ / model.loss_curve_[0] <= (1 - rate / 2) ** np.arange(steps)).all()
    assert np.median(shrinkage) == pytest.approx((1 - rate) ** 2, rel=0.01)


def test_no_more_neurons_fire_in_training_than_drift_allows():
    """QSY23 Lemma 6.6: a neuron that has moved by at most R fires only where its start exceeded b - R.

    So the firing neurons stay below the binomial sample of the normal tail at b - R, in every iteration.
    """
    n, width, output_scale = 60, 8192, 30.0
    X = unit_rows(n, 6)
    model = SparseShiftedReLURegressor(
        width, solver="sgd", batch_size=10, output_scale=output_scale, learning_rate=3.0 / output_scale**2,
        momentum=0.0, alpha=0.0, init="gaussian", max_iter=1, tol=0, fit_intercept=False, warm_start=True,
        random_state=0,
    )  # fmt: skip
    drifts = []
    for _ in range(20):
        model.fit(X, np.sin(3 * X[:, 0]) + X[:, 1])
        drifts.append(np.linalg.norm(model.hidden_weights_ - model.initial_weights_, axis=1).max())
        products = X @ model.hidden_weights_.T
        firing = (products > model.shift_).sum(axis=1)
        bound = norm.sf(model.shift_ - drifts[-1])
        assert firing.max() < width * bound + SIGMAS * np.sqrt(width * bound * (1 - bound))
        assert firing.max() < 2 * width**0.8  # Lemma 6.6's own bound at b = sqrt(0.4 ln m)
    assert model.loss_curve_[-1] < 0.7 * model.loss_curve_[0]
    assert 0 < drifts[0] < drifts[-1] < 0.5


def test_large_output_scale_trains_the_linear_model_on_tangent_features():
    """QSY23 Lemma 5.3: as B grows, the network and the linear model with features 1[<w_r(0), x> > b] x coincide.

    Targets of size one need movements of order 1/B, so the share of pairs that change and
    the distance between the two models fall with 1/B.
    """
    X = unit_rows(40, 5)
    y = np.sin(3 * X[:, 0]) + X[:, 1]
    distances = []
    for output_scale in (1.0, 10.0, 100.0, 1000.0):
        model = SparseShiftedReLURegressor(
            2000, shift=1.0, output_scale=output_scale, learning_rate=20.0 / output_scale**2, momentum=0.0, alpha=0.0,
            max_iter=60, tol=0, fit_intercept=False, random_state=0,
        ).fit(X, y)  # fmt: skip
        # The linear model, dense: psi(x) has a block scale * a_r 1[<w_r(0), x> > b] x for each neuron.
        fires = (model.initial_weights_ @ X.T > 1.0).astype(float)
        features = output_scale / np.sqrt(2000) * (model.output_weights_ * fires)[:, :, None] * X[None]
        features = features.transpose(1, 0, 2).reshape(40, -1)
        target, v = y / np.sqrt(np.mean(y**2)), np.zeros(features.shape[1])
        for _ in range(60):
            v -= 20.0 / output_scale**2 * features.T @ (features @ v - target) / 40
        assert np.linalg.norm(features @ v) > 0.3 * np.linalg.norm(target)  # it learned something
        distances.append(np.abs(features @ v * np.sqrt(np.mean(y**2)) - model.predict(X)).max())
    assert distances[0] > 1e-3
    assert distances[3] < 2e-3 * max(distances[0], 0.1)
    assert distances[3] < distances[1] / 10


def test_jacobian_products_against_the_dense_jacobian():
    X = unit_rows(30, 8, seed=1)
    weights, signs = initial_weights(20, 8, 2, "gaussian", np.random.RandomState(1), np.float64)
    network = Network(weights, signs, 0.4, 0.4, 2.0)
    firing = network.firing(DenseSamples(X))
    fires = (weights @ X.T > 0.4).astype(float)
    # J[i, o, r, j] = scale a_ro 1[r fires on i] x_ij
    J = network.scale * np.einsum("ro,ri,ij->iorj", signs, fires, X)
    rng = np.random.default_rng(2)
    u, v = rng.standard_normal((20, 8)), rng.standard_normal((30, 2))
    Ju, JTv = np.einsum("iorj,rj->io", J, u), np.einsum("iorj,io->rj", J, v)
    np.testing.assert_allclose(firing.linear_outputs(u, signs, network.scale), Ju, atol=1e-12)
    np.testing.assert_allclose(network.scale * firing.gradient(v, signs), JTv, atol=1e-12)
    JJTv = np.einsum("iorj,rj->io", J, JTv)
    np.testing.assert_allclose(firing.kernel_product(v, signs, network.scale), JJTv, atol=1e-12)
    diagonal = np.einsum("irj,irj->i", J[:, 0], J[:, 0])
    np.testing.assert_allclose(firing.kernel_diagonal(network.scale), diagonal, atol=1e-12)


def test_a_superset_of_candidates_gives_the_same_pattern():
    X = unit_rows(50, 8)
    weights, _ = initial_weights(10, 8, 1, "gaussian", np.random.RandomState(0), np.float64)
    everything = Lists.from_compressed(np.arange(11) * 50, np.tile(np.arange(50, dtype=np.int32), 10))
    _, samples = Candidates(DenseSamples(X), everything).firing(weights, 0.3).pairs()
    np.testing.assert_array_equal(samples, np.nonzero(weights @ X.T > 0.3)[1])
