/* What the Gauss-Newton matrices are added up with. */
#ifndef SKSPARSENN_GRAM_H
#define SKSPARSENN_GRAM_H

#include <stddef.h>
#include <stdint.h>

void add_moments(const double *moments, ptrdiff_t size, const int32_t *list, int64_t count, double *sums);

#endif
