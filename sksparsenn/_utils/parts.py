"""Rows in parts: apply functions to each part, and add up what they return.

What is known of each part stands in a `Column`, which only the `Parts` that made it can read: it may hold the values,
or promises of values on other machines, or what it takes to compute them.  Values that are added up are numbers, arrays
or tuples that define ``+``.
"""

from functools import partial, reduce
from operator import add
from typing import NamedTuple


class Column(NamedTuple):
    """What is known of each part."""

    values: list


class Parts:
    """Parts that this process holds, all at a time."""

    def map(self, function, *arguments):
        """Return the column of function(*arguments), where each `Column` among them stands for its value."""
        return Column([function(*values) for values in spread(arguments)])

    def sum(self, function, *arguments):
        """Return the sum of function(*arguments) over the parts."""
        return reduce(add, self.each(function, *arguments))

    def each(self, function, *arguments):
        """Return the list of function(*arguments), for values that are few and small."""
        return self.map(function, *arguments).values


class Blocks(Parts):
    """Parts of which this process holds one at a time: whatever a column stands for is computed anew for each use."""

    def map(self, function, *arguments):
        return Column([partial(_computed, function, *values) for values in spread(arguments)])

    def each(self, function, *arguments):
        return (compute() for compute in self.map(function, *arguments).values)


def spread(arguments):
    """Return for each part its arguments: its own values of columns, and the same of everything else."""
    n_parts = max(len(argument.values) for argument in arguments if isinstance(argument, Column))
    columns = [argument.values if isinstance(argument, Column) else [argument] * n_parts for argument in arguments]
    return zip(*columns, strict=True)


def _computed(function, *arguments):
    """Return the value of a function whose arguments are computed first, where that is left to do."""
    is_left = [isinstance(argument, partial) and argument.func is _computed for argument in arguments]
    return function(*(argument() if left else argument for argument, left in zip(arguments, is_left, strict=True)))
