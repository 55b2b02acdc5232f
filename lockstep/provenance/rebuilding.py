"""Rebuilds a commit from its raw data alone, in a temporary folder, and compares the result with its dvc.lock.

The clone has a cache of its own, so that no stage can be skipped or restored: only raw tables are taken along, each
checked against its hash.
"""

import re
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from lockstep.kernel.environment import VERSIONS, differences, read_versions
from lockstep.kernel.errors import DataError, LockstepError, MachineError, SettingsError, some
from lockstep.kernel.lock_file import LOCK_FILE, LockedFile, LockedStage, read_lock, read_pointers
from lockstep.kernel.log import logger
from lockstep.provenance.file_differences import differences_inside
from lockstep.provenance.rebuild_record import RebuildRecord, record_rebuild
from lockstep.repository import git
from lockstep.repository.cache import OBJECTS, is_intact, object_path
from lockstep.repository.dvc import Repository
from lockstep.repository.dvc_process import TIME_LIMIT, clone_environment, run_dvc
from lockstep.repository.revisions import WORKSPACE, Revision, read_revision, uncached_file

_SHOWN = 12
"""So many differences inside a file are shown."""


class RebuiltStage(NamedTuple):
    """What became of a stage.

    Attributes:
        outputs: how many it has.
        wrong: (what is recorded or None, what the rebuild gave or None) of each output that differs.
    """

    name: str
    outputs: int
    wrong: list[tuple[LockedFile | None, LockedFile | None]]
    seconds: float


class Rebuild(NamedTuple):
    """A commit that was rebuilt.

    Attributes:
        commit: as a message shows it.
        stages: in the order of the run.
        record: None where an output differs.
        explanation: lines about the first output that differs.
    """

    commit: str
    stages: list[RebuiltStage]
    record: RebuildRecord | None
    explanation: list[str]


def rebuild(revision: str | None, tell: Callable[[str], object] = logger.info) -> Rebuild:
    """Rebuild a commit.

    Args:
        revision: a commit, branch, tag or experiment; None for HEAD, which then must be what the workspace is.
        tell: called with the name of each stage that begins.

    Raises:
        SettingsError: no such revision, or changes that are not committed.
        DataError: it has no dvc.lock, or its raw data are nowhere.
        MachineError: its versions are not installed here.
        LockstepError: a stage of it fails.
    """
    with Repository() as repo:
        if revision is None:
            _check_committed(repo.root)
        chosen = read_revision(repo, revision or "HEAD")
        if chosen.commit is None:
            raise SettingsError(f"A rebuild is of a commit, not of '{WORKSPACE}'. Commit it, then leave the name out.")
        if not chosen.stages:
            raise DataError(
                f"{chosen.shown} has no dvc.lock, so there is nothing to compare with. Run 'dvc repro', then 'git add "
                "dvc.lock metrics' and 'git commit'."
            )
        with tempfile.TemporaryDirectory(prefix="lockstep-rebuild-") as name:
            folder = _clone(repo, chosen.commit, Path(name).resolve() / "clone")
            _check_versions(folder, chosen)
            raw = _take_raw_data(repo, folder, chosen)
            (folder / LOCK_FILE).unlink()
            seconds = _repro(folder, chosen, tell)
            rebuilt = read_lock(folder / LOCK_FILE)
            stages = compare_outputs(chosen.stages, rebuilt, seconds)
            different = [stage for stage in stages if stage.wrong]
            if different:
                return Rebuild(chosen.shown, stages, None, _explain(repo, chosen, folder, different[0]))
            outputs = [out.path for stage in rebuilt.values() for out in stage.outs]
            inputs = [file.path for file in raw] + [file for stage in rebuilt.values() for file in stage.params]
            record = record_rebuild(folder, chosen.commit, outputs, [*inputs, "dvc.yaml"], seconds)
            return Rebuild(chosen.shown, stages, record, [])


def _check_committed(root: Path) -> None:
    command = ("diff", "--name-only", "--relative", "-z", "HEAD")
    changed = [path for path in git.output(*command, root=root, env=clone_environment()).split("\0") if path]
    if changed:
        remedy = "git add dvc.lock metrics && git commit" if changed == ["dvc.lock"] else "git commit -a"
        raise SettingsError(
            f"Not committed: {some(changed)}. A rebuild is of a commit: commit first ('{remedy}'), or name one: "
            "'rebuild HEAD' rebuilds the last one as it is."
        )


def _clone(repo: Repository, commit: str, folder: Path) -> Path:
    """Clone the commit, with an empty cache; return the DVC repository in the clone."""
    top, env = repo.git_root, clone_environment()
    git.output("clone", "--quiet", "--shared", "--no-checkout", str(top), str(folder), root=top, env=env)
    git.output("checkout", "--quiet", "--detach", commit, root=folder, env=env)
    root = folder / repo.root.relative_to(top)
    # Where an experiment's or a user's settings would lead out of the clone: back in.
    own = f"[core]\n    site_cache_dir = {root / '.dvc/tmp/site'}\n[cache]\n    dir = {root / '.dvc/cache'}\n"
    (root / ".dvc/config.local").write_text(own, encoding="utf-8")
    return root


