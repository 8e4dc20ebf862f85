"""What the displays share: the check for matplotlib, the fitted network they show, panels and lines."""

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from sksparsenn._estimators.base import BaseShiftedReLU

# Lines drawn into the same axes differ in more than colour.
LINE_STYLES = "-", "--", ":", "-."
MARKERS = "o", "s", "^", "D", "v", "P"


def require_matplotlib(caller):
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError(
            f"{caller} requires matplotlib, which could not be imported ({error}): "
            "install it with `pip install matplotlib`."
        ) from error
    return pyplot


def fitted_network(estimator, display):
    """Return the fitted estimator of this package that `estimator` is, or that ends it as a pipeline."""
    network = estimator
    while isinstance(network, Pipeline):
        network = network.steps[-1][1]
    if not isinstance(network, BaseShiftedReLU):
        inside = "" if network is estimator else ", which ends in " + kind(network)
        raise TypeError(
            f"{display} needs an estimator of sksparsenn, or a Pipeline that ends in one, "
            f"got {kind(estimator)}{inside}."
        )
    check_is_fitted(network)
    return network


def kind(thing):
    return f"the class {thing.__name__}" if isinstance(thing, type) else f"an object of type {type(thing).__name__}"


class PanelDisplay:
    """Draws some of the panels that a display has, each by the method ``_draw_<panel>``."""

    def _plot(self, ax, panels, size, keywords):
        pyplot = require_matplotlib(f"{type(self).__name__}.plot")
        panels = self._chosen(panels)
        if ax is None:
            figsize = sum(size[name] for name in panels), 3.6
            ratios = [size[name] for name in panels]
            _, axes = pyplot.subplots(
                1, len(panels), figsize=figsize, width_ratios=ratios, squeeze=False, layout="constrained"
            )
        else:
            axes = np.array(ax, dtype=object)
        axes = axes.ravel()
        if len(axes) != len(panels):
            raise ValueError(
                f"ax holds {len(axes)} axes for {len(panels)} panels, {', '.join(panels)}: "
                "give an axes for each, choose panels, or leave ax=None."
            )
        self.lines_ = {}
        for name, panel_axes in zip(panels, axes, strict=True):
            getattr(self, f"_draw_{name}")(panel_axes, **keywords)
        self.panels_, self.axes_, self.figure_ = panels, axes, axes[0].figure
        return self

    def _chosen(self, panels):
        available = self._available_panels()
        if panels is None:
            return available
        chosen = (panels,) if isinstance(panels, str) else tuple(panels)
        unknown = [name for name in chosen if name not in available]
        if unknown or not chosen:
            raise ValueError(f"panels={panels!r}: this display has {', '.join(map(repr, available))}; choose of these.")
        return chosen

    def _line(self, panel, ax, x, y, keywords, *, errors=None, markers=False):
        """Draw a line in a style that no other line of a display in these axes has, and return it."""
        place = sum(line.get_gid() == "display" for line in ax.get_lines())
        style = {"color": f"C{place % 10}", "linestyle": LINE_STYLES[place % len(LINE_STYLES)]}
        if markers:
            style |= {"marker": MARKERS[place % len(MARKERS)], "markersize": 4}
        style |= keywords
        if errors is None:
            (line,) = ax.plot(x, y, **style)
        else:
            line = ax.errorbar(x, y, errors, **{"capsize": 2} | style)[0]
        line.set_gid("display")
        self.lines_.setdefault(panel, []).append(line)
        return line


def log_if_wide(axes, values):
    """Make the y axis logarithmic for positive values that span more than a factor of ten."""
    positive = np.asarray(values)[np.isfinite(values)]
    if len(positive) and positive.min() > 0 and positive.max() > 10 * positive.min():
        axes.set_yscale("log")


def legend(ax, above=False):
    if ax.get_legend_handles_labels()[0]:
        place = {"loc": "lower left", "bbox_to_anchor": (0, 1), "ncols": 2} if above else {}
        ax.legend(frameon=False, fontsize="small", **place)
