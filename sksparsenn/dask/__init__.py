"""Estimators for rows on the workers of a Dask cluster.

They need the extra ``dask``: ``pip install "sksparsenn[dask]"``.
"""

try:
    import dask.array  # noqa: F401
    import distributed  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"sksparsenn.dask needs a package that is missing ({error}): pip install 'sksparsenn[dask]'"
    ) from error

from sksparsenn.dask._estimators import (
    DaskSketchedGaussNewtonClassifier,
    DaskSketchedGaussNewtonRegressor,
    DaskSparseShiftedReLUClassifier,
    DaskSparseShiftedReLURegressor,
)

__all__ = [
    "DaskSketchedGaussNewtonClassifier",
    "DaskSketchedGaussNewtonRegressor",
    "DaskSparseShiftedReLUClassifier",
    "DaskSparseShiftedReLURegressor",
]
