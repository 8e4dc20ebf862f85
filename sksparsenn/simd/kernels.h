/* The kernels as Cython sees them: each function once for float, once for double. */
#ifndef SKSPARSENN_KERNELS_H
#define SKSPARSENN_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#define DECLARE_EXACT(REAL, SUFFIX) \
    REAL dot_strided_##SUFFIX(const REAL *a, const REAL *b, ptrdiff_t stride, ptrdiff_t d); \
    void products_##SUFFIX(const REAL *X, ptrdiff_t padded, const REAL *w, int64_t n, REAL *products); \
    int64_t keep_above_##SUFFIX(const REAL *X, ptrdiff_t padded, const REAL *w, const int32_t *list, \
                                int64_t count, REAL threshold, int32_t *kept, REAL *products); \
    int64_t keep_others_##SUFFIX(const REAL *X, ptrdiff_t padded, const REAL *w, const int32_t *list, \
                                 int64_t count, REAL threshold, int32_t *kept, REAL *products); \
    void add_outputs_##SUFFIX(const int32_t *list, const REAL *products, int64_t count, REAL shift, \
                              const REAL *signs, ptrdiff_t n_outputs, REAL *outputs); \
    void keep_above_two_##SUFFIX(const REAL *X, ptrdiff_t padded, const REAL *const *w, const int32_t *const *list, \
                                 const int64_t *count, REAL threshold, int32_t *const *kept, \
                                 REAL *const *products, int64_t *held); \
    void sum_gradients_##SUFFIX(const REAL *X, ptrdiff_t padded, int n, const int32_t *const *list, \
                                const int64_t *count, const REAL *residuals, const REAL *const *signs, \
                                ptrdiff_t n_outputs, REAL *const *gradient); \
    void add_to_rows_##SUFFIX(const REAL *w, REAL factor, ptrdiff_t padded, const int32_t *list, int64_t count, \
                              REAL *rows, REAL *totals); \
    void add_rows_##SUFFIX(const REAL *rows, ptrdiff_t padded, const int32_t *list, int64_t count, REAL factor, \
                           REAL *sum);

#define DECLARE_DISTANCE(REAL, SUFFIX) \
    void squared_distances_##SUFFIX(const REAL *a, const REAL *b, ptrdiff_t padded, ptrdiff_t n, double *squares);

/* Points packed in blocks, coordinate by coordinate; `first` is the number of the first one. */
typedef struct {
    const void *blocks;
    int64_t n_blocks;
    ptrdiff_t d;
    int32_t first;
} PackedPoints;

/* n half-spaces: each a normal, in a row of `stride` numbers, and two cuts around its threshold. */
typedef struct {
    const void *normals;
    ptrdiff_t stride;
    const void *low, *high;
    int n;
} HalfSpaces;

/* Leaves of so many consecutive points, of `n_points` in all; a size of 0 means none. */
typedef struct {
    int size;
    int64_t n_points;
} Leaves;

#define DECLARE_SCAN(REAL, SUFFIX) \
    uint32_t scan_stretch_##SUFFIX(const PackedPoints *points, const HalfSpaces *half_spaces, \
                                   const Leaves *leaves, int32_t *const *found, int64_t *lengths); \
    uint64_t scan_leaf_##SUFFIX(const REAL *blocks, ptrdiff_t n_blocks, ptrdiff_t d, const REAL *normal, \
                                REAL low, REAL high, uint64_t *sure); \
    uint32_t classify_children_##SUFFIX(const REAL *node, ptrdiff_t d, const REAL *normal, REAL norm, \
                                        REAL error, REAL tiny, REAL threshold, uint32_t *inside);

#define DECLARE_SPARSE(REAL, SUFFIX) \
    uint32_t neurons_beyond_##SUFFIX(const REAL *values, const int32_t *lines, int64_t n, const REAL *packed, \
                                     const REAL *sums, const REAL *low);

DECLARE_EXACT(float, float)
DECLARE_EXACT(double, double)
DECLARE_DISTANCE(float, float)
DECLARE_DISTANCE(double, double)
DECLARE_SCAN(float, float)
DECLARE_SCAN(double, double)
DECLARE_SPARSE(float, float)
DECLARE_SPARSE(double, double)

void add_ids(uint64_t *words, uint64_t *summary, const int32_t *ids, int64_t n);
void add_chosen_ids(uint64_t *words, uint64_t *summary, const int32_t *ids, uint64_t which);
int64_t drain_ids(uint64_t *words, uint64_t *summary, int64_t n_summary, int32_t *out);

#endif
