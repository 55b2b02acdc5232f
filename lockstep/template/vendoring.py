"""Makes a repository of one's own with git, and brings later versions of Lockstep to it as commits to merge.

Lockstep's files are written as commits that hold them and what the owner began with, each upon the one before it. The
first of them is the repository's first commit. So a merge of the next one sees what Lockstep changed and what the owner
did, and nothing else; Lockstep's own history is not needed.
"""

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from lockstep.kernel.errors import MachineError, SettingsError
from lockstep.kernel.paths import ROOT
from lockstep.repository import git
from lockstep.template.own_tree import File, Tree, first_tree, is_own, lockstep_tree

BRANCH = "lockstep"
"""Where ``bring`` puts the commit to merge."""
_SUBJECT = re.compile(r"Lockstep ([0-9a-f]{40,64})")
"""The subject of the commits that hold a version of Lockstep: its commit there."""


class Version(NamedTuple):
    """A commit of Lockstep's, with its files."""

    commit: str
    files: Tree


class Brought(NamedTuple):
    """What ``bring`` found: the version that the repository had, the one that it brought, how many files differ."""

    before: str
    after: str
    n_changed: int


def make(folder: Path) -> Version:
    """Make a git repository in ``folder``, from the last commit of this one; all or nothing.

    Raises:
        SettingsError: something is in the folder, or it is inside this repository; or this is no clone, or one without
            a commit.
        MachineError: git does not know in whose name to commit.
    """
    folder = folder.resolve()
    if folder.is_relative_to(ROOT):
        raise SettingsError(f"{folder} is inside this repository. Give a path outside it, such as ../{folder.name}.")
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise SettingsError(f"{folder} exists, and is no empty folder. Give the path of a new one.")
    if not folder.name.isprintable():
        raise SettingsError(f"{folder.name!a} has characters that cannot be printed. Give another name.")
    version = read_version(ROOT, "HEAD")
    existed = folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        git.output("init", "--quiet", root=folder)
        branch = git.output("symbolic-ref", "HEAD", root=folder).strip()
        tree = lockstep_tree(version.files) | first_tree(folder.name, version.files)
        _commit(folder, branch, version.commit, None, tree, set())
        git.output("reset", "--quiet", "--hard", root=folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        if existed:
            folder.mkdir()
        raise
    return version


def bring(source: str, revision: str) -> Brought | None:
    """Write the version of Lockstep that ``source`` has at ``revision`` to the branch BRANCH of the repository in the
    current folder, to be merged. Nothing else is changed.

    Args:
        source: the path or the address of a repository of Lockstep's.

    Returns:
        None: the repository has that version already.

    Raises:
        SettingsError: the repository was not made by ``make``; the branch holds something else, or is the current one;
            the source has no such revision, or is not Lockstep.
        MachineError: git cannot read the source, or does not know in whose name to commit.
    """
    log = git.output("log", "--format=%H %s", "HEAD").splitlines()
    made = [(line.split(" ", 1)[0], match[1]) for line in log if (match := _SUBJECT.fullmatch(line.split(" ", 1)[1]))]
    if not made:
        raise SettingsError(
            "this repository was not made by 'python -m lockstep new': no commit holds a version of Lockstep. A clone "
            "has Lockstep's history, and merges it ('git pull ADDRESS main')."
        )
    _check_branch()
    parent, before = made[0]
    with _local(source) as root:
        version = read_version(root, revision)
    tree, there = lockstep_tree(version.files), read_version(Path(), parent).files
    gone = {path for path in there if path not in tree and not is_own(path)}
    changed = {path: file for path, file in tree.items() if there.get(path) != file}
    if not gone and not changed:
        return None
    _commit(Path(), f"refs/heads/{BRANCH}", version.commit, parent, changed, gone)
    return Brought(before, version.commit, len(gone) + len(changed))


def read_version(root: Path, revision: str) -> Version:
    """The files of a commit, those below ``root``. Raises SettingsError: there is no such commit."""
    done = git.run("rev-parse", "--quiet", "--verify", "--end-of-options", f"{revision}^{{commit}}", root=root)
    if done.returncode:
        why = f": {git.reason(done)}" if done.stderr.strip() else ""
        raise SettingsError(f"{root.resolve()} has no commit '{revision}'{why}. Clone Lockstep with git.")
    commit = done.stdout.strip()
    listed = git.output("ls-tree", "-r", "-z", commit, root=root).split("\0")
    entries = [(*line.split("\t")[0].split(), line.split("\t", 1)[1]) for line in listed if line]
    data = git.contents([blob for _, kind, blob, _ in entries if kind == "blob"], root=root)
    return Version(commit, {path: File(mode, data[blob]) for mode, kind, blob, path in entries if kind == "blob"})


def _check_branch() -> None:
    """Refuse to write to BRANCH what would lose commits, or pull the files from under whoever works on it."""
    if git.run("symbolic-ref", "--quiet", "--short", "HEAD").stdout.strip() == BRANCH:
        raise SettingsError(f"the branch '{BRANCH}' is checked out, and is to be written. 'git checkout' another one.")
    tip = git.run("log", "-1", "--format=%s", f"refs/heads/{BRANCH}", "--")
    if tip.returncode == 0 and not _SUBJECT.fullmatch(tip.stdout.strip()):
        raise SettingsError(f"the branch '{BRANCH}' has commits of yours. Rename it: 'git branch -m {BRANCH} mine'.")


@contextmanager
def _local(source: str) -> Iterator[Path]:
    """A folder in which git has what ``source`` has: that folder itself, or a clone for the time of the block."""
    if Path(source).is_dir():
        yield Path(source)
        return
    with tempfile.TemporaryDirectory(prefix="lockstep-") as folder:
        done = git.run("clone", "--quiet", "--bare", "--", source, folder)
        if done.returncode:
            raise MachineError(f"git cannot clone {source}: {git.reason(done)}. Give a path or an address that it can.")
        yield Path(folder)


def _commit(root: Path, branch: str, version: str, parent: str | None, files: Tree, gone: set[str]) -> None:
    """Write a commit upon ``parent`` with these ``files`` changed and those ``gone`` removed."""
    lines = [f"commit {branch}".encode()]
    for role in ("author", "committer"):
        done = git.run("var", f"GIT_{role.upper()}_IDENT", root=root)
        if done.returncode:
            raise MachineError(
                "git does not know in whose name to commit. Tell it: 'git config --global user.name \"Your Name\"' and "
                "'git config --global user.email you@example.org'."
            )
        lines.append(f"{role} {done.stdout.strip()}".encode())
    lines += _data(f"Lockstep {version}\n".encode())
    lines += [f"from {parent}".encode()] if parent else []
    lines += [f"D {_quoted(path)}".encode() for path in sorted(gone)]
    for path, file in sorted(files.items()):
        lines += [f"M {file.mode} inline {_quoted(path)}".encode(), *_data(file.data)]
    git.output_bytes("fast-import", "--quiet", "--force", root=root, stdin=b"\n".join([*lines, b""]))


def _data(content: bytes) -> list[bytes]:
    return [b"data %d" % len(content), content]


def _quoted(path: str) -> str:
    escaped = path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
