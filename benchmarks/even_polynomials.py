"""Learning an even polynomial by stochastic gradient descent: test loss against width and steps, beside the theorem.

python -m benchmarks.even_polynomials [--seeds 2]

Theorem 1.5 of Qin, Song and Yang (2023): with a loss of slope at most 1, Algorithm 1 comes as close as
wanted to the best even polynomial.  Behind it stands their Theorem 5.6, for inputs uniform on the sphere

    E[loss] <= norm / sqrt(m d) + norm sqrt(Q / T),

with m pairs of neurons, d features, T steps of size norm / sqrt(T Q), and `norm` that of the polynomial in
the space of the tangent kernel.  (Q, the share of the neurons that fire, stands for the bound C^2 = 1 of the
theorem in its second term, where only the squared length of the features is used, whose mean it is.)

Here d = 4, and the polynomial has a part of degree 2 and one of degree 4, each of variance 1/2 on the
sphere; predicting zero has a loss of 0.73.  The network is trained as the theorem says: paired start,
absolute error, that step size over output_scale^2, no momentum, no ridge, the shift sqrt(0.4 ln(neurons)),
and batches from as many new samples as are drawn.  Columns:

- loss, mean iterate: absolute error, on new samples, of the mean of the weights over all steps;
- loss, random iterate: the expected loss of the weights after a random step, which the theorem bounds,
  measured as the mean loss of the batches before the steps that they lead to.  Batches are drawn with
  replacement, so a third of the rows has been seen before, which flatters it while steps are large;
- width term, steps term: the two terms of the bound.

What the committed table shows.  Both losses fall with the width and with the steps, as the theorem says,
and stay below its bound by a factor of 4 to 11.  They fall more slowly than the two terms: exponents fitted
to whole series are -0.32 (mean) and -0.27 (random) in the width, where the width term has -0.42, and the
same in the steps, where the steps term has -0.5.  Series start close to the loss of predicting zero, and
end where the other term holds them up; in between (64 to 1,024 neurons, 512 to 8,192 steps) the mean
iterate falls with -0.38 and -0.39.  The width term itself has not the -1/2 that the theorem's O(M)
suggests: the shift grows with the width, and with it the norm of the same polynomial.  With a fixed shift it
has, while the share of firing neurons no longer falls.  A large output scale, which the theorem needs, is
not the best one: beyond 100 the loss changes little, and at 10, where neurons move further, it is lower.
"""

import numpy as np
from scipy.special import eval_gegenbauer

from benchmarks.common import argument_parser, exponents, rounded
from benchmarks.figures import legend_below, lines, panels
from benchmarks.tables import write_table
from sksparsenn import SparseShiftedReLURegressor
from sksparsenn.ntk import expected_firing_fraction, shifted_ntk_kernel

D = 4
TEST_ROWS = 20_000
FIXED = {"neurons": 1 << 12, "steps": 1 << 13, "shift": "auto", "output_scale": 100.0}
# What changes in each series, and along which column exponents are fitted.
SERIES = {
    "width": ("neurons", [{"neurons": 1 << k} for k in (6, 8, 10, 12, 14)]),
    "width, shift 1.5": ("neurons", [{"neurons": 1 << k, "shift": 1.5} for k in (6, 8, 10, 12)]),
    "steps": ("steps", [{"steps": 1 << k} for k in (5, 7, 9, 11, 13, 15)]),
    "output scale": (None, [{"output_scale": B} for B in (1.0, 10.0, 1000.0)]),
}
FITTED = "loss, mean iterate", "loss, random iterate", "width term", "steps term", "neurons firing"


def sphere(rng, n):
    X = rng.standard_normal((n, D))
    return (X / np.linalg.norm(X, axis=1, keepdims=True)).astype(np.float32)


def polynomial(X):
    """A harmonic of degree 2 and one of degree 4, each with half of the variance, which is 1 altogether."""
    quadratic = np.sqrt(D * (D + 2)) * X[:, 0] * X[:, 1]
    quartic = np.sqrt(D * (D + 2) * (D + 4) * (D + 6)) * X[:, :4].prod(axis=1)
    return (quadratic + quartic) / np.sqrt(2)


