"""Whole Gauss-Newton training: against its dense twin, and against what the papers and the parameters promise."""

import dense_gauss_newton
import dense_twin
import numpy as np
import pytest
from single_networks import SketchedGaussNewtonRegressor
from sklearn.base import clone
from sklearn.datasets import load_diabetes
from threadpoolctl import threadpool_info, threadpool_limits

import sksparsenn
from sksparsenn._search.choice import make_search
from sksparsenn._utils.blas_threads import single_blas_thread

SEARCHES = ("margin", "max_tree", "brute")
SOLVERS = {
    "cholesky": {"solver": "cholesky"},
    "sketch": {"solver": "sketch"},
    "srht, gradient": {"solver": "sketch", "sketch": "srht", "sketch_size": 12.0, "iterative_solver": "gradient"},
    "gaussian": {"solver": "sketch", "sketch": "gaussian"},
    "nystrom": {"solver": "nystrom"},
}
# Every parameter that a result depends on is given: tests do not follow defaults.
PLAIN = {
    "width": 40, "shift": 1.1, "threshold": None, "solver": "cholesky", "sketch": "sparse_sign", "sketch_size": 4.0,
    "iterative_solver": "cg", "search": "margin", "alpha": 0.001, "output_scale": 1.0, "init": "paired", "max_iter": 8,
    "tol": 0.0, "damping": "adaptive", "fit_intercept": True, "intercept_scaling": 1.0, "random_state": 3,
}  # fmt: skip


@pytest.fixture(autouse=True)
def one_blas_thread():
    """For the twin: small products by many threads take longer than by one."""
    with single_blas_thread():
        yield


def regressor(**params):
    return SketchedGaussNewtonRegressor(**(PLAIN | params))


