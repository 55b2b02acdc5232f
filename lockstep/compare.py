"""``python -m lockstep compare [REV_A] [REV_B]``: is the model of one revision better than that of another, or is it
noise?

Reads what both revisions recorded, the predictions of their test rows and the scores of their cross-validation; nothing
is trained, and nothing in the workspace is touched. For each problem and metric: both values, the difference with its
95 % interval and p-value, and a verdict; and what differs between the revisions. docs/comparing.md says how to read it.
"""

import argparse
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lockstep.compare_changes import changes
from lockstep.compare_text import report
from lockstep.comparison import ALPHA, BETTER, NOT_COMPARABLE, WORSE, Evaluated, Folds, compare
from lockstep.errors import DataError, IntegrityError, LockstepError
from lockstep.lockfile import LOCK, LockedStage, outputs
from lockstep.looks import corrected, models_looked_at
from lockstep.rendering import add_forms, emit
from lockstep.revisions import (
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
        raise DataError(f"{problem}: {problems[problem]['why_not']}.")
    return {
        "alpha": ALPHA,
        "before": revisions[0].summary,
        "after": revisions[1].summary,
        "problems": problems,
    }


BLANK: dict[str, Any] = {
    "verdict": NOT_COMPARABLE, "why_not": None, "error": None, "recorded": False, "outdated": [], "rows": None,
    "metrics": [], "cross_validation": None, "notes": [], "changes": None, "looks": None,
}  # fmt: skip
"""What a problem has where nothing was compared."""


def _problem(repo: Any, revisions: tuple[Revision, Revision], name: str) -> dict[str, Any]:
    """One problem compared: what ``comparison.compare`` gives, and ``recorded`` (whether both revisions have it),
    ``outdated`` (what the workspace's run has not seen), ``changes``, ``looks`` (how many models the test rows have
    seen); of each better metric ``p_looks``, corrected for them."""
    absent = [revision for revision in revisions if name not in revision.problems]
    if absent:
        where = next(revision for revision in revisions if revision not in absent)
        return {"why_not": f"{absent[0].shown} has no problem '{name}', only {where.shown} has"}
    stage = f"evaluate@{name}"
    outputs = [stage_output(repo, revision, stage, f"predictions/{name}.parquet") for revision in revisions]
    missing = [revision.shown for revision, output in zip(revisions, outputs, strict=True) if output is None]
    if missing:
        remedy = f"'dvc repro {stage}' there makes its predictions"
        return {"why_not": f"{stage} has not been run in {' and '.join(missing)}: {remedy}"}
    stages = [locked_stages(repo, revision) for revision in revisions]
    before, after = (_evaluated(repo, revision, name, own) for revision, own in zip(revisions, stages, strict=True))
    found = compare(before, after)
    found |= {"recorded": True, "changes": changes(stages[0], stages[1], name), "looks": _looks(repo, name, stages[1])}
    stale = [side.shown for side, own in zip(revisions, stages, strict=True) if side.commit and _stale(side, own, name)]
    if stale:  # such as an experiment of sweep: trained, not evaluated
        found |= {"verdict": NOT_COMPARABLE, "metrics": [], "rows": None, "looks": None}
        found["why_not"] = (
            f"the test rows have not judged the model of {' and '.join(stale)}: {stage} was run with other settings or "
            "for another model. Only the folds are compared"
        )
    for item in found["metrics"]:
        item["p_looks"] = corrected(item["p_holm"], found["looks"]) if item["verdict"] == BETTER else None
    for revision, own in zip(revisions, stages, strict=True):
        if revision.commit is None:
            own_stages = [other for other in own if other.endswith(f"@{name}")]
            found["outdated"] = sorted({file for other in own_stages for file in outdated(repo, revision, other)})
        metrics = next((out for out in own[stage].outs if out.path == f"metrics/{name}.json"), None)
        if metrics is not None and uncached_file(repo, revision, metrics) is None:
            found["notes"].append(
                f"{metrics.path} of {revision.shown} is not the file that {stage} wrote. The values here are "
                "computed from the predictions."
            )
    return found


def _stale(revision: Revision, stages: Mapping[str, LockedStage], name: str) -> bool:
    """Whether the evaluation that a commit records is of other settings, or of another model, than the commit's."""
    stage, written = stages[f"evaluate@{name}"], outputs(stages.values())
    settings = stage.params.get("params.yaml", {})
    return any(value_at(revision.params, key) != value for key, value in settings.items()) or any(
        dep.path in written and written[dep.path][0].md5 != dep.md5 for dep in stage.deps
    )


def _evaluated(repo: Any, revision: Revision, name: str, stages: Mapping[str, LockedStage]) -> Evaluated:
    """What a revision recorded of a problem that it has evaluated; ``stages`` as its dvc.lock has them."""
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
    raw = _read(stages, f"load@{name}", str(load.get("path")))
    grouped, in_time = split.get("group") is not None, split.get("time") is not None
    return Evaluated(
        predictions=predictions,
        task=task,
        target=str(load.get("target") or {"classification": "target", "regression": "price"}[task]),
        average=_settings(stages, "evaluate", name).get("average", "macro"),
        stratified=split.get("stratify", "auto") is not False and not grouped and not in_time,
        grouped=grouped,
        in_time=in_time,
        raw=None if raw is None else f"{raw} from line {load.get('skip_lines', 0)}",
        folds=_folds(repo, revision, name, stages, in_time=in_time),
    )


def _folds(
    repo: Any, revision: Revision, name: str, stages: Mapping[str, LockedStage], *, in_time: bool
) -> Folds | None:
    stage = f"cross_validate@{name}"
    written = [out for out in stages[stage].outs if out.path.endswith("/folds.csv")] if stage in stages else []
    content = uncached_file(repo, revision, written[0]) if written else None
    if content is None:
        return None
    settings = {"folds": 5, "repeats": 1, "seed": 42, "average": "macro"} | _settings(stages, "cross_validate", name)
    made_from = (
        _read(stages, stage, f"data/split/{name}/train.parquet"),
        settings["folds"],
        settings["repeats"],
        settings["seed"],
    )
    return Folds(pd.read_csv(io.BytesIO(content)), made_from, str(settings["average"]), in_time)


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
    root, lock = Path(repo.scm.root_dir), Path(repo.root_dir) / LOCK
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
