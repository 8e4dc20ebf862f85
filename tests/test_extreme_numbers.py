"""Numbers at the ends of the range: a right answer, or one sentence that says what was wrong; never NaN, no warning."""

import pickle
import re
import traceback
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array, issparse
from single_networks import (
    SketchedGaussNewtonClassifier,
    SketchedGaussNewtonRegressor,
    SparseShiftedReLUClassifier,
    SparseShiftedReLURegressor,
)

import sksparsenn
from sksparsenn import HalfSpaceIndex
from sksparsenn._samples.points import as_normals, as_points
from sksparsenn._utils.range import LARGEST_TARGET, STIFFEST, absolute_ridge, aligned_table, unit_of
from sksparsenn.ntk import (
    ShiftedNTKFeatures,
    SphereLift,
    data_separability,
    minimum_eigenvalue,
    shifted_ntk_kernel,
)

N = 20
SMALL = {"width": 8, "max_iter": 3, "random_state": 0}
GRADIENT = SMALL | {"batch_size": 7}

REGRESSORS = {
    f"{loss}, {solver}": SparseShiftedReLURegressor(loss=loss, solver=solver, **GRADIENT)
    for loss in ("squared_error", "huber", "absolute_error")
    for solver in ("gd", "sgd")
} | {
    "gd, gaussian, held out": SparseShiftedReLURegressor(init="gaussian", early_stopping=True, **SMALL),
    "gd, no intercept": SparseShiftedReLURegressor(fit_intercept=False, **SMALL),
    "auto": SketchedGaussNewtonRegressor(**SMALL),
    "cholesky, held out": SketchedGaussNewtonRegressor(solver="cholesky", early_stopping=True, **SMALL),
    "nystrom": SketchedGaussNewtonRegressor(solver="nystrom", **SMALL),
    "cg": SketchedGaussNewtonRegressor(solver="cg", **SMALL),
    "sample": SketchedGaussNewtonRegressor(solver="sample", **SMALL),
    "sketch": SketchedGaussNewtonRegressor(solver="sketch", **SMALL),
    "plain": SketchedGaussNewtonRegressor(solver="cholesky", damping=0, init="gaussian", **SMALL),
}
CLASSIFIERS = {
    f"{loss}, {solver}": SparseShiftedReLUClassifier(loss=loss, solver=solver, **GRADIENT)
    for loss in ("squared_error", "log_loss", "hinge")
    for solver in ("gd", "sgd")
} | {
    "nystrom": SketchedGaussNewtonClassifier(solver="nystrom", **SMALL),
    "cg": SketchedGaussNewtonClassifier(solver="cg", **SMALL),
    "log_loss, cholesky": SketchedGaussNewtonClassifier(loss="log_loss", solver="cholesky", **SMALL),
}
MODELS = [*(pytest.param(model, id=f"regressor: {name}") for name, model in REGRESSORS.items()),
          *(pytest.param(model, id=f"classifier: {name}") for name, model in CLASSIFIERS.items())]  # fmt: skip

SIZES = (1.7e308, 1e154, 1e-162, 5e-324)
PARAMETERS = ("alpha", "output_scale", "intercept_scaling", "shift", "threshold", "learning_rate", "tol")


def table(n=N, seed=0):
    """Samples and targets between -1 and 1."""
    X = np.random.default_rng(seed).uniform(-1, 1, size=(n, 3))
    return X, 0.5 * np.sin(3 * X[:, 0]) + 0.5 * X[:, 1] ** 2


def targets_for(model, y, binary=False):
    """Targets of a regressor; of a classifier three classes, or two."""
    if not hasattr(model, "decision_function"):
        return y
    return (y > 0).astype(int) if binary else np.digitize(table()[1], [0.0, 0.3])


