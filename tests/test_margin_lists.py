"""MarginLists finds exactly the firing pairs however the weights move, and looks only at pairs near the threshold.

The last test holds all searches of the package against each other on real data.
"""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import FLOATS, KINDS, all_beyond, exact_inner_product, inner_products, make_points, unpacked
from sklearn.datasets import load_diabetes
from threadpoolctl import threadpool_limits

import sksparsenn._compiled.lists
import sksparsenn._search.margin_lists
import sksparsenn._utils.memory
from sksparsenn import HalfSpaceIndex, MarginLists, MaxTree
from sksparsenn._samples.dense import DenseSamples
from sksparsenn._samples.points import padded_rows
from sksparsenn._search.margin_lists import MaintainedLists, SampleLists

dtypes = st.sampled_from(FLOATS)
kinds = st.sampled_from(sorted(KINDS))
seeds = st.integers(0, 2**32 - 1)


def check(lists, X, W, threshold):
    """The answer of brute force, with the very products that decide it; returns the work."""
    indptr, samples, work = lists.query(W, return_work=True)
    assert unpacked(indptr, samples) == all_beyond(W, X, threshold)
    return work


def walk(rng, kind, W):
    """Other weights: a step too small to matter, a step within the margin, one beyond it, frozen neurons, or a jump."""
    step = rng.choice([0, 1e-9, 1e-4, 1e-2, 0.3])
    with np.errstate(over="ignore"):
        moved = W + step * (W if rng.random() < 0.5 else 1) * rng.normal(size=W.shape)
        if rng.random() < 0.2:
            moved = make_points(kind, int(rng.integers(2**32)), *W.shape, W.dtype)
        moved = np.clip(moved, -np.finfo(W.dtype).max, np.finfo(W.dtype).max).astype(W.dtype)
    frozen = rng.random(len(W)) < rng.choice([0, 0.5, 1])
    return np.where(frozen[:, None], W, moved)


MARGINS = st.sampled_from([None, None, 0, 1e-7, 1e-2, 0.5, 10.0, 1e38])


@given(kinds, kinds, seeds, st.integers(0, 60), st.integers(0, 40), st.integers(1, 20), dtypes, MARGINS)
@settings(max_examples=500)
def test_every_step_of_a_walk_is_exact(kind, other, seed, n_samples, n_neurons, d, dtype, margin):
    rng = np.random.default_rng(seed)
    X, W = make_points(kind, seed, n_samples, d, dtype), make_points(other, seed + 1, n_neurons, d, dtype)
    products = inner_products(W, X)
    products = products[np.isfinite(products)]
    # Zero, or a product of the first weights, which makes ties, of those about a tenth of all pairs exceed.
    threshold = float(rng.choice([0, np.quantile(products, 0.9, method="lower")])) if products.size else 0.0
    lists = MarginLists(X, W, threshold, margin=margin)
    check(lists, X, W, threshold)
    for _ in range(20):
        W = walk(rng, other, W)
        check(lists, X, W, threshold)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("speed", [1e-6, 1e-3, 0.03])
def test_a_long_walk_with_adapting_margins_is_exact(dtype, speed):
    # Long enough for margins to be measured, reviewed and narrowed several times, and for lists to move and grow.
    rng = np.random.default_rng(0)
    X, W = make_points("gaussian", 1, 150, 6, dtype), make_points("gaussian", 2, 120, 6, dtype)
    X[3], X[4], W[5] = 0, X[2], 0
    lists = MarginLists(X, W, 4.0)
    for step in range(120):
        moved = rng.random(len(W)) < 0.8
        pace = speed if step % 40 < 30 else speed / 100
        W = np.where(moved[:, None], W + pace * rng.normal(size=W.shape), W).astype(dtype)
        if step in (50, 90):
            W[::7] *= dtype(-2)
        check(lists, X, W, dtype(4.0))


