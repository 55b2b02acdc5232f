"""Ways of writing that hold for a whole file: what is written in one is read back equal, a stray line is refused."""

import csv
import io
import random
import re

from lockstep.intake.detecting.file_format import detect_csv
from lockstep.kernel.errors import DataError
from lockstep.reading.csvfile import Dialect
from lockstep.reading.quirks import numbered

import pytest
from csv_cells import read_csv
from hypothesis import given
from hypothesis import strategies as st
from small import drawn, widened

# Without Ctrl-Z, which at the end of a file is no cell (test_source.py).
CHARACTERS = st.characters(codec="utf-8", exclude_characters="\0\r\x1a\ufeff", exclude_categories=["Cs"])
CELL = st.text(CHARACTERS, max_size=8)
WORD = st.text("abcxyzäöü0123456789.-", min_size=1, max_size=8)


@st.composite
def tables(draw, cell):
    width = draw(st.integers(2, 5))
    rows = draw(st.lists(st.lists(cell, min_size=width, max_size=width), min_size=1, max_size=12))
    return [[f"name{i}" for i in range(width)], *rows]


def csv_text(table, newline="\n", quoting=csv.QUOTE_MINIMAL):
    stream = io.StringIO()
    csv.writer(stream, lineterminator=newline, quoting=quoting).writerows(table)
    return stream.getvalue()


def quoted(cell):
    return '"' + cell.replace('"', '""') + '"'


def written(quirk, table):
    """The table as text that has the quirk."""
    match quirk:
        case "numbered_names":
            return csv_text([["", *table[0][1:]], *table[1:]])
        case "row_names":
            rows = [",".join([quoted(f"r{i}"), *map(quoted, row)]) for i, row in enumerate(table[1:])]
            return "\n".join([",".join(map(quoted, table[0])), *rows]) + "\n"
        case "header_end":
            header, *rows = (",".join(map(quoted, row)) for row in table)
            return "\n".join([f"{header},", *rows]) + "\n"
        case "empty_rows":
            return csv_text(table, quoting=csv.QUOTE_ALL) + ("," * (len(table[0]) - 1) + "\n") * 3
        case "blank_lines":
            lines = [",".join(map(quoted, row)) for row in table]
            return "\n\n".join(lines) + "\n"
        case "doubled_returns":
            return csv_text(table, "\r\n").replace("\r\n", "\n").replace("\n", "\r\r\n")
        case "spaced_cells":
            return "\n".join(", ".join(map(quoted, row)) for row in table) + "\n"
        case "spaced_quotes":
            return "\n".join(",  ".join(map(quoted, row)) for row in table) + "\n"
        case "aligned":
            return "\n".join("   ".join(map(quoted, row)).center(60) for row in table) + "\n"


def cells_of(text):
    columns = [column.to_pylist() for column in text.cells.columns]
    return [text.cells.column_names, *map(list, zip(*columns, strict=True))]


def expected(quirk, table):
    names, *rows = table
    if quirk == "numbered_names":
        return [["column_1", *names[1:]], *rows]
    if quirk == "row_names":
        return [["row_names", *names], *([f"r{i}", *row] for i, row in enumerate(rows))]
    if quirk == "doubled_returns":
        return [names, *([cell.replace("\n", "\r\n") for cell in row] for row in rows)]
    return table


DECLARED = {
    "numbered_names": Dialect(quirks=("numbered_names",)),
    "row_names": Dialect(quirks=("row_names",)),
    "header_end": Dialect(quirks=("header_end",)),
    "empty_rows": Dialect(quirks=("empty_rows",)),
    "blank_lines": Dialect(quirks=("blank_lines",)),
    "doubled_returns": Dialect(quirks=("doubled_returns",)),
    "spaced_cells": Dialect(quirks=("spaced_cells",)),
    "spaced_quotes": Dialect(quirks=("spaced_quotes",)),
    "aligned": Dialect(delimiter=" ", quirks=("aligned",)),
}
SOME = widened(DECLARED, ["blank_lines", "spaced_cells", "row_names"])


