"""The types that the columns of a user's DataFrame get: those of its CSV file."""

from lockstep.kernel.errors import DataError
from lockstep.reading.column_types import typed_frame
from lockstep.reading.dataframes import normalised_frame, ordered_levels

import numpy as np
import pandas as pd
import pytest
from csv_cells import read_csv

nan = np.nan


def same(column, values, dtype):
    pd.testing.assert_series_equal(column.reset_index(drop=True), pd.Series(values, dtype=dtype), check_names=False)


EQUIVALENT = {
    "int64": [1, 2, 3],
    "int8": pd.Series([1, 2, 3], dtype="int8"),
    "uint8": pd.Series([1, 2, 255], dtype="uint8"),
    "Int64": pd.Series([1, 2, 3], dtype="Int64"),
    "Int64 with gaps": pd.Series([1, None, 3], dtype="Int64"),
    "int64[pyarrow] with gaps": pd.Series([1, None, 3], dtype="int64[pyarrow]"),
    "float64": [0.1, nan, 1e-300],
    "float32": pd.Series([0.5, nan, 2.25], dtype="float32"),
    "Float64": pd.Series([0.5, None, 2.25], dtype="Float64"),
    "bool": [True, False, True],
    "object of bool": pd.Series([True, None, False], dtype="object"),
    "boolean": pd.Series([True, None, False], dtype="boolean"),
    "bool[pyarrow]": pd.Series([True, None, False], dtype="bool[pyarrow]"),
    "str": ["a", None, "NA"],
    "object of str": pd.Series(["a", None, "b"], dtype="object"),
    "string": pd.Series(["a", None, "b"], dtype="string"),
    "string[pyarrow]": pd.Series(["a", None, "b"], dtype="string[pyarrow]"),
    "category": pd.Series(pd.Categorical(["a", None, "b"])),
    "category of numbers": pd.Series(pd.Categorical([3, 1, 3])),
    "category of numbers with gaps": pd.Series(pd.Categorical([3, None, 1])),
    "category of booleans with gaps": pd.Series(pd.Categorical([True, None, False])),
    "object of nothing": pd.Series([None, None, None], dtype="object"),
    "object of numbers": pd.Series([1, None, 2.5], dtype="object"),
    "object of whole numbers": pd.Series([1, 2, 3], dtype="object"),
    "empty texts": ["a", "", "b"],
    "uint64": pd.Series([2**63 + 5, 1, 2], dtype="uint64"),
    "long numbers with gaps": pd.Series([2**53 + 1, None, 1], dtype="Int64"),
    "Int64 of nothing": pd.Series([None, None, None], dtype="Int64"),
    "extremes of int64": [2**63 - 1, -(2**63), 0],
    "object of long numbers": pd.Series([10**30, None, 1], dtype="object"),
}


@pytest.mark.parametrize(
    "column",
    [pytest.param(column, id=name) for name, column in EQUIVALENT.items()],
)
def test_a_dataframe_comes_to_the_same_as_its_csv_file(tmp_path, column):
    frame = pd.DataFrame({"c": column, "other": [1, 2, 3]})
    before = frame.copy(deep=True)
    frame.to_csv(tmp_path / "f.csv", index=False)
    from_file = typed_frame(read_csv(tmp_path / "f.csv"), "f.csv").frame
    pd.testing.assert_frame_equal(normalised_frame(frame.set_axis([7, 7, 7])), from_file)
    pd.testing.assert_frame_equal(frame, before)


def test_no_rows():
    assert len(normalised_frame(pd.DataFrame({"a": pd.Series([], dtype="int64")}))) == 0


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pd.DataFrame(), "F has no columns. Give a table, one row per sample, one column per feature."),
        (pd.DataFrame({1: [1], "": [2], "a": [3]}), "F: column names must be texts that are not blank, unlike 1, ''."),
        (pd.DataFrame({" ": [1]}), "F: column names must be texts that are not blank, unlike ' '. Rename them, for"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "F: column names must be distinct, unlike 'a'. Rename them, for"),
        (pd.DataFrame({"__row__": [1]}), "F: the column name __row__ is taken by the rows' numbers. Rename them, for"),
        (pd.DataFrame({"a": [1, "x"]}), "F: column 'a' holds int, str. Allowed: numbers, booleans, dates or"),
        (pd.DataFrame({"a": [True, "x"]}), "F: column 'a' holds bool, str. Allowed:"),
        (pd.DataFrame({"a": [[1]]}), "F: column 'a' holds list. Allowed:"),
        (pd.DataFrame({"a": [1j]}), "F: column 'a' holds complex. Allowed:"),
        (pd.DataFrame({"a": [pd.Timedelta(1)]}), "F: column 'a' holds Timedelta. Allowed:"),
        (pd.DataFrame({"a": [1.0, np.inf]}), "F: column 'a' has infinite numbers. Replace them with NaN"),
        (
            pd.DataFrame({"a": pd.Series([1, np.inf], dtype="Float64")}),
            "F: column 'a' has infinite numbers.",
        ),
        (
            pd.DataFrame({"a": pd.Series([1, np.inf], dtype="object")}),
            "F: column 'a' has infinite numbers.",
        ),
    ],
)
def test_dataframes_that_are_refused(frame, message):
    with pytest.raises(DataError) as caught:
        normalised_frame(frame, "F")
    assert str(caught.value).startswith(message)


def test_the_order_of_levels_is_that_of_ordered_categoricals_of_texts():
    def category(levels, *, ordered=True):
        return pd.Categorical(levels[:1] * 2, categories=levels, ordered=ordered)

    frame = pd.DataFrame(
        {
            "size": category(["small", "large", "huge"]),
            "colour": category(["red", "blue"], ordered=False),
            "number": category([2, 1]),
            "one": category(["a"]),
            "with an empty one": category(["a", ""]),
            "text": ["a", "b"],
        }
    )
    assert ordered_levels(frame) == {"size": ("small", "large", "huge")}
