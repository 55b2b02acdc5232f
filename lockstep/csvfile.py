"""Reads a CSV file as text cells, and refuses whatever could be read in two ways.

Stock readers repair what they do not understand: they pad short rows, shift long ones, let an unclosed quote swallow
lines. Here a scan over the bytes comes first. It follows RFC 4180 (https://www.rfc-editor.org/rfc/rfc4180): a quote
opens a cell only at the cell's beginning and closes it only at its end, ``""`` inside is one quote, and every record
has as many cells as the header. A file that passes is unambiguous, and pyarrow's parser splits it into cells.
"""

import csv
import re
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from lockstep.errors import DataError, some
from lockstep.source import likely_encoding, read_source
from lockstep.table import ROW

CHUNK = 1 << 24
"""Bytes scanned at a time: the scan's memory is a few times this, whatever the file's size."""
MAX_HEADER = 1 << 17
MAX_RECORD = 1 << 24
"""Bytes of the longest record that is accepted: a longer one is a quote gone astray, or an attack."""
_NEWLINE, _RETURN, _NUL = b"\n\r\0"
_NUMBER = re.compile(r"[-+]?[0-9.,]+([eE][-+]?[0-9]+)?")


@dataclass(frozen=True)
class TextTable:
    """The cells of a CSV file as text, exactly as they stand in it (quotes removed).

    Attributes:
        cells: (n_rows, n_columns), string columns without nulls.
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
        quote: one character around cells that contain the delimiter, a line break or the quote itself, doubled.
        skip_lines: lines before the header, such as a title.
        encoding: of the file; see source.read_source.
    """

    delimiter: str = ","
    quote: str = '"'
    skip_lines: int = 0
    encoding: str = "utf-8"


def read_csv(path: Path, dialect: Dialect = Dialect()) -> TextTable:
    """Read the file ``path``; its first record is the header.

    Raises:
        DataError: see source.read_source; or a cell count, a quote, a byte or the header is not as it must be. The
            message names the file and the line.
    """
    tables = list(read_csv_blocks(path, dialect))
    return TextTable(
        pa.concat_tables([table.cells for table in tables]), np.concatenate([table.line_starts for table in tables])
    )


def read_csv_blocks(path: Path, dialect: Dialect = Dialect()) -> Iterator[TextTable]:
    """The rows of the file in blocks of about CHUNK bytes: for files larger than memory. Raises as read_csv does, where
    the block with the mistake is read.
    """
    return _Scan(read_source(path, dialect.encoding), str(path), dialect).blocks()


