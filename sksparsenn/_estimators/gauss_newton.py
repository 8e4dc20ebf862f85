"""Second-order training: Gauss-Newton over firing pairs, for the regressor and the classifier."""

from numbers import Real

import numpy as np

from sksparsenn._estimators.base import BaseShiftedReLU
from sksparsenn._estimators.committee import joined
from sksparsenn._estimators.docstrings import FIT, shares
from sksparsenn._estimators.start import Weighting
from sksparsenn._estimators.summed_rows import Terms, summed_growing_rows
from sksparsenn._estimators.summed_start import SummedMember
from sksparsenn._search.choice import make_search
from sksparsenn._solvers.choice import AutomaticSolver
from sksparsenn._solvers.cholesky import CholeskySolver
from sksparsenn._solvers.conjugate_gradients import PATH_RESIDUAL, ConjugateGradientSolver
from sksparsenn._solvers.nystrom import NYSTROM_RESIDUAL, NystromSolver
from sksparsenn._solvers.row_sample import RowSampleSolver
from sksparsenn._solvers.sketched_qr import SketchSolver
from sksparsenn._solvers.summed import SOLVERS, make_summed_solver
from sksparsenn._training.growing_rows import growing_rows
from sksparsenn._training.problem import Problem
from sksparsenn._training.resuming import recall
from sksparsenn._training.ridge_path import ridge_of
from sksparsenn._training.side_by_side import Training
from sksparsenn._training.trust_region import Iteration, Options, State, train
from sksparsenn._utils.blas_threads import single_blas_thread
from sksparsenn._utils.range import unit_of
from sksparsenn._utils.sklearn import Interval, OneOf, StrOptions, _fit_context

# More rows, as a multiple of the order, fit into no memory.
LARGEST_SKETCH = 1e9

# What is recorded of an iteration and kept as a curve of the same name.
# Of a committee it is the mean over the networks, or the sum.
CURVES = {
    "alpha": "longest", "objective": "mean", "damping": "mean", "accepted": "all", "inner_iterations": "sum",
    "residual": "mean", "neurons_moved": "sum", "pairs_changed": "sum", "firing_fraction": "mean",
    "pairs_evaluated": "sum", "nodes_visited": "sum", "neurons_rescanned": "sum", "rows": "sum",
}  # fmt: skip


class SecondOrderTraining(Training):
    """The training of a network by Gauss-Newton steps."""

    @property
    def weights(self):
        """The present weights."""
        return self.state.weights

    final_weights = weights

    def curve(self, name):
        """Return a quantity of each iteration."""
        kind = Iteration.__annotations__[name]
        return np.array([getattr(step, name) for step in self.state.history], dtype=kind)