def cases():
    """Tables, weights and parameters, each with something extreme about it."""
    X, y = table()
    odd = np.arange(N) % 2 == 1
    for size in SIZES:
        yield {"X": X * size}
        yield {"y": y * size}
        yield {"sample_weight": np.full(N, size)}
        yield {"sample_weight": np.where(odd, size, 1.0)}
    for name in PARAMETERS:
        for size in (1e300, 1e-300):
            if name != "threshold" or size > 1:
                yield {name: size}
    mixed = np.where(odd, 1e300, 1e-300)
    yield {"X": X * [1e300, 1.0, 1e-300]}
    yield {"X": X * mixed[:, None], "y": y * mixed, "sample_weight": mixed}
    yield {"y": np.where(np.arange(N) == 3, 1e300, 0.0), "sample_weight": np.where(np.arange(N) == 3, 1e-300, 1.0)}
    yield {"X": X * 1e300, "intercept_scaling": 1e300}
    yield {"X": X * 1e-300, "intercept_scaling": 1e-300}
    yield {"y": y * 1e300, "alpha": 1e300, "sample_weight": np.full(N, 1e300)}
    yield {"alpha": 1e300, "sample_weight": np.full(N, 1e-300)}


def assert_refused_in_words(error):
    """The error was raised in this package, and its sentence names a value and what to do."""
    raised_in = Path(traceback.extract_tb(error.__traceback__)[-1].filename)
    assert Path(sksparsenn.__file__).parent in raised_in.parents, traceback.format_tb(error.__traceback__)
    assert any(digit in str(error) for digit in "0123456789")
    assert any(advice in str(error) for advice in ("divide", "multiply", "lower", "raise", "use ", "anew")), str(error)


def assert_finite_outputs(model, X):
    assert np.isfinite(model.hidden_weights_).all()
    for method in ("predict", "decision_function", "predict_proba"):
        if hasattr(model, method):
            assert np.isfinite(getattr(model, method)(X)).all(), method
    if hasattr(model, "predict_log_proba"):
        assert not np.isnan(model.predict_log_proba(X)).any()


FAR = np.array([[0.3, -0.2, 0.1], [1.0, -1.0, 0.5], [-1.0, 1.0, 1.0]]) * [[1.0], [1.7e308], [5e-324]]


def fits_or_refuses(model, X, y, sample_weight=None):
    """Whether the model could be fitted; then what it puts out is finite, here and far from here."""
    try:
        model.fit(X, y, sample_weight)
    except ValueError as error:
        assert_refused_in_words(error)
        return False
    far = in_dtype(FAR, model.hidden_weights_.dtype, clipped=True)
    assert_finite_outputs(model, far if issparse(X) else np.concatenate([X, far]))
    return True


def clone(model, **params):
    return type(model)(**(model.get_params() | params))


def in_dtype(X, dtype, clipped=False):
    """X in that precision; where it does not fit, None, or clipped."""
    largest = np.finfo(dtype).max
    with np.errstate(over="ignore"):
        X = (np.clip(X, -largest, largest) if clipped else X).astype(dtype)
    return X if np.isfinite(X).all() else None


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("model", MODELS)
def test_fit_predicts_finite_numbers_or_says_what_is_wrong(model, dtype):
    fitted, params = 0, model.get_params()
    for case in cases():
        X, y = (case.pop(name, usual) for name, usual in zip("Xy", table(), strict=True))
        weights, X = case.pop("sample_weight", None), in_dtype(X, dtype)
        if X is None or not case.keys() <= params.keys():
            continue
        fitted += fits_or_refuses(type(model)(**(params | case)), X, targets_for(model, y), weights)
    assert fitted > 15  # most of this is no reason to refuse


exponents = st.one_of(st.just(0), st.integers(-1074, 1023))
NAMES = {"regressor": REGRESSORS, "classifier": CLASSIFIERS}


@settings(max_examples=100)
@given(
    st.sampled_from([param.values[0] for param in MODELS]),
    st.booleans(), st.booleans(), exponents, exponents, exponents, st.integers(0, 2**16),
    st.dictionaries(st.sampled_from(PARAMETERS), exponents, max_size=2),
)  # fmt: skip
def test_any_magnitudes(model, single, sparse, of_X, of_y, of_weights, seed, of_parameters):
    X, y = table(seed=seed)
    X = in_dtype(np.ldexp(X, of_X), np.float32 if single else np.float64)
    params = {name: float(np.ldexp(1.0, exponent)) for name, exponent in of_parameters.items()}
    assume(X is not None and params.keys() <= model.get_params().keys())
    if params.get("threshold", np.inf) < 2:
        del params["threshold"]
    if {"shift", "threshold"} <= params.keys() and params["threshold"] < params["shift"]:
        del params["threshold"]
    if hasattr(model, "partial_fit") and sparse:
        X = csr_array(X)
    weights = np.ldexp(np.random.default_rng(seed).uniform(0.5, 1, N), of_weights)
    y = targets_for(model, np.ldexp(y, of_y))
    fits_or_refuses(clone(model, **params), X, y, weights if weights.any() else None)


