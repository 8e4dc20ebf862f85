"""
The network and its tangent kernel
==================================

With a large ``output_scale`` the weights of a wide network hardly move, and training it is
kernel ridge regression with the tangent kernel.  With a small one they move far, which is how
a network comes to look at some features and not at others.  Here five of ten features matter.
"""

import numpy as np
from sklearn.datasets import make_friedman1
from sklearn.kernel_ridge import KernelRidge
from sklearn.preprocessing import StandardScaler

from sksparsenn import SparseShiftedReLURegressor
from sksparsenn.ntk import ShiftedNTKFeatures, SphereLift, expected_firing_fraction, shifted_ntk_kernel

WIDTH, SHIFT, ALPHA, NOISE = 2048, 1.0, 0.01, 0.1

X, y = make_friedman1(2_600, n_features=10, noise=0.0, random_state=0)
X = StandardScaler().fit_transform(X)
truth = (y - y.mean()) / y.std()
y = truth + NOISE * np.random.default_rng(0).standard_normal(len(y))
X_train, X_test, y_train, truth = X[:600], X[600:], y[:600], truth[600:]


def error(prediction):
    """Root mean squared error on new rows, without their noise."""
    return np.sqrt(np.mean((prediction - truth) ** 2))


# %%
# Infinite width, in closed form: the kernel of lifted rows, and the ridge that the regressor means by alpha.
lift = SphereLift().fit(X_train)
Z, Z_test, mean = lift.transform(X_train), lift.transform(X_test), y_train.mean()
ridge = KernelRidge(kernel="precomputed", alpha=ALPHA * expected_firing_fraction(SHIFT))
ridge.fit(shifted_ntk_kernel(Z, shift=SHIFT), y_train - mean)
kernel = mean + ridge.predict(shifted_ntk_kernel(Z_test, Z, shift=SHIFT))
print(f"tangent kernel, closed form:          error {error(kernel):.3f}")

# %%
# Finite width: ridge on the random features of the network's own first weights, which come in pairs.
features = ShiftedNTKFeatures(WIDTH // 2, shift=SHIFT, random_state=0).fit(X_train)
Psi, Psi_test = features.transform(X_train), features.transform(X_test)
gram = (Psi @ Psi.T).toarray()
ridge = KernelRidge(kernel="precomputed", alpha=ALPHA * gram.diagonal().mean()).fit(gram, y_train - mean)
lazy = mean + ridge.predict((Psi_test @ Psi.T).toarray())
print(f"tangent kernel of {WIDTH} neurons:       error {error(lazy):.3f}")

# %%
# The network itself.
scales, errors, distances, moves = [0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0], [], [], []
for output_scale in scales:
    model = SparseShiftedReLURegressor(
        WIDTH, shift=SHIFT, alpha=ALPHA, output_scale=output_scale, max_iter=2000, random_state=0
    ).fit(X_train, y_train)
    prediction = model.predict(X_test)
    errors.append(error(prediction))
    distances.append(np.sqrt(np.mean((prediction - lazy) ** 2)))
    moves.append(np.linalg.norm(model.hidden_weights_ - model.initial_weights_, axis=1).mean())
    print(
        f"network, output_scale {output_scale:5.1f}: error {errors[-1]:.3f}, {distances[-1]:.4f} from its kernel, "
        f"neurons moved by {moves[-1]:.4f}, {model.n_iter_} steps"
    )

# %%
# Errors, and how far the network is from its kernel, as a picture.
try:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
    left.semilogx(scales, errors, "ko-", markersize=4, label="network")
    left.axhline(error(lazy), color="0.4", linestyle="--", label=f"kernel of {WIDTH} neurons")
    left.axhline(error(kernel), color="0.6", linestyle=":", label="kernel, closed form")
    left.set(xlabel="output_scale", ylabel="error on new rows\n(1: predicting the mean)", ylim=(0, None))
    left.legend(frameon=False)
    right.loglog(scales, distances, "ko-", markersize=4, label="predictions: network less kernel")
    right.loglog(scales, moves, "s--", color="0.5", markersize=4, label="distance moved by a neuron")
    right.set(xlabel="output_scale", ylabel="root mean square difference,\nmean distance")
    right.legend(frameon=False)
    figure.savefig("tangent_kernel.png", dpi=120)
    print("the plot is in tangent_kernel.png")
except (ImportError, OSError) as error:
    print(f"no plot was made: {error}")
