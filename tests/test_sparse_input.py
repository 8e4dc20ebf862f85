"""Sparse X: the same fit as on X.toarray(), without ever making X dense.

First the estimator against itself on dense rows, for any way of storing a table; then the parts: the lift, the order of
rows, the one inner product of sparse samples and who fires by it, the step, memory.
"""

import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from oracles import FLOATS, KINDS, make_points
from scipy import sparse
from single_networks import (
    SketchedGaussNewtonClassifier,
    SketchedGaussNewtonRegressor,
    SparseShiftedReLUClassifier,
    SparseShiftedReLURegressor,
)
from sklearn.base import clone
from threadpoolctl import threadpool_limits

import sksparsenn._utils.memory
from sksparsenn import HalfSpaceIndex, MarginLists, MaxTree
from sksparsenn._samples.lift import Lift, in_canonical_order
from sksparsenn._samples.sparse import SparseSamples
from sksparsenn._samples.sparse_table import columns_to_centre, mean_and_spread
from sksparsenn._search.margin_lists import MaintainedLists, SampleLists
from sksparsenn._search.searches import SEARCHES, SPARSE_SEARCHES

KINDS_OF_ARRAY = ("array", "matrix")
seeds = st.integers(0, 2**32 - 1)
FORMATS = [f"{name}_{kind}" for name in ("csr", "csc", "coo", "lil", "dok", "bsr", "dia") for kind in KINDS_OF_ARRAY]


# ---------------------------------------------------------------------------------------
# Tables, and the ways to store them
# ---------------------------------------------------------------------------------------


