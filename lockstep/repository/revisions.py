"""Reads files of a revision of the repository, without touching the workspace: git's through git, DVC's from its cache.

Revisions are named as for ``dvc metrics diff``: a commit, branch, tag or experiment, or ``workspace`` for the files as
they lie there. DVC's own resolution is used (https://dvc.org/doc/command-reference/metrics/diff), so that a name means
the same here as there.
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lockstep.kernel.errors import DataError, IntegrityError, MachineError, SettingsError, did_you_mean
from lockstep.kernel.lock_file import (
    LOCK_FILE,
    LockedFile,
    LockedStage,
    last_commits,
    md5_of,
    md5_of_bytes,
    parse_lock,
    value_at,
)
from lockstep.kernel.paths import PARAMS
from lockstep.kernel.used_code import is_record
from lockstep.repository.cache import is_intact, object_path
from lockstep.repository.code_records import changed_code
from lockstep.repository.dvc import Repository, read_dvc_yaml
from lockstep.repository.evaluated_models import lock_of
from lockstep.repository.hashes import present

import msgspec

WORKSPACE = "workspace"


@dataclass(frozen=True)
class Revision:
    """What one revision's params.yaml and dvc.lock say.

    Attributes:
        name: as it was asked for.
        commit: the commit's hash, or None for the workspace.
        params: the content of params.yaml.
        stages: the stages that dvc.lock records, by name (``load@iris``).
    """

    name: str
    commit: str | None
    params: Mapping[str, Any]
    stages: Mapping[str, LockedStage]

    @property
    def shown(self) -> str:
        """For messages: ``HEAD (c1dd61c)``, ``the workspace``."""
        if self.commit is None:
            return "the workspace"
        short = self.commit[:7]
        return short if self.commit.startswith(self.name) else f"{self.name} ({short})"

    @property
    def named(self) -> "RevisionName":
        """Its names, for the results of a command."""
        return RevisionName(self.name, self.commit, self.shown)

    @property
    def problems(self) -> list[str]:
        """The names of the problems in params.yaml, in its order."""
        problems = self.params.get("problems")
        return [str(name) for name in problems] if isinstance(problems, dict) else []


class RevisionName(msgspec.Struct, frozen=True):
    """What a revision is called: as it was asked for, its commit (None for the workspace), as messages show it."""

    revision: str
    commit: str | None
    shown: str


@contextlib.contextmanager
def opened_repository() -> Iterator[Repository]:
    """Open the repository around the current folder. Raises MachineError: see Repository; or a file that cannot be
    read, in the block too."""
    repo = Repository()
    try:
        yield repo
    except OSError as error:
        raise MachineError(f"{error}. Correct that, then run it again.") from None
    finally:
        repo.close()


@contextlib.contextmanager
def opened(
    rev_a: str, rev_b: str, problem: str | None = None
) -> Iterator[tuple[Repository, tuple[Revision, Revision], list[str]]]:
    """Open the repository, two revisions of it, and the problems of either, or ``problem`` alone.

    Raises:
        SettingsError: no such revision, or neither has that problem.
        MachineError: as opened_repository.
    """
    with opened_repository() as repo:
        revisions = before, after = read_revision(repo, rev_a), read_revision(repo, rev_b)
        names = list(dict.fromkeys([*after.problems, *before.problems]))
        if problem is not None and problem not in names:
            raise SettingsError(
                f"Neither {before.shown} nor {after.shown} has a problem '{problem}'. They have: "
                f"{', '.join(names) or 'none'}.{did_you_mean(problem, names)}"
            )
        yield repo, revisions, names if problem is None else [problem]


def read_revision(repo: Repository, name: str, problem: str | None = None) -> Revision:
    """Read the revision that ``name`` means; without a dvc.lock it has no stages.

    Args:
        problem: read the stages of this one alone, which is quicker.

    Raises:
        SettingsError: there is none, or it has no params.yaml.
        IntegrityError: params.yaml or dvc.lock is damaged.
    """
    try:
        commit = None if name == WORKSPACE else repo.commit_of(name)
    except ValueError as error:
        raise SettingsError(
            f"There is no revision '{name}' ({error}). Allowed: a commit, branch, tag (git log, git branch -a, "
            f"git tag), experiment (dvc exp list -A), or {WORKSPACE}."
        ) from None
    data = repo.read(commit, PARAMS.name)
    if data is None:
        raise SettingsError(
            f"{'The workspace' if commit is None else f'Revision {name}'} has no params.yaml, so it has no problems. "
            "Name another revision, or run it from the repository's root."
        )
    where, remedy = ("", last_commits(PARAMS)) if commit is None else (f" of {name}", "Name another revision")
    revision = Revision(name, commit, read_dvc_yaml(data, f"params.yaml{where}", remedy), {})
    lock = repo.read(commit, LOCK_FILE.as_posix())
    if lock is None:
        return revision
    if problem is not None:
        lock = lock_of(lock, problem)
    remedy = last_commits(LOCK_FILE) if commit is None else "Name another revision"
    return replace(revision, stages=parse_lock(lock, f"{LOCK_FILE} of {revision.shown}", remedy))


def uncached_file(repo: Repository, revision: Revision, file: LockedFile) -> bytes | None:
    """The content of a file that git tracks, such as an output with ``cache: false``; None if it is not the one that
    dvc.lock records."""
    content = repo.read(revision.commit, file.path)
    same = content is not None and md5_of_bytes(content) == file.md5
    return content if same else None


def stage_output(repo: Repository, revision: Revision, stage: str, suffix: str) -> LockedFile | None:
    """The output of ``stage`` whose name ends in ``suffix``, or None if dvc.lock records no such run: as dvc.lock
    records it, or, in the workspace, as it is there.

    Raises:
        DataError: it is not in the workspace.
    """
    outs = revision.stages[stage].outs if stage in revision.stages else ()
    found = next((out for out in outs if out.path.endswith(suffix)), None)
    if found is None or revision.commit is not None:
        return found
    there = present(found.path, repo.root)
    if there.md5 is None:
        raise DataError(
            f"{found.path} is not in the workspace. Run 'dvc checkout {found.path}' (from the cache), 'dvc pull "
            f"{found.path}' (from a remote), or 'dvc repro {stage}' to remake it."
        )
    return there


def file_of(repo: Repository, revision: Revision, output: LockedFile, stage: str) -> Path:
    """Where the bytes of ``output`` lie: in the workspace, or in DVC's cache, checked against their hash.

    Raises:
        IntegrityError: they are not in the cache, or not what they were.
    """
    if revision.commit is None:
        return repo.root / output.path
    path = object_path(repo.cache, output)
    try:
        found = md5_of(path)
    except FileNotFoundError:
        raise IntegrityError(
            f"{output.path} of {revision.shown} is not in DVC's cache. If it was pushed to a remote, type "
            f"'dvc fetch --all-commits {output.path}'. Else remake it, your own changes being "
            f"committed: 'git checkout {revision.commit[:12]} && dvc checkout --force --allow-missing && dvc repro "
            f"{stage}', then go back: 'git checkout - && dvc checkout --allow-missing'."
        ) from None
    if found != output.md5:
        raise IntegrityError(
            f"{path} in DVC's cache is damaged: it is not {output.path} of {revision.shown} any more. Type 'python -m "
            "lockstep repair --all', which replaces it or, if it is another commit's, removes it; then run this again."
        )
    return path


def place_dependency(repo: Repository, revision: Revision, dependency: LockedFile, folder: Path) -> Path:
    """Put a file that a stage of the revision read into ``folder``, under its own name: with the bytes that dvc.lock
    records, from the workspace, DVC's cache or git.

    Raises:
        IntegrityError: none of them has these bytes.
    """
    place = folder / Path(dependency.path).name
    for path in (repo.root / dependency.path, object_path(repo.cache, dependency)):
        if is_intact(path, dependency):
            place.symlink_to(path.resolve())
            return place
    content = uncached_file(repo, revision, dependency)
    if content is None:
        raise IntegrityError(
            f"{dependency.path} of {revision.shown} is neither in the workspace nor in DVC's cache nor in git. If it "
            f"was pushed to a remote, type 'dvc fetch --all-commits {dependency.path}'."
        )
    place.write_bytes(content)
    return place


def outdated(
    repo: Repository, workspace: Revision, stage: str, known: dict[str, LockedFile] | None = None
) -> tuple[str, ...]:
    """What ``stage`` read or wrote, and what has changed in the workspace since: files and ``params.yaml:key``.

    Args:
        known: files hashed before, by path; those hashed now are added.
    """
    recorded = workspace.stages.get(stage)
    if recorded is None:
        return ()
    records = [file for file in recorded.deps if is_record(file.path)]
    others = [file for file in (*recorded.deps, *recorded.outs) if file not in records]
    files = [(file, present(file.path, repo.root, known, repo.files_in)) for file in others]
    changed = [path for record in records for path in changed_code(repo, record, None)]
    changed += [file.path for file, now in files if now.md5 not in (None, file.md5)]
    return (*changed, *(f"params.yaml:{key}" for key in changed_settings(workspace, recorded)))


def changed_settings(revision: Revision, stage: LockedStage) -> list[str]:
    """The keys of params.yaml that the revision sets to other values than the stage was run with."""
    settings = stage.params.get(PARAMS.name, {})
    return [key for key, value in settings.items() if value_at(revision.params, key) != value]
