"""The types that columns of text cells get."""

import logging

from lockstep.kernel.errors import DataError
from lockstep.reading.column_types import typed_frame

import numpy as np
import pandas as pd
import pytest
from csv_cells import read_csv

nan = np.nan
TOO_LONG = "f.csv column 'c' is read as text: its numbers are too long to be computed with"
NAN_WORDS = ["NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "?"]


@pytest.fixture
def typed(tmp_path):
    def read(*cells):
        path = tmp_path / "f.csv"
        path.write_text("c,other\n" + "".join(f"{cell},1\n" for cell in cells), encoding="utf-8")
        return typed_frame(read_csv(path), "f.csv").frame["c"]

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


@pytest.mark.parametrize("digits", [400, 5000])
def test_a_whole_number_that_no_float_holds_at_all_makes_a_text_column(typed, caplog, digits):
    same(typed("9" * digits, "0.5"), ["9" * digits, "0.5"], "str")
    assert caplog.messages == [TOO_LONG]


def test_rows_are_numbered_from_1_and_columns_keep_their_order(tmp_path):
    path = tmp_path / "f.csv"
    path.write_text('b,a\n1,"x\ny"\n2,z\n')
    frame = typed_frame(read_csv(path), "f.csv").frame
    assert list(frame.columns) == ["b", "a"]
    assert (frame.index.name, frame.index.tolist()) == ("__row__", [1, 2])


@pytest.mark.parametrize("word", ["inf", "-Infinity", "+INF", "1e400", "-1e999"])
def test_infinite_numbers_are_refused_with_their_lines(typed, word):
    cells = ["1", word, "", "2.5", word]
    with pytest.raises(DataError) as caught:
        typed(*cells)
    message = "f.csv column 'c' has infinite numbers, lines 3, 6. No model can be trained on them: correct those"
    assert str(caught.value).startswith(message)


def test_a_number_column_with_errors_is_reported(typed, caplog):
    caplog.set_level(logging.WARNING)
    assert typed(*map(str, range(18)), "twelve", "", "").dtype == "str"
    message = "f.csv column 'c' is read as text: 1 of its 21 cells are not numbers, the first 'twelve' in line 20"
    assert caplog.messages == [message]
    caplog.clear()
    typed(*map(str, range(4)), "a", "b", "c", "d", "e")  # less than half are numbers: a text column
    assert caplog.messages == []


def test_numbers_too_long_are_reported(typed, caplog):
    typed("99999999999999999999")
    assert caplog.messages == [TOO_LONG]
