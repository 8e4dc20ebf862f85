"""How much memory there is, in control groups written by the tests, and what is said where it does not do."""

import numpy as np
import pytest
from scipy import sparse
from single_networks import SparseShiftedReLUClassifier, SparseShiftedReLURegressor

from sksparsenn import HalfSpaceIndex
from sksparsenn._utils import memory as _memory

UNLIMITED = 9223372036854771712


class Groups:
    """Control groups in a folder, and the file that says in which of them a process is."""

    def __init__(self, folder):
        self.root, self.own = folder / "groups", folder / "own"
        self.root.mkdir()

    def add(self, path, limit, used, cache=0, version=2):
        group = self.root / path
        group.mkdir(parents=True, exist_ok=True)
        names = ("memory.max", "memory.current") if version == 2 else ("memory.limit_in_bytes", "memory.usage_in_bytes")
        for name, value in zip(names, (limit, used), strict=True):
            (group / name).write_text(f"{value}\n")
        stat = f"anon {used - cache}\ninactive_file {cache}\n"
        if version == 1:  # by itself, and with the groups inside
            stat = f"inactive_file 0\ntotal_inactive_file {cache}\n"
        (group / "memory.stat").write_text(stat)

    def free(self, own):
        self.own.write_text(own)
        return _memory._free_in_control_groups(self.own, self.root)


@pytest.fixture
def groups(tmp_path):
    return Groups(tmp_path)


def test_cache_counts_as_free(groups):
    """As in a container that has read large files: its group is the top, and almost full of them."""
    groups.add(".", limit=1000, used=990, cache=700)
    assert groups.free("0::/\n") == 710


def test_the_tightest_group_around_the_process_counts(groups):
    groups.add("a/b/c", limit="max", used=100)
    groups.add("a/b", limit=500, used=300, cache=50)
    groups.add("a", limit=800, used=650, cache=10)
    groups.add("a/other", limit=10, used=9)
    assert groups.free("0::/a/b/c\n") == 160  # 800 - 650 + 10, against 250 in a/b
    assert groups.free("0::/a/b\n") == 160
    assert groups.free("0::/a/other\n") == 1
    groups.add("a/b", limit=500, used=600)
    assert groups.free("0::/a/b/c\n") == 0


def test_groups_of_the_first_version(groups):
    own = "12:cpu,cpuacct:/jobs\n4:memory:/jobs/7\n1:name=systemd:/jobs\n0::/\n"
    groups.add("memory", UNLIMITED, 5000, version=1)
    groups.add("memory/jobs", 3000, 2900, cache=400, version=1)
    groups.add("memory/jobs/7", 2000, 1000, cache=300, version=1)
    assert groups.free(own) == 500
    # In a container the path is that of the host, and the top is the container's group.
    groups.add("memory", 900, 800, cache=100, version=1)
    assert groups.free("4:hugetlb,memory:/docker/0123456789\n") == 200


def test_groups_of_the_second_version_beside_the_first(groups):
    groups.add("unified/a", limit=50, used=20)
    assert groups.free("4:cpu:/a\n0::/a\n") == 30


@pytest.mark.parametrize("own", ["", "0::/\n", "0::/gone\n", "3:cpu:/\n", "4:memory:/x\n"])
def test_without_limits_groups_say_nothing(groups, own):
    groups.add(".", limit="max", used=20)
    assert groups.free(own) is None
    groups.own.unlink()
    assert _memory._free_in_control_groups(groups.own, groups.root) is None


def test_what_linux_says(tmp_path):
    path = tmp_path / "meminfo"
    assert _memory._free_on_linux(path) is None
    path.write_text("MemTotal:       100 kB\nMemAvailable:    90 kB\n")
    assert _memory._free_on_linux(path) == 90 * 1024
    path.write_text("MemTotal:       100 kB\n")
    assert _memory._free_on_linux(path) is None


def test_a_small_fit_is_never_refused(monkeypatch):
    monkeypatch.setattr(_memory, "available_memory", lambda: 0)
    X = np.random.default_rng(0).standard_normal((100, 3))
    SparseShiftedReLURegressor(64, max_iter=2).fit(X, X[:, 0])


