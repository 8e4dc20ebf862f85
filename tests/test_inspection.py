"""Displays: what they hold equals attributes, brute force and closed forms; what they draw is what they hold."""

import doctest
import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from single_networks import (
    SketchedGaussNewtonClassifier,
    SketchedGaussNewtonRegressor,
    SparseShiftedReLUClassifier,
    SparseShiftedReLURegressor,
)

import sksparsenn
from sksparsenn.inspection import FiringPatternDisplay, TrainingCurveDisplay, WidthCostDisplay

DISPLAYS = FiringPatternDisplay, TrainingCurveDisplay, WidthCostDisplay


@pytest.fixture(autouse=True)
def no_figure_is_left_open():
    assert not plt.get_fignums()
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def diabetes():
    return load_diabetes(return_X_y=True)


@pytest.fixture(scope="module")
def descent(diabetes):
    return SparseShiftedReLURegressor(64, max_iter=20, early_stopping=True, random_state=0).fit(*diabetes)


@pytest.fixture(scope="module")
def search(diabetes):
    pipeline = make_pipeline(StandardScaler(), SparseShiftedReLURegressor(max_iter=3, random_state=0))
    name = "sparseshiftedreluregressor"
    grid = {f"{name}__width": [32, 8, 16], f"{name}__shift": ["auto", 0.5]}
    return GridSearchCV(pipeline, grid, cv=3).fit(*diabetes)


def labelled(display):
    return all(ax.get_xlabel() and ax.get_ylabel() for ax in display.axes_)


# -- without matplotlib -------------------------------------------------------------------


def test_importing_the_package_does_not_import_matplotlib():
    code = "import sys, sksparsenn, sksparsenn.inspection; print('matplotlib' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


def test_absence_of_matplotlib_is_said_before_anything_is_computed(monkeypatch, descent, search, diabetes):
    calls = {
        "TrainingCurveDisplay.from_estimator": lambda: TrainingCurveDisplay.from_estimator(descent),
        "FiringPatternDisplay.from_estimator": lambda: FiringPatternDisplay.from_estimator(descent, diabetes[0]),
        "WidthCostDisplay.from_estimators": lambda: WidthCostDisplay.from_estimators([descent]),
        "WidthCostDisplay.from_cv_results": lambda: WidthCostDisplay.from_cv_results(search),
        "FiringPatternDisplay.plot": FiringPatternDisplay(firing=np.eye(3)).plot,
    }
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for caller, call in calls.items():
        with pytest.raises(ImportError, match=rf"^{caller} requires matplotlib.*pip install matplotlib"):
            call()


# -- all displays -------------------------------------------------------------------------


def test_examples_of_docstrings():
    for display in DISPLAYS:
        results = doctest.testmod(sys.modules[display.__module__])
        assert results.attempted > 4
        assert results.failed == 0


@pytest.mark.parametrize(
    "draw",
    [
        TrainingCurveDisplay.from_estimator,
        lambda model: FiringPatternDisplay.from_estimator(model, np.zeros((2, 2))),
        lambda model: WidthCostDisplay.from_estimators([model]),
    ],
)
def test_only_fitted_estimators_of_this_package(draw, diabetes):
    for unfitted in (SparseShiftedReLURegressor(), make_pipeline(StandardScaler(), SketchedGaussNewtonClassifier())):
        with pytest.raises(NotFittedError):
            draw(unfitted)
    with pytest.raises(TypeError, match=r"needs an estimator of sksparsenn.*got an object of type Ridge"):
        draw(Ridge().fit(*diabetes))
    with pytest.raises(TypeError, match="got an object of type Pipeline, which ends in an object of type Ridge"):
        draw(make_pipeline(StandardScaler(), Ridge()).fit(*diabetes))
    with pytest.raises(TypeError, match="got the class SparseShiftedReLURegressor"):
        draw(sksparsenn.SparseShiftedReLURegressor)
    assert not plt.get_fignums()


