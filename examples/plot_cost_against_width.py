"""
Cost against width
==================

What a step of gradient descent costs grows slower than the width, because the share of neurons that fire falls.  Here
it is measured on 4,000 rows of Friedman's function: in counts, which no other program on the machine disturbs, and in
time, beside the same step computed for all pairs of a neuron and a sample.
"""

# %%
# Twenty steps at every width
# ---------------------------
# Margin lists keep, for each neuron, the samples near its threshold; a step looks at those alone.  ``search="brute"``
# looks at all pairs and then computes with those that fire.  Both find the same neurons, so that training is the same.
# Times are those of whole fits over their steps, set-up included.  They are taken on one thread, and are processor
# times, the better of two: what other programs on the machine add is small.

from time import process_time

import numpy as np
from sklearn.datasets import make_friedman1
from threadpoolctl import threadpool_limits  # comes with scikit-learn

from sksparsenn import SparseShiftedReLURegressor
from sksparsenn.inspection import WidthCostDisplay
from sksparsenn.ntk import SphereLift

STEPS = 20
X, y = make_friedman1(4_000, n_features=10, noise=1.0, random_state=0)
X = X.astype(np.float32)
widths = 2 ** np.arange(9, 16)


def best_time(function, *arguments):
    """Milliseconds of processor time of the faster of two calls, on one thread."""
    times = []
    with threadpool_limits(1):
        for _ in range(2):
            start = process_time()
            function(*arguments)
            times.append(1e3 * (process_time() - start))
    return min(times)


models, times = {}, {}
for search in ("margin", "brute"):
    models[search] = [
        SparseShiftedReLURegressor(
            int(width), search=search, cv=None, linear_part=False, max_iter=STEPS, tol=0, random_state=0
        )
        for width in widths
    ]
    times[search] = [best_time(model.fit, X, y) / STEPS for model in models[search]]
apart = max(np.abs(a.hidden_weights_ - b.hidden_weights_).max() for a, b in zip(*models.values(), strict=True))
print(f"weights after training with either search are at most {apart:.0e} apart")

# %%
# The same step, dense
# --------------------
# Outputs and gradient from all pairs, by products with the 0/1 matrix of who fires, in chunks that fit into the cache.


def dense_step(model, X, y):
    W, signs, shift = model.hidden_weights_, model.output_weights_, X.dtype.type(model.shift_)
    scale = X.dtype.type(model.output_scale / np.sqrt(model.width))
    signed, gradient = signs * np.column_stack([W, np.full(len(W), -shift)]), np.zeros_like(W)
    chunk = max(64, 2**21 // len(W))
    for x, target in ((X[k : k + chunk], y[k : k + chunk]) for k in range(0, len(X), chunk)):
        fires = (x @ W.T > shift).astype(X.dtype)
        sums = fires @ signed
        outputs = scale * ((sums[:, :-1] * x).sum(axis=1) + sums[:, -1])
        gradient += fires.T @ ((outputs - target)[:, None] * x)
    return scale / len(X) * signs * gradient


Z, target = SphereLift().fit_transform(X), ((y - y.mean()) / y.std()).astype(X.dtype)
times["dense"] = [best_time(dense_step, model, Z, target) for model in models["margin"]]
for width, margin, brute, dense in zip(widths, *times.values(), strict=True):
    print(f"{width:6,d} neurons: {margin:6.2f} ms a step with margin lists, {brute:6.2f} scanning, {dense:7.2f} dense")

# %%
# Counts and times
# ----------------
# Legends hold exponents, slopes of log cost against log width; those of the times are of 4,096 neurons and more.  In
# narrow networks the lists save little or nothing over a scan.

try:
    import matplotlib.pyplot as plt
except ImportError:
    print("no plot was made: matplotlib is not installed")
else:
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    WidthCostDisplay.from_estimators(models["margin"], n_samples=len(X), ax=left, line_kw={"color": "k"})
    for (name, values), style in zip(times.items(), ("o-", "s-.", "^--"), strict=True):
        slope, color = np.polyfit(np.log(widths[3:]), np.log(values[3:]), 1)[0], "0.5" if name == "brute" else "k"
        right.loglog(widths, values, style, color=color, markersize=4, label=f"{name}: width$^{{{slope:.2f}}}$")
    right.set(xlabel="width (neurons)", ylabel="processor time of a step, one thread (ms)")
    right.set_xticks(widths, [f"{width:,}" for width in widths])
    right.minorticks_off()
    right.legend(frameon=False, fontsize="small", loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    figure.savefig("cost_against_width.png", dpi=120)
    print("the plot is in cost_against_width.png")
