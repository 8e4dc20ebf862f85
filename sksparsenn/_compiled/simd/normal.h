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
} RowsOfJ;

/* out += J^T J U over the samples first <= i < last; `along` has room for J->padded_outputs numbers. */
void add_normal_product(const RowsOfJ *J, ptrdiff_t first, ptrdiff_t last, const double *U, double *out, double *along);

/* Vectors of n numbers in double precision. */
double dot_of_vectors(const double *a, const double *b, ptrdiff_t n);
void add_multiple(double *y, double factor, const double *x, ptrdiff_t n);

#endif
