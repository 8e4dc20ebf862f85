"""What all benchmarks share: data, timing, tables with the machine they were made on."""

import csv
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import perf_counter

import numpy as np

RESULTS = Path(__file__).parent / "results"


def load_split(folder, name, split):
    """Training and test part of a set.

    In folder/name, `data.csv.gz` holds the table, its last column the target, and column k of
    `test_mask.csv.gz` is 1 on the test rows of split k.
    """
    table, masks = (
        np.loadtxt(Path(folder) / name / file, delimiter=",", ndmin=2) for file in ("data.csv.gz", "test_mask.csv.gz")
    )
    test = masks[:, split].astype(bool)
    return table[~test, :-1], table[~test, -1], table[test, :-1], table[test, -1]


def set_names(folder):
    """Names of the regression sets in a folder."""
    return sorted(path.parent.name for path in Path(folder).glob("*/data.csv.gz"))


def median_time(run, *, warm_up=1, repeat=5):
    """Median seconds of a call, after calls that do not count."""
    times = []
    for _ in range(warm_up + repeat):
        start = perf_counter()
        run()
        times.append(perf_counter() - start)
    return float(np.median(times[warm_up:]))


def environment(*packages):
    """Machine and versions, as lines of a comment."""
    model = next((line.split(":")[1].strip() for line in _read("/proc/cpuinfo") if line.startswith("model name")), "")
    lines = [f"{platform.machine()} {model}, {os.cpu_count()} cores, Python {platform.python_version()}"]
    for package in ("sksparsenn", "numpy", "scipy", "scikit-learn", *packages):
        try:
            lines.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return "; ".join(lines)


def _read(path):
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def write_table(name, rows, *packages):
    """Print rows (dictionaries with the same keys) and store them as benchmarks/results/<name>.csv."""
    RESULTS.mkdir(exist_ok=True)
    with (RESULTS / f"{name}.csv").open("w", newline="") as file:
        file.write(f"# {environment(*packages)}\n")
        writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    widths = {key: max(len(key), *(len(str(row[key])) for row in rows)) for key in rows[0]}
    for row in [dict(zip(rows[0], rows[0], strict=True)), *rows]:
        print("  ".join(str(row[key]).rjust(width) for key, width in widths.items()))


def rounded(value, digits=3):
    """A number with so many significant digits, for tables."""
    return float(f"{value:.{digits}g}")