def test_the_path_of_a_committee_is_drawn(diabetes):
    """The ridge on request, a star where each network was best; of a single network the label says where."""
    committee = sksparsenn.SketchedGaussNewtonRegressor(32, cv=3, random_state=0).fit(*diabetes)
    display = TrainingCurveDisplay.from_estimator(committee)
    assert display.panels_ == ("loss", "validation", "firing", "work")
    with_ridge = TrainingCurveDisplay.from_estimator(committee, panels=("validation", "ridge"))
    (ridge,) = with_ridge.lines_["ridge"]
    np.testing.assert_allclose(ridge.get_ydata(), committee.alpha_curve_)
    assert with_ridge.axes_[1].get_yscale() == "log"
    stars = [line for line in with_ridge.axes_[0].get_lines() if line.get_marker() == "*"]
    np.testing.assert_array_equal(stars[0].get_xdata(), committee.best_iteration_)
    single = sksparsenn.SketchedGaussNewtonRegressor(32, cv=None, random_state=0).fit(*diabetes)
    legend = TrainingCurveDisplay.from_estimator(single).axes_[1].get_legend()
    assert f"at {single.best_iteration_}" in legend.get_texts()[0].get_text()
    constant = clone(single).set_params(alpha=0.1).fit(*diabetes)
    with pytest.raises(ValueError, match="panels='ridge': this display has"):
        TrainingCurveDisplay.from_estimator(constant, panels="ridge")


@pytest.mark.parametrize("display", DISPLAYS)
def test_given_axes_are_used_and_wrong_ones_refused(display, descent, search, diabetes):
    drawn = {
        FiringPatternDisplay: lambda **where: FiringPatternDisplay.from_estimator(descent, diabetes[0], **where),
        TrainingCurveDisplay: lambda **where: TrainingCurveDisplay.from_estimator(descent, **where),
        WidthCostDisplay: lambda **where: WidthCostDisplay.from_cv_results(search, **where),
    }[display]()
    assert len(plt.get_fignums()) == 1
    assert labelled(drawn)
    figure, axes = plt.subplots(1, len(drawn.panels_))
    assert drawn.plot(axes) is drawn
    assert drawn.figure_ is figure
    assert drawn.axes_.tolist() == axes.tolist()
    figure, ax = plt.subplots()
    last = drawn.panels_[-1]
    drawn.plot(ax, panels=last)
    assert (drawn.panels_, drawn.axes_.tolist(), drawn.figure_) == ((last,), [ax], figure)
    assert labelled(drawn)
    n_figures = len(plt.get_fignums())
    with pytest.raises(ValueError, match=r"ax holds 1 axes for [234] panels"):
        drawn.plot(ax)
    for panels in ("colour", ("colour", last), ()):
        with pytest.raises(ValueError, match="this display has '"):
            drawn.plot(panels=panels)
    assert len(plt.get_fignums()) == n_figures
    figure.canvas.draw()


# -- curves of training -------------------------------------------------------------------


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize(
    "model",
    [
        SparseShiftedReLURegressor(64, max_iter=8, random_state=0),
        SparseShiftedReLURegressor(64, solver="sgd", search="weights", max_iter=3, random_state=0),
        SparseShiftedReLUClassifier(64, max_iter=8, random_state=0),
        SketchedGaussNewtonRegressor(32, max_iter=5, random_state=0),
        SketchedGaussNewtonClassifier(32, search="max_tree", max_iter=5, random_state=0),
    ],
)
def test_curves_are_the_attributes(model, early_stopping):
    model = clone(model).set_params(early_stopping=early_stopping)
    inner = make_pipeline(StandardScaler(), model)
    make_pipeline(StandardScaler(), inner).fit(*load_iris(return_X_y=True))
    display = TrainingCurveDisplay.from_estimator(make_pipeline(inner))
    assert display.panels_ == ("loss", *(["validation"] if early_stopping else []), "firing", "work")
    assert labelled(display)
    expected = {
        "loss": [model.loss_curve_],
        "firing": [100 * model.firing_fraction_curve_],
        "work": [model.pairs_evaluated_curve_, *[c for c in [model.nodes_visited_curve_] if c.any()]],
    }
    if early_stopping:
        expected["validation"] = [model.validation_scores_]
    assert set(display.lines_) == set(expected)
    for panel, curves in expected.items():
        assert len(display.lines_[panel]) == len(curves)
        for line, curve in zip(display.lines_[panel], curves, strict=True):
            np.testing.assert_array_equal(line.get_xdata(), np.arange(1, model.n_iter_ + 1))
            np.testing.assert_array_equal(line.get_ydata(), curve)
    unit = "epoch" if getattr(model, "solver", "") == "sgd" else "iteration"
    assert {ax.get_xlabel() for ax in display.axes_} == {unit}


