"""The benchmarks run: parts are listed, a small run leaves a table and a figure, an interrupted one goes on."""

import argparse
import csv
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from sklearn.dummy import DummyRegressor

from benchmarks import __main__ as command
from benchmarks import (
    classification_tables,
    common,
    default_classifiers,
    defaults,
    intervals,
    path_solvers,
    quality,
    rates,
    runs,
    settings,
    step_against_width,
    steps,
    tables,
    time_to_loss,
)
from benchmarks.dense_steps import NumpyStep
from sksparsenn._utils.threads import threads_of

FOLDER = Path(command.__file__).parent


@pytest.fixture
def regression_sets(tmp_path):
    """A folder with one set of 60 rows and two splits."""
    folder = tmp_path / "sets" / "waves"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 3))
    np.savetxt(folder / "data.csv.gz", np.column_stack([X, 100 + 10 * np.sin(X[:, 0])]), delimiter=",")
    masks = np.column_stack([np.arange(60) < 12, np.arange(60) >= 48])
    np.savetxt(folder / "test_mask.csv.gz", masks, fmt="%d", delimiter=",")
    return folder.parent


def parts():
    return {part: import_module(f"benchmarks.{part}") for part in command.PARTS}


def test_a_fresh_process_takes_all_threads():
    """In a fork of a process that has this package our loops take one thread: no time would be right."""
    assert common.in_fresh_process(threads_of, np.inf) == threads_of(np.inf)


def test_settings_are_compared_over_sets():
    rows = [
        {"setting": "defaults", "a rmse": 2.0, "a s": 1.0, "b rmse": 0.1, "b s": 2.0},
        {"setting": "wider", "a rmse": 1.0, "a s": 3.0, "b rmse": 0.4, "b s": 2.0},
    ]
    wider = {"ratio": pytest.approx(np.sqrt(2), rel=1e-2), "worst ratio": 4.0, "fit ratio": 2.0}
    assert [settings.over_sets(row, rows) for row in rows] == [
        {"ratio": 1.0, "worst ratio": 1.0, "fit ratio": 1.0}, wider
    ]  # fmt: skip
    assert set(settings.over_sets(rows[1], rows[1:]).values()) == {None}


def test_a_path_is_walked_to_its_end_with_every_solver():
    rows = [path_solvers.measure(solver, 120, repeat=1) for solver in path_solvers.SOLVERS]
    assert {row["iterations"] for row in rows} == {60}
    assert [row["solver"] for row in rows if row["inner"] == 0] == ["auto", "cholesky"]  # a small matrix is factored


def test_rates_are_shares_of_the_peak(tmp_path):
    sizes = ["--samples", "3000", "--features", "4", "--width", "32", "--share", "0.2"]
    rates.main([*sizes, "--output", str(tmp_path)])
    _, rows = tables.read_table(tmp_path / "rates.csv")
    assert [row["stage"] for row in rows][:3] == ["peak", "adds in memory", "J^T J"]
    assert rows[0]["% of peak"] == 100
    assert all(row["G operations / s"] > 0 for row in rows)
    fire = rates.make_jacobian(3000, 4, 32, 0.2, 1)
    assert len(fire.samples) == pytest.approx(0.2 * 3000 * 32, rel=0.2)


def test_every_module_with_a_main_is_a_part():
    modules = {path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith(("_", "test_"))}
    assert {name for name in modules if hasattr(import_module(f"benchmarks.{name}"), "main")} == set(command.PARTS)


def test_list_says_what_each_part_shows_and_writes(capsys):
    command.main([])
    listed = capsys.readouterr().out
    for part, module in parts().items():
        assert f"\n{part}\n    {module.__doc__.splitlines()[0]}\n" in "\n" + listed
        assert module.__doc__.splitlines()[2].startswith(f"python -m benchmarks.{part}")
        assert all(f"results/{table}.csv" in listed for table in module.TABLES)


