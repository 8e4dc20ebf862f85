"""Quantities on which the theory of shifted networks depends: sparsity, separability, the smallest eigenvalue."""

from typing import NamedTuple

import numpy as np
from scipy.linalg import eigh
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist
from scipy.special import ndtr
from sklearn.utils import check_array

from sksparsenn._utils.memory import require_memory
from sksparsenn.ntk._kernel import TILE, Rows, firing_threshold, shifted_ntk_kernel, tiles

# Up to this many features, a tree finds nearest neighbours faster than all distances.
TREE_FEATURES = 8
# Rows are of unit length up to rounding in single precision.
UNIT_LENGTH = 1e-5


def expected_firing_fraction(shift):
    """Return the share of the neurons that fire on a sample of unit length at the start of training.

    For w ~ N(0, I) and ||x|| = 1, <w, x> is standard normal, and it exceeds b with
    probability Q(b), the upper tail of the standard normal, which is below exp(-b^2 / 2)
    ([1]_, Lemma 3.8).

    Parameters
    ----------
    shift : float >= 0 or array-like of such
        Shift b; for a network with another threshold, that threshold.

    Returns
    -------
    fraction : float or ndarray
        Q(b) for each shift.

    Raises
    ------
    ValueError
        If a shift is negative or NaN.

    References
    ----------
    .. [1] Z. Song, S. Yang and R. Zhang, "Does Preprocessing Help Training
       Over-parameterized Neural Networks?", NeurIPS 2021.

    Examples
    --------
    Of 1,024 neurons at the automatic shift, some 49 fire on a sample:

    >>> import numpy as np
    >>> from sksparsenn.ntk import expected_firing_fraction
    >>> print(f"{1024 * expected_firing_fraction(np.sqrt(0.4 * np.log(1024))):.1f}")
    49.1
    """
    shift = np.asarray(shift, dtype=np.float64)
    if not (shift >= 0).all():
        raise ValueError(f"shift={shift.min():.4g} is not a number >= 0: shifts of these networks are not negative.")
    fraction = ndtr(-shift)
    return fraction if shift.ndim else float(fraction)


def data_separability(X):
    """Return how far the rows of X are from being equal or opposite.

    delta = min over i != j of min(||x_i - x_j||, ||x_i + x_j||), by which [1]_
    (Proposition 5.1) and [2]_ (Definition 2.11) bound the smallest eigenvalue of the
    tangent kernel.  The papers assume rows of unit length; so does the regressor after its
    lift (see `SphereLift`).  Here rows are taken as they are.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        At least two rows.

    Returns
    -------
    delta : float
        Found from differences, computed in float64, among all pairs: by a k-d tree for up
        to 8 features, else in O(n_samples^2 n_features) time and bounded memory.

    Raises
    ------
    ValueError
        If X has fewer than two rows or cannot be used.

    References
    ----------
    .. [1] Z. Song, S. Yang and R. Zhang, "Does Preprocessing Help Training
       Over-parameterized Neural Networks?", NeurIPS 2021.
    .. [2] Y. Deng, H. Hu, Z. Song, O. Weinstein and D. Zhuo, "Training
       Overparametrized Neural Networks in Sublinear Time", ITCS 2024.

    Examples
    --------
    >>> from sksparsenn.ntk import data_separability
    >>> print(f"{data_separability([[1.0, 0.0], [0.0, 1.0], [-0.6, 0.8]]):.4f}")  # ||x_2 - x_3||
    0.6325
    """
    X = _checked(X)
    unit = float(np.abs(X).max()) or 1.0  # so that squares neither overflow nor vanish
    X = X / unit
    nearest = _nearest_by_tree if X.shape[1] <= TREE_FEATURES else _nearest_by_distances
    delta = unit * float(min(nearest(X, sign) for sign in (1, -1)))
    if not np.isfinite(delta):
        raise ValueError(
            f"distances of rows with entries up to {unit:.3g} do not fit into float64: divide X by a constant."
        )
    return delta


def _checked(X):
    with np.errstate(over="ignore", invalid="ignore"):  # checks may overflow where numbers do not
        return check_array(X, dtype=np.float64, ensure_min_samples=2, input_name="X")


