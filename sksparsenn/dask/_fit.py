"""Fits on a cluster: read the partitions where they are, and train with sums over the parts on all workers."""

from contextlib import closing
from functools import partial

import numpy as np
from dask import delayed
from distributed import wait

from sksparsenn._estimators.targets import Labels
from sksparsenn._utils.blas_threads import single_blas_thread
from sksparsenn.dask import _reading as reading
from sksparsenn.dask._cluster import parts_on
from sksparsenn.dask._doors import Doors


class FitOnDask:
    """The method `fit` of estimators whose rows are on a cluster."""

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
        why = self._why_not_in_parts()
        if why is not None:
            raise ValueError(why)
        of_labels, read = self._target_kind is Labels, delayed(reading.checked_rows, pure=False)
        with self._unchanged_on_failure(), single_blas_thread(), parts_on(self.client) as parts:
            parts_of_table = reading.partitions_of(X, y, sample_weight)
            self._note_columns(X)
            partitions = [read(*partition, number, of_labels) for number, partition in enumerate(parts_of_table)]
            rows = parts.join(partitions, reading.is_empty, reading.joined_rows)
            start = self._start_on(parts, rows, partial(held_by_doors, parts))
            with closing(start.parts):
                self._train(start, X, y, sample_weight)
        return self

    def _note_columns(self, X):
        """Store how many features there are, and their names if they have some."""
        vars(self).pop("feature_names_in_", None)
        self.n_features_in_ = X.shape[1]
        names = list(getattr(X, "columns", ()))
        are_text = {isinstance(name, str) for name in names}
        if len(are_text) > 1:
            raise TypeError(f"X has columns named by texts and by others, {names[:5]}: give all of them texts.")
        if are_text == {True}:
            self.feature_names_in_ = np.asarray(names, dtype=object)


def held_by_doors(parts, lifted):
    """Return `Doors` to the parts, and the column of their rows."""
    wait(lifted.values)
    doors = Doors(parts, lifted.values)
    return doors, doors.rows
