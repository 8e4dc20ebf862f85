#include "kernels.h"
#include "lanes.h"

#define REAL float
#define MASK int32_t
#define NAME(f) f##_float
static const int32_t lane_bit_float __attribute__((vector_size(UNIT_BYTES))) = {1, 2, 4, 8, 16, 32, 64, 128};
#include "scan_template.h"
#undef REAL
#undef MASK
#undef NAME

#define REAL double
#define MASK int64_t
#define NAME(f) f##_double
static const int64_t lane_bit_double __attribute__((vector_size(UNIT_BYTES))) = {1, 2, 4, 8};
#include "scan_template.h"
