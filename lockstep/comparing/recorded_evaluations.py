"""Reads what a revision recorded of a problem's model: predictions, folds, what a search found; and whether it is still
what the revision's settings make."""

import csv
import io
import json
from dataclasses import replace
from typing import Any, Literal

from lockstep.comparing.evaluations import Evaluated, Folds, average_of_folds, name_of_raw
from lockstep.kernel.errors import IntegrityError
from lockstep.kernel.lock_file import LOCK_FILE, LockedFile, LockedStage, outputs
from lockstep.kernel.paths import PARAMS
from lockstep.kernel.used_code import CHECKED
from lockstep.learning.cross_validation import CrossValidateSettings
from lockstep.provenance.changed_modules import CodeHistory
from lockstep.provenance.plan import computing, needed
from lockstep.reading.loading import DEFAULT_TARGET
from lockstep.repository.dvc import Repository
from lockstep.repository.evaluated_models import evaluated_models
from lockstep.repository.hashes import to_be_read
from lockstep.repository.revisions import (
    Revision,
    changed_settings,
    file_of,
    outdated,
    stage_output,
    uncached_file,
)

import msgspec
import pandas as pd


class OutdatedStage(msgspec.Struct, frozen=True):
    """A stage that the workspace has changed since it ran.

    Attributes:
        changed: files and settings.
        makes: what depends on it: the model, or only its evaluation, or neither of them.
    """

    stage: str
    changed: tuple[str, ...]
    makes: Literal["model", "evaluation"] | None


class Interval(msgspec.Struct, frozen=True):
    """A metric with its 95 % interval; None where it is undefined."""

    value: float | None
    low: float | None
    high: float | None


def was_evaluated(revision: Revision, name: str) -> bool:
    """Whether dvc.lock records predictions of the problem's test rows."""
    return bool(_outputs(revision, f"evaluate@{name}", f"predictions/{name}.parquet"))


def read_evaluation(repo: Repository, history: CodeHistory, revision: Revision, name: str) -> Evaluated:
    """Read what a revision recorded of a problem that it has evaluated; ``history`` is the repository's.

    Raises:
        DataError: the predictions are not in the workspace.
        IntegrityError: they are not in DVC's cache, or not what was written.
    """
    return replace(
        read_without_predictions(repo, history, revision, name), predictions=read_predictions(repo, revision, name)
    )


def read_without_predictions(repo: Repository, history: CodeHistory, revision: Revision, name: str) -> Evaluated:
    """The same without the predictions, which are not looked for, also of a problem that was not evaluated."""
    stage = f"evaluate@{name}"
    load, split = (_settings(revision, stage, name) for stage in ("load", "split"))
    task = load.get("task", "classification")
    if task not in list(DEFAULT_TARGET):
        where = f"dvc.lock of {revision.shown}: problems.{name}.load.task"
        raise IntegrityError(f"{where} is '{task}'. Allowed: {', '.join(DEFAULT_TARGET)}.")
    raw = _input_md5(revision, f"load@{name}", str(load.get("path")))
    grouped, in_time = split.get("group") is not None, split.get("time") is not None
    return Evaluated(
        shown=revision.shown,
        predictions=pd.DataFrame(),
        task=task,
        target=str(load.get("target") or DEFAULT_TARGET[task]),
        average=_settings(revision, "evaluate", name).get("average", "macro"),
        stratified=split.get("stratify", "auto") is not False and not grouped and not in_time,
        grouped=grouped,
        in_time=in_time,
        raw=name_of_raw(raw, load.get("skip_lines", 0)),
        folds=_read_folds(repo, history, revision, name),
        current=stage in revision.stages and not is_stale(revision, stage),
        found=_read_found(repo, revision, name),
        metrics=_own_metrics(repo, revision, name),
        positive=load.get("positive"),
    )


def read_intervals(repo: Repository, revision: Revision, name: str) -> dict[str, Interval]:
    """The metrics on the test rows with their intervals, as the evaluation wrote them; none where it is not there."""
    written = _outputs(revision, f"evaluate@{name}", "/intervals.csv")
    content = uncached_file(repo, revision, written[0]) if written else None
    try:
        rows = csv.DictReader(io.StringIO(content.decode())) if content else ()
        return {row["metric"]: Interval(*(_number(row[key]) for key in ("value", "low", "high"))) for row in rows}
    except (KeyError, ValueError):
        raise IntegrityError(f"{written[0].path} of {revision.shown} is not what the stage evaluate writes.") from None


