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

DENSE_STEPS = 3
SPARSE_STEPS = 20


class TimedRegressor(SparseShiftedReLURegressor):
    """Notes the time after every iteration."""

    def _reporter(self):
        self.times = []
        return lambda iteration, state: self.times.append(perf_counter())


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
    short, _ = sparse_step(X, y, width, DENSE_STEPS, learning_rate=rate)
    model, times = sparse_step(X, y, width, SPARSE_STEPS, learning_rate=rate)
    shares = np.full(len(X), 1 / len(X))
    d = X.shape[1] + 1
    inside = np.ascontiguousarray(Lift.fit(X, shares, True, 1.0)(X, np.float32)[:, :d])
    target = Standardiser.fit(y[:, None], shares, True)(y[:, None], np.float32)
    start = (inside, target, model.initial_weights_, model.output_weights_, model.shift_, width**-0.5, rate)
    rivals = {}
    for rival in (NumpyStep, TorchStep):
        step = with_best_chunk(rival(*start), lambda run: median_time(run, repeat=2))
        dense = []
        for _ in range(DENSE_STEPS):
            begin = perf_counter()
            step()
            dense.append(perf_counter() - begin)
        moved = np.abs(step.weights() - model.initial_weights_).max()
        rivals[rival] = np.median(dense), np.abs(step.weights() - short.hidden_weights_).max() / moved, step
    build = median_time(lambda: MarginLists(inside, model.initial_weights_, model.shift_), repeat=3)
    forward = median_time(lambda: rivals[NumpyStep][2](backward=False), repeat=3)
    ours = float(np.median(times))
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
        "numpy ms": rounded(1e3 * rivals[NumpyStep][0]),
        "torch ms": rounded(1e3 * rivals[TorchStep][0]),
        "numpy / ours": rounded(rivals[NumpyStep][0] / ours),
        "torch / ours": rounded(rivals[TorchStep][0] / ours),
        "difference to numpy": rounded(rivals[NumpyStep][1], 2),
        "difference to torch": rounded(rivals[TorchStep][1], 2),
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
