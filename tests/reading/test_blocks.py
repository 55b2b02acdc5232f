"""Reading in blocks gives what typing the text of all cells gives: values, missing values, warnings and errors."""

import csv
import io
import logging

from lockstep.kernel.errors import DataError
from lockstep.kernel.log import logger
from lockstep.reading import blocks, column_types, csvfile
from lockstep.reading.blocks import read_typed
from lockstep.reading.column_types import Format, typed_frame
from lockstep.reading.csvfile import CsvFile, Dialect

import numpy as np
import pandas as pd
import pytest
from csv_cells import read_csv
from hypothesis import given
from hypothesis import strategies as st
from small import drawn, widened
from test_values import CASES


class Messages(logging.Handler):
    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())


def outcome(read):
    """(the table or the error, what the missing cells held, the lines, the warnings)"""
    handler = Messages()
    logger.addHandler(handler)
    try:
        found = read()
        return found.frame, found.missing_as, found.line_starts.tolist(), handler.lines
    except DataError as error:
        return str(error), None, None, handler.lines
    finally:
        logger.removeHandler(handler)


def compare(path, chunk, levels=column_types.MAX_LEVELS, dialect=Dialect(), form=Format(), types=None, drop=()):
    """Read in both ways, one in blocks of ``chunk`` bytes; return the columns that this one had to read twice."""
    again = set()
    cells = CsvFile.cells

    def counted(self, block, columns=None):
        again.update(columns or ())
        return cells(self, block, columns)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(column_types, "MAX_LEVELS", levels)
        expected = outcome(lambda: typed_frame(read_csv(path, dialect).without(drop), str(path), form, types))
        patch.setattr(blocks, "MAX_LEVELS", levels)
        patch.setattr(csvfile, "CHUNK", chunk)
        patch.setattr(CsvFile, "cells", counted)
        found = outcome(lambda: read_typed(CsvFile(path, dialect), form, types, drop))
    assert type(found[0]) is type(expected[0]), (found, expected)
    if isinstance(expected[0], str):
        assert found[0] == expected[0]
    else:
        pd.testing.assert_frame_equal(found[0], expected[0], check_exact=True)
        assert found[0].index.equals(expected[0].index)
        for column in found[0].select_dtypes("float"):
            assert (np.signbit(found[0][column]) == np.signbit(expected[0][column])).all()  # -0.0 is no 0.0
    assert found[1:] == expected[1:]
    return again


def write(path, cells, delimiter=",", other=None):
    stream = io.StringIO()
    rows = [["c", "other"], *([cell, other or str(number)] for number, cell in enumerate(cells))]
    csv.writer(stream, delimiter=delimiter, lineterminator="\n").writerows(rows)
    path.write_text(stream.getvalue(), encoding="utf-8", newline="")
    return path


def many(cell, count=12):
    """So many distinct cells: where three are the most, these are too many to be compared."""
    return [cell.format(i) for i in range(1, count)]


BEGINNINGS = {
    "integers": many("{}"),
    "numbers": many("{}.5"),
    "texts": many("word{}"),
    "few texts": ["x", "y"] * 8,
    "booleans": ["true", "FALSE", ""] * 8,
    "leading zeros": [f"0{i}" for i in range(9)],
}


@pytest.mark.parametrize("beginning", widened(BEGINNINGS, ("texts",)))
def test_the_cases_of_single_values_behind_others(tmp_path, beginning):
    for case in CASES.values():
        if len(case.cells) < 50:
            path = write(tmp_path / "f.csv", [*BEGINNINGS[beginning], *case.cells], ";")
            compare(path, 48, 3, Dialect(";"), case.form, case.types)
            path = write(tmp_path / "f.csv", case.cells * 3, ";")
            compare(path, 16, 10_000, Dialect(";"), case.form, case.types)


@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_a_column_of_one_kind_is_read_once(tmp_path, beginning):
    cells = BEGINNINGS[beginning] * 4
    assert compare(write(tmp_path / "f.csv", cells), 100, 3) == set()


