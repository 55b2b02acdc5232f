"""What the main of every stage does: arguments, settings, the run's lock, logging, and turning errors into a message
and an exit code. What its body may do: two things at a time."""

import argparse
import contextlib
import gc
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import lockstep.kernel.start  # noqa: F401 - for a script that does not begin with it
from lockstep.kernel.dvc_locks import workspace_locked
from lockstep.kernel.environment import check_environment
from lockstep.kernel.errors import IntegrityError, LockstepError, MachineError, lack_of_memory, some
from lockstep.kernel.files import Outputs
from lockstep.kernel.lock_file import LOCK_FILE, md5_of, read_lock, recorded_files
from lockstep.kernel.locks import changed_modules, exclusive_run, is_run_by_dvc
from lockstep.kernel.log import logger, logging_to, peak_memory_mib
from lockstep.kernel.paths import LOGS, PARAMS
from lockstep.kernel.portable import shortcoming
from lockstep.kernel.run_progress import note_start
from lockstep.kernel.settings import Problem, check_problem_name
from lockstep.kernel.used_code import is_record, parse_record

T = TypeVar("T")
_inputs: dict[Path, tuple[tuple[int, ...] | None, str]] = {}
"""What check_inputs has let pass, its state then, and its MD5."""


def stage_parser(stage: str, description: str | None) -> argparse.ArgumentParser:
    """The argument parser of a stage, with the two arguments that all stages share."""
    parser = argparse.ArgumentParser(
        prog=f"python -m stages.{stage}", description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--problem", required=True, metavar="NAME", help="the problem's name in params.yaml")
    parser.add_argument("--params", type=Path, default=PARAMS, metavar="FILE", help="default: %(default)s")
    return parser


def add_used_code(parser: argparse.ArgumentParser, *folders: str) -> None:
    """Let a stage take what ``check`` has recorded of the user's own code in these folders, which it may run: by DVC's
    orders it runs no other."""
    for folder in folders:
        what = f"the files of {folder}/ that it may run, as check records them (default: any)"
        parser.add_argument(f"--{folder}", type=Path, metavar="JSON", help=what)


Body = Callable[[Problem, argparse.Namespace, Outputs], None]
"""What a stage does: it reads, computes, and writes through the Outputs, which appear when it has ended."""


def run_stage(stage: str, args: argparse.Namespace, body: Body) -> int:
    """Run a stage's ``body`` on the problem that ``args`` names; log to stderr and to logs/<stage>@<problem>.log.

    Returns:
        The exit code: 0, or that of the LockstepError, whose message goes to stderr without a traceback. An OSError and
        a lack of memory are the machine's fault, code 4. Any other exception is a defect of ours and keeps its
        traceback.
    """
    start = time.perf_counter()
    if not gc.isenabled():  # see start.py
        gc.freeze()
        gc.enable()
    try:
        check_problem_name(args.problem, "--problem")
        name = f"{stage}@{args.problem}"
        with contextlib.ExitStack() as ending, logging_to(LOGS / f"{name}.log", name), exclusive_run(name):
            if progress := note_start(name):
                logger.info("%s", progress)
            if why := shortcoming():
                logger.warning("the last bits of results may be others than on other machines: %s", why)
            try:
                with workspace_locked():
                    problem = Problem(args.params, args.problem)
                check_inputs(*(path for path in vars(args).values() if isinstance(path, Path)))
                with Outputs(check=lambda: _check_unchanged(problem, ending)) as outputs:
                    body(problem, args, outputs)
            except Exception as error:
                if (short := lack_of_memory(error)) is not None:
                    logger.error("No output was written: %s%s", short, _way_back())
                elif isinstance(error, LockstepError):
                    logger.error("%s%s", error, _way_back())
                    return error.exit_code
                elif isinstance(error, OSError):
                    logger.error(
                        "%s. No output was written. Correct that (space, permission), then run it again.", error
                    )
                else:
                    raise
                return MachineError.exit_code
            logger.info("done in %.1f s, peak memory %.0f MiB", time.perf_counter() - start, peak_memory_mib())
            return 0
    except LockstepError as error:
        print(f"ERROR {stage}: {error}", file=sys.stderr)
        return error.exit_code
    except Exception as error:
        if (short := lack_of_memory(error)) is not None:
            print(f"ERROR {stage}: {short}", file=sys.stderr)
        elif isinstance(error, OSError):
            print(f"ERROR {stage}: {error}. Make '{LOGS}/' and '.dvc/tmp/' writable.", file=sys.stderr)
        else:
            raise
        return MachineError.exit_code


def _way_back() -> str:
    """What takes back the settings of an experiment that fails in the workspace; "" for any other run.

    DVC tells the stages of an experiment its name, and where the repository is: with --temp, somewhere else.
    """
    root = os.environ.get("DVC_ROOT")
    if "DVC_EXP_NAME" not in os.environ or root is None or Path(root).resolve() != Path.cwd().resolve():
        return ""
    return (
        " params.yaml keeps the experiment's settings: 'git checkout params.yaml && dvc checkout' takes them back, "
        "with every other change in it that is not committed."
    )


@contextlib.contextmanager
def beside(function: Callable[[], T]) -> Iterator[Callable[[], T]]:
    """Call ``function`` in a thread of its own while the block runs, which ends when both have ended: hashing, reading
    and writing wait for the disk, and let go of Python's lock.

    What the block gets waits for what the function gives. If both raise, the function's error is told: it looks at
    what the block reads, or writes what the block was to follow.
    """
    from concurrent.futures import ThreadPoolExecutor  # here: most stages do one thing after another

    with ThreadPoolExecutor(1) as thread:
        called = thread.submit(function)
        try:
            yield called.result
        finally:
            called.result()


def check_inputs(*paths: Path) -> None:
    """Refuse files whose bytes are not those that the stage before has written, or that a .dvc file names.

    DVC has just said that they are; but it goes by size and time, and hands out what lies in its cache unseen. A stage
    that is run by hand takes what it is given. The arguments of a stage pass here before it begins (of its outputs
    there are none then, since DVC removes them); what it finds in another way, in folders or by its settings, when it
    reads it.
    """
    if not is_run_by_dvc():
        return
    recorded = recorded_files(read_lock() if LOCK_FILE.exists() else {})
    for path in filter(Path.is_file, paths):
        state, md5 = _state(path), md5_of(path)
        _inputs[path] = state, md5
        file, owner = recorded.get(path.as_posix(), (None, None))
        if file is not None and md5 != file.md5:
            raise IntegrityError(
                f"{path} has MD5 {md5}, but {owner} records {file.md5}: it was altered, here or in DVC's cache. "
                "Nothing was computed from it. Type 'python -m lockstep repair'."
            )
        if is_record(path.as_posix()):
            _check_used_code(path)


def input_md5(path: Path) -> str:
    """The MD5 of an input, which is not computed again if check_inputs has let it pass."""
    _, md5 = _inputs.get(path, (None, ""))
    return md5 or md5_of(path)


def _check_used_code(record: Path) -> None:
    """Refuse files of the user's own code that are not those of the record, which is what DVC goes by."""
    for name, md5 in parse_record(record.read_bytes(), str(record)).items():
        path = Path(name)
        state, found = _state(path), md5_of(path) if path.is_file() else ""
        _inputs[path] = state, found
        if found != md5:
            raise MachineError(
                f"{path} changed since the stage check looked at it. Nothing was computed from it. Run 'dvc repro' "
                "again, without --single-item."
            )


def _state(path: Path) -> tuple[int, ...] | None:
    """What changes when a file is written or replaced, if only by the same bytes, as 'dvc exp run' beside this does."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def _check_unchanged(problem: Problem, ending: contextlib.ExitStack) -> None:
    """Refuse outputs whose settings, code, inputs or recorded versions have changed since they were read.

    DVC writes down at the end what a stage was made from: it would take the new ones for those that were used. Until
    the stage ends, no command of DVC's can change anything either: its lock is held.
    """
    ending.enter_context(workspace_locked())
    altered = [
        str(path)
        for path, (state, md5) in _inputs.items()
        if _state(path) != state and not (path.is_file() and md5_of(path) == md5)
    ]
    changed = [*problem.changed(), *changed_modules(), *altered]
    if changed:
        raise MachineError(
            f"{some(changed)} changed while this ran. No output was written, since it would be recorded as made with "
            "the change. Run it again."
        )
    check_environment()  # again, since 'make lock' may have recorded other versions than those that were used
