/*
 * A unit: 32 bytes of REAL as one vector, and its comparisons as bits.
 *
 * The including file defines REAL, NAME(f) as lanes.h says, and MASK, the signed
 * integer of REAL's size.
 */

#define UNIT_LANES ((ptrdiff_t)(UNIT_BYTES / sizeof(REAL)))
#define UNIT NAME(unit)
#define BITS NAME(unit_bits)

typedef REAL UNIT __attribute__((vector_size(UNIT_BYTES)));
typedef MASK BITS __attribute__((vector_size(UNIT_BYTES)));
typedef MASK NAME(half_bits) __attribute__((vector_size(UNIT_BYTES / 2)));

#if SINGLE
static const BITS NAME(lane_bit) = {1, 2, 4, 8, 16, 32, 64, 128};
#else
static const BITS NAME(lane_bit) = {1, 2, 4, 8};
#endif

INLINE UNIT NAME(load)(const REAL *p)
{
    UNIT v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* Lane l holds bit l where z[l] > cut, else 0.  A comparison that stands apart from
 * its use as a selector is taken to pieces, lane by lane, by GCC 12. */
INLINE BITS NAME(above)(UNIT z, UNIT cut)
{
    return (z > cut) & NAME(lane_bit);
}

/* The lanes of a unit joined by `or`, folded in halves while in vector registers. */
INLINE uint32_t NAME(word)(BITS bits)
{
    NAME(half_bits) half[2], all;
    memcpy(half, &bits, sizeof half);
    all = half[0] | half[1];
    uint64_t pair[2];
    memcpy(pair, &all, sizeof pair);
    pair[0] |= pair[1];
    return (uint32_t)(pair[0] | (SINGLE ? pair[0] >> 32 : 0));
}
