"""The data contract: what a problem's table must look like, checked row by row.

A contract is a file in YAML of the form Table Schema (Frictionless Data, https://specs.frictionlessdata.io/table-schema/),
inferred once and then edited by people; under ``lockstep``, which that standard leaves to us, it says how grave a
violation is and, of a column, what stands around its numbers.
"""

import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from lockstep.kernel.errors import DataError, SettingsError, absent_columns, plural, some
from lockstep.kernel.log import logger
from lockstep.kernel.settings import Settings, Severity, convert
from lockstep.kernel.strict_yaml import read_yaml
from lockstep.reading.column_types import Format
from lockstep.reading.date_formats import DATE_TYPES, ISO, are_days, dates_of, problem_of_format
from lockstep.reading.number_marks import NO_MARKS, GroupMark, Marks
from lockstep.tables.dates import shown_date
from lockstep.tables.table import column_type

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
from msgspec.structs import replace

FieldType = Literal["number", "integer", "boolean", "date", "datetime", "string"]


class Constraints(Settings, frozen=True, omit_defaults=True):
    """What holds for every cell of a column; the limits of dates are ISO 8601 texts."""

    required: bool = False
    unique: bool = False
    minimum: float | str | None = None
    maximum: float | str | None = None
    enum: tuple[str, ...] | None = None
    pattern: str | None = None

    @property
    def range(self) -> tuple[float | str | None, float | str | None]:
        return self.minimum, self.maximum


class Field(Settings, frozen=True, omit_defaults=True, rename="camel"):
    """A column.

    Attributes:
        format: how dates are written: default (ISO 8601), or a pattern of strptime.
        decimal_char, group_char: the column's decimal mark, and the mark between groups of digits; None: as the section
            load says.
        bare_number: False where marks such as a currency or a unit stand around the numbers; ``lockstep`` says which.
        missing_values: words for a missing value in this column, besides an empty cell and those of the section load.
        categories: the levels of a column of texts in their order; those that are none break the rule ``enum``.
        categories_ordered: must be true with them; without an order, ``constraints.enum`` lists levels.
        lockstep: what Table Schema has no words for.
    """

    name: Annotated[str, msgspec.Meta(min_length=1)]
    type: FieldType
    format: str = ISO
    description: str | None = None
    decimal_char: Literal[".", ","] | None = None
    group_char: GroupMark | None = None
    bare_number: bool = True
    missing_values: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    categories_ordered: bool = False
    lockstep: Marks = NO_MARKS
    constraints: Constraints = Constraints()

    @property
    def limits(self) -> Constraints:
        """What holds for every cell, the levels in an order included."""
        return replace(self.constraints, enum=self.categories) if self.categories else self.constraints

    def form(self, usual: Format) -> Format:
        """How the column's numbers, dates and missing values are written, in a file whose other columns are of
        ``usual``."""
        return Format(
            usual.decimal if self.decimal_char is None else self.decimal_char,
            usual.thousands if self.group_char is None else self.group_char,
            (*usual.missing, *self.missing_values),
            (*usual.missing_texts, *self.missing_values),
            self.lockstep,
            self.format,
        )


class Severities(Settings, frozen=True):
    """How grave each kind of violation is. A cell that is not of its column's type is always an error."""

    columns: Severity = "error"
    required: Severity = "error"
    unique: Severity = "warning"
    range: Severity = "warning"
    enum: Severity = "warning"
    pattern: Severity = "warning"
    rows: Severity = "error"


class Own(Settings, frozen=True):
    """What Table Schema has no words for."""

    minimum_rows: Annotated[int, msgspec.Meta(ge=1)] = 100
    severity: Severities = Severities()


