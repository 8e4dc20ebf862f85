/*
 * One sparse sample against as many neurons as a cache line holds weights of.
 *
 * The weights of those neurons are packed coordinate by coordinate, a line for each
 * column that any sample uses.  The filter before the decision: see scan_template.h.
 */

#include "units_template.h"

/*
 * sums[l] + sum_p values[p] * packed[lines[p]][l] for every lane l: a bit for each
 * that is not at most low[l], which one that is no number never is.
 */
CLONES
uint32_t NAME(neurons_beyond)(const REAL *values, const int32_t *lines, int64_t n, const REAL *packed,
                              const REAL *sums, const REAL *low)
{
    UNIT left = NAME(load)(sums), right = NAME(load)(sums + UNIT_LANES);
    for (int64_t p = 0; p < n; p++) {
        const REAL *line = packed + 2 * UNIT_LANES * lines[p];
        left += values[p] * NAME(load)(line);
        right += values[p] * NAME(load)(line + UNIT_LANES);
    }
    uint32_t below = NAME(word)((left <= NAME(load)(low)) & NAME(lane_bit))
                   | NAME(word)((right <= NAME(load)(low + UNIT_LANES)) & NAME(lane_bit)) << UNIT_LANES;
    return ~below & ((1u << 2 * UNIT_LANES) - 1);
}
#undef UNIT
#undef BITS
#undef UNIT_LANES
