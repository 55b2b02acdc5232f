"""Reads a CSV file into typed columns, block by block, so that the text of the whole table is never held.

columns.py types a column by its cells' text: exact, but slow for millions of cells. Here each column has a guess, taken
from the first block, and each block's cells are converted as guessed:

- ``levels``: few distinct cells. pyarrow encodes them as a dictionary, and columns.py types the distinct cells only.
- ``integer``, ``number``: pyarrow converts the cells. It takes more for numbers than columns.py does (``007``,
  ``0x1F``, ``inf``, numbers that a float cannot hold): so the traces of those are looked for, in bytes and values.
- ``text``: the cells stay texts. Those that could be something else are counted.
- ``exact``: the cells' text is kept, and columns.py types all of it.

A column that contradicts its guess, or may do so, is read again with the next guess; ``exact`` fits all. So what comes
out, warnings and errors included, is what columns.typed_frame makes of the text: tests/test_reading.py compares them.
"""

import itertools
import re
from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, NamedTuple

from lockstep.kernel.errors import DataError
from lockstep.reading.column_types import (
    EXACT_FLOAT,
    INFINITE,
    MAX_LEVELS,
    MOSTLY,
    NUMBER_WITH_COMMA,
    Column,
    Format,
    NeedsCellsError,
    Typed,
    Values,
    check_odd_lines,
    log_warnings,
    row_index,
    texts_of,
    typed_frame,
    warnings_of_size,
    warnings_of_words,
)
from lockstep.reading.column_warnings import ColumnWarning
from lockstep.reading.csvfile import TEXT, Block, CsvFile, TextTable

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

Guess = Literal["levels", "integer", "number", "text", "exact"]
SAMPLE = 2_000
"""Rows of the first block whose text is looked at for a guess."""
_ARROW: dict[Guess, pa.DataType] = {
    "levels": pa.dictionary(pa.int32(), TEXT),
    "integer": pa.int64(),
    "number": pa.float64(),
    "text": TEXT,
    "exact": TEXT,
}
_NUMERIC = ("integer", "number")
_ZEROS = r"^[ \t+-]?0[0-9xX]"
"""What pyarrow takes for a number, though it is none here: leading zeros, hexadecimal digits."""
_BOOLEANS = ("true", "false")
_BEFORE_ZEROS = np.isin(np.arange(256), list(b" \t+-"))
_DIGITS_X = np.isin(np.arange(256), list(b"0123456789xX"))
_NUMBER_BEGINS = np.isin(np.arange(256), [*b"0123456789+-."])
_OUTER = np.isin(np.arange(256), [*range(33), *range(128, 256)])
"""Bytes at a cell's end that may be white space, ASCII or not."""


def read_typed(
    file: CsvFile, form: Format = Format(), types: Mapping[str, str] | None = None, drop: Collection[str] = ()
) -> Typed:
    """Type the columns of a CSV file.

    Args:
        file: just opened.
        form: how numbers and gaps are written.
        types: the types that the contract declares; see columns.typed_frame.
        drop: columns to leave out.

    Raises:
        DataError: see csvfile.read_csv and columns.typed_frame.
    """
    stream = file.blocks()
    first, second = next(stream), next(stream, None)
    cells = file.cells(first)
    witness = _witness(file.names, form)
    if second is None or (witness is None and len(file.names) > 1) or _reads_as_number(file):
        rest = [] if second is None else [(file.cells(block), block) for block in itertools.chain([second], stream)]
        lines = np.concatenate([first.line_starts, *(block.line_starts for _, block in rest)])
        text = TextTable(pa.concat_tables([cells, *(more for more, _ in rest)]), lines)
        return typed_frame(text.without(drop), file.name, form, types)
    n_rows = round(1.1 * len(cells) * len(file.data) / max(first.end - first.begin, 1))  # roughly
    columns = {
        name: _Guessed(name, file.name, form, (types or {}).get(name), column.combine_chunks(), n_rows)
        for name, column in zip(file.names, cells.columns, strict=True)
        if name not in drop
    }
    del cells
    seen: list[Block] = []
    _read(file, _remembered(itertools.chain([first, second], stream), seen), columns, form, witness)
    while again := {name: column for name, column in columns.items() if column.unread}:
        _read(file, seen, again, form)
    pa.default_memory_pool().release_unused()
    lines = np.concatenate([block.line_starts for block in seen])
    frame, missing_as = {}, {}
    with ThreadPoolExecutor(pa.cpu_count()) as pool:
        for column, found in zip(
            columns.values(), pool.map(lambda column: column.typed(lines), columns.values()), strict=True
        ):
            values = found
            if isinstance(values, NeedsCellsError):
                column.restart("exact")
                _read(file, seen, {column.name: column}, form)
                values = column.typed(lines)
            log_warnings(file.name, column.name, column.warnings)
            if isinstance(values, Exception):
                raise values
            frame[column.name], missing_as[column.name] = values, column.missing_as
    check_odd_lines(file.name, {column.name: column.odd_line for column in columns.values()}, lines)
    return Typed(pd.DataFrame(frame, copy=False).set_axis(row_index(len(lines))), missing_as, lines)


