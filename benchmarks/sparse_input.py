"""Sparse X: cost against entries and columns, the same fit on dense rows, and a table like the words of newsgroups.

python -m benchmarks.sparse_input [--tables cost dense text] [--width 256]

Rows are made like texts on mixtures of twenty topics: words follow Zipf's law, two in five in
an order of the topic's own, and are weighted by tf-idf; rows are divided by their length.
The target is a nonlinear function of the topics' shares plus noise.

cost:  20,000 rows in float32, for several lengths of texts and numbers of words.  "touching":
       samples are not centred, and a step without momentum and ridge writes only weights that
       an entry of a firing sample touches; nanoseconds per firing pair, forward (where a pair
       is also decided) and backward, and per entry of it.  "whole": samples are centred, and
       the step has momentum and a ridge; milliseconds a step, which passes over all weights.
dense: 2,000 rows and the 4,000 most frequent words in float64, the same fit on X and on X.toarray().
text:  11,000 rows and 110,000 words, and 2,000 rows to test on, against scikit-learn's linear
       model by SGD and its network by Adam, all in float32 on the same matrix.  An iteration is a step
       of "gd", else an epoch; "entries touched" are those of the pairs that fired, twice.

Memory is the peak of the resident set beyond what it was with the table in it.
"""

import contextlib
import io
import warnings
from time import perf_counter

import numpy as np
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import SGDRegressor
from sklearn.neural_network import MLPRegressor

from benchmarks.common import argument_parser, in_fresh_process, measured, median_time, megabytes, rounded
from benchmarks.figures import bars, lines, numbers, panels, score_against_cost
from benchmarks.tables import write_table
from sksparsenn import SparseShiftedReLURegressor
from sksparsenn._network.firing import Candidates, Lists, Step
from sksparsenn._network.network import Network, initial_weights
from sksparsenn._samples.lift import Lift

N_TOPICS = 20
TOUCHING = {"momentum": 0.0, "alpha": 0.0, "fit_intercept": False}
# Ours by name: parameters and iterations.
OURS = {
    "gd": ({"solver": "gd"}, 60),
    "gd, brute": ({"solver": "gd", "search": "brute"}, 60),
    "sgd": ({"solver": "sgd"}, 6),
    "sgd, touching": ({"solver": "sgd", **TOUCHING}, 12),
}


def texts(n, n_words, length, seed=0):
    """A CSR array of n rows over n_words words, and a target; texts are some `length` words long."""
    rng = np.random.default_rng(seed)
    law = np.cumsum(1 / np.arange(1, n_words + 1) ** 1.05)
    shares = rng.dirichlet(np.full(N_TOPICS, 0.1), n)
    lengths = 5 + rng.poisson(length * rng.lognormal(-0.125, 0.5, n))
    text = np.repeat(np.arange(n), lengths)
    rank = np.searchsorted(law, law[-1] * rng.random(len(text)))
    topic = (np.cumsum(shares, axis=1)[text] < rng.random(len(text))[:, None]).sum(axis=1).clip(0, N_TOPICS - 1)
    orders = np.array([rng.permutation(n_words) for _ in range(N_TOPICS)])
    word = np.where(rng.random(len(text)) < 0.4, orders[topic, rank], rank)
    places = text.astype(np.int32), word.astype(np.int32)  # SGDRegressor takes no other
    X = sparse.csr_array((np.ones(len(text)), places), shape=(n, n_words))
    X.sum_duplicates()
    X.data *= 1 + np.log((1 + n) / (1 + np.bincount(X.indices, minlength=n_words)[X.indices]))
    row = np.repeat(np.arange(n), np.diff(X.indptr))
    X.data /= np.sqrt(np.bincount(row, X.data**2))[row]
    y = shares @ rng.standard_normal(N_TOPICS) + 4 * shares[:, 0] * shares[:, 1] + 0.1 * rng.standard_normal(n)
    return X.astype(np.float32), y


class Stamps(io.StringIO):
    """A stream that notes when each line about an iteration is written."""

    def __init__(self):
        super().__init__()
        self.times = []

    def write(self, text):
        if text.lower().startswith("iteration"):
            self.times.append(perf_counter())
        return len(text)


