"""A fit on Dask clusters of one to four processes on this machine: seconds, requests and bytes, beside lightgbm.dask.

python -m benchmarks.cluster [--rows 10000 100000 1000000] [--workers 1 2 4] [--models ...]

Ten standard normal features in float32, with the target of `benchmarks.long_tables`, in 16 partitions that the workers
hold before the fit begins; workers are processes of one thread.  "in memory" is the estimator without Dask.  A
request goes to all workers and brings a sum back.  "MB out" and "MB in" are what each worker gets and gives, "ms a
request" the time until the sum is there, "model out" and "model in" what `doc/large_tables.md` says of these requests,
and "model s" what it says of the seconds of the fit.  "worker MB" is the largest peak of the resident set of a worker
during the fit beyond what it was before.  "exponent" is the slope of the logarithm of the seconds over that of the
rows.  Two cores serve all processes, so that more than two workers cannot be faster here.
"""

import pickle
import warnings
from collections import Counter
from time import perf_counter

from sklearn.base import clone

from benchmarks.common import argument_parser, exponents, megabytes, reset_peak, resident, rounded
from benchmarks.figures import legend_below, panels
from benchmarks.large_tables import TEST_ROWS, nonlinear_table
from benchmarks.tables import write_table

FEATURES, PARTITIONS = 10, 16
OF_REQUESTS = "model s", "requests", "ms a request", "MB out", "model out", "MB in", "model in"

# Nanoseconds of a row and thread: a trial and the model with its check, a product, the matrix for one with 72 neurons
# that fire; of a multiplication and an addition of a factor; and of a request.
ITERATION, PRODUCT, MATRIX = 850 + 240 + 450 + 140 + 210, 220, 72**2 * 11 * 12 / 4 * 0.2
FACTOR, REQUEST, CORES = 0.029, 10e6, 2


class Traffic:
    """Counts requests, their bytes and seconds, of all fits on doors."""

    def __init__(self):
        from sksparsenn.dask import _doors

        self.module, self.asked, self.pickled = _doors, _doors.Doors._asked, _doors.pickled
        self.requests, self.out, self.back, self.seconds = Counter(), 0, 0, 0.0

    def __enter__(self):
        def pickled(request):
            message = self.pickled(request)
            self.out += len(message)
            return message

        def asked(doors, request):
            begin = perf_counter()
            answer = self.asked(doors, request)
            self.seconds += perf_counter() - begin
            self.requests[request.function.__qualname__] += 1
            self.back += len(pickle.dumps(answer, protocol=5))
            return answer

        self.module.pickled, self.module.Doors._asked = pickled, asked
        return self

    def __exit__(self, *error):
        self.module.pickled, self.module.Doors._asked = self.pickled, self.asked


def modelled_megabytes(model, requests):
    """Return what the model of the documentation says of the bytes that each worker gets and gives in these requests.

    Weights are numbers of four bytes, sums over float32 rows of eight; rows of weights are padded to 16 numbers.
    """
    order, padded = model.width * (FEATURES + 1), model.width * 16
    out = {"Summary.of": 4 * padded, "WeightedHeldOutRows.sums_of": 4 * padded, "LinearModel.decrease": 8 * padded,
           "product_of": 8 * order}  # fmt: skip
    back = {"Summary.of": 8 * model.width, "descent_of": 8 * padded, "product_of": 8 * order,
            "matrix_of": 4 * order**2, "SampledRows.of": 4 * order**2}  # fmt: skip
    return [sum(requests[name] * size for name, size in sizes.items()) / 1e6 for sizes in (out, back)]


def modelled_seconds(model, requests, n_workers):
    """Return what the model of the documentation says of the seconds of a fit."""
    rows, inner = model.rows_curve_, model.inner_iterations_curve_
    of_rows = rows @ (ITERATION + PRODUCT * inner + MATRIX * (inner == 0)) / min(n_workers, CORES)
    n_factors = requests["matrix_of"] + requests["SampledRows.of"]
    of_factors = n_factors * FACTOR / 3 * (model.width * (FEATURES + 1)) ** 3
    return 1e-9 * (of_rows + of_factors + REQUEST * requests.total())


def peak_of_this_process(begins):
    """Return the bytes of the resident set of a worker, from which its peak is counted from now on, or that peak."""
    if begins:
        reset_peak()
    return resident(peak=not begins)


def models(names):
    """The models by name: those on Dask, and rivals that are installed."""
    from sksparsenn.dask import DaskSketchedGaussNewtonRegressor

    found = {"DaskSketchedGaussNewtonRegressor": DaskSketchedGaussNewtonRegressor(random_state=0)}
    try:
        from lightgbm import DaskLGBMRegressor

        found["DaskLGBMRegressor"] = DaskLGBMRegressor(random_state=0, verbose=-1)
    except ImportError:
        print("lightgbm.dask is not installed, and left out")
    return {name: model for name, model in found.items() if any(part in name for part in names or [""])}


