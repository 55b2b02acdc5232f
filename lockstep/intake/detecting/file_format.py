"""Finds out how a data file is written, and reads it: delimiter, encoding, decimal mark, lines above the header.

What is found is proposed, shown, and written into the settings: the stages themselves guess nothing.
"""

import contextlib
import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from lockstep.intake.detecting.codes import codes_like_numbers
from lockstep.intake.detecting.csv_detection import detect_dialect
from lockstep.intake.detecting.date_columns import DateForm, find_date_forms, zoned_date_forms
from lockstep.intake.detecting.decimal_marks import usual_format
from lockstep.intake.detecting.formatted_numbers import Doubt, NumberForm, are_usual, find_number_forms, open_readings
from lockstep.intake.detecting.settled_columns import columns_of, settled_table
from lockstep.intake.detecting.wording import columns_beside, not_beside_target
from lockstep.kernel.errors import DataError, Setting, SettingsError, did_you_mean, some
from lockstep.kernel.log import heartbeat
from lockstep.reading.blocks import read_typed
from lockstep.reading.column_types import DATE_TYPE, MISSING, NUMBER_TYPE, STRING_TYPE, Format
from lockstep.reading.csvfile import TEXT, CsvFile, Dialect, TextTable
from lockstep.reading.dataframes import normalised_frame, ordered_levels, read_parquet, typed_dataframe
from lockstep.reading.quirks import ROW_NAMES
from lockstep.reading.source import check_file
from lockstep.steps.splitting.identifiers import DATE, counts_up
from lockstep.tables.table import column_type

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

_PANDAS_INDEX = re.compile(r"Unnamed: 0([._][0-9]+)*")
"""The name of an index that was saved without one and read by pandas as a column."""


class TableFacts(NamedTuple):
    """What a data file holds, and how it is written.

    Attributes:
        path: the file.
        frame: (n_rows, n_columns), typed.
        about: in words, how it is written.
        settings: those of the section load that say so, where they are not the defaults or have a reason.
        reasons: {setting: why it has its value}, where that is not plain.
        warnings: what it could be read as, too.
        missing_as: {column: {word: count}}: what is in the cells that count as missing.
        unneeded: {column: why}: columns that no one has named, or that are there twice, and that say nothing.
        numbers: {column: how it is read}, of those whose numbers are written in a form of their own.
        doubts: {column: why it stays text}, of those that seem to be numbers.
        dates: {column: how it is read}, of those whose cells are texts or numbers and mean dates.
        levels: {column: its levels, the lowest first}, of those texts that the file itself has in an order.
    """

    path: Path
    frame: pd.DataFrame
    about: str
    settings: dict[str, Any]
    reasons: dict[str, str]
    warnings: list[str]
    missing_as: dict[str, dict[str, int]]
    unneeded: Mapping[str, str] = MappingProxyType({})
    numbers: Mapping[str, NumberForm] = MappingProxyType({})
    doubts: Mapping[str, Doubt] = MappingProxyType({})
    dates: Mapping[str, DateForm] = MappingProxyType({})
    levels: Mapping[str, Sequence[str]] = MappingProxyType({})


class CsvFormat(NamedTuple):
    """How a CSV file is written (see Detected), and how numbers are written in it."""

    dialect: Dialect
    text: TextTable
    header: list[str]
    beside: list[str]
    reasons: dict[str, str]
    warnings: list[str]
    form: Format


