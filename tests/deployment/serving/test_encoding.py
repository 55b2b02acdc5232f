"""The quick encoder gives what the fitted preprocessor gives, to the bit and in the same order in memory."""

from lockstep.deployment.serving.encoding import QuickEncoder
from lockstep.learning.preprocessing import PreprocessSettings, fit_preprocessor

import numpy as np
import pandas as pd
import pytest
from small import widened

N = 200
SCALES = ("none", "standard", "minmax", "robust")


def columns_of(seed, n_rows):
    """Columns of every kind, with missing values, rare levels and levels that other seeds lack."""
    random = np.random.default_rng(seed)

    def with_gaps(values):
        return np.where(random.random(n_rows) < 0.1, None, values)

    return {
        "whole": random.integers(-50, 50, n_rows),
        "number": with_gaps(random.normal(size=n_rows)).astype(float),
        "huge": random.normal(size=n_rows) * 1e12,
        "flag": random.random(n_rows) < 0.5,
        "doubt": pd.Series(with_gaps(random.random(n_rows) < 0.5), dtype="object"),
        "few": pd.Series(random.choice(["low", "mid", "high"], n_rows), dtype="str"),
        "gaps": pd.Series(with_gaps(random.choice(["a", "b", "c"], n_rows)), dtype="str"),
        "many": pd.Series([f"level {random.geometric(0.08) + seed % 2 * 3}" for _ in range(n_rows)], dtype="str"),
        "day": np.datetime64("2024-01-01", "us") + random.integers(0, 900, n_rows).astype("timedelta64[D]"),
    }


@pytest.fixture
def fit(make_table):
    """A function that fits a preprocessor on such columns, of these ``names`` alone if they are given."""

    def fit(task="regression", model="hist_gradient_boosting", names=None, levels=None, **settings):
        columns = columns_of(0, N)
        columns = {name: columns[name] for name in names or columns}
        y = ["u", "v", "w", "u"] * (N // 4) if task == "classification" else np.arange(N) % 17 / 3
        table = make_table(columns | {"y": y}, task, levels=levels or {})
        return fit_preprocessor(table, PreprocessSettings(**settings), model, log=False)[0]

    return fit


def check(fitted, rows):
    expected, found = np.asarray(fitted.transform(rows)), QuickEncoder(fitted).transform(rows)
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    assert found.tobytes() == expected.tobytes()
    assert found.flags.c_contiguous == expected.flags.c_contiguous
    assert found.flags.f_contiguous == expected.flags.f_contiguous


@pytest.mark.parametrize("encode", widened(["auto", "onehot", "ordinal", "target", "native"], ("auto", "native")))
@pytest.mark.parametrize(
    ("scale", "numeric", "categorical"),
    [
        ("none", "mean", "most_frequent"),
        ("standard", "median", "missing"),
        ("minmax", "native", "missing"),
        ("robust", "most_frequent", "missing"),
    ],
)
def test_all_settings(fit, encode, scale, numeric, categorical):
    """Rows with missing values and unknown levels; one alone, a few, and columns in which all is missing."""
    imputes = {"numeric_impute": numeric, "categorical_impute": categorical}
    fitted = fit(encode=encode, scale=scale, max_levels=10, missing_indicator=True, **imputes)
    for seed, n_rows in ((1, 1), (2, 1), (3, 40)):
        check(fitted, pd.DataFrame(columns_of(seed, n_rows)))
    empty = dict.fromkeys(("number", "doubt", "gaps"), np.nan)
    check(fitted, pd.DataFrame(columns_of(4, 3)).assign(**empty))


@pytest.mark.parametrize("names", ["whole", "flag", "whole number huge", "many", "few gaps", "day"])
def test_one_kind_of_column(fit, names):
    """The numbers lie in memory as they do there, whatever stands beside them."""
    for settings in ({}, {"encode": "onehot", "scale": "standard"}, {"numeric_impute": "most_frequent"}):
        check(fit(names=names.split(), **settings), pd.DataFrame(columns_of(1, 30))[names.split()])


def test_levels_in_an_order_several_classes_and_free_texts(fit):
    rows = pd.DataFrame(columns_of(1, 30))
    check(fit(levels={"few": ("low", "mid", "high")}, scale="standard"), rows)
    check(fit(levels={"few": ("low", "mid", "high")}, encode="native"), rows)
    check(fit("classification", encode="target"), rows)
    check(fit(text_columns=("many",), text_components=3), rows)


def test_an_infinite_number_is_refused_in_the_same_words(fit):
    """The user's own features may divide by zero."""
    fitted, rows = fit(), pd.DataFrame(columns_of(1, 3)).assign(number=np.inf)
    said = []
    for encoder in (fitted, QuickEncoder(fitted)):
        with pytest.raises(ValueError, match="infinity") as caught:
            encoder.transform(rows)
        said.append(str(caught.value))
    assert said[0] == said[1]
