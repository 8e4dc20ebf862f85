"""Counted work: it does not jitter, so it can be held against what theory says."""

import numpy as np
import pytest
from single_networks import SparseShiftedReLURegressor

from sksparsenn import HalfSpaceIndex, MarginLists, MaxTree


def exponent(widths, work):
    """Slope of log work against log width."""
    return np.polyfit(np.log(widths), np.log(work), 1)[0]


def unit_rows(n, d):
    X = np.random.default_rng(0).standard_normal((n, d))
    return X / np.linalg.norm(X, axis=1, keepdims=True)


def test_margin_lists_evaluate_sublinearly_many_pairs():
    """Per step of training, over widths 2^10 to 2^16.

    About width^0.76 neurons fire on a sample at shift sqrt(0.4 ln width) in this range
    (the normal tail falls a little faster than exp(-b^2/2)); lists and rescans add to it.
    """
    X = unit_rows(150, 10).astype(np.float32)
    y = np.sin(3 * X[:, 0]) + X[:, 1] * X[:, 2]
    widths, work = 2 ** np.arange(10, 17), []
    for width in widths:
        model = SparseShiftedReLURegressor(int(width), search="margin", max_iter=21, tol=0, random_state=0).fit(X, y)
        work.append(model.pairs_evaluated_curve_[1:].mean())  # without the first build
        assert work[-1] < 0.5 * len(X) * width
    assert exponent(widths, work) < 0.85


@pytest.mark.parametrize("width", [2**10, 2**13, 2**16])
def test_max_tree_visits_in_proportion_to_its_answers(width):
    """Each answer has one entry a level above it, and each of those has fan_out children that are looked at."""
    X = unit_rows(8, 6)
    tree = MaxTree(X, np.random.default_rng(1).standard_normal((width, 6)))
    for tau in (1.5, np.sqrt(0.4 * np.log(width)), 3.0):
        for i in range(len(X)):
            neurons, work = tree.query(i, tau, return_work=True)
            assert work.nodes_visited <= 2 * tree.fan_out * (1 + len(neurons) * np.log(width) / np.log(tree.fan_out))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("width", [100, 5000])
def test_max_tree_stores_a_product_a_pair_and_updates_a_path(width, dtype):
    """DHSWZ24 Lemma B.2: O(m) nodes a sample; Lemma B.3: an update reaches one node a level and sample."""
    X, rng = unit_rows(8, 6).astype(dtype), np.random.default_rng(1)
    tree = MaxTree(X, rng.standard_normal((width, 6)))
    levels = tree._tournament.levels
    nodes = sum(level.shape[1] for level in levels)
    assert nodes <= width * tree.fan_out / (tree.fan_out - 1) + tree.fan_out * len(levels)
    for r in (0, width // 3, width - 1):
        before = [level.copy() for level in levels]
        tree.update(r, 100 * rng.standard_normal(6))
        for depth, (old, new) in enumerate(zip(before, levels, strict=True)):
            changed = np.unique(np.nonzero(old != new)[1])
            assert set(changed) <= {r // tree.fan_out**depth}
        assert (levels[0] != before[0]).any(axis=0).tolist() == [k == r for k in range(levels[0].shape[1])]


def test_weight_index_visits_sublinearly_in_three_dimensions():
    """Points evaluated and nodes tested per query; the surface of a half-space cuts about n^(2/3) cells of n."""
    X, widths = unit_rows(100, 3), 2 ** np.arange(12, 19)
    visited = []
    for width in widths:
        index = HalfSpaceIndex(np.random.default_rng(2).standard_normal((width, 3)), method="tree")
        _, work = index.count(X, np.sqrt(0.4 * np.log(width)), return_work=True)
        visited.append(work.pairs_evaluated + work.nodes_visited)
    assert exponent(widths, visited) < 0.75


def test_a_step_of_sgd_with_few_moves_rescans_few_neurons():
    """ "data" search: only the neurons that fired in the last batch have moved."""
    X = unit_rows(400, 5)
    model = SparseShiftedReLURegressor(
        64, shift=2.0, solver="sgd", search="data", batch_size=1, momentum=0.0, alpha=0.0, max_iter=1, random_state=0
    ).fit(X, X[:, 0])
    per_step = (model.neurons_rescanned_curve_[0] - 64) / 400
    assert 0 < per_step < 0.1 * 64


def test_unmoved_neurons_are_not_rescanned():
    X, W = unit_rows(60, 4), np.random.default_rng(3).standard_normal((50, 4))
    lists = MarginLists(X, W, 1.0)
    lists.query(W)
    moved = W.copy()
    moved[7] += 10.0
    _, _, work = lists.query(moved, return_work=True)
    assert work.neurons_rescanned == 1
