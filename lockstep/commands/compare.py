"""``python -m lockstep compare [REV_A] [REV_B]``: is the model of one revision better than that of another, or is it
noise?

Reads what both revisions recorded, the predictions of their test rows and the scores of their cross-validation; nothing
is trained, and nothing in the workspace is touched. For each problem and metric: both values, the difference with its
95 % interval and p-value, and a verdict; and what differs between the revisions. docs/comparing.md says how to read it.
"""

import argparse
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from lockstep.comparing.model_verdicts import ALPHA, BETTER, NOT_COMPARABLE, WORSE, Evaluated, Folds, compare
from lockstep.comparing.model_words import report, why_not
from lockstep.comparing.rendering import add_forms, emit, visible
from lockstep.comparing.run_changes import changes
from lockstep.kernel.errors import DataError, IntegrityError, LockstepError
from lockstep.kernel.lock_file import LOCK_FILE, LockedStage, outputs
from lockstep.learning.cross_validation import CrossValidateSettings
from lockstep.provenance.plan import needed
from lockstep.repository.evaluated_models import corrected, models_looked_at
from lockstep.repository.revisions import (
    WORKSPACE,
    Revision,
    file_of,
    locked_stages,
    opened,
    outdated,
    stage_output,
    uncached_file,
    value_at,
)

import msgspec
import pandas as pd


def compare_revisions(rev_a: str, rev_b: str, problem: str | None = None) -> dict[str, Any]:
    """Each problem's models of two revisions compared, ready for JSON.

    Args:
        rev_a: before: a commit, branch, tag, experiment, or "workspace".
        rev_b: after.
        problem: this one alone; None for all.

    Raises:
        SettingsError: no such revision or problem.
        DataError: the one problem asked for is not in both revisions, or its predictions are not in the workspace.
        IntegrityError: its predictions are not in DVC's cache, or not what was written. (Of several problems the others
            are compared, and ``why_not`` and ``error``, an exit code, say what is wrong with this one.)
        MachineError: no DVC or git repository, or a file that cannot be read.
    """
    with opened(rev_a, rev_b, problem) as (repo, revisions, names):
        problems = {}
        for name in names:
            try:
                problems[name] = BLANK | _problem(repo, revisions, name)
            except LockstepError as error:
                if problem is not None:
                    raise
                problems[name] = BLANK | {"why_not": str(error).rstrip("."), "error": error.exit_code}
    if problem is not None and not problems[problem]["recorded"]:
        raise DataError(f"{why_not(problem, problems[problem], visible)}.")
    return {
        "alpha": ALPHA,
        "before": revisions[0].summary,
        "after": revisions[1].summary,
        "problems": problems,
    }


BLANK: dict[str, Any] = {
    "verdict": NOT_COMPARABLE, "why_not": None, "error": None, "absent": [], "not_run": [], "unjudged": [],
    "targets": None, "averages": None, "altered": [], "recorded": False, "outdated": [], "rows": None, "metrics": [],
    "cross_validation": None, "notes": [], "changes": None, "looks": None,
}  # fmt: skip
"""What a problem has where nothing was compared."""
TARGETS = {"classification": "target", "regression": "price"}
"""The tasks, and the target of each where none is set."""


def _problem(repo: Any, revisions: tuple[Revision, Revision], name: str) -> dict[str, Any]:
    """One problem compared: what ``comparison.compare`` gives, and ``recorded`` (whether both revisions have it),
    ``outdated`` (what the workspace's run has not seen), ``changes``, ``looks`` (how many models the test rows have
    seen); of each better metric ``p_looks``, corrected for them. And the revisions, as they are shown, that lack the
    problem (``absent``), did not run it (``not_run``), did not evaluate their model (``unjudged``), or whose metrics
    are not those that were written (``altered``); of the cross-validation those that did not run it (``stale``), and
    those whose hyperparameters a search chose on its folds (``tuned``)."""
    absent = [revision.shown for revision in revisions if name not in revision.problems]
    if absent:
        return {"why_not": "the problem is in one revision only", "absent": absent}
    stage = f"evaluate@{name}"
    outputs = [stage_output(repo, revision, stage, f"predictions/{name}.parquet") for revision in revisions]
    missing = [revision.shown for revision, output in zip(revisions, outputs, strict=True) if output is None]
    if missing:
        return {"why_not": "not run", "not_run": missing}
    stages = [locked_stages(repo, revision) for revision in revisions]
    sides = list(zip(revisions, stages, strict=True))
    winners = [_winner(repo, side, own, name) for side, own in sides]
    other_folds = [_other_folds(side, own, name) for side, own in sides]
    before, after = (
        _evaluated(repo, *side, name, has_folds=not other, tuned=bool(winner))
        for side, other, winner in zip(sides, other_folds, winners, strict=True)
    )
    found = compare(before, after)
    found |= {"recorded": True, "looks": _looks(repo, name, stages[1])}
    found["changes"] = changes(stages[0], stages[1], name, winners)
    folds = found["cross_validation"]
    folds["tuned"] = [side.shown for side, winner in zip(revisions, winners, strict=True) if winner]
    folds["stale"] = [
        side.shown for side, other in zip(revisions, other_folds, strict=True) if other and not found["targets"]
    ]
    if folds["stale"]:
        folds["why_not"] = "not run with these settings"
    unjudged = [side.shown for side, own in sides if _stale(side, own, stage)]
    if unjudged:  # such as an experiment of sweep: trained, not evaluated
        found |= {"verdict": NOT_COMPARABLE, "metrics": [], "rows": None, "looks": None}
        found |= {"why_not": "the test rows have not judged the model", "unjudged": unjudged}
    for item in found["metrics"]:
        item["p_looks"] = corrected(item["p_holm"], found["looks"]) if item["verdict"] == BETTER else None
    found["altered"] = []
    for revision, own in sides:
        if revision.commit is None:
            found["outdated"] = _outdated(repo, revision, own, name)
        metrics = next((out for out in own[stage].outs if out.path == f"metrics/{name}.json"), None)
        if metrics is not None and uncached_file(repo, revision, metrics) is None:
            found["altered"].append(revision.shown)
    return found


