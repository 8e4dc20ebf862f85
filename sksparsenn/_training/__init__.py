"""Loops over weights, and the problem that answers for all samples."""
