"""Finds out how a CSV file is cut into cells: its encoding, delimiter and quirks, and the lines above its header.

A way of writing is found only if the whole file is consistent with it: each is tried by reading all of it, strictly.
"""

import contextlib
import csv
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lockstep.intake.detecting.footers import doubt_of_row, evidence_of_total, possible_footers
from lockstep.intake.detecting.settled_columns import columns_of
from lockstep.kernel.errors import DataError, some
from lockstep.reading.column_types import IN_SINGLE_QUOTES, MISSING
from lockstep.reading.csvfile import DELIMITERS, CsvFile, Dialect, TextTable
from lockstep.reading.encodings import difference, likeliest, line_of_utf8, plausible_readings, some_reading
from lockstep.reading.quirks import Quirk
from lockstep.reading.source import Source, decoded, decodes, unpacked
from lockstep.steps.splitting.identifiers import counts_up

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

RARE_DELIMITERS = ("^", "~", ":", " ")
"""Tried where the header holds none of the others."""
MAX_TITLE = 3
"""Lines above the header that are looked for, beside those that are empty or begin with #."""
MAX_COMMENTS = 1000
"""Lines that are empty or begin with #."""
_BEGINNING = 1 << 16
"""Bytes at the beginning that tell how a file may be written."""
_BEGINS_WITH_NUMBER = re.compile(r"\W*[0-9]")
_YEAR = re.compile("(19|20)[0-9]{2}")
_SEPARATOR = re.compile(rb"sep=([^\r\n])(?=[\r\n])", re.IGNORECASE)
_COMMA = r"^[-+]?[0-9]+,[0-9]+$"
_Reader = Callable[[CsvFile], TextTable]


class Detected(NamedTuple):
    """How a CSV file is written.

    Attributes:
        dialect: as it is to be declared.
        text: the cells.
        header: the column names as they are written.
        beside: in words, what else is to be said of the file: how it is packed, ...
        reasons: {field of Dialect: why it has its value}, where that is not plain.
        warnings: how it could be written, too.
    """

    dialect: Dialect
    text: TextTable
    header: list[str]
    beside: list[str]
    reasons: dict[str, str]
    warnings: list[str]


class _Attempt(NamedTuple):
    """A way to read the file, and why it is read so if it fits.

    Attributes:
        is_usual: whether its refusal is worth being told.
        is_late: whether what it is needed for may be in the last line only.
    """

    dialect: Dialect
    reasons: dict[str, str]
    is_usual: bool = False
    is_late: bool = False


def whole_table(file: CsvFile) -> TextTable:
    """All cells of a file that was just opened. Raises DataError as CsvFile does."""
    tables = [(file.cells(block), block.line_starts) for block in file.blocks()]
    return TextTable(pa.concat_tables([cells for cells, _ in tables]), np.concatenate([lines for _, lines in tables]))


def detect_dialect(path: Path, given: Mapping[str, Any], read: _Reader = whole_table) -> Detected:
    """Try encodings, delimiters and quirks until the whole file makes a table, row by row.

    Args:
        path: the file.
        given: the fields of Dialect that the user has decided, which are not looked for.
        read: gives the cells of a file that was just opened.

    Raises:
        DataError: none makes one; the message is that of the likeliest delimiter.
    """
    raw = unpacked(path)
    source, reasons = decoded(raw, given.get("encoding", "utf-8"), path), dict[str, str]()
    encoding = given.get("encoding")
    if encoding is None:
        encoding, why = _encoding(source.text, path)
        reasons |= {"encoding": why} if why else {}
        if encoding != "utf-8":
            source = decoded(raw, encoding, path)
    given = {**given, "encoding": encoding}
    footers = [] if "skip_footer_lines" in given else possible_footers(source.text, given.get("delimiter"))
    for footer in footers:
        with contextlib.suppress(DataError):
            found = _detected(path, {**given, "skip_footer_lines": footer.n_lines}, source, reasons, read)
            if why := evidence_of_total(footer, CsvFile(path, found.dialect, source), found.text):
                return found._replace(reasons=found.reasons | {"skip_footer_lines": why})
            del found  # and with it the cells, of which there need not be two in memory
    found = _detected(path, given, source, reasons, read)
    doubts = [doubt_of_row(footer, found.dialect, found.text) for footer in footers[-1:]]
    return found._replace(warnings=[doubt for doubt in doubts if doubt])


