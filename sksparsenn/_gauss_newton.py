"""SketchedGaussNewtonRegressor: a shifted-ReLU network trained by second-order steps over firing pairs."""

from numbers import Real
from time import perf_counter

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils import check_random_state

from sksparsenn._base import BaseShiftedReLU
from sksparsenn._linear_solvers import CholeskySolver, NystromSolver, SketchSolver
from sksparsenn._search import make_search, require_training_memory
from sksparsenn._sklearn import Interval, OneOf, StrOptions, _fit_context, single_blas_thread
from sksparsenn._solver_choice import Problem, choose_solver
from sksparsenn._trust_region import Data, Options, State, train


class SketchedGaussNewtonRegressor(RegressorMixin, BaseShiftedReLU):
    """TODO"""

    _parameter_constraints = {  # noqa: RUF012
        **BaseShiftedReLU._parameter_constraints,
        "solver": [StrOptions({"auto", "sketch", "cholesky", "nystrom"})],
        "sketch": [StrOptions({"sparse_sign", "srht", "gaussian"})],
        "sketch_size": [Interval(Real, 1, None, closed="left")],
        "iterative_solver": [StrOptions({"cg", "gradient"})],
        "search": [StrOptions({"auto", "max_tree", "margin", "brute"})],
        "damping": [StrOptions({"adaptive"}), OneOf(Real, {0})],
    }

    def __init__(
        self,
        width=512,
        *,
        shift="auto",
        threshold=None,
        solver="auto",
        sketch="sparse_sign",
        sketch_size=4.0,
        iterative_solver="cg",
        search="auto",
        alpha=0.001,
        output_scale=1.0,
        init="paired",
        max_iter=25,
        tol=1e-3,
        damping="adaptive",
        fit_intercept=True,
        intercept_scaling=1.0,
        random_state=None,
        warm_start=False,
        verbose=False,
    ):
        self.width = width
        self.shift = shift
        self.threshold = threshold
        self.solver = solver
        self.sketch = sketch
        self.sketch_size = sketch_size
        self.iterative_solver = iterative_solver
        self.search = search
        self.alpha = alpha
        self.output_scale = output_scale
        self.init = init
        self.max_iter = max_iter
        self.tol = tol
        self.damping = damping
        self.fit_intercept = fit_intercept
        self.intercept_scaling = intercept_scaling
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None):
        """Fit the network.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples.  float32 networks are evaluated in float32; steps are computed in float64.

        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets.

        sample_weight : array-like of shape (n_samples,), optional
            A sample of weight 2 counts as two samples.

        Returns
        -------
        self : object
            Fitted estimator.
        """
        # Validate, lift, initialise.
        self._check_width()
        shift, threshold = self._activation(share=0.48)
        X, y, weights, single_output = self._read(X, y, sample_weight)
        random_state = check_random_state(self.random_state)
        lift, standardiser = self._standard_units(X, y, weights)
        samples = lift(X, X.dtype)
        require_training_memory(samples, self.width)
        n_lifted = X.shape[1] + lift.n_added
        data = Data(samples, standardiser(y, X.dtype), weights, n_lifted)
        network, anchor = self._first_network(n_lifted, y.shape[1], shift, threshold, random_state, X.dtype)

        # Search, forward, loss, step, maintain.
        search = make_search(self.search, samples, network.weights, threshold, in_batches=False)
        state = State(network, anchor)
        options = Options(self.damping == "adaptive", self.alpha, self.max_iter, self.tol)
        with single_blas_thread():
            solver = self._make_solver(data, network, random_state)
            train(data, state, search, solver, options, self._reporter())

        # Store.
        self._store(network, state.point.network.weights, anchor, n_lifted, lift, standardiser, single_output)
        self.search_, self.solver_ = search.name, solver.name
        self._store_history(state, float(weights.sum()))
        return self

    def _make_solver(self, data, network, random_state):
        """The solver of that name; for "auto" the one that the cost model favours for the first pattern."""
        name = self.solver
        if name == "auto":
            firing = network.firing(data.X)
            n_neurons = int((firing.counts > 0).sum())
            problem = Problem(len(data.X), data.n_features, data.y.shape[1], n_neurons, firing.n_pairs)
            name = choose_solver(problem, self.sketch_size)
        random_state = np.random.RandomState(random_state.randint(2**31 - 1))
        if name == "cholesky":
            return CholeskySolver()
        if name == "nystrom":
            return NystromSolver(random_state)
        return SketchSolver(self.sketch, self.sketch_size, self.iterative_solver, random_state)

    def _store_history(self, state, total_weight):
        """The record of iterations as one array for each quantity."""
        history = state.history
        self.objective_curve_ = np.array([step.objective for step in history])
        self.objective_ = state.point.objective
        self.loss_curve_ = self.objective_curve_ / total_weight
        self.damping_curve_ = np.array([step.damping for step in history])
        self.accepted_curve_ = np.array([step.accepted for step in history])
        self.inner_iterations_curve_ = np.array([step.inner_iterations for step in history])
        self.residual_curve_ = np.array([step.residual for step in history])
        self.neurons_moved_curve_ = np.array([step.neurons_moved for step in history])
        self.pairs_changed_curve_ = np.array([step.pairs_changed for step in history])
        self.firing_fraction_curve_ = np.array([step.firing_fraction for step in history])
        self.pairs_evaluated_curve_ = np.array([step.work.pairs_evaluated for step in history])
        self.nodes_visited_curve_ = np.array([step.work.nodes_visited for step in history])
        self.neurons_rescanned_curve_ = np.array([step.work.neurons_rescanned for step in history])
        self.n_iter_ = len(history)
        self.stop_reason_ = state.stop_reason

    def _reporter(self):
        """What to call after each iteration: prints one line if verbose."""
        if not self.verbose:
            return None
        start = perf_counter()

        def report(iteration, state):
            step = state.history[-1]
            print(
                f"iteration {iteration + 1}: objective {state.point.objective:.6g}, damping {step.damping:.2g}, "
                f"step {'kept' if step.accepted else 'taken back'}, {step.inner_iterations} inner iterations, "
                f"{step.firing_fraction:.2%} of pairs fire, {perf_counter() - start:.2f} s"
            )

        return report
