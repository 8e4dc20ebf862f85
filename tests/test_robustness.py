"""Bad input, memory, interruption."""

import os
import signal
import threading
import time

import numpy as np
import pytest
from single_networks import SparseShiftedReLURegressor

import sksparsenn._utils.memory
from sksparsenn._search.searches import SEARCHES


def table(n=300, d=5, seed=0):
    X = np.random.default_rng(seed).standard_normal((n, d))
    return X, np.sin(X[:, 0]) + X[:, 1] ** 2


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"width": 0}, "'width' parameter .* must be an int in the range .* Got 0 instead"),
        ({"width": 10**30}, "width=10{30} is more than the 2147483647 neurons that can be numbered: lower width"),
        ({"width": "many"}, "'width' parameter .* Got 'many' instead"),
        ({"shift": -0.5}, "'shift' parameter .* Got -0.5 instead"),
        ({"shift": 1.0, "threshold": 0.5}, "threshold=0.5 lies below shift=1: .* raise threshold or lower shift"),
        ({"output_scale": 0.0}, "'output_scale' parameter .* Got 0.0 instead"),
        ({"momentum": 1.0}, "'momentum' parameter .* Got 1.0 instead"),
        ({"search": "hash"}, "'search' parameter .* Got 'hash' instead"),
    ],
)
def test_impossible_parameters(params, message):
    with pytest.raises(ValueError, match=message):
        SparseShiftedReLURegressor(**params).fit(*table(20))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_numbers_that_are_none(bad):
    X, y = table(20)
    broken = X.copy()
    broken[3, 2] = bad
    with pytest.raises(ValueError, match=r"Input X contains (NaN|infinity)"):
        SparseShiftedReLURegressor(8).fit(broken, y)
    y[4] = bad
    with pytest.raises(ValueError, match=r"Input y contains (NaN|infinity)"):
        SparseShiftedReLURegressor(8).fit(X, y)
    model = SparseShiftedReLURegressor(8, max_iter=2).fit(X, X[:, 0])
    with pytest.raises(ValueError, match=r"Input X contains (NaN|infinity)"):
        model.predict(broken)


def test_wrong_shapes_and_types():
    X, y = table(20)
    model = SparseShiftedReLURegressor(8, max_iter=2)
    with pytest.raises(ValueError, match=r"could not convert string to float"):
        model.fit([["a", "b"]] * 20, y)
    with pytest.raises(ValueError, match=r"inconsistent numbers of samples"):
        model.fit(X, y[:5])
    with pytest.raises(ValueError, match=r"Expected 2D array, got 1D array"):
        model.fit(y, y)
    with pytest.raises(
        ValueError, match=r"sample_weight is zero for every sample|Sample weights must contain at least one non-zero"
    ):
        model.fit(X, y, np.zeros(20))
    with pytest.raises(ValueError, match=r"[Nn]egative"):
        model.fit(X, y, -np.ones(20))
    with pytest.raises(ValueError, match=r"X has 3 features, but SparseShiftedReLURegressor is expecting 5"):
        model.fit(X, y).predict(X[:, :3])
    with pytest.raises(ValueError, match=r"training goes on from a network of width 8 .* set warm_start=False"):
        model.set_params(warm_start=True, width=10).fit(X, y)


@pytest.mark.parametrize("solver", ["gd", "sgd"])
def test_divergence_names_the_parameter(solver):
    X, y = table()
    with pytest.raises(ValueError, match=r"training diverged: the loss went from .* lower learning_rate"):
        SparseShiftedReLURegressor(
            64, shift=0.0, solver=solver, learning_rate=1e4, momentum=0.9, max_iter=300, random_state=0
        ).fit(X, y)


@pytest.mark.parametrize("search", ["max_tree", "margin"])
def test_memory_is_refused_before_allocation(search, monkeypatch):
    X, y = table(2000)
    # With a gigabyte free both fit; with five megabytes neither does.
    monkeypatch.setattr(sksparsenn._utils.memory, "available_memory", lambda: 5_000_000)
    with pytest.raises(MemoryError, match=r"needs [\d.,]+ [MG]B of memory, and 5\.0 MB are available"):
        SparseShiftedReLURegressor(4096, shift=0.5, search=search, max_iter=1).fit(X, y)
    monkeypatch.setattr(sksparsenn._utils.memory, "available_memory", lambda: 1_000_000_000)
    SparseShiftedReLURegressor(4096, shift=0.5, search=search, max_iter=1).fit(X, y)


def test_a_max_tree_of_terabytes_is_refused():
    X, y = table(100_000, 3)
    with pytest.raises(MemoryError, match=r"a MaxTree over 100000 samples and 4000000 neurons needs 3,[\d.]+ GB"):
        SparseShiftedReLURegressor(4_000_000, search="max_tree", max_iter=1).fit(X, y)


def test_memory_is_known_here():
    """On every system that the package supports: were it unknown, nothing would be refused."""
    assert 10**7 < sksparsenn._utils.memory.available_memory() < 10**15


@pytest.mark.parametrize("search", SEARCHES)
def test_interruption_ends_a_fit_and_keeps_the_last_one(search, interruption_reaches_the_fit):
    X, y = table(1000)
    model = SparseShiftedReLURegressor(256, search=search, max_iter=2, tol=0, random_state=0).fit(X, y)
    before = dict(vars(model))
    model.set_params(max_iter=10**6, n_iter_no_change=10**6)
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    start = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    assert time.perf_counter() - start < 60  # a million iterations take hours
    assert vars(model).keys() == before.keys()
    for name in before.keys() - {"max_iter", "n_iter_no_change"}:
        assert vars(model)[name] is before[name], name
    assert np.isfinite(model.predict(X)).all()


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_values_that_are_not_finite_are_named_by_their_row(method):
    X, y = table(300)
    X[257, 1] = np.nan
    with pytest.raises(ValueError, match=r"(?s)Input X contains NaN.*The first is in row 257 of X"):
        getattr(SparseShiftedReLURegressor(16), method)(X, y)
