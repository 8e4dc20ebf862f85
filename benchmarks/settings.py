"""Test error and fit time of settings of the regressors on regression sets: how their defaults were chosen.

python -m benchmarks.settings --data FOLDER [--families first_order gauss_newton] [--splits 2] [--rows 2000]

FOLDER holds regression sets as described in `benchmarks.common.load_split`.  Of longer parts,
--rows and --test-rows rows are drawn at random, the same ones for all.  Features and targets are
standardised; float32.  scikit-learn's MLPRegressor, at its defaults, runs beside.  Errors are
means over splits, seconds and peak memory medians.  "ratio" is the geometric mean over sets of the
error in units of that of the defaults, "worst ratio" the largest, "fit ratio" the median over sets
of the ratio of seconds.
"""

from statistics import median

import numpy as np
from sklearn.base import clone

from benchmarks.common import argument_parser, rounded, set_names
from benchmarks.defaults import load
from benchmarks.figures import numbers, panels, plain
from benchmarks.models import FIRST_ORDER, GAUSS_NEWTON, MODELS, Model, evaluate
from benchmarks.tables import write_table

# Each differs from the defaults in what its name says; some name a default, and are not fitted again.
FIRST_ORDER_SETTINGS = {
    "defaults": {},
    "width 256": {"width": 256},
    "width 512": {"width": 512},
    "width 4096": {"width": 4096},
    "shift 1": {"shift": 1.0},
    "shift 2": {"shift": 2.0},
    "output_scale 0.5": {"output_scale": 0.5},
    "output_scale 2": {"output_scale": 2.0},
    "one network": {"cv": None},
    "no linear part": {"linear_part": False},
    "3 folds": {"cv": 3},
    "n_iter_no_change 20": {"n_iter_no_change": 20},
    "max_iter 500": {"max_iter": 500},
    "momentum 0.9": {"momentum": 0.9},
    "alpha 0.003": {"alpha": 0.003},
    "init gaussian": {"init": "gaussian"},
    "solver sgd": {"solver": "sgd", "max_iter": 100},
    "solver sgd, momentum 0.9": {"solver": "sgd", "max_iter": 100, "momentum": 0.9},
}
GAUSS_NEWTON_SETTINGS = {
    "defaults": {},
    "width 256": {"width": 256},
    "width 512": {"width": 512},
    "width 1024": {"width": 1024},
    "alpha 0.001": {"alpha": 1e-3},
    "alpha 0.01": {"alpha": 1e-2},
    "alpha 0.1": {"alpha": 1e-1},
    "alpha 1": {"alpha": 1.0},
    "one network": {"cv": None},
    "10 folds": {"cv": 10},
    "no linear part": {"linear_part": False},
    "3 folds": {"cv": 3},
    "n_iter_no_change 5": {"n_iter_no_change": 5},
    "n_iter_no_change 20": {"n_iter_no_change": 20},
    "max_iter 40": {"max_iter": 40},
    "max_iter 100": {"max_iter": 100},
    "output_scale 0.25": {"output_scale": 0.25},
    "output_scale 1": {"output_scale": 1.0},
    "output_scale 2": {"output_scale": 2.0},
    "output_scale 4": {"output_scale": 4.0},
    "init gaussian": {"init": "gaussian"},
    "shift 0.5": {"shift": 0.5},
    "shift 1": {"shift": 1.0},
    "shift 2": {"shift": 2.0},
    "intercept_scaling 0.2": {"intercept_scaling": 0.2},
    "intercept_scaling 0.4": {"intercept_scaling": 0.4},
    "intercept_scaling 1": {"intercept_scaling": 1.0},
}
FAMILIES = {"first_order": (FIRST_ORDER, FIRST_ORDER_SETTINGS), "gauss_newton": (GAUSS_NEWTON, GAUSS_NEWTON_SETTINGS)}
RIVAL = "MLPRegressor"


def models(family, parts):
    """The settings whose names have one of the parts, by name, the rival first."""
    estimator, settings = FAMILIES[family]
    found = {RIVAL: MODELS[RIVAL]}
    found |= {name: Model(clone(estimator).set_params(**setting)) for name, setting in settings.items()}
    return {name: model for name, model in found.items() if any(part in name for part in parts or [""])}


def measure(model, splits):
    """Error, seconds and memory on each set."""
    row = {}
    for data, parts in splits.items():
        results = [evaluate(model, *part) for part in parts]
        row[f"{data} rmse"] = rounded(np.mean([result["rmse"] for result in results]))
        row[f"{data} s"] = rounded(median(result["fit s"] for result in results))
        row[f"{data} MB"] = rounded(median(result["memory MB"] for result in results))
    return row


def compare(models, splits):
    """A row for each model."""
    rows, known = [], {}
    for name, model in models.items():
        parameters = repr(model.estimator)
        if parameters not in known:
            known[parameters] = measure(model, splits)
        rows.append({"setting": name, **known[parameters]})
        print(rows[-1], flush=True)
    return [row | over_sets(row, rows) for row in rows]


def over_sets(row, rows):
    """How a setting compares with the defaults over all sets; blank if the defaults are not among the rows."""
    defaults = next((other for other in rows if other["setting"] == "defaults"), None)
    if defaults is None:
        return {"ratio": None, "worst ratio": None, "fit ratio": None}
    errors, seconds = (
        np.array([row[key] / defaults[key] for key in row if key.endswith(unit)]) for unit in (" rmse", " s")
    )
    ratio = np.exp(np.log(errors).mean())
    return {"ratio": rounded(ratio), "worst ratio": rounded(errors.max()), "fit ratio": rounded(np.median(seconds))}


def figure(rows):
    """Errors of settings in units of those of the defaults, a marker a set."""
    names = [row["setting"] for row in rows]
    defaults = names.index("defaults")
    fig, axes = panels(width=6.5, height=0.9 + 0.26 * len(rows))
    ax = axes[0, 0]
    for column in (key for key in rows[0] if key.endswith(" rmse")):
        errors = numbers(rows, column)
        ax.plot(errors / errors[defaults], range(len(rows)), linestyle="none", label=column.removesuffix(" rmse"))
    ax.axvline(1, color="black", linewidth=0.8)
    ax.set_yticks(range(len(rows)), names)
    ax.invert_yaxis()
    ax.set(xscale="log", xlabel="test RMSE / that of the defaults", ylabel="setting")
    plain(ax.xaxis)
    fig.legend(loc="outside lower center", ncols=6)
    return fig


TABLES = {f"settings_{family}": figure for family in FAMILIES}


def main(arguments=None):
    parser = argument_parser(__spec__, __doc__, needs_data=True)
    parser.add_argument("--families", nargs="*", choices=list(FAMILIES), default=list(FAMILIES))
    parser.add_argument("--sets", nargs="*", help="names of the sets; all in the folder by default")
    parser.add_argument("--splits", type=int, default=2)
    parser.add_argument("--rows", type=int, default=2_000, help="most training rows")
    parser.add_argument("--test-rows", type=int, default=10_000, help="most test rows")
    parser.add_argument("--settings", nargs="*", help="parts of the names of settings; all by default")
    arguments = parser.parse_args(arguments)
    names = arguments.sets or set_names(arguments.data)
    limits = arguments.rows, arguments.test_rows
    splits = {name: [load(arguments.data, name, k, *limits) for k in range(arguments.splits)] for name in names}
    for family in arguments.families:
        rows = compare(models(family, arguments.settings), splits)
        write_table(f"settings_{family}", rows, arguments, figure)


if __name__ == "__main__":
    main()
