"""Threads: the same bits for any number of them, fits beside each other, forks, and how many a loop takes.

Whatever a fit needs of the thread pools of OpenMP and BLAS is its own business: it leaves their settings as they were.
"""

import math
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse
from single_networks import (
    SketchedGaussNewtonClassifier,
    SketchedGaussNewtonRegressor,
    SparseShiftedReLUClassifier,
    SparseShiftedReLURegressor,
)
from sklearn.base import clone, is_classifier
from threadpoolctl import threadpool_info, threadpool_limits

import sksparsenn
from sksparsenn._search.searches import SEARCHES
from sksparsenn._training.problem import Problem
from sksparsenn._utils import threads as _threads

MODELS = {
    "regressor": SparseShiftedReLURegressor(64, max_iter=4, random_state=0),
    "classifier": SparseShiftedReLUClassifier(64, max_iter=4, random_state=0),
    "gauss_newton regressor": SketchedGaussNewtonRegressor(16, max_iter=3, random_state=0),
    "gauss_newton classifier": SketchedGaussNewtonClassifier(16, max_iter=3, random_state=0),
}
# BLAS shares products of vectors out to its threads from about 10,000 entries on.
FEW_ROWS, MANY_ROWS = 300, 12_000
MUCH_WORK = 1e12


def table(model, n, seed=0):
    X = np.random.default_rng(seed).standard_normal((n, 4))
    y = np.sin(X[:, 0]) + X[:, 1] ** 2
    return X, np.digitize(y, [0.5, 1.5]) if is_classifier(model) else y


def results(model, X):
    """All fitted state and all that is predicted, as bytes: a last bit or a sign of zero makes a difference."""
    names = [name for name in ("predict", "predict_proba", "decision_function") if hasattr(model, name)]
    found = {name: getattr(model, name)(X) for name in names}
    found |= {name: value for name, value in vars(model).items() if isinstance(value, np.ndarray | float)}
    assert "hidden_weights_" in found
    return {name: (np.asarray(value).dtype, np.asarray(value).tobytes()) for name, value in found.items()}


def differing(mine, theirs):
    """Names of what differs, for a message that can be read."""
    assert mine.keys() == theirs.keys()
    return [name for name in mine if mine[name] != theirs[name]]


# ---------------------------------------------------------------------------------------
# Any number of threads
# ---------------------------------------------------------------------------------------


def results_with(threads, model, X, y):
    """Fit and predict with so many threads of OpenMP and of BLAS."""
    with threadpool_limits(threads):
        assert {pool["num_threads"] for pool in threadpool_info()} == {threads}
        return results(clone(model).fit(X, y), X)


@pytest.mark.parametrize("n", [FEW_ROWS, MANY_ROWS])
@pytest.mark.parametrize("name", MODELS)
def test_same_bits_for_any_number_of_threads(name, n, small_loops_take_threads):
    X, y = table(MODELS[name], n)
    alone = results_with(1, MODELS[name], X, y)
    for threads in (2, 3):
        assert differing(results_with(threads, MODELS[name], X, y), alone) == []


@pytest.mark.parametrize("name", MODELS)
def test_predictions_have_the_same_bits_for_any_number_of_threads(name, small_loops_take_threads):
    """Of one fitted estimator: what predictions add to the fit, and on more rows than it has seen."""
    X, y = table(MODELS[name], FEW_ROWS)
    more, _ = table(MODELS[name], MANY_ROWS, seed=1)
    model = clone(MODELS[name]).fit(X, y)
    found = {}
    for threads in (1, 2, 3):
        with threadpool_limits(threads):
            found[threads] = results(model, more)
    assert differing(found[1], found[2]) == differing(found[1], found[3]) == []


OTHER_WAYS = {
    "stochastic": SparseShiftedReLURegressor(64, solver="sgd", batch_size=100, max_iter=2, random_state=0),
    "early stopping": SparseShiftedReLUClassifier(64, early_stopping=True, max_iter=4, random_state=0),
    "cg": SketchedGaussNewtonRegressor(64, solver="cg", max_iter=3, random_state=0),
    "sample": SketchedGaussNewtonRegressor(16, solver="sample", max_iter=3, random_state=0),
    "cg, two classes": SketchedGaussNewtonClassifier(64, solver="cg", max_iter=3, random_state=0),
    "nystrom": SketchedGaussNewtonRegressor(64, solver="nystrom", max_iter=3, random_state=0),
    "sketch": SketchedGaussNewtonRegressor(16, solver="sketch", max_iter=3, random_state=0),
    "cholesky": SketchedGaussNewtonClassifier(64, solver="cholesky", max_iter=3, random_state=0),
}


