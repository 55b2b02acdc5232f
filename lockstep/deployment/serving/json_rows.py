"""Rows in JSON to typed columns: by way of the texts that a CSV file would have, so that both are read by one reader.

A number that a float may round keeps the digits that it was written with until that reader sees it with its column;
JSON's types must be those of the columns. A column in which the reader has nothing to decide (``_at_sight``) does not
go through it: of one row, it would take most of the time.
"""

import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import chain
from operator import itemgetter
from typing import Any

from lockstep.deployment.serving.mistakes import MOST, REQUEST, Mistake, RequestError
from lockstep.deployment.serving.predicting import RowBlock, RowScorer
from lockstep.deployment.serving.row_schema import allowed, is_demanded, known_columns
from lockstep.kernel.errors import DataError, did_you_mean, some
from lockstep.reading.column_types import EXACT_FLOAT, Cells, Column, Format, row_index, typed_columns
from lockstep.reading.csvfile import TEXT
from lockstep.reading.date_formats import DATE_TYPES

import numpy as np
import pandas as pd
import pyarrow as pa

LONGEST_NUMBER = 100
"""Characters of a number; longer ones are no number that anybody measured."""
_SHORT = 15
"""Digits that a float holds whatever they are."""
LARGEST_SHORT = 10**_SHORT - 1


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


def read_rows(body: bytes, scorer: RowScorer, most: int, id_column: str) -> RowBlock:
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
        what = "one row, an object {column: value}, or a list of such rows"
        raise RequestError([Mistake("json", f"{REQUEST} has no rows. Send {what}.", allowed=what)])
    if len(rows) > most:
        raise too_many_rows(most, len(rows))
    names = dict.fromkeys(chain.from_iterable(rows))
    ids = _ids(rows, id_column) if id_column in names and id_column not in scorer.types else None
    known = known_columns(scorer) | {id_column}
    if not names.keys() <= known:
        raise unknown_columns(_places_of([name for name in names if name not in known], rows), known)
    forms = scorer.forms
    mistakes: list[Mistake] = []
    found: dict[str, Any] = {}
    cells: dict[str, list[Any]] = {}
    for column, kind in scorer.types.items():
        if column not in names:
            continue  # whether it may be missing is said of files and requests alike
        values = _values(column, rows)
        found[column] = _at_sight(kind, values, forms.get(column, scorer.form).missing_texts)
        if found[column] is None:
            cells[column] = [_as_written(value) for value in values]
            is_counted = _is_counted(kind, forms.get(column))
            mistakes += _mistakes(scorer, column, cells[column], is_counted=is_counted)
    if mistakes:
        raise RequestError(mistakes)
    others = tuple(name for name in names if name not in scorer.types)
    found |= _typed(scorer, cells, forms, len(rows))
    return RowBlock(pd.DataFrame(found, index=row_index(len(rows))), None, others, ids)


def too_many_rows(most: int, found: int | None = None) -> RequestError:
    """The refusal of more rows than are taken at once."""
    what = f"{found:,} rows" if found else f"more than {most:,} rows"
    message = f"{REQUEST} has {what}, at most {most:,} are taken at once. Send several requests, or use 'predict'."
    return RequestError([Mistake("rows", message, allowed=f"at most {most:,} rows")], 413)


def unknown_columns(found: Mapping[str, Sequence[int]], known: set[str]) -> RequestError:
    """The refusal of columns that nobody declared: {column: the rows (from 1) that have it}."""
    return RequestError(
        Mistake(
            "unknown_column",
            f"{REQUEST} column '{name[:100]}'{f', in row {rows[0]}' if rows else ''}: neither the model nor the "
            f"contract has it.{did_you_mean(name[:100], known)} Leave it out; ids of rows: ?id=COLUMN.",
            name[:100],
            tuple(rows[:MOST]),
            len(rows),
            f"the columns {some(sorted(known), 100)}",
        )
        for name, rows in found.items()
    )


def _parsed(body: bytes) -> Any:
    """What a JSON text holds: numbers that any reader reads as the same are Python's, as whole ones of any size are;
    others are texts."""
    try:
        text = body.decode("utf-8")
        hooks: dict[str, Any] = {"parse_float": _float, "parse_constant": _NotFinite, "object_pairs_hook": _object}
        try:
            return json.loads(text, **hooks)
        except json.JSONDecodeError:
            raise
        except ValueError:  # more digits than Python reads
            return json.loads(text, parse_int=_number, **hooks)
    except UnicodeDecodeError as error:
        raise _json(f"byte {error.start + 1} is not UTF-8") from None
    except RecursionError:
        raise _json("it is nested too deep") from None
    except json.JSONDecodeError as error:
        raise _json(f"{error.msg} in line {error.lineno}, character {error.colno}") from None


def _json(what: str) -> RequestError:
    return RequestError([Mistake("json", f"{REQUEST} is not JSON that can be read: {what}.")])


def _float(text: str) -> float | str:
    return float(text) if len(text) <= _SHORT and "e" not in text and "E" not in text else _number(text)


