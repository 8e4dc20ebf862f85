#include "normal.h"
#include "lanes.h"

/* Most units of a row that are kept in registers. */
#define UNITS_KEPT 8

/* Units of rows that are added to their neurons sample by sample. */
#define SHORT_UNITS 2

typedef double four __attribute__((vector_size(UNIT_BYTES)));

/* The same four numbers wherever they are. */
typedef double four_anywhere __attribute__((vector_size(UNIT_BYTES), aligned(8), may_alias));

#define LOAD(v, p) ((v) = *(const four_anywhere *)(p))
#define STORE(p, v) (*(four_anywhere *)(p) = (v))

/* Short loops over registers, which would go through memory if they were not unrolled before anything else. */
#define UNROLL _Pragma("GCC unroll 8")

/* Samples of a neuron beyond a stretch that are fetched for the next one: a cache line. */
#define AHEAD 16

INLINE double fold(four v)
{
    return (v[0] + v[2]) + (v[1] + v[3]);
}

/*
 * row[:] = weight <sum_q U[q, :], x> x[:] over the q of the list, with `units` units in a row.  The caller passes common
 * numbers as constants, so that loops over them are unrolled and sums stay in registers.
 */
INLINE void image_of_row(const double *U, const int32_t *list, int64_t count, const double *x, double weight, double *row,
                         const ptrdiff_t units)
{
    four sum[UNITS_KEPT] = {{0}}, along[UNITS_KEPT], total = {0}, value;
    for (int64_t p = 0; p < count; p++) {
        const double *of_neuron = U + 4 * units * list[p];
        UNROLL for (ptrdiff_t u = 0; u < units; u++) {
            LOAD(value, of_neuron + 4 * u);
            sum[u] += value;
        }
    }
    UNROLL for (ptrdiff_t u = 0; u < units; u++) {
        LOAD(along[u], x + 4 * u);
        total += sum[u] * along[u];
    }
    weight *= fold(total);
    UNROLL for (ptrdiff_t u = 0; u < units; u++) {
        along[u] *= weight;
        STORE(row + 4 * u, along[u]);
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

/* The same for rows too long for registers. */
INLINE void image_of_long_row(const double *U, const int32_t *list, int64_t count, const double *x, double weight,
                              double *row, ptrdiff_t units)
{
    double sum = 0;
    for (int64_t p = 0; p < count; p++)
        sum += dot_row(U + 4 * units * list[p], x, units);
    memset(row, 0, units * UNIT_BYTES);
    add_to_row(row, weight * sum, x, units);
}

/* The same for the rows of J of sample i with several outputs, added to the rows of its neurons in `out`. */
INLINE void add_rows_of_sample(const RowsOfJ *J, ptrdiff_t i, const double *U, double *out, double *along)
{
    const ptrdiff_t units = J->units, stride = units * 4, tracks = J->padded_outputs / 4;
    const double *x = J->X + i * J->padded, *signs = J->signs;
    memset(along, 0, tracks * UNIT_BYTES);
    for (int64_t p = J->by_sample[i]; p < J->by_sample[i + 1]; p++) {
        ptrdiff_t q = J->neurons[p];
        add_to_row(along, dot_row(U + q * stride, x, units), signs + q * J->padded_outputs, tracks);
    }
    for (int64_t p = J->by_sample[i]; p < J->by_sample[i + 1]; p++) {
        ptrdiff_t q = J->neurons[p];
        double total = dot_row(signs + q * J->padded_outputs, along, tracks);
        add_to_row(out + q * stride, J->weights[i] * total, x, units);
    }
}

/* Adds to each neuron the rows of the samples of a stretch on which it fires: sums stay in registers. */
INLINE void add_rows(const RowsOfJ *J, ptrdiff_t first, ptrdiff_t last, double *out, const Stretch *stretch,
                     const ptrdiff_t units)
{
    for (ptrdiff_t q = 0; q < J->n_neurons; q++, out += 4 * units) {
        const int32_t *sample = J->samples + stretch->places[q], *end = J->samples + J->by_neuron[q + 1];
        four sum[UNITS_KEPT], value;
        if (sample == end || *sample >= last)
            continue;
        UNROLL for (ptrdiff_t u = 0; u < units; u++)
            LOAD(sum[u], out + 4 * u);
        do {
            const double *row = stretch->rows + (*sample - first) * units * 4;
            UNROLL for (ptrdiff_t u = 0; u < units; u++) {
                LOAD(value, row + 4 * u);
                sum[u] += value;
            }
        } while (++sample < end && *sample < last);
        UNROLL for (ptrdiff_t u = 0; u < units; u++)
            STORE(out + 4 * u, sum[u]);
        stretch->places[q] = sample - J->samples;
        PREFETCH(sample + AHEAD);
    }
}

INLINE void add_long_rows(const RowsOfJ *J, ptrdiff_t first, ptrdiff_t last, double *out, const Stretch *stretch,
                          ptrdiff_t units)
{
    for (ptrdiff_t q = 0; q < J->n_neurons; q++, out += 4 * units) {
        int64_t p = stretch->places[q];
        for (; p < J->by_neuron[q + 1] && J->samples[p] < last; p++)
            add_to_row(out, 1.0, stretch->rows + (J->samples[p] - first) * units * 4, units);
        stretch->places[q] = p;
    }
}

/* out[q, :] += <signs[q, :], v[i, :]> x_i over the samples of a stretch. */
INLINE void add_rows_of_outputs(const RowsOfJ *J, ptrdiff_t first, ptrdiff_t last, const double *v, double *out,
                                const Stretch *stretch)
{
    const ptrdiff_t units = J->units, padded = J->padded_outputs;
    for (ptrdiff_t q = 0; q < J->n_neurons; q++, out += 4 * units) {
        int64_t p = stretch->places[q];
        for (; p < J->by_neuron[q + 1] && J->samples[p] < last; p++) {
            ptrdiff_t i = J->samples[p];
            add_to_row(out, dot_row(J->signs + q * padded, v + i * padded, padded / 4), J->X + i * J->padded, units);
        }
        stretch->places[q] = p;
    }
}

/* What FUNCTION does with rows of J->units units, where common numbers are constants. */
#define FOR_UNITS(FUNCTION, LONG_FUNCTION, ...) \
    switch (J->units) { \
    case 1: FUNCTION(__VA_ARGS__, 1); break; \
    case 2: FUNCTION(__VA_ARGS__, 2); break; \
    case 3: FUNCTION(__VA_ARGS__, 3); break; \
    case 4: FUNCTION(__VA_ARGS__, 4); break; \
    case 5: FUNCTION(__VA_ARGS__, 5); break; \
    case 6: FUNCTION(__VA_ARGS__, 6); break; \
    case 7: FUNCTION(__VA_ARGS__, 7); break; \
    case 8: FUNCTION(__VA_ARGS__, 8); break; \
    default: LONG_FUNCTION(__VA_ARGS__, J->units); \
    }

INLINE void images_of_rows(const RowsOfJ *J, ptrdiff_t first, ptrdiff_t last, const double *U, double *rows,
                           const ptrdiff_t units)
{
    for (ptrdiff_t i = first; i < last; i++) {
        const int64_t begin = J->by_sample[i], count = J->by_sample[i + 1] - begin;
        const double *x = J->X + i * J->padded;
        double *row = rows + (i - first) * units * 4;
        if (units <= UNITS_KEPT)
            image_of_row(U, J->neurons + begin, count, x, J->weights[i], row, units);
        else
            image_of_long_row(U, J->neurons + begin, count, x, J->weights[i], row, units);
    }
}

/* out += J^T J U sample by sample, where rows are so short that a sum of them waits for each addition. */
INLINE void add_short_rows(const RowsOfJ *J, ptrdiff_t first, ptrdiff_t last, const double *U, double *out,
                           const ptrdiff_t units)
{
    double row[4 * SHORT_UNITS];
    for (ptrdiff_t i = first; i < last; i++) {
        images_of_rows(J, i, i + 1, U, row, units);
        for (int64_t p = J->by_sample[i]; p < J->by_sample[i + 1]; p++)
            add_to_row(out + 4 * units * J->neurons[p], 1.0, row, units);
    }
}

/*
 * out += sum_i J_i^T J_i U over the samples first <= i < last.  What the neurons that fire on a sample add up to there is
 * found sample by sample; it goes to them neuron by neuron, a stretch of samples at a time whose rows are in cache.
 */
CLONES
void add_normal_product(const RowsOfJ *J, ptrdiff_t first, ptrdiff_t last, const double *U, double *out,
                        const Stretch *stretch)
{
    if (J->signs != NULL) {
        for (ptrdiff_t i = first; i < last; i++)
            add_rows_of_sample(J, i, U, out, stretch->along);
        return;
    }
    if (J->units == 1) {
        add_short_rows(J, first, last, U, out, 1);
        return;
    }
    if (J->units == 2) {
        add_short_rows(J, first, last, U, out, 2);
        return;
    }
    for (ptrdiff_t end; first < last; first = end) {
        end = last - first > stretch->length ? first + stretch->length : last;
        FOR_UNITS(images_of_rows, images_of_rows, J, first, end, U, stretch->rows);
        FOR_UNITS(add_rows, add_long_rows, J, first, end, out, stretch);
    }
}

CLONES
void add_transpose_product(const RowsOfJ *J, ptrdiff_t first, ptrdiff_t last, const double *v, double *out,
                           const Stretch *stretch)
{
    for (ptrdiff_t end; first < last; first = end) {
        end = last - first > stretch->length ? first + stretch->length : last;
        if (J->signs != NULL) {
            add_rows_of_outputs(J, first, end, v, out, stretch);
            continue;
        }
        for (ptrdiff_t i = first; i < end; i++) {
            double *row = stretch->rows + (i - first) * J->units * 4;
            memset(row, 0, J->units * UNIT_BYTES);
            add_to_row(row, v[i], J->X + i * J->padded, J->units);
        }
        FOR_UNITS(add_rows, add_long_rows, J, first, end, out, stretch);
    }
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