def _check_versions(folder: Path, revision: Revision) -> None:
    """Raise MachineError unless the versions that the commit records are installed here; older ones record none."""
    if not (folder / VERSIONS.name).exists():
        logger.warning("%s records no versions: the libraries that are here are used", revision.shown)
        return
    wrong = [
        f"{name} {wanted} (here {found})" for name, wanted, found in differences(read_versions(folder / VERSIONS.name))
    ]
    if wrong:
        raise MachineError(
            f"{revision.shown} was made with {', '.join(wrong)}. Rebuild it in its own environment: 'git worktree add "
            f"../rebuild {str(revision.commit)[:12]}', and there 'make venv' and 'python -m lockstep rebuild'."
        )


def _take_raw_data(repo: Repository, folder: Path, revision: Revision) -> list[LockedFile]:
    """Put the raw tables of the commit into the clone and its cache: from the cache or the workspace, else a remote."""
    files = read_pointers(folder)
    lacking = []
    for file in files:
        target = object_path(folder / ".dvc/cache" / OBJECTS, file)
        for source in (object_path(repo.cache, file), repo.root / file.path):
            if is_intact(source, file):
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
                target.chmod(0o444)
                shutil.copyfile(source, folder / file.path)
                break
        else:
            lacking.append(file)
    if lacking:
        repo.share_local_remotes(folder)
        pull = ["pull", "--quiet", *(f"{one.path}.dvc" for one in lacking)]
        done = run_dvc(pull, TIME_LIMIT, folder=folder, environment=clone_environment())
        if done.code or not all(is_intact(folder / file.path, file) for file in lacking):
            raise DataError(
                f"Raw data of {revision.shown} are neither in DVC's cache, nor here, nor in a remote: "
                f"{some([file.path for file in lacking])}. 'dvc fetch' them, or put the files there."
            )
    return files


def _repro(folder: Path, revision: Revision, tell: Callable[[str], object]) -> dict[str, float]:
    """Run everything in the clone; return the seconds that each stage took."""
    seconds: dict[str, float] = {}
    stage, start = "", time.perf_counter()

    def listen(line: str) -> None:
        nonlocal stage, start
        if found := re.match(r"Running stage '(.+)':", line):
            stage, start = found[1], time.perf_counter()
            tell(stage)
        elif stage and re.match(r"(Updating|Generating) lock file", line):
            seconds[stage] = round(time.perf_counter() - start, 3)

    done = run_dvc(["repro"], folder=folder, environment=clone_environment(), listener=listen)
    if done.code:
        raise LockstepError(f"{revision.shown} cannot be rebuilt: {stage or 'dvc repro'} failed. {done.reason}.")
    return seconds


def compare_outputs(
    recorded: Mapping[str, LockedStage], rebuilt: Mapping[str, LockedStage], seconds: Mapping[str, float]
) -> list[RebuiltStage]:
    """Compare the outputs of each rebuilt stage with those recorded, in the order of the run."""
    rows = []
    for name, stage in rebuilt.items():
        then = {out.path: out for out in recorded[name].outs} if name in recorded else {}
        now = {out.path: out for out in stage.outs}
        wrong = [
            (then.get(path), now.get(path))
            for path in sorted({*then, *now})
            if path not in then or path not in now or then[path].md5 != now[path].md5
        ]
        rows.append(RebuiltStage(name, len(then | now), wrong, seconds.get(name, 0.0)))
    return rows


def _explain(repo: Repository, revision: Revision, folder: Path, stage: RebuiltStage) -> list[str]:
    """Name the first output that differs, and what differs inside it where its recorded bytes are at hand."""
    then, now = stage.wrong[0]
    if now is None or then is None:
        lost = then is not None
        path = then.path if then is not None else now.path if now is not None else ""
        return [f"First difference: {stage.name}: {path} {'was not written' if lost else 'is not in dvc.lock'}"]
    here, there = (f"{one.size or 0:,} bytes with MD5 {one.md5}" for one in (now, then))
    lines = [f"First difference: {stage.name}: {now.path} has {here}; recorded are {there}"]
    with tempfile.TemporaryDirectory(prefix="lockstep-recorded-") as name:
        old = Path(name) / Path(then.path).name
        if not _recorded_bytes(repo, revision, then, old):
            return [*lines, "  (what was recorded is not in DVC's cache: 'dvc fetch' it to see what differs inside)"]
        # Both are known: one by dvc.lock, the other was just made by that commit's own code.
        found = [f"  {line}" for line in islice(differences_inside(old, folder / now.path), _SHOWN + 1)]
    return [*lines, *found[:_SHOWN], *(["  ..."] if len(found) > _SHOWN else [])]


def _recorded_bytes(repo: Repository, revision: Revision, file: LockedFile, path: Path) -> bool:
    """Put the recorded bytes of an output at ``path``; False where they are not at hand."""
    source = object_path(repo.cache, file)
    if is_intact(source, file):
        shutil.copyfile(source, path)
    elif (content := uncached_file(repo, revision, file)) is not None:
        path.write_bytes(content)
    return path.exists()
