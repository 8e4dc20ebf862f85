/* The kernels as Cython sees them: each function once for float, once for double. */
#ifndef SKSPARSENN_KERNELS_H
#define SKSPARSENN_KERNELS_H

#include <stddef.h>
#include <stdint.h>

/* Rows of numbers (REAL, in the function that reads them), padded with zeros to a multiple of LANES. */
typedef struct {
    const void *data;
    ptrdiff_t padded;
} Rows;

/* Numbers of rows, ascending. */
typedef struct {
    const int32_t *items;
    int64_t count;
} List;

#define DECLARE_EXACT(REAL, SUFFIX) \
    REAL dot_strided_##SUFFIX(const REAL *a, const REAL *b, ptrdiff_t stride, ptrdiff_t d); \
    void products_##SUFFIX(const Rows *X, const REAL *w, int64_t n, REAL *products); \
    int64_t keep_above_##SUFFIX(const Rows *X, const REAL *w, const List *list, REAL threshold, int32_t *kept, \
                                REAL *products); \
    int64_t keep_others_##SUFFIX(const Rows *X, const REAL *w, const List *list, REAL threshold, int32_t *kept, \
                                 REAL *products); \
    void keep_above_two_##SUFFIX(const Rows *X, const REAL *const *w, const List *lists, REAL threshold, \
                                 int32_t *const *kept, REAL *const *products, int64_t *held); \
    void add_outputs_##SUFFIX(const List *list, const REAL *products, REAL shift, const REAL *signs, \
                              ptrdiff_t n_outputs, REAL *outputs); \
    void sum_gradients_##SUFFIX(const Rows *X, int n, const List *lists, const REAL *residuals, \
                                const REAL *const *signs, ptrdiff_t n_outputs, REAL *const *gradient); \
    void add_to_rows_##SUFFIX(const REAL *w, REAL factor, ptrdiff_t padded, const List *list, REAL *rows, \
                              REAL *totals); \
    void add_rows_##SUFFIX(const Rows *rows, const List *list, REAL factor, REAL *sum);

/* Rows of `columns` numbers, not padded; those from number n_inside on are read from `last`, a padded copy of these. */
typedef struct {
    const void *rows, *last;
    ptrdiff_t columns, padded;
    int64_t n_inside;
} Neurons;

#define DECLARE_NEURONS(REAL, SUFFIX) \
    int64_t keep_neurons_##SUFFIX(const Neurons *neurons, const REAL *x, const List *list, REAL threshold, \
                                  int32_t *kept, REAL *products);

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
DECLARE_NEURONS(float, float)
DECLARE_NEURONS(double, double)
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
