"""Doors: the parts of the rows on all workers, as training sees them; they survive the loss of workers.

A column is no more than a recipe.  What a worker that is lost has computed is computed again where its parts come to
be: their rows by Dask, from the collection, and all else by the recipes.
"""

from itertools import count
from threading import RLock
from time import monotonic, sleep
from uuid import uuid4
from weakref import finalize

from distributed import CancelledError, TimeoutError

from sksparsenn._utils.parts import Parts
from sksparsenn.dask._cluster import balanced
from sksparsenn.dask._door import Address, Door, Incomplete, Lost, Raised, Recipe, Ref, Request, bring, pickled

# Seconds between two looks at which workers there are.
LOOK = 1.0

# So often in a row doors may be lost before one request is answered.
MOST_LOSSES = 20

# Seconds after which a worker that is there, but did not answer, is asked again.
FORGIVEN_AFTER = 10.0


class LostWorker(Exception):
    """A worker does not answer; its address is the only argument."""


class PlannedColumn:
    """A column of which only the recipe is known here, and those that it depends on."""

    def __init__(self, recipe, arguments):
        self.recipe = recipe
        self.columns = [argument for argument in arguments if isinstance(argument, PlannedColumn)]


class Doors(Parts):
    """Parts that are held by an actor on each worker.

    Parameters
    ----------
    cluster : FutureParts
        On which the rows of the parts were made.
    futures : list of Future
        The rows of each part, which Dask computes again if they are lost.
    """

    wait_for_others = True

    def __init__(self, cluster, futures):
        self.cluster, self.futures = cluster, futures
        self.fit, self.tokens, self.lock = uuid4().hex, count(1), RLock()
        self.rows = PlannedColumn(Recipe(0, None, ()), ())
        self.announced, self.forgotten = {0}, []
        self.homes, self.doors, self.actors = list(cluster.homes), {}, {}
        self.workers, self.lost, self.looked = {}, {}, -LOOK
        self.closed = False

    def close(self):
        """Let go of the doors, and so of all that they hold."""
        self.closed = True
        self._let_go(list(self.actors))

    def _require_open(self):
        """Raise CancelledError once the fit has ended, also for networks that other threads still train."""
        self.cluster.require_alive()
        if self.closed:
            raise CancelledError("the fit")

    # -- what is computed ---------------------------------------------------------------------------------

    def map(self, function, *arguments):
        token = next(self.tokens)
        planned = PlannedColumn(Recipe(token, function, _referring(arguments)), arguments)
        finalize(planned, self.forgotten.append, token).atexit = False
        return planned

    def sum(self, function, *arguments, then=None):
        with self.lock:  # a door answers one request at a time in any case, and parts do not move under a request
            return self._sum(function, arguments, then)

    def _sum(self, function, arguments, then):
        """Return what `sum` returns, as often as it takes."""
        for _ in range(MOST_LOSSES):
            self._require_open()
            self._settle()
            forgotten, recipes = self.forgotten[:], self._recipes_for(arguments)
            request = Request(recipes, forgotten, function, _referring(arguments), then, len(self.futures))
            answer = self._asked(request)
            if isinstance(answer, Raised):
                raise answer.error
            if isinstance(answer, Lost):
                self.lost[answer.worker] = monotonic()
                continue
            if isinstance(answer, Incomplete):  # make all doors anew
                self._let_go(list(self.actors))
                continue
            self.announced.update(recipe.token for recipe in recipes)
            self.announced.difference_update(forgotten)
            del self.forgotten[: len(forgotten)]  # others may have come, behind these
            return answer
        raise RuntimeError(f"workers were lost {MOST_LOSSES} times in a row: see their logs.")

    def _recipes_for(self, arguments):
        """Return the recipes of these columns, and of those that they depend on, that some door may not know."""
        found, left = {}, [argument for argument in arguments if isinstance(argument, PlannedColumn)]
        while left:
            column = left.pop()
            token = column.recipe.token
            if token not in found:
                found[token] = column.recipe
                left.extend(column.columns)
        return [recipe for token, recipe in sorted(found.items()) if token not in self.announced]

    def _asked(self, request):
        """Return the answer of the door at the root of the tree, which asks the others; `Lost` if it does not come."""
        doors = [Address(worker, actor.key) for worker, actor in sorted(self.doors.items())]
        workers = [door.worker for door in doors]
        try:
            return self._answer(workers, "serve", pickled(request), doors, 0)
        except LostWorker as error:
            return Lost(*error.args)

    def _answer(self, workers, method, *arguments):
        """Return what a method of the first of these workers' doors returns; LostWorker if one of them has gone."""
        try:
            promise = getattr(self.doors[workers[0]], method)(*arguments)
            while True:
                try:
                    return promise.result(timeout=LOOK)
                except TimeoutError:
                    self._require_open()
                    self._look()
                    gone = [worker for worker in workers if worker not in self.workers]
                    if gone:
                        raise LostWorker(gone[0]) from None
        except (OSError, RuntimeError):
            self._require_open()
            raise LostWorker(workers[0]) from None

    def _let_go(self, workers):
        """Let go of the doors on these workers, and of what they hold, also where they do not answer."""
        for worker in workers:
            self.doors.pop(worker, None)
            self.cluster.cancel(self.actors.pop(worker))

    # -- where the parts are ------------------------------------------------------------------------------

    def _look(self):
        """See which workers there are."""
        self.workers, self.looked = self.cluster.workers(), monotonic()
        # Who does not answer is left alone for a while; who comes back is another one.
        recent = {worker: time for worker, time in self.lost.items() if monotonic() < time + FORGIVEN_AFTER}
        self.lost = {worker: time for worker, time in recent.items() if worker in self.workers}

    def _settle(self):
        """Bring parts to workers that have come, and those of workers that have gone to others."""
        losses = 0
        while self.lost.keys() & self.doors.keys() or not self.doors or monotonic() > self.looked + LOOK:
            self._require_open()
            self._look()
            threads = {worker: number for worker, number in self.workers.items() if worker not in self.lost}
            if not threads:  # until a worker comes, or is to be asked again
                sleep(LOOK / 10)
                self.looked = -LOOK
                if self.workers:
                    self.lost.clear()
                    self._let_go(list(self.actors))
            elif threads.keys() != self.doors.keys():
                try:
                    self._settle_on(threads)
                except LostWorker as error:
                    self.lost |= dict.fromkeys(error.args, monotonic())
                    self.looked, losses = -LOOK, losses + 1
                    if losses > MOST_LOSSES:
                        raise RuntimeError(f"workers were lost {losses} times in a row: see their logs.") from None

    def _settle_on(self, threads):
        """Have a door on each of these workers that has parts, and let it hold them."""
        self.announced = {0}
        self.homes = balanced(self.homes, threads)
        self._let_go([worker for worker in self.actors if worker not in threads])
        for worker in sorted(threads.keys() - self.doors.keys()):
            self.actors[worker] = self.cluster.submit(Door, self.fit, home=worker, strictly=True, actor=True)
            self.doors[worker] = self._result_on(worker, self.actors[worker])
        for worker in self.doors:
            numbers = [number for number, home in enumerate(self.homes) if home == worker]
            missing = self._answer([worker], "hold", numbers)
            brought = [
                self.cluster.submit(bring, self.fit, part, self.futures[part], home=worker, strictly=True)
                for part in missing
            ]
            for task in brought:
                if self._result_on(worker, task) != worker:
                    raise LostWorker(worker)

    def _result_on(self, worker, future):
        """Return the result of a task on a worker, or raise LostWorker if that has gone."""
        while True:
            try:
                return future.result(timeout=LOOK)
            except TimeoutError:
                self._require_open()
                self._look()
                if worker not in self.workers:
                    raise LostWorker(worker) from None


def _referring(arguments):
    """Return arguments in which references stand for columns."""
    return tuple(
        Ref(argument.recipe.token) if isinstance(argument, PlannedColumn) else argument for argument in arguments
    )
