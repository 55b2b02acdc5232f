"""A typed table that knows which column is the target, and what its parquet file looks like."""

import contextlib
import hashlib
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import IO, Any, cast

from lockstep.kernel.errors import DataError, IntegrityError, Setting
from lockstep.kernel.files import not_made
from lockstep.kernel.settings import Task
from lockstep.tables.dates import iso_times
from lockstep.tables.memory import empty_array

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pandas.api.internals import create_dataframe_from_blocks  # type: ignore[import-not-found] # by the stubs

ROW = "__row__"
"""The index of every table: the number of the row in the raw data, the first data row being 1. It survives
splitting."""
_FIRST = 10_000
"""Rows that tell whether the numbers of a column are mostly different ones."""


@dataclass(frozen=True)
class Table:
    """Rows of raw data, typed.

    Attributes:
        frame: (n_rows, n_columns); one row is one sample; int64, float64, bool, text (pandas ``str``) and date
            (``datetime64[us]``, NaT where missing) columns, and object columns of True, False and None for booleans
            with missing values; indexed by ROW.
        target: the column to predict.
        task: "classification" or "regression".
        group: the column whose rows must stay together when rows are split, or None.
        time: the column that orders the rows when they are split, or None.
        time_is_feature: whether the model sees that column, too.
        stratified: whether the split kept the classes' shares; False before it.
        copies: numbers (of ROW) of those rows that are training rows too, target included; the split finds them.
        positive: the positive class of two, where load.positive names one; see ``positive_class``.
        weight: the column that says how much each row counts, or None where all count alike.
        levels: {column of texts: its levels in order}, of those that have an order by the contract.
        with_offset: the features of times that said their offset from UTC where they come from; here they are in UTC.
    """

    frame: pd.DataFrame
    target: str
    task: Task
    group: str | None = None
    time: str | None = None
    stratified: bool = False
    copies: tuple[int, ...] = ()
    time_is_feature: bool = False
    positive: str | int | bool | None = None
    weight: str | None = None
    levels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    with_offset: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.frame)

    @cached_property
    def features(self) -> pd.DataFrame:
        """(n_rows, n_features): everything that a model may see, which is neither target, weight, group nor time
        (unless ``time_is_feature``)."""
        time = None if self.time_is_feature else self.time
        others = (self.target, self.weight, self.group, time)
        return self.frame.drop(columns=[name for name in others if name is not None])

    @cached_property
    def labels(self) -> np.ndarray:
        """(n_rows,): the target; float64 for regression, int64, bool or object (of str) for classification."""
        column = self.frame[self.target]
        if self.task == "regression":
            return column.to_numpy(dtype="float64")
        # pandas' own text arrays break some of scikit-learn's meta-estimators; NumPy objects do not.
        return column.to_numpy(dtype=object) if isinstance(column.dtype, pd.StringDtype) else column.to_numpy()

    @cached_property
    def weights(self) -> np.ndarray | None:
        """(n_rows,) float64: how much each row counts; None where all count alike."""
        return None if self.weight is None else self.frame[self.weight].to_numpy(dtype="float64")

    @cached_property
    def time_stamps(self) -> np.ndarray:
        """(n_rows,) numbers that order the rows by the time column: its numbers, or its dates as time stamps; of a
        column of texts, its ISO 8601 dates.

        Raises:
            DataError: a text that is no such date.
        """
        assert self.time is not None
        column = self.frame[self.time]
        if column.dtype.kind in "if":
            return column.to_numpy()
        if column.dtype.kind == "M":
            return column.astype("int64").to_numpy()
        stamps = iso_times(column)
        wrong = np.flatnonzero(stamps.isna())
        if len(wrong):
            key = Setting("split.time")
            raise DataError(
                key,
                f": '{column.iloc[wrong[0]]}' in data row {self.frame.index[wrong[0]]} of column '{self.time}' is "
                "neither a number nor an ISO 8601 date such as 2024-01-31 or 20240131T0930. Declare how its dates are "
                "written (",
                Setting("type: date in the contract"),
                "), or leave ",
                key,
                " empty.",
            )
        return stamps.astype("int64").to_numpy()

    def first_of_its_time(self, position: int) -> int:
        """The first row (0-based), of rows in the order of time, with the time stamp of row ``position``: rows of one
        are never on both sides of a cut."""
        return int(np.searchsorted(self.time_stamps, self.time_stamps[position]))

    def rows(self, positions: np.ndarray) -> "Table":
        """Take the rows at ``positions`` (0-based), in that order."""
        return replace(self, frame=self.frame.iloc[positions])

    @property
    def row_hashes(self) -> pd.Series:
        """(n_rows,) uint64: equal for rows of equal content, target included, whatever they weigh."""
        content = self.frame if self.weight is None else self.frame.drop(columns=self.weight)
        return pd.util.hash_pandas_object(content, index=False)

    def with_copies(self, other: "Table") -> "Table":
        """Find the rows that, target included, are in ``other`` too: the same table with their numbers as its
        ``copies``."""
        known, own = np.sort(other.row_hashes.to_numpy()), self.row_hashes.to_numpy()
        found = np.searchsorted(known, own, side="right") > np.searchsorted(known, own)
        return replace(self, copies=tuple(self.frame.index[found].tolist()))

    @cached_property
    def is_copy(self) -> np.ndarray:
        """(n_rows,) of bool: whether the row is one of ``copies``."""
        found: np.ndarray = self.frame.index.isin(self.copies)
        return found


