"""Warnings of fits that go through but learn little: nothing fires, columns differ in scale, training is cut short."""

import warnings

import numpy as np
import pytest
from scipy import sparse
from single_networks import (
    SketchedGaussNewtonClassifier,
    SketchedGaussNewtonRegressor,
    SparseShiftedReLUClassifier,
    SparseShiftedReLURegressor,
)
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, make_friedman1
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler

from sksparsenn._samples.lift import column_spreads

REGRESSORS = [SparseShiftedReLURegressor(random_state=0), SketchedGaussNewtonRegressor(512, random_state=0)]
CLASSIFIERS = [SparseShiftedReLUClassifier(random_state=0), SketchedGaussNewtonClassifier(random_state=0)]


def table(n=400):
    X, y = make_friedman1(n, noise=1.0, random_state=0)
    return StandardScaler().fit_transform(X), y


def warned(model, *data, **also):
    """The messages of all warnings of a fit, ConvergenceWarning included."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(*data, **also)
    return [str(warning.message) for warning in caught]


@pytest.mark.parametrize("model", REGRESSORS)
def test_a_usual_fit_says_nothing(model):
    assert warned(clone(model), *table()) == []


@pytest.mark.parametrize("model", CLASSIFIERS)
def test_a_usual_fit_of_labels_says_nothing(model):
    X, y = load_breast_cancer(return_X_y=True)
    assert warned(clone(model), StandardScaler().fit_transform(X), y) == []


@pytest.mark.parametrize("model", REGRESSORS)
def test_samples_on_which_no_neuron_fires(model):
    X, y = table()
    model = clone(model).set_params(shift=50.0)
    with pytest.warns(UserWarning, match=r"on 100% of the samples no neuron fires at the start .* lower shift"):
        model.fit(X, y)
    np.testing.assert_allclose(model.predict(X), y.mean())
    # A few such samples are nothing to speak of; a tenth and more are.
    shifts, messages = np.linspace(0.5, 4.0, 13), []
    for shift in shifts:
        model.set_params(shift=shift, width=128, max_iter=2)
        found = [message for message in warned(model, X, y) if "no neuron fires" in message]
        silent = ((model.initial_weights_ @ lifted(model, X).T) > shift).any(axis=0)
        messages.append(bool(found))
        assert bool(found) == ((~silent).mean() > 0.1), shift
    assert 0 < sum(messages) < len(shifts)


def lifted(model, X):
    return model._lift()(X, np.float64).rows[:, : model.hidden_weights_.shape[1]]


@pytest.mark.parametrize("model", REGRESSORS)
def test_warnings_name_the_line_that_fits(model):
    X, y = table(200)
    X = X * np.append(np.ones(9), 2000.0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        clone(model).set_params(shift=50.0).fit(X, y)
        clone(model).set_params(max_iter=1 if model is REGRESSORS[1] else 2).fit(X, y)
    assert len(caught) >= 3
    assert {warning.filename for warning in caught} == {__file__}


@pytest.mark.parametrize("model", REGRESSORS)
def test_columns_that_differ_in_spread(model):
    X, y = table(200)
    X = X * np.append(np.ones(9), 2000.0)
    with pytest.warns(UserWarning, match=r"differ in spread by a factor of 2e\+03: column 9 has .* StandardScaler"):
        clone(model).set_params(max_iter=5).fit(X, y)
    assert not warned(clone(model), np.column_stack([X[:, :9], np.full(200, 1e9), X[:, 9] / 4]), y)


def test_columns_of_sparse_tables_and_extreme_units():
    X, y = table(200)
    model = SparseShiftedReLURegressor(64, max_iter=5, random_state=0)
    with pytest.warns(UserWarning, match=r"column 9 has .* MaxAbsScaler"):
        model.fit(sparse.csr_array(X * np.append(np.ones(9), 2000.0)), y)
    rng = np.random.default_rng(0)
    X[rng.uniform(size=X.shape) < 0.5] = 0
    shares = rng.dirichlet(np.ones(200))
    units = np.array([1, 1e-300, 1e300, 1e150, 1e-150, 1, 1, 1, 1, 0])
    expected = np.sqrt(shares @ (X - shares @ X) ** 2) * units
    np.testing.assert_allclose(column_spreads(X * units, shares), expected, rtol=1e-10)
    np.testing.assert_allclose(column_spreads(sparse.csr_array(X * units), shares), expected, rtol=1e-10)


CUT_SHORT = pytest.mark.parametrize(
    ("model", "max_iter"),
    [(REGRESSORS[0], 2), (SparseShiftedReLURegressor(solver="sgd", random_state=0), 2), (REGRESSORS[1], 1)],
)


@CUT_SHORT
def test_training_that_is_cut_short(model, max_iter):
    X, y = table()
    model = clone(model).set_params(max_iter=max_iter)
    with pytest.warns(ConvergenceWarning, match=rf"after max_iter={max_iter} iterations while .* raise max_iter"):
        model.fit(X, y)


@CUT_SHORT
def test_weights_that_validation_chose_are_not_cut_short(model, max_iter):
    """Whoever keeps the rows to validate on: the user, a part held out, or folds."""
    X, y = table()
    model = clone(model).set_params(max_iter=max_iter)
    for params, rows in (({}, {"X_val": X, "y_val": y}), ({"early_stopping": True}, {}), ({"cv": 3}, {})):
        model.set_params(cv=None, early_stopping="auto").set_params(**params)
        assert not warned(model, X, y, **rows)
        assert model.stop_reason_ == "max_iter"
        assert model.best_validation_score_ > 0
    # Folds that stop nothing choose no weights.
    assert any("still fell fast" in message for message in warned(model.set_params(early_stopping=False), X, y))


@CUT_SHORT
def test_training_that_ended_by_its_tolerance_is_not_cut_short(model, max_iter):
    """Even after the same iterations, in which the objective fell as fast."""
    X, y = table()
    model = clone(model).set_params(tol=0.9, n_iter_no_change=1)
    assert not warned(model, X, y)
    assert (model.stop_reason_, model.n_iter_) == ("tol", max_iter)


def test_a_constant_column_does_not_vary_by_rounding():
    """A column that is constant in the rows trained on has a mean that is off by some last digits."""
    X, y = table()
    X[:, 3] = -0.0273 / 3
    for n in (50, 77, 200):
        assert not [message for message in warned(clone(REGRESSORS[0]), X[:n], y[:n]) if "spread" in message]


def test_steps_that_are_far_too_small():
    X, y = table()
    model = SparseShiftedReLURegressor(learning_rate=1e-6, momentum=0.0, max_iter=100, tol=0, random_state=0)
    with pytest.warns(ConvergenceWarning, match="still fell fast"):
        model.fit(X, y)


def test_streams_and_training_taken_up_again_say_nothing():
    X, y = table()
    X = X * np.append(np.ones(9), 2000.0)
    model = SparseShiftedReLURegressor(64, shift=3.0, warm_start=True, max_iter=50, random_state=0)
    assert len(warned(model, X, y)) >= 1
    assert not [message for message in warned(model, X, y) if "spread" in message or "fires" in message]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SparseShiftedReLURegressor(64, random_state=0).partial_fit(X[:5], y[:5])
