"""First-order training: gradient descent and SGD over firing pairs, for the regressor and the classifier."""

from numbers import Integral, Real
from time import perf_counter

import numpy as np

from sksparsenn._base import BaseShiftedReLU
from sksparsenn._callbacks import Progress
from sksparsenn._descent import OUTPUT_RULES, Data, Options, State, Stopping, descend, goes_on
from sksparsenn._search import SEARCHES, SPARSE_SEARCHES, make_search
from sksparsenn._sklearn import Interval, StrOptions, _fit_context
from sksparsenn._training_state import recall


class SparseShiftedReLU(BaseShiftedReLU):
    """What SparseShiftedReLURegressor and SparseShiftedReLUClassifier share."""

    _shift_share = 0.4

    _parameter_constraints = {  # noqa: RUF012 (the form scikit-learn prescribes)
        **BaseShiftedReLU._parameter_constraints,
        "solver": [StrOptions({"gd", "sgd"})],
        "search": [StrOptions({"auto", *SEARCHES})],
        "learning_rate": [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither")],
        "momentum": [Interval(Real, 0, 1, closed="left")],
        "nesterovs_momentum": ["boolean"],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "average": [StrOptions(set(OUTPUT_RULES))],
    }

    _takes_sparse = True

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = self.search == "auto" or self.search in SPARSE_SEARCHES
        return tags

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None, *, X_val=None, y_val=None, sample_weight_val=None):
        """Fit the network.

        Parameters
        ----------
        X : {array-like, sparse matrix or array} of shape (n_samples, n_features)
            Samples.  float32 is computed in float32, everything else in float64.  Sparse X
            of any format is taken as CSR and never made dense.

        y : array-like of shape (n_samples,) or, for regression, (n_samples, n_outputs)
            Targets or labels.

        sample_weight : array-like of shape (n_samples,), optional
            A sample of weight 2 counts as two samples.

        X_val, y_val : array-like, optional
            Samples to validate on, for early stopping.  In a `Pipeline`, X_val passes the
            same transformers as X with ``Pipeline(..., transform_input=["X_val"])``.

        sample_weight_val : array-like of shape (n_validation_samples,), optional

        Returns
        -------
        self : object
            Fitted estimator.
        """
        with self._unchanged_on_failure():
            # Validate, hold out, lift, initialise.
            continues = self._continues()
            held_out = X_val, y_val, sample_weight_val
            start = self._start(X, y, sample_weight, held_out, in_batches=self.solver == "sgd", continues=continues)
            data = Data(start.samples, start.targets, start.weights / start.weights.sum(), float(start.weights.sum()))
            network, options = start.network, self._options()
            search = self._make_search(start, in_batches=self.solver == "sgd")
            state = State(network, start.anchor, np.zeros(network.weights.shape, network.weights.dtype))
            output_rule = OUTPUT_RULES[self.average]()
            noisy = self.solver == "sgd" or not options.loss.smooth
            stopping = Stopping(self.tol, self.n_iter_no_change, noisy)
            self._recall(start.memory, state, output_rule, stopping, start.early_stopping, search.history)
            output_rule.begin(start.random_state)
            if start.memory:
                goes_on(state, data, options)

            # Search, forward, loss, step, maintain.
            progress = Progress(
                self, X, y, sample_weight, self.max_iter,
                lambda state: self._fitted(start, state.network.weights.copy()), self._line(start.early_stopping),
            )  # fmt: skip
            kept = descend(
                data, state, search, options, start.random_state, output_rule, stopping, start.early_stopping, progress
            )

            # Store.
            self._require_room_for_predictions(start, kept)
            self._store(start, state, kept, search, data.total_weight)
            parts = state, output_rule, stopping, search.history
            self._training = self._memory(start, network.weights, kept, *parts) if self.warm_start else {}
            progress.end(state)
        return self

    def _make_search(self, start, in_batches):
        network = start.network
        return make_search(
            self.search, start.samples, network.weights, network.threshold, in_batches=in_batches,
            all_move=self.momentum > 0 or self.alpha > 0, forward_only=network.signs.shape[1] == 1,
        )  # fmt: skip

    def _partial_fit(self, X, y, sample_weight, classes=None):
        """One pass over a part of a stream."""
        if self.early_stopping is True:
            raise ValueError("partial_fit sees every sample once and cannot hold any out; set early_stopping=False.")
        with self._unchanged_on_failure():
            # Validate, lift, initialise.
            continues = hasattr(self, "hidden_weights_")
            nothing = None, None, None
            start = self._start(
                X, y, sample_weight, nothing, in_batches=True, continues=continues, stream=True, classes=classes
            )
            weight_seen = float(start.weights.sum()) + (self._weight_seen if continues else 0.0)
            data = Data(start.samples, start.targets, start.weights / start.weights.sum(), weight_seen)
            network, options = start.network, self._options(stream=True)
            search = self._make_search(start, in_batches=True)
            state = State(network, start.anchor, np.zeros(network.weights.shape, network.weights.dtype))
            output_rule = OUTPUT_RULES[self.average]()
            self._recall(start.memory, state, output_rule)
            output_rule.begin(start.random_state)

            # Search, forward, loss, step, maintain.
            kept = descend(data, state, search, options, start.random_state, output_rule, stopping=None)

            # Store.
            self._require_room_for_predictions(start, kept)
            self._store(start, state, kept, search, data.total_weight)
            self._training = self._memory(start, network.weights, kept, state, output_rule)
        return self

    def _options(self, stream=False):
        return Options(
            loss=self._make_loss(),
            learning_rate=self.learning_rate,
            momentum=self.momentum,
            nesterovs_momentum=self.nesterovs_momentum,
            alpha=self.alpha,
            batch_size=self.batch_size if self.solver == "sgd" else None,
            max_iter=1 if stream else self.max_iter,
            stream=stream,
        )

    def _recall(self, memory, state, *parts):
        """Put the parts of training back to where the remembered one stopped."""
        recall(memory, state, *parts)
        if memory:
            state.work_curve = self._work_curve()

    def _store(self, start, state, kept, search, weight_seen):
        """Keep the fitted network and the record of training."""
        vars(self).update(self._fitted(start, kept))
        self._weight_seen = weight_seen
        self.search_ = search.name
        self.learning_rate_ = state.learning_rate
        self.loss_curve_ = np.array(state.loss_curve)
        self.firing_fraction_curve_ = np.array(state.firing_fraction_curve)
        self._store_work(state.work_curve)
        self.n_iter_ = len(state.loss_curve)
        self.stop_reason_ = state.stop_reason
        self._store_validation(start.early_stopping)

    def _line(self, early_stopping):
        """What to print after an iteration, if verbose."""
        if not self.verbose:
            return None
        begin = perf_counter()

        def line(state):
            score = "" if early_stopping is None else f"validation score {early_stopping.scores[-1]:.4g}, "
            return (
                f"iteration {len(state.loss_curve)}: loss {state.loss_curve[-1]:.6g}, {score}"
                f"{state.firing_fraction_curve[-1]:.2%} of pairs fire, {perf_counter() - begin:.2f} s"
            )

        return line
