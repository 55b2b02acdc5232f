"""Finds a total below the rows of a CSV file, which would be taken for a row, by evidence that no row gives.

A line is a total if a cell says so, no other row has such a word in that column, and a number of the line is the sum of
those above it. The last lines of the file are looked at first: without such a word, nothing else is.
"""

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lockstep.intake.detecting.decimal_marks import OTHER_MARK
from lockstep.intake.detecting.settled_columns import columns_of
from lockstep.kernel.errors import some
from lockstep.reading.blocks import in_threads
from lockstep.reading.column_types import as_bool
from lockstep.reading.csvfile import DELIMITERS, TEXT, Block, CsvFile, Dialect, TextTable
from lockstep.reading.source import Source

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

MAX_LINES = 3
"""Lines of a footer, beside empty ones. More lines with such a word at the end are rows that have it."""
_A_FEW = 10
"""So many numbers that are not 0 must make up a sum: with few, a row may have it by chance."""
HARDLY_ANY = 0.05
"""The share of the rows that may be empty in a column, so that an empty cell in the last one is noticed."""
_END = 1 << 16
"""Bytes at the end that are looked at."""
_TOTALS = (
    *("totals?", "grand totals?", "subtotals?", "sub totals?", "overall( total)?", "sums?"),
    *("gesamt", "gesamtsumme", "gesamtergebnis", "insgesamt", "summen?", "zwischensumme", "endsumme"),
    *("total général", "totaux", "sommes?", "totales?", "totale generale", "totali", "somma", "total general"),
    *("sumas?", "total geral", "totais", "soma", "totaal", "eindtotaal", "som", "razem", "ogółem", "łącznie"),
    *("celkem", "součet", "totalt", "summa", "i alt", "yhteensä", "összesen", "toplam", "genel toplam"),
    *("合计", "总计", "合計", "総計"),
)
_OTHERS = (
    *("averages?", "avg", "mean", "median", "min", "max", "minimum", "maximum", "count"),
    *("durchschnitt", "mittelwert", "mittel", "anzahl", "moyenne", "media", "promedio", "média"),
    *("gemiddelde", "średnia"),
)
"""What stands in lines beside a total."""
_NO_WORD = r"[^\p{L}\p{N}]"
_GROUPS = "' \N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}\N{THIN SPACE}\N{RIGHT SINGLE QUOTATION MARK}"
_PARTS = (
    rf"^(?P<before>[^0-9.,]{{0,5}}|[Rr]s\. ?)(?P<digits>[0-9.,][0-9.,{_GROUPS}]*(?:[eE][-+]?[0-9]+)?)"
    r"(?P<behind>[^0-9.,]{0,5})$"
)
"""A number in any form, with a sign, a currency or a unit."""
_PLAIN = r"^(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?$"
_MINUS = "[-(\N{MINUS SIGN}]"
_HAS_DIGIT = re.compile("[0-9]")
_FLOAT_ERROR = 1e-12
"""Of a sum of floats, as a share of the sum of their sizes."""
_TELLING = 0.01
"""What rounding leaves open of a sum must be a smaller share of it than this."""


class Footer(NamedTuple):
    """Lines at the end of a text that may be no rows.

    Attributes:
        n_lines: as Dialect.skip_footer_lines has them.
        lines: {number in the file: line}, of those that are not empty.
    """

    n_lines: int
    lines: dict[int, str]


class _Sum(NamedTuple):
    """Of numbers: their sum and that of their sizes, how many are not 0, how many decimals they show."""

    total: float = 0.0
    size: float = 0.0
    n_numbers: int = 0
    decimals: int = 0


def possible_footers(text: pa.Buffer, delimiter: str | None) -> list[Footer]:
    """The lines at the end of a text of which each has a word for a total or the like; the longest footer first.

    Args:
        text: UTF-8.
        delimiter: of cells; None: any of the usual ones.
    """
    begin, marks = max(len(text) - _END, 0), delimiter or "".join(DELIMITERS)
    tail = text.slice(begin).to_pybytes().rstrip(b"\r\n")
    end = b"\n" if b"\n" in tail else b"\r"
    lines = [line.decode("utf-8", "replace") for line in tail.split(end)]
    content = [place for place, line in enumerate(lines) if line.strip(f'{marks} \r"')]
    found: list[int] = []
    for place in reversed(content[1:]):  # the first line is the header, or may be cut
        cells = pa.array(re.split(f"[{re.escape(marks)}]", lines[place]), TEXT)
        if not _are_words(cells, (*_TOTALS, *_OTHERS)).any():
            break
        found.insert(0, place)
    if not found or len(found) > MAX_LINES:
        return []
    above = np.frombuffer(text, dtype=np.uint8)[:begin]
    first = 1 + sum(int((above[low : low + _END] == end[0]).sum()) for low in range(0, begin, _END))
    return [
        Footer(
            len(lines) - content[content.index(place) - 1] - 1,
            {first + other: lines[other].rstrip("\r") for other in content if other >= place},
        )
        for place in found
    ]


