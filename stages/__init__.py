"""One standalone script per DVC stage: stage name = script name = section of params.yaml.

Run from the repository's root: ``python -m stages.train --help``. No stage imports another one.
"""

import gc
import sys

if sys.argv[0] == "-m":
    # This process is a stage. Imports make no garbage, but collecting it amid them costs 0.3 s; run_stage enables it.
    gc.disable()

import lockstep  # noqa: F401 - pins the processor's choices (lockstep/portable.py) before a stage imports NumPy
from lockstep.environment import check_environment
from lockstep.errors import LockstepError
from lockstep.runs import attend

if sys.argv[0] == "-m":
    try:
        check_environment()
        attend()
    except LockstepError as error:
        print(f"ERROR: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
