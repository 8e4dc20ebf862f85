"""What the docstrings of the four estimators share, written once.

In the docstring of a class or of `fit` a line that is the name of an entry in braces stands for the entry of that
name here.
"""

import re


def entries(text):
    """Return the entries of a numpydoc section by their first names."""
    blocks = re.split(r"\n\n(?=\S)", text.strip())
    return {re.match(r"\w+", block).group(): block for block in blocks}


def shares(*groups):
    """Return a decorator that puts shared entries where a docstring names them."""
    known = {name: block for group in groups for name, block in entries(group).items()}

    def entry(match):
        indent, name = match.groups()
        return indent + known[name].replace("\n    ", f"\n{indent}    ")

    def fill(documented):
        if documented.__doc__ is not None:  # Python runs without docstrings under -OO
            documented.__doc__ = re.sub(r"^( *)\{(\w+)\}$", entry, documented.__doc__, flags=re.M)
        return documented

    return fill


ALL = """
cv : int, "auto", None, cross-validation generator or iterable, default="auto"
    A number trains a committee of so many networks, each of which leaves out one fold of the
    samples and, with early stopping, is stopped by it; predictions are their mean.  Rows that
    are equal in X, or in one of the `groups` of `fit`, are in one fold, and folds have about the same
    shares of the classes.  "auto" takes 5 folds, or, for more than 10,000 different samples, one network
    that leaves a fifth of them out.  A generator or an iterable of splits trains a
    network for each split.  None trains one network on all samples.

early_stopping : "auto" or bool, default="auto"
    Whether to score each network on validation samples after every iteration and to
    keep the weights with the best score.  These are samples given to `fit`; else, with `cv`, those that
    the network leaves out; else ``validation_fraction`` of all.  "auto" is True with `cv`, a ridge path
    (``alpha="auto"``) or samples given, else False.

validation_fraction : float in (0, 1), default=0.1
    Share of the samples to hold out with ``cv=None`` and early stopping.

intercept_scaling : float > 0, default=1.0
    The constant coordinate in units of the root mean square length of centred rows.

verbose : bool or int, default=False
    Whether to print a line per iteration.

hidden_weights_ : ndarray of shape (n_members_ * width, n_lifted)
    Trained weights w_r, in lifted coordinates: the features, then the constant.  A committee of
    K networks is one network of K times the width and of output_scale / sqrt(K), whose neurons come in K blocks.
    They may be changed or replaced, and predictions follow; read-only for wide networks in few features, with
    which an order of the neurons for a tree is stored: replace them by a copy to change them.

n_members_ : int
    Networks trained.

initial_weights_ : ndarray of shape (n_members_ * width, n_lifted)
    The weights at the start, W_0.  Neurons with similar ones follow each other.

output_weights_ : ndarray of shape (n_members_ * width, n_outputs)
    Output signs a_ro.

shift_, threshold_ : float
    The numbers in use.

cv_score_ : float
    With `cv`: R2, or for a classifier the accuracy, of `cv_prediction_`.

cv_prediction_ : ndarray of shape (n_samples,) or (n_samples, n_outputs)
    With `cv`: what the networks that left a sample out predict for it, for a classifier the
    probabilities of the classes; NaN where none did.  On more than 2,097,152 rows, where a row's fold
    follows from a hash of its features, also for rows that weigh nothing.

firing_fraction_curve_ : ndarray of shape (n_iter_,)
    Share of the pairs (neuron, sample) that fired.

best_validation_score_ : float
    The largest of these; of a committee, the mean of the largest of each network.

best_iteration_ : int or ndarray of shape (n_members_,)
    The number of iterations after which it was reached, at least 1; of a committee, by each network.

n_iter_ : int
    Iterations run.

n_features_in_ : int
    Features seen in `fit`.

feature_names_in_ : ndarray of shape (n_features_in_,)
    Their names, if X had names that are all strings.
"""

