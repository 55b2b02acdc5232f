"""Rows behind those of another file: written as that file writes them, read back cell by cell."""

import csv
from datetime import datetime

from lockstep.intake.renewing.appending import append_parquet_rows, append_rows
from lockstep.kernel.errors import DataError
from lockstep.reading.csvfile import CsvFile, Dialect

import pyarrow as pa
import pyarrow.parquet as pq
import pytest


def appended(tmp_path, table, rows, dialect=Dialect(), **own):
    (tmp_path / "table.csv").write_bytes(table)
    (tmp_path / "rows.csv").write_bytes(rows)
    append_rows(tmp_path / "table.csv", tmp_path / "rows.csv", dialect, tmp_path / "result.csv", **own)
    return (tmp_path / "result.csv").read_bytes()


@pytest.mark.parametrize(
    ("table", "rows", "dialect", "added"),
    [
        (b"a,b\n1,2\n", b"a,b\n3,4\n", Dialect(), b"3,4\n"),
        (b"a,b\n1,2", b"a,b\n3,4", Dialect(), b"\n3,4\n"),
        (b"a,b\r\n1,2\r\n", b"a,b\n3,4\n", Dialect(), b"3,4\r\n"),
        (b"a,b\r1,2\r", b"a,b\n3,4\n", Dialect(), b"3,4\r"),
        (b"a,b\n1,2\n", b"b,a\n4,3\n", Dialect(), b"3,4\n"),
        (b"a;b\n1;2\n", b'a;b\n"x;y";"say ""so"""\n', Dialect(";"), b'"x;y";"say ""so"""\n'),
        (b"a,b\n1,2\n", b'a,b\n"two\nlines",007\n', Dialect(), b'"two\nlines",007\n'),
        (b"a,b\n1,2\n", b"a,b\n, NA \n", Dialect(), b", NA \n"),
        ("a,b\n1,é\n".encode("cp1252"), "a,b\n2,ü\n".encode("cp1252"), Dialect(encoding="cp1252"), b"2,\xfc\n"),
        ("a,b\n1,é\n".encode("utf-16"), "a,b\n2,ü\n".encode(), Dialect(), "2,ü\n".encode("utf-16-le")),
        ("\ufeffa,b\n1,é\n".encode(), "a,b\n2,ü\n".encode(), Dialect(), "2,ü\n".encode()),
        (b"a,b\n1,x\\,y\n", b"a,b\n2,v\\,w\n", Dialect(quote="", escape="\\"), b"2,v\\,w\n"),
        (b"title\na,b\n1,2\n", b"title\na,b\n3,4\n", Dialect(skip_lines=1), b"3,4\n"),
        (b"a,b\n1,2\n", b"a,b\n3,4\n5,6\n", Dialect(), b"3,4\n5,6\n"),
    ],
)
def test_the_bytes_stay_and_the_rows_are_written_as_they_are(tmp_path, table, rows, dialect, added):
    assert appended(tmp_path, table, rows, dialect) == table + added


def test_rows_can_be_left_out(tmp_path):
    assert appended(tmp_path, b"a,b\n1,2\n", b"a,b\n3,4\n5,6\n", without=[1]) == b"a,b\n1,2\n5,6\n"
    with pytest.raises(DataError, match="there is nothing to add"):
        appended(tmp_path, b"a,b\n1,2\n", b"a,b\n1,2\n", without=[1])


