"""Test error and fit time of settings of the regressor on regression sets: how the defaults were chosen.

python -m benchmarks.defaults --data FOLDER [--splits 2]

FOLDER holds regression sets as described in `benchmarks.common.load_split`.  Features are
standardised; float32.  scikit-learn's MLPRegressor, at its defaults, runs beside.
"""

import argparse
import warnings
from time import perf_counter

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.common import load_split, rounded, set_names, write_table
from sksparsenn import SparseShiftedReLURegressor

# Each differs from the defaults in what its name says.
SETTINGS = {
    "defaults": {},
    "width 256": {"width": 256},
    "width 4096": {"width": 4096},
    "shift 1": {"shift": 1.0},
    "shift 2": {"shift": 2.0},
    "output_scale 1": {"output_scale": 1.0},
    "output_scale 5": {"output_scale": 5.0},
    "momentum 0.9": {"momentum": 0.9},
    "momentum 0.95": {"momentum": 0.95},
    "max_iter 200": {"max_iter": 200},
    "alpha 0": {"alpha": 0.0},
    "alpha 0.03": {"alpha": 0.03},
    "init gaussian": {"init": "gaussian"},
    "solver sgd": {"solver": "sgd", "max_iter": 100},
    "solver sgd, momentum 0.9": {"solver": "sgd", "max_iter": 100, "momentum": 0.9},
    "solver sgd, momentum 0": {"solver": "sgd", "max_iter": 100, "momentum": 0.0},
}


def models():
    yield "MLPRegressor", MLPRegressor(random_state=0)
    for name, setting in SETTINGS.items():
        yield name, SparseShiftedReLURegressor(random_state=0, **setting)


def evaluate(model, X, y, X_test, y_test):
    """Test RMSE and seconds."""
    model = make_pipeline(StandardScaler(), model)
    start = perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # MLPRegressor's defaults stop after 200 epochs
        model.fit(X.astype(np.float32), y)
    seconds = perf_counter() - start
    return np.sqrt(np.mean((model.predict(X_test.astype(np.float32)) - y_test) ** 2)), seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder of regression sets")
    parser.add_argument("--sets", nargs="*", help="names of the sets; all in the folder by default")
    parser.add_argument("--splits", type=int, default=2)
    arguments = parser.parse_args()
    names = arguments.sets or set_names(arguments.data)
    splits = {name: [load_split(arguments.data, name, k) for k in range(arguments.splits)] for name in names}
    rows = []
    for setting, model in models():
        row = {"setting": setting}
        for name in names:
            scores = np.array([evaluate(model, *split) for split in splits[name]])
            row[f"{name} rmse"], row[f"{name} s"] = (rounded(value) for value in scores.mean(axis=0))
        rows.append(row)
        print(row, flush=True)
    write_table("defaults", rows)


if __name__ == "__main__":
    main()
