"""Long tables are taken in blocks: the fit is that in one memory, with the same folds."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.utils import check_random_state

from sksparsenn import (
    SketchedGaussNewtonClassifier,
    SketchedGaussNewtonRegressor,
    SparseShiftedReLUClassifier,
    SparseShiftedReLURegressor,
)
from sksparsenn._estimators import held_out, summed_rows, summed_training
from sksparsenn._samples.drawing import mixed, row_keys

N, D = 1500, 4
TEN = {"width": 32, "random_state": 0, "max_iter": 10, "tol": 0.0}

FITS = {
    "gauss_newton": SketchedGaussNewtonRegressor(**TEN, solver="cholesky", cv=2),
    "gauss_newton labels": SketchedGaussNewtonClassifier(**TEN, solver="cholesky", cv=2, class_weight="balanced"),
    "gauss_newton alone": SketchedGaussNewtonRegressor(**TEN, solver="cholesky", alpha=1e-3, cv=None),
    "descent": SparseShiftedReLURegressor(**TEN, cv=2),
    "descent labels": SparseShiftedReLUClassifier(**TEN, cv=2),
}


def table(model, dtype=np.float64):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N, D)).astype(dtype)
    X[:40] = X[100:140]
    y = np.sin(2 * X[:, 0]) * X[:, 1] + X[:, 2] + 0.2 * rng.standard_normal(N)
    weights = rng.uniform(0.5, 2, N)
    weights[::17] = 0
    weights[400:600] = 0  # all of a block
    return X, np.digitize(y, [-1.0, 1.2]) if "Classifier" in type(model).__name__ else y, weights


def same_splits(X, n_labels):
    """The splits that a fit in blocks makes with random_state=0, as one in memory takes them."""
    drawn = check_random_state(0).randint(2**31 - 1)
    labels = (mixed(row_keys(X), drawn) >> np.uint64(32)).astype(np.int64) * n_labels >> 32
    return [(np.flatnonzero(labels != label), np.flatnonzero(labels == label)) for label in range(n_labels)]


@pytest.fixture
def in_blocks(monkeypatch):
    """Take tables of more than 1,000 rows in blocks of 200, and bring less than 300 rows together."""
    monkeypatch.setattr(summed_training, "MOST_ROWS_AT_ONCE", 1000)
    monkeypatch.setattr(summed_training, "ROWS_OF_BLOCK", 200)
    monkeypatch.setattr(summed_rows, "FEW_ROWS", 300)
    monkeypatch.setattr(held_out, "ROWS_AT_ONCE", 100)


def in_memory(model, X, y, weights):
    """The same fit in one memory, with the same folds."""
    folds = model.cv if model.cv is None else same_splits(X, model.cv)
    return with_all_rows(clone(model).set_params(cv=folds), X, y, weights)


def with_all_rows(model, X, y, weights):
    """A fit that takes no blocks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(summed_training, "MOST_ROWS_AT_ONCE", 10**9)
        return model.fit(X, y, weights)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", FITS)
def test_the_fit_is_that_in_one_memory(in_blocks, name, dtype):
    model = clone(FITS[name])
    if model.cv is None and hasattr(model, "linear_part"):
        model.set_params(linear_part=False)  # it would choose its strength on other folds
    X, y, weights = table(model, dtype)
    expected = in_memory(model, X, y, weights)
    model.fit(X, y, weights)
    scale = np.abs(expected.hidden_weights_).max()
    digits = 1e-8 if dtype == np.float64 else 1e-3
    np.testing.assert_allclose(model.hidden_weights_, expected.hidden_weights_, rtol=0, atol=digits * scale)
    assert model.hidden_weights_.dtype == dtype
    assert model.n_iter_ == expected.n_iter_
    if hasattr(expected, "cv_score_") and "labels" not in name:
        assert model.cv_score_ == pytest.approx(expected.cv_score_, rel=100 * digits)
        np.testing.assert_allclose(
            model.predict(X[:9], return_std=True), expected.predict(X[:9], return_std=True), rtol=1e-2
        )
        assert np.isfinite(model.predict_interval(X[:5])).all()


def test_results_do_not_depend_on_threads(in_blocks, monkeypatch):
    import sksparsenn._utils.parts as parts

    found = []
    for n_threads in (1, 2, 5):
        monkeypatch.setattr(parts, "threads_of", lambda work, n=n_threads: n)
        model = clone(FITS["gauss_newton"])
        found.append(model.fit(*table(model)).hidden_weights_)
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


