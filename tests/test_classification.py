"""Classifiers: losses and their curvature, labels, weights of classes, probabilities, dense twins."""

import dense_twin
import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit, log_softmax, softmax
from single_networks import SketchedGaussNewtonClassifier, SparseShiftedReLUClassifier
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_breast_cancer, load_iris, make_classification
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sksparsenn._network.losses import LogLoss, classification_loss, probabilities, probabilities_of_means
from sksparsenn._search.searches import SEARCHES

CLASSIFIERS = {
    "gd": SparseShiftedReLUClassifier(60, shift=0.8, max_iter=40, random_state=0),
    "sgd": SparseShiftedReLUClassifier(60, shift=0.8, solver="sgd", batch_size=50, max_iter=20, random_state=0),
    "gauss_newton": SketchedGaussNewtonClassifier(60, shift=0.8, max_iter=5, random_state=0),
}
LOSSES = {name: ("log_loss", "hinge", "squared_error") for name in ("gd", "sgd")} | {
    "gauss_newton": ("log_loss", "squared_error")
}
CASES = [(name, loss) for name in CLASSIFIERS for loss in LOSSES[name]]


def table(n_classes, n=240, seed=0):
    return make_classification(
        n, 5, n_informative=4, n_redundant=0, n_classes=n_classes, n_clusters_per_class=1, class_sep=1.5,
        random_state=seed,
    )  # fmt: skip


# -- losses --------------------------------------------------------------------------------------


def outputs_and_labels(n_outputs, seed=0):
    rng = np.random.default_rng(seed)
    f = 3 * rng.standard_normal((50, n_outputs))
    if n_outputs == 1:
        return f, rng.choice([-1.0, 1.0], (50, 1))
    return f, 2.0 * (rng.integers(n_outputs, size=50)[:, None] == np.arange(n_outputs)) - 1


@pytest.mark.parametrize("name", ["log_loss", "hinge", "squared_error"])
@pytest.mark.parametrize("n_outputs", [1, 4])
def test_derivatives_are_those_of_the_values(name, n_outputs):
    f, y = outputs_and_labels(n_outputs)
    loss = classification_loss(name, np.linspace(-1, 1, n_outputs) if n_outputs > 1 else np.array([0.7]))
    step = 1e-6
    for o in range(n_outputs):
        change = np.zeros_like(f)
        change[:, o] = step
        slope = (loss.value(f + change, y) - loss.value(f - change, y)) / (2 * step)
        np.testing.assert_allclose(loss.derivative(f, y)[:, o], slope, atol=1e-7)
    assert loss.derivative(f.astype(np.float32), y.astype(np.float32)).dtype == np.float32


def test_log_loss_is_the_likelihood():
    f, y = outputs_and_labels(4)
    offset = np.array([0.3, -1.0, 0.0, 0.5])
    expected = -log_softmax(f + offset, axis=1)[np.arange(50), y.argmax(axis=1)]
    np.testing.assert_allclose(LogLoss(offset).value(f, y), expected, rtol=1e-12)
    f, y = outputs_and_labels(1)
    np.testing.assert_allclose(LogLoss([0.7]).value(f, y), -np.log(expit(y * (f + 0.7)))[:, 0], rtol=1e-12)
    far = np.array([[1e4]])
    assert LogLoss([0.0]).value(far, -np.ones((1, 1))) == pytest.approx(1e4)
    assert LogLoss([0.0]).value(far, np.ones((1, 1))) == 0


@pytest.mark.parametrize("size", [0.1, 1.0, 5.0])
def test_curvature_of_one_output_is_the_second_derivative(size):
    g, loss = size * np.random.default_rng(0).standard_normal((200, 1)), LogLoss(np.zeros(1))
    curvature, p = loss.curvature_of(g, np.ones((200, 1))), expit(g[:, 0])
    np.testing.assert_allclose(curvature, np.maximum(p * (1 - p), 1e-4), rtol=1e-9)
    assert (curvature <= loss.curvature + 1e-12).all()