# -- right answers ---------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "powers"), [(np.float64, (-900, -300, 300, 900)), (np.float32, (-90, 90))])
@pytest.mark.parametrize("model", [pytest.param(model, id=name) for name, model in REGRESSORS.items()])
def test_predictions_scale_with_targets(model, dtype, powers):
    """By exactly a power of two, and R2 not at all."""
    X, y = table()
    X = X.astype(dtype)
    usual = clone(model).fit(X, y)
    assert np.ptp(usual.predict(X)) > 0.01
    for power in powers:
        scaled = clone(model).fit(X, np.ldexp(y, power))
        np.testing.assert_array_equal(scaled.predict(X), np.ldexp(usual.predict(X), power))
        assert scaled.score(X, np.ldexp(y, power)) == pytest.approx(usual.score(X, y), rel=1e-12)
        if model.early_stopping is True:
            np.testing.assert_allclose(scaled.validation_scores_, usual.validation_scores_, rtol=1e-12)


def test_outputs_scale_one_by_one():
    X, y = table()
    Y, powers = np.c_[y, X[:, 2], y], [900, 0, -900]
    for model in (REGRESSORS["huber, gd"], REGRESSORS["nystrom"]):
        usual = clone(model).fit(X, Y).predict(X)
        scaled = clone(model).fit(X, np.ldexp(Y, powers)).predict(X)
        np.testing.assert_array_equal(scaled, np.ldexp(usual, powers))


@pytest.mark.parametrize(("dtype", "powers"), [(np.float64, (-900, 1000)), (np.float32, (-90, 90))])
@pytest.mark.parametrize("model", MODELS)
def test_predictions_do_not_depend_on_the_unit_of_samples(model, dtype, powers):
    X, y = table()
    X, y = X.astype(dtype), targets_for(model, y)
    kinds = (lambda X: X, csr_array) if hasattr(model, "partial_fit") else (lambda X: X,)
    output = "decision_function" if hasattr(model, "decision_function") else "predict"
    for kind in kinds:
        usual = getattr(clone(model).fit(kind(X), y), output)(kind(X))
        for power in powers:
            scaled = kind(np.ldexp(X, power))
            np.testing.assert_array_equal(getattr(clone(model).fit(scaled, y), output)(scaled), usual)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("model", MODELS)
def test_predictions_do_not_depend_on_the_unit_of_weights(model, dtype):
    """If alpha is in the same unit."""
    X, y = table()
    X, y = X.astype(dtype), targets_for(model, y)
    weights = np.random.default_rng(1).uniform(1, 2, size=N)
    usual = clone(model).fit(X, y, weights)
    for power in (-900, 900):
        scaled = clone(model, alpha=np.ldexp(model.alpha, power)).fit(X, y, np.ldexp(weights, power))
        np.testing.assert_array_equal(scaled.predict(X), usual.predict(X))
        np.testing.assert_allclose(scaled.loss_curve_, usual.loss_curve_, rtol=1e-12)
        if hasattr(usual, "objective_"):
            assert scaled.objective_ == pytest.approx(np.ldexp(usual.objective_, power), rel=1e-12)
            np.testing.assert_allclose(scaled.damping_curve_, np.ldexp(usual.damping_curve_, power), rtol=1e-12)


