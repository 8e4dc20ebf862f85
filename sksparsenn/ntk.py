"""The tangent kernel of wide shifted-ReLU networks: closed form, random features and diagnostics.

As the width grows, the tangent kernel of the network at its start, sum_r of the inner products
of the gradients in w_r, becomes output_scale^2 H with

    H(x, x') = <x, x'> P(<w, x> > threshold, <w, x'> > threshold),    w ~ N(0, I),

and a network whose weights stay near their start, as those of a large output_scale do, behaves
like kernel regression with it.  Samples of the regressors are lifted to the unit sphere first,
which is what `SphereLift` does; the functions here take rows as they are.
"""

from numbers import Real
from typing import NamedTuple

import numpy as np
from scipy.linalg import eigh
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist
from scipy.special import ndtr
from sklearn.utils import check_array

from sksparsenn._memory import require_memory
from sksparsenn._ntk_features import ShiftedNTKFeatures, SphereLift
from sksparsenn._orthant import orthant_probability
from sksparsenn._points import as_points

__all__ = [
    "MinimumEigenvalue",
    "ShiftedNTKFeatures",
    "SphereLift",
    "data_separability",
    "expected_firing_fraction",
    "minimum_eigenvalue",
    "shifted_ntk_kernel",
]

# Rows and columns of the kernel evaluated at a time; temporary arrays are a few dozen of this many numbers.
TILE = 256
# Cosines this close to 1 or -1 are replaced by lengths of differences or sums, of at most so many numbers at a time.
NEARLY_PARALLEL = 1 / 16
NUMBERS_AT_ONCE = 1 << 20
# Up to this many features, a tree finds nearest neighbours faster than all distances.
TREE_FEATURES = 8
# Rows are of unit length up to rounding in single precision.
UNIT_LENGTH = 1e-5


class Rows(NamedTuple):
    """Rows of a matrix as unit vectors and lengths, float64; a row of zeros keeps the direction zero."""

    directions: np.ndarray
    lengths: np.ndarray

    @classmethod
    def of(cls, X):
        X = X.astype(np.float64)
        largest = np.abs(X).max(axis=1)  # divided by it first, so that squares neither overflow nor vanish
        X /= np.where(largest > 0, largest, 1.0)[:, None]
        lengths = np.sqrt(np.einsum("ij,ij->i", X, X))
        X /= np.where(lengths > 0, lengths, 1.0)[:, None]
        lengths *= largest
        # Rounding makes no row another length than its neighbours: equal lengths halve the work.
        lengths[np.abs(lengths - 1) <= 4 * np.finfo(np.float64).eps] = 1.0
        return cls(X, lengths)

    def part(self, rows):
        return Rows(self.directions[rows], self.lengths[rows])


