"""Clean tables broken at every line in every way that public benchmarks of polluted CSV files use: never misread.

What a broken file says, if it says anything, is what Python's csv module reads in its strict mode, rows of one length.
The outcome of each file must be a refusal, or the clean table, or, where no reader can tell the damage from data, a
table that is what the bytes say and differs from the clean one

- in one cell: the cell's own text was changed;
- in whole rows, by damage that takes or adds whole lines (INHERENT says which, and what notices it instead);
- in the names of its columns: then load refuses it, for want of a column that the contract declares.

All else is a silent misread: a cell in another column or row, two cells that became one, text that the file lacks.

A few files of each kind of damage to each table stand for all 10,953, which 'make test-all' reads; where the dialect is
detected, which takes longer, it reads a fifth of them.
"""

import csv
import io
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from lockstep.intake.detecting.file_format import detect_csv
from lockstep.kernel.errors import DataError
from lockstep.reading.csvfile import Dialect

import pytest
from csv_cells import read_csv

SEPARATORS = ",;\t|"
SEED = 5


class Clean(NamedTuple):
    """A table as text, and how it is written."""

    text: str
    delimiter: str
    newline: str


def written(delimiter, newline, quoting, header, *rows):
    stream = io.StringIO()
    csv.writer(stream, delimiter=delimiter, lineterminator=newline, quoting=quoting).writerows([header, *rows])
    return Clean(stream.getvalue(), delimiter, newline)


TABLES = {
    "customers": written(
        ",",
        "\n",
        csv.QUOTE_MINIMAL,
        ["name", "born", "visits", "spent", "note"],
        ["Ann", "1980-01-31", "3", "12.50", ""],
        ["Bob", "1975-12-01", "", "0.0", "likes tea, black"],
        ['"Big" Al', "1990-02-28", "12", "-3.75", "two\nlines"],
        ["José", "", "7", "1e3", "none"],
        ["Eve", "2001-07-07", "1", "", 'says "hi"'],
        ["Zoë", "1966-06-06", "22", "100.0", "a;b|c"],
        ["Kim", "1999-09-09", "4", "7.25", ""],
        ["Lu", "1988-08-08", "0", "0.5", "\n"],
        ["Max", "1971-03-04", "15", "19.99", "last, but not least"],
        ["Ida", "1955-05-05", "9", "42.0", "x"],
        ["Uwe", "1944-04-04", "8", "8.88", ""],
    ),
    "Preise": written(
        ";",
        "\r\n",
        csv.QUOTE_MINIMAL,
        ["Stadt", "Größe", "Preis", "Tag", "Art"],
        ["Köln", "12,5", "1.200,00", "01.02.2024", "A"],
        ["Bonn", "7,0", "", "02.02.2024", "B; C"],
        ["Essen", "", "980,50", "03.02.2024", ""],
        ["München", "33,25", "2.499,99", "", 'nah "am" Fluss'],
        ["Ulm", "1", "10", "05.02.2024", "A"],
        ["Trier", "2,75", "55,10", "06.02.2024", "erste\r\nzweite"],
        ["Jena", "4,1", "60,00", "07.02.2024", "D"],
        ["Hof", "9,9", "1,00", "08.02.2024", "E"],
        ["Plön", "3,3", "33,00", "09.02.2024", "F"],
    ),
    "sequence": written(
        "\t",
        "\n",
        csv.QUOTE_NONE,
        ["gene", "start", "end", "strand"],
        *([f"g{i}", str(i * 100), str(i * 100 + 7 * i), "+-"[i % 2]] for i in range(1, 14)),
    ),
    "all quoted": written(
        "|",
        "\r\n",
        csv.QUOTE_ALL,
        ["id", "text", "label"],
        ["1", "", "yes"],
        ["2", "a|b", "no"],
        ["3", '""', "yes"],
        ["4", "c,d;e", "no"],
        ["5", "\r\n\r\n", "yes"],
        ["6", "plain", ""],
        ["7", 'x "y" z', "no"],
        ["8", "end", "yes"],
    ),
    "old": written(
        ",",
        "\r",
        csv.QUOTE_MINIMAL,
        ["a", "b", "c"],
        ["1", "x y", "2.5"],
        ["2", "p,q", ""],
        ["3", "one\rtwo", "0.25"],
        ["4", "", "7"],
        ["5", 'the "fifth"', "8"],
    ),
}


