"""``python -m lockstep``: the commands beside the pipeline, one module each, imported when called."""

import difflib
import os
import sys
from collections.abc import Sequence

from lockstep.kernel.errors import LockstepError

COMMANDS = {
    "add": "make a table of yours a problem of this repository",
    "check": "whether the settings in params.yaml are sound",
    "predict": "score new rows with a saved model",
    "export": "write a model as a file that runs no code when it is loaded",
    "explain": "which stages would run now, and because of what",
    "versions": "the recorded versions of what decides results, and those that are here",
    "verify": "whether what is here is what dvc.lock says, from the bytes",
    "release": "sign a release, or check one: tag, code, data and models",
    "summary": "what the last run gave: models, files, metrics",
    "sweep": "cross-validate every model type on a problem, and rank them",
    "compare": "whether the model of one revision is better than another's, or it is noise",
    "index": "all problems on one page, with links to their reports",
    "remote": "push or pull data and models, with a time limit, from a cache that was verified",
    "data-diff": "what changed in the data between two revisions",
    "doctor": "what is wrong that DVC does not say, and mend it",
    "example": "the Python API on the two problems that Lockstep ships",
}


def usage() -> str:
    """The commands, a line each."""
    lines = [f"  {name:<10} {what}" for name, what in COMMANDS.items()]
    return "\n".join(["usage: python -m lockstep COMMAND [--help]", "", "commands:", *lines])


def main(argv: Sequence[str]) -> int:
    """Run the command that ``argv`` names; its exit code."""
    if not argv or argv[0] in ("-h", "--help"):
        print(usage())
        return 0
    command, rest = argv[0], argv[1:]
    try:
        code = _run(command, rest)
        sys.stdout.flush()
        return code
    except LockstepError as error:
        # Names from data and settings stand in it: none may steer the terminal.
        shown = "".join(char if char.isprintable() or char == "\n" else ascii(char)[1:-1] for char in str(error))
        print(f"ERROR {command}: {shown}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:  # whoever read the output, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 4
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"ERROR {command}: {where}{error.strerror or error}. Mend that, then run it again.", file=sys.stderr)
        return 4


def _run(command: str, rest: Sequence[str]) -> int:
    match command:
        case "predict":
            from lockstep.commands import predict

            return predict.main(rest)
        case "explain":
            from lockstep.commands import explain

            return explain.main(rest)
        case "versions":
            from lockstep.commands import versions

            return versions.main(rest)
        case "verify":
            from lockstep.commands import verify

            return verify.main(rest)
        case "release":
            from lockstep.commands import release

            return release.main(rest)
        case "summary":
            from lockstep.commands import summary

            return summary.main(rest)
        case "export":
            from lockstep.commands import export

            return export.main(rest)
        case "index":
            from lockstep.commands import index

            return index.main(rest)
        case "add":
            from lockstep.commands import add

            return add.main(rest)
        case "check":
            from lockstep.commands import check

            return check.main(rest)
        case "sweep":
            from lockstep.commands import sweep

            return sweep.main(rest)
        case "compare":
            from lockstep.commands import compare

            return compare.main(rest)
        case "remote":
            from lockstep.commands import remote

            return remote.main(rest)
        case "data-diff":
            from lockstep.commands import data_diff

            return data_diff.main(rest)
        case "doctor":
            from lockstep.commands import doctor

            return doctor.main(rest)
        case "example":
            from lockstep.commands import example

            return example.main(rest)
    near = difflib.get_close_matches(command, COMMANDS, 1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    print(f"ERROR: there is no command '{command}'.{hint}\n{usage()}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
