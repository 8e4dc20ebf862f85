"""One thread for BLAS while an estimator computes: the rounding of BLAS depends on the number of its threads."""

import os
import threading
from contextlib import contextmanager
from functools import cache

from threadpoolctl import ThreadpoolController  # which scikit-learn requires


class _Limit:
    """The limit of one thread, in force while at least one caller, in any Python thread, needs it.

    The number of threads of BLAS belongs to the process: callers that each put back what they found would
    undo each other's limits, and leave the last one in force for good.
    """

    def __init__(self):
        self.lock, self.n_callers, self.limiter = threading.Lock(), 0, None

    def acquire(self):
        with self.lock:
            if self.n_callers == 0:
                self.limiter = _thread_pools().limit(limits=1, user_api="blas")
            self.n_callers += 1

    def release(self):
        with self.lock:
            self.n_callers -= 1
            if self.n_callers == 0:
                self.limiter.restore_original_limits()
                self.limiter = None


@cache
def _thread_pools():
    """Return the thread pools of this process; to look for them takes longer than a small fit."""
    return ThreadpoolController()


_limit = _Limit()


@contextmanager
def single_blas_thread():
    """Return a context, or decorator, in which BLAS uses one thread; afterwards its threads are as before."""
    _limit.acquire()
    try:
        yield
    finally:
        _limit.release()


def _after_fork_in_child():
    # Another thread of the parent may have held the lock.
    _limit.lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
