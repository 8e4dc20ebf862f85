"""scikit-learn's callbacks: progress and scores of every estimator, alone and inside a grid search."""

import numpy as np
import pytest
from single_networks import (
    SketchedGaussNewtonClassifier,
    SketchedGaussNewtonRegressor,
    SparseShiftedReLUClassifier,
    SparseShiftedReLURegressor,
)
from sklearn.base import clone, is_classifier
from sklearn.model_selection import GridSearchCV

import sksparsenn
import sksparsenn._estimators.callbacks

MODELS = {
    "gd": SparseShiftedReLURegressor(40, shift=0.5, max_iter=6, tol=0, random_state=0),
    "sgd": SparseShiftedReLURegressor(40, shift=0.5, solver="sgd", max_iter=4, tol=0, random_state=0),
    "gauss_newton": SketchedGaussNewtonRegressor(40, shift=0.5, solver="cholesky", max_iter=4, tol=0, random_state=0),
    "gd classifier": SparseShiftedReLUClassifier(40, shift=0.5, max_iter=6, tol=0, random_state=0),
    "gauss_newton classifier": SketchedGaussNewtonClassifier(
        40, shift=0.5, solver="cholesky", max_iter=4, tol=0, random_state=0
    ),
}


def table(model, n=90):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, 4))
    y = X[:, 0] + np.sin(3 * X[:, 1]) + 0.3 * rng.standard_normal(n)
    return X, np.digitize(y, [-0.7, 0.7]) if is_classifier(model) else y


class Recorder:
    """A callback that notes what it is told, and may ask to stop."""

    def __init__(self, stop_after=None, fail_after=None):
        self.stop_after, self.fail_after, self.calls, self.scores = stop_after, fail_after, [], []

    def setup(self, estimator, context):
        self.calls.append("setup")

    def teardown(self, estimator, context):
        self.calls.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.calls.append(f"begin {context.task_name}")

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, fitted_estimator=None):
        self.calls.append(f"end {context.task_name}")
        if context.task_name != "iteration":
            return False
        self.scores.append(fitted_estimator.score(X, y))
        if len(self.scores) == self.fail_after:
            raise RuntimeError("the callback failed")
        return len(self.scores) == self.stop_after


supported = hasattr(sksparsenn.SparseShiftedReLURegressor, "set_callbacks")


def test_older_versions_train_without():
    """The mixin has nothing to offer there, and `Progress` calls nothing."""
    import sklearn
    from sklearn.utils.fixes import parse_version

    assert supported == (parse_version(sklearn.__version__) >= parse_version("1.9"))
    progress = sksparsenn._estimators.callbacks.Progress(object(), None, None, None, 3, None, None)
    progress.begin_iteration()
    assert progress.end_iteration(None) is False
    progress.end()


if supported:
    from sklearn.callback import ProgressBar, ScoringMonitor

    @pytest.mark.parametrize("name", MODELS)
    def test_each_iteration_begins_and_ends_with_a_network_that_predicts(name):
        model, recorder = clone(MODELS[name]), Recorder()
        X, y = table(model)
        model.set_callbacks(recorder).fit(X, y)
        iterations = ["begin iteration", "end iteration"] * model.n_iter_
        assert recorder.calls == ["setup", "begin fit", *iterations, "end fit", "teardown"]
        silent = clone(MODELS[name])
        for k, score in enumerate(recorder.scores, start=1):
            assert score == pytest.approx(silent.set_params(max_iter=k).fit(X, y).score(X, y), abs=1e-12)
        np.testing.assert_array_equal(model.hidden_weights_, silent.hidden_weights_)

    @pytest.mark.parametrize("name", MODELS)
    def test_a_callback_may_stop_training(name):
        model = clone(MODELS[name])
        X, y = table(model)
        model.set_callbacks(Recorder(stop_after=2)).fit(X, y)
        assert (model.n_iter_, model.stop_reason_) == (2, "callback")
        expected = clone(MODELS[name]).set_params(max_iter=2).fit(X, y)
        np.testing.assert_array_equal(model.hidden_weights_, expected.hidden_weights_)

    @pytest.mark.parametrize("name", MODELS)
    def test_a_failing_callback_is_torn_down_and_leaves_the_last_fit(name):
        model = clone(MODELS[name])
        X, y = table(model)
        model.fit(X, y)
        before = dict(vars(model))
        recorder = Recorder(fail_after=2)
        with pytest.raises(RuntimeError, match="the callback failed"):
            model.set_callbacks(recorder).set_params(shift=0.0).fit(X[:, :2], y)
        assert recorder.calls[-1] == "teardown"
        after = {name: value for name, value in vars(model).items() if name not in ("_skl_callbacks", "shift")}
        assert after.keys() == before.keys() - {"shift"}
        assert all(after[name] is before[name] for name in after)
        assert np.isfinite(model.score(X, y))

    @pytest.mark.parametrize("name", MODELS)
    def test_scoring_monitor_logs_a_score_for_each_iteration(name):
        model = clone(MODELS[name])
        X, y = table(model)
        metric = "accuracy" if is_classifier(model) else "r2"
        monitor = ScoringMonitor(scoring=metric)
        weight = np.random.default_rng(1).uniform(0.5, 2, len(y))
        model.set_callbacks(monitor).fit(X, y, sample_weight=weight)
        rows = [row for row in monitor.get_logs().data if row["task_name"] == "iteration"]
        assert len(rows) == model.n_iter_
        assert rows[-1][metric] == pytest.approx(model.score(X, y, sample_weight=weight))

    @pytest.mark.parametrize("n_jobs", [None, 2])
    @pytest.mark.parametrize("name", ["gd", "gauss_newton classifier"])
    def test_callbacks_pass_through_a_grid_search(name, n_jobs):
        model = clone(MODELS[name])
        X, y = table(model)
        monitor = ScoringMonitor(scoring="accuracy" if is_classifier(model) else "r2")
        model.set_callbacks(monitor)
        search = GridSearchCV(model, {"width": [20, 40]}, cv=2, n_jobs=n_jobs)
        search.set_callbacks(ProgressBar()).fit(X, y)
        alone = GridSearchCV(clone(MODELS[name]), {"width": [20, 40]}, cv=2).fit(X, y)
        np.testing.assert_array_equal(search.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"])

    @pytest.mark.parametrize("name", MODELS)
    def test_progress_bar_runs(name, capsys):
        model = clone(MODELS[name])
        model.set_callbacks(ProgressBar()).fit(*table(model))
        assert "fit" in capsys.readouterr().out
