"""The ridge that falls along a path: the steps, what is kept, and the solver that is enough for them."""

from types import SimpleNamespace

import dense_gauss_newton
import dense_twin
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jacobians import jacobians
from single_networks import (
    SketchedGaussNewtonClassifier,
    SketchedGaussNewtonRegressor,
    SparseShiftedReLUClassifier,
    SparseShiftedReLURegressor,
)
from sklearn.base import clone, is_classifier
from sklearn.metrics import r2_score

import sksparsenn._estimators.gauss_newton
import sksparsenn._solvers.choice
from sksparsenn._compiled.normal import normal_product
from sksparsenn._network.network import initial_weights
from sksparsenn._samples.points import padded_rows
from sksparsenn._solvers.choice import choose_solver
from sksparsenn._solvers.cholesky import CholeskySolver
from sksparsenn._solvers.conjugate_gradients import ConjugateGradientSolver
from sksparsenn._utils.blas_threads import single_blas_thread

FIRST, FACTOR = 10.0, 0.5  # of the path

# Every parameter that a result depends on is given: tests do not follow defaults.
PLAIN = {
    "width": 40, "shift": 0.8, "threshold": None, "solver": "cholesky", "search": "margin", "alpha": "auto",
    "output_scale": 1.0, "init": "paired", "max_iter": 12, "tol": 0.0, "n_iter_no_change": 1000, "cv": None,
    "damping": "adaptive", "early_stopping": "auto", "fit_intercept": True, "intercept_scaling": 1.0, "random_state": 3,
}  # fmt: skip
ESTIMATORS = {"regressor": SketchedGaussNewtonRegressor, "classifier": SketchedGaussNewtonClassifier}


@pytest.fixture(autouse=True)
def one_blas_thread():
    """For the twin and for solvers, which are called like that."""
    with single_blas_thread():
        yield


def regressor(**params):
    return SketchedGaussNewtonRegressor(**(PLAIN | params))


def estimator(kind, **params):
    return ESTIMATORS[kind](**(PLAIN | params))


def problem(n=60, d=4, n_outputs=1, seed=0, noise=0.3):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    Y = np.sin(2 * X @ np.random.default_rng(9).standard_normal((d, n_outputs)))
    Y += noise * rng.standard_normal(Y.shape)
    return X, Y[:, 0] if n_outputs == 1 else Y


def targets_of(kind, y):
    return y if kind == "regressor" else np.digitize(y, [-0.4, 0.4])


# -- against a dense twin ---------------------------------------------------------------------------


def twin_on_path(model, X, y, X_val, y_val, sample_weight=None):
    """The twin of `dense_gauss_newton` with a ridge of its own in each iteration, and the score after each."""
    p, y, y_val = model.get_params(), y.reshape(len(y), -1), y_val.reshape(len(y_val), -1)
    shift, threshold = p["shift"], p["shift"] if p["threshold"] is None else p["threshold"]
    weight = np.ones(len(X)) if sample_weight is None else sample_weight
    shares, both = weight / weight.sum(), np.vstack([X, X_val])
    # Rows to validate on are lifted about the mean of the others: those have no share in it.
    inside, rows_val = np.split(dense_twin.lifted(both, np.append(shares, np.zeros(len(X_val)))), [len(X)])
    mean, spread = shares @ y, np.sqrt(shares @ (y - shares @ y) ** 2)
    targets = (y - mean) / spread
    generator = np.random.RandomState(p["random_state"])
    W, signs = initial_weights(p["width"], inside.shape[1], y.shape[1], p["init"], generator, np.float64)
    W = start = W[:, : inside.shape[1]]
    root, scale = np.sqrt(weight), p["output_scale"] / np.sqrt(p["width"])
    fires = dense_twin.activation(W, inside, shift, threshold)[1]
    unit = np.average(scale**2 * fires.sum(axis=0), weights=weight)  # rows have length one
    damped = p["damping"] == "adaptive"
    damping = dense_gauss_newton.FIRST_DAMPING * unit if damped else 0.0

    def residuals(W):
        return (root[:, None] * (targets - dense_twin.outputs(W, signs, inside, shift, threshold, scale))).ravel()

    def objective(W, ridge):
        return 0.5 * np.sum(residuals(W) ** 2) + 0.5 * ridge * np.sum((W - start) ** 2)

    last, failures, twin = 0.0, 0, SimpleNamespace(objectives=[], dampings=[], accepted=[], scores=[], weights=[])
    for iteration in range(p["max_iter"]):
        ridge = FIRST * FACTOR**iteration * unit
        J = dense_gauss_newton.jacobian(W, signs, inside, root, threshold, scale)
        travelled, before, towards = (W - start).ravel(), objective(W, ridge), dense_gauss_newton.MOMENTUM * last
        u = dense_gauss_newton.damped_step(J, residuals(W), travelled, ridge, damping, towards)
        decrease = before - objective(W + u.reshape(W.shape), ridge)
        predicted = dense_gauss_newton.model(J, residuals(W), travelled, 0 * u, ridge, 0.0)
        predicted -= dense_gauss_newton.model(J, residuals(W), travelled, u, ridge, 0.0)
        accepted = bool(decrease > 0 or not damped)
        twin.objectives.append(before)
        twin.dampings.append(damping)
        twin.accepted.append(accepted)
        failures = 0 if accepted else failures + 1
        last = u if accepted else dense_gauss_newton.LEFT_AFTER_FAILURE * last * (failures == 1)
        if accepted:
            W = W + u.reshape(W.shape)
        if damped:
            damping = dense_gauss_newton.next_damping(damping, accepted, failures, decrease, predicted)
        outputs = dense_twin.outputs(W, signs, rows_val, shift, threshold, scale)
        twin.scores.append(r2_score(y_val, outputs * spread + mean))
        twin.weights.append(W)
    twin.start, twin.objective = start, objective(W, ridge)
    return twin


