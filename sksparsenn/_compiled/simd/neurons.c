#include "kernels.h"
#include "lanes.h"

#define REAL float
#define MASK int32_t
#define SINGLE 1
#define NAME(f) f##_float
#include "neurons_template.h"
#undef REAL
#undef MASK
#undef SINGLE
#undef NAME

#define REAL double
#define MASK int64_t
#define SINGLE 0
#define NAME(f) f##_double
#include "neurons_template.h"
