"""Order points so that near neighbours get nearby positions."""

import numpy as np

# Steps towards the direction in which a node's points vary most, which need not be exact.
POWER_ITERATIONS = 2


def order_by_halving(points, leaf_size=1, dtype=np.float64):
    """Return an order in which near neighbours get nearby positions.

    The first half of the points lies on one side of a plane, the rest on the other, and each half again.
    Halves are powers of two times the leaf size, so that nodes of one level are as long; the plane is normal
    to the direction in which a node's points vary most, or nearly, computed in the given precision.
    """
    n_points = len(points)
    order = np.arange(n_points)
    largest = np.abs(points).max(initial=0)
    points = (points / largest if largest > 0 else points).astype(dtype)
    size = leaf_size
    while size < n_points:
        size *= 2
    while size > leaf_size:
        whole = n_points // size * size
        for first, last, length in ((0, whole, size), (whole, n_points, n_points - whole)):
            if length > size // 2:
                moved = _halved(points[first:last].reshape(-1, length, points.shape[1]), size // 2) + first
                order[first:last], points[first:last] = order[moved], points[moved]
        size //= 2
    return order


def _halved(nodes, half):
    """Return the positions of the points of nodes, those on one side of each node's plane first."""
    length = nodes.shape[1]
    places = np.argpartition(_widest_projections(nodes), half, axis=1) if half < length else np.arange(length)[None]
    return (places + length * np.arange(len(nodes))[:, None]).ravel()


def _widest_projections(nodes):
    """Return how far the points of each node lie along the direction in which they vary most, or nearly."""
    # No products by BLAS, whose rounding may depend on the number of threads.
    centred = nodes - nodes.mean(axis=1, keepdims=True)
    widest = np.argmax(np.einsum("kid,kid->kd", centred, centred), axis=1)
    projections = np.take_along_axis(centred, widest[:, None, None], axis=2)[:, :, 0]
    for _ in range(POWER_ITERATIONS):
        direction = np.einsum("ki,kid->kd", projections, centred)
        length = np.sqrt(np.einsum("kd,kd->k", direction, direction))[:, None]
        direction /= np.where(length > 0, length, 1)
        projections = np.einsum("kid,kd->ki", centred, direction)
    return projections
