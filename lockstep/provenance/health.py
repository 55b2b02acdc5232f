"""What is wrong with a repository that DVC does not say, or cannot put right, and what corrects it.

Whether the bytes of data and models are right is the business of ``verifying``.
"""

import configparser
import contextlib
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from lockstep.kernel.dvc_locks import (
    RWLOCKS,
    TEMPORARY,
    WORKSPACE_LOCK,
    UnreadableError,
    is_locked,
    read_rwlock,
    running_dvcs,
)
from lockstep.kernel.errors import DataError, IntegrityError, MachineError, SettingsError, plural, some
from lockstep.kernel.files import is_alive, leftovers
from lockstep.kernel.lock_file import LOCK_FILE, outputs, pointers, read_lock, read_pointers
from lockstep.kernel.locks import GRACE, RUN_LOCK, run_holder
from lockstep.kernel.paths import PARAMS, PIPELINE
from lockstep.kernel.settings import Problem, Settings, read_problems
from lockstep.provenance.damage import beginnings, committed_lock, form_fault, has_markers
from lockstep.repository import git
from lockstep.repository.cache import cache_folder, half_written, object_path
from lockstep.repository.dvc import damaged_runs, form_error
from lockstep.repository.dvc_config import (
    broken_config,
    config_files,
    correct,
    dvc_options,
    typed,
    weaknesses,
)
from lockstep.repository.experiments import remove_references, unfinished_references

CONFIG = Path(".dvc/config")
WRITTEN = ("data", "models", "metrics", "reports", "logs")
"""The folders in which runs write."""
FREE_BYTES = 1_000_000_000
"""With less than this much space on the disk, a run is likely to stop in the middle."""


class RawTable(Settings, frozen=True):
    """Of the section ``load``, what names the table."""

    path: str


class HealthIssue(NamedTuple):
    """Something that is not as it should be.

    Attributes:
        what: a sentence.
        remedy: what corrects it, in words: what ``fix`` does, or what the user has to.
        fix: does it; None where the user has to. Raises OSError or LockstepError.
        is_note: a remark only: nothing is wrong.
    """

    what: str
    remedy: str
    fix: Callable[[], object] | None = None
    is_note: bool = False


def find_issues() -> Iterator[HealthIssue]:
    """Find all that is wrong, the worst first."""
    if somebody_runs():
        yield HealthIssue(
            "a run is going on: what killed ones leave behind was not looked for.",
            "look for it, type this again when the run has ended",
            is_note=True,
        )
    else:
        yield from _left_by_killed_runs()
    yield from _killed_experiment()
    yield from _git_locks()
    yield from _against_commit()
    yield from _untracked_tables()
    yield from _config()
    yield from _cache()
    yield from _machine()


def find_leftovers() -> Iterator[HealthIssue]:
    """Find what killed runs leave behind; nothing while a run is going on."""
    if not somebody_runs():
        yield from _left_by_killed_runs()


def _left_by_killed_runs() -> Iterator[HealthIssue]:
    yield from _rwlocks()
    yield from _temporary_files()
    yield from _cut_files()
    yield from _damaged_runs()


def somebody_runs() -> bool:
    """Whether a command of DVC's or a stage is at work here.

    One of the two holds its lock, but while a stage starts: then the rwlock file names a process that is alive.
    A stage whose DVC was killed is about to end, and is waited for.
    """
    if is_locked(WORKSPACE_LOCK) or (is_locked(RUN_LOCK) and not _orphan_ends()):
        return True
    try:
        return any(not _is_another(pid, command) for pid, command in running_dvcs().items())
    except UnreadableError:  # look at the processes themselves
        return _works_here("dvc")


def _orphan_ends() -> bool:
    """Wait until the stage that holds the lock has ended, if its DVC was killed (locks.die_with); whether it has."""
    deadline = time.monotonic() + GRACE
    while (found := run_holder()) is not None and found["dvc"] is not None and not is_alive(found["dvc"]):
        if not is_locked(RUN_LOCK):
            return True
        if time.monotonic() >= deadline:
            break
        time.sleep(0.02)
    return False


def _works_here(program: str) -> bool:
    """Whether a process of ``program`` has its current folder here or below."""
    import psutil  # type: ignore[import-untyped]

    here = Path.cwd().resolve()
    for process in psutil.process_iter(["name", "cmdline", "cwd"]):
        names = {process.info["name"], *(Path(word).name for word in (process.info["cmdline"] or [])[:4])}
        folder = process.info["cwd"]
        if program in names and folder is not None and Path(folder).is_relative_to(here):
            return True
    return False


