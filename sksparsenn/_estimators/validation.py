"""Rows that a network does not train on, held out of all rows or left out by folds: which they are, what they stop."""

from numbers import Integral

import numpy as np
from sklearn.utils import check_random_state

from sksparsenn._estimators.committee import joined
from sksparsenn._estimators.folds import checked_groups, given_folds, make_folds
from sksparsenn._estimators.held_out import checked_samples, checked_targets, split
from sksparsenn._estimators.start import Validation
from sksparsenn._search.choice import make_validation_search
from sksparsenn._training.early_stopping import EarlyStopping, HeldOutRows
from sksparsenn._utils.range import aligned_table


class Validating:
    """The methods by which an estimator keeps rows from networks, and stops training by them."""

    def _hold_out(self, rows, given, memory, *, splits):
        """Return the rows to train on, without those that weigh nothing, and rows to validate on.

        The latter are the user's own, or a part of the rows if it `splits`, or None.
        """
        vars(self).pop("_split_seed", None)
        held_out, used = self._given_to_validate(given), rows.that_weigh_something()
        if held_out is None and splits and self._stops_early(leaves_out=False):
            return split(used, self.validation_fraction, self._seed_of_split(memory), self._target_kind.stratifies)
        return used, held_out

    def _given_to_validate(self, given):
        """Return the user's own rows to validate on, checked, or None."""
        X_val, y_val, sample_weight_val = given
        if X_val is not None or y_val is not None:
            if X_val is None or y_val is None:
                missing = "y_val" if y_val is None else "X_val"
                raise ValueError(f"{missing} is missing: X_val and y_val have to be given together.")
            if self.early_stopping is False:
                raise ValueError("X_val is given, but early_stopping=False; set early_stopping to 'auto' or True.")
            X = checked_samples(self, X_val, self.n_features_in_)
            y = checked_targets(y_val, X.shape[0], "multi_output" in self._target_kind.checks)
            rows = self._weighted(aligned_table(X), y, sample_weight_val, "sample_weight_val")
            return rows.that_weigh_something()
        if sample_weight_val is not None:
            raise ValueError("sample_weight_val is given without X_val and y_val.")
        return None

    def _stops_early(self, leaves_out):
        """Return whether rows that are held out, or left out, stop training."""
        on_path = self.alpha == "auto"
        if self.early_stopping is False and on_path:
            raise ValueError(
                "alpha='auto' takes the ridge that is best on rows held out, but early_stopping=False; "
                "set early_stopping to 'auto' or give a number for alpha."
            )
        return self.early_stopping is True or (self.early_stopping == "auto" and (on_path or leaves_out))

    def _seed_of_split(self, memory):
        """Return the seed by which rows are held out, that of the training that this one goes on from if it has one."""
        seed = memory.get("split_seed")
        self._split_seed = check_random_state(self.random_state).randint(2**31 - 1) if seed is None else seed
        return self._split_seed

    def _make_folds(self, cv, rows, weights, groups, targets, memory):
        """Return the `Folds` of all rows, or None if none are left out.

        `weights` are those in the objective, of rows that weigh something.
        """
        if cv is None:
            if groups is not None:
                raise ValueError("groups are given, but cv=None leaves no rows out: set cv to 'auto' or a number.")
            return None
        groups = None if groups is None else checked_groups(groups, rows.X)
        everywhere = rows.weights.copy()
        everywhere[rows.weights > 0] = weights
        rows = rows._replace(weights=everywhere)
        if isinstance(cv, str | Integral):
            classes = getattr(targets, "classes", None)
            return make_folds(cv, *rows, groups, classes=classes, seed=self._seed_of_split(memory))
        return given_folds(cv, *rows, groups)

    def _validation(self, start, place, linear_part):
        """Return the `Validation` rows that stop a network: the user's, or those that it leaves out."""
        rows, targets, dtype = start.held_out, start.targets, start.samples.dtype
        if rows is None:
            out = start.rows_left_out(place)
            X, encoded, weights = start.table.X[out], start.table.encoded[out], start.table.weights[out]
            samples = start.samples[out]
        else:
            X, encoded, weights = rows.X, targets.encode(rows.y, "y_val"), targets.balanced(rows.y, rows.weights)
            if encoded.shape[1] != start.y.shape[1]:
                raise ValueError(f"y_val has {encoded.shape[1]} outputs, but y has {start.y.shape[1]}.")
            samples = self._lift()(X, dtype)
        offsets = None if linear_part is None else linear_part.outputs(X, dtype)
        return Validation(samples, encoded, weights, offsets, are_fold=rows is None)

    def _make_early_stopping(self, validation, targets, network, in_batches):
        """Return what stops the training of a network by its score on rows that it does not train on."""
        if validation is None:
            return None
        samples, encoded, weights, offsets, are_fold = validation
        search = make_validation_search(samples, network.weights, network.threshold, in_batches=in_batches)
        score, mean_loss = targets.scorer(encoded, weights, are_fold), targets.mean_loss(encoded, weights)
        held_out = HeldOutRows(search, score, offsets, mean_loss)
        return EarlyStopping(held_out, targets.perfect_score, self.tol, self.n_iter_no_change)

    def _store_validation(self, trainings):
        """Store what early stopping saw, if it was used; else no such attributes."""
        for name in ("validation_scores_", "best_iteration_", "best_validation_score_"):
            vars(self).pop(name, None)
        found = [training.early_stopping for training in trainings]
        if found[0] is not None:
            self.validation_scores_ = joined([np.array(stopping.scores) for stopping in found], "mean")
            best = np.array([stopping.best_iteration for stopping in found])
            self.best_iteration_ = best if len(found) > 1 else int(best[0])
            self.best_validation_score_ = float(np.mean([stopping.best_score for stopping in found]))
