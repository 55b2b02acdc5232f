"""What ``dvc repro`` would run now, because of what, and how that is said."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from lockstep.kernel.errors import SettingsError, nearest, some
from lockstep.kernel.lock_file import LockedStage, outputs
from lockstep.kernel.used_code import is_record
from lockstep.provenance.changes import History, stage_changes

NEVER = "no run of it is recorded in dvc.lock"
_MORE = 4
"""So many stages or files are named in one line."""


class Plan(NamedTuple):
    """What ``dvc repro`` would do.

    Attributes:
        run: by stage: why it would run.
        restore: by stage: its outputs that are not as recorded, while nothing that it reads changed.
        maybe: by stage: the files that it reads from stages of ``run`` (or ``maybe``). It runs if their bytes change.
    """

    run: dict[str, list[str]]
    restore: dict[str, list[str]]
    maybe: dict[str, list[str]]


def plan(recorded: Mapping[str, LockedStage], now: Mapping[str, LockedStage], history: History | None = None) -> Plan:
    """Find what ``dvc repro`` would do about the stages of ``now``, and why.

    Args:
        recorded: of dvc.lock.
        now: what dvc.lock would say of them now: Repository.current_stages.
        history: as of stage_changes.
    """
    producers = {path: owner for path, (_, owner) in outputs(now.values()).items()}
    computed = outputs(computing(now).values())
    found = Plan({}, {}, {})
    for name in _in_order(now, producers):
        stage = now[name]
        upstream = [
            file.path
            for file in stage.deps
            if file.path in computed and any(producers[file.path] in stages for stages in (found.run, found.maybe))
        ]
        if name not in recorded:
            found.run[name] = [NEVER]
            continue
        # A table that its own stage has to remake or restore first is no reason of its own; what check would record of
        # own code is known before it does.
        upset = {path for path, owner in producers.items() if owner in found.run or owner in found.restore}
        changes = [
            change
            for change in stage_changes(recorded[name], stage, history=history)
            if change.what not in upset or is_record(change.what)
        ]
        if changes:
            found.run[name] = [str(change) for change in changes]
            continue
        if upstream:
            found.maybe[name] = upstream
            continue
        then = {file.path: file.md5 for file in recorded[name].outs}
        wrong = [
            f"{file.path} is {'missing' if file.md5 is None else 'altered'}"
            for file in stage.outs
            if file.md5 != then.get(file.path)
        ]
        if wrong:
            found.restore[name] = wrong
    return found


def _in_order(stages: Mapping[str, LockedStage], producers: Mapping[str, str]) -> list[str]:
    """Order the stages' names: each behind those whose outputs it reads; else in the order of ``stages``."""
    ordered: dict[str, None] = {}
    todo = list(stages)[::-1]
    while todo:
        name = todo.pop()
        before = {producers[file.path] for file in stages[name].deps if file.path in producers} - set(ordered)
        if before and name not in ordered:
            todo += [name, *sorted(before)]
        else:
            ordered.setdefault(name)
    return list(ordered)


def computing(stages: Mapping[str, LockedStage]) -> dict[str, LockedStage]:
    """The stages that results come of: all but ``check``, which reads all settings of a problem so as to refuse them.
    Nothing runs because it ran: what it writes never differs, or is known before (lockstep.kernel.used_code)."""
    return {name: stage for name, stage in stages.items() if name.split("@")[0] != "check"}


def needed(targets: Iterable[str], stages: Mapping[str, LockedStage]) -> dict[str, LockedStage]:
    """The stages that ``dvc repro TARGET`` looks at: the targets and all that they need, in the order of ``stages``."""
    producers = {path: owner for path, (_, owner) in outputs(stages.values()).items()}
    wanted, todo = set(), list(targets)
    while todo:
        name = todo.pop()
        if name not in wanted:
            wanted.add(name)
            todo += [producers[file.path] for file in stages[name].deps if file.path in producers]
    return {name: stage for name, stage in stages.items() if name in wanted}


def matching(target: str, names: Iterable[str]) -> list[str]:
    """Find the stages that ``target`` means: a stage, a stage of all problems, or a problem. Raises SettingsError."""
    known = list(names)
    found = [name for name in known if target == name or target in name.split("@")]
    if not found:
        words = sorted({word for name in known for word in (name, *name.split("@"))})
        raise SettingsError(
            f"'{target}' is no stage and no problem. Allowed, nearest first: {some(nearest(target, words), 8)}."
        )
    return found


def grouped(reasons: Mapping[str, Sequence[str]], names: Iterable[str]) -> list[str]:
    """Say reasons that stages share once: in lines such as ``evaluate@*: stages/evaluate.py changed``.

    Args:
        reasons: by stage.
        names: of all stages, so that "all problems" and "every stage" can be said.
    """
    by_reason: dict[str, list[str]] = {}
    for name, own in reasons.items():
        for reason in own:
            by_reason.setdefault(reason, []).append(name)
    by_stages: dict[tuple[str, ...], list[str]] = {}
    for reason, stages in by_reason.items():
        by_stages.setdefault(tuple(stages), []).append(reason)
    everything = list(names)
    return [f"{label(stages, everything)}: {some(list(own), _MORE)}" for stages, own in by_stages.items()]


def label(stages: Iterable[str], names: Sequence[str]) -> str:
    """``train@iris``, ``evaluate@*`` for that stage of several problems that are all there are, or ``every stage``."""
    chosen = set(stages)
    if len(chosen) > 1 and chosen == set(names):
        return "every stage"
    parts: dict[str, None] = {}
    for name in [name for name in names if name in chosen]:
        base = name.split("@")[0]
        family = [other for other in names if other.split("@")[0] == base]
        parts.setdefault(f"{base}@*" if len(family) > 1 and chosen >= set(family) else name)
    return some(list(parts), 6)


def in_words(
    recorded: Mapping[str, LockedStage],
    now: Mapping[str, LockedStage],
    target: str | None = None,
    history: History | None = None,
) -> list[str]:
    """Say what ``dvc repro [TARGET]`` would do, a line each; the arguments are those of ``plan``."""
    chosen = now if target is None else needed(matching(target, now), now)
    found, names = plan(recorded, chosen, history), list(now)
    lines = []
    if found.run:
        lines += ["Would run:", *(f"  {line}" for line in grouped(found.run, names))]
    if found.maybe:
        lines += [
            "Would run if what they read comes out with other bytes:",
            *(f"  {line}" for line in grouped(found.maybe, names)),
        ]
    if found.restore:
        lines += [
            "Would be restored from the cache, or run where the cache lacks it:",
            *(f"  {line}" for line in grouped(found.restore, names)),
        ]
    touched = sum(map(len, found))
    if not touched:
        return [f"Nothing would run. Stages looked at: {len(chosen)}."]
    if touched < len(chosen):
        lines.append(f"Up to date: {len(chosen) - touched} of {len(chosen)} stages.")
    if found.run:
        lines.append("A stage that ran before with the very same inputs is restored from the run cache instead.")
    return lines
