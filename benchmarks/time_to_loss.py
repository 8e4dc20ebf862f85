"""Seconds until the training error is that of a fully trained rival: MLPRegressor and torch-levenberg-marquardt.

python -m benchmarks.time_to_loss --data FOLDER [--repeat 3] [--limit 600]

FOLDER holds regression sets as described in `benchmarks.common.load_split`; split 0 is used.
Features and target are standardised, so that losses, mean squared errors of predictions on
the training rows without any penalty, are shares of the target's variance.  Each rival
trains to its own end; then `SketchedGaussNewtonRegressor` trains until its loss is no larger.
Races are repeated and medians taken, but for those in which the rival takes longer than `LONG`.
Seconds are those of the whole fit, set-up included; `OURS` are our parameters in every race.

The rivals are scikit-learn's MLPRegressor at defaults with solver="adam" and with "lbfgs",
and Levenberg-Marquardt on the same architecture (one hidden layer of 100 units, full batch,
50 steps) with tanh and with ReLU, solved by Cholesky, the fastest choice it offers; all on
as many threads as they want.  Memory is the peak of a process during the whole training
beyond what it held before, with the table in it.
"""

import warnings
from contextlib import suppress
from dataclasses import dataclass
from time import perf_counter, sleep

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor
from sklearn.preprocessing import StandardScaler

from benchmarks.common import (
    argument_parser,
    in_fresh_process,
    load_split,
    measured,
    megabytes,
    rounded,
    set_names,
)
from benchmarks.figures import panels, plain
from benchmarks.tables import write_table
from sksparsenn import SketchedGaussNewtonRegressor
from sksparsenn._samples.lift import Standardiser

# No ridge, for the race is about training error, and no end but the rival's loss: regularisation and stopping rules
# do not matter here.  Everything else that bears on speed is fixed, so that the race does not change with defaults.
OURS = {
    "width": 640, "solver": "nystrom", "alpha": 0.0, "output_scale": 2.0, "intercept_scaling": 1.0,
    "damping": "adaptive", "max_iter": 500, "tol": 0, "linear_part": False, "cv": None, "random_state": 0,
}  # fmt: skip

LEVENBERG_MARQUARDT_STEPS = 50
PAUSE = 0.3  # seconds between races, in which the threads of the last one, which wait in a loop, go to sleep
LONG = 30  # seconds
ROWS_AT_ONCE = 4096  # of the rival's dense Jacobian, so that it stays in memory


class _Finished(Exception):
    """The loss is reached, or the time is over."""


@dataclass
class Course:
    """A race: where it ends, and how it went; an estimator whose fit is cut short keeps nothing else."""

    target: np.ndarray
    goal: float
    limit: float
    start: float
    seconds: float = 0.0
    looking: float = 0.0
    """Seconds spent on looking at the loss."""
    iterations: int = 0
    loss: float = np.inf


class RacingRegressor(SketchedGaussNewtonRegressor):
    """Trains until a loss is reached; the time that looking at the loss takes does not count."""

    def race(self, X, y, goal, limit):
        """Seconds, iterations and loss at the end; the race is lost if the loss is above the goal."""
        shares = np.full(len(X), 1 / len(X))
        target = Standardiser.fit(y[:, None], shares, self.fit_intercept)(y[:, None], np.float64)
        self.course = Course(target, goal, limit, perf_counter())
        with suppress(_Finished):
            self.fit(X, y)
        return self.course.seconds, self.course.iterations, self.course.loss

    def _line(self, *_):
        course = self.course

        def look(trainings):
            now, state = perf_counter(), trainings[0].state
            course.seconds, course.iterations = now - course.start - course.looking, len(state.history)
            course.loss = float(np.mean((state.point.evaluation.outputs - course.target) ** 2))
            if course.loss <= course.goal or course.seconds > course.limit:
                raise _Finished
            course.looking += perf_counter() - now

        return look


def multilayer_perceptron(solver):
    def fit(X, y):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the defaults stop after 200 epochs
            return MLPRegressor(solver=solver, random_state=0).fit(X, y).predict

    return fit


def levenberg_marquardt(activation):
    import torch
    from torch_levenberg_marquardt.training import LevenbergMarquardtModule

    def fit(X, y):
        torch.manual_seed(0)
        inputs, targets = torch.from_numpy(X), torch.from_numpy(y[:, None].astype(X.dtype))
        hidden, activate = torch.nn.Linear(X.shape[1], 100), getattr(torch.nn, activation)()
        network = torch.nn.Sequential(hidden, activate, torch.nn.Linear(100, 1)).to(inputs.dtype)
        module = LevenbergMarquardtModule(network, solve_method="cholesky", max_batch_size=ROWS_AT_ONCE)
        for _ in range(LEVENBERG_MARQUARDT_STEPS):
            *_, stop, _ = module.training_step(inputs, targets)
            if stop:
                break

        def predict(X):
            with torch.no_grad():
                return network(torch.from_numpy(X)).numpy()[:, 0]

        return predict

    return fit


RIVALS = {
    "MLPRegressor adam": lambda: multilayer_perceptron("adam"),
    "MLPRegressor lbfgs": lambda: multilayer_perceptron("lbfgs"),
    "Levenberg-Marquardt tanh": lambda: levenberg_marquardt("Tanh"),
    "Levenberg-Marquardt ReLU": lambda: levenberg_marquardt("ReLU"),
}


