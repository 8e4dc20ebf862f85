"""Classifiers at defaults against MLPClassifier at defaults: five-fold accuracy, log loss, seconds to fit.

python -m benchmarks.classification

Each classifier stands behind a StandardScaler.  Folds are scikit-learn's for cv=5, not
shuffled, and five shuffled ones; means over the five are given.  Memory is the largest peak of
a fit beyond what the process held before.
"""

import warnings

import numpy as np
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.common import argument_parser, in_fresh_process, measured, megabytes, rounded
from benchmarks.figures import legend_below, panels, score_against_cost
from benchmarks.tables import write_table
from sksparsenn import SketchedGaussNewtonClassifier, SparseShiftedReLUClassifier

SETS = {"breast_cancer": load_breast_cancer, "digits": load_digits, "wine": load_wine}
CLASSIFIERS = {
    "MLPClassifier": MLPClassifier(random_state=0),
    "SparseShiftedReLUClassifier": SparseShiftedReLUClassifier(random_state=0),
    "SparseShiftedReLUClassifier(loss='log_loss')": SparseShiftedReLUClassifier(loss="log_loss", random_state=0),
    "SketchedGaussNewtonClassifier": SketchedGaussNewtonClassifier(random_state=0),
}
FOLDS = {"in order": StratifiedKFold(5), "shuffled": StratifiedKFold(5, shuffle=True, random_state=0)}


def five_folds(classifier, X, y, folds):
    """Mean accuracy and log loss on the five test parts, median seconds and largest memory of a fit."""
    warnings.simplefilter("ignore", ConvergenceWarning)
    clone(classifier).fit(X[:100], y[:100])  # loads what is loaded late, starts threads
    accuracies, losses, seconds, memory = [], [], [], []
    for train, test in folds.split(X, y):
        pipeline = make_pipeline(StandardScaler(), clone(classifier))
        _, *cost = measured(pipeline.fit, X[train], y[train])
        for values, value in zip((seconds, memory), cost, strict=True):
            values.append(value)
        accuracies.append(pipeline.score(X[test], y[test]))
        losses.append(log_loss(y[test], pipeline.predict_proba(X[test])))
    return np.mean(accuracies), np.mean(losses), np.median(seconds), np.max(memory)


def figure(rows):
    names = list(dict.fromkeys(row["set"] for row in rows))
    fig, axes = panels(1, len(names), width=3.6)
    for ax, name in zip(axes[0], names, strict=True):
        mine = [row for row in rows if row["set"] == name and row["folds"] == "shuffled"]
        score_against_cost(
            ax, mine, "classifier", "accuracy", cost="seconds", x_label="seconds to fit", y_label="accuracy"
        )
        ax.set_title(f"{name}, shuffled folds")
    legend_below(fig, axes[0, 0], 2)
    return fig


TABLES = {"classification": figure}


def main(arguments=None):
    parser = argument_parser(__spec__, __doc__)
    parser.add_argument("--sets", nargs="*", choices=list(SETS), default=list(SETS))
    arguments = parser.parse_args(arguments)
    rows = []
    for name in arguments.sets:
        X, y = SETS[name](return_X_y=True)
        for label, classifier in CLASSIFIERS.items():
            for kind, folds in FOLDS.items():
                accuracy, loss, seconds, memory = in_fresh_process(five_folds, classifier, X, y, folds)
                rows.append({
                    "set": name, "folds": kind, "classifier": label, "accuracy": rounded(accuracy, 4),
                    "log loss": rounded(loss), "seconds": rounded(seconds), "MB": megabytes(memory),
                })  # fmt: skip
                print(rows[-1], flush=True)
    write_table("classification", rows, arguments, figure)


if __name__ == "__main__":
    main()
