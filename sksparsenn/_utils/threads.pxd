# How many threads a parallel loop takes.
from libc.stdint cimport int64_t

# For a loop of so many operations (multiply-adds, or numbers copied or compared).  Small loops take one thread.
cdef int threads_for(double work) noexcept nogil
