"""What read_csv reads, what it refuses and where, whatever the size of the blocks that it scans."""

import csv
import io
import mmap
import os
import re

from lockstep.kernel.errors import DataError
from lockstep.reading import csvfile
from lockstep.reading.csvfile import Dialect

import pytest
from csv_cells import read_csv
from hypothesis import given
from hypothesis import strategies as st
from small import drawn
from workspace import ROOT

CHUNKS = [*range(1, 20), 32, 64]


@pytest.fixture
def file(tmp_path):
    def write(data):
        path = tmp_path / "f.csv"
        path.write_bytes(data)
        return path

    return write


def rows(text):
    return list(zip(*(column.to_pylist() for column in text.cells.columns), strict=True))


def refusal(path, *dialect):
    with pytest.raises(DataError) as caught:
        read_csv(path, *dialect)
    return str(caught.value).replace(str(path), "F")


ACCEPTED = {
    "plain": (b"a,b\n1,2\n3,4\n", [("1", "2"), ("3", "4")], [2, 3]),
    "no final newline": (b"a,b\n1,2\n3,4", [("1", "2"), ("3", "4")], [2, 3]),
    "CRLF": (b"a,b\r\n1,2\r\n3,4\r\n", [("1", "2"), ("3", "4")], [2, 3]),
    "CRLF, no final newline": (b"a,b\r\n1,2", [("1", "2")], [2]),
    "CR": (b"a,b\r1,2\r3,4\r", [("1", "2"), ("3", "4")], [2, 3]),
    "CR, and LF at the end": (b"a,b\r1,2\r3,4\n", [("1", "2"), ("3", "4")], [2, 3]),
    "CR, and CRLF at the end": (b"a,b\r1,2\r3,4\r\n\r\n", [("1", "2"), ("3", "4")], [2, 3]),
    "CR, LF in cells": (b'a,b\r"1\n2",x\r3,y\r', [("1\n2", "x"), ("3", "y")], [2, 3]),
    "BOM": (b"\xef\xbb\xbfa,b\n1,2\n", [("1", "2")], [2]),
    "BOM, quoted header": (b'\xef\xbb\xbf"a","b"\n1,2\n', [("1", "2")], [2]),
    "trailing blank lines": (b"a,b\n1,2\n\n\n\n", [("1", "2")], [2]),
    "trailing blank CRLF lines": (b"a,b\r\n1,2\r\n\r\n\r\n", [("1", "2")], [2]),
    "mixed LF and CRLF": (b"a,b\r\n1,2\n3,4\r\n", [("1", "2"), ("3", "4")], [2, 3]),
    "header only": (b"a,b\n", [], []),
    "header only, no newline": (b"a,b", [], []),
    "empty cells": (b'a,b\n,\n"",""\n', [("", ""), ("", "")], [2, 3]),
    "spaces are kept": (b"a,b\n 1 ,\t2\n", [(" 1 ", "\t2")], [2]),
    "quoted delimiter": (b'a,b\n"1,5",2\n', [("1,5", "2")], [2]),
    "doubled quotes": (b'a,b\n"say ""hi""",""""\n', [('say "hi"', '"')], [2]),
    "embedded LF": (b'a,b\n"1\n\n2",x\n3,y\n', [("1\n\n2", "x"), ("3", "y")], [2, 5]),
    "embedded CRLF": (b'a,b\r\n"1\r\n2",x\r\n3,y\r\n', [("1\r\n2", "x"), ("3", "y")], [2, 4]),
    "embedded CR": (b'a,b\n"1\r2",x\n3,y\n', [("1\r2", "x"), ("3", "y")], [2, 3]),
    "embedded LF at the very end": (b'a,b\n1,"2\n"', [("1", "2\n")], [2]),
    "embedded LF in the header": (b'"a\nb",c\n1,2\n', [("1", "2")], [3]),
    "quoted last cell": (b'a,b\n1,"2"\n3,"4"', [("1", "2"), ("3", "4")], [2, 3]),
    "one column": (b'a\n1\n""\n2\n', [("1",), ("",), ("2",)], [2, 3, 4]),
    "UTF-8": ("ä,b\n\u4e2d\u6587,\U0001f600\n".encode(), [("\u4e2d\u6587", "\U0001f600")], [2]),
}

