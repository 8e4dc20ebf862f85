"""Committees: networks that each leave out a fold, whose mean is one network."""

import numpy as np
import pytest
import sklearn
from committees import (
    CLASSIFIERS,
    LARGEST_SEED,
    MODELS,
    ON_PATH,
    assert_same,
    generator_of_member,
    members,
    predictions,
    scores,
    splits_of,
    table,
)
from scipy import sparse
from scipy.special import softmax
from sklearn.base import clone, is_classifier
from sklearn.metrics import r2_score
from sklearn.model_selection import GroupKFold, KFold, ShuffleSplit, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sksparsenn._estimators.folds import make_folds

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
    np.testing.assert_allclose(repeated.cv_prediction_, weighted.cv_prediction_[again], rtol=1e-7, atol=1e-7 * largest)
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