def _remembered(blocks: Iterable[Block], seen: list[Block]) -> Iterator[Block]:
    for block in blocks:
        seen.append(block)
        yield block


def _witness(names: list[str], form: Format) -> str | None:
    """A column whose name is neither number nor gap. If the header is repeated, that column shows it."""
    words = {"inf", "infinity", "nan", *(word.lower() for word in form.missing)}
    return next((name for name in names if name[0].isalpha() and name.strip().lower() not in words), None)


def _reads_as_number(file: CsvFile) -> bool:
    """Whether a mark between or around cells could be a part of a number."""
    return re.search("[0-9A-Za-z+.-]", file.dialect.delimiter + file.dialect.quote + file.dialect.escape) is not None


class _Numbers(NamedTuple):
    """A block's cells of a number column: the values, what stands in the gaps, the largest magnitude."""

    values: np.ndarray
    gaps: dict[str, int]
    largest: float


class _Levels(NamedTuple):
    """A block's cells as positions, (n_rows,) int32, among its distinct cells, which are in order of appearance."""

    codes: np.ndarray
    levels: pa.Array


class _Texts(NamedTuple):
    """A block's cells of a text column, nulls in the gaps, and counts of what they could be taken for.

    Attributes:
        present: cells that would be no gap in a number column.
        numbers: those of them that are numbers, infinite ones included.
        others: those of them that are neither numbers nor booleans.
        words: cells that would be gaps in a number column, and are none here.
        commas: whether all are numbers with commas.
        in_quotes: whether all that are not empty stand in single quotes.
    """

    cells: pa.Array
    gaps: dict[str, int]
    present: int
    numbers: int
    others: int
    words: dict[str, int]
    commas: bool
    in_quotes: bool


_Part = Any  # _Numbers, _Levels, _Texts, a pa.Array (which is not typed) for "exact", or None for a contradiction


