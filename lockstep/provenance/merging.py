"""Settles the conflicts of a merge, rebase or cherry-pick in what stages write: by writing it anew.

dvc.lock and the small results in git follow from settings, code and data. So their conflicts hold no decision, and
either side of them will do to begin with. All other files are somebody's decision, and never touched.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from lockstep.kernel.errors import MachineError
from lockstep.kernel.lock_file import LOCK_FILE, outputs, pointers
from lockstep.provenance.damage import SETTINGS, committed_lock, form_fault, has_markers
from lockstep.repository import git
from lockstep.repository.conflicts import conflicts
from lockstep.repository.dvc import Repository
from lockstep.repository.dvc_process import run_dvc

OURS, THEIRS = ":2", ":3"
"""The sides of a conflict in git's index; ":0" is where there is none."""


class Conflicts(NamedTuple):
    """The files in conflict, by their paths from the repository's root.

    Attributes:
        decisions: settings, code, pointers to data, documents: for a person to settle.
        generated: dvc.lock, and what some dvc.lock calls an output.
    """

    decisions: list[Path]
    generated: list[Path]


def find_conflicts() -> Conflicts:
    """Find the files that git has in conflict, and those of settings that still have its markers, added or not."""
    locks = [committed_lock(commit) or {} for commit in ("HEAD", ":0", OURS, THEIRS)]
    written = {LOCK_FILE, *(Path(path) for lock in locks for path in outputs(lock.values()))} - set(SETTINGS)
    marked = [path for path in (LOCK_FILE, *SETTINGS, *pointers()) if has_markers(path)]
    found = sorted({*conflicts(), *marked})
    return Conflicts([path for path in found if path not in written], [path for path in found if path in written])


def is_on_both_sides(path: Path) -> bool:
    """Whether both sides of a conflict have the file; else one of them deleted it."""
    return all(git.committed(path, side) is not None for side in (OURS, THEIRS))


def rebuild_merged(check: Callable[[], object]) -> None:
    """Build what the merged settings say, and tell git that it is the result.

    In git's index the files stay in conflict until all is built, so that it can be called again whenever it failed.

    Args:
        check: called before anything runs; raises if the settings are not sound.

    Raises:
        MachineError: ``dvc repro`` failed.
    """
    if has_markers(LOCK_FILE) or form_fault(LOCK_FILE):
        _begin_with_ours(LOCK_FILE)
    check()
    with Repository() as repo:
        written = sorted(map(Path, repo.uncached))
    for path in filter(has_markers, written):
        _begin_with_ours(path)
    done = run_dvc(["repro"], show="output", interruptible=True)
    if done.code:
        raise MachineError(
            f"'dvc repro' failed: {done.reason}. The files are still in conflict, and nothing is lost. Correct that, "
            "then type 'python -m lockstep merge' again."
        )
    git.output("add", "--", str(LOCK_FILE), *(str(path) for path in written if path.exists()))


def _begin_with_ours(path: Path) -> None:
    """Replace a file that has markers by HEAD's version, and one without such a version by none."""
    data = git.committed(path)
    if data is None or (path == LOCK_FILE and committed_lock() is None):
        path.unlink()
    else:
        path.write_bytes(data)
