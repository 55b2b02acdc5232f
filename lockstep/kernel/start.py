"""The first import of every stage's script: what has to happen before the others, if this process is a stage.

Under ``python -m stages.train`` importing this module checks that the recorded versions are installed (before anything
is imported that may be missing), ties the process to the DVC that runs it, and remembers the code as it is now.
Imported otherwise, as by the API, it does nothing.
"""

import gc
import sys

from lockstep.kernel.environment import check_environment
from lockstep.kernel.errors import LockstepError
from lockstep.kernel.locks import join_dvc_run

_main = getattr(sys.modules.get("__main__"), "__spec__", None)

if _main is not None and _main.name.startswith("stages."):
    gc.disable()  # imports make no garbage, but collecting it amid them costs 0.3 s; run_stage enables it
    try:
        check_environment()
        join_dvc_run()
    except LockstepError as error:
        print(f"ERROR: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
