# The exact kernels: the one inner product, and what a network computes from lists of firing pairs.
from libc.stdint cimport int32_t, int64_t

ctypedef fused real:
    float
    double

# sum_j a[j] * b[j * stride] for j < d, in the order of additions that decides who fires.
cdef real dot_strided(const real *a, const real *b, Py_ssize_t stride, Py_ssize_t d) noexcept nogil

# out[i] = <w, X[i]> for i < n.
cdef void products(const real *X, Py_ssize_t padded, const real *w, int64_t n, real *out) noexcept nogil

# Of the rows of X named by list, those with <w, x> > threshold: their numbers and products; returns how many.
# Both need room for LANES entries more.
cdef int64_t keep_above(const real *X, Py_ssize_t padded, const real *w, const int32_t *list, int64_t count,
                        real threshold, int32_t *kept, real *products) noexcept nogil

# rows[i, :] += factor * w and totals[i] += factor for every row i of the list.
cdef void add_to_rows(const real *w, real factor, Py_ssize_t padded, const int32_t *list, int64_t count, real *rows,
                      real *totals) noexcept nogil

# total[:] += factor * the sum of the rows of the list.
cdef void add_rows(const real *rows, Py_ssize_t padded, const int32_t *list, int64_t count, real factor, real *total) noexcept nogil
