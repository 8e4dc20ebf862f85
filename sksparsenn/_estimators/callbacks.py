"""The adapter to scikit-learn's callbacks (from version 1.9 on), and what happens before and after an iteration.

Where scikit-learn is older, estimators have no `set_callbacks`, and nothing here calls anything.
"""

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:  # scikit-learn before 1.9

    class CallbackSupportMixin:
        """Stands in for the mixin that scikit-learn does not have yet."""


class Progress:
    """Tells callbacks and, if `line` is given, the user what each iteration of a fit did.

    Parameters
    ----------
    estimator, X, y, sample_weight
        As `fit` got them; callbacks score on them.
    max_iter : int
    attributes : callable
        Of the state of training: the fitted attributes with which the estimator would predict now.
    line : callable or None
        Of the state of training: the line to print, or None.
    """

    def __init__(self, estimator, X, y, sample_weight, max_iter, attributes, line):
        self.estimator, self.attributes, self.line = estimator, attributes, line
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self.data = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
        self.root = self.iteration = None
        if getattr(estimator, "_skl_callbacks", None):
            self.root = estimator._init_callback_context(max_subtasks=max_iter)
            self.root.call_on_fit_task_begin(**self.data)

    def begin_iteration(self):
        if self.root is not None:
            self.iteration = self.root.subcontext(task_name="iteration")
            self.iteration.call_on_fit_task_begin(**self.data)

    def end_iteration(self, state):
        """Whether a callback asks to stop."""
        text = None if self.line is None else self.line(state)
        if text is not None:
            print(text)
        if self.root is None:
            return False
        return self.iteration.call_on_fit_task_end(
            **self.data, reconstruction_attributes=lambda: self.attributes(state)
        )

    def end(self, state):
        """The estimator has been fitted."""
        if self.line is not None and self.estimator.verbose:
            print(f"stopped after {self.estimator.n_iter_} iterations: {state.stop_reason}")
        if self.root is not None:
            self.root.call_on_fit_task_end(**self.data, reconstruction_attributes={})
