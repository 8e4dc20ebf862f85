"""FiringPatternDisplay: who fires on what, as an image and as histograms."""

from numbers import Integral

import numpy as np
from scipy.sparse import csr_array, issparse
from sklearn.base import is_classifier
from sklearn.pipeline import Pipeline
from sklearn.utils import check_random_state

from sksparsenn.inspection._display import PanelDisplay, fitted_network, require_matplotlib

# Cells of the image of who fires: about the pixels of a panel, so that drawing it resamples little.
IMAGE_ROWS, IMAGE_COLUMNS = 200, 300
HISTOGRAM_BINS = 30


class FiringPatternDisplay(PanelDisplay):
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
    (442, 1280)
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
        require_matplotlib(f"{cls.__name__}.from_estimator")
        network = fitted_network(estimator, cls.__name__)
        if order not in ("prediction", "principal"):
            raise ValueError(f"order={order!r}: use 'prediction' or 'principal'.")
        if subsample is not None and (not isinstance(subsample, Integral) or subsample < 1):
            raise ValueError(f"subsample={subsample!r}: use a number of samples, at least 1, or None for all.")
        while isinstance(estimator, Pipeline):
            X = estimator[:-1].transform(X) if len(estimator) > 1 else X
            estimator = estimator.steps[-1][1]
        X = network._checked(X)
        if issparse(X) and order == "principal":
            raise ValueError("order='principal' needs dense X: use order='prediction', or X.toarray().")
        if subsample is not None and subsample < X.shape[0]:
            X = X[np.sort(check_random_state(random_state).choice(X.shape[0], subsample, replace=False))]
        exact, samples = network._network(), network._lift()(X, network.hidden_weights_.dtype)
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
        """Return the firing matrix as the image shows it: samples in order, then neurons in order, without dead ones.

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
        """Draw bars over ranges of the same number of integers."""
        low, high = (int(counts.min()), int(counts.max())) if len(counts) else (0, 0)
        step = -(-(high - low + 1) // HISTOGRAM_BINS)
        edges = np.arange(low, high + step + 1, step) - 0.5
        heights, _ = np.histogram(counts, edges)
        style = {"color": "0.6", "edgecolor": "0.2", "linewidth": 0.5} | bar_kw
        ax.xaxis.get_major_locator().set_params(integer=True)
        self.bars_[panel] = ax.bar(edges[:-1], heights, width=step, align="edge", **style)


def _who_fires(network, samples):
    """Return who fires as a sparse (n_samples, width) array of bool."""
    indptr, indices = network.firing(samples).pairs()
    shape = len(network.weights), len(samples)
    return csr_array((np.ones(len(indices), dtype=bool), indices, indptr), shape=shape).T.tocsr()


def _predictions(estimator, network, samples):
    """Return a number for each sample: its first target, the score of two classes, or the predicted class's place."""
    scores = estimator._units().inverse(network.outputs(samples))
    return scores.argmax(axis=1) if is_classifier(estimator) and scores.shape[1] > 1 else scores[:, 0]


def _first_coordinate(samples):
    """Return the samples' coordinates along the direction in which they vary most; its largest entry is positive."""
    centred = samples.rows - samples.rows.mean(axis=0)
    direction = np.linalg.svd(centred, full_matrices=False)[2][0]
    return centred @ (direction * np.sign(direction[np.abs(direction).argmax()]))


def _cell_means(matrix, n_rows, n_columns):
    """Return a sparse 0/1 matrix as an image of at most that size: the mean of the entries of each cell."""
    n, m = matrix.shape
    n_rows, n_columns = min(n, n_rows), min(m, n_columns)
    entries = matrix.tocoo()
    row, column = entries.row.astype(np.int64), entries.col.astype(np.int64)  # products may exceed 32 bits
    cells = row * n_rows // n * n_columns + column * n_columns // m
    sums = np.bincount(cells, minlength=n_rows * n_columns).reshape(n_rows, n_columns)
    heights, lengths = np.bincount(np.arange(n) * n_rows // n), np.bincount(np.arange(m) * n_columns // m)
    return sums / np.outer(heights, lengths)