@pytest.mark.parametrize("model", [pytest.param(model, id=name) for name, model in REGRESSORS.items()])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_ridge_beyond_all_numbers_keeps_the_mean(model, dtype):
    if model.init == "gaussian" or not model.fit_intercept:
        model = clone(model, init="paired", fit_intercept=True)
    X, y = table()
    X = X.astype(dtype)
    kept = y if model.early_stopping is not True else None
    for alpha, weight in ((1e300, 1.0), (0.003, 1e-300), (1e300, 1e-300), (1.7e308, 1e-307)):
        fitted = clone(model, alpha=alpha).fit(X, y, np.full(N, weight))
        predictions = fitted.predict(X)
        assert np.ptp(predictions) < 1e-6
        if kept is not None:
            np.testing.assert_allclose(predictions, y.mean(), rtol=1e-5)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_ridge_below_all_others_is_none(dtype):
    X, y = table()
    X = X.astype(dtype)
    for model in (REGRESSORS["squared_error, gd"], REGRESSORS["cholesky, held out"]):
        without, tiny = (clone(model, alpha=alpha).fit(X, y).predict(X) for alpha in (0.0, 1e-300))
        np.testing.assert_allclose(tiny, without, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("model", [pytest.param(model, id=name) for name, model in REGRESSORS.items()])
def test_constant_targets_are_predicted(model):
    model = clone(model, init="paired", fit_intercept=True)
    X, _ = table()
    for constant in (1e300, -1e300, 1e-300, 1e154, 1.0, 0.1):
        np.testing.assert_allclose(clone(model).fit(X, np.full(N, constant)).predict(X), constant, rtol=1e-12)


def test_a_target_that_weighs_nothing_hardly_counts():
    X, y = table()
    y[3] = 1e300
    weights = np.ones(N)
    weights[3] = 1e-310
    usual = clone(REGRESSORS["squared_error, gd"]).fit(np.delete(X, 3, 0), np.delete(y, 3))
    heavy = clone(REGRESSORS["squared_error, gd"]).fit(X, y, weights)
    assert np.abs(heavy.predict(X)).max() < 1e285 * np.abs(usual.predict(X)).max()
    weights[3] = 5e-324  # and this, divided by the sum, is nothing
    light = clone(REGRESSORS["squared_error, gd"]).fit(X, y, weights)
    np.testing.assert_array_equal(light.predict(X), usual.predict(X))


@pytest.mark.parametrize("model", [pytest.param(model, id=name) for name, model in CLASSIFIERS.items()])
def test_balanced_classes_weigh_the_same_whatever_their_samples_weigh(model):
    X, y = table()
    labels = y > np.median(y)
    assert labels.sum() == N / 2
    weights = np.where(labels, 2.0**900, 2.0**-900)  # classes of weight 2^899 N / 2 each, in place of N / 2
    usual = clone(model, class_weight="balanced", max_iter=20).fit(X, labels)
    fitted = clone(usual, alpha=np.ldexp(model.alpha, 899)).fit(X, labels, weights)
    assert np.ptp(usual.decision_function(X)) > 0.1
    np.testing.assert_allclose(fitted.decision_function(X), usual.decision_function(X), rtol=1e-9)


# -- refusals --------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [pytest.param(model, id=name) for name, model in REGRESSORS.items()])
def test_targets_that_do_not_fit_are_refused(model):
    X, y = table()
    y /= np.abs(y).max()
    with pytest.raises(ValueError, match=r"targets up to 1e\+40 do not fit into float32.*: pass X as float64"):
        clone(model).fit(X.astype(np.float32), y * 1e40)
    with pytest.raises(ValueError, match=r"targets of at most 1e-50 vanish in float32.*: pass X as float64, or mult"):
        clone(model).fit(X.astype(np.float32), y * 1e-50)
    with pytest.raises(ValueError, match=r"targets up to 1e\+308 do not fit into float64.*: divide y by a constant"):
        clone(model).fit(X, y * 1e308)
    with pytest.raises(ValueError, match=r"targets of at most 1e-310 vanish in float64.*: multiply y by a constant"):
        clone(model).fit(X, y * 1e-310)
    assert not hasattr(model, "hidden_weights_")


def largest_output(model, weights):
    """The largest output, in standard units, that `require_room` reckons with: all neurons full, of one sign."""
    return max(model._scale, 1.0) * np.linalg.norm(weights.astype(np.float64), axis=1).sum()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["gd", "cholesky"])
