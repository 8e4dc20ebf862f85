"""Committees: networks that each leave out a fold, whose mean is one network."""

import copy
import os
import signal
import threading
import time

import numpy as np
import pytest
import sklearn
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from scipy.special import softmax
from single_networks import (
    SketchedGaussNewtonClassifier,
    SketchedGaussNewtonRegressor,
    SparseShiftedReLUClassifier,
    SparseShiftedReLURegressor,
)
from sklearn.base import clone, is_classifier
from sklearn.metrics import r2_score
from sklearn.model_selection import GroupKFold, KFold, ShuffleSplit, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

import sksparsenn._estimators.folds
import sksparsenn._training.early_stopping
import sksparsenn._training.side_by_side
from sksparsenn._estimators.folds import given_folds, make_folds, units_of_rows
from sksparsenn._utils.threads import built_with_openmp

COMMON = {"shift": 0.8, "tol": 0, "random_state": 0}
MODELS = {
    "gd": SparseShiftedReLURegressor(40, max_iter=8, **COMMON),
    "sgd": SparseShiftedReLURegressor(40, solver="sgd", batch_size=20, max_iter=4, **COMMON),
    "gauss_newton": SketchedGaussNewtonRegressor(40, solver="cholesky", max_iter=4, **COMMON),
    "gd classifier": SparseShiftedReLUClassifier(40, loss="log_loss", max_iter=8, **COMMON),
    "gauss_newton classifier": SketchedGaussNewtonClassifier(
        40, loss="log_loss", solver="cholesky", max_iter=4, **COMMON
    ),
}
ON_PATH = {
    f"{name}, on a path": clone(MODELS[name]).set_params(alpha="auto")
    for name in ("gauss_newton", "gauss_newton classifier")
}
FIRST_ORDER = ("gd", "sgd", "gd classifier")
CLASSIFIERS = {
    "gd": SparseShiftedReLUClassifier(40, max_iter=6, **COMMON),
    "sgd": SparseShiftedReLUClassifier(40, solver="sgd", batch_size=20, max_iter=3, **COMMON),
    "gauss_newton": SketchedGaussNewtonClassifier(40, solver="cholesky", max_iter=3, **COMMON),
}
LARGEST_SEED = 2**31 - 1


def table(model, n=90, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 4))
    y = X[:, 0] + np.sin(3 * X[:, 1]) + 0.5 * rng.standard_normal(n)
    return X, np.digitize(y, [-0.7, 0.7]) if is_classifier(model) else y


def splits_of(n, n_splits=3):
    return list(KFold(n_splits, shuffle=True, random_state=1).split(np.zeros(n)))


def generator_of_member(place, random_state=0):
    """A generator whose next seed is that of a member of a committee with a list of splits."""
    generator = np.random.RandomState(random_state)
    generator.randint(LARGEST_SEED, size=place)
    return generator


def member(model, place):
    """The network of one member, cut out of the fitted arrays."""
    alone, size = copy.copy(model), model.width
    block = slice(place * size, (place + 1) * size)
    for name in ("hidden_weights_", "initial_weights_", "output_weights_"):
        setattr(alone, name, getattr(model, name)[block])
    alone.n_members_, alone._scale = 1, float(model.output_scale)
    return alone


def members(model):
    return [member(model, place) for place in range(model.n_members_)]


def scores(model, X):
    """Outputs in the user's units: linear in what the network puts out; of a classifier before the temperature."""
    if not is_classifier(model):
        return model.predict(X)
    return model.decision_function(X) * getattr(model, "temperature_", 1.0)


def predictions(model, X):
    """What `cv_prediction_` holds for a network."""
    if not is_classifier(model):
        return model.predict(X)
    return model.decision_function(X) if model.loss == "hinge" else model.predict_proba(X)


def record_of(model):
    """All that a fit leaves and that does not tell the time."""
    names = [name for name in vars(model) if name.endswith("_") and isinstance(vars(model)[name], np.ndarray)]
    assert {"hidden_weights_", "cv_prediction_", "validation_scores_", "firing_fraction_curve_"} <= set(names)
    return {name: vars(model)[name] for name in [*names, "n_iter_", "stop_reason_", "best_validation_score_"]}


def assert_same(first, second, but=()):
    ours, theirs = record_of(first), record_of(second)
    assert ours.keys() == theirs.keys()
    for name in ours.keys() - set(but):
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)


# A search begins anew in a later fit, and has more to do there.
WORK = "pairs_evaluated_curve_", "neurons_rescanned_curve_", "nodes_visited_curve_"


def assert_unchanged(model, before, changed=()):
    assert vars(model).keys() == before.keys()
    for name in before.keys() - set(changed):
        assert vars(model)[name] is before[name], name


