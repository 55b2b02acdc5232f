"""The types of columns: of text cells, and of a user's DataFrame, which must come to the same."""

import logging

import numpy as np
import pandas as pd
import pytest

from lockstep.columns import normalised_frame, typed_frame
from lockstep.csvfile import read_csv
from lockstep.errors import DataError

nan = np.nan
NAN_WORDS = ["NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "?"]


@pytest.fixture
def typed(tmp_path):
    def read(*cells):
        path = tmp_path / "f.csv"
        path.write_text("c,other\n" + "".join(f"{cell},1\n" for cell in cells), encoding="utf-8")
        return typed_frame(read_csv(path), "f.csv")["c"]

    return read


def same(column, values, dtype):
    pd.testing.assert_series_equal(column.reset_index(drop=True), pd.Series(values, dtype=dtype), check_names=False)


@pytest.mark.parametrize(
    ("cells", "values", "dtype"),
    [
        (["1", "-2", "+3", "0", "-0"], [1, -2, 3, 0, 0], "int64"),
        ([" 1 ", "\t2", "\u00a03"], [1, 2, 3], "int64"),
        (["9223372036854775807", "-9223372036854775808"], [2**63 - 1, -(2**63)], "int64"),
        (["1", "", "2"], [1, nan, 2], "float64"),
        (["1", "  ", "2"], [1, nan, 2], "float64"),
        (["1", *NAN_WORDS], [1, *[nan] * 9], "float64"),
        (["9007199254740992", ""], [2.0**53, nan], "float64"),
        (["0.1", "5.", ".5", "+.5", "-.5"], [0.1, 5, 0.5, 0.5, -0.5], "float64"),
        (["1e3", "1E-3", "1.5e+2", ".1e1"], [1000, 0.001, 150, 1], "float64"),
        (["1e-400", "0.30000000000000004"], [0, 0.30000000000000004], "float64"),
        (["", " ", "\t"], [nan, nan, nan], "float64"),
        (["true", "False", "TRUE", " false"], [True, False, True, False], "bool"),
        (["true", "", "NA", "false"], [True, None, None, False], "object"),
        (["00123", "00124"], ["00123", "00124"], "str"),
        (["1", "007"], ["1", "007"], "str"),
        (["1_000", "2"], ["1_000", "2"], "str"),
        (["0x1F", "2"], ["0x1F", "2"], "str"),
        (["1e", "2"], ["1e", "2"], "str"),
        ([".", "2"], [".", "2"], "str"),
        (["\u0663", "2"], ["\u0663", "2"], "str"),
        (["true", "1"], ["true", "1"], "str"),
        (["yes", "no"], ["yes", "no"], "str"),
        (["a", "", "NA", "  ", " b"], ["a", nan, "NA", "  ", " b"], "str"),
        (["NA", "NA"], ["NA", "NA"], "str"),
        (["None", "", "?"], ["None", nan, "?"], "str"),
        (["9007199254740993", ""], ["9007199254740993", nan], "str"),
        (["99999999999999999999", "1"], ["99999999999999999999", "1"], "str"),
        (["Infinity", "a"], ["Infinity", "a"], "str"),
    ],
)
def test_types_of_cells(typed, cells, values, dtype):
    same(typed(*cells), values, dtype)


def test_a_long_whole_number_beside_a_decimal_is_not_rounded(typed):
    same(typed("9007199254740993", "0.5"), ["9007199254740993", "0.5"], "str")
    same(typed("9007199254740992", "0.5"), [2.0**53, 0.5], "float64")


def test_rows_are_numbered_from_1_and_columns_keep_their_order(tmp_path):
    path = tmp_path / "f.csv"
    path.write_text('b,a\n1,"x\ny"\n2,z\n')
    frame = typed_frame(read_csv(path), "f.csv")
    assert list(frame.columns) == ["b", "a"]
    assert (frame.index.name, frame.index.tolist()) == ("__row__", [1, 2])


@pytest.mark.parametrize("word", ["inf", "-Infinity", "+INF", "1e400", "-1e999"])
def test_infinite_numbers_are_refused_with_their_lines(typed, word):
    cells = ["1", word, "", "2.5", word]
    with pytest.raises(DataError) as caught:
        typed(*cells)
    message = "f.csv column 'c' has infinite numbers, in line 3, 6. No model can be trained on them: correct those"
    assert str(caught.value).startswith(message)


def test_a_number_column_with_errors_is_reported(typed, caplog):
    caplog.set_level(logging.WARNING)
    assert typed(*map(str, range(18)), "twelve", "", "NA").dtype == "str"
    message = "f.csv column 'c' is read as text: 1 of its 21 cells are not numbers, the first 'twelve' in line 20"
    assert caplog.messages == [message]
    caplog.clear()
    typed(*map(str, range(8)), "a", "b")  # 80 % numbers: a text column
    assert caplog.messages == []


def test_numbers_too_long_are_reported(typed, caplog):
    typed("99999999999999999999")
    assert caplog.messages == ["f.csv column 'c' is read as text: its numbers are too long to be computed with"]


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
    from_file = typed_frame(read_csv(tmp_path / "f.csv"), "f.csv")
    pd.testing.assert_frame_equal(normalised_frame(frame.set_axis([7, 7, 7])), from_file)
    pd.testing.assert_frame_equal(frame, before)


def test_no_rows():
    assert len(normalised_frame(pd.DataFrame({"a": pd.Series([], dtype="int64")}))) == 0


def test_dates_become_texts():
    frame = pd.DataFrame({"d": pd.to_datetime(["2024-01-31", None]), "z": pd.to_datetime(["2024-01-31T09:30Z"] * 2)})
    found = normalised_frame(frame)
    same(found["d"], ["2024-01-31T00:00:00", nan], "str")
    same(found["z"], ["2024-01-31T09:30:00+00:00"] * 2, "str")


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pd.DataFrame(), "the DataFrame's column names must be texts. Rename them: frame.columns = [...]."),
        (pd.DataFrame({1: [1]}), "the DataFrame's column names must be texts."),
        (pd.DataFrame({" ": [1]}), "the DataFrame's column names must be texts."),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "the DataFrame's column names must be distinct, and none of them"),
        (pd.DataFrame({"__row__": [1]}), "the DataFrame's column names must be distinct, and none of them __row__."),
        (pd.DataFrame({"a": [1, "x"]}), "the DataFrame's column 'a' holds int, str. Allowed: numbers, booleans or"),
        (pd.DataFrame({"a": [True, "x"]}), "the DataFrame's column 'a' holds bool, str. Allowed:"),
        (pd.DataFrame({"a": [[1]]}), "the DataFrame's column 'a' holds list. Allowed:"),
        (pd.DataFrame({"a": [1j]}), "the DataFrame's column 'a' holds complex. Allowed:"),
        (pd.DataFrame({"a": [pd.Timedelta(1)]}), "the DataFrame's column 'a' holds Timedelta. Allowed:"),
        (pd.DataFrame({"a": [1.0, np.inf]}), "the DataFrame's column 'a' has infinite numbers. Replace them with NaN"),
        (
            pd.DataFrame({"a": pd.Series([1, np.inf], dtype="Float64")}),
            "the DataFrame's column 'a' has infinite numbers.",
        ),
        (
            pd.DataFrame({"a": pd.Series([1, np.inf], dtype="object")}),
            "the DataFrame's column 'a' has infinite numbers.",
        ),
    ],
)
def test_dataframes_that_are_refused(frame, message):
    with pytest.raises(DataError) as caught:
        normalised_frame(frame)
    assert str(caught.value).startswith(message)
