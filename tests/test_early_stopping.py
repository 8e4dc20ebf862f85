"""Validation during training: which rows, which score, which weights are kept."""

import numpy as np
import pytest
import sklearn
from single_networks import (
    SketchedGaussNewtonClassifier,
    SketchedGaussNewtonRegressor,
    SparseShiftedReLUClassifier,
    SparseShiftedReLURegressor,
)
from sklearn.base import clone, is_classifier
from sklearn.datasets import load_diabetes
from sklearn.metrics import log_loss, r2_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sksparsenn._estimators.targets import Numbers
from sksparsenn._training.early_stopping import EarlyStopping, HeldOutRows

MODELS = {
    "gd": SparseShiftedReLURegressor(100, shift=0.8, max_iter=40, random_state=0),
    "sgd": SparseShiftedReLURegressor(100, shift=0.8, solver="sgd", batch_size=50, max_iter=15, random_state=0),
    "gauss_newton": SketchedGaussNewtonRegressor(100, shift=0.8, solver="cholesky", max_iter=12, random_state=0),
    "gd classifier": SparseShiftedReLUClassifier(100, shift=0.8, max_iter=40, random_state=0),
    "gauss_newton classifier": SketchedGaussNewtonClassifier(
        100, shift=0.8, solver="cholesky", max_iter=8, random_state=0
    ),
}


def table(model, n=200, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 6))
    y = X[:, 0] + np.sin(3 * X[:, 1]) + 1.5 * rng.standard_normal(n)
    return X, np.digitize(y, [-1, 1]) if is_classifier(model) else y


def score_of(model, X, y, weight=None):
    """R2, or minus the mean loss of a classifier: here the squared error of three scores in standard units, or the log
    loss."""
    if not is_classifier(model):
        return r2_score(y, model.predict(X), sample_weight=weight)
    if model.loss == "log_loss":
        return -log_loss(y, model.predict_proba(X), sample_weight=weight)
    signs = 2.0 * (y[:, None] == model.classes_) - 1
    errors = (model.decision_function(X) - signs) / model._target_scale
    return -np.average(0.5 * np.square(errors).sum(axis=1), weights=weight)


@pytest.mark.parametrize("name", MODELS)
def test_scores_are_those_of_the_network_after_each_iteration_and_the_best_is_kept(name):
    model = clone(MODELS[name]).set_params(tol=0, n_iter_no_change=1000)
    X, y = table(model)
    X_val, y_val = table(model, 80, seed=1)
    weight_val = np.random.default_rng(2).uniform(0.5, 2, 80)
    stopped = clone(model).fit(X, y, X_val=X_val, y_val=y_val, sample_weight_val=weight_val)
    assert stopped.validation_scores_.shape == (stopped.n_iter_,)
    # Without validation, training takes the same way.
    for iterations in (1, 2, stopped.best_iteration_, stopped.n_iter_):
        plain = clone(model).set_params(max_iter=iterations).fit(X, y)
        assert plain.n_iter_ == iterations
        expected = score_of(plain, X_val, y_val, weight_val)
        assert stopped.validation_scores_[iterations - 1] == pytest.approx(expected, abs=1e-12)
    best = clone(model).set_params(max_iter=stopped.best_iteration_).fit(X, y)
    np.testing.assert_array_equal(stopped.hidden_weights_, best.hidden_weights_)
    assert stopped.best_iteration_ == 1 + np.argmax(stopped.validation_scores_) < stopped.n_iter_
    assert stopped.best_validation_score_ == stopped.validation_scores_.max()


