"""A sheet of an Excel workbook: a header, and rows of typed cells below it."""

import warnings
import zipfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from lockstep.intake.detecting.csv_detection import MAX_TITLE
from lockstep.intake.detecting.wording import are
from lockstep.intake.sources.values import Origin
from lockstep.kernel.errors import DataError, MachineError, SettingsError, plural, some
from lockstep.reading.source import FREE_SIZE, MAX_RATIO, check_file

if TYPE_CHECKING:
    from openpyxl.cell import Cell
    from openpyxl.worksheet.worksheet import Worksheet

SUFFIXES = (".xlsx", ".xlsm")
NOT_AVAILABLE = "#N/A"
"""The one error value that says that there is no value."""


class Sheet(NamedTuple):
    """What a sheet holds.

    Attributes:
        name: of the sheet.
        columns: {name: (n_rows,) values}, None where a cell is empty or #N/A.
        origin: of the values.
        notes: in words, what was read past.
    """

    name: str
    columns: dict[str, list[Any]]
    origin: Origin
    notes: list[str]


def read_workbook(path: Path, sheet: str | None, *, skip_lines: int | None = None, skip_footer_lines: int = 0) -> Sheet:
    """The table of a sheet, whose first row with a cell, below a title, is the header.

    Args:
        path: the workbook.
        sheet: the sheet's name; None: the one that is not empty.
        skip_lines: rows with cells above the header; None: up to MAX_TITLE of one cell each, above an empty row.
        skip_footer_lines: rows behind the last one of the table, such as totals.

    Raises:
        DataError: not a workbook; several sheets to choose from; a formula without a value, an error value, merged
            cells, a column without a name, an empty row amid the rows.
        SettingsError: there is no such sheet.
        MachineError: openpyxl is not installed.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of styles and the like; a date that is none becomes an error value
        found = _opened(path, sheet)
    return _table(found, path, skip_lines, skip_footer_lines)


def _opened(path: Path, sheet: str | None) -> "Worksheet":
    """The sheet, whose formulas all have their values."""
    try:
        import openpyxl
        from openpyxl.utils.exceptions import InvalidFileException
    except ImportError as error:
        raise MachineError(
            f"{path} is a workbook, and openpyxl, which reads it, is not installed ({error}). Type 'make sources'."
        ) from None
    check_file(path)
    try:
        _check_size(path)
        values = openpyxl.load_workbook(path, data_only=True)
        formulas = openpyxl.load_workbook(path, data_only=False, read_only=True)
    except DataError:
        raise  # which is a ValueError, too
    except (InvalidFileException, zipfile.BadZipFile, KeyError, ValueError, TypeError, OSError, SyntaxError) as error:
        raise DataError(
            f"{path} is not an Excel workbook that can be read: {error}. If it opens in a spreadsheet program, save it "
            "there as .xlsx without a password, or its table as CSV (UTF-8)."
        ) from None
    found = _chosen(values.worksheets, sheet, path)
    pages = formulas[found.title]
    pages.reset_dimensions()  # what a program wrote of the sheet's size may be wrong, and would cut it
    try:
        _check_formulas(found, pages, path)
    finally:
        formulas.close()
    return found


def _check_size(path: Path) -> None:
    """Raise DataError if the workbook, which is a zip archive, unpacks to more than any does."""
    with zipfile.ZipFile(path) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    limit = max(FREE_SIZE, MAX_RATIO * path.stat().st_size)
    if size > limit:
        raise DataError(f"{path} unpacks to {size:,} bytes, more than {MAX_RATIO} times its size: no workbook does.")


def _chosen(sheets: Sequence["Worksheet"], name: str | None, path: Path) -> "Worksheet":
    """The sheet ``name``, or the only one that is not empty."""
    there = {sheet.title: sheet for sheet in sheets}
    filled = [sheet for sheet in sheets if any(cell.value is not None for row in sheet.iter_rows() for cell in row)]
    shown = some(
        [f"'{one.title}' ({plural(one.max_row, 'row')}, {plural(one.max_column, 'column')})" for one in filled], 10
    )
    if name is not None:
        if name not in there:
            raise SettingsError(f"--sheet: {path} has no sheet '{name}'. Those that are not empty: {shown}.")
        return there[name]
    if not filled:
        raise DataError(f"{path} has no cell with something in it. Put a table with a header row there.")
    if len(filled) > 1:
        raise DataError(f"{path} has {len(filled)} sheets that are not empty: {shown}. Say which: --sheet NAME.")
    return filled[0]


def _check_formulas(sheet: "Worksheet", formulas: Any, path: Path) -> None:
    """Raise DataError where a formula has no value: the file was written by a program that computes none."""
    without = [
        cell.coordinate
        for row in formulas.iter_rows()
        for cell in row
        if cell.value is not None and cell.data_type == "f" and sheet[cell.coordinate].value is None
    ]
    if without:
        raise DataError(
            f"{_shown(path, sheet)}: {plural(len(without), 'cell')} with a formula without its value: "
            f"{some(without)}. Open the workbook in a spreadsheet program and save it, which computes them."
        )


def _table(sheet: "Worksheet", path: Path, skip_lines: int | None, skip_footer_lines: int) -> Sheet:
    name = _shown(path, sheet)
    rows = [row for row in sheet.iter_rows() if any(cell.value is not None for cell in row)]
    titles = _titles(rows) if skip_lines is None else rows[:skip_lines]
    rows = rows[len(titles) : max(len(rows) - skip_footer_lines, 0)]
    if len(rows) < 2:
        raise DataError(f"{name} has no row below its header. Put a table with a header row there.")
    header, *body = rows
    used = [place for place in range(len(header)) if any(row[place].value is not None for row in rows)]
    first, last = header[0].row, body[-1][0].row
    _check_merged(sheet, name, first, last)
    names = _names([header[place] for place in used], name)
    if last - first > len(body):
        numbers = {row[0].row for row in rows}
        empty = next(number for number in range(first, last) if number not in numbers)
        raise DataError(f"{name}: row {empty} is empty, amid the rows. Remove it, or what is no row above or below it.")
    not_available = 0
    columns: dict[str, list[Any]] = {}
    for place, column in zip(used, names, strict=True):
        cells = [row[place] for row in body]
        errors = [cell for cell in cells if cell.data_type == "e"]
        if wrong := [f"{cell.value} in {cell.coordinate}" for cell in errors if cell.value != NOT_AVAILABLE]:
            raise DataError(
                f"{name}: column '{column}' has {plural(len(wrong), 'cell')} with an error: {some(wrong)}. "
                "Correct or empty them."
            )
        not_available += len(errors)
        columns[column] = [None if cell.data_type == "e" else cell.value for cell in cells]
    notes = [f"row {row[0].row} is taken for a title above the header (--skip-lines N)" for row in titles]
    notes = notes if skip_lines is None else []
    notes += (
        [f"{plural(not_available, 'cell')} with {NOT_AVAILABLE} {are(not_available)} missing"] if not_available else []
    )
    dimensions = sheet.row_dimensions
    if hidden := [row[0].row for row in body if row[0].row in dimensions and dimensions[row[0].row].hidden]:
        notes.append(
            f"{plural(len(hidden), 'hidden row')} {are(len(hidden))} read too, the first being row {hidden[0]}"
        )
    origin = Origin(
        name, lambda row, column: f"cell {body[row][used[column]].coordinate}", "Make them alike in the workbook"
    )
    return Sheet(sheet.title, columns, origin, notes)


def _titles(rows: Sequence[Sequence["Cell"]]) -> Sequence[Sequence["Cell"]]:
    """The rows at the beginning that are titles: of one cell each, with an empty row below, which no table has."""
    for number, (row, following) in enumerate(pairwise(rows[: MAX_TITLE + 1]), 1):
        if sum(cell.value is not None for cell in row) > 1:
            break
        if following[0].row > row[0].row + 1:
            return rows[:number]
    return []


def _check_merged(sheet: "Worksheet", name: str, first: int, last: int) -> None:
    """Raise DataError if cells of the table are merged: one of them has the value, and the others are empty."""
    merged = [area.coord for area in sheet.merged_cells.ranges if area.min_row <= last and area.max_row >= first]
    if merged:
        raise DataError(
            f"{name}: merged cells in the table: {some(sorted(merged))}. Unmerge them, and put a value into each cell; "
            "or, where they are a title above the header, leave out its rows: --skip-lines N."
        )


def _names(header: Sequence["Cell"], name: str) -> list[str]:
    """The columns' names: texts, or whole numbers such as years."""
    for cell in header:
        if cell.value is None:
            raise DataError(
                f"{name}: the column of cell {cell.coordinate} has no name. Put the names of all columns into row "
                f"{cell.row}; or, where that is a title above the header, leave it out: --skip-lines N."
            )
        if not isinstance(cell.value, str | int) or isinstance(cell.value, bool):
            raise DataError(
                f"{name}: the name in cell {cell.coordinate} is no text but {str(cell.value)!r}. The first row "
                "must hold the columns' names."
            )
    names = [str(cell.value) for cell in header]
    if twice := [column for column in names if names.count(column) > 1]:
        raise DataError(f"{name}: two columns are named '{twice[0]}'. Give each a name of its own.")
    return names


def _shown(path: Path, sheet: "Worksheet") -> str:
    return f"{path}, sheet '{sheet.title}'"
