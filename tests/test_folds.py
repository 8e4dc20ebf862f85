"""Folds: which rows each network of a committee leaves out."""

import numpy as np
import pytest
from committees import (
    MODELS,
    predictions,
    table,
)
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import clone, is_classifier

import sksparsenn._estimators.folds
import sksparsenn._training.early_stopping
import sksparsenn._training.side_by_side
from sksparsenn._estimators.folds import given_folds, make_folds, units_of_rows

# -- folds -----------------------------------------------------------------------------------------


def connected(X, groups):
    """Which rows belong together, from the definition: equal, of one group, or linked by rows that are."""
    together = (X[:, None] == X[None]).all(axis=2)
    if groups is not None:
        together |= groups[:, None] == groups[None]
    while True:
        further = (together.astype(int) @ together.astype(int)) > 0
        if (further == together).all():
            return together
        together = further


def as_partition(numbers):
    return numbers[:, None] == numbers[None]


def random_rows(rng, n):
    """Rows of which many are equal, some zero, some with a negative zero."""
    X = rng.integers(-1, 2, (n, int(rng.integers(1, 4)))).astype(rng.choice([np.float32, np.float64]))
    return np.where((X == 0) & (rng.random(X.shape) < 0.3), -X, X) * rng.choice([1.0, 0.3])


def random_groups(rng, n):
    """Names of groups, few or many, or none at all."""
    if rng.random() < 0.3:
        return None
    return rng.choice(np.array([f"group {k}" for k in range(int(rng.integers(1, 2 * n + 1)))]), n)


seeds, sizes = st.integers(0, 2**32 - 1), st.integers(1, 30)


@given(seeds, sizes)
def test_units_are_rows_that_are_equal_or_connected_by_groups(seed, n):
    rng = np.random.default_rng(seed)
    X, groups = random_rows(rng, n), random_groups(rng, n)
    units = units_of_rows(X, groups)
    np.testing.assert_array_equal(as_partition(units), connected(X, groups))
    np.testing.assert_array_equal(np.unique(units), np.arange(units.max() + 1))
    # Neither the order of rows nor their number, nor how they are stored, changes the number of a unit.
    order = rng.permutation(n)
    np.testing.assert_array_equal(units_of_rows(X[order], None if groups is None else groups[order]), units[order])
    again = np.repeat(np.arange(n), rng.integers(1, 4, n))
    np.testing.assert_array_equal(units_of_rows(X[again], None if groups is None else groups[again]), units[again])
    for stored in (sparse.csr_array(X), sparse.csc_matrix(X), sparse.coo_array(X)):
        np.testing.assert_array_equal(units_of_rows(stored, groups), units)


def test_groups_are_connected_through_equal_rows():
    """Rows 0 and 1 are equal, rows 1 and 2 of one group, and so are rows 3 and 4."""
    X = np.array([[0.0], [0.0], [1.0], [2.0], [3.0]])
    units = units_of_rows(X, np.array(["a", "b", "b", "c", "c"]))
    np.testing.assert_array_equal(units, [0, 0, 0, 1, 1])


def random_folds(rng, n, k):
    """Arguments of `make_folds`, where classes are those of units, and weights are integers."""
    X, groups = random_rows(rng, n), random_groups(rng, n)
    units = units_of_rows(X, groups)
    classes = np.array(["p", "q", "r"]) if rng.random() < 0.5 else None
    y = rng.standard_normal(n) if classes is None else rng.choice(classes, units.max() + 1)[units]
    weights = rng.integers(0, 4, n) * 1.0
    weights[rng.integers(n)] = 1.0
    cv = "auto" if rng.random() < 0.2 else k
    return units, cv, X, y, weights, groups, classes, int(rng.integers(2**31 - 1))


def folds_of(cv, X, y, weights, groups, classes, seed):
    """The folds, or the message by which they are refused."""
    try:
        return make_folds(cv, X, y, weights, groups, classes=classes, seed=seed)
    except ValueError as error:
        return str(error)