def look(path: Path, given: Mapping[str, Any]) -> TableFacts:
    """Read a CSV or parquet file.

    Args:
        path: the file.
        given: what the user has decided, and is not to be found out: {setting: value}.

    Raises:
        DataError: it is no table, or can be read in two ways; or has not the columns that are given.
        SettingsError: what is given contradicts itself or the file.
    """
    check_file(path)
    defaults: dict[str, Any] = Dialect()._asdict() | Format()._asdict()
    rest = {name: given[f"load.{name}"] for name in defaults if f"load.{name}" in given}
    words: dict[str, Any] = {name: tuple(rest.pop(name)) for name in ("missing", "missing_texts") if name in rest}
    said = {"numbers": given.get(NUMBER_TYPE, ()), "text": given.get(STRING_TYPE, ())}
    said |= {"dates": dict(given.get(DATE_TYPE, ()))}
    for one, other in ("numbers", "text"), ("numbers", "dates"), ("text", "dates"):
        if both := [name for name in said[one] if name in said[other]]:
            raise SettingsError(f"--{one} and --{other} both name '{both[0]}'. Leave it out of one of them.")
    if path.suffix.lower() == ".parquet":
        if rest:
            flag = next(iter(rest)).replace("_", "-")
            raise SettingsError(f"--{flag} says how a CSV file is written, and {path} is none. Leave it out.")
        if (names := _parquet_names(path)) is not None:
            _check_given(names, given, path)
        form, frame = Format(**words), read_parquet(path)
        plain = normalised_frame(frame)
        _check_said(plain.columns, said)
        kept = [str(name) for name in plain if column_type(plain[name]) == "text" or name in said["dates"]]
        cells = {name: pa.array(plain[name].astype("str").fillna(""), TEXT) for name in kept}
        rows = plain.index.to_numpy()
        dates, doubtful = find_date_forms(cells, form, rows, given=said["dates"], texts=said["text"], place="row")
        dates |= zoned_date_forms(frame, form)
        cells = {name: column for name, column in cells.items() if name not in dates}
        numbers, doubts = find_number_forms(cells, form, numbers=said["numbers"], texts=said["text"], given=words)
        read = typed_dataframe(frame, str(path), *_declared(numbers, dates, said["text"]))
        warnings = [*doubtful, *open_readings(cells, read.frame, numbers, form, ())]
        about = "a parquet file"
        orders = ordered_levels(frame)
        levels = {name: orders[name] for name in orders if column_type(read.frame[name]) == "text"}
        return TableFacts(
            path, read.frame, about, words, {}, warnings, read.missing_as, {}, numbers, doubts, dates, levels
        )
    for one, other in ("delimiter", "quote"), ("delimiter", "escape"), ("quote", "escape"), ("decimal", "thousands"):
        if rest.get(one) and rest[one] == rest.get(other):
            raise SettingsError(f"--{one} and --{other} are the same, {rest[one]!r}. Give different characters.")
    given_dialect = {name: value for name, value in rest.items() if name in Dialect._fields}
    marks = {name: rest.get(name) for name in ("decimal", "thousands")}
    dialect, text, header, beside, reasons, warnings, form = detect_csv(
        path,
        **given_dialect,
        **marks,
        missing=words.get("missing", MISSING),
        texts=(*said["text"], *said["dates"]),
        whole=said["numbers"],
    )
    _check_given(text.cells.column_names, given, path)
    if "skip_footer_lines" in reasons:
        reasons["skip_footer_lines"] += "; 'update' asks for such a line below a new table"
    form = form._replace(**words)
    cells, lines = columns_of(text), text.line_starts
    del text
    usual = {name for name, column in cells.items() if name not in said["dates"] and are_usual(column, form)}
    for name in cells.keys() - usual:  # one after the other, and the pieces of each are let go of
        cells[name] = cells[name].combine_chunks()
    own = [name for name in ("decimal", "thousands", "missing") if f"load.{name}" in given]
    _check_said(cells, said)
    passed_over = {*said["text"], *usual}
    with heartbeat("looking for dates"):
        dates, doubtful = find_date_forms(cells, form, lines, given=said["dates"], texts=passed_over)
    cells = {name: column for name, column in cells.items() if name not in dates}
    codes = codes_like_numbers(
        {name: column for name, column in cells.items() if name not in (*said["numbers"], *said["text"])}, form.missing
    )
    texts = {*said["text"], *codes}
    with heartbeat("looking for numbers"):
        numbers, doubts = find_number_forms(cells, form, numbers=said["numbers"], texts=texts, given=own, plain=usual)
    types, forms = _declared(numbers, dates, said["text"])
    types |= dict.fromkeys(codes, "string")
    # What is to be read as numbers is asked for its texts once more.
    cells = {name: column for name, column in cells.items() if name in usual or name in numbers}
    typed = read_typed(CsvFile(path, dialect), form, types, forms=forms)  # block by block: it takes half of the time
    warnings += [
        f"'{name}' is read as text: {why}. If they are numbers, add the table with --numbers {shlex.quote(name)}"
        for name, why in codes.items()
    ]
    warnings += [*doubtful, *open_readings(cells, typed.frame, numbers, form, own)]
    check_header(typed.frame, form, path)
    found: dict[str, Any] = dialect._asdict() | form._asdict()
    settings = {name: value for name, value in found.items() if value != defaults[name] or name in reasons}
    marks_found = [f"delimiter {dialect.delimiter!r}", f"encoding {dialect.encoding}", f"decimal mark {form.decimal!r}"]
    about = ", ".join([*marks_found, *beside])
    unneeded = _unneeded(typed.frame, header)
    return TableFacts(
        path, typed.frame, about, settings, reasons, warnings, typed.missing_as, unneeded, numbers, doubts, dates
    )


