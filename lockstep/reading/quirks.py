"""Ways of writing a CSV file that hold for the whole of it, and are declared: ``load.quirks``.

Each is undone before, or while, the strict scan of csvfile looks at the text, and only if the file keeps to it from its
first line to its last: a file in which some lines are written so and one otherwise is refused, with that line. One in
which none is written so is read as it is: a new table for a model is often cleaner than the one it was trained on.
"""

from collections.abc import Callable, Collection
from typing import Literal, get_args

from lockstep.kernel.errors import DataError, Setting

import numpy as np
import pyarrow as pa

Quirk = Literal[
    "numbered_names",
    "row_names",
    "header_end",
    "empty_rows",
    "blank_lines",
    "doubled_returns",
    "spaced_cells",
    "spaced_quotes",
    "aligned",
]
"""What each is called:

- numbered_names: a column without a name is column_<its place>; of equal names, the second gets _2, the third _3
- row_names: the header lacks a name for the first column, as R writes it: it is row_names
- header_end: the header ends with a delimiter, and no other line does: there is no column behind it
- empty_rows: lines at the end that hold delimiters and blanks only, as spreadsheets leave them, are left out
- blank_lines: there is an empty line between every two lines
- doubled_returns: lines end with CR CR LF
- spaced_cells: every delimiter has a blank behind it, which belongs to no cell
- spaced_quotes: every cell in quotes has blanks before it, unless it begins a line
- aligned: blanks in runs are one delimiter, and those around a line none
"""
QUIRKS: tuple[Quirk, ...] = get_args(Quirk)
ROW_NAMES = "row_names"
_BLANK, _NEWLINE, _RETURN = b" \n\r"


def without_quirks(
    text: pa.Buffer, quirks: Collection[Quirk], delimiter: str, quote: str, name: str, newline: int, first_line: int
) -> pa.Buffer:
    """The text less what doubled_returns, spaced_cells, spaced_quotes and aligned say is no part of a cell.

    It has as many lines as before.

    Args:
        text: UTF-8.
        quirks: those that the file is declared to have; the others are left alone here.
        delimiter, quote: see csvfile.Dialect.
        name: what messages call the file.
        newline: the byte that ends a line.
        first_line: the number of the text's first line in the file.

    Raises:
        DataError: a line is not written so, and others are.
    """
    data = np.frombuffer(text, dtype=np.uint8)
    mark, size = ord(delimiter), len(data)
    for quirk in QUIRKS:
        if quirk not in quirks:
            continue
        if quirk == "doubled_returns":
            extra, wrong = _doubled_returns(data)
        elif quirk in OF_BLANKS:
            quotes = np.flatnonzero(data == ord(quote)) if quote else np.empty(0, dtype=np.int64)
            extra, wrong = OF_BLANKS[quirk](data, quotes, mark, newline)
        else:
            continue
        if len(extra) and len(wrong):
            line = first_line + int((data[: wrong[0]] == newline).sum())
            raise DataError(
                f"{name} line {line}: this line is not written as ",
                Setting("load.quirks"),
                f" declares, {quirk}. Correct the line, or remove that from the setting.",
            )
        data = np.delete(data, extra)
    return text if len(data) == size else pa.py_buffer(data)


def numbered(names: list[str]) -> list[str]:
    """The names, distinct: a blank one is column_<its place>, a repeated one gets a number."""
    result: list[str] = []
    given = {name for name in names if name.strip()}
    for place, name in enumerate(names, 1):
        base = name if name.strip() else f"column_{place}"
        candidate, number = base, 2
        while candidate in result or (candidate in given and candidate != name):
            candidate, number = f"{base}_{number}", number + 1
        result.append(candidate)
    return result


