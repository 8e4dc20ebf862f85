# The scan: packed points against half-spaces, and the growing lists that results are collected in.
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

from sksparsenn._compiled.kernels cimport real

cdef enum:
    FANOUT = 8  # children of a tree node, as in simd/lanes.h

cdef struct IntList:
    int32_t *data
    int64_t length
    int64_t capacity

cdef int reserve(IntList *list, int64_t extra) noexcept nogil
cdef int append(IntList *list, const int32_t *data, int64_t length) noexcept nogil

# How far two ways of rounding <w, p> can lie apart is at most rounding(d) * |w| * |p| + tiny(d).
cdef double rounding(Py_ssize_t d, bint single) noexcept nogil
cdef double tiny(Py_ssize_t d, bint single) noexcept nogil
cdef double euclidean_norm(const real *v, Py_ssize_t stride, Py_ssize_t d) noexcept nogil
cdef bint may_overflow(double norm, double reach, bint single) noexcept nogil

# Points per block of the packed layout: 16 in single precision, 8 in double.
cdef Py_ssize_t block_points(bint single) noexcept nogil

cdef uint64_t scan_leaf(const real *blocks, Py_ssize_t n_blocks, Py_ssize_t d, const real *normal, real low, real high,
                        uint64_t *sure) noexcept nogil
cdef uint32_t classify_children(const real *node, Py_ssize_t d, const real *normal, real norm, real error, real tiny_,
                                real threshold, uint32_t *inside) noexcept nogil

# (indptr, indices) of all lists, one after the other; frees them.
cdef object assemble(IntList *lists, Py_ssize_t n_lists)
cdef void free_lists(IntList *lists, Py_ssize_t n_lists) noexcept nogil
