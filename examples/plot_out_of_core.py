"""
Training on a table larger than memory
======================================

``partial_fit`` takes one part of a table at a time and keeps nothing of it: weights, their velocity and a few
numbers are all there is.  Here a table of 200,000 rows is written to disk, and read back in parts of 5,000.  The
neurons that fire on a part are found exactly, by an index over the weights where features are few, else by a scan.
"""

# %%
# A table on disk
# ---------------

import tempfile
from pathlib import Path

import numpy as np
from sklearn.preprocessing import StandardScaler

from sksparsenn import SparseShiftedReLURegressor

ROWS, PART, FEATURES = 200_000, 5_000, 8


def target(X):
    return np.sin(2 * X[:, 0]) + X[:, 1] * X[:, 2] + np.abs(X[:, 3])


folder = tempfile.TemporaryDirectory()
path = Path(folder.name) / "table.npy"
table = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(ROWS, FEATURES + 1))
rng = np.random.default_rng(0)
for start in range(0, ROWS, PART):
    X = rng.standard_normal((PART, FEATURES))
    table[start : start + PART, :-1] = 3 * X + 5
    table[start : start + PART, -1] = target(X) + 0.3 * rng.standard_normal(PART)
table.flush()
print(f"{path.stat().st_size / 1e6:.0f} MB on disk, read {PART * (FEATURES + 1) * 4 / 1e3:.0f} kB at a time")

# %%
# One pass, part by part
# ----------------------
# The scaler learns from each part before the network sees it.  Every part is predicted first and learnt from
# afterwards, so that the errors are those on rows never seen.

table = np.load(path, mmap_mode="r")
scaler = StandardScaler()
model = SparseShiftedReLURegressor(1024, solver="sgd", batch_size=100, random_state=0)
seen, errors = [], []
for start in range(0, ROWS, PART):
    part = np.array(table[start : start + PART])
    X, y = part[:, :-1], part[:, -1]
    X = scaler.partial_fit(X).transform(X)
    if start:
        seen.append(start)
        errors.append(np.mean((model.predict(X) - y) ** 2))
    model.partial_fit(X, y)
print(
    f"mean squared error on new rows: {errors[0]:.3f} after {seen[0]:,} rows, {errors[-1]:.3f} after {seen[-1]:,} "
    f"(noise alone: 0.09); {model.search_} search, {model.firing_fraction_curve_[-1]:.1%} of the pairs fire"
)
folder.cleanup()

# %%
# The error on rows never seen
# ----------------------------

try:
    import matplotlib.pyplot as plt
except ImportError:
    print("no plot was made: matplotlib is not installed")
else:
    figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
    ax.loglog(seen, errors, color="black", label="next part, before learning from it")
    ax.axhline(0.09, color="black", linestyle=":", label="noise")
    ax.set(xlabel="rows learnt from", ylabel="mean squared error", title="A stream of 200,000 rows")
    ax.legend(frameon=False)
    figure.savefig("out_of_core.png", dpi=120)
    print("the plot is in out_of_core.png")