# -- the mean of its members -----------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", MODELS | ON_PATH)
def test_a_committee_is_the_mean_of_members_trained_alone(name, dtype):
    model = clone((MODELS | ON_PATH)[name])
    X, y = table(model)
    X, splits = X.astype(dtype), splits_of(len(X))
    committee = clone(model).set_params(cv=splits).fit(X, y)
    assert committee.n_members_ == 3
    assert committee.hidden_weights_.shape == (120, 5)
    assert committee.hidden_weights_.dtype == dtype
    alone = [
        clone(model).set_params(cv=[split], random_state=generator_of_member(place)).fit(X, y)
        for place, split in enumerate(splits)
    ]
    for attribute in ("hidden_weights_", "initial_weights_", "output_weights_"):
        blocks = np.concatenate([getattr(single, attribute) for single in alone])
        np.testing.assert_array_equal(getattr(committee, attribute), blocks)
    mean = np.mean([scores(single, X) for single in alone], axis=0)
    np.testing.assert_allclose(scores(committee, X), mean, rtol=0, atol=50 * np.finfo(dtype).eps * np.abs(mean).max())
    assert np.ptp([scores(single, X) for single in alone], axis=0).max() > 0.01  # they differ
    np.testing.assert_array_equal(committee.best_iteration_, [single.best_iteration_ for single in alone])
    assert committee.best_validation_score_ == np.mean([single.best_validation_score_ for single in alone])
    assert committee.n_iter_ == max(single.n_iter_ for single in alone)
    for curve in ("validation_scores_", "loss_curve_", "firing_fraction_curve_"):
        expected = np.mean([getattr(single, curve) for single in alone], axis=0)
        np.testing.assert_allclose(getattr(committee, curve), expected, rtol=1e-12, err_msg=curve)
    work = np.sum([single.pairs_evaluated_curve_ for single in alone], axis=0)
    np.testing.assert_array_equal(committee.pairs_evaluated_curve_, work)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", MODELS | ON_PATH)
def test_a_member_is_a_network_trained_on_its_rows_and_stopped_by_the_others(name, weighted):
    """Without intercept, and with targets of length one, all rows have the units of any of them."""
    model = clone((MODELS | ON_PATH)[name]).set_params(fit_intercept=False, max_iter=12, n_iter_no_change=2)
    X, y = table(model)
    y = y if is_classifier(model) else np.sign(y)
    train, test = splits_of(len(X))[1]
    weight = np.where(np.arange(len(X)) % 3 == 0, 2.0, 0.5) if weighted else None
    parts = (None, None) if weight is None else (weight[train], weight[test])
    alone = clone(model).set_params(cv=[(train, test)], random_state=7).fit(X, y, sample_weight=weight)
    seed = np.random.RandomState(7).randint(LARGEST_SEED)
    single = clone(model).set_params(random_state=np.random.RandomState(seed))
    single.fit(X[train], y[train], parts[0], X_val=X[test], y_val=y[test], sample_weight_val=parts[1])
    assert alone.best_iteration_ == single.best_iteration_
    assert (alone.n_iter_, alone.stop_reason_) == (single.n_iter_, single.stop_reason_)
    np.testing.assert_allclose(alone.hidden_weights_, single.hidden_weights_, rtol=0, atol=1e-12)
    np.testing.assert_allclose(alone.predict(X), single.predict(X), rtol=1e-10)


@pytest.mark.parametrize("name", MODELS)
def test_a_number_of_folds_is_the_list_of_its_splits(name):
    model = clone(MODELS[name])
    X, y = table(model)
    classes = np.unique(y) if is_classifier(model) else None
    seed = np.random.RandomState(0).randint(LARGEST_SEED)
    labels = make_folds(3, X, y, np.ones(len(X)), None, classes=classes, seed=seed).labels
    splits = [(np.flatnonzero(labels != fold), np.flatnonzero(labels == fold)) for fold in range(3)]
    assert_same(clone(model).set_params(cv=3).fit(X, y), clone(model).set_params(cv=splits).fit(X, y))


@pytest.mark.parametrize("name", MODELS)
def test_masks_and_splitters_are_splits_too(name):
    model = clone(MODELS[name])
    X, y = table(model)
    masks = [(np.isin(np.arange(len(X)), train), np.isin(np.arange(len(X)), test)) for train, test in splits_of(90)]
    splitter = KFold(3, shuffle=True, random_state=1)
    expected = clone(model).set_params(cv=splits_of(90)).fit(X, y)
    assert_same(clone(model).set_params(cv=masks).fit(X, y), expected)
    assert_same(clone(model).set_params(cv=splitter).fit(X, y), expected)


@pytest.mark.parametrize("name", MODELS)
def test_members_of_a_committee_without_early_stopping_run_to_the_end(name):
    model = clone(MODELS[name]).set_params(cv=3, early_stopping=False)
    X, y = table(model)
    model.fit(X, y)
    assert not hasattr(model, "validation_scores_")
    assert (model.n_members_, model.n_iter_) == (3, model.max_iter)
    assert np.isfinite(model.cv_prediction_).all()


@pytest.mark.parametrize("name", MODELS)
def test_a_single_network_leaves_no_trace_of_the_committee_before(name):
    model = clone(MODELS[name]).set_params(cv=3)
    X, y = table(model)
    model.fit(X, y).set_params(cv=None).fit(X, y)
    alone = clone(MODELS[name]).fit(X, y)
    assert vars(model).keys() == vars(alone).keys()
    np.testing.assert_array_equal(model.hidden_weights_, alone.hidden_weights_)
    assert alone.n_members_ == 1


