"""MaxTree reports exactly the neurons above a threshold, and visits only nodes that hold one."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import FLOATS, KINDS, all_beyond, inner_products, make_points, unpacked
from threadpoolctl import threadpool_limits

import sksparsenn._utils.memory
from sksparsenn import MaxTree
from sksparsenn._samples.dense import DenseSamples
from sksparsenn._samples.points import padded_rows
from sksparsenn._search.searches import SEARCHES

dtypes = st.sampled_from(FLOATS)
kinds = st.sampled_from(sorted(KINDS))
seeds = st.integers(0, 2**32 - 1)


def levels(products, fan_out):
    """From all products of a sample to its topmost maxima: level k holds the largest of every fan_out**k products."""
    table = [np.where(np.isnan(products), -np.inf, products)]
    while len(table[-1]) > fan_out:
        padding = np.full(-len(table[-1]) % fan_out, -np.inf, dtype=products.dtype)
        table.append(np.concatenate([table[-1], padding]).reshape(-1, fan_out).max(axis=1))
    return table


def nodes_to_visit(products, fan_out, tau):
    """The top, and the children of every node above the bottom whose largest product exceeds tau: no more, no less."""
    return fan_out * (1 + sum(int((level > tau).sum()) for level in levels(products, fan_out)[1:]))


def check(tree, X, W, tau):
    """All ways of asking give the brute-force answer, and visit as many nodes as the structure demands."""
    tau = X.dtype.type(tau)
    expected = all_beyond(X, W, tau)
    products = inner_products(X, W)
    indptr, neurons, work = tree.query_all(tau, return_work=True)
    assert unpacked(indptr, neurons) == expected
    assert work.nodes_visited == sum(nodes_to_visit(row, tree.fan_out, tau) for row in products)
    assert (work.pairs_evaluated, work.neurons_rescanned) == (0, 0)
    some = np.random.default_rng(0).integers(0, len(X), 5)  # in any order, repeated
    assert unpacked(*tree.query_all(tau, samples=some)) == [expected[i] for i in some]
    neurons, work = tree.query(some[0], tau, return_work=True)
    assert neurons.dtype == np.int32
    assert neurons.tolist() == expected[some[0]]
    assert work.nodes_visited == nodes_to_visit(products[some[0]], tree.fan_out, tau)


def make_tau(seed, X, W):
    """Mostly one of the products, or the number beside it: ties are decided by the last bit."""
    rng = np.random.default_rng(seed)
    products = inner_products(X, W)
    at = rng.choice(products[~np.isnan(products)]) if not np.isnan(products).all() else X.dtype.type(0)
    with np.errstate(over="ignore", under="ignore"):
        return rng.choice([at, at, np.nextafter(at, X.dtype.type(-np.inf)), 0, -np.inf, np.inf])


@given(kinds, kinds, seeds, st.integers(1, 12), st.integers(1, 700), st.integers(1, 20), dtypes)
@settings(max_examples=500)
def test_answers_are_those_of_brute_force_after_any_updates(kind, other, seed, n_samples, n_neurons, d, dtype):
    # 700 neurons make three levels in single and four in double precision.
    rng = np.random.default_rng(seed)
    X, W = make_points(kind, seed, n_samples, d, dtype), make_points(other, seed + 1, n_neurons, d, dtype)
    tree = MaxTree(X, W)
    check(tree, X, W, make_tau(seed, X, W))
    for step in range(3):
        # One neuron, then few, then all: by turns larger and smaller than before, so that maxima rise and fall.
        moved = rng.permutation(n_neurons)[: (1, 9, n_neurons)[step]]
        W[moved] = make_points((other, "small integers", kind)[step], seed + step, len(moved), d, dtype)
        tree.update(int(moved[0]), W[moved[0]])
        tree.update(moved, W[moved])
        check(tree, X, W, make_tau(seed + step, X, W))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n_neurons", [1, 7, 8, 9, 16, 17, 64, 65, 255, 256, 257, 4097])
def test_one_large_product_is_found_wherever_it_is_and_forgotten_when_gone(dtype, n_neurons):
    # A maximum that is not renewed, on the way up or on the way down, shows here.
    X, W = np.ones((2, 1), dtype=dtype), np.zeros((n_neurons, 1), dtype=dtype)
    tree = MaxTree(X, W)
    for r in {0, n_neurons // 2, n_neurons - 1}:
        tree.update(r, [1])
        assert tree.query(1, 0.5).tolist() == [r]
        tree.update(r, [-1])
        neurons, work = tree.query(1, 0.5, return_work=True)
        assert neurons.tolist() == []
        assert work.nodes_visited == tree.fan_out, "only the top is read when nothing exceeds the threshold"


@pytest.mark.parametrize("dtype", FLOATS)
def test_visited_nodes_are_bounded_by_answer_times_depth(dtype):
    # A node is entered only if a neuron of the answer lies below it: at most k on each level but the top one.
    X, W = make_points("gaussian", 0, 20, 5, dtype), make_points("gaussian", 1, 20000, 5, dtype)
    tree = MaxTree(X, W)
    depth = len(levels(np.zeros(20000), tree.fan_out))
    assert tree.fan_out ** (depth - 1) < 20000 <= tree.fan_out**depth
    for tau in (-1.0, 2.0, 4.0, 8.0, 1e6):
        for i in range(20):
            neurons, work = tree.query(i, tau, return_work=True)
            assert work.nodes_visited <= tree.fan_out * (1 + len(neurons) * (depth - 1))
            assert work.nodes_visited >= len(neurons)


def test_a_product_that_overflowed_to_nan_hides_no_other():
    X = np.array([[1e30, 1e30]], dtype=np.float32)
    W = np.zeros((40, 2), dtype=np.float32)
    W[0], W[1] = [1e30, -1e30], [1, 0]  # infinity less infinity, next to an ordinary product
    assert np.isnan(inner_products(X, W)[0, 0])
    assert MaxTree(X, W).query(0, 5.0).tolist() == [1]


@pytest.mark.parametrize("dtype", FLOATS)
def test_any_memory_layout_is_read_and_none_is_written_or_shared(dtype):
    X, W = make_points("gaussian", 0, 6, 8, dtype), make_points("gaussian", 1, 50, 8, dtype)
    frozen = X.copy()
    frozen.setflags(write=False)
    for x, w in ((np.asfortranarray(X), W[::-1].copy()[::-1]), (frozen, np.repeat(W, 2, axis=0)[::2])):
        check(MaxTree(x, w), X, W, 0.3)
    mine = X.copy()
    tree = MaxTree(mine, W)
    mine[:] = 0
    tree.update(3, W[3])
    check(tree, X, W, 0.3)


def test_weights_take_the_precision_of_the_samples():
    X, W = make_points("gaussian", 0, 5, 4, np.float32), make_points("gaussian", 1, 30, 4, np.float64)
    check(MaxTree(X, W), X, W.astype(np.float32), 0.1)
    assert MaxTree(X, W).fan_out == 2 * MaxTree(X.astype(np.float64), W).fan_out == 16


@pytest.mark.parametrize("product", [0.1, 1.0, -0.1, 1e-45, -1e-45, 0.0, 3.4e38, -3.4e38, np.inf])
def test_tau_is_compared_as_it_is_given(product):
    # In double precision, hundreds of millions of numbers lie between a product in single precision and the next one.
    product = np.float32(product)
    x, w = (np.float32(1e38), np.float32(1e38)) if np.isinf(product) else (product, np.float32(1))
    tree = MaxTree([[x]], np.array([[w], [0]], dtype=np.float32))
    exact = float(product)
    beside = [np.nextafter(exact, -np.inf), exact, np.nextafter(exact, np.inf)]
    beside += [float(np.nextafter(product, np.float32(side))) for side in (-np.inf, np.inf)]
    for tau in (*beside, 1e39, -1e39, np.inf, -np.inf):
        expected = [r for r, z in enumerate([exact, 0.0]) if z > tau]
        assert tree.query(0, tau).tolist() == expected, tau


def test_in_training_the_threshold_takes_the_precision_of_the_samples():
    # As in all other searches: 0.1 is rounded up, and the product that equals it does not fire.
    X, W = np.ones((1, 1), dtype=np.float32), np.float32([[0.1], [0.2]])
    samples, weights = DenseSamples(padded_rows(X)), padded_rows(W)
    for make in SEARCHES.values():
        candidates, _ = make(samples, weights, 0.1).candidates(weights)
        assert candidates.firing(weights, 0.1).counts.tolist() == [0, 1], make.name
        if make.name != "margin":  # which lists more than fire
            assert candidates.lists.counts[0] == (make.name == "brute")
    assert MaxTree(X, W).query(0, 0.1).tolist() == [0, 1]


def test_any_number_of_threads_gives_the_same(small_loops_take_threads):
    X, W = make_points("gaussian", 0, 800, 6, np.float32), make_points("gaussian", 1, 500, 6, np.float32)
    answers = []
    for limit in (1, 2):
        with threadpool_limits(limit, user_api="openmp"):
            tree = MaxTree(X, W)
            tree.update(np.arange(0, 500, 3), W[1:500:3][:167])
            indptr, neurons, work = tree.query_all(1.0, return_work=True)
            answers.append((indptr.tobytes(), neurons.tobytes(), work))
    assert answers[0] == answers[1]


# ---------------------------------------------------------------------------------------
# Memory
# ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FLOATS)
def test_memory_is_what_nbytes_says(dtype):
    X, W = make_points("gaussian", 0, 100, 3, dtype), make_points("gaussian", 1, 5000, 3, dtype)
    tracemalloc.start()
    tree = MaxTree(X, W)
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert 100 * 5000 * X.itemsize < tree.nbytes < 1.2 * 100 * 5000 * X.itemsize
    assert tree.nbytes <= held < tree.nbytes + 1_000_000


def test_too_large_a_tree_is_refused_before_it_is_allocated(monkeypatch):
    monkeypatch.setattr(sksparsenn._utils.memory, "available_memory", lambda: 300_000_000)
    X, W = np.ones((1000, 2)), np.ones((100_000, 2))
    tracemalloc.start()
    # 8 bytes for each of 10^8 products, and an eighth, a 64th, ... for the maxima: 914 million.
    with pytest.raises(MemoryError, match=r"1000 samples and 100000 neurons needs 0\.9 GB.*0\.3 GB are available"):
        MaxTree(X, W)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000
    assert MaxTree(X, W[:1000]).query(0, 1.0).tolist() == list(range(1000)), "a smaller one fits"


def test_where_the_system_tells_nothing_nothing_is_refused(monkeypatch):
    monkeypatch.setattr(sksparsenn._utils.memory, "available_memory", lambda: None)
    assert MaxTree(np.ones((1, 1)), np.ones((1, 1))).query(0, 0.0).tolist() == [0]


# ---------------------------------------------------------------------------------------
# Errors say what is wrong
# ---------------------------------------------------------------------------------------


def tree_of_three():
    return MaxTree(np.eye(3), np.eye(3))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: MaxTree(np.eye(3), np.eye(2)), ValueError, "W has 2 columns where 3"),
        (lambda: MaxTree(np.empty((0, 3)), np.eye(3)), ValueError, "got 0 and 3"),
        (lambda: MaxTree(np.eye(3), np.empty((0, 3))), ValueError, "got 3 and 0"),
        (lambda: MaxTree([[np.nan]], [[1.0]]), ValueError, "X holds NaN"),
        (lambda: MaxTree([[1.0]], [[np.inf]]), ValueError, "W holds NaN or infinity"),
        (lambda: MaxTree([[1j]], [[1.0]]), TypeError, "X must hold real numbers"),
        (lambda: tree_of_three().update(3, [0, 0, 0]), IndexError, "0 to 2, got 3"),
        (lambda: tree_of_three().update(-1, [0, 0, 0]), IndexError, "got -1"),
        (lambda: tree_of_three().update([0, 0], np.eye(3)[:2]), ValueError, "all different"),
        (lambda: tree_of_three().update([0, 1], np.eye(3)), ValueError, "got 2 and 3"),
        (lambda: tree_of_three().update(0, [0, 0]), ValueError, "w has 2 columns where 3"),
        (lambda: tree_of_three().update(0, [0, 0, np.nan]), ValueError, "w holds NaN"),
        (lambda: tree_of_three().update(0.0, [0, 0, 0]), TypeError, "whole numbers"),
        (lambda: tree_of_three().query(3, 0.0), IndexError, "0 to 2, got 3"),
        (lambda: tree_of_three().query(-1, 0.0), IndexError, "got -1"),
        (lambda: tree_of_three().query(0.5, 0.0), TypeError, "whole numbers"),
        (lambda: tree_of_three().query_all(0.0, samples=[True, False, True]), TypeError, "whole numbers"),
        (lambda: tree_of_three().query(0, np.nan), ValueError, "tau is NaN"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_nothing_to_do_is_no_error():
    tree = tree_of_three()
    tree.update([], np.empty((0, 3)))
    assert unpacked(*tree.query_all(0.0, samples=[])) == []
    assert unpacked(*tree.query_all(0.0)) == [[0], [1], [2]]