class _Scan:
    """One pass over a text's UTF-8 bytes that finds where its records begin, and refuses what is ambiguous."""

    def __init__(self, buffer: pa.Buffer, name: str, dialect: Dialect) -> None:
        self.buffer, self.name, self.dialect = buffer, name, dialect
        self.data: np.ndarray = np.frombuffer(buffer, dtype=np.uint8)
        self.delimiter, self.quote = ord(dialect.delimiter), ord(dialect.quote)
        self.boundaries = np.array([self.delimiter, self.quote, _NEWLINE, _RETURN], dtype=np.uint8)
        # Old spreadsheet programs end lines with a carriage return alone.
        beginning = self.data[:MAX_RECORD]
        self.newline = _RETURN if _RETURN in beginning and _NEWLINE not in beginning else _NEWLINE
        breaks = np.flatnonzero(beginning == self.newline)[: dialect.skip_lines]
        if len(breaks) < dialect.skip_lines:
            raise DataError(f"{name} has {len(breaks)} lines, load.skip_lines is {dialect.skip_lines}. Lower it.")
        self.begin = int(breaks[-1]) + 1 if len(breaks) else 0
        self.header_line = dialect.skip_lines + 1

    def blocks(self) -> Iterator[TextTable]:
        """The rows, block by block, in order; at least one block, which may have no rows.

        A block is some whole records, about CHUNK bytes of them, so that nothing is carried from one to the next.
        """
        size, low, line, blank = len(self.data), self.begin, self.header_line, 0
        header: list[str] = []
        while low < size:
            block, breaks, quotes, ends = self._whole_records(low, line)
            begins = np.append(0, ends[:-1] + 1)
            lines = line + np.searchsorted(breaks, begins)
            delimiters = np.flatnonzero(block == self.delimiter)
            self._check_text(block, line)
            embedded = False  # whether a cell contains a line break
            if len(quotes):
                self._check_quotes(block, quotes, begins, lines)
                delimiters = delimiters[_outside(delimiters, quotes)]
                embedded = len(breaks) > len(ends) or not _outside(breaks, quotes).all()
            embedded |= self._check_returns(block, quotes, begins, lines)
            returns = (ends > begins) & (block[np.maximum(ends - 1, 0)] == _RETURN)
            empty = ends - returns == begins
            if not header and empty[0]:
                raise self._refuse(line, "the first line is empty", "Begin the file with a header line.")
            if empty.any() and not blank:
                blank = int(lines[np.argmax(empty)])
            if blank and (lines[~empty] > blank).any():  # empty lines are allowed behind the last row only
                raise self._refuse(blank, "an empty line amid the rows", "Remove it, or the second table behind it.")
            counts = np.diff(np.searchsorted(delimiters, ends), prepend=0) + 1
            first = 0
            if not header:
                header, first = self._header(block[: ends[0]], int(counts[0])), 1
            wrong = np.flatnonzero((counts != len(header)) & ~empty)
            if len(wrong):
                what = f"{counts[wrong[0]]} cells, the header has {len(header)}"
                raise self._refuse(int(lines[wrong[0]]), what, "Mend that row.")
            rows = lines[first:][~empty[first:]]
            if len(rows) or first:
                longest = int((ends - begins).max()) + 1
                begin = int(begins[first]) if len(begins) > first else len(block)
                cells = self._parse(low + begin, low + len(block), header, embedded, longest, len(rows))
                self._check_repeated_header(cells, header, rows)
                yield TextTable(cells, rows)
            line += len(breaks)
            low += len(block)
        if not header:
            raise self._refuse(self.header_line, "the first line is empty", "Begin the file with a header line.")

    def _whole_records(self, low: int, line: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The bytes from ``low`` to the end of a record, and in them the line breaks, quotes, and ends of records."""
        span = CHUNK
        while True:
            block = self.data[low : low + span]
            breaks, quotes = np.flatnonzero(block == self.newline), np.flatnonzero(block == self.quote)
            ends = breaks[_outside(breaks, quotes)] if len(quotes) else breaks
            if low + span >= len(self.data):
                if len(quotes) % 2:
                    raise self._stray_quote(block, quotes, line)
                if not len(ends) or ends[-1] != len(block) - 1:
                    ends = np.append(ends, len(block))  # the last line has no line break
            if len(ends):
                cut = int(ends[-1]) + 1
                return block[:cut], breaks[breaks < cut], quotes[quotes < cut], ends
            if span >= MAX_RECORD:
                what = f"a record of more than {MAX_RECORD:,} bytes begins here"
                raise self._refuse(line, what, "Look for a quote that is not closed.")
            span *= 2

    def _parse(self, begin: int, end: int, header: list[str], embedded: bool, longest: int, n_rows: int) -> pa.Table:
        """The cells of the records between two offsets; these have been checked to be ``n_rows``."""
        if not n_rows:
            return pa.table({column: pa.array([], pa.string()) for column in header})
        try:
            cells = pa.csv.read_csv(
                pa.BufferReader(self.buffer.slice(begin, end - begin)),
                read_options=pa.csv.ReadOptions(column_names=header, block_size=max(1 << 22, 2 * longest)),
                parse_options=pa.csv.ParseOptions(
                    delimiter=self.dialect.delimiter, quote_char=self.dialect.quote, newlines_in_values=embedded
                ),
                convert_options=pa.csv.ConvertOptions(
                    column_types={column: pa.string() for column in header},
                    strings_can_be_null=False,
                    quoted_strings_can_be_null=False,
                ),
            )
        except pa.ArrowException as error:
            raise DataError(f"{self.name} cannot be parsed as CSV: {error}. Mend the file.") from None
        if len(cells) != n_rows:
            raise DataError(f"{self.name}: {n_rows:,} rows found but {len(cells):,} parsed. Mend the file.")
        return cells

    def _check_repeated_header(self, cells: pa.Table, header: list[str], lines: np.ndarray) -> None:
        """Refuse the header among the rows: two tables in one file, or files that were put together."""
        same = np.flatnonzero(pc.equal(cells.column(0), header[0]).to_numpy())
        for row in same if len(header) > 1 else ():
            if all(cells.column(index)[int(row)].as_py() == name for index, name in enumerate(header)):
                raise self._refuse(
                    int(lines[row]), "the header again, amid the rows", "Remove that line, or the table behind it."
                )

    def _header(self, record: np.ndarray, width: int) -> list[str]:
        """The column names, checked."""
        text = record.tobytes().decode("utf-8").removesuffix("\r")
        delimiter, quote = self.dialect.delimiter, self.dialect.quote
        if len(text) > MAX_HEADER:
            what = f"a header of {len(text):,} characters"
            raise self._refuse(self.header_line, what, f"At most {MAX_HEADER:,} are allowed: shorten the names.")
        names = next(csv.reader([text], delimiter=delimiter, quotechar=quote, strict=True))
        for position, name in enumerate(names, 1):
            if not name.strip():
                raise self._refuse(
                    self.header_line, f"column {position} of {width} has no name", "Name it, or remove the column."
                )
        if len(set(names)) < len(names):
            twice = sorted(name for name, count in Counter(names).items() if count > 1)
            raise self._refuse(
                self.header_line, f"more than one column is named {some(twice)}", "Make the names distinct."
            )
        if ROW in names:
            raise self._refuse(self.header_line, f"the column name {ROW} is Lockstep's own", "Rename the column.")
        if all(_NUMBER.fullmatch(name.strip()) for name in names):
            raise self._refuse(
                self.header_line, "all column names are numbers: the header is missing", "Add a line with the names."
            )
        return names

    def _check_text(self, block: np.ndarray, line: int) -> None:
        """Refuse NUL bytes and what is not UTF-8."""
        if (block == _NUL).any():
            at = int(np.argmax(block == _NUL))
            raise self._refuse(
                line + self._breaks(block[:at]), "a NUL byte: this is not text", "Export it as UTF-8 CSV."
            )
        if (block & 0x80).any():
            try:
                block.tobytes().decode("utf-8")
            except UnicodeDecodeError as error:
                raise self._refuse(
                    line + self._breaks(block[: error.start]),
                    f"the byte 0x{block[error.start]:02X} is not UTF-8",
                    f"Set load.encoding to what the file is encoded in{likely_encoding(block.tobytes())}.",
                ) from None

    def _check_quotes(self, block: np.ndarray, quotes: np.ndarray, begins: np.ndarray, lines: np.ndarray) -> None:
        """Refuse a quote that opens a cell elsewhere than at its beginning, or closes it elsewhere than at its end."""
        opening, closing = quotes[0::2], quotes[1::2]
        before = block[np.maximum(opening - 1, 0)]
        after = block[np.minimum(closing + 1, len(block) - 1)]
        stray_opening = opening[~np.isin(before, self.boundaries) & (opening > 0)]
        stray_closing = closing[~np.isin(after, self.boundaries) & (closing < len(block) - 1)]
        # "" inside a cell closes and opens it again; a quote before an opening one is therefore always a closing one.
        stray = np.append(stray_opening, stray_closing)
        if len(stray):
            record = int(np.searchsorted(begins, stray.min(), side="right")) - 1
            raise self._refuse(
                int(lines[record]),
                "a quote inside a cell",
                'Put the whole cell in quotes and double the inner one: "a ""b"" c".',
            )

    def _stray_quote(self, block: np.ndarray, quotes: np.ndarray, line: int) -> DataError:
        """The error for an odd number of quotes; it points at the first quote that stands at neither end of a cell."""
        inner = ~np.isin(block[np.maximum(quotes - 1, 0)], self.boundaries) & ~np.isin(
            block[np.minimum(quotes + 1, len(block) - 1)], self.boundaries
        )
        at = quotes[np.argmax(inner)] if inner.any() else quotes[-1]
        return self._refuse(
            line + self._breaks(block[:at]), "a quote without its partner, here or before", "Close or remove it."
        )

    def _check_returns(self, block: np.ndarray, quotes: np.ndarray, begins: np.ndarray, lines: np.ndarray) -> bool:
        """Refuse a carriage return that ends no line: pyarrow would end one there. (Where carriage returns end the
        lines, the same for line feeds.) Returns whether one stands inside a cell.
        """
        inside = False
        others = np.flatnonzero(block == (_RETURN if self.newline == _NEWLINE else _NEWLINE))
        if len(quotes):
            outside = _outside(others, quotes)
            inside = not outside.all()
            others = others[outside]
        lone = others[block[np.minimum(others + 1, len(block) - 1)] != _NEWLINE] if self.newline == _NEWLINE else others
        if len(lone):
            record = int(np.searchsorted(begins, lone[0], side="right")) - 1
            raise self._refuse(int(lines[record]), "a carriage return amid the line", "Use one kind of line ending.")
        return inside

    def _breaks(self, block: np.ndarray) -> int:
        return int((block == self.newline).sum())

    def _refuse(self, line: int, what: str, remedy: str) -> DataError:
        return DataError(f"{self.name} line {line}: {what}. {remedy}")


def _outside(positions: np.ndarray, quotes: np.ndarray) -> np.ndarray:
    """Which of ``positions`` stand outside quoted cells: behind an even number of quotes."""
    return np.asarray(np.searchsorted(quotes, positions) % 2 == 0)
