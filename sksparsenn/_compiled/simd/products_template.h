/*
 * What the one inner product is made of, and the choice of those above a threshold.
 *
 * Files with kernels that decide who fires include it, and are compiled without contraction.
 */

#include "units_template.h"

#define UNITS (LANES / UNIT_LANES) /* units that hold one number for every lane */
#define ROWS UNIT_LANES            /* rows whose inner products are computed together, to fill one unit */

typedef int32_t NAME(numbers) __attribute__((vector_size(ROWS * sizeof(int32_t))));
#define NUMBERS NAME(numbers)

INLINE REAL NAME(fold)(const REAL *lane)
{
    return ((lane[0] + lane[4]) + (lane[2] + lane[6]))
         + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

/* Lane p of the result is the fold of row p. */
INLINE UNIT NAME(fold_rows)(UNIT (*row)[UNITS])
{
#if SINGLE
#define HALVES(p) SHUFFLE(row[p][0], row[p + 4][0], 0, 1, 2, 3, 8, 9, 10, 11) \
                + SHUFFLE(row[p][0], row[p + 4][0], 4, 5, 6, 7, 12, 13, 14, 15)
    UNIT a = HALVES(0), b = HALVES(1), c = HALVES(2), d = HALVES(3);
#undef HALVES
    UNIT ab = SHUFFLE(a, b, 0, 1, 8, 9, 4, 5, 12, 13) + SHUFFLE(a, b, 2, 3, 10, 11, 6, 7, 14, 15);
    UNIT cd = SHUFFLE(c, d, 0, 1, 8, 9, 4, 5, 12, 13) + SHUFFLE(c, d, 2, 3, 10, 11, 6, 7, 14, 15);
    return SHUFFLE(ab, cd, 0, 2, 8, 10, 4, 6, 12, 14) + SHUFFLE(ab, cd, 1, 3, 9, 11, 5, 7, 13, 15);
#else
    UNIT a = row[0][0] + row[0][1], b = row[1][0] + row[1][1], c = row[2][0] + row[2][1], d = row[3][0] + row[3][1];
    UNIT ab = SHUFFLE(a, b, 0, 1, 4, 5) + SHUFFLE(a, b, 2, 3, 6, 7);
    UNIT cd = SHUFFLE(c, d, 0, 1, 4, 5) + SHUFFLE(c, d, 2, 3, 6, 7);
    return SHUFFLE(ab, cd, 0, 2, 4, 6) + SHUFFLE(ab, cd, 1, 3, 5, 7);
#endif
}

/* Row b: the positions of the set bits of b, ascending, then anything. */
static BITS NAME(chosen)[1 << UNIT_LANES];

__attribute__((constructor)) static void NAME(fill_chosen)(void)
{
    for (int bits = 0; bits < 1 << UNIT_LANES; bits++)
        for (int lane = 0, k = 0; lane < UNIT_LANES; lane++)
            if (bits >> lane & 1)
                NAME(chosen)[bits][k++] = lane;
}

/* Append those of ROWS numbers, of which the first `left` count, whose products lie above the threshold, or the others. */
INLINE int64_t NAME(keep_rows)(const REAL *product, const int32_t *number, int64_t left, REAL threshold, int others,
                               int32_t *kept, REAL *products)
{
    UNIT z = NAME(load)(product), cut = (UNIT){0} + threshold;
    uint32_t bits = NAME(word)(NAME(above)(z, cut));
    if (others)
        bits ^= (1u << ROWS) - 1;
    if (left < ROWS)
        bits &= (1u << left) - 1;
    NUMBERS sample;
    memcpy(&sample, number, sizeof sample);
    BITS chosen = NAME(chosen)[bits];
    z = PERMUTE(z, chosen);
    sample = PERMUTE(sample, __builtin_convertvector(chosen, NUMBERS));
    memcpy(kept, &sample, sizeof sample);
    memcpy(products, &z, sizeof z);
    return __builtin_popcount(bits);
}
