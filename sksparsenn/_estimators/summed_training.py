"""Fits on rows in parts: the opening, where whatever runs over rows is a sum over parts, and the networks to train."""

from numbers import Integral

import numpy as np
from scipy.sparse import issparse
from sklearn.utils import check_random_state, compute_class_weight

from sksparsenn._estimators import linear
from sksparsenn._estimators import summed_start as starting
from sksparsenn._estimators.advice import warn_of_spreads
from sksparsenn._estimators.facts import Facts, balanced, features_of, lift_of, units_of_numbers
from sksparsenn._estimators.folds import Folds
from sksparsenn._estimators.summed_rows import NetworkRows
from sksparsenn._estimators.targets import Labels, Numbers, require_classes
from sksparsenn._search.choice import require_training_memory
from sksparsenn._training.early_stopping import EarlyStopping
from sksparsenn._training.linear_fit import Moments as ProductMoments
from sksparsenn._training.streams import Moments
from sksparsenn._utils.parts import Blocks, Column
from sksparsenn._utils.range import (
    require_activation,
    require_moderate_targets,
    require_normal_targets,
    require_output_scale,
    require_room,
    total_weight,
)

# Folds that choose the strength of the linear part where no network leaves rows out.
LINEAR_FOLDS = 5

# A table of more rows is taken in blocks, so that no copy of it is ever whole, and so many rows make a block.
MOST_ROWS_AT_ONCE, ROWS_OF_BLOCK = 1 << 21, 1 << 16


