"""Training on a cluster: as the estimators without Dask train, with sums over parts in place of problems in memory."""

from contextlib import closing

import numpy as np
from dask import delayed
from distributed import wait
from sklearn.utils import check_random_state, compute_class_weight

from sksparsenn._estimators import linear
from sksparsenn._estimators.first_order import FirstOrderTraining
from sksparsenn._estimators.folds import Folds
from sksparsenn._estimators.gauss_newton import SecondOrderTraining
from sksparsenn._estimators.targets import Labels, Numbers
from sksparsenn._search.choice import require_training_memory
from sksparsenn._solvers.summed import SOLVERS, make_summed_solver
from sksparsenn._training.averages import AVERAGES
from sksparsenn._training.batches import AllRows
from sksparsenn._training.descent import State as DescentState
from sksparsenn._training.descent import descend
from sksparsenn._training.early_stopping import EarlyStopping
from sksparsenn._training.growing_rows import FIRST_ROWS, MANY_ROWS
from sksparsenn._training.linear_fit import Moments as ProductMoments
from sksparsenn._training.stopping import Stopping
from sksparsenn._training.streams import Moments
from sksparsenn._training.trust_region import State, train
from sksparsenn._utils.blas_threads import single_blas_thread
from sksparsenn._utils.range import (
    require_activation,
    require_moderate_targets,
    require_normal_targets,
    require_output_scale,
    require_room,
)
from sksparsenn.dask import _reading as reading
from sksparsenn.dask import _start as starting
from sksparsenn.dask._calibration import calibrate
from sksparsenn.dask._cluster import parts_on
from sksparsenn.dask._doors import Doors
from sksparsenn.dask._rows import NetworkRows, Recipe, SizedNetwork, SummedGrowingRows

# Folds that choose the strength of the linear part where no network leaves rows out.
LINEAR_FOLDS = 5