def table(seed, n=40, d=25, density=0.2, dtype=np.float64):
    """A dense table of mostly zeros, and a target; some rows are empty, some equal, one column is far from zero."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d)) * (rng.random((n, d)) < density)
    X[rng.integers(0, n, n // 10)] = 0
    X[rng.integers(0, n, n // 5)] = X[rng.integers(0, n, n // 5)]
    if rng.random() < 0.5:
        X[:, rng.integers(d)] += 100
    if rng.random() < 0.3:
        X = np.round(3 * X)
    return X.astype(dtype), np.sin(X[:, 0] + X[:, 1]) + X[:, 2] + 0.1 * rng.standard_normal(n)


def random_rows(seed, n, d, entries, dtype=np.float64):
    """A CSR array with about so many entries in a row, and a target."""
    rng = np.random.default_rng(seed)
    places = np.repeat(np.arange(n), entries), rng.integers(0, d, n * entries)
    return sparse.csr_array((rng.random(n * entries).astype(dtype), places), shape=(n, d)), rng.standard_normal(n)


def stored_badly(X, rng):
    """A CSR matrix of the same values with entries twice, zeros stored, columns in disorder, 64-bit and read-only."""
    rows, columns = np.nonzero(X)
    values = X[rows, columns]
    halves = values.dtype.type(0.5) * values  # exact: half and half is the whole
    extra = rng.integers(0, [X.shape], (20, 2))
    rows, columns = np.concatenate([rows, rows, extra[:, 0]]), np.concatenate([columns, columns, extra[:, 1]])
    data = np.concatenate([halves, halves, np.zeros(len(extra), dtype=X.dtype)])
    order = rng.permutation(len(rows))
    order = order[np.argsort(rows[order], kind="stable")]
    indptr = np.searchsorted(rows[order], np.arange(len(X) + 1)).astype(np.int64)
    indices = columns[order].astype(np.int64)
    bad = sparse.csr_matrix(X.shape, dtype=X.dtype)
    bad.data, bad.indices, bad.indptr = data[order], indices, indptr
    for array in (bad.data, bad.indices, bad.indptr):
        array.flags.writeable = False
    return bad


def fit_both(stored, dense, y, weight=None, **params):
    model = SparseShiftedReLURegressor(
        **({"width": 32, "shift": 0.7, "max_iter": 25, "tol": 0, "batch_size": 9, "random_state": 3} | params)
    )
    other = SparseShiftedReLURegressor(**model.get_params())
    return model.fit(stored, y, weight), other.fit(dense, y, weight)


def assert_equal_fits(ours, twin, stored, dense, rtol=1e-9):
    np.testing.assert_allclose(ours.hidden_weights_, twin.hidden_weights_, rtol=rtol, atol=rtol)
    np.testing.assert_allclose(ours.loss_curve_, twin.loss_curve_, rtol=rtol)
    np.testing.assert_allclose(ours.firing_fraction_curve_, twin.firing_fraction_curve_, rtol=1e-14)
    np.testing.assert_allclose(ours.learning_rate_, twin.learning_rate_, rtol=rtol)
    expected = twin.predict(dense)
    scale = np.abs(expected).max()
    for model in (ours, twin):  # trained on either, used on either
        for X in (stored, dense):
            np.testing.assert_allclose(model.predict(X), expected, rtol=rtol, atol=rtol * scale)


@given(
    seeds,
    st.sampled_from(["gd", "sgd"]),
    st.sampled_from(["squared_error", "huber", "absolute_error"]),
    st.sampled_from([0.0, 0.9]),
    st.sampled_from([0.0, 0.5]),
    st.booleans(),
    st.booleans(),
    st.sampled_from([0.05, 0.3, 0.8]),
)
@settings(max_examples=120)
def test_fit_is_that_on_dense_rows(seed, solver, loss, momentum, alpha, intercept, weighted, density):
    X, y = table(seed, density=density)
    rng = np.random.default_rng(seed)
    weight = rng.integers(0, 4, len(X)).astype(float) if weighted else None
    stored = stored_badly(X, rng)
    np.testing.assert_array_equal(stored.toarray(), X)
    params = {"solver": solver, "loss": loss, "momentum": momentum, "alpha": alpha, "fit_intercept": intercept}
    before = [array.copy() for array in (stored.data, stored.indices, stored.indptr)]
    ours, twin = fit_both(stored, X, y, weight, **params)
    assert_equal_fits(ours, twin, stored, X)
    for array, copy in zip((stored.data, stored.indices, stored.indptr), before, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_stored_zeros_of_the_user_stay():
    X, y = table(1)
    stored = sparse.csr_array(X)
    stored.data[::5] = 0
    before = stored.copy()
    ours, twin = fit_both(stored, stored.toarray(), y)
    assert_equal_fits(ours, twin, stored, stored.toarray())
    np.testing.assert_array_equal(stored.data, before.data)
    np.testing.assert_array_equal(stored.indices, before.indices)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("solver", ["gd", "sgd"])
def test_every_format(format, solver):
    X, y = table(1)
    stored = getattr(sparse, format)(X)
    assert_equal_fits(*fit_both(stored, X, y, solver=solver), stored, X)


@pytest.mark.parametrize("dtype", [np.int64, np.int8, np.bool_, np.uint16, np.longdouble])
def test_numbers_of_any_kind_are_float64(dtype):
    X = np.random.default_rng(0).integers(0, 2, (30, 12)).astype(dtype)
    y = np.random.default_rng(1).standard_normal(30)
    stored = sparse.csr_array(X)
    ours, twin = fit_both(stored, X, y)
    assert ours.hidden_weights_.dtype == np.float64
    assert_equal_fits(ours, twin, stored, X)


@pytest.mark.parametrize("solver", ["gd", "sgd"])
def test_single_precision_is_kept(solver):
    X, y = table(2, dtype=np.float32)
    ours, twin = fit_both(sparse.csr_array(X), X, y, solver=solver, max_iter=10)
    assert ours.hidden_weights_.dtype == ours.predict(sparse.csr_array(X)).dtype == np.float32
    np.testing.assert_allclose(ours.hidden_weights_, twin.hidden_weights_, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(ours.predict(X), twin.predict(X), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("solver", ["gd", "sgd"])
@pytest.mark.parametrize("params", [{"average": "mean"}, {"average": "random"}, {"init": "gaussian", "width": 31},
                                    {"learning_rate": 2.0, "nesterovs_momentum": False}, {"threshold": 1.0},
                                    {"intercept_scaling": 0.1}, {"intercept_scaling": 30.0}])  # fmt: skip
def test_other_parameters(params, solver):
    X, y = table(3)
    stored = sparse.csr_array(X)
    assert_equal_fits(*fit_both(stored, X, np.c_[y, X[:, 3]], solver=solver, **params), stored, X)


def test_warm_start_goes_on():
    """From a sparse fit with all that it remembers; plain steps, which remember nothing, from weights of either."""
    X, y = table(4)
    stored = sparse.csr_array(X)
    model = SparseShiftedReLURegressor(32, shift=0.7, max_iter=10, warm_start=True, random_state=0)
    assert_equal_fits(clone(model).fit(stored, y).fit(stored, y), clone(model).fit(X, y).fit(X, y), stored, X)
    model.set_params(momentum=0.0, alpha=0.0, learning_rate=1.0)
    expected = clone(model).fit(X, y).fit(X, y).hidden_weights_
    for first, second in ((stored, X), (X, stored)):
        ours = clone(model).fit(first, y).fit(second, y)
        np.testing.assert_allclose(ours.hidden_weights_, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("solver", ["gd", "sgd"])
def test_validation_and_streams(solver):
    X, y = table(5, n=80)
    stored = sparse.csr_array(X)
    model = SparseShiftedReLURegressor(32, solver=solver, shift=0.7, max_iter=20, batch_size=9, random_state=0)
    ours, twin = (clone(model).set_params(early_stopping=True).fit(x, y) for x in (stored, X))
    np.testing.assert_allclose(ours.validation_scores_, twin.validation_scores_, rtol=1e-9)
    assert_equal_fits(ours, twin, stored, X)
    ours, twin = (clone(model).fit(x, y, X_val=x[:20], y_val=y[:20]) for x in (stored, X))
    assert_equal_fits(ours, twin, stored, X)
    ours, twin = (
        clone(model).partial_fit(x[:30], y[:30]).partial_fit(x[30:], y[30:]).partial_fit(x[:50], y[:50])
        for x in (stored, X)
    )
    assert_equal_fits(ours, twin, stored, X)


@pytest.mark.parametrize("solver", ["gd", "sgd"])
@pytest.mark.parametrize("loss", ["log_loss", "hinge", "squared_error"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_classifier(n_classes, loss, solver):
    X, y = table(11)
    y = np.digitize(y, np.quantile(y, np.arange(1, n_classes) / n_classes))
    stored = sparse.csr_array(X)
    model = SparseShiftedReLUClassifier(
        32, solver=solver, loss=loss, shift=0.7, class_weight="balanced", max_iter=20, batch_size=9, random_state=0
    )
    ours, twin = clone(model).fit(stored, y), clone(model).fit(X, y)
    np.testing.assert_allclose(ours.hidden_weights_, twin.hidden_weights_, rtol=1e-9, atol=1e-9)
    expected = twin.decision_function(X)
    scores = np.sort(np.c_[np.zeros(len(X)), expected] if n_classes == 2 else expected, axis=1)
    clear = scores[:, -1] - scores[:, -2] > 1e-6  # on rows without entries classes may tie but for rounding
    assert clear.sum() > 30
    for fitted in (ours, twin):
        np.testing.assert_allclose(fitted.decision_function(stored), expected, rtol=1e-8, atol=1e-9)
        np.testing.assert_array_equal(fitted.predict(stored)[clear], twin.predict(X)[clear])
    assert twin.score(X, y) > 0.6


# ---------------------------------------------------------------------------------------
# The lift and the order of rows
# ---------------------------------------------------------------------------------------


def dense_rows(samples):
    """SparseSamples as they are defined, in double precision."""
    rows = np.zeros((len(samples), samples.shape[1]))
    for i, (start, end) in enumerate(zip(samples.indptr[:-1], samples.indptr[1:], strict=True)):
        np.add.at(rows[i], samples.columns[start:end], samples.values[start:end].astype(np.float64))
    if len(samples.direction):
        rows -= np.outer(samples.offsets, samples.direction)
    return rows


@given(seeds, st.sampled_from([0.05, 0.5, 0.95]), st.sampled_from([1.0, 1e-150, 1e150]), st.sampled_from([0, 1e3, 1e7]))
def test_lift_is_that_of_dense_rows(seed, density, unit, offset):
    """Also for columns far from zero, whose mean exceeds their spread by many digits, and for huge and tiny units."""
    rng = np.random.default_rng(seed)
    X, _ = table(seed, density=density)
    X[:, :3] += offset * rng.standard_normal(3)
    X[:, 5] *= rng.choice([1, 1e4])
    X *= unit
    shares = rng.random(len(X)) ** 3
    shares /= shares.sum()
    for intercept in (True, False):
        dense, ours = (Lift.fit(x, shares, intercept, 1.0) for x in (X, sparse.csr_array(X)))
        # The dense lift sums up centres to within a rounding error of the column's size, which is all that X holds.
        limit = 3e-15 * max(1, offset) if intercept else 3e-15
        np.testing.assert_allclose(ours.centre, dense.centre, rtol=1e-13, atol=1e-13 * np.abs(X).max())
        if intercept:
            np.testing.assert_allclose([ours.constant, ours.spread], [dense.constant, dense.spread], rtol=1e-9)
        samples = dense(sparse.csr_array(X), np.float64)
        np.testing.assert_allclose(dense_rows(samples), dense(X, np.float64).rows, rtol=0, atol=limit)
        np.testing.assert_allclose(samples.squared_lengths(), np.square(dense_rows(samples)).sum(axis=1), atol=1e-12)


@given(seeds, st.sampled_from([0.02, 0.2, 0.6, 1.0]))
def test_few_columns_are_stored_centred(seed, density):
    """Enough that the rest of the centre is no longer than the spread; no more than are mostly full, by weight."""
    rng = np.random.default_rng(seed)
    X, _ = table(seed, density=density)
    X[:, rng.random(X.shape[1]) < 0.2] += 5
    shares = rng.dirichlet(np.full(len(X), rng.choice([0.1, 1.0, 100.0])))
    centre, spread, _ = mean_and_spread(sparse.csr_array(X), shares)
    columns = columns_to_centre(centre, spread)
    rest = np.delete(centre, columns)
    assert np.linalg.norm(rest) <= spread * (1 + 1e-12)
    assert len(columns) <= np.count_nonzero(shares @ (X != 0) > 0.5)


def test_text_is_not_filled_in():
    X, _ = random_rows(0, 300, 2000, 20)
    samples = Lift.fit(X, np.full(300, 1 / 300), True, 1.0)(X, np.float64)
    assert samples.indptr[-1] == X.nnz + 300  # the constant coordinate


@given(seeds, st.sampled_from([0.1, 0.5, 1.0]), st.integers(1, 3))
def test_canonical_order_is_that_of_dense_rows(seed, density, n_outputs):
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(1, 60)), int(rng.integers(1, 5))
    X = rng.integers(-2, 3, (n, d)) * (rng.random((n, d)) < density).astype(float)  # many equal rows and beginnings
    y, weight, labels = rng.integers(0, 2, (n, n_outputs)).astype(float), rng.random(n), rng.integers(0, 2, n)
    for ours, expected in zip(
        in_canonical_order(stored_badly(X, rng), y, weight, labels),
        in_canonical_order(X, y, weight, labels),
        strict=True,
    ):
        np.testing.assert_array_equal(ours.toarray() if sparse.issparse(ours) else ours, expected)


# ---------------------------------------------------------------------------------------
# The one inner product, and who fires by it
# ---------------------------------------------------------------------------------------


def sparse_samples(seed, n, d, dtype, *, centred):
    """Samples of length about one, some empty, some with equal entries."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((n, d)) * (rng.random((n, d)) < rng.choice([0.1, 0.4, 1.0]))
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 0.1)
    matrix = sparse.csr_array(rows)
    padded = -(-d // 8) * 8
    direction = np.zeros(padded if centred else 0, dtype=dtype)
    direction[:d] = 1 / np.sqrt(d) if centred else 0
    offsets = (rng.random(n) if centred else np.zeros(n)).astype(dtype)
    indptr, columns = matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32)
    return SparseSamples(indptr, columns, matrix.data.astype(dtype), offsets, direction, d)


