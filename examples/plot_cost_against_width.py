"""
Cost against width
==================

What a step costs grows slower than the width, because the share of neurons that fire falls.
A `WidthCostDisplay` shows it in counts, which no other program on the machine disturbs; of a
grid search it shows what a wider network takes to fit, and what it brings.
"""

from sklearn.datasets import load_diabetes
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sksparsenn import SparseShiftedReLURegressor

X, y = load_diabetes(return_X_y=True, as_frame=True)

# %%
# Networks of 16,384 to 131,072 neurons on two features, body mass index and a blood serum
# measurement, and two exact ways to find the neurons that fire: margin lists, and a tree over
# the neurons.  Trees are for few features; the lists do not mind many.
two = StandardScaler().fit_transform(X[["bmi", "s5"]]).astype("float32")
models = [
    SparseShiftedReLURegressor(width, search=search, max_iter=10, tol=0, random_state=0).fit(two, y)
    for search in ("margin", "weights")
    for width in (16384, 32768, 65536, 131072)
]
widest = models[3]
print(f"margin lists, {widest.width:,} neurons: {widest.pairs_evaluated_curve_[1:].mean():,.0f} inner products a step;")
print(f"  all pairs are {len(two) * widest.width:,}, of which {widest.firing_fraction_curve_[-1]:.1%} fire")

# %%
# A grid search over width and the ridge that holds weights near their start.
name = "sparseshiftedreluregressor"
search = GridSearchCV(
    make_pipeline(StandardScaler(), SparseShiftedReLURegressor(random_state=0, max_iter=100)),
    {f"{name}__width": [64, 256, 1024, 4096], f"{name}__alpha": [0.1, 10.0]},
    cv=3,
)
search.fit(X, y)
print("diabetes: best", {key.removeprefix(f"{name}__"): value for key, value in search.best_params_.items()})

# %%
# Both as pictures.
try:
    import matplotlib

    matplotlib.use("Agg")

    from sksparsenn.inspection import WidthCostDisplay

    display = WidthCostDisplay.from_estimators(models, n_samples=len(two))
    display.figure_.savefig("cost_against_width.png", dpi=120)
    found = ", ".join(
        f"{label} {exponent:.2f}" for label, exponent in zip(display.labels, display.exponents_["work"], strict=True)
    )
    print(f"work grows like a power of the width, with exponent: {found}")
    display = WidthCostDisplay.from_cv_results(search)
    display.figure_.savefig("cost_of_grid_search.png", dpi=120)
    print("the plots are in cost_against_width.png and cost_of_grid_search.png")
except (ImportError, OSError) as error:
    print(f"no plot was made: {error}")
