"""What all estimators share: parameters, the opening of a fit, and the attributes that describe the fitted network.

What a fit does with rows to validate on is in `validation`, how it goes on from the last fit in `warm_start`, and what
is computed from its attributes in `fitted_network`.
"""

from contextlib import contextmanager
from numbers import Integral, Real
from time import perf_counter

import numpy as np
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, is_classifier
from sklearn.utils import assert_all_finite, check_random_state
from sklearn.utils.validation import validate_data

from sksparsenn._estimators import linear
from sksparsenn._estimators.advice import warn_of_a_fit_cut_short, warn_of_silence, warn_of_spreads
from sksparsenn._estimators.callbacks import CallbackSupportMixin, Progress
from sksparsenn._estimators.committee import out_of_fold
from sksparsenn._estimators.fitted_network import FittedNetwork
from sksparsenn._estimators.held_out import first_bad_row, naming_the_row, renamed
from sksparsenn._estimators.start import Member, Rows, Start, Table
from sksparsenn._estimators.summed_calibration import calibrate
from sksparsenn._estimators.summed_start import SummedStart
from sksparsenn._estimators.summed_training import SummedTraining
from sksparsenn._estimators.validation import Validating
from sksparsenn._estimators.warm_start import WarmStart
from sksparsenn._network.network import Network, initial_weights
from sksparsenn._samples.drawing import row_keys
from sksparsenn._samples.lift import Lift, column_spreads
from sksparsenn._samples.points import padded_rows
from sksparsenn._search.choice import require_training_memory
from sksparsenn._training.resuming import recalled_random_state
from sksparsenn._training.side_by_side import train_all
from sksparsenn._utils.range import (
    aligned_table,
    require_activation,
    require_moderate_targets,
    require_normal_targets,
    require_output_scale,
    require_room,
    total_weight,
)
from sksparsenn._utils.sklearn import Interval, StrOptions, _check_sample_weight

# Neurons are numbered with 32 bits.
MOST_NEURONS = np.iinfo(np.int32).max