def _rwlocks() -> Iterator[HealthIssue]:
    remedy = f"remove it (no run is going on; a copy stays in {TEMPORARY})"
    for path in filter(Path.exists, RWLOCKS):
        try:
            lost = {use.pid for use in read_rwlock(path) if _is_another(use.pid, use.command)}
        except UnreadableError:
            what = (
                f"{path}, where DVC writes down who uses which file, is unreadable: DVC was killed while it wrote it, "
                "and refuses every command until it is gone."
            )
            yield HealthIssue(what, remedy, partial(_set_aside, path))
        else:
            if lost:
                what = f"{path} says that files are in use by process {some(sorted(lost))}, which is no longer DVC."
                yield HealthIssue(what, remedy, partial(_set_aside, path))


def _is_another(pid: int, command: str) -> bool:
    """Whether ``pid`` exists but is not the DVC that wrote the entry; one that has ended, DVC itself sorts out."""
    import psutil

    try:
        process = psutil.Process(pid)
        if not is_alive(pid):  # nobody has asked how it ended: to DVC it lives on
            return True
        words = command.split()
        return bool(words) and not any(words[0] in word for word in process.cmdline())
    except psutil.Error:
        return False


def _temporary_files() -> Iterator[HealthIssue]:
    found = []
    for root in WRITTEN:
        for folder in (Path(root), *(path for path in Path(root).rglob("*") if path.is_dir())):
            found += [*leftovers(folder), *half_written(folder)]
    cache = cache_folder()
    if cache.is_dir():
        for folder in (cache, *(path for path in cache.rglob("*") if path.is_dir())):
            found += half_written(folder)
    if found:
        size = sum(path.stat().st_size for path in found)
        yield HealthIssue(
            f"{len(found)} half-written files of killed runs, {size / 1e6:,.1f} MB: {some(found)}.",
            "remove them",
            partial(_remove, found),
        )