class _Guessed:
    """A column that is being read by a guess.

    Args:
        name: of the column.
        file: its name, for messages.
        form: how numbers and gaps are written.
        declared: the type that the contract declares, or None.
        cells: (n,) the column's first cells.
        n_rows: roughly how many there will be in all.
    """

    def __init__(self, name: str, file: str, form: Format, declared: str | None, cells: pa.Array, n_rows: int) -> None:
        self.name, self.file, self.form, self.declared, self.n_rows = name, file, form, declared, n_rows
        sample = Column(cells[:SAMPLE], name, np.arange(SAMPLE), file, form)
        self.words = pc.any(pc.and_not(sample.missing, sample.empty)).as_py()
        distinct = len(pc.unique(cells))
        likely = self._fitting(sample)
        is_few = distinct <= min(MAX_LEVELS, len(cells) / 2)
        self.restart("levels" if is_few and likely not in _NUMERIC else likely)

    def restart(self, guess: Guess) -> None:
        """Forget what was read; it is to be read with another guess.

        Attributes set here:
            unread: whether it is to be read still.
            words: whether words for a gap are to be expected among its numbers.
            values: numbers, or positions among the levels; room for n_rows of them, of which n_values are there.
            largest: the largest magnitude of a number.
            parts: texts, block by block.
            missing_as: what stood in the gaps: {word: count}.
            warnings, odd_line: see columns.Column.
        """
        self.guess, self.unread = guess, True
        self.values, self.n_values, self.largest = np.zeros(0, dtype=np.int16), 0, 0.0
        self.parts: list[pa.Array] = []
        self.missing_as: dict[str, int] = {}
        self.warnings: list[ColumnWarning] = []
        self.odd_line: int | None = None
        self.levels, self.counts, self.first_lines = (pa.array([], TEXT), *np.zeros((2, 0), dtype=np.int64))
        self.texts = _Texts(pa.array([], TEXT), {}, 0, 0, 0, {}, True, True)

    def contradicted(self) -> None:
        """A block does not hold what was guessed."""
        if self.guess == "levels":
            self.restart(self._fitting(Column(self.levels, self.name, self.first_lines, self.file, self.form)))
        elif self.guess == "integer" or (self.guess == "number" and not self.words):
            self.restart("number")
        else:
            self.restart("exact")
        self.words = True

    def _fitting(self, sample: Column) -> Guess:
        if self.declared == "string":
            return "text"
        likely = sample.likely()
        return "exact" if self.declared == "boolean" or (self.declared and likely == "text") else likely

    def add(self, part: _Part, lines: np.ndarray) -> None:
        """Take over what a block, whose rows begin on ``lines``, holds."""
        match part:
            case _Numbers():
                self._append(part.values)
                self.largest = max(self.largest, part.largest)
                self.missing_as = dict(Counter(self.missing_as) + Counter(part.gaps))
            case _Levels():
                self._add_levels(part, lines)
            case _Texts():
                self._add_texts(part)
            case _:
                self.parts.append(part)

    def _append(self, values: np.ndarray) -> None:
        """Put ``values`` behind those that are there. Room for all is taken at once, so that nothing is moved, and what
        pyarrow makes of a block is let go at once: its memory is used for the next block.
        """
        end, kind = self.n_values + len(values), np.result_type(self.values, values)
        if end > len(self.values) or kind != self.values.dtype:
            room = np.empty(self.n_rows if end <= self.n_rows else 2 * end, dtype=kind)
            room[: self.n_values] = self.values[: self.n_values]
            self.values = room
        self.values[self.n_values : end] = values
        self.n_values = end

    def _add_levels(self, part: _Levels, lines: np.ndarray) -> None:
        """Translate the block's levels into those of the column, which new ones are added to."""
        codes = pc.index_in(part.levels, self.levels).fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int16)
        new = np.flatnonzero(codes < 0)
        if len(self.levels) + len(new) > MAX_LEVELS:
            self.contradicted()
            return
        codes[new] = np.arange(len(self.levels), len(self.levels) + len(new))
        if len(new):
            first_lines = np.zeros(len(codes), dtype=np.int64)
            first_lines[part.codes[::-1]] = lines[::-1]  # of a repeated position, NumPy keeps the last assignment
            self.first_lines = np.append(self.first_lines, first_lines[new])
            self.levels = pa.concat_arrays([self.levels, part.levels.take(pa.array(new))])
            self.counts = np.append(self.counts, np.zeros(len(new), dtype=np.int64))
        self.counts[codes] += np.bincount(part.codes, minlength=len(codes))
        self._append(codes[part.codes])

    def _add_texts(self, part: _Texts) -> None:
        """Count on; keep the distinct cells until there are more than columns.py would compare."""
        sums, levels = self.texts, self.texts.cells
        if len(levels) <= MAX_LEVELS + 1:  # a null may be among them
            levels = pc.unique(pa.concat_arrays([levels, part.cells]))
        self.texts = _Texts(
            cells=levels,
            gaps=dict(Counter(sums.gaps) + Counter(part.gaps)),
            present=sums.present + part.present,
            numbers=sums.numbers + part.numbers,
            others=sums.others + part.others,
            words=dict(Counter(sums.words) + Counter(part.words)),
            commas=sums.commas and part.commas,
            in_quotes=sums.in_quotes and part.in_quotes,
        )
        self.parts.append(part.cells)

    def settle(self) -> None:
        """All blocks are read: is the guess proven?"""
        self.unread = False
        if self.guess == "text":
            is_text = self.declared == "string" or (
                self.texts.others > 0 and self.texts.numbers < MOSTLY * self.texts.present and not self.texts.commas
            )
            if not is_text or self.texts.in_quotes or len(self.texts.cells) <= MAX_LEVELS + 1:
                self.restart("exact")
        if self.guess in _NUMERIC and self.missing_as and self.largest > EXACT_FLOAT:
            self.restart("exact")
        if self.guess == "number" and self.declared == "integer":
            values = self.values[: self.n_values]
            if not (np.isnan(values) | (values == np.rint(values))).all():
                self.restart("exact")

    def typed(self, lines: np.ndarray) -> Values | DataError | NeedsCellsError:
        """The column, whose rows begin on ``lines``; or what is wrong with it (see columns.typed_frame), for the thread
        that asks to raise; or NeedsCellsError if its guess does not tell where. The parts are gone afterwards.
        """
        parts, values = self.parts, self.values[: self.n_values]
        self.parts, self.values = [], self.values[:0]
        if self.guess in _NUMERIC:
            self.warnings = warnings_of_size(self.largest) if self.guess == "integer" else []
            return pd.Series(values, copy=False)
        if self.guess == "text":
            self.missing_as = self.texts.gaps
            self.warnings = [] if self.declared else warnings_of_words(self.texts.words)
            return texts_of(pa.concat_arrays(parts))
        if self.guess == "levels":
            cells, lines, counts = self.levels, self.first_lines, self.counts
        else:
            cells, counts = pa.concat_arrays(parts), None
        del parts
        column = Column(cells, self.name, lines, self.file, self.form, counts)
        try:
            typed = column.typed(self.declared)
        except (DataError, NeedsCellsError) as error:
            return error
        finally:
            self.missing_as, self.warnings, self.odd_line = column.missing_as, column.warnings, column.odd_line
        if counts is None:
            return typed
        if isinstance(typed, pd.Series) and isinstance(typed.dtype, pd.StringDtype):
            return texts_of(pa.array(typed, TEXT).take(pa.array(values)))
        return pd.Series(np.asarray(typed)[values], copy=False)


