"""Displays of training, of who fires on what, and of cost against width, in the manner of scikit-learn's.

A display holds data, as arrays; `plot` draws it as panels, each on axes of its own, and
only then needs matplotlib.
"""

from collections.abc import Mapping
from numbers import Integral

import numpy as np
from scipy.sparse import csr_array
from sklearn.base import BaseEstimator, MetaEstimatorMixin, is_classifier
from sklearn.pipeline import Pipeline
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from sksparsenn._base import BaseShiftedReLU
from sksparsenn._inputs import Lift
from sksparsenn._network import Network
from sksparsenn._points import padded_rows

__all__ = ["FiringPatternDisplay", "TrainingCurveDisplay", "WidthCostDisplay"]

# Lines drawn into the same axes differ in more than colour.
LINE_STYLES = "-", "--", ":", "-."
MARKERS = "o", "s", "^", "D", "v", "P"
# A curve with at most this many points shows them.
FEW_POINTS = 40
# Cells of the image of who fires: about the pixels of a panel, so that drawing it resamples little.
IMAGE_ROWS, IMAGE_COLUMNS = 200, 300
HISTOGRAM_BINS = 30


def _require_matplotlib(caller):
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError(
            f"{caller} requires matplotlib, which could not be imported ({error}): "
            "install it with `pip install matplotlib`."
        ) from error
    return pyplot


def _fitted_network(estimator, display):
    """The estimator of ours that is, or ends, `estimator`; fitted."""
    network = estimator
    while isinstance(network, Pipeline):
        network = network.steps[-1][1]
    if not isinstance(network, BaseShiftedReLU):
        inside = "" if network is estimator else ", which ends in " + _kind(network)
        raise TypeError(
            f"{display} needs an estimator of sksparsenn, or a Pipeline that ends in one, "
            f"got {_kind(estimator)}{inside}."
        )
    check_is_fitted(network)
    return network


def _kind(thing):
    return f"the class {thing.__name__}" if isinstance(thing, type) else f"an object of type {type(thing).__name__}"


class _PanelDisplay:
    """Draws some of the panels that a display has, each by the method ``_draw_<panel>``."""

    def _plot(self, ax, panels, size, keywords):
        pyplot = _require_matplotlib(f"{type(self).__name__}.plot")
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
        """A line, in a style that no line of a display in these axes has."""
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


