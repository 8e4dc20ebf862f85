"""Kernels that Gauss-Newton steps on long tables are made of, against plain sums, for any number of threads."""

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from sksparsenn._compiled.kernels import transpose_lists


def lists_of_rows(n_rows, n_columns, share, ascending, seed):
    """Compressed rows of a random pattern: in most rows about `share` of the columns, in some none."""
    rng = np.random.default_rng(seed)
    rows = [np.flatnonzero(rng.random(n_columns) < share * rng.integers(0, 4)) for _ in range(n_rows)]
    if not ascending:
        rows = [rng.permutation(row) for row in rows]
    return np.append(0, np.cumsum([len(row) for row in rows])), np.concatenate(rows).astype(np.int32)


@pytest.mark.parametrize("ascending", [True, False])
@pytest.mark.parametrize(
    "n_rows, n_columns, share",
    [(40, 20_000, 0.3), (20_000, 40, 0.3), (700, 700, 0.7), (3, 5, 0.3), (2, 400_000, 0.4), (1, 1, 1.0)],
)
def test_transposed_lists_are_those_of_sorted_pairs(n_rows, n_columns, share, ascending):
    """Long lists are cut into blocks, of columns where rows ascend and there are enough of them, of rows otherwise."""
    indptr, columns = lists_of_rows(n_rows, n_columns, share, ascending, seed=n_rows)
    rows = np.repeat(np.arange(n_rows), np.diff(indptr))
    expected = np.append(0, np.cumsum(np.bincount(columns, minlength=n_columns)))
    for threads in (1, 2, 3):
        with threadpool_limits(threads):
            starts, found = transpose_lists(indptr, columns, n_columns)
        np.testing.assert_array_equal(starts, expected)
        np.testing.assert_array_equal(found, rows[np.argsort(columns, kind="stable")])