@pytest.mark.parametrize("name", MODELS)
def test_a_part_is_held_out(name):
    """Of the rows that weigh something; classes keep their shares."""
    model = clone(MODELS[name]).set_params(early_stopping=True, validation_fraction=0.25, tol=0, n_iter_no_change=1000)
    X, y = table(model)
    seed = np.random.RandomState(0).randint(2**31 - 1)
    stratify = y if is_classifier(model) else None
    X_fit, X_val, y_fit, y_val = train_test_split(X, y, test_size=0.25, random_state=seed, stratify=stratify)
    held_out = clone(model).fit(X, y)
    given = clone(model).fit(X_fit, y_fit, X_val=X_val, y_val=y_val)
    np.testing.assert_array_equal(held_out.hidden_weights_, given.hidden_weights_)
    np.testing.assert_array_equal(held_out.validation_scores_, given.validation_scores_)
    ballast = clone(model).fit(np.r_[X, X + 9], np.r_[y, y[::-1]], sample_weight=np.repeat([1.0, 0.0], len(X)))
    np.testing.assert_array_equal(held_out.hidden_weights_, ballast.hidden_weights_)


@pytest.mark.parametrize("name", MODELS)
def test_training_stops_when_the_score_no_longer_rises(name):
    model = clone(MODELS[name]).set_params(max_iter=500, tol=1e-3, n_iter_no_change=5, early_stopping=True)
    model.set_params(validation_fraction=0.3)
    model.fit(*table(model))
    never = clone(model).set_params(early_stopping=False, max_iter=model.n_iter_ + 100, tol=0).fit(*table(model))
    assert model.stop_reason_ == "validation"
    assert model.n_iter_ < 500
    # Gauss-Newton's steps that were taken back do not count, but for the first.
    counts = getattr(model, "accepted_curve_", np.ones(model.n_iter_, dtype=bool)) | (np.arange(model.n_iter_) == 0)
    scores = model.validation_scores_[counts]
    best = np.maximum.accumulate(scores)[-6:-1]
    perfect = 0 if is_classifier(model) else 1
    assert (scores[-5:] <= best + 1e-3 * (perfect - best)).all()
    np.testing.assert_array_equal(model.validation_scores_[1:][~counts[1:]], model.validation_scores_[:-1][~counts[1:]])
    assert score_of(model, *table(model, 500, seed=3)) > score_of(never, *table(model, 500, seed=3))


def test_the_mean_iterate_is_what_is_validated():
    model = SparseShiftedReLURegressor(50, shift=0.8, solver="sgd", average="mean", max_iter=4, tol=0, random_state=0)
    X, y = table(model)
    X_val, y_val = table(model, 80, seed=1)
    stopped = clone(model).fit(X, y, X_val=X_val, y_val=y_val)
    plain = clone(model).fit(X, y)
    assert stopped.validation_scores_[-1] == pytest.approx(plain.score(X_val, y_val), abs=1e-12)


def test_early_stopping_cures_what_a_wide_network_does_to_few_noisy_rows():
    X, y = load_diabetes(return_X_y=True)
    X_fit, X_test, y_fit, y_test = train_test_split(X, y, random_state=0)
    model = SparseShiftedReLURegressor(max_iter=200, random_state=0)
    never = clone(model).fit(X_fit, y_fit).score(X_test, y_test)
    stopped = clone(model).set_params(early_stopping=True).fit(X_fit, y_fit).score(X_test, y_test)
    assert stopped > never + 0.1


@pytest.mark.parametrize("name", MODELS)
def test_validation_leaves_no_trace_where_it_was_not_asked_for(name):
    model = clone(MODELS[name])
    X, y = table(model)
    model.fit(X, y, X_val=X[:50], y_val=y[:50])
    assert hasattr(model, "validation_scores_")
    model.fit(X, y)
    for attribute in ("validation_scores_", "best_iteration_", "best_validation_score_"):
        assert not hasattr(model, attribute)