def _number(text: str) -> str:
    """A number, unless it is beyond what a float holds, or a whole one, written in digits, that a float rounds."""
    if len(text) > LONGEST_NUMBER:
        return _Inexact(text)
    has_exponent = "e" in text or "E" in text
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
        message = f"{REQUEST} has the key '{twice[0]}' twice in one row. Which is meant? Leave one out."
        raise RequestError([Mistake("json", message, twice[0])])
    return found


def _ids(rows: list[dict[str, Any]], column: str) -> list[Any]:
    """The ids of the rows: texts, whole numbers of any size, or None."""
    found: list[Any] = []
    wrong: list[int] = []
    for number, row in enumerate(rows, 1):
        given = row.get(column)
        if (
            given is not None
            and type(given) is not str
            and not (type(given) is int and abs(given) < 10**LONGEST_NUMBER)
        ):
            wrong.append(number)
        found.append(given)
    if wrong:
        what = "a text or a whole number"
        message = f"{REQUEST} column '{column}', row {wrong[0]}: an id must be {what}."
        raise RequestError([Mistake("type", message, column, tuple(wrong[:MOST]), len(wrong), what)])
    return found


def _places_of(names: Iterable[str], rows: list[dict[str, Any]]) -> dict[str, list[int]]:
    """{key: the rows (from 1) that have it}"""
    return {name: [number for number, row in enumerate(rows, 1) if name in row] for name in names}


def _values(column: str, rows: list[dict[str, Any]]) -> list[Any]:
    """(n_rows,) the column's values, _ABSENT in a row without it."""
    try:
        return [*map(itemgetter(column), rows)]
    except KeyError:
        return [row.get(column, _ABSENT) for row in rows]


def _mistakes(scorer: RowScorer, column: str, values: list[Any], *, is_counted: bool) -> list[Mistake]:
    """What is wrong with the values of one column, by JSON's types."""
    fine = _TYPES["number" if is_counted else scorer.types[column]]
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
            f"{REQUEST} lacks the column '{column}' in row {rows[0]}. Allowed: {may_be}."
            if what == "lacks"
            else f"{REQUEST} column '{column}', row {rows[0]}: {_quoted(values[rows[0] - 1])} is {what}. "
            f"Allowed: {may_be}.",
            column,
            tuple(rows[:MOST]),
            len(rows),
            may_be,
        )
        for what, rows in found.items()
    ]


def _is_counted(kind: str, form: Format | None) -> bool:
    """Whether a column of a type, written in a form of its own, has dates that are numbers of days or seconds."""
    return form is not None and kind in DATE_TYPES and bool(form.marks.epoch)


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


def _as_written(value: Any) -> Any:
    """A value with numbers as texts, as they may have been written."""
    return _number(str(value)) if type(value) in (int, float) else value


def _text(value: Any) -> str:
    """The cell that a CSV file would have."""
    if value is None or value is _ABSENT:
        return ""
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _typed(
    scorer: RowScorer, cells: Mapping[str, list[Any]], forms: Mapping[str, Format], n_rows: int
) -> dict[str, Any]:
    """{column: its values, (n_rows,)}, typed as those of a CSV file are."""
    rows = np.arange(1, n_rows + 1)

    def column_of(name: str) -> Column:
        # A number in JSON is written in one way; how files write it does not matter.
        is_plain = scorer.types[name] in ("number", "integer", "boolean")
        form = Format(declared_by=scorer.form.declared_by) if is_plain else forms.get(name, scorer.form)
        try:
            texts = pa.array(map(_text, cells[name]), TEXT)
        except UnicodeEncodeError:
            raise DataError(f"{REQUEST} column '{name}' has a text that is not Unicode (a lone surrogate).") from None
        return Column(Cells(texts, rows), name, REQUEST, form, "row")

    if not cells:
        return {}
    columns = map(column_of, cells)
    read = typed_columns(columns, lambda column: column.typed(scorer.types[column.name]), REQUEST, rows).frame
    return {name: read[name].array for name in cells}


def _at_sight(kind: str, values: list[Any], missing: Collection[str]) -> Any:
    """(n_rows,) the values of a column as the reader of cells types them, where it has nothing to say of them; None
    where it may have.

    Args:
        kind: the column's type.
        values: (n_rows,) as ``_parsed`` gives them.
        missing: texts that mean a missing value.
    """
    kinds = set(map(type, values))
    if kind == "boolean" and kinds == {bool}:
        return np.array(values)
    if kind == "string" and kinds == {str}:
        levels = set(values)
        is_plain = all(level.isascii() and level[:1] not in ("", "'") for level in levels) and not levels & {*missing}
        are_alike = len({" ".join(level.casefold().split()) for level in levels}) < len(levels)
        return pd.array(values, dtype="str") if is_plain and not are_alike else None
    if kind not in ("number", "integer") or not kinds <= {int, float, type(None)}:
        return None
    try:
        numbers = np.array(values, dtype="int64" if kinds == {int} else "float64")  # None becomes NaN
    except OverflowError:
        return None
    if ((numbers < -LARGEST_SHORT) | (numbers > LARGEST_SHORT)).any():
        return None
    if kind == "integer" and numbers.dtype.kind == "f" and (np.nan_to_num(numbers) % 1).any():
        return None
    return numbers