def problem(n=60, d=4, n_outputs=1, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    y = np.sin(X @ rng.standard_normal((d, n_outputs))) + 0.1 * rng.standard_normal((n, n_outputs))
    return X, y[:, 0] if n_outputs == 1 else y


def twin(model, X, y, sample_weight=None, max_iter=None):
    """The dense twin of a model, trained on the same data."""
    p = model.get_params()
    return dense_gauss_newton.train(
        X, y, sample_weight=sample_weight, damped=p["damping"] == "adaptive", seed=p["random_state"],
        threshold=p["shift"] if p["threshold"] is None else p["threshold"], max_iter=max_iter or p["max_iter"],
        **{name: p[name] for name in
           ("width", "shift", "alpha", "output_scale", "tol", "init", "fit_intercept", "intercept_scaling")},
    )  # fmt: skip


# -- against the dense twin -------------------------------------------------------------------------

# Each setting differs from the plain one, 40 neurons of 5 features for 60 samples, in what its name says.
SETTINGS = {
    "plain": {},
    "no ridge": {"alpha": 0.0},
    "strong ridge": {"alpha": 1.0},
    "narrow": {"width": 6, "init": "gaussian", "shift": 0.3},
    "narrow, no ridge": {"width": 6, "init": "gaussian", "shift": 0.3, "alpha": 0.0},
    "threshold above shift": {"threshold": 1.4},
    "no shift": {"shift": 0.0},
    "truncated relu": {"shift": 0.0, "threshold": 0.9},
    "output scale": {"output_scale": 10.0},
    "gaussian": {"init": "gaussian", "width": 31},
    "odd width": {"width": 41},
    "three outputs": {"n_outputs": 3},
    "three outputs, narrow": {"n_outputs": 3, "width": 6, "shift": 0.3, "alpha": 0.1},
    "weights": {"weighted": True},
    "weights and outputs": {"weighted": True, "n_outputs": 2, "alpha": 0.1},
    "no intercept": {"fit_intercept": False},
    "plain steps": {"damping": 0, "alpha": 0.1, "width": 200, "output_scale": 30.0},
    "plain steps, weights and outputs": {
        "damping": 0, "alpha": 0.1, "width": 200, "output_scale": 30.0, "weighted": True, "n_outputs": 2,
    },
}  # fmt: skip


def fit_both(setting, **more):
    setting = dict(setting)
    X, y = problem(n_outputs=setting.pop("n_outputs", 1))
    sample_weight = np.random.default_rng(1).uniform(0.2, 3.0, len(X)) if setting.pop("weighted", False) else None
    model = regressor(**setting, **more).fit(X, y, sample_weight)
    return model, twin(model, X, y, sample_weight)


@pytest.mark.parametrize("setting", SETTINGS)
def test_training_agrees_with_dense_twin(setting):
    model, expected = fit_both(SETTINGS[setting])
    np.testing.assert_array_equal(model.initial_weights_, expected.start)
    np.testing.assert_allclose(model.hidden_weights_, expected.weights, rtol=0, atol=1e-8)
    assert np.abs(expected.weights - expected.start).max() > 0.01  # the twin went somewhere
    np.testing.assert_allclose(model.objective_curve_, expected.objectives, rtol=1e-8)
    np.testing.assert_allclose(model.damping_curve_, expected.dampings, rtol=1e-6)
    assert model.accepted_curve_.tolist() == expected.accepted
    assert model.objective_ == pytest.approx(expected.objective, rel=1e-8)


@pytest.fixture
def rash(monkeypatch):
    """Hardly any damping at the start, in the twin too: the first steps go too far and are taken back."""
    for module in ("sksparsenn._training.trust_region", "dense_gauss_newton"):
        monkeypatch.setattr(f"{module}.FIRST_DAMPING", 1e-3)
    return {"output_scale": 0.1, "alpha": 0.01}


def test_steps_that_are_taken_back_agree_with_dense_twin(rash):
    for setting in ({}, {"n_outputs": 2, "weighted": True}, {"width": 6}):
        model, expected = fit_both(rash | setting)
        assert model.accepted_curve_.tolist() == expected.accepted
        assert 0 < sum(expected.accepted) < len(expected.accepted)
        np.testing.assert_allclose(model.hidden_weights_, expected.weights, rtol=0, atol=1e-8)
        np.testing.assert_allclose(model.damping_curve_, expected.dampings, rtol=1e-6)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("setting", ["plain", "narrow", "three outputs", "weights"])
def test_every_solver_follows_the_twin(setting, solver, monkeypatch):
    """Also where a preconditioner is kept from one Jacobian to the next, and where it is worn out."""
    # A step by Nystrom has four digits; with ten it is that of the twin.
    monkeypatch.setattr(sksparsenn.SketchedGaussNewtonRegressor, "_residual", 1e-10)
    model, expected = fit_both(SETTINGS[setting], **SOLVERS[solver], max_iter=5)
    assert (model.residual_curve_ <= 1e-10).all()
    np.testing.assert_allclose(model.hidden_weights_, expected.weights, rtol=0, atol=1e-6)
    assert np.abs(expected.weights - expected.start).max() > 0.01


@pytest.fixture(scope="module")
def diabetes():
    """The first 150 of its 442 rows."""
    X, y = load_diabetes(return_X_y=True)
    return X[:150], y[:150]


def duplicated(n=40, d=4):
    """Every row twice, with different targets: J J^T is singular, and no weights fit all targets."""
    X, y = problem(n, d)
    return np.vstack([X, X]), np.concatenate([y, y + 1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("solver", SOLVERS)
def test_searches_lead_to_the_same_bits(solver, dtype, rash):
    X, y = problem(100)
    models = [
        regressor(**SOLVERS[solver], **rash, search=search, width=100).fit(X.astype(dtype), y) for search in SEARCHES
    ]
    assert [model.search_ for model in models] == list(SEARCHES)
    assert models[0].hidden_weights_.dtype == dtype
    assert not models[0].accepted_curve_.all()  # steps that are taken back are where a search could fall behind
    for other in models[1:]:
        np.testing.assert_array_equal(other.hidden_weights_, models[0].hidden_weights_)
        np.testing.assert_array_equal(other.objective_curve_, models[0].objective_curve_)


# -- the objective ----------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("data", ["diabetes", "duplicated rows"])
def test_the_objective_never_rises(data, solver, diabetes):
    X, y = diabetes if data == "diabetes" else duplicated()
    model = regressor(**SOLVERS[solver], width=64, shift=1.0, max_iter=15, alpha=0.0).fit(X, y)
    objectives = np.append(model.objective_curve_, model.objective_)
    gained = -np.diff(objectives)
    assert (gained[model.accepted_curve_] > 0).all()
    np.testing.assert_array_equal(gained[~model.accepted_curve_], 0)
    assert model.accepted_curve_.sum() >= 5
    # The objective after all is that of the weights that were kept.
    inside, targets = dense_gauss_newton.ready(X, y[:, None], np.ones(len(X)), True, 1.0)
    outputs = dense_twin.outputs(model.hidden_weights_, model.output_weights_, inside, 1.0, 1.0, 1 / np.sqrt(64))
    assert model.objective_ == pytest.approx(0.5 * np.sum((outputs - targets) ** 2), rel=1e-9)


def test_solvers_end_at_the_same_objective(diabetes):
    """With an output scale so large that nobody's firing changes the problem is convex, and all solvers solve it.

    They stop where a step gains a billionth of the objective or can gain nothing: what is left is below a millionth.
    """
    models = {
        name: regressor(**solver, width=200, shift=1.0, output_scale=1e5, alpha=0.1, max_iter=200, tol=1e-9)
        for name, solver in SOLVERS.items()
    }
    objectives = {name: model.fit(*diabetes).objective_ for name, model in models.items()}
    assert {model.stop_reason_ for model in models.values()} <= {"tol", "rounding"}
    for objective in objectives.values():
        assert objective == pytest.approx(objectives["cholesky"], rel=1e-6)
    assert not any(model.pairs_changed_curve_.any() for model in models.values())
    assert objectives["cholesky"] < 0.8 * models["cholesky"].objective_curve_[0]


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("init", ["paired", "gaussian"])
def test_plain_steps_at_least_halve_the_loss_in_the_regime_of_the_papers(init, solver):
    """BPSW21 Theorem 1.1, DHSWZ24 Theorem 1.1: wide, separated samples of length one, no ridge, no damping.

    They need not converge linearly only: near the end one step squares the error.  Below 1e-16 of the first
    loss nothing but rounding is left.
    """
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 10))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    y = np.sin(3 * X[:, 0]) + X[:, 1]
    model = regressor(
        **SOLVERS[solver], width=4000, shift=0.5, alpha=0.0, damping=0, fit_intercept=False, init=init,
        output_scale=100.0, max_iter=4, search="brute",
    ).fit(X, y)  # fmt: skip
    losses = np.append(model.objective_curve_, model.objective_)
    meaningful = losses[:-1] > 1e-16 * losses[0]
    assert meaningful[:2].all()
    assert (losses[1:] <= losses[:-1] / 2)[meaningful].all()
    assert model.objective_ < 1e-4 * losses[0]


@pytest.mark.parametrize("solver", SOLVERS)
def test_plain_steps_on_a_singular_problem_are_refused(solver):
    """By the solver, which sees that the matrix is singular, or after a step that follows from that."""
    with pytest.raises(ValueError, match=r"(singular|diverged).*use damping='adaptive'"):
        regressor(**SOLVERS[solver], width=200, shift=0.5, damping=0, alpha=0.0).fit(*duplicated())


def test_no_step_without_ridge_and_damping_names_both():
    """A sample at the origin, on which nobody fires."""
    X, y = problem()
    X[7] = 0
    with pytest.raises(ValueError, match=r"singular.*damping=0 and alpha=0.0.*damping='adaptive', or raise alpha"):
        regressor(damping=0, alpha=0.0, fit_intercept=False, width=200, shift=0.5).fit(X, y)


@pytest.mark.parametrize("solver", SOLVERS)
def test_plain_steps_that_diverge_name_the_parameter(solver):
    """To fit targets that differ by one on rows that differ by 1e-5, weights move by about 1e5."""
    X, y = duplicated()
    X[:40] += 1e-5 * np.random.default_rng(1).standard_normal((40, 4))
    with pytest.raises(ValueError, match=r"training diverged: the objective went from .* use damping='adaptive'"):
        regressor(**SOLVERS[solver], width=200, shift=0.5, damping=0, alpha=0.0).fit(X, y)


# -- when to stop -----------------------------------------------------------------------------------


def test_training_stops_once_a_step_gains_less_than_the_tolerance():
    X, y = problem()
    model = regressor(tol=0.02, max_iter=100, alpha=0.1).fit(X, y)
    expected = twin(model, X, y)
    assert model.stop_reason_ == expected.stop_reason == "tol"
    assert model.n_iter_ == len(expected.objectives) < 100
    objectives = np.append(model.objective_curve_, model.objective_)
    gains = (-np.diff(objectives) / objectives[:-1])[model.accepted_curve_]
    assert gains[-1] <= 0.02
    assert (gains[:-1] > 0.02).all()
    assert model.accepted_curve_[-1]


def test_training_stops_at_the_number_of_iterations():
    model = regressor(max_iter=3).fit(*problem())
    assert (model.stop_reason_, model.n_iter_) == ("max_iter", 3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_training_stops_where_rounding_ends_all_progress(dtype):
    """At the minimum, which has a closed form if nobody's firing changes: one step without damping from the start."""
    X, y = problem()
    model = regressor(max_iter=200, alpha=0.1, output_scale=3000.0).fit(X.astype(dtype), y)
    assert model.stop_reason_ == "rounding"
    assert not model.accepted_curve_[-1]
    assert not model.pairs_changed_curve_.any()
    inside, targets = dense_gauss_newton.ready(X, y[:, None], np.ones(60), True, 1.0)
    start, scale = model.initial_weights_.astype(float), 3000 / np.sqrt(40)
    J = dense_gauss_newton.jacobian(start, model.output_weights_, inside, np.ones(60), 1.1, scale)
    ridge = 0.1 * (J**2).sum() / 60
    step = dense_gauss_newton.damped_step(J, targets.ravel(), 0 * start.ravel(), ridge, 0.0)
    least = dense_gauss_newton.model(J, targets.ravel(), 0 * start.ravel(), step, ridge, 0.0)
    assert model.objective_ == pytest.approx(least, rel=10 * float(np.sqrt(np.finfo(dtype).eps)))
    assert least < 0.8 * model.objective_curve_[0]


@pytest.mark.parametrize("damping", ["adaptive", 0])
@pytest.mark.parametrize("solver", SOLVERS)
def test_constant_targets_leave_nothing_to_learn(solver, damping):
    X, _ = problem()
    model = regressor(**SOLVERS[solver], damping=damping).fit(X, np.full(60, 7.5))
    np.testing.assert_array_equal(model.predict(X), 7.5)
    np.testing.assert_array_equal(model.hidden_weights_, model.initial_weights_)


@pytest.mark.parametrize("alpha", [0.0, 0.1])
@pytest.mark.parametrize("solver", SOLVERS)
def test_where_nobody_fires_nothing_is_learned(solver, alpha):
    X, y = problem()
    model = regressor(**SOLVERS[solver], shift=50.0, alpha=alpha).fit(X, y)
    np.testing.assert_array_equal(model.hidden_weights_, model.initial_weights_)
    np.testing.assert_allclose(model.predict(X), y.mean(), rtol=1e-12)
    assert model.stop_reason_ == "rounding"
    assert model.n_iter_ == 1


# -- who is moved, and what is recorded -------------------------------------------------------------


class Witness:
    """A search that records which neurons moved, and whom its candidates let fire."""

    follows_moves = True

    def __init__(self, *args, **kwargs):
        self.search = make_search(*args, **kwargs)
        self.name, self.told, self.evaluations = self.search.name, [], []

    def moved(self, W, rows):
        self.told.append(rows)
        self.search.moved(W, rows)

    def candidates(self, W, chosen):
        candidates, self.work = self.search.candidates(W, chosen)
        self.weights = W.copy()
        return candidates, self.work

    def learn(self, firing):
        self.search.learn(firing)
        indptr, samples = firing.pairs()
        neurons = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
        pairs = set(zip(neurons.tolist(), samples.tolist(), strict=True))
        self.evaluations.append((self.weights, pairs, self.work))


@pytest.fixture
def witnessed(monkeypatch):
    """Fit, and report what the search saw: one evaluation at the start and one for each iteration."""
    witnesses = []

    def make_witness(*args, **kwargs):
        witnesses.append(Witness(*args, **kwargs))
        return witnesses[-1]

    monkeypatch.setattr("sksparsenn._estimators.gauss_newton.make_search", make_witness)

    def fit(model, X, y):
        model.fit(X, y)
        assert len(witnesses[-1].evaluations) == model.n_iter_ + 1
        return witnesses[-1]

    return fit


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("alpha", [0.0, 0.1])
def test_only_neurons_that_fire_or_have_travelled_are_moved(alpha, search, witnessed, rash):
    """Weights of the others stay as they are, bit for bit; the search is told of all that changed since last time."""
    X, y = problem(n=20)
    model = regressor(**rash | {"alpha": alpha}, search=search, width=200, shift=1.8, max_iter=12)
    witness = witnessed(model, X, y)
    start, fires, _ = current = witness.evaluations[0]
    seen, coasting, failures = start, set(), 0
    assert len({r for r, _ in fires}) < 150  # some fire on nothing
    for told, evaluation, accepted in zip(witness.told, witness.evaluations[1:], model.accepted_curve_, strict=True):
        weights, pattern = current[:2]
        may_move = {r for r, _ in pattern}
        if alpha > 0:  # the ridge pulls back who has travelled
            may_move |= set(np.flatnonzero((weights != start).any(axis=1)))
        may_move |= coasting  # whom the last step moved, unless two in a row were taken back
        assert set(np.flatnonzero((evaluation[0] != weights).any(axis=1))) <= may_move
        assert set(np.flatnonzero((evaluation[0] != seen).any(axis=1))) <= set(told)
        seen = evaluation[0]
        failures = 0 if accepted else failures + 1
        if failures != 1:
            coasting = set(np.flatnonzero((evaluation[0] != weights).any(axis=1))) if accepted else set()
        current = evaluation if accepted else current
    assert not model.accepted_curve_.all()
    np.testing.assert_array_equal(model.hidden_weights_, current[0][:, :5])
    never = (model.hidden_weights_ == model.initial_weights_).all(axis=1)
    assert never.any()
    assert not never.all()


@pytest.mark.parametrize("search", SEARCHES)
def test_the_history_is_what_happened(search, witnessed, rash):
    X, y = problem(n=50)
    model = regressor(**rash, search=search, max_iter=12)
    witness = witnessed(model, X, y)
    current, expected = witness.evaluations[0], []
    for evaluation, accepted in zip(witness.evaluations[1:], model.accepted_curve_, strict=True):
        moved = (evaluation[0] != current[0]).any(axis=1).sum() if accepted else 0
        changed = len(current[1] ^ evaluation[1]) if accepted else 0
        expected.append((moved, changed, len(current[1]) / (50 * 40)))
        current = evaluation if accepted else current
    moved, changed, share = zip(*expected, strict=True)
    assert model.neurons_moved_curve_.tolist() == list(moved)
    assert model.pairs_changed_curve_.tolist() == list(changed)
    assert sum(changed) > 0
    np.testing.assert_allclose(model.firing_fraction_curve_, share, rtol=1e-12)
    # The work of the evaluation at the start counts to the first iteration.
    works = [evaluation[2] for evaluation in witness.evaluations]
    works = [works[0] + works[1], *works[2:]]
    assert model.pairs_evaluated_curve_.tolist() == [work.pairs_evaluated for work in works]
    assert model.nodes_visited_curve_.tolist() == [work.nodes_visited for work in works]
    assert model.neurons_rescanned_curve_.tolist() == [work.neurons_rescanned for work in works]


@pytest.mark.parametrize("solver", SOLVERS)
def test_curves_have_an_entry_per_iteration(solver):
    X, y = problem()
    weight = np.random.default_rng(0).uniform(0.5, 2.0, 60)
    model = regressor(**SOLVERS[solver], max_iter=6).fit(X, y, weight)
    curves = [name for name in vars(model) if name.endswith("_curve_")]
    assert len(curves) >= 12
    for name in curves:
        assert getattr(model, name).shape == (model.n_iter_,) == (6,), name
    np.testing.assert_allclose(model.loss_curve_ * weight.sum(), model.objective_curve_, rtol=1e-12)
    assert model.loss_curve_[0] == pytest.approx(0.5)  # f = 0 at the start, targets of variance one
    assert model.solver_ == SOLVERS[solver]["solver"]
    if solver == "cholesky":
        assert not model.inner_iterations_curve_.any()
    else:
        assert model.inner_iterations_curve_.min() >= 1
        assert 0 < model.residual_curve_.max() <= (1e-2 if solver == "nystrom" else 1e-10)


def test_damping_grows_after_a_step_that_is_taken_back(rash):
    model = regressor(**rash, max_iter=12).fit(*problem())
    damping, taken_back = model.damping_curve_, ~model.accepted_curve_[:-1]
    assert taken_back.any()
    assert (damping > 0).all()
    assert (damping[1:][taken_back] > damping[:-1][taken_back]).all()
    np.testing.assert_array_equal(regressor(damping=0, alpha=1.0).fit(*problem()).damping_curve_, 0)


# -- precision, weights, continuation, print --------------------------------------------------------


@pytest.mark.parametrize("solver", SOLVERS)
def test_single_precision_follows_double(solver):
    """Three iterations: steps are computed in double precision, weights and outputs rounded to single."""
    X, y = problem()
    X = X.astype(np.float32)
    single = regressor(**SOLVERS[solver], max_iter=3, alpha=0.1).fit(X, y)
    double = regressor(**SOLVERS[solver], max_iter=3, alpha=0.1, random_state=3).fit(X.astype(np.float64), y)
    assert single.hidden_weights_.dtype == single.predict(X).dtype == np.float32
    np.testing.assert_allclose(single.hidden_weights_, double.hidden_weights_, rtol=0, atol=1e-3)
    assert np.abs(double.hidden_weights_ - double.initial_weights_).max() > 0.1


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("solver", SOLVERS)
def test_sample_weights_count_as_repetitions(solver, search):
    """On the side of samples (40 neurons) and on that of neurons (4), which repetitions do not change."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((25, 3)), rng.standard_normal(25)
    weight = rng.integers(0, 4, 25)
    rows = rng.permutation(np.repeat(np.arange(25), weight))
    for width in (40, 4):
        model = regressor(**SOLVERS[solver], search=search, width=width, shift=0.5, max_iter=6, alpha=0.1)
        weighted = clone(model).fit(X, y, sample_weight=weight)
        repeated = clone(model).fit(X[rows], y[rows])
        # Systems are solved to ten digits, by Nystrom to four while its preconditioner is not made anew.
        atol = 1e-3 if solver == "nystrom" else 1e-7
        np.testing.assert_allclose(weighted.predict(X), repeated.predict(X), rtol=0, atol=atol)
        assert weighted.objective_ == pytest.approx(repeated.objective_, rel=atol)


def test_warm_start_continues():
    """Undamped and without ridge nothing but the weights is carried from step to step."""
    X, y = problem()
    params = {"damping": 0, "alpha": 0.0, "width": 400, "shift": 0.5, "output_scale": 30.0}
    whole = regressor(max_iter=4, **params).fit(X, y)
    halves = regressor(max_iter=2, warm_start=True, **params).fit(X, y).fit(X, y)
    np.testing.assert_array_equal(halves.hidden_weights_, whole.hidden_weights_)
    np.testing.assert_array_equal(halves.initial_weights_, whole.initial_weights_)
    # The ridge pulls towards the first weights, not towards those of the last fit.
    ridge = regressor(max_iter=200, warm_start=True, alpha=0.1, output_scale=10.0).fit(X, y)
    before = ridge.objective_
    ridge.set_params(max_iter=1).fit(X, y)
    assert np.abs(ridge.hidden_weights_ - ridge.initial_weights_).max() > 0.01
    assert ridge.objective_curve_[0] > 0.5 * before


def test_verbose_prints_a_line_per_iteration_and_nothing_else_does(capsys):
    X, y = problem()
    regressor(max_iter=3).fit(X, y)
    assert capsys.readouterr().out == ""
    regressor(max_iter=3, verbose=True).fit(X, y)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines[:-1]] == ["iteration 1", "iteration 2", "iteration 3"]
    assert all("objective" in line and "damping" in line and line.endswith(" s") for line in lines[:-1])
    assert lines[-1] == "stopped after 3 iterations: max_iter"


@pytest.mark.parametrize(
    ("solver", "search"), [*((solver, "margin") for solver in SOLVERS), ("cholesky", "max_tree"), ("cholesky", "brute")]
)
def test_same_bits_for_one_and_two_threads(solver, search):
    """Orders of 500 and 300, of three and two tiles, and enough pairs for threads to be worth it."""
    X, y = problem(500)
    for width in (256, 60):
        model = regressor(**SOLVERS[solver], search=search, width=width, shift=0.8, max_iter=2)
        fitted = []
        for threads in (1, 2):
            with threadpool_limits(threads):
                assert {pool["num_threads"] for pool in threadpool_info()} == {threads}
                fitted.append(clone(model).fit(X, y))
        np.testing.assert_array_equal(fitted[0].hidden_weights_, fitted[1].hidden_weights_)
        np.testing.assert_array_equal(fitted[0].objective_curve_, fitted[1].objective_curve_)