def products(samples, W):
    """The numbers that decide, written out: four running sums over a row's entries, less offset times <w, direction>.

    <w, direction> is summed in double precision: eight running sums, folded like those of dense samples.
    """
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        along = np.zeros(len(W), dtype=W.dtype)
        if len(samples.direction):
            lane = np.zeros((8, len(W)))
            for j in range(W.shape[1]):
                lane[j % 8] += W[:, j].astype(np.float64) * samples.direction[j].astype(np.float64)
            along = ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]))
            along = along.astype(W.dtype)
        z = np.empty((len(W), len(samples)), dtype=W.dtype)
        for i in range(len(samples)):
            entries = slice(samples.indptr[i], samples.indptr[i + 1])
            lane = np.zeros((4, len(W)), dtype=W.dtype)
            for p, (column, value) in enumerate(zip(samples.columns[entries], samples.values[entries], strict=True)):
                lane[p % 4] += value * W[:, column]
            z[:, i] = ((lane[0] + lane[2]) + (lane[1] + lane[3])) - samples.offsets[i] * along
    return z


def padded_weights(kind, seed, m, samples):
    W = np.zeros((m, samples.shape[1]), dtype=samples.dtype)
    W[:, : samples.n_features] = make_points(kind, seed, m, samples.n_features, samples.dtype)
    return W


