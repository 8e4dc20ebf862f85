"""Write small pickles of everything that is fitted, with its answers, for later versions to load: `test_pickles`.

``python tests/make_pickles.py`` writes the folder of this version below tests/pickles/: once for each release, after
which it is never written again.
"""

import json
import pickle
import platform
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
from scipy import sparse
from single_networks import (
    SketchedGaussNewtonClassifier,
    SketchedGaussNewtonRegressor,
    SparseShiftedReLUClassifier,
    SparseShiftedReLURegressor,
)

import sksparsenn
from sksparsenn import HalfSpaceIndex, MarginLists, MaxTree
from sksparsenn.ntk import ShiftedNTKFeatures, SphereLift

FOLDER = Path(__file__).parent / "pickles"
PROTOCOL = 4
METHODS = "predict", "predict_proba", "decision_function", "transform"


def table(dtype=np.float64):
    rng = np.random.RandomState(0)
    X = rng.standard_normal((60, 4)).astype(dtype)
    return X, np.sin(X[:, 0]) + X[:, 1] ** 2


def labels(names):
    return np.array(names)[np.digitize(table()[1], [0.5, 1.5][: len(names) - 1])]


def sparse_table():
    X, y = table()
    return sparse.csr_array(np.where(np.abs(X) > 0.5, X, 0)), y


def moved(index):
    """The index after changes, of which it keeps a history."""
    index.insert(table()[0][:5])
    index.delete([0, 7])
    return index


# Estimators, and what they are fitted to; the last of them goes on where training stopped.
ESTIMATORS = {
    "regressor": (SparseShiftedReLURegressor(24, max_iter=20, random_state=0), table),
    "regressor_single_precision": (
        SparseShiftedReLURegressor(24, max_iter=20, random_state=0), lambda: table(np.float32),
    ),
    "regressor_two_outputs": (
        SparseShiftedReLURegressor(24, solver="sgd", average="mean", batch_size=20, max_iter=3, random_state=0),
        lambda: (table()[0], table()[0][:, :2]),
    ),
    "regressor_sparse": (SparseShiftedReLURegressor(24, max_iter=20, random_state=0), sparse_table),
    "regressor_validated": (
        SparseShiftedReLURegressor(24, early_stopping=True, max_iter=20, random_state=0), table,
    ),
    "regressor_to_continue": (
        SparseShiftedReLURegressor(24, max_iter=5, warm_start=True, tol=0, random_state=0), table,
    ),
    "classifier": (
        SparseShiftedReLUClassifier(24, max_iter=20, random_state=0), lambda: (table()[0], labels(["a", "b", "c"])),
    ),
    "gauss_newton_regressor": (SketchedGaussNewtonRegressor(24, max_iter=4, random_state=0), table),
    "gauss_newton_to_continue": (
        SketchedGaussNewtonRegressor(24, max_iter=2, warm_start=True, tol=0, random_state=0), table,
    ),
    "gauss_newton_classifier": (
        SketchedGaussNewtonClassifier(24, max_iter=4, random_state=0), lambda: (table()[0], labels([3, 7])),
    ),
    "sphere_lift": (SphereLift(), table),
    "ntk_features": (ShiftedNTKFeatures(24, sparse_output=False, random_state=0), table),
}  # fmt: skip

# Search structures over 60 samples, or for as many weights.
INDEXES = {
    "half_space_index": lambda: moved(HalfSpaceIndex(table()[0], method="tree", leaf_size=8)),
    "half_space_scan": lambda: moved(HalfSpaceIndex(table()[0], method="scan")),
    "max_tree": lambda: MaxTree(table()[0][:6], table()[0]),
    "margin_lists": lambda: MarginLists(table()[0], table()[0][:6], 0.5),
}

NAMES = [*ESTIMATORS, *INDEXES]


def made(name):
    """The fitted object of that name."""
    if name in INDEXES:
        return INDEXES[name]()
    model, data = ESTIMATORS[name]
    return model.fit(*data())


def answers(name, fitted):
    """What it answers, an array for each question."""
    X = table()[0]
    if name in ESTIMATORS:
        X = ESTIMATORS[name][1]()[0]
        return {method: getattr(fitted, method)(X) for method in METHODS if hasattr(fitted, method)}
    if name == "max_tree":
        return {f"sample {i}": fitted.query(i, 0.5) for i in range(6)}
    arguments = (X[:6],) if name == "margin_lists" else (X[:6], 0.5)
    return dict(zip(("indptr", "indices"), fitted.query(*arguments), strict=True))


def write(folder):
    """All pickles, their answers, and the versions that made them, in a new folder."""
    folder.mkdir(parents=True)
    for name in NAMES:
        fitted = made(name)
        (folder / f"{name}.pkl").write_bytes(pickle.dumps(fitted, protocol=PROTOCOL))
        np.savez_compressed(folder / f"{name}.npz", **answers(name, fitted))
    versions = {package: version(package) for package in ("numpy", "scipy", "scikit-learn")}
    versions |= {"sksparsenn": sksparsenn.__version__, "python": platform.python_version()}
    (folder / "versions.json").write_text(json.dumps(versions, indent=1) + "\n")


if __name__ == "__main__":
    folder = FOLDER / sksparsenn.__version__
    if folder.exists():
        sys.exit(f"{folder} exists: delete it first, and only if version {sksparsenn.__version__} is not released yet.")
    write(folder)
    print(f"{len(NAMES)} pickles are in {folder}.")
