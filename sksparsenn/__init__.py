"""Wide two-layer networks for scikit-learn, trained exactly at a cost that grows slower than their width."""

from importlib.machinery import PathFinder
from pathlib import Path

# In this folder itself: an editable install of other sources would lend its compiled modules to these.
if Path(__file__).with_name("_tree.pyx").exists() and PathFinder.find_spec("sksparsenn._tree", __path__) is None:
    raise ImportError(
        f"the compiled modules of sksparsenn are missing in {__path__[0]}, a folder of its sources: start Python in "
        'another folder after "pip install .", or compile them here by "pip install -e .".'
    )

from sksparsenn._estimators.first_order_classifier import SparseShiftedReLUClassifier
from sksparsenn._estimators.first_order_regressor import SparseShiftedReLURegressor
from sksparsenn._estimators.gauss_newton_classifier import SketchedGaussNewtonClassifier
from sksparsenn._estimators.gauss_newton_regressor import SketchedGaussNewtonRegressor
from sksparsenn._search.half_space_index import HalfSpaceIndex
from sksparsenn._search.margin_lists import MarginLists
from sksparsenn._search.max_tree import MaxTree
from sksparsenn._search.work import Work

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