def threshold_among(rng, z):
    """Zero, or a product, so that its last bit decides."""
    z = z[np.isfinite(z)]
    return float(rng.choice([0.0, rng.choice(z)])) if z.size else 0.0


@given(seeds, st.sampled_from(sorted(KINDS)), st.sampled_from(FLOATS), st.booleans())
@settings(max_examples=300)
def test_who_fires_is_decided_by_one_product(seed, kind, dtype, centred):
    """The scan misses nobody, the filter keeps exactly those beyond the threshold, and products have the right bits."""
    rng = np.random.default_rng(seed)
    samples = sparse_samples(seed, int(rng.integers(1, 30)), int(rng.integers(1, 40)), dtype, centred=centred)
    W = padded_weights(kind, seed, int(rng.integers(1, 40)), samples)
    z = products(samples, W)
    threshold = threshold_among(rng, z)
    for name, search in SPARSE_SEARCHES.items():
        pattern = search(samples, W, threshold).candidates(W)[0].firing(W, threshold)
        fires = np.zeros(z.shape, dtype=bool)
        for k, r in enumerate(pattern.rows):
            stretch = slice(pattern.starts[k], pattern.starts[k] + pattern.counts[k])
            assert (np.diff(pattern.samples[stretch]) > 0).all()
            fires[r, pattern.samples[stretch]] = True
            np.testing.assert_array_equal(pattern.products[stretch], z[r, pattern.samples[stretch]])
        np.testing.assert_array_equal(fires, z > dtype(threshold), err_msg=name)


