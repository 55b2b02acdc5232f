"""Puts models into stages and takes them out: what is looked at before, and the tags that it makes.

A stage has one model. Who promotes another takes out the one that is there, so that GTO and DVC, in whatever order they
look at tags, find the same model as this folder does.
"""

import re
import shlex
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from lockstep.comparing.leaderboard.words import interval_text
from lockstep.comparing.model_revisions import Comparison, Failed, ProblemComparison, compare_problem
from lockstep.comparing.model_verdicts import RowsComparison
from lockstep.comparing.model_words import summary, verdict_on, why_not
from lockstep.comparing.recorded_evaluations import Interval, model_md5, read_intervals, was_evaluated
from lockstep.comparing.rendering import visible
from lockstep.comparing.verdicts import ALPHA, NOT_COMPARABLE, NotComparable
from lockstep.deployment.registry.registered import Registered, find_registered, nothing_in
from lockstep.deployment.registry.tags import (
    NewTag,
    artifact_name,
    check_stage,
    is_version,
    make_tags,
    next_version,
    read_tags,
)
from lockstep.kernel.errors import (
    DataError,
    IntegrityError,
    LockstepError,
    MachineError,
    SettingsError,
    did_you_mean,
    plural,
    some,
)
from lockstep.provenance.changed_modules import CodeHistory
from lockstep.provenance.verifying_commits import verify_commit
from lockstep.repository import git
from lockstep.repository.dvc import Repository
from lockstep.repository.revisions import WORKSPACE, Revision, RevisionName, opened_repository, read_revision

_WHY = re.compile(r"^Anyway: (.*)$", re.MULTILINE)


class RefusedError(LockstepError):
    """A model that may not be promoted."""


class Candidate(NamedTuple):
    """A model that was looked at, to be promoted.

    Attributes:
        artifact: the problem, as the tags name it.
        commit: that has it.
        version: that it has, or would have.
        is_registered: whether it has that version.
        metrics: on the test rows.
        champion: what the model in the stage is called: its version, or commit; None where the stage is empty.
        is_there: whether the champion is this model.
        comparison: with the champion; None without one, or if it is the same.
        objection: why it may not be promoted; None if it may.
        registered: what the registry had of the problem.
        root: the git repository's.
    """

    problem: str
    stage: str
    artifact: str
    commit: str
    version: str
    is_registered: bool
    metrics: dict[str, Interval]
    champion: str | None
    is_there: bool
    comparison: Comparison | None
    objection: str | None
    registered: Registered
    root: Path


class Demoted(NamedTuple):
    """What a demotion did: the models that were taken out, the one that is in the stage now, the tags."""

    out: tuple[str, ...]
    now: str | None
    tags: tuple[str, ...]


def consider(problem: str, stage: str, rev: str | None = None, version: str | None = None) -> Candidate:
    """Look at a model that is to be promoted: is it what its commit records, was it evaluated, and is it as good as the
    one that is in the stage? Changes nothing.

    Args:
        rev: a version of the problem, or a commit, branch, tag or experiment; None for the last commit, which must then
            have all that is in the workspace.
        version: to register it as; None for the one that it has, or the next.

    Raises:
        SettingsError: no such problem or revision; a name that cannot be one of a stage or version, or a version that
            is taken.
        DataError: the commit has no model, or one that was not evaluated.
        IntegrityError: a file that the commit records is not in DVC's cache, or not what was written.
        RefusedError: a stage was not run with what the commit has.
        MachineError: no DVC or git repository, or a shallow clone.
    """
    check_stage(stage)
    if version is not None and not is_version(version):
        raise SettingsError(f"'{version}' is no version. Allowed: v and a semantic version, such as v1.3.0.")
    with opened_repository() as repo:
        artifact = artifact_name(problem, repo.root, repo.git_root)
        _check_whole(repo)
        found = find_registered(artifact, read_tags(repo.git_root))
        revision = _revision(repo, problem, rev, found)
        assert revision.commit is not None
        name = _version(problem, revision, found, version)
        held = found.held(stage)
        champion = None if held is None else read_revision(repo, held.commit, problem)
        model = model_md5(revision, problem)
        is_there = champion is not None and model is not None and model_md5(champion, problem) == model
        comparison = None
        if not is_there:
            history = CodeHistory(repo)
            _check_model(repo, history, revision, problem)
            if held is not None and champion is not None:
                comparison = _compare(repo, history, (champion, found.name_of(held.commit)), (revision, name), problem)
        return Candidate(
            problem=problem,
            stage=stage,
            artifact=artifact,
            commit=revision.commit,
            version=name,
            is_registered=name in found.versions,
            metrics=read_intervals(repo, revision, problem),
            champion=None if held is None else found.name_of(held.commit),
            is_there=is_there,
            comparison=comparison,
            objection=_objection(problem, comparison),
            registered=found,
            root=repo.git_root,
        )


