/*
 * Inner products, outputs and gradients over lists of (neuron, sample) pairs.
 *
 * There is one inner product in this package.  `dot` fixes the order of its
 * additions: eight running sums, one per coordinate modulo 8, folded as
 * ((0+4)+(2+6)) + ((1+5)+(3+7)).  Whoever decides whether a neuron fires does it
 * with this number, so that every search finds the same pairs, ties included,
 * and this file is compiled without contraction into fused multiply-adds, so
 * that the number has the same bits on every machine.
 */

typedef REAL NAME(unit) __attribute__((vector_size(UNIT_BYTES)));
typedef REAL NAME(quad) __attribute__((vector_size(4 * sizeof(REAL))));
#define UNIT NAME(unit)
#define QUAD NAME(quad)
#define UNIT_LANES ((ptrdiff_t)(UNIT_BYTES / sizeof(REAL)))
#define UNITS (LANES / UNIT_LANES) /* units that hold one number for every lane */

INLINE UNIT NAME(load)(const REAL *p)
{
    UNIT v;
    memcpy(&v, p, sizeof v);
    return v;
}

INLINE REAL NAME(fold)(const REAL *lane)
{
    return ((lane[0] + lane[4]) + (lane[2] + lane[6]))
         + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

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

/* Lane l of the result is lanes l and l + 4 together: the first step of `fold`. */
INLINE QUAD NAME(fold_halves)(const UNIT *lanes)
{
    QUAD half[2];
    memcpy(half, lanes, sizeof half);
    return half[0] + half[1];
}

/* Lane p of the result is the fold of row p, for four rows at once. */
INLINE QUAD NAME(fold_rows)(UNIT (*row)[UNITS])
{
    QUAD a = NAME(fold_halves)(row[0]), b = NAME(fold_halves)(row[1]);
    QUAD c = NAME(fold_halves)(row[2]), d = NAME(fold_halves)(row[3]);
    QUAD ab = SHUFFLE(a, b, 0, 1, 4, 5) + SHUFFLE(a, b, 2, 3, 6, 7);
    QUAD cd = SHUFFLE(c, d, 0, 1, 4, 5) + SHUFFLE(c, d, 2, 3, 6, 7);
    return SHUFFLE(ab, cd, 0, 2, 4, 6) + SHUFFLE(ab, cd, 1, 3, 5, 7);
}

/* z[q] = <w, x[q]> for ROWS rows gathered together, so that their loads overlap. */
INLINE void NAME(dot_rows)(const REAL *const *x, const REAL *w, ptrdiff_t padded, QUAD z[ROWS / 4])
{
    UNIT sum[ROWS][UNITS] = {{{0}}};
    for (ptrdiff_t j = 0; j < padded; j += LANES)
        for (ptrdiff_t u = 0; u < UNITS; u++) {
            UNIT wj = NAME(load)(w + j + u * UNIT_LANES);
            for (int q = 0; q < ROWS; q++)
                sum[q][u] += wj * NAME(load)(x[q] + j + u * UNIT_LANES);
        }
    for (int h = 0; h < ROWS; h += 4)
        z[h / 4] = NAME(fold_rows)(sum + h);
}

/* products[i] = <w, X[i]> for the first n rows of X. */
CLONES
void NAME(products)(const REAL *X, ptrdiff_t padded, const REAL *w, int64_t n, REAL *products)
{
    int64_t i = 0;
    for (; i + ROWS <= n; i += ROWS) {
        const REAL *x[ROWS];
        QUAD z[ROWS / 4];
        for (int q = 0; q < ROWS; q++)
            x[q] = X + (i + q) * padded;
        NAME(dot_rows)(x, w, padded, z);
        memcpy(products + i, z, sizeof z);
    }
    for (; i < n; i++)
        products[i] = NAME(dot)(w, X + i * padded, padded);
}

/*
 * Of the `count` rows of X named by `list`, keep those with <w, x> > threshold:
 * their numbers go to `kept`, their inner products to `products`.  Returns how
 * many; kept may be list itself.  Both outputs need room for `count` entries.
 */
CLONES
int64_t NAME(keep_above)(const REAL *X, ptrdiff_t padded, const REAL *w, const int32_t *list,
                         int64_t count, REAL threshold, int32_t *kept, REAL *products)
{
    int64_t k = 0, p = 0;
    const REAL *x[ROWS];
    QUAD z[ROWS / 4];
    int32_t sample[ROWS];
    for (; p + ROWS <= count; p += ROWS) {
        memcpy(sample, list + p, sizeof sample);
        for (int q = 0; q < ROWS; q++)
            x[q] = X + sample[q] * padded;
        NAME(dot_rows)(x, w, padded, z);
        for (int q = 0; q < ROWS; q++) { /* append without a branch */
            kept[k] = sample[q];
            products[k] = z[q / 4][q % 4];
            k += z[q / 4][q % 4] > threshold;
        }
    }
    if (p < count) { /* the rest together as well, the last row filling up */
        for (int q = 0; q < ROWS; q++) {
            sample[q] = list[p + q < count ? p + q : count - 1];
            x[q] = X + sample[q] * padded;
        }
        NAME(dot_rows)(x, w, padded, z);
        for (int q = 0; q < count - p; q++) {
            REAL product = z[q / 4][q % 4];
            kept[k] = sample[q];
            products[k] = product;
            k += product > threshold;
        }
    }
    return k;
}

/* outputs[i, :] += signs[:] * (products[p] - shift) for every firing sample i = list[p]. */
CLONES
void NAME(add_outputs)(const int32_t *list, const REAL *products, int64_t count, REAL shift,
                       const REAL *signs, ptrdiff_t n_outputs, REAL *outputs)
{
    if (n_outputs == 1) {
        REAL sign = signs[0];
        for (int64_t p = 0; p < count; p++)
            outputs[list[p]] += sign * (products[p] - shift);
        return;
    }
    for (int64_t p = 0; p < count; p++) {
        REAL activation = products[p] - shift;
        REAL *out = outputs + list[p] * n_outputs;
        for (ptrdiff_t o = 0; o < n_outputs; o++)
            out[o] += signs[o] * activation;
    }
}

INLINE REAL NAME(pull)(const REAL *residuals, const REAL *signs, ptrdiff_t n_outputs, int32_t i)
{
    REAL c = 0;
    const REAL *residual = residuals + i * n_outputs;
    for (ptrdiff_t o = 0; o < n_outputs; o++)
        c += signs[o] * residual[o];
    return c;
}

INLINE void NAME(add_gradient_of)(const REAL *X, ptrdiff_t padded, const int32_t *list, int64_t count,
                                  const REAL *residuals, const REAL *signs, ptrdiff_t n_outputs, REAL *gradient)
{
    int64_t p = 0;
    for (; p + 4 <= count; p += 4) {
        const REAL *x0 = X + list[p] * padded, *x1 = X + list[p + 1] * padded;
        const REAL *x2 = X + list[p + 2] * padded, *x3 = X + list[p + 3] * padded;
        REAL c0 = NAME(pull)(residuals, signs, n_outputs, list[p]);
        REAL c1 = NAME(pull)(residuals, signs, n_outputs, list[p + 1]);
        REAL c2 = NAME(pull)(residuals, signs, n_outputs, list[p + 2]);
        REAL c3 = NAME(pull)(residuals, signs, n_outputs, list[p + 3]);
        for (ptrdiff_t j = 0; j < padded; j += UNIT_LANES) {
            UNIT sum = (c0 * NAME(load)(x0 + j) + c1 * NAME(load)(x1 + j))
                     + (c2 * NAME(load)(x2 + j) + c3 * NAME(load)(x3 + j));
            sum += NAME(load)(gradient + j);
            memcpy(gradient + j, &sum, sizeof sum);
        }
    }
    for (; p < count; p++) {
        const REAL *x = X + list[p] * padded;
        REAL c = NAME(pull)(residuals, signs, n_outputs, list[p]);
        for (ptrdiff_t j = 0; j < padded; j++)
            gradient[j] += c * x[j];
    }
}

/* gradient[:] += sum_p <signs, residuals[i, :]> x_i over the firing samples i = list[p]. */
CLONES
void NAME(add_gradient)(const REAL *X, ptrdiff_t padded, const int32_t *list, int64_t count,
                        const REAL *residuals, const REAL *signs, ptrdiff_t n_outputs, REAL *gradient)
{
    if (n_outputs == 1) /* the common case, its loop over outputs compiled away */
        NAME(add_gradient_of)(X, padded, list, count, residuals, signs, 1, gradient);
    else
        NAME(add_gradient_of)(X, padded, list, count, residuals, signs, n_outputs, gradient);
}
#undef UNIT
#undef QUAD
#undef UNIT_LANES
#undef UNITS
