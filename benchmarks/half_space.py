"""Half-space queries over a million points, against faiss IndexFlatIP.range_search and a blocked matrix product.

python -m benchmarks.half_space [--points 1000000]

Gaussian points and unit normals in float32, at the threshold that one point in a hundred
exceeds; all rivals answer the same batch of queries on the same number of threads.  "MB" is the
peak memory of building the index, beyond what there was with the points in it.
"""

import numpy as np
from scipy.stats import norm

from benchmarks.common import argument_parser, in_fresh_process, measured, median_time, megabytes, rounded
from benchmarks.figures import lines, panels
from benchmarks.tables import write_table
from sksparsenn import HalfSpaceIndex

QUERIES = 256


def blocked_product(points, normals, threshold, block=32768):
    """Products in blocks that fit a cache, and a comparison."""
    return [normals @ points[i : i + block].T > threshold for i in range(0, len(points), block)]


def gaussian_points(rng, n, d):
    return rng.standard_normal((n, d), dtype=np.float32)


def build_memory(n, d):
    """Bytes at the peak of building our index."""
    points = gaussian_points(np.random.default_rng(d), n, d)
    HalfSpaceIndex(points[:1000])  # loads libraries, starts threads
    return measured(HalfSpaceIndex, points)[2]


def compare(n, d):
    import faiss

    rng = np.random.default_rng(d)
    points = gaussian_points(rng, n, d)
    normals = rng.standard_normal((QUERIES, d), dtype=np.float32)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    threshold = float(norm.isf(0.01))
    index, flat = HalfSpaceIndex(points), faiss.IndexFlatIP(d)
    flat.add(points)
    indptr, indices, work = index.query(normals, threshold, return_work=True)
    limits, _, found = flat.range_search(normals, threshold)
    differing = sum(
        len(np.setxor1d(indices[indptr[q] : indptr[q + 1]], found[limits[q] : limits[q + 1]])) for q in range(QUERIES)
    )
    # The two are timed in turn, so that a machine whose speed drifts treats them alike.
    ours, theirs = [], []
    for _ in range(5):
        ours.append(median_time(lambda: index.query(normals, threshold), repeat=3) / QUERIES)
        theirs.append(median_time(lambda: flat.range_search(normals, threshold), repeat=1) / QUERIES)
    single = median_time(lambda: index.query(normals[0], threshold), repeat=20)
    flat_single = median_time(lambda: flat.range_search(normals[:1], threshold), repeat=5)
    return {
        "d": d,
        "points": n,
        "method": index.method_,
        "answers": rounded(len(indices) / QUERIES, 5),
        "evaluated %": rounded(100 * work.pairs_evaluated / QUERIES / n),
        "nodes": rounded(work.nodes_visited / QUERIES, 4),
        "ours ms": rounded(1e3 * np.median(ours)),
        "count ms": rounded(1e3 * median_time(lambda: index.count(normals, threshold)) / QUERIES),
        "faiss ms": rounded(1e3 * np.median(theirs)),
        "product ms": rounded(
            1e3 * median_time(lambda: blocked_product(points, normals, threshold), repeat=1) / QUERIES
        ),
        "faiss / ours": rounded(np.median(np.array(theirs) / np.array(ours))),
        "one query: ours ms": rounded(1e3 * single),
        "one query: faiss / ours": rounded(flat_single / single),
        "answers that differ": differing,
        "build s": rounded(median_time(lambda: HalfSpaceIndex(points), warm_up=0, repeat=1)),
        "MB": megabytes(in_fresh_process(build_memory, n, d)),
    }


def figure(rows):
    fig, axes = panels()
    times = {"ours ms": "ours", "faiss ms": "faiss IndexFlatIP.range_search", "product ms": "blocked matrix product"}
    lines(axes[0, 0], rows, "d", times, x_label="dimensions", y_label="ms a query, of a batch of 256")
    axes[0, 0].set_title(f"{rows[0]['points']:,} points, one in a hundred in each half-space")
    axes[0, 0].set_xticks([row["d"] for row in rows], [row["d"] for row in rows])
    axes[0, 0].xaxis.minorticks_off()
    return fig


TABLES = {"half_space": figure}


def main(arguments=None):
    parser = argument_parser(__spec__, __doc__)
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--dimensions", type=int, nargs="*", default=[3, 4, 6, 8, 16, 32])
    arguments = parser.parse_args(arguments)
    rows = [compare(arguments.points, d) for d in arguments.dimensions]
    write_table("half_space", rows, arguments, figure, ["faiss-cpu"])


if __name__ == "__main__":
    main()