def end_without_empty_rows(data: np.ndarray, delimiter: int) -> int:
    """The offset behind the last line that holds more than delimiters and white space."""
    allowed = np.zeros(256, dtype=bool)
    allowed[[*b" \t\r\n", delimiter]] = True
    span = 1 << 16
    while True:
        low = max(len(data) - span, 0)
        content = np.flatnonzero(~allowed[data[low:]])
        if len(content) or not low:
            break
        span *= 4
    if not len(content):
        return len(data)
    last = low + int(content[-1])
    ends = np.flatnonzero((data[last:] == _NEWLINE) | (data[last:] == _RETURN))
    if not len(ends):
        return len(data)
    end = last + int(ends[0])
    return end + (2 if data[end] == _RETURN and data[end + 1 : end + 2].tobytes() == b"\n" else 1)


def _doubled_returns(data: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(what is too much, line feeds without two returns)"""
    feeds = np.flatnonzero(data == _NEWLINE)
    fine = (feeds >= 2) & (data[np.maximum(feeds - 1, 0)] == _RETURN) & (data[np.maximum(feeds - 2, 0)] == _RETURN)
    return feeds[fine] - 2, feeds[~fine]


def _spaced_cells(data: np.ndarray, quotes: np.ndarray, delimiter: int, newline: int) -> tuple[np.ndarray, np.ndarray]:
    """(blanks behind delimiters, delimiters without one)"""
    marks = np.flatnonzero(data == delimiter)
    marks = marks[np.searchsorted(quotes, marks) % 2 == 0]
    behind = data[np.minimum(marks + 1, len(data) - 1)]
    at_end = (behind == _RETURN) | (behind == newline) | (marks == len(data) - 1)
    return marks[behind == _BLANK] + 1, marks[(behind != _BLANK) & ~at_end]


def _spaced_quotes(data: np.ndarray, quotes: np.ndarray, delimiter: int, newline: int) -> tuple[np.ndarray, np.ndarray]:
    """(blanks between delimiters and opening quotes, opening quotes without one)"""
    opening = quotes[0::2]
    # "" inside a cell closes and opens it again: such an opening quote is amid a cell.
    amid = (opening > 0) & np.isin(opening - 1, quotes[1::2])
    opening = opening[~amid]
    is_blank = data == _BLANK
    order = np.arange(len(data))
    last_other = np.maximum.accumulate(np.where(is_blank, -1, order))  # the last byte so far that is no blank
    before = np.where(opening > 0, last_other[np.maximum(opening - 1, 0)], -1)
    begins_line = (before < 0) | (data[np.maximum(before, 0)] == newline) | (data[np.maximum(before, 0)] == _RETURN)
    spaced = ~begins_line & (data[np.maximum(before, 0)] == delimiter) & (before < opening - 1)
    extra = [np.arange(low + 1, high) for low, high in zip(before[spaced], opening[spaced], strict=True)]
    return np.concatenate(extra) if extra else opening[:0], opening[~spaced & ~begins_line]


def _aligned(data: np.ndarray, quotes: np.ndarray, delimiter: int, newline: int) -> tuple[np.ndarray, np.ndarray]:
    """(delimiters at the ends of lines and behind others, none)"""
    marks = np.flatnonzero(data == delimiter)
    marks = marks[np.searchsorted(quotes, marks) % 2 == 0]
    is_mark = np.zeros(len(data), dtype=bool)
    is_mark[marks] = True
    order = np.arange(len(data))
    following = np.minimum.accumulate(np.where(is_mark, len(data), order)[::-1])[::-1]  # the next byte that is none
    ahead = np.append(data, newline)[following[marks]]
    at_end = (ahead == newline) | (ahead == _RETURN)
    before = np.append(newline, data)[marks]
    again = (before == newline) | (np.append(False, is_mark)[marks])
    return marks[at_end | again], marks[:0]


OF_BLANKS: dict[Quirk, Callable[[np.ndarray, np.ndarray, int, int], tuple[np.ndarray, np.ndarray]]] = {
    "spaced_cells": _spaced_cells,
    "spaced_quotes": _spaced_quotes,
    "aligned": _aligned,
}
"""The quirks of blanks outside of quotes. {quirk: finds, in (n_bytes,) of a text, by the places of its quotes, its
delimiter and its line break, (the places of bytes that belong to no cell, of what is not written so)}"""