def _read(
    file: CsvFile,
    blocks: Iterable[Block],
    columns: Mapping[str, _Guessed],
    form: Format,
    witness: str | None = None,
) -> None:
    """Read ``columns`` by their guesses; a column that contradicts its guess is left ``unread``.

    While the blocks are scanned one after another, threads convert those that are scanned already.
    """
    reader = _Reader(file, form, any(column.words and column.guess in _NUMERIC for column in columns.values()), witness)
    guesses: dict[str, Guess] = {name: column.guess for name, column in columns.items()}
    for column in columns.values():
        column.unread = False

    def take_first() -> None:
        block, future = waiting.popleft()
        for name, part in future.result().items():
            if name in guesses:
                if part is None:
                    columns[name].contradicted()
                else:
                    columns[name].add(part, block.line_starts)
                if columns[name].unread:
                    del guesses[name]
        file.source.forget(block.begin)

    waiting: deque = deque()  # type: ignore[type-arg]
    with ThreadPoolExecutor(pa.cpu_count()) as pool:
        try:
            for block in blocks:
                waiting.append((block, pool.submit(reader.parts, block, dict(guesses))))
                if len(waiting) > 2 * pa.cpu_count():
                    take_first()
        finally:  # also after a mistake was found: an earlier block may hold an earlier one
            while waiting:
                take_first()
    for name in guesses:
        columns[name].settle()