@pytest.mark.parametrize("solver", ["auto", "cg", "sample"])
def test_solvers_of_few_digits(in_blocks, solver):
    model = clone(FITS["gauss_newton"]).set_params(solver=solver, max_iter=25)
    X, y, weights = table(model)
    expected = in_memory(model.set_params(solver="cholesky"), X, y, weights)
    model.set_params(solver=solver).fit(X, y, weights)
    assert model.cv_score_ == pytest.approx(expected.cv_score_, abs=0.02)


def test_rows_that_grow_are_brought_together(in_blocks, monkeypatch):
    import sksparsenn._estimators.gauss_newton as gauss_newton
    import sksparsenn._training.growing_rows as growing

    for module in (gauss_newton, growing, summed_rows):
        for name, value in (("MANY_ROWS", 600), ("FIRST_ROWS", 100)):
            monkeypatch.setattr(module, name, value, raising=False)
    monkeypatch.setattr(summed_rows.SmallestKeys, "most", 2000)
    model = clone(FITS["gauss_newton"]).set_params(max_iter=16, cv=3)
    X, y, weights = table(model)
    expected, summed, kinds = in_memory(model, X, y, weights), summed_rows.SummedProblem, set()

    def problem(parts, problems, keys, n_rows, *arguments, **options):
        kinds.add((type(parts).__name__, n_rows <= 300))
        return summed(parts, problems, keys, n_rows, *arguments, **options)

    monkeypatch.setattr(summed_rows, "SummedProblem", problem)
    model.fit(X, y, weights)
    assert kinds == {("Parts", True), ("Blocks", False)}
    np.testing.assert_array_equal(model.rows_curve_, expected.rows_curve_)
    assert model.rows_curve_[0] < 3 * 300 < model.rows_curve_[-1]  # of three networks
    np.testing.assert_allclose(model.hidden_weights_, expected.hidden_weights_, rtol=0, atol=1e-7)


def test_a_memory_mapped_file_is_read_and_bad_values_are_named(in_blocks, tmp_path):
    model = clone(FITS["gauss_newton alone"])
    X, y, weights = table(model, np.float32)
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    expected = clone(model).fit(X, y, weights)
    np.testing.assert_array_equal(model.fit(mapped, y, weights).hidden_weights_, expected.hidden_weights_)
    X[N - 3, 1] = np.inf
    np.save(tmp_path / "bad.npy", X)
    bad = np.load(tmp_path / "bad.npy", mmap_mode="r")
    with pytest.raises(ValueError, match=f"Input X contains NaN or infinity, first in row {N - 3}: remove"):
        model.fit(bad, y, weights)
    np.testing.assert_array_equal(model.hidden_weights_, expected.hidden_weights_)


