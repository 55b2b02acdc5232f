"""The data profile."""

import json

from lockstep.reading.profile import profile_of
from lockstep.tables.table import class_counts, column_type

import numpy as np
import pandas as pd
import pytest

COLUMNS = {
    "number": [1.5, None, 3.5, 1.5],
    "whole": [3, 1, 2, 3],
    "empty": [np.nan] * 4,
    "text": ["b", "a", None, "b"],
    "tie": ["b", "a", "a", "b"],
    "flag": [True, False, True, True],
    "gaps": pd.Series([True, None, False, False], dtype="object"),
    "y": ["u", "v", "v", "u"],
}
NONE = dict.fromkeys(["min", "mean", "max", "most_frequent", "most_frequent_count"])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("number", {"type": "number", "missing": 1, "distinct": 2, "min": 1.5, "mean": 6.5 / 3, "max": 3.5}),
        ("whole", {"type": "number", "missing": 0, "distinct": 3, "min": 1, "mean": 2.25, "max": 3}),
        ("empty", {"type": "number", "missing": 4, "distinct": 0}),
        ("text", {"type": "text", "missing": 1, "distinct": 2, "most_frequent": "b", "most_frequent_count": 2}),
        ("tie", {"type": "text", "missing": 0, "distinct": 2, "most_frequent": "a", "most_frequent_count": 2}),
        ("flag", {"type": "boolean", "missing": 0, "distinct": 2, "most_frequent": "True", "most_frequent_count": 3}),
        ("gaps", {"type": "boolean", "missing": 1, "distinct": 2, "most_frequent": "False", "most_frequent_count": 2}),
    ],
)
def test_columns(make_table, name, expected):
    profile = profile_of(make_table(COLUMNS), {})
    found = {column["column"]: column for column in profile["columns"]}
    assert list(found) == list(COLUMNS)
    assert found[name] == {"column": name} | NONE | expected
    assert {tuple(column) for column in found.values()} == {tuple(found["y"])}  # the same keys in the same order


def test_the_whole_is_json_and_has_its_keys_in_order(make_table):
    profile = profile_of(make_table(COLUMNS), {})
    assert list(profile) == ["rows", "duplicate_rows", "task", "missing_words", "target", "columns", "dropped"]
    assert json.loads(json.dumps(profile, allow_nan=False)) == profile
    assert (profile["rows"], profile["task"]) == (4, "classification")
    assert profile["target"] == {"column": "y", "classes": {"u": 2, "v": 2}}


def test_words_for_gaps_are_counted_where_there_are_any(make_table):
    missing_as = {"number": {"": 1}, "whole": {}, "text": {"": 1, "NA": 2}}
    assert profile_of(make_table(COLUMNS), missing_as)["missing_words"] == {"text": {"": 1, "NA": 2}}


def test_duplicate_rows_are_counted_beyond_the_first(make_table):
    columns = {"a": [1, 1, 1, 2], "b": pd.Series([None, None, True, None], dtype="object"), "y": ["u"] * 4}
    assert profile_of(make_table(columns), {})["duplicate_rows"] == 1


def test_the_target_of_a_regression(make_table):
    values = np.arange(101.0)
    target = profile_of(make_table({"a": values, "y": values}, "regression"), {})["target"]
    quantiles = {"0": 0, "0.05": 5, "0.25": 25, "0.5": 50, "0.75": 75, "0.95": 95, "1": 100}
    assert target == {"column": "y", "mean": 50, "std": pytest.approx(values.std(ddof=1)), "quantiles": quantiles}


@pytest.mark.parametrize(
    ("labels", "counts"),
    [
        (np.array([10, 9, 10]), {"9": 1, "10": 2}),
        (np.array(["b", "a", "b"], dtype=object), {"a": 1, "b": 2}),
        (np.array([True, False, True]), {"False": 1, "True": 2}),
        (pd.Series(["b", "a", "b"], dtype="str"), {"a": 1, "b": 2}),
    ],
)
def test_class_counts_stand_in_the_classes_order(labels, counts):
    assert list(class_counts(labels).items()) == list(counts.items())


@pytest.mark.parametrize(
    ("dtype", "kind"),
    [("int64", "number"), ("float64", "number"), ("bool", "boolean"), ("object", "boolean"), ("str", "text")],
)
def test_column_types(dtype, kind):
    assert column_type(pd.Series([], dtype=dtype)) == kind
