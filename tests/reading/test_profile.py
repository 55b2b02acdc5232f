"""The data profile."""

import json

from lockstep.kernel.log import heartbeat
from lockstep.reading.profile import MAX_WORDS, OTHER_WORDS, file_facts, profile_of
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
FILE = {"path": "data/raw/p.csv", "size": 1, "md5": "0" * 32, "sha256": "0" * 64}
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
    profile = profile_of(make_table(COLUMNS), {}, [], FILE, {}, {})
    found = {column["column"]: column for column in profile["columns"]}
    assert list(found) == list(COLUMNS)
    assert found[name] == {"column": name} | NONE | expected | {"unit": "", "description": ""}
    assert {tuple(column) for column in found.values()} == {tuple(found["y"])}  # the same keys in the same order


def test_the_whole_is_json_and_has_its_keys_in_order(make_table):
    profile = profile_of(make_table(COLUMNS), {}, [], FILE, {}, {})
    assert list(profile) == [
        "file",
        "rows",
        "rows_left_out",
        "duplicate_rows",
        "task",
        "missing_words",
        "target",
        "columns",
        "dropped",
    ]
    assert json.loads(json.dumps(profile, allow_nan=False)) == profile
    assert (profile["rows"], profile["task"]) == (4, "classification")
    assert profile["target"] == {"column": "y", "classes": {"u": 2, "v": 2}}


def test_words_for_gaps_are_counted_where_there_are_any(make_table):
    missing_as = {"number": {"": 1}, "whole": {}, "text": {"": 1, "NA": 2}}
    assert profile_of(make_table(COLUMNS), missing_as, [], FILE, {}, {})["missing_words"] == {"text": {"": 1, "NA": 2}}


def test_duplicate_rows_are_counted_beyond_the_first(make_table):
    columns = {"a": [1, 1, 1, 2], "b": pd.Series([None, None, True, None], dtype="object"), "y": ["u"] * 4}
    assert profile_of(make_table(columns), {}, [], FILE, {}, {})["duplicate_rows"] == 1


def test_the_target_of_a_regression(make_table):
    values = np.arange(101.0)
    target = profile_of(make_table({"a": values, "y": values}, "regression"), {}, [], FILE, {}, {})["target"]
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


def test_columns_have_the_descriptions_and_units_of_the_contract(make_table):
    described, units = {"text": "in words", "gone": "dropped"}, {"number": "kg", "gone": "$"}
    columns = profile_of(make_table(COLUMNS), {}, [], FILE, described, units)["columns"]
    assert {column["column"]: column["description"] for column in columns if column["description"]} == {
        "text": "in words",
    }  # fmt: skip
    assert {column["column"]: column["unit"] for column in columns if column["unit"]} == {"number": "kg"}


def test_of_many_words_the_most_frequent_are_listed(make_table):
    counts = {f"w{number:03}": 1 for number in range(150)} | {"x": 7}
    found = profile_of(make_table(COLUMNS), {"text": counts}, [], FILE, {}, {})["missing_words"]["text"]
    assert len(found) == MAX_WORDS + 1
    assert found["x"] == 7
    assert found[OTHER_WORDS] == 51
    assert sum(found.values()) == 157


def test_a_file_is_named_by_its_hashes(tmp_path):
    path = tmp_path / "p.csv"
    path.write_bytes(b"abc")
    assert file_facts(path, "900150983cd24fb0d6963f7d28e17f72") == {
        "path": path.as_posix(),
        "size": 3,
        "md5": "900150983cd24fb0d6963f7d28e17f72",
        "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    }


def test_levels_that_have_an_order_are_counted_in_it(make_table):
    table = make_table(COLUMNS | {"size": ["low", None, "high", "low"]}, levels={"size": ("low", "middle", "high")})
    profile = profile_of(table, {}, [], FILE, {}, {})
    assert list(profile["ordered_levels"]["size"].items()) == [("low", 2), ("middle", 0), ("high", 1)]


def test_columns_are_counted(make_table):
    table = make_table(COLUMNS)
    with heartbeat("profile") as progress:
        profile_of(table, {}, [], FILE, {}, {})
    assert str(progress).startswith(f"{table.frame.shape[1]} of {table.frame.shape[1]} columns, ")
