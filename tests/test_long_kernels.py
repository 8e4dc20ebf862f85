"""Kernels that Gauss-Newton steps on long tables are made of, against plain sums, for any number of threads."""

import numpy as np
import pytest
from jacobians import jacobians
from threadpoolctl import threadpool_limits

from sksparsenn._compiled.patterns import transpose_lists
from sksparsenn._solvers.systems import NormalSystem


def lists_of_rows(n_rows, n_columns, share, ascending, seed):
    """Compressed rows of a random pattern: in most rows about `share` of the columns, in some none."""
    rng = np.random.default_rng(seed)
    rows = [np.flatnonzero(rng.random(n_columns) < share * rng.integers(0, 4)) for _ in range(n_rows)]
    if not ascending:
        rows = [rng.permutation(row) for row in rows]
    return np.append(0, np.cumsum([len(row) for row in rows])), np.concatenate(rows).astype(np.int32)


@pytest.mark.parametrize("ascending", [True, False])
@pytest.mark.parametrize(
    ("n_rows", "n_columns", "share"),
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


# ---------------------------------------------------------------------------------------
# J^T J, and products with J^T and with it, where lists are longer than what a kernel takes at a time
# ---------------------------------------------------------------------------------------


@pytest.fixture(params=[3, 7, 11, 22, 37])
def d(request):
    """Features: rows of one unit, of two, of some that are kept in registers, moments that need a gap, long rows."""
    return request.param


@pytest.mark.parametrize("n_outputs", [1, 3])
@pytest.mark.parametrize("threshold", [-9.0, 0.1, 0.6])
def test_the_normal_matrix_of_more_samples_than_are_added_at_once(d, n_outputs, threshold):
    """From samples on which all neurons fire to some on which nobody does."""
    jacobian, J = jacobians(300, d, 9, n_outputs, seed=d, threshold=threshold)
    J = J[:, (jacobian.neurons[:, None] * d + np.arange(d)).ravel()]
    expected, bits = np.tril(J.T @ J), set()
    for threads in (1, 2, 3):
        matrix = np.full((jacobian.shape[1], jacobian.shape[1]), np.nan)
        with threadpool_limits(threads):
            NormalSystem(jacobian).fill(matrix)
        np.testing.assert_allclose(np.tril(matrix), expected, rtol=0, atol=1e-14 * np.abs(expected).max())
        bits.add(np.tril(matrix).tobytes())
    assert len(bits) == 1


@pytest.mark.parametrize("n_outputs", [1, 3])
@pytest.mark.parametrize(("n", "width", "threshold"), [(3000, 20, 0.2), (700, 150, 0.8), (6000, 5, 0.4)])
def test_products_over_stretches_of_samples(d, n_outputs, n, width, threshold, monkeypatch):
    """Samples of several blocks and stretches, with long lists and with short ones."""
    monkeypatch.setattr("sksparsenn._solvers.jacobian.LONG", 0)
    monkeypatch.setattr("sksparsenn._solvers.jacobian.LONG_OF_OUTPUTS", 0)
    jacobian, J = jacobians(n, d, width, n_outputs, seed=d, threshold=threshold)
    J = J[:, (jacobian.neurons[:, None] * d + np.arange(d)).ravel()]
    rng = np.random.default_rng(d)
    u, v = rng.standard_normal(J.shape[1]), rng.standard_normal(J.shape[0])
    for find, expected in (
        (lambda: NormalSystem(jacobian).product(u), J.T @ (J @ u)),
        (lambda: jacobian.packed(jacobian.transpose_product(v)), J.T @ v),
    ):
        bits = set()
        for threads in (1, 2, 3):
            with threadpool_limits(threads):
                found = find()
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13 * np.abs(expected).max())
            bits.add(found.tobytes())
        assert len(bits) == 1


def test_transposed_products_are_the_same_either_way(monkeypatch):
    """Summed neuron by neuron where all of X fits into cache, and a stretch of samples at a time where it does not."""
    jacobian, _ = jacobians(700, 5, 30, 2, seed=0)
    v, found = np.random.default_rng(0).standard_normal(1400), []
    for limit in (0, 1 << 30):
        monkeypatch.setattr("sksparsenn._solvers.jacobian.LONG_OF_OUTPUTS", limit)
        found.append(jacobian.transpose_product(v))
    np.testing.assert_allclose(*found, rtol=0, atol=1e-13 * np.abs(found[0]).max())
