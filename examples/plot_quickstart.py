"""
Quick start: a wide network, trained on the neurons that fire
=============================================================

Two regressions: a small one, and one wide enough to show the point.  A few neurons in a hundred fire on a sample; a
step that finds exactly those does what a dense step does.  Times are processor times on one thread.
"""

from time import process_time

import numpy as np
from sklearn.datasets import load_diabetes, make_friedman1
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits  # comes with scikit-learn

from sksparsenn import SparseShiftedReLURegressor


def fit(X, y, **parameters):
    """Fit a pipeline to three quarters of the data and print how it did."""
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    model = make_pipeline(StandardScaler(), SparseShiftedReLURegressor(random_state=0, **parameters))
    with threadpool_limits(1):
        start = process_time()
        model.fit(X_train, y_train)
        seconds, network = process_time() - start, model[-1]
    print(f"{len(X_train)} rows, {network.width} neurons: {network.n_iter_} steps in {seconds:.2f} s, set-up included;")
    firing = network.firing_fraction_curve_[-1]
    print(f"  test R2 {model.score(X_test, y_test):.3f}; {firing:.1%} of the neurons fire on a sample")
    return model, seconds, X_train, y_train


# %%
# Diabetes: few rows and much noise.  By default five networks are trained, each without a fifth of the rows, which
# stops it in time; predictions are their mean.
print("load_diabetes")
fit(*load_diabetes(return_X_y=True))

# %%
# Friedman's function of ten features, in float32, and a single network on all rows.  What the longer of two fits takes
# more is the time of steps alone.
print("make_friedman1")
X, y = make_friedman1(20_000, n_features=10, noise=1.0, random_state=0)
X = X.astype(np.float32)
single = {"cv": None, "linear_part": False, "width": 8192, "tol": 0}
short, short_seconds, *_ = fit(X, y, max_iter=10, **single)
model, seconds, X_train, y_train = fit(X, y, max_iter=60, **single)
network = model[-1]
sparse = 1e3 * (seconds - short_seconds) / (network.n_iter_ - short[-1].n_iter_)
print(f"sparse step: {sparse:.0f} ms (the second fit less the first, by the difference of their steps)")

# %%
# The same step, dense: forward product, mask, backward product, by BLAS in chunks of rows that fit into the cache.


def dense_step(W, signs, shift, scale, X, y):
    """Outputs and the gradient of the squared error, over all pairs of a neuron and a sample."""
    outputs, gradient = np.empty_like(y), np.zeros_like(W)
    for rows in (slice(start, start + 256) for start in range(0, len(X), 256)):
        hidden = X[rows] @ W.T - shift
        fires = (hidden > 0).astype(X.dtype)
        outputs[rows] = scale * (np.maximum(hidden, 0, out=hidden) @ signs)
        gradient += fires.T @ ((outputs[rows] - y[rows])[:, None] * X[rows])
    return outputs, scale / len(X) * signs[:, None] * gradient


# Samples as the network sees them: centred, with a constant coordinate, brought to length one; targets standardised.
Z = model[:-1].transform(X_train)
Z -= Z.mean(axis=0)
Z = np.column_stack([Z, np.full(len(Z), np.sqrt(np.square(Z).sum(axis=1).mean()))])
Z /= np.linalg.norm(Z, axis=1, keepdims=True)
target = ((y_train - y_train.mean()) / y_train.std()).astype(Z.dtype)
shift, scale = Z.dtype.type(network.shift_), Z.dtype.type(network.output_scale / np.sqrt(network.width))
times = []
with threadpool_limits(1):
    for _ in range(3):
        start = process_time()
        outputs, _ = dense_step(network.hidden_weights_, network.output_weights_[:, 0], shift, scale, Z, target)
        times.append(1e3 * (process_time() - start))
dense = min(times)
print(f"dense step: {dense:.0f} ms, {dense / sparse:.1f} times the sparse one")
error = np.abs(outputs * y_train.std() + y_train.mean() - model.predict(X_train)).max() / y_train.std()
print(f"dense and sparse predictions differ by at most {error:.0e} standard deviations of the target")

# %%
# Loss, firing neurons and times as a picture.
try:
    import matplotlib.pyplot as plt
except ImportError:
    print("no plot was made: matplotlib is not installed")
else:
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(11, 3.3), layout="constrained")
    left.plot(network.loss_curve_, "k")
    left.set(xlabel="step", ylabel="loss (0.5: predicting the mean)", ylim=(0, None))
    middle.plot(100 * network.firing_fraction_curve_, "k")
    middle.set(xlabel="step", ylabel="neurons that fire on a sample (%)", ylim=(0, None))
    right.bar_label(right.bar(["sparse", "dense"], [sparse, dense], color=["0.2", "0.7"]), fmt="%.0f")
    right.set(ylabel="time per step, one thread (ms)", ylim=(0, 1.15 * max(sparse, dense)))
    figure.savefig("quickstart.png", dpi=120)
    print("the plot is in quickstart.png")