SETTINGS = {
    "plain": {},
    "narrow": {"width": 6, "init": "gaussian", "shift": 0.3},
    "threshold above shift": {"threshold": 1.2},
    "features are learned": {"output_scale": 0.1},
    "output scale": {"output_scale": 10.0},
    "odd width": {"width": 41},
    "three outputs": {"n_outputs": 3},
    "weights": {"weighted": True},
    "weights and outputs, narrow": {"weighted": True, "n_outputs": 2, "width": 8},
    "plain steps": {"damping": 0, "width": 200, "output_scale": 30.0},
}


def fit_both(setting, **more):
    setting = dict(setting)
    n_outputs = setting.pop("n_outputs", 1)
    (X, y), (X_val, y_val) = problem(n_outputs=n_outputs), problem(40, n_outputs=n_outputs, seed=1)
    sample_weight = np.random.default_rng(1).uniform(0.2, 3.0, len(X)) if setting.pop("weighted", False) else None
    model = regressor(**setting, **more).fit(X, y, sample_weight, X_val=X_val, y_val=y_val)
    return model, twin_on_path(model, X, y, X_val, y_val, sample_weight)


def assert_follows(model, expected):
    np.testing.assert_array_equal(model.initial_weights_, expected.start)
    assert model.accepted_curve_.tolist() == expected.accepted
    np.testing.assert_allclose(model.objective_curve_, expected.objectives, rtol=1e-8)
    np.testing.assert_allclose(model.damping_curve_, expected.dampings, rtol=1e-6)
    np.testing.assert_allclose(model.validation_scores_, expected.scores, rtol=0, atol=1e-8)
    best = int(np.argmax(expected.scores))
    assert model.best_iteration_ == best + 1
    np.testing.assert_allclose(model.hidden_weights_, expected.weights[best], rtol=0, atol=1e-8)
    assert model.objective_ == pytest.approx(expected.objective, rel=1e-8)
    assert np.abs(expected.weights[best] - expected.start).max() > 0.01  # the twin went somewhere


@pytest.mark.parametrize("setting", SETTINGS)
def test_training_on_the_path_agrees_with_its_dense_twin(setting):
    assert_follows(*fit_both(SETTINGS[setting]))


