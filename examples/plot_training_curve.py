"""
The course of training
======================

Gradient descent and Gauss-Newton train the same network to Friedman's function, and stop
when the score on samples held out no longer rises.  A ``TrainingCurveDisplay`` shows what each
iteration left: the objective, that score, how many neurons fire on a sample, and what it took
to find them.
"""

from sklearn.datasets import make_friedman1
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sksparsenn import SketchedGaussNewtonRegressor, SparseShiftedReLURegressor
from sksparsenn.inspection import TrainingCurveDisplay

X, y = make_friedman1(3_000, n_features=8, noise=1.0, random_state=0)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)

common = {"width": 512, "shift": 1.5, "cv": None, "early_stopping": True, "random_state": 0}
descent = make_pipeline(StandardScaler(), SparseShiftedReLURegressor(**common))
newton = make_pipeline(StandardScaler(), SketchedGaussNewtonRegressor(**common, max_iter=60))
for name, model in (("gradient descent", descent), ("Gauss-Newton", newton)):
    model.fit(X_train, y_train)
    network = model[-1]
    print(
        f"{name}: {network.n_iter_} iterations, best after {network.best_iteration_}; "
        f"test R2 {model.score(X_test, y_test):.3f}; stopped by {network.stop_reason_!r}"
    )

# %%
# The margin lists of both evaluate a part of all pairs only.
n_pairs = 0.9 * len(X_train) * common["width"]  # a tenth is held out
for name, model in (("gradient descent", descent), ("Gauss-Newton", newton)):
    evaluated = model[-1].pairs_evaluated_curve_[1:].mean()
    print(f"{name}: an iteration evaluates {evaluated / n_pairs:.0%} of the {n_pairs:,.0f} pairs on average")

# %%
# Curves of one model, and those of the other drawn into the same axes.
try:
    display = TrainingCurveDisplay.from_estimator(descent, name="gradient descent")
except ImportError as error:
    print(f"no plot was made: {error}")
else:
    TrainingCurveDisplay.from_estimator(newton, name="Gauss-Newton", ax=display.axes_)
    for axes in display.axes_:
        axes.set_xscale("log")
    display.axes_[1].set_ylim(bottom=0.3)  # room for the legend
    display.figure_.savefig("training_curve.png", dpi=120)
    print("the plot is in training_curve.png")