def shifted_ntk_kernel(X, Y=None, *, shift, threshold=None):
    """The tangent kernel of an infinitely wide shifted-ReLU network, in closed form.

    For every row x of X and y of Y::

        H(x, y) = <x, y> P(<w, x> > threshold and <w, y> > threshold),    w ~ N(0, I),

    the expectation of <x, y> 1[<w, x> > threshold] 1[<w, y> > threshold] [1]_ [2]_.  Only
    the hidden weights are trained, and the derivative of the shifted ReLU is 0 or 1, so
    the shift enters through the threshold alone.

    With rho the cosine of x and y, h = threshold / ||x||, k = threshold / ||y||, Q the
    upper tail of the standard normal and T Owen's function [3]_::

        P = Q(h) / 2 - T(h, (k - rho h) / (h sqrt(1 - rho^2)))
          + Q(k) / 2 - T(k, (h - rho k) / (k sqrt(1 - rho^2))),

    which for rows of unit length and threshold b is Q(b) - 2 T(b, sqrt((1 - rho) / (1 + rho))).
    A row of zeros never fires, and its kernel with anything is 0.

    The kernel of the regressors is that of lifted rows: put `SphereLift` before it.

    Parameters
    ----------
    X : array-like of shape (n_samples_X, n_features)
        Rows of any length.

    Y : array-like of shape (n_samples_Y, n_features), default=None
        Other rows; None means X.

    shift : float >= 0
        Shift b of the ReLU.

    threshold : float >= shift, default=None
        Where neurons begin to fire; None means threshold = shift.

    Returns
    -------
    kernel : ndarray of shape (n_samples_X, n_samples_Y)
        float32 if X and Y are float32, else float64.  Without Y it is exactly symmetric.
        If X and Y are both single rows, of shape (n_features,), a number.

    Raises
    ------
    ValueError
        If shift or threshold is negative, infinite or NaN, if threshold < shift, or if X
        and Y cannot be used.
    MemoryError
        If the result would not fit into memory; the message names the amount.

    See Also
    --------
    ShiftedNTKFeatures : Random features whose inner products approach this kernel.

    Notes
    -----
    The relative error of P, for rows that form the angle theta exactly, is below
    1e-14 (1 + log(1 / P)) down to the smallest normal number, also where P is tiny and Owen's formula
    cancels; rounding in the last bits of x and y adds an angle of some 1e-16, which P feels
    by as much times (1 + log(1 / P)) (1 + tan(theta / 2)).  float32 is computed in
    float64 and rounded at the end.

    The kernel fits the ``kernel`` parameter of scikit-learn, as
    ``functools.partial(shifted_ntk_kernel, shift=1.5)``: `SVC` and `SVR` call it once for
    all rows.  `KernelRidge` calls it once for every pair, at some 0.2 ms each; from a few
    hundred rows on, use ``kernel="precomputed"`` there.

    References
    ----------
    .. [1] Z. Song, S. Yang and R. Zhang, "Does Preprocessing Help Training
       Over-parameterized Neural Networks?", NeurIPS 2021, Proposition 5.1.
    .. [2] Y. Deng, H. Hu, Z. Song, O. Weinstein and D. Zhuo, "Training
       Overparametrized Neural Networks in Sublinear Time", ITCS 2024, Definition 2.10.
    .. [3] D. B. Owen, "Tables for computing bivariate normal probabilities", Annals of
       Mathematical Statistics 27, 1956.

    Examples
    --------
    Rows that are equal, at an angle and orthogonal:

    >>> from sksparsenn.ntk import shifted_ntk_kernel
    >>> shifted_ntk_kernel([[1.0, 0.0]], [[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]], shift=1.0).round(4)
    array([[0.1587, 0.0435, 0.    ]])

    As the kernel of a support vector machine:

    >>> from functools import partial
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn.svm import SVR
    >>> from sksparsenn.ntk import SphereLift
    >>> X, y = load_diabetes(return_X_y=True)
    >>> kernel = partial(shifted_ntk_kernel, shift=1.0)
    >>> model = make_pipeline(StandardScaler(), SphereLift(), SVR(kernel=kernel, C=100))
    >>> print(f"{model.fit(X, y).score(X, y):.2f}")
    0.59
    """
    threshold = firing_threshold(shift, threshold)
    if Y is not None and np.ndim(X) == np.ndim(Y) == 1:
        return _entry(X, Y, threshold)
    X = check_array(X, dtype=[np.float64, np.float32], input_name="X")
    symmetric = Y is None
    Y = X if symmetric else check_array(Y, dtype=[np.float64, np.float32], input_name="Y")
    if X.shape[1] != Y.shape[1]:
        raise ValueError(f"X has {X.shape[1]} features and Y has {Y.shape[1]}: give rows of the same features.")
    dtype = np.result_type(X, Y)
    copies = 8 * (X.size if symmetric else X.size + Y.size)
    require_memory(len(X) * len(Y) * dtype.itemsize + copies, f"a kernel of {len(X)} x {len(Y)} entries")
    out = np.empty((len(X), len(Y)), dtype=dtype)
    rows = Rows.of(X)
    columns = rows if symmetric else Rows.of(Y)
    for i in _tiles(len(X)):
        for j in _tiles(len(Y)):
            if not symmetric or i.start < j.start:
                out[i, j] = _kernel(rows.part(i), columns.part(j), threshold)
                if symmetric:
                    out[j, i] = out[i, j].T
            elif i == j:
                upper = np.triu(_kernel(rows.part(i), rows.part(i), threshold))
                out[i, i] = upper + np.triu(upper, 1).T
    return out


def firing_threshold(shift, threshold):
    """The threshold as a number, None meaning the shift."""
    for name, value in (("shift", shift), ("threshold", shift if threshold is None else threshold)):
        if not isinstance(value, Real) or not 0 <= value < np.inf:
            raise ValueError(f"{name}={value!r} is not a finite number >= 0: give one, such as 1.5.")
    if threshold is not None and threshold < shift:
        raise ValueError(
            f"threshold={threshold:.4g} lies below shift={shift:.4g}: a neuron would output negative numbers "
            "between the two; raise threshold or lower shift."
        )
    return float(shift if threshold is None else threshold)