def ends_with_footer(path: Path, dialect: Dialect, source: Source | None = None) -> bool:
    """Whether the last lines of a file of other rows, as many as the ``dialect`` leaves out, are a footer as the
    table's: one of them has a word for a total or the like, or more or fewer cells than a row.

    Args:
        path, source: as of CsvFile.
        dialect: how the table is written.
    """
    file, n_lines = CsvFile(path, dialect._replace(skip_footer_lines=0), source), dialect.skip_footer_lines
    tail = file.source.text.slice(max(len(file.source.text) - _END, 0)).to_pybytes().rstrip(b"\r\n")
    lines = tail.decode("utf-8", "replace").splitlines()[-n_lines:]
    rows = [_all_cells(line, file.dialect) for line in lines if line.strip()]
    words = (*_TOTALS, *_OTHERS)
    return any(len(row) != len(file.names) or _are_words(pa.array(row, TEXT), words).any() for row in rows)


def evidence_of_total(footer: Footer, file: CsvFile, text: TextTable) -> str:
    """Why a footer is none of the rows, in words; "" if it may be some.

    Args:
        footer: what is left out at the end of the file.
        file: just opened.
        text: its cells; of settled columns, those of the first rows.
    """
    columns, names = columns_of(text), file.names
    rows = {number: _cells(line, file.dialect) for number, line in footer.lines.items()}
    if any(len(row) > len(names) for row in rows.values()):
        return ""
    said = {number: _unique_word(row, names, columns) for number, row in rows.items()}
    shown = [
        name
        for place, name in enumerate(names)
        if all(place < len(row) and _HAS_DIGIT.search(row[place]) for row in rows.values())
    ]
    if not shown or not any(said.values()):
        return ""
    sums = _sums(file, shown)
    for number, row in rows.items():
        for name in shown if said[number] else ():
            cell = row[names.index(name)]
            if any(_is_sum(_sum_of(pa.array([cell], TEXT), mark), one) for mark, one in sums[name].items()):
                return (
                    f"line {number:,} is a total: {said[number]}, as in no other row, and {cell!r} in '{name}' is the "
                    "sum of the numbers above it"
                )
    return ""


def doubt_of_row(footer: Footer, dialect: Dialect, text: TextTable) -> str:
    """What to warn of where the last line of a file is read as a row and may be a total; "" if it is hardly one.

    Args:
        footer: the last line.
        dialect: how the file is cut into cells.
        text: its cells, those of the last line included; of settled columns, those of the first rows.
    """
    columns, names = columns_of(text), text.cells.column_names
    ((number, line),) = footer.lines.items()
    row = _cells(line, dialect)
    if len(row) > len(names):
        return ""
    row += [""] * (len(names) - len(row))
    above = {name: cells.slice(0, min(len(cells), len(text.line_starts) - 1)) for name, cells in columns.items()}
    word = _unique_word(row, names, above)
    empty = [name for name, cell in zip(names, row, strict=True) if not cell and _is_hardly_empty(above[name])]
    if not word or not empty or 2 * len(empty) < len(names) - 1:
        return ""
    return (
        f"line {number:,} is read as a row, and may be a total: {word}, as in no other row, and "
        f"{some([repr(name) for name in empty])} {'is' if len(empty) == 1 else 'are'} empty there, as in hardly any. "
        f"If it is none of the rows, add the table with --skip-footer-lines {footer.n_lines}"
    )


def _unique_word(row: Sequence[str], names: Sequence[str], columns: Mapping[str, pa.ChunkedArray]) -> str:
    """In words, where a line says that it is a total, and no row above it has such a word; "" for nowhere."""
    for place in np.flatnonzero(_are_words(pa.array(row, TEXT), _TOTALS)).tolist():
        if not _are_words(columns[names[place]], (*_TOTALS, *_OTHERS)).any():
            return f"{row[place]!r} stands in '{names[place]}'"
    return ""


