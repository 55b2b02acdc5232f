"""Reads a CSV file into typed columns, block by block, so that the text of the whole table is never held.

A column of a block is reduced to its values (whole numbers, numbers, booleans or texts) and to a few of its cells, with
counts, that the rules of column_types take for the same as all of them. When all blocks are read, these rules are
applied to the few cells of all blocks. If the values of all blocks are of the type that comes out, they are the column.
If not, or if a message must name lines, the column's text is read once more and typed as a whole. So the result,
warnings and errors included, is what column_types.typed_frame makes of the text: tests/reading/test_blocks.py compares.
"""

import contextlib
import itertools
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, TypeVar

from lockstep.reading.column_types import (
    MAX_LEVELS,
    MISSING,
    NO_PLAIN_TEXT,
    Cells,
    Column,
    Format,
    NeedsCellsError,
    Typed,
    Values,
    as_bool,
    is_in,
    typed_columns,
    typed_frame,
)
from lockstep.reading.csvfile import TEXT, Block, CsvFile, TextTable
from lockstep.reading.date_formats import DATE_TYPES
from lockstep.reading.number_marks import NO_MARKS

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

R = TypeVar("R")
_SAMPLE = 20
"""The first cells of a block, which mostly tell what the others are not."""
_LONG = 1e15
"""Numbers from here on may be whole numbers that a float does not hold exactly."""
_BEGINS_NUMBER = np.isin(np.arange(256), [*b"0123456789+-.,"])
_BEGINS_VALUE = _BEGINS_NUMBER | np.isin(np.arange(256), [*b"tTfF"])
_DIGIT_OR_X = np.isin(np.arange(256), [*b"0123456789xX"])
_SPACE = np.isin(np.arange(256), [*range(33), *range(128, 256)])
"""Bytes at a cell's end that may be white space, ASCII or not."""
_KINDS = {"i": pa.int64(), "f": pa.float64(), "b": pa.bool_(), "O": pa.bool_()}


class BlockColumn(NamedTuple):
    """A column of a block: its values, and the cells that represent all.

    ``values``: (n_rows,) int64, float64, bool or text, null where missing; of Arrow's type null if all cells are empty.
    """

    values: pa.Array
    few: Cells


class _Room:
    """An array that grows at its end. Room for all blocks is taken with the first one, so that nothing is moved.

    ``scale``: roughly how many times what the first block holds all blocks hold.
    """

    def __init__(self, scale: float) -> None:
        self.scale, self.room, self.size = scale, np.empty(0, dtype=bool), 0

    def append(self, values: np.ndarray) -> None:
        end, kind = self.size + len(values), np.result_type(self.room, values)
        if end > len(self.room) or kind != self.room.dtype:
            filled, size = self.room[: self.size], int(end * (2 if self.size else self.scale))
            self.room = np.empty(max(size, len(self.room)), dtype=kind)
            self.room[: self.size] = filled
        self.room[self.size : end] = values
        self.size = end


class _Gathered:
    """The parts of a column, block by block: values are copied, so that the next block uses the memory of this one.

    Empty cells are added to the numbers, the texts and the booleans: they may be any of them.
    """

    def __init__(self, scale: float, form: Format) -> None:
        self.form = form
        self.few: list[Cells] = []
        self.kinds: set[pa.DataType] = set()
        self.are_many = False
        self.numbers, self.booleans = _Room(scale), _Room(scale)
        self.bytes, self.begins, self.nulls = _Room(scale), _Room(scale), _Room(scale)

    def add(self, part: BlockColumn) -> None:
        """Append the values and the few cells of a block."""
        values, kind = part.values, part.values.type
        self.few.append(part.few)
        self.are_many |= part.few.are_many
        self.kinds.add(kind)
        if kind in (pa.null(), pa.int64(), pa.float64()):
            values = values.cast(pa.float64()) if kind == pa.null() else values
            self.numbers.append(values.to_numpy(zero_copy_only=False))
        if kind in (pa.null(), TEXT):
            begin, end, content = bytes_of(values.cast(TEXT))
            self.begins.append(begin + (self.bytes.size - begin[0]))
            self.bytes.append(content[begin[0] : end[-1]])
            self.nulls.append(as_bool(values.is_null()))
        if kind in (pa.null(), pa.bool_()):
            self.booleans.append(values.cast(pa.bool_()).to_numpy(zero_copy_only=False))

    def values(self, typed: Values) -> Values:
        """All values, if they are of the type of the few that are ``typed``; otherwise raise NeedsCellsError."""
        kind = TEXT if isinstance(typed.dtype, pd.StringDtype) else _KINDS[typed.dtype.kind]
        if not self.kinds <= {kind, pa.null(), *([pa.int64()] if kind == pa.float64() else [])}:
            raise NeedsCellsError
        if kind != TEXT:
            room = self.booleans if kind == pa.bool_() else self.numbers
            return pd.Series(room.room[: room.size], copy=False)
        self.begins.append(np.array([self.bytes.size]))
        buffers = [pa.py_buffer(room.room[: room.size]) for room in (self.begins, self.bytes)]
        return pd.Series(_with_nulls(buffers, self.nulls.room[: self.nulls.size]), dtype="str")


