"""First-order training: gradient descent and SGD over firing pairs, for the regressor and the classifier."""

import warnings
from numbers import Integral, Real

import numpy as np
from scipy.sparse import issparse

from sksparsenn._estimators.base import BaseShiftedReLU
from sksparsenn._estimators.committee import joined
from sksparsenn._estimators.docstrings import FIT, shares
from sksparsenn._estimators.start import Weighting
from sksparsenn._estimators.summed_rows import Terms, summed_growing_rows
from sksparsenn._estimators.summed_start import SummedMember
from sksparsenn._samples.drawing import row_keys
from sksparsenn._search.choice import make_search
from sksparsenn._search.searches import SEARCHES, SPARSE_SEARCHES
from sksparsenn._search.work import Work
from sksparsenn._training.averages import AVERAGES
from sksparsenn._training.batches import AllRows, BatchSampler, SinglePass
from sksparsenn._training.descent import Options, State, descend
from sksparsenn._training.growing_rows import MANY_ROWS, WORTH
from sksparsenn._training.problem import Problem
from sksparsenn._training.resuming import recall
from sksparsenn._training.side_by_side import NEVER, Training
from sksparsenn._training.step_sizes import take_up_units
from sksparsenn._training.stopping import Stopping
from sksparsenn._training.streams import ENOUGH_ROWS, Moments, joined_lift
from sksparsenn._utils.blas_threads import single_blas_thread
from sksparsenn._utils.sklearn import Interval, StrOptions, _fit_context

# So many may be drawn from a table with fewer samples, as they are by default.
FEW_DRAWN = 200

# What "auto" stands for, with the solvers, and where solver "auto" takes batches of many rows.
OF_SOLVERS = {"batch_size": FEW_DRAWN, "momentum": 0.99, "average": "last"}
OF_BATCHES = {"batch_size": 500, "momentum": 0.9, "average": "epoch"}

# There, patience ends sooner: scores on so many rows owe little to chance.
PATIENCE_DIVISOR = 5


class FirstOrderTraining(Training):
    """The training of a network by gradient descent or stochastic gradient descent."""

    @property
    def weights(self):
        """The present weights."""
        return self.state.network.weights

    @property
    def final_weights(self):
        """The present weights, or an average of those after each step."""
        (average, *_) = self.parts
        return average.weights(self.weights)


