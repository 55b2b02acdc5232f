"""Reads the cells of a CSV file as texts, and keeps only those that ``add`` may still need: texts take more memory than
all else.

What the texts of a column of plain numbers tell, its first rows tell mostly: what its points are, and that it holds no
codes. Such a column is settled: of later rows it is only asked whether they hold plain numbers, too, block by block. If
one does not, the column's texts are read once more, all of them. So each function of this folder gives for the first
rows of a settled column what it would give for all: tests/intake/detecting/test_settled_columns.py compares.
"""

import itertools
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from lockstep.intake.detecting.codes import is_named_postal
from lockstep.intake.detecting.decimal_marks import PER_TYPO, SAMPLE, find_evidence, n_certain
from lockstep.intake.detecting.formatted_numbers import A_FEW
from lockstep.reading.blocks import bytes_of, in_threads
from lockstep.reading.column_types import Format, is_in
from lockstep.reading.csvfile import TEXT, Block, CsvFile, TextTable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

BLOCK_ROWS = 1_000
"""Where blocks have fewer rows, which are long then, a look at each of their columns costs more than its texts."""
_PLUS, _MINUS, _ZERO, _NINE = b"+-09"
_DIGIT = np.isin(np.arange(256), [*b"0123456789"])
_OF_WHOLE = _DIGIT | np.isin(np.arange(256), [*b"-"])
_OF_NUMBER = _OF_WHOLE | np.isin(np.arange(256), [*b".eE+"])
_Kind = Callable[[pa.Array, Sequence[str]], bool]


@dataclass(frozen=True)
class SettledTable(TextTable):
    """The cells of a CSV file, less those that decide nothing.

    Attributes:
        settled: columns of which the first rows decide all that is asked of texts; behind these, their cells are empty
            here, and plain numbers or missing in the file.
        n_first: the number of these rows.
    """

    settled: frozenset[str] = frozenset()
    n_first: int = 0


def columns_of(text: TextTable) -> dict[str, pa.ChunkedArray]:
    """{name: (n_rows,) its cells}; of a settled column, those of the first rows alone."""
    columns = dict(zip(text.cells.column_names, text.cells.columns, strict=True))
    if isinstance(text, SettledTable):
        columns |= {name: columns[name].slice(0, text.n_first) for name in text.settled}
    return columns


def settled_table(file: CsvFile, *, missing: Sequence[str], whole: Collection[str], is_open: bool) -> SettledTable:
    """All cells of a file that was just opened, but for those of settled columns behind their first rows.

    Args:
        file: the file.
        missing: words for a missing value among numbers.
        whole: columns of which all cells are wanted.
        is_open: whether it is to be found out what points and commas are.

    Raises:
        DataError: as CsvFile does.
    """
    stream, blocks, tables = file.blocks(), list[Block](), list[pa.Table]()
    for block in stream:
        blocks.append(block)
        tables.append(file.cells(block))
        if sum(map(len, tables)) >= SAMPLE:
            break
    first, next_block = pa.concat_tables(tables), next(stream, None)
    if next_block is None:
        return SettledTable(first, np.concatenate([block.line_starts for block in blocks]))
    # What names rows must be known of each of them, and where a name may be lost, the last column must be in use.
    whole = {*whole, *(file.names[:: max(len(file.names) - 1, 1)] if "row_names" in file.quirks else ())}
    may_settle = first.column_names if len(next_block.line_starts) >= BLOCK_ROWS else []
    kinds = {
        name: kind
        for name in may_settle
        if name not in whole and not is_named_postal(name) and (kind := _kind(first[name], missing, is_open))
    }

    def needed(block: Block) -> pa.Table:
        cells = file.cells(block)
        return cells.drop_columns([name for name in kinds if kinds[name](cells[name].combine_chunks(), missing)])

    later: list[tuple[Block, pa.Table]] = []
    in_threads(file, itertools.chain([next_block], stream), needed, lambda *part: later.append(part))
    late = [name for name in kinds if any(name in cells.column_names for _, cells in later)]
    lacking = {block.begin: [name for name in late if name not in cells.column_names] for block, cells in later}
    parts = [*later]
    in_threads(
        file,
        (block for block, _ in later if lacking[block.begin]),
        lambda block: file.cells(block, lacking[block.begin]),
        lambda *part: parts.append(part),
    )
    parts.sort(key=lambda part: part[0].begin)
    columns = {name: cells.chunks for name, cells in zip(first.column_names, first.columns, strict=True)}
    for _, cells in parts:
        for name in cells.column_names:
            columns[name] += cells[name].chunks
    lines = np.concatenate([block.line_starts for block in (*blocks, *(block for block, _ in later))])
    settled, empty = frozenset(kinds).difference(late), _empty(len(lines) - len(first))
    for name in settled:
        columns[name].append(empty)
    cells = pa.table({name: pa.chunked_array(chunks, TEXT) for name, chunks in columns.items()})
    return SettledTable(cells, lines, settled, len(first))