def promote(candidate: Candidate, anyway: str | None = None) -> tuple[str, ...]:
    """Register the model, unless it is, and put it into the stage; the tags that were made, all or none.

    Args:
        anyway: the reason to promote it in spite of the objection, which goes into the tag.

    Raises:
        RefusedError: there is an objection, and no reason.
        SettingsError, MachineError: as make_tags.
    """
    if candidate.objection and not anyway:
        raise RefusedError(
            f"{candidate.objection} Nothing was changed. If it is to be in '{candidate.stage}' even so: the same "
            'command with --anyway "why"; the reason goes into the tag.'
        )
    metrics = [f"{name} {interval_text(value)}" for name, value in candidate.metrics.items() if value.value is not None]
    measured = ["Test rows:", *metrics]
    if candidate.objection:
        measured += ["", f"Anyway: {' '.join(str(anyway).split())}"]
    title = f"{candidate.problem} {candidate.version}"
    tags = []
    now = max(int(time.time()), candidate.registered.time + 1)
    if not candidate.is_registered:
        version = f"{candidate.artifact}@{candidate.version}"
        tags.append(NewTag(version, candidate.commit, now, "\n".join([title, "", *measured])))
    against = [f"Instead of {candidate.champion}: {_lines(candidate)}", ""] if candidate.comparison else []
    message = "\n".join([f"{title} in {candidate.stage}", "", *against, *measured])
    tags += _stage_tags(candidate.artifact, candidate.stage, candidate.registered, candidate.commit, message, now)
    make_tags(tags, candidate.root)
    return tuple(tag.name for tag in tags)


def demote(problem: str, stage: str, *, back: bool) -> Demoted:
    """Take the model out of a stage; the tags that were made, all or none.

    Args:
        back: put the model there that was in the stage before.

    Raises:
        SettingsError: no such problem; nothing is in the stage; nothing was there before.
        MachineError: no DVC or git repository, a shallow clone; or as make_tags.
    """
    with opened_repository() as repo:
        _check_whole(repo)
        root, artifact = repo.git_root, artifact_name(problem, repo.root, repo.git_root)
    found = find_registered(artifact, read_tags(root))
    held = found.held(stage)
    if held is None:
        raise SettingsError(nothing_in(stage, problem, found))
    out = tuple(found.name_of(one.commit) for one in found.stages[stage])
    before = found.before[stage]
    if back and not before:
        raise SettingsError(
            f"nothing was in '{stage}' of {problem} before {out[-1]}. Without --back, the stage is left empty; "
            f"'python -m lockstep promote {problem} --to {stage} VERSION' puts another one there."
        )
    target = before[-1] if back else None
    now = max(int(time.time()), found.time + 1)
    message = f"{problem} {found.name_of(target)} in {stage} again, instead of {out[-1]}" if target else ""
    tags = _stage_tags(artifact, stage, found, target, message, now)
    make_tags(tags, root)
    return Demoted(out, found.name_of(target) if target else None, tuple(tag.name for tag in tags))


