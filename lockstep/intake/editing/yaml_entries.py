"""Adds, removes and renames an entry of a section in a YAML file that people edit, or sets one: all other bytes stay as
they are.

Whatever is written is read again, and must be what was meant: a file that is laid out in another way is refused.
"""

import copy
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lockstep.intake.editing.yaml_text import dump_yaml
from lockstep.kernel.errors import SettingsError
from lockstep.kernel.lock_file import MAX_LOCK_BYTES
from lockstep.kernel.strict_yaml import parse_yaml

import yaml


class _Entry(NamedTuple):
    """An entry of a section: its key, the line that it stands in, and the lines (from, to) that belong to the entry,
    with the comments and empty lines above it."""

    key: yaml.Node
    line: int
    start: int
    end: int


class _Section(NamedTuple):
    """A top-level mapping: its own key, its value, the line behind its last one, its entries by their names."""

    key: yaml.Node
    value: yaml.Node
    end: int
    entries: Mapping[str, _Entry]


def with_entry(
    text: str, file: Path, section: str, name: str, value: Mapping[str, Any], lines_of_value: str | None = None
) -> str:
    """``text``, what is in ``file``, with ``name: value`` at the end of its mapping ``section``.

    Args:
        lines_of_value: ``value`` as YAML, with comments; None: without.

    Raises:
        SettingsError: the section is missing, or not a block that something can be added to.
    """
    before, lines = _parsed(text, file), text.splitlines(keepends=True)
    found = _find(text, file, section)
    entry = dump_yaml({name: None}).splitlines(keepends=True)
    entry += [f"  {line}" for line in (lines_of_value or dump_yaml(value)).splitlines(keepends=True)]
    indented = "".join(f"  {line}" for line in entry)
    if found.entries:
        head = _ended("".join(lines[: found.end])) + "\n"
    else:
        head = _ended("".join([*lines[: found.key.start_mark.line], _with_value(lines, found, "")]))
        head += "".join(lines[found.key.start_mark.line + 1 : found.end])
    result = head + indented + "".join(lines[found.end :])
    after = {**before, section: {**before[section], name: value}}
    return _checked(result, after, file, f"Add '{name}' to '{section}' by hand.")


def without_entries(text: str, file: Path, section: str, names: Collection[str]) -> str:
    """``text``, what is in ``file``, without the entries ``names``, which need not be there, of its mapping
    ``section``; a section that has no other becomes ``{}``. Raises SettingsError, as ``with_entry``.
    """
    before, lines = _parsed(text, file), text.splitlines(keepends=True)
    found = _find(text, file, section)
    gone = [entry for name, entry in found.entries.items() if name in names]
    if not gone:
        return text
    first = next(iter(found.entries.values()))
    kept = dict(enumerate(lines))
    for entry in gone:
        end = entry.end
        while entry is first and end < found.end and not lines[end].strip():
            end += 1  # what parted it from the next
        for number in range(entry.start, end):
            kept.pop(number, None)
    if len(gone) == len(found.entries):
        kept[found.key.start_mark.line] = _with_value(lines, found, " {}")
    after = {**before, section: {name: value for name, value in before[section].items() if name not in names}}
    return _checked("".join(kept.values()), after, file, f"Remove {', '.join(names)} from '{section}' by hand.")


def with_renamed_entry(text: str, file: Path, section: str, old: str, new: str, changes: Mapping[str, str]) -> str:
    """``text``, what is in ``file``, with the entry ``old`` of its mapping ``section`` called ``new``, in its place.

    Args:
        changes: texts within the lines of the entry, each with what replaces it.

    Raises:
        SettingsError: as ``with_entry``; or there is a ``new`` already.
    """
    before, lines = _parsed(text, file), text.splitlines(keepends=True)
    found = _find(text, file, section)
    if new in found.entries:
        raise SettingsError(f"{file} has {section}.{new} already. Give another name.")
    if (entry := found.entries.get(old)) is None:
        return text
    line, start, end = lines[entry.line], entry.key.start_mark.column, entry.key.end_mark.column
    lines[entry.line] = line[:start] + dump_yaml({new: 1}).rpartition(":")[0] + _replaced(line[end:], changes)
    lines[entry.line + 1 : entry.end] = _replaced(lines[entry.line + 1 : entry.end], changes)
    result = "".join(lines)
    after = {(new if key == old else key): value for key, value in before[section].items()}
    after[new] = _replaced(after[new], changes)
    return _checked(result, {**before, section: after}, file, f"Rename {section}.{old} by hand.")