def _detected(path: Path, given: Mapping[str, Any], source: Source, reasons: dict[str, str], read: _Reader) -> Detected:
    """The same of a file that was opened, whose encoding and footer are known."""
    beginning = _beginning(source.text)
    base = Dialect()._replace(**given)
    errors: dict[str, DataError] = {}
    for attempts in _attempts(base, given, source.text, beginning, path):
        if (
            errors
            and not any(attempt.is_late for attempt in attempts)
            and _begins_well(path, errors, base, beginning, read)
        ):
            break  # what is wrong is wrong with a line further below, and no way of writing of the whole file
        fits, refused = _tried(attempts, path, source, read)
        if fits:
            best = _best(fits, given, source, reasons, path, read)
            return best if "quote" in given else _in_single_quotes(best, source, path, read)
        for mark, error in refused.items():
            errors.setdefault(mark, error)
    lines = [line.split() for line in beginning.splitlines()[:20] if line.strip()]
    if not errors and len(lines) > 2 and len(lines[0]) > 1 and len({len(words) for words in lines}) == 1:
        raise DataError(
            f"{path} is cut by blanks, and its first line looks like a row, not like column names: "
            f"{lines[0][0].decode('utf-8', 'replace')!r}. Put a line with the names above it."
        )
    likeliest_mark = max(errors or DELIMITERS, key=lambda mark: beginning.count(mark.encode()))
    raise errors.get(likeliest_mark) or DataError(
        f"{path} has one column only, cut at {some(map(repr, given.get('delimiter') or DELIMITERS))}: there is nothing "
        "to predict from. Say with --delimiter what is between its cells."
    )


def _tried(
    attempts: Sequence[_Attempt], path: Path, source: Source, read: _Reader
) -> tuple[list[tuple[_Attempt, TextTable, CsvFile]], dict[str, DataError]]:
    """(the attempts that fit, with what they read; {delimiter: why the whole file is no table, cut at it}, of those
    whose refusal is worth being told, if none fits)"""
    fits: list[tuple[_Attempt, TextTable, CsvFile]] = []
    errors: list[DataError | None] = [None] * len(attempts)
    narrow: list[tuple[int, CsvFile]] = []
    for place, attempt in enumerate(attempts):
        try:
            file = CsvFile(path, attempt.dialect, source)
            if len(file.names) == 1:  # no table: read on only to say what else is wrong, if no other attempt fits
                narrow.append((place, file))
                continue
            table = read(file)
            if _is_evident(attempt.dialect, table, file):
                fits.append((attempt, table, file))
        except DataError as error:
            errors[place] = error
    for place, file in [] if fits else narrow:
        try:
            read(file)
        except DataError as error:
            errors[place] = error
    told = zip(attempts, errors, strict=True)
    return fits, {one.dialect.delimiter: error for one, error in told if error is not None and one.is_usual}


