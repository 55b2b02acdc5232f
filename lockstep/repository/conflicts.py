"""What git stopped in: a merge, rebase, cherry-pick or revert, and the files in conflict."""

import posixpath
from pathlib import Path
from typing import NamedTuple

from lockstep.repository import git


class Operation(NamedTuple):
    """Something that git does step by step, and has stopped in.

    Attributes:
        name: as in ``git merge``.
        go_on: the command that goes on with it, once nothing is in conflict.
        ours: whose version ``git checkout --ours`` takes: that of HEAD, in a rebase not your own.
        theirs: the same for ``--theirs``.
    """

    name: str
    go_on: str
    ours: str
    theirs: str


_REBASE = Operation("rebase", "git rebase --continue", "the branch that you rebase onto", "your own commit")
_OPERATIONS = {
    "rebase-merge": _REBASE,  # first: git picks cherries for it
    "rebase-apply": _REBASE,
    "MERGE_HEAD": Operation("merge", "git commit", "your branch", "the branch that you merge"),
    "CHERRY_PICK_HEAD": Operation("cherry-pick", "git cherry-pick --continue", "your branch", "the commit you pick"),
    "REVERT_HEAD": Operation("revert", "git revert --continue", "your branch", "what was before the commit you revert"),
}
"""By the file in git's folder that is there as long as it lasts."""


def stopped_operation() -> Operation | None:
    """What git has stopped in; None if nothing, or what leaves no trace: ``git stash pop``, ``git merge --squash``."""
    for file, operation in _OPERATIONS.items():
        if Path(git.output("rev-parse", "--git-path", file).strip()).exists():
            return operation
    return None


def conflicts() -> list[Path]:
    """The files in conflict, of all of git's repository, by their paths from the current folder, sorted."""
    prefix = git.output("rev-parse", "--show-prefix").strip()
    listed = git.output("diff", "--name-only", "--no-relative", "--diff-filter=U", "-z").split("\0")
    return sorted({Path(posixpath.relpath(path, prefix or ".")) for path in listed if path})
