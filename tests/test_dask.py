"""Estimators on a Dask cluster of processes: the weights are those of the same fit in one memory."""

import pickle
from time import sleep

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from distributed import Client, Future, LocalCluster
from distributed.actor import ActorFuture
from sklearn.base import clone
from sklearn.utils import check_random_state

from sksparsenn import dask as on_dask
from sksparsenn._samples.drawing import mixed, row_keys
from sksparsenn.dask import _doors as doors
from sksparsenn.dask._cluster import balanced

N, D = 1500, 4
FIRST, SECOND = "DaskSparseShiftedReLU", "DaskSketchedGaussNewton"
TEN = {"width": 32, "random_state": 0, "max_iter": 10, "tol": 0.0}


@pytest.fixture(scope="module")
def client():
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster, Client(cluster) as client:
        yield client


def table(seed=0):
    """A table with equal rows, and weights of which some are zero."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((N, D))
    X[:40] = X[100:140]
    y = np.sin(2 * X[:, 0]) * X[:, 1] + X[:, 2] + 0.2 * rng.standard_normal(N)
    weights = rng.uniform(0.5, 2, N)
    weights[::17] = 0
    return X, y, weights


def in_partitions(array, sizes):
    """The array as a collection with partitions of these sizes; some may be empty."""
    ends = np.cumsum(sizes)
    assert ends[-1] == len(array)
    parts = np.split(array, ends[:-1])
    return da.concatenate([da.from_array(part, chunks=-1) for part in parts if len(part)])


SIZES = [100, 700, 1, 399, 300]


def same_splits(X, n_labels, seed=0):
    """The splits that a fit on a cluster makes with that seed, as an estimator in one memory takes them."""
    drawn = check_random_state(seed).randint(2**31 - 1)
    labels = (mixed(row_keys(X), drawn) >> np.uint64(32)).astype(np.int64) * n_labels >> 32
    return [(np.flatnonzero(labels != label), np.flatnonzero(labels == label)) for label in range(n_labels)]


FITS = {
    "gauss_newton path": (f"{SECOND}Regressor", {"solver": "cholesky", "cv": 3}),
    "gauss_newton cg": (f"{SECOND}Regressor", {"solver": "cg", "cv": 3}),
    "gauss_newton alone": (f"{SECOND}Regressor", {"solver": "cholesky", "alpha": 1e-3, "cv": None}),
    "gauss_newton outputs": (f"{SECOND}Regressor", {"solver": "cholesky", "alpha": 1e-3, "cv": None}),
    "gauss_newton labels": (f"{SECOND}Classifier", {"solver": "cholesky", "cv": 3}),
    "descent": (f"{FIRST}Regressor", {"cv": 3}),
    "descent ridge": (f"{FIRST}Regressor", {"cv": None, "alpha": 1e-2, "loss": "huber", "fit_intercept": False}),
    "descent labels": (f"{FIRST}Classifier", {"cv": 3, "class_weight": {0: 1.0, 1: 0.7, 2: 2.0}}),
}


def targets(name, y):
    """The targets of a fit: numbers, two outputs, or three classes."""
    if "outputs" in name:
        return np.stack([y, np.cos(y)], axis=1)
    return np.digitize(y, [-1.0, 1.0]) if "labels" in name else y


def pair(name, client=None, **parameters):
    """An estimator for a cluster, and the same for one memory, whose folds are those that the first one makes."""
    kind, own = FITS[name]
    model = getattr(on_dask, kind)(**TEN | own | parameters, client=client)
    local = model.to_local()
    if model.cv is not None:
        local.set_params(cv=same_splits(table()[0], model.cv))
    if own.get("cv") is None and local.linear_part:
        for one in (model, local):  # the linear part would choose its strength on other folds
            one.set_params(linear_part=False)
    return model, local


@pytest.mark.parametrize("name", FITS)
def test_weights_are_those_of_one_memory(client, name):
    X, y, weights = table()
    y = targets(name, y)
    model, local = pair(name)
    model.fit(*(in_partitions(part, SIZES) for part in (X, y, weights)))
    local.fit(X, y, weights)
    # Conjugate gradients that end after few digits magnify rounding, as they do where rows change their order.
    digits = 1e-6 if model.solver == "cg" else 1e-8
    scale = np.abs(local.hidden_weights_).max()
    np.testing.assert_allclose(model.hidden_weights_, local.hidden_weights_, rtol=0, atol=digits * scale)
    np.testing.assert_array_equal(model.output_weights_, local.output_weights_)
    # So is what was seen on the way, and what rows left out tell.
    assert model.n_iter_ == local.n_iter_
    assert model.stop_reason_ == local.stop_reason_
    curve = "objective_curve_" if hasattr(local, "objective_curve_") else "loss_curve_"
    np.testing.assert_allclose(getattr(model, curve), getattr(local, curve), rtol=10 * digits)
    np.testing.assert_allclose(model.firing_fraction_curve_, local.firing_fraction_curve_, rtol=1e-12)
    assert not hasattr(model, "cv_prediction_")
    for attribute in ("cv_score_", "best_validation_score_", "temperature_", "linear_weights_"):
        assert hasattr(model, attribute) == hasattr(local, attribute), attribute
        if hasattr(local, attribute):
            np.testing.assert_allclose(getattr(model, attribute), getattr(local, attribute), rtol=1e-6)
    if hasattr(local, "pairs_changed_curve_"):
        np.testing.assert_array_equal(model.pairs_changed_curve_, local.pairs_changed_curve_)
        np.testing.assert_allclose(model.alpha_, local.alpha_)


def test_weights_do_not_depend_on_the_number_of_workers(client):
    X, y, weights = table()
    data = [in_partitions(part, SIZES) for part in (X, y, weights)]
    two = pair("gauss_newton path", cv=2)[0].fit(*data)
    scale = np.abs(two.hidden_weights_).max()
    try:
        for n_workers in (1, 4):
            client.cluster.scale(n_workers)
            while len(client.scheduler_info(n_workers=-1)["workers"]) != n_workers:
                sleep(0.05)
            found = pair("gauss_newton path", cv=2)[0].fit(*data)
            np.testing.assert_allclose(found.hidden_weights_, two.hidden_weights_, rtol=0, atol=1e-8 * scale)
    finally:
        client.cluster.scale(2)


def test_a_sample_of_rows_does_not_depend_on_partitions(client):
    X, y, _ = table()
    model = pair("gauss_newton path", solver="sample", width=8, max_iter=6, cv=2)[0]
    one = clone(model).fit(in_partitions(X, SIZES), in_partitions(y, SIZES))
    other = clone(model).fit(in_partitions(X, [800, 700]), in_partitions(y, [800, 700]))
    np.testing.assert_allclose(other.hidden_weights_, one.hidden_weights_, rtol=0, atol=1e-6)
    assert one.solver_ == "sample"
    assert one.inner_iterations_curve_.max() > 2


def test_the_data_stay_where_they_are(client, monkeypatch):
    """What comes to the client and goes out from it during a fit is less than a tenth of the data."""
    rng = da.random.default_rng(0)
    X = rng.standard_normal((60_000, 10), chunks=(10_000, 10))
    y = X[:, 0] * X[:, 1] + X[:, 2]
    sizes = {"in": [], "out": []}

    def note(way, function):
        def noted(*arguments, **options):
            value = function(*arguments, **options)
            sizes[way].append(len(pickle.dumps(value)))
            return value

        return noted

    for kind in (Future, ActorFuture):
        monkeypatch.setattr(kind, "result", note("in", kind.result))
    monkeypatch.setattr(client, "gather", note("in", client.gather))
    monkeypatch.setattr(doors, "pickled", note("out", doors.pickled))
    model = on_dask.DaskSketchedGaussNewtonRegressor(**TEN | {"width": 16, "max_iter": 4, "cv": 2, "solver": "cg"})
    assert model.fit(X, y).cv_score_ > 0.2
    for way in sizes.values():
        assert way
        assert sum(way) < 0.1 * 60_000 * 11 * 8
        assert max(way) < 60_000


def test_predictions_are_lazy_and_those_of_the_estimator_in_memory(client):
    X, y, _ = table()
    model = pair("gauss_newton path")[0].fit(in_partitions(X, SIZES), in_partitions(y, SIZES))
    local, lazy = model.to_local(), in_partitions(X, SIZES)
    predicted = model.predict(lazy)
    assert isinstance(predicted, da.Array)
    assert predicted.dtype == np.float64
    np.testing.assert_array_equal(predicted.compute(), local.predict(X))
    for found, expected in zip(model.predict(lazy, return_std=True), local.predict(X, return_std=True), strict=True):
        np.testing.assert_array_equal(found.compute(), expected)
    intervals = model.predict_interval(lazy, coverage=0.8)
    assert intervals.shape == (N, 2)
    np.testing.assert_array_equal(intervals.compute(), local.predict_interval(X, coverage=0.8))
    gradients = model.predict_gradient(lazy)
    assert gradients.shape == (N, D)
    np.testing.assert_array_equal(gradients.compute(), local.predict_gradient(X))
    np.testing.assert_array_equal(model.predict(X), local.predict(X))
    assert model.score(lazy, in_partitions(y, SIZES)) == local.score(X, y)
    inside = (intervals.compute()[:, 0] <= y) & (y <= intervals.compute()[:, 1])
    assert 0.7 < inside.mean() < 0.95


def test_probabilities_and_labels_are_lazy(client):
    X, y, _ = table()
    labels = np.array(["low", "middle", "high"])[np.digitize(y, [-1.0, 1.0])]
    model = pair("gauss_newton labels")[0].fit(in_partitions(X, SIZES), in_partitions(labels, SIZES))
    lazy, local = in_partitions(X, SIZES), model.to_local()
    assert model.classes_.tolist() == ["high", "low", "middle"]
    for method in ("predict", "predict_proba", "decision_function"):
        found = getattr(model, method)(lazy)
        assert isinstance(found, da.Array)
        np.testing.assert_array_equal(found.compute(), getattr(local, method)(X))
    assert model.score(lazy, labels) > 0.8


def test_intervals_are_nearly_those_of_all_residuals_and_never_narrower(client):
    X, y, weights = table()
    model, local = pair("gauss_newton path")
    model.fit(*(in_partitions(part, SIZES) for part in (X, y, weights)))
    local.fit(X, y, weights)
    np.testing.assert_allclose(
        model.predict(X[:9], return_std=True)[1], local.predict(X[:9], return_std=True)[1], rtol=1e-6
    )
    narrow, wide = local.predict_interval(X), model.predict_interval(X)
    assert (wide[:, 1] - wide[:, 0] >= (narrow[:, 1] - narrow[:, 0]) * (1 - 1e-7)).all()
    np.testing.assert_allclose(wide, narrow, atol=0.02)


def test_data_frames_keep_their_names(client):
    X, y, _ = table()
    frame = pd.DataFrame(X, columns=list("abcd"))
    lazy = dd.from_pandas(frame, npartitions=3)
    series = dd.from_pandas(pd.Series(y), npartitions=3)
    model, local = pair("gauss_newton alone")
    model.fit(lazy, series)
    local.fit(frame, y)
    assert model.feature_names_in_.tolist() == list("abcd")
    np.testing.assert_allclose(model.hidden_weights_, local.hidden_weights_, atol=1e-8)
    np.testing.assert_allclose(model.predict(lazy).compute(), local.predict(frame), atol=1e-7)
    with pytest.raises(ValueError, match="feature names"):
        model.predict(lazy.rename(columns={"a": "z"})).compute()


def test_empty_partitions_are_left_out(client):
    X, y, _ = table()
    frame = dd.from_pandas(pd.DataFrame(np.column_stack([X, y])), npartitions=4)
    frame = frame[frame[0] < frame[0].max().compute() - 1]
    holes = dd.concat([frame[frame[0] > 100], frame])
    model, local = pair("gauss_newton alone")
    model.fit(holes[list(range(D))], holes[D])
    kept = X[:, 0] < X[:, 0].max() - 1
    local.fit(X[kept], y[kept])
    np.testing.assert_allclose(model.hidden_weights_, local.hidden_weights_, atol=1e-8)
    with pytest.raises(ValueError, match="holds no row that weighs something"):
        model.fit(frame[frame[0] > 100][list(range(D))], frame[frame[0] > 100][D])


def test_more_workers_than_parts(client):
    X, y, _ = table()
    model, local = pair("gauss_newton alone")
    model.fit(in_partitions(X, [N]), in_partitions(y, [N]))
    np.testing.assert_allclose(model.hidden_weights_, local.fit(X, y).hidden_weights_, atol=1e-8)
    assert len(client.scheduler_info(n_workers=-1)["workers"]) == 2


def test_rows_grow_as_in_one_memory(client, monkeypatch):
    import sksparsenn._estimators.gauss_newton as in_memory
    import sksparsenn._training.growing_rows as growing
    from sksparsenn._estimators import summed_rows

    for module in (in_memory, growing, summed_rows):
        if hasattr(module, "MANY_ROWS"):
            monkeypatch.setattr(module, "MANY_ROWS", 600)
        if hasattr(module, "FIRST_ROWS"):
            monkeypatch.setattr(module, "FIRST_ROWS", 150)
    client.run(_few_keys)
    try:
        X, y, _ = table()
        model, local = pair("gauss_newton path", cv=3, max_iter=16)
        model.fit(in_partitions(X, SIZES), in_partitions(y, SIZES))
        local.fit(X, y)
    finally:
        client.run(_few_keys, None)
    assert local.rows_curve_[0] < 600
    np.testing.assert_array_equal(model.rows_curve_, local.rows_curve_)
    np.testing.assert_allclose(model.hidden_weights_, local.hidden_weights_, atol=1e-7)


def test_rows_of_gradient_descent_grow_as_in_blocks(client, monkeypatch):
    import sksparsenn._training.growing_rows as growing
    from sksparsenn._estimators import summed_rows, summed_training

    monkeypatch.setattr(summed_rows, "MANY_ROWS", 600)
    monkeypatch.setattr(growing, "FIRST_ROWS", 150)
    monkeypatch.setattr(summed_training, "MOST_ROWS_AT_ONCE", 1000)
    client.run(_few_keys)
    try:
        X, y, _ = table()
        model, local = pair("descent", max_iter=30)
        model.fit(in_partitions(X, SIZES), in_partitions(y, SIZES))
        local.set_params(cv=3).fit(X, y)
    finally:
        client.run(_few_keys, None)
    assert local.rows_curve_[0] < 600 < local.rows_curve_[-1]
    np.testing.assert_array_equal(model.rows_curve_, local.rows_curve_)
    np.testing.assert_allclose(model.hidden_weights_, local.hidden_weights_, atol=1e-8)


def test_partitions_of_ordinary_size(client):
    # In one memory, gradient descent finds who fires on more than 2,048 rows by groups of them.
    rng = np.random.default_rng(0)
    X = rng.standard_normal((9000, D))
    y = np.sin(2 * X[:, 0]) + X[:, 1]
    model, local = pair("descent ridge")
    model.fit(da.from_array(X, chunks=(4500, D)), da.from_array(y, chunks=4500))
    np.testing.assert_allclose(model.hidden_weights_, local.fit(X, y).hidden_weights_, atol=1e-8)


def _few_keys(most=601):
    from sksparsenn._estimators.summed_rows import SmallestKeys
    from sksparsenn._training.growing_rows import MANY_ROWS

    SmallestKeys.most = MANY_ROWS + 1 if most is None else most


def test_to_local_and_back(client):
    X, y, _ = table()
    model = on_dask.DaskSketchedGaussNewtonRegressor(**TEN, cv=None, alpha=0.01)
    assert type(model.to_local()).__name__ == "SketchedGaussNewtonRegressor"
    assert not hasattr(model.to_local(), "hidden_weights_")
    assert model.get_params()["client"] is None
    model.set_params(client=client).fit(in_partitions(X, SIZES), in_partitions(y, SIZES))
    local = model.to_local()
    np.testing.assert_array_equal(local.hidden_weights_, model.hidden_weights_)
    assert local.get_params() == {name: value for name, value in model.get_params().items() if name != "client"}
    assert clone(model).client is client
    again = pickle.loads(pickle.dumps(model))
    assert again.client is None
    np.testing.assert_array_equal(again.predict(X), local.predict(X))


def test_bad_input_is_named(client):
    X, y, weights = table()
    model = on_dask.DaskSketchedGaussNewtonRegressor(**TEN)
    bad = X.copy()
    bad[805, 2] = np.nan
    data = in_partitions(X, SIZES), in_partitions(y, SIZES)
    with pytest.raises(ValueError, match="partition 3 of X holds NaN or infinity in its row 4: remove"):
        model.fit(in_partitions(bad, SIZES), data[1])
    with pytest.raises(ValueError, match="partition 1 of sample_weight holds -1: weights have to be"):
        model.fit(*data, in_partitions(np.where(np.arange(N) == 150, -1, weights), SIZES))
    with pytest.raises(ValueError, match="X has 5 partitions, but y has 2: rechunk"):
        model.fit(data[0], in_partitions(y, [700, 800]))
    with pytest.raises(ValueError, match="partition 0 of X holds 100 rows, but that of y 101"):
        model.fit(data[0], in_partitions(y, [101, 699, 1, 399, 300]))
    frame, series = dd.from_pandas(pd.DataFrame(X), npartitions=2), dd.from_pandas(pd.Series(y), npartitions=2)
    with pytest.raises(ValueError, match="partition 0 of X holds 0 rows, but that of y 750"):
        model.fit(frame.map_partitions(lambda part: part[part.index >= 750]), series)
    with pytest.raises(TypeError, match="X is a ndarray, but has to be a Dask array or data frame"):
        model.fit(X, y)
    with pytest.raises(ValueError, match="solver='nystrom' takes rows of a matrix that no part has"):
        clone(model).set_params(solver="nystrom").fit(*data)
    with pytest.raises(ValueError, match="warm_start=True"):
        clone(model).set_params(warm_start=True).fit(*data)
    with pytest.raises(ValueError, match=r"cv=\[.*\] names rows by their numbers"):
        clone(model).set_params(cv=[([0], [1])]).fit(*data)
    with pytest.raises(ValueError, match="solver='sgd' takes steps of few rows"):
        on_dask.DaskSparseShiftedReLURegressor(solver="sgd").fit(*data)
    with pytest.raises(ValueError, match="width"):
        clone(model).set_params(width=0).fit(*data)
    frame = dd.from_pandas(pd.DataFrame(X, columns=["a", "b", "c", 3]), npartitions=2)
    with pytest.raises(TypeError, match="columns named by texts and by others"):
        model.fit(frame, in_partitions(y, [750, 750]))
    with pytest.raises(ValueError, match="X has 1 dimensions, but has to have 2"):
        model.fit(data[1], data[1])
    with pytest.raises(ValueError, match="would have none to train on, or to be stopped by"):
        model.fit(da.ones((N, 2), chunks=500), da.ones(N, chunks=500))
    with pytest.raises(ValueError, match=r"sample_weight holds weights up to .* does not fit into float64"):
        model.fit(*data, da.full(N, 1e306, chunks=tuple([tuple(SIZES)])))
    classifier, labels = (
        on_dask.DaskSparseShiftedReLUClassifier(),
        np.array(["a", "b"], dtype=object)[X[:, 0].astype(int) % 2],
    )
    labels[805] = None
    with pytest.raises(ValueError, match="partition 3 of y holds no label in its row 4"):
        classifier.fit(data[0], in_partitions(labels, SIZES))
    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        classifier.fit(*data)
    assert not hasattr(model, "hidden_weights_")
    assert not hasattr(on_dask.DaskSparseShiftedReLURegressor(), "partial_fit")


def test_parts_are_shared_out_by_threads():
    assert balanced(["a", "a", "a", "a"], {"a": 1, "b": 1}) == ["a", "a", "b", "b"]
    assert balanced(["a", "b", "a", "b"], {"a": 1, "b": 1}) == ["a", "b", "a", "b"]
    assert balanced(["a", "b", "gone", "b"], {"a": 1, "b": 1}) == ["a", "b", "a", "b"]
    assert sorted(balanced(["a"] * 8, {"a": 1, "b": 3})) == ["a"] * 2 + ["b"] * 6
    assert balanced(["gone"], {"a": 1, "b": 1}) == ["a"]
    assert balanced(["a", "a", "b", "b"], {"a": 1, "b": 1, "c": 1}) == ["a", "a", "b", "c"]
    assert balanced(["b", "b", "b"], {"a": 1, "b": 1}) == ["b", "b", "a"]
