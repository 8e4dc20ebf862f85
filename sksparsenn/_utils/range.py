"""Numbers at the ends of the range of float32 and float64: units that keep squares in range, and clear errors.

Units are powers of two, which change no bits, and one wherever numbers are ordinary.
"""

import numpy as np

# A ridge this many times the curvature leaves weights where they are, to rounding; a larger one changes nothing more.
STIFFEST = 2.0**100

# Training computes with targets up to so many standard units.
LARGEST_TARGET = 2.0**60


def unit_of(sizes, ordinary=256):
    """Return for each size the power of two just below it, or one if it lies between 2^-ordinary and 2^ordinary."""
    exponents = np.frexp(sizes)[1] - 1
    extreme = (np.asarray(sizes) > 0) & (np.abs(exponents) > ordinary)
    return np.ldexp(1.0, np.where(extreme, exponents, 0))


def absolute_ridge(alpha, kernel_unit, total_weight):
    """Return the ridge `alpha * kernel_unit / total_weight`, at most STIFFEST times the kernel unit."""
    with np.errstate(over="ignore"):
        ridge = alpha * kernel_unit / total_weight
        if not np.isfinite(ridge):
            ridge = alpha / total_weight * kernel_unit
    return min(ridge, STIFFEST * kernel_unit)


def aligned(array):
    """Return the array, copied if its numbers do not start where compiled code expects them."""
    return array if array.flags.aligned else array.copy()


def aligned_table(X):
    """Return a dense or sparse table with its arrays aligned, copied where they are not."""
    if isinstance(X, np.ndarray):
        return aligned(X)
    if all(part.flags.aligned for part in (X.data, X.indices, X.indptr)):
        return X
    parts = (aligned(part) for part in (X.data, X.indices, X.indptr))
    return type(X)(tuple(parts), shape=X.shape)


# -- refusals --------------------------------------------------------------------------------


def total_weight(weights, name="sample_weight"):
    """Return the sum of the weights; raise ValueError unless it is positive and finite."""
    with np.errstate(over="ignore"):
        total = weights.sum()
    if not total > 0:
        raise ValueError(f"{name} is zero for every sample: nothing is left to fit.")
    if not np.isfinite(total):
        raise ValueError(
            f"{name} holds weights up to {weights.max():.3g}, whose sum does not fit into float64: "
            "divide all of them by a constant."
        )
    return total


def require_activation(shift, threshold, dtype):
    """Raise ValueError for a shift or threshold next to the largest number, where no neuron could fire."""
    limit = float(np.finfo(dtype).max) / 2**20
    for name, value in (("shift", shift), ("threshold", threshold)):
        if value > limit:
            raise ValueError(
                f"{name}={value:.4g} is too large for {np.dtype(dtype).name}, and no neuron could fire: lower it."
            )


def require_output_scale(output_scale, dtype):
    """Raise ValueError for a scale at which weights would travel less than their last bit, or too far to square."""
    eps = float(np.finfo(dtype).eps)
    if not eps**2 <= output_scale <= 1 / eps:
        size, travel = ("large", "less than rounding") if output_scale > 1 else ("small", "too far to compute with")
        raise ValueError(
            f"output_scale={output_scale:.4g} is too {size} for {np.dtype(dtype).name}: weights would travel {travel}; "
            f"use one between {eps**2:.2g} and {1 / eps:.2g}."
        )


def require_normal_targets(targets, dtype):
    """Raise ValueError for targets too small for the normal numbers of the precision of X."""
    largest, tiny = np.abs(targets).max(axis=0, initial=0), float(np.finfo(dtype).tiny)
    vanishing = largest[(largest > 0) & (largest < tiny)]
    if len(vanishing):
        raise ValueError(
            f"targets of at most {vanishing.min():.3g} vanish in {np.dtype(dtype).name}, whose normal numbers begin at "
            f"{tiny:.3g}: {_advice(dtype, 'multiply y by a constant')}."
        )


def require_moderate_targets(targets, units):
    """Raise ValueError for targets far beyond the units of the fit that this one continues."""
    with np.errstate(over="ignore"):
        sizes = np.abs(targets / units.scale - units.mean / units.scale)
    if not sizes.max(initial=0) <= LARGEST_TARGET:
        raise ValueError(
            f"targets up to {np.abs(targets).max():.3g} are too far from those of the first fit, which have mean "
            f"{units.mean.max():.3g} and scale {units.scale.min():.3g}: start anew, with warm_start=False and fit."
        )


def require_room(network, units, largest_target):
    """Raise ValueError if predictions of the network, in these units, might not fit into its precision for some sample.

    On the unit sphere a neuron puts out no more than the length of its weights.
    """
    dtype = network.weights.dtype
    with np.errstate(over="ignore"):
        lengths = np.sqrt(np.einsum("ij,ij->i", network.weights, network.weights, dtype=np.float64))
        reach = np.nan_to_num(max(network.scale, 1.0) * lengths.sum(), nan=np.inf, posinf=np.inf)
        predictions = (reach * units.scale + np.abs(units.mean)).max()
    limit = float(np.finfo(dtype).max) / 4
    if predictions <= limit and reach <= limit:
        return
    if not reach <= np.sqrt(limit):
        raise ValueError(
            f"training diverged: outputs of up to {reach:.3g} standard units are too large for {dtype.name}; "
            "lower learning_rate if it is a number, else raise alpha or output_scale."
        )
    raise ValueError(
        f"targets up to {largest_target:.3g} do not fit into {dtype.name}, with room for predictions beyond them: "
        f"{_advice(dtype, 'divide y by a constant')}."
    )


def _advice(dtype, otherwise):
    return f"pass X as float64, or {otherwise}" if dtype == np.float32 else otherwise
