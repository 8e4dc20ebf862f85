"""List the benchmarks: python -m benchmarks."""

from benchmarks import (
    classification,
    defaults,
    even_polynomials,
    gauss_newton_defaults,
    half_space,
    iteration_against_width,
    large_tables,
    solvers,
    sparse_input,
    steps,
    time_to_loss,
)

FIRST_ORDER = steps, half_space, defaults, classification, sparse_input, even_polynomials
GAUSS_NEWTON = iteration_against_width, solvers, time_to_loss, gauss_newton_defaults, large_tables

for part in FIRST_ORDER + GAUSS_NEWTON:
    print(f"python -m {part.__name__}\n    {part.__doc__.splitlines()[0]}")