def _remove(paths: list[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _cut_files() -> Iterator[HealthIssue]:
    """What DVC wrote, and was killed at, is replaced by the last commit's; what a user may have written is named."""
    cut = beginnings()
    for path in (LOCK_FILE, *pointers()):
        if has_markers(path):  # of the user's merge
            continue
        fault, part = form_fault(path), cut.get(path)
        # A .dvc file may be the user's edit, as long as DVC takes it.
        damaged = fault if path == LOCK_FILE else fault and (part or form_error(path))
        if damaged:
            yield _restored(path, f"{path} is not whole: {fault}")
        elif fault:
            yield HealthIssue(fault, f"correct it there, or: git checkout HEAD -- {path}")
        elif part and (path == LOCK_FILE or not part.ends_with_line):
            yield _restored(path, f"{path} was cut: it is {part}.")
        else:
            continue
        cut.pop(path, None)
    for path, part in cut.items():
        back = f"bring the last commit's back: git checkout HEAD -- {path}"
        if part.ends_with_line:
            what = f"{path} is {part}: it was cut, unless somebody removed the lines behind."
            yield HealthIssue(what, f"look: git diff {path}; to {back}", is_note=True)
        else:
            yield HealthIssue(f"{path} was cut: it is {part}.", back)


def _damaged_runs() -> Iterator[HealthIssue]:
    if runs := damaged_runs(cache_folder()):
        yield HealthIssue(
            f"{len(runs)} entries of DVC's run cache were cut or altered: {some(runs)}. DVC stumbles over them, or "
            "restores wrong outputs.",
            "remove them; the stages run once more where their results are wanted",
            partial(_remove_runs, runs),
        )


def _remove_runs(paths: list[Path]) -> None:
    """Remove entries of the run cache, and folders that have none."""
    _remove([path for path in paths if not path.is_dir()])
    for folder in {path if path.is_dir() else path.parent for path in paths}:
        if not any(folder.iterdir()):
            folder.rmdir()


def _restored(path: Path, what: str) -> HealthIssue:
    """A file that DVC writes, which can be as the last commit has it, or anew."""
    if _is_sound_in_commit(path):
        after = "; 'dvc repro' then adds what was run since, from its cache" if path == LOCK_FILE else ""
        remedy = f"bring the last commit's back (git checkout HEAD -- {path}){after}"
    elif path == LOCK_FILE:
        remedy = "remove it, since no commit has a sound one; the next 'dvc repro' writes it anew, from its cache"
    else:  # of a table that was just added
        return HealthIssue(what, f"have DVC write it anew: rm {path} && dvc add {path.with_suffix('')}")
    return HealthIssue(what, f"{remedy}; a copy stays in {TEMPORARY}", partial(_restore, path))


def _restore(path: Path) -> None:
    """Set a broken file aside, and bring the last commit's back, if that is sound."""
    _set_aside(path)
    if _is_sound_in_commit(path):
        git.output("checkout", "HEAD", "--", str(path))


def _is_sound_in_commit(path: Path) -> bool:
    return committed_lock() is not None if path == LOCK_FILE else git.committed(path) is not None


def _set_aside(path: Path) -> None:
    """Move a broken file to .dvc/tmp, which nothing tracks."""
    if somebody_runs():
        raise MachineError("a run has begun in the meantime. Wait until it ends")
    TEMPORARY.mkdir(parents=True, exist_ok=True)
    path.rename(TEMPORARY / f"{path.name}.{time.strftime('%Y%m%d-%H%M%S')}.{os.getpid()}.broken")


def _against_commit() -> Iterator[HealthIssue]:
    for path in (LOCK_FILE, PIPELINE):
        if has_markers(path):
            yield HealthIssue(
                f"{path} has the conflict markers of a merge in it.", "settle it: python -m lockstep merge"
            )
    if form_fault(LOCK_FILE) is None and LOCK_FILE not in beginnings():
        now = read_lock(LOCK_FILE) if LOCK_FILE.exists() else {}
        missing = [name for name in committed_lock() or () if name not in now]
        if missing:
            what = "lacks" if LOCK_FILE.exists() else "is gone, and with it"
            yield HealthIssue(
                f"{LOCK_FILE} {what} {len(missing)} of the stages that the last commit has: {some(missing)}. It may "
                "have been cut. 'dvc gc' would delete their results.",
                "run 'dvc repro', which completes it, before anything else (nothing to do if you removed the problem)",
            )
    if not has_markers(PIPELINE) and (fault := form_fault(PIPELINE)):
        yield HealthIssue(fault, f"correct it there, or: git checkout HEAD -- {PIPELINE}")


def _killed_experiment() -> Iterator[HealthIssue]:
    """``dvc exp run`` works on a detached HEAD, and takes back what it set up when it ends; not if it is killed."""
    left = unfinished_references()
    if not left or somebody_runs():
        return
    detached = git.run("symbolic-ref", "--quiet", "HEAD").returncode != 0
    branch = _branch_before() if detached else None
    stash = " Edits that are missing may be in 'git stash list'." if git.run("stash", "list").stdout else ""
    edited = "Your edits are kept; the experiment's settings are still in params.yaml ('git diff params.yaml')."
    if detached and branch is None:
        yield HealthIssue(
            f"a killed 'dvc exp run' has left the repository on no branch. {edited}{stash}",
            "go back to your branch: git symbolic-ref HEAD refs/heads/BRANCH && git reset",
        )
        return
    where = f"on no branch (it was '{branch}')" if branch else "with references that it uses while it runs"
    back = f"git symbolic-ref HEAD refs/heads/{branch} && git reset"
    remedy = f"put HEAD back on '{branch}', without touching a file ({back}), "
    yield HealthIssue(
        f"a killed 'dvc exp run' has left the repository {where}. {edited}{stash}",
        f"{remedy if branch else ''}remove {', '.join(left)}",
        partial(_end_experiment, branch, left),
    )


def _branch_before() -> str | None:
    """The branch that HEAD was on before DVC detached it: by its log, else the only one at this commit."""
    log = git.run("log", "-g", "-1", "--format=%gs", "HEAD").stdout
    at_head = git.run("for-each-ref", "--points-at=HEAD", "--format=%(refname:short)", "refs/heads")
    match, branches = re.match(r"checkout: moving from (\S+) to", log), at_head.stdout.split()
    if match and match[1] in branches:
        return match[1]
    return branches[0] if len(branches) == 1 else None


def _end_experiment(branch: str | None, references: list[str]) -> None:
    if branch:
        git.output("symbolic-ref", "-m", "doctor: back on the branch", "HEAD", f"refs/heads/{branch}")
    git.output("reset", "--quiet")
    remove_references(references)


def _git_locks() -> Iterator[HealthIssue]:
    folder = Path(git.run("rev-parse", "--git-dir").stdout.strip() or ".git")
    locks = [path for name in ("index.lock", "HEAD.lock") if (path := folder / name).exists()]
    if locks and not somebody_runs() and not _works_here("git"):
        yield HealthIssue(
            f"{some(locks)} is left of a killed git or DVC; git refuses to commit until it is gone.",
            "remove it",
            partial(_remove, locks),
        )


def _untracked_tables() -> Iterator[HealthIssue]:
    """Raw tables that neither DVC nor git tracks: a run takes them as they are, and nobody else can get them."""
    with contextlib.suppress(SettingsError):
        problems = read_problems(PARAMS)
        paths = dict.fromkeys(Problem(PARAMS, name, problems).pick("load", RawTable).path for name in problems)
        tracked = set(git.tracked_files())
        for path in paths:
            pointer = Path(f"{path}.dvc")
            if not Path(path).exists() or pointer.exists() or path in tracked:
                continue
            is_committed = git.committed(pointer) is not None
            yield HealthIssue(
                f"{path} is tracked by neither DVC nor git{', since its .dvc file is gone' if is_committed else ''}: "
                "nobody else can get it, or tell which one it was.",
                f"bring that back: git checkout HEAD -- {pointer}" if is_committed else f"track it: dvc add {path}",
                partial(git.output, "checkout", "HEAD", "--", str(pointer)) if is_committed else None,
            )


def _config() -> Iterator[HealthIssue]:
    if broken := broken_config():
        path, reason = broken
        own = path == CONFIG
        yield HealthIssue(
            f"{path} is not valid: {reason}",
            f"bring the last commit's back (git checkout HEAD -- {path}); a copy stays in {TEMPORARY}"
            if own
            else "correct it, or remove it and set it up again",
            partial(_restore, path) if own else None,
        )
        return
    if CONFIG.exists() and (gone := _gone_since_commit(CONFIG)):
        yield HealthIssue(
            f"{CONFIG} lacks what the last commit's has: {some(gone)}. It may have been cut.",
            f"look: git diff {CONFIG}; to bring it back: git checkout HEAD -- {CONFIG}",
        )
    for weakness in weaknesses():
        remedy = f"correct it: {typed(weakness.commands)}"
        yield HealthIssue(f"{weakness.what}.", remedy, partial(correct, weakness))
    hard, level = dvc_options().get(("core", "hardlink_lock"), ("false", ""))
    if hard.lower() == "true":
        yield HealthIssue(
            f"{config_files()[level]}: core.hardlink_lock is set: a killed DVC then leaves its lock, and stages do not "
            "see it.",
            f"unset it, if this file system can lock files: dvc config --{level} --unset core.hardlink_lock",
        )


def _gone_since_commit(path: Path) -> list[str]:
    """The options of the last commit's configuration that it has no more."""
    now = _options(path.read_text(encoding="utf-8"))
    return sorted(_options((git.committed(path) or b"").decode("utf-8", "replace")) - now)


def _options(text: str) -> set[str]:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.read_string(text)
    return {f"{section}: {option}".replace("'", "") for section in parser.sections() for option in parser[section]}


def _cache() -> Iterator[HealthIssue]:
    """DVC itself looks only at the mode: it takes a writable file in its cache for one that may have been changed."""
    try:
        recorded = [out for out, _ in outputs(read_lock(LOCK_FILE).values()).values()] + read_pointers()
    except (DataError, IntegrityError):
        return
    folder, writable = cache_folder(), []
    for file in recorded:
        path = object_path(folder, file)
        if path.is_file() and path.stat().st_mode & 0o222:
            writable.append(f"{path} ({file.path})")
    if writable:
        yield HealthIssue(
            f"DVC's cache has {plural(len(writable), 'writable file')}, which may have been changed: {some(writable)}.",
            "look at their bytes: python -m lockstep verify; if it finds something: python -m lockstep repair",
        )


def _machine() -> Iterator[HealthIssue]:
    free = shutil.disk_usage(".").free
    if free < FREE_BYTES:
        yield HealthIssue(
            f"the disk has {free / 1e6:,.0f} MB of free space left.",
            "make room: 'dvc gc --all-commits', after 'dvc push', removes results that no commit has",
        )
    beside = Path(sys.executable).parent
    for program in ("python", "dvc"):
        found = shutil.which(program)
        if found is None or Path(found).parent != beside:
            yield HealthIssue(
                f"'{program}' is {found or 'not found'}, but this runs from {beside}: stages would use that.",
                "activate the environment: source .venv/bin/activate",
            )
    if Path(sys.prefix).resolve() != Path(".venv").resolve():
        yield HealthIssue(f"the environment is {sys.prefix}, not .venv.", "have 'make venv' make it", is_note=True)
    hooks = git.run("rev-parse", "--git-path", "hooks").stdout.strip()
    if hooks and not Path(hooks, "pre-commit").exists():
        yield HealthIssue("no check runs before a commit.", "have them run: pre-commit install", is_note=True)
