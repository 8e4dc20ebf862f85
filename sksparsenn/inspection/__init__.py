"""Displays of training, of who fires on what, and of cost against width, in the manner of scikit-learn's.

A display holds data, as arrays; `plot` draws it as panels, each on axes of its own, and
only then needs matplotlib.
"""

from sksparsenn.inspection._firing_pattern import FiringPatternDisplay
from sksparsenn.inspection._training_curve import TrainingCurveDisplay
from sksparsenn.inspection._width_cost import WidthCostDisplay

__all__ = ["FiringPatternDisplay", "TrainingCurveDisplay", "WidthCostDisplay"]
