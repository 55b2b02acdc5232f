"""``python -m lockstep doctor``: what is wrong with this repository that DVC does not say, or cannot put right.

Without a flag it only looks. ``--fix`` says what it will do, then does it; a file that it replaces is kept in .dvc/tmp.
``--leftovers`` looks for, and fixes, only what killed runs leave behind that is in the way of the next one: 'make
repro' does that first. Whether the bytes of data and models are right is the business of 'python -m lockstep verify'.

Exit code: 0 nothing is wrong, or all of it was fixed; 1 something is wrong.
"""

import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path

from lockstep.commands import command_parser
from lockstep.kernel.errors import LockstepError, MachineError
from lockstep.kernel.locks import exclusive_command
from lockstep.provenance.health import HealthIssue, find_issues, find_leftovers


def main(argv: Sequence[str] | None = None) -> int:
    """Print the issues, and fix them if asked to."""
    parser = command_parser("doctor", __doc__)
    parser.add_argument("--fix", action="store_true", help="say what will be done, and do it")
    parser.add_argument("--leftovers", action="store_true", help="only what killed runs leave behind")
    args = parser.parse_args(argv)
    if not Path(".dvc").is_dir():
        raise MachineError("there is no .dvc here. Run it from the repository's root.")
    with exclusive_command("doctor") if args.fix else contextlib.nullcontext():
        return _look(args.fix, args.leftovers)


def _look(fix: bool, leftovers: bool) -> int:
    """Print what is wrong, and with ``fix`` put it right; the exit code."""
    found = list(find_leftovers() if leftovers else find_issues())
    wrong = [issue for issue in found if not issue.is_note]
    for issue in found:
        print(f"{'note' if issue.is_note else 'WRONG':<5}  {issue.what}")
        print(f"       {'will' if fix and issue.fix else 'to'} {issue.remedy}")
    fixable = [issue for issue in wrong if issue.fix]
    if fix:
        fixed = sum(_is_fixed(issue) for issue in fixable)
        if fixable:
            print(f"Fixed: {fixed} of {len(wrong)}.")
        return 0 if fixed == len(wrong) else 1
    if wrong:
        hint = " Type 'python -m lockstep doctor --fix' to fix what can be." if fixable else ""
        print(f"Wrong: {len(wrong)}.{hint}")
    elif not leftovers:
        print("Nothing is wrong. Whether data and models are as recorded: 'python -m lockstep verify'.")
    return 1 if wrong else 0


def _is_fixed(issue: HealthIssue) -> bool:
    """Fix it; whether that worked, else it is said why not."""
    assert issue.fix is not None
    try:
        issue.fix()
    except (OSError, LockstepError) as error:
        print(f"ERROR could not {issue.remedy}: {error}", file=sys.stderr)
        return False
    return True
