"""The regressor as a citizen of scikit-learn."""

import inspect
import pickle
import re

import numpy as np
import pytest
from sklearn.base import clone, is_classifier
from sklearn.datasets import load_diabetes
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import (
    check_dataframe_column_names_consistency,
    check_param_validation,
    parametrize_with_checks,
)

from sksparsenn import (
    SketchedGaussNewtonClassifier,
    SketchedGaussNewtonRegressor,
    SparseShiftedReLUClassifier,
    SparseShiftedReLURegressor,
)
from sksparsenn._search.searches import SEARCHES

SOLVERS = ("auto", "cholesky", "sketch", "nystrom", "cg", "sample")
INSTANCES = [
    SparseShiftedReLURegressor(),
    SparseShiftedReLURegressor(solver="sgd", cv=2, max_iter=50),
    SparseShiftedReLURegressor(loss="huber", alpha=0.1, init="gaussian", search="brute", cv=None, max_iter=500),
    SketchedGaussNewtonRegressor(),
    SketchedGaussNewtonRegressor(solver="nystrom", alpha=0.002, cv=None, max_iter=30),
    SketchedGaussNewtonRegressor(
        solver="sketch", search="max_tree", init="gaussian", alpha=0.002, cv=None, max_iter=30
    ),
    SparseShiftedReLUClassifier(),
    SparseShiftedReLUClassifier(solver="sgd", cv=None, max_iter=200),
    SparseShiftedReLUClassifier(loss="hinge", search="weights", cv=None, max_iter=200),
    SketchedGaussNewtonClassifier(),
    SketchedGaussNewtonClassifier(loss="squared_error", alpha=0.001, cv=None),
]
REGRESSORS = [SparseShiftedReLURegressor, SketchedGaussNewtonRegressor]
CLASSIFIERS = [SparseShiftedReLUClassifier, SketchedGaussNewtonClassifier]


# No expected failures are declared, and the configuration of pytest makes any that passes a failure (xfail_strict).
@parametrize_with_checks(INSTANCES)
def test_all_checks_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.mark.parametrize("check", [check_param_validation, check_dataframe_column_names_consistency])
@pytest.mark.parametrize("kind", [*REGRESSORS, *CLASSIFIERS])
def test_checks_that_scikit_learn_does_not_run_by_itself(kind, check):
    estimator = kind(max_iter=2)
    check(type(estimator).__name__, estimator)


