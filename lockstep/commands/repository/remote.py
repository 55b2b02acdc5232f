"""``python -m lockstep remote push|pull [TARGET ...]``: DVC's push and pull, with an end and with a look at the cache.

DVC pushes what lies in its cache, also where a bit has flipped there, and delivers it again on ``pull``; and it waits
for a server that does not answer, without end. So the objects that this commit records are hashed first, and the
transfer ends after ``--time-limit`` seconds. What has arrived by then stays; the same command goes on from there.
"""

import threading
from collections.abc import Sequence

from lockstep.commands import command_parser
from lockstep.kernel.errors import IntegrityError, MachineError, SettingsError, some
from lockstep.kernel.lock_file import read_lock
from lockstep.provenance.verifying import check_cache, read_recorded
from lockstep.repository.dvc import Repository
from lockstep.repository.dvc_config import check_dvc_config
from lockstep.repository.dvc_process import AGAIN, TIME_LIMIT, run_dvc

_NOT_DELIVERED, _LOST = "Checkout failed for following targets", "failed to transfer"
"""What DVC says where the remote lacks an object, or has other bytes there and ``verify = true``; and where the server
was lost on the way."""


def main(argv: Sequence[str] | None = None) -> int:
    """Push or pull. Raises LockstepError."""
    parser = command_parser("remote", __doc__)
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
    lock = read_lock()
    with Repository() as repo:
        names, default = repo.remotes
        if remote not in (None, *names) or (remote is None and default is None and action == "push"):
            what = f"is no remote '{remote}'" if remote else "is no default remote"
            raise SettingsError(
                f"There {what}; there are: {', '.join(names) or 'none'}. Set one up: 'dvc remote add --default NAME "
                "URL', 'dvc remote modify NAME verify true' (docs/remotes.md)."
            )
        recorded = read_recorded(repo, lock, repo.stage_names)
    corrupt = [one for one in check_cache(recorded.cached, recorded.cache) if one.state == "corrupt"]
    if corrupt:
        what = some(f"{one.subject}{one.detail}" for one in corrupt)
        raise IntegrityError(
            f"DVC's cache is corrupt, and {action} would {'spread' if action == 'push' else 'deliver'} it: {what}. "
            "Nothing was transferred. Type 'python -m lockstep repair', then this again."
        )


def transfer(arguments: Sequence[str], limit: float) -> None:
    """Push or pull, showing what DVC says; ``arguments`` and ``limit`` are those of run_dvc.

    Raises:
        IntegrityError: the remote lacks objects that are recorded, or has other bytes in their place.
        MachineError: DVC failed, or did not end in time.
    """
    action = arguments[0]
    done = run_dvc(arguments, limit, show="output")
    if done.code == 0:
        return
    said = "\n".join(done.lines)
    if _NOT_DELIVERED in said and _LOST not in said:
        raise IntegrityError(
            "The remote lacks files that dvc.lock or a .dvc file records, or has other bytes in their place, which "
            "verify = true refuses: DVC names them above. None of them was delivered. Push them again from where they "
            "are whole, other bytes being removed from the remote first (docs/remotes.md), or build them: 'dvc repro'."
        )
    raise MachineError(
        f"'dvc {action}' failed: {done.reason}. Look at the address ('dvc remote list'), the network and your key "
        f"(docs/remotes.md). {AGAIN}"
    )
