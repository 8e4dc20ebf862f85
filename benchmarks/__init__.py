"""Benchmarks against rivals in the same run.  Each module is a command; see `python -m benchmarks`."""
