"""The tree over the samples, and the margin lists that take its nodes: the same pairs fire, the same sums come out.

Nodes stand for samples on which a neuron fires, but for exceptions; every test here compares with all pairs.
"""

from itertools import chain

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import FLOATS, KINDS, all_beyond, inner_products, make_points
from single_networks import SparseShiftedReLURegressor
from sklearn.datasets import load_diabetes
from threadpoolctl import threadpool_limits

import sksparsenn._search.choice
import sksparsenn._search.sample_nodes
import sksparsenn._utils.memory
from sksparsenn._compiled.scan import EXCEPTION, LEAF, points_beyond
from sksparsenn._network.firing import Lists, Step
from sksparsenn._network.network import Network, initial_weights
from sksparsenn._samples.dense import DenseSamples
from sksparsenn._samples.order import order_by_halving
from sksparsenn._samples.points import padded_rows
from sksparsenn._search.sample_nodes import SampleTree
from sksparsenn._search.searches import MarginNodeSearch

dtypes = st.sampled_from(FLOATS)
kinds = st.sampled_from(sorted(KINDS))
seeds = st.integers(0, 2**32 - 1)


def samples_of(tree, node):
    """The samples of a node, as they were numbered before they were ordered."""
    first, size = node, tree.leaf_size
    while first < tree.n_leaves:
        first, size = 2 * first, 2 * size
    first = (first - tree.n_leaves) * tree.leaf_size
    return tree.order[first : first + size]


def pairs_of(firing):
    """Whom each neuron fires on, by singles, nodes and exceptions together; that none comes twice."""
    tree, singles, exceptions, nodes = firing.tree, firing.singles, firing.exceptions, firing.nodes
    fires = []
    for r in range(len(singles.rows)):
        mine = [tree.order[singles.samples[singles.starts[r] :][: singles.counts[r]]]]
        mine += [samples_of(tree, node) for node in nodes.samples[nodes.starts[r] :][: nodes.counts[r]]]
        mine = np.concatenate(mine).tolist()
        assert len(mine) == len(set(mine))
        not_mine = tree.order[exceptions.samples[exceptions.starts[r] :][: exceptions.counts[r]]].tolist()
        assert len(not_mine) == len(set(not_mine))
        assert set(not_mine) <= set(mine)
        fires.append(sorted(set(mine) - set(not_mine)))
    assert sum(map(len, fires)) == firing.n_pairs
    return fires


def clustered(rng, n, d, dtype=np.float64, n_clusters=12):
    """Samples in clusters on the unit sphere: neurons fire on whole clusters."""
    X = rng.normal(size=(n_clusters, d))[rng.integers(n_clusters, size=n)] + 0.15 * rng.normal(size=(n, d))
    return (X / np.linalg.norm(X, axis=1, keepdims=True)).astype(dtype)


def a_network(rng, width, d, shift, dtype, init="gaussian", n_outputs=1):
    weights, signs = initial_weights(width, d, n_outputs, init, np.random.RandomState(rng.integers(2**31)), dtype)
    return Network(weights, signs, shift, shift, 1.5)


# ---------------------------------------------------------------------------------------
# The tree
# ---------------------------------------------------------------------------------------


@given(kinds, seeds, st.integers(1, 300), st.integers(1, 12), dtypes, st.sampled_from([1, 4, 16]))
def test_the_order_is_a_permutation_whatever_the_samples(kind, seed, n, d, dtype, leaf):
    order = order_by_halving(make_points(kind, seed, n, d, dtype), leaf)
    assert np.sort(order).tolist() == list(range(n))


def test_samples_that_are_close_stand_together():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 5))
    ordered = X[order_by_halving(X, 4)]
    spread = ordered.reshape(-1, 4, 5).std(axis=1).mean()
    assert spread < 0.35 * X.reshape(-1, 4, 5).std(axis=1).mean()
    # Of clusters further apart than wide, none shares a node of its size with another.
    clusters = np.repeat(np.arange(8), 16)[rng.permutation(128)]
    X = 100 * rng.normal(size=(8, 3))[clusters] + rng.normal(size=(128, 3))
    assert (np.ptp(clusters[order_by_halving(X, 4)].reshape(8, 16), axis=1) == 0).all()


