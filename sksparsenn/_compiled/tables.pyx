"""Rows of dense tables, number by number: centred and divided for the sphere, clipped and scaled for the linear part.

For a single row, the same operations in NumPy would take longer than all that follows.
"""
import numpy as np

from libc.math cimport fabs, sqrt

from sksparsenn._compiled.kernels cimport real


def largest_size(const real[:, ::1] X):
    """Return the largest absolute value of finite numbers, zero if there are none."""
    cdef double largest = 0
    cdef Py_ssize_t i, j
    with nogil:
        for i in range(X.shape[0]):
            for j in range(X.shape[1]):
                largest = max(largest, fabs(<double>X[i, j]))
    return largest


def centred_rows(const real[:, ::1] X, const double[::1] centre, constant, double unit):
    """Return rows (x - centre, constant), all in these units, divided by their largest entry; without a constant if None."""
    cdef Py_ssize_t d = X.shape[1], n_lifted = d + (constant is not None), i, j
    cdef double last = 0 if constant is None else constant / unit, largest
    centred = np.empty((X.shape[0], n_lifted))
    cdef double[:, ::1] out = centred
    with nogil:
        for i in range(X.shape[0]):
            largest = fabs(last)
            for j in range(d):
                out[i, j] = <double>X[i, j] / unit - centre[j] / unit if unit > 1 else <double>X[i, j] - centre[j]
                largest = max(largest, fabs(out[i, j]))
            if n_lifted > d:
                out[i, d] = last
            if largest > 0:
                for j in range(n_lifted):
                    out[i, j] /= largest
    return centred


def write_unit_rows(const double[:, ::1] rows, const double[::1] squares, real[:, ::1] out):
    """Write rows divided by their lengths, of which squares are given, to the first columns; rows of length zero as they are."""
    cdef Py_ssize_t i, j
    cdef double length
    with nogil:
        for i in range(rows.shape[0]):
            length = sqrt(squares[i])
            if not length > 0:
                length = 1
            for j in range(rows.shape[1]):
                out[i, j] = <real>(rows[i, j] / length)


def clipped_features(const real[:, ::1] X, features, double unit):
    """Return (clip(x) - centre) / spread in double precision, computed in this unit; `features` has the four arrays."""
    cdef const double[::1] low = features.low, high = features.high, centre = features.centre
    cdef double spread = features.spread / unit, x
    cdef Py_ssize_t i, j
    made = np.empty((X.shape[0], X.shape[1]))
    cdef double[:, ::1] out = made
    with nogil:
        for i in range(X.shape[0]):
            for j in range(X.shape[1]):
                x = min(max(<double>X[i, j], low[j]), high[j])
                out[i, j] = (x / unit - centre[j] / unit) / spread
    return made
