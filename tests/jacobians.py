"""Jacobians of random networks to test solvers with."""

import dense_gauss_newton
import numpy as np

from sksparsenn._network.network import Network
from sksparsenn._samples.dense import DenseSamples
from sksparsenn._samples.points import padded_rows
from sksparsenn._solvers.jacobian import Jacobian


def jacobians(n, d, width, n_outputs, seed, threshold=0.3):
    """The Jacobian over firing pairs, and the same as a dense array with columns for all neurons."""
    rng = np.random.default_rng(seed)
    X, W = rng.standard_normal((n, d)), rng.standard_normal((width, d))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    signs, root = rng.choice([-1.0, 1.0], (width, n_outputs)), rng.uniform(0.5, 2.0, n)
    J = dense_gauss_newton.jacobian(W, signs, X, root, threshold, 0.7)
    X, W = padded_rows(X), padded_rows(W)
    firing = Network(W, signs, threshold, threshold, 1.0).firing(DenseSamples(X))
    return Jacobian(firing, X, root, signs, 0.7, d), J
