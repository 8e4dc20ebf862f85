/*
 * Inner products, outputs and gradients over lists of (neuron, sample) pairs.
 *
 * There is one inner product in this package.  `dot` fixes the order of its
 * additions: eight running sums, one per coordinate modulo 8, folded as
 * ((0+4)+(2+6)) + ((1+5)+(3+7)).  Whether a neuron fires is decided with this
 * number only, so that every search finds the same pairs, ties included,
 * and this file is compiled without contraction into fused multiply-adds, so
 * that the number has the same bits on every machine.
 */

#include "products_template.h"

#define WIDEST (4 * LANES)         /* columns of a gradient whose sums stay in registers */
#define STRIDE 128                 /* candidates that a neuron evaluates before it is the turn of the other one */
#define AHEAD 256                  /* entries of a list to prefetch: lists are long, read once, and come from memory */

/* sum_j a[j] * b[j * stride], j < d.  The slow, obvious form of the order above. */
REAL NAME(dot_strided)(const REAL *a, const REAL *b, ptrdiff_t stride, ptrdiff_t d)
{
    REAL lane[LANES] = {0};
    for (ptrdiff_t j = 0; j < d; j++)
        lane[j % LANES] += a[j] * b[j * stride];
    return NAME(fold)(lane);
}

/* The same bits as dot_strided with stride 1, for rows padded with zeros. */
INLINE REAL NAME(dot)(const REAL *a, const REAL *b, ptrdiff_t padded)
{
    REAL lane[LANES] = {0};
    for (ptrdiff_t j = 0; j < padded; j += LANES)
        for (int l = 0; l < LANES; l++)
            lane[l] += a[j + l] * b[j + l];
    return NAME(fold)(lane);
}

/* Lane q of the result is <w, X[number[q]]>: rows gathered together, so that their loads overlap. */
INLINE UNIT NAME(dot_rows)(const REAL *X, ptrdiff_t padded, const REAL *w, const int32_t *number)
{
    UNIT sum[ROWS][UNITS];
    const REAL *x[ROWS];
    for (int q = 0; q < ROWS; q++)
        x[q] = X + number[q] * padded;
    for (ptrdiff_t u = 0; u < UNITS; u++) {
        UNIT wj = NAME(load)(w + u * UNIT_LANES);
        for (int q = 0; q < ROWS; q++)
            sum[q][u] = wj * NAME(load)(x[q] + u * UNIT_LANES);
    }
    for (ptrdiff_t j = LANES; j < padded; j += LANES)
        for (ptrdiff_t u = 0; u < UNITS; u++) {
            UNIT wj = NAME(load)(w + j + u * UNIT_LANES);
            for (int q = 0; q < ROWS; q++)
                sum[q][u] += wj * NAME(load)(x[q] + j + u * UNIT_LANES);
        }
    return NAME(fold_rows)(sum);
}

/* products[i] = <w, X[i]> for the first n rows of X. */
CLONES
void NAME(products)(const Rows *rows, const REAL *w, int64_t n, REAL *products)
{
    const REAL *X = rows->data;
    ptrdiff_t padded = rows->padded;
    int64_t i = 0;
    int32_t number[ROWS];
    for (int q = 0; q < ROWS; q++)
        number[q] = q;
    for (; i + ROWS <= n; i += ROWS) {
        UNIT z = NAME(dot_rows)(X + i * padded, padded, w, number);
        memcpy(products + i, &z, sizeof z);
    }
    for (; i < n; i++)
        products[i] = NAME(dot)(w, X + i * padded, padded);
}

/*
 * Of at most STRIDE candidates.  All products first, then the choice: chained group by
 * group, a processor would wait for the choice of one before it gets to the products of the next.
 */
INLINE int64_t NAME(keep_some)(const REAL *X, ptrdiff_t padded, const REAL *w, List some, REAL threshold, int others,
                               int32_t *kept, REAL *products)
{
    const int32_t *list = some.items;
    int64_t count = some.count;
    REAL product[STRIDE];
    int32_t number[ROWS];
    int64_t k = 0, p = 0, whole = count - count % ROWS;
    for (; p < whole; p += ROWS) {
        PREFETCH(list + p + AHEAD);
        UNIT z = NAME(dot_rows)(X, padded, w, list + p);
        memcpy(product + p, &z, sizeof z);
    }
    if (p < count) { /* the rest as one more group, its last row filling up */
        for (int q = 0; q < ROWS; q++)
            number[q] = list[p + q < count ? p + q : count - 1];
        UNIT z = NAME(dot_rows)(X, padded, w, number);
        memcpy(product + p, &z, sizeof z);
    }
    for (p = 0; p < whole; p += ROWS)
        k += NAME(keep_rows)(product + p, list + p, ROWS, threshold, others, kept + k, products + k);
    if (p < count)
        k += NAME(keep_rows)(product + p, number, count - p, threshold, others, kept + k, products + k);
    return k;
}