class SummedTraining:
    """The opening and the end of a fit on rows in parts; a family adds how it trains."""

    def fit(self, X, y, sample_weight=None):
        """Fit the network on the workers that hold the rows.

        Parameters
        ----------
        X : dask array or data frame of shape (n_samples, n_features)
            Dense numbers, in partitions of any sizes.  If all are float32 the network is in float32, else in float64.

        y : dask array, series or data frame of shape (n_samples,) or (n_samples, n_outputs)
            In as many partitions as X.

        sample_weight : dask array or series of shape (n_samples,), optional
            In as many partitions as X.

        Returns
        -------
        self : object
            Fitted estimator.

        Raises
        ------
        TypeError
            If X, y or the weights are no Dask collections, or X is sparse.

        ValueError
            For rows that cannot be used, named by partition and row; for parameters that take all rows into one memory;
            if there is no client.

        RuntimeError
            If tasks of the fit are cancelled on the cluster.
        """
        self._validate_params()
        self._require_sums()
        with self._unchanged_on_failure(), single_blas_thread(), parts_on(self.client) as parts:
            start = self._start_on(parts, X, y, sample_weight)
            with closing(start.parts):
                self._train(start, X, y, sample_weight)
        return self

    def _require_sums(self):
        """Raise ValueError for parameters that rows in parts cannot serve."""
        if self.warm_start:
            raise ValueError("warm_start=True takes up the memory of a fit, which no worker keeps: use False.")
        if not (self.cv is None or self.cv == "auto" or isinstance(self.cv, int)):
            raise ValueError(f"cv={self.cv!r} names rows by their numbers: use 'auto', a number of folds, or None.")
        if self.search not in ("auto", "margin", "brute"):
            raise ValueError(f"search={self.search!r} follows every move of the weights: use 'auto' or 'margin'.")

    # -- the opening of a fit -------------------------------------------------------------------------------------

    def _start_on(self, parts, X, y, sample_weight):
        """Read, lift and label the rows on their workers, and initialise the networks."""
        of_labels = self._target_kind is Labels
        read = delayed(reading.checked_rows, pure=False)
        partitions = [
            read(*partition, number, of_labels)
            for number, partition in enumerate(reading.partitions_of(X, y, sample_weight))
        ]
        rows = parts.join(partitions, reading.is_empty, reading.joined_rows)
        facts = parts.sum(reading.Facts.of, rows, of_labels)
        activation = self._activation()
        require_activation(*activation, facts.dtype)
        require_output_scale(self.output_scale, facts.dtype)
        self._note_columns(facts)
        factors = {label: 1.0 for label in facts.classes}
        if of_labels and self.class_weight is not None:
            factors = self._factors_of_classes(facts)
            rows = parts.map(reading.balanced, rows, factors)
            facts = parts.sum(reading.Facts.of, rows, of_labels)
        targets = self._targets_of(facts)
        folds, n_labels = self._folds_on(facts)
        lift = starting.lift_of(facts, self.fit_intercept, self.intercept_scaling)
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        labelled = parts.map(starting.labelled, rows, targets, n_labels, seed)
        del rows
        self._require_rows_of_each_label(parts.sum(starting.sums_of_labels, labelled, n_labels))
        linear_parts = self._linear_parts_on(parts, labelled, facts, targets, folds, n_labels)
        futures = parts.map(starting.lifted, labelled, lift, targets, facts.dtype, linear_parts).values
        wait(futures)
        del labelled
        samples = starting.Samples(len(facts.low) + lift.n_added, facts.dtype, facts.n_rows)
        n_outputs = len(targets.units.mean)
        largest = 1.0 if of_labels else float(max(np.abs(facts.low_y).max(), np.abs(facts.high_y).max()))
        doors, factors = Doors(parts, futures), np.array(list(factors.values()))
        start = starting.SummedStart(doors, facts, samples, doors.rows, folds, targets, factors, n_outputs, largest, [])
        self._store_units(lift, targets, linear_parts)
        self._add_summed_members(start, activation, n_labels)
        return start

    def _note_columns(self, facts):
        """Store how many features there are, and their names."""
        vars(self).pop("feature_names_in_", None)
        self.n_features_in_ = len(facts.low)
        if facts.names is not None:
            self.feature_names_in_ = np.asarray(facts.names, dtype=object)

    def _targets_of(self, facts):
        """Return the targets, with their units."""
        if self._target_kind is Numbers:
            targets = Numbers(self._loss_name(), facts.single_output)
            targets.units = starting.units_of_numbers(facts, self.fit_intercept)
            ends = np.stack([facts.low_y, facts.high_y])
            require_normal_targets(ends, facts.dtype)
            require_moderate_targets(ends, targets.units)
            return targets
        classes = np.array(list(facts.classes))
        targets = Labels.of(classes, self.loss, self.class_weight)
        totals = np.array(list(facts.classes.values()))
        shares = totals / totals.sum()
        means = 2 * (shares[1:] if len(classes) == 2 else shares) - 1
        moments = Moments(means, np.sqrt(1 - means**2))
        if not self.fit_intercept:
            moments = Moments(np.zeros_like(means), np.ones_like(means))
        targets.units = targets.units_of_moments(moments)
        return targets

    def _factors_of_classes(self, facts):
        """Return by what the weights of the rows of each class are multiplied, as a dict."""
        totals, classes = np.array(list(facts.classes.values())), np.array(list(facts.classes))
        if not isinstance(self.class_weight, dict):
            return dict(zip(facts.classes, facts.weight / (len(totals) * totals), strict=True))
        factors = compute_class_weight(self.class_weight, classes=classes, y=classes)
        if not (factors > 0).all():
            raise ValueError(
                f"class_weight={self.class_weight!r} gives a class the weight 0: leave its rows out of X and y."
            )
        return dict(zip(facts.classes, factors, strict=True))

    def _folds_on(self, facts):
        """Return the folds that networks leave out, or None, and the number of labels that rows get."""
        self._calibrates = self.cv is not None
        if self.cv is None and self._stops_early(leaves_out=False):
            # As many labels as the fraction goes into one; the rows of the first are held out.
            n_labels = max(2, round(1 / self.validation_fraction))
            leaves_out = np.eye(n_labels, dtype=bool)[:1]
            return Folds(np.empty(0, np.int64), ~leaves_out, leaves_out), n_labels
        folds, n_labels = starting.folds_of(self.cv, facts.n_rows)
        return folds, n_labels if folds is not None else LINEAR_FOLDS

    def _require_rows_of_each_label(self, sums):
        """Raise ValueError if a fold has no row of positive weight."""
        if not (sums > 0).all() and self._calibrates:
            raise ValueError(
                f"cv={self.cv!r} leaves a fold without rows, of {int(sums[0].sum())} in all that weigh something: "
                "lower cv, or set cv=None."
            )

    def _linear_parts_on(self, parts, labelled, facts, targets, folds, n_labels):
        """Return the linear part of each network; none if it is not wanted or the features do not vary."""
        if not linear.is_wanted(getattr(self, "linear_part", False), self.n_features_in_):
            return []
        features = starting.features_of(facts, self.fit_intercept)
        if features is None:
            return []
        trains = None
        if folds is None:
            leaves_out = np.eye(n_labels, dtype=bool)
            folds, trains = Folds(np.empty(0, np.int64), ~leaves_out, leaves_out), np.ones((1, n_labels), dtype=bool)
        products = parts.sum(starting.products_of_labels, labelled, features, targets.units, n_labels)
        moments = [ProductMoments(own, self.n_features_in_) for own in products]
        return starting.new_linear_parts(features, moments, folds, trains, self.fit_intercept)

    def _store_units(self, lift, targets, linear_parts):
        """Store the maps to the sphere and to the loss's units, and the linear parts."""
        self._centre, self._constant, self._spread = lift
        self._target_mean, self._target_scale = targets.units
        vars(self).update(targets.fitted_attributes)
        for name in linear.ATTRIBUTES:
            vars(self).pop(name, None)
        vars(self).update(linear.attributes_of(linear_parts))

    def _add_summed_members(self, start, activation, n_labels):
        """Add the networks to train, each with the rows that it trains on and those that stop it."""
        require_training_memory(start.samples, start.n_networks * self.width, self.n_features_in_)
        self._fitted_width = self.width
        folds = start.folds
        stops = folds is not None and (not self._calibrates or self._stops_early(leaves_out=True))
        for place, (random_state, _) in enumerate(self._random_states({}, start)):
            network, anchor = self._new_network(start, activation, random_state)
            require_room(network, start.targets.units, start.largest_target)
            trains = np.ones(n_labels, dtype=bool) if folds is None else folds.trains[place]
            leaves_out = None if folds is None else folds.leaves_out[place]
            rows = NetworkRows(start.parts, start.lifted, trains, leaves_out, place)
            stopping = None
            if stops:
                held_out = rows.held_out(start.targets, network)
                stopping = EarlyStopping(held_out, start.targets.perfect_score, self.tol, self.n_iter_no_change)
            start.members.append(
                starting.SummedMember(start.samples, rows, network, anchor, stopping, random_state, {})
            )

    # -- the end of a fit ---------------------------------------------------------------------------------------------

    def _n_threads(self, start):
        """Return how many networks to train at a time: all, since each waits for the cluster."""
        return len(start.members)

    def _store_cross_validation(self, start):
        """Store what predictions of rows by networks that left them out tell; else no such attributes."""
        for name in ("cv_prediction_", "cv_score_", *self._calibration):
            vars(self).pop(name, None)
        if self._calibrates:
            calibrate(self, start)
        del self._calibrates