def _nearest_by_tree(X, sign):
    """Return min ||x_i - sign * x_j|| over i != j; of the two nearest neighbours of sign * x_i one is not row i."""
    tree, smallest = cKDTree(X), np.inf
    for start in range(0, len(X), TILE):
        rows = np.arange(start, min(start + TILE, len(X)))
        distances, neighbours = tree.query(sign * X[rows], k=2)
        others = distances[neighbours != rows[:, None]]
        smallest = min(smallest, others.min())
        if smallest == 0:  # equal rows, which also make searches slow
            break
    return smallest


def _nearest_by_distances(X, sign):
    smallest = np.inf
    for i in tiles(len(X)):
        for j in tiles(i.stop):
            distances = cdist(X[i], sign * X[j], "sqeuclidean")
            if i == j:
                np.fill_diagonal(distances, np.inf)
            smallest = min(smallest, distances.min())
    return np.sqrt(smallest)


class MinimumEigenvalue(NamedTuple):
    """The smallest eigenvalue of a tangent kernel, between the bounds of the papers."""

    value: float
    """lambda_min(H)."""

    lower_bound: float
    """exp(-b^2 / 2) delta / (100 n^2)."""

    upper_bound: float
    """exp(-b^2 / 2)."""

    separability: float
    """delta, see `data_separability`."""


def minimum_eigenvalue(X, *, shift, threshold=None):
    """Return the smallest eigenvalue of the tangent kernel of X, and the bounds that the papers prove.

    For n rows of unit length, H = `shifted_ntk_kernel` (X) and delta = `data_separability` (X)::

        exp(-b^2 / 2) delta / (100 n^2) <= lambda_min(H) <= exp(-b^2 / 2),

    with b the threshold: the lower bound is Proposition 5.1 of [1]_, both together are
    Theorem 2.13 of [2]_.  The theory trains networks of a width that grows with a power of
    1 / lambda_min, which is huge if some rows are almost equal or opposite.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        At least two rows of unit length, as `SphereLift` makes them.

    shift : float >= 0
        Shift b of the ReLU.

    threshold : float >= shift, default=None
        Where neurons begin to fire; None means threshold = shift.

    Returns
    -------
    result : MinimumEigenvalue
        Named tuple of ``value``, ``lower_bound``, ``upper_bound`` and ``separability``.
        The value is computed in float64, with an absolute error of some 1e-15 times the
        largest eigenvalue, at most n: where H is singular but for rounding, it may come out
        below the lower bound, or negative.

    Raises
    ------
    ValueError
        If rows are not of unit length, or if X, shift or threshold cannot be used.
    MemoryError
        If two matrices of n_samples^2 numbers do not fit into memory.

    References
    ----------
    .. [1] Z. Song, S. Yang and R. Zhang, "Does Preprocessing Help Training
       Over-parameterized Neural Networks?", NeurIPS 2021.
    .. [2] Y. Deng, H. Hu, Z. Song, O. Weinstein and D. Zhuo, "Training
       Overparametrized Neural Networks in Sublinear Time", ITCS 2024.

    Examples
    --------
    >>> import numpy as np
    >>> from sksparsenn.ntk import SphereLift, minimum_eigenvalue
    >>> X = SphereLift().fit_transform(np.random.default_rng(0).standard_normal((50, 5)))
    >>> result = minimum_eigenvalue(X, shift=1.0)
    >>> print(f"{result.lower_bound:.1e} <= {result.value:.1e} <= {result.upper_bound:.1e}")
    5.3e-07 <= 1.8e-02 <= 6.1e-01
    """
    threshold = firing_threshold(shift, threshold)
    X = _checked(X)
    lengths = Rows.of(X).lengths
    if np.abs(lengths - 1).max() > UNIT_LENGTH:
        raise ValueError(
            f"rows of X have lengths from {lengths.min():.4g} to {lengths.max():.4g}, and the bounds hold for unit "
            "length only: transform X by SphereLift, or divide each row by its length."
        )
    require_memory(16 * len(X) ** 2, f"the smallest eigenvalue of a {len(X)} x {len(X)} kernel", "use fewer samples")
    kernel = shifted_ntk_kernel(X, shift=threshold)
    value = float(eigh(kernel, eigvals_only=True, subset_by_index=[0, 0], overwrite_a=True)[0])
    delta = data_separability(X)
    upper_bound = float(np.exp(-0.5 * min(threshold, 100.0) ** 2))
    return MinimumEigenvalue(value, upper_bound * delta / (100 * len(X) ** 2), upper_bound, delta)