@pytest.mark.parametrize("name", OTHER_WAYS)
def test_same_bits_for_other_ways_to_train(name, small_loops_take_threads):
    X, y = table(OTHER_WAYS[name], FEW_ROWS)
    assert differing(*(results_with(threads, OTHER_WAYS[name], X, y) for threads in (1, 2))) == []


def sparse_table():
    """Sparse samples, and three outputs."""
    rng = np.random.default_rng(0)
    X = sparse.csr_array(rng.random((500, 80)) * (rng.random((500, 80)) < 0.05))
    return X, X[:, :3].toarray() + 0.1 * rng.standard_normal((500, 3))


def test_same_bits_for_sparse_samples_and_outputs(small_loops_take_threads):
    X, y = sparse_table()
    assert differing(*(results_with(threads, MODELS["regressor"], X, y) for threads in (1, 2))) == []


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("solver", ["gd", "sgd"])
def test_same_bits_for_every_search(search, solver):
    """With the threads that loops take by themselves."""
    X, y = table(MODELS["regressor"], 2500)
    model = SparseShiftedReLURegressor(
        512, shift=0.8, solver=solver, search=search, max_iter=3, batch_size=1000, random_state=0
    )
    assert differing(*(results_with(threads, model, X, y) for threads in (1, 2))) == []


@pytest.mark.parametrize("n", [64, 1000])
def test_sums_over_samples_round_products_before_they_add_them(n):
    """Each product below rounds to -1 or 1, and in any order these add up to 0.

    BLAS adds products before they are rounded where the processor can, and leaves some 2^-60: its last bits depend on
    the machine.
    """
    first, little = np.arange(n) < n // 2, 2.0**-30
    weights, values = np.where(first, 1.0, 1 + little), np.where(first, -1.0, 1 - little)
    assert Problem(None, values, weights, None, None, weights.sum()).sum(values) == 0.0


class WithoutBlas(np.ndarray):
    """An array that refuses products of vectors, which NumPy leaves to BLAS, and takes sums."""

    def __array_ufunc__(self, ufunc, method, *inputs, **more):
        assert ufunc.signature is None, f"{ufunc.__name__} is no function of elements"
        inputs = [np.asarray(array) for array in inputs]
        return np.asarray(getattr(ufunc, method)(*inputs, **more)).view(WithoutBlas)

    def __array_function__(self, function, types, arguments, more):
        raise AssertionError(f"{function.__name__} may call BLAS")

    def dot(self, other, out=None):
        raise AssertionError("dot calls BLAS")


def test_sums_over_samples_do_not_call_blas():
    rng = np.random.default_rng(0)
    weights, values = (rng.uniform(size=100).view(WithoutBlas) for _ in range(2))
    problem = Problem(None, values, weights, None, None, 1.0)
    for product in (lambda: weights @ values, lambda: np.dot(weights, values), lambda: weights.dot(values)):
        with pytest.raises(AssertionError, match=r"BLAS|no function of elements"):
            product()
    expected = math.fsum(np.asarray(weights, dtype=object) * np.asarray(values, dtype=object))
    assert problem.sum(values) == pytest.approx(expected, rel=1e-14)


# ---------------------------------------------------------------------------------------
# Fits beside each other
# ---------------------------------------------------------------------------------------


def settings():
    """The number of threads of every pool, as seen from here."""
    return {(pool["user_api"], pool["filepath"]): pool["num_threads"] for pool in threadpool_info()}


