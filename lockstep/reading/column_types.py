"""Gives columns their types: the cells of a CSV file, all text, become the columns of a Table.

A column is a number column only if every cell in it is a number or missing; nothing is coerced. ``00123`` is a text (a
code), ``NA`` is a text in a text column and missing in a number column, and a whole number that a float cannot hold
exactly stays a whole number or becomes a text, never a rounded float. What a person could take for something else than
what it is read as is said in the log.
"""

import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal, NamedTuple

from lockstep.kernel.errors import DataError, Setting, some
from lockstep.kernel.log import logger
from lockstep.reading.column_warnings import ColumnWarning, ReaderWarning
from lockstep.reading.csvfile import TextTable
from lockstep.reading.date_formats import (
    DATE_TYPES,
    FIRST_YEAR,
    ISO,
    LAST_YEAR,
    DeclaredBy,
    are_days,
    check_offset,
    dates_of,
    dates_of_numbers,
    have_offset,
)
from lockstep.reading.number_marks import NO_MARKS, Marks
from lockstep.tables.table import ROW

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

Values = Any  # a NumPy array or a pandas Series: pyarrow is not typed
MISSING = ("NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "?")
"""What counts as missing in a number or boolean column by default, besides an empty cell."""
NUMBER_TYPE, STRING_TYPE = Setting("type: number in the contract"), Setting("type: string in the contract")
DATE_TYPE = Setting("type: date in the contract")
"""What has a column read as numbers, as texts, or as dates."""
EXACT_FLOAT = 2**53
"""Whole numbers beyond this size are not all representable as float64."""
MOSTLY = 0.5
"""A text column of which this share of the cells are numbers is reported: perhaps it is a number column with errors."""
MANY_NUMBERS = 10
"""So many numbers make the one cell that is none suspicious."""
MAX_LEVELS = 10_000
"""Text columns of at most so many levels are searched for levels that look alike."""

NUMBER_WITH_COMMA = r"^[-+]?([0-9]+([.,][0-9]{3})+(,[0-9]+)?|[0-9]+,[0-9]+)$"
BOOLEANS = ("true", "false")
INFINITE = r"^(?i:[-+]?inf(inity)?)$"
IN_SINGLE_QUOTES = r"^(?s:'.*')$"
NO_PLAIN_TEXT = rf"{NUMBER_WITH_COMMA}|^(?i:true|false)$|{INFINITE}|^'"
"""Beside numbers and words for missing values: what is taken for something else than a mere text."""
_WHOLE = r"^-?[0-9]+$"
_LONG = r"^[-+]?[0-9]{16,}$"
_SCIENTIFIC = r"^[0-9]+[eE][0-9]+$"


class Format(NamedTuple):
    """How numbers, dates and missing values are written.

    Attributes:
        decimal: the decimal mark, "." or ",".
        thousands: the mark between groups of three digits, or "" for none.
        missing: words for a missing value in a number or boolean column; an empty cell always is one.
        missing_texts: words for a missing value in a text column; an empty cell always is one.
        marks: what stands around the digits; the contract declares it for single columns.
        dates: how the dates of a column that is declared one of dates are written; see date_formats.py.
        declared_by: what says so, for messages.
    """

    decimal: str = "."
    thousands: str = ""
    missing: tuple[str, ...] = MISSING
    missing_texts: tuple[str, ...] = ()
    marks: Marks = NO_MARKS
    dates: str = ISO
    declared_by: DeclaredBy = "contract"

    @property
    def _digits(self) -> str:
        """The regular expression of a number without sign and marks: no leading zero, groups of the declared kind."""
        group, mark = re.escape(self.thousands), re.escape(self.decimal)
        groups = f"|[1-9][0-9]{{0,2}}(?:{group}[0-9]{{3}})+" if self.thousands else ""
        if self.thousands and self.marks.groups == "indian":
            # 0,79,932 is written beside 1,79,932, and can be nothing else
            groups = f"|(?:[1-9][0-9]?|0{group}[0-9]{{2}})(?:{group}[0-9]{{2}})*{group}[0-9]{{3}}"
        exponent = "" if self.marks.magnitudes else "(?:[eE][-+]?[0-9]+)?"
        return f"(?:(?:0|[1-9][0-9]*{groups})(?:{mark}[0-9]*)?|{mark}[0-9]+){exponent}"

    @property
    def number(self) -> str:
        """The regular expression of a number."""
        return f"^[-+]?{self._digits}$" if self.marks == NO_MARKS else self.marks.number(self._digits)

    @property
    def example(self) -> str:
        """How a number is written, for a message."""
        group = self.thousands
        whole = f"1{group}23{group}456" if self.marks.groups == "indian" and group else f"1{group}234"
        return self.marks.around(f"{whole}{self.decimal}5")

    def plain(self, numbers: pa.Array) -> pa.Array:
        """Numbers as a programming language writes them."""
        if self.marks != NO_MARKS:
            numbers = self.marks.plain(numbers, self._digits)
        if self.thousands:
            numbers = pc.replace_substring(numbers, self.thousands, "")
        if self.decimal != ".":
            numbers = pc.replace_substring(numbers, self.decimal, ".")
        return pc.utf8_ltrim(numbers, characters="+")


class Typed(NamedTuple):
    """Typed columns.

    Attributes:
        frame: (n_rows, n_columns), indexed by ROW; see Table.
        missing_as: {column: {word: count}}: what the cells that count as missing hold, "" for empty cells.
        line_starts: (n_rows,) the line of the file on which each row begins.
    """

    frame: pd.DataFrame
    missing_as: dict[str, dict[str, int]]
    line_starts: np.ndarray


class NeedsCellsError(Exception):
    """Some of a column's cells do not decide on it, or not on what a message has to say: all are needed."""


def typed_frame(
    text: TextTable,
    name: str,
    form: Format = Format(),
    types: Mapping[str, str] | None = None,
    forms: Mapping[str, Format] | None = None,
) -> Typed:
    """Type the columns of a CSV file.

    Args:
        text: the cells.
        name: the file's name, for messages.
        form: how numbers and missing values are written.
        types: the types that the contract declares: {column: "number", "integer", "boolean", "date", "datetime" or
            "string"}; of other columns they are inferred, but never dates.
        forms: of the columns that are written in another form: {column: its form}.

    Raises:
        DataError: an infinite number; a cell that is not of the declared type; texts all in quotes of another kind.
    """
    lines = text.line_starts
    columns = (
        Column(Cells(cells.combine_chunks(), lines), column, name, (forms or {}).get(column, form))
        for column, cells in zip(text.cells.column_names, text.cells.columns, strict=True)
    )
    return typed_columns(columns, lambda column: column.typed((types or {}).get(column.name)), name, lines)


def typed_columns(
    columns: Iterable["Column"], values: Callable[["Column"], Values], file: str, line_starts: np.ndarray
) -> Typed:
    """Put columns together whose values are ``values(column)``, which types the column. Raises as typed_frame does."""
    frame, missing_as, odd_lines = {}, {}, {}
    for column in columns:
        try:
            frame[column.name] = values(column)
        finally:
            for warning in column.warnings:
                logger.warning(ReaderWarning(file, column.name, warning))
        missing_as[column.name], odd_lines[column.name] = column.missing_as, column.odd_line
    _check_odd_lines(file, odd_lines, line_starts)
    return Typed(pd.DataFrame(frame, copy=False).set_axis(row_index(len(line_starts))), missing_as, line_starts)


def row_index(n_rows: int) -> pd.Index:
    """The numbers of the rows, 1 to n_rows."""
    return pd.Index(np.arange(1, n_rows + 1, dtype=np.int64), name=ROW)


def _check_odd_lines(file: str, odd_lines: Mapping[str, int | None], line_starts: np.ndarray) -> None:
    """Refuse a line that holds texts where, in two columns or more, all other lines hold numbers: it is no row."""
    found = Counter(line for line in odd_lines.values() if line is not None)
    if not found or (most := found.most_common(1)[0])[1] < 2:
        return
    line, names = most[0], [name for name, odd in odd_lines.items() if odd == most[0]]
    remedy: tuple[str, ...]
    if line == line_starts[0]:
        what = "the header, or a line of units"
        how = " so that all lines before it are skipped; else remove it."
        remedy = ("If it is the header, set ", Setting("load.skip_lines"), how)
    elif line == line_starts[-1]:
        what, remedy = "a footer", ("Set ", Setting("load.skip_footer_lines"), " to skip it.")
    else:
        what, remedy = "the header of a second table, or a remark", ("Remove it, or the second table.",)
    raise DataError(
        f"{file} line {line} holds texts in {len(names)} columns that hold numbers in all other lines ({some(names)}): "
        f"it seems to be {what}. ",
        *remedy,
        " If it is a row, ",
        STRING_TYPE,
        " reads these columns as texts.",
    )


class Cells(NamedTuple):
    """Cells of a column, in their order.

    Attributes:
        texts: (n,) cells.
        lines: (n,) the line on which each begins.
        counts: (n,) how many cells of the column each represents; None: these are all cells.
        are_many: whether the column is known to have more than MAX_LEVELS distinct cells.
    """

    texts: pa.Array
    lines: np.ndarray
    counts: np.ndarray | None = None
    are_many: bool = False

    def distinct(self) -> "Cells":
        """The first of each, with the sum of their counts."""
        encoded = self.texts.dictionary_encode()
        codes = encoded.indices.to_numpy()
        lines = np.zeros(len(encoded.dictionary), dtype=np.int64)
        lines[codes[::-1]] = self.lines[::-1]  # of a repeated position, NumPy keeps the last assignment
        counts = np.bincount(codes, self.counts, len(lines)).astype(np.int64)
        return Cells(encoded.dictionary, lines, counts, self.are_many)


class Column:
    """The cells of one column, on their way to a type: all of them, or some that represent all (see blocks.py).

    Args:
        cells: see Cells; their lines are rows if ``place`` says so.
        name: the column's.
        file: what messages call the data.
        form: how its numbers and missing values are written.
        place: "line" or "row": what messages count.

    Attributes:
        missing_as: {word: count}: what the missing cells hold, once the column is typed.
        warnings: what a person could take it for, once it is typed; the column's name belongs before each.
        odd_line: the line of the one cell that is no number in a column that was typed as text because of it.
    """

    def __init__(
        self, cells: Cells, name: str, file: str, form: Format, place: Literal["line", "row"] = "line"
    ) -> None:
        self.name, self.file, self.form, self.place = name, file, form, place
        self.hold(cells)

    def hold(self, cells: Cells) -> None:
        """Take these cells to type them."""
        self.cells, self.lines, counts, self.are_many = cells
        self.are_all = counts is None
        self.counts = np.ones(len(self.cells), dtype=np.int64) if counts is None else counts
        self.trimmed = pc.utf8_trim_whitespace(self.cells)
        self.empty = pc.equal(self.trimmed, "")
        self.missing = pc.or_(self.empty, is_in(self.trimmed, self.form.missing))
        self.stray: pa.Array | None = None
        if self.form.marks.others == "missing":
            is_number = pc.match_substring_regex(self.trimmed, self.form.number)
            self.stray = pc.invert(pc.or_(self.missing, is_number))
            self.missing = pc.or_(self.missing, self.stray)
        self.missing_as: dict[str, int] = {}
        self.warnings: list[ColumnWarning] = []
        self.odd_line: int | None = None

    def typed(self, declared: str | None) -> Values:
        """The column's values, of the declared type or, if that is None, of the one that its cells are of."""
        if self.stray is not None and (count := self._sum(self.stray)):
            self.warnings.append(ColumnWarning("strays", self._of_strays(self.stray, count)))
        if declared in DATE_TYPES:
            return self._dates(declared)
        present = self.trimmed.filter(pc.invert(self.missing))
        if len(present) == 0 and not pc.all(self.empty, min_count=0).as_py() and declared is None:
            present = self.trimmed.filter(pc.invert(self.empty))  # every cell is a word such as NA: then it is a value
        if declared == "string":
            return self._texts()
        if len(present) == 0:
            self.missing_as = self._tally(self.missing)
            if declared == "boolean":
                return pd.Series(np.full(len(self.cells), None, dtype=object))
            return np.full(len(self.cells), np.nan)
        words = pc.utf8_lower(present)
        if declared in (None, "boolean") and pc.all(is_in(words, BOOLEANS)).as_py():
            self.missing_as = self._tally(self.missing)
            values = pc.equal(pc.utf8_lower(self.trimmed), "true")
            return pc.if_else(self.missing, pa.scalar(None, pa.bool_()), values).to_pandas()
        is_number = pc.match_substring_regex(present, self.form.number)
        is_infinite = pc.match_substring_regex(present, INFINITE)
        if declared != "boolean" and pc.all(pc.or_(is_number, is_infinite)).as_py():
            if pc.any(is_infinite).as_py():
                raise self._infinite(pc.match_substring_regex(self.trimmed, INFINITE))
            return self._numbers(present, declared)
        if declared is not None:
            allowed = pc.match_substring_regex(
                self.trimmed, r"^(?i:true|false)$" if declared == "boolean" else self.form.number
            )
            raise self._not_declared(pc.or_(self.missing, allowed), declared)
        self._warn_of_numbers(present)
        return self._texts()

    def _texts(self) -> Values:
        missing = pc.or_(pc.equal(self.cells, ""), is_in(self.cells, self.form.missing_texts))
        self.missing_as = self._tally(missing)
        self._warn_of_texts()
        return pd.Series(pc.if_else(missing, pa.scalar(None, self.cells.type), self.cells), dtype="str")

    def _numbers(self, present: pa.Array, declared: str | None) -> Values:
        """All present cells are numbers: int64, float64, or text where neither holds them exactly."""
        self.missing_as = self._tally(self.missing)
        plain = self.form.plain(present)
        if pc.all(pc.match_substring_regex(plain, _WHOLE)).as_py():
            try:
                whole = pc.cast(plain, pa.int64()).to_numpy()
            except pa.ArrowInvalid:
                whole = None  # beyond 64 bits
            if whole is not None and len(present) == len(self.trimmed):
                if max(abs(int(whole.min())), abs(int(whole.max()))) > EXACT_FLOAT:
                    what = "has whole numbers beyond 2^53, which models see rounded; if these are codes, "
                    self.warnings.append(ColumnWarning("long integers", what, STRING_TYPE, " keeps them as they are"))
                return pd.Series(whole)
            if whole is None or np.abs(whole).max() > EXACT_FLOAT:
                return self._too_long(declared)
        is_long = pc.match_substring_regex(plain, _LONG)
        if self.form.marks.magnitudes:
            is_long = pc.or_(is_long, self.form.marks.may_be_inexact(plain))
        long = plain.filter(is_long)
        if len(long) and not self.are_all:
            raise NeedsCellsError
        if not all(map(_is_exact, pc.unique(long).to_pylist())):
            return self._too_long(declared)
        if pc.all(pc.match_substring_regex(present, _SCIENTIFIC)).as_py():
            what = f"is read as numbers in scientific notation, such as {present[0]}; if these are codes, "
            self.warnings.append(ColumnWarning("scientific", what, STRING_TYPE, " keeps them as they are"))
        values = pc.cast(self.form.plain(pc.if_else(self.missing, "nan", self.trimmed)), pa.float64()).to_numpy()
        if np.isinf(values).any():
            raise self._infinite(pa.array(np.isinf(values)))
        if declared == "integer" and (fractions := np.nan_to_num(values) % 1 != 0).any():
            raise self._not_declared(pa.array(~fractions), declared)
        return pd.Series(values)

    def _dates(self, declared: str) -> Values:
        """All present cells are dates of the declared form: datetime64, in UTC where they say an offset."""
        self.missing_as = self._tally(self.missing)
        levels = pc.if_else(self.missing, pa.scalar(None, self.trimmed.type), self.trimmed).dictionary_encode()
        words, codes = levels.dictionary, levels.indices.fill_null(-1).to_numpy()
        if self.form.marks.epoch:
            is_number = pc.match_substring_regex(words, self.form.number)
            plain = self.form.plain(pc.if_else(is_number, words, pa.scalar("nan", words.type)))
            found = dates_of_numbers(pc.cast(plain, pa.float64()).to_numpy(), self.form.marks.epoch)
        else:
            found = dates_of(words, self.form.dates)
        values = np.append(found, np.datetime64("NaT"))[codes]
        if (wrong := np.isnat(values) & (codes >= 0)).any():
            raise self._not_declared(pa.array(~wrong), declared)
        if declared == "date" and not (days := are_days(values)).all():
            raise DataError(
                f"{self.file} column '{self.name}' has times of day, {self._where(pa.array(~days))}, but the contract "
                "declares it date. Declare it datetime."
            )
        offset = have_offset(words, self.form.dates)
        if offset.any() and not offset.all():
            fewer = offset if offset.mean() < 0.5 else ~offset
            raise DataError(
                f"{self.file} column '{self.name}' has times with and without an offset from UTC: only some cells have "
                f"{'one' if fewer is offset else 'none'}, {self._where(pa.array(np.append(fewer, False)[codes]))}. "
                "Write all of them in one way, or keep them as texts (",
                STRING_TYPE,
                ").",
            )
        if self.form.dates == ISO and len(words) and not self.form.marks.epoch:
            where = f"{self.file} column '{self.name}'"
            check_offset(bool(offset.any()), self.form.marks.offset, where, self.form.declared_by)
        if offset.any():
            logger.info("%s column '%s': times with an offset are converted to UTC", self.file, self.name)
        return pd.Series(values)

    def _too_long(self, declared: str | None) -> Values:
        if declared is not None:
            of_model = self.form.declared_by == "model"
            raise DataError(
                f"{self.file} column '{self.name}' has numbers too long to be computed with, but "
                + (f"the model takes {declared}. Correct them." if of_model else
                   f"the contract declares it {declared}. Declare it string.")
            )  # fmt: skip
        if not self.are_all:
            raise NeedsCellsError
        what = "is read as text: its numbers are too long to be computed with"
        self.warnings.append(ColumnWarning("long numbers", what))
        return pd.Series(pc.if_else(self.missing, pa.scalar(None, self.cells.type), self.trimmed), dtype="str")

    def _sum(self, mask: pa.Array) -> int:
        """The number of cells that ``mask``, (n,), is true for."""
        return int(self.counts[as_bool(mask)].sum())

    def _tally(self, mask: pa.Array) -> dict[str, int]:
        """{trimmed cell: how often it occurs}, sorted, of the cells that ``mask`` is true for."""
        words = self.trimmed.filter(mask).dictionary_encode()
        counts = np.bincount(words.indices.to_numpy(), self.counts[as_bool(mask)]).astype(int).tolist()
        return dict(sorted(zip(words.dictionary.to_pylist(), counts, strict=True)))

    def _warn_of_numbers(self, present: pa.Array) -> None:
        """A text column that perhaps should be one of numbers, or in which words for a missing value are values."""
        allowed = pc.or_(self.missing, pc.match_substring_regex(self.trimmed, self.form.number))
        others = self._sum(pc.invert(allowed))
        numbers = self._sum(pc.and_(allowed, pc.invert(self.missing)))
        if numbers and numbers >= MOSTLY * (numbers + others):
            first = int(np.argmin(as_bool(allowed)))
            self.odd_line = int(self.lines[first]) if others == 1 and numbers >= MANY_NUMBERS else None
            what = f"{others} of its {self.counts.sum()} cells are not numbers, the first"
            where = f"{repr(self.trimmed[first].as_py())[:40]} in line {self.lines[first]}"
            self.warnings.append(ColumnWarning("mostly numbers", f"is read as text: {what} {where}"))
        elif self.form.decimal == "." and pc.all(pc.match_substring_regex(present, NUMBER_WITH_COMMA)).as_py():
            self.warnings.append(
                ColumnWarning(
                    "formatted numbers",
                    f"is read as text, but looks like numbers, such as {present[0]}: then set ",
                    Setting("load.decimal"),
                    " to ',' or ",
                    Setting("load.thousands"),
                    ", and ",
                    NUMBER_TYPE,
                )
            )
        else:
            words = is_in(self.trimmed, self.form.missing)
            words = pc.and_not(words, is_in(self.cells, self.form.missing_texts))
            if found := [f"{word!r} ({count} times)" for word, count in self._tally(words).items()]:
                what = f"is text, so that {some(found)} are values, not missing; "
                parts = (what, Setting("load.missing_texts"), " with these words makes them missing values")
                self.warnings.append(ColumnWarning("missing words", *parts))

    def _warn_of_texts(self) -> None:
        """Levels that differ in white space, case or Unicode form only; all cells in single quotes."""
        levels = pc.unique(self.cells)
        levels = levels.filter(pc.not_equal(levels, ""))
        if len(levels) and pc.all(pc.match_substring_regex(levels, IN_SINGLE_QUOTES)).as_py():
            raise DataError(
                f"{self.file} column '{self.name}': every cell is in single quotes. If they are not part of it, set ",
                Setting("load.quote"),
                ' to "\'".',
            )
        if len(levels) <= MAX_LEVELS and not self.are_many:
            alike = defaultdict(list)
            for level in levels.to_pylist():
                plain = unicodedata.normalize("NFKC", level.replace("\u200b", "")).casefold()
                alike[" ".join(plain.split())].append(level)
            groups = [" and ".join(map(repr, sorted(group))) for group in alike.values() if len(group) > 1]
            if groups:
                what = f"has levels that look alike but are different: {some(groups, 3)}"
                self.warnings.append(ColumnWarning("similar levels", what))

    def _infinite(self, where: pa.Array) -> DataError:
        return DataError(
            f"{self.file} column '{self.name}' has infinite numbers, {self._where(where)}. No model can be trained on "
            "them: correct those cells, or empty them to have them imputed."
        )

    def _not_declared(self, allowed: pa.Array, declared: str) -> DataError:
        wrong = pc.invert(allowed)
        count, first = pc.sum(wrong).as_py(), self.cells[int(np.argmax(as_bool(wrong)))].as_py()
        if declared not in DATE_TYPES:
            written = "" if self.form.number == Format().number else f", written as {self.form.example!r} is,"
        elif epoch := self.form.marks.epoch:
            written = f", numbers that count {'days as spreadsheets do' if epoch == 'excel' else epoch},"
        else:
            written = f", written as {'ISO 8601 says' if self.form.dates == ISO else self.form.dates},"
        if declared in DATE_TYPES:
            written += f" in the years {FIRST_YEAR} to {LAST_YEAR},"
        said = f"{self.file} column '{self.name}': {count} of {len(self.cells)} cells are not of the type {declared}"
        place = f"{self._where(wrong)}, the first {first[:40]!r}"
        if self.form.declared_by == "model":
            return DataError(
                f"{said}{written} that the model takes, {place}. Correct them; an empty cell is a missing value."
            )
        return DataError(
            f"{said}{written} that the contract declares, {place}. Correct them, add the word to ",
            Setting("load.missing"),
            " or to the column's missingValues in the contract if it means a missing value, or change the contract.",
        )

    def _of_strays(self, stray: pa.Array, count: int) -> str:
        at = np.flatnonzero(as_bool(stray))
        _, first = np.unique(self.trimmed.take(pa.array(at)).to_numpy(zero_copy_only=False), return_index=True)
        shown = [
            f"{repr(self.trimmed[row].as_py())[:40]} ({self.place} {self.lines[row]})" for row in at[np.sort(first)]
        ]
        return f"has {count} cells that are no numbers, and are missing as the contract says: {some(shown, 10)}"

    def _where(self, mask: pa.Array) -> str:
        if not self.are_all:
            raise NeedsCellsError
        lines = self.lines[np.flatnonzero(as_bool(mask))].tolist()
        return f"{self.place}{'' if len(lines) == 1 else 's'} {some(lines)}"


def _is_exact(number: str) -> bool:
    """Whether a float holds a number exactly, unless it has a fraction, which is rounded."""
    exact, held = Decimal(number), float(number)
    return math.isfinite(held) and (exact != exact.to_integral_value() or Decimal(held) == exact)


def is_in(cells: pa.Array, words: Sequence[str]) -> pa.Array:
    """(n,) whether each cell is one of the words."""
    return pc.is_in(cells, pa.array(words, cells.type))


def as_bool(mask: pa.Array) -> np.ndarray:
    """Arrow's booleans as NumPy's."""
    return np.asarray(mask.to_numpy(zero_copy_only=False), dtype=bool)
