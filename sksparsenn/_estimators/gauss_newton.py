"""Second-order training: Gauss-Newton over firing pairs, for the regressor and the classifier."""

from functools import partial
from numbers import Real

import numpy as np

from sksparsenn._estimators.base import BaseShiftedReLU
from sksparsenn._estimators.callbacks import Progress
from sksparsenn._estimators.docstrings import FIT, shares
from sksparsenn._search.choice import make_search
from sksparsenn._solvers.choice import AutomaticSolver
from sksparsenn._solvers.cholesky import CholeskySolver
from sksparsenn._solvers.nystrom import NYSTROM_RESIDUAL, NystromSolver
from sksparsenn._solvers.sketched_qr import SketchSolver
from sksparsenn._training.problem import Problem
from sksparsenn._training.resuming import recall
from sksparsenn._training.trust_region import Options, State, train
from sksparsenn._utils.blas_threads import single_blas_thread
from sksparsenn._utils.range import unit_of
from sksparsenn._utils.sklearn import Interval, OneOf, StrOptions, _fit_context

# More rows, as a multiple of the order, fit into no memory.
LARGEST_SKETCH = 1e9

# What is recorded of an iteration and kept as a curve of the same name.
CURVES = (
    "damping", "accepted", "inner_iterations", "residual", "neurons_moved", "pairs_changed", "firing_fraction",
)  # fmt: skip


class SketchedGaussNewton(BaseShiftedReLU):
    """What SketchedGaussNewtonRegressor and SketchedGaussNewtonClassifier share."""

    _shift_share = 0.48
    _residual = NYSTROM_RESIDUAL
    """Where solver "nystrom" stops."""

    _parameter_constraints = {  # noqa: RUF012 (the form scikit-learn prescribes)
        **BaseShiftedReLU._parameter_constraints,
        "solver": [StrOptions({"auto", "sketch", "cholesky", "nystrom"})],
        "sketch": [StrOptions({"sparse_sign", "srht", "gaussian"})],
        "sketch_size": [Interval(Real, 1, None, closed="left")],
        "iterative_solver": [StrOptions({"cg", "gradient"})],
        "search": [StrOptions({"auto", "max_tree", "margin", "brute"})],
        "damping": [StrOptions({"adaptive"}), OneOf(Real, {0})],
    }

    @single_blas_thread()
    @_fit_context(prefer_skip_nested_validation=True)
    @shares(FIT)
    def fit(self, X, y, sample_weight=None, *, X_val=None, y_val=None, sample_weight_val=None):
        """Fit the network.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples.  float32 networks are evaluated in float32; steps are computed in float64.

        {y}

        {sample_weight}

        {X_val}

        {sample_weight_val}

        Returns
        -------
        {self}
        """
        with self._unchanged_on_failure():
            # Validate, hold out, lift, initialise.
            continues = self._continues()
            held_out = X_val, y_val, sample_weight_val
            start = self._start(X, y, sample_weight, held_out, in_batches=False, continues=continues)
            network = start.network
            # The objective is computed in units of the weights where these are so small or large that squares are out
            # of range, and damping out of proportion.
            unit = float(unit_of(start.weights.mean(), ordinary=32))
            weights, total_weight = start.weights / unit, float(start.weights.sum())
            search = make_search(self.search, start.samples, network.weights, network.threshold, in_batches=False)
            problem = Problem(start.samples, start.y, weights, start.targets.make_loss(), search, float(weights.sum()))
            options = Options(self.damping == "adaptive", self.alpha, self.max_iter, self.tol, unit)
            state = State(network, start.anchor)
            resumes = bool(start.memory)
            recall(start.memory, state, start.early_stopping)

            # Search, forward, loss, step, maintain.
            progress = Progress(
                self, X, y, sample_weight, self.max_iter,
                lambda state: self._fitted(start, state.point.network.weights),
                self._line(partial(described, n_before=self.n_iter_ if resumes else 0), start.early_stopping),
            )  # fmt: skip
            solver = self._make_solver(start.random_state)
            kept = train(problem, state, solver, options, start.early_stopping, progress)

            # Store.
            self._require_room_for_predictions(start, kept)
            objectives = [step.objective for step in state.history] + [state.point.objective(state.ridge)]
            self._warn(state, objectives, start.early_stopping)
            vars(self).update(self._fitted(start, kept))
            self.search_, self.solver_ = search.name, solver.name
            self._store_history(state, unit, total_weight, resumes)
            self._store_validation(start.early_stopping)
            last_weights = state.point.network.weights
            self._training = self._memory(start, last_weights, kept, state) if self.warm_start else {}
            progress.end(state)
        return self

    def _make_solver(self, random_state):
        """Return the solver of that name; for "auto" one that chooses for each Jacobian."""
        random_state = np.random.RandomState(random_state.randint(2**31 - 1))
        if self.sketch_size > LARGEST_SKETCH:
            raise ValueError(f"sketch_size={self.sketch_size:.4g} asks for too many rows: use one near 4.")

        def make(name):
            if name == "cholesky":
                return CholeskySolver()
            if name == "nystrom":
                return NystromSolver(random_state, self._residual)
            return SketchSolver(self.sketch, self.sketch_size, self.iterative_solver, random_state)

        return AutomaticSolver(make, self.sketch_size) if self.solver == "auto" else make(self.solver)

    def _store_history(self, state, unit, total_weight, resumes):
        """Store the record of iterations, an array for each quantity, after that of the fit this one goes on from."""
        history = state.history
        curves = {f"{name}_curve_": np.array([getattr(step, name) for step in history]) for name in CURVES}
        curves["objective_curve_"] = np.array([step.objective for step in history]) * unit
        curves["damping_curve_"] *= unit
        work_curve = [step.work for step in history]
        if resumes:
            curves = {name: np.concatenate([getattr(self, name), curve]) for name, curve in curves.items()}
            work_curve = self._work_curve() + work_curve
        vars(self).update(curves)
        self._store_work(work_curve)
        self.loss_curve_ = self.objective_curve_ / total_weight
        self.objective_ = state.point.objective(state.ridge) * unit
        self.n_iter_ = len(self.objective_curve_)
        self.stop_reason_ = state.stop_reason


def described(state, n_before):
    """Return a description of the last iteration, which comes after so many of the fit that this one goes on from."""
    step = state.history[-1]
    return (
        f"iteration {n_before + len(state.history)}: objective {state.point.objective(state.ridge):.6g}, "
        f"damping {step.damping:.2g}, step {'kept' if step.accepted else 'taken back'}, "
        f"{step.inner_iterations} inner iterations, {step.firing_fraction:.2%} of pairs fire"
    )
