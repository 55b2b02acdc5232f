"""Rows in JSON to typed columns: by way of the texts that a CSV file would have, so that both are read by one reader.

A number keeps the digits that it was written with until Arrow reads them, so that nothing is rounded on the way; JSON's
types must be those of the columns.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from lockstep.deployment.serving.mistakes import MOST, NAME, Mistake, RequestError
from lockstep.deployment.serving.predicting import Block, Scorer
from lockstep.deployment.serving.row_schema import allowed, is_demanded, known_columns
from lockstep.kernel.errors import DataError, did_you_mean, some
from lockstep.reading.column_types import EXACT_FLOAT, Cells, Column, Format, typed_columns
from lockstep.reading.csvfile import TEXT
from lockstep.reading.date_formats import DATE_TYPES

import numpy as np
import pyarrow as pa

LONGEST_NUMBER = 100
"""Characters of a number; longer ones are no number that anybody measured."""


class _Number(str):
    """A number as it was written."""

    __slots__ = ()


class _Inexact(str):
    """A whole number that a model would see rounded, or a number that is too long."""

    __slots__ = ()


class _NotFinite(str):
    """NaN, Infinity, -Infinity, which JSON does not know and Python reads; and 1e400, which is infinite to a float."""

    __slots__ = ()


_ABSENT = object()
_TYPES: dict[str, frozenset[Any]] = {
    "number": frozenset({_Number, type(None)}),
    "integer": frozenset({_Number, type(None)}),
    "boolean": frozenset({bool, type(None)}),
    "string": frozenset({str, type(None)}),
    "date": frozenset({str, type(None)}),
    "datetime": frozenset({str, type(None)}),
}


def read_rows(body: bytes, scorer: Scorer, most: int, id_column: str) -> Block:
    """The rows of a JSON text: one object, or a list of them.

    Args:
        body: the text, in UTF-8.
        scorer: the model.
        most: rows that are taken at once.
        id_column: the column that names the rows, if it is there and the model does not use it.

    Raises:
        RequestError: it is not JSON, a key is there twice, there are too many rows, a column is missing or unknown, or
            a value is not of its column's type.
        DataError: as column_types.typed_columns.
    """
    rows = _parsed(body)
    if isinstance(rows, dict):
        rows = [rows]
    if not isinstance(rows, list) or not all(type(row) is dict for row in rows):
        raise _json("it must be one row, an object {column: value}, or a list of such rows")
    if not rows:
        raise _json("it has no rows")
    if len(rows) > most:
        raise too_many_rows(most, len(rows))
    ids = _ids(rows, id_column) if id_column not in scorer.types and any(id_column in row for row in rows) else None
    _check_columns(rows, known_columns(scorer) | {id_column})
    mistakes: list[Mistake] = []
    cells: dict[str, list[str]] = {}
    for column in scorer.types:
        values = [row.get(column, _ABSENT) for row in rows]
        if all(value is _ABSENT for value in values):
            continue  # whether it may be missing is said of files and requests alike
        mistakes += _mistakes(scorer, column, values)
        cells[column] = [_text(value) for value in values]
    if mistakes:
        raise RequestError(mistakes)
    others = tuple(dict.fromkeys(name for row in rows for name in row if name not in scorer.types))
    return Block(_typed(scorer, cells, len(rows)), None, others, ids)


def too_many_rows(most: int, found: int | None = None) -> RequestError:
    """The refusal of more rows than are taken at once."""
    what = f"{found:,} rows" if found else f"more than {most:,} rows"
    message = f"{NAME} has {what}, at most {most:,} are taken at once. Send several requests, or use 'predict'."
    return RequestError([Mistake("rows", message, allowed=f"at most {most:,} rows")], 413)


def unknown_columns(found: Mapping[str, Sequence[int]], known: set[str]) -> RequestError:
    """The refusal of columns that nobody declared: {column: the rows (from 1) that have it}."""
    return RequestError(
        Mistake(
            "unknown_column",
            f"{NAME} column '{name[:100]}'{f', in row {rows[0]}' if rows else ''}: neither the model nor the contract "
            f"has it.{did_you_mean(name[:100], known)} Leave it out; ids of rows: ?id=COLUMN.",
            name[:100],
            tuple(rows[:MOST]),
            len(rows),
            f"the columns {some(sorted(known), 100)}",
        )
        for name, rows in found.items()
    )


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(
            body.decode("utf-8"),
            parse_int=_number,
            parse_float=_number,
            parse_constant=_NotFinite,
            object_pairs_hook=_object,
        )
    except UnicodeDecodeError as error:
        raise _json(f"byte {error.start + 1} is not UTF-8") from None
    except RecursionError:
        raise _json("it is nested too deep") from None
    except json.JSONDecodeError as error:
        raise _json(f"{error.msg} in line {error.lineno}, character {error.colno}") from None


def _json(what: str) -> RequestError:
    return RequestError([Mistake("json", f"{NAME} is not JSON that can be read: {what}.")])


def _number(text: str) -> str:
    """A number, unless it is beyond what a float holds, or a whole one, written in digits, that a float rounds."""
    if len(text) > LONGEST_NUMBER:
        return _Inexact(text)
    has_exponent = "e" in text or "E" in text
    if len(text) < 16 and not has_exponent:
        return _Number(text)
    held = float(text)
    if math.isinf(held):
        return _NotFinite(text)
    is_exact = has_exponent or abs(held) < EXACT_FLOAT or Decimal(held) == Decimal(text)
    return _Number(text) if is_exact else _Inexact(text)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = [name[:100] for name in found if names.count(name) > 1]
        message = f"{NAME} has the key '{twice[0]}' twice in one row. Which is meant? Leave one out."
        raise RequestError([Mistake("json", message, twice[0])])
    return found


def _ids(rows: list[dict[str, Any]], column: str) -> list[Any]:
    """The ids of the rows: texts, whole numbers of any size, or None."""
    found: list[Any] = []
    wrong: list[int] = []
    for number, row in enumerate(rows, 1):
        given = row.get(column)
        if isinstance(given, _Number | _Inexact) and re.fullmatch(r"-?[0-9]{1,100}", given):
            given = int(given)
        elif given is not None and type(given) is not str:
            wrong.append(number)
        found.append(given)
    if wrong:
        what = "a text or a whole number"
        message = f"{NAME} column '{column}', row {wrong[0]}: an id must be {what}."
        raise RequestError([Mistake("type", message, column, tuple(wrong[:MOST]), len(wrong), what)])
    return found


def _check_columns(rows: list[dict[str, Any]], known: set[str]) -> None:
    found: dict[str, list[int]] = {}
    for number, row in enumerate(rows, 1):
        if not row.keys() <= known:
            for name in row:
                if name not in known:
                    found.setdefault(name, []).append(number)
    if found:
        raise unknown_columns(found, known)


def _mistakes(scorer: Scorer, column: str, values: list[Any]) -> list[Mistake]:
    """What is wrong with the values of one column, by JSON's types."""
    kind = scorer.types[column]
    fine = _TYPES[kind] if not _is_counted(scorer, column) else _TYPES["number"]
    if not is_demanded(scorer, "columns"):
        fine |= {object}  # absent in some rows
    if set(map(type, values)) <= fine:
        return []
    found: dict[str, list[int]] = {}
    for row, value in enumerate(values, 1):
        if type(value) not in fine:
            found.setdefault(_what(value), []).append(row)
    may_be = allowed(scorer, column)
    return [
        Mistake(
            "columns" if what == "lacks" else "type",
            f"{NAME} lacks the column '{column}' in row {rows[0]}. Allowed: {may_be}."
            if what == "lacks"
            else f"{NAME} column '{column}', row {rows[0]}: {_quoted(values[rows[0] - 1])} is {what}. "
            f"Allowed: {may_be}.",
            column,
            tuple(rows[:MOST]),
            len(rows),
            may_be,
        )
        for what, rows in found.items()
    ]


