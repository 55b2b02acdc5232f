"""What add finds out of a file is the same, whether the texts of plain numbers are kept or not."""

import csv
import io
import logging
from functools import partial

from lockstep.intake.detecting import codes, decimal_marks, file_format, formatted_numbers, settled_columns
from lockstep.intake.detecting.csv_detection import whole_table
from lockstep.intake.detecting.file_format import look
from lockstep.intake.detecting.settled_columns import columns_of, settled_table
from lockstep.kernel.errors import DataError
from lockstep.kernel.log import logger
from lockstep.reading import csvfile
from lockstep.reading.column_types import DATE_TYPE, MISSING, NUMBER_TYPE, STRING_TYPE
from lockstep.reading.csvfile import CsvFile, Dialect

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small import drawn, widened

SAMPLE = 20
ROWS = 60


@pytest.fixture(autouse=True)
def short_blocks(monkeypatch):
    monkeypatch.setattr(settled_columns, "BLOCK_ROWS", 1)


FIRST = {
    "decimals": [f"{i}.{i}5" for i in range(30)],
    "small decimals": ["1e-05", "-.5", "3.", "0.25", "-12.75e3", "7e+2"] * 5,
    "whole": [str(i - 9) for i in range(30)],
    "gaps": [""] * 30,
    "words": ["NA", "0.5", "2.25", "-1.5", "", "1e-7"] * 5,
    "words and whole": ["NA", "5", "null", "", "-1", "?"] * 5,
    "three decimals": [f"{i}.{100 + i}" for i in range(1, 31)],
    "few certain": [*(f"{i}.{100 + i}" for i in range(1, 28)), "0.5", "1.25", "7"],
    "postal": [f"{62230 + i}.0" for i in range(30)],
    "texts": [f"word {i}" for i in range(30)],
    "dates": [f"2024-01-{i:02d}" for i in range(1, 31)],
    "missing words": ["0.5", *(str(i) for i in range(29))],
}
"""Cells that a column begins with."""
LATER = {
    "the same": None,
    "decimals": ["0.5", "1.25"],
    "three decimals": ["1.234"],
    "large": ["99999999999999999999", "1e999", "1e5"],
    "whole": ["12", "-7", "0"],
    "exponents": ["53e39"],
    "gaps": ["", "NA"],
    "a comma": ["1,5"],
    "groups": ["1,234", "1,234.5"],
    "points": ["1.234.567"],
    "plus": ["+4917612345678", "+5"],
    "a zero in front": ["007", "1"],
    "blanks": [" 5", "6 "],
    "units": ["$5", "(3)", "7 kg"],
    "infinite": ["inf"],
    "no number": ["-", ".", "e5", "1-2", "--1", "1.2.3", "0x1A", "nan", "NaN"],
    "text": ["x", "true"],
    "a date": ["2024-01-31"],
    "quotes": ["'5'"],
}
"""Cells that stand behind them, now and then."""


GIVEN = [
    {"load.decimal": ","},
    {"load.decimal": ".", "load.thousands": ","},
    {"load.missing": ["0.5", "-"]},
    {"load.missing": ["5"]},
    {NUMBER_TYPE: ["c"]},
    {STRING_TYPE: ["c"]},
    {DATE_TYPE: [("c", "%Y-%m-%d")]},
    {DATE_TYPE: [("c", "excel")]},
]


def cells(first, later, rows=ROWS):
    begin = FIRST[first][:30]
    end = LATER[later] or FIRST[first]
    return [*begin, *(end[row % len(end)] if row % 3 else begin[row % 30] for row in range(rows - 30))]


def some_of_later(first, step):
    """A third of LATER, another one for each of three neighbours of FIRST; steps 0, 1 and 2 make up all of them."""
    return [*LATER][([*FIRST].index(first) + step) % 3 :: 3]


def write(path, columns, delimiter=","):
    stream = io.StringIO()
    out = csv.writer(stream, delimiter=delimiter, lineterminator="\n")
    out.writerows([columns.keys(), *zip(*columns.values(), strict=True)])
    path.write_text(stream.getvalue(), encoding="utf-8")
    return path


def outcome(path, given, *, settle):
    """(the facts, without the table, or the error; the table; the warnings), read in small blocks."""
    lines = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: lines.append(record.getMessage())
    logger.addHandler(handler)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(csvfile, "CHUNK", 300)
            for module in (codes, decimal_marks, formatted_numbers, settled_columns):
                patch.setattr(module, "SAMPLE", SAMPLE)
            if not settle:
                patch.setattr(file_format, "settled_table", lambda file, **_: whole_table(file))
            facts = look(path, given)
        return facts._replace(frame=None), facts.frame, lines
    except DataError as error:
        return str(error), None, lines
    finally:
        logger.removeHandler(handler)


def compare(path, given=None):
    found, expected = (outcome(path, given or {}, settle=settle) for settle in (True, False))
    assert found[0] == expected[0]
    assert found[2] == expected[2]
    if expected[1] is not None:
        pd.testing.assert_frame_equal(found[1], expected[1], check_exact=True)
    return found


def settled_of(path, monkeypatch, **more):
    monkeypatch.setattr(csvfile, "CHUNK", 100)
    monkeypatch.setattr(settled_columns, "SAMPLE", SAMPLE)
    arguments = {"missing": MISSING, "whole": (), "is_open": True} | more
    return settled_table(CsvFile(path), **arguments)


