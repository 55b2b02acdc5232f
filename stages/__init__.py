"""One standalone script per DVC stage: stage name = script name = section of params.yaml.

Run from the repository's root: ``python -m stages.train --help``. No stage imports another one.
"""

import gc
import importlib.util
import sys

if sys.argv[0] == "-m":
    # This process is a stage. Imports make no garbage, but collecting it amid them costs 0.3 s; run_stage enables it.
    gc.disable()

import lockstep  # noqa: F401 - pins the processor's choices (lockstep/portable.py) before a stage imports NumPy
from lockstep.errors import LockstepError
from lockstep.runs import attend

if importlib.util.find_spec("msgspec") is None:
    # The likeliest mistake of all: dvc was called by its path, and `python` is another one than its own.
    print(
        f"ERROR: {sys.executable} lacks the libraries of requirements.lock. Type 'source .venv/bin/activate' first "
        "('make venv' makes it).",
        file=sys.stderr,
    )
    sys.exit(4)

if sys.argv[0] == "-m":
    try:
        attend()
    except LockstepError as error:
        print(f"ERROR: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
