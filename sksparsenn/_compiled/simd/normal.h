/* Products with J^T J over firing pairs, and sums over vectors. */
#ifndef SKSPARSENN_NORMAL_H
#define SKSPARSENN_NORMAL_H

#include <stddef.h>
#include <stdint.h>

/*
 * The rows of J by samples: on sample i fire the neurons[by_sample[i] : by_sample[i + 1]], and
 * row (i, o) is the square root of weights[i] times signs[q, o] X[i, :] for each such neuron q.
 */
typedef struct {
    const double *X; /* rows of `padded` numbers */
    const double *weights;
    const double *signs; /* rows of `padded_outputs` numbers; NULL: ones, for one output */
    ptrdiff_t padded, padded_outputs;
    ptrdiff_t units; /* vectors of 32 bytes in a row of U or out; rows of X hold as many, or more */
    const int64_t *by_sample;
    const int32_t *neurons;
    const int64_t *by_neuron; /* the same pairs by neurons: q fires on the samples[by_neuron[q] : by_neuron[q + 1]] */
    const int32_t *samples;
    ptrdiff_t n_neurons;
} RowsOfJ;

/* Where a stretch of samples keeps what it adds to its neurons. */
typedef struct {
    ptrdiff_t length; /* samples in a stretch */
    double *rows; /* a row of 4 * units numbers for each sample of a stretch */
    double *along; /* room for `padded_outputs` numbers */
    int64_t *places; /* where in the samples of each neuron the stretch begins */
} Stretch;

/* out += J^T J U over the samples first <= i < last; `places` are where they begin, and are moved to their end. */
void add_normal_product(const RowsOfJ *J, ptrdiff_t first, ptrdiff_t last, const double *U, double *out,
                        const Stretch *stretch);

/* out[q, :] += sum_i <signs[q, :], v[i, :]> X[i, :] over the samples first <= i < last on which q fires; the same. */
void add_transpose_product(const RowsOfJ *J, ptrdiff_t first, ptrdiff_t last, const double *v, double *out,
                           const Stretch *stretch);

/* Vectors of n numbers in double precision. */
double dot_of_vectors(const double *a, const double *b, ptrdiff_t n);
void add_multiple(double *y, double factor, const double *x, ptrdiff_t n);

#endif