def test_all_committed_tables_have_figures_and_can_be_drawn(tmp_path):
    figures = {table: figure for module in parts().values() for table, figure in module.TABLES.items()}
    committed = [path for path in common.RESULTS.glob("*.csv") if path.stem in figures]
    assert committed
    for path in committed:
        assert path.with_suffix(".png").exists(), f"draw {path.stem} by python -m benchmarks figures"
        copy = tmp_path / path.name
        copy.write_text(path.read_text())
        tables.draw_table(copy, figures[path.stem])
        assert copy.with_suffix(".png").stat().st_size > 5000


def test_unknown_parts_are_refused(capsys):
    with pytest.raises(SystemExit):
        command.main(["run", "steps", "leaps"])
    assert "leaps" in capsys.readouterr().err


def test_a_small_run_leaves_a_table_and_a_figure(tmp_path, monkeypatch):
    monkeypatch.setattr(steps, "rivals", lambda: {"numpy": NumpyStep})  # torch takes seconds to import
    step_against_width.main(["--widths", "64", "256", "--rows", "200", "--output", str(tmp_path)])
    comments, rows = tables.read_table(tmp_path / "step_against_width.csv")
    assert len(comments) == 3
    assert "numpy" in comments[0]
    assert "threads" in comments[1]
    assert "widths: 64 256; rows: 200" in comments[2]
    assert [row["width"] for row in rows] == [64, 256, "exponent"]
    assert rows[-1]["pairs"] == pytest.approx(1, abs=1e-3)
    assert rows[0]["firing pairs"] < rows[0]["pairs evaluated"] <= rows[0]["pairs"] == 64 * 200
    assert rows[0]["torch ms"] == ""
    assert (tmp_path / "step_against_width.png").stat().st_size > 5000


def test_quality_goes_on_after_an_interruption(tmp_path, regression_sets, capsys):
    options = ["--data", str(regression_sets), "--output", str(tmp_path), "--models", "HistGradient"]
    quality.main([*options, "--splits", "1"])
    file = tmp_path / "quality_runs.csv"
    first = file.read_text()
    quality.main([*options, "--splits", "2"])
    assert file.read_text().startswith(first)
    found = tables.read_table(file)[1]
    assert [(row["split"], row["rows"]) for row in found] == [(0, 48), (1, 48)]
    (row,) = tables.read_table(tmp_path / "quality.csv")[1]
    errors = np.array([run["rmse"] for run in found])
    assert row["splits"] == 2
    assert row["rmse"] == pytest.approx(errors.mean(), rel=1e-3)
    assert row["se"] == pytest.approx(np.abs(np.diff(errors))[0] / 2, rel=0.05)
    assert 0 < row["rmse"] < 10  # in units of the target, whose standard deviation is about 7
    capsys.readouterr()
    quality.main([*options, "--splits", "2"])
    printed = capsys.readouterr().out
    assert "split 0" not in printed  # nothing left to fit
    assert f"| `HistGradientBoostingRegressor` | {row['rmse']:.3g} ± {row['se']:.1g} |" in printed


def test_quality_does_not_mix_conditions(tmp_path):
    file = tmp_path / "quality_runs.csv"
    runs.Runs(file, quality.COLUMNS, **quality.CONSTANTS)
    file.write_text(file.read_text().replace("tuning rows: 2000", "tuning rows: 5"))
    with pytest.raises(SystemExit, match="other conditions"):
        runs.Runs(file, quality.COLUMNS, **quality.CONSTANTS)


