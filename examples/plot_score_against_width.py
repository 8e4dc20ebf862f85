"""
What a wider network brings
===========================

A grid search over the width and the ridge that holds the weights near their start, drawn by ``WidthCostDisplay``: what
a wider network takes to fit, and what it brings.
"""

# %%
# The diabetes data
# -----------------
# 442 rows with much noise.  With a weak ridge the networks fit the noise.  With a strong one they are about as good as
# a linear model, and a wide network is no worse than a narrow one: it takes longer, and brings nothing here.

from sklearn.datasets import load_diabetes
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sksparsenn import SparseShiftedReLURegressor
from sksparsenn.inspection import WidthCostDisplay

X, y = load_diabetes(return_X_y=True)
name = "sparseshiftedreluregressor"
search = GridSearchCV(
    make_pipeline(StandardScaler(), SparseShiftedReLURegressor(cv=None, random_state=0, max_iter=200)),
    {f"{name}__width": [64, 256, 1024, 4096], f"{name}__alpha": [0.01, 1.0]},
    cv=3,
)
search.fit(X, y)
best = {key.removeprefix(f"{name}__"): value for key, value in search.best_params_.items()}
print(f"best: {best}, cross-validated R2 {search.best_score_:.3f}")
linear = cross_val_score(make_pipeline(StandardScaler(), RidgeCV()), X, y, cv=3).mean()
print(f"linear ridge regression: {linear:.3f}")

# %%
# Time and score
# --------------
# The bars are standard deviations over the three folds, which differ in how hard they are.

try:
    display = WidthCostDisplay.from_cv_results(search)
except ImportError as error:
    print(f"no plot was made: {error}")
else:
    display.axes_[1].axhline(linear, color="0.5", linestyle=":", label="linear ridge")
    display.axes_[1].legend(frameon=False, fontsize="small")
    display.figure_.savefig("score_against_width.png", dpi=120)
    print("the plot is in score_against_width.png")
