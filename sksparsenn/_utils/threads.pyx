"""How many threads a parallel loop takes: by its work, and by what the user and the machine allow.

Results never depend on this number.  It follows OMP_NUM_THREADS and threadpoolctl, the CPU quota of a
container, and is one in a process that was forked, where the threads of the parent do not exist.
"""
import os

from joblib import cpu_count

cdef extern from *:
    """
    #ifdef _OPENMP
    #include <omp.h>
    #define SKSPARSENN_OPENMP 1
    #else
    #define SKSPARSENN_OPENMP 0
    #define omp_get_max_threads() 1
    #define omp_set_num_threads(number)
    #endif
    """
    bint SKSPARSENN_OPENMP
    int omp_get_max_threads() nogil
    void omp_set_num_threads(int number) nogil

# Operations that are worth a thread, some tenths of a millisecond: a thread that has to be woken, or waits for a core
# that is busy, costs more than it saves where there is less to do.
cdef double worth_a_thread = 1 << 20
# Many threads may share work that is worth fewer, down to one in so many.
cdef double FEW_SHARE = 8
cdef int most_threads = 0  # not looked up yet
cdef bint forked = False


cdef int look_up_limit() noexcept with gil:
    # As scikit-learn counts: the cores of this process, unless the user names a number of threads.
    global most_threads
    most_threads = 1 << 16 if os.environ.get("OMP_NUM_THREADS") else max(1, cpu_count(only_physical_cores=True))
    return most_threads


cdef int threads_for(double work) noexcept nogil:
    # All that are allowed, or one: libgomp ends threads and starts others where the number changes from loop to loop.
    cdef int allowed, limit = most_threads
    if forked or work < 2 * worth_a_thread:
        return 1
    if limit == 0:
        limit = look_up_limit()
    allowed = max(1, min(omp_get_max_threads(), limit))
    return allowed if work >= worth_a_thread * allowed / FEW_SHARE else 1


def built_with_openmp():
    """Return whether parallel loops can use several threads."""
    return bool(SKSPARSENN_OPENMP)


def threads_of(double work):
    """Return the number of threads that a loop of so many operations takes here and now."""
    return threads_for(work)


def one_thread_here():
    """Let the parallel loops that the calling Python thread runs take one thread; others are not affected."""
    omp_set_num_threads(1)


def operations_worth_a_thread(work=None):
    """Return the operations for which a loop takes one more thread; with `work`, change them, for tests."""
    global worth_a_thread
    before = worth_a_thread
    if work is not None:
        worth_a_thread = work
    return before


def _after_fork_in_child():
    # The pool of libgomp outlives the fork, its threads do not: a parallel loop would wait for them forever.
    global forked
    forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