def read_typed(
    file: CsvFile,
    form: Format = Format(),
    types: Mapping[str, str] | None = None,
    drop: Collection[str] = (),
    forms: Mapping[str, Format] | None = None,
) -> Typed:
    """Type the columns of a CSV file.

    Args:
        file: just opened.
        form: how numbers and missing values are written.
        types: the types that the contract declares; see column_types.typed_frame.
        drop: columns to leave out.
        forms: of the columns that are written in another form; see column_types.typed_frame.

    Raises:
        DataError: see csvfile.CsvFile and column_types.typed_frame.
    """
    stream, types, forms = file.blocks(), types or {}, forms or {}
    first, second = next(stream), next(stream, None)
    if second is None:
        return typed_frame(TextTable(file.cells(first), first.line_starts).without(drop), file.name, form, types, forms)
    scale = 1.1 * len(file.data) / max(first.end - first.begin, 1)
    gathered = {name: _Gathered(scale, forms.get(name, form)) for name in file.names if name not in drop}
    blocks = _gather(file, itertools.chain([first, second], stream), gathered, types)
    lines = np.concatenate([block.line_starts for block in blocks])

    def values(column: Column) -> Values:
        found = gathered.pop(column.name)
        with contextlib.suppress(NeedsCellsError):
            if types.get(column.name) not in DATE_TYPES:
                return found.values(column.typed(types.get(column.name)))
        cells = [file.cells(block, [column.name]).column(0).combine_chunks() for block in blocks]
        column.hold(Cells(pa.concat_arrays(cells), lines))
        return column.typed(types.get(column.name))

    columns = (Column(_joined(gathered[name].few), name, file.name, gathered[name].form) for name in list(gathered))
    return typed_columns(columns, values, file.name, lines)


def _joined(parts: list[Cells]) -> Cells:
    """The cells that represent all, of all blocks."""
    texts, lines, counts, are_many = zip(*parts, strict=True)
    return Cells(pa.concat_arrays(texts), np.concatenate(lines), np.concatenate(counts), any(are_many)).distinct()


def _gather(
    file: CsvFile, stream: Iterable[Block], gathered: dict[str, _Gathered], types: Mapping[str, str]
) -> list[Block]:
    """Gather the parts of each column; the blocks that have rows."""

    def reduced(block: Block) -> list[BlockColumn]:
        cells = file.cells(block)
        return [
            _part(cells[name].combine_chunks(), block.line_starts, column.form, types.get(name), column.are_many)
            for name, column in gathered.items()
        ]

    def take(block: Block, parts: list[BlockColumn]) -> None:
        for column, part in zip(gathered.values(), parts, strict=True):
            column.add(part)
        blocks.append(block)

    blocks: list[Block] = []
    in_threads(file, (block for block in stream if len(block.line_starts)), reduced, take)
    return blocks


def in_threads(
    file: CsvFile, blocks: Iterable[Block], work: Callable[[Block], R], take: Callable[[Block, R], object]
) -> None:
    """Do the work on each block of a file, while the next ones are scanned one after another, and take what it gives,
    in the order of the blocks. Raises what the first of them raises."""
    waiting: deque[tuple[Block, Future[R]]] = deque()

    def take_first() -> None:
        block, future = waiting.popleft()
        take(block, future.result())
        file.source.forget(block.begin)

    with ThreadPoolExecutor(pa.cpu_count()) as pool:
        try:
            for block in blocks:
                waiting.append((block, pool.submit(work, block)))
                if len(waiting) > pa.cpu_count():
                    take_first()
        finally:  # also after a mistake was found: an earlier block may hold an earlier one
            while waiting:
                take_first()


