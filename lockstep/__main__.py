"""``python -m lockstep``: the commands beside the pipeline, one module each, imported when called."""

import importlib
import os
import sys
from collections.abc import Sequence

from lockstep.commands import COMMANDS, ROOMS, module_of
from lockstep.comparing.wrapping import for_stream
from lockstep.kernel.errors import LockstepError, did_you_mean, lack_of_memory
from lockstep.kernel.log import end_bars


def usage() -> str:
    """The commands, a line each, by what they are for."""
    lines = ["usage: python -m lockstep COMMAND [--help]"]
    for room in ROOMS.values():
        lines += ["", f"{room.title}:", *(f"  {name:<11} {command.purpose}" for name, command in room.commands.items())]
    return "\n".join(lines)


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
        module = importlib.import_module(module_of(command))
        code: int = module.main(rest)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # whoever read the output, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 4
    except Exception as error:
        end_bars()
        told = lack_of_memory(error) or error
        if isinstance(told, LockstepError):
            # It has names from data and settings: none may steer the terminal.
            shown = "".join(char if char.isprintable() or char == "\n" else ascii(char)[1:-1] for char in str(told))
            print(for_stream(f"ERROR {command}: {shown}", sys.stderr), file=sys.stderr)
            return told.exit_code
        if not isinstance(error, OSError):
            raise
        where = f"{error.filename}: " if error.filename else ""
        print(f"ERROR {command}: {where}{error.strerror or error}. Correct that, then run it again.", file=sys.stderr)
        return 4


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