@pytest.mark.parametrize(
    ("table", "rows", "dialect", "message"),
    [
        (b"a,b\n1,2\n", b"a,c\n1,2\n", Dialect(), "lacks columns of .*: b"),
        (b"a,b\n1,2\n", b"a,b,c\n1,2,3\n", Dialect(), "has columns that .* lacks: c. Remove them"),
        (b"a,b\n1,2\nend,1\n", b"a,b\n1,2\nend,1\n", Dialect(skip_footer_lines=1), "load.skip_footer_lines"),
        (b"a,b\n1,2\n\n\n", b"a,b\n1,2\n", Dialect(), "has something behind its last row"),
        (b"a, b\n1, 2\n", b"a, b\n3, 4\n", Dialect(quirks=("spaced_cells",)), "spaced_cells: no row is added"),
        (b"a,b\n1,2\n", b'a,b\n1,"x\n', Dialect(quote=""), None),
        (b"a;b\n1;2\n", b"a;b\n1;x\\;y\n", Dialect(";", quote="", escape="\\"), None),
        ("a,b\n1,é\n".encode("cp1252"), "\ufeffa,b\n2,ł\n".encode(), Dialect(encoding="cp1252"), "character 'ł'"),
    ],
)
def test_refused_or_read_back(tmp_path, table, rows, dialect, message):
    if message is None:
        appended(tmp_path, table, rows, dialect)
        assert len(CsvFile(tmp_path / "result.csv", dialect).names) == 2
    else:
        with pytest.raises(DataError, match=message):
            appended(tmp_path, table, rows, dialect)


def test_a_cell_that_would_be_read_otherwise_is_refused(tmp_path, monkeypatch):
    class Careless:
        def __init__(self, out, **form):
            self.out = out

        def writerows(self, rows):
            self.out.write("".join(f"{','.join(row).replace('3', '8')}\n" for row in rows))

    monkeypatch.setattr(csv, "writer", Careless)
    with pytest.raises(DataError, match="would be read otherwise"):
        appended(tmp_path, b"a,b\n1,2\n", b"a,b\n3,4\n")


def appended_values(tmp_path, table, rows, **own):
    """What is read of parquet files with these columns, the rows of one behind the other."""
    for name, columns in (("table", table), ("rows", rows)):
        pq.write_table(pa.table(columns), tmp_path / f"{name}.parquet")
    append_parquet_rows(tmp_path / "table.parquet", tmp_path / "rows.parquet", tmp_path / "result.parquet", **own)
    return pq.read_table(tmp_path / "result.parquet")


def test_values_of_parquet_rows_get_the_types_of_the_table(tmp_path):
    day = datetime(2024, 1, 31)  # noqa: DTZ001 # of a workbook, which has no time zones
    table = {"id": ["007"], "n": [1], "x": [0.5], "day": [day], "gone": ["a"]}
    rows = {"x": [2, 3], "n": [4.0, None], "id": ["008", "009"], "gone": [None, None], "day": [day.date()] * 2}
    found = appended_values(tmp_path, table, rows)
    assert found.schema.types == pa.table(table).schema.types
    assert found.to_pylist()[1:] == [
        {"id": "008", "n": 4, "x": 2.0, "day": day, "gone": None},
        {"id": "009", "n": None, "x": 3.0, "day": day, "gone": None},
    ]
    assert appended_values(tmp_path, table, rows, without={1}).num_rows == 2


@pytest.mark.parametrize(
    ("table", "rows", "message"),
    [
        ({"zip": ["007"]}, {"zip": [8]}, "rows.parquet: column 'zip' is of int64, and in .*table.parquet of string"),
        ({"n": [1]}, {"n": [0.5]}, "column 'n' is of double, and in .* of int64 .*truncated"),
        ({"x": [0.5]}, {"x": [2**53 + 1]}, "column 'x' is of int64, and in .* of double"),
        ({"n": [1]}, {"n": [True]}, "column 'n' is of bool, and in .* of int64"),
        ({"n": [1]}, {"m": [1]}, "lacks columns of .*: n"),
        ({"n": [1]}, {"n": [1], "m": [1]}, "has columns that .* lacks: m"),
    ],
)
def test_values_that_would_become_others_are_refused(tmp_path, table, rows, message):
    with pytest.raises(DataError, match=message):
        appended_values(tmp_path, table, rows)
    assert not (tmp_path / "result.parquet").exists()