FIRST_ORDER = """
width : int, default=1024
    Number of hidden neurons.

shift : "auto" or float >= 0, default="auto"
    Shift b of the ReLU.  "auto" is sqrt(0.4 ln width), for which about
    width^0.8 neurons fire on a sample at the start [1]_.

threshold : float, default=None
    A neuron outputs <w, x> - shift where <w, x> exceeds the threshold, else 0.
    None means threshold = shift, the activation of the papers.  A larger number
    (a truncated ReLU) lets fewer neurons fire without changing the values of
    those that do; a smaller one is refused.

solver : {"auto", "gd", "sgd"}, default="auto"
    "gd" takes all samples in each iteration [1]_.  "sgd" draws ``batch_size`` of
    them with replacement, with probability proportional to their weight, and an
    iteration is an epoch: as many batches as make up the number of samples [2]_.
    "auto" is "gd" on up to 65,536 distinct samples and "sgd" on more, if rows left out or held out
    stop training, X is dense and ``search="auto"``; there an epoch has to close 0.3 % of what the best
    score lacks, and a fifth of ``n_iter_no_change`` epochs that do not are enough to end.  Where more than
    2,097,152 rows are taken in blocks, "auto" is "gd", which begins with a sample of the rows that grows.

search : {"auto", "margin", "data", "weights", "max_tree", "brute"}, default="auto"
    How the firing neurons are found.  All searches are exact: the same neurons
    fire for the same weights.  They differ in time and memory.

    - "margin": lists of the samples near each neuron's threshold, see
      `MarginLists`; with solver "gd", more than 2,048 dense samples and one
      output, samples that stand close together are taken at once where a neuron
      fires on all of them for sure, so that fewer inner products may be computed
      than pairs fire;
    - "data": a static half-space index over the samples [1]_ (Algorithm 3);
    - "weights": a dynamic half-space index over the weights [1]_ (Algorithm 2),
      [2]_ (Algorithm 1), see `HalfSpaceIndex`;
    - "max_tree": a tournament over the neurons for each sample [3]_, see `MaxTree`;
    - "brute": all pairs, in cache-sized blocks.

    Sparse X takes "margin" and "brute".

    "auto" takes "margin" for solver "gd", and a scan of blocks.  For "sgd" it takes "brute", or, with
    `momentum` and `alpha` 0, where a step moves only neurons that fire, "weights"
    if a tree over the initial weights pays, which takes few features.

output_scale : float > 0, default=1.0
    Factor B of the output [2]_.  A large one keeps the weights near their start, the regime of
    the tangent kernel; a small one lets them travel and learn features.

init : {"paired", "gaussian"}, default="paired"
    w_r ~ N(0, I) and random signs.  "paired" gives the second half of the neurons
    the weights of the first and opposite signs, so that f = 0 at the start [2]_.  Of an
    odd width one neuron has no partner: its weights are zero, so that it never fires,
    and the others are those of the even width below.

learning_rate : "auto" or float > 0, default="auto"
    Step size.  "auto" starts from 1 / lambda_max of sum_i s_i / S J_i^T J_i
    (found by power iteration over firing pairs); with solver "gd" and a smooth
    loss it is then adapted to what steps do: see Notes.

momentum : "auto" or float in [0, 1), default="auto"
    "auto" is 0.99, and 0.9 where solver "auto" takes batches.

nesterovs_momentum : bool, default=True

batch_size : "auto" or int, default="auto"
    Samples drawn, with replacement, for a step of solver "sgd": no more than there are
    distinct samples or, from fewer than 200, than 200; a warning says so.  "auto" is 200, and 500
    where solver "auto" takes batches.  Ignored by "gd".

max_iter : int, default=1000
    Largest number of iterations: steps of "gd", epochs of "sgd".  Training without validation that it ends
    while the loss still falls fast raises a ConvergenceWarning.

tol : float >= 0, default=1e-6
    Training stops when the loss has not fallen by tol below its best for
    ``n_iter_no_change`` iterations in a row; for "sgd" and losses with a kink, when the
    mean loss of that many iterations has not fallen by tol below that of as many
    before.  With early stopping it also stops when the validation score has not come closer to that
    of a network without error, by a share tol of what its best lacks.

n_iter_no_change : int, default=50
    Iterations without such a change after which training stops.

average : {"auto", "last", "mean", "epoch", "random"}, default="auto"
    Which weights to keep: those after the last step, the mean over all steps, that over
    the steps of the last epoch, or those after a uniformly random step, the rule analysed in [2]_.
    "auto" is "last", and "epoch" where solver "auto" takes batches.

random_state : int, RandomState instance or None, default=None
    Determines initial weights, batches and the random step.

warm_start : bool, default=False
    Whether `fit` continues from the last fit's weights and units.  If that had
    warm_start=True as well, the same data and the same parameters (max_iter, tol and
    n_iter_no_change may differ), training goes on exactly where it stopped, velocity
    and random numbers included: twice 10 iterations are 20, bit for bit, and so are
    curves and ``n_iter_``.

learning_rate_ : float
    The step size at the end.

pairs_evaluated_curve_, nodes_visited_curve_, neurons_rescanned_curve_ : ndarray of shape (n_iter_,)
    Work of the search in each iteration: inner products computed, tree nodes
    tested or taken whole, neurons whose samples were searched anew.

rows_curve_ : ndarray of shape (n_iter_,)
    Rows in the sums of each iteration, summed over the networks: all samples, as many as an epoch draws, or
    a sample of rows in blocks.

search_, solver_ : str
    The search and the solver that were used; where rows grow, the search on the first sample.

stop_reason_ : {"tol", "validation", "callback", "max_iter"}
    Why training ended: by `tol` or by the validation score for ``n_iter_no_change``
    iterations; because a callback asked for it; or after `max_iter` iterations.
"""