@pytest.mark.parametrize("first", widened(FIRST, ["missing words"]))
@pytest.mark.parametrize("other", widened(["decimals", "three decimals"], ["decimals"]))
def test_what_is_found_is_the_same(tmp_path, first, other):
    for later in some_of_later(first, 1 if other == "decimals" else 0):
        columns = {"c": cells(first, later), "o": cells(other, "the same"), "t": ["u", "v"] * (ROWS // 2)}
        compare(write(tmp_path / "f.csv", columns, ";"))


@pytest.mark.exhaustive
@pytest.mark.parametrize("first", FIRST)
def test_also_where_a_column_is_named_as_a_postal_code(tmp_path, first):
    for later in some_of_later(first, 2):
        compare(write(tmp_path / "f.csv", {"zip": cells(first, later), "t": ["u", "v"] * (ROWS // 2)}))


@pytest.mark.parametrize("given", widened(GIVEN, [GIVEN[0], GIVEN[2], GIVEN[4]]), ids=str)
@pytest.mark.parametrize("first", widened(FIRST, ["decimals"]))
def test_also_where_the_user_has_decided(tmp_path, first, given):
    later = ("the same", "a comma", "text")[([*FIRST].index(first) + GIVEN.index(given)) % 3]
    columns = {"c": cells(first, later), "o": cells("decimals", "the same"), "t": ["u", "v"] * (ROWS // 2)}
    compare(write(tmp_path / "f.csv", columns, ";"), given)


@drawn(20)
@given(
    st.lists(st.tuples(st.sampled_from([*FIRST]), st.sampled_from([*LATER])), min_size=2, max_size=5),
    st.sampled_from(",;\t"),
)
def test_also_in_tables_of_all_kinds(tmp_path_factory, kinds, delimiter):
    columns = {f"c{place}": cells(*kind) for place, kind in enumerate(kinds)}
    compare(write(tmp_path_factory.mktemp("f") / "f.csv", columns, delimiter))


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("end", ["", "1", "x"])
def test_names_of_rows_are_all_looked_at(tmp_path, end, named):
    """Whether the cells in front name the rows, each of them tells, and the last column, which must not be empty."""
    rows = [f"{i},{i}.5,{'' if i < 50 else end}" for i in range(1, ROWS + 1)]
    rows[-1] = rows[-1] if named else f"1,{rows[-1].partition(',')[2]}"
    path = tmp_path / "f.csv"
    path.write_text("\n".join(["a,b", *rows, ""]))
    facts, frame, _ = compare(path)
    assert (frame is not None) == bool(named and end)
    assert frame is None or facts.settings["quirks"] == ("row_names",)


def test_columns_of_plain_numbers_leave_no_texts_behind_the_first_rows(tmp_path, monkeypatch):
    settling = ["decimals", "small decimals", "whole", "words", "words and whole", "gaps"]
    path = write(tmp_path / "f.csv", {name: cells(name, "the same", 300) for name in FIRST})
    found = settled_of(path, monkeypatch)
    assert found.settled == {*settling}
    assert SAMPLE <= found.n_first < 50
    whole = whole_table(CsvFile(path)).cells
    assert [len(column) for column in found.cells.columns] == [300] * len(FIRST)
    for name, column in columns_of(found).items():
        assert column.to_pylist() == whole[name].to_pylist()[: found.n_first if name in found.settled else 300]
        assert set(found.cells[name].to_pylist()[len(column) :]) <= {""}
    assert found.line_starts.tolist() == [*range(2, 302)]
    assert settled_of(path, monkeypatch, is_open=False).settled == {"whole", "words and whole", "gaps"}
    assert settled_of(path, monkeypatch, whole=["whole", "words"]).settled == found.settled - {"whole", "words"}


def test_long_rows_keep_all_their_texts(tmp_path, monkeypatch):
    path = write(tmp_path / "f.csv", {name: cells(name, "the same", 300) for name in FIRST})
    monkeypatch.setattr(settled_columns, "BLOCK_ROWS", 50)
    found = settled_of(path, monkeypatch)
    assert (found.settled, found.cells) == (frozenset(), whole_table(CsvFile(path)).cells)


def test_a_cell_far_below_brings_all_texts_of_its_column_back(tmp_path, monkeypatch):
    columns = {name: [*(f"{i}.{i}5" for i in range(299)), "0.5"] for name in "abc"}
    columns["b"][250], columns["c"][299] = "007", "x"
    path = write(tmp_path / "f.csv", columns)
    found = settled_of(path, monkeypatch)
    assert found.settled == {"a"}
    assert [found.cells[name].to_pylist() for name in "bc"] == [columns["b"], columns["c"]]


def test_the_first_mistake_is_told(tmp_path, monkeypatch):
    """A row of too many cells is seen when it is cut, in a thread; what is no text, when it is scanned."""
    monkeypatch.setattr(csvfile, "CHUNK", 100)
    monkeypatch.setattr(settled_columns, "SAMPLE", SAMPLE)
    rows = [b"1.5,2"] * 300
    rows[200], rows[250] = b"1.5,2,3", b"1.5,\xff"
    path = tmp_path / "f.csv"
    path.write_bytes(b"\n".join([b"a,b", *rows]))
    for read in (whole_table, partial(settled_table, missing=MISSING, whole=(), is_open=True)):
        with pytest.raises(DataError, match="line 202: 3 cells, the header has 2"):
            read(CsvFile(path, Dialect()))