def test_targets_whose_predictions_fit_before_training_and_not_after_are_refused(name, dtype):
    """Training is in standard units, which go well; but its weights grow, and with them what they may predict."""
    maker = SketchedGaussNewtonRegressor if name == "cholesky" else SparseShiftedReLURegressor
    X, y = table()
    model = maker(**SMALL | {"solver": name, "output_scale": 0.01, "alpha": 1e-6, "max_iter": 30})
    usual = clone(model).fit(X.astype(dtype), y)
    first, last = (largest_output(usual, weights) for weights in (usual.initial_weights_, usual.hidden_weights_))
    assert last > 32 * first
    # Room for predictions at the start, twice to four times as much as is needed, and far too little at the end.
    power = int(np.log2(np.finfo(dtype).max / 4 / (first * usual._target_scale[0]))) - 1
    message = f"targets up to {np.ldexp(np.abs(y).max(), power):.3g} do not fit into {np.dtype(dtype).name}, with room"
    before = usual.predict(X)
    with pytest.raises(ValueError, match=re.escape(message)):
        usual.fit(X.astype(dtype), np.ldexp(y, power))
    np.testing.assert_array_equal(usual.predict(X), before)
    # It is not the targets: with a ridge that keeps weights where they are, these are fitted.
    stiff = clone(model, alpha=1e4).fit(X.astype(dtype), np.ldexp(y, power))
    assert np.isfinite(stiff.predict(X)).all()


@pytest.mark.parametrize("model", MODELS)
def test_impossible_parameters_are_refused(model):
    X, y = table()
    y = targets_for(model, y)
    for dtype, name, size, message in (
        (np.float64, "output_scale", 1e160, r"output_scale=1e\+160 is too large for float64: .*; use one between"),
        (np.float64, "output_scale", 1e-160, r"output_scale=1e-160 is too small for float64: .*; use one between"),
        (np.float32, "output_scale", 1e10, r"output_scale=1e\+10 is too large for float32: .*; use one between"),
        (np.float32, "shift", 1e300, r"shift=1e\+300 is too large for float32, .*: lower it"),
        (np.float32, "threshold", 1e300, r"threshold=1e\+300 is too large for float32, .*: lower it"),
        (np.float64, "shift", 1e307, r"shift=1e\+307 is too large for float64, .*: lower it"),
    ):
        with pytest.raises(ValueError, match=message):
            clone(model, **{name: size}).fit(X.astype(dtype), y)
    if model.fit_intercept:
        with pytest.raises(ValueError, match=r"intercept_scaling=1e\+300 times .* up to 1e\+20, does not fit"):
            clone(model, intercept_scaling=1e300).fit(X / np.abs(X).max() * 1e20, y)
    with pytest.raises(ValueError, match=r"sample_weight holds weights up to 1e\+308, whose sum does not"):
        clone(model).fit(X, y, np.full(N, 1e308))


@pytest.mark.parametrize("solver", ["auto", "sketch", "cholesky"])
def test_sketches_of_too_many_rows_are_refused(solver):
    with pytest.raises(ValueError, match=r"sketch_size=1e\+300 asks for too many rows: use one near 4"):
        SketchedGaussNewtonRegressor(solver=solver, sketch_size=1e300, **SMALL).fit(*table())


def test_class_weights_that_overflow_are_refused():
    X, y = table()
    model = CLASSIFIERS["log_loss, gd"]
    with pytest.raises(ValueError, match=r"class_weight=.* times sample_weight holds weights up to inf, whose sum"):
        clone(model, class_weight={0: 1e200, 1: 1.0, 2: 1.0}).fit(X, targets_for(model, y), np.full(N, 1e200))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("solver", ["gd", "sgd"])
def test_weights_that_overflow_in_the_last_step_are_an_error(solver, dtype):
    X, y = table()
    for model in (SparseShiftedReLURegressor, SparseShiftedReLUClassifier):
        fresh = model(8, solver=solver, learning_rate=1e300, max_iter=1, random_state=0)
        with pytest.raises(ValueError, match=r"training diverged: .* lower learning_rate"):
            fresh.fit(X.astype(dtype), y if model is SparseShiftedReLURegressor else y > 0)
        assert not hasattr(fresh, "hidden_weights_")


def test_rates_below_all_numbers_move_nothing():
    X, y = table()
    for dtype in (np.float32, np.float64):
        fitted = SparseShiftedReLURegressor(8, learning_rate=1e-300, max_iter=3, random_state=0).fit(X.astype(dtype), y)
        np.testing.assert_allclose(fitted.predict(X.astype(dtype)), y.mean(), rtol=1e-6)