def kernel_norm(shift):
    """The norm of the polynomial in the space of the tangent kernel.

    A harmonic of degree l is an eigenfunction of any kernel k(<x, y>) on the sphere; its
    eigenvalue is the mean of k times the Gegenbauer polynomial of degree l (Funk and Hecke).
    """
    nodes, weights = np.polynomial.legendre.leggauss(400)
    angles = (nodes + 1) * np.pi / 2
    rows = np.column_stack([np.cos(angles), np.sin(angles)])
    kernel = shifted_ntk_kernel([[1.0, 0.0]], rows, shift=shift)[0]
    weights = weights * np.sin(angles) ** (D - 2)
    square = 0.0
    for degree in (2, 4):
        harmonic = eval_gegenbauer(degree, D / 2 - 1, rows[:, 0]) / eval_gegenbauer(degree, D / 2 - 1, 1.0)
        square += 0.5 / (weights @ (kernel * harmonic) / weights.sum())
    return np.sqrt(square)


def measure(series, neurons, steps, shift, output_scale, *, batch_size, seeds):
    b = float(np.sqrt(0.4 * np.log(neurons))) if shift == "auto" else shift
    norm, share = kernel_norm(b), expected_firing_fraction(b)
    rate = norm / np.sqrt(steps * share)
    test, on_the_way, firing = [], [], []
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        X, X_test = sphere(rng, steps * batch_size), sphere(rng, TEST_ROWS)
        model = SparseShiftedReLURegressor(
            neurons, shift=shift, solver="sgd", loss="absolute_error", alpha=0.0, output_scale=output_scale,
            init="paired", learning_rate=rate / output_scale**2, momentum=0.0, batch_size=batch_size, max_iter=1,
            average="mean", linear_part=False, cv=None, fit_intercept=False, random_state=seed,
        ).fit(X, polynomial(X))  # fmt: skip
        test.append(np.abs(model.predict(X_test) - polynomial(X_test)).mean())
        on_the_way.append(model.loss_curve_[0] * np.sqrt(np.mean(polynomial(X) ** 2)))
        firing.append(neurons * model.firing_fraction_curve_[0])
    row = {
        "series": series, "neurons": neurons, "steps": steps, "output scale": output_scale, "shift": rounded(b),
        "kernel norm": rounded(norm),
        "loss, mean iterate": rounded(np.mean(test)),
        "loss, random iterate": rounded(np.mean(on_the_way)),
        "width term": rounded(norm / np.sqrt(neurons / 2 * D)),
        "steps term": rounded(norm * np.sqrt(share / steps)),
        "neurons firing": rounded(np.mean(firing)),
    }  # fmt: skip
    print(row, flush=True)
    return row


def figure(rows):
    """A panel for each series."""
    found = list(dict.fromkeys(row["series"] for row in rows))
    fig, axes = panels(1, len(found), width=3.8)
    for ax, series in zip(axes[0], found, strict=True):
        points = [row for row in rows if row["series"] == series and "exponent" not in row.values()]
        along = SERIES[series][0] or "output scale"
        curves = {name: name for name in FITTED[:4]}
        lines(ax, points, along, curves, y_label="absolute error, or bound on it", legend=False)
        fixed = {"neurons", "steps", "output scale"} - {along}
        ax.set_title(f"{series}\n" + ", ".join(f"{name} {points[0][name]:,.0f}" for name in sorted(fixed)))
    legend_below(fig, axes[0, 0], 4)
    return fig


TABLES = {"even_polynomials": figure}


def main(arguments=None):
    parser = argument_parser(__spec__, __doc__)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--series", nargs="*", choices=list(SERIES), default=list(SERIES))
    arguments = parser.parse_args(arguments)
    table = []
    for name in arguments.series:
        along, points = SERIES[name]
        rows = [
            measure(name, **(FIXED | point), batch_size=arguments.batch_size, seeds=arguments.seeds) for point in points
        ]
        table += rows if along is None else [*rows, exponents(rows, along, FITTED) | {"series": name}]
    write_table("even_polynomials", table, arguments, figure)


if __name__ == "__main__":
    main()
