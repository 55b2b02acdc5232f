"""``python -m lockstep explain [TARGET]``: which stages would run now, and because of what, in words.

TARGET is a stage (``train@iris``), a stage of all problems (``train``) or a problem (``iris``); what it needs is told
too. With ``--from`` (and ``--to``, by default the workspace's dvc.lock) it tells what the difference between two
revisions' dvc.lock means instead: which stages ran again, because of what, and whether their outputs changed.

Files are hashed from their bytes, and nothing is run or written. Exit code 0, whatever it tells.
"""

import argparse
import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from lockstep.kernel.errors import SettingsError, some
from lockstep.kernel.lock_file import LOCK, LockedStage, outputs, read_lock
from lockstep.provenance.changes import stage_changes
from lockstep.provenance.plan import needed
from lockstep.repository.revisions import WORKSPACE, current_stages, locked_stages, open_repository, read_revision

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


def plan(recorded: Mapping[str, LockedStage], now: Mapping[str, LockedStage]) -> Plan:
    """What ``dvc repro`` would do about the stages of ``now``, and why.

    Args:
        recorded: of dvc.lock.
        now: what dvc.lock would say of them now; see current_stages.
    """
    producers = {path: owner for path, (_, owner) in outputs(now.values()).items()}
    found = Plan({}, {}, {})
    for name in _in_order(now, producers):
        stage = now[name]
        upstream = [
            file.path
            for file in stage.deps
            if any(producers.get(file.path) in stages for stages in (found.run, found.maybe))
        ]
        if name not in recorded:
            found.run[name] = [NEVER]
            continue
        # A table that its own stage has to remake or restore first is no reason of its own.
        upset = {path for path, owner in producers.items() if owner in found.run or owner in found.restore}
        changes = [change for change in stage_changes(recorded[name], stage) if change.what not in upset]
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
    """The stages' names, each behind those whose outputs it reads; else in the order of ``stages``."""
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


def matching(target: str, names: Iterable[str]) -> list[str]:
    """The stages that ``target`` means: a stage, a stage of all problems, or a problem. Raises SettingsError."""
    known = list(names)
    found = [name for name in known if target == name or target in name.split("@")]
    if not found:
        words = sorted({word for name in known for word in (name, *name.split("@"))})
        near = difflib.get_close_matches(target, words, 3, cutoff=0.4) or words
        raise SettingsError(f"'{target}' is no stage and no problem. Allowed, for instance: {some(list(near), 8)}.")
    return found


def grouped(reasons: Mapping[str, Sequence[str]], names: Iterable[str]) -> list[str]:
    """Lines such as ``evaluate@*: lockstep/evaluating changed``: reasons that the same stages share are told once.

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


def explain_now(recorded: Mapping[str, LockedStage], now: Mapping[str, LockedStage], target: str | None) -> list[str]:
    """What ``dvc repro [TARGET]`` would do, a line each."""
    chosen = now if target is None else needed(matching(target, now), now)
    found, names = plan(recorded, chosen), list(now)
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


def explain_between(before: Mapping[str, LockedStage], after: Mapping[str, LockedStage]) -> list[str]:
    """What the difference between two dvc.lock means, a line each."""
    reasons: dict[str, list[str]] = {}
    results: dict[str, list[str]] = {}
    unexplained: dict[str, list[str]] = {}
    producers = {path: owner for path, (_, owner) in outputs(after.values()).items()}
    for name in after:
        if name not in before:
            continue
        causes = []
        for change in stage_changes(before[name], after[name]):
            by = f" (by {producers[change.what]})" if change.kind == "file" and change.what in producers else ""
            causes.append(f"{change}{by}")
        then = {file.path: file.md5 for file in before[name].outs}
        changed = [file.path for file in after[name].outs if then.get(file.path, file.md5) != file.md5]
        if causes:
            reasons[name] = causes
            results[name] = [f"{path} has other bytes" for path in changed] or ["all outputs have the same bytes"]
        elif changed:
            unexplained[name] = [f"{path} has other bytes" for path in changed]
    names = list(after)
    parts = {
        "New stages:": [label([name for name in after if name not in before], names)],
        "Stages that are gone:": [some([name for name in before if name not in after], 6)],
        "Ran again:": grouped(reasons, names),
        "What came of it:": grouped(results, names),
        "Other outputs, though nothing recorded changed (another machine, or a stage that is not deterministic):":
            grouped(unexplained, names),
    }  # fmt: skip
    lines = [line for title, own in parts.items() if any(own) for line in (title, *(f"  {text}" for text in own))]
    return lines or [f"Nothing changed. Stages looked at: {len(after)}."]


def main(argv: Sequence[str] | None = None) -> int:
    """Print the explanation."""
    parser = argparse.ArgumentParser(
        prog="python -m lockstep explain", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("target", nargs="?", metavar="TARGET", help="a stage or a problem; default: all stages")
    parser.add_argument("--from", dest="before", metavar="REV", help="explain the difference from this revision ...")
    parser.add_argument(
        "--to", dest="after", default=WORKSPACE, metavar="REV", help="... to this; default: %(default)s"
    )
    args = parser.parse_args(argv)
    if args.before is None:
        if args.after != WORKSPACE:
            parser.error("--to needs --from")
        recorded = read_lock() if LOCK.exists() else {}
        with open_repository() as repo:
            lines = explain_now(recorded, current_stages(repo), args.target)
    else:
        with open_repository() as repo:
            revisions = [read_revision(repo, name) for name in (args.before, args.after)]
            sides = [locked_stages(repo, revision) for revision in revisions]
        if args.target is not None:
            chosen = matching(args.target, [*sides[0], *(name for name in sides[1] if name not in sides[0])])
            sides = [{name: stage for name, stage in side.items() if name in chosen} for side in sides]
        lines = [f"From {revisions[0].shown} to {revisions[1].shown}:", *explain_between(sides[0], sides[1])]
    print("\n".join(lines))
    return 0
