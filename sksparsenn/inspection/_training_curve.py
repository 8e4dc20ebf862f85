"""TrainingCurveDisplay: what each iteration of a fit left."""

import numpy as np
from sklearn.base import is_classifier

from sksparsenn.inspection._display import PanelDisplay, fitted_network, legend, log_if_wide, require_matplotlib

# A curve with at most this many points shows them.
FEW_POINTS = 40


class TrainingCurveDisplay(PanelDisplay):
    """Loss, validation score, firing neurons and work of the search against iterations.

    Use `from_estimator` to create one.  Panels, from left to right, as far as there is
    data for them:

    - "loss": the objective before each iteration (its mean over the batches of each
      epoch, for stochastic gradient descent); crosses mark steps that were taken back;
    - "validation": the score after each iteration, and the best; of a committee the mean
      over its networks, and the iterations after which each was best;
    - "ridge": the relative ridge of each iteration, if it falls along a path and the panel is asked for;
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

    best_iteration : int or array-like of int, default=None
        Number of the iteration after which the score was best, at least 1.

    alpha : array-like of shape (n_iter,), default=None
        The relative ridge of each iteration; None if it is always the same.

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
    >>> model = SketchedGaussNewtonRegressor(64, random_state=0).fit(X, y)
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
        alpha=None,
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
        self.alpha = alpha
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
        require_matplotlib(f"{cls.__name__}.from_estimator")
        network = fitted_network(estimator, cls.__name__)
        display = cls(
            loss=network.loss_curve_,
            firing_fraction=network.firing_fraction_curve_,
            pairs_evaluated=network.pairs_evaluated_curve_,
            nodes_visited=network.nodes_visited_curve_,
            validation_scores=getattr(network, "validation_scores_", None),
            best_iteration=getattr(network, "best_iteration_", None),
            alpha=network.alpha_curve_ if network.alpha == "auto" else None,
            accepted=getattr(network, "accepted_curve_", None),
            iteration_name="epoch" if network.solver_ == "sgd" else "iteration",
            loss_name="objective" if is_classifier(network) else "objective (targets of variance 1)",
            score_name="minus the loss" if is_classifier(network) else "R2",
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
            Which to draw: "loss", "validation", "ridge", "firing", "work".  None draws all that
            there are but "ridge".

        name : str, default=None
            For a legend; None takes that of the display.

        line_kw : dict, default=None
            Keywords of `matplotlib.axes.Axes.plot` for the curves.

        Returns
        -------
        self : TrainingCurveDisplay
        """
        size = dict.fromkeys(("loss", "validation", "ridge", "firing", "work"), 3.4)
        if panels is None:
            panels = [panel for panel in self._available_panels() if panel != "ridge"]
        return self._plot(ax, panels, size, {"name": name or self.name, "line_kw": line_kw or {}})

    def _available_panels(self):
        there = {"validation": self.validation_scores is not None, "ridge": self.alpha is not None}
        return tuple(name for name in ("loss", "validation", "ridge", "firing", "work") if there.get(name, True))

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
        log_if_wide(ax, loss)
        ax.set_ylabel(f"{self.loss_name}\n{when}")
        legend(ax)

    def _draw_validation(self, ax, name, line_kw):
        scores, best = np.asarray(self.validation_scores), self.best_iteration
        label = name
        if best is not None:
            best = np.asarray(best)
            place = f"best {scores[best - 1]:.3g} at {best}" if best.ndim == 0 else "mean; best of each network"
            label = f"{'' if name is None else name + ', '}{place}"
        line = self._curve("validation", ax, scores, label, line_kw)
        if best is not None:
            star = {"color": line.get_color(), "markeredgecolor": "k", "markersize": 11}
            ax.plot(best, scores[best - 1], "*", linestyle="none", **star)
        ax.set_ylabel(f"{self.score_name} on validation samples\nafter the {self.iteration_name}")
        legend(ax)

    def _draw_ridge(self, ax, name, line_kw):
        self._curve("ridge", ax, self.alpha, name, line_kw)
        ax.set_yscale("log")
        ax.set_ylabel("relative ridge (alpha)")
        legend(ax)

    def _draw_firing(self, ax, name, line_kw):
        self._curve("firing", ax, 100 * np.asarray(self.firing_fraction), name, line_kw)
        ax.autoscale(axis="y")
        ax.set_ylim(0, None)
        ax.set_ylabel("neurons that fire on a sample (%)")
        legend(ax)

    def _draw_work(self, ax, name, line_kw):
        counts = {"inner products": np.asarray(self.pairs_evaluated)}
        if self.nodes_visited is not None and np.any(self.nodes_visited):
            counts["tree nodes"] = np.asarray(self.nodes_visited)
        for kind, count in counts.items():
            label = ", ".join(filter(None, [name, kind if len(counts) > 1 else None])) or None
            self._curve("work", ax, count, label, line_kw)
        log_if_wide(ax, np.concatenate(list(counts.values())))
        what = " or ".join(counts)
        ax.set_ylabel(f"work of the search: {what}\nin the {self.iteration_name}")
        legend(ax)