class _Reader:
    """Converts blocks; it has no state, so that threads can share it.

    Args:
        file: what the blocks belong to.
        form: how numbers and gaps are written.
        words: whether gaps among numbers may be words; else a word contradicts the guess that they are numbers.
        witness: the column that shows whether the header is repeated; None if that has been looked at.
    """

    def __init__(self, file: CsvFile, form: Format, words: bool, witness: str | None) -> None:
        self.file, self.form, self.witness = file, form, witness
        self.gaps = ["", *form.missing] if words else [""]
        self.longest_word = max(len(word.encode()) for word in (*form.missing, *_BOOLEANS))
        self.number = f"(?:{form.number})|(?:{INFINITE})"

    def parts(self, block: Block, guesses: Mapping[str, Guess]) -> dict[str, _Part]:
        """The columns' cells in a block, None where they contradict the guess."""
        types = {name: _ARROW[guess] for name, guess in guesses.items()}
        if self.witness is not None:
            types.setdefault(self.witness, TEXT)
        columns, contradicting = self._converted(block, types)
        if self.witness in columns and _has(columns[self.witness], self.witness):
            self.file.cells(block)  # which refuses a repeated header
        if not len(block.line_starts):
            return {}
        found: dict[str, _Part] = dict.fromkeys(contradicting)
        for name, guess in guesses.items():
            if name in columns:
                found[name] = self._part(guess, columns[name])
        numbers = [name for name, guess in guesses.items() if guess in _NUMERIC and found[name] is not None]
        texts = [columns[name] for name in columns if name not in numbers]
        zeros = self._zeros_in_bytes(block) if numbers else 0
        if zeros and zeros != sum(map(_zeros_in_cells, texts)):  # else all are accounted for by texts
            for name, cells in self._texts(block, numbers):
                if _zeros_in_cells(pc.utf8_trim_whitespace(cells)):
                    found[name] = None
        with_gaps = [name for name in numbers if found[name] is not None and columns[name].null_count]
        if len(self.gaps) > 1 and with_gaps:
            for name, cells in self._texts(block, with_gaps):
                words = pc.value_counts(cells.filter(columns[name].is_null())).to_pylist()
                found[name] = found[name]._replace(gaps={word["values"]: word["counts"] for word in words})
        return found

    def _converted(self, block: Block, types: dict[str, pa.DataType]) -> tuple[dict[str, pa.Array], list[str]]:
        """The columns, converted, and the names of those that cannot be."""
        try:
            table = self.file.cells(block, types, self.gaps, self.form.decimal)
        except pa.ArrowInvalid as error:
            self.file.cells(block)  # which refuses a repeated header
            wrong = [name for name, kind in types.items() if kind in (pa.int64(), pa.float64())]
            wrong = [name for name in wrong if not self._converts(block, {name: types[name]})]
            if not wrong:
                raise DataError(f"{self.file.name} cannot be parsed as CSV: {error}. Mend the file.") from None
            rest = {name: kind for name, kind in types.items() if name not in wrong}
            return (self._converted(block, rest)[0] if rest else {}), wrong
        return {name: table.column(name).combine_chunks() for name in types}, []

    def _converts(self, block: Block, types: dict[str, pa.DataType]) -> bool:
        try:
            self.file.cells(block, types, self.gaps, self.form.decimal)
        except pa.ArrowInvalid:
            return False
        return True

    def _texts(self, block: Block, names: list[str]) -> Iterator[tuple[str, pa.Array]]:
        """The cells of number columns as texts."""
        table = self.file.cells(block, dict.fromkeys(names, TEXT))
        return ((name, table.column(name).combine_chunks()) for name in names)

    def _part(self, guess: Guess, column: pa.Array) -> _Part:
        match guess:
            case "levels":
                return _Levels(column.indices.to_numpy(), column.dictionary)
            case "integer":
                limits = pc.min_max(column).as_py()
                largest = max(abs(limits["min"] or 0), abs(limits["max"] or 0))
                values = column.to_numpy(zero_copy_only=False)
                return _Numbers(values, {"": column.null_count} if column.null_count else {}, largest)
            case "number":
                values = column.to_numpy(zero_copy_only=False)
                largest = max(np.fmax.reduce(values), -np.fmin.reduce(values)) if column.null_count < len(values) else 0
                # A word for infinity or an overflow; a whole number that a float may not hold; a word that is no gap.
                if not largest < EXACT_FLOAT or np.count_nonzero(np.isnan(values)) > column.null_count:
                    return None
                return _Numbers(values, {"": column.null_count} if column.null_count else {}, largest)
            case "text":
                return self._text_part(column)
            case "exact":
                return column

    def _text_part(self, cells: pa.Array) -> _Texts:
        lengths, first, last = _ends(cells)
        # Only these can be numbers, booleans or words. All others are texts: it is enough to know how many there are.
        odd = _OUTER[first] | _OUTER[last] | _NUMBER_BEGINS[first] | (lengths <= self.longest_word)
        some_cells = cells.filter(pa.array(odd))
        trimmed = pc.utf8_trim_whitespace(some_cells)
        words = pc.is_in(trimmed, pa.array(self.form.missing, TEXT))
        present = trimmed.filter(pc.invert(pc.or_(words, pc.equal(trimmed, ""))))
        numbers = pc.sum(pc.match_substring_regex(present, self.number), min_count=0).as_py()
        booleans = pc.sum(pc.is_in(pc.utf8_lower(present), pa.array(_BOOLEANS, TEXT)), min_count=0).as_py()
        n_present = len(cells) - len(trimmed) + len(present)
        in_texts = pc.is_in(some_cells, pa.array(["", *self.form.missing_texts], TEXT))
        gaps = np.zeros(len(cells), dtype=bool)
        gaps[odd] = in_texts.to_numpy(zero_copy_only=False)
        return _Texts(
            cells=pc.if_else(pa.array(gaps), pa.scalar(None, TEXT), cells) if gaps.any() else cells,
            gaps=_tally(trimmed.filter(in_texts)),
            present=n_present,
            numbers=numbers,
            others=n_present - numbers - booleans,
            words=_tally(trimmed.filter(pc.and_not(pc.and_not(words, pc.equal(trimmed, "")), in_texts))),
            commas=n_present == len(present)
            and pc.all(pc.match_substring_regex(present, NUMBER_WITH_COMMA), min_count=0).as_py(),
            in_quotes=bool(((first == last) & (first == ord("'")) & (lengths > 1))[lengths > 0].all()),
        )

    def _zeros_in_bytes(self, block: Block) -> int:
        """How many cells of a block begin as _ZEROS; if in doubt, more.

        Two bytes before the block belong to the header and its end, so that each cell has two bytes before it.
        """
        data = self.file.data[block.begin - 2 : block.end]
        before, zero, behind = data[1:-2], data[2:-1], data[3:]
        ends_cell = self.file.boundaries
        is_before = before < ord("0")
        for mark in (self.file.delimiter, self.file.quote):
            if mark is not None and mark > ord("0"):
                is_before |= before == mark
        is_before &= (zero == ord("0")) & (behind >= ord("0")) & (before != ord("."))
        at = np.flatnonzero(is_before) + 2
        one, two = data[at - 1], data[at - 2]
        begins = ends_cell[one] | (_BEFORE_ZEROS[one] & (ends_cell[two] | _BEFORE_ZEROS[two]))
        return int(np.count_nonzero(begins & _DIGITS_X[data[at + 1]]))


