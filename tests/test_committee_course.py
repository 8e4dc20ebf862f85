"""How committees train: side by side or in turn, watched, interrupted, taken up again, as a stream."""

import copy
import os
import signal
import threading
import time

import numpy as np
import pytest
from committees import (
    FIRST_ORDER,
    MODELS,
    ON_PATH,
    WORK,
    assert_same,
    assert_unchanged,
    generator_of_member,
    scores,
    splits_of,
    table,
)
from single_networks import (
    SparseShiftedReLURegressor,
)
from sklearn.base import clone, is_classifier
from threadpoolctl import threadpool_limits

import sksparsenn._estimators.folds
import sksparsenn._training.early_stopping
import sksparsenn._training.side_by_side
from sksparsenn._utils.threads import built_with_openmp

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