def _attempts(
    base: Dialect, given: Mapping[str, Any], text: pa.Buffer, beginning: bytes, path: Path
) -> Iterator[list[_Attempt]]:
    """Ways to read the file, a list for each kind: the first kind that fits is taken, and of it the best.

    Raises:
        DataError: a line that begins with # may be the header.
    """
    quirks: tuple[Quirk, ...] = ("numbered_names", "empty_rows")
    reasons: dict[str, str] = {}
    if "quirks" not in given:
        if _has_doubled_returns(text):
            quirks = (*quirks, "doubled_returns")
            beginning = beginning.replace(b"\r\r\n", b"\n")
        lines = _lines(beginning)
        if len(lines) > 3 and lines[0] and not any(lines[1 : len(lines) - 1 : 2]):
            quirks = (*quirks, "blank_lines")
        base = base._replace(quirks=quirks)
    delimiter = given.get("delimiter")
    if "skip_lines" not in given:
        found = _SEPARATOR.match(beginning)
        if found:
            delimiter = delimiter or found[1].decode("latin-1")
        skip, reason = _above(beginning, 1 if found else 0, delimiter, path)
        if found:
            said = f"line 1 is {found[0].decode('utf-8', 'replace')!r}, which names the delimiter"
            reason = f"{said}; {reason}" if reason else said
        reasons, base = {"skip_lines": reason} if reason else {}, base._replace(skip_lines=skip)
    usual = [
        _Attempt(base._replace(delimiter=mark), reasons, is_usual=True)
        for mark in (delimiter or DELIMITERS)
        if mark not in (base.quote, base.escape)
    ]
    yield usual
    rare: list[_Attempt] = []
    header = b"".join(beginning.splitlines()[base.skip_lines : base.skip_lines + 1]).strip()
    if delimiter is None and not any(mark.encode() in header for mark in DELIMITERS):
        for mark in RARE_DELIMITERS:
            if mark.encode() in header:
                also: tuple[Quirk, ...] = ("aligned",) if mark == " " and "quirks" not in given else ()
                rare.append(_Attempt(base._replace(delimiter=mark, quirks=(*base.quirks, *also)), reasons))
        yield rare
    every = [*usual, *rare]
    if "escape" not in given and b'\\"' in text.to_pybytes():
        why = {"escape": "quotes within cells have it before them"}
        yield [_Attempt(one.dialect._replace(escape="\\"), one.reasons | why, is_late=True) for one in every]
    if "quirks" not in given:
        for quirk in ("spaced_cells", "spaced_quotes", "row_names", "header_end"):
            yield [_Attempt(one.dialect._replace(quirks=(*one.dialect.quirks, quirk)), one.reasons) for one in every]
    if "skip_lines" not in given:
        above = _lines(beginning)[base.skip_lines :]
        for n in range(1, MAX_TITLE + 1):
            skipped = base._replace(skip_lines=base.skip_lines + n)
            yield [
                _Attempt(
                    skipped._replace(delimiter=one.dialect.delimiter),
                    {"skip_lines": _title(above[:n], base.skip_lines + 1)},
                )
                for one in usual
                if len(above) > n and _are_title(above[: n + 1], one.dialect.delimiter)
            ]


def _in_single_quotes(found: Detected, source: Source, path: Path, read: _Reader) -> Detected:
    """The file read with single quotes around cells, where it has no others, and all cells of a column are in them.

    Raises:
        DataError: they are in them, and the whole file is no table then: no quotes make these cells other texts.
    """
    quoted = [
        name
        for name, cells in columns_of(found.text).items()
        if (present := cells.filter(pc.not_equal(cells, ""))) and _are_all(present, IN_SINGLE_QUOTES)
    ]
    if not quoted:
        return found
    try:
        file = CsvFile(path, found.dialect._replace(quote="'"), source)
        text = read(file)
    except DataError:
        raise DataError(
            f"{path} column {quoted[0]!r}: every cell is in single quotes, and with these as its quotes the file is no "
            "table. Remove them from the cells of this column in the file."
        ) from None
    if b'"' in source.text.to_pybytes():
        return found
    why = f"every cell of {some(map(repr, quoted))} is in single quotes, and none is in others"
    reasons = found.reasons | {"quote": why}
    return found._replace(dialect=file.dialect, text=text, header=file.header, reasons=reasons)


def _are_all(cells: pa.ChunkedArray, pattern: str) -> bool:
    return bool(pc.all(pc.match_substring_regex(cells, pattern), min_count=0).as_py())


def _begins_well(path: Path, errors: Mapping[str, DataError], base: Dialect, beginning: bytes, read: _Reader) -> bool:
    """Whether the first lines of a longer file are a table, cut at a delimiter with which the whole file is none."""
    lines, newline, _ = beginning.rpartition(b"\n")
    if len(beginning) < _BEGINNING or not newline:
        return False
    for mark in errors:
        with contextlib.suppress(DataError):
            file = CsvFile(path, base._replace(delimiter=mark), Source(pa.py_buffer(lines + newline), None))
            if read(file).cells.num_columns > 1:
                return True
    return False


