#include "gram.h"
#include "lanes.h"

typedef double four __attribute__((vector_size(UNIT_BYTES)));

/* The same four numbers wherever they are. */
typedef double four_anywhere __attribute__((vector_size(UNIT_BYTES), aligned(8), may_alias));

#define LOAD(v, p) ((v) = *(const four_anywhere *)(p))
#define STORE(p, v) (*(four_anywhere *)(p) = (v))

/* Short loops over registers, which would go through memory if they were not unrolled before anything else. */
#define UNROLL _Pragma("GCC unroll 16")

/* Most units of a row that are kept in registers, beside the one that is added. */
#define UNITS_KEPT 12

INLINE ptrdiff_t least(ptrdiff_t a, ptrdiff_t b)
{
    return a < b ? a : b;
}

/*
 * out[:] = the lower triangle of weight x x^T, row by row.  Rows are written in whole units: the next one covers what is
 * too much, and behind the last one there has to be room for a unit.
 */
INLINE void second_moments(const double *x, ptrdiff_t d, double weight, double *out)
{
    for (ptrdiff_t a = 0; a < d; out += ++a) {
        double factor = weight * x[a];
        for (ptrdiff_t b = 0; b <= a; b += 4) {
            four one;
            LOAD(one, x + b);
            one *= factor;
            STORE(out + b, one);
        }
    }
}

/*
 * Adds `units` units of the moments of some samples to the sums of each neuron that fires on them.  The caller passes
 * common numbers as constants, so that loops over them are unrolled and sums stay in registers.
 */
INLINE void add_units(const Moments *M, ptrdiff_t n_neurons, ptrdiff_t first, double *sums, const ptrdiff_t units)
{
    const double *moments = M->moments + 4 * first;
    sums += 4 * first;
    for (ptrdiff_t q = 0; q < n_neurons; q++, sums += M->size) {
        four sum[UNITS_KEPT], one;
        uint64_t rest = M->fires[q];
        if (rest == 0)
            continue;
        UNROLL for (ptrdiff_t u = 0; u < units; u++)
            LOAD(sum[u], sums + 4 * u);
        for (; rest != 0; rest &= rest - 1) {
            const double *of_sample = moments + __builtin_ctzll(rest) * M->stride;
            UNROLL for (ptrdiff_t u = 0; u < units; u++) {
                LOAD(one, of_sample + 4 * u);
                sum[u] += one;
            }
        }
        UNROLL for (ptrdiff_t u = 0; u < units; u++)
            STORE(sums + 4 * u, sum[u]);
    }
}

/*
 * sums[q, :] += root[i]^2 x_i x_i^T for each of at most 64 ascending samples i, and each neuron q < n_neurons that fires
 * on i.  Sums stay in registers while the samples are added to them, so many units at a time.
 */
CLONES
void add_moments(const Jacobian *J, const int32_t *samples, ptrdiff_t count, ptrdiff_t n_neurons, const Moments *M,
                 double *sums)
{
    memset(M->fires, 0, n_neurons * sizeof(uint64_t));
    for (ptrdiff_t j = 0; j < count; j++) {
        const ptrdiff_t i = samples[j];
        const int32_t *neuron = J->neurons + J->by_sample[i], *end = J->neurons + J->by_sample[i + 1];
        if (j + AHEAD < count)
            fetch_sample(J, samples[j + AHEAD]);
        second_moments(J->X + i * J->padded, J->n_features, J->root[i] * J->root[i], M->moments + j * M->stride);
        for (; neuron < end && *neuron < n_neurons; neuron++)
            M->fires[*neuron] |= UINT64_C(1) << j;
    }
    ptrdiff_t units = M->size / 4, parts = (units + UNITS_KEPT - 1) / UNITS_KEPT, kept = (units + parts - 1) / parts;
    for (ptrdiff_t first = 0; first < units; first += kept) {
#define CASE(UNITS) case UNITS: add_units(M, n_neurons, first, sums, UNITS); break
        switch (least(kept, units - first)) {
        CASE(1); CASE(2); CASE(3); CASE(4); CASE(5); CASE(6); CASE(7); CASE(8); CASE(9); CASE(10); CASE(11); CASE(12);
        }
#undef CASE
    }
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