class TrainingCurveDisplay(_PanelDisplay):
    """Loss, validation score, firing neurons and work of the search against iterations.

    Use `from_estimator` to create one.  Panels, from left to right, as far as there is
    data for them:

    - "loss": the objective before each iteration (its mean over the batches of each
      epoch, for stochastic gradient descent); crosses mark steps that were taken back;
    - "validation": the score after each iteration, and the best;
    - "firing": neurons that fire on a sample, in per cent of the width;
    - "work": what the search counted in each iteration.

    Iterations are numbered from 1.

    Parameters
    ----------
    loss : array-like of shape (n_iter,)

    firing_fraction : array-like of shape (n_iter,)
        Share of the pairs (neuron, sample) that fired.

    pairs_evaluated : array-like of shape (n_iter,)
        Inner products that the search computed.

    nodes_visited : array-like of shape (n_iter,), default=None
        Tree nodes that it tested.

    validation_scores : array-like of shape (n_iter,), default=None
        None if no score was computed.

    best_iteration : int, default=None
        Number of the iteration after which the score was best, at least 1.

    accepted : array-like of shape (n_iter,) of bool, default=None
        Whether each step was kept; None if none is ever taken back.

    iteration_name : str, default="iteration"
        "epoch" where an iteration is one.

    loss_name : str, default="objective"

    score_name : str, default="score"

    name : str, default=None
        Of the model, for legends.

    Attributes
    ----------
    panels_ : tuple of str
        The panels drawn.

    axes_ : ndarray of matplotlib Axes, of shape (n_panels,)

    figure_ : matplotlib Figure

    lines_ : dict of str to list of matplotlib Line2D
        The curves of each panel.

    See Also
    --------
    FiringPatternDisplay : Which neurons fire on which samples.
    WidthCostDisplay : Cost and score against width.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sksparsenn import SketchedGaussNewtonRegressor
    >>> from sksparsenn.inspection import TrainingCurveDisplay
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = SketchedGaussNewtonRegressor(64, early_stopping=True, random_state=0).fit(X, y)
    >>> display = TrainingCurveDisplay.from_estimator(model)
    >>> display.panels_
    ('loss', 'validation', 'firing', 'work')
    """

    def __init__(
        self,
        *,
        loss,
        firing_fraction,
        pairs_evaluated,
        nodes_visited=None,
        validation_scores=None,
        best_iteration=None,
        accepted=None,
        iteration_name="iteration",
        loss_name="objective",
        score_name="score",
        name=None,
    ):
        self.loss = loss
        self.firing_fraction = firing_fraction
        self.pairs_evaluated = pairs_evaluated
        self.nodes_visited = nodes_visited
        self.validation_scores = validation_scores
        self.best_iteration = best_iteration
        self.accepted = accepted
        self.iteration_name = iteration_name
        self.loss_name = loss_name
        self.score_name = score_name
        self.name = name

    @classmethod
    def from_estimator(cls, estimator, *, name=None, ax=None, panels=None, line_kw=None):
        """Draw the curves of a fitted estimator.

        Parameters
        ----------
        estimator : estimator of sksparsenn, or Pipeline that ends in one
            Fitted.

        name : str, default=None
            For a legend.

        ax, panels, line_kw
            As in `plot`.

        Returns
        -------
        display : TrainingCurveDisplay

        Raises
        ------
        NotFittedError
            If the estimator has not been fitted.
        TypeError
            If it is none of sksparsenn.
        ImportError
            If there is no matplotlib.
        """
        _require_matplotlib(f"{cls.__name__}.from_estimator")
        network = _fitted_network(estimator, cls.__name__)
        display = cls(
            loss=network.loss_curve_,
            firing_fraction=network.firing_fraction_curve_,
            pairs_evaluated=network.pairs_evaluated_curve_,
            nodes_visited=network.nodes_visited_curve_,
            validation_scores=getattr(network, "validation_scores_", None),
            best_iteration=getattr(network, "best_iteration_", None),
            accepted=getattr(network, "accepted_curve_", None),
            iteration_name="epoch" if network.solver == "sgd" else "iteration",
            loss_name="objective" if is_classifier(network) else "objective (targets of variance 1)",
            score_name="accuracy" if is_classifier(network) else "R2",
            name=name,
        )
        return display.plot(ax, panels=panels, line_kw=line_kw)

    def plot(self, ax=None, *, panels=None, name=None, line_kw=None):
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes, or array-like of one for each panel, default=None
            None draws into a new figure.  To compare models, draw one after the other into
            the same: ``second.plot(first.axes_)``.

        panels : str or sequence of str, default=None
            Which to draw: "loss", "validation", "firing", "work".  None draws all that
            there are.

        name : str, default=None
            For a legend; None takes that of the display.

        line_kw : dict, default=None
            Keywords of `matplotlib.axes.Axes.plot` for the curves.

        Returns
        -------
        self : TrainingCurveDisplay
        """
        size = dict.fromkeys(("loss", "validation", "firing", "work"), 3.4)
        return self._plot(ax, panels, size, {"name": name or self.name, "line_kw": line_kw or {}})

    def _available_panels(self):
        return ("loss", *(("validation",) if self.validation_scores is not None else ()), "firing", "work")

    def _curve(self, panel, ax, values, name, line_kw):
        values = np.asarray(values)
        iterations = np.arange(1, len(values) + 1)
        labelled = {} if name is None else {"label": name}
        line = self._line(panel, ax, iterations, values, labelled | line_kw, markers=len(values) <= FEW_POINTS)
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.set_xlabel(self.iteration_name)
        return line

    def _draw_loss(self, ax, name, line_kw):
        loss = np.asarray(self.loss)
        line = self._curve("loss", ax, loss, name, line_kw)
        if self.accepted is not None and not np.all(self.accepted):
            back = np.flatnonzero(~np.asarray(self.accepted, dtype=bool))
            ax.plot(back + 1, loss[back], "x", color=line.get_color(), markersize=8, label="step taken back")
        when = "mean over the epoch" if self.iteration_name == "epoch" else f"before the {self.iteration_name}"
        _log_if_wide(ax, loss)
        ax.set_ylabel(f"{self.loss_name}\n{when}")
        _legend(ax)

    def _draw_validation(self, ax, name, line_kw):
        scores, best = np.asarray(self.validation_scores), self.best_iteration
        label = name
        if best is not None:
            label = f"{'' if name is None else name + ', '}best {scores[best - 1]:.3g} at {best}"
        line = self._curve("validation", ax, scores, label, line_kw)
        if best is not None:
            ax.plot(best, scores[best - 1], "*", color=line.get_color(), markeredgecolor="k", markersize=11)
        ax.set_ylabel(f"{self.score_name} on validation samples\nafter the {self.iteration_name}")
        _legend(ax)

    def _draw_firing(self, ax, name, line_kw):
        self._curve("firing", ax, 100 * np.asarray(self.firing_fraction), name, line_kw)
        ax.autoscale(axis="y")
        ax.set_ylim(0, None)
        ax.set_ylabel("neurons that fire on a sample (%)")
        _legend(ax)

    def _draw_work(self, ax, name, line_kw):
        counts = {"inner products": np.asarray(self.pairs_evaluated)}
        if self.nodes_visited is not None and np.any(self.nodes_visited):
            counts["tree nodes"] = np.asarray(self.nodes_visited)
        for kind, count in counts.items():
            label = ", ".join(filter(None, [name, kind if len(counts) > 1 else None])) or None
            self._curve("work", ax, count, label, line_kw)
        _log_if_wide(ax, np.concatenate(list(counts.values())))
        what = " or ".join(counts)
        ax.set_ylabel(f"work of the search: {what}\nin the {self.iteration_name}")
        _legend(ax)


class FiringPatternDisplay(_PanelDisplay):
    """Which neurons fire on which samples: an image, and how often each does.

    Use `from_estimator` to create one.  Panels, from left to right:

    - "image": the firing matrix, a row for each sample and a column for each neuron that
      fires at all.  With more of them than pixels, each cell of the image is the share of
      its pairs that fire;
    - "neurons_per_sample": a histogram of the number of neurons that fire on a sample;
    - "samples_per_neuron": a histogram of the number of samples a neuron fires on, with
      the number of those that fire on none, which are dead on these samples.

    Parameters
    ----------
    firing : array-like or sparse array of shape (n_samples, width)
        Nonzero where the neuron fires on the sample.

    sample_values : array-like of shape (n_samples,), default=None
        Samples are drawn in ascending order of these; None draws them in their own order.

    order_name : str, default="value"
        What these values are, for the label of the axis.

    Attributes
    ----------
    neurons_per_sample : ndarray of shape (n_samples,)

    samples_per_neuron : ndarray of shape (width,)

    dead_neurons : ndarray of int
        Neurons that fire on none of the samples.

    image_ : matplotlib AxesImage
        Drawn if "image" is among the panels.

    bars_ : dict of str to matplotlib BarContainer
        Of each histogram drawn.

    panels_ : tuple of str
        The panels drawn.

    axes_ : ndarray of matplotlib Axes, of shape (n_panels,)

    figure_ : matplotlib Figure

    See Also
    --------
    TrainingCurveDisplay : Loss, scores and work against iterations.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sksparsenn import SparseShiftedReLURegressor
    >>> from sksparsenn.inspection import FiringPatternDisplay
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = SparseShiftedReLURegressor(256, max_iter=50, random_state=0).fit(X, y)
    >>> display = FiringPatternDisplay.from_estimator(model, X)
    >>> display.firing.shape
    (442, 256)
    """

    def __init__(self, *, firing, sample_values=None, order_name="value"):
        self.firing = csr_array(firing, dtype=bool, copy=True)
        self.firing.eliminate_zeros()
        self.sample_values = sample_values
        self.order_name = order_name

    @classmethod
    def from_estimator(
        cls, estimator, X, *, order="prediction", subsample=1000, random_state=None, ax=None, panels=None,
        neuron_order="place", image_kw=None, bar_kw=None,
    ):  # fmt: skip
        """Find who fires on X, exactly, and draw it.

        Parameters
        ----------
        estimator : estimator of sksparsenn, or Pipeline that ends in one
            Fitted.  Earlier steps of a pipeline transform X.

        X : array-like of shape (n_samples, n_features)

        order : {"prediction", "principal"}, default="prediction"
            How to order samples: by prediction (by the first output of several; by the
            decision function of two classes), or by their first principal coordinate on
            the sphere.

        subsample : int, default=1000
            Largest number of samples to show; of more, that many are drawn at random.
            None shows all.

        random_state : int, RandomState instance or None, default=None
            Determines that draw.

        ax, panels, neuron_order, image_kw, bar_kw
            As in `plot`.

        Returns
        -------
        display : FiringPatternDisplay

        Raises
        ------
        NotFittedError
            If the estimator has not been fitted.
        TypeError
            If it is none of sksparsenn.
        ValueError
            If X or a parameter cannot be used.
        ImportError
            If there is no matplotlib.
        """
        _require_matplotlib(f"{cls.__name__}.from_estimator")
        network = _fitted_network(estimator, cls.__name__)
        if order not in ("prediction", "principal"):
            raise ValueError(f"order={order!r}: use 'prediction' or 'principal'.")
        if subsample is not None and (not isinstance(subsample, Integral) or subsample < 1):
            raise ValueError(f"subsample={subsample!r}: use a number of samples, at least 1, or None for all.")
        while isinstance(estimator, Pipeline):
            X = estimator[:-1].transform(X) if len(estimator) > 1 else X
            estimator = estimator.steps[-1][1]
        X = validate_data(network, X, dtype=[np.float64, np.float32], order="C", reset=False)
        if subsample is not None and subsample < len(X):
            X = X[np.sort(check_random_state(random_state).choice(len(X), subsample, replace=False))]
        exact, samples = _network_and_samples(network, X)
        firing = _who_fires(exact, samples)
        values = _predictions(network, exact, samples) if order == "prediction" else _first_coordinate(samples)
        order_name = "prediction" if order == "prediction" else "first principal coordinate"
        display = cls(firing=firing, sample_values=values, order_name=order_name)
        return display.plot(ax, panels=panels, neuron_order=neuron_order, image_kw=image_kw, bar_kw=bar_kw)

    @property
    def neurons_per_sample(self):
        return self.firing.sum(axis=1, dtype=np.int64)

    @property
    def samples_per_neuron(self):
        return self.firing.sum(axis=0, dtype=np.int64)

    @property
    def dead_neurons(self):
        return np.flatnonzero(self.samples_per_neuron == 0)

    def plot(self, ax=None, *, panels=None, neuron_order="place", image_kw=None, bar_kw=None):
        """Draw who fires.

        Parameters
        ----------
        ax : matplotlib Axes, or array-like of one for each panel, default=None
            None draws into a new figure.

        panels : str or sequence of str, default=None
            Which to draw: "image", "neurons_per_sample", "samples_per_neuron".  None draws
            all.

        neuron_order : {"place", "count"}, default="place"
            How to order the neurons of the image: by the mean place, among the ordered
            samples, of those they fire on; or by how many they fire on, most first.

        image_kw : dict, default=None
            Keywords of `matplotlib.axes.Axes.imshow`.

        bar_kw : dict, default=None
            Keywords of `matplotlib.axes.Axes.bar` for both histograms.

        Returns
        -------
        self : FiringPatternDisplay
        """
        if neuron_order not in ("place", "count"):
            raise ValueError(f"neuron_order={neuron_order!r}: use 'place' or 'count'.")
        self.bars_ = {}
        size = {"image": 5.0, "neurons_per_sample": 3.2, "samples_per_neuron": 3.2}
        keywords = {"neuron_order": neuron_order, "image_kw": image_kw or {}, "bar_kw": bar_kw or {}}
        return self._plot(ax, panels, size, keywords)

    def _available_panels(self):
        return "image", "neurons_per_sample", "samples_per_neuron"

    def sorted_firing(self, neuron_order="place"):
        """The firing matrix as the image shows it: samples in order, then neurons in order, without dead ones.

        Parameters
        ----------
        neuron_order : {"place", "count"}, default="place"
            As in `plot`.

        Returns
        -------
        firing : sparse array of shape (n_samples, n_firing_neurons)
        """
        n_samples = self.firing.shape[0]
        values = np.arange(n_samples) if self.sample_values is None else np.asarray(self.sample_values)
        firing = self.firing[np.argsort(values, kind="stable")]
        counts = self.samples_per_neuron
        keys = -counts if neuron_order == "count" else np.arange(n_samples) @ firing / np.maximum(counts, 1)
        neurons = np.argsort(keys, kind="stable")
        return firing[:, neurons[counts[neurons] > 0]]

    def _draw_image(self, ax, neuron_order, image_kw, bar_kw):
        firing = self.sorted_firing(neuron_order)
        n_samples, n_neurons = firing.shape
        # Where nobody fires, an empty column.
        cells = _cell_means(firing, IMAGE_ROWS, IMAGE_COLUMNS) if n_neurons else np.zeros((n_samples, 1))
        style = {
            "cmap": "gray_r", "vmin": 0, "vmax": cells.max() or 1.0, "aspect": "auto", "interpolation": "nearest",
            "origin": "lower", "extent": (0.5, max(n_neurons, 1) + 0.5, 0.5, n_samples + 0.5),
        }  # fmt: skip
        self.image_ = ax.imshow(cells, **style | image_kw)
        ax.figure.colorbar(self.image_, ax=ax, label="share of pairs that fire")
        by = "mean place of their samples" if neuron_order == "place" else "number of their samples"
        ax.set_xlabel(f"neurons that fire, by {by}")
        ax.set_ylabel("samples" if self.sample_values is None else f"samples, by {self.order_name}")

    def _draw_neurons_per_sample(self, ax, neuron_order, image_kw, bar_kw):
        counts = self.neurons_per_sample
        self._histogram("neurons_per_sample", ax, counts, bar_kw)
        width = self.firing.shape[1]
        ax.set(xlabel="neurons that fire on a sample", ylabel="samples")
        ax.set_title(f"mean {counts.mean():,.1f} of {width:,} neurons", fontsize="medium")

    def _draw_samples_per_neuron(self, ax, neuron_order, image_kw, bar_kw):
        counts = self.samples_per_neuron
        self._histogram("samples_per_neuron", ax, counts[counts > 0], bar_kw)
        if counts.any():
            ax.set_yscale("log")
            ax.set_ylim(bottom=0.5)  # so that a single neuron is seen
        ax.set(xlabel="samples that a neuron fires on", ylabel="neurons (without the dead)")
        ax.set_title(f"dead, firing on none: {len(self.dead_neurons):,} of {len(counts):,}", fontsize="medium")

    def _histogram(self, panel, ax, counts, bar_kw):
        """Bars over ranges of the same number of integers."""
        low, high = (int(counts.min()), int(counts.max())) if len(counts) else (0, 0)
        step = -(-(high - low + 1) // HISTOGRAM_BINS)
        edges = np.arange(low, high + step + 1, step) - 0.5
        heights, _ = np.histogram(counts, edges)
        style = {"color": "0.6", "edgecolor": "0.2", "linewidth": 0.5} | bar_kw
        ax.xaxis.get_major_locator().set_params(integer=True)
        self.bars_[panel] = ax.bar(edges[:-1], heights, width=step, align="edge", **style)


class WidthCostDisplay(_PanelDisplay):
    """What a wider network costs and gains.

    Use `from_estimators` or `from_cv_results` to create one.  Panels, from left to right,
    as far as there is data for them:

    - "work": counted work of the search per iteration against width, both logarithmic,
      beside the count of a dense implementation, all pairs, and the pairs that fire;
    - "fit_time": seconds to fit against width, both logarithmic;
    - "score": cross-validated score against width.

    Legends of the first two hold exponents e such that the cost grows like width^e: slopes
    of log cost against log width, by least squares.

    Parameters
    ----------
    widths : array-like of shape (n_widths,)
        Ascending.

    labels : sequence of str, default=("",)
        One for each line; what lines have in common needs no label.

    work : array-like of shape (n_lines, n_widths), default=None
        Inner products and tree nodes of an iteration.  Here and below, nan marks what has
        not been measured.

    firing_pairs : array-like of shape (n_lines, n_widths), default=None

    n_samples : int, default=None
        Samples of an iteration; a dense one computes n_samples * width inner products.

    fit_times, fit_times_std : array-like of shape (n_lines, n_widths), default=None
        In seconds.

    scores, scores_std : array-like of shape (n_lines, n_widths), default=None

    score_name : str, default="score"

    Attributes
    ----------
    exponents_ : dict of str to ndarray of shape (n_lines,)
        By panel; nan where a line has fewer than two points.

    panels_ : tuple of str
        The panels drawn.

    axes_ : ndarray of matplotlib Axes, of shape (n_panels,)

    figure_ : matplotlib Figure

    lines_ : dict of str to list of matplotlib Line2D
        In "work", the lines of `work`, then those of `firing_pairs` that differ, then the
        dense count.

    See Also
    --------
    TrainingCurveDisplay : Loss, scores and work against iterations.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sksparsenn import SparseShiftedReLURegressor
    >>> from sksparsenn.inspection import WidthCostDisplay
    >>> X, y = load_diabetes(return_X_y=True)
    >>> models = [
    ...     SparseShiftedReLURegressor(width, max_iter=5, tol=0, random_state=0).fit(X, y)
    ...     for width in (256, 512, 1024)
    ... ]
    >>> display = WidthCostDisplay.from_estimators(models, n_samples=len(X))
    >>> display.widths
    array([ 256,  512, 1024])
    """

    def __init__(
        self,
        *,
        widths,
        labels=("",),
        work=None,
        firing_pairs=None,
        n_samples=None,
        fit_times=None,
        fit_times_std=None,
        scores=None,
        scores_std=None,
        score_name="score",
    ):
        self.widths = widths
        self.labels = labels
        self.work = work
        self.firing_pairs = firing_pairs
        self.n_samples = n_samples
        self.fit_times = fit_times
        self.fit_times_std = fit_times_std
        self.scores = scores
        self.scores_std = scores_std
        self.score_name = score_name

    @classmethod
    def from_estimators(cls, estimators, *, n_samples=None, ax=None, line_kw=None):
        """Draw the counted work of fitted estimators of several widths.

        The work of an iteration is the inner products computed and the tree nodes tested,
        its mean over all iterations but the first, which builds the search.  Estimators
        that searched differently, or are of different classes, are drawn as different lines.

        Parameters
        ----------
        estimators : sequence of estimators of sksparsenn, or Pipelines that end in one
            Fitted, all to the same samples.

        n_samples : int, default=None
            How many samples they were trained on, for the dense count and the count of
            firing pairs; None leaves these out.

        ax, line_kw
            As in `plot`.

        Returns
        -------
        display : WidthCostDisplay

        Raises
        ------
        NotFittedError
            If an estimator has not been fitted.
        TypeError
            If one is none of sksparsenn.
        ValueError
            If there is none, or two of a width that nothing tells apart.
        ImportError
            If there is no matplotlib.
        """
        _require_matplotlib(f"{cls.__name__}.from_estimators")
        if isinstance(estimators, BaseEstimator) or not len(estimators):
            raise ValueError("estimators: give a sequence of fitted estimators, at least one.")
        networks = [_fitted_network(estimator, cls.__name__) for estimator in estimators]
        several = len({type(network) for network in networks}) > 1
        rows = []
        for network in networks:
            width = len(network.hidden_weights_)
            label = f"{type(network).__name__}, {network.search_}" if several else network.search_
            work = network.pairs_evaluated_curve_ + network.nodes_visited_curve_
            pairs = np.nan if n_samples is None else network.firing_fraction_curve_ * n_samples * width
            rows.append((label, width, {"work": _after_first(work), "firing_pairs": _after_first(pairs)}))
        widths, labels, tables = _by_width(rows)
        firing_pairs = None if n_samples is None else tables["firing_pairs"]
        display = cls(widths=widths, labels=labels, work=tables["work"], firing_pairs=firing_pairs, n_samples=n_samples)
        return display.plot(ax, line_kw=line_kw)

    @classmethod
    def from_cv_results(cls, search, *, scoring="score", score_name=None, ax=None, panels=None, line_kw=None):
        """Draw fit times and scores of a search over width.

        Parameters
        ----------
        search : fitted GridSearchCV or the like, or its cv_results_
            Of an estimator or a pipeline; a line for each combination of the other
            parameters that it varied.

        scoring : str, default="score"
            Which of several metrics: means are read from ``mean_test_<scoring>``.

        score_name : str, default=None
            For the label of the axis.

        ax, panels, line_kw
            As in `plot`.

        Returns
        -------
        display : WidthCostDisplay

        Raises
        ------
        NotFittedError
            If the search has not been fitted.
        TypeError
            If it is none.
        ValueError
            If it did not vary one parameter called width, or has no such score.
        ImportError
            If there is no matplotlib.
        """
        _require_matplotlib(f"{cls.__name__}.from_cv_results")
        results = _results_of(search)
        if f"mean_test_{scoring}" not in results:
            known = [name.removeprefix("mean_test_") for name in results if name.startswith("mean_test_")]
            raise ValueError(f"scoring={scoring!r} is not among the scores of this search: {', '.join(known)}.")
        if score_name is None:
            score_name = _score_name(search, scoring)
        columns = {
            "fit_times": "mean_fit_time", "fit_times_std": "std_fit_time",
            "scores": f"mean_test_{scoring}", "scores_std": f"std_test_{scoring}",
        }  # fmt: skip
        rows = [
            (label, width, {name: results[column][k] for name, column in columns.items()})
            for k, label, width in _widths_tried(results["params"])
        ]
        widths, labels, tables = _by_width(rows)
        display = cls(widths=widths, labels=labels, score_name=score_name, **tables)
        return display.plot(ax, panels=panels, line_kw=line_kw)

    def plot(self, ax=None, *, panels=None, line_kw=None):
        """Draw costs and scores.

        Parameters
        ----------
        ax : matplotlib Axes, or array-like of one for each panel, default=None
            None draws into a new figure.

        panels : str or sequence of str, default=None
            Which to draw: "work", "fit_time", "score".  None draws all that there are.

        line_kw : dict, default=None
            Keywords of `matplotlib.axes.Axes.errorbar`, or of `plot` for counts, for the
            lines of what was measured.

        Returns
        -------
        self : WidthCostDisplay
        """
        self.exponents_ = {}
        size = {"work": 5.0, "fit_time": 4.2, "score": 4.2}
        return self._plot(ax, panels, size, {"line_kw": line_kw or {}})

    def _available_panels(self):
        data = {"work": self.work, "fit_time": self.fit_times, "score": self.scores}
        return tuple(name for name, values in data.items() if values is not None)

    def _draw_work(self, ax, line_kw):
        self._costs("work", ax, self.work, None, line_kw)
        drawn = []
        for label, pairs in zip(self.labels, () if self.firing_pairs is None else self.firing_pairs, strict=False):
            if not any(np.array_equal(pairs, others, equal_nan=True) for others in drawn):
                drawn.append(pairs)
                which = "" if _all_alike(self.firing_pairs) else f", {label}"
                name = f"pairs that fire{which}{_growth(self.widths, pairs)[1]}"
                self._line("work", ax, self.widths, pairs, {"color": "0.5", "linestyle": ":", "label": name})
        if self.n_samples is not None:
            dense = self.n_samples * np.asarray(self.widths)
            style = {"color": "k", "linestyle": (0, (8, 3)), "label": "all pairs (dense): width$^{1}$"}
            self._line("work", ax, self.widths, dense, style)
        ax.set_ylabel("work of an iteration\n(inner products and tree nodes)")
        _legend(ax, above=True)

    def _draw_fit_time(self, ax, line_kw):
        self._costs("fit_time", ax, self.fit_times, self.fit_times_std, line_kw)
        ax.set_ylabel("time to fit (s)")
        _legend(ax)

    def _costs(self, panel, ax, costs, errors, line_kw):
        """A line for each label, its exponent in the legend, and logarithmic axes."""
        exponents = []
        for k, (label, cost) in enumerate(zip(self.labels, costs, strict=True)):
            exponent, growth = _growth(self.widths, cost)
            exponents.append(exponent)
            keywords = {"label": (label + growth).removeprefix(": ") or None} | line_kw
            bars = None if errors is None else errors[k]
            self._line(panel, ax, self.widths, cost, keywords, errors=bars, markers=True)
        self.exponents_[panel] = np.array(exponents)
        ax.set_yscale("log")
        _width_axis(ax)

    def _draw_score(self, ax, line_kw):
        for k, (label, scores) in enumerate(zip(self.labels, self.scores, strict=True)):
            errors = None if self.scores_std is None else self.scores_std[k]
            keywords = {"label": label or None} | line_kw
            self._line("score", ax, self.widths, scores, keywords, errors=errors, markers=True)
        ax.set_ylabel(f"{self.score_name}, cross-validated")
        _width_axis(ax)
        _legend(ax)


# -- data of the displays -------------------------------------------------------------------


def _network_and_samples(estimator, X):
    """The fitted network as training sees it, and checked rows of X on the sphere."""
    network = Network(
        padded_rows(estimator.hidden_weights_), estimator.output_weights_, estimator.shift_, estimator.threshold_,
        estimator._scale,
    )  # fmt: skip
    return network, Lift(estimator._centre, estimator._constant)(X, network.weights.dtype)


def _who_fires(network, samples):
    """As a sparse (n_samples, width) array of bool."""
    indptr, indices = network.firing(samples).pairs()
    shape = len(network.weights), len(samples)
    return csr_array((np.ones(len(indices), dtype=bool), indices, indptr), shape=shape).T.tocsr()


def _predictions(estimator, network, samples):
    """A number for each sample: the first target, the score of two classes, or the place of the class predicted."""
    scores = estimator._units().inverse(network.outputs(samples))
    return scores.argmax(axis=1) if is_classifier(estimator) and scores.shape[1] > 1 else scores[:, 0]


def _first_coordinate(samples):
    """Along the direction in which samples vary most, whose largest entry is positive."""
    centred = samples - samples.mean(axis=0)
    direction = np.linalg.svd(centred, full_matrices=False)[2][0]
    return centred @ (direction * np.sign(direction[np.abs(direction).argmax()]))


def _cell_means(matrix, n_rows, n_columns):
    """A sparse 0/1 matrix as an image of at most that size: the mean of the entries of each cell."""
    n, m = matrix.shape
    n_rows, n_columns = min(n, n_rows), min(m, n_columns)
    entries = matrix.tocoo()
    row, column = entries.row.astype(np.int64), entries.col.astype(np.int64)  # products may exceed 32 bits
    cells = row * n_rows // n * n_columns + column * n_columns // m
    sums = np.bincount(cells, minlength=n_rows * n_columns).reshape(n_rows, n_columns)
    heights, lengths = np.bincount(np.arange(n) * n_rows // n), np.bincount(np.arange(m) * n_columns // m)
    return sums / np.outer(heights, lengths)


def _after_first(curve):
    """The mean over iterations, the first of which also builds what the others maintain."""
    curve = np.atleast_1d(curve)
    return float(np.mean(curve[1:] if len(curve) > 1 else curve))


def _by_width(rows):
    """Of rows (label, width, values): widths, labels and, for each value, a table of labels by widths."""
    widths = np.unique([width for _, width, _ in rows])
    labels = list(dict.fromkeys(label for label, _, _ in rows))
    tables = {name: np.full((len(labels), len(widths)), np.nan) for name in rows[0][2]}
    seen = set()
    for label, width, values in rows:
        if (label, width) in seen:
            which = f" ({label})" if label else ""
            raise ValueError(f"width={width} comes twice{which}, with nothing to tell the two apart: keep one of them.")
        seen.add((label, width))
        for name, value in values.items():
            tables[name][labels.index(label), np.searchsorted(widths, width)] = value
    return widths, labels, tables


def _results_of(search):
    if isinstance(search, Mapping):
        if "params" not in search:
            raise ValueError(f"cv_results_ has no entry 'params'; it has {', '.join(map(repr, search))}.")
        return search
    if isinstance(search, BaseEstimator) and isinstance(search, MetaEstimatorMixin):
        check_is_fitted(search)
    if not hasattr(search, "cv_results_"):
        raise TypeError(f"from_cv_results needs a fitted search, or its cv_results_, got {_kind(search)}.")
    return search.cv_results_


def _widths_tried(candidates):
    """(number, label, width) of those candidates of a search that set the width."""
    names = {name for params in candidates for name in params if name.split("__")[-1] == "width"}
    if len(names) != 1:
        tried = sorted({name for params in candidates for name in params})
        raise ValueError(
            f"the search has to vary one parameter called width; it varied {', '.join(tried) or 'nothing'}."
        )
    (width,) = names
    prefix = width.removesuffix("width")
    rest = [{key: _short(value) for key, value in params.items() if key != width} for params in candidates]
    varied = sorted({key for params in rest for key in params if any(other.get(key) != params[key] for other in rest)})
    return [
        (k, ", ".join(f"{key.removeprefix(prefix)}={rest[k][key]}" for key in varied if key in rest[k]), params[width])
        for k, params in enumerate(candidates)
        if width in params
    ]


def _short(value):
    return f"{value:g}" if isinstance(value, float) else str(value)


def _score_name(search, scoring):
    if scoring != "score":
        return scoring
    own = getattr(search, "scoring", None)
    if isinstance(own, str):
        return own
    if own is None and hasattr(search, "estimator"):
        return "accuracy" if is_classifier(search.estimator) else "R2"
    return "score"


def _growth(widths, costs):
    """The exponent e of costs that grow like width^e, and what to say of it in a legend."""
    costs = np.asarray(costs, dtype=float)
    known = np.isfinite(costs) & (costs > 0)
    if known.sum() < 2:
        return np.nan, ""
    exponent = np.polyfit(np.log(np.asarray(widths)[known]), np.log(costs[known]), 1)[0]
    return exponent, f": width$^{{{exponent:.2f}}}$"


def _all_alike(rows):
    return all(np.array_equal(row, rows[0], equal_nan=True) for row in rows)


# -- axes -----------------------------------------------------------------------------------


def _log_if_wide(axes, values):
    """A logarithmic y axis for positive values that span more than a factor of ten."""
    positive = np.asarray(values)[np.isfinite(values)]
    if len(positive) and positive.min() > 0 and positive.max() > 10 * positive.min():
        axes.set_yscale("log")


def _width_axis(ax):
    ax.set_xscale("log", base=2)
    ax.xaxis.set_major_formatter("{x:,.0f}")
    ax.set_xlabel("width (neurons)")


def _legend(ax, above=False):
    if ax.get_legend_handles_labels()[0]:
        place = {"loc": "lower left", "bbox_to_anchor": (0, 1), "ncols": 2} if above else {}
        ax.legend(frameon=False, fontsize="small", **place)
