"""Reads a CSV file as text cells, and refuses whatever could be read in two ways.

Stock readers repair what they do not understand: they pad short rows, shift long ones, let an unclosed quote swallow
lines. Here a scan over the bytes comes first. It follows RFC 4180 (https://www.rfc-editor.org/rfc/rfc4180): a quote
opens a cell only at the cell's beginning and closes it only at its end, ``""`` inside is one quote, and every record
has as many cells as the header. A file that passes is unambiguous, and pyarrow's parser splits it into cells.

The scan is quick because it looks at few bytes: line breaks and quotes are found, delimiters are not. pyarrow counts
the cells of each record anyway while it splits them; only where it complains are they counted here, to name the line.
"""

import csv
import itertools
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from lockstep.kernel.errors import DataError, Setting, some
from lockstep.kernel.log import heartbeat
from lockstep.reading.quirks import ROW_NAMES, Quirk, end_without_empty_rows, numbered, without_quirks
from lockstep.reading.source import Source, likely_encoding, open_source
from lockstep.tables.table import ROW

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

CHUNK = 1 << 22
"""Bytes scanned at a time: few enough to stay in the processor's cache from one look at them to the next. More, up to
four times, for tables of more than MANY_COLUMNS: each column of a block costs some time, however few its cells are."""
MANY_COLUMNS = 128
DELIMITERS = (",", ";", "\t", "|")
"""What mostly is between cells."""
MAX_HEADER = 1 << 17
MAX_RECORD = 1 << 24
"""Bytes of the longest record that is accepted: a longer one is a quote gone astray, or an attack."""
TEXT = pa.large_string()
_NEWLINE, _RETURN, _NUL = b"\n\r\0"
_NUMBER = re.compile(r"[-+]?[0-9.,]+([eE][-+]?[0-9]+)?")


@dataclass(frozen=True)
class TextTable:
    """The cells of a CSV file as text, exactly as they are in it (quotes removed).

    Attributes:
        cells: (n_rows, n_columns), large_string columns without nulls.
        line_starts: (n_rows,) int64: the line of the file on which each row begins (the header is on line 1).
    """

    cells: pa.Table
    line_starts: np.ndarray

    def without(self, columns: Collection[str]) -> "TextTable":
        """The table less the given columns."""
        return replace(self, cells=self.cells.drop_columns(list(columns)))


class Dialect(NamedTuple):
    """How the text is cut into cells.

    Attributes:
        delimiter: one character between cells.
        quote: one character around cells that contain the delimiter, a line break or the quote itself, doubled; "" for
            files in which no character has this meaning.
        skip_lines: lines before the header, such as a title.
        encoding: of the file; see source.open_source.
        escape: one character that takes the meaning of a delimiter, quote or escape character behind it; "" for none.
        skip_footer_lines: lines behind the last row, such as a total; empty lines at the end are not counted.
        quirks: ways of writing that hold for the whole file; see quirks.Quirk.
    """

    delimiter: str = ","
    quote: str = '"'
    skip_lines: int = 0
    encoding: str = "utf-8"
    escape: str = ""
    skip_footer_lines: int = 0
    quirks: tuple[Quirk, ...] = ()


class Block(NamedTuple):
    """Some whole records of a CSV file, checked, not yet cut into cells.

    Attributes:
        begin, end: offsets in the text.
        line_starts: (n_rows,) int64: the line of the file on which each row begins.
        embedded: whether a cell contains a line break.
    """

    begin: int
    end: int
    line_starts: np.ndarray
    embedded: bool


class _Records(NamedTuple):
    """Some bytes of a text and the positions in them where records end.

    Attributes:
        bytes: (n,) uint8; where an escape character is declared, it and what it escapes are replaced by letters.
        breaks: line breaks.
        quotes: quote characters.
        ends: the line breaks that end a record; the length of the text for a last record without one.
        embedded: whether a cell contains a line break.
    """

    bytes: np.ndarray
    breaks: np.ndarray
    quotes: np.ndarray
    ends: np.ndarray
    embedded: bool

    @property
    def begins(self) -> np.ndarray:
        """Where the records begin."""
        return np.append(0, self.ends[:-1] + 1)


