"""Work for others: start a Dask worker that computes folds for a Lockstep on another machine (docs/scale.md).

It is started in a clone of the repository at the commit that the others have. The same as `dask worker --nthreads 1`,
whose further options it takes, but that the processor's choices are pinned before NumPy is loaded, so that the worker
computes the same bits; that it tells the scheduler which code and libraries it has loaded, so that it is given nothing
by others than those who have the same; and that its pages of state, over HTTP, are for its own machine alone.
"""

import re
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from lockstep.commands import command_parser
from lockstep.kernel.errors import MachineError, SettingsError
from lockstep.learning.computing.fingerprints import DISK, SAME, ability, fingerprint, loaded

_MANY = 1e9
"""Of the resource that a worker has for those who have loaded the same: no number of tasks at a time uses it up."""
_ADDRESS = re.compile(r"[a-z]+://\S+:\d+")


def main(argv: Sequence[str]) -> int:
    """Work until it is stopped.

    Raises:
        SettingsError: what is given is no address.
        MachineError: Dask is not installed.
    """
    parser = command_parser("worker", __doc__)
    parser.add_argument("scheduler", help="its address: tcp://host:8786, or tls://host:8786")
    args, options = parser.parse_known_args(argv)
    if not _ADDRESS.fullmatch(args.scheduler):
        raise SettingsError(f"{args.scheduler!r} is no address of a scheduler. Give one such as tcp://10.0.0.1:8786.")
    try:
        command = import_module("distributed.cli.dask_worker").main
    except ImportError as error:
        raise MachineError(f"Dask is not installed ({error}). Type 'make scale', which installs it.") from None
    # Of an option that is given twice the last counts. Without an address the pages are for all machines, and
    # --no-dashboard leaves some of them.
    own = ["--preload", "lockstep.commands.pipeline.worker", "--nthreads", "1", "--dashboard-address", "127.0.0.1:0"]
    command([args.scheduler, *own, *options], prog_name="python -m lockstep worker")
    return 0


def dask_setup(worker: Any) -> None:
    """In the process that computes, which a nanny may have started anew, before the scheduler hears of it: hash the
    code, load all of it that a fold runs, and have the scheduler be told what was hashed.

    Dask calls it, of a module that is given as ``--preload``; it logs an error, and the worker then is able to nothing.
    """
    loaded()
    # Whatever is loaded later could come from files that were replaced by then.
    import lockstep.steps.tuning.search  # noqa: F401 - and with it all of lockstep.learning

    if fingerprint()[DISK] == SAME:
        # Not set_resources, which tells a scheduler that knows the worker already.
        worker.state.total_resources[ability()] = worker.state.available_resources[ability()] = _MANY