def lines_of(table: Clean) -> list[tuple[int, int]]:
    """Where each line begins and ends, without its line break; a cell with line breaks spans several."""
    spans, begin = [], 0
    for found in re.finditer(r"\r\n|\n|\r", table.text):
        spans.append((begin, found.start()))
        begin = found.end()
    return spans


def polluted(table: Clean) -> Iterator[tuple[str, bytes]]:
    """(kind of damage, the damaged file), one damage each."""
    for kind, text in polluted_texts(table):
        yield kind, text.encode()
    text = table.text
    yield "UTF-8 with a mark", text.encode("utf-8-sig")
    yield "UTF-16 with a mark", text.encode("utf-16")
    yield "UTF-16 with a mark", b"\xfe\xff" + text.encode("utf-16-be")
    for encoding in ("utf-16-le", "utf-16-be", "utf-32", "cp1252", "latin-1", "cp437", "mac-roman"):
        yield "another encoding", text.encode(encoding)
    for position, letter in enumerate(text):
        if not letter.isascii():
            before, after = text[:position].encode(), text[position + 1 :].encode()
            yield "one byte of another encoding", before + letter.encode("cp1252") + after
            yield "one byte of another encoding", before + letter.encode()[:1] + after


def polluted_texts(table: Clean) -> Iterator[tuple[str, str]]:
    text, mark, end = table
    spans = lines_of(table)
    others = [other for other in SEPARATORS if other != mark]
    for begin, stop in spans:
        for at in range(begin, stop + 1):
            yield "quote added", text[:at] + '"' + text[at:]
            yield "separator added", text[:at] + mark + text[at:]
            yield "line cut", text[:at] + text[stop:]
            yield "line cut and joined", text[:at] + text[stop + len(end) :]
            yield "file cut", text[:at]
            if at % 3 == 0:
                yield "two quotes added", text[:at] + '""' + text[at:]
                yield "NUL inserted", text[:at] + "\0" + text[at:]
                yield "line broken", text[:at] + end + text[at:]
                for other in others:
                    yield "other separator added", text[:at] + other + text[at:]
        for at in range(begin, stop):
            rest = text[at + 1 :]
            if text[at] == '"':
                yield "quote removed", text[:at] + rest
                yield "quote swapped", text[:at] + "'" + rest
                yield "quote swapped", text[:at] + "\u201c" + rest
            if text[at] == mark:
                yield "separator removed", text[:at] + rest
                for other in (*others, " "):
                    yield "separator swapped", text[:at] + other + rest
        line, width = text[begin:stop], len(end)
        for ending in {"\r", "\n", "\r\n", "\n\r", "\r\r\n", "\u2028", "\x0b"} - {end}:
            yield "another line ending", text[:stop] + ending + text[stop + width :]
        yield "line ending lost", text[:stop] + text[stop + width :]
        yield "all separators swapped", text[:begin] + line.replace(mark, others[0]) + text[stop:]
        yield "blank line inserted", text[:begin] + end + text[begin:]
        yield "line of blanks inserted", text[:begin] + "  " + end + text[begin:]
        yield (
            "line of separators inserted",
            text[:begin] + mark * text.split(end, 1)[0].count(mark) + end + text[begin:],
        )
        yield "line emptied", text[:begin] + text[stop:]
        yield "line removed", text[:begin] + text[stop + width :]
        yield "line repeated", text[: stop + width] + text[begin:]
        yield "separator at the end of a line", text[:stop] + mark + text[stop:]
        yield "comment inserted", text[:begin] + "# a comment" + end + text[begin:]
    header = text[: spans[0][1] + len(end)]
    for begin, _ in spans[1:]:
        yield "header repeated", text[:begin] + header + text[begin:]
    cells = [*re.finditer(rf'(?:^|(?<=[{mark}\r\n]))(?:"(?:[^"]|"")*"|[^"{mark}\r\n]+)(?=[{mark}\r\n])', text)]
    for cell in cells:
        yield "cell emptied", text[: cell.start()] + text[cell.end() :]
        yield "cell blanked", text[: cell.start()] + " " + text[cell.end() :]
        yield "space before a cell", text[: cell.start()] + " " + text[cell.start() :]
        yield "space behind a cell", text[: cell.end()] + " " + text[cell.end() :]
        yield "cell left out", text[: cell.start()] + text[cell.end() + 1 :]
    yield from polluted_wholes(table)