TAME_KINDS = st.sampled_from(["gaussian", "mixed scales", "offset", "subnormal"])


@given(seeds, TAME_KINDS, st.sampled_from(FLOATS), st.booleans())
@settings(max_examples=30)
def test_rounding_stays_within_the_bound_that_searches_use(seed, kind, dtype, centred):
    """Against rational numbers; <w, direction> counts as given by the floats of w and of the direction."""
    samples = sparse_samples(seed, 4, 20, dtype, centred=centred)
    W = padded_weights(kind, seed, 4, samples)
    z = products(samples, W)
    assume(np.isfinite(z).any())  # the bound is for products that do not overflow
    error, smallest = samples.rounding
    for r in range(len(W)):
        exact_w = [Fraction(float(w)) for w in W[r]]
        along = sum((a * Fraction(float(b)) for a, b in zip(exact_w, samples.direction, strict=False)), Fraction(0))
        norm = float(np.sqrt(float(sum(w * w for w in exact_w))))
        for i in range(len(samples)):
            entries = slice(samples.indptr[i], samples.indptr[i + 1])
            pairs = zip(samples.values[entries], samples.columns[entries], strict=True)
            exact = sum((Fraction(float(value)) * exact_w[column] for value, column in pairs), Fraction(0))
            exact -= Fraction(float(samples.offsets[i])) * along
            if np.isfinite(z[r, i]):
                # Half: the bound is for the distance of two roundings.
                bound = Fraction(0.5 * (error * norm * samples.reach + smallest))
                assert abs(Fraction(float(z[r, i])) - exact) <= bound


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("speed", [1e-6, 1e-3, 0.03])
def test_margin_lists_of_sparse_samples_are_exact_on_a_walk(dtype, speed):
    rng = np.random.default_rng(0)
    samples = sparse_samples(5, 150, 40, dtype, centred=True)
    W = padded_weights("gaussian", 2, 100, samples)
    lists, rescanned, listed = MaintainedLists(SampleLists(samples), W, 1.0), 0, 0
    for step in range(100):
        moved = rng.random(len(W)) < 0.8
        pace = speed if step % 40 < 30 else speed / 100
        W = np.where(moved[:, None], W + pace * rng.standard_normal(W.shape), W).astype(dtype)
        W[:, samples.n_features :] = 0
        if step == 50:
            W[::7] *= dtype(-2)
        candidates, work = lists.candidates(W)
        pattern = candidates.firing(W, 1.0)
        lists.learn(pattern.counts)
        indptr, found = pattern.pairs()
        fires = np.zeros((len(W), len(samples)), dtype=bool)
        fires[np.repeat(np.arange(len(W)), np.diff(indptr)), found] = True
        np.testing.assert_array_equal(fires, products(samples, W) > dtype(1.0))
        rescanned += work.neurons_rescanned
        listed += work.pairs_evaluated
    if speed < 0.03:  # the lists save work, or this would test the scan alone
        assert rescanned < 50 * len(W)
        assert listed < 0.6 * 100 * len(W) * len(samples)


