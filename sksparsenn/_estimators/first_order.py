"""First-order training: gradient descent and SGD over firing pairs, for the regressor and the classifier."""

import warnings
from numbers import Integral, Real

import numpy as np

from sksparsenn._estimators.base import BaseShiftedReLU
from sksparsenn._estimators.callbacks import Progress
from sksparsenn._estimators.docstrings import FIT, shares
from sksparsenn._search.choice import make_search
from sksparsenn._search.searches import SEARCHES, SPARSE_SEARCHES
from sksparsenn._training.averages import AVERAGES
from sksparsenn._training.batches import BatchSampler, SinglePass
from sksparsenn._training.descent import Options, State, descend
from sksparsenn._training.problem import Problem
from sksparsenn._training.resuming import recall
from sksparsenn._training.step_sizes import take_up_units
from sksparsenn._training.stopping import Stopping
from sksparsenn._training.streams import ENOUGH_ROWS, Moments, joined_lift
from sksparsenn._utils.blas_threads import single_blas_thread
from sksparsenn._utils.sklearn import Interval, StrOptions, _fit_context

# So many may be drawn from a table with fewer samples, as they are by default.
FEW_DRAWN = 200


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
        "average": [StrOptions(set(AVERAGES))],
    }

    _takes_sparse = True

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = self.search == "auto" or self.search in SPARSE_SEARCHES
        return tags

    @single_blas_thread()
    @_fit_context(prefer_skip_nested_validation=True)
    @shares(FIT)
    def fit(self, X, y, sample_weight=None, *, X_val=None, y_val=None, sample_weight_val=None):
        """Fit the network.

        Parameters
        ----------
        X : {array-like, sparse matrix or array} of shape (n_samples, n_features)
            Samples.  float32 is computed in float32, everything else in float64.  Sparse X
            of any format is taken as CSR and never made dense.

        {y}

        {sample_weight}

        {X_val}

        {sample_weight_val}

        Returns
        -------
        {self}
        """
        with self._unchanged_on_failure():
            # Validate, hold out, lift, initialise.
            continues = self._continues()
            held_out = X_val, y_val, sample_weight_val
            start = self._start(X, y, sample_weight, held_out, in_batches=self.solver == "sgd", continues=continues)
            problem = self._problem(start, float(start.weights.sum()), in_batches=self.solver == "sgd")
            network, options = start.network, self._options(self._clipped_batch_size(len(problem)))
            state = State(network, start.anchor, np.zeros(network.weights.shape, network.weights.dtype))
            average = AVERAGES[self.average]()
            noisy = self.solver == "sgd" or not problem.loss.smooth
            stopping = Stopping(self.tol, self.n_iter_no_change, noisy)
            parts = state, average, stopping, problem.search.history
            self._recall(start.memory, *parts, start.early_stopping)
            average.begin(start.random_state)
            if start.memory:
                take_up_units(state, problem, options)

            # Search, forward, loss, step, maintain.
            progress = Progress(
                self, X, y, sample_weight, self.max_iter,
                lambda state: self._fitted(start, state.network.weights.copy()),
                self._line(described, start.early_stopping),
            )  # fmt: skip
            draw = BatchSampler(problem, options.batch_size, start.random_state)
            kept = descend(state, options, draw, average, stopping, start.early_stopping, progress)

            # Store.
            self._require_room_for_predictions(start, kept)
            self._warn(state, state.loss_curve, start.early_stopping)
            self._store(start, state, kept, problem)
            vars(self).pop("_target_moments", None)  # a stream that follows keeps these units
            self._training = self._memory(start, network.weights, kept, *parts) if self.warm_start else {}
            progress.end(state)
        return self

    def _problem(self, start, total_weight, in_batches):
        """Return what the network is trained on; the misfit is a weighted mean."""
        network = start.network
        search = make_search(
            self.search, start.samples, network.weights, network.threshold, in_batches=in_batches,
            all_move=self.momentum > 0 or self.alpha > 0, forward_only=network.signs.shape[1] == 1,
        )  # fmt: skip
        shares = start.weights / start.weights.sum()
        return Problem(start.samples, start.y, shares, start.targets.make_loss(), search, total_weight)

    @single_blas_thread()
    def _partial_fit(self, X, y, sample_weight, classes=None):
        """Train one pass over a part of a stream."""
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
            problem = self._problem(start, weight_seen, in_batches=True)
            network, options = start.network, self._options(self.batch_size, stream=True)
            state = State(network, start.anchor, np.zeros(network.weights.shape, network.weights.dtype))
            average = AVERAGES[self.average]()
            recall(start.memory, state, average, state.stream_rate)
            average.begin(start.random_state)

            # Search, forward, loss, step, maintain.
            kept = descend(state, options, SinglePass(problem, options.batch_size, start.random_state), average)

            # Store.
            self._require_room_for_predictions(start, kept)
            self._store(start, state, kept, problem, goes_on=bool(start.memory))
            self._count_rows(len(start.samples), continues)
            self._training = self._memory(start, network.weights, kept, state, average, state.stream_rate)
        return self

    def _units_of_stream(self, targets, X, encoded, weights, continues):
        """Return the maps to the sphere and to the loss's units: of all rows so far, as long as these are few."""
        if continues and not hasattr(self, "_target_moments"):
            return self._lift(), self._units()
        lift, units = self._units_of(targets, X, encoded, weights, continues=False)
        moments = Moments.of(encoded, weights / weights.sum(), self.fit_intercept)
        if continues:
            share = weights.sum() / (weights.sum() + self._weight_seen)
            lift = joined_lift(self._lift(), lift, share, self.intercept_scaling)
            moments = Moments(*self._target_moments).joined(moments, share)
            units = targets.units_of_moments(moments)
        self._target_moments = np.stack(moments)
        return lift, units

    def _count_rows(self, n_rows, continues):
        """Keep the units of a stream from now on if there were enough rows, and different ones, to tell them."""
        if not hasattr(self, "_target_moments"):
            return
        self._rows_seen = n_rows + (self._rows_seen if continues else 0)
        varied = not Moments(*self._target_moments).constant.any() and (self._constant is None or self._spread > 0)
        if self._rows_seen >= ENOUGH_ROWS and varied:
            del self._target_moments, self._rows_seen

    def _clipped_batch_size(self, n_samples):
        """Return `batch_size`, or how many to draw at most: the number of samples or, from fewer, FEW_DRAWN."""
        largest = max(n_samples, FEW_DRAWN)
        if self.solver != "sgd" or self.batch_size <= largest:
            return self.batch_size
        why = f"which is enough for {n_samples} distinct samples"
        warnings.warn(f"batch_size={self.batch_size} is clipped to {largest}, {why}.", UserWarning, stacklevel=5)
        return largest

    def _options(self, batch_size, stream=False):
        return Options(
            learning_rate=self.learning_rate,
            momentum=self.momentum,
            nesterovs_momentum=self.nesterovs_momentum,
            alpha=self.alpha,
            batch_size=batch_size if self.solver == "sgd" else None,
            max_iter=1 if stream else self.max_iter,
            stream=stream,
        )

    def _recall(self, memory, state, *parts):
        """Put the parts of training back to where the remembered one stopped."""
        recall(memory, state, *parts)
        if memory:
            state.work_curve = self._work_curve()

    def _store(self, start, state, kept, problem, goes_on=False):
        """Keep the fitted network and the record of training."""
        vars(self).update(self._fitted(start, kept))
        self._weight_seen = problem.total_weight
        self.search_ = problem.search.name
        self.learning_rate_ = state.learning_rate
        self.loss_curve_ = np.array(state.loss_curve)
        self.firing_fraction_curve_ = np.array(state.firing_fraction_curve)
        self._store_work(state.work_curve, goes_on)
        self.n_iter_ = len(state.loss_curve)
        self.stop_reason_ = state.stop_reason
        self._store_validation(start.early_stopping)


def described(state):
    """Return a description of the last iteration."""
    loss, fraction = state.loss_curve[-1], state.firing_fraction_curve[-1]
    return f"iteration {len(state.loss_curve)}: loss {loss:.6g}, {fraction:.2%} of pairs fire"
