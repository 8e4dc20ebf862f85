"""The probability that two correlated standard normals both exceed their thresholds, to full relative accuracy.

For thresholds h, k >= 0 and correlation cos(theta), Owen (1956) writes it with his function T as

    P(u > h, v > k) = Q(h) / 2 - T(h, c_h / h) + Q(k) / 2 - T(k, c_k / k),

    c_h = (k - h cos(theta)) / sin(theta),    c_k = (h - k cos(theta)) / sin(theta),

with Q the upper tail of the standard normal.  In the plane of two independent normals the
pair of events is a wedge with its corner at distance sqrt(h^2 + c_h^2) from the origin, and
the ray through the corner splits it into two parts, Q/2 - T each.  Either difference loses
digits where the wedge is far out: at h = k = 6 and correlation zero, nine of sixteen.
`wedge` finds it without cancellation; both parts are positive, so their sum loses nothing.
"""

import numpy as np
from scipy.special import erf, ndtr, owens_t

# The ray passes the origin at this distance at least where the integral is computed by quadrature; nearer, a difference
# with Owen's T loses two digits at most.
FAR = 2.0
# Gauss-Legendre nodes on [0, 1], squared, since the integrand varies most at zero: 24 reach a relative error of 1e-15.
ROOTS, ROOT_WEIGHTS = np.polynomial.legendre.leggauss(24)
NODES, WEIGHTS = (0.5 * ROOTS + 0.5) ** 2, (0.5 * ROOTS + 0.5) * ROOT_WEIGHTS
# So many wedges times nodes fit a cache.
WEDGES_AT_ONCE = 1024
# Minus the logarithm of the last bit of 1.
LAST_BIT = -np.log(np.finfo(np.float64).eps / 2)

# Upper tails from here on are below the smallest positive number.
OUT_OF_RANGE = 39.0


def orthant_probability(h, k, sine, cosine):
    """Return P(u > h, v > k) for standard normals of correlation cos(theta).

    All arguments are float64 arrays of one shape: thresholds h, k in [0, inf], and sine and
    cosine of theta / 2.  Half the angle keeps its digits where the correlation is close
    to 1 or -1 and the probability changes with the square root of it.
    """
    out = np.zeros(np.shape(h))
    both = np.maximum(h, k)
    reached = both < OUT_OF_RANGE
    same = reached & (sine == 0)  # v = u
    out[same] = ndtr(-both[same])
    proper = reached & (sine > 0) & (cosine > 0)  # not v = -u, which never exceeds both
    at_origin = proper & (both == 0)
    out[at_origin] = np.arctan2(cosine[at_origin], sine[at_origin]) / np.pi
    proper &= ~at_origin
    h, k, sine, cosine = (part[proper] for part in (h, k, sine, cosine))
    if np.array_equal(h, k):
        # k - h cos(theta) = 2 h sin(theta / 2)^2
        out[proper] = 2 * wedge(h, h * sine / cosine)
    else:
        parts = wedge(h, _second_coordinate(h, k, sine, cosine)), wedge(k, _second_coordinate(k, h, sine, cosine))
        out[proper] = parts[0] + parts[1]
    return out


def _second_coordinate(h, k, sine, cosine):
    """Return (k - h cos(theta)) / sin(theta), without cancellation where it is small."""
    acute = (k - h) + 2 * h * sine**2
    obtuse = (k + h) - 2 * h * cosine**2
    return np.where(sine < cosine, acute, obtuse) / (2 * sine * cosine)


def wedge(h, c):
    """Return P(U > h, V > (c / h) U) for independent standard normals: the half plane U > h above a ray.

    The ray runs through (h, c).  For float64 arrays h in [0, `OUT_OF_RANGE`) and c, not both zero.  It equals
    Q(h) / 2 - T(h, c / h), from which the other forms follow by the symmetries of T.
    """
    out = np.empty(h.shape)
    with np.errstate(divide="ignore"):
        below = c < 0
        out[below] = 0.5 * ndtr(-h[below]) + owens_t(h[below], -c[below] / h[below])
        near = ~below & (c <= FAR)
        flat = near & (c <= h)
        out[flat] = 0.5 * ndtr(-h[flat]) - owens_t(h[flat], c[flat] / h[flat])
        # T(h, a) + T(ah, 1/a) = Q(h)/2 + Q(ah)/2 - Q(h) Q(ah), and Q(h) = 1/2 - erf(h / sqrt(2)) / 2.
        steep = near & (c > h)
        h_, c_ = h[steep], c[steep]
        out[steep] = owens_t(c_, h_ / c_) - 0.5 * erf(h_ / np.sqrt(2)) * ndtr(-c_)
        far = ~below & (c > FAR)
        out[far] = _far_wedge(h[far], c[far])
    return out


def _far_wedge(h, c):
    """Return h exp(-h^2 / 2) / (2 pi) * integral of exp(-z^2 / 2) / (h^2 + z^2) over z from c, by Gauss-Legendre.

    At the end of the interval exp(-z^2 / 2) has fallen to the last bit of its value at c.
    """
    out = np.empty(h.shape)
    for part in (slice(start, start + WEDGES_AT_ONCE) for start in range(0, len(h), WEDGES_AT_ONCE)):
        h_, c_ = h[part, None], c[part, None]
        length = 2 * LAST_BIT / (np.sqrt(c_ * c_ + 2 * LAST_BIT) + c_)
        beyond = length * NODES
        integrand = np.exp(-beyond * (c_ + 0.5 * beyond)) / (h_ * h_ + np.square(c_ + beyond))
        out[part] = (h_ * np.exp(-0.5 * (h_ * h_ + c_ * c_)) / (2 * np.pi) * length).ravel() * (integrand @ WEIGHTS)
    return out
