"""The settings in params.yaml: problems, their sections as frozen structs, and what is wrong with them in words."""

import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar, get_type_hints

from lockstep.kernel.errors import SettingsError, did_you_mean, nearest
from lockstep.kernel.strict_yaml import read_yaml

import msgspec
from msgspec import inspect

SECTIONS = ("load", "split", "preprocess", "tune", "cross_validate", "train", "evaluate", "diagnose", "report")
PROBLEM_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
"""A letter first: DVC's --set-param takes problems.2024_sales for a number gone wrong."""
NO_PROBLEM = "no problem yet: python -m lockstep add FILE"
"""What to say of settings without a problem, as a repository of one's own begins."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A section of params.yaml. An unknown key, a missing key, a wrong type or value is a SettingsError."""

    former: ClassVar[Mapping[str, str]] = {}
    """Keys that the section had in earlier versions: what to do now, in a sentence."""


S = TypeVar("S", bound=Settings)
Seed = Annotated[int, msgspec.Meta(ge=0, lt=2**32)]
"""What NumPy's random generators take as a seed."""
Task = Literal["classification", "regression"]
"""What a problem is."""
Severity = Literal["error", "warning", "off"]
"""What a finding about the data is."""


def read_problems(path: Path) -> dict[str, dict[str, Any]]:
    """All problems of params.yaml: {name: {section: its settings}}; none in a repository that has none yet."""
    return check_problems(read_yaml(path), path)


def check_problems(content: Any, path: Path) -> dict[str, dict[str, Any]]:
    """The same of the content of params.yaml, which need not be in ``path`` yet."""
    problems = content.get("problems") if isinstance(content, dict) else None
    if not isinstance(problems, dict):
        raise SettingsError(
            f"{path}: 'problems' must map each problem's name to its sections, or be {{}}: there is none."
        )
    for name, sections in problems.items():
        check_problem_name(name, f"{path}: problems.{name}")
        if not isinstance(sections, dict):
            raise SettingsError(f"{path}: problems.{name} must map section names (load, split, ...) to settings.")
        for section in sections:
            if section not in SECTIONS:
                raise SettingsError(
                    f"{path}: problems.{name}.{section} is not a section. Allowed, nearest first: "
                    f"{', '.join(nearest(section, SECTIONS))}."
                )
    for name in problems:
        for suffix in ("_profile", "_checks", "_tune", "_cross_validation"):
            if f"{name}{suffix}" in problems:
                raise SettingsError(f"{path}: problems.{name}{suffix} would write to files of '{name}'. Rename it.")
    return problems


def check_there(name: str, problems: Collection[str], path: Path) -> None:
    """Raise SettingsError unless there is a problem ``name``."""
    if not problems:
        raise SettingsError(f"{path} has no problem '{name}': it has {NO_PROBLEM}.")
    if name not in problems:
        raise SettingsError(
            f"{path} has no problem '{name}'. It has: {', '.join(problems)}.{did_you_mean(name, problems)}"
        )


def check_problem_name(name: object, where: str) -> None:
    """Problem names become parts of paths and of shell commands, hence the strictness."""
    if not isinstance(name, str) or not PROBLEM_NAME.fullmatch(name):
        raise SettingsError(
            f"{where}: {_shown(name)} is not a problem name. Allowed: letters, digits, '_' and '-', at most 64, "
            "beginning with a letter (in quotes if it is true, false or null)."
        )
    if name.lower() == "index":
        raise SettingsError(
            f"{where}: the name '{name}' is taken by the page of all problems, reports/index.html. Give another one."
        )


class Problem:
    """The settings of one problem, read from params.yaml.

    Args:
        path: the settings file.
        name: the problem's name in it.
        problems: what read_problems gives of it, for one who has read it.

    Attributes:
        sections: as they stand in the file.
    """

    def __init__(self, path: Path, name: str, problems: Mapping[str, dict[str, Any]] | None = None) -> None:
        problems = read_problems(path) if problems is None else problems
        check_there(name, problems, path)
        self.path, self.name, self.sections = path, name, problems[name]
        self._used: dict[str, Any] = {}

    def section(self, name: str, kind: type[S]) -> S:
        """The section ``name`` as a ``kind``; a SettingsError names the file, the key, its value and what is
        allowed."""
        where = f"{self.path}: problems.{self.name}.{name}"
        if name not in self.sections:
            raise SettingsError(f"{where} is missing. Write '{name}: {{}}' there for all its defaults.")
        values = self.sections[name]
        self._used[name] = values
        return convert({} if values is None else values, kind, where)

    def pick(self, section: str, kind: type[S]) -> S:
        """Those keys of another stage's section that ``kind`` declares; the section's other keys are left alone.

        A stage that needs one key of another section tracks that key alone, so that it reruns for no other.
        """
        values = self.sections.get(section)
        values = {} if values is None else values
        picked = (
            {key: values[key] for key in kind.__struct_fields__ if key in values}
            if isinstance(values, dict)
            else values
        )
        self._used |= {f"{section}.{key}": value for key, value in picked.items()} if isinstance(picked, dict) else {}
        return convert(picked, kind, f"{self.path}: problems.{self.name}.{section}")

    def changed(self) -> list[str]:
        """The settings that were used, and that the file has with another value, or not at all, by now."""
        sections = read_problems(self.path).get(self.name, {})

        def now(place: str) -> Any:
            section, _, key = place.partition(".")
            values = sections.get(section)
            return (values.get(key) if isinstance(values, dict) else None) if key else values

        return [f"problems.{self.name}.{place}" for place, value in self._used.items() if now(place) != value]


