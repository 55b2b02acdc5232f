"""Which of the files that DVC and git keep for this repository are cut or altered, so that one of its readers fails.

A kill or a full disk cuts a file at any byte. What is left may be no YAML, YAML that DVC's schema refuses, or a sound
file that says less. The last commit tells: what is the beginning of its version, and no more, was cut; or somebody
removed the lines behind.
"""

import re
from pathlib import Path
from typing import NamedTuple

from lockstep.kernel.environment import VERSIONS
from lockstep.kernel.errors import IntegrityError, SettingsError
from lockstep.kernel.lock_file import LOCK_FILE, LockedStage, last_commits, parse_lock, read_lock, read_pointer
from lockstep.kernel.paths import CONTRACTS, PARAMS, PIPELINE
from lockstep.kernel.strict_yaml import read_yaml
from lockstep.repository import git
from lockstep.repository.dvc import form_error

SETTINGS = (PIPELINE, PARAMS, Path(VERSIONS.name))
POINTERS = "data/**/*.dvc"
_CONFLICT = re.compile(rb"^(<<<<<<<|>>>>>>>)", re.MULTILINE)


class Beginning(NamedTuple):
    """A file that is the beginning of the last commit's version.

    Attributes:
        size: of the file, in bytes.
        whole: size of the last commit's, in bytes.
        ends_with_line: whether the file is whole lines: somebody may have shortened it.
    """

    size: int
    whole: int
    ends_with_line: bool

    def __str__(self) -> str:
        return f"the first {self.size:,} of the {self.whole:,} bytes of the last commit's"


def has_markers(path: Path) -> bool:
    """Whether git left the markers of a conflict in a file."""
    return path.is_file() and _CONFLICT.search(path.read_bytes()) is not None


def check_dvc_file(path: Path) -> None:
    """Check that dvc.lock, dvc.yaml or a .dvc file has the form that this repository and DVC's own reader take.

    Raises:
        DataError: there is no dvc.lock.
        IntegrityError: it has not, which is damage; the message says what brings it back.
        SettingsError: the same of dvc.yaml, which a user writes.
    """
    kind = SettingsError if path == PIPELINE else IntegrityError
    if has_markers(path):
        raise kind(f"{path} has the conflict markers of a merge in it. Type 'python -m lockstep merge'.")
    if path == PIPELINE:
        try:
            read_yaml(path)
        except SettingsError as error:
            raise SettingsError(f"{error} Or: {last_commits(path)}.") from None
    elif path == LOCK_FILE:
        read_lock(path)
    else:
        read_pointer(path)
    if refusal := form_error(path):
        raise kind(f"{path} is not of the form that DVC reads: {refusal}. {last_commits(path)}.")


def form_fault(path: Path) -> str | None:
    """What check_dvc_file has to say; None if nothing, or there is no such file."""
    try:
        if path.exists():
            check_dvc_file(path)
    except (IntegrityError, SettingsError) as error:
        return str(error)
    return None


def committed_lock(commit: str = "HEAD") -> dict[str, LockedStage] | None:
    """The stages of the dvc.lock of a commit, or of a side of a conflict (see git.committed); None where that has no
    dvc.lock, or a damaged one."""
    if (data := git.committed(LOCK_FILE, commit)) is None:
        return None
    try:
        return parse_lock(data, f"{commit}:{LOCK_FILE}", "")
    except IntegrityError:
        return None


def beginnings() -> dict[Path, Beginning]:
    """The files of settings, pointers and dvc.lock that are the beginning of the last commit's version, by path."""
    places = [str(LOCK_FILE), *map(str, SETTINGS), f":(glob){CONTRACTS}/*.yaml", f":(glob){POINTERS}"]
    changed = git.run("diff", "--name-only", "--relative", "-z", "HEAD", "--", *places).stdout.split("\0")
    found = {path: _beginning(path) for path in map(Path, filter(None, changed)) if path.is_file()}
    return {path: beginning for path, beginning in found.items() if beginning is not None}


def _beginning(path: Path) -> Beginning | None:
    here, there = path.read_bytes(), git.committed(path)
    if there is None or len(here) >= len(there) or not there.startswith(here):
        return None
    return Beginning(len(here), len(there), here.endswith(b"\n") or (here != b"" and there[len(here) :][:1] == b"\n"))
