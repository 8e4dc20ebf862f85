"""From a table to points on the sphere: the lift, dense and sparse samples, and their order."""
