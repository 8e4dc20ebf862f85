"""Predictions of few rows: the bits of a scan of all neurons, from weights of the moment, with or without a tree."""

import copy
import pickle

import joblib
import numpy as np
import pytest
from sklearn.base import clone

from sksparsenn import (
    SketchedGaussNewtonClassifier,
    SketchedGaussNewtonRegressor,
    SparseShiftedReLUClassifier,
    SparseShiftedReLURegressor,
)
from sksparsenn._compiled.few_rows import outputs_of_few_rows
from sksparsenn._network.network import FEW_ROWS, Network
from sksparsenn._samples.dense import DenseSamples
from sksparsenn._samples.points import padded_rows
from sksparsenn._search import neuron_tree
from sksparsenn._search.neuron_tree import NeuronTree, order_worth_storing, unchangeable
from sksparsenn._utils.threads import operations_worth_a_thread

ESTIMATORS = [
    SketchedGaussNewtonRegressor,
    SketchedGaussNewtonClassifier,
    SparseShiftedReLURegressor,
    SparseShiftedReLUClassifier,
]


def scanned(network, samples):
    """The outputs by lists of samples for each neuron, as of many rows."""
    padded = network._replace(weights=padded_rows(network.weights))
    return padded._scanned(samples).forward(padded)[1]


def a_network(rng, width, d, n_outputs, dtype):
    W = rng.standard_normal((width, d)).astype(dtype)
    signs = rng.choice([-1.0, 1.0], size=(width, n_outputs)).astype(dtype)
    return Network(W, signs, 0.5, 0.7, 1.3)


def on_sphere(rng, n, d, dtype):
    X = rng.standard_normal((n, d))
    return DenseSamples(padded_rows((X / np.linalg.norm(X, axis=1, keepdims=True)).astype(dtype)), d)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("d", [1, 2, 7, 8, 9, 16, 19, 24, 25, 70])
def test_same_bits_as_lists_of_samples(dtype, d):
    rng = np.random.default_rng(d)
    for width in (1, 2, 5, 63, 64, 333, 1500):
        network, samples = a_network(rng, width, d, 1 + width % 3, dtype), on_sphere(rng, 9, d, dtype)
        expected = scanned(network, samples)
        np.testing.assert_array_equal(network.outputs(samples), expected)
        tree = NeuronTree(unchangeable(network.weights))
        np.testing.assert_array_equal(tree.outputs(network, samples), expected)
        for row in range(9):
            one = samples[row : row + 1]
            np.testing.assert_array_equal(network.outputs(one), expected[row : row + 1])
            np.testing.assert_array_equal(tree.outputs(network, one), expected[row : row + 1])


def test_rows_beside_numbers_that_are_not_finite():
    """What a load takes of the next row is masked: a neuron of infinite weights spoils no other one."""
    rng = np.random.default_rng(0)
    network, samples = a_network(rng, 40, 3, 1, np.float64), on_sphere(rng, 5, 3, np.float64)
    network.weights[7] = np.nan
    assert np.isfinite(network.outputs(samples)).all()
    np.testing.assert_array_equal(network.outputs(samples), scanned(network, samples))


def test_same_bits_for_any_number_of_threads():
    rng = np.random.default_rng(0)
    network, samples = a_network(rng, 3000, 5, 2, np.float64), on_sphere(rng, 20, 5, np.float64)
    alone = network.outputs(samples)
    before = operations_worth_a_thread(1.0)
    try:
        np.testing.assert_array_equal(network.outputs(samples), alone)
    finally:
        operations_worth_a_thread(before)


def test_no_rows_and_nothing_that_fires():
    network = a_network(np.random.default_rng(0), 10, 3, 2, np.float64)._replace(threshold=1e3)
    assert outputs_of_few_rows(np.zeros((0, 8)), network).shape == (0, 2)
    nothing = np.zeros(4, np.int64), np.zeros(0, np.int32)
    for lists in ((None, None), nothing):
        np.testing.assert_array_equal(outputs_of_few_rows(np.ones((3, 8)), network, *lists), np.zeros((3, 2)))


# -- estimators --------------------------------------------------------------------------------