def why_anyway(message: str) -> str | None:
    """The reason, in the message of a stage's tag, for which a model was promoted in spite of an objection."""
    found = _WHY.search(message)
    return found[1] if found else None


def push_command(tags: Iterable[str], root: Path = Path()) -> str:
    """What to type so that others have the tags."""
    remotes = git.run("remote", root=root).stdout.split() or ["origin"]
    remote = "origin" if "origin" in remotes else remotes[0]
    return f"git push {shlex.quote(remote)} {' '.join(map(shlex.quote, tags))}"


def _stage_tags(
    artifact: str, stage: str, found: Registered, commit: str | None, message: str, now: int
) -> list[NewTag]:
    """The tags that put a commit's model into a stage, or None, and take the others out.

    The first one is a second later than the rest: what is looked for in a stage is its newest tag. It is made first:
    after a kill in between, the stage has the new model, never none.
    """
    tags, counter = [], found.counter
    if commit is not None:
        counter += 1
        tags.append(NewTag(f"{artifact}#{stage}#{counter}", commit, now + 1, message))
    for held in found.stages.get(stage, []):
        if held.commit != commit:
            counter += 1
            text = f"{artifact.rpartition('=')[2]} {found.name_of(held.commit)} no longer in {stage}"
            tags.append(NewTag(f"{artifact}#{stage}!#{counter}", held.commit, now, text))
    return tags


def _check_whole(repo: Repository) -> None:
    if git.output("rev-parse", "--is-shallow-repository", root=repo.git_root).strip() == "true":
        raise MachineError(
            "this clone is shallow: it may lack versions and stages that others have given. Nothing was changed. Type "
            "'git fetch --unshallow --tags', then this again."
        )


def _revision(repo: Repository, problem: str, rev: str | None, found: Registered) -> Revision:
    """The revision with the model. Raises SettingsError."""
    if rev == WORKSPACE:
        raise SettingsError(
            "what is promoted is a commit, which others can have. Commit the workspace, then give HEAD."
        )
    if rev is None:
        changed = git.output("status", "--porcelain", "--untracked-files=no", "--", ".", root=repo.root).splitlines()
        if changed:
            files = some([line[3:] for line in changed], 3)
            raise SettingsError(
                f"these files are not as in the last commit, whose model would be promoted: {files}. Commit them, or, "
                f"if the last commit is meant: 'python -m lockstep promote {problem} ... HEAD'."
            )
    name = "HEAD" if rev is None else found.versions[rev].commit if rev in found.versions else rev
    try:
        revision = read_revision(repo, name, problem)
    except SettingsError as error:
        if not is_version(name):
            raise
        has = some(sorted(found.versions), 10) or "none"
        raise SettingsError(f"{problem} has no version '{name}'. It has: {has}. {error}") from None
    if problem not in revision.problems:
        raise SettingsError(
            f"{revision.shown} has no problem '{problem}'. It has: {some(revision.problems, 20) or 'none'}."
            f"{did_you_mean(problem, revision.problems)}"
        )
    return revision


def _version(problem: str, revision: Revision, found: Registered, asked: str | None) -> str:
    """The version that a commit has, or would have. Raises SettingsError: it cannot have the one that is asked for."""
    commit = str(revision.commit)
    own = found.version_of(commit)
    if own is None and commit in found.taken_back.values():
        gone = next(version for version, one in found.taken_back.items() if one == commit)
        raise SettingsError(
            f"{revision.shown} was version {gone} of {problem}, which was taken back (the tag {problem}@{gone}!). "
            "Promote another commit."
        )
    if asked is None or asked == own:
        return own or next_version([*found.versions, *found.taken_back])
    if own is not None:
        raise SettingsError(f"{revision.shown} is version {own} of {problem} already: leave --version out.")
    if asked in found.versions or asked in found.taken_back:
        other = found.versions[asked].commit if asked in found.versions else found.taken_back[asked]
        raise SettingsError(
            f"version {asked} of {problem} is that of commit {other[:7]}: it is never moved. Give another."
        )
    return asked


