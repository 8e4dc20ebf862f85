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

# The same for those that keep_above leaves out.
cdef int64_t keep_others(const real *X, Py_ssize_t padded, const real *w, const int32_t *list, int64_t count,
                         real threshold, int32_t *kept, real *products) noexcept nogil

# rows[i, :] += factor * w and totals[i] += factor for every row i of the list.
cdef void add_to_rows(const real *w, real factor, Py_ssize_t padded, const int32_t *list, int64_t count, real *rows,
                      real *totals) noexcept nogil

# total[:] += factor * the sum of the rows of the list.
cdef void add_rows(const real *rows, Py_ssize_t padded, const int32_t *list, int64_t count, real factor, real *total) noexcept nogil

# outputs[i, :] += signs[:] * (products[p] - shift) for every sample i = list[p].
cdef void add_outputs(const int32_t *list, const real *products, int64_t count, real shift, const real *signs,
                      Py_ssize_t n_outputs, real *outputs) noexcept nogil

# gradient[:] = the sum over the samples i of the list of <signs, residuals[i]> x_i.
cdef void sum_gradient(const real *X, Py_ssize_t padded, const int32_t *list, int64_t count, const real *residuals,
                       const real *signs, Py_ssize_t n_outputs, real *gradient) noexcept nogil

# One step of a neuron, with g = s * gradient + a * (w - home): speed <- mu * speed - eta * g, and w moves by speed,
# or by mu * speed - eta * g.  Where mu and a are 0 the speed is left alone.
cdef void move(real *w, const real *home, real *speed, const real *gradient, Py_ssize_t padded, real s, real eta, real mu,
               bint nesterov, real a) noexcept nogil

# Sums over neurons are cut into so many blocks of consecutive neurons, which begin at the bounds and store what fires
# at the places; their outputs, a row each, are added in an order that cancels neurons of paired initialisation.
cdef Py_ssize_t output_blocks(Py_ssize_t entries) noexcept nogil
cdef object block_bounds(rows, Py_ssize_t width, Py_ssize_t n_blocks)
cdef object places_of(const int64_t[::1] counts, const int64_t[::1] bounds)
cdef void sum_all_blocks(const real[:, ::1] partial, Py_ssize_t entries, double scale, real[::1] outputs)
