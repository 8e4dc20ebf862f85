/*
 * One sample against neurons as an estimator stores them: rows that are not padded, so that nothing is copied first.
 *
 * The sample is padded with zeros, and what a load takes of the next row is masked: the bits are those of padded rows.
 */

#include "products_template.h"

#define STRIDE 128 /* neurons evaluated before those that fire are chosen */
#define AHEAD 32   /* entries of a list whose rows are fetched before their turn */

/* Where a row begins: the last ones, behind which a load would leave the table, are in a copy. */
INLINE const REAL *NAME(row_of)(const Neurons *of, int32_t number)
{
    int64_t beyond = number - of->n_inside;
    return beyond < 0 ? (const REAL *)of->rows + number * of->columns : (const REAL *)of->last + beyond * of->padded;
}

/* Lane q of the result is <x, w_r> for neuron r = number[q]. */
INLINE UNIT NAME(dot_neurons)(const Neurons *of, ptrdiff_t padded, const REAL *x, const int32_t *number,
                              const BITS *mask)
{
    UNIT sum[ROWS][UNITS] = {{{0}}};
    const REAL *w[ROWS];
    ptrdiff_t j = 0;
    for (int q = 0; q < ROWS; q++)
        w[q] = NAME(row_of)(of, number[q]);
    for (; j < padded - LANES; j += LANES)
        for (ptrdiff_t u = 0; u < UNITS; u++) {
            UNIT xj = NAME(load)(x + j + u * UNIT_LANES);
            for (int q = 0; q < ROWS; q++)
                sum[q][u] += xj * NAME(load)(w[q] + j + u * UNIT_LANES);
        }
    for (ptrdiff_t u = 0; u < UNITS; u++) {
        UNIT xj = NAME(load)(x + j + u * UNIT_LANES);
        for (int q = 0; q < ROWS; q++)
            sum[q][u] += xj * (UNIT)((BITS)NAME(load)(w[q] + j + u * UNIT_LANES) & mask[u]);
    }
    return NAME(fold_rows)(sum);
}

/* Of at most STRIDE listed neurons, those that fire. */
INLINE int64_t NAME(keep_some_neurons)(const Neurons *of, ptrdiff_t padded, const REAL *x, List some, REAL threshold,
                                       const BITS *mask, int32_t *kept, REAL *products)
{
    REAL product[STRIDE];
    int32_t number[STRIDE + LANES];
    int64_t k = 0;
    memcpy(number, some.items, some.count * sizeof *number);
    for (int l = 0; l < LANES; l++) /* the rest as one more group, its last row filling up */
        number[some.count + l] = some.items[some.count - 1];
    for (int64_t p = 0; p < some.count; p += ROWS) {
        for (int q = 0; q < ROWS; q++)
            if (p + q + AHEAD < some.count)
                PREFETCH(NAME(row_of)(of, number[p + q + AHEAD]));
        UNIT z = NAME(dot_neurons)(of, padded, x, number + p, mask);
        memcpy(product + p, &z, sizeof z);
    }
    for (int64_t p = 0; p < some.count; p += ROWS)
        k += NAME(keep_rows)(product + p, number + p, some.count - p, threshold, 0, kept + k, products + k);
    return k;
}

/*
 * Of the neurons r that `list` names, keep those with <x, w_r> > threshold: their numbers
 * go to `kept`, their inner products to `products`.  Returns how many.  Both need
 * room for LANES entries more, which are written over.
 */
CLONES
int64_t NAME(keep_neurons)(const Neurons *of, const REAL *x, const List *list, REAL threshold, int32_t *kept,
                           REAL *products)
{
    BITS mask[UNITS];
    int64_t held = 0;
    for (ptrdiff_t u = 0; u < UNITS; u++)
        for (ptrdiff_t l = 0; l < UNIT_LANES; l++)
            mask[u][l] = of->padded - LANES + u * UNIT_LANES + l < of->columns ? -1 : 0;
#define KEEP(P) \
    for (int64_t p = 0; p < list->count; p += STRIDE) { \
        List some = {list->items + p, list->count - p < STRIDE ? list->count - p : STRIDE}; \
        held += NAME(keep_some_neurons)(of, P, x, some, threshold, mask, kept + held, products + held); \
    } \
    return held
    switch (of->padded) { /* narrow rows with their width as a constant */
    case LANES: KEEP(LANES);
    case 2 * LANES: KEEP(2 * LANES);
    case 3 * LANES: KEEP(3 * LANES);
    default: KEEP(of->padded);
    }
#undef KEEP
}
#undef UNIT
#undef BITS
#undef NUMBERS
#undef UNIT_LANES
#undef UNITS
#undef ROWS
#undef STRIDE
#undef AHEAD