def _part(cells: pa.Array, lines: np.ndarray, form: Format, declared: str | None, are_many: bool) -> BlockColumn:
    """Reduce ``cells``, (n_rows,) texts, which begin on ``lines``, of a column of which ``are_many`` is known."""
    if declared in DATE_TYPES:  # a column that is read once more, as a whole: there is nothing to gather
        return BlockColumn(pa.nulls(len(cells)), Cells(cells[:1], lines[:1], np.array([len(cells)])))
    convert = _converted if form.marks == NO_MARKS else _converted_with_marks
    if declared != "string" and (values := convert(cells, form)) is not None:
        return _part_of_values(cells, lines, values, form)
    few = Cells(cells, lines, np.ones(len(cells), dtype=np.int64), are_many)
    few = few if are_many else few.distinct()
    if are_many or len(few.texts) > MAX_LEVELS + 1:  # an empty cell is no level
        few = _without_texts(few, form)
    missing = is_in(cells, ("", *form.missing_texts)) if form.missing_texts else pc.equal(cells, "")
    return BlockColumn(_with_nulls(cells.buffers()[1:], as_bool(missing)), few)


def _converted(cells: pa.Array, form: Format) -> pa.Array | None:
    """The cells as int64, float64 or bool, null where missing, if by the rules of column_types all are numbers, or all
    are booleans, or missing; None if not, or if in doubt.

    Arrow converts them. It takes more for numbers, which is looked for: words, leading zeros, hexadecimal digits. Not
    for infinity and nan: they are the largest or smallest of a block, which column_types is shown.
    """
    sample = cells[:_SAMPLE]
    if not (trimmed := pc.utf8_trim_whitespace(sample)).equals(sample) and pc.any(pc.not_equal(trimmed, "")).as_py():
        cells = pc.utf8_trim_whitespace(cells)
    begin, end, content = bytes_of(cells)
    for n in (_SAMPLE, len(cells)):
        first = content.take(begin[:n], mode="clip")
        missing, fitting = begin[:n] == end[:n], _BEGINS_VALUE.take(first)
        odd = np.flatnonzero(~(missing | fitting) if form.missing == MISSING else ~missing)
        if len(odd):
            missing[odd] = as_bool(is_in(pc.utf8_trim_whitespace(cells.take(pa.array(odd))), ("", *form.missing)))
            if not (missing | fitting).all():
                return None
    has_minus, has_plus = first == ord("-"), first == ord("+")
    plain = cells
    if form.thousands or form.decimal != "." or has_plus.any():
        if not pc.all(pc.or_(pa.array(missing), pc.match_substring_regex(cells, form.number))).as_py():
            return None
        plain = form.plain(cells)
    plain = _with_nulls(plain.buffers()[1:], missing)
    for kind in (pa.int64(), pa.float64(), pa.bool_())[b"." in content[:_SAMPLE].tobytes() :]:
        with contextlib.suppress(pa.ArrowInvalid):
            pc.cast(plain[:_SAMPLE], kind)  # Arrow makes a message for each cell that it cannot convert: it is slow
            values = pc.cast(plain, kind)
            if kind != pa.int64() or not (has_minus & as_bool(pc.equal(values, 0).fill_null(False))).any():
                break  # -0 is a float
    else:
        return None
    if kind == pa.bool_():  # 1 and 0 are none
        return None if (first[~missing] < ord("A")).any() else values
    digit = begin + (has_minus | has_plus)
    zero = np.flatnonzero(content.take(digit, mode="clip") == ord("0"))
    behind = digit[zero] + 1
    leading = _DIGIT_OR_X.take(content.take(behind, mode="clip"))
    return None if (behind[leading] < end[zero[leading]]).any() else values


