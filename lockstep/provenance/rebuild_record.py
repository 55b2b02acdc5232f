"""The record of a rebuild, rebuild.json: what was built from what, with which libraries, on what kind of machine."""

import os
import platform
import re
import sys
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

from lockstep.kernel.environment import LIBRARIES, installed_version
from lockstep.kernel.errors import DataError, IntegrityError
from lockstep.kernel.paths import is_safe
from lockstep.kernel.portable import PINNED, shortcoming
from lockstep.provenance.verifying import Deviation
from lockstep.repository.hashes import digest

import msgspec

_MAX_BYTES = 64 * 1024 * 1024


class Digests(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The hashes of a file's bytes; dvc.lock has the MD5."""

    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    md5: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]


class RebuildRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A commit of git that was rebuilt.

    Attributes:
        outputs, inputs: the files that its stages wrote; raw tables, settings, lists of versions: by path.
        seconds: by stage.
        versions: of Python, DVC and the libraries that decide results.
        machine: what results could depend on besides; nothing that names the machine or its user.
    """

    commit: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{40,64}$")]
    outputs: Annotated[dict[str, Digests], msgspec.Meta(min_length=1)]
    inputs: dict[str, Digests]
    seconds: dict[str, float]
    versions: dict[str, str]
    machine: dict[str, Any]


def record_rebuild(
    root: Path, commit: str, outputs: Iterable[str], inputs: Iterable[str], seconds: Mapping[str, float]
) -> RebuildRecord:
    """Record what was just rebuilt in ``root``, on this machine; the arguments are the fields of RebuildRecord."""
    versions = {name: installed_version(name) or "not installed" for name in (*LIBRARIES, "dvc")}
    machine = {
        "processor": _processor(),
        "architecture": platform.machine(),
        "system": platform.system(),
        "threads": os.cpu_count() or 1,
        "libc": " ".join(platform.libc_ver()).strip(),
        "zlib": zlib.ZLIB_RUNTIME_VERSION,
        "not_portable_because": shortcoming(),
        "pinned": dict(PINNED),
    }
    written, read = ({path: _digests(root / path) for path in sorted(set(paths))} for paths in (outputs, inputs))
    python = {"python": ".".join(map(str, sys.version_info[:3]))}
    return RebuildRecord(commit, written, read, dict(seconds), python | versions, machine)


def _digests(path: Path) -> Digests:
    return Digests(digest(path, "sha256"), digest(path, "md5"))


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        text = ""
    found = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.processor() or platform.machine()


def encode_record(record: RebuildRecord) -> bytes:
    """Encode the record as JSON."""
    return msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n"


def read_rebuild_record(path: Path) -> RebuildRecord:
    """Read a record.

    Raises:
        DataError: there is no such file.
        IntegrityError: it is no such record.
    """
    try:
        with path.open("rb") as handle:
            data = handle.read(_MAX_BYTES + 1)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}. 'python -m lockstep rebuild' writes one.") from None
    try:
        record = msgspec.json.decode(data[:_MAX_BYTES], type=RebuildRecord)
        for name in record.outputs | record.inputs:
            if not is_safe(name):
                raise ValueError(f"'{name}' leads out of the repository's files")
    except ValueError as error:
        raise IntegrityError(f"{path} is not the record of a rebuild: {error}.") from None
    return record


def deviations_from(record: RebuildRecord) -> list[Deviation]:
    """Find the files of a record that are missing, or have other bytes here."""
    found = []
    for name, recorded in (record.outputs | record.inputs).items():
        if not Path(name).is_file():
            found.append(Deviation("missing", name, ""))
        elif (here := _digests(Path(name))) != recorded:
            found.append(Deviation("altered", name, f": its SHA-256 is {here.sha256}; recorded is {recorded.sha256}"))
    return found