GAUSS_NEWTON = """
shift : "auto" or float >= 0, default="auto"
    Shift b of the ReLU.  "auto" is sqrt(0.48 ln width), for which about
    width^0.76 neurons fire on a sample at the start [1]_ (Corollary A.11).

threshold : float, default=None
    A neuron outputs <w, x> - shift where <w, x> exceeds the threshold, else 0.
    None means threshold = shift, the activation of the papers.  A larger number
    lets fewer neurons fire; a smaller one is refused.

sketch : {"sparse_sign", "srht", "gaussian"}, default="sparse_sign"
    The embedding of solver "sketch": 8 signs a column, applied over firing pairs; a
    subsampled randomised Hadamard transform; or independent Gaussian numbers.

sketch_size : float >= 1, default=4.0
    Rows of the sketch, as a multiple of the rows of the matrix.

iterative_solver : {"cg", "gradient"}, default="cg"
    The iteration of solver "sketch": conjugate gradients, or the gradient iteration
    that is analysed in [1]_ and [2]_.

search : {"auto", "max_tree", "margin", "brute"}, default="auto"
    How the firing neurons are found: all searches are exact and lead to the same
    weights, bit for bit.  "max_tree" is the threshold search tree of [1]_, "margin"
    keeps lists of the samples near each neuron's threshold, "brute" computes all
    pairs.  "auto" takes "margin".

output_scale : float > 0, default=0.5
    Factor B of the output.  A large one keeps the weights near their start, the
    regime of the tangent kernel; a small one lets them travel and learn features.

init : {"paired", "gaussian"}, default="paired"
    w_r ~ N(0, I) and random signs.  "paired" gives the second half of the neurons
    the weights of the first and opposite signs, so that f = 0 at the start.  Of an
    odd width one neuron has no partner: its weights are zero, so that it never fires,
    and the others are those of the even width below.

alpha : "auto" or float >= 0, default="auto"
    Strength of the ridge towards the initial weights, relative to t.  "auto" takes a path: the ridge
    starts at 10 and is halved before every iteration, down to 0.00001, and validation
    samples choose where on it to stop.

max_iter : int, default=60
    Largest number of iterations, those whose step was taken back included.  Training without validation that
    it ends while the objective still falls fast raises a ConvergenceWarning.

tol : float >= 0, default=1e-4
    Training stops when a step that was kept has lowered the objective by no more
    than tol times the objective, but for ridge paths; with early stopping also when the validation score
    has not come closer to that of a network without error, by a share tol of what its best lacks, for
    ``n_iter_no_change`` kept steps in a row.  On ridge paths over more than 65,536 distinct rows
    tol is at least 0.003, and a third of the patience is enough (a fifth before all rows are in the sums).

n_iter_no_change : int, default=10
    Used by early stopping only.

alpha_ : float or ndarray of shape (n_members_,)
    The ridge of the iteration whose weights are kept; of a committee on a path, that of each network.

alpha_curve_ : ndarray of shape (n_iter_,)
    The ridge of each iteration.

damping : {"adaptive", 0}, default="adaptive"
    0 is the papers' plain step: no damping, no momentum, every step taken.  It
    converges where the papers prove it, for networks wide enough for the number and
    separation of the samples, and often diverges elsewhere.

random_state : int, RandomState instance or None, default=None
    Determines initial weights, sketches and pivots.

warm_start : bool, default=False
    Whether `fit` continues from the last fit's weights and units.  If that had
    warm_start=True as well, the same data and the same parameters (max_iter, tol and
    n_iter_no_change may differ), training goes on where it stopped, damping and last
    step included: twice 10 iterations are 20, with solver "cholesky" bit for bit (others
    make their random preconditioner anew).

objective_ : float
    F at the end of training.

objective_curve_ : ndarray of shape (n_iter_,)
    F before each iteration.

damping_curve_ : ndarray of shape (n_iter_,)
    The damping nu of each iteration.

accepted_curve_ : ndarray of shape (n_iter_,), bool
    Whether the step was kept.

inner_iterations_curve_, residual_curve_ : ndarray of shape (n_iter_,)
    Steps of the iterative solver, and the relative residual ||A x - b|| / ||b|| it
    reached; zeros for "cholesky".

neurons_moved_curve_, pairs_changed_curve_ : ndarray of shape (n_iter_,)
    Neurons that the step moved, and pairs that began or ceased to fire; zero for
    steps that were taken back.

pairs_evaluated_curve_, nodes_visited_curve_, neurons_rescanned_curve_ : ndarray of shape (n_iter_,)
    Work of the search in each iteration: inner products computed, tree nodes
    tested, neurons whose samples were searched anew.

rows_curve_ : ndarray of shape (n_iter_,)
    Rows in the sums of each iteration, summed over the networks.  With ``alpha="auto"`` and more
    than 65,536 distinct rows a sample of them decides the first steps, and grows as the ridge
    falls; what other curves count is counted on the sample.

search_, solver_ : str
    The search and the solver that were used: if "auto" took several solvers the last
    one, and "none" if no neuron ever fired.

stop_reason_ : {"tol", "max_iter", "rounding", "validation", "callback"}
    Why training ended: by `tol`; after `max_iter` iterations; because no step can
    lower the objective any further in the precision of X; by the validation score;
    or because a callback asked for it.
"""