@pytest.mark.parametrize("solver", ["gd", "sgd"])
@pytest.mark.parametrize("dtype", FLOATS)
def test_searches_and_threads_lead_to_the_same_bits(solver, dtype):
    X, y = table(6, n=400, d=300, density=0.05, dtype=dtype)
    model = SparseShiftedReLURegressor(64, solver=solver, max_iter=5, batch_size=100, tol=0, random_state=0)
    fitted = []
    for search in SPARSE_SEARCHES:
        for threads in (1, 2):
            with threadpool_limits(threads, user_api="openmp"):
                model.set_params(search=search).fit(sparse.csr_array(X), y)
            fitted.append((model.hidden_weights_, model.predict(sparse.csr_array(X))))
    assert np.abs(fitted[0][0] - model.initial_weights_).max() > 1e-3
    for weights, predictions in fitted[1:]:
        np.testing.assert_array_equal(weights, fitted[0][0])
        np.testing.assert_array_equal(predictions, fitted[0][1])


def test_automatic_search():
    X, y = table(7)
    for solver, name in (("gd", "margin"), ("sgd", "brute")):
        assert SparseShiftedReLURegressor(16, solver=solver, max_iter=1).fit(sparse.csr_array(X), y).search_ == name


def test_a_row_is_predicted_the_same_in_any_batch(monkeypatch):
    X, y = table(8)
    X = sparse.csr_array(X)
    model = SparseShiftedReLURegressor(128, shift=0.0, max_iter=5, random_state=0).fit(X, y)
    whole = model.predict(X)
    np.testing.assert_array_equal(whole, np.concatenate([model.predict(X[[i]]) for i in range(X.shape[0])]))
    np.testing.assert_array_equal(whole[::-1], model.predict(X[::-1]))
    monkeypatch.setattr("sksparsenn._network.network.PAIRS_AT_ONCE", 128 * 7)  # chunks of seven rows
    np.testing.assert_array_equal(whole, model.predict(X))


