"""Wide two-layer networks for scikit-learn, trained exactly at a cost that grows slower than their width."""

from sksparsenn._first_order_classifier import SparseShiftedReLUClassifier
from sksparsenn._first_order_regressor import SparseShiftedReLURegressor
from sksparsenn._gauss_newton_classifier import SketchedGaussNewtonClassifier
from sksparsenn._gauss_newton_regressor import SketchedGaussNewtonRegressor
from sksparsenn._half_space_index import HalfSpaceIndex
from sksparsenn._margin_lists import MarginLists
from sksparsenn._max_tree import MaxTree
from sksparsenn._work import Work

__version__ = "0.1.0"

__all__ = [
    "HalfSpaceIndex",
    "MarginLists",
    "MaxTree",
    "SketchedGaussNewtonClassifier",
    "SketchedGaussNewtonRegressor",
    "SparseShiftedReLUClassifier",
    "SparseShiftedReLURegressor",
    "Work",
    "__version__",
]
