"""
A grid search over width and shift
==================================

A step of a pipeline like any other, the Gauss-Newton regressor is tuned by scikit-learn's
grid search.  Width and shift together decide how many neurons fire on a sample: the larger
the shift, the fewer of them, and the more local each one is.  The table is a surface over the
plane, measured with noise.
"""

import numpy as np
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sksparsenn import SketchedGaussNewtonRegressor

rng = np.random.default_rng(0)
X = rng.uniform(-1, 1, (800, 2))
y = np.sin(4 * X[:, 0]) * np.cos(4 * X[:, 1]) + np.hypot(*X.T) + 0.1 * rng.standard_normal(len(X))
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)

# %%
# Three-fold cross-validation of every pair; the best is fitted to all training rows.
name = "sketchedgaussnewtonregressor"
widths, shifts = [32, 64, 128, 256, 512], [0.0, 0.5, 1.0, 1.5, 2.0]
search = GridSearchCV(
    make_pipeline(StandardScaler(), SketchedGaussNewtonRegressor(cv=None, random_state=0)),
    {f"{name}__width": widths, f"{name}__shift": shifts},
    cv=3,
)
search.fit(X_train, y_train)
best = {key.removeprefix(f"{name}__"): value for key, value in search.best_params_.items()}
print(f"best: {best}, cross-validated R2 {search.best_score_:.3f}")
print(f"R2 on new rows: {search.score(X_test, y_test):.3f}")

# %%
# The scores as a table: parameters run in alphabetical order, the last fastest.
scores = search.cv_results_["mean_test_score"].reshape(len(shifts), len(widths))
print("cross-validated R2; a row for each width, a column for each shift")
print("      " + "".join(f"{shift:8.1f}" for shift in shifts))
for width, row in zip(widths, scores.T, strict=True):
    print(f"{width:6d}" + "".join(f"{score:8.3f}" for score in row))

# %%
# The scores as a heat map; a frame marks the best.
try:
    import matplotlib.pyplot as plt
except ImportError:
    print("no plot was made: matplotlib is not installed")
else:
    figure, axes = plt.subplots(figsize=(5.2, 4), layout="constrained")
    low = np.quantile(scores, 0.15)  # black from here on, so that one bad corner does not hide the rest
    image = axes.imshow(scores.T, cmap="gray", origin="lower", vmin=low, aspect="auto")
    for i, row in enumerate(scores):
        for j, score in enumerate(row):
            dark = score < (low + scores.max()) / 2
            axes.text(i, j, f"{score:.3f}", ha="center", va="center", color="w" if dark else "k", fontsize=9)
    i, j = np.unravel_index(scores.argmax(), scores.shape)
    axes.add_patch(plt.Rectangle((i - 0.5, j - 0.5), 1, 1, fill=False, edgecolor="k", linewidth=3, zorder=3))
    axes.set(xticks=range(len(shifts)), xticklabels=shifts, xlabel="shift (standard deviations of a neuron's input)")
    axes.set(yticks=range(len(widths)), yticklabels=widths, ylabel="width (neurons)")
    figure.colorbar(image, extend="min", label="cross-validated R2")
    figure.savefig("grid_search.png", dpi=120)
    print("the plot is in grid_search.png")