@pytest.mark.parametrize("name", MODELS)
def test_what_is_refused(name):
    model = clone(MODELS[name])
    X, y = table(model)
    with pytest.raises(ValueError, match="groups are given, but cv=None leaves no rows out: set cv to"):
        model.fit(X, y, groups=np.arange(90))
    for wrong in (1, 0, -3, 2.5, "all"):
        with pytest.raises(ValueError, match="The 'cv' parameter of"):
            clone(model).set_params(cv=wrong).fit(X, y)
    for train, test in ((np.arange(5), []), ([], np.arange(5))):
        with pytest.raises(ValueError, match=r"split 1 of cv has no row of positive weight to (train on|leave out)"):
            clone(model).set_params(cv=[splits_of(90)[0], (train, test)]).fit(X, y)
    weight = np.repeat([1.0, 0.0], 45)
    with pytest.raises(ValueError, match=r"split 0 of cv has no row of positive weight to leave out"):
        clone(model).set_params(cv=[(np.arange(45), np.arange(45, 90))]).fit(X, y, sample_weight=weight)
    with pytest.raises(ValueError, match=r"cv=3 leaves a fold out, but the rows .* all equal or of one group"):
        clone(model).set_params(cv=3).fit(X, y, groups=np.zeros(90))


@pytest.mark.parametrize("name", MODELS)
def test_a_list_without_splits_is_refused_in_words(name):
    model = clone(MODELS[name]).set_params(cv=[])
    with pytest.raises(ValueError, match="cv holds no split"):
        model.fit(*table(model))


@pytest.mark.parametrize("name", MODELS)
def test_groups_of_another_length_are_named(name):
    model = clone(MODELS[name]).set_params(cv=3)
    X, y = table(model)
    with pytest.raises(ValueError, match="groups"):
        model.fit(X, y, groups=np.arange(3))


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
    folds = given_folds(splits, rng.random((n, 2)), rng.random(n), weights, None, classifier=False)
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


def test_automatic_folds_do_not_count_how_often_a_row_is_repeated(monkeypatch):
    monkeypatch.setattr(sksparsenn._estimators.folds, "MANY_ROWS", 25)
    X, y = np.arange(20.0)[:, None], np.arange(20.0)
    weighted = make_folds("auto", X, y, np.full(20, 2.0), None, classes=None, seed=0)
    twice = make_folds("auto", np.r_[X, X], np.r_[y, y], np.ones(40), None, classes=None, seed=0)
    assert len(twice) == len(weighted)


# -- weights, order --------------------------------------------------------------------------------


def assert_agree(first, second, X):
    expected = predictions(first, X)
    np.testing.assert_allclose(predictions(second, X), expected, rtol=1e-7, atol=1e-7 * np.abs(expected).max())


@pytest.mark.parametrize("name", MODELS | ON_PATH)
def test_a_row_of_weight_two_is_a_row_twice(name):
    model = clone((MODELS | ON_PATH)[name]).set_params(cv=3)
    X, y = table(model)
    times = np.random.default_rng(3).integers(1, 4, len(X))
    again = np.repeat(np.arange(len(X)), times)
    weighted = clone(model).fit(X, y, sample_weight=times)
    repeated = clone(model).fit(X[again], y[again])
    assert_agree(weighted, repeated, X)
    largest = np.abs(weighted.cv_prediction_).max()
    np.testing.assert_allclose(
        repeated.cv_prediction_, weighted.cv_prediction_[again], rtol=1e-7, atol=1e-7 * largest
    )
    unweighted = clone(model).fit(X, y)
    assert np.abs(predictions(unweighted, X) - predictions(weighted, X)).max() > 1e-3  # weights count


@pytest.mark.parametrize("name", MODELS | ON_PATH)
def test_the_order_of_rows_does_not_matter(name):
    model = clone((MODELS | ON_PATH)[name]).set_params(cv=3)
    X, y = table(model)
    groups, order = np.arange(90) // 4, np.random.default_rng(3).permutation(90)
    ordered = clone(model).fit(X, y, groups=groups)
    shuffled = clone(model).fit(X[order], y[order], groups=groups[order])
    assert_agree(ordered, shuffled, X)
    largest = np.abs(ordered.cv_prediction_).max()
    np.testing.assert_allclose(shuffled.cv_prediction_, ordered.cv_prediction_[order], rtol=1e-7, atol=1e-7 * largest)


