"""What decides the results of a process: Python, every library, the code of Lockstep, the processor's choices, and the
code of the user's own.

A process goes on with the code that it has loaded when the files on disk are replaced, as by 'git pull': so that is
hashed once, and early, in a process that computes for others (``dask_setup`` in lockstep/commands/pipeline/worker.py).
The user's own code is read anew whenever it is used, so that its hash is always that of now.
"""

import functools
import hashlib
import json
import sys
from pathlib import Path

from lockstep.kernel.paths import OWN_CODE, ROOT
from lockstep.kernel.portable import shortcoming

CODE, OWN, LIBRARIES, PROCESSOR = "the code", "the code of your own", "the libraries", "the processor"
DISK = "what lies on the disk"
"""The keys of ``fingerprint``, beside "Python"."""
SAME, NEWER = "what was loaded", "newer than what was loaded"
"""Of DISK."""


def code_sha256() -> str:
    """The SHA-256 of the code of Lockstep that a fold may run."""
    digest = hashlib.sha256()
    for file in sorted((ROOT / "lockstep").rglob("*.py")):
        digest.update(f"{file.relative_to(ROOT).as_posix()}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()


def own_code_sha256() -> str:
    """The SHA-256 of the files that own_code.find_file would find now: the working directory's, then this code's."""
    found = {
        file.relative_to(root).as_posix(): file.read_bytes()
        for root in (ROOT, Path())
        for folder in OWN_CODE
        for file in (root / folder).glob("*.py")
    }
    return _hash_of({name: hashlib.sha256(content).hexdigest() for name, content in found.items()})


def installed() -> dict[str, str]:
    """{library: version} of all that are installed, as the folders are called that installers leave: the user's own
    code may use any of them. Of several in ``sys.path`` the first counts, as for an import."""
    found: dict[str, str] = {}
    for folder in sys.path:
        for entry in sorted(Path(folder).glob("*.dist-info")):
            name, _, version = entry.name.removesuffix(".dist-info").rpartition("-")
            found.setdefault(name, version)
    return found


@functools.cache
def loaded() -> dict[str, str]:
    """What decides results of this process, and does not change while it runs, as it was when this was first asked."""
    return _found()


def _found() -> dict[str, str]:
    return {
        "Python": ".".join(map(str, sys.version_info[:3])),
        LIBRARIES: _hash_of(installed())[:12],
        CODE: code_sha256()[:12],
        PROCESSOR: shortcoming() or "pinned",
    }


def fingerprint() -> dict[str, str]:
    """What decides results of this process, in words: what it has loaded, the user's own code as it is now, and whether
    the disk still has what was loaded."""
    return {**loaded(), OWN: own_code_sha256()[:12], DISK: SAME if _found() == loaded() else NEWER}


def ability() -> str:
    """The name by which a worker tells the scheduler what it has loaded, and by which tasks ask for just that."""
    return f"lockstep-{_hash_of(loaded())[:32]}"


def _hash_of(mapping: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps(mapping, sort_keys=True).encode()).hexdigest()
