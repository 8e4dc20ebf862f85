/*
 * Points against half-spaces, a block at a time: the filter before the decision.
 *
 * Points are packed in blocks of BLOCK: coordinate j of point p of a block is
 * block[j * BLOCK + p].  The products here are rounded differently from the one
 * in exact_template.h (this file may fuse multiply-adds), so callers pass cuts
 * lowered by a bound on that difference and decide what lies between.
 */

#include "units_template.h"

#define BLOCK ((ptrdiff_t)(BLOCK_BYTES / sizeof(REAL)))

/* The bits of four blocks as one word. */
INLINE uint64_t NAME(join_bits)(const uint16_t *bits)
{
    return (uint64_t)bits[0] | (uint64_t)bits[1] << BLOCK
         | (uint64_t)bits[2] << 2 * BLOCK | (uint64_t)bits[3] << 3 * BLOCK;
}

/* Append to `found` the positions of the set bits, counted from `first`. */
INLINE int64_t NAME(list_bits)(const uint16_t *bits, int64_t n_blocks, int32_t first, int32_t *found, int64_t length)
{
    for (int64_t b = 0; b < n_blocks; b += 4, first += 4 * BLOCK)
        for (uint64_t word = NAME(join_bits)(bits + b); word; word &= word - 1)
            found[length++] = first + __builtin_ctzll(word);
    return length;
}

/* In a field of `leaf` bits each, how many bits of the two words are set in it; leaf is 4, 8, 16 or 32. */
INLINE uint64_t NAME(count_bits)(uint64_t one, uint64_t other, int leaf)
{
    const uint64_t twos = UINT64_MAX / 3, fours = UINT64_MAX / 5;
    one -= one >> 1 & twos;
    other -= other >> 1 & twos;
    uint64_t count = (one & fours) + (one >> 2 & fours) + (other & fours) + (other >> 2 & fours);
    for (int field = 4; field < leaf; field *= 2) {
        uint64_t every_other = UINT64_MAX / ((UINT64_C(1) << field) + 1);
        count = (count & every_other) + (count >> field & every_other);
    }
    return count;
}

/*
 * The same, where leaves may be listed in place of their points.
 *
 * A leaf is, by its first point with LEAF set, if that makes the list shorter: of its points only
 * those not marked are on the list then, with EXCEPTION set, instead of those whose bits are set.
 * Leaves that reach beyond the last of all points never are.
 */
INLINE int64_t NAME(list_leaves)(const uint16_t *bits, const uint16_t *marks, int64_t n_blocks,
                                 const Leaves *leaves, int32_t first, int32_t *found, int64_t length)
{
    int leaf = leaves->size;
    int64_t n_points = leaves->n_points;
    uint64_t points = (UINT64_C(1) << leaf) - 1, starts = UINT64_MAX / points;
    /* Carries into the highest bit of a field from leaf + 1 on. */
    uint64_t enough = starts * ((UINT64_C(1) << (leaf - 1)) - (uint64_t)leaf - 1);
    for (int64_t b = 0; b < n_blocks; b += 4, first += 4 * BLOCK) {
        uint64_t near = NAME(join_bits)(bits + b), sure = NAME(join_bits)(marks + b);
        if (!near)
            continue;
        uint64_t whole = (NAME(count_bits)(near, sure, leaf) + enough) >> (leaf - 1) & starts;
        if (first + 4 * BLOCK > n_points) {
            int64_t left = (n_points - first) / leaf * leaf;
            whole &= left > 0 ? (UINT64_C(1) << left) - 1 : 0;
        }
        uint64_t inside = whole * points;
        for (uint64_t word = (inside & ~sure) | (near & ~inside); word; word &= word - 1) {
            int place = __builtin_ctzll(word);
            found[length++] = (int32_t)((uint32_t)(first + place) | (inside >> place & 1 ? EXCEPTION : 0));
        }
        for (; whole; whole &= whole - 1)
            found[length++] = (int32_t)((uint32_t)(first + __builtin_ctzll(whole)) | LEAF);
    }
    return length;
}