@pytest.mark.parametrize("cv", ["number", "splits"])
@pytest.mark.parametrize("name", MODELS | ON_PATH)
def test_rows_of_weight_zero_change_nothing_and_are_predicted_by_all(name, cv):
    model = clone((MODELS | ON_PATH)[name])
    X, y = table(model)
    rng = np.random.default_rng(4)
    places = np.sort(rng.permutation(120)[:90])  # where the rows are among those that weigh nothing
    ballast_X, ballast_y, weight = rng.standard_normal((120, 4)) * 9, np.resize(y[::-1], 120), np.zeros(120)
    ballast_X[places], ballast_y[places], weight[places] = X, y, 1.0
    splits = [(places[train], places[test]) for train, test in splits_of(90)]
    alone = clone(model).set_params(cv=3 if cv == "number" else splits_of(90)).fit(X, y)
    model.set_params(cv=3 if cv == "number" else splits).fit(ballast_X, ballast_y, sample_weight=weight)
    np.testing.assert_array_equal(model.hidden_weights_, alone.hidden_weights_)
    np.testing.assert_array_equal(model.cv_prediction_[places], alone.cv_prediction_)
    others = np.flatnonzero(weight == 0)
    np.testing.assert_allclose(model.cv_prediction_[others], predictions(model, ballast_X[others]), rtol=1e-9)


@pytest.mark.parametrize("name", MODELS)
def test_a_fold_of_vanishing_weight_is_no_fold(name):
    """Rows whose share of all weights rounds to zero count as rows of weight zero."""
    model = clone(MODELS[name]).set_params(cv="auto")
    X, y = table(model)
    X, y = np.repeat(X[:2], 2, axis=0), np.array([0, 1, 0, 1])
    weight = np.array([1e10, 1e10, 5e-324, 5e-324])
    negligible = clone(model).fit(X, y, sample_weight=weight)
    zero = clone(model).fit(X, y, sample_weight=np.where(weight < 1, 0.0, weight))
    np.testing.assert_array_equal(negligible.hidden_weights_, zero.hidden_weights_)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_fold_of_a_class_without_weight_is_no_fold(name):
    """As if its rows weighed nothing themselves: there is nothing in it by which training could be stopped."""
    model = clone(CLASSIFIERS[name]).set_params(cv=3, class_weight={0: 1.0, 1: 1.0, 2: 0.0})
    X, y = np.random.default_rng(0).standard_normal((3, 4)), np.array([0, 1, 2])
    model.fit(X, y)
    assert model.n_members_ == 2
    assert np.isfinite(model.hidden_weights_).all()
    assert (model.validation_scores_ < 0).all()


@pytest.mark.parametrize("name", MODELS)
def test_equal_rows_and_groups_are_left_out_together(name):
    """A row of which a copy, or a member of its group, is trained on would be known: here targets are noise."""
    model = clone(MODELS[name]).set_params(cv=3)
    X, y = table(model, 45)
    groups = np.r_[np.arange(45), np.arange(45)]
    model.fit(np.r_[X, X + 1e-9], np.r_[y, y], groups=groups)
    by = [predictions(single, np.r_[X, X + 1e-9]) for single in members(model)]
    distances = np.array([np.abs(model.cv_prediction_ - one).reshape(90, -1).max(axis=1) for one in by])
    who = distances.argmin(axis=0)
    np.testing.assert_array_equal(who[:45], who[45:])
    model.fit(np.r_[X, X], np.r_[y, y])
    np.testing.assert_array_equal(model.cv_prediction_[:45], model.cv_prediction_[45:])


