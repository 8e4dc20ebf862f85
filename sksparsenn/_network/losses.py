"""Losses of a prediction f for a target y, summed over outputs, with their derivatives and curvatures in f.

Huber and absolute error, log loss and hinge are the convex Lipschitz losses of QSY23 (Definitions 3.4 and 3.5).
"""

import numpy as np
from scipy.special import expit, logsumexp, softmax


class SquaredError:
    """1/2 (f - y)^2."""

    curvature = 1.0
    smooth = True

    def value(self, f, y):
        return 0.5 * np.square(f - y, dtype=np.float64).sum(axis=1)

    def derivative(self, f, y):
        return f - y

    def curvature_of(self, f, y):
        """Return the second derivative at each sample."""
        return np.ones(len(f))


class Huber:
    """1/2 r^2 for |r| <= delta, and delta (|r| - delta / 2) beyond, with r = f - y and delta = 1."""

    curvature = 1.0
    smooth = True
    delta = 1.0

    def value(self, f, y):
        r = np.abs(np.subtract(f, y, dtype=np.float64))
        return np.where(r <= self.delta, 0.5 * r * r, self.delta * (r - 0.5 * self.delta)).sum(axis=1)

    def derivative(self, f, y):
        return np.clip(f - y, -self.delta, self.delta)


class AbsoluteError:
    """|f - y|, with derivative 0 at the kink."""

    curvature = 1.0  # the gradient is bounded by that of the squared error at |r| = 1
    smooth = False

    def value(self, f, y):
        return np.abs(np.subtract(f, y, dtype=np.float64)).sum(axis=1)

    def derivative(self, f, y):
        return np.sign(f - y)


REGRESSION_LOSSES = {"squared_error": SquaredError(), "huber": Huber(), "absolute_error": AbsoluteError()}


# The least curvature of the log loss in a model: that of a sample whose class is certain would vanish.
LEAST_CURVATURE = 1e-4


class LogLoss:
    """Minus the logarithm of a class's probability, for labels -1 and +1 in one column or one column for each class.

    One column f: log(1 + exp(-y g)) with g = f + offset.  More: the log of the sum of exp(g_o) less
    g of the sample's class, whose column holds +1.
    """

    smooth = True

    def __init__(self, offset):
        self.offset = np.asarray(offset)
        self.curvature = 0.25 if len(self.offset) == 1 else 0.5

    def value(self, f, y):
        g = np.add(f, self.offset, dtype=np.float64)
        if g.shape[1] == 1:
            return np.logaddexp(0, -y * g)[:, 0]
        return logsumexp(g, axis=1) - np.where(y > 0, g, 0).sum(axis=1)

    def derivative(self, f, y):
        g = f + self.offset.astype(f.dtype)
        if g.shape[1] == 1:
            return -y * expit(-y * g)
        return softmax(g, axis=1) - (y > 0)

    def curvature_of(self, f, y):
        """Return for each sample p (1 - p), or a bound on the largest eigenvalue of diag(p) - p p^T; never near zero.

        Both max_o p_o and 2 max_o p_o (1 - p_o) bound it: the first since p p^T takes nothing
        away, the second by Gershgorin's theorem.
        """
        g = np.add(f, self.offset, dtype=np.float64)
        if g.shape[1] == 1:
            p = expit(g[:, 0])
            return np.maximum(p * (1 - p), LEAST_CURVATURE)
        p = softmax(g, axis=1)
        return np.maximum(np.minimum(p.max(axis=1), 2 * (p * (1 - p)).max(axis=1)), LEAST_CURVATURE)


class Hinge:
    """max(0, 1 - y (f + offset)) for labels y of -1 and +1, with derivative 0 at the kink [QSY23, Definition 3.4]."""

    curvature = 1.0
    smooth = False

    def __init__(self, offset):
        self.offset = np.asarray(offset)

    def value(self, f, y):
        return np.maximum(0, 1 - y * np.add(f, self.offset, dtype=np.float64)).sum(axis=1)

    def derivative(self, f, y):
        return np.where(y * (f + self.offset.astype(f.dtype)) < 1, -y, 0)


CLASSIFICATION_LOSSES = ("log_loss", "hinge", "squared_error")


def classification_loss(name, offset):
    """Return the loss of that name on labels of -1 and +1; the log loss and the hinge add the offset to outputs."""
    return {"log_loss": LogLoss(offset), "hinge": Hinge(offset), "squared_error": SquaredError()}[name]


# The share that a class is given if the first part of a stream holds none of it.
SHARE_OF_ABSENT = 1e-3


def class_shares_as_scores(shares):
    """Return the scores whose probabilities are these shares of the classes (of the second, if there are two)."""
    if len(shares) == 1:
        shares = np.array([1 - shares[0], shares[0]])
    scores = np.log(np.where(shares > 0, shares, SHARE_OF_ABSENT))
    return scores[1:] - scores[0] if len(shares) == 2 else scores - scores.mean()


def probabilities(scores):
    """Return the probabilities of all classes, from scores of `LogLoss`: a vector for two classes, else a matrix."""
    if scores.ndim == 1:
        return np.stack([expit(-scores), expit(scores)], axis=1)
    return softmax(scores, axis=1)


def probabilities_of_means(scores):
    """Return the probabilities p of all classes, from estimates of the mean labels 2 p - 1, of two only the second."""
    if scores.ndim == 1:
        scores = np.stack([-scores, scores], axis=1)
    positive = np.maximum(scores + 1, 0)
    total = positive.sum(axis=1, keepdims=True)
    return np.where(total == 0, 1 / scores.shape[1], positive / np.where(total == 0, 1, total))
