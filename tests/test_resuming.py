"""Training that stops and goes on: warm starts that are exact, and streams."""

import numpy as np
import pytest
from single_networks import (
    SketchedGaussNewtonClassifier,
    SketchedGaussNewtonRegressor,
    SparseShiftedReLUClassifier,
    SparseShiftedReLURegressor,
)
from sklearn.base import clone


def table(n=150, d=4, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    return X, np.sin(2 * X[:, 0]) + X[:, 1] * X[:, 2] + 0.3 * rng.standard_normal(n)


def labels(y, n_classes):
    return np.digitize(y, np.quantile(y, np.arange(1, n_classes) / n_classes))


CURVES = (
    "loss_curve_", "firing_fraction_curve_", "objective_curve_", "damping_curve_", "accepted_curve_", "residual_curve_",
    "neurons_moved_curve_", "pairs_changed_curve_", "validation_scores_", "best_iteration_", "n_iter_", "stop_reason_",
    "learning_rate_", "objective_",
)  # fmt: skip

FIRST_ORDER = {
    "automatic rate": {},
    "given rate": {"learning_rate": 0.5, "momentum": 0.5},
    "odd width": {"width": 41},
    "huber": {"loss": "huber"},
    "absolute error": {"loss": "absolute_error"},
    "sgd": {"solver": "sgd"},
    "sgd, mean iterate": {"solver": "sgd", "average": "mean"},
    "sgd, epoch means": {"solver": "sgd", "average": "epoch"},
    "random iterate": {"average": "random"},
    "validation": {"early_stopping": True, "n_iter_no_change": 4},
    "validation, sgd": {"early_stopping": True, "solver": "sgd"},
    "stops by tol after 11": {"learning_rate": 0.5, "momentum": 0.5, "tol": 0.01, "n_iter_no_change": 3},
}


def in_two_parts(model, X, y):
    """The whole, and the same in two fits."""
    whole = clone(model).set_params(max_iter=20).fit(X, y)
    halves = clone(model).set_params(max_iter=10, warm_start=True).fit(X, y).fit(X, y)
    return whole, halves


def assert_same(whole, halves, X):
    np.testing.assert_array_equal(halves.hidden_weights_, whole.hidden_weights_)
    np.testing.assert_array_equal(halves.initial_weights_, whole.initial_weights_)
    np.testing.assert_array_equal(halves.predict(X), whole.predict(X))
    compared = [name for name in CURVES if hasattr(whole, name)]
    assert len(compared) >= 4
    for name in compared:
        np.testing.assert_array_equal(getattr(halves, name), getattr(whole, name), err_msg=name)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("setting", FIRST_ORDER)
def test_ten_iterations_twice_are_twenty(setting, dtype):
    X, y = table()
    model = SparseShiftedReLURegressor(40, shift=0.5, batch_size=40, random_state=0)
    whole, halves = in_two_parts(model.set_params(**({"tol": 0} | FIRST_ORDER[setting])), X.astype(dtype), y)
    assert_same(whole, halves, X.astype(dtype))
    assert len(whole.loss_curve_) == whole.n_iter_ > 10  # the second fit had something to do


def test_ten_epochs_twice_are_twenty_for_a_generator_too():
    X, y = table()
    model = SparseShiftedReLURegressor(40, solver="sgd", shift=0.5, max_iter=10, tol=0, warm_start=True)
    halves = model.set_params(random_state=np.random.RandomState(3)).fit(X, y).fit(X, y)
    whole = clone(model).set_params(random_state=np.random.RandomState(3), max_iter=20).fit(X, y)
    assert_same(whole, halves, X)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("loss", ["log_loss", "squared_error"])
@pytest.mark.parametrize("classifier", [SparseShiftedReLUClassifier, SketchedGaussNewtonClassifier])
def test_classifiers_go_on_exactly(classifier, loss, n_classes):
    X, y = table()
    solver = {"solver": "cholesky"} if classifier is SketchedGaussNewtonClassifier else {}
    model = classifier(40, shift=0.5, loss=loss, tol=0, random_state=0, **solver)
    assert_same(*in_two_parts(model, X, labels(y, n_classes)), X)


@pytest.mark.parametrize("width", [40, 41])
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gauss_newton_goes_on_exactly_where_its_solver_is_exact(dtype, early_stopping, width):
    X, y = table()
    model = SketchedGaussNewtonRegressor(
        width, shift=0.5, solver="cholesky", tol=0, early_stopping=early_stopping, random_state=0
    )
    assert_same(*in_two_parts(model, X.astype(dtype), y), X.astype(dtype))


@pytest.mark.parametrize("solver", ["sketch", "nystrom"])
def test_gauss_newton_goes_on_up_to_rounding_where_its_solver_is_random(solver):
    X, y = table()
    model = SketchedGaussNewtonRegressor(40, shift=0.5, solver=solver, alpha=0.1, tol=0, random_state=0)
    whole = clone(model).set_params(max_iter=4).fit(X, y)
    halves = clone(model).set_params(max_iter=2, warm_start=True).fit(X, y).fit(X, y)
    atol = 1e-6 if solver == "sketch" else 1e-2
    np.testing.assert_allclose(halves.objective_curve_, whole.objective_curve_, rtol=atol)


def test_other_data_start_with_a_fresh_velocity():
    """Old losses say nothing about new data: compared with them, every step would be taken back."""
    X, y = table()
    model = SparseShiftedReLURegressor(40, shift=0.5, max_iter=30, warm_start=True, random_state=0).fit(X, y)
    other_X, other_y = table(seed=1)
    noisy = other_y + 3 * np.random.default_rng(2).standard_normal(len(other_y))
    model.fit(other_X, noisy)
    assert len(model.loss_curve_) == model.n_iter_ == 30
    assert model.loss_curve_[-1] < 0.8 * model.loss_curve_[0]


CHANGES = {
    "output_scale": {"output_scale": 10.0},
    "threshold": {"threshold": 0.8},
    "loss": {"loss": "huber"},
    "average": {"average": "random"},
    "momentum": {"momentum": 0.5},
    "held out": {"early_stopping": True},
}


@pytest.mark.parametrize("change", CHANGES)
def test_other_parameters_go_on_from_the_weights_alone(change):
    """As would a fit that has never known more of the one before; in particular, no step is taken back in vain."""
    X, y = table()
    model = SparseShiftedReLURegressor(40, shift=0.5, max_iter=30, random_state=0)
    remembering = clone(model).set_params(warm_start=True).fit(X, y).set_params(**CHANGES[change]).fit(X, y)
    forgetting = clone(model).fit(X, y).set_params(warm_start=True, **CHANGES[change]).fit(X, y)
    assert_same(forgetting, remembering, X)
    assert remembering.n_iter_ <= 30
    assert remembering.loss_curve_[-1] < remembering.loss_curve_[0]


def test_other_validation_samples_forget_the_best_score():
    X, y = table()
    model = SketchedGaussNewtonRegressor(40, shift=0.5, solver="cholesky", max_iter=3, warm_start=True, random_state=0)
    model.fit(X[:100], y[:100], X_val=X[:100], y_val=y[:100])
    model.fit(X[:100], y[:100], X_val=X[100:], y_val=y[100:])
    assert len(model.validation_scores_) == model.n_iter_ == 3
    assert model.best_validation_score_ == pytest.approx(model.score(X[100:], y[100:]), rel=1e-14)


# -- streams -------------------------------------------------------------------------------------


STREAMERS = {
    "sgd": SparseShiftedReLURegressor(200, solver="sgd", shift=0.8, batch_size=50, random_state=0),
    "gd": SparseShiftedReLURegressor(200, solver="gd", shift=0.8, momentum=0.9, random_state=0),
    "given rate": SparseShiftedReLURegressor(200, solver="sgd", learning_rate=1.0, momentum=0.9, random_state=0),
    "mean iterate": SparseShiftedReLURegressor(200, solver="sgd", average="mean", shift=0.8, random_state=0),
    "huber": SparseShiftedReLURegressor(200, solver="sgd", loss="huber", shift=0.8, random_state=0),
}


@pytest.mark.parametrize("name", STREAMERS)
def test_a_stream_is_learnt(name):
    model = clone(STREAMERS[name])
    for part in range(40):
        X, y = table(200, seed=part)
        assert model.partial_fit(X, y) is model
        assert model.n_iter_ == part + 1 == len(model.loss_curve_) == len(model.pairs_evaluated_curve_)
    assert model.score(*table(1000, seed=99)) > 0.5
    assert model.loss_curve_[-5:].mean() < 0.6 * model.loss_curve_[:2].mean()


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("loss", ["log_loss", "hinge", "squared_error"])
def test_a_stream_of_labels_is_learnt(loss, n_classes):
    model = SparseShiftedReLUClassifier(200, solver="sgd", loss=loss, shift=0.8, batch_size=50, random_state=0)
    edges = np.quantile(table(1000)[1], np.arange(1, n_classes) / n_classes)
    names = np.array(["a", "b", "c", "d"])
    for part in range(30):
        X, y = table(200, seed=part)
        model.partial_fit(X, names[np.digitize(y, edges)], classes=names[:n_classes])
    X, y = table(1000, seed=99)
    assert model.score(X, names[np.digitize(y, edges)]) > {2: 0.8, 4: 0.4}[n_classes]


def test_what_a_stream_keeps_does_not_grow_with_it():
    """State is weights, their velocity and a few numbers a part: none of a sample."""
    sizes = []
    for n in (100, 10_000):
        model = clone(STREAMERS["sgd"])
        for part in range(3):
            model.partial_fit(*table(n, seed=part))
        arrays = [*vars(model).values(), *model._training.values()]
        sizes.append(sum(array.nbytes for array in arrays if isinstance(array, np.ndarray)))
    assert sizes[0] == sizes[1]


@pytest.mark.parametrize("name", ["sgd", "gd"])
def test_automatic_search_of_a_stream_lists_no_samples(name):
    assert clone(STREAMERS[name]).partial_fit(*table()).search_ in ("weights", "brute")


def test_parts_of_a_stream_weigh_their_samples():
    """Weights of zero are rows left out, and a common factor changes the ridge alone."""
    X, y = table()
    weight = np.repeat([1.0, 0.0], 75)
    model = SparseShiftedReLURegressor(40, solver="gd", alpha=0.0, random_state=0)
    weighted = clone(model).partial_fit(X, y, weight).partial_fit(X, y, weight)
    dropped = clone(model).partial_fit(X[:75], y[:75]).partial_fit(X[:75], y[:75])
    scaled = clone(model).partial_fit(X, y, 4 * weight).partial_fit(X, y, 4 * weight)
    np.testing.assert_array_equal(weighted.hidden_weights_, dropped.hidden_weights_)
    np.testing.assert_array_equal(weighted.hidden_weights_, scaled.hidden_weights_)


def test_each_sample_of_a_part_is_visited_once():
    from sksparsenn._training.batches import SinglePass
    from sksparsenn._training.problem import Problem

    rng = np.random.default_rng(0)
    targets, shares = rng.standard_normal((23, 1)), rng.dirichlet(np.ones(23))
    draw = SinglePass(Problem(None, targets, shares, None, None, 1.0), 5, np.random.RandomState(0))
    batches = [draw() for _ in range(draw.n_batches)]
    assert len(batches) == 5
    assert sorted(np.concatenate([batch.chosen for batch in batches])) == list(range(23))
    # The mean over batches of a sum weighted by shares is that over the part, up to unequal batches.
    for batch in batches:
        np.testing.assert_array_equal(batch.targets, targets[batch.chosen])
        np.testing.assert_allclose(batch.weights, shares[batch.chosen] * 23 / len(batch.chosen))


def test_partial_fit_goes_on_from_fit():
    X, y = table(600)
    model = SparseShiftedReLURegressor(200, solver="sgd", shift=0.8, max_iter=20, random_state=0).fit(X[:300], y[:300])
    before = model.score(X[300:], y[300:])
    weights = model.hidden_weights_.copy()
    for _ in range(20):
        model.partial_fit(X[300:], y[300:])
    assert model.score(X[300:], y[300:]) > before
    assert np.abs(model.hidden_weights_ - weights).max() < 10


def test_another_average_of_a_stream_forgets_the_one_before():
    X, y = table()
    last = SparseShiftedReLURegressor(40, solver="sgd", batch_size=50, random_state=0)
    mean = clone(last).set_params(average="mean")
    whole, changed = (clone(model).partial_fit(X, y) for model in (last, mean))
    assert not np.array_equal(changed.hidden_weights_, whole.hidden_weights_)
    changed.set_params(average="last").partial_fit(X, y)
    np.testing.assert_array_equal(changed.hidden_weights_, whole.partial_fit(X, y).hidden_weights_)


def test_a_class_may_be_absent_from_the_first_part_of_a_stream():
    X, y = table(300)
    y = labels(y, 3)
    model = SparseShiftedReLUClassifier(100, loss="log_loss", solver="sgd", batch_size=30, shift=0.5, random_state=0)
    model.partial_fit(X[y < 2], y[y < 2], classes=[2, 1, 0])
    odds = model.predict_proba(X[y < 2])
    assert (odds[:, 2] > 0).all()
    assert odds[:, 2].mean() < 0.01
    for _ in range(30):
        model.partial_fit(X, y, classes=[2, 1, 0])
    assert model.score(X, y) > 0.8


def test_what_a_stream_refuses():
    X, y = table()
    model = SparseShiftedReLURegressor(40)
    with pytest.raises(ValueError, match="partial_fit sees every sample once"):
        clone(model).set_params(early_stopping=True).partial_fit(X, y)
    fitted = clone(model).partial_fit(X, y)
    with pytest.raises(ValueError, match=r"X has 3 features, but SparseShiftedReLURegressor is expecting 4"):
        fitted.partial_fit(X[:, :3], y)
    with pytest.raises(ValueError, match=r"network of width 40 with 1 outputs, but width=40 and y asks for 2"):
        fitted.partial_fit(X, np.c_[y, y])
    classifier = SparseShiftedReLUClassifier(40)
    with pytest.raises(ValueError, match="the first call of partial_fit needs classes"):
        classifier.partial_fit(X, labels(y, 3))
    with pytest.raises(ValueError, match=r"labels that are not among the classes: \[2\] not in \[0, 1\]"):
        classifier.partial_fit(X, labels(y, 3), classes=[0, 1])
    with pytest.raises(ValueError, match=r"classes=\[1\] names fewer than two classes"):
        classifier.partial_fit(X, labels(y, 2), classes=[1])
    assert not hasattr(classifier, "classes_")
    classifier.partial_fit(X, labels(y, 3), classes=[0, 1, 2])
    with pytest.raises(ValueError, match="differ from those of the first call"):
        classifier.partial_fit(X, labels(y, 3), classes=[0, 1])
    with pytest.raises(ValueError, match="class_weight='balanced' needs the shares"):
        clone(classifier).set_params(class_weight="balanced").partial_fit(X, labels(y, 2), classes=[0, 1])