def convert(values: Any, kind: type[S], where: str) -> S:
    """``values`` checked against the struct ``kind``; ``where`` is the dotted place that an error names."""
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        # Its message names no key in a form that can be relied on: what is wrong is found by looking at each field.
        wrong = _wrong(values, kind, where)
        raise SettingsError(wrong or f"{where}: {error}.") from None


def _wrong(value: Any, type_: Any, place: str) -> str | None:
    """What is wrong with ``value``: the key, its value, what is allowed; None if it is a ``type_``."""
    info = inspect.type_info(type_)
    if isinstance(info, inspect.StructType):
        return _wrong_in_struct(value, info, place)
    if isinstance(info, inspect.UnionType) and isinstance(value, dict):
        struct = next((member for member in info.types if isinstance(member, inspect.StructType)), None)
        if struct is not None:
            return _wrong_in_struct(value, struct, place)
    item = info.item_type if isinstance(info, inspect.VarTupleType) else None
    if isinstance(item, inspect.StructType) and isinstance(value, list | tuple):
        found = (_wrong(entry, item.cls, f"{place}[{number}]") for number, entry in enumerate(value))
        return next((message for message in found if message), None)
    try:
        msgspec.convert(value, type_)
    except msgspec.ValidationError:
        return f"{place} is {_shown(value)}. Allowed: {_allowed(info)}."
    return None


def _wrong_in_struct(values: Any, info: inspect.StructType, where: str) -> str | None:
    fields = {field.encode_name: field for field in info.fields}
    if not isinstance(values, dict):
        return f"{where} is {_shown(values)}. Allowed: a mapping with the keys {', '.join(fields)}."
    for key in values:
        if key in (former := getattr(info.cls, "former", {})):
            return f"{where}.{key} is no setting any more. {former[key]}"
        if key not in fields:
            return f"{where}.{key} is not a setting. Allowed, nearest first: {', '.join(nearest(key, fields))}."
    for name, field in fields.items():
        if field.required and name not in values:
            return f"{where}.{name} is missing. Allowed: {_allowed(field.type)}."
    types = get_type_hints(info.cls, include_extras=True)
    found = (_wrong(value, types[fields[name].name], f"{where}.{name}") for name, value in values.items())
    return next((message for message in found if message), None)


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _allowed(kind: inspect.Type) -> str:
    """A type in words: 'a number above 0 and below 1', 'one of auto, none, standard'."""
    match kind:
        case inspect.Metadata():
            return _allowed(kind.type)
        case inspect.UnionType():
            return " or ".join(_allowed(member) for member in kind.types)
        case inspect.LiteralType():
            return "one of " + ", ".join(str(value) for value in kind.values)
        case inspect.BoolType():
            return "true or false"
        case inspect.NoneType():
            return "null"
        case inspect.IntType() | inspect.FloatType():
            noun = "a whole number" if isinstance(kind, inspect.IntType) else "a number"
            bounds = [
                f"{word} {bound}"
                for word, bound in (("above", kind.gt), ("at least", kind.ge), ("below", kind.lt), ("at most", kind.le))
                if bound is not None
            ]
            return " ".join([noun, " and ".join(bounds)]).strip()
        case inspect.StrType():
            if kind.max_length == 1:
                return "one character" if kind.min_length else "one character, or '' for none"
            return "a text" if not kind.min_length else "a text that is not empty"
        case inspect.ListType() | inspect.VarTupleType():
            return f"a list, each item {_allowed(kind.item_type)}"
        case inspect.DictType():
            return "a mapping with texts as keys"
        case inspect.StructType():
            return f"a mapping with the keys {', '.join(field.encode_name for field in kind.fields)}"
    return type(kind).__name__.removesuffix("Type").lower()
