"""What a fitted estimator computes: rows checked and lifted, and outputs of the network that its attributes describe.

Nothing is kept from one prediction to the next but a tree over the neurons of a wide network.  The weights that it
belongs to are an array of which nobody can change a number; others in their place are scanned.
"""

import numpy as np
from sklearn.utils.validation import check_is_fitted, validate_data

from sksparsenn._estimators import linear
from sksparsenn._estimators.committee import members_of, of_single_network
from sksparsenn._network.network import Network, are_few
from sksparsenn._samples.lift import Lift, Standardiser
from sksparsenn._samples.points import padded_rows
from sksparsenn._search.neuron_tree import (
    NeuronTree,
    is_unchangeable,
    may_pay,
    order_worth_storing,
    unchangeable,
)
from sksparsenn._utils.range import aligned, aligned_table

# Rows that are lifted and predicted at a time, a multiple of those that the lift takes at a time.
ROWS_AT_ONCE = 1 << 17

# Tables up to this size are looked at here before scikit-learn checks them, which takes longer than a prediction.
FEW_ENTRIES = 1 << 12


class FittedNetwork:
    """The methods of an estimator that compute with what a fit has stored."""

    _neuron_order = None
    """With a tree over the neurons: the order of its leaves."""

    _neuron_tree = None
    """The tree, once a prediction has needed it."""

    # -- the tree over the neurons --------------------------------------------------------

    def _store_tree(self, start):
        """Store the order of a tree over the neurons, where that pays on samples of the fit; else nothing."""
        self._forget_tree()
        if not may_pay(len(self.hidden_weights_)):
            return
        order = order_worth_storing(self.hidden_weights_, self.threshold_, start.probes())
        if order is not None:
            self._neuron_order, self.hidden_weights_ = order, unchangeable(self.hidden_weights_)

    def _forget_tree(self):
        for name in ("_neuron_order", "_neuron_tree"):
            vars(self).pop(name, None)

    def _tree(self):
        """Return the tree over the neurons of this moment; None where none was stored or other weights were set."""
        weights, tree = self.hidden_weights_, self._neuron_tree
        if tree is not None and tree.weights is weights:
            return tree
        if self._neuron_order is None or len(self._neuron_order) != len(weights) or not is_unchangeable(weights):
            return None
        # Any order gives the right answers: weights that come from elsewhere but cannot change either are as good.
        self._neuron_tree = NeuronTree(weights, self._neuron_order)
        return self._neuron_tree

    def __getstate__(self):
        """Return what is pickled: arrays and numbers, without the tree that can be made again from them."""
        state = {name: value for name, value in super().__getstate__().items() if name != "_neuron_tree"}
        if "_neuron_order" in state and not is_unchangeable(state.get("hidden_weights_")):
            del state["_neuron_order"]  # of other weights
        return state

    def __setstate__(self, state):
        """Restore a pickled estimator, also of version 0.1, when all were single networks."""
        state = state if "cv" in state else of_single_network(state)
        if "_neuron_order" in state:
            state = state | {"hidden_weights_": unchangeable(state["hidden_weights_"])}
        super().__setstate__(state)

    # -- from attributes to objects -------------------------------------------------------

    def _lift(self):
        return Lift(aligned(self._centre), self._constant, self._spread)

    def _units(self):
        return Standardiser(self._target_mean, self._target_scale)

    def _network(self):
        """Return the network, with padded weights."""
        return self._network_with(padded_rows(self.hidden_weights_))

    def _network_for(self, samples):
        """Return the network with weights as outputs for these samples take them: as they are, for few."""
        if not are_few(samples):
            return self._network()
        weights = self.hidden_weights_
        ready = weights.flags.c_contiguous and weights.flags.aligned
        return self._network_with(weights if ready else np.array(weights, order="C"))

    def _network_with(self, weights):
        return Network(weights, aligned(self.output_weights_), self.shift_, self.threshold_, self._scale)

    # -- predictions ----------------------------------------------------------------------

    def _require_fitted(self):
        """Raise NotFittedError unless the estimator has been fitted."""
        if "hidden_weights_" not in vars(self):
            check_is_fitted(self)

    def _checked(self, X):
        """Return rows of X to predict, checked."""
        if self._needs_no_check(X):
            return X
        with np.errstate(over="ignore", invalid="ignore"):  # checks may overflow where numbers do not
            return aligned_table(validate_data(self, X, reset=False, **self._input_checks(X)))

    def _needs_no_check(self, X):
        """Return whether X is a small table in which checks of scikit-learn find nothing to say or to convert."""
        return (
            type(X) is np.ndarray
            and X.ndim == 2
            and (X.dtype == np.float64 or X.dtype == np.float32)
            and 0 < X.size <= FEW_ENTRIES
            and X.shape[1] == self.n_features_in_
            and X.flags.c_contiguous
            and X.flags.aligned
            and not hasattr(self, "feature_names_in_")  # scikit-learn warns that X has none
            and bool(np.isfinite(X).all())
        )

    def _network_outputs(self, X):
        """Return the outputs in the units of the network; nothing here calls BLAS, whose threads would change bits."""
        X = self._checked(X)
        n_rows = X.shape[0]
        if n_rows <= ROWS_AT_ONCE:
            return self._outputs_of_rows(X)
        outputs = np.empty((n_rows, self.output_weights_.shape[1]), self.hidden_weights_.dtype)
        for start in range(0, n_rows, ROWS_AT_ONCE):
            rows = slice(start, start + ROWS_AT_ONCE)
            outputs[rows] = self._outputs_of_rows(X[rows])
        return outputs

    def _outputs_of_rows(self, X):
        """Return the outputs for checked rows, few enough to be lifted at a time."""
        linear_part = linear.mean_part_of(self)
        samples = self._lift()(X, self.hidden_weights_.dtype)
        tree = self._tree() if are_few(samples) else None
        network = self._network_for(samples)
        outputs = network.outputs(samples) if tree is None else tree.outputs(network, samples)
        return outputs if linear_part is None else outputs + linear_part.outputs(X, outputs.dtype)

    def _outputs_where(self, wanted, X):
        """Return the outputs of each network for some of the rows, NaN for others."""
        if wanted.all():
            return self._outputs_of_networks(X)
        known = self._outputs_of_networks(X[wanted])
        outputs = np.full((len(known), len(wanted), known.shape[2]), np.nan, known.dtype)
        outputs[:, wanted] = known
        return outputs

    def _outputs_of_networks(self, X):
        """Return the outputs of each network of a committee, for checked rows."""
        samples, outputs = self._lift()(X, self.hidden_weights_.dtype), []
        parts = linear.parts_of(self) or [None] * self.n_members_
        networks = members_of(self._network_for(samples), self.n_members_)
        for network, linear_part in zip(networks, parts, strict=True):
            own = network.outputs(samples)
            outputs.append(own if linear_part is None else own + linear_part.outputs(X, own.dtype))
        return np.stack(outputs)
