"""Time per exact full-batch step, against torch autograd and the best dense step on NumPy and BLAS.

python -m benchmarks.steps [--data FOLDER] [--width 65536] [--steps 50]

FOLDER holds regression sets as described in `benchmarks.common.load_split`; without it only the
synthetic problem runs.  All in float32, plain gradient descent at the automatic learning rate,
the same weights at the start; the weights after the timed steps are compared.  Of ours, the
first so many steps are timed and the median taken.  The very first are slower than most, since
neurons move fast and use up margins: `--steps 12` shows by how much.

Memory is the peak of a process beyond what it held with the problem in it: of a fit of as many
steps, lists included, and of a first dense step.
"""

import threading

import numpy as np
from sklearn.preprocessing import StandardScaler

from benchmarks.common import (
    NotesTimes,
    argument_parser,
    in_fresh_process,
    load_split,
    measured,
    median_time,
    megabytes,
    rounded,
)
from benchmarks.dense_steps import rivals, step_memory, with_best_chunk
from benchmarks.figures import bars, legend_below, numbers, panels
from benchmarks.tables import write_table
from sksparsenn import SparseShiftedReLURegressor
from sksparsenn._network.network import Network
from sksparsenn._samples.dense import DenseSamples
from sksparsenn._samples.lift import Lift, Standardiser
from sksparsenn._samples.points import padded_rows
from sksparsenn._search.choice import make_search
from sksparsenn._search.sample_nodes import NodeFiring

# Each round times some sparse steps, then one dense step of each rival, so that a machine whose speed drifts
# treats all alike; ratios are taken within a round.
ROUNDS = 5
STEPS = 50
LABELS = {"ours": "ours", "numpy": "NumPy and BLAS", "torch": "torch autograd"}


class TimedRegressor(NotesTimes, SparseShiftedReLURegressor):
    pass


def realistic_table(n=15_000, d=18, seed=0):
    """Correlated, skewed and discrete columns around six factors, as tables have them."""
    rng = np.random.default_rng(seed)
    factors = rng.standard_normal((n, 6))
    X = factors @ rng.standard_normal((6, d)) + 0.5 * rng.standard_normal((n, d))
    X[:, ::3] = np.exp(0.5 * X[:, ::3])
    X[:, 1::6] = np.round(X[:, 1::6])
    return X, np.sin(factors[:, 0]) + factors[:, 1] * factors[:, 2] + 0.1 * rng.standard_normal(n)


