"""Settings of all tests: random examples are the same in every run, and slow machines are no failure.

With HYPOTHESIS_PROFILE=fresh, or --hypothesis-profile=fresh, examples are new in every run.
"""

import gc
import os
import signal

import pytest
from hypothesis import HealthCheck, settings

# Read when OpenMP is loaded: threads without work sleep.  Spinning, as is the default, makes thousands of tiny
# parallel loops several times slower on a machine that runs anything else.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# Read when OpenMP is loaded: two threads, also on a machine with one core, where tests of threads would see none.
os.environ.setdefault("OMP_NUM_THREADS", "2")

# Read when SciPy is loaded: without it scikit-learn skips its check of array API inputs.
os.environ.setdefault("SCIPY_ARRAY_API", "1")

common = {"deadline": None, "database": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("deterministic", derandomize=True, **common)
settings.register_profile("fresh", derandomize=False, print_blob=True, **common)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "deterministic"))


@pytest.fixture(autouse=True)
def interruptible():
    """Ctrl-C raises KeyboardInterrupt, also where the tests were started in the background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def small_loops_take_threads():
    """A loop takes a thread for every operation, as many as are allowed."""
    from threadpoolctl import threadpool_limits

    from sksparsenn._utils import threads as _threads

    before = _threads.operations_worth_a_thread(1.0)
    with threadpool_limits(2):
        assert _threads.threads_of(10) == (2 if _threads.built_with_openmp() else 1)
    yield
    _threads.operations_worth_a_thread(before)


@pytest.fixture
def interruption_reaches_the_fit():
    """No collection of garbage, at which Hypothesis runs a function of its own: there an interruption is ignored."""
    gc.disable()
    yield
    gc.enable()