@pytest.mark.parametrize("init", ["gaussian", "paired"])
@pytest.mark.parametrize("d", [3, 50])
def test_neurons_are_those_drawn_and_similar_ones_follow_each_other(init, d):
    weights, signs = initial_weights(600, d, 2, init, np.random.RandomState(5), np.float64)
    drawn = 600 if init == "gaussian" else 300
    source = np.random.RandomState(5)
    W, a = source.standard_normal((drawn, d)), source.choice([-1.0, 1.0], size=(drawn, 2))
    in_order = np.lexsort(weights[:drawn, :d].T)
    np.testing.assert_array_equal(weights[:drawn, :d][in_order], W[np.lexsort(W.T)])
    np.testing.assert_array_equal(signs[:drawn][in_order], a[np.lexsort(W.T)])
    if init == "paired":
        np.testing.assert_array_equal(weights[300:], weights[:300])
        np.testing.assert_array_equal(signs[300:], -signs[:300])
    step = np.linalg.norm(np.diff(weights[:drawn, :32], axis=0), axis=1).mean()
    assert step < (0.4 if d == 3 else 0.97) * np.linalg.norm(np.diff(W[:, :32], axis=0), axis=1).mean()


@given(seeds, st.integers(1, 200), st.integers(1, 9), st.integers(1, 12), dtypes)
def test_sums_over_nodes_are_those_over_their_samples(seed, n, d, n_neurons, dtype):
    rng = np.random.default_rng(seed)
    X, W = padded_rows(rng.normal(size=(n, d)).astype(dtype)), rng.normal(size=(n_neurons, d)).astype(dtype)
    tree, W = SampleTree(DenseSamples(X)), padded_rows(W)
    assert tree.n_leaves * tree.leaf_size >= n > (tree.n_leaves // 2) * tree.leaf_size - (tree.n_leaves == 1)
    whole = n // tree.leaf_size  # leaves that are full
    nodes_of_leaves = [tree.n_leaves + leaf for leaf in range(whole)]
    nodes_above = [node // 2 for node in nodes_of_leaves[1::2]]
    drawn = rng.random((n_neurons, len(nodes_of_leaves + nodes_above))) < 0.3
    listed = [np.array(nodes_of_leaves + nodes_above)[mine].tolist() for mine in drawn]
    counts = np.array([len(mine) for mine in listed])
    listed_nodes = np.array(list(chain.from_iterable(listed)), dtype=np.int32)
    nodes = Lists(np.arange(n_neurons), np.cumsum(counts) - counts, counts, listed_nodes)
    on = np.zeros((n_neurons, n))  # how many nodes of neuron r hold sample i
    for r, mine in enumerate(listed):
        for node in mine:
            on[r, samples_of(tree, node)] += 1
    signs = rng.choice([-1.0, 1.0], size=(n_neurons, 1)).astype(dtype)
    residuals = rng.normal(size=(n, 1)).astype(dtype)
    close = {"rtol": 0, "atol": 1e-3 if dtype == np.float32 else 1e-11}

    outputs = np.zeros((n, 1), dtype=dtype)
    tree.add_outputs(outputs, nodes, W, signs, 0.7, 0.5)
    expected = 0.5 * ((on * signs).T * (X.astype(float) @ W.T.astype(float) - 0.7)).sum(axis=1)
    np.testing.assert_allclose(tree.out_of_order(outputs)[:, 0], expected, **close)

    gradient = np.zeros_like(W)
    tree.add_gradient(gradient, nodes, tree.in_order(residuals), signs)
    np.testing.assert_allclose(gradient, signs * ((on * residuals[:, 0]) @ X.astype(float)), **close)

    np.testing.assert_array_equal(tree.out_of_order(tree.neurons_per_sample(nodes)), on.sum(axis=0))


def test_large_tables_have_larger_leaves():
    sizes = {}
    for n in (1, 8, 9, 8 * 8, 1 << 16, (1 << 16) + 1, 1 << 18, 1 << 19):
        tree = SampleTree(DenseSamples(padded_rows(np.zeros((n, 1), dtype=np.float32))))
        sizes[n] = tree.leaf_size, tree.n_leaves
    assert sizes == {
        1: (8, 1), 8: (8, 1), 9: (8, 2), 64: (8, 8), 1 << 16: (8, 1 << 13), (1 << 16) + 1: (16, 1 << 13),
        1 << 18: (32, 1 << 13), 1 << 19: (32, 1 << 14),
    }  # fmt: skip


def test_a_tree_too_large_for_memory_is_refused(monkeypatch):
    X = np.ones((50_000, 8))
    monkeypatch.setattr(sksparsenn._utils.memory, "available_memory", lambda: 7_000_000)
    # The samples, and ten sums of 8 columns for each of 2 * 8192 nodes.
    with pytest.raises(MemoryError, match=r"a tree over 50000 samples needs 13\.7 MB of .*: use search='brute' or"):
        SampleTree(DenseSamples(X))
    SampleTree(DenseSamples(X[:25_000]))


# ---------------------------------------------------------------------------------------
# The scan that finds leaves
# ---------------------------------------------------------------------------------------


@given(kinds, seeds, st.integers(1, 200), st.integers(1, 9), dtypes, st.sampled_from([4, 8, 16, 32]))
@settings(max_examples=300)
def test_the_scan_lists_leaves_in_place_of_their_points(kind, seed, n, d, dtype, leaf):
    rng = np.random.default_rng(seed)
    X, W = make_points(kind, seed, n, d, dtype), make_points("gaussian", seed + 1, 9, d, dtype)
    samples = DenseSamples(padded_rows(X))
    products = inner_products(W, X)
    finite = products[np.isfinite(products)]
    low, sure = np.sort(rng.choice(finite, 2)) if finite.size else (0.0, 0.0)
    cuts, sure_cuts = np.full(9, low, dtype=dtype), np.full(9, sure, dtype=dtype)
    indptr, found = samples.beyond(padded_rows(W), cuts, sure=sure_cuts, leaf=leaf)
    superset, all_found = points_beyond(samples._blocks, padded_rows(W), cuts, samples.reach, superset=True)
    for r in range(9):
        numbers = found[indptr[r] : indptr[r + 1]].view(np.uint32)
        leaves = numbers[numbers & LEAF > 0] & ~np.uint32(LEAF)
        exceptions = numbers[numbers & EXCEPTION > 0] & ~np.uint32(EXCEPTION)
        singles = numbers[numbers & (LEAF | EXCEPTION) == 0]
        near = all_found[superset[r] : superset[r + 1]]
        assert (leaves % leaf == 0).all()
        assert (leaves + leaf <= n).all()
        inside = (leaves[:, None] + np.arange(leaf)).ravel()
        assert sorted([*inside, *singles]) == sorted({*inside, *near})
        assert set(exceptions) <= set(inside)
        beyond = sorted(set(inside) - set(exceptions))
        assert (products[r, beyond] > sure).all()
        # No longer than the list of points alone, and longer only by what rounding leaves open than the shortest.
        assert len(numbers) <= len(near)
        error, tiny = samples.rounding
        with np.errstate(over="ignore"):
            size = max(np.linalg.norm(W[r].astype(float)) * samples.reach, abs(float(sure)))
        if size < 1e30:
            clear = products[r] > float(sure) + 4 * error * size + 2 * tiny
            whole = n // leaf * leaf
            listed = np.isin(np.arange(whole), near).reshape(-1, leaf).sum(axis=1)
            shorter = listed + clear[:whole].reshape(-1, leaf).sum(axis=1) > leaf
            assert set(np.flatnonzero(shorter) * leaf) <= set(leaves.tolist())


# ---------------------------------------------------------------------------------------
# Who fires
# ---------------------------------------------------------------------------------------


def forward(search, network):
    candidates, work = search.candidates(network.weights)
    firing, outputs = candidates.forward(network)
    search.learn(firing)
    return firing, outputs, work


def forward_is_exact(search, X, network):
    firing, outputs, work = forward(search, network)
    W = np.ascontiguousarray(network.weights[:, : X.shape[1]])
    assert pairs_of(firing) == all_beyond(W, X, network.threshold)
    return firing, outputs, work


@given(kinds, kinds, seeds, st.integers(1, 90), st.integers(1, 30), st.integers(1, 9), dtypes)
@settings(max_examples=300)
def test_every_step_of_a_walk_is_exact(kind, other, seed, n_samples, n_neurons, d, dtype):
    rng = np.random.default_rng(seed)
    X, W = make_points(kind, seed, n_samples, d, dtype), make_points(other, seed + 1, n_neurons, d, dtype)
    products = inner_products(W, X)
    products = products[np.isfinite(products)]
    # Zero, or a product of the first weights, which makes ties, of those about half of all pairs exceed.
    threshold = float(rng.choice([0, np.quantile(products, 0.5, method="lower")])) if products.size else 0.0
    search = MarginNodeSearch(DenseSamples(padded_rows(X)), padded_rows(W), threshold)
    signs = np.ones((n_neurons, 1), dtype=dtype)
    for _ in range(20):
        with np.errstate(all="ignore"):
            forward_is_exact(search, X, Network(padded_rows(W), signs, threshold, threshold, 1.0))
            moved = W * (1 + rng.choice([0, 1e-9, 1e-3, 0.1]) * rng.normal(size=W.shape))
            W = np.clip(moved, -np.finfo(dtype).max, np.finfo(dtype).max).astype(dtype)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("speed", [1e-6, 1e-3, 0.03])
def test_a_long_walk_is_exact_and_takes_nodes(dtype, speed):
    # Long enough for margins to be measured and reviewed, and for neurons to slow down.
    rng = np.random.default_rng(0)
    X = clustered(rng, 700, 6, dtype)
    network = a_network(rng, 60, 6, 0.8, dtype)
    search = MarginNodeSearch(DenseSamples(padded_rows(X)), network.weights, 0.8)
    held, excepted, scans = [], [], []
    for step in range(60):
        firing, _, work = forward_is_exact(search, X, network)
        held.append(firing.n_held / firing.n_pairs)
        excepted.append(firing.exceptions.n_pairs)
        scans.append(work.neurons_rescanned)
        pace = speed if step < 20 else speed / 30
        network.weights[:, :6] += (pace * rng.normal(size=(60, 6))).astype(dtype)
    assert min(held) > 0.2
    assert min(excepted) > 0
    assert sum(scans[1:]) > 0, speed


def test_what_is_computed_is_the_same_as_pair_by_pair():
    rng = np.random.default_rng(1)
    X = clustered(rng, 900, 7)
    samples, network = DenseSamples(padded_rows(X)), a_network(rng, 80, 7, 0.7, np.float64)
    weights, signs, shift = network[:3]
    firing, outputs, _ = forward_is_exact(MarginNodeSearch(samples, weights, 0.7), X, network)
    assert firing.n_held > 0.3 * firing.n_pairs
    assert firing.exceptions.n_pairs > 0.02 * firing.n_pairs
    plain = network.firing(samples)
    np.testing.assert_allclose(outputs, plain.outputs(signs, shift, network.scale), atol=1e-13)
    v = rng.normal(size=(900, 1))
    np.testing.assert_allclose(firing.gradient(v, signs), plain.gradient(v, signs), atol=1e-12)
    kernel = [pattern.kernel_product(v, signs, network.scale) for pattern in (firing, plain)]
    np.testing.assert_allclose(*kernel, atol=1e-12)
    diagonal = [pattern.kernel_diagonal(network.scale) for pattern in (firing, plain)]
    np.testing.assert_allclose(*diagonal, rtol=1e-14)
    assert firing.neurons_that_fire.tolist() == plain.neurons_that_fire.tolist()
    for momentum, nesterov, ridge in ((0, False, 0), (0.9, True, 0.1)):
        step = Step(network.scale, 0.3, momentum, nesterov, ridge)
        moved = []
        for pattern in (firing, plain):
            W, velocity = weights.copy(), np.zeros_like(weights)
            pattern.descend(W, weights, velocity, v, signs, step)
            moved.append(W)
        np.testing.assert_allclose(*moved, atol=1e-13)
        assert np.abs(moved[0] - weights).max() > 1e-3


@pytest.mark.parametrize("width", [200, 201])
@pytest.mark.parametrize("dtype", FLOATS)
def test_neurons_of_paired_initialisation_cancel_exactly(dtype, width):
    rng = np.random.default_rng(2)
    X = clustered(rng, 500, 5, dtype)
    network = a_network(rng, width, 5, 0.7, dtype, init="paired")
    search = MarginNodeSearch(DenseSamples(padded_rows(X)), network.weights, 0.7)
    firing, outputs, _ = forward_is_exact(search, X, network)
    assert firing.n_held > 0
    assert firing.exceptions.n_pairs > 0
    assert not outputs.any()


def test_threads_do_not_change_a_bit(small_loops_take_threads):
    rng = np.random.default_rng(3)
    samples = DenseSamples(padded_rows(clustered(rng, 6000, 9, np.float32)))
    network, v = a_network(rng, 4000, 9, 0.8, np.float32), rng.normal(size=(6000, 1)).astype(np.float32)
    runs = []
    for limit in (1, 2):
        with threadpool_limits(limit, user_api="openmp"):
            search, run = MarginNodeSearch(samples, network.weights, 0.8), []
            W = network.weights.copy()
            for _ in range(4):
                firing, outputs, work = forward(search, network._replace(weights=W))
                firing.descend(W, W.copy(), W.copy(), v, network.signs, Step(network.scale, 0.5, 0.0, False, 0.0))
                run += [firing.tree.order.tobytes(), outputs.tobytes(), firing.n_held, work, W.tobytes()]
        runs.append(run)
    assert runs[0] == runs[1]


# ---------------------------------------------------------------------------------------
# In training
# ---------------------------------------------------------------------------------------


@pytest.fixture
def in_small_tables(monkeypatch):
    """Nodes even where they do not pay."""
    monkeypatch.setattr(sksparsenn._search.choice, "FEW_SAMPLES", 0)


@pytest.mark.parametrize("params", [{}, {"loss": "huber", "threshold": 0.6}, {"init": "gaussian", "momentum": 0.0}])
def test_training_is_that_of_all_pairs_up_to_rounding(params, in_small_tables):
    X, y = load_diabetes(return_X_y=True)
    weights = np.linspace(0.5, 2, len(X))
    fits = [
        SparseShiftedReLURegressor(100, shift=0.3, search=search, max_iter=25, tol=0, random_state=0, **params)
        .fit(X, y, sample_weight=weights)
        for search in ("margin", "brute")
    ]  # fmt: skip
    assert (fits[0].nodes_visited_curve_ > 50).all()
    np.testing.assert_allclose(fits[0].hidden_weights_, fits[1].hidden_weights_, rtol=0, atol=1e-11)
    np.testing.assert_array_equal(fits[0].firing_fraction_curve_, fits[1].firing_fraction_curve_)


def test_fewer_products_than_pairs_fire_on_clustered_samples():
    X = clustered(np.random.default_rng(4), 4000, 6)
    model = SparseShiftedReLURegressor(256, max_iter=30, random_state=0).fit(X, np.sin(3 * X[:, 0]))
    evaluated = model.pairs_evaluated_curve_ - len(X) * model.neurons_rescanned_curve_
    fire = model.firing_fraction_curve_ * len(X) * 256
    assert (evaluated[-10:] < 0.8 * fire[-10:]).all()
    assert (model.nodes_visited_curve_ > 0).all()


def test_training_goes_on_exactly_with_nodes(in_small_tables):
    # Past the second review of margins, so that neurons have slowed down and have been scanned for that.
    X, y = load_diabetes(return_X_y=True)
    model = SparseShiftedReLURegressor(100, shift=0.3, tol=0, random_state=0)
    whole = model.set_params(max_iter=60).fit(X, y)
    assert (whole.nodes_visited_curve_ > 50).all()
    halves = SparseShiftedReLURegressor(100, shift=0.3, tol=0, random_state=0, warm_start=True)
    for part in (7, 20, 33):
        halves.set_params(max_iter=part).fit(X, y)
    np.testing.assert_array_equal(halves.hidden_weights_, whole.hidden_weights_)
    np.testing.assert_array_equal(halves.loss_curve_, whole.loss_curve_)
    np.testing.assert_array_equal(halves.nodes_visited_curve_, whole.nodes_visited_curve_)


@pytest.mark.parametrize("leaf", [4, 32])
def test_the_size_of_leaves_changes_rounding_only(leaf, monkeypatch, in_small_tables):
    X, y = load_diabetes(return_X_y=True)
    fits = []
    for smallest in (leaf, 8):
        monkeypatch.setattr(sksparsenn._search.sample_nodes, "SMALLEST_LEAF", smallest)
        fits.append(SparseShiftedReLURegressor(100, shift=0.3, max_iter=40, tol=0, random_state=0).fit(X, y))
    np.testing.assert_allclose(fits[0].hidden_weights_, fits[1].hidden_weights_, atol=1e-10)


def test_samples_that_leave_no_bits_for_flags_take_single_pairs(monkeypatch):
    X, y = clustered(np.random.default_rng(5), 2100, 4), np.arange(2100.0)
    for most, grouped in ((2099, False), (2100, True)):
        monkeypatch.setattr(sksparsenn._search.choice, "MANY_SAMPLES", most)
        model = SparseShiftedReLURegressor(20, shift=0.5, max_iter=2, random_state=0).fit(X, y)
        assert model.nodes_visited_curve_.any() == grouped


def test_few_samples_take_single_pairs():
    X, y = clustered(np.random.default_rng(5), 2049, 4), np.arange(2049.0)
    for n in (2048, 2049):
        model = SparseShiftedReLURegressor(20, shift=0.5, max_iter=2, random_state=0).fit(X[:n], y[:n])
        assert model.nodes_visited_curve_.any() == (n > 2048)


def test_several_outputs_take_single_pairs(in_small_tables):
    X, y = load_diabetes(return_X_y=True)
    model = SparseShiftedReLURegressor(100, max_iter=3, random_state=0).fit(X, np.stack([y, -y], axis=1))
    assert model.search_ == "margin"
    assert not model.nodes_visited_curve_.any()
