"""Warnings of a fit that went through, but hardly as its user meant: each says what to do."""

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning

# Of the samples, a tenth may be such that no neuron fires on them.
MOST_SILENT = 0.1

# Columns may differ in spread by this factor.
WIDEST_SPREADS = 1e3

# A fall of the objective is fast at more than this part of its average pace, over the last of so many parts of a fit.
FAST, PARTS = 0.5, 10


def warn_of_silence(share, threshold):
    """Warn if on more than a tenth of the samples, by weight, no neuron fires at the start."""
    if share > MOST_SILENT:
        warnings.warn(
            f"on {share:.0%} of the samples no neuron fires at the start (threshold {threshold:.4g}), and nothing is "
            "learned from them: lower shift and threshold, or raise width.",
            UserWarning,
            stacklevel=7,
        )


def warn_of_spreads(spreads):
    """Warn if columns that vary differ in spread so much that those of little spread have no effect."""
    varying = np.flatnonzero(spreads > 0)
    if len(varying) < 2:
        return
    narrow, wide = varying[spreads[varying].argmin()], varying[spreads[varying].argmax()]
    with np.errstate(over="ignore"):
        factor = spreads[wide] / spreads[narrow]
    if factor > WIDEST_SPREADS:
        warnings.warn(
            f"columns of X differ in spread by a factor of {factor:.1g}: column {wide} has standard deviation "
            f"{spreads[wide]:.3g}, column {narrow} {spreads[narrow]:.3g} and next to no effect; put a StandardScaler "
            "(for sparse X a MaxAbsScaler) before the estimator.",
            UserWarning,
            stacklevel=7,
        )


def warn_of_a_fit_cut_short(curve, max_iter):
    """Warn if the objective still fell fast when training ended by max_iter.

    It does if over the last tenth of the iterations it fell at more than half its average pace: so it
    falls in the first iterations, or, with steps that are far too small, in all of them.
    """
    n_falls = len(curve) - 1
    if n_falls < 1 or not np.isfinite(curve).all():
        return
    last = max(1, n_falls // PARTS)
    pace, average = (curve[-1 - last] - curve[-1]) / last, (curve[0] - curve[-1]) / n_falls
    if average > 0 and pace > FAST * average:
        warnings.warn(
            f"training ended after max_iter={max_iter} iterations while the objective still fell fast, from "
            f"{curve[0]:.3g} at the start to {curve[-1]:.3g}: raise max_iter.",
            ConvergenceWarning,
            stacklevel=7,
        )
