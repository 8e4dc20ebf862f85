"""Golden fits: the error and the counted work of small seeded fits stay within bands around what they once were.

A band sees a loss of quality by a few per cent, or a tenth more work, that no other test would.  It is wide enough for
the rounding of other processors and other versions of NumPy and SciPy: RECORDED holds means over copies of the tables
that are disturbed in their last bits, and the bands are about twice as wide as what that changes.  It changes hardly
anything but where Gauss-Newton's steps are found by iterations that stop early: there, more seeds are fitted, by a
fixed number of steps where rounding decides whether an early step gains so little that it ends a fit.

To renew RECORDED after a change that is meant to alter results, run ``python tests/test_golden_fits.py``, which prints
it, and the least and the largest of what it found, for the code of the day.  Say in the commit message what has changed
and why.  Never renew it to end a failure that is not understood.
"""

import numpy as np
import pytest
from scipy import sparse
from single_networks import (
    SketchedGaussNewtonClassifier,
    SketchedGaussNewtonRegressor,
    SparseShiftedReLUClassifier,
    SparseShiftedReLURegressor,
)
from sklearn.base import clone, is_classifier
from sklearn.datasets import load_diabetes, make_classification, make_friedman1, make_friedman2

# ---------------------------------------------------------------------------------------
# Tables: training samples first, then those to test on
# ---------------------------------------------------------------------------------------


def friedman1(seed, n=2300, dtype=np.float64):
    X, y = make_friedman1(n, noise=0.5, random_state=seed)
    return X.astype(dtype), y


def friedman2(seed):
    X, y = make_friedman2(2300, noise=50.0, random_state=seed)
    return X / X.std(axis=0), y


def three_classes(seed):
    return make_classification(2300, 10, n_informative=6, n_classes=3, class_sep=1.5, random_state=seed)


def diabetes(seed):
    X, y = load_diabetes(return_X_y=True)
    order = np.random.RandomState(seed).permutation(len(X))
    return X[order], y[order]


def texts(seed):
    """Counts of 40 words from mixtures of six topics over 500 words; the class is the main topic."""
    rng = np.random.RandomState(seed)
    topics = rng.dirichlet(np.full(500, 0.05), 6)
    mixtures = rng.dirichlet(np.full(6, 0.3), 2300)
    counts = np.array([rng.multinomial(40, mixture @ topics) for mixture in mixtures])
    return sparse.csr_array(np.log1p(counts)), mixtures.argmax(axis=1)


def two_outputs(seed):
    rng = np.random.RandomState(seed)
    X = rng.standard_normal((2300, 6))
    y = np.column_stack([np.sin(2 * X[:, 0]) + X[:, 1] * X[:, 2], np.abs(X[:, 3]) + X[:, 4]])
    return X, y + 0.1 * rng.standard_normal(y.shape)


# ---------------------------------------------------------------------------------------
# Fits
# ---------------------------------------------------------------------------------------

# Estimator, table, training samples, seeds.
FITS = {
    "gradient descent": (SparseShiftedReLURegressor(), diabetes, 300, 2),
    "single precision": (
        SparseShiftedReLURegressor(512, max_iter=250), lambda seed: friedman1(seed, dtype=np.float32), 300, 2,
    ),
    "groups of samples": (SparseShiftedReLURegressor(256, max_iter=100), lambda seed: friedman1(seed, 4500), 2500, 1),
    "stochastic": (SparseShiftedReLURegressor(512, solver="sgd", max_iter=60), friedman2, 300, 2),
    "index of the samples": (SparseShiftedReLURegressor(256, search="data", max_iter=60), friedman2, 300, 2),
    "two outputs": (SparseShiftedReLURegressor(256, max_iter=200), two_outputs, 300, 2),
    "classifier": (SparseShiftedReLUClassifier(512, max_iter=200), three_classes, 300, 2),
    "sparse classifier": (SparseShiftedReLUClassifier(256, loss="log_loss", max_iter=60), texts, 300, 1),
    "gauss-newton": (SketchedGaussNewtonRegressor(512), friedman2, 300, 3),
    "gauss-newton, nystrom": (
        SketchedGaussNewtonRegressor(256, solver="nystrom", max_iter=12, tol=0), friedman1, 300, 6,
    ),
    "gauss-newton, sketch": (
        SketchedGaussNewtonRegressor(32, solver="sketch", search="max_tree", max_iter=15), friedman1, 300, 4,
    ),
    "gauss-newton classifier": (SketchedGaussNewtonClassifier(), three_classes, 300, 6),
}  # fmt: skip

