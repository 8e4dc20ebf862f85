"""What the searches must answer, computed the slow and obvious way, and data that make that hard."""

from fractions import Fraction
from itertools import pairwise

import numpy as np

FLOATS = (np.float32, np.float64)


def exact_inner_product(a, b):
    """<a, b> of the given floats as a rational number: no rounding anywhere."""
    return sum((Fraction(float(x)) * Fraction(float(y)) for x, y in zip(a, b, strict=True)), Fraction(0))


def rounding_bound(a, b):
    """How far any order of d rounded multiplications and additions may end from `exact_inner_product`.

    The products may lose (d + 8) units of rounding of their sizes, and those below the normal
    range up to one subnormal number each.  Valid as long as nothing overflows.
    """
    info, d = np.finfo(a.dtype), len(a)
    sizes = sum((abs(Fraction(float(x)) * Fraction(float(y))) for x, y in zip(a, b, strict=True)), Fraction(0))
    return (d + 8) * (Fraction(float(info.eps)) * sizes + Fraction(float(info.smallest_subnormal)))


def inner_products(normals, points):
    """The numbers that decide who fires: entry (q, i) is <normals[q], points[i]>, rounded in one fixed order.

    Eight running sums, one for the coordinates that are equal modulo 8; each product is
    rounded, then added; the sums are folded as ((0+4) + (2+6)) + ((1+5) + (3+7)).
    NumPy multiplies and adds element by element, hence without fused multiply-adds.
    """
    assert normals.dtype == points.dtype
    lane = np.zeros((8, len(normals), len(points)), dtype=points.dtype)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        for j in range(points.shape[1]):
            lane[j % 8] += normals[:, j, None] * points[None, :, j]
        return ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]))


def beyond(normal, points, threshold):
    """The numbers of the points with <normal, p> > threshold, ascending; the threshold is rounded like the points."""
    with np.errstate(over="ignore"):
        threshold = np.asarray(threshold, dtype=points.dtype)
    return np.flatnonzero(inner_products(np.atleast_2d(normal), points)[0] > threshold)


def all_beyond(normals, points, thresholds):
    """`beyond` for every normal, as the list of answers; one threshold for each normal, or one for all."""
    thresholds = np.broadcast_to(np.asarray(thresholds, dtype=points.dtype), len(normals))
    return [np.flatnonzero(fires).tolist() for fires in inner_products(normals, points) > thresholds[:, None]]


def unpacked(indptr, indices):
    """Compressed rows as a list of lists, after checking that they are well formed and ascending."""
    assert indptr.dtype == np.int64
    assert indices.dtype == np.int32
    assert indptr[0] == 0
    assert indptr[-1] == len(indices)
    answers = [indices[start:end].tolist() for start, end in pairwise(indptr)]
    for answer in answers:
        assert answer == sorted(set(answer)), "answers are ascending, without repetitions"
    return answers


# ---------------------------------------------------------------------------------------
# Data.  Each generator aims at one way in which a search could go wrong.
# ---------------------------------------------------------------------------------------


def _mixed_scales(rng, shape, dtype):
    """From 1e-30 to 1e30 in one row: products overflow and vanish in single precision."""
    return rng.choice([-1, 1], shape) * 10.0 ** rng.integers(-30, 31, shape)


def _offset(rng, shape, dtype):
    """A small cloud far from the origin: products cancel, boxes are tiny compared with their centres."""
    return 1e4 * np.sign(rng.normal(size=shape[1])) + 1e-3 * rng.normal(size=shape)


def _subnormal(rng, shape, dtype):
    """Multiples of the smallest number: squares and half-widths vanish."""
    return rng.integers(-9, 10, shape) * float(np.finfo(dtype).smallest_subnormal)


def _ends_of_range(rng, shape, dtype):
    """The largest and the smallest numbers there are, next to ordinary ones."""
    info = np.finfo(dtype)
    values = [0.0, 1.0, 0.5, 3.0, info.max, 0.9 * info.max, info.max / 1e7, info.tiny, info.smallest_subnormal]
    return rng.choice([-1.0, 1.0], shape) * rng.choice([float(v) for v in values], shape)


def _clusters(rng, shape, dtype):
    """Tight groups far apart: many nodes lie wholly on one side."""
    return rng.normal(size=(8, shape[1]))[rng.integers(0, 8, shape[0])] + 1e-5 * rng.normal(size=shape)


def _duplicates(rng, shape, dtype):
    """Few distinct rows, zero among them: medians cannot separate them."""
    return np.vstack([np.zeros(shape[1]), rng.normal(size=(3, shape[1]))])[rng.integers(0, 4, shape[0])]


KINDS = {
    "gaussian": lambda rng, shape, dtype: rng.normal(size=shape),
    "small integers": lambda rng, shape, dtype: rng.integers(-2, 3, shape),
    "zeros": lambda rng, shape, dtype: np.zeros(shape),
    "clusters": _clusters,
    "duplicates": _duplicates,
    "offset": _offset,
    "mixed scales": _mixed_scales,
    "huge": lambda rng, shape, dtype: rng.normal(size=shape) * (float(np.finfo(dtype).max) / 1e4),
    "tiny": lambda rng, shape, dtype: rng.normal(size=shape) * (float(np.finfo(dtype).tiny) * 1e3),
    "subnormal": _subnormal,
    "ends of the range": _ends_of_range,
}


def make_points(kind, seed, n, d, dtype):
    """n points in d dimensions of one of the KINDS."""
    return np.asarray(KINDS[kind](np.random.default_rng(seed), (n, d), dtype)).astype(dtype)


def make_thresholds(seed, normals, points):
    """A threshold for each normal: mostly at a product, where only its last bit decides, or one bit beside it."""
    rng = np.random.default_rng(seed)
    products = inner_products(normals, points) if len(points) else np.zeros((len(normals), 1), points.dtype)
    at = products[np.arange(len(normals)), rng.integers(0, products.shape[1], len(normals))]
    at = np.where(np.isnan(at), 0, at).astype(points.dtype)
    infinity, largest = points.dtype.type(np.inf), np.finfo(points.dtype).max
    with np.errstate(over="ignore", under="ignore"):
        choices = [at, at, np.nextafter(at, -infinity), np.nextafter(at, infinity)]
    choices += [np.full_like(at, value) for value in (0, np.inf, -np.inf, largest, -largest)]
    return np.choose(rng.integers(0, len(choices), len(normals)), choices)