# -- streams and warm starts -----------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("loss", ["squared_error", "huber", "absolute_error"])
@pytest.mark.parametrize("solver", ["gd", "sgd"])
def test_streams_that_become_extreme(solver, loss, dtype):
    X, y = table()
    X = X.astype(dtype)
    model = SparseShiftedReLURegressor(8, solver=solver, loss=loss, batch_size=7, random_state=0)
    many = table(250, seed=1)  # enough for the units to stay as they are
    model.partial_fit(many[0].astype(dtype), many[1])
    with pytest.raises(ValueError, match=r"targets up to 1e\+30 are too far from those of the first fit"):
        model.partial_fit(X, y / np.abs(y).max() * 1e30)
    for weight in (1e300, 1e-300):
        model.partial_fit(X, y, np.full(N, weight))
        assert_finite_outputs(model, X)
    big = np.float32(1e38) if dtype == np.float32 else 1.7e308
    for size in (big, 1 / big):
        model.partial_fit(X * size, y)
        assert_finite_outputs(model, X)


@pytest.mark.parametrize("model", [pytest.param(model, id=name) for name, model in REGRESSORS.items()])
def test_warm_starts_that_become_extreme(model):
    X, y = table()
    fitted = clone(model, warm_start=True).fit(X, y)
    before = fitted.hidden_weights_
    with pytest.raises(ValueError, match=r"targets up to 1e\+300 are too far from those of the first fit.*start anew"):
        fitted.fit(X, y / np.abs(y).max() * 1e300)
    assert fitted.hidden_weights_ is before
    for size in (1.7e308, 5e-324):
        assert_finite_outputs(fitted.fit(X * size, y), X)
    for power in (-900, 900):
        fitted.set_params(alpha=np.ldexp(model.alpha, power))
        assert_finite_outputs(fitted.fit(X, y, np.full(N, 2.0**power)), X)
    goes_on = clone(model, warm_start=True).fit(X, np.ldexp(y, 900)).fit(X, np.ldexp(y, 900))
    usual = clone(model, warm_start=True).fit(X, y).fit(X, y)
    np.testing.assert_array_equal(goes_on.predict(X), np.ldexp(usual.predict(X), 900))


def test_validation_samples_of_any_size():
    X, y = table()
    for model in REGRESSORS.values():
        model = clone(model, early_stopping="auto")
        for size in (1e300, 1e-300):
            fitted = clone(model).fit(X, y, X_val=X * size, y_val=y * size, sample_weight_val=np.full(N, size))
            assert not np.isnan(fitted.validation_scores_).any()
            assert_finite_outputs(fitted, X)


def test_scores_of_any_size():
    X, y = table()
    model = clone(REGRESSORS["huber, gd"]).fit(X, y)
    assert model.score(X, y, np.full(N, 1e308)) == pytest.approx(model.score(X, y))
    assert model.score(X, y * 1e-300) == -np.inf  # predictions are infinitely far off, in units of these targets
    assert model.score(X, y * 1e300) < 0.5


def test_numbers_beyond_double_precision_are_infinite():
    X, y = table()
    if np.finfo(np.longdouble).max == np.finfo(np.float64).max:
        X_long = np.full_like(X, np.inf)
    else:
        X_long = X.astype(np.longdouble) * np.longdouble(1e300) * np.longdouble(1e300)
    model = clone(REGRESSORS["huber, gd"]).fit(X, y)
    for call in (
        lambda: clone(model).fit(X_long, y), lambda: model.predict(X_long), lambda: SphereLift().fit(X_long),
        lambda: data_separability(X_long), lambda: shifted_ntk_kernel(X_long, shift=1.0),
        lambda: minimum_eigenvalue(X_long, shift=1.0), lambda: clone(model).fit(X, X_long[:, 0]),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"contains infinity|contains NaN or infinity"):
            call()


# -- alignment -------------------------------------------------------------------------------


