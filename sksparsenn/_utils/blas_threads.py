"""One thread for BLAS while an estimator computes: the rounding of BLAS depends on the number of its threads."""

import os
import threading
from collections import Counter
from contextlib import contextmanager
from functools import cache

from threadpoolctl import ThreadpoolController  # which scikit-learn requires


class _Limit:
    """The limit of one thread, in force while at least one caller, in any Python thread, needs it.

    Most BLAS libraries have one pool of threads for the process: callers that each put back what they
    found would undo each other's limits, and the last one would never be lifted.
    """

    def __init__(self):
        self.lock, self.callers, self.before = threading.Lock(), Counter(), []

    def acquire(self):
        with self.lock:
            found = [(pool, pool.num_threads) for pool in _shared_pools()]
            if not self.callers:
                self.before = found
            _set_threads((pool, 1) for pool, number in found if number != 1)
            self.callers[threading.get_ident()] += 1

    def release(self):
        with self.lock:
            self._leave(threading.get_ident())

    def _leave(self, caller):
        self.callers[caller] -= 1
        if not self.callers[caller]:
            del self.callers[caller]
        if not self.callers:
            _set_threads(self.before)

    def after_fork_in_child(self):
        """Keep the limit only as far as the thread that forked needs it: the other threads do not exist here."""
        self.lock = threading.Lock()  # another one may have held it
        mine = threading.get_ident()
        for caller in [caller for caller in self.callers if caller != mine]:
            self.callers[caller] = 1
            self._leave(caller)


@cache
def _pools():
    """Return the thread pools of BLAS in this process; to look for them takes longer than a small fit."""
    return ThreadpoolController().select(user_api="blas").lib_controllers


def _shared_pools():
    return [pool for pool in _pools() if not _is_of_one_thread(pool)]


def _is_of_one_thread(pool):
    """Return whether each Python thread sets limits of its own, as with OpenBLAS over OpenMP."""
    return getattr(pool, "threading_layer", None) == "openmp"


def _set_threads(numbers):
    for pool, number in numbers:
        # From threadpoolctl 3.8 on, only the Python thread that first sets a limit may set others: calls of all others
        # would silently do nothing.
        clear = getattr(pool, "clear_controlling_thread", None)
        if clear is not None:
            clear(force=True)
        pool.set_num_threads(number)


_limit = _Limit()


@contextmanager
def single_blas_thread():
    """Return a context, or decorator, in which BLAS uses one thread; afterwards its threads are as before."""
    own = [(pool, pool.num_threads) for pool in _pools() if _is_of_one_thread(pool)]
    _limit.acquire()
    try:
        _set_threads((pool, 1) for pool, _ in own)
        yield
    finally:
        _set_threads(own)
        _limit.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_limit.after_fork_in_child)
