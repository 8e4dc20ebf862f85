#include "kernels.h"
#include "lanes.h"

#define REAL float
#define NAME(f) f##_float
#include "exact_template.h"
#undef REAL
#undef NAME

#define REAL double
#define NAME(f) f##_double
#include "exact_template.h"