class SparseShiftedReLU(BaseShiftedReLU):
    """What SparseShiftedReLURegressor and SparseShiftedReLUClassifier share."""

    _shift_share = 0.4

    _parameter_constraints = {  # noqa: RUF012 (the form scikit-learn prescribes)
        **BaseShiftedReLU._parameter_constraints,
        "solver": [StrOptions({"auto", "gd", "sgd"})],
        "search": [StrOptions({"auto", *SEARCHES})],
        "learning_rate": [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither")],
        "momentum": [StrOptions({"auto"}), Interval(Real, 0, 1, closed="left")],
        "nesterovs_momentum": ["boolean"],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "average": [StrOptions({"auto", *AVERAGES})],
    }

    _takes_sparse = True

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = self.search == "auto" or self.search in SPARSE_SEARCHES
        return tags

    @single_blas_thread()
    @_fit_context(prefer_skip_nested_validation=True)
    @shares(FIT)
    def fit(
        self, X, y, sample_weight=None, *, groups=None, X_val=None, y_val=None, sample_weight_val=None,
    ):  # fmt: skip
        """Fit the network.

        Parameters
        ----------
        X : {array-like, sparse matrix or array} of shape (n_samples, n_features)
            Samples.  float32 is computed in float32, everything else in float64.  Sparse X
            of any format is taken as CSR and never made dense.

        {y}

        {sample_weight}

        {groups}

        {X_val}

        {sample_weight_val}

        Returns
        -------
        {self}
        """
        with self._unchanged_on_failure():
            # Validate, hold out, lift, initialise.
            continues = self._continues()
            weighting, held_out = Weighting(sample_weight, groups), (X_val, y_val, sample_weight_val)
            start = self._open(X, y, weighting, held_out, continues=continues)
            self._train(start, X, y, sample_weight)
        return self

    def _train(self, start, X, y, sample_weight):
        """Train the networks of `start`, and store what came out; X, y and weights, as they came, are for callbacks."""
        options = self._options(start)
        trainings = [self._training_of(member, start.targets.make_loss(), options) for member in start.members]

        progress, kept = self._run(trainings, start, (X, y, sample_weight), described)
        self._warn(trainings, trainings[0].state.loss_curve)
        self.solver_ = "sgd" if start.in_batches else "gd"
        self._store(start, trainings, kept)
        self._store_cross_validation(start)
        self._store_tree(start)
        vars(self).pop("_target_moments", None)  # a stream that follows keeps these units
        self._training = self._memory(start, trainings, kept) if self.warm_start else {}
        progress.end()

    def _training_of(self, member, loss, options):
        """Return the training of a network."""
        if isinstance(member, SummedMember):
            return self._training_in_parts(member, loss, options)
        in_batches = options.batch_size is not None
        problem = self._problem(member, loss, float(member.weights.sum()), options.momentum, in_batches)
        network, average = member.network, self._average(in_batches)
        state = State(network, member.anchor, np.zeros(network.weights.shape, network.weights.dtype))
        stopping = Stopping(self.tol, self.n_iter_no_change, noisy=in_batches or not loss.smooth)
        parts = average, stopping, problem.search.history
        recall(member.memory, state, *parts, member.early_stopping)
        state.work_curve = [Work(*work) for work in state.work_curve]
        average.begin(member.random_state)
        if member.memory:
            take_up_units(state, problem, options)
        if in_batches and self.solver == "auto":
            member.early_stopping.hurry(WORTH, PATIENCE_DIVISOR)
        draw = BatchSampler(problem, options.batch_size, member.random_state) if in_batches else AllRows(problem)
        iterations = descend(state, options, draw, average, stopping, member.early_stopping)
        return FirstOrderTraining(iterations, state, member, problem, parts=parts)

    def _training_in_parts(self, member, loss, options):
        """Return the training of a network whose rows are in parts; the misfit is a weighted mean."""
        rows, (n_rows, weight) = member.rows, member.rows.totals()
        network, n_features = member.network, member.samples.n_features
        terms = Terms(network, n_features, loss, self.search, weight, weight)
        state = State(network, member.anchor, np.zeros_like(network.weights))
        # Rows grow by the losses of one network, so not where means over many steps are scored.
        grows = self.solver == "auto" and self.average in ("auto", "last", "epoch")
        growing = summed_growing_rows(member, n_rows, terms, state) if grows else None
        all_rows = growing is None
        problem = rows.problem(terms, n_rows) if all_rows else growing.problem(state.n_rows, network.weights)
        average = self._average(in_batches=False)
        stopping = Stopping(self.tol, self.n_iter_no_change, noisy=not loss.smooth)
        average.begin(member.random_state)
        iterations = descend(state, options, AllRows(problem), average, stopping, member.early_stopping, growing)
        return FirstOrderTraining(iterations, state, member, problem, parts=(average, stopping))

    def _why_not_in_parts(self):
        """Return why the parameters ask for all rows in one memory, as a sentence, or None if they do not."""
        if self.solver == "sgd":
            return "solver='sgd' takes steps of few rows, each of which would wait for all parts: use 'gd'."
        return super()._why_not_in_parts()

    def _problem(self, member, loss, total_weight, momentum, in_batches):
        """Return what a network is trained on; the misfit is a weighted mean."""
        network = member.network
        search = make_search(
            self.search, member.samples, network.weights, network.threshold, in_batches=in_batches,
            all_move=momentum > 0 or self.alpha > 0, forward_only=network.signs.shape[1] == 1,
        )  # fmt: skip
        shares = member.weights / member.weights.sum()
        return Problem(member.samples, member.y, shares, loss, search, total_weight, offsets=member.offsets)

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
                X, y, Weighting(sample_weight), nothing, continues=continues, stream=True, classes=classes
            )
            (member,) = start.members
            weight_seen = float(member.weights.sum()) + (self._weight_seen if continues else 0.0)
            network, options = member.network, self._stream_options()
            problem = self._problem(member, start.targets.make_loss(), weight_seen, options.momentum, in_batches=True)
            state = State(network, member.anchor, np.zeros(network.weights.shape, network.weights.dtype))
            average = self._average(in_batches=False)
            recall(member.memory, state, average, state.stream_rate)
            state.work_curve = [Work(*work) for work in state.work_curve]
            average.begin(member.random_state)

            # Search, forward, loss, step, maintain.
            draw, parts = SinglePass(problem, options.batch_size, member.random_state), (average, state.stream_rate)
            training = FirstOrderTraining(descend(state, options, draw, average), state, member, problem, parts=parts)
            training.advance(1, NEVER)

            # Store.
            kept = [training.kept_weights]
            self._require_room_for_predictions(start, kept)
            self.solver_ = "sgd" if self.solver == "sgd" else "gd"
            self._store(start, [training], kept)
            self._store_cross_validation(start)
            self._forget_tree()  # the next part moves the neurons again
            self._count_rows(len(start.samples), continues)
            self._training = self._memory(start, [training], kept)
        return self

    def _units_of_stream(self, targets, table, continues):
        """Return the maps to the sphere and to the loss's units: of all rows so far, as long as these are few."""
        if continues and not hasattr(self, "_target_moments"):
            return self._lift(), self._units()
        weights = table.weights
        lift, units = self._units_of(targets, table, continues=False)
        moments = Moments.of(table.encoded, weights / weights.sum(), self.fit_intercept)
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

    def _takes_batches(self, X, validates):
        """Return whether steps are taken on batches of the rows; "auto" does so on many, if others stop it."""
        if self.solver != "auto":
            return self.solver == "sgd"
        if not validates or self.search != "auto" or issparse(X) or len(X) <= MANY_ROWS:
            return False
        return len(np.unique(row_keys(X))) > MANY_ROWS  # copies count for nothing, as weights do

    def _setting(self, name, in_batches):
        """Return a parameter, or what "auto" stands for."""
        value = getattr(self, name)
        if value != "auto":
            return value
        return (OF_BATCHES if in_batches and self.solver == "auto" else OF_SOLVERS)[name]

    def _averages(self, in_batches):
        """Return whether weights of several steps are kept."""
        return self._setting("average", in_batches) != "last"

    def _average(self, in_batches):
        """Return what tells which weights to keep."""
        return AVERAGES[self._setting("average", in_batches)]()

    def _options(self, start):
        """Return the options of training on these rows."""
        batch_size = None
        if start.in_batches:
            batch_size, largest = self._setting("batch_size", True), max(start.fewest_rows, FEW_DRAWN)
            if self.batch_size != "auto" and batch_size > largest:
                why = f"which is enough for {start.fewest_rows} distinct samples"
                warnings.warn(f"batch_size={batch_size} is clipped to {largest}, {why}.", UserWarning, stacklevel=6)
            batch_size = min(batch_size, largest)
        return self._options_of(batch_size, self._setting("momentum", start.in_batches), self.max_iter)

    def _stream_options(self):
        """Return the options of training on a part of a stream."""
        batch_size = self._setting("batch_size", False) if self.solver == "sgd" else None
        return self._options_of(batch_size, self._setting("momentum", False), 1, stream=True)

    def _options_of(self, batch_size, momentum, max_iter, stream=False):
        return Options(
            self.learning_rate, momentum, self.nesterovs_momentum, self.alpha, batch_size, max_iter, stream=stream
        )

    def _store(self, start, trainings, kept):
        """Keep the fitted network and the record of training."""
        vars(self).update(self._fitted(start.members, kept))
        states, problem = [training.state for training in trainings], trainings[0].problem
        self._weight_seen = problem.total_weight
        self.search_ = problem.search_name
        self.learning_rate_ = float(np.mean([state.learning_rate for state in states]))
        for name in ("loss_curve", "firing_fraction_curve"):
            setattr(self, f"{name}_", joined([np.array(getattr(state, name)) for state in states], "mean"))
        self.rows_curve_ = joined([np.array(state.rows_curve, dtype=np.int64) for state in states], "sum")
        for place, name in enumerate(Work._fields):
            curves = [np.array([work[place] for work in state.work_curve]) for state in states]
            setattr(self, f"{name}_curve_", joined(curves, "sum"))
        self.n_iter_ = len(self.loss_curve_)
        self.stop_reason_ = self._stop_reason(trainings)
        self._store_validation(trainings)


def described(trainings):
    """Return a description of the last iteration."""
    curves = [training.state.loss_curve for training in trainings]
    loss = np.mean([curve[-1] for curve in curves])
    fraction = np.mean([training.state.firing_fraction_curve[-1] for training in trainings])
    return f"iteration {max(map(len, curves))}: loss {loss:.6g}, {fraction:.2%} of pairs fire"
