"""List the benchmarks: python -m benchmarks."""

from benchmarks import defaults, half_space, steps

for part in (steps, half_space, defaults):
    print(f"python -m {part.__name__}\n    {part.__doc__.splitlines()[0]}")
