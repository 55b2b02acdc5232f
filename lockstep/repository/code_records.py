"""Finds what a record of the user's own code said, of which dvc.lock has the hash."""

import contextlib
from collections.abc import Iterator, Mapping

from lockstep.kernel.errors import IntegrityError, LockstepError
from lockstep.kernel.lock_file import LOCK_FILE, LockedFile, md5_of_bytes
from lockstep.kernel.paths import PARAMS
from lockstep.kernel.used_code import expected_record, parse_record
from lockstep.repository import git
from lockstep.repository.cache import object_path
from lockstep.repository.dvc import Repository, read_dvc_yaml


def used_code(repo: Repository, record: LockedFile) -> Mapping[str, str | None] | None:
    """The MD5 of each file that a record lists, by its path; None where neither the workspace nor DVC's cache nor a
    commit tells.

    Args:
        record: as dvc.lock has it, or would have it now.
    """
    with contextlib.suppress(IntegrityError):
        for content in _candidates(repo, record):
            if content is not None and md5_of_bytes(content) == record.md5:
                return parse_record(content, record.path)
    return None


def changed_code(repo: Repository, record: LockedFile, commit: str | None) -> list[str]:
    """The files of the user's own code that a commit, or with None the workspace, has otherwise than the stage did that
    read this record; the record itself where nobody knows what it said."""
    content = committed_record(repo, record.path, commit)
    if content is not None and md5_of_bytes(content) == record.md5:
        return []
    before = used_code(repo, record)
    if before is None or content is None:
        return [record.path]
    after = parse_record(content, record.path)
    return sorted(path for path in {**before, **after} if before.get(path) != after.get(path))


def committed_record(repo: Repository, path: str, commit: str | None) -> bytes | None:
    """What ``check`` would write at ``path`` in a commit, None being the workspace; None where it has no settings."""

    def find_md5(file: str) -> str | None:
        data = repo.read(commit, file)
        return None if data is None else md5_of_bytes(data)

    params = repo.read(commit, PARAMS.name)
    try:
        return None if params is None else expected_record(path, read_dvc_yaml(params, PARAMS.name, ""), find_md5)
    except LockstepError:  # settings that cannot be read: nothing was run with them
        return None


def _candidates(repo: Repository, record: LockedFile) -> Iterator[bytes | None]:
    yield repo.read(None, record.path)
    yield committed_record(repo, record.path, None)
    cached = object_path(repo.cache, record)
    yield cached.read_bytes() if cached.is_file() else None
    recorded = git.run("log", "--all", f"-S{record.md5}", "--format=%H", "--", str(LOCK_FILE), root=repo.root)
    for commit in recorded.stdout.split():
        yield committed_record(repo, record.path, commit)