def _converted_with_marks(cells: pa.Array, form: Format) -> pa.Array | None:
    """The same of cells whose numbers have marks."""
    cells = pc.utf8_trim_whitespace(cells)
    is_number = pc.match_substring_regex(cells, form.number)
    missing = is_in(cells, ("", *form.missing))
    if form.marks.others == "missing":
        missing = pc.or_(missing, pc.invert(is_number))
    if not pc.all(pc.or_(missing, is_number)).as_py():
        return None
    plain = form.plain(pc.if_else(missing, pa.scalar(None, TEXT), cells))
    has_minus = pc.starts_with(plain, "-")
    with contextlib.suppress(pa.ArrowInvalid):
        values = pc.cast(plain, pa.int64())
        if not pc.any(pc.and_(has_minus, pc.equal(values, 0))).as_py():  # -0 is a float
            return values
    return pc.cast(plain, pa.float64())


def _part_of_values(cells: pa.Array, lines: np.ndarray, values: pa.Array, form: Format) -> BlockColumn:
    """Reduce cells that are numbers or booleans, ``values``, which are null where they are missing.

    column_types asks whether all numbers are whole, whether all have an exponent and nothing else, and how large they
    are. So these represent all: the first, the smallest and the largest, those that may be too long for a float, and
    one with a fraction or a decimal mark, or all if there is none. Missing cells represent themselves.
    """
    missing, found = np.zeros(len(cells), dtype=bool), values
    if values.null_count:
        missing, found = as_bool(values.is_null()), values.fill_null(pa.scalar(0).cast(values.type))
    is_kept, found = missing.copy(), found.to_numpy(zero_copy_only=False)
    if not missing.all():
        kept = [missing.argmin(), found.argmin(), found.argmax()]
        if found.dtype.kind == "f":
            if not max(-found[kept[1]], found[kept[2]]) < _LONG:
                kept += np.flatnonzero(np.abs(found) >= _LONG).tolist()
            fraction = found != np.rint(found)
            if not fraction.any():
                fraction = as_bool(pc.match_substring(cells, form.decimal)) & ~missing
            kept += [fraction.argmax()] if fraction.any() else np.flatnonzero(~missing).tolist()
        is_kept[kept] = True
    at = np.flatnonzero(is_kept)
    counts = np.ones(len(at), dtype=np.int64)
    counts[missing[at].argmin()] += len(cells) - len(at)
    few = Cells(cells.take(pa.array(at)), lines[at], counts)
    few = few.distinct() if values.null_count else few
    return BlockColumn(pa.nulls(len(cells)) if few.texts.to_pylist() == [""] else values, few)


def _without_texts(few: Cells, form: Format) -> Cells:
    """Represent all cells that can be nothing but texts by the first of them."""
    begin, end, content = bytes_of(few.texts)
    first, last = content.take(begin, mode="clip"), content.take(end - 1, mode="clip")
    longest = max(len(word.encode()) for word in ("infinity", *form.missing, *form.missing_texts))
    odd = _SPACE[first] | _SPACE[last] | _BEGINS_NUMBER[first] | (first == ord("'")) | (end - begin <= longest)
    cells = few.texts.filter(pa.array(odd))
    trimmed = pc.utf8_trim_whitespace(cells)
    others = pc.or_(is_in(trimmed, ("", *form.missing)), is_in(cells, form.missing_texts))
    others = pc.or_(others, pc.match_substring_regex(trimmed, f"{form.number}|{NO_PLAIN_TEXT}"))
    is_text, counts = ~odd, np.array(few.counts)
    is_text[odd] = ~as_bool(others)
    texts = np.flatnonzero(is_text)
    counts[texts[:1]], counts[texts[1:]] = counts[texts].sum(), 0
    at = np.flatnonzero(counts)
    return Cells(few.texts.take(pa.array(at)), few.lines[at], counts[at], True).distinct()


def bytes_of(cells: pa.Array) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(n,) where each text begins and ends among all bytes, and these."""
    _, offsets, data = cells.buffers()
    at = np.frombuffer(offsets, dtype=np.int64)[cells.offset : cells.offset + len(cells) + 1]
    return at[:-1], at[1:], np.frombuffer(data if data else b"\0", dtype=np.uint8)


def _with_nulls(buffers: list[pa.Buffer], missing: np.ndarray) -> pa.Array:
    """The texts of these offsets and bytes, null where they are missing; nothing is copied."""
    bitmap = pa.py_buffer(np.packbits(~missing, bitorder="little")) if missing.any() else None
    return pa.Array.from_buffers(TEXT, len(missing), [bitmap, *buffers])
