/*
 * Distances between rows padded to a multiple of LANES, in double precision whatever the rows are.
 */
#include "kernels.h"
#include "lanes.h"

typedef double quad_double __attribute__((vector_size(4 * sizeof(double))));
typedef float quad_float __attribute__((vector_size(4 * sizeof(float))));

#define DEFINE(REAL) \
    INLINE quad_double square_##REAL(const REAL *a, const REAL *b) \
    { \
        quad_##REAL one, other; \
        memcpy(&one, a, sizeof one); \
        memcpy(&other, b, sizeof other); \
        quad_double difference = __builtin_convertvector(one, quad_double) - __builtin_convertvector(other, quad_double); \
        return difference * difference; \
    } \
    CLONES \
    double squared_distance_##REAL(const REAL *a, const REAL *b, ptrdiff_t padded) \
    { \
        quad_double left = {0}, right = {0}; \
        for (ptrdiff_t j = 0; j < padded; j += LANES) { \
            left += square_##REAL(a + j, b + j); \
            right += square_##REAL(a + j + 4, b + j + 4); \
        } \
        left += right; \
        return (left[0] + left[2]) + (left[1] + left[3]); \
    }

DEFINE(float)
DEFINE(double)
