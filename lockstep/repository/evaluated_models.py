"""How many models a problem's test rows have evaluated, as far as git history and experiments know."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from lockstep.repository import git

_FILE = re.compile(rb"^    - path: (.+)\n(?:      .*\n)*?      md5: ([0-9a-f]{32})$", re.MULTILINE)


class RecordedLock(NamedTuple):
    """A dvc.lock as git has it: its content, and the commits that have it, newest first."""

    content: bytes
    commits: tuple[str, ...]


def recorded_locks(root: Path, lock: str) -> list[RecordedLock]:
    """Find each distinct dvc.lock of the commits that a branch, tag, remote branch, stash or experiment leads to,
    newest first; 1,000 commits take about a second.

    Args:
        root: of the git repository.
        lock: the path of dvc.lock in it.
    """
    commits = git.output("rev-list", "--all", "HEAD", root=root).split()
    asked = "".join(f"{commit}:{lock}\n" for commit in commits)
    answers = git.output("cat-file", "--batch-check=%(objectname) %(objecttype)", root=root, stdin=asked).splitlines()
    having: dict[str, list[str]] = {}
    for commit, answer in zip(commits, answers, strict=True):
        if answer.endswith(" blob"):
            having.setdefault(answer.split()[0], []).append(commit)
    contents = git.contents(having, root)
    return [RecordedLock(contents[blob], tuple(found)) for blob, found in having.items()]


class StageFiles(NamedTuple):
    """The MD5s of the files that a stage read, and of those that it wrote, by path."""

    deps: dict[str, str]
    outs: dict[str, str]


def stage_files(lock: bytes, stage: str) -> StageFiles | None:
    """Find what a dvc.lock records of a stage's files, without parsing the rest of it; None where it has no such
    stage."""
    block = re.search(rb"^  %s:\n((?:    .*\n|\n)+)" % re.escape(stage.encode()), lock, re.MULTILINE)
    if block is None:
        return None
    reads, _, writes = block[1].partition(b"\n    outs:\n")
    return StageFiles(_files(reads.partition(b"\n    params:\n")[0]), _files(writes))


def _files(entries: bytes) -> dict[str, str]:
    return {path.decode("utf-8", "replace"): md5.decode() for path, md5 in _FILE.findall(entries)}


def lock_of(lock: bytes, problem: str) -> bytes:
    """Cut a dvc.lock to the stages of a problem: parsing it takes as long as it is. One without them stays whole."""
    blocks = re.findall(rb"^  [\w-]+@%s:\n(?:    .*\n|\n)+" % re.escape(problem.encode()), lock, re.MULTILINE)
    return b"".join([b"schema: '2.0'\nstages:\n", *blocks]) if blocks else lock


def evaluated_models(root: Path, lock: str, problem: str, test_md5: str, extra: bytes = b"") -> set[str]:
    """Find the MD5s of the distinct models that some dvc.lock says ``evaluate`` has scored on these test rows.

    All that ``recorded_locks`` finds are searched. Models that were tried and never committed, or whose commits are
    gone, cannot be counted: there were at least so many.

    Args:
        root: of the git repository.
        lock: the path of dvc.lock in it.
        problem: the problem's name.
        test_md5: of the test rows' file.
        extra: the content of one more dvc.lock: the workspace's.
    """
    return evaluated_in([extra, *(lock.content for lock in recorded_locks(root, lock))], problem, test_md5)


def evaluated_in(locks: Iterable[bytes], problem: str, test_md5: str) -> set[str]:
    """The same of these contents of dvc.lock."""
    found = set()
    for lock in locks:
        evaluated = stage_files(lock, f"evaluate@{problem}")
        deps = evaluated.deps if evaluated else {}
        if any(path.endswith("/test.parquet") and md5 == test_md5 for path, md5 in deps.items()):
            found |= {md5 for path, md5 in deps.items() if path.endswith(".joblib")}
    return found


def corrected(p: float, models: int) -> float:
    """Correct a p-value for the number of models that were evaluated on the same rows.

    If ``models`` equally good models are evaluated, each against the first, the chance that any of them looks as good
    as one with this p-value is at most (models - 1) p (Bonferroni's inequality: O. Dunn, JASA 56 (1961) 52-64). That
    supposes that what was tried next did not depend on the results so far; where it did, the rows are worth even less
    (C. Dwork et al., "The reusable holdout", Science 349 (2015) 636-638).
    """
    return min(1.0, p * max(1, models - 1))
