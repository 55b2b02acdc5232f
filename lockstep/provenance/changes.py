"""What changed between two runs of a stage, in words: from what dvc.lock records of them, or would record now."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol

from lockstep.kernel.environment import VERSIONS
from lockstep.kernel.errors import some
from lockstep.kernel.lock_file import ABSENT, LockedFile, LockedStage
from lockstep.kernel.used_code import is_record

Kind = Literal["setting", "file", "command", "output"]


class History(Protocol):
    """What code was behind a recorded hash: CodeHistory."""

    def changed_modules(self, before: LockedFile, after: LockedFile) -> Sequence[str] | None:
        """Tell the modules that two recorded hashes of a folder of code differ in."""

    def used_code(self, record: LockedFile) -> Mapping[str, str | None] | None:
        """Tell the files that a record of the user's own code lists, with their MD5s."""


class Change(NamedTuple):
    """One difference in what a stage read or was told.

    Attributes:
        kind: "setting": a value in a parameter file; "file": a file that it reads; "command": its command line;
            "output": the path of a file that it writes.
        what: the setting's dotted key, or the file's path; empty for the command.
        file: of a setting: the parameter file that has it; else empty.
        before, after: of a setting its values, of a file or output its LockedFile, of the command the text; ABSENT
            where there is none.
        modules: of a folder of code, the modules in it that changed; empty where no commit has what it was, None
            where nobody was asked.
    """

    kind: Kind
    what: str
    file: str
    before: Any
    after: Any
    modules: Sequence[str] | None = None

    def __str__(self) -> str:
        """In words: ``problems.iris.train.seed 42 → 1``, ``lockstep/learning/scoring.py changed``."""
        if self.kind == "command":
            return "its command in dvc.yaml changed"
        if self.kind == "setting" and self.file == VERSIONS.name:
            name = "Python" if self.what == "python" else self.what
            return f"{name} {_plain(self.before)} → {_plain(self.after)}"
        if self.kind == "setting":
            return f"{self.what} {_shown(self.before)} → {_shown(self.after)}"
        if self.kind == "output":
            return f"it {'now' if self.before is ABSENT else 'no longer'} writes {self.what}"
        if self.before is ABSENT:
            return f"it now reads {self.what}"
        if self.after is ABSENT:
            return f"it no longer reads {self.what}"
        if self.after.md5 is None:
            return f"{self.what} is missing"
        if self.modules is None:
            return f"{self.what} changed"
        return f"{self.what} changed ({some(self.modules) or 'no commit has what it was, to tell which modules'})"


def _is_folder(file: Any) -> bool:
    return isinstance(file, LockedFile) and file.md5 is not None and file.md5.endswith(".dir")


def _plain(version: Any) -> str:
    return "(none)" if version is ABSENT else str(version)


def _shown(value: Any) -> str:
    return "(none)" if value is ABSENT else json.dumps(value, ensure_ascii=False, default=str)


def stage_changes(before: LockedStage, after: LockedStage, *, history: History | None = None) -> list[Change]:
    """What would make the stage's result another one, or did: settings first, then files, command, output paths.

    Outputs are compared by their paths alone: other bytes there are what a run gives, not why it runs.

    Args:
        history: tells the modules of a changed folder of code, and the files of a changed record of the user's own.
    """
    changes: list[Change] = []
    for file in [*before.params, *(name for name in after.params if name not in before.params)]:
        old, new = before.params.get(file, {}), after.params.get(file, {})
        for key in [*old, *(name for name in new if name not in old)]:
            changes += [
                Change("setting", what, file, one, other)
                for what, one, other in differing(key, old.get(key, ABSENT), new.get(key, ABSENT))
            ]
    for change in _files("file", before.deps, after.deps):
        if history and _is_folder(change.before) and _is_folder(change.after):
            changes.append(change._replace(modules=history.changed_modules(change.before, change.after) or ()))
        elif history and is_record(change.what) and ABSENT not in (change.before, change.after):
            changes += _of_used_code(change, history)
        else:
            changes.append(change)
    if before.cmd != after.cmd:
        changes.append(Change("command", "", "", before.cmd, after.cmd))
    return changes + [
        change for change in _files("output", before.outs, after.outs) if ABSENT in (change.before, change.after)
    ]


def _of_used_code(change: Change, history: History) -> list[Change]:
    """A changed record as the changes of what it lists; as it is where nobody knows what it listed."""
    listed = [history.used_code(record) for record in (change.before, change.after)]
    files = [tuple(LockedFile(path, md5, None) for path, md5 in (found or {}).items()) for found in listed]
    return [change] if None in listed else list(_files("file", files[0], files[1]))


def _files(kind: Kind, before: tuple[LockedFile, ...], after: tuple[LockedFile, ...]) -> Iterator[Change]:
    old, new = ({file.path: file for file in files} for files in (before, after))
    for path in sorted(old | new):
        one, other = old.get(path, ABSENT), new.get(path, ABSENT)
        if one is ABSENT or other is ABSENT or old[path].md5 != new[path].md5:
            yield Change(kind, path, "", one, other)


def differing(key: str, before: Any, after: Any) -> Iterator[tuple[str, Any, Any]]:
    """(dotted key, value before, value after) of every setting below ``key`` that differs; lists are compared whole."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in [*before, *(name for name in after if name not in before)]:
            yield from differing(f"{key}.{name}", before.get(name, ABSENT), after.get(name, ABSENT))
    elif before is not after and (type(before) is not type(after) or before != after):
        yield key, before, after
