"""
A ridge path
============

`alpha="auto"` of Gauss-Newton starts with a large ridge and lets it fall before every iteration.  Here a path is walked
by hand, by warm starts, to see what happens along it: on a noisy table and on one with little noise.  Rows held out
tell where to stop, and that is at very different ridges.
"""

import warnings

import numpy as np
from sklearn.datasets import load_diabetes, make_friedman1
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from sksparsenn import SketchedGaussNewtonRegressor

warnings.simplefilter("ignore", ConvergenceWarning)  # ten steps for each ridge, and then the next
ALPHAS = 10 * 0.6 ** np.arange(24)


def walk(X, y):
    """Errors on training rows and on rows held out, and how far neurons have travelled, after a few steps per ridge."""
    X_train, X_held_out, y_train, y_held_out = train_test_split(X, y, random_state=0)
    scaler = StandardScaler().fit(X_train)
    X_train, X_held_out = scaler.transform(X_train), scaler.transform(X_held_out)
    model = SketchedGaussNewtonRegressor(
        cv=None, early_stopping=False, linear_part=False, warm_start=True, max_iter=10, random_state=0
    )
    training, held_out, travelled = [], [], []
    for alpha in ALPHAS:
        model.set_params(alpha=alpha).fit(X_train, y_train)
        training.append(1 - model.score(X_train, y_train))
        held_out.append(1 - model.score(X_held_out, y_held_out))
        steps = np.linalg.norm(model.hidden_weights_ - model.initial_weights_, axis=1)
        travelled.append(steps.mean() / np.linalg.norm(model.initial_weights_, axis=1).mean())
    return training, held_out, travelled


tables = {
    "diabetes, much noise": load_diabetes(return_X_y=True),
    "Friedman's function, little noise": make_friedman1(1000, noise=0.3, random_state=0),
}
paths = {}
for name, (X, y) in tables.items():
    paths[name] = walk(X, y)
    best = int(np.argmin(paths[name][1]))
    print(
        f"{name}: on rows held out best at alpha {ALPHAS[best]:.2g}, where neurons have travelled "
        f"{paths[name][2][best]:.0%} of their length; squared error {paths[name][1][best]:.3f} of the variance there, "
        f"{paths[name][1][-1]:.3f} at the end of the path"
    )

# %%
# Along the path the training error falls all the way.  The error on rows held out falls, passes its best and, with
# noise, rises again.  The default does this once, with a single step for each ridge, and for each of five networks.

try:
    import matplotlib.pyplot as plt
except ImportError:
    print("no plot was made: matplotlib is not installed")
else:
    fig, axes = plt.subplots(2, 2, figsize=(9, 6), sharex=True, layout="constrained")
    for (above, below), (name, (training, held_out, travelled)) in zip(axes.T, paths.items(), strict=True):
        above.plot(ALPHAS, training, "C0--", label="training rows")
        above.plot(ALPHAS, held_out, "C1", label="rows held out")
        best = int(np.argmin(held_out))
        above.plot(ALPHAS[best], held_out[best], "C1*", markersize=13, markeredgecolor="k", label="best")
        above.set(title=name, yscale="log")
        below.plot(ALPHAS, travelled, "C2")
        below.axvline(ALPHAS[best], color="0.6", linewidth=0.8)
        below.set(xscale="log", yscale="log", xlabel="ridge (alpha), falling to the right")
    axes[0, 0].invert_xaxis()  # all share it
    axes[0, 0].set_ylabel("squared error / variance")
    axes[1, 0].set_ylabel("neurons have travelled\n(share of their length)")
    axes[0, 0].legend(frameon=False)
    fig.savefig("ridge_path.png", dpi=120)
    print("the plot is in ridge_path.png")