class Contract(Settings, frozen=True):
    """What a table must look like."""

    fields: tuple[Field, ...]
    lockstep: Own = Own()

    @property
    def types(self) -> dict[str, FieldType]:
        """{column: type}"""
        return {field.name: field.type for field in self.fields}

    @property
    def orders(self) -> dict[str, tuple[str, ...]]:
        """{column: its levels in order} of those that have an order."""
        return {field.name: field.categories for field in self.fields if field.categories}

    @property
    def with_offset(self) -> tuple[str, ...]:
        """The columns of times that say their offset from UTC."""
        return tuple(field.name for field in self.fields if field.lockstep.offset or "%z" in field.format)

    def forms(self, usual: Format) -> dict[str, Format]:
        """{column: its form} of the columns that are written in another form than ``usual``, and of those of dates.

        Raises:
            SettingsError: a column's decimal mark is the mark between its groups.
        """
        forms = {field.name: field.form(usual) for field in self.fields}
        for name, form in forms.items():
            if form.decimal == form.thousands:
                raise SettingsError(
                    f"the contract: the decimal mark of '{name}' and the mark between its groups are the same, "
                    f"{form.decimal!r}, as the section load or the contract has them. Set decimalChar or groupChar."
                )
        return {name: form for name, form in forms.items() if form != usual or self.types[name] in DATE_TYPES}


class Violation(NamedTuple):
    """A rule that some rows break.

    Attributes:
        column: the column, or None for the table.
        rule: a name of Severities.
        severity: "error" or "warning".
        rows: (n,) the rows (0-based) that break it; empty for the table.
        message: what is wrong, without the place.
    """

    column: str | None
    rule: str
    severity: Severity
    rows: np.ndarray
    message: str


def read_contract(path: Path) -> Contract:
    """Read a contract. Raises SettingsError with file, key, value and what is allowed."""
    contract = convert(read_yaml(path), Contract, str(path))
    for field in contract.fields:
        try:
            re.compile(field.constraints.pattern or "")
        except re.error as error:
            raise SettingsError(f"{path}: the pattern of '{field.name}' is no regular expression: {error}.") from None
        _check_marks(field, path)
        _check_dates(field, path)
        _check_levels(field, path)
        _check_constraints(field, path)
    names = [field.name for field in contract.fields]
    for name in names:
        if names.count(name) > 1:
            raise DataError(f"{path}: the field '{name}' is there twice. Remove one.")
    return contract


def _check_marks(field: Field, path: Path) -> None:
    """Raise SettingsError if what a field says of its numbers contradicts itself."""
    marks, where = field.lockstep, f"{path}: the field '{field.name}'"
    if field.type not in ("number", "integer"):
        own = (field.decimal_char, field.group_char, field.bare_number, replace(marks, epoch="", offset=False))
        if own != (None, None, True, NO_MARKS):
            raise SettingsError(
                f"{where} is of the type {field.type}, but has decimalChar, groupChar, bareNumber or lockstep, which "
                "say how numbers are written. Remove them, or set its type to number."
            )
    if field.bare_number != (marks.unit == ""):
        raise SettingsError(
            f"{where} must have bareNumber: false if, and only if, something stands around its numbers: name it, for "
            "instance lockstep: {prefix: $} or lockstep: {suffix: kg}."
        )
    for mark in (marks.prefix, marks.suffix):
        if mark != mark.strip() or re.search(r"[0-9]", mark[:1]):
            raise SettingsError(
                f"{where}: {mark!r} cannot stand around a number: blanks at its ends (they may be there anyway) or a "
                "digit at its beginning would be taken for a part of the number. Correct it."
            )


def _check_dates(field: Field, path: Path) -> None:
    """Raise SettingsError if what a field says of dates contradicts itself."""
    where, limits = f"{path}: the field '{field.name}'", field.constraints
    if field.type not in DATE_TYPES:
        is_dated = field.format != ISO or field.lockstep.epoch or field.lockstep.offset
        if is_dated or any(isinstance(limit, str) for limit in limits.range):
            raise SettingsError(
                f"{where} is of the type {field.type}, but has a format, lockstep.epoch, lockstep.offset or a minimum "
                "or maximum of text, which are for dates. Remove them, or set its type to date or datetime."
            )
        return
    if problem := problem_of_format(field.format):
        raise SettingsError(f"{where}: the format {field.format!r} cannot be used: {problem}.")
    if field.format != ISO and field.lockstep.epoch:
        raise SettingsError(f"{where}: a date is either written by a format or counted by lockstep.epoch. Remove one.")
    if field.lockstep.offset and (field.type, field.format, field.lockstep.epoch) != ("datetime", ISO, ""):
        raise SettingsError(
            f"{where}: lockstep.offset is for times in ISO 8601 (type: datetime, no format). Remove it: a format says "
            "with %z that they have one."
        )
    for name, limit in (("minimum", limits.minimum), ("maximum", limits.maximum)):
        if limit is not None and np.isnat(dates_of(pa.array([str(limit)]), ISO)[0]):
            what = f"the {name} {limit!r} is no date such as '2024-01-31'"
            raise SettingsError(f"{where}: {what}. Write it so, in quotes.")