def test_what_asks_for_all_rows_is_served_in_one_memory(in_blocks, monkeypatch):
    model = clone(FITS["gauss_newton"]).set_params(max_iter=2)
    X, y, weights = table(model)
    blocks = []
    start = type(model)._start_in_blocks
    monkeypatch.setattr(type(model), "_start_in_blocks", lambda self, *rows: blocks.append(1) or start(self, *rows))
    for parameters in ({"solver": "nystrom"}, {"warm_start": True}, {"search": "max_tree"}):
        clone(model).set_params(**parameters).fit(X, y, weights)
    model.fit(X, y, weights, groups=np.arange(N) // 3)
    model.fit(X, y, weights, X_val=X, y_val=y)
    assert blocks == []
    model.fit(X, y, weights)
    assert blocks == [1]


def test_predictions_of_rows_left_out_stand_where_the_rows_do(in_blocks):
    for name in ("gauss_newton", "gauss_newton labels"):
        model = clone(FITS[name])
        X, y, weights = table(model)
        expected = in_memory(model, X, y, weights)
        found, kept = model.fit(X, y, weights).cv_prediction_, weights > 0
        np.testing.assert_allclose(found[kept], expected.cv_prediction_[kept], rtol=1e-5, atol=1e-7)
        assert np.isnan(found[~kept]).all()


@pytest.mark.parametrize("fraction", [0.1, 0.4, 0.75])
def test_the_fraction_held_out_is_the_one_asked_for(in_blocks, fraction):
    model = clone(FITS["gauss_newton"]).set_params(cv=None, validation_fraction=fraction)
    X, y, _ = table(model)
    model.fit(X, y)
    assert model.rows_curve_[-1] == pytest.approx((1 - fraction) * N, abs=4 * np.sqrt(N * fraction))
    assert np.isfinite(model.validation_scores_).all()
    assert not hasattr(model, "cv_score_")


@pytest.mark.parametrize("cv", [None, 5])
def test_rows_that_are_too_alike_are_seen_together(in_blocks, cv):
    X = np.repeat([[0.0, 1.0], [1.0, 0.0]], N // 2, axis=0)
    model = clone(FITS["gauss_newton"]).set_params(cv=cv).fit(X, X[:, 0])
    expected = with_all_rows(clone(model), X, X[:, 0], None)
    np.testing.assert_array_equal(model.hidden_weights_, expected.hidden_weights_)
    assert np.isfinite(model.validation_scores_).all()


@pytest.mark.parametrize("factor", [1e160, 1e-160])
def test_scores_of_targets_of_any_size(in_blocks, factor):
    model = clone(FITS["gauss_newton"])
    X, y, weights = table(model)
    expected = model.fit(X, y, weights).cv_score_
    assert model.fit(X, factor * y, weights).cv_score_ == pytest.approx(expected, rel=1e-6)


def test_blocks_are_views_of_the_table(in_blocks, monkeypatch):
    model = clone(FITS["descent"]).set_params(max_iter=2)
    X, y, weights = table(model)
    taken, as_taken = [], summed_training.as_taken

    def seen(rows):
        taken.append(np.shares_memory(rows.X, X) and len(rows.X) <= 200)
        return as_taken(rows)

    monkeypatch.setattr(summed_training, "as_taken", seen)
    by_columns = np.asfortranarray(X)
    expected = model.fit(X, y, weights).hidden_weights_
    assert taken
    assert all(taken)
    np.testing.assert_array_equal(model.fit(by_columns, y, weights).hidden_weights_, expected)


def test_classes_keep_their_kind_and_errors_name_rows(in_blocks):
    model = clone(FITS["descent labels"]).set_params(max_iter=2)
    X, y, weights = table(model)
    assert model.fit(X, y.astype(np.int8), weights).classes_.dtype == np.int8
    assert model.fit(X, np.array(["a", "b", "c"], dtype=object)[y], weights).classes_.dtype == object
    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        model.fit(X, X[:, 0], weights)
    regressor = clone(FITS["descent"])
    bad = X[:, 0].copy()
    bad[1234] = np.nan
    with pytest.raises(ValueError, match=r"(?s)Input y contains NaN.*The first is in row 1234 of y"):
        regressor.fit(X, bad)
    for wrong in ({"y_val": y}, {"sample_weight_val": y}):
        with pytest.raises(ValueError, match="X_val"):
            regressor.fit(X, X[:, 0], **wrong)


def test_an_interrupted_pass_leaves_the_estimator_as_it_was(in_blocks, monkeypatch):
    model = clone(FITS["gauss_newton alone"])
    X, y, weights = table(model)
    before = model.fit(X, y, weights).hidden_weights_
    parts, calls = summed_rows.chosen_part, iter(range(10**6))

    def interrupted(*arguments):
        if next(calls) == 40:
            raise KeyboardInterrupt
        return parts(*arguments)

    monkeypatch.setattr(summed_rows, "chosen_part", interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.set_params(random_state=1).fit(X, y, weights)
    assert model.hidden_weights_ is before


CEILING = """
import resource, sys
import numpy as np
from sksparsenn import SketchedGaussNewtonRegressor
from sksparsenn._estimators import summed_rows, summed_training

X, y = np.load(sys.argv[1], mmap_mode="r"), np.load(sys.argv[2], mmap_mode="r")
model = SketchedGaussNewtonRegressor(
    64, shift=0.5, alpha=0.1, cv=None, solver="cg", linear_part=False, max_iter=2, random_state=0
)
summed_training.ROWS_OF_BLOCK, summed_rows.FEW_ROWS, summed_training.MOST_ROWS_AT_ONCE = 5000, 1000, 2000
model.fit(X[:10_000], y[:10_000])  # threads and what else is made once
in_use = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmData")) << 10
resource.setrlimit(resource.RLIMIT_DATA, (in_use + int(sys.argv[4]),) * 2)
summed_training.MOST_ROWS_AT_ONCE = int(sys.argv[3])
try:
    model.fit(X, y)
except MemoryError:
    print("no memory")
else:
    print("fitted", len(X))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is one of Linux")
def test_a_ceiling_on_memory_holds_in_blocks_and_not_in_one_memory(tmp_path):
    n_rows, features = 120_000, 8
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n_rows, features)).astype(np.float32)
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", X[:, 0] * X[:, 1])
    answers = []
    for most_rows in (2000, 10**9):
        command = [sys.executable, "-c", CEILING, str(tmp_path / "X.npy"), str(tmp_path / "y.npy"), str(most_rows)]
        found = subprocess.run([*command, str(40 << 20)], capture_output=True, text=True, check=False)
        answers.append(found.stdout.strip() or found.stderr)
    assert answers == [f"fitted {n_rows}", "no memory"]