def _are_words(cells: pa.Array | pa.ChunkedArray, words: Sequence[str]) -> np.ndarray:
    """(n,) whether each cell is one of the words, in any case of letters, whatever stands around it."""
    one_of = "|".join(words).replace(" ", f"{_NO_WORD}+")
    return as_bool(pc.match_substring_regex(cells, f"(?i)^{_NO_WORD}*(?:{one_of}){_NO_WORD}*$"))


def _cells(line: str, dialect: Dialect) -> list[str]:
    """The cells of a line as _all_cells gives them, without empty ones at the end."""
    cells = _all_cells(line, dialect)
    return cells[: 1 + max((place for place, cell in enumerate(cells) if cell), default=-1)]


def _all_cells(line: str, dialect: Dialect) -> list[str]:
    """The cells of a line, without blanks around; none, if it is no line of CSV."""
    quoting: Any = csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE
    reader = csv.reader(
        [line],
        delimiter=dialect.delimiter,
        quotechar=dialect.quote or None,
        quoting=quoting,
        escapechar=dialect.escape or None,
    )
    try:
        return [cell.strip() for cell in next(reader)]
    except csv.Error:
        return []


def _is_hardly_empty(cells: pa.ChunkedArray) -> bool:
    empty = pc.sum(pc.equal(pc.utf8_trim_whitespace(cells), ""), min_count=0).as_py()
    return bool(empty <= HARDLY_ANY * len(cells))


def _sums(file: CsvFile, names: Sequence[str]) -> dict[str, dict[str, _Sum]]:
    """{column: {decimal mark: the sum of its numbers, if that is the mark}}."""
    sums = {name: dict.fromkeys(OTHER_MARK, _Sum()) for name in names}

    def summed(block: Block) -> dict[str, dict[str, _Sum]]:
        cells = file.cells(block, names)
        return {name: {mark: _sum_of(cells[name].combine_chunks(), mark) for mark in OTHER_MARK} for name in names}

    def take(_: Block, found: dict[str, dict[str, _Sum]]) -> None:
        for name, by_mark in found.items():
            for mark, now in by_mark.items():
                before = sums[name][mark]
                counts = before.total + now.total, before.size + now.size, before.n_numbers + now.n_numbers
                sums[name][mark] = _Sum(*counts, max(before.decimals, now.decimals))

    in_threads(file, file.blocks(), summed, take)
    return sums


def _sum_of(cells: pa.Array, decimal: str) -> _Sum:
    """The sum of the cells that are numbers, with a decimal mark; others do not count, as in a spreadsheet."""
    parts = pc.extract_regex(pc.utf8_trim_whitespace(cells), _PARTS).drop_null()
    if not len(parts):
        return _Sum()
    before, digits, behind = parts.flatten()
    plain = pc.replace_substring_regex(digits, f"[{re.escape(OTHER_MARK[decimal])}{_GROUPS}]", "")
    plain = pc.replace_substring(plain, decimal, ".")
    fits = pc.match_substring_regex(plain, _PLAIN)
    minus = pc.or_(pc.match_substring_regex(before, _MINUS), pc.match_substring_regex(behind, _MINUS))
    plain, is_negative = plain.filter(fits), as_bool(minus.filter(fits))
    numbers = pc.cast(plain, pa.float64()).to_numpy()
    point = pc.find_substring(plain, ".").to_numpy()
    decimals = np.where(point < 0, 0, pc.utf8_length(plain).to_numpy() - point - 1)
    signed = np.where(is_negative, -numbers, numbers)
    return _Sum(float(signed.sum()), float(numbers.sum()), int((numbers != 0).sum()), int(decimals.max(initial=0)))


def _is_sum(number: _Sum, above: _Sum) -> bool:
    """Whether the number of one cell is the sum of those above it, within the rounding of the decimals shown."""
    own = 0.5 * 10.0**-number.decimals if number.decimals < above.decimals else 0.0
    rounding = above.n_numbers**0.5 * 10.0**-above.decimals if above.decimals else 0.0
    tolerance = own + rounding + _FLOAT_ERROR * above.size
    is_enough = above.n_numbers >= _A_FEW and number.n_numbers == 1 and tolerance <= _TELLING * number.size
    return is_enough and abs(number.total - above.total) <= tolerance
