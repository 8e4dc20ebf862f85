"""Gauss-Newton training and bad parameters, memory, interruption."""

import os
import re
import signal
import threading
import time
import tracemalloc

import numpy as np
import pytest
from single_networks import SketchedGaussNewtonRegressor
from sklearn.exceptions import NotFittedError

import sksparsenn._utils.memory


def table(n=300, d=5, seed=0):
    X = np.random.default_rng(seed).standard_normal((n, d))
    return X, np.sin(X[:, 0]) + X[:, 1] ** 2


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"width": 0}, "'width' parameter .* must be an int in the range .* Got 0 instead"),
        ({"width": 10**30}, "width=10{30} is more than the 2147483647 neurons that can be numbered: lower width"),
        ({"shift": -0.5}, "'shift' parameter .* Got -0.5 instead"),
        ({"shift": 1.0, "threshold": 0.5}, "threshold=0.5 lies below shift=1: .* raise threshold or lower shift"),
        ({"solver": "qr"}, "'solver' parameter .* must be a str among .* Got 'qr' instead"),
        ({"sketch": "countsketch"}, "'sketch' parameter .* must be a str among .* Got 'countsketch' instead"),
        ({"sketch_size": 0.5}, "'sketch_size' parameter .* Got 0.5 instead"),
        ({"iterative_solver": "lsqr"}, "'iterative_solver' parameter .* Got 'lsqr' instead"),
        ({"search": "weights"}, "'search' parameter .* Got 'weights' instead"),
        ({"alpha": -1.0}, "'alpha' parameter .* Got -1.0 instead"),
        ({"output_scale": 0.0}, "'output_scale' parameter .* Got 0.0 instead"),
        ({"damping": 0.1}, "'damping' parameter .* Got 0.1 instead"),
        ({"damping": "none"}, "'damping' parameter .* Got 'none' instead"),
        ({"max_iter": 0}, "'max_iter' parameter .* Got 0 instead"),
        ({"tol": -1e-3}, "'tol' parameter .* Got -0.001 instead"),
    ],
)
def test_impossible_parameters(params, message):
    with pytest.raises(ValueError, match=message):
        SketchedGaussNewtonRegressor(**params).fit(*table(20))


def test_a_width_that_warm_start_cannot_continue():
    model = SketchedGaussNewtonRegressor(width=20, max_iter=1, warm_start=True).fit(*table(20))
    with pytest.raises(ValueError, match=r"training goes on from a network of width 20 .* set warm_start=False"):
        model.set_params(width=30).fit(*table(20))


# Orders of 1000: 8 MB for the matrix; 48 MB for a sketch of 4000 rows, its factor and the damped one; 1.5 MB for 64
# rows and their approximation.  Brute search, weights and samples take less than the limits.
MEMORY = {"cholesky": (6e6, "a Gauss-Newton matrix of order 1000"),
          "sketch": (40e6, "a sketch of 4000 rows of order 1000"),
          "nystrom": (1.4e6, "a Nystrom approximation of rank 64 and order 1000")}  # fmt: skip


@pytest.mark.parametrize("solver", MEMORY)
def test_memory_is_refused_before_allocation(solver, monkeypatch):
    available, purpose = MEMORY[solver]
    X, y = table(1000)
    model = SketchedGaussNewtonRegressor(
        width=256, shift=1.0, solver=solver, sketch="sparse_sign", sketch_size=4.0, search="brute", init="gaussian",
        fit_intercept=False, max_iter=1, random_state=0,
    )  # fmt: skip
    monkeypatch.setattr(sksparsenn._utils.memory, "NEVER_REFUSED", 0)
    monkeypatch.setattr(sksparsenn._utils.memory, "available_memory", lambda: available)
    message = rf"{purpose} \(solver='{solver}'\) needs [\d.,]+ MB of memory, and [\d.]+ MB are available: .*lower"
    tracemalloc.start()
    try:
        with pytest.raises(MemoryError, match=message):
            model.fit(X, y)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < max(available, 6e6)  # what a fit of this size needs beside its solver is below 6 MB
    with pytest.raises(NotFittedError):
        model.predict(X)
    monkeypatch.setattr(sksparsenn._utils.memory, "available_memory", lambda: 10 * available)
    model.fit(X, y)


# -- extreme units ---------------------------------------------------------------------------------

SOLVERS = ["cholesky", "sketch", "nystrom", "cg", "sample"]