def _empty(n_rows: int) -> pa.Array:
    """So many empty cells."""
    return pa.Array.from_buffers(TEXT, n_rows, [None, pa.py_buffer(np.zeros(n_rows + 1, np.int64)), pa.py_buffer(b"")])


def _kind(cells: pa.ChunkedArray, missing: Sequence[str], is_open: bool) -> _Kind | None:
    """What the later cells of a column must be, so that its first ``cells`` settle it; None if they do not."""
    first = cells.combine_chunks()
    if _are_whole(first, missing):
        return _are_whole
    return _are_plain if is_open and _are_plain(first, missing) and _tell_the_point(first[:SAMPLE], missing) else None


def _tell_the_point(first: pa.Array, missing: Sequence[str]) -> bool:
    """Whether the points in the first cells of a column, plain numbers, can only be decimal marks, whatever follows."""
    certain, n_numbers = n_certain(first, Format())
    if certain < A_FEW or certain * PER_TYPO <= n_numbers or find_evidence({"": first}, missing).decimals != {"."}:
        return False
    present = first.filter(pc.invert(is_in(first, ("", *missing))))
    return bool(pc.any(pc.match_substring(present, "."), min_count=0).as_py())


def _are_whole(cells: pa.Array, missing: Sequence[str]) -> bool:
    """Whether all cells are plain whole numbers, or missing."""
    return _are_numbers(cells, missing, _OF_WHOLE)


def _are_plain(cells: pa.Array, missing: Sequence[str]) -> bool:
    """Whether all cells are numbers as the default Format has them, without a plus in front, or missing."""
    return _are_numbers(cells, missing, _OF_NUMBER)


def _are_numbers(cells: pa.Array, missing: Sequence[str], allowed: np.ndarray) -> bool:
    """Whether all cells are numbers of the ``allowed`` bytes, or missing. Arrow converts them, which is quicker than to
    match them; it takes zeros in front, too, which are looked for."""
    begin, end, content = _bytes(cells)
    if (begin == end).any() or (len(content) and content.max() > _NINE):
        cells = cells.filter(pc.invert(is_in(cells, ("", *missing))))
        begin, end, content = _bytes(cells)
    if not len(content):
        return True
    if not allowed[content[(content < _ZERO) | (content > _NINE)]].all():
        return False
    if (content[begin] == _PLUS).any():
        return False
    digit = begin + (content[begin] == _MINUS)
    zero = np.flatnonzero(content.take(digit, mode="clip") == _ZERO)
    behind = digit[zero] + 1
    if (_DIGIT[content.take(behind, mode="clip")] & (behind < end[zero])).any():
        return False
    try:
        pc.cast(cells, pa.float64())
    except pa.ArrowInvalid:
        return False
    return True


def _bytes(cells: pa.Array) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(n,) where each text begins and ends among their bytes, and these alone."""
    begin, end, content = bytes_of(cells)
    if not len(cells):
        return begin, end, content[:0]
    return begin - begin[0], end - begin[0], content[begin[0] : end[-1]]
