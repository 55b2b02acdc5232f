"""DVC's cache: where an object is, and whether it is what its name says."""

import re
from pathlib import Path

from lockstep.kernel.lock_file import MD5, LockedFile, md5_of
from lockstep.kernel.log import counted
from lockstep.repository.dvc_config import broken_config, config_files, dvc_options

_TEMPORARY = re.compile(r".*\.[A-Za-z0-9_-]{22}\.tmp")
OBJECTS = "files/md5"
"""The folder of objects in a cache."""


def cache_folder() -> Path:
    """The folder of DVC's objects, by its settings alone: cache.dir is relative to the file that sets it.

    An opened Repository knows its own (``Repository.cache``); this is for one that may not open.
    """
    folder, level = (None, "") if broken_config() else dvc_options().get(("cache", "dir"), (None, ""))
    cache = config_files()[level].parent / Path(folder).expanduser() if folder else Path(".dvc/cache")
    return cache / OBJECTS


def object_path(cache: Path, file: LockedFile) -> Path:
    """Where DVC keeps the bytes of ``file``; ``cache`` is the folder of objects."""
    assert file.md5 is not None
    return cache / file.md5[:2] / file.md5[2:]


def is_intact(path: Path, file: LockedFile) -> bool:
    """Whether ``path`` has the recorded bytes of ``file``."""
    return path.is_file() and md5_of(path) == file.md5


def half_written(folder: Path) -> list[Path]:
    """The files in a folder, of the cache or of outputs, that DVC had not written to the end."""
    return [path for path in sorted(folder.glob("*.tmp")) if path.is_file() and _TEMPORARY.fullmatch(path.name)]


def corrupt_objects(cache: Path) -> list[Path]:
    """The objects whose bytes are not those of their names, sorted: all of the cache is hashed."""
    return [
        path
        for path in counted(sorted(cache.glob("[0-9a-f][0-9a-f]/*")), "files")
        if MD5.fullmatch(name := f"{path.parent.name}{path.name}") and md5_of(path) != name
    ]
