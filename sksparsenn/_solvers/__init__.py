"""Solvers of one damped least-squares step of Gauss-Newton."""
