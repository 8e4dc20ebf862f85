"""Classifiers at defaults against MLPClassifier at defaults: five-fold accuracy, log loss, seconds to fit.

python -m benchmarks.classification

Each classifier stands behind a StandardScaler.  Folds are scikit-learn's for cv=5, not
shuffled, and five shuffled ones; means over the five are given.
"""

import warnings
from time import perf_counter

import numpy as np
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.common import rounded, write_table
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
    """Mean accuracy and log loss on the five test parts, median seconds to fit."""
    accuracies, losses, seconds = [], [], []
    for train, test in folds.split(X, y):
        pipeline = make_pipeline(StandardScaler(), clone(classifier))
        start = perf_counter()
        pipeline.fit(X[train], y[train])
        seconds.append(perf_counter() - start)
        accuracies.append(pipeline.score(X[test], y[test]))
        losses.append(log_loss(y[test], pipeline.predict_proba(X[test])))
    return np.mean(accuracies), np.mean(losses), np.median(seconds)


def main():
    warnings.simplefilter("ignore", ConvergenceWarning)
    rows = []
    for name, load in SETS.items():
        X, y = load(return_X_y=True)
        for label, classifier in CLASSIFIERS.items():
            for kind, folds in FOLDS.items():
                accuracy, loss, seconds = five_folds(classifier, X, y, folds)
                rows.append({
                    "set": name, "folds": kind, "classifier": label, "accuracy": rounded(accuracy, 4),
                    "log loss": rounded(loss), "seconds": rounded(seconds),
                })  # fmt: skip
                print(rows[-1], flush=True)
    write_table("classification", rows)


if __name__ == "__main__":
    main()