def test_steps_that_are_taken_back_on_the_path_agree_with_the_twin(monkeypatch):
    """Hardly any damping at the start, and weights that travel far: later steps fail, with another ridge each.

    Rounding grows from step to step where there is so little to hold it; so there are not more steps.
    """
    for module in ("sksparsenn._training.trust_region", "dense_gauss_newton"):
        monkeypatch.setattr(f"{module}.FIRST_DAMPING", 1e-6)
    for setting in ({}, {"n_outputs": 2, "weighted": True}, {"width": 8}):
        model, expected = fit_both({"output_scale": 0.03, "max_iter": 18} | setting)
        assert 0 < sum(expected.accepted) < len(expected.accepted)
        assert_follows(model, expected)


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_a_step_on_the_path_lowers_the_objective_of_its_own_ridge(kind):
    """So a record of the objective may rise nowhere: the ridge only falls."""
    X, y = problem(120)
    model = estimator(kind, output_scale=0.1, max_iter=25).fit(X, targets_of(kind, y))
    objectives = np.append(model.objective_curve_, model.objective_)
    assert (np.diff(objectives) <= 1e-12 * objectives[0]).all()
    assert model.accepted_curve_.sum() > 5


# -- against refits ---------------------------------------------------------------------------------

# In units of the typical weight, steps are short, or long enough to change who fires: features are learned.
REFITS = {
    "short steps": {"output_scale": 30.0, "max_iter": 10},
    "short steps, three outputs": {"output_scale": 30.0, "max_iter": 9, "n_outputs": 3},
    "long steps": {"output_scale": 1.0, "max_iter": 5},
    "long steps, three outputs": {"output_scale": 1.0, "max_iter": 4, "n_outputs": 3},
}


@pytest.mark.parametrize("setting", REFITS)
def test_the_path_is_a_chain_of_fits_of_one_step_each_at_its_own_ridge(setting):
    """Each fit goes on from the weights of the last one, and pulls towards the same start.

    A warm start with another alpha begins with new damping and without momentum, and takes the unit of its ridge, which
    on the unit sphere is proportional to the share of pairs that fire, at the weights it starts from.  The path keeps
    all three.  So steps are plain, which have neither damping nor momentum, and the ridge is given in the unit of the
    first weights.
    """
    setting = {"damping": 0, "width": 200} | REFITS[setting]
    n_outputs, max_iter = setting.pop("n_outputs", 1), setting.pop("max_iter")
    X, y = problem(n_outputs=n_outputs)
    chain = regressor(**setting, max_iter=1, warm_start=True, early_stopping=False)
    for k in range(max_iter):
        # All rows train, and as they are those to validate on too, the last weights are the best ones.
        path = regressor(**setting, max_iter=k + 1).fit(X, y, X_val=X, y_val=y)
        assert path.best_iteration_ == k + 1
        firing = path.firing_fraction_curve_
        chain.set_params(alpha=FIRST * FACTOR**k * firing[0] / firing[k]).fit(X, y)
        assert chain.n_iter_ == 1
        np.testing.assert_allclose(path.hidden_weights_, chain.hidden_weights_, rtol=0, atol=1e-12)
    assert np.unique(firing).size > max_iter / 2  # or the unit of the ridge would not matter
    assert np.abs(path.hidden_weights_ - path.initial_weights_).max() > 0.1


# -- what is kept -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", ESTIMATORS)
def test_the_ridge_starts_at_ten_and_halves(kind, dtype):
    X, y = problem(100)
    model = estimator(kind).fit(X.astype(dtype), targets_of(kind, y))
    np.testing.assert_allclose(model.alpha_curve_, FIRST * FACTOR ** np.arange(12), rtol=1e-14)
    assert model.alpha_ == model.alpha_curve_[model.best_iteration_ - 1]
    assert isinstance(model.alpha_, float)
    assert model.hidden_weights_.dtype == dtype


def committees_that_end_one_by_one(kind):
    """Committees on a path on which noise ends some members iterations before others find their best."""
    for seed in range(4):
        X, y = problem(60, seed=seed, noise=1.0)
        model = estimator(kind, cv=5, n_iter_no_change=1, max_iter=25, random_state=seed).fit(X, targets_of(kind, y))
        # A member ends after an iteration without a better score.
        if model.best_iteration_.max() > model.best_iteration_.min() + 1:
            yield model


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_each_member_has_the_ridge_of_its_best_iteration(kind):
    """Also after other members have ended: their last ridge is not its own."""
    models = list(committees_that_end_one_by_one(kind))
    assert models
    for model in models:
        assert model.alpha_.shape == (5,)
        np.testing.assert_allclose(model.alpha_, FIRST * FACTOR ** (model.best_iteration_ - 1), rtol=1e-14)


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_the_path_of_a_committee_is_that_of_its_members(kind):
    """Whichever of them have ended."""
    models = list(committees_that_end_one_by_one(kind))
    assert models
    for model in models:
        np.testing.assert_allclose(model.alpha_curve_, FIRST * FACTOR ** np.arange(model.n_iter_), rtol=1e-14)


