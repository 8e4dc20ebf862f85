"""Lists that stand in one array, with gaps between them, so that each can be replaced where it stands."""

import numpy as np

from sksparsenn._margin import close_gaps, copy_lists

# The array has one part in this many to spare, for lists that outgrow their place.
SPARE = 2


class GapLists:
    """A list of int32 numbers for every row: row r has ``items[starts[r] : starts[r] + counts[r]]``.

    It is made from (starts, counts, items) of the same form, of some consecutive rows in each of `parts`.
    """

    def __init__(self, parts):
        self.counts = np.concatenate([counts for _, counts, _ in parts])
        self._capacities = _room(self.counts)
        self.starts = _one_after_another(self._capacities)
        self._end = int(self._capacities.sum())
        self.items = np.empty(self._end + self._end // SPARE, dtype=np.int32)
        first = 0
        for starts, counts, items in parts:
            rows = slice(first, first + len(starts))
            copy_lists(items, starts, counts, self.items, self.starts[rows])
            first = rows.stop

    @property
    def n_items(self):
        return int(self.counts.sum())

    def replace(self, rows, starts, counts, items):
        """Give `rows` new lists, where the old ones stood or, if too long, at the end of the array."""
        outgrown = rows[counts > self._capacities[rows]]
        self.counts[rows] = counts
        if len(outgrown):
            room = _room(self.counts[outgrown])
            self._capacities[outgrown] = room
            if self._end + room.sum() > len(self.items):
                self._rearrange(rows)
            else:
                self.starts[outgrown] = self._end + _one_after_another(room)
                self._end += int(room.sum())
        copy_lists(items, starts, counts, self.items, self.starts[rows])

    def _rearrange(self, rows):
        """Close the gaps between the lists, with room for new ones of `rows` behind all others."""
        needed = int(self._capacities.sum())
        replaced = np.zeros(len(self.counts), dtype=bool)
        replaced[rows] = True
        others = np.argsort(self.starts)
        others = others[~replaced[others]]
        lists, starts = (self.starts[others], self.counts[others]), _one_after_another(self._capacities[others])
        if needed + needed // (4 * SPARE) <= len(self.items):
            close_gaps(self.items, *lists, starts)
        else:
            items = np.empty(needed + needed // SPARE, dtype=np.int32)
            copy_lists(self.items, *lists, items, starts)
            self.items = items
        self.starts[others] = starts
        self.starts[rows] = needed - self._capacities[rows].sum() + _one_after_another(self._capacities[rows])
        self._end = needed


def _room(counts):
    """Room for lists of these lengths to grow a little where they stand."""
    return counts + counts // 8 + 8


def _one_after_another(lengths):
    """Where lists of these lengths begin that follow each other without gaps."""
    return np.cumsum(lengths) - lengths