def fit_on(n_workers, n_rows, name, model):
    """One row of the result."""
    import dask.array as da
    from distributed import Client, LocalCluster, wait

    X, y = nonlinear_table(n_rows, FEATURES, "float32", seed=0)
    X_new, y_new = nonlinear_table(TEST_ROWS, FEATURES, "float32", seed=1)
    row = {"rows": n_rows, "workers": n_workers, "model": name}
    warnings.simplefilter("ignore")
    with (
        LocalCluster(n_workers=n_workers, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        chunk = -(-n_rows // PARTITIONS)
        X, y = client.persist([da.from_array(X, (chunk, FEATURES)), da.from_array(y, chunk)])
        wait([X, y])
        clone(model).fit(X[:chunk], y[:chunk])  # loads what is loaded late
        before = client.run(peak_of_this_process, True)
        with Traffic() as traffic:
            begin = perf_counter()
            model.fit(X, y)
            seconds = perf_counter() - begin
        peaks = client.run(peak_of_this_process, False)
        score = model.to_local().score(X_new, y_new)
    row |= {"seconds": rounded(seconds), "score": rounded(score, 4)}
    row["worker MB"] = megabytes(max(peaks[worker] - before[worker] for worker in before))
    if not traffic.requests:
        return row | dict.fromkeys(("iterations", *OF_REQUESTS), "")
    out, back = modelled_megabytes(model, traffic.requests)
    return row | {
        "iterations": model.n_iter_,
        "model s": rounded(modelled_seconds(model, traffic.requests, n_workers)),
        "requests": traffic.requests.total(),
        "ms a request": rounded(1e3 * traffic.seconds / traffic.requests.total()),
        "MB out": rounded(traffic.out / 1e6),
        "model out": rounded(out),
        "MB in": rounded(traffic.back / 1e6),
        "model in": rounded(back),
    }


def fit_in_memory(n_rows):
    """The row of the estimator without Dask."""
    from sksparsenn import SketchedGaussNewtonRegressor

    X, y = nonlinear_table(n_rows, FEATURES, "float32", seed=0)
    model = SketchedGaussNewtonRegressor(random_state=0)
    clone(model).fit(X[:5000], y[:5000])
    begin = perf_counter()
    model.fit(X, y)
    seconds = perf_counter() - begin
    score = model.score(*nonlinear_table(TEST_ROWS, FEATURES, "float32", seed=1))
    row = {"rows": n_rows, "workers": "in memory", "model": type(model).__name__}
    row |= {"seconds": rounded(seconds), "score": rounded(score, 4), "worker MB": "",
            "iterations": model.n_iter_}  # fmt: skip
    return row | dict.fromkeys(OF_REQUESTS, "")


def figure(rows):
    fig, axes = panels(1, 1)
    ax = axes[0, 0]
    rows = [row for row in rows if row["rows"] != "exponent"]
    for n_rows in dict.fromkeys(row["rows"] for row in rows):
        for model in dict.fromkeys(row["model"] for row in rows if row["workers"] != "in memory"):
            own = [row for row in rows if (row["rows"], row["model"]) == (n_rows, model)]
            numbers = [float(row["workers"]) for row in own]
            ax.plot(numbers, [float(row["seconds"]) for row in own], marker="o", label=f"{model}, {int(n_rows):,} rows")
    ax.set(xlabel="workers", ylabel="seconds to fit", yscale="log")
    ax.set_xticks(sorted({int(row["workers"]) for row in rows if row["workers"] != "in memory"}))
    legend_below(fig, ax, 1)
    return fig


TABLES = {"cluster": figure}


def main(arguments=None):
    parser = argument_parser(__spec__, __doc__)
    parser.add_argument("--rows", nargs="*", type=int, default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--workers", nargs="*", type=int, default=[1, 2, 4])
    parser.add_argument("--models", nargs="*", help="parts of the names of models; all by default")
    parser.add_argument("--width", type=int, help="another width of the networks, for a trial")
    arguments = parser.parse_args(arguments)
    rows = []
    for n_rows in arguments.rows:
        rows.append(fit_in_memory(n_rows))
        print(rows[-1], flush=True)
        for name, model in models(arguments.models).items():
            if arguments.width and "width" in model.get_params():
                model.set_params(width=arguments.width)
            for n_workers in arguments.workers:
                rows.append(fit_on(n_workers, n_rows, name, clone(model)))
                print(rows[-1], flush=True)
    for kind in dict.fromkeys((row["model"], row["workers"]) for row in rows) if len(arguments.rows) > 1 else ():
        own = [row for row in rows if (row["model"], row["workers"]) == kind]
        rows.append(exponents(own, "rows", ["seconds"]) | dict(zip(("model", "workers"), kind, strict=True)))
    write_table("cluster", rows, arguments, figure)


if __name__ == "__main__":
    main()
