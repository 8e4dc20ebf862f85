"""Compiled loops: arrays in, arrays out, and no policy."""
