"""The first import of every stage's script: what has to happen before the others, if this process is a stage.

Under ``python -m stages.train`` importing this module checks that the recorded versions are installed (before anything
is imported that may be missing), ties the process to the DVC that runs it, remembers the code as it is now, has the
memory of arrays given back, and has a lack of memory while the rest is imported said in a sentence.
Imported otherwise, as by the API, it does nothing.
"""

import ctypes
import gc
import sys
from types import TracebackType

from lockstep.kernel.environment import check_environment
from lockstep.kernel.errors import LockstepError, lack_of_memory
from lockstep.kernel.locks import join_dvc_run

_ARRAY = 4 * 2**20
"""Bytes from which on an array is given a piece of memory of its own."""
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def give_back_memory() -> None:
    """Have the memory of large arrays go back to the system as soon as they are freed; of no effect but under glibc.

    As soon as one array of up to 32 MiB was freed, glibc would take memory for later ones of that size from its heap,
    of which what lies between things that live on cannot be given back.
    """
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "mallopt"):
        library.mallopt(_M_MMAP_THRESHOLD, _ARRAY)
        library.mallopt(_M_TRIM_THRESHOLD, 2 * _ARRAY)  # what glibc makes of the other one


def end_where_memory_lacks(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """In place of Python's own ``sys.excepthook``: a lack of memory is told in a sentence, and ends with code 4."""
    if (short := lack_of_memory(error)) is None:
        sys.__excepthook__(kind, error, traceback)
        return
    print(f"ERROR: {short}", file=sys.stderr)
    raise SystemExit(short.exit_code)


_main = getattr(sys.modules.get("__main__"), "__spec__", None)

if _main is not None and _main.name.startswith("stages."):
    gc.disable()  # imports make no garbage, but collecting it amid them costs 0.3 s; run_stage enables it
    sys.excepthook = end_where_memory_lacks
    try:
        check_environment()
        join_dvc_run()
        give_back_memory()
    except LockstepError as error:
        print(f"ERROR: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
