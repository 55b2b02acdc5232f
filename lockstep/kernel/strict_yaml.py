"""Reads YAML as DVC reads it (version 1.2: ``1e-3`` is a number, ``no`` is a text), but more strictly.

Anchors, aliases, tags, duplicate keys, deep nesting and large files are refused, since each of them either hides what a
setting is or stalls a reader.
"""

import re
from pathlib import Path
from typing import Any

from lockstep.kernel.errors import SettingsError

import yaml

MAX_BYTES = 4 << 20
"""Some thousand problems; a megabyte takes a second or two."""
MAX_DEPTH = 12
MAX_KEYS = 10_000
AMBIGUOUS = re.compile(r"[-+]?0[xob][0-9A-Fa-f_]+|[-+]?[0-9][0-9.]*_[0-9._]*|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt ].*)?")
"""Plain scalars that DVC's reader takes for a hexadecimal, octal or grouped number or for a date, and others do not."""


class _Loader(yaml.CSafeLoader):
    """YAML 1.2 core schema (https://yaml.org/spec/1.2.2/#103-core-schema), as DVC's own reader; duplicates refused."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a key must be a single word", problem_mark=key.start_mark)
            if key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"the key '{_short(key.value)}' stands twice", problem_mark=key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


SCALARS = (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ("~", "n", "N", "")),
    ("int", r"[-+]?[0-9]{1,1000}", "-+0123456789"),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
)
"""What a plain scalar is: (tag, regular expression, the characters that it begins with)."""
for _tag, _pattern, _first in SCALARS:
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first))
_Loader.add_constructor("tag:yaml.org,2002:int", lambda _, node: int(node.value))
_Loader.add_constructor(
    "tag:yaml.org,2002:float", lambda _, node: float(re.sub(r"\.(inf|nan)", r"\1", node.value.lower()))
)


def read_yaml(path: Path) -> Any:
    """The content of a settings file. Raises SettingsError with file and line."""
    try:
        if not (path.is_file() or path.is_dir()) and path.exists():  # a pipe would keep us waiting, a device for ever
            raise SettingsError(f"{path} is not a regular file. Put the settings' file itself there.")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise SettingsError(f"{path} does not exist. Run from the repository's root, or name the file.") from None
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}.") from None
    return parse_yaml(data, path)


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
        entries: list[int] = []  # of the collections that the event is in; -1 of lists, which may be long
        flow = 0  # how many brackets the event is in
        for event in yaml.parse(text, Loader=_Loader):
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
                raise _refused(path, event, "anchors and aliases (& and *)", "Write the value out.")
            if tag := getattr(event, "tag", None):
                raise _refused(path, event, f"the tag {_short(tag)}", "Write a plain value.")
            if (
                not ambiguous
                and isinstance(event, yaml.ScalarEvent)
                and not event.style
                and AMBIGUOUS.fullmatch(event.value)
            ):
                what = f"{_short(event.value)}, which readers of YAML take for different things"
                raise _refused(path, event, what, "Quote it, or write it plainly.")
            if (
                not ambiguous
                and flow
                and isinstance(event, yaml.ScalarEvent)
                and not event.style
                and ":" in event.value
            ):
                what = f"{_short(event.value)} between brackets, of which some readers of YAML, DVC's too, make no text"
                raise _refused(path, event, what, "Quote it.")
            if isinstance(event, yaml.CollectionEndEvent):
                entries.pop()
                flow -= flow > 0
                continue
            if entries and entries[-1] >= 0 and isinstance(event, yaml.NodeEvent):
                entries[-1] += 1  # keys and values
                if entries[-1] > 2 * MAX_KEYS:
                    raise _refused(path, event, f"a mapping of more than {MAX_KEYS:,} keys", "Remove some.")
            if isinstance(event, yaml.CollectionStartEvent):
                flow += bool(flow or event.flow_style)
                entries.append(0 if isinstance(event, yaml.MappingStartEvent) else -1)
            if len(entries) > MAX_DEPTH:
                raise _refused(path, event, f"nesting deeper than {MAX_DEPTH}", "Flatten it.")
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is not UTF-8 text (byte {error.start}). Save it as UTF-8.") from None
    except yaml.MarkedYAMLError as error:
        line = f" line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise SettingsError(f"{path}{line} is not valid YAML: {error.problem}. Correct it there.") from None
    except yaml.YAMLError as error:
        raise SettingsError(f"{path} is not valid YAML: {str(error).splitlines()[0]}.") from None


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."


def _refused(path: Path | str, event: yaml.Event, what: str, remedy: str) -> SettingsError:
    line = f" line {event.start_mark.line + 1}" if event.start_mark else ""
    return SettingsError(f"{path}{line}: settings may not use {what}. {remedy}")
