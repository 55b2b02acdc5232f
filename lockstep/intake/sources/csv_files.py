"""Several CSV files of one layout: their rows, one below the other, as one CSV file."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lockstep.intake.detecting.csv_detection import Detected, detect_dialect
from lockstep.kernel.errors import DataError, SettingsError, some

import pyarrow as pa

_WRITTEN = ("delimiter", "quote", "escape")
"""The fields of Dialect that must be the same in all files."""


def write_joined(
    files: Sequence[Path], path: Path, given: Mapping[str, Any], column: str | None
) -> tuple[dict[Path, int], list[str]]:
    """Write the rows of ``files``, in their order, to ``path``: in UTF-8, by their delimiter, the cells as they are.

    Each file is read strictly, as ``add`` reads it alone; how numbers and dates are written is then found in all rows.

    Args:
        files: at least two.
        path: the file to write.
        given: the fields of Dialect that the user has decided.
        column: a name for a column with the files' names, behind the others; None: without it.

    Returns:
        ({file: its number of rows}, in words, what below their rows is left out, or may be none)

    Raises:
        DataError: a file is no table, or another one than the first.
        SettingsError: ``column`` is the name of a column.
    """
    names = [file.name for file in files]
    shown = names if len(set(names)) == len(files) else list(map(str, files))
    read: list[Detected] = []
    for file in files:
        read.append(detect_dialect(file, given))
        _check_alike(read, files)
    first, own = read[0], [column] * bool(column)
    if column in first.text.cells.column_names:
        raise SettingsError(f"--file-column: {files[0]} has a column '{column}' already. Give another name.")
    tables = [found.text.cells for found in read]
    with path.open("w", encoding="utf-8", newline="") as handle:
        out = csv.writer(handle, delimiter=first.dialect.delimiter, lineterminator="\n")
        out.writerow([*first.header, *own])
        for name, table in zip(shown, tables, strict=True):
            for batch in table.to_batches(max_chunksize=1 << 16):
                cells = (cells.to_pylist() for cells in batch.columns)
                out.writerows([*row, *([name] if own else [])] for row in zip(*cells, strict=True))
    again = detect_dialect(path, {"delimiter": first.dialect.delimiter, "skip_footer_lines": 0}).text.cells
    if again.select(tables[0].column_names) != pa.concat_tables(tables):
        raise DataError(
            f"{some(names)} cannot be joined: a cell would be read otherwise than it is. Join them yourself."
        )
    notes = []
    for name, found in zip(shown, read, strict=True):
        totals = [found.reasons[field] for field in ("skip_footer_lines",) if field in found.reasons]
        notes += [f"{name}: {total}, and is left out (--skip-footer-lines 0 keeps it)" for total in totals]
        notes += [f"{name}: {warning}" for warning in found.warnings]
    return {file: table.num_rows for file, table in zip(files, tables, strict=True)}, notes


def _check_alike(read: Sequence[Detected], files: Sequence[Path]) -> None:
    """Raise DataError unless the last of the files that are read has the columns of the first, in the same order, and
    is written alike. A file in UTF-8 shows that it is; of other encodings, which are found by what is plausible, there
    must be one only."""
    first, found, one, other = read[0], read[-1], files[0], files[len(read) - 1]
    if found.header != first.header:
        what = _difference(first.header, found.header)
        raise DataError(f"{other} has other columns than {one}: {what}. Make the files alike, or add them apart.")
    by_names = [{*("numbered_names", "row_names")} & {*file.dialect.quirks} for file in (first, found)]
    if by_names[0] != by_names[1]:
        raise DataError(f"{other} names its columns in another way than {one}. Make the files alike.")
    encodings = [file.dialect.encoding for file in read if file.dialect.encoding != "utf-8"]
    differing = {name: (getattr(first.dialect, name), getattr(found.dialect, name)) for name in _WRITTEN}
    differing |= {"encoding": (encodings[0], encodings[-1])} if encodings else {}
    for name, (was, is_) in differing.items():
        if was != is_:
            raise DataError(
                f"{other} is not written as the files before it: {name} {is_!r}, not {was!r}. Save them alike; or say "
                f"what it is in all of them, with --{name}."
            )


def _difference(first: Sequence[str], other: Sequence[str]) -> str:
    """In words, how the second header differs."""
    lacking = [repr(name) for name in first if name not in other]
    more = [repr(name) for name in other if name not in first]
    words = [f"it lacks {some(lacking)}"] * bool(lacking) + [f"it has {some(more)} more"] * bool(more)
    if words or len(first) != len(other):
        return " and ".join(words) or f"{len(other)} instead of {len(first)}"
    place = next(place for place, name in enumerate(first) if name != other[place])
    return f"the order differs, column {place + 1} is '{other[place]}', not '{first[place]}'"