@pytest.mark.parametrize("cv", [None, 3])
@pytest.mark.parametrize("kind", ESTIMATORS)
def test_a_number_stays_what_it_is(kind, cv):
    X, y = problem(90)
    model = estimator(kind, alpha=0.25, cv=cv).fit(X, targets_of(kind, y))
    assert model.alpha_ == 0.25
    assert isinstance(model.alpha_, float)
    np.testing.assert_array_equal(model.alpha_curve_, np.full(model.n_iter_, 0.25))


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_rows_are_held_out_for_the_path(kind):
    """As by early_stopping=True; with X_val none are."""
    X, y = problem(120)
    y = targets_of(kind, y)
    automatic, asked = (estimator(kind, early_stopping=value).fit(X, y) for value in ("auto", True))
    np.testing.assert_array_equal(automatic.hidden_weights_, asked.hidden_weights_)
    np.testing.assert_array_equal(automatic.validation_scores_, asked.validation_scores_)
    given = estimator(kind).fit(X, y, X_val=X[:50], y_val=y[:50])
    np.testing.assert_allclose(given._centre, X.mean(axis=0), atol=1e-12)
    assert not np.allclose(automatic._centre, X.mean(axis=0), atol=1e-12)


@pytest.mark.parametrize("cv", [None, 3, "auto"])
@pytest.mark.parametrize("kind", ESTIMATORS)
def test_a_path_without_early_stopping_is_refused(kind, cv):
    X, y = problem(90)
    model = estimator(kind, early_stopping=False, cv=cv)
    with pytest.raises(ValueError, match=r"alpha='auto' .* early_stopping=False; set early_stopping to 'auto' or give"):
        model.fit(X, targets_of(kind, y))
    assert not hasattr(model, "hidden_weights_")


@pytest.mark.parametrize("model", [SparseShiftedReLURegressor, SparseShiftedReLUClassifier])
def test_first_order_training_has_no_path(model):
    with pytest.raises(ValueError, match=r"The 'alpha' parameter of SparseShiftedReLU"):
        model(20, alpha="auto").fit(*problem(20))


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_no_tolerance_of_the_objective_ends_a_path(kind):
    """Steps that gain little, or nothing, are followed by a smaller ridge; the score alone stops."""
    X, y = problem(90)
    y = targets_of(kind, y)
    constant = estimator(kind, alpha=FIRST, tol=0.3).fit(X, y)
    assert (constant.stop_reason_, constant.n_iter_ < 12) == ("tol", True)
    path = estimator(kind, tol=0.3).fit(X, y)
    assert (path.stop_reason_, path.n_iter_) == ("max_iter", 12)
    stopped = estimator(kind, tol=0.0, n_iter_no_change=2, max_iter=100, output_scale=0.1).fit(X, y)
    assert stopped.stop_reason_ == "validation"
    assert stopped.n_iter_ < 100


