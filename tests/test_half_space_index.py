"""HalfSpaceIndex reports exactly the points beyond each half-space, and does not look at most of the others."""

import pickle
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from oracles import (
    FLOATS,
    KINDS,
    all_beyond,
    exact_inner_product,
    inner_products,
    make_points,
    make_thresholds,
    rounding_bound,
    unpacked,
)
from threadpoolctl import threadpool_limits

from sksparsenn import HalfSpaceIndex

METHODS = ("auto", "tree", "scan")
LEAF_SIZES = (1, 17, 64, 200)

dtypes = st.sampled_from(FLOATS)
methods = st.sampled_from(METHODS)
leaf_sizes = st.sampled_from(LEAF_SIZES)
kinds = st.sampled_from(sorted(KINDS))
seeds = st.integers(0, 2**32 - 1)


def check(index, points, normals, thresholds):
    """query() and count() give the brute-force answer for points that carry the ids 0, 1, ..."""
    expected = all_beyond(normals, points, thresholds)
    assert unpacked(*index.query(normals, thresholds)) == expected
    counts = index.count(normals, thresholds)
    assert counts.dtype == np.int64
    assert counts.tolist() == [len(answer) for answer in expected]


# ---------------------------------------------------------------------------------------
# The definition of "beyond": one rounded inner product
# ---------------------------------------------------------------------------------------

MODERATE = st.sampled_from(["gaussian", "small integers", "clusters", "offset", "tiny", "subnormal"])  # never overflow


@given(MODERATE, MODERATE, seeds, st.integers(1, 40), dtypes)
def test_the_rounded_inner_product_is_near_the_exact_one(kind, other, seed, d, dtype):
    a, b = make_points(kind, seed, 1, d, dtype), make_points(other, seed + 1, 1, d, dtype)
    rounded = inner_products(a, b)[0, 0]
    assert abs(Fraction(float(rounded)) - exact_inner_product(a[0], b[0])) <= rounding_bound(a[0], b[0])


@given(seeds, st.integers(1, 40), dtypes)
def test_on_small_integers_the_inner_product_is_exact(seed, d, dtype):
    a, b = np.random.default_rng(seed).integers(-50, 51, (2, 1, d)).astype(dtype)
    assert Fraction(float(inner_products(a, b)[0, 0])) == exact_inner_product(a[0], b[0])


@given(kinds, kinds, seeds, st.integers(1, 40), dtypes, methods)
def test_the_index_decides_by_exactly_that_number(kind, other, seed, d, dtype, method):
    # A point is not beyond its own product, but beyond the next smaller number: this pins down every bit.
    points, normals = make_points(kind, seed, 9, d, dtype), make_points(other, seed + 1, 3, d, dtype)
    index = HalfSpaceIndex(points, method=method)
    products = inner_products(normals, points)
    q, i = np.nonzero(np.isfinite(products))
    at = products[q, i]
    with np.errstate(over="ignore"):  # below the least number lies minus infinity
        below = np.nextafter(at, dtype(-np.inf))
    for point, not_beyond, beyond in zip(
        i, unpacked(*index.query(normals[q], at)), unpacked(*index.query(normals[q], below)), strict=True
    ):
        assert point not in not_beyond
        assert point in beyond


# ---------------------------------------------------------------------------------------
# Exactness
# ---------------------------------------------------------------------------------------


@given(kinds, kinds, seeds, st.integers(0, 1500), st.integers(1, 12), dtypes, methods, leaf_sizes, st.integers(1, 20))
@settings(max_examples=1000)
def test_answers_are_those_of_brute_force(kind, other, seed, n, d, dtype, method, leaf_size, n_queries):
    points, normals = make_points(kind, seed, n, d, dtype), make_points(other, seed + 1, n_queries, d, dtype)
    index = HalfSpaceIndex(points, method=method, leaf_size=leaf_size)
    assert len(index) == n
    assert index.method_ in ("tree", "scan")
    assert method in ("auto", index.method_)
    check(index, points, normals, make_thresholds(seed + 2, normals, points))


SPECIAL = {
    dtype: st.sampled_from([0, 1, -1, 0.1, 3, 1e-30, 1e30, -1e30, 1e-45, -1e-45, 1.5, -0.1, 2e-38]) for dtype in FLOATS
}


