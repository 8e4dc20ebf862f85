"""Door: the actor on a worker that holds parts of the rows, computes with them, and adds up what its peers compute.

A request names a function and its arguments; values of columns among them are computed by their recipes when they are
first needed, and kept until the column is forgotten.  A door passes a request on to the doors below it in a tree, and
adds their sums to its own: weights go out and sums come back in as many hops as the tree has levels.
"""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from operator import add
from traceback import format_tb
from typing import NamedTuple
from weakref import WeakValueDictionary

import numpy as np
from distributed import get_worker
from distributed.protocol import to_serialize
from distributed.protocol.pickle import dumps, loads

from sksparsenn._utils.threads import one_thread_here

# Doors below a door.
FAN_IN = 4

# The doors of this process, by fit and worker: tasks bring parts to them.
DOORS = WeakValueDictionary()


class Ref(NamedTuple):
    """Stands for a column among the arguments of a function."""

    token: int


class Recipe(NamedTuple):
    """How to compute the values of a column."""

    token: int
    function: object
    arguments: tuple
    """In which a `Ref` stands for the value of a column."""


class Request(NamedTuple):
    """What the doors are asked for: the sum of function(*arguments) over all parts."""

    recipes: list
    """Of columns that some door may not know."""
    forgotten: list
    """Tokens of columns that nobody will ask for any more."""
    function: object
    arguments: tuple
    then: object
    """What to make of the sum, where the tree has its root; None for the sum itself."""
    n_parts: int
    """That the sum has to be of."""


class Address(NamedTuple):
    """Where a door is: the address of the worker, and the key of the actor there."""

    worker: str
    key: str


class Lost(NamedTuple):
    """Says that the door on a worker does not answer."""

    worker: str


class Incomplete(NamedTuple):
    """Says that some part is with no door."""


class Total(NamedTuple):
    """A sum, and of how many parts it is."""

    n_parts: int
    value: object

    def __add__(self, other):
        return Total(self.n_parts + other.n_parts, self.value + other.value)


class Raised(NamedTuple):
    """An error that a function raised."""

    error: Exception


class Door:
    """Holds parts on a worker and answers requests.

    Parameters
    ----------
    fit : str
        Names the fit.
    """

    def __init__(self, fit):
        worker = get_worker()
        self.parts, self.recipes, self.values = {}, {}, {}
        self.lock = threading.Lock()
        self.threads = ThreadPoolExecutor(worker.state.nthreads, "sksparsenn", one_thread_here)
        DOORS[fit, worker.address] = self

    def hold(self, numbers):
        """Keep the parts of these numbers alone; return which are missing."""
        with self.lock:
            for number in [number for number in self.parts if number not in numbers]:
                del self.parts[number]
            self.values = {place: value for place, value in self.values.items() if place[0] in numbers}
            return [number for number in numbers if number not in self.parts]

    def serve(self, message, doors, place):
        """Return the sum over the parts of this door and of those below it in the tree, or what went wrong.

        Parameters
        ----------
        message : bytes
            A pickled `Request`.
        doors : list of Address
            The doors below door k are FAN_IN k + 1, ..., FAN_IN (k + 1).
        place : int
            Of this door.
        """
        try:
            first = FAN_IN * place + 1
            below = range(first, min(first + FAN_IN, len(doors)))
            answers = [(doors[child].worker, _asked(doors[child], message, doors, child)) for child in below]
            request = loads(message)
            sums = [self._sum_or_error(request), *(_answer_of(*answer) for answer in answers)]
            for kind in (Lost, Raised):  # an error may be the work of a door that was lost
                wrong = [value for value in sums if isinstance(value, kind)]
                if wrong:
                    return wrong[0]
            sums = [value for value in sums if value is not None]
            total = reduce(add, sums) if sums else None
            return total if place else _made_of(request, total)
        except Exception as error:
            return Raised(_without_frames(error))

    def _sum_or_error(self, request):
        """Return the sum over the parts of this door, or the error: those below are to be waited for in any case."""
        try:
            return self._sum(request)
        except Exception as error:
            return Raised(_without_frames(error))

    def _sum(self, request):
        """Return the `Total` of the parts of this door; None if it has none."""
        with self.lock:
            for recipe in request.recipes:
                self.recipes[recipe.token] = recipe
            self._forget(request.forgotten)
            numbers = sorted(self.parts)
            if not numbers:
                return None
            values = self.threads.map(lambda number: self._computed(number, request), numbers)
            return Total(len(numbers), reduce(add, values))

    def _forget(self, tokens):
        for token in tokens:
            self.recipes.pop(token, None)
            for number in self.parts:
                self.values.pop((number, token), None)

    def _computed(self, number, recipe):
        """Return the value of a function for a part."""
        with np.errstate(all="ignore"):
            arguments = [self._value(number, argument) for argument in recipe.arguments]
            return recipe.function(*arguments)

    def _value(self, number, argument):
        """Return an argument for a part: of a column its value, which is computed if it is not there."""
        if not isinstance(argument, Ref):
            return argument
        if argument.token == 0:
            return self.parts[number]
        place = number, argument.token
        if place not in self.values:
            self.values[place] = self._computed(number, self.recipes[argument.token])
        return self.values[place]


def _without_frames(error):
    """Return an error with its traceback as a note: frames would keep the door in memory, and stay on the worker."""
    error.add_note(f"on worker {get_worker().address}:\n" + "".join(format_tb(error.__traceback__)))
    return error.with_traceback(None)


def _answer_of(worker, promise):
    """Return the answer of a door below, `Lost` if it did not come."""
    try:
        return promise.result()
    except OSError:
        return Lost(worker)


def _made_of(request, total):
    """Return at the root what is asked for, from the `Total` of all doors."""
    if total is None or total.n_parts != request.n_parts:
        return Incomplete()
    return total.value if request.then is None else request.then(total.value)


def bring(fit, number, part):
    """Bring a part to the door on the worker that this task runs on; return the worker's address."""
    address = get_worker().address
    door = DOORS.get((fit, address))
    if door is not None:
        with door.lock:
            door.parts[number] = part
    return address


def _asked(address, message, doors, place):
    """Ask another door; return the promise of its answer, whose result raises OSError if that door is lost."""
    worker = get_worker()

    async def ask():
        answer = await worker.rpc(address.worker).actor_execute(
            function="serve", actor=address.key, args=[to_serialize(part) for part in (message, doors, place)],
            kwargs={},
        )  # fmt: skip
        if answer["status"] != "OK":  # it is another worker at that address, or the actor has gone
            raise OSError(str(answer["exception"]))
        return answer["result"]

    return asyncio.run_coroutine_threadsafe(ask(), worker.loop.asyncio_loop)


def pickled(request):
    """Return a request as bytes, which doors pass on as they are."""
    return dumps(request)
