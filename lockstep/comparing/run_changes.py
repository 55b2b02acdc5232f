"""What two revisions' dvc.lock record differently of a problem: settings, libraries, data, code; and in words."""

from collections.abc import Mapping, Sequence
from typing import Any

from lockstep.comparing.rendering import Quote
from lockstep.kernel.errors import some
from lockstep.kernel.lock_file import ABSENT, CODE_FOLDERS, LockedFile, LockedStage, outputs
from lockstep.kernel.paths import PARAMS
from lockstep.learning.search_result import by_name
from lockstep.provenance.changes import Change, History, differing, stage_changes
from lockstep.provenance.plan import computing

import msgspec

Stages = Mapping[str, LockedStage]
_SHOWN_CHANGES = 8
"""How many changes of one kind are spelled out."""


class ValueChange(msgspec.Struct, frozen=True):
    """A setting, hyperparameter or version; None where it is not set."""

    key: str
    before: Any
    after: Any


class FileChange(msgspec.Struct, frozen=True):
    """A file, or folder of code; its MD5s, None where there is none.

    Attributes:
        modules: of a folder in both, the modules that changed; empty where no commit has what it was.
    """

    path: str
    before: str | None
    after: str | None
    modules: tuple[str, ...] = ()


class RunChanges(msgspec.Struct, frozen=True, kw_only=True):
    """What differs between two runs of a problem's stages.

    Attributes:
        parameters: settings in params.yaml.
        libraries: settings in other files: versions.
        data, code: files that the stages read and no stage wrote; a module that one stage tracks alone, and another one
            with its folder, is told with the folder.
        hyperparameters: those that the models were trained with, those that a search found before the given ones; empty
            where no search found any, for then ``parameters`` has them.
    """

    parameters: tuple[ValueChange, ...]
    libraries: tuple[ValueChange, ...]
    data: tuple[FileChange, ...]
    code: tuple[FileChange, ...]
    hyperparameters: tuple[ValueChange, ...]


def find_changes(
    before: Stages,
    after: Stages,
    problem: str,
    searched: Sequence[Mapping[str, Any]],
    history: History | None = None,
) -> RunChanges:
    """Find what differs between two runs of a problem's stages.

    Args:
        searched: the hyperparameters that a search chose, before and after.
        history: as of stage_changes.
    """
    own = [{name: stage for name, stage in side.items() if name.endswith(f"@{problem}")} for side in (before, after)]
    written = {*outputs(own[0].values()), *outputs(own[1].values())}
    settings, files = {}, {}
    for name in computing({**own[0], **own[1]}):
        sides = (side.get(name, LockedStage(name, "", (), {}, ())) for side in own)
        for change in stage_changes(*sides, history=history):
            if _is_read_elsewhere(change, *own):
                continue
            values = _plain(change.before), _plain(change.after)
            if change.kind == "setting":
                key = change.what.removeprefix(f"problems.{problem}.")
                settings[change.file, change.what] = ValueChange(key, *values)
            elif change.kind == "file" and change.what not in written:
                files[change.what] = FileChange(change.what, *values, tuple(change.modules or ()))
    in_folders = {f"{path}/{module}" for path, change in files.items() for module in change.modules}
    is_code = {path: path.endswith(".py") or path.split("/")[0] in CODE_FOLDERS for path in sorted(files)}
    trained = [{**_hyperparameters(side, problem), **found} for side, found in zip(own, searched, strict=True)]
    return RunChanges(
        parameters=tuple(settings[key] for key in sorted(settings) if key[0] == PARAMS.name),
        libraries=tuple(settings[key] for key in sorted(settings) if key[0] != PARAMS.name),
        data=tuple(files[path] for path, code in is_code.items() if not code),
        code=tuple(files[path] for path, code in is_code.items() if code and path not in in_folders),
        hyperparameters=tuple(
            ValueChange(key, _plain(old), _plain(new))
            for name in sorted({*trained[0], *trained[1]} if any(searched) else ())
            for key, old, new in differing(name, *(side.get(name, ABSENT) for side in trained))
        ),
    )


def _is_read_elsewhere(change: Change, before: Stages, after: Stages) -> bool:
    """Whether a stage only began or ceased to read what another stage reads on the side where this one does not."""
    if ABSENT not in (change.before, change.after):
        return False
    lacking, having = (before, after) if change.before is ABSENT else (after, before)
    if change.kind == "file":
        return any(dep.path == change.what for stage in lacking.values() for dep in stage.deps)
    whole = any(change.what in stage.params.get(change.file, {}) for stage in having.values())
    keys = [key for stage in lacking.values() for key in stage.params.get(change.file, {})]
    return whole and any(f"{change.what}.".startswith(f"{key}.") or key.startswith(f"{change.what}.") for key in keys)


def _hyperparameters(stages: Stages, problem: str) -> dict[str, Any]:
    """Those that were given to train, by the names that a search has for them."""
    train = stages.get(f"train@{problem}")
    section = train.params.get(PARAMS.name, {}).get(f"problems.{problem}.train") if train else None
    return by_name((section or {}).get("hyperparameters") or {})


def _plain(value: Any) -> Any:
    """A setting's value, or a file's MD5; None where it is absent."""
    if isinstance(value, LockedFile):
        return value.md5
    return None if value is ABSENT else value


def sentences(found: RunChanges, quote: Quote) -> list[str]:
    """Write a sentence for each kind of change."""
    hint = " ('python -m lockstep data-diff' says what)"
    kinds = [
        ("parameters", [_value_words(change, quote) for change in found.parameters], ""),
        ("hyperparameters (what a search found goes before what is given)",
         [_value_words(change, quote) for change in found.hyperparameters], ""),
        ("libraries", [_value_words(change, quote) for change in found.libraries], ""),
        ("data", [_file_words(change, quote, hashes=True) for change in found.data], hint),
        ("code", [_file_words(change, quote, hashes=False) for change in found.code], ""),
    ]  # fmt: skip
    return [f"Changed {kind}: {some(items, _SHOWN_CHANGES)}{more}." for kind, items, more in kinds if items]


def _value_words(change: ValueChange, quote: Quote) -> str:
    before, after = ("not set" if value is None else quote(value) for value in (change.before, change.after))
    return f"{quote(change.key)} {before} \u2192 {after}"


def _file_words(change: FileChange, quote: Quote, *, hashes: bool) -> str:
    name = quote(change.path)
    if change.before is None or change.after is None:
        return f"{name} ({'new' if change.before is None else 'gone'})"
    if hashes:
        return f"{name} ({change.before[:7]} \u2192 {change.after[:7]})"
    return f"{name} ({some(map(quote, change.modules))})" if change.modules else name