/* The bits of the points of a block beyond the cut. */
INLINE uint16_t NAME(beyond)(UNIT left, UNIT right, UNIT cut)
{
    return (uint16_t)NAME(word)(NAME(above)(left, cut) | NAME(above)(right, cut) << UNIT_LANES);
}

/* The bits of the points of a block beyond `lower`; those not beyond `upper` join the doubt. */
INLINE uint16_t NAME(note)(UNIT left, UNIT right, UNIT lower, UNIT upper, BITS *doubt)
{
    BITS l = NAME(above)(left, lower), r = NAME(above)(right, lower);
    *doubt |= (l ^ NAME(above)(left, upper)) | (r ^ NAME(above)(right, upper));
    return (uint16_t)NAME(word)(l | r << UNIT_LANES);
}

/*
 * A stretch of at most STRETCH blocks against at most GROUP half-spaces.
 *
 * For q < half_spaces->n: append to found[q] the numbers of the points whose product
 * with normal q exceeds low[q], in ascending order; lengths[q] counts them, and
 * found[q] needs room for all points of the stretch.  Returns a bit q for every
 * half-space with a product between low[q] and high[q], where only the inner product
 * of exact_template.h may decide.  With leaves of a size other than 0, leaves are
 * listed as `list_leaves` does, points beyond high[q] marked.
 */
CLONES
uint32_t NAME(scan_stretch)(const PackedPoints *points, const HalfSpaces *half_spaces,
                            const Leaves *leaves, int32_t *const *found, int64_t *lengths)
{
    const REAL *normals = half_spaces->normals, *low = half_spaces->low, *high = half_spaces->high;
    int64_t n_blocks = points->n_blocks;
    ptrdiff_t d = points->d;
    int n_normals = half_spaces->n, leaf = leaves->size;
    uint16_t bits[GROUP][STRETCH], marks[GROUP][STRETCH];
    /* Written out for a group of four: as arrays, the sums would live in memory. */
    BITS doubt0 = {0}, doubt1 = {0}, doubt2 = {0}, doubt3 = {0};
    const REAL *w[GROUP];
    UNIT lower[GROUP], upper[GROUP];
    for (int q = 0; q < GROUP; q++) { /* an incomplete group repeats its first member */
        int s = q < n_normals ? q : 0;
        w[q] = normals + s * half_spaces->stride;
        lower[q] = (UNIT){0} + low[s];
        upper[q] = (UNIT){0} + high[s];
    }
    for (int64_t b = 0; b < n_blocks; b++) {
        const REAL *block = (const REAL *)points->blocks + b * d * BLOCK;
        UNIT l0 = {0}, l1 = {0}, l2 = {0}, l3 = {0}, r0 = {0}, r1 = {0}, r2 = {0}, r3 = {0};
        for (ptrdiff_t j = 0; j < d; j++) {
            UNIT left, right;
            memcpy(&left, block + j * BLOCK, sizeof left);
            memcpy(&right, block + j * BLOCK + UNIT_LANES, sizeof right);
            l0 += left * w[0][j];
            r0 += right * w[0][j];
            l1 += left * w[1][j];
            r1 += right * w[1][j];
            l2 += left * w[2][j];
            r2 += right * w[2][j];
            l3 += left * w[3][j];
            r3 += right * w[3][j];
        }
        bits[0][b] = NAME(note)(l0, r0, lower[0], upper[0], &doubt0);
        bits[1][b] = NAME(note)(l1, r1, lower[1], upper[1], &doubt1);
        bits[2][b] = NAME(note)(l2, r2, lower[2], upper[2], &doubt2);
        bits[3][b] = NAME(note)(l3, r3, lower[3], upper[3], &doubt3);
        if (leaf) {
            marks[0][b] = NAME(beyond)(l0, r0, upper[0]);
            marks[1][b] = NAME(beyond)(l1, r1, upper[1]);
            marks[2][b] = NAME(beyond)(l2, r2, upper[2]);
            marks[3][b] = NAME(beyond)(l3, r3, upper[3]);
        }
    }
    BITS doubt[GROUP] = {doubt0, doubt1, doubt2, doubt3};
    uint32_t doubtful = 0;
    for (int q = 0; q < n_normals; q++) {
        for (int64_t b = n_blocks; b % 4; b++)
            bits[q][b] = marks[q][b] = 0;
        if (leaf)
            lengths[q] = NAME(list_leaves)(bits[q], marks[q], n_blocks, leaves, points->first, found[q], lengths[q]);
        else
            lengths[q] = NAME(list_bits)(bits[q], n_blocks, points->first, found[q], lengths[q]);
        doubtful |= (uint32_t)(!leaf && NAME(word)(doubt[q]) != 0) << q;
    }
    return doubtful;
}

