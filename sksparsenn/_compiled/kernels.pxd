# The exact kernels: the one inner product, and what a network computes from lists of firing pairs.
from libc.stdint cimport int32_t, int64_t

ctypedef fused real:
    float
    double

cdef extern from "simd/kernels.h" nogil:
    # cdef struct Rows: rows of float or double, padded with zeros to a multiple of LANES numbers.
    ctypedef struct Rows:
        const void *data
        Py_ssize_t padded

    # cdef struct List: numbers of rows, ascending.
    ctypedef struct List:
        const int32_t *items
        int64_t count

# Lists of samples: of neuron rows[k] the items[starts[k] : starts[k] + counts[k]].
cdef struct Pattern:
    Py_ssize_t n_rows
    const int64_t *rows
    const int64_t *starts
    const int64_t *counts
    const int32_t *items
    int64_t n_items

# A step of gradient descent, with g = scale * gradient + ridge * (W - anchor):
# velocity <- momentum * velocity - learning_rate * g, and W moves by velocity, or with Nesterov's momentum by
# momentum * velocity - learning_rate * g.
cdef struct Step:
    double scale
    double learning_rate
    double momentum
    bint nesterov
    double ridge

# From the named tuples `Lists` and `Step`, which have to live as long as the struct is used.
cdef Pattern as_pattern(lists)
cdef Step as_step(step)

# Inside prange a struct has to be assigned whole: Cython shares one whose fields are assigned among the threads.
cdef inline List list_at(const int32_t *items, int64_t count) noexcept nogil:
    cdef List one
    one.items, one.count = items, count
    return one

# List k of a pattern.
cdef inline List list_of(const Pattern *pattern, Py_ssize_t k) noexcept nogil:
    return list_at(pattern.items + pattern.starts[k], pattern.counts[k])

# Whether a step moves all neurons; else only those that fire.
cdef inline bint moves_all(const Step *step) noexcept nogil:
    return step.momentum != 0 or step.ridge != 0

# Take a step with one neuron, from its gradient without the scale.  Without momentum and ridge the velocity stays.
cdef inline void move(real *w, const real *anchor, real *velocity, const real *gradient, Py_ssize_t padded,
                      const Step *step) noexcept nogil:
    cdef real scale = <real>step.scale, rate = <real>step.learning_rate, momentum = <real>step.momentum
    cdef real ridge = <real>step.ridge, g, v
    cdef Py_ssize_t j
    if momentum == 0 and ridge == 0:
        for j in range(padded):
            w[j] -= rate * scale * gradient[j]
        return
    for j in range(padded):
        g = scale * gradient[j] + ridge * (w[j] - anchor[j])
        v = momentum * velocity[j] - rate * g
        velocity[j] = v
        w[j] += momentum * v - rate * g if step.nesterov else v

# sum_j a[j] * b[j * stride] for j < d, in the order of additions that decides who fires.
cdef real dot_strided(const real *a, const real *b, Py_ssize_t stride, Py_ssize_t d) noexcept nogil

# out[i] = <w, X[i]> for i < n.
cdef void products(const Rows *X, const real *w, int64_t n, real *out) noexcept nogil

# Of the rows of X that the list names, those with <w, x> > threshold: their numbers and products; returns how many.
# Both need room for LANES entries more.
cdef int64_t keep_above(const Rows *X, const real *w, const List *list, real threshold, int32_t *kept,
                        real *products) noexcept nogil

# The same for those that keep_above leaves out.
cdef int64_t keep_others(const Rows *X, const real *w, const List *list, real threshold, int32_t *kept,
                         real *products) noexcept nogil

# rows[i, :] += factor * w and totals[i] += factor for every row i of the list.
cdef void add_to_rows(const real *w, real factor, Py_ssize_t padded, const List *list, real *rows,
                      real *totals) noexcept nogil

# total[:] += factor * the sum of the rows of the list.
cdef void add_rows(const Rows *rows, const List *list, real factor, real *total) noexcept nogil

# outputs[i, :] += signs[:] * (products[p] - shift) for every sample i = list[p].
cdef void add_outputs(const List *list, const real *products, real shift, const real *signs, Py_ssize_t n_outputs,
                      real *outputs) noexcept nogil

# gradient[:] = the sum over the samples i of the list of <signs, residuals[i]> x_i.
cdef void sum_gradient(const Rows *X, const List *list, const real *residuals, const real *signs, Py_ssize_t n_outputs,
                       real *gradient) noexcept nogil

# Sums over neurons are cut into so many blocks of consecutive neurons, which begin at the bounds and store what fires
# at the places; their outputs, a row each, are added in an order that cancels neurons of paired initialisation.
cdef Py_ssize_t output_blocks(Py_ssize_t entries) noexcept nogil
cdef object block_bounds(rows, Py_ssize_t width, Py_ssize_t n_blocks)
cdef object places_of(const int64_t[::1] counts, const int64_t[::1] bounds)
cdef void sum_all_blocks(const real[:, ::1] partial, Py_ssize_t entries, double scale, real[::1] outputs)
