"""Runs git: the one module that does."""

import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from lockstep.kernel.errors import MachineError

Done = subprocess.CompletedProcess[str]
_HERE = Path()


def run(*arguments: str, root: Path = _HERE, stdin: str | None = None, env: Mapping[str, str] | None = None) -> Done:
    """Run git in the folder ``root``; the caller looks at the exit code.

    Raises:
        MachineError: there is no git.
    """
    data = None if stdin is None else stdin.encode()
    done = _run(arguments, root, data, env)
    stdout, stderr = (text.decode("utf-8", "replace") for text in (done.stdout, done.stderr))
    return subprocess.CompletedProcess(done.args, done.returncode, stdout, stderr)


def output(*arguments: str, root: Path = _HERE, stdin: str | None = None, env: Mapping[str, str] | None = None) -> str:
    """Run git and return what it prints. Raises MachineError if it fails."""
    done = run(*arguments, root=root, stdin=stdin, env=env)
    if done.returncode:
        raise _failure(arguments, root, reason(done))
    return done.stdout


def output_bytes(*arguments: str, root: Path = _HERE, stdin: bytes = b"") -> bytes:
    """Run git and return what it prints, as bytes. Raises MachineError if it fails."""
    done = _run(arguments, root, stdin, None)
    if done.returncode:
        raise _failure(arguments, root, _reason(done.stderr.decode("utf-8", "replace")))
    return done.stdout


def reason(done: Done) -> str:
    """Why git failed: its fatal error, else the last line that it said."""
    return _reason(done.stderr)


def tracked_files(root: Path = _HERE) -> list[str]:
    """The files in git's index; none where there is no git repository."""
    return [name for name in run("ls-files", "-z", root=root).stdout.split("\0") if name]


def committed(path: Path | str, commit: str = "HEAD") -> bytes | None:
    """A file as a commit has it, or, for ``:2`` and ``:3``, as one side of a conflict does; None if that has none.

    Args:
        path: from the current folder, which need not be git's root.
        commit: a commit, branch or tag; or a stage of the index.
    """
    done = _run(("cat-file", "blob", f"{commit}:./{Path(path).as_posix()}"), _HERE, None, None)
    return None if done.returncode else done.stdout


def contents(names: Iterable[str], root: Path = _HERE) -> dict[str, bytes]:
    """The contents of the blobs that git has under these names, in one call: each a hash, or ``COMMIT:./path``."""
    asked = list(dict.fromkeys(names))
    # Each comes behind a line with its hash, type and size, or is a line that says what is wrong with its name.
    data = output_bytes("cat-file", "--batch", root=root, stdin="\n".join([*asked, ""]).encode()) if asked else b""
    found, start = {}, 0
    for name in asked:
        end = data.index(b"\n", start)
        head, start = data[start:end].split(), end + 1
        if head[-2:-1] == [b"blob"]:
            size = int(head[-1])
            found[name], start = data[start : start + size], start + size + 1
    return found


def _run(
    arguments: tuple[str, ...], root: Path, stdin: bytes | None, env: Mapping[str, str] | None
) -> "subprocess.CompletedProcess[bytes]":
    try:
        return subprocess.run(  # noqa: S603 - a list, no shell
            ["git", "-C", str(root), *arguments],  # noqa: S607 - the user's git
            input=stdin,
            env=env,
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        raise MachineError("there is no git on this machine. Install it.") from None


def _reason(said: str) -> str:
    lines = said.strip().splitlines() or ["no message"]
    fatal = [line.removeprefix("fatal: ") for line in lines if line.startswith("fatal: ")]
    return (fatal or [lines[-1].removeprefix("error: ")])[0].rstrip(".")


def _failure(arguments: tuple[str, ...], root: Path, why: str) -> MachineError:
    command = next((word for word in arguments if not word.startswith("-")), "")
    return MachineError(f"'git {command}' fails in {root.resolve()}: {why}. 'git status' and 'git fsck' say more.")