def test_defaults_compares_over_sets(tmp_path, regression_sets, capsys):
    models = ["MLP", "RidgeCV", "Dummy", "GaussianProcess"]
    defaults.main([
        "--data", str(regression_sets), "--output", str(tmp_path), "--splits", "2", "--rows", "40", "--models", *models
    ])  # fmt: skip
    comments, rows = tables.read_table(tmp_path / "defaults.csv")
    assert "rows: 40; test rows: 10000" in comments[2]
    rows = {row["model"]: row for row in rows}
    assert all((row["splits"], row["rows"], row["features"]) == (2, 40, 3) for row in rows.values())
    assert rows["RidgeCV"]["log-likelihood"] == rows["RidgeCV"]["coverage"] == ""
    nothing, process = rows["DummyRegressor"], rows["GaussianProcessRegressor"]
    assert process["rmse"] < nothing["rmse"]
    assert process["log-likelihood"] > nothing["log-likelihood"]
    assert nothing["width"] == pytest.approx(2 * 1.645 * 7, rel=0.3)  # of a target with standard deviation 7
    ranks = {row["model"]: row for row in tables.read_table(tmp_path / "defaults_ranks.csv")[1]}
    assert sorted(row["mean rank"] for row in ranks.values()) == [1, 2, 3, 4]
    assert ranks["MLPRegressor"]["ratio"] == ranks["MLPRegressor"]["fit ratio"] == 1
    assert ranks["DummyRegressor"]["likelihood gain"] == 0
    assert ranks["RidgeCV"]["worst set"] == "waves"
    assert f"| `RidgeCV` | {rows['RidgeCV']['rmse']:.3g} ± " in capsys.readouterr().out
    assert (tmp_path / "defaults_ranks.png").stat().st_size > 5000


class TellsItsSpread(DummyRegressor):
    """Predicts 0 with standard deviation 2, and intervals from -1 to 1."""

    def predict(self, X, return_std=False):
        mean = np.zeros(len(X))
        return (mean, np.full(len(X), 2.0)) if return_std else mean

    def predict_interval(self, X, coverage=0.9):
        return np.tile([-1.0, 1.0], (len(X), 1))


def test_defaults_takes_standard_deviations_and_intervals_where_there_are_any():
    X, y = np.zeros((4, 1)), np.array([0.0, 0.5, 1.5, -0.5])
    found = defaults.evaluate(TellsItsSpread(), X, y, X, y)
    assert found["log-likelihood"] == pytest.approx(-np.log(2 * np.sqrt(2 * np.pi)) - np.mean(y**2) / 8)
    assert (found["coverage"], found["width"]) == (0.75, 2)
    found = defaults.evaluate(defaults.MODELS["RidgeCV"], X, y, X, y)
    assert all(np.isnan(found[key]) for key in ("log-likelihood", "coverage", "width"))


def test_intervals_of_ours_are_scored_without_mapie(tmp_path, regression_sets, capsys):
    intervals.main([
        "--data", str(regression_sets), "--output", str(tmp_path), "--splits", "2", "--models", "SketchedGaussNewton"
    ])  # fmt: skip
    (row,) = tables.read_table(tmp_path / "intervals.csv")[1]
    assert (row["splits"], row["rows"], row["features"]) == (2, 48, 3)
    assert 0.5 < row["coverage"] <= 1
    assert 0 < row["width"] <= row["score"]
    (compared,) = tables.read_table(tmp_path / "intervals_sets.csv")[1]
    assert (compared["sets"], compared["mean rank"], compared["least on"]) == (1, 1, "waves")
    assert compared["coverage"] == compared["least coverage"] == pytest.approx(row["coverage"], abs=1e-3)
    assert compared["ratio"] == compared["width ratio"] == compared["fit ratio"] == ""  # nothing of mapie's
    assert f"| `SketchedGaussNewtonRegressor` | {row['width']:.3g} ± " in capsys.readouterr().out
    assert (tmp_path / "intervals.png").stat().st_size > 5000


def test_intervals_say_that_mapie_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(intervals, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match="mapie is not installed"):
        intervals.main(["--data", str(tmp_path), "--output", str(tmp_path / "tables")])
    assert not (tmp_path / "tables").exists()


def test_the_interval_score_counts_how_far_targets_are_outside():
    X, y = np.zeros((4, 1)), np.array([0.0, 0.5, 1.5, -0.5])
    found = intervals.evaluate(TellsItsSpread(), X, y, X, y)
    assert (found["coverage"], found["width"]) == (0.75, 2)
    assert found["score"] == pytest.approx(2 + 20 * 0.5 / 4)


