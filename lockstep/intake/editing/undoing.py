"""What changes several files changes all of them, or none."""

import contextlib
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from lockstep.kernel.errors import MachineError
from lockstep.repository import git
from lockstep.repository.dvc_process import run_dvc


@contextlib.contextmanager
def undone_on_error(
    changed: Iterable[Path], *, created: Iterable[Path] = (), moved: Mapping[Path, Path] | None = None
) -> Iterator[None]:
    """If the block fails, everything is as it was.

    Args:
        changed: the files that the block writes, those of them that there are.
        created: those that are not there before.
        moved: files and folders, each with where it is moved to when the block has ended.
    """
    saved = {file: file.read_bytes() for file in changed if file.exists()}
    done: list[tuple[Path, Path]] = []
    try:
        yield
        for source, place in (moved or {}).items():
            place.parent.mkdir(parents=True, exist_ok=True)
            source.rename(place)
            done.append((source, place))
    except BaseException:
        for source, place in reversed(done):
            place.rename(source)
        for path in created:
            path.unlink(missing_ok=True)
        for file, content in saved.items():
            file.write_bytes(content)
        raise


@contextlib.contextmanager
def hidden_folder(what: str) -> Iterator[Path]:
    """A folder that is gone when the block ends: hidden from git and DVC by its name, and in this one, so that moving
    copies nothing."""
    with tempfile.TemporaryDirectory(prefix=f".{what}.", suffix=".tmp", dir=Path()) as folder:
        yield Path(folder)


def as_committed(paths: Iterable[Path]) -> set[Path]:
    """The files at or below ``paths`` that are as the last commit has them."""
    names = list(map(str, paths))

    def listed(*arguments: str) -> set[Path]:
        done = git.run(*arguments, "--", *names)  # it fails where nothing is committed
        return {Path(name) for name in done.stdout.split("\0") if name}

    differing = listed("diff", "--name-only", "-z", "--relative", "HEAD")
    return listed("ls-tree", "-r", "-z", "--name-only", "HEAD") - differing


def dvc_add(path: Path) -> None:
    """Have DVC track a file as it is now. Raises MachineError if DVC fails."""
    done = run_dvc(["add", "--quiet", str(path)])
    if done.code:
        raise MachineError(f"'dvc add {path}' failed: {done.reason}")