def timed_fit(model, X, y):
    """Median seconds between iterations, seconds of the whole fit, and memory beyond what was in use."""
    stamps = Stamps()
    with contextlib.redirect_stdout(stamps), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        _, total, memory = measured(model.fit, X, y)
    return float(np.median(np.diff(stamps.times))), total, memory


# -- cost -----------------------------------------------------------------------------------


def kernel_times(X, y, width, fit_intercept, momentum, alpha):
    """Firing pairs, and seconds of the decision with the forward pass and of the step, on lists of the firing pairs."""
    samples = Lift.fit(X, np.full(len(y), 1 / len(y)), fit_intercept, 1.0)(X, X.dtype)
    shift = float(np.sqrt(0.4 * np.log(width)))
    random_state = np.random.RandomState(0)
    weights, signs = initial_weights(width, samples.n_features, 1, "paired", random_state, X.dtype)
    network = Network(weights, signs, shift, shift, 2.0)
    firing = network.firing(samples)
    candidates = Candidates(samples, Lists(firing.rows, firing.starts, firing.counts, firing.samples))
    residuals = (y - y.mean()).astype(X.dtype)[:, None] / len(y)
    anchor, velocity = weights.copy(), np.zeros_like(weights)
    forward = median_time(lambda: candidates.forward(network))
    step = Step(network.scale, 1e-3, momentum, nesterov=True, ridge=alpha)
    backward = median_time(lambda: firing.descend(weights, anchor, velocity, residuals, signs, step))
    return firing.n_pairs, forward, backward


def cost(width, varied, n_words, length):
    X, y = texts(20_000, n_words, length)
    entries = X.nnz / X.shape[0]
    (pairs, forward, step), _, memory = measured(kernel_times, X, y, width, False, 0.0, 0.0)
    _, whole_forward, whole_step = kernel_times(X, y, width, True, 0.9, 0.1)
    return {
        "varied": varied,
        "words": n_words,
        "entries a row": rounded(entries),
        "width": width,
        "firing pairs": pairs,
        "touching: forward ns a pair": rounded(1e9 * forward / pairs),
        "backward ns a pair": rounded(1e9 * step / pairs),
        "forward ns an entry": rounded(1e9 * forward / pairs / entries),
        "backward ns an entry": rounded(1e9 * step / pairs / entries),
        "whole: forward ms": rounded(1e3 * whole_forward),
        "backward ms": rounded(1e3 * whole_step),
        "touching: MB": megabytes(memory),
    }


COST_CASES = [("entries", 20_000, length) for length in (25, 50, 100, 200, 400)] + [
    ("words", n_words, 100) for n_words in (5_000, 10_000, 20_000, 40_000, 80_000)
]


# -- dense ----------------------------------------------------------------------------------


def frequent_words():
    X, y = texts(2000, 110_000, 200)
    frequent = np.argsort(-np.bincount(X.indices, minlength=X.shape[1]), kind="stable")[:4000]
    return X[:, frequent].tocsr(), y


def dense(width, solver, storage, X, y):
    entries, shape = X.nnz / X.shape[0], X.shape
    X = X.astype(np.float64)
    if storage == "dense":
        X = X.toarray()
    model = SparseShiftedReLURegressor(
        width, solver=solver, linear_part=False, cv=None, max_iter=20, tol=0, verbose=True, random_state=0
    )
    seconds, total, memory = timed_fit(model, X, y)
    return {
        "solver": solver,
        "search": model.search_,
        "X": storage,
        "rows": shape[0],
        "words": shape[1],
        "entries a row": rounded(entries),
        "width": width,
        "ms an iteration": rounded(1e3 * seconds),
        "seconds for 20": rounded(total),
        "memory beyond MB": megabytes(memory),
        "loss at the end": rounded(model.loss_curve_[-1], 9),
        "sum of squares of weights": rounded(np.square(model.hidden_weights_).sum(), 9),
    }


# -- text -----------------------------------------------------------------------------------


