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

#define LOAD(v, p) memcpy(&(v), (p), sizeof(v))
#define STORE(p, v) memcpy((p), &(v), sizeof(v))

/* Most units of a row that are kept in registers. */
#define UNITS_KEPT 8

/*
 * out[q, :] += weight <sum_q U[q, :], x> x[:] for each q of the list: one row of J meets
 * J^T J.  Rows hold `units` vectors of four; the caller passes common numbers as constants, so
 * that loops over them are unrolled.
 */
INLINE void add_row_product(const double *U, const int32_t *list, int64_t count, const double *x, double weight,
                            double *out, const ptrdiff_t units)
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
    weight *= (total[0] + total[2]) + (total[1] + total[3]);
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

/* The same for rows too long for registers. */
INLINE void add_long_row_product(const double *U, const int32_t *list, int64_t count, const double *x, double weight,
                                 double *out, ptrdiff_t units)
{
    four total = {0}, value, along;
    for (int64_t p = 0; p < count; p++)
        for (ptrdiff_t u = 0; u < units; u++) {
            LOAD(value, U + 4 * (list[p] * units + u));
            LOAD(along, x + 4 * u);
            total += value * along;
        }
    weight *= (total[0] + total[2]) + (total[1] + total[3]);
    for (int64_t p = 0; p < count; p++)
        for (ptrdiff_t u = 0; u < units; u++) {
            double *row = out + 4 * (list[p] * units + u);
            LOAD(value, row);
            LOAD(along, x + 4 * u);
            value += weight * along;
            STORE(row, value);
        }
}

/*
 * out += sum_i weights[i] x_i (x_i . sum_q U[q, :]) over samples first <= i < last, added to the rows q of the neurons
 * that fire on i.  Rows of U and out hold `units` vectors of four.
 */
CLONES
void add_normal_product(const Jacobian *J, const double *weights, ptrdiff_t first, ptrdiff_t last, const double *U,
                        double *out, ptrdiff_t units)
{
    const double *X = J->X;
    const ptrdiff_t padded = J->padded;
    const int64_t *by_sample = J->by_sample;
    const int32_t *neurons = J->neurons;
#define FOR_SAMPLES(ADD, UNITS) \
    for (ptrdiff_t i = first; i < last; i++) \
        ADD(U, neurons + by_sample[i], by_sample[i + 1] - by_sample[i], X + i * padded, weights[i], out, UNITS)
    switch (units) {
    case 1: FOR_SAMPLES(add_row_product, 1); break;
    case 2: FOR_SAMPLES(add_row_product, 2); break;
    case 3: FOR_SAMPLES(add_row_product, 3); break;
    case 4: FOR_SAMPLES(add_row_product, 4); break;
    case 5: FOR_SAMPLES(add_row_product, 5); break;
    case 6: FOR_SAMPLES(add_row_product, 6); break;
    case 7: FOR_SAMPLES(add_row_product, 7); break;
    case 8: FOR_SAMPLES(add_row_product, 8); break;
    default: FOR_SAMPLES(add_long_row_product, units);
    }
#undef FOR_SAMPLES
}

/* rows[q, :] += x[:] for each q of the list; rows hold `units` vectors of four. */
CLONES
void add_to_rows(const double *x, const int32_t *list, int64_t count, double *rows, ptrdiff_t units)
{
    for (int64_t p = 0; p < count; p++)
        for (ptrdiff_t u = 0; u < units; u++) {
            four value, along;
            double *row = rows + 4 * (list[p] * units + u);
            LOAD(value, row);
            LOAD(along, x + 4 * u);
            value += along;
            STORE(row, value);
        }
}

INLINE void count_common_words(const uint64_t *set, const uint64_t *sets, ptrdiff_t n_sets, const ptrdiff_t words,
                               double *counts)
{
    for (ptrdiff_t j = 0; j < n_sets; j++, sets += words) {
        int64_t common = 0;
        for (ptrdiff_t w = 0; w < words; w++)
            common += __builtin_popcountll(set[w] & sets[w]);
        counts[j] = (double)common;
    }
}

/* counts[j] = how many members `set` shares with the j-th of the `sets`; a set has `words` words, a bit for each member. */
CLONES
void count_common(const uint64_t *set, const uint64_t *sets, ptrdiff_t n_sets, ptrdiff_t words, double *counts)
{
#define CASE(WORDS) case WORDS: count_common_words(set, sets, n_sets, WORDS, counts); break
    switch (words) { /* common numbers as constants, so that loops over them are unrolled */
    CASE(1); CASE(2); CASE(3); CASE(4); CASE(5); CASE(6); CASE(7); CASE(8);
    default: count_common_words(set, sets, n_sets, words, counts);
    }
#undef CASE
}