class BaseShiftedReLU(FittedNetwork, SummedTraining, Validating, WarmStart, CallbackSupportMixin, BaseEstimator):
    """A two-layer network with shifted ReLU, of which only the hidden weights are trained."""

    _parameter_constraints = {  # noqa: RUF012 (the form scikit-learn prescribes)
        "width": [Interval(Integral, 1, None, closed="left")],
        "shift": [StrOptions({"auto"}), Interval(Real, 0, None, closed="left")],
        "threshold": [None, Interval(Real, 0, None, closed="left")],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "cv": [StrOptions({"auto"}), Interval(Integral, 2, None, closed="left"), "cv_object"],
        "output_scale": [Interval(Real, 0, None, closed="neither")],
        "init": [StrOptions({"paired", "gaussian"})],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "early_stopping": [StrOptions({"auto"}), "boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "fit_intercept": ["boolean"],
        "intercept_scaling": [Interval(Real, 0, None, closed="neither")],
        "random_state": ["random_state"],
        "warm_start": ["boolean"],
        "verbose": ["verbose"],
    }

    # -- the opening of a fit -----------------------------------------------------------

    def _open(self, X, y, weighting, held_out, **options):
        """Return what training starts from: blocks of a long table, or all rows in memory."""
        start = None
        if self._takes_blocks(X, weighting.groups, *held_out):
            start = self._start_in_blocks(X, y, weighting.sample_weight)
        return self._start(X, y, weighting, held_out, **options) if start is None else start

    def _start(self, X, y, weighting, held_out, *, continues, stream=False, classes=None):
        """Validate, hold out, lift, initialise."""
        activation = self._activation()
        rows = self._read(X, y, weighting.sample_weight, reset=not continues)
        # A stream keeps the precision of its first part.
        dtype = self.hidden_weights_.dtype if stream and continues else rows.X.dtype
        require_activation(*activation, dtype)
        require_output_scale(self.output_scale, dtype)
        memory = self._training if continues else {}
        cv = None if stream else self.cv
        used, held_out = self._hold_out(rows, held_out, memory, splits=cv is None and not stream)
        targets = self._fitted_targets() if continues else self._new_targets(used.y, classes)
        weights = targets.balanced(used.y, used.weights)
        significant = weights / weights.sum() > 0
        folds = self._make_folds(cv, rows, np.where(significant, weights, 0), weighting.groups, targets, memory)
        labels = np.zeros(len(used.y), np.int64) if folds is None else folds.labels[rows.weights > 0]
        table = Table(used.X, targets.encode(used.y), weights, labels)
        table = table if significant.all() else table.part(significant)
        require_normal_targets(table.encoded, dtype)
        units_of = self._units_of_stream if stream else self._units_of
        lift, targets.units = units_of(targets, table, continues)
        if not continues and not stream:
            warn_of_spreads(column_spreads(table.X, table.weights / table.weights.sum()))
        require_moderate_targets(table.encoded, targets.units)
        validates = held_out is not None or (folds is not None and self._stops_early(leaves_out=True))
        in_batches = stream or self._takes_batches(table.X, validates)
        if in_batches:
            table = table.in_canonical_order()
        samples, y = lift(table.X, dtype), targets.for_loss(table.encoded, dtype)
        parts = () if folds is None else (table.labels, *folds[1:])
        key = "stream" if stream else self._training_key(samples, y, table.weights, held_out, *parts)
        self._centre, self._constant, self._spread = lift
        self._target_mean, self._target_scale = targets.units
        vars(self).update(targets.fitted_attributes)
        start = Start(rows, samples, y, table, folds, targets, held_out, key, validates, in_batches, [])
        if not continues:
            for name in linear.ATTRIBUTES:
                vars(self).pop(name, None)
            # Classifiers have no such parameter: no table was found on which it lowers their loss.
            if not stream and linear.is_wanted(getattr(self, "linear_part", False), table.X.shape[1]):
                vars(self).update(linear.attributes_of(linear.new_linear_parts(start, self.fit_intercept)))
        memory = memory.get("members", []) if memory.get("key") == key else []
        self._add_members(start, activation, memory, continues=continues, stream=stream)
        return start

    def _takes_batches(self, X, validates):
        """Return whether steps are taken on batches of the rows."""
        return False

    def _averages(self, in_batches):
        """Return whether weights of several steps are kept."""
        return False

    def _add_members(self, start, activation, memory, *, continues, stream):
        """Add the networks to train, each with the rows that it trains on and those that stop it."""
        require_training_memory(
            start.samples, start.n_networks * self.width, start.table.X.shape[1], validates=start.validates,
            averages=self._averages(start.in_batches),
        )  # fmt: skip
        if not continues:
            self._fitted_width = self.width
        keys = row_keys(start.table.X) if self.alpha == "auto" else None
        linear_parts = [linear.mean_part_of(self)] if stream else linear.parts_of(self) or [None] * start.n_networks
        for place, (random_state, remembered) in enumerate(self._random_states(memory, start)):
            if continues:
                network, anchor = self._network_so_far(start, activation, remembered, place, stream)
            else:
                network, anchor = self._new_network(start, activation, random_state)
            require_room(network, start.targets.units, start.largest_target)
            linear_part, mine = linear_parts[place], start.training_rows(place)
            validation = self._validation(start, place, linear_part) if start.validates else None
            start.members.append(
                Member(
                    start.samples if start.folds is None else start.samples[mine],
                    start.y[mine],
                    start.table.weights[mine],
                    None if keys is None else keys[mine],
                    None if linear_part is None else linear_part.outputs(start.table.X[mine], start.samples.dtype),
                    network,
                    anchor,
                    self._make_early_stopping(validation, start.targets, network, start.in_batches),
                    random_state,
                    remembered,
                )
            )

    def _activation(self):
        """Return shift and threshold; the automatic shift sqrt(share * ln width) lets width^(1 - share/2) fire."""
        if self.width > MOST_NEURONS:
            raise ValueError(
                f"width={self.width} is more than the {MOST_NEURONS} neurons that can be numbered: lower width."
            )
        share = self._shift_share
        shift = float(np.sqrt(share * np.log(self.width))) if self.shift == "auto" else float(self.shift)
        threshold = shift if self.threshold is None else float(self.threshold)
        if threshold < shift:
            raise ValueError(
                f"threshold={threshold:.4g} lies below shift={shift:.4g}: a neuron would output negative numbers "
                "between the two; raise threshold or lower shift."
            )
        return shift, threshold

    def _read(self, X, y, sample_weight, *, reset):
        """Return checked rows."""
        with naming_the_row(X=X, y=y):
            X, y = validate_data(self, X, y, reset=reset, **self._input_checks(X), **self._target_kind.checks)
        return self._weighted(aligned_table(X), y, sample_weight, "sample_weight")

    def _read_long(self, X, y, sample_weight):
        """Return checked rows of a long table, without a copy of a table in memory or on disk."""
        if issparse(X):
            self._input_checks(X)
        checks = self._input_checks(X) | {"ensure_all_finite": False, "order": None}
        with naming_the_row(y=y):
            X, y = validate_data(self, X, y, **checks, **self._target_kind.checks)
        bad = first_bad_row(X)
        if bad is not None:
            raise ValueError(f"Input X contains NaN or infinity, first in row {bad}: remove or replace such rows.")
        return self._weighted(aligned_table(X), y, sample_weight, "sample_weight")

    def _weighted(self, X, y, sample_weight, name):
        """Return rows with their weights, of which some is positive."""
        if sample_weight is not None:
            assert_all_finite(sample_weight, input_name=name)
        with renamed("sample_weight", name):
            weights = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        total_weight(weights, name)
        return Rows(X, y, weights)

    _takes_sparse = False

    def _input_checks(self, X, name="X"):
        """Return what scikit-learn is to check of X, which is refused here where it is sparse and may not be."""
        if issparse(X) and not self._takes_sparse:
            sibling = "SparseShiftedReLU" + ("Classifier" if is_classifier(self) else "Regressor")
            raise TypeError(
                f"{name} is sparse, but {type(self).__name__} takes dense samples only: use {sibling}, which takes "
                f"sparse ones, or {name}.toarray(), or sparse_output=False where an encoder makes {name}."
            )
        formats = "csr" if self._takes_sparse else False
        return {"accept_sparse": formats, "dtype": [np.float64, np.float32], "order": "C"}

    def _units_of(self, targets, table, continues):
        """Return the maps to the sphere and to the loss's units: of the last fit if this one continues it, else new."""
        if continues:
            return self._lift(), self._units()
        shares = table.weights / table.weights.sum()
        lift = Lift.fit(table.X, shares, self.fit_intercept, self.intercept_scaling)
        return lift, targets.units_of(table.encoded, shares, self.fit_intercept)

    def _random_states(self, memory, start):
        """Return for each network its generator of random numbers, and what is remembered of its training."""
        if memory:
            return [(recalled_random_state(part), part) for part in memory]
        random_state = check_random_state(self.random_state)
        if start.folds is None:
            return [(random_state, {})]
        return [(np.random.RandomState(seed), {}) for seed in random_state.randint(2**31 - 1, size=start.n_networks)]

    def _new_network(self, start, activation, random_state):
        """Return a network to start from; the ridge pulls towards its weights."""
        weights, signs = initial_weights(
            self.width, start.samples.n_features, start.n_outputs, self.init, random_state, start.samples.dtype
        )
        return Network(padded_rows(weights), signs, *activation, float(self.output_scale)), weights

    # -- training -----------------------------------------------------------------------

    def _run(self, trainings, start, data, described):
        """Train all networks; return who reports on it, and the weights to keep: search, forward, loss, step, maintain.

        `data` are X, y and weights as they came, for callbacks.
        """
        progress = Progress(
            self, *data, self.max_iter,
            lambda trainings: self._fitted(start.members, [training.weights for training in trainings]),
            self._line(described),
        )  # fmt: skip
        train_all(trainings, progress, start.n_threads(self.width))
        kept = [training.kept_weights for training in trainings]
        self._require_room_for_predictions(start, kept)
        return progress, kept

    # -- the fitted network -------------------------------------------------------------

    def _fitted(self, members, weights):
        """Return the attributes of the mean of networks with these weights, itself a network: arrays and numbers."""
        first = members[0]
        columns = slice(first.samples.n_features)
        return {
            "hidden_weights_": np.concatenate([part[:, columns] for part in weights]),
            "initial_weights_": np.concatenate([member.anchor[:, columns] for member in members]),
            "output_weights_": np.concatenate([member.network.signs for member in members]),
            "shift_": first.network.shift,
            "threshold_": first.network.threshold,
            "n_members_": len(members),
            "_scale": first.network.output_scale / np.sqrt(len(members)),
        }

    def _store_cross_validation(self, start):
        """Store predictions of rows by networks that left them out, and what these tell; else no such attributes."""
        for name in ("cv_prediction_", "cv_score_", *self._calibration):
            vars(self).pop(name, None)
        if isinstance(start, SummedStart):
            calibrate(self, start)
            return
        if start.folds is None:
            return
        outputs = self._outputs_where(start.folds.are_left_out, start.rows.X)
        left_out = out_of_fold(outputs, start.folds)
        self._calibrate(start, outputs, left_out)
        self.cv_prediction_ = self._from_outputs(left_out)
        known = (start.folds.labels >= 0) & np.isfinite(left_out).all(axis=1)
        self.cv_score_ = self._cv_score(start.rows.part(known), self.cv_prediction_[known])

    def _line(self, described):
        """Return a function that makes of all trainings the line to print after an iteration; None if there is none."""
        if not self.verbose:
            return None
        begin = perf_counter()

        def line(trainings):
            n_running, text = sum(not training.ended for training in trainings), described(trainings)
            if len(trainings) > 1:
                text = f"{text}, {n_running} of {len(trainings)} networks go on"
            if trainings[0].early_stopping is not None:
                score = np.mean([training.early_stopping.scores[-1] for training in trainings])
                text = f"{text}, validation score {score:.4g}"
            return f"{text}, {perf_counter() - begin:.2f} s"

        return line

    def _warn(self, trainings, curve):
        """Warn of what makes a fit that went through a bad one."""
        states = [training.state for training in trainings]
        warn_of_silence(max(state.silent_share for state in states), states[0].network.threshold)
        if self._stop_reason(trainings) == "max_iter" and trainings[0].early_stopping is None:
            warn_of_a_fit_cut_short(np.asarray(curve), self.max_iter)

    def _stop_reason(self, trainings):
        """Return why training ended; of several networks "max_iter" if that ended one, else the reason of the first."""
        reasons = [training.state.stop_reason for training in trainings]
        return "max_iter" if "max_iter" in reasons else reasons[0]

    def _require_room_for_predictions(self, start, kept):
        """Refuse weights whose predictions might not fit into their precision."""
        units, largest = self._units(), start.largest_target
        for member, weights in zip(start.members, kept, strict=True):
            require_room(member.network._replace(weights=weights), units, largest)

    @contextmanager
    def _unchanged_on_failure(self):
        """Restore the estimator to what it was if training fails or is interrupted."""
        before = dict(vars(self))
        try:
            # Numbers out of range are looked for where they matter, and refused in words.
            with np.errstate(all="ignore"):
                yield
        except BaseException:
            during = vars(self)
            kept = {name: value for name, value in during.items() if "callback" in name}
            during.clear()
            during.update(before | kept)
            raise