def column_type(column: pd.Series) -> str:
    """number, date, boolean or text."""
    if column.dtype.kind in "iuf":
        return "number"
    if column.dtype.kind == "M":
        return "date"
    return "text" if isinstance(column.dtype, pd.StringDtype) else "boolean"


def with_columns(frame: pd.DataFrame, columns: Mapping[str, Any]) -> pd.DataFrame:
    """The frame with these columns in place of its own, or behind them: DataFrame.assign, which takes them as keyword
    arguments, knows no column ``self``."""
    found = frame.copy(deep=False)
    for name, values in columns.items():
        found[name] = values
    return found


def positive_class(classes: np.ndarray, named: str | int | bool | None) -> Any:
    """The positive class: what average precision, recall, curves and thresholds are about where there are two classes.

    Args:
        classes: (n_classes,) in sorted order.
        named: what load.positive says; None: the last of the two. 1 and '1', true and 'True' are the same.

    Returns:
        The class as Python has it (no NumPy number); None where there are not two classes, or none is named so.
    """
    if len(classes) != 2:
        return None
    known = classes.tolist()
    return known[1] if named is None else next((name for name in known if str(name) == str(named)), None)


def class_counts(labels: pd.Series | np.ndarray) -> dict[str, int]:
    """Count the rows of each class, in the classes' order."""
    classes, counts = np.unique(
        np.asarray(labels, dtype=object if labels.dtype.kind == "O" else None), return_counts=True
    )
    return {str(name): int(count) for name, count in zip(classes, counts, strict=True)}


def write_table(table: Table, file: Path | IO[bytes]) -> None:
    """Write ``table`` as parquet: the same table always gives the same bytes."""
    arrow = pa.Table.from_pandas(table.frame, preserve_index=True)
    own = {name: getattr(table, name) for name in ("target", "task", "group", "time", "stratified")}
    rare = ("copies", "time_is_feature", "levels", "with_offset")
    own |= {name: value for name in rare if (value := getattr(table, name))}
    own |= {name: value for name in ("positive", "weight") if (value := getattr(table, name)) is not None}
    arrow = arrow.replace_schema_metadata({**(arrow.schema.metadata or {}), b"lockstep": json.dumps(own).encode()})
    own_encodings = _encodings(arrow)
    pq.write_table(
        arrow,
        file,
        compression="zstd",
        write_page_checksum=True,
        use_dictionary=[name for name in arrow.column_names if name not in own_encodings],
        column_encoding=own_encodings or None,
    )


def _encodings(table: pa.Table) -> dict[str, str]:
    """Parquet's encodings of columns of mostly different numbers, {column: encoding}: a dictionary of their values,
    which parquet makes of every column else, takes four times as long and saves nothing."""
    if len(table) <= _FIRST:
        return {}
    kinds = {pa.float64(): "BYTE_STREAM_SPLIT", pa.int64(): "DELTA_BINARY_PACKED"}
    return {
        field.name: kinds[field.type]
        for field in table.schema
        if field.type in kinds and pc.count_distinct(table[field.name].slice(0, _FIRST)).as_py() > _FIRST / 2
    }


class _Digest(io.RawIOBase):
    """A file that keeps nothing of what is written to it but its SHA-256."""

    def __init__(self) -> None:
        self.sha256 = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.sha256.update(data)
        return len(data)


