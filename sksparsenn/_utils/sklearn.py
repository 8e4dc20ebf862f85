"""Private parts of scikit-learn, as its project template uses them, and packages it requires: imported here only."""

from joblib import hash as hash_of_contents  # which scikit-learn requires
from sklearn.base import _fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils._param_validation import Options as OneOf
from sklearn.utils.validation import _check_sample_weight

__all__ = [
    "Interval", "OneOf", "StrOptions", "_check_sample_weight", "_fit_context", "hash_of_contents",
]  # fmt: skip