@pytest.mark.parametrize("name", MODELS)
def test_what_is_refused(name):
    model = clone(MODELS[name])
    X, y = table(model)
    with pytest.raises(ValueError, match="y_val is missing: X_val and y_val have to be given together"):
        model.fit(X, y, X_val=X)
    with pytest.raises(ValueError, match="X_val is missing"):
        model.fit(X, y, y_val=y)
    with pytest.raises(ValueError, match=r"sample_weight_val is given without X_val and y_val"):
        model.fit(X, y, sample_weight_val=np.ones(3))
    with pytest.raises(ValueError, match="X_val is given, but early_stopping=False"):
        clone(model).set_params(early_stopping=False).fit(X, y, X_val=X, y_val=y)
    with pytest.raises(ValueError, match=r"X_val has 2 features, but X has 6"):
        model.fit(X, y, X_val=X[:, :2], y_val=y)
    with pytest.raises(ValueError, match=r"sample_weight_val is zero for every sample|at least one non-zero"):
        model.fit(X, y, X_val=X, y_val=y, sample_weight_val=np.zeros(len(X)))
    with pytest.raises(ValueError, match="Input X_val contains NaN"):
        model.fit(X, y, X_val=np.where(X > 2, np.nan, X), y_val=y)
    with pytest.raises(ValueError, match="Input y_val contains NaN"):
        model.fit(X, y, X_val=X, y_val=np.where(X[:, 0] > 1, np.nan, y))
    for wrong in (np.ones(3), -np.ones(len(X)), np.zeros(len(X))):
        with pytest.raises(ValueError, match="sample_weight_val"):
            model.fit(X, y, X_val=X, y_val=y, sample_weight_val=wrong)
    with pytest.raises(ValueError, match="Input sample_weight_val contains NaN"):
        model.fit(X, y, X_val=X, y_val=y, sample_weight_val=np.full(len(X), np.nan))
    with pytest.raises(ValueError, match="X_val: Expected 2D array, got 1D array"):
        model.fit(X, y, X_val=X[:, 0], y_val=y)
    with pytest.raises(ValueError, match="X_val: Found array with 0 sample"):
        model.fit(X, y, X_val=X[:0], y_val=y[:0])
    with pytest.raises(ValueError, match="X_val holds 200 samples, but y_val 3: give a target for each"):
        model.fit(X, y, X_val=X, y_val=y[:3])
    if is_classifier(model):
        with pytest.raises(ValueError, match=r"y_val holds labels .*: \[5\] not in \[0, 1, 2\]"):
            model.fit(X, y, X_val=X[:2], y_val=[1, 5])
        with pytest.raises(ValueError, match=r"y_val holds labels .* and 195 more not in"):
            model.fit(X, y, X_val=X, y_val=np.arange(200) + 5)
    else:
        with pytest.raises(ValueError, match="y_val has 2 outputs, but y has 1"):
            model.fit(X, y, X_val=X, y_val=np.c_[y, y])
        with pytest.raises(ValueError, match="y_val has to hold numbers, got an array of <U1; a classifier takes"):
            model.fit(X, y, X_val=X, y_val=np.full(200, "a"))
        with pytest.raises(ValueError, match="y has to hold numbers, got an array of <U1; a classifier takes"):
            model.fit(X, np.full(200, "a"))
    assert not hasattr(model, "hidden_weights_")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rate", [1e6, 1e30])
def test_divergence_is_told_as_such_with_validation_too(rate, dtype):
    model = clone(MODELS["gd"]).set_params(learning_rate=rate)
    X, y = table(model)
    X = X.astype(dtype)
    with pytest.raises(ValueError, match=r"training diverged: .* lower learning_rate"):
        model.fit(X, y, X_val=X, y_val=y)


def test_outputs_that_overflow_score_worst():
    class Outputs:
        """A search, and its candidates, for networks whose outputs are given."""

        def candidates(self, weights):
            return self, None

        def forward(self, network):
            return None, network.outputs

        def learn(self, firing):
            pass

    class Network:
        weights = np.zeros(1)

        def __init__(self, *outputs):
            self.outputs = np.array(outputs)

    stopping = EarlyStopping(HeldOutRows(Outputs(), np.sum), 9.0, 0.0, 2)
    assert not stopping.reached(Network(np.nan, 1.0))
    assert not stopping.reached(Network(1.0, 2.0))
    assert not stopping.reached(Network(np.inf, 1.0))
    assert stopping.reached(Network(np.nan, np.inf))
    assert stopping.scores == [-np.inf, 3.0, -np.inf, -np.inf]
    assert stopping.best_iteration == 2


