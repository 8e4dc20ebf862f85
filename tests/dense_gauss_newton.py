"""Gauss-Newton training written the obvious way: a dense Jacobian, least squares by NumPy, every pair computed.

Independent of the package but for the first weights.  Constants and the rule by which damping adapts are written
out here, so that a change of either in the package is seen.  Inputs are made ready by `dense_twin`.
"""

from types import SimpleNamespace

import dense_twin
import numpy as np

from sksparsenn._network.network import initial_weights

FIRST_DAMPING = 0.1  # in units of the weighted mean of the tangent kernel's diagonal
MOMENTUM = 0.95  # the part of the last step that damping pulls towards
LEFT_AFTER_FAILURE = 0.5  # of that, after one rejected step; nothing after a second in a row


def jacobian(W, signs, X, root, threshold, scale):
    """J of shape (n n_outputs, width d): entry ((i, o), (r, j)) is root_i scale a_ro x_ij if r fires on i, else 0."""
    fires = dense_twin.activation(W, X, 0.0, threshold)[1].astype(float)
    J = scale * np.einsum("i,ro,ri,ij->iorj", root, signs, fires, X)
    return J.reshape(len(X) * signs.shape[1], W.size)


def model(J, residuals, travelled, u, ridge, damping, towards=0.0):
    """What a step u minimises, for residuals r = root (y - f); damping pulls towards some other step."""
    misfit = J @ u - residuals
    extra = ridge * np.sum((travelled + u) ** 2) + damping * np.sum((u - towards) ** 2)
    return 0.5 * misfit @ misfit + 0.5 * extra


def damped_step(J, residuals, travelled, ridge, damping, towards=0.0):
    """The minimiser of `model`, by its normal equations; without ridge and damping the shortest minimiser."""
    if ridge + damping == 0:
        return np.linalg.lstsq(J, residuals, rcond=1e-12)[0]
    matrix = J.T @ J + (ridge + damping) * np.eye(J.shape[1])
    return np.linalg.solve(matrix, J.T @ residuals - ridge * travelled + damping * towards)


def ready(X, y, weight, fit_intercept, intercept_scaling):
    """Samples on the sphere, targets in standard units."""
    shares = weight / weight.sum()
    if fit_intercept:
        return dense_twin.lifted(X, shares, intercept_scaling), dense_twin.standardised(y, shares)
    return X / np.linalg.norm(X, axis=1, keepdims=True), y / np.sqrt(shares @ y**2)


def next_damping(damping, accepted, failures, decrease, predicted):
    """Nielsen's rule (1999), rho being the actual over the predicted decrease of the objective.

    A kept step multiplies damping by max(1/3, 1 - (2 rho - 1)^3); the first, second, third, ... rejected step in a
    row multiplies it by 2, 4, 8, ....
    """
    if not accepted:
        return damping * 2.0**failures
    rho = decrease / predicted
    return damping * max(1 / 3, 1 - (2 * rho - 1) ** 3)


def train(
    X, y, *, width, shift, threshold, alpha, output_scale, damped, max_iter, tol, seed, init="paired",
    sample_weight=None, fit_intercept=True, intercept_scaling=1.0,
):  # fmt: skip
    """The last weights and, for each iteration, the objective before it, the damping, and whether it was kept."""
    y = y.reshape(len(y), -1)
    weight = np.ones(len(X)) if sample_weight is None else sample_weight
    X, y = ready(X, y, weight, fit_intercept, intercept_scaling)
    W, signs = initial_weights(width, X.shape[1], y.shape[1], init, np.random.RandomState(seed), np.float64)
    W = start = W[:, : X.shape[1]]  # without the padding
    root, scale = np.sqrt(weight), output_scale / np.sqrt(width)

    # Ridge and damping are counted in the weighted mean of the diagonal of J J^T, for one output and weights of one.
    fires = dense_twin.activation(W, X, shift, threshold)[1]
    unit = np.average(scale**2 * fires.sum(axis=0) * (X**2).sum(axis=1), weights=weight)
    ridge, damping = alpha * unit, FIRST_DAMPING * unit if damped else 0.0

    def residuals(W):
        return (root[:, None] * (y - dense_twin.outputs(W, signs, X, shift, threshold, scale))).ravel()

    def objective(W):
        return 0.5 * np.sum(residuals(W) ** 2) + 0.5 * ridge * np.sum((W - start) ** 2)

    last, failures = 0.0, 0
    twin = SimpleNamespace(objectives=[], dampings=[], accepted=[], stop_reason="max_iter")
    for _ in range(max_iter):
        J, travelled, before = jacobian(W, signs, X, root, threshold, scale), (W - start).ravel(), objective(W)
        towards = MOMENTUM * last
        u = damped_step(J, residuals(W), travelled, ridge, damping, towards)
        decrease = before - objective(W + u.reshape(W.shape))
        # The undamped model at no step and at this step: what the step should have gained.
        predicted = model(J, residuals(W), travelled, 0 * u, ridge, 0.0)
        predicted -= model(J, residuals(W), travelled, u, ridge, 0.0)
        accepted = bool(decrease > 0 or not damped)
        twin.objectives.append(before)
        twin.dampings.append(damping)
        twin.accepted.append(accepted)
        failures = 0 if accepted else failures + 1
        last = u if accepted else LEFT_AFTER_FAILURE * last * (failures == 1)
        if accepted:
            W = W + u.reshape(W.shape)
        if damped:
            damping = next_damping(damping, accepted, failures, decrease, predicted)
        if accepted and abs(decrease) <= tol * before:
            twin.stop_reason = "tol"
            break
    twin.weights, twin.objective, twin.start = W, objective(W), start
    return twin