def _is_counted(scorer: Scorer, column: str) -> bool:
    """Whether a column's dates are numbers that count days or seconds."""
    form = scorer.contract.forms(scorer.form).get(column) if scorer.contract else None
    return form is not None and scorer.types[column] in DATE_TYPES and bool(form.marks.epoch)


def _what(value: Any) -> str:
    if value is _ABSENT:
        return "lacks"
    kinds = {
        _Number: "a number",
        _Inexact: "a number that no model sees exactly (a code belongs into quotes)",
        _NotFinite: "no finite number",
        bool: "a boolean",
        str: "a text",
        dict: "an object",
        list: "a list",
    }
    return kinds.get(type(value), "null")


def _quoted(value: Any) -> str:
    if isinstance(value, dict | list):
        return "the value"
    text = str(value)[:40] if isinstance(value, str) else json.dumps(value)
    return repr(text) if type(value) is str else text


def _text(value: Any) -> str:
    """The cell that a CSV file would have."""
    if value is None or value is _ABSENT:
        return ""
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _typed(scorer: Scorer, cells: dict[str, list[str]], n_rows: int) -> Any:
    """The columns, (n_rows, n_columns), typed as those of a CSV file are."""
    forms = scorer.contract.forms(scorer.form) if scorer.contract else {}
    rows = np.arange(1, n_rows + 1)

    def column_of(name: str) -> Column:
        # A number in JSON is written in one way; how files write it does not matter.
        is_plain = scorer.types[name] in ("number", "integer", "boolean")
        form = Format() if is_plain else forms.get(name, scorer.form)
        try:
            texts = pa.array(cells[name], TEXT)
        except UnicodeEncodeError:
            raise DataError(f"{NAME} column '{name}' has a text that is not Unicode (a lone surrogate).") from None
        return Column(Cells(texts, rows), name, NAME, form, "row")

    columns = [column_of(name) for name in cells]
    return typed_columns(columns, lambda column: column.typed(scorer.types[column.name]), NAME, rows).frame