WORK = {
    "pairs": "pairs_evaluated_curve_",
    "nodes": "nodes_visited_curve_",
    "rescans": "neurons_rescanned_curve_",
    "inner": "inner_iterations_curve_",
}

# In this order; the numbers are means over seeds.
QUANTITIES = ["error", "n_iter", *WORK]
RECORDED = {
    "gradient descent": (0.79701, 274, 8980100, 0, 9274.5, 0),
    "single precision": (0.26726, 250, 5123000, 0, 4415.9, 0),
    "groups of samples": (0.16634, 100, 9755500, 258470, 2036, 0),
    "stochastic": (0.16984, 46, 6884100, 0, 0, 0),
    "index of the samples": (0.15729, 60, 4608000, 0, 15360, 0),
    "two outputs": (0.25827, 200, 2554000, 0, 2274.5, 0),
    "classifier": (0.0685, 200, 4772200, 0, 5533.5, 0),
    "sparse classifier": (0.1555, 60, 1556000, 0, 1776, 0),
    "gauss-newton": (0.17649, 30, 1294400, 0, 2679.3, 0),
    "gauss-newton, nystrom": (0.35511, 12, 499890, 0, 1150.8, 178.7),
    "gauss-newton, sketch": (0.31812, 15, 110850, 165580, 0, 844.33),
    "gauss-newton classifier": (0.08205, 6, 337440, 0, 879.73, 106.67),
}

# Relative half widths: of the error and of all else.
BAND = 0.03, 0.05
WIDER = {"gauss-newton, nystrom": (0.08, 0.07), "gauss-newton classifier": (0.06, 0.05)}


def error(model, X, y):
    """The share of wrong labels, or the root mean square error in standard deviations of y, over all outputs."""
    if is_classifier(model):
        return 1 - model.score(X, y)
    return float(np.sqrt(np.mean(((model.predict(X) - y) / y.std(axis=0)) ** 2)))


def measured(name, change=lambda X: X):
    """Error, iterations and work of a fit, as means over its seeds."""
    model, table, n_train, seeds = FITS[name]
    found = []
    for seed in range(seeds):
        X, y = table(seed)
        X = change(X)
        fitted = clone(model).set_params(random_state=seed).fit(X[:n_train], y[:n_train])
        work = [int(np.sum(getattr(fitted, curve, 0))) for curve in WORK.values()]
        found.append([error(fitted, X[n_train:], y[n_train:]), fitted.n_iter_, *work])
    return dict(zip(QUANTITIES, np.mean(found, axis=0).tolist(), strict=True))


@pytest.mark.parametrize("name", FITS)
def test_error_and_work_are_as_recorded(name):
    found = measured(name)
    of_error, of_work = WIDER.get(name, BAND)
    for quantity, recorded in zip(QUANTITIES, RECORDED[name], strict=True):
        band = of_error if quantity == "error" else of_work
        assert found[quantity] == pytest.approx(recorded, rel=band, abs=0), quantity


# ---------------------------------------------------------------------------------------
# By hand
# ---------------------------------------------------------------------------------------


def disturbed(X, rng):
    """X with every number changed by a few units in its last place, as other rounding would change what follows."""
    if sparse.issparse(X):
        return sparse.csr_array((disturbed(X.data, rng), X.indices, X.indptr), shape=X.shape)
    return (X * (1 + 4 * np.finfo(X.dtype).eps * rng.standard_normal(X.shape))).astype(X.dtype)


def renewed(name, copies=10):
    """Quantities of disturbed copies: their means, and the least and the largest in relation to the mean."""
    rng = np.random.RandomState(0)
    found = np.array([list(measured(name, lambda X: disturbed(X, rng)).values()) for _ in range(copies)])
    means = found.mean(axis=0)
    spread = np.where(means > 0, np.array([found.min(axis=0), found.max(axis=0)]) / np.maximum(means, 1e-300) - 1, 0)
    return means, spread


if __name__ == "__main__":
    print("RECORDED = {")
    for name in FITS:
        means, (least, largest) = renewed(name)
        numbers = ", ".join(f"{mean:.5g}" if mean < 1e5 else str(round(mean)) for mean in means)
        print(f'    "{name}": ({numbers}),')
        print("    #", ", ".join(f"{low:+.1%} to {high:+.1%}" for low, high in zip(least, largest, strict=True)))
    print("}")
