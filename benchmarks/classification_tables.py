"""Tables with classes that packages bring along: scikit-learn, statsmodels, plotnine, vega_datasets and lifelines.

Nothing is downloaded.  Features that name a row, give its class away or repeat another
feature are left out.
"""

from functools import cache, partial
from importlib import import_module
from typing import NamedTuple

import numpy as np
from sklearn import datasets
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import LabelEncoder, OneHotEncoder

PACKAGES = "statsmodels", "plotnine", "vega_datasets", "lifelines"


class Table(NamedTuple):
    """Features, a data frame or an array of numbers, and the class of each row, a whole number from 0."""

    X: object
    y: np.ndarray


def load_split(name, seed, rows, test_rows):
    """Training and test part of a table, 80 % and 20 % of each class, with at most so many rows, as arrays of numbers.

    Missing values are the median or the most frequent value of the training rows; categories are columns of 0 and 1.
    """
    table = load(name)
    n_test = round(0.2 * len(table.y))
    n_train = len(table.y) - n_test
    sizes = {"train_size": min(n_train, rows), "test_size": min(n_test, test_rows)}
    ((train, test),) = StratifiedShuffleSplit(1, **sizes, random_state=seed).split(table.y, table.y)
    X, X_test = _encode(table.X, train, test)
    return X, table.y[train], X_test, table.y[test]


def _encode(X, train, test):
    if isinstance(X, np.ndarray):
        return X[train], X[test]
    categories = make_pipeline(
        SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    )
    encoder = make_column_transformer(
        (SimpleImputer(strategy="median"), make_column_selector(dtype_include="number")),
        (categories, make_column_selector(dtype_exclude="number")),
    )
    return encoder.fit_transform(X.iloc[train]), encoder.transform(X.iloc[test])


@cache
def load(name):
    """A table by its name in `SETS`."""
    X, y = SETS[name]()
    return Table(X, LabelEncoder().fit_transform(y))


def _frame(load, target, drop=(), categories=(), above=None):
    """Features and classes of a data frame; rows without a class are dropped, and a number is one of two classes."""
    frame = load()
    frame = frame[frame[target].notna()].drop(columns=list(drop))
    X, y = frame.drop(columns=target), frame[target]
    words = [name for name in X if X[name].dtype.kind not in "biuf" or name in categories]
    # Columns of objects, with NaN for what is missing, mean the same to all versions of pandas and scikit-learn.
    X = X.astype(dict.fromkeys(words, object) | {name: float for name in X if name not in words})
    X[words] = X[words].where(X[words].notna(), np.nan)
    return X, (y if above is None else y > above).to_numpy()


def _statsmodels(name):
    return import_module(f"statsmodels.datasets.{name}").load_pandas().data


def _member(module, name, call=False):
    found = getattr(import_module(module), name)
    return found() if call else found


def _travel():
    """A row for each traveller, with costs and times of the four modes of travel of which one is chosen."""
    long = _statsmodels("modechoice")
    wide = long.pivot(index="individual", columns="mode", values=["ttme", "invc", "invt", "gc"])
    wide.columns = [f"{name} {mode:g}" for name, mode in wide.columns]
    each = long[long["choice"] == 1].set_index("individual")
    return wide.join(each[["hinc", "psize", "mode"]])


def _weather():
    """Days, with the month in place of the date."""
    days = _member("vega_datasets", "local_data").seattle_weather()
    return days.assign(month=days["date"].dt.month).drop(columns="date")


def _cars():
    """Cars, with the year as a number."""
    cars = _member("vega_datasets", "local_data").cars()
    return cars.assign(Year=cars["Year"].dt.year)


def _bundled(package, name, *arguments, **options):
    loaders = {
        "statsmodels": partial(_statsmodels, name),
        "plotnine": partial(_member, "plotnine.data", name),
        "lifelines": partial(_member, "lifelines.datasets", f"load_{name}", call=True),
    }
    return partial(_frame, loaders[package], *arguments, **options)


SETS = {
    "iris": partial(datasets.load_iris, return_X_y=True),
    "wine": partial(datasets.load_wine, return_X_y=True),
    "breast_cancer": partial(datasets.load_breast_cancer, return_X_y=True),
    "digits": partial(datasets.load_digits, return_X_y=True),
    # Whether a wife had an affair, answers to a survey of 1974.
    "fair": _bundled("statsmodels", "fair", "affairs", categories=["occupation", "occupation_husb"], above=0),
    # The vote and the party of voters, 1996.
    "anes96_vote": _bundled("statsmodels", "anes96", "vote", drop=["logpopul"]),
    "anes96_party": _bundled("statsmodels", "anes96", "PID", drop=["logpopul", "vote"]),
    # Whether a person saw a doctor in a year.
    "randhie": _bundled("statsmodels", "randhie", "mdvis", above=0),
    "spector": _bundled("statsmodels", "spector", "GRADE"),
    "ccard": _bundled("statsmodels", "ccard", "OWNRENT", drop=["INCOMESQ"]),
    "modechoice": partial(_frame, _travel, "mode"),
    "penguins": _bundled("plotnine", "penguins", "species", drop=["year"]),
    "mpg": _bundled("plotnine", "mpg", "class", drop=["model"]),
    "diamonds": _bundled("plotnine", "diamonds", "cut"),
    "midwest": _bundled("plotnine", "midwest", "state", drop=["PID", "county", "category"]),
    "msleep": _bundled("plotnine", "msleep", "vore", drop=["name", "genus", "awake"]),
    "cars": partial(_frame, _cars, "Origin", drop=["Name"]),
    "weather": partial(_frame, _weather, "weather"),
    # The grade of a tumour, and whether a released prisoner was arrested again within a year.
    "gbsg2": _bundled("lifelines", "gbsg2", "tgrade", drop=["time", "cens"]),
    "rossi": _bundled("lifelines", "rossi", "arrest", drop=["week"]),
    # The kind of a government.
    "dd": _bundled(
        "lifelines", "dd", "regime",
        drop=["ctryname", "cowcode2", "politycode", "ehead", "leaderspellreg", "democracy"],
    ),
}  # fmt: skip
