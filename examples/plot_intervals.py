"""
Intervals beside a Gaussian process
===================================

How far to trust a prediction, on real and noisy data: standard deviations and 90 % intervals of a committee at its
defaults, and those of a Gaussian process.
"""

import warnings
from time import perf_counter

import numpy as np
from scipy.stats import norm
from sklearn.datasets import load_diabetes
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from sksparsenn import SketchedGaussNewtonRegressor

warnings.simplefilter("ignore", ConvergenceWarning)  # of kernels whose parameters end at their bounds

X, y = load_diabetes(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=1)
scaler = StandardScaler().fit(X_train)
X_train, X_test = scaler.transform(X_train), scaler.transform(X_test)
models = {
    "committee": SketchedGaussNewtonRegressor(random_state=0),
    "Gaussian process": GaussianProcessRegressor(ConstantKernel() * RBF() + WhiteKernel(), normalize_y=True),
}
found = {}
for name, model in models.items():
    start = perf_counter()
    model.fit(X_train, y_train)
    seconds = perf_counter() - start
    mean, std = model.predict(X_test, return_std=True)
    if name == "committee":
        low, high = model.predict_interval(X_test, coverage=0.9).T
    else:
        low, high = norm.interval(0.9, mean, std)
    found[name] = mean, low, high
    inside = (low <= y_test) & (y_test <= high)
    print(
        f"{name}: error {np.sqrt(np.mean((mean - y_test) ** 2)):.1f}, log-likelihood "
        f"{norm.logpdf(y_test, mean, std).mean():.3f}; {inside.mean():.0%} of {len(y_test)} patients in intervals "
        f"{np.mean(high - low):.0f} wide; fitted in {seconds:.1f} s"
    )

# %%
# Patients in the order of their predictions.  The intervals of the committee come from the residuals of patients that
# its networks left out: they assume no distribution, and are wider where networks disagree.

try:
    import matplotlib.pyplot as plt
except ImportError:
    print("no plot was made: matplotlib is not installed")
else:
    fig, axes = plt.subplots(1, 2, figsize=(10, 4), sharey=True, layout="constrained")
    for ax, (name, (mean, low, high)) in zip(axes, found.items(), strict=True):
        order, place = np.argsort(mean), np.arange(len(mean))
        inside = ((low <= y_test) & (y_test <= high))[order]
        ax.fill_between(place, low[order], high[order], alpha=0.25, linewidth=0, label="90 % interval")
        ax.plot(place, mean[order], "C0", label="prediction")
        ax.plot(place[inside], y_test[order][inside], "k.", markersize=4, label="patient")
        ax.plot(place[~inside], y_test[order][~inside], "C3x", markersize=6, label="outside")
        ax.set(title=name, xlabel="patients, by prediction")
    axes[0].set_ylabel("disease progression")
    axes[0].legend(frameon=False, loc="upper left")
    fig.savefig("intervals.png", dpi=120)
    print("the plot is in intervals.png")