# -- predictions of rows left out ------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", MODELS | ON_PATH)
def test_rows_are_predicted_by_the_one_member_that_left_them_out(name, dtype):
    model = clone((MODELS | ON_PATH)[name]).set_params(cv=4)
    X, y = table(model)
    X, classes = X.astype(dtype), np.unique(y) if is_classifier(model) else None
    model.fit(X, y)
    seed = np.random.RandomState(0).randint(LARGEST_SEED)
    labels = make_folds(4, X, y, np.ones(len(X)), None, classes=classes, seed=seed).labels
    by = np.array([predictions(single, X) for single in members(model)])
    eps = 20 * np.finfo(dtype).eps * np.abs(by).max()
    np.testing.assert_allclose(model.cv_prediction_, by[labels, np.arange(len(X))], rtol=0, atol=eps)
    others = by[(labels + 1) % 4, np.arange(len(X))]
    assert np.abs(model.cv_prediction_ - others).max() > 100 * eps
    if is_classifier(model):
        np.testing.assert_allclose(model.cv_prediction_.sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize(
    ("loss", "n_classes"), [(None, None), *((loss, n) for loss in ("squared_error", "log_loss") for n in (2, 3))]
)
@pytest.mark.parametrize("name", ["gd", "sgd", "gauss_newton"])
def test_rows_left_out_never_or_twice(name, loss, n_classes):
    """NaN, and the prediction of the mean of the networks that left them out."""
    model = clone(MODELS[name]) if loss is None else clone(CLASSIFIERS[name]).set_params(loss=loss)
    X, y = table(model)
    y = y if n_classes is None else y % n_classes
    splits = list(ShuffleSplit(3, test_size=0.3, random_state=0).split(X))
    model.set_params(cv=splits).fit(X, y)
    left_out = np.array([np.isin(np.arange(len(X)), test) for _, test in splits])
    times = left_out.sum(axis=0)
    assert {0, 1, 2} <= set(times)
    assert model.cv_prediction_.shape == ((90,) if n_classes is None else (90, n_classes))
    predicted, known = model.cv_prediction_.reshape(90, -1), times > 0
    by = [scores(single, X).reshape(len(X), -1) for single in members(model)]
    mean = sum(out[:, None] * part for out, part in zip(left_out, by, strict=True))[known] / times[known][:, None]
    if n_classes == 2:  # a score of the second class
        mean = np.hstack([np.zeros_like(mean), mean]) if loss == "log_loss" else np.hstack([-mean, mean])
    if loss == "log_loss":
        mean = softmax(mean / model.temperature_, axis=1)
    if loss == "squared_error":
        mean = np.maximum(1 + mean, 0)
        mean /= mean.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(predicted[known], mean, rtol=0, atol=1e-12 * np.abs(mean).max())
    if n_classes is not None:
        np.testing.assert_allclose(predicted[known].sum(axis=1), 1, rtol=1e-12)
    assert np.isnan(predicted[~known]).all()


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("solver", ["gd", "sgd"])
def test_the_hinge_has_scores_of_rows_left_out(solver, n_classes):
    model = clone(CLASSIFIERS[solver]).set_params(loss="hinge", cv=splits_of(90))
    X, y = table(model)
    model.fit(X, y % n_classes)
    assert model.cv_prediction_.shape == ((90,) if n_classes == 2 else (90, 3))
    for single, (_, test) in zip(members(model), splits_of(90), strict=True):
        np.testing.assert_allclose(model.cv_prediction_[test], single.decision_function(X[test]), rtol=1e-12)
    assert (model.cv_prediction_ < 0).any()


@pytest.mark.parametrize("name", ["gd", "sgd", "gauss_newton"])
def test_several_outputs(name):
    model = clone(MODELS[name]).set_params(cv=splits_of(90))
    X, y = table(model)
    model.fit(X, np.c_[y, 100 * y**2])
    assert model.cv_prediction_.shape == (90, 2)
    mean = np.mean([single.predict(X) for single in members(model)], axis=0)
    np.testing.assert_allclose(model.predict(X), mean, rtol=1e-9, atol=1e-12 * np.abs(mean).max())
    for single, (_, test) in zip(members(model), splits_of(90), strict=True):
        np.testing.assert_allclose(model.cv_prediction_[test], single.predict(X[test]), rtol=1e-12)
    column = clone(model).fit(X, y[:, None])
    assert column.cv_prediction_.shape == (90, 1)


@pytest.mark.parametrize("name", ["gd", "sgd", "gd classifier"])
def test_sparse_and_dense_rows_make_the_same_committee(name):
    model = clone(MODELS[name]).set_params(cv=3)
    X, y = table(model)
    X = np.where(X > 0.5, X, 0.0)
    dense, thin = clone(model).fit(X, y), clone(model).fit(sparse.csr_matrix(X), y)
    assert_agree(dense, thin, X)
    np.testing.assert_allclose(thin.cv_prediction_, dense.cv_prediction_, rtol=1e-7, atol=1e-9)


# -- classes that a fold lacks ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "loss"),
    [(name, loss) for name in CLASSIFIERS for loss in ("log_loss", "squared_error")] + [("gd", "hinge")],
)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_class_with_a_single_row_is_missing_where_that_is_left_out(n_classes, name, loss):
    model = clone(CLASSIFIERS[name]).set_params(loss=loss, cv=3)
    X, y = table(model)
    y = np.array(["b", "a", "c"])[np.r_[n_classes - 1, np.minimum(y[1:], n_classes - 2)]]
    model.fit(X, y)
    assert model.n_members_ == 3
    assert model.classes_.tolist() == sorted(set(y))
    assert set(model.predict(X)) <= set(y)
    assert np.isfinite(model.hidden_weights_).all()
    assert np.isfinite(model.cv_prediction_).all()
    if loss != "hinge":
        assert model.predict_proba(X).shape == model.cv_prediction_.shape == (90, n_classes)
        np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1, rtol=1e-12)
    weighted = clone(model).set_params(class_weight="balanced").fit(X, y)
    assert np.isfinite(weighted.cv_prediction_).all()


# -- threads, watching, interruption ---------------------------------------------------------------


@pytest.fixture
def side_by_side(monkeypatch):
    """Members are trained on threads, however little there is to compute; return the threads that were used."""
    used = set()
    advance = sksparsenn._training.side_by_side.Training.advance

    def noted(training, *args):
        used.add(threading.current_thread().name)
        return advance(training, *args)

    monkeypatch.setattr(sksparsenn._training.side_by_side, "WORTH_SIDE_BY_SIDE", 0)
    monkeypatch.setattr(sksparsenn._training.side_by_side.Training, "advance", noted)
    return used


