"""Reads params.yaml, strictly, and gives each stage its own sections as frozen structs.

YAML is read as DVC reads it (version 1.2: ``1e-3`` is a number, ``no`` is a text) but more strictly: anchors, aliases,
tags, duplicate keys, deep nesting and large files are refused, since each of them either hides what a setting is or
stalls a reader.
"""

import difflib
import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec
import yaml
from msgspec import inspect

from lockstep.errors import SettingsError

SECTIONS = ("load", "split", "preprocess", "tune", "cross_validate", "train", "evaluate", "report")
MAX_BYTES = 64 * 1024
MAX_DEPTH = 12
MAX_KEYS = 10_000
PROBLEM_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
"""A letter first: DVC's --set-param takes problems.2024_sales for a number gone wrong."""
_AMBIGUOUS = re.compile(r"[-+]?0[xob][0-9A-Fa-f_]+|[-+]?[0-9][0-9.]*_[0-9._]*|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt ].*)?")
"""Plain scalars that DVC's reader takes for a hexadecimal, octal or grouped number or for a date, and others do not."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A section of params.yaml. An unknown key, a missing key, a wrong type or value is a SettingsError."""


S = TypeVar("S", bound=Settings)
Seed = Annotated[int, msgspec.Meta(ge=0, lt=2**32)]
"""What NumPy's random generators take as a seed."""
Severity = Literal["error", "warning", "off"]
"""What a finding about the data is."""