def _has(column: pa.Array, cell: str) -> bool:
    """Whether a column of texts has the cell; of other columns, False."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary
    return bool(column.type == TEXT and pc.any(pc.equal(column, cell), min_count=0).as_py())


def _ends(cells: pa.Array) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(length in bytes, first byte, last byte), 0 for none, of each cell."""
    _, offsets, data = cells.buffers()
    at = np.frombuffer(offsets, dtype=np.int64)[cells.offset : cells.offset + len(cells) + 1]
    lengths = np.diff(at)
    if data is None or not len(data):
        nothing = np.zeros(len(cells), dtype=np.uint8)
        return lengths, nothing, nothing
    content = np.frombuffer(data, dtype=np.uint8)
    first, last = content[np.minimum(at[:-1], len(content) - 1)], content[np.maximum(at[1:] - 1, 0)]
    return lengths, np.where(lengths > 0, first, 0), np.where(lengths > 0, last, 0)


def _zeros_in_cells(column: pa.Array) -> int:
    """How many cells begin as _ZEROS, of texts, encoded as a dictionary or not."""
    if not pa.types.is_dictionary(column.type):
        _, first, _ = _ends(column)
        cells = column.filter(pa.array((first == ord("0")) | _BEFORE_ZEROS[first]))
        return int(pc.sum(pc.match_substring_regex(cells, _ZEROS), min_count=0).as_py())
    matching = pc.match_substring_regex(column.dictionary, _ZEROS).to_numpy(zero_copy_only=False)
    return int(np.count_nonzero(matching[column.indices.to_numpy()])) if matching.any() else 0


def _tally(words: pa.Array) -> dict[str, int]:
    return {entry["values"]: entry["counts"] for entry in pc.value_counts(words).to_pylist()}