def table(dtype=np.float64, d=2):
    X = np.random.default_rng(1).standard_normal((150, d)).astype(dtype)
    return X, np.sin(2 * X[:, 0])


@pytest.fixture
def small_trees(monkeypatch):
    """Trees over networks that are quick to fit."""
    monkeypatch.setattr(neuron_tree, "FEWEST_NEURONS", 1000)


def fitted(Estimator=SparseShiftedReLURegressor, dtype=np.float64, width=2048, d=2, **params):
    X, y = table(dtype, d)
    y = y > 0 if Estimator.__name__.endswith("Classifier") else y
    return Estimator(width, max_iter=2, random_state=0, **{"cv": None} | params).fit(X, y)


def same_whatever_the_rows(model, X):
    """Predictions of one row, few and many have the same bits, and those of a scan."""
    ask = getattr(model, "decision_function", model.predict)
    many = ask(X)
    assert len(X) > FEW_ROWS
    np.testing.assert_array_equal(np.concatenate([ask(X[i : i + 1]) for i in range(50)]), many[:50])
    np.testing.assert_array_equal(ask(X[:FEW_ROWS]), many[:FEW_ROWS])
    np.testing.assert_array_equal(ask(np.asfortranarray(X[:5])), many[:5])
    np.testing.assert_array_equal(ask(X[:5].tolist()) if X.dtype == np.float64 else ask(X[:5]), many[:5])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("Estimator", ESTIMATORS)
def test_one_row_few_and_many(Estimator, dtype, small_trees):
    X, _ = table(dtype)
    for width, has_tree in ((100, False), (2048, True)):
        model = fitted(Estimator, dtype, width)
        assert (model._neuron_order is not None) == has_tree
        same_whatever_the_rows(model, X)
    committee = fitted(Estimator, dtype, 2048, cv=2)
    assert len(committee._neuron_order) == 4096
    same_whatever_the_rows(committee, X)


def test_a_row_that_is_not_finite_or_of_another_size_is_refused():
    model, (X, _) = fitted(width=50), table()
    with pytest.raises(ValueError, match="NaN"):
        model.predict(np.array([[0.0, np.nan]]))
    with pytest.raises(ValueError, match="features"):
        model.predict(X[:1, :1])
    with pytest.raises(ValueError, match="2D array"):
        model.predict(X[0])


def test_weights_changed_in_place_or_replaced():
    """Of a network without a tree, whose weights are writeable."""
    model, (X, _) = fitted(width=300), table()
    before = model.predict(X[:3])
    model.hidden_weights_ *= 1.5
    changed = model.predict(X[:3])
    assert (changed != before).any()
    same_whatever_the_rows(model, X)
    model.hidden_weights_ = np.asfortranarray(model.hidden_weights_ / 1.5)
    np.testing.assert_allclose(model.predict(X[:3]), before)


def test_weights_with_a_tree_cannot_be_changed_but_replaced(small_trees):
    model, (X, _) = fitted(), table()
    kept, before = model.hidden_weights_, model.predict(X[:3])
    assert model._tree() is not None
    with pytest.raises(ValueError, match="read-only"):
        model.hidden_weights_ *= 1.5
    with pytest.raises(ValueError, match="WRITEABLE"):
        kept.flags.writeable = True
    model.hidden_weights_ = 1.5 * kept
    assert model._tree() is None
    assert (model.predict(X[:3]) != before).any()
    same_whatever_the_rows(model, X)
    model.hidden_weights_[:] = kept  # new ones can be changed
    np.testing.assert_array_equal(model.predict(X[:3]), before)
    assert "_neuron_order" not in model.__getstate__()
    model.hidden_weights_ = unchangeable(2 * kept)  # another order would do, this one does too
    assert model._tree().weights is model.hidden_weights_
    same_whatever_the_rows(model, X)
    model.hidden_weights_ = kept[:1000]
    assert model._tree() is None