# ---------------------------------------------------------------------------------------
# What a step touches
# ---------------------------------------------------------------------------------------


def test_without_momentum_ridge_and_centre_untouched_weights_stay():
    X, y = random_rows(0, 20, 500, 5)
    model = SparseShiftedReLURegressor(
        64, shift=0.3, momentum=0.0, alpha=0.0, fit_intercept=False, learning_rate=1.0, max_iter=1, random_state=0
    ).fit(X, y)
    moved = model.hidden_weights_ != model.initial_weights_
    touched = np.zeros(500, dtype=bool)
    touched[X.indices] = True
    assert moved.any()
    assert not moved[:, ~touched].any()
    # A neuron moves along the samples that it fires on.
    rows = X.toarray() / np.maximum(np.linalg.norm(X.toarray(), axis=1), 1e-300)[:, None]
    fires = model.initial_weights_ @ rows.T > 0.3
    np.testing.assert_array_equal(moved.any(axis=1), fires.any(axis=1))
    for r in range(64):
        assert not moved[r, ~(rows[fires[r]] != 0).any(axis=0)].any()


def test_training_needs_no_dense_table():
    """A table of 0.8 GB if dense: a fit and a prediction on it allocate a small part of that."""
    X, y = random_rows(0, 2000, 50_000, 10)
    for solver in ("gd", "sgd"):
        model = SparseShiftedReLURegressor(4, shift=0.5, solver=solver, batch_size=1000, max_iter=2, random_state=0)
        tracemalloc.start()
        try:
            model.fit(X, y).predict(X)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 0.05 * 2000 * 50_000 * 8


@pytest.mark.parametrize("dtype", FLOATS)
def test_memory_is_counted_and_refused_before_allocation(dtype, monkeypatch):
    X, y = random_rows(0, 50, 20_000, 20, dtype)
    # All of its neurons leave their margins at some step, and steps both succeed and fail.
    model = SparseShiftedReLURegressor(64, shift=0.5, max_iter=30, random_state=0)
    counted = []
    monkeypatch.setattr("sksparsenn._search.choice.require_memory", lambda n_bytes, *_: counted.append(n_bytes))
    tracemalloc.start()
    try:
        model.fit(X, y)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    weights = 64 * 20_008 * np.dtype(dtype).itemsize
    assert counted[0] >= 5 * weights
    assert peak <= 1.1 * counted[0]
    assert peak >= 0.7 * counted[0]
    monkeypatch.undo()
    monkeypatch.setattr(sksparsenn._utils.memory, "available_memory", lambda: 6 * weights)
    with pytest.raises(MemoryError, match=r"training 64 neurons on 20000 features needs [\d.]+ MB of .*: lower width"):
        model.fit(X, y)


