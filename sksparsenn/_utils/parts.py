"""Rows in parts: apply functions to each part, and add up what they return.

What is known of each part stands in a column, which only the `Parts` that made it can read: it may hold the values, or
promises of values on other machines, or what it takes to compute them.  Values that are added up are numbers, arrays or
tuples that define ``+``.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import partial, reduce
from operator import add
from typing import NamedTuple

import numpy as np

from sksparsenn._utils.threads import one_thread_here, threads_of


class Column(NamedTuple):
    """What is known of each part."""

    values: list


class Parts:
    """Parts that this process holds, all at a time."""

    wait_for_others = False
    """Whether other machines compute, so that several networks should ask them at a time."""

    bring_together = False
    """Whether few rows of all parts should be brought together in one."""

    def map(self, function, *arguments):
        """Return the column of function(*arguments), where each column among them stands for its value."""
        return Column([function(*values) for values in spread(arguments)])

    def sum(self, function, *arguments, then=None):
        """Return the sum of function(*arguments) over the parts, or what the function `then` makes of it."""
        return _made_of(reduce(add, self.map(function, *arguments).values), then)

    def close(self):
        """Let go of what is held elsewhere."""


class Blocks(Parts):
    """Parts of which each thread of this process holds one at a time: all columns are computed anew for each use."""

    bring_together = True

    def map(self, function, *arguments):
        return Column([partial(_computed, function, *values) for values in spread(arguments)])

    def sum(self, function, *arguments, then=None):
        tasks, n_threads, total = self.map(function, *arguments).values, threads_of(np.inf), None
        threads = ThreadPoolExecutor(n_threads, "sksparsenn", one_thread_here)
        try:
            for first in range(0, len(tasks), n_threads):
                summands = list(threads.map(_called, tasks[first : first + n_threads]))
                total = reduce(add, summands if total is None else [total, *summands])
        finally:
            # An interrupted fit does not wait for the blocks under way, which nobody will look at.
            threads.shutdown(wait=False, cancel_futures=True)
        return _made_of(total, then)


def spread(arguments):
    """Return for each part its arguments: its own values of columns, and the same of everything else."""
    n_parts = max(len(argument.values) for argument in arguments if isinstance(argument, Column))
    columns = [argument.values if isinstance(argument, Column) else [argument] * n_parts for argument in arguments]
    return zip(*columns, strict=True)


def _made_of(total, then):
    return total if then is None else then(total)


def _computed(function, *arguments):
    """Return the value of a function whose arguments are computed first, where that is left to do."""
    is_left = [isinstance(argument, partial) and argument.func is _computed for argument in arguments]
    return function(*(argument() if left else argument for argument, left in zip(arguments, is_left, strict=True)))


def _called(task):
    with np.errstate(all="ignore"):
        return task()
