"""Training against its dense twin: the same weights, whatever the search."""

import dense_twin
import numpy as np
import pytest
from single_networks import SparseShiftedReLURegressor

from sksparsenn._search.searches import SEARCHES

STEPS = 25


def problem(n=60, d=4, n_outputs=1, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    y = np.sin(X @ rng.standard_normal((d, n_outputs))) + 0.1 * rng.standard_normal((n, n_outputs))
    return X, y[:, 0] if n_outputs == 1 else y


# Each setting differs from the plain one in what its name says.
SETTINGS = {
    "plain": {},
    "heavy ball": {"momentum": 0.8, "nesterovs_momentum": False},
    "nesterov": {"momentum": 0.8},
    "ridge": {"alpha": 5.0},
    "ridge and momentum": {"alpha": 5.0, "momentum": 0.5},
    "huber": {"loss": "huber"},
    "absolute error": {"loss": "absolute_error"},
    "threshold above shift": {"threshold": 1.4},
    "no shift": {"shift": 0.0},
    "truncated relu": {"shift": 0.0, "threshold": 0.9},
    "output scale": {"output_scale": 3.0},
    "three outputs": {"n_outputs": 3},
    "three outputs, absolute error": {"n_outputs": 3, "loss": "absolute_error"},
    "gaussian": {"init": "gaussian", "width": 31},
    "odd width": {"width": 41, "momentum": 0.8, "alpha": 1.0},
    "odd width, no shift": {"width": 39, "shift": 0.0},
    "weights": {"weighted": True},
    "weights and outputs": {"weighted": True, "n_outputs": 2, "loss": "huber", "alpha": 1.0},
}


def fit_both(setting, solver, search, dtype=np.float64):
    setting = dict(setting)
    X, y = problem(n_outputs=setting.pop("n_outputs", 1))
    sample_weight = np.random.default_rng(1).uniform(0.2, 3.0, len(X)) if setting.pop("weighted", False) else None
    params = {
        "width": 40,
        "shift": 1.1,
        "learning_rate": 2.0,
        "momentum": 0.0,
        "output_scale": 1.0,
        "alpha": 0.0,
    } | setting
    if solver == "sgd":  # six batches of ten make up an epoch of sixty
        params |= {"batch_size": 10, "max_iter": -(-STEPS // 6)}
    else:
        params |= {"max_iter": STEPS}
    model = SparseShiftedReLURegressor(
        **params, solver=solver, search=search, tol=0, n_iter_no_change=10**6, random_state=3
    )
    model.fit(X.astype(dtype), y, sample_weight)
    shift = params["shift"]
    weights, losses = dense_twin.train(
        X, y, width=params["width"], shift=shift, threshold=params.get("threshold", shift), solver=solver,
        loss=params.get("loss", "squared_error"), alpha=params["alpha"], output_scale=params["output_scale"],
        learning_rate=2.0, momentum=params["momentum"], nesterov=params.get("nesterovs_momentum", True), batch_size=10,
        steps=STEPS if solver == "gd" else 6 * params["max_iter"], seed=3, init=params.get("init", "paired"),
        sample_weight=sample_weight,
    )  # fmt: skip
    return model, weights, losses


@pytest.mark.parametrize(
    ("params", "search"),
    [
        ({}, "margin"),
        ({"solver": "sgd"}, "brute"),
        ({"solver": "sgd", "momentum": 0.0}, "brute"),
        ({"solver": "sgd", "momentum": 0.0, "alpha": 0.0}, "weights"),
    ],
)
def test_auto_takes_the_tree_over_the_weights_only_where_few_neurons_move(params, search):
    X = np.random.default_rng(0).standard_normal((60, 2))
    model = SparseShiftedReLURegressor(width=1 << 14, max_iter=1, random_state=0, **params).fit(X, X[:, 0])
    assert model.search_ == search


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("solver", ["gd", "sgd"])
@pytest.mark.parametrize("setting", SETTINGS)
def test_weights_agree_with_dense_twin(setting, solver, search):
    model, weights, losses = fit_both(SETTINGS[setting], solver, search)
    assert model.search_ == search
    np.testing.assert_allclose(model.hidden_weights_, weights, rtol=0, atol=1e-10)
    assert np.abs(weights - model.initial_weights_).max() > 0.05  # the twin went somewhere
    per_iteration = losses.reshape(model.n_iter_, -1).mean(axis=1)
    np.testing.assert_allclose(model.loss_curve_, per_iteration, rtol=1e-9)


@pytest.mark.parametrize("solver", ["gd", "sgd"])
def test_searches_lead_to_the_same_bits(solver):
    """The one inner product decides and feeds everything: not close, equal; also in single precision."""
    for dtype in (np.float32, np.float64):
        weights = [fit_both({"momentum": 0.8}, solver, search, dtype)[0].hidden_weights_ for search in SEARCHES]
        assert weights[0].dtype == dtype
        for other in weights[1:]:
            np.testing.assert_array_equal(other, weights[0])


@pytest.mark.parametrize("width", [1, 3, 41])
@pytest.mark.parametrize("shift", [0.0, 1.1])
def test_odd_widths_start_from_zero_in_all_searches(width, shift):
    """One neuron has no partner, fires on nothing and stays where it is."""
    setting = {"width": width, "shift": shift, "momentum": 0.8, "alpha": 1.0}
    fitted = [fit_both(setting, "gd", search)[0] for search in SEARCHES]
    for model in fitted:
        np.testing.assert_array_equal(model.hidden_weights_, fitted[0].hidden_weights_)
        np.testing.assert_array_equal(model.hidden_weights_[width // 2], 0)
        assert model.loss_curve_[0] == pytest.approx(0.5, abs=1e-15)


def test_single_precision_follows_the_twin():
    model, weights, _ = fit_both({}, "gd", "margin", np.float32)
    # 25 steps of single-precision sums; a neuron that fires differently would be off by 1e-2 and more.
    np.testing.assert_allclose(model.hidden_weights_, weights, rtol=0, atol=2e-5)


def test_predictions_agree_with_dense_twin():
    X, y = problem()
    model = SparseShiftedReLURegressor(64, shift=0.7, max_iter=30, random_state=0).fit(X, y)
    shares = np.full(len(X), 1 / len(X))
    inside = dense_twin.lifted(X, shares)
    expected = dense_twin.outputs(
        model.hidden_weights_, model.output_weights_, inside, 0.7, 0.7, model.output_scale / np.sqrt(64)
    )
    np.testing.assert_allclose(model.predict(X), expected[:, 0] * y.std() + y.mean(), rtol=1e-10)


def test_gradient_agrees_with_finite_differences():
    """At points away from kinks the derivative of the loss is the gradient that training follows."""
    X, y = problem(n=20)
    rng = np.random.default_rng(5)
    W, signs, shares = rng.standard_normal((12, 5)), rng.choice([-1.0, 1.0], (12, 1)), np.full(20, 1 / 20)
    inside, target = dense_twin.lifted(X, shares), dense_twin.standardised(y[:, None], shares)
    assert np.abs(W @ inside.T - 0.5).min() > 1e-4
    for loss in dense_twin.LOSS_VALUES:

        def value(W, loss=loss):
            return dense_twin.gradient(W, signs, inside, target, shares, 0.5, 0.5, 0.3, loss)[0]

        _, gradient = dense_twin.gradient(W, signs, inside, target, shares, 0.5, 0.5, 0.3, loss)
        for r, j in [(0, 0), (3, 2), (11, 4)]:
            step = np.zeros_like(W)
            step[r, j] = 1e-6
            assert (value(W + step) - value(W - step)) / 2e-6 == pytest.approx(gradient[r, j], abs=1e-7)


def test_automatic_learning_rate_is_inverse_of_largest_eigenvalue():
    X, y = problem(n=80)
    weight = np.random.default_rng(2).uniform(0.5, 2.0, len(X))
    model = SparseShiftedReLURegressor(50, shift=0.5, max_iter=1, random_state=0).fit(X, y, weight)
    shares = weight / weight.sum()
    inside = dense_twin.lifted(X, shares)
    fires = dense_twin.activation(model.initial_weights_, inside, 0.5, 0.5)[1].astype(float)
    kernel = model.output_scale**2 / 50 * (inside @ inside.T) * (fires.T @ fires)
    root = np.sqrt(shares)
    largest = np.linalg.eigvalsh(root[:, None] * kernel * root).max()
    assert model.learning_rate_ == pytest.approx(1 / largest, rel=5e-3)


def test_gradient_descent_without_momentum_never_raises_the_loss():
    X, y = problem(n=200, d=6)
    model = SparseShiftedReLURegressor(256, output_scale=10.0, momentum=0.0, max_iter=200, tol=0, random_state=0).fit(
        X, y
    )
    assert (np.diff(model.loss_curve_) <= 1e-12).all()


@pytest.mark.parametrize("average", ["last", "mean", "epoch", "random"])
def test_output_rules(average):
    """The kept weights are the last, the mean, or one of the iterates."""
    X, y = problem()
    params = {
        "width": 20,
        "shift": 0.5,
        "learning_rate": 1.0,
        "momentum": 0.0,
        "tol": 0,
        "random_state": 0,
        "n_iter_no_change": 99,
    }
    iterates = [SparseShiftedReLURegressor(max_iter=t, **params).fit(X, y).hidden_weights_ for t in range(1, 9)]
    kept = SparseShiftedReLURegressor(max_iter=8, average=average, **params).fit(X, y).hidden_weights_
    if average in ("last", "epoch"):  # an epoch of gradient descent is a step
        np.testing.assert_array_equal(kept, iterates[-1])
    elif average == "mean":
        np.testing.assert_allclose(kept, np.mean(iterates, axis=0), rtol=1e-12)
    else:
        assert any(np.array_equal(kept, iterate) for iterate in iterates)


def test_epoch_means_make_up_the_mean_over_all_steps():
    X, y = problem()
    model = SparseShiftedReLURegressor(20, shift=0.5, solver="sgd", batch_size=3, max_iter=2, tol=0, random_state=0)
    both, last = (model.set_params(average=name).fit(X, y).hidden_weights_ for name in ("mean", "epoch"))
    first = model.set_params(max_iter=1).fit(X, y).hidden_weights_
    np.testing.assert_allclose(both, (first + last) / 2, rtol=1e-12)
    assert not np.array_equal(first, last)


def test_random_iterate_is_uniform():
    """Over many seeds of the rule alone each of five steps is kept about equally often."""
    from sksparsenn._training.averages import RandomIterate

    counts = np.zeros(5)
    for seed in range(2000):
        rule = RandomIterate()
        rule.begin(np.random.RandomState(seed))
        for step in range(5):
            rule.note(np.array([float(step)]))
        counts[int(rule.weights(np.array([-1.0]))[0])] += 1
    # Chi-squared with 4 degrees of freedom exceeds 23.5 with probability 1e-4.
    assert ((counts - 400) ** 2 / 400).sum() < 23.5


def test_warm_start_continues():
    X, y = problem()
    params = {
        "width": 30,
        "shift": 0.5,
        "learning_rate": 1.0,
        "momentum": 0.0,
        "tol": 0,
        "random_state": 0,
        "alpha": 1.0,
    }
    whole = SparseShiftedReLURegressor(max_iter=20, **params).fit(X, y)
    halves = SparseShiftedReLURegressor(max_iter=10, warm_start=True, **params).fit(X, y).fit(X, y)
    np.testing.assert_array_equal(halves.initial_weights_, whole.initial_weights_)
    # The ridge is measured anew at the start of each fit, so it is close, not equal.
    np.testing.assert_allclose(halves.hidden_weights_, whole.hidden_weights_, atol=1e-3)
    again = SparseShiftedReLURegressor(max_iter=10, warm_start=True, **(params | {"alpha": 0.0})).fit(X, y).fit(X, y)
    straight = SparseShiftedReLURegressor(max_iter=20, **(params | {"alpha": 0.0})).fit(X, y)
    np.testing.assert_array_equal(again.hidden_weights_, straight.hidden_weights_)


def test_a_step_that_is_taken_back_is_no_divergence():
    """An automatic step that ends at infinity is undone and tried smaller; only a bad start cannot be mended."""
    from types import SimpleNamespace

    from sksparsenn._training.step_sizes import refuse_divergence

    options = SimpleNamespace(learning_rate="auto", momentum=0.9)
    state = SimpleNamespace(loss_curve=[0.5, np.inf], best_loss=0.5, learning_rate=1.0)
    refuse_divergence(state, options, adaptive=True)
    with pytest.raises(ValueError, match="training diverged"):
        refuse_divergence(SimpleNamespace(**(vars(state) | {"best_loss": np.inf})), options, adaptive=True)
    with pytest.raises(ValueError, match="training diverged"):
        refuse_divergence(state, options, adaptive=False)
