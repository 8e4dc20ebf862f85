"""
Lazy training and feature learning
==================================

The factor ``output_scale`` is a dial.  Turned up, a small movement of the weights is enough to fit the targets: neurons
stay near their start, and training is ridge regression with the network's tangent kernel, the lazy regime of the
proofs.  Turned down, weights travel far, and the network comes to look at some features and not at others.  Here five
of ten features matter.
"""

# %%
# The kernel's predictions
# ------------------------
# Once for infinite width, in closed form, and once for the 2,048 neurons that the network starts with: they come in
# pairs of opposite signs, and a pair has one feature vector.  The ridge is the one that the regressor means by alpha.

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


def root_mean_square(difference):
    return np.sqrt(np.mean(difference**2))


def kernel_ridge(gram, cross, ridge):
    model = KernelRidge(kernel="precomputed", alpha=ridge).fit(gram, y_train - y_train.mean())
    return y_train.mean() + model.predict(cross)


lift = SphereLift().fit(X_train)
Z, Z_test = lift.transform(X_train), lift.transform(X_test)
gram, cross = shifted_ntk_kernel(Z, shift=SHIFT), shifted_ntk_kernel(Z_test, Z, shift=SHIFT)
kernel = kernel_ridge(gram, cross, ALPHA * expected_firing_fraction(SHIFT))
features = ShiftedNTKFeatures(WIDTH // 2, shift=SHIFT, random_state=0).fit(X_train)
Psi, Psi_test = features.transform(X_train), features.transform(X_test)
gram, cross = (Psi @ Psi.T).toarray(), (Psi_test @ Psi.T).toarray()
lazy = kernel_ridge(gram, cross, ALPHA * gram.diagonal().mean())
print(f"tangent kernel, closed form:     error {root_mean_square(kernel - truth):.3f}")
print(f"tangent kernel of {WIDTH} neurons: error {root_mean_square(lazy - truth):.3f}")

# %%
# The network, from one end of the dial to the other
# --------------------------------------------------
# The same first weights, targets and ridge each time.  Of the squared weights (the constant's left out) one half
# belongs to the five features that matter, as long as nothing has been learnt about features.

scales, errors, distances, moves = [0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0], [], [], []
for output_scale in scales:
    model = SparseShiftedReLURegressor(
        WIDTH, shift=SHIFT, alpha=ALPHA, output_scale=output_scale, linear_part=False, cv=None, max_iter=2000,
        n_iter_no_change=10, random_state=0,
    )  # fmt: skip
    model = model.fit(X_train, y_train)
    prediction, first = model.predict(X_test), model.initial_weights_
    errors.append(root_mean_square(prediction - truth))
    distances.append(root_mean_square(prediction - lazy))
    travelled = np.linalg.norm(model.hidden_weights_ - first, axis=1) / np.linalg.norm(first, axis=1)
    moves.append(100 * travelled.mean())
    squares = np.square(model.hidden_weights_).sum(axis=0)
    print(
        f"output_scale {output_scale:5.1f}: error {errors[-1]:.3f}, {distances[-1]:.3f} from its kernel, "
        f"weights moved by {moves[-1]:5.2f}% of their length; "
        f"features that matter hold {squares[:5].sum() / squares[:10].sum():.0%}"
    )

# %%
# The smallest scale learns features, and has less than half of the error of its kernel; the largest predicts what the
# kernel predicts, up to about a hundredth of a standard deviation.  Errors are those on new rows, without their noise.

try:
    import matplotlib.pyplot as plt
except ImportError:
    print("no plot was made: matplotlib is not installed")
else:
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
    left.semilogx(scales, errors, "ko-", markersize=4, label="network")
    left.axhline(root_mean_square(lazy - truth), color="0.4", linestyle="--", label=f"kernel of its {WIDTH:,} neurons")
    left.axhline(root_mean_square(kernel - truth), color="0.6", linestyle=":", label="kernel, closed form")
    left.set(ylabel="error on new rows\n(standard deviations of the target)", ylim=(0, 0.32))
    left.legend(frameon=False)
    middle.loglog(scales, distances, "ko-", markersize=4)
    middle.set(ylabel="network less its kernel, root mean square\n(standard deviations of the target)")
    right.loglog(scales, moves, "ko-", markersize=4)
    right.set(ylabel="distance travelled by the weights\n(% of their first length)")
    for ax in (left, middle, right):
        ax.set(xlabel="output_scale")
    figure.savefig("lazy_training.png", dpi=120)
    print("the plot is in lazy_training.png")
