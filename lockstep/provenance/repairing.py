"""Puts the recorded bytes back where they are missing or altered: from the workspace, the cache, a remote, or a run.

DVC takes a read-only file in its cache for intact, so it is never asked whether one is.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from lockstep.kernel.dvc_locks import TEMPORARY
from lockstep.kernel.errors import IntegrityError, MachineError, some
from lockstep.kernel.files import Outputs
from lockstep.kernel.lock_file import LockedFile, md5_of, read_lock
from lockstep.kernel.log import counted, heartbeat, logger
from lockstep.provenance.verifying import Recorded, read_recorded
from lockstep.repository.cache import corrupt_objects, is_intact, object_path
from lockstep.repository.dvc import Repository
from lockstep.repository.dvc_process import TIME_LIMIT, run_dvc

REPLACED = TEMPORARY / "replaced"
"""Where an altered raw table is kept: it may be an edit."""


def repair(*, everything: bool = False) -> Iterator[str]:
    """Put back what is missing or altered; yield a line for each thing that was done.

    Args:
        everything: remove corrupt objects of other commits from the cache as well.

    Raises:
        IntegrityError: a raw table is nowhere to be found with its recorded bytes. Then nothing was done.
        MachineError: a stage that would build what is missing fails.
    """
    lock = read_lock()
    with Repository() as repo:
        recorded = read_recorded(repo, lock, repo.stage_names)
    with heartbeat("hashing the workspace and DVC's cache"):
        files = counted(recorded.files.values(), "files")
        lost = [entry for entry in files if not _is_somewhere(recorded, entry[0])]
    fetched = _fetch(recorded, [file for file, _ in lost])
    yield from (f"fetched   {path}, from its remote" for path in sorted(fetched))
    nowhere = [(file, owner) for file, owner in lost if file.path not in fetched]
    raw = [file for file, owner in nowhere if owner.endswith(".dvc")]
    if raw:
        raise IntegrityError(
            f"{some([f'{file.path} (MD5 {file.md5})' for file in raw])}: the recorded bytes are neither in the "
            "workspace, nor in the cache, nor in a remote that answers, and raw data cannot be built. Nothing was "
            "removed. Put the original file there, then run this again; or, if the file that is there is right: 'dvc "
            "commit FILE.dvc'."
        )
    for file, _ in recorded.files.values():
        yield from _put_back(recorded, file)
    if everything:
        ours = {object_path(recorded.cache, file) for file, _ in recorded.cached}
        with heartbeat("hashing the objects of other commits"):
            corrupt = set(corrupt_objects(recorded.cache))
        for path in corrupt - ours:
            path.unlink()
            yield f"removed   {path} (of no recorded file of this commit)"
    stages = sorted({owner for _, owner in nowhere})
    if stages:
        yield from _rebuild(recorded, [file for file, _ in nowhere], stages)


def _is_somewhere(recorded: Recorded, file: LockedFile) -> bool:
    return is_intact(Path(file.path), file) or is_intact(object_path(recorded.cache, file), file)


def _fetch(recorded: Recorded, files: list[LockedFile]) -> set[str]:
    """Try to fetch objects into the cache; return the paths of the files whose right bytes came.

    What lies in their place is put aside first, since DVC would keep it, and put back if nothing better comes. A remote
    that does not answer in time is one that has nothing.
    """
    wanted = [file for file in files if file.path not in recorded.uncached]
    objects = {file: object_path(recorded.cache, file) for file in wanted}
    aside = {path: path.with_name(f"{path.name}.corrupt") for path in objects.values() if path.exists()}
    raw = [file.path for file in wanted if Path(f"{file.path}.dvc").exists()]
    others = [file.path for file in wanted if file.path not in raw]
    try:
        for path, put in aside.items():
            path.rename(put)
        for targets in (*([path] for path in raw), others):  # raw tables may have remotes of their own
            if targets:
                _try_to_fetch(targets)
    finally:  # also where a person will not wait
        fetched = {file.path for file, path in objects.items() if is_intact(path, file)}
        for file, path in objects.items():
            kept = aside.get(path)
            if file.path in fetched:
                if kept is not None:
                    kept.unlink(missing_ok=True)
            elif kept is None:
                path.unlink(missing_ok=True)
            elif kept.exists():
                kept.replace(path)
    return fetched


def _try_to_fetch(targets: list[str]) -> None:
    try:
        run_dvc(["fetch", "--quiet", *targets], TIME_LIMIT)
    except MachineError as error:
        logger.warning("%s", error)


def _put_back(recorded: Recorded, file: LockedFile) -> Iterator[str]:
    """Make the workspace's file and the cache's object the same, from the one that is right."""
    here, there, cached = Path(file.path), object_path(recorded.cache, file), file.path not in recorded.uncached
    # DVC's cache of runs keeps small results too, which else are in git alone.
    right_here, right_there = is_intact(here, file), is_intact(there, file)
    if right_here and cached and not right_there:
        what = "replaced" if there.exists() else "added"
        _copy(here, there, 0o444)
        yield f"{what:<9} {there}, by {here}"
    elif right_there and not right_here:
        what = "restored" if not here.exists() else "replaced"
        kept = ""
        if here.exists() and Path(f"{here}.dvc").exists():
            aside = REPLACED / f"{file.path}.{md5_of(here)}"
            _copy(here, aside, 0o644)
            kept = f"; what was there is kept as {aside}, in case it was an edit"
        _copy(there, here, 0o644)
        yield f"{what:<9} {here}, from the cache{kept}"


def _copy(source: Path, target: Path, mode: int) -> None:
    with Outputs() as outputs:
        outputs.write(target, lambda temporary: shutil.copyfile(source, temporary))
    target.chmod(mode & ~_umask() | 0o400)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _rebuild(recorded: Recorded, files: list[LockedFile], stages: list[str]) -> Iterator[str]:
    """Run the stages whose outputs are nowhere; what is corrupt of these goes first, so that DVC does not use it."""
    for file in files:
        for path in (Path(file.path), object_path(recorded.cache, file)):
            if path.exists() and (path == Path(file.path) or file.path not in recorded.uncached):
                path.unlink()
                yield f"removed   {path}"
    done = run_dvc(["repro", *stages])
    if done.code:
        raise MachineError(f"'dvc repro {' '.join(stages)}', which would build what is missing, fails: {done.reason}.")
    for file in files:
        same = "the same bytes as recorded" if is_intact(Path(file.path), file) else "other bytes: it was out of date"
        yield f"rebuilt   {file.path}: {same}"