@pytest.fixture(scope="module")
def diabetes():
    return load_diabetes(return_X_y=True)


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("solver", ["gd", "sgd"])
def test_sample_weights_count_as_repetitions(search, solver):
    """For each search: the check of scikit-learn runs the automatic one only."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((25, 3)), rng.standard_normal(25)
    weight = rng.integers(0, 4, 25)
    rows = np.repeat(np.arange(25), weight)
    shuffled = rng.permutation(rows)
    model = SparseShiftedReLURegressor(
        32, solver=solver, search=search, batch_size=7, max_iter=20, alpha=0.1, random_state=0
    )
    weighted = clone(model).fit(X, y, sample_weight=weight).predict(X)
    repeated = clone(model).fit(X[shuffled], y[shuffled]).predict(X)
    np.testing.assert_allclose(weighted, repeated, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(
    "regressor",
    [
        SparseShiftedReLURegressor(max_iter=20, random_state=0),
        SketchedGaussNewtonRegressor(alpha=1.0, max_iter=5, random_state=0),
    ],
)
def test_grid_search_over_width_and_shift_with_two_jobs(regressor, diabetes):
    pipeline = make_pipeline(StandardScaler(), regressor)
    name = pipeline.steps[-1][0]
    grid = {f"{name}__width": [64, 256], f"{name}__shift": ["auto", 1.0]}
    alone = GridSearchCV(pipeline, grid, cv=3, n_jobs=1).fit(*diabetes)
    together = GridSearchCV(pipeline, grid, cv=3, n_jobs=2).fit(*diabetes)
    np.testing.assert_array_equal(alone.cv_results_["mean_test_score"], together.cv_results_["mean_test_score"])
    assert alone.best_score_ > 0.4


def test_default_pipeline_on_diabetes(diabetes):
    """The mean alone scores 0, ridge regression about 0.48: a wide network on 442 noisy rows should not be far off."""
    pipeline = make_pipeline(StandardScaler(), SparseShiftedReLURegressor(max_iter=30, random_state=0))
    assert cross_val_score(pipeline, *diabetes, cv=5).mean() > 0.35


@pytest.mark.parametrize(
    "model",
    [
        SparseShiftedReLURegressor(64, max_iter=5, random_state=0),
        SparseShiftedReLURegressor(64, solver="sgd", average="mean", max_iter=5, warm_start=True, random_state=0),
        SparseShiftedReLUClassifier(64, max_iter=5, early_stopping=True, warm_start=True, random_state=0),
        SketchedGaussNewtonClassifier(64, max_iter=3, warm_start=True, random_state=0),
        *(SketchedGaussNewtonRegressor(64, solver=s, max_iter=3, random_state=0) for s in SOLVERS),
    ],
)
def test_state_is_arrays_and_survives_pickling(model, diabetes):
    X, y = diabetes
    model = clone(model).fit(X, y > y.mean() if is_classifier(model) else y)
    state = {name: value for name, value in vars(model).items() if name not in model.get_params()}
    state |= state.pop("_training")
    for number, memory in enumerate(state.pop("members", [])):
        state |= {f"{name} of network {number}": value for name, value in memory.items()}
    for name, value in state.items():
        if name not in model.get_params():
            assert isinstance(value, np.ndarray | float | int | str | bool), name
            assert not isinstance(value, np.ndarray) or value.dtype != object, name
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), model.predict(X))


def test_precision_is_that_of_the_input(diabetes):
    X, y = diabetes
    for dtype in (np.float32, np.float64):
        model = SparseShiftedReLURegressor(64, max_iter=5, random_state=0).fit(X.astype(dtype), y)
        assert model.hidden_weights_.dtype == model.predict(X.astype(dtype)).dtype == dtype
    single, double = (SparseShiftedReLURegressor(64, max_iter=5, random_state=0).fit(X.astype(t), y) for t in "fd")
    np.testing.assert_allclose(single.predict(X.astype("f")), double.predict(X), rtol=1e-4)


def test_a_row_is_predicted_the_same_in_any_batch(diabetes, monkeypatch):
    X, y = diabetes
    model = SparseShiftedReLURegressor(128, shift=0.0, max_iter=5, random_state=0).fit(X, y)
    whole = model.predict(X)
    np.testing.assert_array_equal(whole, np.concatenate([model.predict(X[i : i + 1]) for i in range(len(X))]))
    np.testing.assert_array_equal(whole[::-1], model.predict(X[::-1]))
    monkeypatch.setattr("sksparsenn._network.network.PAIRS_AT_ONCE", 128 * 50)  # chunks of 50 rows
    np.testing.assert_array_equal(whole, model.predict(X))
    assert model.predict(X[:1]).shape == (1,)


def test_several_outputs_share_the_search(diabetes):
    X, y = diabetes
    both = SparseShiftedReLURegressor(64, cv=3, max_iter=10, random_state=0).fit(X, np.c_[y, -2 * y + 1])
    assert both.output_weights_.shape == (3 * 64, 2)
    assert both.predict(X).shape == (len(X), 2)
    assert both.score(X, np.c_[y, -2 * y + 1]) > 0.3
    column = SparseShiftedReLURegressor(64, max_iter=10, random_state=0).fit(X, y[:, None])
    assert column.predict(X).shape == (len(X), 1)


def test_inputs_are_invariant_to_shift_and_scale(diabetes):
    X, y = diabetes
    model = SparseShiftedReLURegressor(64, max_iter=10, random_state=0)
    expected = clone(model).fit(X, y).predict(X)
    np.testing.assert_allclose(clone(model).fit(8 * X + 3, y).predict(8 * X + 3), expected, rtol=1e-6)
    np.testing.assert_allclose(clone(model).fit(X, 4 * y - 1).predict(X), 4 * expected - 1, rtol=1e-9)


@pytest.mark.parametrize("factor", [1e-200, 1e-30, 1e30, 1e200])
def test_huge_and_tiny_inputs(diabetes, factor):
    X, y = diabetes
    model = SparseShiftedReLURegressor(64, max_iter=10, random_state=0)
    expected = clone(model).fit(X, y).predict(X)
    np.testing.assert_allclose(clone(model).fit(X * factor, y).predict(X * factor), expected, rtol=1e-6)


def test_degenerate_tables():
    y = np.arange(6.0)
    for X in (np.zeros((6, 2)), np.ones((6, 1)), np.arange(6.0)[:, None]):
        for intercept in (True, False):
            model = SparseShiftedReLURegressor(8, max_iter=3, fit_intercept=intercept, random_state=0).fit(X, y)
            assert np.isfinite(model.predict(X)).all()
    constant = SparseShiftedReLURegressor(8, max_iter=3, random_state=0).fit(np.arange(6.0)[:, None], np.full(6, 7.5))
    np.testing.assert_array_equal(constant.predict(np.arange(6.0)[:, None]), 7.5)
    assert SparseShiftedReLURegressor(8, max_iter=3).fit([[1.0, 2.0]], [3.0]).predict([[1.0, 2.0]]) == pytest.approx(
        3.0
    )


def test_curves_have_an_entry_per_iteration(diabetes):
    single = SparseShiftedReLURegressor(64, cv=None, linear_part=False, random_state=0)
    model = clone(single).set_params(max_iter=7, tol=0).fit(*diabetes)
    assert model.n_iter_ == 7
    assert model.stop_reason_ == "max_iter"
    for name in ("loss", "firing_fraction", "pairs_evaluated", "nodes_visited", "neurons_rescanned"):
        assert getattr(model, f"{name}_curve_").shape == (7,)
    assert model.loss_curve_[0] == pytest.approx(0.5)  # f = 0 at the start, targets of variance one
    stopped = clone(single).set_params(tol=1e-2).fit(*diabetes)
    assert stopped.stop_reason_ == "tol"
    assert stopped.n_iter_ < 1000


def test_verbose_prints_a_line_per_iteration_and_nothing_else_does(diabetes, capsys):
    single = SparseShiftedReLURegressor(64, cv=None, linear_part=False, max_iter=3, tol=0, random_state=0)
    single.fit(*diabetes)
    assert capsys.readouterr().out == ""
    single.set_params(verbose=True).fit(*diabetes)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[0].startswith("iteration 1: loss 0.5, ")
    assert lines[3] == "stopped after 3 iterations: max_iter"


@pytest.mark.parametrize("solver", SOLVERS)
def test_gauss_newton_is_invariant_to_shift_and_scale(solver, diabetes):
    """To numbers that are exact in binary, as far as sums of other roundings allow, over a few iterations."""
    X, y = (part[:100] for part in diabetes)
    model = SketchedGaussNewtonRegressor(64, shift=1.0, solver=solver, alpha=0.1, max_iter=3, random_state=0)
    expected = clone(model).fit(X, y).predict(X)
    np.testing.assert_allclose(clone(model).fit(8 * X + 3, y).predict(8 * X + 3), expected, rtol=1e-4)
    np.testing.assert_allclose(clone(model).fit(X, 4 * y - 1).predict(X), 4 * expected - 1, rtol=1e-4)
    assert expected.std() > 0.3 * y.std()


@pytest.mark.parametrize("factor", [1e-200, 1e200])
def test_gauss_newton_with_huge_and_tiny_inputs(diabetes, factor):
    X, y = (part[:100] for part in diabetes)
    model = SketchedGaussNewtonRegressor(64, shift=1.0, solver="cholesky", alpha=0.1, max_iter=3, random_state=0)
    expected = clone(model).fit(X, y).predict(X)
    np.testing.assert_allclose(clone(model).fit(X * factor, y).predict(X * factor), expected, rtol=1e-6)


@pytest.mark.parametrize("solver", SOLVERS)
def test_gauss_newton_on_degenerate_tables(solver):
    y = np.arange(6.0)
    for X in (np.zeros((6, 2)), np.ones((6, 1)), np.arange(6.0)[:, None]):
        for intercept in (True, False):
            for width in (1, 8):
                model = SketchedGaussNewtonRegressor(
                    width, solver=solver, init="gaussian", fit_intercept=intercept, max_iter=3, random_state=0
                )
                assert np.isfinite(model.fit(X, y).predict(X)).all()
    # The network puts out zero at its start, which stands for the mean.
    single = SketchedGaussNewtonRegressor(8, solver=solver, init="paired", max_iter=2).fit([[1.0, 2.0]], [3.0])
    assert single.predict([[1.0, 2.0]]) == pytest.approx(3.0)


@pytest.mark.parametrize("solver", SOLVERS)
def test_gauss_newton_with_several_outputs(solver, diabetes):
    """Two outputs that depend on each other linearly share all neurons but not their signs."""
    X, y = (part[:100] for part in diabetes)
    model = SketchedGaussNewtonRegressor(64, shift=1.0, solver=solver, alpha=0.1, max_iter=5, random_state=0)
    both = clone(model).fit(X, np.c_[y, -2 * y + 1])
    assert both.output_weights_.shape == (5 * 64, 2)
    assert both.predict(X).shape == (100, 2)
    assert both.score(X, np.c_[y, -2 * y + 1]) > 0.3
    assert clone(model).fit(X, y[:, None]).predict(X).shape == (100, 1)


@pytest.mark.parametrize("estimator", REGRESSORS + CLASSIFIERS)
def test_docstrings_are_filled_and_name_every_parameter(estimator):
    """What the four share is written once, and put in where a class names it."""
    documentation = inspect.getdoc(estimator)
    assert not re.search(r"^ *\{\w+\}$", documentation, flags=re.M)
    section = documentation.split("Parameters\n----------\n")[1].split("\n\nAttributes\n")[0]
    documented = re.findall(r"^(\w+) : ", section, flags=re.M)
    assert sorted(documented) == sorted(inspect.signature(estimator).parameters)
