"""JSON lines: an object a line, whose keys are the columns."""

import json
from pathlib import Path
from typing import Any, NoReturn

from lockstep.intake.sources.values import Origin
from lockstep.kernel.errors import DataError, some
from lockstep.reading.source import unpacked_bytes

SUFFIXES = (".jsonl", ".ndjson")


def read_json_lines(path: Path) -> tuple[dict[str, list[Any]], Origin]:
    """The columns of a file of JSON lines in UTF-8, packed or not, in the order in which keys are first seen.

    Returns:
        ({key: (n_rows,) values}, None where an object has no such key, or null; where they come from)

    Raises:
        DataError: a line is no object, has a key twice, holds another object or a list; NaN and numbers beyond doubles.
    """
    data = unpacked_bytes(path).text.to_pybytes().removeprefix(b"\xef\xbb\xbf")
    columns: dict[str, list[Any]] = {}
    lines: list[int] = []
    for line, text in enumerate(data.split(b"\n"), 1):
        if not text.strip():
            continue
        row = _parsed(text, f"{path} line {line}")
        for key, value in row.items():
            columns.setdefault(key, [None] * len(lines)).append(value)
        lines.append(line)
        if len(row) < len(columns):
            for values in columns.values():
                values.extend([None] * (len(lines) - len(values)))
    if not columns:
        raise DataError(f'{path} has no row. Put an object on each line, such as {{"age": 31, "churned": false}}.')
    return columns, Origin(str(path), lambda row, _: f"line {lines[row]}", "Make them alike in the file")


def _parsed(text: bytes, where: str) -> dict[str, Any]:
    """The object of a line; all values are single ones."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        row = dict(pairs)
        if len(row) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise DataError(f"{where}: the key '{twice}' is there twice. Keep one of them.")
        return row

    def refused(constant: str) -> NoReturn:
        raise DataError(f"{where}: {constant} is no JSON. Write null where there is no number.")

    try:
        row = json.loads(text.decode(), object_pairs_hook=once, parse_constant=refused)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{where}: the byte 0x{text[error.start]:02X} is not UTF-8, in which JSON is written."
        ) from None
    except (json.JSONDecodeError, RecursionError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{where} is no JSON: {error}. Each line must hold one object.") from None
    if not isinstance(row, dict):
        raise DataError(f"{where} is no object but {_shown(row)}. Each line must hold one object, in braces.")
    if nested := {key: value for key, value in row.items() if isinstance(value, dict | list)}:
        key, value = next(iter(nested.items()))
        inner = f" (in it: {some(value)})" if isinstance(value, dict) and value else ""
        raise DataError(
            f"{where}: the key '{key}' holds {_shown(value)}{inner}, which is no cell of a table. Write keys of one "
            "value each, as jq can: jq -c '. + {a: .b.a} | del(.b)'."
        )
    return row


def _shown(value: Any) -> str:
    return {"list": "a list", "dict": "another object"}.get(type(value).__name__, json.dumps(value)[:40])