def _check_constraints(field: Field, path: Path) -> None:
    """Raise SettingsError for a constraint that cells of the field's type cannot be held to."""
    limits = field.constraints
    others: dict[str, object] = {"a pattern": limits.pattern, "an enum": limits.enum} if field.type != "string" else {}
    if field.type in ("string", "boolean"):
        others |= {"a minimum": limits.minimum, "a maximum": limits.maximum}
    for name, value in others.items():
        if value is not None:
            raise SettingsError(
                f"{path}: the field '{field.name}' is of the type {field.type}, of which {name} cannot be asked. "
                "Remove it: pattern and enum are for texts, minimum and maximum for numbers and dates."
            )


def _check_levels(field: Field, path: Path) -> None:
    """Raise SettingsError if what a field says of the order of its levels contradicts itself."""
    where, levels = f"{path}: the field '{field.name}'", field.categories
    if not levels and not field.categories_ordered:
        return
    if not field.categories_ordered:
        raise SettingsError(
            f"{where} has categories without an order. Add categoriesOrdered: true if they stand in their order, the "
            "lowest first; if they have none, list them as constraints: {enum: [...]}."
        )
    if field.type != "string" or field.constraints.enum is not None:
        raise SettingsError(
            f"{where} has categoriesOrdered: true, and "
            + (
                "constraints.enum, too. Remove enum"
                if field.type == "string"
                else f"is of the type {field.type}. "
                "Only texts have levels in an order: set its type to string, or remove it"
            )
            + "; categories: [low, middle, high] says which levels there are."
        )
    if len(levels) < 2 or len(set(levels)) < len(levels) or "" in levels:
        raise SettingsError(
            f"{where}: categories must be two or more different texts in their order, such as [low, middle, high], not "
            f"{list(levels)}. An empty cell is a missing value, and no level."
        )


def wrong_types(frame: pd.DataFrame, contract: Contract) -> list[str]:
    """Columns of a DataFrame that are not of the type that the contract declares, in words."""
    return [
        f"'{field.name}' is {typed_as(frame[field.name])}, the contract declares {field.type}"
        for field in contract.fields
        if field.name in frame and not is_of_type(frame[field.name], field.type)
    ]


def typed_as(column: pd.Series) -> str:
    """The type of a column, in words; of dates also whether they have a time of day, as contracts tell them apart."""
    kind = column_type(column)
    return kind if kind != "date" or are_days(column.to_numpy()).all() else "datetime"


def is_of_type(column: pd.Series, declared: str) -> bool:
    """Whether a typed column is of a type of a contract; one of missing values only is of any."""
    kind, present = typed_as(column), column.dropna()
    if declared == "datetime":
        return not len(present) or kind in DATE_TYPES
    if declared == "integer":
        return not len(present) or (kind == "number" and bool((present % 1 == 0).all()))
    return not len(present) or kind == ("text" if declared == "string" else declared)


def violations(frame: pd.DataFrame, contract: Contract, *, without: Collection[str] = ()) -> list[Violation]:
    """Every rule of ``contract`` that ``frame`` breaks, columns in the contract's order.

    Args:
        frame: typed columns; the types have been checked when they were made (columns.typed_frame).
        contract: the rules.
        without: columns that need not be there, such as those that the settings drop, or the target of rows to predict.
    """
    found: list[Violation] = []
    grave, nowhere = contract.lockstep.severity, np.array([], dtype=int)

    def add(column: str | None, rule: str, rows: np.ndarray, message: str) -> None:
        severity = getattr(grave, rule)
        if severity != "off":
            found.append(Violation(column, rule, severity, rows, message))

    known = contract.types
    absent = [name for name in known if name not in frame and name not in without]
    extra = [str(name) for name in frame if name not in known and name not in without]
    if absent:
        add(None, "columns", nowhere, f"columns are missing: {absent_columns(absent, extra)}")
    if extra:
        add(None, "columns", nowhere, f"columns are not in the contract: {some(extra, 20)}")
    if len(frame) < contract.lockstep.minimum_rows:
        add(
            None,
            "rows",
            nowhere,
            f"{plural(len(frame), 'row')}, at least {contract.lockstep.minimum_rows} are demanded",
        )
    for field in contract.fields:
        if field.name in frame and field.name not in without:
            for rule, broken, message in _broken(frame[field.name], field.limits):
                rows = np.flatnonzero(broken)
                if len(rows):
                    add(field.name, rule, rows, message(rows))
    return found