class CsvFile:
    """A CSV file that is checked and read block by block.

    The scan over the bytes finds the records and refuses quotes, bytes, line breaks and empty lines that could be read
    in two ways; the cells of a record are counted by pyarrow, when it cuts them, and its refusal is then explained.

    Attributes:
        names: the columns.
        header: their names as they are written.
        empty_rows: how many lines of delimiters and white space at the end were left out, if Dialect.quirks declares
            them.

    Raises:
        DataError: at any time: a cell count, a quote, a byte or the header is not as it must be. The message names the
            file and the line.
    """

    def __init__(self, path: Path, dialect: Dialect = Dialect(), source: Source | None = None) -> None:
        self.name, self.dialect = str(path), dialect
        self.source = source or open_source(path, dialect.encoding)
        self.data: np.ndarray = np.frombuffer(self.source.text, dtype=np.uint8)
        self.quirks = frozenset(dialect.quirks)
        self.delimiter = ord(dialect.delimiter)
        self.quote, self.escape = (ord(mark) if mark else None for mark in (dialect.quote, dialect.escape))
        self.boundaries = np.zeros(256, dtype=bool)  # the bytes before an opening and behind a closing quote
        self.boundaries[[mark for mark in (_NEWLINE, _RETURN, self.delimiter, self.quote) if mark is not None]] = True
        # Old spreadsheet programs end lines with a carriage return alone; what the file went through since may have
        # put another line break behind the last one.
        end = len(self.data) - _breaks_at_end(self.data)
        self.newline = self._line_end(self.data[: min(end, MAX_RECORD)])
        if self.newline == _RETURN:
            self.data = self.data[:end]
        self._begin, end = self._header_begin(), self._footer()
        table = self.source.text.slice(self._begin, max(end - self._begin, 0))
        plain = without_quirks(
            table, dialect.quirks, dialect.delimiter, dialect.quote, self.name, self.newline, dialect.skip_lines + 1
        )
        if plain is table:
            self.data = self.data[:end]
        else:
            self.source, self._begin = Source(plain, None), 0
            self.data = np.frombuffer(plain, dtype=np.uint8)
        whole, self.empty_rows = self.data, 0
        if "empty_rows" in self.quirks:
            self.data = self.data[: end_without_empty_rows(self.data, self.delimiter)]
        self.names: list[str] = []
        self.header: list[str] = []
        self._blocks = self._scan()
        self._first = next(self._blocks)
        if len(whole) > len(self.data):
            self.empty_rows = self._count_empty_rows(whole[len(self.data) :])

    def blocks(self) -> Iterator[Block]:
        """The rows in order, some MiB of them at a time; at least one block, which may have no rows. To be
        called once: it does not keep what it found.
        """
        yield self._first
        second = next(self._blocks, None)
        if second is None:
            return
        with heartbeat(f"reading {self.name}", len(self.data) / 1e6, "MB") as progress:
            for block in itertools.chain([second], self._blocks):
                progress.done = block.begin / 1e6
                yield block

    def cells(self, block: Block, columns: Sequence[str] | None = None) -> pa.Table:
        """The cells of one of blocks(), texts; None: of all columns.

        Raises:
            DataError: a row has too many or too few cells, or is the header again, which is seen if all are read.
        """
        kinds = dict.fromkeys(self.names if columns is None else columns, TEXT)
        n_rows = len(block.line_starts)
        if not n_rows:
            return pa.table({column: pa.array([], kind) for column, kind in kinds.items()})
        # A copy that is Arrow's own: its reader lets go of it in a thread of its own, perhaps when Python ends already,
        # and a buffer of Python's would then wait for Python's lock in vain (apache/arrow#34314).
        text = pa.allocate_buffer(block.end - block.begin)
        np.frombuffer(text, dtype=np.uint8)[:] = self.data[block.begin : block.end]
        try:
            cells = pa.csv.read_csv(
                pa.BufferReader(text),
                read_options=pa.csv.ReadOptions(column_names=self.names, block_size=len(text) + 1, use_threads=False),
                parse_options=pa.csv.ParseOptions(
                    delimiter=self.dialect.delimiter,
                    quote_char=self.dialect.quote or False,
                    escape_char=self.dialect.escape or False,
                    newlines_in_values=block.embedded,
                ),
                convert_options=pa.csv.ConvertOptions(
                    include_columns=list(kinds),
                    column_types=kinds,
                    strings_can_be_null=False,
                    check_utf8=False,  # the scan did
                ),
            )
        except pa.ArrowException as error:
            self._check_counts(block)
            raise DataError(f"{self.name} cannot be parsed as CSV: {error}. Correct the file.") from None
        if len(cells) != n_rows:
            self._check_counts(block)
            raise DataError(f"{self.name}: {n_rows:,} rows found but {len(cells):,} parsed. Correct the file.")
        if columns is None:
            self._check_repeated_header(cells, block.line_starts)
        return cells

    def check_delimiter(self) -> None:
        """Raise DataError if the header is one column that holds another usual delimiter."""
        others = [mark for mark in DELIMITERS if mark != self.dialect.delimiter and mark in self.names[0]]
        if len(self.names) == 1 and others:
            raise DataError(
                f"{self.name} has one column only, '{self.names[0][:100]}', cut at {self.dialect.delimiter!r}. "
                f"Write {self.dialect.delimiter!r} between its cells instead of {others[0]!r}, or set ",
                Setting("load.delimiter"),
                ".",
            )

    def _scan(self) -> Iterator[Block]:
        """Cut the text into blocks of whole records, so that nothing is carried from one to the next; check them."""
        low, line, blank, number = self._begin, self.dialect.skip_lines + 1, 0, 0
        alternate = False
        no_header = self._refuse(line, "the first line is empty", "Begin the file with a header line.")
        while low < len(self.data):
            records = self._whole_records(low, line)
            size, begins, ends = len(records.bytes), records.begins, records.ends
            if records.embedded:
                lines = line + np.searchsorted(records.breaks, begins)
            else:
                lines = np.arange(line, line + len(begins))
            self._check_text(self.data[low : low + size], line)
            self._check_escapes(self.data[low : low + size], begins, lines)
            self._check_quotes(records, lines)
            returns = self._returns(records, lines)
            if returns is None:
                embedded, empty = records.embedded, ends == begins
            else:
                embedded = records.embedded or bool(_inside(returns, records.quotes).any())
                empty = ends - ((ends > begins) & (records.bytes[np.maximum(ends - 1, 0)] == _RETURN)) == begins
            if not self.names and empty[0]:
                raise no_header
            rows = lines
            alternate = alternate or ("blank_lines" in self.quirks and not number and bool(empty[1:2].any()))
            if alternate:
                self._check_blank_lines(empty, lines, number)
                rows = lines[~empty]
            elif blank or empty.any():
                blank = blank or int(lines[np.argmax(empty)])
                rows = lines[~empty]
                if len(rows) and rows[-1] > blank:  # empty lines are allowed behind the last row only
                    what = "an empty line amid the rows"
                    raise self._refuse(blank, what, "Remove it, or the second table behind it.")
            begin = 0
            if not self.names:
                self.names, rows = self._header(self.data[low : low + int(ends[0])], line), rows[1:]
                begin = min(int(ends[0]) + 1, size)
            if len(rows) or begin:
                yield Block(low + begin, low + size, rows, embedded)
            line += len(records.breaks)
            number += len(empty)
            low += size
        if not self.names:
            raise no_header

    def _check_blank_lines(self, empty: np.ndarray, lines: np.ndarray, number: int) -> None:
        """Refuse records of which not every second one is empty; ``number``: of those of the file before them."""
        content = np.flatnonzero(~empty)
        until = content[-1] + 1 if len(content) else 0
        wrong = np.flatnonzero(empty[:until] != ((number + np.arange(until)) % 2 == 1))
        if len(wrong):
            what = "a second empty line" if empty[wrong[0]] else "no empty line before it, as before all others"
            remedy = "Correct that, or remove blank_lines from "
            raise self._refuse(int(lines[wrong[0]]), what, remedy, Setting("load.quirks"), ".")

    def _whole_records(self, low: int, line: int) -> _Records:
        """The bytes of a block from ``low``, which begins a record, to the end of a record."""
        span = CHUNK * min(max(len(self.names) // MANY_COLUMNS, 1), 4)
        while True:
            is_last = low + span >= len(self.data)
            found = self._records(self.data[low : low + span], is_last)
            if is_last and len(found.quotes) % 2:
                raise self._stray_quote(found, line)
            if len(found.ends):
                cut = int(found.ends[-1]) + 1
                return found._replace(
                    bytes=found.bytes[:cut],
                    breaks=found.breaks[: np.searchsorted(found.breaks, cut)],
                    quotes=found.quotes[: np.searchsorted(found.quotes, cut)],
                )
            if span >= MAX_RECORD:
                what = f"a record of more than {MAX_RECORD:,} bytes begins here"
                raise self._refuse(line, what, "Look for a quote that is not closed.")
            span *= 2

    def _records(self, data: np.ndarray, is_last: bool) -> _Records:
        """The records in ``data``, whose first byte begins one; ``is_last``: the text ends with it."""
        if self.escape is not None:
            marks = _escapes(data, self.escape)
            data = data.copy()
            data[marks] = data[np.minimum(marks + 1, len(data) - 1)] = ord("x")
        breaks = ends = np.flatnonzero(data == self.newline)
        quotes = np.flatnonzero(data == self.quote) if self.quote is not None else breaks[:0]
        if len(quotes):
            ends = breaks[~_inside(breaks, quotes)]
        embedded = len(breaks) > len(ends)
        if is_last and (not len(ends) or ends[-1] != len(data) - 1):
            ends = np.append(ends, len(data))  # the last line has no line break
        elif embedded and len(ends):  # a quote that is open at the end of these bytes belongs to the next record
            embedded = bool(np.searchsorted(breaks, ends[-1]) >= len(ends))
        return _Records(data, breaks, quotes, ends, embedded)

    def _line_end(self, beginning: np.ndarray) -> int:
        """The byte that ends lines: a carriage return where all line feeds, if there are any, are in quoted cells."""
        if _RETURN not in beginning:
            return _NEWLINE
        feeds, returns = np.flatnonzero(beginning == _NEWLINE), np.flatnonzero(beginning == _RETURN)
        quotes = np.flatnonzero(beginning == self.quote) if self.quote is not None else feeds[:0]
        return _NEWLINE if not _inside(feeds, quotes).all() or _inside(returns, quotes).all() else _RETURN

    def _header_begin(self) -> int:
        """The offset behind ``skip_lines`` lines."""
        wanted = self.dialect.skip_lines
        if not wanted:
            return 0
        breaks = np.flatnonzero(self.data[:MAX_RECORD] == self.newline)[:wanted]
        if len(breaks) < wanted:
            raise self._too_few_lines(len(breaks), Setting("load.skip_lines"), wanted)
        return int(breaks[-1]) + 1

    def _footer(self) -> int:
        """The offset at which the last ``skip_footer_lines`` lines begin."""
        wanted = self.dialect.skip_footer_lines
        if not wanted:
            return len(self.data)
        low = max(len(self.data) - MAX_RECORD, 0)
        tail = self.data[low:]
        content = np.flatnonzero((tail != _NEWLINE) & (tail != _RETURN))
        breaks = np.flatnonzero(tail[: content[-1] if len(content) else 0] == self.newline)
        if len(breaks) < wanted:
            raise self._too_few_lines(len(breaks) + min(len(content), 1), Setting("load.skip_footer_lines"), wanted)
        return low + int(breaks[-wanted]) + 1

    def _count_empty_rows(self, rest: np.ndarray) -> int:
        """How many lines of delimiters and white space the bytes behind the table hold. One with delimiters must have
        as many cells as the header."""
        lines = [line.strip(b"\r\n") for line in rest.tobytes().split(bytes([self.newline]))]
        first = self.dialect.skip_lines + 1 + self._breaks(self.data[self._begin :])
        for number, line in enumerate(lines):
            if self.delimiter in line and line.count(self.delimiter) != len(self.names) - 1:
                what = f"{line.count(self.delimiter) + 1} cells without content, the header has {len(self.names)}"
                raise self._refuse(first + number, what, "Remove that line.")
        return len(lines) - lines.count(b"")

    def _check_counts(self, block: Block) -> None:
        """Refuse the first row of a block that has more or fewer cells than the header."""
        self.check_delimiter()
        records = self._records(self.data[block.begin : block.end], is_last=True)
        delimiters = np.flatnonzero(records.bytes == self.delimiter)
        delimiters = delimiters[~_inside(delimiters, records.quotes)]
        counts = np.diff(np.searchsorted(delimiters, records.ends), prepend=0) + 1
        length = records.ends - records.begins
        returns = records.bytes[np.minimum(records.begins, len(records.bytes) - 1)] == _RETURN
        rows = np.flatnonzero((length > 1) | ((length == 1) & ~returns))  # no empty lines
        wrong = np.flatnonzero(counts[rows] != len(self.names))
        if len(wrong):
            row = rows[wrong[0]]
            what, remedy = f"{counts[row]} cells, the header has {len(self.names)}", "Correct that row."
            text = records.bytes[records.begins[row] : records.ends[row]].tobytes()
            others = [mark for mark in DELIMITERS if text.count(mark.encode()) == len(self.names) - 1]
            if counts[row] == 1 and others:
                remedy = f"Write {self.dialect.delimiter!r} between its cells instead of {others[0]!r}."
            raise self._refuse(int(block.line_starts[wrong[0]]), what, remedy)

    def _check_repeated_header(self, cells: pa.Table, lines: np.ndarray) -> None:
        """Refuse the header among the rows: two tables in one file, or files that were put together."""
        same = np.flatnonzero(pc.equal(cells.column(0), self.names[0]).to_numpy())
        for row in same if len(self.names) > 1 else ():
            if all(cells.column(index)[int(row)].as_py() == name for index, name in enumerate(self.names)):
                what = "the header again, amid the rows"
                raise self._refuse(int(lines[row]), what, "Remove that line, or the table behind it.")

    def _header(self, record: np.ndarray, line: int) -> list[str]:
        """The column names, checked."""
        text = record.tobytes().decode("utf-8").removesuffix("\r")
        if len(text) > MAX_HEADER:
            what = f"a header of {len(text):,} characters"
            raise self._refuse(line, what, f"At most {MAX_HEADER:,} are allowed: shorten the names.")
        names = next(
            csv.reader(
                [text],
                delimiter=self.dialect.delimiter,
                quotechar=self.dialect.quote or None,
                quoting=csv.QUOTE_MINIMAL if self.dialect.quote else csv.QUOTE_NONE,
                escapechar=self.dialect.escape or None,
                strict=True,
            )
        )
        if "header_end" in self.quirks and not names[-1].strip():
            names = names[:-1]
        self.header = names
        if not any(name.strip() for name in names):
            raise self._refuse(line, "no column has a name", "Begin the table with a line of names.")
        if "row_names" in self.quirks:
            names = [ROW_NAMES, *names]
        if all(_NUMBER.fullmatch(name.strip()) for name in names):
            what = "all column names are numbers: the header is missing"
            raise self._refuse(line, what, "Add a line with the names.")
        if "numbered_names" in self.quirks:
            names = numbered(names)
        for position, name in enumerate(names, 1):
            if not name.strip():
                what = f"column {position} of {len(names)} has no name"
                raise self._refuse(
                    line,
                    what,
                    "Name it, or add numbered_names to ",
                    Setting("load.quirks"),
                    f", which names it column_{position}.",
                )
        if len(set(names)) < len(names):
            twice = sorted(name for name, count in Counter(names).items() if count > 1)
            raise self._refuse(
                line,
                f"more than one column is named {some(twice)}",
                "Make the names distinct, or add numbered_names to ",
                Setting("load.quirks"),
                " to number them.",
            )
        if ROW in names:
            raise self._refuse(line, f"the column name {ROW} is Lockstep's own", "Rename the column.")
        return names

    def _check_text(self, block: np.ndarray, line: int) -> None:
        """Refuse NUL bytes and what is not UTF-8."""
        if block.min() == _NUL:
            line += self._breaks(block[: np.argmin(block)])
            raise self._refuse(line, "a NUL byte: this is not text", "Export it as UTF-8 CSV.")
        if block.max() >= 0x80:
            try:
                block.tobytes().decode("utf-8")
            except UnicodeDecodeError as error:
                raise self._refuse(
                    line + self._breaks(block[: error.start]),
                    f"the byte 0x{block[error.start]:02X} is not UTF-8",
                    "Set ",
                    Setting("load.encoding"),
                    f" to what the file is encoded in{likely_encoding(block.tobytes())}.",
                ) from None

    def _check_escapes(self, block: np.ndarray, begins: np.ndarray, lines: np.ndarray) -> None:
        """Refuse an escape character before anything but a delimiter, a quote or an escape character: readers differ
        in what, for instance, a backslash and an n are.
        """
        if self.escape is None:
            return
        marks = _escapes(block, self.escape)
        special = [mark for mark in (self.delimiter, self.quote, self.escape) if mark is not None]
        wrong = marks[~np.isin(block[np.minimum(marks + 1, len(block) - 1)], special) | (marks == len(block) - 1)]
        if len(wrong):
            raise self._refuse(
                _line_of(wrong[0], begins, lines),
                f"an escape character {chr(self.escape)!r} before something else than a delimiter, a quote or itself",
                "Double it, or empty ",
                Setting("load.escape"),
                ".",
            )

    def _check_quotes(self, records: _Records, lines: np.ndarray) -> None:
        """Refuse a quote that opens a cell elsewhere than at its beginning, or closes it elsewhere than at its end."""
        block, quotes = records.bytes, records.quotes
        if not len(quotes):
            return
        opening, closing = quotes[0::2], quotes[1::2]
        at_begin = self.boundaries[block[np.maximum(opening - 1, 0)]] | (opening == 0)
        at_end = self.boundaries[block[np.minimum(closing + 1, len(block) - 1)]] | (closing == len(block) - 1)
        # "" inside a cell closes and opens it again; a quote before an opening one is therefore always a closing one.
        if not (at_begin.all() and at_end.all()):
            before, behind = opening[~at_begin] - 1, closing[~at_end] + 1
            stray = np.append(before + 1, behind - 1)
            first = stray.argmin()
            beside = chr(block[np.append(before, behind)[first]])
            line, what = _line_of(stray[first], records.begins, lines), "a quote inside a cell"
            remedy = 'Put the whole cell in quotes and double the inner one: "a ""b"" c".'
            if beside in DELIMITERS:
                what = f"a quote beside {beside!r}, where the delimiter is {self.dialect.delimiter!r}"
                remedy = (
                    f"Write {self.dialect.delimiter!r} between the cells of that line; or, if {beside!r} is part of a "
                    "cell, put the whole cell in quotes and double the inner ones."
                )
            raise self._refuse(line, what, remedy)

    def _stray_quote(self, records: _Records, line: int) -> DataError:
        """The error for an odd number of quotes; it points at the first quote at neither end of a cell."""
        block, quotes = records.bytes, records.quotes
        inner = ~(
            self.boundaries[block[np.maximum(quotes - 1, 0)]]
            | self.boundaries[block[np.minimum(quotes + 1, len(block) - 1)]]
        )
        line += self._breaks(block[: quotes[np.argmax(inner)] if inner.any() else quotes[-1]])
        return self._refuse(line, "a quote without its partner, here or before", "Close or remove it.")

    def _returns(self, records: _Records, lines: np.ndarray) -> np.ndarray | None:
        """The positions of the carriage returns, or None for none (where carriage returns end the lines: of the line
        feeds). Refuses one that ends no line and is in no quoted cell: pyarrow would end a line there.
        """
        block = records.bytes
        found = block == (_RETURN if self.newline == _NEWLINE else _NEWLINE)
        if not found.any():
            return None
        returns = np.flatnonzero(found)
        lone = returns[~_inside(returns, records.quotes)]
        if self.newline == _NEWLINE:
            lone = lone[block[np.minimum(lone + 1, len(block) - 1)] != _NEWLINE]
        if len(lone):
            line = _line_of(lone[0], records.begins, lines)
            raise self._refuse(line, "a carriage return amid the line", "Use one kind of line ending.")
        return returns

    def _breaks(self, block: np.ndarray) -> int:
        return int((block == self.newline).sum())

    def _refuse(self, line: int, what: str, *remedy: str) -> DataError:
        return DataError(f"{self.name} line {line}: {what}. ", *remedy)

    def _too_few_lines(self, lines: int, setting: Setting, wanted: int) -> DataError:
        return DataError(f"{self.name} has {lines} lines, ", setting, f" is {wanted}. Lower it.")


def _breaks_at_end(data: np.ndarray) -> int:
    """How many bytes of line breaks a text ends with, as far as the last of them show."""
    tail = data[-(1 << 16) :].tobytes()
    return len(tail) - len(tail.rstrip(b"\r\n"))


def _inside(positions: np.ndarray, quotes: np.ndarray) -> np.ndarray:
    """Which of ``positions`` are in quoted cells: behind an odd number of quotes."""
    return np.asarray(np.searchsorted(quotes, positions) % 2 == 1)


def _escapes(data: np.ndarray, escape: int) -> np.ndarray:
    """The positions of the escape characters that are not escaped themselves: of a run of them, every other one."""
    marks = np.flatnonzero(data == escape)
    order = np.arange(len(marks))
    begins_run = np.diff(marks, prepend=-2) != 1
    in_run = order - np.maximum.accumulate(np.where(begins_run, order, 0))
    return np.asarray(marks[in_run % 2 == 0])


def _line_of(position: np.integer, begins: np.ndarray, lines: np.ndarray) -> int:
    """The line on which the record around a position begins."""
    return int(lines[np.searchsorted(begins, position, side="right") - 1])