@pytest.mark.parametrize("name", ["gd classifier", "gauss_newton classifier"])
def test_splits_that_a_class_does_not_survive(name):
    model = clone(MODELS[name]).set_params(early_stopping=True)
    X, y = table(model)
    with pytest.raises(ValueError, match=r"class 7 has 1 sample, but early stopping needs two of each .* X_val and"):
        model.fit(X, np.r_[7, y[1:]])
    with pytest.raises(ValueError, match=r"validation_fraction=0.1 of 20 samples holds out 2 and fits 18, but .* 3 cl"):
        model.fit(X[:20], y[:20])
    with pytest.raises(ValueError, match=r"validation_fraction=0.9 of 20 samples holds out 18 and fits 2, but .* 3 cl"):
        clone(model).set_params(validation_fraction=0.9).fit(X[:20], y[:20])


@pytest.mark.parametrize("name", MODELS)
def test_a_split_that_leaves_nothing_to_fit(name):
    model = clone(MODELS[name]).set_params(early_stopping=True, validation_fraction=0.999)
    with pytest.raises(ValueError, match=r"validation_fraction=0.999 of 200 samples holds out 200 and leaves none"):
        model.fit(*table(model))


def test_a_single_validation_row_has_no_r2():
    model = clone(MODELS["gd"]).set_params(early_stopping=True, validation_fraction=0.1)
    X, y = table(model)
    with pytest.raises(ValueError, match="there is 1 validation sample: R2 needs at least two"):
        model.fit(X[:8], y[:8])


def test_validation_rows_pass_the_transformers_of_a_pipeline():
    model = clone(MODELS["gd"])
    X, y = table(model)
    X_val, y_val = table(model, 50, seed=1)
    with sklearn.config_context(enable_metadata_routing=True):
        routed = clone(model).set_fit_request(X_val=True, y_val=True)
        pipeline = make_pipeline(StandardScaler(), routed, transform_input=["X_val"])
        pipeline.fit(7 * X, y, X_val=7 * X_val, y_val=y_val)
    scaler = StandardScaler().fit(7 * X)
    by_hand = clone(model).fit(scaler.transform(7 * X), y, X_val=scaler.transform(7 * X_val), y_val=y_val)
    np.testing.assert_array_equal(pipeline[-1].validation_scores_, by_hand.validation_scores_)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("unit", [1.0, 2.0**-990, 2.0**660])
def test_the_score_on_rows_held_out_is_the_r2_of_scikit_learn(unit, weighted):
    """Also where a column is constant, or targets lie so far from those of training that squares overflow."""
    rng = np.random.default_rng(0)
    encoded = np.column_stack([rng.standard_normal(40), 100 + 1e-3 * rng.standard_normal(40)])
    outputs = rng.standard_normal((40, 2))
    weights = rng.uniform(0.5, 2, 40) if weighted else None
    targets = Numbers("squared_error", single_output=False)
    targets.units = targets.units_of(unit * encoded, np.full(40, 1 / 40), centred=True)
    far = np.column_stack([np.full(40, 3.0 * unit), encoded[:, 1] * unit])
    for held_out in (unit * encoded, far):
        score = targets.scorer(held_out, weights, are_fold=False)
        predictions = targets.units.inverse(outputs)
        expected = r2_score(held_out / unit, predictions / unit, sample_weight=weights)
        assert score(outputs) == pytest.approx(expected, rel=1e-9)
    targets.units = targets.units_of(encoded, np.full(40, 1 / 40), centred=True)
    assert targets.scorer(1e200 * encoded, weights, are_fold=False)(outputs) < 0
    assert targets.scorer(encoded, weights, are_fold=False)(np.full((40, 2), 1e200)) == -np.inf


def test_hurry_takes_a_part_of_what_was_asked_for_each_time():
    stopping = EarlyStopping(HeldOutRows(None, np.sum), 9.0, 1e-4, 10)
    for divisor, patience in ((5, 2), (3, 3), (20, 1)):
        stopping.hurry(3e-3, divisor)
        assert (stopping.tol, stopping.n_iter_no_change) == (3e-3, patience)
    patient = EarlyStopping(HeldOutRows(None, np.sum), 9.0, 0.1, 10)
    patient.hurry(3e-3, 5)
    assert patient.tol == 0.1
