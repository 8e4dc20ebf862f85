/*
 * Products with J^T J, one row of J after the other: what a sample's neurons add up to, and what goes back to them.
 *
 * The including file defines REAL and NAME(f) as lanes.h says.  Sums have no fixed order of lanes: bits differ from
 * those of `dot`, but not from machine to machine, since nothing is contracted.
 */

#define UNIT_LANES ((ptrdiff_t)(UNIT_BYTES / sizeof(REAL)))
#define UNIT NAME(unit)

typedef REAL UNIT __attribute__((vector_size(UNIT_BYTES)));

#define LOAD(v, p) memcpy(&(v), (p), sizeof(v))
#define STORE(p, v) memcpy((p), &(v), sizeof(v))

INLINE REAL NAME(fold)(UNIT v)
{
    REAL lane[UNIT_BYTES / sizeof(REAL)];
    STORE(lane, v);
    for (ptrdiff_t half = UNIT_LANES / 2; half > 0; half /= 2)
        for (ptrdiff_t l = 0; l < half; l++)
            lane[l] += lane[l + half];
    return lane[0];
}

/*
 * out[q, :] += weight <sum_q U[q, :], x> x[:] for each q of the list, with `units` units in a row.  The caller passes
 * common numbers as constants, so that loops over them are unrolled and sums stay in registers.
 */
INLINE void NAME(add_row)(const REAL *U, const int32_t *list, int64_t count, const REAL *x, REAL weight, REAL *out,
                          const ptrdiff_t units)
{
    UNIT sum[UNITS_KEPT] = {{0}}, along[UNITS_KEPT], total = {0}, value;
    for (int64_t p = 0; p < count; p++)
        for (ptrdiff_t u = 0; u < units; u++) {
            LOAD(value, U + UNIT_LANES * (list[p] * units + u));
            sum[u] += value;
        }
    for (ptrdiff_t u = 0; u < units; u++) {
        LOAD(along[u], x + UNIT_LANES * u);
        total += sum[u] * along[u];
    }
    weight *= NAME(fold)(total);
    for (ptrdiff_t u = 0; u < units; u++)
        along[u] *= weight;
    for (int64_t p = 0; p < count; p++)
        for (ptrdiff_t u = 0; u < units; u++) {
            REAL *row = out + UNIT_LANES * (list[p] * units + u);
            LOAD(value, row);
            value += along[u];
            STORE(row, value);
        }
}

/* <U[q, :], x>, for rows of any length. */
INLINE REAL NAME(dot_row)(const REAL *row, const REAL *x, ptrdiff_t units)
{
    UNIT total = {0}, value, along;
    for (ptrdiff_t u = 0; u < units; u++) {
        LOAD(value, row + UNIT_LANES * u);
        LOAD(along, x + UNIT_LANES * u);
        total += value * along;
    }
    return NAME(fold)(total);
}

/* row[:] += factor x[:] */
INLINE void NAME(add_to_row)(REAL *row, REAL factor, const REAL *x, ptrdiff_t units)
{
    UNIT value, along;
    for (ptrdiff_t u = 0; u < units; u++) {
        LOAD(value, row + UNIT_LANES * u);
        LOAD(along, x + UNIT_LANES * u);
        value += factor * along;
        STORE(row + UNIT_LANES * u, value);
    }
}

/* The same as add_row for rows too long for registers. */
INLINE void NAME(add_long_row)(const REAL *U, const int32_t *list, int64_t count, const REAL *x, REAL weight,
                               REAL *out, ptrdiff_t units)
{
    REAL sum = 0;
    for (int64_t p = 0; p < count; p++)
        sum += NAME(dot_row)(U + UNIT_LANES * units * list[p], x, units);
    for (int64_t p = 0; p < count; p++)
        NAME(add_to_row)(out + UNIT_LANES * units * list[p], weight * sum, x, units);
}

/* The same for the rows of J of sample i with several outputs; `along` has room for a row of signs. */
INLINE void NAME(add_rows_of_outputs)(const RowsOfJ *J, ptrdiff_t i, const REAL *U, REAL *out, REAL *along)
{
    const ptrdiff_t units = J->units, stride = units * UNIT_LANES, tracks = J->padded_outputs / UNIT_LANES;
    const REAL *x = (const REAL *)J->X + i * J->padded, *signs = J->signs;
    const REAL weight = ((const REAL *)J->weights)[i];
    memset(along, 0, tracks * UNIT_BYTES);
    for (int64_t p = J->by_sample[i]; p < J->by_sample[i + 1]; p++) {
        ptrdiff_t q = J->neurons[p];
        NAME(add_to_row)(along, NAME(dot_row)(U + q * stride, x, units), signs + q * J->padded_outputs, tracks);
    }
    for (int64_t p = J->by_sample[i]; p < J->by_sample[i + 1]; p++) {
        ptrdiff_t q = J->neurons[p];
        REAL total = NAME(dot_row)(signs + q * J->padded_outputs, along, tracks);
        NAME(add_to_row)(out + q * stride, weight * total, x, units);
    }
}

/*
 * out += sum_i J_i^T J_i U over the samples first <= i < last: to the rows of the neurons that fire on a sample goes
 * what all of them add up to there.
 */
CLONES
void NAME(add_normal_product)(const RowsOfJ *J, ptrdiff_t first, ptrdiff_t last, const REAL *U, REAL *out, REAL *along)
{
    const REAL *X = J->X, *weights = J->weights;
    const int64_t *begin = J->by_sample;
#define FOR_SAMPLES(ADD, UNITS) \
    for (ptrdiff_t i = first; i < last; i++) \
        ADD(U, J->neurons + begin[i], begin[i + 1] - begin[i], X + i * J->padded, weights[i], out, UNITS)
    if (J->signs != NULL) {
        for (ptrdiff_t i = first; i < last; i++)
            NAME(add_rows_of_outputs)(J, i, U, out, along);
        return;
    }
    switch (J->units) {
    case 1: FOR_SAMPLES(NAME(add_row), 1); break;
    case 2: FOR_SAMPLES(NAME(add_row), 2); break;
    case 3: FOR_SAMPLES(NAME(add_row), 3); break;
    case 4: FOR_SAMPLES(NAME(add_row), 4); break;
    case 5: FOR_SAMPLES(NAME(add_row), 5); break;
    case 6: FOR_SAMPLES(NAME(add_row), 6); break;
    case 7: FOR_SAMPLES(NAME(add_row), 7); break;
    case 8: FOR_SAMPLES(NAME(add_row), 8); break;
    default: FOR_SAMPLES(NAME(add_long_row), J->units);
    }
#undef FOR_SAMPLES
}

#undef LOAD
#undef STORE
#undef UNIT
#undef UNIT_LANES
