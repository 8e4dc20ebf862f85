"""Warm starts: whether a fit goes on from the last one, with which weights, and what it leaves for the next."""

from sksparsenn._network.network import Network
from sksparsenn._samples.points import padded_rows
from sksparsenn._training.resuming import fingerprint, remember

# Parameters that may change between fits of which the second takes up the training of the first.
FREE_TO_CHANGE = {"max_iter", "tol", "n_iter_no_change", "random_state", "verbose", "warm_start"}


class WarmStart:
    """The methods by which an estimator takes up its last training, and a stream its last part."""

    def _continues(self):
        """Return whether this fit goes on from the last one."""
        return self.warm_start and hasattr(self, "hidden_weights_")

    def _network_so_far(self, start, activation, memory, place, stream):
        """Return the network of the last fit in that place of the committee, and the weights that the ridge pulls to.

        A stream goes on with the neurons of all networks as with one network.
        """
        n_outputs, n_networks, before = self.output_weights_.shape[1], start.n_networks, self.n_members_
        fits = (self._fitted_width, n_outputs) == (self.width, start.y.shape[1])
        if not fits or (before != n_networks and not stream):
            networks = "a network" if before == 1 else f"{before} networks"
            raise ValueError(
                f"training goes on from {networks} of width {self._fitted_width} with {n_outputs} outputs, "
                f"but width={self.width} and y asks for {start.y.shape[1]}{_of_several(n_networks)}; "
                "set warm_start=False and call fit to start anew."
            )
        output_scale = self._scale if stream else float(self.output_scale)
        dtype, size = start.samples.dtype, len(self.hidden_weights_) // n_networks
        mine = slice(place * size, (place + 1) * size)
        weights = memory.get("weights", self.hidden_weights_[mine]).astype(dtype)
        signs = self.output_weights_[mine].astype(dtype)
        anchor = padded_rows(self.initial_weights_[mine].astype(dtype))
        return Network(padded_rows(weights), signs, *activation, output_scale), anchor

    def _training_key(self, *data):
        """Return a key of this data and these parameters, but for those that are free to change."""
        if not self.warm_start:
            return ""
        parameters = self.get_params(deep=False)
        del parameters["cv"]  # the folds that it led to are among the data; itself may be a generator
        if not parameters.get("linear_part"):  # the same without as of a version that did not have it
            parameters.pop("linear_part", None)
        return fingerprint(data, {name: value for name, value in parameters.items() if name not in FREE_TO_CHANGE})

    def _memory(self, start, trainings, kept):
        """Return what a later fit needs to go on exactly where this one stopped."""
        members = []
        for training, weights in zip(trainings, kept, strict=True):
            memory, last = {}, training.weights
            if weights is not last:
                memory["weights"] = last[:, : training.member.samples.n_features].copy()
            parts = training.state, *training.parts, training.early_stopping
            if self.stop_reason_ == "max_iter" != training.state.stop_reason:  # it has ended, but others go on
                memory["ended"] = training.state.stop_reason
            members.append(memory | remember(*parts, random_state=training.member.random_state))
        memory = {"key": start.key, "members": members}
        if hasattr(self, "_split_seed"):
            memory["split_seed"] = self._split_seed
        return memory


def _of_several(n_networks):
    """Return how many networks there are to train, for a message, if there are several."""
    return f", and {n_networks} networks are to be trained" if n_networks > 1 else ""
