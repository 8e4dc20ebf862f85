"""The benchmarks: list them, run some or all, draw their figures again.

python -m benchmarks                                       list the parts
python -m benchmarks run PART [PART ...] [--data FOLDER]   run parts, each in a process of its own
python -m benchmarks PART [--data FOLDER]                  the same for one part
python -m benchmarks all --data FOLDER                     run all parts
python -m benchmarks figures                               draw figures from the tables there are, and run nothing

Options are passed on to every part that is run; --help after a part lists its own.  FOLDER
holds regression sets as described in `benchmarks.common.load_split`.
"""

import argparse
import subprocess
import sys
from importlib import import_module
from itertools import takewhile

from benchmarks.common import argument_parser
from benchmarks.tables import SHOWN_IN_DOC, draw_table

PARTS = (
    "quality", "classification", "settings", "defaults", "default_classifiers", "intervals",
    "step_against_width", "steps", "searches", "half_space", "sparse_input", "even_polynomials",
    "iteration_against_width", "solvers", "path_solvers", "rates", "time_to_loss", "large_tables", "long_tables",
    "growing_rows", "first_order_rows", "memory_mapped", "part_stages", "cluster", "prediction",
)  # fmt: skip


def list_parts():
    for part in PARTS:
        module = import_module(f"benchmarks.{part}")
        print(f"{part}\n    {module.__doc__.splitlines()[0]}")
        for table in module.TABLES:
            shown = f", doc/_static/{table}.png" if table in SHOWN_IN_DOC else ""
            print(f"    results/{table}.csv, results/{table}.png{shown}")


def run_parts(parts, options):
    """Run all, also after one has failed, and fail then."""
    failed = [part for part in parts if subprocess.call([sys.executable, "-m", f"benchmarks.{part}", *options])]
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


def draw_figures(arguments):
    """Draw the figures of all tables in a folder."""
    folder = argument_parser(__spec__, draw_figures.__doc__).parse_args(arguments).output
    for part in PARTS:
        for name, figure in import_module(f"benchmarks.{part}").TABLES.items():
            if (folder / f"{name}.csv").exists():
                draw_table(folder / f"{name}.csv", figure)


def main(arguments=None):
    arguments = sys.argv[1:] if arguments is None else arguments
    words = list(takewhile(lambda word: not word.startswith("-"), arguments))
    options = arguments[len(words) :]
    if words and words[0] in PARTS:
        words = ["run", *words]
    parser = argparse.ArgumentParser(
        "python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", title="commands", metavar="COMMAND")
    commands.add_parser("run", help="run parts").add_argument("parts", nargs="+", choices=PARTS, metavar="PART")
    commands.add_parser("all", help="run all parts")
    commands.add_parser("figures", help="draw the figures of tables")
    chosen = parser.parse_args(words if words else options)
    if chosen.command == "figures":
        draw_figures(options)
    elif chosen.command is None:
        list_parts()
    else:
        run_parts(chosen.parts if chosen.command == "run" else PARTS, options)


if __name__ == "__main__":
    main()
