"""Figures of tables: one look, which also works in grey, and the few kinds of panels that the parts need."""

import numpy as np

from benchmarks.common import rounded

# Lines that follow each other differ in lightness, marker and dashes, so that they differ in grey print, too.
COLOURS = "#12355b", "#d1622b", "#7c9aa8", "#8a2c5d", "#4f7d3a", "#b8952e", "#555555", "#3f88c5", "#a3a3a3", "#1b998b"
MARKERS = "o", "s", "^", "D", "v", "P", "X", "<", ">", "*"
DASHES = "-", "--", ":", "-."


def style():
    from cycler import cycler

    n = len(COLOURS)
    dashes = [DASHES[k % len(DASHES)] for k in range(n)]
    return {
        "axes.prop_cycle": cycler(color=COLOURS, marker=MARKERS, linestyle=dashes),
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.color": "#dddddd",
        "grid.linewidth": 0.6,
        "axes.axisbelow": True,
        "axes.titlesize": "medium",
        "font.size": 9.5,
        "legend.frameon": False,
        "legend.fontsize": "small",
        "lines.markersize": 5,
        "savefig.dpi": 100,
    }


def draw(figure, rows, path):
    """Draw the rows of a table with a part's function, and save them."""
    try:
        import matplotlib
    except ImportError as error:
        print(f"{path.name} is not drawn: matplotlib could not be imported ({error})")
        return
    with matplotlib.rc_context(style()):
        figure(rows).savefig(path, metadata={"Software": None})
    print(f"drew {path}")


def panels(n_rows=1, n_columns=1, *, width=4.6, height=3.8):
    """A figure, and its axes as an array; width and height are those of a panel in inches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * n_columns, height * n_rows), layout="constrained")
    return figure, figure.subplots(n_rows, n_columns, squeeze=False)


def numbers(rows, column):
    """A column as floats; NaN where it is blank or holds words."""
    values = (row[column] for row in rows)
    return np.array([value if isinstance(value, int | float) else np.nan for value in values], dtype=float)


def lines(ax, rows, x, columns, *, x_label=None, y_label, legend=True):
    """Columns against x, both logarithmic; `columns` gives each its label."""
    for column, label in columns.items():
        known = ~np.isnan(numbers(rows, column))
        if known.any():
            ax.plot(numbers(rows, x)[known], numbers(rows, column)[known], label=label)
    ax.set(xscale="log", yscale="log", xlabel=x_label or x, ylabel=y_label)
    plain(ax.xaxis, ax.yaxis)
    if legend:
        ax.legend()


def bars(ax, labels, columns, *, y_label):
    """Groups of bars, one group a label, one bar a column, on a logarithmic axis; `columns` holds numbers by label."""
    columns = {label: values for label, values in columns.items() if not np.isnan(values).all()}
    hatches = "", "///", "...", "xxx"
    width = 0.8 / len(columns)
    for k, (label, values) in enumerate(columns.items()):
        places = np.arange(len(labels)) + (k - (len(columns) - 1) / 2) * width
        ax.bar(places, values, width, label=label, color=COLOURS[k], hatch=hatches[k % 4], edgecolor="white")
    ax.set(yscale="log", ylabel=y_label)
    ax.set_xticks(range(len(labels)), labels)
    ax.grid(visible=False, axis="x")
    plain(ax.yaxis)


def score_against_cost(ax, rows, name, score, *, cost, spread=None, x_label, y_label):
    """A marker for each row, called by its `name`, at its cost and its score, with whiskers of `spread`."""
    for row in rows:
        whisker = None if spread is None else numbers([row], spread)
        ax.errorbar(numbers([row], cost), numbers([row], score), whisker, label=row[name], linestyle="none", capsize=2)
    ax.set(xscale="log", xlabel=x_label, ylabel=y_label)
    plain(ax.xaxis)


def panels_of_sets(rows, score, *, spread=None, y_label, cost="fit s", x_label="seconds to fit", n_columns=3):
    """A panel for each set: the models' scores against their costs; models without a score are left out."""
    names = list(dict.fromkeys(row["set"] for row in rows))
    n_columns = min(n_columns, len(names))
    figure, axes = panels(-(-len(names) // n_columns), n_columns, width=4.0, height=3.0)
    for ax in axes.ravel()[len(names) :]:
        ax.remove()
    for ax, name in zip(axes.ravel(), names, strict=False):
        mine = [row for row in rows if row["set"] == name and row[score] != ""]
        score_against_cost(ax, mine, "model", score, cost=cost, spread=spread, x_label=x_label, y_label=y_label)
        ax.set_title(name)
    legend_below(figure, max(axes.ravel()[: len(names)], key=lambda ax: len(ax.containers)), n_columns)
    return figure


def plain(*axes):
    """Numbers as they are spoken at the ticks of logarithmic axes; between powers of ten only on short axes."""
    from matplotlib.ticker import FuncFormatter

    def between(axis):
        def label(value, _):
            low, high = axis.get_view_interval()
            return _spoken(value) if high < 50 * low and f"{value:e}"[0] in "25" else ""

        return label

    for axis in axes:
        axis.set_major_formatter(FuncFormatter(lambda value, _: _spoken(value)))
        axis.set_minor_formatter(FuncFormatter(between(axis)))


def _spoken(value):
    if value >= 1e6:
        return f"{rounded(value / 1e6):,g} M"
    return f"{value:,.0f}" if value >= 10 else f"{value:.3g}"


def legend_below(figure, ax, n_columns=3):
    """One legend for all panels, from the labels of one of them."""
    handles, labels = ax.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=n_columns)
