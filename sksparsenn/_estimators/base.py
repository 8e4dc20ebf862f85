"""What all estimators share: parameters, the opening of a fit, the fitted network, its outputs."""

from contextlib import contextmanager
from numbers import Integral, Real
from time import perf_counter
from typing import NamedTuple

import numpy as np
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, is_classifier
from sklearn.utils import assert_all_finite, check_random_state
from sklearn.utils.validation import validate_data

from sksparsenn._estimators.advice import warn_of_a_fit_cut_short, warn_of_silence, warn_of_spreads
from sksparsenn._estimators.callbacks import CallbackSupportMixin
from sksparsenn._estimators.held_out import checked_samples, checked_targets, renamed, split
from sksparsenn._network.network import Network, initial_weights
from sksparsenn._samples.lift import Lift, Standardiser, column_spreads, in_canonical_order
from sksparsenn._samples.points import padded_rows
from sksparsenn._search.choice import make_search, require_training_memory
from sksparsenn._search.work import Work
from sksparsenn._training.early_stopping import EarlyStopping
from sksparsenn._training.resuming import fingerprint, recalled_random_state, remember
from sksparsenn._utils.range import (
    aligned,
    aligned_table,
    require_activation,
    require_moderate_targets,
    require_normal_targets,
    require_output_scale,
    require_room,
    total_weight,
    without_negligible_rows,
)
from sksparsenn._utils.sklearn import Interval, StrOptions, _check_sample_weight


class Rows(NamedTuple):
    """Checked rows that weigh something: X, y as it came, and weights."""

    X: np.ndarray
    y: np.ndarray
    weights: np.ndarray


class Start(NamedTuple):
    """What training starts from."""

    samples: object
    """On the sphere: `DenseSamples` or `SparseSamples`."""
    targets: object
    """`Numbers` or `Labels`."""
    y: np.ndarray
    """Targets as the loss compares them with outputs, one column for each output."""
    weights: np.ndarray
    network: Network
    anchor: np.ndarray
    """Weights at initialisation, towards which the ridge pulls."""
    early_stopping: EarlyStopping | None
    random_state: np.random.RandomState
    key: str
    """Tells whether another fit does the same with the same data; empty where nobody will ask."""
    memory: dict
    """What is remembered of the training that this one takes up, empty if it starts anew."""


# Neurons are numbered with 32 bits.
MOST_NEURONS = np.iinfo(np.int32).max

# Parameters that may change between fits of which the second takes up the training of the first.
FREE_TO_CHANGE = {"max_iter", "tol", "n_iter_no_change", "random_state", "verbose", "warm_start"}


