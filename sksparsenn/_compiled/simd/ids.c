/*
 * A set of ids, one bit each, that is emptied in ascending order.
 *
 * `words` holds the bits; bit b of summary[s] says whether word 64 s + b holds any.
 * Here for the instructions that count and find bits, which the baseline lacks.
 */
#include "kernels.h"
#include "lanes.h"

/* Of an empty word the highest: the compiler's own function leaves that case undefined. */
INLINE int lowest(uint64_t bits)
{
    return __builtin_ctzll(bits | (uint64_t)1 << 63);
}

INLINE void add(uint64_t *words, uint64_t *summary, int32_t id)
{
    words[id >> 6] |= (uint64_t)1 << (id & 63);
    summary[id >> 12] |= (uint64_t)1 << (id >> 6 & 63);
}

/* Add ids[p] for every bit p of `which`. */
CLONES
void add_chosen_ids(uint64_t *words, uint64_t *summary, const int32_t *ids, uint64_t which)
{
    for (; which; which &= which - 1)
        add(words, summary, ids[lowest(which)]);
}

/* Add n ids, leaving out places of deleted points, which hold -1. */
CLONES
void add_ids(uint64_t *words, uint64_t *summary, const int32_t *ids, int64_t n)
{
    for (int64_t p = 0; p < n; p++)
        if (ids[p] >= 0)
            add(words, summary, ids[p]);
}

/*
 * Move all ids to `out`, ascending; returns how many.  Room for two more is needed:
 * most words hold one to three ids, and three are written whatever the word holds,
 * since a branch would often go wrong.
 */
CLONES
int64_t drain_ids(uint64_t *words, uint64_t *summary, int64_t n_summary, int32_t *out)
{
    int32_t *end = out;
    for (int64_t s = 0; s < n_summary; s++) {
        uint64_t which = summary[s];
        summary[s] = 0;
        for (; which; which &= which - 1) {
            int64_t word = (s << 6) + lowest(which);
            int32_t first = (int32_t)(word << 6);
            uint64_t bits = words[word], rest = bits & (bits - 1), last = rest & (rest - 1);
            words[word] = 0;
            end[0] = first + lowest(bits);
            end[1] = first + lowest(rest);
            end[2] = first + lowest(last);
            int64_t held = __builtin_popcountll(bits);
            for (int64_t k = 3; k < held; k++) {
                last &= last - 1;
                end[k] = first + lowest(last);
            }
            end += held;
        }
    }
    return end - out;
}