class _Yaml12Loader(yaml.CSafeLoader):
    """YAML 1.2 core schema (https://yaml.org/spec/1.2.2/#103-core-schema), as DVC's own reader; duplicates refused."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a key must be a single word", problem_mark=key.start_mark)
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"the key '{key.value}' stands twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    """Quotes the texts that a reader of YAML 1.1 or 1.2 would take for something else; a gap instead of null, as DVC
    writes it."""


for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?[0-9]{1,1000}", "-+0123456789"),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
):
    for _class in (_Yaml12Loader, _Dumper):
        _class.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first))
_Yaml12Loader.add_constructor("tag:yaml.org,2002:int", lambda _, node: int(node.value))
_Yaml12Loader.add_constructor(
    "tag:yaml.org,2002:float", lambda _, node: float(re.sub(r"\.(inf|nan)", r"\1", node.value.lower()))
)
_Dumper.add_implicit_resolver("!ambiguous", re.compile(f"^(?:{_AMBIGUOUS.pattern})$"), list("-+0123456789"))
_Dumper.add_representer(type(None), lambda dumper, _: dumper.represent_scalar("tag:yaml.org,2002:null", ""))
_Dumper.add_representer(  # readers differ in what is a line break, and double quotes escape them all
    str,
    lambda dumper, text: dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style=None if text.isprintable() else '"'
    ),
)


def read_yaml(path: Path, max_bytes: int = MAX_BYTES) -> Any:
    """The content of a settings file. Raises SettingsError with file and line."""
    try:
        if not (path.is_file() or path.is_dir()) and path.exists():  # a pipe would keep us waiting, a device for ever
            raise SettingsError(f"{path} is not a regular file. Put the settings' file itself there.")
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except FileNotFoundError:
        raise SettingsError(f"{path} does not exist. Run from the repository's root, or name the file.") from None
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}.") from None
    return parse_yaml(data, path, max_bytes)


def parse_yaml(data: bytes, path: Path | str, max_bytes: int = MAX_BYTES, *, ambiguous: bool = False) -> Any:
    """The content of a settings file's bytes. Raises SettingsError with file and line.

    Args:
        path: for messages.
        ambiguous: whether plain scalars may be such that readers differ: in what DVC wrote, a hash may look like one.
    """
    if len(data) > max_bytes:
        raise SettingsError(f"{path} has more than {max_bytes:,} bytes; no settings file has.")
    try:
        text = data.decode("utf-8")
        entries: list[int] = []  # of the collections that the event stands in; -1 of lists, which may be long
        for event in yaml.parse(text, Loader=_Yaml12Loader):
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
                raise _refused(path, event, "anchors and aliases (& and *)", "Write the value out.")
            if tag := getattr(event, "tag", None):
                raise _refused(path, event, f"the tag {tag}", "Write a plain value.")
            if (
                not ambiguous
                and isinstance(event, yaml.ScalarEvent)
                and not event.style
                and _AMBIGUOUS.fullmatch(event.value)
            ):
                what = f"{event.value}, which readers of YAML take for different things"
                raise _refused(path, event, what, "Quote it, or write it plainly.")
            if isinstance(event, yaml.CollectionEndEvent):
                entries.pop()
                continue
            if entries and entries[-1] >= 0 and isinstance(event, yaml.NodeEvent):
                entries[-1] += 1  # keys and values
                if entries[-1] > 2 * MAX_KEYS:
                    raise _refused(path, event, f"a mapping of more than {MAX_KEYS:,} keys", "Remove some.")
            if isinstance(event, yaml.CollectionStartEvent):
                entries.append(0 if isinstance(event, yaml.MappingStartEvent) else -1)
            if len(entries) > MAX_DEPTH:
                raise _refused(path, event, f"nesting deeper than {MAX_DEPTH}", "Flatten it.")
        return yaml.load(text, Loader=_Yaml12Loader)  # noqa: S506 - a SafeLoader
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is not UTF-8 text (byte {error.start}). Save it as UTF-8.") from None
    except yaml.MarkedYAMLError as error:
        line = f" line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise SettingsError(f"{path}{line} is not valid YAML: {error.problem}. Correct it there.") from None
    except yaml.YAMLError as error:
        raise SettingsError(f"{path} is not valid YAML: {str(error).splitlines()[0]}.") from None


def dump_yaml(content: Any, *, flow: bool | None = False) -> str:
    """``content`` as YAML that parse_yaml reads back as it is.

    Args:
        flow: None writes the innermost collections, which then must hold no None, on a line.
    """
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110, default_flow_style=flow)


def _refused(path: Path | str, event: yaml.Event, what: str, remedy: str) -> SettingsError:
    line = f" line {event.start_mark.line + 1}" if event.start_mark else ""
    return SettingsError(f"{path}{line}: settings may not use {what}. {remedy}")


def read_problems(path: Path) -> dict[str, dict[str, Any]]:
    """All problems of params.yaml: {name: {section: its settings}}."""
    return check_problems(read_yaml(path), path)


def check_problems(content: Any, path: Path) -> dict[str, dict[str, Any]]:
    """The same of the content of params.yaml, which need not stand in ``path`` yet."""
    problems = content.get("problems") if isinstance(content, dict) else None
    if not isinstance(problems, dict) or not problems:
        raise SettingsError(f"{path}: 'problems' must map each problem's name to its sections, and has none.")
    for name, sections in problems.items():
        check_problem_name(name, f"{path}: problems.{name}")
        if not isinstance(sections, dict):
            raise SettingsError(f"{path}: problems.{name} must map section names (load, split, ...) to settings.")
        for section in sections:
            if section not in SECTIONS:
                near = difflib.get_close_matches(str(section), SECTIONS, len(SECTIONS), cutoff=0.0)
                raise SettingsError(
                    f"{path}: problems.{name}.{section} is not a section. Allowed, nearest first: {', '.join(near)}."
                )
    for name in problems:
        for suffix in ("_profile", "_checks", "_tune", "_cross_validation"):
            if f"{name}{suffix}" in problems:
                raise SettingsError(f"{path}: problems.{name}{suffix} would write to files of '{name}'. Rename it.")
    return problems


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
    """

    def __init__(self, path: Path, name: str) -> None:
        problems = read_problems(path)
        if name not in problems:
            near = difflib.get_close_matches(name, problems, 1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            raise SettingsError(f"{path} has no problem '{name}'. It has: {', '.join(problems)}.{hint}")
        self.path, self.name, self._sections = path, name, problems[name]
        self._used: dict[str, Any] = {}

    def section(self, name: str, kind: type[S]) -> S:
        """The section ``name`` as a ``kind``; a SettingsError names the file, the key, its value and what is
        allowed."""
        where = f"{self.path}: problems.{self.name}.{name}"
        if name not in self._sections:
            raise SettingsError(f"{where} is missing. Write '{name}: {{}}' there for all its defaults.")
        values = self._sections[name]
        self._used[name] = values
        return convert({} if values is None else values, kind, where)

    def pick(self, section: str, kind: type[S]) -> S:
        """Those keys of another stage's section that ``kind`` declares; the section's other keys are left alone.

        A stage that needs one key of another section tracks that key alone, so that it reruns for no other.
        """
        values = self._sections.get(section, {})
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
        raise SettingsError(_explain(values, kind, where, str(error))) from None


def _explain(values: Any, kind: type[msgspec.Struct], where: str, message: str) -> str:
    """Msgspec's message in our form: the key, its value, what is allowed."""
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    fields = {field.name: field for field in info.fields}
    if not isinstance(values, dict):
        return f"{where} is {_shown(values)}. Allowed: a mapping with the keys {', '.join(fields)}."
    for key in values:
        if key not in fields:
            near = difflib.get_close_matches(str(key), fields, len(fields), cutoff=0.0)
            return f"{where}.{key} is not a setting. Allowed, nearest first: {', '.join(near) or ', '.join(fields)}."
    for field in fields.values():
        if field.required and field.name not in values:
            return f"{where}.{field.name} is missing. Allowed: {_allowed(field.type)}."
    # "... - at `$.fields[0].name`", or of a key that is no text "... - at `key` in `$.fields[0]`"
    found = re.search(r"`\$\.([A-Za-z0-9_]+)(?:\[([0-9]+)\])?(.*)`$", message)
    if not found:
        return f"{where}: {message}."
    name = found[1]
    place, value, type_ = f"{where}.{name}", values[name], fields[name].type
    if found[2] and isinstance(type_, inspect.ListType | inspect.VarTupleType):
        place, value, type_ = f"{place}[{found[2]}]", value[int(found[2])], type_.item_type
    if isinstance(type_, inspect.StructType) and isinstance(value, dict):
        return _explain(value, type_.cls, place, message[: found.start()] + f"at `${found[3]}`")
    return f"{where}.{name} is {_shown(values[name])}. Allowed: {_allowed(fields[name].type)}."


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
        case inspect.DictType() | inspect.StructType():
            return "a mapping with texts as keys"
    return type(kind).__name__.removesuffix("Type").lower()
