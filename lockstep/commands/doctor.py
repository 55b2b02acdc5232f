"""``python -m lockstep doctor``: what is wrong with this repository that DVC does not say, or cannot mend.

Without a flag it only looks. ``--fix`` says what it will do, then does it; a file that it replaces is kept in .dvc/tmp.
``--leftovers`` looks for, and mends, only what killed runs leave behind that stands in the way of the next one: 'make
repro' does that first. Whether the bytes of data and models are right is the business of 'python -m lockstep verify'.

Exit code: 0 nothing is wrong, or all of it was mended; 1 something is wrong.
"""

import argparse
import configparser
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from lockstep.kernel.errors import DataError, IntegrityError, LockstepError, MachineError, some
from lockstep.kernel.files import is_alive, leftovers
from lockstep.kernel.lock_file import LOCK, outputs, read_lock, read_pointers
from lockstep.kernel.locks import BOOKS, DVC_LOCK, TEMPORARY, editing, is_locked, orphan_ends, running
from lockstep.kernel.locks import LOCK as RUN_LOCK
from lockstep.repository.tracked import broken_config, config_files, dvc_options, typed, weaknesses

CONFIG = Path(".dvc/config")
WRITTEN = ("data", "models", "metrics", "reports", "logs")
"""The folders in which runs write."""
FREE_BYTES = 1_000_000_000
"""With less than this much space on the disk, a run is likely to stop in the middle."""
_DVC_TEMPORARY = re.compile(r".*\.[A-Za-z0-9_-]{22}\.tmp")
_EXECUTION = "refs/exps/exec"
_CONFLICT = re.compile(rb"^(<<<<<<<|=======|>>>>>>>)", re.MULTILINE)


class Finding(NamedTuple):
    """Something that is not as it should be.

    Attributes:
        what: a sentence.
        remedy: what mends it, in words: what --fix will do, or what the user has to.
        mend: does it; None where the user has to.
        note: a remark only: nothing is wrong.
    """

    what: str
    remedy: str
    mend: Callable[[], object] | None = None
    note: bool = False


