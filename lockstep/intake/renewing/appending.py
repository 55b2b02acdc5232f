"""Adds the rows of one CSV file to another, whose bytes stay as they are: what is added is written as its rows are.

Cells are carried over as text, never as values, and read back before the file is used: a cell that would be another one
is an error. Of parquet files, which have values, those keep their types.
"""

import bz2
import codecs
import csv
import gzip
import io
import lzma
import shutil
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from lockstep.intake.sources.values import write_snapshot
from lockstep.kernel.errors import DataError, Setting, absent_columns, some
from lockstep.reading.csvfile import MAX_RECORD, CsvFile, Dialect
from lockstep.reading.source import BOMS, unpacked

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

_PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": lambda text: text,
    ".gz": lambda text: gzip.compress(text, mtime=0),
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}
"""How what is added is packed, by how the table is: of these, two packed texts behind each other are one."""
_OF_HEADERS = ("numbered_names", "row_names", "header_end")
"""Quirks that say nothing of how rows are written."""
_OTHERWISE = "Give the whole table, with its new rows, with --replace."


def append_rows(table: Path, rows: Path, dialect: Dialect, result: Path, without: Collection[int] = ()) -> None:
    """Write ``result``: the bytes of ``table``, then the rows of ``rows``, in the order of the table's columns.

    Args:
        table: a CSV file, packed or not.
        rows: another one of the same columns, in any order.
        dialect: how both are written.
        result: the file to write.
        without: the numbers (from 1) of those of ``rows`` that are left out.

    Raises:
        DataError: other columns; a table behind which no row can stand; a row that it cannot hold; no row to add.
    """
    old, new = CsvFile(table, dialect), CsvFile(rows, dialect)
    _check_columns(old.name, old.names, new.name, new.names)
    _check_end(old, dialect)
    packed = unpacked(table)
    if packed.packed not in _PACKERS:
        raise DataError(f"{table} is packed as {packed.packed}, behind which nothing can be added. {_OTHERWISE}")
    cells = _cells(new).select(old.names)
    kept = np.setdiff1d(np.arange(len(cells)), np.array(list(without), dtype=np.int64) - 1)
    cells = cells.take(pa.array(kept))
    if not len(cells):
        raise DataError(f"{rows} has no row that {table} lacks: there is nothing to add.")
    start = packed.text.slice(0, min(4, len(packed.text))).to_pybytes()
    encoding = next((name for mark, name in BOMS.items() if start.startswith(mark)), dialect.encoding)
    if codecs.lookup(encoding).name == "utf-8-sig":
        encoding = "utf-8"
    text = _written(old, cells, dialect, str(rows))
    try:
        data = text.encode(encoding)
    except UnicodeEncodeError as error:
        raise DataError(
            f"{rows} has the character {text[error.start]!r}, which {encoding}, the encoding of {table}, lacks. "
            + _OTHERWISE
        ) from None
    shutil.copyfile(table, result)
    with result.open("ab") as file:
        file.write(_PACKERS[packed.packed](data))
    _check_read_back(result, old, cells, dialect, str(rows))


def append_parquet_rows(table: Path, rows: Path, result: Path, without: Collection[int] = ()) -> None:
    """The same of parquet files: values keep the types that ``table`` has for them, or are refused.

    Args:
        table, rows, result, without: as of ``append_rows``.

    Raises:
        DataError: other columns; a column of another type; no row to add.
    """
    old, new = _parquet_table(table), _parquet_table(rows)
    _check_columns(str(table), old.column_names, str(rows), new.column_names)
    kept = np.setdiff1d(np.arange(len(new)), np.array(list(without), dtype=np.int64) - 1)
    new = new.select(old.column_names).take(pa.array(kept))
    if not len(new):
        raise DataError(f"{rows} has no row that {table} lacks: there is nothing to add.")
    columns = {field.name: _as_type(new.column(field.name), field, table, rows) for field in old.schema}
    write_snapshot(pa.concat_tables([old, pa.table(columns, schema=old.schema)]), result)