def _parquet_names(path: Path) -> list[str] | None:
    """The columns that pandas gives of a parquet file, whose rows are not read for it; None if it is no such file."""
    with contextlib.suppress(OSError, ValueError):
        return [str(name) for name in pq.read_schema(path).empty_table().to_pandas()]
    return None


def _check_given(names: Sequence[str], given: Mapping[str, Any], path: Path) -> None:
    """Raise DataError if a setting that the user gives names a column that is not there: as soon as the columns are
    known, since typing a large table takes long."""
    target = given.get("load.target")
    if target is not None and target not in names:
        raise DataError(f"{path} has no column '{target}'. {columns_beside(target, names)}")
    for column in given.get("load.drop", ()):
        if column not in names:
            raise DataError(Setting("load.drop"), f": {path} has no column '{column}'. {columns_beside(column, names)}")
    beside = [name for name in names if name != target]
    for setting in ("load.weight", "split.group", "split.time"):
        column = given.get(setting)
        if column is not None and column not in beside:
            raise not_beside_target(setting, column, beside)


def _check_said(names: Collection[str], said: Mapping[str, Collection[str]]) -> None:
    """Raise DataError if the user names a column that is not there."""
    for kind, columns in said.items():
        for name in columns:
            if name not in names:
                there = f"There are: {some(names, 20)}.{did_you_mean(name, names)}"
                raise DataError(f"--{kind}: there is no column '{name}'. {there}")


def _declared(
    numbers: Mapping[str, NumberForm], dates: Mapping[str, DateForm], texts: Collection[str]
) -> tuple[dict[str, str], dict[str, Format]]:
    """(the types, the forms) that the contract will declare of the columns that have a form of their own, or that the
    user says are texts."""
    types = dict.fromkeys(numbers, "number") | {name: date.type for name, date in dates.items()}
    forms = {name: number.form for name, number in numbers.items()} | {name: date.form for name, date in dates.items()}
    return types | dict.fromkeys(texts, "string"), forms