def enforce(found: Iterable[Violation], name: str, line_starts: np.ndarray | None) -> None:
    """Log the violations that are warnings.

    Args:
        found: what violations() gave.
        name: what messages call the data.
        line_starts: (n_rows,) the line of the file on which each row begins, or None if the data has no lines.

    Raises:
        DataError: with all those that are errors.
    """
    errors = []
    for violation in found:
        place = f"column '{violation.column}': " if violation.column else ""
        count = len(violation.rows)
        rows = f", in {places(violation.rows, line_starts)}" if count else ""
        message = f"{place}{violation.message}{rows}" + (f", {count:,} rows in all" if count > 1 else "")
        if violation.severity == "error":
            errors.append(message)
        else:
            logger.warning("%s breaks its contract: %s", name, message)
    if errors:
        raise DataError(
            f"{name} breaks its contract in {len(errors)} point{'s'[: len(errors) > 1]}: {some(errors, 10)}. Correct "
            "the data, or change the contract in data/contracts/ (its lockstep.severity makes errors warnings)."
        )


def places(rows: np.ndarray, line_starts: np.ndarray | None) -> str:
    """In words, rows (0-based) by their lines of the file or, where it has none, by their numbers (from 1)."""
    found = rows + 1 if line_starts is None else line_starts[rows]
    return f"{'row' if line_starts is None else 'line'}{'' if len(rows) == 1 else 's'} {some(found.tolist())}"


def _broken(column: pd.Series, limits: Constraints) -> list[tuple[str, np.ndarray, Any]]:
    """(rule, (n_rows,) bool which rows break it, the message given those rows)"""
    # Without pandas where numbers are NumPy's: of one row, its operators take longer than all else.
    is_plain = isinstance(column.dtype, np.dtype) and column.dtype.kind in "iuf"
    cells = column.to_numpy() if is_plain else column
    missing = np.isnan(cells) if is_plain else column.isna().to_numpy()
    rules: list[tuple[str, np.ndarray, Any]] = []

    def values(rows: np.ndarray) -> str:
        shown = column.map(shown_date, na_action="ignore") if column.dtype.kind == "M" else column
        return some([repr(value) for value in dict.fromkeys(shown.astype(object).iloc[rows[:1000]])])

    if limits.required:
        rules.append(("required", missing, lambda _: "a value is required"))
    if limits.unique:
        repeated = column.duplicated(keep=False).to_numpy() & ~missing
        rules.append(("unique", repeated, lambda rows: f"not unique: {values(rows)}"))
    if limits.minimum is not None and (low := _limit(limits.minimum, column)) is not None:
        shown = _shown(limits.minimum)
        rules.append(("range", np.asarray(cells < low), lambda rows: f"below the minimum {shown}: {values(rows)}"))
    if limits.maximum is not None and (high := _limit(limits.maximum, column)) is not None:
        most = _shown(limits.maximum)
        rules.append(("range", np.asarray(cells > high), lambda rows: f"above the maximum {most}: {values(rows)}"))
    if limits.enum is not None:
        known = column.isin(limits.enum).to_numpy()
        rules.append(("enum", ~known & ~missing, lambda rows: f"not in the list of categories: {values(rows)}"))
    if limits.pattern is not None and column_type(column) == "text":
        matches = column.str.fullmatch(limits.pattern).fillna(True).to_numpy(dtype=bool)
        rules.append(("pattern", ~matches, lambda rows: f"not of the form {limits.pattern}: {values(rows)}"))
    return rules


def _limit(limit: float | str, column: pd.Series) -> Any:
    """A limit as the cells of a column are compared with it; None if they cannot be, being of another type."""
    if column.dtype.kind == "M" and isinstance(limit, str):
        return pd.Timestamp(dates_of(pa.array([limit]), ISO)[0])
    return limit if column.dtype.kind in "iuf" and not isinstance(limit, str) else None


def _shown(limit: float | str) -> str:
    return limit if isinstance(limit, str) else f"{limit:g}"
