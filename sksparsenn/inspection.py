"""Displays of training, of who fires on what, and of cost against width, in the manner of scikit-learn's.

A display holds data, as arrays; `plot` draws it as panels, each on axes of its own, and
only then needs matplotlib.
"""

from sksparsenn._firing_pattern_display import FiringPatternDisplay
from sksparsenn._training_curve_display import TrainingCurveDisplay
from sksparsenn._width_cost_display import WidthCostDisplay

__all__ = ["FiringPatternDisplay", "TrainingCurveDisplay", "WidthCostDisplay"]
