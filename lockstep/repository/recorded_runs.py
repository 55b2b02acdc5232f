"""What dvc.lock records, made known to DVC's run cache.

DVC restores what a stage made, instead of running it, from its run cache, which knows the runs that were made or
restored here. What a clone got otherwise it does not know: outputs that ``dvc pull`` brought; the metrics of ``tune``
and ``cross_validate``, which are in git. Going back to earlier settings would make all of that again. But a commit's
dvc.lock says of each stage what went in and what came out, and git has the outputs that the cache lacks.

What DVC writes there, and where (``StageCache`` in its stage/cache.py), is written here without it: a stage that checks
settings would take a second to import DVC, and its writer of YAML half a minute for twenty commits.
"""

import contextlib
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lockstep.kernel.errors import IntegrityError
from lockstep.kernel.files import temporary_beside
from lockstep.kernel.lock_file import LOCK_FILE, LockedFile, LockedStage, md5_of_bytes, parse_lock
from lockstep.repository import git
from lockstep.repository.cache import cache_folder, object_path

COMMITS = 20
"""So many commits that changed dvc.lock are looked at, the last ones: each costs a tenth of a second, once."""


def remember_runs() -> None:
    """Make the runs that the last commits record known to DVC's run cache, where it does not know them.

    Outputs that the cache lacks and git has, as metrics, are put into the cache too: DVC restores a run only if the
    cache has all of its outputs. A folder that is no DVC repository, as where a stage is run by hand, has none.
    """
    if not Path(".dvc").is_dir():
        return
    log = git.run("log", f"-{COMMITS}", "--format=%H", "--", str(LOCK_FILE)).stdout.split()
    if not log:
        return
    cache = cache_folder()
    runs = cache.parents[1] / "runs"
    notes = runs.with_name("runs.commits")
    known = notes.read_text(encoding="ascii").split() if notes.exists() and runs.exists() else []
    new = [commit for commit in log if commit not in known]
    locks = git.contents(f"{commit}:./{LOCK_FILE}" for commit in new)
    for commit in new:
        with contextlib.suppress(IntegrityError):  # an old one with the marks of a merge is nobody's concern now
            stages = parse_lock(locks.get(f"{commit}:./{LOCK_FILE}", b""), commit, "").values()
            outs = [out for stage in stages if _remember(stage, runs) for out in stage.outs]
            _keep_committed(commit, outs, cache)
    if new:
        notes.parent.mkdir(parents=True, exist_ok=True)
        with notes.open("a", encoding="ascii") as file:
            file.write("".join(f"{commit}\n" for commit in new))


def _remember(stage: LockedStage, runs: Path) -> bool:
    """Write a run into the run cache, unless that knows one of the same inputs; whether it was written."""
    entry: dict[str, Any] = {"cmd": stage.cmd, "deps": _entries(stage.deps), "params": stage.params}
    entry = {key: value for key, value in entry.items() if value} | {"outs": _entries(stage.outs)}
    key = _hash(entry | {"outs": [out.path for out in stage.outs]})
    folder = runs / key[:2] / key
    if any(folder.glob("*")):
        return False
    # JSON is YAML, except for numbers that are none, with which a run is made anew.
    with contextlib.suppress(ValueError):
        _put(folder / _hash(entry), json.dumps(entry, ensure_ascii=False, allow_nan=False).encode(), 0o644)
    return True


def _entries(files: Iterable[LockedFile]) -> list[dict[str, Any]]:
    """Files as DVC writes them."""
    return [{"path": file.path, "hash": "md5", "md5": file.md5, "size": file.size} for file in files]


def _hash(entry: dict[str, Any]) -> str:
    text = json.dumps(_without_sizes(entry), sort_keys=True)
    return hashlib.sha256(text.encode(), usedforsecurity=False).hexdigest()


def _without_sizes(content: Any) -> Any:
    """As DVC leaves out the sizes of files before it hashes an entry, and settings of that name with them."""
    if isinstance(content, dict):
        return {key: _without_sizes(value) for key, value in content.items() if key not in ("size", "nfiles")}
    return [_without_sizes(value) for value in content] if isinstance(content, list) else content


def _keep_committed(commit: str, outs: Iterable[LockedFile], cache: Path) -> None:
    """Put outputs that the cache lacks into it, where a commit has the recorded bytes."""
    lacking = {f"{commit}:./{out.path}": out for out in outs if not object_path(cache, out).exists()}
    for name, content in git.contents(lacking).items():
        if md5_of_bytes(content) == lacking[name].md5:
            # DVC takes an object that can be written to for one that was.
            _put(object_path(cache, lacking[name]), content, 0o444)


def _put(path: Path, content: bytes, mode: int) -> None:
    """Put a file into the cache, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_beside(path)
    temporary.write_bytes(content)
    temporary.chmod(mode)
    temporary.replace(path)
