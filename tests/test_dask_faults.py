"""What happens on a Dask cluster while a fit runs: workers that die or come, interruptions, cancelled tasks."""

import os
import signal
import threading

import dask.array as da
import numpy as np
import pytest
from distributed import Client, Future, LocalCluster

import sksparsenn._training.trust_region as trust_region
from sksparsenn.dask import DaskSketchedGaussNewtonRegressor
from sksparsenn.dask import _doors as doors

N, D = 1200, 4
PARAMETERS = {"width": 32, "solver": "cholesky", "alpha": 1e-3, "cv": None, "early_stopping": False, "random_state": 0}


@pytest.fixture(scope="module")
def cluster():
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster:
        yield cluster


@pytest.fixture(scope="module")
def client(cluster):
    with Client(cluster) as client:
        yield client


@pytest.fixture(autouse=True)
def looks_often(monkeypatch):
    monkeypatch.setattr(doors, "LOOK", 0.1)


def data():
    """A table in eight partitions."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N, D))
    y = np.sin(2 * X[:, 0]) * X[:, 1] + X[:, 2] + 0.2 * rng.standard_normal(N)
    return da.from_array(X, (N // 8, D)), da.from_array(y, N // 8)


def model(**parameters):
    return DaskSketchedGaussNewtonRegressor(**PARAMETERS | {"max_iter": 12, "tol": 0.0} | parameters)


@pytest.fixture(scope="module")
def expected(client):
    return model().fit(*data()).hidden_weights_


def after_iterations(monkeypatch, number, act):
    """Call a function once, between two iterations of the next fit."""
    record, count = trust_region.record, iter(range(10**6))

    def recorded(*arguments):
        record(*arguments)
        if next(count) == number:
            act()

    monkeypatch.setattr(trust_region, "record", recorded)


def left_on(client):
    """The tasks that the cluster knows, and the values and actors that workers hold, once it is quiet."""

    def tasks(dask_scheduler):
        return list(dask_scheduler.tasks)

    def held(dask_worker):
        return len(dask_worker.data) + len(dask_worker.state.actors)

    def doors_held():
        from sksparsenn.dask._door import DOORS

        return len(DOORS)

    for _ in range(100):
        left = client.run_on_scheduler(tasks), sum(client.run(held).values()), sum(client.run(doors_held).values())
        if left == ([], 0, 0):
            break
        threading.Event().wait(0.05)
    return left


NOTHING = ([], 0, 0)


def test_a_killed_worker_costs_its_own_work_only(client, expected, monkeypatch):
    before, after, killed = {}, {}, []

    def kill():
        before.update(values_held(client))
        address, process = min(client.run(os.getpid).items())
        killed.append(address)
        os.kill(process, signal.SIGKILL)

    after_iterations(monkeypatch, 4, kill)
    after_iterations(monkeypatch, 9, lambda: after.update(values_held(client)))
    found = model().fit(*data())
    # The other worker still has what it had: rows, searches, no matter what came to it beside them.
    (survivor,) = before.keys() - set(killed)
    kept = before[survivor].keys() & after[survivor].keys()
    assert kept
    assert all(before[survivor][place] == after[survivor][place] for place in kept)
    # Of the parts that it had then and has now, nothing is computed anew.
    numbers = {number for number, _ in before[survivor]} & {number for number, _ in after[survivor]}
    assert {number for number, _ in kept} == numbers
    np.testing.assert_allclose(found.hidden_weights_, expected, rtol=0, atol=1e-8 * np.abs(expected).max())
    assert found.n_iter_ == 12
    assert left_on(client) == NOTHING
    client.wait_for_workers(2)


def values_held(client):
    """Which values each worker holds, by part and column, and which objects these are."""

    def held(dask_worker):
        from sksparsenn.dask._door import DOORS

        doors = [door for (_, address), door in DOORS.items() if address == dask_worker.address]
        return {place: id(value) for door in doors for place, value in door.values.items()}

    return client.run(held)


def parts_lifted(client):
    """How many parts each worker holds."""

    def held(dask_worker):
        from sksparsenn.dask._door import DOORS

        return [len(door.parts) for (_, address), door in DOORS.items() if address == dask_worker.address]

    return client.run(held)


def test_a_worker_that_comes_is_used(cluster, client, expected, monkeypatch):
    seen = []

    def grow():
        cluster.scale(3)
        client.wait_for_workers(3)

    def look():
        seen.append(parts_lifted(client))

    after_iterations(monkeypatch, 2, grow)
    after_iterations(monkeypatch, 9, look)
    found = model().fit(*data())
    np.testing.assert_allclose(found.hidden_weights_, expected, rtol=0, atol=1e-8 * np.abs(expected).max())
    assert len(seen[0]) == 3
    assert all(parts and parts[0] >= 1 for parts in seen[0].values()), seen
    assert left_on(client) == NOTHING
    cluster.scale(2)


def test_sums_are_whole_while_workers_come_and_networks_are_trained_side_by_side(cluster, client, monkeypatch):
    X, y = data()
    parameters = {"cv": 4, "alpha": "auto", "early_stopping": "auto", "max_iter": 8}
    expected = model(**parameters).fit(X, y).hidden_weights_

    def grow():
        cluster.scale(4)

    after_iterations(monkeypatch, 6, grow)
    found = model(**parameters).fit(X, y).hidden_weights_
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8 * np.abs(expected).max())
    assert left_on(client) == NOTHING
    cluster.scale(2)


def test_a_sum_is_of_all_parts_or_asked_for_again(client, expected, monkeypatch):
    def lose_a_part():
        from sksparsenn.dask._door import DOORS

        for door in list(DOORS.values()):
            door.parts.popitem()

    after_iterations(monkeypatch, 5, lambda: client.run(lose_a_part))
    found = model().fit(*data()).hidden_weights_
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8 * np.abs(expected).max())


def test_a_worker_that_does_not_answer_once_is_asked_again(client, expected, monkeypatch):
    monkeypatch.setattr(doors, "FORGIVEN_AFTER", 0.2)
    answered, calls, silent, seen = doors.Doors._answer, iter(range(10**6)), {20}, []

    def answer(self, workers, *arguments):
        if next(calls) in silent:
            raise doors.LostWorker(workers[0])
        return answered(self, workers, *arguments)

    def look():
        threading.Event().wait(0.5)
        parts_lifted(client)

    monkeypatch.setattr(doors.Doors, "_answer", answer)
    after_iterations(monkeypatch, 8, look)
    after_iterations(monkeypatch, 10, lambda: seen.append(sorted(parts_lifted(client).values())))
    found = model().fit(*data()).hidden_weights_
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8 * np.abs(expected).max())
    assert seen == [[[2], [2]]]
    assert left_on(client) == NOTHING
    # Nor is anything lost if for a moment no worker answers.
    silent |= set(range(100, 104))
    found = model(max_iter=24).fit(*data()).hidden_weights_
    assert next(calls) > 104
    assert np.isfinite(found).all()
    assert left_on(client) == NOTHING


@pytest.mark.parametrize("cv", [None, 3])
def test_an_interrupted_fit_leaves_nothing(client, monkeypatch, cv):
    """Nor does one of several networks, of which each is trained by a thread of its own."""
    after_iterations(monkeypatch, 3, lambda: os.kill(os.getpid(), signal.SIGINT))
    interrupted = model(max_iter=10**6, cv=cv)
    with pytest.raises(KeyboardInterrupt):
        interrupted.fit(*data())
    assert not hasattr(interrupted, "hidden_weights_")
    for _ in range(100):
        training = [thread for thread in threading.enumerate() if thread.name.startswith("sksparsenn")]
        if not training:
            break
        threading.Event().wait(0.05)
    assert not training
    assert left_on(client) == NOTHING
    threading.Event().wait(0.3)  # nothing comes back either
    assert left_on(client) == NOTHING


def test_a_cancelled_fit_leaves_nothing(client, monkeypatch):
    after_iterations(monkeypatch, 3, lambda: client.cancel([Future(key, client) for key in list(client.futures)]))
    cancelled = model(max_iter=10**6)
    with pytest.raises(RuntimeError, match="its tasks were cancelled on the cluster"):
        cancelled.fit(*data())
    assert not hasattr(cancelled, "hidden_weights_")
    assert left_on(client) == NOTHING


def test_an_error_on_a_worker_is_raised_here_and_leaves_nothing(client, monkeypatch):
    X, y = data()
    with pytest.raises(ValueError, match="row 3"):
        model().fit(da.where(da.arange(N, chunks=N // 8)[:, None] == 3, np.nan, X), y)
    client.run(_linearise_as, "no memory for a row")
    try:
        with pytest.raises(MemoryError, match="no memory for a row"):
            model().fit(X, y)
    finally:
        client.run(_linearise_as, None)
    assert left_on(client) == NOTHING


def _linearise_as(message):
    """On a worker, let problems raise an error where they are linearised, or let them be as they were."""
    from sksparsenn._training.problem import Problem

    def linearise(*arguments):
        raise MemoryError(message)

    if message is None:
        Problem.linearise = Problem.linearise_before
    else:
        Problem.linearise_before, Problem.linearise = Problem.linearise, linearise


def test_a_fit_with_adaptive_workers_ends():
    with (
        LocalCluster(n_workers=0, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        cluster.adapt(minimum=0, maximum=2, interval="100ms", wait_count=2)
        found = model(client=client, max_iter=6).fit(*data())
        assert found.n_iter_ == 6


def test_without_a_client_it_says_so(monkeypatch):
    def no_client():
        raise ValueError("No global client found and no address provided")

    monkeypatch.setattr("sksparsenn.dask._cluster.get_client", no_client)
    with pytest.raises(ValueError, match="there is no Dask client: make one"):
        model().fit(*data())
