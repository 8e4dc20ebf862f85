"""
Gauss-Newton steps against Adam's
=================================

A Gauss-Newton step solves a linear system and an epoch of Adam does not, so what counts is
not the error after as many steps but after the same time.  Both are shown for a surface over
the plane, measured with noise.
"""

import warnings
from time import perf_counter

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor

from sksparsenn import SketchedGaussNewtonRegressor

WIDTH, NOISE = 512, 0.1

rng = np.random.default_rng(0)
X = rng.uniform(-1, 1, (5_000, 2)).astype(np.float32)
surface = np.sin(3 * X[:, 0]) * np.cos(3 * X[:, 1]) + np.hypot(*X.T)
y = (surface - surface.mean()) / surface.std() + NOISE * rng.standard_normal(len(X))
X_train, X_test, y_train, y_test = X[:4_000], X[4_000:], y[:4_000], y[4_000:]


def error_on_new_rows(model):
    """Mean squared error; no model gets below the noise, on average."""
    return np.mean((model.predict(X_test) - y_test) ** 2)


def course(model, steps):
    """Seconds and errors of fits of more and more steps; each time is that of a whole fit, set-up included."""
    clone(model).set_params(max_iter=1).fit(X_train, y_train)  # the first call loads libraries
    seconds, errors = [], []
    for n_steps in steps:
        fitted = clone(model).set_params(max_iter=n_steps)
        start = perf_counter()
        fitted.fit(X_train, y_train)
        seconds.append(perf_counter() - start)
        errors.append(error_on_new_rows(fitted))
    return np.array(seconds), np.array(errors)


# %%
# Both train for as many steps as they are told, and neither stops early.
warnings.simplefilter("ignore", ConvergenceWarning)
iterations = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32]
newton = SketchedGaussNewtonRegressor(WIDTH, tol=0, random_state=0)
newton_seconds, newton_errors = course(newton, iterations)
epochs = [1, 2, 4, 8, 16, 32, 64, 128]
adam = MLPRegressor(hidden_layer_sizes=WIDTH, tol=0, n_iter_no_change=1000, random_state=0)
adam_seconds, adam_errors = course(adam, epochs)

print(f"mean squared error on new rows, of which about {NOISE**2:.3f} are noise; {WIDTH} neurons")
print(f"  Gauss-Newton: {newton_errors[-1]:.4f} after {iterations[-1]} iterations and {newton_seconds[-1]:.2f} s")
print(f"  Adam:         {adam_errors[-1]:.4f} after {epochs[-1]} epochs and {adam_seconds[-1]:.2f} s")
reached = np.flatnonzero(newton_errors <= adam_errors.min())
if len(reached):
    k = reached[0]
    print(f"Adam's best error, {adam_errors.min():.4f}: {iterations[k]} iterations and {newton_seconds[k]:.2f} s")

# %%
# Errors per iteration and per second as a picture.
try:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.5), sharey=True, layout="constrained")
    for axes, newton_x, adam_x in ((left, iterations, epochs), (right, newton_seconds, adam_seconds)):
        axes.loglog(newton_x, newton_errors, "ko-", markersize=4, label="Gauss-Newton")
        axes.loglog(adam_x, adam_errors, "s--", color="0.5", markersize=4, label="Adam")
        axes.axhline(NOISE**2, color="0.7", linestyle=":", label="noise")
    left.set(xlabel="iteration, or epoch of Adam", ylabel="mean squared error on new rows\n(1: predicting the mean)")
    right.set(xlabel="time to fit (s)")
    right.legend(frameon=False)
    figure.savefig("gauss_newton.png", dpi=120)
    print("the plot is in gauss_newton.png")
except (ImportError, OSError) as error:
    print(f"no plot was made: {error}")
