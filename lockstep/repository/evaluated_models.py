"""How many models a problem's test rows have evaluated, as far as git history and experiments know."""

import re
from pathlib import Path

from lockstep.repository.git import output_bytes

_DEPENDENCY = re.compile(rb"^    - path: (.+)\n(?:      .*\n)*?      md5: ([0-9a-f]{32})$", re.MULTILINE)


def evaluated_models(root: Path, lock: str, problem: str, test_md5: str, extra: bytes = b"") -> set[str]:
    """Find the MD5s of the distinct models that some dvc.lock says ``evaluate`` has scored on these test rows.

    All commits that a branch, tag, remote branch, stash or experiment (refs/exps) leads to are searched, each distinct
    dvc.lock once: 1,000 commits take about a second. Models that were tried and never committed, or whose commits are
    gone, cannot be counted: there were at least so many.

    Args:
        root: of the git repository.
        lock: the path of dvc.lock in it.
        problem: the problem's name.
        test_md5: of the test rows' file.
        extra: the content of one more dvc.lock: the workspace's.
    """
    commits = output_bytes("rev-list", "--all", "HEAD", root=root).split()
    asked = b"".join(commit + b":" + lock.encode() + b"\n" for commit in commits)
    answers = output_bytes("cat-file", "--batch-check=%(objectname) %(objecttype)", root=root, stdin=asked).splitlines()
    blobs = sorted({line.split()[0] for line in answers if line.endswith(b" blob")})
    contents = output_bytes("cat-file", "--batch", root=root, stdin=b"\n".join([*blobs, b""])) if blobs else b""
    # The blobs follow each other, each behind a header: a stage is found in all of them at once.
    found = set()
    for block in re.finditer(
        rb"^  evaluate@%s:\n((?:    .*\n)+)" % re.escape(problem.encode()), contents + extra, re.M
    ):
        reads = block[1].partition(b"\n    outs:\n")[0].partition(b"\n    params:\n")[0]
        files = {path: md5.decode() for path, md5 in _DEPENDENCY.findall(reads)}
        if any(path.endswith(b"/test.parquet") and md5 == test_md5 for path, md5 in files.items()):
            found |= {md5 for path, md5 in files.items() if path.endswith(b".joblib")}
    return found


def corrected(p: float, models: int) -> float:
    """Correct a p-value for the number of models that were evaluated on the same rows.

    If ``models`` equally good models are evaluated, each against the first, the chance that any of them looks as good
    as one with this p-value is at most (models - 1) p (Bonferroni's inequality: O. Dunn, JASA 56 (1961) 52-64). That
    supposes that what was tried next did not depend on the results so far; where it did, the rows are worth even less
    (C. Dwork et al., "The reusable holdout", Science 349 (2015) 636-638).
    """
    return min(1.0, p * max(1, models - 1))