/*
 * Up to 64 points, packed in whole blocks, against one half-space: the bits of the
 * points beyond `low`, and in `sure` the bits of those beyond `high`.
 */
CLONES
uint64_t NAME(scan_leaf)(const REAL *blocks, ptrdiff_t n_blocks, ptrdiff_t d, const REAL *normal, REAL low,
                         REAL high, uint64_t *sure)
{
    uint64_t maybe = 0, certain = 0;
    UNIT lower = (UNIT){0} + low, upper = (UNIT){0} + high;
    for (ptrdiff_t b = 0; b < n_blocks; b++) {
        UNIT left = {0}, right = {0};
        for (ptrdiff_t j = 0; j < d; j++, blocks += BLOCK) {
            UNIT l, r;
            memcpy(&l, blocks, sizeof l);
            memcpy(&r, blocks + UNIT_LANES, sizeof r);
            left += l * normal[j];
            right += r * normal[j];
        }
        maybe |= (uint64_t)NAME(beyond)(left, right, lower) << b * BLOCK;
        certain |= (uint64_t)NAME(beyond)(left, right, upper) << b * BLOCK;
    }
    *sure = certain;
    return maybe;
}

/*
 * The FANOUT children of a tree node against one half-space.  Child c lies in the
 * box |p_j - centre_j| <= half_j and in the ball |p - centre| <= radius, and no
 * point of it is longer than reach.  The numbers of a node are laid out as
 * centre[d][FANOUT], half[d][FANOUT], radius[FANOUT], reach[FANOUT].
 *
 * Returns the bits of the children that may hold points beyond the threshold, and
 * in `inside` the bits of those that lie beyond it with all their points.
 * Rounding is bounded by error * |normal| * reach + tiny.
 */
CLONES
uint32_t NAME(classify_children)(const REAL *node, ptrdiff_t d, const REAL *normal, REAL norm,
                                 REAL error, REAL tiny, REAL threshold, uint32_t *inside)
{
    const REAL *halves = node + d * FANOUT, *radii = node + 2 * d * FANOUT, *reaches = radii + FANOUT;
    uint32_t open = 0, within = 0;
    for (ptrdiff_t c = 0; c < FANOUT; c += UNIT_LANES) {
        UNIT middle = {0}, box = {0}, radius, reach;
        for (ptrdiff_t j = 0; j < d; j++) {
            UNIT centre, half;
            REAL w = normal[j], length = w < 0 ? -w : w;
            memcpy(&centre, node + j * FANOUT + c, sizeof centre);
            memcpy(&half, halves + j * FANOUT + c, sizeof half);
            middle += centre * w;
            box += half * length;
        }
        memcpy(&radius, radii + c, sizeof radius);
        memcpy(&reach, reaches + c, sizeof reach);
        radius *= norm;
        for (int l = 0; l < UNIT_LANES; l++)
            radius[l] = radius[l] < box[l] ? radius[l] : box[l];
        UNIT spread = radius + (reach * (error * norm) + tiny), cut = (UNIT){0} + threshold;
        open |= NAME(word)(NAME(above)(middle + spread, cut)) << c;
        within |= NAME(word)(NAME(above)(middle - spread, cut)) << c;
    }
    *inside = within;
    return open;
}
#undef UNIT
#undef BITS
#undef BLOCK
#undef UNIT_LANES