# ---------------------------------------------------------------------------------------
# The bound: how far a neuron may move before its samples are searched for again
# ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("margin", [0.1, None])
@pytest.mark.parametrize("dtype", FLOATS)
def test_neurons_that_creep_straight_at_the_longest_sample(dtype, margin):
    # The worst case of Cauchy-Schwarz: each neuron starts a little more than a margin away from firing on the longest
    # sample, and moves along it.  A limit a few hundredths too generous misses the first moment.
    X = np.array([[3.0, 4.0], [0.1, 0.2], [-1.0, 0.5]], dtype=dtype)
    margin_in_force = 0.1 if margin else MarginLists(X, np.full((40, 2), 0.1, dtype=dtype), 1.0).margins[0]
    gaps = margin_in_force * np.linspace(0.5, 1.5, 40)
    direction = X[0].astype(np.float64) / 25
    W = ((1.0 - gaps)[:, None] * direction).astype(dtype)
    lists = MarginLists(X, W, 1.0, margin=margin)
    for step in range(200):
        W = ((1.0 - gaps + step * 0.01 * margin_in_force)[:, None] * direction).astype(dtype)
        check(lists, X, W, 1.0)
    assert len(lists.query(W)[1]) == 40, "all of them have arrived"


@pytest.mark.parametrize("dtype", FLOATS)
def test_margins_are_not_narrowed_below_what_movement_has_used_up(dtype):
    # The 18th query reviews the margins, and would make these far narrower: 95 of 100 listed samples do not fire, and
    # the neurons have been slow.  But they have moved by 98 hundredths of their margin towards a sample that was 101
    # hundredths away, and is on no list yet.
    X = np.array([[0, 14]] + [[1.5, 0]] * 5 + [[0.5, 0]] * 94, dtype=dtype)
    W = np.tile(np.array([1, 0], dtype=dtype), (10, 1))
    lists = MarginLists(X, W, 1.0)
    margin = lists.margins[0]
    assert 1.005 * margin < 1.0 < 1.02 * margin
    for used in (0, *[0.6] * 16, 0.98, 1.0, 1.015, 1.02, 1.03, 1.05, 1.1, 1.2):
        W[:, 1] = used * margin / 14
        check(lists, X, W, 1.0)
    assert 0 in lists.query(W)[1]


def test_products_that_rounding_lifts_over_the_threshold_are_found():
    """A neuron moves from zero along a sample, by less than its margin, which is less than the threshold; it fires."""
    found, n, d = 0, 200, 400
    X = make_points("gaussian", 0, n, d, np.float32) * (np.arange(d) % 8 == 0).astype(np.float32)  # all in one sum
    W = (X * np.random.default_rng(1).uniform(0.5, 2.0, (n, 1))).astype(np.float32)
    for w, x in zip(W[:, None], X[:, None], strict=True):
        product = inner_products(w, x)[0, 0]
        threshold = float(np.nextafter(product, np.float32(0)))
        reached = np.linalg.norm(w.astype(np.float64)) * np.linalg.norm(x.astype(np.float64))
        if reached > threshold * (1 - 1e-9):  # rounded down, or up by less than a bit
            continue
        lists = MarginLists(x, 0 * w, threshold, margin=(reached + threshold) / 2)
        assert lists.n_listed == 0
        for weights in (0 * w, w):
            check(lists, x, weights, threshold)
        assert lists.query(w)[1].tolist() == [0]
        found += 1
    assert found > 20


def test_narrowed_lists_hold_samples_that_rounding_puts_below_the_cut():
    """What lists have to hold is beyond the cut in exact numbers, for the inner products that the margin bounds."""
    X, W = make_points("gaussian", 0, 60, 64, np.float32), make_points("gaussian", 1, 40, 64, np.float32)
    threshold, misplaced = 5.0, 0
    for r, w in enumerate(W):
        products = inner_products(w[None], X)[0]
        exact = [exact_inner_product(w, x) for x in X]
        for i in np.flatnonzero((products > 0) & (products < threshold)):
            # The cut is at the rounded product, which is not beyond it.
            store = SampleLists(DenseSamples(padded_rows(X)))
            lists = MaintainedLists(store, padded_rows(w[None]), threshold, margin=threshold - float(products[i]))
            lists.build()
            store.narrow(lists.policy.reference, lists.policy.rows, lists.policy.lowered_cuts(lists.policy.rows))
            held = store._lists.items[: store.counts[0]].tolist()
            needed = [k for k in range(len(X)) if exact[k] > Fraction(float(products[i]))]
            assert set(needed) <= set(held), r
            misplaced += exact[i] > Fraction(float(products[i]))
    assert misplaced > 100


