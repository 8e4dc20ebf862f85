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