REFUSED = {
    "too few cells": (b"a,b\n1,2\n3\n", "F line 3: 1 cells, the header has 2. Correct that row."),
    "too many cells": (b"a,b\n1,2,\n", "F line 2: 3 cells, the header has 2. Correct that row."),
    "behind embedded newlines": (b'a,b\n"1\n\n",2\n3\n', "F line 5: 1 cells, the header has 2. Correct that row."),
    "only spaces": (b"a,b\n1,2\n  \n", "F line 3: 1 cells, the header has 2. Correct that row."),
    "blank line amid rows": (b"a,b\n1,2\n\n3,4\n", "F line 3: an empty line amid the rows. Remove it, or"),
    "blank CRLF line": (b"a,b\r\n1,2\r\n\r\n\r\n3,4\r\n", "F line 3: an empty line amid the rows."),
    "blank first line": (b"\na,b\n1,2\n", "F line 1: the first line is empty."),
    "only blank lines": (b"\n\n", "F line 1: the first line is empty. Begin the file with a header line."),
    "only a BOM": (b"\xef\xbb\xbf", "F line 1: the first line is empty."),
    "quote inside a cell": (
        b'a,b\n1,2\nx"y"z,4\n',
        "F line 3: a quote inside a cell. Put the whole cell in quotes and",
    ),
    "another mark behind a quote": (
        b'a,b\n1,2\n"x";"y"\n',
        "F line 3: a quote beside ';', where the delimiter is ','. Write ',' between the cells of that line; or, if",
    ),
    "another mark before a quote": (b'a,b\n1,2\nx;"y"\n', "F line 3: a quote beside ';', where the delimiter is ','."),
    "another mark between cells": (
        b"a,b\n1,2\n3;4\n",
        "F line 3: 1 cells, the header has 2. Write ',' between its cells instead of ';'.",
    ),
    "text behind a quoted cell": (b'a,b\n"1"x,2\n', "F line 2: a quote inside a cell."),
    "space before a quote": (b'a,b\n1, "2"\n', "F line 2: a quote inside a cell."),
    "undoubled quotes": (b'a,b\n"say "hi"",2\n', "F line 2: a quote inside a cell."),
    "one stray quote": (b'a,b\n1,2\n5"1,3\n4,4\n', "F line 3: a quote without its partner, here or before. Close or"),
    "unclosed quote": (b'a,b\n1,2\n3,"4\n5,6\n', "F line 3: a quote without its partner, here or before."),
    "CR amid a line": (
        b"a,b\n1,2\n3\r4,5\n",
        "F line 3: a carriage return amid the line. Use one kind of line ending.",
    ),
    "CR at the end": (b"a,b\n1,2\n3,4\r", "F line 3: a carriage return amid the line."),
    "NUL": (b"a,b\n1,2\n3,\x004\n", "F line 3: a NUL byte: this is not text. Export it as UTF-8 CSV."),
    "Latin-1": (
        b"a,b\n1,2\ncaf\xe9,4\n",
        "F line 3: the byte 0xE9 is not UTF-8.",
    ),
    "cut UTF-8": (b"a,b\n1,\xc3\n", "F line 2: the byte 0xC3 is not UTF-8."),
    "cut at another mark": (
        b"a;b\n1;2\n",
        "F has one column only, 'a;b', cut at ','. Write ',' between its cells instead of ';', or",
    ),
    "cut at both": (
        b"a;b\n1,5;2\n",
        "F has one column only, 'a;b', cut at ','. Write ',' between its cells instead of ';', or",
    ),
    "unnamed column": (
        b"a,,c\n1,2,3\n",
        "F line 1: column 2 of 3 has no name. Name it, or add numbered_names",
    ),
    "blank name": (b'a," "\n1,2\n', "F line 1: column 2 of 2 has no name."),
    "name twice": (
        b"b,a,b,a\n1,2,3,4\n",
        "F line 1: more than one column is named a, b. Make",
    ),
    "own name": (b"a,__row__\n1,2\n", "F line 1: the column name __row__ is Lockstep's own. Rename the column."),
    "no header": (
        b"5.1,-3,1e5\n4.9,3,2\n",
        "F line 1: all column names are numbers: the header is missing. Add a line",
    ),
}


