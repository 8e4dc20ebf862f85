"""What first-order training does by itself: gradient descent on few rows, batches on many, parts whose rows grow."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone, is_classifier

import sksparsenn._estimators.first_order as first_order
import sksparsenn._training.growing_rows as growing_rows
from sksparsenn import SparseShiftedReLUClassifier, SparseShiftedReLURegressor
from sksparsenn._estimators import summed_rows, summed_training
from sksparsenn._network.losses import SquaredError
from sksparsenn._network.network import Network
from sksparsenn._samples.dense import DenseSamples
from sksparsenn._samples.points import padded_rows
from sksparsenn._search.choice import make_search
from sksparsenn._training.averages import LastIterate
from sksparsenn._training.batches import AllRows
from sksparsenn._training.descent import Options, State, descend
from sksparsenn._training.growing_rows import GrowingRows
from sksparsenn._training.problem import Problem
from sksparsenn._training.stopping import Stopping

MODELS = {
    "regressor": SparseShiftedReLURegressor(64, max_iter=4, tol=0.0, cv=2, random_state=0),
    "classifier": SparseShiftedReLUClassifier(64, max_iter=4, tol=0.0, cv=2, random_state=0),
}
MANY = 1100
WRITTEN_OUT = {"solver": "sgd", "batch_size": 500, "momentum": 0.9, "average": "epoch"}


def table(n, model=None, noise=0.3, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 4))
    y = np.sin(2 * X[:, 0]) + X[:, 1] * X[:, 2] + noise * rng.standard_normal(n)
    return X, (y > 0).astype(int) if model is not None and is_classifier(model) else y


@pytest.fixture
def many(monkeypatch):
    """So few rows are many, so that tables of tests are long."""
    monkeypatch.setattr(first_order, "MANY_ROWS", MANY)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("n", [MANY, MANY + 1])
def test_what_automatic_parameters_stand_for(many, name, n):
    model = clone(MODELS[name])
    X, y = table(n, model)
    written_out = WRITTEN_OUT if n > MANY else {"solver": "gd", "momentum": 0.99, "average": "last"}
    model.fit(X, y)
    expected = clone(model).set_params(**written_out).fit(X, y)
    assert model.solver_ == expected.solver_ == written_out["solver"]
    np.testing.assert_array_equal(model.hidden_weights_, expected.hidden_weights_)
    np.testing.assert_array_equal(model.rows_curve_, expected.rows_curve_)


@pytest.mark.parametrize("chosen", [{"momentum": 0.5}, {"batch_size": 50}, {"average": "last"}])
def test_what_is_given_stays(many, chosen):
    X, y = table(1500)
    model = clone(MODELS["regressor"]).set_params(**chosen).fit(X, y)
    expected = clone(model).set_params(**WRITTEN_OUT | chosen).fit(X, y)
    np.testing.assert_array_equal(model.hidden_weights_, expected.hidden_weights_)


def test_a_named_solver_has_constants_of_its_own(many):
    X, y = table(1500)
    model = clone(MODELS["regressor"]).set_params(solver="sgd").fit(X, y)
    expected = clone(model).set_params(batch_size=200, momentum=0.99, average="last").fit(X, y)
    np.testing.assert_array_equal(model.hidden_weights_, expected.hidden_weights_)


@pytest.mark.parametrize(
    "params", [{"cv": None}, {"early_stopping": False}, {"search": "margin"}, {"solver": "gd"}], ids=str
)
def test_batches_are_taken_only_where_rows_left_out_stop_training_and_no_search_is_named(many, params):
    assert clone(MODELS["regressor"]).set_params(**params).fit(*table(1500)).solver_ == "gd"


def test_sparse_tables_are_taken_whole(many):
    X, y = table(1500)
    assert clone(MODELS["regressor"]).fit(sparse.csr_array(X), y).solver_ == "gd"


def test_an_epoch_counts_the_rows_that_it_draws(many):
    model = clone(MODELS["regressor"]).fit(*table(1600))
    # Two networks on 800 rows each, two batches of 500.
    np.testing.assert_array_equal(model.rows_curve_, np.full(4, 2 * 2 * 500))


def test_copies_count_as_weights_do(many):
    """Few rows are few, however often each comes; so many that come twice are batches of the same rows."""
    X, y = table(900)
    rows = np.repeat(np.arange(900), 2)
    weighted = clone(MODELS["regressor"]).fit(X, y, sample_weight=np.full(900, 2.0))
    assert weighted.solver_ == clone(MODELS["regressor"]).fit(X[rows], y[rows]).solver_ == "gd"

    X, y = table(1500)
    X_val, y_val = table(300, seed=1)
    model = clone(MODELS["regressor"]).set_params(cv=None, linear_part=False, batch_size=100)
    counts = np.random.default_rng(2).integers(1, 4, 1500)
    rows = np.random.default_rng(3).permutation(np.repeat(np.arange(1500), counts))
    held_out = {"X_val": X_val, "y_val": y_val}
    weighted, copied = clone(model).fit(X, y, sample_weight=counts, **held_out), model.fit(X[rows], y[rows], **held_out)
    assert copied.solver_ == weighted.solver_ == "sgd"
    np.testing.assert_allclose(copied.hidden_weights_, weighted.hidden_weights_, rtol=1e-10, atol=1e-12)
    np.testing.assert_array_equal(copied.rows_curve_, weighted.rows_curve_)


@pytest.mark.parametrize("loss", ["hinge", "log_loss"])
def test_batches_of_classes(many, loss):
    X, y = table(1500, MODELS["classifier"])
    groups = np.arange(1500) // 3
    model = clone(MODELS["classifier"]).set_params(loss=loss, max_iter=10).fit(X, y, groups=groups)
    assert model.solver_ == "sgd"
    assert model.score(X, y) > 0.75


def test_patience_with_batches_ends_after_a_part_of_it(many):
    # Nothing can be learnt, so no epoch is much better than the one before.
    X, _ = table(1500)
    y = np.random.default_rng(1).standard_normal(1500)
    model = clone(MODELS["regressor"]).set_params(max_iter=200, n_iter_no_change=50, cv=None, early_stopping=True)
    model.fit(X, y)
    assert model.solver_ == "sgd"
    assert model.stop_reason_ == "validation"
    assert model.n_iter_ - 10 == pytest.approx(model.best_iteration_, abs=10)
    patient = clone(model).set_params(**WRITTEN_OUT).fit(X, y)
    assert patient.n_iter_ > model.n_iter_


def test_training_in_batches_goes_on_where_it_stopped(many):
    X, y = table(1500)
    whole = clone(MODELS["regressor"]).set_params(max_iter=6).fit(X, y)
    halves = clone(MODELS["regressor"]).set_params(max_iter=2, warm_start=True).fit(X, y)
    halves.set_params(max_iter=4).fit(X, y)
    np.testing.assert_array_equal(halves.hidden_weights_, whole.hidden_weights_)
    for name in ("rows_curve_", "loss_curve_", "validation_scores_"):
        np.testing.assert_array_equal(getattr(halves, name), getattr(whole, name), err_msg=name)


def test_streams_keep_to_the_last_weights_and_whole_parts(many):
    X, y = table(1500)
    model, expected = clone(MODELS["regressor"]), clone(MODELS["regressor"])
    expected.set_params(solver="gd", momentum=0.99, average="last")
    for part in np.array_split(np.arange(1500), 2):
        model.partial_fit(X[part], y[part])
        expected.partial_fit(X[part], y[part])
    assert model.solver_ == "gd"
    np.testing.assert_array_equal(model.hidden_weights_, expected.hidden_weights_)
    np.testing.assert_array_equal(model.rows_curve_, [750, 750])


# -- rows in parts ------------------------------------------------------------------------------------


@pytest.fixture
def in_parts(monkeypatch):
    """Take tables of more than 1,000 rows in blocks, and begin with 100 of more than 600."""
    monkeypatch.setattr(summed_training, "MOST_ROWS_AT_ONCE", 1000)
    monkeypatch.setattr(summed_training, "ROWS_OF_BLOCK", 1000)
    monkeypatch.setattr(summed_rows, "FEW_ROWS", 300)
    monkeypatch.setattr(summed_rows, "MANY_ROWS", 600)
    monkeypatch.setattr(growing_rows, "FIRST_ROWS", 100)
    monkeypatch.setattr(summed_rows.SmallestKeys, "most", 5000)


@pytest.mark.parametrize("name", MODELS)
def test_rows_in_parts_grow(in_parts, name):
    model = clone(MODELS[name]).set_params(max_iter=100, n_iter_no_change=1000)
    X, y = table(3000, model)
    X_new, y_new = table(3000, model, seed=1)
    model.fit(X, y)
    rows = model.rows_curve_
    assert model.solver_ == "gd"
    assert rows[0] == pytest.approx(200, abs=60)  # two networks
    assert (np.diff(rows) >= 0).all()
    assert rows[-1] > 1000
    expected = clone(model).set_params(solver="gd").fit(X, y)
    assert set(expected.rows_curve_) == {3000}
    # The rule lets a sample cost LARGEST_GAIN of the loss, 1 %; of so few rows chance decides some per cent more.
    error, expected = (1 - fitted.score(X_new, y_new) for fitted in (model, expected))
    assert error <= 1.1 * expected


@pytest.mark.parametrize("reason", ["validation", "tol"])
def test_training_does_not_end_before_it_has_seen_all_rows(in_parts, monkeypatch, reason):
    # A sample that does not grow by itself; training on it ends.
    monkeypatch.setattr(growing_rows, "LARGEST_GAIN", 1.0)
    X, y = table(3000)
    model = clone(MODELS["regressor"]).set_params(max_iter=150, cv=None, early_stopping=True)
    model.set_params(**({"n_iter_no_change": 5} if reason == "validation" else {"n_iter_no_change": 30, "tol": 1e-2}))
    rows = model.fit(X, y).rows_curve_
    assert rows[0] == pytest.approx(100, abs=40)
    assert len(set(rows)) == 2
    assert rows[-1] == pytest.approx(2700, abs=80)
    first = int(np.argmax(rows == rows[-1]))
    # It goes on from the best weights on the sample.
    scores = model.validation_scores_
    assert scores[first] > scores[:first].max() - 0.02


@pytest.mark.parametrize("average", ["mean", "random"])
def test_rows_do_not_grow_by_losses_of_different_networks(in_parts, average):
    model = clone(MODELS["regressor"]).set_params(average=average).fit(*table(3000))
    assert set(model.rows_curve_) == {3000}


def test_samples_with_many_pairs_stay_in_blocks(in_parts, monkeypatch):
    monkeypatch.setattr(summed_rows, "FEW_PAIRS", 1)
    searched = []
    together = summed_rows.NetworkRows._together

    def spy(self, *arguments):
        parts, rows = together(self, *arguments)
        searched.append(parts is self.parts)
        return parts, rows

    monkeypatch.setattr(summed_rows.NetworkRows, "_together", spy)
    clone(MODELS["regressor"]).fit(*table(3000))
    assert searched
    assert all(searched)


def problem_on(rows, share, network, scale):
    """The problem of the first rows of a table, which are a share of it, with targets of that scale."""
    X, y = table(400)
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    samples = DenseSamples(padded_rows(X[:rows]), 4)
    search = make_search("brute", samples, network.weights, network.threshold, in_batches=False)
    return Problem(samples, scale * y[:rows, None], np.full(rows, 1 / rows), SquaredError(), search, 1.0, share=share)


class Watching:
    """Early stopping that sees nothing to gain but after one iteration, when there is much, or the end of training."""

    def __init__(self, turns_at, ends):
        self.turns_at, self.ends, self.n_scores, self.waited, self.loss = turns_at, ends, 0, 0, 0.0
        self.best_iteration, self.best_weights = 1, None

    def reached(self, network):
        self.n_scores += 1
        if self.best_weights is None:
            self.best_weights = network.weights.copy()
        turns = self.n_scores == self.turns_at
        self.loss = 1e9 if turns and not self.ends else 0.0
        return turns and self.ends


class Recorded(GrowingRows):
    """Rows that grow from one problem to another, whose weights and velocity at that moment are recorded."""

    def __init__(self, larger, state):
        self.larger, self.state = larger, state

    def __len__(self):
        return 400

    def problem(self, n_rows, W):
        self.weights, self.velocity = W.copy(), self.state.velocity.copy()
        return self.larger


@pytest.mark.parametrize("ends", [False, True])
def test_after_rows_have_grown_training_is_as_if_begun_there(ends):
    """From the weights of the moment and its velocity, or, at the end of a sample, from the best ones and at rest."""
    rng = np.random.default_rng(0)
    start = padded_rows(rng.standard_normal((64, 4)))
    network = Network(start.copy(), rng.choice([-1.0, 1.0], (64, 1)), 0.3, 0.3, 1.0)
    # The targets of all rows are larger, so that no loss on them is as low as that on the sample.
    sample, larger = problem_on(100, 0.25, network, 1.0), problem_on(400, 1.0, network, 10.0)
    options = Options("auto", 0.9, True, 0.0, None, 60)
    state = State(network, start, np.zeros_like(start))
    watching, growing = Watching(20, ends), Recorded(larger, state)
    stopping = Stopping(1e-6, 10, noisy=False)
    parts = LastIterate(), stopping, watching, growing
    for _ in descend(state, options, AllRows(sample), *parts):
        pass
    assert set(state.rows_curve[:20]) == {100}
    assert set(state.rows_curve[20:]) == {400}
    assert growing.velocity.any() != ends
    if ends:
        np.testing.assert_array_equal(growing.weights, watching.best_weights)

    anew = State(network._replace(weights=growing.weights.copy()), start, growing.velocity.copy())
    for _ in descend(anew, options, AllRows(larger), LastIterate(), Stopping(1e-6, 10, noisy=False)):
        pass
    n = min(len(anew.loss_curve), 40)  # of the first training, 60 iterations in all
    np.testing.assert_array_equal(state.loss_curve[20 : 20 + n], anew.loss_curve[:n])
    assert len(state.loss_curve) == 20 + n
    assert n > 10


def test_parts_of_ordinary_size_lead_to_the_fit_in_one_memory(monkeypatch):
    """In one memory, more than 2,048 rows are searched by groups, of which a sum over parts knows nothing."""
    model = SparseShiftedReLURegressor(64, max_iter=10, tol=0.0, cv=None, linear_part=False, random_state=0)
    X, y = table(9000)
    expected = clone(model).fit(X, y)
    monkeypatch.setattr(summed_training, "MOST_ROWS_AT_ONCE", 8000)
    monkeypatch.setattr(summed_training, "ROWS_OF_BLOCK", 4000)
    for few in (summed_rows.FEW_ROWS, 1):  # brought together, and in blocks
        monkeypatch.setattr(summed_rows, "FEW_ROWS", few)
        np.testing.assert_allclose(model.fit(X, y).hidden_weights_, expected.hidden_weights_, rtol=0, atol=1e-8)