@pytest.mark.parametrize("n_outputs", [2, 3, 10])
@pytest.mark.parametrize("size", [0.1, 1.0, 5.0])
def test_curvature_bounds_the_hessian(n_outputs, size):
    """From above, by no more than a factor of two; and the loss's bound bounds them all."""
    g = size * np.random.default_rng(0).standard_normal((200, n_outputs))
    y = np.ones((200, n_outputs))
    loss = LogLoss(np.zeros(n_outputs))
    curvature = loss.curvature_of(g, y)
    for h, p in zip(curvature, softmax(g, axis=1), strict=True):
        largest = np.linalg.eigvalsh(np.diag(p) - np.outer(p, p))[-1]
        assert largest <= h * (1 + 1e-9) or largest < 1e-4
        assert h <= max(2 * largest, 1e-4) * (1 + 1e-9)
        assert largest <= loss.curvature + 1e-12


def test_probabilities_sum_to_one():
    for scores in (np.linspace(-800, 800, 9), np.random.default_rng(0).standard_normal((9, 3)) * 300):
        p = probabilities(scores)
        assert ((p >= 0) & (p <= 1)).all()
        np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-12)


# -- training ------------------------------------------------------------------------------------

DERIVATIVES = {
    "log_loss": lambda g, y: -y * expit(-y * g) if y.shape[1] == 1 else softmax(g, axis=1) - (y > 0),
    "hinge": lambda g, y: np.where(y * g < 1, -y, 0.0),
}


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("loss", ["log_loss", "hinge"])
def test_weights_of_the_dense_twin(loss, n_classes, search):
    """Ten steps of gradient descent with momentum, written out with dense matrices.

    Not from the paired start, whose outputs of zero lie on the kink of the shifted hinge.
    """
    X, labels = table(n_classes, 60)
    weight = np.random.default_rng(1).uniform(0.5, 2.0, 60)
    model = SparseShiftedReLUClassifier(
        30, shift=0.6, loss=loss, learning_rate=0.5, momentum=0.7, alpha=0.0, max_iter=10, tol=0, search=search,
        init="gaussian", random_state=0,
    ).fit(X, labels, sample_weight=weight)  # fmt: skip
    shares = weight / weight.sum()
    y = 2.0 * labels[:, None] - 1 if n_classes == 2 else 2.0 * (labels[:, None] == np.arange(n_classes)) - 1
    share_of_class = shares @ (y > 0)
    offset = np.log(share_of_class / (1 - share_of_class)) if n_classes == 2 else np.log(share_of_class)
    offset = np.sign(share_of_class - 0.5) if loss == "hinge" else offset if n_classes == 2 else offset - offset.mean()
    samples = dense_twin.lifted(X, shares)
    W, signs, scale = model.initial_weights_.copy(), model.output_weights_, 2.0 / np.sqrt(30)
    velocity = np.zeros_like(W)
    for _ in range(10):
        fires = dense_twin.activation(W, samples, 0.6, 0.6)[1]
        g = dense_twin.outputs(W, signs, samples, 0.6, 0.6, scale) + offset
        pull = shares[:, None] * DERIVATIVES[loss](g, y)
        gradient = scale * (fires * (signs @ pull.T)) @ samples
        velocity = 0.7 * velocity - 0.5 * gradient
        W = W + 0.7 * velocity - 0.5 * gradient
    np.testing.assert_allclose(model.hidden_weights_, W, rtol=0, atol=1e-10)
    scores = dense_twin.outputs(W, signs, samples, 0.6, 0.6, scale) + offset
    np.testing.assert_allclose(model.decision_function(X), scores[:, 0] if n_classes == 2 else scores, atol=1e-9)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_lazy_gauss_newton_reaches_the_minimum_of_the_log_loss(n_classes):
    """Where nobody's firing changes the problem is logistic regression in the Jacobian: compared with L-BFGS on it."""
    X, labels = table(n_classes, 60)
    model = SketchedGaussNewtonClassifier(
        200, shift=0.5, output_scale=1e6, alpha=1e-2, max_iter=400, tol=1e-13, solver="cholesky", random_state=0
    ).fit(X, labels)
    weights = np.full(60, 1 / 60)
    samples = dense_twin.lifted(X, weights)
    scale = 1e6 / np.sqrt(200)
    fires = dense_twin.activation(model.initial_weights_, samples, 0.5, 0.5)[1]
    J = scale * np.einsum("ri,ro,ij->iorj", fires, model.output_weights_, samples)
    J = J.reshape(60, -1, model.initial_weights_.size)
    y = 2.0 * labels[:, None] - 1 if n_classes == 2 else 2.0 * (labels[:, None] == np.arange(n_classes)) - 1
    loss = LogLoss(model._target_mean)
    ridge = 1e-2 * scale**2 * fires.sum(axis=0).mean()

    def objective(v):
        # In the row space of J, where the minimum lies.
        u = basis.T @ v / scale
        f = J @ u
        slope = basis @ np.einsum("io,iou->u", loss.derivative(f, y), J) / scale + ridge * v / scale**2
        return loss.value(f, y).sum() + ridge / 2 * u @ u, slope

    basis = np.linalg.qr(J.reshape(-1, J.shape[-1]).T)[0].T
    options = {"maxiter": 5000, "ftol": 1e-15, "gtol": 1e-10}
    best = minimize(objective, np.zeros(len(basis)), jac=True, method="L-BFGS-B", options=options)
    assert model.objective_ == pytest.approx(best.fun, rel=1e-5)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("loss", ["log_loss", "squared_error"])