def _stale(revision: Revision, stages: Mapping[str, LockedStage], stage: str) -> bool:
    """Whether what a revision records of a stage, or of one that it needs, is of other settings than the revision's, or
    of other files than the stages before it wrote."""
    written, own = outputs(stages.values()), needed([stage], stages).values()
    settings = [item for one in own for item in one.params.get("params.yaml", {}).items()]
    return any(value_at(revision.params, key) != value for key, value in settings) or any(
        dep.path in written and written[dep.path][0].md5 != dep.md5 for one in own for dep in one.deps
    )


def _other_folds(revision: Revision, stages: Mapping[str, LockedStage], name: str) -> bool:
    """Whether the cross-validation that a revision records is not of the way in which its model was trained: it is
    stale, or was run with other code or library versions than ``train``."""
    stage = f"cross_validate@{name}"
    if stage not in stages:
        return False
    own, train = (_read_by(stages[other]) if other in stages else {} for other in (stage, f"train@{name}"))
    return _stale(revision, stages, stage) or any(train.get(key, value) != value for key, value in own.items())


def _read_by(stage: LockedStage) -> dict[tuple[str, str], Any]:
    """All that a stage read: hashes of files, and values by parameter file and key."""
    settings = {(file, key): value for file, values in stage.params.items() for key, value in values.items()}
    return settings | {("", dep.path): dep.md5 for dep in stage.deps}


def _outdated(repo: Any, revision: Revision, stages: Mapping[str, LockedStage], name: str) -> list[dict[str, Any]]:
    """The stages of a problem that the workspace has changed since they ran: ``stage``, ``changed`` (files and
    settings), ``makes``: "model", "evaluation", or None where neither depends on it."""
    train, evaluate = ([stage] if stage in stages else [] for stage in (f"train@{name}", f"evaluate@{name}"))
    makes = dict.fromkeys(needed(evaluate, stages), "evaluation") | dict.fromkeys(needed(train, stages), "model")
    return [
        {"stage": stage, "changed": changed, "makes": makes.get(stage)}
        for stage in stages
        if stage.endswith(f"@{name}") and (changed := outdated(repo, revision, stage))
    ]


def _winner(repo: Any, revision: Revision, stages: Mapping[str, LockedStage], name: str) -> dict[str, Any]:
    """The hyperparameters that a revision's search chose; none without one, or if the given ones were the best."""
    path = f"metrics/{name}_tune.json"
    tune = stages.get(f"tune@{name}")
    written = next((out for out in tune.outs if out.path == path), None) if tune else None
    content = uncached_file(repo, revision, written) if written else None
    try:
        return dict(json.loads(content).get("hyperparameters", {})) if content else {}
    except (ValueError, TypeError, AttributeError):
        raise IntegrityError(f"{path} of {revision.shown} is not what the stage tune writes.") from None