@pytest.mark.parametrize("limit", [2, 3])
def test_fits_beside_each_other_are_as_if_alone(limit):
    """16 fits on 8 threads, every estimator on few and on many rows; BLAS may take several threads."""
    kinds = [(clone(model), n) for n in (FEW_ROWS, MANY_ROWS + 500) for model in MODELS.values()]
    tables = [table(model, n, seed) for seed, (model, n) in enumerate(kinds)]
    start = threading.Barrier(8)

    def fit(k, wait=True):
        if wait:
            start.wait(timeout=60)  # eight begin at the same time
        model, (X, y) = clone(kinds[k][0]), tables[k]
        return results(model.fit(X, y), X)

    with threadpool_limits(limit):
        before = settings()
        assert {threads for (api, _), threads in before.items() if api == "blas"} == {limit}
        alone = [fit(k, wait=False) for k in range(8)]
        with ThreadPoolExecutor(8) as pool:
            beside = list(pool.map(fit, [*range(8), *reversed(range(8))]))
        after = settings()
    alone = alone + alone[::-1]
    assert [differing(mine, theirs) for mine, theirs in zip(beside, alone, strict=True)] == [[]] * 16
    assert after == before


@pytest.mark.parametrize("name", MODELS)
def test_a_fit_leaves_the_settings_of_threads_as_they_were(name):
    """Also one that fails."""
    X, y = table(MODELS[name], FEW_ROWS)
    with threadpool_limits(3):
        before = settings()
        model = clone(MODELS[name]).fit(X, y)
        model.predict(X)
        assert settings() == before
        with pytest.raises(ValueError, match="NaN"):
            model.fit(X * np.nan, y)
        assert settings() == before


# ---------------------------------------------------------------------------------------
# Other processes
# ---------------------------------------------------------------------------------------


def run(program, timeout=60, **environment):
    """What a fresh process prints; it is killed, and the test fails, if it takes longer than `timeout` seconds."""
    environment["PYTHONPATH"] = Path(sksparsenn.__file__).parents[1]  # the package that is tested here, and no other
    inherited = {name: value for name, value in os.environ.items() if name not in environment}
    given = {name: str(value) for name, value in environment.items() if value is not None}
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env=inherited | given, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def cases(n):
    """Estimators and tables; with few rows also every search and sparse samples."""
    models = list(MODELS.values())
    if n > FEW_ROWS:
        return [(model, *table(model, n)) for model in models]
    models += [*OTHER_WAYS.values(), *(clone(models[0]).set_params(search=search) for search in SEARCHES)]
    return [*((model, *table(model, n)) for model in models), (models[0], *sparse_table())]


# A child that waits for threads which exist in its parent only would wait forever: it gets half a minute.
FORK = """
import multiprocessing, os, pickle, signal, sys, time, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of Python 3.12 on forks of processes with threads: on purpose
sys.path.insert(0, {folder!r})
from test_threads import _threads, cases, clone, results

_threads.operations_worth_a_thread(1.0)
cases = cases({n})

def all_results():
    return [results(clone(model).fit(X, y), X) for model, X, y in cases]

def predictions(fitted):
    return [results(model, X) for model, (_, X, _) in zip(fitted, cases)]

def answer(fitted):
    return predictions(fitted), all_results(), predictions(fitted)

fitted = [clone(model).fit(X, y) for model, X, y in cases]
expected = answer(fitted)

def by_multiprocessing():
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=lambda: sender.send(answer(fitted)))
    child.start()
    found = receiver.recv() if receiver.poll(30) else child.kill()
    child.join()
    return found

def by_os():
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            with os.fdopen(write, "wb") as pipe:
                pickle.dump(answer(fitted), pipe)
            status = 0
        finally:
            os._exit(status)
    os.close(write)
    os.set_blocking(read, False)
    found, end = bytearray(), time.monotonic() + 30
    while time.monotonic() < end:
        try:
            part = os.read(read, 1 << 20)
        except BlockingIOError:
            time.sleep(0.01)
            continue
        if not part:
            break
        found += part
    else:
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return pickle.loads(found) if found and time.monotonic() < end else None

found = by_os() if {way!r} == "os.fork" else by_multiprocessing()
if found is None:
    sys.exit("the child did not end within half a minute, or failed")
assert found == expected, "other bits in the child"
assert answer(fitted) == expected, "other bits in the parent after the fork"
print("same bits")
"""


@pytest.mark.parametrize("n", [FEW_ROWS, MANY_ROWS])
@pytest.mark.parametrize("way", ["os.fork", "multiprocessing"])
def test_a_forked_child_fits_and_predicts(way, n):
    """After fits in the parent, which have started threads that the child does not have."""
    program = FORK.format(folder=os.path.dirname(__file__), way=way, n=n)
    assert run(program, timeout=90, OMP_NUM_THREADS=2, OPENBLAS_NUM_THREADS=2) == "same bits\n"