class SummedGaussNewton(SummedTraining):
    """Gauss-Newton on rows in parts."""

    def _require_sums(self):
        super()._require_sums()
        if self.solver not in SOLVERS:
            raise ValueError(
                f"solver={self.solver!r} takes rows of a matrix that no worker has: use one of {', '.join(SOLVERS)}."
            )

    def _training_of(self, member, loss, options):
        """Return the training of a network."""
        rows, (n_rows, weight) = member.rows, member.rows.totals()
        network = SizedNetwork(member.network, member.samples.n_features)
        total_weight = weight / options.weight_unit
        recipe = Recipe(network, loss, self.search, False, options.weight_unit, total_weight)
        state, growing = State(member.network, member.anchor), None
        if options.ridge.falls and n_rows > MANY_ROWS:
            state.n_rows, state.row_seed = FIRST_ROWS, int(member.random_state.get_state()[1][0])
            growing = SummedGrowingRows(rows, recipe, state.row_seed, rows.smallest_keys(state.row_seed))
            growing = growing if len(growing) > MANY_ROWS else None
        if growing is None:
            problem = rows.problem(recipe, n_rows)
        else:
            problem = growing.problem(state.n_rows, member.network.weights)
        random_state = np.random.RandomState(member.random_state.randint(2**31 - 1))
        solver = make_summed_solver(self.solver, random_state, self._residual, options.ridge.falls)
        iterations = train(problem, state, solver, options, member.early_stopping, growing)
        return SecondOrderTraining(iterations, state, member, problem, solver)


class SummedFirstOrder(SummedTraining):
    """Gradient descent on rows in parts."""

    def _require_sums(self):
        super()._require_sums()
        if self.solver == "sgd":
            raise ValueError(
                "solver='sgd' takes steps of few rows, each of which would wait for messages: use 'gd', or the "
                "estimator without Dask and its partial_fit."
            )

    @property
    def partial_fit(self):
        raise AttributeError("partial_fit takes rows in memory: use to_local().partial_fit.")

    def _training_of(self, member, loss, options):
        """Return the training of a network; the misfit is a weighted mean."""
        n_rows, weight = member.rows.totals()
        network = SizedNetwork(member.network, member.samples.n_features)
        forward_only = member.network.signs.shape[1] == 1
        problem = member.rows.problem(Recipe(network, loss, self.search, forward_only, weight, weight), n_rows)
        state = DescentState(member.network, member.anchor, np.zeros_like(member.network.weights))
        average, stopping = AVERAGES[self.average](), Stopping(self.tol, self.n_iter_no_change, not loss.smooth)
        average.begin(member.random_state)
        iterations = descend(state, options, AllRows(problem), average, stopping, member.early_stopping)
        return FirstOrderTraining(iterations, state, member, problem, parts=(average, stopping))
