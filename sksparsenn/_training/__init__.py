"""Loops over weights, and the problem, which computes every sum over samples."""
