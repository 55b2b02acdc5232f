"""An attestation of a rebuild: a statement of in-toto (v1) that carries SLSA provenance (v1), made and checked.

The forms: https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md, https://slsa.dev/spec/v1.0/provenance.
Every subject is a file that the rebuild wrote, with its SHA-256 and the MD5 by which dvc.lock names it.
"""

import os
import platform
import re
import sys
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

from lockstep.kernel.environment import LIBRARIES, installed_version
from lockstep.kernel.errors import DataError, IntegrityError, some
from lockstep.kernel.paths import is_safe
from lockstep.kernel.portable import PINNED, shortcoming
from lockstep.repository.hashes import digest

import msgspec

STATEMENT = "https://in-toto.io/Statement/v1"
PROVENANCE = "https://slsa.dev/provenance/v1"
BUILD = "urn:lockstep:rebuild:v1"
MAX_BYTES = 64 * 1024 * 1024

Text = Annotated[str, msgspec.Meta(min_length=1)]
Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
Md5 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]


class Subject(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file, by path from the repository's root, and its digests: ``sha256`` and ``md5``."""

    name: Text
    digest: dict[str, str]


class Resource(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What went into the build or came out beside its subjects (SLSA's ResourceDescriptor)."""

    name: Text
    digest: dict[str, str] = {}
    uri: str = ""
    annotations: dict[str, Any] = {}


class Definition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was built from what (SLSA's BuildDefinition).

    ``internalParameters`` tells the machine: processor, threads, C library, zlib, the pinned variables, and whether it
    can keep the promise of the same bits.
    """

    buildType: Text  # noqa: N815 - the specification's names
    externalParameters: dict[str, Any]  # noqa: N815
    internalParameters: dict[str, Any]  # noqa: N815
    resolvedDependencies: list[Resource]  # noqa: N815


class Builder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who built it: ``version`` has the version of each library that decides results."""

    id: Text
    version: dict[str, str]


class Metadata(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When it was built, in UTC, as RFC 3339 writes it."""

    startedOn: Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]  # noqa: N815
    finishedOn: Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]  # noqa: N815


class Details(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How it was built (SLSA's RunDetails); the seconds of each stage are an annotation of the byproduct dvc.lock."""

    builder: Builder
    metadata: Metadata
    byproducts: list[Resource]


class Predicate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """SLSA's provenance."""

    buildDefinition: Definition  # noqa: N815
    runDetails: Details  # noqa: N815


class Statement(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The attestation."""

    type: str = msgspec.field(name="_type")
    subject: Annotated[list[Subject], msgspec.Meta(min_length=1)]
    predicateType: str  # noqa: N815
    predicate: Predicate


def machine() -> dict[str, Any]:
    """What results could depend on beside the libraries; nothing that names the machine or its user."""
    why = shortcoming()
    return {
        "processor": _processor(),
        "architecture": platform.machine(),
        "system": platform.system(),
        "threads": os.cpu_count() or 1,
        "libc": " ".join(platform.libc_ver()).strip(),
        "zlib": zlib.ZLIB_RUNTIME_VERSION,
        "portable": why is None,
        **({"not_portable_because": why} if why else {}),
        "pinned": dict(PINNED),
    }


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        text = ""
    found = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """Of Python and everything that decides results."""
    found = {name: installed_version(name) or "not installed" for name in (*LIBRARIES, "dvc")}
    return {"python": ".".join(map(str, sys.version_info[:3])), **found}


def digests(path: Path) -> dict[str, str]:
    """SHA-256 and MD5 of a file."""
    return {name: digest(path, name) for name in ("sha256", "md5")}


def statement(
    root: Path, commit: str, written: Iterable[str], read: Iterable[str], seconds: Mapping[str, float],
    started: str, finished: str,
) -> Statement:  # fmt: skip
    """The attestation of a rebuild.

    Args:
        root: of the rebuilt repository.
        commit: of git, that was rebuilt.
        written: the outputs of all stages, by path.
        read: the raw tables, the settings and the lists of versions.
        seconds: that each stage took.
        started, finished: in UTC, as RFC 3339.
    """
    inputs = [Resource("git commit", {"gitCommit": commit})]
    inputs += [Resource(path, digests(root / path)) for path in sorted(set(read))]
    return Statement(
        type=STATEMENT,
        subject=[Subject(path, digests(root / path)) for path in sorted(set(written))],
        predicateType=PROVENANCE,
        predicate=Predicate(
            Definition(BUILD, {"revision": commit, "command": "dvc repro"}, machine(), inputs),
            Details(
                Builder("urn:lockstep:verify-rebuild", versions()),
                Metadata(started, finished),
                [Resource("dvc.lock", digests(root / "dvc.lock"), annotations={"seconds": dict(seconds)})],
            ),
        ),
    )


def encode(made: Statement) -> bytes:
    """The attestation as JSON."""
    return msgspec.json.format(msgspec.json.encode(made), indent=2) + b"\n"


def read_attestation(path: Path) -> Statement:
    """The attestation in a file.

    Raises:
        DataError: there is no such file.
        IntegrityError: it is not such an attestation.
    """
    try:
        with path.open("rb") as handle:
            data = handle.read(MAX_BYTES + 1)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}. 'verify --rebuild' writes one.") from None
    try:
        if len(data) > MAX_BYTES:
            raise ValueError(f"it has more than {MAX_BYTES:,} bytes")
        found = msgspec.json.decode(data, type=Statement)
        if (found.type, found.predicateType, found.predicate.buildDefinition.buildType) != (
            STATEMENT, PROVENANCE, BUILD,
        ):  # fmt: skip
            raise ValueError(f"its types are not {STATEMENT}, {PROVENANCE} and {BUILD}")
        names = [subject.name for subject in found.subject]
        if len(set(names)) < len(names):
            raise ValueError("it names a subject twice")
        for name, found_digests in _named(found):
            if not is_safe(name):
                raise ValueError(f"'{name}' leads out of the repository's files")
            msgspec.convert(found_digests, Digests)
    except (ValueError, msgspec.ValidationError) as error:
        raise IntegrityError(f"{path} is not an attestation of a rebuild: {error}.") from None
    return found


class Digests(msgspec.Struct, forbid_unknown_fields=True):
    """Of a file."""

    sha256: Sha256
    md5: Md5


def _named(made: Statement) -> list[tuple[str, dict[str, str]]]:
    """(path, digests) of the files that the build wrote and read."""
    inputs = [one for one in made.predicate.buildDefinition.resolvedDependencies if "gitCommit" not in one.digest]
    return [(one.name, one.digest) for one in made.subject] + [(one.name, one.digest) for one in inputs]


def commit_of(made: Statement) -> str:
    """The git commit that was rebuilt."""
    return str(made.predicate.buildDefinition.externalParameters.get("revision", ""))


def check(made: Statement, root: Path = Path()) -> list[str]:
    """What of an attestation is not so here, a line each: files that are missing or have other bytes."""
    found = []
    for name, attested in _named(made):
        path = root / name
        if not path.is_file():
            found.append(f"missing   {name}")
        elif wrong := [kind for kind, value in digests(path).items() if attested[kind] != value]:
            found.append(f"altered   {name}: other {some(list(wrong))} than attested")
    return found
