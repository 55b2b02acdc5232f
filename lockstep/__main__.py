"""``python -m lockstep``: the commands beside the pipeline, one module each, imported when called."""

import importlib
import os
import sys
from collections.abc import Sequence

from lockstep.kernel.errors import LockstepError, did_you_mean
from lockstep.kernel.log import end_bars

COMMANDS = {
    "add": "make a table of yours a problem of this repository",
    "update": "bring new data of a problem in: more rows, or the table anew",
    "rename": "give a problem another name",
    "remove": "take a problem out of the repository",
    "new": "begin a repository of your own with this one's pipeline, and without its problems",
    "upgrade": "bring a later version of Lockstep into a repository that 'new' made",
    "check": "whether the settings in params.yaml are sound",
    "repro": "dvc repro, with how far it has come and how long the rest took last",
    "log": "the last run of each stage: when, how long, how much memory, what took longest",
    "predict": "score new rows with a saved model",
    "export": "write a model as a file that runs no code when it is loaded",
    "explain": "which stages would run now, and because of what",
    "versions": "the recorded versions of what decides results, and those that are here",
    "verify": "whether what is here is what dvc.lock says, from the bytes",
    "repair": "put the recorded bytes back where they are missing or altered",
    "merge": "settle what git cannot merge (dvc.lock, metrics), by building it anew",
    "rebuild": "prove that a commit's outputs follow from its raw data, code and settings",
    "release": "sign a release, or check one: tag, code, data and models",
    "summary": "what the last run gave: models, files, metrics",
    "sweep": "cross-validate every model type on a problem, and rank them",
    "compare": "whether the model of one revision is better than another's, or it is noise",
    "leaderboard": "the models of all commits and experiments, the best first, and which are as good",
    "promote": "put a commit's model into a stage, such as prod, unless it is worse than the one there",
    "demote": "take the model out of a stage, or go back to the one before",
    "models": "the registered models: versions, stages, how good each is",
    "worker": "compute folds for another machine, as a worker of a Dask cluster",
    "index": "all problems on one page, with links to their reports",
    "remote": "push or pull data and models, with a time limit, from a cache that was verified",
    "data-diff": "what changed in the data between two revisions",
    "doctor": "what is wrong that DVC does not say, and fix it",
    "example": "the Python API on the two problems that Lockstep ships",
}
"""What each does; its module in lockstep/commands has its name, with ``_`` for ``-``."""


def usage() -> str:
    """The commands, a line each."""
    lines = [f"  {name:<11} {what}" for name, what in COMMANDS.items()]
    return "\n".join(["usage: python -m lockstep COMMAND [--help]", "", "commands:", *lines])


def main(argv: Sequence[str]) -> int:
    """Run the command that ``argv`` names; its exit code."""
    if not argv or argv[0] in ("-h", "--help"):
        print(usage())
        return 0
    command, rest = argv[0], argv[1:]
    if command not in COMMANDS:
        print(f"ERROR: there is no command '{command}'.{did_you_mean(command, COMMANDS)}\n{usage()}", file=sys.stderr)
        return 2
    try:
        module = importlib.import_module(f"lockstep.commands.{command.replace('-', '_')}")
        code: int = module.main(rest)
        sys.stdout.flush()
        return code
    except LockstepError as error:
        end_bars()
        # It has names from data and settings: none may steer the terminal.
        shown = "".join(char if char.isprintable() or char == "\n" else ascii(char)[1:-1] for char in str(error))
        print(f"ERROR {command}: {shown}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:  # whoever read the output, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 4
    except OSError as error:
        end_bars()
        where = f"{error.filename}: " if error.filename else ""
        print(f"ERROR {command}: {where}{error.strerror or error}. Correct that, then run it again.", file=sys.stderr)
        return 4


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