@pytest.mark.parametrize("quirk", DECLARED)
def test_what_is_written_is_read_back(tmp_path_factory, quirk):
    path = tmp_path_factory.mktemp("quirk") / "f.csv"

    @drawn(60)
    @given(tables(WORD if quirk == "numbered_names" else CELL))
    def check(table):
        path.write_bytes(written(quirk, table).encode())
        assert cells_of(read_csv(path, DECLARED[quirk])) == expected(quirk, table)

    check()


@pytest.mark.parametrize("quirk", SOME)
def test_what_is_written_is_found_or_refused(tmp_path_factory, quirk):
    """Texts in which most tables are of one way of writing only, by the words in their cells."""
    path = tmp_path_factory.mktemp("quirk") / "f.csv"
    seen = set()

    @drawn(60)
    @given(tables(WORD))
    def check(table):
        path.write_bytes(written(quirk, table).encode())
        try:
            found = detect_csv(path)
        except DataError:
            return
        assert cells_of(found.text) == expected(quirk, table)
        seen.add(quirk in found.dialect.quirks or quirk == "spaced_quotes")

    check()
    assert True in seen


@pytest.mark.parametrize("quirk", sorted({*DECLARED} - {"row_names", "numbered_names", "aligned"}))
def test_a_file_without_the_quirk_is_read_all_the_same(tmp_path, quirk):
    path, table = tmp_path / "f.csv", [["a", "b"], ["1", "x, y"], ["2", 'z "w"'], ["3", ""]]
    for newline in "\n", "\r\n":
        path.write_bytes(csv_text(table, newline).encode())
        assert cells_of(read_csv(path, DECLARED[quirk])) == table


def stray(rng, quirk, text):
    """The text with one line that is not written as all others are."""
    lines = re.split(r"(?<=\n)", text)[:-1]
    place = rng.randrange(1, len(lines) - (4 if quirk == "empty_rows" else 1))
    line = lines[place]
    match quirk:
        case "row_names":
            lines[place] = line.partition(",")[2]
        case "empty_rows":
            lines[-1] = "," * line.count(",") * 2 + "\n"
        case "blank_lines":
            lines.insert(place, "\n")
        case "doubled_returns":
            lines[place] = line.replace("\r\r\n", "\r\n")
        case "spaced_cells":
            lines[place] = line.replace(", ", ",", 1)
        case "spaced_quotes":
            lines[place] = line.replace(',  "', ',"', 1)
        case "aligned":
            lines[place] = line.rstrip("\n") + " 1\n"
        case "numbered_names" | "header_end":
            lines[place] = line.rstrip("\n") + ",1\n"
    return "".join(lines)


@pytest.mark.parametrize("quirk", SOME)
def test_one_line_that_is_written_otherwise_is_never_misread(tmp_path, quirk):
    """Declared, it is refused with a line; detected, it is refused, or every cell is that of the clean table."""
    rng, path = random.Random(7), tmp_path / "f.csv"
    refused = 0
    for _ in range(40):
        width, cells = rng.randrange(3, 6), ("x", "yy", "12", "0.5", "z9")
        table = [[f"n{i}" for i in range(width)], *([rng.choice(cells) for _ in range(width)] for _ in range(12))]
        path.write_bytes(stray(rng, quirk, written(quirk, table)).encode())
        with pytest.raises(DataError, match=r"f\.csv line [0-9]+"):
            read_csv(path, DECLARED[quirk])
        try:
            found = detect_csv(path)
        except DataError:
            refused += 1
            continue
        plain = [[cell.strip(' "') for cell in row] for row in cells_of(found.text)]
        assert plain == expected(quirk, table) or plain[1:] == expected(quirk, table)[1:], found.dialect
    assert refused or quirk in ("blank_lines", "doubled_returns", "spaced_cells", "spaced_quotes")


@pytest.mark.parametrize(
    ("names", "result"),
    [
        (["", "a", " "], ["column_1", "a", "column_3"]),
        (["a", "a", "a_2", "a"], ["a", "a_3", "a_2", "a_4"]),
        (["column_2", "", "x"], ["column_2", "column_2_2", "x"]),
        (["a", "b"], ["a", "b"]),
    ],
)
def test_numbered(names, result):
    assert numbered(names) == result
