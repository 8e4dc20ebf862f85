"""Fit the linear part of each network before the network: a ridge whose strength rows left out choose.

With z the features of a sample and p its weight, the linear part of a network minimises, over its rows,

    sum p_i ||v^T z_i + c - y_i||^2 + strength * S * ||v||^2,    S = sum p_i,

which needs sums over the rows of each label only: those of a network are sums of those.
"""

from typing import NamedTuple

import numpy as np

from sksparsenn._network.linear_part import LinearPart

# The features have a mean squared length of one.  The strongest leaves nothing of the linear part.
STRENGTHS = np.append(np.inf, 10.0 ** np.arange(1, -7.5, -0.5))


class Moments(NamedTuple):
    """Sums over rows of weights times products of (1, z, y) with itself."""

    products: np.ndarray
    n_features: int

    @classmethod
    def of(cls, features, X, y, weights):
        """Return the moments of the rows of a table."""
        n_features, n_outputs = len(features.centre), y.shape[1]
        products = np.zeros((1 + n_features + n_outputs,) * 2)
        for rows, z in features(X):
            root = np.sqrt(weights[rows])[:, None]
            part = np.concatenate([root, root * z, root * y[rows]], axis=1)
            products += part.T @ part
        return cls(products, n_features)

    def __add__(self, other):
        return self._replace(products=self.products + other.products)

    def error(self, weights, intercept):
        """Return sum p ||v^T z + c - y||^2 for each output."""
        effect = np.concatenate([intercept[None], weights, -np.eye(len(intercept))])
        return np.einsum("io,ij,jo->o", effect, self.products, effect)

    def fits(self, centred):
        """Return weights and intercepts of the linear parts of all strengths, stacked."""
        d, total = self.n_features, self.products[0, 0]
        first, z, y = 0, slice(1, 1 + d), slice(1 + d, None)
        products = self.products / total
        if centred:  # the intercept takes up the means
            products = products - np.outer(products[first], products[first])
        values, vectors = np.linalg.eigh(products[z, z])
        along = vectors.T @ products[z, y]
        weights = np.stack([vectors @ (along / (np.maximum(values, 0) + s)[:, None]) for s in STRENGTHS])
        means = self.products[first] / total
        intercepts = means[y] - means[z] @ weights if centred else np.zeros((len(STRENGTHS), along.shape[1]))
        return weights, intercepts


def best_strengths(moments, folds, centred, validation=None):
    """Return for each output the place of the strength of least error on the rows that networks leave out.

    Parameters
    ----------
    moments : list of Moments
        Of the rows of each label.
    folds : Folds
        Which labels each network trains on, and which it leaves out.
    centred : bool
        Whether there is an intercept.
    validation : Moments, optional
        Of rows that tell the error, in place of those left out.
    """
    errors = 0.0
    for trains, leaves_out in zip(folds.trains, folds.leaves_out, strict=True):
        checked = validation if validation is not None else _total(moments, leaves_out)
        fits = zip(*_total(moments, trains).fits(centred), strict=True)
        errors = errors + np.array([checked.error(*fit) for fit in fits])
    return errors.argmin(axis=0)


def linear_parts(features, moments, trains, centred, best):
    """Return a `LinearPart` for each network, on the labels that it trains on, with these strengths."""
    outputs, parts = np.arange(len(best)), []
    for labels in trains:
        weights, intercepts = _total(moments, labels).fits(centred)
        parts.append(LinearPart(features, weights[best, :, outputs].T.copy(), intercepts[best, outputs]))
    return parts


def _total(moments, labels):
    """Return the moments of the rows of all these labels."""
    chosen = [part for part, takes_part in zip(moments, labels, strict=True) if takes_part]
    return sum(chosen[1:], chosen[0])
