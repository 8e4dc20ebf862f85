"""The adapter to scikit-learn's callbacks (from version 1.9 on): what is called before and after an iteration.

Where scikit-learn is older, estimators have no `set_callbacks`, and nothing here calls anything.
"""

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:  # scikit-learn before 1.9

    class CallbackSupportMixin:
        """An empty mixin in place of the one that this scikit-learn lacks."""


class Progress:
    """Calls the callbacks around each iteration of a fit and, if `line` is given, prints what it did.

    Parameters
    ----------
    estimator, X, y, sample_weight
        As passed to `fit`; callbacks score on them.
    max_iter : int
    attributes : callable
        Of all trainings: the fitted attributes with which the estimator would predict now.
    line : callable or None
        Of all trainings: the line to print.
    """

    def __init__(self, estimator, X, y, sample_weight, max_iter, attributes, line):
        self.estimator, self.attributes, self.line = estimator, attributes, line
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self.data = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
        self.root = self.iteration = None
        if getattr(estimator, "_skl_callbacks", None):
            self.root = estimator._init_callback_context(max_subtasks=max_iter)
            self.root.call_on_fit_task_begin(**self.data)

    @property
    def is_watched(self):
        """Whether anything is to be done in iterations."""
        return self.root is not None or self.line is not None

    def begin_iteration(self):
        if self.root is not None:
            self.iteration = self.root.subcontext(task_name="iteration")
            self.iteration.call_on_fit_task_begin(**self.data)

    def end_iteration(self, trainings):
        """Print the line, call the callbacks; return whether one of them requests to stop."""
        text = None if self.line is None else self.line(trainings)
        if text is not None:
            print(text)
        if self.root is None:
            return False
        return self.iteration.call_on_fit_task_end(
            **self.data, reconstruction_attributes=lambda: self.attributes(trainings)
        )

    def end(self):
        """Print why training stopped, and call the callbacks after the fit."""
        if self.line is not None and self.estimator.verbose:
            print(f"stopped after {self.estimator.n_iter_} iterations: {self.estimator.stop_reason_}")
        if self.root is not None:
            self.root.call_on_fit_task_end(**self.data, reconstruction_attributes={})