def main(argv: Sequence[str] | None = None) -> int:
    """Print the findings, and mend them if asked to."""
    parser = argparse.ArgumentParser(
        prog="python -m lockstep doctor", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fix", action="store_true", help="say what will be done, and do it")
    parser.add_argument("--leftovers", action="store_true", help="only what killed runs leave behind")
    args = parser.parse_args(argv)
    if not Path(".dvc").is_dir():
        raise MachineError("there is no .dvc here. Run it from the repository's root.")
    found = list(findings_of_killed_runs() if args.leftovers else findings())
    wrong = [finding for finding in found if not finding.note]
    for finding in found:
        print(f"{'note' if finding.note else 'WRONG':<5}  {finding.what}")
        print(f"       {'will' if args.fix and finding.mend else 'to'} {finding.remedy}")
    mendable = [finding for finding in wrong if finding.mend]
    if args.fix:
        mended = sum(_mended(finding) for finding in mendable)
        if mendable:
            print(f"Mended: {mended} of {len(wrong)}.")
        return 0 if mended == len(wrong) else 1
    if wrong:
        hint = " Type 'python -m lockstep doctor --fix' to mend what can be." if mendable else ""
        print(f"Wrong: {len(wrong)}.{hint}")
    elif not args.leftovers:
        print("Nothing is wrong.")
    return 1 if wrong else 0


def _mended(finding: Finding) -> bool:
    assert finding.mend is not None
    try:
        finding.mend()
    except (OSError, subprocess.CalledProcessError, LockstepError) as error:
        reason = (getattr(error, "stderr", "") or str(error)).strip()
        print(f"ERROR could not {finding.remedy}: {reason}", file=sys.stderr)
        return False
    return True


def findings() -> Iterator[Finding]:
    """All that there is to find, the worst first."""
    if somebody_runs():
        yield Finding(
            "a run is going on: what killed ones leave behind was not looked for.",
            "look for it, type this again when the run has ended",
            note=True,
        )
    else:
        yield from _left_by_killed_runs()
    yield from _killed_experiment()
    yield from _git_locks()
    yield from _lock_against_commit()
    yield from _config()
    yield from _cache()
    yield from _machine()


def findings_of_killed_runs() -> Iterator[Finding]:
    """What killed runs leave behind; nothing while a run is going on."""
    if not somebody_runs():
        yield from _left_by_killed_runs()


def _left_by_killed_runs() -> Iterator[Finding]:
    yield from _books()
    yield from _temporary_files()
    yield from _cut_lock()


def somebody_runs() -> bool:
    """Whether a command of DVC's or a stage is at work here.

    One of the two holds its lock, but while a stage starts: then DVC's book has an entry of a process that is alive.
    A stage whose DVC was killed is about to end, and is waited for.
    """
    if is_locked(DVC_LOCK) or (is_locked(RUN_LOCK) and not orphan_ends()):
        return True
    try:
        return any(not _is_another(pid, command) for pid, command in running().items())
    except MachineError:  # unreadable: look at the processes themselves
        return _works_here("dvc")


def _works_here(program: str) -> bool:
    """Whether a process of ``program`` has its current folder here or below."""
    import psutil  # type: ignore[import-untyped]

    here = Path.cwd().resolve()
    for process in psutil.process_iter(["name", "cmdline", "cwd"]):
        names = {process.info["name"], *(Path(word).name for word in (process.info["cmdline"] or [])[:3])}
        folder = process.info["cwd"]
        if program in names and folder is not None and Path(folder).is_relative_to(here):
            return True
    return False


def _books() -> Iterator[Finding]:
    for book in BOOKS:
        try:
            with editing(book):
                content = json.loads(book.read_text(encoding="utf-8"))
            entries = [*content.get("write", {}).items()]
            entries += [(path, entry) for path, found in content.get("read", {}).items() for entry in found]
            lost = {int(entry["pid"]) for _, entry in entries if _is_another(int(entry["pid"]), str(entry["cmd"]))}
        except FileNotFoundError:
            continue
        except (ValueError, AttributeError, TypeError, KeyError):
            yield Finding(
                f"{book}, where DVC writes down who uses which file, is unreadable: DVC was killed while it wrote it, "
                "and refuses every command until it is gone.",
                f"remove it (no run is going on; a copy stays in {TEMPORARY})",
                partial(_set_aside, book),
            )
        else:
            if lost:
                yield Finding(
                    f"{book} says that files are in use by process {some(sorted(lost))}, which is no longer DVC.",
                    f"remove it (no run is going on; a copy stays in {TEMPORARY})",
                    partial(_set_aside, book),
                )


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


def _temporary_files() -> Iterator[Finding]:
    found = []
    for root in WRITTEN:
        for folder in (Path(root), *(path for path in Path(root).rglob("*") if path.is_dir())):
            found += [*leftovers(folder), *_dvc_temporary(folder)]
    cache = cache_folder()
    if cache.is_dir():
        for folder in (cache, *(path for path in cache.rglob("*") if path.is_dir())):
            found += _dvc_temporary(folder)
    if found:
        size = sum(path.stat().st_size for path in found)
        yield Finding(
            f"{len(found)} half-written files of killed runs, {size / 1e6:,.1f} MB: {some(list(map(str, found)))}.",
            "remove them",
            partial(_remove, found),
        )


def _remove(paths: list[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _dvc_temporary(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.glob("*.tmp")) if path.is_file() and _DVC_TEMPORARY.fullmatch(path.name)]


def cache_folder() -> Path:
    """DVC's cache of files, by its configuration: cache.dir is relative to the file that sets it."""
    folder, level = (None, "") if broken_config() else dvc_options().get(("cache", "dir"), (None, ""))
    cache = config_files()[level].parent / Path(folder).expanduser() if folder else Path(".dvc/cache")
    return cache / "files/md5"


def _cut_lock() -> Iterator[Finding]:
    """A dvc.lock that DVC was writing when it was killed; not one with conflict markers, which is the user's merge."""
    if (reason := _broken_lock()) and not _CONFLICT.search(LOCK.read_bytes()):
        yield _broken_lock_finding(f"{LOCK} is not whole: {reason}")


def _broken_lock() -> str | None:
    try:
        read_lock(LOCK)
    except IntegrityError as error:
        return str(error)
    except DataError:  # absent: nothing was run yet
        return None
    return None


def _broken_lock_finding(what: str) -> Finding:
    if _git("cat-file", "-e", f"HEAD:{LOCK}", check=False).returncode == 0:
        remedy = f"bring the last commit's back (git checkout HEAD -- {LOCK}); 'dvc repro' then adds what was run since"
    else:
        remedy = "remove it, since no commit has one; the next 'dvc repro' writes it anew"
    return Finding(what, f"{remedy}, from its cache; a copy stays in {TEMPORARY}", _restore_lock)


def _restore_lock() -> None:
    _set_aside(LOCK)
    if _git("cat-file", "-e", f"HEAD:{LOCK}", check=False).returncode == 0:
        _git("checkout", "HEAD", "--", str(LOCK))


def _set_aside(path: Path) -> None:
    """Move a broken file to .dvc/tmp, which nothing tracks."""
    if somebody_runs():
        raise MachineError("a run has begun in the meantime. Wait until it ends")
    TEMPORARY.mkdir(parents=True, exist_ok=True)
    path.rename(TEMPORARY / f"{path.name}.{time.strftime('%Y%m%d-%H%M%S')}.{os.getpid()}.broken")


def _lock_against_commit() -> Iterator[Finding]:
    if _broken_lock() is not None:
        if _CONFLICT.search(LOCK.read_bytes()):
            yield _broken_lock_finding(f"{LOCK} has the conflict markers of a merge in it.")
        return
    committed = _git("show", f"HEAD:{LOCK}", check=False)
    if committed.returncode:
        return
    from lockstep.kernel.lock_file import parse_lock

    before = parse_lock(committed.stdout.encode(), f"HEAD:{LOCK}", "Look at the last commits")
    now = read_lock(LOCK) if LOCK.exists() else {}
    missing = [name for name in before if name not in now]
    if missing:
        what = "lacks" if LOCK.exists() else "is gone, and with it"
        yield Finding(
            f"{LOCK} {what} {len(missing)} of the stages that the last commit has: {some(missing)}. It may have been "
            "cut. 'dvc gc' would delete their results.",
            "run 'dvc repro', which completes it, before anything else (nothing to do if you removed the problem)",
        )


def _killed_experiment() -> Iterator[Finding]:
    """``dvc exp run`` works on a detached HEAD, and takes back what it set up when it ends; not if it is killed."""
    listed = _git("for-each-ref", "--format=%(refname)", _EXECUTION, check=False).stdout.split()
    left = [ref for ref in listed if ref.rpartition("/")[2] in ("EXEC_BASELINE", "EXEC_MERGE", "EXEC_BRANCH")]
    if not left or somebody_runs():
        return
    detached = _git("symbolic-ref", "--quiet", "HEAD", check=False).returncode != 0
    branch = _branch_before() if detached else None
    stash = " Edits that are missing may be in 'git stash list'." if _git("stash", "list", check=False).stdout else ""
    edited = "Your edits are kept; the experiment's settings are still in params.yaml ('git diff params.yaml')."
    if detached and branch is None:
        yield Finding(
            f"a killed 'dvc exp run' has left the repository on no branch. {edited}{stash}",
            "go back to your branch: git symbolic-ref HEAD refs/heads/BRANCH && git reset",
        )
        return
    where = f"on no branch (it was '{branch}')" if branch else "with references that it uses while it runs"
    back = f"git symbolic-ref HEAD refs/heads/{branch} && git reset"
    remedy = f"put HEAD back on '{branch}', without touching a file ({back}), "
    yield Finding(
        f"a killed 'dvc exp run' has left the repository {where}. {edited}{stash}",
        f"{remedy if branch else ''}remove {', '.join(left)}",
        partial(_end_experiment, branch, left),
    )


def _branch_before() -> str | None:
    """The branch that HEAD was on before DVC detached it: by its log, else the only one at this commit."""
    log = _git("log", "-g", "-1", "--format=%gs", "HEAD", check=False).stdout
    at_head = _git("for-each-ref", "--points-at=HEAD", "--format=%(refname:short)", "refs/heads", check=False)
    match, branches = re.match(r"checkout: moving from (\S+) to", log), at_head.stdout.split()
    if match and match[1] in branches:
        return match[1]
    return branches[0] if len(branches) == 1 else None


def _end_experiment(branch: str | None, references: list[str]) -> None:
    if branch:
        _git("symbolic-ref", "-m", "doctor: back on the branch", "HEAD", f"refs/heads/{branch}")
    _git("reset", "--quiet")
    for reference in references:
        # By its name, not by what it refers to: EXEC_BRANCH refers to the experiment, which is to stay.
        _git("update-ref", "--no-deref", "-d", reference)


def _git_locks() -> Iterator[Finding]:
    folder = Path(_git("rev-parse", "--git-dir", check=False).stdout.strip() or ".git")
    locks = [path for name in ("index.lock", "HEAD.lock") if (path := folder / name).exists()]
    if locks and not somebody_runs() and not _works_here("git"):
        yield Finding(
            f"{some(list(map(str, locks)))} is left of a killed git or DVC; git refuses to commit until it is gone.",
            "remove it",
            partial(_remove, locks),
        )


def _config() -> Iterator[Finding]:
    if broken := broken_config():
        path, reason = broken
        own = path == CONFIG
        yield Finding(
            f"{path} is not valid: {reason}",
            f"bring the last commit's back (git checkout HEAD -- {path}); a copy stays in {TEMPORARY}"
            if own
            else "mend it, or remove it and set it up again",
            partial(_restore_config, path) if own else None,
        )
        return
    if CONFIG.exists() and (gone := _gone_since_commit(CONFIG)):
        yield Finding(
            f"{CONFIG} lacks what the last commit's has: {some(gone)}. It may have been cut.",
            f"look: git diff {CONFIG}; to bring it back: git checkout HEAD -- {CONFIG}",
        )
    for what, commands in weaknesses():
        yield Finding(f"{what}.", f"mend it: {typed(commands)}", partial(_run_all, commands))
    hard, level = dvc_options().get(("core", "hardlink_lock"), ("false", ""))
    if hard.lower() == "true":
        yield Finding(
            f"{config_files()[level]}: core.hardlink_lock is set: a killed DVC then leaves its lock, and stages do not "
            "see it.",
            f"unset it, if this file system can lock files: dvc config --{level} --unset core.hardlink_lock",
        )


def _gone_since_commit(path: Path) -> list[str]:
    """The options of the last commit's configuration that it has no more."""
    now = _options(path.read_text(encoding="utf-8"))
    return sorted(_options(_git("show", f"HEAD:{path}", check=False).stdout) - now)


def _options(text: str) -> set[str]:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.read_string(text)
    return {f"{section}: {option}".replace("'", "") for section in parser.sections() for option in parser[section]}


def _restore_config(path: Path) -> None:
    _set_aside(path)
    _git("checkout", "HEAD", "--", str(path))


def _run_all(commands: Sequence[Sequence[str]]) -> None:
    for program, *arguments in commands:
        _run(*([sys.executable, "-m", "dvc"] if program == "dvc" else [program]), *arguments, check=True)


def _cache() -> Iterator[Finding]:
    """DVC itself looks only at the mode: it takes a writable file in its cache for one that may have been changed."""
    try:
        recorded = [out for out, _ in outputs(read_lock(LOCK).values()).values()] + read_pointers()
    except (DataError, IntegrityError):
        return
    folder, writable = cache_folder(), []
    for file in recorded:
        assert file.md5 is not None
        path = folder / file.md5[:2] / file.md5[2:]
        if path.is_file() and path.stat().st_mode & 0o222:
            writable.append(f"{path} ({file.path})")
    if writable:
        yield Finding(
            f"{len(writable)} files in DVC's cache are writable, and may have been changed: {some(writable)}.",
            "look at their bytes: python -m lockstep verify, and --repair if it finds something",
        )


def _machine() -> Iterator[Finding]:
    free = shutil.disk_usage(".").free
    if free < FREE_BYTES:
        yield Finding(
            f"the disk has {free / 1e6:,.0f} MB of free space left.",
            "make room: 'dvc gc --all-commits', after 'dvc push', removes results that no commit has",
        )
    beside = Path(sys.executable).parent
    for program in ("python", "dvc"):
        found = shutil.which(program)
        if found is None or Path(found).parent != beside:
            yield Finding(
                f"'{program}' is {found or 'not found'}, but this runs from {beside}: stages would use that.",
                "activate the environment: source .venv/bin/activate",
            )
    if Path(sys.prefix).resolve() != Path(".venv").resolve():
        yield Finding(f"the environment is {sys.prefix}, not .venv.", "have 'make venv' make it", note=True)
    hooks = _git("rev-parse", "--git-path", "hooks", check=False).stdout.strip()
    if hooks and not Path(hooks, "pre-commit").exists():
        yield Finding("no check runs before a commit.", "have them run: pre-commit install", note=True)


def _git(*arguments: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
    return _run("git", *arguments, check=check)


def _run(*command: str, check: bool) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, capture_output=True, text=True, check=check)  # noqa: S603 - a list, no shell