/* Candidates p and on of a list, as many as a neuron evaluates at a time. */
INLINE List NAME(stretch)(const List *list, int64_t p)
{
    return (List){list->items + p, list->count - p < STRIDE ? list->count - p : STRIDE};
}

#define KEEP_LIST(OTHERS) \
    const REAL *X = rows->data; \
    int64_t held = 0; \
    switch (rows->padded) { /* narrow rows with their width as a constant */ \
    case LANES: KEEP_STRIDES(LANES, OTHERS); \
    case 2 * LANES: KEEP_STRIDES(2 * LANES, OTHERS); \
    case 3 * LANES: KEEP_STRIDES(3 * LANES, OTHERS); \
    default: KEEP_STRIDES(rows->padded, OTHERS); \
    }
#define KEEP_STRIDES(P, OTHERS) \
    for (int64_t p = 0; p < list->count; p += STRIDE) \
        held += NAME(keep_some)(X, P, w, NAME(stretch)(list, p), threshold, OTHERS, kept + held, products + held); \
    return held

/*
 * Of the rows that `list` names, keep those with <w, x> > threshold: their numbers
 * go to `kept`, their inner products to `products`.  Returns how many.  Both need
 * room for LANES entries more, which are written over.
 */
CLONES
int64_t NAME(keep_above)(const Rows *rows, const REAL *w, const List *list, REAL threshold, int32_t *kept,
                         REAL *products)
{
    KEEP_LIST(0)
}

/* The same for the other rows, those that `keep_above` leaves out. */
CLONES
int64_t NAME(keep_others)(const Rows *rows, const REAL *w, const List *list, REAL threshold, int32_t *kept,
                          REAL *products)
{
    KEEP_LIST(1)
}
#undef KEEP_LIST
#undef KEEP_STRIDES

/*
 * keep_above for two neurons s = 0 and 1 at once: held[s] is how many each keeps.
 *
 * They take turns, STRIDE candidates each.  The two neurons of a pair that started
 * with equal weights list much the same samples, whose rows are then in the nearest
 * cache when the second one comes to them.
 */
CLONES
void NAME(keep_above_two)(const Rows *rows, const REAL *const *w, const List *lists, REAL threshold,
                          int32_t *const *kept, REAL *const *products, int64_t *held)
{
    const REAL *X = rows->data;
    held[0] = held[1] = 0;
#define KEEP(P) \
    for (int64_t p = 0; p < lists[0].count || p < lists[1].count; p += STRIDE) \
        for (int s = 0; s < 2; s++) \
            if (p < lists[s].count) \
                held[s] += NAME(keep_some)(X, P, w[s], NAME(stretch)(lists + s, p), threshold, 0, \
                                           kept[s] + held[s], products[s] + held[s]); \
    return
    switch (rows->padded) {
    case LANES: KEEP(LANES);
    case 2 * LANES: KEEP(2 * LANES);
    case 3 * LANES: KEEP(3 * LANES);
    default: KEEP(rows->padded);
    }
#undef KEEP
}

/* outputs[i, :] += signs[:] * (products[p] - shift) for every firing sample i = list[p]. */
CLONES
void NAME(add_outputs)(const List *which, const REAL *products, REAL shift, const REAL *signs, ptrdiff_t n_outputs,
                       REAL *outputs)
{
    const int32_t *list = which->items;
    int64_t count = which->count;
    if (n_outputs == 1) {
        int64_t p = 0;
        for (; p + UNIT_LANES <= count; p += UNIT_LANES) {
            UNIT part = signs[0] * (NAME(load)(products + p) - shift);
            for (int q = 0; q < UNIT_LANES; q++)
                outputs[list[p + q]] += part[q];
        }
        for (; p < count; p++)
            outputs[list[p]] += signs[0] * (products[p] - shift);
        return;
    }
    for (int64_t p = 0; p < count; p++) {
        REAL activation = products[p] - shift;
        REAL *out = outputs + list[p] * n_outputs;
        for (ptrdiff_t o = 0; o < n_outputs; o++)
            out[o] += signs[o] * activation;
    }
}