# ---------------------------------------------------------------------------------------
# What is refused
# ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("search", sorted(set(SEARCHES) - set(SPARSE_SEARCHES)))
def test_other_searches_say_that_they_need_dense_rows(search):
    X, y = table(9)
    with pytest.raises(ValueError, match=rf"search='{search}' needs dense X, .* use search='margin' or 'brute'"):
        SparseShiftedReLURegressor(16, search=search).fit(sparse.csr_array(X), y)


def test_search_structures_say_that_they_need_dense_rows():
    X, W = sparse.csr_array(np.eye(3)), np.eye(3)
    for build, name in (
        (lambda: MarginLists(X, W, 0.5), "X"),
        (lambda: MarginLists(W, X, 0.5), "W"),
        (lambda: HalfSpaceIndex(X), "points"),
        (lambda: MaxTree(X, W), "X"),
    ):
        with pytest.raises(TypeError, match=rf"{name} is sparse, but has to be dense here; use {name}\.toarray\(\)"):
            build()


@pytest.mark.parametrize("estimator", [SketchedGaussNewtonRegressor, SketchedGaussNewtonClassifier])
def test_gauss_newton_refuses_sparse_rows(estimator):
    X, y = table(9)
    y = np.round(y)
    sibling = estimator.__name__.replace("SketchedGaussNewton", "SparseShiftedReLU")
    message = rf"X is sparse, but {estimator.__name__} takes dense samples only: use {sibling}, .* sparse_output=False"
    with pytest.raises(TypeError, match=message):
        estimator(16).fit(sparse.csr_array(X), y)
    model = estimator(16, max_iter=1).fit(X, y)
    with pytest.raises(TypeError, match=message):
        model.predict(sparse.csr_array(X))
    with pytest.raises(TypeError, match=message.replace("X is", "X_val is")):
        model.fit(X, y, X_val=sparse.csr_array(X), y_val=y)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_none(bad):
    X, y = table(10)
    model = SparseShiftedReLURegressor(16, max_iter=1).fit(sparse.csr_array(X), y)
    X[3, 2] = bad
    for call in (lambda: model.fit(sparse.csr_array(X), y), lambda: model.predict(sparse.csr_array(X))):
        with pytest.raises(ValueError, match=r"Input X contains (NaN|infinity)"):
            call()


def test_sums_of_entries_that_are_infinite():
    largest = np.finfo(np.float64).max
    X = sparse.csr_array((np.array([largest, largest, 1.0]), np.array([1, 1, 0]), np.array([0, 2, 3])), shape=(2, 2))
    with pytest.raises(ValueError, match="contains infinity: it stores an entry more than once"):
        SparseShiftedReLURegressor(16).fit(X, [0.0, 1.0])


@pytest.mark.parametrize("column", [-1, 3, 10**6])
def test_entries_outside_of_the_matrix(column):
    X = sparse.csr_array(np.eye(3))
    X.indices[1] = column
    with pytest.raises(ValueError, match="stores entries outside of its 3 columns"):
        SparseShiftedReLURegressor(16).fit(X, np.arange(3.0))


def test_more_features_than_32_bits_number():
    X = sparse.csr_array((np.ones(2), np.array([0, 2**31], dtype=np.int64), np.array([0, 1, 2])), shape=(2, 2**31 + 1))
    with pytest.raises(ValueError, match=r"X has 2147483649 features: those of sparse X are numbered with 32 bits"):
        SparseShiftedReLURegressor(2).fit(X, [0.0, 1.0])


def test_degenerate_tables():
    y = np.arange(6.0)
    for X in (np.zeros((6, 2)), np.ones((6, 1)), np.arange(6.0)[:, None], np.eye(6)):
        for params in ({}, {"fit_intercept": False}, {"solver": "sgd"}):
            X_sparse = sparse.csr_array(X)
            model = SparseShiftedReLURegressor(8, max_iter=3, random_state=0, **params).fit(X_sparse, y)
            assert np.isfinite(model.predict(X_sparse)).all()
            assert np.isfinite(model.predict(sparse.csr_array(X.shape))).all()  # rows without entries
