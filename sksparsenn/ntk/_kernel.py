"""The tangent kernel in closed form."""

from numbers import Real
from typing import NamedTuple

import numpy as np
from sklearn.utils import check_array

from sksparsenn._samples.points import as_points
from sksparsenn._utils.memory import require_memory
from sksparsenn.ntk._orthant import orthant_probability

# Rows and columns of the kernel evaluated at a time; temporary arrays are a few dozen of this many numbers.
TILE = 256
# Cosines this close to 1 or -1 are replaced by lengths of differences or sums, of at most so many numbers at a time.
NEARLY_PARALLEL = 1 / 16
NUMBERS_AT_ONCE = 1 << 20


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
        with np.errstate(over="ignore"):  # `require_finite_products` refuses infinite ones
            lengths *= largest
        # Rounding makes no row another length than its neighbours: equal lengths halve the work.
        lengths[np.abs(lengths - 1) <= 4 * np.finfo(np.float64).eps] = 1.0
        return cls(X, lengths)

    def part(self, rows):
        return Rows(self.directions[rows], self.lengths[rows])


def shifted_ntk_kernel(X, Y=None, *, shift, threshold=None):
    """Return the tangent kernel of an infinitely wide shifted-ReLU network, in closed form.

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
    symmetric = Y is None
    with np.errstate(over="ignore", invalid="ignore"):  # checks may overflow where numbers do not
        X = check_array(X, dtype=[np.float64, np.float32], input_name="X")
        Y = X if symmetric else check_array(Y, dtype=[np.float64, np.float32], input_name="Y")
    if X.shape[1] != Y.shape[1]:
        raise ValueError(f"X has {X.shape[1]} features and Y has {Y.shape[1]}: give rows of the same features.")
    dtype = np.result_type(X, Y)
    copies = 8 * (X.size if symmetric else X.size + Y.size)
    n_bytes = len(X) * len(Y) * dtype.itemsize + copies
    require_memory(n_bytes, f"a kernel of {len(X)} x {len(Y)} entries", "use fewer rows")
    out = np.empty((len(X), len(Y)), dtype=dtype)
    rows = Rows.of(X)
    columns = rows if symmetric else Rows.of(Y)
    require_finite_products(rows, columns, dtype)
    for i in tiles(len(X)):
        for j in tiles(len(Y)):
            if not symmetric or i.start < j.start:
                out[i, j] = _kernel(rows.part(i), columns.part(j), threshold)
                if symmetric:
                    out[j, i] = out[i, j].T
            elif i == j:
                upper = np.triu(_kernel(rows.part(i), rows.part(i), threshold))
                out[i, i] = upper + np.triu(upper, 1).T
    return out


def firing_threshold(shift, threshold):
    """Return the threshold as a number, None meaning the shift."""
    for name, value in (("shift", shift), ("threshold", shift if threshold is None else threshold)):
        if not isinstance(value, Real) or not 0 <= value < np.inf:
            raise ValueError(f"{name}={value!r} is not a finite number >= 0: give one, such as 1.5.")
    if threshold is not None and threshold < shift:
        raise ValueError(
            f"threshold={threshold:.4g} lies below shift={shift:.4g}: a neuron would output negative numbers "
            "between the two; raise threshold or lower shift."
        )
    return float(shift if threshold is None else threshold)


def require_finite_products(rows, columns, dtype):
    """Raise ValueError for rows so long that their inner products may not fit into the precision of the kernel."""
    longest = float(rows.lengths.max()), float(columns.lengths.max())
    if not longest[0] * longest[1] <= float(np.finfo(dtype).max) / 2:
        raise ValueError(
            f"inner products of rows up to {longest[0]:.3g} and {longest[1]:.3g} long do not fit into "
            f"{np.dtype(dtype).name}: divide X and Y by a constant."
        )


def _entry(x, y, threshold):
    """Return H(x, y) with little more than its arithmetic, since `KernelRidge` computes entries one by one."""
    x = as_points(np.reshape(x, (1, -1)), "X")
    y = as_points(np.reshape(y, (1, -1)), "Y", n_features=x.shape[1])
    rows, columns, dtype = Rows.of(x), Rows.of(y), np.result_type(x, y)
    require_finite_products(rows, columns, dtype)
    return _kernel(rows, columns, threshold)[0, 0].astype(dtype)


def tiles(n):
    return [slice(start, min(start + TILE, n)) for start in range(0, n, TILE)]


def _kernel(rows, columns, threshold):
    """Return H between two small sets of rows."""
    cosines, sine, cosine = _angles(rows.directions, columns.directions)
    shape = cosines.shape
    with np.errstate(over="ignore"):
        # The direction of a row of zeros is zero, hence its cosines, and with them its kernel.
        h, k = (threshold / np.where(part.lengths > 0, part.lengths, 1.0) for part in (rows, columns))
    h, k = np.broadcast_to(h[:, None], shape), np.broadcast_to(k, shape)
    probability = orthant_probability(h, k, sine, cosine)
    return cosines * probability * rows.lengths[:, None] * columns.lengths


def _angles(A, B):
    """Return cosines between unit rows, and sine and cosine of half the angle, accurate also near 0 and pi."""
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