def _parquet_table(path: Path) -> pa.Table:
    """The columns of a parquet file, but for an index of pandas, which is no column to ``load`` either."""
    try:
        table = pq.read_table(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is not a parquet file that can be read: {error}.") from None
    index = (table.schema.pandas_metadata or {}).get("index_columns", [])
    return table.drop_columns([name for name in index if isinstance(name, str)]).replace_schema_metadata(None)


def _as_type(column: pa.ChunkedArray, field: pa.Field, table: Path, rows: Path) -> pa.ChunkedArray:
    """The values of ``rows`` with the type that ``table`` has for them: numbers and days exactly, or DataError."""
    is_, to = column.type, field.type
    empty = column.null_count == len(column)
    are_numbers = pa.types.is_integer(is_) or pa.types.is_floating(is_)
    exact = are_numbers and (pa.types.is_integer(to) or pa.types.is_float64(to))
    exact |= pa.types.is_date32(is_) and pa.types.is_timestamp(to) and to.tz is None
    try:
        if empty:
            return pa.chunked_array([pa.nulls(len(column), to)])
        if is_ == to or exact:
            return column.cast(to)
        why = ""
    except pa.ArrowInvalid as error:
        why = f" ({error})"
    raise DataError(
        f"{rows}: column '{field.name}' is of {is_}, and in {table} of {to}{why}. Make it alike where it comes from. "
        + _OTHERWISE
    )


def _check_columns(table: str, old: Sequence[str], rows: str, new: Sequence[str]) -> None:
    lacking = [name for name in old if name not in new]
    more = [name for name in new if name not in old]
    if lacking:
        raise DataError(f"{rows} lacks columns of {table}: {absent_columns(lacking, more)}. Add them.")
    if more:
        raise DataError(f"{rows} has columns that {table} lacks: {some(more, 20)}. Remove them, or give the "
                        "whole table, with its new columns, with --replace.")  # fmt: skip


def _check_end(old: CsvFile, dialect: Dialect) -> None:
    """Refuse a table behind whose last row no other can be written."""
    quirks = [quirk for quirk in dialect.quirks if quirk not in _OF_HEADERS]
    if dialect.skip_footer_lines:
        raise DataError(f"{old.name} ends with lines that are no rows (", Setting("load.skip_footer_lines"),
                        f"). {_OTHERWISE}")  # fmt: skip
    if quirks:
        raise DataError(f"{old.name} is written as ", Setting("load.quirks"), f" says, {', '.join(quirks)}: no row is "
                        f"added to such a file. {_OTHERWISE}")  # fmt: skip
    end = _last_bytes(old)
    if old.source.has_end_mark or end[len(end.rstrip(b"\r\n")) :].count(old.newline) > 1:
        raise DataError(f"{old.name} has something behind its last row: empty lines, or Ctrl-Z. {_OTHERWISE}")


def _last_bytes(file: CsvFile) -> bytes:
    text = file.source.text
    found: bytes = text.slice(max(len(text) - 1000, 0)).to_pybytes()
    return found


def _cells(file: CsvFile) -> pa.Table:
    return pa.concat_tables([file.cells(block) for block in file.blocks()]).combine_chunks()


def _written(old: CsvFile, cells: pa.Table, dialect: Dialect, rows: str) -> str:
    """The rows as the table writes them: its delimiter, quotes where they are needed, its line ends."""
    end = chr(old.newline)
    first = int(np.argmax(old.data[:MAX_RECORD] == old.newline))
    if end == "\n" and first and chr(old.data[first - 1]) == "\r":
        end = "\r\n"
    out = io.StringIO(newline="")
    if not _last_bytes(old).endswith((b"\r", b"\n")):
        out.write(end)
    form: dict[str, Any] = {"delimiter": dialect.delimiter, "lineterminator": end, "escapechar": dialect.escape or None}
    form |= {"quotechar": dialect.quote} if dialect.quote else {"quotechar": None, "quoting": csv.QUOTE_NONE}
    try:
        csv.writer(out, **form).writerows(zip(*(column.to_pylist() for column in cells.columns), strict=True))
    except csv.Error as error:
        raise DataError(
            f"{rows} has a cell that {old.name} (", Setting("load.quote"), ", ", Setting("load.escape"),
            f") cannot hold: {error}. {_OTHERWISE}",
        ) from None  # fmt: skip
    return out.getvalue()


def _check_read_back(result: Path, old: CsvFile, cells: pa.Table, dialect: Dialect, rows: str) -> None:
    """Raise DataError unless the rows of ``result`` behind those of ``old`` are ``cells``."""
    n_old = sum(len(block.line_starts) for block in old.blocks())
    try:
        found = CsvFile(result, dialect)
        same = found.names == old.names and _cells(found).slice(n_old).equals(cells)
    except DataError:
        same = False
    if not same:
        raise DataError(f"{rows} has a row that, written as {old.name} is, would be read otherwise. {_OTHERWISE}")
