"""Classifiers at defaults, which nobody tuned: accuracy, log loss, seconds to fit, and mean ranks.

python -m benchmarks.default_classifiers [--sets ...] [--splits 10] [--rows 5000] [--test-rows 10000]

The tables come with scikit-learn and the packages of the extra "benchmark", see
`benchmarks.classification_tables`.  A split has 80 % of the rows for training and 20 % for the
test, drawn at random within each class; of longer parts, --rows and --test-rows rows are drawn.
Missing values are imputed, categories become columns of 0 and 1, and all classifiers stand behind
a StandardScaler.  SVC gives no probabilities, so that its log loss is blank.
Means over splits come with standard errors, seconds are medians.

The second table compares over all sets the classifiers that ran on all.  Ranks are those of
the mean of each set.  "loss ratio" is the geometric mean over sets of the log loss in units of
MLPClassifier's, "better loss" the number of sets on which it is below 1.  "gain" is the mean
over sets of the accuracy less that of MLPClassifier, "better accuracy" the number of sets on
which it is above 0, "least gain" the worst, and "fit ratio" the median of the ratios of seconds
to fit.

Every fit is written to default_classifiers_runs.csv in the folder of tables (or --runs FILE) as
soon as it is done, and not run again: after an interruption the same command goes on.  After a
change of a classifier, remove that file or name another one.
"""

import warnings
from functools import partial

import numpy as np
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from benchmarks.classification_tables import PACKAGES, SETS, load, load_split
from benchmarks.common import argument_parser, in_fresh_process, measured, rounded
from benchmarks.figures import legend_below, panels, panels_of_sets, score_against_cost
from benchmarks.runs import (
    Runs,
    add_options,
    against,
    markdown,
    mean_ranks,
    plain_markdown,
    summary,
    table_of,
    take_turns,
    wanted,
    with_error,
)
from benchmarks.tables import write_table
from sksparsenn import SketchedGaussNewtonClassifier, SparseShiftedReLUClassifier

RIVAL = "MLPClassifier"
MODELS = {
    "SketchedGaussNewtonClassifier": SketchedGaussNewtonClassifier(random_state=0),
    "SparseShiftedReLUClassifier": SparseShiftedReLUClassifier(random_state=0),
    RIVAL: MLPClassifier(random_state=0),
    "HistGradientBoostingClassifier": HistGradientBoostingClassifier(random_state=0),
    "RandomForestClassifier": RandomForestClassifier(random_state=0),
    "LogisticRegression": LogisticRegression(),
    "SVC": SVC(),  # last, so that the others look the same in a figure without it
}
SCORES = "accuracy", "log loss"
SIZES = "rows", "test rows", "features", "classes"
COLUMNS = *SIZES, *SCORES, "fit s"


# -- fits ---------------------------------------------------------------------------------


def fit(rows, test_rows, name, split, model):
    """The row of a fit."""
    parts = X, y, X_test, _ = load_split(name, split, rows, test_rows)
    sizes = zip(SIZES, (len(X), len(X_test), X.shape[1], len(np.unique(y))), strict=True)
    result = in_fresh_process(evaluate, MODELS[model], *parts)
    return dict(sizes) | {key: rounded(value, 5) for key, value in result.items()}


def evaluate(classifier, X, y, X_test, y_test):
    """Scores and seconds of a fit; NaN for the log loss of a classifier without probabilities."""
    warnings.simplefilter("ignore")  # of MLPClassifier, whose defaults stop after 200 epochs
    model = make_pipeline(StandardScaler(), clone(classifier))
    clone(model).fit(X[:100], y[:100])  # loads what is loaded late, starts threads
    _, seconds, _ = measured(model.fit, X, y)
    loss = np.nan
    if hasattr(model, "predict_proba"):
        loss = log_loss(y_test, model.predict_proba(X_test), labels=model.classes_)
    return {"accuracy": float(model.score(X_test, y_test)), "log loss": float(loss), "fit s": seconds}


# -- tables -------------------------------------------------------------------------------


def comparison(rows):
    """A row for each classifier that ran on all sets."""
    names = list(dict.fromkeys(row["set"] for row in rows))
    losses, accuracies, seconds = (table_of(rows, key, MODELS, names) for key in ("log loss", "accuracy", "fit s"))
    ranks, rival = {"log loss": mean_ranks(losses), "accuracy": mean_ranks(-accuracies)}, list(MODELS).index(RIVAL)
    compared = []
    for k, model in enumerate(MODELS):
        if np.isnan(ranks["accuracy"][k]):
            continue
        ratio, better, worst, where = against(losses[k], losses[rival], names)
        gains = accuracies[k] - accuracies[rival]
        compared.append({
            "sets": len(names), "model": model,
            **{f"mean rank, {key}": rounded(values[k]) for key, values in ranks.items()},
            "loss ratio": ratio, "better loss": better, "worst ratio": worst, "worst set": where,
            "gain": rounded(gains.mean()), "better accuracy": int((gains > 0).sum()),
            "least gain": rounded(gains.min()),
            "fit ratio": rounded(np.median(seconds[k] / seconds[rival])),
        })  # fmt: skip
    return compared


KINDS = {
    "Accuracy": lambda row: with_error(row["accuracy"], row["accuracy se"]),
    "Log loss": lambda row: with_error(row["log loss"], row["log loss se"]),
    "Seconds to fit": lambda row: f"{row['fit s']:.2g}",
}


def figure(rows):
    return panels_of_sets(rows, "log loss", spread="log loss se", y_label="log loss", n_columns=4)


def figure_of_ranks(rows):
    """Mean ranks against seconds to fit."""
    fig, axes = panels(1, 2)
    for ax, score in zip(axes[0], SCORES, strict=True):
        score_against_cost(
            ax, rows, "model", f"mean rank, {score}", cost="fit ratio",
            x_label=f"seconds to fit / {RIVAL}'s", y_label=f"mean rank in {score}",
        )  # fmt: skip
        ax.set_title(f"{rows[0]['sets']} sets")
    legend_below(fig, axes[0, 0])
    return fig


TABLES = {"default_classifiers": figure, "default_classifiers_ranks": figure_of_ranks}


def main(arguments=None):
    parser = argument_parser(__spec__, __doc__)
    add_options(parser, list(SETS))
    parser.add_argument("--rows", type=int, default=5_000, help="most training rows")
    parser.add_argument("--test-rows", type=int, default=10_000, help="most test rows")
    arguments = parser.parse_args(arguments)
    names = arguments.sets or list(SETS)
    for name in names:
        load(name)  # before the first fit, in case that a package is missing
    limits = {"rows": arguments.rows, "test rows": arguments.test_rows}
    runs = Runs(arguments.runs or arguments.output / "default_classifiers_runs.csv", COLUMNS, PACKAGES, **limits)
    models = wanted(MODELS, arguments.models)
    take_turns(runs, names, arguments.splits, models, partial(fit, *limits.values()))
    rows = summary(runs.rows, MODELS, SIZES, SCORES, ("fit s",))
    ranks = comparison(rows)
    write_table("default_classifiers", rows, arguments, figure, PACKAGES)
    write_table("default_classifiers_ranks", ranks, arguments, figure_of_ranks, PACKAGES)
    print("\n".join([*markdown(rows, KINDS), *plain_markdown(ranks, "Over sets")]))


if __name__ == "__main__":
    main()