@pytest.mark.parametrize("again", [lambda model: pickle.loads(pickle.dumps(model)), copy.copy, copy.deepcopy])
def test_copies_have_the_tree_but_pickles_not_the_nodes(again, small_trees):
    model, (X, _) = fitted(), table()
    content, key = pickle.dumps(model), joblib.hash(model)
    before = model.predict(X[:3])
    assert "_neuron_tree" in vars(model)
    assert pickle.dumps(model) == content
    assert joblib.hash(model) == joblib.hash(fitted()) == key
    other = again(model)
    assert "_neuron_tree" not in vars(other)
    np.testing.assert_array_equal(other.predict(X[:3]), before)
    assert other._tree() is not None
    with pytest.raises(ValueError, match="read-only"):
        other.hidden_weights_[0] = 0
    same_whatever_the_rows(other, X)
    other.hidden_weights_ = 0 * other.hidden_weights_
    np.testing.assert_array_equal(model.predict(X[:3]), before)


def test_joblib_maps_weights_into_memory(small_trees, tmp_path):
    model, (X, _) = fitted(), table()
    joblib.dump(model, tmp_path / "model")
    for mode in (None, "r", "r+", "c"):
        loaded = joblib.load(tmp_path / "model", mmap_mode=mode)
        np.testing.assert_array_equal(loaded.predict(X[:3]), model.predict(X[:3]))
        assert loaded._tree() is not None


def test_clones_and_new_fits_have_no_old_tree(small_trees):
    X, y = table()
    model = fitted(warm_start=True)
    model.predict(X[:1])
    assert not {"_neuron_order", "_neuron_tree"} & set(vars(clone(model)))
    first = model.hidden_weights_
    model.fit(X, y)
    assert model.hidden_weights_ is not first
    assert (model.hidden_weights_ != first).any()
    same_whatever_the_rows(model, X)
    model.partial_fit(X, y)
    assert not {"_neuron_order", "_neuron_tree"} & set(vars(model))
    assert model.hidden_weights_.flags.writeable
    same_whatever_the_rows(model, X)
    model.set_params(width=100, warm_start=False).fit(X, y)
    assert not {"_neuron_order", "_neuron_tree"} & set(vars(model))


def test_a_tree_is_chosen_by_counts():
    """In few features it evaluates a small part of the pairs; in many, all of them, and is not stored."""
    rng = np.random.default_rng(0)
    width, threshold = neuron_tree.FEWEST_NEURONS, 2.0
    for d, pays in ((3, True), (24, False)):
        W, samples = rng.standard_normal((width, d)), on_sphere(rng, 100, d, np.float64)
        order = order_worth_storing(W, threshold, samples)
        assert (order is not None) == pays
        evaluated = NeuronTree(W).work_for(samples, threshold).pairs_evaluated / (width * len(samples))
        assert evaluated < 0.2 if pays else evaluated > 0.9
        if pays:
            np.testing.assert_array_equal(np.sort(order), np.arange(width))


def test_small_networks_and_sparse_tables_have_no_tree():
    rng = np.random.default_rng(0)
    W, samples = rng.standard_normal((neuron_tree.FEWEST_NEURONS - 1, 3)), on_sphere(rng, 9, 3, np.float64)
    assert order_worth_storing(W, 2.0, samples) is None
    for Estimator in ESTIMATORS:
        assert Estimator().width * 5 < neuron_tree.FEWEST_NEURONS
        model = fitted(Estimator, width=64)
        assert model._neuron_order is None
        assert model.hidden_weights_.flags.writeable


@pytest.mark.parametrize("name", ["SparseShiftedReLURegressor", "SketchedGaussNewtonClassifier"])
def test_long_tables_are_predicted_in_blocks(name, monkeypatch):
    import sksparsenn
    from sksparsenn._estimators import fitted_network
    from sksparsenn._samples.lift import Lift

    rng = np.random.default_rng(0)
    X = rng.standard_normal((700, 3))
    y = (X[:, 0] > 0).astype(int) if "Classifier" in name else X[:, 0]
    model = getattr(sksparsenn, name)(16, max_iter=2, random_state=0).fit(X, y)
    expected, lift, seen = model.predict(X), Lift.__call__, []

    def lifted(self, rows, dtype):
        seen.append(len(rows))
        return lift(self, rows, dtype)

    monkeypatch.setattr(Lift, "__call__", lifted)
    monkeypatch.setattr(fitted_network, "ROWS_AT_ONCE", 200)
    np.testing.assert_array_equal(model.predict(X), expected)
    assert seen == [200, 200, 200, 100]