def _check_model(repo: Repository, history: CodeHistory, revision: Revision, problem: str) -> None:
    """Raise the error of ``consider`` unless the model of a revision is what it records, and was evaluated."""
    stage = f"evaluate@{problem}"
    again = f"Run 'dvc repro {stage}', commit, then promote that commit."
    if model_md5(revision, problem) is None:
        raise DataError(f"{revision.shown} has no model of {problem}: its dvc.lock records none. {again}")
    if not was_evaluated(revision, problem):
        raise DataError(f"the model of {problem} of {revision.shown} was not evaluated on test rows. {again}")
    found = verify_commit(repo, history, revision, [stage])
    altered = [f"{one.subject}{one.detail}" for one in found if one.state == "altered"]
    uncached, corrupt = ([one.detail for one in found if one.state == state] for state in ("uncached", "corrupt"))
    if corrupt:
        raise IntegrityError(
            f"DVC's cache is damaged: {some(corrupt, 3)}. 'python -m lockstep repair --all' replaces it or, if it is "
            "another commit's, removes it; then promote again."
        )
    if uncached:
        raise IntegrityError(
            f"DVC's cache lacks {plural(len(uncached), 'file')} that {revision.shown} records: {some(uncached, 3)}. "
            "Type 'dvc fetch --all-commits', which brings them from the remote, then promote again."
        )
    if altered:
        raise IntegrityError(f"{revision.shown} has other files than its stages wrote: {some(altered, 3)}. {again}")
    if found:
        outdated = some([f"{one.subject}{one.detail}" for one in found], 3)
        raise RefusedError(
            f"{revision.shown} has other settings, code or data than its stages ran with: {outdated}. {again}"
        )


def _compare(
    repo: Repository,
    history: CodeHistory,
    champion: tuple[Revision, str],
    challenger: tuple[Revision, str],
    problem: str,
) -> Comparison:
    """Compare the model in the stage with the one to be promoted; each is given with what it is called."""
    found: ProblemComparison | NotComparable
    try:
        found = compare_problem(repo, history, champion[0], challenger[0], problem)
    except LockstepError as error:
        found = Failed(str(error).rstrip("."), error.exit_code)
    before, after = (
        RevisionName(name, revision.commit, f"{name} ({str(revision.commit)[:7]})")
        for revision, name in (champion, challenger)
    )
    return Comparison(alpha=ALPHA, before=before, after=after, problems={problem: found})


def _objection(problem: str, comparison: Comparison | None) -> str | None:
    if comparison is None:
        return None
    found = comparison.problems[problem]
    champion, challenger = comparison.before.shown, comparison.after.shown
    if not isinstance(found, ProblemComparison) or found.verdict == NOT_COMPARABLE:
        reason = found.test_rows if isinstance(found, ProblemComparison) else found
        why = f" {why_not(problem, reason, visible)}." if isinstance(reason, NotComparable) else ""
        return f"{challenger} cannot be compared with {champion}, which is in the stage.{why}"
    if isinstance(found.test_rows, RowsComparison):
        rows = found.test_rows.rows
        fewer = min(rows.before, rows.after)
        if 2 * rows.compared < fewer:
            return (
                f"{challenger} cannot be compared with {champion}, which is in the stage: they have other test rows, "
                f"and only {rows.compared:,} of {fewer:,} in common; at least half are needed."
            )
    if comparison.has_worse:
        return f"{challenger} is {verdict_on(found)}, beyond chance, compared with {champion}, which is in the stage."
    return None


def _lines(candidate: Candidate) -> str:
    assert candidate.comparison is not None
    return "\n".join(summary(candidate.problem, candidate.comparison.problems[candidate.problem], visible))
