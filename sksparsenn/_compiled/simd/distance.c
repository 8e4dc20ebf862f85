/*
 * squares[r] = |a[r] - b[r]|^2 for n rows padded to a multiple of LANES, in double precision whatever the rows are.
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
        quad_double difference = __builtin_convertvector(one, quad_double) \
                               - __builtin_convertvector(other, quad_double); \
        return difference * difference; \
    } \
    CLONES \
    void squared_distances_##REAL(const REAL *a, const REAL *b, ptrdiff_t padded, ptrdiff_t n, double *squares) \
    { \
        for (ptrdiff_t r = 0; r < n; r++, a += padded, b += padded) { \
            quad_double left = {0}, right = {0}; \
            for (ptrdiff_t j = 0; j < padded; j += LANES) { \
                left += square_##REAL(a + j, b + j); \
                right += square_##REAL(a + j + 4, b + j + 4); \
            } \
            left += right; \
            squares[r] = (left[0] + left[2]) + (left[1] + left[3]); \
        } \
    }

DEFINE(float)
DEFINE(double)