def race(X, y, rival, repeat, limit):
    """Rival and ours in turn, several times; a machine whose speed drifts treats both alike.

    Returns the medians of the rival's seconds and loss and of our seconds, iterations, loss and
    ratio, and the rival's memory at its first fit.
    """
    fit, rounds = RIVALS[rival](), []
    warm_up(X, y, fit)
    for _ in range(repeat):
        sleep(PAUSE)
        predict, theirs, memory = measured(fit, X, y)
        goal = float(np.mean((predict(X) - y) ** 2))
        sleep(PAUSE)
        ours, iterations, loss = RacingRegressor(**OURS).race(X, y, goal, limit)
        rounds.append((theirs, goal, ours, iterations, loss, theirs / ours if loss <= goal else 0.0, memory))
        if theirs > LONG:
            break
    return *np.median(rounds, axis=0)[:-1], rounds[0][-1]


def warm_up(X, y, fit=None):
    """Load libraries and start threads."""
    if fit is not None:
        fit(X[:100], y[:100])
    RacingRegressor(**OURS).race(X[:100], y[:100], np.inf, 1.0)


def our_memory(X, y, goal, limit):
    """Bytes at the peak of our training to that loss."""
    warm_up(X, y)
    return measured(RacingRegressor(**OURS).race, X, y, goal, limit)[2]


def compare(name, X, y, rival, repeat, limit):
    """One row of the result; races and memories are measured in processes of their own."""
    theirs, goal, ours, iterations, loss, ratio, memory = in_fresh_process(race, X, y, rival, repeat, limit)
    # The rivals repeat themselves up to rounding; a race that is lost counts as an infinitely slow one.
    reached = ratio > 0
    row = {
        "set": name,
        "n": len(X),
        "d": X.shape[1],
        "rival": rival,
        "rival loss": rounded(goal),
        "rival s": rounded(theirs),
        "our s": rounded(ours) if reached else f"not reached in {ours:.3g}",
        "our iterations": int(iterations),
        "our loss": rounded(loss),
        "rival / ours": rounded(ratio) if reached else "",
        "rival MB": megabytes(memory),
        "our MB": megabytes(in_fresh_process(our_memory, X, y, goal, limit)),
    }
    print(row, flush=True)
    return row


def summarise(rows):
    """Median and smallest ratio against each rival; a race that was lost has ratio zero."""
    for rival in dict.fromkeys(row["rival"] for row in rows):
        ratios = np.array([row["rival / ours"] or 0.0 for row in rows if row["rival"] == rival])
        print(
            f"{rival}: {np.median(ratios):.3g} times our seconds (median), at least {ratios.min():.3g} times; "
            f"not reached on {(ratios == 0).sum()} of {len(ratios)} sets"
        )


def figure(rows):
    """How many times our seconds each rival takes; races that were lost are crosses at the edge."""
    fig, axes = panels(width=6.5, height=3.6)
    ax, names = axes[0, 0], list(dict.fromkeys(row["set"] for row in rows))
    smallest = 0.7 * min([row["rival / ours"] or 1.0 for row in rows])
    for k, rival in enumerate(dict.fromkeys(row["rival"] for row in rows)):
        mine = [row for row in rows if row["rival"] == rival]
        places = [names.index(row["set"]) + 0.15 * (k - 1.5) for row in mine]
        ratios = np.array([row["rival / ours"] or np.nan for row in mine])
        (drawn,) = ax.plot(ratios, places, linestyle="none", label=rival)
        lost = [place for place, ratio in zip(places, ratios, strict=True) if np.isnan(ratio)]
        ax.plot([smallest] * len(lost), lost, linestyle="none", marker="x", color=drawn.get_color())
    ax.axvline(1, color="black", linewidth=0.8)
    ax.set_yticks(range(len(names)), names)
    ax.set(xscale="log", xlabel="seconds of the rival / ours to its training error (x: not reached)", ylabel="set")
    plain(ax.xaxis)
    fig.legend(loc="outside lower center", ncols=2)
    ax.invert_yaxis()
    return fig


TABLES = {"time_to_loss": figure}


def main(arguments=None):
    parser = argument_parser(__spec__, __doc__, needs_data=True)
    parser.add_argument("--sets", nargs="*", help="names of the sets; all in the folder by default")
    parser.add_argument("--rivals", nargs="*", choices=list(RIVALS), default=list(RIVALS))
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--most-rows", type=int, default=10**9, help="of sets on which Levenberg-Marquardt runs")
    parser.add_argument("--limit", type=float, default=600.0, help="seconds after which a race is lost")
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32", help="of everybody's features")
    arguments = parser.parse_args(arguments)
    rows = []
    for name in arguments.sets or set_names(arguments.data):
        X, y = load_split(arguments.data, name, 0)[:2]
        X = StandardScaler().fit_transform(X).astype(arguments.dtype)
        y = StandardScaler().fit_transform(y[:, None])[:, 0]
        for rival in arguments.rivals:
            if len(X) <= arguments.most_rows or not rival.startswith("Levenberg"):
                rows.append(compare(name, X, y, rival, arguments.repeat, arguments.limit))
    write_table("time_to_loss", rows, arguments, figure, ["torch", "torch-levenberg-marquardt"])
    summarise(rows)


if __name__ == "__main__":
    main()
