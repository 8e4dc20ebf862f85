"""Learning an even polynomial by stochastic gradient descent, test loss against width and steps beside the theorem.

python -m benchmarks.even_polynomials [--seeds 3]
"""

import argparse

import numpy as np
from scipy.special import eval_gegenbauer

from benchmarks.common import rounded, write_table
from sksparsenn import SparseShiftedReLURegressor
from sksparsenn.ntk import expected_firing_fraction, shifted_ntk_kernel

D = 4
TEST_ROWS = 20_000
SERIES = {
    "width": [{"m": 1 << k} for k in range(6, 15)],
    "steps": [{"steps": 1 << k} for k in range(6, 16)],
    "shift": [{"m": 1 << k, "shift": 1.5} for k in range(6, 15)],
    "output scale": [{"output_scale": B} for B in (1.0, 10.0, 100.0, 1000.0)],
}
FIXED = {"m": 1 << 13, "steps": 1 << 14, "shift": "auto", "output_scale": 100.0}


def sphere(rng, n):
    X = rng.standard_normal((n, D))
    return X / np.linalg.norm(X, axis=1, keepdims=True)


def polynomial(X):
    """A harmonic of degree 2 and one of degree 4, each with half of the variance; the variance is 1."""
    quadratic = np.sqrt(D * (D + 2)) * X[:, 0] * X[:, 1]
    quartic = np.sqrt(D * (D + 2) * (D + 4) * (D + 6)) * X[:, :4].prod(axis=1)
    return (quadratic + quartic) / np.sqrt(2)


def kernel_norm(shift):
    """The norm of the polynomial in the space of the tangent kernel, from the kernel's eigenvalues (Funk and Hecke)."""
    nodes, weights = np.polynomial.legendre.leggauss(400)
    angles = (nodes + 1) * np.pi / 2
    t = np.cos(angles)
    values = shifted_ntk_kernel([[1.0, 0.0]], np.column_stack([t, np.sin(angles)]), shift=shift)[0]
    weights = weights * np.sin(angles) ** (D - 2)
    squares = 0.0
    for degree in (2, 4):
        order = (D - 2) / 2
        harmonic = eval_gegenbauer(degree, order, t) / eval_gegenbauer(degree, order, 1.0)
        squares += 0.5 / (weights @ (values * harmonic) / weights.sum())
    return np.sqrt(squares)


def measure(series, m, steps, shift, output_scale, *, batch_size, seeds):
    b = float(np.sqrt(0.4 * np.log(2 * m))) if shift == "auto" else shift
    norm, share = kernel_norm(b), expected_firing_fraction(b)
    rate = norm / np.sqrt(steps * share)
    losses, models = {"mean": [], "random": []}, []
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        X, X_test = sphere(rng, steps * batch_size), sphere(rng, TEST_ROWS)
        for average in losses:
            model = SparseShiftedReLURegressor(
                2 * m, shift=shift, solver="sgd", loss="absolute_error", alpha=0.0, output_scale=output_scale,
                init="paired", learning_rate=rate / output_scale**2, momentum=0.0, batch_size=batch_size, max_iter=1,
                average=average, fit_intercept=False, random_state=seed,
            ).fit(X, polynomial(X))  # fmt: skip
            losses[average].append(np.abs(model.predict(X_test) - polynomial(X_test)).mean())
            models.append(model)
    samples = steps * batch_size
    row = {
        "series": series, "m": m, "steps": steps, "output_scale": output_scale, "shift": rounded(b),
        "kernel norm": rounded(norm),
        "loss, mean iterate": rounded(np.mean(losses["mean"])),
        "loss, random iterate": rounded(np.mean(losses["random"])),
        "theorem": rounded(norm / np.sqrt(m * D) + norm * np.sqrt(share / steps)),
        "neurons firing": rounded(2 * m * np.mean([model.firing_fraction_curve_[0] for model in models])),
        "neurons evaluated": rounded(np.mean([model.pairs_evaluated_curve_[0] for model in models]) / samples),
    }  # fmt: skip
    print(row, flush=True)
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    rows = [
        measure(name, **(FIXED | point), batch_size=arguments.batch_size, seeds=arguments.seeds)
        for name, points in SERIES.items()
        for point in points
    ]
    write_table("even_polynomials", rows)


if __name__ == "__main__":
    main()