class SummedTraining:
    """The opening of a fit on rows in parts."""

    def _takes_blocks(self, X, *others):
        """Return whether a fit takes the rows of a table in blocks, and nothing else, such as groups, is given."""
        shape = getattr(X, "shape", ())
        many = len(shape) == 2 and shape[0] > MOST_ROWS_AT_ONCE and not issparse(X)
        return many and all(given is None for given in others) and self._why_not_in_parts() is None

    def _why_not_in_parts(self):
        """Return why the parameters ask for all rows in one memory, as a sentence, or None if they do not."""
        if self.warm_start:
            return "warm_start=True takes up the memory of a fit, which no part keeps: use False."
        if not (self.cv is None or isinstance(self.cv, str | Integral)):
            return f"cv={self.cv!r} names rows by their numbers: use 'auto', a number of folds, or None."
        if self.search not in ("auto", "margin", "brute"):
            return f"search={self.search!r} follows every move of the weights: use 'auto' or 'margin'."
        return None

    def _start_in_blocks(self, X, y, sample_weight):
        """Return what training on blocks of rows starts from; None if rows are so alike that all have to be seen."""
        rows = self._read_long(X, y, sample_weight)
        slices = (slice(first, first + ROWS_OF_BLOCK) for first in range(0, len(rows.y), ROWS_OF_BLOCK))
        # Views of the table, of which rows are copied when their block is taken.
        blocks, parts = [rows.part(block) for block in slices], Blocks()
        blocks = parts.map(as_taken, Column([block for block in blocks if block.weights.any()]))
        try:
            return self._start_on(parts, blocks)._replace(weighs_something=rows.weights > 0)
        except TooAlike:
            return None

    # -- the opening of a fit -------------------------------------------------------------------------------------

    def _start_on(self, parts, rows, hold=None):
        """Lift and label the rows of parts, and initialise the networks.

        Parameters
        ----------
        parts : Parts
        rows : Column of Rows
            Checked, of positive weight, none without any.
        hold : callable, optional
            Of the column of `LiftedRows`, returns the parts and the column to train on.
        """
        of_labels = self._target_kind is Labels
        facts = parts.sum(Facts.of, rows, of_labels)
        activation = self._activation()
        require_activation(*activation, facts.dtype)
        require_output_scale(self.output_scale, facts.dtype)
        total_weight(np.array([facts.weight]))
        warn_of_spreads(facts.X.deviation)
        vars(self).pop("_split_seed", None)
        factors = {label: 1.0 for label in facts.classes}
        if of_labels and self.class_weight is not None:
            factors = self._factors_of_classes(facts)
            rows = parts.map(balanced, rows, factors)
            facts = parts.sum(Facts.of, rows, of_labels)
        targets = self._targets_of(facts)
        folds, shares = self._folds_on(facts)
        lift = lift_of(facts, self.fit_intercept, self.intercept_scaling)
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        labelled = parts.map(starting.labelled, rows, targets, shares, seed)
        del rows
        n_labels = len(shares)
        require_rows_of_networks(folds, parts.sum(starting.rows_of_labels, labelled, n_labels))
        linear_parts = self._linear_parts_on(parts, labelled, facts, targets, folds, n_labels)
        lifted = parts.map(starting.lifted, labelled, lift, targets, facts.dtype, linear_parts)
        del labelled
        parts, lifted = (parts, lifted) if hold is None else hold(lifted)
        samples = starting.Samples(len(facts.low) + lift.n_added, facts.dtype, facts.n_rows)
        n_outputs = len(targets.units.mean)
        largest = 1.0 if of_labels else float(max(np.abs(facts.low_y).max(), np.abs(facts.high_y).max()))
        factors = np.array(list(factors.values()))
        start = starting.SummedStart(
            parts, facts, samples, lifted, folds, self.cv is not None, targets, factors, n_outputs, largest, []
        )
        self._store_units(lift, targets, linear_parts)
        self._add_summed_members(start, activation, n_labels)
        return start

    def _targets_of(self, facts):
        """Return the targets, with their units."""
        if self._target_kind is Numbers:
            targets = Numbers(self._loss_name(), facts.single_output)
            targets.units = units_of_numbers(facts, self.fit_intercept)
            ends = np.stack([facts.low_y, facts.high_y])
            require_normal_targets(ends, facts.dtype)
            require_moderate_targets(ends, targets.units)
            return targets
        classes = np.array(list(facts.classes), dtype=facts.label_dtype)
        require_classes(classes)
        targets = Labels(self.loss, classes, self.class_weight)
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
        totals = np.array(list(facts.classes.values()))
        classes = np.array(list(facts.classes), dtype=facts.label_dtype)
        if not isinstance(self.class_weight, dict):
            return dict(zip(facts.classes, facts.weight / (len(totals) * totals), strict=True))
        factors = compute_class_weight(self.class_weight, classes=classes, y=classes)
        if not (factors > 0).all():
            raise ValueError(
                f"class_weight={self.class_weight!r} gives a class the weight 0: leave its rows out of X and y."
            )
        return dict(zip(facts.classes, factors, strict=True))

    def _folds_on(self, facts):
        """Return the folds that networks leave out, or None, and the shares of rows that have each label."""
        if self.cv is not None:
            return starting.folds_of(self.cv, facts.n_rows)
        if self._stops_early(leaves_out=False):
            return starting.one_left_out(self.validation_fraction)
        return None, np.full(LINEAR_FOLDS, 1 / LINEAR_FOLDS)

    def _linear_parts_on(self, parts, labelled, facts, targets, folds, n_labels):
        """Return the linear part of each network; none if it is not wanted or the features do not vary."""
        if not linear.is_wanted(getattr(self, "linear_part", False), self.n_features_in_):
            return []
        features = features_of(facts, self.fit_intercept)
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
        averages = self._averages(start.in_batches)
        require_training_memory(start.samples, start.n_networks * self.width, self.n_features_in_, averages=averages)
        self._fitted_width = self.width
        folds = start.folds
        stops = folds is not None and (not start.calibrates or self._stops_early(leaves_out=True))
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


def as_taken(rows):
    """Return the rows of a block that weigh something, contiguous as compiled code takes them."""
    rows = rows.that_weigh_something()
    return rows._replace(X=np.ascontiguousarray(rows.X))


class TooAlike(ValueError):
    """Rows are so alike that a network would have none to train on, or to be stopped by."""


def require_rows_of_networks(folds, n_rows):
    """Raise TooAlike unless each network has rows to train on, and rows that it leaves out."""
    if folds is None or all((chosen @ n_rows > 0).all() for chosen in (folds.trains, folds.leaves_out)):
        return
    raise TooAlike(
        f"of {int(n_rows.sum())} rows that weigh something so many are equal that a network would have none to train "
        "on, or to be stopped by: lower cv, or set cv=None, early_stopping=False and a number for alpha."
    )