@pytest.mark.parametrize("width", [256, 20])  # J J^T and J^T J
@pytest.mark.parametrize("solver", [*SOLVERS, "auto"])
@pytest.mark.parametrize(
    ("dtype", "output_scale"),
    [(np.float64, 1e160), (np.float64, 1e-160), (np.float64, 1e308), (np.float32, 1e30), (np.float32, 1e-100)],
)
def test_an_output_scale_beyond_the_range_of_numbers_is_refused(dtype, output_scale, solver, width):
    X, y = table()
    model = SketchedGaussNewtonRegressor(width, output_scale=output_scale, solver=solver, max_iter=3, random_state=0)
    value = re.escape(f"{output_scale:.4g}")
    message = rf"output_scale={value} is too (large|small) for {np.dtype(dtype)}: .*; use one between"
    with pytest.raises(ValueError, match=message):
        model.fit(X.astype(dtype), y)
    with pytest.raises(NotFittedError):
        model.predict(X)


@pytest.mark.parametrize("width", [256, 20])
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize(("dtype", "extreme"), [(np.float64, 1e-31), (np.float32, 2e-14)])
def test_a_tiny_output_scale_trains_like_a_small_one(dtype, extreme, solver, width):
    """Weights travel so far that their start does not matter: objectives are the same in any units.

    Steps of "nystrom" leave a hundredth of the residual, those of "cg" three, and are the same to that.
    """
    X, y = table()
    curves = []
    for output_scale in (extreme, 1e-10):
        model = SketchedGaussNewtonRegressor(
            width, output_scale=output_scale, solver=solver, shift=0.0, max_iter=6, random_state=0
        ).fit(X.astype(dtype), y)
        assert np.isfinite(model.predict(X.astype(dtype))).all()
        curves.append(np.append(model.objective_curve_, model.objective_))
    assert curves[0][-1] < 0.2 * curves[0][0]
    np.testing.assert_allclose(curves[0], curves[1], rtol=0.05 if solver in ("nystrom", "cg", "sample") else 1e-5)


@pytest.mark.parametrize("init", ["paired", "gaussian"])
@pytest.mark.parametrize("width", [256, 20])
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize(("dtype", "extreme"), [(np.float64, 4e15), (np.float32, 8e6)])
def test_a_huge_output_scale_leaves_numbers_finite(dtype, extreme, solver, width, init):
    """The last bit of a weight changes outputs by more than all targets: what can be done is to lower large outputs."""
    X, y = table()
    model = SketchedGaussNewtonRegressor(
        width, output_scale=extreme, solver=solver, init=init, max_iter=6, random_state=0
    ).fit(X.astype(dtype), y)
    assert np.isfinite(model.predict(X.astype(dtype))).all()
    if init == "gaussian":
        assert model.objective_ < 0.01 * model.objective_curve_[0]
    else:
        assert model.objective_ <= model.objective_curve_[0]


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("again", [False, True])
def test_interruption_ends_a_fit_and_keeps_the_last_one(again, solver, interruption_reaches_the_fit):
    X, y = table(700)
    model = SketchedGaussNewtonRegressor(
        width=400, shift=1.0, solver=solver, alpha=0.0, output_scale=1.0, max_iter=1, tol=0.0, random_state=0
    )
    if again:
        model.fit(X, y)
    before = dict(vars(model))
    model.set_params(max_iter=10**6)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    start = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012 (the timer belongs to it: an interruption outside would end all)
        timer.start()
        model.fit(X, y)
        timer.join()
    assert time.perf_counter() - start < 60  # so many iterations take hours
    assert vars(model).keys() == before.keys()
    for name in before.keys() - {"max_iter"}:
        assert vars(model)[name] is before[name], name
    if again:
        assert np.isfinite(model.predict(X)).all()
    else:
        with pytest.raises(NotFittedError):
            model.predict(X)


def test_a_factor_is_interrupted_between_tiles():
    """The compiled loop asks for signals: what a handler raises comes out of it, the lower triangle still whole."""
    from sksparsenn._compiled.cholesky import cholesky_upper

    n = 2000
    A = np.eye(n) + np.tril(np.full((n, n), 0.25), -1)
    expected = np.tril(A, -1)
    pending = threading.Event()

    def interrupt():
        pending.wait()
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012
        pending.set()
        for _ in range(10_000):  # minutes
            cholesky_upper(A)
    thread.join()
    np.testing.assert_array_equal(np.tril(A, -1), expected)
