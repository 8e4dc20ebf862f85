#include "normal.h"
#include "lanes.h"

/* Most units of a row that are kept in registers. */
#define UNITS_KEPT 8

typedef double four __attribute__((vector_size(UNIT_BYTES)));

#define LOAD(v, p) memcpy(&(v), (p), sizeof(v))
#define STORE(p, v) memcpy((p), &(v), sizeof(v))

INLINE double fold(four v)
{
    return (v[0] + v[2]) + (v[1] + v[3]);
}

/*
 * out[q, :] += weight <sum_q U[q, :], x> x[:] for each q of the list, with `units` units in a row.  The caller passes
 * common numbers as constants, so that loops over them are unrolled and sums stay in registers.
 */
INLINE void add_row(const double *U, const int32_t *list, int64_t count, const double *x, double weight, double *out,
                          const ptrdiff_t units)
{
    four sum[UNITS_KEPT] = {{0}}, along[UNITS_KEPT], total = {0}, value;
    for (int64_t p = 0; p < count; p++)
        for (ptrdiff_t u = 0; u < units; u++) {
            LOAD(value, U + 4 * (list[p] * units + u));
            sum[u] += value;
        }
    for (ptrdiff_t u = 0; u < units; u++) {
        LOAD(along[u], x + 4 * u);
        total += sum[u] * along[u];
    }
    weight *= fold(total);
    for (ptrdiff_t u = 0; u < units; u++)
        along[u] *= weight;
    for (int64_t p = 0; p < count; p++)
        for (ptrdiff_t u = 0; u < units; u++) {
            double *row = out + 4 * (list[p] * units + u);
            LOAD(value, row);
            value += along[u];
            STORE(row, value);
        }
}

/* <U[q, :], x>, for rows of any length. */
INLINE double dot_row(const double *row, const double *x, ptrdiff_t units)
{
    four total = {0}, value, along;
    for (ptrdiff_t u = 0; u < units; u++) {
        LOAD(value, row + 4 * u);
        LOAD(along, x + 4 * u);
        total += value * along;
    }
    return fold(total);
}

/* row[:] += factor x[:] */
INLINE void add_to_row(double *row, double factor, const double *x, ptrdiff_t units)
{
    four value, along;
    for (ptrdiff_t u = 0; u < units; u++) {
        LOAD(value, row + 4 * u);
        LOAD(along, x + 4 * u);
        value += factor * along;
        STORE(row + 4 * u, value);
    }
}

/* The same as add_row for rows too long for registers. */
INLINE void add_long_row(const double *U, const int32_t *list, int64_t count, const double *x, double weight,
                               double *out, ptrdiff_t units)
{
    double sum = 0;
    for (int64_t p = 0; p < count; p++)
        sum += dot_row(U + 4 * units * list[p], x, units);
    for (int64_t p = 0; p < count; p++)
        add_to_row(out + 4 * units * list[p], weight * sum, x, units);
}

/* The same for the rows of J of sample i with several outputs; `along` has room for a row of signs. */
INLINE void add_rows_of_outputs(const RowsOfJ *J, ptrdiff_t i, const double *U, double *out, double *along)
{
    const ptrdiff_t units = J->units, stride = units * 4, tracks = J->padded_outputs / 4;
    const double *x = J->X + i * J->padded, *signs = J->signs;
    const double weight = J->weights[i];
    memset(along, 0, tracks * UNIT_BYTES);
    for (int64_t p = J->by_sample[i]; p < J->by_sample[i + 1]; p++) {
        ptrdiff_t q = J->neurons[p];
        add_to_row(along, dot_row(U + q * stride, x, units), signs + q * J->padded_outputs, tracks);
    }
    for (int64_t p = J->by_sample[i]; p < J->by_sample[i + 1]; p++) {
        ptrdiff_t q = J->neurons[p];
        double total = dot_row(signs + q * J->padded_outputs, along, tracks);
        add_to_row(out + q * stride, weight * total, x, units);
    }
}

/*
 * out += sum_i J_i^T J_i U over the samples first <= i < last: to the rows of the neurons that fire on a sample goes
 * what all of them add up to there.
 */
CLONES
void add_normal_product(const RowsOfJ *J, ptrdiff_t first, ptrdiff_t last, const double *U, double *out, double *along)
{
    const double *X = J->X, *weights = J->weights;
    const int64_t *begin = J->by_sample;
#define FOR_SAMPLES(ADD, UNITS) \
    for (ptrdiff_t i = first; i < last; i++) \
        ADD(U, J->neurons + begin[i], begin[i + 1] - begin[i], X + i * J->padded, weights[i], out, UNITS)
    if (J->signs != NULL) {
        for (ptrdiff_t i = first; i < last; i++)
            add_rows_of_outputs(J, i, U, out, along);
        return;
    }
    switch (J->units) {
    case 1: FOR_SAMPLES(add_row, 1); break;
    case 2: FOR_SAMPLES(add_row, 2); break;
    case 3: FOR_SAMPLES(add_row, 3); break;
    case 4: FOR_SAMPLES(add_row, 4); break;
    case 5: FOR_SAMPLES(add_row, 5); break;
    case 6: FOR_SAMPLES(add_row, 6); break;
    case 7: FOR_SAMPLES(add_row, 7); break;
    case 8: FOR_SAMPLES(add_row, 8); break;
    default: FOR_SAMPLES(add_long_row, J->units);
    }
#undef FOR_SAMPLES
}

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
