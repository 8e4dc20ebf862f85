"""
Bayesian optimisation
=====================

Find the least value of an expensive function in few evaluations.  A committee is the surrogate: where it expects most
to improve on the best value so far, by its mean and standard deviation, the function is evaluated next.  Random search
begins with the same places, and has the same number of evaluations.
"""

import numpy as np
from scipy.optimize import minimize
from scipy.stats import norm

from sksparsenn import SketchedGaussNewtonRegressor


def branin(x):
    """The function of Branin and Hoo on [-5, 10] x [0, 15]; its least value is 0.398, at three places."""
    first, second = x.T
    bowl = (second - 5.1 / (4 * np.pi**2) * first**2 + 5 / np.pi * first - 6) ** 2
    return bowl + 10 * (1 - 1 / (8 * np.pi)) * np.cos(first) + 10


LOW, HIGH, LEAST = np.array([-5.0, 0.0]), np.array([10.0, 15.0]), 0.397887
BEGINNING, EVALUATIONS, CANDIDATES = 12, 40, 2000


def expected_improvement(model, x, best):
    """How much lower than the best value so far the function is expected to be; zero where it is higher for sure."""
    mean, std = model.predict(x, return_std=True)
    z = (best - mean) / std
    return (best - mean) * norm.cdf(z) + std * norm.pdf(z)


def optimise(seed):
    """The values in the order in which the function was evaluated."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(LOW, HIGH, (BEGINNING, 2))
    y = branin(x)
    while len(y) < EVALUATIONS:
        # A logarithm tames the steep sides of the function.
        model = SketchedGaussNewtonRegressor(random_state=0).fit(x, np.log(y))
        places = rng.uniform(LOW, HIGH, (CANDIDATES, 2))
        place = places[np.argmax(expected_improvement(model, places, np.log(y.min())))]
        # Every other time, go down the surrogate from the best place: its gradient is exact.
        if len(y) % 2:
            found = minimize(
                lambda x, model=model: (model.predict(x[None])[0], model.predict_gradient(x[None])[0]),
                x[np.argmin(y)] + 0.01 * rng.standard_normal(2), jac=True, bounds=list(zip(LOW, HIGH, strict=True)),
            )  # fmt: skip
            place = found.x
        x, y = np.append(x, [place], axis=0), np.append(y, branin(place[None]))
    return y


SEEDS = range(3)
ours = np.array([np.minimum.accumulate(optimise(seed)) for seed in SEEDS]) - LEAST
drawn = [branin(np.random.default_rng(seed).uniform(LOW, HIGH, (EVALUATIONS, 2))) for seed in SEEDS]
random = np.array([np.minimum.accumulate(values) for values in drawn]) - LEAST
for name, regret in (("surrogate", ours), ("random search", random)):
    print(
        f"{name}: after {EVALUATIONS} evaluations {np.median(regret[:, -1]):.2g} above the least value, in the median"
    )

# %%
# How far the best value so far is above the least one, in the median of three runs, and the range of these.

try:
    import matplotlib.pyplot as plt
except ImportError:
    print("no plot was made: matplotlib is not installed")
else:
    fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
    number = np.arange(1, EVALUATIONS + 1)
    for name, regret in (("surrogate", ours), ("random search", random)):
        ax.plot(number, np.median(regret, axis=0), label=name)
        ax.fill_between(number, regret.min(axis=0), regret.max(axis=0), alpha=0.2, linewidth=0)
    ax.axvline(BEGINNING, color="0.6", linestyle=":")
    ax.annotate("from here on by the surrogate", (BEGINNING, 0.02), (4, 0), xycoords=("data", "axes fraction"),
                textcoords="offset points", va="bottom", color="0.4")  # fmt: skip
    ax.set(yscale="log", xlabel="evaluations", ylabel="best value so far, above the least")
    ax.legend(frameon=False)
    fig.savefig("bayesian_optimisation.png", dpi=120)
    print("the plot is in bayesian_optimisation.png")