@pytest.mark.parametrize(("data", "cells", "lines"), ACCEPTED.values(), ids=ACCEPTED)
def test_cells_and_lines(file, monkeypatch, data, cells, lines):
    for chunk in (csvfile.CHUNK, *CHUNKS):
        monkeypatch.setattr(csvfile, "CHUNK", chunk)
        text = read_csv(file(data))
        assert (rows(text), text.line_starts.tolist()) == (cells, lines), chunk


@pytest.mark.parametrize(("data", "message"), REFUSED.values(), ids=REFUSED)
def test_refusals(file, monkeypatch, data, message):
    for chunk in (csvfile.CHUNK, *CHUNKS):
        monkeypatch.setattr(csvfile, "CHUNK", chunk)
        assert refusal(file(data)).startswith(message), chunk


@pytest.mark.parametrize(("data", "cells", "lines"), ACCEPTED.values(), ids=ACCEPTED)
def test_other_delimiters_and_quotes(file, data, cells, lines):
    swapped = bytes.maketrans(b',"', b";'")
    text = read_csv(file(data.translate(swapped)), Dialect(delimiter=";", quote="'"))
    assert text.line_starts.tolist() == lines
    swap = str.maketrans(',"', ";'")
    assert rows(text) == [tuple(cell.translate(swap) for cell in row) for row in cells]


def test_lines_before_the_header(file):
    text = read_csv(file(b'title "1"\n\na,b\n1,2\n'), Dialect(skip_lines=2))
    assert (text.cells.column_names, rows(text), text.line_starts.tolist()) == (["a", "b"], [("1", "2")], [4])
    assert refusal(file(b"title\n\na,a\n1,2\n"), Dialect(skip_lines=2)).startswith("F line 3: more than one column")
    assert refusal(file(b"title\na,b\n1\n"), Dialect(skip_lines=1)).startswith("F line 3: 1 cells, the header has 2.")
    assert refusal(file(b"a,b\n1,2\n"), Dialect(skip_lines=9)) == "F has 2 lines, load.skip_lines is 9. Lower it."


def test_column_names_are_as_in_the_header(file):
    assert read_csv(file(b'"a ""x""",b c,"d,\ne"\n1,2,3\n')).cells.column_names == ['a "x"', "b c", "d,\ne"]


def test_without_leaves_the_lines(file):
    text = read_csv(file(b"a,b\n1,2\n")).without(["a"])
    assert (text.cells.column_names, text.line_starts.tolist()) == (["b"], [2])


@pytest.mark.parametrize("magic", [b"\x1f\x8b\x08\x00", b"PAR1", b"PK\x03\x04", b"\x28\xb5\x2f\xfd"])
def test_other_kinds_of_file(file, magic):
    assert re.match(r"F (is a .*, not CSV text\. |cannot be unpacked: )", refusal(file(magic + b",b\n1,2\n")))


def test_paths_that_are_no_file(tmp_path, file):
    assert refusal(tmp_path / "no.csv") == "F does not exist. Put the file there, or correct load.path."
    (tmp_path / "no.csv.dvc").touch()
    assert refusal(tmp_path / "no.csv").startswith("F does not exist. Put the file there, or run 'dvc pull F.dvc', or")
    assert refusal(tmp_path) == "F is a directory. Set load.path to a CSV file."
    os.mkfifo(tmp_path / "pipe")
    assert refusal(tmp_path / "pipe") == "F is not a regular file. Set load.path to a CSV file."
    assert refusal(file(b"")) == "F is empty. Put a CSV file with a header line there."