def copy_bandwidth(threads=2, n_bytes=1 << 28):
    """Bytes read and written per second by copies that run at the same time, one a thread."""
    arrays = [(np.ones(n_bytes // 8), np.zeros(n_bytes // 8)) for _ in range(threads)]

    def copy_all():
        workers = [threading.Thread(target=np.copyto, args=(target, source)) for source, target in arrays]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    return 2 * threads * n_bytes / median_time(copy_all)


class Race:
    """The same problem, weights and learning rate for our steps and the dense ones."""

    def __init__(self, X, y, width, n_steps=STEPS):
        self.X, self.y = StandardScaler().fit_transform(X).astype(np.float32), np.asarray(y, dtype=np.float64)
        self.width, self.n_steps = width, n_steps
        self.rate = sparse_step(self.X, self.y, width, 1)[0].learning_rate_
        shares = np.full(len(X), 1 / len(X))
        self.lifted = X.shape[1] + 1
        lifted = Lift.fit(self.X, shares, True, 1.0)(self.X, np.float32)
        self.inside = np.ascontiguousarray(lifted.rows[:, : self.lifted])
        target = Standardiser.fit(self.y[:, None], shares, True)(self.y[:, None], np.float32)
        self.samples = DenseSamples(padded_rows(self.inside))
        self.model, _ = self.sparse(n_steps)
        weights, signs = self.model.initial_weights_, self.model.output_weights_
        self.start = self.inside, target, weights, signs, self.model.shift_, width**-0.5, self.rate
        self.dense = {
            name: with_best_chunk(rival(*self.start), lambda run: median_time(run, repeat=2))
            for name, rival in rivals().items()
        }

    def sparse(self, n_steps):
        """Fitted model and seconds of each step but the first."""
        return sparse_step(self.X, self.y, self.width, n_steps, learning_rate=self.rate)

    def run(self):
        """Milliseconds of a step of each, and of the rivals also ratios to ours; medians over the rounds."""
        rounds = []
        for _ in range(ROUNDS):
            ours = np.median(self.sparse(self.n_steps)[1])
            rounds.append([ours, *(median_time(step, warm_up=0, repeat=1) for step in self.dense.values())])
        times = dict(zip(["ours", *self.dense], np.median(rounds, axis=0), strict=True))
        ratios = dict(zip(self.dense, np.median(np.array(rounds) / np.array(rounds)[:, :1], axis=0)[1:], strict=True))
        return {
            **{f"{name} ms": rounded(1e3 * times.get(name, np.nan)) for name in LABELS},
            **{f"{name} / ours": rounded(ratios.get(name, np.nan)) for name in LABELS if name != "ours"},
        }

    def memory(self):
        """Peak megabytes of each."""
        peaks = {name: step_memory(type(step), self.start, step.chunk) for name, step in self.dense.items()}
        peaks["ours"] = in_fresh_process(fit_memory, self.X, self.y, self.width, self.rate, self.n_steps)
        return {f"{name} MB": megabytes(peaks.get(name, np.nan)) for name in LABELS}

    def pairs(self):
        """Firing and evaluated pairs of a step, as shares of all."""
        evaluated = np.median(self.model.pairs_evaluated_curve_[1:])
        return self.model.firing_fraction_curve_[1:].mean(), evaluated / (len(self.X) * self.width)

    def search(self, weights):
        """The search that a fit from these weights takes, its lists made."""
        search = make_search(
            "auto", self.samples, weights, self.model.threshold_, in_batches=False, forward_only=True
        )  # fmt: skip
        search.candidates(weights)
        return search

    def traffic(self):
        """Bytes that a step has to read and write, lists being too long for caches."""
        model, weights = self.model, padded_rows(self.model.hidden_weights_)
        network = Network(weights, model.output_weights_, model.shift_, model.threshold_, 1.0)
        candidates, _ = self.search(weights).candidates(weights)
        firing, _ = candidates.forward(network)
        grouped = isinstance(firing, NodeFiring)
        kept = firing.n_kept.sum() if grouped else firing.n_pairs
        listed = np.median(model.pairs_evaluated_curve_[1:] - len(self.X) * model.neurons_rescanned_curve_[1:])
        # Per listed pair: its number read.  Per pair kept of these: its number written (the line is read first), and
        # read for the gradient.  Per node: its number read forward and backward.
        return 4 * listed + 12 * kept + 8 * np.median(model.nodes_visited_curve_[1:])


def sparse_step(X, y, width, n_iter, **params):
    """Fitted model and seconds of each step but the first."""
    model = TimedRegressor(
        width, linear_part=False, cv=None, momentum=0.0, alpha=0.0, output_scale=1.0, max_iter=n_iter, tol=0,
        n_iter_no_change=n_iter + 1,
        random_state=0, **params,
    ).fit(X, y)  # fmt: skip
    return model, np.diff(model.times)


def fit_memory(X, y, width, rate, n_steps):
    """Bytes at the peak of a fit."""
    sparse_step(X[:2], y[:2], 2, 2)  # starts threads
    return measured(lambda: sparse_step(X, y, width, n_steps, learning_rate=rate))[2]


def compare(name, X, y, width, n_steps, bandwidth):
    race = Race(X, y, width, n_steps)
    short, _ = race.sparse(ROUNDS)
    result = race.run()  # every rival takes as many steps as there are rounds
    model = race.model
    moved = np.abs(short.hidden_weights_ - model.initial_weights_).max()
    differences = {
        f"difference to {rival}": rounded(np.abs(step.weights() - short.hidden_weights_).max() / moved, 2)
        for rival, step in race.dense.items()
    }
    start = padded_rows(race.model.initial_weights_)
    build = median_time(lambda: race.search(start), repeat=3)
    forward = median_time(lambda: race.dense["numpy"](backward=False), repeat=3)
    fires, evaluated = race.pairs()
    return {
        "problem": name,
        "n": len(X),
        "d lifted": race.lifted,
        "width": width,
        "firing %": rounded(100 * fires),
        "evaluated %": rounded(100 * evaluated),
        **result,
        **race.memory(),
        **{f"difference to {rival}": "" for rival in LABELS if rival != "ours"},
        **differences,
        "first build / dense forward": rounded(build / forward),
        "ours / memory limit": rounded(1e-3 * result["ours ms"] / (race.traffic() / bandwidth)),
    }


def figure(rows):
    fig, axes = panels(1, 2 if "ours MB" in rows[0] else 1)
    problems = [f"{row['problem']}\n{row['n']:,} x {row['d lifted']}" for row in rows]
    units = {"ms": "ms a step", "MB": "peak MB beyond the problem"}
    for ax, unit in zip(axes[0], units, strict=False):
        columns = {label: numbers(rows, f"{name} {unit}") for name, label in LABELS.items()}
        bars(ax, problems, columns, y_label=units[unit])
        ax.set_xlabel(f"problem, rows x lifted features; {rows[0]['width']:,} neurons")
    legend_below(fig, axes[0, 0])
    return fig


TABLES = {"steps": figure}


def main(arguments=None):
    parser = argument_parser(__spec__, __doc__)
    parser.add_argument("--sets", nargs="*", default=["bike", "kin40k", "concrete"], help="names of the sets")
    parser.add_argument("--width", type=int, default=65536)
    parser.add_argument("--steps", type=int, default=STEPS, help="of ours")
    parser.add_argument("--rows", type=int, default=15_000, help="of the synthetic problem")
    arguments = parser.parse_args(arguments)
    problems = [("synthetic", *realistic_table(arguments.rows))]
    if arguments.data:
        problems += [(name, *load_split(arguments.data, name, 0)[:2]) for name in arguments.sets]
    bandwidth = copy_bandwidth()
    print(f"memory bandwidth of copies: {bandwidth / 1e9:.1f} GB/s")
    rows = [compare(name, X, y, arguments.width, arguments.steps, bandwidth) for name, X, y in problems]
    write_table("steps", rows, arguments, figure, ["torch"], rounds=ROUNDS)


if __name__ == "__main__":
    main()