def model_size(revision: Revision, name: str) -> int | None:
    """The size of the model's file in bytes; None where it is not recorded."""
    written = _outputs(revision, f"train@{name}", ".joblib")
    return written[0].size if written else None


def model_md5(revision: Revision, name: str) -> str | None:
    """The MD5 of the model's file; None where it is not recorded."""
    written = _outputs(revision, f"train@{name}", ".joblib")
    return written[0].md5 if written else None


def trained_model_type(revision: Revision, name: str) -> str | None:
    """The model type that was trained; None where it is not recorded."""
    found = _settings(revision, "train", name).get("model")
    return None if found is None else str(found)


def _number(cell: str) -> float | None:
    return float(cell) if cell else None


def _own_metrics(repo: Repository, revision: Revision, name: str) -> tuple[str, ...]:
    """The metrics of an evaluation beside the built-in ones; those of the user's own code only where that is the code
    of the workspace, which would run."""
    record, settings = (CHECKED / f"scorers/{name}.json").as_posix(), _settings(revision, "evaluate", name)
    here = to_be_read(record, {"problems": {name: {"evaluate": settings}}}, repo.root)
    is_here = _input_md5(revision, f"evaluate@{name}", record) == here.md5
    recorded = settings.get("metrics") or ()
    return tuple(str(metric) for metric in recorded if is_here or ":" not in str(metric))


def read_predictions(repo: Repository, revision: Revision, name: str) -> pd.DataFrame:
    """Read the predictions of the test rows; raises as read_evaluation."""
    stage = f"evaluate@{name}"
    output = stage_output(repo, revision, stage, f"predictions/{name}.parquet")
    assert output is not None
    if output.md5 not in {out.md5 for out in revision.stages[stage].outs}:
        raise IntegrityError(
            f"{output.path} in the workspace is not what {stage} wrote: its hash is another one than in dvc.lock. Run "
            f"'dvc repro {stage}', or 'dvc checkout --force {output.path}'."
        )
    try:
        predictions = pd.read_parquet(file_of(repo, revision, output, stage))
    except (OSError, ValueError) as error:
        raise IntegrityError(f"{output.path} of {revision.shown} is no parquet file ({error}).") from None
    absent = [column for column in ("row", "row_hash", "actual", "predicted") if column not in predictions]
    if absent:
        raise IntegrityError(
            f"{output.path} of {revision.shown} has no column '{absent[0]}': no predictions of Lockstep."
        )
    return predictions


def _read_folds(repo: Repository, history: CodeHistory, revision: Revision, name: str) -> Folds | None:
    """Read the cross-validation of a revision; None without one, or where git has another file than was written."""
    stage = f"cross_validate@{name}"
    written = _outputs(revision, stage, "/folds.csv")
    content = uncached_file(repo, revision, written[0]) if written else None
    if content is None:
        return None
    settings = msgspec.structs.asdict(CrossValidateSettings()) | _settings(revision, "cross_validate", name)
    recorded = revision.stages[stage].params.get(PARAMS.name, {})
    rows = _input_md5(revision, stage, f"data/split/{name}/train.parquet")
    positive = _settings(revision, "load", name).get("positive")
    # Before evaluate.average held for the folds too, the section had a key of its own.
    average = str(recorded.get(f"problems.{name}.evaluate.average", settings.get("average", "macro")))
    return Folds(
        scores=pd.read_csv(io.BytesIO(content)),
        made_from=(rows, settings["folds"], settings["repeats"], settings["seed"]),
        average=average_of_folds(average, positive),
        current=not has_other_folds(history, revision, name),
    )


def _read_found(repo: Repository, revision: Revision, name: str) -> dict[str, Any]:
    """The hyperparameters that a revision's search chose; none without one, or if the given ones were the best."""
    written = _outputs(revision, f"tune@{name}", f"metrics/{name}_tune.json")
    content = uncached_file(repo, revision, written[0]) if written else None
    try:
        return dict(json.loads(content).get("hyperparameters", {})) if content else {}
    except (ValueError, TypeError, AttributeError):
        raise IntegrityError(f"{written[0].path} of {revision.shown} is not what the stage tune writes.") from None