@pytest.fixture(params=["in turn", "side by side"])
def either_way(request):
    """Both ways of training members, the second on two threads."""
    if request.param == "in turn":
        yield request.param
        return
    request.getfixturevalue("side_by_side")
    with threadpool_limits(2, user_api="openmp"):
        yield request.param


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", MODELS | ON_PATH)
def test_the_same_bits_however_many_threads(name, dtype, side_by_side, capsys):
    """And whether or not iterations are watched, where members wait for each other after each."""
    model = clone((MODELS | ON_PATH)[name]).set_params(cv=4, n_iter_no_change=2)
    X, y = table(model)
    X = X.astype(dtype)
    main = threading.current_thread().name
    in_turn = None
    for n_threads, verbose in ((1, False), (1, True), (2, False), (2, True), (3, False)):
        side_by_side.clear()
        with threadpool_limits(n_threads, user_api="openmp"):
            fitted = clone(model).set_params(verbose=verbose).fit(X, y)
        in_turn = fitted if in_turn is None else in_turn
        assert_same(fitted, in_turn)
        assert (main in side_by_side) == (n_threads == 1 or not built_with_openmp())
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == (fitted.n_iter_ + 1 if verbose else 0)
        assert all("of 4 networks go on, validation score" in line for line in lines[:-1])


class Watcher:
    """A callback that scores the network after each iteration, and may raise or ask to stop."""

    def __init__(self, error=None, raise_after=None, stop_after=None):
        self.error, self.raise_after, self.stop_after, self.scores = error, raise_after, stop_after, []

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, fitted_estimator=None):
        if context.task_name != "iteration":
            return False
        self.scores.append(fitted_estimator.score(X, y))
        if len(self.scores) == self.raise_after:
            raise self.error
        return len(self.scores) == self.stop_after


if hasattr(SparseShiftedReLURegressor, "set_callbacks"):  # scikit-learn from 1.9 on

    @pytest.mark.parametrize("name", MODELS)
    def test_callbacks_see_the_committee_after_each_iteration(name, either_way):
        model, watcher = clone(MODELS[name]).set_params(cv=3, n_iter_no_change=1000), Watcher()
        X, y = table(model)
        watched = clone(model).set_callbacks(watcher).fit(X, y)
        assert_same(watched, clone(model).fit(X, y))
        assert len(watcher.scores) == model.max_iter
        for k in (1, model.max_iter):
            plain = clone(model).set_params(max_iter=k, early_stopping=False).fit(X, y)
            assert watcher.scores[k - 1] == pytest.approx(plain.score(X, y), abs=1e-12)

    @pytest.mark.parametrize("name", MODELS)
    def test_a_callback_stops_all_members(name, either_way):
        model = clone(MODELS[name]).set_params(cv=3, n_iter_no_change=1000)
        X, y = table(model)
        stopped = clone(model).set_callbacks(Watcher(stop_after=2)).fit(X, y)
        assert (stopped.n_iter_, stopped.stop_reason_) == (2, "callback")
        expected = clone(model).set_params(max_iter=2).fit(X, y)
        np.testing.assert_array_equal(stopped.hidden_weights_, expected.hidden_weights_)

    @pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
    @pytest.mark.parametrize("name", MODELS)
    def test_an_error_in_a_callback_leaves_the_last_fit(name, error, either_way):
        model = clone(MODELS[name]).set_params(cv=3)
        X, y = table(model)
        model.fit(X, y).set_callbacks(Watcher(error, raise_after=2))
        before = dict(vars(model))
        with pytest.raises(error):
            model.fit(X[:60, :2], y[:60])
        assert_unchanged(model, before)


@pytest.mark.parametrize(
    ("error", "fitted"), [(KeyboardInterrupt, False), (KeyboardInterrupt, True), (ZeroDivisionError, True)]
)
@pytest.mark.parametrize("name", MODELS)
def test_an_error_in_one_member_reaches_the_caller_and_leaves_the_last_fit(
    name, error, fitted, either_way, monkeypatch
):
    model = clone(MODELS[name]).set_params(cv=3, warm_start=True, n_iter_no_change=1000)
    X, y = table(model)
    if fitted:
        model.fit(X, y)
    before, calls = dict(vars(model)), []
    reached = sksparsenn._training.early_stopping.EarlyStopping.reached

    def fails(stopping, *args, **more):
        calls.append(1)
        if len(calls) == 5:
            raise error("of one member")
        return reached(stopping, *args, **more)

    monkeypatch.setattr(sksparsenn._training.early_stopping.EarlyStopping, "reached", fails)
    with pytest.raises(error, match="of one member"):
        model.fit(X, y)
    assert len(calls) >= 5
    assert_unchanged(model, before)
    monkeypatch.undo()
    if fitted:
        assert np.isfinite(model.predict(X)).all()
        model.fit(X, y)  # nothing is left half done
        assert model.n_iter_ == 2 * model.max_iter


