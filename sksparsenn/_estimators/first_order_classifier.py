"""SparseShiftedReLUClassifier: a wide shifted-ReLU network that tells classes apart."""

from sksparsenn._estimators.classification import Classification
from sksparsenn._estimators.docstrings import ALL, CLASSIFIER, FIRST_ORDER, shares
from sksparsenn._estimators.first_order import SparseShiftedReLU
from sksparsenn._network.losses import CLASSIFICATION_LOSSES
from sksparsenn._utils.sklearn import StrOptions, _fit_context


@shares(ALL, FIRST_ORDER, CLASSIFIER)
class SparseShiftedReLUClassifier(Classification, SparseShiftedReLU):
    """A classifier: a wide two-layer network with shifted ReLU, trained by gradient descent on the neurons that fire.

    Of ``width`` hidden neurons, only a small share fires on any sample.  Training
    finds exactly those, by geometric search, and computes with nothing else: the
    weights are those of a dense implementation, at a cost per step that grows slower
    than the width.

    Samples are lifted to the unit sphere: with c the weighted mean of X and u the
    constant ``intercept_scaling`` times the root mean square of ||x - c||,
    ``x -> (x - c, u) / ||(x - c, u)||``.  For two classes the network has one output,
    whose positive values stand for the second; for more, one for each class.  All share
    hidden neurons and the search for those that fire::

        f_o(x) = offset_o + output_scale / sqrt(width) * sum_r a_ro (<w_r, x> - shift)
                 over the neurons r that fire: <w_r, x> > threshold.

    Training changes the hidden weights W, never the signs a_ro, to minimise::

        1 / S * sum_i s_i loss(f(x_i), y_i) + alpha * t / (2 S) * ||W - W_0||^2,

    where s_i are the sample weights times those of their classes, S their sum, W_0 the
    initial weights and t the weighted mean of the tangent kernel's diagonal at the start,
    output_scale^2 / width times the number of neurons that fire on a sample.  With
    labels y_io of +1 for a sample's class (for two classes: for the second) and -1 else,
    loss is

    - "log_loss": log(1 + exp(-y f)) for two classes; for more log(sum_o exp(f_o)) less
      the f_o of the sample's class.  The offsets are the log-odds, or the logarithms, of
      the weighted shares of the classes;
    - "hinge": sum_o max(0, 1 - y_o f_o).  The offset is -1 for classes of less than half
      of the weight, else 1;
    - "squared_error": sum_o 1/2 (f_o - y_o)^2 with f and y in standard units, the offsets
      the means of the labels.

    Parameters
    ----------
    {width}

    {shift}

    {threshold}

    {solver}

    {search}

    loss : {"squared_error", "log_loss", "hinge"}, default="log_loss"
        All but "hinge" give `predict_proba`; those of the squared error may be zero for the true class.

    alpha : float >= 0, default=0.0
        Strength of the ridge towards the initial weights, relative to the mean
        diagonal of the tangent kernel.

    {output_scale}

    {init}

    {learning_rate}

    {momentum}

    {nesterovs_momentum}

    {batch_size}

    {max_iter}

    {tol}

    {n_iter_no_change}

    {cv}

    {early_stopping}

    {validation_fraction}

    {average}

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

    {learning_rate_}

    loss_curve_ : ndarray of shape (n_iter_,)
        Objective before each step (mean over an epoch's batches for "sgd").

    {firing_fraction_curve_}

    {pairs_evaluated_curve_}

    {rows_curve_}

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
        For input that cannot be used, and if training diverges: the message says
        what was wrong and what to change.
    MemoryError
        If the search would not fit into memory; the message names the amount.

    See Also
    --------
    HalfSpaceIndex, MaxTree, MarginLists : The searches by themselves.

    Notes
    -----
    Departures from the papers:

    1. Samples are centred and lifted; the papers assume unit samples, and treat one
       output.
    2. Steps carry momentum by default.  With ``learning_rate="auto"`` and solver "gd",
       a step that raised the loss drops the velocity and estimates lambda_max anew; one
       that raised it by more than a tenth is taken back and the rate halved.
    3. For "sgd" with ``learning_rate="auto"`` the rate is s / (beta + (s - 1) lambda_max)
       with s the batch size and beta the largest diagonal entry of the tangent kernel
       over 1 - momentum, both measured on the first batch (after Ma, Bassily and Belkin,
       2018); for the hinge it falls with the square root of the steps taken.
       `partial_fit` measures both on every part, for as many rows as a step takes.
    4. Margin lists are not in the papers, nor is adding up by groups of samples.
    5. With `cv` several networks are trained, each stopped by samples that it leaves out, and
       their mean is returned; the papers train one, to the end.
    6. More than 2,097,152 rows are taken in blocks; which fold a row belongs to then follows from a hash
       of its features, and gradient descent may begin with a sample of the rows: see `solver`.

    float32 input is computed in float32, all other in float64.  Results are the same
    bits for any number of threads; for another search they are the same bits, or, where
    samples are taken in groups, the same up to rounding.

    References
    ----------
    .. [1] Z. Song, S. Yang and R. Zhang, "Does Preprocessing Help Training
       Over-parameterized Neural Networks?", NeurIPS 2021.
    .. [2] L. Qin, Z. Song and Y. Yang, "Efficient SGD Neural Network Training via
       Sublinear Activated Neuron Identification", 2023.
    .. [3] Y. Deng, H. Hu, Z. Song, O. Weinstein and D. Zhuo, "Training
       Overparametrized Neural Networks in Sublinear Time", ITCS 2024.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.model_selection import train_test_split
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sksparsenn import SparseShiftedReLUClassifier
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    >>> model = make_pipeline(StandardScaler(), SparseShiftedReLUClassifier(random_state=0))
    >>> model.fit(X_train, y_train).score(X_test, y_test) > 0.95
    True
    >>> model.predict_proba(X_test[:3]).shape
    (3, 2)
    """

    _parameter_constraints = {  # noqa: RUF012 (the form scikit-learn prescribes)
        **SparseShiftedReLU._parameter_constraints,
        "loss": [StrOptions(set(CLASSIFICATION_LOSSES))],
        "class_weight": [StrOptions({"balanced"}), dict, None],
    }

    def __init__(
        self,
        width=1024,
        *,
        shift="auto",
        threshold=None,
        solver="auto",
        search="auto",
        loss="log_loss",
        alpha=0.0,
        output_scale=1.0,
        init="paired",
        learning_rate="auto",
        momentum="auto",
        nesterovs_momentum=True,
        batch_size="auto",
        max_iter=1000,
        tol=1e-6,
        n_iter_no_change=50,
        average="auto",
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
        self.search = search
        self.loss = loss
        self.alpha = alpha
        self.output_scale = output_scale
        self.init = init
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.average = average
        self.cv = cv
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.fit_intercept = fit_intercept
        self.intercept_scaling = intercept_scaling
        self.class_weight = class_weight
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Train on a part of a stream, each sample of which is visited once.

        Units, which are the centre and size of X and the offsets of the scores, are those of all rows so
        far until 200 distinct rows have come, with targets that differ; then they stay.  A step
        is sized by the rows that it takes and the steepest rows so far: a part may be a single
        row.  Nothing of a sample is kept.  A step of ``solver="sgd"`` takes ``batch_size``
        samples, one of "gd" the whole part; ``search="auto"`` finds who fires by an index over
        the weights or a scan, without a list for any sample.

        Parameters
        ----------
        X : {array-like, sparse matrix or array} of shape (n_samples, n_features)

        y : array-like of shape (n_samples,)

        classes : array-like of shape (n_classes,), optional
            All labels of the stream; has to be given in the first call.  For the log loss a
            class of which no sample has come is taken to have a share of 0.001.

        sample_weight : array-like of shape (n_samples,), optional

        Returns
        -------
        self : object
            Estimator after one more iteration.
        """
        if not hasattr(self, "hidden_weights_") and classes is None:
            raise ValueError("the first call of partial_fit needs classes: the labels of the whole stream.")
        if hasattr(self, "hidden_weights_") and classes is not None and set(classes) != set(self.classes_):
            raise ValueError(f"classes={list(classes)} differ from those of the first call, {self.classes_.tolist()}.")
        if isinstance(self.class_weight, str):
            raise ValueError(
                "class_weight='balanced' needs the shares of the classes in the whole stream: give their weights "
                "as a dictionary, or use sample_weight."
            )
        return self._partial_fit(X, y, sample_weight, classes)
