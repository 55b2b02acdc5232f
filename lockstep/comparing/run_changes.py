"""What two revisions' dvc.lock record differently of a problem: settings, libraries, data, code; and in words."""

from collections.abc import Mapping, Sequence
from typing import Any

from lockstep.comparing.rendering import Quote
from lockstep.kernel.errors import some
from lockstep.kernel.lock_file import LockedFile, LockedStage, outputs
from lockstep.provenance.changes import ABSENT, differing, stage_changes

PARAMS = "params.yaml"
FEW = 8
"""How many changes of one kind are spelled out."""


def changes(
    before: Mapping[str, LockedStage],
    after: Mapping[str, LockedStage],
    problem: str,
    winners: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """What differs between the runs of a problem's stages, ready for JSON.

    Args:
        winners: the hyperparameters that a search chose, before and after.

    Returns:
        ``parameters`` and ``libraries`` (parameters of other files than params.yaml): file, key, before, after, None
        where there is none; ``data`` and ``code``: path, before, after, each an MD5 or None, of files that the stages
        read and no stage wrote. ``hyperparameters``, as the parameters: those that the models were trained with, the
        given ones and the winner's before them; empty where neither has a winner, for the parameters say it then.
    """
    own = [{name: stage for name, stage in side.items() if name.endswith(f"@{problem}")} for side in (before, after)]
    written = {*outputs(own[0].values()), *outputs(own[1].values())}
    found: dict[str, dict[tuple[str, str], dict[str, Any]]] = {
        kind: {} for kind in ("parameters", "libraries", "data", "code")
    }
    for name in sorted({*own[0], *own[1]}):
        sides = [side.get(name, LockedStage(name, "", (), {}, ())) for side in own]
        for change in stage_changes(*sides):
            if change.kind == "setting":
                kind = "parameters" if change.file == PARAMS else "libraries"
                key = change.what.removeprefix(f"problems.{problem}.")
                item = {"file": change.file, "key": key, "before": _json(change.before), "after": _json(change.after)}
            elif change.kind == "file" and change.what not in written:
                kind = "code" if change.what.endswith(".py") else "data"
                item = {"path": change.what, "before": _json(change.before), "after": _json(change.after)}
            else:
                continue
            found[kind][change.file, change.what] = item
    trained = [{**_hyperparameters(side, problem), **winner} for side, winner in zip(own, winners, strict=True)]
    return {kind: [items[key] for key in sorted(items)] for kind, items in found.items()} | {
        "hyperparameters": [
            {"key": key, "before": _json(old), "after": _json(new)}
            for name in sorted({*trained[0], *trained[1]})
            for key, old, new in differing(name, *(side.get(name, ABSENT) for side in trained))
        ]
        if any(winners)
        else []
    }


def _hyperparameters(stages: Mapping[str, LockedStage], problem: str) -> dict[str, Any]:
    """Those that were given to train."""
    train = stages.get(f"train@{problem}")
    section = train.params.get(PARAMS, {}).get(f"problems.{problem}.train") if train else None
    return dict((section or {}).get("hyperparameters") or {})


def _json(value: Any) -> Any:
    if isinstance(value, LockedFile):
        return value.md5
    return None if value is ABSENT else value


def sentences(found: Mapping[str, Any], quote: Quote) -> list[str]:
    """What ``changes`` found, a sentence for each kind of change."""
    lines = []
    names = {"hyperparameters": "hyperparameters (a search's winner goes before what is given)"}
    for kind in ("parameters", "hyperparameters", "libraries"):
        items = [
            f"{quote(item['key'])} {_value(item['before'], quote)} \u2192 {_value(item['after'], quote)}"
            for item in found[kind]
        ]
        lines += [f"Changed {names.get(kind, kind)}: {some(items, FEW)}."] if items else []
    for kind in ("data", "code"):
        items = [quote(item["path"]) + _how(item, kind == "data") for item in found[kind]]
        hint = " ('python -m lockstep data-diff' says what)" if kind == "data" else ""
        lines += [f"Changed {kind}: {some(items, FEW)}{hint}."] if items else []
    return lines


def _value(value: Any, quote: Quote) -> str:
    return "not set" if value is None else quote(value)


def _how(item: Mapping[str, Any], hashes: bool) -> str:
    if item["before"] is None:
        return " (new)"
    if item["after"] is None:
        return " (gone)"
    return f" ({item['before'][:7]} \u2192 {item['after'][:7]})" if hashes else ""
