"""Committees to test: estimators, a table, and what members of a committee and their fits have to be compared by."""

import copy

import numpy as np
from single_networks import (
    SketchedGaussNewtonClassifier,
    SketchedGaussNewtonRegressor,
    SparseShiftedReLUClassifier,
    SparseShiftedReLURegressor,
)
from sklearn.base import clone, is_classifier
from sklearn.model_selection import KFold

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
