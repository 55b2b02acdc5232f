"""What dvc.lock records, made known to DVC's run cache.

DVC restores what a stage made, instead of running it, from its run cache, which knows the runs that were made or
restored here. What a clone got otherwise it does not know: outputs that ``dvc pull`` brought; the metrics of ``tune``
and ``cross_validate``, which are in git. Going back to earlier settings would make all of that again. But a commit's
dvc.lock says of each stage what went in and what came out, and git has the outputs that the cache lacks.
"""

import contextlib
from pathlib import Path

from lockstep.kernel.errors import IntegrityError
from lockstep.kernel.lock_file import LOCK_FILE, parse_lock
from lockstep.repository import git
from lockstep.repository.cache import cache_folder

COMMITS = 20
"""So many commits that changed dvc.lock are looked at, the last ones: each costs a tenth of a second, once."""


def remember_runs(commits: int = COMMITS) -> None:
    """Make the runs that the last commits record known to DVC's run cache, where it does not know them.

    A folder that is no DVC repository, as where a stage is run by hand, has none.
    """
    if not Path(".dvc").is_dir():
        return
    log = git.run("log", f"-{commits}", "--format=%H", "--", str(LOCK_FILE)).stdout.split()
    if not log:
        return
    runs = cache_folder().parents[1] / "runs"
    notes = runs.with_name("runs.commits")
    known = notes.read_text(encoding="ascii").split() if notes.exists() and runs.exists() else []
    new = [commit for commit in log if commit not in known]
    if not new:
        return
    from lockstep.repository.dvc import Repository  # takes a second to import

    with Repository() as repo:
        for commit in new:
            with contextlib.suppress(IntegrityError):  # an old one with the marks of a merge is nobody's concern now
                for stage in parse_lock(repo.read(commit, str(LOCK_FILE)) or b"", commit, "").values():
                    repo.remember_run(stage, commit)
    notes.parent.mkdir(parents=True, exist_ok=True)
    with notes.open("a", encoding="ascii") as file:
        file.write("".join(f"{commit}\n" for commit in new))