def test_first_lists_may_be_built_in_pieces(monkeypatch):
    X, W = make_points("gaussian", 0, 30, 4, np.float64), make_points("gaussian", 1, 50, 4, np.float64)
    whole = MarginLists(X, W, 1.0)
    monkeypatch.setattr(sksparsenn._search.margin_lists, "PAIRS_AT_ONCE", 7 * 30)
    pieces = MarginLists(X, W, 1.0)
    assert pieces.n_listed == whole.n_listed
    for _ in range(5):
        assert check(pieces, X, W, 1.0) == check(whole, X, W, 1.0)
        W = W + 0.05


@pytest.mark.parametrize("dtype", FLOATS)
def test_only_neurons_that_used_up_their_margin_are_scanned_again(dtype):
    X, W = make_points("gaussian", 0, 200, 5, dtype), make_points("gaussian", 1, 90, 5, dtype)
    longest = np.linalg.norm(X, axis=1).max()
    lists = MarginLists(X, W, 3.0, margin=0.5)
    first = check(lists, X, W, 3.0)
    assert first == (200 * 90 + lists.n_listed, 0, 90), "the first query reports the making of the lists, too"
    for _ in range(20):  # time alone uses up nothing
        assert check(lists, X, W, 3.0) == (lists.n_listed, 0, 0)
    near, far = W.copy(), W.copy()
    near[:10, 0] += 0.98 * 0.5 / longest
    far[:10, 0] += 1.02 * 0.5 / longest
    assert check(lists, X, near, 3.0) == (lists.n_listed, 0, 0)
    assert check(lists, X, far, 3.0) == (lists.n_listed + 10 * 200, 0, 10)
    # From here on movement counts from the new place: back is far again, for those ten only.
    assert check(lists, X, far, 3.0) == (lists.n_listed, 0, 0)
    assert check(lists, X, W, 3.0) == (lists.n_listed + 10 * 200, 0, 10)