def table_sha256(table: Table) -> str:
    """Compute the SHA-256 of the file that write_table writes, without a copy of it on disk or in memory."""
    file = _Digest()
    write_table(table, cast("IO[bytes]", file))
    return file.sha256.hexdigest()


def read_table(path: Path, *, only_target: bool = False, in_pieces: bool = False) -> Table:
    """Read what write_table wrote, all of it or the target column, with the weights, alone.

    ``in_pieces``: numbers of one type are one piece of memory, of which rows are taken more quickly, and encoded with
    one copy less; a large one, by the memory that there is, lies in a file beside ``path``. Else each column is a piece
    of its own, and can be let go of alone.

    Raises:
        DataError: there is no such file.
        IntegrityError: it is not such a file.
    """
    with _reading(path):
        return _parsed(path, only_target=only_target, pieces_beside=path if in_pieces else None)


def read_hashed_table(path: Path) -> tuple[Table, str]:
    """Read what write_table wrote, and the SHA-256 of the very bytes that the table comes from. Raises as
    read_table, ``in_pieces``."""
    with _reading(path), path.open("rb") as file:
        before = os.fstat(file.fileno())
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        table = _parsed(file, pieces_beside=path)
        after = os.fstat(file.fileno())
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise ValueError("it changed while it was read")
        return table, sha256


def _parsed(source: Path | IO[bytes], *, only_target: bool = False, pieces_beside: Path | None = None) -> Table:
    with pq.ParquetFile(source, page_checksum_verification=True, pre_buffer=False) as file:
        schema = file.schema_arrow
        own = json.loads(schema.metadata[b"lockstep"])
        if only_target:
            columns = [ROW, own["target"], *([own["weight"]] if "weight" in own else [])]
            schema = pa.schema([schema.field(name) for name in columns], schema.metadata)
        frame = _by_columns(file, schema) if pieces_beside is None else _in_pieces(file, schema, pieces_beside.parent)
    pa.default_memory_pool().release_unused()  # what decoding took, which would be kept for the next file
    frame.index.name = ROW
    return Table(frame, **{**own, "copies": tuple(own.get("copies", ()))})


def _column(file: pq.ParquetFile, name: str) -> pa.ChunkedArray:
    """One column alone: what decoding takes is that of one, and the table is never there twice."""
    return file.read(columns=[name], use_threads=False).column(0)


def _by_columns(file: pq.ParquetFile, schema: pa.Schema) -> pd.DataFrame:
    """The columns of ``schema``, each a piece of memory of its own."""
    arrow = pa.table([_column(file, name) for name in schema.names], schema=schema)
    frame: pd.DataFrame = arrow.to_pandas(split_blocks=True, self_destruct=True)
    return frame


def _in_pieces(file: pq.ParquetFile, schema: pa.Schema, folder: Path) -> pd.DataFrame:
    """The same; but the columns of whole numbers are one piece of memory, those of decimal numbers another."""
    names = [name for name in schema.names if name != ROW]
    blocks: list[tuple[Any, np.ndarray]] = []
    for kind in (pa.float64(), pa.int64()):
        places = [place for place, name in enumerate(names) if schema.field(name).type == kind]
        block = empty_array((len(places), file.metadata.num_rows), kind.to_pandas_dtype(), folder)
        for row, place in zip(block, places, strict=True):
            row[:] = _column(file, names[place])
        if places:
            blocks.append((block, np.array(places)))
    found = {place for _, places in blocks for place in places}
    others = [name for place, name in enumerate(names) if place not in found]
    rest = _by_columns(file, pa.schema([schema.field(name) for name in (*others, ROW)], schema.metadata))
    for name in others:
        array = rest[name].array
        # A NumPy array is wanted as the one row that it is of a block.
        values = array.to_numpy()[None] if isinstance(array, pd.arrays.NumpyExtensionArray) else array
        blocks.append((values, np.array([names.index(name)])))
    frame: pd.DataFrame = create_dataframe_from_blocks(blocks, rest.index, pd.Index(names))
    return frame


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Name what is wrong with the file in the words of read_table's errors."""
    try:
        yield
    except FileNotFoundError:
        raise not_made(path) from None
    except PermissionError:
        raise
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        raise IntegrityError(
            f"{path} is not a table that Lockstep wrote ({error}). Run 'dvc repro' to remake it."
        ) from None
