"""The private parts of scikit-learn that its project template uses, and a package it requires, imported here only."""

from functools import cache

from sklearn.base import _fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils._param_validation import Options as OneOf
from sklearn.utils.validation import _check_sample_weight
from threadpoolctl import ThreadpoolController  # which scikit-learn requires

__all__ = ["Interval", "OneOf", "StrOptions", "_check_sample_weight", "_fit_context", "single_blas_thread"]


@cache
def _thread_pools():
    """The thread pools of this process; looking for them takes longer than a small fit."""
    return ThreadpoolController()


def single_blas_thread():
    """A context in which BLAS uses one thread: more would change the last bits, and fight with ours for cores."""
    return _thread_pools().limit(limits=1, user_api="blas")