def text(width, name, X, y):
    train, test = (X[:11_000], y[:11_000]), (X[11_000:], y[11_000:])
    if name in OURS:
        params, iterations = OURS[name]
        model = SparseShiftedReLURegressor(
            width, **params, linear_part=False, cv=None, max_iter=iterations, tol=0, verbose=True, random_state=0
        )
        seconds, total, memory = timed_fit(model, *train)
        pairs = model.firing_fraction_curve_.mean() * 11_000 * width
        evaluated = model.pairs_evaluated_curve_.mean()
        touched = 2 * pairs * train[0].nnz / 11_000
    else:
        evaluated = pairs = touched = np.nan
        if name == "MLPRegressor":
            iterations = 3
            model = MLPRegressor(hidden_layer_sizes=width, max_iter=iterations, verbose=True, random_state=0)
            seconds, total, memory = timed_fit(model, *train)
        else:
            iterations = 60
            model = SGDRegressor(alpha=1e-6, max_iter=iterations, tol=None, random_state=0)
            _, total, memory = measured(model.fit, *train)
            seconds = total / iterations
    return {
        "model": name,
        "width": "" if name == "SGDRegressor" else width,
        "entries a row": rounded(train[0].nnz / 11_000),
        "iterations": iterations,
        "ms an iteration": rounded(1e3 * seconds),
        "seconds": rounded(total),
        "memory beyond MB": megabytes(memory),
        "firing pairs": "" if np.isnan(pairs) else int(pairs),
        "pairs evaluated": "" if np.isnan(evaluated) else int(evaluated),
        "entries touched": "" if np.isnan(touched) else rounded(touched),
        "test R2": rounded(model.score(*test)),
    }


# -- all ------------------------------------------------------------------------------------


def cost_figure(rows):
    fig, axes = panels(1, 2)
    kinds = "touching: forward ns a pair", "backward ns a pair"
    for ax, varied, along in ((axes[0, 0], "entries", "entries a row"), (axes[0, 1], "words", "words")):
        points = [row for row in rows if row["varied"] == varied]
        lines(ax, points, along, {kind: kind.split()[-4] for kind in kinds}, y_label="ns a firing pair")
    return fig


def dense_figure(rows):
    fig, axes = panels(1, 2)
    solvers = list(dict.fromkeys(row["solver"] for row in rows))
    for ax, column in zip(axes[0], ("ms an iteration", "memory beyond MB"), strict=True):
        by_storage = {
            storage: numbers([row for row in rows if row["X"] == storage], column) for storage in ("sparse", "dense")
        }
        bars(ax, solvers, by_storage, y_label=column)
        ax.set_xlabel("solver")
    axes[0, 0].legend()
    return fig


def text_figure(rows):
    fig, axes = panels()
    score_against_cost(
        axes[0, 0], rows, "model", "test R2", cost="seconds", x_label="seconds to fit", y_label="test R2"
    )
    axes[0, 0].legend()
    return fig


TABLES = {"sparse_input_cost": cost_figure, "sparse_input_dense": dense_figure, "sparse_input_text": text_figure}


def main(arguments=None):
    parser = argument_parser(__spec__, __doc__)
    parser.add_argument("--tables", nargs="*", choices=["cost", "dense", "text"], default=["cost", "dense", "text"])
    parser.add_argument("--width", type=int, default=256)
    arguments = parser.parse_args(arguments)
    for kind in arguments.tables:
        rows = []
        for function, *case in cases(kind):
            rows.append(in_fresh_process(function, arguments.width, *case))
            print(rows[-1], flush=True)
        write_table(f"sparse_input_{kind}", rows, arguments, TABLES[f"sparse_input_{kind}"])


def cases(kind):
    """What is to be measured for a table: functions and their arguments after the width."""
    if kind == "cost":
        return [(cost, *case) for case in COST_CASES]
    if kind == "dense":
        table = frequent_words()
        return [(dense, solver, storage, *table) for solver in ("gd", "sgd") for storage in ("sparse", "dense")]
    table = texts(13_000, 110_000, 200)
    return [(text, name, *table) for name in (*OURS, "MLPRegressor", "SGDRegressor")]


if __name__ == "__main__":
    main()