@given(seeds, sizes, st.integers(2, 6))
def test_folds_are_units_dealt_out_evenly(seed, n, k):
    rng = np.random.default_rng(seed)
    _, cv, X, y, weights, groups, classes, fold_seed = random_folds(rng, n, k)
    kept = weights > 0
    units = units_of_rows(X[kept], None if groups is None else groups[kept])
    n_units, folds = units.max() + 1, folds_of(cv, X, y, weights, groups, classes, fold_seed)
    if n_units == 1 and cv != "auto":
        assert folds.startswith(f"cv={cv} leaves a fold out, but the rows of X that weigh something are all equal")
        return
    assert (folds.labels[~kept] == -1).all()
    labels = folds.labels[kept]
    assert (labels >= 0).all()
    if n_units == 1:  # the one row trains, and stops its own training
        assert folds.trains.all()
        assert folds.leaves_out.all()
        assert len(folds) == 1
        return
    n_folds = min(5 if cv == "auto" else cv, n_units)
    assert len(folds) == n_folds
    np.testing.assert_array_equal(folds.trains, ~folds.leaves_out)
    np.testing.assert_array_equal(folds.leaves_out.sum(axis=0), 1)  # every fold is left out by one member
    np.testing.assert_array_equal(folds.leaves_out.sum(axis=1), 1)
    first = np.unique(units, return_index=True)[1]  # a row of each unit
    np.testing.assert_array_equal(labels, labels[first][units])
    for chosen in [np.ones(n_units, bool)] + [y[kept][first] == name for name in ([] if classes is None else classes)]:
        counts = np.bincount(labels[first][chosen], minlength=n_folds)
        assert np.ptp(counts) <= 1
    assert (np.bincount(labels[first], minlength=n_folds) > 0).all()


@given(seeds, sizes, st.integers(2, 6))
def test_folds_depend_on_what_rows_are_and_on_nothing_else(seed, n, k):
    """Not on their order, nor on rows that weigh nothing, nor on whether a weight or a repetition counts them."""
    rng = np.random.default_rng(seed)
    _, cv, X, y, weights, groups, classes, fold_seed = random_folds(rng, n, k)

    def folds_with(rows, weights, X=X):
        part = None if groups is None else groups[rows]
        return folds_of(cv, X[rows], y[rows], weights, part, classes, fold_seed)

    expected = folds_with(np.arange(n), weights)
    order, again, kept = rng.permutation(n), np.repeat(np.arange(n), weights.astype(int)), np.flatnonzero(weights)
    ways = {
        "order": (order, weights[order]),
        "repetition": (again, np.ones(len(again))),
        "no weight": (kept, weights[kept]),
        "sparse": (np.arange(n), weights, sparse.csr_array(X)),
    }
    for way, (rows, *others) in ways.items():
        folds = folds_with(rows, *others)
        if isinstance(expected, str):
            assert folds == expected
            continue
        np.testing.assert_array_equal(folds.labels, expected.labels[rows], err_msg=way)
        np.testing.assert_array_equal(folds.trains, expected.trains, err_msg=way)
        np.testing.assert_array_equal(folds.leaves_out, expected.leaves_out, err_msg=way)


def test_folds_of_several_seeds_differ():
    X, y = np.arange(30.0)[:, None], np.zeros(30)
    folds = [tuple(make_folds(3, X, y, np.ones(30), None, classes=None, seed=seed).labels) for seed in range(20)]
    assert len(set(folds)) == 20


@given(seeds, sizes, st.integers(1, 4))
def test_given_splits_are_taken_as_they_are(seed, n, n_splits):
    rng = np.random.default_rng(seed)
    splits = [
        tuple(rng.choice(n, int(rng.integers(1, n + 1)), replace=False) for _ in range(2)) for _ in range(n_splits)
    ]
    weights = np.where(rng.random(n) < 0.3, 0.0, rng.uniform(0.1, 2, n))
    weights[[part[0] for split in splits for part in split]] = 1.0
    folds = given_folds(splits, rng.random((n, 2)), rng.random(n), weights, None)
    assert len(folds) == n_splits
    kept = weights > 0
    assert (folds.labels[~kept] == -1).all()
    for place, (train, test) in enumerate(splits):
        for part, rows in ((folds.trains, train), (folds.leaves_out, test)):
            np.testing.assert_array_equal(part[place][folds.labels[kept]], np.isin(np.flatnonzero(kept), rows))


@pytest.mark.parametrize("name", MODELS)
def test_few_rows_make_few_folds(name):
    model = clone(MODELS[name])
    X, y = table(model)
    X, y = X[:3], np.array([0, 1, 2]) if is_classifier(model) else y[:3]
    for cv, n_members in ((2, 2), (3, 3), (7, 3), ("auto", 3)):
        fitted = clone(model).set_params(cv=cv).fit(X, y)
        assert fitted.n_members_ == n_members
        assert np.isfinite(fitted.cv_prediction_).all()


