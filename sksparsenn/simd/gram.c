#include "gram.h"
#include "lanes.h"

typedef double four __attribute__((vector_size(UNIT_BYTES)));

/*
 * sums[q, :] += moments[:] for each q of the list.  Rows of `sums` and `moments` hold
 * `size` numbers, a multiple of four.
 */
CLONES
void add_moments(const double *moments, ptrdiff_t size, const int32_t *list, int64_t count, double *sums)
{
    for (int64_t p = 0; p < count; p++) {
        double *sum = sums + list[p] * size;
        for (ptrdiff_t j = 0; j < size; j += 4) {
            four total, one;
            memcpy(&total, sum + j, sizeof total);
            memcpy(&one, moments + j, sizeof one);
            total += one;
            memcpy(sum + j, &total, sizeof total);
        }
    }
}
