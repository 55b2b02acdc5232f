"""Lists the models in the registry: versions, stages, how good each was on its test rows, who registered it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from lockstep.comparing.leaderboard.words import interval_text
from lockstep.comparing.recorded_evaluations import Interval, read_intervals
from lockstep.comparing.rendering import Quote, Report, ReportBlock
from lockstep.deployment.registry.promoting import why_anyway
from lockstep.deployment.registry.registered import Held, Registered, find_registered
from lockstep.deployment.registry.tags import RegistryTag, artifact_name, has_good_signature, read_tags, version_order
from lockstep.kernel.errors import LockstepError, SettingsError, did_you_mean, plural, some
from lockstep.learning.metrics import AUTO
from lockstep.repository.dvc import Repository
from lockstep.repository.revisions import WORKSPACE, opened_repository, read_revision
from lockstep.steps.evaluating.intervals import CONFIDENCE
from lockstep.steps.reporting.wording import visible as cut

import msgspec

Signature = Literal["none", "good", "not checked"]
"""Of a tag: none; one that git found good by the keys that the user trusts; one that git could not find good."""
_SIGNED: dict[Signature, str] = {"none": "", "good": ", signed", "not checked": ", signature not checked"}


class InStage(msgspec.Struct, frozen=True):
    """A stage that a model is in: since when, by whom, and why in spite of an objection, where there was one."""

    stage: str
    since: str
    by: str
    signature: Signature
    anyway: str | None


class RegisteredModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model in the registry.

    Attributes:
        version: None where a stage has a commit's model without one.
        registered: when, in ISO 8601 and UTC; None without a version. As is ``by``.
        metric: the one that the problem's settings name (tune.metric); None where the model was not evaluated.
        test: that metric on the test rows; ``metrics`` has all.
        message: why its metrics cannot be read; it can have any character.
    """

    version: str | None
    commit: str
    stages: tuple[InStage, ...]
    registered: str | None
    by: str | None
    signature: Signature
    metric: str | None
    test: Interval | None
    metrics: dict[str, Interval]
    message: str | None


class RegisteredModels(msgspec.Struct, frozen=True):
    """The models by problem, those of the highest version first."""

    problems: dict[str, tuple[RegisteredModel, ...]]


def list_models(problem: str | None = None) -> RegisteredModels:
    """List the models of a problem, or of all that the registry or the workspace has.

    Raises:
        SettingsError: neither has that problem.
        MachineError: no DVC or git repository.
    """
    with opened_repository() as repo:
        tags = read_tags(repo.git_root)
        prefix = artifact_name("x", repo.root, repo.git_root).removesuffix("x")
        tagged = [tag.artifact.removeprefix(prefix) for tag in tags if tag.artifact.startswith(prefix)]
        own = [name for name in tagged if "=" not in name]
        known = list(dict.fromkeys([*read_revision(repo, WORKSPACE).problems, *sorted(own)]))
        if problem is not None and problem not in known:
            raise SettingsError(
                f"there is no problem '{problem}'. There are: {some(known, 20) or 'none'}."
                f"{did_you_mean(problem, known)}"
            )
        names = known if problem is None else [problem]
        return RegisteredModels({name: _models(repo, name, find_registered(f"{prefix}{name}", tags)) for name in names})


def _models(repo: Repository, problem: str, found: Registered) -> tuple[RegisteredModel, ...]:
    stages: dict[str, list[Held]] = {}
    for held in filter(None, map(found.held, found.stages)):
        stages.setdefault(held.commit, []).append(held)
    versions = sorted(found.versions, key=version_order, reverse=True)
    commits = {found.versions[version].commit: version for version in reversed(versions)}
    models = [_model(repo, problem, found.versions[name].commit, found.versions[name], stages) for name in versions]
    return (*models, *(_model(repo, problem, commit, None, stages) for commit in stages if commit not in commits))


def _model(
    repo: Repository, problem: str, commit: str, tag: RegistryTag | None, stages: Mapping[str, Sequence[Held]]
) -> RegisteredModel:
    metrics: dict[str, Interval] = {}
    metric = message = None
    try:
        revision = read_revision(repo, commit, problem)
        metrics = read_intervals(repo, revision, problem)
        settings = (revision.params.get("problems") or {}).get(problem) or {}
        asked = (settings.get("tune") or {}).get("metric")
        metric = next((name for name in (asked, *AUTO.values(), *metrics) if name in metrics), None)
    except LockstepError as error:
        message = str(error)
    root = repo.git_root
    return RegisteredModel(
        version=tag.version if tag else None,
        commit=commit,
        stages=tuple(
            InStage(
                str(held.tag.stage),
                _when(held.tag),
                held.tag.tagger,
                _signature(held.tag, root),
                why_anyway(held.tag.message),
            )
            for held in stages.get(commit, ())
        ),
        registered=_when(tag) if tag else None,
        by=tag.tagger if tag else None,
        signature=_signature(tag, root) if tag else "none",
        metric=metric,
        test=metrics.get(metric) if metric else None,
        metrics=metrics,
        message=message,
    )


def _when(tag: RegistryTag) -> str:
    return datetime.fromtimestamp(tag.time, UTC).isoformat().replace("+00:00", "Z")


def _signature(tag: RegistryTag, root: Path) -> Signature:
    if not tag.is_signed:
        return "none"
    return "good" if has_good_signature(tag.name, root) else "not checked"


def report(found: RegisteredModels, quote: Quote) -> Report:
    """Write the models in words: a table for each problem."""
    return Report(
        title="Registered models",
        lines=[] if found.problems else ["There is no problem."],
        blocks=[_block(name, models, quote) for name, models in found.problems.items()],
        note=f"[ ]: {CONFIDENCE:.0%} intervals on the test rows. docs/promoting.md explains versions and stages."
        if any(found.problems.values())
        else "",
    )


def _block(problem: str, models: Sequence[RegisteredModel], quote: Quote) -> ReportBlock:
    if not models:
        command = quote(f"python -m lockstep promote {problem} --to STAGE")
        return ReportBlock(
            f"{quote(problem)}: no model is registered", [f"'{command}' registers the one of the last commit."]
        )
    metrics = list(dict.fromkeys(model.metric for model in models if model.metric))
    one = metrics[0] if len(metrics) == 1 else None
    lines = [
        f"{quote(stage.stage)} has {_name(model, quote)} in spite of an objection: {quote(stage.anyway)}"
        for model in models
        for stage in model.stages
        if stage.anyway
    ]
    lines += [f"{_name(model, quote)}: {quote(model.message)}" for model in models if model.message]
    rows = [
        [
            quote(model.version or ""),
            quote(model.commit[:7]),
            "\n".join(f"{quote(stage.stage)} since {stage.since[:10]}" for stage in model.stages),
            ("" if one or not model.metric else f"{quote(model.metric)} ") + interval_text(model.test),
            (model.registered or "")[:10],
            (quote(cut(model.by, 24)) if model.by else "") + _SIGNED[model.signature],
        ]
        for model in models
    ]
    headings = ("version", "commit", "in stage", quote(one) if one else "test", "registered", "by")
    return ReportBlock(
        f"{quote(problem)}: {plural(len(models), 'model')}",
        lines,
        headings,
        rows,
        ("version", "commit", "registered"),
        listed=True,
    )


def _name(model: RegisteredModel, quote: Quote) -> str:
    return quote(model.version or model.commit[:7])
