"""DVC's experiments, as it keeps them in git: ``refs/exps/<two digits>/<rest of the commit>/<name>``.

While ``dvc exp run`` is at work in the workspace, it has references of its own in ``refs/exps/exec``, and HEAD is
detached; if it is killed, both stay so.
"""

from pathlib import Path

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


def names_of_commits(root: Path) -> dict[str, list[str]]:
    """What the branches, remote branches, tags and experiments of a git repository call the commits that they lead to:
    the names by commit, branches first, then tags, experiments, remote branches."""
    form = "%(refname) %(refname:lstrip=2) %(objectname) %(*objectname)"  # a signed tag leads to its commit
    kinds = ("refs/heads", "refs/tags", "refs/exps", "refs/remotes")
    names: dict[str, list[str]] = {}
    for kind in kinds:
        for line in git.output("for-each-ref", f"--format={form}", kind, root=root).splitlines():
            reference, name, *commits = line.split()
            if kind == "refs/exps":
                parts = reference.split("/", 4)
                if len(parts) < 5 or len(parts[2]) != 2:  # of DVC's own
                    continue
                name = parts[4]
            # A tag of the registry for a stage is no name of a model: the stage may have another one by now.
            elif (kind == "refs/remotes" and name.endswith("/HEAD")) or (kind == "refs/tags" and "#" in name):
                continue
            names.setdefault(commits[-1], []).append(name)
    return names


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