class SketchedGaussNewton(BaseShiftedReLU):
    """What SketchedGaussNewtonRegressor and SketchedGaussNewtonClassifier share."""

    _shift_share = 0.48
    _residual = NYSTROM_RESIDUAL
    """Where solver "nystrom" stops."""

    _parameter_constraints = {  # noqa: RUF012 (the form scikit-learn prescribes)
        **BaseShiftedReLU._parameter_constraints,
        "alpha": [StrOptions({"auto"}), Interval(Real, 0, None, closed="left")],
        "solver": [StrOptions({"auto", "sketch", "cholesky", "nystrom", "cg", "sample"})],
        "sketch": [StrOptions({"sparse_sign", "srht", "gaussian"})],
        "sketch_size": [Interval(Real, 1, None, closed="left")],
        "iterative_solver": [StrOptions({"cg", "gradient"})],
        "search": [StrOptions({"auto", "max_tree", "margin", "brute"})],
        "damping": [StrOptions({"adaptive"}), OneOf(Real, {0})],
    }

    @single_blas_thread()
    @_fit_context(prefer_skip_nested_validation=True)
    @shares(FIT)
    def fit(
        self, X, y, sample_weight=None, *, groups=None, X_val=None, y_val=None, sample_weight_val=None,
    ):  # fmt: skip
        """Fit the network.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples.  float32 networks are evaluated in float32; steps are computed in float64.

        {y}

        {sample_weight}

        {groups}

        {X_val}

        {sample_weight_val}

        Returns
        -------
        {self}
        """
        with self._unchanged_on_failure():
            # Validate, hold out, lift, initialise.
            continues = self._continues()
            weighting, held_out = Weighting(sample_weight, groups), (X_val, y_val, sample_weight_val)
            start = self._open(X, y, weighting, held_out, continues=continues)
            self._train(start, X, y, sample_weight)
        return self

    def _train(self, start, X, y, sample_weight):
        """Train the networks of `start`, and store what came out; X, y and weights, as they came, are for callbacks."""
        # The objective is computed in units of the weights where these are so small or large that squares are out of
        # range, and damping out of proportion.
        unit = float(unit_of(start.mean_weight, ordinary=32))
        options = Options(self.damping == "adaptive", ridge_of(self.alpha), self.max_iter, self.tol, unit)
        trainings = [self._training_of(member, start.targets.make_loss(), options) for member in start.members]

        progress, kept = self._run(trainings, start, (X, y, sample_weight), described)
        self._warn(trainings, np.append(trainings[0].curve("objective"), trainings[0].state.objective))
        vars(self).update(self._fitted(start.members, kept))
        self._store_history(trainings, unit)
        self._store_validation(trainings)
        self._store_alpha(trainings)
        self._store_cross_validation(start)
        self._store_tree(start)
        self._training = self._memory(start, trainings, kept) if self.warm_start else {}
        progress.end()

    def _training_of(self, member, loss, options):
        """Return the training of a network."""
        if isinstance(member, SummedMember):
            return self._training_in_parts(member, loss, options)
        weights = member.weights / options.weight_unit
        total_weight = float(weights.sum())

        def make_problem(rows, share, W):
            """Return the problem of a sample of the rows that has this share of their weight."""
            samples = member.samples if share == 1 else member.samples[rows]
            search = make_search(self.search, samples, W, member.network.threshold, in_batches=False)
            offsets = None if member.offsets is None else member.offsets[rows]
            return Problem(
                samples, member.y[rows], weights[rows] / share, loss, search, total_weight, None, offsets, share
            )

        state = State(member.network, member.anchor)
        recall(member.memory, state, member.early_stopping)
        state.history = [Iteration(*step) for step in state.history]
        growing = growing_rows(member, weights, make_problem, state) if options.ridge.falls else None
        if growing is None:
            problem = make_problem(slice(None), 1.0, member.network.weights)
        else:
            problem = growing.problem(state.n_rows, member.network.weights)
        solver = self._make_solver(member.random_state, options.ridge.falls)
        iterations = train(problem, state, solver, options, member.early_stopping, growing)
        return SecondOrderTraining(iterations, state, member, problem, solver)

    def _training_in_parts(self, member, loss, options):
        """Return the training of a network whose rows are in parts."""
        rows, (n_rows, weight) = member.rows, member.rows.totals()
        unit, n_features = options.weight_unit, member.samples.n_features
        terms = Terms(member.network, n_features, loss, self.search, unit, weight / unit)
        state = State(member.network, member.anchor)
        growing = summed_growing_rows(member, n_rows, terms, state) if options.ridge.falls else None
        if growing is None:
            problem = rows.problem(terms, n_rows)
        else:
            problem = growing.problem(state.n_rows, member.network.weights)
        random_state = np.random.RandomState(member.random_state.randint(2**31 - 1))
        solver = make_summed_solver(self.solver, random_state, self._residual, options.ridge.falls)
        iterations = train(problem, state, solver, options, member.early_stopping, growing)
        return SecondOrderTraining(iterations, state, member, problem, solver)

    def _why_not_in_parts(self):
        """Return why the parameters ask for all rows in one memory, as a sentence, or None if they do not."""
        if self.solver not in SOLVERS:
            return f"solver={self.solver!r} takes rows of a matrix that no part has: use one of {', '.join(SOLVERS)}."
        return super()._why_not_in_parts()

    def _make_solver(self, random_state, on_path):
        """Return the solver of that name; for "auto" one that chooses for each Jacobian."""
        random_state = np.random.RandomState(random_state.randint(2**31 - 1))
        if self.sketch_size > LARGEST_SKETCH:
            raise ValueError(f"sketch_size={self.sketch_size:.4g} asks for too many rows: use one near 4.")

        of_few_digits = max(self._residual, PATH_RESIDUAL)

        def make(name):
            if name == "cholesky":
                return CholeskySolver()
            if name == "cg":
                return ConjugateGradientSolver(of_few_digits)
            if name in ("nystrom", "sample"):
                iterative = NystromSolver if name == "nystrom" else RowSampleSolver
                return iterative(random_state, of_few_digits if on_path else self._residual)
            return SketchSolver(self.sketch, self.sketch_size, self.iterative_solver, random_state)

        return AutomaticSolver(make, self.sketch_size, on_path) if self.solver == "auto" else make(self.solver)

    def _store_history(self, trainings, unit):
        """Store the record of iterations, an array for each quantity."""
        for name, how in CURVES.items():
            curve = joined([training.curve(name) for training in trainings], how)
            setattr(self, f"{name}_curve_", curve * unit if name in ("objective", "damping") else curve)
        total_weight = unit * np.mean([training.problem.total_weight for training in trainings])
        self.loss_curve_ = self.objective_curve_ / total_weight
        self.objective_ = float(np.mean([training.state.objective for training in trainings])) * unit
        self.n_iter_ = len(self.objective_curve_)
        self.search_, self.solver_ = trainings[0].problem.search_name, trainings[0].solver.name
        self.stop_reason_ = self._stop_reason(trainings)

    def _store_alpha(self, trainings):
        """Store the ridge at which the weights that are kept were found."""
        ridge = ridge_of(self.alpha)
        if ridge.falls:
            alphas = np.array(
                [training.state.history[training.early_stopping.best_iteration - 1].alpha for training in trainings]
            )
            self.alpha_ = alphas if len(trainings) > 1 else float(alphas[0])
        else:
            self.alpha_ = float(self.alpha)


def described(trainings):
    """Return a description of the last iteration."""
    states = [training.state for training in trainings]
    steps = [state.history[-1] for state in states]
    objective = np.mean([state.objective for state in states])
    kept = "kept" if all(step.accepted for step in steps) else "taken back"
    return (
        f"iteration {max(len(state.history) for state in states)}: objective {objective:.6g}, "
        f"damping {np.mean([step.damping for step in steps]):.2g}, step {kept}, "
        f"{round(np.mean([step.inner_iterations for step in steps]))} inner iterations, "
        f"{np.mean([step.firing_fraction for step in steps]):.2%} of pairs fire"
    )