def _is_evident(dialect: Dialect, table: TextTable, file: CsvFile) -> bool:
    """Whether the cells bear out a quirk that another mistake might look like: row names, where a name may be lost."""
    if "row_names" not in dialect.quirks:
        return True
    first, last = table.cells.column(0), table.cells.column(table.cells.num_columns - 1)
    begins_quoted = file.data[: 1 << 12].tobytes().split(b"\n", 2)[1:2]
    counts = _counts_from_the_first(first)
    is_r = bool(dialect.quote) and begins_quoted[0][:1] == dialect.quote.encode() if begins_quoted else False
    distinct = len(first.unique()) == len(first)
    named = re.search(r"(?i)(^|[_ .-])(id|index|no|nr|number|key|row|name)s?$", file.header[0].strip())
    is_used = bool(pc.any(pc.not_equal(last, "")).as_py())
    return bool((counts or (is_r and distinct)) and not named and is_used)


def _counts_from_the_first(cells: pa.ChunkedArray) -> bool:
    """Whether the cells count up from 0 or 1."""
    try:
        numbers = pd.Series(cells.cast(pa.int64()).to_numpy())
    except pa.ArrowInvalid:
        return False
    return len(numbers) > 0 and numbers[0] in (0, 1) and counts_up(numbers)


def _best(
    fits: list[tuple[_Attempt, TextTable, CsvFile]],
    given: Mapping[str, Any],
    source: Source,
    reasons: dict[str, str],
    path: Path,
    read: _Reader,
) -> Detected:
    """Of several delimiters that fit, the one of most columns; but a comma in numbers is a decimal mark."""
    tables = {attempt.dialect.delimiter: table for attempt, table, _ in fits}
    commas = _commas_in_numbers(tables)
    attempt, table, file = max(
        fits, key=lambda fit: ((fit[0].dialect.delimiter != "," or not commas), fit[1].cells.num_columns)
    )
    dialect, reasons = attempt.dialect, reasons | attempt.reasons
    if len(fits) > 1:
        others = some([repr(mark) for mark in tables if mark != dialect.delimiter])
        reasons["delimiter"] = f"it fits best, though {others} would fit too"
    if "quirks" not in given:
        names = file.header[1:]
        spaced: tuple[Quirk, ...] = ("spaced_cells",)
        if dialect.delimiter != " " and not dialect.escape and names and all(name[:1] == " " for name in names):
            try:
                again = CsvFile(path, dialect._replace(quirks=(*dialect.quirks, *spaced)), source)
                table, file, dialect = read(again), again, again.dialect
            except DataError:
                pass  # not every delimiter has a blank behind it: the blanks are part of the cells
        needed = {
            "numbered_names": file.names[-len(file.header) :] != file.header,
            "empty_rows": file.empty_rows > 0,
        }
        dialect = dialect._replace(quirks=tuple(quirk for quirk in dialect.quirks if needed.get(quirk, True)))
        if dialect.quirks:
            reasons["quirks"] = "; ".join(_why(quirk, file) for quirk in dialect.quirks)
    beside = [f"packed ({source.packed})"] * bool(source.packed) + ["ends with Ctrl-Z, read past"] * source.has_end_mark
    return Detected(dialect, table, file.header, beside, reasons, [])


def _why(quirk: Quirk, file: CsvFile) -> str:
    """What of the file a quirk describes, for the one who adds it."""
    match quirk:
        case "numbered_names":
            unnamed, repeated = (_numbered(file, is_named=named) for named in (False, True))
            said = [f"{some(unnamed)} had no name"] * bool(unnamed)
            said += [f"{some(repeated)} had a name that another column has"] * bool(repeated)
            return ", ".join(said)
        case "row_names":
            return "the header names one column less than the rows have cells, and the first cells tell the rows apart"
        case "header_end":
            return "the header ends with a delimiter, and no other line does"
        case "empty_rows":
            return f"lines at the end that hold delimiters and blanks only: {file.empty_rows:,}"
        case "blank_lines":
            return "an empty line is between every two lines"
        case "doubled_returns":
            return "every line ends with CR CR LF"
        case "spaced_cells":
            return "a blank is behind every delimiter"
        case "spaced_quotes":
            return "a blank is before every quote that opens a cell"
        case "aligned":
            return "the cells are set apart by runs of blanks"


