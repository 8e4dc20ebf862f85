"""Time per exact full-batch step against width, beside torch autograd and the best dense step on NumPy and BLAS.

python -m benchmarks.step_against_width [--widths 1024 ... 131072] [--rows 2000]

One synthetic problem for all, and everything else as in `benchmarks.steps`: float32, plain
gradient descent at the automatic learning rate, 16 lifted features.  The shift is the automatic
one, sqrt(0.4 ln width), so that the share of the neurons that fire falls as the width grows.
Pairs are those of a sample and a neuron, per step; a dense step evaluates all of them.  The
last row holds the slopes of the logarithms over that of width, least squares.
"""

import numpy as np

from benchmarks.common import argument_parser, exponents, rounded
from benchmarks.figures import COLOURS, DASHES, MARKERS, numbers, panels, plain
from benchmarks.steps import LABELS, ROUNDS, Race, realistic_table
from benchmarks.tables import write_table

SPARSE_STEPS = 12


def measure(X, y, width):
    race = Race(X, y, width, SPARSE_STEPS)
    fires, evaluated = race.pairs()
    everything = len(X) * width
    row = {
        "width": width,
        "rows": len(X),
        "d lifted": race.lifted,
        **race.run(),
        "pairs": everything,
        "pairs evaluated": rounded(evaluated * everything, 4),
        "firing pairs": rounded(fires * everything, 4),
        **race.memory(),
    }
    print(row, flush=True)
    return row


def figure(rows):
    """Two panels with the names of the lines at their ends."""
    slopes = {key: value for key, value in rows[-1].items() if value != ""}
    rows = rows[:-1]
    fig, axes = panels(1, 2, width=4.5, height=5.0)
    times = {f"{name} ms": "sksparsenn" if name == "ours" else label for name, label in LABELS.items()}
    counts = {"pairs evaluated": "evaluated by sksparsenn", "firing pairs": "firing", "pairs": "all, evaluated densely"}
    for ax, columns, title in (
        (axes[0, 0], times, "Milliseconds per full-batch step"),
        (axes[0, 1], counts, "Pairs of sample and neuron per step"),
    ):
        _labelled_lines(ax, rows, columns, slopes)
        ax.set_title(title, loc="left", fontweight="bold", pad=10)
        ax.set(xscale="log", yscale="log", xlabel="width (hidden neurons)")
        ax.set_xscale("log", base=2)
        ax.set_xticks(*_every_other([row["width"] for row in rows]))
        ax.xaxis.minorticks_off()
        plain(ax.yaxis)
        ax.set_ylim(top=5 * ax.get_ylim()[1])  # room for the legend
    axes[0, 0].set_ylabel("ms")
    axes[0, 1].set_ylabel("pairs")
    fig.suptitle(
        f"The same exact gradient step, {rows[0]['rows']:,} rows of {rows[0]['d lifted']} features, float32",
        x=0.01, ha="left", fontsize="large",
    )  # fmt: skip
    return fig


def _every_other(widths):
    return widths[::-2][::-1], [f"{width:,}" for width in widths[::-2][::-1]]


def _labelled_lines(ax, rows, columns, slopes):
    """Lines of the known columns; each is named in the legend, with its exponent."""
    for k, (column, label) in enumerate(columns.items()):
        values = numbers(rows, column)
        if np.isnan(values).all():
            continue
        slope = f"  ~ width$^{{{slopes[column]:.2f}}}$" if column in slopes else ""
        ours = "sksparsenn" in label
        ax.plot(
            [row["width"] for row in rows], values, label=label + slope, color=COLOURS[k], marker=MARKERS[k],
            linestyle=DASHES[k], linewidth=2.6 if ours else 1.5, zorder=3 if ours else 2,
        )  # fmt: skip
    ax.legend(loc="upper left", fontsize="medium")


TABLES = {"step_against_width": figure}


def main(arguments=None):
    parser = argument_parser(__spec__, __doc__)
    parser.add_argument("--widths", type=int, nargs="*", default=[1 << k for k in range(10, 18)])
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--features", type=int, default=15, help="before the lift adds one")
    arguments = parser.parse_args(arguments)
    X, y = realistic_table(arguments.rows, arguments.features)
    rows = [measure(X, y, width) for width in arguments.widths]
    measured = [key for key in rows[0] if key not in ("width", "rows", "d lifted") and " / " not in key]
    rows.append(exponents(rows, "width", measured))
    write_table("step_against_width", rows, arguments, figure, ["torch"], rounds=ROUNDS, sparse_steps=SPARSE_STEPS)


if __name__ == "__main__":
    main()