@pytest.mark.parametrize("name", ["gd", "sgd"])
def test_ctrl_c_ends_all_threads(name, either_way, interruption_reaches_the_fit):
    model = clone(MODELS[name]).set_params(cv=3)
    X, y = table(model)
    model.fit(X, y)
    before = dict(vars(model))
    model.set_params(max_iter=10**6, n_iter_no_change=10**6)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    timer.join()
    assert_unchanged(model, before, ("max_iter", "n_iter_no_change"))
    deadline = time.monotonic() + 30  # an iteration takes a millisecond
    while any(thread.name.startswith("sksparsenn") for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert np.isfinite(model.predict(X)).all()


@pytest.mark.parametrize("early_stopping", ["auto", False])
@pytest.mark.parametrize("name", ["gd", "gd classifier"])
def test_divergence_of_members_is_told_as_such(name, early_stopping, either_way):
    model = clone(MODELS[name]).set_params(cv=3, loss="squared_error", early_stopping=early_stopping)
    X, y = table(model)
    model.fit(X, y)
    before = dict(vars(model))
    model.set_params(learning_rate=1e6, max_iter=50)
    with pytest.raises(ValueError, match=r"training diverged: .* lower learning_rate"):
        model.fit(X, y)
    assert_unchanged(model, before, ("learning_rate", "max_iter"))


# -- going on --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("random_state", "dtype"), [(0, np.float32), ("generator", np.float64)])
@pytest.mark.parametrize("name", MODELS | ON_PATH)
def test_five_iterations_twice_are_ten(name, random_state, dtype):
    """With the same folds, also where they are drawn from a generator that has gone on in between."""
    model = clone((MODELS | ON_PATH)[name]).set_params(cv=3, n_iter_no_change=1000)
    X, y = table(model)
    X = X.astype(dtype)

    def starting(**params):
        seed = np.random.RandomState(3) if random_state == "generator" else random_state
        return clone(model).set_params(random_state=seed, **params)

    whole = starting(max_iter=10).fit(X, y)
    halves = starting(max_iter=5, warm_start=True).fit(X, y).fit(X, y)
    assert whole.n_iter_ == 10
    assert_same(halves, whole, but=WORK)
    np.testing.assert_array_equal(halves.predict(X), whole.predict(X))


@pytest.mark.parametrize("name", ["gd", "gauss_newton", "gauss_newton, on a path"])
def test_five_iterations_twice_are_ten_where_members_have_ended_in_the_first(name):
    """A member that its fold has stopped stays as it is while others go on."""
    model = clone((MODELS | ON_PATH)[name]).set_params(cv=3, n_iter_no_change=2)
    if name != "gauss_newton, on a path":
        model.set_params(alpha=0.0)
    rng = np.random.default_rng(6)
    X, y = rng.standard_normal((60, 4)), rng.standard_normal(60)
    X[:30] *= 0.1  # noise that one member learns sooner than another
    splits = [(np.arange(10, 60), np.arange(10)), (np.arange(50), np.arange(50, 60))]
    y[:50] += 3 * X[:50, 0]
    model.set_params(cv=splits)
    ends = [
        clone(model).set_params(cv=[split], random_state=generator_of_member(k), max_iter=30).fit(X, y).n_iter_
        for k, split in enumerate(splits)
    ]
    assert min(ends) < max(ends)
    half = max(ends) - 1  # the first fit ends one member by max_iter, the other by its fold
    whole = clone(model).set_params(max_iter=2 * half).fit(X, y)
    halves = clone(model).set_params(max_iter=half, warm_start=True).fit(X, y)
    assert halves.stop_reason_ == "max_iter"
    assert_same(halves.fit(X, y), whole, but=WORK)


@pytest.mark.parametrize("name", MODELS)
def test_other_data_start_from_the_weights_of_each_member(name):
    model = clone(MODELS[name]).set_params(cv=3, warm_start=True)
    X, y = table(model)
    model.fit(X, y)
    weights, start = model.hidden_weights_, model.initial_weights_
    noisy = np.roll(y, 1)
    remembering = copy.deepcopy(model).fit(X, noisy)
    forgetting = clone(model).set_params(warm_start=False).fit(X, y).set_params(warm_start=True).fit(X, noisy)
    assert_same(remembering, forgetting)
    np.testing.assert_array_equal(remembering.initial_weights_, start)
    assert not np.array_equal(remembering.hidden_weights_, weights)
    assert remembering.n_iter_ <= model.max_iter


@pytest.mark.parametrize("change", [{"cv": 4}, {"cv": None}, {"width": 30}, {"width": 120, "cv": None}])
@pytest.mark.parametrize("name", MODELS)
def test_another_number_or_width_of_networks_cannot_go_on(name, change):
    model = clone(MODELS[name]).set_params(cv=3, warm_start=True)
    X, y = table(model)
    model.fit(X, y).set_params(**change)
    with pytest.raises(ValueError, match=r"training goes on from 3 networks of width 40 with \d outputs?, but"):
        model.fit(X, y)


# -- validation rows of the user -------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS | ON_PATH)
def test_rows_of_the_user_stop_every_member_in_place_of_its_fold(name):
    model = clone((MODELS | ON_PATH)[name]).set_params(n_iter_no_change=1000)
    X, y = table(model)
    (X_val, y_val), splits = table(model, 50, seed=1), splits_of(90)
    committee = clone(model).set_params(cv=splits).fit(X, y, X_val=X_val, y_val=y_val)
    folds = clone(model).set_params(cv=splits).fit(X, y)
    alone = [
        clone(model).set_params(cv=[split], random_state=generator_of_member(place)).fit(X, y, X_val=X_val, y_val=y_val)
        for place, split in enumerate(splits)
    ]
    expected = np.mean([single.validation_scores_ for single in alone], axis=0)
    np.testing.assert_allclose(committee.validation_scores_, expected, rtol=1e-12)
    assert not np.array_equal(committee.validation_scores_, folds.validation_scores_)
    np.testing.assert_array_equal(committee.best_iteration_, [single.best_iteration_ for single in alone])
    if not is_classifier(model):  # the weights kept are those of the best scores
        best = [r2_score(y_val, single.predict(X_val)) for single in members(committee)]
        assert committee.best_validation_score_ == pytest.approx(np.mean(best), abs=1e-12)
    # Folds are left out all the same.
    np.testing.assert_array_equal(np.isnan(committee.cv_prediction_), False)
    for single, (_, test) in zip(members(committee), splits, strict=True):
        np.testing.assert_allclose(committee.cv_prediction_[test], predictions(single, X[test]), rtol=1e-9)


# -- streams ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", FIRST_ORDER)
def test_a_stream_goes_on_with_all_neurons_as_one_network(name, dtype):
    model = clone(MODELS[name]).set_params(cv=3)
    X, y = table(model)
    X = X.astype(dtype)
    model.fit(X, y)
    before, weights = scores(model, X), model.hidden_weights_
    still = copy.copy(model).set_params(learning_rate=1e-12, momentum=0.0, alpha=0.0).partial_fit(X, y)
    np.testing.assert_allclose(scores(still, X), before, rtol=0, atol=1e-5 if dtype == np.float32 else 1e-10)
    model.partial_fit(X, y)
    for fitted in (still, model):
        assert fitted.hidden_weights_.shape == fitted.initial_weights_.shape == (120, 5)
        assert fitted.n_members_ == 1
        for attribute in ("cv_prediction_", "validation_scores_", "best_iteration_", "best_validation_score_"):
            assert not hasattr(fitted, attribute)
    assert not np.array_equal(model.hidden_weights_, weights)


@pytest.mark.parametrize("name", MODELS)
def test_a_generator_of_splits_trains_and_goes_on(name):
    """It is used up by a fit, and cannot be hashed for the key of a warm start."""
    model = clone(MODELS[name]).set_params(warm_start=True)
    X, y = table(model)
    listed = clone(model).set_params(cv=splits_of(len(X))).fit(X, y)
    model.cv = (split for split in splits_of(len(X)))
    np.testing.assert_array_equal(model.fit(X, y).hidden_weights_, listed.hidden_weights_)
    with pytest.raises(ValueError, match="cv holds no split"):
        model.fit(X, y)


@pytest.mark.parametrize("name", FIRST_ORDER)
def test_a_stream_has_many_parts_after_a_committee(name):
    model = clone(MODELS[name]).set_params(cv=3)
    X, y = table(model)
    model.fit(X, y)
    for part in range(1, 4):
        model.partial_fit(*table(model, seed=part))
    assert model.hidden_weights_.shape == (120, 5)
    assert np.isfinite(model.predict(X)).all()
    with pytest.raises(ValueError, match=r"goes on from a network of width 40 with .* but width=20"):
        model.set_params(width=20).partial_fit(X, y)


@pytest.mark.parametrize("name", FIRST_ORDER)
def test_a_stream_is_a_single_network_whatever_cv(name):
    model = clone(MODELS[name])
    X, y = table(model)
    more = {"classes": [0, 1, 2]} if is_classifier(model) else {}
    plain, committee = (clone(model).set_params(cv=cv).partial_fit(X, y, **more) for cv in (None, 3))
    np.testing.assert_array_equal(committee.hidden_weights_, plain.hidden_weights_)
    assert committee.n_members_ == 1
    assert not hasattr(committee, "cv_prediction_")


# -- groups that a router passes on ----------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_groups_pass_a_pipeline(name):
    model = clone(MODELS[name]).set_params(cv=3)
    X, y = table(model)
    groups = np.arange(90) // 6
    with sklearn.config_context(enable_metadata_routing=True):
        pipeline = make_pipeline(StandardScaler(), clone(model).set_fit_request(groups=True))
        pipeline.fit(X, y, groups=groups)
    by_hand = clone(model).fit(StandardScaler().fit_transform(X), y, groups=groups)
    assert_same(pipeline[-1], by_hand)
    assert not np.array_equal(
        by_hand.hidden_weights_, clone(model).fit(StandardScaler().fit_transform(X), y).hidden_weights_
    )


@pytest.mark.parametrize("name", MODELS)
def test_groups_pass_cross_validation(name):
    """Those of the rows that it trains on, also to folds that are groups by a splitter."""
    X, y = table(MODELS[name])
    groups, outer = np.random.default_rng(2).integers(0, 12, 90), GroupKFold(2)
    for cv in (3, GroupKFold(3)):
        with sklearn.config_context(enable_metadata_routing=True):
            model = clone(MODELS[name]).set_params(cv=cv).set_fit_request(groups=True)
            found = cross_validate(model, X, y, cv=outer, params={"groups": groups}, return_estimator=True)
        for fitted, (train, _) in zip(found["estimator"], outer.split(X, y, groups), strict=True):
            expected = clone(MODELS[name]).set_params(cv=cv).fit(X[train], y[train], groups=groups[train])
            assert_same(fitted, expected)
