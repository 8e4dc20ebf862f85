"""Samples to validate on: the user's own, checked under their names, or a part of those to fit."""

import re
from contextlib import contextmanager

import numpy as np
from sklearn.model_selection import train_test_split
from sklearn.utils import assert_all_finite, check_array
from sklearn.utils.validation import column_or_1d, validate_data

# Rows looked at at a time, so that temporary copies stay small.
ROWS_AT_ONCE = 1 << 17


@contextmanager
def named(name):
    """Raise errors of scikit-learn's checks with the name of what was checked where they have none."""
    try:
        yield
    except ValueError as error:
        if name in str(error):
            raise
        raise ValueError(f"{name}: {error}") from error


@contextmanager
def renamed(general, name):
    """Put a name into errors of scikit-learn's checks in place of the general one."""
    try:
        yield
    except ValueError as error:
        if name == general:
            raise
        text = re.sub(rf"\b{general}\b|Sample weights", name, str(error))
        raise ValueError(text) from error


def first_bad_row(values):
    """Return the number of the first row with a value that is not finite, or None."""
    for start in range(0, len(values), ROWS_AT_ONCE):
        finite = np.isfinite(values[start : start + ROWS_AT_ONCE])
        if not finite.all():
            return start + int(np.flatnonzero(~finite.reshape(len(finite), -1).all(axis=1))[0])
    return None


@contextmanager
def naming_the_row(**arrays):
    """Raise errors of scikit-learn's checks with the number of the first row that is not finite, of arrays by name."""
    try:
        yield
    except ValueError as error:
        for name, array in arrays.items():
            if f"Input {name} contains" in str(error) and isinstance(array, np.ndarray) and array.dtype.kind == "f":
                raise ValueError(f"{error}\nThe first is in row {first_bad_row(array)} of {name}.") from error
        raise


def checked_samples(estimator, X_val, n_features):
    """Return X_val as `fit` takes X, or an error that names it."""
    with named("X_val"):
        X = check_array(X_val, input_name="X_val", estimator=estimator, **estimator._input_checks(X_val, "X_val"))
    if X.shape[1] != n_features:
        raise ValueError(f"X_val has {X.shape[1]} features, but X has {n_features}: give the same columns of both.")
    validate_data(estimator, X_val, reset=False, skip_check_array=True)  # names of features
    return X


def checked_targets(y_val, n_samples, several_outputs):
    """Return y_val as `fit` takes y, or an error that names it."""
    with named("y_val"):
        if several_outputs:
            y = check_array(y_val, ensure_2d=False, dtype=None, input_name="y_val")
            y = y.astype(np.float64) if y.dtype.kind == "O" else y
        else:
            y = column_or_1d(y_val, warn=True)
            assert_all_finite(y, input_name="y_val")
    if len(y) != n_samples:
        raise ValueError(f"X_val holds {n_samples} samples, but y_val {len(y)}: give a target for each.")
    return y


def split(rows, fraction, seed, stratifies):
    """Return two parts of the rows, to train and to validate on, in which the classes have about the same shares."""
    n = len(rows.y)
    n_held_out = int(np.ceil(fraction * n))
    advice = "give samples to validate on by X_val and y_val, or set early_stopping=False and a number for alpha."
    if n_held_out >= n:
        raise ValueError(
            f"validation_fraction={fraction} of {n} samples holds out {n_held_out} and leaves none to fit: "
            f"lower it, {advice}"
        )
    stratify = None
    if stratifies:
        stratify = rows.y
        classes, counts = np.unique(rows.y, return_counts=True)
        if counts.min() < 2:
            raise ValueError(
                f"class {classes[counts.argmin()]!s} has 1 sample, but early stopping needs two of each class, one to "
                f"fit and one to validate on: {advice}"
            )
        if min(n_held_out, n - n_held_out) < len(classes):
            raise ValueError(
                f"validation_fraction={fraction} of {n} samples holds out {n_held_out} and fits {n - n_held_out}, but "
                f"each part needs at least one of each of {len(classes)} classes: change it, {advice}"
            )
    parts = train_test_split(*rows, test_size=fraction, random_state=seed, stratify=stratify)
    return type(rows)(*parts[::2]), type(rows)(*parts[1::2])
