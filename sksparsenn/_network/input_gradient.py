"""How the outputs of a network change with its input: exact gradients, over the neurons that fire.

A neuron that fires on a sample adds a_r (<w_r, x> - shift) to the output, so a_r w_r to its gradient in x; where some
<w_r, x> equals the threshold the network has a kink, and this is the gradient without that neuron.
"""

import numpy as np
from scipy.sparse import csr_array

# Samples taken at a time: even if every neuron fired, the pairs would take some hundred megabytes.
PAIRS_AT_ONCE = 1 << 25


def input_gradients(network, samples):
    """Return the gradients of f at dense samples on the sphere, of shape (n_samples, n_outputs, n_features)."""
    n_outputs, n_features = network.signs.shape[1], samples.n_features
    gradients = np.empty((len(samples), n_outputs, n_features))
    rows = max(1, PAIRS_AT_ONCE // len(network.weights))
    weights = network.weights[:, :n_features].astype(np.float64)
    for start in range(0, len(samples), rows):
        chunk = samples[start : start + rows]
        fires = _pattern(network.firing(chunk), len(network.weights), len(chunk))
        for output in range(n_outputs):
            signed = network.scale * network.signs[:, output, None].astype(np.float64) * weights
            gradients[start : start + rows, output] = fires.T @ signed
    return gradients


def _pattern(firing, width, n_samples):
    """Return the matrix of who fires on what, of zeros and ones, a row for each neuron."""
    indptr, numbers = firing.pairs()
    indptr = np.concatenate([indptr, np.full(width + 1 - len(indptr), indptr[-1])])
    return csr_array((np.ones(len(numbers)), numbers, indptr), shape=(width, n_samples))
