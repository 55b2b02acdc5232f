"""What a row may look like, from the model's types and the data contract: as JSON Schema, in words, by an example."""

from typing import Any

from lockstep.deployment.serving.predicting import RowScorer
from lockstep.reading.contract import Constraints, Field
from lockstep.reading.date_formats import ISO, dates_of
from lockstep.reading.number_marks import Marks

import pandas as pd
import pyarrow as pa

_JSON = {"number": "number", "integer": "integer", "boolean": "boolean"}
_WORDS = {
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "string": "a text",
    "date": "a date as text, such as '2024-01-31'",
    "datetime": "a date and time as text, such as '2024-01-31T12:00:00'",
}
_ZONED_EXAMPLE = "2024-01-31T12:00:00+01:00"
_ZONED = f"a date and time with its offset from UTC as text, such as '{_ZONED_EXAMPLE}'"
_EXAMPLES: dict[str, Any] = {
    "number": 1.5,
    "integer": 1,
    "boolean": True,
    "string": "text",
    "date": "2024-01-31",
    "datetime": "2024-01-31T12:00:00",
}
SHOWN_LEVELS = 20


def fields_of(scorer: RowScorer) -> dict[str, Field]:
    """{column: its field} of the columns that the model uses; a bare one where there is no contract."""
    declared = {field.name: field for field in scorer.contract.fields} if scorer.contract else {}
    return {name: declared.get(name) or _bare(scorer, name, kind) for name, kind in scorer.types.items()}


def _bare(scorer: RowScorer, name: str, kind: Any) -> Field:
    offset = kind == "datetime" and name in scorer.with_offset
    return Field(name=name, type=kind if kind in _WORDS else "string", lockstep=Marks(offset=offset))


def is_demanded(scorer: RowScorer, rule: str) -> bool:
    """Whether a row that breaks a rule of the contract (a name of Severities) is refused."""
    if scorer.contract is None:
        return rule == "columns"
    return bool(getattr(scorer.contract.lockstep.severity, rule) == "error")


def known_columns(scorer: RowScorer) -> set[str]:
    """The columns that a row may have: those of the model, and those of the contract, which are not looked at."""
    return set(scorer.types) | (set(scorer.contract.types) if scorer.contract else set())


def allowed(scorer: RowScorer, column: str) -> str:
    """What a cell of a column may hold, in words: ``a number from 4.3 to 7.9``."""
    field = fields_of(scorer)[column]
    limits, words = field.limits, _ZONED if field.lockstep.offset else _WORDS[scorer.types[column]]
    if limits.enum is not None:
        more = len(limits.enum) - SHOWN_LEVELS
        words = f"one of {', '.join(limits.enum[:SHOWN_LEVELS])}" + (f" and {more} more" if more > 0 else "")
    if limits.minimum is not None:
        words += f" from {_shown(limits.minimum)}"
    if limits.maximum is not None:
        words += f" to {_shown(limits.maximum)}"
    if limits.pattern is not None:
        words += f" of the form {limits.pattern}"
    return words if limits.required and is_demanded(scorer, "required") else f"{words}, or null"


def row_schema(scorer: RowScorer) -> dict[str, Any]:
    """The JSON Schema of a row. Only what a request is refused for is demanded; the rest is in the descriptions."""
    fields = fields_of(scorer)
    properties = {name: _of_column(scorer, field) for name, field in fields.items()}
    unused = sorted(known_columns(scorer) - set(fields))
    properties |= {name: {"description": "Not used by the model, and not looked at."} for name in unused}
    return {
        "type": "object",
        "properties": properties,
        "required": list(fields) if is_demanded(scorer, "columns") else [],
        "additionalProperties": False,
    }


