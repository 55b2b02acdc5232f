"""Hashes of files and folders, computed from their bytes: DVC's database of sizes and times is not asked."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from lockstep.kernel.lock_file import LockedFile, md5_of, md5_of_bytes
from lockstep.kernel.used_code import expected_record, is_record


def digest(path: Path, algorithm: str) -> str:
    """The hash of a file's bytes, in hexadecimal digits."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()


def present(
    path: str,
    root: Path = Path(),
    known: dict[str, LockedFile] | None = None,
    files_in: Callable[[Path], Iterable[Path]] | None = None,
) -> LockedFile:
    """The file, or folder, at ``path`` as it is now, hashed from its bytes; its md5 is None where there is none.

    Args:
        path: from ``root``, with ``/``.
        root: the repository's.
        known: what was hashed before; what is hashed now is added.
        files_in: the files below a folder that DVC looks at; without it a folder is no file.
    """
    if known is not None and path in known:
        return known[path]
    place = root / path
    if place.is_file():
        found = LockedFile(path, md5_of(place), place.stat().st_size)
    elif place.is_dir() and files_in is not None:
        files = list(files_in(place))
        found = LockedFile(path, folder_md5(place, files), sum(file.stat().st_size for file in files))
    else:
        found = LockedFile(path, None, None)
    if known is not None:
        known[path] = found
    return found


def to_be_read(
    path: str,
    params: Mapping[str, Any],
    root: Path = Path(),
    known: dict[str, LockedFile] | None = None,
    files_in: Callable[[Path], Iterable[Path]] | None = None,
) -> LockedFile:
    """What a stage that ran now would read at ``path``: what is there; of a record of own code what ``check``, which is
    before it, would write there.

    Args:
        params: the content of params.yaml.
        path, root, known, files_in: as of ``present``.
    """
    if not is_record(path):
        return present(path, root, known, files_in)
    content = expected_record(path, params, lambda file: present(file, root, known).md5)
    return LockedFile(path, md5_of_bytes(content), len(content))


def folder_md5(folder: Path, files: Iterable[Path]) -> str:
    """The hash that DVC gives a folder with these files."""
    return listing_md5({file.relative_to(folder).as_posix(): md5_of(file) for file in files})


def listing_md5(listing: Mapping[str, str]) -> str:
    """The hash that DVC gives a folder: of its listing as JSON (``Tree.as_bytes`` in dvc-data 3), and ``.dir``.

    Args:
        listing: the MD5 of each file, by its path in the folder.
    """
    text = json.dumps([{"md5": md5, "relpath": path} for path, md5 in sorted(listing.items())], sort_keys=True)
    return f"{md5_of_bytes(text.encode())}.dir"
