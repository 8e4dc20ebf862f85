/* Sums from which Gauss-Newton matrices are made. */
#ifndef SKSPARSENN_GRAM_H
#define SKSPARSENN_GRAM_H

#include <stddef.h>
#include <stdint.h>

/*
 * The Jacobian over firing pairs: row (i, o) holds scale * root[i] * a_ro x_i for each neuron r that fires on sample i.
 * The samples of neuron r are samples[by_neuron[r] : by_neuron[r + 1]], the neurons of sample i are
 * neurons[by_sample[i] : by_sample[i + 1]], both ascending.
 */
typedef struct {
    const double *X;
    ptrdiff_t padded; /* numbers from one row of X to the next */
    ptrdiff_t n_samples, n_features, n_neurons, n_outputs;
    int64_t n_pairs;
    const double *root;
    const double *signs;
    double scale;
    const int64_t *by_neuron;
    const int32_t *samples;
    const int64_t *by_sample;
    const int32_t *neurons;
    const uint64_t *bits; /* `words` for each sample, a bit for each neuron that fires; NULL: use the lists */
    ptrdiff_t words;
} Jacobian;

/* Start to load the cache line at an address that will be read soon. */
static inline void fetch_ahead(const void *address)
{
    __builtin_prefetch(address);
}

/* Samples of a neuron that are fetched before they are needed: they lie far apart. */
#define AHEAD 4

static inline void fetch_sample(const Jacobian *J, ptrdiff_t i)
{
    const int32_t *neurons = J->neurons + J->by_sample[i];
    fetch_ahead(J->X + i * J->padded);
    fetch_ahead(J->X + i * J->padded + 8);
    fetch_ahead(neurons);
    fetch_ahead(neurons + 16);
}

/* Samples whose moments are added to sums at a time: a bit for each. */
#define MOMENTS_AT_ONCE 64

/* Room for the moments of that many samples. */
typedef struct {
    ptrdiff_t size, stride; /* numbers in a row of sums, a multiple of four, and from one row of moments to the next */
    double *moments;
    uint64_t *fires; /* for each neuron, on which of the samples it fires */
} Moments;

void add_moments(const Jacobian *J, const int32_t *samples, ptrdiff_t count, ptrdiff_t n_neurons, const Moments *M,
                 double *sums);
void count_common(const uint64_t *set, const uint64_t *sets, ptrdiff_t n_sets, ptrdiff_t words, double *counts);
void add_to_rows(const double *x, const int32_t *list, int64_t count, double *rows, ptrdiff_t units);

#endif