def _evaluated(
    repo: Any, revision: Revision, stages: Mapping[str, LockedStage], name: str, *, has_folds: bool, tuned: bool
) -> Evaluated:
    """What a revision recorded of a problem that it has evaluated.

    Args:
        stages: as its dvc.lock has them.
        has_folds: whether its folds are those of its model; see _other_folds.
        tuned: whether a search chose its hyperparameters on them.
    """
    stage = f"evaluate@{name}"
    output = stage_output(repo, revision, stage, f"predictions/{name}.parquet")
    assert output is not None
    if output.md5 not in {out.md5 for out in stages[stage].outs}:
        raise IntegrityError(
            f"{output.path} in the workspace is not what {stage} wrote: its hash is another one than in dvc.lock. Run "
            f"'dvc repro {stage}', or 'dvc checkout --force {output.path}'."
        )
    try:
        predictions = pd.read_parquet(file_of(repo, revision, output, stage))
        absent = [column for column in ("row", "row_hash", "actual", "predicted") if column not in predictions]
    except (OSError, ValueError) as error:
        raise IntegrityError(f"{output.path} of {revision.shown} is no parquet file ({error}).") from None
    if absent:
        raise IntegrityError(
            f"{output.path} of {revision.shown} has no column '{absent[0]}': no predictions of Lockstep."
        )
    load, split = (_settings(stages, stage, name) for stage in ("load", "split"))
    task = load.get("task", "classification")
    if task not in list(TARGETS):
        raise IntegrityError(
            f"dvc.lock of {revision.shown}: problems.{name}.load.task is '{task}'. Allowed: {', '.join(TARGETS)}."
        )
    raw = _read(stages, f"load@{name}", str(load.get("path")))
    grouped, in_time = split.get("group") is not None, split.get("time") is not None
    return Evaluated(
        predictions=predictions,
        task=task,
        target=str(load.get("target") or TARGETS[task]),
        average=_settings(stages, "evaluate", name).get("average", "macro"),
        stratified=split.get("stratify", "auto") is not False and not grouped and not in_time,
        grouped=grouped,
        in_time=in_time,
        raw=None if raw is None else f"{raw} from line {load.get('skip_lines', 0)}",
        folds=_folds(repo, revision, stages, name, in_time=in_time, tuned=tuned) if has_folds else None,
    )


def _folds(
    repo: Any, revision: Revision, stages: Mapping[str, LockedStage], name: str, *, in_time: bool, tuned: bool
) -> Folds | None:
    stage = f"cross_validate@{name}"
    written = [out for out in stages[stage].outs if out.path.endswith("/folds.csv")] if stage in stages else []
    content = uncached_file(repo, revision, written[0]) if written else None
    if content is None:
        return None
    settings = msgspec.structs.asdict(CrossValidateSettings()) | _settings(stages, "cross_validate", name)
    made_from = (
        _read(stages, stage, f"data/split/{name}/train.parquet"),
        settings["folds"],
        settings["repeats"],
        settings["seed"],
    )
    return Folds(pd.read_csv(io.BytesIO(content)), made_from, str(settings["average"]), in_time, tuned)


def _settings(stages: Mapping[str, LockedStage], stage: str, name: str) -> dict[str, Any]:
    """The section of params.yaml that a stage was run with."""
    own = stages.get(f"{stage}@{name}")
    return dict(own.params.get("params.yaml", {}).get(f"problems.{name}.{stage}") or {}) if own else {}


def _read(stages: Mapping[str, LockedStage], stage: str, path: str) -> str | None:
    """The MD5 of a file that a stage read; None if it is not recorded."""
    return next((file.md5 for file in stages[stage].deps if file.path == path), None) if stage in stages else None


def _looks(repo: Any, name: str, stages: Mapping[str, LockedStage]) -> int:
    """How many models the test rows of a revision have seen, by what git and the workspace know."""
    test = _read(stages, f"evaluate@{name}", f"data/split/{name}/test.parquet")
    root, lock = repo.git_root, repo.root / LOCK_FILE
    extra = lock.read_bytes() if lock.is_file() else b""
    return len(models_looked_at(root, lock.relative_to(root).as_posix(), name, str(test), extra))


def main(argv: Sequence[str] | None = None) -> int:
    """Print the comparison; the exit code is 1 if ``--fail-if worse`` is given and a metric is worse, else 0 or, where
    a problem could not be compared for an error, that error's."""
    parser = argparse.ArgumentParser(prog="python -m lockstep compare", description=__doc__)
    parser.add_argument("rev_a", nargs="?", default="HEAD", metavar="REV_A", help="before; default: %(default)s")
    parser.add_argument(
        "rev_b",
        nargs="?",
        default=WORKSPACE,
        metavar="REV_B",
        help="after; default: %(default)s. A revision is a commit, branch, tag or DVC experiment, or 'workspace'",
    )
    parser.add_argument("--problem", metavar="NAME", help="this problem alone; default: all")
    parser.add_argument("--fail-if", choices=["worse"], help="exit code 1 if any metric of any problem is worse")
    add_forms(parser)
    args = parser.parse_args(argv)
    found = compare_revisions(args.rev_a, args.rev_b, args.problem)
    emit(args, found, lambda quote: report(found, quote))
    worse = any(item["verdict"] == WORSE for problem in found["problems"].values() for item in problem["metrics"])
    errors = [problem["error"] for problem in found["problems"].values() if problem["error"]]
    return max(errors, default=int(args.fail_if == "worse" and worse))
