"""Work for others: start a Dask worker that computes folds for a Lockstep on another machine (docs/scale.md).

    python -m lockstep worker tcp://SCHEDULER:8786 [the options of `dask worker`]

It is started in a clone of the repository at the commit that the others have. The same as `dask worker --nthreads 1`,
but that the processor's choices are pinned before NumPy is loaded, so that the worker computes the same bits.
"""

import sys
from collections.abc import Sequence
from importlib import import_module

from lockstep.kernel.errors import MachineError


def main(argv: Sequence[str]) -> int:
    """Work until it is stopped. Raises MachineError where Dask is not installed."""
    if not argv or argv[0] in ("-h", "--help"):
        print(__doc__)
        return 0
    try:
        command = import_module("distributed.cli.dask_worker").main
    except ImportError as error:
        raise MachineError(f"Dask is not installed ({error}). Type 'make scale', which installs it.") from None
    threads = [] if "--nthreads" in argv else ["--nthreads", "1"]
    sys.argv = ["dask worker", *argv]
    command([*argv, *threads], prog_name="python -m lockstep worker")
    return 0
