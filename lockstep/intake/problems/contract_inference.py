"""The contract that a table keeps as it is: written once by ``add``, then edited by people."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lockstep.intake.detecting.date_columns import DateForm
from lockstep.intake.detecting.formatted_numbers import NumberForm
from lockstep.intake.editing.yaml_text import dump_yaml
from lockstep.reading.column_types import Format
from lockstep.reading.contract import Constraints, Contract, Field, typed_as
from lockstep.reading.number_marks import NO_MARKS
from lockstep.tables.statistics import are_whole
from lockstep.tables.table import column_type

import msgspec
import pandas as pd
from msgspec import structs

_MAX_LEVELS = 50
"""A text column of at most so many levels gets a list of them."""
MIN_REPEATS = 5
"""... provided that its levels repeat so often on average: a list of names is no list of categories."""
CONTRACT_HEADER = """\
# What the table must look like: Table Schema (https://specs.frictionlessdata.io/table-schema/), checked by the stage
# load and before predictions. Inferred from the data; edit it to what you know. type: number | integer | boolean |
# date | datetime | string; constraints: required, unique, minimum, maximum, enum, pattern (a regular expression that
# the whole text must match). lockstep.severity: what a violation is: error | warning | off.
"""


def write_contract(contract: Contract, path: Path) -> None:
    """Write ``contract`` as read_contract reads it, a line or two per field."""
    path.write_text(
        CONTRACT_HEADER + dump_yaml(msgspec.to_builtins(contract), flow=None), encoding="utf-8", newline="\n"
    )


def infer_contract(
    frame: pd.DataFrame,
    numbers: Mapping[str, NumberForm] = MappingProxyType({}),
    usual: Format = Format(),
    dates: Mapping[str, DateForm] = MappingProxyType({}),
    levels: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> Contract:
    """The contract that the table keeps: types, missing values, ranges, categories, unique texts and whole numbers.

    Args:
        frame: (n_rows, n_columns), typed.
        numbers: {column: how it is read}, of those whose numbers are not of the ``usual`` form.
        usual: how numbers are written in the file as a whole.
        dates: {column: how it is read}, of those that are of dates and are written as texts or numbers.
        levels: {column of texts: its levels, the lowest first}, of those that have an order.
    """
    fields = [_infer_field(frame[name], str(name)) for name in frame]
    own = {name: _written(found, usual) for name, found in numbers.items()}
    own |= {name: _written_dates(found) for name, found in dates.items()}
    fields = [structs.replace(field, **own.get(field.name, {})) for field in fields]
    return Contract(
        fields=tuple(_ordered(field, levels[field.name]) if field.name in levels else field for field in fields)
    )


def _ordered(field: Field, levels: Sequence[str]) -> Field:
    """The field, of texts, with its levels in their order."""
    rules = structs.replace(field.constraints, enum=None)
    return structs.replace(field, constraints=rules, categories=tuple(levels), categories_ordered=True)


def _written(found: NumberForm, usual: Format) -> dict[str, Any]:
    """What a field says of how its numbers and missing values are written."""
    form = found.form
    own: dict[str, Any] = {"missing_values": tuple(found.words)} if found.words else {}
    own |= {"decimal_char": form.decimal} if form.decimal != usual.decimal else {}
    own |= {"group_char": form.thousands} if form.thousands != usual.thousands else {}
    own |= {"lockstep": form.marks} if form.marks != NO_MARKS else {}
    return own | ({"bare_number": False} if form.marks.unit else {})


def _written_dates(found: DateForm) -> dict[str, Any]:
    """What a field says of how its dates and missing values are written."""
    own: dict[str, Any] = {"type": found.type, "format": found.form.dates}
    own |= {"missing_values": tuple(found.words)} if found.words else {}
    return own | ({"lockstep": found.form.marks} if found.form.marks != NO_MARKS else {})


def _infer_field(column: pd.Series, name: str) -> Field:
    kind, present = column_type(column), column.dropna()
    required = len(present) == len(column)
    if kind == "date":  # no limits: later rows have later dates
        return Field(name=name, type=typed_as(column), constraints=Constraints(required=required))  # type: ignore[arg-type]
    if kind == "boolean":
        return Field(name=name, type="boolean", constraints=Constraints(required=required))
    if kind == "number":
        whole = len(present) > 0 and are_whole(present)
        low, high = (float(present.min()), float(present.max())) if len(present) else (None, None)
        limits = Constraints(
            required=required, unique=whole and required and present.is_unique, minimum=low, maximum=high
        )
        return Field(name=name, type="integer" if whole else "number", constraints=limits)
    levels = sorted(present.unique().tolist())
    repeats = 0 < len(levels) <= _MAX_LEVELS and len(present) >= MIN_REPEATS * len(levels)
    unique = required and len(levels) == len(present)
    limits = Constraints(required=required, unique=unique, enum=tuple(levels) if repeats else None)
    return Field(name=name, type="string", constraints=limits)
