"""The tangent kernel of wide shifted-ReLU networks: closed form, random features and diagnostics.

As the width grows, the tangent kernel of the network at its start, sum_r of the inner products
of the gradients in w_r, becomes output_scale^2 H with

    H(x, x') = <x, x'> P(<w, x> > threshold, <w, x'> > threshold),    w ~ N(0, I),

and a network whose weights stay near their start, as those of a large output_scale do, behaves
like kernel regression with it.  Samples of the regressors are lifted to the unit sphere first,
which is what `SphereLift` does; the functions here take rows as they are.
"""

from sksparsenn.ntk._diagnostics import (
    MinimumEigenvalue,
    data_separability,
    expected_firing_fraction,
    minimum_eigenvalue,
)
from sksparsenn.ntk._features import ShiftedNTKFeatures, SphereLift
from sksparsenn.ntk._kernel import shifted_ntk_kernel

__all__ = [
    "MinimumEigenvalue",
    "ShiftedNTKFeatures",
    "SphereLift",
    "data_separability",
    "expected_firing_fraction",
    "minimum_eigenvalue",
    "shifted_ntk_kernel",
]
