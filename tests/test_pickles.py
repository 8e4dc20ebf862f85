"""Pickles that earlier versions wrote: this version loads them, and they answer as they did then.

`make_pickles` writes them, once for each release, into a folder of tests/pickles/ that is named after the version.
"""

import json
import pickle
import warnings
from importlib.metadata import version

import make_pickles
import numpy as np
import pytest
from sklearn.exceptions import InconsistentVersionWarning

VERSIONS = sorted(make_pickles.FOLDER.glob("*/versions.json"))
MISSING = (
    f"there is no pickle {{name}}.pkl in any folder of {make_pickles.FOLDER}: "
    "run python tests/make_pickles.py and commit what it writes."
)


def folders_with(name):
    """Folders of the versions that wrote a pickle of that name: at least one."""
    folders = [path.parent for path in VERSIONS if (path.parent / f"{name}.pkl").exists()]
    assert folders, MISSING.format(name=name)
    return folders


def loaded(folder, name):
    """The object, however old.

    scikit-learn warns of its own objects that another version of it has pickled, with good reason: it promises
    nothing for them.  Whether ours still work is what is tested here.  It does not warn of its own version.
    """
    same = json.loads((folder / "versions.json").read_text())["scikit-learn"] == version("scikit-learn")
    with warnings.catch_warnings():
        if not same:
            warnings.simplefilter("ignore", InconsistentVersionWarning)
        return pickle.loads((folder / f"{name}.pkl").read_bytes())


def agree(name, fitted, folder):
    """The same answers but for rounding, which other machines may do differently; what is found, exactly."""
    found = make_pickles.answers(name, fitted)
    with np.load(folder / f"{name}.npz") as expected:
        assert found.keys() == set(expected.files)
        for question, answer in found.items():
            assert answer.dtype == expected[question].dtype
            if answer.dtype.kind == "f":
                rtol = 100 * np.finfo(answer.dtype).eps
                np.testing.assert_allclose(answer, expected[question], rtol=rtol, atol=rtol, err_msg=question)
            else:
                np.testing.assert_array_equal(answer, expected[question], err_msg=question)


@pytest.mark.parametrize("name", make_pickles.NAMES)
def test_pickles_of_every_version_are_loaded_and_answer_as_they_did(name):
    for folder in folders_with(name):
        agree(name, loaded(folder, name), folder)


@pytest.mark.parametrize("name", make_pickles.ESTIMATORS)
def test_loaded_estimators_are_fitted_again(name):
    """With warm_start, from where they stopped: iterations are counted on."""
    for folder in folders_with(name):
        model = loaded(folder, name)
        before, goes_on = getattr(model, "n_iter_", 0), name.endswith("_to_continue")
        if "regressor" in name or "classifier" in name:
            assert len(model.rows_curve_) == before
            assert isinstance(model.solver_, str)
        model.fit(*make_pickles.ESTIMATORS[name][1]())
        assert all(np.isfinite(answer).all() for answer in numbers(make_pickles.answers(name, model)))
        assert getattr(model, "n_iter_", 0) == before * (2 if goes_on else 1)
        if hasattr(model, "rows_curve_"):
            assert len(model.rows_curve_) == model.n_iter_


def numbers(answers):
    return [answer for answer in answers.values() if answer.dtype.kind == "f"]


def test_nothing_in_the_folders_goes_untested():
    assert VERSIONS, MISSING.format(name="regressor")
    for path in VERSIONS:
        files = {file.name for file in path.parent.iterdir()}
        names = {name for name in make_pickles.NAMES if f"{name}.pkl" in files}
        assert files == {f"{name}.{kind}" for name in names for kind in ("pkl", "npz")} | {"versions.json"}
        assert max((path.parent / file).stat().st_size for file in files) < 20_000


def test_what_is_written_today_is_read_today(tmp_path):
    """The script itself, and every object pickled in this version."""
    folder = tmp_path / "today"
    make_pickles.write(folder)
    for name in make_pickles.NAMES:
        content = (folder / f"{name}.pkl").read_bytes()
        assert len(content) < 20_000
        assert content[:2] == b"\x80\x04"  # protocol 4
        agree(name, loaded(folder, name), folder)
    assert {file.stem for file in folder.glob("*.pkl")} == set(make_pickles.NAMES)