def polluted_wholes(table: Clean) -> Iterator[tuple[str, str]]:
    text, mark, end = table
    other = "," if mark != "," else ";"
    with io.StringIO(text, newline="") as stream:
        rows = [*csv.reader(stream, delimiter=mark, strict=True)]
    header = text.split(end, 1)[0]
    for line in ("Report of 2024", "sep=" + mark, "#", "", mark, "a" + mark + "b", f'"{header}"'):
        yield "preamble", line + end + text
    for line in (
        "Total: 12",
        "(11 rows)",
        "Total" + mark * header.count(mark),
        "a" + mark + "b",
        f'"{header}"',
        end + "Total",
    ):
        yield "footer", text + line + end
        yield "footer", text + line
    short = f"x{mark}y{end}1{mark}2{end}"
    for second in (short, end + short, end + text, f"x{end}1{end}", end + f"x{end}1{end}"):
        yield "second table", text + second
        yield "second table", second.lstrip("\r\n") + text

    def every(change):
        stream = io.StringIO()
        changed = [change(number, list(row)) for number, row in enumerate(rows)]
        csv.writer(stream, delimiter=mark, lineterminator=end).writerows(changed)
        return stream.getvalue()

    yield "separator behind every row", every(lambda number, row: [*row, ""])
    yield "separator behind every row", every(lambda number, row: [*row, ""] if number else row)
    yield "cell before every row", every(lambda number, row: ["", *row])
    yield "cell before every row", every(lambda number, row: [str(number), *row] if number else row)
    yield "cell before every row", every(lambda number, row: [str(number) if number else "", *row])
    yield "last cell lost in every row", every(lambda number, row: row[:-1] if number else row)
    yield "no header", text.split(end, 1)[1] + f"1{mark}2{end}"
    yield "quotes not doubled", re.sub(r'(?<!^)""(?!$)', '"', text)
    yield "backslash escapes", text.replace('""', '\\"')
    yield "all quotes swapped", text.replace('"', "'")
    yield "all quotes lost", text.replace('"', "")
    yield "all separators doubled", text.replace(mark, mark + mark)
    yield "half in another dialect", text[: len(text) // 2] + text[len(text) // 2 :].replace(mark, other)
    yield "twice", text + text
    yield "nothing but the header", header
    yield "other format", "<!DOCTYPE html>\n<html><body>\n<p>Not found, sorry</p>\n</body></html>\n"
    yield "other format", "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"
    yield "other format", '{"a": 1, "b": 2}\n{"a": 3, "b": 4}\n'


def denoted(data: bytes, delimiter: str) -> list[list[str]] | None:
    """What the bytes say, header first, by Python's csv module; None for nothing unambiguous."""
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") and data[2:4] != b"\0\0" else "utf-8-sig"
    try:
        text = data.decode(encoding)
        rows = [*csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)]
    except (UnicodeDecodeError, csv.Error):
        return None
    while rows and not rows[-1]:
        rows.pop()
    return rows if rows and all(len(row) == len(rows[0]) for row in rows) else None


def cells_of(text) -> list[list[str]]:
    columns = [column.to_pylist() for column in text.cells.columns]
    return [list(text.cells.column_names), *map(list, zip(*columns, strict=True))]


INHERENT = {
    "file cut": "rows lost",  # behind a row or in its last cell: nothing in the file tells, but dvc's hash does
    "line cut and joined": "rows lost",  # in the first cell: it goes on with the next row's
    "line ending lost": "rows lost",
    "line removed": "rows lost",
    "line emptied": "rows lost",  # the last one: blank lines may end a file
    "line cut": "rows lost",
    "line repeated": "row repeated",  # rows may be equal: the profile counts them
    "line of separators inserted": "row of gaps",  # load refuses it: its target is missing
    "footer": "row of gaps",
}
"""Damage that leaves a sound table of one row more, or of fewer rows."""


def outcome(kind: str, found: list[list[str]], clean: list[list[str]], data: bytes, delimiter: str) -> str:
    """What became of an accepted file: right, a change that nothing tells from data, or a silent misread."""
    if found == clean:
        return "right"
    if len(found) == 1:
        return "no rows, which load refuses"
    if found != denoted(data, delimiter):
        return "SILENT: not what the bytes say"
    if set(found[0]) != set(clean[0]):
        return "other columns, which the contract refuses"
    if found[0] != clean[0]:
        return "SILENT: columns in another order"
    if [len(row) for row in found] == [len(row) for row in clean]:
        pairs = [pair for rows in zip(found, clean, strict=True) for pair in zip(*rows, strict=True)]
        changed = sum(one != other for one, other in pairs)
        return "one cell changed, as the bytes say" if changed == 1 else f"SILENT: {changed} cells changed"
    if kind in INHERENT and sum(row not in clean for row in found) <= 1:
        return INHERENT[kind]
    return "SILENT: rows changed"


