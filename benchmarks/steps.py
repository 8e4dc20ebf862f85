"""Time per exact full-batch step, against torch autograd and the best dense step on NumPy and BLAS.

python -m benchmarks.steps [--data FOLDER] [--width 65536]

FOLDER holds regression sets as described in `benchmarks.common.load_split`; without it only the
synthetic problem runs.  All in float32, plain gradient descent at the automatic learning rate,
the same weights at the start; the weights after the timed steps are compared.
"""

import argparse
import threading
from time import perf_counter

import numpy as np
from sklearn.preprocessing import StandardScaler

from benchmarks.common import load_split, median_time, rounded, write_table
from benchmarks.dense_steps import NumpyStep, TorchStep, with_best_chunk
from sksparsenn import MarginLists, SparseShiftedReLURegressor
from sksparsenn._inputs import Lift, Standardiser

# Each round times some sparse steps, then one dense step of each rival, so that a machine whose speed drifts
# treats all alike; ratios are taken within a round.
ROUNDS = 5
SPARSE_STEPS = 12


class TimedRegressor(SparseShiftedReLURegressor):
    """Notes the time after every iteration."""

    def _line(self, *_):
        self.times = []
        return lambda state: self.times.append(perf_counter())


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


def sparse_step(X, y, width, n_iter, **params):
    """Fitted model and seconds of each step but the first."""
    model = TimedRegressor(
        width, momentum=0.0, alpha=0.0, output_scale=1.0, max_iter=n_iter, tol=0, n_iter_no_change=n_iter + 1,
        random_state=0, **params,
    ).fit(X, y)  # fmt: skip
    return model, np.diff(model.times)


def compare(name, X, y, width, bandwidth):
    X, y = StandardScaler().fit_transform(X).astype(np.float32), np.asarray(y, dtype=np.float64)
    rate = sparse_step(X, y, width, 1)[0].learning_rate_
    short, _ = sparse_step(X, y, width, ROUNDS, learning_rate=rate)
    shares = np.full(len(X), 1 / len(X))
    d = X.shape[1] + 1
    inside = np.ascontiguousarray(Lift.fit(X, shares, True, 1.0)(X, np.float32)[:, :d])
    target = Standardiser.fit(y[:, None], shares, True)(y[:, None], np.float32)
    model, _ = sparse_step(X, y, width, SPARSE_STEPS, learning_rate=rate)
    start = (inside, target, model.initial_weights_, model.output_weights_, model.shift_, width**-0.5, rate)
    numpy_step, torch_step = (
        with_best_chunk(rival(*start), lambda run: median_time(run, repeat=2)) for rival in (NumpyStep, TorchStep)
    )
    rounds = []
    for _ in range(ROUNDS):
        ours = np.median(sparse_step(X, y, width, SPARSE_STEPS, learning_rate=rate)[1])
        rounds.append(
            [ours, median_time(numpy_step, warm_up=0, repeat=1), median_time(torch_step, warm_up=0, repeat=1)]
        )
    ours, numpy_time, torch_time = np.median(rounds, axis=0)
    _, numpy_ratio, torch_ratio = np.median(np.array(rounds) / np.array(rounds)[:, :1], axis=0)
    moved = np.abs(short.hidden_weights_ - model.initial_weights_).max()
    differences = [np.abs(step.weights() - short.hidden_weights_).max() / moved for step in (numpy_step, torch_step)]
    build = median_time(lambda: MarginLists(inside, model.initial_weights_, model.shift_), repeat=3)
    forward = median_time(lambda: numpy_step(backward=False), repeat=3)
    pairs = len(X) * width
    fired = model.firing_fraction_curve_[1:].mean() * pairs
    listed = np.median(model.pairs_evaluated_curve_[1:] - len(X) * model.neurons_rescanned_curve_[1:])
    # Per listed pair: number read. Per firing pair: number and product written (the line is read first) and read again
    # for the outputs, number read for the gradient.
    traffic = 4 * listed + (16 + 8 + 4) * fired
    return {
        "problem": name,
        "n": len(X),
        "d lifted": d,
        "width": width,
        "firing %": rounded(100 * fired / pairs),
        "evaluated %": rounded(100 * np.median(model.pairs_evaluated_curve_[1:]) / pairs),
        "ours ms": rounded(1e3 * ours),
        "numpy ms": rounded(1e3 * numpy_time),
        "torch ms": rounded(1e3 * torch_time),
        "numpy / ours": rounded(numpy_ratio),
        "torch / ours": rounded(torch_ratio),
        "difference to numpy": rounded(differences[0], 2),
        "difference to torch": rounded(differences[1], 2),
        "first build / dense forward": rounded(build / forward),
        "ours / memory limit": rounded(ours / (traffic / bandwidth)),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder of regression sets")
    parser.add_argument("--sets", nargs="*", default=["concrete", "bike"])
    parser.add_argument("--width", type=int, default=65536)
    arguments = parser.parse_args()
    problems = [("synthetic", *realistic_table())]
    if arguments.data:
        problems += [(name, *load_split(arguments.data, name, 0)[:2]) for name in arguments.sets]
    bandwidth = copy_bandwidth()
    print(f"memory bandwidth of copies: {bandwidth / 1e9:.1f} GB/s")
    write_table("steps", [compare(name, X, y, arguments.width, bandwidth) for name, X, y in problems], "torch")


if __name__ == "__main__":
    main()