/* What the factor of a sample in a neuron's gradient is made of: residuals of samples, signs of the neuron. */
typedef struct {
    const REAL *residuals;
    const REAL *signs;
    ptrdiff_t n_outputs;
} NAME(pulls);

/* The factor of sample i in a neuron's gradient; with one output the sign is left to the end. */
INLINE REAL NAME(pull)(NAME(pulls) of, ptrdiff_t i)
{
    if (of.n_outputs == 1)
        return of.residuals[i];
    REAL c = 0;
    for (ptrdiff_t o = 0; o < of.n_outputs; o++)
        c += of.signs[o] * of.residuals[i * of.n_outputs + o];
    return c;
}

INLINE void NAME(add_four)(const REAL *X, ptrdiff_t padded, const int32_t *list, const REAL *c, UNIT *sum,
                           ptrdiff_t n_units)
{
    const REAL *x0 = X + list[0] * padded, *x1 = X + list[1] * padded;
    const REAL *x2 = X + list[2] * padded, *x3 = X + list[3] * padded;
    for (ptrdiff_t u = 0; u < n_units; u++)
        sum[u] += (c[0] * NAME(load)(x0 + u * UNIT_LANES) + c[1] * NAME(load)(x1 + u * UNIT_LANES))
                + (c[2] * NAME(load)(x2 + u * UNIT_LANES) + c[3] * NAME(load)(x3 + u * UNIT_LANES));
}

/* Adds to `n_units` sums, a constant number that stay in registers, of columns of the gradient. */
INLINE void NAME(add_strip)(const REAL *X, ptrdiff_t padded, ptrdiff_t n_units, List some, NAME(pulls) of, UNIT *sums)
{
    const int32_t *list = some.items;
    UNIT sum[WIDEST / UNIT_LANES];
    memcpy(sum, sums, n_units * sizeof(UNIT));
    int64_t p = 0;
    for (; p + 4 <= some.count; p += 4) {
        PREFETCH(list + p + AHEAD);
        REAL c[4] = {NAME(pull)(of, list[p]), NAME(pull)(of, list[p + 1]), NAME(pull)(of, list[p + 2]),
                     NAME(pull)(of, list[p + 3])};
        NAME(add_four)(X, padded, list + p, c, sum, n_units);
    }
    if (p < some.count) { /* the rest as one more group, its last row filling up with weight zero */
        int32_t number[4];
        REAL c[4];
        for (int q = 0; q < 4; q++) {
            number[q] = list[p + q < some.count ? p + q : some.count - 1];
            c[q] = p + q < some.count ? NAME(pull)(of, number[q]) : 0;
        }
        NAME(add_four)(X, padded, number, c, sum, n_units);
    }
    memcpy(sums, sum, n_units * sizeof(UNIT));
}

/* The gradients of n <= 2 neurons, to be written to gradient[0] and, for two, gradient[1]. */
typedef struct {
    const REAL *X;
    ptrdiff_t padded;
    int n;
    const List *lists;
    const REAL *residuals;
    const REAL *const *signs;
    REAL *const *gradient;
} NAME(gradients);

/* Of those gradients the `strip` columns from j on; the neurons take turns. */
INLINE void NAME(sum_strip)(NAME(gradients) of, ptrdiff_t strip, ptrdiff_t n_outputs, ptrdiff_t j)
{
    UNIT sums[2][WIDEST / UNIT_LANES] = {{{0}}};
    const List *lists = of.lists;
    int64_t longest = of.n == 1 || lists[0].count > lists[1].count ? lists[0].count : lists[1].count;
    for (int64_t p = 0; p < longest; p += STRIDE)
        for (int s = 0; s < of.n; s++)
            if (p < lists[s].count)
                NAME(add_strip)(of.X + j, of.padded, strip / UNIT_LANES, NAME(stretch)(lists + s, p),
                                (NAME(pulls)){of.residuals, of.signs[s], n_outputs}, sums[s]);
    for (int s = 0; s < of.n; s++) {
        REAL sign = n_outputs == 1 ? of.signs[s][0] : 1;
        for (ptrdiff_t u = 0; u < strip / UNIT_LANES; u++) {
            UNIT total = sign * sums[s][u];
            memcpy(of.gradient[s] + j + u * UNIT_LANES, &total, sizeof total);
        }
    }
}

