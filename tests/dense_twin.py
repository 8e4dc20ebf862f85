"""Training written the obvious way: dense NumPy matrices, every pair of neuron and sample computed.

Slow, short, and independent of the package but for the random numbers, which are drawn in
the same order, and for the order that neurons are then put into.  Steps are of fixed size here; the
automatic one has its own tests.
"""

import numpy as np

from sksparsenn._samples.order import order_by_halving

LOSS_DERIVATIVES = {
    "squared_error": lambda r: r,
    "huber": lambda r: np.clip(r, -1.0, 1.0),
    "absolute_error": np.sign,
}
LOSS_VALUES = {
    "squared_error": lambda r: 0.5 * r**2,
    "huber": lambda r: np.where(np.abs(r) <= 1.0, 0.5 * r**2, np.abs(r) - 0.5),
    "absolute_error": np.abs,
}


def lifted(X, shares, scaling=1.0):
    """Centred rows with a constant coordinate, divided by their length."""
    centre = shares @ X
    length = np.sqrt(shares @ ((X - centre) ** 2).sum(axis=1))
    rows = np.hstack([X - centre, np.full((len(X), 1), scaling * length)])
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def standardised(y, shares):
    mean = shares @ y
    return (y - mean) / np.sqrt(shares @ (y - mean) ** 2)


def activation(W, X, shift, threshold):
    """(<w_r, x_i> - shift) where <w_r, x_i> > threshold, and the 0/1 pattern; both (width, n)."""
    z = W @ X.T
    fires = z > threshold
    return np.where(fires, z - shift, 0.0), fires


def outputs(W, signs, X, shift, threshold, scale):
    return scale * activation(W, X, shift, threshold)[0].T @ signs


def gradient(W, signs, X, y, shares, shift, threshold, scale, loss):
    f = outputs(W, signs, X, shift, threshold, scale)
    fires = activation(W, X, shift, threshold)[1]
    pull = shares[:, None] * LOSS_DERIVATIVES[loss](f - y)
    value = float(shares @ LOSS_VALUES[loss](f - y).sum(axis=1))
    return value, scale * (fires * (signs @ pull.T)) @ X


def train(
    X, y, *, width, shift, threshold, solver, loss, alpha, output_scale, learning_rate, momentum, nesterov, batch_size,
    steps, seed, init="paired", sample_weight=None,
):  # fmt: skip
    """Weights after the given number of steps, and the loss before each."""
    y = y.reshape(len(y), -1)
    weight = np.ones(len(X)) if sample_weight is None else sample_weight
    shares = weight / weight.sum()
    inputs, targets = lifted(X, shares), standardised(y, shares)
    if solver == "sgd":
        order = np.lexsort([*y.T, *X.T])
        inputs, targets, shares = inputs[order], targets[order], shares[order]
    random_state = np.random.RandomState(seed)
    drawn = width // 2 if init == "paired" else width
    W = random_state.standard_normal((drawn, inputs.shape[1]))
    signs = random_state.choice([-1.0, 1.0], size=(drawn, y.shape[1]))
    similar = order_by_halving(W)
    W, signs = W[similar], signs[similar]
    if init == "paired":
        odd = width % 2  # one neuron without a partner, which never fires
        W = np.vstack([W, np.zeros((odd, W.shape[1])), W])
        signs = np.vstack([signs, np.ones((odd, y.shape[1])), -signs])
    start, velocity, scale, losses, ridge = W.copy(), np.zeros_like(W), output_scale / np.sqrt(width), [], None
    for _ in range(steps):
        batch, batch_shares = np.arange(len(inputs)), shares
        if solver == "sgd":
            drawn = np.searchsorted(np.cumsum(shares), random_state.uniform(size=batch_size) * np.cumsum(shares)[-1])
            batch, times = np.unique(drawn, return_counts=True)
            batch_shares = times / batch_size
        if ridge is None:
            diagonal = scale**2 * activation(W, inputs[batch], shift, threshold)[1].sum(axis=0)
            ridge = alpha * (batch_shares @ diagonal) / weight.sum()
        value, g = gradient(W, signs, inputs[batch], targets[batch], batch_shares, shift, threshold, scale, loss)
        losses.append(value + 0.5 * ridge * ((W - start) ** 2).sum())
        g = g + ridge * (W - start)
        velocity = momentum * velocity - learning_rate * g
        W = W + (momentum * velocity - learning_rate * g if nesterov else velocity)
    return W, np.array(losses)