def some_of(table: Clean, most: int) -> list[tuple[str, bytes]]:
    """The polluted files, at most so many of each kind of damage: the same at every call."""
    kinds = defaultdict(list)
    for kind, data in polluted(table):
        kinds[kind].append(data)
    rng = random.Random(SEED)
    return [(kind, data) for kind, files in kinds.items() for data in rng.sample(files, min(most, len(files)))]


def judge(tmp_path, read, most):
    """Count the outcomes of polluted files, at most so many of each kind and table; the silent misreads one by one."""
    counts, silent = Counter(), []
    path = tmp_path / "f.csv"
    for name, table in TABLES.items():
        clean = denoted(table.text.encode(), table.delimiter)
        path.write_bytes(table.text.encode())
        assert read(path, table.delimiter)[0] == clean, name
        for kind, data in some_of(table, most):
            path.write_bytes(data)
            try:
                found, said = read(path, table.delimiter)
            except DataError:
                counts["refused"] += 1
                continue
            what = outcome(kind, found, clean, data, table.delimiter)
            if what.startswith("SILENT") and said:
                what = f"changed with a word: {said[0][:30]}"
            counts[what] += 1
            if what.startswith("SILENT"):
                silent.append((name, kind, what, data))
    report = f"{sum(counts.values()):,} files: {dict(counts.most_common())}"
    print(report)
    assert not silent, f"{report}\n" + "\n".join(map(str, silent[:20]))
    return counts


def read_declared(path, delimiter):
    return cells_of(read_csv(path, Dialect(delimiter))), []


def read_detected(path, delimiter):
    found = detect_csv(path)
    return cells_of(found.text), list(found.reasons.values())


ALL = 1_000_000


@pytest.mark.parametrize(
    ("most", "files"), [(5, 900), pytest.param(ALL, 10_000, marks=pytest.mark.exhaustive)], ids=["some", "all"]
)
def test_no_polluted_file_is_misread_when_its_dialect_is_declared(tmp_path, most, files):
    counts = judge(tmp_path, read_declared, most)
    assert sum(counts.values()) > files
    assert counts["right"] > files / 100
    assert counts["refused"] < 0.9 * sum(counts.values())


@pytest.mark.parametrize(
    ("most", "files"), [(1, 200), pytest.param(15, 2_290, marks=pytest.mark.exhaustive)], ids=["some", "many"]
)
def test_no_polluted_file_is_misread_when_its_dialect_is_detected(tmp_path, most, files):
    counts = judge(tmp_path, read_detected, most)
    assert sum(counts.values()) > files
    assert counts["right"] > files / 100


def repeated_headers(table):
    for kind, data in polluted(table):
        found = denoted(data, table.delimiter)
        if kind in ("header repeated", "twice") and found and found[0] in found[1:]:  # not within a quoted cell
            yield data


@pytest.mark.parametrize("name", TABLES)
def test_a_header_among_the_rows_is_refused(tmp_path, name):
    path = tmp_path / "f.csv"
    for data in repeated_headers(TABLES[name]):
        path.write_bytes(data)
        with pytest.raises(DataError, match=r"line [0-9]+"):
            read_csv(path, Dialect(TABLES[name].delimiter))


ENCODINGS = ["utf-8", "cp1252", "latin-1", "utf-16", "utf-16-le", "utf-16-be"]


@pytest.mark.parametrize("declared", ENCODINGS)
@pytest.mark.parametrize("actual", ENCODINGS)
def test_a_file_in_another_encoding_than_declared(tmp_path, declared, actual):
    text = "id,town,label\n1,Köln,yes\n2,Málaga,no\n3,Zoë €,yes\n"
    if actual == "latin-1":
        text = text.replace("€", "E")
    path = tmp_path / "f.csv"
    path.write_bytes(text.encode(actual))
    try:
        found = cells_of(read_csv(path, Dialect(encoding=declared)))
    except DataError:
        return
    if len(found[0]) > 1:  # else load refuses it: it has no target
        assert found == [line.split(",") for line in text.splitlines()]