def with_setting(text: str, file: Path, place: Sequence[str], value: Any) -> str:
    """``text``, what is in ``file``, with ``value`` at ``place``, the keys that lead there, of which all but the last
    are there. What is set anew stands in lines of its own behind the others. Raises SettingsError, as ``with_entry``.
    """
    before = _parsed(text, file)
    after, by_hand = copy.deepcopy(before), f"Set {'.'.join(place)} to {value} by hand."
    holder = after
    for key in place[:-1]:
        holder = holder.get(key) if isinstance(holder, dict) else None
    node: Any = yaml.compose(text, Loader=yaml.CSafeLoader)
    for key in place[:-1]:
        node = next((below for name, below in node.value if name.value == key), None)
        if not isinstance(node, yaml.MappingNode) or node.flow_style or not node.value or holder is None:
            raise SettingsError(f"{file} has no block '{'.'.join(place[:-1])}:' of settings in lines. {by_hand}")
    holder[place[-1]] = value
    lines, indent = text.splitlines(keepends=True), " " * node.start_mark.column
    new = [indent + line for line in dump_yaml({place[-1]: value}).splitlines(keepends=True)]
    was = next(((key, below) for key, below in node.value if key.value == place[-1]), None)
    if was is None:
        end = _back(lines, _behind(node.value[-1][1], lines), node.start_mark.line + 1, node.start_mark.column - 1)
        lines[end - 1] = _ended(lines[end - 1])
        lines[end:end] = new
    else:
        key, below = was
        line, start = key.start_mark.line, key.end_mark.column
        end = _back(lines, _behind(below, lines), line + 1, node.start_mark.column)
        if below.start_mark.line == line and not isinstance(value, dict):
            raise SettingsError(f"{file} is laid out in a way that cannot be changed safely. {by_hand}")
        if below.start_mark.line == line:  # the value goes, a comment behind it stays
            tail = lines[line][below.end_mark.column :] if below.end_mark.line == line else "\n"
            new[0] = _ended(f"{lines[line][:start]}:{tail}")
        else:
            new[0] = lines[line]
        lines[line:end] = new
    return _checked("".join(lines), after, file, by_hand)


def _replaced(value: Any, changes: Mapping[str, str]) -> Any:
    """``value`` with ``changes`` made in each of its texts."""
    if isinstance(value, dict):
        return {key: _replaced(item, changes) for key, item in value.items()}
    if isinstance(value, list):
        return [_replaced(item, changes) for item in value]
    if isinstance(value, str):
        for was, now in changes.items():
            value = value.replace(was, now)
    return value


def _find(text: str, file: Path, section: str) -> _Section:
    root = yaml.compose(text, Loader=yaml.CSafeLoader)
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    at = next((number for number, (key, _) in enumerate(pairs) if key.value == section), None)
    value = None if at is None else pairs[at][1]
    if at is None or not isinstance(value, yaml.MappingNode) or (value.flow_style and value.value):
        raise SettingsError(f"{file} has no block '{section}:' of entries (or '{section}: {{}}'). Restore it from git.")
    lines = text.splitlines()
    after = pairs[at + 1][0].start_mark.line if at + 1 < len(pairs) else len(lines)
    end = _back(lines, after, pairs[at][0].start_mark.line + 1, column=0)
    entries: dict[str, _Entry] = {}
    for number, (key, _) in enumerate(value.value):
        line, column = key.start_mark.line, key.start_mark.column
        above = next(reversed(entries.values())).end if entries else pairs[at][0].start_mark.line + 1
        following = value.value[number + 1][0].start_mark.line if number + 1 < len(value.value) else end
        entries[key.value] = _Entry(key, line, above, _back(lines, following, line + 1, column))
    return _Section(pairs[at][0], value, end, entries)


def _back(lines: list[str], end: int, start: int, column: int) -> int:
    """``end``, less the empty lines above it and comments that are not indented more than ``column``: they belong to
    what follows."""
    while end > start:
        line = lines[end - 1]
        stripped = line.strip()
        if stripped and not (stripped.startswith("#") and len(line) - len(line.lstrip()) <= column):
            break
        end -= 1
    return end


def _behind(node: yaml.Node, lines: list[str]) -> int:
    """The line behind a value, or what may be empty lines and comments below it."""
    mark = node.end_mark
    in_block = isinstance(node, yaml.CollectionNode) and not node.flow_style  # it ends where what follows begins
    return (
        mark.line
        if in_block and mark.line < len(lines) and lines[mark.line][: mark.column].isspace()
        else (mark.line + bool(mark.column))
    )


def _with_value(lines: list[str], section: _Section, value: str) -> str:
    """The line of a section's key, with ``value`` behind its colon instead of ``{}`` or nothing."""
    line, key = lines[section.key.start_mark.line], section.key.end_mark.column
    return line[:key] + re.sub(r"^(\s*:)( *\{\s*\})?", lambda match: match[1] + value, line[key:])


def _ended(text: str) -> str:
    return text if text.endswith("\n") else text + "\n"


def _parsed(text: str, file: Path) -> Any:
    # A hash in what DVC wrote may look like a number: nothing is decided by it here.
    return parse_yaml(text.encode(), file, MAX_LOCK_BYTES, ambiguous=True)


def _checked(result: str, meant: Any, file: Path, otherwise: str) -> str:
    if _parsed(result, file) != meant:
        raise SettingsError(f"{file} is laid out in a way that cannot be changed safely. {otherwise}")
    return result