@pytest.mark.parametrize("name", MODELS)
def test_a_single_distinct_row(name):
    """Automatic folds leave nothing out; a number of folds is refused."""
    model = clone(MODELS[name])
    X, y = np.ones((6, 3)), np.array([0, 1, 0, 0, 1, 0])
    fitted = clone(model).set_params(cv="auto").fit(X, y)
    assert fitted.n_members_ == 1
    assert isinstance(fitted.best_iteration_, int)
    np.testing.assert_allclose(fitted.cv_prediction_, predictions(fitted, X), rtol=1e-12)
    with pytest.raises(ValueError, match="cv=2 leaves a fold out, but the rows of X that weigh something are all eq"):
        clone(model).set_params(cv=2).fit(X, y)
    with pytest.raises(ValueError, match="cv=2 leaves a fold out"):
        clone(model).set_params(cv=2).fit(np.r_[X, X + 1], np.r_[y, y], sample_weight=np.repeat([1.0, 0.0], 6))


@pytest.mark.parametrize("name", MODELS)
def test_automatic_folds_of_many_rows_are_one(name, monkeypatch):
    model = clone(MODELS[name]).set_params(cv="auto")
    X, y = table(model)
    assert clone(model).fit(X, y).n_members_ == 5
    monkeypatch.setattr(sksparsenn._estimators.folds, "MANY_ROWS", 89)
    model.fit(X, y)
    assert model.n_members_ == 1
    assert np.isnan(model.cv_prediction_.reshape(90, -1)[:, 0]).sum() == 72  # a fifth is left out


def test_a_network_of_many_rows_leaves_out_no_more_than_enough(monkeypatch):
    monkeypatch.setattr(sksparsenn._estimators.folds, "MANY_ROWS", 90)
    monkeypatch.setattr(sksparsenn._estimators.folds, "ENOUGH_LEFT_OUT", 10)
    X = np.random.default_rng(0).standard_normal((120, 2))
    folds = make_folds("auto", X, X[:, 0], np.ones(120), None, classes=None, seed=0)
    assert (folds.leaves_out.shape, folds.trains.shape) == ((1, 2), (1, 2))
    assert np.count_nonzero(folds.leaves_out[0][folds.labels]) == 10
    assert np.count_nonzero(folds.trains[0][folds.labels]) == 110
    model = clone(MODELS["gauss_newton"]).set_params(cv="auto").fit(X, X[:, 0])
    np.testing.assert_array_equal(np.isfinite(model.cv_prediction_).sum(), 10)


def test_equal_rows_among_many_are_found_by_their_keys(monkeypatch):
    monkeypatch.setattr(sksparsenn._estimators.folds, "MANY_ROWS", 20)
    X = np.random.default_rng(0).integers(0, 6, (200, 2)).astype(float)
    units = units_of_rows(X)
    np.testing.assert_array_equal(units[:, None] == units[None], (X[:, None] == X[None]).all(axis=2))
    assert set(units) == set(range(36))


def test_automatic_folds_do_not_count_how_often_a_row_is_repeated(monkeypatch):
    monkeypatch.setattr(sksparsenn._estimators.folds, "MANY_ROWS", 25)
    X, y = np.arange(20.0)[:, None], np.arange(20.0)
    weighted = make_folds("auto", X, y, np.full(20, 2.0), None, classes=None, seed=0)
    twice = make_folds("auto", np.r_[X, X], np.r_[y, y], np.ones(40), None, classes=None, seed=0)
    assert len(twice) == len(weighted)


@pytest.mark.parametrize(
    "wrong", [[1, 2], [(np.arange(50), np.arange(80, 100))], [(np.arange(5),)], [(np.arange(5), ["a"])]]
)
def test_splits_that_are_none_are_named(wrong):
    model = clone(MODELS["gd"]).set_params(cv=wrong)
    with pytest.raises(ValueError, match=r"split 0 of cv has to be a pair of arrays, .* each below 90"):
        model.fit(*table(model))


def test_groups_without_an_order_are_refused():
    model = clone(MODELS["gd"]).set_params(cv=3)
    X, y = table(model)
    with pytest.raises(ValueError, match="groups hold objects of several types"):
        model.fit(X, y, groups=np.array([None, "a", 3] * 30, dtype=object))