def unaligned(array):
    """The same array, its numbers one byte off."""
    array = np.ascontiguousarray(array)
    raw = np.zeros(array.nbytes + 1, dtype=np.uint8)
    raw[1:] = array.reshape(-1).view(np.uint8)
    moved = np.frombuffer(raw.data, dtype=array.dtype, offset=1).reshape(array.shape)
    assert array.itemsize == 1 or not moved.flags.aligned
    return moved


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("model", MODELS)
def test_unaligned_arrays(model, dtype):
    """What reaches the lift and the network is aligned, and predictions are the same."""
    X, y = table()
    X, y, weights = X.astype(dtype), targets_for(model, y), np.linspace(1, 2, N)
    usual = clone(model).fit(X, y, weights)
    moved = clone(model).fit(unaligned(X), unaligned(y), unaligned(weights))
    np.testing.assert_array_equal(moved.predict(unaligned(X)), usual.predict(X))
    assert usual._checked(unaligned(X)).flags.aligned
    rows = usual._read(unaligned(X), unaligned(y), unaligned(weights), reset=False)
    assert rows.X.flags.aligned
    loaded = pickle.loads(pickle.dumps(usual))
    for name, value in vars(loaded).items():
        if isinstance(value, np.ndarray):
            setattr(loaded, name, unaligned(value))
    assert all(part.flags.aligned for part in loaded._network()[:2])
    np.testing.assert_array_equal(loaded.predict(X), usual.predict(X))


def test_unaligned_sparse_tables():
    X, y = table()
    X = csr_array(np.where(X > 0, X, 0))
    moved = csr_array(X.shape)
    moved.data, moved.indices, moved.indptr = (unaligned(part) for part in (X.data, X.indices, X.indptr))
    for part in (aligned_table(moved).data, aligned_table(moved).indices, aligned_table(moved).indptr):
        assert part.flags.aligned
    for params in ({}, {"fit_intercept": False}):
        model = SparseShiftedReLURegressor(**SMALL, **params)
        np.testing.assert_array_equal(model.fit(moved, y).predict(moved), clone(model).fit(X, y).predict(X))
        lifted = model._lift()(moved, np.float64)
        assert all(part.flags.aligned for part in lifted._entries)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_unaligned_points(dtype):
    X = table()[0].astype(dtype)
    assert as_points(unaligned(X), "X").flags.aligned
    normals, thresholds = as_normals(unaligned(X), unaligned(X[:, 0]), 3, dtype)
    assert normals.flags.aligned
    assert thresholds.flags.aligned
    for usual, moved in zip(HalfSpaceIndex(X).query(X, 0.5), HalfSpaceIndex(unaligned(X)).query(unaligned(X), 0.5),
                            strict=True):  # fmt: skip
        np.testing.assert_array_equal(usual, moved)
    features = ShiftedNTKFeatures(8, random_state=0).fit(unaligned(X))
    usual = features.transform(X).toarray()
    features.hidden_weights_ = unaligned(features.hidden_weights_)
    np.testing.assert_array_equal(features.transform(unaligned(X)).toarray(), usual)


# -- units -----------------------------------------------------------------------------------


@given(st.floats(min_value=5e-324, max_value=1.7e308))
def test_units_are_powers_of_two_just_below(size):
    unit = unit_of(size)
    assert np.frexp(unit)[0] == 0.5
    assert unit == 1 if 2.0**-255 < size < 2.0**255 else unit <= size and size / 2 < unit


def test_units_of_several_numbers():
    np.testing.assert_array_equal(unit_of(np.array([0.0, 3.0, 2.0**300, 3 * 2.0**-300])), [1, 1, 2.0**300, 2.0**-299])
    assert unit_of(0.0) == unit_of(5e-324, ordinary=2000) == 1


def test_ridges_that_are_out_of_range():
    assert absolute_ridge(0.003, 50.0, 17.0) == 0.003 * 50.0 / 17.0
    assert absolute_ridge(1.7e308, 50.0, 1.7e308) == 50
    assert absolute_ridge(1e300, 50.0, 1e-300) == 50 * STIFFEST
    assert absolute_ridge(1e300, 0.0, 1e-300) == 0
    assert absolute_ridge(0.0, 50.0, 5e-324) == 0
    assert np.finfo(np.float32).max ** 0.5 > LARGEST_TARGET