@pytest.mark.parametrize("convert", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("Estimator", [SparseShiftedReLURegressor, SparseShiftedReLUClassifier])
def test_refusals_name_what_the_user_gave_and_what_to_do(Estimator, convert, monkeypatch):
    monkeypatch.setattr(_memory, "available_memory", lambda: 10_000_000)
    X = np.random.default_rng(0).standard_normal((20, 13))  # 14 lifted, 16 padded
    with pytest.raises(
        MemoryError,
        match=r"^training 100000 neurons on 13 features needs [\d.,]+ [MG]B of memory, and 10\.0 MB are available: "
        r"lower width, or free memory\.$",
    ):
        Estimator(100_000, shift=2.0).fit(convert(X), X[:, 0] > 0)


@pytest.mark.parametrize(("average", "needed"), [("last", "32.0 MB"), ("epoch", "48.0 MB")])
def test_means_of_weights_are_foreseen(average, needed, monkeypatch):
    monkeypatch.setattr(_memory, "available_memory", lambda: 30_000_000)
    X = np.random.default_rng(0).standard_normal((20, 7))  # 8 lifted
    model = SparseShiftedReLURegressor(125_000, solver="sgd", average=average, cv=None, shift=2.0)
    with pytest.raises(MemoryError, match=f"needs {needed} of memory"):
        model.fit(X, X[:, 0])


# ---------------------------------------------------------------------------------------
# Sizes that users name
# ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("leaf_size", [10**9, 10**400, 1e300])
@pytest.mark.parametrize("method", ["tree", "scan", "auto"])
def test_a_leaf_is_no_larger_than_the_index(method, leaf_size):
    rng = np.random.default_rng(0)
    points = rng.standard_normal((1003, 3))
    index = HalfSpaceIndex(points, leaf_size=leaf_size, method=method)
    assert index.leaf_size == 1008  # whole blocks of eight
    normal, order = np.array([[1.0, 0.0, 0.0]]), np.arange(3003)
    grown = np.concatenate([points, rng.standard_normal((2000, 3))])
    assert index.query(normal, 0.5)[1].tolist() == np.flatnonzero(points[:, 0] > 0.5).tolist()
    index.insert(grown[1003:])
    assert sorted(index.query(normal, 0.5)[1]) == order[grown[:, 0] > 0.5].tolist()


def test_leaves_have_the_size_that_was_asked_for_once_the_index_is_larger():
    index = HalfSpaceIndex(np.empty((0, 2)), leaf_size=64, method="tree")
    points = np.random.default_rng(0).standard_normal((5000, 2))
    for part in np.array_split(points, 10):
        index.insert(part)
    assert index.leaf_size == 64
    assert sorted(index.query([[1.0, 0.0]], 0.5)[1]) == np.flatnonzero(points[:, 0] > 0.5).tolist()


@pytest.mark.parametrize("Estimator", [SparseShiftedReLURegressor, SparseShiftedReLUClassifier])
def test_a_batch_is_no_larger_than_the_table(Estimator):
    X = np.random.default_rng(0).standard_normal((300, 3))
    params = {"width": 32, "solver": "sgd", "max_iter": 3, "random_state": 0}
    model = Estimator(**params, batch_size=10**12)
    with pytest.warns(UserWarning, match=r"^batch_size=1000000000000 is clipped to 300, .* for 300 distinct samples"):
        model.fit(X, X[:, 0] > 0)
    whole = Estimator(**params, batch_size=300).fit(X, X[:, 0] > 0)
    np.testing.assert_array_equal(model.hidden_weights_, whole.hidden_weights_)
    # A pass over a stream draws nothing and clips nothing, and "gd" has no batches.
    classes = {"classes": [False, True]} if Estimator is SparseShiftedReLUClassifier else {}
    Estimator(**params, batch_size=10**12).partial_fit(X, X[:, 0] > 0, **classes)
    Estimator(width=32, max_iter=3, batch_size=10**12).fit(X, X[:, 0] > 0)


def test_small_tables_are_drawn_from_200_times():
    """The default of batch_size is no reason to warn."""
    X = np.random.default_rng(0).standard_normal((30, 3))
    params = {"width": 32, "solver": "sgd", "max_iter": 3, "random_state": 0}
    model = SparseShiftedReLURegressor(**params).fit(X, X[:, 0])
    other = SparseShiftedReLURegressor(**params, batch_size=30).fit(X, X[:, 0])
    assert (model.hidden_weights_ != other.hidden_weights_).any()
    with pytest.warns(UserWarning, match=r"^batch_size=201 is clipped to 200, .* enough for 30 distinct samples\.$"):
        larger = SparseShiftedReLURegressor(**params, batch_size=201).fit(X, X[:, 0])
    np.testing.assert_array_equal(model.hidden_weights_, larger.hidden_weights_)
