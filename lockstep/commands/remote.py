"""``python -m lockstep remote push|pull [TARGET ...]``: DVC's push and pull, with an end and with a look at the cache.

DVC pushes what lies in its cache, also where a bit has flipped there, and delivers it again on ``pull``; and it waits
for a server that does not answer, without end. So the objects that this commit records are hashed first, and the
transfer ends after ``--time-limit`` seconds. What has arrived by then stays; the same command goes on from there.
"""

import argparse
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from lockstep.commands.verify import check_cache, read_recorded
from lockstep.kernel.errors import IntegrityError, MachineError, SettingsError, some
from lockstep.kernel.lock_file import read_lock
from lockstep.kernel.paths import ROOT
from lockstep.repository.tracked import check_dvc_config

TIME_LIMIT = 120.0
"""Seconds that a transfer may take unless it is told otherwise."""
GRACE = 5.0
"""Seconds that DVC has to end when it is asked to."""
_DVC = """
import sys
root, parent = sys.argv.pop(1), int(sys.argv.pop(1))
sys.path.insert(0, root)
from lockstep.kernel.locks import end_with
end_with(parent, parent)
from dvc.cli import main
sys.exit(main(sys.argv[1:]))
"""
"""DVC's command line, in a process that ends when the one that started it is killed: else it would go on, and hold
DVC's lock."""
AGAIN = "The same command again is safe: what has arrived is not sent twice."
_NOT_DELIVERED, _LOST = "Checkout failed for following targets", "failed to transfer"
"""What DVC says where the remote lacks an object, or has other bytes there and ``verify = true``; and where the server
was lost on the way."""


def main(argv: Sequence[str] | None = None) -> int:
    """Push or pull. Raises LockstepError."""
    parser = argparse.ArgumentParser(
        prog="python -m lockstep remote", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=["push", "pull"])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="files, .dvc files or stages (default: all)")
    parser.add_argument("-r", "--remote", metavar="NAME", help="the remote (default: the one that DVC has as default)")
    parser.add_argument(
        "--time-limit", type=_seconds, default=TIME_LIMIT, metavar="SECONDS", help="default: %(default)g"
    )
    args = parser.parse_args(argv)
    check_dvc_config()
    check_objects(args.action, args.remote)
    remote = ["--remote", args.remote] if args.remote else []
    transfer([args.action, *remote, "--", *args.targets], args.time_limit)
    return 0


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < threading.TIMEOUT_MAX:
        raise ValueError(text)
    return value


def check_objects(action: str, remote: str | None) -> None:
    """Look at the cache, and whether there is such a remote.

    Raises:
        SettingsError: there is no remote ``remote``, or None and nothing to push to.
        IntegrityError: an object in the cache that this commit records is not what its name says.
    """
    from lockstep.repository.revisions import open_repository

    lock = read_lock()
    with open_repository() as repo:
        names, default = sorted(repo.config["remote"]), repo.config["core"].get("remote")
        if remote not in (None, *names) or (remote is None and default is None and action == "push"):
            what = f"is no remote '{remote}'" if remote else "is no default remote"
            raise SettingsError(
                f"There {what}; there are: {', '.join(names) or 'none'}. Set one up: 'dvc remote add --default NAME "
                "URL', 'dvc remote modify NAME verify true' (docs/remotes.md)."
            )
        recorded = read_recorded(repo, lock, {stage.addressing for stage in repo.index.stages})
    corrupt = [finding for finding in check_cache(recorded.cached, recorded.cache) if finding.state == "corrupt"]
    if corrupt:
        what = some([f"{found.subject}{found.detail}" for found in corrupt])
        raise IntegrityError(
            f"DVC's cache is corrupt, and {action} would {'spread' if action == 'push' else 'deliver'} it: {what}. "
            "Nothing was transferred. Type 'python -m lockstep verify --repair', then this again."
        )


def transfer(arguments: Sequence[str], limit: float) -> None:
    """Push or pull, showing what DVC says; ``arguments`` and ``limit`` are those of run_dvc.

    Raises:
        IntegrityError: the remote lacks objects that are recorded, or has other bytes in their place.
        MachineError: DVC failed, or did not end in time.
    """
    action = arguments[0]
    code, lines = run_dvc(arguments, limit, show=True)
    if code == 0:
        return
    said = "\n".join(lines)
    if _NOT_DELIVERED in said and _LOST not in said:
        raise IntegrityError(
            "The remote lacks files that dvc.lock or a .dvc file records, or has other bytes in their place, which "
            "verify = true refuses: DVC names them above. None of them was delivered. Push them again from where they "
            "are whole, other bytes being removed from the remote first (docs/remotes.md), or build them: 'dvc repro'."
        )
    reason = next((line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR")), f"exit code {code}")
    raise MachineError(
        f"'dvc {action}' failed: {reason.rstrip('.')}. Look at the address ('dvc remote list'), the network and your "
        f"key (docs/remotes.md). {AGAIN}"
    )


def run_dvc(
    arguments: Sequence[str],
    limit: float,
    *,
    folder: Path = Path(),
    environment: Mapping[str, str] | None = None,
    show: bool = False,
) -> tuple[int, list[str]]:
    """Run ``dvc`` with these arguments, in a process group of its own, for at most ``limit`` seconds.

    Args:
        arguments: the first of them is the command: push, pull or fetch.
        limit: what arrives later than that does not arrive.
        folder: the repository.
        environment: the variables; None for those of this process.
        show: whether to show what DVC says, as it says it.

    Returns:
        Its exit code, and the lines that it wrote to stderr.

    Raises:
        MachineError: DVC did not end in time; then it and its children were ended.
    """
    lines: list[str] = []
    process = subprocess.Popen(  # noqa: S603 - a list, no shell
        [sys.executable, "-c", _DVC, str(ROOT), str(os.getpid()), "--cd", str(folder), *arguments],
        env=environment, stdout=None if show else subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    assert process.stderr is not None
    listener = threading.Thread(target=_listen, args=(process.stderr, lines, show), daemon=True)
    listener.start()
    try:
        return process.wait(limit), lines
    except subprocess.TimeoutExpired:
        action = arguments[0]
        raise MachineError(
            f"'dvc {action}' did not end within {limit:g} seconds and was ended: the server does not answer, or there "
            "is more to transfer than that. Look whether it answers (the address: 'dvc remote list'), or give it "
            f"longer: 'python -m lockstep remote {'push' if action == 'push' else 'pull'} --time-limit 3600'. {AGAIN}"
        ) from None
    finally:
        _end(process)
        listener.join(GRACE)


def _listen(stream: IO[bytes], lines: list[str], show: bool) -> None:
    """Keep what DVC says, and show it, as it says it, if that is wanted."""
    with stream:
        for raw in stream:
            line = raw.decode("utf-8", "replace")
            lines.append(line.strip())
            if show:
                sys.stderr.write(line)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End what is left of a process group: asked first, then killed."""
    for way, seconds in ((signal.SIGTERM, GRACE), (signal.SIGKILL, None)):
        try:
            os.killpg(process.pid, way)
            process.wait(seconds)
        except ProcessLookupError:
            break
        except subprocess.TimeoutExpired:
            continue
    process.wait()
