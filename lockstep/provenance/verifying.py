"""Whether what is here is what dvc.lock records, from the bytes of every file.

DVC's own database of sizes and times, and the mode of a file in its cache, are not believed.
"""

from collections.abc import Container, Iterable, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from lockstep.kernel.errors import some
from lockstep.kernel.lock_file import LOCK_FILE, LockedFile, LockedStage, md5_of, read_lock, recorded_files
from lockstep.kernel.log import heartbeat
from lockstep.provenance.changed_modules import CodeHistory
from lockstep.provenance.changes import History, stage_changes
from lockstep.repository.cache import corrupt_objects, object_path
from lockstep.repository.dvc import Repository
from lockstep.repository.hashes import present

State = Literal["altered", "missing", "corrupt", "uncached", "outdated", "not run"]


class Deviation(NamedTuple):
    """Something that is not as recorded.

    Attributes:
        state: "altered" and "missing" are of recorded files in the workspace, "corrupt" and "uncached" of their
            objects in DVC's cache, "outdated" and "not run" of stages.
        subject: the file's path, or the stage's name.
        detail: the rest of a line for the user.
    """

    state: State
    subject: str
    detail: str

    def __str__(self) -> str:
        return f"{self.state:<9} {self.subject}{self.detail}"


class Recorded(NamedTuple):
    """What dvc.lock and the .dvc files record of the stages that dvc.yaml has.

    Attributes:
        files: {path: (what is recorded, by whom)}.
        uncached: the paths of outputs that are kept in git, not in DVC's cache.
        cache: the folder of DVC's objects, relative to the current folder if it is below it.
    """

    files: dict[str, tuple[LockedFile, str]]
    uncached: set[str]
    cache: Path

    @property
    def cached(self) -> list[tuple[LockedFile, str]]:
        """Those files that belong in the cache."""
        return [entry for path, entry in self.files.items() if path not in self.uncached]


class Verification(NamedTuple):
    """All that is not as recorded, and how much was looked at: bytes and numbers of what was hashed."""

    deviations: list[Deviation]
    stages: int
    files: int
    objects: int
    hashed: int
    size: int

    def __str__(self) -> str:
        return (
            f"{self.stages} stages, {self.files} recorded files, {self.objects} of them in the cache; {self.hashed} "
            f"files hashed, {self.size / 1e6:,.1f} MB"
        )


def read_recorded(repo: Repository, stages: Mapping[str, LockedStage], names: Container[str]) -> Recorded:
    """Read what is recorded of the stages ``names``. Those that dvc.yaml has no more, as of a removed problem, promise
    nothing."""
    files = recorded_files({name: stage for name, stage in stages.items() if name in names}, repo.root)
    here = Path.cwd()
    cache = repo.cache.relative_to(here) if repo.cache.is_relative_to(here) else repo.cache
    return Recorded(files, repo.uncached, cache)


def check_files(
    files: Iterable[tuple[LockedFile, str]], root: Path = Path(), known: dict[str, LockedFile] | None = None
) -> list[Deviation]:
    """Find the recorded files that are missing from ``root`` or have other bytes there.

    Args:
        files: what is recorded, and by whom: outputs(), recorded_files() or a selection of them, ``.values()``.
        known: as of present().
    """
    deviations, files = [], list(files)
    with heartbeat("hashing the workspace", len(files), "files") as progress:
        for file, owner in files:
            found = present(file.path, root, known)
            if found.md5 is None:
                deviations.append(Deviation("missing", file.path, f" ({owner})"))
            elif found.md5 != file.md5:
                here, there = (f"{one.size or 0:,} bytes with MD5 {one.md5}" for one in (found, file))
                deviations.append(Deviation("altered", file.path, f" ({owner}): {here}; recorded are {there}"))
            progress.advance()
    return deviations


def check_cache(files: Iterable[tuple[LockedFile, str]], cache: Path, *, everything: bool = False) -> list[Deviation]:
    """Find the recorded files whose object in the cache is missing or has other bytes.

    Args:
        files: what is recorded, and by whom; of outputs that are cached.
        cache: the folder of objects by MD5.
        everything: look at all other objects too: those of other commits.
    """
    deviations, seen, files = [], set(), list(files)
    with heartbeat("hashing DVC's cache", len(files), "files") as progress:
        for file, owner in files:
            path = object_path(cache, file)
            seen.add(path)
            if not path.is_file():
                deviations.append(Deviation("uncached", str(path), f" ({file.path}, {owner})"))
            elif (md5 := md5_of(path)) != file.md5:
                deviations.append(Deviation("corrupt", str(path), f" ({file.path}, {owner}): its bytes have MD5 {md5}"))
            progress.advance()
    with heartbeat("hashing the objects of other commits"):
        others = [path for path in corrupt_objects(cache) if path not in seen] if everything else []
    return deviations + [Deviation("corrupt", str(path), " (of no recorded file of this commit)") for path in others]


def check_stages(
    recorded: Mapping[str, LockedStage],
    now: Mapping[str, LockedStage],
    wrong: Iterable[str] = (),
    history: History | None = None,
) -> list[Deviation]:
    """Find the stages that would run with other settings, code, data or command than they did.

    Args:
        recorded: of dvc.lock.
        now: what dvc.lock would say of them now.
        wrong: paths whose change is told by a Deviation of its own.
        history: as of stage_changes.
    """
    deviations, told = [], set(wrong)
    for name, stage in now.items():
        if name not in recorded:
            deviations.append(Deviation("not run", name, ": dvc.lock records no run of it"))
            continue
        changes = [
            change for change in stage_changes(recorded[name], stage, history=history) if change.what not in told
        ]
        if changes:
            deviations.append(Deviation("outdated", name, f": {some(changes)}"))
    return deviations


def verify(root: Path = Path(), *, everything: bool = False) -> Verification:
    """Compare all that is recorded with what is here.

    Args:
        root: the repository's.
        everything: hash all of the cache, not only what is recorded now.

    Raises:
        DataError: there is no dvc.lock.
        IntegrityError: dvc.lock or a .dvc file is not of DVC's form.
        SettingsError: dvc.yaml or params.yaml cannot be read.
    """
    recorded = read_lock(root / LOCK_FILE)
    known: dict[str, LockedFile] = {}
    with Repository(root) as repo:
        now = repo.current_stages(known)
        found = read_recorded(repo, recorded, now)
        deviations = check_files(found.files.values(), root, known)
        # What is neither here nor in the cache is told once.
        missing = {one.subject for one in deviations if one.state == "missing"}
        cached = [
            entry
            for entry in found.cached
            if entry[0].path not in missing or object_path(found.cache, entry[0]).exists()
        ]
        deviations += check_cache(cached, found.cache, everything=everything)
        told = {one.subject for one in deviations}
        deviations += check_stages(recorded, now, told, CodeHistory(repo))
    size = sum(one.size or 0 for one in known.values())
    return Verification(deviations, len(now), len(found.files), len(found.cached), len(known), size)