def test_neurons_that_keep_their_direction_are_scanned_less_often():
    """Lists are made for half a margin ahead: of the way that they hold, the neuron has three halves before it."""
    X, W = make_points("gaussian", 0, 100, 6, np.float64), make_points("gaussian", 1, 80, 6, np.float64)
    rng, margin = np.random.default_rng(2), 0.4
    direction = rng.normal(size=W.shape)
    step = direction / np.linalg.norm(direction, axis=1, keepdims=True) * margin / np.linalg.norm(X, axis=1).max() / 10
    straight, winding = MarginLists(X, W, 2.0, margin=margin), MarginLists(X, W, 2.0, margin=margin)
    scans = {straight: 0, winding: 0}
    V = W
    for k in range(1, 151):
        W = W + step
        V = V + (step if k // 10 % 2 == 0 else -step)  # turns back when a margin is used up
        scans[straight] += check(straight, X, W, 2.0).neurons_rescanned
        scans[winding] += check(winding, X, V, 2.0).neurons_rescanned
    assert scans[straight] == pytest.approx(80 * 150 / 15, rel=0.1)
    assert scans[winding] <= 80 * 150 / 5


@pytest.mark.parametrize("dtype", FLOATS)
def test_lists_that_outgrow_their_places_move_to_gaps_or_to_a_larger_array(dtype, monkeypatch):
    close_gaps, closed = sksparsenn._compiled.lists.close_gaps, []
    monkeypatch.setattr(sksparsenn._compiled.lists, "close_gaps", lambda *lists: (closed.append(1), close_gaps(*lists)))
    X, W = make_points("gaussian", 0, 2000, 5, dtype), make_points("gaussian", 1, 60, 5, dtype)
    lists, arrays = MarginLists(X, W, 5.0, margin=0.3), set()
    kept = []  # so that no two arrays have the same id
    for k in range(60):
        grown = np.where(np.arange(60)[:, None] % 3 == k % 3, 1.6, 1 / 1.2)  # some grow, others shrink
        W = (W * grown).astype(dtype)
        W *= (3 / np.maximum(np.linalg.norm(W, axis=1, keepdims=True), 3)).astype(dtype)
        check(lists, X, W, 5.0)
        kept.append(lists._lists.store._lists.items)
        arrays.add(id(kept[-1]))
    assert len(closed) > 2
    assert len(arrays) > 1


@pytest.mark.parametrize("margin", [0, 1e-12, None])
def test_weights_that_do_not_move_are_never_scanned_again(margin):
    # Even margins too narrow to cover rounding are enough for neurons that stay exactly where they are.
    X, W = make_points("gaussian", 0, 50, 5, np.float32), make_points("gaussian", 1, 40, 5, np.float32)
    W[7] = 0
    lists = MarginLists(X, W, 2.0, margin=margin)
    check(lists, X, W, 2.0)
    for _ in range(40):
        assert check(lists, X, W, 2.0).neurons_rescanned == 0
    W[3, 0] = np.nextafter(W[3, 0], np.float32(9))
    assert check(lists, X, W, 2.0).neurons_rescanned == (0 if margin is None else 1)


def test_the_lists_hold_what_the_margin_says():
    X, W = make_points("gaussian", 0, 100, 4, np.float64), make_points("gaussian", 1, 30, 4, np.float64)
    for margin in (0.0, 0.25, 1.0):
        lists = MarginLists(X, W, 2.0, margin=margin)
        assert lists.n_listed == (inner_products(W, X) > 2.0 - margin).sum()
        assert lists.margins.tolist() == [margin] * 30


def test_slower_motion_leads_to_narrower_margins_and_less_work():
    margins, listed, pairs = [], [], []
    for speed in (1e-2, 1e-3, 1e-4):
        rng = np.random.default_rng(0)
        X, W = make_points("gaussian", 1, 400, 5, np.float64), make_points("gaussian", 2, 300, 5, np.float64)
        lists, work = MarginLists(X, W, 5.0), 0
        for step in range(100):
            W = W + speed * rng.normal(size=W.shape)
            evaluated = check(lists, X, W, 5.0).pairs_evaluated
            work += evaluated if step >= 50 else 0
        margins.append(lists.margins.mean())
        listed.append(lists.n_listed)
        pairs.append(work)
    for slower, faster in ((1, 0), (2, 1)):
        assert margins[slower] < 0.7 * margins[faster]
        assert listed[slower] < listed[faster]
        assert pairs[slower] < pairs[faster]
    assert pairs[0] < 0.5 * 50 * 400 * 300, "even the fastest looks at less than half of what brute force does"


# ---------------------------------------------------------------------------------------
# Patterns, as the training reads them
# ---------------------------------------------------------------------------------------


@given(kinds, seeds, st.integers(1, 80), st.integers(1, 40), st.integers(1, 20), dtypes)
def test_patterns_of_batches_hold_the_deciding_products(kind, seed, n_samples, n_neurons, d, dtype):
    rng = np.random.default_rng(seed)
    X, W = make_points(kind, seed, n_samples, d, dtype), make_points("gaussian", seed + 1, n_neurons, d, dtype)
    samples, padded = DenseSamples(padded_rows(X)), padded_rows(W)
    lists = MaintainedLists(SampleLists(samples), padded, 0.5)
    for size in (n_samples, 0, 1, n_samples // 2 + 1):
        batch = np.sort(rng.permutation(n_samples)[:size])
        candidates, _ = lists.candidates(padded, batch)
        pattern = candidates.firing(padded, 0.5)
        products = inner_products(W, X[batch])
        assert unpacked(*pattern.pairs()) == all_beyond(W, X[batch], 0.5)
        for r, start, count in zip(pattern.rows, pattern.starts, pattern.counts, strict=True):
            mine = slice(start, start + count)
            np.testing.assert_array_equal(pattern.products[mine], products[r, pattern.samples[mine]])
        W = walk(rng, "gaussian", W)
        padded = padded_rows(W)
    candidates, _ = lists.candidates(padded)
    pattern = candidates.firing(padded, 0.5)
    assert unpacked(*pattern.pairs()) == all_beyond(W, X, 0.5)


def test_any_number_of_threads_gives_the_same(small_loops_take_threads):
    X, W = make_points("gaussian", 0, 100, 9, np.float32), make_points("gaussian", 1, 9000, 9, np.float32)
    runs = []
    for limit in (1, 2):
        rng = np.random.default_rng(0)
        with threadpool_limits(limit, user_api="openmp"):
            lists, w, run = MarginLists(X, W, 2.0), W, []
            for _ in range(20):
                w = (w + 0.01 * rng.normal(size=w.shape)).astype(np.float32)
                indptr, samples, work = lists.query(w, return_work=True)
                run.append((indptr.tobytes(), samples.tobytes(), work, lists.margins.tobytes()))
        runs.append(run)
    assert runs[0] == runs[1]
    assert lists.n_listed > 1 << 17


# ---------------------------------------------------------------------------------------
# Ends: of the range of floats, of memory, of patience
# ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("threshold", [-1.0, 0.0, 1.0])
def test_zero_samples_one_sample_and_zero_weights(threshold):
    W = make_points("gaussian", 0, 20, 3, np.float64)
    for X in (np.zeros((5, 3)), np.zeros((1, 3)), W[:1] * 2, np.empty((0, 3))):
        lists = MarginLists(X, np.zeros_like(W), threshold)
        for scale in (0, 1, 0, 1e-300, 1e150):
            check(lists, X, scale * W, threshold)


@pytest.mark.parametrize(
    ("x", "before", "after", "threshold", "dtype"),
    [
        pytest.param([1e170], [1e-170], [2e-170], 1.5, np.float64, id="the square of the movement is zero"),
        pytest.param([1e200, 1e200], [-1e200, 0], [1e200, 0], 0, np.float64, id="squares of the weights are infinite"),
        pytest.param([2e38] * 2 + [0, 0] + [2e38] * 2, [-0.9, 0.95, 0, 0] * 2, [-0.84, 0.95, 0, 0] * 2, 0, np.float32,
                     id="a product that was infinity less infinity becomes infinity"),
    ],
)  # fmt: skip
def test_ends_of_the_range(x, before, after, threshold, dtype):
    X, before, after = (np.array([row], dtype=dtype) for row in (x, before[: len(x)], after[: len(x)]))
    for margin in (None, 1.0, 1e38):
        lists = MarginLists(X, before, threshold, margin=margin)
        for W in (before, after, after, before, after):
            check(lists, X, W, threshold)
    assert lists.query(after)[1].tolist() == [0]


@pytest.mark.parametrize("d", [1, 3])
@pytest.mark.parametrize("scale", [0, 1e-300, 0.5, 1, 30])
@pytest.mark.parametrize("threshold", [-0.5, 0.0, 0.5])
def test_weights_whose_mean_length_overflows(d, scale, threshold):
    # The typical spread of products is infinite then, or not a number where all samples are zero: lists stayed empty.
    rng = np.random.default_rng(0)
    X = scale * rng.choice([-1.0, 0.0, 0.6, 1.0], (6, d))
    W = rng.choice([-1.0, 0.1, 1.0], (8, d))
    W[::3, 0] = [1.7e308, -1.7e308, 1.7e308]
    lists = MarginLists(X, W, threshold)
    assert np.isfinite(lists.margins).all()
    check(lists, X, W, threshold)
    for _ in range(20):  # past a review of the margins
        W[1::3] += 0.1
        work = check(lists, X, W, threshold)
        if d == 1:
            assert work.neurons_rescanned <= 3, "lists hold while the others move by less than the enormous margins"


def test_samples_may_be_changed_by_whoever_passed_them():
    X, W = make_points("gaussian", 0, 30, 8, np.float64), make_points("gaussian", 1, 20, 8, np.float64)
    mine, weights = X.copy(), W.copy()
    lists = MarginLists(mine, weights, 1.0)
    mine[:], weights[:] = 0, 0
    check(lists, X, W, 1.0)
    check(lists, X, weights, 1.0)


def test_lists_too_long_for_memory_are_refused(monkeypatch):
    X, W = make_points("gaussian", 0, 1000, 2, np.float64), make_points("gaussian", 1, 1000, 2, np.float64)
    monkeypatch.setattr(sksparsenn._utils.memory, "available_memory", lambda: 2_000_000)
    with pytest.raises(MemoryError, match=r"1000 samples and 1000 neurons needs .* MB of memory, and 2\.0") as refused:
        MarginLists(X, W, -1e6)
    # Everything fires: a million pairs, with a number of four and a product of eight bytes each, and room to spare.
    assert 12 <= float(str(refused.value).split("needs ")[1].split(" MB")[0]) <= 36
    check(MarginLists(X, W, 5.0), X, W, 5.0)  # fewer do


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: MarginLists([[np.nan]], [[1.0]], 0.0), ValueError, "X holds NaN"),
        (lambda: MarginLists([[1.0]], [[np.nan]], 0.0), ValueError, "W holds NaN"),
        (lambda: MarginLists(np.eye(3), np.eye(2), 0.0), ValueError, "W has 2 columns where 3"),
        (lambda: MarginLists(np.eye(3), np.eye(3) * 1j, 0.0), TypeError, "real numbers"),
        (lambda: MarginLists(np.eye(3), np.eye(3), np.nan), ValueError, "threshold=nan must be a finite"),
        (lambda: MarginLists(np.eye(3), np.eye(3), np.inf), ValueError, "threshold=inf must be a finite"),
        (lambda: MarginLists(np.eye(3), np.eye(3), 0.0, margin=-1.0), ValueError, "margin=-1.0"),
        (lambda: MarginLists(np.eye(3), np.eye(3), 0.0, margin=np.nan), ValueError, "margin=nan"),
        (lambda: MarginLists(np.eye(3), np.eye(3), 0.0).query(np.eye(3)[:2]), ValueError, "2 rows where 3 neurons"),
        (lambda: MarginLists(np.eye(3), np.eye(3), 0.0).query(np.eye(4)[:3]), ValueError, "4 columns where 3"),
        (lambda: MarginLists(np.eye(3), np.eye(3), 0.0).query(np.full((3, 3), np.nan)), ValueError, "W holds NaN"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


# ---------------------------------------------------------------------------------------
# All searches on real data
# ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("method", ["tree", "scan"])
def test_five_ways_to_find_the_pairs_agree_pair_by_pair(dtype, method):
    rng = np.random.default_rng(0)
    X = load_diabetes().data
    X = (X / np.linalg.norm(X, axis=1, keepdims=True)).round(3).astype(dtype)
    W = rng.normal(size=(300, X.shape[1])).round(2).astype(dtype)
    threshold = dtype(1.5)
    over_weights, over_samples = HalfSpaceIndex(W, method=method), HalfSpaceIndex(X, method=method)
    tree, lists = MaxTree(X, W), MarginLists(X, W, threshold)
    for _ in range(8):
        brute = inner_products(W, X) > threshold
        assert 0.02 < brute.mean() < 0.2
        by_sample = [row.nonzero()[0].tolist() for row in brute.T]
        by_neuron = [row.nonzero()[0].tolist() for row in brute]
        assert unpacked(*over_weights.query(X, threshold)) == by_sample
        assert unpacked(*over_samples.query(W, threshold)) == by_neuron
        assert unpacked(*tree.query_all(threshold)) == by_sample
        assert unpacked(*lists.query(W)) == by_neuron
        moved = rng.permutation(300)[:100]
        W[moved] += (0.05 * rng.normal(size=(100, X.shape[1]))).round(2).astype(dtype)
        over_weights.update(moved, W[moved])
        tree.update(moved, W[moved])
