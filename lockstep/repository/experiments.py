"""DVC's experiments, as it keeps them in git: ``refs/exps/<two digits>/<rest of the commit>/<name>``.

While ``dvc exp run`` is at work in the workspace, it has references of its own in ``refs/exps/exec``, and HEAD is
detached; if it is killed, both stay so.
"""

from lockstep.kernel.dvc_locks import EXPERIMENTS
from lockstep.repository import git

_OF_A_RUN = ("EXEC_BASELINE", "EXEC_MERGE", "EXEC_BRANCH")
"""Those that a run removes when it ends."""


def _references(commit: str) -> str:
    return f"refs/exps/{commit[:2]}/{commit[2:]}"


def experiments_of(commit: str) -> dict[str, str]:
    """The experiments that were made from a commit: the commit of each by its name."""
    listed = git.output("for-each-ref", "--format=%(refname:lstrip=4) %(objectname)", _references(commit))
    return dict(line.split() for line in listed.splitlines())


def read_experiment(commit: str, name: str, path: str) -> str:
    """A file that git tracks, by its path from the current folder, in an experiment that was made from a commit."""
    return git.output("show", f"{_references(commit)}/{name}:./{path}")


def unfinished_references() -> list[str]:
    """The references of a run that has not ended; if none is going on, it was killed."""
    listed = git.run("for-each-ref", "--format=%(refname)", EXPERIMENTS).stdout.split()
    return [reference for reference in listed if reference.rpartition("/")[2] in _OF_A_RUN]


def remove_references(references: list[str]) -> None:
    """Remove references by their names, not what they refer to: EXEC_BRANCH refers to the experiment itself."""
    for reference in references:
        git.output("update-ref", "--no-deref", "-d", reference)
