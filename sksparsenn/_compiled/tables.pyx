"""Rows of dense tables, number by number: centred and divided for the sphere, clipped and scaled for the linear part.

For a single row, the same operations in NumPy would take longer than all that follows.  All in double precision.
"""
import numpy as np

from libc.math cimport fabs, frexp, ldexp, sqrt


def largest_of(const double[::1] one, const double[::1] other):
    """Return the largest absolute value in two vectors of equal length."""
    cdef double largest = 0
    cdef Py_ssize_t j
    for j in range(one.shape[0]):
        largest = max(largest, max(fabs(one[j]), fabs(other[j])))
    return largest


def centred_rows(const double[:, ::1] X, const double[::1] centre, constant):
    """Return rows (x - centre, constant) divided by their largest entry; without a constant if None.

    Where numbers are so large that differences overflow, they are first divided by a power of two.
    """
    cdef Py_ssize_t d = X.shape[1], n_lifted = d + (constant is not None), i, j
    cdef double last = 0 if constant is None else constant, largest = 0, unit = 1
    cdef int exponent
    centred = np.empty((X.shape[0], n_lifted))
    cdef double[:, ::1] out = centred
    with nogil:
        for j in range(d):
            largest = max(largest, fabs(centre[j]))
            for i in range(X.shape[0]):
                largest = max(largest, fabs(X[i, j]))
        frexp(largest, &exponent)
        if exponent > 1001:
            unit = ldexp(1, exponent - 1)
            last /= unit
        for i in range(X.shape[0]):
            largest = fabs(last)
            for j in range(d):
                out[i, j] = X[i, j] / unit - centre[j] / unit if unit > 1 else X[i, j] - centre[j]
                largest = max(largest, fabs(out[i, j]))
            if n_lifted > d:
                out[i, d] = last
            if largest > 0:
                for j in range(n_lifted):
                    out[i, j] /= largest
    return centred


def divide_rows(double[:, ::1] rows, const double[::1] squares):
    """Divide rows, in place, by their lengths, of which squares are given; rows of length zero stay as they are."""
    cdef Py_ssize_t i, j
    cdef double length
    with nogil:
        for i in range(rows.shape[0]):
            length = sqrt(squares[i])
            if length > 0:
                for j in range(rows.shape[1]):
                    rows[i, j] /= length


def clipped_features(const double[:, ::1] X, features, double unit):
    """Return (clip(x) - centre) / spread, computed in this unit; `features` has the four arrays."""
    cdef const double[::1] low = features.low, high = features.high, centre = features.centre
    cdef double spread = features.spread / unit, x
    cdef Py_ssize_t i, j
    made = np.empty((X.shape[0], X.shape[1]))
    cdef double[:, ::1] out = made
    with nogil:
        for i in range(X.shape[0]):
            for j in range(X.shape[1]):
                x = min(max(X[i, j], low[j]), high[j])
                out[i, j] = (x / unit - centre[j] / unit) / spread
    return made