REGRESSOR = """
linear_part : "auto" or bool, default="auto"
    Whether a linear function of the features, each clipped to the range that it had in training, is
    added to the network, which is trained on what that leaves.  It is fitted first, by a ridge whose strength
    the rows left out choose.  "auto" has one for up to 1,000 features.

linear_weights_, linear_intercept_ : ndarray of shape (n_features_in_, n_outputs) and (n_outputs,)
    The linear part, if there is one, in standard units of the targets, for features that are clipped to
    ``feature_range_``, centred, and divided by one number, the root mean square length of such rows.

feature_range_ : ndarray of shape (2, n_features_in_)
    The least and the largest value of each feature in training.

fit_intercept : bool, default=True
    Whether to centre X and y and append the constant coordinate.  Without, rows
    of X are only divided by their length, and y by its root mean square.

validation_scores_ : ndarray of shape (n_iter_,)
    With early stopping: R2 on the validation samples after each iteration; of a committee
    the mean over its networks, of which one that has ended counts with its last score.  For a fold, R2 is one
    less the mean squared error in units of the variance of all targets.
"""

FIT = """
y : array-like of shape (n_samples,) or, for regression, (n_samples, n_outputs)
    Targets or labels.

sample_weight : array-like of shape (n_samples,), optional
    A sample of weight 2 counts as two samples.

groups : array-like of shape (n_samples,), optional
    Groups of samples that no fold separates.  A scikit-learn metadata router passes them on.

X_val, y_val : array-like, optional
    Samples to validate on, for early stopping.  In a `Pipeline`, X_val passes the
    same transformers as X with ``Pipeline(..., transform_input=["X_val"])``.

sample_weight_val : array-like of shape (n_validation_samples,), optional

self : object
    Fitted estimator.
"""

CLASSIFIER = """
fit_intercept : bool, default=True
    Whether to centre X, append the constant coordinate, and start from the offsets.
    Without, rows of X are only divided by their length, and scores start at zero.

class_weight : dict, "balanced" or None, default=None
    Weights of the classes, by which those of their samples are multiplied.  "balanced"
    makes all classes weigh the same.

classes_ : ndarray of shape (n_classes,)
    The labels.

validation_scores_ : ndarray of shape (n_iter_,)
    With early stopping: minus the mean loss on the validation samples after each iteration; of a
    committee the mean over its networks, of which one that has ended counts with its last score.

temperature_ : float
    With `cv` and the log loss: the number, at least 1, by which scores are divided, so that those of the
    networks that left a sample out predict its class best.
"""