@given(st.data(), dtypes, st.sampled_from(["tree", "scan"]), st.integers(1, 3), st.integers(1, 24))
@settings(max_examples=1000)
def test_few_special_points(data, dtype, method, d, n):
    # Hypothesis chooses every number here, so that a failure shrinks to one that can be read.
    elements = SPECIAL[dtype].map(dtype)
    points = data.draw(st_numpy.arrays(dtype, (n, d), elements=elements))
    normal = data.draw(st_numpy.arrays(dtype, (1, d), elements=elements))
    products = inner_products(normal, points)[0]
    threshold = data.draw(st.sampled_from([*products[~np.isnan(products)], dtype(0), dtype(-np.inf)]))
    check(HalfSpaceIndex(points, method=method, leaf_size=1), points, normal, [threshold])


LARGEST = np.finfo(np.float32).max


@pytest.mark.parametrize(
    ("points", "normal", "threshold"),
    [
        pytest.param([[3.4e38, 3.4e38]], [0, 0], -1, id="lengths overflow, the normal is zero"),
        pytest.param([[LARGEST, 1], [-LARGEST, 1]], [0, 1e-3], 0, id="widths overflow in a column that does not count"),
        pytest.param([[1e30, 1e30], [-1e30, -1e30], [-1e30, 1e30], [1e30, -1e30]], [1e-45, 1e-45], 2.5e-15,
                     id="the normal is subnormal, and so is its length"),
        pytest.param([[1e-45, 1e-45], [-1e-45, -1e-45], [0, 0]], [1e30, 1e30], 2.5e-15, id="radii are subnormal"),
        pytest.param([[1e30, 1e30], [1, 0]], [1e30, -1e30], 1e29, id="a product is infinity less infinity"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", METHODS)
def test_ends_of_single_precision(points, normal, threshold, method):
    # In each case but the last, all bounds are useless for one reason; every one of them was a miss once.
    points, normals = np.array(points, dtype=np.float32), np.array([normal], dtype=np.float32)
    check(HalfSpaceIndex(points, method=method), points, normals, np.float32([threshold]))


def test_differences_too_small_to_square():
    # Two groups of equal points, at a distance whose square is zero in double precision.
    points = np.repeat([[0.0, 0.0], [1e-170, 1e-170]], 64, axis=0)
    check(HalfSpaceIndex(points, method="tree", leaf_size=8), points, np.full((1, 2), 1e170), [1.5])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", FLOATS)
def test_everything_nothing_and_no_points(method, dtype):
    points = make_points("gaussian", 0, 3000, 3, dtype)
    index = HalfSpaceIndex(points, method=method)
    normals = make_points("gaussian", 1, 5, 3, dtype)
    assert unpacked(*index.query(normals, -np.inf)) == [list(range(3000))] * 5
    assert unpacked(*index.query(normals, np.inf)) == [[]] * 5
    assert unpacked(*index.query(normals[0], 1e300)) == [[]]  # infinite in single precision
    assert unpacked(*index.query(np.empty((0, 3)), 0.0)) == []
    assert index.count(np.empty((0, 3)), []).shape == (0,)
    empty = HalfSpaceIndex(points[:0], method=method)
    assert len(empty) == 0
    assert unpacked(*empty.query(normals, -np.inf)) == [[]] * 5
    assert empty.insert(points[:2]).tolist() == [0, 1]
    check(empty, points[:2], normals, np.zeros(5, dtype=dtype))


@pytest.mark.parametrize("method", ["tree", "scan"])
@pytest.mark.parametrize("dtype", FLOATS)
def test_any_memory_layout_is_read_and_none_is_written(method, dtype):
    points, normals = make_points("gaussian", 0, 600, 4, dtype), make_points("gaussian", 1, 30, 4, dtype)
    thresholds = make_thresholds(2, normals, points)
    expected = all_beyond(normals, points, thresholds)

    def layouts(array):
        backwards, spread = array[::-1].copy()[::-1], np.repeat(np.repeat(array, 2, axis=0), 3, axis=-1)
        spread = spread[::2, ::3] if array.ndim == 2 else np.repeat(array, 2)[::2]
        frozen = array.copy()
        frozen.setflags(write=False)
        return [backwards, spread, np.asfortranarray(array), frozen, array.tolist()]

    for p, w, t in zip(layouts(points), layouts(normals), layouts(thresholds), strict=True):
        if isinstance(p, list):
            p = np.array(p, dtype=dtype)  # a list holds double precision
        index = HalfSpaceIndex(p, method=method)
        assert unpacked(*index.query(w, t)) == expected
        index.update(np.arange(600), p)
        index.delete(index.insert(p))
        assert unpacked(*index.query(w, t)) == expected


@pytest.mark.parametrize("method", ["tree", "scan"])
def test_the_index_does_not_share_memory_with_what_it_was_given(method):
    points = make_points("gaussian", 0, 500, 8, np.float64)
    normals, original = make_points("gaussian", 1, 10, 8, np.float64), points.copy()
    index = HalfSpaceIndex(points, method=method)
    points[:] = 7
    check(index, original, normals, np.zeros(10))


@pytest.mark.parametrize("method", METHODS)
def test_pickling_keeps_answers_and_history(method):
    points, normals = make_points("gaussian", 0, 2000, 3, np.float32), make_points("gaussian", 1, 20, 3, np.float32)
    index = HalfSpaceIndex(points, method=method)
    index.delete([0, 5])
    copy = pickle.loads(pickle.dumps(index))
    for mine, theirs in zip(index.query(normals, 1.0), copy.query(normals, 1.0), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert copy.insert(points[:1]).tolist() == [2000]
    assert len(copy) == len(index) + 1, "the copy is independent"


# ---------------------------------------------------------------------------------------
# Changes
# ---------------------------------------------------------------------------------------


class Changes(RuleBasedStateMachine):
    """Random insertions, deletions and moves, against a dictionary of points."""

    @initialize(kind=kinds, seed=seeds, n=st.integers(0, 1500), d=st.integers(1, 6), dtype=dtypes, method=methods,
                leaf_size=leaf_sizes)  # fmt: skip
    def build(self, kind, seed, n, d, dtype, method, leaf_size):
        self.d, self.dtype = d, dtype
        points = make_points(kind, seed, n, d, dtype)
        self.index = HalfSpaceIndex(points, method=method, leaf_size=leaf_size)
        self.points, self.next_id = dict(enumerate(points)), n

    def some_ids(self, seed, share):
        rng, ids = np.random.default_rng(seed), np.array(list(self.points), dtype=int)
        return rng.permutation(ids)[: int(np.ceil(share * len(ids)))]

    @rule(kind=kinds, seed=seeds, n=st.sampled_from([0, 1, 3, 40, 700]))
    def insert(self, kind, seed, n):
        points = make_points(kind, seed, n, self.d, self.dtype)
        ids = self.index.insert(points)
        assert ids.tolist() == list(range(self.next_id, self.next_id + n)), "ids count on and are never reused"
        self.next_id += n
        self.points.update(zip(ids.tolist(), points, strict=True))

    @rule(seed=seeds, share=st.sampled_from([0, 1e-9, 0.1, 0.7, 1]))
    def delete(self, seed, share):
        ids = self.some_ids(seed, share)
        self.index.delete(ids)
        for i in ids.tolist():
            del self.points[i]

    @rule(kind=kinds, seed=seeds, share=st.sampled_from([1e-9, 0.05, 1]), step=st.sampled_from([1e-3, 0.1, None]))
    def move(self, kind, seed, share, step):
        ids = self.some_ids(seed, share)
        points = make_points(kind, seed, len(ids), self.d, self.dtype)
        if step is not None and len(ids):  # near, where the point was, rather than anywhere
            old = np.array([self.points[i] for i in ids.tolist()])
            with np.errstate(over="ignore"):
                points = np.clip(old + old * self.dtype(step), -np.finfo(self.dtype).max, np.finfo(self.dtype).max)
        self.index.update(ids, points)
        self.points.update(zip(ids.tolist(), points, strict=True))

    @rule(kind=kinds, seed=seeds)
    def query(self, kind, seed):
        ids = np.array(sorted(self.points), dtype=int)
        points = np.array([self.points[i] for i in ids.tolist()], dtype=self.dtype).reshape(-1, self.d)
        normals = make_points(kind, seed, 5, self.d, self.dtype)
        thresholds = make_thresholds(seed + 1, normals, points)
        expected = [ids[answer].tolist() for answer in all_beyond(normals, points, thresholds)]
        assert unpacked(*self.index.query(normals, thresholds)) == expected
        assert self.index.count(normals, thresholds).tolist() == [len(answer) for answer in expected]

    @invariant()
    def nothing_lost(self):
        assert len(self.index) == len(self.points)
        assert self.index.count(np.zeros(self.d), -1).tolist() == [len(self.points)]


TestChanges = Changes.TestCase
TestChanges.settings = settings(max_examples=250, stateful_step_count=20)


def test_a_tree_whose_points_have_scattered_is_rebuilt():
    # Refitted volumes stay right but grow until they prune nothing: only a rebuilt tree is as fast as a new one.
    rng = np.random.default_rng(0)
    points, normals = rng.normal(size=(20000, 3)), rng.normal(size=(30, 3))
    index = HalfSpaceIndex(points, method="tree")
    scattered = rng.permutation(points)
    for some in np.array_split(rng.permutation(20000), 40):
        index.update(some, scattered[some])
    check(index, scattered, normals, np.full(30, 4.0))
    mine = index.count(normals, 4.0, return_work=True)[1]
    fresh = HalfSpaceIndex(scattered, method="tree").count(normals, 4.0, return_work=True)[1]
    assert mine.pairs_evaluated < 2.5 * fresh.pairs_evaluated
    assert fresh.pairs_evaluated < 0.2 * 30 * 20000


# ---------------------------------------------------------------------------------------
# Counted work
# ---------------------------------------------------------------------------------------


def test_work_per_query_grows_more_slowly_than_the_number_of_points():
    # A plane cuts about n^(2/3) of n cells in three dimensions; measured here is an exponent of about 0.6, whereas
    # a search that looks at a fixed share of the points, however small, has 1.
    sizes, work_per_query = 65536 * 2 ** np.arange(4), []
    normals = np.random.default_rng(1).normal(size=(64, 3))
    thresholds = 2.326 * np.linalg.norm(normals, axis=1)  # exceeded by one point in a hundred
    for n in sizes:
        index = HalfSpaceIndex(np.random.default_rng(0).normal(size=(n, 3)), method="tree")
        counts, work = index.count(normals, thresholds, return_work=True)
        assert 0.008 < counts.mean() / n < 0.012
        work_per_query.append((work.pairs_evaluated + work.nodes_visited) / len(normals))
    exponent = np.polyfit(np.log(sizes), np.log(work_per_query), 1)[0]
    assert exponent <= 0.8
    assert work_per_query[-1] < 0.1 * sizes[-1]


@pytest.mark.parametrize("dtype", FLOATS)
def test_work_is_counted_as_documented(dtype):
    points, normals = make_points("gaussian", 0, 4000, 3, dtype), make_points("gaussian", 1, 10, 3, dtype)
    tree, scan = HalfSpaceIndex(points, method="tree"), HalfSpaceIndex(points, method="scan")
    assert scan.query(normals, 1.0, return_work=True)[2] == (10 * 4000, 0, 0)
    # Wholly inside, or wholly outside: the root's children decide, and no point is looked at.
    for threshold, found in ((-np.inf, 4000), (-1e6, 4000), (1e6, 0), (np.inf, 0)):
        counts, work = tree.count(normals, threshold, return_work=True)
        assert counts.tolist() == [found] * 10
        assert work == (0, 10 * 8, 0)
        assert tree.query(normals, threshold, return_work=True)[2] == work
    # Inside parts of a tree are counted without being looked at; what is listed was either looked at or inside.
    counts, work = tree.count(normals, 0.0, return_work=True)
    assert 0 < work.pairs_evaluated < 0.8 * 10 * 4000
    assert work == tree.query(normals, 0.0, return_work=True)[2]
    assert work.pairs_evaluated % tree.leaf_size == 0
    assert work.nodes_visited % 8 == 0
    assert work.neurons_rescanned == 0
    assert tree.count(normals[:4], 0.0, return_work=True)[1] + tree.count(normals[4:], 0.0, return_work=True)[1] == work


# ---------------------------------------------------------------------------------------
# Threads
# ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["tree", "scan"])
@pytest.mark.parametrize("dtype", FLOATS)
def test_any_number_of_threads_gives_the_same(method, dtype, small_loops_take_threads):
    points, normals = make_points("clusters", 0, 20000, 4, dtype), make_points("gaussian", 1, 200, 4, dtype)
    thresholds = make_thresholds(2, normals, points[:100])
    answers = []
    for limit in (1, 2):
        with threadpool_limits(limit, user_api="openmp"):
            index = HalfSpaceIndex(points, method=method)
            indptr, indices, work = index.query(normals, thresholds, return_work=True)
            answers.append((indptr.tobytes(), indices.tobytes(), work, index.count(normals, thresholds).tobytes()))
    assert answers[0] == answers[1]
    assert len(indices) > 1 << 17
    assert unpacked(indptr, indices)[-20:] == all_beyond(normals[-20:], points, thresholds[-20:])


# ---------------------------------------------------------------------------------------
# Errors say what is wrong
# ---------------------------------------------------------------------------------------

GOOD = np.eye(3)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: HalfSpaceIndex([[1.0, np.nan]]), ValueError, "points holds NaN"),
        (lambda: HalfSpaceIndex([[1.0, -np.inf]]), ValueError, "NaN or infinity"),
        (lambda: HalfSpaceIndex([1.0, 2.0]), ValueError, "must be a matrix"),
        (lambda: HalfSpaceIndex(np.empty((3, 0))), ValueError, "at least one column"),
        (lambda: HalfSpaceIndex([[1j]]), TypeError, "real numbers"),
        (lambda: HalfSpaceIndex(np.array([[1.0]], dtype=object)), TypeError, "real numbers"),
        (lambda: HalfSpaceIndex([["a"]]), TypeError, "real numbers"),
        (lambda: HalfSpaceIndex(GOOD, method="ball"), ValueError, "method='ball'"),
        *[
            (lambda size=size: HalfSpaceIndex(GOOD, leaf_size=size), ValueError, "leaf_size=")
            for size in (0, -1, 1.5, np.nan, np.inf, None, "64")
        ],
        (lambda: HalfSpaceIndex(GOOD).query([[1.0, 2.0]], 0.0), ValueError, "2 columns where 3"),
        (lambda: HalfSpaceIndex(GOOD).query([[1.0, 2.0, np.nan]], 0.0), ValueError, "normals holds NaN"),
        (lambda: HalfSpaceIndex(GOOD.astype(np.float32)).query([[1.0, 2.0, 1e39]], 0.0), ValueError, "in float32"),
        (lambda: HalfSpaceIndex(GOOD).query(GOOD, np.nan), ValueError, "thresholds hold NaN"),
        (lambda: HalfSpaceIndex(GOOD).count(GOOD, [0.0, 1.0]), ValueError, "2 thresholds for 3 normals"),
        (lambda: HalfSpaceIndex(GOOD).count(GOOD, GOOD), ValueError, "9 thresholds"),
        (lambda: HalfSpaceIndex(GOOD).query(GOOD * 1j, 0.0), TypeError, "real numbers"),
        (lambda: HalfSpaceIndex(GOOD).query(GOOD, [1j, 1j, 1j]), TypeError, "thresholds must be real"),
        (lambda: HalfSpaceIndex(GOOD).insert([[1.0]]), ValueError, "1 columns where 3"),
        (lambda: HalfSpaceIndex(GOOD).insert([[np.nan] * 3]), ValueError, "NaN"),
        (lambda: HalfSpaceIndex(GOOD).delete(3), KeyError, "no point has id 3"),
        (lambda: HalfSpaceIndex(GOOD).delete(-1), KeyError, "no point has id -1"),
        (lambda: HalfSpaceIndex(GOOD).delete([1, 1]), ValueError, "without repetitions"),
        (lambda: HalfSpaceIndex(GOOD).delete([1.0]), TypeError, "whole numbers"),
        (lambda: HalfSpaceIndex(GOOD).update([0, 0], GOOD[:2]), ValueError, "without repetitions"),
        (lambda: HalfSpaceIndex(GOOD).update([0, 1], GOOD), ValueError, "2 ids and 3 points"),
        (lambda: HalfSpaceIndex(GOOD).update(7, GOOD[:1]), KeyError, "no point has id 7"),
        (lambda: HalfSpaceIndex(GOOD).update(0, [[np.inf] * 3]), ValueError, "infinity"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("method", METHODS)
def test_a_failed_change_changes_nothing(method):
    index, normals = HalfSpaceIndex(GOOD, method=method), np.eye(3)
    index.delete(1)
    with pytest.raises(KeyError, match="no point has id 1"):
        index.delete([0, 1])
    with pytest.raises(KeyError, match="no point has id 1"):
        index.update([0, 1], GOOD[:2] * 5)
    with pytest.raises(ValueError, match="NaN"):
        index.update([0], [[np.nan] * 3])
    assert len(index) == 2
    assert unpacked(*index.query(normals, 0.5)) == [[0], [], [2]]
    assert unpacked(*index.query(normals, 1.0)) == [[], [], []]