def detect_csv(
    path: Path,
    *,
    decimal: str | None = None,
    thousands: str | None = None,
    missing: Sequence[str] = MISSING,
    texts: Collection[str] = (),
    whole: Collection[str] = (),
    **given: Any,
) -> CsvFormat:
    """Find out how a CSV file and the numbers in it are written.

    Args:
        path: the file.
        decimal, thousands: not to be found out; None to find out.
        missing: words for a missing value among numbers.
        texts: columns that the user declares to be texts.
        whole: others of which all cells are wanted: of columns of plain numbers it may be the first ones only.
        given: fields of Dialect that are not to be found out.

    Raises:
        DataError: it is no table, row by row, however it is read; or numbers can be read in two ways.
    """
    is_open = decimal is None and thousands is None
    read = partial(settled_table, missing=missing, whole={*texts, *whole}, is_open=is_open)
    found = detect_dialect(path, given, read)
    columns = columns_of(found.text)
    form = usual_format(
        columns, path, found.dialect.delimiter, missing, decimal=decimal, thousands=thousands, texts=texts
    )
    return CsvFormat(*found, form)


def _unneeded(frame: pd.DataFrame, header: Sequence[str]) -> dict[str, str]:
    """{column: why it says nothing}: saved indices, empty columns without a name, copies of a column.

    Args:
        frame: (n_rows, n_columns), typed.
        header: the names as they are written: blank for a column without one; one fewer if rows have names.
    """
    names = [str(name) for name in frame]
    unneeded = {ROW_NAMES: "it names the rows"} if len(header) < len(names) else {}
    for place, (name, written) in enumerate(zip(names[-len(header) :], header, strict=True)):
        column = frame[name]
        if not written.strip():
            if column.isna().all():
                unneeded[name] = "it has neither name nor content"
            elif place == 0 and (why := _as_index(column)):
                unneeded[name] = f"it has no name and {why}, as a saved index does"
        elif _PANDAS_INDEX.fullmatch(written) and (why := _as_index(column)):
            unneeded[name] = f"it is named as pandas names a saved index and {why}"
        elif name != written and column.equals(frame[written]):
            unneeded[name] = f"it is a copy of '{written}'"
    return unneeded


def _as_index(column: pd.Series) -> str:
    """In words, in what the present values of a column are like a table's index; "" if they are not. Its whole numbers
    count up; or anew for each of several files; or all differ, as those of rows that were chosen or shuffled."""
    present = column.dropna()
    if column_type(column) != "number" or len(present) < 2 or (present % 1 != 0).any():
        return ""
    if counts_up(present):
        return "numbers the rows"
    if present.is_unique:
        return "holds no whole number twice"
    starts = np.flatnonzero(np.diff(present) <= 0) + 1
    parts = np.split(present.to_numpy(), starts)
    alike = all(part[0] == parts[0][0] and (len(part) == 1 or counts_up(pd.Series(part))) for part in parts)
    return f"counts up from {parts[0][0]:.0f} {len(parts)} times" if alike and len(parts[0]) > 1 else ""


def check_header(frame: pd.DataFrame, form: Format, path: Path) -> None:
    """Raise DataError if the column names are a row: the header is missing, and the row is lost.

    Numbers are names in wide tables (a column per year): there they go up or down, and other columns have names.
    """
    names = [str(name) for name in frame]
    kinds = {name: column_type(frame[name]) for name in names}
    numbers = [name for name in names if kinds[name] == "number"]
    hits = [name for name in numbers if re.match(form.number, name.strip())]
    echoes = [name for name in names if kinds[name] == "text" and (frame[name] == name).any()]
    echoes += [name for name in names if kinds[name] == "date" and DATE.search(name)]
    clear = [name for name in names if name[:1].isalpha() and name not in echoes and not DATE.search(name)]
    values = pd.Series(
        [float(name.strip().replace(form.thousands or " ", "").replace(form.decimal, ".")) for name in hits]
    )
    scale = values.is_monotonic_increasing or values.is_monotonic_decreasing
    if (hits and (echoes or not clear or (not scale and 2 * len(hits) > len(numbers)))) or (
        len(echoes) > 1 and 2 * len(echoes) > len(names)
    ):
        raise DataError(
            f"{path}: the first line looks like a row, not like column names: {some([*map(repr, [*hits, *echoes])])} "
            "are like the cells below them. Put a line with the names above it; if they are names, rename them."
        )