COUNT = """
import numpy as np
import sys
from joblib import cpu_count
from threadpoolctl import threadpool_limits
from sksparsenn._utils import threads as _threads
free = _threads.threads_of({work})
with threadpool_limits(1):
    print(free, _threads.threads_of({work}), cpu_count(only_physical_cores=True))
"""


def counted(**environment):
    """The threads of a large loop, the same while threadpoolctl allows one, and the cores, in a fresh process."""
    return tuple(int(number) for number in run(COUNT.format(work=MUCH_WORK), **environment).split())


def test_threads_follow_the_cores_that_this_process_may_use():
    """joblib counts them: a container's quota, affinity, and the variable that stands for a quota here."""
    free, limited, cores = counted(OMP_NUM_THREADS=None, LOKY_MAX_CPU_COUNT=None)
    assert (free, limited) == (cores if _threads.built_with_openmp() else 1, 1)
    assert counted(OMP_NUM_THREADS=None, LOKY_MAX_CPU_COUNT=1) == (1, 1, 1)


def test_threads_that_the_user_names_win_over_the_cores():
    free, limited, cores = counted(OMP_NUM_THREADS=3, LOKY_MAX_CPU_COUNT=1)
    assert (free, limited, cores) == (3 if _threads.built_with_openmp() else 1, 1, 1)


STARTED = """
import numpy as np
import sys
from sksparsenn import SparseShiftedReLURegressor
from sksparsenn._utils import threads as _threads
X = np.random.default_rng(0).standard_normal((20_000, 4))
SparseShiftedReLURegressor(1024, max_iter=2, random_state=0).fit(X, X[:, 0])
counts = [_threads.threads_of({work})]
if sys.platform == "linux":
    counts += [int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("Threads")]
print(*counts)
"""


def test_omp_num_threads_is_followed():
    """By what a loop takes; on Linux, which counts them, also by the threads that a fit starts."""
    counts = {}
    for threads in (1, 4):
        found = run(STARTED.format(work=MUCH_WORK), OMP_NUM_THREADS=threads, OPENBLAS_NUM_THREADS=1)
        counts[threads] = [int(number) for number in found.split()]
        assert counts[threads][0] == (threads if _threads.built_with_openmp() else 1)
    assert len(counts[1]) == len(counts[4]) == (2 if sys.platform == "linux" else 1)
    for few, many in zip(counts[1], counts[4], strict=True):
        assert many - few >= (3 if _threads.built_with_openmp() else 0)


FORKED_MEANWHILE = """
import os, threading
from threadpoolctl import ThreadpoolController
from sksparsenn._utils.blas_threads import single_blas_thread

def numbers():
    return [pool.num_threads for pool in ThreadpoolController().select(user_api="blas").lib_controllers]

before, inside, go_on = numbers(), threading.Event(), threading.Event()

def fit_meanwhile():
    with single_blas_thread():
        inside.set()
        go_on.wait(30)

thread = threading.Thread(target=fit_meanwhile)
thread.start()
inside.wait(30)
during = numbers()
child = os.fork()
if child == 0:
    with single_blas_thread():
        limited = numbers()
    os._exit(0 if numbers() == before and limited == [1] * len(before) else 1)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
go_on.set()
thread.join()
print(status, during == [1] * len(before), numbers() == before, max(before))
"""


def test_a_child_forked_during_a_fit_has_the_threads_that_were_there_before():
    found = run(FORKED_MEANWHILE, OPENBLAS_NUM_THREADS=2, PYTHONWARNINGS="ignore")
    assert found.split() == ["0", "True", "True", "2"]


def test_a_part_of_a_stream_is_trained_with_one_thread_of_blas(monkeypatch):
    import sksparsenn._estimators.first_order as first_order

    seen, single_pass = [], first_order.SinglePass

    def noting(*arguments):
        seen.extend(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")
        return single_pass(*arguments)

    monkeypatch.setattr(first_order, "SinglePass", noting)
    X = np.random.default_rng(0).standard_normal((50, 3))
    with threadpool_limits(2, "blas"):
        SparseShiftedReLURegressor(20, solver="sgd").partial_fit(X, X[:, 0])
    assert set(seen) == {1}