@pytest.mark.parametrize("solver", ["cholesky", "sketch", "nystrom"])
def test_kept_steps_of_gauss_newton_lower_the_objective(solver, loss, n_classes):
    X, y = table(n_classes, 100)
    y[::7] = 0  # labels that contradict each other
    model = SketchedGaussNewtonClassifier(60, shift=0.8, loss=loss, solver=solver, max_iter=12, tol=0, random_state=0)
    curve = model.fit(X, y).objective_curve_
    assert (np.diff(curve) <= 0).all()
    assert curve[-1] < 0.5 * curve[0]


# -- what a classifier promises ------------------------------------------------------------------


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize(("name", "loss"), CASES)
def test_labels_of_any_kind(name, loss, n_classes):
    X, y = table(n_classes)
    model = clone(CLASSIFIERS[name]).set_params(loss=loss)
    expected = clone(model).fit(X, y)
    assert expected.score(X, y) > 0.8
    scores = expected.decision_function(X)
    assert scores.shape == ((len(X),) if n_classes == 2 else (len(X), n_classes))
    booleans = {2: [[False, True]], 3: []}  # there are no three of them
    for kinds in (["b", "d", "e"], [-15, 0, 7], [1.0, 2.0, 5.0], *booleans[n_classes]):
        names = np.array(kinds)[:n_classes]
        fitted = clone(model).fit(X, names[y])
        np.testing.assert_array_equal(fitted.classes_, names)
        np.testing.assert_array_equal(fitted.predict(X), names[expected.predict(X)])
        np.testing.assert_array_equal(fitted.decision_function(X), scores)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_probabilities_are_those_of_the_log_loss(name, n_classes):
    X, y = table(n_classes)
    model = clone(CLASSIFIERS[name]).set_params(loss="log_loss").fit(X, y)
    scores, p = model.decision_function(X), model.predict_proba(X)
    expected = np.c_[expit(-scores), expit(scores)] if n_classes == 2 else softmax(scores, axis=1)
    np.testing.assert_allclose(p, expected, rtol=1e-12)
    np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), p, rtol=1e-12)
    np.testing.assert_array_equal(model.classes_[p.argmax(axis=1)], model.predict(X))


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_probabilities_of_the_squared_error_are_means_of_labels(name, n_classes):
    X, y = table(n_classes)
    model = clone(CLASSIFIERS[name]).set_params(loss="squared_error").fit(X, y)
    scores, p = model.decision_function(X), model.predict_proba(X)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-12)
    if n_classes == 2:
        np.testing.assert_allclose(p[:, 1], np.clip((scores + 1) / 2, 0, 1), rtol=1e-12)
    else:
        inside = (scores > -1).all(axis=1)
        np.testing.assert_allclose(p[inside], ((scores + 1) / (scores + 1).sum(axis=1, keepdims=True))[inside])
    np.testing.assert_array_equal(model.classes_[p.argmax(axis=1)], model.predict(X))
    # Brier's score of guessing is 1/2 and 2/3.
    assert ((p - (y[:, None] == np.arange(n_classes))) ** 2).sum(axis=1).mean() < 0.25


def test_means_that_speak_for_no_class():
    np.testing.assert_array_equal(
        probabilities_of_means(np.array([[-2.0, -3.0, -1.0], [-2, 0, -1]])), [[1 / 3] * 3, [0, 1, 0]]
    )


