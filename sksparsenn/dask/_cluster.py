"""FutureParts: parts of rows that are futures on a Dask cluster, as they are read and lifted before training.

Functions depend on their arguments alone, so that Dask can compute again what a lost worker held.
"""

from collections import Counter
from contextlib import contextmanager
from functools import reduce
from operator import add
from weakref import WeakSet

import numpy as np
from distributed import CancelledError, get_client, wait

from sksparsenn._utils.parts import Column, Parts, spread
from sksparsenn._utils.threads import one_thread_here

# So many sums are added up by one task.
FAN_IN = 8

# Parts for each thread of a worker: enough to give some to a worker that comes later.
PARTS_PER_THREAD = 2


class FutureParts(Parts):
    """Parts whose values are futures; at the end, `close` lets go of everything.

    Parameters
    ----------
    client : distributed.Client
    """

    def __init__(self, client):
        self.client, self.futures, self.homes = client, WeakSet(), []

    def join(self, partitions, is_empty, joined):
        """Return the column of parts made of partitions, delayed values: those on one worker are put together.

        Parameters
        ----------
        partitions : list of Delayed
        is_empty : callable
            Of a partition, which then is left out.
        joined : callable
            Of several partitions, returns a part.
        """
        futures = self.client.compute(partitions)
        self.futures.update(futures)
        wait(futures)
        empty = self.client.gather([self.submit(is_empty, future) for future in futures])
        futures = [future for future, nothing in zip(futures, empty, strict=True) if not nothing]
        if not futures:
            raise ValueError("X holds no row that weighs something: give at least one.")
        places, of_worker, threads = self.client.who_has(futures), {}, self.workers()
        for future in futures:
            of_worker.setdefault(min(places.get(future.key, ()), default=min(threads)), []).append(future)
        groups = []
        for worker, mine in of_worker.items():
            n_parts = min(len(mine), PARTS_PER_THREAD * threads.get(worker, 1))
            for chosen in np.array_split(np.arange(len(mine)), n_parts):
                groups.append((worker, [mine[number] for number in chosen]))
        self.homes = balanced([worker for worker, _ in groups], threads)
        groups = zip(self.homes, groups, strict=True)
        return Column([self.submit(joined, *group, home=home) for home, (_, group) in groups])

    def map(self, function, *arguments):
        homes = zip(self.homes, spread(arguments), strict=True)
        return Column([self.submit(_on_one_thread, function, *values, home=home) for home, values in homes])

    def sum(self, function, *arguments, then=None):
        summands = self.map(function, *arguments).values
        while len(summands) > 1:
            groups = [summands[first : first + FAN_IN] for first in range(0, len(summands), FAN_IN)]
            summands = [self.submit(_total, *group) if len(group) > 1 else group[0] for group in groups]
        return summands[0].result() if then is None else self.submit(then, summands[0]).result()

    def submit(self, function, *arguments, home=None, strictly=False, **options):
        """Return the future of a task, on that worker if it is there; strictly there and nowhere else."""
        placed = {} if home is None else {"workers": [home], "allow_other_workers": not strictly}
        future = self.client.submit(function, *arguments, pure=False, **placed, **options)
        self.futures.add(future)
        return future

    def workers(self):
        """Return the threads of each worker by its address."""
        workers = self.client.scheduler_info(n_workers=-1)["workers"]
        return {address: worker["nthreads"] for address, worker in workers.items()}

    def cancel(self, future):
        """Cancel a task of this fit, whose end then is no sign that others cancelled the fit."""
        self.futures.discard(future)
        self.client.cancel([future])

    def require_alive(self):
        """Raise CancelledError if what this fit has on the cluster was cancelled."""
        if any(future.status == "cancelled" for future in list(self.futures)):
            raise CancelledError("a task of the fit")

    def close(self):
        """Let go of whatever is left: what no one waits for any more, the cluster forgets."""
        for future in list(self.futures):
            future.release()
        self.futures.clear()


def balanced(homes, threads):
    """Return a worker for each part, as many to each as its threads are due: its own where that is there and has room.

    Parameters
    ----------
    homes : list of str
        The worker of each part.
    threads : dict
        The threads of each worker.
    """
    held = Counter(home for home in homes if home in threads)
    exact = {worker: len(homes) * number / sum(threads.values()) for worker, number in threads.items()}
    due = {worker: int(share) for worker, share in exact.items()}
    # What is left over goes to those that would else be short of most, or hold more already.
    by_need = sorted(threads, key=lambda worker: (due[worker] - exact[worker], due[worker] - held[worker], worker))
    for worker in by_need[: len(homes) - sum(due.values())]:
        due[worker] += 1
    moved, homeless = list(homes), []
    for part, home in enumerate(homes):
        if due.get(home, 0) > 0:
            due[home] -= 1
        else:
            homeless.append(part)
    places = (worker for worker in sorted(due) for _ in range(due[worker]))
    for part, worker in zip(homeless, places, strict=True):
        moved[part] = worker
    return moved


@contextmanager
def parts_on(client):
    """Give the parts of the client, or of the current one; at the end nothing of them is left on the cluster."""
    if client is None:
        try:
            client = get_client()
        except ValueError as error:
            raise ValueError(
                "there is no Dask client: make one, as in `client = dask.distributed.Client()`, or pass client=."
            ) from error
    parts = FutureParts(client)
    try:
        yield parts
    except CancelledError as error:
        raise RuntimeError("training ended because its tasks were cancelled on the cluster.") from error
    finally:
        parts.close()


def _on_one_thread(function, *arguments):
    """Return the value of a function, computed by one thread: others compute other parts."""
    one_thread_here()
    with np.errstate(all="ignore"):
        return function(*arguments)


def _total(*summands):
    return reduce(add, summands)
