"""Losses of a prediction f for a target y, summed over outputs, with the derivative that the Jacobian carries back.

Huber and absolute error are the convex Lipschitz losses of QSY23 (Definitions 3.4 and 3.5).
"""

import numpy as np


class SquaredError:
    """1/2 (f - y)^2."""

    curvature = 1.0
    smooth = True

    def value(self, f, y):
        return 0.5 * np.square(f - y, dtype=np.float64).sum(axis=1)

    def derivative(self, f, y):
        return f - y


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