def test_a_file_that_may_not_be_read(file, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(mmap, "mmap", refuse)  # root may read everything
    message = "F cannot be read: Permission denied. Give yourself permission to read it."
    assert refusal(file(b"a\n1\n")) == message


def test_a_path_that_is_too_long(tmp_path):
    assert refusal(tmp_path / ("a" * 300)).startswith("F cannot be read: File name too long.")


def test_very_long_column_names(file):
    message = "F line 1: a header of 200,002 characters. At most 131,072 are allowed: shorten the names."
    assert refusal(file(b"a" * 200_000 + b",b\n1,2\n")) == message


def test_a_record_may_be_longer_than_a_block_but_not_endless(file, monkeypatch):
    monkeypatch.setattr(csvfile, "CHUNK", 8)
    monkeypatch.setattr(csvfile, "MAX_RECORD", 64)
    long = b'1,"' + b"x\n" * 28 + b'"\n'
    assert len(rows(read_csv(file(b"a,b\n" + 3 * long)))) == 3
    message = refusal(file(b'a,b\n1,2\n3,"' + b"x,y\n" * 50 + b'"\n'))
    assert message == "F line 3: a record of more than 64 bytes begins here. Look for a quote that is not closed."


@pytest.mark.parametrize(
    "row",
    [
        b"12345678,abc\n",
        b'"12345,\n67",abc\n',
        b'"1234\r567",abc\n',
    ],
    ids=["plain", "embedded LF", "embedded CR"],
)
def test_pyarrow_cuts_large_files_between_records(file, row):
    count = (6 << 20) // len(row)  # more than one block of pyarrow's
    text = read_csv(file(b"a,b\n" + row * count))
    expected = next(csv.reader(io.StringIO(row.decode(), newline="")))
    assert len(text.line_starts) == count
    assert [column.unique().to_pylist() for column in text.cells.columns] == [[cell] for cell in expected]


def cells(alphabet):
    cell = st.text(alphabet, max_size=6) | st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="\0\x1a")
    )
    return st.integers(1, 4).flatmap(lambda n: st.lists(st.lists(cell, min_size=n, max_size=n), max_size=6))


@drawn(150)
@given(table=cells('a,"\n\r \u00e9'), end=st.sampled_from(["\n", "\r\n"]), chunk=st.integers(1, 40))
def test_what_csv_writer_writes_is_read_back(file, table, end, chunk):
    header = ["a", 'b"', "c,", "d\n"][: len(table[0]) if table else 1]
    for quoting in (csv.QUOTE_ALL, csv.QUOTE_MINIMAL):
        if quoting == csv.QUOTE_MINIMAL:  # which leaves a lone carriage return unquoted
            table = [[cell.replace("\r", "") for cell in row] for row in table]
        stream = io.StringIO()
        csv.writer(stream, quoting=quoting, lineterminator=end).writerows([header, *table])
        path = file(stream.getvalue().encode())
        with pytest.MonkeyPatch.context() as patch:
            whole = read_csv(path)
            patch.setattr(csvfile, "CHUNK", chunk)
            pieces = read_csv(path)
        assert whole.cells.column_names == pieces.cells.column_names == header
        assert rows(whole) == rows(pieces) == [tuple(row) for row in table]
        assert whole.line_starts.tolist() == pieces.line_starts.tolist()


@drawn(150)
@given(
    header=st.sampled_from(["h\n", "h,i\n", "h\r", "h,i\r\n"]),
    body=st.text('a,"\n\r ', max_size=25),
    chunk=st.integers(1, 40),
)
def test_what_is_accepted_reads_as_pythons_csv_module_reads_it(file, header, body, chunk):
    data = header + body
    with pytest.MonkeyPatch.context() as patch:
        outcomes = []
        for size in (csvfile.CHUNK, chunk):
            patch.setattr(csvfile, "CHUNK", size)
            try:
                outcomes.append(rows(read_csv(file(data.encode()))))
            except DataError:
                outcomes.append("refused")
    assert outcomes[0] == outcomes[1]
    if outcomes[0] != "refused":
        expected = [tuple(row) for row in csv.reader(io.StringIO(data, newline=""), strict=True) if row]
        assert outcomes[0] == expected[1:]


@pytest.mark.parametrize("name", ["iris", "housing"])
def test_the_repositorys_own_tables(name):
    path = ROOT / f"data/raw/{name}.csv"
    with path.open(newline="", encoding="utf-8") as stream:
        header, *expected = map(tuple, csv.reader(stream, strict=True))
    text = read_csv(path)
    assert (tuple(text.cells.column_names), rows(text)) == (header, expected)
    assert text.line_starts.tolist() == list(range(2, len(expected) + 2))
