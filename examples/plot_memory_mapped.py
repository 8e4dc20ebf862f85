"""
A table that stays on disk
==========================

More than two million rows are taken in blocks: a memory-mapped file is read as training needs it, and no copy of it
is ever whole.  A sample of the rows decides the first steps, so that most of the fit sees few of them; the memory in
use is that of the blocks under way and of a few numbers for each row.  Here a table of 2.5 million rows is written to
disk and fitted from there, for a few iterations only, so that the example ends soon.
"""

# %%
# A table on disk
# ---------------

import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np

from sksparsenn import SketchedGaussNewtonRegressor

ROWS, PART, FEATURES = 2_500_000, 250_000, 6


def target(X):
    return np.sin(2 * X[:, 0]) + X[:, 1] * X[:, 2] + np.abs(X[:, 3])


folder = tempfile.TemporaryDirectory()
path = Path(folder.name) / "X.npy"
table = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(ROWS, FEATURES))
y, rng = np.empty(ROWS, dtype=np.float32), np.random.default_rng(0)
for start in range(0, ROWS, PART):
    X = rng.standard_normal((PART, FEATURES))
    table[start : start + PART] = X
    y[start : start + PART] = target(X) + 0.3 * rng.standard_normal(PART)
table.flush()
print(f"{path.stat().st_size / 1e6:.0f} MB on disk")

# %%
# A fit from the file
# -------------------
# The file is mapped, not loaded.  Rows left out, some 50,000 of them, choose where training stops.

X = np.load(path, mmap_mode="r")
begin = perf_counter()
model = SketchedGaussNewtonRegressor(width=128, max_iter=14, random_state=0).fit(X, y)
rng = np.random.default_rng(1)
X_new = rng.standard_normal((20_000, FEATURES)).astype(np.float32)
error = np.mean((model.predict(X_new) - target(X_new)) ** 2)
print(
    f"{model.n_iter_} iterations in {perf_counter() - begin:.0f} s, the last on {model.rows_curve_[-1]:,} rows; "
    f"mean squared error beside the noise, whose variance is 0.09: {error:.4f}"
)
del X
folder.cleanup()

# %%
# Rows in the sums
# ----------------

try:
    import matplotlib.pyplot as plt
except ImportError:
    print("no plot was made: matplotlib is not installed")
else:
    figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
    iterations = np.arange(1, model.n_iter_ + 1)
    ax.step(iterations, model.rows_curve_, where="mid", color="black", label="rows in the sums")
    ax.axhline(ROWS, color="black", linestyle=":", label="rows of the table")
    ax.set(yscale="log", xlabel="iteration", ylabel="rows", title="Rows grow as the ridge falls")
    ax.legend(frameon=False)
    figure.savefig("memory_mapped.png", dpi=120)
    print("the plot is in memory_mapped.png")
