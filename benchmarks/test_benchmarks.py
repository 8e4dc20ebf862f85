"""The benchmarks run: parts are listed, a small run leaves a table and a figure, an interrupted one goes on."""

import argparse
import csv
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from benchmarks import __main__ as command
from benchmarks import common, quality, step_against_width, steps, tables
from benchmarks.dense_steps import NumpyStep

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
    runs = tmp_path / "quality_runs.csv"
    first = runs.read_text()
    quality.main([*options, "--splits", "2"])
    assert runs.read_text().startswith(first)
    found = tables.read_table(runs)[1]
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
    runs = tmp_path / "quality_runs.csv"
    quality.Runs(runs)
    runs.write_text(runs.read_text().replace("tuning rows: 2000", "tuning rows: 5"))
    with pytest.raises(SystemExit, match="other conditions"):
        quality.Runs(runs)


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
    if common._reset_peak():
        assert memory == pytest.approx(1 << 27, rel=0.02)
    else:
        assert np.isnan(memory)


def test_exponents():
    rows = [{"width": m, "cost": 3 * m**0.75, "nothing": 0, "blank": ""} for m in (8, 64, 512)]
    slopes = common.exponents(rows, "width", ["cost", "nothing", "blank"])
    assert slopes == {"width": "exponent", "cost": 0.75, "nothing": "", "blank": ""}