@pytest.mark.parametrize("early_stopping", ["auto", True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", ESTIMATORS)
def test_a_path_goes_on_where_it_stopped(kind, dtype, early_stopping):
    X, y = problem(100)
    X, y = X.astype(dtype), targets_of(kind, y)
    whole = estimator(kind, early_stopping=early_stopping).fit(X, y)
    halves = estimator(kind, early_stopping=early_stopping, warm_start=True, max_iter=6).fit(X, y).fit(X, y)
    for name in ("hidden_weights_", "alpha_curve_", "objective_curve_", "damping_curve_", "validation_scores_"):
        np.testing.assert_array_equal(getattr(halves, name), getattr(whole, name), err_msg=name)
    assert (halves.alpha_, halves.best_iteration_) == (whole.alpha_, whole.best_iteration_)
    assert halves.n_iter_ == 12
    # Other data begin the path anew.
    halves.fit(X[::-1], y)
    assert halves.alpha_curve_[0] == FIRST


def test_the_path_stops_at_the_best_ridge_of_noisy_rows():
    """The error on new rows falls and rises along the path: what is kept is better than both ends."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((1000, 4))
    clean = X[:, 0] + np.sin(2 * X[:, 1])
    noisy = (clean + rng.standard_normal(1000))[:150]
    model = regressor(max_iter=30, cv=5).fit(X[:150], noisy)
    ends = [clone(model).set_params(alpha=alpha, early_stopping=False).fit(X[:150], noisy) for alpha in (FIRST, 1e-4)]
    scores = [end.score(X[150:], clean[150:]) for end in ends]
    assert model.score(X[150:], clean[150:]) > max(scores)


# -- conjugate gradients ----------------------------------------------------------------------------


SHAPES = {"samples": (30, 4, 60, 1), "weights": (200, 4, 12, 1), "outputs": (40, 4, 60, 2), "both": (150, 4, 15, 3)}


@pytest.mark.parametrize("strength", [1e-2, 1.0, 1e3])
@pytest.mark.parametrize("shape", SHAPES)
def test_conjugate_gradients_reach_the_residual_asked_for(shape, strength):
    n, d, width, n_outputs = SHAPES[shape]
    jacobian, J = jacobians(n, d, width, n_outputs, seed=0)
    assert len(jacobian.neurons) == width  # so that columns are those of J
    rng = np.random.default_rng(1)
    residuals, pull = rng.standard_normal(n * n_outputs), rng.standard_normal((width, d))
    matrix, right = J.T @ J + strength * np.eye(width * d), J.T @ residuals - pull.ravel()
    exact, steps = np.linalg.solve(matrix, right), []
    for residual in (0.5, 0.03, 1e-12):
        solver = ConjugateGradientSolver(residual)
        solver.refresh(jacobian, strength)
        solution = solver.step(residuals, padded_rows(pull), strength)
        assert 0 <= solution.residual <= residual
        step = solution.step[:, :d].ravel()
        truly = np.linalg.norm(matrix @ step - right) / np.linalg.norm(right)
        assert truly == pytest.approx(solution.residual, rel=1e-4, abs=1e-11)
        assert not solution.step[:, d:].any()
        steps.append(solution.inner_iterations)
    assert steps == sorted(steps)
    assert steps[-1] > steps[0]
    np.testing.assert_allclose(step, exact, rtol=0, atol=1e-9 * np.abs(exact).max())


@pytest.mark.parametrize("d", [3, 8, 20, 31, 70])
@pytest.mark.parametrize("n_outputs", [1, 2, 11])
def test_normal_products_are_those_of_dense_rows(d, n_outputs):
    jacobian, J = jacobians(90, d, 25, n_outputs, seed=2, threshold=0.1)
    U = np.random.default_rng(3).standard_normal((25, d))
    rows = jacobian.weighted_rows()
    sign = jacobian.signs if n_outputs == 1 else 1.0
    product = normal_product(jacobian.X, rows, padded_rows(sign * U))
    found = rows.factor * sign * product[:, :d]
    expected = (J.T @ (J @ U.ravel())).reshape(25, d)
    assert rows.weights.max() == 1
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-14 * np.abs(expected).max())


@pytest.mark.parametrize("n_outputs", [1, 3])
def test_steps_do_not_depend_on_units_of_weights_or_targets(n_outputs):
    """Also where squares of residuals leave the range of numbers."""
    jacobian, _ = jacobians(60, 4, 20, n_outputs, seed=4)
    rng = np.random.default_rng(5)
    residuals, pull = rng.standard_normal(60 * n_outputs), padded_rows(rng.standard_normal((20, 4)))

    def step(unit_of_roots, unit_of_residuals):
        jacobian.root, jacobian._factor = unit_of_roots * root, unit_of_roots * factor
        solver = ConjugateGradientSolver()
        solver.refresh(jacobian)
        unit = unit_of_roots * unit_of_residuals
        found = solver.step(unit_of_residuals * residuals, unit * pull, unit_of_roots**2).step
        return found / unit_of_residuals * unit_of_roots

    root, factor = jacobian.root, jacobian._factor
    expected = step(1.0, 1.0)
    for units in ((2.0**100, 1.0), (2.0**-100, 1.0), (1.0, 2.0**900), (1.0, 2.0**-900)):
        np.testing.assert_array_equal(step(*units), expected)


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_steps_of_few_digits_count_weights_as_repetitions(kind):
    """The residual at which a step ends is that of weights, not of samples: it does not change with their number."""
    X, y = problem(300)
    weights = np.random.default_rng(0).integers(1, 4, 300)
    again = np.repeat(np.arange(300), weights)
    model = estimator(kind, solver="cg", alpha=10.0, early_stopping=False, max_iter=4)
    y = targets_of(kind, y)
    weighted, repeated = clone(model).fit(X, y, sample_weight=weights), clone(model).fit(X[again], y[again])
    np.testing.assert_array_equal(weighted.inner_iterations_curve_, repeated.inner_iterations_curve_)
    np.testing.assert_allclose(weighted.hidden_weights_, repeated.hidden_weights_, rtol=0, atol=1e-9)


@given(st.integers(0, 2**32 - 1), st.sampled_from(sorted(SHAPES)), st.floats(-3, 3))
def test_conjugate_gradients_to_the_end_are_cholesky(seed, shape, exponent):
    n, d, width, n_outputs = SHAPES[shape]
    jacobian, _ = jacobians(n, d, width, n_outputs, seed)
    rng, strength, steps = np.random.default_rng(seed), 10.0**exponent, []
    residuals, pull = rng.standard_normal(n * n_outputs), rng.standard_normal((len(jacobian.neurons), d))
    for solver in (ConjugateGradientSolver(1e-12), CholeskySolver()):
        solver.refresh(jacobian, strength)
        steps.append(solver.step(residuals, padded_rows(pull), strength).step)
    np.testing.assert_allclose(steps[0], steps[1], rtol=0, atol=1e-8 * np.abs(steps[1]).max())


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_training_by_conjugate_gradients(kind, monkeypatch):
    """Steps have the few digits of a path; with all digits they are those of Cholesky."""
    X, y = problem(80)
    y = targets_of(kind, y)
    exact = estimator(kind).fit(X, y)
    few = estimator(kind, solver="cg").fit(X, y)
    assert few.solver_ == "cg"
    enough = 0.1 if is_classifier(few) else 0.03
    assert (few.residual_curve_ <= enough).all()
    assert few.residual_curve_.max() > 1e-4  # no more than was asked for
    assert (few.inner_iterations_curve_ >= 1).all()
    assert np.abs(few.hidden_weights_ - exact.hidden_weights_).max() > 1e-6
    found, expected = ((m.decision_function if is_classifier(m) else m.predict)(X) for m in (few, exact))
    assert np.abs(found - expected).mean() < 0.1
    monkeypatch.setattr(
        sksparsenn._estimators.gauss_newton, "ConjugateGradientSolver", lambda _: ConjugateGradientSolver(1e-12)
    )
    all_digits = estimator(kind, solver="cg").fit(X, y)
    np.testing.assert_allclose(all_digits.hidden_weights_, exact.hidden_weights_, rtol=0, atol=1e-8)


# -- the solver that a fit takes ---------------------------------------------------------------------


@pytest.fixture
def choices(monkeypatch):
    """The names that the choice has returned."""
    names = []
    monkeypatch.setattr(
        sksparsenn._solvers.choice, "choose_solver", lambda *args: names.append(choose_solver(*args)) or names[-1]
    )
    return names


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_automatic_solver_takes_plain_steps_while_the_ridge_is_large(kind, choices):
    X, y = problem(1500)
    y = targets_of(kind, y)
    model = estimator(kind, solver="auto", width=300, max_iter=3).fit(X, y)
    assert choices[:1] == ["cg"]
    assert model.residual_curve_[0] <= (0.1 if is_classifier(model) else 0.03)
    assert model.inner_iterations_curve_[0] >= 1
    choices.clear()
    constant = estimator(kind, solver="auto", width=300, max_iter=2, alpha=FIRST).fit(X, y)
    assert constant.solver_ == choices[-1]
    assert "cg" not in choices


def test_automatic_solver_takes_no_plain_steps_of_a_small_order(choices):
    X, y = problem(1500)
    model = regressor(solver="auto", width=40, max_iter=4, cv=2).fit(X, y)  # the order is that of 40 * 5 weights
    assert set(choices) == {"cholesky"}
    assert model.solver_ == "cholesky"