ONCE, TWICE = False, True
TRICKY = {
    "a missing value behind whole numbers": (ONCE, [*many("{}", 30), ""], {}),
    "a fraction behind whole numbers": (ONCE, [*many("{}"), "0.5", *many("{}")], {}),
    "missing values of two kinds": (ONCE, [*many("{}.5"), "", "NA", "NA"], {}),
    "a missing value beside a long number": (TWICE, [*many("{}"), "9007199254740993", *many("{}"), ""], {}),
    "a long number among fractions": (TWICE, [*many("{}.5"), "9007199254740993"], {}),
    "a word that is no missing value": (TWICE, [*many("{}.5"), "nan"], {"form": Format(missing=("NA",))}),
    "leading zeros": (TWICE, [*many("{}"), "007"], {}),
    "zeros of dates only": (ONCE, many("{}.5"), {"other": "2024-01-02 05:00"}),
    "zeros of another column": (ONCE, many("{}"), {"other": "007"}),
    "commas": (ONCE, many("{},5"), {}),
    "single quotes": (ONCE, many("'t{}'"), {}),
    "mostly numbers": (TWICE, ["t1", "t2", "t3", *many("{}")], {}),
    "a word with spaces": (TWICE, [*many("word{}"), "   NA   ", "NA", "  ", ""], {}),
    "a word for a missing value in texts": (
        ONCE,
        [*many("word{}"), "NA", "?"],
        {"form": Format(missing_texts=("NA",))},
    ),
    "few texts after all": (ONCE, [*many("word{}", 5), *["word1"] * 30], {}),
    "a level among numbers, twice": (ONCE, ["1", "1", "x", "2", "x"] * 6, {"levels": 10_000}),
    "infinite, few levels": (ONCE, ["1", "1", "inf", "x", "x"][:4] * 3 + ["inf"], {"levels": 10_000}),
    "declared whole": (TWICE, many("{}.5"), {"types": {"c": "integer"}}),
    "declared text": (ONCE, many("{}", 30), {"types": {"c": "string"}}),
    "declared boolean": (ONCE, ["true", "", "true", "false"] * 8, {"types": {"c": "boolean"}}),
    "not as declared": (TWICE, ["true", "x", "true", "false"] * 8, {"types": {"c": "boolean"}, "levels": 10_000}),
    "a leading zero amid a block": (ONCE, [*many("{}", 30), "007", *many("{}", 30)] * 4, {"chunk": 400}),
    "a long number amid a block": (TWICE, [*many("{}.5"), "9007199254740993", "1e300"] * 4, {"chunk": 400}),
    "a long whole number amid a block": (TWICE, [*many("{}"), "9007199254740993", "", "5"] * 8, {"chunk": 400}),
    "a long negative number": (TWICE, [*many("{}", 30), "-9007199254740993", "", "5"] * 4, {"chunk": 400}),
    "infinity amid a block": (TWICE, [*many("{}.5"), "1e400", "-1e400", *many("{}.5")] * 4, {"chunk": 400}),
    "nan that is a word": (TWICE, [*many("{}.5"), "-nan", *many("{}.5")] * 4, {"chunk": 400}),
    "a text among commas": (ONCE, [*many("{},5"), "word"] * 12, {"chunk": 400}),
    "two that look alike among many": (ONCE, ["true", "TRUE", *many("longer{}")] * 4, {"chunk": 400, "levels": 5}),
    "dropped": (ONCE, many("{}"), {"drop": ("other",), "other": "007"}),
}


@pytest.mark.parametrize("name", TRICKY)
def test_columns_that_are_not_what_they_seem(tmp_path, name):
    again, cells, own = TRICKY[name]
    settings = {"levels": 3, **own}
    path = write(tmp_path / "f.csv", cells, other=settings.pop("other", None))
    assert compare(path, settings.pop("chunk", 60), **settings) == ({"c"} if again else set())


@pytest.mark.parametrize(("quote", "escape", "delimiter"), [('"', "\\", ","), ("", "", ","), ("'", "", "x")])
def test_other_dialects(tmp_path, quote, escape, delimiter):
    path = write(tmp_path / "f.csv", [*many("{}"), "007", *many("{}.5")], delimiter)
    compare(path, 40, 3, Dialect(delimiter, quote, escape=escape))


def test_two_tables_in_one_file_are_refused_whatever_the_columns_are(tmp_path):
    for header in ("c,d", "1,d", "NA,nan", "c,5"):
        path = tmp_path / "f.csv"
        path.write_text(f"{header}\n" + "1,2\n" * 20 + f"{header}\n" + "1,2\n" * 20)
        compare(path, 24)
        with pytest.raises(DataError, match="line 22: the header again, amid the rows"):
            read_typed(CsvFile(path))


def test_the_first_mistake_in_the_file_is_the_one_that_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(csvfile, "CHUNK", 16)
    path = tmp_path / "f.csv"
    path.write_text("a,b\n" + "1,2\n" * 20 + "1\n" + '1,2"\n' + "1,2\n" * 20)
    with pytest.raises(DataError, match="line 22: 1 cells, the header has 2"):
        read_typed(CsvFile(path))


NUMBERS = st.integers(-(10**4), 10**4).map(str) | st.floats(allow_nan=False, width=32).map(repr)
# fmt: off
ODDITIES = [
    "9007199254740993", "-9007199254740994", "9223372036854775808", "1e400", "NA", "nan", "-nan", "None",
    "?", " NA ", "007", "-007", " 007", "+0x1F", "0x1F", "1E5", "true", "False", "\u00a05", "5\u00a0",
    "2024-01-02 05:00", "a,b", "+5", "1.", ".5", "00.5", "0", "-0", "", "  ", "1_0", "\u0663", "'a'",
    "1,234", "infinity", "'", "\n", "a\n0 1",
]
# fmt: on
ODD = st.text("0123456789+-.eExXinfaNAn ,'\t_", max_size=6) | st.sampled_from(ODDITIES)


@drawn(150)
@given(
    cells=st.lists(st.sampled_from(["", "1", "2", "a"]) | NUMBERS, min_size=2, max_size=30)
    | st.lists(ODD, max_size=30),
    few=st.lists(ODD, max_size=3),
    at=st.integers(0, 30),
    chunk=st.integers(10, 200),
    levels=st.sampled_from([1, 3, 10_000]),
    declared=st.sampled_from([None, None, None, "number", "integer", "string", "boolean"]),
    form=st.sampled_from([Format(), Format(missing_texts=("NA", "None")), Format(decimal=","), Format(thousands=",")]),
)
def test_any_column(tmp_path, cells, few, at, chunk, levels, declared, form):
    path = write(tmp_path / "f.csv", cells[:at] + few + cells[at:])
    compare(path, chunk, levels, form=form, types={"c": declared} if declared else None)
