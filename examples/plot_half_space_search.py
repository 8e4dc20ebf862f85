"""
Half-space search against a full scan
=====================================

The neurons that fire on a sample are the weights beyond a hyperplane.  A tree of boxes and balls over the weights
finds them without looking at all, in few dimensions.  In many it cannot: almost every box is cut by the hyperplane.
Here both ways of ``HalfSpaceIndex`` report the same points; what they did for it is counted, and timed.
"""

# %%
# The same half-spaces by tree and by scan
# ----------------------------------------
# Points and directions are Gaussian, like weights and samples at the start of training, and one point in a hundred
# lies beyond each half-space.  The scan is ours, too: blocks that fit into the cache, and vector instructions.

from time import perf_counter

import numpy as np
from scipy.special import ndtri

from sksparsenn import HalfSpaceIndex

POINTS, QUERIES, BEYOND = 131_072, 256, 0.01
dimensions = [2, 3, 4, 5, 6, 8, 12, 16, 24]
threshold = -ndtri(BEYOND)  # the normal distribution has this share above it

counted, times = {"tree": [], "scan": []}, {"tree": [], "scan": []}
nodes, chosen = [], []
for dimension in dimensions:
    rng = np.random.default_rng(dimension)
    points = rng.standard_normal((POINTS, dimension)).astype(np.float32)
    normals = rng.standard_normal((QUERIES, dimension)).astype(np.float32)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    answers = {}
    for method in ("tree", "scan"):
        index = HalfSpaceIndex(points, method=method)
        seconds = []
        for _ in range(5):
            start = perf_counter()
            *answers[method], work = index.query(normals, threshold, return_work=True)
            seconds.append(perf_counter() - start)
        times[method].append(1e6 * np.median(seconds) / QUERIES)
        counted[method].append(work.pairs_evaluated / QUERIES)
        if method == "tree":
            nodes.append(work.nodes_visited / QUERIES)
    same = all(np.array_equal(*pair) for pair in zip(*answers.values(), strict=True))
    chosen.append(HalfSpaceIndex(points).method_)
    print(
        f"{dimension:2d} dimensions: the tree evaluates {counted['tree'][-1] / POINTS:6.1%} of the points and takes "
        f"{times['tree'][-1]:4.0f} µs a query, the scan {times['scan'][-1]:3.0f} µs; "
        f"the same answers: {same}; 'auto' takes the {chosen[-1]}"
    )

# %%
# Where the tree wins
# -------------------
# On the left what is counted, the same in every run; on the right times, which are this machine's.  A point that the
# tree evaluates costs more than one that is scanned in passing, so that the tree loses before it evaluates all
# points, and in many dimensions it is several times slower.  ``method="auto"`` estimates what the index's own points
# would cost either as queries, and takes the cheaper: the vertical line is where the choice changes.

try:
    import matplotlib.pyplot as plt
except ImportError:
    print("no plot was made: matplotlib is not installed")
else:
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    left.semilogy(dimensions, counted["scan"], "k--", label="scan: points evaluated")
    left.semilogy(dimensions, counted["tree"], "ko-", label="tree: points evaluated")
    left.semilogy(dimensions, nodes, "s-.", color="0.5", label="tree: nodes tested")
    left.axhline(BEYOND * POINTS, color="0.5", linestyle=":", label="points reported")
    left.set(ylabel="count per query")
    right.semilogy(dimensions, times["scan"], "k^--", label="scan")
    right.semilogy(dimensions, times["tree"], "ko-", label="tree")
    right.set(ylabel="time per query (µs)")
    for ax in (left, right):
        if "tree" in chosen[:1] and "scan" in chosen:
            first = chosen.index("scan")
            middle = np.mean(dimensions[first - 1 : first + 1])
            ax.axvline(middle, color="0.7", linewidth=1, label="left of it 'auto' is the tree" if ax is right else None)
        ax.set(xlabel="dimensions", xticks=dimensions)
        ax.legend(frameon=False)
    figure.suptitle(f"{POINTS:,} Gaussian points, {BEYOND:.0%} of them beyond each half-space")
    figure.savefig("half_space_search.png", dpi=120)
    print("the plot is in half_space_search.png")