def test_labels_say_when_a_number_was_taken(diabetes):
    """The paired network is zero at the start, so the first objective is half the variance; scores come after."""
    X, y = diabetes
    model = SketchedGaussNewtonRegressor(64, max_iter=1, random_state=0)
    model.fit(X[:300], y[:300], X_val=X[300:], y_val=y[300:])
    display = TrainingCurveDisplay.from_estimator(model)
    assert "before the iteration" in display.axes_[0].get_ylabel()
    assert display.lines_["loss"][0].get_ydata()[0] == pytest.approx(0.5, rel=1e-12)
    assert "after the iteration" in display.axes_[1].get_ylabel()
    assert display.lines_["validation"][0].get_ydata()[0] == pytest.approx(model.score(X[300:], y[300:]), rel=1e-9)


def test_the_best_score_and_steps_taken_back_are_marked():
    scores, accepted = [0.1, 0.4, 0.3, 0.2], [True, False, False, True]
    display = TrainingCurveDisplay(
        loss=[4.0, 3.0, 3.0, 3.0], firing_fraction=[0.1] * 4, pairs_evaluated=[5] * 4,
        validation_scores=scores, best_iteration=2, accepted=accepted,
    ).plot()  # fmt: skip
    (star,) = [line for line in display.axes_[1].get_lines() if line.get_marker() == "*"]
    assert (star.get_xdata().item(), star.get_ydata().item()) == (2, 0.4)
    assert "best 0.4 at 2" in [text.get_text() for text in display.axes_[1].get_legend().get_texts()]
    (crosses,) = [line for line in display.axes_[0].get_lines() if line.get_marker() == "x"]
    np.testing.assert_array_equal(crosses.get_xdata(), [2, 3])
    np.testing.assert_array_equal(crosses.get_ydata(), [3.0, 3.0])


def test_best_iteration_of_a_fit_is_where_its_scores_are_largest(descent):
    display = TrainingCurveDisplay.from_estimator(descent, panels="validation")
    assert display.best_iteration == np.argmax(descent.validation_scores_) + 1


def test_a_panel_without_data_is_refused(diabetes):
    model = SparseShiftedReLURegressor(16, max_iter=2, random_state=0).fit(*diabetes)
    with pytest.raises(ValueError, match="panels='validation': this display has 'loss', 'firing', 'work'"):
        TrainingCurveDisplay.from_estimator(model, panels="validation")


def test_models_drawn_into_the_same_axes_differ_in_more_than_colour(descent):
    first = TrainingCurveDisplay.from_estimator(descent, name="one")
    second = TrainingCurveDisplay.from_estimator(descent, name="two", ax=first.axes_)
    assert second.figure_ is first.figure_
    for panel in first.panels_:
        one, two = first.lines_[panel][0], second.lines_[panel][0]
        assert one.get_linestyle() != two.get_linestyle()
        assert one.get_marker() != two.get_marker()
    assert [text.get_text() for text in first.axes_[0].get_legend().get_texts()] == ["one", "two"]


def test_the_axis_of_firing_neurons_begins_at_zero_and_holds_all_curves():
    first, second = (
        TrainingCurveDisplay(loss=[1.0], firing_fraction=[share], pairs_evaluated=[1]) for share in (0.1, 0.5)
    )
    ax = first.plot(panels="firing").axes_[0]
    bottom, top = second.plot(ax, panels="firing").axes_[0].get_ylim()
    assert bottom == 0
    assert top > 50


def test_keywords_of_lines_reach_matplotlib(descent):
    display = TrainingCurveDisplay.from_estimator(descent, line_kw={"color": "r", "linewidth": 3})
    assert {line.get_color() for lines in display.lines_.values() for line in lines} == {"r"}
    assert {line.get_linewidth() for lines in display.lines_.values() for line in lines} == {3}