class BaseShiftedReLU(CallbackSupportMixin, BaseEstimator):
    """A two-layer network with shifted ReLU, of which only the hidden weights are trained."""

    _parameter_constraints = {  # noqa: RUF012 (the form scikit-learn prescribes)
        "width": [Interval(Integral, 1, None, closed="left")],
        "shift": [StrOptions({"auto"}), Interval(Real, 0, None, closed="left")],
        "threshold": [None, Interval(Real, 0, None, closed="left")],
        "alpha": [Interval(Real, 0, None, closed="left")],
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

    def _start(self, X, y, sample_weight, held_out, *, in_batches, continues, stream=False, classes=None):
        """Validate, hold out, lift, initialise."""
        shift, threshold = self._activation()
        rows = self._read(X, y, sample_weight, reset=not continues)
        # A stream keeps the precision of its first part.
        dtype = self.hidden_weights_.dtype if stream and continues else rows.X.dtype
        require_activation(shift, threshold, dtype)
        require_output_scale(self.output_scale, dtype)
        memory = self._training if continues else {}
        rows, held_out = self._hold_out(rows, held_out, memory.get("split_seed"))
        targets = self._fitted_targets() if continues else self._new_targets(rows.y, classes)
        encoded, weights = targets.encode(rows.y), targets.balanced(rows.y, rows.weights)
        X, encoded, weights = without_negligible_rows(rows.X, encoded, weights)
        require_normal_targets(encoded, dtype)
        units_of = self._units_of_stream if stream else self._units_of
        lift, targets.units = units_of(targets, X, encoded, weights, continues)
        if not continues and not stream:
            warn_of_spreads(column_spreads(X, weights / weights.sum()))
        require_moderate_targets(encoded, targets.units)
        if in_batches:
            X, encoded, weights = in_canonical_order(X, encoded, weights)
        samples = lift(X, dtype)
        require_training_memory(samples, self.width, X.shape[1], validates=held_out is not None)
        y = targets.for_loss(encoded, dtype)
        key = "stream" if stream else self._training_key(samples, y, weights, held_out)
        memory = memory if memory.get("key") == key else {}
        random_state = recalled_random_state(memory) or check_random_state(self.random_state)
        network, anchor = self._first_network(
            samples.n_features, y.shape[1], shift, threshold, random_state, dtype, continues, memory
        )
        require_room(network, targets.units, np.abs(encoded).max())
        self._centre, self._constant, self._spread = lift
        self._target_mean, self._target_scale = targets.units
        vars(self).update(targets.fitted_attributes)
        early_stopping = self._make_early_stopping(held_out, targets, network, in_batches)
        return Start(samples, targets, y, weights, network, anchor, early_stopping, random_state, key, memory)

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
        """Return checked rows, without those that weigh nothing."""
        X, y = validate_data(self, X, y, reset=reset, **self._input_checks(X), **self._target_kind.checks)
        return self._weighted(aligned_table(X), y, sample_weight, "sample_weight")

    def _weighted(self, X, y, sample_weight, name):
        """Return the rows that weigh something."""
        if sample_weight is not None:
            assert_all_finite(sample_weight, input_name=name)
        with renamed("sample_weight", name):
            weights = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        total_weight(weights, name)
        if not weights.all():
            kept = weights > 0
            X, y, weights = X[kept], y[kept], weights[kept]
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

    def _continues(self):
        """Return whether this fit goes on from the last one."""
        return self.warm_start and hasattr(self, "hidden_weights_")

    def _units_of(self, targets, X, encoded, weights, continues):
        """Return the maps to the sphere and to the loss's units: of the last fit if this one continues it, else new."""
        if continues:
            return self._lift(), self._units()
        shares = weights / weights.sum()
        lift = Lift.fit(X, shares, self.fit_intercept, self.intercept_scaling)
        return lift, targets.units_of(encoded, shares, self.fit_intercept)

    def _first_network(self, n_features, n_outputs, shift, threshold, random_state, dtype, continues, memory):
        """Return the network to start from, and the weights that the ridge pulls towards."""
        if continues:
            shape = self.hidden_weights_.shape[0], self.output_weights_.shape[1]
            if shape != (self.width, n_outputs):
                raise ValueError(
                    f"training goes on from a network of width {shape[0]} with {shape[1]} outputs, "
                    f"but width={self.width} and y asks for {n_outputs}; set warm_start=False and call fit "
                    "to start anew."
                )
            weights = memory.get("weights", self.hidden_weights_).astype(dtype)
            signs = self.output_weights_.astype(dtype)
            anchor = padded_rows(self.initial_weights_.astype(dtype))
        else:
            weights, signs = initial_weights(self.width, n_features, n_outputs, self.init, random_state, dtype)
            anchor = weights
        return Network(padded_rows(weights), signs, shift, threshold, float(self.output_scale)), anchor

    # -- going on where training stopped --------------------------------------------------

    def _training_key(self, *data):
        """Return a key of this data and these parameters, but for those that are free to change."""
        if not self.warm_start:
            return ""
        parameters = self.get_params(deep=False).items()
        return fingerprint(data, {name: value for name, value in parameters if name not in FREE_TO_CHANGE})

    def _memory(self, start, last_weights, kept, *parts):
        """Return what a later fit needs to go on exactly where this one stopped."""
        memory = {"key": start.key}
        if kept is not last_weights:
            memory["weights"] = last_weights[:, : start.samples.n_features].copy()
        if hasattr(self, "_split_seed"):
            memory["split_seed"] = self._split_seed
        return memory | remember(*parts, start.early_stopping, random_state=start.random_state)

    # -- validation ---------------------------------------------------------------------

    def _hold_out(self, rows, given, seed):
        """Return rows to train on, and rows to validate on: the user's own, a part of the rows, or None."""
        vars(self).pop("_split_seed", None)
        X_val, y_val, sample_weight_val = given
        if X_val is not None or y_val is not None:
            if X_val is None or y_val is None:
                missing = "y_val" if y_val is None else "X_val"
                raise ValueError(f"{missing} is missing: X_val and y_val have to be given together.")
            if self.early_stopping is False:
                raise ValueError("X_val is given, but early_stopping=False; set early_stopping to 'auto' or True.")
            X = checked_samples(self, X_val, self.n_features_in_)
            y = checked_targets(y_val, X.shape[0], "multi_output" in self._target_kind.checks)
            return rows, self._weighted(aligned_table(X), y, sample_weight_val, "sample_weight_val")
        if sample_weight_val is not None:
            raise ValueError("sample_weight_val is given without X_val and y_val.")
        if self.early_stopping is not True:
            return rows, None
        self._split_seed = check_random_state(self.random_state).randint(2**31 - 1) if seed is None else seed
        return split(rows, self.validation_fraction, self._split_seed, self._target_kind.stratifies)

    def _make_early_stopping(self, held_out, targets, network, in_batches):
        if held_out is None:
            return None
        encoded = targets.encode(held_out.y, "y_val")
        if encoded.shape[1] != network.signs.shape[1]:
            raise ValueError(f"y_val has {encoded.shape[1]} outputs, but y has {network.signs.shape[1]}.")
        samples = self._lift()(held_out.X, network.weights.dtype)
        search = make_search(
            "brute" if in_batches else "margin", samples, network.weights, network.threshold, in_batches=in_batches
        )

        def score(outputs):
            return targets.score(outputs, encoded, held_out.weights)

        return EarlyStopping(samples, score, search, self.tol, self.n_iter_no_change)

    # -- the fitted network -------------------------------------------------------------

    def _fitted(self, start, weights):
        """Return the attributes of a fitted network with these weights: plain arrays and numbers."""
        network = start.network
        return {
            "hidden_weights_": np.ascontiguousarray(weights[:, : start.samples.n_features]),
            "initial_weights_": np.ascontiguousarray(start.anchor[:, : start.samples.n_features]),
            "output_weights_": network.signs,
            "shift_": network.shift,
            "threshold_": network.threshold,
            "_scale": network.output_scale,
        }

    def _store_work(self, work_curve, goes_on=False):
        """Store the counted work of the search, an array for each quantity, after those there are if it goes on."""
        for name in Work._fields:
            curve = np.array([getattr(work, name) for work in work_curve])
            before = [getattr(self, f"{name}_curve_")] if goes_on else []
            setattr(self, f"{name}_curve_", np.concatenate([*before, curve]))

    def _work_curve(self):
        """Return the same as one record for each iteration."""
        curves = self.pairs_evaluated_curve_, self.nodes_visited_curve_, self.neurons_rescanned_curve_
        return [Work(*counts) for counts in zip(*(curve.tolist() for curve in curves), strict=True)]

    def _store_validation(self, early_stopping):
        """Store what early stopping saw, if it was used; else no such attributes."""
        for name in ("validation_scores_", "best_iteration_", "best_validation_score_"):
            vars(self).pop(name, None)
        if early_stopping is not None:
            self.validation_scores_ = np.array(early_stopping.scores)
            self.best_iteration_ = early_stopping.best_iteration
            self.best_validation_score_ = early_stopping.best_score

    def _line(self, described, early_stopping):
        """Return a function that makes of a state the line to print after an iteration; None if there is none."""
        if not self.verbose:
            return None
        begin = perf_counter()

        def line(state):
            score = "" if early_stopping is None else f", validation score {early_stopping.scores[-1]:.4g}"
            return f"{described(state)}{score}, {perf_counter() - begin:.2f} s"

        return line

    def _warn(self, state, curve, early_stopping):
        """Warn of what makes a fit that went through a bad one."""
        warn_of_silence(state.silent_share, state.network.threshold)
        if state.stop_reason == "max_iter" and early_stopping is None:
            warn_of_a_fit_cut_short(np.asarray(curve), self.max_iter)

    def _require_room_for_predictions(self, start, kept):
        """Refuse weights whose predictions might not fit into their precision."""
        units = self._units()
        require_room(start.network._replace(weights=kept), units, np.abs(units.inverse(start.y)).max())

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

    def _lift(self):
        return Lift(self._centre, self._constant, self._spread)

    def _units(self):
        return Standardiser(self._target_mean, self._target_scale)

    def _network(self):
        return Network(
            padded_rows(self.hidden_weights_), aligned(self.output_weights_), self.shift_, self.threshold_, self._scale
        )

    def _checked(self, X):
        """Return rows of X to predict, checked."""
        with np.errstate(over="ignore", invalid="ignore"):  # checks may overflow where numbers do not
            return aligned_table(validate_data(self, X, reset=False, **self._input_checks(X)))

    def _network_outputs(self, X):
        """Return the network's outputs, in its own units; nothing here calls BLAS, whose threads would change bits."""
        return self._network().outputs(self._lift()(self._checked(X), self.hidden_weights_.dtype))