@pytest.mark.parametrize("name", ["gd", "sgd"])
def test_the_hinge_has_no_probabilities(name):
    model = clone(CLASSIFIERS[name]).set_params(loss="hinge")
    assert not hasattr(model, "predict_proba")
    X, y = table(2)
    for method in ("predict_proba", "predict_log_proba"):
        with pytest.raises(AttributeError, match="loss='hinge' gives no probabilities: use loss='log_loss' or "):
            getattr(model.fit(X, y), method)
    calibrated = CalibratedClassifierCV(model, cv=2).fit(X, y)
    assert calibrated.predict_proba(X).shape == (len(X), 2)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_scores_start_from_the_shares_of_the_classes(name):
    """A network that does not move predicts the weighted shares."""
    X, y = table(3)
    weight = np.random.default_rng(0).uniform(0.1, 3, len(y)) * (1 + y)
    shares = np.bincount(y, weight) / weight.sum()
    model = clone(CLASSIFIERS[name]).set_params(alpha=1e12, loss="log_loss").fit(X, y, sample_weight=weight)
    np.testing.assert_allclose(model.predict_proba(X[:4]), np.tile(shares, (4, 1)), rtol=1e-4)
    model.set_params(fit_intercept=False).fit(X, y, sample_weight=weight)
    np.testing.assert_allclose(model.predict_proba(X[:4]), 1 / 3, rtol=1e-4)


@pytest.mark.parametrize(("name", "loss"), [case for case in CASES if case[0] != "sgd"])
def test_class_weights_are_sample_weights(name, loss):
    X, y = table(3)
    y = np.where(np.arange(len(y)) % 3 > 0, 0, y)  # one class is frequent
    model = clone(CLASSIFIERS[name]).set_params(loss=loss)
    sample_weight = np.random.default_rng(0).uniform(0.5, 2, len(y))
    chosen = {0: 0.5, 1: 2.0, 2: 1.0}
    by_class = clone(model).set_params(class_weight=chosen).fit(X, y, sample_weight=sample_weight)
    by_sample = clone(model).fit(X, y, sample_weight=sample_weight * np.array([0.5, 2.0, 1.0])[y])
    np.testing.assert_array_equal(by_class.hidden_weights_, by_sample.hidden_weights_)
    totals = np.bincount(y, sample_weight)
    balanced = clone(model).set_params(class_weight="balanced").fit(X, y, sample_weight=sample_weight)
    equal = clone(model).fit(X, y, sample_weight=sample_weight * (totals.sum() / 3 / totals)[y])
    np.testing.assert_allclose(balanced.hidden_weights_, equal.hidden_weights_, rtol=1e-6, atol=1e-8)
    with pytest.raises(ValueError, match=r"class_weight={0: 0, 1: 0, 2: 0} leaves no sample a positive weight"):
        clone(model).set_params(class_weight={0: 0, 1: 0, 2: 0}).fit(X, y)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_what_classifiers_refuse(name):
    X, y = table(2)
    model = clone(CLASSIFIERS[name])
    with pytest.raises(ValueError, match=r"y holds one class only, \[0\], among the samples that weigh something"):
        model.fit(X, y, sample_weight=1.0 - y)
    with pytest.raises(ValueError, match="Unknown label type"):
        model.fit(X, X[:, 0])
    with pytest.raises(ValueError, match=r"labels that are not among the classes: \[5\] not in \[0, 1\]"):
        model.fit(X, y, X_val=X[:10], y_val=np.full(10, 5))
    with pytest.raises(ValueError, match="'loss' parameter"):
        clone(model).set_params(loss="huber").fit(X, y)


@pytest.mark.parametrize("name", ["gd", "gauss_newton"])
def test_real_sets_at_defaults(name):
    """Linear models reach 0.97 on both; what is asked is that nothing is badly wrong."""
    classifier = type(CLASSIFIERS[name])
    for load in (load_iris, load_breast_cancer):
        pipeline = make_pipeline(StandardScaler(), classifier(random_state=0).set_params(max_iter=10))
        assert cross_val_score(pipeline, *load(return_X_y=True), cv=5).mean() > 0.93


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_grid_search_over_width_and_shift(name):
    X, y = table(3)
    grid = {"width": [20, 60], "shift": ["auto", 0.5]}
    search = GridSearchCV(
        clone(CLASSIFIERS[name]).set_params(max_iter=5, loss="log_loss"), grid, scoring="neg_log_loss", cv=3
    ).fit(X, y)
    assert search.best_score_ > -0.7  # guessing scores -log(3) = -1.1