# -- who fires ----------------------------------------------------------------------------


def lifted(X_train, X, intercept_scaling=1.0):
    """Rows on the sphere, as the docstring of the estimators has it."""
    centre = X_train.mean(axis=0)
    constant = intercept_scaling * np.sqrt(np.square(X_train - centre).sum(axis=1).mean())
    rows = np.column_stack([X - centre, np.full(len(X), constant)])
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize(
    "model",
    [
        SparseShiftedReLURegressor(64, max_iter=10, random_state=0),
        SketchedGaussNewtonRegressor(32, threshold=2.0, shift=1.0, max_iter=3, random_state=0),
        SketchedGaussNewtonClassifier(32, max_iter=3, random_state=0),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_firing_is_that_of_brute_force(model, dtype):
    X, y = load_iris(return_X_y=True)
    X = X.astype(dtype)
    scaler = StandardScaler().fit(X)
    pipeline = make_pipeline(scaler, clone(model)).fit(X[:100], y[:100])
    network = pipeline[-1]
    Z, Z_train = scaler.transform(X).astype(float), scaler.transform(X[:100]).astype(float)
    products = lifted(Z_train, Z) @ network.hidden_weights_.T.astype(float)
    clear = np.abs(products - network.threshold_) > (1e-4 if dtype == np.float32 else 1e-12)
    assert clear.mean() > 0.999
    display = FiringPatternDisplay.from_estimator(pipeline, X, subsample=None)
    firing = display.firing.toarray()
    assert firing.shape == (150, network.width)
    np.testing.assert_array_equal(firing[clear], (products > network.threshold_)[clear])
    assert 0 < firing.mean() < 1
    np.testing.assert_array_equal(display.neurons_per_sample, firing.sum(axis=1))
    np.testing.assert_array_equal(display.samples_per_neuron, firing.sum(axis=0))
    np.testing.assert_array_equal(display.dead_neurons, np.flatnonzero(~firing.any(axis=0)))
    assert labelled(display)


@pytest.mark.parametrize(
    ("model", "values"),
    [
        (SparseShiftedReLURegressor(32, max_iter=5, random_state=0), lambda m, X: m.predict(X)[:, 0]),
        (SparseShiftedReLUClassifier(32, max_iter=5, random_state=0), lambda m, X: m.decision_function(X)),
        (SketchedGaussNewtonClassifier(32, max_iter=3, random_state=0), lambda m, X: m.predict(X)),
    ],
)
def test_samples_are_ordered_by_prediction(model, values):
    X, y = load_iris(return_X_y=True)
    if isinstance(model, sksparsenn.SparseShiftedReLUClassifier):
        y = y == 1
    elif isinstance(model, sksparsenn.SparseShiftedReLURegressor):
        y = np.column_stack([X[:, 0] * X[:, 1], X[:, 2]])
    model = clone(model).fit(X, y)
    display = FiringPatternDisplay.from_estimator(model, X)
    np.testing.assert_allclose(display.sample_values, values(model, X), rtol=1e-12)
    order = np.argsort(values(model, X), kind="stable")
    fires = display.firing.toarray()[order]
    fires = fires[:, fires.any(axis=0)]
    shown = display.sorted_firing().toarray()
    places = [np.flatnonzero(column).mean() for column in shown.T]
    assert np.all(np.diff(places) >= 0)
    assert sorted(map(tuple, shown.T)) == sorted(map(tuple, fires.T))
    counts = display.sorted_firing("count").sum(axis=0)
    np.testing.assert_array_equal(counts, np.sort(fires.sum(axis=0))[::-1])


def test_samples_are_ordered_by_the_first_principal_coordinate(diabetes, descent):
    X, y = diabetes
    model = SparseShiftedReLURegressor(32, max_iter=3, random_state=0).fit(X, y)
    display = FiringPatternDisplay.from_estimator(model, X, order="principal")
    expected = PCA(1, svd_solver="full").fit_transform(lifted(X, X)).ravel()
    np.testing.assert_allclose(np.abs(display.sample_values), np.abs(expected), rtol=1e-6, atol=1e-12)
    assert abs(np.corrcoef(display.sample_values, expected)[0, 1]) == pytest.approx(1)
    assert "first principal coordinate" in display.axes_[0].get_ylabel()


def test_a_subsample_is_a_part_of_the_rows(diabetes, descent):
    X, _ = diabetes
    whole = FiringPatternDisplay.from_estimator(descent, X, subsample=None).firing.toarray()
    part = FiringPatternDisplay.from_estimator(descent, X, subsample=50, random_state=0)
    again = FiringPatternDisplay.from_estimator(descent, X, subsample=50, random_state=0)
    np.testing.assert_array_equal(part.firing.toarray(), again.firing.toarray())
    assert part.firing.shape == (50, 64)
    drawn = np.sort(np.random.RandomState(0).choice(len(X), 50, replace=False))
    np.testing.assert_array_equal(part.firing.toarray(), whole[drawn])


def test_parameters_of_the_firing_pattern(diabetes, descent):
    X, _ = diabetes
    for subsample in (0, -3, 0.5, "all"):
        with pytest.raises(ValueError, match=r"subsample=.*at least 1"):
            FiringPatternDisplay.from_estimator(descent, X, subsample=subsample)
    with pytest.raises(ValueError, match="order='colour': use 'prediction' or 'principal'"):
        FiringPatternDisplay.from_estimator(descent, X, order="colour")
    with pytest.raises(ValueError, match="neuron_order='colour': use 'place' or 'count'"):
        FiringPatternDisplay.from_estimator(descent, X, neuron_order="colour")
    with pytest.raises(ValueError, match="X has 3 features"):
        FiringPatternDisplay.from_estimator(descent, X[:, :3])
    assert not plt.get_fignums()


def test_a_table_with_names_draws_no_warning():
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    model = SparseShiftedReLURegressor(16, max_iter=2, random_state=0).fit(X, y)
    assert FiringPatternDisplay.from_estimator(model, X, subsample=20).firing.shape == (20, 16)


@pytest.mark.parametrize("shape", [(7, 5), (401, 613), (200, 300), (1, 1000), (450, 3)])
def test_image_holds_the_mean_of_each_cell(shape):
    firing = np.random.default_rng(0).random(shape) < 0.3
    firing[:, firing.sum(axis=0) == 0] = True  # so that all are shown
    display = FiringPatternDisplay(firing=firing).plot(panels="image")
    shown, image = display.sorted_firing().toarray(), display.image_.get_array()
    n_rows, n_columns = min(shape[0], 200), min(shape[1], 300)
    assert image.shape == (n_rows, n_columns)
    row_of = np.array([i * n_rows // shape[0] for i in range(shape[0])])
    column_of = np.array([i * n_columns // shape[1] for i in range(shape[1])])
    for r, c in [(0, 0), (n_rows - 1, n_columns - 1), (n_rows // 3, n_columns // 2)]:
        assert image[r, c] == pytest.approx(shown[np.ix_(row_of == r, column_of == c)].mean())
    assert display.image_.origin == "lower"


def test_histograms_count_every_sample_and_every_living_neuron(diabetes, descent):
    display = FiringPatternDisplay.from_estimator(descent, diabetes[0], bar_kw={"color": "r"})
    counts = {
        "neurons_per_sample": display.neurons_per_sample,
        "samples_per_neuron": display.samples_per_neuron[display.samples_per_neuron > 0],
    }
    for panel, expected in counts.items():
        heights = []
        for bar in display.bars_[panel]:
            low, high = bar.get_x(), bar.get_x() + bar.get_width()
            assert bar.get_height() == np.count_nonzero((expected > low) & (expected < high))
            heights.append(bar.get_height())
            assert bar.get_facecolor() == (1, 0, 0, 1)
        assert sum(heights) == len(expected)
    dead = 64 - len(counts["samples_per_neuron"])
    assert dead == len(display.dead_neurons) > 0
    assert f"firing on none: {dead} of 64" in display.axes_[2].get_title()


@pytest.mark.parametrize("firing", [np.zeros((5, 4)), np.ones((5, 4)), np.ones((1, 1)), np.zeros((1, 1))])
def test_patterns_at_the_extremes_can_be_drawn(firing):
    display = FiringPatternDisplay(firing=firing).plot()
    display.figure_.canvas.draw()
    assert len(display.dead_neurons) == (0 if firing.any() else firing.shape[1])


def test_a_single_row_can_be_shown(diabetes, descent):
    for order in ("prediction", "principal"):
        display = FiringPatternDisplay.from_estimator(descent, diabetes[0][:1], order=order)
        display.figure_.canvas.draw()
        assert display.firing.shape == (1, 64)


def test_stored_zeros_do_not_fire():
    firing = csr_array((np.array([True, False, True]), np.array([0, 1, 1]), np.array([0, 2, 3])), shape=(2, 2))
    display = FiringPatternDisplay(firing=firing).plot(panels="image")
    np.testing.assert_array_equal(display.image_.get_array(), np.eye(2))
    assert firing.nnz == 3  # the user's own stays as it was


# -- cost against width -------------------------------------------------------------------


def test_brute_force_costs_what_a_dense_step_costs(diabetes):
    X, y = diabetes
    widths = [64, 16, 32]
    models = [SparseShiftedReLURegressor(w, search="brute", max_iter=3, random_state=0).fit(X, y) for w in widths]
    display = WidthCostDisplay.from_estimators(models, n_samples=len(X))
    np.testing.assert_array_equal(display.widths, [16, 32, 64])
    np.testing.assert_array_equal(display.work, [len(X) * np.array([16, 32, 64])])
    assert display.exponents_["work"] == pytest.approx([1.0])
    measured, firing, dense = display.lines_["work"]
    np.testing.assert_array_equal(measured.get_ydata(), dense.get_ydata())
    models.sort(key=lambda model: model.width)
    expected = [model.firing_fraction_curve_[1:].mean() * len(X) * model.width for model in models]
    np.testing.assert_allclose(firing.get_ydata(), expected)
    assert labelled(display)
    assert display.axes_[0].get_xscale() == display.axes_[0].get_yscale() == "log"


def test_searches_and_classes_are_lines_of_their_own(diabetes):
    X, y = diabetes
    models = [
        model(w, search=search, max_iter=4, random_state=0).fit(X[:, :2], y)
        for model in (SparseShiftedReLURegressor, SketchedGaussNewtonRegressor)
        for search, w in [("margin", 16), ("margin", 32), ("max_tree", 16)]
    ]
    display = WidthCostDisplay.from_estimators(models)
    assert display.labels == [
        f"{model}, {search}"
        for model in ("SparseShiftedReLURegressor", "SketchedGaussNewtonRegressor")
        for search in ("margin", "max_tree")
    ]
    work = [(m.pairs_evaluated_curve_ + m.nodes_visited_curve_)[1:].mean() for m in models]
    np.testing.assert_allclose(display.work, [work[:2], [work[2], np.nan], work[3:5], [work[5], np.nan]])
    assert np.isnan(display.exponents_["work"]).tolist() == [False, True, False, True]
    with pytest.raises(ValueError, match=r"width=16 comes twice \(SparseShiftedReLURegressor, margin\)"):
        WidthCostDisplay.from_estimators([*models, models[0]])
    for nothing in ([], models[0]):
        with pytest.raises(ValueError, match="give a sequence of fitted estimators, at least one"):
            WidthCostDisplay.from_estimators(nothing)


def test_exponent_of_a_power_is_found_in_spite_of_gaps():
    widths = 2 ** np.arange(4, 10)
    work = np.array([3 * widths**0.7, 5 * widths**1.3])
    work[0, 2] = np.nan
    display = WidthCostDisplay(widths=widths, labels=["a", "b"], work=work).plot()
    assert display.exponents_["work"] == pytest.approx([0.7, 1.3])
    assert [text.get_text() for text in display.axes_[0].get_legend().get_texts()] == [
        "a: width$^{0.70}$", "b: width$^{1.30}$",
    ]  # fmt: skip
    display.figure_.canvas.draw()


@pytest.mark.parametrize("as_dictionary", [False, True])
def test_a_grid_search_is_drawn_as_its_results(search, as_dictionary):
    results = search.cv_results_
    display = WidthCostDisplay.from_cv_results(results if as_dictionary else search)
    assert display.panels_ == ("fit_time", "score")
    np.testing.assert_array_equal(display.widths, [8, 16, 32])
    assert sorted(display.labels) == ["shift=0.5", "shift=auto"]
    for k, params in enumerate(results["params"]):
        shift, width = (params[f"sparseshiftedreluregressor__{name}"] for name in ("shift", "width"))
        place = display.labels.index(f"shift={shift}"), [8, 16, 32].index(width)
        assert display.fit_times[place] == results["mean_fit_time"][k]
        assert display.fit_times_std[place] == results["std_fit_time"][k]
        assert display.scores[place] == results["mean_test_score"][k]
        assert display.scores_std[place] == results["std_test_score"][k]
    for panel, values in (("fit_time", display.fit_times), ("score", display.scores)):
        for line, row in zip(display.lines_[panel], values, strict=True):
            np.testing.assert_array_equal(line.get_ydata(), row)
    one, two = display.lines_["score"]
    assert one.get_linestyle() != two.get_linestyle()
    assert one.get_marker() != two.get_marker()
    assert display.axes_[1].get_ylabel() == ("score" if as_dictionary else "R2") + ", cross-validated"


def test_a_search_over_other_things_without_width_in_some(diabetes):
    """Candidates that leave the width alone have no place on the axis; several metrics are told apart."""
    grid = [{"width": [8, 16]}, {"alpha": [1.0]}]
    model = SparseShiftedReLURegressor(max_iter=2, random_state=0)
    metrics = ["r2", "neg_mean_absolute_error"]
    search = GridSearchCV(model, grid, cv=2, scoring=metrics, refit="r2").fit(*diabetes)
    display = WidthCostDisplay.from_cv_results(search, scoring="r2")
    np.testing.assert_array_equal(display.scores, [search.cv_results_["mean_test_r2"][:2]])
    assert display.axes_[1].get_ylabel() == "r2, cross-validated"
    with pytest.raises(ValueError, match=r"scoring='score' is not among .*: r2, neg_mean_absolute_error"):
        WidthCostDisplay.from_cv_results(search)
    named = GridSearchCV(model, {"width": [8]}, cv=2, scoring="explained_variance").fit(*diabetes)
    assert WidthCostDisplay.from_cv_results(named, panels="score").score_name == "explained_variance"


def test_what_is_no_search_over_width_is_refused(diabetes, descent):
    with pytest.raises(NotFittedError):
        WidthCostDisplay.from_cv_results(GridSearchCV(Ridge(), {"alpha": [1, 2]}))
    for wrong, kind in ((descent, "object of type SparseShiftedReLURegressor"), (3, "object of type int")):
        with pytest.raises(TypeError, match=f"needs a fitted search, or its cv_results_, got an {kind}"):
            WidthCostDisplay.from_cv_results(wrong)
    with pytest.raises(ValueError, match="no entry 'params'"):
        WidthCostDisplay.from_cv_results({"mean": 1})
    with pytest.raises(ValueError, match="vary one parameter called width; it varied alpha"):
        WidthCostDisplay.from_cv_results(GridSearchCV(Ridge(), {"alpha": [1, 2]}, cv=2).fit(*diabetes))
    results = {"params": [{"width": 8}] * 2, "mean_fit_time": [1, 1], "std_fit_time": [0, 0]}
    results |= {"mean_test_score": [1, 1], "std_test_score": [0, 0]}
    with pytest.raises(ValueError, match=r"width=8 comes twice, with nothing to tell"):
        WidthCostDisplay.from_cv_results(results)
    assert not plt.get_fignums()


def test_the_pattern_of_sparse_rows_is_that_of_dense_ones():
    X, y = load_diabetes(return_X_y=True)
    X = np.where(np.abs(X) > 0.04, X, 0.0)
    model = SparseShiftedReLURegressor(64, max_iter=3, random_state=0).fit(csr_array(X), y)
    dense, sparse = (FiringPatternDisplay.from_estimator(model, rows) for rows in (X, csr_array(X)))
    assert (dense.firing != sparse.firing).nnz <= 2  # pairs at the threshold, up to rounding
    with pytest.raises(ValueError, match=r"order='principal' needs dense X"):
        FiringPatternDisplay.from_estimator(model, csr_array(X), order="principal")