def test_default_classifiers_compares_over_sets(tmp_path, capsys):
    default_classifiers.main([
        "--sets", "iris", "wine", "--splits", "2", "--rows", "60", "--output", str(tmp_path),
        "--models", "MLP", "SVC", "Logistic",
    ])  # fmt: skip
    rows = tables.read_table(tmp_path / "default_classifiers.csv")[1]
    assert [(row["rows"], row["classes"], row["splits"]) for row in rows] == [(60, 3, 2)] * 6
    assert all(0.8 < row["accuracy"] <= 1 for row in rows)
    assert all((row["log loss"] == "") == (row["model"] == "SVC") for row in rows)
    ranks = tables.read_table(tmp_path / "default_classifiers_ranks.csv")[1]
    assert sum(row["mean rank, accuracy"] for row in ranks) == pytest.approx(1 + 2 + 3, rel=0.01)
    assert {row["model"]: row["mean rank, log loss"] for row in ranks}["SVC"] == ""
    assert "| `SVC` | " in capsys.readouterr().out


@pytest.mark.parametrize("name", classification_tables.SETS)
def test_classification_tables_become_numbers(name):
    """Those of packages that are not installed are left out."""
    try:
        table = classification_tables.load(name)
    except ModuleNotFoundError as error:
        pytest.skip(str(error))  # the packages come with the extra "benchmark", which tests do not need
    X, y, X_test, y_test = classification_tables.load_split(name, 0, 100, 50)
    assert len(table.y) >= 30
    assert len(X) == len(y) <= 100
    assert len(X_test) == len(y_test) <= 50
    assert np.isfinite(X).all()
    assert np.isfinite(X_test).all()
    assert set(y_test) <= set(y) == set(range(max(table.y) + 1))


def test_ranks_share_ties_and_leave_out_rows_with_gaps():
    ranks = runs.mean_ranks(np.array([[1.0, 5.0], [np.nan, 0.0], [2.0, 5.0]]))
    assert ranks[[0, 2]] == pytest.approx([1.25, 1.75])
    assert np.isnan(ranks[1])


def test_ratios_to_a_rival():
    assert runs.against(np.array([1.0, 8.0]), np.array([2.0, 4.0]), ["a", "b"]) == (1, 1, 2, "b")


def test_tables_come_back_as_they_were(tmp_path):
    rows = [
        {"name": "a, b", "count": 3, "value": 0.25, "blank": ""},
        {"name": "c", "count": 4, "value": 1e-9, "blank": ""},
    ]
    arguments = argparse.Namespace(data="/somewhere", output=tmp_path, repeat=3, sets=None)

    def figure(rows):
        from benchmarks.figures import panels

        return panels()[0]

    tables.write_table("example", rows, arguments, figure, grid=5)
    comments, found = tables.read_table(tmp_path / "example.csv")
    assert found == rows
    assert comments[2] == "repeat: 3; sets: default; grid: 5"
    with (tmp_path / "example.csv").open() as file:
        assert next(csv.reader(line for line in file if not line.startswith("#"))) == list(rows[0])


def peak_of_temporary(n_bytes):
    np.ones(1000).sum()
    return common.measured(lambda: np.ones(n_bytes // 8).sum())


def test_memory_is_the_peak_of_a_call():
    """A temporary array counts although it is gone at the end; NaN stands for a platform that does not tell."""
    total, seconds, memory = common.in_fresh_process(peak_of_temporary, 1 << 27)
    assert total == 1 << 24
    assert seconds > 0
    if common.reset_peak():
        assert memory == pytest.approx(1 << 27, rel=0.02)
    else:
        assert np.isnan(memory)


def test_exponents():
    rows = [{"width": m, "cost": 3 * m**0.75, "nothing": 0, "blank": ""} for m in (8, 64, 512)]
    slopes = common.exponents(rows, "width", ["cost", "nothing", "blank"])
    assert slopes == {"width": "exponent", "cost": 0.75, "nothing": "", "blank": ""}


def test_a_race_that_is_won_has_its_time():
    """Reaching the goal ends training by an exception, after which the estimator is as it was before."""
    X = np.random.default_rng(0).standard_normal((80, 3))
    goal = 0.5
    seconds, iterations, loss = time_to_loss.RacingRegressor(**time_to_loss.OURS).race(X, X[:, 0], goal, limit=60)
    assert loss <= goal
    assert seconds > 0
    assert iterations >= 1
