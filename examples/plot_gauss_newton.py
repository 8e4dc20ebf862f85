"""
Gauss-Newton steps against Adam's
=================================

A Gauss-Newton step solves a linear system and an epoch of Adam does not, so what counts is not the error after as many
steps but after the same time.  Both are shown for a surface over the plane, measured with noise.
"""

# %%
# Fits of more and more steps
# ---------------------------
# Both train networks of 512 neurons for a given number of steps, and neither stops early.  Gauss-Newton has no
# learning rate to choose; Adam is shown with its default of 0.001 and two larger ones.

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
    return steps, np.array(seconds), np.array(errors)


warnings.simplefilter("ignore", ConvergenceWarning)
newton = SketchedGaussNewtonRegressor(
    WIDTH, alpha=0.002, output_scale=1.0, linear_part=False, cv=None, tol=0, random_state=0
)
courses = {"Gauss-Newton": course(newton, [1, 2, 3, 4, 6, 8, 12, 16, 24, 32])}
for rate in (0.001, 0.01, 0.03):
    adam = MLPRegressor(hidden_layer_sizes=WIDTH, learning_rate_init=rate, tol=0, n_iter_no_change=1000, random_state=0)
    courses[f"Adam, rate {rate}"] = course(adam, [2, 8, 32, 128])

print(f"mean squared error on new rows, of which about {NOISE**2:.3f} are noise; {WIDTH} neurons")
for name, (steps, seconds, errors) in courses.items():
    print(f"  {name:16s}: {errors[-1]:.4f} after {steps[-1]:3d} steps or epochs and {seconds[-1]:.2f} s")
best = min(errors.min() for name, (_, _, errors) in courses.items() if name.startswith("Adam"))
steps, seconds, errors = courses["Gauss-Newton"]
reached = np.flatnonzero(errors <= best)
if len(reached):
    k = reached[0]
    print(f"Adam's best error, {best:.4f}, takes Gauss-Newton {steps[k]} steps and {seconds[k]:.2f} s")

# %%
# Error against steps and against time
# ------------------------------------
# For the first steps Adam with a large rate is ahead.  Then the error of Gauss-Newton falls faster, and it comes to the
# best that Adam reaches in a fraction of Adam's time.  That is so for a few thousand rows of a smooth surface.  With
# more rows and neurons a step costs more, and Adam can be the faster of the two.

try:
    import matplotlib.pyplot as plt
except ImportError:
    print("no plot was made: matplotlib is not installed")
else:
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.8), sharey=True, layout="constrained")
    for (name, (steps, seconds, errors)), style in zip(courses.items(), ("o-", "s--", "^-.", "D:"), strict=True):
        color = "k" if name == "Gauss-Newton" else "0.5"
        for ax, along in zip(axes, (steps, seconds), strict=True):
            ax.loglog(along, errors, style, color=color, markersize=4, label=name)
    for ax, label in zip(axes, ("iteration, or epoch of Adam", "time to fit (s)"), strict=True):
        ax.axhline(NOISE**2, color="0.7", label="noise")
        ax.set(xlabel=label)
    axes[0].set(ylabel="mean squared error on new rows\n(1: predicting the mean)")
    figure.legend(*axes[0].get_legend_handles_labels(), frameon=False, loc="outside upper center", ncols=5)
    figure.savefig("gauss_newton.png", dpi=120)
    print("the plot is in gauss_newton.png")