def is_stale(revision: Revision, stage: str) -> bool:
    """Whether the record of a stage, or of one that it needs, has other settings than the revision, or read other files
    than the stages before it wrote."""
    stages = computing(revision.stages)
    written, own = outputs(revision.stages.values()), needed([stage], stages).values()
    return any(changed_settings(revision, one) for one in own) or any(
        dep.path in written and written[dep.path][0].md5 != dep.md5 for one in own for dep in one.deps
    )


def has_other_folds(history: CodeHistory, revision: Revision, name: str) -> bool:
    """Whether the cross-validation is stale, or was run with other code or library versions than ``train``."""
    folds, train = (revision.stages.get(f"{stage}@{name}") for stage in ("cross_validate", "train"))
    if folds is None:
        return False
    if is_stale(revision, folds.name):
        return True
    if train is None:
        return False
    used, own = _read_by(train), _read_by(folds)
    return any(used.get(key, value) != value for key, value in own.items()) or _has_other_modules(history, folds, train)


def _read_by(stage: LockedStage) -> dict[tuple[str, str], Any]:
    """All that a stage read: hashes of files, and values by parameter file and key."""
    settings = {(file, key): value for file, values in stage.params.items() for key, value in values.items()}
    return settings | {("", dep.path): dep.md5 for dep in stage.deps}


def _has_other_modules(history: CodeHistory, folds: LockedStage, train: LockedStage) -> bool:
    """Whether a module that ``train`` lists is another one, or may be, in a folder that the cross-validation lists."""
    for folder in folds.deps:
        modules = [dep for dep in train.deps if dep.path.startswith(f"{folder.path}/")]
        listing = history.listing(folder) if modules else None
        if modules and (listing is None or any(listing.get(dep.path) != dep.md5 for dep in modules)):
            return True
    return False


def has_altered_metrics(repo: Repository, revision: Revision, name: str) -> bool:
    """Whether the metrics file is not the one that the evaluation wrote."""
    written = _outputs(revision, f"evaluate@{name}", f"metrics/{name}.json")
    return bool(written) and uncached_file(repo, revision, written[0]) is None


def outdated_stages(repo: Repository, workspace: Revision, name: str) -> tuple[OutdatedStage, ...]:
    """Find the stages of a problem that the workspace has changed since they ran."""
    stages = computing(workspace.stages)
    evaluation, model = (needed([stage] if stage in stages else [], stages)
                         for stage in (f"evaluate@{name}", f"train@{name}"))  # fmt: skip
    known: dict[str, LockedFile] = {}
    return tuple(
        OutdatedStage(stage, changed, "model" if stage in model else "evaluation" if stage in evaluation else None)
        for stage in stages
        if stage.endswith(f"@{name}") and (changed := outdated(repo, workspace, stage, known))
    )


def count_evaluated_models(repo: Repository, revision: Revision, name: str) -> int:
    """Count the models that the test rows of a revision have evaluated, by what git and the workspace know."""
    test = _input_md5(revision, f"evaluate@{name}", f"data/split/{name}/test.parquet")
    root, lock = repo.git_root, repo.root / LOCK_FILE
    extra = lock.read_bytes() if lock.is_file() else b""
    return len(evaluated_models(root, lock.relative_to(root).as_posix(), name, str(test), extra))


def _settings(revision: Revision, stage: str, name: str) -> dict[str, Any]:
    """The section of params.yaml that a stage was run with."""
    own = revision.stages.get(f"{stage}@{name}")
    return dict(own.params.get(PARAMS.name, {}).get(f"problems.{name}.{stage}") or {}) if own else {}


def _outputs(revision: Revision, stage: str, suffix: str) -> list[LockedFile]:
    """The outputs of a stage whose names end in ``suffix``, as dvc.lock records them."""
    return [out for out in revision.stages[stage].outs if out.path.endswith(suffix)] if stage in revision.stages else []


def _input_md5(revision: Revision, stage: str, path: str) -> str | None:
    """The MD5 of a file that a stage read; None if it is not recorded."""
    deps = revision.stages[stage].deps if stage in revision.stages else ()
    return next((file.md5 for file in deps if file.path == path), None)
