"""Train several networks side by side: on threads where there is enough to compute, else in turn.

Each training is a generator that yields after every iteration, and none reads what another writes: the results are the
same bits however many run at a time.
"""

import contextvars
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from sksparsenn._utils.threads import one_thread_here, threads_of

# Pairs (neuron, sample) of a network from which an iteration computes for so long that threads do not wait for each
# other's Python: measured, the time of fewer goes up rather than down.
WORTH_SIDE_BY_SIDE = 1 << 18

# Iterations after which a thread takes another network, so that all threads end at about the same time.
SLICE = 4


@dataclass
class Training:
    """A network in training.

    A subclass has its present `weights`, and `final_weights`, to keep unless others were best on validation rows.
    """

    iterations: Any
    """The generator of its iterations."""
    state: Any
    """What the generator changes; its `stop_reason` tells why training ended."""
    member: Any
    """What training started from, with the rows that may stop it."""
    problem: Any
    solver: Any = None
    parts: tuple = ()
    """What is remembered with the state, for a fit that goes on from here."""
    ended: bool = False

    def __post_init__(self):
        # A fit that goes on from another one lets those rest that ended there before their time.
        if "ended" in self.member.memory:
            self.state.stop_reason, self.ended = self.member.memory["ended"], True

    @property
    def early_stopping(self):
        """What stops training by the score on validation rows, or None."""
        return self.member.early_stopping

    @property
    def kept_weights(self):
        """The weights to keep: the best on validation rows, or the final ones."""
        return self.final_weights if self.early_stopping is None else self.early_stopping.best_weights

    def advance(self, n_iterations, cancelled):
        """Run some iterations, at most to the end of training."""
        for _ in range(n_iterations):
            if self.ended or cancelled.is_set():
                return
            self.ended = next(self.iterations, _END) is _END

    def stop(self, reason):
        """End training before its time."""
        self.state.stop_reason = reason
        self.iterations.close()
        self.ended = True


# What ends the training of a single network before its time: nothing.
NEVER = threading.Event()

_END = object()


def threads_worth(n_networks, n_pairs):
    """Return how many networks, with so many pairs (neuron, sample) each, to train at a time."""
    return min(threads_of(np.inf), n_networks) if n_pairs >= WORTH_SIDE_BY_SIDE else 1


def train_all(trainings, progress, n_threads):
    """Run all trainings to their end.

    Where `progress` is watched, its methods are called before and after each round, an iteration of every network that
    still trains; the latter may return True to stop.

    Parameters
    ----------
    trainings : list of Training
    progress : Progress
    n_threads : int
        Networks to train at a time.
    """
    run = _run_in_turn if n_threads == 1 else _Threads(n_threads).run
    if not progress.is_watched:
        run(trainings, SLICE, True)
        return
    running = [training for training in trainings if not training.ended]
    while running:
        progress.begin_iteration()
        run(running, 1, False)
        if progress.end_iteration(trainings):
            for training in running:
                training.stop("callback")
        running = [training for training in running if not training.ended]


def _run_in_turn(trainings, n_iterations, to_the_end):
    """Advance each training by some iterations, or to its end, one after the other."""
    for training in trainings:
        training.advance(n_iterations, NEVER)
        while to_the_end and not training.ended:
            training.advance(n_iterations, NEVER)


class _Threads:
    """Python threads that take trainings from a queue, each with parallel loops of one thread."""

    def __init__(self, n_threads):
        self.n_threads = n_threads

    def run(self, trainings, n_iterations, to_the_end):
        """Advance each training by some iterations, or to its end."""
        queue, cancelled = deque(trainings), threading.Event()

        def work():
            while not cancelled.is_set():
                try:
                    training = queue.popleft()
                except IndexError:
                    return
                try:
                    training.advance(n_iterations, cancelled)
                except BaseException:
                    cancelled.set()
                    raise
                if to_the_end and not training.ended:
                    queue.append(training)

        threads = ThreadPoolExecutor(self.n_threads, "sksparsenn", one_thread_here)
        try:
            # NumPy keeps what to do about overflow in the context.
            futures = [threads.submit(contextvars.copy_context().run, work) for _ in range(self.n_threads)]
            for future in futures:
                future.result()
        finally:
            # An interrupted fit does not wait for the iterations under way, which nobody will look at.
            cancelled.set()
            threads.shutdown(wait=False, cancel_futures=True)
