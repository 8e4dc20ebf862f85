"""WidthCostDisplay: counted work, fit time and score against width."""

from collections.abc import Mapping

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, is_classifier
from sklearn.utils.validation import check_is_fitted

from sksparsenn.inspection._display import PanelDisplay, fitted_network, kind, legend, require_matplotlib


class WidthCostDisplay(PanelDisplay):
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
    ...     SparseShiftedReLURegressor(width, cv=None, max_iter=5, tol=0, random_state=0).fit(X, y)
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
            If there is none, or two of the same width and label.
        ImportError
            If there is no matplotlib.
        """
        require_matplotlib(f"{cls.__name__}.from_estimators")
        if isinstance(estimators, BaseEstimator) or not len(estimators):
            raise ValueError("estimators: give a sequence of fitted estimators, at least one.")
        networks = [fitted_network(estimator, cls.__name__) for estimator in estimators]
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
        require_matplotlib(f"{cls.__name__}.from_cv_results")
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
        legend(ax, above=True)

    def _draw_fit_time(self, ax, line_kw):
        self._costs("fit_time", ax, self.fit_times, self.fit_times_std, line_kw)
        ax.set_ylabel("time to fit (s)")
        legend(ax)

    def _costs(self, panel, ax, costs, errors, line_kw):
        """Draw a line for each label, its exponent in the legend, and logarithmic axes."""
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
        legend(ax)


def _after_first(curve):
    """Return the mean over iterations without the first, which also builds what the others maintain."""
    curve = np.atleast_1d(curve)
    return float(np.mean(curve[1:] if len(curve) > 1 else curve))


def _by_width(rows):
    """Return, from rows (label, width, values), widths, labels and, for each value, a table of labels by widths."""
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
        raise TypeError(f"from_cv_results needs a fitted search, or its cv_results_, got {kind(search)}.")
    return search.cv_results_


def _widths_tried(candidates):
    """Return (number, label, width) of those candidates of a search that set the width."""
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
    """Return the exponent e of costs that grow like width^e, and its text in a legend."""
    costs = np.asarray(costs, dtype=float)
    known = np.isfinite(costs) & (costs > 0)
    if known.sum() < 2:
        return np.nan, ""
    exponent = np.polyfit(np.log(np.asarray(widths)[known]), np.log(costs[known]), 1)[0]
    return exponent, f": width$^{{{exponent:.2f}}}$"


def _all_alike(rows):
    return all(np.array_equal(row, rows[0], equal_nan=True) for row in rows)


def _width_axis(ax):
    ax.set_xscale("log", base=2)
    ax.xaxis.set_major_formatter("{x:,.0f}")
    ax.set_xlabel("width (neurons)")
