"""Whether what a commit records of some of its stages is of one piece, without touching the workspace: the outputs from
their bytes, and what the stages read, against the commit's own settings, code and tables."""

import tomllib
from collections.abc import Iterable

from lockstep.kernel.environment import VERSIONS
from lockstep.kernel.errors import some
from lockstep.kernel.lock_file import LockedFile, LockedStage, md5_of_bytes, outputs
from lockstep.kernel.paths import PARAMS
from lockstep.kernel.used_code import is_record
from lockstep.provenance.changed_modules import CodeHistory
from lockstep.provenance.plan import computing, needed
from lockstep.provenance.verifying import Deviation, check_cache
from lockstep.repository.code_records import changed_code
from lockstep.repository.dvc import Repository, read_dvc_yaml
from lockstep.repository.revisions import Revision, changed_settings, uncached_file


def verify_commit(
    repo: Repository, history: CodeHistory, revision: Revision, targets: Iterable[str]
) -> list[Deviation]:
    """Find what is not as the dvc.lock of a commit records it, of the stages ``targets`` and all that they need.

    The subject of an "uncached" or "corrupt" Deviation is the object in DVC's cache, which alone has what git has not.
    """
    assert revision.commit is not None
    stages = needed(targets, computing(revision.stages))
    written, known = outputs(stages.values()), outputs(revision.stages.values())
    in_git = {path for path in written if repo.read(revision.commit, path) is not None}
    deviations = [
        Deviation("altered", path, f" ({owner})")
        for path, (file, owner) in written.items()
        if path in in_git and uncached_file(repo, revision, file) is None
    ]
    deviations += check_cache((entry for path, entry in written.items() if path not in in_git), repo.cache)
    for name, stage in stages.items():
        changed = [f"{PARAMS}: {key}" for key in changed_settings(revision, stage)]
        changed += _other_versions(repo, revision, stage)
        for dep in stage.deps:
            if is_record(dep.path):
                changed += changed_code(repo, dep, revision.commit)
            elif _md5(repo, history, revision, dep, known) != dep.md5:
                changed.append(dep.path)
        if changed:
            deviations.append(Deviation("outdated", name, f": {some(changed)}"))
    return deviations


def _other_versions(repo: Repository, revision: Revision, stage: LockedStage) -> list[str]:
    """The libraries whose version in the commit is another one than the stage ran with."""
    recorded = stage.params.get(VERSIONS.name, {})
    content = repo.read(revision.commit, VERSIONS.name) if recorded else None
    try:
        now = tomllib.loads(content.decode()) if content else {}
    except ValueError:  # of TOML and of UTF-8
        now = {}
    return [f"{VERSIONS.name}: {library}" for library, version in recorded.items() if now.get(library) != version]


def _md5(
    repo: Repository,
    history: CodeHistory,
    revision: Revision,
    dep: LockedFile,
    known: dict[str, tuple[LockedFile, str]],
) -> str | None:
    """The hash of what a stage reads, as the commit has it: of another stage's output what that one wrote, of a table
    what its .dvc file tracks, of code what git has; None where the commit has no such file."""
    assert revision.commit is not None
    if dep.path in known:
        return known[dep.path][0].md5
    if str(dep.md5).endswith(".dir"):
        return history.committed_md5(dep.path, revision.commit)
    content = repo.read(revision.commit, dep.path)
    if content is not None:
        return md5_of_bytes(content)
    name = f"{dep.path}.dvc"
    pointer = repo.read(revision.commit, name)
    if pointer is None:
        return None
    tracked = read_dvc_yaml(pointer, f"{name} of {revision.shown}", "Name another revision").get("outs") or [{}]
    return str(tracked[0].get("md5"))
