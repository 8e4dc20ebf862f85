"""Check rows of numbers, make them contiguous, and pad them."""

from math import prod

import numpy as np
from scipy.sparse import issparse

LANES = 8
CACHE_LINE = 64
# So few are read in less time than it takes to find where a cache line begins.
FEW_BYTES = 1 << 12


def as_points(points, name, n_features=None, dtype=None):
    """Return a C-contiguous matrix of finite float32 or float64 numbers, or raise an error that names what is wrong."""
    if issparse(points):
        raise TypeError(f"{name} is sparse, but has to be dense here; use {name}.toarray().")
    points = np.asarray(points)
    if points.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold real numbers, got an array of {points.dtype}.")
    if dtype is None:
        dtype = np.float32 if points.dtype == np.float32 else np.float64
    if points.ndim != 2 or points.shape[1] == 0:
        raise ValueError(
            f"{name} must be a matrix with a row for each point and at least one column, got shape {points.shape}."
        )
    if n_features is not None and points.shape[1] != n_features:
        raise ValueError(f"{name} has {points.shape[1]} columns where {n_features} are expected.")
    if len(points) >= np.iinfo(np.int32).max:
        raise ValueError(f"{name} has {len(points)} rows: rows are numbered with 32 bits.")
    with np.errstate(over="ignore"):
        points = np.require(points, dtype, ["C", "A"])
    if not np.isfinite(points).all():
        raise ValueError(f"{name} holds NaN or infinity (in {np.dtype(dtype).name}): remove or replace such values.")
    return points


def as_normals(normals, thresholds, n_features, dtype):
    """Return normals as a matrix and a threshold for each, in the precision of the index."""
    normals = as_points(np.atleast_2d(np.asarray(normals)), "normals", n_features, dtype)
    thresholds = np.asarray(thresholds)
    if thresholds.dtype.kind not in "fiub":
        raise TypeError(f"thresholds must be real numbers, got an array of {thresholds.dtype}.")
    with np.errstate(over="ignore"):
        thresholds = thresholds.astype(dtype)
    if thresholds.ndim > 1 or thresholds.size not in (1, len(normals)):
        raise ValueError(f"{thresholds.size} thresholds for {len(normals)} normals: give one for each, or one for all.")
    if np.isnan(thresholds).any():
        raise ValueError("thresholds hold NaN: give numbers (infinite ones are allowed).")
    return normals, np.ascontiguousarray(
        np.broadcast_to(thresholds.ravel() if thresholds.ndim else thresholds, len(normals))
    )


def significant_columns(X):
    """Return the number of leading columns, at least one, behind which all are zero and add to no inner product."""
    used = np.flatnonzero(X.any(axis=0))
    return int(used[-1]) + 1 if len(used) else 1


def aligned_zeros(shape, dtype):
    """Return zeros that start with a cache line: vectors that straddle two lines would cost a fifth of the speed."""
    dtype = np.dtype(dtype)
    n_bytes = prod(shape) * dtype.itemsize
    if n_bytes <= FEW_BYTES:
        return np.zeros(shape, dtype)
    raw = np.zeros(n_bytes + CACHE_LINE, dtype=np.uint8)
    start = -raw.ctypes.data % CACHE_LINE
    return raw[start : start + n_bytes].view(dtype).reshape(shape)


def padded_rows(points):
    """Return an aligned copy of the rows, with zero columns up to a multiple of eight, as inner products take them."""
    n_rows, n_features = points.shape
    rows = aligned_zeros((n_rows, -(-n_features // LANES) * LANES), points.dtype)
    rows[:, :n_features] = points
    return rows
