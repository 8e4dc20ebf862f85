"""Tables: CSV files that say on which machine, with which versions and how they were made, and their figures."""

import csv
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from threadpoolctl import threadpool_info

import sksparsenn
from benchmarks.common import RESULTS
from benchmarks.figures import draw

DOC = RESULTS.parents[1] / "doc" / "_static"
SHOWN_IN_DOC = {"step_against_width"}


def environment(*packages):
    """Machine and versions."""
    model = next((line.split(":")[1].strip() for line in _read("/proc/cpuinfo") if line.startswith("model name")), "")
    machine = f"{platform.machine()} {model}, {os.cpu_count()} cores, Python {platform.python_version()}"
    ours = f"sksparsenn {sksparsenn.__version__}"
    return "; ".join([machine, ours, *_versions("numpy", "scipy", "scikit-learn", *packages)])


def _versions(*packages):
    for package in packages:
        try:
            yield f"{package} {version(package)}"
        except PackageNotFoundError:
            continue


def _read(path):
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def threads():
    """Threads of OpenMP, the libraries for BLAS and theirs, and what the environment says about them."""
    found = {}
    for pool in threadpool_info():
        name = pool["internal_api"] + (f" {pool['version']}" if pool["version"] else "")
        name += f" ({pool['architecture']})" if "architecture" in pool else ""
        found[name] = f"{name}: {pool['num_threads']} threads"
    prefixes = "OMP_", "OPENBLAS_", "MKL_"
    variables = [f"{key}={value}" for key, value in sorted(os.environ.items()) if key.startswith(prefixes)]
    return "; ".join([*found.values(), *variables])


def configuration(arguments, constants):
    """How a part was run: all its options but folders and files, and constants of the part."""
    places = "data", "output", "runs"
    options = {key: value for key, value in vars(arguments).items() if key not in places} | constants
    return "; ".join(f"{key.replace('_', ' ')}: {_text(value)}" for key, value in options.items())


def _text(value):
    if value is None:
        return "default"
    return " ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def heading(arguments, packages=(), **constants):
    """The comment above a table, three lines."""
    return [environment(*packages), threads(), configuration(arguments, constants)]


def write_table(name, rows, arguments, figure, packages=(), **constants):
    """Print rows (dictionaries with the same keys), store them as <output>/<name>.csv, and draw their figure."""
    arguments.output.mkdir(parents=True, exist_ok=True)
    path = arguments.output / f"{name}.csv"
    with path.open("w", newline="") as file:
        file.writelines(f"# {line}\n" for line in heading(arguments, packages, **constants))
        writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    widths = {key: max(len(key), *(len(str(row[key])) for row in rows)) for key in rows[0]}
    for row in [dict(zip(rows[0], rows[0], strict=True)), *rows]:
        print("  ".join(str(row[key]).rjust(width) for key, width in widths.items()))
    draw_table(path, figure)


def read_table(path):
    """The comment lines and the rows of a table; what looks like a number is one."""
    lines = Path(path).read_text().splitlines()
    comments = [line.removeprefix("# ") for line in lines if line.startswith("# ")]
    rows = csv.DictReader(line for line in lines if not line.startswith("# "))
    return comments, [{key: _number(text) for key, text in row.items()} for row in rows]


def _number(text):
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def draw_table(path, figure):
    """Draw <name>.png beside <name>.csv; what the documentation shows, if the table is a committed one, also there."""
    rows = read_table(path)[1]
    draw(figure, rows, path.with_suffix(".png"))
    if path.stem in SHOWN_IN_DOC and path.parent.resolve() == RESULTS.resolve():
        DOC.mkdir(exist_ok=True)
        draw(figure, rows, DOC / f"{path.stem}.png")
