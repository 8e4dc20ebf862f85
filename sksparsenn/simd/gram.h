/* What the Gauss-Newton matrices are added up with. */
#ifndef SKSPARSENN_GRAM_H
#define SKSPARSENN_GRAM_H

#include <stddef.h>
#include <stdint.h>

/* Ask for the cache line at an address that will be read soon. */
static inline void fetch_ahead(const void *address)
{
    __builtin_prefetch(address);
}

void add_moments(const double *moments, ptrdiff_t size, const int32_t *list, int64_t count, double *sums);
void add_normal_product(const double *X, ptrdiff_t padded, const double *weights, const int64_t *by_sample,
                        const int32_t *neurons, ptrdiff_t first, ptrdiff_t last, const double *U, double *out,
                        ptrdiff_t units);
void count_common(const uint64_t *set, const uint64_t *sets, ptrdiff_t n_sets, ptrdiff_t words, double *counts);
void add_to_rows(const double *x, const int32_t *list, int64_t count, double *rows, ptrdiff_t units);

#endif
