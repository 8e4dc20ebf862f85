"""
Sensitivity of a surrogate
==========================

Which inputs of a model matter, and how does that change from place to place?  A surrogate is fitted to 500 runs of the
borehole function, which has eight inputs.  Its exact gradients, squared and averaged over the inputs, are
derivative-based global sensitivity measures: they bound the share of the variance that an input has a hand in.
"""

import numpy as np
from sklearn.preprocessing import StandardScaler

from sksparsenn import SketchedGaussNewtonRegressor

NAMES = ["well radius", "influence radius", "upper transmissivity", "upper head", "lower transmissivity", "lower head",
         "length", "conductivity"]  # fmt: skip
LOW = np.array([0.05, 100.0, 63070.0, 990.0, 63.1, 700.0, 1120.0, 9855.0])
HIGH = np.array([0.15, 50000.0, 115600.0, 1110.0, 116.0, 820.0, 1680.0, 12045.0])


def borehole(x):
    """The flow of water through a borehole [Harper and Gupta 1983], in cubic metres a year."""
    radius, influence, upper, upper_head, lower, lower_head, length, conductivity = x.T
    log_ratio = np.log(influence / radius)
    friction = 2 * length * upper / (log_ratio * radius**2 * conductivity)
    return 2 * np.pi * upper * (upper_head - lower_head) / (log_ratio * (1 + friction + upper / lower))


rng = np.random.default_rng(0)
x, x_new = rng.uniform(LOW, HIGH, (500, 8)), rng.uniform(LOW, HIGH, (5000, 8))
scaler = StandardScaler().fit(x)
# A linear part would be constant beyond the range of the first runs, and so have no gradient at the edges.
model = SketchedGaussNewtonRegressor(linear_part=False, random_state=0).fit(scaler.transform(x), borehole(x))
print(f"R2 of the surrogate on new runs: {model.score(scaler.transform(x_new), borehole(x_new)):.5f}")

# Gradients in inputs that go from 0 to 1 over their ranges.
gradients = model.predict_gradient(scaler.transform(x_new)) / scaler.scale_ * (HIGH - LOW)
step = 1e-4 * (HIGH - LOW)
true = np.stack(
    [(borehole(x_new + move) - borehole(x_new - move)) / 2e-4 for move in np.diag(step)], axis=1
)  # fmt: skip
error = np.sqrt(np.mean((gradients - true) ** 2) / np.mean(true**2))
print(f"error of its gradients: {error:.1%} of their root mean square")
measure, exact = (np.mean(values**2, axis=0) / np.pi**2 / borehole(x_new).var() for values in (gradients, true))
for name, ours, theirs in zip(NAMES, measure, exact, strict=True):
    print(f"{name}: {ours:.4f}, of the function itself {theirs:.4f}")

# %%
# Mean square gradients over pi^2 and the variance, upper bounds of total Sobol' indices for uniform inputs [Sobol' and
# Kucherenko 2009]; and the gradient in the well radius against that radius.

try:
    import matplotlib.pyplot as plt
except ImportError:
    print("no plot was made: matplotlib is not installed")
else:
    fig, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    place = np.arange(len(NAMES))
    axes[0].barh(place - 0.2, measure, 0.4, label="surrogate")
    axes[0].barh(place + 0.2, exact, 0.4, label="function", color="0.6")
    axes[0].set(yticks=place, yticklabels=NAMES, xlabel="bound of the share of the variance")
    axes[0].invert_yaxis()
    axes[0].legend(frameon=False, loc="center right")
    axes[1].plot(x_new[:, 0], gradients[:, 0], ".", markersize=2, label="surrogate")
    axes[1].plot(x_new[:, 0], true[:, 0], ".", markersize=1, color="0.6", label="function")
    axes[1].set(xlabel="well radius, metres", ylabel="flow against the well radius, over its range")
    axes[1].legend(frameon=False, markerscale=5)
    fig.savefig("sensitivity.png", dpi=120)
    print("the plot is in sensitivity.png")