def answer_schema(scorer: RowScorer) -> dict[str, Any]:
    """The JSON Schema of an answer: the model, a prediction for each row, what the contract warns of."""
    number = {"type": "number"}
    predicted: dict[str, Any] = number
    if scorer.task == "classification":
        predicted = {"enum": scorer.model.classes_.tolist()}
    row: dict[str, Any] = {
        "row": {"type": "integer", "minimum": 1, "description": "Its number in the request."},
        "id": {"type": ["string", "integer", "null"], "description": "As the request has it, if it has one."},
        "predicted": predicted,
    }
    if hasattr(scorer.model, "predict_proba"):
        names = [str(name) for name in scorer.model.classes_]
        row["probabilities"] = {"type": "object", "properties": dict.fromkeys(names, number), "required": names}
    intervals = scorer.decision.intervals
    if intervals is not None:
        said = f"Made to cover {100 * intervals.level:g}% of the rows."
        if scorer.task == "classification":
            row["set"] = {"type": "array", "items": predicted, "description": said}
        else:
            ends = {"low": number, "high": number}
            row["interval"] = {"type": "object", "properties": ends, "required": [*ends], "description": said}
    needed = [name for name in row if name != "id"]
    rows = {"type": "array", "items": {"type": "object", "properties": row, "required": needed}}
    texts = {"type": "array", "items": {"type": "string"}}
    parts: dict[str, Any] = {"model": {"type": "object"}, "predictions": rows, "warnings": texts}
    return {"type": "object", "properties": parts, "required": [*parts]}


def example_row(scorer: RowScorer) -> dict[str, Any]:
    """A row that the contract allows, made up from it."""
    return {name: _example(field, scorer.types[name]) for name, field in fields_of(scorer).items()}


def _of_column(scorer: RowScorer, field: Field) -> dict[str, Any]:
    kind, limits = scorer.types[field.name], field.limits
    is_needed = limits.required and is_demanded(scorer, "required")
    json_type = _JSON.get(kind, "string")
    if kind in ("date", "datetime") and field.lockstep.epoch:
        json_type = "number"
    said: dict[str, Any] = {"type": json_type if is_needed else [json_type, "null"]}
    if is_demanded(scorer, "range") and not isinstance(limits.minimum, str) and not isinstance(limits.maximum, str):
        said |= {name: limit for name in ("minimum", "maximum") if (limit := getattr(limits, name)) is not None}
    if is_demanded(scorer, "enum") and limits.enum is not None:
        said["enum"] = [*limits.enum] if is_needed else [*limits.enum, None]
    if is_demanded(scorer, "pattern") and limits.pattern is not None:
        said["pattern"] = f"^(?:{limits.pattern})$"
    text = f"{field.description}. " if field.description else ""
    return said | {
        "description": f"{text}Allowed: {allowed(scorer, field.name)}.{_warned(scorer, limits)}",
        "examples": [_example(field, kind)],
    }


def _warned(scorer: RowScorer, limits: Constraints) -> str:
    """What is answered with a warning only."""
    rules = {"range": limits.range, "enum": (limits.enum,), "pattern": (limits.pattern,)}
    mild = [
        rule for rule, own in rules.items() if any(one is not None for one in own) and not is_demanded(scorer, rule)
    ]
    if not mild or scorer.contract is None:
        return ""
    are_told = any(getattr(scorer.contract.lockstep.severity, rule) == "warning" for rule in mild)
    return f" Other values of its type are scored{', with a warning' if are_told else ''}."


def _example(field: Field, kind: str) -> Any:
    low, high = field.limits.minimum, field.limits.maximum
    if field.limits.enum:
        return field.limits.enum[0]
    if field.lockstep.offset:
        if low is None and high is None:
            return _ZONED_EXAMPLE
        limit = dates_of(pa.array([str(high if low is None else low)]), ISO)[0]  # in UTC, as the cells are by then
        return f"{pd.Timestamp(limit).isoformat()}Z"
    if isinstance(low, str) or isinstance(high, str):
        return low if low is not None else high
    if kind in ("number", "integer") and not (low is None and high is None):
        start, end = (high if low is None else low), (low if high is None else high)
        assert start is not None and end is not None
        middle = round((start + end) / 2, 2)
        return int(middle) if kind == "integer" else middle if start <= middle <= end else start
    return _EXAMPLES[kind]


def _shown(limit: float | str) -> str:
    return limit if isinstance(limit, str) else f"{limit:,.15g}".replace(",", "")
