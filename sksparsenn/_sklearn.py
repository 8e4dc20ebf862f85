"""The private parts of scikit-learn that its project template uses, and packages it requires, imported here only."""

from functools import cache

from joblib import hash as hash_of_contents  # which scikit-learn requires
from sklearn.base import _fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils._param_validation import Options as OneOf
from sklearn.utils.validation import _check_sample_weight
from threadpoolctl import ThreadpoolController  # likewise

__all__ = [
    "Interval", "OneOf", "StrOptions", "_check_sample_weight", "_fit_context", "hash_of_contents", "single_blas_thread",
]  # fmt: skip


@cache
def _thread_pools():
    """The thread pools of this process; looking for them takes longer than a small fit."""
    return ThreadpoolController()


def single_blas_thread():
    """A context in which BLAS uses one thread: more would change the last bits, and fight with ours for cores."""
    return _thread_pools().limit(limits=1, user_api="blas")