def _entry(x, y, threshold):
    """H(x, y) with little more than its arithmetic, since `KernelRidge` asks for entries one by one."""
    x = as_points(np.reshape(x, (1, -1)), "X")
    y = as_points(np.reshape(y, (1, -1)), "Y", n_features=x.shape[1])
    return _kernel(Rows.of(x), Rows.of(y), threshold)[0, 0].astype(np.result_type(x, y))


def _tiles(n):
    return [slice(start, min(start + TILE, n)) for start in range(0, n, TILE)]


def _kernel(rows, columns, threshold):
    """H between two small sets of rows."""
    cosines, sine, cosine = _angles(rows.directions, columns.directions)
    shape = cosines.shape
    with np.errstate(over="ignore"):
        # The direction of a row of zeros is zero, hence its cosines, and with them its kernel.
        h, k = (threshold / np.where(part.lengths > 0, part.lengths, 1.0) for part in (rows, columns))
    h, k = np.broadcast_to(h[:, None], shape), np.broadcast_to(k, shape)
    probability = orthant_probability(h, k, sine, cosine)
    return cosines * probability * rows.lengths[:, None] * columns.lengths


def _angles(A, B):
    """Cosines between unit rows, and sine and cosine of half the angle, accurate also where it is close to 0 or pi."""
    cosines = A @ B.T
    sine, cosine = (np.sqrt(np.maximum(0.5 * (1 + sign * cosines), 0)) for sign in (-1, 1))
    for half, sign in ((sine, 1), (cosine, -1)):
        rows, columns = np.nonzero(sign * cosines > 1 - NEARLY_PARALLEL)
        for part in _parts(len(rows), A.shape[1]):
            difference = A[rows[part]] - sign * B[columns[part]]
            half[rows[part], columns[part]] = 0.5 * np.sqrt(np.einsum("ij,ij->i", difference, difference))
    return cosines, sine, cosine


def _parts(n, n_features):
    step = max(1, NUMBERS_AT_ONCE // n_features)
    return [slice(start, start + step) for start in range(0, n, step)]


# -- diagnostics ----------------------------------------------------------------------------


def expected_firing_fraction(shift):
    """The share of the neurons that fire on a sample of unit length at the start of training.

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
    """How far the rows of X are from being equal or opposite.

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
    X = check_array(X, dtype=np.float64, ensure_min_samples=2, input_name="X")
    unit = float(np.abs(X).max()) or 1.0  # so that squares neither overflow nor vanish
    X = X / unit
    nearest = _nearest_by_tree if X.shape[1] <= TREE_FEATURES else _nearest_by_distances
    return unit * float(min(nearest(X, sign) for sign in (1, -1)))


def _nearest_by_tree(X, sign):
    """The smallest ||x_i - sign * x_j|| with i != j; of the two nearest neighbours of sign * x_i one is not row i."""
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
    for i in _tiles(len(X)):
        for j in _tiles(i.stop):
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
    """The smallest eigenvalue of the tangent kernel of X, and the bounds that the papers prove.

    For n rows of unit length, H = `shifted_ntk_kernel` (X) and delta = `data_separability` (X)::

        exp(-b^2 / 2) delta / (100 n^2) <= lambda_min(H) <= exp(-b^2 / 2),

    with b the threshold: the lower bound is Proposition 5.1 of [1]_, both together are
    Theorem 2.13 of [2]_.  The theory trains networks of a width that grows with a power of
    1 / lambda_min, so a tiny one says that some rows can hardly be told apart.

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
        The value is computed in float64, with an absolute error of some 1e-16 times the
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
    X = check_array(X, dtype=np.float64, ensure_min_samples=2, input_name="X")
    lengths = Rows.of(X).lengths
    if np.abs(lengths - 1).max() > UNIT_LENGTH:
        raise ValueError(
            f"rows of X have lengths from {lengths.min():.4g} to {lengths.max():.4g}, and the bounds hold for unit "
            "length only: transform X by SphereLift, or divide each row by its length."
        )
    require_memory(16 * len(X) ** 2, f"the smallest eigenvalue of a {len(X)} x {len(X)} kernel")
    kernel = shifted_ntk_kernel(X, shift=threshold)
    value = float(eigh(kernel, eigvals_only=True, subset_by_index=[0, 0], overwrite_a=True)[0])
    delta = data_separability(X)
    upper_bound = float(np.exp(-0.5 * threshold**2))
    return MinimumEigenvalue(value, upper_bound * delta / (100 * len(X) ** 2), upper_bound, delta)
