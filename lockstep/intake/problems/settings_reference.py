"""Every setting: its default, and what it means; for people in params.yaml, for editors as a JSON schema."""

import re
import textwrap
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from lockstep.intake.editing.yaml_text import dump_yaml
from lockstep.kernel.settings import PROBLEM_NAME, SECTIONS, Settings
from lockstep.kernel.strict_yaml import parse_yaml
from lockstep.learning.cross_validation import CrossValidateSettings
from lockstep.learning.estimators import TrainSettings
from lockstep.learning.preprocessing import PreprocessSettings
from lockstep.reading.loading import LoadSettings
from lockstep.steps.diagnosing.settings import DiagnoseSettings
from lockstep.steps.evaluating.settings import EvaluateSettings
from lockstep.steps.reporting.sources import ReportSettings
from lockstep.steps.splitting.parts import SplitSettings
from lockstep.steps.tuning.search_space import TuneSettings

import msgspec

STRUCTS: Mapping[str, type[Settings]] = dict(
    zip(
        SECTIONS,
        (
            LoadSettings,
            SplitSettings,
            PreprocessSettings,
            TuneSettings,
            CrossValidateSettings,
            TrainSettings,
            EvaluateSettings,
            DiagnoseSettings,
            ReportSettings,
        ),
        strict=True,
    )
)
"""{section: the struct that its settings are read into}"""
SCHEMA = Path("params.schema.json")
"""Where editors find the schema."""
_REFERENCE = Path(__file__).with_name("settings_reference.yaml")
"""A problem with the defaults of all settings, and what each means."""
_FROM, _TO = 34, 122
"""The columns between which what a setting means is written."""
_LEAST = 40
"""Behind a value that leaves fewer columns than this, it is written below instead."""


def with_defaults(block: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The settings of a problem with the defaults of those that ``block`` leaves out, in the order of the reference."""
    return _merged(parse_yaml(_REFERENCE.read_bytes(), _REFERENCE), block)


def commented(problem: Mapping[str, Any]) -> str:
    """The settings of a problem as a block of params.yaml that says of each what it means, as far as it is known."""
    return "".join(_lines(problem, 0, ""))


def meanings(text: str) -> dict[str, str]:
    """{a setting, as split.checks.target_leak: what the comments beside and below it say} of a commented block."""
    found: dict[str, str] = {}
    above: list[tuple[int, str]] = []
    for line in text.splitlines():
        code, *comment = re.split(r"(?:^|\s)\s*# ", line, maxsplit=1)
        key, colon, _ = code.strip().partition(":")
        if colon and not key.startswith("-"):
            indent = len(code) - len(code.lstrip())
            above = [(column, name) for column, name in above if column < indent] + [(indent, key)]
        if comment:
            place = ".".join(name for _, name in above)
            found[place] = " ".join([found[place], *comment] if place in found else comment)
    return found


def schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of params.yaml: its sections, settings, allowed values, and what each means."""
    sections, parts = msgspec.json.schema_components(STRUCTS.values(), ref_template="#/$defs/{name}")
    for name, struct in STRUCTS.items():
        _describe(parts, parts[struct.__name__], name)
    keys = dict(zip(STRUCTS, sections, strict=True))
    problem = {"type": "object", "properties": keys, "required": list(keys), "additionalProperties": False}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The settings of a Lockstep repository",
        "type": "object",
        "properties": {
            "problems": {
                "type": "object",
                "patternProperties": {f"^{PROBLEM_NAME.pattern}$": problem},
                "additionalProperties": False,
            }
        },
        "required": ["problems"],
        "$defs": parts,
    }


def _describe(parts: Mapping[str, Any], part: dict[str, Any], place: str) -> None:
    """Put into a part of the schema what the settings in it mean; a section that is empty in YAML has its defaults."""
    part["type"] = ["object", "null"] if "." not in place else part["type"]
    part.pop("description", None)  # the docstring, written for readers of the code
    for key, value in part["properties"].items():
        if meaning := _meanings().get(f"{place}.{key}"):
            value["description"] = meaning
        if inner := value.get("$ref"):
            _describe(parts, parts[inner.rpartition("/")[2]], f"{place}.{key}")


def _merged(defaults: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Both; a mapping of settings is merged, one that is a setting's value is not."""
    merged = {}
    for key in [*defaults, *(given.keys() - defaults.keys())]:
        default, value = defaults.get(key), given.get(key, defaults.get(key))
        merged[key] = _merged(default, value) if default and isinstance(default, Mapping) else value
    return merged


@cache
def _meanings() -> dict[str, str]:
    return meanings(_REFERENCE.read_text(encoding="utf-8"))


def _lines(settings: Mapping[str, Any], indent: int, above: str) -> Iterator[str]:
    known = _meanings()
    for key, value in settings.items():
        place = f"{above}{key}"
        is_section = bool(value) and isinstance(value, Mapping) and any(name.startswith(f"{place}.") for name in known)
        first, *rest = [f"{key}:"] if is_section else dump_yaml({key: value}).splitlines()
        is_folded = bool(rest) and isinstance(value, str)  # no comment can stand in the middle of a text
        yield from _with_comment(" " * indent + first, "" if is_folded else known.get(place, ""))
        if is_section:
            yield from _lines(value, indent + 2, f"{place}.")
        else:
            yield from (f"{' ' * indent}{line}\n" for line in rest)


def _with_comment(line: str, comment: str) -> Iterator[str]:
    """A line, and a comment beside and below it."""
    column = max(_FROM, len(line) + 2)
    beside = column + _LEAST <= _TO
    column = column if beside else _FROM
    words = textwrap.wrap(comment, _TO - column - len("# "), break_long_words=False, break_on_hyphens=False)
    shown = [f"{' ' * column}# {text}" for text in words]
    yield (line + shown.pop(0)[len(line) :] if beside and shown else line) + "\n"
    yield from (f"{text}\n" for text in shown)
