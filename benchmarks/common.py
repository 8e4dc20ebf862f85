"""What the benchmarks share: their options, data, seconds, memory, and numbers in tables."""

import argparse
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from pathlib import Path
from time import perf_counter

import numpy as np

RESULTS = Path(__file__).parent / "results"


def argument_parser(spec, description, needs_data=False):
    """The parser of a part, from its `__spec__` and docstring.

    All parts take --data, so that a list of them can be run with the same options.
    """
    parser = argparse.ArgumentParser(
        f"python -m {spec.name}", description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    needed = "" if needs_data else ", where a part has use for it"
    parser.add_argument("--data", metavar="FOLDER", required=needs_data, help=f"folder of regression sets{needed}")
    parser.add_argument("--output", metavar="FOLDER", type=Path, default=RESULTS, help="for tables and figures")
    return parser


# -- data ---------------------------------------------------------------------------------


def load_split(folder, name, split):
    """Training and test part of a set.

    In folder/name, `data.csv.gz` holds the table, its last column the target, and column k of
    `test_mask.csv.gz` is 1 on the test rows of split k.
    """
    table, masks = _load(Path(folder) / name)
    test = masks[:, split].astype(bool)
    return table[~test, :-1], table[~test, -1], table[test, :-1], table[test, -1]


@lru_cache(maxsize=1)
def _load(folder):
    return tuple(np.loadtxt(folder / file, delimiter=",", ndmin=2) for file in ("data.csv.gz", "test_mask.csv.gz"))


def set_names(folder):
    """Names of the regression sets in a folder."""
    return sorted(path.parent.name for path in Path(folder).glob("*/data.csv.gz"))


# -- time ---------------------------------------------------------------------------------


def median_time(run, *, warm_up=1, repeat=5):
    """Median seconds of a call, after calls that do not count."""
    times = []
    for _ in range(warm_up + repeat):
        start = perf_counter()
        run()
        times.append(perf_counter() - start)
    return float(np.median(times[warm_up:]))


class NotesTimes:
    """To stand before an estimator of ours among the bases of a class: notes the time after every iteration."""

    def _line(self, *_):
        self.times = []
        return lambda trainings: self.times.append(perf_counter())


# -- memory -------------------------------------------------------------------------------


def measured(run, *arguments):
    """What a call returns, its seconds, and the bytes by which memory at its peak exceeds memory before.

    Memory is that of the process, resident; NaN where the peak cannot be reset, as outside
    of Linux.  Memory that an earlier call has left to the allocator may hide what this one
    takes, so call it in a fresh process.
    """
    before = resident() if reset_peak() else np.nan
    start = perf_counter()
    result = run(*arguments)
    seconds = perf_counter() - start
    return result, seconds, np.nan if np.isnan(before) else max(resident(peak=True) - before, 0)


def reset_peak():
    """Whether the largest resident set so far could be set to the present one; takes no time worth counting."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def resident(peak=False):
    """Bytes of the resident set of this process, or its peak (getrusage would count that of the parent, too)."""
    key = "VmHWM:" if peak else "VmRSS:"
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key))
    return 1024 * int(line.split()[1])


def in_fresh_process(function, *arguments):
    """Call a function of a module in a process where nothing has been computed before.

    Where the platform allows it, that process is a fork of one that has imported what most
    parts need and done nothing else, so that imports are paid once.  This package is not among
    it: in a process that was forked it takes one thread.
    """
    forks = "forkserver" in multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if forks else "spawn")
    if forks:
        context.set_forkserver_preload(["sklearn.ensemble", "sklearn.gaussian_process", "sklearn.neural_network"])
    with ProcessPoolExecutor(1, mp_context=context) as process:
        return process.submit(function, *arguments).result()


# -- numbers in tables --------------------------------------------------------------------


def rounded(value, digits=3):
    """A number with so many significant digits, for tables; blank if it is NaN, which stands for not measured."""
    return "" if np.isnan(value) else float(f"{value:.{digits}g}")


def megabytes(n_bytes):
    return rounded(n_bytes / 1e6)


def exponents(rows, along, columns):
    """A row with the slope of log(column) over log(along), least squares; blank where a number is missing or zero."""
    slopes = dict.fromkeys(rows[0], "") | {along: "exponent"}
    for name in columns:
        pairs = [(row[along], row[name]) for row in rows]
        if all(y != "" and y > 0 for _, y in pairs):
            x, y = np.log(pairs).T
            slopes[name] = round(float(np.polyfit(x, y, 1)[0]), 3) + 0.0
    return slopes