/* gradient[s][:] = sum_p <signs[s], residuals[i, :]> x_i over the firing samples i of lists[s], for n <= 2 neurons. */
CLONES
void NAME(sum_gradients)(const Rows *rows, int n, const List *lists, const REAL *residuals, const REAL *const *signs,
                         ptrdiff_t n_outputs, REAL *const *gradient)
{
    NAME(gradients) of = {rows->data, rows->padded, n, lists, residuals, signs, gradient};
    for (ptrdiff_t j = 0; j < of.padded; j += WIDEST) {
#define ADD(P) \
    if (n_outputs == 1) /* the common case, its loop over outputs compiled away */ \
        NAME(sum_strip)(of, P, 1, j); \
    else \
        NAME(sum_strip)(of, P, n_outputs, j); \
    break
        switch (of.padded - j) {
        case LANES: ADD(LANES);
        case 2 * LANES: ADD(2 * LANES);
        case 3 * LANES: ADD(3 * LANES);
        default: ADD(WIDEST);
        }
#undef ADD
    }
}

/* In `n_units` units of columns: rows[i, :] += factor * w for every row i of the list. */
INLINE void NAME(add_to_strip)(const REAL *w, REAL factor, ptrdiff_t padded, ptrdiff_t n_units, const List *list,
                               REAL *rows)
{
    UNIT part[WIDEST / UNIT_LANES];
    for (ptrdiff_t u = 0; u < n_units; u++)
        part[u] = factor * NAME(load)(w + u * UNIT_LANES);
    for (int64_t p = 0; p < list->count; p++) {
        REAL *row = rows + list->items[p] * padded;
        for (ptrdiff_t u = 0; u < n_units; u++) {
            UNIT sum = NAME(load)(row + u * UNIT_LANES) + part[u];
            memcpy(row + u * UNIT_LANES, &sum, sizeof sum);
        }
    }
}

/* In `n_units` units of columns: sum[:] += factor * sum_p rows[i, :]. */
INLINE void NAME(add_strip_of_rows)(const REAL *rows, ptrdiff_t padded, ptrdiff_t n_units, const List *list,
                                    REAL factor, REAL *sum)
{
    UNIT total[WIDEST / UNIT_LANES] = {{0}};
    for (int64_t p = 0; p < list->count; p++)
        for (ptrdiff_t u = 0; u < n_units; u++)
            total[u] += NAME(load)(rows + list->items[p] * padded + u * UNIT_LANES);
    for (ptrdiff_t u = 0; u < n_units; u++) {
        UNIT moved = NAME(load)(sum + u * UNIT_LANES) + factor * total[u];
        memcpy(sum + u * UNIT_LANES, &moved, sizeof moved);
    }
}

/* Strips of columns j and on, the number of their units a constant: F(units) for each. */
#define EACH_STRIP(F) \
    for (ptrdiff_t j = 0; j < padded; j += WIDEST) \
        switch (padded - j) { \
        case LANES: F(UNITS); break; \
        case 2 * LANES: F(2 * UNITS); break; \
        case 3 * LANES: F(3 * UNITS); break; \
        default: F(WIDEST / UNIT_LANES); \
        }

/* rows[i, :] += factor * w and totals[i] += factor for every row i of the list. */
CLONES
void NAME(add_to_rows)(const REAL *w, REAL factor, ptrdiff_t padded, const List *list, REAL *rows, REAL *totals)
{
#define ADD(N) NAME(add_to_strip)(w + j, factor, padded, N, list, rows + j)
    EACH_STRIP(ADD)
#undef ADD
    for (int64_t p = 0; p < list->count; p++)
        totals[list->items[p]] += factor;
}

/* sum[:] += factor * the sum of the rows that the list names. */
CLONES
void NAME(add_rows)(const Rows *rows, const List *list, REAL factor, REAL *sum)
{
    const REAL *data = rows->data;
    ptrdiff_t padded = rows->padded;
#define ADD(N) NAME(add_strip_of_rows)(data + j, padded, N, list, factor, sum + j)
    EACH_STRIP(ADD)
#undef ADD
}
#undef EACH_STRIP
#undef UNIT
#undef BITS
#undef NUMBERS
#undef UNIT_LANES
#undef UNITS
#undef ROWS
#undef WIDEST
#undef STRIDE
#undef AHEAD
