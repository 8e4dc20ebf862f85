"""
Rows on a cluster
=================

Estimators of ``sksparsenn.dask`` train on rows that the workers of a Dask cluster hold: weights go out to them, sums
over rows come back.  Here the cluster is two processes on this machine; on many machines only the client would differ.
The networks are those of the estimators without Dask, up to the rounding of sums, and ``to_local()`` returns such an
estimator.  This example needs the extra ``dask``.
"""

# %%
# A cluster, and a table in partitions
# ------------------------------------

import dask.array as da
import numpy as np
from dask.distributed import Client, LocalCluster

from sksparsenn.dask import DaskSketchedGaussNewtonRegressor

ROWS, FEATURES = 40_000, 6


def main():
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster, Client(cluster) as client:
        rng = da.random.default_rng(0)
        X = rng.standard_normal((ROWS, FEATURES), chunks=(5000, FEATURES))
        noise = 0.3 * rng.standard_normal(ROWS, chunks=5000)
        y = np.sin(2 * X[:, 0]) + X[:, 1] * X[:, 2] + noise
        X, y = client.persist([X, y])
        model = DaskSketchedGaussNewtonRegressor(width=128, max_iter=20, random_state=0).fit(X, y)
        print(
            f"{model.n_iter_} iterations on {len(client.scheduler_info(n_workers=-1)['workers'])} workers, "
            f"R2 of rows left out {model.cv_score_:.3f}"
        )
        # Predictions are lazy: nothing is computed before it is asked for.
        intervals = model.predict_interval(X, coverage=0.9)
        inside = ((intervals[:, 0] <= y) & (y <= intervals[:, 1])).mean().compute()
        print(f"{inside:.0%} of the targets lie in intervals of coverage 90 %")
        return model.to_local(), X[:2000].compute(), y[:2000].compute(), intervals[:2000].compute()


# %%
# Workers are processes that import this file, so that what starts them stands behind this condition.

if __name__ == "__main__":
    model, X, y, intervals = main()
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        print("no plot was made: matplotlib is not installed")
    else:
        figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
        some = np.argsort(model.predict(X))[::40]
        predicted = model.predict(X[some])
        ax.vlines(predicted, *intervals[some].T, color="0.7", label="interval, coverage 90 %")
        ax.scatter(predicted, y[some], s=8, color="black", label="target")
        ax.set(xlabel="prediction", ylabel="target", title="Fitted on two workers, predicted here")
        ax.legend(frameon=False)
        figure.savefig("dask_cluster.png", dpi=120)
        print("the plot is in dask_cluster.png")
