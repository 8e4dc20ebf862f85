#include "normal.h"
#include "lanes.h"

/* Most units of a row that are kept in registers. */
#define UNITS_KEPT 8

#define REAL float
#define NAME(f) f##_float
#include "normal_template.h"
#undef REAL
#undef NAME

#define REAL double
#define NAME(f) f##_double
#include "normal_template.h"

/* Independent sums: enough for additions to follow each other without waiting. */
#define SUMS 4

CLONES
double dot_of_vectors(const double *a, const double *b, ptrdiff_t n)
{
    double sum[LANES * SUMS] = {0}, total = 0;
    ptrdiff_t j = 0;
    for (; j + LANES * SUMS <= n; j += LANES * SUMS)
        for (int l = 0; l < LANES * SUMS; l++)
            sum[l] += a[j + l] * b[j + l];
    for (int l = 0; j < n; j++, l++)
        sum[l] += a[j] * b[j];
    for (int l = 0; l < LANES * SUMS; l++)
        total += sum[l];
    return total;
}

CLONES
void add_multiple(double *y, double factor, const double *x, ptrdiff_t n)
{
    for (ptrdiff_t j = 0; j < n; j++)
        y[j] += factor * x[j];
}