def _numbered(file: CsvFile, *, is_named: bool) -> list[str]:
    """The names that were given to columns: to those that had one, which another column has, or to those without."""
    pairs = zip(file.names[-len(file.header) :], file.header, strict=True)
    return [new for new, old in pairs if new != old and bool(old.strip()) == is_named]


def _beginning(data: pa.Buffer) -> bytes:
    return bytes(data.slice(0, min(len(data), _BEGINNING)).to_pybytes())


def _lines(beginning: bytes) -> list[str]:
    """The lines of a text, of which the last may be cut."""
    return re.split(r"\r\n|\n|\r", beginning.decode("utf-8", "replace"))


def _has_doubled_returns(text: pa.Buffer) -> bool:
    if b"\r\r\n" not in _beginning(text):
        return False
    content: bytes = text.to_pybytes()
    return content.count(b"\n") == content.count(b"\r\r\n")


def _above(beginning: bytes, first: int, delimiter: str | None, path: Path) -> tuple[int, str]:
    """(how many lines are above the header, ``first`` or more, why): those that are empty or begin with #.

    Raises:
        DataError: the last of these may be the header.
    """
    lines = _lines(beginning)
    marks = "".join((*DELIMITERS, ' "'))  # a line of empty cells is empty
    above = next((n for n, line in enumerate(lines[first:], first) if line.strip(marks) and line[0] != "#"), first)
    if above == first or above > MAX_COMMENTS:
        return first, ""
    kinds = {line[:1] == "#" for line in lines[first:above]}
    what = " or ".join(["begin with #"] * (True in kinds) + ["are empty"] * (False in kinds))
    why = f"{'the lines behind it' if first else 'these lines'} {what}"
    if lines[above - 1][:1] != "#":
        return above, why
    marked = lines[above - 1]
    usual = delimiter or DELIMITERS
    for mark in usual if any(mark in marked for mark in usual) else RARE_DELIMITERS:
        rows = _cut(lines[above - 1 :], mark)
        if len(rows[0]) == len(rows[1]) > 1:
            is_header = _is_header(marked, rows)
            if mark == " " and marked[1:2] == " " and is_header is not False:
                raise DataError(
                    f"{path} line {above}: this line, {marked[:40]!r}, seems to name the columns, but its # would be a "
                    "name more than the rows have cells. Remove the # and the blank behind it; or give --skip-lines "
                    f"{above} if it is a comment."
                )
            if is_header is None:
                raise DataError(
                    f"{path} line {above}: this line begins with # and has as many cells as the next one, so that it "
                    f"may be the header, or a comment above it. Give --skip-lines {above - 1} if it names the columns, "
                    f"--skip-lines {above} if it is a comment."
                )
            if is_header:
                return above - 1, f"line {above} names the columns, though it begins with #"
            break
    return above, why


def _cut(lines: Sequence[str], mark: str) -> list[list[str]]:
    """The cells of lines; of lines cut by runs of blanks, those behind the # of the first."""
    if mark == " ":
        first, *others = lines
        return [first.lstrip("#").split(), *(line.split() for line in others)]
    return list(csv.reader(lines, delimiter=mark))


def _is_header(line: str, rows: Sequence[Sequence[str]]) -> bool | None:
    """Whether a line that begins with # names the columns, rather than the next line; None if that is open.

    Args:
        line: as it is written.
        rows: its cells, those of the next line, and those of the lines below.
    """
    commented, following, *rest = rows
    columns = zip(following, *(row for row in rest if len(row) == len(following)), strict=True)
    votes = {_is_name(cell, below) for cell, *below in columns} - {None}
    is_prose = any(cell[:1] == " " for cell in commented[1:]) and not any(cell[:1] == " " for cell in following[1:])
    if len(votes) > 1:
        return None
    if votes == {False}:
        return None if is_prose else True
    if votes == {True} or is_prose or all(cell in line for cell in following):
        return False
    return None if line[1:2] == " " else True


