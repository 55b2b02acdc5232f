"""Reads files of a revision of the repository, without touching the workspace: git's through git, DVC's from its cache.

Revisions are named as for ``dvc metrics diff``: a commit, branch, tag or experiment, or ``workspace`` for the files as
they lie there. DVC's own resolution is used (https://dvc.org/doc/command-reference/metrics/diff), so that a name means
the same here as there.
"""

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lockstep.kernel.environment import VERSIONS, read_versions
from lockstep.kernel.errors import DataError, IntegrityError, MachineError, SettingsError, did_you_mean
from lockstep.kernel.lock_file import LOCK, LockedFile, LockedStage, last_commits, md5_of, parse_lock
from lockstep.kernel.strict_yaml import read_yaml
from lockstep.repository.hashes import present

import msgspec
from dvc.dependency.param import ParamsDependency  # type: ignore[import-untyped]
from dvc.exceptions import DvcException, NotDvcRepoError  # type: ignore[import-untyped]
from dvc.fs import localfs  # type: ignore[import-untyped]
from dvc.repo import Repo  # type: ignore[import-untyped]
from dvc.scm import NoSCM, RevError, SCMError, resolve_rev  # type: ignore[import-untyped]
from dvc.stage import PipelineStage  # type: ignore[import-untyped]
from dvc.utils.serialize import ParseError, parse_yaml  # type: ignore[import-untyped]
from scmrepo.exceptions import SCMError as GitError

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


def open_repository(root: Path | None = None) -> Repo:
    """The DVC repository around ``root``, by default the current folder.

    Raises:
        MachineError: there is none, or it is in no git repository.
    """
    try:
        repo = Repo(None if root is None else str(root))
        git = not isinstance(repo.scm, NoSCM)
    except NotDvcRepoError:
        raise MachineError("This folder is in no DVC repository. Run it from the repository's root.") from None
    except SCMError:
        git = False
    except DvcException as error:
        raise MachineError(f"DVC cannot open this repository: {error}. 'dvc doctor' says more.") from None
    if not git:
        raise MachineError(
            "This DVC repository is in no git repository, so it has no revisions. Run it from a clone, or make one: "
            "'git init', then commit."
        )
    return repo


@contextlib.contextmanager
def opened(
    rev_a: str, rev_b: str, problem: str | None = None
) -> Iterator[tuple[Repo, tuple[Revision, Revision], list[str]]]:
    """The repository, two revisions of it, and the problems of either, or ``problem`` alone.

    Raises:
        SettingsError: no such revision, or neither has that problem.
        MachineError: see open_repository; or a file that cannot be read, in the block too.
    """
    repo = open_repository()
    try:
        revisions = before, after = read_revision(repo, rev_a), read_revision(repo, rev_b)
        names = list(dict.fromkeys([*after.problems, *before.problems]))
        if problem is not None and problem not in names:
            raise SettingsError(
                f"Neither {before.shown} nor {after.shown} has a problem '{problem}'. They have: "
                f"{', '.join(names) or 'none'}.{did_you_mean(problem, names)}"
            )
        yield repo, revisions, names if problem is None else [problem]
    except OSError as error:
        raise MachineError(f"{error}. Mend that, then run it again.") from None
    finally:
        repo.close()


def read_revision(repo: Repo, name: str) -> Revision:
    """The revision that ``name`` means. Raises SettingsError where there is none, or it has no params.yaml."""
    if name == WORKSPACE:
        commit = None
    else:
        try:
            commit = str(resolve_rev(repo.scm, name)) if name else None
            if not commit or repo.scm.resolve_commit(commit).hexsha != commit:
                raise RevError(f"'{name}' is no commit")
        except (DvcException, GitError, ValueError, AttributeError) as error:
            # AttributeError: git knows the name, of a file or a folder, and DVC asks it for what commits have.
            why = "it is not a commit" if isinstance(error, AttributeError) else error
            raise SettingsError(
                f"There is no revision '{name}' ({why}). Allowed: a commit, branch, tag (git log, git branch -a, "
                f"git tag), experiment (dvc exp list -A), or {WORKSPACE}."
            ) from None
    params = _yaml(repo, commit, "params.yaml", name)
    if params is None:
        raise SettingsError(
            f"{'The workspace' if commit is None else f'Revision {name}'} has no params.yaml, so it has no problems. "
            "Name another revision, or run it from the repository's root."
        )
    revision = Revision(name, commit, params, {})
    return replace(revision, stages=locked_stages(repo, revision))


def _yaml(repo: Repo, commit: str | None, file: str, name: str) -> dict[str, Any] | None:
    """A YAML file of a revision, read as DVC reads it, or None if there is none."""
    where = file if commit is None else f"{file} of {name}"
    data = _bytes(repo, commit, file)
    if data is None:
        return None
    try:
        content = parse_yaml(data.decode("utf-8"), where)
    except (ParseError, UnicodeDecodeError):
        remedy = last_commits(file) if commit is None else "Name another revision"
        raise IntegrityError(f"{where} is not valid YAML. {remedy}.") from None
    if not isinstance(content, dict):
        raise IntegrityError(f"{where} is not a mapping. Correct it, or name another revision.")
    return content


def _bytes(repo: Repo, commit: str | None, file: str) -> bytes | None:
    """A file of the workspace or, where git tracks it, of a commit; None if there is none."""
    path = Path(repo.root_dir) / file
    try:
        if commit is None:
            return path.read_bytes()
        with repo.scm.get_fs(commit).open(path.relative_to(repo.scm.root_dir).as_posix(), "rb") as handle:
            content: bytes = handle.read()
            return content
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None


