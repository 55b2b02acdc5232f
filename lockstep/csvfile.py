"""Reads a CSV file as text cells, and refuses whatever could be read in two ways.

Stock readers repair what they do not understand: they pad short rows, shift long ones, let an unclosed quote swallow
lines. Here a scan over the bytes comes first. It follows RFC 4180 (https://www.rfc-editor.org/rfc/rfc4180): a quote
opens a cell only at the cell's beginning and closes it only at its end, ``""`` inside is one quote, and every record
has as many cells as the header. A file that passes is unambiguous, and pyarrow's parser splits it into cells.
"""

import csv
import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv

from lockstep.errors import DataError, some
from lockstep.source import likely_encoding, read_source
from lockstep.table import ROW

CHUNK = 1 << 23
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


def read_csv(path: Path, dialect: Dialect = Dialect()) -> TextTable:  # noqa: B008 - immutable
    """Read the file ``path``; its first record is the header.

    Raises:
        DataError: see source.read_source; or a cell count, a quote, a byte or the header is not as it must be. The
            message names the file and the line.
    """
    return _Scan(read_source(path, dialect.encoding), str(path), dialect).read()


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
        self.embedded = False  # whether a cell contains a line break
        breaks = np.flatnonzero(beginning == self.newline)[: dialect.skip_lines]
        if len(breaks) < dialect.skip_lines:
            raise DataError(f"{name} has {len(breaks)} lines, load.skip_lines is {dialect.skip_lines}. Lower it.")
        self.begin = int(breaks[-1]) + 1 if len(breaks) else 0
        self.header_line = dialect.skip_lines + 1

    def read(self) -> TextTable:
        starts, lines, width = self._records()
        header = self._header(starts, width)
        if len(starts) == 1:
            return TextTable(pa.table({column: pa.array([], pa.string()) for column in header}), lines[1:])
        longest = int(np.diff(starts, append=len(self.data)).max())
        try:
            cells = pa.csv.read_csv(
                pa.BufferReader(self.buffer.slice(int(starts[1]))),
                read_options=pa.csv.ReadOptions(column_names=header, block_size=max(1 << 22, 2 * longest)),
                parse_options=pa.csv.ParseOptions(
                    delimiter=self.dialect.delimiter,
                    quote_char=self.dialect.quote,
                    newlines_in_values=self.embedded,
                ),
                convert_options=pa.csv.ConvertOptions(
                    column_types={column: pa.string() for column in header},
                    strings_can_be_null=False,
                    quoted_strings_can_be_null=False,
                ),
            )
        except pa.ArrowException as error:
            raise DataError(f"{self.name} cannot be parsed as CSV: {error}. Mend the file.") from None
        if len(cells) != len(lines) - 1:
            raise DataError(f"{self.name}: {len(lines) - 1:,} rows found but {len(cells):,} parsed. Mend the file.")
        return TextTable(cells, lines[1:])

    def _records(self) -> tuple[np.ndarray, np.ndarray, int]:
        """The offset and the line at which each record begins, the header's first, and how many cells each has."""
        size, low, line, blank, width = len(self.data), self.begin, self.header_line, 0, 0
        starts, lines = [], []
        while low < size:
            # A block is some whole records, so that nothing is carried from one block to the next.
            span, ends = CHUNK, np.array([], dtype=np.int64)
            while not len(ends):
                block = self.data[low : low + span]
                breaks, quotes = np.flatnonzero(block == self.newline), np.flatnonzero(block == self.quote)
                ends = breaks[_outside(breaks, quotes)] if len(quotes) else breaks
                if low + span >= size:
                    if len(quotes) % 2:
                        raise self._stray_quote(block, quotes, line)
                    if not len(ends) or ends[-1] != len(block) - 1:
                        ends = np.append(ends, len(block))  # the last line has no line break
                elif not len(ends) and span >= MAX_RECORD:
                    raise self._refuse(
                        line,
                        f"a record of more than {MAX_RECORD:,} bytes begins here",
                        "Look for a quote that is not closed.",
                    )
                else:
                    span *= 2
            block = block[: ends[-1] + 1]
            begins = np.append(0, ends[:-1] + 1)
            first_lines = line + np.searchsorted(breaks, begins)
            delimiters = np.flatnonzero(block == self.delimiter)
            self._check_text(block, line)
            if len(quotes):
                quotes = quotes[quotes <= ends[-1]]
                self._check_quotes(block, quotes, begins, first_lines)
                delimiters = delimiters[_outside(delimiters, quotes)]
                self.embedded |= bool(np.searchsorted(breaks, ends[-1]) + 1 > len(ends))
            self._check_returns(block, quotes, begins, first_lines)
            returns = (ends > begins) & (block[np.maximum(ends - 1, 0)] == _RETURN)
            empty = ends - returns == begins
            counts = np.diff(np.searchsorted(delimiters, ends), prepend=0) + 1
            width = width or int(counts[0])
            if empty.any() and not blank:
                blank = int(first_lines[np.argmax(empty)])
            if blank and (first_lines[~empty] > blank).any():  # empty lines are allowed behind the last row only
                raise self._refuse(blank, "an empty line amid the rows", "Remove it, or the second table behind it.")
            wrong = np.flatnonzero((counts != width) & ~empty)
            if len(wrong):
                what = f"{counts[wrong[0]]} cells, the header has {width}"
                raise self._refuse(int(first_lines[wrong[0]]), what, "Mend that row.")
            starts.append((begins + low)[~empty])
            lines.append(first_lines[~empty])
            line += int(np.searchsorted(breaks, len(block)))
            low += len(block)
        if not starts or not len(starts[0]):
            raise self._refuse(self.header_line, "the first line is empty", "Begin the file with a header line.")
        return np.concatenate(starts), np.concatenate(lines), width

    def _header(self, starts: np.ndarray, width: int) -> list[str]:
        """The column names, checked."""
        end = int(starts[1]) if len(starts) > 1 else len(self.data)
        text = self.data[self.begin : end].tobytes().decode("utf-8").rstrip("\r\n")
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

    def _check_returns(self, block: np.ndarray, quotes: np.ndarray, begins: np.ndarray, lines: np.ndarray) -> None:
        """Refuse a carriage return (or, where those end lines, a line feed) that ends no line: pyarrow would end "
        "one."""
        others = np.flatnonzero(block == (_RETURN if self.newline == _NEWLINE else _NEWLINE))
        if len(quotes):
            outside = _outside(others, quotes)
            self.embedded |= not outside.all()
            others = others[outside]
        lone = others[block[np.minimum(others + 1, len(block) - 1)] != _NEWLINE] if self.newline == _NEWLINE else others
        if len(lone):
            record = int(np.searchsorted(begins, lone[0], side="right")) - 1
            raise self._refuse(int(lines[record]), "a carriage return amid the line", "Use one kind of line ending.")

    def _breaks(self, block: np.ndarray) -> int:
        return int((block == self.newline).sum())

    def _refuse(self, line: int, what: str, remedy: str) -> DataError:
        return DataError(f"{self.name} line {line}: {what}. {remedy}")


def _outside(positions: np.ndarray, quotes: np.ndarray) -> np.ndarray:
    """Which of ``positions`` stand outside quoted cells: behind an even number of quotes."""
    return np.asarray(np.searchsorted(quotes, positions) % 2 == 0)
