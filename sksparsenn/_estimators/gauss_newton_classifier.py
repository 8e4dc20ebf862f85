"""SketchedGaussNewtonClassifier: a shifted-ReLU network that tells classes apart, trained by second-order steps."""

from sksparsenn._estimators.classification import Classification
from sksparsenn._estimators.docstrings import ALL, CLASSIFIER, GAUSS_NEWTON, shares
from sksparsenn._estimators.gauss_newton import SketchedGaussNewton
from sksparsenn._utils.sklearn import StrOptions


@shares(ALL, GAUSS_NEWTON, CLASSIFIER)
class SketchedGaussNewtonClassifier(Classification, SketchedGaussNewton):
    """A classifier: a wide two-layer network with shifted ReLU, trained by second-order steps over firing pairs.

    Gauss-Newton needs no learning rate and few iterations.  Each solves a least-squares
    problem in the Jacobian J of the network, which is never written out: it is known by
    the pairs of neuron and sample that fire, found by exact search.

    Samples, network, labels, offsets and losses are those of `SparseShiftedReLUClassifier`: one
    output for two classes, one for each of more, all sharing hidden neurons and the
    search for those that fire.  Training changes the hidden weights W to minimise::

        F(W) = sum_i s_i loss(f(x_i), y_i) + mu / 2 * ||W - W_0||^2,    mu = alpha * t,

    where s_i are the sample weights times those of their classes, W_0 the initial weights
    and t the weighted mean of the tangent kernel's diagonal at the start.  With g_i the
    derivative of the loss in the outputs and h_i its curvature, the step u of an iteration
    minimises::

        sum_i s_i (<g_i, (J u)_i> + h_i / 2 * ||(J u)_i||^2)
            + mu / 2 * ||W + u - W_0||^2 + nu / 2 * ||u - 0.95 v||^2,

    v being the last step (half of it after a step that was not taken, none after two
    in a row), and is taken if it lowers F; the damping nu follows from how
    well the model foretold the decrease.  For the squared error h_i = 1; for the log loss
    the samples are weighted anew in every iteration: h_i = p (1 - p) for two classes of
    probabilities p and 1 - p, and for more min(max_o p_o, 2 max_o p_o (1 - p_o)), a bound
    on the largest eigenvalue of the Hessian diag(p) - p p^T; never less than 0.0001.

    Parameters
    ----------
    width : int, default=256
        Number of hidden neurons.

    {shift}

    {threshold}

    solver : {"auto", "sketch", "cholesky", "nystrom", "cg", "sample"}, default="auto"
        How a step is computed, on the smaller of J J^T, with a row for each sample and
        output, and J^T J, with a row for each weight of the neurons that fire at all.

        - "cholesky": forms the matrix from co-firing pairs and factors it; exact.
        - "sketch": the papers' solver.  A random sketch of ``sketch_size`` times as many
          rows as the matrix, its QR factor as preconditioner, and an iteration to a
          relative residual of 1e-10 [1]_ (Algorithm 5), [2]_ (Algorithm 2).
        - "nystrom": conjugate gradients that never form a matrix, to a relative residual
          of 0.1, preconditioned by a randomly pivoted partial Cholesky factor of
          adaptive rank; memory grows with rows times rank.
        - "cg": conjugate gradients without a preconditioner, to a relative residual of 0.1: steps
          of few digits, which large ridges make cheap.
        - "sample": conjugate gradients to the residual of "nystrom", on J^T J, preconditioned by the Cholesky
          factor of the matrix of a random sample of rows, four times as many as the matrix has: for tables with
          many more rows than the networks have weights.

        "auto" takes, for each Jacobian, the one that a cost model expects to be fastest;
        "cg" is among them with ``alpha="auto"``.

    {sketch}

    {sketch_size}

    {iterative_solver}

    {search}

    loss : {"log_loss", "squared_error"}, default="log_loss"
        The negative log-likelihood, which gives `predict_proba`, or the squared error on
        labels of -1 and +1 in standard units.

    {alpha}

    {output_scale}

    {init}

    {max_iter}

    {tol}

    {n_iter_no_change}

    {cv}

    {early_stopping}

    {validation_fraction}

    {damping}

    {fit_intercept}

    {intercept_scaling}

    {class_weight}

    {random_state}

    {warm_start}

    {verbose}

    Attributes
    ----------
    {hidden_weights_}

    {n_members_}

    {initial_weights_}

    {classes_}

    {output_weights_}

    {shift_}

    {objective_}

    {objective_curve_}

    loss_curve_ : ndarray of shape (n_iter_,)
        The same divided by the sum of the weights.

    {alpha_}

    {alpha_curve_}

    {damping_curve_}

    {accepted_curve_}

    {inner_iterations_curve_}

    {neurons_moved_curve_}

    {firing_fraction_curve_}

    {pairs_evaluated_curve_}

    {search_}

    {cv_prediction_}

    {cv_score_}

    {validation_scores_}

    {temperature_}

    {best_validation_score_}

    {best_iteration_}

    {stop_reason_}

    {n_iter_}

    {n_features_in_}

    {feature_names_in_}

    Raises
    ------
    ValueError
        For input that cannot be used, and if plain steps diverge or meet a singular
        matrix: the message says what was wrong and what to change.
    MemoryError
        If a matrix or the search would not fit into memory; the message names the amount.

    See Also
    --------
    SparseShiftedReLUClassifier : The same network, trained by gradient descent.

    Notes
    -----
    Outputs and the search are computed in the precision of X, steps always in float64.

    Departures from the papers:

    1. Samples are centred and lifted; the papers assume unit samples, one output and the
       squared error.  For more classes than two the Hessian of the log loss is replaced by
       a multiple of the identity that is no smaller, so that all outputs share one weight
       a sample.
    2. The papers' step is undamped.  On tables it overshoots the region in which nobody's
       firing changes, and diverges; hence the damping (Levenberg 1944, Marquardt 1963,
       Nielsen 1999), and the ridge.
    3. Damping pulls towards 0.95 times the last step rather than towards zero.  Along
       directions in which damping decides, steps are then those of gradient descent
       with momentum.
    4. The system is solved on its smaller side; the papers have more weights than
       samples and always take J J^T.
    5. Besides sketched QR there are solvers that are faster on two cores: Cholesky of the
       exact matrix up to some thousand rows, a Nystrom preconditioner beyond; and along a
       ridge path, where few digits do, conjugate gradients without a preconditioner, on
       either side for the system in J^T J.
    6. The iteration starts from the answer of the sketched problem, not from zero, and ends
       at a fixed relative residual, where the papers' sqrt(lambda / n) / 6 would need lambda.
       A preconditioner is kept until the iteration takes twice as many steps as when it was
       new; the papers make one in every iteration.
    7. Steps of ``iterative_solver="gradient"`` have the length that lowers the residual
       most; the papers' length of one needs an embedding of distortion 0.1.
    8. Algorithm 5 of [1]_ ends with g = z; it has to be g = R z, as in [2]_.
    9. With ``alpha="auto"`` the ridge falls from iteration to iteration, and F is that of the
       ridge of the moment.  The papers have no ridge.
    10. With `cv` several networks are trained, each stopped by rows that it leaves out, and
        their mean is returned; the papers train one, to the end.
    11. With ``alpha="auto"`` and more than 65,536 distinct rows, F is at first that of a sample of
        them, in units of all rows; the sample grows, and the last iterations see all rows
        unless `max_iter` comes first.
    12. More than 2,097,152 rows are taken in blocks; which fold a row belongs to then follows from a hash
        of its features.

    References
    ----------
    .. [1] Y. Deng, H. Hu, Z. Song, O. Weinstein and D. Zhuo, "Training Overparametrized
       Neural Networks in Sublinear Time", ITCS 2024, arXiv:2208.04508.
    .. [2] J. van den Brand, B. Peng, Z. Song and O. Weinstein, "Training
       (Overparametrized) Neural Networks in Near-Linear Time", ITCS 2021,
       arXiv:2006.11648.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.model_selection import train_test_split
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sksparsenn import SketchedGaussNewtonClassifier
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    >>> model = make_pipeline(StandardScaler(), SketchedGaussNewtonClassifier(random_state=0))
    >>> model.fit(X_train, y_train).score(X_test, y_test) > 0.95
    True
    >>> model.predict_proba(X_test[:3]).shape
    (3, 2)
    """

    _parameter_constraints = {  # noqa: RUF012 (the form scikit-learn prescribes)
        **SketchedGaussNewton._parameter_constraints,
        "loss": [StrOptions({"log_loss", "squared_error"})],
        "class_weight": [StrOptions({"balanced"}), dict, None],
    }

    # Weights of samples change from step to step, so that more digits of a step are no gain.
    _residual = 0.1

    def __init__(
        self,
        width=256,
        *,
        shift="auto",
        threshold=None,
        solver="auto",
        sketch="sparse_sign",
        sketch_size=4.0,
        iterative_solver="cg",
        search="auto",
        loss="log_loss",
        alpha="auto",
        output_scale=0.5,
        init="paired",
        max_iter=60,
        tol=1e-4,
        n_iter_no_change=10,
        damping="adaptive",
        cv="auto",
        early_stopping="auto",
        validation_fraction=0.1,
        fit_intercept=True,
        intercept_scaling=1.0,
        class_weight=None,
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
        self.loss = loss
        self.alpha = alpha
        self.output_scale = output_scale
        self.init = init
        self.max_iter = max_iter
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.damping = damping
        self.cv = cv
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.fit_intercept = fit_intercept
        self.intercept_scaling = intercept_scaling
        self.class_weight = class_weight
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