def locked_stages(repo: Repo, revision: Revision) -> dict[str, LockedStage]:
    """What dvc.lock of a revision records of each stage, by name; nothing where there is no dvc.lock.

    Raises:
        IntegrityError: dvc.lock is not as DVC writes it.
    """
    data = _bytes(repo, revision.commit, LOCK.as_posix())
    if data is None:
        return {}
    workspace = revision.commit is None
    remedy = last_commits(LOCK) if workspace else "Name another revision"
    return parse_lock(data, f"{LOCK} of {revision.shown}", remedy)


def uncached_file(repo: Repo, revision: Revision, file: LockedFile) -> bytes | None:
    """The content of an output that git tracks (``cache: false``); None if it is not the one that dvc.lock records."""
    content = _bytes(repo, revision.commit, file.path)
    same = content is not None and hashlib.md5(content, usedforsecurity=False).hexdigest() == file.md5
    return content if same else None


def stage_output(repo: Repo, revision: Revision, stage: str, suffix: str) -> LockedFile | None:
    """The output of ``stage`` whose name ends in ``suffix``, or None if dvc.lock records no such run: as dvc.lock
    records it, or, in the workspace, as it is there.

    Raises:
        DataError: it is not in the workspace.
    """
    outs = revision.stages[stage].outs if stage in revision.stages else ()
    found = next((out for out in outs if out.path.endswith(suffix)), None)
    if found is None or revision.commit is not None:
        return found
    there = present(found.path, Path(repo.root_dir))
    if there.md5 is None:
        raise DataError(
            f"{found.path} is not in the workspace. Run 'dvc checkout {found.path}' (from the cache), 'dvc pull "
            f"{found.path}' (from a remote), or 'dvc repro {stage}' to remake it."
        )
    return there


def file_of(repo: Repo, revision: Revision, output: LockedFile, stage: str) -> Path:
    """Where the bytes of ``output`` lie: in the workspace, or in DVC's cache, checked against their hash.

    Raises:
        IntegrityError: they are not in the cache, or not what they were.
    """
    if revision.commit is None:
        return Path(repo.root_dir) / output.path
    path = Path(repo.cache.local.oid_to_path(output.md5))
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
            "lockstep verify --repair --all', which mends it or, where it is another commit's, removes it; then run "
            "this again."
        )
    return path


def outdated(
    repo: Repo, workspace: Revision, stage: str, known: dict[str, LockedFile] | None = None
) -> tuple[str, ...]:
    """What ``stage`` read or wrote, and what has changed in the workspace since: files and ``params.yaml:key``.

    Args:
        known: files hashed before, by path; those hashed now are added.
    """
    recorded = workspace.stages.get(stage)
    if recorded is None:
        return ()
    root = Path(repo.root_dir)
    files = [(file, present(file.path, root, known, _files_in(repo))) for file in (*recorded.deps, *recorded.outs)]
    changed = [file.path for file, now in files if now.md5 not in (None, file.md5)]
    return (*changed, *(f"params.yaml:{key}" for key in changed_settings(workspace, recorded)))


def changed_settings(revision: Revision, stage: LockedStage) -> list[str]:
    """The keys of params.yaml that the revision sets to other values than the stage was run with."""
    settings = stage.params.get("params.yaml", {})
    return [key for key, value in settings.items() if value_at(revision.params, key) != value]


def _files_in(repo: Repo) -> Callable[[Path], Iterator[Path]]:
    """A function: the files below a folder that DVC looks at."""
    return lambda folder: (Path(path) for path in repo.dvcignore.find(localfs, str(folder)))


def current_stages(repo: Repo, known: dict[str, LockedFile] | None = None) -> dict[str, LockedStage]:
    """What dvc.lock would say of every stage in dvc.yaml, were it written now: every file hashed from its bytes.

    Args:
        known: files hashed before, by path; those hashed now are added.

    Raises:
        SettingsError: dvc.yaml or a parameter file cannot be read.
    """
    known = {} if known is None else known
    root = Path(repo.root_dir)
    contents: dict[str, Any] = {}
    found = {}

    try:
        stages = [stage for stage in repo.index.stages if isinstance(stage, PipelineStage)]
        for stage in stages:
            params: dict[str, dict[str, Any]] = {}
            for dep in stage.params:
                file = Path(dep.fs_path).relative_to(root).as_posix()
                if file not in contents:
                    contents[file] = read_versions(root / file) if file == VERSIONS.name else read_yaml(root / file)
                values = {key: value_at(contents[file], key) for key in dep.params}
                params[file] = {key: value for key, value in values.items() if value is not _ABSENT}
            deps, outs = (
                tuple(
                    present(Path(entry.fs_path).relative_to(root).as_posix(), root, known, _files_in(repo))
                    for entry in entries
                    if not isinstance(entry, ParamsDependency)
                )
                for entries in (stage.deps, stage.outs)
            )
            found[stage.addressing] = LockedStage(stage.addressing, stage.cmd, deps, params, outs)
    except DvcException as error:
        raise SettingsError(f"dvc.yaml cannot be read: {error}. Correct it there; 'dvc status' says more.") from None
    return found


_ABSENT = object()


def value_at(content: Any, key: str) -> Any:
    """The setting at a dotted key, or _ABSENT."""
    for part in key.split("."):
        if not isinstance(content, dict) or part not in content:
            return _ABSENT
        content = content[part]
    return content
