"""Work for others: start a Dask worker that computes folds for a Lockstep on another machine (docs/scale.md).

It is started in a clone of the repository at the commit that the others have. The same as `dask worker --nthreads 1`,
whose further options it takes, but that the processor's choices are pinned before NumPy is loaded, so that the worker
computes the same bits.
"""

import re
from collections.abc import Sequence
from importlib import import_module

from lockstep.commands import command_parser
from lockstep.kernel.errors import MachineError, SettingsError

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
    threads = [] if "--nthreads" in options else ["--nthreads", "1"]
    command([args.scheduler, *threads, *options], prog_name="python -m lockstep worker")
    return 0