def _is_name(cell: str, below: Sequence[str]) -> bool | None:
    """Whether a cell is the name of the column of the cells below, and not one of them; None if they do not tell."""
    present = [other for other in map(str.strip, below) if other not in ("", *MISSING)]
    cell = cell.strip()
    if not present or cell in ("", *MISSING):
        return None
    if all(map(_BEGINS_WITH_NUMBER.match, present)):
        is_year = _YEAR.fullmatch(cell) and not all(map(_YEAR.fullmatch, present))  # a column for each year
        return bool(is_year or not _BEGINS_WITH_NUMBER.match(cell))
    if cell in present:
        return False
    return True if 2 * len(set(present)) <= len(present) else None


def _are_title(lines: Sequence[str], delimiter: str) -> bool:
    """Whether all lines but the last have at most half as many cells with something in them as that has."""
    *above, header = [sum(bool(cell.strip()) for cell in line.split(delimiter)) for line in lines]
    return header > 1 and all(2 * few <= header for few in above)


def _title(lines: Sequence[str], number: int) -> str:
    """Why some lines are skipped, of which the first has the given number."""
    what = "is no header but a title" if len(lines) == 1 else "and those behind it are a title"
    return f"line {number}, {lines[0][:40]!r}, {what}"


def _encoding(data: pa.Buffer, path: Path) -> tuple[str, str]:
    """(the encoding of the file's bytes, why if it is not UTF-8)

    Raises:
        DataError: it cannot be told, with what the candidates make of the text.
    """
    beginning = _beginning(data)
    for name in ("utf-32-le", "utf-32-be") if beginning else ():
        if decodes(data, name):  # a quarter of each character is zero, and another one nearly so: nothing else decodes
            return name, "its bytes are in that order, though no byte-order mark says so"
    for name, zeros in ("utf-16-le", beginning[1::2].count(0)), ("utf-16-be", beginning[0::2].count(0)):
        # Half of an ASCII character is zero. Other halves may be, as of U+4E00; in the wrong order, no line ends.
        ends_lines = zeros > len(beginning) / 20 and re.search("[\r\n]", beginning.decode(name, "replace"))
        if ends_lines and decodes(data, name):
            return name, "its bytes are in that order, though no byte-order mark says so"
    if decodes(data, "utf-8"):
        return "utf-8", ""
    readings = plausible_readings(data)
    if len(readings) == 1:
        return readings[0].encodings[0], "the text is plausible in no other one"
    if readings:
        ways = difference(data, readings)
        chosen = likeliest(readings)
        if chosen is None:
            raise DataError(
                f"{path} is not UTF-8, and can be read in {len(readings)} ways: {ways}. Give the one that reads right, "
                f"for instance --encoding {readings[0].encodings[0]}."
            )
        return chosen.encodings[0], f"it is the likeliest of {len(readings)} that read the text: {ways}"
    line = line_of_utf8(data)
    if line is not None:
        raise DataError(
            f"{path} mixes encodings: line {line} is UTF-8, others are not. Convert it to UTF-8 first, or give the "
            "encoding that all of it is to be read in with --encoding."
        )
    if (damaged := some_reading(data)) is not None:
        return damaged, "the text is plausible in no encoding; this one keeps apart what differs in it"
    raise DataError(
        f"{path} is not UTF-8, and plausible in none of the usual encodings. Give its encoding with --encoding, "
        "or save it as UTF-8."
    )


def _commas_in_numbers(tables: dict[str, TextTable]) -> bool:
    """Whether, cut at another delimiter, most cells of a column are numbers with a decimal comma."""
    others = [table for mark, table in tables.items() if mark != ","]
    samples = [cells.slice(0, 100) for table in others for cells in table.cells.columns]
    return any(
        2 * pc.sum(pc.match_substring_regex(cells, _COMMA), min_count=0).as_py() > len(cells) for cells in samples
    )
