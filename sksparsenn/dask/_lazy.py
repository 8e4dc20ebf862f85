"""Predictions of Dask collections: lazy, partition by partition, by the estimator without Dask."""

import numpy as np


def applied(estimator, method, X, *, shape=(), dtype, **arguments):
    """Return a method's results for the rows of X, as a lazy array; of rows in memory as an array.

    Parameters
    ----------
    estimator : estimator without Dask
    method : str or callable
        The latter of the estimator and rows.
    X : dask array or data frame, or array-like
    shape : tuple of int
        Of the result of a row.
    dtype : dtype
    """
    if not hasattr(X, "to_delayed"):
        return _result(estimator, method, X, arguments)
    if hasattr(X, "map_partitions"):  # a data frame, whose names the estimator checks
        rows = X.to_dask_array(lengths=None).chunks[0]
        return _of_blocks(estimator, method, X.to_delayed(), rows, shape, dtype, arguments)
    X = X.rechunk({1: -1})
    return _of_blocks(estimator, method, X.to_delayed().reshape(-1), X.chunks[0], shape, dtype, arguments)


def _of_blocks(estimator, method, blocks, sizes, shape, dtype, arguments):
    """Return the results of delayed blocks of these numbers of rows, one after the other."""
    import dask.array as da
    from dask import delayed

    model, call = delayed(estimator, pure=False), delayed(_call, pure=False)
    empty = np.empty((0, *shape), dtype)
    results = [
        da.from_delayed(call(model, method, block, empty, arguments), (size, *shape), dtype=dtype)
        for block, size in zip(blocks, sizes, strict=True)
    ]
    return da.concatenate(results, axis=0, allow_unknown_chunksizes=True)


def _call(estimator, method, block, empty, arguments):
    """Return a method's results for a block, which may be empty."""
    return _result(estimator, method, block, arguments) if len(block) else empty


def _result(estimator, method, X, arguments):
    return method(estimator, X) if callable(method) else getattr(estimator, method)(X, **arguments)
